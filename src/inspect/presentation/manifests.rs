//! What manifests list, brought together with their segments — ISO/IEC 23009-1 §5.3, RFC 8216bis §4.4.

use std::sync::Arc;

use crate::base::uri::resolve;
use crate::base::{Error, Kid, Result};
use crate::dash::{Count, Media, Mpd, Representation};
use crate::hls::media::{Map, Segment as HlsSegment};
use crate::hls::multivariant::{Rendition, RenditionKind};
use crate::hls::{Key, Playlist, PlaylistKind, media, multivariant};
use crate::xml::Document;

use super::super::samples::Facts;
use super::super::{MAX_DOCUMENT_BYTES, playlist::shown_uri, read};
use super::fragments::{Place, kids, push, rows};
use super::systems::tag_kids;
use super::{Draft, MAX_SEGMENTS, MAX_TRACKS, Segment, Track};

impl Draft<'_> {
    /// An MPD: a row for each track of each Representation.
    pub(super) fn dash(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.systems.add_descriptors(Document::parse(bytes)?.root());
        for representation in Mpd::parse(bytes)?.representations(name, self.store)? {
            if self.presentation.tracks.len() >= MAX_TRACKS {
                self.warn(format!("more than {MAX_TRACKS} tracks: the others are not drawn"));
                break;
            }
            if let Err(error) = self.representation(&representation) {
                self.warn(error.at(format_args!("Representation {}", representation.id)).to_string());
            }
        }
        Ok(())
    }

    fn representation(&mut self, representation: &Representation) -> Result<()> {
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
        let init = match (&representation.initialization, &representation.media) {
            (Some(init), _) => Some((&init.name, init.range.as_ref())),
            (None, Media::SingleFile { file, .. }) => Some((&file.name, None)),
            (None, Media::Segments { .. }) => None,
        };
        let facts = init.map(|(name, range)| self.init(name, range)).transpose();
        let facts = match facts {
            Ok(facts) => facts.unwrap_or_default(),
            Err(error) => {
                self.presentation.tracks.push(base);
                return Err(error);
            }
        };
        let mut tracks = rows(&facts, &base);
        let done = match &representation.media {
            Media::SingleFile { file, .. } => {
                let source = self.source(&file.name)?;
                self.single_file(source.as_ref(), &file.name, &facts, &mut tracks)
            }
            Media::Segments { references, count } => references.iter().try_for_each(|reference| {
                if !self.store.exists(&reference.name) {
                    // A number that was computed from a duration may be one too high: §5.3.9.5.
                    let missing = Error::input("is missing").at(reference.name.clone());
                    return if *count == Count::Implied { Ok(()) } else { Err(missing) };
                }
                let source = self.source(&reference.name)?;
                let place = Place { name: &reference.name, range: reference.range.clone(), time: None };
                self.segment(source.as_ref(), &place, &facts, &mut tracks)
            }),
        };
        self.presentation.tracks.extend(tracks);
        done
    }

    /// A playlist: a row for each track of each media playlist.
    pub(super) fn hls(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let playlist = Playlist::parse(bytes)?;
        if playlist.kind()? == PlaylistKind::Media {
            let base = Track { id: name.to_owned(), kind: "other", ..Track::default() };
            return self.media_playlist(name, &playlist, &base);
        }
        let mut known: Vec<String> = Vec::new();
        for rendition in multivariant::renditions(&playlist)? {
            let media_name = resolve(name, &rendition.uri)?;
            if known.contains(&media_name) || rendition.kind == RenditionKind::IFrame {
                continue;
            }
            if self.presentation.tracks.len() >= MAX_TRACKS {
                self.warn(format!("more than {MAX_TRACKS} tracks: the others are not drawn"));
                break;
            }
            known.push(media_name.clone());
            let done = self.manifest(&media_name).and_then(|mut media| {
                media.named_by(&playlist, &rendition.uri)?;
                self.media_playlist(&media_name, &media, &named(&rendition, &media_name))
            });
            if let Err(error) = done {
                self.warn(error.at(media_name).to_string());
            }
        }
        let keys = multivariant::session_keys(&playlist).unwrap_or_default();
        self.systems.add_keys(&keys, &[]);
        Ok(())
    }

    fn manifest(&self, name: &str) -> Result<Playlist> {
        let source = self.source(name)?;
        Playlist::parse(&read(source.as_ref(), 0, source.len().min(MAX_DOCUMENT_BYTES))?)
    }

    fn media_playlist(&mut self, name: &str, playlist: &Playlist, base: &Track) -> Result<()> {
        let keys = media::keys(playlist)?;
        let mut row =
            Row { map: None, facts: Facts::default(), tracks: vec![base.clone()], kids: Vec::new() };
        let mut start = 0.0;
        for segment in media::segments(playlist)? {
            let time = (start, segment.duration);
            start += segment.duration;
            if row.tracks.iter().all(|track| track.segments.len() >= MAX_SEGMENTS) {
                row.tracks.iter_mut().for_each(|track| track.more += 1);
                continue;
            }
            if let Err(error) = self.hls_segment(name, &segment, time, &keys, &mut row, base) {
                self.warn(error.at(segment.uri.clone()).to_string());
            }
        }
        self.systems.add_keys(&keys, &row.kids);
        self.presentation.tracks.extend(row.tracks);
        Ok(())
    }

    fn hls_segment(
        &mut self,
        playlist: &str,
        segment: &HlsSegment,
        time: (f64, f64),
        keys: &[Key],
        row: &mut Row,
        base: &Track,
    ) -> Result<()> {
        let file = resolve(playlist, &segment.uri)?;
        let Some(map) = segment.map.as_ref() else {
            let listed = self.listed(file, segment, time, keys, row);
            row.tracks.iter_mut().take(1).for_each(|track| push(track, listed.clone()));
            return Ok(());
        };
        if row.map.as_ref() != Some(map) {
            row.map = Some(Arc::clone(map));
            let facts = self.init(&resolve(playlist, &map.uri)?, map.byte_range.as_ref())?;
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
        let source = self.source(&file)?;
        let place = Place { name: &file, range: segment.byte_range.clone(), time: Some(time) };
        self.segment(source.as_ref(), &place, &row.facts, &mut row.tracks)
    }

    /// A segment that is known from its playlist only: MPEG-TS, packed audio, text.
    fn listed(
        &mut self,
        file: String,
        segment: &HlsSegment,
        (start, duration): (f64, f64),
        keys: &[Key],
        row: &mut Row,
    ) -> Segment {
        let bytes = match &segment.byte_range {
            Some(range) => range.end.saturating_sub(range.start),
            None => self.source(&file).map_or(0, |source| source.len()),
        };
        let key = keys.iter().rev().find(|key| key.line < segment.line).filter(|key| key.encrypts());
        let keys = key.map(|key| {
            row.tracks.iter_mut().for_each(|track| track.scheme.clone_from(&key.method));
            let kid = tag_kids(key).first().map(Kid::to_string);
            self.key(kid.unwrap_or_else(|| {
                format!("{} {}", key.method, shown_uri(key.uri.as_deref().unwrap_or_default()))
            }))
        });
        Segment { name: file, start, duration, bytes, keys: keys.into_iter().collect(), ..Segment::default() }
    }
}

/// The rows of a media playlist while it is read.
struct Row {
    map: Option<Arc<Map>>,
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
