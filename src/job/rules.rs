//! A job as plain data, and the rules it must keep before anything is read or asked for.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::id::parse_16;
use crate::base::{BaseUrl, Error, Result, shown_input};
use crate::codec::TrackKind;
use crate::cpix::{Document, whole_segments};
use crate::drm::aes128::WholeSegments;
use crate::drm::{self, ManifestKind, System, template};
use crate::keys::Contract;
use crate::package::{
    Assignment, ClearRange, EncryptedTrack, Intent, KeyRule, LicenseUrl, Preset, Schedule, ServerSignaling,
    Treatment, check_license_urls,
};
use crate::protect::Scheme;
use crate::protect::scheme::SCHEMES;

use crate::subtitles::Format as TextFormat;

use super::choice::{Source, stated_scheme};
use super::mp4::names::NameTemplates;
use super::mp4::thumbnails::Thumbnails;
use super::track_facts::{self, TrackFacts};

/// The word of `--drm` for AES-128 of whole segments.
const SIMPLEAES: &str = drm::aes128::NAME;
/// Longest content id that is made of an input's name, in characters.
const MAX_RESOURCE_ID: usize = 128;
/// How long segments may be asked for, in seconds. Shorter than the least, each random access point would begin one, and
/// durations be rounded away.
pub const SEGMENT_SECONDS: RangeInclusive<f64> = 0.1..=3600.0;
/// How long a clear lead may be, in seconds: an hour.
pub const CLEAR_LEAD_SECONDS: RangeInclusive<f64> = 0.0..=3600.0;
/// Latest end of a clear stretch, in seconds: behind any media.
const MAX_CLEAR_END: f64 = 1e9;

/// What `pack` is asked to do. Keys and passwords are not part of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// One MPD, one playlist, or MP4 files.
    pub inputs: Vec<String>,
    /// DRM systems joined by `+` or `,`.
    pub drm: String,
    /// The protection scheme; by default the first that every system allows.
    pub scheme: Option<String>,
    /// One key or one for each encrypted track; by default what the rules of a document say, if there are any.
    pub preset: Preset,
    /// Keys for video by their size, `PRESET-VIDEO-1` to `8`, `SHARED` or `UNENCRYPTED`; instead of
    /// `preset`, together with `audio_preset`.
    pub video_preset: Option<String>,
    /// Keys for audio by its channels, `PRESET-AUDIO-1` to `3`, `SHARED` or `UNENCRYPTED`.
    pub audio_preset: Option<String>,
    /// The content id; by default the input's name, cleaned.
    pub resource_id: Option<String>,
    /// The IV: 32 hex digits.
    pub vector: Option<String>,
    /// Manifests for MP4 inputs; by default those that the DRM systems allow.
    pub formats: Option<Vec<Format>>,
    /// How the segments of MP4 inputs lie in files; by default each in one of its own.
    pub layout: Option<Layout>,
    /// Segment duration for MP4 inputs, in seconds.
    pub segment_duration: f64,
    /// Template of key URIs.
    pub skd_template: String,
    /// Template of the key URIs of whole segments in AES-128.
    pub key_uri: Option<String>,
    /// Whether media initialization sections are encrypted with whole segments.
    pub encrypt_init: bool,
    /// Whether picture tracks of MP4 inputs whose codec is not known are protected whole.
    pub allow_full_sample: bool,
    /// Most encrypted tracks that the vendor takes.
    pub max_substreams: Option<usize>,
    /// Segments that begin before this time are left clear, in seconds.
    pub clear_lead: f64,
    /// Further stretches that are left clear, in seconds: the segments that begin in them.
    pub clear: Vec<(f64, f64)>,
    /// Whether players can go through the pictures of MP4 inputs fast: playlists of I-frames, trick-mode sets.
    pub trick_play: bool,
    /// Images beside the video of MP4 inputs.
    pub thumbnails: Option<Thumbnails>,
    /// Keys change after so many segments.
    pub rotate_every: Option<u32>,
    /// What becomes of a key server's signaling that contradicts what is packed.
    pub server_signaling: ServerSignaling,
    /// Whether keys that protect nothing are an error and no warning: zeros, key ids, one under two ids.
    pub strict_keys: bool,
    /// What the operator says of tracks.
    pub tracks: Vec<TrackFacts>,
    /// How the files that are made of MP4 files are called.
    pub names: NameTemplates,
    /// The address of the output's folder, by which manifests of MP4 files name everything; relative without.
    pub base_url: Option<BaseUrl>,
    /// Where the licenses of DRM systems are.
    pub license_urls: Vec<LicenseUrl>,
    /// Whether multivariant playlists name no keys: some players stumble over `EXT-X-SESSION-KEY`.
    pub no_session_keys: bool,
    /// Whether the report says the SHA-256 of every output. It changes none of them.
    #[serde(skip)]
    pub digests: bool,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            drm: String::new(),
            scheme: None,
            preset: Preset::default(),
            video_preset: None,
            audio_preset: None,
            resource_id: None,
            vector: None,
            formats: None,
            layout: None,
            segment_duration: 6.0,
            skd_template: "skd://{kid}".into(),
            key_uri: None,
            encrypt_init: false,
            allow_full_sample: false,
            max_substreams: None,
            clear_lead: 0.0,
            clear: Vec::new(),
            trick_play: false,
            thumbnails: None,
            rotate_every: None,
            server_signaling: ServerSignaling::default(),
            strict_keys: false,
            tracks: Vec::new(),
            names: NameTemplates::default(),
            base_url: None,
            license_urls: Vec::new(),
            no_session_keys: false,
            digests: false,
        }
    }
}

impl Job {
    /// The input whose name may be that of the title: text beside the video has the name of a language.
    pub fn title_input(&self) -> &str {
        let media = self.inputs.iter().find(|input| TextFormat::of_name(&shown_input(input)).is_none());
        media.or_else(|| self.inputs.first()).map_or("", String::as_str)
    }
}

/// A manifest format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// HLS playlists.
    Hls,
    /// A DASH MPD.
    Dash,
}

/// How the segments of a track lie in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// An init segment, and each segment in a file of its own.
    #[default]
    Segments,
    /// One file with an index of its segments.
    SingleFile,
}

impl Format {
    pub(super) fn manifest(self) -> ManifestKind {
        match self {
            Self::Hls => ManifestKind::Hls,
            Self::Dash => ManifestKind::Dash,
        }
    }
}

/// A job that keeps the rules.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) systems: Vec<&'static dyn System>,
    pub(super) treatment: Treatment,
    pub(super) content_id: String,
    pub(super) vector: Option<[u8; 16]>,
    pub(super) manifests: Vec<ManifestKind>,
    pub(super) keys: KeyRule,
    /// Whether the operator named the rule for keys.
    names_rule: bool,
    pub(super) layout: Layout,
    pub(super) schedule: Schedule,
}

impl Rules {
    /// Checks everything that can be known before the input is read. `package` has the kinds of manifest
    /// that the inputs are, none for MP4 files; `document` is one with keys that is at hand.
    pub(super) fn check(job: &Job, package: &[ManifestKind], document: Option<&Document>) -> Result<Self> {
        if !package.is_empty() {
            track_facts::check_package(&job.tracks)?;
            job.names.check_package()?;
            if job.base_url.is_some() {
                return Err(Error::usage("--base-url is for MP4 inputs")
                    .hint("a package keeps the addresses in its manifests"));
            }
            if job.thumbnails.is_some() {
                return Err(Error::usage("--thumbnails is for MP4 inputs")
                    .hint("a package keeps the thumbnails that it has"));
            }
        }
        if job.drm == SIMPLEAES {
            return Self::aes128(job, package, document);
        }
        let systems = systems(&job.drm, document)?;
        let stated = document.map(stated_scheme).transpose()?.flatten();
        let scheme = scheme((job.scheme.as_deref(), stated), &systems)?;
        let vector = vector(job)?;
        if job.key_uri.is_some() || job.encrypt_init {
            return Err(Error::usage(format!("--key-uri and --encrypt-init are for --drm {SIMPLEAES}"))
                .hint("the URIs of other systems have --skd-template"));
        }
        check_seconds("segment duration", job.segment_duration, &SEGMENT_SECONDS)?;
        if !package.is_empty() && job.layout.is_some() {
            return Err(Error::usage("--layout is for MP4 inputs").hint("a package keeps its own layout"));
        }
        let manifests = manifests(job.formats.as_deref(), package, &systems, scheme)?;
        let (content_id, keys, schedule) = (content_id(job, document)?, key_rule(job)?, schedule(job)?);
        let layout = job.layout.unwrap_or_default();
        check_license_urls(&job.license_urls, &systems, &manifests)?;
        let names_rule = job.preset != Preset::Auto || job.video_preset.is_some();
        let treatment = Treatment::Samples(scheme);
        Ok(Self { systems, treatment, content_id, vector, manifests, keys, names_rule, layout, schedule })
    }

    /// The rules of AES-128, which only playlists can say: RFC 8216bis §4.4.4.4.
    fn aes128(job: &Job, package: &[ManifestKind], document: Option<&Document>) -> Result<Self> {
        let refused = |what: &str| Error::usage(format!("--drm {SIMPLEAES} with {what}"));
        if job.inputs.len() != 1 || package != [ManifestKind::Hls] {
            return Err(refused("an input that is not one playlist")
                .clause("RFC 8216bis §4.4.4.4")
                .hint("whole segments are encrypted in HLS only: give the .m3u8 by its name"));
        }
        if job.scheme.is_some() || job.formats.is_some() || job.layout.is_some() {
            return Err(refused("--scheme, --format or --layout").hint("it has none of these"));
        }
        if job.video_preset.is_some() || job.audio_preset.is_some() {
            return Err(refused("a contract").hint("give --preset"));
        }
        if let Some(stated) = document.map(stated_scheme).transpose()?.flatten()
            && stated.fourcc != whole_segments::SCHEME
        {
            return Err(refused(&format!("keys of a document that are for {}", stated.name))
                .clause("DASH-IF CPIX 2.3 §4, ContentKey@commonEncryptionScheme")
                .hint("a key serves one way of encryption: give the document that was made for this one"));
        }
        let key_uri = job.key_uri.clone();
        key_uri.as_deref().map(template::check).transpose()?;
        Ok(Self {
            systems: vec![&WholeSegments],
            treatment: Treatment::Aes128 { key_uri, encrypts_maps: job.encrypt_init },
            content_id: content_id(job, document)?,
            vector: vector(job)?,
            manifests: package.to_vec(),
            keys: key_rule(job)?,
            names_rule: job.preset != Preset::Auto,
            layout: Layout::default(),
            schedule: schedule(job)?,
        })
    }

    /// The words of `--drm` that are done.
    pub(super) fn words(&self) -> Vec<String> {
        match self.treatment {
            Treatment::Samples(_) => self.systems.iter().map(|system| system.name().to_owned()).collect(),
            Treatment::Aes128 { .. } => vec![SIMPLEAES.to_owned()],
        }
    }

    /// The rule for keys, and whether the operator named it.
    pub(super) fn key_rule(&self) -> (KeyRule, bool) {
        (self.keys, self.names_rule)
    }

    /// The same with crypto periods that have times; `lasts` is how long the presentation does, if that is known.
    pub(super) fn timed(&self, source: &Source<'_>, lasts: Option<Duration>) -> Self {
        let schedule = source.schedule(&self.schedule).lasting(lasts.unwrap_or(Duration::MAX));
        Self { schedule, ..self.clone() }
    }

    /// What is decided before any key is fetched.
    pub(super) fn intent<'a>(&'a self, job: &'a Job, keys: &'a Assignment, periods: usize) -> Intent<'a> {
        Intent {
            content_id: &self.content_id,
            treatment: self.treatment.clone(),
            keys,
            systems: &self.systems,
            manifests: &self.manifests,
            vector: self.vector,
            skd_template: &job.skd_template,
            schedule: self.schedule.clone(),
            periods,
            server_signaling: job.server_signaling,
            license_urls: &job.license_urls,
            session_keys: !job.no_session_keys,
        }
    }

    /// What stays clear because the operator asked for it.
    pub(super) fn left_clear(&self) -> Vec<String> {
        [(TrackKind::Video, "video"), (TrackKind::Audio, "audio")]
            .into_iter()
            .filter(|(kind, _)| !self.keys.protects(*kind))
            .map(|(_, word)| format!("{word} stays clear: its preset is UNENCRYPTED"))
            .collect()
    }

    /// What the operator should know of players when keys change.
    pub(super) fn rotation_limits(&self) -> Vec<String> {
        let systems = self.systems.iter().filter(|_| self.schedule.rotates());
        let limits = systems.filter_map(|system| Some((system.name(), system.rotation_limit()?)));
        limits.map(|(name, limit)| format!("{name}: {limit}")).collect()
    }

    /// What the operator should know of keys that video and audio share.
    pub(super) fn shared_key_limits(
        &self,
        keys: &Assignment,
        encrypted_tracks: &[EncryptedTrack],
    ) -> Vec<String> {
        let has = |key, kind| keys.substreams_of(key, encrypted_tracks).any(|track| track.id.kind == kind);
        let is_shared = |(key, _)| has(key, TrackKind::Video) && has(key, TrackKind::Audio);
        let systems = self.systems.iter().filter(|_| keys.keys().any(is_shared));
        let limits = systems.filter_map(|system| Some((system.name(), system.shared_key_limit()?)));
        limits.map(|(name, limit)| format!("{name}: {limit}")).collect()
    }

    /// Checks what depends on the encrypted tracks, before any key is fetched.
    pub(super) fn check_substreams(&self, job: &Job, encrypted_tracks: usize, keys: usize) -> Result<()> {
        if encrypted_tracks == 0 {
            return Err(Error::input("the input has no track that can be protected")
                .hint("text and metadata stay clear: give video or audio beside them"));
        }
        check_limit(job.max_substreams, encrypted_tracks)?;
        if let Treatment::Aes128 { key_uri: Some(key_uri), .. } = &self.treatment
            && keys > 1
            && !template::is_per_key(key_uri)?
        {
            return Err(
                Error::usage(format!("one key URI for {keys} keys")).hint("use {kid} in the template")
            );
        }
        self.systems.iter().try_for_each(|system| system.check_template(&job.skd_template, keys))
    }
}

/// The systems of a list; whole segments are no system, and have none beside them.
/// Whether these are words of `--drm`, as far as can be said without the keys.
///
/// # Errors
/// When one is unknown, or stands beside others that it cannot.
pub fn check_drm(list: &str) -> Result<()> {
    let at_hand = |name: &str| name.trim() != drm::OTHER;
    let words: Vec<_> = list.split(['+', ',']).filter(|name| at_hand(name)).collect();
    if list == SIMPLEAES || words.is_empty() { Ok(()) } else { systems(&words.join("+"), None).map(drop) }
}

fn systems(list: &str, document: Option<&Document>) -> Result<Vec<&'static dyn System>> {
    if list.split(['+', ',']).any(|name| name.trim() == SIMPLEAES) {
        return Err(Error::usage(format!("--drm {list}: {SIMPLEAES} stands alone")));
    }
    drm::parse_list_for(list, document)
        .map_err(|error| error.hint(format!("or {SIMPLEAES} alone, for AES-128")))
}

/// More encrypted tracks than the vendor takes are an error.
fn check_limit(limit: Option<usize>, encrypted_tracks: usize) -> Result<()> {
    match limit.filter(|limit| encrypted_tracks > *limit) {
        Some(limit) => Err(Error::usage(format!(
            "{encrypted_tracks} encrypted substreams, the key server takes {limit}"
        ))
        .hint("leave out renditions, or raise --max-substreams if your vendor takes more")),
        None => Ok(()),
    }
}

fn vector(job: &Job) -> Result<Option<[u8; 16]>> {
    let parse = |text: &str| {
        parse_16(text).filter(|_| text.len() == 32).ok_or_else(|| {
            Error::usage(format!("vector {text:?} has {} characters, expected 32 hex digits", text.len()))
        })
    };
    job.vector.as_deref().map(parse).transpose()
}

/// A clear lead, or other stretches, that leave nothing to protect are not what was asked for.
pub(super) fn no_segment_behind(schedule: &Schedule) -> Error {
    let seconds = |time: Duration| time.as_secs_f64();
    let stretch = |range: &ClearRange| format!("{} to {} s", seconds(range.start), seconds(range.end));
    let stretches: Vec<_> = schedule.clear.iter().map(stretch).collect();
    Error::usage(format!("every segment begins in what is left clear, {}", stretches.join(" and ")))
        .hint("give a shorter --clear-lead or --clear: a track that is all clear is not protected")
}

/// Reads `FROM-TO`, in seconds.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) for another form.
pub fn parse_clear(text: &str) -> Result<(f64, f64)> {
    let time =
        |text: &str| text.trim().parse().ok().filter(|time: &f64| (0.0..=MAX_CLEAR_END).contains(time));
    let wrong = |what: &str| {
        Error::usage(format!("--clear {text}: {what}")).hint("such as --clear 300-330.5, from 0 seconds on")
    };
    let times = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
    let (from, to) = times.ok_or_else(|| wrong("expected FROM-TO, two times in seconds"))?;
    if from < to { Ok((from, to)) } else { Err(wrong("expected TO behind FROM")) }
}

/// Holds a time of a job to its bounds.
fn check_seconds(what: &str, found: f64, range: &RangeInclusive<f64>) -> Result<()> {
    if range.contains(&found) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    Err(Error::usage(format!("{what} {found:?}, expected {least} to {most} seconds")))
}

/// What is clear: the lead and the other stretches, in order.
fn clear_ranges(job: &Job) -> Result<Vec<ClearRange>> {
    check_seconds("clear lead", job.clear_lead, &CLEAR_LEAD_SECONDS)?;
    let mut ranges: Vec<_> = ClearRange::lead(Duration::from_secs_f64(job.clear_lead)).into_iter().collect();
    for (from, to) in &job.clear {
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
        let range = time(*from).zip(time(*to)).filter(|(start, end)| start < end);
        let (start, end) = range
            .ok_or_else(|| Error::usage(format!("--clear {from:?}-{to:?}, expected FROM-TO in seconds")))?;
        ranges.push(ClearRange { start, end });
    }
    ranges.sort_by_key(|range| range.start);
    for (before, range) in ranges.iter().zip(ranges.iter().skip(1)) {
        if range.start < before.end {
            let (from, to) = (range.start.as_secs_f64(), range.end.as_secs_f64());
            return Err(Error::usage(format!(
                "--clear {from}-{to} begins in a stretch that is clear already"
            ))
            .hint("give one stretch for both"));
        }
    }
    Ok(ranges)
}

/// Clear stretches and crypto periods.
fn schedule(job: &Job) -> Result<Schedule> {
    let clear = clear_ranges(job)?.into();
    let none = || {
        Error::usage("keys that change after 0 segments, expected 1 or more")
            .hint("leave out --rotate-every for keys that stay")
    };
    let rotate_every = job.rotate_every.map(|n| NonZeroU32::new(n).ok_or_else(none)).transpose()?;
    Ok(Schedule { clear, rotate_every, times: None })
}

/// The preset, or the contract when one is named.
fn key_rule(job: &Job) -> Result<KeyRule> {
    match (&job.video_preset, &job.audio_preset) {
        (None, None) => Ok(KeyRule::Preset(job.preset)),
        (Some(video), Some(audio)) => Contract::find(video, audio).map(KeyRule::Contract),
        _ => Err(Error::usage("a video preset needs an audio preset, and the other way round")
            .hint("give both, UNENCRYPTED leaves a side clear")),
    }
}

/// The scheme that is asked for, else the one that a document states, else the first that suits all systems.
fn scheme(
    (asked, stated): (Option<&str>, Option<&'static Scheme>),
    systems: &[&'static dyn System],
) -> Result<&'static Scheme> {
    if let (Some(asked), Some(stated)) = (asked, stated)
        && asked != stated.name
    {
        return Err(Error::usage(format!(
            "--scheme {asked}, the keys of the document are for {}",
            stated.name
        ))
        .clause("DASH-IF CPIX 2.3 §4, ContentKey@commonEncryptionScheme")
        .hint("leave out --scheme"));
    }
    let Some(name) = asked.or_else(|| stated.map(|stated| stated.name)) else {
        return SCHEMES
            .iter()
            .find(|scheme| systems.iter().all(|system| system.allows(scheme)))
            .ok_or_else(|| Error::usage("no protection scheme suits all these DRM systems"));
    };
    let scheme = Scheme::find(name)?;
    match systems.iter().find(|system| !system.allows(scheme)) {
        Some(system) => Err(Error::usage(format!("{} players do not decrypt {name}", system.name())).hint(
            "leave out --scheme for one that suits every system in --drm, if the keys are not for this one alone",
        )),
        None => Ok(scheme),
    }
}

/// Every system must be signaled somewhere, and every manifest must signal some system.
fn manifests(
    formats: Option<&[Format]>,
    package: &[ManifestKind],
    systems: &[&'static dyn System],
    scheme: &Scheme,
) -> Result<Vec<ManifestKind>> {
    let has_word = |kind: ManifestKind| kind != ManifestKind::Hls || scheme.hls_method.is_some();
    let signals =
        |kind: &ManifestKind| has_word(*kind) && systems.iter().any(|system| system.signals_in(*kind));
    let asked: Vec<_> = match (package, formats) {
        ([_, ..], None) => package.to_vec(),
        ([_, ..], Some(_)) => {
            return Err(Error::usage("--format is for MP4 inputs").hint("a package keeps its own format"));
        }
        ([], Some(formats)) => formats.iter().map(|format| format.manifest()).collect(),
        ([], None) => [ManifestKind::Hls, ManifestKind::Dash].into_iter().filter(signals).collect(),
    };
    if asked.iter().any(|kind| !has_word(*kind)) {
        return Err(Error::usage(format!(
            "playlists have no METHOD for the protection scheme {}",
            scheme.name
        ))
        .clause("RFC 8216bis §4.4.4.4")
        .hint("take another --scheme, or leave HLS out"));
    }
    for system in systems {
        if !asked.iter().any(|kind| system.signals_in(*kind)) {
            let kinds: Vec<_> = asked.iter().map(|kind| format!("{kind:?}").to_uppercase()).collect();
            return Err(Error::usage(format!(
                "{} cannot be signaled in {}",
                system.name(),
                kinds.join(" or ")
            ))
            .hint("leave it out of --drm, or give an input or --format that can say it"));
        }
    }
    if let Some(kind) = asked.iter().find(|kind| !signals(kind)) {
        return Err(Error::usage(format!("{kind:?} cannot signal any of these DRM systems")));
    }
    Ok(asked)
}

/// The content id: what the operator says, else what a document states, else the input's name, cleaned.
fn content_id(job: &Job, document: Option<&Document>) -> Result<String> {
    let stated = document.and_then(|document| document.content_id.clone()).filter(|id| !id.is_empty());
    match (&job.resource_id, stated) {
        (Some(asked), Some(stated)) if *asked != stated => {
            return Err(Error::usage(format!(
                "--resource-id {asked}, the document of keys is for the content id {stated}"
            ))
            .clause("DASH-IF CPIX 2.3 §4, CPIX@contentId")
            .hint("leave out --resource-id, or give the document of this title"));
        }
        (_, Some(stated)) => return Ok(stated),
        _ => {}
    }
    if let Some(id) = &job.resource_id {
        // Which characters a key server takes, and how many, is for its row to say.
        if id.is_empty() || id.chars().any(char::is_control) {
            return Err(Error::usage(format!(
                "resource id {id:?}, expected a text without control characters"
            )));
        }
        return Ok(id.clone());
    }
    let input = shown_input(job.title_input());
    let name = input.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let cleaned: String =
        stem.chars().map(|c| if allowed(c) { c } else { '-' }).take(MAX_RESOURCE_ID).collect();
    Ok(if cleaned.is_empty() { "content".into() } else { cleaned })
}
