//! When samples play: fragments follow each other, and playlists say how long segments last — ISO/IEC 14496-12 §8.8.12,
//! RFC 8216bis §4.4.4.1.

use crate::hls::LineKind;
use crate::presentation::Resource;

use super::Mp4Playlist;
use super::info::PresentationInfo;
use crate::verify::findings::Findings;
use crate::verify::fragmented::file::FragmentFact;

/// How far a duration may be from that of the media, in seconds; playlists of versions before 3 have whole seconds.
const ROUNDED: f64 = 0.1;
const WHOLE_SECONDS: f64 = 0.51;

/// The times of a segment's first track, in ticks of its media.
#[derive(Clone, Copy)]
struct Times {
    rendition: usize,
    begin: u64,
    end: u64,
    timescale: u32,
}

impl Times {
    #[expect(clippy::cast_precision_loss, reason = "seconds to be compared within a tenth")]
    fn seconds(self) -> f64 {
        self.end.saturating_sub(self.begin) as f64 / f64::from(self.timescale.max(1))
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
