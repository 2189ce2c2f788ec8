//! The size of JPEG images — ITU-T T.81 annex B.

use crate::base::env::Source;
use crate::base::{Error, Result};

const SOI: u8 = 0xd8;
/// Baseline, extended and progressive Huffman frames: what browsers show.
const SHOWN_FRAMES: std::ops::RangeInclusive<u8> = 0xc0..=0xc2;
/// All start-of-frame markers, with the three of their range that are others: DHT, JPG, DAC.
const FRAMES: std::ops::RangeInclusive<u8> = 0xc0..=0xcf;
const NO_FRAMES: &[u8] = &[0xc4, 0xc8, 0xcc];
/// Markers behind which no frame begins: EOI and SOS.
const ENDS: &[u8] = &[0xd9, 0xda];
/// Segments before the frame header; the longest color profile has 255.
const MAX_SEGMENTS: usize = 1024;

/// Width and height of an image, in pixels.
///
/// # Errors
/// When it is no JPEG that browsers show.
pub fn size(source: &dyn Source) -> Result<(u32, u32)> {
    let mut start = [0; 2];
    let is_jpeg = source.len() >= 2 && source.read_at(0, &mut start).is_ok() && start == [0xff, SOI];
    if !is_jpeg {
        return Err(Error::input("no JPEG image, which begins with FF D8").clause("ITU-T T.81 §B.2.1"));
    }
    let mut position = 2;
    for _ in 0..MAX_SEGMENTS {
        let Some([prefix, marker, high, low]) = read::<4>(source, position)? else { break };
        let is_fill = (prefix, marker) == (0xff, 0xff);
        if is_fill {
            position += 1;
            continue;
        }
        if prefix != 0xff || ENDS.contains(&marker) {
            break;
        }
        if SHOWN_FRAMES.contains(&marker) {
            return frame(source, position);
        }
        if FRAMES.contains(&marker) && !NO_FRAMES.contains(&marker) {
            return Err(Error::unsupported(format!("a JPEG frame of type {}, 0 to 2 expected", marker & 15))
                .clause("ITU-T T.81 table B.1")
                .at(format!("byte {position}"))
                .hint("write it as a baseline JPEG"));
        }
        position += 2 + u64::from(u16::from_be_bytes([high, low]));
    }
    Err(Error::input("no frame header where one is expected")
        .clause("ITU-T T.81 §B.2.2")
        .at(format!("byte {position}")))
}

fn frame(source: &dyn Source, position: u64) -> Result<(u32, u32)> {
    let at = |error: Error| error.clause("ITU-T T.81 §B.2.2").at(format!("byte {position}"));
    let Some([_, _, _, _, _, a, b, c, d]) = read::<9>(source, position)? else {
        return Err(at(Error::input("the frame header is cut off")));
    };
    let (height, width) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    if width == 0 || height == 0 {
        return Err(at(Error::input(format!("an image of {width}x{height} pixels"))));
    }
    Ok((width.into(), height.into()))
}

/// Bytes of the file; `None` when it ends before.
fn read<const N: usize>(source: &dyn Source, position: u64) -> Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    if position.saturating_add(N as u64) > source.len() {
        return Ok(None);
    }
    source.read_at(position, &mut bytes)?;
    Ok(Some(bytes))
}
