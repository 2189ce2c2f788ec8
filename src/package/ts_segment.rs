//! A transport stream segment rewritten in one pass — ISO/IEC 13818-1 §2.4.3; Apple, MPEG-2 Stream Encryption Format
//! for HTTP Live Streaming.
//!
//! Packets wait in a queue until the unit that they belong to is whole and rewritten, so that every packet leaves
//! in the order in which it came. Packets of other `PID`s leave as they are, and so does the counter of every packet:
//! a unit that no longer fits its packets gets sixteen more, after which `continuity_counter` is where it was.
//! So segments stay independent of each other: nothing that follows has to be renumbered.

use std::collections::VecDeque;

use crate::base::env::{Sink, Source};
use crate::base::{Error, Result};
use crate::codec::Elementary;
use crate::codec::byte_stream::last_start_code;
use crate::protect::{Operation, SampleAes};
use crate::ts::{PACKET_BYTES, PAT_PID, PROGRAM_MAP_TABLE, Packet, Packets, Pat, PesHeader, sections};

use super::protect::Totals;
use super::ts_program::{TsProgram, TsStream};

/// Bytes of packets that wait for the end of a PES packet: many times the largest picture of any level in use.
pub const MAX_WAITING_BYTES: usize = 8 << 20;
/// Packets after which `continuity_counter` repeats: §2.4.3.3.
const COUNTER_PERIOD: usize = 16;
/// Bytes written at a time.
const WRITE_BYTES: usize = 256 << 10;

/// What was protected of a stream.
#[derive(Clone, Debug)]
pub struct TsStreamTotals {
    /// The stream.
    pub stream: TsStream,
    /// Its access units or frames.
    pub totals: Totals,
}

/// Encrypts the streams of a segment and returns what was encrypted.
///
/// # Errors
/// When the segment is wrong or cannot be protected; then what was written so far is worth nothing.
pub fn protect_ts_segment(
    source: &dyn Source,
    sink: &mut dyn Sink,
    sample_aes: &SampleAes,
) -> Result<Vec<TsStreamTotals>> {
    rewrite(source, sink, sample_aes, Operation::Encrypt)
}

/// The inverse of [`protect_ts_segment`]: the elementary streams are the same again, packets may differ in stuffing.
///
/// # Errors
/// When the segment is wrong or not encrypted.
pub fn decrypt_ts_segment(
    source: &dyn Source,
    sink: &mut dyn Sink,
    sample_aes: &SampleAes,
) -> Result<Vec<TsStreamTotals>> {
    rewrite(source, sink, sample_aes, Operation::Decrypt)
}

fn rewrite(
    source: &dyn Source,
    sink: &mut dyn Sink,
    sample_aes: &SampleAes,
    operation: Operation,
) -> Result<Vec<TsStreamTotals>> {
    let program = TsProgram::read(source, operation)?;
    let mut rewriter = Rewriter::new(sink, sample_aes, operation, &program);
    let mut packets = Packets::new(source)?;
    while let Some((position, packet)) = packets.next_packet()? {
        rewriter.packet(position, packet).map_err(|e| e.at(format_args!("packet at byte {position}")))?;
    }
    rewriter.finish()?;
    let totals = rewriter.lanes.iter().filter_map(|lane| {
        let stream = program.streams.iter().find(|stream| stream.pid == lane.pid)?;
        Some(TsStreamTotals { stream: stream.clone(), totals: lane.totals })
    });
    Ok(totals.collect())
}

/// A packet in the queue.
struct Slot {
    packet: [u8; PACKET_BYTES],
    /// Packets that were added behind it.
    added: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its unit is not yet whole.
    Waiting,
    /// To be written.
    Ready,
    /// Its unit needs it no more.
    Dropped,
}

/// What the units of a `PID` are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Units {
    Association,
    Map,
    Pes(Elementary),
}

/// The payloads between one `payload_unit_start_indicator` and the next.
#[derive(Default)]
struct Unit {
    /// Numbers of its packets, counted from the segment's first.
    packets: Vec<u64>,
    bytes: Vec<u8>,
}

/// A whole PES packet.
struct Pes {
    unit: Unit,
    /// Its header and what was rewritten of its data.
    rewritten: Vec<u8>,
    /// How many bytes of its data are not yet rewritten.
    left: usize,
}

/// Why a lane's stream is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// A PES packet is whole.
    PesPacket,
    /// The segment is.
    Segment,
}

/// A `PID` that is rewritten.
struct Lane {
    pid: u16,
    units: Units,
    open: Unit,
    /// The elementary stream from the first NAL unit or frame on that is not yet whole.
    stream: Vec<u8>,
    /// Whole PES packets that have bytes of it.
    whole: VecDeque<Pes>,
    continuity_counter: Option<u8>,
    totals: Totals,
}

struct Rewriter<'a> {
    sink: &'a mut dyn Sink,
    sample_aes: &'a SampleAes,
    operation: Operation,
    program: &'a TsProgram,
    lanes: Vec<Lane>,
    queue: VecDeque<Slot>,
    /// The number of the queue's first packet.
    first: u64,
    out: Vec<u8>,
}

impl<'a> Rewriter<'a> {
    fn new(
        sink: &'a mut dyn Sink,
        sample_aes: &'a SampleAes,
        operation: Operation,
        program: &'a TsProgram,
    ) -> Self {
        let tables = [(PAT_PID, Units::Association), (program.map_pid, Units::Map)];
        let streams = program.streams.iter().map(|stream| (stream.pid, Units::Pes(stream.elementary)));
        let lanes = tables.into_iter().chain(streams).map(|(pid, units)| Lane {
            pid,
            units,
            open: Unit::default(),
            stream: Vec::new(),
            whole: VecDeque::new(),
            continuity_counter: None,
            totals: Totals::default(),
        });
        let lanes = lanes.collect();
        Self {
            sink,
            sample_aes,
            operation,
            program,
            lanes,
            queue: VecDeque::new(),
            first: 0,
            out: Vec::new(),
        }
    }

    fn packet(&mut self, position: u64, bytes: [u8; PACKET_BYTES]) -> Result<()> {
        let packet = Packet::parse(&bytes)?;
        let number = position / PACKET_BYTES as u64;
        let lane = self.lanes.iter().position(|lane| lane.pid == packet.pid());
        let (Some(index), Some(payload)) = (lane, packet.payload()) else {
            self.queue.push_back(Slot { packet: bytes, added: Vec::new(), state: State::Ready });
            return self.write_ready();
        };
        if packet.payload_unit_start() {
            self.close(index)?;
        }
        let Some(lane) = self.lanes.get_mut(index) else { return Ok(()) };
        lane.count(&packet)?;
        lane.open.packets.push(number);
        lane.open.bytes.extend(payload);
        self.queue.push_back(Slot { packet: bytes, added: Vec::new(), state: State::Waiting });
        if lane.is_whole()? {
            self.close(index)?;
        }
        if self.queue.len() * PACKET_BYTES > MAX_WAITING_BYTES {
            return Err(Error::unsupported(format!(
                "a PES packet that does not end within {MAX_WAITING_BYTES} bytes of the stream"
            )));
        }
        self.write_ready()
    }

    /// The open unit of a lane has ended.
    fn close(&mut self, index: usize) -> Result<()> {
        let Some(lane) = self.lanes.get_mut(index) else { return Ok(()) };
        if lane.open.packets.is_empty() {
            return Ok(());
        }
        let unit = std::mem::take(&mut lane.open);
        let pid = lane.pid;
        let at = |e: Error| e.at(format_args!("PID {pid:#x}"));
        match lane.units {
            Units::Association => self.association(&unit),
            Units::Map => self.map(unit),
            Units::Pes(elementary) => {
                lane.pes_packet(unit, self.operation).map_err(at)?;
                let done =
                    lane.advance(elementary, Ends::PesPacket, self.sample_aes, self.operation).map_err(at)?;
                done.iter().try_for_each(|pes| self.lay_out(&pes.unit, &pes.rewritten))
            }
        }
    }

    /// The table stays as it is, and must go on to say what it said.
    fn association(&mut self, unit: &Unit) -> Result<()> {
        for range in sections(&unit.bytes)?.unwrap_or_default() {
            if Pat::parse(unit.bytes.get(range).unwrap_or_default())? != self.program.pat {
                return Err(Error::unsupported("the program association table changes in the segment")
                    .hint("cut the segment where the program changes"));
            }
        }
        self.lay_out(unit, &unit.bytes)
    }

    fn map(&mut self, unit: Unit) -> Result<()> {
        let mut bytes = vec![0]; // pointer_field
        let found =
            sections(&unit.bytes)?.ok_or_else(|| Error::input("the program map section is cut off"))?;
        for range in found {
            let section = unit.bytes.get(range).unwrap_or_default();
            if section.first() == Some(&PROGRAM_MAP_TABLE) {
                bytes.extend(self.program.edit_map(section, self.operation)?);
            } else {
                bytes.extend(section);
            }
        }
        // §2.4.4.1: a table's packets are filled up with 0xff behind its last section.
        if bytes.len() < unit.bytes.len() {
            bytes.resize(unit.bytes.len(), 0xff);
        }
        self.lay_out(&unit, &bytes)
    }

    /// Puts `bytes` into the packets of a unit.
    fn lay_out(&mut self, unit: &Unit, bytes: &[u8]) -> Result<()> {
        let slot =
            |number: &u64| usize::try_from(number - self.first).ok().filter(|slot| *slot < self.queue.len());
        let slots: Vec<usize> = unit.packets.iter().filter_map(slot).collect();
        let old: Vec<[u8; PACKET_BYTES]> =
            slots.iter().filter_map(|slot| self.queue.get(*slot)).map(|slot| slot.packet).collect();
        let views = old.iter().map(Packet::parse).collect::<Result<Vec<_>>>()?;
        let sizes = match bytes.len() == unit.bytes.len() {
            true => views.iter().map(|view| view.payload().map_or(0, <[u8]>::len)).collect(),
            false => payload_sizes(&views, bytes.len(), unit.bytes.len())?,
        };
        let mut rest = bytes;
        let mut last = None;
        for (index, size) in sizes.iter().enumerate() {
            let (payload, behind) = rest.split_at_checked(*size).unwrap_or((rest, &[]));
            rest = behind;
            if let (Some(slot), Some(view)) = (slots.get(index), views.get(index)) {
                last = Some((*slot, *view, view.continuity_counter()));
                if let Some(slot) = self.queue.get_mut(*slot) {
                    slot.packet = view.with_payload(payload);
                    slot.state = State::Ready;
                }
            } else if let Some((slot, view, continuity_counter)) = &mut last {
                *continuity_counter = (*continuity_counter + 1) & 0x0f;
                if let Some(slot) = self.queue.get_mut(*slot) {
                    slot.added.extend(view.continued(*continuity_counter, payload));
                }
            }
        }
        for slot in slots.iter().skip(sizes.len()) {
            if let Some(slot) = self.queue.get_mut(*slot) {
                slot.state = State::Dropped;
            }
        }
        Ok(())
    }

    fn write_ready(&mut self) -> Result<()> {
        while self.queue.front().is_some_and(|slot| slot.state != State::Waiting) {
            let Some(slot) = self.queue.pop_front() else { break };
            self.first += 1;
            if slot.state == State::Ready {
                self.out.extend(slot.packet);
            }
            self.out.extend(slot.added);
        }
        if self.out.len() >= WRITE_BYTES {
            self.sink.write(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        for index in 0..self.lanes.len() {
            self.close(index)?;
            let Some(lane) = self.lanes.get_mut(index) else { continue };
            let (pid, Units::Pes(elementary)) = (lane.pid, lane.units) else { continue };
            let at = |e: Error| e.at(format_args!("PID {pid:#x}"));
            let done =
                lane.advance(elementary, Ends::Segment, self.sample_aes, self.operation).map_err(at)?;
            done.iter().try_for_each(|pes| self.lay_out(&pes.unit, &pes.rewritten)).map_err(at)?;
        }
        self.write_ready()?;
        self.sink.write(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

impl Lane {
    /// Checks a packet's counter against the one before: §2.4.3.3.
    fn count(&mut self, packet: &Packet<'_>) -> Result<()> {
        let at = |e: Error| e.clause("ISO/IEC 13818-1 §2.4.3.3").at(format_args!("PID {:#x}", packet.pid()));
        if packet.transport_scrambling_control() != 0 {
            return Err(at(
                Error::input("the packet is scrambled, clear expected").hint("give the clear segments")
            ));
        }
        let counter = packet.continuity_counter();
        let before = self.continuity_counter.replace(counter);
        if packet.payload_unit_start() {
            return Ok(());
        }
        if self.open.packets.is_empty() {
            return Err(at(Error::unsupported("a PES packet or section that began before the segment")
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

    /// Takes in a whole PES packet.
    fn pes_packet(&mut self, unit: Unit, operation: Operation) -> Result<()> {
        let header = check_pes(&unit.bytes, operation)?;
        let (head, data) = unit.bytes.split_at_checked(header.data_position).unwrap_or((&unit.bytes, &[]));
        self.stream.extend(data);
        // One access unit or several frames begin in a PES packet; frames are counted where they are found.
        if self.units == Units::Pes(Elementary::Avc) {
            self.totals.samples += u64::from(!data.is_empty());
        }
        self.totals.bytes += data.len() as u64;
        let (rewritten, left) = (head.to_vec(), data.len());
        self.whole.push_back(Pes { unit, rewritten, left });
        Ok(())
    }

    /// Rewrites the NAL units or frames that are whole; returns the PES packets that are done with them.
    fn advance(
        &mut self,
        elementary: Elementary,
        ends: Ends,
        sample_aes: &SampleAes,
        operation: Operation,
    ) -> Result<Vec<Pes>> {
        let mut left = 0;
        let mut cuts: Vec<usize> = self
            .whole
            .iter()
            .map(|pes| {
                left += pes.left;
                left
            })
            .collect();
        let end = match elementary {
            Elementary::Avc => whole_nal_units(&self.stream, ends)?,
            _ => self.audio(elementary, ends, sample_aes, operation)?,
        };
        let behind = self.stream.split_off(end);
        let mut rewritten = std::mem::replace(&mut self.stream, behind);
        let lefts: Vec<usize> = cuts.iter().map(|cut| cut.saturating_sub(end)).collect();
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(end));
        if elementary == Elementary::Avc {
            rewritten = sample_aes.byte_stream(operation, &rewritten, &mut cuts);
        }
        let mut from = 0;
        let mut before = 0;
        for (pes, (cut, left)) in self.whole.iter_mut().zip(cuts.into_iter().zip(lefts)) {
            pes.rewritten.extend(rewritten.get(from..cut).unwrap_or_default());
            from = cut;
            pes.left = left - before;
            before = left;
        }
        let done = self.whole.iter().take_while(|pes| pes.left == 0).count();
        let mut done: Vec<Pes> = self.whole.drain(..done).collect();
        done.iter_mut().for_each(|pes| PesHeader::write_length(&mut pes.rewritten));
        Ok(done)
    }

    /// Rewrites the whole frames of the stream in place; returns where the last of them ends.
    fn audio(
        &mut self,
        elementary: Elementary,
        ends: Ends,
        sample_aes: &SampleAes,
        operation: Operation,
    ) -> Result<usize> {
        let mut end = 0;
        while let Some(frame) = elementary.audio_frame(&self.stream, end)? {
            sample_aes.audio_frame(operation, &mut self.stream, &frame);
            end = frame.range.end;
            self.totals.samples += 1;
        }
        if ends == Ends::Segment && end < self.stream.len() {
            return Err(Error::unsupported("the last frame of audio ends outside the segment")
                .clause("RFC 8216bis §3.1.1"));
        }
        Ok(end)
    }

    /// Whether the open unit says that it ends here.
    fn is_whole(&self) -> Result<bool> {
        match self.units {
            Units::Association | Units::Map => Ok(sections(&self.open.bytes)?.is_some()),
            Units::Pes(_) => Ok(match self.open.bytes.as_slice() {
                [_, _, _, _, high, low, rest @ ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    length != 0 && rest.len() >= length
                }
                _ => false,
            }),
        }
    }
}

/// Where the last NAL unit begins that may go on in the next PES packet; the end, when there is none.
fn whole_nal_units(stream: &[u8], ends: Ends) -> Result<usize> {
    let zeros = stream.iter().take_while(|byte| **byte == 0).count();
    if !stream.is_empty() && stream.len() > zeros && (zeros < 2 || stream.get(zeros) != Some(&1)) {
        return Err(Error::unsupported("the segment begins inside a NAL unit, a start code expected")
            .clause("RFC 8216bis §3.1.1")
            .hint("cut segments where access units begin"));
    }
    Ok(match ends {
        Ends::PesPacket => last_start_code(stream).unwrap_or(0),
        Ends::Segment => stream.len(),
    })
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

/// How many bytes of a unit of `length` bytes each of its packets gets, when it had another length before. There
/// are as many packets as before, or sixteen more or fewer, and so on; each gets a byte at least.
fn payload_sizes(packets: &[Packet<'_>], length: usize, length_before: usize) -> Result<Vec<usize>> {
    let capacity = |count: usize| -> usize {
        let added = count.saturating_sub(packets.len()) * PLAIN_CAPACITY;
        packets.iter().take(count).map(Packet::capacity).sum::<usize>() + added
    };
    let mut count = packets.len();
    while capacity(count) < length {
        count += COUNTER_PERIOD;
    }
    // Packets that were added when the unit grew go when it shrinks.
    while length < length_before
        && let Some(fewer) = count.checked_sub(COUNTER_PERIOD).filter(|fewer| *fewer > 0)
        && capacity(fewer) >= length
        && packets.iter().skip(fewer).all(Packet::is_plain)
    {
        count = fewer;
    }
    if length < count {
        return Err(Error::unsupported(format!("{length} bytes of a unit in {count} packets")));
    }
    let mut left = length;
    let sizes = (0..count).map(|index| {
        let most = packets.get(index).map_or(PLAIN_CAPACITY, Packet::capacity);
        let size = most.min(left - (count - index - 1).min(left));
        left -= size;
        size
    });
    Ok(sizes.collect())
}

/// What a packet without an adaptation field carries.
const PLAIN_CAPACITY: usize = PACKET_BYTES - 4;
