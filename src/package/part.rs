//! Part of a file: a segment that is a byte range is a source by itself — RFC 8216bis §4.4.4.2.

use std::ops::Range;

use crate::base::env::{Sink, Source};
use crate::base::{Error, Result};

/// Bytes copied at a time. Each core has its own.
const COPY_BYTES: usize = 256 << 10;

/// A byte range of a source, which is a source itself.
pub struct Part<'a> {
    source: &'a dyn Source,
    start: u64,
    length: u64,
}

impl<'a> Part<'a> {
    /// This range of a source; `None` is all of it.
    ///
    /// # Errors
    /// When the range lies outside the source.
    pub fn of(source: &'a dyn Source, range: Option<&Range<u64>>) -> Result<Self> {
        let (start, end) = range.map_or_else(|| (0, source.len()), |range| (range.start, range.end));
        match end.checked_sub(start).filter(|_| end <= source.len()) {
            Some(length) => Ok(Self { source, start, length }),
            None => {
                Err(Error::input(format!("byte range {start}..{end}, the file has {} bytes", source.len()))
                    .clause("RFC 8216bis §4.4.4.2"))
            }
        }
    }
}

impl Source for Part<'_> {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        self.source.read_at(self.start.saturating_add(position), buffer)
    }
}

/// Copies a source as it is.
///
/// # Errors
/// When it cannot be read or the sink cannot be written.
pub fn copy(source: &dyn Source, sink: &mut dyn Sink) -> Result<()> {
    let mut buffer = Vec::new();
    let mut position = 0;
    while position < source.len() {
        let length = usize::try_from(source.len() - position).unwrap_or(usize::MAX).min(COPY_BYTES);
        buffer.resize(length, 0);
        source.read_at(position, &mut buffer)?;
        sink.write(&buffer)?;
        position += length as u64;
    }
    Ok(())
}
