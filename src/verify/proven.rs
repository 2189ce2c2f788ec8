//! Whether the keys that are given are right, and what is not proven of it — ISO/IEC 23001-7 §9.

use std::fmt::Display;

use crate::codec::Verdict;
use crate::package::Proofs;

use super::findings::Findings;

/// What is said when there are no keys.
pub(super) const NO_KEYS: &str =
    "payload of protected samples: no keys were given; give them with --key-file or --cpix";

/// Holds what one file shows of its keys to the rule that they are right.
pub(super) fn key_fits(proofs: &Proofs, place: &dyn Display, findings: &mut Findings) {
    for (what, verdict, why) in proofs.verdicts() {
        let found = format_args!("{what}: {why}").to_string();
        findings.check("key-fits", verdict != Verdict::Wrong, place, &found, &"what the right key gives");
    }
}

/// The same of all files together, which say of which keys it cannot be told.
pub(super) fn all_keys_fit(proofs: &Proofs, findings: &mut Findings) {
    key_fits(proofs, &"all files", findings);
    for open in proofs.open() {
        findings.unchecked(format!("payload: {open}; give the clear source with --against"));
    }
}
