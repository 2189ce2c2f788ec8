//! What the lines of a media playlist name: media initialization sections, segments, partial segments — RFC 8216bis
//! §4.4.4, §4.4.4.5, §4.4.4.9.

use std::ops::Range;

use super::line::Playlist;
use super::media::{media_sequence, segments};
use super::partial_segments;
use crate::base::Result;

/// A kind of what is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamedKind {
    /// A media initialization section.
    Map,
    /// A media segment.
    Segment,
    /// A partial segment.
    Part,
}

/// What a line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it is.
    pub kind: NamedKind,
    /// Its place among those of its kind, missing ones counted, from 0.
    pub number: usize,
    /// Index of the line.
    pub line: usize,
    /// The URI, variables replaced.
    pub uri: String,
    /// The sub-range of the resource; `None` is all of it.
    pub byte_range: Option<Range<u64>>,
    /// The media sequence number of the segment that it is, or that it is for: it gives an IV that is not written, §5.2.
    pub sequence: u64,
}

/// Everything that a media playlist names and that is to be there, in the order of lines.
///
/// # Errors
/// As [`segments`] and [`partial_segments`](super::partial_segments()).
pub fn named(playlist: &Playlist) -> Result<Vec<Named>> {
    let (first, segments) = (media_sequence(playlist)?, segments(playlist)?);
    let sequence = |segment: usize| first.saturating_add(segment as u64);
    let mut found = Vec::with_capacity(segments.len());
    for (number, part) in partial_segments(playlist)?.into_iter().enumerate().filter(|(_, part)| !part.gap) {
        let parent = segments.partition_point(|segment| segment.line < part.line);
        let (kind, sequence) = (NamedKind::Part, sequence(parent));
        let (line, uri, byte_range) = (part.line, part.uri, part.byte_range);
        found.push(Named { kind, number, line, uri, byte_range, sequence });
    }
    let (mut maps, mut known_map) = (0, None);
    for (number, segment) in segments.into_iter().enumerate() {
        if let Some(map) = segment.map.filter(|map| known_map.replace(map.line) != Some(map.line)) {
            let (kind, line, uri) = (NamedKind::Map, map.line, map.uri.clone());
            let (byte_range, sequence) = (map.byte_range.clone(), sequence(number));
            found.push(Named { kind, number: maps, line, uri, byte_range, sequence });
            maps += 1;
        }
        if !segment.gap {
            let (kind, sequence) = (NamedKind::Segment, sequence(number));
            let (line, uri, byte_range) = (segment.line, segment.uri, segment.byte_range);
            found.push(Named { kind, number, line, uri, byte_range, sequence });
        }
    }
    found.sort_by_key(|named| named.line);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_found_in_order_with_the_sequence_number_of_its_segment() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"a\"\n\
            #EXT-X-PART:DURATION=1,URI=\"p\"\n#EXTINF:2,\n0\n#EXTINF:2,\n#EXT-X-GAP\n1\n#EXT-X-MAP:URI=\"b\"\n\
            #EXTINF:2,\n#EXT-X-BYTERANGE:5@3\n2\n#EXT-X-PART:DURATION=1,URI=\"q\"\n";
        let playlist = Playlist::parse(text.as_bytes()).unwrap();
        let found = named(&playlist).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|n| (n.kind, n.number, n.uri.as_str(), n.byte_range.clone(), n.sequence))
            .collect();
        let (map, part, segment) = (NamedKind::Map, NamedKind::Part, NamedKind::Segment);
        let expected = [
            (map, 0, "a", None, 7),
            (part, 0, "p", None, 7),
            (segment, 0, "0", None, 7),
            (map, 1, "b", None, 9),
            (segment, 2, "2", Some(3..8), 9),
            (part, 1, "q", None, 10),
        ];
        assert_eq!(found, expected);
    }
}
