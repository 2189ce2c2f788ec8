//! A presentation as data for a picture: tracks, segments over time, keys — RFC 8216bis, ISO/IEC 23009-1.
//!
//! The data serializes to JSON; [`page`] puts it into one HTML file that asks for nothing else.

mod draft;
mod fragments;
mod manifests;
mod model;
mod page;
mod systems;

use crate::base::Result;
use crate::base::env::Store;
use crate::presentation as reader;

use super::tree;
use draft::Draft;
use systems::Systems;

pub use model::{Key, Presentation, SampleDetail, Segment, Track};
pub use page::page;

/// Most rows of the picture.
pub const MAX_TRACKS: usize = 48;
/// Most segments of one row; the others are counted.
pub const MAX_SEGMENTS: usize = 1500;
/// Segments of one row whose boxes and samples are shown, besides the first of each key.
pub const DETAILED_SEGMENTS: usize = 3;
/// Samples of one segment that are shown.
pub const DETAILED_SAMPLES: usize = 120;
/// Most detailed segments of the whole picture.
pub const MAX_DETAILED: usize = 120;

/// Reads the presentation of an MPD, a playlist or an MP4 file, told by its content.
///
/// # Errors
/// When the manifest cannot be read. A segment that cannot be is a warning.
pub fn read(store: &dyn Store, name: &str) -> Result<Presentation> {
    let source = store.open(name)?;
    let head = super::read(source.as_ref(), 0, source.len().min(super::HEAD_BYTES))?;
    let mut draft =
        Draft { store, presentation: Presentation::default(), systems: Systems::default(), detailed: 0 };
    draft.presentation.name = name.to_owned();
    if tree::is_boxes(&head) {
        draft.presentation.format = "MP4";
        draft.file(source.as_ref(), name)?;
        return Ok(draft.finish());
    }
    let mut found = reader::Presentation::default();
    for fault in found.add(store, &[name.to_owned()]) {
        if fault.place == name {
            return Err(fault.error);
        }
        draft.warn(fault.error.to_string());
    }
    draft.presentation.format = if found.mpds.is_empty() { "HLS" } else { "DASH" };
    found.mpds.iter().for_each(|document| draft.dash(document));
    draft.hls(&found);
    Ok(draft.finish())
}
