//! A folder of the file system as a store; its files appear whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::base::env::{Sink, Source, Store, Written};
use crate::base::{Error, Result};

/// Small writes are gathered to this many bytes.
const WRITE_BUFFER_BYTES: usize = 64 << 10;

/// Files below one folder.
#[derive(Clone, Debug)]
pub struct FileStore {
    root: PathBuf,
    durability: Durability,
}

/// When the bytes of a file are on the disk, so that a loss of power leaves no name without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    /// Before the file has its name.
    Commit,
    /// With those of every other file, before the folder has its name. Until then nobody looks for its files, so
    /// that they are written under their own names.
    Publish,
}

impl FileStore {
    /// The files below `root`; an empty path is the working directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), durability: Durability::Commit }
    }

    /// The files of a folder that has its name only when all of them are on the disk.
    pub(super) fn unpublished(root: PathBuf) -> Self {
        Self { root, durability: Durability::Publish }
    }

    /// The store of the folder that holds the file `path`, and the file's name in it.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when the path names no file.
    pub fn of_file(path: &str) -> Result<(Self, String)> {
        let path = Path::new(path);
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::usage(format!("{} names no file", path.display())))?;
        Ok((Self::new(path.parent().unwrap_or_else(|| Path::new(""))), name.to_owned()))
    }

    /// The store of the folder `root`, and the name in it of the file `path`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when the file does not lie below the folder,
    /// [`Kind::Input`](crate::base::Kind::Input) when one of them is missing.
    pub fn of_file_below(root: &Path, path: &str) -> Result<(Self, String)> {
        let whole = |path: &Path| {
            let missing = |error: std::io::Error| Error::input(error.to_string()).at(path.display());
            path.canonicalize().map_err(missing)
        };
        let (folder, file) = (whole(root)?, whole(Path::new(path))?);
        let name = file.strip_prefix(&folder).ok().and_then(Path::to_str).filter(|name| !name.is_empty());
        let outside = || Error::usage(format!("{path} does not lie below {}", root.display()));
        let name = name.ok_or_else(outside)?.to_owned();
        Ok((Self::new(folder), name))
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Store for FileStore {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        let path = self.path(name);
        let unreadable = |error: std::io::Error| {
            let error = match error.kind() {
                ErrorKind::NotFound => Error::input("the file is missing"),
                _ => Error::storage(error.to_string()),
            };
            error.at(path.display())
        };
        let file = File::open(&path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Error::input("not a file").at(path.display()));
        }
        let modified = metadata.modified().ok();
        Ok(Box::new(FileSource { length: metadata.len(), modified, file, path }))
    }

    fn exists(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        let path = self.path(name);
        let failed = |error: std::io::Error| Error::storage(error.to_string()).at(path.display());
        let partial = match self.durability {
            Durability::Commit => path.with_added_extension("partial"),
            Durability::Publish => path.clone(),
        };
        let open = || File::options().read(true).write(true).create(true).truncate(true).open(&partial);
        let file = match (open(), path.parent()) {
            (Err(error), Some(folder)) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(folder).and_then(|()| open())
            }
            (file, _) => file,
        };
        let file = file.map_err(failed)?;
        Ok(Box::new(FileSink {
            file: BufWriter::with_capacity(WRITE_BUFFER_BYTES, file),
            path,
            partial: Some(partial),
            bytes: 0,
            hash: Sha256::new(),
            patches: Patches::None,
            durability: self.durability,
        }))
    }
}

struct FileSource {
    file: File,
    length: u64,
    modified: Option<SystemTime>,
    path: PathBuf,
}

impl Source for FileSource {
    fn len(&self) -> u64 {
        self.length
    }

    fn version(&self) -> Option<String> {
        let since = self.modified?.duration_since(UNIX_EPOCH).ok()?;
        Some(since.as_nanos().to_string())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, position).map_err(|error| {
            let error = match error.kind() {
                ErrorKind::UnexpectedEof => Error::input(format!(
                    "{} bytes at byte {position}, the file has {}",
                    buffer.len(),
                    self.length
                )),
                _ => Error::storage(error.to_string()),
            };
            error.at(self.path.display())
        })
    }
}

/// Whether bytes are to be overwritten, so that there is no running hash: the file is read again at its end.
#[derive(PartialEq, Eq)]
enum Patches {
    None,
    Some,
}

struct FileSink {
    file: BufWriter<File>,
    path: PathBuf,
    /// Where the bytes are until the file is whole; then none.
    partial: Option<PathBuf>,
    bytes: u64,
    hash: Sha256,
    patches: Patches,
    durability: Durability,
}

impl FileSink {
    fn failed(&self, error: &std::io::Error) -> Error {
        Error::storage(error.to_string()).at(self.path.display())
    }

    fn hash_again(&mut self) -> std::io::Result<Sha256> {
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = file.read(&mut buffer)?;
            match buffer.get(..length) {
                Some(bytes) if length > 0 => hash.update(bytes),
                _ => return Ok(hash),
            }
        }
    }

    fn finish(&mut self) -> std::io::Result<Written> {
        self.file.flush()?;
        let hash = match self.patches {
            Patches::None => std::mem::take(&mut self.hash),
            Patches::Some => self.hash_again()?,
        };
        if self.durability == Durability::Commit {
            self.file.get_ref().sync_data()?;
        }
        if let Some(partial) = self.partial.as_ref().filter(|partial| **partial != self.path) {
            fs::rename(partial, &self.path)?;
        }
        self.partial = None;
        Ok(Written { bytes: self.bytes, sha256: hash.finalize().into() })
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.failed(&error))?;
        if self.patches == Patches::None {
            self.hash.update(bytes);
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn reserve(&mut self, length: usize) -> Result<()> {
        self.patches = Patches::Some;
        self.write(&vec![0; length])
    }

    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        self.patches = Patches::Some;
        let written = self.file.flush().and_then(|()| self.file.get_ref().write_all_at(bytes, position));
        written.map_err(|error| self.failed(&error))
    }

    fn commit(mut self: Box<Self>) -> Result<Written> {
        self.finish().map_err(|error| self.failed(&error))
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // Nothing can be done about a failure here, and the name says what the file is.
            let _ = fs::remove_file(partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_seen_when_it_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        let mut sink = store.create("a/b.mp4").unwrap();
        sink.write(b"0123456789").unwrap();
        assert!(!store.exists("a/b.mp4"));
        sink.patch(2, b"xy").unwrap();
        let written = sink.commit().unwrap();
        assert_eq!(written.bytes, 10);
        assert_eq!(written.sha256, <[u8; 32]>::from(Sha256::digest(b"01xy456789")));
        let mut bytes = [0; 4];
        store.open("a/b.mp4").unwrap().read_at(1, &mut bytes).unwrap();
        assert_eq!(&bytes, b"1xy4");
        drop(store.create("c").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
