//! An MP4 file that is not written anywhere — ISO/IEC 14496-12 §4.3, §8.1, §8.2: `ftyp`, `mdat` with another file in it,
//! and the `moov` that says where its samples lie.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::movie::{MovieTrack, movie};
use crate::base::env::{Sink, Source, Store};
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;

/// A file read as an MP4 file.
pub struct Demuxed {
    /// The MP4 file.
    pub source: Box<dyn Source>,
    /// What is left out, and why.
    pub left_out: Vec<String>,
    /// When what is presented begins by the clock of a transport stream, in ticks of 90 kHz.
    pub clock: Option<i64>,
}

/// Where the other file begins in the MP4 file: behind `ftyp` of 20 bytes and the header of an `mdat` of any length.
pub(super) const MEDIA_START: u64 = 20 + 16;

impl Demuxed {
    /// The MP4 file of these tracks, whose positions are those of `media`.
    ///
    /// # Errors
    /// When their times or sizes do not fit their fields.
    pub(super) fn of(tracks: &[MovieTrack], media: Box<dyn Source>, left_out: Vec<String>) -> Result<Self> {
        let mut head = BoxNode::data(b"ftyp", b"isom\0\0\0\0isom".to_vec()).to_bytes();
        head.extend([0, 0, 0, 1]);
        head.extend(b"mdat");
        head.extend((media.len() + 16).to_be_bytes());
        if head.len() as u64 != MEDIA_START {
            return Err(Error::internal(format!("a head of {} bytes", head.len())));
        }
        let moov = movie(tracks)?.to_bytes();
        Ok(Self { source: Box::new(Movie { head, media, moov }), left_out, clock: None })
    }
}

struct Movie {
    head: Vec<u8>,
    media: Box<dyn Source>,
    moov: Vec<u8>,
}

impl Source for Movie {
    fn len(&self) -> u64 {
        self.head.len() as u64 + self.media.len() + self.moov.len() as u64
    }

    fn version(&self) -> Option<String> {
        self.media.version()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        let mut rest = buffer;
        let mut position = position;
        let parts: [&dyn Source; 3] = [&self.head, self.media.as_ref(), &self.moov];
        for part in parts {
            let length = part.len();
            if position < length {
                let here = usize::try_from(length - position).unwrap_or(usize::MAX).min(rest.len());
                let (now, later) = rest.split_at_mut(here);
                part.read_at(position, now)?;
                rest = later;
                position = length;
            }
            position -= length;
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(Error::input(format!("{} bytes behind the end of the file", rest.len()))),
        }
    }
}

/// A file that is read once and open for several readers.
struct Shared(Arc<dyn Source>);

impl Source for Shared {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn version(&self) -> Option<String> {
        self.0.version()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        self.0.read_at(position, buffer)
    }
}

/// A store of which files of other containers are opened as MP4 files: those of these names. Segments are what they are.
pub struct DemuxStore<'a> {
    store: &'a dyn Store,
    names: &'a [String],
    /// Those that were opened.
    opened: Mutex<BTreeMap<String, Arc<dyn Source>>>,
}

impl<'a> DemuxStore<'a> {
    /// The files of these names in a store.
    pub fn new(store: &'a dyn Store, names: &'a [String]) -> Self {
        Self { store, names, opened: Mutex::default() }
    }
}

impl Store for DemuxStore<'_> {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        if !self.names.iter().any(|known| known == name) {
            return self.store.open(name);
        }
        // Whoever else wants the file waits: what it has is found once.
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let source = match opened.get(name) {
            Some(source) => Arc::clone(source),
            None => {
                let demuxed = super::opened(self.store.open(name)?).map_err(|error| error.at(name))?;
                let source: Arc<dyn Source> = Arc::from(demuxed.source);
                opened.insert(name.to_owned(), Arc::clone(&source));
                source
            }
        };
        Ok(Box::new(Shared(source)))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        self.store.exists(name)
    }

    fn resolve(&self, document: &str, reference: &str) -> Result<String> {
        self.store.resolve(document, reference)
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        self.store.create(name)
    }
}
