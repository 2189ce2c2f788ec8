//! The product, still pure: a plan is applied to init segments, segments, files and manifests — ISO/IEC 23000-19.

mod cmaf;
mod decrypt;
mod offsets;
mod protect;
mod resource;
mod track;

pub use cmaf::{Boundaries, Cmaf, CmafSegment, MAX_CHUNK_BYTES, Segments, WrittenSegment};
pub use decrypt::{Decrypt, FindKey};
pub use offsets::OffsetMap;
pub use protect::{Protect, protect_init, protect_segment};
pub use resource::{Edit, rewrite};
pub use track::{MediaTrack, ProtectedTrack, media_tracks};
