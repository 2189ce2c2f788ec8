//! What playlists say of keys of whole segments and of streams — RFC 8216bis §4.4.4.4, §4.4.4.5, §6.3.6.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Result;
use crate::hls::media::keys;
use crate::hls::{Key, NamedKind};

use super::findings::Findings;
use super::hls::{InForce, check_key, check_version, same_systems};
use super::pieces::{PiecePlaylist, Protection};

/// Checks the keys of every playlist and returns them.
pub(super) fn check(playlists: &[PiecePlaylist], findings: &mut Findings) -> Result<Vec<Key>> {
    let (mut all, mut systems) = (Vec::new(), BTreeMap::new());
    for media in playlists.iter().filter(|media| media.protection != Protection::Never) {
        let keys = keys(&media.playlist).map_err(|error| error.at(&media.name))?;
        check_version(&media.name, &media.playlist, findings)?;
        for key in keys.iter().filter(|key| key.encrypts()) {
            check_key(key, &media.name, findings);
            let (place, method) =
                (format!("{}: line {}", media.name, key.line + 1), media.protection.method());
            findings.check("hls-method", key.method == method, &place, &key.method, &method);
        }
        let (mut in_force, mut without_iv) = (InForce::new(&keys), BTreeSet::new());
        for piece in &media.pieces {
            let place = format!("{}: line {}", media.name, piece.line + 1);
            let in_force = in_force.at(piece.line, &media.name, findings);
            if let Some(holder) = &piece.inside {
                let holds = piece.key.identity() == holder.identity();
                findings.check("hls-inside", holds, &place, &"another key or IV", &"that of the segment");
            }
            if !in_force.is_empty() {
                let systems = systems.entry(media.protection.method()).or_default();
                same_systems(in_force, systems, &place, findings);
            }
            if media.protection == Protection::Whole && piece.kind == NamedKind::Map {
                for key in in_force.values().filter(|key| without_iv.insert(key.line)) {
                    let found = format!("no IV in line {}", key.line + 1);
                    findings.check("whole-map-iv", key.iv.is_some(), &place, &found, &"an IV");
                }
            }
        }
        all.extend(keys.into_iter().filter(Key::encrypts));
    }
    Ok(all)
}
