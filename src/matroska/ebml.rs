//! Elements of EBML — RFC 8794 §4 to §7: ids, sizes, values, and a file that is read through a window.

use std::cell::RefCell;

use crate::base::env::Source;
use crate::base::{Error, Result, remedy};

/// Bytes read at a time.
const WINDOW_BYTES: usize = 64 << 10;
/// Largest element that is read into memory: descriptions of tracks with their configurations.
const MAX_ELEMENT_BYTES: u64 = 16 << 20;

/// Ids of elements: RFC 8794 §11, RFC 9559 §5.
pub(super) mod id {
    pub(crate) const EBML: u32 = 0x1a45_dfa3;
    pub(crate) const DOC_TYPE: u32 = 0x4282;
    pub(crate) const SEGMENT: u32 = 0x1853_8067;
    pub(crate) const INFO: u32 = 0x1549_a966;
    pub(crate) const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
    pub(crate) const TRACKS: u32 = 0x1654_ae6b;
    pub(crate) const CLUSTER: u32 = 0x1f43_b675;
    pub(crate) const CLUSTER_TIMESTAMP: u32 = 0xe7;
    pub(crate) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(crate) const BLOCK_GROUP: u32 = 0xa0;
    pub(crate) const BLOCK: u32 = 0xa1;
    pub(crate) const BLOCK_DURATION: u32 = 0x9b;
    pub(crate) const REFERENCE_BLOCK: u32 = 0xfb;
    pub(crate) const DISCARD_PADDING: u32 = 0x75a2;
    pub(crate) const ENCRYPTED_BLOCK: u32 = 0xaf;
    /// What may follow a cluster whose size is not known, besides another: SeekHead, Info, Tracks, Cues, Attachments,
    /// Chapters, Tags.
    pub(crate) const TOP_LEVEL: [u32; 8] =
        [CLUSTER, 0x114d_9b74, INFO, TRACKS, 0x1c53_bb6b, 0x1941_a469, 0x1043_a770, 0x1254_c367];
}

/// The head of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) id: u32,
    /// Where its data begins.
    pub(super) start: u64,
    /// Where its data ends; `None` when the size is not known: RFC 8794 §6.2.
    pub(super) end: Option<u64>,
}

/// A file, read through a window.
pub(super) struct Reader<'a> {
    source: &'a dyn Source,
    window: RefCell<(u64, Vec<u8>)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        Self { source, window: RefCell::new((0, Vec::new())) }
    }

    pub(super) fn len(&self) -> u64 {
        self.source.len()
    }

    /// At most so many bytes from a position on; fewer at the end of the file.
    pub(super) fn peek<const N: usize>(&self, position: u64) -> Result<([u8; N], usize)> {
        let left = usize::try_from(self.len().saturating_sub(position)).unwrap_or(usize::MAX);
        let (mut bytes, length) = ([0; N], N.min(left));
        let mut window = self.window.borrow_mut();
        let offset = |window: &(u64, Vec<u8>)| {
            let at = usize::try_from(position.checked_sub(window.0)?).ok()?;
            (at.checked_add(length)? <= window.1.len()).then_some(at)
        };
        if offset(&window).is_none() {
            window.0 = position;
            window.1.resize(WINDOW_BYTES.max(N).min(left), 0);
            self.source.read_at(position, &mut window.1)?;
        }
        let at = offset(&window).unwrap_or(usize::MAX);
        let found = window.1.get(at..at.saturating_add(length)).unwrap_or_default();
        bytes.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
        Ok((bytes, length))
    }

    /// The element at a position of its parent, which ends at `end`; `None` where the parent ends.
    ///
    /// # Errors
    /// When it is cut off or longer than its parent.
    pub(super) fn element(&self, position: u64, end: u64) -> Result<Option<Element>> {
        if position >= end {
            return Ok(None);
        }
        let (head, length) = self.peek::<12>(position)?;
        let head = head.get(..length).unwrap_or_default();
        let fault = |error: Error| error.at_byte(position);
        let (id, id_bytes) = element_id(head).map_err(fault)?;
        let (size, size_bytes) = size(head.get(id_bytes..).unwrap_or_default()).map_err(fault)?;
        let start = position + (id_bytes + size_bytes) as u64;
        let element_end = size.map(|size| start.saturating_add(size));
        if element_end.unwrap_or(start) > end {
            return Err(fault(
                Error::input(format!(
                    "element {id:#x} of {} bytes, {} are left: the file is cut off or damaged",
                    size.unwrap_or_default(),
                    end.saturating_sub(start)
                ))
                .clause("RFC 8794 §6.2")
                .hint(format!("save what is there, such as with {}", remedy::copy("", "mkv"))),
            ));
        }
        Ok(Some(Element { id, start, end: element_end }))
    }

    /// The data of an element.
    ///
    /// # Errors
    /// When it is too large to be held.
    pub(super) fn data(&self, element: &Element) -> Result<Vec<u8>> {
        let length = element.end.map(|end| end - element.start);
        let length = length.filter(|length| *length <= MAX_ELEMENT_BYTES).ok_or_else(|| {
            Error::unsupported(format!("element {:#x} is larger than {MAX_ELEMENT_BYTES} bytes", element.id))
                .at_byte(element.start)
        })?;
        let mut data = vec![0; usize::try_from(length).unwrap_or(0)];
        self.source.read_at(element.start, &mut data)?;
        Ok(data)
    }

    /// The unsigned integer that an element is.
    pub(super) fn unsigned(&self, element: &Element) -> Result<u64> {
        unsigned(&self.data(element)?)
    }
}

/// An id with its marker bits: RFC 8794 §5.
fn element_id(bytes: &[u8]) -> Result<(u32, usize)> {
    let first = bytes.first().copied().unwrap_or_default();
    let length = first.leading_zeros() as usize + 1;
    let id = bytes.get(..length).filter(|_| length <= 4).ok_or_else(|| {
        Error::input(format!("{first:#04x} begins no id of an element")).clause("RFC 8794 §5")
    })?;
    Ok((id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte)), length))
}

/// The value of a variable-size integer, and how many bytes it has: RFC 8794 §4.
pub(super) fn vint(bytes: &[u8]) -> Result<(u64, usize)> {
    let first = bytes.first().copied().unwrap_or_default();
    let length = first.leading_zeros() as usize + 1;
    let all = bytes.get(..length).filter(|_| length <= 8).ok_or_else(|| {
        Error::input("a variable-size integer is cut off or longer than 8 bytes").clause("RFC 8794 §4")
    })?;
    let value = all.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
    Ok((value & !(u64::MAX << (7 * length)), length))
}

/// A size; `None` where all bits are 1, which is one that is not known.
fn size(bytes: &[u8]) -> Result<(Option<u64>, usize)> {
    let (value, length) = vint(bytes)?;
    Ok(((value != !(u64::MAX << (7 * length))).then_some(value), length))
}

/// An unsigned integer of up to eight bytes: RFC 8794 §7.2.
pub(super) fn unsigned(data: &[u8]) -> Result<u64> {
    if data.len() > 8 {
        return Err(
            Error::input(format!("an integer of {} bytes, at most 8", data.len())).clause("RFC 8794 §7.2")
        );
    }
    Ok(data.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// A signed integer of up to eight bytes: RFC 8794 §7.1.
pub(super) fn signed(data: &[u8]) -> Result<i64> {
    let value = unsigned(data)?;
    let unused = 64 - 8 * u32::try_from(data.len()).unwrap_or(8);
    Ok(if unused == 64 { 0 } else { value.wrapping_shl(unused).cast_signed() >> unused })
}

/// A floating-point number: RFC 8794 §7.3.
pub(super) fn float(data: &[u8]) -> Result<f64> {
    match data {
        [] => Ok(0.0),
        &[a, b, c, d] => Ok(f32::from_be_bytes([a, b, c, d]).into()),
        data => data.try_into().map(f64::from_be_bytes).map_err(|_| {
            Error::input(format!("a floating-point number of {} bytes", data.len())).clause("RFC 8794 §7.3")
        }),
    }
}

/// Text, which zeros may end: RFC 8794 §7.4, §7.5.
pub(super) fn text(data: &[u8]) -> String {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    String::from_utf8_lossy(data.get(..end).unwrap_or_default()).into_owned()
}

/// The children of a master element in memory: ids and data.
///
/// # Errors
/// When one is cut off.
pub(super) fn children(data: &[u8]) -> Result<Vec<(u32, &[u8])>> {
    let (mut found, mut rest) = (Vec::new(), data);
    while !rest.is_empty() {
        let (id, id_bytes) = element_id(rest)?;
        let (size, size_bytes) = size(rest.get(id_bytes..).unwrap_or_default())?;
        let start = id_bytes + size_bytes;
        let end = size.and_then(|size| usize::try_from(size).ok()?.checked_add(start));
        let parts = end.and_then(|end| Some((rest.get(start..end)?, rest.get(end..)?)));
        let (child, behind) = parts.ok_or_else(|| {
            Error::input(format!("element {id:#x} is longer than what it stands in")).clause("RFC 8794 §6.2")
        })?;
        found.push((id, child));
        rest = behind;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sizes_and_values_are_those_of_the_standard() {
        assert_eq!(element_id(&[0x1a, 0x45, 0xdf, 0xa3]).unwrap(), (id::EBML, 4));
        assert!(element_id(&[0x08]).is_err() && element_id(&[]).is_err() && element_id(&[0x42]).is_err());
        assert_eq!(size(&[0x82]).unwrap(), (Some(2), 1));
        assert_eq!(size(&[0x40, 0x02]).unwrap(), (Some(2), 2));
        assert_eq!(size(&[0xff]).unwrap(), (None, 1));
        assert_eq!(size(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).unwrap(), (None, 8));
        assert!(size(&[0]).is_err() && size(&[1, 2]).is_err());
        assert_eq!(
            (signed(&[0xff]).unwrap(), signed(&[0x01, 0]).unwrap(), signed(&[]).unwrap()),
            (-1, 256, 0)
        );
        assert!(unsigned(&[0; 9]).is_err());
        assert_eq!((float(&[]).unwrap(), float(&[0x40, 0x40, 0, 0]).unwrap()), (0.0, 3.0));
        assert_eq!(children(&[0xa3, 0x81, 7, 0x42, 0x82, 0x80]).unwrap(), [(0xa3, &[7][..]), (0x4282, &[])]);
        assert!(children(&[0xa3, 0x82, 7]).is_err() && children(&[0xa3, 0xff, 7]).is_err());
    }
}
