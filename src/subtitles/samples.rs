//! Cues of MP4 tracks: WebVTT samples, ISO/IEC 14496-30 §7, and timed text, 3GPP TS 26.245 §5.17.

use super::{Cue, Subtitles, escaped, lines, unified, webvtt};
use crate::base::bytes::Reader;
use crate::base::{Error, Result};
use crate::isobmff::{BoxNode, parse_file};

/// Most cues that are shown at one time.
const MAX_AT_ONCE: usize = 1024;

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
            if shown.len() > MAX_AT_ONCE {
                return Err(Error::unsupported(format!("a WebVTT sample of more than {MAX_AT_ONCE} cues")));
            }
        }
        for cue in &mut shown {
            let is_same = |other: &Cue| {
                other.end == start
                    && (&other.id, &other.settings, &other.text) == (&cue.id, &cue.settings, &cue.text)
            };
            if let Some(at) = open.iter().position(is_same) {
                cue.start = open.swap_remove(at).start;
            }
        }
        subtitles.cues.append(&mut open);
        open = shown;
    }
    subtitles.cues.append(&mut open);
    subtitles.cues.retain(|cue| cue.start < cue.end);
    subtitles.cues.sort_by_key(|cue| cue.start);
    Ok(subtitles)
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
        let text = lines(&styled(&characters, &parse_file(reader.rest()).unwrap_or_default()));
        if !text.is_empty() && start < end {
            subtitles.cues.push(Cue { start, end, id: None, settings: String::new(), text });
        }
    }
    Ok(subtitles)
}

/// UTF-8, or UTF-16 with a byte order mark: §5.17.1.
fn characters(bytes: &[u8]) -> Vec<char> {
    match bytes.strip_prefix(&[0xfe, 0xff]) {
        Some(wide) => {
            let units = wide.as_chunks::<2>().0.iter().map(|unit| u16::from_be_bytes(*unit));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        None => String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n").chars().collect(),
    }
}

/// The text with the faces of its style records: bold, italic, underlined, §5.17.1.1.
fn styled(characters: &[char], boxes: &[BoxNode]) -> String {
    const FACES: [(u8, &str); 3] = [(1, "b"), (2, "i"), (4, "u")];
    let records = boxes
        .iter()
        .find(|node| node.is(b"styl"))
        .and_then(|node| node.payload().get(2..))
        .unwrap_or_default();
    let mut faces = vec![0_u8; characters.len()];
    for record in records.as_chunks::<12>().0 {
        let [s0, s1, e0, e1, _, _, face, ..] = *record;
        let (start, end) = (u16::from_be_bytes([s0, s1]).into(), usize::from(u16::from_be_bytes([e0, e1])));
        let range = start..end.min(faces.len());
        faces.get_mut(range).into_iter().flatten().for_each(|known| *known = face & 7);
    }
    let mut out = String::new();
    let mut face = 0;
    let mut change = |out: &mut String, to: u8| {
        if to != face {
            FACES
                .iter()
                .rev()
                .filter(|(bit, _)| face & bit != 0)
                .for_each(|(_, tag)| out.push_str(&format!("</{tag}>")));
            FACES
                .iter()
                .filter(|(bit, _)| to & bit != 0)
                .for_each(|(_, tag)| out.push_str(&format!("<{tag}>")));
            face = to;
        }
    };
    for (character, face) in characters.iter().zip(faces) {
        change(&mut out, face);
        out.push_str(&escaped(character.encode_utf8(&mut [0; 4])));
    }
    change(&mut out, 0);
    out
}
