//! What the core may ask of the outside world: a key server, a place for media, random bytes.
//!
//! Everything below `job` is pure; whoever runs a job passes these in.

use zeroize::Zeroize;

use super::error::{Error, Result};
use super::uri;

/// An HTTP request as the core states it.
#[derive(Clone)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The absolute URL. It may carry a ticket: it is never printed as it is, see [`crate::base::redact_url`].
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body, empty for `GET`.
    pub body: Vec<u8>,
}

/// An HTTP answer.
#[derive(Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names and values as received.
    pub headers: Vec<(String, String)>,
    /// The body, capped by the client.
    pub body: Vec<u8>,
}

/// An address may carry a ticket, headers and body a password.
impl Drop for Request {
    fn drop(&mut self) {
        self.url.zeroize();
        self.headers.iter_mut().for_each(|(_, value)| value.zeroize());
        self.body.zeroize();
    }
}

/// The body may hold keys, a header the address of a ticket.
impl Drop for Response {
    fn drop(&mut self) {
        self.headers.iter_mut().for_each(|(_, value)| value.zeroize());
        self.body.zeroize();
    }
}

impl Response {
    /// The first header of this name; names are compared without case (RFC 9110 §5.1).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Sends requests. Redirects are not followed: an answer of 3xx is an answer.
pub trait Http: Sync {
    /// Sends one request and returns the whole answer, whatever its status.
    ///
    /// # Errors
    /// [`Kind::Storage`](super::error::Kind::Storage) when no answer came and another try may get one; another kind
    /// when none will.
    fn send(&self, request: &Request) -> Result<Response>;

    /// Waits this many milliseconds before another try; `why` is for the operator.
    fn wait(&self, milliseconds: u64, why: &str);
}

/// A place that holds named files; names are relative, with `/`.
pub trait Store: Sync {
    /// Opens a file for reading at any position.
    ///
    /// # Errors
    /// [`Kind::Input`](super::error::Kind::Input) when it is missing, `Storage` when it cannot be read.
    fn open(&self, name: &str) -> Result<Box<dyn Source>>;

    /// Whether a file of this name is there.
    ///
    /// # Errors
    /// When that cannot be found out: what is not known to be missing must not be left out.
    fn exists(&self, name: &str) -> Result<bool>;

    /// The name of what a reference in a document of this store means. A name has no query; a store that needs it
    /// to open the file remembers it here.
    ///
    /// # Errors
    /// [`Kind::Input`](super::error::Kind::Input) when the reference leads out of the folder.
    fn resolve(&self, document: &str, reference: &str) -> Result<String> {
        uri::resolve(document, reference)
    }

    /// How long a file is; `None` when that takes as much as opening it once more.
    ///
    /// # Errors
    /// As [`Store::open`].
    fn length(&self, name: &str) -> Result<Option<u64>> {
        self.open(name).map(|source| Some(source.len()))
    }

    /// Begins a file. Nothing is seen under its name until [`Sink::commit`].
    ///
    /// # Errors
    /// [`Kind::Storage`](super::error::Kind::Storage).
    fn create(&self, name: &str) -> Result<Box<dyn Sink>>;
}

/// A file open for reading; several threads may read at once.
pub trait Source: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What tells this state of the file from others of its length, if anything does: when it was changed, or the name
    /// that a server has for it.
    fn version(&self) -> Option<String> {
        None
    }

    /// Fills `buffer` from the byte `position` on.
    ///
    /// # Errors
    /// When the range lies outside the file or cannot be read.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()>;
}

/// A file being written.
pub trait Sink {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`Kind::Storage`](super::error::Kind::Storage).
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Leaves room for bytes that are known later: `length` zeros, which [`Sink::patch`] fills in.
    ///
    /// # Errors
    /// [`Kind::Storage`](super::error::Kind::Storage).
    fn reserve(&mut self, length: usize) -> Result<()>;

    /// Overwrites bytes that were already written, from the byte `position` on.
    ///
    /// # Errors
    /// [`Kind::Storage`](super::error::Kind::Storage).
    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()>;

    /// Makes the file whole and visible, and says how many bytes it has.
    ///
    /// # Errors
    /// [`Kind::Storage`](super::error::Kind::Storage).
    fn commit(self: Box<Self>) -> Result<u64>;
}

/// Random bytes fit for keys and IVs.
pub trait Random: Sync {
    /// Fills `buffer`.
    ///
    /// # Errors
    /// [`Kind::Storage`](super::error::Kind::Storage) when the system gives none.
    fn fill(&self, buffer: &mut [u8]) -> Result<()>;
}

/// Bytes in memory are a file open for reading …
impl Source for Vec<u8> {
    fn len(&self) -> u64 {
        Self::len(self) as u64
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        let start = usize::try_from(position).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(buffer.len())?));
        let bytes = range.and_then(|range| self.get(range)).ok_or_else(|| {
            Error::input(format!("{} bytes at {position}, the file has {}", buffer.len(), self.len()))
        })?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// … and a file being written.
impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.extend(bytes);
        Ok(())
    }

    fn reserve(&mut self, length: usize) -> Result<()> {
        self.resize(self.as_slice().len().saturating_add(length), 0);
        Ok(())
    }

    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        let start = usize::try_from(position).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(bytes.len())?));
        let place = range.and_then(|range| self.get_mut(range));
        place.ok_or_else(|| Error::storage("a patch lies outside what was written"))?.copy_from_slice(bytes);
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        Ok(Self::len(&self) as u64)
    }
}
