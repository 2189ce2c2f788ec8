//! Renditions whose segments are rewritten each by itself: transport streams and packed audio with sample encryption,
//! and any container that is encrypted whole — RFC 8216bis §3.1.1, §3.1.3, §4.4.4.4, §5.2.
//!
//! A segment is a file or a byte range of one. Bytes of a file that no playlist names are left out: they cannot be
//! under a key.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::env::{Sink, Source, Store};
use crate::base::{Error, Kid, Result, Secret};
use crate::codec::{Elementary, StreamInfo, TrackKind};
use crate::hls::Key;
use crate::package::{
    Assignment, ElementaryStream, EncryptedTrack, FirstBlocks, OffsetMap, Plan, PlaylistKeyResolver, Proofs,
    Schedule, SegmentKey, Totals, TrackId, Treatment, check_clear_segment, copy, decrypt_whole_segment,
    elementary_streams, encrypt_whole_segment, sample_aes_segment,
};
use crate::presentation::{ByteRangeSource, Content, Resource, Role};
use crate::protect::{Aes128, Operation, SampleAes};

use super::InputState;
use super::file_ranges::{FileRanges, check_parts, write_parts};
use super::files::ProtectedPackage;
use super::stated::Stated;
use super::whole_files;
use crate::job::env::{Env, Event};
use crate::job::journal::write_once;
use crate::job::report::TrackReport;
use crate::job::rules::{Rules, no_segment_behind};

/// What the report calls it.
const SCHEME: &str = "sample-aes";

/// A part of a file by its byte range; `None` is the whole file.
pub(super) type Bounds = Option<(u64, u64)>;

/// The media playlists of a package whose segments are rewritten each by itself.
#[derive(Default)]
pub(in crate::job) struct Streams {
    pub(in crate::job) renditions: Vec<StreamRendition>,
    files: BTreeMap<String, FileRanges<Segment>>,
    /// Segments that a second playlist names in another place of the presentation, or with other neighbors.
    shared: Vec<(String, Segment, Segment)>,
}

/// Gives the id of a group's encrypted track, which it makes when the group is new.
pub(in crate::job) type Number<'a> = dyn FnMut(&str, &dyn Fn(TrackId) -> EncryptedTrack) -> TrackId + 'a;

/// Which of the renditions it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::job) struct StreamId(usize);

/// A media playlist.
pub(in crate::job) struct StreamRendition {
    /// Its name.
    pub(in crate::job) name: String,
    carries: Carries,
    /// The encrypted track of each stream, or of all that is encrypted whole.
    pub(in crate::job) encrypted_tracks: Vec<Option<TrackId>>,
    /// How many segments there are.
    pub(in crate::job) segments: u32,
    /// What the multivariant playlist says of it.
    stated: Stated,
}

/// What is encrypted of the segments of a playlist.
enum Carries {
    /// Samples of the streams that its first segment has; none of a package that is to be decrypted.
    Streams(Vec<ElementaryStream>),
    /// Every byte, whatever the container.
    Whole(Content),
}

impl StreamRendition {
    /// The codecs of its streams, if all are known.
    pub(super) fn codecs(&self) -> Option<Vec<String>> {
        let Carries::Streams(streams) = &self.carries else { return None };
        let codecs: Option<Vec<_>> =
            streams.iter().map(|stream| Some(stream.facts.as_ref()?.rfc6381.clone())).collect();
        codecs.filter(|codecs| !codecs.is_empty() && codecs.iter().all(|codec| !codec.is_empty()))
    }
}

impl Carries {
    /// What it is said to be.
    fn content(&self) -> Content {
        match self {
            Self::Streams(_) => Content::Media,
            Self::Whole(content) => *content,
        }
    }
}

/// One segment, or what is encrypted like one: a map, or a partial segment.
#[derive(Clone, Debug)]
pub(in crate::job) struct Segment {
    /// The rendition it belongs to.
    rendition: StreamId,
    pub(super) role: Role,
    /// Its number in the playlist, from 0; of a map or partial segment that of the segment it is for.
    number: u32,
    /// When that begins, in milliseconds.
    begins: u64,
    /// How long it lasts, in milliseconds; 0 of what is no segment.
    lasts: u64,
    /// The media sequence number of that.
    pub(in crate::job) sequence: u64,
    /// The keys in force.
    keys: Arc<[Key]>,
}

impl Segment {
    /// What a playlist names, which belongs to this rendition; `number` is that of the segment that it is, or is for.
    pub(in crate::job) fn of(resource: &Resource, rendition: StreamId, number: u32) -> Self {
        let milliseconds = |seconds: f64| {
            let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        };
        Self {
            rendition,
            role: resource.role,
            number,
            begins: milliseconds(resource.begins),
            lasts: milliseconds(resource.duration),
            sequence: resource.sequence,
            keys: Arc::clone(&resource.keys),
        }
    }

    /// What protects it.
    pub(in crate::job) fn segment_key(&self, treatment: &Treatment, schedule: &Schedule) -> SegmentKey {
        let is_map = matches!(self.role, Role::Init | Role::Tables);
        match is_map && !treatment.encrypts_maps() {
            true => SegmentKey::Clear,
            false => schedule.segment_key(self.number, self.begins, 1000),
        }
    }
}

impl Streams {
    /// The rendition of a playlist that begins with this segment: a new one, or the one that has the segment too.
    pub(in crate::job) fn rendition(
        &mut self,
        store: &dyn Store,
        name: &str,
        (file, range): (&str, Option<&Range<u64>>),
        expect: InputState,
    ) -> Result<StreamId> {
        let known = self.files.get(file).and_then(|parts| parts.get(&key(range)));
        if let Some(known) = known {
            return Ok(known.rendition);
        }
        let streams = match expect {
            InputState::Clear { .. } => {
                let source = store.open(file)?;
                let part = ByteRangeSource::of(source.as_ref(), range).map_err(|error| error.at(file))?;
                elementary_streams(&part).map_err(|error| error.at(file))?
            }
            InputState::Protected => Vec::new(),
        };
        let count = streams.len();
        Ok(self.add(name, Carries::Streams(streams), count))
    }

    /// The rendition of a playlist whose segments are encrypted whole: that which has one of them already, or a new one.
    pub(in crate::job) fn whole<'a>(
        &mut self,
        name: &str,
        content: Content,
        mut segments: impl Iterator<Item = (&'a str, Bounds)>,
    ) -> StreamId {
        let known = segments.find_map(|(file, bounds)| self.rendition_of(file, bounds));
        known.unwrap_or_else(|| self.add(name, Carries::Whole(content), 1))
    }

    fn add(&mut self, name: &str, carries: Carries, streams: usize) -> StreamId {
        let (name, encrypted_tracks, stated) = (name.to_owned(), vec![None; streams], Stated::default());
        self.renditions.push(StreamRendition { name, carries, encrypted_tracks, segments: 0, stated });
        StreamId(self.renditions.len() - 1)
    }

    /// The rendition that has been given this id.
    pub(in crate::job) fn of(&self, id: StreamId) -> Result<&StreamRendition> {
        self.renditions.get(id.0).ok_or_else(|| no_rendition(id))
    }

    fn of_mut(&mut self, id: StreamId) -> Result<&mut StreamRendition> {
        self.renditions.get_mut(id.0).ok_or_else(|| no_rendition(id))
    }

    /// Adds what a manifest says of a rendition.
    pub(in crate::job) fn stated(&mut self, id: StreamId, stated: Stated) -> Result<()> {
        self.of_mut(id)?.stated.add(stated);
        Ok(())
    }

    /// Whether a file has segments of these playlists.
    pub(in crate::job) fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// Counts a segment, which may be missing.
    pub(in crate::job) fn count_segment(&mut self, segment: &Segment) -> Result<()> {
        let rendition = self.of_mut(segment.rendition)?;
        if segment.role == Role::Segment {
            rendition.segments = rendition.segments.max(segment.number.saturating_add(1));
        }
        Ok(())
    }

    /// Adds a segment to its rendition.
    pub(in crate::job) fn segment(
        &mut self,
        file: String,
        range: Option<&Range<u64>>,
        segment: Segment,
    ) -> Result<()> {
        self.count_segment(&segment)?;
        let parts = self.files.entry(file.clone()).or_default();
        if parts.keys().next().is_some_and(|known| known.is_none() != range.is_none()) {
            return Err(Error::unsupported("is named as a whole and in byte ranges")
                .clause("RFC 8216bis §4.4.4.2, §5.2")
                .at(file)
                .hint("an encrypted file has no ranges: leave the playlist out that names them, or cut it apart"));
        }
        match parts.get(&key(range)) {
            Some(known) => self.shared.push((file, known.clone(), segment)),
            None => {
                parts.insert(key(range), segment);
            }
        }
        Ok(())
    }

    /// A segment that is known, by the playlist that named it first.
    pub(in crate::job) fn find(&self, file: &str, bounds: Bounds) -> Option<&Segment> {
        self.files.get(file)?.get(&bounds)
    }

    /// The rendition of a segment.
    pub(in crate::job) fn rendition_of(&self, file: &str, bounds: Bounds) -> Option<StreamId> {
        self.find(file, bounds).map(|segment| segment.rendition)
    }

    /// The encrypted track of a segment that is encrypted whole.
    pub(in crate::job) fn encrypted_track_of(&self, segment: &Segment) -> Result<TrackId> {
        let rendition = self.of(segment.rendition)?;
        let encrypted_track = rendition.encrypted_tracks.first().copied().flatten();
        encrypted_track
            .ok_or_else(|| Error::internal("a playlist without a substream").at(rendition.name.clone()))
    }

    /// Gives each stream of this kind the number of its encrypted track.
    pub(in crate::job) fn number(&mut self, kind: TrackKind, number: &mut Number<'_>) {
        for rendition in &mut self.renditions {
            let Carries::Streams(streams) = &rendition.carries else { continue };
            for (stream, slot) in streams.iter().zip(&mut rendition.encrypted_tracks) {
                if stream.elementary.kind() == kind {
                    let (group, facts) = (format!("{}/{kind:?}", rendition.name), stream.facts.as_ref());
                    *slot = Some(number(&group, &|id| encrypted_track(id, facts, &rendition.stated)));
                }
            }
        }
    }

    /// Gives each playlist whose segments are encrypted whole an encrypted track, in the order of the playlists.
    pub(in crate::job) fn number_whole(&mut self, encrypted_tracks: &mut Vec<EncryptedTrack>) {
        for rendition in &mut self.renditions {
            let Carries::Whole(content) = rendition.carries else { continue };
            let kind = if content == Content::Audio { TrackKind::Audio } else { TrackKind::Video };
            let number = encrypted_tracks.iter().filter(|known| known.id.kind == kind).count() + 1;
            let id = TrackId::new(kind, number);
            rendition.encrypted_tracks = vec![Some(id)];
            encrypted_tracks.push(encrypted_track(id, None, &rendition.stated));
        }
    }

    /// What the report says of an encrypted track, when it is one of these.
    pub(in crate::job) fn track_facts(&self, encrypted_track: &EncryptedTrack) -> Option<TrackReport> {
        let rendition =
            self.renditions.iter().find(|r| r.encrypted_tracks.contains(&Some(encrypted_track.id)))?;
        let known = TrackReport {
            id: encrypted_track.id.to_string(),
            kind: if encrypted_track.id.kind == TrackKind::Video { "video" } else { "audio" }.into(),
            source: rendition.name.clone(),
            ..TrackReport::default()
        };
        let Carries::Streams(streams) = &rendition.carries else { return Some(known) };
        let mut slots = streams.iter().zip(&rendition.encrypted_tracks);
        let (stream, _) = slots.find(|(_, slot)| **slot == Some(encrypted_track.id))?;
        let facts = stream.facts.clone().unwrap_or_default();
        let (width, height) = facts.picture.unzip();
        let pixels = |value: Option<u32>| value.and_then(|value| u16::try_from(value).ok());
        Some(TrackReport {
            codec: facts.rfc6381,
            width: pixels(width),
            height: pixels(height),
            channels: facts.channels.map(u16::from),
            scheme: SCHEME.into(),
            ..known
        })
    }

    /// Checks what can be known before any key is asked for.
    pub(in crate::job) fn check(
        &self,
        rules: &Rules,
        assignment: &Assignment,
        store: &dyn Store,
    ) -> Result<()> {
        let Some(rendition) = self.renditions.first() else { return Ok(()) };
        let is_whole = matches!(rules.treatment, Treatment::Aes128 { .. });
        let other = rules.systems.iter().find(|system| !is_whole && !system.decrypts_sample_aes());
        if let Some(system) = other {
            return Err(Error::unsupported(format!(
                "{} players do not decrypt sample encryption of transport streams and packed audio",
                system.name()
            ))
            .clause("RFC 8216bis §4.4.4.4")
            .at(rendition.name.clone())
            .hint("leave it out of --drm, or repackage as fragmented MP4"));
        }
        let half = |r: &&StreamRendition| {
            r.encrypted_tracks.contains(&None) && r.encrypted_tracks.iter().any(Option::is_some)
        };
        if let Some(rendition) = self.renditions.iter().find(half) {
            return Err(Error::unsupported(
                "one stream of a segment is to stay clear, a playlist has one key",
            )
            .clause("RFC 8216bis §4.4.4.4")
            .at(rendition.name.clone())
            .hint("protect video and audio alike, or package them apart"));
        }
        self.check_shared(rules, assignment)?;
        check_parts(&self.files, store)?;
        self.check_protected(rules)
    }

    /// A file or range that two playlists name has one key.
    fn check_shared(&self, rules: &Rules, assignment: &Assignment) -> Result<()> {
        for (file, first, second) in &self.shared {
            let key = |segment: &Segment| {
                let segment_key = segment.segment_key(&rules.treatment, &rules.schedule);
                let ids = self.of(segment.rendition)?.encrypted_tracks.iter().flatten();
                let keys = ids.map(|id| assignment.key_of(*id)).collect::<Result<Vec<_>>>()?;
                Ok((segment_key != SegmentKey::Clear).then_some((keys.into_iter().min(), segment_key)))
            };
            let (first, second) = (key(first)?, key(second)?);
            if first != second {
                let what = match first.is_some() == second.is_some() {
                    true => "is named twice, under two keys",
                    false => "is named twice, once to be encrypted and once to stay clear",
                };
                return Err(Error::unsupported(what)
                    .clause("RFC 8216bis §4.4.4.4")
                    .at(file.clone())
                    .hint("share one key (preset0) that does not change, or copy the file"));
            }
        }
        Ok(())
    }

    /// Every playlist has a segment that is encrypted, and partial segments have one key, that of their segments.
    fn check_protected(&self, rules: &Rules) -> Result<()> {
        let (mut there, mut protected) = (HashSet::new(), HashSet::new());
        let is_left_clear =
            |rendition: &StreamRendition| rendition.encrypted_tracks.iter().all(Option::is_none);
        let segments =
            self.files.iter().flat_map(|(file, parts)| parts.values().map(move |part| (file, part)));
        for (file, segment) in segments {
            if segment.role == Role::Part && !rules.schedule.is_constant() {
                return Err(Error::unsupported("partial segments with keys that change")
                    .clause("RFC 8216bis §4.4.4.9")
                    .at(self.of(segment.rendition)?.name.clone())
                    .hint("leave out --clear-lead and --rotate-every, or the partial segments"));
            }
            if segment.role == Role::Segment {
                there.insert(segment.rendition);
                let segment_key = segment.segment_key(&rules.treatment, &rules.schedule);
                segment_key.check_key().map_err(|error| error.at(file.clone()))?;
                let is_done = segment_key != SegmentKey::Clear || is_left_clear(self.of(segment.rendition)?);
                protected.extend(is_done.then_some(segment.rendition));
            }
        }
        if there.is_empty() {
            return Err(Error::input("the input has no segment that can be encrypted")
                .hint("segments marked EXT-X-GAP may be missing, and stay out"));
        }
        match there.difference(&protected).min() {
            Some(id) => Err(no_segment_behind(&rules.schedule).at(self.of(*id)?.name.clone())),
            None => Ok(()),
        }
    }

    /// The files that have segments of these playlists.
    pub(in crate::job) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Encrypts every file as planned.
    pub(in crate::job) fn protect(
        &self,
        plan: &Plan,
        store: &dyn Store,
        env: &Env<'_>,
        done: &mut ProtectedPackage,
    ) -> Result<()> {
        let key_of = |segment: &Segment| {
            let segment_key = segment.segment_key(&plan.treatment, &plan.schedule);
            let SegmentKey::Period(period) = segment_key else {
                return Err(Error::internal("a segment under no key is to be encrypted"));
            };
            let aes128 = plan.aes128(period, self.encrypted_track_of(segment)?, segment.sequence)?;
            Ok((segment_key, aes128, self.of(segment.rendition)?.name.clone()))
        };
        let is_whole = |segment: &Segment| {
            let is_whole = |of: &StreamRendition| matches!(of.carries, Carries::Whole(_));
            self.of(segment.rendition).is_ok_and(is_whole)
                && matches!(segment.segment_key(&plan.treatment, &plan.schedule), SegmentKey::Period(_))
        };
        let (whole, others): (Vec<_>, Vec<_>) =
            self.files.iter().partition(|(_, parts)| parts.values().all(is_whole));
        let mut files = whole_files::encrypt(&whole, store, env, &key_of)?;
        files.extend(self.rewritten(&others, store, env, &|segment| {
            let segment_key = segment.segment_key(&plan.treatment, &plan.schedule);
            let rendition = self.of(segment.rendition)?;
            let copy = Cipher::Copy(Operation::Encrypt, rendition.carries.content());
            let SegmentKey::Period(period) = segment_key else { return Ok((segment_key, copy)) };
            if let Carries::Whole(_) = rendition.carries {
                let aes128 = plan.aes128(period, self.encrypted_track_of(segment)?, segment.sequence)?;
                return Ok((segment_key, Cipher::EncryptWhole(aes128, rendition.name.clone())));
            }
            // Streams that the rules leave clear have no encrypted track.
            Ok(match rendition.encrypted_tracks.iter().flatten().next() {
                Some(encrypted_track) => (
                    segment_key,
                    Cipher::Samples(plan.sample_aes(period, *encrypted_track)?, Operation::Encrypt, None),
                ),
                None => (SegmentKey::Clear, copy),
            })
        })?);
        let mut files: Vec<_> = whole.into_iter().chain(others).zip(files).collect();
        files.sort_unstable_by_key(|((name, _), _)| *name);
        self.note(files, done)?;
        match done.first_blocks.contradictions().first() {
            Some(playlist) => {
                Err(Error::input("segments begin with boxes that differ where those of a playlist do not")
                    .clause("ISO/IEC 14496-12 §4.3, §8.16.3")
                    .at(playlist)
                    .hint("one of them is damaged, or was decrypted with another IV: make it again"))
            }
            None => Ok(()),
        }
    }

    /// Decrypts every file with the keys that the playlists name.
    pub(in crate::job) fn decrypt(
        &self,
        keys: &PlaylistKeyResolver<'_>,
        env: &Env<'_>,
        done: &mut ProtectedPackage,
    ) -> Result<()> {
        let files: Vec<_> = self.files.iter().collect();
        let written = self.rewritten(&files, keys.store, env, &|segment| {
            let StreamRendition { name, carries, .. } = self.of(segment.rendition)?;
            let at = |error: Error| error.at(name.clone());
            let cipher = match carries {
                Carries::Streams(_) => keys
                    .sample_aes(name, &segment.keys, segment.sequence)
                    .map_err(at)?
                    .map(|(sample_aes, kid)| Cipher::Samples(sample_aes, Operation::Decrypt, kid)),
                Carries::Whole(_) => keys
                    .whole_segment(name, &segment.keys, segment.sequence)
                    .map_err(at)?
                    .map(|(key, iv)| Cipher::DecryptWhole { key, iv, playlist: name.clone() }),
            };
            let copy = Cipher::Copy(Operation::Decrypt, carries.content());
            Ok((SegmentKey::Clear, cipher.unwrap_or(copy)))
        })?;
        self.note(files.into_iter().zip(written).collect(), done)
    }

    /// Rewrites files segment by segment, each by itself.
    fn rewritten(
        &self,
        files: &[whole_files::File<'_>],
        store: &dyn Store,
        env: &Env<'_>,
        cipher: &(dyn Fn(&Segment) -> Result<(SegmentKey, Cipher)> + Sync),
    ) -> Result<Vec<whole_files::Done>> {
        let write = |(name, parts): &whole_files::File<'_>| {
            let source = store.open(name)?;
            let done = write_once(env, name, source.as_ref(), |sink| {
                let written = write_file(source.as_ref(), sink, parts, cipher);
                let written = written.and_then(|written| self.check_streams(parts, written));
                written.map_err(|error| error.at(name))
            })?;
            (env.observe)(Event::Advance(source.len()));
            Ok(done)
        };
        files.par_iter().map(write).collect()
    }

    /// Notes what became of files, which are in order.
    fn note(
        &self,
        files: Vec<(whole_files::File<'_>, whole_files::Done)>,
        done: &mut ProtectedPackage,
    ) -> Result<()> {
        for ((name, parts), (output, written)) in files {
            done.outputs.push(output);
            let mut segment_keys = Vec::with_capacity(written.segments.len());
            for ((range, segment), (segment_key, totals)) in parts.iter().zip(written.segments) {
                segment_keys.push((range.map_or(0, |(start, _)| start), segment_key));
                self.count(segment, &totals, done)?;
                if segment_key == SegmentKey::Clear && segment.role == Role::Segment {
                    self.clear(segment, done)?;
                }
            }
            done.first_blocks.merge(written.first_blocks);
            done.proofs.merge(&written.proofs);
            done.file(name, written.offsets, segment_keys);
        }
        Ok(())
    }

    /// A segment has no stream that its rendition's first segment does not have: no key was planned for it.
    fn check_streams(&self, parts: &FileRanges<Segment>, written: WrittenFile) -> Result<WrittenFile> {
        for (segment, (_, totals)) in parts.values().zip(&written.segments) {
            let Carries::Streams(streams) = &self.of(segment.rendition)?.carries else { continue };
            let is_planned = |kind| streams.iter().any(|stream| stream.elementary.kind() == kind);
            let mut found = totals.iter().filter_map(|(elementary, _)| *elementary);
            // Nothing is planned of what is decrypted.
            if let Some(elementary) = found.find(|new| !streams.is_empty() && !is_planned(new.kind())) {
                return Err(Error::unsupported(format!(
                    "a stream of {}, which the first segment of its playlist does not have",
                    elementary.name()
                ))
                .clause("RFC 8216bis §4.4.4.3")
                .hint("begin the playlist with a segment that has every stream, or package video and audio apart"));
            }
        }
        Ok(written)
    }

    /// Notes when a segment is clear.
    fn clear(&self, segment: &Segment, done: &mut ProtectedPackage) -> Result<()> {
        let end = segment.begins.saturating_add(segment.lasts);
        #[expect(clippy::cast_precision_loss, reason = "times of less than 2^53 milliseconds")]
        let stretch = (segment.begins as f64 / 1000.0, end as f64 / 1000.0);
        self.of(segment.rendition)?.encrypted_tracks.iter().flatten().for_each(|id| done.clear(*id, stretch));
        Ok(())
    }

    fn count(&self, segment: &Segment, totals: &[Rewritten], done: &mut ProtectedPackage) -> Result<()> {
        let rendition = self.of(segment.rendition)?;
        for (elementary, totals) in totals {
            let slot = match (&rendition.carries, elementary) {
                (Carries::Streams(streams), Some(elementary)) => {
                    streams.iter().position(|stream| stream.elementary.kind() == elementary.kind())
                }
                _ => Some(0),
            };
            // Nothing is reported of tracks that are decrypted.
            if let Some(id) = slot.and_then(|slot| rendition.encrypted_tracks.get(slot).copied().flatten()) {
                done.count(id, totals)?;
            }
        }
        Ok(())
    }
}

fn no_rendition(id: StreamId) -> Error {
    Error::internal(format!("no rendition of streams of number {}", id.0))
}

/// What rewrites a segment.
enum Cipher {
    /// Nothing: it stands under no key, where the job encrypts or decrypts others.
    Copy(Operation, Content),
    /// Its samples, with the key of this id.
    Samples(SampleAes, Operation, Option<Kid>),
    /// A segment of the playlist of this name.
    EncryptWhole(Aes128, String),
    DecryptWhole {
        key: Secret<16>,
        iv: [u8; 16],
        playlist: String,
    },
}

/// What was rewritten of a stream, or of a segment that is encrypted whole.
pub(super) type Rewritten = (Option<Elementary>, Totals);

/// A file that was written.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct WrittenFile {
    pub(super) offsets: OffsetMap,
    /// What protects each segment, and what was rewritten of it.
    pub(super) segments: Vec<(SegmentKey, Vec<Rewritten>)>,
    /// What is shown of the keys by what was decrypted.
    #[serde(skip)]
    proofs: Proofs,
    /// What is shown of the IVs of segments that were decrypted whole.
    #[serde(skip)]
    pub(super) first_blocks: FirstBlocks,
}

impl WrittenFile {
    /// Rewrites a segment. Gives where its bytes went, what was rewritten, and how many bytes were written.
    fn rewrite(
        &mut self,
        cipher: Cipher,
        (part, sink): (&dyn Source, &mut dyn Sink),
    ) -> Result<(OffsetMap, Vec<Rewritten>, u64)> {
        let length = part.len();
        match cipher {
            Cipher::Copy(operation, content) => {
                check_clear_segment(part, content.is_media(), operation)?;
                copy(part, sink).map(|()| (OffsetMap::default(), Vec::new(), length))
            }
            Cipher::Samples(sample_aes, operation, kid) => {
                let done = sample_aes_segment(part, sink, &sample_aes, operation)?;
                for (elementary, evidence) in &done.evidence {
                    self.proofs.add(kid, elementary.name(), evidence);
                }
                let written = done.offsets.position(length)?;
                let totals = done.totals.into_iter().map(|(elementary, totals)| (Some(elementary), totals));
                Ok((done.offsets, totals.collect(), written))
            }
            Cipher::EncryptWhole(aes128, playlist) => {
                let (bytes, first_block) = encrypt_whole_segment(part, sink, &aes128)?;
                self.first_blocks.note(&playlist, *aes128.iv(), first_block);
                let totals = Totals { samples: 1, bytes, protected: bytes };
                Ok((OffsetMap::resized(length, bytes), vec![(None, totals)], bytes))
            }
            Cipher::DecryptWhole { key, iv, playlist } => {
                let (bytes, first_block) = decrypt_whole_segment(part, sink, (&key, iv))?;
                self.first_blocks.note(&playlist, iv, first_block);
                Ok((OffsetMap::resized(length, bytes), Vec::new(), bytes))
            }
        }
    }
}

fn write_file(
    source: &dyn Source,
    sink: &mut dyn Sink,
    parts: &FileRanges<Segment>,
    cipher: &dyn Fn(&Segment) -> Result<(SegmentKey, Cipher)>,
) -> Result<WrittenFile> {
    let (mut file, mut offsets) = (WrittenFile::default(), Vec::with_capacity(parts.len()));
    let moves = write_parts(source, sink, parts, |segment, part, sink| {
        let (segment_key, cipher) = cipher(segment)?;
        let is_whole = matches!(cipher, Cipher::EncryptWhole(..) | Cipher::DecryptWhole { .. });
        let (moved, mut totals, written) = file.rewrite(cipher, (part, sink))?;
        // Maps and partial segments are not counted.
        totals.retain(|_| segment.role == Role::Segment);
        file.segments.push((segment_key, totals));
        offsets.push((moved, part.len(), is_whole));
        Ok(written)
    })?;
    file.proofs.check()?;
    for (((start, end), to), (moved, length, is_whole)) in moves.into_iter().zip(offsets) {
        // Ranges of what is encrypted as a whole file stay as they are: clients widen them to blocks, §6.3.6.
        if !(is_whole && end == u64::MAX) {
            file.offsets.add_part(&moved, (start, length), to.start)?;
        }
    }
    Ok(file)
}

fn encrypted_track(id: TrackId, facts: Option<&StreamInfo>, stated: &Stated) -> EncryptedTrack {
    let (is_video, picture) = (id.kind == TrackKind::Video, facts.and_then(|facts| facts.picture));
    let pixels = picture.map(|(width, height)| width.saturating_mul(height)).or(stated.pixels);
    let channels = facts.and_then(|facts| facts.channels).map(u16::from).or(stated.channels);
    EncryptedTrack {
        pixels: pixels.filter(|_| is_video),
        channels: channels.map(u32::from).filter(|_| !is_video),
        frame_rate: stated.frame_rate.filter(|_| is_video),
        color: facts.map(|facts| facts.color).unwrap_or_default().or_more(stated.color),
        bitrate: stated.bandwidth,
        labels: stated.labels.iter().cloned().collect(),
        ..EncryptedTrack::new(id)
    }
}

fn key(range: Option<&Range<u64>>) -> Bounds {
    range.map(|range| (range.start, range.end))
}
