//! Where slice segment data is in samples — ISO/IEC 14496-15 §8.3, ISO/IEC 23001-7 §9.5.2.

use std::ops::Range;

use super::parameter_sets::ParameterSets;
use super::{NalUnitHeader, configuration_version, nal_unit_type, nal_units, slice_segment_header};
use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::base::{Error, Result, remedy};
use crate::codec::slice_marks::{SliceStart, Slices};
use crate::codec::{Ranges, VideoInfo, nal};

/// Finds the slice segment data in samples; knows the parameter sets that are in force.
#[derive(Debug)]
pub(super) struct SliceSegmentData {
    nal_unit_length_size: usize,
    parameter_sets: ParameterSets,
}

impl SliceSegmentData {
    /// Reads HEVCDecoderConfigurationRecord: ISO/IEC 14496-15 §8.3.3.1.
    pub(super) fn parse(hvcc: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(hvcc);
        configuration_version(&mut reader)?;
        reader.take(20)?; // from general_profile_space to avgFrameRate
        let nal_unit_length_size = nal::nal_unit_length_size(reader.u8()?)?;
        let mut data = Self { nal_unit_length_size, parameter_sets: ParameterSets::default() };
        data.arrays(&mut reader)?;
        Ok(data)
    }

    /// Adds the parameter sets of LHEVCDecoderConfigurationRecord: ISO/IEC 14496-15 §9.5.3.1.
    pub(super) fn add_layer(&mut self, lhvc: &[u8]) -> Result<()> {
        let mut reader = Reader::new(lhvc);
        configuration_version(&mut reader)?;
        reader.take(3)?; // min_spatial_segmentation_idc, parallelismType
        let nal_unit_length_size = nal::nal_unit_length_size(reader.u8()?)?;
        if nal_unit_length_size != self.nal_unit_length_size {
            return Err(Error::input(format!(
                "NAL unit lengths of {nal_unit_length_size} bytes, hvcC says {}",
                self.nal_unit_length_size
            ))
            .clause("ISO/IEC 14496-15 §9.5.3.2"));
        }
        self.arrays(&mut reader)
    }

    fn arrays(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        for (position, nal_unit) in nal_units(reader)? {
            if let [first, second, payload @ ..] = nal_unit {
                NalUnitHeader::parse(*first, *second)
                    .and_then(|header| self.parameter_sets.update(header, payload))
                    .map_err(|e| e.at_byte(position as u64))?;
            }
        }
        Ok(())
    }

    /// What the first sequence parameter set says of pictures.
    pub(super) fn video(&self) -> Option<VideoInfo> {
        self.parameter_sets.video()
    }

    /// How many leading bytes of a NAL unit stay clear: all of them unless it carries slice segment data.
    fn clear_bytes(&mut self, nal_unit: &[u8]) -> Result<usize> {
        Ok(self.slice(nal_unit)?.map_or(nal_unit.len(), |slice| slice.position))
    }
}

impl Slices for SliceSegmentData {
    fn nal_unit_length_size(&self) -> usize {
        self.nal_unit_length_size
    }

    fn slice(&mut self, nal_unit: &[u8]) -> Result<Option<SliceStart>> {
        // What is too short for a header says nothing.
        let [first, second, payload @ ..] = nal_unit else { return Ok(None) };
        let header = NalUnitHeader::parse(*first, *second)?;
        match header.nal_unit_type {
            0..=nal_unit_type::RSV_VCL31 if payload.is_empty() => Ok(None),
            0..=nal_unit_type::RSV_VCL31 => {
                let size = slice_segment_header_size(header, payload, &self.parameter_sets)?;
                Ok(Some(SliceStart { position: 2 + size, is_cabac: true }))
            }
            nal_unit_type::UNSPEC63 if !payload.is_empty() => Err(Error::unsupported(
                "a NAL unit of type 63, an enhancement layer of Dolby Vision: it would stay clear",
            )
            .clause("ISO/IEC 23001-7 §9.5.2, Dolby Vision Streams Within the ISO Base Media File Format §3.1")
            .hint(format!(
                "convert profile 7 to 8.1, or leave the layer out, such as with {}",
                remedy::copy(" -bsf:v filter_units=remove_types=63", "mkv")
            ))),
            _ => {
                self.parameter_sets.update(header, payload)?;
                Ok(None)
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
    let mut reader = BitReader::new(payload);
    slice_segment_header::parse(&mut reader, header, sets).map_err(|e| e.at("slice_segment_header"))?;
    Ok(reader.bytes_touched())
}

impl Ranges for SliceSegmentData {
    fn ranges(&mut self, sample: &[u8], out: &mut Vec<Range<usize>>) -> Result<()> {
        nal::ranges(self.nal_unit_length_size, sample, out, |nal_unit| self.clear_bytes(nal_unit))
    }

    fn check_clear(&self, sample: &[u8], ranges: &[Range<usize>]) -> Result<()> {
        nal::check_clear(sample, ranges)
    }

    /// ITU-T H.265 §7.4.2.4.4: an access unit has a coded picture.
    fn is_due(&self) -> bool {
        true
    }
}
