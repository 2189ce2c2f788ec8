//! The fuzzer of every target: `DRM_PACK_FUZZ` names the target; see `scripts/fuzz`.
#![no_main]
#![allow(clippy::unwrap_used, reason = "whatever panics here is a finding")]

mod harness;

use std::fs;
use std::panic;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use harness::mutate::Seeded;
use harness::seeds::kept;
use harness::{Outcome, TARGETS, Target};

/// Inputs that take longer are kept: none needs a tenth of it on an idle machine.
const SLOW: Duration = Duration::from_secs(1);

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn target() -> &'static Target {
    TARGET.get().unwrap()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Chooses the target, and does what is no fuzzing.
fn prepare() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().unwrap();
    let wanted = variable("DRM_PACK_FUZZ").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == wanted) else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        exit(if wanted.is_empty() { 0 } else { 2 });
    };
    let _ = TARGET.set(target);
    if let Some(folder) = variable("DRM_PACK_FUZZ_SEEDS") {
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in (target.seeds)() {
            fs::write(Path::new(&folder).join(name), bytes).unwrap();
        }
        exit(0);
    }
    if let Some(count) = variable("DRM_PACK_FUZZ_MUTATE") {
        mutate(target, count.parse().unwrap());
    }
}

/// So many mutations by seeds: the same each time. Failures are kept in the folder `DRM_PACK_FUZZ_FAILURES`.
fn mutate(target: &Target, count: u64) -> ! {
    panic::set_hook(Box::new(|_| {}));
    let seeds: Vec<_> = (target.seeds)().into_iter().chain(kept(target.name)).collect();
    let (mut taken, mut failed, mut slowest) = (0, 0, (0, 0));
    let begin = Instant::now();
    for number in 0..count {
        let mut seeded = Seeded(number);
        let mut data = seeds[seeded.below(seeds.len())].1.clone();
        seeded.mutate_shaped(&mut data, target.shape);
        let start = Instant::now();
        let keep = |data: &[u8]| {
            if let Some(folder) = variable("DRM_PACK_FUZZ_FAILURES") {
                fs::create_dir_all(&folder).unwrap();
                fs::write(Path::new(&folder).join(format!("{}-{number}", target.name)), data).unwrap();
            }
        };
        match panic::catch_unwind(|| (target.run)(&data)) {
            Ok(Outcome::Taken) => taken += 1,
            Ok(Outcome::Refused) => {}
            Err(cause) => {
                failed += 1;
                let text = cause.downcast_ref::<String>().cloned();
                let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                println!("{} {number}: {}", target.name, text.unwrap_or_default());
                keep(&data);
            }
        }
        if start.elapsed() > SLOW {
            println!("{} {number}: took {} ms", target.name, start.elapsed().as_millis());
            keep(&data);
        }
        slowest = slowest.max((start.elapsed().as_millis(), number));
    }
    println!(
        "{}: {count} mutations in {} s, {taken} taken, {} refused, {failed} failed, the slowest {} ms ({})",
        target.name,
        begin.elapsed().as_secs(),
        count - taken - failed,
        slowest.0,
        slowest.1
    );
    exit(i32::from(failed > 0));
}

libfuzzer_sys::fuzz_target!(init: prepare(), |data: &[u8]| {
    let _ = (target().run)(data);
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // What the fuzzer does by itself, with its dictionary and its memory of comparisons, every other time.
    if seed & 1 == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut bytes = data[..size].to_vec();
    Seeded(u64::from(seed)).mutate_shaped(&mut bytes, target().shape);
    let size = bytes.len().min(max_size);
    data[..size].copy_from_slice(&bytes[..size]);
    size
});
