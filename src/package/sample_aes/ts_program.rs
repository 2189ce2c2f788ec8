//! The program of a transport stream segment, and what its map says of encrypted streams — Apple, MPEG-2 Stream
//! Encryption Format for HTTP Live Streaming §3; ISO/IEC 13818-1 §2.4.4.

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::codec::{Elementary, StreamInfo};
use crate::protect::{Operation, SIGNALING, Signaling, audio_setup_information, is_audio_setup_information};
use crate::ts::{
    Descriptors, PAT_PID, PROGRAM_MAP_TABLE, Packet, Packets, Pat, PesHeader, Pmt, PmtStream, SectionReader,
};

use super::ts_clear::{already, clear_row, clear_stream_type, protectable, tag};

/// Bytes of PES packets in which headers are looked for.
const FACTS_BYTES: usize = 1 << 16;
/// format_identifier of the audio setup information.
const APAD: &[u8] = b"apad";

/// The one program of a segment.
#[derive(Clone, Debug)]
pub struct TsProgram {
    /// `program_map_PID`.
    pub(in crate::package) map_pid: u16,
    programs: Vec<(u16, u16)>,
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
    pub facts: Option<StreamInfo>,
}

impl TsProgram {
    /// Reads a segment up to the first headers of every stream that the operation is for.
    ///
    /// # Errors
    /// When there is not one program with a map, or it has streams that cannot be protected, or nothing but.
    pub fn read(source: &dyn Source, operation: Operation) -> Result<Self> {
        let mut scan = Scan::new(operation);
        let map_position = scan.run(source, u64::MAX)?;
        // What lies before the map was not yet known to be of its streams.
        if scan.wants_facts() {
            scan.run(source, map_position)?;
        }
        let missing = if scan.pat.is_none() { "association" } else { "map" };
        scan.program.ok_or_else(|| {
            Error::input(format!("no program {missing} table in the segment"))
                .clause("RFC 8216bis §3.1.1, ISO/IEC 13818-1 §2.4.4")
                .hint("begin each segment with a PAT and a PMT")
        })
    }

    /// Checks that a program association section goes on to say what the first said.
    pub(in crate::package) fn check_association(&self, section: &[u8]) -> Result<()> {
        let pat = Pat::parse(section)?;
        if pat.is_current && pat.programs != self.programs {
            return Err(Error::unsupported("the program association table changes in the segment")
                .hint("cut the segment where the program changes"));
        }
        Ok(())
    }

    /// The map of the program as it is after the operation, with another `version_number`: §2.4.4.9 wants one when
    /// the definition of the program changes, as it does behind a segment that stays clear.
    ///
    /// # Errors
    /// When the map is that of another program, or has streams that the first map did not have.
    pub(in crate::package) fn edit_map(&self, section: &[u8], operation: Operation) -> Result<Vec<u8>> {
        let mut map = Pmt::parse(section)?;
        check_program_number(&map, self.program_number)?;
        let selected = select(&map, operation)?;
        for (stream, row) in map.streams.iter_mut().zip(selected) {
            let known = self.streams.iter().find(|known| known.pid == stream.pid());
            match (known, row) {
                (None, None) => {}
                (Some(known), Some(row)) if known.elementary == row.elementary => match operation {
                    Operation::Encrypt => signal(stream, row, known.facts.as_ref())?,
                    Operation::Decrypt => unsignal(stream, row),
                },
                _ => {
                    return Err(Error::unsupported(format!(
                        "the program map changes in the segment: PID {:#x} becomes stream_type {:#04x}",
                        stream.pid(),
                        stream.stream_type
                    ))
                    .hint("cut the segment where the program changes"));
                }
            }
        }
        map.add_to_version(match operation {
            Operation::Encrypt => 1,
            Operation::Decrypt => 31,
        });
        map.to_bytes()
    }
}

fn check_program_number(map: &Pmt, expected: u16) -> Result<()> {
    let found = map.program_number();
    if found != expected {
        return Err(Error::unsupported(format!(
            "program_number is {found}, {expected} expected from the program association table: one program"
        ))
        .clause("RFC 8216bis §3.1.1"));
    }
    Ok(())
}

/// Checks that a stream which is rewritten has a `PID` for itself.
fn check_pid(map: &Pmt, pid: u16, map_pid: u16) -> Result<()> {
    let rows = map.streams.iter().filter(|stream| stream.pid() == pid).count();
    if rows > 1 || [PAT_PID, map_pid].contains(&pid) {
        return Err(Error::input(format!("PID {pid:#x} is that of a stream and of something else"))
            .clause("ISO/IEC 13818-1 §2.4.4.9"));
    }
    Ok(())
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

/// §3: another stream_type, the private data indicator, and for audio the setup information.
fn signal(stream: &mut PmtStream, row: &Signaling, facts: Option<&StreamInfo>) -> Result<()> {
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
    let encrypted = SIGNALING.iter().find(|row| row.stream_type == stream.stream_type);
    encrypted.map(|row| (row, true)).or_else(|| Some((clear_row(stream)?, false)))
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
    stream.stream_type = clear_stream_type(stream, row);
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

/// What was met so far of a segment.
struct Scan {
    operation: Operation,
    tables: SectionReader,
    pat: Option<Pat>,
    program: Option<TsProgram>,
    /// Payloads since the last unit began, by `PID`, of streams whose facts are not known.
    units: Vec<(u16, Vec<u8>)>,
    /// Data of the units before, by `PID`: headers may go on in the next.
    data: Vec<(u16, Vec<u8>)>,
}

impl Scan {
    fn new(operation: Operation) -> Self {
        Self {
            operation,
            tables: SectionReader::default(),
            pat: None,
            program: None,
            units: Vec::new(),
            data: Vec::new(),
        }
    }

    /// Reads until all is known that is asked for; of units only those that begin before `end`. Returns where the
    /// packet lies with the map's end.
    fn run(&mut self, source: &dyn Source, end: u64) -> Result<u64> {
        let mut packets = Packets::new(source)?;
        let mut map_position = 0;
        self.data.clear();
        while let Some((position, packet)) = packets.next_packet()? {
            let at = |e: Error| e.at(format_args!("packet at byte {position}"));
            let packet = Packet::parse(&packet).map_err(at)?;
            let had_program = self.program.is_some();
            self.packet(&packet, position < end).map_err(at)?;
            if !had_program {
                map_position = position;
            }
            let ended = position >= end && self.units.is_empty();
            if ended || (self.program.is_some() && !self.wants_facts()) {
                break;
            }
        }
        let units = std::mem::take(&mut self.units);
        units.iter().try_for_each(|(pid, unit)| self.unit(*pid, unit))?;
        Ok(map_position)
    }

    fn wants_facts(&self) -> bool {
        self.program.as_ref().is_some_and(|program| program.streams.iter().any(|s| s.facts.is_none()))
    }

    fn packet(&mut self, packet: &Packet<'_>, may_begin: bool) -> Result<()> {
        let (pid, Some(payload)) = (packet.pid(), packet.payload()) else { return Ok(()) };
        if !self.wants(pid) {
            return Ok(());
        }
        if self.program.is_none() {
            return self.table(pid, packet.payload_unit_start(), payload);
        }
        if packet.payload_unit_start() {
            self.close(pid)?;
            if may_begin && self.wants(pid) {
                self.units.push((pid, Vec::new()));
            }
        }
        let Some((_, unit)) = self.units.iter_mut().find(|(of, _)| *of == pid) else { return Ok(()) };
        unit.extend(payload);
        if unit.len() >= FACTS_BYTES { self.close(pid) } else { Ok(()) }
    }

    fn wants(&self, pid: u16) -> bool {
        match (&self.pat, &self.program) {
            (None, _) => pid == PAT_PID,
            (Some(pat), None) => pat.programs.iter().any(|(_, map_pid)| *map_pid == pid),
            (_, Some(program)) => program.streams.iter().any(|s| s.pid == pid && s.facts.is_none()),
        }
    }

    fn table(&mut self, pid: u16, unit_start: bool, payload: &[u8]) -> Result<()> {
        // The association may be found in the middle of a map.
        if !unit_start && self.tables.is_whole() {
            return Ok(());
        }
        self.tables.push(unit_start, payload)?;
        if !self.tables.is_whole() {
            return Ok(());
        }
        let sections = self.tables.take();
        match self.pat {
            None => sections.iter().try_for_each(|section| self.association(section)),
            Some(_) => sections.iter().try_for_each(|section| self.map(pid, section)),
        }
    }

    /// The unit of a stream has ended, or is long enough.
    fn close(&mut self, pid: u16) -> Result<()> {
        let Some(index) = self.units.iter().position(|(of, _)| *of == pid) else { return Ok(()) };
        let (_, unit) = self.units.swap_remove(index);
        self.unit(pid, &unit)
    }

    fn unit(&mut self, pid: u16, unit: &[u8]) -> Result<()> {
        let streams = self.program.iter_mut().flat_map(|program| &mut program.streams);
        let Some(stream) = streams.into_iter().find(|stream| stream.pid == pid) else { return Ok(()) };
        let header = PesHeader::parse(unit)?;
        let index = self.data.iter().position(|(of, _)| *of == pid);
        let mut data = index.map(|index| self.data.swap_remove(index).1).unwrap_or_default();
        data.extend(unit.get(header.data_position..).unwrap_or_default());
        stream.facts = stream.elementary.facts(&data)?;
        // Pictures may have headers later on; what is as long as that without any is passed over.
        if stream.facts.is_none() && data.len() < FACTS_BYTES {
            self.data.push((pid, data));
        }
        Ok(())
    }

    fn association(&mut self, section: &[u8]) -> Result<()> {
        let pat = Pat::parse(section)?;
        if pat.is_current && self.pat.is_none() {
            let count = pat.programs.len();
            if count != 1 {
                return Err(Error::unsupported(format!("{count} programs, one expected"))
                    .clause("RFC 8216bis §3.1.1"));
            }
            self.pat = Some(pat);
        }
        Ok(())
    }

    fn map(&mut self, pid: u16, section: &[u8]) -> Result<()> {
        let Some(pat) = &self.pat else { return Ok(()) };
        if section.first() != Some(&PROGRAM_MAP_TABLE) || self.program.is_some() {
            return Ok(());
        }
        let map = Pmt::parse(section)?;
        // §2.4.4.9: a map that is not yet in force does not say what the streams are now.
        if !map.is_current() {
            return Ok(());
        }
        let program_number = pat.programs.first().map_or(0, |(number, _)| *number);
        check_program_number(&map, program_number)?;
        let selected = select(&map, self.operation)?;
        let rows = map.streams.iter().zip(selected);
        let streams: Vec<_> = rows
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
        streams.iter().try_for_each(|stream| check_pid(&map, stream.pid, pid))?;
        let programs = pat.programs.clone();
        self.program = Some(TsProgram { map_pid: pid, programs, program_number, streams });
        Ok(())
    }
}
