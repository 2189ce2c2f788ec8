//! Keys of whole segments in a media playlist — RFC 8216bis §4.4.4.4, §4.4.4.5.

use super::key;
use super::line::{LineKind, Playlist};
use super::media::{self, SEGMENT_TAGS};
use super::version;
use crate::base::{Error, Result};

/// Whether media initialization sections are encrypted as segments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maps {
    /// They are clear, so that no key may be in force where one is named.
    Clear,
    /// They are under the key of the segment behind them.
    Encrypted,
}

/// Lines to put before the line of this index.
type Insertion = (usize, Vec<String>);

/// Puts each segment under a key: `keys` gives the finished `EXT-X-KEY` tag for the line of its URI, `None` when
/// the segment is clear.
///
/// A key is in force for every segment and map behind it until the next one (§4.4.4.4). Where a clear map
/// follows a key, `METHOD=NONE` goes before the map and the key again behind it.
///
/// # Errors
/// When a given line is no `EXT-X-KEY` tag that encrypts, or as [`media::segments`].
pub fn protect(playlist: &mut Playlist, maps: Maps, keys: &dyn Fn(usize) -> Option<String>) -> Result<()> {
    let mut insertions: Vec<Insertion> = Vec::new();
    let mut in_force: Option<String> = None;
    let mut begin = 0;
    for segment in media::segments(playlist)? {
        let wanted = keys(segment.line);
        let block = Block::find(playlist, begin, segment.line);
        begin = segment.line + 1;
        if let (Maps::Clear, Some((first, last))) = (maps, block.maps) {
            if in_force.is_some() {
                insertions.push((first, vec!["#EXT-X-KEY:METHOD=NONE".into()]));
            }
            if wanted.is_some() {
                insertions.push((last + 1, tag(wanted.as_ref())?));
            }
        } else if wanted != in_force {
            insertions.push((block.begin, tag(wanted.as_ref())?));
        }
        in_force = wanted;
    }
    playlist.insert_all(insertions);
    version::raise(playlist, 1)
}

fn tag(wanted: Option<&String>) -> Result<Vec<String>> {
    match wanted {
        Some(line) => key::checked_lines(std::slice::from_ref(line), "EXT-X-KEY"),
        None => Ok(vec!["#EXT-X-KEY:METHOD=NONE".into()]),
    }
}

/// The tags of one segment.
struct Block {
    /// The first of them, or of the maps among them.
    begin: usize,
    /// The first and the last `EXT-X-MAP`.
    maps: Option<(usize, usize)>,
}

impl Block {
    /// The block of the URI at line `uri`; nothing before line `from` belongs to it.
    fn find(playlist: &Playlist, from: usize, uri: usize) -> Self {
        let mut block = Self { begin: uri, maps: None };
        let lines = playlist.lines().get(from..uri).unwrap_or_default();
        for (index, line) in (from..).zip(lines) {
            let LineKind::Tag { name, .. } = line.kind() else { continue };
            if name == "EXT-X-MAP" {
                block.maps = Some((block.maps.map_or(index, |(first, _)| first), index));
            }
            if name == "EXT-X-MAP" || SEGMENT_TAGS.contains(&name) {
                block.begin = block.begin.min(index);
            }
        }
        block
    }
}

/// Removes keys, and refuses a playlist that has some already.
///
/// # Errors
/// When a key encrypts.
pub fn refuse_keys(playlist: &mut Playlist) -> Result<()> {
    if media::keys(playlist)?.iter().any(key::Key::encrypts) {
        return Err(Error::input("the playlist has keys already, expected clear segments").at("EXT-X-KEY"));
    }
    playlist.remove_tags("EXT-X-KEY");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"";

    fn protected(text: &str, maps: Maps, keys: &dyn Fn(usize) -> Option<String>) -> String {
        let mut playlist = Playlist::parse(text.as_bytes()).unwrap();
        protect(&mut playlist, maps, keys).unwrap();
        String::from_utf8(playlist.to_bytes()).unwrap()
    }

    #[test]
    fn one_key_goes_before_the_first_segment() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.ts\n#EXTINF:4,\n2.ts\n#EXT-X-ENDLIST\n";
        let expected = text.replacen("#EXTINF", &format!("{KEY}\n#EXTINF"), 1);
        assert_eq!(protected(text, Maps::Clear, &|_| Some(KEY.into())), expected);
    }

    #[test]
    fn a_clear_map_is_never_under_a_key() {
        let text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"a\"\n#EXTINF:4,\n1\n\
                    #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"b\"\n#EXTINF:4,\n2\n";
        let out = protected(text, Maps::Clear, &|_| Some(KEY.into()));
        let none = "#EXT-X-KEY:METHOD=NONE";
        let expected = text
            .replace("#EXT-X-MAP:URI=\"a\"\n", &format!("#EXT-X-MAP:URI=\"a\"\n{KEY}\n"))
            .replace("#EXT-X-MAP:URI=\"b\"\n", &format!("{none}\n#EXT-X-MAP:URI=\"b\"\n{KEY}\n"));
        assert_eq!(out, expected);
    }

    #[test]
    fn an_encrypted_map_is_under_the_key_and_keys_change_between_segments() {
        let text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"a\"\n#EXTINF:4,\n1\n#EXTINF:4,\n2\n";
        let key = |line: usize| Some(format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{}\"", line / 6));
        let out = protected(text, Maps::Encrypted, &key);
        let lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("#EXT-X-T")).collect();
        assert_eq!(lines[2], "#EXT-X-KEY:METHOD=AES-128,URI=\"0\"");
        assert_eq!(lines[3], "#EXT-X-MAP:URI=\"a\"");
        assert_eq!(lines[6], "#EXT-X-KEY:METHOD=AES-128,URI=\"1\"");
    }
}
