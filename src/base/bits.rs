//! A bit cursor with Exp-Golomb codes and emulation prevention: ITU-T H.264 §7.3.1, §9.1; ITU-T H.265 the same.

use super::error::{Error, Result};

/// Whether a third byte 3 after two zero bytes is `emulation_prevention_three_byte`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EmulationPrevention {
    Present,
    Absent,
}

/// Reads bits of a NAL unit; `emulation_prevention_three_byte` is passed over as it is met.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    emulation_prevention: EmulationPrevention,
    /// The next byte to load.
    next: usize,
    /// Zero bytes in a row before `next`.
    zeros: u8,
    current: u8,
    /// Bits of `current` not yet read.
    left: u8,
}

impl<'a> BitReader<'a> {
    /// A cursor at the first bit of `bytes`, the NAL unit after its header.
    pub fn new(bytes: &'a [u8]) -> Self {
        let emulation_prevention = EmulationPrevention::Present;
        Self { bytes, emulation_prevention, next: 0, zeros: 0, current: 0, left: 0 }
    }

    /// A cursor at the first bit of `bytes`, in a syntax without emulation prevention.
    pub fn plain(bytes: &'a [u8]) -> Self {
        Self { emulation_prevention: EmulationPrevention::Absent, ..Self::new(bytes) }
    }

    /// Bytes of the NAL unit touched so far, emulation prevention included: the number of
    /// bits read, rounded up to whole bytes.
    pub fn bytes_touched(&self) -> usize {
        self.next
    }

    /// Bits of a syntax without emulation prevention that were read.
    pub fn bits_read(&self) -> usize {
        8 * self.next - usize::from(self.left)
    }

    /// Passes over the bits that are left of the byte at hand.
    pub fn align(&mut self) {
        self.left = 0;
    }

    /// One bit.
    ///
    /// # Errors
    /// At the end of the NAL unit.
    pub fn bit(&mut self) -> Result<bool> {
        if self.left == 0 {
            self.load()?;
        }
        self.left -= 1;
        Ok((self.current >> self.left) & 1 == 1)
    }

    fn load(&mut self) -> Result<()> {
        let mut byte = self.byte()?;
        // §7.3.1: within 00 00 03 the third byte is emulation_prevention_three_byte.
        if self.zeros >= 2 && byte == 3 && self.emulation_prevention == EmulationPrevention::Present {
            self.zeros = 0;
            byte = self.byte()?;
        }
        self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        self.current = byte;
        self.left = 8;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        let Some(&byte) = self.bytes.get(self.next) else {
            return Err(Error::input("the bits end inside their syntax").at_byte(self.next as u64));
        };
        self.next += 1;
        Ok(byte)
    }

    /// `count` bits (at most 32) as a number: `u(n)`.
    ///
    /// # Errors
    /// At the end of the NAL unit.
    pub fn bits(&mut self, count: u32) -> Result<u32> {
        let mut value: u32 = 0;
        for _ in 0..count {
            value = (value << 1) | u32::from(self.bit()?);
        }
        Ok(value)
    }

    /// An unsigned Exp-Golomb code: `ue(v)`.
    ///
    /// # Errors
    /// At the end of the NAL unit, or for more than 32 leading zeros.
    pub fn ue(&mut self) -> Result<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return Err(Error::input("Exp-Golomb code with more than 31 leading zeros")
                    .clause("ITU-T H.264 §9.1")
                    .at_byte(self.next as u64));
            }
        }
        let suffix = self.bits(zeros)?;
        Ok(((1_u32 << zeros) - 1).saturating_add(suffix))
    }

    /// An unsigned Exp-Golomb code whose semantics bound it: `ue(v)` of the syntax element `name`.
    ///
    /// # Errors
    /// As [`BitReader::ue`], and for a value over `most`.
    pub fn ue_up_to(&mut self, most: u32, name: &'static str) -> Result<u32> {
        let value = self.ue()?;
        if value > most {
            return Err(
                Error::input(format!("{name} is {value}, at most {most} expected")).at_byte(self.next as u64)
            );
        }
        Ok(value)
    }

    /// A signed Exp-Golomb code: `se(v)`.
    ///
    /// # Errors
    /// As [`BitReader::ue`].
    pub fn se(&mut self) -> Result<i32> {
        let code = i64::from(self.ue()?);
        let value = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
        i32::try_from(value).map_err(|_| Error::input("signed Exp-Golomb code out of range"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_of_table_9_2() {
        // 1 | 010 | 011 | 00100 | 00101 -> ue 0 1 2 3 4
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<u32> = (0..5).map(|_| reader.ue().unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<i32> = (0..5).map(|_| reader.se().unwrap()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn a_code_over_its_bound_is_named() {
        let error = BitReader::new(&[0b0010_1000]).ue_up_to(3, "cabac_init_idc").unwrap_err();
        assert_eq!(error.to_string(), "byte 1: cabac_init_idc is 4, at most 3 expected");
        assert_eq!(BitReader::new(&[0b0010_1000]).ue_up_to(4, "cabac_init_idc").unwrap(), 4);
    }

    #[test]
    fn the_longest_code_is_read_and_a_longer_one_refused() {
        // 31 zeros, a one, 31 ones: 2^32 - 2, the greatest value of §9.1.
        let mut reader = BitReader::new(&[0, 0, 3, 0, 1, 0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(reader.ue().unwrap(), u32::MAX - 1);
        assert!(BitReader::new(&[0, 0, 3, 0, 0, 3, 0xff, 0xff, 0xff, 0xff]).ue().is_err());
    }

    #[test]
    fn emulation_prevention_is_passed_over_and_counted() {
        let mut reader = BitReader::new(&[0, 0, 3, 1, 0xff]);
        assert_eq!(reader.bits(24).unwrap(), 1);
        assert_eq!(reader.bytes_touched(), 4);
        assert_eq!(reader.bits(8).unwrap(), 0xff);
        assert!(reader.bit().is_err());
        assert_eq!(BitReader::plain(&[0, 0, 3, 1]).bits(32).unwrap(), 0x0000_0301);
    }
}
