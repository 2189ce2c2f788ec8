//! Content Protection Information Exchange Format — DASH-IF CPIX 2.3: the domain model.

mod document;
mod read;
mod write;

pub use document::{
    AudioFilter, ContentKey, ContentKeyUsageRule, Document, DrmSystem, HlsSignalingData, VideoFilter,
};
pub(crate) use read::not_xml;
pub use read::read;
pub use write::write;
