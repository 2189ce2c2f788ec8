//! Boxes whose bytes no reader uses: what they hold is not proven — ISO/IEC 14496-12 §8.1.2.

use crate::base::env::Source;
use crate::base::{FourCc, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Piff;
use crate::isobmff::file::BoxHeader;

use super::headers::is_known;
use crate::verify::findings::Findings;

/// Most bytes of such a box that nothing is said of: names and settings of a tool.
const NOTE_BYTES: u64 = 1 << 10;
/// Bytes that are looked at at a time, and of each box kept to be held to the clear source.
const READ_BYTES: usize = 16 << 10;
/// Most boxes of a file that are kept.
const MAX_KEPT: usize = 64;

/// Types that standards have for bytes that nobody reads, or only who put them there.
const UNREAD: &[&[u8; 4]] = &[b"free", b"skip", b"wide", b"uuid"];
/// Types of media data, which has no reader in a file of an initialization segment alone.
const MEDIA_DATA: &[&[u8; 4]] = &[b"mdat", b"imda"];

/// A box that is more than padding and notes, and how its bytes begin.
pub(in crate::verify) struct UnreadBox {
    pub(in crate::verify) place: String,
    pub(in crate::verify) bytes: Vec<u8>,
}

/// The boxes of a file.
#[derive(Default)]
pub(in crate::verify) struct UnreadBoxes(pub(in crate::verify) Vec<UnreadBox>);

impl UnreadBoxes {
    /// Those of a file, of which nothing is said; what is no ISO media file has none.
    pub(in crate::verify) fn of_source(source: &dyn Source, is_init: bool) -> Result<Self> {
        let (mut found, mut findings, mut position) = (Self::default(), Findings::default(), 0);
        while let Ok(Some((header, _))) = BoxHeader::read_overstated(source, position) {
            found.top((&header, source), is_init, "", &mut findings)?;
            if header.is(b"moof") || header.is(b"moov") {
                found.below(&header.read_node(source)?, "", &mut findings);
            }
            position = header.end();
        }
        Ok(found)
    }

    /// Looks at a box of a file; of an initialization segment in a file of its own at media data too.
    pub(in crate::verify) fn top(
        &mut self,
        (header, source): (&BoxHeader, &dyn Source),
        is_init: bool,
        name: &str,
        findings: &mut Findings,
    ) -> Result<()> {
        let is_media_data = is_init && MEDIA_DATA.iter().any(|kind| header.is(kind));
        let (mut position, mut bytes) = (header.position + header.header_length, Vec::new());
        if !(is_unread(header.kind) || is_media_data) {
            return Ok(());
        }
        let length = header.end().saturating_sub(position);
        while length > NOTE_BYTES && position < header.end() && is_padding(&bytes) {
            let more = usize::try_from(header.end() - position).unwrap_or(usize::MAX).min(READ_BYTES);
            bytes.resize(more, 0);
            source.read_at(position, &mut bytes)?;
            position += more as u64;
        }
        let place = format!("{name}: box {} at byte {}", header.kind, header.position);
        self.check(place, length, &bytes, findings);
        Ok(())
    }

    /// Looks at a box and those in it.
    pub(in crate::verify) fn below(&mut self, node: &BoxNode, place: &str, findings: &mut Findings) {
        if is_unread(node.kind) && Piff::of(node).is_none() {
            let bytes = node.payload();
            let from = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
            let kept = bytes.get(from..).unwrap_or_default();
            let kept = kept.get(..READ_BYTES).unwrap_or(kept);
            self.check(format!("{place}: box {}", node.kind), bytes.len() as u64, kept, findings);
        }
        node.boxes().iter().for_each(|child| self.below(child, place, findings));
    }

    fn check(&mut self, place: String, length: u64, bytes: &[u8], findings: &mut Findings) {
        let holds = length <= NOTE_BYTES || is_padding(bytes);
        let found = format!("{length} bytes that no reader of the format uses; what they hold is not proven");
        findings.check(
            "unread-bytes",
            holds,
            &place,
            &found,
            &format_args!("zeros, or {NOTE_BYTES} at most"),
        );
        if !holds && self.0.len() < MAX_KEPT {
            self.0.push(UnreadBox { place, bytes: bytes.to_vec() });
        }
    }
}

fn is_unread(kind: FourCc) -> bool {
    !is_known(kind) || UNREAD.iter().any(|unread| **unread == kind.0)
}

fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
