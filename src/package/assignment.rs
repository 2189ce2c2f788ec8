//! The assignment of keys to substreams — SPEKE 2.0, encryption contract.

use crate::base::{Error, Result};
use crate::codec::TrackKind;
use crate::cpix::{AudioFilter, VideoFilter};
use crate::keys::{Contract, Part, SidePreset};

/// How many keys a presentation has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// What the rules of a document of keys say; where there is none, one key for all substreams.
    #[default]
    Auto,
    /// One key for all substreams.
    Preset0,
    /// One key for each substream.
    Preset1,
}

/// One encrypted rendition: a track that gets a key. What is `None` is not known.
#[derive(Clone, Debug)]
pub struct Substream {
    /// Its id in the report, such as `v1`.
    pub id: String,
    /// What it carries.
    pub kind: TrackKind,
    /// Width × height of a picture.
    pub pixels: Option<u32>,
    /// Channels of a sound.
    pub channels: Option<u32>,
    /// Pictures in a second.
    pub frame_rate: Option<f64>,
    /// Bits in a second.
    pub bitrate: Option<u64>,
    /// What it is labeled with, besides its id.
    pub labels: Vec<String>,
}

impl Substream {
    /// A track of which nothing else is known.
    pub fn new(id: impl Into<String>, kind: TrackKind) -> Self {
        Self {
            id: id.into(),
            kind,
            pixels: None,
            channels: None,
            frame_rate: None,
            bitrate: None,
            labels: Vec::new(),
        }
    }
}

/// The rule by which substreams get keys.
#[derive(Clone, Copy, Debug)]
pub enum KeyRule {
    /// One key or one for each substream.
    Preset(Preset),
    /// Keys by picture size and channels.
    Contract(Contract),
}

/// What one key is for: the usage rule that asks for it.
#[derive(Clone, Debug)]
pub struct KeyPurpose {
    /// The id of the one substream under this key.
    pub id: Option<String>,
    /// `intendedTrackType`.
    pub track_type: String,
    /// `VideoFilter`, when pictures are under this key.
    pub video: Option<VideoFilter>,
    /// `AudioFilter`, when sound is under this key.
    pub audio: Option<AudioFilter>,
}

/// The keys that are wanted, and which of them each substream gets.
#[derive(Clone, Debug, Default)]
pub struct Assignment {
    /// The keys in the order of the request.
    pub keys: Vec<KeyPurpose>,
    /// The number of the key of each substream.
    pub key_of: Vec<usize>,
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

    /// Gives each substream its key.
    ///
    /// The keys of a contract are all there, also those that no substream of this presentation needs: the
    /// contract is what the key server knows. A kind of which there is no substream has none.
    ///
    /// # Errors
    /// When a contract bounds sizes and the size of a substream is not known.
    pub fn assign(self, substreams: &[Substream]) -> Result<Assignment> {
        match self {
            Self::Preset(Preset::Auto | Preset::Preset0) | Self::Contract(Contract::Shared) => {
                Ok(Assignment { keys: vec![shared_key(substreams)], key_of: vec![0; substreams.len()] })
            }
            Self::Preset(Preset::Preset1) => Ok(Assignment {
                keys: substreams.iter().map(|substream| own_key(substream, substreams)).collect(),
                key_of: (0..substreams.len()).collect(),
            }),
            Self::Contract(Contract::Apart { video, audio }) => {
                let mut assignment = Assignment { keys: Vec::new(), key_of: vec![0; substreams.len()] };
                assignment.add_side(TrackKind::Video, video, substreams)?;
                assignment.add_side(TrackKind::Audio, audio, substreams)?;
                Ok(assignment)
            }
        }
    }
}

impl Assignment {
    /// Adds the keys of one side.
    fn add_side(
        &mut self,
        kind: TrackKind,
        preset: Option<&'static SidePreset>,
        substreams: &[Substream],
    ) -> Result<()> {
        let preset = preset.filter(|_| substreams.iter().any(|substream| substream.kind == kind));
        let Some(preset) = preset else { return Ok(()) };
        let first = self.keys.len();
        self.keys.extend(preset.parts.iter().map(|part| part_key(kind, part)));
        for (slot, substream) in self.key_of.iter_mut().zip(substreams) {
            if substream.kind != kind {
                continue;
            }
            let size = if kind == TrackKind::Video { substream.pixels } else { substream.channels };
            let part = preset.parts.iter().position(|part| part.covers(size)).ok_or_else(|| {
                Error::unsupported(format!("the size is not known, {} needs it", preset.name))
                    .at(substream.id.clone())
            })?;
            *slot = first + part;
        }
        Ok(())
    }

    /// The substreams under a key.
    pub fn substreams_of<'a>(
        &'a self,
        key: usize,
        substreams: &'a [Substream],
    ) -> impl Iterator<Item = &'a Substream> {
        let is_under = move |(found, _): &(&usize, _)| **found == key;
        self.key_of.iter().zip(substreams).filter(is_under).map(|(_, substream)| substream)
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
fn shared_key(substreams: &[Substream]) -> KeyPurpose {
    let has = |kind| substreams.iter().any(|substream| substream.kind == kind);
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

/// A rule of its own for each substream, with a filter that says which it is.
fn own_key(substream: &Substream, all: &[Substream]) -> KeyPurpose {
    let number = all
        .iter()
        .filter(|other| other.kind == substream.kind)
        .position(|other| other.id == substream.id)
        .map_or(1, |index| index + 1);
    let is_video = substream.kind == TrackKind::Video;
    let (pixels, channels) = (substream.pixels, substream.channels);
    KeyPurpose {
        id: Some(substream.id.clone()),
        track_type: format!("{}_{number}", if is_video { "VIDEO" } else { "AUDIO" }),
        video: is_video.then_some(VideoFilter {
            min_pixels: pixels,
            max_pixels: pixels,
            ..VideoFilter::default()
        }),
        audio: (!is_video).then_some(AudioFilter { min_channels: channels, max_channels: channels }),
    }
}
