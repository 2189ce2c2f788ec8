//! Multivariant playlists — RFC 8216bis §4.4.6.

use std::collections::HashSet;

use super::attributes::Attributes;
use super::define::Variables;
use super::key::{self, Key};
use super::line::{Line, LineKind, Playlist, place};
use super::resources::OtherUri;
use super::version;
use crate::base::{Error, Result};

pub use super::write_images::Images;
pub use super::write_multivariant::{MultivariantPlaylist, NewRendition, RenditionType, Variant, write};

/// Tags before which session keys are put.
const RENDITION_TAGS: &[&str] = &["EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF"];
/// Tags that name a playlist by an attribute.
const TAGS_WITH_URI: &[&str] = &["EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-IMAGE-STREAM-INF"];

/// How a playlist is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenditionKind {
    /// `EXT-X-STREAM-INF` and the URI line behind it.
    Variant,
    /// `EXT-X-I-FRAME-STREAM-INF`.
    IFrame,
    /// `EXT-X-MEDIA` with this `TYPE`, such as `AUDIO`.
    Media(String),
    /// `EXT-X-IMAGE-STREAM-INF`: thumbnails, a tag that is not the standard's.
    Images,
}

/// A media playlist that a multivariant playlist names; several tags may name the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Index of the tag's line.
    pub line: usize,
    /// The URI, variables replaced.
    pub uri: String,
    /// Which tag names it.
    pub kind: RenditionKind,
    /// The tag's attributes, variables replaced.
    pub attributes: Attributes,
}

/// Every media playlist that is named, in order.
///
/// # Errors
/// When a tag is malformed, a variant has no URI, a URI has no tag, or a variable has no value here.
pub fn renditions(playlist: &Playlist) -> Result<Vec<Rendition>> {
    let mut variables = Variables::of(playlist)?;
    let mut variant: Option<(usize, Attributes)> = None;
    let mut renditions = Vec::new();
    for (index, line) in playlist.lines().iter().enumerate() {
        match line.kind() {
            LineKind::Tag { name: "EXT-X-STREAM-INF", value } => {
                expect_uri(variant.take())?;
                let attributes = variables.attributes(value);
                let at = |error: Error| error.at("EXT-X-STREAM-INF").at(place(index));
                variant = Some((index, attributes.map_err(at)?));
            }
            LineKind::Tag { name, value } if TAGS_WITH_URI.contains(&name) => {
                let rendition = variables.attributes(value).and_then(|list| by_attribute(index, name, list));
                renditions.extend(rendition.map_err(|error| error.at(name).at(place(index)))?);
            }
            LineKind::Uri(uri) => {
                let (line, attributes) = variant.take().ok_or_else(|| {
                    Error::input("URI without EXT-X-STREAM-INF")
                        .clause("RFC 8216bis §4.4.6.2")
                        .at(place(index))
                })?;
                let uri = variables.substitute(uri).map_err(|error| error.at(place(index)))?.into_owned();
                renditions.push(Rendition { line, uri, kind: RenditionKind::Variant, attributes });
            }
            _ => {}
        }
    }
    expect_uri(variant)?;
    Ok(renditions)
}

fn expect_uri(variant: Option<(usize, Attributes)>) -> Result<()> {
    variant.map_or(Ok(()), |(index, _)| {
        Err(Error::input("no URI line behind the tag")
            .clause("RFC 8216bis §4.4.6.2")
            .at("EXT-X-STREAM-INF")
            .at(place(index)))
    })
}

/// The rendition of a tag that has the URI as an attribute.
fn by_attribute(line: usize, name: &str, attributes: Attributes) -> Result<Option<Rendition>> {
    let kind = if name == "EXT-X-MEDIA" {
        let media_type = attributes.enumerated_string("TYPE")?;
        let media_type = media_type.ok_or_else(|| Error::input("no TYPE").clause("RFC 8216bis §4.4.6.1"))?;
        RenditionKind::Media(media_type.to_owned())
    } else if name == "EXT-X-IMAGE-STREAM-INF" {
        RenditionKind::Images
    } else {
        RenditionKind::IFrame
    };
    let uri = attributes.quoted_string("URI")?.map(str::to_owned);
    if uri.is_none() && !matches!(kind, RenditionKind::Media(_)) {
        return Err(Error::input("no URI").clause("RFC 8216bis §4.4.6.3"));
    }
    // Without a URI the rendition is inside the variant's own segments.
    Ok(uri.map(|uri| Rendition { line, uri, kind, attributes }))
}

/// Every `EXT-X-SESSION-KEY` tag in order.
///
/// # Errors
/// When one is malformed or a variable has no value here.
pub fn session_keys(playlist: &Playlist) -> Result<Vec<Key>> {
    key::keys(playlist, "EXT-X-SESSION-KEY")
}

/// The tag of session data: §4.4.6.4.
pub const SESSION_DATA: &str = "EXT-X-SESSION-DATA";

/// What `EXT-X-SESSION-DATA` tags name.
///
/// # Errors
/// When one is malformed or a variable has no value here.
pub fn session_data(playlist: &Playlist) -> Result<Vec<OtherUri>> {
    let tag = SESSION_DATA;
    let mut variables = Variables::of(playlist)?;
    let mut uris = Vec::new();
    for (line, value) in playlist.tags(tag) {
        let at = |error: Error| error.at(tag).at(place(line));
        let attributes = variables.attributes(value).map_err(at)?;
        let uri = attributes.quoted_string("URI").map_err(at)?;
        let (tag, attribute) = (tag.to_owned(), "URI".to_owned());
        uris.extend(uri.map(|uri| OtherUri { line, tag, attribute, uri: uri.to_owned() }));
    }
    Ok(uris)
}

/// Inserts each of these finished `EXT-X-SESSION-KEY` tags that the playlist does not have yet,
/// before the first tag of a rendition, and raises the version as they need it.
///
/// # Errors
/// When a line is no `EXT-X-SESSION-KEY` tag that encrypts.
pub fn protect(playlist: &mut Playlist, session_key_lines: &[String]) -> Result<()> {
    let mut lines = key::checked_lines(session_key_lines, "EXT-X-SESSION-KEY")?;
    let present: HashSet<&str> = playlist.lines().iter().map(|line| line.text().trim_ascii()).collect();
    lines.retain(|line| !present.contains(line.as_str()));
    let first = playlist.lines().iter().position(|line| match line.kind() {
        LineKind::Tag { name, .. } => RENDITION_TAGS.contains(&name),
        LineKind::Uri(_) => true,
        LineKind::Comment | LineKind::Blank => false,
    });
    let index = first.unwrap_or_else(|| playlist.lines().len());
    playlist.insert(index, lines);
    version::raise(playlist, 1)
}

/// What players must be able to do to play a variant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `HDCP-LEVEL`.
    pub hdcp_level: Option<String>,
    /// `ALLOWED-CPC`: key formats, each with classes of robustness.
    pub allowed_cpc: Option<String>,
}

/// What `HDCP-LEVEL` may be.
const HDCP_LEVELS: [&str; 3] = ["NONE", "TYPE-0", "TYPE-1"];

impl Limits {
    /// Checks that they can stand in a playlist.
    ///
    /// # Errors
    /// When `HDCP-LEVEL` is none that is known, or `ALLOWED-CPC` has a quotation mark or a line break.
    pub fn check(&self) -> Result<()> {
        if let Some(level) = self.hdcp_level.as_deref().filter(|level| !HDCP_LEVELS.contains(level)) {
            return Err(Error::keys(format!(
                "HDCP-LEVEL {level:?} of the key source, expected one of {}",
                HDCP_LEVELS.join(", ")
            ))
            .clause("RFC 8216bis §4.4.6.2"));
        }
        let allowed = self.allowed_cpc.as_deref().unwrap_or_default();
        Attributes::default().set_quoted_string("ALLOWED-CPC", allowed)
    }
}

/// States the limits of each variant and I-frame rendition; `find` gives those of the playlist that its URI names.
///
/// # Errors
/// When a tag is malformed, or a limit cannot stand in one.
pub fn limit(playlist: &mut Playlist, find: &dyn Fn(&str) -> Result<Limits>) -> Result<()> {
    for Rendition { line, uri, kind, .. } in renditions(playlist)? {
        if !matches!(kind, RenditionKind::Variant | RenditionKind::IFrame) {
            continue;
        }
        let Limits { hdcp_level, allowed_cpc } = find(&uri)?;
        let Some(LineKind::Tag { value, .. }) = playlist.lines().get(line).map(Line::kind) else { continue };
        let mut attributes = Attributes::parse(value)?;
        if let Some(level) = &hdcp_level {
            attributes.set_unquoted("HDCP-LEVEL", level)?;
        }
        if let Some(allowed) = &allowed_cpc {
            attributes.set_quoted_string("ALLOWED-CPC", allowed)?;
        }
        let edited = attributes.as_str().to_owned();
        playlist.set_value(line, &edited);
    }
    Ok(())
}

/// Removes every `EXT-X-SESSION-KEY` tag, and what keys want of players. `HDCP-LEVEL=NONE` wants nothing, and the version
/// stays.
///
/// # Errors
/// When the attributes of a variant cannot be read.
pub fn unprotect(playlist: &mut Playlist) -> Result<()> {
    playlist.remove_tags("EXT-X-SESSION-KEY");
    for index in 0..playlist.lines().len() {
        let Some(LineKind::Tag { name: "EXT-X-STREAM-INF" | "EXT-X-I-FRAME-STREAM-INF", value }) =
            playlist.lines().get(index).map(Line::kind)
        else {
            continue;
        };
        let mut attributes = Attributes::parse(value).map_err(|error| error.at(place(index)))?;
        if attributes.raw("HDCP-LEVEL") != Some("NONE") {
            attributes.remove("HDCP-LEVEL")?;
        }
        attributes.remove("ALLOWED-CPC")?;
        if attributes.as_str() != value {
            let edited = attributes.as_str().to_owned();
            playlist.set_value(index, &edited);
        }
    }
    Ok(())
}
