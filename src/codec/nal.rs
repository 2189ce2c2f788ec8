//! NAL units in samples — ISO/IEC 14496-15 §4, which AVC and HEVC share.

use std::ops::Range;

use memchr::memmem;

use super::byte_stream::start_code;
use crate::base::bytes::Reader;
use crate::base::{Error, Result};

/// The size of the length before each NAL unit, from the low bits of a byte that hold lengthSizeMinusOne.
///
/// # Errors
/// When the size would be 3.
pub(super) fn nal_unit_length_size(byte: u8) -> Result<usize> {
    match byte & 3 {
        2 => Err(Error::input("lengthSizeMinusOne is 2, one of 0, 1, 3 expected")
            .clause("ISO/IEC 14496-15 §5.3.3.2")),
        length_size_minus_one => Ok(usize::from(length_size_minus_one) + 1),
    }
}

/// Appends to `out` the end of each NAL unit of `sample`, without the leading bytes that `clear_bytes` asks for.
///
/// # Errors
/// When a NAL unit ends outside the sample, has a start code in its clear bytes, or `clear_bytes` refuses it.
pub(super) fn ranges(
    nal_unit_length_size: usize,
    sample: &[u8],
    out: &mut Vec<Range<usize>>,
    mut clear_bytes: impl FnMut(&[u8]) -> Result<usize>,
) -> Result<()> {
    for range in nal_units(nal_unit_length_size, sample) {
        let Range { start, end } = range?;
        let nal_unit = sample.get(start..end).unwrap_or_default();
        let clear = clear_bytes(nal_unit).map_err(|e| e.at(format_args!("NAL unit at byte {start}")))?;
        let kept = nal_unit.get(..clear).unwrap_or_default();
        start_code(kept, 0).map_or(Ok(()), |found| Err(hidden(start + found)))?;
        if clear < nal_unit.len() {
            out.push(start + clear..end);
        }
    }
    Ok(())
}

/// The NAL units of a sample, in order; behind an error there are none.
pub(super) fn nal_units(
    nal_unit_length_size: usize,
    sample: &[u8],
) -> impl Iterator<Item = Result<Range<usize>>> {
    let mut reader = Some(Reader::new(sample));
    std::iter::from_fn(move || {
        let mut at = reader.take().filter(|reader| reader.remaining() > 0)?;
        let range = nal_unit(&mut at, nal_unit_length_size);
        reader = range.is_ok().then_some(at);
        Some(range)
    })
}

fn nal_unit(reader: &mut Reader<'_>, nal_unit_length_size: usize) -> Result<Range<usize>> {
    let length = reader.take(nal_unit_length_size)?;
    let length = length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
    let (start, left) = (reader.position(), reader.remaining());
    reader.take(length).map_err(|_| {
        Error::input(format!("NAL unit of {length} bytes, the sample has {left} left"))
            .clause("ISO/IEC 14496-15 §5.3.4.2")
            .at_byte(start as u64)
    })?;
    Ok(start..start + length)
}

/// Checks that no start code stands in these ranges of a sample that is not encrypted, nor at their borders.
///
/// They are looked through as well, not the clear bytes alone: with a pattern nine blocks of ten of what is behind a
/// start code would be clear, of a small slice all of it. memmem runs at more than 10 GB/s, many times faster than the
/// cipher.
///
/// # Errors
/// When one does.
pub(super) fn check_clear(sample: &[u8], ranges: &[Range<usize>]) -> Result<()> {
    for range in ranges {
        let start = range.start.saturating_sub(2);
        let found = memmem::find(sample.get(start..range.end).unwrap_or_default(), &[0, 0, 1]);
        found.map_or(Ok(()), |found| Err(hidden(start + found)))?;
    }
    Ok(())
}

/// Emulation prevention keeps start codes out of NAL units, and lengths stand in their place: ITU-T H.264 and H.265
/// §7.4.2 (emulation_prevention_three_byte). Some cameras write several NAL units into one length all the same.
/// Decoders that look for start codes find and play a slice there that lengths do not show, so that it would stay
/// clear.
fn hidden(position: usize) -> Error {
    Error::input("a start code inside a NAL unit: what stands behind it would stay clear")
        .clause("ISO/IEC 14496-15 §5.3.2, ISO/IEC 23001-7 §9.5.2")
        .at_byte(position as u64)
        .hint("repackage the input with one length for each NAL unit")
}

/// The parameter set of this id.
pub(super) fn lookup<T>(sets: &[Option<T>], id: u32) -> Option<&T> {
    sets.get(usize::try_from(id).ok()?)?.as_ref()
}

/// Puts a parameter set in the place of the one of the same id.
pub(super) fn replace<T>(sets: &mut [Option<T>], id: u32, set: T) {
    if let Some(slot) = usize::try_from(id).ok().and_then(|id| sets.get_mut(id)) {
        *slot = Some(set);
    }
}

/// A slice or parameter set refers to a parameter set that is not there.
pub(super) fn absent(name: &str, id: u32) -> Error {
    Error::input(format!("{name} {id} refers to a parameter set that was not sent"))
}
