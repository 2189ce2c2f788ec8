//! Part of a file: a segment that is a byte range is a source by itself — RFC 8216bis §4.4.4.2.

use std::ops::Range;

use crate::base::env::Source;
use crate::base::{Error, Result};

/// A byte range of a source, which is a source itself.
pub struct ByteRangeSource<'a> {
    source: &'a dyn Source,
    start: u64,
    length: u64,
}

impl<'a> ByteRangeSource<'a> {
    /// This range of a source; `None` is all of it.
    ///
    /// # Errors
    /// When the range lies outside the source.
    pub fn of(source: &'a dyn Source, range: Option<&Range<u64>>) -> Result<Self> {
        let (start, end) = range.map_or_else(|| (0, source.len()), |range| (range.start, range.end));
        match end.checked_sub(start).filter(|_| end <= source.len()) {
            Some(length) => Ok(Self { source, start, length }),
            None => Err(Error::input(format!(
                "byte range {start}..{end} lies outside the file, which has {} bytes",
                source.len()
            ))
            .clause("RFC 8216bis §4.4.4.2, ISO/IEC 23009-1 §5.3.9.2.2")),
        }
    }
}

impl Source for ByteRangeSource<'_> {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        self.source.read_at(self.start.saturating_add(position), buffer)
    }
}
