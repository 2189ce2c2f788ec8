//! What one track, period or manifest has of a DRM system, the others have as well — ISO/IEC 23001-7 §8.1, ISO/IEC 23009-1
//! §5.8.4.1, DASH-IF IOP content protection.
//!
//! A player knows one system. Where that is left out it plays video without audio, or stops when the key changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Kid, SystemId};
use crate::drm::{self, ManifestKind, System};
use crate::hls::Key;

use super::agreement::{Agreement, Announced};
use super::dash::{descriptors, system_ids};
use super::info::PresentationInfo;
use super::{DashManifest, Presentation, Rendition};
use crate::verify::findings::Findings;

/// Holds the Representations of each Period to each other, and the periods of keys that change.
pub(in crate::verify) fn check(
    presentation: &Presentation<'_>,
    facts: &PresentationInfo<'_>,
    agreement: &Agreement,
    findings: &mut Findings,
) {
    presentation.mpds.iter().for_each(|manifest| descriptors_alike(manifest, facts, findings));
    playlists_alone(presentation, facts, findings);
    if facts.rotated {
        periods(presentation, facts, agreement.of_mpds(), findings);
    }
}

/// Of a system that plays from playlists alone, what speaks of it elsewhere is of no use without its keys there.
fn playlists_alone(presentation: &Presentation<'_>, facts: &PresentationInfo<'_>, findings: &mut Findings) {
    let is_alone = |system: &&&dyn System| {
        system.signals_in(ManifestKind::Hls) && !system.signals_in(ManifestKind::Dash)
    };
    for system in drm::ALL.iter().filter(is_alone) {
        let (id, name) = (system.system_id(), system.name());
        let is_own = |key: &Key| {
            key.encrypts() && drm::find_key_format(&key.key_format).is_some_and(|own| own.system_id() == id)
        };
        let mut playlists = presentation.playlists.iter().map(|playlist| playlist.media).peekable();
        if playlists.peek().is_none() || playlists.any(|media| media.keys.iter().any(is_own)) {
            continue;
        }
        let session = presentation.multivariants.iter().find(|found| found.session_keys.iter().any(is_own));
        let init =
            facts.inits.iter().flatten().find(|init| init.pssh.iter().any(|pssh| pssh.system_id == id));
        let mpd = presentation.mpds.iter().find(|manifest| {
            descriptors(manifest.document.mpd.root())
                .values()
                .any(|own| system_ids(own).any(|found| found == id))
        });
        let session = session.map(|found| format!("{}: EXT-X-SESSION-KEY", found.name));
        let init = init.map(|init| format!("{}: pssh", init.name));
        let mpd = mpd.map(|manifest| format!("{}: ContentProtection", manifest.document.name));
        let place = session.or(init).or(mpd);
        let found = format!("{name}, which no playlist has a key of");
        let expected = format!("EXT-X-KEY of {name} in playlists");
        findings.check("hls-system-absent", place.is_none(), &place.unwrap_or_default(), &found, &expected);
    }
}

/// Protected media of one Period has descriptors of the same systems.
fn descriptors_alike(manifest: &DashManifest<'_>, facts: &PresentationInfo<'_>, findings: &mut Findings) {
    let all = descriptors(manifest.document.mpd.root());
    let mut of_period: BTreeMap<usize, Vec<(String, BTreeSet<String>)>> = BTreeMap::new();
    for (track, rendition) in &manifest.representations {
        let representation = &track.representation;
        let Some(own) = all.get(&representation.place).filter(|_| facts.protection(*rendition).is_some())
        else {
            continue;
        };
        // A system without signaling in DASH is found by itself.
        let is_used =
            |id: &SystemId| drm::find_id(*id).is_none_or(|system| system.signals_in(ManifestKind::Dash));
        let ids = system_ids(own).filter(is_used).map(|id| id.to_string()).collect();
        let place =
            format!("{}: {} (id {})", manifest.document.name, representation.place, representation.id);
        of_period.entry(representation.place.period).or_default().push((place, ids));
    }
    for tracks in of_period.values() {
        let all: BTreeSet<&String> = tracks.iter().flat_map(|(_, ids)| ids).collect();
        for (place, own) in tracks {
            let missing = all.iter().find(|id| !own.contains(**id));
            let found =
                missing.map(|id| format!("no ContentProtection of {}", system_name(id))).unwrap_or_default();
            let with = missing.and_then(|id| tracks.iter().find(|(_, ids)| ids.contains(*id)));
            let expected = format!("one as at {}", with.map_or("", |(place, _)| place));
            findings.check("mpd-systems", missing.is_none(), place, &found, &expected);
        }
    }
}

/// The word of a system, or its id.
fn system_name(id: &str) -> String {
    let system = SystemId::parse(id).ok().and_then(drm::find_id);
    system.map_or_else(|| id.to_owned(), |system| format!("{} ({id})", system.name()))
}

/// The first fragment under a key, and what its track has told by then.
struct Period {
    place: String,
    kid: Kid,
    told: Announced,
}

/// The periods of a track in the order of its files, and all that it tells.
fn of_rendition(
    (index, rendition): (usize, &Rendition),
    facts: &PresentationInfo<'_>,
) -> (Vec<Period>, Announced) {
    let (mut found, mut told, mut known) = (Vec::new(), Announced::default(), BTreeSet::new());
    if let Some(Some(init)) = facts.inits.get(index) {
        told.add(&init.pssh);
    }
    for name in &rendition.files {
        let Some(file) = facts.file(name) else { continue };
        let mut boxes = file.pssh.iter().peekable();
        for fragment in &file.fragments {
            while let Some((_, new)) = boxes.next_if(|(position, _)| *position <= fragment.position) {
                told.add(new);
            }
            let Some(kid) = fragment.kid.filter(|kid| known.insert(*kid.bytes())) else { continue };
            let place = format!("{name}: moof at byte {}", fragment.position);
            found.push(Period { place, kid, told: told.clone() });
        }
    }
    (found, told)
}

/// Of each system that has boxes in fragments, every key is announced. Playlists name every key themselves.
fn periods(
    presentation: &Presentation<'_>,
    facts: &PresentationInfo<'_>,
    mpds: &Announced,
    findings: &mut Findings,
) {
    let mut in_fragments = Announced::default();
    facts.files.values().flat_map(|file| &file.pssh).for_each(|(_, boxes)| in_fragments.add(boxes));
    let tracks: Vec<(usize, (Vec<Period>, Announced))> = presentation
        .renditions
        .iter()
        .enumerate()
        .filter(|(_, rendition)| !rendition.are_parts)
        .map(|rendition| (rendition.0, of_rendition(rendition, facts)))
        .collect();
    let in_mpd =
        |index| presentation.mpds.iter().flat_map(|mpd| &mpd.representations).any(|(_, own)| *own == index);
    let in_hls =
        |index| presentation.playlists.iter().flat_map(|media| &media.segments).any(|(_, own)| *own == index);
    for system in drm::ALL {
        let Some(id) = system.pssh_system_id().filter(|id| in_fragments.has_system(*id)) else { continue };
        for (index, (periods, all)) in tracks.iter().filter(|(index, _)| in_mpd(*index) || !in_hls(*index)) {
            for period in periods {
                // A track may leave all of it to another one.
                let others = || tracks.iter().filter(|(other, _)| other != index);
                let is_told = mpds.has(id, period.kid)
                    || period.told.has(id, period.kid)
                    || !all.has_system(id) && others().any(|(_, (_, other))| other.has(id, period.kid));
                let found = format!("no pssh of {} for key {}", system.name(), period.kid);
                let expected = "one here or before, as other keys have";
                findings.check("pssh-period", is_told, &period.place, &found, &expected);
            }
        }
    }
}
