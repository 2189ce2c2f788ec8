//! HLS packages: playlists read, their files named, keys signaled in them — RFC 8216bis.
//!
//! It is longer than 400 lines because it holds all that a job does with a playlist: read, check, protect.

use std::collections::{HashMap, HashSet};

use crate::base::env::Store;
use crate::base::id::hex;
use crate::base::uri::folder_from;
use crate::base::{Error, Result};
use crate::hls::multivariant::Limits;
use crate::hls::{AES_128, Key, aes128, codecs, media, multivariant};
use crate::package::{KeyAddress, Period, Plan, PlannedKey, SegmentKey, TrackId, check_clear_segment};
use crate::presentation::{
    FileLengths, MediaPlaylist, Multivariant, Presentation, Resource, Role, check_init_is_no_media,
    check_is_no_media,
};
use crate::protect::{Aes128, Operation};

use super::files::ProtectedPackage;
use super::others;
use super::stated;
use super::streams::{self, StreamId};
use super::{InputState, Package, RenditionId};
use crate::job::env::{Env, Event};
use crate::job::folder::write_manifest;
use crate::job::identity::Summary;
use crate::job::report::OutputReport;

/// The playlists of a package.
pub(in crate::job) struct HlsManifests {
    multivariant: Option<Multivariant>,
    media: Vec<PackagedPlaylist>,
    pub(in crate::job) warnings: Vec<String>,
}

/// A media playlist, and what its segments are.
struct PackagedPlaylist {
    media: MediaPlaylist,
    renditions: Renditions,
    /// What it names, when its segments are encrypted whole.
    whole: Option<Vec<Named>>,
}

/// A segment that is encrypted whole, or a map that may be, where a playlist names it.
struct Named {
    /// The line of the URI, or of the `EXT-X-MAP` tag.
    line: usize,
    place: Destination,
    /// The media sequence number that stands for an IV that is not written: §5.2.
    implicit_iv_sequence: Option<u64>,
}

/// Where it is noted what becomes of it.
enum Destination {
    /// Among the segments of the package: the first playlist that names it decides.
    Package(String, Option<(u64, u64)>),
    /// Here, as it may be missing (`EXT-X-GAP`).
    Missing(streams::Segment),
}

/// The renditions that the segments of a playlist belong to; none for one that stays clear.
#[derive(Default)]
struct Renditions {
    /// Those of fragmented MP4.
    mp4: Vec<RenditionId>,
    /// Those without a media initialization section.
    streams: Vec<StreamId>,
}

/// Takes everything that playlists name into the package.
pub(in crate::job) fn read(
    store: &dyn Store,
    read: &mut Presentation,
    expect: InputState,
    package: &mut Package,
) -> Result<HlsManifests> {
    let mut warnings = Vec::new();
    for Multivariant { name, session_keys, others, .. } in &read.multivariants {
        refuse_keys(session_keys, name, expect)?;
        others::take(store, (name, others), expect, (package, &mut warnings))?;
    }
    let mut found = Vec::new();
    let has_whole = read.playlists.iter().flat_map(|media| &media.keys).any(|key| key.method == AES_128);
    let mut lengths = FileLengths::new(store);
    for media in &read.playlists {
        refuse_keys(&media.keys, &media.name, expect)?;
        let reading = Reading { store, read, media, expect };
        let is_whole = match expect {
            InputState::Clear { whole } => whole,
            // What has no key may name files of those that have one.
            InputState::Protected => {
                has_whole && media.keys.iter().all(|key| !key.encrypts() || key.method == AES_128)
            }
        };
        let taken = match is_whole {
            true => reading.whole(package).map(|(renditions, named)| (renditions, Some(named))),
            false => reading.package(package).map(|renditions| (renditions, None)),
        };
        let (renditions, whole) = taken.map_err(|error| error.at(media.name.clone()))?;
        let stated = stated::of_playlist(media);
        renditions.mp4.iter().try_for_each(|id| package.stated(*id, stated.clone()))?;
        renditions.streams.iter().try_for_each(|id| package.streams.stated(*id, stated.clone()))?;
        stated::add_times(package, media);
        media.check_ranges(&mut lengths).map_err(|error| error.at(media.name.clone()))?;
        others::take(store, (&media.name, &media.others), expect, (package, &mut warnings))?;
        found.push((renditions, whole));
    }
    others::take_assets(&read.assets, (package, &mut warnings))?;
    let playlists = std::mem::take(&mut read.playlists).into_iter().zip(found);
    let media: Vec<_> =
        playlists.map(|(media, (renditions, whole))| PackagedPlaylist { media, renditions, whole }).collect();
    if let Some(named) = media.iter().find(|packaged| package.streams.has(&packaged.media.name)) {
        return Err(Error::input("a playlist is named as a segment").at(named.media.name.clone()));
    }
    let mut multivariant = std::mem::take(&mut read.multivariants).pop();
    if let Some(multivariant) = multivariant.as_mut().filter(|_| expect != InputState::Protected) {
        let name = multivariant.name.clone();
        let of = |uri: &str| {
            let file = store.resolve(&name, uri).ok()?;
            media.iter().find(|packaged| packaged.media.name == file)?.codecs(package)
        };
        let lines = codecs::add(&mut multivariant.playlist, &of).map_err(|error| error.at(name.clone()))?;
        let lines: Vec<_> = lines.into_iter().map(|line| (line + 1).to_string()).collect();
        if !lines.is_empty() {
            let lines = lines.join(", ");
            warnings.push(format!(
                "{name}: no CODECS, by which players choose: added from the media (line {lines})"
            ));
        }
    }
    Ok(HlsManifests { multivariant, media, warnings })
}

fn refuse_keys(keys: &[Key], name: &str, expect: InputState) -> Result<()> {
    match keys.iter().find(|key| key.encrypts() && expect != InputState::Protected) {
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
    expect: InputState,
}

impl Reading<'_> {
    fn package(&self, package: &mut Package) -> Result<Renditions> {
        let (mut found, mut inits) = (Renditions::default(), HashMap::new());
        for segment in self.media.segments() {
            if let Some(rendition) = self.rendition(segment, &mut inits, package)? {
                package.file(rendition, segment.file.clone())?;
                if !self.media.is_i_frames {
                    let start = segment.range.as_ref().map_or(0, |range| range.start);
                    package.cut(rendition, start, (segment.begins, segment.number))?;
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
        inits: &mut HashMap<usize, RenditionId>,
        package: &mut Package,
    ) -> Result<Option<RenditionId>> {
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
    fn stream(
        &self,
        segment: &Resource,
        before: Option<StreamId>,
        package: &mut Package,
    ) -> Result<StreamId> {
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
        let new = streams::Segment::of(segment, rendition, segment.number);
        package.streams.segment(file.clone(), range, new)?;
        Ok(rendition)
    }

    /// The rendition of the segment that a resource lies inside of.
    fn held(&self, resource: &Resource, package: &Package) -> Result<Option<StreamId>> {
        if let Some(parent_segment) = resource.inside.and_then(|id| self.read.resource(id)) {
            return Ok(package.streams.rendition_of(&parent_segment.file, parent_segment.bounds()));
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
        inits: &mut HashMap<usize, RenditionId>,
        package: &mut Package,
    ) -> Result<Option<RenditionId>> {
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

    /// Takes in what is encrypted whole: segments and partial segments, each a file or a byte range of one, and maps. Gives
    /// what of it may have a key in the playlist.
    fn whole(&self, package: &mut Package) -> Result<(Renditions, Vec<Named>)> {
        let (is_clear, media) = (self.expect != InputState::Protected, self.media);
        if is_clear && !media.content.is_media() {
            return self.leave_all_clear(package).map(|()| Default::default());
        }
        if is_clear {
            self.check_partial_segments()?;
        }
        let streams = &mut package.streams;
        // I-frames are ranges of files that are encrypted whole. A client widens such a range to whole blocks, counted
        // from the file's beginning, and one block more (§6.3.6), so that the ranges stay as they are.
        // Files of the playlists before are meant: what this one names as a whole itself is not cut into ranges.
        let is_inside = |resource: &&Resource| {
            media.is_i_frames && resource.range.is_some() && streams.find(&resource.file, None).is_some()
        };
        let inside: HashSet<usize> =
            media.resources.iter().filter(is_inside).map(|inside| inside.line).collect();
        let segments: Vec<_> = media
            .segments()
            .map(|segment| {
                let bounds = segment.bounds().filter(|_| !inside.contains(&segment.line));
                (segment.file.as_str(), bounds)
            })
            .collect();
        let rendition = streams.whole(&media.name, media.content, segments.into_iter());
        let first = media::media_sequence(&media.playlist)?;
        let (parts, others): (Vec<_>, Vec<_>) =
            media.resources.iter().partition(|resource| resource.role == Role::Part);
        let mut found = Vec::new();
        for resource in others.into_iter().chain(parts) {
            let Resource { role, line, gap, sequence, .. } = *resource;
            let number = u32::try_from(sequence.saturating_sub(first)).unwrap_or(u32::MAX);
            let segment = streams::Segment::of(resource, rendition, number);
            let is_segment = role == Role::Segment;
            let implicit_iv_sequence = is_segment.then_some(sequence);
            if inside.contains(&line) && (is_segment || !is_clear) {
                let place = Destination::Package(resource.file.clone(), None);
                found.push(Named { line, place, implicit_iv_sequence: None });
            } else if !gap {
                streams.segment(resource.file.clone(), resource.range.as_ref(), segment)?;
                if role != Role::Part {
                    let place = Destination::Package(resource.file.clone(), resource.bounds());
                    found.push(Named { line, place, implicit_iv_sequence });
                }
            } else if is_segment {
                streams.count_segment(&segment)?;
                found.push(Named { line, place: Destination::Missing(segment), implicit_iv_sequence });
            }
        }
        Ok((Renditions { mp4: Vec::new(), streams: vec![rendition] }, found))
    }

    /// Partial segments in files of their own are encrypted as their parent segment is: §4.4.4.9.
    fn check_partial_segments(&self) -> Result<()> {
        let refused = |what: &str| Error::unsupported(what).clause("RFC 8216bis §4.4.4.9");
        let of_role = |role| self.media.resources.iter().filter(move |resource| resource.role == role);
        if of_role(Role::Part).chain(of_role(Role::Hint)).any(|part| part.range.is_some()) {
            return Err(refused("partial segments that are byte ranges: an encrypted segment has no ranges")
                .hint("put them into files of their own, or leave them out"));
        }
        if of_role(Role::Part).next().is_some() && of_role(Role::Segment).next().is_none() {
            return Err(refused(
                "partial segments without a segment: no line stands before which a key belongs",
            ));
        }
        // A key goes behind the map of its segments.
        let known: Vec<&Resource> = self.media.segments().collect();
        let is_before_map = |part: &Resource| {
            let segment = known.get(known.partition_point(|segment| segment.line < part.line));
            segment.is_some_and(|segment| segment.init != part.init)
        };
        match of_role(Role::Part).find(|part| is_before_map(part)) {
            Some(part) => {
                let place = format!("line {}: a part before the EXT-X-MAP of its segment", part.line + 1);
                Err(Error::input(place).clause("RFC 8216bis §4.4.4.5"))
            }
            None => Ok(()),
        }
    }

    /// Leaves a playlist of text or images clear: not even its maps may be of media.
    fn leave_all_clear(&self, package: &mut Package) -> Result<()> {
        for resource in self.media.present() {
            match resource.role {
                Role::Init | Role::Tables => {
                    check_init_is_no_media(self.store, &resource.file, resource.range.as_ref())?;
                    package.clear_file(resource.file.clone());
                }
                _ if resource.init.is_some() => package.clear_file(resource.file.clone()),
                _ => self.leave_clear(resource, package)?,
            }
        }
        Ok(())
    }

    fn leave_clear(&self, resource: &Resource, package: &mut Package) -> Result<()> {
        check_is_no_media(self.store, &resource.file)?;
        if self.expect == InputState::Protected {
            let source = self.store.open(&resource.file)?;
            check_clear_segment(source.as_ref(), false, Operation::Decrypt)
                .map_err(|error| error.at(resource.file.clone()))?;
        }
        package.clear_file(resource.file.clone());
        Ok(())
    }
}

fn add<I: PartialEq>(renditions: &mut Vec<I>, rendition: I) {
    if !renditions.contains(&rendition) {
        renditions.push(rendition);
    }
}

impl PackagedPlaylist {
    /// The tracks whose keys it names; none when it stays clear.
    fn tracks(&self, package: &Package) -> Result<Vec<TrackId>> {
        let mut ids = Vec::new();
        for id in &self.renditions.mp4 {
            ids.extend(package.of(*id)?.encrypted_tracks.iter().flatten());
        }
        for id in &self.renditions.streams {
            ids.extend(package.streams.of(*id)?.encrypted_tracks.iter().flatten());
        }
        Ok(ids)
    }

    /// The codecs of its renditions, if all are known.
    fn codecs(&self, package: &Package) -> Option<Vec<String>> {
        let mut all = Vec::new();
        for id in &self.renditions.mp4 {
            all.extend(package.of(*id).ok()?.codecs()?);
        }
        for id in &self.renditions.streams {
            all.extend(package.streams.of(*id).ok()?.codecs()?);
        }
        (!all.is_empty()).then_some(all)
    }

    /// The `EXT-X-KEY` lines of a crypto period; none when the playlist stays clear.
    fn key_lines(&self, package: &Package, plan: &Plan, period: Period) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for track in self.tracks(package)? {
            add_new(&mut lines, key_lines(plan.key_in(period, track)?));
        }
        Ok(lines)
    }

    /// What players must be able to do to play it: that of the first key with any, since video comes first.
    fn limits(&self, package: &Package, plan: &Plan) -> Result<Limits> {
        let mut limits = Limits::default();
        for track in self.tracks(package)? {
            let found = plan.key(track)?.limits();
            limits.hdcp_level = limits.hdcp_level.or(found.hdcp_level);
            limits.allowed_cpc = limits.allowed_cpc.or(found.allowed_cpc);
        }
        Ok(limits)
    }

    /// The byte ranges that only segments have which may be missing.
    fn missing_ranges(&self) -> HashSet<(String, u64, u64)> {
        let ranges = |gap| {
            let resources = self.media.resources.iter().filter(move |resource| resource.gap == gap);
            resources.filter_map(|one| one.bounds().map(|(start, end)| (one.file.clone(), start, end)))
        };
        let there: HashSet<_> = ranges(false).collect();
        ranges(true).filter(|range| !there.contains(range)).collect()
    }

    /// Checks that byte ranges of MP4 files are whole boxes; that of an I-frame may end with the picture: §4.4.3.6.
    fn check_boxes(&self, done: &ProtectedPackage) -> Result<()> {
        if self.whole.is_some() {
            return Ok(());
        }
        let is_mp4 = |resource: &&Resource| resource.init.is_some() || resource.role == Role::Init;
        for resource in self.media.present().filter(is_mp4) {
            let Some(range) = &resource.range else { continue };
            let offsets = done.offsets(&resource.file)?;
            let may_end_inside = self.media.is_i_frames && resource.role == Role::Segment;
            let line = format!("line {}", resource.line + 1);
            offsets.check_boxes(range, may_end_inside).map_err(|error| error.at(&resource.file).at(line))?;
        }
        Ok(())
    }

    /// Signals the keys of segments in it; `input` is the playlist that addresses of keys are relative to.
    fn protect(
        &mut self,
        package: &Package,
        (plan, input): (&Plan, &str),
        done: &ProtectedPackage,
    ) -> Result<()> {
        if let Some(named) = &self.whole {
            // Text and images stay clear.
            if self.renditions.streams.is_empty() {
                return Ok(());
            }
            let lines = named.iter().filter_map(|named| {
                let line = whole_key_line(named, package, plan, (&self.media.name, input)).transpose()?;
                Some(line.map(|line| (named.line, line)))
            });
            let lines: HashMap<usize, String> = lines.collect::<Result<_>>()?;
            return aes128::protect(&mut self.media.playlist, &|line| lines.get(&line).cloned());
        }
        if !plan.schedule.is_constant() {
            return self.protect_runs(package, plan, done);
        }
        match self.key_lines(package, plan, Period::FIRST)?.as_slice() {
            [] => Ok(()),
            lines => media::protect(&mut self.media.playlist, lines),
        }
    }

    /// Signals what became of each segment. One that may be missing (`EXT-X-GAP`) is like the one before.
    fn protect_runs(&mut self, package: &Package, plan: &Plan, done: &ProtectedPackage) -> Result<()> {
        if self.key_lines(package, plan, Period::FIRST)?.is_empty() {
            return Ok(());
        }
        let mut segment_keys = Vec::new();
        // Parts come before their segment, and the last ones before it is there.
        let of_media = |resource: &&Resource| matches!(resource.role, Role::Segment | Role::Part);
        for resource in self.media.present().filter(of_media) {
            let segment_key =
                done.segment_key(&resource.file, resource.range.as_ref().map(|range| range.end))?;
            segment_keys.extend(segment_key.map(|segment_key| (resource.line, segment_key)));
        }
        let lines = |period| self.key_lines(package, plan, period);
        let runs = key_runs(segment_keys, lines)?;
        if runs.iter().all(|(_, lines)| lines.is_empty()) {
            return Ok(());
        }
        media::protect_runs(&mut self.media.playlist, &runs, plan.schedule.returns_to_clear())
    }
}

/// The `EXT-X-KEY` line of AES-128 for what a playlist names; none of what stays clear. A relative address is written
/// differently in other folders than that of the input.
fn whole_key_line(
    named: &Named,
    package: &Package,
    plan: &Plan,
    (playlist, input): (&str, &str),
) -> Result<Option<String>> {
    let segment = match &named.place {
        Destination::Missing(segment) => segment,
        Destination::Package(file, bounds) => package.streams.find(file, *bounds).ok_or_else(|| {
            Error::internal("no such segment in the package").at(format_args!("line {}", named.line + 1))
        })?,
    };
    let SegmentKey::Period(period) = segment.segment_key(&plan.treatment, &plan.schedule) else {
        return Ok(None);
    };
    let key = plan.key_in(period, package.streams.encrypted_track_of(segment)?)?;
    let KeyAddress { uri, others } = key.address()?;
    let is_relative = !uri.starts_with('/') && !uri.split('/').next().unwrap_or_default().contains(':');
    let up = if is_relative { folder_from(playlist, input) } else { String::new() };
    let written = || Aes128::iv_of_media_sequence_number(segment.sequence);
    let iv = key
        .vector()
        .copied()
        .or_else(|| (named.implicit_iv_sequence != Some(segment.sequence)).then(written));
    let iv = iv.map_or_else(String::new, |iv| format!(",IV=0x{}", hex(&iv)));
    let others: String = others.iter().map(|other| format!(",{other}")).collect();
    Ok(Some(format!("#EXT-X-KEY:METHOD={AES_128},URI=\"{up}{uri}\"{iv}{others}")))
}

/// The `EXT-X-KEY` lines of each run of segments under one key, with the line of the run's first segment.
pub(in crate::job) fn key_runs(
    segment_keys: Vec<(usize, SegmentKey)>,
    lines: impl Fn(Period) -> Result<Vec<String>>,
) -> Result<Vec<(usize, Vec<String>)>> {
    let mut segment_keys = segment_keys;
    segment_keys.dedup_by_key(|(_, segment_key)| *segment_key);
    let run = |(line, segment_key)| match segment_key {
        SegmentKey::Clear => Ok((line, Vec::new())),
        SegmentKey::Period(period) => Ok((line, lines(period)?)),
    };
    segment_keys.into_iter().map(run).collect()
}

impl HlsManifests {
    /// Signals the keys, corrects byte ranges, and writes the playlists, the multivariant one last.
    pub(in crate::job) fn protect(
        mut self,
        package: &Package,
        plan: &Plan,
        (done, store): (&ProtectedPackage, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        let multivariant = self.multivariant.as_ref().map(|found| &found.name);
        let input = multivariant.or_else(|| self.media.first().map(|packaged| &packaged.media.name));
        let input = input.cloned().unwrap_or_default();
        for packaged in &mut self.media {
            let name = packaged.media.name.clone();
            packaged.protect(package, (plan, &input), done).map_err(|error| error.at(name))?;
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
                let file = store.resolve(name, uri)?;
                let packaged = self.media.iter().find(|packaged| packaged.media.name == file);
                let packaged = packaged.ok_or_else(|| Error::internal(format!("{file} was not read")))?;
                packaged.limits(package, plan)
            };
            multivariant::limit(playlist, &limits).map_err(|error| error.at(name.clone()))?;
        }
        self.write((done, store), env)
    }

    pub(in crate::job) fn summarize(&self, summary: &mut Summary) {
        let media = self.media.iter().map(|packaged| (&packaged.media.name, &packaged.media.playlist));
        let multivariant = self.multivariant.iter().map(|found| (&found.name, &found.playlist));
        multivariant.chain(media).for_each(|(name, playlist)| summary.named(name, &playlist.to_bytes()));
    }

    /// Removes every key.
    pub(in crate::job) fn unprotect(
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
            let missing = packaged.missing_ranges();
            let MediaPlaylist { name, mut playlist, .. } = packaged.media;
            media::map_byte_ranges(&mut playlist, &mut |uri, range| {
                let file = store.resolve(&name, uri)?;
                let is_missing = missing.contains(&(file.clone(), range.start, range.end));
                match done.offsets(&file) {
                    Err(_) if is_missing => Ok(range),
                    Ok(_) if is_missing && packaged.whole.is_some() => Ok(range),
                    offsets => offsets?.range(range),
                }
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
pub(in crate::job) fn key_lines(key: &PlannedKey) -> Vec<String> {
    lines_of(key.systems.iter().filter_map(|(_, system)| system.hls_signaling_data.media.as_deref()))
}

/// The `EXT-X-SESSION-KEY` lines of a key.
pub(in crate::job) fn session_key_lines(key: &PlannedKey) -> Vec<String> {
    lines_of(key.systems.iter().filter_map(|(_, system)| system.hls_signaling_data.multivariant.as_deref()))
}

/// A key server may send several lines as one text.
fn lines_of<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Appends the lines that are not there yet.
pub(in crate::job) fn add_new(lines: &mut Vec<String>, more: Vec<String>) {
    for line in more {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
}
