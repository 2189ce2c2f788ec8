//! AV1 — AV1 Bitstream Specification, AV1 Codec ISO Media File Format Binding.
//!
//! Only the tiles of a sample are protected, and where they are depends on the frames before: a parser begins
//! at a sync sample and is given every sample from there on, in decoding order.

mod descriptors;
mod frame_header;
mod frame_parameters;
mod obu;
mod references;
mod segmentation;
mod sequence_header;
mod tile_data;
mod tile_info;

use self::obu::{Obu, obu_type};
use self::sequence_header::{CP_BT_709, ColorConfig, SequenceHeader, UNSPECIFIED};
use self::tile_data::TileData;
use super::color::ColorNumbers;
use super::{CipherModes, Codec, Config, Marks, Protection, Ranges, TrackKind, VideoInfo, audio_facts};
use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// AV1.
pub(super) static CODEC: Codec = Codec {
    name: "AV1",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"av01")],
    protection: Protection::Ranges(tile_data_ranges),
    marks: tile_marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio: audio_facts::unknown,
};

const AV1C: FourCc = FourCc(*b"av1C");

/// Finds the tiles of samples whose configuration is in `av1C`.
pub(super) fn tile_data_ranges(config: &Config<'_>) -> Result<Box<dyn Ranges>> {
    let at = |e: Error| e.at(AV1C).at(config.entry);
    let av1c = Av1c::parse(config.payload(AV1C)?).map_err(at)?;
    Ok(Box::new(TileData::parse(av1c.config_obus).map_err(at)?))
}

/// The marks of tiles.
pub(super) fn tile_marks(config: &Config<'_>) -> Option<Box<dyn Marks>> {
    let av1c = Av1c::parse(config.payload(AV1C).ok()?).ok()?;
    Some(Box::new(TileData::parse(av1c.config_obus).ok()?))
}

/// AV1CodecConfigurationRecord: the binding, §2.3.3.
struct Av1c<'a> {
    /// From seq_profile to chroma_sample_position.
    fields: [u8; 2],
    config_obus: &'a [u8],
}

impl<'a> Av1c<'a> {
    fn parse(av1c: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(av1c);
        let [marker_and_version, profile_and_level, flags, _] = reader.array()?;
        if marker_and_version != 0x81 {
            return Err(Error::unsupported(format!(
                "marker and version {marker_and_version:#04x}, 0x81 expected"
            ))
            .clause("AV1 Codec ISO Media File Format Binding §2.3.3"));
        }
        Ok(Self { fields: [profile_and_level, flags], config_obus: reader.rest() })
    }

    /// BitDepth: §5.5.2.
    fn bit_depth(&self) -> u8 {
        let [_, flags] = self.fields;
        match (flags >> 6 & 1, flags >> 5 & 1) {
            (0, _) => 8,
            (_, 0) => 10,
            _ => 12,
        }
    }

    /// The color of the sequence header in configOBUs, if there is one.
    fn color(&self) -> Result<Option<ColorConfig>> {
        let mut reader = Reader::new(self.config_obus);
        while reader.remaining() > 0 {
            let obu = Obu::parse(&mut reader)?;
            if obu.obu_type == obu_type::SEQUENCE_HEADER {
                return Ok(Some(SequenceHeader::parse(&mut BitReader::plain(obu.payload))?.color));
            }
        }
        Ok(None)
    }
}

/// What `av1C` says of pictures.
pub(super) fn video(av1c: &[u8]) -> Result<VideoInfo> {
    let av1c = Av1c::parse(av1c)?;
    let numbers = av1c.color()?.map_or([UNSPECIFIED; 3], |color| {
        [color.color_primaries, color.transfer_characteristics, color.matrix_coefficients]
    });
    Ok(VideoInfo::of_color(ColorNumbers::new(numbers, Some(av1c.bit_depth().into()))))
}

/// The binding's Codecs Parameter String, §5: profile, level, tier and bit depth; the other fields follow, all
/// of them, when one differs from what their absence means.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    let at = |e: Error| e.at(AV1C).at(config.entry);
    let av1c = Av1c::parse(config.payload(AV1C)?).map_err(at)?;
    let [profile_and_level, flags] = av1c.fields;
    let (profile, level) = (profile_and_level >> 5, profile_and_level & 0x1f);
    let bit = |position: u8| (flags >> position) & 1;
    let tier = if bit(7) == 0 { 'M' } else { 'H' };
    let bit_depth = av1c.bit_depth();
    let (mono_chrome, subsampling_x, subsampling_y) = (bit(4), bit(3), bit(2));
    let chroma_sample_position = if subsampling_x & subsampling_y == 1 { flags & 3 } else { 0 };
    let short = format!("{}.{profile}.{level:02}{tier}.{bit_depth:02}", config.entry);
    let subsampling = format!("{subsampling_x}{subsampling_y}{chroma_sample_position}");
    // A sequence header that says nothing is taken to mean what the absence of the fields does.
    let said = |value: u32| if value == UNSPECIFIED { CP_BT_709 } else { value };
    let color = av1c.color().map_err(at)?.map_or([1, 1, 1, 0], |color| {
        let (primaries, matrix) = (said(color.color_primaries), said(color.matrix_coefficients));
        [primaries, said(color.transfer_characteristics), matrix, u32::from(color.color_range)]
    });
    if (mono_chrome, subsampling.as_str(), color) == (0, "110", [1, 1, 1, 0]) {
        return Ok(short);
    }
    let [primaries, transfer, matrix, range] = color;
    Ok(format!("{short}.{mono_chrome}.{subsampling}.{primaries:02}.{transfer:02}.{matrix:02}.{range}"))
}

#[cfg(test)]
pub(super) mod tests;
