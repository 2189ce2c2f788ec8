//! Track Header box (`tkhd`) — ISO/IEC 14496-12 §8.3.2.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

use super::full_box;

/// What is read of `tkhd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tkhd {
    /// `track_ID`.
    pub track_id: u32,
}

impl Tkhd {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off or `track_ID` is 0.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        reader.take(if version == 1 { 16 } else { 8 })?;
        let track_id = reader.u32()?;
        if track_id == 0 {
            return Err(Error::input("track_ID is 0").clause("ISO/IEC 14496-12 §8.3.2.3"));
        }
        Ok(Self { track_id })
    }

    /// Sets `track_ID`.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn set_track_id(payload: &mut [u8], track_id: u32) -> Result<()> {
        let large = payload.first() == Some(&1);
        let field = if large { payload.get_mut(20..24) } else { payload.get_mut(12..16) };
        field
            .ok_or_else(|| Error::input("tkhd ends before its track_ID"))?
            .copy_from_slice(&track_id.to_be_bytes());
        Ok(())
    }

    /// Sets `duration` to 0, as a track whose samples are all in fragments has it.
    ///
    /// # Errors
    /// When the payload is cut off.
    pub fn clear_duration(payload: &mut [u8]) -> Result<()> {
        let large = payload.first() == Some(&1);
        let field = if large { payload.get_mut(28..36) } else { payload.get_mut(20..24) };
        field.ok_or_else(|| Error::input("tkhd ends before its duration"))?.fill(0);
        Ok(())
    }
}
