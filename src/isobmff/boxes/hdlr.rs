//! Handler Reference box (`hdlr`) — ISO/IEC 14496-12 §8.4.3.

use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};

use super::full_box;

/// What is read of `hdlr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hdlr {
    /// `handler_type`: what the track carries.
    pub handler_type: FourCc,
}

impl Hdlr {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        full_box(&mut reader)?;
        reader.u32()?;
        Ok(Self { handler_type: reader.fourcc()? })
    }
}
