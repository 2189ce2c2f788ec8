//! Media Header box (`mdhd`) — ISO/IEC 14496-12 §8.4.2.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::full_box;

/// Languages by their numbers in QuickTime: QuickTime File Format, Language Code Values, table 5-1. Letters tell a
/// language, not its script. Those behind 94 begin at [`LATER_LANGUAGES`].
const LANGUAGES: &[&[u8; 3]] = &[
    b"eng", b"fra", b"deu", b"ita", b"nld", b"swe", b"spa", b"dan", b"por", b"nor", b"heb", b"jpn", b"ara",
    b"fin", b"ell", b"isl", b"mlt", b"tur", b"hrv", b"zho", b"urd", b"hin", b"tha", b"kor", b"lit", b"pol",
    b"hun", b"est", b"lav", b"sme", b"fao", b"fas", b"rus", b"zho", b"nld", b"gle", b"sqi", b"ron", b"ces",
    b"slk", b"slv", b"yid", b"srp", b"mkd", b"bul", b"ukr", b"bel", b"uzb", b"kaz", b"aze", b"aze", b"hye",
    b"kat", b"ron", b"kir", b"tgk", b"tuk", b"mon", b"mon", b"pus", b"kur", b"kas", b"snd", b"bod", b"nep",
    b"san", b"mar", b"ben", b"asm", b"guj", b"pan", b"ori", b"mal", b"kan", b"tam", b"tel", b"sin", b"mya",
    b"khm", b"lao", b"vie", b"ind", b"tgl", b"msa", b"msa", b"amh", b"tir", b"orm", b"som", b"swa", b"kin",
    b"run", b"nya", b"mlg", b"epo", b"cym", b"eus", b"cat", b"lat", b"que", b"grn", b"aym", b"tat", b"uig",
    b"dzo", b"jav",
];
/// The number of Welsh, which stands behind that of Esperanto (94) in the table.
const LATER_LANGUAGES: usize = 128;
const FIRST_LANGUAGES: usize = 95;

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

    /// Puts the letters of a language in the place of its number in QuickTime, which is below 0x400 and so no letters. In
    /// other files 0 is a field that was left empty, in QuickTime it is English.
    pub fn iso_language(payload: &mut [u8], is_quicktime: bool) {
        let start = if payload.first() == Some(&1) { 32 } else { 20 };
        let Some(field) = payload.get_mut(start..start + 2) else { return };
        let packed = field.iter().fold(0, |packed, byte| packed << 8 | usize::from(*byte));
        if packed >= 0x400 && packed != 0x7fff || packed == 0 && !is_quicktime {
            return;
        }
        let place = match packed {
            LATER_LANGUAGES.. => packed - LATER_LANGUAGES + FIRST_LANGUAGES,
            FIRST_LANGUAGES.. => usize::MAX,
            _ => packed,
        };
        let letters = LANGUAGES.get(place).copied().unwrap_or(b"und");
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
            for (number, expected) in [
                (0, Some("eng")),
                (1, Some("fra")),
                (11, Some("jpn")),
                (80, Some("vie")),
                (94, Some("epo")),
                (95, None),
                (127, None),
                (128, Some("cym")),
                (138, Some("jav")),
                (139, None),
                (0x3ff, None),
                (0x7fff, None),
            ] {
                let mut payload = vec![0; 36];
                (payload[0], payload[at - 5]) = (version, 1);
                payload[if version == 1 { 23 } else { 15 }] = 1;
                payload[at..at + 2].copy_from_slice(&u16::to_be_bytes(number));
                Mdhd::iso_language(&mut payload, true);
                let mdhd = Mdhd::parse(&payload).unwrap();
                assert_eq!(mdhd.language().as_deref(), expected, "{number}");
                assert!(mdhd.language.iter().all(u8::is_ascii_lowercase));
                let before = payload.clone();
                Mdhd::iso_language(&mut payload, true);
                assert_eq!(payload, before);
            }
        }
        Mdhd::iso_language(&mut [0; 20], true);
        let mut empty = [0; 24];
        Mdhd::iso_language(&mut empty, false);
        assert_eq!(empty, [0; 24]);
        empty[21] = 1;
        Mdhd::iso_language(&mut empty, false);
        assert_eq!(empty[20..22], [0x1a, 0x41], "fra");
    }
}
