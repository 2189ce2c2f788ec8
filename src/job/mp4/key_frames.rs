//! Key frames of AVC and HEVC in a file that says that all pictures are: without `stss` every sample is a sync sample —
//! ISO/IEC 14496-12 §8.6.2.
//!
//! Some writers leave it out, and segments would begin with pictures that cannot be decoded.

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::codec::{KeyPicture, KeyPictures};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Trex;
use crate::isobmff::samples::{Sample, samples};
use crate::isobmff::track::{Track, tracks, trak, trak_mut};

use super::movie::{config, remedy};

/// What is found in the samples of a track.
#[derive(Default)]
struct Found {
    /// The numbers of the key frames, from 1.
    keys: Vec<u32>,
    pictures: u64,
    /// Whether a picture needs others.
    has_others: bool,
}

/// Gives tracks without `stss` whose pictures are not all key frames one that tells which are; says so.
///
/// # Errors
/// When fragments say of pictures that need others that they are key frames.
pub(crate) fn mend(
    name: &str,
    source: &dyn Source,
    moov: &mut BoxNode,
    trexes: &[Trex],
) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for track in tracks(moov)?.iter().filter(|track| &track.handler_type.0 == b"vide") {
        let Some(found) = found(source, moov, track, trexes)?.filter(|found| found.has_others) else {
            continue;
        };
        let id = track.track_id;
        let (keys, pictures) = (found.keys.len(), found.pictures);
        if is_fragmented(source, moov, track)? {
            return Err(Error::input(format!(
                "its fragments call every picture a key frame, and the NAL units of sample {pictures} need others"
            ))
            .clause("ISO/IEC 14496-12 §8.8.3.1")
            .at(format_args!("track {id} (video)"))
            .hint(remedy(moov, &[b"vide"])));
        }
        let numbers = found.keys.iter().flat_map(|number| number.to_be_bytes());
        let count = u32::try_from(keys).unwrap_or(u32::MAX).to_be_bytes();
        let payload = [0; 4].into_iter().chain(count).chain(numbers).collect();
        if let Some(stbl) = trak_mut(moov, id)?.find_mut(&[b"mdia", b"minf", b"stbl"]) {
            stbl.push(BoxNode::data(b"stss", payload));
        }
        said.push(format!(
            "{name}: track {id} has no stss, which says that every picture is a key frame: key frames were found by their \
             NAL units, {keys} of {pictures} pictures"
        ));
    }
    Ok(said)
}

fn is_fragmented(source: &dyn Source, moov: &BoxNode, track: &Track) -> Result<bool> {
    Ok(samples(source, moov, track.track_id, &[])?.next().is_none())
}

/// What the NAL units of a track say whose samples are all said to be sync samples; `None` of other tracks, and of samples
/// that cannot be read, which is found where they are encrypted. Of fragments it is enough to know that some need others.
fn found(source: &dyn Source, moov: &BoxNode, track: &Track, trexes: &[Trex]) -> Result<Option<Found>> {
    let stss: &[&[u8; 4]] = &[b"mdia", b"minf", b"stbl", b"stss"];
    let units: Option<Vec<_>> =
        track.sample_entries.iter().map(|entry| KeyPictures::of(&config(entry))).collect();
    let Some(units) = units.filter(|units| !units.is_empty()) else { return Ok(None) };
    if trak(moov, track.track_id)?.find(stss).is_some() {
        return Ok(None);
    }
    let is_fragmented = is_fragmented(source, moov, track)?;
    let mut found = Found::default();
    for (number, sample) in (1..).zip(samples(source, moov, track.track_id, trexes)?) {
        let Some(sample) = sample.ok().filter(Sample::is_sync) else { return Ok(None) };
        let index = usize::try_from(sample.sample_description_index).unwrap_or(0);
        let Some(units) = index.checked_sub(1).and_then(|index| units.get(index)) else { return Ok(None) };
        let read = |at: u64, buffer: &mut [u8]| source.read_at(sample.position.saturating_add(at), buffer);
        let Ok(picture) = units.picture(sample.size.into(), read) else { return Ok(None) };
        found.pictures += 1;
        match picture {
            Some(KeyPicture::Key) => found.keys.push(number),
            Some(KeyPicture::Other) => found.has_others = true,
            Some(KeyPicture::Intra) | None => {}
        }
        if is_fragmented && found.has_others {
            break;
        }
    }
    Ok(Some(found))
}
