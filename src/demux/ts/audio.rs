//! Frames of AAC, AC-3 and Enhanced AC-3 in a transport stream — ISO/IEC 14496-3 §1.A.3.2, ETSI TS 102 366 annex E.

use std::collections::VecDeque;
use std::ops::Range;

use super::media::{Form, MediaTrack};
use super::stream::{CLOCK, Piece, untimed};
use crate::base::{Error, Result, remedy};
use crate::codec::{AudioFrame, Carried, Elementary, Latm, Picture, SampleDescription, TrackKind};
use crate::demux::movie::{MovieTrack, Placed};

/// Frames that begin so little beside where the one before ends follow it, in ticks of 90 kHz: one is rounding, some
/// encoders have more.
const TOLERANCE: i64 = 90;

/// Samples of an access unit of Enhanced AC-3, six blocks: ETSI TS 102 366 annex F. A syncframe may have fewer.
const SIX_BLOCKS: u32 = 6 * 256;

/// Bytes of the stream that lie in one packet.
struct Run {
    /// Where in the stream they begin.
    at: u64,
    position: u64,
}

/// A frame, or several that are one access unit.
struct Unit {
    position: u64,
    /// Bytes of the stream, and of the sample that is made of them.
    length: u32,
    size: u32,
    time: i64,
}

/// A stream of audio.
pub(super) struct Audio {
    codec: Carried,
    elementary: Elementary,
    /// Bytes from the first frame on that is not yet whole, and where in the stream they begin.
    bytes: Vec<u8>,
    at: u64,
    /// Where they lie, and time stamps with the place in the stream that they are of.
    runs: VecDeque<Run>,
    stamps: VecDeque<(u64, i64)>,
    configuration: Vec<u8>,
    latm: Option<Latm>,
    /// The first access unit of what is told by it.
    first: Vec<u8>,
    description: Option<SampleDescription>,
    units: Vec<Unit>,
    next: i64,
    /// Whether a time stamp was met.
    is_timed: bool,
    last_duration: u32,
}

impl Audio {
    pub(super) fn new(codec: Carried) -> Self {
        let elementary = match codec {
            Carried::Ac3 => Elementary::Ac3,
            Carried::Eac3 => Elementary::Eac3,
            _ => Elementary::Aac,
        };
        Self {
            codec,
            elementary,
            bytes: Vec::new(),
            at: 0,
            runs: VecDeque::new(),
            stamps: VecDeque::new(),
            configuration: Vec::new(),
            latm: None,
            first: Vec::new(),
            description: None,
            units: Vec::new(),
            next: 0,
            is_timed: false,
            last_duration: 0,
        }
    }

    pub(super) fn piece(&mut self, piece: &Piece<'_>) -> Result<()> {
        let end = self.at + self.bytes.len() as u64;
        if self.units.is_empty() && self.first.is_empty() && piece.is_start {
            // Nothing was found yet: a frame begins with a PES packet.
            self.bytes.clear();
            self.runs.clear();
            self.stamps.clear();
            self.at = end;
        }
        self.stamps.extend(piece.times.map(|(time, _)| (end, time)));
        self.runs.push_back(Run { at: end, position: piece.position });
        self.bytes.extend(piece.data);
        self.frames()
    }

    fn frames(&mut self) -> Result<()> {
        let mut start = 0;
        loop {
            let frame = match self.codec {
                Carried::Loas => Latm::frame(&self.bytes, start)
                    .map(|frame| frame.map(|range| AudioFrame { range, header_bytes: 0, goes_on: false })),
                _ => self.elementary.audio_frame(&self.bytes, start),
            };
            let found = match frame {
                // A stream may be cut anywhere before its first frame.
                Err(_) if self.units.is_empty() && self.first.is_empty() && start < self.bytes.len() => {
                    start += 1;
                    continue;
                }
                found => found?,
            };
            let Some(frame) = found else { break };
            self.frame(frame.range.start, (frame.header_bytes, frame.range.end), frame.goes_on)?;
            start = frame.range.end;
        }
        self.bytes.drain(..start.min(self.bytes.len()));
        self.at += start as u64;
        while self.runs.get(1).is_some_and(|run| run.at <= self.at) {
            self.runs.pop_front();
        }
        Ok(())
    }

    fn frame(&mut self, start: usize, (header, end): (usize, usize), goes_on: bool) -> Result<()> {
        let frame = self.bytes.get(start..end).unwrap_or_default();
        let data = frame.get(header..).unwrap_or_default();
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if goes_on {
            self.go_on(start..end, length);
            return Ok(());
        }
        if length == 0 {
            return Ok(());
        }
        let mut size = length;
        match self.codec {
            Carried::Aac => {
                let facts = self.elementary.facts(frame)?.map(|facts| facts.setup_data).unwrap_or_default();
                self.configuration = same_configuration(&self.configuration, facts)?;
            }
            Carried::Loas => {
                if self.latm.is_none() {
                    self.latm = Latm::of(frame)?;
                }
                // Frames before the first that says how they are read cannot be, and time stamps are those of theirs.
                let Some(latm) = &self.latm else {
                    let at = self.at + start as u64;
                    self.stamps.retain(|(place, _)| *place > at);
                    return Ok(());
                };
                size = u32::try_from(latm.raw(frame)?.len()).unwrap_or(u32::MAX);
                self.configuration.clone_from(&latm.configuration);
            }
            _ => {}
        }
        let frame = self.bytes.get(start..end).unwrap_or_default();
        if self.units.is_empty() {
            self.first = frame.to_vec();
            let picture = Picture { size: (0, 0), rate: None, color: None };
            self.description = Some(self.codec.describe(&self.configuration, &self.first, &picture)?);
        }
        let ticks =
            self.description.as_ref().and_then(|found| found.audio).map_or(CLOCK, |(.., ticks)| ticks);
        let duration = self.codec.duration(&self.configuration, frame)?;
        let at = self.at + start as u64;
        let time = self.time(at, ticks);
        self.next = time.saturating_add(duration.into());
        let is_open =
            self.codec == Carried::Eac3 && !self.units.is_empty() && self.last_duration < SIX_BLOCKS;
        if is_open {
            self.go_on(start..end, length);
            self.last_duration += duration;
            return Ok(());
        }
        let place = at + header as u64;
        let run = self.runs.iter().rev().find(|run| run.at <= place);
        let run = run.ok_or_else(|| Error::internal("a frame that lies in no packet"))?;
        self.units.push(Unit { position: run.position + (place - run.at), length, size, time });
        self.last_duration = duration;
        Ok(())
    }

    /// A frame that is of the access unit before.
    fn go_on(&mut self, range: Range<usize>, length: u32) {
        if self.units.len() == 1 {
            self.first.extend(self.bytes.get(range).unwrap_or_default());
        }
        if let Some(unit) = self.units.last_mut() {
            unit.length = unit.length.saturating_add(length);
            unit.size = unit.length;
        }
    }

    /// When a frame is presented that begins at this place of the stream, in ticks of its frequency.
    fn time(&mut self, at: u64, ticks: u32) -> i64 {
        let mut stated = None;
        while let Some((_, time)) = self.stamps.front().copied().filter(|(place, _)| *place <= at) {
            stated = Some(time);
            self.stamps.pop_front();
        }
        let scaled = |time: i64| {
            let ticks = i128::from(time) * i128::from(ticks) + i128::from(CLOCK / 2);
            i64::try_from(ticks.div_euclid(CLOCK.into())).unwrap_or(i64::MAX)
        };
        let Some(time) = stated.map(scaled) else { return self.next };
        if !std::mem::replace(&mut self.is_timed, true) {
            // What is before the first time stamp is presented before it.
            let late = time.saturating_sub(self.next);
            self.units.iter_mut().for_each(|unit| unit.time = unit.time.saturating_add(late));
            return time;
        }
        let Some(last) = self.units.last() else { return time };
        let follows = time.abs_diff(self.next) <= scaled(TOLERANCE).unsigned_abs();
        if follows { self.next } else { time.max(last.time) }
    }

    pub(super) fn finish(self, pid: u16, base: u64) -> Result<Option<(MovieTrack, MediaTrack)>> {
        let Some(description) = self.description.filter(|_| !self.units.is_empty()) else { return Ok(None) };
        if !self.is_timed {
            return Err(untimed());
        }
        let description = match self.codec {
            // What depends on the first frame follows it.
            Carried::Eac3 => {
                let picture = Picture { size: (0, 0), rate: None, color: None };
                self.codec.describe(&self.configuration, &self.first, &picture)?
            }
            _ => description,
        };
        let timescale = description.audio.map_or(CLOCK, |(.., ticks)| ticks);
        let form = self.latm.map_or(Form::Frames, Form::Loas);
        let mut media = MediaTrack::new(pid, base, form);
        let samples = self.units.iter().filter(|unit| unit.size > 0).map(|unit| Placed {
            position: media.push(unit.position, unit.length, unit.size),
            size: unit.size,
            time: unit.time,
            is_sync: true,
        });
        let samples = samples.collect();
        let track = MovieTrack {
            kind: TrackKind::Audio,
            description,
            size: (0, 0),
            pixel: None,
            color: None,
            boxes: Vec::new(),
            language: String::new(),
            name: String::new(),
            roles: Vec::new(),
            timescale,
            samples,
            decode_times: None,
            last_duration: self.last_duration,
            trimmed: (0, 0),
            roll_distance: None,
        };
        Ok(Some((track, media)))
    }
}

/// The configuration of a frame, which is that of those before it. Channels that are told by an element may be told by the
/// first frame alone.
fn same_configuration(known: &[u8], found: Vec<u8>) -> Result<Vec<u8>> {
    let is_told_by_element = found.get(1).is_some_and(|second| second >> 3 & 15 == 0);
    if is_told_by_element && found.len() == 2 {
        let goes_on = known.len() > 2 && known.starts_with(&found);
        return if goes_on { Ok(known.to_vec()) } else { Err(without_channels()) };
    }
    match known.is_empty() || found == known {
        true => Ok(found),
        false => Err(Error::unsupported("the configuration of AAC changes")
            .clause("ISO/IEC 14496-3 §1.A.3.2")
            .hint("cut the file there and give the parts in calls of their own")),
    }
}

fn without_channels() -> Error {
    Error::unsupported(
        "channel_configuration 0, and no program config element at the start of the first frame",
    )
    .clause("ISO/IEC 14496-3 §1.A.3.2.2")
    .hint(format!("write it anew, such as with {}", remedy::copy(" -c:a aac", "ts")))
}
