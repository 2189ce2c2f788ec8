//! The product, still pure: a plan is applied to init segments, segments, files and manifests — ISO/IEC 23000-19.

mod aes128;
mod clear_segment;
mod cmaf;
mod copy;
mod elsewhere;
mod fragmented;
mod plan;
mod playlist_keys;
mod proofs;
mod sample_aes;

pub use aes128::{
    Beginning, FirstBlock, FirstBlocks, IV_CONTRADICTED, SEGMENT_KINDS, SegmentHead, check_whole_segment,
    decrypt_whole_segment, encrypt_whole_segment,
};
pub use clear_segment::check_clear_segment;
pub use cmaf::edit_list::{EditList, EditedSamples, Jump, Presented, presented};
pub use cmaf::segments::{Boundaries, CmafSegment, MAX_CHUNK_BYTES, Segments};
pub use cmaf::{Cmaf, KeyFrame, WrittenSegment};
pub use copy::copy;
pub use fragmented::coverage::UnreadBytes;
pub use fragmented::decryptor::SegmentDecryptor;
pub use fragmented::offsets::OffsetMap;
pub use fragmented::protector::{SegmentProtector, Totals};
pub use fragmented::rendition::{ProtectedRendition, random_access_fragments};
pub use fragmented::rewrite::{Changed, FragmentEdit, rewrite};
pub use fragmented::track::{
    CryptoPeriod, MediaTrack, PeriodKey, ProtectedTrack, UnknownVideo, clear_tracks, media_tracks,
    media_tracks_with,
};
pub use plan::assignment::{Assignment, EncryptedTrack, KeyPurpose, KeyRule, Preset, PurposeId, TrackId};
pub(crate) use plan::key_address::KeyAddress;
pub use plan::keyed::{Keyed, Kids, Wants, choose};
pub use plan::license_url::{LicenseUrl, check_license_urls};
pub use plan::schedule::{ClearRange, MAX_PERIODS, Period, PeriodTime, Schedule, SegmentKey};
pub use plan::server_signaling::ServerSignaling;
pub use plan::{Intent, Plan, PlannedKey, Treatment};
pub use playlist_keys::PlaylistKeyResolver;
pub use proofs::Proofs;
pub use sample_aes::packed_audio::{
    PackedAudioTotals, audio_description, decrypt_packed_audio, packed_audio_facts, protect_packed_audio,
};
pub use sample_aes::segment::{ElementaryStream, SampleAesSegment, elementary_streams, sample_aes_segment};
pub use sample_aes::ts_program::{TsProgram, TsStream, signaling, signaling_fault};
pub use sample_aes::ts_segment::{
    MAX_WAITING_BYTES, TsSegment, TsStreamTotals, decrypt_ts_segment, protect_ts_segment,
};
