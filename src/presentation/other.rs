//! Files that a manifest names beside its media — RFC 8216bis §4.4.6.4, §6.3.1, appendix D; ISO/IEC 23009-1 §5.

use crate::base::env::Store;
use crate::base::{is_http, shown_input};
use crate::dash::OtherAddress;
use crate::hls::multivariant::SESSION_DATA;
use crate::hls::{ASSET_LIST, ASSET_URI, OtherUri};

/// What is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    /// What is not below the presentation's folder.
    Elsewhere,
    /// `EXT-X-SESSION-DATA`.
    SessionData,
    /// What an interstitial plays: a presentation of its own.
    Asset,
    /// A list of such, in JSON.
    AssetList,
    /// Anything of a tag, an element or an attribute that is not known.
    Unknown,
}

/// A file that a manifest names beside its media.
#[derive(Clone, Debug)]
pub struct OtherFile {
    /// Where in the manifest it is named, and by what.
    pub place: String,
    /// What is named.
    pub kind: OtherKind,
    /// Its name in the store, or its address.
    pub file: String,
}

impl OtherFile {
    /// What a tag of a playlist names.
    pub(super) fn of_tag(store: &dyn Store, name: &str, named: &OtherUri) -> Option<Self> {
        let OtherUri { line, tag, attribute, uri } = named;
        let kind = match (tag.as_str(), attribute.as_str()) {
            (SESSION_DATA, _) => OtherKind::SessionData,
            (_, ASSET_URI) => OtherKind::Asset,
            (_, ASSET_LIST) => OtherKind::AssetList,
            _ => OtherKind::Unknown,
        };
        let attribute = if attribute == "URI" { String::new() } else { format!(" {attribute}") };
        let place = format!("line {}: {tag}{attribute}", line + 1);
        Self::of(store, name, uri, (place, kind))
    }

    /// What an element of an MPD names, which may be no name at all: then no file is there.
    pub(super) fn of_address(store: &dyn Store, name: &str, named: &OtherAddress) -> Option<Self> {
        let found = Self::of(store, name, &named.address, (named.place.clone(), OtherKind::Unknown))?;
        let is_named = found.kind == OtherKind::Elsewhere || store.exists(&found.file).unwrap_or(false);
        is_named.then_some(found)
    }

    fn of(store: &dyn Store, name: &str, uri: &str, (place, kind): (String, OtherKind)) -> Option<Self> {
        match store.resolve(name, uri) {
            Ok(file) => Some(Self { place, kind, file }),
            Err(_) if is_http(uri) => {
                Some(Self { place, kind: OtherKind::Elsewhere, file: shown_input(uri) })
            }
            Err(_) => None,
        }
    }
}
