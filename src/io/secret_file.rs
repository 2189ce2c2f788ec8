//! A file that only its owner reads; it appears when it is whole.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::base::{Error, Result};

use super::interrupt::{OnInterrupt, gate};
use super::output::resolve;
use super::system;

/// Writes a file of secrets. It has mode 600 from its first byte, and takes the place of what was there by its name
/// alone: who has the old file open, or another name for it, keeps that. Links are followed. What is no file, such as
/// a pipe that another process reads, is written to as it is.
///
/// # Errors
/// [`Kind::Storage`](crate::base::Kind::Storage); what was there before is then still there.
pub fn write_secret_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = match fs::metadata(path) {
        Ok(there) if !there.is_file() && !there.is_dir() => {
            OpenOptions::new().write(true).open(path).and_then(|mut other| other.write_all(bytes))
        }
        _ => resolve(path).and_then(|path| replace(&path, bytes)),
    };
    written.map_err(|error| Error::storage(error.to_string()).at(path.display()))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
    // Of this process: nobody else's file goes.
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(hidden);
    let _part = Part::new(&beside);
    let mut file = {
        let _held = gate();
        match fs::remove_file(&beside) {
            // What a process of this number left that was killed.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => system::private(OpenOptions::new().write(true).create_new(true)).open(&beside)?,
        }
    };
    file.write_all(bytes)?;
    file.sync_all()?;
    {
        let _held = gate();
        fs::rename(&beside, path)?;
    }
    path.parent().map_or(Ok(()), system::sync_names)
}

/// A file that goes unless it got its name.
struct Part {
    path: PathBuf,
    _on_interrupt: OnInterrupt,
}

impl Part {
    fn new(path: &Path) -> Self {
        let at_end = path.to_owned();
        let remove = move || {
            let _ = fs::remove_file(&at_end);
            None
        };
        Self { path: path.to_owned(), _on_interrupt: OnInterrupt::new(remove) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_replaces_a_file_by_its_name_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "old").unwrap();
        fs::hard_link(&path, folder.path().join("second")).unwrap();
        write_secret_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(folder.path().join("second")).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
        assert!(write_secret_file(folder.path(), b"new").is_err());
        assert!(write_secret_file(&folder.path().join("no/keys"), b"new").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_and_pipes_are_written_to() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (link, path) = (folder.path().join("link"), folder.path().join("keys"));
        symlink("keys", &link).unwrap();
        for _ in 0..2 {
            write_secret_file(&link, b"new").unwrap();
            assert!(link.is_symlink() && fs::read(&path).unwrap() == b"new");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        }
        write_secret_file(Path::new("/dev/null"), b"new").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
