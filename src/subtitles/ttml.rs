//! TTML and its profiles, IMSC1 and EBU-TT-D: what is shown when — W3C TTML1 §10, §12, as cues of WebVTT.

use std::collections::HashMap;

use super::{Cue, Subtitles, escaped, lines};
use crate::base::{Error, Result, language_tag};
use crate::xml::{Document, Element, Node, raw_text};

const CLAUSE: &str = "TTML1 §10.3.1";
/// Most changes inside of one paragraph: each time is looked at over all of it.
const MAX_CHANGES: usize = 1024;
/// Most of that, in bytes of paragraphs times their changes.
const MAX_LOOKED_AT: usize = 1 << 26;
/// What an element or attribute counts for, in bytes.
const OF_ELEMENT: usize = 64;

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Subtitles> {
    let document = Document::parse(bytes)?;
    let tt = document.root();
    if tt.local_name() != "tt" {
        return Err(Error::input(format!("the root element is {}, expected tt of TTML", tt.name()))
            .clause("TTML1 §7.1.1"));
    }
    let mut reading =
        Reading { clock: Clock::of(tt)?, styles: HashMap::new(), on_top: HashMap::new(), cues: Vec::new() };
    if let Some(head) = tt.child("head") {
        reading.styling(head)?;
    }
    if let Some(body) = tt.child("body") {
        reading.timed(body, Interval::ALL, None)?;
    }
    let language = attribute(tt, "lang")?.as_deref().and_then(language_tag);
    Ok(Subtitles { language, blocks: Vec::new(), cues: reading.cues })
}

/// An attribute by its local name: prefixes are the writer's choice.
fn attribute(element: &Element, local_name: &str) -> Result<Option<String>> {
    let attributes = element.attributes()?;
    let is_named = |name: &str| name.rsplit(':').next() == Some(local_name);
    Ok(attributes.into_iter().find(|(name, _)| is_named(name)).map(|(_, value)| value.into_owned()))
}

/// What times are written in.
struct Clock {
    frame_rate: f64,
    tick_rate: f64,
}

impl Clock {
    fn of(tt: &Element) -> Result<Self> {
        let number = |name| -> Result<Option<f64>> {
            let Some(text) = attribute(tt, name)? else { return Ok(None) };
            let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
            number
                .map(Some)
                .ok_or_else(|| Error::input(format!("{name} {text:?} is no number")).clause("TTML1 §6.2"))
        };
        let mut frame_rate = number("frameRate")?.unwrap_or(30.0);
        if let Some(multiplier) = attribute(tt, "frameRateMultiplier")? {
            let parts: Vec<f64> = multiplier.split([' ', ':']).filter_map(|part| part.parse().ok()).collect();
            if let [numerator, denominator] = *parts.as_slice()
                && numerator > 0.0
                && denominator > 0.0
            {
                frame_rate *= numerator / denominator;
            }
        }
        let has_frames = attribute(tt, "frameRate")?.is_some();
        let tick_rate = number("tickRate")?.unwrap_or(if has_frames { frame_rate } else { 1.0 });
        Ok(Self { frame_rate, tick_rate })
    }

    /// A time expression in milliseconds: §10.3.1.
    fn time(&self, text: &str) -> Result<f64> {
        let wrong = || {
            Error::input(format!("time {text:?}, expected 00:00:00.000, frames behind a third colon, or a number with h m s ms f t"))
                .clause(CLAUSE)
        };
        let number =
            |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let text = text.trim();
        if text.contains(':') {
            let parts: Option<Vec<f64>> = text.split(':').map(number).collect();
            return match parts.ok_or_else(wrong)?.as_slice() {
                [hours, minutes, seconds] => Ok((hours * 3600.0 + minutes * 60.0 + seconds) * 1000.0),
                [hours, minutes, seconds, frames] => {
                    Ok((hours * 3600.0 + minutes * 60.0 + seconds + frames / self.frame_rate) * 1000.0)
                }
                _ => Err(wrong()),
            };
        }
        let metrics = [
            ("ms", 1.0),
            ("h", 3_600_000.0),
            ("m", 60_000.0),
            ("s", 1000.0),
            ("f", 1000.0 / self.frame_rate),
            ("t", 1000.0 / self.tick_rate),
        ];
        let found =
            metrics.iter().find_map(|(metric, factor)| Some(number(text.strip_suffix(metric)?)? * factor));
        found.ok_or_else(wrong)
    }
}

/// From when to when something is shown, in milliseconds.
#[derive(Clone, Copy)]
struct Interval {
    start: f64,
    end: f64,
}

impl Interval {
    const ALL: Self = Self { start: 0.0, end: f64::INFINITY };

    fn has(self, time: f64) -> bool {
        self.start <= time && time < self.end
    }
}

/// Bold, italic, underlined.
type Faces = [Option<bool>; 3];

const TAGS: [&str; 3] = ["b", "i", "u"];

struct Reading {
    clock: Clock,
    styles: HashMap<String, Faces>,
    /// The regions that are in the upper half.
    on_top: HashMap<String, bool>,
    cues: Vec<Cue>,
}

impl Reading {
    fn styling(&mut self, head: &Element) -> Result<()> {
        for style in head.child("styling").into_iter().flat_map(Element::elements) {
            if let Some(id) = attribute(style, "id")? {
                let faces = self.faces(style)?;
                self.styles.insert(id, faces);
            }
        }
        for region in head.child("layout").into_iter().flat_map(Element::elements) {
            let Some(id) = attribute(region, "id")? else { continue };
            let mut of = vec![region];
            of.extend(region.elements().filter(|inner| inner.local_name() == "style"));
            let (mut is_before, mut is_high) = (false, true);
            for element in of {
                is_before |= attribute(element, "displayAlign")?.is_some_and(|align| align == "before");
                let origin = attribute(element, "origin")?.unwrap_or_default();
                let y =
                    origin.split_whitespace().nth(1).and_then(|y| y.strip_suffix('%')?.parse::<f64>().ok());
                is_high &= y.is_none_or(|y| y < 50.0);
            }
            self.on_top.insert(id, is_before && is_high);
        }
        Ok(())
    }

    /// The faces that an element states, or the styles that it names.
    fn faces(&self, element: &Element) -> Result<Faces> {
        let mut faces = Faces::default();
        for name in attribute(element, "style")?.unwrap_or_default().split_whitespace() {
            for (face, named) in faces.iter_mut().zip(self.styles.get(name).copied().unwrap_or_default()) {
                *face = named.or(*face);
            }
        }
        let stated = [("fontWeight", "bold"), ("fontStyle", "italic"), ("textDecoration", "underline")];
        for (face, (name, value)) in faces.iter_mut().zip(stated) {
            if let Some(found) = attribute(element, name)? {
                *face = Some(found.split_whitespace().any(|word| word == value));
            }
        }
        Ok(faces)
    }

    /// When an element is shown inside of its parent; `before` is when the one before it ends, in a sequence.
    fn interval(&self, element: &Element, parent: Interval, before: Option<f64>) -> Result<Interval> {
        let time = |name| attribute(element, name)?.map(|text| self.clock.time(&text)).transpose();
        let base = before.unwrap_or(parent.start);
        let start = base + time("begin")?.unwrap_or(0.0);
        let mut end = time("end")?.map_or(parent.end, |end| base + end);
        if let Some(duration) = time("dur")? {
            end = end.min(start + duration);
        }
        Ok(Interval { start, end: end.min(parent.end) })
    }

    /// Whether the children of an element follow each other.
    fn is_sequence(element: &Element) -> Result<bool> {
        Ok(attribute(element, "timeContainer")?.is_some_and(|container| container == "seq"))
    }

    /// Goes through `body` and `div` to the paragraphs.
    fn timed(&mut self, element: &Element, parent: Interval, before: Option<f64>) -> Result<Interval> {
        let interval = self.interval(element, parent, before)?;
        if element.local_name() == "p" {
            self.paragraph(element, interval).map_err(|error| error.at("p"))?;
            return Ok(interval);
        }
        let mut sequence = Self::is_sequence(element)?.then_some(interval.start);
        for child in element.elements().filter(|child| ["div", "p"].contains(&child.local_name())) {
            let shown = self.timed(child, interval, sequence)?;
            sequence = sequence.map(|_| shown.end);
        }
        Ok(interval)
    }

    /// The cues of a paragraph: one for each time in which its text is the same.
    fn paragraph(&mut self, element: &Element, interval: Interval) -> Result<()> {
        let mut times = vec![interval.start, interval.end];
        self.changes(element, interval, &mut times)?;
        times.retain(|time| *time >= interval.start && *time <= interval.end);
        times.sort_by(f64::total_cmp);
        times.dedup();
        if times.len() > MAX_CHANGES {
            return Err(Error::unsupported(format!(
                "a paragraph that changes {} times, at most {MAX_CHANGES} are read",
                times.len()
            )));
        }
        if size(element)?.saturating_mul(times.len()) > MAX_LOOKED_AT {
            return Err(Error::unsupported(format!(
                "a paragraph of {} bytes that changes {} times",
                size(element)?,
                times.len()
            ))
            .hint("divide it into paragraphs with times of their own"));
        }
        let region = attribute(element, "region")?.unwrap_or_default();
        let settings = if self.on_top.get(&region) == Some(&true) { "line:0" } else { "" };
        for (start, end) in times.iter().zip(times.iter().skip(1)) {
            let mut text = String::new();
            self.text(element, interval, (*start, false), &mut text)?;
            let text = lines(&text.split('\n').map(str::trim).collect::<Vec<_>>().join("\n"));
            let (start, end) = (milliseconds(*start), milliseconds(*end));
            if text.is_empty() || start >= end {
                continue;
            }
            match self.cues.last_mut() {
                Some(last) if last.end == start && last.text == text && last.settings == settings => {
                    last.end = end
                }
                _ => self.cues.push(Cue { start, end, id: None, settings: settings.to_owned(), text }),
            }
        }
        Ok(())
    }

    /// The times at which something inside of an element begins or ends.
    fn changes(&self, element: &Element, interval: Interval, times: &mut Vec<f64>) -> Result<()> {
        let mut sequence = Self::is_sequence(element)?.then_some(interval.start);
        for child in element.elements() {
            let shown = self.interval(child, interval, sequence)?;
            sequence = sequence.map(|_| shown.end);
            if times.len() <= MAX_CHANGES * 2 {
                times.extend([shown.start, shown.end]);
            }
            self.changes(child, shown, times)?;
        }
        Ok(())
    }

    /// What is shown of an element at a time.
    fn text(
        &self,
        element: &Element,
        interval: Interval,
        (time, keeps_space): (f64, bool),
        out: &mut String,
    ) -> Result<()> {
        let keeps_space = attribute(element, "space")?.map_or(keeps_space, |space| space == "preserve");
        let faces = self.faces(element)?;
        let tags = || TAGS.iter().zip(faces).filter(|(_, face)| *face == Some(true)).map(|(tag, _)| tag);
        tags().for_each(|tag| out.push_str(&format!("<{tag}>")));
        let mut sequence = Self::is_sequence(element)?.then_some(interval.start);
        for node in &element.children {
            match node {
                Node::Raw(raw) => {
                    let text = escaped(&raw_text(raw)?);
                    if keeps_space { out.push_str(&text) } else { push_collapsed(&text, out) }
                }
                Node::Element(child) if child.local_name() == "br" => out.push('\n'),
                Node::Element(child) if child.local_name() == "span" => {
                    let shown = self.interval(child, interval, sequence)?;
                    sequence = sequence.map(|_| shown.end);
                    if shown.has(time) {
                        self.text(child, shown, (time, keeps_space), out)?;
                    }
                }
                Node::Element(_) => {}
            }
        }
        tags().rev().for_each(|tag| out.push_str(&format!("</{tag}>")));
        Ok(())
    }
}

/// How much there is of an element.
fn size(element: &Element) -> Result<usize> {
    let mut size = OF_ELEMENT * (1 + element.attributes()?.len());
    for node in &element.children {
        size += match node {
            Node::Raw(raw) => raw.len(),
            Node::Element(child) => self::size(child)?,
        };
    }
    Ok(size)
}

/// Each run of white space is one space: `xml:space` is `default`.
fn push_collapsed(text: &str, out: &mut String) {
    for character in text.chars() {
        if !character.is_ascii_whitespace() {
            out.push(character);
        } else if !out.is_empty() && !out.ends_with([' ', '\n']) {
            out.push(' ');
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and saturating")]
fn milliseconds(time: f64) -> u64 {
    // What never ends is shown for a day.
    time.min(86_400_000.0 * 1000.0).round() as u64
}
