//! Durations of Opus packets — RFC 6716 §3.1, §3.2.

use std::ops::Range;

use super::evidence::Evidence;
use super::marks::{Marks, is_in};

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
