//! The frame header, read to know its tiles and where it ends — AV1 Bitstream Specification §5.9.
//!
//! Part of it is in `frame_parameters.rs`: what follows the tile info.

use super::obu::Layer;
use super::references::{FrameSize, FrameType, Order, REFS_PER_FRAME, Reference, References, Sent};
use super::segmentation::Segmentation;
use super::sequence_header::SequenceHeader;
use super::tile_info::TileInfo;
use crate::base::Result;
use crate::base::bits::BitReader;

/// allFrames: §5.9.2.
const ALL_FRAMES: u32 = 0xff;
/// PRIMARY_REF_NONE: §3.
const PRIMARY_REF_NONE: u32 = 7;
/// SUPERRES_NUM: §3.
const SUPERRES_NUM: u32 = 8;
/// SUPERRES_DENOM_MIN: §3.
const SUPERRES_DENOM_MIN: u32 = 9;

/// Reads `uncompressed_header()` and updates the reference frames; afterwards the cursor is at the first bit
/// that follows it. `None` when the header shows an existing frame, so that no tiles belong to it.
pub(super) fn parse(
    bits: &mut BitReader<'_>,
    sequence: &SequenceHeader,
    references: &mut References,
    layer: Layer,
) -> Result<Option<TileInfo>> {
    let mut header = FrameHeader::new(bits, sequence, references, layer);
    let show_existing_frame = !sequence.reduced_still_picture_header && header.bits.bit()?;
    if show_existing_frame {
        header.show_existing_frame()?;
        return Ok(None);
    }
    header.frame_type()?;
    header.identification()?;
    header.buffer_removal_times()?;
    header.refreshed_frames()?;
    header.size_and_references()?;
    let may_end_update = !sequence.reduced_still_picture_header && !header.disable_cdf_update;
    if may_end_update {
        header.bits.bit()?; // disable_frame_end_update_cdf
    }
    let tile_info = TileInfo::parse(header.bits, header.size, sequence.use_128x128_superblock)?;
    let segmentation = header.parameters()?;
    let (frame_type, order_hint) = (header.frame_type, header.order_hint);
    let sent = Some(Sent { size: header.size, segmentation });
    let refresh_frame_flags = header.refresh_frame_flags;
    references.refresh(refresh_frame_flags, Reference { frame_type, order_hint, sent });
    Ok(Some(tile_info))
}

/// Syntax elements and variables of a header that later ones depend on.
pub(super) struct FrameHeader<'r, 'b> {
    pub(super) bits: &'r mut BitReader<'b>,
    pub(super) sequence: &'r SequenceHeader,
    references: &'r mut References,
    layer: Layer,
    pub(super) frame_type: FrameType,
    pub(super) show_frame: bool,
    pub(super) showable_frame: bool,
    pub(super) error_resilient_mode: bool,
    disable_cdf_update: bool,
    allow_screen_content_tools: bool,
    force_integer_mv: bool,
    frame_size_override_flag: bool,
    pub(super) order_hint: u32,
    primary_ref_frame: u32,
    refresh_frame_flags: u32,
    ref_frame_idx: [u32; REFS_PER_FRAME],
    pub(super) size: FrameSize,
    pub(super) allow_intrabc: bool,
    pub(super) allow_high_precision_mv: bool,
}

impl<'r, 'b> FrameHeader<'r, 'b> {
    fn new(
        bits: &'r mut BitReader<'b>,
        sequence: &'r SequenceHeader,
        references: &'r mut References,
        layer: Layer,
    ) -> Self {
        Self {
            bits,
            sequence,
            references,
            layer,
            // What a reduced still picture header means.
            frame_type: FrameType::Key,
            show_frame: true,
            showable_frame: false,
            error_resilient_mode: true,
            disable_cdf_update: false,
            allow_screen_content_tools: false,
            force_integer_mv: false,
            frame_size_override_flag: false,
            order_hint: 0,
            primary_ref_frame: PRIMARY_REF_NONE,
            refresh_frame_flags: ALL_FRAMES,
            ref_frame_idx: [0; REFS_PER_FRAME],
            size: FrameSize {
                upscaled_width: sequence.max_frame_width,
                frame_width: sequence.max_frame_width,
                frame_height: sequence.max_frame_height,
            },
            allow_intrabc: false,
            allow_high_precision_mv: false,
        }
    }

    /// FrameIsIntra.
    pub(super) fn is_intra(&self) -> bool {
        matches!(self.frame_type, FrameType::Key | FrameType::IntraOnly)
    }

    /// Whether the frame begins a coded video sequence that needs nothing before it, or switches to one.
    fn refreshes_all(&self) -> bool {
        self.frame_type == FrameType::Switch || (self.frame_type == FrameType::Key && self.show_frame)
    }

    /// `None` when enable_order_hint is 0.
    pub(super) fn order(&self) -> Option<Order> {
        let order_hint_bits = self.sequence.tools.order_hint_bits;
        (order_hint_bits > 0).then_some(Order { order_hint_bits, order_hint: self.order_hint })
    }

    fn show_existing_frame(&mut self) -> Result<()> {
        let frame_to_show_map_idx = self.bits.bits(3)?;
        self.temporal_point_info()?;
        if let Some(id) = self.sequence.frame_id {
            self.bits.bits(id.frame_id)?; // display_frame_id
        }
        let shown = *self.references.get(frame_to_show_map_idx)?;
        // §7.21: a key frame that is shown begins a coded video sequence.
        if shown.frame_type == FrameType::Key {
            self.references.refresh(ALL_FRAMES, shown);
        }
        Ok(())
    }

    fn temporal_point_info(&mut self) -> Result<()> {
        let timing = self.sequence.timing;
        if let Some(model) = timing.decoder_model_info.filter(|_| !timing.equal_picture_interval) {
            self.bits.bits(model.frame_presentation_time_length)?; // frame_presentation_time
        }
        Ok(())
    }

    /// From frame_type to error_resilient_mode.
    fn frame_type(&mut self) -> Result<()> {
        if self.sequence.reduced_still_picture_header {
            return Ok(());
        }
        self.frame_type = match self.bits.bits(2)? {
            0 => FrameType::Key,
            1 => FrameType::Inter,
            2 => FrameType::IntraOnly,
            _ => FrameType::Switch,
        };
        self.show_frame = self.bits.bit()?;
        if self.show_frame {
            self.temporal_point_info()?;
        }
        self.showable_frame =
            if self.show_frame { self.frame_type != FrameType::Key } else { self.bits.bit()? };
        self.error_resilient_mode = self.refreshes_all() || self.bits.bit()?;
        Ok(())
    }

    /// From disable_cdf_update to primary_ref_frame.
    fn identification(&mut self) -> Result<()> {
        let tools = self.sequence.tools;
        self.disable_cdf_update = self.bits.bit()?;
        self.allow_screen_content_tools = match tools.seq_force_screen_content_tools {
            Some(forced) => forced,
            None => self.bits.bit()?,
        };
        if self.allow_screen_content_tools {
            self.force_integer_mv = match tools.seq_force_integer_mv {
                Some(forced) => forced,
                None => self.bits.bit()?,
            };
        }
        if let Some(id) = self.sequence.frame_id {
            self.bits.bits(id.frame_id)?; // current_frame_id
        }
        self.frame_size_override_flag = self.frame_type == FrameType::Switch
            || (!self.sequence.reduced_still_picture_header && self.bits.bit()?);
        self.order_hint = self.bits.bits(tools.order_hint_bits)?;
        if !self.is_intra() && !self.error_resilient_mode {
            self.primary_ref_frame = self.bits.bits(3)?;
        }
        Ok(())
    }

    fn buffer_removal_times(&mut self) -> Result<()> {
        let Some(model) = self.sequence.timing.decoder_model_info else { return Ok(()) };
        let buffer_removal_time_present_flag = self.bits.bit()?;
        if !buffer_removal_time_present_flag {
            return Ok(());
        }
        for point in &self.sequence.operating_points {
            if point.decoder_model_present_for_this_op && self.layer.is_in(point.operating_point_idc) {
                self.bits.bits(model.buffer_removal_time_length)?; // buffer_removal_time[ opNum ]
            }
        }
        Ok(())
    }

    /// refresh_frame_flags and ref_order_hint.
    fn refreshed_frames(&mut self) -> Result<()> {
        if !self.refreshes_all() {
            self.refresh_frame_flags = self.bits.bits(8)?;
        }
        let has_hints = !self.is_intra() || self.refresh_frame_flags != ALL_FRAMES;
        let order_hint_bits = self.sequence.tools.order_hint_bits;
        if has_hints && self.error_resilient_mode && order_hint_bits > 0 {
            for slot in 0..super::references::NUM_REF_FRAMES {
                let ref_order_hint = self.bits.bits(order_hint_bits)?;
                self.references.expect(slot, ref_order_hint);
            }
        }
        Ok(())
    }

    /// From frame_refs_short_signaling or the frame size to use_ref_frame_mvs.
    fn size_and_references(&mut self) -> Result<()> {
        if self.is_intra() {
            self.frame_size()?;
            self.render_size()?;
            self.allow_intrabc = self.allow_screen_content_tools
                && self.size.upscaled_width == self.size.frame_width
                && self.bits.bit()?;
            return Ok(());
        }
        self.ref_frame_idx()?;
        if self.frame_size_override_flag && !self.error_resilient_mode {
            self.frame_size_with_refs()?;
        } else {
            self.frame_size()?;
            self.render_size()?;
        }
        self.allow_high_precision_mv = !self.force_integer_mv && self.bits.bit()?;
        let is_filter_switchable = self.bits.bit()?;
        if !is_filter_switchable {
            self.bits.bits(2)?; // interpolation_filter
        }
        self.bits.bit()?; // is_motion_mode_switchable
        if !self.error_resilient_mode && self.sequence.tools.enable_ref_frame_mvs {
            self.bits.bit()?; // use_ref_frame_mvs
        }
        Ok(())
    }

    fn ref_frame_idx(&mut self) -> Result<()> {
        let mut frame_refs_short_signaling = false;
        if let Some(order) = self.order() {
            frame_refs_short_signaling = self.bits.bit()?;
            if frame_refs_short_signaling {
                let (last_frame_idx, gold_frame_idx) = (self.bits.bits(3)?, self.bits.bits(3)?);
                self.ref_frame_idx = self.references.set_frame_refs(order, last_frame_idx, gold_frame_idx)?;
            }
        }
        for index in &mut self.ref_frame_idx {
            if !frame_refs_short_signaling {
                *index = self.bits.bits(3)?;
            }
            if let Some(id) = self.sequence.frame_id {
                self.bits.bits(id.delta_frame_id)?; // delta_frame_id_minus_1
            }
            self.references.sent(*index)?;
        }
        Ok(())
    }

    /// `frame_size()`: §5.9.5.
    fn frame_size(&mut self) -> Result<()> {
        if self.frame_size_override_flag {
            let upscaled_width = self.bits.bits(self.sequence.frame_width_bits)? + 1;
            let frame_height = self.bits.bits(self.sequence.frame_height_bits)? + 1;
            self.size = FrameSize { upscaled_width, frame_width: upscaled_width, frame_height };
        }
        self.superres_params()
    }

    /// `render_size()`: §5.9.6.
    fn render_size(&mut self) -> Result<()> {
        let render_and_frame_size_different = self.bits.bit()?;
        if render_and_frame_size_different {
            self.bits.bits(32)?; // render_width_minus_1, render_height_minus_1
        }
        Ok(())
    }

    /// `frame_size_with_refs()`: §5.9.7.
    fn frame_size_with_refs(&mut self) -> Result<()> {
        for index in self.ref_frame_idx {
            let found_ref = self.bits.bit()?;
            if found_ref {
                let size = self.references.sent(index)?.size;
                self.size = FrameSize { frame_width: size.upscaled_width, ..size };
                return self.superres_params();
            }
        }
        self.frame_size()?;
        self.render_size()
    }

    /// `superres_params()`: §5.9.8.
    fn superres_params(&mut self) -> Result<()> {
        let use_superres = self.sequence.enable_superres && self.bits.bit()?;
        if use_superres {
            let superres_denom = self.bits.bits(3)? + SUPERRES_DENOM_MIN;
            let upscaled_width = self.size.upscaled_width;
            self.size.frame_width = (upscaled_width * SUPERRES_NUM + superres_denom / 2) / superres_denom;
        }
        Ok(())
    }

    /// What `load_previous()` loads of the primary reference frame; `None` when there is none.
    pub(super) fn previous_segmentation(&self) -> Result<Option<Segmentation>> {
        if self.primary_ref_frame == PRIMARY_REF_NONE {
            return Ok(None);
        }
        let index = usize::try_from(self.primary_ref_frame).ok();
        let slot = index.and_then(|index| self.ref_frame_idx.get(index)).copied().unwrap_or_default();
        self.references.sent(slot).map(|sent| Some(sent.segmentation))
    }

    /// RefOrderHint of each frame that is referred to.
    pub(super) fn hints(&self) -> Result<Vec<u32>> {
        self.ref_frame_idx.iter().map(|index| Ok(self.references.get(*index)?.order_hint)).collect()
    }
}
