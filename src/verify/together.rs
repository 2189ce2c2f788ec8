//! Several presentations, each verified for itself, and the IVs of all of them together — ISO/IEC 23001-7 §9.2.

use std::collections::BTreeSet;

use crate::base::Result;

use super::fragmented::iv::{CounterBlocks, Reuse};
use super::run::{Verification, VerifyJob, verify};
use super::shared_keys;

/// Verifies presentations that are known by names. Under a key that they share no counter block may cover two
/// different things either: that is a finding of the later one.
///
/// # Errors
/// As [`verify`].
pub fn verify_all(jobs: &[(String, VerifyJob<'_>)]) -> Result<Vec<Verification>> {
    let (mut blocks, mut files, mut results) = (CounterBlocks::default(), Vec::new(), Vec::new());
    let mut keys = BTreeSet::new();
    for (name, job) in jobs {
        let mut one = verify(job).map_err(|error| error.at(name))?;
        let first = files.len();
        files.extend(std::mem::take(&mut one.media).into_iter().map(|file| format!("{name}/{file}")));
        let file = |number: usize| files.get(number).map_or("", String::as_str);
        let (used, findings) = (std::mem::take(&mut one.blocks), &mut one.findings);
        blocks.merge(used, first, &mut |Reuse { kid, first, before, file: number }| {
            let found = format!("counter block {first:032x} under key {kid}, used in {} too", file(before));
            findings.check("iv-reuse", false, &file(number), &found, &"counter blocks not used before");
        });
        // What is in one presentation is said there.
        let own = std::mem::take(&mut one.keys);
        for (key, kid) in own.difference(&keys.clone()) {
            let before = keys.iter().find(|(known, _)| known == key);
            let both = before.into_iter().chain([&(*key, *kid)]).copied().collect();
            shared_keys::check_values(&both, name, &mut one.findings);
        }
        keys.extend(own);
        if blocks.is_full() {
            one.findings.unchecked("counter blocks: there are more samples than are remembered");
        }
        results.push(one);
    }
    Ok(results)
}
