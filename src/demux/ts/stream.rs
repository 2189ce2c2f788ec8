//! The elementary streams of a transport stream, packet by packet — ISO/IEC 13818-1 §2.4.3.3, §2.4.3.7.

use super::audio::Audio;
use super::media::MediaTrack;
use super::program::ProgramStream;
use super::video::Video;
use crate::base::{Error, Result};
use crate::codec::Carried;
use crate::demux::movie::MovieTrack;
use crate::ts::{PACKET_BYTES, Packet, PesHeader};

/// Ticks of a second of time stamps, and how many there are before they begin anew.
pub(super) const CLOCK: u32 = 90_000;
const STAMPS: i64 = 1 << 33;
/// Most ticks from one time stamp of a stream to the next: beyond that the clock was set.
const MAX_STEP: i64 = 60 * 90_000;

/// Bytes of an elementary stream in one packet.
pub(super) struct Piece<'a> {
    /// Where they lie in the file.
    pub(super) position: u64,
    pub(super) data: &'a [u8],
    /// Presentation and decoding time of what begins here, when a PES packet does and says it.
    pub(super) times: Option<(i64, i64)>,
    /// Whether a PES packet begins here.
    pub(super) is_start: bool,
}

/// What units a stream has.
enum Units {
    Video(Box<Video>),
    Audio(Box<Audio>),
}

/// A stream that becomes a track.
pub(super) struct Stream {
    of: ProgramStream,
    counter: Option<u8>,
    /// Whether a PES packet has begun.
    is_open: bool,
    /// The decoding time before, unwrapped.
    before: Option<i64>,
    units: Units,
}

/// Where the data of a packet begins in it, the data, and the header of the PES packet that begins before it.
pub(super) type Data<'a> = (usize, &'a [u8], Option<PesHeader>);

/// The data of a packet of a stream, where it begins in the packet, and the header of the PES packet that begins in it.
///
/// # Errors
/// When the header is wrong or goes on in the next packet.
pub(super) fn data<'a>(packet: &Packet<'a>) -> Result<Option<Data<'a>>> {
    let Some(payload) = packet.payload() else { return Ok(None) };
    let start = PACKET_BYTES - payload.len();
    if !packet.payload_unit_start() {
        return Ok(Some((start, payload, None)));
    }
    let header = PesHeader::parse(payload)?;
    let data = payload.get(header.data_position..).ok_or_else(|| {
        Error::unsupported("a PES header that goes on in the next packet").clause("ISO/IEC 13818-1 §2.4.3.7")
    })?;
    Ok(Some((start + header.data_position, data, Some(header))))
}

/// Takes in a packet of the file.
pub(super) fn packet(streams: &mut [Stream], position: u64, bytes: &[u8; PACKET_BYTES]) -> Result<()> {
    let packet = Packet::parse(bytes)?;
    let stream = streams.iter_mut().find(|stream| stream.of.pid == packet.pid());
    stream.map_or(Ok(()), |stream| {
        let pid = stream.of.pid;
        stream.packet(position, &packet).map_err(|error| error.at(format_args!("PID {pid:#x}")))
    })
}

impl Stream {
    pub(super) fn new(of: &ProgramStream) -> Self {
        let units = match of.codec {
            Carried::Avc | Carried::Hevc => Units::Video(Box::new(Video::new(of.codec))),
            codec => Units::Audio(Box::new(Audio::new(codec))),
        };
        Self { of: of.clone(), counter: None, is_open: false, before: None, units }
    }

    pub(super) fn pid(&self) -> u16 {
        self.of.pid
    }

    fn packet(&mut self, position: u64, packet: &Packet<'_>) -> Result<()> {
        if packet.transport_scrambling_control() != 0 {
            return Err(Error::input("the packet is scrambled: the file is encrypted already")
                .clause("ISO/IEC 13818-1 §2.4.3.3")
                .hint("give the clear file"));
        }
        if packet.payload().is_none() || !self.count(packet)? {
            return Ok(());
        }
        let Some((start, data, header)) = data(packet)? else { return Ok(()) };
        if header.is_some_and(|header| header.pes_scrambling_control != 0) {
            return Err(Error::input("the PES packet is scrambled: the file is encrypted already")
                .clause("ISO/IEC 13818-1 §2.4.3.7")
                .hint("give the clear file"));
        }
        self.is_open |= header.is_some();
        if !self.is_open {
            return Ok(());
        }
        let times = header.map(|header| self.times(&header)).transpose()?.flatten();
        let piece = Piece { position: position + start as u64, data, times, is_start: header.is_some() };
        match &mut self.units {
            Units::Video(video) => video.piece(&piece),
            Units::Audio(audio) => audio.piece(&piece),
        }
    }

    /// Whether a packet is new: §2.4.3.3 lets each be sent twice.
    fn count(&mut self, packet: &Packet<'_>) -> Result<bool> {
        let counter = packet.continuity_counter();
        let Some(before) = self.counter.replace(counter) else { return Ok(true) };
        if before == counter && !packet.payload_unit_start() && !packet.discontinuity() {
            return Ok(false);
        }
        let follows = (before + 1) & 0x0f == counter;
        if !follows && self.is_open && !packet.payload_unit_start() && !packet.discontinuity() {
            return Err(Error::input(format!(
                "continuity_counter is {counter} behind {before}: packets are missing"
            ))
            .clause("ISO/IEC 13818-1 §2.4.3.3")
            .hint("the file is damaged there: record it again, or mend it such as with ffmpeg -i FILE -c copy OTHER.mp4"));
        }
        Ok(true)
    }

    /// Times without their wrap: §2.4.3.7.
    fn times(&mut self, header: &PesHeader) -> Result<Option<(i64, i64)>> {
        let Some(pts) = header.pts else { return Ok(None) };
        let dts = header.dts.unwrap_or(pts);
        let (pts, dts) = (pts.cast_signed(), dts.cast_signed());
        let nearest = |stamp: i64, to: i64| stamp + (to - stamp + STAMPS / 2).div_euclid(STAMPS) * STAMPS;
        let unwrapped = self.before.map_or(dts, |before| nearest(dts, before));
        if let Some(step) =
            self.before.map(|before| unwrapped - before).filter(|step| !(0..=MAX_STEP).contains(step))
        {
            return Err(Error::unsupported(format!(
                "time stamps go on {step} ticks of 90 kHz from the one before: the clock was set anew"
            ))
            .clause("ISO/IEC 13818-1 §2.4.3.7")
            .hint("cut the file there and give the parts in calls of their own, or write it anew with ffmpeg -i FILE -c copy OTHER.mp4"));
        }
        self.before = Some(unwrapped);
        Ok(Some((nearest(pts, unwrapped), unwrapped)))
    }

    /// The track that the stream is, and where its samples lie from `base` on; `begin` is the first time stamp of all
    /// streams, from which they are unwrapped.
    pub(super) fn finish(
        self,
        base: u64,
        begin: &mut Option<i64>,
    ) -> Result<Option<(MovieTrack, MediaTrack, Vec<String>)>> {
        let Self { of: ProgramStream { pid, language, roles, dolby_vision, .. }, units, .. } = self;
        let made = match units {
            Units::Video(video) => video.finish(pid, base)?,
            Units::Audio(audio) => audio.finish(pid, base)?.map(|(track, media)| (track, media, Vec::new())),
        };
        let Some((mut track, media, notices)) = made else { return Ok(None) };
        track.language =
            language.and_then(|letters| String::from_utf8(letters.to_vec()).ok()).unwrap_or_default();
        track.roles = roles;
        dolby_vision.iter().try_for_each(|record| track.set_dolby_vision(record))?;
        // Another stream may have begun before the wrap.
        let scale = i64::from(track.timescale);
        let first = track.samples.first().map_or(0, |sample| sample.time);
        let begin = *begin.get_or_insert(first * i64::from(CLOCK) / scale.max(1));
        let wraps = (begin - first * i64::from(CLOCK) / scale.max(1) + STAMPS / 2).div_euclid(STAMPS);
        if wraps != 0 {
            let moved =
                i64::try_from(i128::from(wraps) * i128::from(STAMPS) * i128::from(scale) / i128::from(CLOCK));
            let moved = moved.unwrap_or(0);
            track.samples.iter_mut().for_each(|sample| sample.time += moved);
            track.decode_times.iter_mut().flatten().for_each(|time| *time += moved);
        }
        Ok(Some((track, media, notices)))
    }
}
