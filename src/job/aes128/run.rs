//! A job in AES-128: playlists read, keys exchanged, files and playlists written — RFC 8216bis §4.4.4.4, §5.2.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::base::env::{Http, Store};
use crate::base::{Error, Result};
use crate::codec::TrackKind;
use crate::hls::{aes128, media};
use crate::keys::KeyServer;
use crate::package::{Assignment, Plan, check_begins, check_clear_fragments, copy};

use super::keys::key_line;
use super::package::{Package, Rendition, Use};
use crate::job::choice::{Choice, Source, periods_until};
use crate::job::env::{Env, Event, Locate};
use crate::job::folder::write_manifest;
use crate::job::identity::Summary;
use crate::job::journal::write_once;
use crate::job::parts::{Moved, write_parts};
use crate::job::plan::Outline;
use crate::job::report::{KeyRotation, OutputReport, Report, TrackReport};
use crate::job::rules::{Job, Rules};
use crate::job::run::plan;

/// Encrypts every segment of an HLS package and names the keys in its playlists.
pub(in crate::job) fn run(job: &Job, rules: &Rules, env: &Env<'_>) -> Result<Report> {
    (env.observe)(Event::Step("reading playlists"));
    let read = Read::of(job, rules, env.locate, (env.keys, env.http))?;
    let Read { rules, store, package, source, choice, periods, total } = read;
    env.check_job(job, |summary| package.summarize(summary))?;
    let plan = plan(job, &rules, &package.substreams, (&source, &choice, periods), env)?;
    (env.observe)(Event::Step("encrypting"));
    total.into_iter().for_each(|total| (env.observe)(Event::Total(total)));
    let mut report = Report { key_rotation: KeyRotation::of(&plan), ..Report::default() };
    report.warnings.clone_from(&package.warnings);
    report.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
    report.warnings.extend(plan.warnings.iter().cloned());
    let moved = package.write_files(&plan, store.as_ref(), env, &mut report.outputs)?;
    (env.observe)(Event::Step("writing manifests"));
    report.tracks = package.tracks(&plan, &moved)?;
    report.warnings.extend(choice.warnings);
    let manifests = package.write_playlists(&plan, (&moved, store.as_ref()), env)?;
    report.manifests = manifests.iter().map(|output| output.path.clone()).collect();
    report.outputs.extend(manifests);
    Ok(report)
}

/// A package that can be encrypted once there are keys.
struct Read<'a> {
    /// With what the key source says of times.
    rules: Rules,
    store: Box<dyn Store>,
    package: Package,
    source: Source<'a>,
    choice: Choice,
    periods: usize,
    /// Bytes of all files, if that is known.
    total: Option<u64>,
}

impl<'a> Read<'a> {
    fn of(
        job: &Job,
        rules: &Rules,
        locate: &Locate<'_>,
        (keys, http): (&'a dyn KeyServer, &dyn Http),
    ) -> Result<Self> {
        let (store, name) = locate(job.inputs.first().map_or("", String::as_str))?;
        let none = Assignment::default();
        let source = Source::of(job, (keys, http), &|| rules.intent(job, &none, 1).request(), None)?;
        let rules = rules.timed(&source, None);
        let package = Package::read(store.as_ref(), &name, &rules)?;
        let periods = match &rules.schedule.times {
            Some(times) => periods_until(times, package.lasts())?,
            None => rules.schedule.periods(package.longest())?,
        };
        let rotates = rules.schedule.rotates();
        let choice = source.choose(rules.key_rule(), &package.substreams, periods, rotates)?;
        let count = choice.assignment.keys.len().saturating_mul(periods);
        rules.check_substreams(job, package.substreams.len(), count)?;
        let total = package.check(&choice.assignment, store.as_ref())?;
        package.check_lead(job.clear_lead)?;
        Ok(Self { rules, store, package, source, choice, periods, total })
    }
}

/// What a job would do. The address of its keys need not be known yet.
pub(in crate::job) fn outline<'a>(
    job: &Job,
    rules: &Rules,
    locate: &Locate<'_>,
    keys: (&'a dyn KeyServer, &dyn Http),
) -> Result<Outline<'a>> {
    let Read { rules, package, source, choice, periods, .. } = Read::of(job, rules, locate, keys)?;
    let tracks = package.own_renditions().map(|rendition| package.track_facts(rendition));
    let (tracks, rotates) = (tracks.collect::<Result<_>>()?, rules.schedule.rotates());
    let substreams = package.substreams;
    Ok(Outline { tracks, substreams, source, choice, periods, rotates, warnings: Vec::new() })
}

impl Package {
    /// What is read of it before its keys are asked for.
    fn summarize(&self, summary: &mut Summary) {
        let own = self.renditions.iter().map(|rendition| (&rendition.name, &rendition.playlist));
        for (name, playlist) in own.chain(self.clear.iter().map(|(name, playlist)| (name, playlist))) {
            summary.named(name, &playlist.to_bytes());
        }
    }

    /// The first rendition of each substream.
    fn own_renditions(&self) -> impl Iterator<Item = &Rendition> {
        self.renditions.iter().filter(|rendition| !rendition.shares)
    }

    /// What the report says of a rendition before it has keys.
    fn track_facts(&self, rendition: &Rendition) -> Result<TrackReport> {
        let number = rendition.substream;
        let substream = self.substreams.get(number);
        let substream = substream.ok_or_else(|| Error::internal(format!("no substream {number}")))?;
        Ok(TrackReport {
            id: substream.id.clone(),
            kind: if substream.kind == TrackKind::Audio { "audio" } else { "video" }.into(),
            source: rendition.name.clone(),
            ..TrackReport::default()
        })
    }

    fn write_files(
        &self,
        plan: &Plan,
        store: &dyn Store,
        env: &Env<'_>,
        outputs: &mut Vec<OutputReport>,
    ) -> Result<Moved> {
        let done: Vec<_> = self
            .files
            .par_iter()
            .map(|(name, parts)| {
                let source = store.open(name)?;
                let (output, moved) = write_once(env, name, source.as_ref(), |sink| {
                    let moved = write_parts(source.as_ref(), sink, parts, |usage, part, sink| match *usage {
                        Use::Clear => copy(part, sink).map(|()| part.len()),
                        Use::Key(usage) => {
                            check_begins(part)?;
                            check_clear_fragments(part)?;
                            plan.aes128(usage.period, usage.substream, usage.sequence)?.encrypt(part, sink)
                        }
                    });
                    moved.map_err(|error| error.at(name.clone()))
                })?;
                (env.observe)(Event::Advance(source.len()));
                Ok((name, output, moved))
            })
            .collect::<Result<_>>()?;
        let mut all = Moved::new();
        for (name, output, moved) in done {
            outputs.push(output);
            all.extend(moved.into_iter().map(|((start, end), to)| ((name.clone(), start, end), to)));
        }
        Ok(all)
    }

    fn tracks(&self, plan: &Plan, moved: &Moved) -> Result<Vec<TrackReport>> {
        let track = |rendition: &Rendition| {
            let facts = self.track_facts(rendition)?.with_keys(plan, rendition.substream)?;
            let lengths = || rendition.segments().filter_map(|part| self.encrypted_bytes(part, moved));
            let (samples, bytes) = (lengths().count() as u64, lengths().sum());
            Ok(TrackReport { samples, bytes, ..facts })
        };
        self.own_renditions().map(track).collect()
    }

    /// How many bytes an encrypted part has now.
    fn encrypted_bytes(&self, (file, range): &(String, Option<(u64, u64)>), moved: &Moved) -> Option<u64> {
        let Use::Key(_) = self.files.get(file)?.get(range)? else { return None };
        let (start, end) = range.unwrap_or((0, u64::MAX));
        moved.get(&(file.clone(), start, end)).map(|to| to.end - to.start)
    }

    fn write_playlists(
        self,
        plan: &Plan,
        (moved, store): (&Moved, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        let mut outputs = Vec::new();
        for rendition in &self.renditions {
            let name = &rendition.name;
            let at = |error: Error| error.at(name.clone());
            let mut playlist = rendition.playlist.clone();
            media::map_byte_ranges(&mut playlist, &mut |uri, range| {
                let key = (store.refer(name, uri)?, range.start, range.end);
                Ok(moved.get(&key).cloned().unwrap_or(range))
            })
            .map_err(at)?;
            let lines = rendition.named.iter().filter_map(|named| match self.usage(named) {
                Use::Clear => None,
                Use::Key(usage) => {
                    let line = key_line(plan, usage, named.implied, (name, &self.input));
                    Some(line.map(|line| (named.line, line)))
                }
            });
            let lines: HashMap<usize, String> = lines.collect::<Result<_>>().map_err(at)?;
            aes128::protect(&mut playlist, &|line| lines.get(&line).cloned()).map_err(at)?;
            outputs.push(write_manifest(env, name, &playlist.to_bytes())?);
        }
        for (name, playlist) in self.clear {
            outputs.push(write_manifest(env, &name, &playlist.to_bytes())?);
        }
        Ok(outputs)
    }
}

impl Rendition {
    /// What its segments are, each a file or a range of one; maps are none.
    pub(super) fn segments(&self) -> impl Iterator<Item = &(String, Option<(u64, u64)>)> {
        self.named.iter().filter(|named| named.implied.is_some()).filter_map(|named| named.part.as_ref())
    }
}
