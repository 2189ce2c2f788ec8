//! `--base-url` of what reads a package: the address by which its manifests name the files of a folder.

use crate::base::env::Store;
use crate::base::{BaseUrl, Error, Result};
use crate::presentation::{AtBase, address_of};

/// The address of an option.
pub(super) fn parse(text: Option<&str>) -> Result<Option<BaseUrl>> {
    text.map(BaseUrl::parse).transpose()
}

/// The folder, read by its address if it has one.
pub(super) fn at(store: Box<dyn Store>, base: Option<&BaseUrl>) -> Box<dyn Store> {
    match base {
        Some(base) => Box::new(AtBase { store, base: base.clone() }),
        None => store,
    }
}

/// An error about manifests, with what to type if they name files of their own folder by an address that was not given.
pub(super) fn advise(error: Error, base: Option<&BaseUrl>, store: &dyn Store, manifests: &[String]) -> Error {
    match base.map_or_else(|| address_of(store, manifests), |_| None) {
        Some(found) => error.hint(format!(
            "its manifests name files below {found}: if those here are meant, say --base-url {found}"
        )),
        None => error,
    }
}
