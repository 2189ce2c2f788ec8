//! A job on whole segments: playlists read, keys exchanged, files and playlists written — RFC 8216bis §4.4.4.4, §5.2.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Instant;

use rayon::prelude::*;

use crate::base::env::{Http, Store};
use crate::base::{Error, Result};
use crate::codec::TrackKind;
use crate::cpix::Document;
use crate::hls::{aes128, media};
use crate::keys::KeyServer;
use crate::package::{Assignment, check_begins, check_clear_fragments, copy};

use super::keys::{Keys, NAME, request, wanted};
use super::package::{Package, Rendition, Use};
use super::rules::WholeRules;
use crate::job::choice::{Choice, Source, periods_until};
use crate::job::env::{Env, Event, Locate};
use crate::job::folder::write_manifest;
use crate::job::identity::Summary;
use crate::job::journal::{Journal, write_once};
use crate::job::parts::{Moved, write_parts};
use crate::job::plan::Outline;
use crate::job::report::{KeyRotation, OutputReport, Report, TrackReport};
use crate::job::rules::Job;

/// Encrypts every segment of an HLS package and names the keys in its playlists.
pub(in crate::job) fn run(job: &Job, env: &Env<'_>) -> Result<Report> {
    let start = Instant::now();
    let rules = WholeRules::check(job, env.keys.at_hand())?;
    (env.observe)(Event::Step("reading playlists"));
    let read = Read::of(job, rules, env.locate, (env.keys, env.http))?;
    let Read { rules, store, package, source, choice, periods, total } = read;
    env.check_job(job, |summary| package.summarize(summary))?;
    let keys = Keys::exchange((job, &rules), &package, (&source, &choice, periods), env)?;
    (env.observe)(Event::Step("encrypting"));
    total.into_iter().for_each(|total| (env.observe)(Event::Total(total)));
    let mut report = Report { drm: vec![job.drm.clone()], ..Report::default() };
    report.warnings.clone_from(&package.warnings);
    report.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
    report.warnings.extend(keys.warnings.iter().cloned());
    let moved = package.write_files(&keys, store.as_ref(), env, &mut report.outputs)?;
    (env.observe)(Event::Step("writing manifests"));
    report.tracks = package.tracks(&keys, &moved);
    if rules.schedule.rotates() {
        let every = rules.schedule.rotate_every.filter(|_| rules.schedule.times.is_none());
        let (every, periods) = (every.map(NonZeroU32::get), keys.periods);
        report.key_rotation = Some(KeyRotation { every, periods, mode: "EXT-X-KEY at each change" });
    }
    report.warnings.extend(choice.warnings);
    report.clear_lead = rules.schedule.has_clear_lead().then_some(job.clear_lead);
    let manifests = package.write_playlists(&keys, (&moved, store.as_ref()), env)?;
    report.finished_before = env.journal.map(Journal::finished);
    report.manifests = manifests.iter().map(|output| output.path.clone()).collect();
    report.outputs.extend(manifests);
    report.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

/// A package that can be encrypted once there are keys.
struct Read<'a> {
    /// With what the key source says of times.
    rules: WholeRules,
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
        mut rules: WholeRules,
        locate: &Locate<'_>,
        (keys, http): (&'a dyn KeyServer, &dyn Http),
    ) -> Result<Self> {
        let (store, name) = locate(job.inputs.first().map_or("", String::as_str))?;
        let source = Source::of(job, (keys, http), &|| request(&rules, &Assignment::default(), 1), None)?;
        rules.schedule = source.schedule(&rules.schedule);
        let package = Package::read(store.as_ref(), &name, &rules)?;
        let periods = match &rules.schedule.times {
            Some(times) => periods_until(times, package.lasts())?,
            None => rules.schedule.periods(package.longest())?,
        };
        let rotates = rules.schedule.rotates();
        let choice = source.choose(rules.key_rule(), &package.substreams, periods, rotates)?;
        let count = choice.assignment.keys.len().saturating_mul(periods);
        rules.check_keys(package.substreams.len(), count)?;
        let total = package.check(&choice.assignment, store.as_ref())?;
        package.check_lead(job.clear_lead)?;
        Ok(Self { rules, store, package, source, choice, periods, total })
    }
}

/// What a job would do, and how it would ask for its keys. Their address need not be known yet.
pub(in crate::job) fn outline<'a>(
    job: &Job,
    locate: &Locate<'_>,
    keys: (&'a dyn KeyServer, &dyn Http),
) -> Result<(Outline<'a>, Document)> {
    let (outline, _, request) = outlined(job, locate, keys)?;
    Ok((outline, request))
}

/// The keys that a job would use, and what the user should know.
pub(in crate::job) fn fetch_keys(
    job: &Job,
    locate: &Locate<'_>,
    (keys, http): (&dyn KeyServer, &dyn Http),
) -> Result<(Document, Vec<String>)> {
    let (outline, rules, request) = outlined(job, locate, (keys, http))?;
    let periods = outline.periods;
    outline.fetch(http, (&|| request.clone(), periods), &|kid| wanted(&rules, kid), job)
}

fn outlined<'a>(
    job: &Job,
    locate: &Locate<'_>,
    (keys, http): (&'a dyn KeyServer, &dyn Http),
) -> Result<(Outline<'a>, WholeRules, Document)> {
    let key_uri = job.key_uri.clone().or_else(|| Some("{kid}".to_owned()));
    let rules = WholeRules::check(&Job { key_uri, ..job.clone() }, keys.at_hand())?;
    let Read { rules, package, source, choice, periods, .. } = Read::of(job, rules, locate, (keys, http))?;
    let tracks = package.own_renditions().filter_map(|rendition| package.track_facts(rendition)).collect();
    let (rotates, substreams) = (rules.schedule.rotates(), package.substreams);
    let request = request(&rules, &choice.assignment, periods);
    let outline = Outline { tracks, substreams, source, choice, periods, rotates, warnings: Vec::new() };
    Ok((outline, rules, request))
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
    fn track_facts(&self, rendition: &Rendition) -> Option<TrackReport> {
        let substream = self.substreams.get(rendition.substream)?;
        Some(TrackReport {
            id: substream.id.clone(),
            kind: if substream.kind == TrackKind::Audio { "audio" } else { "video" }.into(),
            source: rendition.name.clone(),
            scheme: NAME.into(),
            ..TrackReport::default()
        })
    }

    fn write_files(
        &self,
        keys: &Keys,
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
                            keys.cipher(usage)?.encrypt(part, sink)
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

    fn tracks(&self, keys: &Keys, moved: &Moved) -> Vec<TrackReport> {
        self.own_renditions()
            .filter_map(|rendition| {
                let facts = self.track_facts(rendition)?;
                let kids = keys.kids(rendition.substream);
                let lengths = || rendition.segments().filter_map(|part| self.encrypted_bytes(part, moved));
                let kid = kids.first().cloned().unwrap_or_default();
                let (samples, bytes) = (lengths().count() as u64, lengths().sum());
                Some(TrackReport { kid, kids, samples, bytes, ..facts })
            })
            .collect()
    }

    /// How many bytes an encrypted part has now.
    fn encrypted_bytes(&self, (file, range): &(String, Option<(u64, u64)>), moved: &Moved) -> Option<u64> {
        let Use::Key(_) = self.files.get(file)?.get(range)? else { return None };
        let (start, end) = range.unwrap_or((0, u64::MAX));
        moved.get(&(file.clone(), start, end)).map(|to| to.end - to.start)
    }

    fn write_playlists(
        self,
        keys: &Keys,
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
                Use::Key(usage) => Some((named.line, keys.line(usage, named.implied, name)?)),
            });
            let lines: HashMap<usize, String> = lines.collect();
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
