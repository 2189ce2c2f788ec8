//! Sequence and picture parameter sets, as far as slice headers need them — ITU-T H.264 §7.3.2.1, §7.3.2.2.

use super::nal_unit_type;
use crate::base::bits::BitReader;
use crate::base::{Error, Result};
use crate::codec::nal::{absent, lookup, replace};
use crate::codec::{VideoInfo, vui};

/// Greatest seq_parameter_set_id: §7.4.2.1.1.
pub(super) const MAX_SPS_ID: u32 = 31;
/// Greatest pic_parameter_set_id: §7.4.2.2.
const MAX_PPS_ID: u32 = 255;
/// Greatest num_ref_idx_l0_active_minus1, that of fields: §7.4.3.
pub(super) const MAX_NUM_REF_IDX_ACTIVE_MINUS1: u32 = 31;

/// How slice headers say picture order count: §8.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PicOrderCnt {
    /// Type 0: pic_order_cnt_lsb of this many bits.
    Lsb(u32),
    /// Type 1 with delta_pic_order_always_zero_flag 0: delta_pic_order_cnt.
    Delta,
    /// Types 1 and 2 otherwise: nothing.
    Inferred,
}

/// A sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sps {
    /// ChromaArrayType is 0 when this is set.
    pub(super) separate_colour_plane_flag: bool,
    /// 0 for monochrome and for separate color planes.
    pub(super) chroma_array_type: u32,
    pub(super) frame_num_bits: u32,
    pub(super) pic_order_cnt: PicOrderCnt,
    /// BitDepthY.
    bit_depth: u32,
    pub(super) frame_mbs_only_flag: bool,
    pub(super) pic_width_in_mbs: u32,
    /// PicSizeInMapUnits: (7-17).
    pub(super) pic_size_in_map_units: u32,
}

/// What pictures look like.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Width and height.
    pub(super) size: (u32, u32),
    pub(super) info: VideoInfo,
}

/// A picture parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pps {
    /// Resolved when a slice refers to it: a new sequence parameter set may come in between.
    seq_parameter_set_id: u32,
    pub(super) entropy_coding_mode_flag: bool,
    pub(super) bottom_field_pic_order_in_frame_present_flag: bool,
    /// SliceGroupChangeRate of slice group map types 3 to 5: (7-24).
    pub(super) slice_group_change_rate: Option<u32>,
    /// The defaults of list 0 and list 1.
    pub(super) num_ref_idx_default_active_minus1: [u32; 2],
    pub(super) weighted_pred_flag: bool,
    pub(super) weighted_bipred_idc: u32,
    pub(super) deblocking_filter_control_present_flag: bool,
    pub(super) redundant_pic_cnt_present_flag: bool,
}

/// The parameter sets in force, by id.
#[derive(Debug)]
pub(super) struct ParameterSets {
    sps: [Option<Sps>; MAX_SPS_ID as usize + 1],
    pps: [Option<Pps>; MAX_PPS_ID as usize + 1],
}

impl ParameterSets {
    pub(super) fn new() -> Self {
        Self { sps: [None; MAX_SPS_ID as usize + 1], pps: [None; MAX_PPS_ID as usize + 1] }
    }

    /// Takes in a NAL unit, given without its header, if it is a parameter set of the base layer.
    pub(super) fn update(&mut self, nal_unit_type: u8, payload: &[u8]) -> Result<()> {
        let mut reader = BitReader::new(payload);
        match nal_unit_type {
            nal_unit_type::SPS => {
                let (id, sps) = Sps::parse(&mut reader).map_err(|e| e.at("seq_parameter_set"))?;
                replace(&mut self.sps, id, sps);
            }
            nal_unit_type::PPS => {
                let (id, pps) = Pps::parse(&mut reader).map_err(|e| e.at("pic_parameter_set"))?;
                replace(&mut self.pps, id, pps);
            }
            _ => {}
        }
        Ok(())
    }

    /// The parameter sets that a slice with this pic_parameter_set_id uses.
    pub(super) fn activate(&self, pic_parameter_set_id: u32) -> Result<(&Sps, &Pps)> {
        let clause = "ITU-T H.264 §7.4.1.2.1";
        let pps = lookup(&self.pps, pic_parameter_set_id)
            .ok_or_else(|| absent("pic_parameter_set_id", pic_parameter_set_id).clause(clause))?;
        let sps = lookup(&self.sps, pps.seq_parameter_set_id)
            .ok_or_else(|| absent("seq_parameter_set_id", pps.seq_parameter_set_id).clause(clause))?;
        Ok((sps, pps))
    }
}

impl Sps {
    /// `seq_parameter_set_data()` up to the picture size: §7.3.2.1.1.
    fn parse(reader: &mut BitReader<'_>) -> Result<(u32, Self)> {
        let profile_idc = reader.bits(8)?;
        reader.bits(8)?; // constraint_set flags and reserved bits
        reader.bits(8)?; // level_idc
        let id = reader.ue_up_to(MAX_SPS_ID, "seq_parameter_set_id")?;
        let (separate_colour_plane_flag, chroma_array_type, bit_depth) = chroma_format(reader, profile_idc)?;
        let frame_num_bits = 4 + reader.ue_up_to(12, "log2_max_frame_num_minus4")?;
        let pic_order_cnt = pic_order_cnt(reader)?;
        reader.ue()?; // max_num_ref_frames
        reader.bit()?; // gaps_in_frame_num_value_allowed_flag
        let pic_width_in_mbs = u64::from(reader.ue()?) + 1;
        let pic_height_in_map_units = u64::from(reader.ue()?) + 1;
        let pic_size_in_map_units = u32::try_from(pic_width_in_mbs * pic_height_in_map_units)
            .map_err(|_| Error::input("picture of more than 2^32 macroblocks").clause("ITU-T H.264 §A.3"))?;
        let frame_mbs_only_flag = reader.bit()?;
        Ok((
            id,
            Self {
                separate_colour_plane_flag,
                chroma_array_type,
                frame_num_bits,
                pic_order_cnt,
                bit_depth,
                frame_mbs_only_flag,
                pic_width_in_mbs: u32::try_from(pic_width_in_mbs).unwrap_or(u32::MAX),
                pic_size_in_map_units,
            },
        ))
    }
}

/// What a sequence parameter set, given without its header, says of its pictures.
pub(super) fn picture(seq_parameter_set: &[u8]) -> Result<Picture> {
    let mut reader = BitReader::new(seq_parameter_set);
    let (_, sps) = Sps::parse(&mut reader)?;
    let size = picture_size(&mut reader, &sps)?;
    let vui_parameters_present_flag = reader.bit().unwrap_or(false);
    let info = vui_parameters_present_flag.then(|| vui::start(&mut reader, sps.bit_depth).ok()).flatten();
    Ok(Picture { size, info: info.unwrap_or_else(|| VideoInfo::of_depth(sps.bit_depth)) })
}

/// Width and height of the cropped pictures: §7.4.2.1.1.
fn picture_size(reader: &mut BitReader<'_>, sps: &Sps) -> Result<(u32, u32)> {
    let fields = if sps.frame_mbs_only_flag { 1 } else { 2 };
    if fields == 2 {
        reader.bit()?; // mb_adaptive_frame_field_flag
    }
    reader.bit()?; // direct_8x8_inference_flag
    let width = sps.pic_width_in_mbs.saturating_mul(16);
    let map_units = sps.pic_size_in_map_units.checked_div(sps.pic_width_in_mbs).unwrap_or(0);
    let height = map_units.saturating_mul(16 * fields);
    let frame_cropping_flag = reader.bit()?;
    if !frame_cropping_flag {
        return Ok((width, height));
    }
    // CropUnitX and CropUnitY: (7-19) to (7-22).
    let (crop_unit_x, crop_unit_y) = match sps.chroma_array_type {
        1 => (2, 2 * fields),
        2 => (2, fields),
        _ => (1, fields),
    };
    let horizontal = reader.ue()?.saturating_add(reader.ue()?).saturating_mul(crop_unit_x);
    let vertical = reader.ue()?.saturating_add(reader.ue()?).saturating_mul(crop_unit_y);
    Ok((width.saturating_sub(horizontal), height.saturating_sub(vertical)))
}

/// separate_colour_plane_flag, ChromaArrayType and BitDepthY; reads the fields that only some profiles have.
fn chroma_format(reader: &mut BitReader<'_>, profile_idc: u32) -> Result<(bool, u32, u32)> {
    match profile_idc {
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135 => {}
        // Amendment 1 of 2005 had another syntax for it.
        144 => {
            return Err(Error::unsupported("profile_idc 144, the High 4:4:4 profile removed in 2007")
                .clause("ITU-T H.264 §7.3.2.1.1"));
        }
        _ => return Ok((false, 1, 8)),
    }
    let chroma_format_idc = reader.ue_up_to(3, "chroma_format_idc")?;
    let separate_colour_plane_flag = chroma_format_idc == 3 && reader.bit()?;
    let bit_depth = 8 + reader.ue_up_to(6, "bit_depth_luma_minus8")?;
    reader.ue_up_to(6, "bit_depth_chroma_minus8")?;
    reader.bit()?; // qpprime_y_zero_transform_bypass_flag
    let seq_scaling_matrix_present_flag = reader.bit()?;
    if seq_scaling_matrix_present_flag {
        let lists = if chroma_format_idc == 3 { 12 } else { 8 };
        for list in 0..lists {
            let seq_scaling_list_present_flag = reader.bit()?;
            if seq_scaling_list_present_flag {
                scaling_list(reader, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    let chroma_array_type = if separate_colour_plane_flag { 0 } else { chroma_format_idc };
    Ok((separate_colour_plane_flag, chroma_array_type, bit_depth))
}

/// `scaling_list()`: §7.3.2.1.1.1. A next scale of 0 ends the list early.
fn scaling_list(reader: &mut BitReader<'_>, size_of_scaling_list: u32) -> Result<()> {
    let mut scale: i32 = 8;
    for _ in 0..size_of_scaling_list {
        let delta_scale = reader.se()?;
        if !(-128..=127).contains(&delta_scale) {
            return Err(Error::input(format!("delta_scale is {delta_scale}, -128 to 127 expected"))
                .clause("ITU-T H.264 §7.4.2.1.1.1"));
        }
        scale = (scale + delta_scale) & 0xff;
        if scale == 0 {
            break;
        }
    }
    Ok(())
}

fn pic_order_cnt(reader: &mut BitReader<'_>) -> Result<PicOrderCnt> {
    match reader.ue_up_to(2, "pic_order_cnt_type")? {
        0 => Ok(PicOrderCnt::Lsb(4 + reader.ue_up_to(12, "log2_max_pic_order_cnt_lsb_minus4")?)),
        1 => {
            let delta_pic_order_always_zero_flag = reader.bit()?;
            reader.se()?; // offset_for_non_ref_pic
            reader.se()?; // offset_for_top_to_bottom_field
            for _ in 0..reader.ue_up_to(255, "num_ref_frames_in_pic_order_cnt_cycle")? {
                reader.se()?; // offset_for_ref_frame
            }
            Ok(if delta_pic_order_always_zero_flag { PicOrderCnt::Inferred } else { PicOrderCnt::Delta })
        }
        _ => Ok(PicOrderCnt::Inferred),
    }
}

impl Pps {
    /// `pic_parameter_set_rbsp()` up to redundant_pic_cnt_present_flag: §7.3.2.2.
    fn parse(reader: &mut BitReader<'_>) -> Result<(u32, Self)> {
        let id = reader.ue_up_to(MAX_PPS_ID, "pic_parameter_set_id")?;
        let seq_parameter_set_id = reader.ue_up_to(MAX_SPS_ID, "seq_parameter_set_id")?;
        let entropy_coding_mode_flag = reader.bit()?;
        let bottom_field_pic_order_in_frame_present_flag = reader.bit()?;
        let slice_group_change_rate = slice_groups(reader)?;
        let num_ref_idx_default_active_minus1 = [
            reader.ue_up_to(MAX_NUM_REF_IDX_ACTIVE_MINUS1, "num_ref_idx_l0_default_active_minus1")?,
            reader.ue_up_to(MAX_NUM_REF_IDX_ACTIVE_MINUS1, "num_ref_idx_l1_default_active_minus1")?,
        ];
        let weighted_pred_flag = reader.bit()?;
        let weighted_bipred_idc = reader.bits(2)?;
        reader.se()?; // pic_init_qp_minus26
        reader.se()?; // pic_init_qs_minus26
        reader.se()?; // chroma_qp_index_offset
        let deblocking_filter_control_present_flag = reader.bit()?;
        reader.bit()?; // constrained_intra_pred_flag
        let redundant_pic_cnt_present_flag = reader.bit()?;
        Ok((
            id,
            Self {
                seq_parameter_set_id,
                entropy_coding_mode_flag,
                bottom_field_pic_order_in_frame_present_flag,
                slice_group_change_rate,
                num_ref_idx_default_active_minus1,
                weighted_pred_flag,
                weighted_bipred_idc,
                deblocking_filter_control_present_flag,
                redundant_pic_cnt_present_flag,
            },
        ))
    }
}

/// Reads the slice groups of a picture parameter set for SliceGroupChangeRate, if they have one.
fn slice_groups(reader: &mut BitReader<'_>) -> Result<Option<u32>> {
    let num_slice_groups_minus1 = reader.ue_up_to(7, "num_slice_groups_minus1")?;
    if num_slice_groups_minus1 == 0 {
        return Ok(None);
    }
    match reader.ue_up_to(6, "slice_group_map_type")? {
        0 => {
            for _ in 0..=num_slice_groups_minus1 {
                reader.ue()?; // run_length_minus1
            }
        }
        2 => {
            for _ in 0..num_slice_groups_minus1 {
                reader.ue()?; // top_left
                reader.ue()?; // bottom_right
            }
        }
        3..=5 => {
            reader.bit()?; // slice_group_change_direction_flag
            return Ok(Some(reader.ue()?.saturating_add(1)));
        }
        6 => {
            let slice_group_id_bits = (num_slice_groups_minus1 + 1).next_power_of_two().trailing_zeros();
            // As many as the NAL unit says; each takes a bit at least, so its end bounds them.
            for _ in 0..=reader.ue()? {
                reader.bits(slice_group_id_bits)?;
            }
        }
        _ => {}
    }
    Ok(None)
}
