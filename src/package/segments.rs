//! Segments and fragments of a CMAF track: where they are cut — ISO/IEC 23000-19 §7.3.2.

use std::ops::Range;

use crate::base::{Error, Result};
use crate::isobmff::samples::Sample;

/// Most bytes of media data in one fragment. A longer segment has several (CMAF chunks, §7.3.2.3), so that
/// memory depends on neither the segment's length nor the file's.
pub const MAX_CHUNK_BYTES: usize = 8 << 20;

/// Where segments end: the times at which the first video track can be cut, and a grid behind them.
#[derive(Clone, Debug)]
pub struct Boundaries {
    /// Decode times of cuts, in ticks of `timescale`.
    times: Vec<u64>,
    timescale: u32,
    /// The distance of further cuts, in ticks of `timescale`.
    duration: u64,
}

/// One segment of a track.
#[derive(Clone, Debug)]
pub struct CmafSegment {
    /// Its number, from 0.
    pub number: u32,
    /// Number of the first of its fragments, from 1.
    pub(super) first_sequence_number: u32,
    /// Its samples.
    pub(super) samples: Vec<Sample>,
    /// Which samples each fragment has.
    pub(super) chunks: Vec<Range<usize>>,
}

impl CmafSegment {
    /// The bytes of its samples.
    pub fn media_bytes(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.size)).sum()
    }
}

impl Boundaries {
    /// A cut every `seconds`.
    pub fn grid(seconds: f64) -> Self {
        let timescale = 90_000;
        Self { times: Vec::new(), timescale, duration: ticks(seconds, timescale) }
    }

    /// A cut at the first random access point at least `seconds` after the cut before it.
    ///
    /// # Errors
    /// When a sample cannot be read.
    pub fn of(samples: impl Iterator<Item = Result<Sample>>, timescale: u32, seconds: f64) -> Result<Self> {
        let duration = ticks(seconds, timescale);
        let mut times = Vec::new();
        let mut start = None;
        for sample in samples {
            let sample = sample?;
            let begin = *start.get_or_insert(sample.decode_time);
            if sample.is_sync() && sample.decode_time.saturating_sub(begin) >= duration {
                times.push(sample.decode_time);
                start = Some(sample.decode_time);
            }
        }
        Ok(Self { times, timescale, duration })
    }

    /// The boundary behind segment `number`, in ticks of `timescale`.
    fn after(&self, number: usize, timescale: u32) -> u64 {
        let ticks = self.times.get(number).copied().unwrap_or_else(|| {
            let last = self.times.last().copied().unwrap_or(0);
            let steps = (number + 1 - self.times.len()) as u64;
            last.saturating_add(self.duration.saturating_mul(steps))
        });
        let scaled = u128::from(ticks) * u128::from(timescale) / u128::from(self.timescale);
        u64::try_from(scaled).unwrap_or(u64::MAX)
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
    timescale: u32,
    next_sample: Option<Sample>,
    number: u32,
    /// Boundaries passed so far.
    boundary: usize,
    sequence_number: u32,
    failed: bool,
}

impl<'a, I: Iterator<Item = Result<Sample>>> Segments<'a, I> {
    /// The segments of a track whose media has `timescale` ticks per second.
    pub fn new(samples: I, boundaries: &'a Boundaries, timescale: u32) -> Self {
        Self {
            samples,
            boundaries,
            timescale,
            next_sample: None,
            number: 0,
            boundary: 0,
            sequence_number: 1,
            failed: false,
        }
    }

    fn segment(&mut self) -> Result<Option<CmafSegment>> {
        let mut samples = Vec::new();
        samples.extend(self.next_sample.take());
        for sample in self.samples.by_ref() {
            let sample = sample?;
            let mut end = self.boundaries.after(self.boundary, self.timescale);
            if !samples.is_empty() && sample.is_sync() && sample.decode_time >= end {
                while sample.decode_time >= end {
                    self.boundary += 1;
                    end = self.boundaries.after(self.boundary, self.timescale);
                }
                self.next_sample = Some(sample);
                break;
            }
            samples.push(sample);
        }
        if samples.is_empty() {
            return Ok(None);
        }
        let chunks = chunks(&samples)?;
        let segment =
            CmafSegment { number: self.number, first_sequence_number: self.sequence_number, samples, chunks };
        self.number += 1;
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

/// Fragments of at most [`MAX_CHUNK_BYTES`] of media data and one sample entry each.
fn chunks(samples: &[Sample]) -> Result<Vec<Range<usize>>> {
    let mut chunks: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    let mut description = None;
    for (index, sample) in samples.iter().enumerate() {
        let size = sample.size as usize;
        if size > MAX_CHUNK_BYTES * 8 {
            return Err(Error::unsupported(format!(
                "a sample of {size} bytes, at most {}",
                MAX_CHUNK_BYTES * 8
            )));
        }
        let fits = bytes + size <= MAX_CHUNK_BYTES && description == Some(sample.sample_description_index);
        match chunks.last_mut().filter(|_| fits) {
            Some(chunk) => chunk.end = index + 1,
            None => {
                chunks.push(index..index + 1);
                bytes = 0;
                description = Some(sample.sample_description_index);
            }
        }
        bytes += size;
    }
    Ok(chunks)
}
