//! The product, still pure: a plan is applied to init segments, segments, files and manifests — ISO/IEC 23000-19.

mod assignment;
mod auxiliary;
mod cmaf;
mod decrypt;
mod media_data;
mod offsets;
mod plan;
mod protect;
mod resource;
mod sample_decryption;
mod sample_groups;
mod segments;
mod track;

pub use assignment::{Assignment, KeyPurpose, KeyRule, Preset, Substream};
pub use cmaf::{Cmaf, WrittenSegment};
pub use decrypt::Decrypt;
pub use offsets::OffsetMap;
pub use plan::{Intent, Plan, PlannedKey};
pub use protect::{Protect, Totals, protect_init, protect_segment};
pub use resource::{Changed, Edit, rewrite};
pub use sample_decryption::FindKey;
pub use sample_groups::SampleGroups;
pub use segments::{Boundaries, CmafSegment, MAX_CHUNK_BYTES, Segments};
pub use track::{MediaTrack, ProtectedTrack, clear_tracks, media_tracks};
