//! New playlists of images, such as thumbnails — the image media playlist, an extension of RFC 8216bis.

use super::attributes::Attributes;
use super::write_media::checked_uri;
use crate::base::Result;

/// How each image of a playlist is a grid of tiles: `EXT-X-TILES`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tiles {
    /// `RESOLUTION`: width and height of a tile.
    pub resolution: (u32, u32),
    /// `LAYOUT`: columns and rows.
    pub layout: (u32, u32),
    /// `DURATION`: how long a tile is shown, in seconds.
    pub duration: f64,
}

/// A playlist of images: `EXT-X-IMAGE-STREAM-INF`.
#[derive(Clone, Debug)]
pub struct Images {
    /// `BANDWIDTH`: peak bits per second.
    pub bandwidth: u64,
    /// `RESOLUTION`: width and height of a tile.
    pub resolution: (u32, u32),
    /// The media playlist.
    pub uri: String,
}

/// The tag of an image, behind its `EXTINF`.
pub(super) fn tiles(new: &Tiles) -> Result<String> {
    let mut list = Attributes::default();
    list.set_unquoted("RESOLUTION", &pair(new.resolution))?;
    list.set_unquoted("LAYOUT", &pair(new.layout))?;
    list.set_unquoted("DURATION", &new.duration.to_string())?;
    // Not a number, infinite or negative: reading it back finds out.
    list.decimal_floating_point("DURATION")?;
    Ok(format!("#EXT-X-TILES:{}", list.as_str()))
}

/// The tag of a playlist of images.
pub(super) fn image_stream_inf(new: &Images) -> Result<String> {
    let mut list = Attributes::default();
    list.set_unquoted("BANDWIDTH", &new.bandwidth.to_string())?;
    list.set_unquoted("RESOLUTION", &pair(new.resolution))?;
    list.set_quoted_string("CODECS", "jpeg")?;
    list.set_quoted_string("URI", checked_uri(&new.uri)?)?;
    Ok(format!("#EXT-X-IMAGE-STREAM-INF:{}", list.as_str()))
}

fn pair((width, height): (u32, u32)) -> String {
    format!("{width}x{height}")
}
