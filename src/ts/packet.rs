//! Transport packets — ISO/IEC 13818-1 §2.4.3.2 to §2.4.3.5: header, adaptation field, payload.

use std::ops::Range;

use crate::base::env::Source;
use crate::base::{Error, Result};

/// Bytes of a transport packet: §2.4.3.2.
pub const PACKET_BYTES: usize = 188;
/// The first byte of every packet.
pub const SYNC_BYTE: u8 = 0x47;
/// Packets read at a time.
const PACKETS_AT_A_TIME: usize = 512;
/// Bytes before the adaptation field or the payload.
const HEADER_BYTES: usize = 4;
/// What an adaptation field and a payload have together.
const BODY_BYTES: usize = PACKET_BYTES - HEADER_BYTES;
/// Flags of an adaptation field that announce further fields: PCR, OPCR, splicing point, private data, extension.
const OPTIONAL_FIELDS: u8 = 0x1f;
/// Where `program_clock_reference` is in a packet that has one.
const CLOCK_BYTES: Range<usize> = 6..12;

/// A view of one packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    bytes: &'a [u8; PACKET_BYTES],
    /// Where the payload begins; 188 without one.
    payload_start: usize,
}

impl<'a> Packet<'a> {
    /// Looks at a packet.
    ///
    /// # Errors
    /// When the sync byte, the error indicator or the adaptation field is wrong.
    pub fn parse(bytes: &'a [u8; PACKET_BYTES]) -> Result<Self> {
        let [sync_byte, second, _, fourth, adaptation_field_length, ..] = *bytes;
        if sync_byte != SYNC_BYTE {
            return Err(Error::input(format!("sync_byte is {sync_byte:#04x}, {SYNC_BYTE:#04x} expected"))
                .clause("ISO/IEC 13818-1 §2.4.3.3"));
        }
        if second & 0x80 != 0 {
            return Err(Error::input("transport_error_indicator is 1: the packet was damaged on its way")
                .clause("ISO/IEC 13818-1 §2.4.3.3"));
        }
        let length = usize::from(adaptation_field_length);
        let payload_start = match fourth & 0x30 {
            0x10 => HEADER_BYTES,
            0x20 if length < BODY_BYTES => PACKET_BYTES,
            // With a payload the field has at most 182 bytes; one of 183 leaves none, as encoders write for padding.
            0x30 if length < BODY_BYTES => HEADER_BYTES + 1 + length,
            0x00 => PACKET_BYTES,
            _ => {
                return Err(Error::input(format!(
                    "adaptation_field_length is {length}, the packet ends before"
                ))
                .clause("ISO/IEC 13818-1 §2.4.3.5"));
            }
        };
        Ok(Self { bytes, payload_start })
    }

    /// All its bytes.
    pub fn bytes(&self) -> &'a [u8; PACKET_BYTES] {
        self.bytes
    }

    /// `PID`.
    pub fn pid(&self) -> u16 {
        let [_, second, third, ..] = *self.bytes;
        u16::from_be_bytes([second & 0x1f, third])
    }

    /// `payload_unit_start_indicator`.
    pub fn payload_unit_start(&self) -> bool {
        let [_, second, ..] = *self.bytes;
        second & 0x40 != 0
    }

    /// `transport_scrambling_control`: 0 for a clear payload.
    pub fn transport_scrambling_control(&self) -> u8 {
        let [_, _, _, fourth, ..] = *self.bytes;
        fourth >> 6
    }

    /// `transport_priority`.
    pub fn transport_priority(&self) -> bool {
        let [_, second, ..] = *self.bytes;
        second & 0x20 != 0
    }

    /// `continuity_counter`: one more with each packet of the `PID` that has a payload.
    pub fn continuity_counter(&self) -> u8 {
        let [_, _, _, fourth, ..] = *self.bytes;
        fourth & 0x0f
    }

    /// Whether `adaptation_field_control` is 0, which is reserved: §2.4.3.4 lets decoders pass over the packet.
    pub fn is_reserved(&self) -> bool {
        let [_, _, _, fourth, ..] = *self.bytes;
        fourth & 0x30 == 0
    }

    /// The adaptation field behind its length, if there is one.
    pub fn adaptation_field(&self) -> Option<&'a [u8]> {
        let [_, _, _, fourth, length, ..] = *self.bytes;
        let start = HEADER_BYTES + 1;
        (fourth & 0x20 != 0).then(|| self.bytes.get(start..start + usize::from(length)).unwrap_or_default())
    }

    /// Whether the header announces a payload for which the adaptation field leaves no room.
    pub fn lacks_its_payload(&self) -> bool {
        let [_, _, _, fourth, ..] = *self.bytes;
        fourth & 0x10 != 0 && self.payload().is_none()
    }

    /// The payload; none in a packet of adaptation field alone.
    pub fn payload(&self) -> Option<&'a [u8]> {
        self.bytes.get(self.payload_start..).filter(|payload| !payload.is_empty())
    }

    /// `program_clock_reference` in units of 27 MHz: §2.4.3.5.
    pub fn pcr(&self) -> Option<u64> {
        let [flags, a, b, c, d, e, f, ..] = *self.adaptation_field()? else { return None };
        let field = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        (flags & 0x10 != 0).then_some((field >> 15) * 300 + (field & 0x1ff))
    }

    /// `discontinuity_indicator`: counters and clocks begin anew here.
    pub fn discontinuity(&self) -> bool {
        self.adaptation_field().and_then(<[u8]>::first).is_some_and(|flags| flags & 0x80 != 0)
    }

    /// Whether it is this packet sent once more: §2.4.3.3, equal in all but the clock, which has to be right in both.
    pub fn repeats(&self, before: &[u8; PACKET_BYTES]) -> bool {
        let clock = if self.pcr().is_some() { CLOCK_BYTES } else { 0..0 };
        let mut pairs = self.bytes.iter().zip(before).enumerate();
        pairs.all(|(at, (byte, was))| byte == was || clock.contains(&at))
    }

    /// The part of the adaptation field that is more than stuffing: flags and the fields they announce.
    pub fn essential_field(&self) -> &'a [u8] {
        let Some(field @ [flags, ..]) = self.adaptation_field() else { return &[] };
        if *flags == 0 {
            return &[];
        }
        // The length of private data and of the extension is in them, so that the flags tell the whole length only
        // when neither is there: with them, nothing of the field is taken for stuffing.
        if flags & 0x03 != 0 {
            return field;
        }
        let optional = flags & OPTIONAL_FIELDS;
        let clocks = if optional & 0x10 != 0 { 6 } else { 0 } + if optional & 0x08 != 0 { 6 } else { 0 };
        let length = 1 + clocks + usize::from(optional & 0x04 != 0);
        field.get(..length).unwrap_or(field)
    }

    /// Whether the packet says nothing besides its payload, so that it may go when the payload goes.
    pub fn is_plain(&self) -> bool {
        self.essential_field().is_empty()
    }

    /// The longest payload that this packet can be given.
    pub fn capacity(&self) -> usize {
        match self.essential_field().len() {
            0 => BODY_BYTES,
            length => BODY_BYTES.saturating_sub(length + 1),
        }
    }

    /// This packet with another payload of at least one byte and at most [`Packet::capacity`]: the adaptation
    /// field is stuffed or loses stuffing, all else stays.
    pub fn with_payload(&self, payload: &[u8]) -> [u8; PACKET_BYTES] {
        let mut packet = *self.bytes;
        let [_, _, _, control, ..] = &mut packet;
        let field_bytes = BODY_BYTES.saturating_sub(payload.len());
        *control = (*control & 0xcf) | if field_bytes == 0 { 0x10 } else { 0x30 };
        let essential = match self.essential_field() {
            // A field of more than its length has flags at least.
            [] if field_bytes > 1 => &[0],
            essential => essential,
        };
        // §2.4.3.5: `stuffing_byte` is 0xff; the first byte of the field is the length of the rest.
        let Some((_, body)) = packet.split_at_mut_checked(HEADER_BYTES) else { return packet };
        let (field, place) = body.split_at_mut_checked(field_bytes).unwrap_or_default();
        place.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
        if let [length, rest @ ..] = field {
            *length = u8::try_from(rest.len()).unwrap_or(u8::MAX);
            rest.fill(0xff);
            rest.iter_mut().zip(essential).for_each(|(to, from)| *to = *from);
        }
        packet
    }

    /// This packet as one in which a unit begins, with the payload of [`Packet::with_payload`].
    pub fn with_unit(&self, payload: &[u8]) -> [u8; PACKET_BYTES] {
        let mut packet = self.with_payload(payload);
        let [_, second, ..] = &mut packet;
        *second |= 0x40;
        packet
    }

    /// A further packet behind this one: the same `PID`, the given counter and payload, no adaptation field but
    /// stuffing.
    pub fn continued(&self, continuity_counter: u8, payload: &[u8]) -> [u8; PACKET_BYTES] {
        let mut template = [0xff; PACKET_BYTES];
        template.iter_mut().zip(self.bytes).take(HEADER_BYTES).for_each(|(to, from)| *to = *from);
        let [_, second, _, control, ..] = &mut template;
        // Neither a unit's start nor of priority.
        *second &= 0x9f;
        *control = (*control & 0xc0) | 0x10 | (continuity_counter & 0x0f);
        Packet { bytes: &template, payload_start: HEADER_BYTES }.with_payload(payload)
    }
}

/// Reads a stream packet by packet.
pub struct Packets<'a> {
    source: &'a dyn Source,
    buffer: Vec<u8>,
    /// Where in the source the buffer begins.
    buffer_position: u64,
    /// Where the next packet is in the source.
    position: u64,
}

impl<'a> Packets<'a> {
    /// A reader at the first packet.
    ///
    /// # Errors
    /// When packets are not of 188 bytes.
    pub fn new(source: &'a dyn Source) -> Result<Self> {
        check_packet_size(source)?;
        Ok(Self { source, buffer: Vec::new(), buffer_position: 0, position: 0 })
    }

    /// The next packet and its position; none at the end.
    ///
    /// # Errors
    /// When the source cannot be read or ends inside a packet.
    pub fn next_packet(&mut self) -> Result<Option<(u64, [u8; PACKET_BYTES])>> {
        let position = self.position;
        let left = self.source.len().saturating_sub(position);
        if left == 0 {
            return Ok(None);
        }
        if left < PACKET_BYTES as u64 {
            return Err(Error::input(format!("{left} bytes behind the last packet of {PACKET_BYTES}"))
                .clause("ISO/IEC 13818-1 §2.4.3.2")
                .at_byte(position));
        }
        let buffered = |reader: &Self| {
            let start = usize::try_from(position.checked_sub(reader.buffer_position)?).ok()?;
            reader.buffer.get(start..)?.first_chunk::<PACKET_BYTES>().copied()
        };
        let packet = match buffered(self) {
            Some(packet) => packet,
            None => {
                let most = left / PACKET_BYTES as u64;
                let packets = usize::try_from(most).unwrap_or(usize::MAX).min(PACKETS_AT_A_TIME);
                self.buffer.resize(packets * PACKET_BYTES, 0);
                self.source.read_at(position, &mut self.buffer)?;
                self.buffer_position = position;
                buffered(self).unwrap_or([0; PACKET_BYTES])
            }
        };
        self.position += PACKET_BYTES as u64;
        Ok(Some((position, packet)))
    }
}

/// Refuses streams whose packets have a time stamp before them or error correction behind them.
fn check_packet_size(source: &dyn Source) -> Result<()> {
    let mut start = [0; 3 * 208];
    let length = usize::try_from(source.len()).unwrap_or(usize::MAX).min(start.len());
    let Some(start) = start.get_mut(..length) else { return Ok(()) };
    source.read_at(0, start)?;
    let in_step = |first: usize, step: usize| {
        let mut found = (0..3).map(|index| start.get(first + index * step));
        length > first + 2 * step && found.all(|byte| byte == Some(&SYNC_BYTE))
    };
    let (size, what) = if in_step(0, PACKET_BYTES) {
        return Ok(());
    } else if in_step(4, 192) {
        (192, "a time stamp before each")
    } else if in_step(0, 204) {
        (204, "error correction behind each")
    } else {
        return Ok(());
    };
    Err(Error::unsupported(format!("packets of {size} bytes, with {what}; {PACKET_BYTES} expected"))
        .clause("ISO/IEC 13818-1 §2.4.3.2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(field: Option<&[u8]>) -> [u8; PACKET_BYTES] {
        let mut bytes = [0xab; PACKET_BYTES];
        bytes[..4].copy_from_slice(&[0x47, 0x41, 0x00, 0x1e]);
        if let Some(field) = field {
            bytes[3] |= 0x30;
            bytes[4] = u8::try_from(field.len()).unwrap();
            bytes[5..5 + field.len()].copy_from_slice(field);
        }
        bytes
    }

    #[test]
    fn a_packet_given_its_own_payload_is_the_same_packet() {
        let pcr = [0x50, 0, 0, 0, 1, 0x7e, 3, 0xff, 0xff];
        for field in [None, Some(&[][..]), Some(&[0][..]), Some(&[0, 0xff, 0xff][..]), Some(&pcr[..])] {
            let bytes = packet(field);
            let view = Packet::parse(&bytes).unwrap();
            assert_eq!(view.with_payload(view.payload().unwrap()), bytes, "{field:?}");
        }
    }

    #[test]
    fn a_field_that_fills_the_packet_leaves_no_payload_whatever_the_header_announces() {
        let bytes = packet(Some(&[0; 183]));
        let view = Packet::parse(&bytes).unwrap();
        assert_eq!((view.payload(), view.lacks_its_payload(), view.pid()), (None, true, 0x100));
        let mut longer = bytes;
        longer[4] = 184;
        assert!(Packet::parse(&longer).is_err());
        let whole = packet(Some(&[0]));
        assert!(!Packet::parse(&whole).unwrap().lacks_its_payload());
    }

    #[test]
    fn a_payload_of_any_size_up_to_the_capacity_fits_and_the_clock_stays() {
        let bytes = packet(Some(&[0x50, 0, 0, 0, 1, 0x7e, 3, 0xff, 0xff]));
        let view = Packet::parse(&bytes).unwrap();
        assert_eq!((view.pcr(), view.pid(), view.continuity_counter()), (Some(2 * 300 + 3), 0x100, 14));
        assert_eq!(view.capacity(), 176);
        for size in 1..=view.capacity() {
            let made = view.with_payload(&vec![7; size]);
            let made = Packet::parse(&made).unwrap();
            assert_eq!((made.pcr(), made.payload().unwrap()), (view.pcr(), &vec![7; size][..]));
        }
        for size in 1..=184 {
            let made = view.continued(15, &vec![7; size]);
            let made = Packet::parse(&made).unwrap();
            assert_eq!(
                (made.continuity_counter(), made.payload_unit_start(), made.is_plain()),
                (15, false, true)
            );
            assert_eq!(made.payload().unwrap(), vec![7; size]);
        }
    }

    #[test]
    fn other_packet_sizes_are_refused_by_name() {
        let stamped: Vec<u8> = [[0; 4].as_slice(), &packet(None)].concat().repeat(4);
        let error = Packets::new(&stamped).err().unwrap().to_string();
        assert!(
            error.starts_with("packets of 192 bytes, with a time stamp before each; 188 expected"),
            "{error}"
        );
        let corrected: Vec<u8> = [packet(None).as_slice(), &[0; 16]].concat().repeat(4);
        let error = Packets::new(&corrected).err().unwrap().to_string();
        assert!(error.starts_with("packets of 204 bytes"), "{error}");
    }

    #[test]
    fn bytes_behind_the_last_packet_are_an_error_with_their_place() {
        let stream = [packet(None).as_slice(), &[0x47; 5]].concat();
        let mut packets = Packets::new(&stream).unwrap();
        assert!(packets.next_packet().unwrap().is_some());
        let error = packets.next_packet().unwrap_err().to_string();
        assert!(error.starts_with("byte 188: 5 bytes behind the last packet of 188"), "{error}");
    }
}
