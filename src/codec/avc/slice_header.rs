//! The slice header, read to know where it ends — ITU-T H.264 §7.3.3.

use super::NalUnitHeader;
use super::nal_unit_type as types;
use super::parameter_sets::{MAX_NUM_REF_IDX_ACTIVE_MINUS1, ParameterSets, PicOrderCnt, Pps, Sps};
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// slice_type modulo 5: table 7-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SliceType {
    P,
    B,
    I,
    Sp,
    Si,
}

/// How many reference indices list 0 and list 1 have; none when the slice type lacks the list.
type NumRefIdxActive = [u32; 2];

/// Reads `slice_header()`; afterwards the cursor is at the first bit that follows it. Says whether that is CABAC data.
///
/// # Errors
/// When the NAL unit ends too early, an element is out of its bounds or a parameter set is absent.
pub(super) fn parse(reader: &mut BitReader<'_>, nal: NalUnitHeader, sets: &ParameterSets) -> Result<bool> {
    reader.ue()?; // first_mb_in_slice
    let slice_type = slice_type(reader)?;
    let pic_parameter_set_id = reader.ue_up_to(255, "pic_parameter_set_id")?;
    let (sps, pps) = sets.activate(pic_parameter_set_id)?;
    picture_identification(reader, nal, sps, pps)?;
    if pps.redundant_pic_cnt_present_flag {
        reader.ue_up_to(127, "redundant_pic_cnt")?;
    }
    if slice_type == SliceType::B {
        reader.bit()?; // direct_spatial_mv_pred_flag
    }
    let num_ref_idx_active = num_ref_idx_active(reader, slice_type, pps)?;
    for _ in num_ref_idx_active.iter().filter(|count| **count > 0) {
        ref_pic_list_modification(reader)?;
    }
    let explicit_weights = match slice_type {
        SliceType::P | SliceType::Sp => pps.weighted_pred_flag,
        SliceType::B => pps.weighted_bipred_idc == 1,
        SliceType::I | SliceType::Si => false,
    };
    if explicit_weights {
        pred_weight_table(reader, sps, num_ref_idx_active)?;
    }
    if nal.nal_ref_idc != 0 {
        dec_ref_pic_marking(reader, nal)?;
    }
    if pps.entropy_coding_mode_flag && !matches!(slice_type, SliceType::I | SliceType::Si) {
        reader.ue_up_to(2, "cabac_init_idc")?;
    }
    quantization_and_deblocking(reader, slice_type, pps)?;
    slice_group_change_cycle(reader, sps, pps)?;
    Ok(pps.entropy_coding_mode_flag)
}

fn slice_type(reader: &mut BitReader<'_>) -> Result<SliceType> {
    Ok(match reader.ue_up_to(9, "slice_type")? % 5 {
        0 => SliceType::P,
        1 => SliceType::B,
        2 => SliceType::I,
        3 => SliceType::Sp,
        _ => SliceType::Si,
    })
}

/// From colour_plane_id to delta_pic_order_cnt: to which picture the slice belongs. Returns frame_num and, of a field,
/// whether it is the bottom one.
pub(super) fn picture_identification(
    reader: &mut BitReader<'_>,
    nal: NalUnitHeader,
    sps: &Sps,
    pps: &Pps,
) -> Result<(u32, Option<bool>)> {
    if sps.separate_colour_plane_flag {
        reader.bits(2)?; // colour_plane_id
    }
    let frame_num = reader.bits(sps.frame_num_bits)?;
    let field_pic_flag = !sps.frame_mbs_only_flag && reader.bit()?;
    let bottom_field_flag = field_pic_flag.then(|| reader.bit()).transpose()?;
    if nal.is_idr() {
        reader.ue_up_to(65535, "idr_pic_id")?;
    }
    let bottom_follows = pps.bottom_field_pic_order_in_frame_present_flag && !field_pic_flag;
    match sps.pic_order_cnt {
        PicOrderCnt::Lsb(bits) => {
            reader.bits(bits)?; // pic_order_cnt_lsb
        }
        PicOrderCnt::Delta => {
            reader.se()?; // delta_pic_order_cnt[ 0 ]
        }
        PicOrderCnt::Inferred => return Ok((frame_num, bottom_field_flag)),
    }
    if bottom_follows {
        reader.se()?; // delta_pic_order_cnt_bottom or delta_pic_order_cnt[ 1 ]
    }
    Ok((frame_num, bottom_field_flag))
}

fn num_ref_idx_active(
    reader: &mut BitReader<'_>,
    slice_type: SliceType,
    pps: &Pps,
) -> Result<NumRefIdxActive> {
    let lists = match slice_type {
        SliceType::I | SliceType::Si => return Ok([0, 0]),
        SliceType::P | SliceType::Sp => 1,
        SliceType::B => 2,
    };
    let num_ref_idx_active_override_flag = reader.bit()?;
    let mut active = [0, 0];
    for (count, default) in active.iter_mut().zip(pps.num_ref_idx_default_active_minus1).take(lists) {
        let minus1 = if num_ref_idx_active_override_flag {
            reader.ue_up_to(MAX_NUM_REF_IDX_ACTIVE_MINUS1, "num_ref_idx_active_minus1")?
        } else {
            default
        };
        *count = minus1 + 1;
    }
    Ok(active)
}

/// One list of `ref_pic_list_modification()`: §7.3.3.1.
fn ref_pic_list_modification(reader: &mut BitReader<'_>) -> Result<()> {
    let ref_pic_list_modification_flag = reader.bit()?;
    if !ref_pic_list_modification_flag {
        return Ok(());
    }
    while reader.ue_up_to(3, "modification_of_pic_nums_idc")? != 3 {
        reader.ue()?; // abs_diff_pic_num_minus1 or long_term_pic_num
    }
    Ok(())
}

/// `pred_weight_table()`: §7.3.3.2.
fn pred_weight_table(reader: &mut BitReader<'_>, sps: &Sps, active: NumRefIdxActive) -> Result<()> {
    let has_chroma = sps.chroma_array_type != 0;
    reader.ue_up_to(7, "luma_log2_weight_denom")?;
    if has_chroma {
        reader.ue_up_to(7, "chroma_log2_weight_denom")?;
    }
    for _ in 0..active.iter().sum() {
        let luma_weight_flag = reader.bit()?;
        if luma_weight_flag {
            weights_and_offsets(reader, 1)?;
        }
        let chroma_weight_flag = has_chroma && reader.bit()?;
        if chroma_weight_flag {
            weights_and_offsets(reader, 2)?; // Cb and Cr
        }
    }
    Ok(())
}

fn weights_and_offsets(reader: &mut BitReader<'_>, components: u32) -> Result<()> {
    for _ in 0..components {
        for name in ["prediction weight", "prediction offset"] {
            let value = reader.se()?;
            if !(-128..=127).contains(&value) {
                return Err(Error::input(format!("{name} is {value}, -128 to 127 expected"))
                    .clause("ITU-T H.264 §7.4.3.2"));
            }
        }
    }
    Ok(())
}

/// `dec_ref_pic_marking()`: §7.3.3.3.
fn dec_ref_pic_marking(reader: &mut BitReader<'_>, nal: NalUnitHeader) -> Result<()> {
    if nal.is_idr() {
        reader.bits(2)?; // no_output_of_prior_pics_flag, long_term_reference_flag
        return Ok(());
    }
    let adaptive_ref_pic_marking_mode_flag = reader.bit()?;
    if !adaptive_ref_pic_marking_mode_flag {
        return Ok(());
    }
    loop {
        let operands = match reader.ue_up_to(6, "memory_management_control_operation")? {
            0 => return Ok(()),
            3 => 2,
            5 => 0,
            _ => 1,
        };
        for _ in 0..operands {
            reader.ue()?;
        }
    }
}

fn quantization_and_deblocking(reader: &mut BitReader<'_>, slice_type: SliceType, pps: &Pps) -> Result<()> {
    reader.se()?; // slice_qp_delta
    if slice_type == SliceType::Sp {
        reader.bit()?; // sp_for_switch_flag
    }
    if matches!(slice_type, SliceType::Sp | SliceType::Si) {
        reader.se()?; // slice_qs_delta
    }
    if pps.deblocking_filter_control_present_flag && reader.ue_up_to(2, "disable_deblocking_filter_idc")? != 1
    {
        reader.se()?; // slice_alpha_c0_offset_div2
        reader.se()?; // slice_beta_offset_div2
    }
    Ok(())
}

/// slice_group_change_cycle of Ceil( Log2( PicSizeInMapUnits ÷ SliceGroupChangeRate + 1 ) ) bits: §7.4.3.
fn slice_group_change_cycle(reader: &mut BitReader<'_>, sps: &Sps, pps: &Pps) -> Result<()> {
    let Some(slice_group_change_rate) = pps.slice_group_change_rate else { return Ok(()) };
    // The quotient is not truncated, which under Ceil( Log2( ) ) is the same as rounding it up.
    let cycles = sps.pic_size_in_map_units.div_ceil(slice_group_change_rate);
    reader.bits(u32::BITS - cycles.leading_zeros())?;
    Ok(())
}

/// Slices whose data would stay clear.
pub(super) fn unsupported(nal_unit_type: u8) -> Error {
    let what = match nal_unit_type {
        types::AUXILIARY_SLICE => "an auxiliary coded picture",
        types::SLICE_EXTENSION => "a slice of another layer or view",
        types::SLICE_EXTENSION_FOR_DEPTH => "a slice of a depth or texture view",
        _ => "a slice data partition",
    };
    Error::unsupported(format!("{what}, nal_unit_type {nal_unit_type}"))
        .clause("ITU-T H.264 table 7-1")
        .hint("extract the base layer, or encode with one slice data partition")
}
