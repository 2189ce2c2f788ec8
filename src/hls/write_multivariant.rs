//! New multivariant playlists — RFC 8216bis §4.4.6.

use super::attributes::Attributes;
use super::key::checked_lines;
use super::line::Playlist;
use super::version;
use super::write_images::{Images, image_stream_inf};
use super::write_media::{VERSION, checked_uri};
use crate::base::{Error, Result};

/// A multivariant playlist to write.
#[derive(Clone, Debug, Default)]
pub struct MultivariantPlaylist {
    /// Finished `EXT-X-SESSION-KEY` tags; identical ones are written once.
    pub session_key_lines: Vec<String>,
    /// Renditions that are not variants.
    pub renditions: Vec<NewRendition>,
    /// The variants, the first one first to be played.
    pub variants: Vec<Variant>,
    /// Playlists of I-frames: `EXT-X-I-FRAME-STREAM-INF`.
    pub i_frames: Vec<Variant>,
    /// Playlists of images.
    pub images: Vec<Images>,
    /// `EXT-X-INDEPENDENT-SEGMENTS`: holds for every media playlist.
    pub independent_segments: bool,
}

/// `TYPE` of `EXT-X-MEDIA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenditionType {
    /// `AUDIO`.
    Audio,
    /// `SUBTITLES`.
    Subtitles,
}

/// A rendition: `EXT-X-MEDIA`.
#[derive(Clone, Debug)]
pub struct NewRendition {
    /// `TYPE`.
    pub rendition_type: RenditionType,
    /// `GROUP-ID`.
    pub group_id: String,
    /// `NAME`, unique in the group.
    pub name: String,
    /// `LANGUAGE`: RFC 5646.
    pub language: Option<String>,
    /// `DEFAULT`: played unless the user chooses another one; at most one in a group.
    pub default: bool,
    /// `FORCED`: subtitles that are always shown.
    pub forced: bool,
    /// `CHARACTERISTICS`.
    pub characteristics: Vec<String>,
    /// `CHANNELS`: the count of channels, maybe with `/` and what they are.
    pub channels: Option<String>,
    /// The media playlist.
    pub uri: String,
}

impl NewRendition {
    /// Whether players that choose by language and characteristics cannot tell it from another one of its group.
    fn is_alike(&self, other: &Self) -> bool {
        let facts =
            |one: &Self| (one.rendition_type, one.forced, one.language.clone(), one.characteristics.clone());
        self.group_id == other.group_id && facts(self) == facts(other)
    }
}

/// A variant: `EXT-X-STREAM-INF`.
#[derive(Clone, Debug, Default)]
pub struct Variant {
    /// `BANDWIDTH`: peak bits per second, the audio group's included.
    pub bandwidth: u64,
    /// `AVERAGE-BANDWIDTH`: average bits per second.
    pub average_bandwidth: Option<u64>,
    /// `CODECS`: RFC 6381, those of its groups included.
    pub codecs: String,
    /// `RESOLUTION`: width and height.
    pub resolution: Option<(u32, u32)>,
    /// `SUPPLEMENTAL-CODECS`: codecs with the brands that they go with.
    pub supplemental_codecs: Option<String>,
    /// `FRAME-RATE`.
    pub frame_rate: Option<f64>,
    /// `VIDEO-RANGE`.
    pub video_range: Option<&'static str>,
    /// `REQ-VIDEO-LAYOUT`.
    pub video_layout: Option<&'static str>,
    /// `AUDIO`: the `GROUP-ID` of its audio renditions.
    pub audio: Option<String>,
    /// `SUBTITLES`: the `GROUP-ID` of its subtitles.
    pub subtitles: Option<String>,
    /// The media playlist.
    pub uri: String,
}

/// Writes the playlist.
///
/// # Errors
/// When a group lacks, names repeat in a group, a value cannot stand in a playlist, or a key line
/// is no `EXT-X-SESSION-KEY` tag that encrypts.
pub fn write(new: &MultivariantPlaylist) -> Result<Playlist> {
    check_groups(new)?;
    let mut texts = Vec::new();
    if new.independent_segments {
        texts.push("#EXT-X-INDEPENDENT-SEGMENTS".into());
    }
    texts.extend(checked_lines(&new.session_key_lines, "EXT-X-SESSION-KEY")?);
    for (index, rendition) in new.renditions.iter().enumerate() {
        let (before, behind) = new.renditions.split_at(index);
        let is_alike = |other: &NewRendition| other.is_alike(rendition);
        let is_taken = before.iter().any(is_alike)
            || behind.iter().skip(1).any(|other| other.default && is_alike(other));
        let is_chosen = rendition.default || !is_taken;
        texts.push(media(rendition, is_chosen).map_err(|error| error.at("EXT-X-MEDIA"))?);
    }
    for variant in &new.variants {
        texts.push(stream_inf(variant).map_err(|error| error.at("EXT-X-STREAM-INF"))?);
        texts.push(checked_uri(&variant.uri)?.to_owned());
    }
    for i_frames in &new.i_frames {
        let tag = stream_inf(i_frames).map_err(|error| error.at("EXT-X-I-FRAME-STREAM-INF"))?;
        let attributes = tag.trim_start_matches("#EXT-X-STREAM-INF:");
        let uri = checked_uri(&i_frames.uri)?;
        texts.push(format!("#EXT-X-I-FRAME-STREAM-INF:{attributes},URI=\"{uri}\""));
    }
    for images in &new.images {
        texts.push(image_stream_inf(images).map_err(|error| error.at("EXT-X-IMAGE-STREAM-INF"))?);
    }
    let mut playlist = Playlist::new(texts);
    version::raise(&mut playlist, VERSION)?;
    Ok(playlist)
}

fn check_groups(new: &MultivariantPlaylist) -> Result<()> {
    let group = |rendition: &NewRendition| (rendition.rendition_type, rendition.group_id.clone());
    for (index, rendition) in new.renditions.iter().enumerate() {
        let before = new.renditions.iter().take(index).filter(|other| group(other) == group(rendition));
        for other in before {
            if other.name == rendition.name || other.default && rendition.default {
                return Err(Error::usage(format!(
                    "renditions {:?} and {:?} of group {:?} have the same name or are both default",
                    other.name, rendition.name, rendition.group_id
                ))
                .clause("RFC 8216bis §4.4.6.1.1"));
            }
        }
    }
    let named = new.variants.iter().flat_map(|variant| {
        let audio = variant.audio.clone().map(|id| (RenditionType::Audio, id));
        audio.into_iter().chain(variant.subtitles.clone().map(|id| (RenditionType::Subtitles, id)))
    });
    match named.into_iter().find(|named| !new.renditions.iter().any(|rendition| group(rendition) == *named)) {
        Some((_, id)) => {
            Err(Error::usage(format!("group {id:?} has no rendition")).clause("RFC 8216bis §4.4.6.2"))
        }
        None => Ok(()),
    }
}

fn media(rendition: &NewRendition, is_chosen: bool) -> Result<String> {
    let mut list = Attributes::default();
    let rendition_type = match rendition.rendition_type {
        RenditionType::Audio => "AUDIO",
        RenditionType::Subtitles => "SUBTITLES",
    };
    list.set_unquoted("TYPE", rendition_type)?;
    list.set_quoted_string("GROUP-ID", &rendition.group_id)?;
    list.set_quoted_string("NAME", &rendition.name)?;
    if let Some(language) = &rendition.language {
        list.set_quoted_string("LANGUAGE", language)?;
    }
    list.set_unquoted("DEFAULT", if rendition.default { "YES" } else { "NO" })?;
    // A default rendition must have it; the others may be chosen by what no other one says: §4.4.6.1.1.
    list.set_unquoted("AUTOSELECT", if is_chosen { "YES" } else { "NO" })?;
    if rendition.forced {
        list.set_unquoted("FORCED", "YES")?;
    }
    if !rendition.characteristics.is_empty() {
        list.set_quoted_string("CHARACTERISTICS", &rendition.characteristics.join(","))?;
    }
    if let Some(channels) = &rendition.channels {
        list.set_quoted_string("CHANNELS", channels)?;
    }
    list.set_quoted_string("URI", checked_uri(&rendition.uri)?)?;
    Ok(format!("#EXT-X-MEDIA:{}", list.as_str()))
}

fn stream_inf(variant: &Variant) -> Result<String> {
    let mut list = Attributes::default();
    list.set_unquoted("BANDWIDTH", &variant.bandwidth.to_string())?;
    if let Some(average) = variant.average_bandwidth {
        list.set_unquoted("AVERAGE-BANDWIDTH", &average.to_string())?;
    }
    list.set_quoted_string("CODECS", &variant.codecs)?;
    if let Some(codecs) = &variant.supplemental_codecs {
        list.set_quoted_string("SUPPLEMENTAL-CODECS", codecs)?;
    }
    if let Some((width, height)) = variant.resolution {
        list.set_unquoted("RESOLUTION", &format!("{width}x{height}"))?;
    }
    if let Some(rate) = variant.frame_rate {
        list.set_unquoted("FRAME-RATE", &format!("{rate:.3}"))?;
        // Not a number, infinite or negative: reading it back finds out.
        list.decimal_floating_point("FRAME-RATE")?;
    }
    if let Some(range) = variant.video_range {
        list.set_unquoted("VIDEO-RANGE", range)?;
    }
    if let Some(layout) = variant.video_layout {
        list.set_quoted_string("REQ-VIDEO-LAYOUT", layout)?;
    }
    if let Some(audio) = &variant.audio {
        list.set_quoted_string("AUDIO", audio)?;
    }
    if let Some(subtitles) = &variant.subtitles {
        list.set_quoted_string("SUBTITLES", subtitles)?;
    }
    Ok(format!("#EXT-X-STREAM-INF:{}", list.as_str()))
}
