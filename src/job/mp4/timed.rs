//! The segments of a CMAF track on the time line of the presentation — RFC 8216bis §4.4.4.1, ISO/IEC 23009-1 §5.3.9.6.

use crate::base::{Result, ratio};
use crate::package::{Presented, WrittenSegment, presented};

use super::cut::Start;
use super::files::TrackFiles;
use super::{OutputTrack, WrittenTrack};

/// A CMAF track and when its segments are presented.
pub(in crate::job) struct Timed<'a> {
    pub(in crate::job) track: &'a OutputTrack<'a>,
    pub(in crate::job) segments: &'a [WrittenSegment],
    pub(in crate::job) files: &'a TrackFiles,
    pub(in crate::job) presented: Vec<Presented>,
    /// When the presentation begins, in ticks of the media.
    pub(in crate::job) start: u64,
}

impl<'a> Timed<'a> {
    pub(in crate::job) fn new(written: &'a WrittenTrack<'_>, start: Start) -> Result<Self> {
        let WrittenTrack { track, segments, files } = written;
        let presented = presented(&track.edits, segments).map_err(|error| error.at(track.id))?;
        Ok(Self { track, segments, files, presented, start: start.ticks(track.media.track.timescale) })
    }

    /// When the last segment ends, in ticks since the presentation began.
    pub(in crate::job) fn end(&self) -> u64 {
        let end = self.presented.last().map_or(0, |last| last.start.saturating_add(last.span));
        end.saturating_sub(self.start)
    }

    /// Whether each segment can be decoded without another one: it begins with a key frame, and where groups are open, the
    /// pictures that lead that may need the one before. Before the first there is nothing.
    pub(in crate::job) fn are_independent(&self) -> bool {
        let needs_none = |(number, segment): (usize, &WrittenSegment)| match segment.sap_type {
            0 => false,
            3 => number == 0,
            _ => true,
        };
        self.segments.iter().enumerate().all(needs_none)
    }

    /// How long each segment lasts on the time line of a playlist, which begins with the presentation and has no
    /// gaps: until the next one begins.
    pub(in crate::job) fn listed_durations(&self) -> impl Iterator<Item = u64> + '_ {
        let late = self.presented.first().map_or(0, |first| first.start.saturating_sub(self.start));
        let late = std::iter::once(late).chain(std::iter::repeat(0));
        self.presented.iter().zip(late).map(|(presented, late)| presented.span.saturating_add(late))
    }

    pub(in crate::job) fn seconds(&self, ticks: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "durations of less than 2^53 ticks")]
        let ticks = ticks as f64;
        ticks / f64::from(self.track.media.track.timescale)
    }

    /// The durations of all samples together.
    pub(in crate::job) fn duration(&self) -> u64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// The target duration of its playlist, in ticks: that of the longest segment, in whole seconds, as §4.4.3.1 of RFC
    /// 8216bis rounds it.
    fn target(&self) -> u64 {
        let timescale = u64::from(self.track.media.track.timescale);
        let longest = self.listed_durations().max().unwrap_or(0);
        (longest.saturating_add(timescale / 2) / timescale.max(1)).max(1).saturating_mul(timescale)
    }

    /// The peak segment bit rate in bits per second: the highest of any run of segments that lasts 0.5 to 1.5 target
    /// durations, RFC 8216bis §4.1; of media that is shorter, the average. What
    /// the operator says goes before.
    pub(in crate::job) fn peak(&self) -> u64 {
        if let Some(stated) = self.track.described.bandwidth {
            return stated;
        }
        let target = self.target();
        let times: Vec<_> = self.segments.iter().zip(&self.presented).collect();
        let mut peak = None;
        for first in 0..times.len() {
            let (mut bytes, mut duration) = (0_u64, 0_u64);
            for (segment, presented) in times.iter().skip(first) {
                bytes = bytes.saturating_add(segment.bytes);
                duration = duration.saturating_add(presented.duration);
                if duration.saturating_mul(2) > target.saturating_mul(3) {
                    break;
                }
                if duration.saturating_mul(2) >= target {
                    peak = peak.max(Some(self.bits_per_second(bytes, duration)));
                }
            }
        }
        peak.unwrap_or_else(|| self.average())
    }

    pub(in crate::job) fn average(&self) -> u64 {
        let bytes = self.segments.iter().map(|segment| segment.bytes).sum();
        // What an edit list leaves out is fetched, and not played.
        let duration = self.presented.iter().map(|presented| presented.duration).sum();
        let average = self.bits_per_second(bytes, duration);
        self.track.described.bandwidth.map_or(average, |stated| average.min(stated))
    }

    pub(in crate::job) fn bits_per_second(&self, bytes: u64, duration: u64) -> u64 {
        let timescale = u128::from(self.track.media.track.timescale);
        let bits = u128::from(bytes) * 8 * timescale / u128::from(duration.max(1));
        u64::try_from(bits).unwrap_or(u64::MAX)
    }

    /// Pictures per second as a reduced fraction.
    pub(in crate::job) fn frame_rate(&self) -> (u64, u64) {
        let samples: u64 = self.segments.iter().map(|segment| segment.samples).sum();
        let (pictures, ticks) =
            (samples.saturating_mul(self.track.media.track.timescale.into()), self.duration().max(1));
        let (pictures, ticks) = ratio::reduced(pictures.into(), ticks.into());
        let narrow = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        (narrow(pictures), narrow(ticks))
    }
}
