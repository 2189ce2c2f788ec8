//! Open bitstream units — AV1 Bitstream Specification §5.3, in the low-overhead format of samples.

use super::descriptors::leb128;
use crate::base::bytes::Reader;
use crate::base::{Error, Result};

/// obu_type of the units that matter here: §6.2.2.
pub(super) mod obu_type {
    pub(in super::super) const SEQUENCE_HEADER: u8 = 1;
    pub(in super::super) const TEMPORAL_DELIMITER: u8 = 2;
    pub(in super::super) const FRAME_HEADER: u8 = 3;
    pub(in super::super) const TILE_GROUP: u8 = 4;
    pub(in super::super) const FRAME: u8 = 6;
    pub(in super::super) const REDUNDANT_FRAME_HEADER: u8 = 7;
    pub(in super::super) const TILE_LIST: u8 = 8;
}

/// The layer of a unit: §5.3.3; the lowest when its header has no extension.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layer {
    temporal_id: u8,
    spatial_id: u8,
}

impl Layer {
    /// Whether an operating point of this operating_point_idc has the layer: §5.9.2.
    pub(super) fn is_in(self, operating_point_idc: u32) -> bool {
        let has = |bit: u8| (operating_point_idc >> bit) & 1 == 1;
        operating_point_idc == 0 || (has(self.temporal_id) && has(self.spatial_id + 8))
    }
}

/// An open bitstream unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Obu<'a> {
    pub(super) obu_type: u8,
    pub(super) layer: Layer,
    /// Where the payload begins in the sample.
    pub(super) start: usize,
    pub(super) payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// The next unit; one without obu_size takes all that is left.
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self> {
        let header = reader.u8()?;
        if header & 0x80 != 0 {
            return Err(Error::input("obu_forbidden_bit is 1").clause("AV1 Bitstream Specification §6.2.2"));
        }
        let (obu_extension_flag, obu_has_size_field) = (header & 4 != 0, header & 2 != 0);
        let mut layer = Layer::default();
        if obu_extension_flag {
            let extension = reader.u8()?;
            layer = Layer { temporal_id: extension >> 5, spatial_id: (extension >> 3) & 3 };
        }
        let obu_size = if obu_has_size_field { leb128(reader)? } else { reader.remaining() };
        let (start, left) = (reader.position(), reader.remaining());
        let payload = reader.take(obu_size).map_err(|_| {
            Error::input(format!("OBU of {obu_size} bytes, {left} are left"))
                .clause("AV1 Bitstream Specification §5.3.1")
        })?;
        Ok(Self { obu_type: (header >> 3) & 0xf, layer, start, payload })
    }
}
