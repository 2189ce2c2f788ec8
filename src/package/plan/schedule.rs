//! Clear stretches and crypto periods: when a track is clear and when its key changes — ISO/IEC 23001-7 §6.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result};

/// Most crypto periods of one job: a day of segments of 6 s in periods of four segments.
pub const MAX_PERIODS: u32 = 3600;

/// A segment that begins so little before the end of a clear stretch, or before a crypto period, begins with it: frames
/// of audio do not begin where those of video do, and all tracks are to change together.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Which crypto period it is, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period(usize);

impl Period {
    /// The first; there is no other when keys do not change.
    pub const FIRST: Self = Self(0);
    /// None of them: no key is for it.
    pub(in crate::package) const NONE: Self = Self(usize::MAX);

    /// The first ones, so many.
    pub fn all(count: usize) -> impl Iterator<Item = Self> + Clone {
        (0..count).map(Self)
    }

    /// Its number, from 0.
    pub fn number(self) -> usize {
        self.0
    }

    /// How many come before it, but for the first: its place among the later ones.
    pub(in crate::package) fn among_later(self) -> Option<usize> {
        self.0.checked_sub(1)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What segments are clear, and which of them share a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Segments that begin in one of these are clear; in order, without overlap. A clear lead is one at the begin.
    pub clear: Arc<[ClearRange]>,
    /// How many segments a crypto period has; `None` is one period for all.
    pub rotate_every: Option<NonZeroU32>,
    /// When each crypto period begins and ends, in order; instead of a number of segments.
    pub times: Option<Arc<[PeriodTime]>>,
}

/// A stretch of the presentation that is left clear: the segments that begin in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearRange {
    /// Its begin since that of the presentation.
    pub start: Duration,
    /// Its end.
    pub end: Duration,
}

impl ClearRange {
    /// A clear lead of this length; none when it has none.
    pub fn lead(length: Duration) -> Option<Self> {
        (!length.is_zero()).then_some(Self { start: Duration::ZERO, end: length })
    }
}

/// When a crypto period begins and ends: it covers the segments that begin in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodTime {
    /// Its begin since that of the presentation.
    pub start: Duration,
    /// Its end; `None` when no other follows.
    pub end: Option<Duration>,
}

/// What protects a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SegmentKey {
    /// Nothing: it belongs to a clear stretch.
    Clear,
    /// The key of a crypto period.
    Period(Period),
}

impl SegmentKey {
    /// The crypto period; `None` of a clear segment.
    pub fn period(self) -> Option<Period> {
        match self {
            Self::Clear => None,
            Self::Period(period) => Some(period),
        }
    }

    /// Whether it is a crypto period behind the first.
    pub fn is_later(self) -> bool {
        matches!(self, Self::Period(period) if period > Period::FIRST)
    }

    /// Whether no key is for it: a segment begins when no crypto period is.
    pub fn has_no_key(self) -> bool {
        self == Self::Period(Period::NONE)
    }

    /// Checks that it is clear on purpose or has a crypto period.
    ///
    /// # Errors
    /// When it has none.
    pub fn check_key(self) -> Result<()> {
        if !self.has_no_key() {
            return Ok(());
        }
        Err(Error::keys("a segment begins when no key period is")
            .clause("DASH-IF CPIX 2.3 §4, ContentKeyPeriod")
            .hint("give periods that cover all of the presentation: what no key is for is never left clear"))
    }
}

impl Schedule {
    /// Whether all segments are under one key.
    pub fn is_constant(&self) -> bool {
        !self.has_clear() && !self.rotates()
    }

    /// Whether keys change.
    pub fn rotates(&self) -> bool {
        self.rotate_every.is_some() || self.times.is_some()
    }

    /// Whether some segments are clear.
    pub fn has_clear(&self) -> bool {
        !self.clear.is_empty()
    }

    /// Whether segments may be clear behind encrypted ones.
    pub fn returns_to_clear(&self) -> bool {
        self.clear.iter().any(|range| !range.start.is_zero())
    }

    /// The clear lead, if nothing else is clear.
    pub fn lead(&self) -> Option<Duration> {
        self.clear.first().map(|first| first.end).filter(|_| !self.returns_to_clear())
    }

    /// Whether a stretch of the presentation, in seconds, is one of segments that begin in this range.
    pub fn is_of(range: ClearRange, (start, end): (f64, f64)) -> bool {
        let tolerance = TOLERANCE.as_secs_f64();
        start < range.end.as_secs_f64() && end > range.start.as_secs_f64() - tolerance
    }

    /// The same for what begins so late: stretches that are over then are left out.
    #[must_use]
    pub fn behind(mut self, before: Duration) -> Self {
        let is_ahead = |range: &&ClearRange| range.end.saturating_sub(TOLERANCE) > before;
        self.clear = self.clear.iter().filter(is_ahead).copied().collect();
        self
    }

    /// What protects the segment of this number, from 0, that begins `elapsed` ticks after the first one. At a time
    /// that no period has it is one that is not there, which no key is for.
    pub fn segment_key(&self, segment: u32, elapsed: u64, timescale: u32) -> SegmentKey {
        let begins = u128::from(elapsed) * Duration::from_secs(1).as_nanos();
        let is_before = |time: Duration| begins < time.as_nanos().saturating_mul(u128::from(timescale));
        let has_begun = |time: Duration| !is_before(time.saturating_sub(TOLERANCE));
        if self.clear.iter().any(|range| has_begun(range.start) && !has_begun(range.end)) {
            return SegmentKey::Clear;
        }
        let Some(times) = &self.times else {
            let period = self.rotate_every.map_or(0, |segments| segment / segments);
            return SegmentKey::Period(Period(usize::try_from(period).unwrap_or(usize::MAX)));
        };
        let begun = times.partition_point(|period| !is_before(period.start.saturating_sub(TOLERANCE)));
        let current = begun.checked_sub(1).and_then(|last| Some((last, times.get(last)?)));
        match current {
            Some((number, period)) if period.end.is_none_or(is_before) => SegmentKey::Period(Period(number)),
            _ => SegmentKey::Period(Period::NONE),
        }
    }

    /// When what protects segments changes, as far as that has times.
    pub fn changes(&self) -> Vec<Duration> {
        let clear = self.clear.iter().flat_map(|range| [range.start, range.end]);
        let periods = self.times.iter().flat_map(|times| times.iter());
        clear.chain(periods.flat_map(|period| std::iter::once(period.start).chain(period.end))).collect()
    }

    /// Whether it depends on when a segment begins.
    pub fn needs_times(&self) -> bool {
        self.has_clear() || self.times.is_some()
    }

    /// The same for a presentation that lasts so long: the last crypto period ends with it when it ends a little before,
    /// as it does where audio lasts longer than video.
    #[must_use]
    pub fn lasting(mut self, lasts: Duration) -> Self {
        let mut times = self.times.take().map(|times| times.to_vec());
        if let Some(last) = times.iter_mut().flatten().next_back() {
            last.end = last.end.filter(|end| lasts > end.saturating_add(TOLERANCE));
        }
        self.times = times.map(Arc::from);
        self
    }

    /// How many crypto periods so many segments have.
    ///
    /// # Errors
    /// When there are more than [`MAX_PERIODS`].
    pub fn periods(&self, segments: u32) -> Result<usize> {
        let periods = self.rotate_every.map_or(1, |every| segments.div_ceil(every.get()).max(1));
        if periods > MAX_PERIODS {
            return Err(Error::usage(format!(
                "{segments} segments are {periods} crypto periods, at most {MAX_PERIODS} are done"
            ))
            .hint("change keys less often"));
        }
        Ok(usize::try_from(periods).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(seconds: u64, every: u32) -> Schedule {
        Schedule {
            clear: ClearRange::lead(Duration::from_secs(seconds)).into_iter().collect(),
            rotate_every: NonZeroU32::new(every),
            times: None,
        }
    }

    #[test]
    fn the_first_segment_that_begins_after_the_lead_is_protected() {
        let lead = schedule(4, 0);
        assert_eq!(lead.segment_key(0, 0, 1000), SegmentKey::Clear);
        assert_eq!(lead.segment_key(1, 3899, 1000), SegmentKey::Clear);
        assert_eq!(lead.segment_key(1, 3957, 1000), SegmentKey::Period(Period(0)), "audio is a frame early");
        assert_eq!(lead.segment_key(2, 4000, 1000), SegmentKey::Period(Period(0)));
        assert_eq!(schedule(0, 0).segment_key(0, 0, 1), SegmentKey::Period(Period(0)));
        assert_eq!(lead.segment_key(u32::MAX, u64::MAX, u32::MAX), SegmentKey::Period(Period(0)));
    }

    #[test]
    fn a_segment_that_begins_in_a_clear_range_is_clear_and_no_other() {
        let range =
            |start, end| ClearRange { start: Duration::from_secs(start), end: Duration::from_secs(end) };
        let clear: Arc<[ClearRange]> = [range(2, 4), range(8, 9)].into();
        let two = Schedule { clear, ..Schedule::default() };
        for (elapsed, is_clear) in [
            (0, false),
            (1899, false),
            (1957, true),
            (2000, true),
            (3899, true),
            (3957, false),
            (4000, false),
            (8000, true),
            (9000, false),
            (u64::MAX, false),
        ] {
            assert_eq!(two.segment_key(0, elapsed, 1000) == SegmentKey::Clear, is_clear, "{elapsed}");
        }
        assert!(two.returns_to_clear() && two.lead().is_none() && schedule(4, 0).lead().is_some());
        assert_eq!(two.clone().behind(Duration::from_secs(5)).clear.len(), 1);
        assert!(two.behind(Duration::MAX).is_constant());
    }

    #[test]
    fn periods_have_so_many_segments_and_the_last_may_have_fewer() {
        let three = schedule(0, 3);
        let segment_keys: Vec<_> = (0..7).map(|number| three.segment_key(number, 0, 1)).collect();
        assert_eq!(segment_keys, [0, 0, 0, 1, 1, 1, 2].map(|number| SegmentKey::Period(Period(number))));
        assert_eq!([0, 1, 3, 4, 7].map(|count| three.periods(count).unwrap()), [1, 1, 1, 2, 3]);
        assert_eq!(schedule(9, 0).periods(u32::MAX).unwrap(), 1);
        assert!(schedule(0, 1).periods(MAX_PERIODS + 1).is_err());
    }

    #[test]
    fn the_period_in_which_a_segment_begins_covers_it() {
        let period = |start, end: Option<u64>| PeriodTime {
            start: Duration::from_secs(start),
            end: end.map(Duration::from_secs),
        };
        let hours = [period(0, Some(10)), period(10, Some(20)), period(30, None)];
        let timed = Schedule { times: Some(hours.into()), ..schedule(0, 1) };
        for (elapsed, number) in
            [(0, 0), (9800, 0), (9950, 1), (19_950, 1), (20_000, usize::MAX), (30_000, 2), (u64::MAX, 2)]
        {
            assert_eq!(timed.segment_key(7, elapsed, 1000), SegmentKey::Period(Period(number)), "{elapsed}");
        }
        let two = Schedule { times: Some(hours.iter().copied().take(2).collect()), ..timed };
        for (lasts, number) in [(20_050, 1), (20_200, usize::MAX)] {
            let lasting = two.clone().lasting(Duration::from_millis(lasts));
            assert_eq!(lasting.segment_key(9, 20_010, 1000), SegmentKey::Period(Period(number)));
        }
    }
}
