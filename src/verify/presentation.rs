//! A presentation as its manifests name it: renditions of init segment and media segments — RFC 8216bis, ISO/IEC 23009-1.

use std::ops::Range;

use crate::base::env::{Source, Store};
use crate::base::{Error, Result};
use crate::dash::{ContentType, Count, Media, Mpd, Place, Reference};
use crate::hls::media::{Segment, keys, segments};
use crate::hls::multivariant::{RenditionKind, renditions};
use crate::hls::{Playlist, PlaylistKind};

/// Largest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 64 << 20;

/// Manifests and what they name.
#[derive(Default)]
pub(super) struct Presentation {
    pub(super) renditions: Vec<Rendition>,
    pub(super) mpds: Vec<DashManifest>,
    pub(super) playlists: Vec<MediaPlaylist>,
    pub(super) multivariants: Vec<(String, Playlist)>,
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
        let is_known = self.playlists.iter().any(|known| known.name == name)
            || self.multivariants.iter().any(|(known, _)| known == name);
        if is_known {
            return Ok(());
        }
        let playlist = Playlist::parse(&read_manifest(store, name)?)?;
        if playlist.kind()? == PlaylistKind::Media {
            return self.media_playlist(store, name, playlist, Text::No);
        }
        for rendition in renditions(&playlist)? {
            let is_text = matches!(&rendition.kind, RenditionKind::Media(kind) if kind == "SUBTITLES");
            let media_name = store.refer(name, &rendition.uri)?;
            if self.playlists.iter().any(|known| known.name == media_name) {
                continue;
            }
            let mut media =
                Playlist::parse(&read_manifest(store, &media_name)?).map_err(|e| e.at(&media_name))?;
            media.named_by(&playlist, &rendition.uri)?;
            let text = if is_text { Text::Yes } else { Text::No };
            self.media_playlist(store, &media_name, media, text).map_err(|error| error.at(&media_name))?;
        }
        self.multivariants.push((name.to_owned(), playlist));
        Ok(())
    }

    fn media_playlist(
        &mut self,
        store: &dyn Store,
        name: &str,
        playlist: Playlist,
        text: Text,
    ) -> Result<()> {
        let mut found = Vec::new();
        let whole = keys(&playlist)?.into_iter().find(|key| key.method == "AES-128");
        if let Some(key) = whole {
            return Err(Error::unsupported(format!(
                "line {} encrypts whole segments (METHOD=AES-128): they are not verified",
                key.line + 1
            )));
        }
        for segment in segments(&playlist)?.into_iter().filter(|segment| !segment.gap) {
            let file = store.refer(name, &segment.uri)?;
            let Some(map) = segment.map.clone() else {
                if text == Text::Yes {
                    return Ok(());
                }
                return Err(Error::unsupported(format!(
                    "segment {} has no EXT-X-MAP: MPEG-TS and packed audio are not verified",
                    segment.uri
                )));
            };
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

/// Whether a playlist is of subtitles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Yes,
    No,
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
