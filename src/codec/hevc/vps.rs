//! The video parameter set of two views, as far as slice segment headers of the second need it — ITU-T H.265 §7.3.2.1,
//! §F.7.3.2.1, annex G.

use super::sps::{PictureFormat, hrd_parameters, profile_tier_level, skip, skip_ue};
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// Greatest vps_num_layer_sets_minus1, and num_add_olss: §7.4.3.1, §F.7.4.3.1.1.
const MAX_LAYER_SETS: u32 = 1023;
/// Greatest vps_num_profile_tier_level_minus1: §F.7.4.3.1.1.
const MAX_PROFILES: u32 = 63;
/// Greatest vps_num_rep_formats_minus1: §F.7.4.3.1.1.
const MAX_REP_FORMATS: u32 = 255;

/// What a video parameter set says of a second layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecondLayer {
    /// layer_id_in_nuh of it.
    pub(super) nuh_layer_id: u8,
    /// Whether it is predicted from the base layer.
    pub(super) is_dependent: bool,
    /// Whether inter-layer prediction is not said in slices, since it is always there.
    pub(super) default_ref_layers_active_flag: bool,
    /// Whether IDR pictures of it have no slice_pic_order_cnt_lsb.
    pub(super) poc_lsb_not_present_flag: bool,
    /// The greatest TemporalId of pictures that are predicted from the base layer.
    max_temporal_id: u32,
    pub(super) max_sub_layers_minus1: u32,
    rep_formats: Vec<PictureFormat>,
    rep_format_idx: u32,
}

impl SecondLayer {
    /// numRefLayerPics: (F-55).
    pub(super) fn reference_layers(&self, temporal_id: u32) -> u32 {
        u32::from(self.is_dependent && temporal_id <= self.max_temporal_id)
    }

    /// The format of a sequence parameter set that names one of these, or none.
    pub(super) fn format(&self, sps_rep_format_idx: Option<u32>) -> Result<PictureFormat> {
        let index = sps_rep_format_idx.unwrap_or(self.rep_format_idx);
        let found = usize::try_from(index).ok().and_then(|index| self.rep_formats.get(index));
        found.cloned().ok_or_else(|| {
            Error::input(format!("rep_format {index} of {}", self.rep_formats.len()))
                .clause("ITU-T H.265 §F.7.4.3.1.1")
        })
    }
}

/// Reads `video_parameter_set_rbsp()`; none without a second layer.
///
/// # Errors
/// When there are more than two layers, it ends too early, or a value is out of bounds.
pub(super) fn parse(reader: &mut BitReader<'_>) -> Result<Option<SecondLayer>> {
    reader.bits(4)?; // vps_video_parameter_set_id
    let vps_base_layer_internal_flag = reader.bit()?;
    reader.bit()?; // vps_base_layer_available_flag
    let vps_max_layers_minus1 = reader.bits(6)?;
    if vps_max_layers_minus1 == 0 {
        return Ok(None);
    }
    if vps_max_layers_minus1 > 1 || !vps_base_layer_internal_flag {
        return Err(unsupported("more than two layers, or a base layer that is elsewhere"));
    }
    let max_sub_layers_minus1 = reader.bits(3)?;
    skip(reader, 17)?; // vps_temporal_id_nesting_flag, vps_reserved_0xffff_16bits
    profile_tier_level(reader, true, max_sub_layers_minus1)?;
    let sub_layer_ordering_info_present_flag = reader.bit()?;
    let ordered = if sub_layer_ordering_info_present_flag { max_sub_layers_minus1 + 1 } else { 1 };
    skip_ue(reader, 3 * ordered)?;
    let layer_sets = layer_sets(reader)?;
    timing_info(reader, max_sub_layers_minus1)?;
    let vps_extension_flag = reader.bit()?;
    if !vps_extension_flag {
        return Ok(None);
    }
    reader.align();
    extension(reader, max_sub_layers_minus1, layer_sets).map(Some)
}

fn unsupported(what: &str) -> Error {
    Error::unsupported(format!("a video parameter set of {what}"))
        .clause("ITU-T H.265 §F.7.3.2.1")
        .hint("two views (MV-HEVC) are known; extract the base layer")
}

/// Which of the two layers are in each layer set; the first set is the base layer.
fn layer_sets(reader: &mut BitReader<'_>) -> Result<Vec<[bool; 2]>> {
    let vps_max_layer_id = reader.bits(6)?;
    let mut sets = vec![[true, false]];
    for _ in 0..reader.ue_up_to(MAX_LAYER_SETS, "vps_num_layer_sets_minus1")? {
        let base = reader.bit()?; // layer_id_included_flag
        let mut others = false;
        for _ in 0..vps_max_layer_id {
            others |= reader.bit()?;
        }
        sets.push([base, others]);
    }
    Ok(sets)
}

fn timing_info(reader: &mut BitReader<'_>, max_sub_layers_minus1: u32) -> Result<()> {
    let vps_timing_info_present_flag = reader.bit()?;
    if !vps_timing_info_present_flag {
        return Ok(());
    }
    skip(reader, 64)?; // vps_num_units_in_tick, vps_time_scale
    let vps_poc_proportional_to_timing_flag = reader.bit()?;
    skip_ue(reader, u32::from(vps_poc_proportional_to_timing_flag))?;
    for index in 0..reader.ue_up_to(MAX_LAYER_SETS + 1, "vps_num_hrd_parameters")? {
        reader.ue()?; // hrd_layer_set_idx
        let cprms_present_flag = index == 0 || reader.bit()?;
        if !cprms_present_flag {
            return Err(unsupported("hrd_parameters() without their common part"));
        }
        hrd_parameters(reader, max_sub_layers_minus1)?;
    }
    Ok(())
}

/// `vps_extension()` of two layers up to poc_lsb_not_present_flag: §F.7.3.2.1.1.
fn extension(
    reader: &mut BitReader<'_>,
    max_sub_layers_minus1: u32,
    mut layer_sets: Vec<[bool; 2]>,
) -> Result<SecondLayer> {
    profile_tier_level(reader, false, max_sub_layers_minus1)?;
    let nuh_layer_id = second_layer_id(reader)?;
    let is_dependent = reader.bit()?; // direct_dependency_flag
    if !is_dependent {
        for _ in 0..reader.ue_up_to(MAX_LAYER_SETS, "num_add_layer_sets")? {
            let has_second = reader.bit()?; // highest_layer_idx_plus1
            layer_sets.push([false, has_second]);
        }
    }
    let mut sub_layers = max_sub_layers_minus1;
    let vps_sub_layers_max_minus1_present_flag = reader.bit()?;
    if vps_sub_layers_max_minus1_present_flag {
        sub_layers = reader.bits(3)?;
        reader.bits(3)?; // that of the second layer
    }
    let mut max_temporal_id = sub_layers;
    let max_tid_ref_present_flag = reader.bit()?;
    if max_tid_ref_present_flag && is_dependent {
        // TemporalId 0 is predicted whatever it says.
        max_temporal_id = max_temporal_id.min(reader.bits(3)?.saturating_sub(1));
    }
    let default_ref_layers_active_flag = reader.bit()?;
    let profiles = 1 + reader.ue_up_to(MAX_PROFILES, "vps_num_profile_tier_level_minus1")?;
    for _ in 2..profiles {
        let vps_profile_present_flag = reader.bit()?;
        profile_tier_level(reader, vps_profile_present_flag, max_sub_layers_minus1)?;
    }
    output_layer_sets(reader, &layer_sets, is_dependent, profiles)?;
    let (rep_formats, rep_format_idx) = rep_formats(reader)?;
    skip(reader, 2)?; // max_one_active_ref_layer_flag, vps_poc_lsb_aligned_flag
    let poc_lsb_not_present_flag = !is_dependent && reader.bit()?;
    Ok(SecondLayer {
        nuh_layer_id,
        is_dependent,
        default_ref_layers_active_flag,
        poc_lsb_not_present_flag,
        max_temporal_id,
        max_sub_layers_minus1,
        rep_formats,
        rep_format_idx,
    })
}

/// From splitting_flag to view_id_val: layer_id_in_nuh of the second layer.
fn second_layer_id(reader: &mut BitReader<'_>) -> Result<u8> {
    let splitting_flag = reader.bit()?;
    let mask: Vec<bool> = (0..16).map(|_| reader.bit()).collect::<Result<_>>()?;
    let types = mask.iter().filter(|flag| **flag).count();
    let mut lengths = Vec::new();
    for _ in 0..types.saturating_sub(usize::from(splitting_flag)) {
        lengths.push(reader.bits(3)? + 1); // dimension_id_len_minus1
    }
    let vps_nuh_layer_id_present_flag = reader.bit()?;
    let nuh_layer_id = if vps_nuh_layer_id_present_flag { reader.bits(6)? } else { 1 };
    // ViewOrderIdx, ScalabilityId 1, has its place behind that of depth: table F.1. Layers of one view differ in another
    // dimension, such as auxiliary pictures.
    let [has_depth, has_view, ..] = mask.as_slice() else { return Err(Error::internal("sixteen flags")) };
    let mut is_other_view = *has_view && splitting_flag;
    if !splitting_flag {
        for (dimension, length) in lengths.into_iter().enumerate() {
            let dimension_id = reader.bits(length)?;
            is_other_view |= *has_view && dimension == usize::from(*has_depth) && dimension_id != 0;
        }
    }
    let view_id_len = reader.bits(4)?;
    for _ in 0..if is_other_view { 2 } else { 1 } {
        reader.bits(view_id_len)?; // view_id_val
    }
    Ok(u8::try_from(nuh_layer_id).unwrap_or(u8::MAX))
}

/// From num_add_olss to alt_output_layer_flag.
fn output_layer_sets(
    reader: &mut BitReader<'_>,
    layer_sets: &[[bool; 2]],
    is_dependent: bool,
    profiles: u32,
) -> Result<()> {
    let sets = u32::try_from(layer_sets.len()).unwrap_or(u32::MAX);
    let mut added = 0;
    let mut default_output_layer_idc = 0;
    if sets > 1 {
        added = reader.ue_up_to(MAX_LAYER_SETS, "num_add_olss")?;
        default_output_layer_idc = reader.bits(2)?;
    }
    let bits_of = |count: u32| count.next_power_of_two().trailing_zeros();
    for index in 1..sets + added {
        let mut set = index;
        if index >= sets {
            let bits = if sets > 2 { bits_of(sets - 1) } else { 0 };
            set = reader.bits(bits)? + 1; // layer_set_idx_for_ols_minus1
        }
        let layers = usize::try_from(set).ok().and_then(|set| layer_sets.get(set)).copied();
        let layers = layers.ok_or_else(|| {
            Error::input(format!("output layer set {index} is of layer set {set} of {sets}"))
                .clause("ITU-T H.265 §F.7.4.3.1.1")
        })?;
        let mut output = match default_output_layer_idc {
            0 => layers,
            _ => [layers[0] && !layers[1], layers[1]],
        };
        if index >= sets || default_output_layer_idc >= 2 {
            for (flag, _) in output.iter_mut().zip(layers).filter(|(_, is_there)| *is_there) {
                *flag = reader.bit()?; // output_layer_flag
            }
        }
        let is_necessary = [output[0] || output[1] && is_dependent && layers[0], output[1]];
        if profiles > 1 {
            for _ in is_necessary.into_iter().filter(|is_necessary| *is_necessary) {
                reader.bits(bits_of(profiles))?; // profile_tier_level_idx
            }
        }
        if output[0] != output[1] && output[1] && is_dependent {
            reader.bit()?; // alt_output_layer_flag
        }
    }
    Ok(())
}

/// The formats, and which of them the second layer has.
fn rep_formats(reader: &mut BitReader<'_>) -> Result<(Vec<PictureFormat>, u32)> {
    let last = reader.ue_up_to(MAX_REP_FORMATS, "vps_num_rep_formats_minus1")?;
    let mut formats: Vec<PictureFormat> = Vec::new();
    for _ in 0..=last {
        let format = rep_format(reader, formats.last())?;
        formats.push(format);
    }
    let rep_format_idx_present_flag = last > 0 && reader.bit()?;
    let index = if rep_format_idx_present_flag {
        reader.bits((last + 1).next_power_of_two().trailing_zeros())?
    } else {
        last.min(1)
    };
    Ok((formats, index))
}

/// `rep_format()`: §F.7.3.2.1.2. Chroma and bit depth may be those of the one before.
fn rep_format(reader: &mut BitReader<'_>, before: Option<&PictureFormat>) -> Result<PictureFormat> {
    let (width, height) = (reader.bits(16)?, reader.bits(16)?);
    let chroma_and_bit_depth_vps_present_flag = reader.bit()?;
    let mut format = before.cloned().unwrap_or_default();
    (format.width, format.height) = (width, height);
    if chroma_and_bit_depth_vps_present_flag {
        format.chroma_format_idc = reader.bits(2)?;
        format.separate_colour_plane_flag = format.chroma_format_idc == 3 && reader.bit()?;
        format.bit_depth = [8 + reader.bits(4)?, 8 + reader.bits(4)?];
    }
    let conformance_window_vps_flag = reader.bit()?;
    skip_ue(reader, if conformance_window_vps_flag { 4 } else { 0 })?;
    Ok(format)
}
