//! Sample To Group box (`sbgp`) — ISO/IEC 14496-12 §8.9.2.

use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};

use crate::isobmff::BoxNode;

use super::{check_count, full_box, write_full_box};

/// `sbgp`: runs of samples and the group that each run is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sbgp {
    /// `grouping_type`.
    pub grouping_type: FourCc,
    /// `grouping_type_parameter`, of version 1.
    pub grouping_type_parameter: Option<u32>,
    /// The runs in sample order; samples behind the last run are in no group.
    pub entries: Vec<SbgpEntry>,
}

/// A run of samples in one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SbgpEntry {
    /// `sample_count`.
    pub sample_count: u32,
    /// `group_description_index`: 0 is no group, 1 and up an entry of the `sgpd` of the track, and above
    /// [`Sbgp::FRAGMENT_LOCAL`] an entry of the `sgpd` of the same track fragment.
    pub group_description_index: u32,
}

impl Sbgp {
    /// What is added to the number of a group that is described in the track fragment itself (§8.9.4).
    pub const FRAGMENT_LOCAL: u32 = 0x1_0000;

    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        let grouping_type = reader.fourcc()?;
        let grouping_type_parameter = (version > 0).then(|| reader.u32()).transpose()?;
        let entry_count = reader.u32()?;
        check_count(&reader, entry_count, 8)?;
        let entries = (0..entry_count)
            .map(|_| Ok(SbgpEntry { sample_count: reader.u32()?, group_description_index: reader.u32()? }))
            .collect::<Result<_>>()?;
        Ok(Self { grouping_type, grouping_type_parameter, entries })
    }

    /// The groups of this type that the samples of a `traf` or `stbl` are in.
    ///
    /// # Errors
    /// When a box is cut off.
    pub fn of(parent: &BoxNode, grouping_type: FourCc) -> Result<Option<Self>> {
        // Groups of other types are not ours to read.
        let mut of_type =
            parent.all(b"sbgp").filter(|node| node.payload().get(4..8) == Some(&grouping_type.0[..]));
        let found = of_type.next().map(|node| Self::parse(node.payload()));
        found.transpose().map_err(|error| error.at("sbgp"))
    }

    /// The payload: version 0 unless there is a parameter.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_full_box(u8::from(self.grouping_type_parameter.is_some()), 0, &mut out);
        out.extend(self.grouping_type.0);
        out.extend(self.grouping_type_parameter.iter().flat_map(|parameter| parameter.to_be_bytes()));
        out.extend(u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_be_bytes());
        for entry in &self.entries {
            out.extend(entry.sample_count.to_be_bytes());
            out.extend(entry.group_description_index.to_be_bytes());
        }
        out
    }

    /// The `group_description_index` of the sample of this number, from 0; 0 when it is in no group.
    pub fn index(&self, sample: u64) -> u32 {
        let mut end = 0_u64;
        let run = self.entries.iter().find(|entry| {
            end = end.saturating_add(u64::from(entry.sample_count));
            sample < end
        });
        run.map_or(0, |entry| entry.group_description_index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_come_back_and_tell_the_group_of_each_sample() {
        let entry =
            |sample_count, group_description_index| SbgpEntry { sample_count, group_description_index };
        for parameter in [None, Some(7)] {
            let sbgp = Sbgp {
                grouping_type: FourCc(*b"seig"),
                grouping_type_parameter: parameter,
                entries: vec![entry(2, Sbgp::FRAGMENT_LOCAL + 1), entry(1, 0), entry(3, 2)],
            };
            let payload = sbgp.write();
            assert_eq!(Sbgp::parse(&payload).unwrap(), sbgp);
            assert!((0..payload.len()).all(|end| Sbgp::parse(&payload[..end]).is_err()));
            let groups: Vec<_> = (0..7).map(|sample| sbgp.index(sample)).collect();
            assert_eq!(groups, [0x1_0001, 0x1_0001, 0, 2, 2, 2, 0]);
        }
    }
}
