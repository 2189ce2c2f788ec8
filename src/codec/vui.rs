//! The beginning of `vui_parameters()`, which AVC and HEVC share — ITU-T H.264 §E.1.1, ITU-T H.265 §E.2.1.

use super::VideoInfo;
use super::color::ColorNumbers;
use crate::base::Result;
use crate::base::bits::BitReader;

/// aspect_ratio_idc before a ratio in numbers.
const EXTENDED_SAR: u32 = 255;
/// Ratios by aspect_ratio_idc, from 1 on: ITU-T H.265 table E.1.
const SAMPLE_ASPECT_RATIOS: [(u32, u32); 16] = [
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

/// Reads up to matrix_coeffs: what pictures of this bit depth look like.
pub(super) fn start(reader: &mut BitReader<'_>, bit_depth: u32) -> Result<VideoInfo> {
    let mut info = VideoInfo::of_depth(bit_depth);
    let aspect_ratio_info_present_flag = reader.bit()?;
    if aspect_ratio_info_present_flag {
        let ratio = match reader.bits(8)? {
            EXTENDED_SAR => Some((reader.bits(16)?, reader.bits(16)?)),
            aspect_ratio_idc => aspect_ratio_idc
                .checked_sub(1)
                .and_then(|index| SAMPLE_ASPECT_RATIOS.get(usize::try_from(index).ok()?))
                .copied(),
        };
        info.sample_aspect_ratio = ratio.filter(|(width, height)| *width > 0 && *height > 0);
    }
    let overscan_info_present_flag = reader.bit()?;
    if overscan_info_present_flag {
        reader.bit()?; // overscan_appropriate_flag
    }
    let video_signal_type_present_flag = reader.bit()?;
    if video_signal_type_present_flag {
        reader.bits(3)?; // video_format
        info.is_full_range = reader.bit()?; // video_full_range_flag
        let colour_description_present_flag = reader.bit()?;
        if colour_description_present_flag {
            info.color =
                ColorNumbers::new([reader.bits(8)?, reader.bits(8)?, reader.bits(8)?], Some(bit_depth));
        }
    }
    Ok(info)
}
