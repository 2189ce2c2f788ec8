//! Audio whose sample entry names it well enough — ETSI TS 102 366 annex F, ETSI TS 102 114 annex E, and others.

use super::{CipherModes, Codec, Config, Protection, TrackKind};
use crate::base::{FourCc, Result};

/// What all rows of this file have in common.
const AUDIO: Codec = Codec {
    name: "",
    kind: TrackKind::Audio,
    sample_entries: &[],
    protection: Protection::WholeSample,
    cipher_modes: CipherModes::All,
    rfc6381: entry_alone,
};

/// AC-3: ETSI TS 102 366 §F.3.
pub(super) static AC_3: Codec = Codec { name: "AC-3", sample_entries: &[FourCc(*b"ac-3")], ..AUDIO };

/// Enhanced AC-3: ETSI TS 102 366 §F.5.
pub(super) static E_AC_3: Codec = Codec { name: "E-AC-3", sample_entries: &[FourCc(*b"ec-3")], ..AUDIO };

/// Opus: Encapsulation of Opus in ISO Base Media File Format §4.3.
pub(super) static OPUS: Codec = Codec { name: "Opus", sample_entries: &[FourCc(*b"Opus")], ..AUDIO };

/// FLAC: Encapsulation of FLAC in ISO Base Media File Format §3.3.
pub(super) static FLAC: Codec = Codec { name: "FLAC", sample_entries: &[FourCc(*b"fLaC")], ..AUDIO };

/// Apple Lossless Audio Codec.
pub(super) static ALAC: Codec = Codec { name: "ALAC", sample_entries: &[FourCc(*b"alac")], ..AUDIO };

/// DTS, DTS-HD and DTS-UHD: ETSI TS 102 114 §E.3, ETSI TS 103 491 §B.3.
pub(super) static DTS: Codec = Codec {
    name: "DTS",
    sample_entries: &[
        FourCc(*b"dtsc"),
        FourCc(*b"dtsh"),
        FourCc(*b"dtsl"),
        FourCc(*b"dtse"),
        FourCc(*b"dtsx"),
    ],
    ..AUDIO
};

/// MP3 in an entry of its own, as QuickTime files have it; in `mp4a` it is a row with the rest of MPEG audio.
pub(super) static MP3: Codec =
    Codec { name: "MP3", sample_entries: &[FourCc(*b".mp3")], rfc6381: mp3, ..AUDIO };

/// RFC 6381 §3.3: the first element is the sample entry's type, which says enough.
fn entry_alone(config: &Config<'_>) -> Result<String> {
    Ok(config.entry.to_string())
}

/// The entry's type has the separator of RFC 6381 in it, so that the name of the same audio in `mp4a` is used:
/// objectTypeIndication 0x6B of ISO/IEC 14496-1, which players take for either MPEG-1 or MPEG-2 layer III.
fn mp3(_: &Config<'_>) -> Result<String> {
    Ok("mp4a.6B".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::find;

    fn codecs(entry: [u8; 4]) -> String {
        let entry = FourCc(entry);
        (find(entry).unwrap().rfc6381)(&Config { entry, boxes: Vec::new() }).unwrap()
    }

    #[test]
    fn the_codecs_parameter_is_the_entry_unless_that_has_a_dot() {
        for entry in
            [b"ac-3", b"ec-3", b"Opus", b"fLaC", b"alac", b"dtsc", b"dtsh", b"dtsl", b"dtse", b"dtsx"]
        {
            assert_eq!(codecs(*entry).as_bytes(), entry);
        }
        assert_eq!(codecs(*b".mp3"), "mp4a.6B");
    }
}
