//! How a frame is divided into tiles — AV1 Bitstream Specification §5.9.15.

use super::descriptors::ns;
use super::references::FrameSize;
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// MAX_TILE_WIDTH: §3.
const MAX_TILE_WIDTH: u32 = 4096;
/// MAX_TILE_AREA: §3.
const MAX_TILE_AREA: u32 = 4096 * 2304;
/// MAX_TILE_COLS and MAX_TILE_ROWS: §3.
const MAX_TILES: u32 = 64;

/// `tile_info()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TileInfo {
    /// NumTiles.
    pub(super) num_tiles: u32,
    /// TileRowsLog2 + TileColsLog2.
    pub(super) tile_bits: u32,
    /// TileSizeBytes.
    pub(super) tile_size_bytes: usize,
}

/// TileCols or TileRows, and their Log2.
#[derive(Clone, Copy)]
struct Division {
    count: u32,
    log2: u32,
}

impl TileInfo {
    pub(super) fn parse(
        bits: &mut BitReader<'_>,
        size: FrameSize,
        use_128x128_superblock: bool,
    ) -> Result<Self> {
        let sb_shift = if use_128x128_superblock { 5 } else { 4 };
        // MiCols and MiRows: compute_image_size(), §5.9.9.
        let superblocks = |length: u32| (2 * ((length + 7) >> 3)).div_ceil(1 << sb_shift);
        let (sb_cols, sb_rows) = (superblocks(size.frame_width), superblocks(size.frame_height));
        let sb_size = sb_shift + 2;
        let max_tile_width_sb = MAX_TILE_WIDTH >> sb_size;
        let max_tile_area_sb = MAX_TILE_AREA >> (2 * sb_size);
        let min_log2_tile_cols = tile_log2(max_tile_width_sb, sb_cols);
        let min_log2_tiles = min_log2_tile_cols.max(tile_log2(max_tile_area_sb, sb_rows * sb_cols));
        let uniform_tile_spacing_flag = bits.bit()?;
        let (cols, rows) = if uniform_tile_spacing_flag {
            let cols = uniform(bits, sb_cols, min_log2_tile_cols)?;
            (cols, uniform(bits, sb_rows, min_log2_tiles.saturating_sub(cols.log2))?)
        } else {
            let (cols, widest_tile_sb) = explicit(bits, sb_cols, max_tile_width_sb)?;
            let area = sb_rows * sb_cols;
            let max_tile_area_sb = if min_log2_tiles > 0 { area >> (min_log2_tiles + 1) } else { area };
            (cols, explicit(bits, sb_rows, (max_tile_area_sb / widest_tile_sb.max(1)).max(1))?.0)
        };
        let tile_bits = rows.log2 + cols.log2;
        let mut tile_size_bytes = 0;
        if tile_bits > 0 {
            bits.bits(tile_bits)?; // context_update_tile_id
            tile_size_bytes = 1 + usize::from(bits.bit()?) * 2 + usize::from(bits.bit()?);
        }
        Ok(Self { num_tiles: cols.count * rows.count, tile_bits, tile_size_bytes })
    }
}

/// `tile_log2()`: the smallest k for which blkSize << k is at least target.
fn tile_log2(blk_size: u32, target: u32) -> u32 {
    (0..16).find(|k| (blk_size << k) >= target).unwrap_or(16)
}

fn uniform(bits: &mut BitReader<'_>, superblocks: u32, min_log2: u32) -> Result<Division> {
    let max_log2 = tile_log2(1, superblocks.min(MAX_TILES));
    let mut log2 = min_log2;
    while log2 < max_log2 {
        let increment_tile_log2 = bits.bit()?;
        if !increment_tile_log2 {
            break;
        }
        log2 += 1;
    }
    let tile_sb = superblocks.div_ceil(1 << log2);
    bounded(Division { count: superblocks.div_ceil(tile_sb), log2 })
}

/// Tiles that each say their width or height; also the greatest.
fn explicit(bits: &mut BitReader<'_>, superblocks: u32, max_tile_sb: u32) -> Result<(Division, u32)> {
    let (mut start_sb, mut count, mut widest_tile_sb) = (0, 0, 0);
    while start_sb < superblocks {
        let size_sb = ns(bits, (superblocks - start_sb).min(max_tile_sb))? + 1;
        widest_tile_sb = widest_tile_sb.max(size_sb);
        start_sb += size_sb;
        count += 1;
    }
    Ok((bounded(Division { count, log2: tile_log2(1, count) })?, widest_tile_sb))
}

fn bounded(division: Division) -> Result<Division> {
    if division.count > MAX_TILES {
        return Err(Error::input(format!(
            "{} columns or rows of tiles, at most {MAX_TILES} expected",
            division.count
        ))
        .clause("AV1 Bitstream Specification §6.8.14"));
    }
    Ok(division)
}
