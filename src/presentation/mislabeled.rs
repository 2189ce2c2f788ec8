//! Media that a manifest calls text or images by mistake — RFC 8216bis §4.4.6.1, ISO/IEC 23009-1 §5.3.7.

use std::ops::Range;

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::codec::{self, Protection};
use crate::isobmff::BoxNode;
use crate::isobmff::track::tracks;

use super::SegmentKind;
use super::read::{read_moov, webm};

/// Checks that a file is no container of video or audio: what is left clear must not be media by mistake.
///
/// # Errors
/// When it is one, or cannot be read.
pub fn check_is_no_media(store: &dyn Store, file: &str) -> Result<()> {
    let kind = SegmentKind::of(store.open(file)?.as_ref()).map_err(|error| error.at(file))?;
    match kind.media_name() {
        Some(_) if kind == SegmentKind::Matroska => Err(webm().at(file)),
        Some(name) => Err(mistaken(name).at(file)),
        None => Ok(()),
    }
}

/// Checks that an initialization section has no track that could be protected.
///
/// # Errors
/// When it has one, or cannot be read.
pub fn check_init_is_no_media(store: &dyn Store, file: &str, range: Option<&Range<u64>>) -> Result<()> {
    match has_media(&read_moov(store, file, range)?).map_err(|error| error.at(file))? {
        true => Err(mistaken("an ISO media file with video or audio").at(file)),
        false => Ok(()),
    }
}

/// Whether a `moov` has a track of video or audio.
fn has_media(moov: &BoxNode) -> Result<bool> {
    let is_media = |track: &crate::isobmff::track::Track| {
        let of_codec = |codec: &codec::Codec| !matches!(codec.protection, Protection::Never);
        let entry = track.sample_entries.first();
        match entry.and_then(|entry| codec::find(entry.format)) {
            Some(codec) => of_codec(codec),
            None => matches!(&track.handler_type.0, b"vide" | b"soun"),
        }
    };
    Ok(tracks(moov)?.iter().any(is_media))
}

fn mistaken(name: &str) -> Error {
    Error::unsupported(format!("{name}, which the manifest says is something else"))
        .clause("RFC 8216bis §4.4.6.1, ISO/IEC 23009-1 §5.3.7")
        .hint("state its TYPE or @mimeType: it must not stay clear by mistake")
}
