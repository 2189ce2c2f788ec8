//! The sequence of a job: read manifests, plan, exchange keys, write media, write manifests.

use std::time::Instant;

use crate::base::Result;
use crate::package::Schedule;
use crate::presentation::AtBase;

use super::digests::add_digests;
use super::dual_scheme;
use super::env::{Env, Event};
use super::journal::Journal;
use super::key_exchange::{plan, source};
use super::mp4;
use super::package::InputState;
use super::package::files;
use super::package::manifests::{self, Input, manifest_kinds};
use super::report::{KeyRotation, Report, TrackReport};
use super::rules::{Job, Rules, no_segment_behind};
use super::track_facts;

/// Does a job: encrypts its inputs and writes or rewrites their manifests.
///
/// Nothing is read twice, nothing clear is written for a track that was to be protected, and manifests are
/// written after everything that they name.
///
/// # Errors
/// Of every kind; the output store then holds no manifest, of two trees none of the second.
pub fn run(job: &Job, env: &Env<'_>) -> Result<Report> {
    let mut report = match dual_scheme::trees(job)? {
        Some(trees) => dual_scheme::run(job, &trees, env)?,
        None => run_tree(job, env)?,
    };
    report.base_url = job.base_url.clone();
    if job.digests {
        add_digests(&mut report, env.output)?;
    }
    Ok(report)
}

/// A job for one scheme.
pub(super) fn run_tree(job: &Job, env: &Env<'_>) -> Result<Report> {
    let start = Instant::now();
    let kinds = manifest_kinds(&job.inputs)?;
    let rules = Rules::check(job, &kinds, env.keys.at_hand())?;
    let mut report = match kinds.is_empty() {
        true => run_files(job, &rules, env)?,
        false => run_package(job, &rules, env)?,
    };
    for warning in rules.left_clear().into_iter().chain(rules.rotation_limits()) {
        (env.observe)(Event::Warning(&warning));
        report.warnings.push(warning);
    }
    report.finished_before = env.journal.map(Journal::finished);
    report.clear_lead = (job.clear_lead > 0.0).then_some(job.clear_lead);
    check_protected(&report, &rules.schedule)?;
    for warning in not_clear(&report, &rules.schedule) {
        (env.observe)(Event::Warning(&warning));
        report.warnings.push(warning);
    }
    report.drm = rules.words();
    report.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

/// A job on MP4 files, whose manifests name files as it says.
fn run_files(job: &Job, rules: &Rules, env: &Env<'_>) -> Result<Report> {
    let Some(base) = &job.base_url else { return mp4::run(job, rules, env) };
    let output = AtBase { store: env.output, base: base.clone() };
    mp4::run(job, rules, &Env { output: &output, ..*env })
}

/// Clear stretches that leave nothing to protect are not what was asked for.
fn check_protected(report: &Report, schedule: &Schedule) -> Result<()> {
    match report.tracks.iter().find(|track| schedule.has_clear() && track.samples == 0) {
        Some(track) => Err(no_segment_behind(schedule).at(track.id.clone())),
        None => Ok(()),
    }
}

/// The stretches in which no segment begins, or none of some tracks.
fn not_clear(report: &Report, schedule: &Schedule) -> Vec<String> {
    let mut warnings = Vec::new();
    for range in schedule.clear.iter() {
        let is_idle = |track: &&TrackReport| !track.clear.iter().any(|clear| Schedule::is_of(*range, *clear));
        let idle: Vec<_> = report.tracks.iter().filter(is_idle).map(|track| track.id.as_str()).collect();
        let (of, there) = match idle.len() {
            0 => continue,
            all if all == report.tracks.len() => (String::new(), ""),
            _ => (format!(" of {}", idle.join(", ")), " there"),
        };
        let (start, end) = (range.start.as_secs_f64(), range.end.as_secs_f64());
        warnings.push(format!(
            "no segment{of} begins from {start} to {end} s: nothing of that stretch is clear{there}"
        ));
    }
    warnings
}

fn run_package(job: &Job, rules: &Rules, env: &Env<'_>) -> Result<Report> {
    (env.observe)(Event::Step("reading manifests and init segments"));
    let (store, read) = manifests::read(&job.inputs, env.open_input)?;
    let Input { store, mut package, manifests } =
        Input::of(store, read, InputState::clear(&rules.treatment))?;
    let encrypted_tracks = package.encrypted_tracks(rules.keys);
    let ids: Vec<_> = encrypted_tracks.iter().map(|track| track.id.to_string()).collect();
    track_facts::check(&job.tracks, &ids)?;
    let source = source(job, rules, (env.keys, env.http), &encrypted_tracks, package.begins)?;
    let rules = &rules.timed(&source, package.lasts);
    let periods = package.periods(&rules.schedule, store.as_ref())?;
    let choice = source.choose(rules.key_rule(), &encrypted_tracks, periods, rules.schedule.rotates())?;
    package.check(rules, &choice.assignment, store.as_ref())?;
    manifests.check(&package, &choice.assignment)?;
    let total = files::total(&package, store.as_ref())?;
    env.check_job(job, |summary| {
        manifests.summarize(summary);
        package.summarize(summary);
    })?;
    let plan = plan(job, rules, &encrypted_tracks, (&source, &choice, periods), env)?;
    (env.observe)(Event::Step("encrypting"));
    total.into_iter().for_each(|total| (env.observe)(Event::Total(total)));
    let mut done = files::protect(&package, &encrypted_tracks, &plan, store.as_ref(), env)?;
    (env.observe)(Event::Step("writing manifests"));
    let mut report = manifests.protect(&package, &plan, (&done, store.as_ref()), env)?;
    report.outputs.splice(..0, std::mem::take(&mut done.outputs));
    report.key_rotation = KeyRotation::of(&plan);
    report.warnings.extend(plan.warnings.iter().cloned());
    report.warnings.append(&mut done.mended);
    report.tracks = done.tracks.into_iter().map(|(_, track)| track).collect();
    report.warnings.extend(choice.warnings);
    Ok(report)
}
