//! An MP4 file that is not written anywhere — ISO/IEC 14496-12 §4.3, §8.1, §8.2: `ftyp`, `mdat` with another file in it,
//! and the `moov` that says where its samples lie.

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
        Ok(Self { source: Box::new(Movie { head, media, moov }), left_out })
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

/// A store of which files of other containers are opened as MP4 files: those of these names. Segments are what they are.
pub struct DemuxStore<'a> {
    /// Where they are.
    pub store: &'a dyn Store,
    /// The names.
    pub names: &'a [String],
}

impl Store for DemuxStore<'_> {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        let source = self.store.open(name)?;
        if !self.names.iter().any(|known| known == name) {
            return Ok(source);
        }
        super::opened(source).map(|demuxed| demuxed.source).map_err(|error| error.at(name))
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
