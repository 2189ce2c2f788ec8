//! Marks of VP9 and VP8 — VP9 Bitstream Specification §6.4, §9.2.1; RFC 6386 §9.1.

use std::ops::Range;

use super::uncompressed_header::Frame;
use super::{Frames, frame_sizes};
use crate::codec::first_bytes::FirstBytes;
use crate::codec::marks::is_in;
use crate::codec::{Evidence, Marks};

/// A frame tag whose version and first_part_size can be, and the start code of key frames: RFC 6386 §9.1.
pub(super) const VP8_FRAME: FirstBytes = FirstBytes {
    bytes: 10,
    // Of frames that are no key frames, with a version up to 3.
    chance: 0.25,
    checked: None,
    has: |frame| {
        let [a, b, c, start_code @ ..] = frame else { return false };
        let (is_key_frame, version) = (a & 1 == 0, a >> 1 & 7);
        let tag = u32::from(*a) | u32::from(*b) << 8 | u32::from(*c) << 16;
        let first_part_size = usize::try_from(tag >> 5).unwrap_or(usize::MAX);
        version <= 3
            && first_part_size <= frame.len()
            && (!is_key_frame || start_code.starts_with(&[0x9d, 0x01, 0x2a]))
    },
};

impl Marks for Frames {
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        let mut start = 0;
        for size in frame_sizes(sample).unwrap_or_default() {
            let end = start + size;
            let frame = sample.get(start..end).unwrap_or_default();
            match self.references.parse(frame) {
                Ok(Frame::Coded { header, compressed, tiles }) => {
                    let compressed_header = start + header;
                    marker(sample, compressed_header, encrypted, evidence);
                    let tile_data = compressed_header.saturating_add(compressed)..end;
                    look_at_tiles(sample, tile_data, tiles, encrypted, evidence);
                }
                Ok(Frame::Existing) => {}
                Err(_) => return,
            }
            start = end;
        }
    }
}

/// Boolean coding begins with a marker bit of 0: VP9 Bitstream Specification §9.2.1.
fn marker(sample: &[u8], position: usize, encrypted: &[Range<usize>], evidence: &mut Evidence) {
    if is_in(encrypted, &(position..position + 1)) {
        evidence.mark(sample.get(position).is_some_and(|byte| byte & 0x80 == 0), 0.5);
    }
}

/// The size of each tile but the last stands before it: §6.4.
fn look_at_tiles(
    sample: &[u8],
    mut tile_data: Range<usize>,
    tiles: u32,
    encrypted: &[Range<usize>],
    evidence: &mut Evidence,
) {
    for tile in 1..=tiles {
        let mut size = tile_data.len();
        if tile < tiles {
            let field = tile_data.start..tile_data.start.saturating_add(4);
            let bytes = sample.get(field.clone()).and_then(|bytes| bytes.first_chunk());
            let tile_size = bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize);
            let is_inside = (1..=tile_data.len().saturating_sub(4)).contains(&tile_size);
            if is_in(encrypted, &field) {
                // Of 2^32 sizes at most those that the frame has.
                evidence.mark(is_inside, (tile_data.len() as f64 / 4_294_967_296.0).max(1e-6));
            }
            if !is_inside {
                return;
            }
            tile_data.start = field.end;
            size = tile_size;
        }
        if size == 0 {
            return;
        }
        marker(sample, tile_data.start, encrypted, evidence);
        tile_data.start += size;
    }
}
