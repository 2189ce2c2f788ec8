//! When samples play: fragments follow each other, and playlists say how long segments last — ISO/IEC 14496-12 §8.8.12,
//! RFC 8216bis §4.4.4.1.

use crate::hls::LineKind;
use crate::presentation::Resource;

use super::info::PresentationInfo;
use super::{DashManifest, Mp4Playlist};
use crate::verify::findings::Findings;
use crate::verify::fragmented::file::FragmentFact;

/// How far a duration may be from that of the media, in seconds; playlists of versions before 3 have whole seconds.
const ROUNDED: f64 = 0.1;
const WHOLE_SECONDS: f64 = 0.51;
/// How far the decode time of a segment may be from its presentation time, in seconds.
const REORDERED: f64 = 0.5;

/// The times of a segment's first track, in ticks of its media.
#[derive(Clone, Copy)]
struct Times {
    rendition: usize,
    begin: u64,
    end: u64,
    timescale: u32,
}

impl Times {
    pub(super) fn seconds(self) -> f64 {
        seconds(self.end.saturating_sub(self.begin), u64::from(self.timescale))
    }
}

/// Holds the segments of a playlist to the times in them.
pub(in crate::verify) fn check(
    playlist: &Mp4Playlist<'_>,
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) {
    let media = playlist.media;
    let mut before: Option<(&Resource, Times)> = None;
    let segments = playlist.segments.iter().filter(|(segment, _)| segment.duration > 0.0);
    for (segment, rendition) in segments.filter(|_| !media.is_i_frames) {
        let place = format!("{}: line {}: {}", media.name, segment.line + 1, segment.file);
        let times = of_segment(segment, *rendition, facts);
        if let Some(times) = times {
            let allowed = if segment.duration.fract() == 0.0 { WHOLE_SECONDS } else { ROUNDED };
            let holds = (times.seconds() - segment.duration).abs() <= allowed;
            let expected = format!("{:.3}, the duration of its samples", times.seconds());
            findings.check("time-extinf", holds, &place, &segment.duration, &expected);
            // Of two initialization segments the times may be two.
            let goes_on = before.filter(|(_, before)| before.rendition == *rendition);
            if let Some((_, before)) = goes_on.filter(|(last, _)| !is_parted(playlist, last, segment)) {
                let found = format!("decode time {}", times.begin);
                findings.check("time-runs-on", times.begin == before.end, &place, &found, &before.end);
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
    for (media, rendition) in &manifest.representations {
        for segment in media.segments() {
            let (Some(time), Some(found)) = (segment.time, of_segment(segment, *rendition, facts)) else {
                continue;
            };
            let stated = seconds(time.ticks, time.timescale);
            let begin = seconds(found.begin, u64::from(found.timescale));
            let place = format!("{}: {segment}", manifest.document.name);
            // Reordered pictures play after they are decoded.
            let holds = (stated - begin).abs() <= REORDERED;
            let found = format!("{stated:.3} s in the timeline");
            findings.check(
                "time-timeline",
                holds,
                &place,
                &found,
                &format_args!("{begin:.3} s, its decode time"),
            );
        }
    }
}

/// Holds the first segments of playlists to each other: of one presentation they begin at one time.
pub(in crate::verify) fn check_starts(
    playlists: &[Mp4Playlist<'_>],
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) {
    let mut known: Option<(&str, f64)> = None;
    for playlist in playlists.iter().filter(|playlist| !playlist.media.is_i_frames) {
        let first = playlist.segments.iter().find(|(segment, _)| segment.duration > 0.0);
        let times =
            first.and_then(|(segment, rendition)| Some((segment, of_segment(segment, *rendition, facts)?)));
        let Some((segment, times)) = times.filter(|(segment, _)| segment.number == 0) else { continue };
        let begin = seconds(times.begin, u64::from(times.timescale));
        let (other, expected) = *known.get_or_insert((playlist.media.name.as_str(), begin));
        let place = format!("{}: {}", playlist.media.name, segment.file);
        let holds = (begin - expected).abs() <= segment.duration;
        let expected = format!("{expected:.3} s, as {other}");
        findings.check("time-start", holds, &place, &format_args!("{begin:.3} s"), &expected);
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds to be compared within a part of one")]
pub(super) fn seconds(ticks: u64, timescale: u64) -> f64 {
    ticks as f64 / timescale.max(1) as f64
}

/// Whether time need not go on between two segments: RFC 8216bis §4.4.4.3, §4.4.4.7.
fn is_parted(playlist: &Mp4Playlist<'_>, before: &Resource, segment: &Resource) -> bool {
    let between = playlist.media.playlist.lines().get(before.line..segment.line).unwrap_or_default();
    between
        .iter()
        .any(|line| matches!(line.kind(), LineKind::Tag { name: "EXT-X-DISCONTINUITY" | "EXT-X-GAP", .. }))
}

fn of_segment(segment: &Resource, rendition: usize, facts: &PresentationInfo<'_>) -> Option<Times> {
    let fragments = facts.fragments(&segment.file, segment.range.as_ref());
    let FragmentFact { track_id, begin, .. } = *fragments.first()?;
    let last = fragments.iter().rev().find(|fragment| fragment.track_id == track_id)?;
    let timescale = facts.timescale(rendition, track_id)?;
    Some(Times { rendition, begin, end: last.end, timescale })
}
