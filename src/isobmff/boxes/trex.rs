//! Track Extends box (`trex`) — ISO/IEC 14496-12 §8.8.3.

use crate::base::Result;
use crate::base::bytes::Reader;

use super::{full_box, write_full_box};

/// `trex`: the defaults of a track's fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trex {
    /// `track_ID`.
    pub track_id: u32,
    /// `default_sample_description_index`, from 1.
    pub default_sample_description_index: u32,
    /// `default_sample_duration` in ticks of the media.
    pub default_sample_duration: u32,
    /// `default_sample_size` in bytes.
    pub default_sample_size: u32,
    /// `default_sample_flags`.
    pub default_sample_flags: u32,
}

impl Trex {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        full_box(&mut reader)?;
        Ok(Self {
            track_id: reader.u32()?,
            default_sample_description_index: reader.u32()?,
            default_sample_duration: reader.u32()?,
            default_sample_size: reader.u32()?,
            default_sample_flags: reader.u32()?,
        })
    }

    /// The payload.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_full_box(0, 0, &mut out);
        for field in [
            self.track_id,
            self.default_sample_description_index,
            self.default_sample_duration,
            self.default_sample_size,
            self.default_sample_flags,
        ] {
            out.extend(field.to_be_bytes());
        }
        out
    }
}
