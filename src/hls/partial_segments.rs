//! Partial segments and preload hints — RFC 8216bis §4.4.4.9, §4.4.5.3.

use std::ops::Range;
use std::sync::Arc;

use super::attributes::Attributes;
use super::byte_range::ByteRange;
use super::define::Variables;
use super::line::{Playlist, place};
use super::media::{Edit, Map, NewRange, continuation, map};
use crate::base::{Error, Result};

/// What an `EXT-X-PART` tag names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSegment {
    /// Index of the tag's line.
    pub line: usize,
    /// The URI, variables replaced.
    pub uri: String,
    /// The sub-range of the resource; `None` is all of it.
    pub byte_range: Option<Range<u64>>,
    /// `GAP=YES`: the resource may be missing.
    pub gap: bool,
    /// The media initialization section in force.
    pub map: Option<Arc<Map>>,
}

/// Every partial segment in order.
///
/// # Errors
/// When a tag is malformed, a byte range is unknown, or a variable has no value here.
pub fn partial_segments(playlist: &Playlist) -> Result<Vec<PartialSegment>> {
    let mut variables = Variables::of(playlist)?;
    let (mut in_force, mut before, mut parts) = (None, None, Vec::new());
    for (index, line) in playlist.lines().iter().enumerate() {
        if let Some(value) = line.value("EXT-X-MAP") {
            let map = variables.attributes(value).and_then(|attributes| map(index, &attributes));
            in_force = Some(Arc::new(map.map_err(|error| error.at("EXT-X-MAP").at(place(index)))?));
        }
        let Some(value) = line.value("EXT-X-PART") else { continue };
        let part = variables.attributes(value).and_then(|attributes| {
            let uri = uri_of(&attributes)?.to_owned();
            let written = attributes.quoted_string("BYTERANGE")?.map(ByteRange::parse).transpose()?;
            let next = continuation(before.as_ref(), &uri);
            let byte_range = written.map(|written| written.resolve(next)).transpose()?;
            let gap = attributes.enumerated_string("GAP")? == Some("YES");
            Ok(PartialSegment { line: index, uri, byte_range, gap, map: in_force.clone() })
        });
        let part = part.map_err(|error| error.at("EXT-X-PART").at(place(index)))?;
        before = part.byte_range.as_ref().map(|range| (part.uri.clone(), range.end));
        parts.push(part);
    }
    Ok(parts)
}

fn uri_of(attributes: &Attributes) -> Result<&str> {
    let uri = attributes.quoted_string("URI")?;
    uri.ok_or_else(|| Error::input("no URI").clause("RFC 8216bis §4.4.4.9, §4.4.5.3"))
}

/// New values of tags whose byte ranges have moved.
pub(super) fn edits(playlist: &Playlist, new_range: &mut NewRange<'_>) -> Result<Vec<Edit>> {
    let mut edits = part_edits(playlist, new_range)?;
    let mut variables = Variables::of(playlist)?;
    for (index, value) in playlist.tags("EXT-X-PRELOAD-HINT") {
        let edit = hint_edit(value, &mut variables, new_range);
        let edit = edit.map_err(|error| error.at("EXT-X-PRELOAD-HINT").at(place(index)))?;
        edits.extend(edit.map(|value| (index, value)));
    }
    Ok(edits)
}

fn part_edits(playlist: &Playlist, new_range: &mut NewRange<'_>) -> Result<Vec<Edit>> {
    let (mut before, mut edits) = (None, Vec::new());
    let parts = partial_segments(playlist)?;
    for (part, (index, value)) in parts.iter().zip(playlist.tags("EXT-X-PART")) {
        let Some(range) = &part.byte_range else {
            before = None;
            continue;
        };
        let mut edit = || -> Result<(Option<String>, u64)> {
            let mut attributes = Attributes::parse(value)?;
            let moved_range = new_range(&part.uri, range.clone())?;
            let next = continuation(before.as_ref(), &part.uri);
            let has_offset = attributes.raw("BYTERANGE").is_some_and(|value| value.contains('@'));
            let written = ByteRange {
                length: range.end.saturating_sub(range.start),
                offset: has_offset.then_some(range.start),
            };
            let moved = written.moved_to(&moved_range, next)?;
            if moved == written {
                return Ok((None, moved_range.end));
            }
            attributes.set_quoted_string("BYTERANGE", &moved.to_string())?;
            Ok((Some(attributes.as_str().to_owned()), moved_range.end))
        };
        let (value, end) = edit().map_err(|error| error.at("EXT-X-PART").at(place(index)))?;
        before = Some((part.uri.clone(), end));
        edits.extend(value.map(|value| (index, value)));
    }
    Ok(edits)
}

/// What a preload hint names, and its bytes. Without `BYTERANGE-LENGTH` they reach to the end of the resource, wherever
/// that will be, and are none yet.
pub(super) fn hint(value: &str, variables: &mut Variables) -> Result<Option<(String, Option<Range<u64>>)>> {
    let attributes = variables.attributes(value)?;
    let Some(start) = attributes.decimal_integer("BYTERANGE-START")? else {
        return Ok(attributes.quoted_string("URI")?.map(|uri| (uri.to_owned(), None)));
    };
    let length = attributes.decimal_integer("BYTERANGE-LENGTH")?.unwrap_or(0);
    let range = ByteRange { length, offset: Some(start) }.resolve(None)?;
    Ok(Some((uri_of(&attributes)?.to_owned(), Some(range))))
}

fn hint_edit(value: &str, variables: &mut Variables, new_range: &mut NewRange<'_>) -> Result<Option<String>> {
    let substituted = variables.attributes(value)?;
    let Some(start) = substituted.decimal_integer("BYTERANGE-START")? else { return Ok(None) };
    let length = substituted.decimal_integer("BYTERANGE-LENGTH")?;
    let written = ByteRange { length: length.unwrap_or(0), offset: Some(start) };
    let moved = new_range(uri_of(&substituted)?, written.resolve(None)?)?;
    let mut attributes = Attributes::parse(value)?;
    if moved.start != start {
        attributes.set_unquoted("BYTERANGE-START", &moved.start.to_string())?;
    }
    let moved_length = moved.end.saturating_sub(moved.start);
    if length.is_some_and(|length| length != moved_length) {
        attributes.set_unquoted("BYTERANGE-LENGTH", &moved_length.to_string())?;
    }
    Ok((attributes.as_str() != value).then(|| attributes.as_str().to_owned()))
}
