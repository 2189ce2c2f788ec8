//! TTML and its profiles, IMSC1 and EBU-TT-D: what is shown when — W3C TTML1 §8.4, §9.3, §10, as cues of WebVTT.

mod clock;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::{BOLD, Cue, ITALIC, NEVER, RUBY, RUBY_TEXT, Subtitles, UNDERLINED, marked};
use crate::base::{Error, Result, language_tag};
use crate::xml::{Document, Element, Node, raw_text};
use clock::Clock;

/// Most characters of all cues together, and parts that they are put together of: a paragraph is written anew each time
/// that something in it comes or goes.
const MAX_WORK: usize = 16 << 20;

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Subtitles> {
    let document = Document::parse(bytes)?;
    let tt = document.root();
    if tt.local_name() != "tt" {
        return Err(Error::input(format!("the root element is {}, expected tt of TTML", tt.name()))
            .clause("TTML1 §7.1.1"));
    }
    let stated = Stated::of(tt)?;
    let mut reading = Reading {
        clock: Clock::of(&stated)?,
        styles: HashMap::new(),
        regions: HashMap::new(),
        cues: Vec::new(),
        work: 0,
    };
    if let Some(head) = tt.child("head") {
        reading.styling(head)?;
    }
    if let Some(body) = tt.child("body") {
        let keeps_space = stated.get("space") == Some("preserve");
        reading.timed(body, &Context { keeps_space, ..Context::default() }, None)?;
    }
    let language = stated.get("lang").and_then(language_tag);
    Ok(Subtitles { language, blocks: Vec::new(), cues: reading.cues })
}

/// The attributes of an element.
struct Stated<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Stated<'a> {
    fn of(element: &'a Element) -> Result<Self> {
        Ok(Self(element.attributes()?))
    }

    /// An attribute by its local name: prefixes are the writer's choice.
    fn get(&self, local_name: &str) -> Option<&str> {
        let is_named = |name: &str| name.rsplit(':').next() == Some(local_name);
        self.0.iter().find(|(name, _)| is_named(name)).map(|(_, value)| value.as_ref())
    }
}

/// From when to when something is shown, in milliseconds.
#[derive(Clone, Copy)]
struct Interval {
    start: f64,
    end: f64,
}

/// Bold, italic, underlined, and not seen: what text has of the elements around it.
type Faces = [Option<bool>; 4];

/// What each is stated by: the attribute, and the word in it.
const FACES: [(&str, &str); 4] = [
    ("fontWeight", "bold"),
    ("fontStyle", "italic"),
    ("textDecoration", "underline"),
    ("visibility", "hidden"),
];
/// What tts:ruby says, TTML2 §10.2.35: what text is in of WebVTT, and whether there is no text but that of its elements.
const RUBIES: [(&str, u8, bool); 5] = [
    ("container", RUBY, true),
    ("baseContainer", RUBY, true),
    ("base", RUBY, false),
    ("textContainer", RUBY | RUBY_TEXT, true),
    ("text", RUBY | RUBY_TEXT, false),
];

/// What an element, or a style, states.
#[derive(Clone, Copy, Default)]
struct Style {
    faces: Faces,
    is_displayed: Option<bool>,
    ruby: Option<(u8, bool)>,
    /// Of a region: whether text begins at its upper edge, and where that is in percent of the height.
    is_before: Option<bool>,
    top: Option<f64>,
}

impl Style {
    fn of(stated: &Stated<'_>) -> Self {
        let ruby = stated.get("ruby");
        let known = RUBIES.iter().find(|(name, ..)| ruby == Some(*name));
        let display = stated.get("display").map(|display| display != "none");
        let top = stated.get("origin").and_then(|origin| origin.split_whitespace().nth(1));
        Self {
            faces: FACES.map(|(name, word)| {
                stated.get(name).map(|value| value.split_whitespace().any(|found| found == word))
            }),
            // What stands around ruby where there is none is not shown with it.
            is_displayed: if ruby == Some("delimiter") { Some(false) } else { display },
            ruby: known.map(|(_, face, is_container)| (*face, *is_container)),
            is_before: stated.get("displayAlign").map(|align| align == "before"),
            top: top.and_then(|top| top.strip_suffix('%')?.parse().ok()),
        }
    }

    /// What this one states, and else the other one.
    fn over(self, other: Self) -> Self {
        Self {
            faces: over(self.faces, other.faces),
            is_displayed: self.is_displayed.or(other.is_displayed),
            ruby: self.ruby.or(other.ruby),
            is_before: self.is_before.or(other.is_before),
            top: self.top.or(other.top),
        }
    }

    /// Whether text in this region stands in the upper half.
    fn is_on_top(self) -> bool {
        self.is_before == Some(true) && self.top.is_none_or(|top| top < 50.0)
    }
}

fn over([a, b, c, d]: Faces, [e, f, g, h]: Faces) -> Faces {
    [a.or(e), b.or(f), c.or(g), d.or(h)]
}

/// What an element hands down to those in it.
#[derive(Clone, Copy)]
struct Context {
    interval: Interval,
    /// Whether the elements in it follow each other.
    is_sequence: bool,
    faces: Faces,
    is_displayed: bool,
    region: Style,
    keeps_space: bool,
    ruby: u8,
    /// Whether white space between the elements in it is none of the text.
    has_elements_only: bool,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            interval: Interval { start: 0.0, end: f64::INFINITY },
            is_sequence: false,
            faces: Faces::default(),
            is_displayed: true,
            region: Style::default(),
            keeps_space: false,
            ruby: 0,
            has_elements_only: false,
        }
    }
}

impl Context {
    /// The text in a part of a paragraph; `None` of what is never seen.
    fn piece(&self, text: &str) -> Option<Piece> {
        let [bold, italic, underlined, hidden] =
            over(self.faces, self.region.faces).map(|face| face == Some(true));
        let is_displayed = self.is_displayed && self.region.is_displayed != Some(false) && !hidden;
        let is_between = self.has_elements_only && text.trim().is_empty();
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        (is_displayed && !is_between && !text.is_empty()).then(|| Piece {
            interval: self.interval,
            text: text.to_owned(),
            face: bit(bold, BOLD) | bit(italic, ITALIC) | bit(underlined, UNDERLINED) | self.ruby,
            keeps_space: self.keeps_space,
            is_on_top: self.region.is_on_top(),
        })
    }
}

/// Text of a paragraph that is shown together.
struct Piece {
    interval: Interval,
    text: String,
    face: u8,
    keeps_space: bool,
    is_on_top: bool,
}

struct Reading {
    clock: Clock,
    styles: HashMap<String, Style>,
    regions: HashMap<String, Style>,
    cues: Vec<Cue>,
    /// Of [`MAX_WORK`].
    work: usize,
}

impl Reading {
    fn styling(&mut self, head: &Element) -> Result<()> {
        for style in head.child("styling").into_iter().flat_map(Element::elements) {
            let stated = Stated::of(style)?;
            if let Some(id) = stated.get("id") {
                self.styles.insert(id.to_owned(), self.style(style, &stated)?);
            }
        }
        for region in head.child("layout").into_iter().flat_map(Element::elements) {
            let stated = Stated::of(region)?;
            if let Some(id) = stated.get("id") {
                self.regions.insert(id.to_owned(), self.style(region, &stated)?);
            }
        }
        Ok(())
    }

    /// What an element states, by the styles that it names, by those in it, and by itself: §8.4.4.2.
    fn style(&self, element: &Element, stated: &Stated<'_>) -> Result<Style> {
        let names = stated.get("style").unwrap_or_default().split_whitespace();
        let named = names.filter_map(|name| self.styles.get(name));
        let mut style = named.fold(Style::default(), |style, named| named.over(style));
        for nested in element.named("style") {
            style = self.style(nested, &Stated::of(nested)?)?.over(style);
        }
        Ok(Style::of(stated).over(style))
    }

    /// When an element is shown inside of its parent; `before` is when the one before it ends, in a sequence.
    fn interval(&self, stated: &Stated<'_>, parent: Interval, before: Option<f64>) -> Result<Interval> {
        let time = |name| stated.get(name).map(|text| self.clock.time(text)).transpose();
        let base = before.unwrap_or(parent.start);
        let start = base + time("begin")?.unwrap_or(0.0);
        let mut end = time("end")?.map_or(parent.end, |end| base + end);
        if let Some(duration) = time("dur")? {
            end = end.min(start + duration);
        }
        Ok(Interval { start, end: end.min(parent.end) })
    }

    /// What an element hands down of what is handed down to it; `before` as for `interval`.
    fn inside(&self, element: &Element, outside: &Context, before: Option<f64>) -> Result<Context> {
        let stated = Stated::of(element)?;
        let style = self.style(element, &stated)?;
        // Of the region that is named next: §9.3.2.
        let region = stated.get("region").map(|name| self.regions.get(name).copied().unwrap_or_default());
        let (ruby, has_elements_only) = style.ruby.unwrap_or_default();
        Ok(Context {
            interval: self.interval(&stated, outside.interval, before)?,
            is_sequence: stated.get("timeContainer") == Some("seq"),
            faces: over(style.faces, outside.faces),
            is_displayed: outside.is_displayed && style.is_displayed != Some(false),
            region: region.unwrap_or(outside.region),
            keeps_space: stated.get("space").map_or(outside.keeps_space, |space| space == "preserve"),
            ruby: outside.ruby | ruby,
            has_elements_only,
        })
    }

    /// Goes through `body` and `div` to the paragraphs; when this one ends.
    fn timed(&mut self, element: &Element, outside: &Context, before: Option<f64>) -> Result<f64> {
        let inside = self.inside(element, outside, before)?;
        if element.local_name() == "p" {
            let mut pieces = Vec::new();
            self.pieces(element, &inside, &mut pieces).map_err(|error| error.at("p"))?;
            self.paragraph(&joined(pieces)).map_err(|error| error.at("p"))?;
            return Ok(inside.interval.end);
        }
        let mut sequence = inside.is_sequence.then_some(inside.interval.start);
        for child in element.elements().filter(|child| ["div", "p"].contains(&child.local_name())) {
            let end = self.timed(child, &inside, sequence)?;
            sequence = sequence.map(|_| end);
        }
        Ok(inside.interval.end)
    }

    /// The text in an element of a paragraph.
    fn pieces(&self, element: &Element, inside: &Context, out: &mut Vec<Piece>) -> Result<()> {
        let mut sequence = inside.is_sequence.then_some(inside.interval.start);
        for node in &element.children {
            match node {
                Node::Raw(raw) => out.extend(inside.piece(&raw_text(raw)?)),
                Node::Element(child) if child.local_name() == "br" => {
                    let line_break = Context { keeps_space: true, has_elements_only: false, ..*inside };
                    out.extend(line_break.piece("\n"));
                }
                Node::Element(child) if child.local_name() == "span" => {
                    let of_child = self.inside(child, inside, sequence)?;
                    sequence = sequence.map(|_| of_child.interval.end);
                    self.pieces(child, &of_child, out)?;
                }
                Node::Element(_) => {}
            }
        }
        Ok(())
    }

    /// The cues of a paragraph: one for each time in which its text is the same.
    fn paragraph(&mut self, pieces: &[Piece]) -> Result<()> {
        let mut times: Vec<f64> =
            pieces.iter().flat_map(|piece| [piece.interval.start, piece.interval.end]).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        let before = |time: f64| times.partition_point(|known| *known < time);
        let written = |piece: &Piece| {
            let times = before(piece.interval.end).saturating_sub(before(piece.interval.start));
            (1 + piece.text.len()).saturating_mul(times)
        };
        self.work = pieces.iter().map(written).fold(self.work, usize::saturating_add);
        if self.work > MAX_WORK {
            return Err(Error::unsupported(format!(
                "text that changes so often that its cues have more than {MAX_WORK} characters"
            ))
            .hint("divide it into paragraphs with times of their own"));
        }
        let mut coming: Vec<(usize, &Piece)> = pieces.iter().enumerate().collect();
        coming.sort_by(|(_, a), (_, b)| a.interval.start.total_cmp(&b.interval.start));
        let mut coming = coming.into_iter().peekable();
        let mut shown: BTreeMap<usize, &Piece> = BTreeMap::new();
        for (start, end) in times.iter().zip(times.iter().skip(1)) {
            while let Some((place, piece)) = coming.next_if(|(_, piece)| piece.interval.start <= *start) {
                shown.insert(place, piece);
            }
            shown.retain(|_, piece| piece.interval.end > *start);
            let is_on_top = shown.values().next().is_some_and(|first| first.is_on_top);
            let settings = if is_on_top { "line:0" } else { "" };
            let text = text(shown.values().copied());
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
}

/// Pieces without those that are white space between others: that is put on both sides of it, and is one space wherever
/// what is beside it is shown.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    let mut is_apart = false;
    for mut piece in pieces {
        if !piece.keeps_space && piece.text.trim_ascii().is_empty() {
            joined.last_mut().into_iter().for_each(|last| last.text.push(' '));
            is_apart = true;
            continue;
        }
        if std::mem::take(&mut is_apart) {
            piece.text.insert(0, ' ');
        }
        joined.push(piece);
    }
    joined
}

/// The text of pieces one behind the other. Each run of white space is one space, unless it is to be kept: §8.2.3.
fn text<'a>(pieces: impl Iterator<Item = &'a Piece>) -> String {
    let mut characters: Vec<(char, u8)> = Vec::new();
    for piece in pieces {
        for character in piece.text.chars() {
            if piece.keeps_space || !character.is_ascii_whitespace() {
                characters.push((character, piece.face));
            } else if characters.last().is_some_and(|(last, _)| ![' ', '\n'].contains(last)) {
                characters.push((' ', piece.face));
            }
        }
    }
    marked(&characters)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and saturating")]
fn milliseconds(time: f64) -> u64 {
    if time.is_finite() { time.round() as u64 } else { NEVER }
}
