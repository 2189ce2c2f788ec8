//! MPEG-H 3D audio — ISO/IEC 23008-3 clause 20.

use std::ops::Range;

use super::audio_facts::{AudioInfo, channels_of_configuration};
use super::marks::is_in;
use super::{CipherModes, Codec, Config, Evidence, Marks, Protection, TrackKind};
use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// MPEG-H 3D audio as raw frames (`mha1`, `mha2`) or as MHAS packets (`mhm1`, `mhm2`).
pub(super) static CODEC: Codec = Codec {
    name: "MPEG-H",
    kind: TrackKind::Audio,
    sample_entries: &[FourCc(*b"mha1"), FourCc(*b"mha2"), FourCc(*b"mhm1"), FourCc(*b"mhm2")],
    protection: Protection::WholeSample,
    marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio,
};

const MHAC: FourCc = FourCc(*b"mhaC");

/// Frequencies by usacSamplingFrequencyIndex; 0 where it has none: ISO/IEC 23003-3 table 67.
const FREQUENCIES: [u32; 28] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350, 0,
    0, 57_600, 51_200, 40_000, 38_400, 34_150, 28_800, 25_600, 20_000, 19_200, 17_075, 14_400, 12_800, 9_600,
];
/// usacSamplingFrequencyIndex before a frequency of 24 bits.
const ESCAPE_INDEX: u32 = 31;

/// The share of random bytes, at most, that are whole packets.
const CHANCE: f64 = 1.0 / 64.0;

/// Samples of raw frames have no mark; those of MHAS are whole packets.
fn marks(config: &Config<'_>) -> Option<Box<dyn Marks>> {
    matches!(&config.entry.0, b"mhm1" | b"mhm2").then(|| Box::new(Mhas) as _)
}

/// MHAS packets: ISO/IEC 23008-3 §14.2.
struct Mhas;

impl Marks for Mhas {
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        if sample.len() >= 16 && is_in(encrypted, &(0..16)) {
            evidence.mark(is_packets(sample), CHANCE);
        }
    }
}

/// Whether a sample is packets up to its end.
fn is_packets(mut sample: &[u8]) -> bool {
    while !sample.is_empty() {
        match packet_bytes(sample).ok().and_then(|length| sample.get(length..)) {
            Some(rest) => sample = rest,
            None => return false,
        }
    }
    true
}

/// Bytes of the first packet: §14.2.1.
fn packet_bytes(sample: &[u8]) -> Result<usize> {
    let mut reader = BitReader::plain(sample);
    escaped_value(&mut reader, [3, 8, 8])?; // MHASPacketType
    escaped_value(&mut reader, [2, 8, 32])?; // MHASPacketLabel
    let length = escaped_value(&mut reader, [11, 24, 24])?; // MHASPacketLength
    Ok(reader.bytes_touched().saturating_add(usize::try_from(length).unwrap_or(usize::MAX)))
}

/// `escapedValue()`: ISO/IEC 23003-3 §5.2.
fn escaped_value(reader: &mut BitReader<'_>, bits: [u32; 3]) -> Result<u64> {
    let mut value = 0;
    for count in bits {
        let part = u64::from(reader.bits(count)?);
        value += part;
        if part != (1 << count) - 1 {
            break;
        }
    }
    Ok(value)
}

/// ISO/IEC 23008-3 §21: mpegh3daProfileLevelIndication in hex.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    // MHAS packets bring their configuration along, and `mhaC` may be absent: §20.6.
    let is_mhas = matches!(&config.entry.0, b"mhm1" | b"mhm2");
    if is_mhas && config.payload(MHAC).is_err() {
        return Ok(config.entry.to_string());
    }
    let mut reader = Reader::new(config.payload(MHAC)?);
    let mut profile_level = || {
        reader.u8()?; // configurationVersion
        reader.u8()
    };
    let profile_level = profile_level().map_err(|e| e.at(MHAC).at(config.entry))?;
    Ok(format!("{}.0x{profile_level:02X}", config.entry))
}

/// §20.5: referenceChannelLayout, a ChannelConfiguration, or else the speakers of the configuration; the audio has objects
/// beside.
fn audio(config: &Config<'_>) -> Result<AudioInfo> {
    let Ok(mhac) = config.payload(MHAC) else { return Ok(AudioInfo::default()) };
    let mut reader = Reader::new(mhac);
    let mut layout = || {
        reader.u16()?; // configurationVersion, mpegh3daProfileLevelIndication
        let layout = reader.u8()?;
        Ok((layout, reader.u16()?)) // mpegh3daConfigLength
    };
    let (layout, length) = layout().map_err(|e: Error| e.at(MHAC).at(config.entry))?;
    let configuration = reader.take(reader.remaining().min(length.into()))?;
    let (frequency, speakers) = configuration_start(configuration).unwrap_or_default();
    let channels = channels_of_configuration(layout.into()).or(speakers);
    let index = Some(u32::from(layout)).filter(|index| channels_of_configuration(*index).is_some());
    Ok(AudioInfo::new(channels.unwrap_or(0), frequency).heard(index))
}

/// `mpegh3daConfig()` up to the speakers: the sampling frequency, and how many speakers the reference layout has. §5.2.2.
fn configuration_start(configuration: &[u8]) -> Result<(Option<u32>, Option<u16>)> {
    let mut bits = BitReader::plain(configuration);
    let index = bits.bits(5)?; // usacSamplingFrequencyIndex
    let frequency = match index {
        ESCAPE_INDEX => Some(bits.bits(24)?),
        index => FREQUENCIES.get(usize::try_from(index).unwrap_or(usize::MAX)).copied(),
    };
    let frequency = frequency.filter(|frequency| *frequency > 0);
    bits.bits(5)?; // coreSbrFrameLengthIndex, cfg_reserved, receiverDelayCompensation
    let speakers = match bits.bits(2)? {
        0 => channels_of_configuration(bits.bits(6)?),
        1 | 2 => u16::try_from(escaped_value(&mut bits, [5, 8, 16])? + 1).ok(),
        _ => None,
    };
    Ok((frequency, speakers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_and_level_are_named_when_they_are_known() {
        let of = |entry: &[u8; 4], boxes| rfc6381(&Config { entry: FourCc(*entry), boxes });
        assert_eq!(of(b"mhm1", vec![(MHAC, &[1, 0x0d, 6, 0, 0])]).unwrap(), "mhm1.0x0D");
        assert_eq!(of(b"mha1", vec![(MHAC, &[1, 0x0c, 6, 0, 0])]).unwrap(), "mha1.0x0C");
        assert_eq!(of(b"mhm2", Vec::new()).unwrap(), "mhm2");
        assert!(of(b"mha2", Vec::new()).is_err());
        assert!(of(b"mhm1", vec![(MHAC, &[1])]).is_err());
    }

    #[test]
    fn the_channels_are_those_of_the_reference_layout() {
        let of = |boxes| audio(&Config { entry: FourCc(*b"mhm1"), boxes }).map(|facts| facts.channels);
        assert_eq!(of(vec![(MHAC, &[1, 0x0d, 6, 0, 0])]).unwrap(), Some(6));
        assert_eq!(of(vec![(MHAC, &[1, 0x0d, 0, 0, 0])]).unwrap(), None);
        assert_eq!(of(Vec::new()).unwrap(), None);
        assert!(of(vec![(MHAC, &[1, 0x0d])]).is_err());
    }

    #[test]
    fn the_configuration_says_the_frequency_and_the_speakers_where_there_is_no_layout() {
        use crate::codec::bit_writer::BitWriter;
        let of = |layout: u8, configuration: BitWriter| {
            let configuration = configuration.rbsp();
            let length = u8::try_from(configuration.len()).unwrap();
            let mhac = [&[1, 0x0d, layout, 0, length][..], &configuration].concat();
            let facts = audio(&Config { entry: FourCc(*b"mhm1"), boxes: vec![(MHAC, &mhac)] }).unwrap();
            (facts.channels, facts.sampling_frequency)
        };
        let start = |index: u32| BitWriter::default().u(5, index).u(5, 0);
        assert_eq!(of(6, start(3).u(2, 0).u(6, 13)), (Some(6), Some(48_000)));
        assert_eq!(of(0, start(4).u(2, 0).u(6, 13)), (Some(24), Some(44_100)));
        assert_eq!(of(0, start(15).u(2, 1).u(5, 10)), (Some(11), Some(57_600)));
        let escaped = BitWriter::default().u(5, 31).u(24, 44_056).u(5, 0).u(2, 3).u(8, 0);
        assert_eq!(of(0, escaped), (None, Some(44_056)));
        assert_eq!(of(0, start(13).u(2, 3).u(8, 0)), (None, None));
    }
}
