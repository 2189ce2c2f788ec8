//! Variables and their substitution — RFC 8216bis §4.3, §4.4.2.3.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::attributes::Attributes;
use super::line::{Playlist, place};
use crate::base::uri::percent_decode;
use crate::base::{Error, MAX_DOCUMENT_BYTES, Result};

/// What a playlist may take values of variables from: §4.4.2.3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImportScope {
    /// The variables of the multivariant playlist that names it.
    imports: BTreeMap<String, String>,
    /// The query of the URI that names it.
    query: String,
}

impl ImportScope {
    pub(super) fn of(multivariant: &Playlist, uri: &str) -> Result<Self> {
        let values = Variables::of(multivariant)?.values.into_iter();
        let imports = values.filter_map(|(name, value)| Some((name, value?))).collect();
        let query = uri.split('#').next().and_then(|uri| uri.split_once('?')).map_or("", |(_, query)| query);
        Ok(Self { imports, query: query.to_owned() })
    }

    fn query_parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).and_then(|(_, value)| percent_decode(value))
    }
}

/// The variables that a playlist defines.
pub(super) struct Variables {
    /// `None`: the value comes from outside this playlist, where there is none.
    values: BTreeMap<String, Option<String>>,
    /// How many bytes substitution may still yield: a long value with many references to it must
    /// not take more memory than a playlist may.
    left: usize,
}

impl Variables {
    pub(super) fn of(playlist: &Playlist) -> Result<Self> {
        let mut values = BTreeMap::new();
        for (index, list) in playlist.tags("EXT-X-DEFINE") {
            let (name, value) = definition(list, playlist.outside())
                .map_err(|error| error.at("EXT-X-DEFINE").at(place(index)))?;
            if values.contains_key(&name) {
                return Err(Error::input(format!("variable {name} is defined twice"))
                    .clause("RFC 8216bis §4.4.2.3")
                    .at(place(index)));
            }
            values.insert(name, value);
        }
        Ok(Self { values, left: MAX_DOCUMENT_BYTES })
    }

    /// Replaces each `{$name}` by the variable's value.
    pub(super) fn substitute<'a>(&mut self, text: &'a str) -> Result<Cow<'a, str>> {
        let mut pieces = text.split("{$");
        let mut out = String::from(pieces.next().unwrap_or_default());
        if out.len() == text.len() {
            return Ok(Cow::Borrowed(text));
        }
        for piece in pieces {
            match piece.split_once('}').filter(|(name, _)| is_name(name)) {
                Some((name, rest)) => {
                    out.push_str(self.value(name)?);
                    out.push_str(rest);
                }
                None => {
                    out.push_str("{$");
                    out.push_str(piece);
                }
            }
            if out.len() > self.left {
                return Err(Error::unsupported(format!(
                    "variables that swell the playlist beyond {MAX_DOCUMENT_BYTES} bytes"
                )));
            }
        }
        self.left -= out.len();
        Ok(Cow::Owned(out))
    }

    /// The attribute list of a tag's value, variables replaced.
    pub(super) fn attributes(&mut self, value: &str) -> Result<Attributes> {
        Attributes::parse(&self.substitute(value)?)
    }

    fn value(&self, name: &str) -> Result<&str> {
        match self.values.get(name) {
            Some(Some(value)) => Ok(value),
            Some(None) => Err(Error::input(format!(
                "variable {name} takes its value from outside, where it has none"
            ))
            .clause("RFC 8216bis §4.4.2.3")
            .hint("give the multivariant playlist as input, or define it with NAME and VALUE in this one")),
            None => Err(Error::input(format!("variable {name} is not defined")).clause("RFC 8216bis §4.3")),
        }
    }
}

fn definition(list: &str, outside: &ImportScope) -> Result<(String, Option<String>)> {
    let attributes = Attributes::parse(list)?;
    if let Some(name) = attributes.quoted_string("NAME")? {
        let value = attributes.quoted_string("VALUE")?;
        let value = value.ok_or_else(|| Error::input("NAME without VALUE").clause("RFC 8216bis §4.4.2.3"))?;
        return Ok((name.to_owned(), Some(value.to_owned())));
    }
    if let Some(name) = attributes.quoted_string("IMPORT")? {
        return Ok((name.to_owned(), outside.imports.get(name).cloned()));
    }
    if let Some(name) = attributes.quoted_string("QUERYPARAM")? {
        return Ok((name.to_owned(), outside.query_parameter(name)));
    }
    Err(Error::input("no NAME, IMPORT or QUERYPARAM").clause("RFC 8216bis §4.4.2.3"))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
