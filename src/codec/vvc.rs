//! VVC, which is refused — ISO/IEC 14496-15 §11.
//!
//! Slice headers of ITU-T H.266 §7.3.7 depend on picture headers, adaptation parameter sets and the layout of
//! subpictures, and no second parser is there that a slice data start could be checked with. A start that is one
//! byte off damages pictures on some players only, so that there is none rather than a guess.

use super::{CipherModes, Codec, Config, Protection, TrackKind, audio_facts};
use crate::base::{Error, FourCc};

/// VVC with parameter sets in `vvcC` (`vvc1`) or also in the samples (`vvi1`).
pub(super) static CODEC: Codec = Codec {
    name: "VVC",
    kind: TrackKind::Video,
    sample_entries: &[FourCc(*b"vvc1"), FourCc(*b"vvi1")],
    protection: Protection::Ranges(|config| Err(refusal(config))),
    marks: |_| None,
    cipher_modes: CipherModes::All,
    rfc6381: |config| Err(refusal(config)),
    audio: audio_facts::unknown,
};

fn refusal(config: &Config<'_>) -> Error {
    Error::unsupported(format!(
        "{}: where the slice data of VVC begins is not known, and its slice headers must stay clear",
        config.entry
    ))
    .clause("ISO/IEC 23001-7 §9.5.2")
    .hint("pack the AVC, HEVC or AV1 renditions without it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;

    #[test]
    fn every_sample_entry_is_refused_with_the_reason() {
        for entry in CODEC.sample_entries {
            let config = Config { entry: *entry, boxes: Vec::new() };
            let Protection::Ranges(open) = CODEC.protection else { panic!("no ranges") };
            for error in [open(&config).err().unwrap(), (CODEC.rfc6381)(&config).unwrap_err()] {
                assert!(error.to_string().contains("slice headers must stay clear"), "{error}");
                assert_eq!(error.kind(), Kind::Unsupported);
            }
        }
    }
}
