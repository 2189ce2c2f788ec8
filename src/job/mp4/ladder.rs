//! What of MP4 files does not go together, found before keys are asked for — RFC 8216bis §6.2.4, ISO/IEC 23009-1 §5.3.3.2.

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::codec::TrackKind;
use crate::package::Boundaries;

use super::cut::Start;
use super::{Mp4File, OutputTrack};

/// Tracks that end so much apart are said, in seconds: frames of audio and video never end together.
const LENGTHS_APART: f64 = 0.5;
/// Segments that begin so little apart begin together, in seconds: times are rounded to ticks.
const TOGETHER: f64 = 0.002;
/// Bytes that are compared at a time.
const COMPARED: usize = 64 << 10;

/// Refuses a file that is given twice, by whatever name, and trick modes of files without video.
pub(in crate::job) fn check_files(files: &[Mp4File], trick_play: bool) -> Result<()> {
    let mut tracks = files.iter().flat_map(|file| &file.tracks);
    if trick_play && !tracks.any(|media| media.kind() == Some(TrackKind::Video)) {
        return Err(Error::usage("--trick-play has no effect on these inputs")
            .hint("leave it out: there is no video"));
    }
    for (number, file) in files.iter().enumerate() {
        for other in files.iter().take(number) {
            let (one, two) = (file.source.as_ref(), other.source.as_ref());
            // Reading is for files whose tables of samples are the same.
            if one.len() == two.len() && file.moov == other.moov && are_equal(one, two)? {
                return Err(Error::usage(format!("{} and {} are the same file", other.name, file.name))
                    .hint("give it once: players would switch between equals"));
            }
        }
    }
    Ok(())
}

fn are_equal(one: &dyn Source, two: &dyn Source) -> Result<bool> {
    let (mut a, mut b) = (vec![0; COMPARED], vec![0; COMPARED]);
    let mut position = 0;
    while position < one.len() {
        let length = usize::try_from(one.len() - position).unwrap_or(COMPARED).min(COMPARED);
        let none = || Error::internal("a buffer that is too short");
        let (a, b) = (a.get_mut(..length).ok_or_else(none)?, b.get_mut(..length).ok_or_else(none)?);
        one.read_at(position, a)?;
        two.read_at(position, b)?;
        if a != b {
            return Ok(false);
        }
        position += length as u64;
    }
    Ok(true)
}

/// What players would notice: other lengths, other random access points, other ticks, a language that only some have.
pub(in crate::job) fn warnings(
    tracks: &[OutputTrack<'_>],
    boundaries: &Boundaries,
    start: Start,
) -> Result<Vec<String>> {
    let mut warnings = lengths(tracks, start);
    warnings.extend(languages(tracks));
    warnings.extend(codecs_of_choices(tracks)?);
    let mut videos = tracks.iter().filter(|track| track.id.kind == TrackKind::Video);
    let Some(first) = videos.next() else { return Ok(warnings) };
    for video in videos {
        let place = |error: Error| error.at(video.file.name.clone());
        warnings.extend(apart((first, video), boundaries, start).map_err(place)?);
    }
    Ok(warnings)
}

/// The tracks that do not end with the longest one.
fn lengths(tracks: &[OutputTrack<'_>], start: Start) -> Vec<String> {
    let timed = tracks.iter().filter(|track| track.id.kind != TrackKind::Text);
    let ends: Vec<_> = timed.map(|track| (track, seconds(track, track.ends(), start))).collect();
    let Some((longest, end)) = ends.iter().max_by(|(_, a), (_, b)| a.total_cmp(b)) else { return Vec::new() };
    let shorter = ends.iter().filter(|(_, other)| end - other > LENGTHS_APART);
    let warning = |(track, other): &(&OutputTrack<'_>, f64)| {
        format!(
            "{}: {} lasts until {other:.3} s, {} of {} until {end:.3} s: players stall or go on without it",
            track.file.name, track.id, longest.id, longest.file.name
        )
    };
    shorter.map(warning).collect()
}

/// The tracks without a language beside others of their kind that have one.
fn languages(tracks: &[OutputTrack<'_>]) -> Vec<String> {
    let mut warnings = Vec::new();
    for kind in [TrackKind::Audio, TrackKind::Text] {
        let of_kind = || tracks.iter().filter(|track| track.id.kind == kind);
        let language = |track: &OutputTrack<'_>| track.described.lang.clone();
        let Some((known, said)) = of_kind().find_map(|track| Some((track, language(track)?))) else {
            continue;
        };
        for track in of_kind().filter(|track| language(track).is_none()) {
            warnings.push(format!(
                "{}: {} has no language, {} has {said}: players list them as different languages",
                track.file.name, track.id, known.id
            ));
        }
    }
    warnings
}

/// Audio of which there is one codec only beside audio of another: a group has all that a viewer may choose, so each variant
/// names both codecs, and players without one of them play none — RFC 8216bis §4.4.6.1.1, §4.4.6.2.
fn codecs_of_choices(tracks: &[OutputTrack<'_>]) -> Result<Option<String>> {
    let audio =
        tracks.iter().filter(|track| track.id.kind == TrackKind::Audio && track.described.group.is_none());
    let audio = audio.map(|track| Ok((track, track.media.rfc6381()?))).collect::<Result<Vec<_>>>()?;
    let format = |codec: &str| codec.split('.').next().unwrap_or(codec).to_owned();
    let formats = |one: &OutputTrack<'_>| -> Vec<String> {
        let same = audio.iter().filter(|(other, _)| other.described.is_same_choice(&one.described));
        same.map(|(_, codec)| format(codec)).collect()
    };
    let Some((first, codec)) = audio.first() else { return Ok(None) };
    let of_first = formats(first);
    let apart =
        |(other, _): &&(&OutputTrack<'_>, String)| !formats(other).iter().any(|own| of_first.contains(own));
    Ok(audio.iter().find(apart).map(|(other, others)| {
        format!(
            "{}: {} is {others} and {} is {codec}: in HLS each variant names both, and a player without one of them plays none; \
             give both in one codec, or in groups of their own: --track {}:group=a --track {}:group=b",
            other.file.name, other.id, first.id, first.id, other.id
        )
    }))
}

/// Where the segments of two video tracks do not begin together.
fn apart(
    (first, other): (&OutputTrack<'_>, &OutputTrack<'_>),
    boundaries: &Boundaries,
    start: Start,
) -> Result<Option<String>> {
    let mut rounded = false;
    let mut segments = (first.segments(boundaries)?, other.segments(boundaries)?);
    while let (Some(one), Some(two)) = (segments.0.next().transpose()?, segments.1.next().transpose()?) {
        let (one, two) = (one.time, two.time);
        let (at, elsewhere) = (seconds(first, one, start), seconds(other, two, start));
        if (at - elsewhere).abs() > TOGETHER {
            return Ok(Some(format!(
                "{}: a segment of {} begins at {elsewhere:.3} s, that of {} at {at:.3} s: their key frames are not at \
                 the same times, and players that switch there may stall",
                other.file.name, other.id, first.id
            )));
        }
        let ticks = |time: u64, track: &OutputTrack<'_>| u128::from(time) * u128::from(track.timescale());
        rounded |= ticks(one, other) != ticks(two, first);
    }
    let warning = || {
        format!(
            "{}: {} has {} ticks per second, {} has {}: their segments begin together but for rounding",
            other.file.name,
            other.id,
            other.timescale(),
            first.id,
            first.timescale()
        )
    };
    Ok((rounded && first.timescale() != other.timescale()).then(warning))
}

/// A time of the presentation in seconds since it began.
pub(in crate::job) fn seconds(track: &OutputTrack<'_>, time: u64, start: Start) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "times of less than 2^53 ticks")]
    let ticks = time.saturating_sub(start.ticks(track.timescale())) as f64;
    ticks / f64::from(track.timescale().max(1))
}
