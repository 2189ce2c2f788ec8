//! Picture parameter sets, as far as slice segment headers need them — ITU-T H.265 §7.3.2.3.

use super::parameter_sets::{MAX_PPS_ID, MAX_SPS_ID, scaling_list_data};
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// Greatest num_ref_idx_l0_default_active_minus1: §7.4.3.3.1.
pub(super) const MAX_NUM_REF_IDX_ACTIVE_MINUS1: u32 = 14;

/// A picture parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pps {
    /// Resolved when a slice refers to it: a new sequence parameter set may come in between.
    pub(super) seq_parameter_set_id: u32,
    pub(super) dependent_slice_segments_enabled_flag: bool,
    pub(super) output_flag_present_flag: bool,
    pub(super) num_extra_slice_header_bits: u32,
    pub(super) cabac_init_present_flag: bool,
    /// The defaults of list 0 and list 1.
    pub(super) num_ref_idx_default_active_minus1: [u32; 2],
    pub(super) pps_slice_chroma_qp_offsets_present_flag: bool,
    pub(super) weighted_pred_flag: bool,
    pub(super) weighted_bipred_flag: bool,
    /// Tiles or wavefronts: slice segments have entry points.
    pub(super) has_entry_points: bool,
    pub(super) pps_loop_filter_across_slices_enabled_flag: bool,
    pub(super) deblocking_filter_override_enabled_flag: bool,
    pub(super) pps_deblocking_filter_disabled_flag: bool,
    pub(super) lists_modification_present_flag: bool,
    pub(super) slice_segment_header_extension_present_flag: bool,
    pub(super) extensions: PpsExtensions,
}

/// What the extensions of a picture parameter set say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PpsExtensions {
    pub(super) chroma_qp_offset_list_enabled_flag: bool,
    pub(super) pps_curr_pic_ref_enabled_flag: bool,
    pub(super) pps_slice_act_qp_offsets_present_flag: bool,
}

impl Pps {
    /// `pic_parameter_set_rbsp()`.
    pub(super) fn parse(reader: &mut BitReader<'_>) -> Result<(u32, Self)> {
        let id = reader.ue_up_to(MAX_PPS_ID, "pps_pic_parameter_set_id")?;
        let seq_parameter_set_id = reader.ue_up_to(MAX_SPS_ID, "pps_seq_parameter_set_id")?;
        let dependent_slice_segments_enabled_flag = reader.bit()?;
        let output_flag_present_flag = reader.bit()?;
        let num_extra_slice_header_bits = reader.bits(3)?;
        reader.bit()?; // sign_data_hiding_enabled_flag
        let cabac_init_present_flag = reader.bit()?;
        let num_ref_idx_default_active_minus1 = [
            reader.ue_up_to(MAX_NUM_REF_IDX_ACTIVE_MINUS1, "num_ref_idx_l0_default_active_minus1")?,
            reader.ue_up_to(MAX_NUM_REF_IDX_ACTIVE_MINUS1, "num_ref_idx_l1_default_active_minus1")?,
        ];
        let transform_skip_enabled_flag = quantization(reader)?;
        let pps_slice_chroma_qp_offsets_present_flag = reader.bit()?;
        let weighted_pred_flag = reader.bit()?;
        let weighted_bipred_flag = reader.bit()?;
        reader.bit()?; // transquant_bypass_enabled_flag
        let has_entry_points = entry_points(reader)?;
        let pps_loop_filter_across_slices_enabled_flag = reader.bit()?;
        let [deblocking_filter_override_enabled_flag, pps_deblocking_filter_disabled_flag] =
            deblocking(reader)?;
        let pps_scaling_list_data_present_flag = reader.bit()?;
        if pps_scaling_list_data_present_flag {
            scaling_list_data(reader)?;
        }
        let lists_modification_present_flag = reader.bit()?;
        reader.ue()?; // log2_parallel_merge_level_minus2
        let slice_segment_header_extension_present_flag = reader.bit()?;
        let extensions = PpsExtensions::parse(reader, transform_skip_enabled_flag)?;
        let pps = Self {
            seq_parameter_set_id,
            dependent_slice_segments_enabled_flag,
            output_flag_present_flag,
            num_extra_slice_header_bits,
            cabac_init_present_flag,
            num_ref_idx_default_active_minus1,
            pps_slice_chroma_qp_offsets_present_flag,
            weighted_pred_flag,
            weighted_bipred_flag,
            has_entry_points,
            pps_loop_filter_across_slices_enabled_flag,
            deblocking_filter_override_enabled_flag,
            pps_deblocking_filter_disabled_flag,
            lists_modification_present_flag,
            slice_segment_header_extension_present_flag,
            extensions,
        };
        Ok((id, pps))
    }
}

/// From init_qp_minus26 to pps_cr_qp_offset; transform_skip_enabled_flag.
fn quantization(reader: &mut BitReader<'_>) -> Result<bool> {
    reader.se()?; // init_qp_minus26
    reader.bit()?; // constrained_intra_pred_flag
    let transform_skip_enabled_flag = reader.bit()?;
    let cu_qp_delta_enabled_flag = reader.bit()?;
    if cu_qp_delta_enabled_flag {
        reader.ue()?; // diff_cu_qp_delta_depth
    }
    reader.se()?; // pps_cb_qp_offset
    reader.se()?; // pps_cr_qp_offset
    Ok(transform_skip_enabled_flag)
}

/// Tiles and wavefronts: whether there are any.
fn entry_points(reader: &mut BitReader<'_>) -> Result<bool> {
    let tiles_enabled_flag = reader.bit()?;
    let entropy_coding_sync_enabled_flag = reader.bit()?;
    if tiles_enabled_flag {
        let num_tile_columns_minus1 = reader.ue()?;
        let num_tile_rows_minus1 = reader.ue()?;
        let uniform_spacing_flag = reader.bit()?;
        if !uniform_spacing_flag {
            // As many as the NAL unit says; each takes a bit at least, so its end bounds them.
            for _ in 0..u64::from(num_tile_columns_minus1) + u64::from(num_tile_rows_minus1) {
                reader.ue()?; // column_width_minus1, row_height_minus1
            }
        }
        reader.bit()?; // loop_filter_across_tiles_enabled_flag
    }
    Ok(tiles_enabled_flag || entropy_coding_sync_enabled_flag)
}

/// deblocking_filter_override_enabled_flag and pps_deblocking_filter_disabled_flag.
fn deblocking(reader: &mut BitReader<'_>) -> Result<[bool; 2]> {
    let deblocking_filter_control_present_flag = reader.bit()?;
    if !deblocking_filter_control_present_flag {
        return Ok([false, false]);
    }
    let flags = [reader.bit()?, reader.bit()?];
    if !flags[1] {
        reader.se()?; // pps_beta_offset_div2
        reader.se()?; // pps_tc_offset_div2
    }
    Ok(flags)
}

impl PpsExtensions {
    /// `pps_range_extension()` and `pps_scc_extension()`: §7.3.2.3.2, §7.3.2.3.3.
    fn parse(reader: &mut BitReader<'_>, transform_skip_enabled_flag: bool) -> Result<Self> {
        let mut extensions = Self::default();
        let pps_extension_present_flag = reader.bit()?;
        if !pps_extension_present_flag {
            return Ok(extensions);
        }
        let [range, multilayer, extension_3d, scc] =
            [reader.bit()?, reader.bit()?, reader.bit()?, reader.bit()?];
        reader.bits(4)?; // pps_extension_4bits
        if range {
            if transform_skip_enabled_flag {
                reader.ue()?; // log2_max_transform_skip_block_size_minus2
            }
            extensions.chroma_qp_offset_list_enabled_flag = range_extension(reader)?;
        }
        if scc && (multilayer || extension_3d) {
            return Err(Error::unsupported("pps_scc_extension_flag with a multilayer or 3D extension")
                .clause("ITU-T H.265 §7.3.2.3.1"));
        }
        if scc {
            extensions.pps_curr_pic_ref_enabled_flag = reader.bit()?;
            let residual_adaptive_colour_transform_enabled_flag = reader.bit()?;
            extensions.pps_slice_act_qp_offsets_present_flag =
                residual_adaptive_colour_transform_enabled_flag && reader.bit()?;
        }
        Ok(extensions)
    }
}

/// The rest of `pps_range_extension()`; chroma_qp_offset_list_enabled_flag.
fn range_extension(reader: &mut BitReader<'_>) -> Result<bool> {
    reader.bit()?; // cross_component_prediction_enabled_flag
    let chroma_qp_offset_list_enabled_flag = reader.bit()?;
    if chroma_qp_offset_list_enabled_flag {
        reader.ue()?; // diff_cu_chroma_qp_offset_depth
        for _ in 0..=reader.ue_up_to(5, "chroma_qp_offset_list_len_minus1")? {
            reader.se()?; // cb_qp_offset_list
            reader.se()?; // cr_qp_offset_list
        }
    }
    reader.ue()?; // log2_sao_offset_scale_luma
    reader.ue()?; // log2_sao_offset_scale_chroma
    Ok(chroma_qp_offset_list_enabled_flag)
}
