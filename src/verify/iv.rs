//! Counter blocks that were used under each key — ISO/IEC 23001-7 §9.3.

use std::collections::{BTreeMap, HashMap};

use crate::base::Kid;

/// Most separate runs of counter blocks that are remembered; packagers count on, so that runs grow together.
const MAX_RUNS: usize = 4 << 20;

/// First and last counter block of a run; ends are inclusive, the last block of all has no successor.
type Run = (u128, u128);

/// Which counter blocks were used, and in which file; neighbors grow together.
#[derive(Clone, Debug, Default)]
pub(super) struct CounterBlocks {
    by_kid: HashMap<Kid, BTreeMap<u128, (u128, usize)>>,
    runs: usize,
}

/// The runs of blocks that a sample uses: an IV of eight bytes owns all blocks that begin with it; one of
/// sixteen counts its low eight bytes, which wrap.
pub(super) fn runs_of(iv: &[u8], blocks: u64) -> Vec<Run> {
    let Some(last) = blocks.checked_sub(1) else { return Vec::new() };
    let value = iv.iter().fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
    if iv.len() == 8 {
        let first = value << 64;
        return vec![(first, first | u128::from(u64::MAX))];
    }
    let high = value & !u128::from(u64::MAX);
    let low = u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
    match low.checked_add(last) {
        Some(end) => vec![(value, high | u128::from(end))],
        None => vec![(value, high | u128::from(u64::MAX)), (high, high | u128::from(low.wrapping_add(last)))],
    }
}

impl CounterBlocks {
    /// Takes a run; returns the file in which one of its blocks was used before.
    pub(super) fn insert(&mut self, kid: Kid, (first, last): Run, file: usize) -> Option<usize> {
        let runs = self.by_kid.entry(kid).or_default();
        let before = runs.range(..=last).next_back().map(|(start, (end, file))| (*start, *end, *file));
        if let Some((_, end, other)) = before
            && end >= first
        {
            return Some(other);
        }
        let mut run = (first, last);
        if let Some((start, end, other)) = before
            && end.checked_add(1) == Some(first)
            && other == file
        {
            runs.remove(&start);
            self.runs -= 1;
            run.0 = start;
        }
        let next = last.checked_add(1).and_then(|next| runs.get(&next).copied().map(|found| (next, found)));
        if let Some((next, (end, other))) = next
            && other == file
        {
            runs.remove(&next);
            self.runs -= 1;
            run.1 = end;
        }
        if self.runs < MAX_RUNS {
            runs.insert(run.0, (run.1, file));
            self.runs += 1;
        }
        None
    }

    /// Takes all runs of another set; returns key, first block and files of each that was used before.
    pub(super) fn merge(&mut self, other: Self) -> Vec<(Kid, u128, usize, usize)> {
        let mut reused = Vec::new();
        for (kid, runs) in other.by_kid {
            for (first, (last, file)) in runs {
                if let Some(before) = self.insert(kid, (first, last), file) {
                    reused.push((kid, first, before, file));
                }
            }
        }
        reused
    }

    /// Whether there were more runs than are remembered.
    pub(super) fn is_full(&self) -> bool {
        self.runs >= MAX_RUNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_grow_together_and_overlaps_are_found() {
        let kid = Kid::new([1; 16]);
        let mut used = CounterBlocks::default();
        for iv in [5_u64, 7, 6, u64::MAX] {
            for run in runs_of(&iv.to_be_bytes(), 3) {
                assert_eq!(used.insert(kid, run, 0), None);
            }
        }
        assert_eq!(used.runs, 2);
        assert_eq!(used.insert(kid, runs_of(&6_u64.to_be_bytes(), 1)[0], 3), Some(0));
        assert_eq!(used.insert(Kid::new([2; 16]), runs_of(&6_u64.to_be_bytes(), 1)[0], 3), None);
    }

    #[test]
    fn a_long_iv_counts_blocks_and_wraps_in_its_low_half() {
        let kid = Kid::new([1; 16]);
        let iv = |low: u64| (7_u128 << 64 | u128::from(low)).to_be_bytes();
        let mut used = CounterBlocks::default();
        for run in runs_of(&iv(u64::MAX - 1), 4) {
            assert_eq!(used.insert(kid, run, 0), None);
        }
        assert!(used.insert(kid, runs_of(&iv(1), 1)[0], 0).is_some());
        assert!(used.insert(kid, runs_of(&iv(2), 1)[0], 0).is_none());
        assert!(runs_of(&iv(3), 0).is_empty());
    }
}
