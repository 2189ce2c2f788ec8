//! When samples are presented: edit lists, and the times that manifests give segments — ISO/IEC 14496-12 §8.6.6.

use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Edit, Elst, Mvhd};
use crate::isobmff::samples::{Sample, samples};
use crate::isobmff::track::trak;

use crate::package::WrittenSegment;

/// What an edit list makes of the times of a track, in ticks of its media; without one, nothing.
///
/// It is of the source, or as it is [`written`](EditList::written).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EditList {
    /// So much later samples are presented, for the empty edits before the media.
    late: u64,
    /// When its media begins to be presented: what is before is not.
    begins: u64,
    /// The empty edits in ticks of the movie, where they are written.
    empty: u64,
    /// Whether it is of a movie with fragments, whose decode times are stated and stay what they are: §8.8.12.
    is_fragmented: bool,
    /// The composition time with which the media begins.
    media_time: u64,
    /// When the last edit ends, in times of the presentation, and how exactly that is known; `None` when it ends with
    /// the media.
    end: Option<(u64, u64)>,
    /// How many samples are written; `None` when all are.
    count: Option<u64>,
    /// When the first sample is presented that is written so much later.
    earliest: u64,
    /// The first edit that says more than one can.
    jump: Option<Jump>,
}

/// An edit that does not go on where the one before it ends, as when something is cut out, repeated or not yet there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// Its number, from 1.
    pub edit: usize,
    /// Its `media_time`.
    pub found: i64,
    /// The composition time at which the one before it ends.
    pub expected: u64,
}

impl EditList {
    /// Reads the edit list of a track, which has `timescale` ticks per second.
    ///
    /// # Errors
    /// When a box is cut off, or a sample cannot be read.
    pub fn of(moov: &BoxNode, track_id: u32, timescale: u32) -> Result<Self> {
        let Some(elst) = trak(moov, track_id)?.find(&[b"edts", b"elst"]) else { return Ok(Self::default()) };
        let entries = Elst::parse(elst.payload()).map_err(|error| error.at("edts/elst"))?.entries;
        let mvhd = Mvhd::parse(moov.require(&[b"mvhd"])?.payload()).map_err(|error| error.at("mvhd"))?;
        let scaled = |duration| scaled(duration, (mvhd.timescale, timescale));
        let exactness = scaled(1)?.saturating_add(1);
        // The last edit of a movie with fragments lasts as long as they do, whatever it says: §8.6.6.1.
        let is_fragmented = moov.find(&[b"mvex"]).is_some();
        let empty = entries.iter().take_while(|edit| edit.is_empty());
        let empty = empty.fold(0, |sum: u64, edit| sum.saturating_add(edit.duration));
        let late = scaled(empty)?;
        let mut edits = Self { late, begins: late, earliest: late, empty, is_fragmented, ..Self::default() };
        let media = entries.iter().enumerate().skip_while(|(_, edit)| edit.is_empty());
        // An empty edit behind all media says nothing of it.
        let last = entries.iter().rposition(|edit| !edit.is_empty());
        let mut played: Option<u64> = None;
        let mut is_open = is_fragmented;
        for (index, edit) in media.take_while(|(index, _)| Some(*index) <= last) {
            let expected = match played {
                None => edit.media_time.unsigned_abs(),
                Some(played) => edits.media_time.saturating_add(scaled(played)?),
            };
            let found = u64::try_from(edit.media_time).ok();
            if found.is_none_or(|found| found.abs_diff(expected) > exactness) {
                edits.jump = Some(Jump { edit: index + 1, found: edit.media_time, expected });
                return Ok(edits);
            }
            if played.is_none() {
                edits.media_time = expected;
            }
            played = Some(played.unwrap_or(0).saturating_add(edit.duration));
            is_open |= Some(index) == last && edit.duration == 0;
        }
        if let Some(played) = played.filter(|_| !is_open) {
            edits.end = Some((late.saturating_add(scaled(played)?), exactness));
        }
        if !is_fragmented && (edits.end.is_some() || late > 0 && edits.media_time > 0) {
            // Without fragments, tables say all.
            edits.measure(samples(&Vec::new(), moov, track_id, &[])?)?;
        }
        Ok(edits)
    }

    /// The first edit that does not go on where the one before it ends: players of fragments know one edit.
    pub fn jump(&self) -> Option<Jump> {
        self.jump
    }

    /// What is written of it. Of a movie without fragments, decode times say how late it begins, samples that its edits
    /// end before are left out, and one edit is left, as ISO/IEC 23000-19 §7.5.13 has it.
    #[must_use]
    pub fn written(self) -> Self {
        if self.is_fragmented {
            return self;
        }
        let begins = if self.late > 0 { self.earliest } else { self.begins };
        Self { late: 0, begins, empty: 0, end: None, count: None, ..self }
    }

    /// Goes through the samples of tables: none behind the last one that is presented before the edits end is written, and
    /// what is written is presented from the earliest one on.
    fn measure(&mut self, samples: impl Iterator<Item = Result<Sample>>) -> Result<()> {
        let (mut number, mut shown, mut media, mut first) = (0, 0, i128::from(i64::MIN), None);
        let mut is_late = false;
        let end = self.end.unwrap_or((u64::MAX, 0));
        for sample in samples {
            let sample = sample?;
            number += 1;
            let (begin, lasts) = (self.presented(sample.composition_time()), lasts(&sample));
            media = media.max(begin + lasts);
            is_late |= !self.is_before(&sample);
            if is_late && begin + lasts > 0 {
                first = Some(first.unwrap_or(begin).min(begin));
            }
            // Edits are in ticks of the movie, which are coarse: so little of a sample may be rounding.
            let part = (i128::from(end.0) - begin).min(lasts);
            if part > i128::from(end.1) || part > 0 && part * 2 >= lasts {
                shown = number;
            }
        }
        let is_cut = media - i128::from(end.0) > i128::from(end.1);
        self.count = Some(shown).filter(|_| is_cut);
        let first = first.unwrap_or(0).max(0);
        self.earliest = u64::try_from(first).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Of the samples of its track those that are written, as they are.
    pub fn samples<I: Iterator<Item = Result<Sample>>>(&self, samples: I) -> EditedSamples<I> {
        EditedSamples { edits: *self, samples, left: self.count.unwrap_or(u64::MAX), is_late: false }
    }

    /// How many samples of its track are written; `None` when all are.
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    /// Whether a sample is over before the edit begins.
    pub fn is_before(&self, sample: &Sample) -> bool {
        sample.composition_time() + lasts(sample) <= i128::from(self.media_time)
    }

    /// A sample as it is written: decoded so much later as empty edits put it off, which players of segments do not know,
    /// unless a fragment states when that is.
    fn moved(&self, sample: Sample) -> Result<Sample> {
        let late = self.late - self.written().late;
        let decode_time = sample.decode_time.checked_add(late);
        let decode_time = decode_time.filter(|time| time.checked_add(sample.duration.into()).is_some());
        let decode_time = decode_time.ok_or_else(|| {
            Error::input(format!("decode time {} and an empty edit of {late} ticks", sample.decode_time))
                .clause("ISO/IEC 14496-12 §8.6.6")
                .at("elst")
        })?;
        Ok(Sample { decode_time, ..sample })
    }

    /// The `edts` of a track of fragments: an edit that lasts as long as they do, behind an empty one where it is written;
    /// none where they say nothing.
    pub fn edts(&self) -> Option<BoxNode> {
        let edit = |duration, media_time| Edit { duration, media_time, rate: Edit::RATE };
        let empty = Some(edit(self.empty, -1)).filter(|_| self.empty > 0);
        let media = edit(0, i64::try_from(self.media_time).unwrap_or(i64::MAX));
        let elst = Elst { entries: empty.into_iter().chain([media]).collect() };
        let says = self.media_time > 0 || self.empty > 0;
        says.then(|| BoxNode::container(b"edts", vec![BoxNode::data(b"elst", elst.write())]))
    }

    /// When what has this composition time is presented; before the edit begins, it is not.
    pub fn presented(&self, composition_time: i128) -> i128 {
        composition_time + i128::from(self.late) - i128::from(self.media_time)
    }

    /// How long after the begin of the edit that is; below 0 before.
    pub fn since_begin(&self, composition_time: i128) -> i128 {
        composition_time - i128::from(self.media_time)
    }

    /// When what has this composition time is presented, where what is before the edit begins counts as there.
    pub fn time(&self, composition_time: i128) -> u64 {
        u64::try_from(self.presented(composition_time).max(self.begins.into())).unwrap_or(u64::MAX)
    }

    /// Whether a segment may end before this sample: of the segment before, something is presented.
    pub fn may_cut(&self, sample: &Sample) -> bool {
        self.presented(sample.composition_time()) > i128::from(self.begins)
    }
}

/// Ticks of the movie in ticks of the media.
fn scaled(duration: u64, (movie, media): (u32, u32)) -> Result<u64> {
    let movie = u128::from(movie.max(1));
    let ticks = (u128::from(duration) * u128::from(media) + movie / 2) / movie;
    u64::try_from(ticks).map_err(|_| {
        Error::input(format!("an edit of {duration} ticks")).clause("ISO/IEC 14496-12 §8.6.6").at("elst")
    })
}

/// How long a sample is presented; what states no duration is there.
fn lasts(sample: &Sample) -> i128 {
    sample.duration.max(1).into()
}

/// The samples of a track as they are written.
///
/// From the first one on that the edit presents they are as late as empty edits make it. Those before, which are decoded
/// only, keep their times: presented before 0, as in a track that is not late, they stay unseen.
#[derive(Debug)]
pub struct EditedSamples<I> {
    edits: EditList,
    samples: I,
    left: u64,
    is_late: bool,
}

impl<I: Iterator<Item = Result<Sample>>> Iterator for EditedSamples<I> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let sample = self.samples.next()?;
        Some(sample.and_then(|sample| {
            self.is_late |= !self.edits.is_before(&sample);
            if self.is_late { self.edits.moved(sample) } else { Ok(sample) }
        }))
    }
}

/// When a segment is presented, in ticks of the media since the presentation's time 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Its begin.
    pub start: u64,
    /// How long it lasts: to the next one, unless no media is there.
    pub duration: u64,
    /// How long it is until the next one begins, or until the track ends.
    pub span: u64,
}

/// When the segments of a track, which are all and in order, are presented. What empty edits say is in their times, or written.
///
/// # Errors
/// When one is presented before the one before it.
pub fn presented(edits: &EditList, segments: &[WrittenSegment]) -> Result<Vec<Presented>> {
    let edits = edits.written();
    let end = segments.iter().map(|segment| edits.time(segment.composition_end)).max().unwrap_or(0);
    let mut all = Vec::with_capacity(segments.len());
    for (index, segment) in segments.iter().enumerate() {
        let start = edits.time(segment.composition_time);
        let next = segments.get(index + 1);
        let until = next.map_or(end, |next| edits.time(next.composition_time));
        let span = until.checked_sub(start).ok_or_else(|| {
            Error::input(format!("segment {} is presented before the one before it", segment.number + 2))
                .clause("ISO/IEC 14496-12 §8.6.1.3")
        })?;
        // Composition times of a few samples do not tell a gap from reordered pictures; decode times do.
        let is_gap = next.is_some_and(|next| next.decode_time > segment.decode_end);
        let media = edits.time(segment.composition_end).saturating_sub(start);
        all.push(Presented { start, duration: if is_gap { media.min(span) } else { span }, span });
    }
    Ok(all)
}
