//! Bytes that stay as they are, from a source to a sink.

use crate::base::Result;
use crate::base::env::{Sink, Source};

/// Bytes copied at a time. Each core has its own.
const COPY_BYTES: usize = 256 << 10;

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
