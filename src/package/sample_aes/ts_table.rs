//! The packets of a program table while it is read and rewritten — ISO/IEC 13818-1 §2.4.4; Apple, MPEG-2 Stream
//! Encryption Format for HTTP Live Streaming §3.

use crate::base::{Error, Result};
use crate::ts::{PACKET_BYTES, Packet, SectionReader, section_payloads};

/// A `PID` of sections.
#[derive(Default)]
pub(in crate::package) struct Table {
    reader: SectionReader,
    /// Numbers of the packets since no section was open.
    packets: Vec<u64>,
}

/// Packets that have whole sections.
pub(in crate::package) struct Run {
    /// Their numbers.
    pub(in crate::package) packets: Vec<u64>,
    pub(in crate::package) sections: Vec<Vec<u8>>,
}

impl Table {
    /// Takes in a packet; returns what is whole then.
    pub(in crate::package) fn packet(
        &mut self,
        number: u64,
        packet: &Packet<'_>,
        payload: &[u8],
    ) -> Result<Option<Run>> {
        self.reader.push(packet.payload_unit_start(), payload)?;
        self.packets.push(number);
        if !self.reader.is_whole() {
            return Ok(None);
        }
        Ok(Some(Run { packets: std::mem::take(&mut self.packets), sections: self.reader.take() }))
    }

    /// Checks that no section goes on behind the segment.
    pub(in crate::package) fn finish(&self) -> Result<()> {
        match self.packets.is_empty() {
            true => Ok(()),
            false => Err(Error::input("the last section is cut off").clause("ISO/IEC 13818-1 §2.4.4.1")),
        }
    }
}

/// Packets with these sections instead of their own.
///
/// # Errors
/// When a section does not fit a packet. A section of ISO/IEC 13818-1 may go on in the next packet; the map of
/// encrypted streams must not.
pub(in crate::package) fn with_sections(
    packets: &[Packet<'_>],
    sections: &[Vec<u8>],
) -> Result<Vec<[u8; PACKET_BYTES]>> {
    let capacities: Vec<usize> = packets.iter().map(Packet::capacity).collect();
    let payloads = section_payloads(sections, &capacities).ok_or_else(|| {
        let lengths: Vec<usize> = sections.iter().map(Vec::len).collect();
        Error::unsupported(format!(
            "sections of {lengths:?} bytes with the program map of encrypted streams, which must lie in one packet, do \
             not fit packets of {capacities:?}"
        ))
        .clause("MPEG-2 Stream Encryption Format for HTTP Live Streaming §3")
        .hint("leave out streams or descriptors, and repeat the map in a packet of its own")
    })?;
    let filled = packets.iter().zip(payloads).map(|(packet, mut payload)| {
        // §2.4.4.1: a table's packets are filled up with 0xff behind their last section.
        let length = packet.payload().map_or(0, <[u8]>::len);
        payload.resize(payload.len().max(length), 0xff);
        packet.with_unit(&payload)
    });
    Ok(filled.collect())
}
