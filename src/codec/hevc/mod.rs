//! HEVC — ITU-T H.265 and its carriage, ISO/IEC 14496-15 §8; what stays clear: ISO/IEC 23001-7 §9.5.2.

mod parameter_sets;
mod pps;
mod record;
mod ref_pic_set;
mod slice_segment_data;
mod slice_segment_header;
mod sps;
mod vps;

pub(super) use self::record::{NalUnit, nal_units, record};
use self::slice_segment_data::SliceSegmentData;
use super::slice_marks::SliceMarks;
use super::{CipherModes, Codec, Config, Marks, Protection, Ranges, TrackKind, VideoInfo, audio_facts};
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// HEVC with parameter sets in `hvcC` (`hvc1`) or also in the samples (`hev1`).
pub(super) static CODEC: Codec = Codec {
    name: "HEVC",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"hvc1"), FourCc(*b"hev1")],
    protection: Protection::Ranges(slice_segment_data_ranges),
    marks: slice_marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio: audio_facts::unknown,
};

const HVCC: FourCc = FourCc(*b"hvcC");
/// LHEVCDecoderConfigurationRecord of a second view: ISO/IEC 14496-15 §9.5.3.
const LHVC: FourCc = FourCc(*b"lhvC");

/// ISO/IEC 14496-15 §E.3: profile, compatibility flags in reverse bit order, tier and level, and the six
/// bytes of constraint flags without trailing zero bytes.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    let hvcc = config.payload(HVCC)?;
    let elements = profile_tier_level(hvcc).map_err(|e| e.at(HVCC).at(config.entry))?;
    Ok(format!("{}.{elements}", config.entry))
}

fn profile_tier_level(hvcc: &[u8]) -> Result<String> {
    let mut reader = Reader::new(hvcc);
    configuration_version(&mut reader)?;
    let profile = reader.u8()?;
    let profile_space = ["", "A", "B", "C"].get(usize::from(profile >> 6)).copied().unwrap_or_default();
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatibility = reader.u32()?.reverse_bits();
    let mut constraints = reader.take(6)?;
    while let [rest @ .., 0] = constraints {
        constraints = rest;
    }
    let general_level_idc = reader.u8()?;
    let mut text = format!("{profile_space}{}.{compatibility:X}.{tier}{general_level_idc}", profile & 0x1f);
    for byte in constraints {
        text.push_str(&format!(".{byte:X}"));
    }
    Ok(text)
}

/// What the first sequence parameter set of `hvcC` says of pictures.
pub(super) fn video(hvcc: &[u8]) -> Result<VideoInfo> {
    Ok(SliceSegmentData::parse(hvcc)?.video().unwrap_or_default())
}

/// Reads the configurations of a sample entry: that of the base layer, and of a second view beside it.
fn configuration(config: &Config<'_>) -> Result<SliceSegmentData> {
    let at = |name: FourCc| move |e: Error| e.at(name).at(config.entry);
    let mut data = SliceSegmentData::parse(config.payload(HVCC)?).map_err(at(HVCC))?;
    if let Ok(lhvc) = config.payload(LHVC) {
        data.add_layer(lhvc).map_err(at(LHVC))?;
    }
    Ok(data)
}

/// Finds the slice segment data of samples whose configuration is in `hvcC`.
pub(super) fn slice_segment_data_ranges(config: &Config<'_>) -> Result<Box<dyn Ranges>> {
    Ok(Box::new(configuration(config)?))
}

/// The marks of slices whose parameter sets are in `hvcC` or in samples.
pub(super) fn slice_marks(config: &Config<'_>) -> Option<Box<dyn Marks>> {
    Some(Box::new(SliceMarks::new(configuration(config).ok()?)))
}

fn configuration_version(reader: &mut Reader<'_>) -> Result<()> {
    match reader.u8()? {
        1 => Ok(()),
        version => Err(Error::unsupported(format!("configurationVersion {version}, 1 expected"))
            .clause("ISO/IEC 14496-15 §8.3.3.1")),
    }
}

/// `nal_unit_type` of the NAL units that matter here: ITU-T H.265 table 7-1.
mod nal_unit_type {
    pub(super) const RASL_R: u8 = 9;
    pub(super) const BLA_W_LP: u8 = 16;
    pub(super) const IDR_W_RADL: u8 = 19;
    pub(super) const IDR_N_LP: u8 = 20;
    pub(super) const CRA_NUT: u8 = 21;
    pub(super) const RSV_IRAP_VCL23: u8 = 23;
    pub(super) const RSV_VCL31: u8 = 31;
    pub(super) const VPS: u8 = 32;
    pub(super) const SPS: u8 = 33;
    pub(super) const PPS: u8 = 34;
    /// Of Dolby Vision: a NAL unit of an enhancement layer is inside.
    pub(super) const UNSPEC63: u8 = 63;
}

/// The first two bytes of a NAL unit: ITU-T H.265 §7.3.1.2.
#[derive(Clone, Copy, Debug)]
struct NalUnitHeader {
    nal_unit_type: u8,
    nuh_layer_id: u8,
    temporal_id: u8,
}

impl NalUnitHeader {
    fn parse(first: u8, second: u8) -> Result<Self> {
        if first & 0x80 != 0 {
            return Err(Error::input("forbidden_zero_bit is 1").clause("ITU-T H.265 §7.4.2.2"));
        }
        Ok(Self {
            nal_unit_type: (first >> 1) & 0x3f,
            nuh_layer_id: (first & 1) << 5 | second >> 3,
            temporal_id: (second & 7).saturating_sub(1),
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
