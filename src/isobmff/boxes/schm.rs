//! Scheme Type box (`schm`) — ISO/IEC 14496-12 §8.12.6.

use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};

use super::{full_box, write_full_box};

/// `schm` without a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schm {
    /// `scheme_type`.
    pub scheme_type: FourCc,
    /// `scheme_version`; 0x00010000 for Common Encryption (ISO/IEC 23001-7 §4.1).
    pub scheme_version: u32,
}

impl Schm {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        full_box(&mut reader)?;
        Ok(Self { scheme_type: reader.fourcc()?, scheme_version: reader.u32()? })
    }

    /// The payload.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_full_box(0, 0, &mut out);
        out.extend(self.scheme_type.0);
        out.extend(self.scheme_version.to_be_bytes());
        out
    }
}
