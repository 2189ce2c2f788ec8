//! What a job would do: tracks, keys, schemes, signaling and the request, with nothing fetched or written.

use std::collections::HashMap;

use serde::Serialize;

use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Kid, Result};
use crate::cpix::{Document, DrmSystem};
use crate::drm;
use crate::keys::{KeyServer, SpekeVersion};
use crate::package::{EncryptedTrack, Period, Plan, TrackId, Treatment, Wants};

use super::choice::{Choice, Source, labelled};
use super::dual_scheme;
use super::env::OpenInput;
use super::key_exchange::source;
use super::mp4;
use super::package::InputState;
use super::package::manifests::{self, Input, manifest_kinds};
use super::report::TrackReport;
use super::rules::{Job, Rules};
use super::track_facts;
use super::weak_keys::weak_keys;

/// What a job would do.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// `CPIX/@contentId`.
    pub content_id: String,
    /// The protection scheme of every track that has one.
    pub scheme: String,
    /// The tracks that would be protected.
    pub tracks: Vec<PlannedTrack>,
    /// The tracks of MP4 inputs that would stay clear.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clear_tracks: Vec<ClearTrack>,
    /// The keys that would be asked for.
    pub keys: Vec<PlannedKeyReport>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The request as it would be sent: its document, or method and address where there is none; empty when the keys are
    /// at hand.
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
    /// The key id: that of a document at hand, else one that would be proposed; the key server may replace it.
    pub kid: String,
    /// The protection scheme, or `sample-aes` and `aes-128` of what has none.
    pub scheme: String,
}

/// A track that would stay clear.
#[derive(Clone, Debug, Serialize)]
pub struct ClearTrack {
    /// Its id: `t1`, as in `--track`.
    pub id: String,
    /// `video`, `audio`, `text` or `image`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// RFC 6381 codecs parameter, or a media type.
    pub codec: String,
    /// The file that it is in.
    pub source: String,
    /// Its file in the output when it is clear because that was asked for: `verify` wants to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_clear: Option<String>,
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

/// What a job would protect, and who would have which key.
pub(super) struct Outline<'a> {
    /// The facts of each encrypted track.
    pub(super) tracks: Vec<TrackReport>,
    pub(super) clear_tracks: Vec<ClearTrack>,
    pub(super) encrypted_tracks: Vec<EncryptedTrack>,
    pub(super) source: Source<'a>,
    pub(super) choice: Choice,
    /// How many crypto periods there are.
    pub(super) periods: usize,
    /// Whether keys change.
    pub(super) rotates: bool,
    pub(super) warnings: Vec<String>,
}

/// A key source that is not asked: keys are proposed.
pub(super) struct Unasked;

impl KeyServer for Unasked {
    fn exchange(&self, _http: &dyn Http, _request: Document) -> Result<Document> {
        Err(Error::usage("a plan asks for no keys"))
    }
}

impl Http for Unasked {
    fn send(&self, _request: &Request) -> Result<Response> {
        Err(Error::usage("a plan asks no server"))
    }

    fn wait(&self, _milliseconds: u64, _why: &str) {}
}

/// Says what a job would do. Manifests and headers of the input are read; nothing is fetched from a key
/// server and nothing is written. Of `keys` what is at hand counts, a document whose rules choose, and what they would
/// ask for otherwise.
///
/// # Errors
/// As [`run`](crate::job::run) up to the exchange of keys.
pub fn plan(
    job: &Job,
    open_input: &OpenInput<'_>,
    version: SpekeVersion,
    keys: Option<&dyn KeyServer>,
) -> Result<PlanReport> {
    match dual_scheme::trees(job)? {
        Some(trees) => dual_scheme::plan(&trees, open_input, version, keys),
        None => plan_tree(job, open_input, version, keys),
    }
}

/// The plan of a job for one scheme.
pub(super) fn plan_tree(
    job: &Job,
    open_input: &OpenInput<'_>,
    version: SpekeVersion,
    keys: Option<&dyn KeyServer>,
) -> Result<PlanReport> {
    let server = keys.filter(|keys| !keys.is_local());
    let local = keys.filter(|keys| keys.is_local());
    let keys = local.unwrap_or(&Unasked);
    let rules = Rules::check(job, &manifest_kinds(&job.inputs)?, keys.at_hand())?;
    let (mut outline, rules) = outline(job, &rules, open_input, (keys, &Unasked))?;
    let intent = rules.intent(job, &outline.choice.assignment, outline.periods);
    let mut document = intent.request();
    let mut warnings = Vec::new();
    if local.is_some() {
        let asked: (&dyn Fn() -> Document, _) = (&|| intent.request(), outline.periods);
        let keyed = outline.source.keys(&outline.choice, &Unasked, asked, &|kid| intent.wanted(kid))?;
        warnings = weak_keys(job, &keyed.document)?;
        document = keyed.document.clone();
        // Where players get the key of whole segments may be said when they are packed.
        if let Treatment::Samples(_) = rules.treatment {
            warnings.extend(Plan::of(&intent, keyed)?.warnings);
        }
    }
    outline.warnings.extend(warnings);
    let left_out = outline.source.left_out(&outline.choice, &rules.systems);
    outline.warnings.extend(left_out);
    let shared = rules.shared_key_limits(&outline.choice.assignment, &outline.encrypted_tracks);
    outline.warnings.extend(rules.left_clear().into_iter().chain(rules.rotation_limits()).chain(shared));
    let of_systems = |document: &Document, kid| signals(job, document, kid);
    let aes128 = |_: &Document, _| vec![SignalReport { system: job.drm.clone(), places: vec!["EXT-X-KEY"] }];
    let signals: &Signals<'_> = match rules.treatment {
        Treatment::Samples(_) => &of_systems,
        Treatment::Aes128 { .. } => &aes128,
    };
    if server.is_some_and(|server| server.rules().is_some()) {
        outline.warnings.push(
            "the key server has keys and rules of its own, and is not asked here: which track has which is not known"
                .to_owned(),
        );
    }
    let asked = |request: &Document| match local {
        Some(_) => Ok(String::new()),
        None => asked(server, version, request),
    };
    report((&rules.content_id, rules.treatment.name()), outline, document, (signals, &asked))
}

/// Says what is signaled about a key.
type Signals<'a> = dyn Fn(&Document, Kid) -> Vec<SignalReport> + 'a;

/// Says what would be sent for a request.
type Asks<'a> = dyn Fn(&Document) -> Result<String> + 'a;

/// What would be sent to a server for a request.
pub(super) fn asked(
    server: Option<&dyn KeyServer>,
    version: SpekeVersion,
    request: &Document,
) -> Result<String> {
    match server.map(|server| server.asks(request)).transpose()?.flatten() {
        Some(asked) => Ok(asked),
        None => Ok(String::from_utf8_lossy(&version.write(request)?).into_owned()),
    }
}

/// What a source is asked for that has no keys of its own.
pub(super) fn request_of(job: &Job, open_input: &OpenInput<'_>) -> Result<Document> {
    let rules = Rules::check(job, &manifest_kinds(&job.inputs)?, None)?;
    let (outline, rules) = outline(job, &rules, open_input, (&Unasked, &Unasked))?;
    Ok(rules.intent(job, &outline.choice.assignment, outline.periods).request())
}

/// `request` is what would be asked for, unless a document is at hand.
fn report(
    (content_id, scheme): (&str, &str),
    outline: Outline<'_>,
    request: Document,
    (signals, asked): (&Signals<'_>, &Asks<'_>),
) -> Result<PlanReport> {
    let (keys, written) = match outline.source.document(&outline.choice) {
        Some(document) => (chosen_keys(&outline, &document, signals), String::new()),
        None => (planned_keys(&outline, &request, signals), asked(&request)?),
    };
    let assignment = &outline.choice.assignment;
    let proposed: HashMap<_, Kid> = assignment
        .of_periods(1)
        .zip(&request.content_keys)
        .map(|((_, purpose, _), key)| (purpose, key.kid))
        .collect();
    let kid_of = |track: TrackId| match outline.choice.kid(Period::FIRST, track) {
        Some(kid) => Ok(kid),
        None => {
            let key = proposed.get(&assignment.key_of(track)?).copied();
            key.ok_or_else(|| Error::internal(format!("no key is asked for track {track}")))
        }
    };
    let tracks = outline.encrypted_tracks.iter().zip(&outline.tracks);
    let tracks = tracks.map(|(track, facts)| Ok(planned(facts, kid_of(track.id)?.to_string(), scheme)));
    let tracks = tracks.collect::<Result<_>>()?;
    let mut warnings = outline.warnings;
    warnings.extend(outline.choice.warnings);
    Ok(PlanReport {
        content_id: content_id.to_owned(),
        scheme: scheme.to_owned(),
        tracks,
        clear_tracks: outline.clear_tracks,
        keys,
        warnings,
        request: written,
    })
}

/// Fetches the keys that a job would use: what its key source answered, checked. Gives what the user should know too.
///
/// # Errors
/// As [`run`](crate::job::run) up to the exchange of keys.
pub fn fetch_keys(
    job: &Job,
    open_input: &OpenInput<'_>,
    keys: &dyn KeyServer,
    http: &dyn Http,
) -> Result<(Document, Vec<String>)> {
    match dual_scheme::trees(job)? {
        Some(trees) => dual_scheme::fetch_keys(&trees, open_input, keys, http),
        None => fetch_keys_of_tree(job, open_input, keys, http),
    }
}

/// The keys of a job for one scheme.
pub(super) fn fetch_keys_of_tree(
    job: &Job,
    open_input: &OpenInput<'_>,
    keys: &dyn KeyServer,
    http: &dyn Http,
) -> Result<(Document, Vec<String>)> {
    let rules = Rules::check(job, &manifest_kinds(&job.inputs)?, keys.at_hand())?;
    let (outline, rules) = outline(job, &rules, open_input, (keys, http))?;
    let intent = rules.intent(job, &outline.choice.assignment, outline.periods);
    let periods = outline.periods;
    outline.fetch(http, (&|| intent.request(), periods), &|kid| intent.wanted(kid), job)
}

impl Outline<'_> {
    /// The keys as they come from their source.
    pub(super) fn fetch(
        &self,
        http: &dyn Http,
        asked: (&dyn Fn() -> Document, usize),
        wanted: &Wants<'_>,
        job: &Job,
    ) -> Result<(Document, Vec<String>)> {
        let keyed = self.source.keys(&self.choice, http, asked, wanted)?;
        let weak_keys = weak_keys(job, &keyed.document)?;
        let document = match self.source.document(&self.choice) {
            Some(document) => document,
            None => labelled(keyed.document, &self.encrypted_tracks),
        };
        Ok((document, [self.choice.warnings.as_slice(), &keyed.warnings, &weak_keys].concat()))
    }
}

/// Reads the input as far as keys depend on it. Gives the rules with what the key source says of times.
fn outline<'a>(
    job: &Job,
    rules: &Rules,
    open_input: &OpenInput<'_>,
    (keys, http): (&'a dyn KeyServer, &dyn Http),
) -> Result<(Outline<'a>, Rules)> {
    let outline = match manifest_kinds(&job.inputs)?.is_empty() {
        true => mp4::outline(job, rules, open_input, (keys, http))?,
        false => package_outline(job, rules, open_input, (keys, http))?,
    };
    let count = outline.choice.assignment.count().saturating_mul(outline.periods);
    rules.check_substreams(job, outline.encrypted_tracks.len(), count)?;
    let rules = rules.timed(&outline.source, None);
    Ok((outline, rules))
}

fn package_outline<'a>(
    job: &Job,
    rules: &Rules,
    open_input: &OpenInput<'_>,
    (keys, http): (&'a dyn KeyServer, &dyn Http),
) -> Result<Outline<'a>> {
    let (store, read) = manifests::read(&job.inputs, open_input)?;
    let Input { store, mut package, manifests } =
        Input::of(store, read, InputState::clear(&rules.treatment))?;
    let encrypted_tracks = package.encrypted_tracks(rules.keys);
    let ids: Vec<_> = encrypted_tracks.iter().map(|track| track.id.to_string()).collect();
    track_facts::check(&job.tracks, &ids)?;
    let source = source(job, rules, (keys, http), &encrypted_tracks, package.begins)?;
    let rules = rules.timed(&source, package.lasts);
    let rotates = rules.schedule.rotates();
    let periods = package.periods(&rules.schedule, store.as_ref())?;
    let choice = source.choose(rules.key_rule(), &encrypted_tracks, periods, rotates)?;
    package.check(&rules, &choice.assignment, store.as_ref())?;
    manifests.check(&package, &choice.assignment)?;
    let tracks = encrypted_tracks.iter().map(|encrypted_track| package.track_facts(encrypted_track));
    let tracks = tracks.collect::<Result<_>>()?;
    let (clear_tracks, warnings) = (Vec::new(), Vec::new());
    Ok(Outline { tracks, clear_tracks, encrypted_tracks, source, choice, periods, rotates, warnings })
}

fn planned(track: &TrackReport, kid: String, scheme: &str) -> PlannedTrack {
    let TrackReport { id, kind, source, codec, width, height, channels, scheme: own, .. } = track.clone();
    let scheme = if own.is_empty() { scheme.to_owned() } else { own };
    PlannedTrack { id, kind, source, codec, width, height, channels, kid, scheme }
}

fn planned_keys(outline: &Outline<'_>, document: &Document, signals: &Signals<'_>) -> Vec<PlannedKeyReport> {
    let assignment = &outline.choice.assignment;
    let keys = assignment.of_periods(outline.periods.max(1)).zip(&document.content_keys);
    keys.map(|((period, id, purpose), key)| PlannedKeyReport {
        kid: key.kid.to_string(),
        track_type: purpose.track_type.clone(),
        period: outline.rotates.then_some(period.number()),
        tracks: assignment
            .substreams_of(id, &outline.encrypted_tracks)
            .map(|track| track.id.to_string())
            .collect(),
        signaling: signals(document, key.kid),
    })
    .collect()
}

/// The keys of a document that its rules chose.
fn chosen_keys(outline: &Outline<'_>, document: &Document, signals: &Signals<'_>) -> Vec<PlannedKeyReport> {
    let mut reports = Vec::new();
    for key in &document.content_keys {
        let rule = document.usage_rules.iter().find(|rule| rule.kid == key.kid);
        let in_period = |period: Period| {
            let ids = outline.encrypted_tracks.iter().map(|track| track.id);
            ids.filter(move |track| outline.choice.kid(period, *track) == Some(key.kid))
                .map(|track| track.to_string())
        };
        let Some(first) = Period::all(outline.periods).find(|period| in_period(*period).next().is_some())
        else {
            continue;
        };
        reports.push(PlannedKeyReport {
            kid: key.kid.to_string(),
            track_type: rule.and_then(|rule| rule.intended_track_type.clone()).unwrap_or_default(),
            period: outline.rotates.then_some(first.number()),
            tracks: in_period(first).collect(),
            signaling: signals(document, key.kid),
        });
    }
    reports
}

fn signals(job: &Job, document: &Document, kid: Kid) -> Vec<SignalReport> {
    let systems = document.drm_systems.iter().filter(|system| system.kid == kid);
    systems
        .map(|system| SignalReport {
            system: drm::of_id(system.system_id).name().to_owned(),
            places: places(job, system),
        })
        .collect()
}

/// Where a request asks for signaling.
fn places(job: &Job, system: &DrmSystem) -> Vec<&'static str> {
    let session_key = system.hls_signaling_data.multivariant.is_some() && !job.no_session_keys;
    [
        (system.pssh.is_some(), "pssh"),
        (system.content_protection_data.is_some(), "ContentProtection"),
        (system.hls_signaling_data.media.is_some(), "EXT-X-KEY"),
        (session_key, "EXT-X-SESSION-KEY"),
    ]
    .into_iter()
    .filter_map(|(is_asked, place)| is_asked.then_some(place))
    .collect()
}
