//! Samples put together from transport packets when they are read — ISO/IEC 13818-1 §2.4.3.

use std::sync::{Mutex, PoisonError};

use super::stream::{Continuity, Order, data};
use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::codec::{Latm, VideoUnits};
use crate::ts::{PACKET_BYTES, Packet};

/// Packets read at a time.
const PACKETS_AT_A_TIME: u64 = 256;
/// Parts of the file that are held of each track, for as many readers that go through it.
const WINDOWS: usize = 8;

/// How the bytes of a stream become samples.
pub(super) enum Form {
    /// NAL units behind start codes.
    Units {
        units: VideoUnits,
        /// Whether parameter sets stand in the sample entry alone.
        is_constant: bool,
    },
    /// Bytes as they are.
    Frames,
    /// Frames of LATM and LOAS with audio in them.
    Loas(Latm),
}

/// A sample.
struct StoredSample {
    /// Where it begins among the samples of all tracks.
    start: u64,
    /// Where its first byte lies in the file, and how many bytes of the stream it is made of.
    position: u64,
    length: u32,
}

/// The samples of a track, one behind the other.
pub(super) struct MediaTrack {
    pid: u16,
    base: u64,
    end: u64,
    form: Form,
    places: Vec<StoredSample>,
    /// What was read last, the latest at the end: the next sample is there or goes on from it.
    windows: Mutex<Vec<Window>>,
}

/// Packets of the file.
#[derive(Default)]
struct Window {
    begin: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The packet at a place of the file, if it is in here.
    fn packet(&self, at: u64) -> Option<[u8; PACKET_BYTES]> {
        let start = usize::try_from(at.checked_sub(self.begin)?).ok()?;
        self.bytes.get(start..)?.first_chunk::<PACKET_BYTES>().copied()
    }
}

impl MediaTrack {
    pub(super) fn new(pid: u16, base: u64, form: Form) -> Self {
        Self { pid, base, end: base, form, places: Vec::new(), windows: Mutex::default() }
    }

    /// Where the samples of the track end.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds a sample of `size` bytes, and says where it begins.
    pub(super) fn push(&mut self, position: u64, length: u32, size: u32) -> u64 {
        let start = self.end;
        self.places.push(StoredSample { start, position, length });
        self.end += u64::from(size);
        start
    }

    /// The bytes from a place on, as far as the track has them; returns how many.
    fn read(&self, source: &dyn Source, position: u64, buffer: &mut [u8]) -> Result<usize> {
        let first = self.places.partition_point(|place| place.start <= position).saturating_sub(1);
        let position_in_file = self.places.get(first).map_or(0, |place| place.position);
        let mut packets = Pieces { source, pid: self.pid, window: self.window(position_in_file) };
        let (mut stream, mut sample, mut filled) = (Vec::new(), Vec::new(), 0);
        for (number, place) in self.places.iter().enumerate().skip(first) {
            if filled == buffer.len() {
                break;
            }
            packets.read(place.position, place.length as usize, &mut stream)?;
            let bytes = match &self.form {
                Form::Frames => &stream,
                Form::Loas(latm) => {
                    sample = latm.raw(&stream)?;
                    &sample
                }
                Form::Units { units, is_constant } => {
                    sample.clear();
                    units.sample(&stream, *is_constant, &mut sample);
                    &sample
                }
            };
            let end = self.places.get(number + 1).map_or(self.end, |next| next.start);
            if bytes.len() as u64 != end - place.start {
                return Err(Error::input("a sample of another size than before: the file has changed")
                    .at_byte(place.position));
            }
            let skip =
                usize::try_from((position + filled as u64).saturating_sub(place.start)).unwrap_or(usize::MAX);
            let from = bytes.get(skip..).unwrap_or_default();
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let count = from.len().min(room.len());
            room.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            filled += count;
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() == WINDOWS {
            windows.remove(0);
        }
        windows.push(packets.window);
        Ok(filled)
    }

    /// Takes out what was read at this place of the file, for one reader.
    fn window(&self, position: u64) -> Window {
        let at = position - position % PACKET_BYTES as u64;
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let known = windows.iter().position(|window| window.packet(at).is_some());
        known.map(|known| windows.remove(known)).unwrap_or_default()
    }
}

/// The packets of a stream, from one place on.
struct Pieces<'a> {
    source: &'a dyn Source,
    pid: u16,
    window: Window,
}

impl Pieces<'_> {
    /// `length` bytes of the stream whose first lies at `position`.
    fn read(&mut self, position: u64, length: usize, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        let packet_bytes = PACKET_BYTES as u64;
        let mut at = position - position % packet_bytes;
        let mut continuity = Continuity::default();
        while out.len() < length {
            let bytes = self.packet(at)?;
            let packet = Packet::parse(&bytes).map_err(|error| error.at_byte(at))?;
            let is_of_track = packet.pid() == self.pid && packet.payload().is_some();
            if is_of_track
                && continuity.order(&packet) != Order::Again
                && let Some((start, piece, _)) = data(&packet).map_err(|error| error.at_byte(at))?
            {
                let skip = if out.is_empty() {
                    usize::try_from(position - at).unwrap_or(0).saturating_sub(start)
                } else {
                    0
                };
                let piece = piece.get(skip..).unwrap_or_default();
                out.extend(piece.iter().take(length - out.len()));
            }
            at += packet_bytes;
        }
        Ok(())
    }

    fn packet(&mut self, at: u64) -> Result<[u8; PACKET_BYTES]> {
        if let Some(packet) = self.window.packet(at) {
            return Ok(packet);
        }
        let packet_bytes = PACKET_BYTES as u64;
        let left = self.source.len().saturating_sub(at) / packet_bytes;
        let bytes = left.min(PACKETS_AT_A_TIME) * packet_bytes;
        self.window.begin = at;
        self.window.bytes.resize(usize::try_from(bytes).unwrap_or(0), 0);
        self.source.read_at(at, &mut self.window.bytes)?;
        self.window
            .packet(at)
            .ok_or_else(|| Error::input("the file ends inside a sample: it has changed").at_byte(at))
    }
}

/// The samples of all tracks as a file.
pub(super) struct Media {
    pub(super) source: Box<dyn Source>,
    pub(super) tracks: Vec<MediaTrack>,
}

impl Source for Media {
    fn len(&self) -> u64 {
        self.tracks.last().map_or(0, MediaTrack::end)
    }

    fn version(&self) -> Option<String> {
        self.source.version()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = position.saturating_add(filled as u64);
            let track = self.tracks.iter().find(|track| (track.base..track.end).contains(&at));
            let track = track.ok_or_else(|| Error::input(format!("a place at {at}, where no sample is")))?;
            filled += track.read(self.source.as_ref(), at, buffer.get_mut(filled..).unwrap_or_default())?;
        }
        Ok(())
    }
}
