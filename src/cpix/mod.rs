//! Content Protection Information Exchange Format — DASH-IF CPIX 2.1 to 2.4: the domain model.

mod c14n;
mod content_keys;
mod document;
mod encrypted;
mod original;
pub mod periods;
mod read;
mod read_usage;
mod recipient;
mod schema;
mod signature;
pub mod track_types;
pub mod usage;
mod version;
pub mod whole_segments;
mod write;
mod write_usage;

pub use content_keys::ContentKeys;
pub(crate) use document::Index;
pub use document::{
    AudioFilter, BitrateFilter, ContentKey, ContentKeyPeriod, ContentKeyUsageRule, DeliveryData, Document,
    DrmSystem, HlsSignalingData, KEY_PERIOD_FILTER, UpdateHistoryItem, VideoFilter,
};
pub use original::{Original, recipients};
pub(crate) use read::not_xml;
pub use read::{read, read_with};
pub use recipient::{Certificate, RecipientKey};
pub(crate) use signature::check_signed;
pub use signature::{Signed, read_verified, self_signed, verify_signatures};
pub use version::Version;
pub use write::{Written, write, write_as, write_encrypted};
