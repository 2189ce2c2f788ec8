//! Segments and fragments of a CMAF track: where they are cut — ISO/IEC 23000-19 §7.3.2.

use std::ops::Range;
use std::time::Duration;

use crate::base::{Error, Result};
use crate::isobmff::samples::Sample;

use super::edit_list::EditList;

/// Most bytes of media data in one fragment. A longer segment has several (CMAF chunks, §7.3.2.3), so that
/// memory depends on neither the segment's length nor the file's.
pub const MAX_CHUNK_BYTES: usize = 8 << 20;
/// A random access point may be so much before the time at which a cut is wished, in parts of a second.
const ROUNDING: u32 = 1000;

/// Where segments end: the times at which the first video track can be cut, and a grid behind them.
#[derive(Clone, Debug)]
pub struct Boundaries {
    /// The time from which the grid counts, when there are no cuts, in ticks of `timescale`.
    origin: u64,
    /// Times of cuts, in ticks of `timescale`.
    times: Vec<u64>,
    timescale: u32,
    /// The distance of further cuts, in ticks of `timescale`.
    duration: u64,
    /// When the presentation begins, in ticks of `timescale`.
    begin: u64,
    /// When what protects segments changes: a tail is not joined over such a time. In ticks of `timescale`, since
    /// `begin`.
    changes: Vec<u64>,
}

/// One segment of a track.
#[derive(Clone, Debug)]
pub struct CmafSegment {
    /// Its number, from 0.
    pub number: u32,
    /// How many boundaries there are before it. It differs from the number when a track begins late or has gaps, and
    /// is the same for segments of all tracks that are presented together.
    pub interval: u32,
    /// When its first sample is presented, in ticks of the media; what is before the presentation counts as its begin.
    pub time: u64,
    /// Number of the first of its fragments, from 1.
    pub(in crate::package) first_sequence_number: u32,
    /// The number of its first sample in the track, from 0.
    pub(in crate::package) first_sample: u64,
    /// Its samples.
    pub(in crate::package) samples: Vec<Sample>,
    /// Which samples each fragment has.
    pub(in crate::package) chunks: Vec<Range<usize>>,
    /// Whether key frames are fragments of their own.
    pub(in crate::package) key_frames: bool,
}

impl CmafSegment {
    /// The bytes of its samples.
    pub fn media_bytes(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.size)).sum()
    }
}

impl Boundaries {
    /// A cut every `seconds` from `origin` on, which is in ticks of `timescale`.
    pub fn grid(origin: u64, timescale: u32, seconds: f64) -> Self {
        Self {
            origin,
            times: Vec::new(),
            timescale,
            duration: ticks(seconds, timescale),
            begin: origin,
            changes: Vec::new(),
        }
    }

    /// The same where what protects segments changes at these times of the presentation.
    #[must_use]
    pub fn with_changes(mut self, changes: &[Duration]) -> Self {
        self.changes = changes.iter().map(|change| ticks(change.as_secs_f64(), self.timescale)).collect();
        self
    }

    /// Whether what begins at `time` and ends at `end`, in ticks of `timescale`, is a tail that joins the segment that
    /// began at `start`: shorter than half a segment, and under the same key.
    fn is_tail(&self, (start, time, end): (u64, u64, u64), timescale: u32) -> bool {
        let (ours, theirs) = (u128::from(self.timescale), u128::from(timescale.max(1)));
        let is_short = u128::from(end.saturating_sub(time)) * 2 * ours < u128::from(self.duration) * theirs;
        let scaled = |time: u64| u128::from(time) * ours / theirs;
        // Tracks begin at times that differ a little: where it is close, nothing is joined.
        let near = u128::from(self.timescale / 2);
        let is_over = |change: &u64| {
            let change = u128::from(self.begin) + u128::from(*change);
            scaled(start) < change + near && change <= scaled(time) + near
        };
        // Behind the last cut is a grid: nothing else begins where it cuts off a moment.
        let is_moment = u128::from(end.saturating_sub(time)) * ours < near * theirs;
        let is_on_grid = self.times.last().is_some_and(|last| scaled(time) > u128::from(*last) + near);
        is_short && (is_moment && is_on_grid || !self.changes.iter().any(is_over))
    }

    /// Of samples as they are written, a cut at the first random access point at least `seconds` after the cut before it, and at the first one at
    /// each of `changes` after the begin of the presentation or behind it. Pictures that lead a random access point, as
    /// where groups are open, are presented before and belong to its segment: its own time is what counts.
    ///
    /// # Errors
    /// When a sample cannot be read.
    pub fn of(
        samples: impl Iterator<Item = Result<Sample>>,
        edits: &EditList,
        (begin, timescale): (u64, u32),
        (seconds, changes): (f64, &[Duration]),
    ) -> Result<Self> {
        let (edits, duration) = (edits.written(), ticks(seconds, timescale));
        // Times that are typed or of another clock are rounded.
        let rounded = u64::from(timescale / ROUNDING);
        let changes = changes.iter().filter(|change| !change.is_zero());
        let mut changes = changes.map(|change| ticks(change.as_secs_f64(), timescale)).peekable();
        let mut times = Vec::new();
        let mut first = None;
        let mut start = 0;
        for sample in samples {
            let sample = sample?;
            let time = edits.time(sample.composition_time());
            if first.is_none() {
                (first, start) = (Some(time), time);
            }
            if !sample.is_sync() {
                continue;
            }
            let elapsed = time.saturating_sub(begin).saturating_add(rounded);
            let mut is_change = false;
            while changes.next_if(|change| *change <= elapsed).is_some() {
                is_change = time > start;
            }
            let is_long = time.saturating_sub(start).saturating_add(rounded) >= duration;
            if (is_change || is_long) && edits.may_cut(&sample) {
                times.push(time);
                start = time;
            }
        }
        Ok(Self { origin: first.unwrap_or(0), times, timescale, duration, begin, changes: Vec::new() })
    }

    /// Where what begins and ends at these times, in ticks of `timescale`, is cut as tracks are: its begin and the
    /// boundaries inside of it.
    pub fn cuts(&self, (begin, end): (u64, u64), timescale: u32) -> Vec<u64> {
        let mut cuts = vec![begin];
        let mut time = begin;
        while let Ok(next) = u64::try_from(self.around(time, timescale).1)
            && next > time
            && next < end
            && !self.is_tail((time, next, end), timescale)
        {
            cuts.push(next);
            time = next;
        }
        cuts
    }

    /// How many boundaries there are up to a time in ticks of `timescale`, and when the next one is. A time of day
    /// has many: they are not gone through.
    fn around(&self, time: u64, timescale: u32) -> (u32, u128) {
        let (ours, theirs) = (u128::from(self.timescale.max(1)), u128::from(timescale));
        let passed = self.times.partition_point(|cut| u128::from(*cut) * theirs / ours <= u128::from(time));
        let scaled = |ticks: u128| ticks * theirs / ours;
        if let Some(next) = self.times.get(passed) {
            return (u32::try_from(passed).unwrap_or(u32::MAX), scaled((*next).into()));
        }
        let last = u128::from(self.times.last().copied().unwrap_or(self.origin));
        let duration = u128::from(self.duration.max(1));
        // The first cut behind `last` whose time, rounded down, is later.
        let until = (u128::from(time) + 1) * ours;
        let since = until.saturating_sub(last * theirs);
        let steps = since.div_ceil(duration * theirs.max(1)).max(1);
        let count = (passed as u128).saturating_add(steps - 1);
        (u32::try_from(count).unwrap_or(u32::MAX), scaled(last + duration * steps))
    }
}

fn ticks(seconds: f64, timescale: u32) -> u64 {
    let ticks = (seconds * f64::from(timescale)).round().max(1.0);
    // A double of 2^53 and more is no duration; the cast saturates.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and saturating")]
    {
        ticks as u64
    }
}

/// Divides the samples of a track into segments; each begins at a random access point.
pub struct Segments<'a, I> {
    samples: I,
    boundaries: &'a Boundaries,
    edits: EditList,
    timescale: u32,
    /// When the presentation of the last sample ends.
    end: u64,
    /// Whether key frames are fragments of their own.
    key_frames: bool,
    next_sample: Option<Sample>,
    /// The decode time of the sample before.
    decode_time: u64,
    number: u32,
    sequence_number: u32,
    sample_number: u64,
    failed: bool,
}

impl<'a, I: Iterator<Item = Result<Sample>>> Segments<'a, I> {
    /// The segments of a track whose media has `timescale` ticks per second; the samples are those that are written.
    pub fn new(samples: I, boundaries: &'a Boundaries, edits: &EditList, timescale: u32) -> Self {
        Self {
            samples,
            boundaries,
            edits: edits.written(),
            timescale,
            end: u64::MAX,
            key_frames: false,
            next_sample: None,
            decode_time: 0,
            number: 0,
            sequence_number: 1,
            sample_number: 0,
            failed: false,
        }
    }

    /// The same of a track whose presentation ends then: a tail shorter than half a segment joins the one before.
    #[must_use]
    pub fn ending(mut self, end: u64) -> Self {
        self.end = end;
        self
    }

    /// The same with key frames as fragments of their own, which players fetch alone to go through the pictures fast.
    #[must_use]
    pub fn with_key_frames_apart(mut self, apart: bool) -> Self {
        self.key_frames = apart;
        self
    }

    fn segment(&mut self) -> Result<Option<CmafSegment>> {
        let mut samples = Vec::new();
        let edits = self.edits;
        let read = self.samples.by_ref();
        let Some(first) = self.next_sample.take().map(Ok).or_else(|| read.next()).transpose()? else {
            return Ok(None);
        };
        let time = |sample: &Sample| edits.time(sample.composition_time());
        let start = time(&first);
        let (interval, end) = self.boundaries.around(start, self.timescale);
        self.decode_time = first.decode_time;
        samples.push(first);
        for sample in read {
            let sample = sample?;
            check_order(self.decode_time, &sample)?;
            self.decode_time = sample.decode_time;
            if sample.is_sync()
                && u128::from(time(&sample)) >= end
                && edits.may_cut(&sample)
                && !self.boundaries.is_tail((start, time(&sample), self.end), self.timescale)
            {
                self.next_sample = Some(sample);
                break;
            }
            samples.push(sample);
        }
        let key_frame_distance = self.key_frames.then(|| u64::from(self.timescale / 2));
        let chunks = chunks(&samples, key_frame_distance)?;
        let segment = CmafSegment {
            number: self.number,
            interval,
            time: start,
            first_sequence_number: self.sequence_number,
            first_sample: self.sample_number,
            samples,
            chunks,
            key_frames: self.key_frames,
        };
        self.number += 1;
        self.sample_number = self.sample_number.saturating_add(segment.samples.len() as u64);
        self.sequence_number =
            self.sequence_number.wrapping_add(u32::try_from(segment.chunks.len()).unwrap_or(1));
        Ok(Some(segment))
    }
}

impl<I: Iterator<Item = Result<Sample>>> Iterator for Segments<'_, I> {
    type Item = Result<CmafSegment>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let segment = self.segment();
        self.failed = segment.is_err();
        segment.transpose()
    }
}

/// Fragments that stand twice or in another order would be played where they stand, and cut at the wrong places.
fn check_order(before: u64, sample: &Sample) -> Result<()> {
    if sample.decode_time >= before {
        return Ok(());
    }
    Err(Error::input(format!(
        "a sample with decode time {}, the one before it has {before}",
        sample.decode_time
    ))
    .clause("ISO/IEC 14496-12 §8.8.12")
    .at_byte(sample.position)
    .hint("fragments stand in the order of their decode times, each once"))
}

/// Fragments of at most [`MAX_CHUNK_BYTES`] of media data and one sample entry each, in which every sample is decoded
/// when the one before ends: what follows a gap or an overlap has a `tfdt` of its own.
/// With a distance, key frames so much apart, in ticks, are fragments of their own.
fn chunks(samples: &[Sample], key_frame_distance: Option<u64>) -> Result<Vec<Range<usize>>> {
    let mut chunks: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    let mut description = None;
    let mut end = None;
    let mut key_frame: Option<(usize, u64)> = None;
    for (index, sample) in samples.iter().enumerate() {
        let size = sample.size as usize;
        if size > MAX_CHUNK_BYTES * 8 {
            return Err(Error::unsupported(format!(
                "a sample of {size} bytes, at most {}",
                MAX_CHUNK_BYTES * 8
            )));
        }
        let is_far = key_frame
            .zip(key_frame_distance)
            .is_none_or(|((_, before), distance)| sample.decode_time >= before.saturating_add(distance));
        let is_key_frame = key_frame_distance.is_some() && sample.is_sync() && is_far;
        let is_behind = key_frame.is_some_and(|(key_frame, _)| key_frame + 1 == index);
        if is_key_frame {
            key_frame = Some((index, sample.decode_time));
        }
        let fits = !is_key_frame
            && !is_behind
            && bytes + size <= MAX_CHUNK_BYTES
            && description == Some(sample.sample_description_index)
            && end == Some(sample.decode_time);
        match chunks.last_mut().filter(|_| fits) {
            Some(chunk) => chunk.end = index + 1,
            None => {
                chunks.push(index..index + 1);
                bytes = 0;
                description = Some(sample.sample_description_index);
            }
        }
        bytes += size;
        end = sample.decode_time.checked_add(sample.duration.into());
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The boundary of this number, one by one.
    fn boundary(boundaries: &Boundaries, number: usize, timescale: u32) -> u128 {
        let behind = (number + 1).saturating_sub(boundaries.times.len()) as u64;
        let last = boundaries.times.last().copied().unwrap_or(boundaries.origin);
        let ticks = boundaries.times.get(number).copied().unwrap_or(last + behind * boundaries.duration);
        u128::from(ticks) * u128::from(timescale) / u128::from(boundaries.timescale)
    }

    #[test]
    fn the_next_boundary_is_the_one_that_counting_finds() {
        let grid = Boundaries::grid(7, 25, 0.5);
        let cuts = Boundaries { times: vec![20, 33, 50], ..grid.clone() };
        for boundaries in [grid, cuts] {
            for timescale in [25, 10, 48, 90_000] {
                for time in (0..100_u64).map(|time| time * u64::from(timescale) / 25 + time % 3) {
                    let number =
                        (0..).find(|number| boundary(&boundaries, *number, timescale) > u128::from(time));
                    let number = number.unwrap();
                    let expected = (u32::try_from(number).unwrap(), boundary(&boundaries, number, timescale));
                    assert_eq!(boundaries.around(time, timescale), expected, "{time} of {timescale}");
                }
            }
        }
    }

    #[test]
    fn a_time_of_day_and_the_last_time_have_a_next_boundary() {
        let grid = Boundaries::grid(0, 90_000, 2.0);
        let (count, next) = grid.around(1_760_000_001 * 90_000, 90_000);
        assert_eq!((count, next), (880_000_000, 1_760_000_002 * 90_000));
        assert_eq!(grid.around(u64::MAX, u32::MAX).0, 2_147_483_648);
        assert!(Boundaries::grid(u64::MAX, 1, 0.1).around(u64::MAX, 1).1 > u128::from(u64::MAX));
    }
}
