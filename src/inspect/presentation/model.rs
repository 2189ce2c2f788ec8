//! The data of a picture — ISO/IEC 23001-7, ISO/IEC 23009-1: what serializes to JSON.

use serde::Serialize;

use super::super::node::Node;

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
