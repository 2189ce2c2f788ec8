//! The streams of a segment while they are rewritten: units, and NAL units or frames that may go on from
//! one PES packet to the next — ISO/IEC 13818-1 §2.4.3.3, §2.4.3.7.

use std::collections::VecDeque;

use crate::base::{Error, Result};
use crate::codec::byte_stream::last_start_code;
use crate::codec::{Elementary, Evidence, StreamMarks};
use crate::protect::{Operation, SampleAes, encrypted_bytes, look_at_nal_units};
use crate::ts::{Packet, PesHeader};

use crate::package::fragmented::protector::Totals;

const START_CODE_BYTES: usize = 3;

/// The payloads between one `payload_unit_start_indicator` and the next.
#[derive(Default)]
pub(in crate::package) struct PesUnit {
    /// Numbers of its packets, counted from the segment's first.
    pub(in crate::package) packets: Vec<u64>,
    pub(in crate::package) bytes: Vec<u8>,
}

/// A whole PES packet.
pub(in crate::package) struct Pes {
    pub(in crate::package) unit: PesUnit,
    /// Its header and what was rewritten of its data.
    pub(in crate::package) rewritten: Vec<u8>,
    /// How many bytes of its data are not yet rewritten.
    left: usize,
}

/// Why a lane's stream is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::package) enum Flush {
    /// A PES packet is whole.
    PesPacket,
    /// The segment is.
    Segment,
}

/// A `PID` whose stream is rewritten.
pub(in crate::package) struct PesStream {
    pub(in crate::package) pid: u16,
    pub(in crate::package) elementary: Elementary,
    pub(in crate::package) open: PesUnit,
    /// The elementary stream from the first NAL unit or frame on that is not yet whole.
    stream: Vec<u8>,
    /// How many zeros the stream begins with, as far as is known.
    zeros: usize,
    /// No start code but the first begins before this byte of the stream.
    searched: usize,
    /// Whole PES packets that have bytes of it.
    whole: VecDeque<Pes>,
    continuity_counter: Option<u8>,
    pub(in crate::package) totals: Totals,
    marks: StreamMarks,
    /// What is shown of the key by what was decrypted.
    pub(in crate::package) evidence: Evidence,
}

impl PesStream {
    /// A `PID` of which nothing was read.
    pub(in crate::package) fn new(pid: u16, elementary: Elementary) -> Self {
        Self {
            pid,
            elementary,
            open: PesUnit::default(),
            stream: Vec::new(),
            zeros: 0,
            searched: 0,
            whole: VecDeque::new(),
            continuity_counter: None,
            totals: Totals::default(),
            marks: StreamMarks::new(elementary),
            evidence: Evidence::default(),
        }
    }

    /// Checks a packet's counter against the one before: §2.4.3.3.
    pub(in crate::package) fn count(&mut self, packet: &Packet<'_>) -> Result<()> {
        let at = |e: Error| e.clause("ISO/IEC 13818-1 §2.4.3.3").at(format_args!("PID {:#x}", packet.pid()));
        let counter = packet.continuity_counter();
        let before = self.continuity_counter.replace(counter);
        if packet.payload_unit_start() {
            return match before == Some(counter) && !packet.discontinuity() {
                true => Err(at(Error::unsupported(format!(
                    "continuity_counter is {counter} once more: the packet is sent twice"
                )))),
                false => Ok(()),
            };
        }
        if self.open.packets.is_empty() {
            return Err(at(Error::unsupported("a PES packet that began before the segment")
                .hint("cut segments where PES packets begin")));
        }
        let expected = before.map(|counter| (counter + 1) & 0x0f);
        if expected.is_some_and(|expected| expected != counter) {
            let expected = expected.unwrap_or_default();
            return Err(at(Error::input(format!(
                "continuity_counter is {counter}, {expected} expected: packets are missing or sent twice"
            ))));
        }
        Ok(())
    }

    /// A packet without a payload does not count, but encoders are known that count one whose header announces it.
    pub(in crate::package) fn pass(&mut self, packet: &Packet<'_>) {
        let counter = packet.continuity_counter();
        let follows = self.continuity_counter.is_some_and(|before| (before + 1) & 0x0f == counter);
        if packet.lacks_its_payload() && follows {
            self.continuity_counter = Some(counter);
        }
    }

    /// Takes in a whole PES packet.
    pub(in crate::package) fn pes_packet(&mut self, unit: PesUnit, operation: Operation) -> Result<()> {
        let header = check_pes(&unit.bytes, operation)?;
        let parts = unit.bytes.split_at_checked(header.data_position);
        let (head, data) = parts.ok_or_else(|| Error::internal("a PES header behind its packet"))?;
        self.stream.extend(data);
        // One access unit or several frames begin in a PES packet; frames are counted where they are found.
        if self.elementary == Elementary::Avc {
            self.totals.samples += u64::from(!data.is_empty());
        }
        self.totals.bytes += data.len() as u64;
        let (rewritten, left) = (head.to_vec(), data.len());
        self.whole.push_back(Pes { unit, rewritten, left });
        Ok(())
    }

    /// Rewrites the NAL units or frames that are whole; returns the PES packets that are done with them.
    pub(in crate::package) fn advance(
        &mut self,
        ends: Flush,
        sample_aes: &SampleAes,
        operation: Operation,
    ) -> Result<Vec<Pes>> {
        let end = match self.elementary {
            Elementary::Avc => self.whole_nal_units(ends)?,
            _ => self.audio(ends, sample_aes, operation)?,
        };
        if end == 0 && self.whole.front().is_some_and(|pes| pes.left > 0) {
            return Ok(Vec::new());
        }
        let mut left = 0;
        let mut cuts: Vec<usize> = self
            .whole
            .iter()
            .map(|pes| {
                left += pes.left;
                left
            })
            .collect();
        (self.zeros, self.searched) = (0, 0);
        let behind = self.stream.split_off(end);
        let mut rewritten = std::mem::replace(&mut self.stream, behind);
        let lefts: Vec<usize> = cuts.iter().map(|cut| cut.saturating_sub(end)).collect();
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(end));
        if self.elementary == Elementary::Avc {
            let protected;
            (rewritten, protected) = sample_aes.byte_stream(operation, &rewritten, &mut cuts)?;
            self.totals.protected += protected;
            if operation == Operation::Decrypt {
                look_at_nal_units(&rewritten, &self.marks, &mut self.evidence);
            }
        }
        let mut from = 0;
        let mut before = 0;
        for (pes, (cut, left)) in self.whole.iter_mut().zip(cuts.into_iter().zip(lefts)) {
            let part = rewritten.get(from..cut);
            pes.rewritten.extend(part.ok_or_else(|| Error::internal("a PES packet lost its place"))?);
            from = cut;
            pes.left = left - before;
            before = left;
        }
        let done = self.whole.iter().take_while(|pes| pes.left == 0).count();
        let mut done: Vec<Pes> = self.whole.drain(..done).collect();
        done.iter_mut().for_each(|pes| PesHeader::write_length(&mut pes.rewritten));
        Ok(done)
    }

    /// Where the last NAL unit begins that may go on in the next PES packet; the end, when there is none.
    fn whole_nal_units(&mut self, ends: Flush) -> Result<usize> {
        let stream = &self.stream;
        while stream.get(self.zeros) == Some(&0) {
            self.zeros += 1;
        }
        if stream.len() > self.zeros && (self.zeros < 2 || stream.get(self.zeros) != Some(&1)) {
            return Err(Error::unsupported("the segment begins inside a NAL unit, a start code expected")
                .clause("RFC 8216bis §3.1.1")
                .hint("cut segments where access units begin"));
        }
        if ends == Flush::Segment {
            return Ok(stream.len());
        }
        // A start code has three bytes: its first may have been the last.
        let from = self.searched.saturating_sub(START_CODE_BYTES);
        self.searched = stream.len();
        Ok(last_start_code(stream.get(from..).unwrap_or_default()).map_or(0, |position| from + position))
    }

    /// Rewrites the whole frames of the stream in place; returns where the last of them ends.
    fn audio(&mut self, ends: Flush, sample_aes: &SampleAes, operation: Operation) -> Result<usize> {
        let mut end = 0;
        while let Some(frame) = self.elementary.audio_frame(&self.stream, end)? {
            self.totals.protected += sample_aes.audio_frame(operation, &mut self.stream, &frame)?;
            if operation == Operation::Decrypt {
                let bytes = self.stream.get(frame.range.clone());
                let bytes = bytes.ok_or_else(|| Error::internal("a frame behind its stream"))?;
                self.marks.frame(bytes, encrypted_bytes(&frame), &mut self.evidence);
            }
            end = frame.range.end;
            self.totals.samples += 1;
        }
        if ends == Flush::Segment && end < self.stream.len() {
            return Err(Error::unsupported("the last frame of audio ends outside the segment")
                .clause("RFC 8216bis §3.1.1"));
        }
        Ok(end)
    }

    /// Whether the open PES packet says that it ends here.
    pub(in crate::package) fn is_whole(&self) -> bool {
        match self.open.bytes.as_slice() {
            [_, _, _, _, high, low, rest @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                length != 0 && rest.len() >= length
            }
            _ => false,
        }
    }
}

/// The header of a whole PES packet that can be rewritten.
fn check_pes(pes: &[u8], operation: Operation) -> Result<PesHeader> {
    let clause = "ISO/IEC 13818-1 §2.4.3.7";
    let header = PesHeader::parse(pes)?;
    if header.pes_scrambling_control != 0 {
        return Err(Error::input("the PES packet is scrambled, clear expected").clause(clause));
    }
    if header.has_crc && operation == Operation::Encrypt {
        return Err(Error::unsupported("previous_PES_packet_CRC, which would be that of the clear data")
            .clause(clause));
    }
    match header.packet_bytes() {
        Some(expected) if expected != pes.len() => Err(Error::input(format!(
            "the PES packet has {} bytes, {expected} expected from its PES_packet_length",
            pes.len()
        ))
        .clause(clause)),
        _ => Ok(header),
    }
}
