//! Several presentations, each verified for itself, and the IVs of all of them together — ISO/IEC 23001-7 §9.2.

use crate::base::Result;

use super::fragmented::iv::{CounterBlocks, Reuse};
use super::run::{Verification, VerifyJob, verify};

/// Verifies presentations that are known by names. Under a key that they share no counter block may cover two
/// different things either: that is a finding of the later one.
///
/// # Errors
/// As [`verify`].
pub fn verify_all(jobs: &[(String, VerifyJob<'_>)]) -> Result<Vec<Verification>> {
    let (mut blocks, mut files, mut results) = (CounterBlocks::default(), Vec::new(), Vec::new());
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
        if blocks.is_full() {
            findings.unchecked("counter blocks: there are more samples than are remembered");
        }
        results.push(one);
    }
    Ok(results)
}
