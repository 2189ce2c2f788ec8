//! Media playlists — RFC 8216bis §4.4.3, §4.4.4.

use std::ops::Range;
use std::sync::Arc;

use super::attributes::{Attributes, decimal_floating_point, decimal_integer};
use super::byte_range::ByteRange;
use super::define::Variables;
use super::key::{self, Key};
use super::line::{LineKind, Playlist, place};
use super::partial_segments;
use super::version;
use crate::base::{Error, Result};

pub use super::write_images::Tiles;
pub use super::write_media::{MediaPlaylist, Resource, write};

/// Tags that belong to the media segment behind them: §4.4.4; dates stand among them.
pub(super) const SEGMENT_TAGS: &[&str] = &[
    "EXTINF",
    "EXT-X-BITRATE",
    "EXT-X-BYTERANGE",
    "EXT-X-DATERANGE",
    "EXT-X-DISCONTINUITY",
    "EXT-X-GAP",
    "EXT-X-PART",
    "EXT-X-PRELOAD-HINT",
    "EXT-X-PROGRAM-DATE-TIME",
    "EXT-X-SKIP",
];

/// One media segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Index of the URI's line.
    pub line: usize,
    /// The URI, variables replaced.
    pub uri: String,
    /// The sub-range of the resource; `None` is all of it.
    pub byte_range: Option<Range<u64>>,
    /// Seconds.
    pub duration: f64,
    /// `EXT-X-GAP`: the resource may be missing.
    pub gap: bool,
    /// The media initialization section in force; segments share it.
    pub map: Option<Arc<Map>>,
}

/// `EXT-X-MAP`, a media initialization section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Index of the tag's line.
    pub line: usize,
    /// The URI, variables replaced.
    pub uri: String,
    /// The sub-range of the resource; `None` is all of it.
    pub byte_range: Option<Range<u64>>,
}

/// What has been read of the next segment, and what reaches on from those before.
#[derive(Default)]
struct Pending {
    duration: Option<f64>,
    byte_range: Option<ByteRange>,
    gap: bool,
    map: Option<Arc<Map>>,
    /// URI of the segment before, and where its byte range ended.
    before: Option<(String, u64)>,
}

/// Every media segment in order.
///
/// # Errors
/// When a tag is malformed, a segment has no duration or an unknown byte range, a variable has no
/// value here, or the playlist is a delta update.
pub fn segments(playlist: &Playlist) -> Result<Vec<Segment>> {
    let mut variables = Variables::of(playlist)?;
    let mut pending = Pending::default();
    let mut segments = Vec::new();
    for (index, line) in playlist.lines().iter().enumerate() {
        match line.kind() {
            LineKind::Tag { name, value } => pending
                .tag(name, value, index, &mut variables)
                .map_err(|error| error.at(name).at(place(index)))?,
            LineKind::Uri(uri) => {
                let segment = variables.substitute(uri).and_then(|uri| pending.segment(index, &uri));
                segments.push(segment.map_err(|error| error.at(place(index)))?);
            }
            LineKind::Comment | LineKind::Blank => {}
        }
    }
    if pending.duration.is_some() || pending.byte_range.is_some() {
        return Err(
            Error::input("the playlist ends before the URI of its last segment").clause("RFC 8216bis §4.4.4")
        );
    }
    Ok(segments)
}

impl Pending {
    fn tag(&mut self, name: &str, value: &str, index: usize, variables: &mut Variables) -> Result<()> {
        match name {
            "EXTINF" => {
                let duration = value.split(',').next().unwrap_or_default();
                self.duration = Some(decimal_floating_point(duration.trim_ascii())?);
            }
            "EXT-X-BYTERANGE" if self.byte_range.is_some() => {
                return Err(
                    Error::input("a second byte range for one segment").clause("RFC 8216bis §4.4.4.2")
                );
            }
            "EXT-X-BYTERANGE" => self.byte_range = Some(ByteRange::parse(value)?),
            "EXT-X-GAP" => self.gap = true,
            "EXT-X-MAP" => self.map = Some(Arc::new(map(index, &variables.attributes(value)?)?)),
            "EXT-X-SKIP" => {
                return Err(Error::unsupported("a playlist delta update leaves segments out")
                    .clause("RFC 8216bis §4.4.5.2")
                    .hint("fetch the full playlist"));
            }
            _ => {}
        }
        Ok(())
    }

    fn segment(&mut self, line: usize, uri: &str) -> Result<Segment> {
        let duration = self
            .duration
            .take()
            .ok_or_else(|| Error::input("media segment without EXTINF").clause("RFC 8216bis §4.4.4.1"))?;
        let next = continuation(self.before.as_ref(), uri);
        let byte_range = self.byte_range.take().map(|written| written.resolve(next)).transpose()?;
        self.before = byte_range.as_ref().map(|range| (uri.to_owned(), range.end));
        let gap = std::mem::take(&mut self.gap);
        Ok(Segment { line, uri: uri.to_owned(), byte_range, duration, gap, map: self.map.clone() })
    }
}

/// Where a byte range without an offset begins: behind that of the segment before, if it has one
/// of the same resource.
pub(super) fn continuation(before: Option<&(String, u64)>, uri: &str) -> Option<u64> {
    before.filter(|(before, _)| before == uri).map(|(_, end)| *end)
}

pub(super) fn map(line: usize, attributes: &Attributes) -> Result<Map> {
    let uri = attributes.quoted_string("URI")?;
    let uri = uri.ok_or_else(|| Error::input("no URI").clause("RFC 8216bis §4.4.4.5"))?;
    let byte_range = match map_byte_range(attributes)? {
        // No sub-range comes before that of a map, so that one without an offset begins the resource.
        Some(written) => Some(written.resolve(Some(0))?),
        None => None,
    };
    Ok(Map { line, uri: uri.to_owned(), byte_range })
}

fn map_byte_range(attributes: &Attributes) -> Result<Option<ByteRange>> {
    let written = attributes.quoted_string("BYTERANGE")?.map(ByteRange::parse);
    written.transpose().map_err(|error| error.at("BYTERANGE"))
}

/// The media sequence number of the first segment: §4.4.3.2.
///
/// # Errors
/// When it is not a decimal-integer.
pub fn media_sequence(playlist: &Playlist) -> Result<u64> {
    let Some((index, value)) = playlist.tags("EXT-X-MEDIA-SEQUENCE").next() else { return Ok(0) };
    decimal_integer(value.trim_ascii()).map_err(|error| error.at("EXT-X-MEDIA-SEQUENCE").at(place(index)))
}

/// Whether each segment is one picture, found inside the segments of another playlist: §4.4.3.6.
pub fn is_i_frames_only(playlist: &Playlist) -> bool {
    playlist.tags("EXT-X-I-FRAMES-ONLY").next().is_some()
}

/// Every `EXT-X-KEY` tag in order.
///
/// # Errors
/// When one is malformed or a variable has no value here.
pub fn keys(playlist: &Playlist) -> Result<Vec<Key>> {
    key::keys(playlist, "EXT-X-KEY")
}

/// Puts every segment under the keys of these finished `EXT-X-KEY` tags, and raises the version
/// as they need it.
///
/// The tags go right behind the first `EXT-X-MAP` if no segment comes before it, else before the
/// first tag of the first segment. Tags with `METHOD=NONE` would end the keys' reach and are
/// removed. A playlist that has just these keys stays as it is.
///
/// # Errors
/// When no key is given, a given line is no `EXT-X-KEY` tag that encrypts, or the segments have
/// other keys already.
pub fn protect(playlist: &mut Playlist, key_lines: &[String]) -> Result<()> {
    let lines = key::checked_lines(key_lines, "EXT-X-KEY")?;
    if lines.is_empty() {
        return Err(Error::usage("no EXT-X-KEY tag to protect the playlist with"));
    }
    let present = playlist.lines().iter().filter(|line| line.value("EXT-X-KEY").is_some());
    if present.map(|line| line.text().trim_ascii()).eq(lines.iter().map(String::as_str)) {
        return version::raise(playlist, 1);
    }
    let position = key_position(playlist);
    set_keys(playlist, vec![(position, lines)])
}

/// Puts `EXT-X-KEY` tags that are finished before these lines; none at a line is `METHOD=NONE`.
pub(super) fn set_keys(playlist: &mut Playlist, tags: Vec<(usize, Vec<String>)>) -> Result<()> {
    let present = keys(playlist)?;
    if let Some(key) = present.iter().find(|key| key.encrypts()) {
        return Err(Error::input("the playlist has keys already, expected clear segments")
            .at("EXT-X-KEY")
            .at(place(key.line)));
    }
    // Tags with METHOD=NONE would end the reach of ours: they go, and lines behind them move up.
    let moved = |index: usize| index - present.partition_point(|key| key.line < index);
    let tags = tags.into_iter().map(|(position, lines)| match lines.as_slice() {
        [] => Ok((moved(position), vec!["#EXT-X-KEY:METHOD=NONE".to_owned()])),
        lines => Ok((moved(position), key::checked_lines(lines, "EXT-X-KEY")?)),
    });
    let tags = tags.collect::<Result<_>>()?;
    playlist.remove_tags("EXT-X-KEY");
    playlist.insert_all(tags);
    version::raise(playlist, 1)
}

/// Puts each segment under keys of its own: the finished `EXT-X-KEY` tags of a run of segments and the line
/// of the URI of its first segment, in order. A run without tags is clear.
///
/// Tags with `METHOD=NONE` are removed. Media initialization sections of sample encryption are clear, so that a map
/// is not stated again behind new keys: §4.4.4.4.
///
/// # Errors
/// When no run has a key, a clear run follows one with keys, or as [`protect`].
pub fn protect_runs(playlist: &mut Playlist, runs: &[(usize, Vec<String>)], may_return: bool) -> Result<()> {
    let first = runs.iter().position(|(_, lines)| !lines.is_empty());
    let Some(first) = first else {
        return Err(Error::usage("no EXT-X-KEY tag to protect the playlist with"));
    };
    let protected = runs.get(first..).unwrap_or_default();
    if !may_return && protected.iter().any(|(_, lines)| lines.is_empty()) {
        return Err(Error::usage("clear segments behind protected ones")
            .clause("RFC 8216bis §4.4.4.4")
            .hint("a clear lead counts the time of the media: end it where another EXT-X-MAP begins, or leave it out"));
    }
    let place = |(index, (line, lines)): (usize, &(usize, Vec<String>))| {
        let is_first = index == 0;
        let position = if is_first { key_position(playlist) } else { behind_segment_before(playlist, *line) };
        (position, lines.clone())
    };
    let tags = runs.iter().enumerate().skip(first).map(place).collect();
    set_keys(playlist, tags)
}

/// The line behind the URI before this one: tags of the segment come after it.
fn behind_segment_before(playlist: &Playlist, uri: usize) -> usize {
    let before = playlist.lines().iter().take(uri).rposition(|line| matches!(line.kind(), LineKind::Uri(_)));
    before.map_or_else(|| key_position(playlist), |line| line + 1)
}

fn key_position(playlist: &Playlist) -> usize {
    let lines = playlist.lines();
    let map = playlist.tags("EXT-X-MAP").next().map(|(index, _)| index);
    let uri = lines.iter().position(|line| matches!(line.kind(), LineKind::Uri(_)));
    if let Some(map) = map.filter(|map| uri.is_none_or(|uri| *map < uri)) {
        return map + 1;
    }
    let first = lines.iter().position(|line| match line.kind() {
        LineKind::Tag { name, .. } => SEGMENT_TAGS.contains(&name) || name == "EXT-X-ENDLIST",
        LineKind::Uri(_) => true,
        LineKind::Comment | LineKind::Blank => false,
    });
    first.unwrap_or(lines.len())
}

/// Removes every `EXT-X-KEY` tag: the segments are clear. The version stays.
pub fn unprotect(playlist: &mut Playlist) {
    playlist.remove_tags("EXT-X-KEY");
}

/// Says where the bytes of a range of a URI are now.
pub type NewRange<'a> = dyn FnMut(&str, Range<u64>) -> Result<Range<u64>> + 'a;

/// Rewrites every byte range of a segment, partial segment, preload hint or map: `new_range` gets the URI as [`segments`] gives
/// it and the range, and returns where its bytes are now.
///
/// A range without an offset stays so while it continues the segment before; numbers that stay
/// the same leave their line as it was. After an error nothing has changed.
///
/// # Errors
/// As [`segments`] and [`partial_segments`](super::partial_segments()), or when `new_range` fails.
pub fn map_byte_ranges(playlist: &mut Playlist, new_range: &mut NewRange<'_>) -> Result<()> {
    let mut edits = segment_edits(playlist, new_range)?;
    edits.extend(map_edits(playlist, new_range)?);
    edits.extend(partial_segments::edits(playlist, new_range)?);
    for (index, value) in edits {
        playlist.set_value(index, &value);
    }
    Ok(())
}

/// Index of a line and the new value of its tag.
pub(super) type Edit = (usize, String);

fn segment_edits(playlist: &Playlist, new_range: &mut NewRange<'_>) -> Result<Vec<Edit>> {
    let segments = segments(playlist)?;
    let mut tags = playlist.tags("EXT-X-BYTERANGE");
    let mut before: Option<(String, u64)> = None;
    let mut edits = Vec::new();
    for segment in &segments {
        let Some(range) = &segment.byte_range else {
            before = None;
            continue;
        };
        // Each segment with a range has one tag, in the same order.
        let Some((index, value)) = tags.next() else { break };
        let written = ByteRange::parse(value)?;
        let at = |error: Error| error.at("EXT-X-BYTERANGE").at(place(index));
        let moved_range = new_range(&segment.uri, range.clone()).map_err(at)?;
        let next = continuation(before.as_ref(), &segment.uri);
        let moved = written.moved_to(&moved_range, next).map_err(at)?;
        if moved != written {
            edits.push((index, moved.to_string()));
        }
        before = Some((segment.uri.clone(), moved_range.end));
    }
    Ok(edits)
}

fn map_edits(playlist: &Playlist, new_range: &mut NewRange<'_>) -> Result<Vec<Edit>> {
    let mut variables = Variables::of(playlist)?;
    let mut edits = Vec::new();
    for (index, value) in playlist.tags("EXT-X-MAP") {
        let at = |error: Error| error.at("EXT-X-MAP").at(place(index));
        let mut as_written = Attributes::parse(value).map_err(at)?;
        let substituted = variables.attributes(value).map_err(at)?;
        let Map { uri, byte_range: Some(range), .. } = map(index, &substituted).map_err(at)? else {
            continue;
        };
        let Some(written) = map_byte_range(&substituted).map_err(at)? else { continue };
        let moved_range = new_range(&uri, range).map_err(at)?;
        let moved = written.moved_to(&moved_range, Some(0)).map_err(at)?;
        if moved != written {
            as_written.set_quoted_string("BYTERANGE", &moved.to_string()).map_err(at)?;
            edits.push((index, as_written.as_str().to_owned()));
        }
    }
    Ok(edits)
}
