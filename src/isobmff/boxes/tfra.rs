//! Track Fragment Random Access box (`tfra`) — ISO/IEC 14496-12 §8.8.10.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::{check_count, full_box};

/// Rewrites `moof_offset` of every entry.
#[derive(Clone, Copy, Debug)]
pub struct Tfra;

impl Tfra {
    /// Replaces each `moof_offset`, a position in the file in bytes, by what `map` says.
    ///
    /// # Errors
    /// When the payload is cut off, `map` fails, or a position no longer fits its field.
    pub fn map_offsets(payload: &mut [u8], map: &dyn Fn(u64) -> Result<u64>) -> Result<()> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        reader.u32()?;
        let lengths = reader.u32()?;
        let number = |shift: u32| ((lengths >> shift & 3) + 1) as usize;
        let width = if version == 1 { 8 } else { 4 };
        let entry = 2 * width + number(4) + number(2) + number(0);
        let count = reader.u32()?;
        check_count(&reader, count, entry)?;
        let first = reader.position();
        for index in 0..count as usize {
            let at = first + index * entry + width;
            let Some(field) = payload.get_mut(at..at + width) else { continue };
            let position = field.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            let mapped = map(position)?;
            if width == 4 && mapped > u64::from(u32::MAX) {
                return Err(Error::unsupported(format!("moof_offset {mapped} does not fit 32 bits")));
            }
            if let Some(bytes) = mapped.to_be_bytes().get(8 - width..) {
                field.copy_from_slice(bytes);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_mapped_in_place() {
        let mut payload = [&[0, 0, 0, 0][..], &[0, 0, 0, 1], &[0; 4], &[0, 0, 0, 1]].concat();
        payload.extend([&[0, 0, 0, 3][..], &[0, 0, 0, 40], &[1, 1, 1]].concat());
        Tfra::map_offsets(&mut payload, &|position| Ok(position + 2)).unwrap();
        assert_eq!(payload[20..24], [0, 0, 0, 42]);
        let before = payload.clone();
        assert!(Tfra::map_offsets(&mut payload, &|_| Err(Error::input("no"))).is_err());
        assert_eq!(payload, before);
    }
}
