//! HEVC — ITU-T H.265 and its carriage, ISO/IEC 14496-15 §8; what stays clear: ISO/IEC 23001-7 §9.5.2.

mod parameter_sets;
mod pps;
mod ref_pic_set;
mod slice_segment_header;
mod sps;

use std::ops::Range;

use self::parameter_sets::ParameterSets;
use super::{CipherModes, Codec, Config, Protection, Ranges, TrackKind, nal};
use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// HEVC with parameter sets in `hvcC` (`hvc1`) or also in the samples (`hev1`).
pub(super) static CODEC: Codec = Codec {
    name: "HEVC",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"hvc1"), FourCc(*b"hev1")],
    protection: Protection::Ranges(slice_segment_data_ranges),
    cipher_modes: CipherModes::All,
    rfc6381,
};

const HVCC: FourCc = FourCc(*b"hvcC");

/// ISO/IEC 14496-15 §E.3: profile, compatibility flags in reverse bit order, tier and level, and the six
/// bytes of constraint flags without trailing zero bytes.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    let hvcc = config.payload(HVCC)?;
    let elements = profile_tier_level(hvcc).map_err(|e| e.at(HVCC).at(config.entry))?;
    Ok(format!("{}.{elements}", config.entry))
}

fn profile_tier_level(hvcc: &[u8]) -> Result<String> {
    let mut reader = Reader::new(hvcc);
    configuration_version(&mut reader)?;
    let profile = reader.u8()?;
    let profile_space = ["", "A", "B", "C"].get(usize::from(profile >> 6)).copied().unwrap_or_default();
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatibility = reader.u32()?.reverse_bits();
    let mut constraints = reader.take(6)?;
    while let [rest @ .., 0] = constraints {
        constraints = rest;
    }
    let general_level_idc = reader.u8()?;
    let mut text = format!("{profile_space}{}.{compatibility:X}.{tier}{general_level_idc}", profile & 0x1f);
    for byte in constraints {
        text.push_str(&format!(".{byte:X}"));
    }
    Ok(text)
}

/// Finds the slice segment data of samples whose configuration is in `hvcC`.
pub(super) fn slice_segment_data_ranges(config: &Config<'_>) -> Result<Box<dyn Ranges>> {
    let hvcc = config.payload(HVCC)?;
    Ok(Box::new(SliceSegmentData::parse(hvcc).map_err(|e| e.at(HVCC).at(config.entry))?))
}

fn configuration_version(reader: &mut Reader<'_>) -> Result<()> {
    match reader.u8()? {
        1 => Ok(()),
        version => Err(Error::unsupported(format!("configurationVersion {version}, 1 expected"))
            .clause("ISO/IEC 14496-15 §8.3.3.1")),
    }
}

/// `nal_unit_type` of the NAL units that matter here: ITU-T H.265 table 7-1.
mod nal_unit_type {
    pub(super) const RASL_R: u8 = 9;
    pub(super) const BLA_W_LP: u8 = 16;
    pub(super) const IDR_W_RADL: u8 = 19;
    pub(super) const IDR_N_LP: u8 = 20;
    pub(super) const CRA_NUT: u8 = 21;
    pub(super) const RSV_IRAP_VCL23: u8 = 23;
    pub(super) const RSV_VCL31: u8 = 31;
    pub(super) const SPS: u8 = 33;
    pub(super) const PPS: u8 = 34;
}

/// The first two bytes of a NAL unit: ITU-T H.265 §7.3.1.2.
#[derive(Clone, Copy, Debug)]
struct NalUnitHeader {
    nal_unit_type: u8,
    nuh_layer_id: u8,
}

impl NalUnitHeader {
    fn parse(first: u8, second: u8) -> Result<Self> {
        if first & 0x80 != 0 {
            return Err(Error::input("forbidden_zero_bit is 1").clause("ITU-T H.265 §7.4.2.2"));
        }
        Ok(Self { nal_unit_type: (first >> 1) & 0x3f, nuh_layer_id: (first & 1) << 5 | second >> 3 })
    }
}

/// Finds the slice segment data in samples; knows the parameter sets that are in force.
#[derive(Debug)]
struct SliceSegmentData {
    nal_unit_length_size: usize,
    parameter_sets: ParameterSets,
}

impl SliceSegmentData {
    /// Reads HEVCDecoderConfigurationRecord: ISO/IEC 14496-15 §8.3.3.1.
    fn parse(hvcc: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(hvcc);
        configuration_version(&mut reader)?;
        reader.take(20)?; // from general_profile_space to avgFrameRate
        let nal_unit_length_size = nal::nal_unit_length_size(reader.u8()?)?;
        let mut parameter_sets = ParameterSets::default();
        for _ in 0..reader.u8()? {
            reader.u8()?; // array_completeness, NAL_unit_type, which the NAL units say themselves
            for _ in 0..reader.u16()? {
                let length = reader.u16()?;
                let position = reader.position();
                if let [first, second, payload @ ..] = reader.take(usize::from(length))? {
                    NalUnitHeader::parse(*first, *second)
                        .and_then(|header| parameter_sets.update(header, payload))
                        .map_err(|e| e.at_byte(position as u64))?;
                }
            }
        }
        Ok(Self { nal_unit_length_size, parameter_sets })
    }

    /// How many leading bytes of a NAL unit stay clear: all of them unless it carries slice segment data.
    fn clear_bytes(&mut self, nal_unit: &[u8]) -> Result<usize> {
        // What is too short for a header says nothing.
        let [first, second, payload @ ..] = nal_unit else { return Ok(nal_unit.len()) };
        let header = NalUnitHeader::parse(*first, *second)?;
        match header.nal_unit_type {
            0..=nal_unit_type::RSV_VCL31 if payload.is_empty() => Ok(nal_unit.len()),
            0..=nal_unit_type::RSV_VCL31 => {
                Ok(2 + slice_segment_header_size(header, payload, &self.parameter_sets)?)
            }
            _ => {
                self.parameter_sets.update(header, payload)?;
                Ok(nal_unit.len())
            }
        }
    }
}

/// Bytes of `slice_segment_header()`, emulation prevention and byte_alignment() included.
fn slice_segment_header_size(header: NalUnitHeader, payload: &[u8], sets: &ParameterSets) -> Result<usize> {
    match header.nal_unit_type {
        0..=nal_unit_type::RASL_R | nal_unit_type::BLA_W_LP..=nal_unit_type::CRA_NUT => {}
        nal_unit_type => {
            return Err(Error::unsupported(format!(
                "VCL NAL unit of the reserved nal_unit_type {nal_unit_type}"
            ))
            .clause("ITU-T H.265 §7.4.2.2"));
        }
    }
    if header.nuh_layer_id != 0 {
        return Err(Error::unsupported(format!(
            "a slice of nuh_layer_id {}, 0 expected",
            header.nuh_layer_id
        ))
        .clause("ITU-T H.265 §F.7.3.6")
        .hint("extract the base layer"));
    }
    let mut reader = BitReader::new(payload);
    slice_segment_header::parse(&mut reader, header.nal_unit_type, sets)
        .map_err(|e| e.at("slice_segment_header"))?;
    Ok(reader.bytes_touched())
}

impl Ranges for SliceSegmentData {
    fn ranges(&mut self, sample: &[u8], out: &mut Vec<Range<usize>>) -> Result<()> {
        nal::ranges(self.nal_unit_length_size, sample, out, |nal_unit| self.clear_bytes(nal_unit))
    }
}

#[cfg(test)]
pub(super) mod tests;
