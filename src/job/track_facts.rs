//! What the operator says of tracks: `ID:KEY=VALUE,…` with the ids that `plan` prints.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result, language_tag};
use crate::dash::write::ROLES;
use crate::package::EncryptedTrack;

const FORM: &str = "the form is ID:KEY=VALUE,… with lang, label, role, default, forced, characteristics, group, clear \
                    and bandwidth; ids are those that plan prints, \\, is a comma in a label";

/// Bit rates that `@bandwidth` holds: ISO/IEC 23009-1 §5.3.5.3.
const BANDWIDTHS: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// What the operator says of a track: for usage rules of keys, and for the manifests that are made of MP4 files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrackFacts {
    /// Its id, such as `v1`.
    pub id: String,
    /// Its language, a tag of BCP 47 or a code of ISO 639-2.
    pub lang: Option<String>,
    /// What it is labeled with.
    pub label: Option<String>,
    /// Roles of ISO/IEC 23009-1 §5.8.5.5, such as `caption`.
    pub roles: Vec<String>,
    /// Whether it is the one to play of its kind, when nobody chooses.
    pub default: bool,
    /// Whether it is text that is always shown.
    pub forced: bool,
    /// `CHARACTERISTICS` of RFC 8216bis §4.4.6.1, such as `public.accessibility.describes-video`.
    pub characteristics: Vec<String>,
    /// `GROUP-ID` of RFC 8216bis §4.4.6.1.
    pub group: Option<String>,
    /// Whether it is left clear.
    pub clear: bool,
    /// Bits in a second.
    pub bandwidth: Option<u64>,
}

impl TrackFacts {
    /// Reads `ID:KEY=VALUE,…`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for another form or key.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: String| Error::usage(format!("track {text:?}: {what}")).hint(FORM);
        let (id, facts) = text.split_once(':').ok_or_else(|| wrong("no colon behind an id".into()))?;
        let mut all = Self { id: id.trim().to_owned(), ..Self::default() };
        let mut seen = Vec::new();
        for fact in split(facts) {
            let (key, value) = match fact.split_once('=') {
                Some((key, value)) => (key.trim(), Some(value.trim())),
                None => (fact.trim(), None),
            };
            if seen.contains(&key.to_owned()) {
                return Err(wrong(format!("{key} stands twice")));
            }
            seen.push(key.to_owned());
            all.set(key, value).map_err(wrong)?;
        }
        Ok(all)
    }

    fn set(&mut self, key: &str, value: Option<&str>) -> std::result::Result<(), String> {
        let text = || value.filter(|value| !value.is_empty()).ok_or_else(|| format!("{key} has no value"));
        let list =
            || Ok::<_, String>(text()?.split('+').map(|word| word.trim().to_owned()).collect::<Vec<_>>());
        match key {
            "lang" => {
                let text = text()?;
                let tag = language_tag(text);
                self.lang = Some(tag.ok_or_else(|| {
                    format!("lang {text:?}, expected a language tag of BCP 47 such as en, de-CH or zh-Hant")
                })?);
            }
            "label" => self.label = Some(text()?.to_owned()),
            "role" => {
                self.roles = list()?;
                if let Some(role) = self.roles.iter().find(|role| !ROLES.contains(&role.as_str())) {
                    return Err(format!("role {role:?}, expected one of {}", ROLES.join(", ")));
                }
            }
            "default" => self.default = flag(key, value)?,
            "forced" => self.forced = flag(key, value)?,
            "clear" => self.clear = flag(key, value)?,
            "characteristics" => self.characteristics = list()?,
            "group" => self.group = Some(text()?.to_owned()),
            "bandwidth" => {
                let text = text()?;
                let bits = text.parse().ok().filter(|bits| BANDWIDTHS.contains(bits));
                let wrong = || {
                    let (least, most) = (BANDWIDTHS.start(), BANDWIDTHS.end());
                    format!("bandwidth {text:?}, expected bits in a second from {least} to {most}, in digits")
                };
                self.bandwidth = Some(bits.ok_or_else(wrong)?);
            }
            _ => return Err(format!("{key:?} is not known")),
        }
        Ok(())
    }
}

/// A word alone, or `yes` and `no`.
fn flag(key: &str, value: Option<&str>) -> std::result::Result<bool, String> {
    match value {
        None | Some("yes" | "true") => Ok(true),
        Some("no" | "false") => Ok(false),
        Some(other) => Err(format!("{key} {other:?}, expected yes or no")),
    }
}

/// The parts between commas; `\,` is none.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ',' => parts.push(String::new()),
            '\\' if characters.next_if_eq(&',').is_some() => {
                parts.last_mut().into_iter().for_each(|part| part.push(','))
            }
            other => parts.last_mut().into_iter().for_each(|part| part.push(other)),
        }
    }
    parts
}

/// Checks what is said of tracks of which all ids are known.
///
/// # Errors
/// When there is no track of an id, or one is spoken of twice.
pub(super) fn check(facts: &[TrackFacts], ids: &[String]) -> Result<()> {
    for (index, TrackFacts { id, .. }) in facts.iter().enumerate() {
        if !ids.contains(id) {
            return Err(Error::usage(format!("there is no track {id:?}, there are {}", ids.join(", ")))
                .at("--track")
                .hint("plan prints the ids"));
        }
        if facts.iter().take(index).any(|other| other.id == *id) {
            return Err(Error::usage(format!("track {id} stands twice"))
                .at("--track")
                .hint("join both with a comma"));
        }
    }
    Ok(())
}

/// Checks that nothing is said of a package's tracks but what its keys depend on: its manifests say the rest.
///
/// # Errors
/// When something is.
pub(super) fn check_package(facts: &[TrackFacts]) -> Result<()> {
    let is_for_keys = |facts: &&TrackFacts| {
        let TrackFacts { id, label, bandwidth, .. } = (*facts).clone();
        **facts == TrackFacts { id, label, bandwidth, ..TrackFacts::default() }
    };
    match facts.iter().find(|facts| !is_for_keys(facts)) {
        None => Ok(()),
        Some(facts) => Err(Error::usage(format!(
            "--track {}: of a package's track label and bandwidth may be said, for the rules of its keys",
            facts.id
        ))
        .hint("a package keeps its manifests: languages, roles and the rest belong there")),
    }
}

/// Adds what the operator says to what is known of tracks. What stays clear is not among them.
pub(super) fn apply(facts: &[TrackFacts], encrypted_tracks: &mut [EncryptedTrack]) {
    for TrackFacts { id, label, bandwidth, .. } in facts {
        let mut tracks = encrypted_tracks.iter_mut();
        let Some(track) = tracks.find(|track| track.id.to_string() == *id) else { continue };
        track.labels.extend(label.clone());
        track.bitrate = bandwidth.or(track.bitrate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::TrackKind;
    use crate::package::TrackId;

    #[test]
    fn facts_are_read_and_go_to_their_track() {
        let facts = [
            "v1:label=main,bandwidth=5",
            r"a1:label=Deutsch\, laut,lang=ger,default,role=main+dub,forced=no",
        ]
        .map(|text| TrackFacts::parse(text).unwrap());
        let mut tracks =
            [TrackKind::Video, TrackKind::Audio].map(|kind| EncryptedTrack::new(TrackId::new(kind, 1)));
        apply(&facts, &mut tracks);
        assert_eq!((tracks[0].labels.as_slice(), tracks[0].bitrate), (&["main".to_owned()][..], Some(5)));
        assert_eq!(tracks[1].labels, ["Deutsch, laut"]);
        assert_eq!((facts[1].lang.as_deref(), facts[1].default, facts[1].forced), (Some("de"), true, false));
        assert_eq!(facts[1].roles, ["main", "dub"]);
        let ids = ["v1", "a1", "t1"].map(str::to_owned);
        check(&facts, &ids).unwrap();
        let twice = [facts[0].clone(), facts[0].clone()];
        assert!(check(&twice, &ids).is_err());
        let other = [TrackFacts { id: "v2".into(), ..TrackFacts::default() }];
        assert!(check(&other, &ids).unwrap_err().to_string().contains("there are v1, a1, t1"));
        assert!(check_package(&facts[..1]).is_ok() && check_package(&facts).is_err());
        for text in [
            "v1",
            "v1:label",
            "v1:label=",
            "v1:color=red",
            "v1:bandwidth=much",
            "v1:bandwidth=0",
            "v1:bandwidth=4294967296",
            "v1:lang=english!",
            "v1:role=hero",
            "v1:clear=maybe",
            "v1:forced,forced",
        ] {
            assert!(TrackFacts::parse(text).is_err(), "{text}");
        }
    }
}
