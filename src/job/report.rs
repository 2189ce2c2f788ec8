//! What happened in a job, for people and for `--json`.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::base::{BaseUrl, Error, Result};
use crate::package::{Plan, TrackId, Treatment};

use super::plan::ClearTrack;

/// Stretches so little apart touch, in seconds: durations in playlists are rounded.
const TOUCHING: f64 = 0.01;

/// The outcome of a job.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The protected tracks in the order of their keys.
    pub tracks: Vec<TrackReport>,
    /// The tracks of MP4 inputs that stay clear.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clear_tracks: Vec<ClearTrack>,
    /// The address below which manifests name everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<BaseUrl>,
    /// Every file written.
    pub outputs: Vec<OutputReport>,
    /// The manifests among them.
    pub manifests: Vec<String>,
    /// The DRM systems that are signaled.
    pub drm: Vec<String>,
    /// The clear lead, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_lead: Option<f64>,
    /// How keys change, when they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_rotation: Option<KeyRotation>,
    /// How many of the outputs an interrupted job had finished, when this one may go on with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_before: Option<usize>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// What was decrypted without proof that the key is right, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_proven: Vec<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// How keys change.
#[derive(Clone, Debug, Serialize)]
pub struct KeyRotation {
    /// Segments in a crypto period, unless periods have times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
    /// Crypto periods.
    pub periods: usize,
    /// Where readers find the new keys.
    pub mode: &'static str,
}

impl KeyRotation {
    /// Where readers find the keys of later periods: one way for all manifests.
    const MODE: &'static str = "in-band: a seig group in each later fragment, pssh in its moof; \
                                no default_KID and no pssh in the MPD; EXT-X-KEY at each change";

    /// The rotation of a plan; `None` when there is one key for all segments.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        if !plan.schedule.rotates() {
            return None;
        }
        let mode = match plan.treatment {
            Treatment::Samples(_) => Self::MODE,
            Treatment::Aes128 { .. } => "EXT-X-KEY at each change",
        };
        let every = plan.schedule.rotate_every.filter(|_| plan.schedule.times.is_none());
        Some(Self { every: every.map(NonZeroU32::get), periods: plan.periods().count(), mode })
    }
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
    /// The key id; of the first crypto period when keys change.
    pub kid: String,
    /// The key id of every crypto period, in order.
    pub kids: Vec<String>,
    /// The protection scheme, or `sample-aes` and `aes-128` of what has none.
    pub scheme: String,
    /// Protected samples.
    pub samples: u64,
    /// Bytes of these samples.
    pub bytes: u64,
    /// Bytes of them that are protected, those that a pattern skips included.
    #[serde(skip)]
    pub protected: u64,
    /// When it is clear because that was asked for: from and to, in seconds since the presentation began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clear: Vec<(f64, f64)>,
}

/// Stretches that touch made one, in order, in milliseconds.
pub(crate) fn joined(mut stretches: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    stretches.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut joined: Vec<(f64, f64)> = Vec::new();
    for (start, end) in stretches {
        match joined.last_mut() {
            Some((_, known)) if start - *known < TOUCHING => *known = known.max(end),
            _ => joined.push((start, end)),
        }
    }
    let rounded = |time: f64| (time * 1000.0).round() / 1000.0;
    joined.into_iter().map(|(start, end)| (rounded(start), rounded(end))).collect()
}

impl TrackReport {
    /// The entry with the keys that the track got.
    pub(super) fn with_keys(self, plan: &Plan, track: TrackId) -> Result<Self> {
        let kids = plan.periods().map(|period| Ok(plan.key_in(period, track)?.kid.to_string()));
        let kids: Vec<_> = kids.collect::<Result<_>>()?;
        let kid = kids.first().cloned().unwrap_or_default();
        let scheme = if self.scheme.is_empty() { plan.treatment.name().to_owned() } else { self.scheme };
        Ok(Self { kid, kids, scheme, ..self })
    }

    /// A track of video that were to be protected, of which no byte is, is not what was asked for.
    pub(super) fn check(&self) -> Result<()> {
        let is_clear = self.kind == "video" && self.samples > 0 && self.protected == 0;
        if !is_clear {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "{} samples of {} without a byte that can be protected: all of it would be clear",
            self.samples, self.codec
        ))
        .clause("ISO/IEC 23001-7 §9.5.2")
        .at(format_args!("{}: {}", self.source, self.id))
        .hint("its slices or tiles are too short for the scheme: leave it out, or encode it otherwise"))
    }
}

/// One file written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputReport {
    /// Its path below the output folder.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hex, when it is asked for: `Job::digests`, [`add_digests`](super::add_digests).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl OutputReport {
    /// The entry of a written file.
    pub fn new(path: &str, bytes: u64) -> Self {
        Self { path: path.to_owned(), bytes, sha256: None }
    }
}
