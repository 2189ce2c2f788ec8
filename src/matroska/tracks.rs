//! Tracks of a Matroska file — RFC 9559 §5.1.4.

use super::ebml::{children, float, text, unsigned};
use crate::base::{Error, Result};

/// BlockAddIDType of configurations of Dolby Vision: the names of their boxes.
const DOLBY_VISION: [&[u8; 4]; 3] = [b"dvcC", b"dvvC", b"dvwC"];

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

/// `MasteringMetadata`: chromaticities of red, green, blue and white, x and y, and the greatest and the least luminance in
/// cd/m²; what is not said is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mastering {
    /// Chromaticities, in the order of the elements.
    pub chromaticities: [Option<f64>; 8],
    /// LuminanceMax and LuminanceMin.
    pub luminance: [Option<f64>; 2],
}

/// What a track is for, or that it is not in the language in which it was made: RFC 9559 §5.1.4.1.6 to §5.1.4.1.10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// FlagHearingImpaired.
    HearingImpaired,
    /// FlagVisualImpaired.
    VisualImpaired,
    /// FlagCommentary.
    Commentary,
    /// FlagOriginal, which is 0.
    NotOriginal,
}

/// The flags, and what it means when they have a value.
const PURPOSES: &[(u32, u64, Purpose)] = &[
    (0x55ab, 1, Purpose::HearingImpaired),
    (0x55ac, 1, Purpose::VisualImpaired),
    (0x55af, 1, Purpose::Commentary),
    (0x55ae, 0, Purpose::NotOriginal),
];

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
    /// MasteringMetadata.
    pub mastering: Option<Mastering>,
    /// MaxCLL and MaxFALL, in cd/m².
    pub light_level: Option<(u64, u64)>,
    /// DOVIDecoderConfigurationRecord.
    pub dolby_vision: Option<Vec<u8>>,
    /// Whether an alpha channel stands beside the video.
    pub has_alpha: bool,
    /// SamplingFrequency.
    pub sampling_frequency: f64,
    /// OutputSamplingFrequency, of spectral band replication.
    pub output_frequency: Option<f64>,
    /// Channels.
    pub channels: u64,
    /// ContentEncodings.
    pub encoding: Encoding,
    /// What it is for, where its flags say that.
    pub purposes: Vec<Purpose>,
}

/// How frames are encoded: §5.1.4.1.31.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// They are as the codec has them.
    None,
    /// They lack these first bytes.
    Stripped(Vec<u8>),
    /// They are compressed, by what this says.
    Compressed(&'static str),
    /// They are encrypted.
    Encrypted,
}

/// The tracks in a `Tracks` element.
///
/// # Errors
/// When one is cut off.
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
        mastering: None,
        light_level: None,
        dolby_vision: None,
        has_alpha: false,
        sampling_frequency: 8000.0,
        output_frequency: None,
        channels: 1,
        encoding: Encoding::None,
        purposes: Vec::new(),
    };
    let all = children(data)?;
    let number = all.iter().find(|(id, _)| *id == 0xd7);
    track.number = number.map_or(Ok(0), |(_, data)| unsigned(data))?;
    let number = track.number;
    let at = |error: Error| error.at(format_args!("track {number}"));
    for (id, data) in &all {
        element(&mut track, *id, data).map_err(at)?;
    }
    if let Some((_, data)) = all.iter().find(|(id, _)| *id == 0x6d80) {
        track.encoding = encoding(&mut track, data).map_err(at)?;
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
        0x41e4 => block_addition(track, data)?,
        0xe0 => video(track, data)?,
        0xe1 => {
            for (id, data) in children(data)? {
                match id {
                    0xb5 => track.sampling_frequency = float(data)?,
                    0x78b5 => track.output_frequency = Some(float(data)?),
                    0x9f => track.channels = unsigned(data)?,
                    _ => {}
                }
            }
        }
        _ => {
            for (_, value, purpose) in PURPOSES.iter().filter(|(flag, ..)| *flag == id) {
                track.purposes.extend((unsigned(data)? == *value).then_some(*purpose));
            }
        }
    }
    Ok(())
}

/// BlockAdditionMapping, of which the configuration of Dolby Vision is one: §5.1.4.1.17, Matroska Block Additional Mappings.
fn block_addition(track: &mut MatroskaTrack, data: &[u8]) -> Result<()> {
    let all = children(data)?;
    let find = |id: u32| all.iter().find(|(known, _)| *known == id).map(|(_, data)| *data);
    let kind = find(0x41e7).map_or(Ok(0), unsigned)?;
    if DOLBY_VISION.iter().any(|name| u64::from(u32::from_be_bytes(**name)) == kind) {
        track.dolby_vision = find(0x41ed).map(<[u8]>::to_vec);
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
            0x55b0 => color(track, data)?,
            _ => {}
        }
    }
    // Pixels, or an aspect ratio; not lengths, and not "unknown".
    track.display = display.0.zip(display.1).filter(|_| matches!(unit, 0 | 3));
    Ok(())
}

fn color(track: &mut MatroskaTrack, data: &[u8]) -> Result<()> {
    let mut color = Color { primaries: 2, transfer: 2, matrix: 2, is_full_range: false };
    let mut light_level = (None, None);
    for (id, data) in children(data)? {
        let number = || unsigned(data).map(|value| u8::try_from(value).unwrap_or(2));
        match id {
            0x55b1 => color.matrix = number()?,
            0x55b9 => color.is_full_range = unsigned(data)? == 2,
            0x55ba => color.transfer = number()?,
            0x55bb => color.primaries = number()?,
            0x55bc => light_level.0 = Some(unsigned(data)?),
            0x55bd => light_level.1 = Some(unsigned(data)?),
            0x55d0 => track.mastering = Some(mastering(data)?),
            _ => {}
        }
    }
    let says = [color.primaries, color.transfer, color.matrix].iter().any(|number| *number != 2);
    track.color = (says || color.is_full_range).then_some(color);
    track.light_level = match light_level {
        (None, None) => None,
        (content, frame) => Some((content.unwrap_or(0), frame.unwrap_or(0))),
    };
    Ok(())
}

fn mastering(data: &[u8]) -> Result<Mastering> {
    let mut mastering = Mastering::default();
    for (id, data) in children(data)? {
        let values = mastering.chromaticities.iter_mut().chain(&mut mastering.luminance);
        if let Some((_, value)) = (0x55d1..).zip(values).find(|(known, _)| *known == id) {
            *value = Some(float(data)?);
        }
    }
    Ok(mastering)
}

/// How frames are encoded: §5.1.4.1.31.
fn encoding(track: &mut MatroskaTrack, data: &[u8]) -> Result<Encoding> {
    let encodings: Vec<_> = children(data)?.into_iter().filter(|(id, _)| *id == 0x6240).collect();
    let encoding = match encodings.as_slice() {
        [] => return Ok(Encoding::None),
        [(_, encoding)] => children(encoding)?,
        _ => return Ok(Encoding::Compressed("several encodings")),
    };
    let of = |parts: &[(u32, &[u8])], id: u32, default: u64| {
        let found = parts.iter().find(|(known, _)| *known == id);
        found.map_or(Ok(default), |(_, data)| unsigned(data))
    };
    if of(&encoding, 0x5033, 0)? != 0 {
        return Ok(Encoding::Encrypted);
    }
    let compression = encoding.iter().find(|(id, _)| *id == 0x5034);
    let compression = compression.map_or(Ok(Vec::new()), |(_, data)| children(data))?;
    match of(&compression, 0x4254, 0)? {
        3 => {}
        0 => return Ok(Encoding::Compressed("zlib")),
        1 => return Ok(Encoding::Compressed("bzlib")),
        _ => return Ok(Encoding::Compressed("an algorithm that is not known")),
    }
    let settings = compression.iter().find(|(id, _)| *id == 0x4255);
    let first_bytes = settings.map_or(&[][..], |(_, data)| data);
    // ContentEncodingScope: frames, and CodecPrivate.
    let scope = of(&encoding, 0x5032, 1)?;
    if scope & 2 != 0 {
        track.codec_private.splice(0..0, first_bytes.iter().copied());
    }
    Ok(if scope & 1 != 0 { Encoding::Stripped(first_bytes.to_vec()) } else { Encoding::None })
}
