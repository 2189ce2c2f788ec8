//! Video whose codec is not known, protected whole when that is asked for — ISO/IEC 23001-7 §9.5.1.

use super::{CipherModes, Codec, Protection, TrackKind, audio_facts};

/// The row of no sample entry: it is chosen, never found. What a player reads in the clear, such as slice
/// headers, is protected with the rest.
pub static UNKNOWN_VIDEO: Codec = Codec {
    name: "video of an unknown codec",
    kind: TrackKind::Video,
    sample_entries: &[],
    protection: Protection::WholeSample,
    marks: |_| None,
    cipher_modes: CipherModes::All,
    rfc6381: |config| Ok(config.entry.to_string()),
    audio: audio_facts::unknown,
};
