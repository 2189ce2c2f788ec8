//! The media that the laws run over: what the project ships, and what lies beside it.

use std::fs;
use std::path::{Path, PathBuf};

/// The project's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of published test media beside the project; `None`, and a line that says so, when it is absent.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = root().join("../shared/media");
    if !folder.is_dir() {
        println!("skipped: ../shared/media is not here");
        return None;
    }
    Some(folder)
}

/// All files with one of these extensions under `fixtures` and the shared media, sorted, with their bytes.
///
/// There is always at least one: a walker that finds nothing would pass every law.
pub(crate) fn media_files(extensions: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths = Vec::new();
    walk(&root().join("fixtures"), &mut paths);
    if let Some(folder) = shared() {
        walk(&folder, &mut paths);
    }
    // What is wrong on purpose is no example of anything.
    let is_refused = |path: &Path| {
        path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("refused-"))
    };
    paths.retain(|path| !is_refused(path));
    paths.retain(|path| {
        path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
    });
    paths.sort();
    assert!(!paths.is_empty(), "no file ends with one of {extensions:?}");
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// Asserts the identity law: what was written equals what was read, or the first byte that differs.
pub(crate) fn assert_identical(path: &Path, read: &[u8], written: &[u8]) {
    let differs = read.iter().zip(written).position(|(a, b)| a != b);
    assert!(
        read == written,
        "{}: read {} bytes, wrote {}, first difference at byte {}",
        path.display(),
        read.len(),
        written.len(),
        differs.unwrap_or_else(|| read.len().min(written.len()))
    );
}

fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
    // What is to be refused need not keep any law.
    let case = fs::read_to_string(folder.join("case.toml")).unwrap_or_default();
    if case.contains("\nexpect = \"refused\"") {
        return;
    }
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, out) } else { out.push(path) }
    }
}
