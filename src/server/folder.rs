//! A folder of presentations: what may be read of it, and the manifests in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::{Error, Kid, MAX_DOCUMENT_BYTES, ManifestKind, Result};
use crate::io::FileStore;
use crate::presentation::{AtBase, address_of, is_multivariant, kind_of_name, read_manifest};

/// How deep manifests are looked for.
const MAX_DEPTH: usize = 6;
/// Most entries that are looked at, and most manifests that are listed.
const MAX_ENTRIES: usize = 20_000;
const MAX_MANIFESTS: usize = 500;

/// A folder whose files may be read, and nothing outside of it.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at this path.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when it is not there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let root = path
            .canonicalize()
            .ok()
            .filter(|root| root.is_dir())
            .ok_or_else(|| Error::usage("expected a folder").at(path.display()))?;
        Ok(Self { root })
    }

    /// The file of this name, with `/` between its parts. `None` when it is not there, when its name leads out
    /// of the folder, and when a link does.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        // A part that begins with a dot is hidden, the current folder or its parent.
        let is_plain =
            |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\0', '\\', ':']);
        if !name.split('/').all(is_plain) {
            return None;
        }
        let path = self.root.join(name).canonicalize().ok()?;
        (path.starts_with(&self.root) && path.is_file()).then_some(path)
    }

    /// A manifest that names files of its folder by the address that the package is to have, with relative references in
    /// their place, so that what plays is what lies here. `None` of everything else.
    pub(super) fn relative_manifest(&self, path: &Path) -> Option<Vec<u8>> {
        let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root));
        folders.take(MAX_DEPTH).find_map(|folder| {
            let name = path.strip_prefix(folder).ok()?.to_str()?.to_owned();
            kind_of_name(&name)?;
            let store = FileStore::new(folder);
            let base = address_of(&store, std::slice::from_ref(&name))?;
            read_manifest(&AtBase { store: &store, base }, &name).ok()
        })
    }

    /// The names of MPDs and multivariant playlists, in order.
    pub(super) fn manifests(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.visit(&mut |name, path| {
            let is_manifest = kind_of_name(name) == Some(ManifestKind::Dash)
                || read(path).is_some_and(|text| is_multivariant(&text));
            if is_manifest && names.len() < MAX_MANIFESTS {
                names.push(name.to_owned());
            }
        });
        names.sort();
        names
    }

    /// Whether a manifest in it names a key, as an MPD or as a playlist writes it.
    pub(super) fn names(&self, kid: Kid) -> bool {
        let (uuid, hex) = (kid.to_string(), kid.hex());
        let mut found = false;
        self.visit(&mut |_, path| {
            found = found
                || read(path).is_some_and(|text| {
                    let text = text.to_ascii_lowercase();
                    text.contains(&uuid) || text.contains(&hex)
                });
        });
        found
    }

    /// Calls `visit` with name and path of everything that may be a manifest.
    fn visit(&self, visit: &mut dyn FnMut(&str, &Path)) {
        let mut left = MAX_ENTRIES;
        self.visit_below("", 0, &mut left, visit);
    }

    fn visit_below(&self, folder: &str, depth: usize, left: &mut usize, visit: &mut dyn FnMut(&str, &Path)) {
        let Ok(entries) = fs::read_dir(self.root.join(folder)) else { return };
        for entry in entries.flatten() {
            let Some(rest) = left.checked_sub(1) else { return };
            *left = rest;
            let file_name = entry.file_name();
            // A name that is not Unicode has no place in a URL of ours.
            let Some(file_name) = file_name.to_str() else { continue };
            let name = if folder.is_empty() { file_name.to_owned() } else { format!("{folder}/{file_name}") };
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && depth < MAX_DEPTH && !file_name.starts_with('.') {
                self.visit_below(&name, depth.saturating_add(1), left, visit);
            } else if kind_of_name(&name).is_some() {
                self.find(&name).iter().for_each(|path| visit(&name, path));
            }
        }
    }
}

fn read(path: &Path) -> Option<String> {
    let size = fs::metadata(path).ok()?.len();
    (size <= MAX_DOCUMENT_BYTES as u64).then(|| fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("media");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(outer.path().join("secret"), "secret").unwrap();
        fs::write(root.join(".hidden"), "").unwrap();
        fs::write(root.join("a/b/x.mpd"), "default_KID=\"01010101-0101-0101-0101-010101010101\"").unwrap();
        fs::write(root.join("a/master.m3u8"), "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n").unwrap();
        fs::write(root.join("a/v.m3u8"), "#EXT-X-KEY:KEYID=0x02020202020202020202020202020202\n").unwrap();
        let folder = Folder::open(&root).unwrap();
        (outer, folder)
    }

    #[test]
    fn nothing_outside_is_found() {
        let (outer, folder) = folder();
        let secret = outer.path().join("secret");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&secret, folder.root.join("link")).unwrap();
            std::os::unix::fs::symlink(outer.path(), folder.root.join("out")).unwrap();
            std::os::unix::fs::symlink(folder.root.join("a/v.m3u8"), folder.root.join("inside")).unwrap();
            assert!(folder.find("inside").is_some());
        }
        assert!(folder.find("a/b/x.mpd").is_some());
        for name in [
            "../secret",
            "a/../../secret",
            "a/b/../../../secret",
            "..",
            ".",
            "",
            "/",
            "a//v.m3u8",
            "a/",
            "a",
            "link",
            "out/secret",
            ".hidden",
            "a\\..\\..\\secret",
            "a/v.m3u8\0",
            "a/./v.m3u8",
            "nothing",
            &secret.to_string_lossy(),
        ] {
            assert_eq!(folder.find(name), None, "{name:?}");
        }
        assert!(Folder::open(&secret).is_err());
    }

    #[test]
    fn manifests_are_listed_and_the_keys_that_they_name_are_known() {
        let (_outer, folder) = folder();
        assert_eq!(folder.manifests(), ["a/b/x.mpd", "a/master.m3u8"]);
        assert!(folder.names(Kid::new([1; 16])) && folder.names(Kid::new([2; 16])));
        assert!(!folder.names(Kid::new([3; 16])));
    }
}
