//! Where access units begin in a byte stream — ITU-T H.264 §7.4.1.2.3, §7.4.1.2.4; ITU-T H.265 §7.4.2.4.4.

use super::avc::{PictureId, Pictures};
use super::byte_stream::nal_units;
use super::carried::Carried;

/// Tells the access units of a stream of AVC or HEVC from each other.
#[derive(Debug)]
pub struct AccessUnits {
    /// What tells pictures of AVC apart; `None` of HEVC, where slices say it.
    pictures: Option<Pictures>,
}

/// What a NAL unit is where access units are told apart.
enum Part {
    /// The first slice of a picture; of AVC with what is known of it.
    First(Option<PictureId>),
    /// Another slice.
    Slice,
    /// What stands before the first slice, and begins an access unit when a picture is before.
    Before,
    Other,
}

impl AccessUnits {
    /// Of a stream of this codec.
    pub fn new(codec: Carried) -> Self {
        Self { pictures: (codec == Carried::Avc).then(Pictures::new) }
    }

    fn part(&mut self, unit: &[u8]) -> Part {
        let [first, rest @ ..] = unit else { return Part::Other };
        if let Some(pictures) = &mut self.pictures {
            return match first & 0x1f {
                1 | 2 | 5 => match pictures.first_slice(unit) {
                    Some(id) => Part::First(id),
                    None => Part::Slice,
                },
                nal_unit_type @ (6..=9 | 14..=18) => {
                    pictures.update(nal_unit_type, rest);
                    Part::Before
                }
                _ => Part::Other,
            };
        }
        let is_base = first & 1 == 0 && rest.first().is_some_and(|second| second & 0xf8 == 0);
        match first >> 1 & 0x3f {
            _ if !is_base => Part::Other,
            0..=31 if rest.get(1).is_some_and(|header| header & 0x80 != 0) => Part::First(None),
            0..=31 => Part::Slice,
            32..=35 | 39 | 41..=44 | 48..=55 => Part::Before,
            _ => Part::Other,
        }
    }

    /// Whether a NAL unit is a slice of a picture that began before it.
    pub fn goes_on(&mut self, unit: &[u8]) -> bool {
        matches!(self.part(unit), Part::Slice)
    }

    /// Where access units begin in these bytes, which begin with one: the first place is 0. Both fields of a frame are one,
    /// as ISO/IEC 14496-15 has samples of frames.
    pub fn begins(&mut self, stream: &[u8]) -> Vec<usize> {
        let mut begins = vec![0];
        let mut picture: Option<Option<PictureId>> = None;
        let mut fields = 1;
        // Where what stands before the next picture begins.
        let mut before: Option<usize> = None;
        for range in nal_units(stream) {
            let start = range.start.saturating_sub(3);
            match self.part(stream.get(range).unwrap_or_default()) {
                Part::Before if picture.is_some() => before = before.or(Some(start)),
                Part::First(id) => {
                    let is_second = fields == 1
                        && picture.flatten().zip(id).is_some_and(|(first, second)| second.completes(first));
                    if is_second {
                        fields = 2;
                    } else if picture.is_some() {
                        begins.push(before.unwrap_or(start));
                        fields = 1;
                    }
                    (picture, before) = (Some(id), None);
                }
                Part::Slice => before = None,
                _ => {}
            }
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(units: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
        let (mut out, mut places) = (Vec::new(), Vec::new());
        for unit in units {
            places.push(out.len());
            out.extend([&[0, 0, 1], *unit].concat());
        }
        (out, places)
    }

    #[test]
    fn a_unit_begins_with_the_first_slice_or_what_stands_before_it() {
        // Delimiter, two slices, a message and a picture; a picture at once.
        let avc: &[&[u8]] =
            &[&[9, 0xf0], &[0x65, 0x88], &[0x65, 0x48], &[6, 1], &[0x41, 0x9a], &[0x41, 0x9a]];
        let (bytes, places) = stream(avc);
        let expected = [0, places[3], places[5]];
        assert_eq!(AccessUnits::new(Carried::Avc).begins(&bytes), expected);
        let hevc: &[&[u8]] = &[
            &[0x46, 1, 0x50],
            &[0x26, 1, 0x80],
            &[0x26, 1, 0x40],
            &[0x4e, 1, 5],
            &[2, 1, 0x80],
            &[2, 1, 0x80],
        ];
        let (bytes, places) = stream(hevc);
        let expected = [0, places[3], places[5]];
        assert_eq!(AccessUnits::new(Carried::Hevc).begins(&bytes), expected);
        assert!(AccessUnits::new(Carried::Avc).goes_on(&[0x41, 0x48]));
        assert!(!AccessUnits::new(Carried::Hevc).goes_on(&[2, 1, 0x80]));
    }
}
