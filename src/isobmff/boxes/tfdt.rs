//! Track Fragment Decode Time box (`tfdt`) — ISO/IEC 14496-12 §8.8.12.

use crate::base::Result;
use crate::base::bytes::Reader;

use super::{full_box, write_full_box};

/// `tfdt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tfdt {
    /// `baseMediaDecodeTime` in ticks of the media.
    pub base_media_decode_time: u64,
}

impl Tfdt {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        let base_media_decode_time = if version == 0 { reader.u32()?.into() } else { reader.u64()? };
        Ok(Self { base_media_decode_time })
    }

    /// The payload, version 1.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_full_box(1, 0, &mut out);
        out.extend(self.base_media_decode_time.to_be_bytes());
        out
    }
}
