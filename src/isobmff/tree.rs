//! The box tree — ISO/IEC 14496-12 §4.2: every byte is kept, known containers have children.

use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// Deepest nesting: moov/trak/mdia/minf/stbl/stsd/encv/sinf/schi/tenc is ten.
pub const MAX_DEPTH: usize = 16;

/// Boxes whose children are read, and the bytes of fields before the first child.
const CONTAINERS: &[(&[u8; 4], usize)] = &[
    (b"edts", 0),
    (b"mdia", 0),
    (b"mfra", 0),
    (b"minf", 0),
    (b"dinf", 0),
    (b"dref", 8),
    (b"moof", 0),
    (b"moov", 0),
    (b"mvex", 0),
    (b"schi", 0),
    (b"sinf", 0),
    (b"stbl", 0),
    (b"stsd", 8),
    (b"traf", 0),
    (b"trak", 0),
];

/// The bytes of fields before the first child of a box of type `kind`; `None` when it has no children.
pub fn container_fields(kind: FourCc) -> Option<usize> {
    CONTAINERS.iter().find(|(container, _)| FourCc(**container) == kind).map(|(_, fields)| *fields)
}

/// How a box wrote its size: §4.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    /// 32 bits.
    Compact,
    /// `size` 1 and a 64-bit `largesize`.
    Large,
    /// `size` 0: to the end of the file.
    ToEnd,
    /// 32 bits that state more than is there: an `mdat` cut off behind its first picture, as the segments of
    /// an I-frame playlist are.
    CutOff(u32),
}

/// One box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxNode {
    /// Its type.
    pub kind: FourCc,
    size: Size,
    /// What follows its header.
    pub body: Body,
}

/// What follows a box header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Bytes that are not divided further.
    Data(Vec<u8>),
    /// A container.
    Children {
        /// Fields before the first child.
        fields: Vec<u8>,
        /// The children in order.
        boxes: Vec<BoxNode>,
        /// Fewer than eight bytes after the last child (QuickTime ends some containers with zeros).
        rest: Vec<u8>,
    },
}

/// Reads the boxes of a whole file or segment.
///
/// # Errors
/// When a box runs past its parent, nests too deeply, or is shorter than its header.
pub fn parse_file(bytes: &[u8]) -> Result<Vec<BoxNode>> {
    let (boxes, rest) = parse_boxes(bytes, 0)?;
    if rest.is_empty() {
        Ok(boxes)
    } else {
        Err(Error::input(format!("{} bytes after the last box, a box header has 8", rest.len()))
            .clause("ISO/IEC 14496-12 §4.2")
            .at_byte((bytes.len() - rest.len()) as u64))
    }
}

/// Writes boxes one after the other.
pub fn write_file(boxes: &[BoxNode]) -> Vec<u8> {
    let mut out = Vec::new();
    boxes.iter().for_each(|node| node.write(&mut out));
    out
}

fn parse_boxes(bytes: &[u8], depth: usize) -> Result<(Vec<BoxNode>, &[u8])> {
    let mut reader = Reader::new(bytes);
    let mut boxes = Vec::new();
    while reader.remaining() >= 8 {
        let start = reader.position() as u64;
        boxes.push(BoxNode::parse(&mut reader, depth).map_err(|error| error.at_byte(start))?);
    }
    Ok((boxes, reader.rest()))
}

impl BoxNode {
    /// A box that holds bytes.
    pub fn data(kind: &[u8; 4], payload: Vec<u8>) -> Self {
        Self { kind: FourCc(*kind), size: Size::Compact, body: Body::Data(payload) }
    }

    /// A container of boxes.
    pub fn container(kind: &[u8; 4], boxes: Vec<Self>) -> Self {
        let body = Body::Children { fields: Vec::new(), boxes, rest: Vec::new() };
        Self { kind: FourCc(*kind), size: Size::Compact, body }
    }

    /// Reads one box that fills `bytes`.
    ///
    /// # Errors
    /// As [`parse_file`]; also when bytes are left.
    pub fn parse_one(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let node = Self::parse(&mut reader, 0)?;
        if reader.remaining() > 0 {
            return Err(Error::input(format!("{} bytes after the box {}", reader.remaining(), node.kind)));
        }
        Ok(node)
    }

    fn parse(reader: &mut Reader<'_>, depth: usize) -> Result<Self> {
        if depth > MAX_DEPTH {
            return Err(Error::input(format!("boxes nest deeper than {MAX_DEPTH}")));
        }
        let available = reader.remaining();
        let size32 = reader.u32()?;
        let kind = reader.fourcc()?;
        let is_cut_off = depth == 0 && kind.0 == *b"mdat" && size32 as usize > available;
        let (size, payload_length) = match size32 {
            0 if depth == 0 => (Size::ToEnd, Some(reader.remaining())),
            size if is_cut_off => (Size::CutOff(size), Some(reader.remaining())),
            1 => (Size::Large, usize::try_from(reader.u64()?).ok().and_then(|size| size.checked_sub(16))),
            size => (Size::Compact, (size as usize).checked_sub(8)),
        };
        let payload = payload_length.filter(|length| *length <= reader.remaining()).ok_or_else(|| {
            Error::input(format!("box {kind} states size {size32}, {available} bytes are there"))
                .clause("ISO/IEC 14496-12 §4.2")
        })?;
        let payload = reader.take(payload)?;
        let body = match container_fields(kind) {
            Some(fields) => Self::parse_children(payload, fields, depth).map_err(|error| error.at(kind))?,
            None => Body::Data(payload.to_vec()),
        };
        Ok(Self { kind, size, body })
    }

    fn parse_children(payload: &[u8], fields: usize, depth: usize) -> Result<Body> {
        let mut reader = Reader::new(payload);
        let fields = reader.take(fields)?.to_vec();
        let (boxes, rest) = parse_boxes(reader.rest(), depth + 1)?;
        Ok(Body::Children { fields, boxes, rest: rest.to_vec() })
    }

    /// Appends the box's bytes; its size is computed, its written form of size is kept where it can hold it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let (size32, large) = match self.size {
            Size::ToEnd => (0, false),
            Size::Large => (1, true),
            Size::CutOff(size) => (size, false),
            Size::Compact => u32::try_from(self.len()).map_or((1, true), |size| (size, false)),
        };
        out.extend(size32.to_be_bytes());
        out.extend(self.kind.0);
        if large {
            out.extend((self.len() as u64).to_be_bytes());
        }
        match &self.body {
            Body::Data(data) => out.extend(data),
            Body::Children { fields, boxes, rest } => {
                out.extend(fields);
                boxes.iter().for_each(|node| node.write(out));
                out.extend(rest);
            }
        }
        debug_assert_eq!(out.len() - start, self.len());
    }

    /// The box's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.write(&mut out);
        out
    }

    /// The box's length in bytes, header included.
    pub fn len(&self) -> usize {
        self.header_length() + self.payload_length()
    }

    fn payload_length(&self) -> usize {
        match &self.body {
            Body::Data(data) => data.len(),
            Body::Children { fields, boxes, rest } => {
                fields.len() + boxes.iter().map(Self::len).sum::<usize>() + rest.len()
            }
        }
    }

    /// The length of the header in bytes: type and size.
    pub fn header_length(&self) -> usize {
        match self.size {
            Size::Large => 16,
            Size::Compact if self.payload_length() + 8 > u32::MAX as usize => 16,
            _ => 8,
        }
    }

    /// Whether the box has a header and nothing else.
    pub fn is_empty(&self) -> bool {
        self.len() <= 8
    }

    /// Whether the box is of this type.
    pub fn is(&self, kind: &[u8; 4]) -> bool {
        self.kind.0 == *kind
    }

    /// The bytes of a box that is not divided further; empty for a container.
    pub fn payload(&self) -> &[u8] {
        match &self.body {
            Body::Data(data) => data,
            Body::Children { .. } => &[],
        }
    }

    /// The children in order; none when the box is not divided further.
    pub fn boxes(&self) -> &[Self] {
        match &self.body {
            Body::Data(_) => &[],
            Body::Children { boxes, .. } => boxes,
        }
    }

    /// The children, to edit; `None` when the box is not divided further.
    pub fn boxes_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.body {
            Body::Data(_) => None,
            Body::Children { boxes, .. } => Some(boxes),
        }
    }

    /// Children of one type in order.
    pub fn all<'a>(&'a self, kind: &[u8; 4]) -> impl Iterator<Item = &'a Self> + use<'a> {
        let kind = FourCc(*kind);
        self.boxes().iter().filter(move |node| node.kind == kind)
    }

    /// Children of one type in order, to edit.
    pub fn all_mut<'a>(&'a mut self, kind: &[u8; 4]) -> impl Iterator<Item = &'a mut Self> + use<'a> {
        let kind = FourCc(*kind);
        self.boxes_mut().into_iter().flatten().filter(move |node| node.kind == kind)
    }

    /// The first descendant along a path of types.
    pub fn find(&self, path: &[&[u8; 4]]) -> Option<&Self> {
        match path {
            [] => Some(self),
            [kind, rest @ ..] => self.all(kind).find_map(|node| node.find(rest)),
        }
    }

    /// The first descendant along a path of types, to edit.
    pub fn find_mut(&mut self, path: &[&[u8; 4]]) -> Option<&mut Self> {
        match path {
            [] => Some(self),
            [kind, rest @ ..] => self.all_mut(kind).find_map(|node| node.find_mut(rest)),
        }
    }

    /// The first descendant along a path of types that must be there.
    ///
    /// # Errors
    /// When it is missing.
    pub fn require(&self, path: &[&[u8; 4]]) -> Result<&Self> {
        self.find(path).ok_or_else(|| {
            let path: Vec<_> = path.iter().map(|kind| FourCc(**kind).to_string()).collect();
            Error::input(format!("box {} is missing", path.join("/")))
                .clause("ISO/IEC 14496-12 §6.2.3")
                .at(self.kind)
        })
    }

    /// Appends a child to a container; anything else is left as it is.
    pub fn push(&mut self, child: Self) {
        if let Some(boxes) = self.boxes_mut() {
            boxes.push(child);
        }
    }

    /// Removes the children for which `remove` is true.
    pub fn remove(&mut self, mut remove: impl FnMut(&Self) -> bool) {
        if let Some(boxes) = self.boxes_mut() {
            boxes.retain(|node| !remove(node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let large = [&[0, 0, 0, 1][..], b"wide", &17_u64.to_be_bytes(), &[9]].concat();
        let stsd = [&[0, 0, 0, 24][..], b"stsd", &[0; 8], &[0, 0, 0, 8], b"avc1"].concat();
        let moov = [&[0, 0, 0, 36][..], b"moov", &stsd, &[0; 4]].concat();
        let last = [&[0; 4][..], b"mdat", &[1, 2, 3]].concat();
        [large, moov, last].concat()
    }

    #[test]
    fn every_form_of_size_is_written_as_it_was_read() {
        let bytes = sample();
        let boxes = parse_file(&bytes).unwrap();
        assert_eq!(write_file(&boxes), bytes);
        assert_eq!(boxes[1].find(&[b"stsd", b"avc1"]).unwrap().len(), 8);
        assert_eq!(boxes[2].payload(), [1, 2, 3]);
    }

    #[test]
    fn an_mdat_that_is_cut_off_is_kept() {
        let bytes = [&[0, 0, 1, 0][..], b"mdat", &[1, 2, 3]].concat();
        assert_eq!(write_file(&parse_file(&bytes).unwrap()), bytes);
    }

    #[test]
    fn truncation_is_an_error_that_names_the_box() {
        let bytes = sample();
        let error = parse_file(&bytes[..30]).unwrap_err().to_string();
        assert_eq!(error, "byte 17: box moov states size 36, 13 bytes are there (ISO/IEC 14496-12 §4.2)");
        for end in 0..bytes.len() {
            let _ = parse_file(&bytes[..end]);
        }
    }

    #[test]
    fn depth_and_tiny_sizes_are_refused() {
        let mut nested = vec![];
        for _ in 0..MAX_DEPTH + 2 {
            let size = u32::try_from(nested.len() + 8).unwrap();
            nested = [&size.to_be_bytes()[..], b"moov", &nested].concat();
        }
        assert!(parse_file(&nested).is_err());
        assert!(parse_file(&[0, 0, 0, 7, b'f', b'r', b'e', b'e']).is_err());
        let zero_child = [&[0, 0, 0, 16][..], b"moov", &[0; 8]].concat();
        assert!(parse_file(&zero_child).is_err());
    }
}
