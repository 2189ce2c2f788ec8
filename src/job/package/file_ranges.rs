//! Files that are written part by part, each part a segment by itself — RFC 8216bis §5.2.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::env::{Sink, Source, Store};
use crate::base::{Error, Result};
use crate::presentation::ByteRangeSource;

use crate::job::folder::total_length;

/// What is to be done with each part of a file, by its byte range; a range of `None` is the whole file.
pub(in crate::job) type FileRanges<T> = BTreeMap<Option<(u64, u64)>, T>;

/// Checks that files are there and that the parts of each lie inside it, one behind the other. Returns how many bytes
/// the files have; `None` when that takes as long as reading them.
pub(in crate::job) fn check_parts<T>(
    files: &BTreeMap<String, FileRanges<T>>,
    store: &dyn Store,
) -> Result<Option<u64>> {
    for (file, parts) in files.iter().filter(|(_, parts)| !parts.contains_key(&None)) {
        let length = store.open(file)?.len();
        let mut behind = 0;
        for (start, end) in parts.keys().flatten() {
            follows(*start..*end, behind, length).map_err(|error| error.at(file.clone()))?;
            behind = *end;
        }
    }
    total_length(store, files.keys().map(String::as_str))
}

/// The error for a file or part without a byte.
pub(in crate::job) fn empty() -> Error {
    Error::input("a segment of 0 bytes").hint("it was cut off, or never written: make it again")
}

/// Whether a part lies inside its file, behind the part before.
pub(super) fn follows(range: Range<u64>, behind: u64, length: u64) -> Result<()> {
    if range.start < behind {
        return Err(Error::unsupported(format!(
            "byte ranges of segments overlap: {}..{} begins before byte {behind}",
            range.start, range.end
        ))
        .clause("RFC 8216bis §4.4.4.2, §5.2")
        .hint("a segment is encrypted by itself: leave the playlist out that names parts of it"));
    }
    if range.is_empty() {
        return Err(empty().clause("RFC 8216bis §3"));
    }
    if range.end > length {
        return Err(Error::input(format!("a byte range ends at {}, the file has {length} bytes", range.end))
            .clause("RFC 8216bis §4.4.4.2"));
    }
    Ok(())
}

/// A range of a file and where its bytes went.
pub(in crate::job) type RangeMap = ((u64, u64), Range<u64>);

/// Writes the parts of a file one behind the other, each as `write` does it, and returns where each of them
/// went; the whole file is `0..u64::MAX`.
pub(in crate::job) fn write_parts<T>(
    source: &dyn Source,
    sink: &mut dyn Sink,
    parts: &FileRanges<T>,
    mut write: impl FnMut(&T, &dyn Source, &mut dyn Sink) -> Result<u64>,
) -> Result<Vec<RangeMap>> {
    let (mut moved, mut position, mut behind) = (Vec::new(), 0, 0);
    for (range, usage) in parts {
        let (start, end) = range.unwrap_or((0, source.len()));
        follows(start..end, behind, source.len())?;
        behind = end;
        let part = ByteRangeSource::of(source, Some(&(start..end)))?;
        let written = write(usage, &part, sink)?;
        moved.push((range.unwrap_or((0, u64::MAX)), position..position + written));
        position += written;
    }
    Ok(moved)
}
