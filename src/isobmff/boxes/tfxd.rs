//! TfxdBox (`uuid`), the time of a Smooth Streaming fragment — MS-SSTR §2.2.4.4.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;

use super::full_box;

const USERTYPE: [u8; 16] = 0x6d1d_9b05_42d5_44e6_80e2_141d_aff7_57b2_u128.to_be_bytes();

/// `tfxd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tfxd {
    /// `FragmentAbsoluteTime` in ticks of the media.
    pub absolute_time: u64,
}

impl Tfxd {
    /// What a `uuid` box says, when it is one of these; an error when it is cut off.
    pub fn of(node: &BoxNode) -> Option<Result<Self>> {
        let payload = node.payload().strip_prefix(&USERTYPE).filter(|_| node.is(b"uuid"))?;
        Some(Self::parse(payload).map_err(|error: Error| error.at("tfxd")))
    }

    fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        let absolute_time = if version == 0 { reader.u32()?.into() } else { reader.u64()? };
        Ok(Self { absolute_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_widths_are_read_and_other_boxes_are_left_alone() {
        let of = |usertype: [u8; 16], payload: &[u8]| {
            Tfxd::of(&BoxNode::data(b"uuid", [&usertype[..], payload].concat()))
        };
        let short = of(USERTYPE, &[0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1]).unwrap().unwrap();
        let long = of(USERTYPE, &[1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7]).unwrap().unwrap();
        assert_eq!((short.absolute_time, long.absolute_time), (7, 1 << 32 | 7));
        assert!(of(USERTYPE, &[1, 0, 0, 0, 0]).unwrap().is_err());
        assert!(of([0; 16], &[0; 12]).is_none());
    }
}
