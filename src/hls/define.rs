//! Variables and their substitution — RFC 8216bis §4.3, §4.4.2.3.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::attributes::Attributes;
use super::line::{MAX_PLAYLIST_BYTES, Playlist, place};
use crate::base::{Error, Result};

/// The variables that a playlist defines.
pub(super) struct Variables {
    /// `None`: the value comes from outside this playlist.
    values: BTreeMap<String, Option<String>>,
    /// How many bytes substitution may still yield: a long value with many references to it must
    /// not take more memory than a playlist may.
    left: usize,
}

impl Variables {
    pub(super) fn of(playlist: &Playlist) -> Result<Self> {
        let mut values = BTreeMap::new();
        for (index, list) in playlist.tags("EXT-X-DEFINE") {
            let (name, value) =
                definition(list).map_err(|error| error.at("EXT-X-DEFINE").at(place(index)))?;
            if values.contains_key(&name) {
                return Err(Error::input(format!("variable {name} is defined twice"))
                    .clause("RFC 8216bis §4.4.2.3")
                    .at(place(index)));
            }
            values.insert(name, value);
        }
        Ok(Self { values, left: MAX_PLAYLIST_BYTES })
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
                    "variables that swell the playlist beyond {MAX_PLAYLIST_BYTES} bytes"
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
            Some(None) => {
                Err(Error::unsupported(format!("variable {name} takes its value from outside the playlist"))
                    .clause("RFC 8216bis §4.4.2.3")
                    .hint("define it with NAME and VALUE in this playlist"))
            }
            None => Err(Error::input(format!("variable {name} is not defined")).clause("RFC 8216bis §4.3")),
        }
    }
}

fn definition(list: &str) -> Result<(String, Option<String>)> {
    let attributes = Attributes::parse(list)?;
    if let Some(name) = attributes.quoted_string("NAME")? {
        let value = attributes.quoted_string("VALUE")?;
        let value = value.ok_or_else(|| Error::input("NAME without VALUE").clause("RFC 8216bis §4.4.2.3"))?;
        return Ok((name.to_owned(), Some(value.to_owned())));
    }
    for name in ["IMPORT", "QUERYPARAM"] {
        if let Some(name) = attributes.quoted_string(name)? {
            return Ok((name.to_owned(), None));
        }
    }
    Err(Error::input("no NAME, IMPORT or QUERYPARAM").clause("RFC 8216bis §4.4.2.3"))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
