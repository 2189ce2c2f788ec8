//! A package whose manifests name its files by absolute URIs below the address of its folder — RFC 3986 §5.1, RFC 8216bis
//! §4.1, ISO/IEC 23009-1 §5.6.
//!
//! Who reads it finds relative references, who writes it writes them: the store between knows the address. What is not below
//! it stays what it is, and is refused or listed as an address elsewhere always is.

use std::ops::Deref;

use crate::base::env::{Sink, Source, Store};
use crate::base::uri::{percent_decode, percent_encode, resolve};
use crate::base::{BaseUrl, Error, MAX_DOCUMENT_BYTES, ManifestKind, Result, is_http};
use crate::dash::Mpd;
use crate::hls::{Playlist, map_file_uris};

use super::manifest::{kind_of_name, read_manifest, read_whole};

/// A folder and its address: manifests are read without it and written with it.
pub struct AtBase<P> {
    /// The folder.
    pub store: P,
    /// Its address.
    pub base: BaseUrl,
}

impl<P> Store for AtBase<P>
where
    P: Deref + Sync,
    P::Target: Store,
{
    /// A manifest that names files, and none below the address, is an error: it is not the address of this folder.
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        let source = self.store.open(name)?;
        let Some(kind) = kind_of_name(name) else { return Ok(source) };
        if source.len() > MAX_DOCUMENT_BYTES as u64 {
            return Ok(source);
        }
        let bytes = read_whole(source.as_ref(), MAX_DOCUMENT_BYTES as u64).map_err(|error| error.at(name))?;
        let relative = relative((kind, name), &bytes, &self.base).map_err(|error| error.at(name))?;
        Ok(relative.map_or(source, |bytes| Box::new(bytes)))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        self.store.exists(name)
    }

    fn resolve(&self, document: &str, reference: &str) -> Result<String> {
        self.store.resolve(document, reference)
    }

    fn length(&self, name: &str) -> Result<Option<u64>> {
        self.store.length(name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        let sink = self.store.create(name)?;
        Ok(match kind_of_name(name) {
            Some(kind) => Box::new(ManifestSink {
                sink,
                kind,
                name: name.to_owned(),
                base: self.base.clone(),
                bytes: Vec::new(),
            }),
            None => sink,
        })
    }
}

/// A manifest that is being written.
struct ManifestSink {
    sink: Box<dyn Sink>,
    kind: ManifestKind,
    name: String,
    base: BaseUrl,
    bytes: Vec<u8>,
}

impl Sink for ManifestSink {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.write(bytes)
    }

    fn reserve(&mut self, length: usize) -> Result<()> {
        self.bytes.reserve(length);
        self.bytes.write(&vec![0; length])
    }

    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        self.bytes.patch(position, bytes)
    }

    fn commit(mut self: Box<Self>) -> Result<u64> {
        let bytes = absolute((self.kind, &self.name), &self.bytes, &self.base)?;
        self.sink.write(&bytes)?;
        self.sink.commit()
    }
}

/// A manifest with the absolute URIs of what it names by relative ones.
fn absolute((kind, name): (ManifestKind, &str), bytes: &[u8], base: &BaseUrl) -> Result<Vec<u8>> {
    match kind {
        ManifestKind::Hls => {
            let mut playlist = Playlist::parse(bytes)?;
            map_file_uris(&mut playlist, &mut |uri| base.uri(name, uri).map(Some))?;
            Ok(playlist.to_bytes())
        }
        ManifestKind::Dash => {
            let mut mpd = Mpd::parse(bytes)?;
            mpd.add_base_url(&base.folder_of(name));
            Ok(mpd.to_bytes())
        }
    }
}

/// The inverse; `None` for what is no such manifest: whoever reads it says what it is.
fn relative((kind, name): (ManifestKind, &str), bytes: &[u8], base: &BaseUrl) -> Result<Option<Vec<u8>>> {
    let (mut is_there, mut is_below) = (false, false);
    let mut reference = |uri: &str| {
        let reference = base.reference(name, uri);
        (is_there, is_below) = (true, is_below || reference.is_some());
        reference
    };
    let bytes = match kind {
        ManifestKind::Hls => {
            let Ok(mut playlist) = Playlist::parse(bytes) else { return Ok(None) };
            let mut map = |uri: &str| Ok(reference(uri).filter(|reference| !reference.is_empty()));
            map_file_uris(&mut playlist, &mut map)?;
            playlist.to_bytes()
        }
        ManifestKind::Dash => {
            // What was put right is not passed on as if it had been right.
            let parsed = Mpd::parse(bytes).ok().filter(|mpd| mpd.repairs().is_empty());
            let Some(mut mpd) = parsed else { return Ok(None) };
            is_there = true;
            for url in mpd.base_urls()? {
                if let Some(reference) = base.reference(name, &url) {
                    is_below = true;
                    mpd.replace_base_url(&url, &reference);
                }
            }
            mpd.to_bytes()
        }
    };
    match is_there && !is_below {
        true => Err(Error::input(format!("names no file below {base}"))
            .clause("RFC 3986 §5.1")
            .hint("give --base-url the address of the folder that the package lies in, or leave it out")),
        false => Ok(Some(bytes)),
    }
}

/// The address that manifests say this folder has: the rest of an absolute URI is the name of a file that is there.
/// It is a guess, for what is no proof.
pub fn address_of(store: &dyn Store, manifests: &[String]) -> Option<BaseUrl> {
    manifests.iter().find_map(|name| {
        let bytes = read_manifest(store, name).ok()?;
        match kind_of_name(name)? {
            ManifestKind::Hls => {
                let (mut playlist, mut uris) = (Playlist::parse(&bytes).ok()?, Vec::new());
                let mut note = |uri: &str| {
                    uris.extend((uris.is_empty() && is_http(uri)).then(|| uri.to_owned()));
                    Ok(None)
                };
                map_file_uris(&mut playlist, &mut note).ok()?;
                folder_of_file(store, uris.first()?)
            }
            ManifestKind::Dash => {
                let folder = name.rfind('/').and_then(|slash| name.get(..=slash)).unwrap_or_default();
                let urls = Mpd::parse(&bytes).and_then(|mpd| mpd.base_urls()).ok()?;
                let base = |url: &String| BaseUrl::parse(url.strip_suffix(&percent_encode(folder))?).ok();
                urls.iter().filter(|url| url.ends_with('/')).find_map(base)
            }
        }
    })
}

/// The address of the folder, when one of its files has this URI.
fn folder_of_file(store: &dyn Store, uri: &str) -> Option<BaseUrl> {
    let authority = uri.find("://")? + 3;
    uri.match_indices('/').map(|(slash, _)| slash + 1).filter(|rest| *rest > authority).find_map(|rest| {
        let (folder, file) = uri.split_at_checked(rest)?;
        let name = resolve("", file).ok().filter(|name| percent_decode(file).as_ref() == Some(name))?;
        store.exists(&name).ok().filter(|there| *there)?;
        BaseUrl::parse(folder).ok()
    })
}
