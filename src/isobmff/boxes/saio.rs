//! Sample Auxiliary Information Offsets box (`saio`) — ISO/IEC 14496-12 §8.7.9.

use crate::base::Result;
use crate::base::bytes::Reader;

use super::{check_count, full_box, write_full_box};

/// `saio` without `aux_info_type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saio {
    /// Offsets in bytes; in a movie fragment they count from the first byte of `moof`.
    pub offsets: Vec<u64>,
}

impl Saio {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, flags) = full_box(&mut reader)?;
        if flags & 1 != 0 {
            reader.take(8)?;
        }
        let entry_count = reader.u32()?;
        check_count(&reader, entry_count, if version == 0 { 4 } else { 8 })?;
        let offsets = (0..entry_count)
            .map(|_| if version == 0 { reader.u32().map(u64::from) } else { reader.u64() })
            .collect::<Result<_>>()?;
        Ok(Self { offsets })
    }

    /// The payload: version 0 with 32-bit offsets, the form every player reads.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_full_box(0, 0, &mut out);
        out.extend(u32::try_from(self.offsets.len()).unwrap_or(u32::MAX).to_be_bytes());
        for offset in &self.offsets {
            out.extend(u32::try_from(*offset).unwrap_or(u32::MAX).to_be_bytes());
        }
        out
    }
}
