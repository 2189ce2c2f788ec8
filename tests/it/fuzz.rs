//! The targets of `fuzz/`, as `cargo test` runs them: seeds, inputs that were kept, mutations by seeds.

#[path = "../../fuzz/src/harness/mod.rs"]
pub(crate) mod harness;

use std::panic::catch_unwind;

use harness::mutate::Seeded;
use harness::seeds::kept;
use harness::{Outcome, TARGETS, Target};

/// Mutations of each target; `DRM_PACK_MUTATIONS` has another number.
const MUTATIONS: u64 = 50;

/// Runs an input; what it broke, if anything.
fn broken(target: &Target, data: &[u8]) -> Result<Outcome, String> {
    catch_unwind(|| (target.run)(data)).map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

#[test]
fn inputs_that_were_kept_break_nothing() {
    for target in TARGETS {
        for (name, data) in kept(target.name) {
            if let Err(text) = broken(target, &data) {
                panic!("fuzz/corpus/{}/{name}: {text}", target.name);
            }
        }
    }
}

#[test]
fn mutations_of_seeds_break_nothing() {
    let count = std::env::var("DRM_PACK_MUTATIONS").ok().and_then(|count| count.parse().ok());
    for target in TARGETS {
        let seeds = (target.seeds)();
        let mut taken = 0;
        for (name, data) in &seeds {
            match broken(target, data) {
                Ok(outcome) => taken += u64::from(outcome == Outcome::Taken),
                Err(text) => panic!("{} of {name}: {text}", target.name),
            }
        }
        assert!(taken > 0, "{}: no seed is taken", target.name);
        for number in 0..count.unwrap_or(MUTATIONS) {
            let mut seeded = Seeded(number);
            let mut data = seeds[seeded.below(seeds.len())].1.clone();
            seeded.mutate_shaped(&mut data, target.shape);
            if let Err(text) = broken(target, &data) {
                panic!("{} mutation {number}: {text}", target.name);
            }
        }
    }
}
