//! AC-4, protected whole — ETSI TS 103 190-2 annex E.
//!
//! A map of subsamples with a clear table of contents is allowed too. It is not written: whole samples are what
//! every scheme and player of audio has, and under the pattern scheme a map would have to bring a pattern along.

use std::ops::Range;

use super::audio_facts::AudioInfo;
use super::marks::is_in;
use super::{CipherModes, Codec, Config, Evidence, Marks, Protection, TrackKind};
use crate::base::bits::BitReader;
use crate::base::{Error, FourCc, Result};

/// AC-4.
pub(super) static CODEC: Codec = Codec {
    name: "AC-4",
    kind: TrackKind::Audio,
    sample_entries: &[FourCc(*b"ac-4")],
    protection: Protection::WholeSample,
    marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio,
};

const DAC4: FourCc = FourCc(*b"dac4");
/// The presentation_config that has no mdcompat: ETSI TS 103 190-2 §E.10.
const EMDF_ONLY: u32 = 6;
/// The values of dsi_presentation_ch_mode with channels above: §E.10.
const IMMERSIVE_MODES: std::ops::RangeInclusive<u32> = 11..=14;
/// Channels of each speaker group, by its bit in presentation_channel_mask_v1: table A.27.
const CHANNELS_OF_GROUPS: [u16; 19] = [2, 1, 2, 2, 2, 2, 1, 2, 2, 1, 1, 1, 1, 2, 1, 1, 2, 2, 2];

/// ETSI TS 103 190-2 §E.13: bitstream_version, presentation_version and mdcompat of the first
/// presentation, two hex digits each.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    let dac4 = config.payload(DAC4)?;
    let ([bitstream_version, presentation_version, mdcompat], _) =
        first_presentation(dac4).map_err(|e| e.at(DAC4).at(config.entry))?;
    Ok(format!("{}.{bitstream_version:02x}.{presentation_version:02x}.{mdcompat:02x}", config.entry))
}

/// Fields of `ac4_toc()` that `ac4_dsi_v1()` has as well: bitstream_version, fs_index, frame_rate_index.
struct TocFields([u32; 3]);

/// The share of random bytes with one value of their seven bits.
const CHANCE: f64 = 1.0 / 128.0;

fn marks(config: &Config<'_>) -> Option<Box<dyn Marks>> {
    let mut dac4 = BitReader::plain(config.payload(DAC4).ok()?);
    let [_, bitstream_version, fs_index, frame_rate_index] =
        [dac4.bits(3).ok()?, dac4.bits(7).ok()?, dac4.bits(1).ok()?, dac4.bits(4).ok()?];
    // Versions from 3 on are written differently in the table of contents.
    (bitstream_version < 3).then(|| Box::new(TocFields([bitstream_version, fs_index, frame_rate_index])) as _)
}

impl TocFields {
    /// `ac4_toc()`: ETSI TS 103 190-2 §6.2.1.1, behind the syncword and length that some writers keep.
    fn of(sample: &[u8]) -> Result<[u32; 3]> {
        let start = match sample {
            [0xac, 0x40 | 0x41, 0xff, 0xff, ..] => 7,
            [0xac, 0x40 | 0x41, ..] => 4,
            _ => 0,
        };
        let mut toc = BitReader::plain(sample.get(start..).unwrap_or_default());
        let bitstream_version = toc.bits(2)?;
        toc.bits(10)?; // sequence_counter
        let b_wait_frames = toc.bit()?;
        if b_wait_frames && toc.bits(3)? > 0 {
            toc.bits(2)?; // br_code
        }
        Ok([bitstream_version, toc.bits(1)?, toc.bits(4)?])
    }
}

impl Marks for TocFields {
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        if is_in(encrypted, &(0..sample.len().min(16))) {
            evidence.mark(Self::of(sample).is_ok_and(|fields| fields == self.0), CHANCE);
        }
    }
}

/// The channels of the first presentation; one of objects has none.
fn audio(config: &Config<'_>) -> Result<AudioInfo> {
    let Ok(dac4) = config.payload(DAC4) else { return Ok(AudioInfo::default()) };
    let channels = first_presentation(dac4).and_then(|(_, mut behind)| channels(&mut behind));
    let channels = channels.map_err(|e| e.at(DAC4).at(config.entry))?;
    // fs_index: ETSI TS 103 190-1 table 83.
    let fs_index = dac4.get(1).is_some_and(|byte| byte & 0x20 != 0);
    Ok(AudioInfo::new(channels, Some(if fs_index { 48_000 } else { 44_100 })))
}

/// Reads `ac4_presentation_v1_dsi()` from behind mdcompat to presentation_channel_mask_v1: §E.10. Presentations of
/// other versions have other fields.
fn channels(presentation: &mut Option<BitReader<'_>>) -> Result<u16> {
    let Some(reader) = presentation else { return Ok(0) };
    if reader.bit()? {
        reader.bits(5)?; // presentation_id
    }
    reader.bits(19)?; // frame rate, presentation_emdf_version, presentation_key_id
    let b_presentation_channel_coded = reader.bit()?;
    if !b_presentation_channel_coded {
        return Ok(0);
    }
    let dsi_presentation_ch_mode = reader.bits(5)?;
    if IMMERSIVE_MODES.contains(&dsi_presentation_ch_mode) {
        reader.bits(3)?; // pres_b_4_back_channels_present, pres_top_channel_pairs
    }
    reader.bits(24).map(channels_of_groups)
}

/// The channels of a mask of speaker groups.
pub(super) fn channels_of_groups(mask: u32) -> u16 {
    let of_group = |(bit, channels): (u32, u16)| if mask >> bit & 1 == 1 { channels } else { 0 };
    (0..).zip(CHANNELS_OF_GROUPS).map(of_group).sum()
}

/// Reads `ac4_dsi_v1()` up to mdcompat of its first presentation: §E.6. What follows is there when it is known.
fn first_presentation(dac4: &[u8]) -> Result<([u32; 3], Option<BitReader<'_>>)> {
    let mut reader = BitReader::plain(dac4);
    let ac4_dsi_version = reader.bits(3)?;
    if ac4_dsi_version != 1 {
        return Err(Error::unsupported(format!("ac4_dsi_version {ac4_dsi_version}, 1 expected"))
            .clause("ETSI TS 103 190-2 §E.6"));
    }
    let bitstream_version = reader.bits(7)?;
    reader.bits(5)?; // fs_index, frame_rate_index
    let n_presentations = reader.bits(9)?;
    if n_presentations == 0 {
        return Err(
            Error::input("n_presentations is 0, at least 1 expected").clause("ETSI TS 103 190-2 §E.6")
        );
    }
    let mut bits = 24;
    if bitstream_version > 1 {
        bits += 1;
        let b_program_id = reader.bit()?;
        if b_program_id {
            reader.bits(16)?; // short_program_id
            let b_uuid = reader.bit()?;
            bits += if b_uuid { 145 } else { 17 };
        }
    }
    // ac4_bitrate_dsi() of 66 bits, then byte_align.
    let header = (bits + 66_usize).div_ceil(8);
    let mut presentation = BitReader::plain(dac4.get(header..).unwrap_or_default());
    let presentation_version = presentation.bits(8)?;
    let pres_bytes = presentation.bits(8)?;
    if pres_bytes == 255 {
        presentation.bits(16)?; // add_pres_bytes
    }
    let presentation_config = presentation.bits(5)?;
    let mdcompat = if presentation_config == EMDF_ONLY { 0 } else { presentation.bits(3)? };
    let is_known = matches!(presentation_version, 1 | 2) && presentation_config != EMDF_ONLY;
    Ok(([bitstream_version, presentation_version, mdcompat], is_known.then_some(presentation)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    fn codecs(dac4: &[u8]) -> Result<String> {
        rfc6381(&Config { entry: FourCc(*b"ac-4"), boxes: vec![(DAC4, dac4)] })
    }

    /// `ac4_dsi_v1()` with one presentation.
    fn dac4(bitstream_version: u32, program_id: &BitWriter, presentation: &BitWriter) -> Vec<u8> {
        let start = BitWriter::default().u(3, 1).u(7, bitstream_version).u(1, 1).u(4, 2).u(9, 1);
        // A bit rate of 3 would be emulation prevention in a NAL unit.
        let start = start.then(program_id).u(2, 1).u(32, 0x0000_0300).u(32, 0x0000_0300);
        let missing = start.bytes() * 8 - start.bits();
        start.u(u32::try_from(missing).unwrap(), 0).then(presentation).rbsp()
    }

    #[test]
    fn the_first_presentation_names_the_versions() {
        let w = BitWriter::default;
        let presentation = w().u(8, 1).u(8, 20).u(5, 1).u(3, 3);
        assert_eq!(codecs(&dac4(2, &w().u(1, 0), &presentation)).unwrap(), "ac-4.02.01.03");
        assert_eq!(codecs(&dac4(0, &w(), &presentation)).unwrap(), "ac-4.00.01.03");
        let short = w().u(1, 1).u(16, 7).u(1, 0);
        assert_eq!(codecs(&dac4(2, &short, &presentation)).unwrap(), "ac-4.02.01.03");
        let uuid = w().u(1, 1).u(16, 7).u(1, 1).u(32, 1).u(32, 2).u(32, 3).u(32, 4);
        let long = w().u(8, 2).u(8, 255).u(16, 9).u(5, 31).u(3, 4);
        let whole = dac4(2, &uuid, &long);
        assert_eq!(codecs(&whole).unwrap(), "ac-4.02.02.04");
        // The last byte is the trailing bits of the writer.
        for end in 0..whole.len() - 1 {
            assert!(codecs(&whole[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn the_channels_are_those_of_the_mask() {
        let w = BitWriter::default;
        let channels = |mode: &BitWriter| {
            let behind = w().u(8, 1).u(8, 20).u(5, 1).u(3, 3).u(1, 1).u(5, 0).u(19, 0).then(mode);
            let dac4 = dac4(2, &w().u(1, 0), &behind);
            let found = audio(&Config { entry: FourCc(*b"ac-4"), boxes: vec![(DAC4, &dac4)] }).unwrap();
            assert_eq!(found.sampling_frequency, Some(48_000));
            found.channels
        };
        // Front pair; and center, surround pair, low frequency effects; and pairs behind and above.
        assert_eq!(channels(&w().u(1, 1).u(5, 1).u(24, 0x01)), Some(2));
        assert_eq!(channels(&w().u(1, 1).u(5, 4).u(24, 0x47)), Some(6));
        assert_eq!(channels(&w().u(1, 1).u(5, 12).u(3, 7).u(24, 0x7f)), Some(12));
        assert_eq!(channels(&w().u(1, 0).u(24, 0)), None);
        assert_eq!(audio(&Config { entry: FourCc(*b"ac-4"), boxes: Vec::new() }).unwrap().channels, None);
    }
}
