//! Elementary streams as transport streams and packed audio carry them — ITU-T H.264 annex B, ISO/IEC 14496-3 §1.A.3,
//! ETSI TS 102 366: where units begin and end.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::adts::AdtsHeader;
use super::avc;
use super::syncframe::Syncframe;
use super::{ColorInfo, TrackKind};
use crate::base::{Error, Result};

/// A codec whose elementary streams can be told apart into units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Elementary {
    /// AVC as a byte stream.
    Avc,
    /// AAC in ADTS frames.
    Aac,
    /// AC-3 syncframes.
    Ac3,
    /// Enhanced AC-3 syncframes.
    Eac3,
}

/// format_identifiers by which streams of private data say that they are audio all the same:
/// ISO/IEC 13818-1 §2.6.8. The names of AAC and of OPUS in capitals stand for descriptors of DVB.
pub const AUDIO_FORMATS: [&[u8; 4]; 10] =
    [b"AC-3", b"EAC3", b"AC-4", b"BSSD", b"Opus", b"DTS1", b"DTS2", b"DTS3", b"AAC ", b"OPUS"];
/// The same of video.
const VIDEO_FORMATS: [&[u8; 4]; 5] = [b"HEVC", b"VVC ", b"AV01", b"VC-1", b"drac"];

/// Whether private data of this format_identifier is audio or video.
pub fn is_media_format(format: &[u8; 4]) -> bool {
    AUDIO_FORMATS.contains(&format) || VIDEO_FORMATS.contains(&format)
}

/// A frame of audio in an elementary stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    /// All its bytes.
    pub range: Range<usize>,
    /// How many of them are a header apart from the audio: that of ADTS.
    pub header_bytes: usize,
    /// Whether it is a further substream of Enhanced AC-3, which goes on with the frame before.
    pub goes_on: bool,
}

/// What the headers of an elementary stream say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamInfo {
    /// The `codecs` parameter: RFC 6381.
    pub rfc6381: String,
    /// Width and height of the cropped picture.
    pub picture: Option<(u32, u32)>,
    /// Dynamic range and color gamut.
    pub color: ColorInfo,
    /// Channels of audio, of low frequency effects too; none where nothing that is read says it.
    pub channels: Option<u8>,
    /// Samples of audio in a second.
    pub sampling_frequency: Option<u32>,
    /// What a decoder of encrypted audio is told: AudioSpecificConfig of AAC, the first ten bytes of an AC-3
    /// syncframe, EC3SpecificBox of Enhanced AC-3.
    pub setup_data: Vec<u8>,
}

impl Elementary {
    /// The codec whose frame of audio begins with `bytes`.
    pub fn of_audio(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // ETSI TS 102 366 §E.1.3.1.6: bsid tells both apart.
            [0x0b, 0x77, _, _, _, bsid, ..] if bsid >> 3 <= 10 => Some(Self::Ac3),
            [0x0b, 0x77, ..] => Some(Self::Eac3),
            // The layer of ADTS is 0.
            [0xff, second, ..] if second & 0xf6 == 0xf0 => Some(Self::Aac),
            _ => None,
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avc => "AVC",
            Self::Aac => "AAC",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
        }
    }

    /// What it carries.
    pub fn kind(self) -> TrackKind {
        match self {
            Self::Avc => TrackKind::Video,
            Self::Aac | Self::Ac3 | Self::Eac3 => TrackKind::Audio,
        }
    }

    /// The frame of audio that begins at `start`; `None` when `stream` ends before it does.
    ///
    /// # Errors
    /// When no frame begins there, or this is not audio.
    pub fn audio_frame(self, stream: &[u8], start: usize) -> Result<Option<AudioFrame>> {
        let rest = stream.get(start..).unwrap_or_default();
        let at = |e: Error| e.at_byte(start as u64);
        let (header_bytes, length, goes_on) = match self {
            Self::Aac => match AdtsHeader::parse(rest).map_err(at)? {
                Some(header) => (header.header_bytes, header.frame_bytes, false),
                None => return Ok(None),
            },
            Self::Ac3 | Self::Eac3 => match self.syncframe(rest).map_err(at)? {
                Some(frame) => (0, frame.bytes, frame.goes_on),
                None => return Ok(None),
            },
            Self::Avc => return Ok(None),
        };
        let range = start..start + length;
        Ok((range.end <= stream.len()).then_some(AudioFrame { range, header_bytes, goes_on }))
    }

    /// The facts in the headers of `unit`, an access unit or a frame of audio; `None` when it has none.
    ///
    /// # Errors
    /// When a header is wrong.
    pub fn facts(self, unit: &[u8]) -> Result<Option<StreamInfo>> {
        match self {
            Self::Avc => avc::byte_stream_facts(unit),
            Self::Aac => Ok(AdtsHeader::parse(unit)?.map(|header| header.facts(unit))),
            Self::Ac3 => Ok(self.syncframe(unit)?.and_then(|frame| frame.ac_3_facts(unit))),
            Self::Eac3 => Ok(self.syncframe(unit)?.map(Syncframe::e_ac_3_facts)),
        }
    }

    /// A syncframe that may be in the stream. One of Enhanced AC-3 may have syncframes of AC-3 as well, which is the
    /// first independent substream then: ETSI TS 102 366 annex E.
    fn syncframe(self, bytes: &[u8]) -> Result<Option<Syncframe>> {
        match Syncframe::parse(bytes)? {
            Some(frame) if self == Self::Ac3 => frame.of_ac_3().map(Some),
            frame => Ok(frame),
        }
    }
}
