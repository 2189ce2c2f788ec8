//! A lossless element tree for CPIX, MPD and PlayReady headers — XML 1.0 and Namespaces in XML 1.0.
//!
//! Every node keeps the text it was read from, so that a document nobody edits is written back
//! byte for byte. White space between attributes may be missing (seen in published MPDs): of documents that are
//! handed on, this and its like is put right.
//! A DOCTYPE and every entity but the five predefined ones are refused.
//!
//! It is longer than 400 lines because tree, reader and attributes share one form: the text as written.

mod repair;

use std::borrow::Cow;
use std::collections::BTreeSet;

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::Event;

use crate::base::{Error, Result};

/// Largest document in bytes: a manifest of a day's segments is some megabytes.
pub const MAX_DOCUMENT_BYTES: usize = 8 << 20;
/// Deepest nesting; MPD and CPIX need about ten.
pub const MAX_DEPTH: usize = 64;

/// How the document's bytes spell its characters: XML 1.0 §4.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf8Bom,
    Utf16Le,
    Utf16Be,
}

/// A whole document: prolog, root element, what follows it.
#[derive(Clone, Debug)]
pub struct Document {
    encoding: Encoding,
    prolog: Vec<Node>,
    root: Element,
    epilog: Vec<Node>,
}

/// A child of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text, comment, CDATA or processing instruction, as written.
    Raw(String),
}

/// An element: its start tag as written, its children, its end tag as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// What stands between `<` and `>` (or `/>`), as written.
    tag: String,
    /// What stands between `</` and `>`; `None` for an empty-element tag.
    end: Option<String>,
    /// Child nodes in order.
    pub children: Vec<Node>,
}

/// Names of encodings that a document in UTF-8 or UTF-16 may say; some writers say one of which theirs is a part.
const ENCODINGS: &[&str] =
    &["utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii", "iso-8859-1"];

impl Document {
    /// Reads UTF-8 with or without a byte order mark, or UTF-16 with one.
    ///
    /// # Errors
    /// When the document is not well formed, has a DOCTYPE or an unknown entity, or is too large or too deep.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        check_size(bytes)?;
        let (encoding, text) = decode(bytes)?;
        Self::read(encoding, &text)
    }

    /// Reads a document that need not be well formed where what it means is not in doubt, and says what was put right:
    /// nothing of one that is well formed.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse_repaired(bytes: &[u8]) -> Result<(Self, Vec<String>)> {
        check_size(bytes)?;
        let (encoding, text) = decode(bytes)?;
        match repair::repaired(&text)? {
            Some((text, repairs)) => Ok((Self::read(encoding, &text)?, repairs.lines())),
            None => Ok((Self::read(encoding, &text)?, Vec::new())),
        }
    }

    fn read(encoding: Encoding, text: &str) -> Result<Self> {
        check_declaration(text)?;
        let mut parser = Parser { reader: Reader::from_str(text), text };
        let mut prolog = Vec::new();
        let root = loop {
            match parser.next()? {
                Token::Start(tag) => break parser.element(tag, 1)?,
                Token::Empty(tag) => break Element { tag, end: None, children: Vec::new() },
                Token::Raw(raw) => prolog.push(outside(raw)?),
                Token::End(_) | Token::Eof => {
                    return Err(Error::input("no root element").clause("XML 1.0 §2.1"));
                }
            }
        };
        let mut epilog = Vec::new();
        loop {
            match parser.next()? {
                Token::Raw(raw) => epilog.push(outside(raw)?),
                Token::Eof => break,
                _ => return Err(Error::input("a second root element").clause("XML 1.0 §2.1")),
            }
        }
        Ok(Self { encoding, prolog, root, epilog })
    }

    /// A new UTF-8 document with an XML declaration.
    pub fn new(root: Element) -> Self {
        Self {
            encoding: Encoding::Utf8,
            prolog: vec![Node::Raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".into())],
            root,
            epilog: vec![Node::Raw("\n".into())],
        }
    }

    /// The document's bytes, in the encoding it was read from.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        self.prolog.iter().for_each(|node| node.write(&mut text));
        self.root.write(&mut text);
        self.epilog.iter().for_each(|node| node.write(&mut text));
        match self.encoding {
            Encoding::Utf8 => text.into_bytes(),
            Encoding::Utf8Bom => [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(),
            Encoding::Utf16Le => {
                [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
            }
            Encoding::Utf16Be => {
                [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect()
            }
        }
    }

    /// The root element.
    pub fn root(&self) -> &Element {
        &self.root
    }

    /// The root element, to edit.
    pub fn root_mut(&mut self) -> &mut Element {
        &mut self.root
    }
}

impl Node {
    fn write(&self, out: &mut String) {
        match self {
            Self::Element(element) => element.write(out),
            Self::Raw(raw) => out.push_str(raw),
        }
    }
}

impl Element {
    /// A new empty element with a qualified name.
    pub fn new(name: &str) -> Self {
        Self { tag: name.to_owned(), end: None, children: Vec::new() }
    }

    /// The same start tag with nothing in it.
    pub(crate) fn emptied(&self) -> Self {
        Self { tag: self.tag.clone(), end: self.end.clone(), children: Vec::new() }
    }

    /// The same with an attribute more; the value is escaped.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set_attribute(name, value);
        self
    }

    /// The same with text content appended; it is escaped.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.children.push(Node::Raw(escape(text).into_owned()));
        self
    }

    /// The same with a child element appended.
    #[must_use]
    pub fn with_child(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// The qualified name, such as `cenc:pssh`.
    pub fn name(&self) -> &str {
        let end = self.tag.find(|c: char| c.is_ascii_whitespace()).unwrap_or(self.tag.len());
        self.tag.get(..end).unwrap_or_default()
    }

    /// The name without its prefix.
    pub fn local_name(&self) -> &str {
        self.name().rsplit(':').next().unwrap_or_default()
    }

    /// The prefix of the name, empty when it has none.
    pub fn prefix(&self) -> &str {
        self.name().split_once(':').map_or("", |(prefix, _)| prefix)
    }

    /// Gives the element another qualified name.
    pub fn set_name(&mut self, name: &str) {
        let length = self.name().len();
        self.tag.replace_range(..length, name);
        if let Some(end) = &mut self.end {
            name.clone_into(end);
        }
    }

    /// The unescaped value of the attribute with this qualified name.
    ///
    /// # Errors
    /// When the start tag is malformed or the value has an unknown entity.
    pub fn attribute(&self, name: &str) -> Result<Option<Cow<'_, str>>> {
        for attribute in Attributes::of(&self.tag) {
            let attribute = attribute?;
            if attribute.name == name {
                return unescape(attribute.value)
                    .map(Some)
                    .map_err(|error| Error::input(format!("attribute {name}: {error}")).at(self.name()));
            }
        }
        Ok(None)
    }

    /// Names and unescaped values of all attributes in order, namespace declarations included.
    ///
    /// # Errors
    /// As [`Element::attribute`].
    pub fn attributes(&self) -> Result<Vec<(&str, Cow<'_, str>)>> {
        Attributes::of(&self.tag)
            .map(|attribute| {
                let Attribute { name, value, .. } = attribute?;
                let value =
                    unescape(value).map_err(|error| Error::input(format!("attribute {name}: {error}")))?;
                Ok((name, value))
            })
            .collect()
    }

    /// Names and values of all attributes in order, the values as they are written.
    ///
    /// # Errors
    /// When the start tag is malformed.
    pub fn raw_attributes(&self) -> Result<Vec<(&str, &str)>> {
        Attributes::of(&self.tag)
            .map(|attribute| attribute.map(|Attribute { name, value, .. }| (name, value)))
            .collect()
    }

    /// Sets an attribute: an existing value is replaced where it stands, a new one goes last.
    pub fn set_attribute(&mut self, name: &str, value: &str) {
        let escaped = escape(value).into_owned();
        let found = Attributes::of(&self.tag)
            .filter_map(Result::ok)
            .find(|attribute| attribute.name == name)
            .map(|attribute| attribute.start..attribute.start + attribute.value.len());
        if let Some(span) = found {
            // A value in single quotes may hold double quotes only; `escape` leaves neither.
            self.tag.replace_range(span, &escaped);
        } else {
            let end = self.tag.trim_end().len();
            self.tag.insert_str(end, &format!(" {name}=\"{escaped}\""));
        }
    }

    /// Removes an attribute and the white space before it.
    pub fn remove_attribute(&mut self, name: &str) {
        let found = Attributes::of(&self.tag)
            .filter_map(Result::ok)
            .find(|attribute| attribute.name == name)
            .map(|attribute| attribute.name_start..attribute.start + attribute.value.len() + 1);
        if let Some(span) = found {
            let before = self.tag.get(..span.start).unwrap_or_default().trim_end().len();
            self.tag.replace_range(before..span.end, "");
        }
    }

    /// Child elements in order.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Raw(_) => None,
        })
    }

    /// Child elements in order, to edit.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.children.iter_mut().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Raw(_) => None,
        })
    }

    /// Child elements of this local name, whatever their prefix.
    pub fn named<'a>(&'a self, local_name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.elements().filter(move |element| element.local_name() == local_name)
    }

    /// The first child element of this local name, whatever its prefix.
    pub fn child(&self, local_name: &str) -> Option<&Self> {
        self.elements().find(|element| element.local_name() == local_name)
    }

    /// Whether text stands between the child elements, other than white space and comments.
    pub fn has_text(&self) -> bool {
        self.children.iter().any(|node| match node {
            Node::Raw(raw) => !raw.trim().is_empty() && !raw.starts_with("<!--") && !raw.starts_with("<?"),
            Node::Element(_) => false,
        })
    }

    /// The text of this element's own text and CDATA children, unescaped, as written.
    ///
    /// # Errors
    /// When it has an unknown entity.
    pub fn text(&self) -> Result<String> {
        let mut text = String::new();
        for node in &self.children {
            let Node::Raw(raw) = node else { continue };
            text.push_str(&raw_text(raw).map_err(|error| error.at(self.name()))?);
        }
        Ok(text)
    }

    /// Writes this element as it was read, edits applied.
    pub fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.tag);
        if self.end.is_none() && self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        self.children.iter().for_each(|node| node.write(out));
        out.push_str("</");
        out.push_str(self.end.as_deref().unwrap_or_else(|| self.name()));
        out.push('>');
    }

    /// The element as a string.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }
}

/// The characters that a node stands for that is no element: text without escapes, CDATA, nothing of a comment.
///
/// # Errors
/// When it has an unknown entity.
pub fn raw_text(raw: &str) -> Result<Cow<'_, str>> {
    if let Some(data) = raw.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>")) {
        return Ok(data.into());
    }
    if raw.starts_with("<!--") || raw.starts_with("<?") {
        return Ok("".into());
    }
    unescape(raw).map_err(|error| Error::input(error.to_string()))
}

/// Reads the sibling elements of a fragment, whose prefixes need not be declared in it.
///
/// # Errors
/// As [`Document::parse`].
pub fn parse_fragment(text: &str) -> Result<Vec<Node>> {
    let document = Document::parse(format!("<fragment>{text}</fragment>").as_bytes())?;
    Ok(document.root.children)
}

fn check_size(bytes: &[u8]) -> Result<()> {
    match bytes.len() > MAX_DOCUMENT_BYTES {
        false => Ok(()),
        true => Err(Error::input(format!(
            "XML document of {} bytes, at most {MAX_DOCUMENT_BYTES} are read",
            bytes.len()
        ))),
    }
}

fn decode(bytes: &[u8]) -> Result<(Encoding, String)> {
    let (encoding, text) = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => (Encoding::Utf8Bom, String::from_utf8(rest.to_vec()).ok()),
        [0xff, 0xfe, rest @ ..] => (Encoding::Utf16Le, utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => (Encoding::Utf16Be, utf16(rest, u16::from_be_bytes)),
        rest => (Encoding::Utf8, String::from_utf8(rest.to_vec()).ok()),
    };
    let text = text.ok_or_else(|| {
        Error::input("the document is neither UTF-8 nor UTF-16 with a byte order mark")
            .clause("XML 1.0 §4.3.3")
    })?;
    let is_forbidden =
        |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r') || matches!(c, '\u{fffe}' | '\u{ffff}');
    if let Some((position, found)) = text.char_indices().find(|(_, c)| is_forbidden(*c)) {
        return Err(Error::input(format!("{found:?}, which XML does not allow"))
            .clause("XML 1.0 §2.2")
            .at_byte(position as u64));
    }
    Ok((encoding, text))
}

/// What may stand before and behind the root element: white space, comments, processing instructions.
fn outside(raw: String) -> Result<Node> {
    let target = raw
        .strip_prefix("<?")
        .and_then(|rest| rest.split(|c: char| c.is_ascii_whitespace() || c == '?').next());
    if raw.trim_matches(['\u{feff}', ' ', '\t', '\r', '\n']).is_empty()
        || raw.starts_with("<!--")
        || target.is_some_and(is_name)
    {
        return Ok(Node::Raw(raw));
    }
    Err(Error::input("text outside the root element").clause("XML 1.0 §2.1"))
}

/// Checks the declaration that a document may begin with: a parser that does not know it refuses the document.
fn check_declaration(text: &str) -> Result<()> {
    let Some((tag, _)) = text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) else {
        return Ok(());
    };
    let wrong = |found: String| Error::input(found).clause("XML 1.0 §2.8").at("the XML declaration");
    let whole = format!("xml{tag}");
    let mut allowed = ["version", "encoding", "standalone"].iter();
    for attribute in Attributes::of(&whole) {
        let Attribute { name, value, .. } = attribute.map_err(|error| error.at("the XML declaration"))?;
        if !allowed.any(|known| *known == name) {
            return Err(wrong(format!("{name:?}, expected version, encoding and standalone in this order")));
        }
        let is_known = match name {
            "version" => value.strip_prefix("1.").is_some_and(|minor| minor.parse::<u8>().is_ok()),
            "standalone" => matches!(value, "yes" | "no"),
            _ => ENCODINGS.iter().any(|known| value.eq_ignore_ascii_case(known)),
        };
        if !is_known {
            return Err(wrong(format!("{name} {value:?} is not known")));
        }
    }
    Ok(())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect::<Result<String, _>>().ok()
}

enum Token {
    Start(String),
    Empty(String),
    End(String),
    Raw(String),
    Eof,
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    text: &'a str,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<Token> {
        let start = self.position();
        let event = self.reader.read_event();
        let end = self.position();
        let raw = self.text.get(start..end).unwrap_or_default();
        let inner = |open: usize, close: usize| {
            raw.get(open..raw.len().saturating_sub(close)).unwrap_or_default().to_owned()
        };
        let at = |error: Error| error.at_byte(start as u64);
        match event.map_err(|error| at(Error::input(error.to_string()).clause("XML 1.0")))? {
            Event::Start(_) => Ok(Token::Start(checked_tag(inner(1, 1)).map_err(at)?)),
            Event::Empty(_) => Ok(Token::Empty(checked_tag(inner(1, 2)).map_err(at)?)),
            Event::End(_) => Ok(Token::End(inner(2, 1))),
            Event::DocType(_) => {
                Err(at(Error::input("the document has a DOCTYPE").hint("remove it: DTDs are not read")))
            }
            Event::GeneralRef(_) => {
                unescape(raw).map_err(|error| at(Error::input(error.to_string())))?;
                Ok(Token::Raw(raw.to_owned()))
            }
            Event::Eof => Ok(Token::Eof),
            _ => Ok(Token::Raw(raw.to_owned())),
        }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// Reads the children and the end tag of the element whose start tag was just read.
    fn element(&mut self, tag: String, depth: usize) -> Result<Element> {
        if depth > MAX_DEPTH {
            return Err(Error::input(format!("elements nest deeper than {MAX_DEPTH}")));
        }
        let mut element = Element { tag, end: None, children: Vec::new() };
        loop {
            match self.next()? {
                Token::Start(tag) => {
                    let child = self.element(tag, depth + 1)?;
                    element.children.push(Node::Element(child));
                }
                Token::Empty(tag) => {
                    element.children.push(Node::Element(Element { tag, end: None, children: Vec::new() }));
                }
                Token::Raw(raw) => match element.children.last_mut() {
                    // Text around an entity comes in pieces; one text node serves `text()` better.
                    Some(Node::Raw(last)) if !raw.starts_with('<') && !last.starts_with('<') => {
                        last.push_str(&raw)
                    }
                    _ => element.children.push(Node::Raw(raw)),
                },
                Token::End(end) => {
                    element.end = Some(end);
                    return Ok(element);
                }
                Token::Eof => {
                    let inside = format!("the document ends inside an element, {:?}", element.name());
                    return Err(Error::input(inside).clause("XML 1.0 §2.1"));
                }
            }
        }
    }
}

fn checked_tag(tag: String) -> Result<String> {
    let name = tag.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
    if !is_name(name) {
        return Err(Error::input(format!("{name:?} is no name of an element")).clause("XML 1.0 §2.3"));
    }
    let mut names = BTreeSet::new();
    for attribute in Attributes::of(&tag) {
        let Attribute { name, .. } = attribute?;
        if !names.insert(name) {
            return Err(Error::input(format!("attribute {name:?} stands twice")).clause("XML 1.0 §3.1"));
        }
    }
    Ok(tag)
}

/// Whether this may be a name: XML 1.0 §2.3. Of characters beyond ASCII all are taken.
fn is_name(text: &str) -> bool {
    let may_stand =
        |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-' | '.');
    !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'))
        && !text.is_empty()
        && text.chars().all(may_stand)
}

struct Attribute<'a> {
    name: &'a str,
    value: &'a str,
    /// Where the name begins in the tag.
    name_start: usize,
    /// Where the value begins in the tag, after its quote.
    start: usize,
}

/// Goes through `name = "value"` pairs: XML 1.0 §3.1, white space before a name optional.
struct Attributes<'a> {
    tag: &'a str,
    position: usize,
}

impl<'a> Attributes<'a> {
    fn of(tag: &'a str) -> Self {
        let position = tag.find(|c: char| c.is_ascii_whitespace()).unwrap_or(tag.len());
        Self { tag, position }
    }

    fn read(&mut self) -> Option<Attribute<'a>> {
        let rest = self.tag.get(self.position..)?;
        let name_start = self.position + (rest.len() - rest.trim_start().len());
        let rest = self.tag.get(name_start..)?;
        let (before, after) = rest.split_once('=')?;
        let name = before.trim_end();
        let quote = after.trim_start().chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let start = name_start + before.len() + 1 + (after.len() - after.trim_start().len()) + 1;
        let value = self.tag.get(start..)?.split_once(quote)?.0;
        if !is_name(name) {
            return None;
        }
        self.position = start + value.len() + 1;
        Some(Attribute { name, value, name_start, start })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.tag.get(self.position..)?.trim().is_empty() {
            return None;
        }
        let attribute = self.read();
        if attribute.is_none() {
            let rest = self.tag.get(self.position..).unwrap_or_default().trim().to_owned();
            self.position = self.tag.len();
            return Some(Err(Error::input(format!("{rest:?} is not an attribute")).clause("XML 1.0 §3.1")));
        }
        attribute.map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_edited_is_written_as_it_was_read() {
        let texts = [
            "<?xml version='1.0'?>\r\n<!-- c --><a  x = '1'\n\ty=\"&lt;&#10;\"b='2'>t &amp; u<b/><b />\
             <![CDATA[<x>]]><?pi?></a >\n<!-- end -->",
            "\u{feff}<a/>",
        ];
        for text in texts {
            let document = Document::parse(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(document.to_bytes()).unwrap(), text);
        }
        let utf16: Vec<u8> = "\u{feff}<a>é</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(Document::parse(&utf16).unwrap().to_bytes(), utf16);
    }

    #[test]
    fn attributes_are_read_and_edited_in_place() {
        let mut document =
            Document::parse(b"<m:a xmlns:m=\"u\"x='1' y=\"&lt;\" ><m:c>1 &amp; 2</m:c></m:a>").unwrap();
        let root = document.root_mut();
        assert_eq!((root.prefix(), root.local_name()), ("m", "a"));
        assert_eq!(root.attribute("x").unwrap().unwrap(), "1");
        assert_eq!(root.attribute("y").unwrap().unwrap(), "<");
        assert_eq!(root.attribute("z").unwrap(), None);
        assert_eq!(root.child("c").unwrap().text().unwrap(), "1 & 2");
        root.set_attribute("x", "\"2\"");
        root.set_attribute("z", "3");
        root.remove_attribute("y");
        assert_eq!(root.to_text(), "<m:a xmlns:m=\"u\"x='&quot;2&quot;' z=\"3\" ><m:c>1 &amp; 2</m:c></m:a>");
    }

    #[test]
    fn what_can_hurt_is_refused() {
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        for text in [
            "<!DOCTYPE a><a/>",
            "<a>&x;</a>",
            "<a",
            "<a></b>",
            "<a b></a>",
            "<a b=c/>",
            "<a b='1' c='2' b='3'/>",
            "",
            "<a/><b/>",
            &deep,
        ] {
            assert!(Document::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Document::parse(&vec![b' '; MAX_DOCUMENT_BYTES + 1]).is_err());
    }
}
