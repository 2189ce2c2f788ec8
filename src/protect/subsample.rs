//! Subsamples — ISO/IEC 23001-7 §9.5.2: from protectable ranges to clear and protected runs.

use std::ops::Range;

use crate::isobmff::boxes::SencSubsample;

use super::scheme::{Align, Scheme};

/// Divides a sample of `length` bytes into subsamples, appended to `out`.
///
/// `ranges` are sorted, disjoint and inside the sample. The subsamples add up to `length`; there is at
/// least one. Clear runs before a protected one are merged with it.
pub fn subsamples(scheme: &Scheme, length: usize, ranges: &[Range<usize>], out: &mut Vec<SencSubsample>) {
    let (mut position, before) = (0, out.len());
    for range in ranges {
        let range = align(scheme.align, range.clone());
        if range.is_empty() {
            continue;
        }
        push(range.start - position, range.len(), out);
        position = range.end;
    }
    if position < length || out.len() == before {
        push(length - position, 0, out);
    }
}

/// §9.5.2.2: for counter mode a multiple of the block size; the remainder goes to the clear bytes in front,
/// so that the cipher text ends where the range ends.
fn align(align: Align, range: Range<usize>) -> Range<usize> {
    match align {
        Align::None => range,
        Align::BlocksAtEnd => range.start + range.len() % 16..range.end,
    }
}

/// A clear run longer than its 16-bit field is written in pieces.
fn push(mut clear: usize, protected: usize, out: &mut Vec<SencSubsample>) {
    while let Some(rest) = clear.checked_sub(usize::from(u16::MAX)).filter(|rest| *rest > 0) {
        out.push(SencSubsample { bytes_of_clear_data: u16::MAX, bytes_of_protected_data: 0 });
        clear = rest;
    }
    out.push(SencSubsample {
        bytes_of_clear_data: u16::try_from(clear).unwrap_or(u16::MAX),
        bytes_of_protected_data: u32::try_from(protected).unwrap_or(u32::MAX),
    });
}

/// The protected ranges of a sample that begins at `start`, as its subsamples say.
pub(super) fn protected_ranges(
    start: usize,
    subsamples: &[SencSubsample],
) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut position = start;
    subsamples.iter().filter_map(move |subsample| {
        let begin = position + usize::from(subsample.bytes_of_clear_data);
        position = begin + subsample.bytes_of_protected_data as usize;
        (begin < position).then_some(begin..position)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protect::scheme::SCHEMES;
    use proptest::prelude::*;

    fn pairs(scheme: &str, length: usize, ranges: &[Range<usize>]) -> Vec<(u16, u32)> {
        let mut out = Vec::new();
        subsamples(Scheme::find(scheme).unwrap(), length, ranges, &mut out);
        out.iter().map(|s| (s.bytes_of_clear_data, s.bytes_of_protected_data)).collect()
    }

    fn one(range: Range<usize>) -> [Range<usize>; 1] {
        [range]
    }

    #[test]
    fn vectors_of_the_field() {
        // H.264 with a one-byte length: NAL units of 9 (header 4) and 0x27 bytes, then clear ones.
        let length = 6 + 4 + 7 + 0x21 + 0x33;
        let nals = [6..10, 17..17 + 0x21];
        assert_eq!(pairs("cbcs", length, &nals), [(6, 4), (7, 0x21), (0x33, 0)]);
        assert_eq!(pairs("cenc", length, &nals), [(18, 0x20), (0x33, 0)]);
        // AV1 tiles at 4 (6 bytes), 11 (33), 44 (20) in a frame of 70 bytes.
        let tiles = [4..10, 11..44, 44..64];
        assert_eq!(pairs("cbcs", 70, &tiles), [(4, 6), (1, 33), (0, 20), (6, 0)]);
        assert_eq!(pairs("cenc", 70, &tiles), [(12, 32), (4, 16), (6, 0)]);
        // VP9: a frame with a 20-byte header, and a superframe.
        assert_eq!(pairs("cenc", 50, &one(20..50)), [(34, 16)]);
        assert_eq!(pairs("cenc", 50, &[4..10, 11..44]), [(12, 32), (6, 0)]);
    }

    #[test]
    fn long_clear_runs_are_split_and_empty_samples_have_one_entry() {
        assert_eq!(pairs("cbcs", 70_000, &[]), [(65_535, 0), (4_465, 0)]);
        assert_eq!(pairs("cbcs", 65_535, &[]), [(65_535, 0)]);
        assert_eq!(
            pairs("cenc", 140_000, &one(131_072..131_088)),
            [(65_535, 0), (65_535, 0), (2, 16), (8_912, 0)]
        );
        assert_eq!(pairs("cbcs", 0, &[]), [(0, 0)]);
        assert_eq!(pairs("cenc", 10, &one(0..10)), [(10, 0)]);
    }

    proptest! {
        #[test]
        fn subsamples_cover_the_sample_and_protect_only_the_ranges(
            mut cuts in proptest::collection::vec(0_usize..300_000, 0..20),
            tail in 0_usize..100_000,
        ) {
            cuts.sort_unstable();
            let ranges: Vec<_> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let length = cuts.last().copied().unwrap_or(0) + tail;
            for scheme in SCHEMES {
                let mut out = Vec::new();
                subsamples(scheme, length, &ranges, &mut out);
                let sum: usize = out
                    .iter()
                    .map(|s| usize::from(s.bytes_of_clear_data) + s.bytes_of_protected_data as usize)
                    .sum();
                prop_assert_eq!(sum, length);
                for protected in protected_ranges(0, &out) {
                    prop_assert!(ranges.iter().any(|r| r.start <= protected.start && protected.end == r.end));
                    prop_assert!(scheme.align == Align::None || protected.len() % 16 == 0);
                }
            }
        }
    }
}
