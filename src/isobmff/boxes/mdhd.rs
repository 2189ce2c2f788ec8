//! Media Header box (`mdhd`) — ISO/IEC 14496-12 §8.4.2.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::full_box;

/// Languages by their numbers in QuickTime: QuickTime File Format, Language Code Values.
const LANGUAGES: &[&[u8; 3]] = &[
    b"eng", b"fra", b"deu", b"ita", b"nld", b"swe", b"spa", b"dan", b"por", b"nor", b"heb", b"jpn", b"ara",
    b"fin", b"ell", b"isl", b"mlt", b"tur", b"hrv", b"zho", b"urd", b"hin", b"tha", b"kor", b"lit", b"pol",
    b"hun", b"est", b"lav", b"sme", b"fao", b"fas", b"rus", b"zho", b"nld", b"gle", b"sqi", b"ron", b"ces",
    b"slk", b"slv", b"yid", b"srp", b"mkd", b"bul", b"ukr", b"bel", b"uzb", b"kaz",
];

/// What is read of `mdhd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mdhd {
    /// `timescale`: ticks per second of the media.
    pub timescale: u32,
    /// `language`: three letters of ISO 639-2/T.
    pub language: [u8; 3],
}

impl Mdhd {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off or `timescale` is 0.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        reader.take(if version == 1 { 16 } else { 8 })?;
        let timescale = reader.u32()?;
        if timescale == 0 {
            return Err(Error::input("timescale is 0").clause("ISO/IEC 14496-12 §8.4.2.3"));
        }
        reader.take(if version == 1 { 8 } else { 4 })?;
        let packed = reader.u16()?;
        let letter = |shift: u16| 0x60 + u8::try_from(packed >> shift & 31).unwrap_or_default();
        Ok(Self { timescale, language: [letter(10), letter(5), letter(0)] })
    }

    /// `language` as text, `None` for "undetermined".
    pub fn language(&self) -> Option<String> {
        let text: String = self.language.iter().map(|letter| char::from(*letter)).collect();
        (text != "und" && text.chars().all(|letter| letter.is_ascii_lowercase())).then_some(text)
    }

    /// Puts the letters of a language in the place of its number in QuickTime, which is below 0x400.
    pub fn iso_language(payload: &mut [u8]) {
        let start = if payload.first() == Some(&1) { 32 } else { 20 };
        let Some(field) = payload.get_mut(start..start + 2) else { return };
        let packed = field.iter().fold(0, |packed, byte| packed << 8 | usize::from(*byte));
        if packed >= 0x400 && packed != 0x7fff {
            return;
        }
        let letters = LANGUAGES.get(packed).copied().unwrap_or(b"und");
        let packed = letters.iter().fold(0, |packed, letter| packed << 5 | u16::from(letter & 31));
        field.copy_from_slice(&packed.to_be_bytes());
    }

    /// Sets `duration` to 0, as a track whose samples are all in fragments has it.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn clear_duration(payload: &mut [u8]) -> Result<()> {
        let large = payload.first() == Some(&1);
        let field = if large { payload.get_mut(24..32) } else { payload.get_mut(16..20) };
        field.ok_or_else(|| Error::input("mdhd ends before its duration"))?.fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_languages_become_letters() {
        for (version, at) in [(0, 20), (1, 32)] {
            for (number, expected) in [(0, Some("eng")), (11, Some("jpn")), (0x3ff, None), (0x7fff, None)] {
                let mut payload = vec![0; 36];
                (payload[0], payload[at - 5]) = (version, 1);
                payload[if version == 1 { 23 } else { 15 }] = 1;
                payload[at..at + 2].copy_from_slice(&u16::to_be_bytes(number));
                Mdhd::iso_language(&mut payload);
                let mdhd = Mdhd::parse(&payload).unwrap();
                assert_eq!(mdhd.language().as_deref(), expected, "{number}");
                assert!(mdhd.language.iter().all(u8::is_ascii_lowercase));
                let before = payload.clone();
                Mdhd::iso_language(&mut payload);
                assert_eq!(payload, before);
            }
        }
        Mdhd::iso_language(&mut [0; 20]);
    }
}
