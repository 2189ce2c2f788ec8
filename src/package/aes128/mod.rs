//! A segment that is encrypted whole, decrypted, and what shows that its key and IV are right — RFC 8216bis §3.1,
//! §4.4.4.4, §5.2.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use memchr::memmem;

use crate::base::env::{Sink, Source};
use crate::base::{Error, Kind, Result, Secret};
use crate::hls::id3;
use crate::protect::Aes128;
use crate::ts::{PACKET_BYTES, Packet, SYNC_BYTE, crc_32, sections};

use crate::presentation::{SegmentKind, is_box};

use crate::package::fragmented::coverage::check_clear_fragments;

/// Bytes of what is decrypted in which its kind is looked for, behind ID3 tags.
const HEAD_BYTES: usize = (1 << 20) + 1024;
/// The last of the `PID`s that are set aside for tables: ISO/IEC 13818-1 table 2-3, ETSI EN 300 468 table 1.
const LAST_TABLE_PID: u16 = 0x1f;
/// Bytes of what is to be encrypted in which its kind is looked for when its first block is garbled.
const LOOKED_AT: usize = 4096;
/// `mfhd`, with which the payload of a `moof` begins, but for its fields: ISO/IEC 14496-12 §8.8.5.
const MFHD: [u8; 8] = [0, 0, 0, 16, b'm', b'f', b'h', b'd'];
/// What stands in WebVTT behind its first line: §3.1.4.
const TIME_STAMP_MAP: &str = "X-TIMESTAMP-MAP=";
/// What a segment can be: §3.1.
pub const SEGMENT_KINDS: &str = "fragmented MP4, a transport stream, packed audio or WebVTT";

/// How a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// As a segment of HLS does, and so that another IV would show.
    Segment,
    /// As one does, but its first block has fields that may have any value: another IV need not show.
    FirstBlockOpen,
    /// Its first block is not what the blocks behind it go on from: another IV garbles that one alone.
    Garbled,
    /// As nothing that is known.
    Unknown,
}

/// The first 16 bytes of a segment, and how it begins.
pub type FirstBlock = ([u8; 16], Beginning);

/// How a segment begins that is to be encrypted whole.
///
/// # Errors
/// When it begins as if it had been decrypted with another IV, or its fragments say that they are encrypted already.
pub fn check_whole_segment(part: &dyn Source) -> Result<FirstBlock> {
    let first_block = check_begins(part)?;
    check_clear_fragments(part)?;
    Ok(first_block)
}

/// Encrypts a segment and returns how many bytes were written, and how they begin in the clear.
///
/// # Errors
/// As [`check_whole_segment`].
pub fn encrypt_whole_segment(
    part: &dyn Source,
    sink: &mut dyn Sink,
    aes128: &Aes128,
) -> Result<(u64, FirstBlock)> {
    let first_block = check_whole_segment(part)?;
    Ok((aes128.encrypt(part, sink)?, first_block))
}

/// Decrypts a segment and returns how many bytes were written, and how they begin.
///
/// # Errors
/// [`Kind::Verification`] when its padding or its beginning shows another key or IV.
pub fn decrypt_whole_segment(
    part: &dyn Source,
    sink: &mut dyn Sink,
    (key, iv): (&Secret<16>, [u8; 16]),
) -> Result<(u64, FirstBlock)> {
    let mut seen = Seen { head: SegmentHead::default(), sink };
    let is_whole = !part.is_empty() && part.len().is_multiple_of(16);
    let written = Aes128::new(key, iv).decrypt(part, &mut seen).map_err(|error| match error.kind() {
        Kind::Input if is_whole => Error::verification(error.to_string()),
        _ => error,
    })?;
    match seen.head.first_block()? {
        (_, Beginning::Garbled) => {
            Err(Error::verification("the first block is garbled, what follows is not")
                .clause("RFC 8216bis §5.2")
                .hint("the IV is another one than the segment was encrypted with"))
        }
        first_block => Ok((written, first_block)),
    }
}

/// The beginning of what is decrypted.
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
        Ok(Beginning::of(SegmentKind::of(&self.0)?, &self.0))
    }

    /// The same, and the bytes of the first block.
    ///
    /// # Errors
    /// As [`SegmentHead::beginning`].
    pub fn first_block(&self) -> Result<FirstBlock> {
        Ok((block_of(&self.0), self.beginning()?))
    }
}

impl Beginning {
    /// How a segment of this kind begins, which has these first bytes.
    fn of(kind: SegmentKind, head: &[u8]) -> Self {
        let (begins, is_shown) = match kind {
            SegmentKind::Unknown => (false, false),
            SegmentKind::Ts => ts_begins(head),
            SegmentKind::Fmp4 => fmp4_begins(head),
            SegmentKind::PackedAudio(_) | SegmentKind::MpegAudio => audio_begins(head),
            SegmentKind::WebVtt => web_vtt_begins(head),
            SegmentKind::Matroska | SegmentKind::Other(_) => (true, false),
        };
        match (begins, is_shown) {
            (true, true) => Self::Segment,
            (true, false) => Self::FirstBlockOpen,
            (false, _) if goes_on_as_a_segment(kind, head) => Self::Garbled,
            (false, _) => Self::Unknown,
        }
    }
}

/// Whether a transport stream begins as one, and with a section whose CRC holds the first block, in a packet whose header
/// has one value alone: ISO/IEC 13818-1 §2.4.3.2, §2.4.3.3, table 2-31, ETSI EN 300 468 tables 1 and 2.
fn ts_begins(head: &[u8]) -> (bool, bool) {
    let Some((bytes, rest)) = head.split_first_chunk::<PACKET_BYTES>() else { return (true, false) };
    let Ok(packet) = Packet::parse(bytes) else { return (false, false) };
    let Some(fits) = table_fits(&packet) else { return (true, false) };
    let [_, second, third, fourth, pointer_field, table_id, ..] = *bytes;
    let pid: u16 = match table_id {
        0x00 => 0x00,
        0x01 => 0x01,
        0x40 | 0x41 => 0x10,
        0x42 | 0x46 => 0x11,
        _ => return (fits, false),
    };
    let [high, low] = pid.to_be_bytes();
    // Neither damaged nor scrambled nor of priority, the first of a unit, with a payload alone.
    let is_plain = [second, third] == [0x40 | high, low] && fourth & 0xf0 == 0x10 && pointer_field == 0;
    // The next packet of the PID counts on; or another table stands behind, which those who write all of them together
    // count alike.
    let counter = |packet: &[u8; PACKET_BYTES]| packet.get(3).map(|fourth| fourth & 0x0f);
    let packets = rest.as_chunks::<PACKET_BYTES>().0;
    let is_table = |packet: &&[u8; PACKET_BYTES]| matches!(packet, [_, b, _, d, 0, 0x00 | 0x02 | 0x42, ..] if b & 0x40 != 0 && d & 0x30 == 0x10);
    let alike = packets.first().filter(is_table).and_then(counter) == counter(bytes);
    let mut same = packets.iter().filter(|[_, b, c, ..]| [b & 0x1f, *c] == [high, low]);
    let counts_on = same.next().and_then(counter) == Some((fourth + 1) & 0x0f);
    (fits, fits && is_plain && (counts_on || alike))
}

/// Whether fragmented MP4 begins as it should, and with a box whose first 16 bytes have one value alone: ISO/IEC 14496-12
/// §4.2, §4.3, §8.8.4, §8.16.3.
fn fmp4_begins(head: &[u8]) -> (bool, bool) {
    let at = |start: usize, end: usize| head.get(start..end).unwrap_or_default();
    let number = |position: usize| at(position, position + 4).try_into().ok().map(u32::from_be_bytes);
    let find = |name: &[u8]| memmem::find(head, name);
    let size = number(0).and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    // Behind it another box begins.
    let is_size = is_box(at(size, size.saturating_add(8)));
    let is_shown = match at(4, 8) {
        b"moof" if at(8, 16) == MFHD => true,
        // A fragment has one: where there is none it was garbled.
        b"moof" if find(b"mfhd").is_none() && find(b"tfhd").is_some() => return (false, false),
        // The brand is one of those that follow. minor_version is 0 in segments of all that is known, and 512 in the
        // init segments of FFmpeg.
        kind @ (b"styp" | b"ftyp") => {
            let mut brands = at(16, size).as_chunks::<4>().0.iter();
            let minor_version = number(12);
            brands.any(|brand| brand == at(8, 12))
                && (minor_version == Some(0) || kind == b"ftyp" && minor_version == Some(512))
        }
        // version and flags, reference_ID.
        b"sidx" => {
            let track = find(b"tfhd").and_then(|tfhd| number(tfhd + 8));
            matches!(number(8), Some(0 | 0x0100_0000)) && track.is_some() && number(12) == track
        }
        _ => false,
    };
    (true, is_size && is_shown)
}

/// Whether packed audio begins as it should, and with the tag of its time stamp: RFC 8216bis §3.1.3. The owner of that
/// stands right behind the header of its frame, which has few bytes.
fn audio_begins(head: &[u8]) -> (bool, bool) {
    let is_frame = matches!(head.get(10..16), Some([b'P', b'R', b'I', b'V', 0, 0]));
    let has_owner = head.get(20..).is_some_and(|owner| owner.starts_with(id3::TIMESTAMP.as_bytes()));
    (is_frame || !has_owner, is_frame && head.starts_with(b"ID3\x04\0\0"))
}

/// Whether WebVTT begins as it should, and with the header of its time stamp: RFC 8216bis §3.1.4.
fn web_vtt_begins(head: &[u8]) -> (bool, bool) {
    let starts = ["", "\u{feff}"]
        .map(|mark| ["\n", "\r\n", "\r"].map(|end| [mark, "WEBVTT", end, TIME_STAMP_MAP].concat()));
    let starts = starts.as_flattened();
    let is_shown = starts.iter().any(|start| head.starts_with(start.as_bytes()));
    // What goes on as one of these is one.
    let behind = |start: &String| head.get(16..)?.starts_with(start.as_bytes().get(16..)?).then_some(());
    (is_shown || starts.iter().all(|start| behind(start).is_none()), is_shown)
}

fn block_of(head: &[u8]) -> [u8; 16] {
    head.first_chunk().copied().unwrap_or_default()
}

/// Whether two first blocks under one IV, of which the first shows it, differ only where segments of a playlist do not:
/// `minor_version` of `styp` and `ftyp`, `reference_ID` of `sidx`.
fn contradict(shown: &[u8; 16], open: &[u8; 16]) -> bool {
    let [size, rest] = [&shown[..4], &shown[4..12]];
    let is_alike = match &shown[4..8] {
        b"styp" | b"ftyp" => open.starts_with(size),
        b"sidx" => true,
        _ => return false,
    };
    is_alike && open[4..12] == *rest && open[12..] != shown[12..]
}

/// What is said of segments of which one shows that the IV is right, and another that it is not.
pub const IV_CONTRADICTED: &str =
    "segments under one IV, of which some are garbled in bytes that others have as they should be";

/// A playlist, and an IV of its segments.
type PlaylistIv = (String, [u8; 16]);

/// What the first blocks of segments show of their IVs. Under one IV equal blocks of one playlist show it for each other.
#[derive(Clone, Debug, Default)]
pub struct FirstBlocks {
    shown: HashMap<PlaylistIv, HashSet<[u8; 16]>>,
    open: Vec<(PlaylistIv, [u8; 16])>,
}

impl FirstBlocks {
    /// Notes how a segment of this playlist begins that was decrypted with this IV.
    pub fn note(&mut self, playlist: &str, iv: [u8; 16], (block, beginning): FirstBlock) {
        let key = (playlist.to_owned(), iv);
        match beginning {
            Beginning::Segment => drop(self.shown.entry(key).or_default().insert(block)),
            _ => self.open.push((key, block)),
        }
    }

    /// Adds what was noted elsewhere.
    pub fn merge(&mut self, other: Self) {
        for (key, blocks) in other.shown {
            self.shown.entry(key).or_default().extend(blocks);
        }
        self.open.extend(other.open);
    }

    /// Whether no segment was decrypted.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.open.is_empty()
    }

    /// Of each playlist whose IVs are not shown, what is to be said.
    pub fn not_proven(&self) -> Vec<String> {
        let mut open = BTreeMap::<&str, usize>::new();
        let is_shown = |key, block| self.shown.get(key).is_some_and(|shown| shown.contains(block));
        for ((playlist, _), _) in self.open.iter().filter(|(key, block)| !is_shown(key, block)) {
            *open.entry(playlist).or_default() += 1;
        }
        let said = |(playlist, count): (&str, usize)| {
            format!(
                "{playlist}: the first 16 bytes of {count} of its segments do not show whether the IV is right"
            )
        };
        open.into_iter().map(said).collect()
    }

    /// Every playlist that has segments under one IV of which one shows that it is right, and another that it is not.
    pub fn contradictions(&self) -> BTreeSet<&str> {
        let contradicts = |key, block| {
            self.shown.get(key).is_some_and(|shown| shown.iter().any(|one| contradict(one, block)))
        };
        let found = self.open.iter().filter(|(key, block)| contradicts(key, block));
        found.map(|((playlist, _), _)| playlist.as_str()).collect()
    }

    /// Every playlist of which an IV was noted.
    pub fn playlists(&self) -> BTreeSet<&str> {
        let open = self.open.iter().map(|(key, _)| key);
        self.shown.keys().chain(open).map(|(playlist, _)| playlist.as_str()).collect()
    }
}

/// A segment that is to be encrypted whole does not begin as if it had been decrypted with another IV.
///
/// # Errors
/// When it does, or cannot be read.
fn check_begins(segment: &dyn Source) -> Result<FirstBlock> {
    let mut head = vec![0; usize::try_from(segment.len()).unwrap_or(usize::MAX).min(LOOKED_AT)];
    segment.read_at(0, &mut head)?;
    match Beginning::of(SegmentKind::of(segment)?, &head) {
        beginning @ (Beginning::Segment | Beginning::FirstBlockOpen | Beginning::Unknown) => {
            Ok((block_of(&head), beginning))
        }
        Beginning::Garbled => {
            Err(Error::input(format!("the first bytes are damaged: {SEGMENT_KINDS} expected"))
                .clause("RFC 8216bis §3.1")
                .hint("it was cut at the wrong byte, or decrypted with another IV: make it again"))
        }
    }
}

/// Whether what stands behind the first block is part of a segment: packets, boxes inside others, cues.
fn goes_on_as_a_segment(kind: SegmentKind, head: &[u8]) -> bool {
    // Of these the time stamp was found.
    if matches!(kind, SegmentKind::PackedAudio(_) | SegmentKind::MpegAudio | SegmentKind::WebVtt) {
        return true;
    }
    let behind = head.get(16..head.len().min(LOOKED_AT)).unwrap_or_default();
    let packets = head.iter().skip(PACKET_BYTES).step_by(PACKET_BYTES).take(8);
    let are_packets = packets.len() >= 2 && packets.clone().all(|sync| *sync == SYNC_BYTE);
    let inner: [&[u8]; 5] = [b"mvhd", b"mfhd", b"tfhd", b"sidx", b" --> "];
    are_packets || inner.iter().any(|word| memmem::find(behind, word).is_some())
}

/// Whether the sections that begin in a packet of a table fit their CRC; `None` when none does that has one: ISO/IEC
/// 13818-1 §2.4.4, annex A.
fn table_fits(packet: &Packet<'_>) -> Option<bool> {
    let is_table = packet.pid() <= LAST_TABLE_PID && packet.payload_unit_start();
    let unit = packet.payload().filter(|_| is_table)?;
    // What goes on in the next packet is not looked at.
    let found = sections(unit).ok()??;
    let has_crc = |section: &&Vec<u8>| section.get(1).is_some_and(|flags| flags & 0x80 != 0);
    let mut checked = found.iter().filter(has_crc).peekable();
    checked.peek()?;
    Some(checked.all(|section| crc_32(section) == 0))
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

    fn commit(self: Box<Self>) -> Result<u64> {
        Err(Error::usage("what is looked at is committed elsewhere"))
    }
}
