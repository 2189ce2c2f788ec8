//! What a media segment is, from its first bytes — RFC 8216bis §3.1.

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::codec::Elementary;
use crate::hls::id3;

/// Most bytes of an ID3 tag before packed audio: time stamps and metadata, not pictures of any size.
pub const MAX_ID3_BYTES: usize = 1 << 20;
/// Bytes that tell the kinds apart.
const START_BYTES: usize = 16;

/// The name of NAL units or pictures without a container.
pub const ELEMENTARY_VIDEO: &str = "an elementary stream of video";

/// A kind of media segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// A transport stream: §3.1.1.
    Ts,
    /// Fragmented MP4: §3.1.2.
    Fmp4,
    /// Packed audio that sample encryption knows: §3.1.3.
    PackedAudio(Elementary),
    /// MPEG audio of layer I to III, which sample encryption does not know: §3.1.3.
    MpegAudio,
    /// WebVTT: §3.1.4.
    WebVtt,
    /// Matroska or WebM: RFC 9559 §4.
    Matroska,
    /// Media that no segment of HLS is, by its name.
    Other(&'static str),
    /// Something else.
    Unknown,
}

impl SegmentKind {
    /// The kind of a segment.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(source: &dyn Source) -> Result<Self> {
        let audio = audio_position(source)?;
        Ok(Self::of_start(&start(source, audio)?))
    }

    /// What it is when it has video or audio that must not stay clear by mistake; `None` of text, of video
    /// that stand alone, and of what is not known.
    pub fn media_name(self) -> Option<&'static str> {
        match self {
            Self::Ts => Some("a transport stream"),
            Self::Fmp4 => Some("an ISO media file"),
            Self::PackedAudio(_) | Self::MpegAudio => Some("packed audio"),
            Self::Matroska => Some("a Matroska file"),
            Self::Other(name) => Some(name),
            Self::WebVtt | Self::Unknown => None,
        }
    }

    /// The kind of a segment that begins with these bytes, ID3 tags passed over.
    fn of_start(bytes: &[u8]) -> Self {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if let Some(elementary) = Elementary::of_audio(bytes) {
            return Self::PackedAudio(elementary);
        }
        match bytes {
            // The layer is not 0, which is that of ADTS.
            [0xff, second, ..] if second & 0xe0 == 0xe0 => Self::MpegAudio,
            [_, _, _, _, b'f' | b's' | b'm' | b'e' | b'p', _, _, _, ..] if is_box(bytes) => Self::Fmp4,
            [0x1a, 0x45, 0xdf, 0xa3, ..] => Self::Matroska,
            [b'f', b'L', b'a', b'C', ..] => Self::Other("a FLAC file"),
            [b'O', b'g', b'g', b'S', ..] => Self::Other("an Ogg file"),
            [b'F', b'L', b'V', 1, ..] => Self::Other("an FLV file"),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Self::Other("a WAV file"),
            [0, 0, 0, 1, ..] | [0, 0, 1, 0x09 | 0x67 | 0xb3 | 0xba, ..] => Self::Other(ELEMENTARY_VIDEO),
            // A GIF picture begins with the sync byte too.
            [b'G', b'I', b'F', b'8', ..] => Self::Unknown,
            [0x47, ..] => Self::Ts,
            _ if text.starts_with(b"WEBVTT") => Self::WebVtt,
            _ => Self::Unknown,
        }
    }
}

/// Whether a box begins as those do that a segment or an init segment begins with.
pub fn is_box(bytes: &[u8]) -> bool {
    let kinds: [&[u8; 4]; 9] =
        [b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"mdat", b"free"];
    bytes.get(4..8).is_some_and(|found| kinds.iter().any(|kind| found == *kind))
}

/// Where audio begins behind ID3 tags; 0 when there are none.
///
/// # Errors
/// When a tag is longer than [`MAX_ID3_BYTES`], or it cannot be read.
pub fn audio_position(source: &dyn Source) -> Result<u64> {
    let mut position = 0;
    while let Some(length) = id3::tag_bytes(&start(source, position)?) {
        if length > MAX_ID3_BYTES {
            return Err(Error::unsupported(format!(
                "an ID3 tag of {length} bytes, at most {MAX_ID3_BYTES} expected"
            )));
        }
        position += length as u64;
    }
    Ok(position)
}

fn start(source: &dyn Source, position: u64) -> Result<Vec<u8>> {
    let left = source.len().saturating_sub(position);
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(START_BYTES)];
    source.read_at(position.min(source.len()), &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FLAC, Ogg, FLV, WAV, AVC behind start codes of four and of three bytes, MPEG-2 video, a program stream.
    const OTHERS: [&[u8]; 8] = [
        b"fLaC\0\0\0\x22",
        b"OggS\0\x02",
        b"FLV\x01\x05",
        b"RIFF\x24\0\0\0WAVEfmt ",
        &[0, 0, 0, 1, 0x67, 0x64],
        &[0, 0, 1, 0x67, 0x64],
        &[0, 0, 1, 0xb3],
        &[0, 0, 1, 0xba],
    ];

    fn kind(bytes: &[u8]) -> SegmentKind {
        SegmentKind::of(&bytes.to_vec()).unwrap()
    }

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        assert_eq!(kind(&[0x47, 0x40, 0x11, 0x10]), SegmentKind::Ts);
        assert_eq!(kind(b"\0\0\0\x18styp"), SegmentKind::Fmp4);
        // A box may be as long as a sync byte says.
        assert_eq!(kind(b"\x47\0\0\x18moof"), SegmentKind::Fmp4);
        assert_eq!(kind(b"\xef\xbb\xbfWEBVTT\n"), SegmentKind::WebVtt);
        assert_eq!(kind(&[0xff, 0xf1, 0x50]), SegmentKind::PackedAudio(Elementary::Aac));
        assert_eq!(kind(&[0xff, 0xfb, 0x90]), SegmentKind::MpegAudio);
        assert_eq!(kind(&[0x0b, 0x77, 0, 0, 0, 0x40]), SegmentKind::PackedAudio(Elementary::Ac3));
        assert_eq!(kind(&[0x0b, 0x77, 0, 0, 0, 0x80]), SegmentKind::PackedAudio(Elementary::Eac3));
        assert_eq!(kind(b"ID3\x04\0\0\0\0\0\x02ab\xff\xf1\x50"), SegmentKind::PackedAudio(Elementary::Aac));
        assert_eq!(kind(b""), SegmentKind::Unknown);
        assert_eq!(kind(b"<html>"), SegmentKind::Unknown);
        assert_eq!(kind(b"GIF89a"), SegmentKind::Unknown);
        assert_eq!(kind(&[0x1a, 0x45, 0xdf, 0xa3]), SegmentKind::Matroska);
        for other in OTHERS {
            assert!(matches!(kind(other), SegmentKind::Other(_)), "{}", other.escape_ascii());
        }
    }
}
