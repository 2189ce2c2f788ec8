//! The slice segment header, read to know where it ends — ITU-T H.265 §7.3.6.

use super::parameter_sets::{MAX_PPS_ID, ParameterSets};
use super::pps::{MAX_NUM_REF_IDX_ACTIVE_MINUS1, Pps};
use super::ref_pic_set::{Carrier, StRefPicSet};
use super::sps::Sps;
use super::vps::SecondLayer;
use super::{NalUnitHeader, nal_unit_type};
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// slice_type: table 7-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SliceType {
    B,
    P,
    I,
}

/// What reference pictures a slice has, as far as later elements depend on them.
#[derive(Clone, Copy, Debug, Default)]
struct References {
    /// NumPicTotalCurr: (7-55).
    num_pic_total_curr: u32,
    slice_temporal_mvp_enabled_flag: bool,
}

/// Which loop filters a slice has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SampleAdaptiveOffset {
    On,
    Off,
}

/// Reads `slice_segment_header()`, byte_alignment() included; afterwards the cursor is at the first bit
/// of the slice segment data.
///
/// # Errors
/// When the NAL unit ends too early, an element is out of its bounds or a parameter set is absent.
pub(super) fn parse(reader: &mut BitReader<'_>, header: NalUnitHeader, sets: &ParameterSets) -> Result<()> {
    let second_layer = sets.second_layer(header)?;
    let first_slice_segment_in_pic_flag = reader.bit()?;
    if (nal_unit_type::BLA_W_LP..=nal_unit_type::RSV_IRAP_VCL23).contains(&header.nal_unit_type) {
        reader.bit()?; // no_output_of_prior_pics_flag
    }
    let slice_pic_parameter_set_id = reader.ue_up_to(MAX_PPS_ID, "slice_pic_parameter_set_id")?;
    let (sps, pps) = sets.activate(slice_pic_parameter_set_id, second_layer.is_none())?;
    let mut dependent_slice_segment_flag = false;
    if !first_slice_segment_in_pic_flag {
        dependent_slice_segment_flag = pps.dependent_slice_segments_enabled_flag && reader.bit()?;
        reader.bits(sps.slice_segment_address_bits)?; // slice_segment_address
    }
    if !dependent_slice_segment_flag {
        independent(reader, header, second_layer, sps, pps)?;
    }
    if pps.has_entry_points {
        entry_points(reader)?;
    }
    if pps.slice_segment_header_extension_present_flag {
        for _ in 0..reader.ue_up_to(256, "slice_segment_header_extension_length")? {
            reader.bits(8)?; // slice_segment_header_extension_data_byte
        }
    }
    byte_alignment(reader)
}

/// What a dependent slice segment takes over from the slice segment before it.
fn independent(
    reader: &mut BitReader<'_>,
    header: NalUnitHeader,
    second_layer: Option<&SecondLayer>,
    sps: &Sps,
    pps: &Pps,
) -> Result<()> {
    // slice_reserved_flag; of a second layer also discardable_flag and cross_layer_bla_flag.
    reader.bits(pps.num_extra_slice_header_bits)?;
    let slice_type = match reader.ue_up_to(2, "slice_type")? {
        0 => SliceType::B,
        1 => SliceType::P,
        _ => SliceType::I,
    };
    if pps.output_flag_present_flag {
        reader.bit()?; // pic_output_flag
    }
    if sps.separate_colour_plane_flag {
        reader.bits(2)?; // colour_plane_id
    }
    let mut references = References::default();
    let is_idr = matches!(header.nal_unit_type, nal_unit_type::IDR_W_RADL | nal_unit_type::IDR_N_LP);
    if !is_idr || second_layer.is_some_and(|layer| !layer.poc_lsb_not_present_flag) {
        reader.bits(sps.pic_order_cnt_lsb_bits)?; // slice_pic_order_cnt_lsb
    }
    if !is_idr {
        references = reference_pictures(reader, sps)?;
    }
    if let Some(layer) = second_layer {
        references.num_pic_total_curr += active_reference_layers(reader, layer, header.temporal_id)?;
    }
    references.num_pic_total_curr += u32::from(pps.extensions.pps_curr_pic_ref_enabled_flag);
    let mut sample_adaptive_offset = SampleAdaptiveOffset::Off;
    if sps.sample_adaptive_offset_enabled_flag {
        let slice_sao_luma_flag = reader.bit()?;
        let slice_sao_chroma_flag = sps.chroma_array_type != 0 && reader.bit()?;
        if slice_sao_luma_flag || slice_sao_chroma_flag {
            sample_adaptive_offset = SampleAdaptiveOffset::On;
        }
    }
    if slice_type != SliceType::I {
        inter_prediction(reader, slice_type, references, sps, pps)?;
    }
    quantization(reader, pps)?;
    loop_filters(reader, sample_adaptive_offset, pps)
}

/// NumActiveRefLayerPics of a layer with at most one reference layer: §F.7.3.6.1, §F.7.4.7.1.
fn active_reference_layers(reader: &mut BitReader<'_>, layer: &SecondLayer, temporal_id: u8) -> Result<u32> {
    let is_said = layer.is_dependent && !layer.default_ref_layers_active_flag;
    let inter_layer_pred_enabled_flag = !is_said || reader.bit()?;
    Ok(if inter_layer_pred_enabled_flag { layer.reference_layers(temporal_id.into()) } else { 0 })
}

/// From short_term_ref_pic_set_sps_flag to slice_temporal_mvp_enabled_flag.
fn reference_pictures(reader: &mut BitReader<'_>, sps: &Sps) -> Result<References> {
    let short_term_ref_pic_set_sps_flag = reader.bit()?;
    let short_term = if short_term_ref_pic_set_sps_flag {
        let short_term_ref_pic_set_idx = reader.bits(ceil_log2(sps.st_ref_pic_sets.len()))?;
        let index = usize::try_from(short_term_ref_pic_set_idx).ok();
        let set = index.and_then(|index| sps.st_ref_pic_sets.get(index)).ok_or_else(|| {
            let sets = sps.st_ref_pic_sets.len();
            Error::input(format!("short_term_ref_pic_set_idx is {short_term_ref_pic_set_idx} of {sets} sets"))
                .clause("ITU-T H.265 §7.4.7.1")
        })?;
        set.used_by_curr_pic()
    } else {
        StRefPicSet::parse(reader, &sps.st_ref_pic_sets, Carrier::Slice)?.used_by_curr_pic()
    };
    let long_term = match &sps.long_term_ref_pics {
        Some(candidates) => long_term_pictures(reader, sps, candidates)?,
        None => 0,
    };
    let slice_temporal_mvp_enabled_flag = sps.sps_temporal_mvp_enabled_flag && reader.bit()?;
    Ok(References { num_pic_total_curr: short_term + long_term, slice_temporal_mvp_enabled_flag })
}

/// The long-term reference pictures; how many of them the current picture may refer to.
fn long_term_pictures(reader: &mut BitReader<'_>, sps: &Sps, candidates: &[bool]) -> Result<u32> {
    let num_long_term_sps =
        if candidates.is_empty() { 0 } else { reader.ue_up_to(32, "num_long_term_sps")? };
    let num_long_term_pics = reader.ue_up_to(32, "num_long_term_pics")?;
    let mut used = 0;
    for picture in 0..num_long_term_sps + num_long_term_pics {
        let used_by_curr_pic_lt = if picture < num_long_term_sps {
            let lt_idx_sps = reader.bits(ceil_log2(candidates.len()))?;
            let index = usize::try_from(lt_idx_sps).ok();
            *index.and_then(|index| candidates.get(index)).ok_or_else(|| {
                Error::input(format!("lt_idx_sps is {lt_idx_sps} of {} candidates", candidates.len()))
                    .clause("ITU-T H.265 §7.4.7.1")
            })?
        } else {
            reader.bits(sps.pic_order_cnt_lsb_bits)?; // poc_lsb_lt
            reader.bit()?
        };
        used += u32::from(used_by_curr_pic_lt);
        let delta_poc_msb_present_flag = reader.bit()?;
        if delta_poc_msb_present_flag {
            reader.ue()?; // delta_poc_msb_cycle_lt
        }
    }
    Ok(used)
}

/// Ceil( Log2( count ) ), 0 for nothing to choose from.
fn ceil_log2(count: usize) -> u32 {
    count.next_power_of_two().trailing_zeros()
}

/// From num_ref_idx_active_override_flag to use_integer_mv_flag.
fn inter_prediction(
    reader: &mut BitReader<'_>,
    slice_type: SliceType,
    references: References,
    sps: &Sps,
    pps: &Pps,
) -> Result<()> {
    let lists = if slice_type == SliceType::B { 2 } else { 1 };
    let mut num_ref_idx_active_minus1 = pps.num_ref_idx_default_active_minus1;
    let num_ref_idx_active_override_flag = reader.bit()?;
    if num_ref_idx_active_override_flag {
        for count in num_ref_idx_active_minus1.iter_mut().take(lists) {
            *count = reader.ue_up_to(MAX_NUM_REF_IDX_ACTIVE_MINUS1, "num_ref_idx_active_minus1")?;
        }
    }
    let active = num_ref_idx_active_minus1.get(..lists).unwrap_or_default();
    if pps.lists_modification_present_flag && references.num_pic_total_curr > 1 {
        ref_pic_lists_modification(reader, active, references.num_pic_total_curr)?;
    }
    if slice_type == SliceType::B {
        reader.bit()?; // mvd_l1_zero_flag
    }
    if pps.cabac_init_present_flag {
        reader.bit()?; // cabac_init_flag
    }
    if references.slice_temporal_mvp_enabled_flag {
        // Inferred to be 1 when there is no list 1: §7.4.7.1.
        let collocated_from_l0_flag = slice_type != SliceType::B || reader.bit()?;
        let [l0, l1] = num_ref_idx_active_minus1;
        if (if collocated_from_l0_flag { l0 } else { l1 }) > 0 {
            reader.ue_up_to(MAX_NUM_REF_IDX_ACTIVE_MINUS1, "collocated_ref_idx")?;
        }
    }
    let explicit_weights = match slice_type {
        SliceType::P => pps.weighted_pred_flag,
        SliceType::B => pps.weighted_bipred_flag,
        SliceType::I => false,
    };
    if explicit_weights {
        pred_weight_table(reader, active, sps, pps)?;
    }
    reader.ue_up_to(4, "five_minus_max_num_merge_cand")?;
    if sps.motion_vector_resolution_control_idc == 2 {
        reader.bit()?; // use_integer_mv_flag
    }
    Ok(())
}

/// `ref_pic_lists_modification()`: §7.3.6.2.
fn ref_pic_lists_modification(
    reader: &mut BitReader<'_>,
    num_ref_idx_active_minus1: &[u32],
    num_pic_total_curr: u32,
) -> Result<()> {
    let list_entry_bits = num_pic_total_curr.next_power_of_two().trailing_zeros();
    for minus1 in num_ref_idx_active_minus1 {
        let ref_pic_list_modification_flag = reader.bit()?;
        if ref_pic_list_modification_flag {
            for _ in 0..=*minus1 {
                reader.bits(list_entry_bits)?; // list_entry
            }
        }
    }
    Ok(())
}

/// `pred_weight_table()`: §7.3.6.3. Every reference picture differs from the current one in its picture order count or
/// its layer, unless the current picture is one of them.
fn pred_weight_table(
    reader: &mut BitReader<'_>,
    num_ref_idx_active_minus1: &[u32],
    sps: &Sps,
    pps: &Pps,
) -> Result<()> {
    if pps.extensions.pps_curr_pic_ref_enabled_flag {
        return Err(Error::unsupported("weighted prediction with pps_curr_pic_ref_enabled_flag")
            .clause("ITU-T H.265 §7.3.6.3"));
    }
    let has_chroma = sps.chroma_array_type != 0;
    reader.ue_up_to(7, "luma_log2_weight_denom")?;
    if has_chroma {
        reader.se()?; // delta_chroma_log2_weight_denom
    }
    for minus1 in num_ref_idx_active_minus1 {
        let mut codes = [0_u32; MAX_NUM_REF_IDX_ACTIVE_MINUS1 as usize + 1];
        for count in codes.iter_mut().zip(0..=*minus1).map(|(count, _)| count) {
            let luma_weight_flag = reader.bit()?;
            *count += if luma_weight_flag { 2 } else { 0 }; // delta_luma_weight, luma_offset
        }
        for count in codes.iter_mut().zip(0..=*minus1).map(|(count, _)| count) {
            let chroma_weight_flag = has_chroma && reader.bit()?;
            *count += if chroma_weight_flag { 4 } else { 0 }; // the same for Cb and Cr
        }
        for _ in 0..codes.iter().sum() {
            reader.se()?;
        }
    }
    Ok(())
}

/// From slice_qp_delta to cu_chroma_qp_offset_enabled_flag.
fn quantization(reader: &mut BitReader<'_>, pps: &Pps) -> Result<()> {
    reader.se()?; // slice_qp_delta
    if pps.pps_slice_chroma_qp_offsets_present_flag {
        reader.se()?; // slice_cb_qp_offset
        reader.se()?; // slice_cr_qp_offset
    }
    if pps.extensions.pps_slice_act_qp_offsets_present_flag {
        for _ in 0..3 {
            reader.se()?; // slice_act_y_qp_offset, slice_act_cb_qp_offset, slice_act_cr_qp_offset
        }
    }
    if pps.extensions.chroma_qp_offset_list_enabled_flag {
        reader.bit()?; // cu_chroma_qp_offset_enabled_flag
    }
    Ok(())
}

/// From deblocking_filter_override_flag to slice_loop_filter_across_slices_enabled_flag.
fn loop_filters(
    reader: &mut BitReader<'_>,
    sample_adaptive_offset: SampleAdaptiveOffset,
    pps: &Pps,
) -> Result<()> {
    let deblocking_filter_override_flag = pps.deblocking_filter_override_enabled_flag && reader.bit()?;
    let mut slice_deblocking_filter_disabled_flag = pps.pps_deblocking_filter_disabled_flag;
    if deblocking_filter_override_flag {
        slice_deblocking_filter_disabled_flag = reader.bit()?;
        if !slice_deblocking_filter_disabled_flag {
            reader.se()?; // slice_beta_offset_div2
            reader.se()?; // slice_tc_offset_div2
        }
    }
    let filtered =
        sample_adaptive_offset == SampleAdaptiveOffset::On || !slice_deblocking_filter_disabled_flag;
    if pps.pps_loop_filter_across_slices_enabled_flag && filtered {
        reader.bit()?; // slice_loop_filter_across_slices_enabled_flag
    }
    Ok(())
}

fn entry_points(reader: &mut BitReader<'_>) -> Result<()> {
    let num_entry_point_offsets = reader.ue()?;
    if num_entry_point_offsets > 0 {
        let offset_len_minus1 = reader.ue_up_to(31, "offset_len_minus1")?;
        // As many as the NAL unit says; each takes a bit at least, so its end bounds them.
        for _ in 0..num_entry_point_offsets {
            reader.bits(offset_len_minus1 + 1)?; // entry_point_offset_minus1
        }
    }
    Ok(())
}

/// `byte_alignment()`: §7.3.2.12. The bits after the first are as many as the byte has left.
fn byte_alignment(reader: &mut BitReader<'_>) -> Result<()> {
    let alignment_bit_equal_to_one = reader.bit()?;
    if !alignment_bit_equal_to_one {
        return Err(Error::input("alignment_bit_equal_to_one is 0").clause("ITU-T H.265 §7.4.3.12"));
    }
    Ok(())
}
