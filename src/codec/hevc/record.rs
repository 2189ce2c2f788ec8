//! HEVCDecoderConfigurationRecord: the NAL units of its arrays, and that of the parameter sets of a byte stream — ISO/IEC
//! 14496-15 §8.3.3.1.

use super::parameter_sets::MAX_SPS_ID;
use super::sps::profile_tier_level;
use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::base::{Error, Result};
use crate::codec::byte_stream::unescape;

/// Bytes of general_profile_space to general_level_idc.
const PROFILE_BYTES: usize = 12;

/// A NAL unit and its position in the record.
pub(in crate::codec) type NalUnit<'a> = (usize, &'a [u8]);

/// The NAL units of the arrays from numOfArrays on, which a record of a second layer has alike: §9.5.3.1. Of what type
/// they are they say themselves.
///
/// # Errors
/// When the record is cut off.
pub(in crate::codec) fn nal_units<'a>(reader: &mut Reader<'a>) -> Result<Vec<NalUnit<'a>>> {
    let mut units = Vec::new();
    for _ in 0..reader.u8()? {
        reader.u8()?; // array_completeness, NAL_unit_type
        for _ in 0..reader.u16()? {
            let length = reader.u16()?;
            units.push((reader.position(), reader.take(length.into())?));
        }
    }
    Ok(units)
}

/// The record, and the size of the cropped picture; parameter sets are NAL units with their headers. When they are
/// complete, none stands in samples.
///
/// # Errors
/// When the sequence parameter set is wrong, or there are too many.
pub(in crate::codec) fn record(
    sets: &[(u8, Vec<Vec<u8>>)],
    sps: &[u8],
    is_complete: bool,
) -> Result<(Vec<u8>, (u32, u32))> {
    let rbsp = unescape(sps.get(2..).unwrap_or_default());
    let cut_off = || Error::input("a sequence parameter set is cut off").clause("ITU-T H.265 §7.3.2.2");
    let (first, profile) = rbsp.split_first().ok_or_else(cut_off)?;
    let profile = profile.get(..PROFILE_BYTES).ok_or_else(cut_off)?;
    let (max_sub_layers_minus1, nesting) = (first >> 1 & 7, first & 1);
    let mut reader = BitReader::plain(rbsp.get(1..).unwrap_or_default());
    profile_tier_level(&mut reader, true, max_sub_layers_minus1.into())?;
    reader.ue_up_to(MAX_SPS_ID, "sps_seq_parameter_set_id")?;
    let chroma_format_idc = reader.ue_up_to(3, "chroma_format_idc")?;
    let is_separate = chroma_format_idc == 3 && reader.bit()?;
    let (width, height) = (reader.ue()?, reader.ue()?);
    let mut window = [0; 4];
    if reader.bit()? {
        for offset in &mut window {
            *offset = reader.ue()?;
        }
    }
    // SubWidthC and SubHeightC: table 6-1.
    let (h, v) = match chroma_format_idc {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let (h, v) = if is_separate { (1, 1) } else { (h, v) };
    let [left, right, top, bottom] = window;
    let crop = |length: u32, a: u32, b: u32, unit: u32| {
        length.saturating_sub(a.saturating_add(b).saturating_mul(unit))
    };
    let size = (crop(width, left, right, h), crop(height, top, bottom, v));
    let luma = reader.ue_up_to(8, "bit_depth_luma_minus8")?;
    let chroma = reader.ue_up_to(8, "bit_depth_chroma_minus8")?;
    let small = |value: u32| u8::try_from(value).unwrap_or(0);
    let mut out = [&[1], profile].concat();
    // No segmentation, parallelism not known; then formats, no frame rate, layers, lengths of four bytes.
    out.extend([
        0xf0,
        0,
        0xfc,
        0xfc | small(chroma_format_idc),
        0xf8 | small(luma),
        0xf8 | small(chroma),
        0,
        0,
    ]);
    out.push((max_sub_layers_minus1 + 1) << 3 | nesting << 2 | 3);
    let arrays = sets.iter().filter(|(_, units)| !units.is_empty());
    out.push(u8::try_from(arrays.clone().count()).unwrap_or(0));
    for (nal_unit_type, units) in arrays {
        // array_completeness
        out.push(u8::from(is_complete) << 7 | nal_unit_type);
        let too_many = || Error::unsupported(format!("{} parameter sets of a kind", units.len()));
        out.extend(u16::try_from(units.len()).map_err(|_| too_many())?.to_be_bytes());
        for unit in units {
            out.extend(u16::try_from(unit.len()).map_err(|_| too_many())?.to_be_bytes());
            out.extend(unit);
        }
    }
    Ok((out, size))
}
