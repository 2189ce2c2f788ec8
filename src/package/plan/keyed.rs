//! The key of each track in each crypto period, and what is known of it — DASH-IF CPIX 2.3 §4.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::base::{Error, Kid, Result};
use crate::codec::TrackKind;
use crate::cpix::usage::{Media, Strictness, Track, resolve};
use crate::cpix::{ContentKey, Document, DrmSystem};
use crate::drm::{Pssh, find_id};
use crate::keys::check;

use super::assignment::{Assignment, EncryptedTrack, KeyPurpose, TrackId};
use super::schedule::Period;

/// The key id of each track in each crypto period.
pub type Kids = BTreeMap<(Period, TrackId), Kid>;

/// Keys that came from a key source, checked, and who has them.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// The keys and what is signaled about them.
    pub document: Document,
    /// Who has them.
    pub kids: Kids,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Keyed {
    /// The answer of a source that was asked for the keys of an assignment, period by period.
    ///
    /// # Errors
    /// When the answer is not what was asked for.
    pub fn asked(request: &Document, answer: Document, keys: &Assignment, periods: usize) -> Result<Self> {
        let mut document = check(request, answer)?;
        let warnings = drop_proposed(request, &mut document);
        let periods = periods.max(1);
        let asked = keys.of_periods(periods).map(|(period, purpose, _)| (period, purpose));
        let given: HashMap<_, Kid> = asked.zip(document.content_keys.iter().map(|key| key.kid)).collect();
        let mut kids = Kids::new();
        for period in Period::all(periods) {
            for (track, purpose) in keys.tracks() {
                let kid = given.get(&(period, purpose)).copied();
                let kid = kid.ok_or_else(|| Error::keys(format!("no key for crypto period {period}")))?;
                kids.insert((period, track), kid);
            }
        }
        Ok(Self { document, kids, warnings })
    }

    /// The keys that the rules of a document chose, with what each system is told about them; `wanted` says what is
    /// asked for of a key.
    ///
    /// # Errors
    /// When a key is missing, or is for another scheme or IV than is asked for.
    pub fn chosen(document: &Document, kids: Kids, wanted: &Wants<'_>) -> Result<Self> {
        let mut used = HashSet::new();
        let mut asked = Document { content_id: document.content_id.clone(), ..Document::default() };
        for kid in kids.values().copied().filter(|kid| used.insert(*kid)) {
            let (key, systems) = wanted(kid);
            asked.content_keys.push(key);
            asked.drm_systems.extend(systems);
        }
        let answer = Document {
            content_keys: of(&document.content_keys, |key| used.contains(&key.kid)),
            drm_systems: of(&document.drm_systems, |system| used.contains(&system.kid)),
            ..Document::default()
        };
        Ok(Self { document: check(&asked, answer)?, kids, warnings: Vec::new() })
    }
}

/// Leaves out what a key source says to a system of a key for the id that was proposed and that it replaced itself: a player
/// would ask for a license for an id that no key has. Some sources make their `pssh` before they replace the id.
fn drop_proposed(request: &Document, document: &mut Document) -> Vec<String> {
    let pairs = document.content_keys.iter().zip(&request.content_keys);
    let replaced: HashMap<Kid, Kid> =
        pairs.filter(|(new, old)| new.kid != old.kid).map(|(new, old)| (new.kid, old.kid)).collect();
    let mut warnings = Vec::new();
    for entry in &mut document.drm_systems {
        let (Some(proposed), Some(system)) = (replaced.get(&entry.kid), find_id(entry.system_id)) else {
            continue;
        };
        let boxes = Pssh::parse_all(entry.pssh.as_deref().unwrap_or_default()).unwrap_or_default();
        let named: Vec<Kid> = boxes.iter().flat_map(|pssh| system.kids(pssh).unwrap_or_default()).collect();
        if named.contains(proposed) && !named.contains(&entry.kid) {
            warnings.push(format!(
                "{}, key {}: the key source replaced key id {proposed} by this one, but its pssh names the former; our own \
                 signaling stands in its place",
                system.name(),
                entry.kid
            ));
            *entry = DrmSystem::new(entry.system_id, entry.kid);
        }
    }
    warnings
}

/// What is asked for of a key.
pub type Wants<'a> = dyn Fn(Kid) -> (ContentKey, Vec<DrmSystem>) + 'a;

fn of<T: Clone>(all: &[T], is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().filter(|one| is_wanted(one)).cloned().collect()
}

/// Finds the key of each encrypted track in each of these key periods by the rules of a document; `None` is no period.
/// Gives what the user should know as well, each thing once.
///
/// # Errors
/// When no rule is for an encrypted track, or several are (in [`Strictness::Cpix`]).
pub fn choose(
    document: &Document,
    strictness: Strictness,
    encrypted_tracks: &[EncryptedTrack],
    periods: &[Option<String>],
) -> Result<(Kids, Vec<String>)> {
    let places = Period::all(periods.len()).zip(periods).flat_map(|(number, period)| {
        encrypted_tracks.iter().map(move |encrypted_track| (number, period, encrypted_track))
    });
    let tracks: Vec<_> =
        places.clone().map(|(_, period, encrypted_track)| track(encrypted_track, period.clone())).collect();
    let found = resolve(document, &tracks, strictness)?;
    let places = places.map(|(number, _, encrypted_track)| (number, encrypted_track.id));
    Ok((places.zip(found.kids).collect(), found.warnings))
}

fn track(encrypted_track: &EncryptedTrack, period: Option<String>) -> Track {
    let media = match encrypted_track.id.kind {
        TrackKind::Video => Media::Video {
            pixels: encrypted_track.pixels,
            hdr: encrypted_track.color.hdr,
            wcg: encrypted_track.color.wcg,
            fps: encrypted_track.frame_rate,
        },
        TrackKind::Audio => Media::Audio { channels: encrypted_track.channels },
        TrackKind::Text => Media::Other,
    };
    let labels = std::iter::once(encrypted_track.id.to_string())
        .chain(encrypted_track.labels.iter().cloned())
        .collect();
    Track { name: encrypted_track.id.to_string(), media, bitrate: encrypted_track.bitrate, labels, period }
}

impl Assignment {
    /// The assignment that key ids are: tracks that have the same in every period share a key.
    pub fn of(kids: &Kids, encrypted_tracks: &[EncryptedTrack]) -> Self {
        let mut assignment = Self::default();
        let mut known = Vec::new();
        for EncryptedTrack { id: track, .. } in encrypted_tracks {
            let of_track = kids.iter().filter(|((_, of), _)| of == track);
            let own: Vec<Kid> = of_track.map(|(_, kid)| *kid).collect();
            let key = known.iter().find(|(other, _)| *other == own).map(|(_, key)| *key);
            let key = key.unwrap_or_else(|| {
                let purpose = KeyPurpose { id: None, track_type: String::new(), video: None, audio: None };
                let key = assignment.add(purpose);
                known.push((own, key));
                key
            });
            assignment.give(*track, key);
        }
        assignment
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;

    /// A `pssh` of Widevine that names this key id in `key_id`, its field 2.
    fn pssh(system: &DrmSystem, kid: Kid) -> Vec<u8> {
        let sizes = [50_u32, 18].map(u32::to_be_bytes);
        [&sizes[0][..], b"pssh", &[0; 4], system.system_id.bytes(), &sizes[1], &[0x12, 16], kid.bytes()]
            .concat()
    }

    #[test]
    fn signaling_for_the_id_that_a_source_replaced_is_left_out_and_said() {
        let [proposed, given, other] = [1, 2, 3].map(|byte| Kid::new([byte; 16]));
        let widevine = crate::drm::find("widevine").unwrap();
        let document = |kid, named: Option<Kid>| {
            let mut system = DrmSystem::new(widevine.system_id(), kid);
            system.pssh = named.map(|named| pssh(&system, named));
            let key = ContentKey { value: Some(Secret::new([7; 16])), ..ContentKey::new(kid) };
            Document { content_keys: vec![key], drm_systems: vec![system], ..Document::default() }
        };
        let request = document(proposed, None);
        for (named, is_left_out) in [(proposed, true), (given, false), (other, false)] {
            let mut answer = check(&request, document(given, Some(named))).unwrap();
            let warnings = drop_proposed(&request, &mut answer);
            assert_eq!(
                (warnings.len() == 1, answer.drm_systems[0].pssh.is_none()),
                (is_left_out, is_left_out)
            );
            assert_eq!(answer.drm_systems[0].kid, given);
        }
        // Nothing was replaced.
        let mut answer = check(&request, document(proposed, Some(proposed))).unwrap();
        assert!(drop_proposed(&request, &mut answer).is_empty() && answer.drm_systems[0].pssh.is_some());
    }
}
