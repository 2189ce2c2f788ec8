//! Access units of AVC and HEVC in a transport stream — ISO/IEC 13818-1 §2.14, §2.17; ISO/IEC 14496-15 §5.3, §8.3.

use std::ops::Range;

use super::framing::Framing;
use super::media::{Form, MediaTrack};
use super::stream::{CLOCK, Piece};
use crate::base::{Error, Result, remedy};
use crate::codec::byte_stream::nal_units;
use crate::codec::{AccessUnits, Carried, TrackKind, VideoUnit, VideoUnits};
use crate::demux::movie::{MovieTrack, Placed};

/// Most bytes of one access unit: the largest picture of any level is smaller.
const MAX_UNIT_BYTES: usize = 64 << 20;

/// An access unit that was met.
struct Found {
    position: u64,
    length: u32,
    unit: VideoUnit,
    /// When it is presented and decoded; `None` where no time stamp says it.
    times: Option<(i64, i64)>,
}

/// The bytes from one access unit that a PES packet says the time of to the next one.
#[derive(Default)]
struct Open {
    bytes: Vec<u8>,
    /// Where in them those of each packet begin, and where these lie in the file.
    runs: Vec<(usize, u64)>,
    /// Time stamps, each of the first access unit that begins there or behind.
    stamps: Vec<(usize, (i64, i64))>,
}

/// A stream of video.
pub(super) struct Video {
    units: VideoUnits,
    access_units: AccessUnits,
    open: Option<Open>,
    found: Vec<Found>,
    framing: Framing,
}

impl Video {
    pub(super) fn new(codec: Carried, framing: Framing) -> Self {
        let access_units = AccessUnits::new(codec);
        Self { units: VideoUnits::new(codec), access_units, open: None, found: Vec::new(), framing }
    }

    /// A time stamp is of the first access unit that begins in its PES packet: §2.4.3.7. Other PES packets go on with it.
    pub(super) fn piece(&mut self, piece: &Piece<'_>) -> Result<()> {
        let Some(times) = piece.times else { return self.extend(piece.position, piece.data) };
        let first = nal_units(piece.data).next();
        // What is before the first start code belongs to the unit before, and so does a slice that goes on with a picture.
        let begins = |first: &Range<usize>| {
            let unit = piece.data.get(first.clone()).unwrap_or_default();
            !self.access_units.goes_on(unit)
        };
        let begin = match &self.open {
            None => Some(0),
            Some(_) => first.filter(begins).map(|first| first.start.saturating_sub(3)),
        };
        let Some(begin) = begin else {
            if let Some(open) = &mut self.open {
                open.stamps.push((open.bytes.len(), times));
            }
            return self.extend(piece.position, piece.data);
        };
        let before = piece.data.get(..begin).unwrap_or_default();
        let begin = if before.iter().all(|byte| *byte == 0) { 0 } else { begin };
        self.extend(piece.position, piece.data.get(..begin).unwrap_or_default())?;
        self.close()?;
        self.open = Some(Open { stamps: vec![(0, times)], ..Open::default() });
        self.extend(piece.position + begin as u64, piece.data.get(begin..).unwrap_or_default())
    }

    fn extend(&mut self, position: u64, data: &[u8]) -> Result<()> {
        let Some(open) = self.open.as_mut().filter(|_| !data.is_empty()) else { return Ok(()) };
        if open.bytes.len() + data.len() > MAX_UNIT_BYTES {
            return Err(Error::unsupported(format!("an access unit of more than {MAX_UNIT_BYTES} bytes")));
        }
        open.runs.push((open.bytes.len(), position));
        open.bytes.extend(data);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some(Open { bytes, runs, stamps }) = self.open.take() else { return Ok(()) };
        let begins = self.access_units.begins(&bytes);
        let ends = begins.iter().skip(1).copied().chain([bytes.len()]);
        let mut stamps = stamps.into_iter().peekable();
        for (begin, end) in begins.iter().copied().zip(ends) {
            let run = runs.partition_point(|(at, _)| *at <= begin).checked_sub(1);
            let Some((at, lies)) = run.and_then(|run| runs.get(run)) else { continue };
            let position = lies + (begin - at) as u64;
            let unit = self.units.unit(bytes.get(begin..end).unwrap_or_default());
            let unit = unit.map_err(|error| error.at_byte(self.framing.place(position)))?;
            let mut times = None;
            while let Some((_, stamp)) = stamps.next_if(|(at, _)| *at <= begin) {
                times = Some(stamp);
            }
            if unit.has_picture {
                let length = u32::try_from(end - begin).unwrap_or(u32::MAX);
                self.found.push(Found { position, length, unit, times });
            }
        }
        Ok(())
    }

    pub(super) fn finish(
        mut self,
        pid: u16,
        base: u64,
    ) -> Result<Option<(MovieTrack, MediaTrack, Vec<String>)>> {
        self.close()?;
        let times = times(&self.found, self.framing)?;
        // Before the first access unit from which decoding can start.
        let skipped = self.found.iter().take_while(|found| !found.unit.is_sync).count();
        self.found.drain(..skipped);
        let times = times.get(skipped..).unwrap_or_default();
        if self.found.is_empty() {
            return Ok(None);
        }
        let mut notices: Vec<String> = changes(&self.found, times, self.framing)?.into_iter().collect();
        if skipped > 0 {
            notices.push(format!("{skipped} pictures before the first that can be decoded are left out"));
        }
        let is_constant = self.units.are_constant();
        let (description, size) = self.units.describe()?;
        let mut media = MediaTrack::new(pid, base, Form::Units { units: self.units, is_constant });
        let [whole, stripped] = [0, 1];
        let kind = if is_constant { stripped } else { whole };
        let mut samples = Vec::with_capacity(self.found.len());
        for (Found { position, length, unit, .. }, (time, _)) in self.found.iter().zip(times) {
            let size = unit.size.get(kind).copied().unwrap_or_default();
            let place = media.push(*position, *length, size);
            samples.push(Placed { position: place, size, time: *time, is_sync: unit.is_sync });
        }
        let decode_times: Vec<i64> = times.iter().map(|(_, time)| *time).collect();
        let last = match decode_times.as_slice() {
            [.., before, last] => u32::try_from(last - before).unwrap_or(0),
            _ => 0,
        };
        let track = MovieTrack {
            kind: TrackKind::Video,
            description,
            size,
            pixel: None,
            color: None,
            boxes: Vec::new(),
            language: String::new(),
            name: String::new(),
            roles: Vec::new(),
            timescale: CLOCK,
            samples,
            decode_times: Some(decode_times),
            last_duration: if last == 0 { CLOCK / 25 } else { last },
            trimmed: (0, 0),
            roll_distance: None,
        };
        Ok(Some((track, media, notices)))
    }
}

/// When access units are presented and decoded. Several may be in a PES packet, whose time stamp is that of the first:
/// pictures of one rate lie evenly between time stamps, and are shown in the order in which they are decoded where time
/// stamps say nothing else, ISO/IEC 13818-1 §2.7.5.
fn times(found: &[Found], framing: Framing) -> Result<Vec<(i64, i64)>> {
    let Some(untimed) = found.iter().find(|found| found.times.is_none()) else {
        return Ok(found.iter().filter_map(|found| found.times).collect());
    };
    if found.iter().filter_map(|found| found.times).any(|(shown, decoded)| shown != decoded) {
        return Err(Error::unsupported(
            "several pictures in a PES packet with one time stamp, and pictures are shown in another order than they \
             are decoded",
        )
        .clause("ISO/IEC 13818-1 §2.7.5")
        .at_byte(framing.place(untimed.position))
        .hint(format!(
            "encode it anew at its frame rate, such as with {}",
            remedy::with(&format!("-r {} ", rate(found)), "-c copy -c:v libx264 -pix_fmt yuv420p", "ts")
        )));
    }
    let mut all: Vec<(i64, i64)> = Vec::with_capacity(found.len());
    let mut step = i64::from(CLOCK / 25);
    let mut rest = found.iter().peekable();
    while let Some(first) = rest.next() {
        let untimed = std::iter::from_fn(|| rest.next_if(|found| found.times.is_none())).count();
        let pictures = i64::try_from(untimed).unwrap_or(i64::MAX).saturating_add(1);
        // The first of all has one: nothing is taken in before a time stamp.
        let begin = first.times.map_or(0, |(_, decoded)| decoded);
        let next = rest.peek().and_then(|next| next.times);
        let lasts = next.map_or_else(|| step.saturating_mul(pictures), |(_, decoded)| decoded - begin);
        step = lasts / pictures;
        all.extend((0..pictures).map(|number| begin + lasts * number / pictures).map(|time| (time, time)));
    }
    Ok(all)
}

/// How many pictures are decoded in a second, as a whole number or a fraction.
fn rate(found: &[Found]) -> String {
    let timed = || found.iter().enumerate().filter_map(|(number, found)| Some((number, found.times?.1)));
    let step = timed().next().zip(timed().next_back()).map(|((first, begin), (last, end))| {
        (end - begin) / i64::try_from(last.saturating_sub(first).max(1)).unwrap_or(i64::MAX)
    });
    match step.filter(|step| *step > 0).unwrap_or_else(|| i64::from(CLOCK / 25)) {
        step if i64::from(CLOCK) % step == 0 => (i64::from(CLOCK) / step).to_string(),
        step => format!("{CLOCK}/{step}"),
    }
}

/// What should be said of a stream whose pictures change their size.
///
/// # Errors
/// When a picture from which decoding can start does not say which size it has: a segment would begin with it.
fn changes(found: &[Found], times: &[(i64, i64)], framing: Framing) -> Result<Option<String>> {
    let mut size = None;
    let mut said: Option<String> = None;
    let begin = times.iter().map(|(time, _)| *time).min().unwrap_or(0);
    for (Found { unit, position, .. }, (time, _)) in found.iter().zip(times) {
        let Some(now @ (width, height)) = unit.pixels else {
            if said.is_some() && unit.is_sync {
                return Err(Error::unsupported(
                    "a key frame without parameter sets behind a change of the resolution",
                )
                .clause("ISO/IEC 14496-15 §5.3.3")
                .at_byte(framing.place(*position))
                .hint(format!(
                    "encode it anew in one resolution, such as with {}",
                    remedy::copy(" -c:v libx264 -pix_fmt yuv420p", "ts")
                )));
            }
            continue;
        };
        if let Some((before_width, before_height)) = size.replace(now).filter(|before| *before != now)
            && said.is_none()
        {
            let seconds = f64::from(u32::try_from(time - begin).unwrap_or(u32::MAX)) / f64::from(CLOCK);
            said = Some(format!(
                "the video changes from {before_width}x{before_height} to {width}x{height} {seconds:.3} s after its \
                 begin: manifests say the first, and not every player follows parameter sets in segments; cut the file \
                 there, or encode it anew in one resolution"
            ));
        }
    }
    Ok(said)
}
