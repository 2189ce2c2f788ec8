//! A folder of output: it appears whole or not at all, one job at a time writes it, and another may finish it.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::base::{Error, Result};

use super::file::FileStore;
use super::interrupt::{OnInterrupt, gate};
use super::system;

/// What to do with a folder that is there already.
#[derive(Clone, Copy)]
pub enum Overwrite<'a> {
    /// Refuse it unless it is empty.
    Refuse,
    /// Replace it when the new one is whole, whatever it holds.
    Replace,
    /// The same if this finds nothing in it that would be lost: when the job begins, and when it ends.
    ReplaceIf(&'a dyn Fn(&Path) -> Result<()>),
}

/// What becomes of a folder that a job could not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfinished {
    /// It goes.
    Removed,
    /// It stays as long as there are notes of what is finished in it, for the job that is called next.
    Kept,
}

/// A folder that appears under its name only when it is whole.
pub struct OutputDirectory<'a> {
    /// As it was asked for, for people.
    given: PathBuf,
    /// Where it appears: links are followed, so that a link stays and its target is replaced.
    path: PathBuf,
    /// Where what was there before is while the names change.
    replaced: PathBuf,
    overwrite: Overwrite<'a>,
    traces: Traces,
    /// Held until the partial folder is gone.
    _lock: Lock,
    _on_interrupt: OnInterrupt,
}

/// What is beside the output while it is not whole.
#[derive(Clone)]
struct Traces {
    /// Where its files are until it has its name.
    partial: PathBuf,
    /// Where the notes are of what is finished of them.
    journal: PathBuf,
    unfinished: Unfinished,
}

impl Traces {
    /// Whether there is something that a job can go on with.
    fn has_notes(&self) -> bool {
        self.unfinished == Unfinished::Kept && self.partial.is_dir() && self.journal.is_dir()
    }

    /// Removes what no job can go on with; whether something stays.
    fn remove(&self) -> bool {
        // After `publish` there are notes at most; before it, what is there is not whole.
        let stays = self.has_notes();
        if !stays {
            let _ = fs::remove_dir_all(&self.partial);
            let _ = fs::remove_dir_all(&self.journal);
        }
        stays
    }
}

impl fmt::Debug for OutputDirectory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OutputDirectory").field(&self.path).finish()
    }
}

impl<'a> OutputDirectory<'a> {
    /// Begins a folder beside `path`. What a job left there that was cut off goes, or goes back.
    ///
    /// # Errors
    /// When `path` is not empty and must not be replaced, is a file, or another job writes it.
    pub fn begin(path: &Path, overwrite: Overwrite<'a>) -> Result<Self> {
        Self::open(path, overwrite, Unfinished::Removed)
    }

    /// Goes on with what a job left there that was interrupted, or begins; and leaves what it cannot finish.
    ///
    /// # Errors
    /// As [`OutputDirectory::begin`].
    pub fn resume(path: &Path, overwrite: Overwrite<'a>) -> Result<Self> {
        Self::open(path, overwrite, Unfinished::Kept)
    }

    fn open(path: &Path, overwrite: Overwrite<'a>, unfinished: Unfinished) -> Result<Self> {
        let given = path;
        let failed = |error: io::Error| Error::storage(error.to_string()).at(given.display());
        let none = || Error::usage(format!("{} names no folder", given.display()));
        given.file_name().ok_or_else(none)?;
        let path = resolve(given).map_err(failed)?;
        let name = path.file_name().ok_or_else(none)?;
        let beside = |extension: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(extension);
            path.with_file_name(hidden)
        };
        check_free(&path, given, overwrite)?;
        let held = gate();
        let not_made = |error| failed(error).hint("no folder can be made there: choose another --out");
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(not_made)?;
        let lock = Lock::take(beside(".lock")).map_err(not_made)?.ok_or_else(|| {
            Error::usage("another job writes this folder")
                .at(given.display())
                .hint("wait for its end, or choose another --out")
        })?;
        let traces = Traces { partial: beside(".partial"), journal: beside(".journal"), unfinished };
        let (at_end, lock_file) = (traces.clone(), lock.path.clone());
        let on_interrupt = OnInterrupt::new(move || {
            let stays = at_end.remove();
            let _ = fs::remove_file(&lock_file);
            stays.then(|| "stopped; what is finished is kept: the same call with --resume goes on".to_owned())
        });
        let (given, replaced) = (given.to_owned(), beside(".replaced"));
        let this =
            Self { given, path, replaced, overwrite, traces, _lock: lock, _on_interrupt: on_interrupt };
        this.make().map_err(not_made)?;
        drop(held);
        // What came back counts too.
        this.check_free()?;
        Ok(this)
    }

    fn make(&self) -> io::Result<()> {
        if self.replaced.is_dir() {
            match self.path.exists() {
                true => fs::remove_dir_all(&self.replaced)?,
                false => fs::rename(&self.replaced, &self.path)?,
            }
        }
        if self.traces.has_notes() {
            return Ok(());
        }
        for stale in [&self.traces.partial, &self.traces.journal] {
            if stale.exists() {
                fs::remove_dir_all(stale)?;
            }
        }
        fs::create_dir(&self.traces.partial)
    }

    fn check_free(&self) -> Result<()> {
        check_free(&self.path, &self.given, self.overwrite)
    }

    /// The store to write to.
    pub fn store(&self) -> FileStore {
        FileStore::unpublished(self.traces.partial.clone())
    }

    /// The store of its notes, when it is kept unfinished.
    pub fn journal(&self) -> Option<FileStore> {
        let is_kept = self.traces.unfinished == Unfinished::Kept;
        is_kept.then(|| FileStore::unpublished(self.traces.journal.clone()))
    }

    /// Where a file of the output is until the folder appears.
    pub fn file(&self, name: &str) -> PathBuf {
        self.traces.partial.join(name)
    }

    /// Where the file `path` is to be written: when it lies in this folder it appears with it.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::base::Kind::Storage) when the path cannot be followed.
    pub fn place_of(&self, path: &Path) -> Result<PathBuf> {
        let whole = resolve(path).map_err(|error| Error::storage(error.to_string()).at(path.display()))?;
        Ok(whole
            .strip_prefix(&self.path)
            .map_or_else(|_| path.to_owned(), |rest| self.traces.partial.join(rest)))
    }

    /// Gives the folder its name, once everything in it is on the disk.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::base::Kind::Storage); what was there before is then still there.
    pub fn publish(self) -> Result<()> {
        self.check_free()?;
        let published = sync_folder(&self.traces.partial).and_then(|()| self.exchange());
        published.map_err(|error| Error::storage(error.to_string()).at(self.given.display()))
    }

    fn exchange(&self) -> io::Result<()> {
        let _held = gate();
        let replaces = self.path.exists();
        if replaces {
            fs::rename(&self.path, &self.replaced)?;
        }
        if let Err(error) = fs::rename(&self.traces.partial, &self.path) {
            if replaces {
                fs::rename(&self.replaced, &self.path)?;
            }
            return Err(error);
        }
        if replaces { fs::remove_dir_all(&self.replaced) } else { Ok(()) }
    }
}

impl Drop for OutputDirectory<'_> {
    fn drop(&mut self) {
        self.traces.remove();
    }
}

/// Whether the file or folder `other` is the folder `out` or lies in it, links followed.
pub fn holds(out: &Path, other: &Path) -> bool {
    let inside = |out: PathBuf| other.canonicalize().is_ok_and(|other| other.starts_with(out));
    resolve(out).is_ok_and(inside)
}

fn check_free(path: &Path, given: &Path, overwrite: Overwrite<'_>) -> Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(Error::usage("a file is there, a folder expected")
                .at(given.display())
                .hint("choose another --out"));
        }
        entries => entries,
    };
    let taken = entries.map_or(true, |mut entries| entries.next().is_some());
    match overwrite {
        Overwrite::Refuse if taken => Err(Error::usage("the output folder is there and not empty")
            .at(given.display())
            .hint("choose another --out, or say --overwrite")),
        Overwrite::ReplaceIf(check) if taken => check(given),
        _ => Ok(()),
    }
}

/// The path without links; what is not there yet, the target of a link too, is taken as it is named.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        found => return found,
    }
    let path = std::path::absolute(path)?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ErrorKind::NotFound.into());
    };
    let parent = resolve(parent)?;
    match parent.join(name).read_link() {
        Ok(target) => resolve(&parent.join(target)),
        Err(_) => Ok(parent.join(name)),
    }
}

/// Brings everything in a folder to the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if system::sync_file_system(folder)? {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync_folder(&path)? } else { File::open(path)?.sync_all()? }
    }
    system::sync_names(folder)
}

/// A file that one process holds; the system lets go of it when the process dies, however it dies.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// `None` when another process holds it.
    fn take(path: PathBuf) -> io::Result<Option<Self>> {
        loop {
            let file = File::options().write(true).create(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                // Where the file system has no locks, jobs must be kept apart by who starts them.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Its last holder may have removed the file since it was opened: then nobody else sees this lock.
            let is_it = |there: fs::Metadata| Ok::<_, io::Error>(system::is_same(&there, &file.metadata()?));
            if fs::metadata(&path).and_then(is_it).unwrap_or(false) {
                return Ok(Some(Self { path, _file: file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held, so that nobody's but our own is.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::env::{Sink, Store};

    #[test]
    fn a_folder_is_seen_when_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let write = |overwrite| {
            let output = OutputDirectory::begin(&path, overwrite)?;
            output.store().create("x").and_then(Sink::commit)?;
            assert_eq!(path.join("x").exists(), matches!(overwrite, Overwrite::Replace));
            output.publish()
        };
        write(Overwrite::Refuse).unwrap();
        assert!(write(Overwrite::Refuse).is_err());
        write(Overwrite::Replace).unwrap();
        drop(OutputDirectory::begin(&path, Overwrite::Replace).unwrap());
        assert!(path.join("x").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_is_followed_as_far_as_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().canonicalize().unwrap();
        std::os::unix::fs::symlink("b/c", here.join("a")).unwrap();
        std::os::unix::fs::symlink("loop", here.join("loop")).unwrap();
        assert_eq!(resolve(&here.join("a/d")).unwrap(), here.join("b/c/d"));
        assert!(resolve(&here.join("loop/d")).is_err());
    }
}
