//! Dolby Vision over HEVC, AVC and AV1 — Dolby Vision Streams Within the ISO Base Media File Format §2, §3.

use super::{CipherModes, Codec, Config, Protection, TrackKind, audio_facts, av1, avc, hevc};
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// Dolby Vision whose base is HEVC. Its metadata are NAL units of unspecified types, which stay clear.
pub(super) static HEVC: Codec = Codec {
    name: "Dolby Vision (HEVC)",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"dvh1"), FourCc(*b"dvhe")],
    protection: Protection::Ranges(hevc::slice_segment_data_ranges),
    marks: hevc::slice_marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio: audio_facts::unknown,
};

/// Dolby Vision whose base is AVC.
pub(super) static AVC: Codec = Codec {
    name: "Dolby Vision (AVC)",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"dva1"), FourCc(*b"dvav")],
    protection: Protection::Ranges(avc::slice_data_ranges),
    marks: avc::slice_marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio: audio_facts::unknown,
};

/// Dolby Vision whose base is AV1. Its metadata are in metadata OBUs, which stay clear.
pub(super) static AV1: Codec = Codec {
    name: "Dolby Vision (AV1)",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"dav1")],
    protection: Protection::Ranges(av1::tile_data_ranges),
    marks: av1::tile_marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio: audio_facts::unknown,
};

/// `dvcC` up to profile 7, `dvvC` up to 10, `dvwC` above.
const CONFIGURATIONS: [FourCc; 3] = [FourCc(*b"dvcC"), FourCc(*b"dvvC"), FourCc(*b"dvwC")];

/// DOVIDecoderConfigurationRecord: §3.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DolbyVision {
    /// The sample entry that this configuration would have alone.
    entry: FourCc,
    /// Whether the sample entry is that of the base, which plays without Dolby Vision.
    is_supplement: bool,
    profile: u16,
    level: u16,
    /// dv_bl_signal_compatibility_id: what the base is to others.
    compatibility: u8,
}

/// Sample entries of bases, and those of Dolby Vision over them.
const ENTRIES: [(&[u8; 4], &[u8; 4]); 5] =
    [(b"hvc1", b"dvh1"), (b"hev1", b"dvhe"), (b"avc1", b"dva1"), (b"avc3", b"dvav"), (b"av01", b"dav1")];

/// Bytes of DOVIDecoderConfigurationRecord: §3.2.
const RECORD_BYTES: usize = 24;

/// What the record of another container makes of a sample entry: its type, and the box of the record. Over a base that
/// nobody else plays it is the entry of Dolby Vision: §2.
///
/// # Errors
/// When the record is cut off.
pub fn over(entry: FourCc, record: &[u8]) -> Result<(FourCc, (FourCc, Vec<u8>))> {
    let [_, _, high, low, compatibility, ..] = *record else {
        return Err(Error::input(format!("a configuration of Dolby Vision of {} bytes", record.len()))
            .clause("Dolby Vision Streams Within the ISO Base Media File Format §3.2"));
    };
    let [to_7, to_10, above] = CONFIGURATIONS;
    let kind = match high >> 1 {
        ..=7 => to_7,
        8..=10 => to_10,
        _ => above,
    };
    let is_alone = compatibility >> 4 == 0 && low & 2 == 0;
    let over = ENTRIES.iter().find(|(base, _)| **base == entry.0 && is_alone);
    let mut payload = record.to_vec();
    payload.resize(RECORD_BYTES, 0);
    Ok((over.map_or(entry, |(_, entry)| FourCc(**entry)), (kind, payload)))
}

/// The record that a DOVI_video_stream_descriptor is of; `None` of an enhancement whose base is another stream, and of what
/// is cut off: Dolby Vision Streams Within the MPEG-2 Transport Stream Format §3.
pub fn record_of_descriptor(payload: &[u8]) -> Option<Vec<u8>> {
    let [major, minor, high, low, rest @ ..] = payload else { return None };
    let compatibility = rest.first().unwrap_or(&0) & 0xf0;
    let has_base = low & 1 == 1;
    has_base.then(|| vec![*major, *minor, *high, *low, compatibility])
}

/// The Dolby Vision of a sample entry: its own, or beside another codec.
pub(super) fn find(config: &Config<'_>) -> Option<DolbyVision> {
    let alone = ENTRIES.iter().find(|(_, entry)| **entry == config.entry.0);
    let over = ENTRIES.iter().find(|(base, _)| **base == config.entry.0);
    let (entry, is_supplement) = match (alone, over) {
        (Some(_), _) => (config.entry, false),
        (None, Some((_, entry))) => (FourCc(**entry), true),
        (None, None) => return None,
    };
    parse(config, entry, is_supplement).ok()
}

fn parse(config: &Config<'_>, entry: FourCc, is_supplement: bool) -> Result<DolbyVision> {
    let [first, others @ ..] = CONFIGURATIONS;
    let found = others.into_iter().find(|name| config.payload(*name).is_ok()).unwrap_or(first);
    let mut reader = Reader::new(config.payload(found)?);
    let mut read = || {
        reader.u16()?; // dv_version_major, dv_version_minor
        let profile_level = reader.u16()?;
        let compatibility = reader.u8().unwrap_or(0) >> 4;
        let (profile, level) = (profile_level >> 9, (profile_level >> 3) & 0x3f);
        Ok(DolbyVision { entry, is_supplement, profile, level, compatibility })
    };
    read().map_err(|e: Error| e.at(found).at(config.entry))
}

impl DolbyVision {
    /// Dolby Vision Streams Within the HTTP Live Streaming Format §2: profile and level, two digits each.
    fn codecs(&self) -> String {
        format!("{}.{:02}.{:02}", self.entry, self.profile, self.level)
    }

    /// What the base says to those without Dolby Vision; profiles without such a base say nothing.
    pub(super) fn video_range(&self) -> Option<&'static str> {
        match self.compatibility {
            1 | 6 => Some("PQ"),
            2 => Some("SDR"),
            4 => Some("HLG"),
            _ => None,
        }
    }

    /// `SUPPLEMENTAL-CODECS` over a base that plays alone: the codec, and the brand that says what the base is (Dolby
    /// Vision Streams Within the ISO Base Media File Format §2), which `is_sdr_curve` tells too: HLG may be under that
    /// of SDR.
    pub(super) fn supplement(&self, is_sdr_curve: bool) -> Option<(String, &'static str)> {
        let brand = match (self.compatibility, is_sdr_curve) {
            (1, _) => "db1p",
            (2, _) => "db2g",
            (4, true) => "db4g",
            (4, false) => "db4h",
            _ => return None,
        };
        self.is_supplement.then(|| (self.codecs(), brand))
    }
}

/// The codecs parameter of a sample entry of Dolby Vision.
pub(super) fn rfc6381(config: &Config<'_>) -> Result<String> {
    Ok(parse(config, config.entry, false)?.codecs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_and_level_are_named() {
        let of = |name: &[u8; 4], payload: &[u8]| {
            rfc6381(&Config { entry: FourCc(*b"dvh1"), boxes: vec![(FourCc(*name), payload)] })
        };
        // Profile 5, level 6, with RPU and base layer; profile 8, level 9.
        assert_eq!(of(b"dvcC", &[1, 0, 0x0a, 0x35, 0]).unwrap(), "dvh1.05.06");
        assert_eq!(of(b"dvvC", &[1, 0, 0x10, 0x4d, 0x10]).unwrap(), "dvh1.08.09");
        assert!(of(b"dvcC", &[1, 0, 0x0a]).is_err());
        assert!(of(b"hvcC", &[1]).is_err());
    }

    #[test]
    fn records_of_other_containers_make_an_entry_and_a_box() {
        let of = |base: &[u8; 4], record: &[u8]| {
            let (entry, (kind, payload)) = over(FourCc(*base), record).unwrap();
            assert!(payload.len() == 24 && payload.starts_with(record));
            (entry.to_string(), kind.to_string())
        };
        let named = |entry: &str, kind: &str| (entry.to_owned(), kind.to_owned());
        // Profiles 5, 7 of two layers, 8.1, 8.4, 10.0 and 10.1.
        assert_eq!(of(b"hvc1", &[1, 0, 0x0a, 0x35, 0]), named("dvh1", "dvcC"));
        assert_eq!(of(b"hvc1", &[1, 0, 0x0e, 0x37, 0x60]), named("hvc1", "dvcC"));
        assert_eq!(of(b"hvc1", &[1, 0, 0x10, 0x35, 0x10]), named("hvc1", "dvvC"));
        assert_eq!(of(b"hvc1", &[1, 0, 0x10, 0x35, 0x40]), named("hvc1", "dvvC"));
        assert_eq!(of(b"av01", &[1, 0, 0x14, 0x35, 0]), named("dav1", "dvvC"));
        assert_eq!(of(b"av01", &[1, 0, 0x14, 0x35, 0x10]), named("av01", "dvvC"));
        assert!(over(FourCc(*b"hvc1"), &[1, 0, 0x10, 0x35]).is_err());
        assert_eq!(record_of_descriptor(&[1, 0, 0x10, 0x35, 0x1f]), Some(vec![1, 0, 0x10, 0x35, 0x10]));
        assert_eq!(record_of_descriptor(&[1, 0, 0x0e, 0x36, 0x08, 0x88, 0x6f]), None);
    }
}
