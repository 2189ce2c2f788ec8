//! A folder of a store as a store of its own.

use crate::base::Result;
use crate::base::env::{Sink, Source, Store};

/// The files of `store` below a folder.
pub(super) struct Subfolder<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) folder: &'a str,
}

impl Subfolder<'_> {
    /// The name of a file of this folder in the whole store.
    pub(super) fn whole(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}

impl Store for Subfolder<'_> {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        self.store.open(&self.whole(name))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        self.store.exists(&self.whole(name))
    }

    fn length(&self, name: &str) -> Result<Option<u64>> {
        self.store.length(&self.whole(name))
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        self.store.create(&self.whole(name))
    }
}
