//! Transport streams: a demultiplexer for tests, and segments protected and decrypted.

use std::collections::BTreeMap;

use drm_pack::base::{Result, Secret};
use drm_pack::package::{decrypt_packed_audio, decrypt_ts_segment, protect_packed_audio, protect_ts_segment};
use drm_pack::presentation::SegmentKind;
use drm_pack::protect::SampleAes;
use drm_pack::ts::{NULL_PID, PACKET_BYTES, Packet, PesHeader};

pub(crate) const KEY: [u8; 16] = *b"0123456789abcdef";
pub(crate) const IV: [u8; 16] = [0xa5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

pub(crate) fn sample_aes() -> SampleAes {
    SampleAes::new(&Secret::new(KEY), IV)
}

/// Protects or decrypts a segment of either kind.
pub(crate) fn run(bytes: &[u8], protect: bool) -> Result<Vec<u8>> {
    let (source, aes, mut out) = (bytes.to_vec(), sample_aes(), Vec::new());
    match (SegmentKind::of(&source)?, protect) {
        (SegmentKind::Ts, true) => protect_ts_segment(&source, &mut out, &aes).map(drop)?,
        (SegmentKind::Ts, false) => decrypt_ts_segment(&source, &mut out, &aes).map(drop)?,
        (_, true) => protect_packed_audio(&source, &mut out, &aes).map(drop)?,
        (_, false) => decrypt_packed_audio(&source, &mut out, &aes).map(drop)?,
    }
    Ok(out)
}

/// Why a segment is not protected.
pub(crate) fn refusal(bytes: &[u8]) -> String {
    run(bytes, true).map(|_| "nothing").unwrap_err().to_string()
}

pub(crate) fn packets(stream: &[u8]) -> impl Iterator<Item = &[u8; PACKET_BYTES]> {
    assert_eq!(stream.len() % PACKET_BYTES, 0);
    stream.chunks(PACKET_BYTES).map(|packet| packet.first_chunk().unwrap())
}

/// PES packets by PID: header bytes that matter, and data.
pub(crate) fn demux(stream: &[u8]) -> BTreeMap<u16, Vec<(PesHeader, Vec<u8>)>> {
    let mut units: BTreeMap<u16, Vec<Vec<u8>>> = BTreeMap::new();
    for bytes in packets(stream) {
        let packet = Packet::parse(bytes).unwrap();
        let Some(payload) = packet.payload().filter(|_| packet.pid() != NULL_PID) else { continue };
        let of_pid = units.entry(packet.pid()).or_default();
        if packet.payload_unit_start() {
            of_pid.push(Vec::new());
        }
        of_pid.last_mut().unwrap().extend(payload);
    }
    let pes = |unit: &Vec<u8>| {
        let mut header = PesHeader::parse(unit).ok()?;
        assert!(header.packet_bytes().is_none_or(|length| length == unit.len()), "PES_packet_length");
        header.pes_packet_length = 0;
        Some((header, unit[header.data_position..].to_vec()))
    };
    let streams = units.iter().map(|(pid, units)| (*pid, units.iter().filter_map(pes).collect::<Vec<_>>()));
    streams.filter(|(_, units)| !units.is_empty()).collect()
}

/// Counters that do not follow each other, by PID and packet of that PID.
pub(crate) fn counter_faults(stream: &[u8]) -> Vec<(u16, usize)> {
    let mut state: BTreeMap<u16, (u8, usize)> = BTreeMap::new();
    let mut faults = Vec::new();
    for bytes in packets(stream) {
        let packet = Packet::parse(bytes).unwrap();
        let counter = packet.continuity_counter();
        let before = state.get(&packet.pid()).copied();
        let (last, count) = before.unwrap_or_else(|| (counter.wrapping_sub(1) & 15, 0));
        let expected = if packet.payload().is_some() { (last + 1) & 15 } else { last };
        if before.is_some() && counter != expected && !packet.discontinuity() && packet.pid() != NULL_PID {
            faults.push((packet.pid(), count));
        }
        state.insert(packet.pid(), (counter, count + 1));
    }
    faults
}
