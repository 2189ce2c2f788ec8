//! A transport stream segment rewritten in one pass — ISO/IEC 13818-1 §2.4.3; Apple, MPEG-2 Stream Encryption Format
//! for HTTP Live Streaming.
//!
//! Packets wait in a queue until the unit that they belong to is whole and rewritten, so that every packet leaves
//! in the order in which it came. Packets of other `PID`s leave as they are, and so does the counter of every packet:
//! a unit that no longer fits its packets gets sixteen more, after which `continuity_counter` is where it was.
//! So segments stay independent of each other: nothing that follows has to be renumbered.

use std::collections::VecDeque;
use std::ops::Range;

use crate::base::env::{Sink, Source};
use crate::base::{Error, Result};
use crate::codec::Evidence;
use crate::protect::{Operation, SampleAes};
use crate::ts::{PACKET_BYTES, PAT_PID, PROGRAM_MAP_TABLE, Packet, Packets};

use super::pes_stream::{Flush, PesStream, PesUnit};
use super::ts_clear::check_clear;
use super::ts_layout::payload_sizes;
use super::ts_program::{TsProgram, TsStream};
use super::ts_table::{Run, Table, with_sections};
use crate::package::fragmented::offsets::OffsetMap;
use crate::package::fragmented::protector::Totals;

/// Bytes of packets that wait for the end of a PES packet: many times the largest picture of any level in use.
pub const MAX_WAITING_BYTES: usize = 8 << 20;
/// Bytes of a payload without an adaptation field before it.
const PLAIN_BYTES: usize = PACKET_BYTES - 4;
/// Bytes written at a time.
const WRITE_BYTES: usize = 64 << 10;

/// What was protected of a stream.
#[derive(Clone, Debug)]
pub struct TsStreamTotals {
    /// The stream.
    pub stream: TsStream,
    /// Its access units or frames.
    pub totals: Totals,
    /// What is shown of the key by what was decrypted.
    pub evidence: Evidence,
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
    // There is a lane for each stream.
    let streams = program.streams.iter().zip(&rewriter.pes_streams).map(|(stream, pes_stream)| {
        TsStreamTotals { stream: stream.clone(), totals: pes_stream.totals, evidence: pes_stream.evidence }
    });
    Ok(TsSegment { streams: streams.collect(), offsets: rewriter.offsets })
}

/// What becomes of a packet in the queue.
struct Slot {
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
    association: Table,
    map: Table,
    pes_streams: Vec<PesStream>,
    queue: VecDeque<Slot>,
    /// The packets of the queue, one behind the other, behind those that left it: they are rewritten where they lie.
    packets: Vec<u8>,
    /// Where the queue's first packet begins in them.
    head: usize,
    /// The number of that packet.
    first: u64,
    /// Short runs of packets, gathered.
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
        let pes_streams = program.streams.iter().map(|stream| PesStream::new(stream.pid, stream.elementary));
        let pes_streams = pes_streams.collect();
        Self {
            sink,
            sample_aes,
            operation,
            program,
            association: Table::default(),
            map: Table::default(),
            pes_streams,
            queue: VecDeque::new(),
            packets: Vec::new(),
            head: 0,
            first: 0,
            out: Vec::new(),
            written: 0,
            offsets: OffsetMap::default(),
        }
    }

    fn packet(&mut self, position: u64, bytes: [u8; PACKET_BYTES]) -> Result<()> {
        let packet = Packet::parse(&bytes)?;
        let (pid, number) = (packet.pid(), position / PACKET_BYTES as u64);
        let at = |e: Error| e.at(format_args!("PID {pid:#x}"));
        let pes_stream = self.pes_streams.iter().position(|pes_stream| pes_stream.pid == pid);
        let is_table = [PAT_PID, self.program.map_pid].contains(&pid);
        if pes_stream.is_some() || is_table {
            check_readable(&packet).map_err(at)?;
        }
        let Some(payload) = packet.payload() else {
            pes_stream.map_or(Ok(()), |index| self.pes_stream(index).map(|of| of.pass(&packet)))?;
            return self.pass(bytes);
        };
        match pes_stream {
            Some(index) => self.stream_packet(index, number, &packet, bytes, payload)?,
            None if is_table => {
                self.push(&bytes, State::Waiting);
                self.table_packet(number, &packet, payload).map_err(at)?;
            }
            None => {
                if self.operation == Operation::Encrypt {
                    check_clear(&packet, payload)?;
                }
                return self.pass(bytes);
            }
        }
        if self.queue.len() * PACKET_BYTES > MAX_WAITING_BYTES {
            return Err(Error::unsupported(format!(
                "a PES packet that does not end within {MAX_WAITING_BYTES} bytes of the stream"
            )));
        }
        self.write_ready()
    }

    /// A packet that stays as it is.
    fn pass(&mut self, bytes: [u8; PACKET_BYTES]) -> Result<()> {
        self.push(&bytes, State::Ready);
        self.write_ready()
    }

    fn push(&mut self, packet: &[u8; PACKET_BYTES], state: State) {
        self.packets.extend(packet);
        self.queue.push_back(Slot { added: Vec::new(), state });
    }

    fn stream_packet(
        &mut self,
        index: usize,
        number: u64,
        packet: &Packet<'_>,
        bytes: [u8; PACKET_BYTES],
        payload: &[u8],
    ) -> Result<()> {
        if packet.payload_unit_start() {
            self.close(index)?;
        }
        let pes_stream = self.pes_stream(index)?;
        pes_stream.count(packet)?;
        pes_stream.open.packets.push(number);
        pes_stream.open.bytes.extend(payload);
        self.push(&bytes, State::Waiting);
        if self.pes_stream(index)?.is_whole() { self.close(index) } else { Ok(()) }
    }

    fn pes_stream(&mut self, index: usize) -> Result<&mut PesStream> {
        self.pes_streams.get_mut(index).ok_or_else(|| Error::internal(format!("no stream of number {index}")))
    }

    /// The open PES packet of a lane has ended.
    fn close(&mut self, index: usize) -> Result<()> {
        let (sample_aes, operation) = (self.sample_aes, self.operation);
        let pes_stream = self.pes_stream(index)?;
        if pes_stream.open.packets.is_empty() {
            return Ok(());
        }
        let unit = std::mem::take(&mut pes_stream.open);
        let pid = pes_stream.pid;
        let at = |e: Error| e.at(format_args!("PID {pid:#x}"));
        pes_stream.pes_packet(unit, operation).map_err(at)?;
        let done = pes_stream.advance(Flush::PesPacket, sample_aes, operation).map_err(at)?;
        done.iter().try_for_each(|pes| self.lay_out(&pes.unit, &pes.rewritten))
    }

    fn table_packet(&mut self, number: u64, packet: &Packet<'_>, payload: &[u8]) -> Result<()> {
        if packet.pid() == PAT_PID {
            let Some(run) = self.association.packet(number, packet, payload)? else { return Ok(()) };
            run.sections.iter().try_for_each(|section| self.program.check_association(section))?;
            return self.ready(&run.packets);
        }
        let Some(run) = self.map.packet(number, packet, payload)? else { return Ok(()) };
        self.rewrite_map(run)
    }

    fn rewrite_map(&mut self, mut run: Run) -> Result<()> {
        let mut has_map = false;
        for section in run.sections.iter_mut().filter(|s| s.first() == Some(&PROGRAM_MAP_TABLE)) {
            *section = self.program.edit_map(section, self.operation)?;
            has_map = true;
        }
        if has_map {
            let old = run.packets.iter().map(|number| Ok(*self.packet_mut(*number)?));
            let old: Vec<[u8; PACKET_BYTES]> = old.collect::<Result<_>>()?;
            let views = old.iter().map(Packet::parse).collect::<Result<Vec<_>>>()?;
            for (number, packet) in run.packets.iter().zip(with_sections(&views, &run.sections)?) {
                *self.packet_mut(*number)? = packet;
            }
        }
        self.ready(&run.packets)
    }

    /// The place in the queue of the packet of this number.
    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// The packet of this number, which waits.
    fn packet_mut(&mut self, number: u64) -> Result<&mut [u8; PACKET_BYTES]> {
        let start = self.place(number).map(|place| self.head + place * PACKET_BYTES);
        let packet = start.and_then(|start| self.packets.get_mut(start..)?.first_chunk_mut());
        packet.ok_or_else(|| waits_no_more(number))
    }

    /// What becomes of it.
    fn slot(&mut self, number: u64) -> Result<&mut Slot> {
        let slot = self.place(number).and_then(|place| self.queue.get_mut(place));
        slot.ok_or_else(|| waits_no_more(number))
    }

    fn ready(&mut self, packets: &[u64]) -> Result<()> {
        for number in packets {
            self.slot(*number)?.state = State::Ready;
        }
        Ok(())
    }

    /// Puts `bytes`, which are as many as before, into the packets of a unit.
    fn lay_out_alike(&mut self, unit: &PesUnit, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        for number in &unit.packets {
            let packet = self.packet_mut(*number)?;
            let view = Packet::parse(packet)?;
            let size = view.payload().map_or(0, <[u8]>::len);
            let (payload, behind) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            rest = behind;
            match packet.last_chunk_mut::<PLAIN_BYTES>() {
                Some(place) if size == PLAIN_BYTES && payload.len() == PLAIN_BYTES => {
                    place.copy_from_slice(payload)
                }
                _ => {
                    let old = *packet;
                    *packet = Packet::parse(&old)?.with_payload(payload);
                }
            }
            self.slot(*number)?.state = State::Ready;
        }
        match rest {
            [] => Ok(()),
            rest => Err(left_over(rest)),
        }
    }

    /// Puts `bytes` into the packets of a unit.
    fn lay_out(&mut self, unit: &PesUnit, bytes: &[u8]) -> Result<()> {
        if bytes.len() == unit.bytes.len() {
            return self.lay_out_alike(unit, bytes);
        }
        let old = unit.packets.iter().map(|number| Ok(*self.packet_mut(*number)?));
        let old: Vec<[u8; PACKET_BYTES]> = old.collect::<Result<_>>()?;
        let views = old.iter().map(Packet::parse).collect::<Result<Vec<_>>>()?;
        let sizes = payload_sizes(&unit.packets, &views, bytes.len(), unit.bytes.len())?;
        let mut rest = bytes;
        let mut last = None;
        for (index, size) in sizes.iter().enumerate() {
            let (payload, behind) = rest.split_at_checked(*size).unwrap_or((rest, &[]));
            rest = behind;
            if let (Some(number), Some(view)) = (unit.packets.get(index), views.get(index)) {
                last = Some((*number, *view, view.continuity_counter()));
                *self.packet_mut(*number)? = view.with_payload(payload);
                self.slot(*number)?.state = State::Ready;
            } else if let Some((number, view, continuity_counter)) = &mut last {
                *continuity_counter = (*continuity_counter + 1) & 0x0f;
                self.slot(*number)?.added.extend(view.continued(*continuity_counter, payload));
            }
        }
        if !rest.is_empty() {
            return Err(left_over(rest));
        }
        for number in unit.packets.iter().skip(sizes.len()) {
            self.slot(*number)?.state = State::Dropped;
        }
        Ok(())
    }

    fn write_ready(&mut self) -> Result<()> {
        let mut run = self.head;
        while self.queue.front().is_some_and(|slot| slot.state != State::Waiting) {
            let Some(slot) = self.queue.pop_front() else { break };
            self.offsets.kept(self.first * PACKET_BYTES as u64, self.written);
            self.first += 1;
            let end = self.head + PACKET_BYTES;
            match slot.state {
                State::Dropped => {
                    self.write(run..self.head)?;
                    run = end;
                }
                _ => self.written += PACKET_BYTES as u64,
            }
            self.head = end;
            if !slot.added.is_empty() {
                self.write(run..end)?;
                run = end;
                self.written += slot.added.len() as u64;
                self.out.extend(slot.added);
            }
        }
        self.write(run..self.head)?;
        // Each byte is moved once at most, when more has left than waits.
        if self.head >= WRITE_BYTES.max(self.packets.len() / 2) || self.head == self.packets.len() {
            self.packets.drain(..self.head);
            self.head = 0;
        }
        Ok(())
    }

    /// Writes packets that lie side by side: long runs as they lie, short ones gathered.
    fn write(&mut self, run: Range<usize>) -> Result<()> {
        let packets = self.packets.get(run).unwrap_or_default();
        if packets.len() < WRITE_BYTES {
            self.out.extend(packets);
        }
        if self.out.len() >= WRITE_BYTES || packets.len() >= WRITE_BYTES {
            self.sink.write(&self.out)?;
            self.out.clear();
        }
        if packets.len() >= WRITE_BYTES { self.sink.write(packets) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<()> {
        self.association.finish().map_err(|e| e.at(format_args!("PID {PAT_PID:#x}")))?;
        self.map.finish().map_err(|e| e.at(format_args!("PID {:#x}", self.program.map_pid)))?;
        for index in 0..self.pes_streams.len() {
            self.close(index)?;
            let (sample_aes, operation) = (self.sample_aes, self.operation);
            let pes_stream = self.pes_stream(index)?;
            let pid = pes_stream.pid;
            let at = |e: Error| e.at(format_args!("PID {pid:#x}"));
            let done = pes_stream.advance(Flush::Segment, sample_aes, operation).map_err(at)?;
            done.iter().try_for_each(|pes| self.lay_out(&pes.unit, &pes.rewritten)).map_err(at)?;
        }
        self.write_ready()?;
        self.offsets.kept(self.first * PACKET_BYTES as u64, self.written);
        self.sink.write(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

fn waits_no_more(number: u64) -> Error {
    Error::internal(format!("packet {number} does not wait any more"))
}

fn left_over(rest: &[u8]) -> Error {
    Error::internal(format!("{} bytes of a PES packet are in no packet", rest.len()))
}

/// Refuses a packet of a stream or table that is rewritten when its payload cannot be told.
fn check_readable(packet: &Packet<'_>) -> Result<()> {
    if packet.transport_scrambling_control() != 0 {
        return Err(Error::input("the packet is scrambled, clear expected")
            .clause("ISO/IEC 13818-1 §2.4.3.3")
            .hint("give the clear segments"));
    }
    if packet.is_reserved() {
        return Err(
            Error::input("adaptation_field_control is 0, 1 to 3 expected").clause("ISO/IEC 13818-1 §2.4.3.3")
        );
    }
    Ok(())
}
