//! HLS playlists, kept line by line and edited in place — RFC 8216bis.
//!
//! A [`Playlist`] is its lines as they were written; [`media`], [`multivariant`] and [`Key`] are
//! views of them. Edits insert, remove or change single lines, and everything else is written
//! back byte for byte: unknown tags, comments, blank lines, line endings. What is said about
//! encryption arrives as finished tag lines.

pub mod aes128;
mod attributes;
mod byte_range;
pub mod codecs;
mod define;
mod file_uris;
pub mod id3;
mod key;
mod line;
pub mod media;
pub mod multivariant;
mod partial_segments;
mod resources;
mod version;
mod write_images;
mod write_media;
mod write_multivariant;

pub use attributes::Attributes;
pub use file_uris::map_file_uris;
pub use key::{AES_128, IDENTITY, Key, KeysInForce, SAMPLE_AES};
pub use line::{Line, LineEnding, LineKind, MAX_LINES, Playlist, PlaylistKind};
pub use partial_segments::{PartialSegment, partial_segments};
pub use resources::{ASSET_LIST, ASSET_URI, OtherUri, ResourceKind, ResourceRef, other_uris, resource_refs};
pub use version::required as required_version;

#[cfg(test)]
mod tests;
