//! Sections in the packets of a `PID` — ISO/IEC 13818-1 §2.4.4.1, §2.4.4.2: pointer fields, stuffing, sections that go on
//! in the next packet.

use std::ops::Range;

use crate::base::{Error, Result};

/// In the place of a `table_id`: stuffing up to the packet's end, §2.4.4.1.
const STUFFING: u8 = 0xff;
/// Bytes before `section_length` counts.
const HEADER_BYTES: usize = 3;

/// Puts sections together from the payloads of packets.
#[derive(Clone, Debug, Default)]
pub struct SectionReader {
    bytes: Vec<u8>,
    /// The sections that are whole.
    found: Vec<Range<usize>>,
    /// Where the section begins that is not.
    open: usize,
}

impl SectionReader {
    /// Takes in the next payload and its `payload_unit_start_indicator`.
    ///
    /// # Errors
    /// When the payload goes on with a section whose start was not seen, or another begins before one has ended.
    pub fn push(&mut self, unit_start: bool, payload: &[u8]) -> Result<()> {
        let (tail, rest) = match payload.split_first() {
            Some((pointer_field, rest)) if unit_start => {
                rest.split_at_checked(usize::from(*pointer_field)).ok_or_else(|| {
                    Error::input(format!("pointer_field is {pointer_field}, {} bytes follow", rest.len()))
                        .clause("ISO/IEC 13818-1 §2.4.4.2")
                })?
            }
            _ => (payload, &[][..]),
        };
        if self.is_whole() && !tail.is_empty() {
            return Err(Error::unsupported("a section that began before the segment")
                .clause("ISO/IEC 13818-1 §2.4.4.2")
                .hint("cut segments before their program tables"));
        }
        self.extend(tail);
        if unit_start && !self.is_whole() {
            return Err(Error::input("a section is cut off: another begins before it has ended")
                .clause("ISO/IEC 13818-1 §2.4.4.2"));
        }
        self.extend(rest);
        Ok(())
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        while let Some([table_id, rest @ ..]) = self.bytes.get(self.open..) {
            if *table_id == STUFFING {
                self.bytes.truncate(self.open);
                return;
            }
            let [high, low, ..] = *rest else { return };
            let length = usize::from(u16::from_be_bytes([high & 0x0f, low]));
            let end = self.open + HEADER_BYTES + length;
            if self.bytes.len() < end {
                return;
            }
            self.found.push(self.open..end);
            self.open = end;
        }
    }

    /// Whether no section is open.
    pub fn is_whole(&self) -> bool {
        self.open == self.bytes.len()
    }

    /// The sections since the last call; one that is open is forgotten.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        let Self { bytes, found, .. } = std::mem::take(self);
        found.into_iter().filter_map(|range| Some(bytes.get(range)?.to_vec())).collect()
    }
}

/// The sections in the payloads of a `PID` from a `payload_unit_start_indicator` on, whose `pointer_field` is 0; `None`
/// while the last is not whole.
///
/// # Errors
/// As [`SectionReader::push`].
pub fn sections(unit: &[u8]) -> Result<Option<Vec<Vec<u8>>>> {
    let mut reader = SectionReader::default();
    reader.push(true, unit)?;
    let is_whole = reader.is_whole();
    Ok(Some(reader.take()).filter(|found| is_whole && !found.is_empty()))
}

/// Payloads for packets of these capacities, each of whole sections behind a `pointer_field` of 0. Packets that are
/// not needed say the last section again, so that their counters stay. `None` when a section does not fit a packet.
pub fn section_payloads(sections: &[Vec<u8>], capacities: &[usize]) -> Option<Vec<Vec<u8>>> {
    let mut payloads: Vec<Vec<u8>> = Vec::with_capacity(capacities.len());
    for section in sections {
        let capacity = payloads.len().checked_sub(1).and_then(|index| capacities.get(index)).copied();
        match payloads.last_mut().zip(capacity) {
            Some((last, capacity)) if last.len() + section.len() <= capacity => last.extend(section),
            _ => payloads.push(behind_pointer(section, capacities.get(payloads.len())?)?),
        }
    }
    while let Some(capacity) = capacities.get(payloads.len()) {
        payloads.push(behind_pointer(sections.last()?, capacity)?);
    }
    Some(payloads)
}

fn behind_pointer(section: &[u8], capacity: &usize) -> Option<Vec<u8>> {
    (section.len() < *capacity).then(|| [&[0], section].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(length: u8) -> Vec<u8> {
        let mut section = vec![2, 0xb0, length - 3];
        section.resize(usize::from(length), 7);
        section
    }

    #[test]
    fn sections_are_put_together_from_any_payloads() {
        let (a, b) = (section(100), section(40));
        let whole = [&[0], a.as_slice(), &b, &[0xff; 9]].concat();
        let mut reader = SectionReader::default();
        reader.push(true, &whole).unwrap();
        assert!(reader.is_whole());
        assert_eq!(reader.take(), [a.clone(), b.clone()]);
        for cut in 1..=100 {
            let tail = &a[cut - 1..];
            reader.push(true, &[&[0], &a[..cut - 1]].concat()).unwrap();
            assert_eq!(reader.is_whole(), cut == 1, "{cut}");
            if cut > 1 {
                let pointer_field = [u8::try_from(tail.len()).unwrap()];
                reader.push(true, &[&pointer_field, tail, &b[..20]].concat()).unwrap();
                reader.push(false, &b[20..]).unwrap();
                assert_eq!(reader.take(), [a.clone(), b.clone()]);
            }
        }
    }

    #[test]
    fn a_section_without_its_start_or_its_end_is_an_error() {
        let mut reader = SectionReader::default();
        assert!(reader.push(false, &[1]).is_err());
        assert!(reader.push(true, &[1, 0]).is_err());
        assert!(reader.push(true, &[9, 0]).is_err(), "pointer_field beyond the packet");
        reader.push(true, &[0, 2, 0xb0, 9]).unwrap();
        assert!(reader.push(true, &[0, 2, 0xb0, 9]).is_err());
    }

    #[test]
    fn each_packet_has_whole_sections_and_none_is_empty() {
        let (a, b) = (section(100), section(40));
        let sections = [a.clone(), b.clone()];
        let payload =
            |parts: &[&Vec<u8>]| [vec![0], parts.iter().copied().flatten().copied().collect()].concat();
        assert_eq!(section_payloads(&sections, &[184]), Some(vec![payload(&[&a, &b])]));
        assert_eq!(section_payloads(&sections, &[140, 50]), Some(vec![payload(&[&a]), payload(&[&b])]));
        let again = vec![payload(&[&a, &b]), payload(&[&b]), payload(&[&b])];
        assert_eq!(section_payloads(&sections, &[141, 41, 184]), Some(again));
        assert_eq!(section_payloads(&sections, &[140]), None);
        assert_eq!(section_payloads(&sections, &[100, 100]), None);
        assert_eq!(section_payloads(&[], &[184]), None);
    }
}
