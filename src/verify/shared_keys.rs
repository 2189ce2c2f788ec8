//! Keys that audio shares with video, where clients of a system refuse that, and one value under two ids — vendor
//! specifications, ISO/IEC 23001-7 §9.2.

use std::collections::BTreeSet;

use crate::base::Kid;
use crate::drm;

use super::findings::Findings;
use super::fragmented::iv::StreamKey;
use super::manifests::info::InitInfo;

/// Advises against a key for audio that video has, where boxes of a system say that its clients are to play it.
pub(super) fn check(inits: &[Option<InitInfo>], findings: &mut Findings) {
    let boxes = || inits.iter().flatten().flat_map(|facts| &facts.pssh);
    let is_signaled =
        |system: &&&dyn drm::System| boxes().any(|pssh| system.pssh_system_id() == Some(pssh.system_id));
    let keys_of = |kind: &[u8; 4]| -> BTreeSet<[u8; 16]> {
        let tracks = inits.iter().flatten().flat_map(|facts| &facts.init.tracks);
        let entries = tracks.filter(|track| track.handler_type.0 == *kind).flat_map(|track| &track.entries);
        let kids = entries.filter_map(|entry| entry.protection.as_ref()).map(|entry| entry.tenc.default_kid);
        kids.map(|kid| *kid.bytes()).collect()
    };
    let is_shared = !keys_of(b"vide").is_disjoint(&keys_of(b"soun"));
    for system in drm::ALL.iter().filter(is_signaled) {
        if let Some(limit) = system.shared_key_limit() {
            findings.check("key-shared", !is_shared, &system.name(), &limit, &"keys of their own");
        }
    }
}

/// Advises against one value under two key ids: it is one key.
pub(super) fn check_values(keys: &BTreeSet<(StreamKey, Kid)>, place: &str, findings: &mut Findings) {
    let mut before: Option<(StreamKey, Kid)> = None;
    for (key, kid) in keys.iter().copied().filter(|(key, _)| matches!(key, StreamKey::Value(_))) {
        let other = before.filter(|(known, _)| *known == key).map(|(_, other)| other);
        let found = other.map(|other| format!("one value under {other} and {kid}")).unwrap_or_default();
        findings.check("key-value", other.is_none(), &place, &found, &"a value for each key id");
        before = Some((key, kid));
    }
}
