//! Initialization vectors — ISO/IEC 23001-7 §9.2, §9.3: which IV a sample gets.
//!
//! Under AES-CTR an IV must never be used twice with one key. The eight bytes of a sample's IV are
//!
//! ```text
//! base + (track << 52 | segment << 24 | sample)      modulo 2^64
//! base = the first eight bytes of SHA-256(vector)
//! ```
//!
//! where `vector` is the 16-byte IV that the key source or the operator gave, or a random one. `track` is
//! the number of the track in the job (12 bits), `segment` the number of the segment in the track (28
//! bits), `sample` the number of the sample in the segment (24 bits). Adding a constant is a bijection, so
//! two samples get the same IV only if track, segment and sample are the same: under one key, shared by
//! all tracks or not, IVs never repeat. A segment's IVs depend on nothing else, so segments can be
//! protected in any order, on any machine.
//!
//! A scheme whose samples have sixteen bytes gets these eight and, behind them, the second eight bytes of
//! SHA-256(vector): they differ as the first eight do, and cannot be foreseen without the vector.

use sha2::{Digest, Sha256};

use crate::base::{Error, Result};

/// Most tracks under one vector.
pub const MAX_TRACKS: u32 = 1 << 12;
/// Most segments of one track.
pub const MAX_SEGMENTS: u32 = 1 << 28;
/// Most samples of one segment.
pub const MAX_SAMPLES: u32 = 1 << 24;

/// Where the samples of a track get their IVs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Iv {
    /// `default_constant_IV` of `tenc`, applied to each subsample.
    Constant([u8; 16]),
    /// Eight or sixteen bytes with each sample, as the scheme says.
    PerSample(SampleIvs),
}

/// The IVs of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleIvs {
    base: u64,
    /// The second half of sixteen-byte IVs.
    tail: [u8; 8],
    track: u32,
}

impl SampleIvs {
    /// The IVs of the track of this number under this vector.
    ///
    /// # Errors
    /// When the number is not below [`MAX_TRACKS`].
    pub fn new(vector: &[u8; 16], track: u32) -> Result<Self> {
        if track >= MAX_TRACKS {
            return Err(Error::unsupported(format!("more than {MAX_TRACKS} tracks under one vector")));
        }
        let digest = Sha256::digest(vector);
        let base = digest.iter().take(8).fold(0_u64, |base, byte| base << 8 | u64::from(*byte));
        let mut tail = [0; 8];
        tail.iter_mut().zip(digest.iter().skip(8)).for_each(|(to, from)| *to = *from);
        Ok(Self { base, tail, track })
    }

    /// The IV of a sample, by the number of its segment in the track and its number in the segment.
    ///
    /// # Errors
    /// When a number is not below [`MAX_SEGMENTS`] or [`MAX_SAMPLES`].
    pub fn iv(&self, segment: u32, sample: u32) -> Result<[u8; 8]> {
        if segment >= MAX_SEGMENTS || sample >= MAX_SAMPLES {
            return Err(Error::unsupported(format!(
                "sample {sample} of segment {segment}: at most {MAX_SEGMENTS} segments of {MAX_SAMPLES} samples"
            )));
        }
        let place = u64::from(self.track) << 52 | u64::from(segment) << 24 | u64::from(sample);
        Ok(self.base.wrapping_add(place).to_be_bytes())
    }

    /// The sixteen-byte IV of a sample.
    ///
    /// # Errors
    /// As [`SampleIvs::iv`].
    pub fn iv_16(&self, segment: u32, sample: u32) -> Result<[u8; 16]> {
        let halves = [self.iv(segment, sample)?, self.tail];
        let mut iv = [0; 16];
        iv.iter_mut().zip(halves.iter().flatten()).for_each(|(to, from)| *to = *from);
        Ok(iv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ivs_differ_unless_track_segment_and_sample_are_the_same(
            vector: [u8; 16],
            a in (0..MAX_TRACKS, 0..MAX_SEGMENTS, 0..MAX_SAMPLES),
            b in (0..MAX_TRACKS, 0..MAX_SEGMENTS, 0..MAX_SAMPLES),
        ) {
            let iv = |(track, segment, sample)| {
                SampleIvs::new(&vector, track).unwrap().iv(segment, sample).unwrap()
            };
            prop_assert_eq!(iv(a) == iv(b), a == b);
            let iv_16 = |(track, segment, sample)| {
                SampleIvs::new(&vector, track).unwrap().iv_16(segment, sample).unwrap()
            };
            prop_assert_eq!(iv_16(a) == iv_16(b), a == b);
        }
    }

    #[test]
    fn neighbors_at_every_border_differ() {
        let vector = [0xff; 16];
        let mut seen = std::collections::HashSet::new();
        for track in [0, 1, MAX_TRACKS - 1] {
            for segment in [0, 1, MAX_SEGMENTS - 1] {
                for sample in [0, 1, MAX_SAMPLES - 1] {
                    assert!(
                        seen.insert(SampleIvs::new(&vector, track).unwrap().iv(segment, sample).unwrap())
                    );
                }
            }
        }
        assert!(SampleIvs::new(&vector, MAX_TRACKS).is_err());
        let ivs = SampleIvs::new(&vector, 0).unwrap();
        assert!(ivs.iv(MAX_SEGMENTS, 0).is_err() && ivs.iv(0, MAX_SAMPLES).is_err());
    }
}
