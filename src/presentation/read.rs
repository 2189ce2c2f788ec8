//! Bytes of a presentation's files: ranges, `moov` boxes, lengths — RFC 8216bis §4.4.4.2, ISO/IEC 23009-1 §5.3.9.2,
//! ISO/IEC 14496-12 §8.2.1.

use std::collections::HashMap;
use std::ops::Range;

use crate::base::env::{Source, Store};
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::file::moov;

use super::Part;

/// The `moov` of an initialization section.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn read_moov(store: &dyn Store, file: &str, range: Option<&Range<u64>>) -> Result<BoxNode> {
    let source = store.open(file)?;
    Part::of(source.as_ref(), range).and_then(|part| moov(&part)).map_err(|error| error.at(file))
}

/// How long files are, each looked up once.
pub struct FileLengths<'a> {
    store: &'a dyn Store,
    known: HashMap<String, u64>,
}

impl<'a> FileLengths<'a> {
    /// The files of a store.
    pub fn new(store: &'a dyn Store) -> Self {
        Self { store, known: HashMap::new() }
    }

    /// Checks that a byte range lies inside its file.
    ///
    /// # Errors
    /// When it does not, or the file cannot be opened.
    pub fn hold(&mut self, file: &str, range: &Range<u64>) -> Result<()> {
        let length = match self.known.get(file) {
            Some(length) => *length,
            None => *self.known.entry(file.to_owned()).or_insert(self.store.open(file)?.len()),
        };
        if range.end <= length {
            return Ok(());
        }
        Err(Error::input(format!(
            "bytes {}-{} lie outside the file {file}, which has {length} bytes",
            range.start,
            range.end.saturating_sub(1)
        )))
    }
}

/// Reads a byte range that may be of any length the caller has bounded.
///
/// # Errors
/// When it lies outside the file.
pub fn read_range(source: &dyn Source, range: &Range<u64>) -> Result<Vec<u8>> {
    let part = Part::of(source, Some(range))?;
    let mut bytes = vec![0; usize::try_from(part.len()).unwrap_or(usize::MAX)];
    part.read_at(0, &mut bytes)?;
    Ok(bytes)
}
