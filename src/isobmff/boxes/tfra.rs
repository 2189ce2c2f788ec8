//! Track Fragment Random Access box (`tfra`) — ISO/IEC 14496-12 §8.8.10.

use std::ops::Range;

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::{check_count, full_box};

/// `moof_offset` of every entry, read or rewritten in place.
#[derive(Clone, Copy, Debug)]
pub struct Tfra;

impl Tfra {
    /// Each `moof_offset`, a position in the file in bytes.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn offsets(payload: &[u8]) -> Result<Vec<u64>> {
        let fields = fields(payload)?.filter_map(|field| payload.get(field));
        Ok(fields.map(number).collect())
    }

    /// Replaces each `moof_offset`, a position in the file in bytes, by what `map` says.
    ///
    /// # Errors
    /// When the payload is cut off, `map` fails, or a position no longer fits its field.
    pub fn map_offsets(payload: &mut [u8], map: &dyn Fn(u64) -> Result<u64>) -> Result<()> {
        for field in fields(payload)? {
            let Some(field) = payload.get_mut(field) else { continue };
            let mapped = map(number(field))?;
            if field.len() == 4 && mapped > u64::from(u32::MAX) {
                return Err(Error::unsupported(format!("moof_offset {mapped} does not fit 32 bits")));
            }
            if let Some(bytes) = mapped.to_be_bytes().get(8 - field.len()..) {
                field.copy_from_slice(bytes);
            }
        }
        Ok(())
    }
}

/// Where each `moof_offset` stands in the payload.
fn fields(payload: &[u8]) -> Result<impl Iterator<Item = Range<usize>> + use<>> {
    let mut reader = Reader::new(payload);
    let (version, _) = full_box(&mut reader)?;
    reader.u32()?;
    let lengths = reader.u32()?;
    let length = |shift: u32| ((lengths >> shift & 3) + 1) as usize;
    let width = if version == 1 { 8 } else { 4 };
    let entry = 2 * width + length(4) + length(2) + length(0);
    let count = reader.u32()?;
    check_count(&reader, count, entry)?;
    let first = reader.position() + width;
    Ok((0..count as usize).map(move |index| first + index * entry..first + index * entry + width))
}

fn number(field: &[u8]) -> u64 {
    field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
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
        assert_eq!(Tfra::offsets(&payload).unwrap(), [42]);
        let before = payload.clone();
        assert!(Tfra::map_offsets(&mut payload, &|_| Err(Error::input("no"))).is_err());
        assert_eq!(payload, before);
    }
}
