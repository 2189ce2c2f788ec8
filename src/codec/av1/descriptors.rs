//! Descriptors of syntax elements that no other codec has — AV1 Bitstream Specification §4.10.

use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::base::{Error, Result};

/// `uvlc()`, whose value nobody needs here: §4.10.3.
pub(super) fn uvlc(bits: &mut BitReader<'_>) -> Result<()> {
    let mut leading_zeros = 0;
    while !bits.bit()? {
        leading_zeros += 1;
    }
    if leading_zeros < 32 {
        bits.bits(leading_zeros)?;
    }
    Ok(())
}

/// `leb128()`: §4.10.5.
pub(super) fn leb128(reader: &mut Reader<'_>) -> Result<usize> {
    let mut value: u64 = 0;
    for i in 0..8 {
        let leb128_byte = reader.u8()?;
        value |= u64::from(leb128_byte & 0x7f) << (i * 7);
        if leb128_byte & 0x80 == 0 {
            return u32::try_from(value).ok().and_then(|value| usize::try_from(value).ok()).ok_or_else(
                || Error::input(format!("leb128 of {value}, less than 2^32 expected")).clause(CLAUSE),
            );
        }
    }
    Err(Error::input("leb128 of more than 8 bytes").clause(CLAUSE))
}

const CLAUSE: &str = "AV1 Bitstream Specification §4.10.5";

/// `su(n)`: §4.10.6.
pub(super) fn su(bits: &mut BitReader<'_>, n: u32) -> Result<i32> {
    let value = i64::from(bits.bits(n)?);
    let sign_mask = 1_i64 << (n - 1);
    let value = if value & sign_mask == 0 { value } else { value - 2 * sign_mask };
    i32::try_from(value).map_err(|_| Error::input("signed number out of range"))
}

/// `ns(n)`: §4.10.7.
pub(super) fn ns(bits: &mut BitReader<'_>, n: u32) -> Result<u32> {
    let w = u32::BITS - n.leading_zeros();
    let m = (1_u64 << w) - u64::from(n);
    let v = bits.bits(w.saturating_sub(1))?;
    if u64::from(v) < m {
        return Ok(v);
    }
    let extra_bit = u64::from(bits.bit()?);
    Ok(u32::try_from((u64::from(v) << 1) - m + extra_bit).unwrap_or(u32::MAX))
}

/// `le(n)` of n bytes: §4.10.4.
pub(super) fn le(reader: &mut Reader<'_>, n: usize) -> Result<usize> {
    let bytes = reader.take(n)?;
    Ok(bytes.iter().rev().fold(0, |value, byte| (value << 8) | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_specification_are_read() {
        // ns(5): 0, 1, 2 take two bits, 3 and 4 three.
        let mut bits = BitReader::plain(&[0b0001_1011, 0b0111_0000]);
        let values: Vec<u32> = (0..5).map(|_| ns(&mut bits, 5).unwrap()).collect();
        assert_eq!(values, [0, 1, 2, 3, 4]);
        assert_eq!(ns(&mut BitReader::plain(&[]), 1).unwrap(), 0);
        assert_eq!(su(&mut BitReader::plain(&[0b1111_1110]), 7).unwrap(), -1);
        assert_eq!(su(&mut BitReader::plain(&[0b0111_1110]), 7).unwrap(), 63);
        assert_eq!(leb128(&mut Reader::new(&[0xe5, 0x8e, 0x26])).unwrap(), 624_485);
        assert_eq!(leb128(&mut Reader::new(&[0x80, 0x00])).unwrap(), 0);
        assert!(leb128(&mut Reader::new(&[0xff; 9])).is_err());
        assert!(leb128(&mut Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x7f])).is_err());
        assert_eq!(le(&mut Reader::new(&[1, 2]), 2).unwrap(), 0x201);
    }
}
