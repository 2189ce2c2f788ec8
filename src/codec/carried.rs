//! Streams of other containers as sample entries have them — ISO/IEC 14496-15, RFC 9559 with the codec mappings of
//! Matroska, the bindings of AV1, VP9, Opus, AC-3 and AAC to ISO media: type, configuration, duration of frames.

use super::lossless::{self, Lossless};
use super::syncframe::{Syncframe, dec3};
use super::{audio_specific_config, first_frame, opus, vp9};
use crate::base::{Error, FourCc, Result, remedy};

/// A codec that other containers carry as ISO media do, sample by sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// AVC with avcC.
    Avc,
    /// HEVC with hvcC.
    Hevc,
    /// AV1 with av1C.
    Av1,
    /// VP9, told by its first frame.
    Vp9,
    /// VP8, told by its first frame.
    Vp8,
    /// AAC with AudioSpecificConfig.
    Aac,
    /// AAC in frames of LATM and LOAS.
    Loas,
    /// AC-3, told by its first frame.
    Ac3,
    /// Enhanced AC-3, told by its first frame.
    Eac3,
    /// Opus with its identification header.
    Opus,
    /// FLAC with what a FLAC file begins with.
    Flac,
    /// ALAC with ALACSpecificConfig.
    Alac,
    /// MPEG audio of layers I to III, told by its first frame.
    MpegAudio,
}

/// What a container says of a stream besides its configuration.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// Width and height.
    pub size: (u32, u32),
    /// Pictures in a second, where that is known.
    pub rate: Option<f64>,
    /// Primaries, transfer and matrix of ITU-T H.273, and whether the range is full.
    pub color: Option<([u8; 3], bool)>,
}

/// A stream as its sample entry has it.
#[derive(Clone, Debug)]
pub struct SampleDescription {
    /// Type of the sample entry.
    pub entry: FourCc,
    /// Type and payload of the box of its configuration.
    pub configuration: (FourCc, Vec<u8>),
    /// Channels and sampling frequency of audio; the ticks of a second that its frames are whole numbers of.
    pub audio: Option<(u16, u32, u32)>,
    /// Samples of audio before what is heard, in ticks: Opus.
    pub pre_skip: u32,
    /// Bits of a sample of audio.
    pub sample_size: u16,
}

impl SampleDescription {
    /// Of this sample entry with this configuration.
    pub(super) fn new(entry: [u8; 4], kind: [u8; 4], payload: Vec<u8>) -> Self {
        Self {
            entry: FourCc(entry),
            configuration: (FourCc(kind), payload),
            audio: None,
            pre_skip: 0,
            sample_size: 16,
        }
    }
}

impl Carried {
    /// The codec of a Matroska CodecID.
    pub fn of_matroska(codec_id: &str) -> Option<Self> {
        Some(match codec_id {
            "V_MPEG4/ISO/AVC" => Self::Avc,
            "V_MPEGH/ISO/HEVC" => Self::Hevc,
            "V_AV1" => Self::Av1,
            "V_VP9" => Self::Vp9,
            "V_VP8" => Self::Vp8,
            "A_AAC" => Self::Aac,
            "A_AC3" | "A_AC3/BSID9" | "A_AC3/BSID10" => Self::Ac3,
            "A_EAC3" => Self::Eac3,
            "A_OPUS" => Self::Opus,
            "A_FLAC" => Self::Flac,
            "A_ALAC" => Self::Alac,
            "A_MPEG/L1" | "A_MPEG/L2" | "A_MPEG/L3" => Self::MpegAudio,
            old if audio_specific_config::of_codec_id(old).is_some() => Self::Aac,
            _ => return None,
        })
    }

    /// The configuration of a stream that has none of its own: that of AAC whose CodecID says what it is; frequencies are
    /// those of the core, and of spectral band replication.
    pub fn configuration_of(self, codec_id: &str, frequencies: (f64, Option<f64>), channels: u64) -> Vec<u8> {
        let Some((object, is_replicated)) = audio_specific_config::of_codec_id(codec_id) else {
            return Vec::new();
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let hertz = |frequency: f64| frequency.round() as u32;
        let core = hertz(frequencies.0);
        let extension = frequencies.1.map_or_else(|| core.saturating_mul(2), hertz);
        let extension = Some(extension).filter(|_| is_replicated);
        audio_specific_config::written(object, (core, extension), channels).unwrap_or_default()
    }

    /// Whether pictures may be decoded in another order than they are shown in.
    pub fn reorders(self) -> bool {
        matches!(self, Self::Avc | Self::Hevc)
    }

    /// How the stream is described whose configuration and first frame are these.
    ///
    /// # Errors
    /// When either is wrong or missing.
    pub fn describe(
        self,
        configuration: &[u8],
        first: &[u8],
        picture: &Picture,
    ) -> Result<SampleDescription> {
        let of = |entry: &[u8; 4], kind: &[u8; 4], payload| SampleDescription::new(*entry, *kind, payload);
        let lossless = |entry: &[u8; 4], kind: &[u8; 4], found: Lossless| {
            let audio = Some((found.channels, found.frequency, found.frequency));
            SampleDescription { audio, sample_size: found.bits, ..of(entry, kind, found.payload) }
        };
        let record = |least: usize, version: u8, what: &str| match configuration {
            [found, ..] if configuration.len() >= least && *found == version => Ok(configuration.to_vec()),
            _ => Err(Error::input(format!(
                "a configuration of {} bytes that is no {what}",
                configuration.len()
            ))
            .clause("RFC 9559 §5.1.4.1.23")
            .hint(format!("write it anew, such as with {}", remedy::copy("", "mkv")))),
        };
        match self {
            Self::Avc => Ok(of(b"avc1", b"avcC", record(7, 1, "avcC")?)),
            Self::Hevc => Ok(of(b"hvc1", b"hvcC", record(23, 1, "hvcC")?)),
            Self::Av1 => Ok(of(b"av01", b"av1C", record(4, 0x81, "av1C")?)),
            Self::Vp9 => Ok(of(b"vp09", b"vpcC", vpcc(vp9::first_frame(first)?, picture))),
            Self::Vp8 => Ok(of(b"vp08", b"vpcC", vpcc(vp9::VP8_FORMAT, picture))),
            Self::Aac | Self::Loas => {
                let facts = audio_specific_config::facts(configuration)?;
                let (core, _) = audio_specific_config::frames(configuration)?;
                let channels = facts.channels.unwrap_or(2);
                let audio = Some((channels, facts.sampling_frequency.unwrap_or(core), core));
                let esds = esds(0x40, &descriptor(5, configuration)?)?;
                Ok(SampleDescription { audio, ..of(b"mp4a", b"esds", esds) })
            }
            Self::Flac => Ok(lossless(b"fLaC", b"dfLa", lossless::dfla(configuration)?)),
            Self::Alac => Ok(lossless(b"alac", b"alac", lossless::alac(configuration)?)),
            Self::MpegAudio => {
                let frame = first_frame::mpeg_audio(first)?;
                let audio = Some((frame.channels, frame.frequency, frame.frequency));
                // objectTypeIndication of ISO/IEC 11172-3 and of ISO/IEC 13818-3.
                let object = if frame.is_mpeg_1 { 0x6b } else { 0x69 };
                Ok(SampleDescription { audio, ..of(b"mp4a", b"esds", esds(object, &[])?) })
            }
            Self::Ac3 => {
                let frame = syncframe(first)?.of_ac_3()?;
                Ok(SampleDescription { audio: Some(frame.audio()), ..of(b"ac-3", b"dac3", frame.dac3()) })
            }
            Self::Eac3 => {
                let audio = Some(syncframe(first)?.audio());
                Ok(SampleDescription { audio, ..of(b"ec-3", b"dec3", dec3(first)?) })
            }
            Self::Opus => {
                let (payload, channels, pre_skip) = opus::dops(configuration)?;
                let audio = Some((channels, opus::FREQUENCY, opus::FREQUENCY));
                Ok(SampleDescription { audio, pre_skip, ..of(b"Opus", b"dOps", payload) })
            }
        }
    }

    /// How long a frame of audio is, in the ticks of its description; 0 of video. `start` is its first bytes.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn duration(self, configuration: &[u8], start: &[u8]) -> Result<u32> {
        match self {
            Self::Aac | Self::Loas => {
                audio_specific_config::frames(configuration).map(|(_, samples)| samples)
            }
            Self::Ac3 | Self::Eac3 => Ok(syncframe(start)?.samples()),
            Self::Opus => opus::samples(start)
                .ok_or_else(|| Error::input("an Opus packet of no valid duration").clause("RFC 6716 §3.2")),
            Self::Flac => lossless::flac_samples(start),
            Self::Alac => lossless::alac_samples(configuration, start),
            Self::MpegAudio => first_frame::mpeg_audio(start).map(|frame| frame.samples),
            Self::Avc | Self::Hevc | Self::Av1 | Self::Vp9 | Self::Vp8 => Ok(0),
        }
    }
}

fn syncframe(frame: &[u8]) -> Result<Syncframe> {
    Syncframe::parse(frame)?
        .ok_or_else(|| Error::input("a frame without a syncframe").clause("ETSI TS 102 366 §4.3"))
}

/// Luma samples in a second and in a picture of each level, with its number: VP9 Bitstream Specification, levels.
const LEVELS: [(u64, u64, u8); 14] = [
    (829_440, 36_864, 10),
    (2_764_800, 73_728, 11),
    (4_608_000, 122_880, 20),
    (9_216_000, 245_760, 21),
    (20_736_000, 552_960, 30),
    (36_864_000, 983_040, 31),
    (83_558_400, 2_228_224, 40),
    (160_432_128, 2_228_224, 41),
    (311_951_360, 8_912_896, 50),
    (588_251_136, 8_912_896, 51),
    (1_176_502_272, 8_912_896, 52),
    (1_176_502_272, 35_651_584, 60),
    (2_353_004_544, 35_651_584, 61),
    (4_706_009_088, 35_651_584, 62),
];

/// VPCodecConfigurationBox: profile, bit depth, subsampling and color of the first frame, and the least level.
fn vpcc(format: vp9::Format, picture: &Picture) -> Vec<u8> {
    let pixels = u64::from(picture.size.0) * u64::from(picture.size.1);
    #[expect(clippy::cast_precision_loss, reason = "pictures of less than 2^53 pixels")]
    let a_second = picture.rate.unwrap_or(0.0) * (pixels as f64);
    #[expect(clippy::cast_precision_loss, reason = "numbers of less than 2^53")]
    let fits = |(rate, size, _): &&(u64, u64, u8)| pixels <= *size && a_second <= (*rate as f64);
    let level = LEVELS.iter().find(fits).map_or(62, |(.., level)| *level);
    let (color, is_full_range) = picture.color.unwrap_or(([2, 2, format.matrix], format.is_full_range));
    let packed = format.bit_depth << 4 | format.subsampling << 1 | u8::from(is_full_range);
    let [primaries, transfer, matrix] = color;
    vec![1, 0, 0, 0, format.profile, level, packed, primaries, transfer, matrix, 0, 0]
}

/// A descriptor: ISO/IEC 14496-1 §8.3.3.
fn descriptor(tag: u8, body: &[u8]) -> Result<Vec<u8>> {
    let length = u8::try_from(body.len()).ok().filter(|length| *length < 0x80);
    let length = length.ok_or_else(|| Error::unsupported(format!("a descriptor of {} bytes", body.len())));
    Ok([&[tag, length?], body].concat())
}

/// ES_Descriptor of audio, with its DecoderSpecificInfo if it has one: ISO/IEC 14496-14 §5.6, ISO/IEC 14496-1 §7.2.6.
fn esds(object_type_indication: u8, specific: &[u8]) -> Result<Vec<u8>> {
    // streamType 5, no buffer size and no bit rates.
    let head = [object_type_indication, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let decoder = descriptor(4, &[&head[..], specific].concat())?;
    let stream = descriptor(3, &[&[0, 0, 0][..], &decoder, &descriptor(6, &[2])?].concat())?;
    Ok([&[0; 4][..], &stream].concat())
}
