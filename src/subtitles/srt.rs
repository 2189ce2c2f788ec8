//! SubRip files: a number, times and lines of text, which become cues of WebVTT.

use super::{Cue, Subtitles, escaped, lines, timestamp};
use crate::base::{Error, Result};

/// Tags that both have.
const TAGS: &[&str] = &["b", "i", "u"];

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Subtitles> {
    let all: Vec<&str> = text.lines().collect();
    let is_times = |line: &&str| line.contains("-->");
    let places: Vec<usize> = (0..all.len()).filter(|at| all.get(*at).is_some_and(is_times)).collect();
    if places.is_empty() {
        return Err(Error::input(
            "no line with -->, expected 00:00:00,000 --> 00:00:00,000 before each text",
        ));
    }
    let mut subtitles = Subtitles::default();
    for (index, place) in places.iter().enumerate() {
        let next = places.get(index + 1).copied();
        let mut end = next.unwrap_or(all.len());
        let is_number =
            |line: &&str| !line.trim().is_empty() && line.trim().chars().all(|c| c.is_ascii_digit());
        if next.is_some() && all.get(end.wrapping_sub(1)).is_some_and(is_number) {
            end -= 1;
        }
        let times = all.get(*place).copied().unwrap_or_default();
        let text = all.get(place + 1..end).unwrap_or_default().join("\n");
        subtitles.cues.extend(cue((place + 1, times), &text)?);
    }
    Ok(subtitles)
}

/// A cue; `None` when it is never shown.
fn cue((number, times): (usize, &str), text: &str) -> Result<Option<Cue>> {
    let at = format!("line {number}");
    let wrong = || Error::input(format!("{times:?}, expected 00:00:00,000 --> 00:00:00,000")).at(at.clone());
    let (start, rest) = times.split_once("-->").ok_or_else(wrong)?;
    // Coordinates may follow, which nobody heeds.
    let end = rest.split_whitespace().next().unwrap_or_default();
    let (start, end) = (timestamp(start).ok_or_else(wrong)?, timestamp(end).ok_or_else(wrong)?);
    if end < start {
        return Err(Error::input(format!("{times:?}: it ends before it begins")).at(at));
    }
    let is_on_top = ["{\\an7", "{\\an8", "{\\an9"].iter().any(|mark| text.contains(mark));
    let text = lines(&cue_text(text));
    let settings = if is_on_top { "line:0" } else { "" }.to_owned();
    Ok((start < end && !text.is_empty()).then_some(Cue { start, end, id: None, settings, text }))
}

/// The text with what both formats have; other tags are left out, and what is none is escaped.
fn cue_text(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['<', '{']) {
        let (before, from) = rest.split_at(at);
        out.push_str(&escaped(before));
        let mark = if from.starts_with('<') { tag(from) } else { override_of(from) };
        let (written, length) = mark.unwrap_or_else(|| (escaped(from.get(..1).unwrap_or_default()), 1));
        out.push_str(&written);
        rest = from.get(length..).unwrap_or_default();
    }
    out + &escaped(rest)
}

/// What becomes of the tag at the begin, and its length.
fn tag(text: &str) -> Option<(String, usize)> {
    let end = closed(text, ['<', '>'])?;
    let inner = text.get(1..end)?;
    let (slash, name) = inner.strip_prefix('/').map_or(("", inner), |name| ("/", name));
    let name = name.split([' ', '\t', '\n']).next()?.to_ascii_lowercase();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    let written = if TAGS.contains(&name.as_str()) { format!("<{slash}{name}>") } else { String::new() };
    is_name.then_some((written, end + 1))
}

/// The length of a mark such as `{\an8}`, of which nothing is left.
fn override_of(text: &str) -> Option<(String, usize)> {
    text.starts_with("{\\").then(|| closed(text, ['{', '}']).map(|end| (String::new(), end + 1)))?
}

/// Where the mark at the begin is closed before another one opens: no text is looked through twice.
fn closed(text: &str, [open, close]: [char; 2]) -> Option<usize> {
    let (at, found) = text.char_indices().skip(1).find(|(_, c)| [open, close].contains(c))?;
    (found == close).then_some(at)
}
