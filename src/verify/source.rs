//! The clear source, sample by sample: what decrypted samples are held to — ISO/IEC 14496-12 §8.7, §8.8.

use std::collections::{HashMap, VecDeque};

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Trex;
use crate::isobmff::samples::{Sample, samples};

/// Largest sample that is read, in bytes.
const MAX_SAMPLE: u32 = 1 << 30;

/// A clear file, and the `moov` that describes it.
pub(super) struct ClearFile<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) moov: &'a BoxNode,
    pub(super) trexes: &'a [Trex],
    pub(super) track_id: u32,
}

type Samples<'a> = Box<dyn Iterator<Item = Result<Sample>> + 'a>;

/// The tracks of the source in step with those that are checked, by the `track_ID` of the latter.
#[derive(Default)]
pub(super) struct SourceTracks<'a> {
    tracks: HashMap<u32, VecDeque<(&'a dyn Source, Samples<'a>)>>,
}

impl<'a> SourceTracks<'a> {
    /// Adds a file to the track.
    pub(super) fn add(&mut self, track_id: u32, file: &ClearFile<'a>) -> Result<()> {
        let samples = samples(file.source, file.moov, file.track_id, file.trexes)?;
        self.tracks.entry(track_id).or_default().push_back((file.source, Box::new(samples)));
        Ok(())
    }

    fn next_sample(&mut self, track_id: u32) -> Option<(&'a dyn Source, Result<Sample>)> {
        let files = self.tracks.get_mut(&track_id)?;
        loop {
            let (source, samples) = files.front_mut()?;
            if let Some(sample) = samples.next() {
                return Some((*source, sample));
            }
            files.pop_front();
        }
    }

    /// The next sample, and its bytes; `None` at the end.
    pub(super) fn next(&mut self, track_id: u32) -> Result<Option<(Sample, Vec<u8>)>> {
        let Some((source, sample)) = self.next_sample(track_id) else { return Ok(None) };
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
        Ok(Some((sample, bytes)))
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
            while self.next_sample(id).is_some_and(|(_, sample)| sample.is_ok()) {
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
