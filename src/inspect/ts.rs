//! Transport streams — ISO/IEC 13818-1 §2.4.3: packets counted by PID.

use std::collections::BTreeMap;

use crate::base::Result;
use crate::base::env::Source;

use super::node::{Budget, Node};
use super::{Inspected, read};

const PACKET: u64 = 188;
const SYNC_BYTE: u8 = 0x47;
/// Packets that are read at a time.
const PACKETS_AT_ONCE: u64 = 4096;
/// Most packets that are counted: a quarter of an hour at 10 Mbit/s.
const MAX_PACKETS: u64 = 6_000_000;

/// Whether packets begin here.
pub(super) fn is_transport_stream(head: &[u8]) -> bool {
    let starts = |packet: usize| head.get(packet * 188) == Some(&SYNC_BYTE);
    starts(0) && ((starts(1) && starts(2)) || (head.len() == 376 && starts(1)) || head.len() == 188)
}

/// Packets by PID.
pub(super) fn describe(source: &dyn Source) -> Result<Inspected> {
    let mut pids: BTreeMap<u16, [u64; 2]> = BTreeMap::new();
    let packets = (source.len() / PACKET).min(MAX_PACKETS);
    let mut read_packets = 0;
    while read_packets < packets {
        let count = (packets - read_packets).min(PACKETS_AT_ONCE);
        let bytes = read(source, read_packets * PACKET, count * PACKET)?;
        for packet in bytes.chunks_exact(188) {
            if let [SYNC_BYTE, high, low, flags, ..] = packet {
                let counts = pids.entry(u16::from_be_bytes([high & 0x1f, *low])).or_default();
                let [all, scrambled] = counts;
                *all += 1;
                *scrambled += u64::from(flags & 0xc0 != 0);
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
    for (pid, [all, scrambled]) in pids {
        let mut child = Node::new(format!("PID {pid}"));
        child.set("packets", all);
        if scrambled > 0 {
            child.set("scrambled", scrambled);
        }
        node.push(child, &mut budget);
    }
    Ok(Inspected { node, error: None })
}
