//! Typed views of boxes — ISO/IEC 14496-12 and 23001-7: one file per box, parsed from and written to payloads.

mod elst;
mod frma;
mod hdlr;
mod mdhd;
mod mvhd;
mod saio;
mod saiz;
mod sbgp;
mod schm;
mod senc;
mod sgpd;
mod sidx;
mod stsd;
mod tenc;
mod tfdt;
mod tfhd;
mod tfra;
mod tfxd;
mod tkhd;
mod trex;
mod trun;
mod uuid;

pub use elst::{Edit, Elst};
pub use frma::Frma;
pub use hdlr::Hdlr;
pub use mdhd::Mdhd;
pub use mvhd::Mvhd;
pub use saio::Saio;
pub use saiz::Saiz;
pub use sbgp::{Sbgp, SbgpEntry};
pub use schm::Schm;
pub use senc::{Senc, SencEntry, SencHeader, SencSubsample, SencWriter};
pub use sgpd::{CencSampleEncryptionInformationGroupEntry, Sgpd, seig_group};
pub use sidx::{Sidx, SidxReference};
pub use stsd::{SampleEntry, leading_boxes};
pub use tenc::Tenc;
pub use tfdt::Tfdt;
pub use tfhd::Tfhd;
pub use tfra::Tfra;
pub use tfxd::Tfxd;
pub use tkhd::Tkhd;
pub use trex::Trex;
pub use trun::{Trun, TrunSample};
pub use uuid::Piff;

use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// `version` and `flags` of a FullBox: ISO/IEC 14496-12 §4.2.2.
fn full_box(reader: &mut Reader<'_>) -> Result<(u8, u32)> {
    Ok((reader.u8()?, reader.u24()?))
}

/// Writes `version` and `flags`.
fn write_full_box(version: u8, flags: u32, out: &mut Vec<u8>) {
    out.extend((u32::from(version) << 24 | flags).to_be_bytes());
}

/// `aux_info_type` of a `saiz` or `saio` payload; `None` when the scheme implies it: ISO/IEC 14496-12 §8.7.8.
///
/// # Errors
/// When the payload is cut off.
pub fn aux_info_type(payload: &[u8]) -> Result<Option<FourCc>> {
    let mut reader = Reader::new(payload);
    let (_, flags) = full_box(&mut reader)?;
    (flags & 1 != 0).then(|| reader.fourcc()).transpose()
}

/// Checks that `count` entries of `size` bytes are there before anything is allocated for them.
fn check_count(reader: &Reader<'_>, count: u32, size: usize) -> Result<()> {
    if (count as usize).checked_mul(size).is_none_or(|needed| needed > reader.remaining()) {
        return Err(Error::input(format!(
            "{count} entries of {size} bytes are stated, {} bytes are there",
            reader.remaining()
        ))
        .at_byte(reader.position() as u64));
    }
    Ok(())
}
