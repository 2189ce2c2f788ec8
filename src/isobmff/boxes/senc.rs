//! Sample Encryption box (`senc`) — ISO/IEC 23001-7 §7.2.

use crate::base::bytes::Reader;
use crate::base::{Error, Kid, Result};

use super::{Tenc, check_count, full_box, write_full_box};

/// `use_subsample_encryption`.
const USE_SUBSAMPLE_ENCRYPTION: u32 = 2;

/// `Override TrackEncryptionBox parameters` of the Protected Interoperable File Format.
const OVERRIDE_TRACK_ENCRYPTION: u32 = 1;

/// The fields of `senc` before its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SencHeader {
    /// Whether entries have subsamples: `flags & 2`.
    pub use_subsample_encryption: bool,
    /// What replaces `tenc` for these samples: `flags & 1`, of the Protected Interoperable File Format alone.
    pub track_encryption: Option<Tenc>,
    /// `sample_count`.
    pub sample_count: u32,
}

/// `senc`: one entry for each sample of the fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senc {
    /// Whether entries have subsamples: `flags & 2`.
    pub use_subsample_encryption: bool,
    /// Entries in sample order.
    pub entries: Vec<SencEntry>,
}

/// The auxiliary information of one sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SencEntry {
    /// `InitializationVector`: 0, 8 or 16 bytes.
    pub initialization_vector: Vec<u8>,
    /// Clear and protected runs in order.
    pub subsamples: Vec<SencSubsample>,
}

/// One clear run and the protected run after it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SencSubsample {
    /// `BytesOfClearData`.
    pub bytes_of_clear_data: u16,
    /// `BytesOfProtectedData`.
    pub bytes_of_protected_data: u32,
}

impl Senc {
    /// Reads the payload; the size of an entry's IV stands in `tenc`.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8], per_sample_iv_size: u8) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let header = SencHeader::parse(&mut reader)?;
        let (use_subsample_encryption, sample_count) = (header.use_subsample_encryption, header.sample_count);
        let per_sample_iv_size =
            header.track_encryption.map_or(per_sample_iv_size, |tenc| tenc.default_per_sample_iv_size);
        let least = usize::from(per_sample_iv_size) + if use_subsample_encryption { 2 } else { 0 };
        check_count(&reader, sample_count, least)?;
        if least == 0 {
            // A constant IV and no subsamples: there is nothing to say about any sample.
            return Ok(Self { use_subsample_encryption, entries: Vec::new() });
        }
        let entries = (0..sample_count)
            .map(|_| SencEntry::parse(&mut reader, per_sample_iv_size, use_subsample_encryption))
            .collect::<Result<_>>()?;
        Ok(Self { use_subsample_encryption, entries })
    }
}

impl SencHeader {
    /// Reads the fields; the entries are next.
    ///
    /// # Errors
    /// When they are cut off.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self> {
        let (_, flags) = full_box(reader)?;
        let track_encryption = if flags & OVERRIDE_TRACK_ENCRYPTION != 0 {
            let [_, _, algorithm, iv_size] = reader.array()?;
            Some(Tenc {
                version: 0,
                default_crypt_byte_block: 0,
                default_skip_byte_block: 0,
                default_is_protected: algorithm,
                default_per_sample_iv_size: iv_size,
                default_kid: Kid::new(reader.array()?),
                default_constant_iv: None,
            })
        } else {
            None
        };
        Ok(Self {
            use_subsample_encryption: flags & USE_SUBSAMPLE_ENCRYPTION != 0,
            track_encryption,
            sample_count: reader.u32()?,
        })
    }
}

impl SencEntry {
    /// Reads one entry.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(reader: &mut Reader<'_>, iv_size: u8, use_subsample_encryption: bool) -> Result<Self> {
        let initialization_vector = reader.take(usize::from(iv_size))?.to_vec();
        let mut subsamples = Vec::new();
        if use_subsample_encryption {
            let subsample_count = reader.u16()?;
            check_count(reader, u32::from(subsample_count), 6)?;
            for _ in 0..subsample_count {
                subsamples.push(SencSubsample {
                    bytes_of_clear_data: reader.u16()?,
                    bytes_of_protected_data: reader.u32()?,
                });
            }
        }
        Ok(Self { initialization_vector, subsamples })
    }
}

/// Builds a `senc` payload and the sizes for `saiz` sample by sample, without an allocation for each.
#[derive(Clone, Debug)]
pub struct SencWriter {
    payload: Vec<u8>,
    sizes: Vec<u8>,
    use_subsample_encryption: bool,
}

impl SencWriter {
    /// An empty table; every entry will have subsamples, or none will.
    pub fn new(use_subsample_encryption: bool) -> Self {
        let mut payload = Vec::new();
        write_full_box(0, if use_subsample_encryption { USE_SUBSAMPLE_ENCRYPTION } else { 0 }, &mut payload);
        payload.extend(0_u32.to_be_bytes());
        Self { payload, sizes: Vec::new(), use_subsample_encryption }
    }

    /// Appends the entry of the next sample.
    ///
    /// # Errors
    /// When it does not fit `sample_info_size`, one byte.
    pub fn push(&mut self, iv: &[u8], subsamples: &[SencSubsample]) -> Result<()> {
        let start = self.payload.len();
        self.payload.extend(iv);
        if self.use_subsample_encryption {
            self.payload.extend(u16::try_from(subsamples.len()).unwrap_or(u16::MAX).to_be_bytes());
            for subsample in subsamples {
                self.payload.extend(subsample.bytes_of_clear_data.to_be_bytes());
                self.payload.extend(subsample.bytes_of_protected_data.to_be_bytes());
            }
        }
        let size = u8::try_from(self.payload.len() - start).map_err(|_| {
            Error::unsupported(format!(
                "{} subsamples in sample {} of the fragment need more than the 255 bytes of sample_info_size",
                subsamples.len(),
                self.sizes.len() + 1
            ))
            .clause("ISO/IEC 14496-12 §8.7.8")
            .hint("encode with fewer slices or tiles in a picture")
        })?;
        self.sizes.push(size);
        Ok(())
    }

    /// The payload of `senc` and the size in bytes of each entry.
    pub fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        let count = u32::try_from(self.sizes.len()).unwrap_or(u32::MAX);
        if let Some(field) = self.payload.get_mut(4..8) {
            field.copy_from_slice(&count.to_be_bytes());
        }
        (self.payload, self.sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_pushed() {
        let subsamples = [
            SencSubsample { bytes_of_clear_data: 5, bytes_of_protected_data: 32 },
            SencSubsample { bytes_of_clear_data: 7, bytes_of_protected_data: 0 },
        ];
        let mut writer = SencWriter::new(true);
        writer.push(&[1; 8], &subsamples).unwrap();
        writer.push(&[2; 8], &subsamples[..1]).unwrap();
        let (payload, sizes) = writer.finish();
        assert_eq!(sizes, [22, 16]);
        let senc = Senc::parse(&payload, 8).unwrap();
        assert_eq!(senc.entries.len(), 2);
        assert_eq!(senc.entries[0].subsamples, subsamples);
        assert!((0..payload.len()).all(|end| Senc::parse(&payload[..end], 8).is_err()));
    }

    #[test]
    fn an_entry_of_more_than_255_bytes_is_an_error() {
        let subsample = SencSubsample { bytes_of_clear_data: 1, bytes_of_protected_data: 16 };
        let mut writer = SencWriter::new(true);
        assert!(writer.push(&[0; 8], &[subsample; 40]).is_ok());
        assert!(writer.push(&[0; 8], &[subsample; 41]).is_err());
    }

    #[test]
    fn a_count_larger_than_the_box_allocates_nothing() {
        let payload = [&[0, 0, 0, 2][..], &u32::MAX.to_be_bytes(), &[0; 12]].concat();
        assert!(Senc::parse(&payload, 8).is_err());
    }
}
