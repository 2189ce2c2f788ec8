//! The notes of a job that may be interrupted: what it is, and which files of its output are finished.
//!
//! A note is written after its file, and neither waits for the disk: after a loss of power one may be there without
//! the other, or either in part. So a file counts as finished only when it is read again and is what its note says.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::env::{Sink, Source, Store};
use crate::base::id::hex;
use crate::base::{Error, Result};
use crate::presentation::read_whole;

use super::digests::crc_32;
use super::env::Env;
use super::identity::{Identity, Summary};
use super::report::OutputReport;
use super::rules::Job;

/// The note of the job itself.
const JOB: &str = "job.json";

/// The notes of one job. With those of a job that was interrupted it goes on where that one stopped.
pub struct Journal<'a> {
    store: &'a dyn Store,
    /// What the interrupted job was.
    before: Option<Identity>,
    /// What this job is, without its keys.
    job: OnceLock<Identity>,
    /// What its notes are known by; none until it has keys.
    name: OnceLock<String>,
    finished: AtomicUsize,
}

/// The note of a job.
#[derive(Serialize, Deserialize)]
struct JobNote {
    identity: Identity,
}

/// The note of a finished file.
#[derive(Serialize, Deserialize)]
struct FileNote<T> {
    /// The job that wrote it.
    job: String,
    /// Length and version of what it was made of.
    source: (u64, Option<String>),
    output: OutputReport,
    /// Of all its bytes.
    crc32: u32,
    /// What manifests and the report need of it.
    made: T,
}

/// Largest note that is read: it has an entry for each fragment of a file.
const MAX_NOTE_BYTES: u64 = 64 << 20;

fn read_note(store: &dyn Store, name: &str) -> Result<Vec<u8>> {
    read_whole(store.open(name)?.as_ref(), MAX_NOTE_BYTES).map_err(|error| error.at(name))
}

impl<'a> Journal<'a> {
    /// Reads the notes of a job that was interrupted; where there are none, this one begins.
    ///
    /// # Errors
    /// When the notes cannot be read: what is there beside them may be of any job.
    pub fn open(store: &'a dyn Store) -> Result<Self> {
        let before = if store.exists(JOB)? {
            let JobNote { identity } = serde_json::from_slice(&read_note(store, JOB)?).map_err(|error| {
                Error::input(format!("the note of the interrupted job is damaged: {error}"))
                    .at(JOB)
                    .hint("leave out --resume to begin again")
            })?;
            Some(identity)
        } else {
            None
        };
        let (job, name) = (OnceLock::new(), OnceLock::new());
        Ok(Self { store, before, job, name, finished: AtomicUsize::new(0) })
    }

    /// Where the notes are.
    pub(super) fn notes(&self) -> &'a dyn Store {
        self.store
    }

    /// Checks that the interrupted job had these options and inputs, before keys are asked for.
    pub(super) fn check(&self, job: &Job, inputs: Summary) -> Result<()> {
        let identity = Identity::without_keys(job, inputs);
        self.before.as_ref().map_or(Ok(()), |before| before.check_job(&identity))?;
        self.job.set(identity).map_err(|_| Error::usage("one journal for two jobs"))
    }

    /// Checks that the interrupted job had these keys; from here on files are noted.
    pub(super) fn begin(&self, keys: Summary) -> Result<()> {
        let identity = self.job.get().ok_or_else(|| Error::usage("a journal without a job"))?;
        let identity = identity.clone().with_keys(keys);
        match &self.before {
            Some(before) => before.check_keys(&identity)?,
            None => self.write(JOB, &JobNote { identity: identity.clone() })?,
        }
        self.name.set(identity.digest()?).map_err(|_| Error::usage("one journal for two jobs"))
    }

    /// How many files were finished before.
    pub(super) fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    fn write(&self, name: &str, note: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(note).map_err(|error| Error::storage(error.to_string()).at(name))?;
        let mut sink = self.store.create(name)?;
        sink.write(&bytes)?;
        sink.commit().map(drop)
    }

    /// What is known of a file that was finished before.
    fn find<T: DeserializeOwned>(
        &self,
        name: &str,
        source: &dyn Source,
        output: &dyn Store,
    ) -> Option<(OutputReport, T)> {
        self.before.as_ref()?;
        let note = read_note(self.store, &note_name(name)).ok()?;
        let note: FileNote<T> = serde_json::from_slice(&note).ok()?;
        let is_same = self.name.get() == Some(&note.job)
            && note.output.path == name
            && note.source == (source.len(), source.version());
        let file = (name, note.output.bytes);
        if !is_same || !is_whole(output, file, note.crc32).unwrap_or(false) {
            return None;
        }
        self.finished.fetch_add(1, Ordering::Relaxed);
        Some((note.output, note.made))
    }

    /// Notes a file that is whole.
    fn note<T: Serialize>(
        &self,
        source: &dyn Source,
        crc32: u32,
        (output, made): (OutputReport, T),
    ) -> Result<(OutputReport, T)> {
        let Some(job) = self.name.get().cloned() else { return Ok((output, made)) };
        let note = FileNote { job, source: (source.len(), source.version()), output, crc32, made };
        self.write(&note_name(&note.output.path), &note)?;
        Ok((note.output, note.made))
    }
}

/// A file of the output, unless it was finished before.
pub(super) enum Once<T> {
    Finished((OutputReport, T)),
    New(NewFile),
}

impl<T: DeserializeOwned> Once<T> {
    /// The file of this name, which is made of `source`.
    pub(super) fn begin(env: &Env<'_>, name: &str, source: &dyn Source) -> Result<Self> {
        if let Some(done) = env.journal.and_then(|journal| journal.find(name, source, env.output)) {
            return Ok(Self::Finished(done));
        }
        let crc = env.journal.map(|_| crc32fast::Hasher::new());
        Ok(Self::New(NewFile { sink: env.output.create(name)?, crc }))
    }
}

/// A file that is being written; for a journal its bytes are summed beside the copy.
pub(super) struct NewFile {
    sink: Box<dyn Sink>,
    /// `None` without a journal, or when bytes were changed that had been summed: the file is read again then.
    crc: Option<crc32fast::Hasher>,
}

impl NewFile {
    /// Makes it whole, and notes what was made.
    pub(super) fn finish<T: Serialize>(
        self,
        env: &Env<'_>,
        name: &str,
        source: &dyn Source,
        made: T,
    ) -> Result<(OutputReport, T)> {
        let output = OutputReport::new(name, self.sink.commit()?);
        let Some(journal) = env.journal else { return Ok((output, made)) };
        let crc32 = match self.crc {
            Some(crc) => crc.finalize(),
            None => crc_32(env.output.open(name)?.as_ref())?,
        };
        journal.note(source, crc32, (output, made))
    }
}

impl Sink for NewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(crc) = &mut self.crc {
            crc.update(bytes);
        }
        self.sink.write(bytes)
    }

    fn reserve(&mut self, length: usize) -> Result<()> {
        self.crc = None;
        self.sink.reserve(length)
    }

    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        self.crc = None;
        self.sink.patch(position, bytes)
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        self.sink.commit()
    }
}

/// Writes a file of the output: `make` fills it from `source`, unless it was finished before.
pub(super) fn write_once<T: Serialize + DeserializeOwned>(
    env: &Env<'_>,
    name: &str,
    source: &dyn Source,
    make: impl FnOnce(&mut dyn Sink) -> Result<T>,
) -> Result<(OutputReport, T)> {
    match Once::begin(env, name, source)? {
        Once::Finished(done) => Ok(done),
        Once::New(mut file) => {
            let made = make(&mut file)?;
            file.finish(env, name, source, made)
        }
    }
}

/// Where the note of a file is: names of files may be as long as a file system takes, and lie in folders.
fn note_name(name: &str) -> String {
    format!("{}.json", hex(&Sha256::digest(name)))
}

/// Whether a file is what was written.
fn is_whole(store: &dyn Store, (name, bytes): (&str, u64), crc32: u32) -> Result<bool> {
    let source = store.open(name)?;
    Ok(source.len() == bytes && crc_32(source.as_ref())? == crc32)
}
