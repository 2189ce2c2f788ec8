//! When samples are presented: edit lists, and the times that manifests give segments — ISO/IEC 14496-12 §8.6.6.

use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Elst, Mvhd};
use crate::isobmff::samples::Sample;
use crate::isobmff::track::trak;

use crate::package::WrittenSegment;

/// What an edit list makes of the times of a track, in ticks of its media; without one, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EditList {
    /// So long nothing is presented: the empty edits before the media.
    late: u64,
    /// The same in ticks of the movie.
    empty: u64,
    /// Whether it is of a movie with fragments, whose decode times are stated and stay what they are: §8.8.12.
    is_fragmented: bool,
    /// The composition time with which the media begins.
    media_time: u64,
    /// When the edit ends, in times of the presentation, and how exactly that is known; `None` when it ends with
    /// the media.
    end: Option<(u64, u64)>,
    /// How many edits with media there are.
    edits: usize,
}

impl EditList {
    /// Reads the edit list of a track, which has `timescale` ticks per second.
    ///
    /// # Errors
    /// When a box is cut off.
    pub fn of(moov: &BoxNode, track_id: u32, timescale: u32) -> Result<Self> {
        let Some(elst) = trak(moov, track_id)?.find(&[b"edts", b"elst"]) else { return Ok(Self::default()) };
        let entries = Elst::parse(elst.payload()).map_err(|error| error.at("edts/elst"))?.entries;
        let mvhd = Mvhd::parse(moov.require(&[b"mvhd"])?.payload()).map_err(|error| error.at("mvhd"))?;
        let scaled = |duration: u64| {
            let movie = u128::from(mvhd.timescale.max(1));
            let ticks = (u128::from(duration) * u128::from(timescale) + movie / 2) / movie;
            u64::try_from(ticks).map_err(|_| {
                Error::input(format!("an edit of {duration} ticks"))
                    .clause("ISO/IEC 14496-12 §8.6.6")
                    .at("elst")
            })
        };
        let first = entries.iter().position(|(_, media_time)| *media_time >= 0).unwrap_or(entries.len());
        // The last edit of a movie with fragments lasts as long as they do, whatever it says: §8.6.6.1.
        let is_fragmented = moov.find(&[b"mvex"]).is_some();
        let (mut late, mut empty): (u64, u64) = (0, 0);
        for (duration, _) in entries.iter().take(first) {
            late = late.saturating_add(scaled(*duration)?);
            empty = empty.saturating_add(*duration);
        }
        let edits = entries.iter().filter(|(_, media_time)| *media_time >= 0).count();
        let Some((duration, media_time)) = entries.get(first) else {
            return Ok(Self { late, empty, is_fragmented, ..Self::default() });
        };
        let end = if edits > 1 || *duration == 0 || is_fragmented {
            None
        } else {
            Some((late.saturating_add(scaled(*duration)?), scaled(1)?.saturating_add(1)))
        };
        Ok(Self { late, empty, is_fragmented, media_time: media_time.unsigned_abs(), end, edits })
    }

    /// How many edits with media there are; players of fragments know one.
    pub fn edits(&self) -> usize {
        self.edits
    }

    /// What is written of it. Of a movie without fragments, decode times say how late it begins, and one edit is left, as
    /// ISO/IEC 23000-19 §7.5.13 has it.
    #[must_use]
    pub fn written(self) -> Self {
        if self.is_fragmented { self } else { Self { late: 0, empty: 0, ..self } }
    }

    /// A sample as it is written: decoded so much later as empty edits put it off, which players of segments do not know,
    /// unless a fragment states when that is.
    ///
    /// # Errors
    /// When its times pass 2^64 - 1.
    pub fn moved(&self, sample: Sample) -> Result<Sample> {
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
        let empty = Some((self.empty, -1)).filter(|_| self.empty > 0);
        let media = (0, i64::try_from(self.media_time).unwrap_or(i64::MAX));
        let elst = Elst { entries: empty.into_iter().chain([media]).collect() };
        let says = self.media_time > 0 || self.empty > 0;
        says.then(|| BoxNode::container(b"edts", vec![BoxNode::data(b"elst", elst.write())]))
    }

    /// When a sample is presented; before 0, and behind the end of the edit, it is not.
    pub fn presented(&self, composition_time: i128) -> i128 {
        composition_time + i128::from(self.late) - i128::from(self.media_time)
    }

    /// The same of a sample; what is before 0 counts as there.
    pub fn time(&self, sample: &Sample) -> u64 {
        u64::try_from(self.presented(sample.composition_time()).max(0)).unwrap_or(u64::MAX)
    }

    /// When the presentation of media that is composed until then ends. Edits are in ticks of the movie, which are
    /// coarse: what they cut off by rounding is not cut.
    pub fn end(&self, composition_end: i128) -> i128 {
        let media = self.presented(composition_end);
        match self.end {
            Some((end, exactness)) if media - i128::from(end) > i128::from(exactness) => end.into(),
            _ => media,
        }
    }

    /// Whether a segment may end before this sample: of the segment before and of the one that begins, something is
    /// presented.
    pub fn may_cut(&self, sample: &Sample) -> bool {
        let time = self.presented(sample.composition_time());
        time > 0 && self.end.is_none_or(|(end, exactness)| time + i128::from(exactness) < i128::from(end))
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
    let end = segments.iter().map(|segment| edits.end(segment.composition_end)).max().unwrap_or(0);
    let time = |time: i128| u64::try_from(time.clamp(0, end.max(0))).unwrap_or(u64::MAX);
    let mut all = Vec::with_capacity(segments.len());
    for (index, segment) in segments.iter().enumerate() {
        let start = time(edits.presented(segment.composition_time));
        let next = segments.get(index + 1);
        let until = next.map_or_else(|| time(end), |next| time(edits.presented(next.composition_time)));
        let span = until.checked_sub(start).ok_or_else(|| {
            Error::input(format!("segment {} is presented before the one before it", segment.number + 2))
                .clause("ISO/IEC 14496-12 §8.6.1.3")
        })?;
        // Composition times of a few samples do not tell a gap from reordered pictures; decode times do.
        let is_gap = next.is_some_and(|next| next.decode_time > segment.decode_end);
        let media = time(edits.end(segment.composition_end)).saturating_sub(start);
        all.push(Presented { start, duration: if is_gap { media.min(span) } else { span }, span });
    }
    Ok(all)
}
