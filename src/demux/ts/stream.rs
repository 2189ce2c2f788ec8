//! The elementary streams of a transport stream, packet by packet — ISO/IEC 13818-1 §2.4.3.3, §2.4.3.7.

use super::audio::Audio;
use super::framing::Framing;
use super::media::MediaTrack;
use super::program::ProgramStream;
use super::video::Video;
use crate::base::{Error, Result, remedy};
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

/// The packets of a stream, of which each may be sent twice: §2.4.3.3.
#[derive(Default)]
pub(super) struct Continuity {
    before: Option<[u8; PACKET_BYTES]>,
}

/// How a packet with a payload stands to the one before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It is the next, as far as that can be told.
    Next,
    /// It is the one before once more.
    Again,
    /// So many are missing between, or sixteen more, or as many more again.
    Behind(u8),
}

impl Continuity {
    /// Takes in the next packet with a payload.
    pub(super) fn order(&mut self, packet: &Packet<'_>) -> Order {
        let Some(before) = self.before.replace(*packet.bytes()) else { return Order::Next };
        let [_, _, _, was, ..] = before;
        let missing = packet.continuity_counter().wrapping_sub(was).wrapping_sub(1) & 0x0f;
        match () {
            () if packet.repeats(&before) => Order::Again,
            () if missing == 0 || packet.discontinuity() => Order::Next,
            () => Order::Behind(missing),
        }
    }
}

/// A PES packet that is taken in.
struct OpenPes {
    position: u64,
    /// Its bytes as its header says, where that says it, and those that were met.
    stated: Option<usize>,
    bytes: usize,
}

/// Places where packets are missing and PES packets begin.
#[derive(Default)]
struct Jumps {
    places: u64,
    first: u64,
    /// Packets that are missing at least.
    packets: u64,
}

/// What units a stream has.
enum Units {
    Video(Box<Video>),
    Audio(Box<Audio>),
}

/// A stream that becomes a track.
pub(super) struct Stream {
    of: ProgramStream,
    framing: Framing,
    continuity: Continuity,
    open: Option<OpenPes>,
    jumps: Jumps,
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

/// What to do about a file in which bytes are wrong or missing: sound is encoded anew, as nothing but a decoder finds the
/// next frame behind half of one.
pub(super) fn damaged_there() -> String {
    format!(
        "the file is damaged there: record it again, or mend it such as with {}",
        remedy::copy(" -c:a aac", "ts")
    )
}

/// A stream without times.
pub(super) fn untimed() -> Error {
    Error::input("PES packets without a time stamp: when they are presented is not said")
        .clause("ISO/IEC 13818-1 §2.7.4")
        .hint(format!(
            "encode it anew, which gives it times, such as with {}",
            // Copied it would stay without.
            remedy::with("-fflags +genpts ", "-c:v libx264 -pix_fmt yuv420p -c:a aac -c:s copy", "ts")
        ))
}

impl Stream {
    pub(super) fn new(of: &ProgramStream, framing: Framing) -> Self {
        let units = match of.codec {
            Carried::Avc | Carried::Hevc => Units::Video(Box::new(Video::new(of.codec, framing))),
            codec => Units::Audio(Box::new(Audio::new(codec))),
        };
        Self {
            of: of.clone(),
            framing,
            continuity: Continuity::default(),
            open: None,
            jumps: Jumps::default(),
            before: None,
            units,
        }
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
        let Some(payload) = packet.payload() else { return Ok(()) };
        if !self.is_next(position, packet)? {
            return Ok(());
        }
        let Some((start, data, header)) = data(packet)? else { return Ok(()) };
        if header.is_some_and(|header| header.pes_scrambling_control != 0) {
            return Err(Error::input("the PES packet is scrambled: the file is encrypted already")
                .clause("ISO/IEC 13818-1 §2.4.3.7")
                .hint("give the clear file"));
        }
        if let Some(header) = &header {
            self.open = Some(OpenPes { position, stated: header.packet_bytes(), bytes: 0 });
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.bytes += payload.len();
        let times = header.map(|header| self.times(&header)).transpose()?.flatten();
        let piece = Piece { position: position + start as u64, data, times, is_start: header.is_some() };
        match &mut self.units {
            Units::Video(video) => video.piece(&piece),
            Units::Audio(audio) => audio.piece(&piece),
        }
    }

    /// Whether a packet is new.
    ///
    /// # Errors
    /// When packets are missing inside a PES packet.
    fn is_next(&mut self, position: u64, packet: &Packet<'_>) -> Result<bool> {
        let order = self.continuity.order(packet);
        if order == Order::Again {
            return Ok(false);
        }
        let Some(open) = &self.open else { return Ok(true) };
        let hint = damaged_there();
        let is_start = packet.payload_unit_start();
        if is_start && let Some(stated) = open.stated.filter(|stated| *stated > open.bytes) {
            return Err(Error::input(format!(
                "the PES packet before this one has {} bytes, {stated} expected from its PES_packet_length: packets are \
                 missing",
                open.bytes
            ))
            .clause("ISO/IEC 13818-1 §2.4.3.7")
            .at_byte(self.framing.place(open.position))
            .hint(hint));
        }
        let Order::Behind(missing) = order else { return Ok(true) };
        if !is_start {
            let counter = packet.continuity_counter();
            let before = counter.wrapping_sub(missing).wrapping_sub(1) & 0x0f;
            return Err(Error::input(format!(
                "continuity_counter is {counter} behind {before}: packets are missing"
            ))
            .clause("ISO/IEC 13818-1 §2.4.3.3")
            .hint(hint));
        }
        if self.jumps.places == 0 {
            self.jumps.first = position;
        }
        self.jumps.places += 1;
        self.jumps.packets += u64::from(missing);
        Ok(true)
    }

    /// What is not whole of it, in words.
    pub(super) fn lacks(&self) -> Vec<String> {
        let Jumps { places, first, packets } = self.jumps;
        let first = self.framing.place(first);
        let jumps = (places > 0).then(|| {
            let times = if places == 1 { "once".to_owned() } else { format!("{places} times, first") };
            format!(
                "continuity_counter jumps where a PES packet begins, {times} at byte {first}: the file was joined there, or \
                 {packets} packets or more were lost, and what they had is missing"
            )
        });
        let cut = self.open.as_ref().and_then(|open| {
            let stated = open.stated.filter(|stated| *stated > open.bytes)?;
            Some(format!(
                "the file ends inside a PES packet: {} bytes of {stated} from byte {} on, the last frame may be missing or \
                 cut off",
                open.bytes,
                self.framing.place(open.position)
            ))
        });
        jumps.into_iter().chain(cut).collect()
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
            .hint(format!(
                "cut the file there and give the parts in calls of their own, or write it anew with {}",
                remedy::copy("", "ts")
            )));
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
        if self.open.is_some() && self.before.is_none() {
            return Err(untimed());
        }
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
