//! Media Header box (`mdhd`) — ISO/IEC 14496-12 §8.4.2.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::full_box;

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
