//! Content Protection Information Exchange Format — DASH-IF CPIX 2.3: the domain model.

mod document;

pub use document::{
    AudioFilter, ContentKey, ContentKeyUsageRule, Document, DrmSystem, HlsSignalingData, VideoFilter,
};
