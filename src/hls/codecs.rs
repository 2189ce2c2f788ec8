//! CODECS of variants that do not say them — RFC 8216bis §4.4.6.2.

use super::attributes::Attributes;
use super::line::{Line, LineKind, Playlist};
use super::multivariant::{Rendition, RenditionKind, renditions};
use crate::base::Result;

/// Attributes of a variant that name groups whose codecs are its own too.
const GROUPS: [&str; 3] = ["VIDEO", "AUDIO", "SUBTITLES"];

/// Says the codecs in the tags of variants that do not; `of` gives those of the playlist that a URI names, if they are
/// known. Returns the lines that are edited.
///
/// # Errors
/// When a tag is malformed.
pub fn add(playlist: &mut Playlist, of: &dyn Fn(&str) -> Option<Vec<String>>) -> Result<Vec<usize>> {
    let found = renditions(playlist)?;
    let mut lines = Vec::new();
    for variant in found.iter().filter(|one| is_silent(one)) {
        let Some(codecs) = of_variant(variant, &found, of)? else { continue };
        let Some(LineKind::Tag { value, .. }) = playlist.lines().get(variant.line).map(Line::kind) else {
            continue;
        };
        let mut attributes = Attributes::parse(value)?;
        attributes.set_quoted_string("CODECS", &codecs.join(","))?;
        let edited = attributes.as_str().to_owned();
        playlist.set_value(variant.line, &edited);
        lines.push(variant.line);
    }
    Ok(lines)
}

fn is_silent(rendition: &Rendition) -> bool {
    rendition.kind == RenditionKind::Variant && rendition.attributes.raw("CODECS").is_none()
}

/// The codecs of a variant and of its groups, each once.
fn of_variant(
    variant: &Rendition,
    all: &[Rendition],
    of: &dyn Fn(&str) -> Option<Vec<String>>,
) -> Result<Option<Vec<String>>> {
    let Some(mut codecs) = of(&variant.uri) else { return Ok(None) };
    for name in GROUPS {
        let Some(group) = variant.attributes.quoted_string(name)? else { continue };
        for media in all.iter().filter(|one| one.kind == RenditionKind::Media(name.to_owned())) {
            if media.attributes.quoted_string("GROUP-ID")? != Some(group) {
                continue;
            }
            match of(&media.uri) {
                Some(more) => codecs.extend(more),
                // WebVTT in files of its own has none.
                None if name == "SUBTITLES" => {}
                None => return Ok(None),
            }
        }
    }
    let mut each: Vec<String> = Vec::new();
    codecs.into_iter().for_each(|codec| {
        if !each.contains(&codec) {
            each.push(codec);
        }
    });
    Ok(Some(each))
}
