//! Text beside video: cues, and the formats that they come in and go out as — WebVTT, TTML, SubRip, 3GPP TS 26.245.

mod samples;
mod srt;
mod ttml;
mod webvtt;

use std::ops::Range;

use crate::base::{Error, Result};

pub use samples::{TextSample, timed_text, webvtt_samples};

/// Files of text, by the end of their names.
const FORMATS: &[(&[&str], Format)] = &[
    (&["vtt", "webvtt"], Format::WebVtt),
    (&["srt"], Format::SubRip),
    (&["ttml", "dfxp", "imsc", "imsc1", "xml"], Format::Ttml),
];
/// Largest file of text that is read, in bytes: subtitles of a day are some megabytes.
pub const MAX_TEXT_BYTES: u64 = 8 << 20;

/// When a cue ends that is shown until the end of everything.
pub const NEVER: u64 = u64::MAX;
/// Most bytes of all segments of a track together: each repeats the styles, and the cues that go on in it.
const MAX_SEGMENTS_BYTES: usize = 1 << 30;

/// A format of text files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// WebVTT, W3C.
    WebVtt,
    /// SubRip, which has no standard.
    SubRip,
    /// TTML with its profiles IMSC1 and EBU-TT-D, W3C.
    Ttml,
}

impl Format {
    /// The format of a file of this name; `None` when it is none of text.
    pub fn of_name(name: &str) -> Option<Self> {
        let extension = name.rsplit(['/', '\\']).next()?.rsplit_once('.')?.1;
        let is_known = |known: &&str| known.eq_ignore_ascii_case(extension);
        FORMATS.iter().find(|(extensions, _)| extensions.iter().any(&is_known)).map(|(_, format)| *format)
    }
}

/// One cue, as WebVTT has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it is shown, in milliseconds.
    pub start: u64,
    /// Until when; [`NEVER`] of one that is shown until the end of everything.
    pub end: u64,
    /// Its identifier.
    pub id: Option<String>,
    /// Its settings.
    pub settings: String,
    /// Its text: lines that are not empty and have no `-->`.
    pub text: String,
}

/// The cues of one file or track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subtitles {
    /// The language that the file states.
    pub language: Option<String>,
    /// `STYLE` and `REGION` blocks.
    pub blocks: Vec<String>,
    /// The cues in the order of their begin.
    pub cues: Vec<Cue>,
}

impl Subtitles {
    /// Reads a file of text.
    ///
    /// # Errors
    /// When it is not of that format, or a cue cannot be read.
    pub fn read(format: Format, bytes: &[u8]) -> Result<Self> {
        let mut subtitles = match format {
            Format::WebVtt => webvtt::read(&text(bytes)?)?,
            Format::SubRip => srt::read(&text(bytes)?)?,
            Format::Ttml => ttml::read(bytes)?,
        };
        subtitles.cues.sort_by_key(|cue| cue.start);
        Ok(subtitles)
    }

    /// All of it as a WebVTT file.
    pub fn to_webvtt(&self) -> String {
        let mut out = webvtt::header(None, &self.blocks);
        self.cues.iter().for_each(|cue| webvtt::write(cue, &mut out));
        out
    }

    /// WebVTT segments that begin at these times in milliseconds, the last of them up to `end`, one by one: a cue is in
    /// every segment in which it is shown, RFC 8216bis §3.1.4. Cue times have `MPEGTS` 0 at the 90 kHz time `map`.
    ///
    /// # Errors
    /// When the segments would have more than `MAX_SEGMENTS_BYTES` together.
    pub fn segments(
        &self,
        starts: &[u64],
        end: u64,
        map: u64,
    ) -> Result<impl Iterator<Item = String> + use<>> {
        let header = webvtt::header(Some(map), &self.blocks);
        let mut bytes = header.len().saturating_mul(starts.len());
        let mut coming = Vec::new();
        for cue in &self.cues {
            let first = starts.partition_point(|start| *start <= cue.start).saturating_sub(1);
            let behind = starts.partition_point(|start| *start < cue.end).max(first + 1);
            let mut text = String::new();
            let stop = if cue.end == NEVER { end.max(cue.start + 1) } else { cue.end };
            webvtt::write(&Cue { end: stop, ..cue.clone() }, &mut text);
            bytes = bytes.saturating_add(text.len().saturating_mul(behind - first));
            coming.push((first..behind, text));
        }
        if bytes > MAX_SEGMENTS_BYTES {
            return Err(Error::unsupported(format!(
                "{} segments of text would have {bytes} bytes with the styles and the cues that last so long, at most {MAX_SEGMENTS_BYTES} are written",
                starts.len()
            ))
            .hint("give longer segments, cues that end, or less of STYLE"));
        }
        let mut coming = coming.into_iter().peekable();
        let mut shown: Vec<(Range<usize>, String)> = Vec::new();
        Ok((0..starts.len()).map(move |number| {
            shown.retain(|(within, _)| within.end > number);
            while let Some(next) = coming.next_if(|(within, _)| within.start <= number) {
                shown.push(next);
            }
            shown.iter().fold(header.clone(), |segment, (_, text)| segment + text)
        }))
    }
}

/// The characters of a file: UTF-8, or UTF-16 with a byte order mark; lines end with `\n`.
fn text(bytes: &[u8]) -> Result<String> {
    let wide = |of: fn([u8; 2]) -> u16| -> Option<String> {
        let (units, rest) = bytes.get(2..)?.as_chunks::<2>();
        rest.is_empty()
            .then(|| String::from_utf16(&units.iter().map(|unit| of(*unit)).collect::<Vec<_>>()).ok())?
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).ok().map(|text| text.trim_start_matches('\u{feff}').to_owned()),
    };
    let text = text.ok_or_else(|| {
        Error::input("not UTF-8 text")
            .hint("write it in UTF-8 first, such as with iconv -f WINDOWS-1252 -t UTF-8")
    })?;
    Ok(unified(&text))
}

/// Lines that end with `\n`, and no U+0000: <https://www.w3.org/TR/webvtt1/#webvtt-parser-algorithm>.
fn unified(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}")
}

/// Text that WebVTT shows as it is: <https://www.w3.org/TR/webvtt1/#webvtt-cue-text>.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Faces of characters, by bits: those of 3GPP TS 26.245 §5.17.1.1, and what is of ruby.
const BOLD: u8 = 1;
const ITALIC: u8 = 2;
const UNDERLINED: u8 = 4;
const RUBY: u8 = 8;
const RUBY_TEXT: u8 = 16;
/// Their tags in WebVTT, an outer one before those that may stand in it.
const FACES: [(u8, &str); 5] =
    [(RUBY, "ruby"), (RUBY_TEXT, "rt"), (BOLD, "b"), (ITALIC, "i"), (UNDERLINED, "u")];

/// Characters with their faces as cue text: lines without white space around them, and none that is empty.
fn marked(characters: &[(char, u8)]) -> String {
    let (mut out, mut face) = (String::new(), 0);
    let mut change = |out: &mut String, to: u8| {
        let is_other = |(bit, _): &(u8, &str)| (face ^ to) & bit != 0;
        let changed = FACES.iter().position(is_other).unwrap_or(FACES.len());
        let (_, inner) = FACES.split_at(changed);
        let of = |face: u8| inner.iter().filter(move |(bit, _)| face & bit != 0);
        of(face).rev().for_each(|(_, tag)| out.extend(["</", *tag, ">"]));
        of(to).for_each(|(_, tag)| out.extend(["<", *tag, ">"]));
        face = to;
    };
    let mut last = 0;
    for line in characters.split(|(character, _)| ['\n', '\r'].contains(character)) {
        let is_seen = |(character, _): &(char, u8)| !character.is_whitespace();
        let from_first = line.iter().position(is_seen).and_then(|first| line.get(first..));
        let Some(line @ [(_, first), ..]) = from_first else { continue };
        let length = line.iter().rposition(is_seen).map_or(0, |last| last + 1);
        if !out.is_empty() {
            change(&mut out, last & first);
            out.push('\n');
        }
        for (character, face) in line.iter().take(length) {
            change(&mut out, *face);
            let character = if *character == '\0' { char::REPLACEMENT_CHARACTER } else { *character };
            out.push_str(&escaped(character.encode_utf8(&mut [0; 4])));
            last = *face;
        }
    }
    change(&mut out, 0);
    out
}

/// The lines that are not empty: an empty one would end the cue.
fn lines(text: &str) -> String {
    unified(text)
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Hours, minutes and seconds with milliseconds behind a point or a comma, in milliseconds.
fn timestamp(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once(['.', ',']).unwrap_or_else(|| (text.trim(), "0"));
    let digits =
        |text: &str| -> Option<u64> { text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok())? };
    let mut seconds: u64 = 0;
    let parts: Vec<&str> = whole.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for part in parts {
        seconds = seconds.checked_mul(60)?.checked_add(digits(part)?)?;
    }
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    seconds.checked_mul(1000)?.checked_add(digits(&fraction)?)
}

#[cfg(test)]
mod tests;
