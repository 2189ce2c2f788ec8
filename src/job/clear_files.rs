//! Files that stay clear: text and images, and never pictures or sound that a manifest calls so by mistake — RFC
//! 8216bis §3.1, ISO/IEC 23009-1 §5.3.7.

use std::ops::Range;

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::package::{SegmentKind, media_tracks};

use super::folder::read_moov;

/// Checks that a file is no container of pictures or sound.
pub(super) fn check(store: &dyn Store, file: &str) -> Result<()> {
    match SegmentKind::of(store.open(file)?.as_ref())?.media_name() {
        Some(name) => Err(mistaken(name).at(file)),
        None => Ok(()),
    }
}

/// Checks that an initialization section has no track that could be protected.
pub(super) fn check_init(store: &dyn Store, file: &str, range: Option<&Range<u64>>) -> Result<()> {
    let at = |error: Error| error.at(file);
    let tracks = media_tracks(&read_moov(store, file, range)?).map_err(at)?;
    match tracks.iter().any(|track| track.is_protectable()) {
        true => Err(at(mistaken("an ISO media file with pictures or sound"))),
        false => Ok(()),
    }
}

fn mistaken(name: &str) -> Error {
    Error::unsupported(format!("{name}, which the manifest says is something else"))
        .clause("RFC 8216bis §4.4.6.1, ISO/IEC 23009-1 §5.3.7")
        .hint("state its TYPE or @mimeType: it must not stay clear by mistake")
}
