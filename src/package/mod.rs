//! The product, still pure: a plan is applied to init segments, segments, files and manifests — ISO/IEC 23000-19.

mod assignment;
mod auxiliary;
mod cmaf;
mod copy;
mod coverage;
mod decrypt;
mod edit_list;
mod elsewhere;
mod key_address;
mod key_change;
mod keyed;
mod license_url;
mod line_keys;
mod media_data;
mod offsets;
mod packed_audio;
mod plan;
mod proofs;
mod protect;
mod rendition;
mod resource;
mod sample_aes_segment;
mod sample_bytes;
mod sample_decryption;
mod sample_groups;
mod schedule;
mod segments;
mod server_signaling;
mod track;
mod ts_clear;
mod ts_lane;
mod ts_layout;
mod ts_program;
mod ts_segment;
mod ts_table;
mod whole_segment;

pub use assignment::{Assignment, KeyPurpose, KeyRule, Preset, PurposeId, Substream, TrackId};
pub use cmaf::{Cmaf, WrittenSegment};
pub use copy::copy;
pub use coverage::{has_unread_bytes, unread_box};
pub use decrypt::Decrypt;
pub use edit_list::{EditList, Presented, presented};
pub(crate) use key_address::KeyAddress;
pub use keyed::{Keyed, Kids, Wants, choose};
pub use license_url::{LicenseUrl, check_license_urls};
pub use line_keys::{FindIv, LineKeys};
pub use offsets::OffsetMap;
pub use packed_audio::{
    PackedAudioTotals, audio_description, decrypt_packed_audio, packed_audio_facts, protect_packed_audio,
};
pub use plan::{Intent, Plan, PlannedKey, Treatment};
pub use proofs::Proofs;
pub use protect::{Protect, Totals};
pub use rendition::{ProtectedRendition, random_access_fragments};
pub use resource::{Changed, Edit, rewrite};
pub use sample_aes_segment::{ElementaryStream, SampleAesSegment, elementary_streams, sample_aes_segment};
pub use sample_decryption::FindKey;
pub use sample_groups::SampleGroups;
pub use schedule::{MAX_PERIODS, Period, PeriodTime, Phase, Schedule};
pub use segments::{Boundaries, CmafSegment, MAX_CHUNK_BYTES, Segments};
pub use server_signaling::ServerSignaling;
pub use track::{
    CryptoPeriod, MediaTrack, PeriodKey, ProtectedTrack, UnknownVideo, clear_tracks, media_tracks,
    media_tracks_with,
};
pub use ts_program::{TsProgram, TsStream, signaling, signaling_fault};
pub use ts_segment::{MAX_WAITING_BYTES, TsSegment, TsStreamTotals, decrypt_ts_segment, protect_ts_segment};
pub use whole_segment::{
    Beginning, FirstBlocks, SEGMENT_KINDS, SegmentHead, decrypt_whole_segment, encrypt_whole_segment,
};
