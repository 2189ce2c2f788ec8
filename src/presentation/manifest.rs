//! What is a manifest, and of which kind: by name, or else by content — RFC 8216bis §4, ISO/IEC 23009-1 annex C.

use crate::base::env::{Source, Store};
use crate::base::{MAX_DOCUMENT_BYTES, ManifestKind, Result, shown_input};

/// Extensions of manifests, in any case: RFC 8216bis §4 names both of playlists.
const EXTENSIONS: &[(&str, ManifestKind)] =
    &[("m3u8", ManifestKind::Hls), ("m3u", ManifestKind::Hls), ("mpd", ManifestKind::Dash)];
/// Bytes in which the kind of a file without such a name is looked for: comments may come before a root element.
const HEAD_BYTES: u64 = 4096;
/// What begins only tags of RFC 8216bis: a list of songs has none.
const HLS_TAG: &str = "#EXT-X-";

/// The kind of manifest that a name, a path or an address means.
pub fn kind_of_name(name: &str) -> Option<ManifestKind> {
    let name = shown_input(name);
    let extension = name.rsplit('/').next()?.rsplit_once('.')?.1;
    EXTENSIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)).map(|(_, kind)| *kind)
}

/// The kind of manifest that a file is, by its name or else by its content; `None` of media and everything else.
///
/// # Errors
/// When it cannot be read.
pub fn kind_of_file(store: &dyn Store, name: &str) -> Result<Option<ManifestKind>> {
    if let Some(kind) = kind_of_name(name) {
        return Ok(Some(kind));
    }
    let source = store.open(name)?;
    let mut head = vec![0; usize::try_from(source.len().min(HEAD_BYTES)).unwrap_or(0)];
    source.read_at(0, &mut head)?;
    Ok(kind_of_content(&head))
}

/// The kind of manifest that begins with these bytes.
pub fn kind_of_content(head: &[u8]) -> Option<ManifestKind> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("#EXTM3U") {
        return text.contains(HLS_TAG).then_some(ManifestKind::Hls);
    }
    let is_root = |tag: &str| {
        let name = tag.split(|c: char| c.is_ascii_whitespace() || c == '>').next().unwrap_or_default();
        name.rsplit(':').next() == Some("MPD")
    };
    (text.starts_with('<') && text.split('<').any(is_root)).then_some(ManifestKind::Dash)
}

/// Whether the text of a playlist lists other playlists: §4.4.6.
pub fn is_multivariant(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("#EXT-X-STREAM-INF:"))
}

/// Whether a manifest of this name may be one by its content: a list of songs may have the name of a playlist.
pub fn may_be_manifest(name: &str, text: &str) -> bool {
    match kind_of_name(name) {
        Some(ManifestKind::Hls) => {
            let is_old_name = name.rsplit_once('.').is_some_and(|(_, e)| e.eq_ignore_ascii_case("m3u"));
            !is_old_name || text.contains(HLS_TAG)
        }
        kind => kind.is_some(),
    }
}

/// Reads a whole manifest.
///
/// # Errors
/// When it is larger than [`MAX_DOCUMENT_BYTES`] or cannot be read.
pub fn read_manifest(store: &dyn Store, name: &str) -> Result<Vec<u8>> {
    let source = store.open(name)?;
    read_whole(source.as_ref(), MAX_DOCUMENT_BYTES as u64).map_err(|error| error.at(name))
}

/// Reads a whole file of at most so many bytes.
///
/// # Errors
/// When it is larger or cannot be read.
pub fn read_whole(source: &dyn Source, limit: u64) -> Result<Vec<u8>> {
    let length = source.len();
    if length > limit {
        return Err(crate::base::Error::unsupported(format!(
            "a document of {length} bytes, at most {limit} are read"
        )));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    source.read_at(0, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_in_any_case_and_content_tells_without() {
        let (hls, dash) = (Some(ManifestKind::Hls), Some(ManifestKind::Dash));
        for (name, kind) in [
            ("a.m3u8", hls),
            ("A/B.M3U", hls),
            ("Live.MPD", dash),
            ("https://h/a.M3u8?token=x.mpd", hls),
            ("a.mpd/b", None),
            ("m3u8", None),
            ("a.mp4", None),
        ] {
            assert_eq!(kind_of_name(name), kind, "{name}");
        }
        for (text, kind) in [
            ("\u{feff}#EXTM3U\n#EXT-X-VERSION:3\n", hls),
            ("#EXTM3U\n#EXTINF:200,A song\na.mp3\n", None),
            ("<?xml version=\"1.0\"?>\n<!-- x --><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">", dash),
            ("<d:MPD>", dash),
            ("<CPIX><MPDX/>", None),
            ("\0\0\0\x18ftyp", None),
        ] {
            assert_eq!(kind_of_content(text.as_bytes()), kind, "{text}");
        }
    }
}
