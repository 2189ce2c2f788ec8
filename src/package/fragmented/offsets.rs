//! Where the bytes of a rewritten file went — the base of every byte range in a manifest.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result};

/// Maps positions in a file as it was to positions in it as it is written.
///
/// A box that changed keeps only its borders; inside every other box positions move with its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetMap {
    /// Old position, new position, and what lies from there on, in order.
    entries: Vec<(u64, u64, Span)>,
    /// What was wrong in the file and was put right.
    #[serde(default)]
    pub mended: Vec<String>,
}

/// What lies between two borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Span {
    /// The same bytes.
    Kept,
    /// A box of another length.
    Changed,
}

impl OffsetMap {
    /// The map of a segment that has another length now, and of which no byte is where it was.
    pub fn resized(length: u64, written: u64) -> Self {
        Self { entries: vec![(0, 0, Span::Changed), (length, written, Span::Kept)], ..Self::default() }
    }

    /// The bytes from these positions on are the same, or as many.
    pub(in crate::package) fn kept(&mut self, old: u64, new: u64) {
        let goes_on = |(start, moved, span): &(u64, u64, Span)| {
            *span == Span::Kept && old.checked_sub(*start) == new.checked_sub(*moved)
        };
        if !self.entries.last().is_some_and(goes_on) {
            self.entries.push((old, new, Span::Kept));
        }
    }

    /// A box begins at these positions, and has the same bytes or as many; or the file ends.
    pub(in crate::package) fn begins(&mut self, old: u64, new: u64) {
        self.entries.push((old, new, Span::Kept));
    }

    /// What became of a part of the file that began at `old` and was written at `new`. What lies behind it is
    /// left out, until the next part is added.
    ///
    /// # Errors
    /// When the part changed where it ends.
    pub fn add_part(&mut self, part: &Self, (old, length): (u64, u64), new: u64) -> Result<()> {
        let end = part.position(length)?;
        self.kept(old, new);
        self.entries.extend(part.entries.iter().map(|(start, to, span)| (old + start, new + to, *span)));
        self.entries.push((old + length, new + end, Span::Changed));
        Ok(())
    }

    /// A changed box begins at these positions.
    pub(in crate::package) fn changed(&mut self, old: u64, new: u64) {
        self.entries.push((old, new, Span::Changed));
    }

    /// The new position of an old one.
    ///
    /// # Errors
    /// When it lies inside a box that changed.
    pub fn position(&self, old: u64) -> Result<u64> {
        let after = self.entries.partition_point(|(start, ..)| *start <= old);
        match after.checked_sub(1).and_then(|index| self.entries.get(index)) {
            None => Ok(old),
            Some((start, new, span)) if *start == old || *span == Span::Kept => {
                new.checked_add(old - start).ok_or_else(|| {
                    Error::input(format!("byte range border {old} lies beyond every file"))
                        .clause("RFC 8216bis §4.4.4.2, ISO/IEC 23009-1 §5.3.9.2")
                })
            }
            Some((start, ..)) => Err(Error::unsupported(format!(
                "byte range border {old} lies inside what begins at byte {start} and changes its length"
            ))
            .clause("RFC 8216bis §4.4.4.2, ISO/IEC 23009-1 §5.3.9.2")),
        }
    }

    /// Checks that a range begins where a box does, and ends there too unless it may be the beginning of one. A file
    /// that was copied whole is not looked at.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_boxes(&self, range: &Range<u64>, may_end_inside: bool) -> Result<()> {
        let is_border =
            |position: u64| self.entries.binary_search_by_key(&position, |(old, ..)| *old).is_ok();
        if self.entries.is_empty() || is_border(range.start) && (may_end_inside || is_border(range.end)) {
            return Ok(());
        }
        Err(Error::input(format!("bytes {}..{} are no whole boxes", range.start, range.end))
            .clause("RFC 8216bis §3.1.2, ISO/IEC 23009-1 §6.3.4, ISO/IEC 14496-12 §8.16.3")
            .hint("the file is not the one that was indexed, or the index is wrong: make them again"))
    }

    /// The new place of an old range.
    ///
    /// # Errors
    /// As [`OffsetMap::position`].
    pub fn range(&self, old: Range<u64>) -> Result<Range<u64>> {
        Ok(self.position(old.start)?..self.position(old.end)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_their_boxes() {
        let mut map = OffsetMap::default();
        map.kept(0, 0);
        map.changed(24, 24);
        map.kept(100, 150);
        map.kept(300, 350);
        assert_eq!(map.range(0..100).unwrap(), 0..150);
        assert_eq!(map.range(24..180).unwrap(), 24..230);
        assert_eq!(map.range(100..300).unwrap(), 150..350);
        assert!(map.range(30..100).is_err());
        assert!(map.range(300..u64::MAX).is_err());
        let mut parts = OffsetMap::default();
        parts.add_part(&OffsetMap::resized(100, 112), (0, 100), 0).unwrap();
        parts.add_part(&OffsetMap::default(), (200, 50), 112).unwrap();
        assert_eq!(parts.range(0..100).unwrap(), 0..112);
        assert_eq!(parts.range(200..250).unwrap(), 112..162);
        assert_eq!(parts.range(210..220).unwrap(), 122..132);
        assert!(parts.range(50..100).is_err() && parts.range(120..250).is_err());
        map.begins(400, 450);
        map.begins(500, 550);
        assert!(map.check_boxes(&(400..500), false).is_ok() && map.check_boxes(&(400..450), true).is_ok());
        assert!(map.check_boxes(&(400..450), false).is_err() && map.check_boxes(&(401..500), true).is_err());
    }
}
