//! Protection System Specific Header boxes, wherever they stand — ISO/IEC 23001-7 §8.1.

use std::fmt::Display;

use crate::base::{KeyStore, Kid, Result, Secret, SystemId};
use crate::drm::{self, BOX_RULES, Fault, KeyUse, Pssh, box_faults};
use crate::isobmff::BoxNode;

use crate::verify::findings::Findings;

/// Reads the `pssh` boxes in a `moov` or `moof` and checks them, all together.
pub(in crate::verify) fn check_boxes(
    parent: &BoxNode,
    keys: &[KeyUse<'_>],
    place: &dyn Display,
    key_store: Option<&dyn KeyStore>,
    findings: &mut Findings,
) -> Vec<Pssh> {
    let mut boxes = Vec::new();
    for node in parent.all(b"pssh") {
        boxes.extend(read(Pssh::parse(&node.to_bytes()), place, findings));
    }
    check(&boxes, keys, place, key_store, findings);
    boxes
}

/// A box that was read, or what is wrong with it.
pub(in crate::verify) fn read(
    parsed: Result<Pssh>,
    place: &dyn Display,
    findings: &mut Findings,
) -> Option<Pssh> {
    let found = parsed.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let pssh = parsed.ok();
    findings.check("pssh-box", pssh.is_some(), place, &found, &"one whole box");
    let pssh = pssh?;
    let is_nested = pssh.data.get(4..8) == Some(b"pssh");
    findings.check("pssh-box", !is_nested, place, &"a pssh in the data of a pssh", &"data");
    Some(pssh)
}

/// Checks boxes that stand together: what they say for each system, for tracks with these keys.
pub(in crate::verify) fn check(
    boxes: &[Pssh],
    keys: &[KeyUse<'_>],
    place: &dyn Display,
    key_store: Option<&dyn KeyStore>,
    findings: &mut Findings,
) {
    let find = |kid: Kid| -> Option<Secret<16>> { key_store.and_then(|key_store| key_store.key(kid)) };
    boxes.iter().for_each(|pssh| note_unknown(pssh.system_id, "pssh", findings));
    for system in drm::ALL {
        let own = |pssh: &&Pssh| system.pssh_system_id() == Some(pssh.system_id);
        let boxes: Vec<&Pssh> = boxes.iter().filter(own).collect();
        if !boxes.is_empty() {
            let place = format_args!("{place}: pssh of {}", system.name()).to_string();
            hold(&BOX_RULES, box_faults(*system, &boxes, keys, &find), &place, findings);
        }
    }
}

/// Says that DRM data of this system could not be checked, if it is none that is known.
pub(in crate::verify) fn note_unknown(id: SystemId, what: &str, findings: &mut Findings) {
    if !drm::is_known(id) {
        findings.unchecked(format!("{what} of the system {id}, which is none that is known"));
    }
}

/// Holds something to rules by what was found wrong with it.
pub(in crate::verify) fn hold(
    rules: &[&'static str],
    faults: Vec<Fault>,
    place: &dyn Display,
    findings: &mut Findings,
) {
    for rule in rules.iter().filter(|rule| faults.iter().all(|fault| fault.rule != **rule)) {
        findings.check(rule, true, place, &"", &"");
    }
    for fault in faults {
        findings.check(fault.rule, false, place, &fault.found, &fault.expected);
    }
}
