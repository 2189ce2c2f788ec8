//! VP9 and VP8 — VP9 Bitstream Specification annex B, VP Codec ISO Media File Format Binding.

mod marks;
mod uncompressed_header;

use std::ops::Range;

use self::marks::VP8_FRAME;
pub(super) use self::uncompressed_header::{Format, first_frame};
use self::uncompressed_header::{Frame, References};
use super::color::ColorNumbers;
use super::{CipherModes, Codec, Config, Protection, Ranges, TrackKind, VideoInfo, audio_facts};
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// VP9; the binding allows it the counter mode only.
pub(super) static CODEC: Codec = Codec {
    name: "VP9",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"vp09")],
    protection: Protection::Ranges(|_| Ok(Box::new(Frames::default()))),
    marks: |_| Some(Box::new(Frames::default())),
    cipher_modes: CipherModes::Counter,
    rfc6381,
    audio: audio_facts::unknown,
};

/// VP8, for which the binding names nothing that stays clear.
pub(super) static VP8: Codec = Codec {
    name: "VP8",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"vp08")],
    protection: Protection::WholeSample,
    marks: |_| Some(VP8_FRAME.open()),
    cipher_modes: CipherModes::Counter,
    rfc6381,
    audio: audio_facts::unknown,
};

/// VP8 is 4:2:0 of eight bits always: RFC 6386 §2.
pub(super) const VP8_FORMAT: Format =
    Format { profile: 0, bit_depth: 8, subsampling: 1, matrix: 2, is_full_range: false };

const VPCC: FourCc = FourCc(*b"vpcC");

/// The binding's Codecs Parameter String: all of its fields, two decimal digits each.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    let vpcc = config.payload(VPCC)?;
    let fields = codec_fields(vpcc).map_err(|e| e.at(VPCC).at(config.entry))?;
    let fields: Vec<String> = fields.iter().map(|field| format!(".{field:02}")).collect();
    Ok(format!("{}{}", config.entry, fields.concat()))
}

/// What `vpcC` says of pictures.
pub(super) fn video(vpcc: &[u8]) -> Result<VideoInfo> {
    let [_, _, bit_depth, _, primaries, transfer, matrix, _] = codec_fields(vpcc)?.map(u32::from);
    Ok(VideoInfo::of_color(ColorNumbers::new([primaries, transfer, matrix], Some(bit_depth))))
}

/// Reads VPCodecConfigurationRecord.
fn codec_fields(vpcc: &[u8]) -> Result<[u8; 8]> {
    let mut reader = Reader::new(vpcc);
    let version_and_flags = reader.u32()?;
    if version_and_flags >> 24 != 1 {
        return Err(Error::unsupported(format!("version {}, 1 expected", version_and_flags >> 24))
            .clause("VP Codec ISO Media File Format Binding, VP Codec Configuration Box"));
    }
    let [profile, level, packed] = reader.array()?;
    let [colour_primaries, transfer_characteristics, matrix_coefficients] = reader.array()?;
    let (bit_depth, chroma_subsampling, video_full_range_flag) = (packed >> 4, (packed >> 1) & 7, packed & 1);
    Ok([
        profile,
        level,
        bit_depth,
        chroma_subsampling,
        colour_primaries,
        transfer_characteristics,
        matrix_coefficients,
        video_full_range_flag,
    ])
}

/// Finds what follows the uncompressed headers; knows the widths of the reference frames.
#[derive(Debug, Default)]
struct Frames {
    references: References,
}

impl Ranges for Frames {
    fn ranges(&mut self, sample: &[u8], out: &mut Vec<Range<usize>>) -> Result<()> {
        let mut start = 0;
        for size in frame_sizes(sample)? {
            let place = |e: Error| e.at(format_args!("frame at byte {start}"));
            let frame = sample.get(start..start + size).unwrap_or_default();
            if let Frame::Coded { header, .. } = self.references.parse(frame).map_err(place)? {
                out.push(start + header..start + size);
            }
            start += size;
        }
        Ok(())
    }
}

/// The sizes of the frames of a sample, which may be a superframe: annex B. Empty frames are left out; all
/// that remain are inside the sample.
fn frame_sizes(sample: &[u8]) -> Result<Vec<usize>> {
    let Some((marker, _)) = sample.split_last() else { return Ok(Vec::new()) };
    let whole = vec![sample.len()];
    if marker >> 5 != 0b110 {
        return Ok(whole);
    }
    let frames = usize::from(marker & 7) + 1;
    let bytes_per_framesize = usize::from((marker >> 3) & 3) + 1;
    let Some(index) = sample.len().checked_sub(2 + frames * bytes_per_framesize) else { return Ok(whole) };
    let index_bytes = sample.get(index..).unwrap_or_default();
    if index_bytes.first() != Some(marker) {
        return Ok(whole);
    }
    let mut sizes = Vec::with_capacity(frames);
    let mut left = index;
    for bytes in index_bytes.get(1..).unwrap_or_default().chunks_exact(bytes_per_framesize).take(frames) {
        let size = bytes.iter().rev().fold(0, |size, byte| (size << 8) | usize::from(*byte));
        left = left.checked_sub(size).ok_or_else(|| {
            Error::input(format!("frame of {size} bytes, the superframe has {left} left"))
                .clause("VP9 Bitstream Specification annex B")
        })?;
        sizes.extend((size > 0).then_some(size));
    }
    Ok(sizes)
}

#[cfg(test)]
pub(super) mod tests;
