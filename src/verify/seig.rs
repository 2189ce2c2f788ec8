//! CENC sample groups (`seig`) — ISO/IEC 23001-7 §6, ISO/IEC 14496-12 §8.9.

use crate::base::bytes::Reader;
use crate::base::{Kid, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Tenc;

/// `CencSampleEncryptionInformationGroupEntry`: what stands in place of `tenc` for the samples of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seig {
    pub(super) crypt_byte_block: u8,
    pub(super) skip_byte_block: u8,
    pub(super) is_protected: u8,
    pub(super) per_sample_iv_size: u8,
    pub(super) kid: Kid,
    pub(super) constant_iv: Option<Vec<u8>>,
}

/// Indices of descriptions in the same track fragment begin behind this: ISO/IEC 14496-12 §8.9.4.
pub(super) const LOCAL: u32 = 0x1_0000;

impl Seig {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.u8()?;
        let pattern = reader.u8()?;
        let (is_protected, per_sample_iv_size) = (reader.u8()?, reader.u8()?);
        let kid = Kid::new(reader.array()?);
        let constant_iv = if is_protected == 1 && per_sample_iv_size == 0 {
            let size = usize::from(reader.u8()?);
            Some(reader.take(size)?.to_vec())
        } else {
            None
        };
        let (crypt_byte_block, skip_byte_block) = (pattern >> 4, pattern & 15);
        Ok(Self { crypt_byte_block, skip_byte_block, is_protected, per_sample_iv_size, kid, constant_iv })
    }

    /// `tenc` as it is for the samples of the group.
    pub(super) fn tenc(&self, version: u8) -> Tenc {
        Tenc {
            version,
            default_crypt_byte_block: self.crypt_byte_block,
            default_skip_byte_block: self.skip_byte_block,
            default_is_protected: self.is_protected,
            default_per_sample_iv_size: self.per_sample_iv_size,
            default_kid: self.kid,
            default_constant_iv: self.constant_iv.clone(),
        }
    }
}

fn is_seig(node: &BoxNode, kind: &[u8; 4]) -> bool {
    node.is(kind) && node.payload().get(4..8) == Some(b"seig")
}

/// The descriptions of groups among these boxes (`sgpd`).
pub(super) fn descriptions(boxes: &[BoxNode]) -> Result<Vec<Seig>> {
    let mut found = Vec::new();
    for sgpd in boxes.iter().filter(|node| is_seig(node, b"sgpd")) {
        let mut reader = Reader::new(sgpd.payload());
        let version = reader.u8()?;
        reader.take(7)?;
        let default_length = if version >= 1 { reader.u32()? } else { 0 };
        if version >= 2 {
            reader.u32()?;
        }
        for _ in 0..reader.u32()? {
            let length = match (version, default_length) {
                (0, _) => reader.remaining(),
                (_, 0) => reader.u32()? as usize,
                (_, length) => length as usize,
            };
            found.push(Seig::parse(reader.take(length)?)?);
        }
    }
    Ok(found)
}

/// The runs of samples and description indices among these boxes (`sbgp`); `None` without such a box.
pub(super) fn runs(boxes: &[BoxNode]) -> Result<Option<Vec<(u32, u32)>>> {
    let Some(sbgp) = boxes.iter().find(|node| is_seig(node, b"sbgp")) else { return Ok(None) };
    let mut reader = Reader::new(sbgp.payload());
    let version = reader.u8()?;
    reader.take(if version == 0 { 7 } else { 11 })?;
    let mut runs = Vec::new();
    for _ in 0..reader.u32()? {
        runs.push((reader.u32()?, reader.u32()?));
    }
    Ok(Some(runs))
}
