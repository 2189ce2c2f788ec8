//! What of a file stays clear although nothing says so — ISO/IEC 14496-12 §8.1, §8.8.

use std::ops::Range;

use crate::base::Result;
use crate::isobmff::file::BoxHeader;
use crate::isobmff::samples::Sample;

use super::file::FileCheck;

/// The media data of a file, and what is said to lie in it.
#[derive(Default)]
pub(in crate::verify) struct MediaData {
    /// Every `mdat`.
    boxes: Vec<BoxHeader>,
    /// What samples and auxiliary information have, in bytes of the file; neighbors are one.
    named: Vec<Range<u64>>,
    /// What samples alone have.
    samples: Vec<Range<u64>>,
    has_tables: bool,
}

impl MediaData {
    /// An `mdat`.
    pub(in crate::verify) fn found(&mut self, header: &BoxHeader) {
        self.boxes.push(*header);
    }

    /// Samples of a fragment, and where information about them lies.
    pub(in crate::verify) fn named(&mut self, samples: &[Sample], auxiliary: Vec<Range<u64>>) {
        let range = |sample: &Sample| sample.position..sample.position.saturating_add(sample.size.into());
        let add = |list: &mut Vec<Range<u64>>, range: Range<u64>| match list.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => list.push(range),
        };
        samples.iter().map(range).for_each(|range| add(&mut self.samples, range));
        samples.iter().map(range).chain(auxiliary).for_each(|range| add(&mut self.named, range));
    }

    /// Samples of a sample table, which may leave bytes out: what an edit took away is left where it was.
    pub(in crate::verify) fn has_tables(&mut self) {
        self.has_tables = true;
    }

    /// The first samples that lie in no `mdat`; boxes are in the order of the file.
    fn outside(&self) -> Option<&Range<u64>> {
        let is_inside = |range: &&Range<u64>| {
            let behind = self.boxes.partition_point(|header| header.position <= range.start);
            let parent_segment = behind.checked_sub(1).and_then(|last| self.boxes.get(last));
            parent_segment.is_some_and(|header| {
                header.position + header.header_length <= range.start && range.end <= header.end()
            })
        };
        self.samples.iter().filter(|range| !range.is_empty()).find(|range| !is_inside(range))
    }

    /// The first bytes of each `mdat` that nothing names.
    fn unnamed(&mut self) -> Vec<(BoxHeader, Option<Range<u64>>)> {
        self.named.sort_unstable_by_key(|range| range.start);
        self.named.dedup_by(|next, before| {
            let goes_on = next.start <= before.end;
            before.end = if goes_on { before.end.max(next.end) } else { before.end };
            goes_on
        });
        let unnamed = |header: &BoxHeader| {
            let start = header.position + header.header_length;
            let behind = self.named.partition_point(|range| range.start <= start);
            let before = behind.checked_sub(1).and_then(|last| self.named.get(last));
            let start = before.map_or(start, |range| range.end.max(start));
            let next = self.named.get(behind).map_or(u64::MAX, |range| range.start);
            let end = next.min(header.end());
            (*header, (start < end).then_some(start..end))
        };
        self.boxes.iter().map(unnamed).collect()
    }
}

impl FileCheck<'_, '_> {
    /// Every byte of the media data belongs to a sample: what does not is in the clear.
    pub(in crate::verify) fn check_media_data(&mut self) {
        if self.init.protection().is_none() {
            return;
        }
        if self.media_data.has_tables {
            self.findings
                .unchecked(format!("{}: bytes of mdat between the samples of a sample table", self.name));
            return;
        }
        let outside = self.media_data.outside();
        let found = outside.map(|range| format!("bytes {}..{}", range.start, range.end)).unwrap_or_default();
        self.findings.check("sample-inside", outside.is_none(), &self.name, &found, &"bytes of one mdat");
        for (header, unnamed) in self.media_data.unnamed() {
            let place = format!("{}: mdat at byte {}", self.name, header.position);
            let range = unnamed.clone().unwrap_or_default();
            let found = format!("bytes {}..{} in the clear", range.start, range.end);
            self.findings.check("mdat-bytes", unnamed.is_none(), &place, &found, &"bytes of samples");
        }
    }

    /// A box that is none of those of the media.
    pub(in crate::verify) fn unread(&mut self, header: &BoxHeader) -> Result<()> {
        if self.init.protection().is_none() {
            return Ok(());
        }
        let is_unread = self.unread.exceeded_by(header, self.source)?;
        let place = format!("{}: box {} at byte {}", self.name, header.kind, header.position);
        let found = format!("{} bytes", header.length);
        self.findings.check("box-unread", !is_unread, &place, &found, &"zeros, or few bytes");
        Ok(())
    }
}
