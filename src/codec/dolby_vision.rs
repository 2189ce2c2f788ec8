//! Dolby Vision over HEVC, AVC and AV1 — Dolby Vision Streams Within the ISO Base Media File Format §2, §3.

use super::{CipherModes, Codec, Config, Protection, TrackKind, audio_facts, av1, avc, hevc};
use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};

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

/// Whether a sample entry is one of Dolby Vision, or has its configuration beside that of another codec.
pub(super) fn is_there(config: &Config<'_>) -> bool {
    let entries = [&HEVC, &AVC, &AV1].into_iter().flat_map(|codec| codec.sample_entries);
    entries.into_iter().any(|entry| *entry == config.entry)
        || CONFIGURATIONS.iter().any(|name| config.payload(*name).is_ok())
}

/// Dolby Vision Streams Within the HTTP Live Streaming Format §2: profile and level, two digits each.
pub(super) fn rfc6381(config: &Config<'_>) -> Result<String> {
    let [first, others @ ..] = CONFIGURATIONS;
    let found = others.into_iter().find(|name| config.payload(*name).is_ok()).unwrap_or(first);
    let mut reader = Reader::new(config.payload(found)?);
    let mut profile_level = || {
        reader.u16()?; // dv_version_major, dv_version_minor
        reader.u16()
    };
    let profile_level = profile_level().map_err(|e| e.at(found).at(config.entry))?;
    let (dv_profile, dv_level) = (profile_level >> 9, (profile_level >> 3) & 0x3f);
    Ok(format!("{}.{dv_profile:02}.{dv_level:02}", config.entry))
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
}
