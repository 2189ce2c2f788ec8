//! Counter blocks that were used under each key, and what they cover — ISO/IEC 23001-7 §9.2, §9.3.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use crate::base::{Kid, Secret};

/// What makes key stream: a key by a print of its value where that is known, since two ids may have one value, and else by
/// its id. The print stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::verify) enum StreamKey {
    Id(Kid),
    Value(u64),
}

impl StreamKey {
    /// The key of this id, and its value if that is known.
    pub(in crate::verify) fn of(kid: Kid, value: Option<&Secret<16>>) -> Self {
        value.map_or(Self::Id(kid), |value| {
            let mut hasher = DefaultHasher::new();
            hasher.write(value.expose());
            Self::Value(hasher.finish())
        })
    }
}

/// Most memory that is taken, in bytes: some 60 million samples whose IVs count up.
const MAX_BYTES: usize = 256 << 20;
/// What a run takes besides its samples, about.
const RUN_BYTES: usize = 128;

/// What one sample uses: the first and the last of its counter blocks, and a print of the bytes that they cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verify) struct SampleBlocks {
    first: u128,
    last: u128,
    print: u32,
}

/// A counter block that covers two different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verify) struct Reuse {
    pub(in crate::verify) kid: Kid,
    /// The first block of the sample that uses it again.
    pub(in crate::verify) first: u128,
    /// The files of both.
    pub(in crate::verify) before: usize,
    pub(in crate::verify) file: usize,
}

/// Samples of a file whose counter blocks follow each other, as many each.
#[derive(Clone, Debug)]
struct Run {
    last: u128,
    /// From the first to the last block of each sample.
    span: u128,
    prints: Vec<u32>,
    file: usize,
    kid: Kid,
}

/// Which counter blocks were used, and in which file. What is there a second time, equal bytes under equal blocks, is
/// no use of its own: the same segment may be in two renditions or windows.
#[derive(Clone, Debug, Default)]
pub(in crate::verify) struct CounterBlocks {
    by_key: HashMap<StreamKey, BTreeMap<u128, Run>>,
    bytes: usize,
}

/// What a sample uses whose protected bytes these are: an IV of eight bytes owns all blocks that begin with it; one of
/// sixteen counts its low eight bytes, which wrap.
pub(in crate::verify) fn blocks_of(
    iv: &[u8],
    blocks: u64,
    sample: &[u8],
    protected: &[Range<usize>],
) -> Vec<SampleBlocks> {
    let Some(last) = blocks.checked_sub(1) else { return Vec::new() };
    let mut hasher = DefaultHasher::new();
    protected.iter().for_each(|range| hasher.write(sample.get(range.clone()).unwrap_or_default()));
    let [_, _, _, _, low @ ..] = hasher.finish().to_be_bytes();
    let print = u32::from_be_bytes(low);
    let value = iv.iter().fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
    if iv.len() == 8 {
        let first = value << 64;
        return vec![SampleBlocks { first, last: first | u128::from(u64::MAX), print }];
    }
    let high = value & !u128::from(u64::MAX);
    let low = u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
    let run = |first, last| SampleBlocks { first, last: high | u128::from(last), print };
    match low.checked_add(last) {
        Some(end) => vec![run(value, end)],
        None => vec![run(value, u64::MAX), run(high, low.wrapping_add(last))],
    }
}

impl Run {
    /// Whether one of its samples uses the same blocks for the same bytes.
    fn holds(&self, start: u128, sample: SampleBlocks) -> bool {
        let (Some(offset), Some(step)) = (sample.first.checked_sub(start), self.span.checked_add(1)) else {
            return false;
        };
        let print = usize::try_from(offset / step).ok().and_then(|index| self.prints.get(index));
        sample.last - sample.first == self.span && offset.is_multiple_of(step) && print == Some(&sample.print)
    }

    fn samples(self, start: u128) -> impl Iterator<Item = SampleBlocks> {
        let mut first = start;
        self.prints.into_iter().map(move |print| {
            let sample = SampleBlocks { first, last: first + self.span, print };
            first = sample.last.wrapping_add(1);
            sample
        })
    }
}

impl CounterBlocks {
    /// Takes what a sample uses; returns the file in which one of its blocks covers something else.
    pub(in crate::verify) fn insert(
        &mut self,
        (key, kid): (StreamKey, Kid),
        sample: SampleBlocks,
        file: usize,
    ) -> Option<usize> {
        let runs = self.by_key.entry(key).or_default();
        let before = runs.range_mut(..=sample.last).next_back();
        if let Some((start, run)) = before {
            if run.last >= sample.first {
                return (!run.holds(*start, sample)).then_some(run.file);
            }
            let follows = run.last.checked_add(1) == Some(sample.first);
            let is_alike = run.file == file && run.kid == kid && run.span == sample.last - sample.first;
            if follows && is_alike && self.bytes < MAX_BYTES {
                run.prints.push(sample.print);
                run.last = sample.last;
                self.bytes += size_of::<u32>();
                return None;
            }
        }
        if self.bytes < MAX_BYTES {
            let SampleBlocks { first, last, print } = sample;
            runs.insert(first, Run { last, span: last - first, prints: vec![print], file, kid });
            self.bytes += RUN_BYTES;
        }
        None
    }

    /// Takes all samples of another set, whose files count from `first_file` here, and says which blocks cover
    /// something else in this one.
    pub(in crate::verify) fn merge(&mut self, other: Self, first_file: usize, found: &mut dyn FnMut(Reuse)) {
        for (key, runs) in other.by_key {
            for (start, run) in runs {
                let (file, kid) = (first_file + run.file, run.kid);
                for sample in run.samples(start) {
                    if let Some(before) = self.insert((key, kid), sample, file) {
                        found(Reuse { kid, first: sample.first, before, file });
                    }
                }
            }
        }
    }

    /// Whether there was more than is remembered.
    pub(in crate::verify) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KID: Kid = Kid::new([1; 16]);
    const ID: StreamKey = StreamKey::Id(KID);

    fn short(iv: u64, bytes: &[u8]) -> SampleBlocks {
        blocks_of(&iv.to_be_bytes(), 3, bytes, std::slice::from_ref(&(0..bytes.len())))[0]
    }

    #[test]
    fn runs_grow_and_blocks_that_cover_something_else_are_found() {
        let mut used = CounterBlocks::default();
        for iv in [5_u64, 6, 7, u64::MAX, 3] {
            assert_eq!(used.insert((ID, KID), short(iv, b"one"), 0), None);
        }
        assert_eq!(used.by_key[&ID].len(), 3);
        assert_eq!(used.insert((ID, KID), short(6, b"two"), 3), Some(0));
        assert_eq!(used.insert((ID, KID), short(6, b"one"), 3), None, "the same again");
        assert_eq!(
            used.insert((StreamKey::Id(Kid::new([2; 16])), Kid::new([2; 16])), short(6, b"two"), 3),
            None
        );
        let mut other = CounterBlocks::default();
        for (iv, bytes) in [(4, b"one"), (5, b"one"), (6, b"one"), (7, b"two"), (8, b"one")] {
            assert_eq!(other.insert((ID, KID), short(iv, bytes), 9), None);
        }
        let mut found = Vec::new();
        used.merge(other, 0, &mut |reuse| found.push(reuse));
        assert_eq!(found, [Reuse { kid: KID, first: 7 << 64, before: 0, file: 9 }]);
    }

    #[test]
    fn a_long_iv_counts_blocks_and_wraps_in_its_low_half() {
        let iv = |low: u64, blocks| {
            let iv = (7_u128 << 64 | u128::from(low)).to_be_bytes();
            blocks_of(&iv, blocks, b"sample", std::slice::from_ref(&(0..6)))
        };
        let mut used = CounterBlocks::default();
        for run in iv(u64::MAX - 1, 4) {
            assert_eq!(used.insert((ID, KID), run, 0), None);
        }
        assert!(used.insert((ID, KID), iv(1, 1)[0], 0).is_some());
        assert!(used.insert((ID, KID), iv(2, 1)[0], 0).is_none());
        assert!(used.insert((ID, KID), iv(0, 2)[0], 0).is_none(), "the same again");
        assert!(used.insert((ID, KID), iv(0, 1)[0], 0).is_some(), "fewer blocks under the same IV");
        assert!(iv(3, 0).is_empty());
        // An IV of eight bytes has all of these blocks.
        assert!(used.insert((ID, KID), short(7, b"sample"), 0).is_some());
    }
}
