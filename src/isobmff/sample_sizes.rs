//! Sample sizes of a sample table — ISO/IEC 14496-12 §8.7.3.

use super::BoxNode;
use crate::base::bytes::Reader;
use crate::base::{Error, Result};

/// Sample sizes: one for all (`stsz`), or a table of fields of 32 bits (`stsz`), or of 4, 8 or 16 (`stz2`).
pub(super) enum Sizes<'a> {
    Constant(u32),
    Table {
        reader: Reader<'a>,
        field_size: u8,
    },
    /// Fields of 4 bits, the higher half of a byte first; the lower half that is left.
    Halves {
        reader: Reader<'a>,
        left: Option<u8>,
    },
}

impl Sizes<'_> {
    pub(super) fn next(&mut self) -> Result<u32> {
        match self {
            Self::Constant(size) => Ok(*size),
            Self::Table { reader, field_size: 8 } => reader.u8().map(u32::from),
            Self::Table { reader, field_size: 16 } => reader.u16().map(u32::from),
            Self::Table { reader, .. } => reader.u32(),
            Self::Halves { reader, left } => {
                if let Some(half) = left.take() {
                    return Ok(half.into());
                }
                let byte = reader.u8()?;
                *left = Some(byte & 15);
                Ok((byte >> 4).into())
            }
        }
    }
}

/// The sizes in `stsz` or `stz2`, and their count; entries of a table are backed by bytes.
pub(super) fn sample_sizes(stbl: &BoxNode) -> Result<(Sizes<'_>, u32)> {
    let Some(node) = stbl.find(&[b"stsz"]).or_else(|| stbl.find(&[b"stz2"])) else {
        return Ok((Sizes::Constant(0), 0));
    };
    let mut reader = Reader::new(node.payload());
    reader.u32().map_err(|error| error.at(node.kind))?;
    let field = reader.u32().map_err(|error| error.at(node.kind))?;
    let count = reader.u32().map_err(|error| error.at(node.kind))?;
    let (bits, sizes) = match (node.is(b"stz2"), field & 0xff) {
        (true, 4) => (4, Sizes::Halves { reader: reader.clone(), left: None }),
        (true, 8) => (8, Sizes::Table { reader: reader.clone(), field_size: 8 }),
        (true, 16) => (16, Sizes::Table { reader: reader.clone(), field_size: 16 }),
        (true, other) => {
            return Err(Error::input(format!("field_size {other}, expected 4, 8 or 16"))
                .clause("ISO/IEC 14496-12 §8.7.3.3")
                .at("stz2"));
        }
        (false, _) if field == 0 => (32, Sizes::Table { reader: reader.clone(), field_size: 32 }),
        (false, _) => (0, Sizes::Constant(field)),
    };
    if (u64::from(count) * bits).div_ceil(8) > reader.remaining() as u64 {
        let there = reader.remaining();
        let error = Error::input(format!("{count} sizes of {bits} bits are stated, {there} bytes are there"));
        return Err(error.at(node.kind));
    }
    Ok((sizes, count))
}

/// The size of all samples, where they have one.
pub(super) fn constant_sample_size(stbl: &BoxNode) -> Option<u32> {
    match sample_sizes(stbl) {
        Ok((Sizes::Constant(size), count)) if count > 0 => Some(size),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_sizes_are_read_in_every_width() {
        let sizes = |kind: &[u8; 4], field: u32, table: &[u8]| {
            let payload = [&[0; 4][..], &field.to_be_bytes(), &3_u32.to_be_bytes(), table].concat();
            let stbl = BoxNode::container(b"stbl", vec![BoxNode::data(kind, payload)]);
            let (mut sizes, count) = sample_sizes(&stbl)?;
            (0..count).map(|_| sizes.next()).collect::<Result<Vec<_>>>()
        };
        assert_eq!(sizes(b"stz2", 4, &[0x12, 0x30]).unwrap(), [1, 2, 3]);
        assert_eq!(sizes(b"stz2", 8, &[1, 2, 3]).unwrap(), [1, 2, 3]);
        assert_eq!(sizes(b"stz2", 16, &[0, 1, 0, 2, 1, 0]).unwrap(), [1, 2, 256]);
        assert_eq!(sizes(b"stsz", 0, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0]).unwrap(), [1, 2, 65536]);
        assert_eq!(sizes(b"stsz", 7, &[]).unwrap(), [7, 7, 7]);
        assert!(sizes(b"stz2", 4, &[0x12]).is_err());
        assert!(sizes(b"stz2", 12, &[0; 12]).is_err());
    }
}
