//! AVC — ITU-T H.264 and its carriage, ISO/IEC 14496-15 §5; what stays clear: ISO/IEC 23001-7 §9.5.2.

mod nal_unit_type;
mod parameter_sets;
mod pictures;
mod record;
mod slice_data;
mod slice_header;
mod stream_facts;

pub(super) use self::pictures::{PictureId, Pictures};
pub(super) use self::record::record;
use self::slice_data::SliceData;
pub(super) use self::stream_facts::byte_stream_facts;
use super::slice_marks::SliceMarks;
use super::{CipherModes, Codec, Config, Marks, Protection, Ranges, TrackKind, VideoInfo, audio_facts};
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// AVC with parameter sets in `avcC` (`avc1`) or also in the samples (`avc3`).
pub(super) static CODEC: Codec = Codec {
    name: "AVC",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"avc1"), FourCc(*b"avc3")],
    protection: Protection::Ranges(slice_data_ranges),
    marks: slice_marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio: audio_facts::unknown,
};

const AVCC: FourCc = FourCc(*b"avcC");

/// ISO/IEC 14496-15 §E.3: profile, constraint flags and level of `avcC`, two hex digits each.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    let at = |e: Error| e.at(AVCC).at(config.entry);
    let mut reader = Reader::new(config.payload(AVCC)?);
    configuration_version(&mut reader).map_err(at)?;
    let profile_compatibility_level = reader.u24().map_err(at)?;
    Ok(format!("{}.{profile_compatibility_level:06x}", config.entry))
}

/// What the first sequence parameter set of `avcC` says of pictures.
pub(super) fn video(avcc: &[u8]) -> Result<VideoInfo> {
    let mut reader = Reader::new(avcc);
    configuration_version(&mut reader)?;
    reader.take(4)?; // from AVCProfileIndication to lengthSizeMinusOne
    let num_of_sequence_parameter_sets = reader.u8()? & 0x1f;
    if num_of_sequence_parameter_sets == 0 {
        return Ok(VideoInfo::default());
    }
    let length = reader.u16()?;
    let [_, seq_parameter_set @ ..] = reader.take(length.into())? else { return Ok(VideoInfo::default()) };
    Ok(parameter_sets::picture(seq_parameter_set)?.info)
}

/// Finds the slice data of samples whose configuration is in `avcC`.
pub(super) fn slice_data_ranges(config: &Config<'_>) -> Result<Box<dyn Ranges>> {
    let avcc = config.payload(AVCC)?;
    Ok(Box::new(SliceData::parse(avcc).map_err(|e| e.at(AVCC).at(config.entry))?))
}

/// The marks of slices whose parameter sets are in `avcC` or in samples.
pub(super) fn slice_marks(config: &Config<'_>) -> Option<Box<dyn Marks>> {
    Some(Box::new(SliceMarks::new(SliceData::parse(config.payload(AVCC).ok()?).ok()?)))
}

fn configuration_version(reader: &mut Reader<'_>) -> Result<()> {
    match reader.u8()? {
        1 => Ok(()),
        version => Err(Error::unsupported(format!("configurationVersion {version}, 1 expected"))
            .clause("ISO/IEC 14496-15 §5.3.3.1")),
    }
}

/// The first byte of a NAL unit: ITU-T H.264 §7.3.1.
#[derive(Clone, Copy, Debug)]
struct NalUnitHeader {
    nal_ref_idc: u8,
    nal_unit_type: u8,
}

impl NalUnitHeader {
    fn parse(byte: u8) -> Result<Self> {
        if byte & 0x80 != 0 {
            return Err(Error::input("forbidden_zero_bit is 1").clause("ITU-T H.264 §7.4.1"));
        }
        Ok(Self { nal_ref_idc: (byte >> 5) & 3, nal_unit_type: byte & 0x1f })
    }

    /// IdrPicFlag: ITU-T H.264 (7-1).
    fn is_idr(self) -> bool {
        self.nal_unit_type == nal_unit_type::IDR_SLICE
    }
}

#[cfg(test)]
pub(super) mod tests;
