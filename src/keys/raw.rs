//! Key files: lines `[LABEL=]KID:KEY[:IV]` in hex, `#` comments.

use crate::base::env::Http;
use crate::base::id::parse_16;
use crate::base::{Error, Kid, Result, Secret};
use crate::cpix::{ContentKey, Document};
use crate::keys::{KeyServer, check};

/// The keys of a key file, in its order.
#[derive(Debug)]
pub struct KeyFile {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    line: usize,
    label: Option<String>,
    kid: Kid,
    key: Secret<16>,
    iv: Option<[u8; 16]>,
}

impl KeyFile {
    /// Reads the lines. An IV has 32 hex digits, or 16 that begin a counter block.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::base::Kind::Input) with the number of the line, never its text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let number = index + 1;
            let place = |error: Error| error.at(format_args!("key file line {number}"));
            let entry = Entry::parse(number, line).map_err(place)?;
            if let Some(former) = entries.iter().find(|former| former.kid == entry.kid) {
                return Err(place(Error::input(format!(
                    "key {} is on line {} already",
                    entry.kid, former.line
                ))));
            }
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(Error::input("the key file has no key, expected lines [LABEL=]KID:KEY[:IV]"));
        }
        Ok(Self { entries })
    }

    /// The key of this id.
    pub fn lookup(&self, kid: Kid) -> Option<&Secret<16>> {
        self.entries.iter().find(|entry| entry.kid == kid).map(|entry| &entry.key)
    }

    /// The entry for each requested key: the only one, or by label, or by order.
    fn matched(&self, request: &Document) -> Result<Vec<&Entry>> {
        let labels: Vec<_> = request.content_keys.iter().map(|key| label(request, key.kid)).collect();
        if self.entries.len() != labels.len() {
            return Err(Error::keys(format!(
                "the key file has {} keys, wanted are {}: {}",
                self.entries.len(),
                labels.len(),
                labels.join(", ")
            )));
        }
        let labelled = self.entries.iter().filter(|entry| entry.label.is_some()).count();
        if labelled == 0 || labels.len() == 1 {
            return Ok(self.entries.iter().collect());
        }
        if let Some(entry) = self.entries.iter().find(|entry| entry.label.is_none()) {
            return Err(Error::keys("a key without a label, other lines have one")
                .at(format_args!("key file line {}", entry.line)));
        }
        labels
            .iter()
            .map(|wanted| {
                let mut found = self.entries.iter().filter(|entry| {
                    entry.label.as_ref().is_some_and(|label| label.eq_ignore_ascii_case(wanted))
                });
                match (found.next(), found.next()) {
                    (Some(entry), None) => Ok(entry),
                    (None, _) => Err(Error::keys(format!("the key file has no key labelled {wanted:?}"))),
                    (_, Some(second)) => Err(Error::keys(format!("a second key labelled {wanted:?}"))
                        .at(format_args!("key file line {}", second.line))),
                }
            })
            .collect()
    }
}

/// The `intendedTrackType` of a key, its id when it has none.
fn label(request: &Document, kid: Kid) -> String {
    let rule = request.usage_rules.iter().find(|rule| rule.kid == kid);
    rule.and_then(|rule| rule.intended_track_type.clone()).unwrap_or_else(|| kid.to_string())
}

impl Entry {
    fn parse(line: usize, text: &str) -> Result<Self> {
        let (label, fields) = match text.split_once('=') {
            Some((label, fields)) => (Some(label.trim().to_owned()), fields),
            None => (None, text),
        };
        let fields: Vec<&str> = fields.split(':').map(str::trim).collect();
        let (kid, key, iv) = match fields.as_slice() {
            [kid, key] => (*kid, *key, None),
            [kid, key, iv] => (*kid, *key, Some(*iv)),
            fields => {
                return Err(Error::input(format!(
                    "{} fields separated by colons, expected KID:KEY or KID:KEY:IV",
                    fields.len()
                )));
            }
        };
        let hex = |name: &str, text: &str| {
            // The text itself may be a key in the wrong place: only its length is told.
            let count = text.chars().count();
            parse_16(text)
                .ok_or_else(|| Error::input(format!("{name} of {count} characters, expected 32 hex digits")))
        };
        let iv = match iv {
            Some(short) if short.len() == 16 => Some(hex("IV", &format!("{short}{:016}", 0))?),
            Some(iv) => Some(hex("IV", iv)?),
            None => None,
        };
        let (kid, key) = (Kid::new(hex("KID", kid)?), Secret::new(hex("key", key)?));
        Ok(Self { line, label, kid, key, iv })
    }
}

impl KeyServer for KeyFile {
    fn exchange(&self, _http: &dyn Http, request: Document) -> Result<Document> {
        let entries = self.matched(&request)?;
        let mut answer = request.clone();
        let renamed = |kid: Kid| {
            let index = request.content_keys.iter().position(|key| key.kid == kid);
            index.and_then(|index| entries.get(index)).map_or(kid, |entry| entry.kid)
        };
        answer.content_keys = request
            .content_keys
            .iter()
            .zip(&entries)
            .map(|(wanted, entry)| ContentKey {
                kid: entry.kid,
                explicit_iv: entry.iv.or(wanted.explicit_iv),
                common_encryption_scheme: wanted.common_encryption_scheme,
                value: Some(entry.key.clone()),
            })
            .collect();
        answer.drm_systems.iter_mut().for_each(|system| system.kid = renamed(system.kid));
        answer.usage_rules.iter_mut().for_each(|rule| rule.kid = renamed(rule.kid));
        check(&request, answer)
    }
}
