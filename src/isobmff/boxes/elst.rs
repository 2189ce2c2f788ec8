//! Edit List box (`elst`) — ISO/IEC 14496-12 §8.6.6.

use crate::base::Result;
use crate::base::bytes::Reader;

use super::{check_count, full_box};

/// `elst`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elst {
    /// Its edits, one behind the other.
    pub entries: Vec<Edit>,
}

/// One edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// `segment_duration` in ticks of the movie.
    pub duration: u64,
    /// `media_time` in ticks of the media, -1 for an empty edit.
    pub media_time: i64,
    /// `media_rate` in parts of 2^16; 0 dwells.
    pub rate: i32,
}

impl Edit {
    /// `media_rate` of media that plays as fast as it is.
    pub const RATE: i32 = 1 << 16;

    /// Whether nothing is presented as long as it lasts.
    pub fn is_empty(&self) -> bool {
        self.media_time < 0
    }
}

impl Elst {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        let entry_count = reader.u32()?;
        check_count(&reader, entry_count, if version == 1 { 20 } else { 12 })?;
        let mut entries = Vec::with_capacity(entry_count as usize);
        for _ in 0..entry_count {
            let (duration, media_time) = if version == 1 {
                (reader.u64()?, reader.u64()?.cast_signed())
            } else {
                (u64::from(reader.u32()?), i64::from(reader.u32()?.cast_signed()))
            };
            entries.push(Edit { duration, media_time, rate: reader.u32()?.cast_signed() });
        }
        Ok(Self { entries })
    }

    /// Writes the payload, in 32 bits where all times fit.
    pub fn write(&self) -> Vec<u8> {
        let short =
            |edit: &Edit| Some((u32::try_from(edit.duration).ok()?, i32::try_from(edit.media_time).ok()?));
        let short: Option<Vec<_>> = self.entries.iter().map(short).collect();
        let mut out = vec![u8::from(short.is_none()), 0, 0, 0];
        out.extend(u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (number, Edit { duration, media_time, rate }) in self.entries.iter().enumerate() {
            match short.as_ref().and_then(|short| short.get(number)) {
                Some((duration, media_time)) => {
                    out.extend([duration.to_be_bytes(), media_time.to_be_bytes()].concat());
                }
                None => out.extend([duration.to_be_bytes(), media_time.to_be_bytes()].concat()),
            }
            out.extend(rate.to_be_bytes());
        }
        out
    }
}
