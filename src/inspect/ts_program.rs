//! Program maps of transport streams — ISO/IEC 13818-1 §2.4.4.9, §2.6; Apple, MPEG-2 Stream Encryption Format for
//! HTTP Live Streaming §3: streams, what they are, and what says that they are encrypted.

use std::collections::BTreeMap;

use crate::base::FourCc;
use crate::base::id::hex;
use crate::protect::SIGNALING;
use crate::ts::{Descriptors, Pmt, PmtStream};

use super::node::{Budget, Node};
use super::packed_audio::audio_setup;

/// `descriptor_tag`: table 2-45, and ETSI EN 300 468 table 12.
const DESCRIPTORS: [(u8, &str); 14] = [
    (REGISTRATION, "registration"),
    (CA, "CA"),
    (ISO_639_LANGUAGE, "ISO_639_language"),
    (14, "maximum_bitrate"),
    (PRIVATE_DATA_INDICATOR, "private_data_indicator"),
    (37, "metadata_pointer"),
    (38, "metadata"),
    (40, "AVC_video"),
    (56, "HEVC_video"),
    (0x52, "stream_identifier"),
    (0x6a, "AC-3"),
    (0x7a, "enhanced_AC-3"),
    (0x7c, "AAC"),
    (0x7f, "extension"),
];
const REGISTRATION: u8 = 5;
const CA: u8 = 9;
const ISO_639_LANGUAGE: u8 = 10;
const PRIVATE_DATA_INDICATOR: u8 = 15;

/// `stream_type`: table 2-34, besides what sample encryption knows.
const STREAM_TYPES: [(u8, &str); 13] = [
    (0x01, "MPEG-1 video"),
    (0x02, "MPEG-2 video"),
    (0x03, "MPEG-1 audio"),
    (0x04, "MPEG-2 audio"),
    (0x05, "private sections"),
    (0x06, "private data"),
    (0x10, "MPEG-4 video"),
    (0x11, "AAC in LATM"),
    (0x15, "metadata"),
    (0x1c, "MPEG-4 audio"),
    (0x24, "HEVC"),
    (0x33, "VVC"),
    // ANSI/SCTE 35 §8.1.
    (0x86, "splice information"),
];

/// What was met of a PID.
#[derive(Default)]
pub(super) struct PidFacts {
    pub(super) packets: u64,
    pub(super) scrambled: u64,
    /// The first `PTS`, in units of 90 kHz.
    pub(super) pts: Option<u64>,
    /// The first `program_clock_reference`, in units of 27 MHz.
    pub(super) pcr: Option<u64>,
}

/// A program and its streams.
pub(super) fn describe(map_pid: u16, map: &Pmt, pids: &BTreeMap<u16, PidFacts>, budget: &mut Budget) -> Node {
    let mut node = Node::new(format!("program {}", map.program_number()));
    node.set("program_map_PID", map_pid).set("PCR_PID", map.pcr_pid());
    node.set_some("first_PCR", pids.get(&map.pcr_pid()).and_then(|facts| facts.pcr));
    descriptors(Descriptors::new(&map.program_info), &mut node, budget);
    for stream in &map.streams {
        let facts = pids.get(&stream.pid());
        let mut child = Node::new(format!("stream {}", stream.pid()));
        child.set("stream_type", format!("{:#04x}", stream.stream_type));
        child.set("format", format(stream.stream_type)).set("encrypted", encrypted(stream, facts));
        child.set_some("first_PTS", facts.and_then(|facts| facts.pts));
        child.set("packets", facts.map_or(0, |facts| facts.packets));
        descriptors(stream.descriptors(), &mut child, budget);
        node.push(child, budget);
    }
    node
}

fn format(stream_type: u8) -> &'static str {
    let row = SIGNALING.iter().find(|row| [row.clear_stream_type, row.stream_type].contains(&stream_type));
    let name = || STREAM_TYPES.iter().find(|(known, _)| *known == stream_type).map(|(_, name)| *name);
    row.map(|row| row.elementary.name()).or_else(name).unwrap_or("unknown")
}

/// What says that a stream is encrypted.
fn encrypted(stream: &PmtStream, facts: Option<&PidFacts>) -> &'static str {
    if SIGNALING.iter().any(|row| row.stream_type == stream.stream_type) {
        "SAMPLE-AES"
    } else if stream.descriptors().any(|(tag, _)| tag == CA) {
        "CA_descriptor"
    } else if facts.is_some_and(|facts| facts.scrambled > 0) {
        "transport_scrambling_control"
    } else {
        "no"
    }
}

fn descriptors(all: Descriptors<'_>, node: &mut Node, budget: &mut Budget) {
    for (tag, payload) in all {
        let name = DESCRIPTORS.iter().find(|(known, _)| *known == tag).map_or("unknown", |(_, name)| name);
        let mut child = Node::new(format!("{name}_descriptor"));
        child.set("descriptor_tag", tag);
        match (tag, payload.split_first_chunk()) {
            (REGISTRATION, Some((format, information))) => {
                child.set("format_identifier", FourCc(*format).to_string());
                match format {
                    b"apad" => audio_setup(information, &mut child),
                    _ if information.is_empty() => {}
                    _ => {
                        child.set("additional_identification_info", hex(information));
                    }
                }
            }
            (PRIVATE_DATA_INDICATOR, Some((indicator, _))) => {
                child.set("private_data_indicator", FourCc(*indicator).to_string());
            }
            (CA, Some(([system_high, system_low, pid_high, pid_low], _))) => {
                let system = u16::from_be_bytes([*system_high, *system_low]);
                child.set("CA_system_ID", format!("{system:#06x}"));
                child.set("CA_PID", u16::from_be_bytes([pid_high & 0x1f, *pid_low]));
            }
            (ISO_639_LANGUAGE, Some(([a, b, c, _], _))) => {
                child.set("language", String::from_utf8_lossy(&[*a, *b, *c]).into_owned());
            }
            _ => {
                child.set("data", hex(payload));
            }
        }
        node.push(child, budget);
    }
}
