//! Bytes of a presentation's files: ranges, `moov` boxes, lengths — RFC 8216bis §4.4.4.2, ISO/IEC 23009-1 §5.3.9.2,
//! ISO/IEC 14496-12 §8.2.1.

use std::collections::HashMap;
use std::ops::Range;

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::file::moov;

use super::{ByteRangeSource, SegmentKind};

/// The `moov` of an initialization section.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn read_moov(store: &dyn Store, file: &str, range: Option<&Range<u64>>) -> Result<BoxNode> {
    let source = store.open(file)?;
    let read = ByteRangeSource::of(source.as_ref(), range).and_then(|part| moov(&part));
    read.map_err(|error| match SegmentKind::of(source.as_ref()) {
        Ok(SegmentKind::Matroska) => webm().at(file),
        _ => error.at(file),
    })
}

/// Segments of WebM have no boxes to say that they are encrypted.
pub(super) fn webm() -> Error {
    Error::unsupported("WebM (Matroska) behind a manifest, ISO media expected")
        .clause("RFC 8216bis §3.1, ISO/IEC 23000-19 §7.3")
        .hint("give the .webm file itself in place of the manifest: its tracks become ISO media")
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
