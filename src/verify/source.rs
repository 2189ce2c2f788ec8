//! The clear source, sample by sample: what decrypted samples are held to — ISO/IEC 14496-12 §8.7, §8.8.

use std::collections::{HashMap, VecDeque};

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Trex;
use crate::isobmff::samples::{Sample, samples};
use crate::package::EditList;

/// Largest sample that is read, in bytes.
const MAX_SAMPLE: u32 = 1 << 30;

/// A clear file, and the `moov` that describes it.
pub(super) struct ClearFile<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) moov: &'a BoxNode,
    pub(super) trexes: &'a [Trex],
    pub(super) track_id: u32,
    /// Ticks per second of its media.
    pub(super) timescale: u32,
    /// Whether it is held to fragments, into which edit lists of tables go.
    pub(super) is_cut: bool,
}

type Samples<'a> = Box<dyn Iterator<Item = Result<Sample>> + 'a>;

/// What is left of a file of a track.
struct Left<'a> {
    source: &'a dyn Source,
    edits: EditList,
    samples: Samples<'a>,
}

/// A sample of the clear source, what the edit list there makes of its times, and its bytes.
pub(super) type ClearSample = (Sample, EditList, Vec<u8>);

/// The tracks of the source in step with those that are checked, by the `track_ID` of the latter.
#[derive(Default)]
pub(super) struct SourceTracks<'a> {
    tracks: HashMap<u32, VecDeque<Left<'a>>>,
}

impl<'a> SourceTracks<'a> {
    /// Adds a file to the track.
    pub(super) fn add(&mut self, track_id: u32, file: &ClearFile<'a>) -> Result<()> {
        let all = || samples(file.source, file.moov, file.track_id, file.trexes);
        // One that is cut off says nothing.
        let edits = EditList::of(file.moov, file.track_id, file.timescale).unwrap_or_default();
        let left = if file.is_cut {
            let samples = edits.samples(all()?);
            Left { source: file.source, edits: edits.written(), samples: Box::new(samples) }
        } else {
            Left { source: file.source, edits, samples: Box::new(all()?) }
        };
        self.tracks.entry(track_id).or_default().push_back(left);
        Ok(())
    }

    fn next_sample(&mut self, track_id: u32) -> Option<(&'a dyn Source, EditList, Result<Sample>)> {
        let files = self.tracks.get_mut(&track_id)?;
        loop {
            let left = files.front_mut()?;
            if let Some(sample) = left.samples.next() {
                return Some((left.source, left.edits, sample));
            }
            files.pop_front();
        }
    }

    /// The next sample; `None` at the end.
    pub(super) fn next(&mut self, track_id: u32) -> Result<Option<ClearSample>> {
        let Some((source, edits, sample)) = self.next_sample(track_id) else { return Ok(None) };
        let sample = sample?;
        let fits = sample.position.saturating_add(u64::from(sample.size)) <= source.len();
        if !fits || sample.size > MAX_SAMPLE {
            return Err(Error::input(format!(
                "a sample of the clear source at byte {} has {} bytes, the file has {}",
                sample.position,
                sample.size,
                source.len()
            ))
            .clause("ISO/IEC 14496-12 §8.7"));
        }
        let mut bytes = vec![0; sample.size as usize];
        source.read_at(sample.position, &mut bytes)?;
        Ok(Some((sample, edits, bytes)))
    }

    /// Passes over a sample that cannot be compared.
    pub(super) fn skip(&mut self, track_id: u32) {
        self.next_sample(track_id);
    }

    /// How many samples are left, track by track.
    pub(super) fn left(&mut self) -> Vec<(u32, u64)> {
        let ids: Vec<u32> = self.tracks.keys().copied().collect();
        let mut left = Vec::new();
        for id in ids {
            let mut count = 0;
            while self.next_sample(id).is_some_and(|(.., sample)| sample.is_ok()) {
                count += 1;
            }
            if count > 0 {
                left.push((id, count));
            }
        }
        left.sort_unstable();
        left
    }
}
