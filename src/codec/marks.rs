//! The marks of a track's samples — ISO/IEC 14496-12 §8.5.2: each sample entry has its own codec and configuration.

use std::ops::Range;

use super::evidence::Evidence;
use super::{Config, find};
use crate::base::FourCc;

/// Looks for the marks of a codec in samples, in decode order.
///
/// It remembers what later samples depend on, as [`Ranges`](super::Ranges) does.
pub trait Marks: Send {
    /// Looks at a decrypted sample, of which these byte ranges were encrypted. What is clear shows nothing of the key.
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence);

    /// Whether they show it when any byte of a first block is another one: with block chaining another IV garbles that
    /// block alone. By default they do not.
    fn reach_first_blocks(&self) -> bool {
        false
    }
}

/// Opens the marks of samples that a sample entry describes; `None` when they have none.
pub type OpenMarks = fn(&Config<'_>) -> Option<Box<dyn Marks>>;

/// The marks of a track.
pub struct TrackMarks {
    /// Each sample entry but for its protection: codec and marks.
    kinds: Vec<(&'static str, Option<Box<dyn Marks>>)>,
    /// Which of them each sample entry is.
    of_entry: Vec<usize>,
}

/// A sample entry's type, and the types and payloads of its boxes.
type EntryText<'a> = (FourCc, Vec<(FourCc, &'a [u8])>);

impl TrackMarks {
    /// Those of a track with these sample entries. Entries that are the same but for their protection are one, since
    /// parameter sets and reference frames reach from one to the other.
    pub fn new<'a>(entries: impl Iterator<Item = Config<'a>>) -> Self {
        let (mut known, mut kinds, mut of_entry) = (Vec::<EntryText<'a>>::new(), Vec::new(), Vec::new());
        for config in entries {
            let text = (config.entry, config.boxes.clone());
            let number = known.iter().position(|other| *other == text);
            of_entry.push(number.unwrap_or(kinds.len()));
            if number.is_none() {
                let codec = find(config.entry);
                let marks = codec.and_then(|codec| (codec.marks)(&config));
                kinds.push((codec.map_or("a codec that is not known", |codec| codec.name), marks));
                known.push(text);
            }
        }
        Self { kinds, of_entry }
    }

    /// Looks at a decrypted sample, and whether the IV may be another one that garbles its first block alone; says what it
    /// is and what it shows.
    pub fn look(
        &mut self,
        sample_description_index: u32,
        sample: &[u8],
        (encrypted, hides_iv): (&[Range<usize>], bool),
    ) -> (&'static str, Evidence) {
        let index = (sample_description_index as usize).saturating_sub(1);
        let kind = self.of_entry.get(index).and_then(|kind| self.kinds.get_mut(*kind));
        let Some((name, marks)) = kind else { return ("", Evidence::default()) };
        let mut evidence = Evidence::default();
        if let Some(marks) = marks {
            marks.look(sample, encrypted, &mut evidence);
            if hides_iv && !encrypted.is_empty() && !marks.reach_first_blocks() {
                evidence.hide_iv();
            }
        }
        (name, evidence)
    }
}

/// Whether all of `range` was encrypted.
pub(super) fn is_in(encrypted: &[Range<usize>], range: &Range<usize>) -> bool {
    let mut from = range.start;
    for run in touching(encrypted, range) {
        if run.start > from {
            return false;
        }
        from = run.end;
    }
    from >= range.end
}

/// How many bytes of `range` were encrypted.
pub(super) fn bytes_in(encrypted: &[Range<usize>], range: &Range<usize>) -> usize {
    touching(encrypted, range).map(|run| run.end.min(range.end) - run.start.max(range.start)).sum()
}

/// The ranges that have bytes of `range`; they are in order.
fn touching<'a>(
    encrypted: &'a [Range<usize>],
    range: &'a Range<usize>,
) -> impl Iterator<Item = &'a Range<usize>> {
    let first = encrypted.partition_point(|run| run.end <= range.start);
    encrypted.iter().skip(first).take_while(|run| run.start < range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_bytes_are_counted_across_ranges() {
        let runs = [10..26, 26..42, 170..186];
        for (range, all, bytes) in [
            (10..42, true, 32),
            (12..30, true, 18),
            (0..10, false, 0),
            (9..11, false, 1),
            (40..171, false, 3),
            (185..186, true, 1),
            (200..201, false, 0),
        ] {
            assert_eq!((is_in(&runs, &range), bytes_in(&runs, &range)), (all, bytes), "{range:?}");
        }
    }
}
