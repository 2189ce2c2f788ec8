//! A presentation as its manifests name it: renditions of init segment and media segments — RFC 8216bis, ISO/IEC 23009-1.

use std::ops::Range;

use crate::base::env::{Source, Store};
use crate::base::{Error, Result};
use crate::dash::{ContentType, Count, Media, Mpd, Place, Reference};
use crate::hls::media::{Segment, is_i_frames_only, keys, segments};
use crate::hls::multivariant::{RenditionKind, renditions};
use crate::hls::{AES_128, Playlist, PlaylistKind};

use super::pieces::{Holders, PiecePlaylist, Protection, pieces};

/// Largest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 64 << 20;

/// Manifests and what they name.
#[derive(Default)]
pub(super) struct Presentation {
    pub(super) renditions: Vec<Rendition>,
    pub(super) mpds: Vec<DashManifest>,
    pub(super) playlists: Vec<MediaPlaylist>,
    /// Media playlists of everything else.
    pub(super) pieces: Vec<PiecePlaylist>,
    pub(super) multivariants: Vec<(String, Playlist)>,
    /// Media playlists that were read, before it is known what they name.
    media: Vec<(String, Playlist, Content)>,
    holders: Holders,
}

/// An init segment and the media that needs it.
pub(super) struct Rendition {
    pub(super) init: Reference,
    /// Files in order, each once.
    pub(super) files: Vec<String>,
}

/// An MPD.
pub(super) struct DashManifest {
    pub(super) name: String,
    pub(super) mpd: Mpd,
    pub(super) representations: Vec<RepresentationMedia>,
}

/// A Representation of media that can be protected.
pub(super) struct RepresentationMedia {
    pub(super) place: Place,
    pub(super) id: String,
    pub(super) rendition: usize,
    pub(super) references: Vec<Reference>,
    pub(super) index_range: Option<(String, Range<u64>)>,
}

/// A media playlist of fragmented MP4.
pub(super) struct MediaPlaylist {
    pub(super) name: String,
    pub(super) playlist: Playlist,
    /// Each segment with its file and rendition.
    pub(super) segments: Vec<(Segment, String, usize)>,
}

impl Presentation {
    /// Reads a manifest and what it names, unless it is known.
    pub(super) fn read(&mut self, store: &dyn Store, name: &str) -> Result<()> {
        let result = if is_playlist(name) { self.playlist(store, name) } else { self.mpd(store, name) };
        result.map_err(|error| error.at(name))
    }

    /// Adds an MP4 file; one without a `moov` belongs to the file before it.
    pub(super) fn file(&mut self, name: &str, has_moov: bool, has_media: bool) -> Result<()> {
        if has_moov {
            let init = Reference { name: name.to_owned(), range: None };
            self.renditions.push(Rendition { init, files: Vec::new() });
        }
        let rendition = self.renditions.last_mut().ok_or_else(|| {
            Error::usage(format!("{name} has no moov")).hint("give its initialization segment before it")
        })?;
        if has_media {
            rendition.files.push(name.to_owned());
        }
        Ok(())
    }

    fn rendition(&mut self, init: Reference) -> usize {
        if let Some(known) = self.renditions.iter().position(|rendition| rendition.init == init) {
            return known;
        }
        self.renditions.push(Rendition { init, files: Vec::new() });
        self.renditions.len() - 1
    }

    fn add_file(&mut self, rendition: usize, name: &str) {
        let is_known = self.renditions.iter().any(|known| known.files.iter().any(|file| file == name));
        if let Some(rendition) = self.renditions.get_mut(rendition).filter(|_| !is_known) {
            rendition.files.push(name.to_owned());
        }
    }

    fn playlist(&mut self, store: &dyn Store, name: &str) -> Result<()> {
        let is_known = self.has_media(name) || self.multivariants.iter().any(|(known, _)| known == name);
        if is_known {
            return Ok(());
        }
        let playlist = Playlist::parse(&read_manifest(store, name)?)?;
        if playlist.kind()? == PlaylistKind::Media {
            self.media.push((name.to_owned(), playlist, Content::Media));
            return Ok(());
        }
        for rendition in renditions(&playlist)? {
            let content = match &rendition.kind {
                RenditionKind::Media(kind) if kind == "SUBTITLES" => Content::Text,
                RenditionKind::Media(kind) if kind == "AUDIO" => Content::Audio,
                _ => Content::Media,
            };
            let media_name = store.refer(name, &rendition.uri)?;
            if let Some((_, _, known)) = self.media.iter_mut().find(|(known, ..)| *known == media_name) {
                *known = content.max(*known);
                continue;
            }
            let mut media =
                Playlist::parse(&read_manifest(store, &media_name)?).map_err(|e| e.at(&media_name))?;
            media.named_by(&playlist, &rendition.uri)?;
            self.media.push((media_name, media, content));
        }
        self.multivariants.push((name.to_owned(), playlist));
        Ok(())
    }

    fn has_media(&self, name: &str) -> bool {
        self.media.iter().any(|(known, ..)| known == name)
    }

    /// Finds out what the media playlists name when all of them are read, and what is wrong with each by its name.
    pub(super) fn sort_media(&mut self, store: &dyn Store) -> Vec<(String, Result<()>)> {
        let mut media = std::mem::take(&mut self.media);
        // What an I-frame playlist names lies inside the segments of the others.
        media.sort_by_key(|(_, playlist, _)| is_i_frames_only(playlist));
        let sort = |(name, playlist, content): (String, Playlist, Content)| {
            let result = self.media_playlist(store, (&name, content), playlist);
            (name, result)
        };
        media.into_iter().map(sort).collect()
    }

    fn media_playlist(
        &mut self,
        store: &dyn Store,
        (name, content): (&str, Content),
        playlist: Playlist,
    ) -> Result<()> {
        let (is_i_frames, all) = (is_i_frames_only(&playlist), segments(&playlist)?);
        let (mut mapped, mut unmapped) = (0, 0);
        for segment in all.iter().filter(|segment| !segment.gap) {
            // I-frame playlists name the program tables of a transport stream by the same tag: §3.1.1.
            let in_mp4 = match &segment.map {
                Some(map) => !is_i_frames || !self.holders.has(&store.refer(name, &map.uri)?),
                None => false,
            };
            *(if in_mp4 { &mut mapped } else { &mut unmapped }) += 1;
        }
        let is_whole = keys(&playlist)?.iter().any(|key| key.method == AES_128);
        let protection = match (is_whole, mapped, unmapped) {
            (true, ..) => Protection::Whole,
            (false, _, 0) => return self.mp4_playlist(store, name, playlist, all),
            (false, 0, _) if content == Content::Text => Protection::Never,
            (false, 0, _) => Protection::Samples,
            (false, ..) => {
                return Err(Error::unsupported("segments with and without EXT-X-MAP: they are not verified"));
            }
        };
        let mut found = pieces(store, name, &playlist)?;
        self.holders.place(&mut found, protection, is_i_frames);
        let (name, is_audio) = (name.to_owned(), content == Content::Audio);
        self.pieces.push(PiecePlaylist { name, playlist, protection, is_audio, pieces: found });
        Ok(())
    }

    fn mp4_playlist(
        &mut self,
        store: &dyn Store,
        name: &str,
        playlist: Playlist,
        all: Vec<Segment>,
    ) -> Result<()> {
        let mut found = Vec::new();
        for segment in all.into_iter().filter(|segment| !segment.gap) {
            let file = store.refer(name, &segment.uri)?;
            let Some(map) = segment.map.clone() else { continue };
            let init = Reference { name: store.refer(name, &map.uri)?, range: map.byte_range.clone() };
            let rendition = self.rendition(init);
            self.add_file(rendition, &file);
            found.push((segment, file, rendition));
        }
        self.playlists.push(MediaPlaylist { name: name.to_owned(), playlist, segments: found });
        Ok(())
    }

    fn mpd(&mut self, store: &dyn Store, name: &str) -> Result<()> {
        if self.mpds.iter().any(|known| known.name == name) {
            return Ok(());
        }
        let mpd = Mpd::parse(&read_manifest(store, name)?)?;
        let mut found = Vec::new();
        for representation in mpd.representations(name, store)? {
            let is_media =
                matches!(representation.kind, Some(ContentType::Video | ContentType::Audio) | None);
            let (mut references, index_range, single) = match representation.media {
                Media::Segments { references, count } => {
                    let mut references = references;
                    if count == Count::Implied {
                        let last = references.iter().rposition(|reference| store.exists(&reference.name));
                        references.truncate(last.map_or(references.len(), |last| last + 1));
                    }
                    (references, None, None)
                }
                Media::SingleFile { file, index_range } => {
                    let index_range = index_range.map(|range| (file.name.clone(), range));
                    let whole = Reference { name: file.name.clone(), range: None };
                    (vec![file], index_range, Some(whole))
                }
            };
            let Some(init) = representation.initialization.or(single).filter(|_| is_media) else { continue };
            let rendition = self.rendition(init);
            references.iter().for_each(|reference| self.add_file(rendition, &reference.name));
            references.retain(|reference| reference.range.is_some() || index_range.is_none());
            found.push(RepresentationMedia {
                place: representation.place,
                id: representation.id,
                rendition,
                references,
                index_range,
            });
        }
        self.mpds.push(DashManifest { name: name.to_owned(), mpd, representations: found });
        Ok(())
    }
}

/// What a media playlist is for, by all that name it: what needs more protection comes later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    /// Subtitles.
    Text,
    /// Sound alone.
    Audio,
    /// Pictures, or pictures and sound.
    Media,
}

/// Whether a name is that of a manifest.
pub(super) fn is_manifest(name: &str) -> bool {
    is_playlist(name) || ends_with(name, "mpd")
}

fn is_playlist(name: &str) -> bool {
    ends_with(name, "m3u8")
}

fn ends_with(name: &str, extension: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn read_manifest(store: &dyn Store, name: &str) -> Result<Vec<u8>> {
    let source = store.open(name)?;
    if source.len() > MAX_MANIFEST {
        return Err(Error::unsupported(format!(
            "a manifest of {} bytes, at most {MAX_MANIFEST} are read",
            source.len()
        )));
    }
    read_range(source.as_ref(), 0..source.len())
}

/// Reads bytes of a file.
pub(super) fn read_range(source: &dyn Source, range: Range<u64>) -> Result<Vec<u8>> {
    if range.start > range.end || range.end > source.len() {
        return Err(Error::input(format!("bytes {}..{} of {}", range.start, range.end, source.len())));
    }
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
    source.read_at(range.start, &mut bytes)?;
    Ok(bytes)
}
