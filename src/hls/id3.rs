//! Private frames of ID3 tags — ID3 tag version 2.4.0, Main Structure §3, §4; Native Frames §4.27; RFC 8216bis §3.1.3.

use std::ops::Range;

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

/// Owner of the private frame with the time of the first sample: RFC 8216bis §3.1.3.
pub const TIMESTAMP: &str = "com.apple.streaming.transportStreamTimestamp";
/// Owner of the private frame with the audio setup information: Apple, MPEG-2 Stream Encryption Format for HTTP Live
/// Streaming §2.3.4.
pub const AUDIO_DESCRIPTION: &str = "com.apple.streaming.audioDescription";
/// Bytes of a tag's header, and of a frame's.
pub(crate) const HEADER_BYTES: usize = 10;
/// Flags of a tag: unsynchronisation, extended header, footer.
const UNSYNCHRONISATION: u8 = 0x80;
const EXTENDED_HEADER: u8 = 0x40;
const FOOTER: u8 = 0x10;
/// Greatest size of a tag: §3.1, 28 bits.
const MAX_SIZE: usize = (1 << 28) - 1;

/// The length of the tag that begins with `bytes`; `None` when none begins there.
pub fn tag_bytes(bytes: &[u8]) -> Option<usize> {
    let [b'I', b'D', b'3', major, _, flags, a, b, c, d, ..] = *bytes else { return None };
    if major == 0xff || [a, b, c, d].iter().any(|byte| byte & 0x80 != 0) {
        return None;
    }
    let footer = if flags & FOOTER != 0 { HEADER_BYTES } else { 0 };
    Some(HEADER_BYTES + syncsafe([a, b, c, d]) + footer)
}

/// Where the frames of a tag lie.
fn frames(tag: &[u8]) -> Result<Vec<Range<usize>>> {
    let mut reader = Reader::new(tag);
    reader.take(3)?;
    let major = reader.u8()?;
    reader.u8()?; // revision
    let flags = reader.u8()?;
    reader.u32()?; // size
    if !(3..=4).contains(&major) || flags & (UNSYNCHRONISATION | FOOTER) != 0 {
        return Err(Error::unsupported(format!(
            "an ID3 tag of version 2.{major} with flags {flags:#04x}; 2.3 or 2.4 without unsynchronisation and footer \
             expected"
        ))
        .clause("ID3 tag version 2.4.0 §3.1"));
    }
    let size = |bytes: [u8; 4]| match major {
        4 => syncsafe(bytes),
        _ => usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX),
    };
    if flags & EXTENDED_HEADER != 0 {
        let length = size(reader.array()?);
        // §3.2: the size counts itself in version 2.4, and does not in 2.3.
        reader.take(if major == 4 { length.saturating_sub(4) } else { length })?;
    }
    let mut found = Vec::new();
    while reader.remaining() >= HEADER_BYTES {
        let start = reader.position();
        let id: [u8; 4] = reader.array()?;
        // §3.3: padding is of zeros.
        if id == [0; 4] {
            break;
        }
        let length = size(reader.array()?);
        reader.u16()?; // flags
        reader.take(length)?;
        found.push(start..reader.position());
    }
    Ok(found)
}

/// The identifiers of a tag's frames, and what is in them.
///
/// # Errors
/// When the tag is wrong.
pub fn contents(tag: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let content = |range| tag.get::<Range<usize>>(range)?.split_at_checked(HEADER_BYTES);
    let contents = frames(tag)?.into_iter().filter_map(content);
    Ok(contents.map(|(header, body)| (header.get(..4).unwrap_or_default(), body)).collect())
}

/// The private frame of this owner in a tag.
///
/// # Errors
/// When the tag is wrong.
pub fn private_frame(tag: &[u8], owner: &str) -> Result<Option<Range<usize>>> {
    let is_it = |range: &Range<usize>| {
        let frame = tag.get(range.clone()).unwrap_or_default();
        let body = frame.get(HEADER_BYTES..).unwrap_or_default();
        frame.starts_with(b"PRIV")
            && body.strip_prefix(owner.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    };
    Ok(frames(tag)?.into_iter().find(is_it))
}

/// The tag with one more private frame behind its last; an empty `tag` becomes one.
///
/// # Errors
/// When the tag is wrong or would be too long.
pub fn with_private_frame(tag: &[u8], owner: &str, data: &[u8]) -> Result<Vec<u8>> {
    let tag = if tag.is_empty() { b"ID3\x04\0\0\0\0\0\0" } else { tag };
    let end = frames(tag)?.last().map_or(HEADER_BYTES, |range| range.end);
    let body = [owner.as_bytes(), &[0], data].concat();
    let mut frame = b"PRIV".to_vec();
    frame.extend(to_syncsafe(body.len())?);
    frame.extend([0, 0]);
    frame.extend(&body);
    let (before, behind) = tag.split_at_checked(end).unwrap_or((tag, &[]));
    resized([before, &frame, behind].concat())
}

/// The tag without a frame; nothing when that was its only one.
///
/// # Errors
/// When the tag is wrong.
pub fn without_frame(tag: &[u8], frame: &Range<usize>) -> Result<Vec<u8>> {
    let before = tag.get(..frame.start).unwrap_or_default();
    let behind = tag.get(frame.end..).unwrap_or_default();
    if before.len() <= HEADER_BYTES && behind.is_empty() {
        return Ok(Vec::new());
    }
    resized([before, behind].concat())
}

fn resized(mut tag: Vec<u8>) -> Result<Vec<u8>> {
    let size = to_syncsafe(tag.len().saturating_sub(HEADER_BYTES))?;
    if let Some(field) = tag.get_mut(6..HEADER_BYTES) {
        field.copy_from_slice(&size);
    }
    Ok(tag)
}

/// §6.2: seven bits in each byte.
fn syncsafe(bytes: [u8; 4]) -> usize {
    bytes.iter().fold(0, |size, byte| (size << 7) | usize::from(byte & 0x7f))
}

fn to_syncsafe(size: usize) -> Result<[u8; 4]> {
    let number = u32::try_from(size).ok().filter(|_| size <= MAX_SIZE);
    let number = number.ok_or_else(|| Error::unsupported(format!("an ID3 tag of {size} bytes")))?;
    Ok([21, 14, 7, 0].map(|shift| u8::try_from((number >> shift) & 0x7f).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag() -> Vec<u8> {
        let tag = with_private_frame(&[], "first", &[1; 200]).unwrap();
        let mut tag = with_private_frame(&tag, "second", &[2; 3]).unwrap();
        tag.extend([0; 20]);
        resized(tag).unwrap()
    }

    #[test]
    fn a_frame_goes_behind_the_last_and_padding_stays() {
        let before = tag();
        let after = with_private_frame(&before, "owner", &[9; 5]).unwrap();
        assert_eq!(tag_bytes(&after), Some(after.len()));
        assert!(after.ends_with(&[0; 20]));
        let frame = private_frame(&after, "owner").unwrap().unwrap();
        assert_eq!(without_frame(&after, &frame).unwrap(), before);
        assert_eq!(private_frame(&after, "own").unwrap(), None);
    }

    #[test]
    fn a_tag_that_loses_its_only_frame_goes() {
        let tag = with_private_frame(&[], "owner", &[9; 5]).unwrap();
        assert_eq!(
            without_frame(&tag, &private_frame(&tag, "owner").unwrap().unwrap()).unwrap(),
            Vec::<u8>::new()
        );
    }

    #[test]
    fn truncations_and_mutations_are_calm() {
        let whole = tag();
        for end in 0..whole.len() {
            let _ = private_frame(&whole[..end], "second");
            for flip in [1, 0x40, 0xff] {
                let mut changed = whole.clone();
                changed[end] ^= flip;
                let _ = private_frame(&changed, "second");
                let _ = with_private_frame(&changed, "third", &[1]);
            }
        }
    }
}
