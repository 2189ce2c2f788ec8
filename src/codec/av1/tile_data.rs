//! Where the tiles are in samples — AV1 Codec ISO Media File Format Binding §4, AV1 Bitstream Specification §5.11.1.

use std::ops::Range;

use super::descriptors::le;
use super::frame_header;
use super::obu::{Obu, obu_type};
use super::references::References;
use super::sequence_header::SequenceHeader;
use super::tile_info::TileInfo;
use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::base::{Error, Result};
use crate::codec::marks::is_in;
use crate::codec::{Evidence, Marks, Ranges};

/// Finds the tiles in samples; knows what a decoder knows of the frames before.
#[derive(Debug, Default)]
pub(super) struct TileData {
    sequence: Option<SequenceHeader>,
    references: References,
    /// The frame whose header was seen and whose tiles are not complete: SeenFrameHeader.
    frame: Option<Frame>,
    /// Whether the sample shows a frame that was decoded before: show_existing_frame.
    shows_existing_frame: bool,
}

/// A frame and the tile that comes next.
#[derive(Clone, Copy, Debug)]
struct Frame {
    tile_info: TileInfo,
    tile_num: u32,
}

impl TileData {
    /// Takes in configOBUs.
    pub(super) fn parse(config_obus: &[u8]) -> Result<Self> {
        let mut tile_data = Self::default();
        tile_data.ranges(config_obus, &mut Vec::new())?;
        Ok(tile_data)
    }

    fn obu(&mut self, obu: &Obu<'_>, out: &mut Vec<Range<usize>>) -> Result<()> {
        match obu.obu_type {
            obu_type::SEQUENCE_HEADER => {
                let sequence = SequenceHeader::parse(&mut BitReader::plain(obu.payload));
                self.sequence = Some(sequence.map_err(|e| e.at("sequence_header_obu"))?);
                Ok(())
            }
            obu_type::TEMPORAL_DELIMITER => {
                self.frame = None;
                Ok(())
            }
            // Any header after the first repeats it: §5.9.1.
            obu_type::FRAME_HEADER | obu_type::REDUNDANT_FRAME_HEADER if self.frame.is_some() => Ok(()),
            obu_type::FRAME_HEADER => self.frame_header(obu).map(|_| ()),
            obu_type::FRAME if self.frame.is_some() => {
                Err(Error::input("OBU_FRAME before the end of a frame")
                    .clause("AV1 Bitstream Specification §6.2.2"))
            }
            obu_type::FRAME => {
                let header = self.frame_header(obu)?;
                self.tile_group(obu, header, out)
            }
            obu_type::TILE_GROUP => self.tile_group(obu, 0, out),
            obu_type::TILE_LIST => Err(Error::unsupported("OBU_TILE_LIST, of large scale tile decoding")
                .clause("AV1 Codec ISO Media File Format Binding §2.4")),
            _ => Ok(()),
        }
    }

    /// Reads a frame header; its size in bytes, with `byte_alignment()`.
    fn frame_header(&mut self, obu: &Obu<'_>) -> Result<usize> {
        let sequence = self.sequence.as_ref().ok_or_else(|| {
            Error::input("a frame before any sequence header").clause("AV1 Bitstream Specification §7.5")
        })?;
        let mut bits = BitReader::plain(obu.payload);
        let tile_info = frame_header::parse(&mut bits, sequence, &mut self.references, obu.layer)
            .map_err(|e| e.at("uncompressed_header"))?;
        self.shows_existing_frame |= tile_info.is_none();
        self.frame = tile_info.map(|tile_info| Frame { tile_info, tile_num: 0 });
        Ok(bits.bytes_touched())
    }

    /// `tile_group_obu()`, which begins at this byte of the payload: §5.11.1.
    fn tile_group(&mut self, obu: &Obu<'_>, start: usize, out: &mut Vec<Range<usize>>) -> Result<()> {
        const CLAUSE: &str = "AV1 Bitstream Specification §6.10.1";
        let frame = self.frame.as_mut().ok_or_else(|| {
            Error::input("a tile group without a frame header").clause("AV1 Bitstream Specification §5.3.1")
        })?;
        let TileInfo { num_tiles, tile_bits, tile_size_bytes } = frame.tile_info;
        let group = obu.payload.get(start..).unwrap_or_default();
        let mut bits = BitReader::plain(group);
        let tile_start_and_end_present_flag = num_tiles > 1 && bits.bit()?;
        let (tg_start, tg_end) = if tile_start_and_end_present_flag {
            (bits.bits(tile_bits)?, bits.bits(tile_bits)?)
        } else {
            (0, num_tiles - 1)
        };
        if tg_start != frame.tile_num || tg_end < tg_start || tg_end >= num_tiles {
            return Err(Error::input(format!(
                "tiles {tg_start} to {tg_end}, from tile {} of {num_tiles} on expected",
                frame.tile_num
            ))
            .clause(CLAUSE));
        }
        let mut reader = Reader::new(group);
        reader.take(bits.bytes_touched())?;
        for tile_num in tg_start..=tg_end {
            let is_last_tile = tile_num == tg_end;
            let tile_size =
                if is_last_tile { reader.remaining() } else { le(&mut reader, tile_size_bytes)? + 1 };
            let position = obu.start + start + reader.position();
            let left = reader.remaining();
            reader.take(tile_size).map_err(|_| {
                Error::input(format!("tile {tile_num} of {tile_size} bytes, the OBU has {left} left"))
                    .clause(CLAUSE)
            })?;
            if tile_size == 0 {
                return Err(Error::input(format!("tile {tile_num} has no bytes")).clause(CLAUSE));
            }
            out.push(position..position + tile_size);
        }
        frame.tile_num = tg_end + 1;
        if frame.tile_num == num_tiles {
            self.frame = None;
        }
        Ok(())
    }
}

impl Ranges for TileData {
    fn ranges(&mut self, sample: &[u8], out: &mut Vec<Range<usize>>) -> Result<()> {
        // A sample is a temporal unit whose delimiter is left out: AV1 Codec ISO Media File Format Binding §2.4.
        self.frame = None;
        self.shows_existing_frame = false;
        let mut reader = Reader::new(sample);
        while reader.remaining() > 0 {
            let position = reader.position();
            Obu::parse(&mut reader)
                .and_then(|obu| self.obu(&obu, out))
                .map_err(|e| e.at(format_args!("OBU at byte {position}")))?;
        }
        match self.frame {
            None => Ok(()),
            // What is not found as a tile would stay clear.
            Some(Frame { tile_num, tile_info }) => Err(Error::input(format!(
                "the sample ends behind {tile_num} of {} tiles of a frame",
                tile_info.num_tiles
            ))
            .clause("AV1 Bitstream Specification §7.5")),
        }
    }

    /// The binding, §2.4: a sample has all frames of one temporal unit.
    fn is_due(&self) -> bool {
        !self.shows_existing_frame
    }
}

/// The share of random bytes that are not 0.
const ONE_BYTE: f64 = 255.0 / 256.0;

/// Arithmetic coding leaves one mark: the padding of a tile is a one and zeros up to its end, so that the last byte of one
/// that has no zero bytes behind it is not 0. AV1 Bitstream Specification §8.2.4.
impl Marks for TileData {
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        let mut tiles = Vec::new();
        if self.ranges(sample, &mut tiles).is_err() {
            return;
        }
        for tile in tiles {
            let last = tile.end - 1;
            if is_in(encrypted, &(last..tile.end)) {
                evidence.mark(sample.get(last) != Some(&0), ONE_BYTE);
            }
        }
    }
}
