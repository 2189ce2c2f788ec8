//! Blocks and their laces — RFC 9559 §10: the header, and where each frame of a block lies.

use std::ops::Range;

use super::ebml::{Reader, vint};
use crate::base::{Error, Result};

/// Bytes of a track number, a time, flags, and the count of a lace.
const HEADER_BYTES: usize = 12;
/// Bytes of a lace's sizes that are read at a time: 255 of at most eight bytes each.
const LACE_BYTES: usize = 2048;

/// A block: whose it is, when, and where its frames lie.
pub(super) struct Block {
    pub(super) track_number: u64,
    /// In ticks of the segment, since the time of the cluster.
    pub(super) time: i16,
    /// Of a SimpleBlock alone: whether every frame can be decoded by itself.
    pub(super) is_key: bool,
    pub(super) frames: Vec<Range<u64>>,
}

impl Block {
    /// Reads the head of a block whose data lies here.
    ///
    /// # Errors
    /// When it is cut off, or its frames do not fill it.
    pub(super) fn read(reader: &Reader<'_>, data: Range<u64>) -> Result<Self> {
        let fault = |error: Error| error.at_byte(data.start).clause("RFC 9559 §10");
        let length = usize::try_from(data.end.saturating_sub(data.start)).unwrap_or(usize::MAX);
        let (head, known) = reader.peek::<HEADER_BYTES>(data.start)?;
        let head = head.get(..known.min(length)).unwrap_or_default();
        let (track_number, at) = vint(head).map_err(fault)?;
        let Some([high, low, flags, ..]) = head.get(at..) else {
            return Err(fault(Error::input("a block ends inside its header")));
        };
        let start = data.start + at as u64 + 3;
        let lacing = flags >> 1 & 3;
        let frames = match lacing {
            0 => std::iter::once(start..data.end).collect(),
            _ => laced(reader, lacing, start..data.end).map_err(fault)?,
        };
        if frames.iter().any(Range::is_empty) {
            return Err(fault(Error::input("a frame without bytes")));
        }
        Ok(Self { track_number, time: i16::from_be_bytes([*high, *low]), is_key: flags & 0x80 != 0, frames })
    }
}

/// The frames of a lace: §10.3.
fn laced(reader: &Reader<'_>, lacing: u8, data: Range<u64>) -> Result<Vec<Range<u64>>> {
    let cut_off = || Error::input("a lace ends inside its sizes");
    let (head, known) = reader.peek::<LACE_BYTES>(data.start)?;
    let length = usize::try_from(data.end.saturating_sub(data.start)).unwrap_or(usize::MAX);
    let (count, mut rest) =
        head.get(..known.min(length)).and_then(<[u8]>::split_first).ok_or_else(cut_off)?;
    let (count, all) = (u64::from(*count) + 1, rest.len());
    let mut sizes: Vec<u64> = Vec::new();
    match lacing {
        1 => {
            for _ in 1..count {
                let more = rest.iter().take_while(|byte| **byte == 255).count();
                let last = rest.get(more).ok_or_else(cut_off)?;
                sizes.push(255 * more as u64 + u64::from(*last));
                rest = rest.get(more + 1..).unwrap_or_default();
            }
        }
        3 => {
            for number in 1..count {
                let (value, bytes) = vint(rest)?;
                // The first is a size, the others are differences from the one before, half the range below 0.
                let bias = (1_u64 << (7 * bytes - 1)) - 1;
                let size = match sizes.last() {
                    Some(before) if number > 1 => {
                        before.checked_add(value).and_then(|sum| sum.checked_sub(bias))
                    }
                    _ => Some(value),
                };
                sizes.push(size.ok_or_else(|| Error::input("a frame of a lace with a size below 0"))?);
                rest = rest.get(bytes..).unwrap_or_default();
            }
        }
        _ => {}
    }
    let start = data.start + 1 + (all - rest.len()) as u64;
    let room = data.end.saturating_sub(start);
    if lacing == 2 {
        if !room.is_multiple_of(count) {
            return Err(Error::input(format!("{room} bytes in {count} frames of one size")));
        }
        sizes = vec![room / count; usize::try_from(count).unwrap_or(0)];
    } else {
        let known = sizes.iter().try_fold(0_u64, |sum, size| sum.checked_add(*size));
        let last = known.and_then(|known| room.checked_sub(known));
        sizes.push(last.ok_or_else(|| Error::input("the frames of a lace are longer than it"))?);
    }
    let mut at = start;
    let ranges = sizes.into_iter().map(|size| {
        let from = at;
        at += size;
        from..at
    });
    Ok(ranges.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Result<Vec<Range<u64>>> {
        let bytes = bytes.to_vec();
        let length = bytes.len() as u64;
        Block::read(&Reader::new(&bytes), 0..length).map(|block| block.frames)
    }

    #[test]
    fn every_lacing_says_where_its_frames_lie() {
        assert_eq!(frames(&[0x81, 0, 1, 0x80, 9, 9]).unwrap().first(), Some(&(4..6)));
        // Xiph: 2 frames more; sizes 257 and 1.
        let xiph = [&[0x81, 0, 0, 2, 2, 255, 2, 1][..], &[9; 260]].concat();
        assert_eq!(frames(&xiph).unwrap(), [8..265, 265..266, 266..268]);
        // EBML: 3, then one less, then the rest.
        let ebml = [&[0x81, 0, 0, 6, 2, 0x83, 0xbe][..], &[9; 9]].concat();
        assert_eq!(frames(&ebml).unwrap(), [7..10, 10..12, 12..16]);
        assert_eq!(frames(&[0x81, 0, 0, 4, 1, 9, 9, 9, 9]).unwrap(), [5..7, 7..9]);
        for wrong in [
            &[0x81, 0, 0, 4, 1, 9, 9, 9][..],
            &[0x81, 0, 0, 2, 2, 255],
            &[0x81, 0, 0, 2, 1, 9, 9],
            &[0x81, 0, 0],
            &[0x81, 0, 0, 0],
            &[0x81, 0, 0, 6, 2, 0x80, 0xbe, 9],
            &[],
        ] {
            assert!(frames(wrong).is_err(), "{wrong:?}");
        }
    }
}
