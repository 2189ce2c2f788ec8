//! The one program of a transport stream file — ISO/IEC 13818-1 §2.4.4.

use super::framing::Framing;
use super::stream::damaged_there;
use crate::base::env::Source;
use crate::base::{Error, Result, remedy};
use crate::codec::{AUDIO_FORMATS, Carried, dolby_vision_record, is_media_format};
use crate::ts::{
    Descriptors, PACKET_BYTES, PAT_PID, PROGRAM_MAP_TABLE, Packet, Packets, Pat, Pmt, PmtStream,
    SectionReader,
};

/// CA_descriptor: table 2-45.
const CA: u8 = 9;
/// `stream_type` of sample encryption: Apple, MPEG-2 Stream Encryption Format for HTTP Live Streaming §3.
const ENCRYPTED: [u8; 4] = [0xdb, 0xcf, 0xc1, 0xc2];
/// format_identifier of a program as on Blu-ray discs, where stream_type 0x80 and above are what they are there.
const HDMV: [u8; 4] = *b"HDMV";
/// extended_stream_id, which audio and video of later codecs have: table 2-22.
const EXTENDED_STREAM: u8 = 0xfd;

/// `audio_type`, ISO/IEC 13818-1 table 2-60: for the hearing impaired, and commentary for the visually impaired.
const OF_AUDIO_TYPE: &[(u8, &str)] = &[(2, "enhanced-audio-intelligibility"), (3, "description")];
/// `editorial_classification`, ETSI EN 300 468 §6.4.11: description, clean audio, subtitles that are spoken, and audio for
/// everyone that is not specified.
const OF_SUPPLEMENTARY_AUDIO: &[(u8, &str)] = &[
    (1, "description"),
    (2, "enhanced-audio-intelligibility"),
    (3, "supplementary"),
    (0x17, "supplementary"),
];

/// A stream that becomes a track.
#[derive(Clone, Debug)]
pub(super) struct ProgramStream {
    pub(super) pid: u16,
    pub(super) codec: Carried,
    pub(super) language: Option<[u8; 3]>,
    /// What it is for, roles of DASH.
    pub(super) roles: Vec<&'static str>,
    /// DOVIDecoderConfigurationRecord.
    pub(super) dolby_vision: Option<Vec<u8>>,
}

/// A program.
pub(super) struct Program {
    map_pid: u16,
    /// What the map says: stream_type and `PID` of each stream.
    map: Vec<(u8, u16)>,
    pub(super) streams: Vec<ProgramStream>,
    pub(super) left_out: Vec<String>,
    /// Layers of Dolby Vision over another stream, which are left out.
    layers: Vec<u16>,
}

impl Program {
    /// Reads a file up to the map of its program.
    pub(super) fn read(source: &dyn Source, framing: Framing) -> Result<Self> {
        let mut packets = Packets::new(source)?;
        let (mut map_pid, mut program_number, mut sections) = (None, 0, SectionReader::default());
        while let Some((position, bytes)) = packets.next_packet()? {
            let at = |error: Error| error.at(format_args!("packet at byte {}", framing.place(position)));
            let packet = Packet::parse(&bytes).map_err(|error| at(error.hint(damaged_there())))?;
            let Some(payload) = packet.payload().filter(|_| packet.pid() == map_pid.unwrap_or(PAT_PID))
            else {
                continue;
            };
            for section in whole(&mut sections, &packet, payload).map_err(at)? {
                if map_pid.is_none() {
                    let pat = Pat::parse(&section).map_err(at)?;
                    if !pat.is_current {
                        continue;
                    }
                    let [(number, pid)] = pat.programs[..] else {
                        return Err(at(several(&pat)));
                    };
                    (program_number, map_pid) = (number, Some(pid));
                } else if section.first() == Some(&PROGRAM_MAP_TABLE) {
                    let map = Pmt::parse(&section).map_err(at)?;
                    if map.is_current() && map.program_number() == program_number {
                        return Self::of(map_pid.unwrap_or_default(), &map).map_err(at);
                    }
                }
            }
        }
        let missing = if map_pid.is_none() { "association" } else { "map" };
        Err(Error::input(format!("no program {missing} table in the file")).clause("ISO/IEC 13818-1 §2.4.4"))
    }

    fn of(map_pid: u16, map: &Pmt) -> Result<Self> {
        let has_ca = |loops: Descriptors<'_>| loops.into_iter().any(|(tag, _)| tag == CA);
        if has_ca(Descriptors::new(&map.program_info)) {
            return Err(encrypted("the program has a CA_descriptor"));
        }
        let (mut streams, mut left_out, mut layers) = (Vec::new(), Vec::new(), Vec::new());
        let is_hdmv = map.is_registered(HDMV);
        for stream in &map.streams {
            let pid = stream.pid();
            let at = |error: Error| error.at(format_args!("PID {pid:#x}"));
            if has_ca(stream.descriptors()) || ENCRYPTED.contains(&stream.stream_type) {
                return Err(at(encrypted(&format!(
                    "stream_type {:#04x}, or a CA_descriptor",
                    stream.stream_type
                ))));
            }
            match codec(stream, is_hdmv).map_err(|error| at(error.hint(encoded(&map.streams))))? {
                Ok(codec) => streams.push(ProgramStream {
                    pid,
                    codec,
                    language: stream.language(),
                    roles: roles(stream),
                    dolby_vision: stream.dolby_vision().and_then(dolby_vision_record),
                }),
                Err(name) => {
                    let mut what = "neither video nor audio";
                    if stream.dolby_vision().is_some() {
                        what = "a layer of Dolby Vision over another stream";
                        layers.push(pid);
                    }
                    let kind = stream.stream_type;
                    left_out.push(format!(
                        "PID {pid:#x} (stream_type {kind:#04x}, {name}) is left out: it is {what}"
                    ));
                }
            }
        }
        let mut pids: Vec<u16> = streams.iter().map(|stream| stream.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        if pids.len() != streams.len() {
            return Err(Error::input("two streams on one PID").clause("ISO/IEC 13818-1 §2.4.4.9"));
        }
        Ok(Self { map_pid, map: rows(map), streams, left_out, layers })
    }

    /// Checks that a packet says nothing else of the program.
    pub(super) fn check(&self, bytes: &[u8; PACKET_BYTES]) -> Result<()> {
        let packet = Packet::parse(bytes)?;
        let is_of_track = || self.streams.iter().any(|stream| stream.pid == packet.pid());
        if let (true, Some([0, 0, 1, stream_id @ (0xc0..=0xef | EXTENDED_STREAM), ..])) =
            (packet.payload_unit_start(), packet.payload())
            && packet.pid() != self.map_pid
            && !is_of_track()
            && !self.layers.contains(&packet.pid())
        {
            return Err(Error::unsupported(format!(
                "PES packets with stream_id {stream_id:#04x} are audio or video, the program map does not say of what codec"
            ))
            .clause("ISO/IEC 13818-1 §2.4.3.7")
            .at(format_args!("PID {:#x}", packet.pid()))
            .hint(format!("write the file anew without it, such as with {}", remedy::copy("", "ts"))));
        }
        if packet.pid() != self.map_pid || !packet.payload_unit_start() {
            return Ok(());
        }
        // A map of one packet, as nearly all are.
        let payload = packet.payload().unwrap_or_default();
        let Some(Ok(map)) = whole(&mut SectionReader::default(), &packet, payload)
            .unwrap_or_default()
            .iter()
            .find(|section| section.first() == Some(&PROGRAM_MAP_TABLE))
            .map(|section| Pmt::parse(section))
        else {
            return Ok(());
        };
        if map.is_current() && rows(&map) != self.map {
            return Err(Error::unsupported("the program map changes: other streams follow")
                .clause("ISO/IEC 13818-1 §2.4.4.9")
                .hint("cut the file there and give the parts in calls of their own"));
        }
        Ok(())
    }
}

fn rows(map: &Pmt) -> Vec<(u8, u16)> {
    map.streams.iter().map(|stream| (stream.stream_type, stream.pid())).collect()
}

/// The sections that are whole with this packet; one whose start was not seen is passed over.
fn whole(sections: &mut SectionReader, packet: &Packet<'_>, payload: &[u8]) -> Result<Vec<Vec<u8>>> {
    if sections.is_whole() && !packet.payload_unit_start() {
        return Ok(Vec::new());
    }
    let payload = match (sections.is_whole(), payload.split_first()) {
        // What is before the first whole section goes on from a packet that was not seen.
        (true, Some((pointer_field, rest))) => {
            let begin = rest.get(usize::from(*pointer_field)..).unwrap_or_default();
            [&[0], begin].concat()
        }
        _ => payload.to_vec(),
    };
    sections.push(packet.payload_unit_start(), &payload)?;
    Ok(if sections.is_whole() { sections.take() } else { Vec::new() })
}

fn several(pat: &Pat) -> Error {
    let numbers: Vec<String> = pat.programs.iter().map(|(number, _)| number.to_string()).collect();
    let first = numbers.first().map_or("1", String::as_str);
    let kept = remedy::kept(&format!("0:p:{first}"));
    let command = format!("ffmpeg -i FILE {kept} -c copy OTHER.ts");
    Error::unsupported(format!("{} programs ({}), one expected", numbers.len(), numbers.join(", ")))
        .clause("ISO/IEC 13818-1 §2.4.4.3")
        .hint(format!("take one out, such as with {}", command))
}

fn encrypted(what: &str) -> Error {
    Error::input(format!("{what}: the file is encrypted already")).hint("give the clear file")
}

/// Codecs of video and audio that are taken, by stream_type: ISO/IEC 13818-1 table 2-34, ATSC A/52 annex A.
const TAKEN: &[(u8, Carried)] = &[
    (0x1b, Carried::Avc),
    (0x24, Carried::Hevc),
    (0x0f, Carried::Aac),
    (0x11, Carried::Loas),
    (0x81, Carried::Ac3),
    (0x87, Carried::Eac3),
];
/// Those that are taken of private data, by format_identifier; that of Dolby Vision is for what has no base that others play.
const PRIVATE_TAKEN: &[(&[u8; 4], Carried)] =
    &[(b"AC-3", Carried::Ac3), (b"EAC3", Carried::Eac3), (b"DOVI", Carried::Hevc)];
/// Those of audio that are not, the registered ones and those in use.
const REFUSED_AUDIO: &[(u8, &str)] = &[
    (0x03, "MPEG-1 audio"),
    (0x04, "MPEG-2 audio"),
    (0x1c, "AAC without framing"),
    (0x2d, "MPEG-H 3D audio"),
    (0x2e, "MPEG-H 3D audio"),
    (0x82, "DTS"),
    (0x83, "Dolby TrueHD"),
    (0x84, "E-AC-3"),
    (0x85, "DTS-HD"),
    (0x88, "DTS-UHD"),
    (0x8a, "DTS"),
    (0xa1, "E-AC-3 of a second program"),
    (0xa2, "DTS-HD of a second program"),
];
/// Those of video that are not.
const REFUSED_VIDEO: &[(u8, &str)] = &[
    (0x01, "MPEG-1 video"),
    (0x02, "MPEG-2 video"),
    (0x10, "MPEG-4 Visual"),
    (0x1f, "SVC, a layer of AVC"),
    (0x20, "MVC, a view of AVC"),
    (0x21, "JPEG 2000"),
    (0x32, "JPEG XS"),
    (0x33, "VVC"),
    (0x42, "AVS video"),
    (0x80, "PCM, or video of MPEG-2"),
    (0xd1, "Dirac"),
    (0xea, "VC-1"),
];
/// What is another thing in a program as on Blu-ray discs.
const ON_DISCS: &[(u8, &str)] = &[(0x80, "PCM"), (0x86, "DTS-HD Master Audio")];
/// What is neither video nor audio.
const LEFT_OUT: &[(u8, &str)] = &[
    (0x05, "private sections"),
    (0x0a, "DSM-CC"),
    (0x0b, "DSM-CC"),
    (0x0c, "DSM-CC"),
    (0x0d, "DSM-CC"),
    (0x14, "DSM-CC"),
    (0x15, "timed metadata"),
    (0x16, "metadata"),
    (0x17, "metadata"),
    (0x18, "metadata"),
    (0x19, "metadata"),
    (0x86, "splice information of SCTE 35"),
    (0x90, "graphics of a Blu-ray disc"),
    (0x91, "menus of a Blu-ray disc"),
    (0x92, "text of a Blu-ray disc"),
];
/// What private data is by descriptor: ETSI EN 300 468 §6.1.
const PRIVATE: &[(u8, &str)] =
    &[(0x45, "VBI data"), (0x46, "teletext"), (0x56, "teletext"), (0x59, "DVB subtitles")];

/// What a stream is for, where that is not the main thing; values of `audio_type` that say nothing of that are left out.
fn roles(stream: &PmtStream) -> Vec<&'static str> {
    let of = |table: &[(u8, &'static str)], value: Option<u8>| {
        table.iter().find(|(known, _)| Some(*known) == value).map(|(_, role)| *role)
    };
    let said = of(OF_SUPPLEMENTARY_AUDIO, stream.editorial_classification());
    said.or_else(|| of(OF_AUDIO_TYPE, stream.audio_type())).into_iter().collect()
}

/// What is to be done about streams that are not taken: video that is taken is copied.
fn encoded(streams: &[PmtStream]) -> String {
    let is_audio = |stream: &PmtStream| REFUSED_AUDIO.iter().any(|(known, _)| *known == stream.stream_type);
    let is_private_audio =
        |stream: &PmtStream| stream.private_formats().any(|format| AUDIO_FORMATS.contains(&&format));
    let copies_video = streams
        .iter()
        .all(|stream| is_audio(stream) || is_private_audio(stream) || codec(stream, false).is_ok());
    let video = if copies_video { "" } else { " -c:v libx264 -pix_fmt yuv420p" };
    format!("encode it to one of these, such as with {}", remedy::copy(&format!("{video} -c:a aac"), "ts"))
}

/// The codec of a stream, or what it is that is neither video nor audio.
fn codec(stream: &PmtStream, is_hdmv: bool) -> Result<std::result::Result<Carried, &'static str>> {
    let stream_type = stream.stream_type;
    let row = |table: &[(u8, &'static str)], key: u8| {
        table.iter().find(|(known, _)| *known == key).map(|(_, name)| *name)
    };
    let refused = |what: &str| {
        Err(Error::unsupported(format!(
            "{what} (stream_type {stream_type:#04x}); of transport streams, AVC, HEVC, AAC in ADTS or LATM, AC-3 and E-AC-3 are taken"
        )))
    };
    if stream.dolby_vision().is_some_and(|descriptor| dolby_vision_record(descriptor).is_none()) {
        return Ok(Err("Dolby Vision"));
    }
    if let Some((_, codec)) = TAKEN.iter().find(|(known, _)| *known == stream_type) {
        return Ok(Ok(*codec));
    }
    if stream_type == 0x06 {
        let formats = || stream.private_formats();
        let of_format = |format: [u8; 4]| PRIVATE_TAKEN.iter().find(|(known, _)| **known == format);
        if let Some((_, codec)) = formats().find_map(of_format) {
            return Ok(Ok(*codec));
        }
        return match formats().find(is_media_format) {
            Some(format) => {
                refused(&format!("{} as private data", String::from_utf8_lossy(&format).trim_end()))
            }
            None => {
                Ok(Err(stream.descriptors().find_map(|(tag, _)| row(PRIVATE, tag)).unwrap_or("private data")))
            }
        };
    }
    let on_discs = row(ON_DISCS, stream_type).filter(|_| is_hdmv);
    match (
        on_discs.or_else(|| row(REFUSED_AUDIO, stream_type)).or_else(|| row(REFUSED_VIDEO, stream_type)),
        row(LEFT_OUT, stream_type),
    ) {
        (Some(name), _) if is_hdmv => refused(&format!("{name} as on Blu-ray discs")),
        (Some(name), _) => refused(name),
        (_, Some(name)) => Ok(Err(name)),
        _ => refused("a stream of another codec"),
    }
}
