//! What `intendedTrackType` means: classes of video by size and of audio by channels — SPEKE 2.0, encryption contract.
//!
//! CPIX itself leaves the type to those who agree on it. Where a rule has no filter the type is all that there is, and
//! these are the bounds that vendors and packagers have for the names.

use super::document::ContentKeyUsageRule;

/// One content key of a contract; bounds are inclusive, absent ones do not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// `intendedTrackType`.
    pub track_type: &'static str,
    /// Least pixels of a picture, or channels of audio.
    pub min: Option<u32>,
    /// Most pixels of a picture, or channels of audio.
    pub max: Option<u32>,
}

/// What one side of a presentation, its video or its audio, has for keys.
#[derive(Debug, PartialEq, Eq)]
pub struct SidePreset {
    /// Its name, with `-`.
    pub name: &'static str,
    /// Its keys; a track gets the one that covers it.
    pub parts: &'static [Part],
}

/// 1024 × 576.
const SD: u32 = 589_824;
/// 1280 × 720.
const HD1: u32 = 921_600;
/// 1920 × 1080.
const HD2: u32 = 2_073_600;
/// 4096 × 2160.
const UHD1: u32 = 8_847_360;

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

/// Keys for video, by width × height.
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

/// Keys for audio, by channels.
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

impl SidePreset {
    /// The key of this type.
    pub fn part(&self, track_type: &str) -> Option<Part> {
        self.parts.iter().find(|part| part.track_type == track_type).copied()
    }
}

impl Part {
    /// Whether a track of this size is under this key. One of unknown size is only when there are no bounds.
    pub fn covers(&self, size: Option<u32>) -> bool {
        match size {
            Some(size) => self.min.is_none_or(|min| size >= min) && self.max.is_none_or(|max| size <= max),
            None => self.min.is_none() && self.max.is_none(),
        }
    }
}

const ALL: &str = "ALL";

/// Whether a type is one that is known.
pub fn is_track_type(name: &str) -> bool {
    Classes::of(&[]).class(name).is_some()
}

/// What tracks a type is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Every track.
    All,
    /// Pictures of these sizes.
    Video(Part),
    /// Audio of these numbers of channels.
    Audio(Part),
}

/// The classes of the types in some usage rules.
pub(super) struct Classes {
    video: Option<&'static SidePreset>,
    audio: Option<&'static SidePreset>,
}

impl Classes {
    /// Types together can be those of one preset, whose bounds count then: HD is all above SD where there is no UHD.
    pub(super) fn of(rules: &[ContentKeyUsageRule]) -> Self {
        let mut names: Vec<String> = Vec::new();
        for name in rules.iter().filter_map(|rule| rule.intended_track_type.as_deref()) {
            let name = name.to_ascii_uppercase();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let preset = |presets: &'static [SidePreset]| {
            let is_known = |name: &&String| presets.iter().any(|preset| preset.part(name).is_some());
            let ours: Vec<_> = names.iter().filter(is_known).collect();
            presets.iter().find(|preset| {
                preset.parts.len() == ours.len() && ours.iter().all(|name| preset.part(name).is_some())
            })
        };
        Self { video: preset(VIDEO_PRESETS), audio: preset(AUDIO_PRESETS) }
    }

    /// The class of a type; `None` when its name is not known.
    pub(super) fn class(&self, name: &str) -> Option<Class> {
        let name = name.to_ascii_uppercase();
        if name == ALL {
            return Some(Class::All);
        }
        let part = |preset: Option<&'static SidePreset>, presets: &'static [SidePreset]| {
            let own = preset.and_then(|preset| preset.part(&name));
            // Of several presets that have the name, the one with the narrowest bounds.
            let narrowest = || {
                let parts = presets.iter().filter_map(|preset| preset.part(&name));
                parts.min_by_key(|part| part.max.unwrap_or(u32::MAX) - part.min.unwrap_or(0))
            };
            own.or_else(narrowest)
        };
        let video = part(self.video, VIDEO_PRESETS).map(Class::Video);
        video.or_else(|| part(self.audio, AUDIO_PRESETS).map(Class::Audio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kid;

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
    fn names_together_are_a_preset_and_alone_the_narrowest_class() {
        let classes = |names: &[&str]| {
            let rule = |name: &&str| ContentKeyUsageRule {
                intended_track_type: Some((*name).to_owned()),
                ..ContentKeyUsageRule::new(Kid::new([0; 16]))
            };
            Classes::of(&names.iter().map(rule).collect::<Vec<_>>())
        };
        let bounds = |names: &[&str], name: &str| match classes(names).class(name) {
            Some(Class::Video(part) | Class::Audio(part)) => (part.min, part.max),
            other => panic!("{other:?}"),
        };
        assert_eq!(bounds(&["SD", "HD", "AUDIO"], "hd"), (Some(SD + 1), None));
        assert_eq!(bounds(&["SD", "HD", "UHD1"], "HD"), (Some(SD + 1), Some(HD2)));
        assert_eq!(bounds(&["HD"], "HD"), (Some(SD + 1), Some(HD2)));
        assert_eq!(bounds(&["STEREO_AUDIO", "MULTICHANNEL_AUDIO"], "MULTICHANNEL_AUDIO"), (Some(3), None));
        assert_eq!(bounds(&["AUDIO"], "AUDIO"), (None, None));
        assert_eq!(classes(&[]).class("All"), Some(Class::All));
        assert_eq!(classes(&["LOUNGE"]).class("LOUNGE"), None);
    }
}
