//! The boxes of a file that is too large to hold — ISO/IEC 14496-12 §4.2, read header by header.

use crate::base::env::Source;
use crate::base::{Error, FourCc, Result};

use super::BoxNode;

/// Largest box other than `mdat` that is read into memory, in bytes: the `moov` of a film of ten hours.
pub const MAX_METADATA_BYTES: u64 = 256 << 20;

/// Most bytes that an `mdat` may state too many: a muxer's slip, not a file that was cut off.
const MAX_OVERSTATED: u64 = 64;
/// Types of boxes that stand behind media data.
const BEHIND_MEDIA: &[&[u8; 4]] = &[
    b"moof", b"moov", b"mfra", b"free", b"skip", b"styp", b"sidx", b"emsg", b"prft", b"mdat", b"uuid",
    b"udta", b"meta", b"wide",
];

/// The header of a box in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxHeader {
    /// Its type.
    pub kind: FourCc,
    /// Where it begins in the file, in bytes.
    pub position: u64,
    /// The length of the header, in bytes.
    pub header_length: u64,
    /// The length of the whole box, in bytes.
    pub length: u64,
}

impl BoxHeader {
    /// Reads the header at `position`; `None` at the end of the file.
    ///
    /// # Errors
    /// When the box runs past the end of the file or is shorter than its header.
    pub fn read(source: &dyn Source, position: u64) -> Result<Option<Self>> {
        let available = source.len().saturating_sub(position);
        if available == 0 {
            return Ok(None);
        }
        let mut header = [0; 16];
        let known = usize::try_from(available).unwrap_or(usize::MAX).min(16);
        source.read_at(position, header.get_mut(..known).unwrap_or_default())?;
        let [s0, s1, s2, s3, k0, k1, k2, k3, large @ ..] = header;
        let kind = FourCc([k0, k1, k2, k3]);
        let (header_length, length) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (8, available),
            1 => (16, u64::from_be_bytes(large)),
            size => (8, u64::from(size)),
        };
        if length < header_length || length > available {
            return Err(Error::input(format!("box {kind} states {length} bytes, {available} are there"))
                .clause("ISO/IEC 14496-12 §4.2")
                .at_byte(position)
                .hint("the file is cut off or is not ISO base media"));
        }
        Ok(Some(Self { kind, position, header_length, length }))
    }

    /// As [`BoxHeader::read`], but of an `mdat` that states a few bytes more than it has; also says how many. It ends where
    /// the file or the box behind it says.
    ///
    /// # Errors
    /// As [`BoxHeader::read`].
    pub fn read_overstated(source: &dyn Source, position: u64) -> Result<Option<(Self, u64)>> {
        let (header, error) = match Self::read(source, position) {
            Ok(Some(header)) if header.is(b"mdat") && header.end() < source.len() => (header, None),
            Ok(header) => return Ok(header.map(|header| (header, 0))),
            Err(error) => match Self::read_to_end(source, position)? {
                Some(header) => (header, Some(error)),
                None => return Err(error),
            },
        };
        if header.end().saturating_sub(source.len()) > MAX_OVERSTATED {
            return error.map_or(Ok(None), Err);
        }
        let end = header.end();
        if end < source.len() && Self::is_behind_media(source, end)? {
            return Ok(Some((header, 0)));
        }
        // What follows begins before it should, or is not there.
        let begins = position + header.header_length;
        let ends =
            || (1..=MAX_OVERSTATED).filter_map(|back| end.checked_sub(back)).filter(|end| *end >= begins);
        for true_end in ends().filter(|end| *end < source.len()) {
            if Self::is_behind_media(source, true_end)? {
                return Ok(Some((Self { length: true_end - position, ..header }, end - true_end)));
            }
        }
        let true_end = ends().find(|end| *end == source.len());
        let length = true_end.map_or(header.length, |end| end - position);
        Ok(Some((Self { length, ..header }, header.length - length)))
    }

    /// An `mdat` that runs past the end of the file.
    fn read_to_end(source: &dyn Source, position: u64) -> Result<Option<Self>> {
        let mut header = [0; 16];
        if source.len().saturating_sub(position) < header.len() as u64 {
            return Ok(None);
        }
        source.read_at(position, &mut header)?;
        let [s0, s1, s2, s3, kind @ .., b0, b1, b2, b3, b4, b5, b6, b7] = header;
        let (header_length, length) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            1 => (16, u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7])),
            size => (8, u64::from(size)),
        };
        let is_longer = position.checked_add(length).is_some_and(|end| end > source.len());
        Ok((kind == *b"mdat" && is_longer).then_some(Self {
            kind: FourCc(kind),
            position,
            header_length,
            length,
        }))
    }

    fn is_behind_media(source: &dyn Source, position: u64) -> Result<bool> {
        if source.len().saturating_sub(position) < 8 {
            return Ok(false);
        }
        let mut header = [0; 8];
        source.read_at(position, &mut header)?;
        let is_known = header.get(4..).is_some_and(|kind| BEHIND_MEDIA.iter().any(|known| kind == *known));
        Ok(is_known && Self::read(source, position).is_ok())
    }

    /// The bytes of the header, with the length that the box has.
    pub fn to_bytes(&self) -> Vec<u8> {
        match u32::try_from(self.length) {
            Ok(length) if self.header_length == 8 => [length.to_be_bytes(), self.kind.0].concat(),
            _ => [&1_u32.to_be_bytes()[..], &self.kind.0, &self.length.to_be_bytes()].concat(),
        }
    }

    /// Where the box ends in the file, in bytes.
    pub fn end(&self) -> u64 {
        self.position + self.length
    }

    /// Whether the box is of this type.
    pub fn is(&self, kind: &[u8; 4]) -> bool {
        self.kind.0 == *kind
    }

    /// Reads the whole box as bytes.
    ///
    /// # Errors
    /// When it is larger than [`MAX_METADATA_BYTES`] or cannot be read.
    pub fn read_bytes(&self, source: &dyn Source) -> Result<Vec<u8>> {
        if self.length > MAX_METADATA_BYTES {
            return Err(Error::unsupported(format!(
                "box {} of {} bytes, at most {MAX_METADATA_BYTES} are read",
                self.kind, self.length
            ))
            .at_byte(self.position));
        }
        let mut bytes = vec![0; usize::try_from(self.length).unwrap_or(usize::MAX)];
        source.read_at(self.position, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads the whole box as a tree.
    ///
    /// # Errors
    /// As [`BoxHeader::read_bytes`] and [`BoxNode::parse_one`].
    pub fn read_node(&self, source: &dyn Source) -> Result<BoxNode> {
        BoxNode::parse_one(&self.read_bytes(source)?)
            .map_err(|error| error.at(format_args!("box {} at byte {}", self.kind, self.position)))
    }
}

/// The first `moov` of a file.
///
/// # Errors
/// When there is none or it cannot be read.
pub fn moov(source: &dyn Source) -> Result<BoxNode> {
    let mut position = 0;
    while let Some((header, _)) = BoxHeader::read_overstated(source, position)? {
        if header.is(b"moov") {
            return header.read_node(source);
        }
        position = header.end();
    }
    Err(Error::input("the file has no box moov").clause("ISO/IEC 14496-12 §8.2.1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mdat_that_states_a_few_bytes_too_many_ends_where_the_next_box_begins() {
        let mdat = |stated: u32| [&stated.to_be_bytes()[..], b"mdat", &[7; 40]].concat();
        let moof = [&[0, 0, 0, 16][..], b"moof", &[0; 8]].concat();
        for (stated, behind, expected) in [
            (48, &moof[..], Some((48, 0))),
            (49, &moof, Some((48, 1))),
            (56, &moof, Some((48, 8))),
            (48 + 64, &moof, Some((48, 64))),
            (48, &[], Some((48, 0))),
            (50, &[], Some((48, 2))),
            (48 + 64, &[], Some((48, 64))),
            (48 + 65, &[], None),
            (4, &[], None),
            (40, &moof, Some((40, 0))),
        ] {
            let file = [mdat(stated), behind.to_vec()].concat();
            let found = BoxHeader::read_overstated(&file, 0).ok();
            let found = found.map(|found| found.map(|(header, many)| (header.length, many)).unwrap());
            assert_eq!(found, expected, "{stated} {}", behind.len());
            if let Some((length, _)) = expected.filter(|_| stated >= 48) {
                let header = BoxHeader::read_overstated(&file, 0).unwrap().unwrap().0;
                assert_eq!(header.to_bytes(), mdat(u32::try_from(length).unwrap())[..8]);
            }
        }
        let large = [&[0, 0, 0, 1][..], b"mdat", &30_u64.to_be_bytes(), &[7; 10]].concat();
        let (header, many) = BoxHeader::read_overstated(&large, 0).unwrap().unwrap();
        assert_eq!((header.length, many), (26, 4));
        assert_eq!(header.to_bytes(), [&large[..15], &[26]].concat());
        // Another box is not cut short.
        assert!(BoxHeader::read_overstated(&[&[0, 0, 0, 30][..], b"free", &[0; 20]].concat(), 0).is_err());
    }
}
