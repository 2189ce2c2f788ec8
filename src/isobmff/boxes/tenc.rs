//! Track Encryption box (`tenc`) — ISO/IEC 23001-7 §8.2.

use crate::base::bytes::Reader;
use crate::base::{Error, Kid, Result};

use super::{full_box, write_full_box};

/// `tenc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenc {
    /// `version`: 1 when the scheme has patterns.
    pub version: u8,
    /// `default_crypt_byte_block`, in 16-byte blocks.
    pub default_crypt_byte_block: u8,
    /// `default_skip_byte_block`, in 16-byte blocks.
    pub default_skip_byte_block: u8,
    /// `default_isProtected`.
    pub default_is_protected: u8,
    /// `default_Per_Sample_IV_Size`: 0, 8 or 16 bytes.
    pub default_per_sample_iv_size: u8,
    /// `default_KID`.
    pub default_kid: Kid,
    /// `default_constant_IV`: 8 or 16 bytes, when samples have none of their own.
    pub default_constant_iv: Option<Vec<u8>>,
}

impl Tenc {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off or an IV size is not 0, 8 or 16.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        reader.u8()?;
        let pattern = reader.u8()?;
        let (crypt, skip) = if version == 0 { (0, 0) } else { (pattern >> 4, pattern & 15) };
        let default_is_protected = reader.u8()?;
        let default_per_sample_iv_size = reader.u8()?;
        let default_kid = Kid::new(reader.array()?);
        let default_constant_iv = if default_is_protected == 1 && default_per_sample_iv_size == 0 {
            let size = reader.u8()?;
            check_iv_size(size)?;
            Some(reader.take(usize::from(size))?.to_vec())
        } else {
            None
        };
        if default_per_sample_iv_size != 0 {
            check_iv_size(default_per_sample_iv_size)?;
        }
        Ok(Self {
            version,
            default_crypt_byte_block: crypt,
            default_skip_byte_block: skip,
            default_is_protected,
            default_per_sample_iv_size,
            default_kid,
            default_constant_iv,
        })
    }

    /// The payload.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_full_box(self.version, 0, &mut out);
        out.push(0);
        out.push(self.default_crypt_byte_block << 4 | self.default_skip_byte_block);
        out.push(self.default_is_protected);
        out.push(self.default_per_sample_iv_size);
        out.extend(self.default_kid.bytes());
        if let Some(iv) = &self.default_constant_iv {
            out.push(u8::try_from(iv.len()).unwrap_or_default());
            out.extend(iv);
        }
        out
    }
}

pub(super) fn check_iv_size(size: u8) -> Result<()> {
    if size == 8 || size == 16 {
        Ok(())
    } else {
        Err(Error::input(format!("IV size {size}, expected 8 or 16")).clause("ISO/IEC 23001-7 §8.2"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_the_sizes_of_the_syntax() {
        let per_sample = Tenc {
            version: 0,
            default_crypt_byte_block: 0,
            default_skip_byte_block: 0,
            default_is_protected: 1,
            default_per_sample_iv_size: 8,
            default_kid: Kid::new([7; 16]),
            default_constant_iv: None,
        };
        let constant = Tenc {
            version: 1,
            default_crypt_byte_block: 1,
            default_skip_byte_block: 9,
            default_per_sample_iv_size: 0,
            default_constant_iv: Some(vec![3; 16]),
            ..per_sample.clone()
        };
        for (tenc, size) in [(per_sample, 24), (constant, 41)] {
            let payload = tenc.write();
            assert_eq!(payload.len(), size);
            assert_eq!(Tenc::parse(&payload).unwrap(), tenc);
            assert!((0..size).all(|end| Tenc::parse(&payload[..end]).is_err()));
        }
    }
}
