//! Edit List box (`elst`) — ISO/IEC 14496-12 §8.6.6.

use crate::base::Result;
use crate::base::bytes::Reader;

use super::{check_count, full_box};

/// `elst`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elst {
    /// `segment_duration` in ticks of the movie and `media_time` in ticks of the media, -1 for an empty edit.
    pub entries: Vec<(u64, i64)>,
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
            entries.push(if version == 1 {
                (reader.u64()?, reader.u64()?.cast_signed())
            } else {
                (u64::from(reader.u32()?), i64::from(reader.u32()?.cast_signed()))
            });
            reader.u32()?;
        }
        Ok(Self { entries })
    }

    /// Sets the duration of the last edit to 0: it lasts as long as the fragments (§8.6.6.1).
    pub fn clear_last_duration(payload: &mut [u8]) {
        let large = payload.first() == Some(&1);
        let (entry, field) = if large { (20, 8) } else { (12, 4) };
        let last = payload.len().checked_sub(entry);
        if let Some(duration) = last.and_then(|last| payload.get_mut(last..last + field)) {
            duration.fill(0);
        }
    }
}
