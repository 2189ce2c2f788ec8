//! The elementary streams of a segment, taken out of their packets — ISO/IEC 13818-1 §2.4.3, §2.4.4; RFC 8216bis
//! §3.1.1, §3.1.3.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::codec::Elementary;
use crate::codec::byte_stream::nal_units;
use crate::package::{audio_description, signaling, signaling_fault};
use crate::presentation::SegmentKind;
use crate::protect::{SIGNALING, is_audio_setup_information};
use crate::ts::{NULL_PID, PAT_PID, PROGRAM_MAP_TABLE, Packet, Packets, Pat, PesHeader, Pmt, SectionReader};

use super::packets::PacketHeads;

/// What a segment carries.
#[derive(Default)]
pub(in crate::verify) struct Segment {
    /// In the order of their `PID`s; packed audio is one.
    pub(in crate::verify) streams: Vec<Stream>,
    /// Packets whose `continuity_counter` does not follow, and how many were held to it.
    pub(in crate::verify) counters: (Vec<String>, u64),
    /// What its packets say besides.
    pub(in crate::verify) packets: PacketHeads,
    /// The sections of its program map, without `version_number` and checksum; what other `PID`s carry.
    pub(in crate::verify) maps: Vec<Vec<u8>>,
    pub(in crate::verify) others: Vec<(u16, Vec<Vec<u8>>)>,
}

/// One elementary stream.
pub(in crate::verify) struct Stream {
    /// `elementary_PID`; 0 of packed audio.
    pub(in crate::verify) pid: u16,
    /// What it is, if sample encryption is for it.
    pub(in crate::verify) elementary: Option<Elementary>,
    /// Whether the segment says that it is encrypted.
    pub(in crate::verify) is_encrypted: bool,
    /// What is missing of how that is said.
    pub(in crate::verify) fault: Option<&'static str>,
    pub(in crate::verify) data: Vec<u8>,
    /// The headers of its PES packets, without the lengths that they state: ISO/IEC 13818-1 §2.4.3.7.
    pub(in crate::verify) headers: Vec<u8>,
    /// How many PES packets it came in.
    packets: u64,
}

impl Segment {
    /// Reads a segment into memory.
    pub(in crate::verify) fn read(source: &dyn Source) -> Result<Self> {
        match SegmentKind::of(source)? {
            SegmentKind::Ts => Transport::read(source)?.segment(),
            SegmentKind::PackedAudio(elementary) => packed_audio(source, Some(elementary)),
            SegmentKind::MpegAudio => packed_audio(source, None),
            _ => Err(Error::input("neither a transport stream nor packed audio").clause("RFC 8216bis §3.1")),
        }
    }
}

fn packed_audio(source: &dyn Source, elementary: Option<Elementary>) -> Result<Segment> {
    let (position, description) = audio_description(source)?;
    let length = usize::try_from(source.len().saturating_sub(position)).unwrap_or(usize::MAX);
    let mut data = vec![0; length];
    source.read_at(position.min(source.len()), &mut data)?;
    let row = SIGNALING.iter().find(|row| Some(row.elementary) == elementary);
    let is_own = |description: &[u8]| {
        let audio_type = row.and_then(|row| row.audio_type);
        audio_type.is_some_and(|audio_type| is_audio_setup_information(description, audio_type))
    };
    let fault = description.as_deref().filter(|description| !is_own(description));
    let fault = fault.map(|_| "audio setup information of another codec or length");
    let is_encrypted = description.is_some();
    let stream = Stream { pid: 0, elementary, is_encrypted, fault, data, headers: Vec::new(), packets: 0 };
    Ok(Segment { streams: vec![stream], ..Segment::default() })
}

impl Stream {
    /// How many access units or frames it has: one access unit begins in a PES packet.
    pub(in crate::verify) fn samples(&self) -> u64 {
        match self.elementary {
            None => 0,
            Some(Elementary::Avc) => self.packets,
            Some(audio) => {
                let (mut frames, mut end) = (0, 0);
                while let Ok(Some(frame)) = audio.audio_frame(&self.data, end) {
                    (frames, end) = (frames + 1, frame.range.end);
                }
                frames
            }
        }
    }

    /// What shows that it is no stream of NAL units: a set forbidden_zero_bit (ITU-T H.264 §7.4.1).
    pub(in crate::verify) fn nal_fault(&self) -> Option<String> {
        if self.elementary != Some(Elementary::Avc) {
            return None;
        }
        nal_units(&self.data).find_map(|range| {
            let unit = self.data.get(range.clone()).unwrap_or_default();
            let is_forbidden = unit.first().is_some_and(|header| header & 0x80 != 0);
            is_forbidden.then(|| format!("bytes {}..{} of its stream", range.start, range.end))
        })
    }
}

/// The PES packets of a stream, put together.
#[derive(Default)]
struct Units {
    data: Vec<u8>,
    headers: Vec<u8>,
    packets: u64,
}

/// A transport stream, packet by packet.
#[derive(Default)]
struct Transport {
    /// Payloads from one `payload_unit_start_indicator` to the next, by `PID`.
    units: BTreeMap<u16, Vec<Vec<u8>>>,
    packets: PacketHeads,
    counters: BTreeMap<u16, u8>,
    /// What is wrong with them, and how many were looked at.
    counted: BTreeMap<u16, (Vec<String>, u64)>,
}

impl Transport {
    fn read(source: &dyn Source) -> Result<Self> {
        let (mut read, mut packets) = (Self::default(), Packets::new(source)?);
        while let Some((position, bytes)) = packets.next_packet()? {
            let packet = Packet::parse(&bytes).map_err(|error| error.at_byte(position))?;
            if packet.pid() == NULL_PID {
                continue;
            }
            read.packets.add(&packet);
            let Some(payload) = packet.payload() else {
                read.pass(&packet);
                continue;
            };
            read.count(&packet, position);
            let units = read.units.entry(packet.pid()).or_default();
            if packet.payload_unit_start() || units.is_empty() {
                units.push(Vec::new());
            }
            if let Some(unit) = units.last_mut() {
                unit.extend(payload);
            }
        }
        Ok(read)
    }

    /// A packet without a payload does not count, but encoders are known that count one whose header announces it.
    fn pass(&mut self, packet: &Packet<'_>) {
        let counter = packet.continuity_counter();
        let before = self.counters.get_mut(&packet.pid()).filter(|_| packet.lacks_its_payload());
        before
            .into_iter()
            .filter(|before| (**before + 1) & 0x0f == counter)
            .for_each(|before| *before = counter);
    }

    /// Within a unit counters follow each other; where one begins, packets may have been left out before: §2.4.3.3.
    fn count(&mut self, packet: &Packet<'_>, position: u64) {
        let counter = packet.continuity_counter();
        let before = self.counters.insert(packet.pid(), counter);
        let Some(before) = before.filter(|_| !packet.payload_unit_start() && !packet.discontinuity()) else {
            return;
        };
        let (faults, counted) = self.counted.entry(packet.pid()).or_default();
        *counted += 1;
        if counter != (before + 1) & 0x0f {
            faults.push(format!("{counter} behind {before} at byte {position}, PID {:#x}", packet.pid()));
        }
    }

    fn tables(&self, pid: u16) -> Result<Vec<Vec<u8>>> {
        let mut reader = SectionReader::default();
        for unit in self.units.get(&pid).into_iter().flatten() {
            reader.push(true, unit)?;
        }
        match reader.is_whole() {
            true => Ok(reader.take()),
            false => Err(Error::input("a section is cut off")),
        }
    }

    /// The `PID` of the program map, and the sections of it.
    fn maps(&self) -> Result<(u16, Vec<Vec<u8>>)> {
        let missing = |what: &str| Error::input(format!("no program {what}")).clause("RFC 8216bis §3.1.1");
        let pat = self.tables(PAT_PID)?;
        let pat = Pat::parse(pat.first().ok_or_else(|| missing("association table"))?)?;
        let (_, pid) = pat.programs.first().ok_or_else(|| missing("in the association table"))?;
        let maps = self.tables(*pid)?;
        let maps = maps.into_iter().filter(|section| section.first() == Some(&PROGRAM_MAP_TABLE));
        let maps: Vec<Vec<u8>> = maps.collect();
        if maps.is_empty() { Err(missing("map table")) } else { Ok((*pid, maps)) }
    }

    /// The streams of the program as every map in the segment has them: what one says to be clear is clear.
    fn segment(mut self) -> Result<Segment> {
        let mut streams: BTreeMap<u16, Stream> = BTreeMap::new();
        let (map_pid, sections) = self.maps().map_err(|error| error.at("program tables"))?;
        let maps = sections.iter().map(|section| Pmt::parse(section)).collect::<Result<Vec<_>>>();
        let maps = maps.map_err(|error| error.at("program tables"))?;
        for map in maps.iter().flat_map(|map| &map.streams) {
            let pid = map.pid();
            let row = signaling(map);
            let stream = match streams.entry(pid) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(slot) => {
                    let data = self.data(pid, row.is_some());
                    let Units { data, headers, packets } =
                        data.map_err(|error| error.at(format_args!("PID {pid:#x}")))?;
                    let elementary = row.map(|(row, _)| row.elementary);
                    slot.insert(Stream {
                        pid,
                        elementary,
                        is_encrypted: true,
                        fault: None,
                        data,
                        headers,
                        packets,
                    })
                }
            };
            stream.is_encrypted &= row.is_some_and(|(_, is_encrypted)| is_encrypted);
            if let Some((row, true)) = row {
                let has_frames = !stream.data.is_empty();
                stream.fault = stream.fault.or_else(|| signaling_fault(map, row, has_frames));
            }
        }
        // What is no stream that is encrypted has the packets that it had.
        let (mut faults, mut counted) = (Vec::new(), 0);
        for (pid, (found, packets)) in self.counted {
            if streams.get(&pid).is_some_and(|stream| stream.is_encrypted) {
                faults.extend(found);
                counted += packets;
            }
        }
        self.packets.join_units(map_pid);
        let is_other = |pid: &u16| *pid != map_pid && !streams.contains_key(pid);
        let others = self.units.into_iter().filter(|(pid, _)| is_other(pid)).collect();
        Ok(Segment {
            streams: streams.into_values().collect(),
            counters: (faults, counted),
            packets: self.packets,
            maps: sections.iter().map(|section| without_version(section)).collect(),
            others,
        })
    }

    /// The bytes of a stream, and the PES packets that they came in.
    fn data(&self, pid: u16, is_pes: bool) -> Result<Units> {
        let mut units = Units::default();
        for unit in self.units.get(&pid).into_iter().flatten() {
            let start = if is_pes { PesHeader::parse(unit)?.data_position } else { 0 };
            let (header, data) = unit.split_at_checked(start).unwrap_or((unit, &[]));
            units.packets += u64::from(!data.is_empty());
            units.data.extend(data);
            let parts = [header.get(..4), header.get(6..)];
            parts.into_iter().flatten().for_each(|part| units.headers.extend(part));
        }
        Ok(units)
    }
}

/// A section without `version_number`, which a packager may count up, and `CRC_32`, which was looked at: ISO/IEC
/// 13818-1 §2.4.4.9.
fn without_version(section: &[u8]) -> Vec<u8> {
    let mut kept = section.get(..section.len().saturating_sub(4)).unwrap_or_default().to_vec();
    if let Some(version) = kept.get_mut(5) {
        *version &= 0xc1;
    }
    kept
}
