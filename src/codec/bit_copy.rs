//! Bits that are read and kept, for what moves into another configuration — ISO/IEC 14496-3 §1.6.2.1, §4.4.1.1.

use crate::base::Result;
use crate::base::bits::BitReader;

/// Bits that are written, the first in the highest bit.
#[derive(Default)]
pub(super) struct BitCopy {
    out: Vec<u8>,
    /// Bits of the last byte that are not written yet.
    free: u8,
}

impl BitCopy {
    /// Writes the low bits of a number.
    pub(super) fn put(&mut self, count: u32, value: u32) {
        for bit in (0..count).rev() {
            if self.free == 0 {
                self.out.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.out.last_mut() {
                *last |= u8::from(value >> bit & 1 == 1) << self.free;
            }
        }
    }

    /// Reads a number and writes it.
    ///
    /// # Errors
    /// When the bits end.
    pub(super) fn copy(&mut self, from: &mut BitReader<'_>, count: u32) -> Result<u32> {
        let value = from.bits(count)?;
        self.put(count, value);
        Ok(value)
    }

    /// What was written, with zeros up to a whole byte.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Goes on with a new byte.
    pub(super) fn align(&mut self) {
        self.free = 0;
    }
}
