//! A folder of the file system as a store; its files appear whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::env::{Sink, Source, Store};
use crate::base::{Error, Result};

use super::folders::Folders;
use super::interrupt::gate;
use super::system::{self, Found};

/// Small writes are gathered to this many bytes.
const WRITE_BUFFER_BYTES: usize = 64 << 10;
/// A file of no more bytes is read with one call when it is opened.
const WHOLE_BYTES: u64 = 256 << 10;

/// Files below one folder.
#[derive(Clone, Debug)]
pub struct FileStore {
    root: PathBuf,
    durability: Durability,
    /// `None`: links lead anywhere. Else they stay in the folder, but for the files of these names.
    given: Option<Vec<String>>,
    folders: Arc<Folders>,
}

/// Where links inside a folder may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Anywhere: whoever made the folder is trusted.
    Anywhere,
    /// To files of the folder: it may come from somebody who wants to see other files.
    Inside,
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
        Self { root: root.into(), durability: Durability::Commit, given: None, folders: Arc::default() }
    }

    /// The files of a folder that has its name only when all of them are on the disk.
    pub(super) fn unpublished(root: PathBuf) -> Self {
        Self { durability: Durability::Publish, ..Self::new(root) }
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

    /// The same folder, of which no link leads elsewhere: it is an error to open one that does. The files of the
    /// names that are `given` are where whoever gave them says, and may be links.
    #[must_use]
    pub fn with_links(self, links: Links, given: impl IntoIterator<Item = String>) -> Self {
        let given = match links {
            Links::Anywhere => None,
            Links::Inside => Some(given.into_iter().collect()),
        };
        Self { given, folders: Arc::default(), ..self }
    }

    /// Whether the file of this name may be anywhere.
    fn is_free(&self, name: &str) -> bool {
        self.given.as_ref().is_none_or(|given| given.iter().any(|given| given == name))
    }

    /// What stands under a name in a folder that is open, when that is a file and nothing is to be said about links.
    fn found(&self, name: &str) -> Option<Found> {
        let links = if self.given.is_none() { Links::Anywhere } else { Links::Inside };
        if links == Links::Inside && self.is_free(name) {
            return None;
        }
        self.folders.find(self.root(), name, links)
    }

    fn root(&self) -> &Path {
        if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root }
    }

    /// Opens a file for reading, without waiting for anything.
    fn file(&self, name: &str, path: &Path) -> Result<File> {
        let failed = |error: std::io::Error| unreadable(&error).at(path.display());
        // A device may act on being opened.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(no_file().at(path.display()));
        }
        if self.is_free(name) {
            return system::open(path).map_err(failed);
        }
        let root = self.root();
        if let Some(file) = system::open_below(root, Path::new(name)).map_err(failed)? {
            return Ok(file);
        }
        let (root, whole) = (root.canonicalize().map_err(failed)?, path.canonicalize().map_err(failed)?);
        if !whole.starts_with(&root) {
            return Err(self.leads_out(name, &root));
        }
        system::open_no_link(&whole).map_err(failed)
    }

    /// The error for a link that leads out of the folder, which is `root` without links.
    fn leads_out(&self, name: &str, root: &Path) -> Error {
        let parts = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        let parts = parts.filter_map(|end| name.get(..end));
        let is_out = |part: &&str| self.path(part).canonicalize().is_ok_and(|whole| !whole.starts_with(root));
        let link = parts.into_iter().find(is_out).unwrap_or(name);
        Error::input("a link that leads out of the input's folder")
            .at(self.path(link).display())
            .hint("put the file there, or say --follow-links if every link of this input is trusted")
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Store for FileStore {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        let path = self.path(name);
        if let Some(found) = self.found(name)
            && let Some(file) = found.open()
        {
            return Ok(Box::new(FileSource::new(file, found.length, found.modified, path)));
        }
        let file = self.file(name, &path)?;
        let metadata = file.metadata().map_err(|error| unreadable(&error).at(path.display()))?;
        if !metadata.is_file() {
            return Err(no_file().at(path.display()));
        }
        let modified = metadata.modified().ok();
        Ok(Box::new(FileSource::new(file, metadata.len(), modified, path)))
    }

    fn length(&self, name: &str) -> Result<Option<u64>> {
        match self.found(name) {
            Some(found) => Ok(Some(found.length)),
            None => self.open(name).map(|source| Some(source.len())),
        }
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let path = self.path(name);
        match fs::metadata(&path) {
            Ok(there) if there.is_file() || there.is_dir() => Ok(there.is_file()),
            // A pipe or a device: what it would be is not to be passed over.
            Ok(_) => Err(no_file().at(path.display())),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(unreadable(&error).at(path.display())),
        }
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        let path = self.path(name);
        let failed = |error: std::io::Error| Error::storage(error.to_string()).at(path.display());
        let partial = match self.durability {
            Durability::Commit => path.with_added_extension("partial"),
            Durability::Publish => path.clone(),
        };
        let open = || File::options().write(true).create(true).truncate(true).open(&partial);
        // What a signal cleans up must not be made anew.
        let _held = gate();
        let file = match (open(), path.parent()) {
            (Err(error), Some(folder)) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(folder).and_then(|()| open())
            }
            (file, _) => file,
        };
        let file = file.map_err(failed)?;
        Ok(Box::new(FileSink {
            file,
            path,
            partial: Some(partial),
            written: 0,
            buffer: Vec::new(),
            durability: self.durability,
        }))
    }
}

/// Whether there is nothing of this name, and nothing can be.
fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

fn unreadable(error: &std::io::Error) -> Error {
    if is_missing(error) { Error::input("the file is missing") } else { Error::storage(error.to_string()) }
}

fn no_file() -> Error {
    Error::input("not a file, but a folder, a pipe or a device").hint("give one of its files")
}

struct FileSource {
    bytes: Bytes,
    length: u64,
    modified: Option<SystemTime>,
    path: PathBuf,
}

/// Where the bytes of a file are read.
enum Bytes {
    Memory(Vec<u8>),
    File(File),
}

impl FileSource {
    fn new(file: File, length: u64, modified: Option<SystemTime>, path: PathBuf) -> Self {
        let read = |length| {
            let mut bytes = vec![0; usize::try_from(length).ok()?];
            // What cannot be read is said when it is needed.
            system::read_exact_at(&file, &mut bytes, 0).ok().map(|()| bytes)
        };
        let bytes = (length <= WHOLE_BYTES).then_some(length).and_then(read);
        Self { bytes: bytes.map_or(Bytes::File(file), Bytes::Memory), length, modified, path }
    }
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
        let read = match &self.bytes {
            Bytes::Memory(bytes) => {
                let start = usize::try_from(position).ok();
                let range = start.and_then(|start| Some(start..start.checked_add(buffer.len())?));
                let bytes = range.and_then(|range| bytes.get(range));
                bytes
                    .map(|bytes| buffer.copy_from_slice(bytes))
                    .ok_or_else(|| ErrorKind::UnexpectedEof.into())
            }
            Bytes::File(file) => system::read_exact_at(file, buffer, position),
        };
        read.map_err(|error: std::io::Error| {
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

struct FileSink {
    file: File,
    path: PathBuf,
    /// Where the bytes are until the file is whole; then none.
    partial: Option<PathBuf>,
    /// How many bytes are in the file.
    written: u64,
    /// Those behind them.
    buffer: Vec<u8>,
    durability: Durability,
}

impl FileSink {
    fn failed(&self, error: &std::io::Error) -> Error {
        Error::storage(error.to_string()).at(self.path.display())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.buffer.len() + bytes.len() > WRITE_BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() < WRITE_BUFFER_BYTES {
            self.buffer.extend(bytes);
            return Ok(());
        }
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Leaves room: in the buffer, or as a hole in the file.
    fn leave(&mut self, length: usize) -> std::io::Result<()> {
        let behind = self.buffer.len().saturating_add(length);
        if behind <= WRITE_BUFFER_BYTES {
            self.buffer.resize(behind, 0);
            return Ok(());
        }
        self.flush()?;
        self.written = self.written.saturating_add(length as u64);
        self.file.set_len(self.written)?;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> std::io::Result<()> {
        let start = position.checked_sub(self.written).and_then(|start| usize::try_from(start).ok());
        let range = start.and_then(|start| Some(start..start.checked_add(bytes.len())?));
        if let Some(place) = range.and_then(|range| self.buffer.get_mut(range)) {
            place.copy_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        system::write_all_at(&self.file, bytes, position)
    }

    fn finish(&mut self) -> std::io::Result<u64> {
        self.flush()?;
        if self.durability == Durability::Commit {
            self.file.sync_data()?;
        }
        if let Some(partial) = self.partial.as_ref().filter(|partial| **partial != self.path) {
            let _held = gate();
            fs::rename(partial, &self.path)?;
        }
        self.partial = None;
        Ok(self.written)
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.append(bytes).map_err(|error| self.failed(&error))
    }

    fn reserve(&mut self, length: usize) -> Result<()> {
        self.leave(length).map_err(|error| self.failed(&error))
    }

    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        self.overwrite(position, bytes).map_err(|error| self.failed(&error))
    }

    fn commit(mut self: Box<Self>) -> Result<u64> {
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
    use crate::base::Kind;

    #[test]
    fn a_file_is_seen_when_it_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        let mut sink = store.create("a/b.mp4").unwrap();
        sink.write(b"0123456789").unwrap();
        assert!(!store.exists("a/b.mp4").unwrap());
        sink.patch(2, b"xy").unwrap();
        assert_eq!(sink.commit().unwrap(), 10);
        let mut bytes = [0; 4];
        store.open("a/b.mp4").unwrap().read_at(1, &mut bytes).unwrap();
        assert_eq!(&bytes, b"1xy4");
        drop(store.create("c").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_in_the_folder_unless_they_are_free() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        for (path, text) in [("in/a/1", "one"), ("out/2", "two"), ("out/b/3", "three")] {
            fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
            fs::write(folder.path().join(path), text).unwrap();
        }
        symlink("a/1", inside.join("near")).unwrap();
        symlink(inside.join("a/1"), inside.join("whole")).unwrap();
        symlink("../in/a/1", inside.join("round")).unwrap();
        symlink(outside.join("2"), inside.join("file")).unwrap();
        symlink("../../out/2", inside.join("a/far")).unwrap();
        symlink(outside.join("b"), inside.join("b")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        symlink(&inside, folder.path().join("link")).unwrap();
        let read = |store: &FileStore, name: &str| store.open(name).map(|source| source.len());
        for root in [inside.clone(), folder.path().join("link")] {
            let store = FileStore::new(&root).with_links(Links::Inside, []);
            for name in ["a/1", "near", "whole", "round"] {
                assert_eq!(read(&store, name).unwrap(), 3, "{name}");
            }
            for (name, link) in [("file", "file"), ("a/far", "a/far"), ("b/3", "b")] {
                let error = read(&store, name).unwrap_err().to_string();
                let says = format!("{}: a link that leads out", root.join(link).display());
                assert!(error.starts_with(&says), "{error}");
                assert_eq!(read(&FileStore::new(&root), name).unwrap() / 3, 1);
            }
            assert_eq!(read(&store, "loop").unwrap_err().kind(), Kind::Storage);
            assert_eq!(read(&store, "gone").unwrap_err().kind(), Kind::Input);
            let given = FileStore::new(&root).with_links(Links::Inside, ["file".to_owned()]);
            assert_eq!(read(&given, "file").unwrap(), 3);
            assert!(read(&given, "a/far").is_err());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_there_and_cannot_be_read_is_no_missing_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        let pipe = rustix::fs::CWD;
        rustix::fs::mkfifoat(pipe, folder.path().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("device")).unwrap();
        for name in ["gone", "gone/1", "folder", &"x".repeat(300)] {
            assert!(!store.exists(name).unwrap(), "{name}");
        }
        for name in ["pipe", "device", "folder"] {
            let error = store.open(name).err().unwrap().to_string();
            assert!(
                error.ends_with("not a file, but a folder, a pipe or a device; give one of its files"),
                "{error}"
            );
        }
        assert!(store.exists("pipe").is_err() && store.exists("device").is_err());
        assert_eq!(store.exists("loop").unwrap_err().kind(), Kind::Storage);
    }
}
