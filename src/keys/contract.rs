//! Encryption contracts — SPEKE 2.0: which content keys a presentation has, by picture size and channels.

use crate::base::{Error, Result};

/// One content key of a contract; bounds are inclusive, absent ones do not bound.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// `intendedTrackType`.
    pub track_type: &'static str,
    /// Least pixels of a picture, or channels of a sound.
    pub min: Option<u32>,
    /// Most pixels of a picture, or channels of a sound.
    pub max: Option<u32>,
}

/// What one side of a presentation, its pictures or its sound, has for keys.
#[derive(Debug, PartialEq, Eq)]
pub struct SidePreset {
    /// Its name, with `-`.
    pub name: &'static str,
    /// Its keys; a track gets the one that covers it.
    pub parts: &'static [Part],
}

/// What both sides have for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// One key for pictures and sound.
    Shared,
    /// Keys for each side; `None` leaves it clear.
    Apart {
        /// The pictures.
        video: Option<&'static SidePreset>,
        /// The sound.
        audio: Option<&'static SidePreset>,
    },
}

/// 1024 × 576.
const SD: u32 = 589_824;
/// 1280 × 720.
const HD1: u32 = 921_600;
/// 1920 × 1080.
const HD2: u32 = 2_073_600;
/// 4096 × 2160.
const UHD1: u32 = 8_847_360;

const SHARED: &str = "SHARED";
const UNENCRYPTED: &str = "UNENCRYPTED";

const fn all(track_type: &'static str) -> Part {
    Part { track_type, min: None, max: None }
}

const fn up_to(track_type: &'static str, max: u32) -> Part {
    Part { track_type, min: None, max: Some(max) }
}

const fn over(track_type: &'static str, limit: u32) -> Part {
    Part { track_type, min: Some(limit + 1), max: None }
}

const fn between(track_type: &'static str, limit: u32, max: u32) -> Part {
    Part { track_type, min: Some(limit + 1), max: Some(max) }
}

/// Keys for pictures, by width × height.
pub const VIDEO_PRESETS: &[SidePreset] = &[
    SidePreset { name: "PRESET-VIDEO-1", parts: &[all("VIDEO")] },
    SidePreset { name: "PRESET-VIDEO-2", parts: &[up_to("SD", SD), over("HD", SD)] },
    SidePreset {
        name: "PRESET-VIDEO-3",
        parts: &[up_to("SD", SD), between("HD", SD, HD2), over("UHD", HD2)],
    },
    SidePreset {
        name: "PRESET-VIDEO-4",
        parts: &[up_to("SD", SD), between("HD", SD, HD2), between("UHD1", HD2, UHD1), over("UHD2", UHD1)],
    },
    SidePreset {
        name: "PRESET-VIDEO-5",
        parts: &[
            up_to("SD", SD),
            between("HD1", SD, HD1),
            between("HD2", HD1, HD2),
            between("UHD1", HD2, UHD1),
            over("UHD2", UHD1),
        ],
    },
    SidePreset {
        name: "PRESET-VIDEO-6",
        parts: &[up_to("SD", SD), between("HD1", SD, HD1), between("HD2", HD1, HD2), over("UHD", HD2)],
    },
    SidePreset {
        name: "PRESET-VIDEO-7",
        parts: &[up_to("SD+HD1", HD1), between("HD2", HD1, HD2), over("UHD", HD2)],
    },
    SidePreset {
        name: "PRESET-VIDEO-8",
        parts: &[
            up_to("SD+HD1", HD1),
            between("HD2", HD1, HD2),
            between("UHD1", HD2, UHD1),
            over("UHD2", UHD1),
        ],
    },
];

/// Keys for sound, by channels.
pub const AUDIO_PRESETS: &[SidePreset] = &[
    SidePreset { name: "PRESET-AUDIO-1", parts: &[all("AUDIO")] },
    SidePreset { name: "PRESET-AUDIO-2", parts: &[up_to("STEREO_AUDIO", 2), over("MULTICHANNEL_AUDIO", 2)] },
    SidePreset {
        name: "PRESET-AUDIO-3",
        parts: &[
            up_to("STEREO_AUDIO", 2),
            between("MULTICHANNEL_AUDIO_3_6", 2, 6),
            over("MULTICHANNEL_AUDIO_7", 6),
        ],
    },
];

impl Part {
    /// Whether a track of this size is under this key. One of unknown size is only when there are no bounds.
    pub fn covers(&self, size: Option<u32>) -> bool {
        match size {
            Some(size) => self.min.is_none_or(|min| size >= min) && self.max.is_none_or(|max| size <= max),
            None => self.min.is_none() && self.max.is_none(),
        }
    }
}

/// The name as the tables have it: upper case, with `-`.
fn plain(name: &str) -> String {
    name.trim().to_ascii_uppercase().replace('_', "-")
}

/// The preset of a side; `None` for `UNENCRYPTED`.
fn side(option: &str, name: &str, presets: &'static [SidePreset]) -> Result<Option<&'static SidePreset>> {
    let wanted = plain(name);
    if wanted == UNENCRYPTED {
        return Ok(None);
    }
    presets.iter().find(|preset| preset.name == wanted).map(Some).ok_or_else(|| {
        let known: Vec<_> = presets.iter().map(|preset| preset.name).collect();
        Error::usage(format!(
            "{option} preset {name:?}, expected one of {}, {SHARED}, {UNENCRYPTED}",
            known.join(", ")
        ))
        .clause("SPEKE 2.0, encryption contract")
    })
}

impl Contract {
    /// The contract of these presets, spelled with `-` or `_`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for an unknown name, `SHARED` on one side alone, and
    /// `UNENCRYPTED` on both.
    pub fn find(video: &str, audio: &str) -> Result<Self> {
        let clause = "SPEKE 2.0, encryption contract";
        match (plain(video) == SHARED, plain(audio) == SHARED) {
            (true, true) => return Ok(Self::Shared),
            (false, false) => {}
            _ => {
                return Err(Error::usage("one side is SHARED, the other is not")
                    .clause(clause)
                    .hint("give SHARED for both, video and audio"));
            }
        }
        let contract = Self::Apart {
            video: side("video", video, VIDEO_PRESETS)?,
            audio: side("audio", audio, AUDIO_PRESETS)?,
        };
        if contract == (Self::Apart { video: None, audio: None }) {
            return Err(Error::usage("video and audio are both UNENCRYPTED").clause(clause));
        }
        Ok(contract)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_exactly_one_key() {
        let sizes = [0, 1, 2, 3, 6, 7, 8, SD, SD + 1, HD1, HD1 + 1, HD2, HD2 + 1, UHD1, UHD1 + 1, u32::MAX];
        for preset in VIDEO_PRESETS.iter().chain(AUDIO_PRESETS) {
            for size in sizes {
                let count = preset.parts.iter().filter(|part| part.covers(Some(size))).count();
                assert_eq!(count, 1, "{} {size}", preset.name);
            }
        }
        assert!(VIDEO_PRESETS[0].parts[0].covers(None));
        assert!(!VIDEO_PRESETS[1].parts.iter().any(|part| part.covers(None)));
    }

    #[test]
    fn limits_are_those_of_the_contract() {
        let key = |preset: usize, width: u32, height: u32| {
            let parts = VIDEO_PRESETS[preset - 1].parts;
            parts.iter().find(|part| part.covers(Some(width * height))).unwrap().track_type
        };
        assert_eq!((key(2, 1024, 576), key(2, 1280, 720)), ("SD", "HD"));
        assert_eq!((key(3, 1920, 1080), key(3, 3840, 2160)), ("HD", "UHD"));
        assert_eq!((key(4, 4096, 2160), key(4, 7680, 4320)), ("UHD1", "UHD2"));
        assert_eq!((key(5, 1280, 720), key(5, 1920, 1080)), ("HD1", "HD2"));
        assert_eq!((key(7, 1280, 720), key(8, 640, 360)), ("SD+HD1", "SD+HD1"));
    }

    #[test]
    fn both_spellings_are_known() {
        let contract = Contract::find("PRESET-VIDEO-3", "PRESET-AUDIO-2").unwrap();
        assert_eq!(Contract::find("preset_video_3", "PRESET_AUDIO_2").unwrap(), contract);
        assert_eq!(Contract::find("SHARED", "shared").unwrap(), Contract::Shared);
    }

    #[test]
    fn contradictions_are_refused() {
        for (video, audio, text) in [
            ("SHARED", "PRESET-AUDIO-1", "the other is not"),
            ("UNENCRYPTED", "SHARED", "the other is not"),
            ("UNENCRYPTED", "UNENCRYPTED", "both UNENCRYPTED"),
            ("PRESET-VIDEO-9", "PRESET-AUDIO-1", "expected one of PRESET-VIDEO-1"),
            ("PRESET-VIDEO-1", "PRESET-VIDEO-1", "expected one of PRESET-AUDIO-1"),
        ] {
            let error = Contract::find(video, audio).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
