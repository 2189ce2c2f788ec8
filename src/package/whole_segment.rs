//! A segment that is encrypted whole, deciphered, and what shows that its key and IV are right — RFC 8216bis §3.1,
//! §4.4.4.4, §5.2.

use crate::base::env::{Sink, Source, Written};
use crate::base::{Error, Kind, Result, Secret};
use crate::protect::Aes128;
use crate::ts::{PACKET_BYTES, Packet, crc_32, sections};

use crate::presentation::SegmentKind;

/// Bytes of what is deciphered in which its kind is looked for, behind ID3 tags.
const HEAD_BYTES: usize = (1 << 20) + 1024;
/// The last of the `PID`s that are set aside for tables: ISO/IEC 13818-1 table 2-3, ETSI EN 300 468 table 1.
const LAST_TABLE_PID: u16 = 0x1f;
/// What a segment can be: §3.1.
pub const SEGMENT_KINDS: &str = "fragmented MP4, a transport stream, packed audio or WebVTT";

/// Deciphers a segment and returns how many bytes were written.
///
/// # Errors
/// [`Kind::Verification`] when its padding or its beginning is not that of a segment, as with another key or IV.
pub fn decrypt_whole_segment(
    part: &dyn Source,
    sink: &mut dyn Sink,
    (key, iv): (&Secret<16>, [u8; 16]),
) -> Result<u64> {
    let mut seen = Seen { head: SegmentHead::default(), sink };
    let written = Aes128::new(key, iv).decrypt(part, &mut seen).map_err(|error| match error.kind() {
        // Another length than that of whole blocks has nothing to do with the key.
        Kind::Input if part.len().is_multiple_of(16) => Error::verification(error.to_string()),
        _ => error,
    })?;
    match seen.head.begins_a_segment()? {
        true => Ok(written),
        false => Err(Error::verification(format!("begins as no segment does: {SEGMENT_KINDS} expected"))
            .clause("RFC 8216bis §3.1")
            .hint("the IV or the key is another one than it was encrypted with")),
    }
}

/// The beginning of what is deciphered.
#[derive(Default)]
pub struct SegmentHead(Vec<u8>);

impl SegmentHead {
    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend(bytes.get(..room).unwrap_or_default());
    }

    /// Whether the bytes begin as a media segment does. A transport stream mostly begins with a table, whose CRC shows
    /// an IV that is another one in a single byte too.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn begins_a_segment(&self) -> Result<bool> {
        Ok(match SegmentKind::of(&self.0)? {
            SegmentKind::Unknown => false,
            SegmentKind::Ts => self.0.first_chunk().is_none_or(is_whole_packet),
            _ => true,
        })
    }
}

/// Whether a packet is one, and the sections in it fit their CRC: ISO/IEC 13818-1 §2.4.4, annex A.
fn is_whole_packet(packet: &[u8; PACKET_BYTES]) -> bool {
    let Ok(packet) = Packet::parse(packet) else { return false };
    let is_table = packet.pid() <= LAST_TABLE_PID && packet.payload_unit_start();
    let unit = packet.payload().filter(|_| is_table).unwrap_or_default();
    // What goes on in the next packet is not looked at.
    let Ok(Some(found)) = sections(unit) else { return true };
    found.iter().all(|section| {
        let has_crc = section.get(1).is_some_and(|flags| flags & 0x80 != 0);
        !has_crc || crc_32(section) == 0
    })
}

/// A sink whose beginning is looked at.
struct Seen<'a> {
    head: SegmentHead,
    sink: &'a mut dyn Sink,
}

impl Sink for Seen<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.head.take(bytes);
        self.sink.write(bytes)
    }

    fn reserve(&mut self, length: usize) -> Result<()> {
        self.sink.reserve(length)
    }

    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        self.sink.patch(position, bytes)
    }

    fn commit(self: Box<Self>) -> Result<Written> {
        Err(Error::usage("what is looked at is committed elsewhere"))
    }
}
