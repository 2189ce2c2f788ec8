//! A described part of a file, and its text for people.

use std::fmt::Write;
use std::ops::Range;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Most nodes of one tree; what follows is counted.
pub(super) const MAX_NODES: usize = 40_000;
/// Most children of one node that are shown; the others are counted.
pub(super) const MAX_CHILDREN: usize = 4_000;
/// Most characters of one value.
pub(super) const MAX_VALUE_CHARS: usize = 2_000;
/// Most values of one list.
pub(super) const MAX_LIST_VALUES: usize = 64;
/// Width of the text that is aimed at, in columns.
const COLUMNS: usize = 110;

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Words, identifiers, bytes as hex digits.
    Text(String),
    /// A count, a size, a position.
    Number(i128),
    /// Several values of one name.
    List(Vec<Self>),
}

/// One part: a box, an element, a line, a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The type of a box, the name of an element or tag.
    pub name: String,
    /// Where it stands in the file, in bytes.
    pub range: Option<Range<u64>>,
    /// What it says, in order; names differ.
    pub fields: Vec<(String, Value)>,
    /// Its parts in order.
    pub children: Vec<Self>,
    /// How many parts more there are than `children` shows.
    pub more: u64,
}

/// How many nodes may still be made.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_NODES)
    }
}

impl Budget {
    /// A tree of at most `nodes`.
    pub(super) fn new(nodes: usize) -> Self {
        Self(nodes)
    }

    /// Whether another child fits under `parent`; if not, it is counted there.
    pub(super) fn admits(&mut self, parent: &mut Node) -> bool {
        if self.0 == 0 || parent.children.len() >= MAX_CHILDREN {
            parent.more += 1;
            return false;
        }
        self.0 -= 1;
        true
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        if text.chars().nth(MAX_VALUE_CHARS).is_none() {
            return Self::Text(text.to_owned());
        }
        let shown: String = text.chars().take(MAX_VALUE_CHARS).collect();
        Self::Text(format!("{shown}… ({} bytes)", text.len()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

macro_rules! from_number {
    ($($number:ty)*) => {$(
        impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Number(i128::from(number))
            }
        }
    )*};
}

from_number!(u8 u16 u32 u64 i32 i64);

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i128::try_from(number).unwrap_or(i128::MAX))
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        let count = values.len();
        let mut list: Vec<Self> = values.into_iter().take(MAX_LIST_VALUES).map(Into::into).collect();
        if count > MAX_LIST_VALUES {
            list.push(Self::Text(format!("… {} more", count - MAX_LIST_VALUES)));
        }
        Self::List(list)
    }
}

impl Node {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a field; a second value of a name makes a list of both.
    pub(super) fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        match self.fields.iter_mut().find(|(known, _)| *known == name).map(|(_, value)| value) {
            None => self.fields.push((name, value)),
            Some(Value::List(list)) if list.len() >= MAX_LIST_VALUES => {}
            Some(Value::List(list)) => list.push(value),
            Some(known) => *known = Value::List(vec![known.clone(), value]),
        }
        self
    }

    /// Adds a field when it has a value.
    pub(super) fn set_some<T: Into<Value>>(&mut self, name: &str, value: Option<T>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    /// Adds a part unless the tree is full.
    pub(super) fn push(&mut self, child: Self, budget: &mut Budget) {
        if budget.admits(self) {
            self.children.push(child);
        }
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// The fields of a node as an object.
struct Fields<'a>(&'a [(String, Value)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(number), _) => serializer.serialize_u64(number),
                (_, Ok(number)) => serializer.serialize_i64(number),
                _ => serializer.serialize_str(&number.to_string()),
            },
            Self::List(list) => serializer.collect_seq(list),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if let Some(range) = &self.range {
            map.serialize_entry("position", &range.start)?;
            map.serialize_entry("size", &(range.end.saturating_sub(range.start)))?;
        }
        if !self.fields.is_empty() {
            map.serialize_entry("fields", &Fields(&self.fields))?;
        }
        if !self.children.is_empty() {
            map.serialize_entry("children", &self.children)?;
        }
        if self.more > 0 {
            map.serialize_entry("more", &self.more)?;
        }
        map.end()
    }
}

/// The tree as lines: names, positions and sizes in columns, fields behind them.
pub fn text(node: &Node) -> String {
    let mut widths = Widths::default();
    widths.measure(node, 0);
    let mut out = String::new();
    write_node(node, 0, &widths, &mut out);
    out.pop();
    out
}

/// Widths of the columns.
#[derive(Default)]
struct Widths {
    name: usize,
    position: usize,
    size: usize,
}

impl Widths {
    fn measure(&mut self, node: &Node, depth: usize) {
        if let Some(range) = &node.range {
            self.name = self.name.max(depth * 2 + escaped(&node.name).chars().count());
            self.position = self.position.max(range.start.to_string().len());
            self.size = self.size.max((range.end.saturating_sub(range.start)).to_string().len());
        }
        node.children.iter().for_each(|child| self.measure(child, depth + 1));
    }
}

fn write_node(node: &Node, depth: usize, widths: &Widths, out: &mut String) {
    let indent = depth * 2;
    let mut line = format!("{:indent$}{}", "", escaped(&node.name));
    if let Some(range) = &node.range {
        let Widths { name, position, size } = *widths;
        let pad = name.saturating_sub(line.chars().count());
        let length = range.end.saturating_sub(range.start);
        let _ = write!(line, "{:pad$}  {:>position$}  {length:>size$}", "", range.start);
    }
    for (name, value) in &node.fields {
        let part = format!("{}={}", escaped(name), words(value));
        if line.chars().count() + 2 + part.chars().count() > COLUMNS && !line.trim().is_empty() {
            out.push_str(line.trim_end());
            out.push('\n');
            line = format!("{:1$}", "", indent + 2);
        }
        let _ = write!(line, "  {part}");
    }
    out.push_str(line.trim_end());
    out.push('\n');
    node.children.iter().for_each(|child| write_node(child, depth + 1, widths, out));
    if node.more > 0 {
        let _ = writeln!(out, "{:1$}… {2} more", "", indent + 2, node.more);
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Text(text) if text.is_empty() => "\"\"".to_owned(),
        Value::Text(text) => escaped(text),
        Value::Number(number) => number.to_string(),
        Value::List(list) => list.iter().map(words).collect::<Vec<_>>().join(", "),
    }
}

/// Control characters, which could move a terminal's cursor, and those that reorder text are written out.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let reorders =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || reorders {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Node {
        let mut child = Node { range: Some(8..108), ..Node::new("tkhd") };
        child.set("track_id", 1_u32).set("kid", "a").set("kid", "b\u{1b}[2J");
        Node { range: Some(0..108), children: vec![child], more: 3, ..Node::new("trak") }
    }

    #[test]
    fn text_is_aligned_and_control_characters_are_written_out() {
        let expected = "trak    0  108\n  tkhd  8  100  track_id=1  kid=a, b\\u{1b}[2J\n  … 3 more";
        assert_eq!(text(&tree()), expected);
    }

    #[test]
    fn json_has_the_same_names() {
        let json = serde_json::to_value(tree()).unwrap();
        assert_eq!(json["children"][0]["fields"]["kid"][0], "a");
        assert_eq!((&json["more"], &json["children"][0]["size"]), (&3.into(), &100.into()));
    }

    #[test]
    fn a_full_tree_counts_what_it_leaves_out() {
        let (mut budget, mut parent) = (Budget::default(), Node::new("root"));
        (0..MAX_CHILDREN + 5).for_each(|_| parent.push(Node::new("x"), &mut budget));
        assert_eq!((parent.children.len(), parent.more), (MAX_CHILDREN, 5));
    }
}
