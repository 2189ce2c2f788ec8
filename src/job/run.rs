//! The sequence of a job: read manifests, plan, exchange keys, write media, write manifests.

use std::time::Instant;

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::drm::ManifestKind;
use crate::keys::check;
use crate::package::{Assignment, Plan, Substream};

use super::dash::{self, DashManifest};
use super::env::{Env, Event};
use super::files;
use super::hls::{self, HlsManifests};
use super::mp4;
use super::package::{Expect, Package};
use super::report::{KeyRotation, Report};
use super::rules::{Job, Rules, WHOLE_SEGMENTS};
use super::whole_segments;

/// The manifests of a package.
pub(super) enum Manifests {
    Hls(HlsManifests),
    Dash(DashManifest),
}

/// What kind of package a name means; `None` for MP4 files.
pub(super) fn package_kind(input: &str) -> Option<ManifestKind> {
    let path = input.split(['?', '#']).next().unwrap_or_default();
    match path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("mpd") => Some(ManifestKind::Dash),
        Some("m3u8" | "m3u") => Some(ManifestKind::Hls),
        _ => None,
    }
}

/// Does a job: encrypts its inputs and writes or rewrites their manifests.
///
/// Nothing is read twice, nothing clear is written for a track that was to be protected, and manifests are
/// written after everything that they name.
///
/// # Errors
/// Of every kind; the output store then holds no manifest.
pub fn run(job: &Job, env: &Env<'_>) -> Result<Report> {
    if job.drm == WHOLE_SEGMENTS {
        return whole_segments::run(job, env);
    }
    let start = Instant::now();
    let kind = input_kind(&job.inputs)?;
    let rules = Rules::check(job, kind)?;
    let mut report = match (kind, job.inputs.first()) {
        (Some(kind), Some(input)) => run_package(job, &rules, kind, input, env)?,
        _ => mp4::run(job, &rules, env)?,
    };
    for warning in rules.left_clear().into_iter().chain(rules.rotation_limits()) {
        (env.observe)(Event::Warning(&warning));
        report.warnings.push(warning);
    }
    report.clear_lead = rules.schedule.has_clear_lead().then_some(job.clear_lead);
    check_protected(&report)?;
    report.drm = rules.systems.iter().map(|system| system.name().to_owned()).collect();
    report.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

/// A clear lead that leaves nothing to protect is not what was asked for.
fn check_protected(report: &Report) -> Result<()> {
    let Some(seconds) = report.clear_lead else { return Ok(()) };
    match report.tracks.iter().find(|track| track.samples == 0) {
        Some(track) => {
            Err(Error::usage(format!("no segment begins after the clear lead of {seconds} seconds"))
                .at(track.id.clone())
                .hint("give a shorter lead: a track that is all clear is not protected"))
        }
        None => Ok(()),
    }
}

/// One package, or MP4 files.
pub(super) fn input_kind(inputs: &[String]) -> Result<Option<ManifestKind>> {
    let kinds: Vec<_> = inputs.iter().map(|input| package_kind(input)).collect();
    match kinds.as_slice() {
        [] => Err(Error::usage("no input").hint("give an .mpd, an .m3u8, or MP4 files")),
        [kind] => Ok(*kind),
        kinds if kinds.iter().all(Option::is_none) => Ok(None),
        _ => Err(Error::usage("one MPD or playlist, or several MP4 files; not both")),
    }
}

/// Reads a package of either kind.
pub(super) fn read_package(
    kind: ManifestKind,
    store: &dyn Store,
    name: &str,
    expect: Expect,
) -> Result<(Package, Manifests)> {
    match kind {
        ManifestKind::Hls => {
            hls::read(store, name, expect).map(|(package, hls)| (package, Manifests::Hls(hls)))
        }
        ManifestKind::Dash => {
            dash::read(store, name, expect).map(|(package, dash)| (package, Manifests::Dash(dash)))
        }
    }
}

fn run_package(job: &Job, rules: &Rules, kind: ManifestKind, input: &str, env: &Env<'_>) -> Result<Report> {
    (env.observe)(Event::Step("reading manifests and init segments"));
    let (store, name) = (env.locate)(input)?;
    let (mut package, manifests) = read_package(kind, store.as_ref(), &name, Expect::Clear)?;
    let substreams = package.substreams(rules.keys);
    let assignment = rules.keys.assign(&substreams)?;
    package.check(rules, &assignment, store.as_ref())?;
    let periods = package.periods(&rules.schedule, store.as_ref())?;
    let plan = plan(job, rules, &substreams, (&assignment, periods), env)?;
    (env.observe)(Event::Step("encrypting"));
    let mut done = files::protect(&package, &substreams, &plan, store.as_ref(), env)?;
    (env.observe)(Event::Step("writing manifests"));
    let mut report = Report { key_rotation: KeyRotation::of(&plan), ..Report::default() };
    let outputs = match manifests {
        Manifests::Hls(hls) => hls.protect(&package, &plan, &done, env)?,
        Manifests::Dash(dash) => {
            report.warnings.clone_from(&dash.warnings);
            dash.protect(&package, &plan, &done, env)?
        }
    };
    report.manifests = outputs.iter().map(|output| output.path.clone()).collect();
    report.outputs = std::mem::take(&mut done.outputs);
    report.outputs.extend(outputs);
    report.tracks = done.tracks;
    Ok(report)
}

/// Asks for keys and fixes what each substream gets.
pub(super) fn plan(
    job: &Job,
    rules: &Rules,
    substreams: &[Substream],
    (assignment, periods): (&Assignment, usize),
    env: &Env<'_>,
) -> Result<Plan> {
    rules.check_substreams(job, substreams.len(), assignment.keys.len().saturating_mul(periods))?;
    (env.observe)(Event::Step("exchanging keys"));
    let intent = rules.intent(job, assignment, periods);
    let request = intent.request();
    let answer = env.keys.exchange(env.http, request.clone())?;
    Plan::resolve(&intent, substreams, check(&request, answer)?, env.random)
}
