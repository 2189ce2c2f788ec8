//! Segment Index box (`sidx`) — ISO/IEC 14496-12 §8.16.3.

use std::ops::Range;

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::{check_count, full_box};

/// Where the references of a `sidx` lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidx {
    /// Where `first_offset` stands in the payload, and its width in bytes.
    first_offset_field: (usize, usize),
    /// `first_offset`: bytes from the end of this box to the first referenced byte.
    pub first_offset: u64,
    /// Where the first reference stands in the payload.
    references: usize,
    /// `referenced_size` of each reference, in bytes.
    pub referenced_sizes: Vec<u32>,
}

impl Sidx {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        reader.take(8)?;
        let width = if version == 0 { 4 } else { 8 };
        reader.take(width)?;
        let first_offset_field = (reader.position(), width);
        let first_offset = if version == 0 { u64::from(reader.u32()?) } else { reader.u64()? };
        reader.u16()?;
        let reference_count = reader.u16()?;
        check_count(&reader, u32::from(reference_count), 12)?;
        let references = reader.position();
        let mut referenced_sizes = Vec::with_capacity(usize::from(reference_count));
        for _ in 0..reference_count {
            referenced_sizes.push(reader.u32()? & 0x7fff_ffff);
            reader.take(8)?;
        }
        Ok(Self { first_offset_field, first_offset, references, referenced_sizes })
    }

    /// Where the referenced bytes lie in the file, given where this box ends.
    pub fn ranges(&self, end_of_box: u64) -> Vec<Range<u64>> {
        let mut position = end_of_box.saturating_add(self.first_offset);
        let mut ranges = Vec::with_capacity(self.referenced_sizes.len());
        for size in &self.referenced_sizes {
            let end = position.saturating_add(u64::from(*size));
            ranges.push(position..end);
            position = end;
        }
        ranges
    }

    /// Writes new sizes and a new first offset into the payload this view was read from.
    ///
    /// # Errors
    /// When a size needs more than 31 bits.
    pub fn patch(&self, payload: &mut [u8], first_offset: u64, sizes: &[u64]) -> Result<()> {
        let too_large = |value: u64| {
            Error::unsupported(format!("{value} bytes do not fit the field of sidx"))
                .clause("ISO/IEC 14496-12 §8.16.3")
        };
        let (at, width) = self.first_offset_field;
        let bytes = first_offset.to_be_bytes();
        if width == 4 && first_offset > u64::from(u32::MAX) {
            return Err(too_large(first_offset));
        }
        if let (Some(field), Some(value)) = (payload.get_mut(at..at + width), bytes.get(8 - width..)) {
            field.copy_from_slice(value);
        }
        for (index, size) in sizes.iter().enumerate() {
            let at = self.references + 12 * index;
            let Some(field) = payload.get_mut(at..at + 4) else { continue };
            let size = u32::try_from(*size)
                .ok()
                .filter(|size| *size <= 0x7fff_ffff)
                .ok_or_else(|| too_large(*size))?;
            let reference_type = field.first().copied().unwrap_or_default() & 0x80;
            field.copy_from_slice(&size.to_be_bytes());
            if let Some(first) = field.first_mut() {
                *first |= reference_type;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_patched_and_the_reference_type_stays() {
        let mut payload = [&[0, 0, 0, 0][..], &[0; 8], &[0; 4], &[0, 0, 0, 5], &[0, 0, 0, 2]].concat();
        payload.extend([&[0x80, 0, 0, 9][..], &[1; 8], &[0, 0, 0, 7], &[2; 8]].concat());
        let sidx = Sidx::parse(&payload).unwrap();
        assert_eq!(sidx.ranges(100), [105..114, 114..121]);
        sidx.patch(&mut payload, 6, &[10, 11]).unwrap();
        let patched = Sidx::parse(&payload).unwrap();
        assert_eq!(patched.ranges(100), [106..116, 116..127]);
        assert_eq!(payload[24], 0x80);
        assert!(sidx.patch(&mut payload, 6, &[1 << 31, 0]).is_err());
    }
}
