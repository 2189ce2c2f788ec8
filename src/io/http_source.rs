//! A file of an HTTP server, read in parts that are held for what is read next — RFC 9110 §14.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;

use crate::base::env::Source;
use crate::base::{Error, Result, shown_input};

use super::http::HttpClient;
use super::http_get::{Version, get, with_retries};

/// Bytes of a part that does not continue another: a box header and some of what follows it.
const SHORTEST: u64 = 64 << 10;
/// Bytes of the part that comes when a file is opened, and of one that continues many: most segments are shorter,
/// and cost one request.
const LONGEST: u64 = 2 << 20;
/// Each part is so many times as long as the one that it continues.
const GROWTH: u64 = 4;
/// Most bytes that are held for each core, of all files together.
const HELD_BYTES_PER_CORE: usize = 4 << 20;

/// A client, and what was read with it.
pub(super) struct Reader {
    client: Arc<HttpClient>,
    held: Mutex<VecDeque<Held>>,
    sources: AtomicU64,
}

/// A part of a file. The last one in its queue was used last.
struct Held {
    source: u64,
    start: u64,
    bytes: Arc<Vec<u8>>,
}

impl Held {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

impl Reader {
    pub(super) fn new(client: Arc<HttpClient>) -> Self {
        Self { client, held: Mutex::default(), sources: AtomicU64::new(0) }
    }

    /// What a server says of a file of which it sends next to nothing.
    pub(super) fn look(&self, address: &Url) -> Result<Version> {
        with_retries(&self.client, address, || {
            let part = get(&self.client, address, &(0..1), None)?;
            let version = part.version.clone();
            // A body that is read to its end leaves the connection for the next request.
            part.read(&mut [0])?;
            Ok(version)
        })
    }

    /// Opens a file and reads its beginning, which is often all of it.
    pub(super) fn open(self: &Arc<Self>, address: &Url, known: Option<&Version>) -> Result<HttpSource> {
        with_retries(&self.client, address, || {
            let part = get(&self.client, address, &(0..LONGEST), known)?;
            let number = self.sources.fetch_add(1, Ordering::Relaxed);
            let (url, mut version) = (part.url.clone(), part.version.clone());
            let whole = match &part.range {
                Some(range) => {
                    let mut bytes = zeros(range);
                    part.read(&mut bytes)?;
                    self.hold(Held { source: number, start: 0, bytes: Arc::new(bytes) });
                    None
                }
                None => {
                    let bytes = part.read_whole()?;
                    version.length = Some(bytes.len() as u64);
                    Some(bytes)
                }
            };
            Ok(HttpSource { reader: Arc::clone(self), number, url, version, whole })
        })
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, part: Held) {
        let most = HELD_BYTES_PER_CORE.saturating_mul(rayon::current_num_threads().max(1));
        let mut queue = self.queue();
        queue.push_back(part);
        let mut bytes: usize = queue.iter().map(|held| held.bytes.len()).sum();
        while bytes > most {
            let Some(oldest) = queue.pop_front() else { break };
            bytes = bytes.saturating_sub(oldest.bytes.len());
        }
    }

    /// The held part that has this byte.
    fn find(&self, source: u64, position: u64) -> Option<(u64, Arc<Vec<u8>>)> {
        let mut queue = self.queue();
        let has = |held: &Held| held.source == source && held.start <= position && position < held.end();
        let index = queue.iter().rposition(has)?;
        let held = queue.remove(index)?;
        let found = (held.start, Arc::clone(&held.bytes));
        queue.push_back(held);
        Some(found)
    }

    /// How much to read from a byte on that is not held. A part that ends there, or not far before, is done with.
    fn length_ahead(&self, source: u64, position: u64) -> u64 {
        let mut queue = self.queue();
        let continues = |held: &Held| {
            let gap = position.checked_sub(held.end());
            held.source == source && gap.is_some_and(|gap| gap <= held.bytes.len() as u64)
        };
        let before = queue.iter().rposition(continues).and_then(|index| queue.remove(index));
        let length = before.map_or(0, |before| before.bytes.len() as u64);
        length.saturating_mul(GROWTH).clamp(SHORTEST, LONGEST)
    }

    fn forget(&self, source: u64) {
        self.queue().retain(|held| held.source != source);
    }
}

/// Room for a range, which was asked for and so is never large.
fn zeros(range: &Range<u64>) -> Vec<u8> {
    vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)]
}

/// A file open for reading.
pub(super) struct HttpSource {
    reader: Arc<Reader>,
    /// Whose parts are its own.
    number: u64,
    /// Where it was found, redirects followed.
    pub(super) url: Url,
    pub(super) version: Version,
    /// All of it, of a server that serves no parts.
    whole: Option<Vec<u8>>,
}

impl HttpSource {
    /// Reads some bytes or more to the beginning of `buffer`, which is not empty, and says how many.
    fn read_some(&self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        if let Some((start, bytes)) = self.reader.find(self.number, position) {
            let from = usize::try_from(position.saturating_sub(start)).unwrap_or(usize::MAX);
            return Ok(copy(bytes.get(from..).unwrap_or_default(), buffer));
        }
        let (wanted, ahead) = (buffer.len() as u64, self.reader.length_ahead(self.number, position));
        let end = position.saturating_add(wanted.max(ahead)).min(self.len());
        let range = position..end;
        if wanted >= LONGEST {
            return self.fetch(&range, buffer);
        }
        let mut bytes = zeros(&range);
        let count = self.fetch(&range, &mut bytes)?;
        bytes.truncate(count);
        let count = copy(&bytes, buffer);
        self.reader.hold(Held { source: self.number, start: position, bytes: Arc::new(bytes) });
        Ok(count)
    }

    fn fetch(&self, range: &Range<u64>, buffer: &mut [u8]) -> Result<usize> {
        let count = with_retries(&self.reader.client, &self.url, || {
            get(&self.reader.client, &self.url, range, Some(&self.version))?.read(buffer)
        })?;
        if count == 0 {
            let error =
                Error::storage(format!("the whole file is answered to a request for bytes {range:?}"));
            return Err(error.clause("RFC 9110 §14.2").at(shown_input(self.url.as_str())));
        }
        Ok(count)
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
        to.copy_from_slice(from);
    }
    count
}

impl Source for HttpSource {
    fn len(&self) -> u64 {
        self.version.length.unwrap_or(0)
    }

    fn version(&self) -> Option<String> {
        self.version.validator()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        let end = position.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.len()) {
            let (wanted, length) = (buffer.len(), self.len());
            let error = Error::input(format!("{wanted} bytes at byte {position}, the file has {length}"));
            return Err(error.at(shown_input(self.url.as_str())));
        }
        if let Some(bytes) = &self.whole {
            return bytes.read_at(position, buffer);
        }
        let (mut position, mut rest) = (position, buffer);
        while !rest.is_empty() {
            let count = self.read_some(position, rest)?;
            position = position.saturating_add(count as u64);
            rest = rest.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }
}

impl Drop for HttpSource {
    fn drop(&mut self) {
        self.reader.forget(self.number);
    }
}
