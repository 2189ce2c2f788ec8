//! Sample groups of a track on their way into fragments — ISO/IEC 14496-12 §8.9.

use std::collections::HashMap;
use std::ops::Range;

use crate::base::bytes::Reader;
use crate::base::env::Source;
use crate::base::{Error, FourCc, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Sbgp, SbgpEntry, Sgpd, Tfhd};
use crate::isobmff::file::BoxHeader;
use crate::isobmff::track::trak;

/// Most groupings of one track: each is looked for among all.
const MAX_GROUPINGS: usize = 64;

/// The groupings of a track, such as the pre-roll of audio: what the init segment describes, each fragment says of its
/// samples. The grouping of protection is none of them.
#[derive(Clone, Debug, Default)]
pub(super) struct SampleGroups(Vec<Grouping>);

/// A grouping of all samples of a track.
#[derive(Clone, Debug)]
struct Grouping {
    grouping_type: FourCc,
    /// `grouping_type_parameter`.
    parameter: Option<u32>,
    descriptions: Descriptions,
    /// Runs of samples in one group: the number of the sample behind each, from 0, and the group.
    runs: Vec<(u64, u32)>,
}

/// The groups that samples can be in.
#[derive(Clone, Debug, Default)]
struct Descriptions {
    /// `sgpd` of the sample table, while nothing came to it.
    node: Option<BoxNode>,
    /// `default_group_description_index`.
    default: Option<u32>,
    entries: Vec<Vec<u8>>,
    /// The number of each that a fragment described.
    numbers: HashMap<Vec<u8>, u32>,
}

impl SampleGroups {
    /// Reads the groups of a track from its sample table and its fragments.
    ///
    /// # Errors
    /// When a box is cut off, or there are too many groups.
    pub(super) fn of(source: &dyn Source, moov: &BoxNode, track_id: u32) -> Result<Self> {
        let mut groups = Self::default();
        let stbl = trak(moov, track_id)?.require(&[b"mdia", b"minf", b"stbl"])?;
        let sizes = stbl.find(&[b"stsz"]).or_else(|| stbl.find(&[b"stz2"]));
        let mut start = sizes.map_or(0, |sizes| count_at(sizes, 8));
        groups.add(stbl, 0..start).map_err(|error| error.at("moov/trak/mdia/minf/stbl"))?;
        let mut position = 0;
        let is_fragmented = moov.find(&[b"mvex"]).is_some();
        let next = |position| BoxHeader::read_overstated(source, position);
        while let Some((header, _)) = next(position)?.filter(|_| is_fragmented) {
            position = header.end();
            if !header.is(b"moof") {
                continue;
            }
            for traf in header.read_node(source)?.all(b"traf") {
                let tfhd = Tfhd::parse(traf.require(&[b"tfhd"])?.payload());
                let at = |error: Error| error.at("moof/traf").at_byte(header.position);
                if tfhd.map_err(at)?.track_id == track_id {
                    let count: u64 = traf.all(b"trun").map(|trun| count_at(trun, 4)).sum();
                    groups.add(traf, start..start.saturating_add(count)).map_err(at)?;
                    start = start.saturating_add(count);
                }
            }
        }
        groups.0.retain(|grouping| !grouping.descriptions.entries.is_empty());
        Ok(groups)
    }

    /// Adds what a sample table or a track fragment says of these samples.
    fn add(&mut self, parent: &BoxNode, samples: Range<u64>) -> Result<()> {
        let mut described = Vec::new();
        if parent.all(b"sgpd").count() > MAX_GROUPINGS {
            return Err(too_many());
        }
        for node in parent.all(b"sgpd") {
            let (grouping_type, descriptions) =
                Descriptions::parse(node).map_err(|error| error.at("sgpd"))?;
            described.push((grouping_type, descriptions));
        }
        described.retain(|(grouping_type, _)| *grouping_type != Sgpd::SEIG);
        let is_table = parent.is(b"stbl");
        for (grouping_type, descriptions) in described.iter().filter(|_| is_table) {
            self.grouping(*grouping_type, None)?.descriptions = descriptions.clone();
        }
        for node in parent.all(b"sbgp") {
            let sbgp = Sbgp::parse(node.payload()).map_err(|error| error.at("sbgp"))?;
            if sbgp.grouping_type == Sgpd::SEIG {
                continue;
            }
            let here = described.iter().find(|(kind, _)| *kind == sbgp.grouping_type).map(|(_, here)| here);
            let grouping = self.grouping(sbgp.grouping_type, sbgp.grouping_type_parameter)?;
            grouping.skip_to(samples.start);
            for SbgpEntry { sample_count, group_description_index } in sbgp.entries {
                let last = grouping.runs.last().map_or(0, |run| run.0);
                let end = last.saturating_add(sample_count.into()).min(samples.end);
                let group = match group_description_index.checked_sub(Sbgp::FRAGMENT_LOCAL) {
                    Some(local) if !is_table => grouping.descriptions.group_of(local, here)?,
                    _ => group_description_index,
                };
                grouping.run(end, group);
            }
        }
        Ok(())
    }

    fn grouping(&mut self, grouping_type: FourCc, parameter: Option<u32>) -> Result<&mut Grouping> {
        let is_it = |known: &Grouping| known.grouping_type == grouping_type && known.parameter == parameter;
        // The descriptions came before the samples and know no parameter.
        let is_new = |known: &Grouping| known.grouping_type == grouping_type && known.runs.is_empty();
        let place = self.0.iter().position(is_it).or_else(|| self.0.iter().position(is_new));
        let place = place.unwrap_or_else(|| {
            let of_type = self.0.iter().find(|known| known.grouping_type == grouping_type);
            let descriptions = of_type.map(|known| known.descriptions.clone()).unwrap_or_default();
            self.0.push(Grouping { grouping_type, parameter, descriptions, runs: Vec::new() });
            self.0.len() - 1
        });
        if self.0.len() > MAX_GROUPINGS {
            return Err(too_many());
        }
        let grouping = self.0.get_mut(place).ok_or_else(|| Error::internal("no grouping in its place"))?;
        grouping.parameter = parameter;
        Ok(grouping)
    }

    /// The `sgpd` boxes of the init segment.
    ///
    /// # Errors
    /// When a description is too long for its box.
    pub(super) fn descriptions(&self) -> Result<Vec<BoxNode>> {
        let mut nodes: Vec<BoxNode> = Vec::new();
        for grouping in &self.0 {
            let node = grouping.descriptions.write(grouping.grouping_type)?;
            // Groupings of one type that differ in their parameter have one description.
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        Ok(nodes)
    }

    /// The `sbgp` boxes of a fragment of these samples, which count from the first of the track.
    pub(super) fn boxes(&self, samples: Range<u64>) -> impl Iterator<Item = BoxNode> + '_ {
        self.0.iter().filter_map(move |grouping| {
            let entries = grouping.entries(&samples);
            let is_none = entries.iter().all(|entry| entry.group_description_index == 0);
            // Samples in no group are in the default one, unless they are said to be in none.
            if entries.is_empty() || is_none && grouping.descriptions.default.is_none() {
                return None;
            }
            let sbgp = Sbgp {
                grouping_type: grouping.grouping_type,
                grouping_type_parameter: grouping.parameter,
                entries,
            };
            Some(BoxNode::data(b"sbgp", sbgp.write()))
        })
    }
}

impl Grouping {
    /// Puts the samples up to this one into a group.
    fn run(&mut self, end: u64, group: u32) {
        match self.runs.last_mut() {
            Some(last) if last.1 == group => last.0 = last.0.max(end),
            Some(last) if last.0 >= end => {}
            _ if end == 0 => {}
            _ => self.runs.push((end, group)),
        }
    }

    /// What was not said until this sample is in no group.
    fn skip_to(&mut self, start: u64) {
        if self.runs.last().map_or(0, |run| run.0) < start {
            self.run(start, 0);
        }
    }

    fn entries(&self, samples: &Range<u64>) -> Vec<SbgpEntry> {
        let first = self.runs.partition_point(|run| run.0 <= samples.start);
        let mut entries = Vec::new();
        let mut start = samples.start;
        for (end, group_description_index) in self.runs.get(first..).unwrap_or_default() {
            let end = (*end).min(samples.end);
            if let Some(sample_count) =
                u32::try_from(end.saturating_sub(start)).ok().filter(|count| *count > 0)
            {
                entries.push(SbgpEntry { sample_count, group_description_index: *group_description_index });
            }
            start = end;
            if start == samples.end {
                break;
            }
        }
        entries
    }
}

impl Descriptions {
    /// Reads `sgpd`: §8.9.3. Where lengths may stand or not, the form that fills the box is the one that was written.
    fn parse(node: &BoxNode) -> Result<(FourCc, Self)> {
        let mut reader = Reader::new(node.payload());
        let version = reader.u8()?;
        reader.u24()?;
        let grouping_type = reader.fourcc()?;
        let stated = (version > 0).then(|| Self::entries(reader.clone(), version, true));
        let parsed = match stated {
            Some(Ok((parsed, 0))) => parsed,
            other if version == 1 => other.unwrap_or_else(|| Err(Error::internal("no form of sgpd")))?.0,
            _ => Self::entries(reader, version, false)?.0,
        };
        Ok((grouping_type, Self { node: Some(node.clone()), ..parsed }))
    }

    /// The entries, and how many bytes are left behind them.
    fn entries(mut reader: Reader<'_>, version: u8, has_lengths: bool) -> Result<(Self, usize)> {
        let length = has_lengths.then(|| reader.u32()).transpose()?;
        let default = (version > 1).then(|| reader.u32()).transpose()?;
        let count = reader.u32()?;
        // Without lengths all have the same.
        let equal = if length.is_some() { 1 } else { reader.remaining() / (count as usize).max(1) };
        let mut entries = Vec::new();
        for _ in 0..count {
            let length = match length {
                Some(0) => reader.u32()? as usize,
                Some(length) => length as usize,
                None => equal,
            };
            if equal == 0 {
                return Err(Error::input(format!("{count} entries are stated, {} are there", entries.len()))
                    .clause("ISO/IEC 14496-12 §8.9.3"));
            }
            entries.push(reader.take(length)?.to_vec());
        }
        Ok((Self { default, entries, ..Self::default() }, reader.remaining()))
    }

    /// The number that a group of a track fragment has among all; it is added when it is new.
    fn group_of(&mut self, local: u32, here: Option<&Self>) -> Result<u32> {
        let entry = here.and_then(|here| here.entries.get((local as usize).checked_sub(1)?));
        let entry = entry.ok_or_else(|| {
            Error::input(format!("group {local} of a fragment that does not describe it"))
                .clause("ISO/IEC 14496-12 §8.9.4")
                .at("sbgp")
        })?;
        if self.numbers.is_empty() {
            self.numbers = (1..).zip(&self.entries).map(|(number, entry)| (entry.clone(), number)).collect();
        }
        if let Some(number) = self.numbers.get(entry) {
            return Ok(*number);
        }
        self.node = None;
        self.entries.push(entry.clone());
        let number = u32::try_from(self.entries.len()).ok().filter(|number| *number < Sbgp::FRAGMENT_LOCAL);
        let number = number.ok_or_else(|| {
            Error::unsupported(format!("more than {} groups of samples", Sbgp::FRAGMENT_LOCAL - 1))
                .clause("ISO/IEC 14496-12 §8.9.4")
                .at("sgpd")
        })?;
        self.numbers.insert(entry.clone(), number);
        Ok(number)
    }

    fn write(&self, grouping_type: FourCc) -> Result<BoxNode> {
        if let Some(node) = &self.node {
            return Ok(node.clone());
        }
        let length = |entry: &Vec<u8>| {
            u32::try_from(entry.len()).map_err(|_| Error::unsupported("a group description over 4 GiB"))
        };
        let mut payload = vec![if self.default.is_some() { 2 } else { 1 }, 0, 0, 0];
        payload.extend(grouping_type.0);
        payload.extend([0; 4]);
        payload.extend(self.default.into_iter().flat_map(u32::to_be_bytes));
        payload.extend(u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_be_bytes());
        for entry in &self.entries {
            payload.extend(length(entry)?.to_be_bytes());
            payload.extend(entry);
        }
        Ok(BoxNode::data(b"sgpd", payload))
    }
}

fn too_many() -> Error {
    Error::unsupported(format!("more than {MAX_GROUPINGS} groupings of samples"))
        .clause("ISO/IEC 14496-12 §8.9")
        .at("sgpd")
}

/// A count of 32 bits at this place of a payload.
fn count_at(node: &BoxNode, at: usize) -> u64 {
    let field = node.payload().get(at..).and_then(|field| field.first_chunk().copied());
    field.map_or(0, |field| u32::from_be_bytes(field).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sbgp(entries: &[[u32; 2]]) -> BoxNode {
        let count = u32::try_from(entries.len()).unwrap().to_be_bytes();
        let entries = entries.concat().into_iter().flat_map(u32::to_be_bytes).collect();
        BoxNode::data(b"sbgp", [vec![0; 4], b"roll".to_vec(), count.to_vec(), entries].concat())
    }

    fn sgpd(version: u8, fields: &[u8]) -> BoxNode {
        BoxNode::data(b"sgpd", [&[version, 0, 0, 0][..], b"roll", fields].concat())
    }

    /// Two groups of two bytes: the distances -1 and -2.
    fn rolls() -> BoxNode {
        sgpd(1, &[0, 0, 0, 2, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xfe])
    }

    #[test]
    fn fragments_say_the_groups_of_their_samples() {
        let of = |entries: &[[u32; 2]]| {
            let mut groups = SampleGroups::default();
            groups.add(&BoxNode::container(b"stbl", vec![rolls(), sbgp(entries)]), 0..7).unwrap();
            groups
        };
        let boxes = |groups: &SampleGroups, samples| groups.boxes(samples).collect::<Vec<_>>();
        let whole = of(&[[5, 1], [2, 1]]);
        assert_eq!(boxes(&whole, 0..3), [sbgp(&[[3, 1]])]);
        let parts = of(&[[2, 0], [2, 2], [1, 1]]);
        assert_eq!(boxes(&parts, 0..2), []);
        assert_eq!(boxes(&parts, 1..5), [sbgp(&[[1, 0], [2, 2], [1, 1]])]);
        assert_eq!(boxes(&parts, 3..7), [sbgp(&[[1, 2], [1, 1]])]);
        assert_eq!((boxes(&parts, 5..7), boxes(&of(&[[7, 0]]), 0..7)), (vec![], vec![]));
        assert_eq!(parts.descriptions().unwrap(), [rolls()]);
    }

    #[test]
    fn groups_that_fragments_describe_are_described_once() {
        let mut groups = SampleGroups::default();
        groups.add(&BoxNode::container(b"stbl", vec![rolls()]), 0..0).unwrap();
        let local = sgpd(1, &[0, 0, 0, 2, 0, 0, 0, 2, 0xff, 0xfe, 0, 9]);
        for number in 0..2 {
            let entries = sbgp(&[[1, 0x1_0001], [1, 0x1_0002], [1, 1]]);
            let traf = BoxNode::container(b"traf", vec![local.clone(), entries]);
            groups.add(&traf, number * 4..number * 4 + 4).unwrap();
        }
        let described =
            [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0xff, 0xff, 0, 0, 0, 2, 0xff, 0xfe, 0, 0, 0, 2, 0, 9];
        assert_eq!(groups.descriptions().unwrap(), [sgpd(1, &described)]);
        let boxes: Vec<_> = groups.boxes(2..8).collect();
        assert_eq!(boxes, [sbgp(&[[1, 1], [1, 0], [1, 2], [1, 3], [1, 1]])]);
        let lost = BoxNode::container(b"traf", vec![sbgp(&[[1, 0x1_0001]])]);
        assert!(groups.add(&lost, 8..9).is_err());
    }

    #[test]
    fn each_version_of_descriptions_is_read_and_what_is_cut_off_refused() {
        let of = |node: &BoxNode| Descriptions::parse(node).map(|(_, found)| (found.default, found.entries));
        let two = vec![vec![0xff, 0xff], vec![0xff, 0xfe]];
        assert_eq!(of(&rolls()).unwrap(), (None, two.clone()));
        assert_eq!(of(&sgpd(0, &[0, 0, 0, 2, 0xff, 0xff, 0xff, 0xfe])).unwrap(), (None, two.clone()));
        let second = [0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xfe];
        assert_eq!(of(&sgpd(2, &second)).unwrap(), (Some(1), two.clone()));
        assert_eq!(of(&sgpd(2, &second[4..])).unwrap(), (Some(1), two));
        for end in 0..rolls().payload().len() {
            assert!(of(&BoxNode::data(b"sgpd", rolls().payload()[..end].to_vec())).is_err(), "{end}");
        }
        assert!(of(&sgpd(0, &[0xff, 0xff, 0xff, 0xff])).is_err());
    }
}
