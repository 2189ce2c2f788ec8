//! Where slice data is in samples — ISO/IEC 14496-15 §5.3, ISO/IEC 23001-7 §9.5.2.

use std::ops::Range;

use super::parameter_sets::ParameterSets;
use super::{NalUnitHeader, configuration_version, nal_unit_type, slice_header};
use crate::base::Result;
use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::codec::slice_marks::{SliceStart, Slices};
use crate::codec::{Ranges, nal};

/// Finds the slice data in samples; knows the parameter sets that are in force.
#[derive(Debug)]
pub(super) struct SliceData {
    nal_unit_length_size: usize,
    parameter_sets: ParameterSets,
}

impl SliceData {
    /// Reads AVCDecoderConfigurationRecord: ISO/IEC 14496-15 §5.3.3.1. What follows the parameter
    /// sets (chroma format and bit depths of the high profiles) repeats them and is not read.
    pub(super) fn parse(avcc: &[u8]) -> Result<Self> {
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
        Ok(self.slice(nal_unit)?.map_or(nal_unit.len(), |slice| slice.position))
    }
}

impl Slices for SliceData {
    fn nal_unit_length_size(&self) -> usize {
        self.nal_unit_length_size
    }

    fn slice(&mut self, nal_unit: &[u8]) -> Result<Option<SliceStart>> {
        // A NAL unit of one byte ends a sequence or stream; one of none says nothing.
        let [first, payload @ ..] = nal_unit else { return Ok(None) };
        let header = NalUnitHeader::parse(*first)?;
        match header.nal_unit_type {
            _ if payload.is_empty() => Ok(None),
            nal_unit_type::SLICE | nal_unit_type::IDR_SLICE => {
                let mut reader = BitReader::new(payload);
                let is_cabac = slice_header::parse(&mut reader, header, &self.parameter_sets)
                    .map_err(|e| e.at("slice_header"))?;
                Ok(Some(SliceStart { position: 1 + reader.bytes_touched(), is_cabac }))
            }
            nal_unit_type::SLICE_DATA_PARTITION_A..=nal_unit_type::SLICE_DATA_PARTITION_C
            | nal_unit_type::AUXILIARY_SLICE..=nal_unit_type::SLICE_EXTENSION_FOR_DEPTH => {
                Err(slice_header::unsupported(header.nal_unit_type))
            }
            nal_unit_type => {
                self.parameter_sets.update(nal_unit_type, payload)?;
                Ok(None)
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
    fn is_due(&self) -> bool {
        true
    }
}
