//! Renditions of elementary streams: transport streams and packed audio with sample encryption — RFC 8216bis
//! §3.1.1, §3.1.3, §4.4.4.4.
//!
//! A segment is a file or a byte range of one; each is rewritten by itself. Bytes of a file that no playlist names
//! are left out: they cannot be under a key.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::env::{Sink, Source, Store};
use crate::base::{Error, Kid, Result};
use crate::codec::{Elementary, TrackKind};
use crate::drm::System;
use crate::hls::Key;
use crate::package::{
    Assignment, ElementaryStream, KeyOfLine, OffsetMap, Phase, Plan, Proofs, SampleAesSegment, Schedule,
    Substream, copy, elementary_streams, sample_aes_segment,
};
use crate::presentation::Part;
use crate::protect::{Operation, SampleAes};

use super::env::{Env, Event};
use super::files::ProtectedPackage;
use super::journal::write_once;
use super::package::Expect;
use super::parts::{Parts, check_parts, write_parts};
use super::report::TrackReport;
use super::stated::Stated;

/// What the report calls it.
const SCHEME: &str = "sample-aes";

/// The media playlists of a package whose segments have no media initialization section.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) renditions: Vec<StreamRendition>,
    files: BTreeMap<String, Parts<Segment>>,
    /// Segments that a second playlist names in another place of the presentation, or with other neighbors.
    shared: Vec<(String, Segment, Segment)>,
}

/// Gives the number of a group's substream, which it makes when the group is new.
pub(super) type Number<'a> = dyn FnMut(&str, &dyn Fn(String) -> Substream) -> usize + 'a;

/// A media playlist.
pub(super) struct StreamRendition {
    /// Its name.
    pub(super) name: String,
    /// The streams of its first segment; none of a package that is to be decrypted.
    streams: Vec<ElementaryStream>,
    /// The substream of each.
    pub(super) substreams: Vec<Option<usize>>,
    /// How many segments there are.
    pub(super) segments: u32,
    /// What the multivariant playlist says of it.
    pub(super) stated: Stated,
}

/// One segment.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The rendition it belongs to.
    pub(super) rendition: usize,
    /// Its number in the playlist, from 0.
    pub(super) number: u32,
    /// When it begins, in milliseconds.
    pub(super) begins: u64,
    /// Its media sequence number.
    pub(super) sequence: u64,
    /// The keys in force.
    pub(super) keys: Arc<[Key]>,
}

impl Streams {
    /// The rendition of a playlist that begins with this segment: a new one, or the one that has the segment too.
    pub(super) fn rendition(
        &mut self,
        store: &dyn Store,
        name: &str,
        (file, range): (&str, Option<&Range<u64>>),
        expect: Expect,
    ) -> Result<usize> {
        let known = self.files.get(file).and_then(|parts| parts.get(&key(range)));
        if let Some(known) = known {
            return Ok(known.rendition);
        }
        let streams = match expect {
            Expect::Clear => {
                let source = store.open(file)?;
                let part = Part::of(source.as_ref(), range).map_err(|error| error.at(file))?;
                elementary_streams(&part).map_err(|error| error.at(file))?
            }
            Expect::Protected => Vec::new(),
        };
        let substreams = vec![None; streams.len()];
        let (name, stated) = (name.to_owned(), Stated::default());
        self.renditions.push(StreamRendition { name, streams, substreams, segments: 0, stated });
        Ok(self.renditions.len() - 1)
    }

    /// Whether a file has segments of these playlists.
    pub(super) fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// Adds a segment to its rendition.
    pub(super) fn segment(
        &mut self,
        file: String,
        range: Option<&Range<u64>>,
        segment: Segment,
    ) -> Result<()> {
        if let Some(rendition) = self.renditions.get_mut(segment.rendition) {
            rendition.segments = rendition.segments.max(segment.number.saturating_add(1));
        }
        let parts = self.files.entry(file.clone()).or_default();
        if parts.keys().next().is_some_and(|known| known.is_none() != range.is_none()) {
            return Err(Error::unsupported("is named as a whole and in byte ranges")
                .clause("RFC 8216bis §4.4.4.2")
                .at(file));
        }
        match parts.get(&key(range)) {
            Some(known) => self.shared.push((file, known.clone(), segment)),
            None => {
                parts.insert(key(range), segment);
            }
        }
        Ok(())
    }

    /// The rendition of a segment.
    pub(super) fn rendition_of(&self, file: &str, bounds: Option<(u64, u64)>) -> Option<usize> {
        self.files.get(file)?.get(&bounds).map(|segment| segment.rendition)
    }

    /// Gives each stream of this kind the number of its substream.
    pub(super) fn number(&mut self, kind: TrackKind, number: &mut Number<'_>) {
        for rendition in &mut self.renditions {
            for (stream, slot) in rendition.streams.iter().zip(&mut rendition.substreams) {
                if stream.elementary.kind() == kind {
                    let group = format!("{}/{kind:?}", rendition.name);
                    *slot = Some(number(&group, &|id| substream(id, stream, &rendition.stated)));
                }
            }
        }
    }

    /// What the report says of a substream, when it is one of these.
    pub(super) fn track_facts(&self, number: usize, substream: &Substream) -> Option<TrackReport> {
        let rendition = self.renditions.iter().find(|r| r.substreams.contains(&Some(number)))?;
        let mut slots = rendition.streams.iter().zip(&rendition.substreams);
        let (stream, _) = slots.find(|(_, slot)| **slot == Some(number))?;
        let facts = stream.facts.clone().unwrap_or_default();
        let (width, height) = facts.picture.unzip();
        let pixels = |value: Option<u32>| value.and_then(|value| u16::try_from(value).ok());
        Some(TrackReport {
            id: substream.id.clone(),
            kind: if substream.kind == TrackKind::Video { "video" } else { "audio" }.into(),
            source: rendition.name.clone(),
            codec: facts.rfc6381,
            width: pixels(width),
            height: pixels(height),
            channels: facts.channels.map(u16::from),
            scheme: SCHEME.into(),
            ..TrackReport::default()
        })
    }

    /// Checks what can be known before any key is asked for.
    pub(super) fn check(
        &self,
        systems: &[&'static dyn System],
        (assignment, schedule): (&Assignment, &Schedule),
        store: &dyn Store,
    ) -> Result<()> {
        let Some(rendition) = self.renditions.first() else { return Ok(()) };
        if let Some(system) = systems.iter().find(|system| !system.decrypts_sample_aes()) {
            return Err(Error::unsupported(format!(
                "{} players do not decrypt sample encryption of transport streams and packed audio",
                system.name()
            ))
            .clause("RFC 8216bis §4.4.4.4")
            .at(rendition.name.clone())
            .hint("leave it out of --drm, or repackage as fragmented MP4"));
        }
        let half =
            |r: &&StreamRendition| r.substreams.contains(&None) && r.substreams.iter().any(Option::is_some);
        if let Some(rendition) = self.renditions.iter().find(half) {
            return Err(Error::unsupported(
                "one stream of a segment is to stay clear, a playlist has one key",
            )
            .clause("RFC 8216bis §4.4.4.4")
            .at(rendition.name.clone())
            .hint("protect pictures and sound alike, or package them apart"));
        }
        for (file, first, second) in &self.shared {
            let key = |segment: &Segment| {
                let rendition = self.renditions.get(segment.rendition);
                let slots = rendition.into_iter().flat_map(|rendition| rendition.substreams.iter().flatten());
                let keys: Vec<_> = slots.filter_map(|number| assignment.key_of.get(*number)).collect();
                (keys.into_iter().min(), schedule.phase(segment.number, segment.begins, 1000))
            };
            if key(first) != key(second) {
                return Err(Error::unsupported("is named twice, under two keys")
                    .clause("RFC 8216bis §4.4.4.4")
                    .at(file.clone())
                    .hint("share one key (preset0) that does not change, or copy the file"));
            }
        }
        check_parts(&self.files, store).map(|_| ())
    }

    /// The files that have segments of these playlists.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Encrypts every file as planned.
    pub(super) fn protect(
        &self,
        plan: &Plan,
        store: &dyn Store,
        env: &Env<'_>,
        done: &mut ProtectedPackage,
    ) -> Result<()> {
        self.write(store, env, done, &|segment| {
            let phase = plan.schedule.phase(segment.number, segment.begins, 1000);
            let rendition = self.renditions.get(segment.rendition);
            let rendition = rendition
                .ok_or_else(|| Error::internal(format!("no rendition of number {}", segment.rendition)))?;
            // Streams that the rules leave clear have no substream.
            Ok(match (phase, rendition.substreams.iter().flatten().next()) {
                (Phase::Period(period), Some(substream)) => {
                    (phase, Some((plan.sample_aes(period, *substream)?, Operation::Encrypt, None)))
                }
                _ => (Phase::Clear, None),
            })
        })
    }

    /// Decrypts every file with the keys that `find` gives for a segment of a playlist.
    pub(super) fn decrypt(
        &self,
        find: &(dyn Fn(&str, &Segment) -> Result<Option<KeyOfLine>> + Sync),
        store: &dyn Store,
        env: &Env<'_>,
        done: &mut ProtectedPackage,
    ) -> Result<()> {
        self.write(store, env, done, &|segment| {
            let playlist = self.renditions.get(segment.rendition).map_or("", |r| r.name.as_str());
            let key = find(playlist, segment).map_err(|error| error.at(playlist))?;
            Ok((Phase::Clear, key.map(|(key, kid)| (key, Operation::Decrypt, kid))))
        })
    }

    fn write(
        &self,
        store: &dyn Store,
        env: &Env<'_>,
        done: &mut ProtectedPackage,
        cipher: &(dyn Fn(&Segment) -> Result<Cipher> + Sync),
    ) -> Result<()> {
        let write = |(name, parts): (&String, &Parts<Segment>)| {
            let source = store.open(name)?;
            let done = write_once(env, name, source.as_ref(), |sink| {
                let written = write_file(source.as_ref(), sink, parts, cipher);
                let written = written.and_then(|written| self.check_streams(parts, written));
                written.map_err(|error| error.at(name.clone()))
            })?;
            (env.observe)(Event::Advance(source.len()));
            Ok(done)
        };
        let files: Vec<_> = self.files.par_iter().map(write).collect::<Result<_>>()?;
        for ((name, parts), (output, written)) in self.files.iter().zip(files) {
            done.outputs.push(output);
            let mut phases = Vec::with_capacity(written.segments.len());
            for ((range, segment), (phase, totals)) in parts.iter().zip(written.segments) {
                phases.push((range.map_or(0, |(start, _)| start), phase));
                self.count(segment, &totals, &mut done.tracks);
            }
            done.proofs.merge(&written.proofs);
            done.offsets.insert(name.clone(), written.offsets);
            done.phases.insert(name.clone(), phases);
        }
        Ok(())
    }

    /// A segment has no stream that its rendition's first segment does not have: no key was planned for it.
    fn check_streams(&self, parts: &Parts<Segment>, written: WrittenFile) -> Result<WrittenFile> {
        for (segment, (_, totals)) in parts.values().zip(&written.segments) {
            let streams = self.renditions.get(segment.rendition).map_or(&[][..], |r| r.streams.as_slice());
            let is_planned = |kind| streams.iter().any(|stream| stream.elementary.kind() == kind);
            let new = totals.iter().find(|(elementary, _)| !is_planned(elementary.kind()));
            // Nothing is planned of what is decrypted.
            if let Some((elementary, _)) = new.filter(|_| !streams.is_empty()) {
                return Err(Error::unsupported(format!(
                    "a stream of {}, which the first segment of its playlist does not have",
                    elementary.name()
                ))
                .clause("RFC 8216bis §4.4.4.3")
                .hint("begin the playlist with a segment that has every stream, or package pictures and sound apart"));
            }
        }
        Ok(written)
    }

    fn count(
        &self,
        segment: &Segment,
        totals: &[(Elementary, crate::package::Totals)],
        tracks: &mut [TrackReport],
    ) {
        let Some(rendition) = self.renditions.get(segment.rendition) else { return };
        for (elementary, totals) in totals {
            let mut slots = rendition.streams.iter().zip(&rendition.substreams);
            let slot = slots.find(|(stream, _)| stream.elementary.kind() == elementary.kind());
            let number = slot.and_then(|(_, number)| *number);
            if let Some(track) = number.and_then(|number| tracks.get_mut(number)) {
                track.samples += totals.samples;
                track.bytes += totals.bytes;
                track.protected += totals.protected;
            }
        }
    }
}

/// What rewrites a segment, and what protects it then.
type Cipher = (Phase, Option<(SampleAes, Operation, Option<Kid>)>);

/// A file that was written.
#[derive(Serialize, Deserialize)]
struct WrittenFile {
    offsets: OffsetMap,
    /// What protects each segment, and what was rewritten of it.
    segments: Vec<(Phase, Vec<(Elementary, crate::package::Totals)>)>,
    /// What is shown of the keys by what was decrypted.
    #[serde(skip)]
    proofs: Proofs,
}

fn write_file(
    source: &dyn Source,
    sink: &mut dyn Sink,
    parts: &Parts<Segment>,
    cipher: &dyn Fn(&Segment) -> Result<Cipher>,
) -> Result<WrittenFile> {
    let (mut rewritten, mut proofs) = (Vec::with_capacity(parts.len()), Proofs::default());
    let moves = write_parts(source, sink, parts, |segment, part, sink| {
        let (phase, cipher) = cipher(segment)?;
        let done = match cipher {
            Some((sample_aes, operation, kid)) => {
                let done = sample_aes_segment(part, sink, &sample_aes, operation)?;
                for (elementary, evidence) in &done.evidence {
                    proofs.add(kid, elementary.name(), evidence);
                }
                done
            }
            None => {
                copy(part, sink)?;
                SampleAesSegment::default()
            }
        };
        let length = done.offsets.position(part.len())?;
        rewritten.push((phase, part.len(), done));
        Ok(length)
    })?;
    proofs.check()?;
    let mut file = WrittenFile { offsets: OffsetMap::default(), segments: Vec::new(), proofs };
    for (((start, _), to), (phase, length, done)) in moves.into_iter().zip(rewritten) {
        file.offsets.add_part(&done.offsets, (start, length), to.start)?;
        file.segments.push((phase, done.totals));
    }
    Ok(file)
}

fn substream(id: String, stream: &ElementaryStream, stated: &Stated) -> Substream {
    let facts = stream.facts.as_ref();
    let kind = stream.elementary.kind();
    Substream {
        pixels: facts.and_then(|facts| facts.picture).map(|(width, height)| width.saturating_mul(height)),
        channels: facts.and_then(|facts| facts.channels).map(u32::from),
        frame_rate: stated.frame_rate.filter(|_| kind == TrackKind::Video),
        bitrate: stated.bandwidth,
        labels: stated.labels.iter().cloned().collect(),
        ..Substream::new(id, kind)
    }
}

fn key(range: Option<&Range<u64>>) -> Option<(u64, u64)> {
    range.map(|range| (range.start, range.end))
}
