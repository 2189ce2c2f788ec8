//! Sample Auxiliary Information Sizes box (`saiz`) — ISO/IEC 14496-12 §8.7.8.

use crate::base::Result;
use crate::base::bytes::Reader;

use super::{check_count, full_box, write_full_box};

/// `saiz` without `aux_info_type`: the type is that of the scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saiz {
    /// The size in bytes of each sample's information.
    pub sizes: Vec<u8>,
}

impl Saiz {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (_, flags) = full_box(&mut reader)?;
        if flags & 1 != 0 {
            reader.take(8)?;
        }
        let default_sample_info_size = reader.u8()?;
        let sample_count = reader.u32()?;
        let sizes = if default_sample_info_size == 0 {
            check_count(&reader, sample_count, 1)?;
            reader.take(sample_count as usize)?.to_vec()
        } else {
            // The count is not backed by bytes: it is bounded by the largest fragment that is read.
            let count = (sample_count as usize).min(1 << 24);
            vec![default_sample_info_size; count]
        };
        Ok(Self { sizes })
    }

    /// The payload; equal sizes are written once.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_full_box(0, 0, &mut out);
        let count = u32::try_from(self.sizes.len()).unwrap_or(u32::MAX);
        let default = self.sizes.first().copied().filter(|first| self.sizes.iter().all(|size| size == first));
        out.push(default.unwrap_or(0));
        out.extend(count.to_be_bytes());
        if default.is_none_or(|size| size == 0) {
            out.extend(&self.sizes);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_back() {
        for sizes in [vec![8; 5], vec![22, 16, 8]] {
            let saiz = Saiz { sizes };
            assert_eq!(Saiz::parse(&saiz.write()).unwrap(), saiz);
        }
    }
}
