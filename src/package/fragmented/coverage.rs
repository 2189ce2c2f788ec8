//! What of a file would stay clear although nothing says so — ISO/IEC 14496-12 §8.1, §8.8; ISO/IEC 23001-7 §9.

use std::ops::Range;

use crate::base::env::Source;
use crate::base::{Error, FourCc, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Piff;
use crate::isobmff::file::BoxHeader;
use crate::isobmff::fragment::TrackFragment;
use crate::protect::refuse_protected;

/// Most bytes of boxes that no player reads which are passed on in a fragment: notes of a tool.
const MAX_UNREAD_BYTES: u64 = 64 << 10;
/// Bytes of a box that are looked at at a time.
const READ_BYTES: usize = 64 << 10;

/// Boxes of segments that are read by players or by this crate: their sizes follow from the samples, and what is in
/// them is said of samples. Event messages and the keys' boxes are clear on purpose.
const READ: &[&[u8; 4]] = &[
    b"ftyp", b"styp", b"pdin", b"moov", b"moof", b"mdat", b"sidx", b"ssix", b"mfra", b"prft", b"emsg",
    b"mfhd", b"pssh", b"traf", b"tfhd", b"tfdt", b"trun", b"sdtp", b"sbgp", b"sgpd", b"subs", b"saiz",
    b"saio", b"senc",
];

/// IdentifiedMediaDataBox: samples that a `trun` names by another way than bytes of the file, which is not read here.
const MEDIA: &[u8; 4] = b"imda";

/// Every byte of the media data of a fragment belongs to one sample, of whichever track: what no sample names would
/// stay clear, and what two of them name would be encrypted twice.
///
/// # Errors
/// When it is otherwise. Samples that lie elsewhere are the caller's to refuse.
pub(in crate::package) fn check_covered(fragments: &[TrackFragment], data: Range<u64>) -> Result<()> {
    let samples = fragments.iter().flat_map(|fragment| &fragment.samples).filter(|sample| sample.size > 0);
    let mut ranges: Vec<Range<u64>> = samples
        .map(|sample| sample.position..sample.position.saturating_add(u64::from(sample.size)))
        .collect();
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut before = data.start..data.start;
    for range in ranges {
        if range.start < before.end {
            return Err(Error::input(format!(
                "the sample of bytes {}..{} goes on where another begins, at {}",
                before.start, before.end, range.start
            ))
            .clause("ISO/IEC 14496-12 §8.8.8")
            .at("traf/trun"));
        }
        check_named(before.end..range.start, fragments)?;
        before = range;
    }
    check_named(before.end..data.end, fragments)
}

/// There are no bytes between samples.
fn check_named(unnamed: Range<u64>, fragments: &[TrackFragment]) -> Result<()> {
    if unnamed.is_empty() {
        return Ok(());
    }
    let length = unnamed.end - unnamed.start;
    let found = if fragments.is_empty() { ", there is no traf" } else { "" };
    Err(Error::input(format!("{length} bytes of mdat belong to no sample{found}: they would stay clear"))
        .clause("ISO/IEC 14496-12 §8.8.4, §8.8.8")
        .at_byte(unnamed.start)
        .hint("the segment is damaged, or holds more than its tracks: make it again"))
}

/// Neither the tables nor the fragments of a file that is cut into segments say that samples are encrypted already.
///
/// # Errors
/// When one does.
pub(in crate::package) fn check_clear_input(source: &dyn Source, trak: &BoxNode) -> Result<()> {
    refuse_protected(trak)?;
    refuse_protected(trak.require(&[b"mdia", b"minf", b"stbl"])?)?;
    check_clear_fragments(source)
}

/// No fragment says that its samples are encrypted already. What is no ISO media file has none.
///
/// # Errors
/// When one does.
pub(in crate::package) fn check_clear_fragments(source: &dyn Source) -> Result<()> {
    let mut position = 0;
    while let Ok(Some((header, _))) = BoxHeader::read_overstated(source, position) {
        if header.is(b"moof") {
            let moof = header.read_node(source)?;
            let checked = moof.all(b"traf").try_for_each(refuse_protected);
            checked.map_err(|error| error.at(format_args!("moof at byte {position}")))?;
        }
        position = header.end();
    }
    Ok(())
}

/// Boxes that no player reads, of a fragment and what stands before the next, or of a file without fragments: together
/// they may hold a copy of the media. What is more than padding and notes is refused, not kept with a warning: nobody
/// reads the warnings of a nightly job, and leaving the boxes out costs whoever wrote them nothing. Zeros are padding of
/// any length.
///
/// User data inside `moov` is not looked at: it has titles and cover pictures, and there is one `moov` for a rendition.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnreadBytes(u64);

impl UnreadBytes {
    /// Takes a box between those of the media. Says whether there is more than padding and notes then.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn exceeded_by(&mut self, header: &BoxHeader, source: &dyn Source) -> Result<bool> {
        let (mut position, mut buffer) = (header.position + header.header_length, Vec::new());
        while position < header.end() && !is_read(header.kind) {
            let length = usize::try_from(header.end() - position).unwrap_or(usize::MAX).min(READ_BYTES);
            buffer.resize(length, 0);
            source.read_at(position, &mut buffer)?;
            if buffer.iter().any(|byte| *byte != 0) {
                return Ok(self.is_exceeded_by(header.kind, header.length));
            }
            position += length as u64;
        }
        Ok(false)
    }

    /// Takes the boxes inside a `moof`, with which a new sum begins. Gives the one with which there is more.
    pub fn exceeded_in<'a>(&mut self, moof: &'a BoxNode) -> Option<&'a BoxNode> {
        self.0 = 0;
        self.find(moof)
    }

    fn find<'a>(&mut self, parent: &'a BoxNode) -> Option<&'a BoxNode> {
        parent.boxes().iter().find_map(|node| {
            let is_padding = || node.payload().iter().all(|byte| *byte == 0);
            match is_read(node.kind) || Piff::of(node).is_some() || is_padding() {
                true => self.find(node),
                false => self.is_exceeded_by(node.kind, node.len() as u64).then_some(node),
            }
        })
    }

    fn is_exceeded_by(&mut self, kind: FourCc, length: u64) -> bool {
        self.0 = self.0.saturating_add(length);
        self.0 > MAX_UNREAD_BYTES || kind.0 == *MEDIA
    }

    /// As [`UnreadBytes::exceeded_by`].
    ///
    /// # Errors
    /// When there is more, or the box cannot be read.
    pub(in crate::package) fn check_copied(&mut self, header: &BoxHeader, source: &dyn Source) -> Result<()> {
        match self.exceeded_by(header, source)? {
            true => Err(unread(header.kind, header.length).at_byte(header.position)),
            false => Ok(()),
        }
    }

    /// As [`UnreadBytes::exceeded_in`].
    ///
    /// # Errors
    /// When there is more.
    pub(in crate::package) fn check_boxes(&mut self, moof: &BoxNode) -> Result<()> {
        self.exceeded_in(moof).map_or(Ok(()), |node| Err(unread(node.kind, node.len() as u64)))
    }
}

fn is_read(kind: FourCc) -> bool {
    READ.iter().any(|known| kind.0 == **known)
}

fn unread(kind: FourCc, length: u64) -> Error {
    Error::unsupported(format!(
        "box {kind} of {length} bytes, with which there are more than {MAX_UNREAD_BYTES} in boxes that no player reads: they \
         may be media, and would stay clear"
    ))
    .clause("ISO/IEC 14496-12 §8.1.2")
    .hint("leave such boxes out")
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "the vectors hold ranges, not their members")]
mod tests {
    use super::*;
    use crate::isobmff::samples::Sample;

    fn fragment(ranges: &[Range<u64>]) -> TrackFragment {
        let sample = |range: &Range<u64>| Sample {
            position: range.start,
            size: u32::try_from(range.end - range.start).unwrap(),
            decode_time: 0,
            duration: 1,
            composition_time_offset: 0,
            flags: 0,
            sample_description_index: 1,
        };
        TrackFragment {
            track_id: 1,
            samples: ranges.iter().map(sample).collect(),
            runs: Vec::new(),
            auxiliary_base: 0,
            decode_time_is_stated: true,
        }
    }

    #[test]
    fn every_byte_belongs_to_one_sample_of_some_track() {
        let check = |tracks: &[&[Range<u64>]]| {
            let fragments: Vec<_> = tracks.iter().map(|ranges| fragment(ranges)).collect();
            check_covered(&fragments, 10..30).map_err(|error| error.to_string())
        };
        check(&[&[10..20, 20..30]]).unwrap();
        check(&[&[20..25, 10..15], &[25..30, 15..20, 17..17]]).unwrap();
        for (tracks, byte) in [
            (&[][..], 10),
            (&[&[10..20][..]], 20),
            (&[&[15..30]], 10),
            (&[&[10..12, 13..30]], 12),
            (&[&[10..20], &[25..30]], 20),
        ] {
            assert!(check(tracks).unwrap_err().starts_with(&format!("byte {byte}: ")), "{tracks:?}");
        }
        assert!(check(&[&[10..21, 20..30]]).unwrap_err().contains("goes on where another begins, at 20"));
    }

    #[test]
    fn a_large_box_is_padding_or_read_by_players_or_refused() {
        let check = |kind: &[u8; 4], payload: Vec<u8>| {
            let bytes = BoxNode::data(kind, payload).to_bytes();
            let header = BoxHeader::read(&bytes, 0).unwrap().unwrap();
            let moof = BoxNode::container(b"moof", vec![BoxNode::parse_one(&bytes).unwrap()]);
            let found = UnreadBytes::default().check_copied(&header, &bytes).is_ok();
            assert_eq!(UnreadBytes::default().check_boxes(&moof).is_ok(), found);
            found
        };
        let media = vec![7; 70_000];
        for kind in [b"free", b"skip", b"uuid", b"abcd"] {
            assert!(!check(kind, media.clone()));
            assert!(check(kind, media[..60_000].to_vec()));
            assert!(check(kind, vec![0; 200_000]));
        }
        assert!(!check(MEDIA, media[..10].to_vec()));
        assert!(check(b"emsg", media));
    }

    #[test]
    fn boxes_that_no_player_reads_are_counted_together_up_to_the_next_fragment() {
        let one = BoxNode::data(b"free", vec![7; 30_000]);
        let bytes = one.to_bytes();
        let header = BoxHeader::read(&bytes, 0).unwrap().unwrap();
        let moof = |count| BoxNode::container(b"moof", vec![one.clone(); count]);
        let mut unread = UnreadBytes::default();
        for _ in 0..3 {
            unread.check_boxes(&moof(1)).unwrap();
            unread.check_copied(&header, &bytes).unwrap();
        }
        assert!(unread.check_copied(&header, &bytes).is_err());
        unread.check_boxes(&moof(2)).unwrap();
        assert!(unread.check_boxes(&moof(3)).is_err());
    }
}
