//! Files of keys and secrets: read whole, wiped, never repeated in an error.

use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::base::{Error, Result};

/// Largest file of secrets that is read, in bytes: a little more than the largest CPIX document, so that one
/// that is too large is told from one that is cut.
const MAX_SECRET_FILE: u64 = (8 << 20) + 1;

/// A file of secrets that `option` names, as text; `-` is standard input.
pub(super) fn secret_text(path: &Path, option: &'static str) -> Result<Zeroizing<String>> {
    let bytes = secret_bytes(path, option)?;
    std::str::from_utf8(&bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| Error::storage("stream did not contain valid UTF-8").at(path.display()))
}

/// A file of secrets that `option` names, wiped when it is no longer needed; `-` is standard input.
pub(super) fn secret_bytes(path: &Path, option: &'static str) -> Result<Zeroizing<Vec<u8>>> {
    bytes_of(path, (option, "; its name is not repeated here, as it may be the secret itself"))
}

/// A CPIX document, wiped as well: it may hold keys. `-` is standard input.
pub(super) fn document_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    bytes_of(path, ("the CPIX document", ""))
}

fn bytes_of(path: &Path, (what, why): (&'static str, &str)) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |error: std::io::Error| {
        if std::fs::symlink_metadata(path).is_err() && path != Path::new("-") {
            // What names no file may be the secret itself, typed in its place.
            return Error::usage(format!("no such file{why}"))
                .at(what)
                .hint("give the name of a file that holds it");
        }
        if path.is_dir() {
            return Error::usage("a folder, a file expected").at(path.display());
        }
        Error::storage(error.to_string()).at(path.display())
    };
    let mut bytes = Zeroizing::new(Vec::new());
    if path == Path::new("-") {
        std::io::stdin().take(MAX_SECRET_FILE).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_SECRET_FILE).read_to_end(&mut bytes).map_err(failed)?;
    }
    Ok(bytes)
}
