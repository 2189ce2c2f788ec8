//! Track Fragment Header box (`tfhd`) — ISO/IEC 14496-12 §8.8.7.

use crate::base::Result;
use crate::base::bytes::Reader;

use super::{full_box, write_full_box};

/// `tfhd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tfhd {
    /// `track_ID`.
    pub track_id: u32,
    /// `base_data_offset`: a position in the file, in bytes.
    pub base_data_offset: Option<u64>,
    /// `sample_description_index`, from 1.
    pub sample_description_index: Option<u32>,
    /// `default_sample_duration` in ticks of the media.
    pub default_sample_duration: Option<u32>,
    /// `default_sample_size` in bytes.
    pub default_sample_size: Option<u32>,
    /// `default_sample_flags`.
    pub default_sample_flags: Option<u32>,
    /// The flags that announce no field: `duration-is-empty`, `default-base-is-moof`.
    pub other_flags: u32,
}

impl Tfhd {
    /// `default-base-is-moof`.
    pub const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
    const FIELDS: u32 = 0x3b;

    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (_, flags) = full_box(&mut reader)?;
        let track_id = reader.u32()?;
        let base_data_offset = (flags & 1 != 0).then(|| reader.u64()).transpose()?;
        let mut field = |bit: u32| (flags & bit != 0).then(|| reader.u32()).transpose();
        Ok(Self {
            track_id,
            base_data_offset,
            sample_description_index: field(0x02)?,
            default_sample_duration: field(0x08)?,
            default_sample_size: field(0x10)?,
            default_sample_flags: field(0x20)?,
            other_flags: flags & !Self::FIELDS,
        })
    }

    /// The payload.
    pub fn write(&self) -> Vec<u8> {
        let fields = [
            (0x02, self.sample_description_index),
            (0x08, self.default_sample_duration),
            (0x10, self.default_sample_size),
            (0x20, self.default_sample_flags),
        ];
        let mut flags = self.other_flags | u32::from(self.base_data_offset.is_some());
        for (bit, field) in fields {
            flags |= if field.is_some() { bit } else { 0 };
        }
        let mut out = Vec::new();
        write_full_box(0, flags, &mut out);
        out.extend(self.track_id.to_be_bytes());
        out.extend(self.base_data_offset.iter().flat_map(|offset| offset.to_be_bytes()));
        out.extend(fields.iter().filter_map(|(_, field)| *field).flat_map(u32::to_be_bytes));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_comes_back() {
        let tfhd = Tfhd {
            track_id: 2,
            base_data_offset: Some(9),
            sample_description_index: Some(1),
            default_sample_duration: None,
            default_sample_size: Some(4),
            default_sample_flags: Some(5),
            other_flags: Tfhd::DEFAULT_BASE_IS_MOOF,
        };
        assert_eq!(Tfhd::parse(&tfhd.write()).unwrap(), tfhd);
    }
}
