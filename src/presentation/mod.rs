//! A presentation as its manifests name it: documents, tracks, resources — RFC 8216bis, ISO/IEC 23009-1.
//!
//! The only reader: `pack`, `decrypt`, `verify` and `inspect` interpret what is found here. Manifests are read once and
//! edited by nobody here; of media no more is read than tells what it is.

mod asset;
mod at_base;
mod byte_range_source;
mod manifest;
mod mislabeled;
mod mpd;
mod other;
mod playlist;
mod read;
mod reader;
mod resource;
mod segment_kind;

pub use asset::Asset;
pub use at_base::{AtBase, address_of};
pub use byte_range_source::ByteRangeSource;
pub use manifest::{
    is_multivariant, kind_of_content, kind_of_file, kind_of_name, may_be_manifest, read_manifest, read_whole,
};
pub use mislabeled::{check_init_is_no_media, check_is_no_media};
pub use mpd::{MpdDocument, MpdTrack};
pub use other::{OtherFile, OtherKind};
pub use playlist::{MediaPlaylist, Multivariant};
pub use read::{FileLengths, read_moov};
pub use reader::{Fault, Presentation};
pub use resource::{Content, Resource, ResourceId, Role, SegmentIndex};
pub use segment_kind::{ELEMENTARY_VIDEO, MAX_ID3_BYTES, SegmentKind, audio_position, is_box};
