//! Content Protection Information Exchange Format — DASH-IF CPIX 2.1 to 2.4: the domain model.

mod document;
mod encrypted;
mod read;
mod read_usage;
mod recipient;
mod version;
mod write;
mod write_usage;

pub use document::{
    AudioFilter, BitrateFilter, ContentKey, ContentKeyPeriod, ContentKeyUsageRule, DeliveryData, Document,
    DrmSystem, HlsSignalingData, UpdateHistoryItem, VideoFilter,
};
pub(crate) use read::not_xml;
pub use read::{read, read_with};
pub use recipient::{Certificate, RecipientKey};
pub use version::Version;
pub use write::{Written, write, write_as, write_encrypted};
