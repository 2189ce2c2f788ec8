//! NAL units in a byte stream — ITU-T H.264 annex B, and emulation prevention, §7.3.1 and §7.4.1.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr_iter};

/// Where the NAL units of a byte stream lie, without start codes and zero bytes around them.
pub fn nal_units(stream: &[u8]) -> NalUnits<'_> {
    NalUnits { stream, next: start_code(stream, 0) }
}

/// The NAL units of a byte stream, in order.
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    stream: &'a [u8],
    /// Where the next start code begins.
    next: Option<usize>,
}

impl Iterator for NalUnits<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next? + 3;
        self.next = start_code(self.stream, start);
        let before_next = self.next.unwrap_or(self.stream.len());
        let unit = self.stream.get(start..before_next).unwrap_or_default();
        // §7.4.1: the last byte of a NAL unit is not 0, so that zeros there belong to the byte stream.
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(start..start + length)
    }
}

/// Where the next start_code_prefix_one_3bytes begins, from the byte `from` on.
pub(super) fn start_code(stream: &[u8], from: usize) -> Option<usize> {
    let stream_from = stream.get(from..)?;
    let mut ones = memchr_iter(1, stream_from).filter_map(|one| one.checked_sub(2));
    ones.find(|start| is_start_code(stream_from, *start)).map(|start| from + start)
}

/// Whether a start code whose last byte is 1 begins here.
fn is_start_code(stream: &[u8], start: usize) -> bool {
    stream.get(start..start + 2) == Some(&[0, 0])
}

/// Appends a NAL unit with emulation_prevention_three_byte wherever two zero bytes are followed by 0 to 3, and
/// behind a last byte of 0: §7.4.1.
pub fn escape(nal_unit: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    let mut from = 0;
    while let Some(rest) = nal_unit.get(from..)
        && let Some(zero) = memchr(0, rest)
    {
        match rest.get(zero + 1..) {
            Some([0, third, ..]) => {
                from += zero + 2;
                if *third <= 3 {
                    out.extend(nal_unit.get(copied..from).unwrap_or_default());
                    out.push(3);
                    copied = from;
                }
            }
            _ => from += zero + 1,
        }
    }
    out.extend(nal_unit.get(copied..).unwrap_or_default());
    if nal_unit.last() == Some(&0) {
        out.push(3);
    }
}

/// Whether [`escape`] adds anything to a NAL unit.
pub fn needs_escape(nal_unit: &[u8]) -> bool {
    let zeros = |from| memchr(0, nal_unit.get(from..)?).map(|zero| from + zero);
    let mut next = zeros(0);
    while let Some(zero) = next {
        if let Some([0, third, ..]) = nal_unit.get(zero + 1..)
            && *third <= 3
        {
            return true;
        }
        next = zeros(zero + 1);
    }
    nal_unit.last() == Some(&0)
}

/// The bytes of a NAL unit before which [`escape`] puts an emulation_prevention_three_byte.
pub fn escaped(nal_unit: &[u8]) -> impl Iterator<Item = usize> {
    let mut zeros = 0;
    nal_unit.iter().enumerate().filter_map(move |(at, byte)| {
        let is_escaped = zeros == 2 && *byte <= 3;
        if is_escaped {
            zeros = 0;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        is_escaped.then_some(at)
    })
}

/// The bytes of a NAL unit that [`unescape`] leaves out.
pub fn preventions(nal_unit: &[u8]) -> impl Iterator<Item = usize> {
    let mut zeros = 0;
    nal_unit.iter().enumerate().filter_map(move |(at, byte)| {
        let is_prevention = zeros == 2 && *byte == 3;
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        is_prevention.then_some(at)
    })
}

/// Where the last start code of a stream begins, behind its first byte.
pub fn last_start_code(stream: &[u8]) -> Option<usize> {
    let mut ones = memrchr_iter(1, stream).filter_map(|one| one.checked_sub(2));
    ones.find(|start| is_start_code(stream, *start)).filter(|position| *position > 0)
}

/// A NAL unit without its emulation_prevention_three_bytes: §7.3.1. The inverse of [`escape`].
pub fn unescape(nal_unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal_unit.len());
    let mut copied = 0;
    for three in memchr_iter(3, nal_unit) {
        let before = nal_unit.get(copied..three).unwrap_or_default();
        if before.iter().rev().take(3).take_while(|byte| **byte == 0).count() == 2 {
            out.extend(before);
            copied = three + 1;
        }
    }
    out.extend(nal_unit.get(copied..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nal_units_lie_between_start_codes_without_zeros_around_them() {
        let stream = [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 0, 1, 0x65, 1, 2, 3, 0, 0, 1, 0, 0, 1, 0x41];
        assert_eq!(nal_units(&stream).collect::<Vec<_>>(), [4..6, 11..15, 18..18, 21..22]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    }

    proptest! {
        #[test]
        fn unescaping_undoes_escaping_and_no_start_code_is_left(
            mut unit in proptest::collection::vec(prop_oneof![3 => 0u8..5, 1 => any::<u8>()], 1..200)
        ) {
            if unit.last() == Some(&0) {
                unit.push(0x80);
            }
            let mut escaped = Vec::new();
            escape(&unit, &mut escaped);
            prop_assert_eq!(start_code(&escaped, 0), None);
            prop_assert_eq!(unescape(&escaped), unit.clone());
            let threes: Vec<_> = super::escaped(&unit).enumerate().map(|(before, at)| before + at).collect();
            prop_assert!(threes.iter().all(|at| escaped[*at] == 3));
            prop_assert_eq!(preventions(&escaped).collect::<Vec<_>>(), threes);
            prop_assert_eq!(escaped.len() - unit.len(), super::escaped(&unit).count());
        }

        /// Byte by byte, as §7.3.1 and annex B are written.
        #[test]
        fn bytes_looked_for_many_at_a_time_are_those_of_the_standard(
            stream in proptest::collection::vec(prop_oneof![6 => 0u8..5, 1 => any::<u8>()], 0..300)
        ) {
            let (mut escaped, mut unescaped, mut zeros) = (Vec::new(), Vec::new(), 0);
            for byte in &stream {
                if zeros == 2 && *byte <= 3 {
                    escaped.push(3);
                    zeros = 0;
                }
                zeros = if *byte == 0 { zeros + 1 } else { 0 };
                escaped.push(*byte);
            }
            escaped.extend((zeros > 0).then_some(3));
            let mut zeros = 0;
            for byte in &stream {
                let is_prevention = zeros == 2 && *byte == 3;
                unescaped.extend((!is_prevention).then_some(*byte));
                zeros = if *byte == 0 { zeros + 1 } else { 0 };
            }
            let mut out = Vec::new();
            escape(&stream, &mut out);
            prop_assert_eq!(out, escaped);
            prop_assert_eq!(unescape(&stream), unescaped);
            let codes: Vec<usize> =
                stream.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at).collect();
            for from in 0..=stream.len() {
                let next = codes.iter().copied().find(|code| *code >= from);
                prop_assert_eq!(start_code(&stream, from), next);
            }
            prop_assert_eq!(last_start_code(&stream), codes.last().copied().filter(|code| *code > 0));
        }
    }
}
