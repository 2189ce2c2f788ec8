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
pub(super) static TTML: Codec =
    Codec { name: "TTML", sample_entries: &[FourCc(*b"stpp")], rfc6381: ttml_codecs, ..TEXT };

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

/// Whether it is WebVTT, which HLS has in files of its own: RFC 8216bis §3.1.4.
pub fn is_webvtt(codec: &Codec) -> bool {
    codec.name == WEBVTT.name
}

/// Whether it is timed text of 3GPP, which players of segments do not show.
pub fn is_timed_text(codec: &Codec) -> bool {
    codec.name == TX3G.name
}

/// Whether HLS players know this text in fragmented MP4: IMSC1, RFC 8216bis §3.1.5.
pub fn is_hls_subtitles(codec: &Codec) -> bool {
    codec.name == TTML.name
}

/// RFC 6381 §3.3: the first element is the sample entry's type, which says enough.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    Ok(config.entry.to_string())
}

/// The text profile of IMSC1, which playlists must name, is that of all TTML in MP4: RFC 8216bis §3.1.5, TTML Media Type
/// Definition and Profile Registry §6.
fn ttml_codecs(config: &Config<'_>) -> Result<String> {
    Ok(format!("{}.ttml.im1t", config.entry))
}
