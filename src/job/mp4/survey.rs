//! What all samples of a track together say: how many, how large, how long — ISO/IEC 14496-12 §8.6, §8.7, §8.8.

use crate::base::{Error, Result};
use crate::isobmff::samples::Sample;

/// The samples of a track, gone through once.
#[derive(Clone, Debug)]
pub(in crate::job) struct Survey {
    /// Its first sample.
    pub(in crate::job) first: Sample,
    /// When the sample that is composed last ends, in ticks of the media.
    pub(in crate::job) end: i128,
    /// Its samples.
    pub(in crate::job) samples: u64,
    /// How many of them come before the first sync sample.
    pub(in crate::job) leading: u64,
    /// Their bytes.
    pub(in crate::job) bytes: u64,
    /// Their durations together, in ticks of the media.
    pub(in crate::job) duration: u64,
    /// Key frames behind the first that are presented behind pictures which are decoded after them.
    pub(in crate::job) open: u64,
}

impl Survey {
    /// Goes through the samples; `None` when there are none.
    pub(in crate::job) fn of(mut samples: impl Iterator<Item = Result<Sample>>) -> Result<Option<Self>> {
        let Some(first) = samples.next().transpose()? else { return Ok(None) };
        let mut survey = Self {
            end: first.composition_time(),
            samples: 0,
            leading: 0,
            bytes: 0,
            duration: 0,
            open: 0,
            first,
        };
        // The composition time of the last key frame that no picture was found to lead.
        let mut key_frame = None;
        for sample in std::iter::once(Ok(first)).chain(samples) {
            let sample = sample?;
            survey.end = survey.end.max(sample.composition_time() + i128::from(sample.duration));
            if survey.leading == survey.samples && !sample.is_sync() {
                survey.leading += 1;
            }
            let time = sample.composition_time();
            if sample.is_sync() {
                key_frame = (survey.samples > 0).then_some(time);
            } else if key_frame.take_if(|key_frame| time < *key_frame).is_some() {
                survey.open = survey.open.saturating_add(1);
            }
            survey.samples = survey.samples.saturating_add(1);
            survey.bytes = survey.bytes.saturating_add(sample.size.into());
            survey.duration = survey.duration.saturating_add(sample.duration.into());
        }
        if survey.samples > 1 && survey.duration == 0 {
            return Err(Error::input(format!("{} samples last 0 ticks together", survey.samples))
                .clause("ISO/IEC 14496-12 §8.6.1")
                .hint("its times are lost: write it anew with the program that made it"));
        }
        Ok(Some(survey))
    }
}
