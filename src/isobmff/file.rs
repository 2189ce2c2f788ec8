//! The boxes of a file that is too large to hold — ISO/IEC 14496-12 §4.2, read header by header.

use crate::base::env::Source;
use crate::base::{Error, FourCc, Result};

use super::BoxNode;

/// Largest box other than `mdat` that is read into memory, in bytes: the `moov` of a film of ten hours.
pub const MAX_METADATA_BYTES: u64 = 256 << 20;

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
    while let Some(header) = BoxHeader::read(source, position)? {
        if header.is(b"moov") {
            return header.read_node(source);
        }
        position = header.end();
    }
    Err(Error::input("the file has no box moov").clause("ISO/IEC 14496-12 §8.2.1"))
}
