//! A segment that is encrypted whole: its length, padding and what it holds — RFC 8216bis §4.4.4.4, §5.2.

use crate::base::env::{Sink, Source};
use crate::base::{Error, Kind, Result, Secret};
use crate::package::{Beginning, FirstBlock, SEGMENT_KINDS, SegmentHead, copy};
use crate::presentation::SegmentKind;
use crate::protect::Aes128;
use crate::ts::PACKET_BYTES;

use super::times::{self, Begins};
use crate::verify::findings::Findings;

/// Bytes in an AES block.
const BLOCK: u64 = 16;
/// Holds a segment to the rules; `key` is what decrypts it, if that is known, and `clear` is what it must be then. Says how
/// it begins when it is decrypted, and notes when.
pub(in crate::verify) fn check(
    part: &dyn Source,
    key: Option<&(Secret<16>, [u8; 16])>,
    (clear, begin): (Option<&dyn Source>, &mut Begins),
    place: &str,
    findings: &mut Findings,
) -> Result<Option<FirstBlock>> {
    let length = part.len();
    let holds = length > 0 && length.is_multiple_of(BLOCK);
    findings.check("whole-length", holds, &place, &length, &"a multiple of 16, and not 0");
    let plays = plays(part)?;
    findings.check("whole-clear", !plays, &place, &"a segment that plays as it is", &"encrypted bytes");
    let Some((key, iv)) = key.filter(|_| holds) else { return Ok(None) };
    let mut payload = Payload::of(clear);
    match Aes128::new(key, *iv).decrypt(part, &mut payload) {
        Ok(_) => findings.check("whole-padding", true, &place, &"", &""),
        Err(error) if error.kind() == Kind::Input => {
            findings.check("whole-padding", false, &place, &error, &"that of the key and the IV");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    *begin = Begins::of(&payload.begin);
    payload.check(place, findings).map(Some)
}

/// Holds a segment that stands under no key to the rules.
pub(in crate::verify) fn check_clear(
    part: &dyn Source,
    clear: Option<&dyn Source>,
    place: &str,
    findings: &mut Findings,
) -> Result<()> {
    let mut payload = Payload::of(clear);
    copy(part, &mut payload)?;
    payload.check(place, findings).map(drop)
}

/// Holds a file of any kind to the bytes of the source.
pub(in crate::verify) fn check_equal(
    part: &dyn Source,
    clear: &dyn Source,
    place: &str,
    findings: &mut Findings,
) -> Result<()> {
    let mut payload = Payload::of(Some(clear));
    copy(part, &mut payload)?;
    payload.check_equal(place, findings);
    Ok(())
}

/// Whether bytes play as they are. The kinds whose first bytes are fewer than those that bytes begin with by chance
/// are left out, and a transport stream is one when the next packets begin as well.
pub(in crate::verify) fn plays(part: &dyn Source) -> Result<bool> {
    let mut packets = [0; 2 * PACKET_BYTES + 1];
    Ok(match SegmentKind::of(part)? {
        SegmentKind::Fmp4 | SegmentKind::WebVtt => true,
        SegmentKind::Ts if part.len() >= packets.len() as u64 => {
            part.read_at(0, &mut packets)?;
            packets.first().is_some_and(|sync| packets.iter().step_by(PACKET_BYTES).all(|byte| byte == sync))
        }
        _ => false,
    })
}

/// What a segment is when it is decrypted: its beginning, and whether it is the clear one.
struct Payload<'a> {
    head: SegmentHead,
    /// Its first bytes, in which times are.
    begin: Vec<u8>,
    length: u64,
    clear: Option<&'a dyn Source>,
    /// The first byte that is another one than in the clear segment.
    differs: Option<u64>,
    buffer: Vec<u8>,
}

impl<'a> Payload<'a> {
    fn of(clear: Option<&'a dyn Source>) -> Self {
        Self {
            head: SegmentHead::default(),
            begin: Vec::new(),
            length: 0,
            clear,
            differs: None,
            buffer: Vec::new(),
        }
    }

    fn check(&self, place: &str, findings: &mut Findings) -> Result<FirstBlock> {
        // Bytes that are those of the source need not be of a kind that is known.
        let is_equal = self.clear.is_some_and(|clear| clear.len() == self.length) && self.differs.is_none();
        let first_block = self.head.first_block()?;
        let holds = is_equal || matches!(first_block.1, Beginning::Segment | Beginning::FirstBlockOpen);
        findings.check("whole-payload", holds, &place, &"something else", &SEGMENT_KINDS);
        self.check_equal(place, findings);
        // The bytes of the source need no other proof.
        Ok(if is_equal { (first_block.0, Beginning::Segment) } else { first_block })
    }

    fn check_equal(&self, place: &str, findings: &mut Findings) {
        let Some(clear) = self.clear else { return };
        let expected = clear.len();
        if findings.check("payload-samples", self.length == expected, &place, &self.length, &expected) {
            let found = format_args!("another byte {}", self.differs.unwrap_or_default()).to_string();
            let holds = self.differs.is_none();
            findings.check("payload-equal", holds, &place, &found, &"the bytes of the source");
        }
    }
}

impl Sink for Payload<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.head.take(bytes);
        let room = times::MOST.saturating_sub(self.begin.len()).min(bytes.len());
        self.begin.extend(bytes.get(..room).unwrap_or_default());
        if let Some(clear) = self.clear.filter(|_| self.differs.is_none()) {
            let left = usize::try_from(clear.len().saturating_sub(self.length)).unwrap_or(usize::MAX);
            self.buffer.resize(left.min(bytes.len()), 0);
            clear.read_at(self.length.min(clear.len()), &mut self.buffer)?;
            let differs = self.buffer.iter().zip(bytes).position(|(left, right)| left != right);
            self.differs = differs.map(|position| self.length + position as u64);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn reserve(&mut self, _length: usize) -> Result<()> {
        Err(Error::usage("what is compared has no room"))
    }

    fn patch(&mut self, _position: u64, _bytes: &[u8]) -> Result<()> {
        Err(Error::usage("what is compared is not patched"))
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        Err(Error::usage("what is compared is not kept"))
    }
}
