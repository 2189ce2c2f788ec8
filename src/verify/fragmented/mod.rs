//! The rules for init segments, fragments and samples — ISO/IEC 23001-7 §7 to §9, ISO/IEC 14496-12 §8.

pub(super) mod auxiliary;
pub(super) mod coverage;
pub(super) mod file;
pub(super) mod fragment;
pub(super) mod headers;
pub(super) mod init;
pub(super) mod iv;
pub(super) mod pssh;
pub(super) mod sample;
pub(super) mod unread;
