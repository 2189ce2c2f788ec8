//! Attribute lists, edited in place — RFC 8216bis §4.2.

use std::ops::Range;

use crate::base::{Error, Result};

/// An attribute list as written: names and values in order, unknown ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    text: String,
    spans: Vec<Span>,
}

/// Where one attribute stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    name: Range<usize>,
    /// With the quotation marks.
    value: Range<usize>,
}

impl Attributes {
    /// Reads the value of a tag. White space around names and values and a comma at the end,
    /// which the standard forbids, are kept.
    ///
    /// # Errors
    /// When it is not an attribute list or names an attribute twice. The text itself is not
    /// repeated: it may hold a key.
    pub fn parse(text: &str) -> Result<Self> {
        let mut attributes = Self { text: text.to_owned(), spans: Vec::new() };
        let mut position = 0;
        while let Some(span) = read(text, position)
            .map_err(|what| Error::input(what).clause("RFC 8216bis §4.2").at_byte(position as u64))?
        {
            position = text.len();
            if let Some(comma) = text.get(span.value.end..).and_then(|rest| rest.find(',')) {
                position = span.value.end + comma + 1;
            }
            attributes.spans.push(span);
        }
        let mut names: Vec<&str> = attributes.names().collect();
        names.sort_unstable();
        if let Some(name) = names.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        }) {
            return Err(Error::input(format!("attribute {name} stands twice")).clause("RFC 8216bis §4.2"));
        }
        Ok(attributes)
    }

    /// Sets a quoted string: an existing value is replaced where it stands, a new one goes last.
    ///
    /// # Errors
    /// When the value has a quotation mark or a line break.
    pub fn set_quoted_string(&mut self, name: &str, value: &str) -> Result<()> {
        if value.contains(['"', '\r', '\n']) {
            return Err(Error::usage(format!("{name} has a quotation mark or a line break"))
                .clause("RFC 8216bis §4.2"));
        }
        self.set(name, &format!("\"{value}\""))
    }

    /// Sets a value without quotation marks: a number, an enumerated string, a resolution.
    ///
    /// # Errors
    /// When the value is empty or has a quotation mark, a comma or white space.
    pub fn set_unquoted(&mut self, name: &str, value: &str) -> Result<()> {
        if value.is_empty() || value.contains(|c: char| matches!(c, '"' | ',') || c.is_whitespace()) {
            return Err(
                Error::usage(format!("{name}={value} needs quotation marks")).clause("RFC 8216bis §4.2")
            );
        }
        self.set(name, value)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let mut text = self.text.clone();
        if let Some(span) = self.span(name) {
            text.replace_range(span.value.clone(), value);
        } else {
            let separator =
                if self.spans.is_empty() || text.trim_ascii_end().ends_with(',') { "" } else { "," };
            text.push_str(&format!("{separator}{name}={value}"));
        }
        *self = Self::parse(&text)?;
        Ok(())
    }

    /// Removes an attribute with the comma before it, or after it if it is the first.
    ///
    /// # Errors
    /// Never for a list that was read: the rest of it is one.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        let Some(at) = self.names().position(|found| found == name) else { return Ok(()) };
        let range = |index: usize| self.spans.get(index).map(|span| span.name.start..span.value.end);
        let before = at.checked_sub(1).and_then(range);
        let range = match (before, range(at), range(at + 1)) {
            (Some(before), Some(own), _) => before.end..own.end,
            (None, Some(own), Some(after)) => own.start..after.start,
            (None, Some(own), None) => own,
            _ => return Ok(()),
        };
        let mut text = self.text.clone();
        text.replace_range(range, "");
        *self = Self::parse(&text)?;
        Ok(())
    }

    /// The list as written, edits applied.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().filter_map(|span| self.text.get(span.name.clone()))
    }

    /// The value of any type as written, with its quotation marks.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.text.get(self.span(name)?.value.clone())
    }

    /// A quoted string, without its quotation marks.
    ///
    /// # Errors
    /// When the value has none.
    pub fn quoted_string(&self, name: &str) -> Result<Option<&str>> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        Some(
            raw.strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .ok_or_else(|| mismatch(name, "a quoted string")),
        )
        .transpose()
    }

    /// An enumerated string.
    ///
    /// # Errors
    /// When the value has quotation marks.
    pub fn enumerated_string(&self, name: &str) -> Result<Option<&str>> {
        match self.raw(name) {
            Some(raw) if raw.starts_with('"') => Err(mismatch(name, "a string without quotation marks")),
            raw => Ok(raw),
        }
    }

    /// A decimal integer.
    ///
    /// # Errors
    /// When the value is none, or 2^64 or more.
    pub fn decimal_integer(&self, name: &str) -> Result<Option<u64>> {
        self.raw(name).map(|raw| decimal_integer(raw).map_err(|error| error.at(name))).transpose()
    }

    /// A decimal floating point number that is not negative.
    ///
    /// # Errors
    /// When the value is none.
    pub fn decimal_floating_point(&self, name: &str) -> Result<Option<f64>> {
        self.raw(name).map(|raw| decimal_floating_point(raw).map_err(|error| error.at(name))).transpose()
    }

    /// A hexadecimal sequence of at most 128 bits, as the unsigned integer that it spells.
    ///
    /// # Errors
    /// When the value is none or longer.
    pub fn hexadecimal_sequence(&self, name: &str) -> Result<Option<u128>> {
        let parse = |raw: &str| {
            let digits = raw.strip_prefix("0x").or_else(|| raw.strip_prefix("0X"))?;
            // `from_str_radix` would take a sign.
            let digits = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u128::from_str_radix(digits, 16).ok()
        };
        self.raw(name)
            .map(|raw| parse(raw).ok_or_else(|| mismatch(name, "0x and 1 to 32 hexadecimal digits")))
            .transpose()
    }

    /// A decimal resolution: width and height.
    ///
    /// # Errors
    /// When the value is none.
    pub fn decimal_resolution(&self, name: &str) -> Result<Option<(u32, u32)>> {
        let parse = |raw: &str| {
            let (width, height) = raw.split_once('x')?;
            let side = |text| u32::try_from(decimal_integer(text).ok()?).ok();
            Some((side(width)?, side(height)?))
        };
        self.raw(name)
            .map(|raw| parse(raw).ok_or_else(|| mismatch(name, "width, \"x\" and height")))
            .transpose()
    }

    fn span(&self, name: &str) -> Option<&Span> {
        self.spans.iter().find(|span| self.text.get(span.name.clone()) == Some(name))
    }
}

/// Reads a decimal integer; a sign, which `parse` would take, is none.
pub(super) fn decimal_integer(text: &str) -> Result<u64> {
    Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            Error::input(format!("{text:?}, expected a decimal integer below 2^64"))
                .clause("RFC 8216bis §4.2")
        })
}

/// Reads a decimal floating point number; signs, exponents and words, which `parse` would take, are none.
pub(super) fn decimal_floating_point(text: &str) -> Result<f64> {
    Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
        .and_then(|text| text.parse().ok())
        .filter(|value: &f64| value.is_finite())
        .ok_or_else(|| {
            Error::input(format!("{text:?}, expected a decimal number")).clause("RFC 8216bis §4.2")
        })
}

fn mismatch(name: &str, expected: &str) -> Error {
    Error::input(format!("the value of {name} is not {expected}")).clause("RFC 8216bis §4.2")
}

/// Finds the next attribute from `position` on.
fn read(text: &str, position: usize) -> Result<Option<Span>, &'static str> {
    let rest = text.get(position..).unwrap_or_default();
    if rest.trim_ascii().is_empty() {
        return Ok(None);
    }
    let (before, after) = rest.split_once('=').ok_or("attribute without a value")?;
    let name = before.trim_ascii();
    if name.is_empty() || name.contains(|c: char| matches!(c, '"' | ',') || c.is_whitespace()) {
        return Err("the text before \"=\" is not an attribute name");
    }
    let name_start = position + before.len() - before.trim_ascii_start().len();
    let trimmed = after.trim_ascii_start();
    let start = position + before.len() + 1 + after.len() - trimmed.len();
    let length = if let Some(quoted) = trimmed.strip_prefix('"') {
        let length = quoted.find('"').ok_or("quoted string without an end")? + 2;
        let behind = trimmed.get(length..).unwrap_or_default().trim_ascii_start();
        if !behind.is_empty() && !behind.starts_with(',') {
            return Err("text behind a quoted string, expected a comma");
        }
        length
    } else {
        trimmed.split(',').next().unwrap_or_default().trim_ascii_end().len()
    };
    Ok(Some(Span { name: name_start..name_start + name.len(), value: start..start + length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "BANDWIDTH=1280000, CODECS=\"avc1,mp4a\" ,RESOLUTION=1280x720,X-A=b=c,IV=0X0fF,EMPTY=\"\",NONE=,RATE=29.97";

    #[test]
    fn an_attribute_goes_with_one_comma() {
        for (text, name, rest) in [
            ("A=1,B=\"x,y\",C=3", "A", "B=\"x,y\",C=3"),
            ("A=1,B=\"x,y\",C=3", "B", "A=1,C=3"),
            ("A=1, B=2 ,", "B", "A=1 ,"),
            ("A=1", "A", ""),
            ("A=1", "B", "A=1"),
        ] {
            let mut list = Attributes::parse(text).unwrap();
            list.remove(name).unwrap();
            assert_eq!(list.as_str(), rest, "{text}");
        }
    }

    #[test]
    fn values_are_read_by_type() {
        let list = Attributes::parse(LIST).unwrap();
        assert_eq!(list.decimal_integer("BANDWIDTH").unwrap(), Some(1_280_000));
        assert_eq!(list.quoted_string("CODECS").unwrap(), Some("avc1,mp4a"));
        assert_eq!(list.decimal_resolution("RESOLUTION").unwrap(), Some((1280, 720)));
        assert_eq!(list.enumerated_string("X-A").unwrap(), Some("b=c"));
        assert_eq!(list.hexadecimal_sequence("IV").unwrap(), Some(0xff));
        assert_eq!(list.quoted_string("EMPTY").unwrap(), Some(""));
        assert_eq!(list.raw("NONE"), Some(""));
        assert_eq!(list.decimal_floating_point("RATE").unwrap(), Some(29.97));
        assert_eq!(list.quoted_string("ABSENT").unwrap(), None);
        assert!(Attributes::parse(" ").unwrap().names().next().is_none());
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        let list = Attributes::parse(
            "A=\"1\",B=-1,C=0x,D=0x+1,E=1x,F=1e3,G=inf,H=0x100000000000000000000000000000000",
        )
        .unwrap();
        assert!(list.decimal_integer("A").is_err() && list.enumerated_string("A").is_err());
        assert!(list.decimal_integer("B").is_err() && list.quoted_string("B").is_err());
        for name in ["C", "D", "F", "H"] {
            assert!(list.hexadecimal_sequence(name).is_err(), "{name}");
        }
        assert!(list.decimal_resolution("E").is_err());
        assert!(list.decimal_floating_point("F").is_err() && list.decimal_floating_point("G").is_err());
    }

    #[test]
    fn an_edit_changes_one_value_and_nothing_else() {
        let mut list = Attributes::parse(LIST).unwrap();
        list.set_quoted_string("CODECS", "hvc1").unwrap();
        list.set_unquoted("BANDWIDTH", "7").unwrap();
        list.set_quoted_string("EMPTY", "e").unwrap();
        list.set_unquoted("NEW", "x").unwrap();
        let expected = LIST.replace("1280000", "7").replace("avc1,mp4a", "hvc1").replace("\"\"", "\"e\"");
        assert_eq!(list.as_str(), format!("{expected},NEW=x"));
        let mut comma = Attributes::parse("A=1,").unwrap();
        comma.set_unquoted("B", "2").unwrap();
        assert_eq!(comma.as_str(), "A=1,B=2");
        assert!(comma.set_quoted_string("B", "\"").is_err());
        assert!(comma.set_unquoted("B", "a,b").is_err());
    }

    #[test]
    fn broken_lists_are_refused_without_repeating_them() {
        for text in [
            "secret",
            "A=1,secret",
            "=secret",
            "A=\"secret",
            "A=\"1\"secret",
            "A=1,A=secret",
            "A=1,,secret=2",
        ] {
            let error = Attributes::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
