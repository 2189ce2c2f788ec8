//! Marks of slices, which AVC and HEVC share — ITU-T H.264 and H.265 §7.3.2, §7.4.2, §9.3.
//!
//! Arithmetic coding leaves little that random bytes do not have: almost any bits are slice data. What is left is rare.
//! The last byte of a NAL unit is never 0, the first nine bits of CABAC data are never 510 or 511, each of them one of 256;
//! and three bytes that emulation prevention takes out come once in four million. So that the marks of a few thousand
//! slices, two minutes of video, say which key is right, and those of a few seconds do not.
//!
//! Some writers leave zeros behind the slices of a byte stream inside the NAL units of a file. Of these the last byte says
//! nothing: the clear ends of slices give them away, or several zeros one behind the other, which no other key makes.

use std::ops::Range;

use memchr::memmem;

use super::evidence::Evidence;
use super::marks::{Marks, bytes_in, is_in};
use super::nal::nal_units;
use crate::base::{Kind, Result};

/// The share of random bytes that are not one certain value.
const ONE_BYTE: f64 = 255.0 / 256.0;
/// How many random bytes have one place on average that emulation prevention would have changed: three of 2^24 triples,
/// and of those that begin 0, 0, 3 nearly all.
const EMULATION: f64 = (1_u32 << 22) as f64;
/// The share of random bytes, at most, that are read as a slice header.
const HEADER: f64 = 0.5;
/// Bytes of a NAL unit that are part of its header and the slice header for certain.
const LEAST_HEADER: usize = 3;

/// Where the slice data of a NAL unit begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SliceStart {
    /// How many bytes are before it.
    pub(super) position: usize,
    /// Whether it is arithmetic coding.
    pub(super) is_cabac: bool,
}

/// Finds slice data, and knows the parameter sets that are in force.
pub(super) trait Slices: Send {
    /// Size of the length before each NAL unit.
    fn nal_unit_length_size(&self) -> usize;

    /// Where the slice data of a NAL unit begins, if it has some.
    fn slice(&mut self, nal_unit: &[u8]) -> Result<Option<SliceStart>>;
}

/// Zeros at the ends of so many slices, one behind the other, are no accident: one of 2^24.
const PADDED: u32 = 3;

/// What the last bytes of slices were so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Zeros, which may be padding or show another key.
    Zeros(u32),
    /// What H.264 and H.265 §7.4.1 ask for.
    Proper,
    /// Zeros behind the slice data: they are no marks.
    Padded,
}

/// The marks of slices.
pub(super) struct SliceMarks<S> {
    slices: S,
    ends: Ends,
}

impl<S> SliceMarks<S> {
    /// Marks of the slices that this finds.
    pub(super) fn new(slices: S) -> Self {
        Self { slices, ends: Ends::Zeros(0) }
    }

    /// Looks at the last byte of a slice.
    fn look_at_end(&mut self, is_zero: bool, is_encrypted: bool, evidence: &mut Evidence) {
        self.ends = match (self.ends, is_zero) {
            (Ends::Padded, _) => return,
            (_, true) if !is_encrypted => Ends::Padded,
            (Ends::Zeros(zeros), true) if zeros + 1 >= PADDED => Ends::Padded,
            (Ends::Zeros(zeros), true) => Ends::Zeros(zeros + 1),
            (Ends::Proper, true) => {
                evidence.mark(false, ONE_BYTE);
                Ends::Proper
            }
            (ends, false) => {
                // Those before were no padding.
                if let Ends::Zeros(zeros) = ends {
                    (0..zeros).for_each(|_| evidence.mark(false, ONE_BYTE));
                }
                if is_encrypted {
                    evidence.mark(true, ONE_BYTE);
                }
                Ends::Proper
            }
        };
    }
}

impl<S: Slices> Marks for SliceMarks<S> {
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        for range in nal_units(self.slices.nal_unit_length_size(), sample) {
            let Ok(range) = range else { return };
            let nal_unit = sample.get(range.clone()).unwrap_or_default();
            let slice = self.slices.slice(nal_unit);
            if let (Ok(Some(_)), Some(last)) = (&slice, nal_unit.last()) {
                let is_encrypted = is_in(encrypted, &(range.end - 1..range.end));
                self.look_at_end(*last == 0, is_encrypted, evidence);
            }
            if bytes_in(encrypted, &range) == 0 {
                continue;
            }
            match slice {
                Ok(Some(slice)) => look_at_slice(sample, &range, slice, encrypted, evidence),
                // Most writers leave headers clear, and then nothing is told of the key by one that cannot be read.
                Err(error) if error.kind() == Kind::Input => {
                    let header = range.start..range.end.min(range.start + LEAST_HEADER);
                    if bytes_in(encrypted, &header) > 0 {
                        evidence.mark(false, HEADER);
                    }
                }
                _ => {}
            }
        }
    }
}

fn look_at_slice(
    sample: &[u8],
    nal_unit: &Range<usize>,
    slice: SliceStart,
    encrypted: &[Range<usize>],
    evidence: &mut Evidence,
) {
    let data = nal_unit.start + slice.position;
    if bytes_in(encrypted, &(nal_unit.start..data)) > 0 {
        evidence.mark(true, HEADER);
    }
    if slice.is_cabac && data < nal_unit.end && is_in(encrypted, &(data..data + 1)) {
        evidence.mark(sample.get(data) != Some(&0xff), ONE_BYTE);
    }
    look_at_emulation(sample, nal_unit, encrypted, evidence);
}

/// Looks for what emulation prevention takes out of a NAL unit, where bytes of it were encrypted.
pub(super) fn look_at_emulation(
    stream: &[u8],
    nal_unit: &Range<usize>,
    encrypted: &[Range<usize>],
    evidence: &mut Evidence,
) {
    let bytes = stream.get(nal_unit.clone()).unwrap_or_default();
    // Zeros at the end are another mark.
    let bytes =
        bytes.get(..bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)).unwrap_or_default();
    let is_broken = memmem::find_iter(bytes, &[0, 0]).any(|at| {
        let is_taken_out = match bytes.get(at + 2..) {
            Some([3, next, ..]) => *next > 3,
            Some([third, ..]) => *third < 3,
            _ => false,
        };
        is_taken_out && bytes_in(encrypted, &(nal_unit.start + at..nal_unit.start + at + 4)) > 0
    });
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let encrypted_bytes = bytes_in(encrypted, nal_unit) as f64;
    evidence.mark(!is_broken, (-encrypted_bytes / EMULATION).exp());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks and misses of the last bytes of slices: each zero or not, encrypted or not.
    fn counts(ends: &[(bool, bool)]) -> (u64, u64) {
        let (mut marks, mut evidence) = (SliceMarks::new(()), Evidence::default());
        ends.iter().for_each(|(is_zero, is_encrypted)| {
            marks.look_at_end(*is_zero, *is_encrypted, &mut evidence);
        });
        let (marks, missed, _) = evidence.counts();
        (marks, missed)
    }

    #[test]
    fn zeros_that_pad_slices_are_no_marks_and_others_are() {
        let (zero, other, clear_zero, clear) = ((true, true), (false, true), (true, false), (false, false));
        // A zero that comes alone is of another key, wherever it stands.
        assert_eq!(counts(&[other, zero, other]), (3, 1));
        assert_eq!(counts(&[zero, other, other]), (3, 1));
        assert_eq!(counts(&[zero, clear, other]), (2, 1));
        // Clear ends show the padding, and so do many.
        assert_eq!(counts(&[zero, clear_zero, zero, zero, other]), (0, 0));
        assert_eq!(counts(&[zero, zero, zero, other, zero]), (0, 0));
        assert_eq!(counts(&[other, clear_zero, zero]), (1, 0));
    }
}
