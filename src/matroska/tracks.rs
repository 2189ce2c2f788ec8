//! Tracks of a Matroska file — RFC 9559 §5.1.4.

use super::ebml::{children, float, text, unsigned};
use crate::base::{Error, Result};

/// What a track carries: RFC 9559 §5.1.4.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackType {
    /// Video.
    Video,
    /// Audio.
    Audio,
    /// Subtitles.
    Subtitle,
    /// Anything else.
    Other,
}

/// `Colour` as ITU-T H.273 numbers it: primaries, transfer, matrix, and whether the range is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color {
    /// ColourPrimaries.
    pub primaries: u8,
    /// TransferCharacteristics.
    pub transfer: u8,
    /// MatrixCoefficients.
    pub matrix: u8,
    /// Whether Range is full.
    pub is_full_range: bool,
}

/// One track.
#[derive(Clone, Debug)]
pub struct MatroskaTrack {
    /// TrackNumber, by which blocks name it.
    pub number: u64,
    /// TrackType.
    pub kind: TrackType,
    /// CodecID.
    pub codec: String,
    /// CodecPrivate.
    pub codec_private: Vec<u8>,
    /// DefaultDuration of a frame, in nanoseconds.
    pub default_duration: Option<u64>,
    /// CodecDelay, in nanoseconds.
    pub codec_delay: u64,
    /// SeekPreRoll, in nanoseconds.
    pub seek_pre_roll: u64,
    /// Language, or LanguageBCP47 where it is there.
    pub language: String,
    /// Name.
    pub name: String,
    /// PixelWidth and PixelHeight.
    pub pixels: (u64, u64),
    /// DisplayWidth and DisplayHeight, where their ratio is that of the picture.
    pub display: Option<(u64, u64)>,
    /// Colour.
    pub color: Option<Color>,
    /// Whether an alpha channel stands beside the video.
    pub has_alpha: bool,
    /// SamplingFrequency.
    pub sampling_frequency: f64,
    /// Channels.
    pub channels: u64,
}

/// The tracks in a `Tracks` element.
///
/// # Errors
/// When one is cut off, encrypted, or compressed.
pub(super) fn tracks(data: &[u8]) -> Result<Vec<MatroskaTrack>> {
    let entries = children(data)?.into_iter().filter(|(id, _)| *id == 0xae);
    entries.map(|(_, entry)| track(entry)).collect()
}

fn track(data: &[u8]) -> Result<MatroskaTrack> {
    let mut track = MatroskaTrack {
        number: 0,
        kind: TrackType::Other,
        codec: String::new(),
        codec_private: Vec::new(),
        default_duration: None,
        codec_delay: 0,
        seek_pre_roll: 0,
        language: "eng".into(),
        name: String::new(),
        pixels: (0, 0),
        display: None,
        color: None,
        has_alpha: false,
        sampling_frequency: 8000.0,
        channels: 1,
    };
    let all = children(data)?;
    let number = all.iter().find(|(id, _)| *id == 0xd7);
    track.number = number.map_or(Ok(0), |(_, data)| unsigned(data))?;
    let number = track.number;
    let at = |error: Error| error.at(format_args!("track {number}"));
    for (id, data) in all {
        element(&mut track, id, data).map_err(at)?;
    }
    Ok(track)
}

fn element(track: &mut MatroskaTrack, id: u32, data: &[u8]) -> Result<()> {
    match id {
        0x83 => {
            track.kind = match unsigned(data)? {
                1 => TrackType::Video,
                2 => TrackType::Audio,
                17 => TrackType::Subtitle,
                _ => TrackType::Other,
            }
        }
        0x86 => track.codec = text(data),
        0x63a2 => track.codec_private = data.to_vec(),
        0x23_e383 => track.default_duration = Some(unsigned(data)?).filter(|duration| *duration > 0),
        0x56aa => track.codec_delay = unsigned(data)?,
        0x56bb => track.seek_pre_roll = unsigned(data)?,
        0x22_b59c if track.language == "eng" => track.language = text(data),
        0x22_b59d => track.language = text(data),
        0x536e => track.name = text(data),
        0x23_314f if float(data)? != 1.0 => {
            return Err(Error::unsupported(format!("TrackTimestampScale is {}, 1 expected", float(data)?))
                .clause("RFC 9559 §5.1.4.1.18"));
        }
        0xe0 => video(track, data)?,
        0xe1 => {
            for (id, data) in children(data)? {
                match id {
                    0xb5 => track.sampling_frequency = float(data)?,
                    0x9f => track.channels = unsigned(data)?,
                    _ => {}
                }
            }
        }
        0x6d80 => refuse_encoded(data)?,
        _ => {}
    }
    Ok(())
}

fn video(track: &mut MatroskaTrack, data: &[u8]) -> Result<()> {
    let (mut display, mut unit) = ((None, None), 0);
    for (id, data) in children(data)? {
        match id {
            0xb0 => track.pixels.0 = unsigned(data)?,
            0xba => track.pixels.1 = unsigned(data)?,
            0x54b0 => display.0 = Some(unsigned(data)?),
            0x54ba => display.1 = Some(unsigned(data)?),
            0x54b2 => unit = unsigned(data)?,
            0x53c0 => track.has_alpha = unsigned(data)? != 0,
            0x55b0 => track.color = color(data)?,
            _ => {}
        }
    }
    // Pixels, or an aspect ratio; not lengths, and not "unknown".
    track.display = display.0.zip(display.1).filter(|_| matches!(unit, 0 | 3));
    Ok(())
}

fn color(data: &[u8]) -> Result<Option<Color>> {
    let mut color = Color { primaries: 2, transfer: 2, matrix: 2, is_full_range: false };
    for (id, data) in children(data)? {
        let number = || unsigned(data).map(|value| u8::try_from(value).unwrap_or(2));
        match id {
            0x55b1 => color.matrix = number()?,
            0x55b9 => color.is_full_range = unsigned(data)? == 2,
            0x55ba => color.transfer = number()?,
            0x55bb => color.primaries = number()?,
            _ => {}
        }
    }
    let says = [color.primaries, color.transfer, color.matrix].iter().any(|number| *number != 2);
    Ok((says || color.is_full_range).then_some(color))
}

/// Refuses frames that are not as the codec has them: §5.1.4.1.31.
fn refuse_encoded(data: &[u8]) -> Result<()> {
    let Some((_, encoding)) = children(data)?.into_iter().next() else { return Ok(()) };
    let parts = children(encoding)?;
    // ContentEncodingType 1, or ContentEncryption.
    let kind = parts.iter().find(|(id, _)| *id == 0x5033).map_or(Ok(0), |(_, data)| unsigned(data))?;
    Err(match kind == 1 || parts.iter().any(|(id, _)| *id == 0x5035) {
        true => Error::input("ContentEncryption: the track is encrypted already")
            .clause("RFC 9559 §5.1.4.1.31.8")
            .hint("give the clear file"),
        false => Error::unsupported("ContentCompression: frames are compressed, or lack their first bytes")
            .clause("RFC 9559 §5.1.4.1.31.5")
            .hint("write the file without it, such as with ffmpeg -i FILE -c copy -map 0 OTHER"),
    })
}
