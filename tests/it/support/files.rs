//! Folders of files: read, copied, changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::media::root;

/// Every file below a folder.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Copies a clip's folder.
pub(crate) fn copied(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in tree(&root().join("fixtures/clip").join(name)) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// A copy of a folder of the clip, in which every file is changed.
pub(crate) fn changed_copy(folder: &str, to: &Path, change: &dyn Fn(&mut Vec<u8>)) -> PathBuf {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(root().join("fixtures/clip").join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            changed_copy(&format!("{folder}/{name}"), &to.join(name), change);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(to.join(name), bytes).unwrap();
        }
    }
    to.to_owned()
}

/// The lines of a playlist but for keys and the version.
pub(crate) fn other_lines(playlist: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(playlist).into_owned();
    let lines =
        text.lines().filter(|line| !line.starts_with("#EXT-X-KEY") && !line.starts_with("#EXT-X-VERSION"));
    lines.map(str::to_owned).collect()
}

/// Numbers that are the same in every run.
pub(crate) fn random() -> impl FnMut() -> usize {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 16).unwrap()
    }
}
