//! The sequence header — AV1 Bitstream Specification §5.5.

use super::descriptors::uvlc;
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// color_primaries of BT.709: §6.4.2.
pub(super) const CP_BT_709: u32 = 1;
/// color_primaries, transfer_characteristics and matrix_coefficients that are not said: §6.4.2.
pub(super) const UNSPECIFIED: u32 = 2;
/// transfer_characteristics of sRGB: §6.4.2.
const TC_SRGB: u32 = 13;
/// matrix_coefficients of the identity: §6.4.2.
const MC_IDENTITY: u32 = 0;

/// A sequence header, as far as frame headers need it.
#[derive(Clone, Debug)]
pub(super) struct SequenceHeader {
    pub(super) reduced_still_picture_header: bool,
    pub(super) timing: Timing,
    pub(super) operating_points: Vec<OperatingPoint>,
    pub(super) frame_width_bits: u32,
    pub(super) frame_height_bits: u32,
    pub(super) max_frame_width: u32,
    pub(super) max_frame_height: u32,
    pub(super) frame_id: Option<FrameIdLengths>,
    pub(super) use_128x128_superblock: bool,
    pub(super) tools: InterTools,
    pub(super) enable_superres: bool,
    pub(super) enable_cdef: bool,
    pub(super) enable_restoration: bool,
    pub(super) color: ColorConfig,
    pub(super) film_grain_params_present: bool,
}

/// `timing_info()` and `decoder_model_info()`: §5.5.3, §5.5.4.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    pub(super) equal_picture_interval: bool,
    pub(super) decoder_model_info: Option<DecoderModelInfo>,
}

/// Lengths in bits: §5.5.4.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecoderModelInfo {
    buffer_delay_length: u32,
    pub(super) buffer_removal_time_length: u32,
    pub(super) frame_presentation_time_length: u32,
}

/// An operating point: §5.5.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct OperatingPoint {
    pub(super) operating_point_idc: u32,
    pub(super) decoder_model_present_for_this_op: bool,
}

/// Lengths in bits: §5.5.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameIdLengths {
    pub(super) delta_frame_id: u32,
    /// idLen.
    pub(super) frame_id: u32,
}

/// What a reduced still picture header leaves out: §5.5.1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InterTools {
    pub(super) enable_warped_motion: bool,
    pub(super) enable_ref_frame_mvs: bool,
    /// `None` is SELECT_SCREEN_CONTENT_TOOLS.
    pub(super) seq_force_screen_content_tools: Option<bool>,
    /// `None` is SELECT_INTEGER_MV.
    pub(super) seq_force_integer_mv: Option<bool>,
    /// 0 when enable_order_hint is.
    pub(super) order_hint_bits: u32,
}

/// `color_config()`: §5.5.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColorConfig {
    pub(super) mono_chrome: bool,
    pub(super) color_primaries: u32,
    pub(super) transfer_characteristics: u32,
    pub(super) matrix_coefficients: u32,
    pub(super) color_range: bool,
    pub(super) subsampling_x: bool,
    pub(super) subsampling_y: bool,
    pub(super) separate_uv_delta_q: bool,
}

impl ColorConfig {
    pub(super) fn num_planes(&self) -> u32 {
        if self.mono_chrome { 1 } else { 3 }
    }
}

impl SequenceHeader {
    /// `sequence_header_obu()`: §5.5.1.
    pub(super) fn parse(bits: &mut BitReader<'_>) -> Result<Self> {
        let seq_profile = bits.bits(3)?;
        if seq_profile > 2 {
            return Err(Error::unsupported(format!("seq_profile {seq_profile}, 0 to 2 expected"))
                .clause("AV1 Bitstream Specification §6.4.1"));
        }
        bits.bit()?; // still_picture
        let reduced_still_picture_header = bits.bit()?;
        let (timing, operating_points) = if reduced_still_picture_header {
            bits.bits(5)?; // seq_level_idx[ 0 ]
            let point = OperatingPoint { operating_point_idc: 0, decoder_model_present_for_this_op: false };
            (Timing::default(), vec![point])
        } else {
            timing_and_operating_points(bits)?
        };
        let (frame_width_bits, frame_height_bits) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
        let max_frame_width = bits.bits(frame_width_bits)? + 1;
        let max_frame_height = bits.bits(frame_height_bits)? + 1;
        let frame_id_numbers_present_flag = !reduced_still_picture_header && bits.bit()?;
        let frame_id = if frame_id_numbers_present_flag { Some(frame_id_lengths(bits)?) } else { None };
        let use_128x128_superblock = bits.bit()?;
        bits.bits(2)?; // enable_filter_intra, enable_intra_edge_filter
        let tools = if reduced_still_picture_header { InterTools::default() } else { inter_tools(bits)? };
        Ok(Self {
            reduced_still_picture_header,
            timing,
            operating_points,
            frame_width_bits,
            frame_height_bits,
            max_frame_width,
            max_frame_height,
            frame_id,
            use_128x128_superblock,
            tools,
            enable_superres: bits.bit()?,
            enable_cdef: bits.bit()?,
            enable_restoration: bits.bit()?,
            color: color_config(bits, seq_profile)?,
            film_grain_params_present: bits.bit()?,
        })
    }
}

fn timing_and_operating_points(bits: &mut BitReader<'_>) -> Result<(Timing, Vec<OperatingPoint>)> {
    let mut timing = Timing::default();
    let timing_info_present_flag = bits.bit()?;
    if timing_info_present_flag {
        bits.bits(32)?; // num_units_in_display_tick
        bits.bits(32)?; // time_scale
        timing.equal_picture_interval = bits.bit()?;
        if timing.equal_picture_interval {
            uvlc(bits)?; // num_ticks_per_picture_minus_1
        }
        let decoder_model_info_present_flag = bits.bit()?;
        if decoder_model_info_present_flag {
            timing.decoder_model_info = Some(decoder_model_info(bits)?);
        }
    }
    let initial_display_delay_present_flag = bits.bit()?;
    let operating_points_cnt_minus_1 = bits.bits(5)?;
    let mut operating_points = Vec::new();
    for _ in 0..=operating_points_cnt_minus_1 {
        let operating_point_idc = bits.bits(12)?;
        let seq_level_idx = bits.bits(5)?;
        if seq_level_idx > 7 {
            bits.bit()?; // seq_tier
        }
        let mut decoder_model_present_for_this_op = false;
        if let Some(model) = timing.decoder_model_info {
            decoder_model_present_for_this_op = bits.bit()?;
            if decoder_model_present_for_this_op {
                // operating_parameters_info()
                bits.bits(model.buffer_delay_length)?; // decoder_buffer_delay
                bits.bits(model.buffer_delay_length)?; // encoder_buffer_delay
                bits.bit()?; // low_delay_mode_flag
            }
        }
        let initial_display_delay_present_for_this_op = initial_display_delay_present_flag && bits.bit()?;
        if initial_display_delay_present_for_this_op {
            bits.bits(4)?; // initial_display_delay_minus_1
        }
        operating_points.push(OperatingPoint { operating_point_idc, decoder_model_present_for_this_op });
    }
    Ok((timing, operating_points))
}

fn decoder_model_info(bits: &mut BitReader<'_>) -> Result<DecoderModelInfo> {
    let buffer_delay_length = bits.bits(5)? + 1;
    bits.bits(32)?; // num_units_in_decoding_tick
    Ok(DecoderModelInfo {
        buffer_delay_length,
        buffer_removal_time_length: bits.bits(5)? + 1,
        frame_presentation_time_length: bits.bits(5)? + 1,
    })
}

fn frame_id_lengths(bits: &mut BitReader<'_>) -> Result<FrameIdLengths> {
    let delta_frame_id = bits.bits(4)? + 2;
    let frame_id = delta_frame_id + bits.bits(3)? + 1;
    Ok(FrameIdLengths { delta_frame_id, frame_id })
}

fn inter_tools(bits: &mut BitReader<'_>) -> Result<InterTools> {
    bits.bits(2)?; // enable_interintra_compound, enable_masked_compound
    let enable_warped_motion = bits.bit()?;
    bits.bit()?; // enable_dual_filter
    let enable_order_hint = bits.bit()?;
    if enable_order_hint {
        bits.bit()?; // enable_jnt_comp
    }
    let enable_ref_frame_mvs = enable_order_hint && bits.bit()?;
    let seq_choose_screen_content_tools = bits.bit()?;
    let seq_force_screen_content_tools =
        if seq_choose_screen_content_tools { None } else { Some(bits.bit()?) };
    let mut seq_force_integer_mv = None;
    if seq_force_screen_content_tools != Some(false) {
        let seq_choose_integer_mv = bits.bit()?;
        seq_force_integer_mv = if seq_choose_integer_mv { None } else { Some(bits.bit()?) };
    }
    let order_hint_bits = if enable_order_hint { bits.bits(3)? + 1 } else { 0 };
    Ok(InterTools {
        enable_warped_motion,
        enable_ref_frame_mvs,
        seq_force_screen_content_tools,
        seq_force_integer_mv,
        order_hint_bits,
    })
}

fn color_config(bits: &mut BitReader<'_>, seq_profile: u32) -> Result<ColorConfig> {
    let high_bitdepth = bits.bit()?;
    let twelve_bit = seq_profile == 2 && high_bitdepth && bits.bit()?;
    let mono_chrome = seq_profile != 1 && bits.bit()?;
    let color_description_present_flag = bits.bit()?;
    let mut description = [UNSPECIFIED; 3];
    if color_description_present_flag {
        for element in &mut description {
            *element = bits.bits(8)?;
        }
    }
    let [color_primaries, transfer_characteristics, matrix_coefficients] = description;
    let mut color = ColorConfig {
        mono_chrome,
        color_primaries,
        transfer_characteristics,
        matrix_coefficients,
        color_range: true,
        subsampling_x: mono_chrome,
        subsampling_y: mono_chrome,
        separate_uv_delta_q: false,
    };
    if mono_chrome {
        color.color_range = bits.bit()?;
        return Ok(color);
    }
    if description != [CP_BT_709, TC_SRGB, MC_IDENTITY] {
        color.color_range = bits.bit()?;
        (color.subsampling_x, color.subsampling_y) = match seq_profile {
            0 => (true, true),
            1 => (false, false),
            _ if twelve_bit => {
                let subsampling_x = bits.bit()?;
                (subsampling_x, subsampling_x && bits.bit()?)
            }
            _ => (true, false),
        };
        if color.subsampling_x && color.subsampling_y {
            bits.bits(2)?; // chroma_sample_position
        }
    }
    color.separate_uv_delta_q = bits.bit()?;
    Ok(color)
}
