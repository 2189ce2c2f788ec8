//! The uncompressed header, read to know where it ends — VP9 Bitstream Specification §6.2, §7.2.

use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// frame_sync_code: §7.2.
const FRAME_SYNC_CODE: u32 = 0x49_83_42;
/// color_space of RGB: §7.2.2.
const CS_RGB: u32 = 7;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// One byte or two that show an earlier frame.
    Existing,
    /// A frame with an uncompressed header of this many bytes.
    Coded {
        /// Bytes up to the compressed header.
        header: usize,
        /// Bytes of the compressed header: header_size_in_bytes.
        compressed: usize,
        /// Tiles behind it.
        tiles: u32,
    },
}

/// The widths of the reference frames, from which the tile columns of a frame follow: §8.10.
#[derive(Debug, Default)]
pub(super) struct References {
    widths: [Option<u32>; 8],
}

/// What is kept of an uncompressed header.
struct Header {
    refresh_frame_flags: u32,
    width: u32,
    compressed: u32,
    tiles: u32,
}

impl References {
    /// Reads `uncompressed_header()` of a frame and updates the reference frames.
    pub(super) fn parse(&mut self, frame: &[u8]) -> Result<Frame> {
        let mut reader = BitReader::plain(frame);
        let Some(Header { refresh_frame_flags, width, compressed, tiles }) = self.header(&mut reader)? else {
            return Ok(Frame::Existing);
        };
        if frame.len() <= reader.bytes_touched() {
            return Err(Error::input("a frame without a compressed header")
                .clause("VP9 Bitstream Specification §6.1"));
        }
        for (slot, reference) in self.widths.iter_mut().enumerate() {
            if (refresh_frame_flags >> slot) & 1 == 1 {
                *reference = Some(width);
            }
        }
        let compressed = usize::try_from(compressed).unwrap_or(usize::MAX);
        Ok(Frame::Coded { header: reader.bytes_touched(), compressed, tiles })
    }

    /// `None` for show_existing_frame.
    fn header(&self, reader: &mut BitReader<'_>) -> Result<Option<Header>> {
        let frame_marker = reader.bits(2)?;
        if frame_marker != 2 {
            return Err(Error::input(format!("frame_marker is {frame_marker}, 2 expected"))
                .clause("VP9 Bitstream Specification §7.2"));
        }
        let profile = reader.bits(1)? + 2 * reader.bits(1)?;
        if profile == 3 {
            reader.bit()?; // reserved_zero
        }
        let show_existing_frame = reader.bit()?;
        if show_existing_frame {
            reader.bits(3)?; // frame_to_show_map_idx
            return Ok(None);
        }
        let non_key_frame = reader.bit()?; // frame_type
        let show_frame = reader.bit()?;
        let error_resilient_mode = reader.bit()?;
        let (refresh_frame_flags, width) = if non_key_frame {
            let intra_only = !show_frame && reader.bit()?;
            if !error_resilient_mode {
                reader.bits(2)?; // reset_frame_context
            }
            if intra_only { intra_only_frame(reader, profile)? } else { self.inter_frame(reader)? }
        } else {
            frame_sync_code(reader)?;
            color_config(reader, profile)?;
            (0xff, frame_and_render_size(reader)?)
        };
        if !error_resilient_mode {
            reader.bits(2)?; // refresh_frame_context, frame_parallel_decoding_mode
        }
        reader.bits(2)?; // frame_context_idx
        loop_filter_params(reader)?;
        quantization_params(reader)?;
        segmentation_params(reader)?;
        let tiles = tile_info(reader, width)?;
        let header_size_in_bytes = reader.bits(16)?;
        if header_size_in_bytes == 0 {
            return Err(Error::input("header_size_in_bytes is 0").clause("VP9 Bitstream Specification §7.2"));
        }
        Ok(Some(Header { refresh_frame_flags, width, compressed: header_size_in_bytes, tiles }))
    }

    /// From refresh_frame_flags to the interpolation filter.
    fn inter_frame(&self, reader: &mut BitReader<'_>) -> Result<(u32, u32)> {
        let refresh_frame_flags = reader.bits(8)?;
        let mut ref_frame_idx = [0; 3];
        for index in &mut ref_frame_idx {
            *index = reader.bits(3)?;
            reader.bit()?; // ref_frame_sign_bias
        }
        let width = self.frame_size_with_refs(reader, ref_frame_idx)?;
        reader.bit()?; // allow_high_precision_mv
        let is_filter_switchable = reader.bit()?;
        if !is_filter_switchable {
            reader.bits(2)?; // raw_interpolation_filter
        }
        Ok((refresh_frame_flags, width))
    }

    fn frame_size_with_refs(&self, reader: &mut BitReader<'_>, ref_frame_idx: [u32; 3]) -> Result<u32> {
        for index in ref_frame_idx {
            let found_ref = reader.bit()?;
            if found_ref {
                let slot = usize::try_from(index).ok().and_then(|index| self.widths.get(index));
                let width = slot.copied().flatten().ok_or_else(|| {
                    Error::input(format!("reference frame {index} was not sent"))
                        .clause("VP9 Bitstream Specification §7.2.5")
                })?;
                render_size(reader)?;
                return Ok(width);
            }
        }
        frame_and_render_size(reader)
    }
}

/// From frame_sync_code to render_size of a frame that is intra_only.
fn intra_only_frame(reader: &mut BitReader<'_>, profile: u32) -> Result<(u32, u32)> {
    frame_sync_code(reader)?;
    if profile > 0 {
        color_config(reader, profile)?;
    }
    let refresh_frame_flags = reader.bits(8)?;
    Ok((refresh_frame_flags, frame_and_render_size(reader)?))
}

fn frame_sync_code(reader: &mut BitReader<'_>) -> Result<()> {
    match reader.bits(24)? {
        FRAME_SYNC_CODE => Ok(()),
        code => Err(Error::input(format!("frame_sync_code is {code:#08x}, {FRAME_SYNC_CODE:#08x} expected"))
            .clause("VP9 Bitstream Specification §7.2.1")),
    }
}

/// `color_config()`: §6.2.2.
fn color_config(reader: &mut BitReader<'_>, profile: u32) -> Result<Format> {
    let ten_or_twelve_bit = profile >= 2 && reader.bit()?;
    let bit_depth = 8 + if profile >= 2 { 2 } else { 0 } + if ten_or_twelve_bit { 2 } else { 0 };
    let has_subsampling = profile == 1 || profile == 3;
    let color_space = reader.bits(3)?;
    let matrix =
        usize::try_from(color_space).ok().and_then(|space| MATRICES.get(space).copied()).unwrap_or(2);
    let (is_full_range, subsampled) = if color_space == CS_RGB {
        reader.bits(u32::from(has_subsampling))?; // reserved_zero
        (true, 0)
    } else {
        let color_range = reader.bit()?;
        // subsampling_x, subsampling_y, reserved_zero
        (color_range, if has_subsampling { reader.bits(3)? >> 1 } else { 3 })
    };
    // 4:2:0 with chroma where luma is, 4:2:2, 4:4:4; 4:4:0 has no number of its own.
    let subsampling = match subsampled {
        3 => 1,
        2 => 2,
        _ => 3,
    };
    let profile = u8::try_from(profile).unwrap_or(0);
    Ok(Format { profile, bit_depth, subsampling, matrix, is_full_range })
}

/// What the header of a key frame says of its pictures, as the codec configuration box numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec) struct Format {
    pub(in crate::codec) profile: u8,
    pub(in crate::codec) bit_depth: u8,
    pub(in crate::codec) subsampling: u8,
    /// By ITU-T H.273.
    pub(in crate::codec) matrix: u8,
    pub(in crate::codec) is_full_range: bool,
}

/// Matrix coefficients of ITU-T H.273 by color_space: §7.2.2.
const MATRICES: [u8; 8] = [2, 5, 1, 6, 7, 9, 2, 0];

/// The format of a stream that begins with this frame.
///
/// # Errors
/// When it is no key frame.
pub(in crate::codec) fn first_frame(frame: &[u8]) -> Result<Format> {
    let mut reader = BitReader::plain(frame);
    let frame_marker = reader.bits(2)?;
    let profile = reader.bits(1)? + 2 * reader.bits(1)?;
    if profile == 3 {
        reader.bit()?; // reserved_zero
    }
    // show_existing_frame and frame_type are 0; show_frame and error_resilient_mode are anything.
    if frame_marker != 2 || reader.bits(4)? >> 2 != 0 {
        return Err(
            Error::input("the first frame is no key frame").clause("VP9 Bitstream Specification §7.2")
        );
    }
    frame_sync_code(&mut reader)?;
    color_config(&mut reader, profile)
}

/// `frame_size()` and `render_size()`: §6.2.3, §6.2.4; FrameWidth.
fn frame_and_render_size(reader: &mut BitReader<'_>) -> Result<u32> {
    let width = reader.bits(16)? + 1;
    reader.bits(16)?; // frame_height_minus_1
    render_size(reader)?;
    Ok(width)
}

fn render_size(reader: &mut BitReader<'_>) -> Result<()> {
    let render_and_frame_size_different = reader.bit()?;
    if render_and_frame_size_different {
        reader.bits(32)?; // render_width_minus_1, render_height_minus_1
    }
    Ok(())
}

/// `loop_filter_params()`: §6.2.8.
fn loop_filter_params(reader: &mut BitReader<'_>) -> Result<()> {
    reader.bits(9)?; // loop_filter_level, loop_filter_sharpness
    let loop_filter_delta_enabled = reader.bit()?;
    let loop_filter_delta_update = loop_filter_delta_enabled && reader.bit()?;
    if loop_filter_delta_update {
        for _ in 0..6 {
            optional(reader, 7)?; // loop_filter_ref_deltas, loop_filter_mode_deltas
        }
    }
    Ok(())
}

/// A flag, and when it is set this many bits.
fn optional(reader: &mut BitReader<'_>, bits: u32) -> Result<()> {
    let present = reader.bit()?;
    reader.bits(if present { bits } else { 0 })?;
    Ok(())
}

/// `quantization_params()`: §6.2.9.
fn quantization_params(reader: &mut BitReader<'_>) -> Result<()> {
    reader.bits(8)?; // base_q_idx
    (0..3).try_for_each(|_| optional(reader, 5)) // delta_coded, delta_q
}

/// `segmentation_params()`: §6.2.11.
fn segmentation_params(reader: &mut BitReader<'_>) -> Result<()> {
    /// segmentation_feature_bits and the sign of segmentation_feature_signed.
    const FEATURE_BITS: [u32; 4] = [8 + 1, 6 + 1, 2, 0];
    let segmentation_enabled = reader.bit()?;
    if !segmentation_enabled {
        return Ok(());
    }
    let segmentation_update_map = reader.bit()?;
    if segmentation_update_map {
        (0..7).try_for_each(|_| optional(reader, 8))?; // segmentation_tree_probs
        let segmentation_temporal_update = reader.bit()?;
        if segmentation_temporal_update {
            (0..3).try_for_each(|_| optional(reader, 8))?; // segmentation_pred_prob
        }
    }
    let segmentation_update_data = reader.bit()?;
    if segmentation_update_data {
        reader.bit()?; // segmentation_abs_or_delta_update
        for _segment in 0..8 {
            FEATURE_BITS.iter().try_for_each(|bits| optional(reader, *bits))?;
        }
    }
    Ok(())
}

/// `tile_info()`: §6.2.13; the number of tiles.
fn tile_info(reader: &mut BitReader<'_>, width: u32) -> Result<u32> {
    let sb64_cols = width.div_ceil(64);
    let (mut min_log2, mut max_log2) = (0, 1);
    while (64 << min_log2) < sb64_cols {
        min_log2 += 1;
    }
    while (sb64_cols >> max_log2) >= 4 {
        max_log2 += 1;
    }
    let mut tile_cols_log2 = min_log2;
    for _ in min_log2..max_log2 - 1 {
        let increment_tile_cols_log2 = reader.bit()?;
        if !increment_tile_cols_log2 {
            break;
        }
        tile_cols_log2 += 1;
    }
    let tile_rows_log2 = reader.bits(1)?;
    let increment_tile_rows_log2 = reader.bits(tile_rows_log2)?;
    Ok(1 << (tile_cols_log2 + tile_rows_log2 + increment_tile_rows_log2))
}
