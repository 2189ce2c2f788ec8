//! What playlists say of keys of whole segments and of streams — RFC 8216bis §4.4.4.4, §4.4.4.5, §6.3.6.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Result;
use crate::drm::identity_faults;
use crate::hls::Key;
use crate::presentation::Role;

use super::{Protection, SegmentPlaylist, identity};
use crate::verify::findings::Findings;
use crate::verify::fragmented::pssh;
use crate::verify::manifests::hls_keys::{InForce, check_key, check_version, same_systems};

/// Checks the keys of every playlist and returns them.
pub(in crate::verify) fn check(
    playlists: &[SegmentPlaylist<'_>],
    findings: &mut Findings,
) -> Result<Vec<Key>> {
    let (mut all, mut systems) = (Vec::new(), BTreeMap::new());
    for playlist in playlists.iter().filter(|playlist| playlist.protection != Protection::Never) {
        let (media, keys) = (playlist.media, &playlist.media.keys);
        check_version(&media.name, (&media.playlist, &media.keys), findings)?;
        for key in keys.iter().filter(|key| key.encrypts()) {
            check_key(key, &media.name, findings);
            let (place, method) =
                (format!("{}: line {}", media.name, key.line + 1), playlist.protection.method());
            findings.check("hls-method", key.method == method, &place, &key.method, &method);
            pssh::hold(&["hls-pssh"], identity_faults(key), &place, findings);
        }
        let (mut in_force, mut without_iv) = (InForce::new(keys), BTreeSet::new());
        for segment in &playlist.segments {
            let place = format!("{}: line {}", media.name, segment.resource.line + 1);
            let in_force = in_force.at(segment.resource.line, &media.name, findings);
            if let Some(parent_segment) = segment.inside {
                let holds = identity(segment.resource) == identity(parent_segment);
                findings.check("hls-inside", holds, &place, &"another key or IV", &"that of the segment");
            }
            if !in_force.is_empty() {
                let systems = systems.entry(playlist.protection.method()).or_default();
                same_systems(in_force, systems, &place, findings);
            }
            if playlist.protection == Protection::Whole && segment.resource.role == Role::Init {
                for key in in_force.values().filter(|key| without_iv.insert(key.line)) {
                    let found = format!("no IV in line {}", key.line + 1);
                    findings.check(
                        "whole-map-iv",
                        key.attributes.raw("IV").is_some(),
                        &place,
                        &found,
                        &"an IV",
                    );
                }
            }
        }
        all.extend(keys.iter().filter(|key| key.encrypts()).cloned());
    }
    Ok(all)
}
