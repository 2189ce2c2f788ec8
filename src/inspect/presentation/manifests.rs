//! What manifests list, brought together with their segments — ISO/IEC 23009-1 §5.3, RFC 8216bis §4.4.

use crate::base::{Kid, Result};
use crate::hls::multivariant::{Rendition, RenditionKind};
use crate::presentation as reader;
use crate::presentation::{MediaPlaylist, MpdDocument, MpdTrack, Resource};

use super::super::playlist::shown_uri;
use super::super::samples::Facts;
use super::fragments::{SegmentSpan, kids, push, rows};
use super::systems::tag_kids;
use super::{Draft, MAX_SEGMENTS, MAX_TRACKS, Segment, Track};

impl Draft<'_> {
    /// MPDs: a row for each track of each Representation.
    pub(super) fn dash(&mut self, document: &MpdDocument) {
        self.systems.add_descriptors(document.mpd.root());
        for track in &document.tracks {
            if self.presentation.tracks.len() >= MAX_TRACKS {
                self.warn(format!("more than {MAX_TRACKS} tracks: the others are not drawn"));
                break;
            }
            if let Err(error) = self.representation(track) {
                self.warn(error.at(format_args!("Representation {}", track.representation.id)).to_string());
            }
        }
    }

    fn representation(&mut self, track: &MpdTrack) -> Result<()> {
        let representation = &track.representation;
        let base = Track {
            id: representation.id.clone(),
            bandwidth: representation.bandwidth.unwrap_or_default(),
            language: representation.lang.clone().unwrap_or_default(),
            kind: "other",
            codec: representation.codecs.clone().unwrap_or_default(),
            width: representation.width.unwrap_or_default(),
            height: representation.height.unwrap_or_default(),
            ..Track::default()
        };
        let facts = match track.init().map(|init| self.init(init)).transpose() {
            Ok(facts) => facts.unwrap_or_default(),
            Err(error) => {
                self.presentation.tracks.push(base);
                return Err(error);
            }
        };
        let mut tracks = rows(&facts, &base);
        let done = track.segments().try_for_each(|segment| {
            let source = self.source(&segment.file)?;
            if track.is_one_file() {
                return self.single_file(source.as_ref(), &segment.file, &facts, &mut tracks);
            }
            let place = SegmentSpan { name: &segment.file, range: segment.range.clone(), time: None };
            self.segment(source.as_ref(), &place, &facts, &mut tracks)
        });
        self.presentation.tracks.extend(tracks);
        done
    }

    /// Playlists: a row for each track of each media playlist.
    pub(super) fn hls(&mut self, found: &reader::Presentation) {
        let of_media = |media: &&MediaPlaylist| {
            let tag = media.named_by.first().map(|rendition| &rendition.kind);
            !matches!(tag, Some(RenditionKind::IFrame | RenditionKind::Images))
        };
        for media in found.playlists.iter().filter(of_media) {
            if self.presentation.tracks.len() >= MAX_TRACKS {
                self.warn(format!("more than {MAX_TRACKS} tracks: the others are not drawn"));
                break;
            }
            self.media_playlist(media);
        }
        for multivariant in &found.multivariants {
            self.systems.add_keys(&multivariant.session_keys, &[]);
        }
    }

    fn media_playlist(&mut self, media: &MediaPlaylist) {
        let base = match media.named_by.first() {
            Some(rendition) => named(rendition, &media.name),
            None => Track { id: media.name.clone(), kind: "other", ..Track::default() },
        };
        let mut row =
            Row { init: None, facts: Facts::default(), tracks: vec![base.clone()], kids: Vec::new() };
        for segment in media.segments() {
            if row.tracks.iter().all(|track| track.segments.len() >= MAX_SEGMENTS) {
                row.tracks.iter_mut().for_each(|track| track.more += 1);
                continue;
            }
            if let Err(error) = self.hls_segment(media, segment, &mut row, &base) {
                self.warn(error.at(segment).at(&media.name).to_string());
            }
        }
        self.systems.add_keys(&media.keys, &row.kids);
        self.presentation.tracks.extend(row.tracks);
    }

    fn hls_segment(
        &mut self,
        media: &MediaPlaylist,
        segment: &Resource,
        row: &mut Row,
        base: &Track,
    ) -> Result<()> {
        let Some(init) = media.init_of(segment) else {
            let listed = self.listed(segment, row);
            row.tracks.iter_mut().take(1).for_each(|track| push(track, listed.clone()));
            return Ok(());
        };
        if row.init != segment.init {
            row.init = segment.init;
            let facts = self.init(init)?;
            row.kids.extend(kids(&facts));
            let is_first = row.tracks.iter().all(|track| track.segments.is_empty());
            if is_first || row.tracks.len() != facts.tracks.len() {
                row.tracks = rows(&facts, base);
            }
            // The segments before may have been a clear lead.
            for (track, new) in row.tracks.iter_mut().zip(rows(&facts, base)) {
                if track.scheme.is_empty() {
                    track.scheme = new.scheme;
                }
            }
            row.facts = facts;
        }
        let source = self.source(&segment.file)?;
        let time = Some((segment.begins, segment.duration));
        let place = SegmentSpan { name: &segment.file, range: segment.range.clone(), time };
        self.segment(source.as_ref(), &place, &row.facts, &mut row.tracks)
    }

    /// A segment that is known from its playlist only: MPEG-TS, packed audio, text.
    fn listed(&mut self, segment: &Resource, row: &mut Row) -> Segment {
        let bytes = match &segment.range {
            Some(range) => range.end.saturating_sub(range.start),
            None => self.source(&segment.file).map_or(0, |source| source.len()),
        };
        let keys = segment.keys.last().map(|key| {
            row.tracks.iter_mut().for_each(|track| track.scheme.clone_from(&key.method));
            let kid = tag_kids(key).first().map(Kid::to_string);
            self.key(kid.unwrap_or_else(|| {
                format!("{} {}", key.method, shown_uri(key.uri.as_deref().unwrap_or_default()))
            }))
        });
        Segment {
            name: segment.file.clone(),
            start: segment.begins,
            duration: segment.duration,
            bytes,
            keys: keys.into_iter().collect(),
            ..Segment::default()
        }
    }
}

/// The rows of a media playlist while it is read.
struct Row {
    init: Option<usize>,
    facts: Facts,
    tracks: Vec<Track>,
    kids: Vec<Kid>,
}

/// What a multivariant playlist says of a media playlist.
fn named(rendition: &Rendition, name: &str) -> Track {
    let attribute = |name: &str| {
        let raw = rendition.attributes.raw(name).unwrap_or_default();
        raw.trim_matches('"').to_owned()
    };
    let (width, height) =
        rendition.attributes.decimal_resolution("RESOLUTION").ok().flatten().unwrap_or_default();
    let kind = match &rendition.kind {
        RenditionKind::Media(kind) if kind == "AUDIO" => "audio",
        RenditionKind::Media(kind) if kind == "SUBTITLES" => "text",
        RenditionKind::Variant => "video",
        _ => "other",
    };
    let id = name.rsplit_once('/').map_or(name, |(folder, _)| folder);
    Track {
        id: id.to_owned(),
        kind,
        codec: attribute("CODECS"),
        width: u64::from(width),
        height: u64::from(height),
        bandwidth: rendition.attributes.decimal_integer("BANDWIDTH").ok().flatten().unwrap_or_default(),
        language: attribute("LANGUAGE"),
        ..Track::default()
    }
}
