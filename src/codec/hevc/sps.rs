//! Sequence parameter sets, as far as slice segment headers need them — ITU-T H.265 §7.3.2.2, §E.2.

use super::parameter_sets::{MAX_SPS_ID, scaling_list_data};
use super::ref_pic_set::{Carrier, StRefPicSet};
use super::vps::SecondLayer;
use crate::base::bits::BitReader;
use crate::base::{Error, Result};
use crate::codec::{VideoInfo, vui};

/// Greatest num_short_term_ref_pic_sets: §7.4.3.2.1.
const MAX_SHORT_TERM_REF_PIC_SETS: u32 = 64;
/// Greatest num_long_term_ref_pics_sps: §7.4.3.2.1.
const MAX_LONG_TERM_REF_PICS_SPS: u32 = 32;

/// A sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) separate_colour_plane_flag: bool,
    /// 0 for monochrome and for separate color planes.
    pub(super) chroma_array_type: u32,
    pub(super) pic_order_cnt_lsb_bits: u32,
    /// Ceil( Log2( PicSizeInCtbsY ) ).
    pub(super) slice_segment_address_bits: u32,
    pub(super) sample_adaptive_offset_enabled_flag: bool,
    pub(super) st_ref_pic_sets: Vec<StRefPicSet>,
    /// `None` without long_term_ref_pics_present_flag; else used_by_curr_pic_lt_sps_flag of each candidate.
    pub(super) long_term_ref_pics: Option<Vec<bool>>,
    pub(super) sps_temporal_mvp_enabled_flag: bool,
    /// motion_vector_resolution_control_idc of the screen content coding extension.
    pub(super) motion_vector_resolution_control_idc: u32,
    pub(super) video: VideoInfo,
}

/// What a sequence or video parameter set says of the samples of pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PictureFormat {
    pub(super) separate_colour_plane_flag: bool,
    pub(super) chroma_format_idc: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bit_depth: [u32; 2],
}

impl Sps {
    /// `seq_parameter_set_rbsp()`; `second_layer` is what the video parameter set says where the set is one of that
    /// layer, which may say less: §F.7.3.2.2.1.
    pub(super) fn parse(
        reader: &mut BitReader<'_>,
        second_layer: Option<&SecondLayer>,
    ) -> Result<(u32, Self)> {
        reader.bits(4)?; // sps_video_parameter_set_id
        let mut sps_max_sub_layers_minus1 = reader.bits(3)?;
        // MultiLayerExtSpsFlag.
        let inferred = second_layer.filter(|_| sps_max_sub_layers_minus1 == 7);
        match inferred {
            Some(second_layer) => sps_max_sub_layers_minus1 = second_layer.max_sub_layers_minus1,
            None => {
                reader.bit()?; // sps_temporal_id_nesting_flag
                profile_tier_level(reader, true, sps_max_sub_layers_minus1)?;
            }
        }
        let id = reader.ue_up_to(MAX_SPS_ID, "sps_seq_parameter_set_id")?;
        let format = match inferred {
            Some(second_layer) => {
                let update_rep_format_flag = reader.bit()?;
                let sps_rep_format_idx = update_rep_format_flag.then(|| reader.bits(8)).transpose()?;
                second_layer.format(sps_rep_format_idx)?
            }
            None => picture_format(reader)?,
        };
        let pic_order_cnt_lsb_bits = 4 + reader.ue_up_to(12, "log2_max_pic_order_cnt_lsb_minus4")?;
        if inferred.is_none() {
            sub_layer_ordering_info(reader, sps_max_sub_layers_minus1)?;
        }
        let slice_segment_address_bits = coding_block_sizes(reader, &format)?;
        let scaling_list_enabled_flag = reader.bit()?;
        let sps_infer_scaling_list_flag = scaling_list_enabled_flag && inferred.is_some() && reader.bit()?;
        if sps_infer_scaling_list_flag {
            reader.bits(6)?; // sps_scaling_list_ref_layer_id
        } else if scaling_list_enabled_flag && reader.bit()? {
            scaling_list_data(reader)?;
        }
        reader.bit()?; // amp_enabled_flag
        let sample_adaptive_offset_enabled_flag = reader.bit()?;
        pcm(reader)?;
        let mut st_ref_pic_sets = Vec::new();
        for _ in 0..reader.ue_up_to(MAX_SHORT_TERM_REF_PIC_SETS, "num_short_term_ref_pic_sets")? {
            st_ref_pic_sets.push(StRefPicSet::parse(reader, &st_ref_pic_sets, Carrier::Sps)?);
        }
        let long_term_ref_pics = long_term_ref_pics(reader, pic_order_cnt_lsb_bits)?;
        let sps_temporal_mvp_enabled_flag = reader.bit()?;
        reader.bit()?; // strong_intra_smoothing_enabled_flag
        let vui_parameters_present_flag = reader.bit()?;
        let mut video = VideoInfo::of_depth(format.bit_depth[0]);
        if vui_parameters_present_flag {
            video = vui_parameters(reader, sps_max_sub_layers_minus1, format.bit_depth[0])
                .map_err(|e| e.at("vui_parameters"))?;
        }
        let motion_vector_resolution_control_idc = extensions(reader, &format)?;
        let chroma_array_type = if format.separate_colour_plane_flag { 0 } else { format.chroma_format_idc };
        let sps = Self {
            separate_colour_plane_flag: format.separate_colour_plane_flag,
            chroma_array_type,
            pic_order_cnt_lsb_bits,
            slice_segment_address_bits,
            sample_adaptive_offset_enabled_flag,
            st_ref_pic_sets,
            long_term_ref_pics,
            sps_temporal_mvp_enabled_flag,
            motion_vector_resolution_control_idc,
            video,
        };
        Ok((id, sps))
    }
}

/// `profile_tier_level()`, passed over: §7.3.3.
pub(super) fn profile_tier_level(
    reader: &mut BitReader<'_>,
    profile_present_flag: bool,
    max_sub_layers_minus1: u32,
) -> Result<()> {
    skip(reader, if profile_present_flag { 88 + 8 } else { 8 })?; // general profile and level
    let mut present = [[false; 2]; 8];
    let sub_layers = present.iter_mut().take(usize::try_from(max_sub_layers_minus1).unwrap_or(0));
    for [sub_layer_profile_present_flag, sub_layer_level_present_flag] in sub_layers {
        *sub_layer_profile_present_flag = reader.bit()?;
        *sub_layer_level_present_flag = reader.bit()?;
    }
    if max_sub_layers_minus1 > 0 {
        skip(reader, 2 * (8_u32.saturating_sub(max_sub_layers_minus1)))?; // reserved_zero_2bits
    }
    for [profile, level] in present {
        skip(reader, if profile { 88 } else { 0 })?;
        skip(reader, if level { 8 } else { 0 })?;
    }
    Ok(())
}

pub(super) fn skip(reader: &mut BitReader<'_>, bits: u32) -> Result<()> {
    (0..bits).try_for_each(|_| reader.bit().map(|_| ()))
}

pub(super) fn skip_ue(reader: &mut BitReader<'_>, codes: u32) -> Result<()> {
    (0..codes).try_for_each(|_| reader.ue().map(|_| ()))
}

/// From chroma_format_idc to bit_depth_chroma_minus8.
fn picture_format(reader: &mut BitReader<'_>) -> Result<PictureFormat> {
    let chroma_format_idc = reader.ue_up_to(3, "chroma_format_idc")?;
    let separate_colour_plane_flag = chroma_format_idc == 3 && reader.bit()?;
    let width = reader.ue()?;
    let height = reader.ue()?;
    let conformance_window_flag = reader.bit()?;
    skip_ue(reader, if conformance_window_flag { 4 } else { 0 })?;
    let bit_depth = [
        8 + reader.ue_up_to(8, "bit_depth_luma_minus8")?,
        8 + reader.ue_up_to(8, "bit_depth_chroma_minus8")?,
    ];
    Ok(PictureFormat { separate_colour_plane_flag, chroma_format_idc, width, height, bit_depth })
}

fn sub_layer_ordering_info(reader: &mut BitReader<'_>, sps_max_sub_layers_minus1: u32) -> Result<()> {
    let sps_sub_layer_ordering_info_present_flag = reader.bit()?;
    let layers = if sps_sub_layer_ordering_info_present_flag { sps_max_sub_layers_minus1 + 1 } else { 1 };
    skip_ue(reader, 3 * layers)
}

/// From log2_min_luma_coding_block_size_minus3 to max_transform_hierarchy_depth_intra; the bits of
/// slice_segment_address.
fn coding_block_sizes(reader: &mut BitReader<'_>, format: &PictureFormat) -> Result<u32> {
    let min_log2 = 3 + reader.ue_up_to(3, "log2_min_luma_coding_block_size_minus3")?;
    let ctb_log2 = min_log2 + reader.ue_up_to(3, "log2_diff_max_min_luma_coding_block_size")?;
    skip_ue(reader, 4)?; // transform block sizes and depths
    let ctbs = |samples: u32| u64::from(samples.div_ceil(1 << ctb_log2));
    let pic_size_in_ctbs = ctbs(format.width) * ctbs(format.height);
    if pic_size_in_ctbs == 0 || pic_size_in_ctbs > u64::from(u32::MAX) {
        return Err(Error::input(format!("picture of {} by {} samples", format.width, format.height))
            .clause("ITU-T H.265 §A.4.1"));
    }
    Ok(pic_size_in_ctbs.next_power_of_two().trailing_zeros())
}

fn pcm(reader: &mut BitReader<'_>) -> Result<()> {
    let pcm_enabled_flag = reader.bit()?;
    if pcm_enabled_flag {
        reader.bits(8)?; // pcm_sample_bit_depth_luma_minus1, pcm_sample_bit_depth_chroma_minus1
        skip_ue(reader, 2)?; // pcm coding block sizes
        reader.bit()?; // pcm_loop_filter_disabled_flag
    }
    Ok(())
}

fn long_term_ref_pics(reader: &mut BitReader<'_>, pic_order_cnt_lsb_bits: u32) -> Result<Option<Vec<bool>>> {
    let long_term_ref_pics_present_flag = reader.bit()?;
    if !long_term_ref_pics_present_flag {
        return Ok(None);
    }
    let mut used_by_curr_pic_lt_sps_flag = Vec::new();
    for _ in 0..reader.ue_up_to(MAX_LONG_TERM_REF_PICS_SPS, "num_long_term_ref_pics_sps")? {
        reader.bits(pic_order_cnt_lsb_bits)?; // lt_ref_pic_poc_lsb_sps
        used_by_curr_pic_lt_sps_flag.push(reader.bit()?);
    }
    Ok(Some(used_by_curr_pic_lt_sps_flag))
}

/// `vui_parameters()`, passed over but for its beginning: §E.2.1.
fn vui_parameters(
    reader: &mut BitReader<'_>,
    sps_max_sub_layers_minus1: u32,
    bit_depth: u32,
) -> Result<VideoInfo> {
    let info = vui::start(reader, bit_depth)?;
    let chroma_loc_info_present_flag = reader.bit()?;
    skip_ue(reader, if chroma_loc_info_present_flag { 2 } else { 0 })?;
    reader.bits(3)?; // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    let default_display_window_flag = reader.bit()?;
    skip_ue(reader, if default_display_window_flag { 4 } else { 0 })?;
    let vui_timing_info_present_flag = reader.bit()?;
    if vui_timing_info_present_flag {
        skip(reader, 64)?; // vui_num_units_in_tick, vui_time_scale
        let vui_poc_proportional_to_timing_flag = reader.bit()?;
        skip_ue(reader, u32::from(vui_poc_proportional_to_timing_flag))?;
        let vui_hrd_parameters_present_flag = reader.bit()?;
        if vui_hrd_parameters_present_flag {
            hrd_parameters(reader, sps_max_sub_layers_minus1).map_err(|e| e.at("hrd_parameters"))?;
        }
    }
    let bitstream_restriction_flag = reader.bit()?;
    if bitstream_restriction_flag {
        reader.bits(3)?; // three flags of what streams do not do
        skip_ue(reader, 5)?; // from min_spatial_segmentation_idc to log2_max_mv_length_vertical
    }
    Ok(info)
}

/// `hrd_parameters( 1, maxNumSubLayersMinus1 )`, passed over: §E.2.2.
pub(super) fn hrd_parameters(reader: &mut BitReader<'_>, max_sub_layers_minus1: u32) -> Result<()> {
    let nal_hrd_parameters_present_flag = reader.bit()?;
    let vcl_hrd_parameters_present_flag = reader.bit()?;
    let kinds = u32::from(nal_hrd_parameters_present_flag) + u32::from(vcl_hrd_parameters_present_flag);
    let mut codes = 2; // bit_rate_value_minus1, cpb_size_value_minus1
    if kinds > 0 {
        let sub_pic_hrd_params_present_flag = reader.bit()?;
        if sub_pic_hrd_params_present_flag {
            codes = 4; // and those of decoding units
            skip(reader, 19)?; // from tick_divisor_minus2 to dpb_output_delay_du_length_minus1
        }
        reader.bits(8)?; // bit_rate_scale, cpb_size_scale
        skip(reader, if sub_pic_hrd_params_present_flag { 4 } else { 0 })?; // cpb_size_du_scale
        reader.bits(15)?; // lengths of delays
    }
    for _ in 0..=max_sub_layers_minus1 {
        let fixed_pic_rate_general_flag = reader.bit()?;
        let fixed_pic_rate_within_cvs_flag = fixed_pic_rate_general_flag || reader.bit()?;
        let mut low_delay_hrd_flag = false;
        if fixed_pic_rate_within_cvs_flag {
            reader.ue()?; // elemental_duration_in_tc_minus1
        } else {
            low_delay_hrd_flag = reader.bit()?;
        }
        let cpb_cnt = if low_delay_hrd_flag { 1 } else { 1 + reader.ue_up_to(31, "cpb_cnt_minus1")? };
        for _ in 0..kinds * cpb_cnt {
            skip_ue(reader, codes)?;
            reader.bit()?; // cbr_flag
        }
    }
    Ok(())
}

/// The extensions, for motion_vector_resolution_control_idc: §7.3.2.2.2, §7.3.2.2.3.
fn extensions(reader: &mut BitReader<'_>, format: &PictureFormat) -> Result<u32> {
    let sps_extension_present_flag = reader.bit()?;
    if !sps_extension_present_flag {
        return Ok(0);
    }
    let [range, multilayer, extension_3d, scc] = [reader.bit()?, reader.bit()?, reader.bit()?, reader.bit()?];
    reader.bits(4)?; // sps_extension_4bits
    if !scc {
        return Ok(0);
    }
    if extension_3d {
        return Err(Error::unsupported("sps_3d_extension_flag and sps_scc_extension_flag in one set")
            .clause("ITU-T H.265 §7.3.2.2.1"));
    }
    skip(reader, if range { 9 } else { 0 })?;
    skip(reader, u32::from(multilayer))?; // inter_view_mv_vert_constraint_flag
    reader.bit()?; // sps_curr_pic_ref_enabled_flag
    let palette_mode_enabled_flag = reader.bit()?;
    if palette_mode_enabled_flag {
        skip_ue(reader, 2)?; // palette_max_size, delta_palette_max_predictor_size
        let sps_palette_predictor_initializers_present_flag = reader.bit()?;
        if sps_palette_predictor_initializers_present_flag {
            let entries = 1 + reader.ue_up_to(127, "sps_num_palette_predictor_initializers_minus1")?;
            let [luma, chroma] = format.bit_depth;
            let bits = if format.chroma_format_idc == 0 { luma } else { luma + 2 * chroma };
            skip(reader, entries * bits)?;
        }
    }
    reader.bits(2)
}
