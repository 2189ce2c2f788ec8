//! Transport streams — ISO/IEC 13818-1 §2.4.3, §2.4.4: programs, their streams and times, and packets by PID.

use std::collections::BTreeMap;

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::ts::{PACKET_BYTES, PAT_PID, PROGRAM_MAP_TABLE, Packet, Pat, PesHeader, Pmt, sections};

use super::node::{Budget, Node};
use super::ts_program::{self, PidFacts};
use super::{Inspected, read};

const PACKET: u64 = 188;
const SYNC_BYTE: u8 = 0x47;
/// Packets that are read at a time.
const PACKETS_AT_ONCE: u64 = 4096;
/// Most packets that are counted: a quarter of an hour at 10 Mbit/s.
const MAX_PACKETS: u64 = 6_000_000;
/// Most program maps that are shown: a program may change its map.
const MAX_MAPS: usize = 256;
/// Most bytes of a PID in which sections are looked for: several of the greatest length, §2.4.4.3.
const MAX_UNIT_BYTES: usize = 1 << 14;

/// Whether packets begin here.
pub(super) fn is_transport_stream(head: &[u8]) -> bool {
    let starts = |packet: usize| head.get(packet * 188) == Some(&SYNC_BYTE);
    starts(0) && ((starts(1) && starts(2)) || (head.len() == 376 && starts(1)) || head.len() == 188)
}

/// Programs, then packets by PID.
pub(super) fn describe(source: &dyn Source) -> Result<Inspected> {
    let mut scan = Scan::default();
    let packets = (source.len() / PACKET).min(MAX_PACKETS);
    let mut read_packets = 0;
    while read_packets < packets {
        let count = (packets - read_packets).min(PACKETS_AT_ONCE);
        let bytes = read(source, read_packets * PACKET, count * PACKET)?;
        let (whole, _) = bytes.as_chunks::<PACKET_BYTES>();
        for (index, packet) in whole.iter().enumerate() {
            if let Err(error) = scan.packet(packet) {
                let position = (read_packets + index as u64) * PACKET;
                scan.error.get_or_insert_with(|| error.at(format_args!("packet at byte {position}")));
            }
        }
        read_packets += count;
    }
    let mut node = Node { range: Some(0..source.len()), ..Node::new("MPEG-TS") };
    node.set("packets", source.len() / PACKET);
    if !source.len().is_multiple_of(PACKET) {
        node.set("trailing_bytes", source.len() % PACKET);
    }
    let mut budget = Budget::default();
    for (pid, map) in &scan.maps {
        node.push(ts_program::describe(*pid, map, &scan.pids, &mut budget), &mut budget);
    }
    for (pid, facts) in &scan.pids {
        let mut child = Node::new(format!("PID {pid}"));
        child.set("packets", facts.packets);
        if facts.scrambled > 0 {
            child.set("scrambled", facts.scrambled);
        }
        node.push(child, &mut budget);
    }
    Ok(Inspected { node, error: scan.error })
}

#[derive(Default)]
struct Scan {
    pids: BTreeMap<u16, PidFacts>,
    /// Payloads since a section began, by PID, behind a pointer_field of 0.
    units: BTreeMap<u16, Vec<u8>>,
    pat: Option<Pat>,
    /// Each map that differs from those before, and its PID.
    maps: Vec<(u16, Pmt)>,
    /// The first thing that is wrong.
    error: Option<Error>,
}

impl Scan {
    fn packet(&mut self, bytes: &[u8; PACKET_BYTES]) -> Result<()> {
        let packet = Packet::parse(bytes)?;
        let pid = packet.pid();
        let facts = self.pids.entry(pid).or_default();
        facts.packets += 1;
        facts.scrambled += u64::from(packet.transport_scrambling_control() != 0);
        facts.pcr = facts.pcr.or_else(|| packet.pcr());
        let Some(payload) = packet.payload() else { return Ok(()) };
        let is_map = |pat: &Pat| pat.programs.iter().any(|(_, map_pid)| *map_pid == pid);
        if pid == PAT_PID || self.pat.as_ref().is_some_and(is_map) {
            return self.table(pid, payload, packet.payload_unit_start());
        }
        if facts.pts.is_none() && packet.payload_unit_start() && payload.starts_with(&[0, 0, 1]) {
            facts.pts = PesHeader::parse(payload).ok().and_then(|header| header.pts);
        }
        Ok(())
    }

    /// A packet of a table. §2.4.4.2: what is before the place that pointer_field names ends the section before.
    fn table(&mut self, pid: u16, payload: &[u8], starts: bool) -> Result<()> {
        let (before, behind) = match payload {
            [pointer_field, rest @ ..] if starts => {
                let (before, behind) =
                    rest.split_at_checked(usize::from(*pointer_field)).unwrap_or((rest, &[]));
                (before, Some(behind))
            }
            _ => (payload, None),
        };
        if let Some(unit) = self.units.get_mut(&pid).filter(|unit| unit.len() < MAX_UNIT_BYTES) {
            unit.extend(before);
        }
        self.complete(pid)?;
        if let Some(behind) = behind {
            self.units.insert(pid, [&[0], behind].concat());
            self.complete(pid)?;
        }
        Ok(())
    }

    fn complete(&mut self, pid: u16) -> Result<()> {
        let Some(unit) = self.units.get(&pid) else { return Ok(()) };
        let Some(found) = sections(unit)? else { return Ok(()) };
        self.units.remove(&pid);
        for section in &found {
            if pid == PAT_PID {
                self.pat = Some(Pat::parse(section)?);
            } else if section.first() == Some(&PROGRAM_MAP_TABLE) {
                let map = (pid, Pmt::parse(section)?);
                if self.maps.len() < MAX_MAPS && !self.maps.contains(&map) {
                    self.maps.push(map);
                }
            }
        }
        Ok(())
    }
}
