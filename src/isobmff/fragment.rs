//! Movie fragments: where their samples lie, and `moof` surgery — ISO/IEC 14496-12 §8.8.

use crate::base::{Error, Result};

use super::BoxNode;
use super::boxes::{Tfdt, Tfhd, Tfxd, Trex, Trun};
use super::samples::Sample;

/// What one `traf` says.
#[derive(Clone, Debug)]
pub struct TrackFragment {
    /// `track_ID`.
    pub track_id: u32,
    /// Its samples; positions count from the start of the file.
    pub samples: Vec<Sample>,
    /// Where the data of each `trun` begins, in bytes from the start of the file.
    pub runs: Vec<u64>,
    /// What the offsets of `saio` count from, in bytes from the start of the file: §8.7.9.
    pub auxiliary_base: u64,
    /// Whether `tfdt`, or `tfxd` in its place, states the decode time.
    pub decode_time_is_stated: bool,
}

/// Most track fragments of one fragment: each is looked for among all.
const MAX_TRACK_FRAGMENTS: usize = 1024;
/// Most bytes of one fragment that are held at once.
pub const MAX_FRAGMENT_BYTES: u64 = 1 << 30;

fn no_trex(track_id: u32) -> Error {
    Error::input(format!("the init segment has no trex of track {track_id}, one of each track expected"))
        .clause("ISO/IEC 14496-12 §8.8.3")
}

/// Checks that an init segment says that fragments follow: without `mvex` players refuse them.
///
/// # Errors
/// When it does not.
pub fn check_extends(trexes: &[Trex]) -> Result<()> {
    match trexes {
        [] => Err(Error::input("fragments, but the init segment has no mvex with trex")
            .clause("ISO/IEC 14496-12 §8.8.1")
            .hint("its moov is that of another file: make the init segment again")),
        _ => Ok(()),
    }
}

/// Reads every `traf` of a `moof` that begins at `moof_position` in the file; without `trexes`, as far as it says
/// everything itself.
///
/// # Errors
/// When a box is missing or cut off, or a position overflows.
pub fn track_fragments(moof: &BoxNode, moof_position: u64, trexes: &[Trex]) -> Result<Vec<TrackFragment>> {
    let mut fragments = Vec::new();
    let mut end_of_previous = moof_position;
    for (index, traf) in moof.all(b"traf").enumerate() {
        if index == MAX_TRACK_FRAGMENTS {
            return Err(Error::unsupported(format!("more than {MAX_TRACK_FRAGMENTS} boxes traf")).at("moof"));
        }
        let fragment = track_fragment(traf, moof_position, end_of_previous, trexes)
            .map_err(|error| error.at(format_args!("moof/traf {}", index + 1)))?;
        if let Some(last) = fragment.samples.last() {
            end_of_previous = last.position + u64::from(last.size);
        }
        fragments.push(fragment);
    }
    Ok(fragments)
}

fn track_fragment(traf: &BoxNode, moof: u64, end_of_previous: u64, trexes: &[Trex]) -> Result<TrackFragment> {
    let tfhd = Tfhd::parse(traf.require(&[b"tfhd"])?.payload()).map_err(|error| error.at("tfhd"))?;
    let trex = trexes.iter().find(|trex| trex.track_id == tfhd.track_id).copied();
    let trex = match trex {
        None if !trexes.is_empty() => return Err(no_trex(tfhd.track_id)),
        trex => trex.unwrap_or_default(),
    };
    let stated = stated_decode_time(traf)?;
    // §8.8.7.1: base_data_offset, else moof, else the end of the data of the previous track fragment.
    let base = match tfhd.base_data_offset {
        Some(offset) => offset,
        None if tfhd.other_flags & Tfhd::DEFAULT_BASE_IS_MOOF != 0 => moof,
        None => end_of_previous,
    };
    let mut fragment = TrackFragment {
        track_id: tfhd.track_id,
        samples: Vec::new(),
        runs: Vec::new(),
        auxiliary_base: tfhd.base_data_offset.unwrap_or(moof),
        decode_time_is_stated: stated.is_some(),
    };
    let mut position = base;
    let mut decode_time = stated.unwrap_or(0);
    for trun in traf.all(b"trun") {
        let trun = Trun::parse(trun.payload()).map_err(|error| error.at("trun"))?;
        if let Some(offset) = trun.data_offset {
            position = base.checked_add_signed(i64::from(offset)).ok_or_else(|| {
                Error::input(format!("data_offset {offset} lies before the file")).at("trun")
            })?;
        }
        fragment.runs.push(position);
        for (index, sample) in trun.samples.iter().enumerate() {
            let first_flags = trun.first_sample_flags.filter(|_| index == 0);
            let flags = first_flags
                .or(sample.flags)
                .or(tfhd.default_sample_flags)
                .unwrap_or(trex.default_sample_flags);
            let size = sample.size.or(tfhd.default_sample_size).unwrap_or(trex.default_sample_size);
            let duration =
                sample.duration.or(tfhd.default_sample_duration).unwrap_or(trex.default_sample_duration);
            fragment.samples.push(Sample {
                position,
                size,
                decode_time,
                duration,
                composition_time_offset: sample.composition_time_offset.unwrap_or(0),
                flags,
                sample_description_index: tfhd
                    .sample_description_index
                    .unwrap_or_else(|| trex.default_sample_description_index.max(1)),
            });
            position = position
                .checked_add(u64::from(size))
                .ok_or_else(|| Error::input("sample positions overflow").at("trun"))?;
            decode_time =
                decode_time.checked_add(u64::from(duration)).ok_or_else(|| times_overflow(decode_time))?;
        }
    }
    Ok(fragment)
}

/// The decode time of the first sample, where a box says it: `tfdt` (§8.8.12), in its absence `tfxd`.
fn stated_decode_time(traf: &BoxNode) -> Result<Option<u64>> {
    match traf.find(&[b"tfdt"]) {
        Some(tfdt) => {
            let tfdt = Tfdt::parse(tfdt.payload()).map_err(|error| error.at("tfdt"))?;
            Ok(Some(tfdt.base_media_decode_time))
        }
        None => Ok(traf.all(b"uuid").find_map(Tfxd::of).transpose()?.map(|tfxd| tfxd.absolute_time)),
    }
}

/// Times are 64 bits wide, and so is every clock that follows from them.
pub(super) fn times_overflow(decode_time: u64) -> Error {
    Error::input(format!("a sample of decode time {decode_time} ends behind 2^64 - 1"))
        .clause("ISO/IEC 14496-12 §8.8.12")
        .at("tfdt")
}

/// Makes every `tfhd` and `trun` of `moof` right again after boxes were added or removed, and returns
/// by how many bytes the box grew. The data lies behind `moof` and moves with its end.
///
/// Offsets are then relative to `moof` (`default-base-is-moof`), the one form that every player reads and
/// that stays true when the fragment is moved.
///
/// # Errors
/// When data lies before the end of `moof`, or an offset does not fit its field.
pub fn relocate(
    moof: &mut BoxNode,
    fragments: &[TrackFragment],
    moof_position: u64,
    old_length: u64,
) -> Result<i64> {
    for traf in moof.all_mut(b"traf") {
        let Some(tfhd_box) = traf.find_mut(&[b"tfhd"]) else { continue };
        let mut tfhd = Tfhd::parse(tfhd_box.payload())?;
        tfhd.base_data_offset = None;
        tfhd.other_flags |= Tfhd::DEFAULT_BASE_IS_MOOF;
        *tfhd_box = BoxNode::data(b"tfhd", tfhd.write());
        for trun in traf.all_mut(b"trun") {
            set_data_offset(trun, 0)?;
        }
    }
    let overflow = || Error::unsupported("a fragment of more than 2 GiB").clause("ISO/IEC 14496-12 §8.8.8");
    let length = moof.len() as u64;
    let growth = i64::try_from(length).ok().zip(i64::try_from(old_length).ok()).map(|(new, old)| new - old);
    let growth = growth.ok_or_else(overflow)?;
    for (traf, fragment) in moof.all_mut(b"traf").zip(fragments) {
        for (trun, run) in traf.all_mut(b"trun").zip(&fragment.runs) {
            // A run without samples begins nowhere.
            if trun.payload().get(4..8) == Some(&[0; 4]) {
                continue;
            }
            let offset =
                run.checked_sub(moof_position).filter(|offset| *offset >= old_length).ok_or_else(|| {
                    Error::unsupported(format!("sample data at byte {run} lies before the end of its moof"))
                        .clause("ISO/IEC 14496-12 §8.8.4")
                })?;
            let offset = offset.checked_add_signed(growth).and_then(|offset| i32::try_from(offset).ok());
            set_data_offset(trun, offset.ok_or_else(overflow)?)?;
        }
    }
    Ok(growth)
}

fn set_data_offset(trun: &mut BoxNode, offset: i32) -> Result<()> {
    let mut payload = trun.payload().to_vec();
    Trun::set_data_offset(&mut payload, offset).map_err(|error| error.at("trun"))?;
    *trun = BoxNode::data(b"trun", payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::boxes::TrunSample;

    fn moof(tfhd: &Tfhd, data_offset: Option<i32>) -> BoxNode {
        let sample = TrunSample { size: Some(10), ..TrunSample::default() };
        let trun = Trun { data_offset, first_sample_flags: None, samples: vec![sample; 2] };
        let traf = BoxNode::container(
            b"traf",
            vec![BoxNode::data(b"tfhd", tfhd.write()), BoxNode::data(b"trun", trun.write())],
        );
        BoxNode::container(b"moof", vec![traf])
    }

    #[test]
    fn every_base_of_a_data_offset_is_understood_and_normalized() {
        let relative = Tfhd { track_id: 1, other_flags: Tfhd::DEFAULT_BASE_IS_MOOF, ..Tfhd::default() };
        let legacy = Tfhd { track_id: 1, ..Tfhd::default() };
        let absolute = Tfhd { track_id: 1, base_data_offset: Some(1000), ..Tfhd::default() };
        let absolute_without_offset = Tfhd { track_id: 1, base_data_offset: Some(1200), ..Tfhd::default() };
        for (tfhd, offset) in [
            (relative, Some(200)),
            (legacy, Some(200)),
            (absolute, Some(200)),
            (absolute_without_offset, None),
        ] {
            let mut node = moof(&tfhd, offset);
            let fragments = track_fragments(&node, 1000, &[]).unwrap();
            assert_eq!(fragments[0].samples[1].position, 1210);
            let old_length = node.len() as u64;
            node.all_mut(b"traf").next().unwrap().push(BoxNode::data(b"free", vec![0; 12]));
            let growth = relocate(&mut node, &fragments, 1000, old_length).unwrap();
            assert_eq!(old_length.checked_add_signed(growth).unwrap(), node.len() as u64);
            let moved = track_fragments(&node, 1000, &[]).unwrap();
            assert_eq!(moved[0].samples[1].position, 1210_u64.checked_add_signed(growth).unwrap());
        }
    }

    #[test]
    fn data_before_its_moof_is_refused() {
        let tfhd = Tfhd { track_id: 1, other_flags: Tfhd::DEFAULT_BASE_IS_MOOF, ..Tfhd::default() };
        let mut node = moof(&tfhd, Some(-100));
        let fragments = track_fragments(&node, 1000, &[]).unwrap();
        let length = node.len() as u64;
        assert!(relocate(&mut node, &fragments, 1000, length).is_err());
    }
}
