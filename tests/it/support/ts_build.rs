//! Transport streams made by hand for tests — ISO/IEC 13818-1: packets, sections and PES packets as a test wants them.

use std::collections::BTreeMap;

use drm_pack::ts::{PACKET_BYTES, crc_32};

pub(crate) const MAP_PID: u16 = 0x1000;
pub(crate) const VIDEO_PID: u16 = 0x100;
pub(crate) const AUDIO_PID: u16 = 0x101;

/// A stream that is being written.
#[derive(Default)]
pub(crate) struct Mux {
    pub(crate) bytes: Vec<u8>,
    counters: BTreeMap<u16, u8>,
}

impl Mux {
    /// A program with the map at its start.
    pub(crate) fn program(map: &[u8]) -> Self {
        let mut mux = Self::default();
        mux.section(0, &pat(&[(1, MAP_PID)]));
        mux.section(MAP_PID, map);
        mux
    }

    /// One packet: an adaptation field of these bytes behind its length, stuffed so that the payload fits.
    pub(crate) fn packet(&mut self, pid: u16, start: bool, field: Option<&[u8]>, payload: &[u8]) {
        let counter = self.counters.entry(pid).or_insert(15);
        if !payload.is_empty() {
            *counter = (*counter + 1) & 15;
        }
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![0x47, high | if start { 0x40 } else { 0 }, low, *counter];
        packet[3] |= if payload.is_empty() { 0 } else { 0x10 };
        let room = PACKET_BYTES - 4 - payload.len();
        if room > 0 {
            packet[3] |= 0x20;
            packet.push(u8::try_from(room - 1).unwrap());
            let field = field.unwrap_or(&[0]);
            packet.extend(field.iter().take(room - 1));
            assert!(field.len() < room || field == [0]);
            packet.resize(4 + room, 0xff);
        } else {
            assert_eq!(field, None);
        }
        packet.extend(payload);
        assert_eq!(packet.len(), PACKET_BYTES);
        self.bytes.extend(packet);
    }

    /// Goes on as if one more packet of the `PID` had been counted.
    pub(crate) fn count(&mut self, pid: u16) {
        let counter = self.counters.entry(pid).or_insert(15);
        *counter = (*counter + 1) & 15;
    }

    /// A payload over as many packets as it needs, the first with this adaptation field.
    pub(crate) fn unit(&mut self, pid: u16, field: Option<&[u8]>, unit: &[u8]) {
        let first = (PACKET_BYTES - 4 - field.map_or(0, |field| field.len() + 1)).min(unit.len());
        self.packet(pid, true, field, &unit[..first]);
        unit[first..].chunks(PACKET_BYTES - 4).for_each(|part| self.packet(pid, false, None, part));
    }

    /// A section behind a pointer_field of 0, the last packet filled up.
    pub(crate) fn section(&mut self, pid: u16, section: &[u8]) {
        self.unit(pid, None, &filled(&[&[0], section].concat()));
    }

    /// A PES packet that says its length, with a time stamp.
    pub(crate) fn pes(&mut self, pid: u16, stream_id: u8, data: &[u8]) {
        self.unit(pid, None, &pes(stream_id, true, 0, data));
    }
}

/// Filled up with 0xff to whole packets.
pub(crate) fn filled(payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    payload.resize(payload.len().next_multiple_of(PACKET_BYTES - 4), 0xff);
    payload
}

/// A PES packet: with its length or without, so many stuffing bytes in its header.
pub(crate) fn pes(stream_id: u8, bounded: bool, stuffing: usize, data: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 0, 1, stream_id, 0, 0, 0x80, 0x80, u8::try_from(5 + stuffing).unwrap()];
    packet.extend([0x21, 0, 7, 0xd8, 0x61]);
    packet.resize(packet.len() + stuffing, 0xff);
    packet.extend(data);
    if bounded {
        let length = u16::try_from(packet.len() - 6).unwrap();
        packet[4..6].copy_from_slice(&length.to_be_bytes());
    }
    packet
}

/// A section with its length and CRC: table_id, table_id_extension, version_number, current_next_indicator, body.
fn section(table_id: u8, extension: u16, (version, current): (u8, u8), body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 9).unwrap() | 0xb000;
    let [[a, b], [c, d]] = [length.to_be_bytes(), extension.to_be_bytes()];
    let mut section = vec![table_id, a, b, c, d, 0xc0 | version << 1 | current, 0, 0];
    section.extend(body);
    section.extend(crc_32(&section).to_be_bytes());
    section
}

/// program_association_section.
pub(crate) fn pat(programs: &[(u16, u16)]) -> Vec<u8> {
    let entry = |(number, pid): &(u16, u16)| [number.to_be_bytes(), (0xe000 | pid).to_be_bytes()].concat();
    section(0, 1, (0, 1), &programs.iter().flat_map(entry).collect::<Vec<_>>())
}

/// A stream of a map: stream_type, `PID`, descriptors.
pub(crate) type Row<'a> = (u8, u16, &'a [u8]);

/// TS_program_map_section of program 1, version 3.
pub(crate) fn pmt(pcr_pid: u16, program_info: &[u8], streams: &[Row<'_>]) -> Vec<u8> {
    pmt_of(1, (3, 1), pcr_pid, program_info, streams)
}

/// TS_program_map_section of this program, version_number and current_next_indicator.
pub(crate) fn pmt_of(
    program: u16,
    version: (u8, u8),
    pcr_pid: u16,
    program_info: &[u8],
    streams: &[Row<'_>],
) -> Vec<u8> {
    let descriptors =
        |bytes: &[u8]| [&(0xf000 | u16::try_from(bytes.len()).unwrap()).to_be_bytes()[..], bytes].concat();
    let mut body = (0xe000 | pcr_pid).to_be_bytes().to_vec();
    body.extend(descriptors(program_info));
    for (stream_type, pid, info) in streams {
        body.push(*stream_type);
        body.extend((0xe000 | pid).to_be_bytes());
        body.extend(descriptors(info));
    }
    section(2, program, version, &body)
}

/// The map of most tests: AVC with the clock, and AAC.
pub(crate) fn av_map() -> Vec<u8> {
    pmt(VIDEO_PID, &[], &[(0x1b, VIDEO_PID, &[]), (0x0f, AUDIO_PID, &[])])
}

/// A NAL unit of so many bytes, without zeros in it, behind a start code of three bytes.
pub(crate) fn nal_unit(nal_unit_type: u8, length: usize) -> Vec<u8> {
    let mut unit = vec![0, 0, 1, 0x60 | nal_unit_type];
    unit.extend((1..length).map(|index| u8::try_from(index * 7 % 251 + 4).unwrap()));
    unit
}

/// An ADTS frame of AAC at 48 kHz in stereo, of so many bytes behind its header.
pub(crate) fn adts(length: usize, has_crc: bool) -> Vec<u8> {
    let header = if has_crc { 9 } else { 7 };
    let [_, _, a, b] = u32::try_from(length + header).unwrap().to_be_bytes();
    let mut frame =
        vec![0xff, if has_crc { 0xf0 } else { 0xf1 }, 0x4c, 0x80 | a >> 3, a << 5 | b >> 3, b << 5];
    frame.extend(&[0xfc, 0xaa, 0xbb][..header - 6]);
    frame.extend((0..length).map(|index| u8::try_from(index % 256).unwrap()));
    frame
}
