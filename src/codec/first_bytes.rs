//! Marks in the first bytes of every sample, and the CRC of all of it: syncwords and fixed fields — ETSI TS 102 366
//! §4.4.1.1 and others, see the rows of the codecs.

use std::ops::Range;

use super::evidence::Evidence;
use super::marks::{Marks, is_in};

/// Finds what a CRC is 0 over.
type Checked = fn(&[u8]) -> Option<&[u8]>;

/// What the first bytes of a sample have.
#[derive(Clone, Copy)]
pub(super) struct FirstBytes {
    /// How many bytes it takes to tell.
    pub(super) bytes: usize,
    /// The share of random bytes that have it too.
    pub(super) chance: f64,
    /// Whether a sample has it.
    pub(super) has: fn(&[u8]) -> bool,
    /// The bytes of a sample that a CRC is 0 over.
    pub(super) checked: Option<Checked>,
}

impl FirstBytes {
    /// The marks of a track.
    pub(super) fn open(self) -> Box<dyn Marks> {
        Box::new(self)
    }
}

impl Marks for FirstBytes {
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        if sample.len() >= self.bytes && is_in(encrypted, &(0..self.bytes)) {
            evidence.mark((self.has)(sample), self.chance);
            if let Some(checked) = self.checked {
                evidence.mark(checked(sample).is_some_and(|bytes| crc_16(bytes) == 0), CRC);
            }
        }
    }

    fn reach_first_blocks(&self) -> bool {
        self.checked.is_some()
    }
}

/// The share of random bytes that fit their CRC of 16 bits.
pub(super) const CRC: f64 = 1.0 / 65_536.0;

/// The CRC of syncframes and of FLAC frames, 0 over bytes that end with it: ETSI TS 102 366 §6.1.7, RFC 9639 §9.3,
/// x^16 + x^15 + x^2 + 1.
pub(super) fn crc_16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x8005 }
            },
        )
    })
}
