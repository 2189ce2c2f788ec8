//! The SHA-256 of every output, for those who ask — FIPS 180-4. Files are read again for it: packing costs nothing more,
//! and what is said is what lies there.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::base::Result;
use crate::base::env::{Source, Store};
use crate::base::id::hex;

use super::report::Report;

/// Bytes of a file that are read at a time. Each core has its own.
const READ_BYTES: usize = 256 << 10;

/// Adds the SHA-256 of each output to a report: they are in this store.
///
/// # Errors
/// When one cannot be read.
pub fn add_digests(report: &mut Report, output: &dyn Store) -> Result<()> {
    report.outputs.par_iter_mut().try_for_each(|file| {
        let mut hash = Sha256::new();
        each_piece(output.open(&file.path)?.as_ref(), |bytes| hash.update(bytes))?;
        file.sha256 = Some(hex(&hash.finalize()));
        Ok(())
    })
}

/// The CRC-32 of a file — ISO/IEC 13239 annex A: it tells what is torn or has changed, and proves nothing.
pub(super) fn crc_32(source: &dyn Source) -> Result<u32> {
    let mut crc = crc32fast::Hasher::new();
    each_piece(source, |bytes| crc.update(bytes))?;
    Ok(crc.finalize())
}

fn each_piece(source: &dyn Source, mut take: impl FnMut(&[u8])) -> Result<()> {
    let (mut buffer, mut position) = (Vec::new(), 0);
    while position < source.len() {
        let length = usize::try_from(source.len() - position).unwrap_or(usize::MAX).min(READ_BYTES);
        buffer.resize(length, 0);
        source.read_at(position, &mut buffer)?;
        take(&buffer);
        position += length as u64;
    }
    Ok(())
}
