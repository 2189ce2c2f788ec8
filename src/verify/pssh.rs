//! Protection System Specific Header boxes, wherever they stand — ISO/IEC 23001-7 §8.1.

use std::fmt::Display;

use crate::base::{Kid, Secret, SystemId};
use crate::drm::pssh::Pssh;
use crate::drm::{self, System};
use crate::isobmff::BoxNode;
use crate::package::FindKey;
use crate::protect::Scheme;

use super::findings::Findings;

/// A key and the scheme of the tracks under it.
pub(super) type Key = (Kid, &'static Scheme);

/// Reads the `pssh` boxes in a `moov` or `moof` and checks them, all together.
pub(super) fn check_boxes(
    parent: &BoxNode,
    keys: &[Key],
    place: &dyn Display,
    find_key: Option<&FindKey<'_>>,
    findings: &mut Findings,
) -> Vec<Pssh> {
    let mut boxes = Vec::new();
    for node in parent.all(b"pssh") {
        boxes.extend(parse(&node.to_bytes(), place, findings));
    }
    check(&boxes, keys, place, find_key, findings);
    boxes
}

/// Reads one whole box.
pub(super) fn parse(bytes: &[u8], place: &dyn Display, findings: &mut Findings) -> Option<Pssh> {
    let parsed = Pssh::parse(bytes);
    let found = parsed.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let pssh = parsed.ok();
    findings.check("pssh-box", pssh.is_some(), place, &found, &"one whole box");
    let pssh = pssh?;
    let is_nested = pssh.data.get(4..8) == Some(b"pssh");
    findings.check("pssh-box", !is_nested, place, &"a pssh in the data of a pssh", &"data");
    Some(pssh)
}

/// Checks boxes that stand together: what they say for each system, for tracks with these keys.
pub(super) fn check(
    boxes: &[Pssh],
    keys: &[Key],
    place: &dyn Display,
    find_key: Option<&FindKey<'_>>,
    findings: &mut Findings,
) {
    let mut seen: Vec<SystemId> = Vec::new();
    for pssh in boxes {
        let mut systems = drm::ALL.iter().copied();
        let Some(system) = systems.find(|known| known.pssh_system_id() == Some(pssh.system_id)) else {
            continue;
        };
        let kids = system.kids(pssh);
        let found = kids.as_ref().err().map(ToString::to_string).unwrap_or_default();
        findings.check("pssh-data", kids.is_ok(), place, &found, &"data of the system");
        if let Some((_, scheme)) = keys.first() {
            check_faults(system, pssh, scheme, place, find_key, findings);
        }
        if seen.contains(&pssh.system_id) {
            continue;
        }
        seen.push(pssh.system_id);
        let same = boxes.iter().filter(|other| other.system_id == pssh.system_id);
        let named: Vec<Kid> = same.filter_map(|other| system.kids(other).ok()).flatten().collect();
        check_kids(&named, keys, &format_args!("{place}: pssh of {}", system.name()), findings);
    }
}

fn check_faults(
    system: &dyn System,
    pssh: &Pssh,
    scheme: &Scheme,
    place: &dyn Display,
    find_key: Option<&FindKey<'_>>,
    findings: &mut Findings,
) {
    let find = |kid: Kid| -> Option<Secret<16>> { find_key.and_then(|find_key| find_key(kid)) };
    let faults = system.faults(pssh, scheme, &find);
    for rule in ["pssh-scheme", "wrm-version", "wrm-algid", "wrm-checksum"] {
        let mut broken = faults.iter().filter(|fault| fault.rule == rule).peekable();
        if broken.peek().is_none() {
            findings.check(rule, true, place, &"", &"");
        }
        for fault in broken {
            findings.check(rule, false, place, &fault.found, &fault.expected);
        }
    }
}

/// The key ids that a system names are those of the tracks; a list without any says nothing.
pub(super) fn check_kids(named: &[Kid], keys: &[Key], place: &dyn Display, findings: &mut Findings) {
    for (kid, _) in keys.iter().filter(|_| !named.is_empty()) {
        let swapped = Kid::new(kid.to_guid_le());
        let is_swapped = !named.contains(kid) && named.contains(&swapped) && swapped != *kid;
        let expected = format!("{kid}");
        if findings.check("kid-byte-order", !is_swapped, place, &swapped, &expected) {
            let found = named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            findings.check("pssh-kid", named.contains(kid), place, &found, &expected);
        }
    }
}
