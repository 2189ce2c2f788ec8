//! New media playlists — RFC 8216bis §4.4.3, §4.4.4.

use std::ops::Range;

use super::byte_range::ByteRange;
use super::key::checked_lines;
use super::line::Playlist;
use super::version;
use super::write_images::{self, Tiles};
use crate::base::{Error, Result};

/// Lowest version that is written; it has everything that fragmented MP4 needs.
pub(super) const VERSION: u64 = 6;

/// A resource or a sub-range of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Where it is.
    pub uri: String,
    /// The sub-range; `None` is all of it.
    pub byte_range: Option<Range<u64>>,
}

/// A media playlist to write: video on demand, complete.
#[derive(Clone, Debug, Default)]
pub struct MediaPlaylist {
    /// The media initialization section.
    pub map: Option<Resource>,
    /// Finished `EXT-X-KEY` tags of all segments.
    pub key_lines: Vec<String>,
    /// The segments and their durations in seconds.
    pub segments: Vec<(Resource, f64)>,
    /// `EXT-X-I-FRAMES-ONLY`: each segment is one picture, found inside the segments of another playlist.
    pub i_frames_only: bool,
    /// `EXT-X-IMAGES-ONLY`: each segment is an image of tiles.
    pub tiles: Option<Tiles>,
    /// `EXT-X-INDEPENDENT-SEGMENTS`: every segment can be decoded without another one.
    pub independent_segments: bool,
}

/// Writes the playlist; the target duration and the version follow from what it has.
///
/// # Errors
/// When a duration is negative or not finite, a URI cannot stand in a playlist, or a key line is
/// no `EXT-X-KEY` tag that encrypts.
pub fn write(new: &MediaPlaylist) -> Result<Playlist> {
    let mut target = 1;
    let mut segments = Vec::new();
    for (resource, duration) in &new.segments {
        let (text, rounded) = extinf(*duration)?;
        target = target.max(rounded);
        segments.push(format!("#EXTINF:{text},"));
        if let Some(tiles) = &new.tiles {
            segments.push(write_images::tiles(tiles)?);
        }
        if let Some(range) = &resource.byte_range {
            segments.push(format!("#EXT-X-BYTERANGE:{}", ByteRange::from(range)));
        }
        segments.push(checked_uri(&resource.uri)?.to_owned());
    }
    let mut texts = vec![
        format!("#EXT-X-TARGETDURATION:{target}"),
        "#EXT-X-MEDIA-SEQUENCE:0".into(),
        "#EXT-X-PLAYLIST-TYPE:VOD".into(),
    ];
    if new.i_frames_only {
        texts.push("#EXT-X-I-FRAMES-ONLY".into());
    }
    if new.tiles.is_some() {
        texts.push("#EXT-X-IMAGES-ONLY".into());
    }
    if new.independent_segments {
        texts.push("#EXT-X-INDEPENDENT-SEGMENTS".into());
    }
    if let Some(map) = &new.map {
        let uri = checked_uri(&map.uri)?;
        let range = map.byte_range.as_ref().map(|range| format!(",BYTERANGE=\"{}\"", ByteRange::from(range)));
        texts.push(format!("#EXT-X-MAP:URI=\"{uri}\"{}", range.unwrap_or_default()));
    }
    texts.extend(checked_lines(&new.key_lines, "EXT-X-KEY")?);
    texts.extend(segments);
    texts.push("#EXT-X-ENDLIST".into());
    let mut playlist = Playlist::new(texts);
    version::raise(&mut playlist, VERSION)?;
    Ok(playlist)
}

/// A duration as written, and rounded to whole seconds as §4.4.3.1 compares it.
fn extinf(duration: f64) -> Result<(String, u64)> {
    let text = format!("{duration:.6}");
    let refused = || Error::usage(format!("segment of {duration} seconds")).clause("RFC 8216bis §4.4.4.1");
    let (seconds, fraction) = text.split_once('.').ok_or_else(refused)?;
    let seconds: u64 = seconds.parse().map_err(|_| refused())?;
    let half = fraction.bytes().next().is_some_and(|digit| digit >= b'5');
    let rounded = seconds.saturating_add(u64::from(half));
    Ok((text, rounded))
}

/// A URI that can stand on a line and in a quoted string.
pub(super) fn checked_uri(uri: &str) -> Result<&str> {
    let refused = uri.is_empty()
        || uri.starts_with('#')
        || uri.contains("{$")
        || uri.contains(|c: char| c == '"' || c.is_whitespace() || c.is_control());
    if refused {
        return Err(Error::usage(format!("URI {uri:?} in a playlist"))
            .clause("RFC 8216bis §4.1")
            .hint("percent-encode it"));
    }
    Ok(uri)
}
