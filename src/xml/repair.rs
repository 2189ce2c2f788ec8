//! Documents that are readable but not well formed, made well formed — XML 1.0 §2.4, §2.5, §3.1.
//!
//! A strict parser refuses such a document, so that it must not be handed on as it is. What it means is not in doubt:
//! a `&` that begins no reference, a `<` in the value of an attribute, attributes without white space between them,
//! `]]>` in text and `--` in a comment.

use crate::base::{Error, Result};

/// What is put in place of what, and how often.
#[derive(Clone, Debug, Default)]
pub(super) struct Repairs {
    found: Vec<(&'static str, u64, usize)>,
}

const AMPERSAND: &str = "a bare & is written as &amp;";
const LESS_THAN: &str = "< in the value of an attribute is written as &lt;";
const SPACE: &str = "white space is put between attributes";
const CDATA_END: &str = "]]> in text is written as ]]&gt;";
const HYPHENS: &str = "-- in a comment is written as - -";

impl Repairs {
    fn add(&mut self, what: &'static str, position: usize) {
        match self.found.iter_mut().find(|(known, ..)| *known == what) {
            Some((_, count, _)) => *count += 1,
            None => self.found.push((what, 1, position)),
        }
    }

    /// For people, one line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(what, count, position): &(&str, u64, usize)| {
            let often = if *count == 1 { String::new() } else { format!(", {count} times") };
            format!("byte {position}: {what}{often}")
        };
        self.found.iter().map(line).collect()
    }
}

/// A text that is written anew, from the first repair on.
struct Repair<'a> {
    text: &'a str,
    position: usize,
    out: String,
    repairs: Repairs,
}

/// The text well formed as far as this can be mended, and what was mended; `None` where there was nothing to mend.
///
/// # Errors
/// When an entity is named that no document without a DOCTYPE has.
pub(super) fn repaired(text: &str) -> Result<Option<(String, Repairs)>> {
    let out = String::with_capacity(text.len());
    let mut repair = Repair { text, position: 0, out, repairs: Repairs::default() };
    while !repair.rest().is_empty() {
        // That is refused, and entities may be declared in it.
        if repair.rest().starts_with("<!DOCTYPE") {
            return Ok(None);
        }
        repair.step()?;
    }
    Ok((!repair.repairs.found.is_empty()).then_some((repair.out, repair.repairs)))
}

impl<'a> Repair<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    /// Text up to the next tag, or what begins with `<`.
    fn step(&mut self) -> Result<()> {
        let rest = self.rest();
        for (open, close) in [("<![CDATA[", "]]>"), ("<?", "?>"), ("<!--", "-->"), ("<!", ">"), ("</", ">")] {
            let Some(inside) = rest.strip_prefix(open) else { continue };
            let length = inside.find(close).map_or(rest.len(), |end| open.len() + end + close.len());
            if open == "<!--" {
                self.comment(length);
            } else {
                self.copy(length);
            }
            return Ok(());
        }
        match rest.starts_with('<') {
            true => self.tag(),
            false => self.characters(rest.find('<').unwrap_or(rest.len()), None),
        }
    }

    fn copy(&mut self, length: usize) {
        self.out.push_str(self.rest().get(..length).unwrap_or_default());
        self.position += length;
    }

    fn replace(&mut self, length: usize, by: &str, what: &'static str) {
        self.repairs.add(what, self.position);
        self.out.push_str(by);
        self.position += length;
    }

    /// Text, or the value of an attribute in these quotes.
    fn characters(&mut self, length: usize, quote: Option<char>) -> Result<()> {
        let end = self.position + length;
        while let Some(rest) = self.text.get(self.position..end).filter(|rest| !rest.is_empty()) {
            if rest.starts_with('&') && !is_reference(rest, self.position)? {
                self.replace(1, "&amp;", AMPERSAND);
            } else if quote.is_some() && rest.starts_with('<') {
                self.replace(1, "&lt;", LESS_THAN);
            } else if quote.is_none() && rest.starts_with("]]>") {
                self.replace(3, "]]&gt;", CDATA_END);
            } else {
                let first = rest.chars().next().map_or(1, char::len_utf8);
                let more = rest.get(first..).unwrap_or_default();
                self.copy(first + more.find(['&', '<', ']']).unwrap_or(more.len()));
            }
        }
        Ok(())
    }

    fn comment(&mut self, length: usize) {
        let end = (self.position + length).saturating_sub("-->".len());
        self.copy("<!--".len().min(length));
        while let Some(rest) = self.text.get(self.position..end).filter(|rest| !rest.is_empty()) {
            match rest.starts_with("--") || rest == "-" {
                true => self.replace(1, "- ", HYPHENS),
                false => self.copy(rest.chars().next().map_or(1, char::len_utf8)),
            }
        }
        self.copy((self.rest().len()).min("-->".len()));
    }

    /// A start tag: what stands in quotes, and what stands behind them.
    fn tag(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let Some(at) = rest.find(['"', '\'', '>']) else {
                self.copy(rest.len());
                return Ok(());
            };
            self.copy(at + 1);
            let quote = rest.get(at..).and_then(|found| found.chars().next()).filter(|found| *found != '>');
            let Some(quote) = quote else { return Ok(()) };
            let value = self.rest().find(quote).unwrap_or_else(|| self.rest().len());
            self.characters(value, Some(quote))?;
            self.copy(1.min(self.rest().len()));
            let is_apart = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '?' | '"' | '\'');
            if !self.rest().is_empty() && !self.rest().starts_with(is_apart) {
                self.replace(0, " ", SPACE);
            }
        }
    }
}

/// Whether a reference begins with this `&`: XML 1.0 §4.1.
fn is_reference(text: &str, position: usize) -> Result<bool> {
    let Some((name, _)) = text.get(1..).unwrap_or_default().split_once(';') else { return Ok(false) };
    let digits = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    match name.strip_prefix('#') {
        Some(number) => {
            Ok(number.strip_prefix('x').map_or_else(|| digits(number, 10), |hex| digits(hex, 16)))
        }
        None if ["amp", "lt", "gt", "quot", "apos"].contains(&name) => Ok(true),
        None if super::is_name(name) => Err(Error::input(format!("the entity &{name}; is not declared"))
            .clause("XML 1.0 §4.1")
            .at_byte(position as u64)
            .hint("write the character itself, or &amp; for an ampersand")),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_readable_is_made_well_formed_and_said() {
        for (text, expected, count) in [
            ("<a b=\"x?1&y=2\">", "<a b=\"x?1&amp;y=2\">", 1),
            (
                "<a b='&' c='1'>u & v &amp; &#10;&#xa;&</a>",
                "<a b='&amp;' c='1'>u &amp; v &amp; &#10;&#xa;&amp;</a>",
                3,
            ),
            ("<a b='1<2>3'/>", "<a b='1&lt;2>3'/>", 1),
            ("<a b='1'c=\"2\"d='3'/>", "<a b='1' c=\"2\" d='3'/>", 2),
            ("<a>]]></a>", "<a>]]&gt;</a>", 1),
            ("<!-- a -- b ---><a/>", "<!-- a - - b - --><a/>", 2),
            ("<a>é&é</a>", "<a>é&amp;é</a>", 1),
        ] {
            let (mended, repairs) = repaired(text).unwrap().unwrap();
            assert_eq!(mended, expected);
            assert_eq!(repairs.found.iter().map(|(_, count, _)| count).sum::<u64>(), count, "{text}");
            assert!(repaired(&mended).unwrap().is_none(), "{mended}");
        }
        let fine = "<?xml version='1.0'?><!-- & < - --><a b = '&lt;' ><![CDATA[ & ]] ]]><?p & ?>]] ></a >";
        assert!(repaired(fine).unwrap().is_none());
        assert!(repaired("<a b='&x;'/>").is_err());
    }

    #[test]
    fn what_is_cut_off_ends() {
        for text in ["<", "<a b='", "<!--", "<!-", "<![CDATA[", "&", "<a b='1'", "<!---->", "<?"] {
            let _ = repaired(text);
        }
    }
}
