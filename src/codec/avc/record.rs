//! AVCDecoderConfigurationRecord of the parameter sets of a byte stream — ISO/IEC 14496-15 §5.3.3.1.

use super::parameter_sets::{MAX_SPS_ID, picture};
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// The record, and the size of the cropped picture; parameter sets are NAL units with their headers.
///
/// # Errors
/// When the first sequence parameter set is wrong, or there are too many.
pub(in crate::codec) fn record(sps: &[Vec<u8>], pps: &[Vec<u8>]) -> Result<(Vec<u8>, (u32, u32))> {
    let first = sps.first().and_then(|sps| sps.get(1..)).unwrap_or_default();
    let size = picture(first).map_err(|error| error.at("seq_parameter_set"))?.size;
    let mut reader = BitReader::new(first);
    let [profile, compatibility, level] = [reader.bits(8)?, reader.bits(8)?, reader.bits(8)?].map(small);
    let too_many = || Error::unsupported(format!("{} and {} parameter sets", sps.len(), pps.len()));
    let count = u8::try_from(sps.len()).ok().filter(|count| *count < 32).ok_or_else(too_many)?;
    let mut out = vec![1, profile, compatibility, level, 0xff, 0xe0 | count];
    let put = |out: &mut Vec<u8>, units: &[Vec<u8>]| {
        units.iter().try_for_each(|unit| {
            out.extend(u16::try_from(unit.len()).map_err(|_| too_many())?.to_be_bytes());
            out.extend(unit);
            Ok::<_, Error>(())
        })
    };
    put(&mut out, sps)?;
    out.push(u8::try_from(pps.len()).map_err(|_| too_many())?);
    put(&mut out, pps)?;
    if matches!(profile, 100 | 110 | 122 | 144) {
        reader.ue_up_to(MAX_SPS_ID, "seq_parameter_set_id")?;
        let chroma_format_idc = reader.ue_up_to(3, "chroma_format_idc")?;
        reader.bits(u32::from(chroma_format_idc == 3))?; // separate_colour_plane_flag
        let luma = reader.ue_up_to(6, "bit_depth_luma_minus8")?;
        let chroma = reader.ue_up_to(6, "bit_depth_chroma_minus8")?;
        out.extend([0xfc | small(chroma_format_idc), 0xf8 | small(luma), 0xf8 | small(chroma), 0]);
    }
    Ok((out, size))
}

fn small(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(0)
}
