//! A segment that is encrypted whole, deciphered, and what shows that its key and IV are right — RFC 8216bis §3.1,
//! §4.4.4.4, §5.2.

use memchr::memmem;

use crate::base::env::{Sink, Source, Written};
use crate::base::{Error, Kind, Result, Secret};
use crate::protect::Aes128;
use crate::ts::{PACKET_BYTES, Packet, SYNC_BYTE, crc_32, sections};

use crate::presentation::SegmentKind;

use super::coverage::check_clear_fragments;

/// Bytes of what is deciphered in which its kind is looked for, behind ID3 tags.
const HEAD_BYTES: usize = (1 << 20) + 1024;
/// The last of the `PID`s that are set aside for tables: ISO/IEC 13818-1 table 2-3, ETSI EN 300 468 table 1.
const LAST_TABLE_PID: u16 = 0x1f;
/// Bytes behind the first block in which its kind is looked for when that block is garbled.
const LOOKED_AT: usize = 4096;
/// What a segment can be: §3.1.
pub const SEGMENT_KINDS: &str = "fragmented MP4, a transport stream, packed audio or WebVTT";

/// How a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// As a segment of HLS does.
    Segment,
    /// Its first block is not what the blocks behind it go on from: another IV garbles that one alone.
    Garbled,
    /// As nothing that is known.
    Unknown,
}

/// Encrypts a segment and returns how many bytes were written.
///
/// # Errors
/// When it begins as if it had been deciphered with another IV, or its fragments say that they are encrypted already.
pub fn encrypt_whole_segment(part: &dyn Source, sink: &mut dyn Sink, aes128: &Aes128) -> Result<u64> {
    check_begins(part)?;
    check_clear_fragments(part)?;
    aes128.encrypt(part, sink)
}

/// Deciphers a segment and returns how many bytes were written, and how they begin.
///
/// # Errors
/// [`Kind::Verification`] when its padding or its beginning shows another key or IV.
pub fn decrypt_whole_segment(
    part: &dyn Source,
    sink: &mut dyn Sink,
    (key, iv): (&Secret<16>, [u8; 16]),
) -> Result<(u64, Beginning)> {
    let mut seen = Seen { head: SegmentHead::default(), sink };
    let is_whole = !part.is_empty() && part.len().is_multiple_of(16);
    let written = Aes128::new(key, iv).decrypt(part, &mut seen).map_err(|error| match error.kind() {
        Kind::Input if is_whole => Error::verification(error.to_string()),
        _ => error,
    })?;
    match seen.head.beginning()? {
        Beginning::Garbled => Err(Error::verification("the first block is garbled, what follows is not")
            .clause("RFC 8216bis §5.2")
            .hint("the IV is another one than the segment was encrypted with")),
        beginning => Ok((written, beginning)),
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

    /// How the bytes begin.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn beginning(&self) -> Result<Beginning> {
        Beginning::of(&self.0)
    }
}

impl Beginning {
    /// How a segment begins. A transport stream mostly begins with a table, whose CRC shows an IV that is another one in
    /// a single byte too.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(segment: &dyn Source) -> Result<Self> {
        let kind = SegmentKind::of(segment)?;
        let mut head = vec![0; usize::try_from(segment.len()).unwrap_or(usize::MAX).min(LOOKED_AT)];
        segment.read_at(0, &mut head)?;
        let begins = match kind {
            SegmentKind::Unknown => false,
            SegmentKind::Ts => head.first_chunk().is_none_or(is_whole_packet),
            _ => true,
        };
        Ok(match begins {
            true => Self::Segment,
            false if goes_on_as_a_segment(&head) => Self::Garbled,
            false => Self::Unknown,
        })
    }
}

/// A segment that is to be encrypted whole does not begin as if it had been deciphered with another IV.
fn check_begins(segment: &dyn Source) -> Result<()> {
    match Beginning::of(segment)? {
        Beginning::Segment | Beginning::Unknown => Ok(()),
        Beginning::Garbled => {
            Err(Error::input(format!("the first bytes are damaged: {SEGMENT_KINDS} expected"))
                .clause("RFC 8216bis §3.1")
                .hint("it was cut at the wrong byte, or decrypted with another IV: make it again"))
        }
    }
}

/// Whether what stands behind the first block is part of a segment: packets, boxes inside others, cues.
fn goes_on_as_a_segment(head: &[u8]) -> bool {
    let behind = head.get(16..).unwrap_or_default();
    let packets = head.iter().skip(PACKET_BYTES).step_by(PACKET_BYTES).take(8);
    let are_packets = packets.len() >= 2 && packets.clone().all(|sync| *sync == SYNC_BYTE);
    let inner: [&[u8]; 5] = [b"mvhd", b"mfhd", b"tfhd", b"sidx", b" --> "];
    are_packets || inner.iter().any(|word| memmem::find(behind, word).is_some())
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
