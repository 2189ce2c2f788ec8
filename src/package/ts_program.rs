//! The program of a transport stream segment, and what its map says of encrypted streams — Apple, MPEG-2 Stream
//! Encryption Format for HTTP Live Streaming §3; ISO/IEC 13818-1 §2.4.4.

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::codec::{Elementary, MEDIA_FORMATS, StreamFacts};
use crate::protect::{Operation, SIGNALING, Signaling, audio_setup_information, is_audio_setup_information};
use crate::ts::{
    Descriptors, PAT_PID, PROGRAM_MAP_TABLE, Packet, Packets, Pat, PesHeader, Pmt, PmtStream, sections,
};

/// Bytes at the start of a PES packet in which headers are looked for.
const FACTS_BYTES: usize = 1 << 16;
/// Descriptor tags: ISO/IEC 13818-1 table 2-45 and ETSI EN 300 468 table 12.
mod tag {
    pub(super) const REGISTRATION: u8 = 5;
    pub(super) const CA: u8 = 9;
    pub(super) const PRIVATE_DATA_INDICATOR: u8 = 15;
    pub(super) const AC_3: u8 = 0x6a;
    pub(super) const ENHANCED_AC_3: u8 = 0x7a;
    pub(super) const DTS: u8 = 0x7b;
    pub(super) const AAC: u8 = 0x7c;
    pub(super) const EXTENSION: u8 = 0x7f;
}
/// format_identifier of the audio setup information.
const APAD: &[u8] = b"apad";

/// The one program of a segment.
#[derive(Clone, Debug)]
pub struct TsProgram {
    /// `program_map_PID`.
    pub(super) map_pid: u16,
    pub(super) pat: Pat,
    program_number: u16,
    /// The streams that are encrypted, or are to be.
    pub streams: Vec<TsStream>,
}

/// An elementary stream that sample encryption is for.
#[derive(Clone, Debug)]
pub struct TsStream {
    /// `elementary_PID`.
    pub pid: u16,
    /// What it is.
    pub elementary: Elementary,
    /// What its first headers say; none when the segment has none of it.
    pub facts: Option<StreamFacts>,
}

impl TsProgram {
    /// Reads a segment up to the first headers of every stream that the operation is for.
    ///
    /// # Errors
    /// When there is not one program with a map, or it has streams that cannot be protected, or nothing but.
    pub fn read(source: &dyn Source, operation: Operation) -> Result<Self> {
        let mut packets = Packets::new(source)?;
        let mut scan = Scan { operation, pat: None, program: None, units: Vec::new() };
        while let Some((position, packet)) = packets.next_packet()? {
            let packet = Packet::parse(&packet).map_err(|e| e.at_byte(position))?;
            let more = scan.packet(&packet).map_err(|e| e.at(format_args!("packet at byte {position}")))?;
            if more == More::No {
                break;
            }
        }
        scan.finish()?;
        let missing = if scan.pat.is_none() { "association" } else { "map" };
        scan.program.ok_or_else(|| {
            Error::input(format!("no program {missing} table")).clause("ISO/IEC 13818-1 §2.4.4")
        })
    }

    /// The map of the program as it is after the operation.
    ///
    /// # Errors
    /// When the map is that of another program, or has streams that the first map did not have.
    pub(super) fn edit_map(&self, section: &[u8], operation: Operation) -> Result<Vec<u8>> {
        let mut map = Pmt::parse(section)?;
        if map.program_number() != self.program_number {
            return Err(several_programs(2));
        }
        let selected = select(&map, operation)?;
        for (stream, row) in map.streams.iter_mut().zip(selected) {
            let Some(row) = row else { continue };
            let known = self.streams.iter().find(|known| known.pid == stream.pid());
            let Some(known) = known.filter(|known| known.elementary == row.elementary) else {
                return Err(Error::unsupported(format!(
                    "the program map changes in the segment: PID {:#x} becomes {}",
                    stream.pid(),
                    row.elementary.name()
                ))
                .hint("cut the segment where the program changes"));
            };
            match operation {
                Operation::Encrypt => signal(stream, row, known.facts.as_ref())?,
                Operation::Decrypt => unsignal(stream, row),
            }
        }
        map.to_bytes()
    }
}

fn several_programs(count: usize) -> Error {
    Error::unsupported(format!("{count} programs, one expected")).clause("RFC 8216bis §3.1.1")
}

/// For each stream of the map, the row of the operation.
fn select(map: &Pmt, operation: Operation) -> Result<Vec<Option<&'static Signaling>>> {
    let has_ca = Descriptors::new(&map.program_info).any(|(tag, _)| tag == tag::CA);
    if operation == Operation::Encrypt && has_ca {
        return Err(already("the program has a CA_descriptor"));
    }
    let mut rows = Vec::with_capacity(map.streams.len());
    for stream in &map.streams {
        let at = |e: Error| e.at(format_args!("PID {:#x}", stream.pid()));
        let row = match operation {
            Operation::Encrypt => protectable(stream).map_err(at)?,
            Operation::Decrypt => SIGNALING.iter().find(|row| row.stream_type == stream.stream_type),
        };
        rows.push(row);
    }
    Ok(rows)
}

fn already(what: &str) -> Error {
    Error::input(format!("{what}: the segment is encrypted already")).hint("give the clear segments")
}

/// The row of a stream that is to be encrypted; `None` for one that stays as it is.
fn protectable(stream: &PmtStream) -> Result<Option<&'static Signaling>> {
    let stream_type = stream.stream_type;
    if stream.descriptors().any(|(tag, _)| tag == tag::CA) {
        return Err(already("there is a CA_descriptor"));
    }
    if SIGNALING.iter().any(|row| row.stream_type == stream_type) {
        return Err(already(&format!("stream_type is {stream_type:#04x}")));
    }
    if let Some(row) = SIGNALING.iter().find(|row| row.clear_stream_type == stream_type) {
        return Ok(Some(row));
    }
    let refused = |what: &str| {
        Error::unsupported(format!(
            "{what} (stream_type {stream_type:#04x}); sample encryption of transport streams is for AVC, AAC, AC-3 and \
             E-AC-3"
        ))
        .clause("MPEG-2 Stream Encryption Format for HTTP Live Streaming §2")
    };
    match stream_type {
        0x24 => Err(refused("HEVC").hint("repackage HEVC as fragmented MP4")),
        0x01 | 0x02 | 0x10 => Err(refused("MPEG video")),
        0x03 | 0x04 => Err(refused("MPEG audio")),
        0x11 => Err(refused("AAC in LATM")),
        // Private sections and data, metadata (ID3 too), DSM-CC, splice information: never protected.
        0x05 | 0x0a..=0x0d | 0x14..=0x19 | 0x86 => Ok(None),
        0x06 => match private_media(stream) {
            false => Ok(None),
            true => Err(refused("audio or video as private data")),
        },
        _ => Err(refused("a stream")),
    }
}

/// Whether descriptors of a stream of private data say that it is audio or video.
fn private_media(stream: &PmtStream) -> bool {
    stream.descriptors().any(|(tag, payload)| match tag {
        tag::AC_3 | tag::ENHANCED_AC_3 | tag::DTS | tag::AAC => true,
        tag::REGISTRATION => {
            payload.get(..4).is_some_and(|format| MEDIA_FORMATS.iter().any(|media| *media == format))
        }
        // descriptor_tag_extension of AC-4, DTS-HD, DTS Neural, DTS-UHD and Opus's provisional one.
        tag::EXTENSION => matches!(payload.first(), Some(0x0e | 0x0f | 0x15 | 0x21 | 0x80)),
        _ => false,
    })
}

/// §3: another stream_type, the private data indicator, and for audio the setup information.
fn signal(stream: &mut PmtStream, row: &Signaling, facts: Option<&StreamFacts>) -> Result<()> {
    stream.stream_type = row.stream_type;
    stream.descriptors.extend([tag::PRIVATE_DATA_INDICATOR, 4]);
    stream.descriptors.extend(row.private_data_indicator);
    // A segment without a frame of it has no setup data, and nothing that a decoder would need it for.
    if let (Some(_), Some(facts)) = (row.audio_type, facts) {
        let information = audio_setup_information(row.elementary, &facts.setup_data)?;
        let length = u8::try_from(APAD.len() + information.len())
            .map_err(|_| Error::unsupported("audio setup information that is longer than a descriptor"))?;
        stream.descriptors.extend([tag::REGISTRATION, length]);
        stream.descriptors.extend(APAD.iter().chain(&information));
    }
    Ok(())
}

/// The row of a stream that sample encryption is for, and whether the program map says that it is encrypted.
pub fn signaling(stream: &PmtStream) -> Option<(&'static Signaling, bool)> {
    let found = stream.stream_type;
    let row = SIGNALING.iter().find(|row| [row.stream_type, row.clear_stream_type].contains(&found))?;
    Some((row, row.stream_type == found))
}

/// What an encrypted stream of a program map lacks of its signaling: §3. One without frames has no setup information.
pub fn signaling_fault(stream: &PmtStream, row: &Signaling, has_frames: bool) -> Option<&'static str> {
    let with = |wanted: u8, start: &[u8]| {
        stream.descriptors().find(|(tag, payload)| *tag == wanted && payload.starts_with(start))
    };
    if with(tag::PRIVATE_DATA_INDICATOR, row.private_data_indicator).is_none() {
        return Some("no private_data_indicator_descriptor of its codec");
    }
    let audio_type = row.audio_type.filter(|_| has_frames)?;
    match with(tag::REGISTRATION, APAD).map(|(_, payload)| payload.get(APAD.len()..).unwrap_or_default()) {
        None => Some("no audio setup information"),
        Some(information) if is_audio_setup_information(information, audio_type) => None,
        Some(_) => Some("audio setup information of another codec or length"),
    }
}

/// The inverse of [`signal`].
fn unsignal(stream: &mut PmtStream, row: &Signaling) {
    stream.stream_type = row.clear_stream_type;
    let ours = |tag: u8, payload: &[u8]| match tag {
        tag::PRIVATE_DATA_INDICATOR => payload == row.private_data_indicator,
        tag::REGISTRATION => payload.starts_with(APAD),
        _ => false,
    };
    let kept = stream.descriptors().filter(|(tag, payload)| !ours(*tag, payload));
    let kept = kept.flat_map(|(tag, payload)| {
        [tag, u8::try_from(payload.len()).unwrap_or(0)].into_iter().chain(payload.iter().copied())
    });
    stream.descriptors = kept.collect();
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// What was met so far of a segment.
struct Scan {
    operation: Operation,
    pat: Option<Pat>,
    program: Option<TsProgram>,
    /// Payloads since the last unit began, by PID: of tables, and of streams whose facts are not known.
    units: Vec<(u16, Vec<u8>)>,
}

impl Scan {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<More> {
        let (pid, Some(payload)) = (packet.pid(), packet.payload()) else { return Ok(More::Yes) };
        if !self.wants(pid) {
            return Ok(More::Yes);
        }
        let index = self.units.iter().position(|(unit, _)| *unit == pid);
        if packet.payload_unit_start() {
            if let Some(index) = index {
                let (_, unit) = self.units.swap_remove(index);
                self.unit(pid, &unit)?;
            }
            if self.wants(pid) {
                self.units.push((pid, payload.to_vec()));
            }
        } else if let Some((_, unit)) = index.and_then(|index| self.units.get_mut(index)) {
            unit.extend(payload);
        }
        self.complete(pid)?;
        let done =
            self.program.as_ref().is_some_and(|program| program.streams.iter().all(|s| s.facts.is_some()));
        Ok(if done { More::No } else { More::Yes })
    }

    fn wants(&self, pid: u16) -> bool {
        match (&self.pat, &self.program) {
            (None, _) => pid == PAT_PID,
            (Some(pat), None) => pat.programs.iter().any(|(_, map_pid)| *map_pid == pid),
            (_, Some(program)) => program.streams.iter().any(|s| s.pid == pid && s.facts.is_none()),
        }
    }

    /// Reads a unit as soon as enough of it is there.
    fn complete(&mut self, pid: u16) -> Result<()> {
        let Some(index) = self.units.iter().position(|(unit, _)| *unit == pid) else { return Ok(()) };
        let enough = match (&self.program, self.units.get(index)) {
            (None, Some((_, unit))) => sections(unit)?.is_some(),
            (_, Some((_, unit))) => unit.len() >= FACTS_BYTES,
            _ => false,
        };
        if enough {
            let (_, unit) = self.units.swap_remove(index);
            self.unit(pid, &unit)?;
        }
        Ok(())
    }

    fn unit(&mut self, pid: u16, unit: &[u8]) -> Result<()> {
        if let Some(program) = &mut self.program {
            let Some(stream) = program.streams.iter_mut().find(|stream| stream.pid == pid) else {
                return Ok(());
            };
            let header = PesHeader::parse(unit)?;
            stream.facts = stream.elementary.facts(unit.get(header.data_position..).unwrap_or_default())?;
            return Ok(());
        }
        for range in sections(unit)?.unwrap_or_default() {
            self.section(pid, unit.get(range).unwrap_or_default())?;
        }
        Ok(())
    }

    fn section(&mut self, pid: u16, section: &[u8]) -> Result<()> {
        let Some(pat) = &self.pat else {
            let pat = Pat::parse(section)?;
            if pat.programs.len() != 1 {
                return Err(several_programs(pat.programs.len()));
            }
            self.pat = Some(pat);
            return Ok(());
        };
        if section.first() != Some(&PROGRAM_MAP_TABLE) || self.program.is_some() {
            return Ok(());
        }
        let map = Pmt::parse(section)?;
        let selected = select(&map, self.operation)?;
        let streams: Vec<_> = map
            .streams
            .iter()
            .zip(selected)
            .filter_map(|(stream, row)| {
                Some(TsStream { pid: stream.pid(), elementary: row?.elementary, facts: None })
            })
            .collect();
        if streams.is_empty() {
            return Err(match self.operation {
                Operation::Encrypt => {
                    Error::unsupported("the program has no stream that sample encryption is for")
                }
                Operation::Decrypt => Error::input("the program has no encrypted stream"),
            });
        }
        let program_number = map.program_number();
        self.program = Some(TsProgram { map_pid: pid, pat: pat.clone(), program_number, streams });
        Ok(())
    }

    /// The units that the end of the segment ends.
    fn finish(&mut self) -> Result<()> {
        let units = std::mem::take(&mut self.units);
        match self.program {
            Some(_) => units.iter().try_for_each(|(pid, unit)| self.unit(*pid, unit)),
            None => Ok(()),
        }
    }
}
