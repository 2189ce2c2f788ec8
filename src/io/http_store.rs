//! A folder of an HTTP server as a store that is read — RFC 9110, RFC 3986.
//!
//! Names say where outputs go; what is asked for is the address as a manifest wrote it, with its query.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;

use crate::base::env::{Sink, Source, Store};
use crate::base::uri::{percent_decode, resolve};
use crate::base::{Error, Kind, Result, shown_input};

use super::http::HttpClient;
use super::http_get::Version;
use super::http_source::Reader;

/// The files of HTTP servers that a run reads.
#[derive(Clone)]
pub struct HttpFiles {
    reader: Arc<Reader>,
    known: Arc<Mutex<Known>>,
}

/// What was learned of files, by their addresses without query.
#[derive(Default)]
struct Known {
    files: HashMap<String, File>,
}

struct File {
    /// What is asked for.
    address: Url,
    /// Where it was found when redirects were followed: what its references are relative to, RFC 3986 §5.1.3.
    base: Option<Url>,
    version: Option<Version>,
}

/// The files below one folder of an HTTP server.
#[derive(Clone)]
pub struct HttpStore {
    files: HttpFiles,
    /// The folder; it ends with `/` and may have user information.
    root: Url,
}

impl HttpFiles {
    /// Files that are read with this client.
    pub fn new(client: Arc<HttpClient>) -> Self {
        Self { reader: Arc::new(Reader::new(client)), known: Arc::default() }
    }

    /// The store of the folder that holds the file at `url`, and the file's name in it. The query of `url` is for
    /// this file alone, its user information for all.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is no address of a file.
    pub fn open_input(&self, url: &str) -> Result<(HttpStore, String)> {
        self.locate_below(None, url)
    }

    /// The same below the folder at `root`.
    ///
    /// # Errors
    /// [`Kind::Usage`] when one of them is no address, or the file does not lie below the folder.
    pub fn locate_below(&self, root: Option<&str>, url: &str) -> Result<(HttpStore, String)> {
        let wrong = |error: url::ParseError| Error::usage(format!("the URL of an input: {error}"));
        let mut address = Url::parse(url).map_err(wrong)?;
        address.set_fragment(None);
        let folder = match root {
            Some(root) => {
                let mut folder = Url::parse(&format!("{}/", root.trim_end_matches('/'))).map_err(wrong)?;
                // Who may read is said once, with the input.
                let user = address.username().to_owned();
                let _ = folder.set_username(&user).and_then(|()| folder.set_password(address.password()));
                folder
            }
            None => address.join(".").map_err(wrong)?,
        };
        let rest = address.path().strip_prefix(folder.path()).filter(|_| folder.origin() == address.origin());
        let outside = || Error::usage("the URL does not lie below --root").at(shown_input(url));
        let name = resolve("", &format!("./{}", rest.ok_or_else(outside)?)).map_err(|_| {
            Error::usage("the URL names no file")
                .at(shown_input(url))
                .hint("give the address of an .mpd, an .m3u8 or an MP4 file")
        })?;
        let store = HttpStore { files: self.clone(), root: folder };
        store.remember(&name, address)?;
        Ok((store, name))
    }
}

impl HttpStore {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.files.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// The address of a name that no document referred to.
    fn plain(&self, name: &str) -> Url {
        let mut url = self.root.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(name.split('/'));
        }
        url
    }

    /// What a file is asked for by, and what is known of it.
    fn file(&self, name: &str) -> (Url, Option<Version>) {
        match self.known().files.get(&self.key(name)) {
            Some(file) => (file.address.clone(), file.version.clone()),
            None => (self.plain(name), None),
        }
    }

    /// Notes the address of a name: it can have one only, as it stands for one file of the output.
    fn remember(&self, name: &str, address: Url) -> Result<()> {
        let same = |known: &Url| {
            percent_decode(known.path()) == percent_decode(address.path()) && known.query() == address.query()
        };
        let mut known = self.known();
        match known.files.get(&self.key(name)) {
            Some(file) if !same(&file.address) => {
                let shown = shown_input(address.as_str());
                Err(Error::unsupported(
                    "two references that differ in their query alone: over HTTP they are two files, which would be written under one name",
                )
                .clause("RFC 3986 §3.4")
                .at(shown)
                .hint("give files names of their own, or download the presentation first"))
            }
            Some(_) => Ok(()),
            None => {
                known.files.insert(self.key(name), File { address, base: None, version: None });
                Ok(())
            }
        }
    }

    fn learn(&self, name: &str, address: Url, base: Option<Url>, version: Version) {
        let mut known = self.known();
        let file = known.files.entry(self.key(name)).or_insert(File { address, base: None, version: None });
        file.base = base;
        file.version = Some(version);
    }
}

impl Store for HttpStore {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        let (address, version) = self.file(name);
        let source = self.files.reader.open(&address, version.as_ref())?;
        let base = Some(source.url.clone()).filter(|url| *url != address);
        self.learn(name, address, base, source.version.clone());
        Ok(Box::new(source))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let (address, version) = self.file(name);
        if version.is_some() {
            return Ok(true);
        }
        match self.files.reader.look(&address) {
            Ok(version) => {
                self.learn(name, address, None, version);
                Ok(true)
            }
            // Nothing but a file that is missing is a fault of the input.
            Err(error) if error.kind() == Kind::Input => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn resolve(&self, document: &str, reference: &str) -> Result<String> {
        let name = resolve(document, reference)?;
        let path = reference.split(['?', '#']).next().unwrap_or_default();
        // An encoded slash is part of a name here, and what is no character of a URI would be passed over.
        if path.to_ascii_lowercase().contains("%2f") || reference.chars().any(char::is_control) {
            return Err(Error::input(format!(
                "reference {path:?}, expected no %2F and no control character"
            ))
            .clause("RFC 3986 §2.2"));
        }
        let base = match self.known().files.get(&self.key(document)) {
            Some(file) => file.base.clone().unwrap_or_else(|| file.address.clone()),
            None => self.plain(document),
        };
        let address = base.join(reference).ok().filter(|address| address.origin() == self.root.origin());
        let mut address = address.ok_or_else(|| {
            Error::input(format!("reference {path:?} leads to another origin")).clause("RFC 3986 §5")
        })?;
        address.set_fragment(None);
        self.remember(&name, address)?;
        Ok(name)
    }

    /// Asking for the lengths of thousands of segments would take as long as reading them.
    fn length(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.file(name).1.and_then(|version| version.length))
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        Err(Error::storage("nothing is written over HTTP").at(name))
    }
}
