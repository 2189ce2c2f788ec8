//! AVC — ITU-T H.264 and its carriage, ISO/IEC 14496-15 §5; what stays clear: ISO/IEC 23001-7 §9.5.2.

mod nal_unit_type;
mod parameter_sets;
mod slice_header;
mod stream_facts;

use std::ops::Range;

use self::parameter_sets::ParameterSets;
pub(super) use self::stream_facts::byte_stream_facts;
use super::{CipherModes, Codec, Config, Protection, Ranges, TrackKind, audio_facts, nal};
use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// AVC with parameter sets in `avcC` (`avc1`) or also in the samples (`avc3`).
pub(super) static CODEC: Codec = Codec {
    name: "AVC",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"avc1"), FourCc(*b"avc3")],
    protection: Protection::Ranges(slice_data_ranges),
    cipher_modes: CipherModes::All,
    rfc6381,
    audio: audio_facts::unknown,
};

const AVCC: FourCc = FourCc(*b"avcC");

/// ISO/IEC 14496-15 §E.3: profile, constraint flags and level of `avcC`, two hex digits each.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    let at = |e: Error| e.at(AVCC).at(config.entry);
    let mut reader = Reader::new(config.payload(AVCC)?);
    configuration_version(&mut reader).map_err(at)?;
    let profile_compatibility_level = reader.u24().map_err(at)?;
    Ok(format!("{}.{profile_compatibility_level:06x}", config.entry))
}

/// Finds the slice data of samples whose configuration is in `avcC`.
pub(super) fn slice_data_ranges(config: &Config<'_>) -> Result<Box<dyn Ranges>> {
    let avcc = config.payload(AVCC)?;
    Ok(Box::new(SliceData::parse(avcc).map_err(|e| e.at(AVCC).at(config.entry))?))
}

fn configuration_version(reader: &mut Reader<'_>) -> Result<()> {
    match reader.u8()? {
        1 => Ok(()),
        version => Err(Error::unsupported(format!("configurationVersion {version}, 1 expected"))
            .clause("ISO/IEC 14496-15 §5.3.3.1")),
    }
}

/// The first byte of a NAL unit: ITU-T H.264 §7.3.1.
#[derive(Clone, Copy, Debug)]
struct NalUnitHeader {
    nal_ref_idc: u8,
    nal_unit_type: u8,
}

impl NalUnitHeader {
    fn parse(byte: u8) -> Result<Self> {
        if byte & 0x80 != 0 {
            return Err(Error::input("forbidden_zero_bit is 1").clause("ITU-T H.264 §7.4.1"));
        }
        Ok(Self { nal_ref_idc: (byte >> 5) & 3, nal_unit_type: byte & 0x1f })
    }

    /// IdrPicFlag: ITU-T H.264 (7-1).
    fn is_idr(self) -> bool {
        self.nal_unit_type == nal_unit_type::IDR_SLICE
    }
}

/// Finds the slice data in samples; knows the parameter sets that are in force.
#[derive(Debug)]
struct SliceData {
    nal_unit_length_size: usize,
    parameter_sets: ParameterSets,
}

impl SliceData {
    /// Reads AVCDecoderConfigurationRecord: ISO/IEC 14496-15 §5.3.3.1. What follows the parameter
    /// sets (chroma format and bit depths of the high profiles) repeats them and is not read.
    fn parse(avcc: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(avcc);
        configuration_version(&mut reader)?;
        reader.u24()?; // AVCProfileIndication, profile_compatibility, AVCLevelIndication
        let nal_unit_length_size = nal::nal_unit_length_size(reader.u8()?)?;
        let mut parameter_sets = ParameterSets::new();
        let num_of_sequence_parameter_sets = reader.u8()? & 0x1f;
        parameter_set_list(&mut reader, num_of_sequence_parameter_sets, &mut parameter_sets)?;
        let num_of_picture_parameter_sets = reader.u8()?;
        parameter_set_list(&mut reader, num_of_picture_parameter_sets, &mut parameter_sets)?;
        Ok(Self { nal_unit_length_size, parameter_sets })
    }

    /// How many leading bytes of a NAL unit stay clear: all of them unless it carries slice data.
    fn clear_bytes(&mut self, nal_unit: &[u8]) -> Result<usize> {
        // A NAL unit of one byte ends a sequence or stream; one of none says nothing.
        let [first, payload @ ..] = nal_unit else { return Ok(0) };
        let header = NalUnitHeader::parse(*first)?;
        match header.nal_unit_type {
            _ if payload.is_empty() => Ok(1),
            nal_unit_type::SLICE | nal_unit_type::IDR_SLICE => {
                let mut reader = BitReader::new(payload);
                slice_header::parse(&mut reader, header, &self.parameter_sets)
                    .map_err(|e| e.at("slice_header"))?;
                Ok(1 + reader.bytes_touched())
            }
            nal_unit_type::SLICE_DATA_PARTITION_A..=nal_unit_type::SLICE_DATA_PARTITION_C
            | nal_unit_type::AUXILIARY_SLICE..=nal_unit_type::SLICE_EXTENSION_FOR_DEPTH => {
                Err(slice_header::unsupported(header.nal_unit_type))
            }
            nal_unit_type => {
                self.parameter_sets.update(nal_unit_type, payload)?;
                Ok(nal_unit.len())
            }
        }
    }
}

fn parameter_set_list(reader: &mut Reader<'_>, count: u8, parameter_sets: &mut ParameterSets) -> Result<()> {
    for _ in 0..count {
        let length = reader.u16()?;
        let position = reader.position();
        if let [first, payload @ ..] = reader.take(usize::from(length))? {
            NalUnitHeader::parse(*first)
                .and_then(|header| parameter_sets.update(header.nal_unit_type, payload))
                .map_err(|e| e.at_byte(position as u64))?;
        }
    }
    Ok(())
}

impl Ranges for SliceData {
    fn ranges(&mut self, sample: &[u8], out: &mut Vec<Range<usize>>) -> Result<()> {
        nal::ranges(self.nal_unit_length_size, sample, out, |nal_unit| self.clear_bytes(nal_unit))
    }

    fn check_clear(&self, sample: &[u8], ranges: &[Range<usize>]) -> Result<()> {
        nal::check_clear(sample, ranges)
    }

    /// ITU-T H.264 §7.4.1.2.3: an access unit has a coded picture.
    fn is_in_every_sample(&self) -> bool {
        true
    }
}

#[cfg(test)]
pub(super) mod tests;
