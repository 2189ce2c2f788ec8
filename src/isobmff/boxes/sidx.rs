//! Segment Index box (`sidx`) — ISO/IEC 14496-12 §8.16.3.

use std::ops::Range;

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::{check_count, full_box, write_full_box};

/// Where the references of a `sidx` lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidx {
    /// Where `first_offset` stands in the payload, and its width in bytes.
    first_offset_field: (usize, usize),
    /// `reference_ID`: the track whose times it has.
    pub reference_id: u32,
    /// Ticks in a second.
    pub timescale: u32,
    /// `first_offset`: bytes from the end of this box to the first referenced byte.
    pub first_offset: u64,
    /// Where the first reference stands in the payload.
    references: usize,
    /// `referenced_size` of each reference, in bytes.
    pub referenced_sizes: Vec<u32>,
    /// `subsegment_duration` of each reference, in ticks.
    pub durations: Vec<u32>,
    /// Whether a reference is to another `sidx`.
    has_indexes: bool,
}

/// What a new `sidx` says about one subsegment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SidxReference {
    /// `referenced_size`, in bytes.
    pub referenced_size: u64,
    /// `subsegment_duration`, in ticks of the media.
    pub subsegment_duration: u64,
    /// `SAP_type` of the access point that it starts with; 0 when it starts with none.
    pub sap_type: u8,
}

impl Sidx {
    /// Length of the payload that [`Sidx::write`] makes for so many references.
    ///
    /// # Errors
    /// When there are more than one box can hold.
    pub fn length(reference_count: usize) -> Result<usize> {
        let count = u16::try_from(reference_count).map_err(|_| {
            Error::unsupported(format!("{reference_count} subsegments in one sidx, at most {}", u16::MAX))
                .clause("ISO/IEC 14496-12 §8.16.3")
                .hint("make longer segments")
        })?;
        Ok(32 + 12 * usize::from(count))
    }

    /// The payload of a `sidx` of the track `reference_id` right before the first subsegment.
    ///
    /// # Errors
    /// When there are too many references, or one does not fit its field.
    pub fn write(
        reference_id: u32,
        timescale: u32,
        earliest_presentation_time: u64,
        references: &[SidxReference],
    ) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(Self::length(references.len())?);
        write_full_box(1, 0, &mut out);
        out.extend(reference_id.to_be_bytes());
        out.extend(timescale.to_be_bytes());
        out.extend(earliest_presentation_time.to_be_bytes());
        out.extend(0_u64.to_be_bytes());
        let count = u32::try_from(references.len()).unwrap_or(u32::MAX);
        out.extend(count.to_be_bytes());
        for reference in references {
            let size = u32::try_from(reference.referenced_size).ok().filter(|size| size >> 31 == 0);
            let size = size.ok_or_else(|| too_large(reference.referenced_size))?;
            let duration = u32::try_from(reference.subsegment_duration).map_err(|_| {
                Error::unsupported(format!("a subsegment of {} ticks", reference.subsegment_duration))
                    .clause("ISO/IEC 14496-12 §8.16.3")
            })?;
            let sap_type = u32::from(reference.sap_type & 7);
            let starts_with_sap = u32::from(sap_type != 0);
            out.extend(size.to_be_bytes());
            out.extend(duration.to_be_bytes());
            out.extend((starts_with_sap << 31 | sap_type << 28).to_be_bytes());
        }
        Ok(out)
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        let (reference_id, timescale) = (reader.u32()?, reader.u32()?);
        let width = if version == 0 { 4 } else { 8 };
        reader.take(width)?;
        let first_offset_field = (reader.position(), width);
        let first_offset = if version == 0 { u64::from(reader.u32()?) } else { reader.u64()? };
        reader.u16()?;
        let reference_count = reader.u16()?;
        check_count(&reader, u32::from(reference_count), 12)?;
        let references = reader.position();
        let mut referenced_sizes = Vec::with_capacity(usize::from(reference_count));
        let mut durations = Vec::with_capacity(usize::from(reference_count));
        let mut has_indexes = false;
        for _ in 0..reference_count {
            let field = reader.u32()?;
            has_indexes |= field >> 31 == 1;
            referenced_sizes.push(field & 0x7fff_ffff);
            durations.push(reader.u32()?);
            reader.u32()?;
        }
        Ok(Self {
            first_offset_field,
            reference_id,
            timescale,
            first_offset,
            references,
            referenced_sizes,
            durations,
            has_indexes,
        })
    }

    /// Whether it refers to further indexes, not to media alone.
    pub fn has_indexes(&self) -> bool {
        self.has_indexes
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

fn too_large(bytes: u64) -> Error {
    Error::unsupported(format!("{bytes} bytes do not fit the field of sidx"))
        .clause("ISO/IEC 14496-12 §8.16.3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_too_much_is_refused() {
        let reference = SidxReference { referenced_size: 9, subsegment_duration: 5, sap_type: 1 };
        let payload = Sidx::write(1, 1000, 7, &[reference, reference]).unwrap();
        assert_eq!(payload.len(), Sidx::length(2).unwrap());
        let sidx = Sidx::parse(&payload).unwrap();
        assert_eq!((sidx.first_offset, sidx.ranges(100)), (0, vec![100..109, 109..118]));
        assert_eq!(payload[40..44], [0x90, 0, 0, 0]);
        assert!(Sidx::write(1, 1, 0, &vec![reference; 1 << 16]).is_err());
        let large = SidxReference { referenced_size: 1 << 31, ..reference };
        assert!(Sidx::write(1, 1, 0, &[large]).is_err());
    }

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
