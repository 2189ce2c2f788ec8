//! New multivariant playlists — RFC 8216bis §4.4.6.

use super::attributes::Attributes;
use super::key::checked_lines;
use super::line::Playlist;
use super::version;
use super::write_media::{VERSION, checked_uri};
use crate::base::{Error, Result};

/// A multivariant playlist to write.
#[derive(Clone, Debug, Default)]
pub struct MultivariantPlaylist {
    /// Finished `EXT-X-SESSION-KEY` tags; identical ones are written once.
    pub session_key_lines: Vec<String>,
    /// Renditions of `TYPE=AUDIO`.
    pub audio: Vec<AudioRendition>,
    /// The variants, the first one first to be played.
    pub variants: Vec<Variant>,
    /// `EXT-X-INDEPENDENT-SEGMENTS`: holds for every media playlist.
    pub independent_segments: bool,
}

/// An audio rendition: `EXT-X-MEDIA`.
#[derive(Clone, Debug)]
pub struct AudioRendition {
    /// `GROUP-ID`.
    pub group_id: String,
    /// `NAME`, unique in the group.
    pub name: String,
    /// `LANGUAGE`: RFC 5646.
    pub language: Option<String>,
    /// `DEFAULT`: played unless the user chooses another one; at most one in a group.
    pub default: bool,
    /// `CHANNELS`: the count of channels, maybe with `/` and what they are.
    pub channels: Option<String>,
    /// The media playlist.
    pub uri: String,
}

/// A variant: `EXT-X-STREAM-INF`.
#[derive(Clone, Debug)]
pub struct Variant {
    /// `BANDWIDTH`: peak bits per second, the audio group's included.
    pub bandwidth: u64,
    /// `AVERAGE-BANDWIDTH`: average bits per second.
    pub average_bandwidth: Option<u64>,
    /// `CODECS`: RFC 6381, the audio group's included.
    pub codecs: String,
    /// `RESOLUTION`: width and height.
    pub resolution: Option<(u32, u32)>,
    /// `FRAME-RATE`.
    pub frame_rate: Option<f64>,
    /// `AUDIO`: the `GROUP-ID` of its audio renditions.
    pub audio: Option<String>,
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
    for audio in &new.audio {
        texts.push(media(audio).map_err(|error| error.at("EXT-X-MEDIA"))?);
    }
    for variant in &new.variants {
        texts.push(stream_inf(variant).map_err(|error| error.at("EXT-X-STREAM-INF"))?);
        texts.push(checked_uri(&variant.uri)?.to_owned());
    }
    let mut playlist = Playlist::new(texts);
    version::raise(&mut playlist, VERSION)?;
    Ok(playlist)
}

fn check_groups(new: &MultivariantPlaylist) -> Result<()> {
    for (index, audio) in new.audio.iter().enumerate() {
        let before = new.audio.iter().take(index).filter(|other| other.group_id == audio.group_id);
        for other in before {
            if other.name == audio.name || other.default && audio.default {
                return Err(Error::usage(format!(
                    "audio renditions {:?} and {:?} of group {:?} have the same name or are both default",
                    other.name, audio.name, audio.group_id
                ))
                .clause("RFC 8216bis §4.4.6.1.1"));
            }
        }
    }
    let groups: Vec<&str> = new.audio.iter().map(|audio| audio.group_id.as_str()).collect();
    match new.variants.iter().filter_map(|variant| variant.audio.as_deref()).find(|id| !groups.contains(id)) {
        Some(id) => {
            Err(Error::usage(format!("audio group {id:?} has no rendition")).clause("RFC 8216bis §4.4.6.2"))
        }
        None => Ok(()),
    }
}

fn media(audio: &AudioRendition) -> Result<String> {
    let mut list = Attributes::default();
    list.set_unquoted("TYPE", "AUDIO")?;
    list.set_quoted_string("GROUP-ID", &audio.group_id)?;
    list.set_quoted_string("NAME", &audio.name)?;
    if let Some(language) = &audio.language {
        list.set_quoted_string("LANGUAGE", language)?;
    }
    list.set_unquoted("DEFAULT", if audio.default { "YES" } else { "NO" })?;
    // A default rendition must have it; the others may be chosen by language.
    list.set_unquoted("AUTOSELECT", "YES")?;
    if let Some(channels) = &audio.channels {
        list.set_quoted_string("CHANNELS", channels)?;
    }
    list.set_quoted_string("URI", checked_uri(&audio.uri)?)?;
    Ok(format!("#EXT-X-MEDIA:{}", list.as_str()))
}

fn stream_inf(variant: &Variant) -> Result<String> {
    let mut list = Attributes::default();
    list.set_unquoted("BANDWIDTH", &variant.bandwidth.to_string())?;
    if let Some(average) = variant.average_bandwidth {
        list.set_unquoted("AVERAGE-BANDWIDTH", &average.to_string())?;
    }
    list.set_quoted_string("CODECS", &variant.codecs)?;
    if let Some((width, height)) = variant.resolution {
        list.set_unquoted("RESOLUTION", &format!("{width}x{height}"))?;
    }
    if let Some(rate) = variant.frame_rate {
        list.set_unquoted("FRAME-RATE", &format!("{rate:.3}"))?;
        // Not a number, infinite or negative: reading it back finds out.
        list.decimal_floating_point("FRAME-RATE")?;
    }
    if let Some(audio) = &variant.audio {
        list.set_quoted_string("AUDIO", audio)?;
    }
    Ok(format!("#EXT-X-STREAM-INF:{}", list.as_str()))
}
