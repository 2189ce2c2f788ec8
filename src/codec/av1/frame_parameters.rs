//! The parameters that end a frame header — AV1 Bitstream Specification §5.9.12 to §5.9.30.

use super::descriptors::su;
use super::frame_header::FrameHeader;
use super::references::{FrameType, REFS_PER_FRAME};
use super::segmentation::Segmentation;
use crate::base::Result;

/// TOTAL_REFS_PER_FRAME and the two modes of the loop filter: §3, §5.9.11.
const LOOP_FILTER_DELTAS: u32 = 8 + 2;

/// The warp of global motion other than the identity: §5.9.24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warp {
    Translation,
    RotZoom,
    Affine,
}

/// `quantization_params()`.
#[derive(Clone, Copy, Debug)]
struct Quantization {
    base_q_idx: u32,
    /// Whether every DeltaQ is 0.
    deltas_are_0: bool,
}

impl FrameHeader<'_, '_> {
    /// From `quantization_params()` to `film_grain_params()`.
    pub(super) fn parameters(&mut self) -> Result<Segmentation> {
        let quantization = self.quantization_params()?;
        let previous = self.previous_segmentation()?;
        let segmentation = Segmentation::parse(self.bits, previous)?;
        self.delta_q_and_lf_params(quantization.base_q_idx)?;
        let coded_lossless = quantization.deltas_are_0 && segmentation.is_qindex_0(quantization.base_q_idx);
        let all_lossless = coded_lossless && self.size.frame_width == self.size.upscaled_width;
        if !coded_lossless && !self.allow_intrabc {
            self.loop_filter_params()?;
            self.cdef_params()?;
        }
        if !all_lossless && !self.allow_intrabc {
            self.lr_params()?;
        }
        if !coded_lossless {
            self.bits.bit()?; // tx_mode_select
        }
        self.reference_and_skip_mode()?;
        let warps = !self.is_intra() && !self.error_resilient_mode;
        if warps && self.sequence.tools.enable_warped_motion {
            self.bits.bit()?; // allow_warped_motion
        }
        self.bits.bit()?; // reduced_tx_set
        self.global_motion_params()?;
        self.film_grain_params()?;
        Ok(segmentation)
    }

    /// `quantization_params()`: §5.9.12.
    fn quantization_params(&mut self) -> Result<Quantization> {
        let base_q_idx = self.bits.bits(8)?;
        let mut deltas_are_0 = self.read_delta_q()? == 0; // DeltaQYDc
        let color = self.sequence.color;
        if color.num_planes() > 1 {
            let diff_uv_delta = color.separate_uv_delta_q && self.bits.bit()?;
            for _ in 0..if diff_uv_delta { 4 } else { 2 } {
                deltas_are_0 &= self.read_delta_q()? == 0; // DeltaQUDc, DeltaQUAc, DeltaQVDc, DeltaQVAc
            }
        }
        let using_qmatrix = self.bits.bit()?;
        if using_qmatrix {
            self.bits.bits(8)?; // qm_y, qm_u
            self.bits.bits(if color.separate_uv_delta_q { 4 } else { 0 })?; // qm_v
        }
        Ok(Quantization { base_q_idx, deltas_are_0 })
    }

    /// `read_delta_q()`: §5.9.13.
    fn read_delta_q(&mut self) -> Result<i32> {
        let delta_coded = self.bits.bit()?;
        if delta_coded { su(self.bits, 1 + 6) } else { Ok(0) }
    }

    /// `delta_q_params()` and `delta_lf_params()`: §5.9.17, §5.9.18.
    fn delta_q_and_lf_params(&mut self, base_q_idx: u32) -> Result<()> {
        let delta_q_present = base_q_idx > 0 && self.bits.bit()?;
        if !delta_q_present {
            return Ok(());
        }
        self.bits.bits(2)?; // delta_q_res
        let delta_lf_present = !self.allow_intrabc && self.bits.bit()?;
        if delta_lf_present {
            self.bits.bits(3)?; // delta_lf_res, delta_lf_multi
        }
        Ok(())
    }

    /// `loop_filter_params()`: §5.9.11.
    fn loop_filter_params(&mut self) -> Result<()> {
        let loop_filter_level = self.bits.bits(12)?; // of index 0 and 1
        if self.sequence.color.num_planes() > 1 && loop_filter_level != 0 {
            self.bits.bits(12)?; // of index 2 and 3
        }
        self.bits.bits(3)?; // loop_filter_sharpness
        let loop_filter_delta_enabled = self.bits.bit()?;
        let loop_filter_delta_update = loop_filter_delta_enabled && self.bits.bit()?;
        if loop_filter_delta_update {
            for _ in 0..LOOP_FILTER_DELTAS {
                let update_delta = self.bits.bit()?;
                self.bits.bits(if update_delta { 1 + 6 } else { 0 })?; // loop_filter_ref_deltas, _mode_deltas
            }
        }
        Ok(())
    }

    /// `cdef_params()`: §5.9.19.
    fn cdef_params(&mut self) -> Result<()> {
        if !self.sequence.enable_cdef {
            return Ok(());
        }
        self.bits.bits(2)?; // cdef_damping_minus_3
        let cdef_bits = self.bits.bits(2)?;
        for _ in 0..1 << cdef_bits {
            // Primary and secondary strength of luma, and of chroma.
            self.bits.bits(if self.sequence.color.num_planes() > 1 { 12 } else { 6 })?;
        }
        Ok(())
    }

    /// `lr_params()`: §5.9.20.
    fn lr_params(&mut self) -> Result<()> {
        if !self.sequence.enable_restoration {
            return Ok(());
        }
        let color = self.sequence.color;
        let (mut uses_lr, mut uses_chroma_lr) = (false, false);
        for plane in 0..color.num_planes() {
            let lr_type = self.bits.bits(2)?;
            uses_lr |= lr_type != 0;
            uses_chroma_lr |= lr_type != 0 && plane > 0;
        }
        if uses_lr {
            let lr_unit_shift = self.bits.bit()?;
            if lr_unit_shift && !self.sequence.use_128x128_superblock {
                self.bits.bit()?; // lr_unit_extra_shift
            }
            if uses_chroma_lr && color.subsampling_x && color.subsampling_y {
                self.bits.bit()?; // lr_uv_shift
            }
        }
        Ok(())
    }

    /// `frame_reference_mode()` and `skip_mode_params()`: §5.9.23, §5.9.22.
    fn reference_and_skip_mode(&mut self) -> Result<()> {
        let reference_select = !self.is_intra() && self.bits.bit()?;
        let skip_mode_allowed = match self.order().filter(|_| reference_select) {
            Some(order) => order.allows_skip_mode(&self.hints()?),
            None => false,
        };
        if skip_mode_allowed {
            self.bits.bit()?; // skip_mode_present
        }
        Ok(())
    }

    /// `global_motion_params()`: §5.9.24. How many bits it has does not depend on earlier frames.
    fn global_motion_params(&mut self) -> Result<()> {
        if self.is_intra() {
            return Ok(());
        }
        for _ref in 0..REFS_PER_FRAME {
            let is_global = self.bits.bit()?;
            if !is_global {
                continue;
            }
            let is_rot_zoom = self.bits.bit()?;
            let warp = if is_rot_zoom {
                Warp::RotZoom
            } else if self.bits.bit()? {
                Warp::Translation
            } else {
                Warp::Affine
            };
            let alphas = match warp {
                Warp::Translation => 0,
                Warp::RotZoom => 2,
                Warp::Affine => 4,
            };
            for _ in 0..alphas {
                self.decode_signed_subexp_with_ref(12)?; // GM_ABS_ALPHA_BITS
            }
            let abs_bits = match warp {
                // GM_ABS_TRANS_ONLY_BITS − !allow_high_precision_mv
                Warp::Translation => 9 - u32::from(!self.allow_high_precision_mv),
                _ => 12, // GM_ABS_TRANS_BITS
            };
            for _ in 0..2 {
                self.decode_signed_subexp_with_ref(abs_bits)?;
            }
        }
        Ok(())
    }

    /// `decode_signed_subexp_with_ref()` for numbers up to 1 << absBits of either sign: §5.9.26 to §5.9.28.
    fn decode_signed_subexp_with_ref(&mut self, abs_bits: u32) -> Result<()> {
        let num_syms = (2 << abs_bits) + 1;
        let (mut i, mut mk) = (0, 0);
        loop {
            let b2 = if i == 0 { 3 } else { 3 + i - 1 };
            let a = 1 << b2;
            if num_syms <= mk + 3 * a {
                super::descriptors::ns(self.bits, num_syms - mk)?; // subexp_final_bits
                return Ok(());
            }
            let subexp_more_bits = self.bits.bit()?;
            if !subexp_more_bits {
                self.bits.bits(b2)?; // subexp_bits
                return Ok(());
            }
            i += 1;
            mk += a;
        }
    }

    /// `film_grain_params()`: §5.9.30.
    fn film_grain_params(&mut self) -> Result<()> {
        if !self.sequence.film_grain_params_present || !(self.show_frame || self.showable_frame) {
            return Ok(());
        }
        let apply_grain = self.bits.bit()?;
        if !apply_grain {
            return Ok(());
        }
        self.bits.bits(16)?; // grain_seed
        let update_grain = self.frame_type != FrameType::Inter || self.bits.bit()?;
        if !update_grain {
            self.bits.bits(3)?; // film_grain_params_ref_idx
            return Ok(());
        }
        let color = self.sequence.color;
        let num_y_points = self.points()?;
        let chroma_scaling_from_luma = !color.mono_chrome && self.bits.bit()?;
        let no_chroma_points = color.mono_chrome
            || chroma_scaling_from_luma
            || (color.subsampling_x && color.subsampling_y && num_y_points == 0);
        let (num_cb_points, num_cr_points) =
            if no_chroma_points { (0, 0) } else { (self.points()?, self.points()?) };
        self.bits.bits(2)?; // grain_scaling_minus_8
        let ar_coeff_lag = self.bits.bits(2)?;
        let num_pos_luma = 2 * ar_coeff_lag * (ar_coeff_lag + 1);
        let has_luma = num_y_points > 0;
        let num_pos_chroma = num_pos_luma + u32::from(has_luma);
        self.coefficients(if has_luma { num_pos_luma } else { 0 })?;
        for points in [num_cb_points, num_cr_points] {
            self.coefficients(if chroma_scaling_from_luma || points > 0 { num_pos_chroma } else { 0 })?;
        }
        self.bits.bits(4)?; // ar_coeff_shift_minus_6, grain_scale_shift
        for points in [num_cb_points, num_cr_points] {
            self.bits.bits(if points > 0 { 25 } else { 0 })?; // mult, luma_mult, offset
        }
        self.bits.bits(2)?; // overlap_flag, clip_to_restricted_range
        Ok(())
    }

    /// A count and so many points of the scaling function.
    fn points(&mut self) -> Result<u32> {
        let count = self.bits.bits(4)?;
        for _ in 0..count {
            self.bits.bits(16)?; // value and scaling
        }
        Ok(count)
    }

    /// ar_coeffs_plus_128.
    fn coefficients(&mut self, count: u32) -> Result<()> {
        (0..count).try_for_each(|_| self.bits.bits(8).map(|_| ()))
    }
}
