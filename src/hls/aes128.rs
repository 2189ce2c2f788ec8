//! Keys of AES-128 in a media playlist — RFC 8216bis §4.4.4.4, §4.4.4.5.

use super::line::{LineKind, Playlist};
use super::media::{self, SEGMENT_TAGS, set_keys};
use crate::base::Result;

/// Puts each segment and each media initialization section under a key: `keys` gives the finished `EXT-X-KEY` tag
/// for the line of a URI or of an `EXT-X-MAP` tag, `None` when what it names is clear.
///
/// A key is in force for every segment and map behind it until the next one, or until `METHOD=NONE`: §4.4.4.4.
///
/// # Errors
/// When a given line is no `EXT-X-KEY` tag that encrypts, the playlist has keys already, or as [`media::segments`].
pub fn protect(playlist: &mut Playlist, keys: &dyn Fn(usize) -> Option<String>) -> Result<()> {
    let mut tags: Vec<(usize, Vec<String>)> = Vec::new();
    let mut in_force: Option<String> = None;
    let mut begin = 0;
    for segment in media::segments(playlist)? {
        let block = Block::find(playlist, begin, segment.line);
        begin = segment.line + 1;
        let before_uri = block.maps.last().map_or(block.begin, |map| map + 1);
        let maps = block.maps.iter().map(|map| (*map, *map));
        for (position, line) in maps.chain([(before_uri, segment.line)]) {
            let wanted = keys(line);
            if wanted != in_force {
                tags.push((position, wanted.iter().cloned().collect()));
                in_force = wanted;
            }
        }
    }
    // Maps behind the last segment are for parts of the next ones, which are under the key of the segments.
    for map in Block::find(playlist, begin, playlist.lines().len()).maps {
        let wanted = keys(map);
        if wanted != in_force {
            tags.push((map, wanted.into_iter().collect()));
            tags.push((map + 1, in_force.iter().cloned().collect()));
        }
    }
    set_keys(playlist, tags)
}

/// The tags of one segment.
struct Block {
    /// The first of them, but for maps.
    begin: usize,
    /// Each `EXT-X-MAP` among them.
    maps: Vec<usize>,
}

impl Block {
    /// The block of the URI at line `uri`; nothing before line `from` belongs to it.
    fn find(playlist: &Playlist, from: usize, uri: usize) -> Self {
        let mut block = Self { begin: uri, maps: Vec::new() };
        let lines = playlist.lines().get(from..uri).unwrap_or_default();
        for (index, line) in (from..).zip(lines) {
            let LineKind::Tag { name, .. } = line.kind() else { continue };
            if name == "EXT-X-MAP" {
                block.maps.push(index);
            } else if SEGMENT_TAGS.contains(&name) {
                block.begin = block.begin.min(index);
            }
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"";

    fn protected(text: &str, keys: &dyn Fn(usize) -> Option<String>) -> String {
        let mut playlist = Playlist::parse(text.as_bytes()).unwrap();
        protect(&mut playlist, keys).unwrap();
        String::from_utf8(playlist.to_bytes()).unwrap()
    }

    /// Lines that do not name a map are under the key.
    fn clear_maps(text: &str) -> impl Fn(usize) -> Option<String> {
        let maps: Vec<bool> = text.lines().map(|line| line.starts_with("#EXT-X-MAP")).collect();
        move |line| (!maps[line]).then(|| KEY.into())
    }

    #[test]
    fn one_key_goes_before_the_first_segment() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.ts\n#EXTINF:4,\n2.ts\n#EXT-X-ENDLIST\n";
        let expected = text.replacen("#EXTINF", &format!("{KEY}\n#EXTINF"), 1);
        assert_eq!(protected(text, &|_| Some(KEY.into())), expected);
    }

    #[test]
    fn a_clear_map_is_never_under_a_key() {
        let text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"a\"\n#EXTINF:4,\n1\n\
                    #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"b\"\n#EXTINF:4,\n2\n";
        let out = protected(text, &clear_maps(text));
        let none = "#EXT-X-KEY:METHOD=NONE";
        let expected = text
            .replace("#EXT-X-MAP:URI=\"a\"\n", &format!("#EXT-X-MAP:URI=\"a\"\n{KEY}\n"))
            .replace("#EXT-X-MAP:URI=\"b\"\n", &format!("{none}\n#EXT-X-MAP:URI=\"b\"\n{KEY}\n"));
        assert_eq!(out, expected);
    }

    #[test]
    fn a_clear_map_behind_the_last_segment_is_clear_too() {
        let text = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"a\"\n#EXTINF:4,\n1\n\
                    #EXT-X-MAP:URI=\"b\"\n#EXT-X-PART:DURATION=1,URI=\"p\"\n";
        let expected =
            text.replace("#EXT-X-MAP:URI=\"a\"\n", &format!("#EXT-X-MAP:URI=\"a\"\n{KEY}\n")).replace(
                "#EXT-X-MAP:URI=\"b\"\n",
                &format!("#EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP:URI=\"b\"\n{KEY}\n"),
            );
        assert_eq!(protected(text, &clear_maps(text)), expected);
    }

    #[test]
    fn maps_and_segments_are_each_under_the_key_that_is_theirs() {
        let text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"a\"\n#EXTINF:4,\n1\n\
                    #EXTINF:4,\n2\n#EXT-X-MAP:URI=\"a\"\n#EXTINF:4,\n3\n";
        let key = |name: &str| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{name}\"");
        let out = protected(text, &|line| Some(key(["0", "1"][usize::from(line == 7 || line > 8)])));
        let names: Vec<&str> = out.lines().skip(3).filter(|line| !line.starts_with("#EXTINF")).collect();
        let (zero, one, map) = (key("0"), key("1"), "#EXT-X-MAP:URI=\"a\"");
        assert_eq!(
            names,
            [zero.as_str(), map, "1", one.as_str(), "2", zero.as_str(), map, one.as_str(), "3"]
        );
    }
}
