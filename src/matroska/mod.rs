//! Matroska and WebM files — RFC 8794 (EBML), RFC 9559: read element by element, frames named by where they lie.
//!
//! Nothing is copied: a [`Frame`] is a place in the file, so that who makes another file of it reads what it needs when
//! it needs it.

mod block;
mod ebml;
mod file;
mod tracks;

pub use file::{Frame, Info, Matroska};
pub use tracks::{Color, Encoding, Mastering, MatroskaTrack, Purpose, TrackType};
