//! Marks in the first bytes of every sample: syncwords and fixed fields — ETSI TS 102 366 §4.4.1.1 and others, see the
//! rows of the codecs.

use std::ops::Range;

use super::evidence::Evidence;
use super::marks::{Marks, is_in};

/// What the first bytes of a sample have.
#[derive(Clone, Copy)]
pub(super) struct FirstBytes {
    /// How many bytes it takes to tell.
    pub(super) bytes: usize,
    /// The share of random bytes that have it too.
    pub(super) chance: f64,
    /// Whether a sample has it.
    pub(super) has: fn(&[u8]) -> bool,
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
        }
    }
}
