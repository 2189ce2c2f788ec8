//! Program specific information — ISO/IEC 13818-1 §2.4.4: program association and program map sections.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

/// `table_id` of a program association section: table 2-31.
const PROGRAM_ASSOCIATION_TABLE: u8 = 0;
/// `table_id` of a program map section: table 2-31.
pub const PROGRAM_MAP_TABLE: u8 = 2;
/// Descriptor tags: ISO/IEC 13818-1 table 2-45, ETSI EN 300 468 table 12.
const REGISTRATION: u8 = 5;
const ISO_639_LANGUAGE: u8 = 10;
const EXTENSION: u8 = 0x7f;
/// `descriptor_tag_extension` of supplementary_audio_descriptor: ETSI EN 300 468 table 109.
const SUPPLEMENTARY_AUDIO: u8 = 6;
/// DOVI_video_stream_descriptor: Dolby Vision Streams Within the MPEG-2 Transport Stream Format §3.
const DOLBY_VISION: u8 = 0xb0;
/// Descriptors of DVB that say which audio private data is, and descriptor_tag_extension of further ones, with a
/// format_identifier of the same codec: ETSI EN 300 468 tables 12 and 109. The last is in use for Opus and not registered.
const OF_AUDIO: [(u8, [u8; 4]); 4] = [(0x6a, *b"AC-3"), (0x7a, *b"EAC3"), (0x7b, *b"DTS1"), (0x7c, *b"AAC ")];
const EXTENSIONS_OF_AUDIO: [(u8, [u8; 4]); 5] =
    [(0x0e, *b"DTS1"), (0x0f, *b"DTS1"), (0x15, *b"AC-4"), (0x21, *b"DTS1"), (0x80, *b"OPUS")];
/// Greatest `section_length` of the sections read here: §2.4.4.3.
const MAX_SECTION_LENGTH: usize = 1021;
/// Bytes before `section_length` counts.
const SECTION_HEADER_BYTES: usize = 3;
const CRC_BYTES: usize = 4;

/// CRC-32 of sections: annex A, polynomial 0x04c11db7, begun with ones, not reflected.
pub fn crc_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 24), |crc, _| {
            (crc << 1) ^ if crc & 0x8000_0000 != 0 { 0x04c1_1db7 } else { 0 }
        })
    })
}

/// The body of a section between its header and its CRC, after the checks that all long sections share.
fn body(section: &[u8], table_id: u8) -> Result<Reader<'_>> {
    let crc = crc_32(section);
    let mut reader = Reader::new(section);
    let found = reader.u8()?;
    if found != table_id {
        return Err(Error::input(format!("table_id is {found}, {table_id} expected"))
            .clause("ISO/IEC 13818-1 §2.4.4.4"));
    }
    let section_length = usize::from(reader.u16()? & 0x0fff);
    if section_length > MAX_SECTION_LENGTH || section_length != reader.remaining() {
        return Err(Error::input(format!(
            "section_length is {section_length}, {} bytes follow",
            reader.remaining()
        ))
        .clause("ISO/IEC 13818-1 §2.4.4.4"));
    }
    // The CRC of a section with its own CRC is 0: annex A.
    if crc != 0 {
        return Err(Error::input("CRC_32 does not fit the section").clause("ISO/IEC 13818-1 annex A"));
    }
    let length =
        section_length.checked_sub(CRC_BYTES).ok_or_else(|| Error::input("section without a CRC_32"))?;
    Ok(Reader::new(reader.take(length)?))
}

/// The program association section: which `PID` carries the map of which program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pat {
    /// `program_number` and `program_map_PID`; the network `PID` (program 0) is left out.
    pub programs: Vec<(u16, u16)>,
    /// `current_next_indicator`: whether the section is in force.
    pub is_current: bool,
}

impl Pat {
    /// Reads a section.
    ///
    /// # Errors
    /// When it is none, or its CRC is wrong.
    pub fn parse(section: &[u8]) -> Result<Self> {
        let mut reader = body(section, PROGRAM_ASSOCIATION_TABLE)?;
        reader.u16()?; // transport_stream_id
        let is_current = reader.u8()? & 1 == 1;
        reader.u16()?; // section_number, last_section_number
        let mut programs = Vec::new();
        while reader.remaining() > 0 {
            let program_number = reader.u16()?;
            let pid = reader.u16()? & 0x1fff;
            if program_number != 0 {
                programs.push((program_number, pid));
            }
        }
        Ok(Self { programs, is_current })
    }
}

/// A program map section; reserved bits and descriptors are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pmt {
    /// `section_syntax_indicator` and the reserved bits beside `section_length`.
    syntax: u16,
    /// `program_number` to `last_section_number`.
    head: [u8; 5],
    /// `PCR_PID` with its reserved bits.
    pcr_pid: u16,
    /// The reserved bits beside `program_info_length`.
    program_info_reserved: u16,
    /// The program's descriptors.
    pub program_info: Vec<u8>,
    /// The elementary streams.
    pub streams: Vec<PmtStream>,
}

/// An elementary stream of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PmtStream {
    /// `stream_type`: table 2-34.
    pub stream_type: u8,
    /// `elementary_PID` with its reserved bits.
    pid: u16,
    /// The reserved bits beside `ES_info_length`.
    reserved: u16,
    /// The stream's descriptors.
    pub descriptors: Vec<u8>,
}

impl PmtStream {
    /// `elementary_PID`.
    pub fn pid(&self) -> u16 {
        self.pid & 0x1fff
    }

    /// What its descriptors say that private data is: format_identifiers, and those that stand here for descriptors of
    /// DVB.
    pub fn private_formats(&self) -> impl Iterator<Item = [u8; 4]> + '_ {
        let find = |rows: &[(u8, [u8; 4])], tag: u8| {
            rows.iter().find(|(known, _)| *known == tag).map(|(_, format)| *format)
        };
        self.descriptors().filter_map(move |(tag, payload)| match (tag, payload) {
            (REGISTRATION, _) => payload.first_chunk().copied(),
            (EXTENSION, [extension, ..]) => find(&EXTENSIONS_OF_AUDIO, *extension),
            _ => find(&OF_AUDIO, tag),
        })
    }

    /// What the DOVI_video_stream_descriptor holds.
    pub fn dolby_vision(&self) -> Option<&[u8]> {
        self.descriptors().find(|(tag, _)| *tag == DOLBY_VISION).map(|(_, payload)| payload)
    }

    /// ISO_639_language_code of the stream, if it is said.
    pub fn language(&self) -> Option<[u8; 3]> {
        self.descriptors()
            .find_map(|(tag, payload)| payload.first_chunk().copied().filter(|_| tag == ISO_639_LANGUAGE))
    }

    /// `audio_type` beside the language: §2.6.19.
    pub fn audio_type(&self) -> Option<u8> {
        self.descriptors()
            .find_map(|(tag, payload)| payload.get(3).copied().filter(|_| tag == ISO_639_LANGUAGE))
    }

    /// `editorial_classification` of audio beside the main one: ETSI EN 300 468 §6.4.11.
    pub fn editorial_classification(&self) -> Option<u8> {
        self.descriptors().find_map(|(tag, payload)| match payload {
            [SUPPLEMENTARY_AUDIO, field, ..] if tag == EXTENSION => Some(field >> 2 & 0x1f),
            _ => None,
        })
    }

    /// The stream's descriptors: tag and payload.
    pub fn descriptors(&self) -> Descriptors<'_> {
        Descriptors::new(&self.descriptors)
    }
}

/// The descriptors of a loop, which must fill it: one that is cut off would take in what is put behind it.
fn descriptors(bytes: &[u8]) -> Result<Vec<u8>> {
    let whole: usize = Descriptors::new(bytes).map(|(_, payload)| 2 + payload.len()).sum();
    match whole == bytes.len() {
        true => Ok(bytes.to_vec()),
        false => Err(Error::input(format!("a descriptor is cut off behind byte {whole} of {}", bytes.len()))
            .clause("ISO/IEC 13818-1 §2.6")),
    }
}

/// Descriptors, one by one: §2.6. What is cut off at the end is left out.
#[derive(Clone, Debug)]
pub struct Descriptors<'a>(Reader<'a>);

impl<'a> Descriptors<'a> {
    /// The descriptors of a loop.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Reader::new(bytes))
    }
}

impl<'a> Iterator for Descriptors<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.0.u8().ok()?;
        let length = self.0.u8().ok()?;
        Some((tag, self.0.take(usize::from(length)).ok()?))
    }
}

impl Pmt {
    /// Reads a section.
    ///
    /// # Errors
    /// When it is none, or its CRC is wrong.
    pub fn parse(section: &[u8]) -> Result<Self> {
        let mut reader = body(section, PROGRAM_MAP_TABLE)?;
        let head = reader.array()?;
        let pcr_pid = reader.u16()?;
        let program_info_length = reader.u16()?;
        let program_info = descriptors(reader.take(usize::from(program_info_length & 0x0fff))?)?;
        let mut streams = Vec::new();
        while reader.remaining() > 0 {
            let stream_type = reader.u8()?;
            let pid = reader.u16()?;
            let length = reader.u16()?;
            let descriptors = descriptors(reader.take(usize::from(length & 0x0fff))?)?;
            streams.push(PmtStream { stream_type, pid, reserved: length & 0xf000, descriptors });
        }
        let syntax = Reader::new(section.get(1..).unwrap_or_default()).u16()? & 0xf000;
        let program_info_reserved = program_info_length & 0xf000;
        Ok(Self { syntax, head, pcr_pid, program_info_reserved, program_info, streams })
    }

    /// Whether the program has this format_identifier.
    pub fn is_registered(&self, format: [u8; 4]) -> bool {
        Descriptors::new(&self.program_info)
            .any(|(tag, payload)| tag == REGISTRATION && payload.starts_with(&format))
    }

    /// `program_number`.
    pub fn program_number(&self) -> u16 {
        let [high, low, ..] = self.head;
        u16::from_be_bytes([high, low])
    }

    /// `current_next_indicator`: whether the map is in force.
    pub fn is_current(&self) -> bool {
        let [_, _, version, ..] = self.head;
        version & 1 == 1
    }

    /// Adds to `version_number`, modulo 32.
    pub fn add_to_version(&mut self, difference: u8) {
        let [_, _, version, ..] = &mut self.head;
        *version = (*version & 0xc1) | (version.wrapping_add(difference << 1) & 0x3e);
    }

    /// `PCR_PID`.
    pub fn pcr_pid(&self) -> u16 {
        self.pcr_pid & 0x1fff
    }

    /// The section with its length and CRC as they must be now.
    ///
    /// # Errors
    /// When it would be longer than the standard allows.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![PROGRAM_MAP_TABLE, 0, 0];
        bytes.extend(self.head);
        bytes.extend(self.pcr_pid.to_be_bytes());
        bytes.extend(loop_length(self.program_info_reserved, &self.program_info)?);
        bytes.extend(&self.program_info);
        for stream in &self.streams {
            bytes.push(stream.stream_type);
            bytes.extend(stream.pid.to_be_bytes());
            bytes.extend(loop_length(stream.reserved, &stream.descriptors)?);
            bytes.extend(&stream.descriptors);
        }
        let section_length = bytes.len() + CRC_BYTES - SECTION_HEADER_BYTES;
        let length = u16::try_from(section_length).ok().filter(|_| section_length <= MAX_SECTION_LENGTH);
        let length = length.ok_or_else(|| too_long(section_length, MAX_SECTION_LENGTH))?;
        if let Some(field) = bytes.get_mut(1..3) {
            field.copy_from_slice(&(self.syntax | length).to_be_bytes());
        }
        bytes.extend(crc_32(&bytes).to_be_bytes());
        Ok(bytes)
    }
}

fn loop_length(reserved: u16, descriptors: &[u8]) -> Result<[u8; 2]> {
    let length = u16::try_from(descriptors.len()).ok().filter(|length| *length < 0x400);
    let length = length.ok_or_else(|| too_long(descriptors.len(), 0x3ff))?;
    Ok((reserved | length).to_be_bytes())
}

fn too_long(found: usize, most: usize) -> Error {
    Error::unsupported(format!("the program map would need a length of {found}, {most} is the most"))
        .clause("ISO/IEC 13818-1 §2.4.4.9")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PMT: [u8; 26] = [
        2, 0xb0, 23, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0, 0x1b, 0xe1, 0, 0xf0, 0, 0x0f, 0xe1, 1, 0xf0, 0, 0,
        0, 0, 0,
    ];

    fn pmt() -> Vec<u8> {
        let mut section = PMT.to_vec();
        let crc = crc_32(&section[..22]);
        section[22..].copy_from_slice(&crc.to_be_bytes());
        section
    }

    #[test]
    fn the_crc_is_that_of_the_check_text() {
        assert_eq!(crc_32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn a_program_map_that_is_not_edited_is_written_as_it_was() {
        let parsed = Pmt::parse(&pmt()).unwrap();
        assert_eq!((parsed.program_number(), parsed.pcr_pid(), parsed.is_current()), (1, 0x100, true));
        assert_eq!(parsed.streams.iter().map(PmtStream::pid).collect::<Vec<_>>(), [0x100, 0x101]);
        assert_eq!(parsed.to_bytes().unwrap(), pmt());
    }

    #[test]
    fn a_section_that_is_cut_or_changed_is_an_error() {
        let whole = pmt();
        for end in 0..whole.len() {
            assert!(Pmt::parse(&whole[..end]).is_err(), "{end}");
            let mut changed = whole.clone();
            changed[end] ^= 1;
            assert!(Pmt::parse(&changed).is_err(), "{end}");
        }
    }

    #[test]
    fn the_version_is_counted_modulo_32() {
        let mut map = Pmt::parse(&pmt()).unwrap();
        for version in [1, 2, 31, 0, 31] {
            let before = map.head[2] >> 1 & 31;
            map.add_to_version((version + 32 - before) & 31);
            assert_eq!(map.head[2], 0xc1 | version << 1);
        }
    }

    #[test]
    fn a_map_beyond_the_greatest_length_is_an_error() {
        let mut map = Pmt::parse(&pmt()).unwrap();
        map.program_info = vec![0; 1010];
        assert!(map.to_bytes().is_err());
    }
}
