//! Text beside video: cues, and the formats that they come in and go out as — WebVTT, TTML, SubRip, 3GPP TS 26.245.

mod samples;
mod srt;
mod ttml;
mod webvtt;

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
    /// Until when.
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

    /// WebVTT segments between these times in milliseconds, the last one open: a cue is in every segment in which it is
    /// shown, RFC 8216bis §3.1.4. Cue times have `MPEGTS` 0 at the 90 kHz time `map`.
    ///
    /// # Errors
    /// When segments would have more than `MAX_SEGMENT_BYTES` together.
    pub fn segments(&self, starts: &[u64], map: u64) -> Result<Vec<String>> {
        let header = webvtt::header(Some(map), &self.blocks);
        let shown_in = |cue: &Cue| {
            let first = starts.partition_point(|start| *start <= cue.start).saturating_sub(1);
            first..starts.partition_point(|start| *start < cue.end).max(first + 1)
        };
        let copies =
            |cue: &Cue| (OF_CUE + cue.text.len() + cue.settings.len()).saturating_mul(shown_in(cue).len());
        let headers = header.len().saturating_mul(starts.len());
        if self.cues.iter().map(copies).fold(headers, usize::saturating_add) > MAX_SEGMENT_BYTES {
            return Err(Error::unsupported(format!(
                "cues or styles that segments have again and again, more than {MAX_SEGMENT_BYTES} bytes"
            ))
            .hint("give longer segments, or cues that end"));
        }
        let mut segments: Vec<String> = starts.iter().map(|_| header.clone()).collect();
        for cue in &self.cues {
            let shown_in = shown_in(cue);
            for segment in segments.iter_mut().take(shown_in.end).skip(shown_in.start) {
                webvtt::write(cue, segment);
            }
        }
        Ok(segments)
    }
}

/// Most bytes that segments have together: they are in memory until they are written.
const MAX_SEGMENT_BYTES: usize = 1 << 27;
/// What a cue has besides its text and settings, in bytes.
const OF_CUE: usize = 64;

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
