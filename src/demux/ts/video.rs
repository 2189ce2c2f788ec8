//! Access units of AVC and HEVC in a transport stream — ISO/IEC 13818-1 §2.14, §2.17; ISO/IEC 14496-15 §5.3, §8.3.

use super::media::{Form, MediaTrack};
use super::stream::{CLOCK, Piece};
use crate::base::{Error, Result};
use crate::codec::byte_stream::nal_units;
use crate::codec::{Carried, TrackKind, VideoUnit, VideoUnits};
use crate::demux::movie::{MovieTrack, Placed};

/// Most bytes of one access unit: the largest picture of any level is smaller.
const MAX_UNIT_BYTES: usize = 64 << 20;

/// An access unit that was met.
struct Found {
    position: u64,
    length: u32,
    unit: VideoUnit,
    times: (i64, i64),
}

/// The access unit that is not yet whole.
#[derive(Default)]
struct Open {
    position: u64,
    bytes: Vec<u8>,
    times: (i64, i64),
}

/// A stream of video.
pub(super) struct Video {
    units: VideoUnits,
    open: Option<Open>,
    found: Vec<Found>,
    /// Access units before the first from which decoding can start.
    skipped: u64,
}

impl Video {
    pub(super) fn new(codec: Carried) -> Self {
        Self { units: VideoUnits::new(codec), open: None, found: Vec::new(), skipped: 0 }
    }

    /// An access unit begins with each PES packet that says when; other PES packets go on with it.
    pub(super) fn piece(&mut self, piece: &Piece<'_>) -> Result<()> {
        if let Some(times) = piece.times {
            // What is before the first start code belongs to the unit before.
            let begin = nal_units(piece.data).next().map_or(0, |first| first.start.saturating_sub(3));
            let zeros = piece.data.get(..begin).is_some_and(|before| before.iter().all(|byte| *byte == 0));
            if !zeros {
                self.extend(piece.data.get(..begin).unwrap_or_default())?;
            }
            self.close()?;
            let skipped = if zeros { 0 } else { begin };
            let bytes = piece.data.get(skipped..).unwrap_or_default().to_vec();
            self.open = Some(Open { position: piece.position + skipped as u64, bytes, times });
            return Ok(());
        }
        self.extend(piece.data)
    }

    fn extend(&mut self, data: &[u8]) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.bytes.is_empty() {
            return Ok(());
        }
        if open.bytes.len() + data.len() > MAX_UNIT_BYTES {
            return Err(Error::unsupported(format!("an access unit of more than {MAX_UNIT_BYTES} bytes")));
        }
        open.bytes.extend(data);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some(Open { position, bytes, times }) = self.open.take() else { return Ok(()) };
        let unit = self.units.unit(&bytes).map_err(|error| error.at_byte(position))?;
        if !unit.has_picture {
            return Ok(());
        }
        if self.found.is_empty() && !unit.is_sync {
            self.skipped += 1;
            return Ok(());
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.found.push(Found { position, length, unit, times });
        Ok(())
    }

    pub(super) fn finish(
        mut self,
        pid: u16,
        base: u64,
    ) -> Result<Option<(MovieTrack, MediaTrack, Option<String>)>> {
        self.close()?;
        if self.found.is_empty() {
            return Ok(None);
        }
        let is_constant = self.units.are_constant();
        let (description, size) = self.units.describe()?;
        let mut media = MediaTrack::new(pid, base, Form::Units { units: self.units, is_constant });
        let [whole, stripped] = [0, 1];
        let kind = if is_constant { stripped } else { whole };
        let mut samples = Vec::with_capacity(self.found.len());
        for Found { position, length, unit, times: (time, _) } in &self.found {
            let size = unit.size.get(kind).copied().unwrap_or_default();
            let place = media.push(*position, *length, size);
            samples.push(Placed { position: place, size, time: *time, is_sync: unit.is_sync });
        }
        let decode_times: Vec<i64> = self.found.iter().map(|found| found.times.1).collect();
        let last = match decode_times.as_slice() {
            [.., before, last] => u32::try_from(last - before).unwrap_or(0),
            _ => 0,
        };
        let notice = (self.skipped > 0)
            .then(|| format!("{} pictures before the first that can be decoded are left out", self.skipped));
        let track = MovieTrack {
            kind: TrackKind::Video,
            description,
            size,
            pixel: None,
            color: None,
            language: String::new(),
            name: String::new(),
            timescale: CLOCK,
            samples,
            decode_times: Some(decode_times),
            last_duration: if last == 0 { CLOCK / 25 } else { last },
            trimmed: (0, 0),
            roll_distance: None,
        };
        Ok(Some((track, media, notice)))
    }
}
