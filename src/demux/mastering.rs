//! The display that video was mastered on and how light its content is, as boxes — ISO/IEC 14496-12 §12.1.6, §12.1.7; VP
//! Codec ISO Media File Format Binding, Carriage of HDR Metadata.

use crate::base::FourCc;
use crate::matroska::{Mastering, MatroskaTrack};

/// How a binding writes them: the boxes, and what their numbers count.
struct Form {
    mastering: [u8; 4],
    light_level: [u8; 4],
    /// What is before the numbers: version and flags.
    head: &'static [u8],
    /// In which order the chromaticities of red, green, blue and white stand, and units in 1.
    order: [usize; 4],
    chromaticity: f64,
    /// Units in a cd/m², of the greatest and the least.
    luminance: [f64; 2],
}

/// Of all codecs: green, blue, red; chromaticities in 0.00002, luminance in 0.0001 cd/m².
const ISO: Form = Form {
    mastering: *b"mdcv",
    light_level: *b"clli",
    head: &[],
    order: [1, 2, 0, 3],
    chromaticity: 50_000.0,
    luminance: [10_000.0, 10_000.0],
};

/// Of VP8 and VP9: red, green, blue; fixed point of 0.16, 24.8 and 18.14 bits.
const VP: Form = Form {
    mastering: *b"SmDm",
    light_level: *b"CoLL",
    head: &[0; 4],
    order: [0, 1, 2, 3],
    chromaticity: 65_536.0,
    luminance: [256.0, 16_384.0],
};

/// The boxes of a track whose sample entry is this, types and payloads.
pub(super) fn boxes(track: &MatroskaTrack, entry: FourCc) -> Vec<(FourCc, Vec<u8>)> {
    let form = if entry.0.starts_with(b"vp") { &VP } else { &ISO };
    let mut boxes = Vec::new();
    if let Some(payload) = track.mastering.and_then(|mastering| form.mastering(&mastering)) {
        boxes.push((FourCc(form.mastering), payload));
    }
    if let Some((content, frame)) = track.light_level {
        let levels = [content, frame].map(|level| u16::try_from(level).unwrap_or(u16::MAX).to_be_bytes());
        boxes.push((FourCc(form.light_level), [form.head, &levels.concat()].concat()));
    }
    boxes
}

/// Whether a track says something of its mastering that no box has, as all of it is not said.
pub(super) fn is_lost(track: &MatroskaTrack) -> bool {
    track.mastering.is_some_and(|mastering| ISO.mastering(&mastering).is_none())
}

impl Form {
    /// The numbers of mastering; `None` when one is missing.
    fn mastering(&self, mastering: &Mastering) -> Option<Vec<u8>> {
        let mut out = self.head.to_vec();
        for pair in self.order {
            for value in mastering.chromaticities.get(2 * pair..2 * pair + 2)? {
                out.extend(
                    u16::try_from(fixed((*value)?, self.chromaticity)).unwrap_or(u16::MAX).to_be_bytes(),
                );
            }
        }
        for (value, unit) in mastering.luminance.iter().zip(self.luminance) {
            out.extend(fixed((*value)?, unit).to_be_bytes());
        }
        Some(out)
    }
}

/// A number in units, rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn fixed(value: f64, unit: f64) -> u32 {
    (value * unit).round() as u32
}
