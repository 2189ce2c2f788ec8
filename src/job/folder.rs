//! Files of a presentation's folder: manifests whole, byte ranges of media — RFC 8216bis §4.4.4.2, ISO/IEC 23009-1
//! §5.3.9.2.

use std::collections::HashMap;
use std::ops::Range;

use crate::base::env::{Source, Store};
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::file::moov;

use super::env::Env;
use super::report::OutputReport;

/// Reads a byte range.
pub(super) fn read_range(source: &dyn Source, range: &Range<u64>) -> Result<Vec<u8>> {
    if range.start > range.end || range.end > source.len() {
        return Err(Error::input(format!(
            "byte range {}..{} lies outside the file, which has {} bytes",
            range.start,
            range.end,
            source.len()
        )));
    }
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
    source.read_at(range.start, &mut bytes)?;
    Ok(bytes)
}

/// The `moov` of an initialization section.
pub(super) fn read_moov(store: &dyn Store, file: &str, range: Option<&Range<u64>>) -> Result<BoxNode> {
    let at = |error: Error| error.at(file);
    let source = store.open(file)?;
    match range {
        Some(range) => moov(&read_range(source.as_ref(), range).map_err(at)?).map_err(at),
        None => moov(source.as_ref()).map_err(at),
    }
}

/// How many bytes files have; `None` when that takes as long as reading them.
pub(super) fn total_length<'a>(
    store: &dyn Store,
    files: impl Iterator<Item = &'a str>,
) -> Result<Option<u64>> {
    let mut total = 0_u64;
    for name in files {
        let Some(length) = store.length(name)? else { return Ok(None) };
        total = total.saturating_add(length);
    }
    Ok(Some(total))
}

/// How long files are, each looked up once.
pub(super) struct FileLengths<'a> {
    store: &'a dyn Store,
    known: HashMap<String, u64>,
}

impl<'a> FileLengths<'a> {
    pub(super) fn new(store: &'a dyn Store) -> Self {
        Self { store, known: HashMap::new() }
    }

    /// Checks that a byte range lies inside its file.
    pub(super) fn hold(&mut self, file: &str, range: &Range<u64>) -> Result<()> {
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

/// Writes a manifest.
pub(super) fn write_manifest(env: &Env<'_>, name: &str, bytes: &[u8]) -> Result<OutputReport> {
    let mut sink = env.output.create(name)?;
    sink.write(bytes)?;
    Ok(OutputReport::new(name, &sink.commit()?))
}

/// Reads a whole manifest.
pub(super) fn read_manifest(store: &dyn Store, name: &str) -> Result<Vec<u8>> {
    let source = store.open(name)?;
    let limit = 64 << 20;
    if source.len() > limit {
        return Err(Error::unsupported(format!(
            "a manifest of {} bytes, at most {limit} are read",
            source.len()
        ))
        .at(name));
    }
    let mut bytes = vec![0; usize::try_from(source.len()).unwrap_or(0)];
    source.read_at(0, &mut bytes)?;
    Ok(bytes)
}
