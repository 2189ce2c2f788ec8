//! Segment information: SegmentTemplate, SegmentList, SegmentBase — ISO/IEC 23009-1 §5.3.9.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use super::live::{Live, Open};
use super::mpd::{child, children, number};
use super::template::{self, Values};
use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::xml::Element;

/// Most segments of one MPD, over all Representations: a day in 2 s segments at 20 bit rates.
pub const MAX_SEGMENTS: u64 = 1_000_000;

/// A file of the presentation, or bytes of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Name below the presentation's folder, with `/`.
    pub name: String,
    /// The bytes meant, end excluded; `None` for all.
    pub range: Option<Range<u64>>,
    /// When it begins by a SegmentTimeline: §5.3.9.6.
    pub time: Option<MediaTime>,
}

/// A time on the time line of a track's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaTime {
    /// Ticks.
    pub ticks: u64,
    /// Ticks that `S@d` gives it: §5.3.9.6.
    pub duration: u64,
    /// Ticks in a second.
    pub timescale: u64,
}

/// What a Representation says of the times of its segments: §5.3.9.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentTiming {
    /// `@presentationTimeOffset`, in ticks: the time of its media at which its Period begins.
    pub presentation_time_offset: u64,
    /// `@duration`, in ticks.
    pub duration: Option<u64>,
    /// Ticks in a second.
    pub timescale: u64,
}

/// Where the media of a Representation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// Media segments in order.
    Segments {
        /// Where each one is.
        references: Vec<Reference>,
        /// How their number is known.
        count: Count,
    },
    /// One file: `SegmentBase`, or a `BaseURL` alone.
    SingleFile {
        /// The file.
        file: Reference,
        /// `@indexRange`: the bytes of its segment index.
        index_range: Option<Range<u64>>,
    },
}

/// How the number of segments is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The MPD lists or counts them.
    Stated,
    /// Computed from the duration of the Period, rounded up: §5.3.9.5. A segment may start up to half of
    /// `@duration` from its nominal time, so the last one need not exist.
    Implied,
}

/// What the addresses of one Representation are computed from.
pub(super) struct Addressing<'a> {
    /// Representation, AdaptationSet, Period: the lowest wins.
    pub(super) levels: [&'a Element; 3],
    pub(super) document: Location<'a>,
    pub(super) base: String,
    pub(super) representation_id: &'a str,
    pub(super) bandwidth: Option<u64>,
    pub(super) period_duration: Option<Duration>,
    pub(super) live: Option<Live<'a>>,
    pub(super) segments_left: &'a mut u64,
}

/// Segment information of one kind on all levels, the lowest first: §5.3.9.1.
struct Inherited<'a>(Vec<&'a Element>);

impl<'a> Inherited<'a> {
    fn attribute(&self, name: &str) -> Result<Option<Cow<'a, str>>> {
        for element in &self.0 {
            if let Some(value) = element.attribute(name)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn number(&self, name: &str) -> Result<Option<u64>> {
        for element in &self.0 {
            if let Some(value) = number(element, name)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn child(&self, name: &'a str) -> Option<&'a Element> {
        self.0.iter().find_map(|element| child(element, name))
    }
}

/// Number and, with a timeline, start time and duration of each segment; then the segments that a live presentation adds
/// without an end.
type Numbers = (Vec<(u64, Option<(u64, u64)>)>, Option<Open>);

impl Addressing<'_> {
    /// When its segments are presented; the initialization segment and the media.
    pub(super) fn locate(mut self) -> Result<(SegmentTiming, (Option<Reference>, Media))> {
        let kinds = ["SegmentTemplate", "SegmentList", "SegmentBase"];
        let kind = self
            .levels
            .iter()
            .find_map(|level| kinds.into_iter().find(|kind| child(level, kind).is_some()))
            .unwrap_or("SegmentBase");
        let levels = self.levels;
        let info = Inherited(levels.iter().filter_map(|level| child(level, kind)).collect());
        let timing = SegmentTiming {
            presentation_time_offset: info.number("presentationTimeOffset")?.unwrap_or(0),
            duration: info.number("duration")?,
            timescale: info.number("timescale")?.unwrap_or(1),
        };
        let located = match kind {
            "SegmentTemplate" => self.template(&info),
            "SegmentList" => self.list(&info),
            _ => self.single_file(&info),
        };
        located.map(|located| (timing, located)).map_err(|error| error.at(kind))
    }

    fn template(&mut self, info: &Inherited<'_>) -> Result<(Option<Reference>, Media)> {
        refuse_index_segments(info)?;
        let media = info.attribute("media")?.ok_or_else(|| {
            Error::input("SegmentTemplate has no @media").clause("ISO/IEC 23009-1 §5.3.9.4.2")
        })?;
        let initialization = match info.attribute("initialization")? {
            Some(template) => Some(self.expand(&template, None, None)?),
            None => self.initialization(info)?,
        };
        let ((segments, open), count) = self.segments(info)?;
        let timescale = info.number("timescale")?.unwrap_or(1);
        let mut references = Vec::with_capacity(segments.len());
        for &(number, time) in &segments {
            let time_of = time.map(|(ticks, duration)| MediaTime { ticks, duration, timescale });
            let start = time.map(|(start, _)| start);
            references.push(Reference { time: time_of, ..self.expand(&media, Some(number), start)? });
        }
        if let (Some(open), Some(live)) = (open, self.live) {
            let there_now =
                live.segments(open, &mut |number, time| self.expand(&media, Some(number), time))?;
            self.charge(there_now.len() as u64)?;
            references.extend(there_now);
        }
        if let [first, second, ..] = references.as_slice()
            && (&first.name, &first.range) == (&second.name, &second.range)
        {
            return Err(Error::input(format!("template {media:?} names one file for several segments"))
                .clause("ISO/IEC 23009-1 §5.3.9.4.4"));
        }
        Ok((initialization, Media::Segments { references, count }))
    }

    /// The segments that the template stands for.
    fn segments(&mut self, info: &Inherited<'_>) -> Result<(Numbers, Count)> {
        let first = info.number("startNumber")?.unwrap_or(1);
        let last = info.number("endNumber")?;
        let timescale = info.number("timescale")?.unwrap_or(1);
        if timescale == 0 {
            return Err(
                Error::input("@timescale is 0, 1 and more expected").clause("ISO/IEC 23009-1 §5.3.9.2.2")
            );
        }
        if let Some(timeline) = info.child("SegmentTimeline") {
            let offset = info.number("presentationTimeOffset")?.unwrap_or(0);
            let end = self.period_duration.and_then(|duration| PeriodEnd::new(duration, timescale, offset));
            let ((mut segments, open), count) = self.timeline(timeline, first, end)?;
            segments.retain(|(number, _)| last.is_none_or(|last| *number <= last));
            return Ok(((segments, open.map(|open| Open { last, ..open })), count));
        }
        let (segments, count) = match (last, info.number("duration")?) {
            (Some(last), _) => {
                let count = last.checked_sub(first).and_then(|more| more.checked_add(1));
                let count = count.ok_or_else(|| {
                    Error::input(format!("@endNumber is {last}, expected at least @startNumber, {first}"))
                        .clause("ISO/IEC 23009-1 §5.3.9.5")
                })?;
                (count, Count::Stated)
            }
            (None, None) => (1, Count::Stated),
            (None, Some(duration)) if self.live.is_some() && self.period_duration.is_none() => {
                let open = Open { first, last, time: None, duration };
                return Ok(((Vec::new(), Some(open)), Count::Stated));
            }
            (None, Some(duration)) => {
                let end = self.period_duration.and_then(|whole| PeriodEnd::new(whole, timescale, 0));
                (PeriodEnd::segments(end, 0, duration)?, Count::Implied)
            }
        };
        self.charge(segments)?;
        let numbers = (0..segments).map_while(|index| Some((first.checked_add(index)?, None)));
        Ok(((numbers.collect(), None), count))
    }

    /// Number and start time of each segment of a SegmentTimeline: §5.3.9.6.
    fn timeline(
        &mut self,
        timeline: &Element,
        first: u64,
        end: Option<PeriodEnd>,
    ) -> Result<(Numbers, Count)> {
        let mut segments = Vec::new();
        let (mut segment, mut time) = (first, 0_u64);
        let mut count = Count::Stated;
        let mut entries = children(timeline, "S").peekable();
        while let Some(entry) = entries.next() {
            time = number(entry, "t")?.unwrap_or(time);
            segment = number(entry, "n")?.unwrap_or(segment);
            let duration = number(entry, "d")?
                .ok_or_else(|| Error::input("S has no @d").clause("ISO/IEC 23009-1 §5.3.9.6.2"))?;
            if number(entry, "k")?.unwrap_or(1) > 1 {
                return Err(
                    Error::unsupported("segment sequences, S@k above 1").clause("ISO/IEC 23009-1 §5.3.9.6")
                );
            }
            let end = match entries.peek() {
                Some(next) => number(next, "t")?.map(PeriodEnd::at),
                None => end,
            };
            let repeats = match repeat_count(entry)? {
                Some(repeats) => repeats,
                None if entries.peek().is_none() && end.is_none() && self.live.is_some() => {
                    let open = Open { first: segment, last: None, time: Some(time), duration };
                    return Ok(((segments, Some(open)), count));
                }
                None => {
                    if entries.peek().is_none() {
                        count = Count::Implied;
                    }
                    PeriodEnd::segments(end, time, duration)?.max(1)
                }
            };
            self.charge(repeats)?;
            for _ in 0..repeats {
                segments.push((segment, Some((time, duration))));
                let next = segment.checked_add(1).zip(time.checked_add(duration));
                (segment, time) = next.ok_or_else(|| {
                    Error::input("segment times exceed 64 bits").clause("ISO/IEC 23009-1 §5.3.9.6")
                })?;
            }
        }
        Ok(((segments, None), count))
    }

    fn list(&mut self, info: &Inherited<'_>) -> Result<(Option<Reference>, Media)> {
        refuse_index_segments(info)?;
        let initialization = self.initialization(info)?;
        let list = info.0.iter().find(|list| child(list, "SegmentURL").is_some());
        let mut references = Vec::new();
        for segment in list.into_iter().flat_map(|list| children(list, "SegmentURL")) {
            self.charge(1)?;
            if segment.attribute("index")?.is_some() {
                return Err(index_segments());
            }
            let media = segment.attribute("media")?.unwrap_or_default();
            references.push(self.reference(&media, byte_range(segment, "mediaRange")?)?);
        }
        if references.is_empty() {
            return Err(Error::input("SegmentList has no SegmentURL").clause("ISO/IEC 23009-1 §5.3.9.3.2"));
        }
        Ok((initialization, Media::Segments { references, count: Count::Stated }))
    }

    fn single_file(&self, info: &Inherited<'_>) -> Result<(Option<Reference>, Media)> {
        refuse_index_segments(info)?;
        let file = self.reference("", None)?;
        let index_range = match info.0.iter().find(|element| has(element, "indexRange")) {
            Some(element) => byte_range(element, "indexRange")?,
            None => None,
        };
        Ok((self.initialization(info)?, Media::SingleFile { file, index_range }))
    }

    fn initialization(&self, info: &Inherited<'_>) -> Result<Option<Reference>> {
        let Some(element) = info.child("Initialization") else { return Ok(None) };
        let source = element.attribute("sourceURL")?.unwrap_or_default();
        let range = byte_range(element, "range")?;
        self.reference(&source, range).map(Some)
    }

    fn expand(&self, text: &str, number: Option<u64>, time: Option<u64>) -> Result<Reference> {
        let values =
            Values { representation_id: self.representation_id, bandwidth: self.bandwidth, number, time };
        self.reference(&template::expand(text, values)?, None)
    }

    fn reference(&self, reference: &str, range: Option<Range<u64>>) -> Result<Reference> {
        let name = self.document.file(&self.base, reference)?;
        Ok(Reference { name, range, time: None })
    }

    fn charge(&mut self, segments: u64) -> Result<()> {
        *self.segments_left = self.segments_left.checked_sub(segments).ok_or_else(|| {
            Error::unsupported(format!("more than {MAX_SEGMENTS} segments in one MPD"))
                .hint("split the presentation, or correct its durations")
        })?;
        Ok(())
    }
}

/// The end of a Period or of a run of segments on the media timeline, in units of `1 / per_unit`.
#[derive(Clone, Copy)]
struct PeriodEnd {
    time: u128,
    per_unit: u128,
}

impl PeriodEnd {
    fn new(duration: Duration, timescale: u64, offset: u64) -> Option<Self> {
        let per_unit = 1_000_000_000;
        let time = duration.as_nanos().checked_mul(u128::from(timescale))?;
        Some(Self { time: time.checked_add(u128::from(offset) * per_unit)?, per_unit })
    }

    fn at(time: u64) -> Self {
        Self { time: u128::from(time), per_unit: 1 }
    }

    /// How many segments of this duration begin at `start` or later and before the end.
    fn segments(end: Option<Self>, start: u64, duration: u64) -> Result<u64> {
        let end = end.ok_or_else(|| {
            Error::input("the number of segments depends on the duration of the Period, which is not given")
                .clause("ISO/IEC 23009-1 §5.3.9.5")
        })?;
        let left = end.time.saturating_sub(u128::from(start) * end.per_unit);
        if duration == 0 {
            return Err(
                Error::input("segment duration 0, expected at least 1").clause("ISO/IEC 23009-1 §5.3.9.5")
            );
        }
        let segments = left.div_ceil(u128::from(duration) * end.per_unit);
        Ok(u64::try_from(segments).unwrap_or(u64::MAX))
    }
}

/// An MPD's own name, and the store that says which files its references mean.
#[derive(Clone, Copy)]
pub struct Location<'a> {
    /// The name below the presentation's folder.
    pub name: &'a str,
    /// Where its files are.
    pub store: &'a dyn Store,
}

impl Location<'_> {
    /// The file of a reference below a base.
    pub(super) fn file(self, base: &str, reference: &str) -> Result<String> {
        self.store.resolve(self.name, &template::join(base, reference)?)
    }
}

/// Reads `first-last`, both included: §5.3.9.2.2.
pub(super) fn byte_range(element: &Element, name: &str) -> Result<Option<Range<u64>>> {
    let Some(text) = element.attribute(name)? else { return Ok(None) };
    let bounds = text.trim().split_once('-').and_then(|(first, last)| {
        let first: u64 = first.parse().ok()?;
        let end = last.parse::<u64>().ok()?.checked_add(1)?;
        (first < end).then_some(first..end)
    });
    bounds.map(Some).ok_or_else(|| {
        Error::input(format!("@{name} is {text:?}, expected first-last"))
            .clause("RFC 9110 §14.1.2")
            .at(element.name())
    })
}

/// How often an `S` stands: `@r` and once more; `None` for "until the next one or the end of the Period".
fn repeat_count(entry: &Element) -> Result<Option<u64>> {
    let text = entry.attribute("r")?.unwrap_or(Cow::Borrowed("0"));
    let repeats: i64 = text.trim().parse().map_err(|_| {
        Error::input(format!("S@r is {text:?}, expected a whole number")).clause("ISO/IEC 23009-1 §5.3.9.6.2")
    })?;
    Ok(u64::try_from(repeats).ok().map(|repeats| repeats.saturating_add(1)))
}

fn has(element: &Element, name: &str) -> bool {
    matches!(element.attribute(name), Ok(Some(_)))
}

/// Index segments and bitstream switching segments are files of their own that describe the clear media.
fn refuse_index_segments(info: &Inherited<'_>) -> Result<()> {
    let index = match info.child("RepresentationIndex") {
        Some(index) => index.attribute("sourceURL")?,
        None => None,
    };
    if index.is_some()
        || info.attribute("index")?.is_some()
        || info.attribute("bitstreamSwitching")?.is_some()
        || info.child("BitstreamSwitching").is_some()
    {
        return Err(index_segments());
    }
    Ok(())
}

fn index_segments() -> Error {
    Error::unsupported("index segments or bitstream switching segments in files of their own")
        .clause("ISO/IEC 23009-1 §5.3.9.2.2")
}
