//! Reference frames, as far as frame headers need them — AV1 Bitstream Specification §7.8, §7.20, §7.21.

use super::segmentation::Segmentation;
use crate::base::{Error, Result};

/// NUM_REF_FRAMES: §3.
pub(super) const NUM_REF_FRAMES: usize = 8;
/// REFS_PER_FRAME: §3.
pub(super) const REFS_PER_FRAME: usize = 7;

/// frame_type: §6.8.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameType {
    Key,
    Inter,
    IntraOnly,
    Switch,
}

/// The size of a frame: §5.9.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameSize {
    pub(super) upscaled_width: u32,
    /// Before upscaling.
    pub(super) frame_width: u32,
    pub(super) frame_height: u32,
}

/// What a frame leaves for the frames that refer to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference {
    pub(super) frame_type: FrameType,
    pub(super) order_hint: u32,
    /// `None` when a later frame told of its order hint and it was never sent.
    pub(super) sent: Option<Sent>,
}

/// What only a frame itself says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) size: FrameSize,
    pub(super) segmentation: Segmentation,
}

/// The slots of reference frames; `None` until a frame is put in.
#[derive(Clone, Debug, Default)]
pub(super) struct References {
    slots: [Option<Reference>; NUM_REF_FRAMES],
}

impl References {
    /// The frame in a slot.
    pub(super) fn get(&self, slot: u32) -> Result<&Reference> {
        usize::try_from(slot)
            .ok()
            .and_then(|slot| self.slots.get(slot)?.as_ref())
            .ok_or_else(|| not_sent(slot))
    }

    /// What the frame in a slot said of itself.
    pub(super) fn sent(&self, slot: u32) -> Result<&Sent> {
        self.get(slot)?.sent.as_ref().ok_or_else(|| not_sent(slot))
    }

    /// ref_order_hint[ i ]: a slot with another frame than the sender's holds none: §5.9.2.
    pub(super) fn expect(&mut self, slot: usize, order_hint: u32) {
        if let Some(slot) = self.slots.get_mut(slot)
            && slot.is_none_or(|reference| reference.order_hint != order_hint)
        {
            *slot = Some(Reference { frame_type: FrameType::Inter, order_hint, sent: None });
        }
    }

    /// Puts a frame in the slots of refresh_frame_flags: §7.20.
    pub(super) fn refresh(&mut self, refresh_frame_flags: u32, reference: Reference) {
        for (i, slot) in self.slots.iter_mut().enumerate() {
            if (refresh_frame_flags >> i) & 1 == 1 {
                *slot = Some(reference);
            }
        }
    }

    /// `set_frame_refs()`: §7.8. Gives ref_frame_idx.
    pub(super) fn set_frame_refs(
        &self,
        order: Order,
        last_frame_idx: u32,
        gold_frame_idx: u32,
    ) -> Result<[u32; REFS_PER_FRAME]> {
        /// LAST2_FRAME, LAST3_FRAME, BWDREF_FRAME, ALTREF2_FRAME and ALTREF_FRAME, from LAST_FRAME on.
        const REF_FRAME_LIST: [usize; REFS_PER_FRAME - 2] = [1, 2, 4, 5, 6];
        // shiftedOrderHints without curFrameHint, which is added to all of them alike.
        let mut unused = Vec::with_capacity(NUM_REF_FRAMES);
        for slot in (0..).take(NUM_REF_FRAMES) {
            unused.push((slot, order.distance(self.get(slot)?.order_hint)));
        }
        let earliest = unused.iter().min_by_key(|(_, hint)| *hint).map_or(0, |(slot, _)| *slot);
        let mut frames = [None; REFS_PER_FRAME];
        let mut put = |frame: usize, slot: Option<u32>, unused: &mut Vec<(u32, i32)>| {
            if let (Some(to), Some(slot)) = (frames.get_mut(frame), slot)
                && to.is_none()
            {
                *to = Some(slot);
                unused.retain(|(other, _)| *other != slot);
            }
        };
        put(0, Some(last_frame_idx), &mut unused);
        put(3, Some(gold_frame_idx), &mut unused);
        let backward = |unused: &[(u32, i32)]| -> Vec<(u32, i32)> {
            unused.iter().copied().filter(|(_, hint)| *hint >= 0).collect()
        };
        // find_latest_backward() for ALTREF_FRAME: the last of equals.
        let latest = backward(&unused).into_iter().max_by_key(|(_, hint)| *hint);
        put(6, latest.map(|(slot, _)| slot), &mut unused);
        // find_earliest_backward() for BWDREF_FRAME and ALTREF2_FRAME: the first of equals.
        for frame in [4, 5] {
            let found = backward(&unused).into_iter().min_by_key(|(_, hint)| *hint);
            put(frame, found.map(|(slot, _)| slot), &mut unused);
        }
        // find_latest_forward() for what is left: the last of equals.
        for frame in REF_FRAME_LIST {
            let forward = unused.iter().filter(|(_, hint)| *hint < 0).max_by_key(|(_, hint)| *hint);
            let slot = forward.map(|(slot, _)| *slot);
            put(frame, slot, &mut unused);
        }
        Ok(frames.map(|slot| slot.unwrap_or(earliest)))
    }
}

fn not_sent(slot: u32) -> Error {
    Error::input(format!("reference frame {slot} was not sent"))
        .clause("AV1 Bitstream Specification §7.20")
        .hint("samples are read in decoding order from a sync sample on: begin each segment with one")
}

/// The order of a frame among others: order hints count modulo a power of two, §5.9.3.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// OrderHintBits; at least 1.
    pub(super) order_hint_bits: u32,
    /// OrderHint.
    pub(super) order_hint: u32,
}

impl Order {
    /// `get_relative_dist( a, b )`: §5.9.3.
    pub(super) fn relative_dist(self, a: u32, b: u32) -> i32 {
        // Order hints have 8 bits at most.
        let diff = i32::try_from(a).unwrap_or(0) - i32::try_from(b).unwrap_or(0);
        let m = 1 << self.order_hint_bits.saturating_sub(1).min(30);
        (diff & (m - 1)) - (diff & m)
    }

    /// How far a frame of this order hint is after this one.
    pub(super) fn distance(self, hint: u32) -> i32 {
        self.relative_dist(hint, self.order_hint)
    }

    /// skipModeAllowed, by the order hints of the frames that are referred to: §5.9.22.
    pub(super) fn allows_skip_mode(self, hints: &[u32]) -> bool {
        let (mut forward, mut has_backward) = (None, false);
        for hint in hints.iter().copied() {
            let distance = self.distance(hint);
            has_backward |= distance > 0;
            if distance < 0 && forward.is_none_or(|forward| self.relative_dist(hint, forward) > 0) {
                forward = Some(hint);
            }
        }
        let Some(forward) = forward else { return false };
        has_backward || hints.iter().any(|hint| self.relative_dist(*hint, forward) < 0)
    }
}
