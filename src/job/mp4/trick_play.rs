//! Key frames alone, for going through the pictures fast: playlists of I-frames and trick-mode sets — RFC 8216bis
//! §4.4.3.6, §4.4.6.3; DASH-IF IOP, trick modes.

use crate::base::Result;
use crate::codec::TrackKind;
use crate::dash::write::{NewAddressing, NewRepresentation};
use crate::hls::Playlist;
use crate::hls::media::{self, Resource};
use crate::hls::multivariant::Variant;
use crate::package::{Plan, SegmentKey, TrackId};

use super::timed::Timed;

/// A key frame that is a fragment of its own, as manifests name it.
struct Picture {
    /// The file, and where it is there.
    resource: Resource,
    /// When it is presented, and how long it is until the next one is. In ticks of the media.
    start: u64,
    duration: u64,
    segment_key: Option<SegmentKey>,
}

impl Timed<'_> {
    /// Whether it has key frames that players can fetch alone.
    pub(in crate::job) fn has_pictures(&self) -> bool {
        self.track.id.kind == TrackKind::Video
            && self.segments.iter().any(|segment| !segment.key_frames.is_empty())
    }

    fn pictures(&self, manifest: &str) -> Vec<Picture> {
        let (_, segments) = self.resources(manifest);
        let mut pictures: Vec<Picture> = Vec::new();
        for (segment, resource) in self.segments.iter().zip(segments) {
            let before = resource.byte_range.as_ref().map_or(0, |range| range.start);
            for key_frame in &segment.key_frames {
                let range = key_frame.range.start + before..key_frame.range.end + before;
                pictures.push(Picture {
                    resource: Resource { uri: resource.uri.clone(), byte_range: Some(range) },
                    start: self.track.edits.time(key_frame.composition_time),
                    duration: 0,
                    segment_key: segment.segment_key,
                });
            }
        }
        let end = self.end().saturating_add(self.start);
        let ends: Vec<_> = pictures.iter().skip(1).map(|next| next.start).chain([end]).collect();
        for (picture, end) in pictures.iter_mut().zip(ends) {
            picture.duration = end.saturating_sub(picture.start);
        }
        pictures
    }

    /// The name of its playlist of I-frames.
    pub(in crate::job) fn i_frames_name(&self) -> String {
        self.track.names.i_frames()
    }

    /// Its playlist of I-frames: each until the next one is shown, the first from the begin of the presentation.
    pub(in crate::job) fn i_frames(&self, plan: &Plan, id: Option<TrackId>) -> Result<Playlist> {
        let name = self.i_frames_name();
        let (map, _) = self.resources(&name);
        let pictures = self.pictures(&name);
        let late = pictures.first().map_or(0, |first| first.start.saturating_sub(self.start));
        let late = std::iter::once(late).chain(std::iter::repeat(0));
        let segments = pictures.iter().zip(late).map(|(picture, late)| {
            (picture.resource.clone(), self.seconds(picture.duration.saturating_add(late)))
        });
        let mut playlist = media::write(&media::MediaPlaylist {
            map: Some(map),
            segments: segments.collect(),
            i_frames_only: true,
            independent_segments: true,
            ..media::MediaPlaylist::default()
        })?;
        if let Some(id) = id {
            let keys = pictures.iter().map(|picture| picture.segment_key);
            self.signal_keys(&mut playlist, plan, (id, keys))?;
        }
        Ok(playlist)
    }

    /// Its playlist of I-frames as a multivariant playlist names it, which has the other facts of the video.
    pub(in crate::job) fn i_frames_variant(&self, video: &Variant, codecs: String) -> Variant {
        let pictures = self.pictures("");
        let (bytes, duration) = pictures.iter().fold((0, 0), |(bytes, duration), picture| {
            (bytes + length(&picture.resource), duration + picture.duration)
        });
        Variant {
            bandwidth: self.peak_of_pictures(&pictures),
            average_bandwidth: Some(self.bits_per_second(bytes, duration)),
            codecs,
            frame_rate: None,
            audio: None,
            subtitles: None,
            // Players of one eye go through the base layer.
            video_layout: None,
            uri: self.i_frames_name(),
            ..video.clone()
        }
    }

    fn peak_of_pictures(&self, pictures: &[Picture]) -> u64 {
        let rate = |picture: &Picture| self.bits_per_second(length(&picture.resource), picture.duration);
        pictures.iter().map(rate).max().unwrap_or(0)
    }

    /// Its key frames as a Representation of a trick-mode set, which has the other facts of the video.
    pub(in crate::job) fn trick_mode(&self, video: NewRepresentation, mpd: &str) -> NewRepresentation {
        let pictures = self.pictures(mpd);
        let (map, _) = self.resources(mpd);
        let range =
            |picture: &Picture| Some((picture.resource.uri.clone(), picture.resource.byte_range.clone()?));
        NewRepresentation {
            id: format!("{}-trick", self.track.id),
            bandwidth: self.peak_of_pictures(&pictures),
            frame_rate: None,
            addressing: NewAddressing::List {
                initialization: map.uri,
                initialization_range: map.byte_range,
                segments: pictures.iter().filter_map(range).collect(),
            },
            timeline: pictures.iter().map(|picture| (picture.start, picture.duration)).collect(),
            ..video
        }
    }
}

fn length(resource: &Resource) -> u64 {
    resource.byte_range.as_ref().map_or(0, |range| range.end.saturating_sub(range.start))
}
