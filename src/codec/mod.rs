//! Codecs, one file each: which byte ranges of a sample may be protected — ISO/IEC 14496-15 and its kin.

mod aac;
mod ac4;
mod access_units;
mod adts;
mod audio;
mod audio_facts;
mod audio_specific_config;
mod av1;
mod avc;
mod bit_copy;
#[cfg(test)]
mod bit_writer;
pub mod byte_stream;
mod carried;
mod color;
mod config;
#[cfg(test)]
mod contract;
mod dolby_vision;
mod elementary;
mod evidence;
mod first_bytes;
mod first_frame;
mod hevc;
mod iamf;
pub mod jpeg;
mod key_pictures;
mod latm;
mod lossless;
mod marks;
mod mpegh;
mod nal;
mod opus;
pub mod quicktime;
mod ranges;
mod raw_data_block;
mod same;
mod sei;
mod slice_marks;
mod spectrum;
mod stream_marks;
mod syncframe;
mod text;
mod unknown;
mod video_info;
mod video_units;
mod vp9;
mod vui;
mod vvc;

pub use self::access_units::AccessUnits;
pub use self::audio_facts::{AudioInfo, AudioService, channels_of_descriptor, configuration_of_channels};
pub use self::carried::{Carried, Picture, SampleDescription};
pub use self::color::{ColorInfo, ColorNumbers};
pub use self::config::Config;
pub use self::dolby_vision::DolbyVision;
pub use self::dolby_vision::{over as dolby_vision_over, record_of_descriptor as dolby_vision_record};
pub use self::elementary::{AUDIO_FORMATS, AudioFrame, Elementary, StreamInfo, is_media_format};
pub use self::evidence::{Evidence, Verdict};
pub use self::first_frame::{FIRST_FRAME_BYTES, first_frame};
pub use self::key_pictures::{KeyPicture, KeyPictures};
pub use self::latm::Latm;
pub use self::marks::{Marks, OpenMarks, TrackMarks};
pub use self::same::is_same;
pub use self::sei::{MESSAGE_BYTES, transfer_of_messages};
pub use self::stream_marks::StreamMarks;
pub use self::video_info::{VideoInfo, video};
pub use self::video_units::{VideoUnit, VideoUnits};
pub use self::{
    ranges::Ranges, text::is_hls_subtitles, text::is_timed_text, text::is_webvtt, unknown::UNKNOWN_VIDEO,
};
use crate::base::{FourCc, Result};

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Audio.
    Audio,
    /// Subtitles and captions; never protected.
    Text,
}

/// How the samples of a codec are protected.
#[derive(Clone, Copy)]
pub enum Protection {
    /// Not at all: the track stays clear.
    Never,
    /// Every byte of a sample.
    WholeSample,
    /// The ranges that a parser finds.
    Ranges(fn(&Config<'_>) -> Result<Box<dyn Ranges>>),
}

/// The block cipher modes that the carriage of a codec allows: ISO/IEC 23001-7 §10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherModes {
    /// All of them.
    All,
    /// The counter mode only.
    Counter,
}

/// One codec.
pub struct Codec {
    /// Its name for people.
    pub name: &'static str,
    /// What it carries.
    pub kind: TrackKind,
    /// Types of its sample entries.
    pub sample_entries: &'static [FourCc],
    /// How its samples are protected.
    pub protection: Protection,
    /// What shows in decrypted samples whether the key is right.
    pub marks: OpenMarks,
    /// Which schemes it goes with.
    pub cipher_modes: CipherModes,
    /// The `codecs` parameter of a sample entry: RFC 6381.
    pub rfc6381: fn(&Config<'_>) -> Result<String>,
    /// What the configuration of audio says of channels and sampling frequency.
    pub audio: fn(&Config<'_>) -> Result<AudioInfo>,
}

/// Every codec that is known; adding one is a file and a line here.
pub static ALL: &[&Codec] = &[
    &avc::CODEC,
    &hevc::CODEC,
    &dolby_vision::HEVC,
    &dolby_vision::AVC,
    &dolby_vision::AV1,
    &av1::CODEC,
    &vp9::CODEC,
    &vp9::VP8,
    &vvc::CODEC,
    &aac::CODEC,
    &audio::AC_3,
    &audio::E_AC_3,
    &ac4::CODEC,
    &audio::OPUS,
    &audio::FLAC,
    &audio::ALAC,
    &audio::MP3,
    &audio::DTS,
    &mpegh::CODEC,
    &iamf::CODEC,
    &text::WEBVTT,
    &text::TTML,
    &text::TX3G,
    &text::SIMPLE_TEXT,
    &text::CEA_608,
    &text::CEA_708,
];

/// The codec of sample entries of type `entry` (of a protected entry: its original format).
pub fn find(entry: FourCc) -> Option<&'static Codec> {
    ALL.iter().copied().find(|codec| codec.sample_entries.contains(&entry))
}
