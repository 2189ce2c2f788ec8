//! Frames of AAC, AC-3 and Enhanced AC-3 in a transport stream — ISO/IEC 14496-3 §1.A.3.2, ETSI TS 102 366 annex E.

use std::collections::VecDeque;

use super::media::{Form, MediaTrack};
use super::stream::{CLOCK, Piece};
use crate::base::{Error, Result};
use crate::codec::{Carried, Elementary, Picture, SampleDescription, TrackKind};
use crate::demux::movie::{MovieTrack, Placed};

/// Frames that begin so little beside where the one before ends follow it, in ticks of 90 kHz: one is rounding, some
/// encoders have more.
const TOLERANCE: i64 = 90;

/// Bytes of the stream that lie in one packet.
struct Run {
    /// Where in the stream they begin.
    at: u64,
    position: u64,
}

/// A frame, or several that are one access unit.
struct Unit {
    position: u64,
    length: u32,
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
    /// The first access unit of what is told by it.
    first: Vec<u8>,
    description: Option<SampleDescription>,
    units: Vec<Unit>,
    next: i64,
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
            first: Vec::new(),
            description: None,
            units: Vec::new(),
            next: 0,
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
            let found = match self.elementary.audio_frame(&self.bytes, start) {
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
            if self.units.len() == 1 {
                self.first.extend(frame);
            }
            let unit = self.units.last_mut();
            return unit.map_or(Ok(()), |unit| {
                unit.length = unit.length.saturating_add(length);
                Ok(())
            });
        }
        if length == 0 {
            return Ok(());
        }
        if self.codec == Carried::Aac {
            let facts = self.elementary.facts(frame)?.map(|facts| facts.setup_data).unwrap_or_default();
            if !self.configuration.is_empty() && facts != self.configuration {
                return Err(Error::unsupported("the configuration of AAC changes")
                    .clause("ISO/IEC 14496-3 §1.A.3.2")
                    .hint("cut the file there and give the parts in calls of their own"));
            }
            self.configuration = facts;
        }
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
        let place = at + header as u64;
        let run = self.runs.iter().rev().find(|run| run.at <= place);
        let run = run.ok_or_else(|| Error::internal("a frame that lies in no packet"))?;
        self.units.push(Unit { position: run.position + (place - run.at), length, time });
        self.next = time.saturating_add(duration.into());
        self.last_duration = duration;
        Ok(())
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
        let Some(last) = self.units.last() else { return time };
        let follows = time.abs_diff(self.next) <= scaled(TOLERANCE).unsigned_abs();
        if follows { self.next } else { time.max(last.time) }
    }

    pub(super) fn finish(self, pid: u16, base: u64) -> Result<Option<(MovieTrack, MediaTrack)>> {
        let Some(description) = self.description.filter(|_| !self.units.is_empty()) else { return Ok(None) };
        let description = match self.codec {
            // What depends on the first frame follows it.
            Carried::Eac3 => {
                let picture = Picture { size: (0, 0), rate: None, color: None };
                self.codec.describe(&self.configuration, &self.first, &picture)?
            }
            _ => description,
        };
        let timescale = description.audio.map_or(CLOCK, |(.., ticks)| ticks);
        let mut media = MediaTrack::new(pid, base, Form::Frames);
        let samples = self.units.iter().map(|unit| Placed {
            position: media.push(unit.position, unit.length, unit.length),
            size: unit.length,
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
