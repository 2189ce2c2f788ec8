//! What of a transport stream may stay clear beside encrypted streams — ISO/IEC 13818-1 table 2-34, §2.4.3.7; Apple,
//! MPEG-2 Stream Encryption Format for HTTP Live Streaming §2.4.

use crate::base::{Error, Result};
use crate::codec::{Elementary, is_media_format};
use crate::protect::{SIGNALING, Signaling};
use crate::ts::{Packet, PesHeader, PmtStream};

/// Descriptor tags: ISO/IEC 13818-1 table 2-45 and ETSI EN 300 468 table 12.
pub(in crate::package) mod tag {
    pub(in super::super) const REGISTRATION: u8 = 5;
    pub(in super::super) const CA: u8 = 9;
    pub(in super::super) const PRIVATE_DATA_INDICATOR: u8 = 15;
    pub(in crate::package) const AC_3: u8 = 0x6a;
    pub(in crate::package) const ENHANCED_AC_3: u8 = 0x7a;
}
/// `stream_type` of PES packets with private data: table 2-34.
const PRIVATE_DATA: u8 = 6;
/// `stream_id` of private_stream_1 and extended_stream_id: table 2-22. Audio and video have 0xc0 to 0xef.
const PRIVATE_STREAM_1: u8 = 0xbd;
const EXTENDED_STREAM: u8 = 0xfd;
/// `syncword` of AC-3, which systems of ATSC and DVB carry in private_stream_1.
const AC_3_SYNCWORD: [u8; 2] = [0x0b, 0x77];

pub(in crate::package) fn already(what: &str) -> Error {
    Error::input(format!("{what}: the segment is encrypted already")).hint("give the clear segments")
}

/// The row of a stream that is to be encrypted; `None` for one that stays as it is.
pub(in crate::package) fn protectable(stream: &PmtStream) -> Result<Option<&'static Signaling>> {
    let stream_type = stream.stream_type;
    if stream.descriptors().any(|(tag, _)| tag == tag::CA) {
        return Err(already("there is a CA_descriptor"));
    }
    if SIGNALING.iter().any(|row| row.stream_type == stream_type) {
        return Err(already(&format!("stream_type is {stream_type:#04x}")));
    }
    if let Some(row) = clear_row(stream) {
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
        // Some descriptor says that it is audio or video.
        PRIVATE_DATA => match stream.private_formats().any(|format| is_media_format(&format)) {
            false => Ok(None),
            true => Err(refused("audio or video as private data")),
        },
        _ => Err(refused("a stream")),
    }
}

/// The row of a clear stream that sample encryption is for, by its stream_type, or that of private data and what its
/// descriptors say: ETSI EN 300 468 annex D.
pub(in crate::package) fn clear_row(stream: &PmtStream) -> Option<&'static Signaling> {
    let by_type = SIGNALING.iter().find(|row| row.clear_stream_type == stream.stream_type);
    let of_format = |format: [u8; 4]| match &format {
        b"AC-3" => Some(Elementary::Ac3),
        b"EAC3" => Some(Elementary::Eac3),
        _ => None,
    };
    let mut formats = stream.private_formats().filter(|_| stream.stream_type == PRIVATE_DATA);
    let elementary = formats.find_map(of_format);
    by_type.or_else(|| SIGNALING.iter().find(|row| Some(row.elementary) == elementary))
}

/// The stream_type that a stream of this row has when it is clear: one that says AC-3 or E-AC-3 as DVB does came as
/// private data.
pub(in crate::package) fn clear_stream_type(stream: &PmtStream, row: &Signaling) -> u8 {
    let is_dvb = |(tag, _): (u8, &[u8])| matches!(tag, tag::AC_3 | tag::ENHANCED_AC_3);
    if stream.descriptors().any(is_dvb) { PRIVATE_DATA } else { row.clear_stream_type }
}

/// Refuses a packet of a `PID` that is not encrypted when a PES packet of audio or video begins in it.
pub(in crate::package) fn check_clear(packet: &Packet<'_>, payload: &[u8]) -> Result<()> {
    let [0, 0, 1, stream_id, ..] = *payload else { return Ok(()) };
    if !packet.payload_unit_start() || packet.transport_scrambling_control() != 0 {
        return Ok(());
    }
    let is_ac_3 = || {
        let position = PesHeader::parse(payload).map_or(payload.len(), |header| header.data_position);
        payload.get(position..).is_some_and(|data| data.starts_with(&AC_3_SYNCWORD))
    };
    let is_media = match stream_id {
        0xc0..=0xef | EXTENDED_STREAM => true,
        PRIVATE_STREAM_1 => is_ac_3(),
        _ => false,
    };
    if is_media {
        return Err(Error::unsupported(format!(
            "PES packets with stream_id {stream_id:#04x} are audio or video, the program map does not say so: they \
             would stay clear"
        ))
        .clause("ISO/IEC 13818-1 §2.4.3.7")
        .at(format_args!("PID {:#x}", packet.pid())));
    }
    Ok(())
}
