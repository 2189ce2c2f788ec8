//! Movie Header box (`mvhd`) — ISO/IEC 14496-12 §8.2.2.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::full_box;

/// What is read of `mvhd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mvhd {
    /// `timescale`: ticks per second of the presentation.
    pub timescale: u32,
}

impl Mvhd {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        reader.take(if version == 1 { 16 } else { 8 })?;
        Ok(Self { timescale: reader.u32()? })
    }

    /// Sets `next_track_ID`, the last field.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn set_next_track_id(payload: &mut [u8], track_id: u32) -> Result<()> {
        let field =
            payload.last_chunk_mut().ok_or_else(|| Error::input("mvhd ends before its next_track_ID"))?;
        *field = track_id.to_be_bytes();
        Ok(())
    }

    /// Sets `duration` to 0, as a movie whose samples are all in fragments has it.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn clear_duration(payload: &mut [u8]) -> Result<()> {
        let large = payload.first() == Some(&1);
        let field = if large { payload.get_mut(24..32) } else { payload.get_mut(16..20) };
        field.ok_or_else(|| Error::input("mvhd ends before its duration"))?.fill(0);
        Ok(())
    }
}
