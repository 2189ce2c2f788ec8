//! A clear package: renditions of init segment and media files, protected file by file — ISO/IEC 23000-19 §7.3.

pub(super) mod dash;
pub(super) mod file_ranges;
pub(super) mod files;
pub(super) mod hls;
pub(super) mod manifests;
mod others;
pub(super) mod stated;
pub(super) mod streams;
mod whole_files;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::codec::TrackKind;
use crate::isobmff::BoxNode;
use crate::isobmff::track::trexes;
use crate::package::{
    Assignment, EncryptedTrack, KeyRule, MediaTrack, Schedule, TrackId, Treatment, media_tracks,
    random_access_fragments,
};
use crate::presentation::{SegmentKind, read_moov};

use crate::job::choice::periods_until;
use crate::job::identity::Summary;
use crate::job::report::TrackReport;
use crate::job::rules::Rules;
use files::written_once;
use stated::Stated;
use streams::Streams;

/// What a manifest names.
#[derive(Default)]
pub(in crate::job) struct Package {
    pub(in crate::job) renditions: Vec<Rendition>,
    /// Playlists of transport streams and packed audio.
    pub(in crate::job) streams: Streams,
    /// The time of day at which the presentation begins, in nanoseconds since 1970, when a manifest says it.
    pub(in crate::job) begins: Option<i128>,
    /// How long the presentation lasts, when a manifest says it.
    pub(in crate::job) lasts: Option<Duration>,
    /// Files that no DRM protects: text, images.
    pub(in crate::job) clear_files: Vec<String>,
    /// The rendition of each media file.
    rendition_of: HashMap<String, RenditionId>,
    known_clear: HashSet<String>,
}

/// Which of the renditions of a package it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::job) struct RenditionId(usize);

/// An init segment and the media files that need it.
pub(in crate::job) struct Rendition {
    /// What the manifest calls it.
    pub(in crate::job) name: String,
    pub(in crate::job) init: (String, Option<Range<u64>>),
    pub(in crate::job) moov: BoxNode,
    pub(in crate::job) tracks: Vec<MediaTrack>,
    /// Media files in order, each once.
    pub(in crate::job) files: Vec<String>,
    /// The group of each track: tracks of one group share a key.
    groups: Vec<Option<String>>,
    /// The encrypted track of each track; `None` when it stays clear.
    pub(in crate::job) encrypted_tracks: Vec<Option<TrackId>>,
    /// Whether parts of segments are in files of their own.
    has_part_files: bool,
    /// Where segments begin in a file that holds all of them, in bytes, when the manifest says so.
    pub(in crate::job) cuts: Vec<u64>,
    /// What of the presentation comes before: its duration, and how many segments.
    pub(in crate::job) before: (Duration, u32),
    stated: Stated,
}

impl Rendition {
    /// The codecs of its tracks, if all are known.
    fn codecs(&self) -> Option<Vec<String>> {
        let codecs: Option<Vec<_>> = self.tracks.iter().map(|media| media.rfc6381().ok()).collect();
        codecs.filter(|codecs| !codecs.is_empty())
    }

    /// The init segment and the media files, each once.
    pub(in crate::job) fn all_files(&self) -> impl Iterator<Item = &str> {
        let init = self.init.0.as_str();
        let apart = !self.files.iter().any(|file| file == init);
        apart.then_some(init).into_iter().chain(self.files.iter().map(String::as_str))
    }

    /// The ids of the tracks that stay clear.
    pub(in crate::job) fn clear_tracks(&self) -> Vec<u32> {
        let clear = self.tracks.iter().zip(&self.encrypted_tracks).filter(|(_, slot)| slot.is_none());
        clear.map(|(media, _)| media.track.track_id).collect()
    }
}

impl Rendition {
    /// Where segments begin in a file that holds all of them, in bytes, in order.
    pub(in crate::job) fn sorted_cuts(&self) -> Vec<u64> {
        let mut cuts = self.cuts.clone();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// How many segments there are.
    fn segments(&self, store: &dyn Store) -> Result<u32> {
        let count = match (self.files.as_slice(), self.sorted_cuts()) {
            ([file], cuts) if cuts.is_empty() => {
                let source = store.open(file)?;
                let clear = self.clear_tracks();
                return random_access_fragments(source.as_ref(), &trexes(&self.moov)?, &clear);
            }
            ([_], cuts) => cuts.len(),
            (files, _) => files.len(),
        };
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// Whether the package that is read is meant to be clear or encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::job) enum InputState {
    Clear {
        /// Whether segments will be encrypted whole.
        whole: bool,
    },
    Protected,
}

impl InputState {
    /// A clear package that is to be treated so.
    pub(in crate::job) fn clear(treatment: &Treatment) -> Self {
        Self::Clear { whole: matches!(treatment, Treatment::Aes128 { .. }) }
    }
}

impl Package {
    /// Adds an init segment unless it is known, and returns its rendition. Tracks of the same `group` and
    /// kind share a key also under `preset1`.
    pub(in crate::job) fn rendition(
        &mut self,
        store: &dyn Store,
        name: &str,
        group: &str,
        init: (String, Option<Range<u64>>),
        expect: InputState,
    ) -> Result<RenditionId> {
        if let Some(known) = self.renditions.iter().position(|rendition| rendition.init == init) {
            return Ok(RenditionId(known));
        }
        let at = |error: Error| error.at(init.0.clone());
        let source = store.open(&init.0)?;
        if SegmentKind::of(source.as_ref()).map_err(at)? == SegmentKind::Ts {
            return Err(at(Error::unsupported("a transport stream as media initialization section")
                .clause("RFC 8216bis §4.4.4.5")
                .hint("begin each segment with its program tables, as RFC 8216bis §3.1.1 recommends")));
        }
        let moov = read_moov(store, &init.0, init.1.as_ref())?;
        // One manifest gives the range of the init segment in a file, another leaves it to be found.
        let same = |other: &Rendition| other.init.0 == init.0 && other.moov == moov;
        if let Some(known) = self.renditions.iter().position(same) {
            return Ok(RenditionId(known));
        }
        let tracks = match expect {
            InputState::Clear { .. } => media_tracks(&moov).map_err(at)?,
            InputState::Protected => Vec::new(),
        };
        let groups = tracks
            .iter()
            .map(|media| media.is_protectable().then(|| format!("{group}/{:?}", media.kind())))
            .collect();
        self.renditions.push(Rendition {
            name: name.to_owned(),
            init,
            moov,
            encrypted_tracks: vec![None; tracks.len()],
            tracks,
            files: Vec::new(),
            has_part_files: false,
            groups,
            cuts: Vec::new(),
            before: (Duration::ZERO, 0),
            stated: Stated::default(),
        });
        Ok(RenditionId(self.renditions.len() - 1))
    }

    /// The rendition that has been given this id.
    pub(in crate::job) fn of(&self, id: RenditionId) -> Result<&Rendition> {
        self.renditions.get(id.0).ok_or_else(|| no_rendition(id))
    }

    fn of_mut(&mut self, id: RenditionId) -> Result<&mut Rendition> {
        self.renditions.get_mut(id.0).ok_or_else(|| no_rendition(id))
    }

    /// Every file but those of [`Streams`], each once, with its rendition; none of what stays clear.
    pub(in crate::job) fn files(&self) -> Vec<(&str, Option<&Rendition>)> {
        let mut known = HashSet::new();
        let of_renditions = self
            .renditions
            .iter()
            .flat_map(|rendition| rendition.all_files().map(move |name| (name, Some(rendition))));
        let clear = self.clear_files.iter().map(|name| (name.as_str(), None));
        of_renditions.filter(|(name, _)| known.insert(*name)).chain(clear).collect()
    }

    /// Adds what a manifest says of a rendition.
    pub(in crate::job) fn stated(&mut self, id: RenditionId, stated: Stated) -> Result<()> {
        self.of_mut(id)?.stated.add(stated);
        Ok(())
    }

    /// Adds a media file to a rendition, and says whether it is new.
    pub(in crate::job) fn file(&mut self, id: RenditionId, name: String) -> Result<bool> {
        match self.rendition_of.get(&name) {
            Some(known) if *known == id => Ok(false),
            Some(other) => Err(Error::unsupported(format!(
                "the file belongs to two renditions with init segments of their own: {} is the other",
                self.of(*other)?.name
            ))
            .at(name)),
            None => {
                self.rendition_of.insert(name.clone(), id);
                self.of_mut(id)?.files.push(name);
                Ok(true)
            }
        }
    }

    /// Adds a file that has a part of a segment; one that segments are in is known already.
    pub(in crate::job) fn part_file(&mut self, id: RenditionId, name: String) -> Result<()> {
        let is_new = self.file(id, name)?;
        self.of_mut(id)?.has_part_files |= is_new;
        Ok(())
    }

    /// Says that a segment of a rendition begins at this byte of its file, and what of the presentation
    /// comes before it: seconds and segments.
    pub(in crate::job) fn cut(&mut self, id: RenditionId, position: u64, before: (f64, u32)) -> Result<()> {
        if self.of(id)?.cuts.is_empty() {
            self.begins_after(id, before)?;
        }
        self.of_mut(id)?.cuts.push(position);
        Ok(())
    }

    /// Says what of the presentation comes before a rendition: seconds and segments.
    pub(in crate::job) fn begins_after(
        &mut self,
        id: RenditionId,
        (seconds, segments): (f64, u32),
    ) -> Result<()> {
        let before = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        self.of_mut(id)?.before = (before, segments);
        Ok(())
    }

    /// How many crypto periods the presentation has.
    pub(in crate::job) fn periods(&self, schedule: &Schedule, store: &dyn Store) -> Result<usize> {
        if let Some(times) = &schedule.times {
            if let Some(late) = self.renditions.iter().find(|rendition| rendition.before.0 == Duration::MAX) {
                return Err(Error::unsupported("key periods with times, in an MPD of several Periods")
                    .clause("DASH-IF CPIX 2.3 §4, ContentKeyPeriod")
                    .at(late.name.clone())
                    .hint("give key periods an index, and --rotate-every"));
            }
            return periods_until(times, self.lasts.unwrap_or(Duration::MAX));
        }
        let mut segments = 0;
        for rendition in self.renditions.iter().filter(|_| schedule.rotates()) {
            let count = rendition.segments(store).map_err(|error| error.at(rendition.name.clone()))?;
            segments = segments.max(rendition.before.1.saturating_add(count));
        }
        let streams = self.streams.renditions.iter().map(|rendition| rendition.segments).max();
        schedule.periods(segments.max(streams.unwrap_or(0)))
    }

    /// What is read of media before keys are asked for, and which files there are.
    pub(in crate::job) fn summarize(&self, summary: &mut Summary) {
        for rendition in &self.renditions {
            summary.named(&rendition.init.0, &rendition.moov.to_bytes());
            rendition.files.iter().for_each(|file| summary.add(file.as_bytes()));
        }
    }

    /// Adds a file that stays as it is.
    pub(in crate::job) fn clear_file(&mut self, name: String) {
        if self.known_clear.insert(name.clone()) {
            self.clear_files.push(name);
        }
    }

    /// Numbers the encrypted tracks: video before audio, in the order of the manifest. Kinds that the rule leaves
    /// clear have none.
    pub(in crate::job) fn encrypted_tracks(&mut self, rule: KeyRule) -> Vec<EncryptedTrack> {
        let mut encrypted_tracks = Vec::new();
        let kinds = [TrackKind::Video, TrackKind::Audio];
        for kind in kinds.into_iter().filter(|kind| rule.protects(*kind)) {
            let mut known: HashMap<String, TrackId> = HashMap::new();
            let mut number = |group: &str, make: &dyn Fn(TrackId) -> EncryptedTrack| -> TrackId {
                let next = TrackId::new(kind, known.len() + 1);
                *known.entry(group.to_owned()).or_insert_with(|| {
                    encrypted_tracks.push(make(next));
                    next
                })
            };
            for rendition in &mut self.renditions {
                for ((media, group), slot) in
                    rendition.tracks.iter().zip(&rendition.groups).zip(&mut rendition.encrypted_tracks)
                {
                    if let Some(group) = group.as_ref().filter(|_| media.kind() == Some(kind)) {
                        *slot = Some(number(group, &|id| encrypted_track(id, media, &rendition.stated)));
                    }
                }
            }
            self.streams.number(kind, &mut number);
        }
        self.streams.number_whole(&mut encrypted_tracks);
        encrypted_tracks
    }

    /// What the report says of an encrypted track: its first track stands for it.
    pub(in crate::job) fn track_facts(&self, encrypted_track: &EncryptedTrack) -> Result<TrackReport> {
        for rendition in &self.renditions {
            let mut slots = rendition.tracks.iter().zip(&rendition.encrypted_tracks);
            if let Some((media, _)) = slots.find(|(_, slot)| **slot == Some(encrypted_track.id)) {
                return track_facts(encrypted_track, media, &rendition.name);
            }
        }
        let facts = self.streams.track_facts(encrypted_track);
        facts.ok_or_else(|| Error::internal(format!("nothing is known of track {}", encrypted_track.id)))
    }

    /// Checks what depends on the encrypted tracks, before any key is fetched.
    pub(in crate::job) fn check(
        &self,
        rules: &Rules,
        assignment: &Assignment,
        store: &dyn Store,
    ) -> Result<()> {
        written_once(self)?;
        self.check_muxed(assignment)?;
        let in_parts = self.renditions.iter().find(|rendition| rendition.has_part_files);
        if let Some(rendition) = in_parts.filter(|_| !rules.schedule.is_constant()) {
            return Err(Error::unsupported("partial segments in files of their own, with keys that change")
                .clause("RFC 8216bis §4.4.4.9")
                .at(rendition.name.clone())
                .hint("leave out --clear-lead and --rotate-every, or make the parts byte ranges of their segments"));
        }
        self.streams.check(rules, assignment, store)
    }

    /// A rendition with video and audio in one file can be signaled with one key only.
    fn check_muxed(&self, assignment: &Assignment) -> Result<()> {
        let keys = |ids: &[Option<TrackId>]| -> Result<usize> {
            let keys = ids.iter().flatten().map(|id| assignment.key_of(*id));
            Ok(keys.collect::<Result<HashSet<_>>>()?.len())
        };
        let streams =
            self.streams.renditions.iter().map(|rendition| (&rendition.name, &rendition.encrypted_tracks));
        let renditions =
            self.renditions.iter().map(|rendition| (&rendition.name, &rendition.encrypted_tracks));
        for (name, ids) in renditions.chain(streams) {
            if keys(ids)? > 1 {
                return Err(Error::unsupported(
                    "video and audio in one segment need two keys, a manifest can name one",
                )
                .clause("RFC 8216bis §4.4.4.4, DASH-IF IOP 6 §5")
                .at(name.clone())
                .hint("share one key (preset0), or package video and audio apart"));
            }
        }
        Ok(())
    }
}

fn no_rendition(id: RenditionId) -> Error {
    Error::internal(format!("no rendition of number {}", id.0))
}

/// What a media track is as an encrypted track.
pub(in crate::job) fn encrypted_track(id: TrackId, media: &MediaTrack, stated: &Stated) -> EncryptedTrack {
    let is_video = id.kind == TrackKind::Video;
    let channels =
        if media.tells_channels() { media.channels() } else { stated.channels.or_else(|| media.channels()) };
    EncryptedTrack {
        pixels: media.pixels().filter(|_| is_video),
        channels: channels.map(u32::from).filter(|_| !is_video),
        frame_rate: stated.frame_rate.filter(|_| is_video),
        color: media.color().or_more(stated.color),
        bitrate: stated.bandwidth,
        labels: stated.labels.iter().cloned().collect(),
        ..EncryptedTrack::new(id)
    }
}

/// What the report says of a track before it has a key.
pub(in crate::job) fn track_facts(
    encrypted_track: &EncryptedTrack,
    media: &MediaTrack,
    source: &str,
) -> Result<TrackReport> {
    let entry = media.track.sample_entry()?;
    let is_video = encrypted_track.id.kind == TrackKind::Video;
    Ok(TrackReport {
        id: encrypted_track.id.to_string(),
        kind: if is_video { "video" } else { "audio" }.into(),
        source: source.to_owned(),
        codec: media.rfc6381()?,
        width: is_video.then_some(entry.width),
        height: is_video.then_some(entry.height),
        channels: encrypted_track.channels.and_then(|channels| u16::try_from(channels).ok()),
        ..TrackReport::default()
    })
}
