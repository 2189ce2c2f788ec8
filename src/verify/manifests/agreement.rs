//! What is said of one key in several places is the same — ISO/IEC 23001-7 §8.1, §11.2, RFC 8216bis §4.4.4.4, §4.4.6.5.
//!
//! Players take the signaling of whichever place they read first. Where two of them differ, one of them is wrong, and
//! which players play depends on where they look.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Kid, SystemId, base64, from_base64};
use crate::drm::{self, Pssh};
use crate::hls::Key;

use super::info::PresentationInfo;
use crate::verify::findings::Findings;

/// A system and key ids, in order.
type Subject = ([u8; 16], Vec<[u8; 16]>);
/// The data of the boxes about a subject that stand together.
type Data<'p> = BTreeSet<&'p [u8]>;

/// What was said so far.
#[derive(Default)]
pub(in crate::verify) struct Agreement {
    /// What the boxes say about a subject, and where that was said first.
    boxes: BTreeMap<Subject, (String, BTreeSet<Vec<u8>>)>,
    /// The keys of playlists with the ids of the keys that are under them.
    keys: Vec<(String, Key, Kid)>,
    /// What the boxes of MPDs are about.
    in_mpds: Announced,
}

impl Agreement {
    /// Begins with the boxes of media: initialization segments and fragments.
    pub(in crate::verify) fn of_media(facts: &PresentationInfo<'_>, findings: &mut Findings) -> Self {
        let mut agreement = Self::default();
        for init in facts.inits.iter().flatten() {
            let kids: Vec<Kid> = init.init.keys().iter().map(|(kid, _)| *kid).collect();
            agreement.boxes(&init.pssh, &kids, &init.name, findings);
        }
        let mut files: Vec<_> = facts.files.iter().filter(|(_, file)| !file.pssh.is_empty()).collect();
        files.sort_by_key(|(name, _)| *name);
        for (name, file) in files {
            for (position, boxes) in &file.pssh {
                let place = format!("{name}: moof at byte {position}");
                agreement.boxes(boxes, &[], &place, findings);
            }
        }
        agreement
    }

    /// Boxes that stand together agree with those about the same system and key ids elsewhere. A box that names no
    /// key ids is about `kids`.
    pub(in crate::verify) fn boxes(
        &mut self,
        boxes: &[Pssh],
        kids: &[Kid],
        place: &str,
        findings: &mut Findings,
    ) {
        let mut said: BTreeMap<Subject, Data<'_>> = BTreeMap::new();
        for pssh in boxes {
            let mut named = named_kids(pssh);
            if named.is_empty() {
                named = kids.iter().map(|kid| *kid.bytes()).collect();
            }
            named.sort_unstable();
            named.dedup();
            // Nothing tells what it is about.
            if !named.is_empty() {
                said.entry((id(pssh.system_id), named)).or_default().insert(&pssh.data);
            }
        }
        for (subject, data) in said {
            let owned = || data.iter().map(|data| data.to_vec()).collect();
            let (first, expected) = self.boxes.entry(subject).or_insert_with(|| (place.to_owned(), owned()));
            let holds = data.iter().copied().eq(expected.iter().map(Vec::as_slice));
            findings.check("pssh-agree", holds, &place, &"another pssh", &format_args!("that of {first}"));
        }
    }

    /// Takes in what an MPD says, where players look before they read media.
    pub(in crate::verify) fn in_mpds(&mut self, boxes: &[Pssh]) {
        self.in_mpds.add(boxes);
    }

    /// What MPDs say.
    pub(in crate::verify) fn of_mpds(&self) -> &Announced {
        &self.in_mpds
    }

    /// Takes in a key of a playlist with media under it that has this key id.
    pub(in crate::verify) fn key(&mut self, key: &Key, kid: Kid, name: &str, findings: &mut Findings) {
        let place = format!("{name}: line {}", key.line + 1);
        if let Some(pssh) = key_pssh(key) {
            self.boxes(&[pssh], &[kid], &place, findings);
        }
        self.keys.push((place, key.clone(), kid));
    }

    /// All playlists give one key in one `KEYFORMAT` by one URI. A URI may tell tracks apart: then session keys have each
    /// (RFC 8216bis §4.4.6.5), or without session keys nothing but the key id tells that one is wrong.
    pub(in crate::verify) fn playlists(&self, session: &[Key], findings: &mut Findings) {
        let mut first: BTreeMap<(&str, [u8; 16]), (&str, &Key)> = BTreeMap::new();
        for (place, key, kid) in &self.keys {
            let (known_at, known) =
                *first.entry((&key.key_format, *kid.bytes())).or_insert((place.as_str(), key));
            let is_session = |key: &Key| {
                session.iter().any(|other| other.uri == key.uri && other.key_format == key.key_format)
            };
            let fits = match session.is_empty() {
                true => names(key, *kid) == names(known, *kid),
                false => is_session(key) && is_session(known),
            };
            let holds = key.uri == known.uri || fits;
            let found = format!("another URI for key {kid} and {}", key.key_format);
            findings.check("hls-key-agree", holds, place, &found, &format_args!("that of {known_at}"));
            if holds {
                let is_said = key.uri == known.uri || !session.is_empty();
                let expected = format!("that of {known_at}, or EXT-X-SESSION-KEY for both");
                findings.check("hls-key-uri", is_said, place, &found, &expected);
            }
        }
        self.named_alike(findings);
    }

    /// A URI with the id of another key than that of the media, where all others have their own.
    fn named_alike(&self, findings: &mut Findings) {
        let ids: BTreeSet<[u8; 16]> = self.keys.iter().map(|(.., kid)| *kid.bytes()).collect();
        for (place, key, kid) in self.keys.iter().filter(|(_, key, _)| !is_data(key)) {
            let of_format = self.keys.iter().filter(|(_, other, _)| other.key_format == key.key_format);
            let is_named = of_format.clone().any(|(_, other, kid)| names(other, *kid));
            let other = ids.iter().map(|id| Kid::new(*id)).find(|other| names(key, *other));
            let holds = !is_named || names(key, *kid);
            let found = match other {
                Some(other) => format!("a URI of key {other}"),
                None => format!("a URI without the id of its key for {}", key.key_format),
            };
            let expected = format!("{kid} in it, as other URIs have the id of their key");
            findings.check("hls-key-uri", holds, place, &found, &expected);
        }
    }
}

/// Whether a key's URI has this key id in one of its forms.
fn names(key: &Key, kid: Kid) -> bool {
    let uri = key.uri.as_deref().unwrap_or_default().to_ascii_lowercase();
    let guid = kid.to_guid_le();
    [kid.hex(), kid.to_string(), Kid::new(guid).hex(), base64(kid.bytes()).to_ascii_lowercase()]
        .iter()
        .any(|text| uri.contains(text.as_str()))
}

fn is_data(key: &Key) -> bool {
    key.uri.as_deref().is_some_and(|uri| uri.starts_with("data:"))
}

/// The key ids that a box names.
fn named_kids(pssh: &Pssh) -> Vec<[u8; 16]> {
    let system = drm::ALL.iter().find(|system| system.pssh_system_id() == Some(pssh.system_id));
    let named = system.and_then(|system| system.kids(pssh).ok()).or_else(|| pssh.kids.clone());
    named.unwrap_or_default().iter().map(|kid| *kid.bytes()).collect()
}

/// What boxes are about: systems with key ids, or without for boxes that name none and may be for any.
#[derive(Clone, Default)]
pub(in crate::verify) struct Announced(BTreeSet<([u8; 16], Option<[u8; 16]>)>);

impl Announced {
    /// Takes in boxes.
    pub(in crate::verify) fn add(&mut self, boxes: &[Pssh]) {
        for pssh in boxes {
            let named = named_kids(pssh);
            let any = named.is_empty().then_some(None);
            self.0.extend(named.into_iter().map(Some).chain(any).map(|kid| (id(pssh.system_id), kid)));
        }
    }

    /// Whether the system is told of this key.
    pub(in crate::verify) fn has(&self, system: SystemId, kid: Kid) -> bool {
        [Some(*kid.bytes()), None].iter().any(|kid| self.0.contains(&(id(system), *kid)))
    }

    /// Whether the system is told of any key.
    pub(in crate::verify) fn has_system(&self, system: SystemId) -> bool {
        self.0.range((id(system), None)..).next().is_some_and(|(found, _)| *found == id(system))
    }
}

/// The box in the URI of a key.
fn key_pssh(key: &Key) -> Option<Pssh> {
    let (_, data) = key.uri.as_deref()?.strip_prefix("data:")?.split_once("base64,")?;
    let bytes = from_base64(data.trim()).ok()?;
    drm::ALL.iter().find_map(|system| system.key_uri_pssh(&key.key_format, &bytes).ok().flatten())
}

fn id(system: SystemId) -> [u8; 16] {
    *system.bytes()
}
