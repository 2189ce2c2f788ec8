//! The law of calm: no input makes a job panic, hang or take memory beyond its share.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use drm_pack::base::env::{Http, Request, Response, Sink, Source, Store};
use drm_pack::base::{Error, Result};

use drm_pack::job::{DecryptJob, Env, Job, decrypt, run};
use drm_pack::keys::DevKeys;
use drm_pack::verify::{VerifyJob, verify};

use crate::support::pack::{SEED, codec_files, demuxed_files, files, job, packages, quicktime_file};

/// Mutations of each fixture.
const MUTATIONS: u64 = 250;
/// Address space of the process that runs them, in KiB: a count from the input that sizes an allocation ends it.
const ADDRESS_SPACE_KIB: u64 = 4 << 20;
/// Most memory it may hold at any time, in KiB.
const RESIDENT_KIB: u64 = 256 << 10;
/// Set in the process that runs the mutations.
const INSIDE: &str = "DRM_PACK_CALM_INSIDE";

/// A folder in memory; a file that is written is counted and forgotten.
struct Folder(BTreeMap<String, Arc<Vec<u8>>>);

struct File(Arc<Vec<u8>>);

struct Forgotten(u64);

/// No job here asks a key server.
struct Nowhere;

impl Http for Nowhere {
    fn send(&self, _: &Request) -> Result<Response> {
        Err(Error::storage("no network"))
    }

    fn wait(&self, _: u64, _: &str) {}
}

impl Source for File {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        Source::read_at(self.0.as_ref(), position, buffer)
    }
}

impl Sink for Forgotten {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0 += bytes.len() as u64;
        // Protection adds boxes; it does not multiply a file.
        assert!(self.0 < 64 << 20, "{} bytes were written", self.0);
        Ok(())
    }

    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        assert!(position + bytes.len() as u64 <= self.0);
        Ok(())
    }

    fn reserve(&mut self, length: usize) -> Result<()> {
        self.0 += length as u64;
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        Ok(self.0)
    }
}

impl Store for Folder {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        let found = self.0.get(name).ok_or_else(|| Error::input("the file is missing").at(name))?;
        Ok(Box::new(File(found.clone())))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.0.contains_key(name))
    }

    fn create(&self, _: &str) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Forgotten(0)))
    }
}

impl Folder {
    fn read(folder: &Path) -> Self {
        fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Arc<Vec<u8>>>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, found);
                } else if path.extension().is_none_or(|extension| extension != "toml") {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, Arc::new(fs::read(&path).unwrap()));
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(folder, folder, &mut found);
        Self(found)
    }
}

/// SplitMix64: the same seed, the same mutations.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// A place in the bytes; half of the time near the start, where headers are.
    fn place(&mut self, length: usize) -> usize {
        let end = if self.next() & 1 == 0 { length } else { length.min(1500) };
        self.below(end)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.place(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
                2 => {
                    let extremes = [0_u32, 1, 7, 8, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, u32::MAX];
                    let value = extremes[self.below(extremes.len())].to_be_bytes();
                    bytes.iter_mut().skip(at).zip(value).for_each(|(byte, new)| *byte = new);
                }
                3 => {
                    let end = (at + 1 + self.below(64)).min(bytes.len());
                    let again = bytes[at.min(end)..end].to_vec();
                    bytes.splice(at..at, again);
                }
                4 => {
                    let end = (at + 1 + self.below(64)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
                5 => {
                    let value = u8::try_from(self.next() & 0xff).unwrap();
                    bytes.iter_mut().skip(at).take(1 + self.below(16)).for_each(|byte| *byte = value);
                }
                _ => {
                    // Digits of a text, a count of a table.
                    if let Some(byte) = bytes.iter_mut().skip(at).find(|byte| byte.is_ascii_digit()) {
                        *byte = b"0123456789-."[self.below(12)];
                    }
                }
            }
        }
    }
}

fn attempt(folder: &Folder, name: &str, what: &dyn Fn(&Env<'_>, Job) -> Result<()>, job: Job) -> Result<()> {
    let open_input = |input: &str| -> Result<(Box<dyn Store>, String)> {
        Ok((Box::new(Folder(folder.0.clone())), input.to_owned()))
    };
    let env = Env {
        open_input: &open_input,
        output: folder,
        keys: &DevKeys::new(SEED),
        http: &Nowhere,
        journal: None,
        observe: &|_| {},
    };
    what(&env, Job { inputs: vec![name.to_owned()], ..job })
}

fn packs(env: &Env<'_>, job: Job) -> Result<()> {
    run(&job, env).map(drop)
}

fn unpacks(env: &Env<'_>, job: Job) -> Result<()> {
    let key_store = DevKeys::new(SEED);
    decrypt(&DecryptJob { inputs: job.inputs, key_store: &key_store }, env).map(drop)
}

/// Findings are as good as an error.
fn verifies(env: &Env<'_>, job: Job) -> Result<()> {
    let (store, _) = (env.open_input)("")?;
    let key_store = DevKeys::new(SEED);
    let names = job.inputs;
    let found = verify(&VerifyJob {
        store: store.as_ref(),
        names,
        key_store: Some(&key_store),
        against: None,
        clear_tracks: &[],
        beside: &[],
    })?;
    if found.findings.passed() { Ok(()) } else { Err(Error::verification("findings")) }
}

/// Runs a job over [`MUTATIONS`] mutated copies of a folder, and over the folder as it is.
fn mutated(folder: &Folder, name: &str, what: &dyn Fn(&Env<'_>, Job) -> Result<()>, job: &Job) {
    attempt(folder, name, what, job.clone()).unwrap();
    let names: Vec<_> = folder.0.keys().cloned().collect();
    let mut refused = 0;
    for seed in 0..MUTATIONS {
        let mut seeded = Seeded(seed);
        // The manifest or the file that was named every other time, else any file.
        let victim = if seed & 1 == 0 { name } else { &names[seeded.below(names.len())] };
        let mut files = folder.0.clone();
        let mut bytes = files[victim].as_ref().clone();
        seeded.mutate(&mut bytes);
        files.insert(victim.to_owned(), Arc::new(bytes));
        if let Err(error) = attempt(&Folder(files), name, what, job.clone()) {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{name} seed {seed}: {text:?}");
            refused += 1;
        }
    }
    println!("{name}: {MUTATIONS} mutations, {refused} refused");
    assert!(refused > MUTATIONS / 20, "{name}: only {refused} mutations were refused");
}

fn inside() {
    for (path, drm) in packages() {
        let folder = Folder::read(path.parent().unwrap());
        let name = path.file_name().unwrap().to_str().unwrap();
        mutated(&folder, name, &packs, &job(&path, drm, "cbcs"));
    }
    for path in files().into_iter().chain(codec_files()).chain(demuxed_files()).chain([quicktime_file()]) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let folder = Folder(BTreeMap::from([(name.clone(), Arc::new(fs::read(&path).unwrap()))]));
        mutated(&folder, &name, &packs, &job(&path, "widevine", "cenc"));
    }
    for (path, drm) in packages().into_iter().take(4) {
        let out = tempfile::tempdir().unwrap();
        crate::support::pack::pack(&job(&path, drm, "cenc"), out.path()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        mutated(&Folder::read(out.path()), name, &unpacks, &Job::default());
        mutated(&Folder::read(out.path()), name, &verifies, &Job::default());
    }
    let ts = crate::support::media::root().join("fixtures/clip/hls-ts/index.m3u8");
    let whole = Job { drm: "simpleaes".into(), key_uri: Some("{kid}".into()), ..Job::default() };
    mutated(&Folder::read(ts.parent().unwrap()), "index.m3u8", &packs, &whole);
    let out = tempfile::tempdir().unwrap();
    crate::support::pack::pack(&Job { inputs: vec![ts.to_str().unwrap().to_owned()], ..whole }, out.path())
        .unwrap();
    mutated(&Folder::read(out.path()), "index.m3u8", &unpacks, &Job::default());
    mutated(&Folder::read(out.path()), "index.m3u8", &verifies, &Job::default());
    let out = tempfile::tempdir().unwrap();
    crate::support::pack::pack(&job(&ts, "fairplay", "cbcs"), out.path()).unwrap();
    mutated(&Folder::read(out.path()), "index.m3u8", &verifies, &Job::default());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    println!("peak of resident memory: {peak} KiB");
    assert!(peak < RESIDENT_KIB, "{peak} KiB were resident, at most {RESIDENT_KIB}");
}

#[test]
fn mutations_of_each_fixture_end_in_one_line_and_little_memory() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let this = std::env::current_exe().unwrap();
    let limited = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" \"$@\"");
    let name = "robustness::mutations_of_each_fixture_end_in_one_line_and_little_memory";
    let done = Command::new("sh")
        .args(["-c", &limited])
        .arg(this)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("peak of resident memory"), "the mutations did not run: {said}");
    println!("{said}");
}
