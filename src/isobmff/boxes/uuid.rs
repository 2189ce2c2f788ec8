//! Boxes of extended type (`uuid`) — ISO/IEC 14496-12 §4.2: those of the Protected Interoperable File Format.

use crate::isobmff::BoxNode;

/// Bytes of `usertype`.
const USERTYPE: usize = 16;

/// An extended type that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piff {
    /// Sample Encryption box, the model of `senc`.
    SampleEncryption,
    /// Track Encryption box, the model of `tenc`.
    TrackEncryption,
    /// Protection System Specific Header box, the model of `pssh`.
    ProtectionSystemSpecificHeader,
}

const TYPES: [(Piff, u128); 3] = [
    (Piff::SampleEncryption, 0xa239_4f52_5a9b_4f14_a244_6c42_7c64_8df4),
    (Piff::TrackEncryption, 0x8974_dbce_7be7_4c51_84f9_7148_f988_2554),
    (Piff::ProtectionSystemSpecificHeader, 0xd08a_4f18_10f3_4a82_b6c8_32d8_aba1_83d3),
];

impl Piff {
    /// The type of a `uuid` box and what follows `usertype`; `None` for every other box.
    pub fn of(node: &BoxNode) -> Option<(Self, &[u8])> {
        if !node.is(b"uuid") {
            return None;
        }
        let (usertype, payload) = node.payload().split_first_chunk::<USERTYPE>()?;
        let (piff, _) = TYPES.iter().find(|(_, known)| known.to_be_bytes() == *usertype)?;
        Some((*piff, payload))
    }

    /// A box of this type.
    pub fn write(self, payload: &[u8]) -> BoxNode {
        let usertype = TYPES.iter().find(|(piff, _)| *piff == self).map_or(0, |(_, usertype)| *usertype);
        BoxNode::data(b"uuid", [&usertype.to_be_bytes()[..], payload].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_known_by_its_sixteen_bytes() {
        for (piff, _) in TYPES {
            let node = piff.write(&[7; 3]);
            assert_eq!(Piff::of(&node), Some((piff, &[7; 3][..])));
        }
        assert_eq!(Piff::of(&BoxNode::data(b"uuid", vec![0; 20])), None);
        assert_eq!(Piff::of(&BoxNode::data(b"uuid", vec![0; 3])), None);
        assert_eq!(Piff::of(&BoxNode::data(b"free", vec![0; 20])), None);
    }
}
