//! When samples play: fragments follow each other, and playlists say how long segments last — ISO/IEC 14496-12 §8.8.12,
//! RFC 8216bis §4.4.4.1.

use std::collections::HashSet;

use crate::hls::LineKind;
use crate::presentation::{MediaPlaylist, Resource};

use super::info::PresentationInfo;
use super::{DashManifest, Mp4Playlist};
use crate::verify::findings::Findings;
use crate::verify::fragmented::file::FragmentFact;

/// How far a duration may be from that of the media, in seconds; playlists of versions before 3 have whole seconds.
pub(super) const ROUNDED: f64 = 0.1;
const WHOLE_SECONDS: f64 = 0.51;
/// How far the begin of a segment may be from what a timeline says, in seconds.
pub(in crate::verify) const APART: f64 = 0.5;
/// The same of the key frames of a playlist: pictures that lead may be presented before theirs.
const LEADING: f64 = 0.25;

/// Tags between segments: RFC 8216bis §4.4.4.3, §4.4.4.7.
const DISCONTINUITY: &str = "EXT-X-DISCONTINUITY";
const GAP: &str = "EXT-X-GAP";

/// The times of a segment's first track.
#[derive(Clone, Copy)]
pub(super) struct Times {
    rendition: usize,
    /// When it is decoded, in ticks of its media.
    decoded: (u64, u64),
    /// When it is presented, in seconds, edits applied; nothing is before 0.
    pub(super) begin: f64,
    pub(super) end: f64,
}

/// Holds the segments of a playlist to the times in them.
pub(in crate::verify) fn check(
    playlist: &Mp4Playlist<'_>,
    start: f64,
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) {
    let media = playlist.media;
    let mut before: Option<(&Resource, Times)> = None;
    let segments = playlist.segments.iter().filter(|(segment, _)| segment.duration > 0.0);
    let mut segments = segments.filter(|_| !media.is_i_frames).peekable();
    while let Some((segment, rendition)) = segments.next() {
        let place = format!("{}: line {}: {}", media.name, segment.line + 1, segment.file);
        let times = of_segment(segment, *rendition, facts);
        if let Some(times) = times {
            let allowed = if segment.duration.fract() == 0.0 { WHOLE_SECONDS } else { ROUNDED };
            let lasts = times.end - times.begin;
            // The first of a track that begins late is listed from the begin of the presentation, and what is before a
            // gap until it is over.
            let since_start = (segment.number == 0).then_some(times.end - start);
            let next = segments.peek().filter(|(_, next)| next == rendition);
            let until_next = next.and_then(|(next, rendition)| of_segment(next, *rendition, facts));
            let until_next = until_next.map(|next| next.begin - times.begin);
            let mut listed = [Some(lasts), since_start, until_next].into_iter().flatten();
            let holds = listed.any(|listed| (listed - segment.duration).abs() <= allowed);
            let expected = format!("{lasts:.3}, the duration of its samples");
            findings.check("time-extinf", holds, &place, &segment.duration, &expected);
            // Of two initialization segments the times may be two.
            let goes_on = before.filter(|(_, before)| before.rendition == *rendition);
            if let Some((last, before)) = goes_on {
                let ((begin, _), (_, end)) = (times.decoded, before.decoded);
                let found = format!("decode time {begin}");
                match parted_by(media, last, segment) {
                    None => drop(findings.check("time-runs-on", begin == end, &place, &found, &end)),
                    Some(DISCONTINUITY) => {
                        let (found, expected) = (format!("{found}, as if nothing were between"), "a break");
                        findings.check("hls-discontinuity", begin != end, &place, &found, &expected);
                    }
                    Some(_) => {}
                }
            }
        }
        before = times.map(|times| (*segment, times));
    }
}

/// Holds the segments of an MPD to its timelines.
pub(in crate::verify) fn check_timelines(
    manifest: &DashManifest<'_>,
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) {
    let is_dynamic = manifest.document.mpd.is_dynamic();
    for (media, rendition) in &manifest.representations {
        let (mut segments, mut before) = (media.segments().peekable(), None);
        let mut known = HashSet::new();
        while let Some(segment) = segments.next() {
            let times = of_segment(segment, *rendition, facts);
            // One that is named again goes on from nothing.
            let is_new = known.insert((&segment.file, segment.bounds()));
            let last = std::mem::replace(&mut before, times.filter(|_| is_new)).filter(|_| is_new);
            let place = format!("{}: {segment}", manifest.document.name);
            // A timeline may have gaps, what goes on may have lost segments, and ranges of a file may be its key frames
            // alone; other segments follow each other.
            let is_held = segment.time.is_none() && segment.range.is_none() && !is_dynamic;
            if let (true, Some(last), Some(times)) = (is_held, last, times) {
                let ((begin, _), (_, end)) = (times.decoded, last.decoded);
                let found = format!("decode time {begin}");
                findings.check("time-runs-on", begin == end, &place, &found, &end);
            }
            let (Some(time), Some(found)) = (segment.time, times) else { continue };
            let stated = seconds(time.ticks, time.timescale);
            let (begin, length) = (found.begin, found.end - found.begin);
            let lasts = seconds(time.duration, time.timescale);
            let holds = (stated - begin).abs() <= APART;
            let found = format!("{stated:.3} s in the timeline");
            let expected = format_args!("{begin:.3} s, its presentation time").to_string();
            findings.check("time-timeline", holds, &place, &found, &expected);
            let found = format!("{lasts:.3} s long in the timeline");
            let expected = format!("{length:.3} s, the duration of its samples");
            // Where the next one follows, it says the same by its begin.
            let next = segments.peek().and_then(|next| next.time);
            let goes_on = next.is_some_and(|next| time.ticks.checked_add(time.duration) == Some(next.ticks));
            let holds = goes_on || (lasts - length).abs() <= ROUNDED;
            findings.check("time-timeline", holds, &place, &found, &expected);
        }
    }
}

/// Holds the first segments of playlists to each other: of one presentation they begin at one time.
pub(in crate::verify) fn check_starts(
    playlists: &[Mp4Playlist<'_>],
    start: f64,
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) {
    for playlist in playlists {
        let Some((segment, times)) = first(playlist, facts) else { continue };
        let place = format!("{}: {}", playlist.media.name, segment.file);
        let holds = times.begin - start <= segment.duration;
        let found = format!("{:.3} s", times.begin);
        findings.check("time-start", holds, &place, &found, &format_args!("{start:.3} s, as the others"));
    }
}

/// When the presentation of these playlists begins, in seconds: with the first of them.
pub(in crate::verify) fn start(playlists: &[Mp4Playlist<'_>], facts: &PresentationInfo<'_>) -> f64 {
    let begins = playlists.iter().filter_map(|playlist| Some(first(playlist, facts)?.1.begin));
    begins.min_by(f64::total_cmp).unwrap_or(0.0)
}

/// The first segment of a playlist that has begun, and its times.
fn first<'a>(playlist: &'a Mp4Playlist<'_>, facts: &PresentationInfo<'_>) -> Option<(&'a Resource, Times)> {
    let mut segments = playlist.segments.iter().filter(|_| !playlist.media.is_i_frames);
    let (segment, rendition) = segments.find(|(segment, _)| segment.duration > 0.0)?;
    let times = of_segment(segment, *rendition, facts)?;
    (segment.number == 0).then_some((*segment, times))
}

#[expect(clippy::cast_precision_loss, reason = "seconds to be compared within a part of one")]
pub(super) fn seconds(ticks: u64, timescale: u64) -> f64 {
    ticks as f64 / timescale.max(1) as f64
}

/// The tag by which time need not go on between two segments: RFC 8216bis §4.4.4.3, §4.4.4.7.
pub(in crate::verify) fn parted_by(
    media: &MediaPlaylist,
    before: &Resource,
    segment: &Resource,
) -> Option<&'static str> {
    let between = media.playlist.lines().get(before.line..segment.line).unwrap_or_default();
    let has =
        |tag| between.iter().any(|line| matches!(line.kind(), LineKind::Tag { name, .. } if name == tag));
    [GAP, DISCONTINUITY].into_iter().find(|tag| has(*tag))
}

/// Holds a playlist of I-frames to the times of the fragments that they begin: each lasts up to the next one, RFC 8216bis
/// §4.4.3.6.
pub(in crate::verify) fn check_i_frames(
    playlist: &Mp4Playlist<'_>,
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) {
    let media = playlist.media;
    let begin = |(segment, rendition): &(&Resource, usize)| {
        let start = segment.range.as_ref().map_or(0, |range| range.start);
        let fragment = facts.fragments(&segment.file, segment.range.as_ref()).first()?;
        let times = of_segment(segment, *rendition, facts)?;
        (segment.range.is_none() || fragment.position == start).then_some(times.begin)
    };
    for pair in playlist.segments.windows(2).filter(|_| media.is_i_frames) {
        let [one, next] = pair else { continue };
        let (Some(from), Some(to)) = (begin(one), begin(next)) else { continue };
        // Several of one fragment have no time of their own.
        if one.1 != next.1 || to <= from || one.0.duration <= 0.0 {
            continue;
        }
        let stated = one.0.duration;
        let allowed = if stated.fract() == 0.0 { WHOLE_SECONDS } else { LEADING };
        let place = format!("{}: line {}: {}", media.name, one.0.line + 1, one.0.file);
        let expected = format!("{:.3}, up to the next I-frame", to - from);
        findings.check("time-extinf", (to - from - stated).abs() <= allowed, &place, &stated, &expected);
    }
}

pub(super) fn of_segment(
    segment: &Resource,
    rendition: usize,
    facts: &PresentationInfo<'_>,
) -> Option<Times> {
    let fragments = facts.fragments(&segment.file, segment.range.as_ref());
    let FragmentFact { track_id, begin, .. } = *fragments.first()?;
    let of_track = || fragments.iter().filter(|fragment| fragment.track_id == track_id);
    let end = of_track().next_back()?.end;
    let timescale = facts.timescale(rendition, track_id)?;
    let presented = |time: u64| seconds(time, timescale.into());
    let shown = || of_track().filter_map(|fragment| fragment.presented);
    let begins = shown().map(|(begin, _)| begin).min().unwrap_or(0);
    let ends = shown().map(|(_, end)| end).max().unwrap_or(0);
    Some(Times { rendition, decoded: (begin, end), begin: presented(begins), end: presented(ends) })
}
