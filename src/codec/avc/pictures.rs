//! Which picture a slice belongs to, as far as access units need it — ITU-T H.264 §7.4.1.2.4.

use super::NalUnitHeader;
use super::parameter_sets::ParameterSets;
use super::slice_header::picture_identification;
use crate::base::Result;
use crate::base::bits::BitReader;

/// What tells a picture from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec) struct PictureId {
    frame_num: u32,
    /// Whether it is a bottom field; `None` of a frame.
    is_bottom: Option<bool>,
}

impl PictureId {
    /// Whether it is the other field of a frame that this one is the first of.
    pub(in crate::codec) fn completes(self, first: Self) -> bool {
        let parities = self.is_bottom.zip(first.is_bottom);
        self.frame_num == first.frame_num && parities.is_some_and(|(one, other)| one != other)
    }
}

/// The parameter sets that were met.
#[derive(Debug)]
pub(in crate::codec) struct Pictures(ParameterSets);

impl Pictures {
    pub(in crate::codec) fn new() -> Self {
        Self(ParameterSets::new())
    }

    /// Takes in a NAL unit, given without its header, if it is a parameter set. What cannot be read is missed nowhere: a
    /// slice begins a picture without it.
    pub(in crate::codec) fn update(&mut self, nal_unit_type: u8, payload: &[u8]) {
        self.0.update(nal_unit_type, payload).ok();
    }

    /// `None` when a slice is not the first of a picture; what it says of the picture, as far as that can be read.
    pub(in crate::codec) fn first_slice(&self, unit: &[u8]) -> Option<Option<PictureId>> {
        let (first, payload) = unit.split_first()?;
        let first_mb_in_slice = BitReader::new(payload).ue().ok()?;
        if first_mb_in_slice != 0 {
            return None;
        }
        let (id, is_redundant) = self.read(*first, payload).ok().unzip();
        (is_redundant != Some(true)).then_some(id)
    }

    /// The picture, and whether the slice is of a redundant copy of it.
    fn read(&self, first: u8, payload: &[u8]) -> Result<(PictureId, bool)> {
        let mut reader = BitReader::new(payload);
        reader.ue()?; // first_mb_in_slice
        reader.ue()?; // slice_type
        let (sps, pps) = self.0.activate(reader.ue()?)?;
        let (frame_num, is_bottom) =
            picture_identification(&mut reader, NalUnitHeader::parse(first)?, sps, pps)?;
        let is_redundant = pps.redundant_pic_cnt_present_flag && reader.ue()? > 0;
        Ok((PictureId { frame_num, is_bottom }, is_redundant))
    }
}
