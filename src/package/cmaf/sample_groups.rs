//! Sample groups of a track on their way into fragments — ISO/IEC 14496-12 §8.9.

use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};
use crate::isobmff::BoxNode;

/// The groupings of a sample table. One that has all samples in one group, as pre-roll of audio has, is said
/// again in each fragment; one that tells samples apart is not carried over.
#[derive(Clone, Debug, Default)]
pub struct SampleGroups {
    whole: Vec<Grouping>,
    /// `grouping_type` of those that are not carried over.
    pub left_out: Vec<FourCc>,
}

/// A grouping whose samples are all in one group.
#[derive(Clone, Debug)]
struct Grouping {
    /// Payload of `sbgp` up to `entry_count`.
    head: Vec<u8>,
    grouping_type: FourCc,
    group_description_index: u32,
}

impl SampleGroups {
    /// Reads every `sbgp` of a sample table.
    ///
    /// # Errors
    /// When one is cut off.
    pub fn of(stbl: &BoxNode) -> Result<Self> {
        let mut groups = Self::default();
        for sbgp in stbl.all(b"sbgp") {
            groups.add(sbgp.payload()).map_err(|error| error.at("sbgp"))?;
        }
        Ok(groups)
    }

    fn add(&mut self, payload: &[u8]) -> Result<()> {
        let mut reader = Reader::new(payload);
        let version = reader.u8()?;
        reader.u24()?;
        let grouping_type = FourCc(reader.u32()?.to_be_bytes());
        if version == 1 {
            reader.u32()?;
        }
        let head = payload.get(..reader.position()).unwrap_or_default().to_vec();
        let mut indexes = Vec::new();
        for _ in 0..reader.u32()? {
            reader.u32()?;
            let index = reader.u32()?;
            if indexes.last() != Some(&index) {
                indexes.push(index);
            }
        }
        match indexes.as_slice() {
            [] | [0] => {}
            &[group_description_index] => {
                self.whole.push(Grouping { head, grouping_type, group_description_index });
            }
            _ => self.left_out.push(grouping_type),
        }
        Ok(())
    }

    /// Whether a box of the sample table goes into the init segment: `sgpd` of what is said in fragments.
    pub fn describes(&self, node: &BoxNode) -> bool {
        let grouping_type = node.payload().get(4..8);
        node.is(b"sgpd")
            && self.whole.iter().any(|known| Some(known.grouping_type.0.as_slice()) == grouping_type)
    }

    /// The `sbgp` boxes of a fragment of so many samples.
    pub fn boxes(&self, sample_count: u32) -> impl Iterator<Item = BoxNode> + '_ {
        self.whole.iter().map(move |grouping| {
            let entry = [1, sample_count, grouping.group_description_index].map(u32::to_be_bytes);
            BoxNode::data(b"sbgp", [grouping.head.as_slice(), entry.concat().as_slice()].concat())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sbgp(entries: &[[u32; 2]]) -> BoxNode {
        let count = u32::try_from(entries.len()).unwrap().to_be_bytes();
        let entries = entries.concat().into_iter().flat_map(u32::to_be_bytes).collect();
        BoxNode::data(b"sbgp", [vec![0; 4], b"roll".to_vec(), count.to_vec(), entries].concat())
    }

    #[test]
    fn one_group_of_all_samples_is_said_again_and_others_are_named() {
        let of = |entries: &[[u32; 2]]| {
            SampleGroups::of(&BoxNode::container(b"stbl", vec![sbgp(entries)])).unwrap()
        };
        let whole = of(&[[5, 1], [2, 1]]);
        assert_eq!(whole.boxes(3).collect::<Vec<_>>(), [sbgp(&[[3, 1]])]);
        let parts = of(&[[5, 0], [2, 1]]);
        assert_eq!((parts.boxes(3).count(), parts.left_out), (0, vec![FourCc(*b"roll")]));
        let none = of(&[[7, 0]]);
        assert_eq!((none.boxes(3).count(), none.left_out), (0, vec![]));
    }
}
