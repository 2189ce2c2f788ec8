//! The folders of a store, held open: links before the name of a file are followed once for each folder, not for each file.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::Links;
use super::system::{Folder, Found};

/// Most folders that are held open: a process may have 1,024 files, of which jobs need most.
const MAX_FOLDERS: usize = 64;

/// The folders of one store that were asked for.
#[derive(Default)]
pub(super) struct Folders(Mutex<HashMap<String, Arc<Folder>>>);

impl fmt::Debug for Folders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Folders(…)")
    }
}

impl Folders {
    /// The file of a name below `root`; `None` when it is not known to be one, or a link in its name leads out, or may.
    pub(super) fn find(&self, root: &Path, name: &str, links: Links) -> Option<Found> {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        // An absolute name is below no folder.
        if name.starts_with('/') {
            return None;
        }
        let mut open = self.0.lock().ok()?;
        let known = open.get(folder).cloned();
        let folder = match known {
            Some(known) => known,
            None => {
                if open.len() == MAX_FOLDERS {
                    open.clear();
                }
                let new = Arc::new(Folder::open(root, folder, links)?);
                open.insert(folder.to_owned(), Arc::clone(&new));
                new
            }
        };
        drop(open);
        folder.find(file)
    }
}
