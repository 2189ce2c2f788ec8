//! Frames of which a file states the first bytes once for all — RFC 9559 §5.1.4.1.31.7: put together when they are read.

use super::movie::MovieTrack;
use crate::base::env::Source;
use crate::base::{Error, Result};

/// A frame.
struct StoredFrame {
    /// Where it begins among all frames, and where its end lies in the file.
    start: u64,
    position: u64,
    /// Which track's first bytes it has.
    track: usize,
}

/// The frames of all tracks, one behind the other.
pub(super) struct WholeFrames {
    source: Box<dyn Source>,
    first_bytes: Vec<Vec<u8>>,
    frames: Vec<StoredFrame>,
    length: u64,
}

impl WholeFrames {
    /// Of tracks whose samples lie in `source` without these first bytes, but are as long as with them; puts them where
    /// they are from now on.
    pub(super) fn new(source: Box<dyn Source>, tracks: &mut [MovieTrack], first_bytes: Vec<Vec<u8>>) -> Self {
        let (mut frames, mut length) = (Vec::new(), 0);
        for (track, samples) in tracks.iter_mut().map(|track| &mut track.samples).enumerate() {
            for sample in samples {
                frames.push(StoredFrame { start: length, position: sample.position, track });
                sample.position = length;
                length += u64::from(sample.size);
            }
        }
        Self { source, first_bytes, frames, length }
    }
}

impl Source for WholeFrames {
    fn len(&self) -> u64 {
        self.length
    }

    fn version(&self) -> Option<String> {
        self.source.version()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = position.saturating_add(filled as u64);
            let number = self.frames.partition_point(|frame| frame.start <= at).checked_sub(1);
            let frame = number.and_then(|number| self.frames.get(number)).filter(|_| at < self.length);
            let frame = frame.ok_or_else(|| Error::input(format!("a place at {at}, where no frame is")))?;
            let end =
                number.and_then(|number| self.frames.get(number + 1)).map_or(self.length, |next| next.start);
            let first = self.first_bytes.get(frame.track).map(Vec::as_slice).unwrap_or_default();
            let skip = at - frame.start;
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            let known = usize::try_from(skip).ok().and_then(|skip| first.get(skip..)).unwrap_or_default();
            let count = if known.is_empty() {
                let count = usize::try_from(end - at).unwrap_or(usize::MAX).min(rest.len());
                let place = frame.position + (skip - first.len() as u64);
                self.source.read_at(place, rest.get_mut(..count).unwrap_or_default())?;
                count
            } else {
                rest.iter_mut().zip(known).for_each(|(to, from)| *to = *from);
                known.len().min(rest.len())
            };
            filled += count;
        }
        Ok(())
    }
}
