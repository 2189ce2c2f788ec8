//! Original Format box (`frma`) — ISO/IEC 14496-12 §8.12.2.

use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};

/// `frma`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frma {
    /// `data_format`: the sample entry's type before protection.
    pub data_format: FourCc,
}

impl Frma {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        Ok(Self { data_format: Reader::new(payload).fourcc()? })
    }

    /// The payload.
    pub fn write(&self) -> Vec<u8> {
        self.data_format.0.to_vec()
    }
}
