//! Files of a presentation's folder: how long they are, and manifests that are written.

use crate::base::Result;
use crate::base::env::Store;

use super::env::Env;
use super::report::OutputReport;

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

/// Writes a manifest.
pub(super) fn write_manifest(env: &Env<'_>, name: &str, bytes: &[u8]) -> Result<OutputReport> {
    let mut sink = env.output.create(name)?;
    sink.write(bytes)?;
    Ok(OutputReport::new(name, sink.commit()?))
}
