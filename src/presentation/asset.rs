//! What interstitials play: presentations of their own, with everything that they name — RFC 8216bis appendix D.

use std::collections::HashSet;

use serde::Deserialize;

use crate::base::env::Store;
use crate::base::{Result, is_http, shown_input};

use super::manifest::{kind_of_file, read_manifest};
use super::{OtherFile, OtherKind, Presentation};

/// A presentation that an interstitial plays, such as an advertisement: not the one that names it.
#[derive(Clone, Debug, Default)]
pub struct Asset {
    /// Where it is named: manifest and place.
    pub named_by: String,
    /// What is named there.
    pub file: String,
    /// Every file of it, in order, each once; those that are not there left out.
    pub files: Vec<String>,
    /// What is not there or cannot be read, and what is elsewhere.
    pub missing: Vec<String>,
    /// A manifest of the presentation that names it which it has too.
    pub shared: Option<String>,
}

/// The list of `X-ASSET-LIST`.
#[derive(Deserialize)]
struct AssetList {
    #[serde(rename = "ASSETS", default)]
    assets: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "URI")]
    uri: String,
}

impl Presentation {
    /// Finds what interstitials play. Interstitials in such a presentation are not played: appendix D.2.
    pub(super) fn find_assets(&mut self, store: &dyn Store) {
        let of_media = self.playlists.iter().map(|media| (&media.name, &media.others));
        let of_multivariants = self.multivariants.iter().map(|one| (&one.name, &one.others));
        let mut assets = Vec::new();
        let mut known = HashSet::new();
        for (name, others) in of_media.chain(of_multivariants) {
            for OtherFile { place, kind, file } in others {
                let is_list = *kind == OtherKind::AssetList;
                let is_asset = is_list || *kind == OtherKind::Asset;
                if !is_asset || self.knows(file) || !known.insert(file.clone()) {
                    continue;
                }
                let mut asset =
                    Asset { named_by: format!("{name}: {place}"), file: file.clone(), ..Asset::default() };
                if is_list {
                    asset.add_list(store)
                } else {
                    asset.add(store, file)
                }
                asset.shared = asset.files.iter().find(|file| self.knows(file)).cloned();
                assets.push(asset);
            }
        }
        self.assets.extend(assets);
    }
}

impl Asset {
    /// Adds a presentation with all that it names, or a file that is none.
    fn add(&mut self, store: &dyn Store, file: &str) {
        if !store.exists(file).unwrap_or(false) {
            self.missing.push(format!("{file} (not there)"));
            return;
        }
        self.file(file);
        match kind_of_file(store, file) {
            Ok(None) => {}
            Ok(Some(_)) => {
                let mut read = Presentation::default();
                let faults = read.add_media(store, &[file.to_owned()]);
                self.missing.extend(faults.iter().map(|fault| fault.error.to_string()));
                read.named().for_each(|file| self.add_named(store, file));
            }
            Err(error) => self.missing.push(error.to_string()),
        }
    }

    fn add_named(&mut self, store: &dyn Store, file: &str) {
        match store.exists(file) {
            Ok(true) => self.file(file),
            _ => self.missing.push(format!("{file} (not there)")),
        }
    }

    fn file(&mut self, file: &str) {
        if !self.files.iter().any(|known| known == file) {
            self.files.push(file.to_owned());
        }
    }

    /// Adds a list with all that it lists.
    fn add_list(&mut self, store: &dyn Store) {
        let list = self.file.clone();
        let read = || -> Result<_> { Ok(serde_json::from_slice::<AssetList>(&read_manifest(store, &list)?)) };
        match read() {
            Ok(Ok(AssetList { assets })) => {
                self.file(&list);
                for Listed { uri } in assets {
                    match store.resolve(&list, &uri) {
                        Ok(file) => self.add(store, &file),
                        Err(_) if is_http(&uri) => {
                            self.missing.push(format!("{} (elsewhere)", shown_input(&uri)));
                        }
                        Err(error) => self.missing.push(error.to_string()),
                    }
                }
            }
            Ok(Err(_)) => {
                self.file(&list);
                self.missing.push(format!("{list} (no list of assets in JSON)"));
            }
            Err(error) => self.missing.push(error.to_string()),
        }
    }
}
