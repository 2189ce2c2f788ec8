//! Cues of MP4 tracks: WebVTT samples, ISO/IEC 14496-30 §7, and timed text, 3GPP TS 26.245 §5.17.

use std::collections::HashMap;

use super::{BOLD, Cue, ITALIC, Subtitles, UNDERLINED, lines, marked, unified, webvtt};
use crate::base::Result;
use crate::base::bytes::Reader;
use crate::isobmff::{BoxNode, parse_file};

/// A sample: when it is shown, in milliseconds, and its bytes.
pub struct TextSample {
    /// When it begins.
    pub start: u64,
    /// When it ends.
    pub end: u64,
    /// What it holds.
    pub data: Vec<u8>,
}

/// The cues of WebVTT samples; `entry` is what the sample entry has behind its fixed fields. One that goes on in the next
/// sample is one cue.
///
/// # Errors
/// When a box is cut off, or the configuration is no WebVTT header.
pub fn webvtt_samples(entry: &[u8], samples: impl Iterator<Item = Result<TextSample>>) -> Result<Subtitles> {
    let config = parse_file(entry)?.into_iter().find(|node| node.is(b"vttC"));
    let header = config.map(|node| String::from_utf8_lossy(node.payload()).into_owned());
    let header = header.filter(|header| header.starts_with("WEBVTT")).unwrap_or_else(|| "WEBVTT".to_owned());
    let mut subtitles = webvtt::read(&unified(&header))?;
    let mut open: Vec<Cue> = Vec::new();
    for sample in samples {
        let TextSample { start, end, data } = sample?;
        let mut shown = Vec::new();
        for node in parse_file(&data)?.iter().filter(|node| node.is(b"vttc")) {
            shown.extend(webvtt_cue((start, end), &parse_file(node.payload())?));
        }
        let goes_on = goes_on(&open, start, &mut shown);
        let over = open.into_iter().zip(goes_on).filter(|(_, goes_on)| !goes_on);
        subtitles.cues.extend(over.map(|(cue, _)| cue));
        open = shown;
    }
    subtitles.cues.append(&mut open);
    subtitles.cues.retain(|cue| cue.start < cue.end);
    subtitles.cues.sort_by_key(|cue| cue.start);
    Ok(subtitles)
}

/// Which cues of the sample before go on in the next one, which begins at `start`: there they begin when they began before.
fn goes_on(open: &[Cue], start: u64, shown: &mut [Cue]) -> Vec<bool> {
    let said = |cue: &Cue| (cue.id.clone(), cue.settings.clone(), cue.text.clone());
    let mut known: HashMap<_, Vec<usize>> = HashMap::new();
    // The first of those that say the same is taken first.
    for (place, cue) in open.iter().enumerate().rev().filter(|(_, cue)| cue.end == start) {
        known.entry(said(cue)).or_default().push(place);
    }
    let mut goes_on = vec![false; open.len()];
    for cue in shown {
        let Some(place) = known.get_mut(&said(cue)).and_then(Vec::pop) else { continue };
        cue.start = open.get(place).map_or(cue.start, |known| known.start);
        goes_on.get_mut(place).into_iter().for_each(|known| *known = true);
    }
    goes_on
}

fn webvtt_cue((start, end): (u64, u64), boxes: &[BoxNode]) -> Option<Cue> {
    let text = |kind: &[u8; 4]| {
        let node = boxes.iter().find(|node| node.is(kind))?;
        Some(String::from_utf8_lossy(node.payload()).trim_end_matches('\0').to_owned())
    };
    let payload = lines(&text(b"payl")?.replace("-->", "--&gt;"));
    // What is left of `---->>` must be no arrow either.
    let one_line = |text: String| unified(&text).replace('\n', " ").replace("-->", "- ->").trim().to_owned();
    let (id, settings) = (text(b"iden").map(one_line), text(b"sttg").map(one_line).unwrap_or_default());
    let id = id.filter(|id| !id.is_empty());
    (!payload.is_empty()).then_some(Cue { start, end, id, settings, text: payload })
}

/// The cues of timed text.
///
/// # Errors
/// When a sample is cut off.
pub fn timed_text(samples: impl Iterator<Item = Result<TextSample>>) -> Result<Subtitles> {
    let mut subtitles = Subtitles::default();
    for sample in samples {
        let TextSample { start, end, data } = sample?;
        let mut reader = Reader::new(&data);
        let length = usize::from(reader.u16()?);
        let characters = characters(reader.take(length)?);
        let text = styled(characters, &parse_file(reader.rest()).unwrap_or_default());
        if !text.is_empty() && start < end {
            subtitles.cues.push(Cue { start, end, id: None, settings: String::new(), text });
        }
    }
    subtitles.cues.sort_by_key(|cue| cue.start);
    Ok(subtitles)
}

/// The upper half of Mac OS Roman, in which text of QuickTime may be that is not UTF-8: QuickTime File Format, Text Media.
const MAC_ROMAN: &str = "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø¿¡¬√ƒ≈∆«»…\u{a0}ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\u{f8ff}ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ";

fn mac_roman(byte: u8) -> char {
    let upper = byte.checked_sub(0x80).and_then(|index| MAC_ROMAN.chars().nth(index.into()));
    upper.unwrap_or_else(|| char::from(byte))
}

/// UTF-8, or UTF-16 with a byte order mark: §5.17.1.
fn characters(bytes: &[u8]) -> Vec<char> {
    match bytes.strip_prefix(&[0xfe, 0xff]) {
        Some(wide) => {
            let units = wide.as_chunks::<2>().0.iter().map(|unit| u16::from_be_bytes(*unit));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        None => {
            let text = std::str::from_utf8(bytes).map(str::to_owned);
            let text = text.unwrap_or_else(|_| bytes.iter().map(|byte| mac_roman(*byte)).collect());
            text.replace("\r\n", "\n").replace('\r', "\n").chars().collect()
        }
    }
}

/// The text with the faces of its style records, which follow each other: bold, italic, underlined, §5.17.1.1.
fn styled(characters: Vec<char>, boxes: &[BoxNode]) -> String {
    let records = boxes
        .iter()
        .find(|node| node.is(b"styl"))
        .and_then(|node| node.payload().get(2..))
        .unwrap_or_default();
    let mut characters: Vec<(char, u8)> = characters.into_iter().map(|character| (character, 0)).collect();
    let mut done = 0;
    for record in records.as_chunks::<12>().0 {
        let [s0, s1, e0, e1, _, _, face, ..] = *record;
        let (start, end) = (u16::from_be_bytes([s0, s1]).into(), usize::from(u16::from_be_bytes([e0, e1])));
        let range = done.max(start)..end.min(characters.len());
        done = done.max(end);
        let of_record = characters.get_mut(range).into_iter().flatten();
        of_record.for_each(|(_, known)| *known = face & (BOLD | ITALIC | UNDERLINED));
    }
    marked(&characters)
}
