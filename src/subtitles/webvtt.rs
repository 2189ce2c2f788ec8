//! WebVTT files — W3C WebVTT: The Web Video Text Tracks Format, RFC 8216bis §3.1.4.

use std::fmt::Write as _;

use super::{Cue, Subtitles, timestamp};
use crate::base::{Error, Result, language_tag};

const CLAUSE: &str = "WebVTT §4.1";

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Subtitles> {
    let mut lines = (1..).zip(text.lines()).peekable();
    let signature = lines.next().map_or("", |(_, line)| line);
    if signature.strip_prefix("WEBVTT").is_none_or(|rest| !(rest.is_empty() || rest.starts_with([' ', '\t'])))
    {
        return Err(Error::input("the first line is not WEBVTT").clause(CLAUSE));
    }
    let (mut subtitles, mut has_cue) = (Subtitles::default(), false);
    while let Some((number, line)) = lines.next_if(|(_, line)| !line.is_empty() && !line.contains("-->")) {
        if line.starts_with("X-TIMESTAMP-MAP") {
            return Err(Error::input("X-TIMESTAMP-MAP: the times of cues count from those of segments that are not here")
                .clause("RFC 8216bis §3.1.4")
                .at(format!("line {number}"))
                .hint("give the playlist that names the file, or take the line out if cues count from the begin of the film"));
        }
        if let Some(language) = line.strip_prefix("Language:") {
            subtitles.language = language_tag(language);
        }
    }
    loop {
        while lines.next_if(|(_, line)| line.is_empty()).is_some() {}
        // Times stand in the first line of a block or in the second; others begin a block of their own.
        let mut block: Vec<(usize, &str)> = Vec::new();
        while let Some(next) = lines.next_if(|(_, line)| match block.as_slice() {
            _ if line.is_empty() => false,
            [] => true,
            [(_, first)] => !line.contains("-->") || !first.contains("-->"),
            _ => !line.contains("-->"),
        }) {
            block.push(next);
        }
        match block.as_slice() {
            [] => return Ok(subtitles),
            [(number, times), text @ ..] if times.contains("-->") => {
                subtitles.cues.extend(cue(None, (*number, times), text)?);
                has_cue = true;
            }
            [(_, id), (number, times), text @ ..] if times.contains("-->") => {
                subtitles.cues.extend(cue(Some(id), (*number, times), text)?);
                has_cue = true;
            }
            [(_, first), ..] if ["STYLE", "REGION"].contains(&first.trim_end()) && !has_cue => {
                subtitles.blocks.push(block.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n"));
            }
            // A comment, or what readers pass over.
            _ => {}
        }
    }
}

/// A cue; `None` when it is never shown.
fn cue(id: Option<&str>, (number, times): (usize, &str), text: &[(usize, &str)]) -> Result<Option<Cue>> {
    let wrong = || {
        Error::input(format!("{times:?}, expected 00:00:00.000 --> 00:00:00.000 and settings"))
            .clause(CLAUSE)
            .at(format!("line {number}"))
    };
    let (start, rest) = times.split_once("-->").ok_or_else(wrong)?;
    let rest = rest.trim_start();
    let (end, settings) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let (start, end) = (timestamp(start).ok_or_else(wrong)?, timestamp(end).ok_or_else(wrong)?);
    if end < start {
        return Err(Error::input(format!("{times:?}: it ends before it begins"))
            .clause(CLAUSE)
            .at(format!("line {number}")));
    }
    let text = text.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
    let cue = Cue { start, end, id: id.map(str::to_owned), settings: settings.trim().to_owned(), text };
    Ok((start < end && !cue.text.is_empty()).then_some(cue))
}

/// What a file begins with. Cue times are 0 at the 90 kHz time `map` of the media.
pub(super) fn header(map: Option<u64>, blocks: &[String]) -> String {
    let mut out = "WEBVTT\n".to_owned();
    if let Some(map) = map {
        // 33 bits, as MPEG-2 systems count.
        let _ = writeln!(out, "X-TIMESTAMP-MAP=MPEGTS:{},LOCAL:00:00:00.000", map % (1 << 33));
    }
    out.push('\n');
    for block in blocks {
        let _ = write!(out, "{block}\n\n");
    }
    out
}

/// Writes a cue.
pub(super) fn write(cue: &Cue, out: &mut String) {
    if let Some(id) = &cue.id {
        let _ = writeln!(out, "{id}");
    }
    let space = if cue.settings.is_empty() { "" } else { " " };
    let _ = writeln!(out, "{} --> {}{space}{}", time(cue.start), time(cue.end), cue.settings);
    let _ = write!(out, "{}\n\n", cue.text);
}

fn time(milliseconds: u64) -> String {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    format!("{:02}:{:02}:{:02}.{milliseconds:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
