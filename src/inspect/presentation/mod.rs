//! A presentation as data for a picture: tracks, segments over time, keys — RFC 8216bis, ISO/IEC 23009-1.
//!
//! The data serializes to JSON; [`page`] puts it into one HTML file that asks for nothing else.

mod fragments;
mod manifests;
mod page;
mod systems;

use serde::Serialize;

use crate::base::env::{Source, Store};
use crate::base::{Error, Kid, Result};

use super::node::Node;
use super::{MAX_DOCUMENT_BYTES, tree};
use systems::Systems;

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

/// A presentation.
#[derive(Debug, Default, Serialize)]
pub struct Presentation {
    /// The name of the manifest or file.
    pub name: String,
    /// `DASH`, `HLS` or `MP4`.
    pub format: &'static str,
    /// Seconds.
    pub duration: f64,
    /// The rows in the order of the manifest.
    pub tracks: Vec<Track>,
    /// The keys in the order of their first use.
    pub keys: Vec<Key>,
    /// What could not be read.
    pub warnings: Vec<String>,
}

/// A track.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Track {
    /// What the manifest calls it.
    pub id: String,
    /// `video`, `audio`, `text` or `other`.
    pub kind: &'static str,
    /// The `codecs` parameter: RFC 6381.
    pub codec: String,
    /// Pixels.
    pub width: u64,
    /// Pixels.
    pub height: u64,
    /// Channels.
    pub channels: u64,
    /// Bits per second, as the manifest states.
    pub bandwidth: u64,
    /// The language, as the manifest or the file states.
    pub language: String,
    /// The protection scheme, or the method of the playlist; empty when clear.
    pub scheme: String,
    /// The segments in order.
    pub segments: Vec<Segment>,
    /// How many segments more there are.
    pub more: u64,
}

/// A media segment, or a fragment of a single file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Segment {
    /// The file.
    pub name: String,
    /// Seconds from the start of the presentation.
    pub start: f64,
    /// Seconds.
    pub duration: f64,
    /// Bytes.
    pub bytes: u64,
    /// Samples.
    pub samples: u64,
    /// Samples that are clear.
    pub clear_samples: u64,
    /// The keys of its samples, as indices of [`Presentation::keys`]; none when it is clear.
    pub keys: Vec<usize>,
    /// Its boxes, of the first segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boxes: Option<Node>,
    /// Its samples, of the first segments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<SampleDetail>,
}

/// A sample.
#[derive(Clone, Debug, Serialize)]
pub struct SampleDetail {
    /// Seconds, decode time.
    pub time: f64,
    /// Bytes.
    pub size: u32,
    /// Whether decoding can start here.
    pub sync: bool,
    /// The key, an index of [`Presentation::keys`].
    pub key: Option<usize>,
    /// The IV in hex digits.
    pub iv: String,
    /// Clear bytes and the protected bytes behind them, in turn.
    pub runs: Vec<[u64; 2]>,
}

/// A key.
#[derive(Clone, Debug, Serialize)]
pub struct Key {
    /// The key id, or what the playlist says of a key without one.
    pub kid: String,
    /// A letter.
    pub label: String,
    /// The DRM systems that are told of it.
    pub systems: Vec<String>,
}

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
    if source.len() > MAX_DOCUMENT_BYTES {
        return Err(Error::unsupported(format!("a manifest of {} bytes", source.len())));
    }
    let bytes = super::read(source.as_ref(), 0, source.len())?;
    if head.trim_ascii_start().starts_with(b"#EXTM3U") {
        draft.presentation.format = "HLS";
        draft.hls(name, &bytes)?;
    } else if super::is_xml(&head) {
        draft.presentation.format = "DASH";
        draft.dash(name, &bytes)?;
    } else {
        return Err(Error::unsupported("no MPD, playlist or MP4 file"));
    }
    Ok(draft.finish())
}

/// A presentation that is being read.
struct Draft<'a> {
    store: &'a dyn Store,
    presentation: Presentation,
    systems: Systems,
    /// How many segments are shown in detail.
    detailed: usize,
}

impl Draft<'_> {
    fn warn(&mut self, text: impl Into<String>) {
        if self.presentation.warnings.len() < MAX_TRACKS {
            self.presentation.warnings.push(text.into());
        }
    }

    /// The index of a key.
    fn key(&mut self, kid: String) -> usize {
        let keys = &mut self.presentation.keys;
        if let Some(known) = keys.iter().position(|key| key.kid == kid) {
            return known;
        }
        keys.push(Key { kid, label: letters(keys.len()), systems: Vec::new() });
        keys.len() - 1
    }

    fn kid(&mut self, kid: Option<Kid>) -> usize {
        self.key(kid.map_or_else(|| "key id unknown".to_owned(), |kid| kid.to_string()))
    }

    fn source(&self, name: &str) -> Result<Box<dyn Source>> {
        self.store.open(name).map_err(|error| error.at(name))
    }

    fn finish(self) -> Presentation {
        let Self { mut presentation, systems, .. } = self;
        let tracks = &mut presentation.tracks;
        let starts = tracks.iter().flat_map(|track| track.segments.first()).map(|segment| segment.start);
        let start = starts.fold(f64::INFINITY, f64::min);
        let start = if start.is_finite() { start } else { 0.0 };
        let mut end: f64 = 0.0;
        for segment in tracks.iter_mut().flat_map(|track| &mut track.segments) {
            segment.start -= start;
            segment.detail.iter_mut().for_each(|sample| sample.time -= start);
            end = end.max(segment.start + segment.duration);
        }
        presentation.duration = end;
        for key in &mut presentation.keys {
            key.systems = systems.of(&key.kid);
        }
        presentation
    }
}

/// A, B, …, Z, AA, AB, …
fn letters(mut index: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ".get(index % 26).copied().unwrap_or(b'A')));
        match (index / 26).checked_sub(1) {
            Some(next) => index = next,
            None => break,
        }
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::letters;

    #[test]
    fn every_key_has_letters_of_its_own() {
        assert_eq!([0, 25, 26, 701, 702].map(letters), ["A", "Z", "AA", "ZZ", "AAA"]);
    }
}
