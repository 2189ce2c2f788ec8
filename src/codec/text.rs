//! Subtitles and captions, which are never protected — ISO/IEC 14496-30, 3GPP TS 26.245.
//!
//! Players hand them to the page, outside of what decrypts. Timed metadata tracks (`mett`, `metx`, `urim` and any
//! other entry of a `meta` handler) need no row: what is neither picture nor audio is never protected, and a job
//! that leaves one out says so.

use super::{CipherModes, Codec, Config, Protection, TrackKind, audio_facts};
use crate::base::{FourCc, Result};

/// What all rows of this file have in common.
const TEXT: Codec = Codec {
    name: "",
    kind: TrackKind::Text,
    sample_entries: &[],
    protection: Protection::Never,
    marks: |_| None,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio: audio_facts::unknown,
};

/// WebVTT: ISO/IEC 14496-30 §7.
pub(super) static WEBVTT: Codec = Codec { name: "WebVTT", sample_entries: &[FourCc(*b"wvtt")], ..TEXT };

/// TTML: ISO/IEC 14496-30 §5.
pub(super) static TTML: Codec = Codec { name: "TTML", sample_entries: &[FourCc(*b"stpp")], ..TEXT };

/// Timed text: 3GPP TS 26.245 §5.16.
pub(super) static TX3G: Codec =
    Codec { name: "3GPP timed text", sample_entries: &[FourCc(*b"tx3g")], ..TEXT };

/// Text without a format of its own: ISO/IEC 14496-12 §12.5.3, §12.6.3.
pub(super) static SIMPLE_TEXT: Codec =
    Codec { name: "plain text", sample_entries: &[FourCc(*b"sbtt"), FourCc(*b"stxt")], ..TEXT };

/// Closed captions of ANSI/CTA-608.
pub(super) static CEA_608: Codec =
    Codec { name: "CEA-608 captions", sample_entries: &[FourCc(*b"c608")], ..TEXT };

/// Closed captions of ANSI/CTA-708.
pub(super) static CEA_708: Codec =
    Codec { name: "CEA-708 captions", sample_entries: &[FourCc(*b"c708")], ..TEXT };

/// Whether HLS players know this text in fragmented MP4: WebVTT and IMSC1, RFC 8216bis §3.1.
pub fn is_hls_subtitles(codec: &Codec) -> bool {
    [WEBVTT.name, TTML.name].contains(&codec.name)
}

/// RFC 6381 §3.3: the first element is the sample entry's type, which says enough.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    Ok(config.entry.to_string())
}
