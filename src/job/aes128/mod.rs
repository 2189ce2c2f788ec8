//! HLS packages whose segments are encrypted whole in AES-128 — RFC 8216bis §4.4.4.4, §5.2: any container.
//!
//! A segment is a file or a byte range of one; each is padded and encrypted by itself. Bytes of a file that no
//! playlist names are left out: they cannot be under a key.

mod decrypt;
mod keys;
mod package;
mod run;

pub(super) use decrypt::decrypt;
pub(super) use run::{outline, run};
