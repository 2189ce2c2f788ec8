//! Tracks of the input and what protects them — ISO/IEC 14496-12 §8.3, ISO/IEC 23001-7.

use std::collections::HashSet;
use std::sync::Arc;

use crate::base::{Error, FourCc, Result};
use crate::codec::{
    self, AudioInfo, AudioService, CipherModes, Codec, ColorInfo, Config, Protection, Ranges, TrackKind,
    VideoInfo,
};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::SampleEntry;
use crate::isobmff::track::{Track, tracks};
use crate::protect::{FragmentEncryptor, IvTrack, Mode, TrackProtection, protect_moov, refuse_protected};

use super::key_change::{keep_clear_entries, place_group, set_description};
use crate::package::elsewhere::refuse_elsewhere;
use crate::package::plan::Plan;
use crate::package::plan::assignment::TrackId;
use crate::package::plan::schedule::{Period, Schedule, SegmentKey};

/// A track that has samples for a player.
#[derive(Clone)]
pub struct MediaTrack {
    /// What `moov` says.
    pub track: Track,
    /// Its codec; `None` for a track that is no video or audio and is never protected.
    pub codec: Option<&'static Codec>,
    /// What its configuration says of audio; of several the one with the most channels.
    audio: AudioInfo,
    /// Transfer characteristics that a message in the first sample prefers.
    preferred_transfer: Option<u32>,
}

/// Reads the tracks of `moov`.
///
/// # Errors
/// When a video or audio track is protected already or its codec is not in the table: it could only be
/// passed on unprotected, which is never done.
pub fn media_tracks(moov: &BoxNode) -> Result<Vec<MediaTrack>> {
    media_tracks_with(moov, UnknownVideo::Refused)
}

/// What becomes of a picture track whose codec is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownVideo {
    /// It is an error.
    Refused,
    /// Its samples are protected whole.
    FullSample,
}

/// As [`media_tracks`], with a say in what becomes of video of an unknown codec.
///
/// # Errors
/// As [`media_tracks`].
pub fn media_tracks_with(moov: &BoxNode, unknown: UnknownVideo) -> Result<Vec<MediaTrack>> {
    refuse_auxiliary(moov)?;
    let (tracks, mut known) = (tracks(moov)?, HashSet::new());
    if let Some(twice) = tracks.iter().find(|track| !known.insert(track.track_id)) {
        return Err(Error::input(format!("two tracks with track_ID {}", twice.track_id))
            .clause("ISO/IEC 14496-12 §8.3.2")
            .at("moov/trak"));
    }
    for trak in moov.all(b"trak") {
        refuse_elsewhere(trak).map_err(|error| error.at("moov/trak/mdia/minf"))?;
    }
    tracks.into_iter().map(|track| MediaTrack::new(track, unknown)).collect()
}

/// Refuses what only protected samples have: beside ours it would be taken for ours.
fn refuse_auxiliary(moov: &BoxNode) -> Result<()> {
    let traks = || moov.all(b"trak");
    let tables = traks().filter_map(|trak| trak.find(&[b"mdia", b"minf", b"stbl"]));
    let mut all = [moov].into_iter().chain(traks()).chain(tables);
    all.try_for_each(|parent| refuse_protected(parent).map_err(|error| error.at("moov")))
}

/// The ids of the tracks that are never protected: text and metadata.
pub fn clear_tracks(tracks: &[MediaTrack]) -> Vec<u32> {
    tracks.iter().filter(|media| !media.is_protectable()).map(|media| media.track.track_id).collect()
}

impl MediaTrack {
    fn new(track: Track, unknown: UnknownVideo) -> Result<Self> {
        let entry = track.sample_entry()?;
        let codec = codec::find(entry.format);
        let is_taken_whole = codec.is_none()
            && unknown == UnknownVideo::FullSample
            && &track.handler_type.0 == b"vide"
            && entry.find(b"sinf").is_none();
        if is_taken_whole {
            return Ok(Self {
                track,
                codec: Some(&codec::UNKNOWN_VIDEO),
                audio: AudioInfo::default(),
                preferred_transfer: None,
            });
        }
        if codec.is_none() && matches!(&track.handler_type.0, b"vide" | b"soun") {
            let error = if entry.find(b"sinf").is_some() {
                Error::input(format!("track {} is encrypted already", track.track_id))
                    .hint("give the clear input, or decrypt it first with drm-pack decrypt")
            } else {
                Error::unsupported(format!("track {} has the sample entry {}", track.track_id, entry.format))
                    .hint("supported are the codecs of `drm_pack::codec::ALL`; a picture track of an MP4 input is protected whole with --allow-full-sample")
            };
            return Err(error.at("moov/trak/stsd"));
        }
        if codec.is_some_and(|codec| matches!(codec.protection, Protection::Never))
            && matches!(&track.handler_type.0, b"vide" | b"soun")
        {
            return Err(Error::input(format!(
                "track {} has the handler {} of video or audio and the sample entry {} of text: it would stay clear",
                track.track_id, track.handler_type, entry.format
            ))
            .clause("ISO/IEC 14496-12 §8.4.3, §12.5")
            .at("moov/trak/stsd"));
        }
        let mut audio = AudioInfo::default();
        if let Some(codec) = codec {
            let is_other = |other: &&SampleEntry| !codec.sample_entries.contains(&other.format);
            if let Some(other) = track.sample_entries.iter().find(is_other) {
                return Err(Error::unsupported(format!(
                    "track {} has samples of {} and of {}: one key is for one codec",
                    track.track_id, entry.format, other.format
                ))
                .at("moov/trak/stsd")
                .hint("make a track of each"));
            }
            for entry in &track.sample_entries {
                let facts = (codec.audio)(&config(entry)).map_err(|error| error.at("moov/trak/stsd"))?;
                audio = if facts.channels > audio.channels { facts } else { audio };
            }
        }
        Ok(Self { track, codec, audio, preferred_transfer: None })
    }

    /// The channels of audio: its configuration knows them, and where that is silent the sample entry may.
    pub fn channels(&self) -> Option<u16> {
        let stated = self.track.sample_entries.iter().map(|entry| entry.channel_count).max();
        self.audio.channels.or_else(|| stated.filter(|channels| *channels > 0))
    }

    /// `ChannelConfiguration` of ISO/IEC 23091-3: that of the layout, or else the usual one of so many channels; `None`
    /// of a layout that has none.
    pub fn channel_configuration(&self) -> Option<u32> {
        match self.audio.configuration {
            Some(index) => Some(index).filter(|index| *index > 0),
            None => self.channels().and_then(codec::configuration_of_channels),
        }
    }

    /// Whether the configuration of audio tells its channels.
    pub fn tells_channels(&self) -> bool {
        self.audio.channels.is_some()
    }

    /// How many bytes of the first sample say what is not known yet.
    pub fn asks_for(&self) -> usize {
        match self.kind() {
            Some(TrackKind::Audio) if !self.tells_channels() => codec::FIRST_FRAME_BYTES,
            Some(TrackKind::Video) if self.has_messages() => codec::MESSAGE_BYTES,
            _ => 0,
        }
    }

    fn has_messages(&self) -> bool {
        let boxes = self.track.sample_entries.iter().flat_map(|entry| &entry.boxes);
        boxes.into_iter().any(|node| node.is(b"avcC") || node.is(b"hvcC"))
    }

    /// Takes what the first sample says, where the configuration of audio is silent, and what messages in it say of
    /// color.
    pub fn take_in(&mut self, sample: &[u8]) {
        if self.kind() == Some(TrackKind::Video) {
            let mut entries = self.track.sample_entries.iter();
            self.preferred_transfer =
                entries.next().and_then(|entry| codec::transfer_of_messages(&config(entry), sample));
        } else if !self.tells_channels() {
            self.audio = codec::first_frame(sample);
        }
    }

    /// Objects of audio beside its channels.
    pub fn joint_objects(&self) -> Option<u8> {
        self.audio.joint_objects
    }

    /// What audio is for, where its configuration says that it is not the main thing.
    pub fn service(&self) -> Option<AudioService> {
        self.audio.service
    }

    /// Samples of audio in a second.
    pub fn sampling_frequency(&self) -> Option<u32> {
        let stated = self.track.sample_entries.first().map(|entry| entry.sample_rate);
        self.audio.sampling_frequency.or_else(|| stated.filter(|frequency| *frequency > 0))
    }

    /// Dynamic range and color gamut, which all sample entries have.
    pub fn color(&self) -> ColorInfo {
        self.infos().map(|info| info.color_info()).reduce(ColorInfo::and).unwrap_or_default()
    }

    /// What its sample entries say of pictures, when all say the same.
    pub fn video(&self) -> VideoInfo {
        self.infos()
            .reduce(|one, other| if one == other { one } else { VideoInfo::default() })
            .unwrap_or_default()
    }

    /// What each sample entry says of pictures, and messages of color.
    fn infos(&self) -> impl Iterator<Item = VideoInfo> {
        self.track.sample_entries.iter().map(|entry| {
            let mut info = codec::video(&config(entry));
            info.prefer(self.preferred_transfer);
            info
        })
    }

    /// Width × height of the largest pictures.
    pub fn pixels(&self) -> Option<u32> {
        let sizes =
            self.track.sample_entries.iter().map(|entry| u32::from(entry.width) * u32::from(entry.height));
        sizes.max().filter(|pixels| *pixels > 0)
    }

    /// What it carries; `None` when it is nothing that a player shows.
    pub fn kind(&self) -> Option<TrackKind> {
        self.codec.map(|codec| codec.kind)
    }

    /// Whether its samples are to be protected.
    pub fn is_protectable(&self) -> bool {
        self.codec.is_some_and(|codec| !matches!(codec.protection, Protection::Never))
    }

    /// Whether its codec is not known and its samples are protected whole.
    pub fn is_of_unknown_codec(&self) -> bool {
        self.codec.is_some_and(|codec| codec.sample_entries.is_empty())
    }

    /// The `codecs` parameter: RFC 6381.
    ///
    /// # Errors
    /// When its configuration box is missing or cut off.
    pub fn rfc6381(&self) -> Result<String> {
        let entry = self.track.sample_entry()?;
        let codec = self.codec.ok_or_else(|| Error::unsupported(format!("no codec for {}", entry.format)))?;
        (codec.rfc6381)(&config(entry))
    }
}

/// A track with its keys.
#[derive(Clone)]
pub struct ProtectedTrack {
    /// `track_ID` in the file.
    pub track_id: u32,
    /// Its sample entries as they were before protection.
    pub sample_entries: Vec<SampleEntry>,
    /// Its codec.
    pub codec: &'static Codec,
    /// Its key, scheme and IVs; of the first crypto period when keys change.
    pub protection: Arc<TrackProtection>,
    /// The crypto periods after the first.
    pub later: Vec<CryptoPeriod>,
    /// Clear lead and crypto periods.
    pub schedule: Schedule,
    /// Ticks per second of the media.
    pub timescale: u32,
    /// The decode time of the first sample, in ticks of the media.
    pub start: u64,
    /// How much later than the presentation the track begins, in ticks of the media.
    pub late: u64,
}

/// What protects the samples of a fragment, and the whole `pssh` boxes that its `moof` carries.
pub type PeriodKey<'a> = (&'a TrackProtection, &'a [Vec<u8>]);

/// A crypto period that is not the first.
#[derive(Clone, Debug)]
pub struct CryptoPeriod {
    /// The key, scheme and IVs.
    pub protection: Arc<TrackProtection>,
    /// Whole `pssh` boxes for each `moof`.
    pub pssh: Vec<Vec<u8>>,
}

impl ProtectedTrack {
    /// Protects a track of the input.
    ///
    /// # Errors
    /// When it is a track that is never protected.
    pub fn new(media: &MediaTrack, protection: Arc<TrackProtection>) -> Result<Self> {
        let codec = media.codec.filter(|_| media.is_protectable()).ok_or_else(|| {
            Error::unsupported(format!("track {} carries nothing that is protected", media.track.track_id))
        })?;
        let scheme = protection.scheme;
        if codec.cipher_modes == CipherModes::Counter && scheme.mode != Mode::Ctr {
            return Err(Error::unsupported(format!(
                "{} with the protection scheme {}",
                codec.name, scheme.name
            ))
            .clause("VP Codec ISO Media File Format Binding, Common Encryption")
            .hint("take cenc, or leave it out"));
        }
        Ok(Self {
            track_id: media.track.track_id,
            sample_entries: media.track.sample_entries.clone(),
            codec,
            protection,
            later: Vec::new(),
            schedule: Schedule::default(),
            timescale: media.track.timescale,
            start: 0,
            late: 0,
        })
    }

    /// Protects a track of the input as planned.
    ///
    /// # Errors
    /// As [`ProtectedTrack::new`], and when the plan has no such track.
    pub fn planned(media: &MediaTrack, plan: &Plan, id: TrackId) -> Result<Self> {
        let mut track = Self::new(media, Arc::new(plan.protection(Period::FIRST, id)?))?;
        track.schedule = plan.schedule.clone();
        for period in plan.periods().skip(1) {
            track.later.push(CryptoPeriod {
                protection: Arc::new(plan.protection(period, id)?),
                pssh: plan.pssh(period, &[id])?,
            });
        }
        Ok(track)
    }

    /// What protects the segment of this number, whose first sample has this decode time.
    pub fn segment_key(&self, segment: u32, decode_time: u64) -> SegmentKey {
        self.schedule.segment_key(segment, self.elapsed(decode_time), self.timescale)
    }

    /// How long after the begin of the presentation a decode time is, in ticks of the media.
    pub fn elapsed(&self, decode_time: u64) -> u64 {
        decode_time.saturating_sub(self.start).saturating_add(self.late)
    }

    /// The key of a segment and the `pssh` boxes that its fragments carry; `None` when it is clear.
    ///
    /// # Errors
    /// When there are fewer crypto periods.
    pub fn protection_in(&self, segment_key: SegmentKey) -> Result<Option<PeriodKey<'_>>> {
        segment_key.check_key()?;
        match segment_key {
            SegmentKey::Clear => Ok(None),
            SegmentKey::Period(Period::FIRST) => Ok(Some((&self.protection, &[]))),
            SegmentKey::Period(period) => {
                let later = period.among_later().and_then(|place| self.later.get(place));
                let later = later.ok_or_else(|| {
                    Error::keys(format!(
                        "no key for crypto period {period}, there are {}",
                        self.later.len() + 1
                    ))
                })?;
                Ok(Some((&later.protection, &later.pssh)))
            }
        }
    }

    /// Protects the sample entries of the track that has this id in `moov`. With clear stretches they are there
    /// a second time, clear, behind the protected ones.
    ///
    /// # Errors
    /// When the track is missing or protected already.
    pub fn protect_entries(&self, moov: &mut BoxNode, track_id: u32) -> Result<()> {
        protect_moov(moov, track_id, &self.protection)?;
        if self.schedule.has_clear() {
            keep_clear_entries(moov, track_id, &self.sample_entries)?;
        }
        Ok(())
    }

    /// Says in a `traf` what protects its samples, as far as it is not what the init segment says;
    /// `sample_description_index` is that of the input.
    ///
    /// # Errors
    /// When a box is missing, or there is no such crypto period.
    pub fn describe(
        &self,
        traf: &mut BoxNode,
        segment_key: SegmentKey,
        sample_description_index: u32,
        samples: usize,
    ) -> Result<()> {
        if self.schedule.has_clear() {
            let copies = if segment_key == SegmentKey::Clear { self.sample_entries.len() } else { 0 };
            let index = u32::try_from(copies).ok().and_then(|n| sample_description_index.checked_add(n));
            let index = index.ok_or_else(|| Error::unsupported("too many sample entries"))?;
            set_description(traf, index)?;
        }
        match self.protection_in(segment_key)? {
            Some((protection, _)) if segment_key != SegmentKey::Period(Period::FIRST) => {
                place_group(traf, &protection.tenc(), samples)
            }
            _ => Ok(()),
        }
    }

    /// What encrypts fragments under this segment key whose samples have this `sample_description_index`, from 1; `None` when
    /// they stay clear.
    ///
    /// # Errors
    /// As [`ProtectedTrack::protection_in`] and [`ProtectedTrack::parser`].
    pub fn encryptor(
        &self,
        segment_key: SegmentKey,
        sample_description_index: u32,
    ) -> Result<Option<FragmentEncryptor<'_>>> {
        let Some((protection, _)) = self.protection_in(segment_key)? else { return Ok(None) };
        let entry = self.sample_entry(sample_description_index)?;
        let track = IvTrack {
            kind: self.codec.kind,
            timescale: self.timescale,
            sample_entry: entry.write().to_bytes(),
        };
        let parser = self.parser(sample_description_index)?;
        Ok(Some(FragmentEncryptor::new(protection, &track, parser)))
    }

    fn sample_entry(&self, sample_description_index: u32) -> Result<&SampleEntry> {
        let index = (sample_description_index as usize).checked_sub(1);
        index.and_then(|index| self.sample_entries.get(index)).ok_or_else(|| {
            Error::input(format!(
                "sample_description_index {sample_description_index}, there are {} sample entries",
                self.sample_entries.len()
            ))
            .clause("ISO/IEC 14496-12 §8.5.2")
        })
    }

    /// A parser for samples of this `sample_description_index`, from 1; `None` when whole samples are protected.
    ///
    /// # Errors
    /// When there is no such sample entry or its codec configuration is wrong.
    pub fn parser(&self, sample_description_index: u32) -> Result<Option<Box<dyn Ranges>>> {
        let entry = self.sample_entry(sample_description_index)?;
        let is_known = codec::find(entry.format).is_some();
        let is_of_codec = self.codec.sample_entries.contains(&entry.format)
            || (self.codec.sample_entries.is_empty() && !is_known);
        if !is_of_codec {
            return Err(Error::unsupported(format!(
                "sample entries of {} and {} in one track",
                self.codec.name, entry.format
            )));
        }
        match self.codec.protection {
            Protection::Ranges(open) => {
                open(&config(entry)).map(Some).map_err(|error| error.at(entry.format))
            }
            _ => Ok(None),
        }
    }
}

fn config(entry: &SampleEntry) -> Config<'_> {
    let boxes: Vec<(FourCc, &[u8])> = entry.boxes.iter().map(|node| (node.kind, node.payload())).collect();
    Config { entry: entry.format, boxes }
}
