//! Key files: lines `[LABEL=]KID:KEY[:IV]` in hex, `#` comments.
//!
//! A label is the id of a track or several with commas between, as in `v1,v2=KID:KEY`, or a class such as `SD`, `HD`
//! or `AUDIO`; then each track gets the key of the line that fits it: the id of a track wins over a class, and two lines
//! of one rank with different keys are an error, as is a label that no track has. A single line with another label is for
//! all.
//!
//! With `LABEL@SCHEME=KID:KEY[:IV]` a key is for a scheme, `cenc` or `cbcs`; without a label, as in `@cbcs=KID:KEY`, for every
//! track. Two schemes at a time without any of this go by order, the keys of the first scheme before those of the second.
//!
//! A schedule of keys that change has lines `LABEL@PERIOD=KID:KEY[:IV]`: periods count from 0, and periods
//! that are not needed are passed over. Without labels the lines go by order, the keys of one period together.

use std::collections::HashMap;

use crate::base::env::Http;
use crate::base::id::parse_16;
use crate::base::{Error, FourCc, KeyStore, Kid, Result, Secret};
use crate::cpix::track_types::is_track_type;
use crate::cpix::usage::Strictness;
use crate::cpix::{ContentKey, ContentKeyPeriod, ContentKeyUsageRule, Document, Index};
use crate::keys::{KeyServer, check};
use crate::protect::Scheme;

/// Most crypto periods that a file has keys for.
const MAX_PERIODS: u32 = 1 << 16;

/// The keys of a key file, in its order.
#[derive(Debug)]
pub struct KeyFile {
    entries: Vec<Entry>,
    /// Which entry has a key id.
    places: HashMap<Kid, usize>,
    /// The same as a document whose rules follow from the labels, when every line has one.
    labelled: Option<Document>,
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
    /// Reads the lines. An IV has 32 hex digits: one of 16 is half a block, and what the other half is depends on who
    /// reads it.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::base::Kind::Input) with the number of the line, never its text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places = HashMap::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let number = index + 1;
            let place = |error: Error| error.at(format_args!("key file line {number}"));
            let entry = Entry::parse(number, line).map_err(place)?;
            if let Some(former) = places.insert(entry.kid, entries.len()) {
                let line = entries.get(former).map_or(0, |former| former.line);
                return Err(place(Error::input(format!("key {} is on line {line} already", entry.kid))));
            }
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(Error::input("the key file has no key, expected lines [LABEL=]KID:KEY[:IV]"));
        }
        let labelled = labelled(&entries);
        Ok(Self { entries, places, labelled })
    }

    fn entry(&self, kid: Kid) -> Option<&Entry> {
        self.entries.get(*self.places.get(&kid)?)
    }

    /// The entry for each requested key: the only one, or by label, or by order.
    fn matched(&self, request: &Document) -> Result<Vec<&Entry>> {
        let index = request.index();
        let mut labels: Vec<_> = request.content_keys.iter().map(|key| label(&index, key.kid)).collect();
        let schemes: Vec<_> = request.content_keys.iter().map(|key| key.common_encryption_scheme).collect();
        let of_two = schemes.iter().any(|scheme| schemes.first() != Some(scheme));
        for (label, scheme) in labels.iter_mut().zip(schemes).filter(|_| of_two) {
            let Some(scheme) = scheme else { continue };
            let name = label.strip_suffix(&format!("_{scheme}")).unwrap_or(label);
            *label = format!("{name}@{scheme}");
        }
        let periods = request.periods.len();
        let entries: Vec<_> = self.entries.iter().filter(|entry| entry.is_of_first(periods)).collect();
        if entries.len() != labels.len() {
            let (has, wants) = (entries.len(), labels.len());
            let keys = if has == 1 { "key" } else { "keys" };
            let said = format!("the key file has {has} {keys}, wanted are {wants}: {}", labels.join(", "));
            return Err(Error::keys(said).hint(if has < wants {
                "write a line KID:KEY for each, in this order, or LABEL=KID:KEY in any"
            } else {
                "take out lines that are not wanted; --preset preset1 gives each track a key of its own"
            }));
        }
        let is_mixed = entries.iter().any(|entry| entry.label.is_some());
        if let Some(entry) = entries.iter().find(|entry| entry.label.is_none()).filter(|_| is_mixed) {
            return Err(Error::keys("a key without a label, other lines have one")
                .at(format_args!("key file line {}", entry.line)));
        }
        Ok(entries)
    }
}

/// The document of a file in which every line has a label. One line with a label that names no track is for all.
fn labelled(entries: &[Entry]) -> Option<Document> {
    let labels: Vec<_> = entries.iter().map(|entry| entry.label.as_deref()).collect::<Option<_>>()?;
    if let [label] = labels.as_slice()
        && let (names, None) = label_and_scheme(label_and_period(label).0)
        && !names.split(',').all(|name| is_track(name) || is_track_type(name.trim()))
    {
        return None;
    }
    let mut document = Document::default();
    let periods: Vec<_> = labels.iter().map(|label| label_and_period(label).1).collect();
    if let Some(last) = periods.iter().flatten().max() {
        document.periods = (0..=*last).map(period).collect();
    }
    for ((entry, label), period) in entries.iter().zip(labels).zip(periods) {
        let (names, scheme) = label_and_scheme(label_and_period(label).0);
        document.content_keys.push(ContentKey {
            explicit_iv: entry.iv,
            common_encryption_scheme: scheme,
            value: Some(entry.key.clone()),
            ..ContentKey::new(entry.kid)
        });
        for (number, name) in names.split(',').map(str::trim).enumerate() {
            let mut rule = ContentKeyUsageRule::new(entry.kid);
            let among = if number > 0 { format!("-{}", number + 1) } else { String::new() };
            rule.id = Some(format!("line-{}{among}", entry.line));
            rule.key_period_filters.extend(period.map(period_id));
            if name.is_empty() && scheme.is_some() {
                // For every track.
            } else if is_track_type(name) {
                rule.intended_track_type = Some(name.to_owned());
            } else {
                // Ids of tracks are written in small letters.
                let name = if is_track(name) { name.to_ascii_lowercase() } else { name.to_owned() };
                rule.label_filters.push(name);
            }
            document.usage_rules.push(rule);
        }
    }
    Some(document)
}

/// Whether a label is the id of a track, such as `v1`.
fn is_track(name: &str) -> bool {
    let mut letters = name.trim().chars();
    letters.next().is_some_and(|letter| "vatVAT".contains(letter))
        && !letters.as_str().is_empty()
        && letters.all(|letter| letter.is_ascii_digit())
}

fn label_and_period(label: &str) -> (&str, Option<u32>) {
    let period = label.rsplit_once('@').and_then(|(label, period)| Some((label, period.parse().ok()?)));
    // A key file for more periods than a job may have is a mistake.
    period.filter(|(_, period)| *period < MAX_PERIODS).map_or((label, None), |(label, n)| (label, Some(n)))
}

/// A label, and the scheme behind it.
fn label_and_scheme(label: &str) -> (&str, Option<FourCc>) {
    let found =
        label.rsplit_once('@').and_then(|(label, name)| Some((label, Scheme::find(name.trim()).ok()?)));
    found.map_or((label, None), |(label, scheme)| (label, Some(scheme.fourcc)))
}

fn period_id(number: u32) -> String {
    format!("p{number}")
}

fn period(number: u32) -> ContentKeyPeriod {
    ContentKeyPeriod {
        id: Some(period_id(number)),
        index: Some(number.into()),
        ..ContentKeyPeriod::default()
    }
}

/// The `intendedTrackType` of a key, its id when it has none.
fn label(request: &Index<'_>, kid: Kid) -> String {
    let id = request.content_key(kid).and_then(|key| key.id.clone());
    let rule = request.usage_rule(kid);
    let name = id.or_else(|| rule.and_then(|rule| rule.intended_track_type.clone()));
    let name = name.unwrap_or_else(|| kid.to_string());
    match rule.and_then(|rule| Some((request.period_index(rule)?, rule.key_period_filters.first()?))) {
        // The id of a key of one period ends with that of the period.
        Some((index, id)) => {
            let name =
                name.strip_suffix(id.as_str()).and_then(|name| name.strip_suffix('_')).unwrap_or(&name);
            format!("{name}@{index}")
        }
        None => name,
    }
}

impl Entry {
    /// Whether it is for one of the first so many key periods, or for no period.
    fn is_of_first(&self, periods: usize) -> bool {
        let period = self.label.as_ref().and_then(|label| label.rsplit_once('@'));
        let period = period.and_then(|(_, period)| period.parse::<usize>().ok());
        period.is_none_or(|period| periods == 0 || period < periods)
    }

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
            Some(iv) => Some(hex("IV", iv).map_err(|error| {
                error.hint("an IV of eight bytes is the first half of a block: write 16 zeros behind it")
            })?),
            None => None,
        };
        let (kid, key) = (Kid::new(hex("KID", kid)?), Secret::new(hex("key", key)?));
        Ok(Self { line, label, kid, key, iv })
    }
}

impl KeyStore for KeyFile {
    fn key(&self, kid: Kid) -> Option<Secret<16>> {
        self.entry(kid).map(|entry| entry.key.clone())
    }

    fn iv(&self, kid: Kid) -> Option<[u8; 16]> {
        self.entry(kid)?.iv
    }

    fn only(&self) -> Option<Kid> {
        match self.entries.as_slice() {
            [entry] => Some(entry.kid),
            _ => None,
        }
    }
}

impl KeyServer for KeyFile {
    fn rules(&self) -> Option<Strictness> {
        self.labelled.as_ref().map(|_| Strictness::KeyFile)
    }

    fn at_hand(&self) -> Option<&Document> {
        self.labelled.as_ref()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn exchange(&self, _http: &dyn Http, request: Document) -> Result<Document> {
        if let Some(document) = &self.labelled {
            return Ok(document.clone());
        }
        let entries = self.matched(&request)?;
        let mut answer = request.clone();
        let pairs = request.content_keys.iter().zip(&entries).rev();
        let renamed: HashMap<Kid, Kid> = pairs.map(|(wanted, entry)| (wanted.kid, entry.kid)).collect();
        let renamed = |kid: Kid| renamed.get(&kid).copied().unwrap_or(kid);
        answer.content_keys = request
            .content_keys
            .iter()
            .zip(&entries)
            .map(|(wanted, entry)| ContentKey {
                id: wanted.id.clone(),
                explicit_iv: entry.iv.or(wanted.explicit_iv),
                common_encryption_scheme: wanted.common_encryption_scheme,
                value: Some(entry.key.clone()),
                ..ContentKey::new(entry.kid)
            })
            .collect();
        answer.drm_systems.iter_mut().for_each(|system| system.kid = renamed(system.kid));
        answer.usage_rules.iter_mut().for_each(|rule| rule.kid = renamed(rule.kid));
        check(&request, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::scripted::Script;
    use crate::keys::{Wanted, request};

    const A: &str = "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf";
    const B: &str = "B0B1B2B3B4B5B6B7B8B9BABBBCBDBEBF";
    const KEY: &str = "5ec2e75ec2e75ec2e75ec2e75ec2e75e";

    fn wanted(track_types: &[&str]) -> Document {
        let wanted: Vec<_> = (1u8..)
            .zip(track_types)
            .map(|(byte, track_type)| Wanted {
                id: None,
                kid: Kid::new([byte; 16]),
                explicit_iv: None,
                track_type: (*track_type).to_owned(),
                video: None,
                audio: None,
            })
            .collect();
        request("content", Some(FourCc(*b"cenc")), &wanted, Vec::new())
    }

    fn exchange(file: &str, track_types: &[&str]) -> Result<Document> {
        KeyFile::parse(file)?.exchange(&Script::new(Vec::new()), wanted(track_types))
    }

    fn first_bytes(document: &Document) -> Vec<u8> {
        document.content_keys.iter().map(|key| key.kid.bytes()[0]).collect()
    }

    #[test]
    fn one_line_serves_one_key() {
        let file = format!("# comment\n\n {A}:{KEY}:000102030405060708090A0B0C0D0E0F # more\r\n");
        let key = exchange(&file, &["ALL"]).unwrap().content_keys.remove(0);
        assert_eq!(key.kid.to_string(), A);
        assert_eq!(key.explicit_iv.unwrap()[15], 15);
        assert_eq!(key.value.unwrap().expose()[0], 0x5e);
    }

    #[test]
    fn several_lines_go_by_label_or_by_order() {
        let ordered = format!("{A}:{KEY}\n{B}:{KEY}\n");
        assert_eq!(first_bytes(&exchange(&ordered, &["v1", "a1"]).unwrap()), [0xa0, 0xb0]);
    }

    #[test]
    fn labels_are_rules() {
        let rules = |text: &str| {
            let file = KeyFile::parse(text).unwrap();
            assert_eq!(file.rules().is_some(), file.at_hand().is_some());
            let rules = file.at_hand().map(|document| document.usage_rules.clone()).unwrap_or_default();
            let words = |rule: &ContentKeyUsageRule| {
                let period = rule.key_period_filters.concat();
                let name = rule.intended_track_type.clone().unwrap_or_else(|| rule.label_filters.concat());
                format!("{:x} {name} {period}", rule.kid.bytes()[0])
            };
            rules.iter().map(words).collect::<Vec<_>>()
        };
        assert_eq!(
            rules(&format!("V1, v2={A}:{KEY}\nAUDIO = {B}:{KEY}\n")),
            ["a0 v1 ", "a0 v2 ", "b0 AUDIO "]
        );
        assert_eq!(rules(&format!("all@0={A}:{KEY}\nall@1={B}:{KEY}")), ["a0 all p0", "b0 all p1"]);
        assert_eq!(rules(&format!("HD={A}:{KEY}")), ["a0 HD "]);
        for text in
            [format!("x={A}:{KEY}"), format!("{A}:{KEY}\n{B}:{KEY}"), format!("v1={A}:{KEY}\n{B}:{KEY}")]
        {
            assert!(rules(&text).is_empty(), "{text}");
        }
        // A period without a key is one all the same.
        let gap = KeyFile::parse(&format!("v1@0={A}:{KEY}\nv1@2={B}:{KEY}")).unwrap();
        assert_eq!(gap.at_hand().unwrap().periods.len(), 3);
    }

    #[test]
    fn keys_are_found_by_id() {
        let file = KeyFile::parse(&format!("{B}:{KEY}")).unwrap();
        assert!(file.key(Kid::parse(B).unwrap()).is_some());
        assert!(file.key(Kid::parse(A).unwrap()).is_none());
        assert!(!format!("{file:?}").contains("94"), "{file:?}");
    }

    #[test]
    fn errors_give_the_line_and_never_the_key() {
        for (file, track_types, expected) in [
            (String::new(), vec!["v1"], "has no key"),
            (format!("#\n{KEY}"), vec!["v1"], "line 2: 1 fields"),
            (format!("{KEY}5ec2e7:{A}"), vec!["v1"], "line 1: KID of 38 characters"),
            (format!("{A}:{KEY}0"), vec!["v1"], "line 1: key of 33 characters"),
            (format!("{A}:{KEY}:00"), vec!["v1"], "line 1: IV of 2 characters"),
            (format!("{A}:{KEY}:0102030405060708"), vec!["v1"], "write 16 zeros behind it"),
            (format!("{A}:{KEY}:é23456789012345"), vec!["v1"], "line 1: IV of"),
            (format!("{A}:{KEY}\n{A}:{KEY}"), vec!["v1"], "line 2: key a0a1a2a3"),
            (format!("{A}:{KEY}"), vec!["v1", "a1"], "has 1 key, wanted are 2: v1, a1; write a line"),
            (format!("{A}:{KEY}\n{B}:{KEY}"), vec!["v1"], "has 2 keys, wanted are 1: v1; take out"),
            (format!("v1={A}:{KEY}\n{B}:{KEY}"), vec!["v1", "a1"], "line 2: a key without a label"),
        ] {
            let error = exchange(&file, &track_types).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("5ec2e7"), "{error}");
        }
    }
}
