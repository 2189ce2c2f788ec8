//! What a job would do: tracks, keys, schemes, signaling and the request, with nothing fetched or written.

use serde::Serialize;

use crate::base::env::Http;
use crate::base::{Kid, Result};
use crate::cpix::{Document, DrmSystem};
use crate::drm;
use crate::keys::{KeyServer, SpekeVersion};
use crate::package::{Assignment, Substream};

use super::env::Locate;
use super::exchange::exchange;
use super::manifests::{Input, manifest_kinds};
use super::mp4;
use super::package::Expect;
use super::report::TrackReport;
use super::rules::{Job, Rules, WHOLE_SEGMENTS};
use super::whole_segments;

/// What a job would do.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// `CPIX/@contentId`.
    pub content_id: String,
    /// The protection scheme of every track that has one.
    pub scheme: String,
    /// The tracks that would be protected.
    pub tracks: Vec<PlannedTrack>,
    /// The keys that would be asked for.
    pub keys: Vec<PlannedKeyReport>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The request document as it would be sent.
    pub request: String,
}

/// A track that would be protected.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedTrack {
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
    /// The key id that would be proposed; the key server may replace it.
    pub kid: String,
    /// The protection scheme, or `sample-aes` and `aes-128` of what has none.
    pub scheme: String,
}

/// A key that would be asked for.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedKeyReport {
    /// The key id that would be proposed.
    pub kid: String,
    /// `intendedTrackType`.
    pub track_type: String,
    /// The number of its crypto period, from 0, when keys change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<usize>,
    /// The ids of the tracks under this key; none when the contract has a key that no track needs.
    pub tracks: Vec<String>,
    /// What each DRM system would signal.
    pub signaling: Vec<SignalReport>,
}

/// What one DRM system would signal about a key.
#[derive(Clone, Debug, Serialize)]
pub struct SignalReport {
    /// Its word in `--drm`.
    pub system: String,
    /// Where: `pssh`, `ContentProtection`, `EXT-X-KEY`, `EXT-X-SESSION-KEY`.
    pub places: Vec<&'static str>,
}

/// What a job would protect.
pub(super) struct Outline {
    /// The facts of each substream.
    pub(super) tracks: Vec<TrackReport>,
    pub(super) substreams: Vec<Substream>,
    pub(super) assignment: Assignment,
    /// How many crypto periods there are.
    pub(super) periods: usize,
    /// Whether keys change.
    pub(super) rotates: bool,
    pub(super) warnings: Vec<String>,
}

/// Says what a job would do. Manifests and headers of the input are read; nothing is fetched from a key
/// server and nothing is written.
///
/// # Errors
/// As [`run`](crate::job::run) up to the exchange of keys.
pub fn plan(job: &Job, locate: &Locate<'_>, version: SpekeVersion) -> Result<PlanReport> {
    if job.drm == WHOLE_SEGMENTS {
        return plan_whole_segments(job, locate, version);
    }
    let rules = Rules::check(job, &manifest_kinds(&job.inputs)?)?;
    let mut outline = outline(job, &rules, locate)?;
    let document = rules.intent(job, &outline.assignment, outline.periods).request();
    outline.warnings.extend(rules.left_clear().into_iter().chain(rules.rotation_limits()));
    report((&rules.content_id, rules.scheme.name), outline, &document, &signals, version)
}

fn plan_whole_segments(job: &Job, locate: &Locate<'_>, version: SpekeVersion) -> Result<PlanReport> {
    let (outline, document) = whole_segments::outline(job, locate)?;
    let content_id = document.content_id.clone().unwrap_or_default();
    let signals =
        |_: &Document, _| vec![SignalReport { system: WHOLE_SEGMENTS.to_owned(), places: vec!["EXT-X-KEY"] }];
    report((&content_id, whole_segments::NAME), outline, &document, &signals, version)
}

/// Says what is signaled about a key.
type Signals<'a> = dyn Fn(&Document, Kid) -> Vec<SignalReport> + 'a;

fn report(
    (content_id, scheme): (&str, &str),
    outline: Outline,
    document: &Document,
    signals: &Signals<'_>,
    version: SpekeVersion,
) -> Result<PlanReport> {
    let request = String::from_utf8_lossy(&version.write(document)?).into_owned();
    let kid_of = |number: usize| {
        let key = outline.assignment.key_of.get(number).and_then(|key| document.content_keys.get(*key));
        key.map_or_else(String::new, |key| key.kid.to_string())
    };
    let tracks = outline.tracks.iter().enumerate();
    Ok(PlanReport {
        content_id: content_id.to_owned(),
        scheme: scheme.to_owned(),
        tracks: tracks.map(|(number, track)| planned(track, kid_of(number), scheme)).collect(),
        keys: planned_keys(&outline, document, signals),
        warnings: outline.warnings,
        request,
    })
}

/// Fetches the keys that a job would use: what its key source answered, checked.
///
/// # Errors
/// As [`run`](crate::job::run) up to the exchange of keys.
pub fn fetch_keys(job: &Job, locate: &Locate<'_>, keys: &dyn KeyServer, http: &dyn Http) -> Result<Document> {
    let request = if job.drm == WHOLE_SEGMENTS {
        whole_segments::outline(job, locate)?.1
    } else {
        let rules = Rules::check(job, &manifest_kinds(&job.inputs)?)?;
        let outline = outline(job, &rules, locate)?;
        rules.intent(job, &outline.assignment, outline.periods).request()
    };
    Ok(exchange(job, &request, keys, http)?.0)
}

/// Reads the input as far as keys depend on it.
fn outline(job: &Job, rules: &Rules, locate: &Locate<'_>) -> Result<Outline> {
    let outline = if manifest_kinds(&job.inputs)?.is_empty() {
        mp4::outline(job, rules, locate)?
    } else {
        package_outline(job, rules, locate)?
    };
    let keys = outline.assignment.keys.len().saturating_mul(outline.periods);
    rules.check_substreams(job, outline.substreams.len(), keys)?;
    Ok(outline)
}

fn package_outline(job: &Job, rules: &Rules, locate: &Locate<'_>) -> Result<Outline> {
    let Input { store, mut package, manifests } = Input::read(&job.inputs, locate, Expect::Clear)?;
    let substreams = package.substreams(rules.keys);
    let assignment = rules.keys.assign(&substreams)?;
    package.check(rules, &assignment, store.as_ref())?;
    manifests.check(&package, &assignment)?;
    let tracks =
        substreams.iter().enumerate().map(|(number, substream)| package.track_facts(number, substream));
    let tracks = tracks.collect::<Result<_>>()?;
    let periods = package.periods(&rules.schedule, store.as_ref())?;
    let rotates = rules.schedule.rotate_every.is_some();
    Ok(Outline { tracks, substreams, assignment, periods, rotates, warnings: Vec::new() })
}

fn planned(track: &TrackReport, kid: String, scheme: &str) -> PlannedTrack {
    let TrackReport { id, kind, source, codec, width, height, channels, scheme: own, .. } = track.clone();
    let scheme = if own.is_empty() { scheme.to_owned() } else { own };
    PlannedTrack { id, kind, source, codec, width, height, channels, kid, scheme }
}

fn planned_keys(outline: &Outline, document: &Document, signals: &Signals<'_>) -> Vec<PlannedKeyReport> {
    let purposes = outline.assignment.keys.iter().enumerate().cycle();
    let count = outline.assignment.keys.len().max(1);
    let keys = document.content_keys.iter().enumerate().zip(purposes);
    keys.map(|((index, key), (number, purpose))| PlannedKeyReport {
        kid: key.kid.to_string(),
        track_type: purpose.track_type.clone(),
        period: outline.rotates.then_some(index / count),
        tracks: outline
            .assignment
            .substreams_of(number, &outline.substreams)
            .map(|track| track.id.clone())
            .collect(),
        signaling: signals(document, key.kid),
    })
    .collect()
}

fn signals(document: &Document, kid: Kid) -> Vec<SignalReport> {
    let systems = document.drm_systems.iter().filter(|system| system.kid == kid);
    systems
        .map(|system| SignalReport {
            system: drm::find_id(system.system_id)
                .map_or_else(|| system.system_id.to_string(), |found| found.name().to_owned()),
            places: places(system),
        })
        .collect()
}

/// Where a request asks for signaling.
fn places(system: &DrmSystem) -> Vec<&'static str> {
    [
        (system.pssh.is_some(), "pssh"),
        (system.content_protection_data.is_some(), "ContentProtection"),
        (system.hls_signaling_data.media.is_some(), "EXT-X-KEY"),
        (system.hls_signaling_data.multivariant.is_some(), "EXT-X-SESSION-KEY"),
    ]
    .into_iter()
    .filter_map(|(is_asked, place)| is_asked.then_some(place))
    .collect()
}
