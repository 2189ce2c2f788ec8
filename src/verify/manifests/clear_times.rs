//! When each track of video or audio is clear, as manifests give its segments times — RFC 8216bis §4.4.4.4,
//! ISO/IEC 23001-7 §6.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde::Serialize;

use crate::base::Result;
use crate::job::joined;
use crate::presentation::{MediaPlaylist, Resource, Role};

use super::info::PresentationInfo;
use super::times::{of_segment, seconds};
use super::{DashManifest, Mp4Playlist, Presentation};
use crate::verify::fragmented::file::FragmentFact;
use crate::verify::segments::{Protection, SegmentPlaylist};

/// A track of video or audio.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifiedTrack {
    /// Where it was found: a playlist, a Representation of an MPD, a file.
    pub source: String,
    /// When it is clear: from and to, in seconds since the presentation began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clear: Vec<(f64, f64)>,
}

/// The tracks of a presentation, each by the first that names it: playlists, MPDs, playlists of I-frames.
pub(in crate::verify) fn tracks(
    presentation: &Presentation<'_>,
    facts: &PresentationInfo<'_>,
) -> Result<Vec<VerifiedTrack>> {
    let mut found = Found { facts, known: HashSet::new(), tracks: Vec::new() };
    let playlists = |of_i_frames: bool| {
        presentation.playlists.iter().filter(move |playlist| playlist.media.is_i_frames == of_i_frames)
    };
    playlists(false).for_each(|playlist| found.playlist(playlist));
    presentation.segments.iter().for_each(|playlist| found.segments(playlist));
    for manifest in &presentation.mpds {
        found.mpd(manifest).map_err(|error| error.at(&manifest.document.name))?;
    }
    playlists(true).for_each(|playlist| found.playlist(playlist));
    for (index, rendition) in presentation.renditions.iter().enumerate() {
        for file in &rendition.files {
            found.fragments(&rendition.init.name, index, (file, None), &|time| time);
        }
    }
    let joined = |track: VerifiedTrack| VerifiedTrack { clear: joined(track.clear), ..track };
    Ok(found.tracks.into_iter().map(joined).collect())
}

struct Found<'a> {
    facts: &'a PresentationInfo<'a>,
    /// Files, and where the fragments in them begin that were looked at.
    known: HashSet<(&'a str, u64)>,
    tracks: Vec<VerifiedTrack>,
}

impl<'a> Found<'a> {
    fn track(&mut self, source: String) -> Option<&mut VerifiedTrack> {
        if !self.tracks.iter().rev().any(|track| track.source == source) {
            self.tracks.push(VerifiedTrack { source: source.clone(), clear: Vec::new() });
        }
        self.tracks.iter_mut().rev().find(|track| track.source == source)
    }

    /// Fragments of a rendition that nothing named before; `time` is when something is presented that has this time in its
    /// media, both in seconds.
    fn fragments(
        &mut self,
        source: &str,
        rendition: usize,
        (file, range): (&str, Option<&Range<u64>>),
        time: &dyn Fn(f64) -> f64,
    ) {
        let facts = self.facts;
        let Some(init) = facts.init(rendition).map(|facts| &facts.init) else { return };
        let Some((file, _)) = facts.files.get_key_value(file) else { return };
        let is_one = init.tracks.iter().filter(|track| track.is_protectable()).count() == 1;
        let of_moof = |one: &FragmentFact, next: &FragmentFact| one.position == next.position;
        for fragment in facts.fragments(file, range).chunk_by(of_moof) {
            let position = fragment.first().map_or(0, |first| first.position);
            if !self.known.insert((file, position)) {
                continue;
            }
            for fragment in fragment {
                let track = init.track(fragment.track_id).filter(|track| track.is_protectable());
                let Some(track) = track else { continue };
                let source =
                    if is_one { source.to_owned() } else { format!("{source}: track {}", track.track_id) };
                // What is cut away by edits is there all the same.
                let (begin, end) = fragment.presented.unwrap_or((fragment.begin, fragment.end));
                let at = |ticks| time(seconds(ticks, track.timescale.into()));
                let stretch = fragment.kid.is_none().then(|| (at(begin), at(end)));
                self.track(source).into_iter().for_each(|track| track.clear.extend(stretch));
            }
        }
    }

    fn playlist(&mut self, playlist: &Mp4Playlist<'_>) {
        let lasts = durations(playlist.media);
        for (resource, rendition) in &playlist.segments {
            let Some(times) = of_segment(resource, *rendition, self.facts) else { continue };
            let (from, to) = span(resource, &lasts);
            let scale = (to - from) / (times.end - times.begin).max(f64::MIN_POSITIVE);
            let time = |time: f64| from + (time - times.begin) * scale;
            let named = (resource.file.as_str(), resource.range.as_ref());
            self.fragments(&playlist.media.name, *rendition, named, &time);
        }
    }

    fn mpd(&mut self, manifest: &DashManifest<'_>) -> Result<()> {
        let periods = manifest.document.mpd.periods()?;
        for (track, rendition) in &manifest.representations {
            let representation = &track.representation;
            let start = periods.get(representation.place.period).and_then(|period| period.start);
            let timing = &representation.timing;
            let late = start.unwrap_or_default().as_secs_f64()
                - seconds(timing.presentation_time_offset, timing.timescale);
            let source = format!("{}: Representation {}", manifest.document.name, representation.id);
            for segment in track.segments() {
                let named = (segment.file.as_str(), segment.range.as_ref());
                self.fragments(&source, *rendition, named, &|time| time + late);
            }
        }
        Ok(())
    }

    fn segments(&mut self, playlist: &SegmentPlaylist<'_>) {
        let lasts = durations(playlist.media);
        let is_media = |resource: &Resource| {
            matches!(resource.role, Role::Segment | Role::Part) && resource.inside.is_none()
        };
        let of_playlist = playlist.segments.iter().map(|segment| segment.resource);
        let of_playlist = of_playlist.filter(|resource| is_media(resource));
        for resource in of_playlist.filter(|_| playlist.protection != Protection::Never) {
            let stretch = resource.keys.is_empty().then(|| span(resource, &lasts));
            let track = self.track(playlist.media.name.clone());
            track.into_iter().for_each(|track| track.clear.extend(stretch));
        }
    }
}

/// How long each segment of a playlist lasts, by its media sequence number.
fn durations(media: &MediaPlaylist) -> HashMap<u64, f64> {
    media.segments().map(|segment| (segment.sequence, segment.duration)).collect()
}

/// When a segment is presented, or the one that a partial segment is of.
fn span(resource: &Resource, lasts: &HashMap<u64, f64>) -> (f64, f64) {
    let lasts = lasts.get(&resource.sequence).copied().unwrap_or_default();
    (resource.begins, resource.begins + lasts)
}
