//! A world in memory for jobs: files, keys of a seed, no network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use drm_pack::base::env::{Http, Request, Response, Sink, Source, Store};
use drm_pack::base::{Error, Kid, Result, Secret};
use drm_pack::job::{DecryptJob, Env, Job, Report, decrypt, run};
use drm_pack::keys::{DevKeys, KeyServer};
use drm_pack::verify::{Reference, Verification, VerifyJob, verify};

/// The seed of every key.
pub(crate) const SEED: &str = "fuzz";
/// Most bytes a job may write: protection adds boxes, it does not multiply a file.
const MAX_WRITTEN: usize = 64 << 20;

/// Files by name.
pub(crate) type Files = BTreeMap<String, Arc<Vec<u8>>>;

/// A folder: files, and what stands in for files that are not there.
#[derive(Clone)]
pub(crate) struct Folder {
    pub(crate) files: Files,
    pub(crate) others: fn(&str) -> Option<Arc<Vec<u8>>>,
    written: Arc<Mutex<Files>>,
}

impl Folder {
    pub(crate) fn new(files: Files) -> Self {
        Self { files, others: |_| None, written: Arc::default() }
    }

    pub(crate) fn of<const N: usize>(files: [(&str, Vec<u8>); N]) -> Self {
        Self::new(files.into_iter().map(|(name, bytes)| (name.to_owned(), Arc::new(bytes))).collect())
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Vec<u8>>> {
        self.files.get(name).cloned().or_else(|| (self.others)(name))
    }

    /// What was written into it.
    pub(crate) fn into_written(self) -> Files {
        std::mem::take(&mut *self.written.lock().unwrap())
    }
}

struct File(Arc<Vec<u8>>);

impl Source for File {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        Source::read_at(self.0.as_ref(), position, buffer)
    }
}

struct Writing {
    name: String,
    bytes: Vec<u8>,
    written: Arc<Mutex<Files>>,
}

impl Sink for Writing {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        assert!(self.bytes.len() + bytes.len() < MAX_WRITTEN, "{}: too much is written", self.name);
        self.bytes.write(bytes)
    }

    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        self.bytes.patch(position, bytes)
    }

    fn reserve(&mut self, length: usize) -> Result<()> {
        assert!(self.bytes.len() + length < MAX_WRITTEN, "{}: too much is written", self.name);
        self.bytes.reserve_exact(length);
        Sink::reserve(&mut self.bytes, length)
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        let written = self.bytes.len() as u64;
        self.written.lock().unwrap().insert(self.name, Arc::new(self.bytes));
        Ok(written)
    }
}

impl Store for Folder {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        let found = self.find(name).ok_or_else(|| Error::input("the file is missing").at(name))?;
        Ok(Box::new(File(found)))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.find(name).is_some())
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        let written = self.written.clone();
        Ok(Box::new(Writing { name: name.to_owned(), bytes: Vec::new(), written }))
    }
}

/// No job here asks a key server.
pub(crate) struct Nowhere;

impl Http for Nowhere {
    fn send(&self, _: &Request) -> Result<Response> {
        Err(Error::storage("no network"))
    }

    fn wait(&self, _: u64, _: &str) {}
}

pub(crate) fn key(kid: Kid) -> Option<Secret<16>> {
    DevKeys::new(SEED).key(kid).ok()
}

fn in_env<T>(
    input: &Folder,
    keys: &dyn KeyServer,
    what: impl FnOnce(&Env<'_>) -> Result<T>,
) -> Result<(T, Files)> {
    let output = Folder::new(Files::new());
    let open_input =
        |name: &str| -> Result<(Box<dyn Store>, String)> { Ok((Box::new(input.clone()), name.to_owned())) };
    let env = Env {
        open_input: &open_input,
        output: &output,
        keys,
        http: &Nowhere,
        journal: None,
        observe: &|_| {},
    };
    let done = what(&env)?;
    Ok((done, output.into_written()))
}

/// Packs with keys of [`SEED`].
pub(crate) fn pack(input: &Folder, job: &Job) -> Result<(Report, Files)> {
    pack_with(input, job, &DevKeys::new(SEED))
}

pub(crate) fn pack_with(input: &Folder, job: &Job, keys: &dyn KeyServer) -> Result<(Report, Files)> {
    in_env(input, keys, |env| run(job, env))
}

/// Decrypts with the keys of [`SEED`].
pub(crate) fn unpack(input: &Folder, names: &[&str]) -> Result<Files> {
    let inputs = names.iter().map(|name| (*name).to_owned()).collect();
    let job = DecryptJob { inputs, key_store: &DevKeys::new(SEED) };
    in_env(input, &DevKeys::new(SEED), |env| decrypt(&job, env)).map(|(_, files)| files)
}

/// Verifies with the keys of [`SEED`], against the clear source if it is at hand.
pub(crate) fn prove(
    packed: &dyn Store,
    names: &[&str],
    clear: Option<(&Folder, &[&str])>,
) -> Result<Verification> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    verify(&VerifyJob {
        store: packed,
        names: owned(names),
        key_store: Some(&DevKeys::new(SEED)),
        against: clear.map(|(store, names)| Reference { store, names: owned(names) }),
        clear_tracks: &[],
        beside: &[],
    })
}
