//! AudioSpecificConfig and the program config element — ISO/IEC 14496-3 §1.6.2.1, §4.4.1.1; ISO/IEC 23003-3 §5.2.

use super::audio_facts::{AudioInfo, channels_of_configuration, configuration_of_layout};
use super::bit_copy::BitCopy;
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// Frequencies by samplingFrequencyIndex: table 1.18.
pub(super) const SAMPLING_FREQUENCIES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// samplingFrequencyIndex before a frequency of 24 bits.
const ESCAPE_INDEX: u32 = 15;
/// syncExtensionType before what says that there is spectral band replication: table 1.15.
const SYNC_SBR: u32 = 0x2b7;
/// The same of parametric stereo.
const SYNC_PS: u32 = 0x548;

/// audioObjectTypes: table 1.17.
mod object {
    pub(super) const SBR: u32 = 5;
    pub(super) const ER_BSAC: u32 = 22;
    pub(super) const PS: u32 = 29;
    pub(super) const USAC: u32 = 42;
    /// Those whose configuration is GASpecificConfig.
    pub(super) const GENERAL: [u32; 12] = [1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23];
    /// Of these Main, LC and LTP.
    pub(super) const PLAIN: [u32; 3] = [1, 2, 4];
    /// Of these the scalable ones.
    pub(super) const SCALABLE: [u32; 2] = [6, 20];
    /// Of these the error resilient ones, which have flags of their own.
    pub(super) const RESILIENT: [u32; 4] = [17, 19, 20, 23];
}

/// What the CodecID of Matroska says of AAC that has no configuration: audio object types by profile, and whether there is
/// spectral band replication.
pub(super) fn of_codec_id(codec_id: &str) -> Option<(u8, bool)> {
    let profile = codec_id.strip_prefix("A_AAC/MPEG2/").or_else(|| codec_id.strip_prefix("A_AAC/MPEG4/"))?;
    Some(match profile {
        "MAIN" => (1, false),
        "LC" => (2, false),
        "LC/SBR" => (2, true),
        "LTP" => (4, false),
        _ => return None,
    })
}

/// An AudioSpecificConfig; `None` of a frequency that has no index, or channels that have no configuration.
pub(super) fn written(object: u8, frequencies: (u32, Option<u32>), channels: u64) -> Option<Vec<u8>> {
    let index = |frequency: u32| {
        let found = SAMPLING_FREQUENCIES.iter().position(|known| *known == frequency);
        found.and_then(|found| u8::try_from(found).ok())
    };
    let configuration = match channels {
        8 => 7,
        1..=6 => u8::try_from(channels).ok()?,
        _ => return None,
    };
    let (core, extension) = frequencies;
    let core = index(core)?;
    let mut config = vec![object << 3 | core >> 1, core << 7 | configuration << 3];
    if let Some(extension) = extension {
        // syncExtensionType, object type 5, sbrPresentFlag, extensionSamplingFrequencyIndex.
        config.extend([0x56, 0xe5, 0x80 | index(extension)? << 3]);
    }
    Some(config)
}

/// `GetAudioObjectType()`.
pub(super) fn audio_object_type(bits: &mut BitReader<'_>) -> Result<u32> {
    match bits.bits(5)? {
        31 => Ok(32 + bits.bits(6)?),
        audio_object_type => Ok(audio_object_type),
    }
}

/// What an AudioSpecificConfig says. Parametric stereo that is not signaled cannot be seen: the channels are then
/// those of the core.
///
/// # Errors
/// When it ends too early.
pub(super) fn facts(config: &[u8]) -> Result<AudioInfo> {
    read(config).map_err(|error| error.at("AudioSpecificConfig"))
}

fn read(config: &[u8]) -> Result<AudioInfo> {
    let mut bits = BitReader::plain(config);
    let mut object = audio_object_type(&mut bits)?;
    let index = bits.bits(4)?;
    let mut frequency = sampling_frequency(&mut bits, index)?;
    let configuration = bits.bits(4)?;
    let mut has_ps = object == object::PS;
    let is_explicit = matches!(object, object::SBR | object::PS);
    if is_explicit {
        let index = bits.bits(4)?;
        frequency = sampling_frequency(&mut bits, index)?;
        object = audio_object_type(&mut bits)?;
        if object == object::ER_BSAC {
            bits.bits(4)?; // extensionChannelConfiguration
        }
    }
    let (channels, configuration) = match configuration {
        0 if object == object::USAC => usac_channels(&mut bits)?,
        0 if object::GENERAL.contains(&object) => {
            general_start(&mut bits)?;
            let (channels, configuration) = program_config_element(&mut bits)?;
            (Some(channels), configuration)
        }
        configuration => {
            let is_general = object::GENERAL.contains(&object) && !is_explicit;
            if is_general && let Some((extension, stereo)) = extension(&mut bits, object) {
                (frequency, has_ps) = (extension.or(frequency), stereo);
            }
            // Both tables have the same numbers (table 1.19), of 7 too: two more in front. Some encoders mean speakers
            // behind by it, which nothing in the stream tells.
            (channels_of_configuration(configuration), configuration)
        }
    };
    // Parametric stereo makes two channels of one: §8.6.4.
    let (channels, configuration) =
        if has_ps && channels == Some(1) { (Some(2), 2) } else { (channels, configuration) };
    Ok(AudioInfo::new(channels.unwrap_or(0), frequency).heard(channels.map(|_| configuration)))
}

/// The samplingFrequencyIndex of AAC whose frames are plain raw_data_block() of 1024 samples; `None` of other audio.
///
/// # Errors
/// When the configuration ends too early.
pub(super) fn plain_frames(config: &[u8]) -> Result<Option<u32>> {
    let mut bits = BitReader::plain(config);
    let mut object = audio_object_type(&mut bits)?;
    let core_index = bits.bits(4)?;
    sampling_frequency(&mut bits, core_index)?;
    bits.bits(4)?; // channelConfiguration
    if matches!(object, object::SBR | object::PS) {
        let index = bits.bits(4)?;
        sampling_frequency(&mut bits, index)?;
        object = audio_object_type(&mut bits)?;
    }
    let frame_length_flag = bits.bit()?;
    Ok((object::PLAIN.contains(&object) && !frame_length_flag).then_some(core_index))
}

/// The sampling frequency of the core, and how many of its samples a frame has: §4.5.1.1.
///
/// # Errors
/// When the configuration ends too early, or is of no AAC whose frames have one length.
pub(super) fn frames(config: &[u8]) -> Result<(u32, u32)> {
    let mut bits = BitReader::plain(config);
    let mut object = audio_object_type(&mut bits)?;
    let index = bits.bits(4)?;
    let frequency = sampling_frequency(&mut bits, index)?.filter(|frequency| *frequency > 0);
    bits.bits(4)?; // channelConfiguration
    if matches!(object, object::SBR | object::PS) {
        let index = bits.bits(4)?;
        sampling_frequency(&mut bits, index)?;
        object = audio_object_type(&mut bits)?;
    }
    let frequency = frequency.filter(|_| object::PLAIN.contains(&object)).ok_or_else(|| {
        Error::unsupported(format!("audio object type {object} in frames, one of AAC expected"))
            .clause("ISO/IEC 14496-3 §1.5.1.1")
            .hint("repackage it as MP4")
    })?;
    Ok((frequency, if bits.bit()? { 960 } else { 1024 }))
}

fn sampling_frequency(bits: &mut BitReader<'_>, index: u32) -> Result<Option<u32>> {
    if index == ESCAPE_INDEX {
        return bits.bits(24).map(Some);
    }
    Ok(usize::try_from(index).ok().and_then(|index| SAMPLING_FREQUENCIES.get(index)).copied())
}

/// GASpecificConfig up to the program config element: §4.4.1. Gives extensionFlag.
fn general_start(bits: &mut BitReader<'_>) -> Result<bool> {
    bits.bits(1)?; // frameLengthFlag
    if bits.bit()? {
        bits.bits(14)?; // coreCoderDelay
    }
    bits.bit()
}

/// All of GASpecificConfig without a program config element.
fn general(bits: &mut BitReader<'_>, object: u32) -> Result<()> {
    let has_extension = general_start(bits)?;
    if object::SCALABLE.contains(&object) {
        bits.bits(3)?; // layerNr
    }
    if has_extension {
        if object == object::ER_BSAC {
            bits.bits(16)?; // numOfSubFrame, layer_length
        }
        if object::RESILIENT.contains(&object) {
            bits.bits(3)?; // resilience flags
        }
        bits.bits(1)?; // extensionFlag3
    }
    Ok(())
}

/// What stands behind the configuration where old decoders do not look: the frequency with spectral band
/// replication, and whether there is parametric stereo. It may be absent or cut off.
fn extension(bits: &mut BitReader<'_>, object: u32) -> Option<(Option<u32>, bool)> {
    general(bits, object).ok()?;
    if bits.bits(11).ok()? != SYNC_SBR || audio_object_type(bits).ok()? != object::SBR || !bits.bit().ok()? {
        return None;
    }
    let index = bits.bits(4).ok()?;
    let frequency = sampling_frequency(bits, index).ok()?;
    let has_ps = bits.bits(11).is_ok_and(|sync| sync == SYNC_PS) && bits.bit().unwrap_or(false);
    Some((frequency, has_ps))
}

/// `program_config_element()`: §4.4.1.1. How many channels it has, and their `ChannelConfiguration`.
///
/// # Errors
/// When it ends too early.
pub(super) fn program_config_element(bits: &mut BitReader<'_>) -> Result<(u16, u32)> {
    bits.bits(10)?; // element_instance_tag, object_type, sampling_frequency_index
    let elements = [bits.bits(4)?, bits.bits(4)?, bits.bits(4)?];
    let low_frequency = bits.bits(2)?;
    let (data, coupling) = (bits.bits(3)?, bits.bits(4)?);
    for bits_of_mixdown in [4, 4, 3] {
        if bits.bit()? {
            bits.bits(bits_of_mixdown)?;
        }
    }
    let mut front_side_back = [0; 3];
    for (channels, elements) in front_side_back.iter_mut().zip(elements) {
        for _ in 0..elements {
            *channels += if bits.bit()? { 2 } else { 1 };
            bits.bits(4)?; // element_tag_select
        }
    }
    for _ in 0..low_frequency + data {
        bits.bits(4)?; // element_tag_select
    }
    for _ in 0..coupling {
        bits.bits(5)?; // cc_element_is_ind_sw, valid_cc_element_tag_select
    }
    let [front, side, back] = front_side_back;
    let channels = u16::try_from(front + side + back + low_frequency).ok().filter(|channels| *channels > 0);
    let channels = channels.ok_or_else(|| {
        Error::input("a program config element without channels").clause("ISO/IEC 14496-3 §4.5.1.2")
    })?;
    Ok((channels, configuration_of_layout(front, side + back, low_frequency)))
}

/// The bits that `read` reads, for another place.
fn copied(
    bits: &mut BitReader<'_>,
    out: &mut BitCopy,
    read: impl FnOnce(&mut BitReader<'_>) -> Result<()>,
) -> Result<()> {
    let (mut from, start) = (bits.clone(), bits.bits_read());
    read(bits)?;
    (start..bits.bits_read()).try_for_each(|_| out.copy(&mut from, 1).map(drop))
}

/// An AudioSpecificConfig that ends where its syntax does; `None` of one with a program config element, whose alignment is
/// another elsewhere, and of other audio than AAC.
///
/// # Errors
/// When it ends too early.
pub(super) fn copy_audio_specific_config(bits: &mut BitReader<'_>) -> Result<Option<Vec<u8>>> {
    let (mut out, mut is_taken) = (BitCopy::default(), false);
    copied(bits, &mut out, |bits| {
        let mut object = audio_object_type(bits)?;
        let index = bits.bits(4)?;
        sampling_frequency(bits, index)?;
        let configuration = bits.bits(4)?;
        if matches!(object, object::SBR | object::PS) {
            let index = bits.bits(4)?;
            sampling_frequency(bits, index)?;
            object = audio_object_type(bits)?;
        }
        is_taken = object::PLAIN.contains(&object) && configuration != 0;
        if is_taken { general(bits, object) } else { Ok(()) }
    })?;
    Ok(is_taken.then(|| out.into_bytes()))
}

/// An AudioSpecificConfig whose channels are those of the program config element that begins here.
///
/// # Errors
/// When the element ends too early.
pub(super) fn of_program_config(object: u8, index: u8, element: &mut BitReader<'_>) -> Result<Vec<u8>> {
    let mut out = BitCopy::default();
    out.put(5, object.into());
    out.put(4, index.into());
    out.put(4, 0); // channelConfiguration
    out.put(3, 0); // frameLengthFlag, dependsOnCoreCoder, extensionFlag
    copied(element, &mut out, |bits| program_config_element(bits).map(drop))?;
    out.align();
    out.put(8, 0); // comment_field_bytes
    Ok(out.into_bytes())
}

/// The channels of a UsacConfig and their `ChannelConfiguration`: ISO/IEC 23003-3 §5.2.
fn usac_channels(bits: &mut BitReader<'_>) -> Result<(Option<u16>, u32)> {
    if bits.bits(5)? == 31 {
        bits.bits(24)?; // usacSamplingFrequency
    }
    bits.bits(3)?; // coreSbrFrameLengthIndex
    match bits.bits(5)? {
        0 => {
            // escapedValue(5, 8, 16)
            let mut channels = bits.bits(5)?;
            if channels == 31 {
                let more = bits.bits(8)?;
                channels += if more == 255 { more + bits.bits(16)? } else { more };
            }
            Ok((u16::try_from(channels).ok(), 0))
        }
        configuration => Ok((channels_of_configuration(configuration), configuration)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    fn of(config: &BitWriter) -> (Option<u16>, Option<u32>) {
        let facts = facts(&config.rbsp()).unwrap();
        (facts.channels, facts.sampling_frequency)
    }

    fn w() -> BitWriter {
        BitWriter::default()
    }

    /// Front pair and center, back pair, low frequency effects.
    fn five_one() -> BitWriter {
        let counts = w().u(4, 0).u(2, 1).u(4, 3).u(4, 2).u(4, 0).u(4, 1).u(2, 1).u(3, 0).u(4, 0);
        let mixdown = counts.u(1, 1).u(4, 0).u(1, 0).u(1, 1).u(3, 0);
        mixdown.u(1, 0).u(4, 0).u(1, 1).u(4, 0).u(1, 1).u(4, 1).u(4, 0)
    }

    #[test]
    fn channels_are_those_of_the_configuration() {
        assert_eq!(of(&w().u(5, 2).u(4, 3).u(4, 2).u(3, 0)), (Some(2), Some(48_000)));
        assert_eq!(of(&w().u(5, 2).u(4, 3).u(4, 6).u(3, 0)), (Some(6), Some(48_000)));
        assert_eq!(of(&w().u(5, 2).u(4, 4).u(4, 7).u(3, 0)), (Some(8), Some(44_100)));
        assert_eq!(of(&w().u(5, 2).u(4, 15).u(24, 192_000).u(4, 1).u(3, 0)), (Some(1), Some(192_000)));
    }

    #[test]
    fn a_program_config_element_counts_its_elements() {
        assert_eq!(of(&w().u(5, 2).u(4, 3).u(4, 0).u(3, 0).then(&five_one())), (Some(6), Some(48_000)));
        let cut = w().u(5, 2).u(4, 3).u(4, 0).u(3, 0).u(20, 0);
        assert!(facts(&cut.rbsp()).is_err());
        assert!(facts(&[0x12]).is_err());
    }

    #[test]
    fn a_program_config_element_says_where_its_channels_are_heard() {
        // Elements in front, at the sides, behind, of low frequency effects; whether each of them is a pair.
        let of = |counts: [u32; 4], pairs: &[u32]| {
            let [front, side, back, low_frequency] = counts;
            let start = w().u(5, 2).u(4, 3).u(4, 0).u(3, 0).u(4, 0).u(2, 1).u(4, 3);
            let start = start.u(4, front).u(4, side).u(4, back).u(2, low_frequency).u(3, 0).u(4, 0).u(3, 0);
            let elements = pairs.iter().fold(start, |bits, pair| bits.u(1, *pair).u(4, 0));
            let facts = facts(&elements.u(4 * low_frequency, 0).u(16, 0).rbsp()).unwrap();
            (facts.channels.unwrap(), facts.configuration.unwrap())
        };
        for (counts, pairs, expected) in [
            ([1, 0, 0, 0], &[0][..], (1, 1)),
            ([1, 0, 0, 0], &[1], (2, 2)),
            ([2, 0, 0, 0], &[0, 1], (3, 3)),
            ([2, 0, 1, 0], &[0, 1, 0], (4, 4)),
            ([2, 1, 0, 0], &[0, 1, 1], (5, 5)),
            ([2, 0, 1, 1], &[0, 1, 1], (6, 6)),
            ([3, 0, 1, 1], &[0, 1, 1, 1], (8, 7)),
            ([1, 0, 1, 0], &[1, 0], (3, 9)),
            ([1, 0, 1, 0], &[1, 1], (4, 10)),
            ([1, 1, 0, 0], &[1, 1], (4, 10)),
            ([2, 1, 1, 1], &[0, 1, 1, 0], (7, 11)),
            ([2, 1, 1, 1], &[0, 1, 1, 1], (8, 12)),
            ([1, 0, 0, 1], &[1], (3, 0)),
        ] {
            assert_eq!(of(counts, pairs), expected, "{counts:?} {pairs:?}");
        }
        let configured =
            |index| facts(&w().u(5, 2).u(4, 3).u(4, index).u(3, 0).rbsp()).unwrap().configuration;
        assert_eq!([2, 6, 7, 11, 12].map(configured), [2, 6, 7, 11, 12].map(Some));
    }

    #[test]
    fn replication_doubles_the_frequency_and_parametric_stereo_the_channels() {
        let explicit = |object| w().u(5, object).u(4, 6).u(4, 1).u(4, 3).u(5, 2).u(3, 0);
        assert_eq!(of(&explicit(5)), (Some(1), Some(48_000)));
        assert_eq!(of(&explicit(29)), (Some(2), Some(48_000)));
        let behind = || w().u(5, 2).u(4, 6).u(4, 1).u(3, 0).u(11, 0x2b7).u(5, 5).u(1, 1).u(4, 3);
        assert_eq!(of(&behind()), (Some(1), Some(48_000)));
        assert_eq!(of(&behind().u(11, 0x548).u(1, 1)), (Some(2), Some(48_000)));
    }

    #[test]
    fn xhe_aac_has_channels_of_its_own() {
        let start = || w().u(5, 31).u(6, 10).u(4, 3).u(4, 0).u(5, 3).u(3, 1);
        assert_eq!(of(&start().u(5, 6)), (Some(6), Some(48_000)));
        assert_eq!(of(&start().u(5, 0).u(5, 9)), (Some(9), Some(48_000)));
        assert_eq!(of(&start().u(5, 0).u(5, 31).u(8, 2)), (Some(33), Some(48_000)));
    }
}
