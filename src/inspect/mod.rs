//! What a file says, as a tree for people and programs; it is told by its content and keys are never shown.
//!
//! A describer for each format makes [`Node`]s; [`text`] and JSON (a [`Node`] serializes) show the same names.
//! [`presentation`] draws a whole presentation from its manifests and segments.

mod boxes;
mod codec_boxes;
mod cpix;
mod node;
mod packed_audio;
mod playlist;
pub mod presentation;
mod pssh;
mod sample_boxes;
mod samples;
mod tree;
mod ts;
mod ts_program;
mod xml;

pub use node::{Node, Value, text};

use crate::base::env::Source;
use crate::base::{Error, Result, from_base64};
use crate::cpix as cpix_document;

use node::Budget;

/// Whether each sample is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// Only how many there are.
    Counted,
    /// Decode time, size, IV, key id and subsamples of each.
    Listed,
}

/// What was read of a file, and what ended the reading.
#[derive(Debug)]
pub struct Inspected {
    /// The file.
    pub node: Node,
    /// The first thing that is wrong in it.
    pub error: Option<Error>,
}

/// Largest document that is read whole: manifests, CPIX, text.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;
/// Bytes from which the format is told.
const HEAD_BYTES: u64 = 4096;

/// Reads as much of a file as can be read.
///
/// # Errors
/// When its format is none that is known, or nothing of it can be read.
pub fn inspect(source: &dyn Source, samples: Samples) -> Result<Inspected> {
    let head = read(source, 0, source.len().min(HEAD_BYTES))?;
    if ts::is_transport_stream(&head) {
        return ts::describe(source);
    }
    if tree::is_boxes(&head) {
        return Ok(tree::describe(source, samples));
    }
    if packed_audio::is_packed_audio(&head) {
        return packed_audio::describe(source);
    }
    if source.len() > MAX_DOCUMENT_BYTES {
        return Err(Error::unsupported(format!(
            "a document of {} bytes, at most {MAX_DOCUMENT_BYTES} are read",
            source.len()
        )));
    }
    let bytes = read(source, 0, source.len())?;
    if let Some(whole) = document(&bytes)? {
        return Ok(whole);
    }
    let decoded = text_form(&bytes).ok_or_else(unknown)?;
    if tree::is_boxes(&decoded) {
        return Ok(tree::describe(&decoded, samples));
    }
    document(&decoded)?.ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::unsupported("no format that is known").hint(
        "boxes, playlists, MPDs, CPIX documents, transport streams, packed audio, DRM data and their base64 or hex are",
    )
}

/// A playlist, an XML document, key tags, or data of a DRM system.
fn document(bytes: &[u8]) -> Result<Option<Inspected>> {
    let mut budget = Budget::default();
    let text = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes).trim_ascii_start();
    let node = if text.starts_with(b"#EXTM3U") {
        return playlist::describe(bytes, &mut budget).map(Some);
    } else if text.starts_with(b"#EXT-X-KEY:") || text.starts_with(b"#EXT-X-SESSION-KEY:") {
        playlist::describe_tags(text, &mut budget)?
    } else if let Some(node) = pssh::payload(bytes) {
        node
    } else if is_xml(bytes) {
        let document = crate::xml::Document::parse(bytes).map_err(Error::without_quotes)?;
        if document.root().local_name() == "CPIX" {
            cpix::describe(&cpix_document::Original::parse(bytes)?, &mut budget)?
        } else {
            xml::describe(document.root(), &mut budget)
        }
    } else {
        return Ok(None);
    };
    Ok(Some(Inspected { node, error: None }))
}

/// Whether the first character is `<`, in UTF-8 or UTF-16.
fn is_xml(bytes: &[u8]) -> bool {
    let marks: [&[u8]; 3] = [&[0xef, 0xbb, 0xbf], &[0xff, 0xfe], &[0xfe, 0xff]];
    let text = marks.iter().find_map(|mark| bytes.strip_prefix(*mark)).unwrap_or(bytes);
    text.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0) == Some(&b'<')
}

/// The bytes that hexadecimal digits or base64 spell.
fn text_form(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let digits: Vec<u8> =
        digits.bytes().filter(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'-' | b':')).collect();
    if digits.is_empty() {
        return None;
    }
    if digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit) {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pairs = digits.chunks_exact(2).map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        });
        return pairs.collect();
    }
    from_base64(text).ok()
}

/// Reads a range of a file; the caller has bounded its length.
fn read(source: &dyn Source, position: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    source.read_at(position, &mut bytes)?;
    Ok(bytes)
}
