//! What the lines of a media playlist name: media initialization sections, segments, partial segments, hints — RFC
//! 8216bis §4.4.4, §4.4.4.5, §4.4.4.9, §4.4.5.3.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::attributes::Attributes;
use super::define::Variables;
use super::line::{LineKind, Playlist, place};
use super::media::{Map, map, media_sequence, segments};
use super::partial_segments;
use super::partial_segments::hint;
use crate::base::Result;

/// A kind of what is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// A media initialization section.
    Map,
    /// A media segment.
    Segment,
    /// A partial segment.
    Part,
    /// What a preload hint announces; it may not be there yet.
    Hint,
}

/// What a line names.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceRef {
    /// What it is.
    pub kind: ResourceKind,
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
    /// Whether it need not be there: `EXT-X-GAP`, `GAP=YES`, a hint, a map that only such segments have.
    pub gap: bool,
    /// Seconds of the playlist before the segment that it is, or that it is for.
    pub begins: f64,
    /// Seconds; 0 of what is no segment.
    pub duration: f64,
    /// The line of the media initialization section in force.
    pub map: Option<usize>,
}

/// Everything that a media playlist names, in the order of lines.
///
/// # Errors
/// As [`segments`] and [`partial_segments`](super::partial_segments()).
pub fn resource_refs(playlist: &Playlist) -> Result<Vec<ResourceRef>> {
    let (first, segments) = (media_sequence(playlist)?, segments(playlist)?);
    let mut begins = Vec::with_capacity(segments.len() + 1);
    let mut end = 0.0;
    for segment in &segments {
        begins.push(end);
        end += segment.duration;
    }
    // What a line is for: the segment behind it, or the next one to come.
    let make = |kind, number, line: usize, uri: String, byte_range| {
        let parent = segments.partition_point(|segment| segment.line < line);
        let sequence = first.saturating_add(parent as u64);
        let begins = begins.get(parent).copied().unwrap_or(end);
        ResourceRef {
            kind,
            number,
            line,
            uri,
            byte_range,
            sequence,
            gap: false,
            begins,
            duration: 0.0,
            map: None,
        }
    };
    let mut found = Vec::with_capacity(segments.len());
    // The lines of maps that something has which is there.
    let mut used = HashSet::new();
    let mut note = |map: Option<&Arc<Map>>, gap: bool| {
        let line = map?.line;
        if !gap {
            used.insert(line);
        }
        Some(line)
    };
    for (number, part) in partial_segments(playlist)?.into_iter().enumerate() {
        let map = note(part.map.as_ref(), part.gap);
        let resource_refs = make(ResourceKind::Part, number, part.line, part.uri, part.byte_range);
        found.push(ResourceRef { gap: part.gap, map, ..resource_refs });
    }
    for (number, segment) in segments.iter().enumerate() {
        let map = note(segment.map.as_ref(), segment.gap);
        let range = segment.byte_range.clone();
        let resource_refs = make(ResourceKind::Segment, number, segment.line, segment.uri.clone(), range);
        found.push(ResourceRef { gap: segment.gap, duration: segment.duration, map, ..resource_refs });
    }
    let mut variables = Variables::of(playlist)?;
    for (number, (line, value)) in playlist.tags("EXT-X-MAP").enumerate() {
        let map = variables.attributes(value).and_then(|attributes| map(line, &attributes));
        let Map { uri, byte_range, .. } = map.map_err(|error| error.at("EXT-X-MAP").at(place(line)))?;
        let resource_refs = make(ResourceKind::Map, number, line, uri, byte_range);
        found.push(ResourceRef { gap: !used.contains(&line), ..resource_refs });
    }
    for (number, (line, value)) in playlist.tags("EXT-X-PRELOAD-HINT").enumerate() {
        let hint =
            hint(value, &mut variables).map_err(|error| error.at("EXT-X-PRELOAD-HINT").at(place(line)));
        if let Some((uri, range)) = hint? {
            found.push(ResourceRef { gap: true, ..make(ResourceKind::Hint, number, line, uri, range) });
        }
    }
    found.sort_by_key(|resource_refs| resource_refs.line);
    Ok(found)
}

/// Tags whose URIs are read elsewhere, or mean no file of the presentation.
const READ_ELSEWHERE: &[&str] = &[
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-IMAGE-STREAM-INF",
    "EXT-X-KEY",
    "EXT-X-MAP",
    "EXT-X-MEDIA",
    "EXT-X-PART",
    "EXT-X-PRELOAD-HINT",
    "EXT-X-RENDITION-REPORT",
    "EXT-X-SESSION-DATA",
    "EXT-X-SESSION-KEY",
];

/// Attributes of an interstitial (`EXT-X-DATERANGE`) that name what is played in its place: a presentation, or a list of
/// them in JSON, appendix D.
pub const ASSET_URI: &str = "X-ASSET-URI";
/// See [`ASSET_URI`].
pub const ASSET_LIST: &str = "X-ASSET-LIST";

/// A URI in a tag that is no part of the presentation's own media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherUri {
    /// Index of the line.
    pub line: usize,
    /// The tag.
    pub tag: String,
    /// The attribute.
    pub attribute: String,
    /// The URI, variables replaced.
    pub uri: String,
}

/// The URIs of tags that are not known: clients ignore such tags, others find files there (§6.3.1).
pub fn other_uris(playlist: &Playlist) -> Vec<OtherUri> {
    let Ok(mut variables) = Variables::of(playlist) else { return Vec::new() };
    let mut found = Vec::new();
    for (line, text) in playlist.lines().iter().enumerate() {
        let LineKind::Tag { name, value } = text.kind() else { continue };
        if READ_ELSEWHERE.contains(&name) || !["URI=", ASSET_LIST].iter().any(|part| value.contains(part)) {
            continue;
        }
        // What is no list of attributes has no URI.
        let Some(list): Option<Attributes> = variables.attributes(value).ok() else { continue };
        let names = |name: &&str| *name == "URI" || name.ends_with("-URI") || *name == ASSET_LIST;
        for attribute in list.names().filter(names) {
            let uri = list.quoted_string(attribute).ok().flatten().map(str::to_owned);
            let (tag, attribute) = (name.to_owned(), attribute.to_owned());
            found.extend(uri.map(|uri| OtherUri { line, tag, attribute, uri }));
        }
    }
    found
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
        let found = resource_refs(&playlist).unwrap();
        let found: Vec<_> = found
            .iter()
            .filter(|n| !n.gap)
            .map(|n| (n.kind, n.number, n.uri.as_str(), n.byte_range.clone(), n.sequence))
            .collect();
        let (map, part, segment) = (ResourceKind::Map, ResourceKind::Part, ResourceKind::Segment);
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
