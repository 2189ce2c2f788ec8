//! The assignment of keys to encrypted tracks — SPEKE 2.0, encryption contract.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::{Error, Result};
use crate::codec::{ColorInfo, TrackKind};
use crate::cpix::{AudioFilter, VideoFilter};
use crate::keys::{Contract, Part, SidePreset};

use super::schedule::Period;

/// How many keys a presentation has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// What the rules of a document of keys say; where there is none, one key for all encrypted tracks.
    #[default]
    Auto,
    /// One key for all encrypted tracks.
    Preset0,
    /// One key for each encrypted track.
    Preset1,
}

/// Which track it is, by what it carries and its number among these, from 1: `v1`, `a2` in reports and key files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct TrackId {
    /// What it carries.
    pub kind: TrackKind,
    /// Its number.
    pub number: usize,
}

impl TrackId {
    /// The track of this kind and number.
    pub const fn new(kind: TrackKind, number: usize) -> Self {
        Self { kind, number }
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.kind {
            TrackKind::Video => 'v',
            TrackKind::Audio => 'a',
            TrackKind::Text => 't',
        };
        write!(f, "{letter}{}", self.number)
    }
}

/// One encrypted rendition: a track that gets a key. What is `None` is not known.
#[derive(Clone, Debug)]
pub struct EncryptedTrack {
    /// Which it is.
    pub id: TrackId,
    /// Width × height of a picture.
    pub pixels: Option<u32>,
    /// Channels of audio.
    pub channels: Option<u32>,
    /// Pictures in a second.
    pub frame_rate: Option<f64>,
    /// Dynamic range and color gamut of a picture.
    pub color: ColorInfo,
    /// Bits in a second.
    pub bitrate: Option<u64>,
    /// What it is labeled with, besides its id.
    pub labels: Vec<String>,
}

impl EncryptedTrack {
    /// A track of which nothing else is known.
    pub fn new(id: TrackId) -> Self {
        Self {
            id,
            pixels: None,
            channels: None,
            frame_rate: None,
            color: ColorInfo::default(),
            bitrate: None,
            labels: Vec::new(),
        }
    }
}

/// The rule by which encrypted tracks get keys.
#[derive(Clone, Copy, Debug)]
pub enum KeyRule {
    /// One key or one for each encrypted track.
    Preset(Preset),
    /// Keys by picture size and channels.
    Contract(Contract),
}

/// What one key is for: the usage rule that asks for it.
#[derive(Clone, Debug)]
pub struct KeyPurpose {
    /// The id of the one encrypted track under this key.
    pub id: Option<String>,
    /// `intendedTrackType`.
    pub track_type: String,
    /// `VideoFilter`, when video is under this key.
    pub video: Option<VideoFilter>,
    /// `AudioFilter`, when audio is under this key.
    pub audio: Option<AudioFilter>,
}

/// Which of the keys of an assignment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurposeId(usize);

/// The keys that are wanted, and which of them each encrypted track gets.
#[derive(Clone, Debug, Default)]
pub struct Assignment {
    keys: Vec<KeyPurpose>,
    key_of: BTreeMap<TrackId, PurposeId>,
}

impl KeyRule {
    /// Whether tracks of this kind are to be protected.
    pub fn protects(self, kind: TrackKind) -> bool {
        match (self, kind) {
            (Self::Contract(Contract::Apart { video, .. }), TrackKind::Video) => video.is_some(),
            (Self::Contract(Contract::Apart { audio, .. }), TrackKind::Audio) => audio.is_some(),
            _ => true,
        }
    }

    /// Gives each encrypted track its key.
    ///
    /// The keys of a contract are all there, also those that no encrypted track of this presentation needs: the
    /// contract is what the key server knows. A kind of which there is no encrypted track has none.
    ///
    /// # Errors
    /// When a contract bounds sizes and the size of an encrypted track is not known.
    pub fn assign(self, encrypted_tracks: &[EncryptedTrack]) -> Result<Assignment> {
        match self {
            Self::Preset(Preset::Auto | Preset::Preset0) | Self::Contract(Contract::Shared) => {
                let mut assignment = Assignment::default();
                let key = assignment.add(shared_key(encrypted_tracks));
                encrypted_tracks.iter().for_each(|encrypted_track| assignment.give(encrypted_track.id, key));
                Ok(assignment)
            }
            Self::Preset(Preset::Preset1) => {
                let mut assignment = Assignment::default();
                for encrypted_track in encrypted_tracks {
                    let key = assignment.add(own_key(encrypted_track, encrypted_tracks));
                    assignment.give(encrypted_track.id, key);
                }
                Ok(assignment)
            }
            Self::Contract(Contract::Apart { video, audio }) => {
                let mut assignment = Assignment::default();
                assignment.add_side(TrackKind::Video, video, encrypted_tracks)?;
                assignment.add_side(TrackKind::Audio, audio, encrypted_tracks)?;
                Ok(assignment)
            }
        }
    }
}

impl Assignment {
    /// Adds a key.
    pub(in crate::package) fn add(&mut self, key: KeyPurpose) -> PurposeId {
        self.keys.push(key);
        PurposeId(self.keys.len() - 1)
    }

    /// Gives a track its key.
    pub(in crate::package) fn give(&mut self, track: TrackId, key: PurposeId) {
        self.key_of.insert(track, key);
    }

    /// How many keys there are, in each crypto period.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// The keys in the order of the request.
    pub fn keys(&self) -> impl Iterator<Item = (PurposeId, &KeyPurpose)> {
        self.keys.iter().enumerate().map(|(number, key)| (PurposeId(number), key))
    }

    /// The keys of so many crypto periods in the order of the request: those of one period stand together.
    pub fn of_periods(&self, count: usize) -> impl Iterator<Item = (Period, PurposeId, &KeyPurpose)> {
        Period::all(count).flat_map(|period| self.keys().map(move |(id, key)| (period, id, key)))
    }

    /// The tracks and their keys.
    pub fn tracks(&self) -> impl Iterator<Item = (TrackId, PurposeId)> {
        self.key_of.iter().map(|(track, key)| (*track, *key))
    }

    /// The key of a track.
    ///
    /// # Errors
    /// When it has none: it is not one of those that were assigned.
    pub fn key_of(&self, track: TrackId) -> Result<PurposeId> {
        let key = self.key_of.get(&track).copied();
        key.ok_or_else(|| Error::internal(format!("no key is assigned to track {track}")))
    }

    /// Adds the keys of one side.
    fn add_side(
        &mut self,
        kind: TrackKind,
        preset: Option<&'static SidePreset>,
        encrypted_tracks: &[EncryptedTrack],
    ) -> Result<()> {
        let of_kind = || encrypted_tracks.iter().filter(|encrypted_track| encrypted_track.id.kind == kind);
        let Some(preset) = preset.filter(|_| of_kind().next().is_some()) else { return Ok(()) };
        let keys: Vec<_> = preset.parts.iter().map(|part| (part, self.add(part_key(kind, part)))).collect();
        for encrypted_track in of_kind() {
            let size =
                if kind == TrackKind::Video { encrypted_track.pixels } else { encrypted_track.channels };
            let (_, key) = keys.iter().find(|(part, _)| part.covers(size)).ok_or_else(|| {
                Error::unsupported(format!("the size is not known, {} needs it", preset.name))
                    .at(encrypted_track.id)
            })?;
            self.give(encrypted_track.id, *key);
        }
        Ok(())
    }

    /// The encrypted tracks under a key.
    pub fn substreams_of<'a>(
        &'a self,
        key: PurposeId,
        encrypted_tracks: &'a [EncryptedTrack],
    ) -> impl Iterator<Item = &'a EncryptedTrack> {
        encrypted_tracks
            .iter()
            .filter(move |encrypted_track| self.key_of.get(&encrypted_track.id) == Some(&key))
    }
}

/// A key of a contract.
fn part_key(kind: TrackKind, part: &Part) -> KeyPurpose {
    let is_video = kind == TrackKind::Video;
    KeyPurpose {
        id: None,
        track_type: part.track_type.to_owned(),
        video: is_video.then_some(VideoFilter {
            min_pixels: part.min,
            max_pixels: part.max,
            ..VideoFilter::default()
        }),
        audio: (!is_video).then_some(AudioFilter { min_channels: part.min, max_channels: part.max }),
    }
}

/// SPEKE 2.0: `ALL` has one bare filter of each kind; with one kind alone it is that kind's word.
fn shared_key(encrypted_tracks: &[EncryptedTrack]) -> KeyPurpose {
    let has = |kind| encrypted_tracks.iter().any(|encrypted_track| encrypted_track.id.kind == kind);
    let (video, audio) = (has(TrackKind::Video), has(TrackKind::Audio));
    let track_type = match (video, audio) {
        (true, false) => "VIDEO",
        (false, true) => "AUDIO",
        _ => "ALL",
    };
    KeyPurpose {
        id: None,
        track_type: track_type.to_owned(),
        video: video.then(VideoFilter::default),
        audio: audio.then(AudioFilter::default),
    }
}

/// A rule of its own for each encrypted track, with a filter that says which it is.
fn own_key(encrypted_track: &EncryptedTrack, all: &[EncryptedTrack]) -> KeyPurpose {
    let number = all
        .iter()
        .filter(|other| other.id.kind == encrypted_track.id.kind)
        .position(|other| other.id == encrypted_track.id)
        .map_or(1, |index| index + 1);
    let is_video = encrypted_track.id.kind == TrackKind::Video;
    let (pixels, channels) = (encrypted_track.pixels, encrypted_track.channels);
    KeyPurpose {
        id: Some(encrypted_track.id.to_string()),
        track_type: format!("{}_{number}", if is_video { "VIDEO" } else { "AUDIO" }),
        video: is_video.then_some(VideoFilter {
            min_pixels: pixels,
            max_pixels: pixels,
            ..VideoFilter::default()
        }),
        audio: (!is_video).then_some(AudioFilter { min_channels: channels, max_channels: channels }),
    }
}
