//! How packets lie in a file — ISO/IEC 13818-1 §2.4.3.2: one behind the other, with four bytes of time before each as on
//! Blu-ray discs, or with parity behind each as receivers write them (ETSI EN 300 421 §4.4.2); and what is no packet.

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::ts::{PACKET_BYTES, SYNC_BYTE};

/// From a packet to the next: without more, with a time stamp, with parity.
const STEPS: [usize; 3] = [PACKET_BYTES, PACKET_BYTES + 4, PACKET_BYTES + 16];
/// Bytes before the first packet, at most: a recording may begin anywhere.
const MAX_JUNK: usize = 4096;
/// Sync bytes in step that are packets, where a file begins with something else.
const SURE: usize = 5;
/// Boxes that an MP4 file begins with.
const BOXES: [&[u8; 4]; 9] =
    [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof", b"uuid"];

/// Where the first packet begins, and how far it is from each to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demux) struct Framing {
    first: usize,
    step: usize,
}

impl Framing {
    /// How packets lie in a file; `None` when it is not of packets.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::demux) fn of(source: &dyn Source) -> Result<Option<Self>> {
        let mut start = [0; MAX_JUNK + SURE * 204];
        let length = usize::try_from(source.len()).unwrap_or(usize::MAX).min(start.len());
        let start = start.get_mut(..length).unwrap_or_default();
        source.read_at(0, start)?;
        // A box may be as long as a sync byte says: one packet alone is none.
        if source.len() < 2 * PACKET_BYTES as u64 {
            return Ok(None);
        }
        let in_step = |framing: &Self, count: usize| {
            let places = (0..count).map(|number| framing.first + number * framing.step);
            let mut places = places.filter(|place| *place < start.len()).peekable();
            places.peek().is_some() && places.all(|place| start.get(place) == Some(&SYNC_BYTE))
        };
        let [plain, stamped, parity] = STEPS;
        let usual = [Self { first: 0, step: plain }, Self { first: stamped - plain, step: stamped }];
        if let Some(found) = usual.iter().find(|framing| in_step(framing, 3)) {
            return Ok(Some(*found));
        }
        let is_box = start.get(4..8).is_some_and(|kind| BOXES.iter().any(|known| *known == kind));
        let room = start.len().saturating_sub((SURE - 1) * parity).min(MAX_JUNK);
        let all = (0..room).flat_map(|first| STEPS.map(|step| Self { first, step }));
        Ok(all.filter(|_| !is_box).find(|framing| in_step(framing, SURE)))
    }

    /// Where in the file a byte of its packets lies, of which `position` counts no others.
    pub(super) fn place(self, position: u64) -> u64 {
        let packet_bytes = PACKET_BYTES as u64;
        self.first as u64 + position / packet_bytes * self.step as u64 + position % packet_bytes
    }

    /// The packets of a file, and what of it is none.
    pub(super) fn framed(self, source: Box<dyn Source>) -> (Box<dyn Source>, Vec<String>) {
        let framed = Framed { source, framing: self };
        let stamp = if self.step == STEPS[1] { self.step - PACKET_BYTES } else { 0 };
        let before = self.first.saturating_sub(stamp);
        let ends = before as u64 + framed.packets() * self.step as u64;
        let behind = framed.source.len().saturating_sub(ends);
        let said = [(before as u64, "before the first packet are"), (behind, "behind the last packet are")];
        let said = said.into_iter().filter(|(bytes, _)| *bytes > 0);
        let said =
            said.map(|(bytes, what)| format!("{bytes} bytes {what} left out: no whole packet")).collect();
        let is_plain = self.first == 0 && self.step == PACKET_BYTES && behind == 0;
        (if is_plain { framed.source } else { Box::new(framed) }, said)
    }
}

/// Packets alone.
struct Framed {
    source: Box<dyn Source>,
    framing: Framing,
}

impl Framed {
    fn packets(&self) -> u64 {
        let Framing { first, step } = self.framing;
        let more = (step - PACKET_BYTES) as u64;
        // What is behind the last packet may be missing.
        (self.source.len() + more).saturating_sub(first as u64) / step as u64
    }
}

impl Source for Framed {
    fn len(&self) -> u64 {
        self.packets() * PACKET_BYTES as u64
    }

    fn version(&self) -> Option<String> {
        self.source.version()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        let packet_bytes = PACKET_BYTES as u64;
        let place = |position: u64| self.framing.place(position);
        let end = position.saturating_add(buffer.len() as u64);
        if buffer.is_empty() || end > self.len() {
            let what = format!("{} bytes at {position}, there are {}", buffer.len(), self.len());
            return if buffer.is_empty() { Ok(()) } else { Err(Error::input(what)) };
        }
        let (from, to) = (place(position), place(end - 1) + 1);
        let mut whole = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
        self.source.read_at(from, &mut whole)?;
        let (mut at, mut rest) = (position, buffer);
        while !rest.is_empty() {
            let length = usize::try_from(packet_bytes - at % packet_bytes).unwrap_or(0).min(rest.len());
            let start = usize::try_from(place(at) - from).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at_mut(length);
            let found = whole.get(start..).and_then(|found| found.get(..length)).unwrap_or_default();
            now.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
            at += length as u64;
            rest = later;
        }
        Ok(())
    }
}
