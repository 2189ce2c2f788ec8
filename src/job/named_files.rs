//! The files that belong to a package: its manifests, and what they name — RFC 8216bis, ISO/IEC 23009-1.

use std::collections::HashSet;

use crate::base::Result;
use crate::base::env::Store;
use crate::hls::Key;
use crate::presentation::{AtBase, Presentation, address_of, kind_of_content, kind_of_name, read_manifest};

/// The names among `files`, which are all that a folder holds, of what is a manifest or what one names. A list of songs
/// or films is none, whatever its name.
///
/// # Errors
/// When a manifest cannot be read: what it names is then not known.
pub fn named_files(store: &dyn Store, files: &[String]) -> Result<HashSet<String>> {
    let mut manifests = Vec::new();
    for file in files.iter().filter(|file| kind_of_name(file).is_some()) {
        if kind_of_content(&read_manifest(store, file)?).is_some() {
            manifests.push(file.clone());
        }
    }
    let at_base = address_of(store, &manifests).map(|base| AtBase { store, base });
    let store: &dyn Store = at_base.as_ref().map_or(store, |at_base| at_base);
    let presentation = Presentation::read(store, &manifests)?;
    let key_file = |name: &str, key: &Key| store.resolve(name, key.uri.as_deref()?).ok();
    let mut found: HashSet<String> = manifests.into_iter().collect();
    for multivariant in &presentation.multivariants {
        found.extend(multivariant.session_keys.iter().filter_map(|key| key_file(&multivariant.name, key)));
    }
    for media in &presentation.playlists {
        found.extend(media.resources.iter().map(|resource| resource.file.clone()));
        found.extend(media.keys.iter().filter_map(|key| key_file(&media.name, key)));
    }
    let multivariants = presentation.multivariants.iter().map(|one| &one.others);
    let mpds = presentation.mpds.iter().map(|one| &one.others);
    for others in presentation.playlists.iter().map(|one| &one.others).chain(multivariants).chain(mpds) {
        found.extend(others.iter().map(|other| other.file.clone()));
    }
    found.extend(presentation.assets.iter().flat_map(|asset| asset.files.iter().cloned()));
    for track in presentation.mpds.iter().flat_map(|mpd| &mpd.tracks) {
        found.extend(track.resources.iter().map(|resource| resource.file.clone()));
    }
    Ok(found)
}
