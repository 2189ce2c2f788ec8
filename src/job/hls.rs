//! HLS packages: playlists read, their files named, keys signaled in them — RFC 8216bis.
//!
//! It is longer than 400 lines because it holds all that a job does with a playlist: read, check, protect.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::hls::multivariant::{Limits, SESSION_DATA};
use crate::hls::{Key, media, multivariant};
use crate::package::{Phase, Plan, PlannedKey};
use crate::presentation::{
    FileLengths, MediaPlaylist, Multivariant, OtherFile, Presentation, Resource, Role, check_is_no_media,
    kind_of_file,
};

use super::env::{Env, Event};
use super::files::ProtectedPackage;
use super::folder::write_manifest;
use super::identity::Summary;
use super::package::{Expect, Package};
use super::report::OutputReport;
use super::{stated, streams};

/// The playlists of a package.
pub(super) struct HlsManifests {
    multivariant: Option<Multivariant>,
    media: Vec<PackagedPlaylist>,
    pub(super) warnings: Vec<String>,
}

/// A media playlist, and what its segments are.
struct PackagedPlaylist {
    media: MediaPlaylist,
    renditions: Renditions,
}

/// The renditions that the segments of a playlist belong to; none for one that stays clear.
#[derive(Default)]
struct Renditions {
    /// Those of fragmented MP4.
    mp4: Vec<usize>,
    /// Those without a media initialization section.
    streams: Vec<usize>,
}

/// Takes everything that playlists name into the package.
pub(super) fn read(
    store: &dyn Store,
    read: &mut Presentation,
    expect: Expect,
    package: &mut Package,
) -> Result<HlsManifests> {
    let mut warnings = Vec::new();
    for Multivariant { name, session_keys, others, .. } in &read.multivariants {
        refuse_keys(session_keys, name, expect)?;
        other_files(store, name, others, &mut warnings)?
            .into_iter()
            .for_each(|file| package.clear_file(file));
    }
    let mut found = Vec::new();
    let mut lengths = FileLengths::new(store);
    for media in &read.playlists {
        refuse_keys(&media.keys, &media.name, expect)?;
        let reading = Reading { store, read, media, expect };
        let renditions = reading.package(package).map_err(|error| error.at(media.name.clone()))?;
        let stated = stated::of_playlist(media);
        renditions.mp4.iter().for_each(|rendition| package.stated(*rendition, stated.clone()));
        for index in &renditions.streams {
            let rendition = package.streams.renditions.get_mut(*index);
            rendition.into_iter().for_each(|rendition| rendition.stated.add(stated.clone()));
        }
        stated::add_times(package, media);
        media.check_ranges(store, &mut lengths).map_err(|error| error.at(media.name.clone()))?;
        let others = other_files(store, &media.name, &media.others, &mut warnings)?;
        others.into_iter().for_each(|file| package.clear_file(file));
        found.push(renditions);
    }
    let playlists = std::mem::take(&mut read.playlists).into_iter().zip(found);
    let media = playlists.map(|(media, renditions)| PackagedPlaylist { media, renditions }).collect();
    Ok(HlsManifests { multivariant: std::mem::take(&mut read.multivariants).pop(), media, warnings })
}

/// The files of other tags that stay as they are: those that are there and are no media.
pub(super) fn other_files(
    store: &dyn Store,
    name: &str,
    others: &[OtherFile],
    warnings: &mut Vec<String>,
) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for OtherFile { line, tag, file } in others {
        let place = || format!("{name}: line {}: {tag} names {file}", line + 1);
        if !store.exists(file)? {
            warnings.push(format!("{}, which is not there", place()));
        } else if tag == SESSION_DATA {
            check_is_no_media(store, file)?;
            files.push(file.clone());
        } else if kind_of_file(store, file)?.is_some() || check_is_no_media(store, file).is_err() {
            warnings.push(format!("{}: what that tag means is not known, and the file is left out", place()));
        } else {
            files.push(file.clone());
        }
    }
    Ok(files)
}

pub(super) fn refuse_keys(keys: &[Key], name: &str, expect: Expect) -> Result<()> {
    match keys.iter().find(|key| key.encrypts() && expect == Expect::Clear) {
        Some(key) => Err(Error::input(format!("line {} encrypts the presentation already", key.line + 1))
            .clause("RFC 8216bis §4.4.4.4")
            .at(name)
            .hint("give the clear input, or decrypt it first with drm-pack decrypt")),
        None => Ok(()),
    }
}

/// A media playlist that is taken into a package.
struct Reading<'a> {
    store: &'a dyn Store,
    read: &'a Presentation,
    media: &'a MediaPlaylist,
    expect: Expect,
}

impl Reading<'_> {
    fn package(&self, package: &mut Package) -> Result<Renditions> {
        let (mut found, mut inits) = (Renditions::default(), HashMap::new());
        for segment in self.media.segments() {
            if let Some(rendition) = self.rendition(segment, &mut inits, package)? {
                package.file(rendition, segment.file.clone())?;
                if !self.media.is_i_frames {
                    let start = segment.range.as_ref().map_or(0, |range| range.start);
                    package.cut(rendition, start, (segment.begins, segment.number));
                }
                add(&mut found.mp4, rendition);
            } else if self.media.content.is_media() {
                let rendition = self.stream(segment, found.streams.last().copied(), package)?;
                add(&mut found.streams, rendition);
            } else {
                self.leave_clear(segment, package)?;
            }
        }
        for resource in self.media.present() {
            match resource.role {
                Role::Part => {
                    if let Some(rendition) = self.part(resource, &mut inits, package)? {
                        add(&mut found.mp4, rendition);
                    }
                }
                Role::Tables => drop(self.held(resource, package)?),
                _ => {}
            }
        }
        Ok(found)
    }

    /// The rendition of fragmented MP4 that a resource belongs to; `inits` are those of the playlist that are known.
    fn rendition(
        &self,
        resource: &Resource,
        inits: &mut HashMap<usize, usize>,
        package: &mut Package,
    ) -> Result<Option<usize>> {
        let (Some(index), Some(init)) = (resource.init, self.media.init_of(resource)) else {
            return Ok(None);
        };
        if let Some(known) = inits.get(&index) {
            return Ok(Some(*known));
        }
        let name = &self.media.name;
        let location = (init.file.clone(), init.range.clone());
        let rendition = package.rendition(self.store, name, name, location, self.expect)?;
        inits.insert(index, rendition);
        Ok(Some(rendition))
    }

    /// The rendition of a segment without a media initialization section. One of I-frames lies in the segments of
    /// other playlists; every other is added to its rendition, which `before` is if there is one.
    fn stream(&self, segment: &Resource, before: Option<usize>, package: &mut Package) -> Result<usize> {
        let is_i_frame = self.media.is_i_frames;
        let held = if is_i_frame { self.held(segment, package)? } else { None };
        if let Some(known) = held {
            return Ok(known);
        }
        let (file, range) = (&segment.file, segment.range.as_ref());
        let rendition = match before.filter(|_| !is_i_frame) {
            Some(rendition) => rendition,
            None => package.streams.rendition(self.store, &self.media.name, (file, range), self.expect)?,
        };
        let new = streams::Segment {
            rendition,
            number: segment.number,
            begins: milliseconds(segment.begins),
            sequence: segment.sequence,
            keys: Arc::clone(&segment.keys),
        };
        package.streams.segment(file.clone(), range, new)?;
        Ok(rendition)
    }

    /// The rendition of the segment that a resource lies inside of.
    fn held(&self, resource: &Resource, package: &Package) -> Result<Option<usize>> {
        if let Some(holder) = resource.inside.and_then(|id| self.read.resource(id)) {
            return Ok(package.streams.rendition_of(&holder.file, holder.bounds()));
        }
        match &resource.range {
            Some(range) if self.read.segments.has_streams(&resource.file) => {
                Err(Error::unsupported(format!(
                    "byte range {}..{} lies in no segment of the playlists before",
                    range.start, range.end
                ))
                .clause("RFC 8216bis §4.4.3.6")
                .at(resource.file.clone()))
            }
            _ => Ok(None),
        }
    }

    /// Adds a file that only partial segments name; others are byte ranges of what segments have. Returns its
    /// rendition of fragmented MP4: a playlist that begins may have no segment yet.
    fn part(
        &self,
        part: &Resource,
        inits: &mut HashMap<usize, usize>,
        package: &mut Package,
    ) -> Result<Option<usize>> {
        if let Some(rendition) = self.rendition(part, inits, package)? {
            package.part_file(rendition, part.file.clone())?;
            return Ok(Some(rendition));
        }
        if !self.media.content.is_media() {
            return self.leave_clear(part, package).map(|()| None);
        }
        match self.held(part, package)? {
            Some(_) => Ok(None),
            None => Err(Error::unsupported("a partial segment that no media segment has")
                .clause("RFC 8216bis §4.4.4.9")
                .at(part.file.clone())
                .hint("leave partial segments out, or use fragmented MP4")),
        }
    }

    fn leave_clear(&self, resource: &Resource, package: &mut Package) -> Result<()> {
        check_is_no_media(self.store, &resource.file)?;
        package.clear_file(resource.file.clone());
        Ok(())
    }
}

fn add(renditions: &mut Vec<usize>, rendition: usize) {
    if !renditions.contains(&rendition) {
        renditions.push(rendition);
    }
}

fn milliseconds(seconds: f64) -> u64 {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl PackagedPlaylist {
    /// The `EXT-X-KEY` lines of a crypto period; none when the playlist stays clear.
    fn key_lines(&self, package: &Package, plan: &Plan, period: usize) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let renditions = self.renditions.mp4.iter().filter_map(|index| package.renditions.get(*index));
        let streams =
            self.renditions.streams.iter().filter_map(|index| package.streams.renditions.get(*index));
        let substreams = renditions.map(|r| &r.substreams).chain(streams.map(|r| &r.substreams));
        for substream in substreams.flatten().flatten() {
            add_new(&mut lines, key_lines(plan.key_in(period, *substream)?));
        }
        Ok(lines)
    }

    /// What players must be able to do to play it: that of the first key with any, since pictures come first.
    fn limits(&self, package: &Package, plan: &Plan) -> Result<Limits> {
        let renditions = self.renditions.mp4.iter().filter_map(|index| package.renditions.get(*index));
        let streams =
            self.renditions.streams.iter().filter_map(|index| package.streams.renditions.get(*index));
        let substreams = renditions.map(|r| &r.substreams).chain(streams.map(|r| &r.substreams));
        let mut limits = Limits::default();
        for substream in substreams.flatten().flatten() {
            let found = plan.key(*substream)?.limits();
            limits.hdcp_level = limits.hdcp_level.or(found.hdcp_level);
            limits.allowed_cpc = limits.allowed_cpc.or(found.allowed_cpc);
        }
        Ok(limits)
    }

    /// Checks that byte ranges of MP4 files are whole boxes; that of an I-frame may end with the picture: §4.4.3.6.
    fn check_boxes(&self, done: &ProtectedPackage) -> Result<()> {
        let is_mp4 = |resource: &&Resource| resource.init.is_some() || resource.role == Role::Init;
        for resource in self.media.present().filter(is_mp4) {
            let (Some(range), Some(offsets)) = (&resource.range, done.offsets.get(&resource.file)) else {
                continue;
            };
            let may_end_inside = self.media.is_i_frames && resource.role == Role::Segment;
            let line = format!("line {}", resource.line + 1);
            offsets.check_boxes(range, may_end_inside).map_err(|error| error.at(&resource.file).at(line))?;
        }
        Ok(())
    }

    fn protect(&mut self, package: &Package, plan: &Plan, done: &ProtectedPackage) -> Result<()> {
        if !plan.schedule.is_constant() {
            return self.protect_runs(package, plan, done);
        }
        match self.key_lines(package, plan, 0)?.as_slice() {
            [] => Ok(()),
            lines => media::protect(&mut self.media.playlist, lines),
        }
    }

    /// Signals what became of each segment. One that may be missing (`EXT-X-GAP`) is like the one before.
    fn protect_runs(&mut self, package: &Package, plan: &Plan, done: &ProtectedPackage) -> Result<()> {
        if self.key_lines(package, plan, 0)?.is_empty() {
            return Ok(());
        }
        let mut phases = Vec::new();
        // Parts come before their segment, and the last ones before it is there.
        let of_media = |resource: &&Resource| matches!(resource.role, Role::Segment | Role::Part);
        for resource in self.media.present().filter(of_media) {
            let phase = done.phase(&resource.file, resource.range.as_ref().map(|range| range.end));
            phases.extend(phase.map(|phase| (resource.line, phase)));
        }
        let lines = |period| self.key_lines(package, plan, period);
        let runs = key_runs(phases, lines)?;
        if runs.iter().all(|(_, lines)| lines.is_empty()) {
            return Ok(());
        }
        media::protect_runs(&mut self.media.playlist, &runs)
    }
}

/// The `EXT-X-KEY` lines of each run of segments in one phase, with the line of the run's first segment.
pub(super) fn key_runs(
    phases: Vec<(usize, Phase)>,
    lines: impl Fn(usize) -> Result<Vec<String>>,
) -> Result<Vec<(usize, Vec<String>)>> {
    let mut phases = phases;
    phases.dedup_by_key(|(_, phase)| *phase);
    let run = |(line, phase)| match phase {
        Phase::Clear => Ok((line, Vec::new())),
        Phase::Period(period) => Ok((line, lines(period)?)),
    };
    phases.into_iter().map(run).collect()
}

impl HlsManifests {
    /// Signals the keys, corrects byte ranges, and writes the playlists, the multivariant one last.
    pub(super) fn protect(
        mut self,
        package: &Package,
        plan: &Plan,
        (done, store): (&ProtectedPackage, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        for packaged in &mut self.media {
            let name = packaged.media.name.clone();
            packaged.protect(package, plan, done).map_err(|error| error.at(name))?;
        }
        if let Some(Multivariant { name, playlist, .. }) = &mut self.multivariant {
            let mut lines = Vec::new();
            // The keys of later periods are named where they begin: all of them at once would be as many
            // license requests before the first picture. A clear lead may be longer than the first period.
            plan.keys_of_period(done.first_period())
                .for_each(|key| add_new(&mut lines, session_key_lines(key)));
            if !lines.is_empty() {
                multivariant::protect(playlist, &lines).map_err(|error| error.at(name.clone()))?;
            }
            let limits = |uri: &str| {
                let file = store.refer(name, uri)?;
                let packaged = self.media.iter().find(|packaged| packaged.media.name == file);
                packaged.map_or_else(|| Ok(Limits::default()), |packaged| packaged.limits(package, plan))
            };
            multivariant::limit(playlist, &limits).map_err(|error| error.at(name.clone()))?;
        }
        self.write((done, store), env)
    }

    pub(super) fn summarize(&self, summary: &mut Summary) {
        let media = self.media.iter().map(|packaged| (&packaged.media.name, &packaged.media.playlist));
        let multivariant = self.multivariant.iter().map(|found| (&found.name, &found.playlist));
        multivariant.chain(media).for_each(|(name, playlist)| summary.named(name, &playlist.to_bytes()));
    }

    /// Removes every key.
    pub(super) fn unprotect(
        mut self,
        (done, store): (&ProtectedPackage, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        self.media.iter_mut().for_each(|packaged| media::unprotect(&mut packaged.media.playlist));
        if let Some(multivariant) = &mut self.multivariant {
            multivariant::unprotect(&mut multivariant.playlist)
                .map_err(|error| error.at(multivariant.name.clone()))?;
        }
        self.write((done, store), env)
    }

    fn write(
        self,
        (done, store): (&ProtectedPackage, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        self.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
        let mut outputs = Vec::new();
        for packaged in self.media {
            packaged.check_boxes(done).map_err(|error| error.at(&packaged.media.name))?;
            let MediaPlaylist { name, mut playlist, .. } = packaged.media;
            media::map_byte_ranges(&mut playlist, &mut |uri, range| match done
                .offsets
                .get(&store.refer(&name, uri)?)
            {
                Some(offsets) => offsets.range(range),
                None => Ok(range),
            })
            .map_err(|error| error.at(name.clone()))?;
            outputs.push(write_manifest(env, &name, &playlist.to_bytes())?);
        }
        if let Some(Multivariant { name, playlist, .. }) = self.multivariant {
            outputs.push(write_manifest(env, &name, &playlist.to_bytes())?);
        }
        Ok(outputs)
    }
}

/// The `EXT-X-KEY` lines of a key, one for each system that has one.
pub(super) fn key_lines(key: &PlannedKey) -> Vec<String> {
    lines_of(key.systems.iter().filter_map(|(_, system)| system.hls_signaling_data.media.as_deref()))
}

/// The `EXT-X-SESSION-KEY` lines of a key.
pub(super) fn session_key_lines(key: &PlannedKey) -> Vec<String> {
    lines_of(key.systems.iter().filter_map(|(_, system)| system.hls_signaling_data.multivariant.as_deref()))
}

/// A key server may send several lines as one text.
fn lines_of<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Appends the lines that are not there yet.
pub(super) fn add_new(lines: &mut Vec<String>, more: Vec<String>) {
    for line in more {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
}
