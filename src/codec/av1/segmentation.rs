//! Segmentation parameters, which say what frames are coded without loss — AV1 Bitstream Specification §5.9.14.

use super::descriptors::su;
use crate::base::Result;
use crate::base::bits::BitReader;

/// MAX_SEGMENTS: §3.
const MAX_SEGMENTS: usize = 8;
/// Segmentation_Feature_Bits and Segmentation_Feature_Signed: §5.9.14.
const FEATURES: [(u32, bool); 8] =
    [(8, true), (6, true), (6, true), (6, true), (6, true), (3, false), (0, false), (0, false)];
/// SEG_LVL_ALT_Q: §3.
const SEG_LVL_ALT_Q: usize = 0;

/// FeatureData of SEG_LVL_ALT_Q for each segment, `None` where the feature is not enabled. All of them are
/// `None` when segmentation is not enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segmentation {
    alt_q: [Option<i32>; MAX_SEGMENTS],
}

impl Segmentation {
    /// `segmentation_params()`; `previous` is what the primary reference frame has, if there is one.
    pub(super) fn parse(bits: &mut BitReader<'_>, previous: Option<Self>) -> Result<Self> {
        let segmentation_enabled = bits.bit()?;
        if !segmentation_enabled {
            return Ok(Self::default());
        }
        if let Some(previous) = previous {
            let segmentation_update_map = bits.bit()?;
            if segmentation_update_map {
                bits.bit()?; // segmentation_temporal_update
            }
            let segmentation_update_data = bits.bit()?;
            if !segmentation_update_data {
                return Ok(previous);
            }
        }
        let mut segmentation = Self::default();
        for alt_q in &mut segmentation.alt_q {
            for (feature, (feature_bits, signed)) in FEATURES.into_iter().enumerate() {
                let feature_enabled = bits.bit()?;
                if !feature_enabled {
                    continue;
                }
                if !signed {
                    bits.bits(feature_bits)?; // feature_value
                    continue;
                }
                let feature_value = su(bits, 1 + feature_bits)?;
                if feature == SEG_LVL_ALT_Q {
                    *alt_q = Some(feature_value);
                }
            }
        }
        Ok(segmentation)
    }

    /// Whether qindex is 0 in every segment: get_qidx( 1, segmentId ) of §7.12.2.
    pub(super) fn is_qindex_0(&self, base_q_idx: u32) -> bool {
        let base_q_idx = i32::try_from(base_q_idx).unwrap_or(i32::MAX);
        self.alt_q.iter().all(|alt_q| base_q_idx.saturating_add(alt_q.unwrap_or(0)) <= 0)
    }
}
