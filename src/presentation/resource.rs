//! What a manifest names: files and byte ranges of them — RFC 8216bis §4.4.4, ISO/IEC 23009-1 §5.3.9.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::dash::{ContentType, MediaTime};
use crate::hls::Key;
use crate::hls::multivariant::RenditionKind;

use super::MediaPlaylist;

/// What a resource is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A media initialization section.
    Init,
    /// The program tables of a transport stream, which lie inside a segment: RFC 8216bis §3.1.1.
    Tables,
    /// A media segment; in a playlist of I-frames one of these.
    Segment,
    /// A partial segment.
    Part,
    /// What a preload hint announces.
    Hint,
    /// The segment index of a file: ISO/IEC 23009-1 §5.3.9.2.2.
    Index,
}

/// What a track carries, as the manifest says; what needs more protection comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Neither of these.
    Data,
    /// Still images, such as thumbnails.
    Images,
    /// Subtitles and captions.
    Text,
    /// Audio alone.
    Audio,
    /// Pictures, or video and audio, or nothing that is said.
    Media,
}

impl Content {
    /// What a multivariant playlist says of a media playlist.
    pub(super) fn of_rendition(kind: &RenditionKind) -> Self {
        match kind {
            RenditionKind::Images => Self::Images,
            RenditionKind::Media(kind) if kind == "SUBTITLES" => Self::Text,
            RenditionKind::Media(kind) if kind == "AUDIO" => Self::Audio,
            _ => Self::Media,
        }
    }

    /// What an MPD says of a Representation.
    pub(super) fn of_type(kind: Option<ContentType>) -> Self {
        match kind {
            Some(ContentType::Video) | None => Self::Media,
            Some(ContentType::Audio) => Self::Audio,
            Some(ContentType::Text) => Self::Text,
            Some(ContentType::Image) => Self::Images,
            Some(ContentType::Other) => Self::Data,
        }
    }

    /// Whether it is to be protected: video and audio are.
    pub fn is_media(self) -> bool {
        self >= Self::Audio
    }
}

/// A file that a manifest names, or bytes of one.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What it is for.
    pub role: Role,
    /// Its place among those of its role in the track, missing ones counted, from 0.
    pub number: u32,
    /// Index of the line in the playlist; 0 in an MPD.
    pub line: usize,
    /// Its name in the store.
    pub file: String,
    /// The bytes meant; `None` for all.
    pub range: Option<Range<u64>>,
    /// Whether it may be missing.
    pub gap: bool,
    /// The keys in force in a playlist.
    pub keys: Arc<[Key]>,
    /// The media sequence number of the segment that it is, or that it is for: RFC 8216bis §5.2.
    pub sequence: u64,
    /// Seconds of the playlist before the segment that it is, or that it is for; 0 in an MPD.
    pub begins: f64,
    /// When a segment begins by the timeline of an MPD.
    pub time: Option<MediaTime>,
    /// Seconds that a segment of a playlist lasts; 0 of everything else.
    pub duration: f64,
    /// The initialization section that it needs: its index among the resources of the track.
    pub init: Option<usize>,
    /// The segment that it lies inside of when it is no segment by itself.
    pub inside: Option<ResourceId>,
}

impl Resource {
    /// The byte range as an ordered key; `None` is the whole file.
    pub fn bounds(&self) -> Option<(u64, u64)> {
        self.range.as_ref().map(|range| (range.start, range.end))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.range.as_ref().map_or(Ok(()), |range| write!(f, ": bytes {}..{}", range.start, range.end))
    }
}

/// A resource of a playlist of a presentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResourceId {
    /// Index of the playlist.
    pub playlist: usize,
    /// Index among its resources.
    pub resource: usize,
}

/// The segments of a file, by their byte ranges.
type Segments = BTreeMap<Option<(u64, u64)>, ResourceId>;

/// Where the segments of all playlists but those of I-frames lie.
#[derive(Default)]
pub struct SegmentIndex {
    files: HashMap<String, Segments>,
    /// Files with segments that have no initialization section.
    streams: std::collections::HashSet<String>,
}

impl SegmentIndex {
    pub(super) fn of(playlists: &[MediaPlaylist]) -> Self {
        let mut index = Self::default();
        for (playlist, media) in playlists.iter().enumerate().filter(|(_, media)| !media.is_i_frames) {
            for (number, resource) in media.resources.iter().enumerate() {
                if resource.role != Role::Segment || resource.gap {
                    continue;
                }
                let id = ResourceId { playlist, resource: number };
                let segments = index.files.entry(resource.file.clone()).or_default();
                segments.entry(resource.bounds()).or_insert(id);
                if resource.init.is_none() {
                    index.streams.insert(resource.file.clone());
                }
            }
        }
        index
    }

    /// Whether segments without an initialization section lie in a file.
    pub fn has_streams(&self, file: &str) -> bool {
        self.streams.contains(file)
    }

    /// The segment that has these bytes within it.
    pub fn parent_segment(&self, file: &str, range: Option<&Range<u64>>) -> Option<ResourceId> {
        let segments = self.files.get(file)?;
        let Some(range) = range else { return segments.get(&None).copied() };
        if let Some(whole) = segments.get(&None) {
            return Some(*whole);
        }
        // Ranges do not overlap, so that only the last one that begins before it can hold it.
        let (bounds, id) = segments.range(..=Some((range.start, u64::MAX))).next_back()?;
        bounds.is_some_and(|(_, end)| range.end <= end).then_some(*id)
    }
}
