//! Durations of Opus packets — RFC 6716 §3.1, §3.2.

use std::ops::Range;

use super::evidence::Evidence;
use super::marks::{Marks, is_in};
use crate::base::{Error, Result};

/// The longest packet, in units of 2.5 ms: 120 ms.
const MAX_DURATION: u32 = 48;
/// The share of random bytes that have one certain duration: of 20 ms, which is the most common one, 23 of 100.
const CHANCE: f64 = 0.25;

/// The packets of a stream have one duration, but for a change now and then.
#[derive(Debug, Default)]
pub(super) struct PacketDurations {
    before: Option<u32>,
}

impl Marks for PacketDurations {
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        let duration = duration(sample);
        let before = std::mem::replace(&mut self.before, duration);
        if let Some(before) = before.filter(|_| is_in(encrypted, &(0..sample.len().min(2)))) {
            evidence.mark(duration == Some(before), CHANCE);
        }
    }
}

/// Samples in a second of what every decoder can give: RFC 7845 §5.1.
pub(super) const FREQUENCY: u32 = 48_000;

/// The duration of a packet, in samples; `None` of what is none.
pub(super) fn samples(packet: &[u8]) -> Option<u32> {
    duration(packet).map(|duration| duration * FREQUENCY / 400)
}

/// OpusSpecificBox of an identification header, the channels and the pre-skip: RFC 7845 §5.1; Encapsulation of Opus in
/// ISO Base Media File Format §4.3.2. The fields are the same, big-endian.
///
/// # Errors
/// When it is no such header.
pub(super) fn dops(header: &[u8]) -> Result<(Vec<u8>, u16, u32)> {
    let fields = header.strip_prefix(b"OpusHead").and_then(<[u8]>::split_first_chunk::<11>);
    let Some((
        [version, channels, skip_low, skip_high, r0, r1, r2, r3, gain_low, gain_high, family],
        mapping,
    )) = fields.filter(|(fields, _)| fields[0] < 16)
    else {
        return Err(Error::input("no identification header of Opus").clause("RFC 7845 §5.1"));
    };
    let expected = if *family == 0 { 0 } else { 2 + usize::from(*channels) };
    let mapping = mapping.get(..expected).filter(|_| *version > 0 && *channels > 0).ok_or_else(|| {
        Error::input("an identification header of Opus without its channel mapping").clause("RFC 7845 §5.1.1")
    })?;
    let head = [0, *channels, *skip_high, *skip_low, *r3, *r2, *r1, *r0, *gain_high, *gain_low, *family];
    let pre_skip = u32::from(u16::from_le_bytes([*skip_low, *skip_high]));
    Ok(([&head[..], mapping].concat(), u16::from(*channels), pre_skip))
}

/// The duration of a packet, in units of 2.5 ms; `None` of what is none.
fn duration(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    // 10, 20, 40, 60 ms of SILK; 10, 20 ms of both; 2.5, 5, 10, 20 ms of CELT: table 2.
    let frame = match config {
        0..12 => [4, 8, 16, 24].get(usize::from(config & 3)),
        12..16 => [4, 8].get(usize::from(config & 1)),
        _ => [1, 2, 4, 8].get(usize::from(config & 3)),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    frame.map(|frame| frame * frames).filter(|duration| (1..=MAX_DURATION).contains(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_the_durations_of_the_standard() {
        for (packet, expected) in [
            (&[0xfc, 0][..], Some(8)),
            (&[0xfd, 0], Some(16)),
            (&[0xff, 3], Some(24)),
            (&[0x08, 0], Some(8)),
            (&[0x60, 0], Some(4)),
            (&[0xff, 0], None),
            (&[0xff, 7], None),
            (&[0xff], None),
            (&[], None),
        ] {
            assert_eq!(duration(packet), expected, "{packet:?}");
        }
    }
}
