//! Values of `nal_unit_type` that matter here — ITU-T H.264 table 7-1.

pub(super) const SLICE: u8 = 1;
pub(super) const SLICE_DATA_PARTITION_A: u8 = 2;
pub(super) const SLICE_DATA_PARTITION_C: u8 = 4;
pub(super) const IDR_SLICE: u8 = 5;
pub(super) const SPS: u8 = 7;
pub(super) const PPS: u8 = 8;
pub(super) const AUXILIARY_SLICE: u8 = 19;
pub(super) const SLICE_EXTENSION: u8 = 20;
pub(super) const SLICE_EXTENSION_FOR_DEPTH: u8 = 21;
