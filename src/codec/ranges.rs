//! Which bytes of a sample may be protected: what every codec's parser says — ISO/IEC 23001-7 §9.5.2.

use std::ops::Range;

use crate::base::Result;

/// Finds the protectable ranges of the samples of one track, in decode order.
///
/// It remembers what later samples depend on, such as parameter sets and reference frames, and so begins at
/// a sync sample: one is opened for each segment.
pub trait Ranges: Send {
    /// Appends to `out` the byte ranges of `sample` that may be protected: sorted, disjoint, not
    /// empty, inside the sample.
    ///
    /// # Errors
    /// When the sample cannot be parsed; there is no guessing.
    fn ranges(&mut self, sample: &[u8], out: &mut Vec<Range<usize>>) -> Result<()>;

    /// Checks of a sample that is not encrypted that nothing in these ranges of it is found by a decoder on another
    /// way than by the codec's own lengths. By default there is no such way.
    ///
    /// # Errors
    /// When there is something.
    fn check_clear(&self, _sample: &[u8], _ranges: &[Range<usize>]) -> Result<()> {
        Ok(())
    }

    /// Whether the sample that was looked at last has such a range when it is whole. By default it may have none.
    fn is_due(&self) -> bool {
        false
    }
}
