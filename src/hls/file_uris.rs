//! The URIs of a package's own files, changed where they stand — RFC 8216bis §4.1, §4.4.

use super::attributes::Attributes;
use super::line::{LineKind, Playlist};
use crate::base::Result;

/// Tags that name files of the package. Keys are elsewhere, whatever names them.
const TAGS: &[&str] = &[
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-IMAGE-STREAM-INF",
    "EXT-X-MAP",
    "EXT-X-MEDIA",
    "EXT-X-PART",
    "EXT-X-PRELOAD-HINT",
    "EXT-X-RENDITION-REPORT",
];

/// Gives each URI of a playlist, segment or initialization section another form; where `change` gives none it stays, as
/// one with variables does.
///
/// # Errors
/// Those of `change`, and when a URI cannot stand where it is.
pub fn map_file_uris(
    playlist: &mut Playlist,
    change: &mut dyn FnMut(&str) -> Result<Option<String>>,
) -> Result<()> {
    let mut change = |uri: &str| if uri.contains("{$") { Ok(None) } else { change(uri) };
    for index in 0..playlist.lines().len() {
        let Some(line) = playlist.lines().get(index) else { continue };
        match line.kind() {
            LineKind::Uri(uri) => {
                if let Some(changed) = change(uri)? {
                    playlist.set_uri(index, &changed);
                }
            }
            LineKind::Tag { name, value } if TAGS.contains(&name) => {
                // What is no list of attributes is found by whoever reads it.
                let Ok(mut list) = Attributes::parse(value) else { continue };
                let Ok(Some(uri)) = list.quoted_string("URI") else { continue };
                if let Some(changed) = change(uri)? {
                    list.set_quoted_string("URI", &changed)?;
                    playlist.set_value(index, list.as_str());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_of_files_are_changed_and_nothing_else() {
        let text = "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n#EXT-X-MAP:URI=\"a\",BYTERANGE=\"5@0\"\r\n\
            #EXT-X-OTHER:URI=\"b\"\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"key\"\n#EXTINF:2,\n  c \n{$d}\n\
            #EXT-X-MEDIA:TYPE=AUDIO,NAME=\"x\"\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"e\"\nf";
        let mut playlist = Playlist::parse(text.as_bytes()).unwrap();
        map_file_uris(&mut playlist, &mut |uri| Ok((uri != "e").then(|| format!("/{uri}/")))).unwrap();
        let expected = text.replace("\"a\"", "\"/a/\"").replace("  c ", "  /c/ ").replace("\nf", "\n/f/");
        assert_eq!(String::from_utf8(playlist.to_bytes()).unwrap(), expected);
    }
}
