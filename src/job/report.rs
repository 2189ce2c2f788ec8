//! What happened in a job, for people and for `--json`.

use serde::Serialize;

use crate::base::Kid;
use crate::base::env::Written;
use crate::base::id::hex;
use crate::protect::Scheme;

/// The outcome of a job.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The protected tracks in the order of their keys.
    pub tracks: Vec<TrackReport>,
    /// Every file written.
    pub outputs: Vec<OutputReport>,
    /// The manifests among them.
    pub manifests: Vec<String>,
    /// The DRM systems that are signaled.
    pub drm: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// One protected track.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TrackReport {
    /// Its id: `v1`, `a1`, as in key files.
    pub id: String,
    /// `video` or `audio`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it was found: a Representation id, a playlist, a file.
    pub source: String,
    /// RFC 6381 codecs parameter.
    pub codec: String,
    /// Width in pixels, for video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u16>,
    /// Height in pixels, for video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u16>,
    /// Channels, for audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// The key id.
    pub kid: String,
    /// The protection scheme.
    pub scheme: String,
    /// Protected samples.
    pub samples: u64,
    /// Bytes of these samples.
    pub bytes: u64,
}

impl TrackReport {
    /// The entry with the key that the track got.
    pub(super) fn with_key(self, kid: Kid, scheme: &Scheme) -> Self {
        Self { kid: kid.to_string(), scheme: scheme.name.to_owned(), ..self }
    }
}

/// One file written.
#[derive(Clone, Debug, Serialize)]
pub struct OutputReport {
    /// Its path below the output folder.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hex.
    pub sha256: String,
}

impl OutputReport {
    /// The entry of a written file.
    pub fn new(path: &str, written: &Written) -> Self {
        Self { path: path.to_owned(), bytes: written.bytes, sha256: hex(&written.sha256) }
    }
}
