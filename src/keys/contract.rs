//! Encryption contracts — SPEKE 2.0: which content keys a presentation has, by picture size and channels.

use crate::base::{Error, Result};
pub use crate::cpix::track_types::{AUDIO_PRESETS, Part, SidePreset, VIDEO_PRESETS};

/// What both sides have for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// One key for video and audio.
    Shared,
    /// Keys for each side; `None` leaves it clear.
    Apart {
        /// The video.
        video: Option<&'static SidePreset>,
        /// The audio.
        audio: Option<&'static SidePreset>,
    },
}

const SHARED: &str = "SHARED";
const UNENCRYPTED: &str = "UNENCRYPTED";

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
