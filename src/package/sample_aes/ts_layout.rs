//! How a unit is laid out in packets when its length changes — ISO/IEC 13818-1 §2.4.3.3.

use crate::base::{Error, Result};
use crate::ts::{PACKET_BYTES, Packet};

/// What a packet without an adaptation field carries.
const PLAIN_CAPACITY: usize = PACKET_BYTES - 4;
/// Packets after which `continuity_counter` repeats.
const COUNTER_PERIOD: usize = 16;

/// How many bytes of a unit of `length` bytes each of its packets gets, when it had another length before. There
/// are as many packets as before, or sixteen more or fewer, and so on; each gets a byte at least.
pub(in crate::package) fn payload_sizes(
    numbers: &[u64],
    packets: &[Packet<'_>],
    length: usize,
    length_before: usize,
) -> Result<Vec<usize>> {
    let capacity = |count: usize| -> usize {
        let added = count.saturating_sub(packets.len()) * PLAIN_CAPACITY;
        packets.iter().take(count).map(Packet::capacity).sum::<usize>() + added
    };
    let mut count = packets.len();
    while capacity(count) < length {
        count += COUNTER_PERIOD;
    }
    // Packets that were added when the unit grew go when it shrinks. Between others there may be packets without a
    // payload, which have the counter of the packet before them.
    let side_by_side = |from: usize| {
        let ends = numbers.get(from).zip(numbers.last());
        ends.is_some_and(|(first, last)| last - first + 1 == (numbers.len() - from) as u64)
    };
    while length < length_before
        && let Some(fewer) = count.checked_sub(COUNTER_PERIOD).filter(|fewer| *fewer > 0)
        && capacity(fewer) >= length
        && packets.iter().skip(fewer).all(Packet::is_plain)
        && side_by_side(fewer)
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
