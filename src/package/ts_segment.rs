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
use crate::protect::{Operation, SampleAes};
use crate::ts::{PACKET_BYTES, PAT_PID, PROGRAM_MAP_TABLE, Packet, Packets, Pat, sections};

use super::offsets::OffsetMap;
use super::protect::Totals;
use super::ts_lane::{Ends, Lane, Unit, Units};
use super::ts_program::{TsProgram, TsStream};

/// Bytes of packets that wait for the end of a PES packet: many times the largest picture of any level in use.
pub const MAX_WAITING_BYTES: usize = 8 << 20;
/// Packets after which `continuity_counter` repeats: §2.4.3.3.
const COUNTER_PERIOD: usize = 16;
/// Bytes written at a time.
const WRITE_BYTES: usize = 64 << 10;

/// What was protected of a stream.
#[derive(Clone, Debug)]
pub struct TsStreamTotals {
    /// The stream.
    pub stream: TsStream,
    /// Its access units or frames.
    pub totals: Totals,
}

/// A segment that was rewritten.
#[derive(Clone, Debug)]
pub struct TsSegment {
    /// What was protected of each stream.
    pub streams: Vec<TsStreamTotals>,
    /// Where its packets went.
    pub offsets: OffsetMap,
}

/// Encrypts the streams of a segment and returns what was encrypted.
///
/// # Errors
/// When the segment is wrong or cannot be protected; then what was written so far is worth nothing.
pub fn protect_ts_segment(
    source: &dyn Source,
    sink: &mut dyn Sink,
    sample_aes: &SampleAes,
) -> Result<TsSegment> {
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
) -> Result<TsSegment> {
    rewrite(source, sink, sample_aes, Operation::Decrypt)
}

fn rewrite(
    source: &dyn Source,
    sink: &mut dyn Sink,
    sample_aes: &SampleAes,
    operation: Operation,
) -> Result<TsSegment> {
    let program = TsProgram::read(source, operation)?;
    let mut rewriter = Rewriter::new(sink, sample_aes, operation, &program);
    let mut packets = Packets::new(source)?;
    while let Some((position, packet)) = packets.next_packet()? {
        rewriter.packet(position, packet).map_err(|e| e.at(format_args!("packet at byte {position}")))?;
    }
    rewriter.finish()?;
    let streams = rewriter.lanes.iter().filter_map(|lane| {
        let stream = program.streams.iter().find(|stream| stream.pid == lane.pid)?;
        Some(TsStreamTotals { stream: stream.clone(), totals: lane.totals })
    });
    Ok(TsSegment { streams: streams.collect(), offsets: rewriter.offsets })
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
    /// Bytes that left the queue.
    written: u64,
    offsets: OffsetMap,
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
        let lanes = tables.into_iter().chain(streams).map(|(pid, units)| Lane::new(pid, units));
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
            written: 0,
            offsets: OffsetMap::default(),
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
            self.offsets.kept(self.first * PACKET_BYTES as u64, self.written);
            self.first += 1;
            if slot.state == State::Ready {
                self.out.extend(slot.packet);
                self.written += PACKET_BYTES as u64;
            }
            self.written += slot.added.len() as u64;
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
        self.offsets.kept(self.first * PACKET_BYTES as u64, self.written);
        self.sink.write(&self.out)?;
        self.out.clear();
        Ok(())
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
