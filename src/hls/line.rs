//! A playlist as its lines — RFC 8216bis §4.1.

use std::ops::Range;

use super::define::ImportScope;
use crate::base::{Error, MAX_DOCUMENT_BYTES, Result};

/// Most lines: a day of half-second segments with five lines each has fewer.
pub const MAX_LINES: usize = 1 << 20;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Tags that only a media playlist may have: §4.4.3 to §4.4.5.
const MEDIA_TAGS: &[&str] = &[
    "EXTINF",
    "EXT-X-BITRATE",
    "EXT-X-BYTERANGE",
    "EXT-X-DATERANGE",
    "EXT-X-DISCONTINUITY",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-ENDLIST",
    "EXT-X-GAP",
    "EXT-X-I-FRAMES-ONLY",
    "EXT-X-KEY",
    "EXT-X-MAP",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-PART",
    "EXT-X-PART-INF",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-PRELOAD-HINT",
    "EXT-X-PROGRAM-DATE-TIME",
    "EXT-X-RENDITION-REPORT",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-SKIP",
    "EXT-X-TARGETDURATION",
];

/// Tags that only a multivariant playlist may have: §4.4.6.
const MULTIVARIANT_TAGS: &[&str] = &[
    "EXT-X-CONTENT-STEERING",
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-MEDIA",
    "EXT-X-SESSION-DATA",
    "EXT-X-SESSION-KEY",
    "EXT-X-STREAM-INF",
];

/// What a playlist lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaylistKind {
    /// Media segments.
    Media,
    /// Other playlists.
    Multivariant,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnding {
    /// A line feed.
    Lf,
    /// A carriage return and a line feed.
    CrLf,
    /// Nothing: the last line of a playlist without a final line feed.
    None,
}

/// One line as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    text: String,
    ending: LineEnding,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind<'a> {
    /// It begins with `#EXT`.
    Tag {
        /// What stands between `#` and the first `:`, such as `EXT-X-MAP`.
        name: &'a str,
        /// What stands behind the `:`, without white space around it.
        value: &'a str,
    },
    /// It begins with `#`, not with `#EXT`.
    Comment,
    /// It names a media segment or a playlist.
    Uri(&'a str),
    /// White space or nothing.
    Blank,
}

/// A playlist: its lines in order, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playlist {
    byte_order_mark: bool,
    lines: Vec<Line>,
    outside: ImportScope,
}

impl Playlist {
    /// Reads UTF-8; a byte order mark, which the standard forbids, is kept.
    ///
    /// # Errors
    /// When the text is not UTF-8, does not begin with `#EXTM3U`, has white space in front of a tag, or is too large.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(Error::input(format!(
                "playlist of {} bytes, at most {MAX_DOCUMENT_BYTES} are read",
                bytes.len()
            )));
        }
        let text = str::from_utf8(bytes).map_err(|error| {
            Error::input("the playlist is not UTF-8")
                .clause("RFC 8216bis §4.1")
                .at_byte(error.valid_up_to() as u64)
        })?;
        let rest = text.strip_prefix(BYTE_ORDER_MARK);
        let lines: Vec<Line> =
            rest.unwrap_or(text).split_inclusive('\n').take(MAX_LINES + 1).map(Line::parse).collect();
        if lines.len() > MAX_LINES {
            return Err(Error::input(format!("playlist of more than {MAX_LINES} lines")));
        }
        check_begins(&lines)?;
        if lines.first().and_then(|line| line.value("EXTM3U")) != Some("") {
            return Err(Error::input("the first line is not #EXTM3U").clause("RFC 8216bis §4.4.1.1"));
        }
        Ok(Self { byte_order_mark: rest.is_some(), lines, outside: ImportScope::default() })
    }

    /// Says where the playlist was named, so that its variables can take values from there: `EXT-X-DEFINE` with
    /// `IMPORT` or `QUERYPARAM`, §4.4.2.3. `uri` has its variables replaced.
    ///
    /// # Errors
    /// When a definition in the multivariant playlist is malformed.
    pub fn named_by(&mut self, multivariant: &Self, uri: &str) -> Result<()> {
        self.outside = ImportScope::of(multivariant, uri)?;
        Ok(())
    }

    pub(super) fn outside(&self) -> &ImportScope {
        &self.outside
    }

    /// A new playlist: `#EXTM3U` and these lines, each ended by a line feed.
    pub(super) fn new(texts: Vec<String>) -> Self {
        let mut playlist = Self {
            byte_order_mark: false,
            lines: vec![Line { text: "#EXTM3U".into(), ending: LineEnding::Lf }],
            outside: ImportScope::default(),
        };
        playlist.insert(1, texts);
        playlist
    }

    /// Inserts lines before the line at `index`, with the line ending of the first line.
    ///
    /// A playlist without a final line feed stays without one.
    pub(super) fn insert(&mut self, index: usize, texts: Vec<String>) {
        self.insert_all(vec![(index, texts)]);
    }

    /// The same in many places, whose indexes are those of before and in order.
    pub(super) fn insert_all(&mut self, insertions: Vec<(usize, Vec<String>)>) {
        let own = match self.lines.first() {
            Some(Line { ending: LineEnding::CrLf, .. }) => LineEnding::CrLf,
            _ => LineEnding::Lf,
        };
        let last = self.lines.last_mut().map_or(own, |line| std::mem::replace(&mut line.ending, own));
        let mut before = std::mem::take(&mut self.lines).into_iter();
        let mut taken = 0;
        for (index, texts) in insertions {
            self.lines.extend(before.by_ref().take(index.saturating_sub(taken)));
            taken = taken.max(index);
            self.lines.extend(texts.into_iter().map(|text| Line { text, ending: own }));
        }
        self.lines.extend(before);
        if let Some(line) = self.lines.last_mut() {
            line.ending = last;
        }
    }

    /// Removes every tag of this name; without a final line feed it stays so.
    pub(super) fn remove_tags(&mut self, name: &str) {
        let last = self.lines.last().map(|line| line.ending);
        self.lines.retain(|line| line.value(name).is_none());
        if let (Some(LineEnding::None), Some(line)) = (last, self.lines.last_mut()) {
            line.ending = LineEnding::None;
        }
    }

    /// Changes the value of the tag at `index` and nothing else on its line.
    pub(super) fn set_value(&mut self, index: usize, value: &str) {
        if let Some(line) = self.lines.get_mut(index)
            && let Some(span) = line.value_span()
        {
            line.text.replace_range(span, value);
        }
    }

    /// Changes the URI that the line at `index` is, and nothing around it.
    pub(super) fn set_uri(&mut self, index: usize, uri: &str) {
        if let Some(line) = self.lines.get_mut(index)
            && let LineKind::Uri(found) = line.kind()
        {
            let end = line.text.trim_ascii_end().len();
            line.text.replace_range(end - found.len()..end, uri);
        }
    }

    /// The lines in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Index and value of every tag of this name, in order.
    pub fn tags<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        self.lines.iter().enumerate().filter_map(move |(index, line)| Some((index, line.value(name)?)))
    }

    /// The playlist's bytes; those it was read from if nobody edited it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        if self.byte_order_mark {
            text.push_str(BYTE_ORDER_MARK);
        }
        for line in &self.lines {
            text.push_str(&line.text);
            text.push_str(match line.ending {
                LineEnding::Lf => "\n",
                LineEnding::CrLf => "\r\n",
                LineEnding::None => "",
            });
        }
        text.into_bytes()
    }

    /// Whether it lists media segments or playlists.
    ///
    /// # Errors
    /// When it has tags of both kinds or of neither.
    pub fn kind(&self) -> Result<PlaylistKind> {
        let find = |names: &[&str]| {
            self.lines.iter().enumerate().find_map(|(index, line)| match line.kind() {
                LineKind::Tag { name, .. } if names.contains(&name) => Some((index, name)),
                _ => None,
            })
        };
        match (find(MEDIA_TAGS), find(MULTIVARIANT_TAGS)) {
            (Some(_), None) => Ok(PlaylistKind::Media),
            (None, Some(_)) => Ok(PlaylistKind::Multivariant),
            (None, None) => Err(Error::input("no tag of a media or of a multivariant playlist")
                .clause("RFC 8216bis §4.1")
                .hint("expected an HLS playlist, not a plain M3U list")),
            (Some((media_line, media)), Some((line, multivariant))) => Err(Error::input(format!(
                "{multivariant} of a multivariant playlist beside {media} of a media playlist on line {}",
                media_line + 1
            ))
            .clause("RFC 8216bis §4.1")
            .at(place(line))),
        }
    }
}

impl Line {
    fn parse(raw: &str) -> Self {
        let (text, ending) = if let Some(text) = raw.strip_suffix("\r\n") {
            (text, LineEnding::CrLf)
        } else if let Some(text) = raw.strip_suffix('\n') {
            (text, LineEnding::Lf)
        } else {
            (raw, LineEnding::None)
        };
        Self { text: text.to_owned(), ending }
    }

    /// The line as written, without its ending.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How the line ends.
    pub fn ending(&self) -> LineEnding {
        self.ending
    }

    /// What the line is; white space around a URI and behind a tag is passed over.
    pub fn kind(&self) -> LineKind<'_> {
        let text = self.text.trim_ascii();
        match text.strip_prefix('#') {
            Some(tag) if tag.starts_with("EXT") => {
                let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
                LineKind::Tag { name, value: value.trim_ascii() }
            }
            Some(_) => LineKind::Comment,
            None if text.is_empty() => LineKind::Blank,
            None => LineKind::Uri(text),
        }
    }

    /// The value of the tag if it has this name, such as `EXT-X-MAP`.
    pub fn value(&self, name: &str) -> Option<&str> {
        match self.kind() {
            LineKind::Tag { name: found, value } if found == name => Some(value),
            _ => None,
        }
    }

    /// Where the value of the tag stands in the text.
    fn value_span(&self) -> Option<Range<usize>> {
        let LineKind::Tag { value, .. } = self.kind() else { return None };
        let end = self.text.trim_ascii_end().len();
        Some(end - value.len()..end)
    }
}

/// A tag has nothing in front of it on its line. Otherwise the line is a URI or the rest of another tag by the standard, and a
/// tag to players that pass over white space or divide lines elsewhere: a key that is in force for some of them only.
fn check_begins(lines: &[Line]) -> Result<()> {
    for (index, line) in lines.iter().enumerate() {
        let hidden = line.text.match_indices("#EXT").find_map(|(at, _)| {
            let (before, tag) = line.text.split_at(at);
            let last = before.chars().next_back()?;
            (before.chars().all(is_unseen) || divides_lines(last)).then_some((last, tag))
        });
        let Some((before, tag)) = hidden else { continue };
        let tag = tag.split(|next| next == ':' || is_unseen(next)).next().unwrap_or_default();
        let found = format!("{tag} behind U+{:04X}, expected # as the first character", u32::from(before));
        return Err(Error::input(found)
            .clause("RFC 8216bis §4.1")
            .at(place(index))
            .hint("remove that character: some players read a tag there, others a URI or nothing"));
    }
    Ok(())
}

/// White space, and what is as little seen.
fn is_unseen(one: char) -> bool {
    one.is_whitespace()
        || one.is_control()
        || matches!(one, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// What ends a line elsewhere than in playlists.
fn divides_lines(one: char) -> bool {
    matches!(one, '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The name of a line in errors; people count from 1.
pub(super) fn place(index: usize) -> String {
    format!("line {}", index + 1)
}
