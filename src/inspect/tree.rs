//! The boxes of a file, header by header — ISO/IEC 14496-12 §4.2; media data is not read.

use std::ops::Range;

use crate::base::env::Source;
use crate::base::{Error, FourCc};
use crate::isobmff::{BoxNode, MAX_DEPTH, container_fields};

use super::node::{Budget, Node};
use super::samples::{Facts, list_fragment, list_table};
use super::{Inspected, Samples, boxes, read, sample_boxes};

/// Most bytes of a box that are read for its fields.
const MAX_FIELDS_BYTES: u64 = 1 << 16;
/// Largest `moov` or `moof` whose samples are listed.
const MAX_LISTED_BYTES: u64 = 64 << 20;

/// Most boxes of one segment of a picture.
const MAX_OUTLINE_NODES: usize = 200;

/// Whether a file begins with the header of a box.
pub(super) fn is_boxes(head: &[u8]) -> bool {
    let Some([s0, s1, s2, s3, kind @ ..]) = head.first_chunk::<8>() else { return false };
    let size = u32::from_be_bytes([*s0, *s1, *s2, *s3]);
    let is_type = |kind: &[u8]| kind.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b' ');
    // The boxes that a file may begin with are known; text and random bytes seldom spell one.
    let known: &[&[u8; 4]] = &[
        b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"pssh", b"emsg", b"prft", b"free", b"skip",
        b"wide", b"uuid", b"mfra", b"ssix", b"meta", b"pdin",
    ];
    is_type(kind) && !(2..8).contains(&size) && known.iter().any(|known| known.as_slice() == kind)
}

/// The tree of a file.
pub(super) fn describe(source: &dyn Source, samples: Samples) -> Inspected {
    let mut walk = Walk {
        source,
        samples,
        budget: Budget::default(),
        error: None,
        handler: FourCc([0; 4]),
        facts: Facts::default(),
    };
    let mut node = Node { range: Some(0..source.len()), ..Node::new("file") };
    walk.boxes(&mut node, 0..source.len(), 0);
    Inspected { node, error: walk.error }
}

/// The boxes of a range of a file, such as one segment.
pub(super) fn outline(source: &dyn Source, range: Range<u64>) -> Node {
    let mut walk = Walk {
        source,
        samples: Samples::Counted,
        budget: Budget::new(MAX_OUTLINE_NODES),
        error: None,
        handler: FourCc([0; 4]),
        facts: Facts::default(),
    };
    let mut node = Node { range: Some(range.clone()), ..Node::new("segment") };
    walk.boxes(&mut node, range.start..range.end.min(source.len()), 0);
    node
}

struct Walk<'a> {
    source: &'a dyn Source,
    samples: Samples,
    budget: Budget,
    /// The first thing that is wrong.
    error: Option<Error>,
    /// `handler_type` of the track at hand, which says what its sample entries are.
    handler: FourCc,
    /// What `moov` says about the samples of fragments.
    facts: Facts,
}

/// A header as it stands; the end is that of the parent when the size states more.
struct Header {
    kind: FourCc,
    payload: u64,
    end: u64,
    stated: u64,
}

impl Walk<'_> {
    fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// The boxes that fill a range.
    fn boxes(&mut self, parent: &mut Node, range: Range<u64>, depth: usize) {
        let mut position = range.start;
        while range.end.saturating_sub(position) >= 8 {
            let header = match self.header(position, range.end, depth) {
                Ok(header) => header,
                Err(error) => return self.fail(error.at_byte(position)),
            };
            if header.stated > range.end - position {
                let available = range.end - position;
                let what =
                    format!("box {} states {} bytes, {available} are there", header.kind, header.stated);
                self.fail(Error::input(what).clause("ISO/IEC 14496-12 §4.2").at_byte(position));
            }
            if self.budget.admits(parent) {
                let child = self.one(position, &header, depth);
                parent.children.push(child);
            }
            position = header.end;
        }
        let rest = range.end.saturating_sub(position);
        if rest > 0 {
            parent.set("trailing_bytes", rest);
            if depth == 0 {
                let what = format!("{rest} bytes after the last box, a box header has 8");
                self.fail(Error::input(what).clause("ISO/IEC 14496-12 §4.2").at_byte(position));
            }
        }
    }

    fn header(&self, position: u64, end: u64, depth: usize) -> crate::base::Result<Header> {
        if depth > MAX_DEPTH {
            return Err(Error::input(format!("boxes nest deeper than {MAX_DEPTH}")));
        }
        let bytes = read(self.source, position, (end - position).min(16))?;
        let mut reader = crate::base::bytes::Reader::new(&bytes);
        let (size, kind) = (reader.u32()?, reader.fourcc()?);
        let (header, stated) = match size {
            0 if depth == 0 => (8, end - position),
            1 => (16, reader.u64()?),
            size => (8, u64::from(size)),
        };
        if stated < header {
            return Err(Error::input(format!("box {kind} states {stated} bytes, its header has {header}"))
                .clause("ISO/IEC 14496-12 §4.2"));
        }
        let end = position.saturating_add(stated).min(end);
        Ok(Header { kind, payload: (position + header).min(end), end, stated })
    }

    fn one(&mut self, position: u64, header: &Header, depth: usize) -> Node {
        let mut node = Node { range: Some(position..header.end), ..Node::new(header.kind.to_string()) };
        let is = |kind: &[u8; 4]| header.kind.0 == *kind;
        if is(b"trak") {
            self.handler = FourCc([0; 4]);
        }
        if is(b"moov") {
            let moov = self.whole(position, header);
            self.facts = moov.as_ref().map(Facts::of).unwrap_or_default();
        }
        self.fields(position, header, &mut node);
        // Where data is referred to is shown as well, though nothing here edits it: §8.7.
        let fields = match &header.kind.0 {
            b"dinf" => Some(0),
            b"dref" => Some(8),
            _ => container_fields(header.kind),
        };
        if let Some(fields) = fields {
            let children = header.payload + fields as u64..header.end;
            if is(b"stsd") {
                self.entries(&mut node, children, depth + 1);
            } else {
                self.boxes(&mut node, children, depth + 1);
            }
        }
        if self.samples == Samples::Listed && (is(b"moov") || is(b"moof")) {
            self.list(position, header, &mut node);
        }
        node
    }

    /// The whole box as a tree, when it is whole and not too large.
    fn whole(&self, position: u64, header: &Header) -> Option<BoxNode> {
        let length = header.end - position;
        if length > MAX_LISTED_BYTES || header.stated != length {
            return None;
        }
        BoxNode::parse_one(&read(self.source, position, length).ok()?).ok()
    }

    fn fields(&mut self, position: u64, header: &Header, node: &mut Node) {
        if !boxes::is_known(header.kind) {
            return;
        }
        let length = header.end.saturating_sub(header.payload).min(MAX_FIELDS_BYTES);
        let described = read(self.source, header.payload, length).and_then(|payload| {
            if header.kind.0 == *b"pssh" {
                let whole = read(self.source, position, (header.end - position).min(MAX_FIELDS_BYTES))?;
                super::pssh::fields(&whole, node);
            }
            if header.kind.0 == *b"hdlr" {
                self.handler = boxes::handler_type(&payload)?;
            }
            boxes::describe(header.kind, &payload, node)
        });
        if let Err(error) = described {
            self.fail(error.at(header.kind).at_byte(position));
        }
    }

    /// The sample entries of `stsd`.
    fn entries(&mut self, stsd: &mut Node, range: Range<u64>, depth: usize) {
        let mut position = range.start;
        while range.end.saturating_sub(position) >= 8 {
            let header = match self.header(position, range.end, depth) {
                Ok(header) => header,
                Err(error) => return self.fail(error.at("stsd").at_byte(position)),
            };
            if self.budget.admits(stsd) {
                let entry = self.entry(position, &header, depth);
                stsd.children.push(entry);
            }
            position = header.end;
        }
    }

    fn entry(&mut self, position: u64, header: &Header, depth: usize) -> Node {
        let mut node = Node { range: Some(position..header.end), ..Node::new(header.kind.to_string()) };
        let described = read(self.source, position, (header.end - position).min(MAX_FIELDS_BYTES))
            .and_then(|bytes| sample_boxes::describe(&bytes, self.handler, &mut node));
        match described {
            Ok(Some(fields)) => self.boxes(&mut node, position.saturating_add(fields)..header.end, depth + 1),
            Ok(None) => {}
            Err(error) => self.fail(error.at("stsd").at_byte(position)),
        }
        node
    }

    /// Adds the samples to the tracks of `moov` and the track fragments of `moof`.
    fn list(&mut self, position: u64, header: &Header, node: &mut Node) {
        let Some(whole) = self.whole(position, header) else { return };
        let listed = if header.kind.0 == *b"moov" {
            list_table(self.source, &whole, node, &self.facts, &mut self.budget)
        } else {
            list_fragment(&whole, position, node, &self.facts, &mut self.budget)
        };
        if let Err(error) = listed {
            self.fail(error.at_byte(position));
        }
    }
}
