//! Which samples of AVC and HEVC decoding can start with, by their NAL units: what is asked where no table says it —
//! ITU-T H.264 §7.4.1, ITU-T H.265 §7.4.2.2, ISO/IEC 14496-15 §5.3.4, §8.3.4.

use super::video_units::{is_intra_slice, recovers_at_once};
use super::{Config, nal};
use crate::base::{FourCc, Result};

/// Bytes that are read of a NAL unit: the length before it, and the start of a slice header, or a message.
const HEAD_BYTES: usize = 256;

/// What the picture of a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPicture {
    /// Decoding can start with it.
    Key,
    /// It needs no other, but what is decoded after it may need what is before.
    Intra,
    /// It needs others.
    Other,
}

/// The NAL units of the samples of a sample entry.
#[derive(Clone, Copy, Debug)]
pub struct KeyPictures {
    is_avc: bool,
    length_size: usize,
}

impl KeyPictures {
    /// Of a sample entry; `None` when it is not of AVC or HEVC.
    pub fn of(config: &Config<'_>) -> Option<Self> {
        let of = |kind: &[u8; 4], at: usize| {
            let byte = *config.payload(FourCc(*kind)).ok()?.get(at)?;
            nal::nal_unit_length_size(byte).ok()
        };
        let avc = of(b"avcC", 4).map(|length_size| Self { is_avc: true, length_size });
        avc.or_else(|| of(b"hvcC", 21).map(|length_size| Self { is_avc: false, length_size }))
    }

    /// What a sample of so many bytes is; `read` reads from a byte of it on. `None` when it has no picture.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn picture(
        self,
        size: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<()>,
    ) -> Result<Option<KeyPicture>> {
        let (mut at, mut found, mut recovers) = (0, None, false);
        let mut buffer = [0; HEAD_BYTES];
        while at < size {
            let kept = usize::try_from(size - at).unwrap_or(usize::MAX).min(HEAD_BYTES);
            let head = buffer.get_mut(..kept).unwrap_or_default();
            read(at, head)?;
            let Some((length, behind)) = head.split_at_checked(self.length_size) else { break };
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let unit = behind.get(..length.min(behind.len())).unwrap_or_default();
            match (self.is_avc, self.nal_unit_type(unit)) {
                (true, 5) | (false, 16..=21) => return Ok(Some(KeyPicture::Key)),
                (true, 1 | 2) if is_intra_slice(unit) => found = Some(KeyPicture::Intra),
                (true, 1 | 2) | (false, 0..=15) => return Ok(Some(KeyPicture::Other)),
                (true, 6) => recovers |= recovers_at_once(unit),
                _ => {}
            }
            at += (self.length_size + length) as u64;
        }
        Ok(if recovers && found.is_some() { Some(KeyPicture::Key) } else { found })
    }

    fn nal_unit_type(self, unit: &[u8]) -> u8 {
        let first = unit.first().copied();
        match first {
            Some(first) if self.is_avc => first & 0x1f,
            Some(first) => first >> 1 & 0x3f,
            None => u8::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    fn of(configuration: (&[u8; 4], &[u8]), units: &[Vec<u8>]) -> Option<KeyPicture> {
        let (kind, payload) = configuration;
        let config = Config { entry: FourCc(*b"vide"), boxes: vec![(FourCc(*kind), payload)] };
        let length = |unit: &Vec<u8>| u32::try_from(unit.len()).unwrap().to_be_bytes();
        let sample: Vec<u8> = units.iter().flat_map(|unit| [&length(unit), &unit[..]].concat()).collect();
        let read = |at: u64, buffer: &mut [u8]| {
            let at = usize::try_from(at).unwrap();
            buffer.copy_from_slice(&sample[at..at + buffer.len()]);
            Ok(())
        };
        KeyPictures::of(&config).unwrap().picture(sample.len() as u64, read).unwrap()
    }

    #[test]
    fn key_pictures_are_those_that_decoding_can_start_with() {
        let avc = |units: &[Vec<u8>]| of((b"avcC", &[1, 0, 0, 0, 0xff]), units);
        let slice = |kind: u8, slice_type| BitWriter::default().ue(0).ue(slice_type).u(32, 0).nal(kind);
        let delimiter = || vec![9, 0xf0];
        // Messages of more bytes than are read at once stand before.
        let long = || [&[6, 5, 0xff, 0xff, 10][..], &[7; 520], &[0x80]].concat();
        let recovery = || vec![6, 6, 1, 0xc0, 0x80];
        assert_eq!(avc(&[delimiter(), long(), slice(0x65, 7)]), Some(KeyPicture::Key));
        assert_eq!(avc(&[delimiter(), recovery(), slice(0x41, 7)]), Some(KeyPicture::Key));
        assert_eq!(avc(&[vec![6, 6, 1, 0x40, 0x80], slice(0x41, 7)]), Some(KeyPicture::Intra));
        assert_eq!(avc(&[recovery(), slice(0x41, 7), slice(0x41, 5)]), Some(KeyPicture::Other));
        assert_eq!(avc(&[delimiter(), slice(0x41, 2)]), Some(KeyPicture::Intra));
        assert_eq!(avc(&[delimiter(), slice(0x01, 6)]), Some(KeyPicture::Other));
        assert_eq!((avc(&[delimiter()]), avc(&[]), avc(&[vec![]])), (None, None, None));
        let mut hvcc = [0; 23];
        hvcc[21] = 3;
        let hevc = |kind: u8| of((b"hvcC", &hvcc), &[vec![35 << 1, 1, 0x50], vec![kind << 1, 1, 0x80, 0]]);
        assert_eq!([1, 9, 16, 19, 21].map(hevc).map(Option::unwrap), {
            use KeyPicture::{Key, Other};
            [Other, Other, Key, Key, Key]
        });
        assert!(KeyPictures::of(&Config { entry: FourCc(*b"av01"), boxes: Vec::new() }).is_none());
    }
}
