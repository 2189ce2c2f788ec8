//! A Matroska file from its header to its last frame — RFC 9559 §4.5, §5.1.

use std::ops::Range;

use super::block::Block;
use super::ebml::{Element, Reader, children, id, signed, text, unsigned};
use super::tracks::{MatroskaTrack, tracks};
use crate::base::env::Source;
use crate::base::{Error, Result};

/// Nanoseconds of a tick where the file does not say it: RFC 9559 §5.1.2.9.
const DEFAULT_TIMESTAMP_SCALE: u64 = 1_000_000;
/// Most tracks of a file.
const MAX_TRACKS: usize = 256;

/// What is said of the whole file.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// TimestampScale: nanoseconds of a tick.
    pub timestamp_scale: u64,
}

/// A frame of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// TrackNumber.
    pub track_number: u64,
    /// Where it lies in the file.
    pub range: Range<u64>,
    /// When it is presented, in ticks of the segment; `None` of one that follows another in a lace.
    pub time: Option<i64>,
    /// Whether decoding can start with it.
    pub is_key: bool,
    /// BlockDuration, in ticks of the segment, of the last of its block.
    pub duration: Option<u64>,
    /// DiscardPadding, in nanoseconds: so much at its end is not presented.
    pub discard_padding: i64,
}

/// A file.
pub struct Matroska<'a> {
    reader: Reader<'a>,
    /// What is said of it.
    pub info: Info,
    /// Its tracks.
    pub tracks: Vec<MatroskaTrack>,
    /// Where its segment lies.
    segment: Range<u64>,
}

impl<'a> Matroska<'a> {
    /// Reads a file up to its tracks.
    ///
    /// # Errors
    /// When it is none, or has more than this reads.
    pub fn open(source: &'a dyn Source) -> Result<Self> {
        let reader = Reader::new(source);
        let header = reader.element(0, reader.len())?.filter(|header| header.id == id::EBML);
        let header = header.ok_or_else(|| Error::input("no EBML header").clause("RFC 8794 §8.1"))?;
        let data = reader.data(&header)?;
        let doc_type = children(&data)?.into_iter().find(|(found, _)| *found == id::DOC_TYPE);
        let doc_type = doc_type.map(|(_, data)| text(data)).unwrap_or_default();
        if !matches!(doc_type.as_str(), "webm" | "matroska") {
            return Err(Error::unsupported(format!("DocType {doc_type:?}, webm or matroska expected"))
                .clause("RFC 9559 §4.1"));
        }
        let mut position = header.end.unwrap_or(header.start);
        let segment = loop {
            match reader.element(position, reader.len())? {
                Some(element) if element.id == id::SEGMENT => break element,
                Some(Element { end: Some(end), .. }) => position = end,
                _ => return Err(Error::input("the file has no Segment").clause("RFC 9559 §5.1")),
            }
        };
        let segment = segment.start..segment.end.unwrap_or(reader.len());
        let info = Info { timestamp_scale: DEFAULT_TIMESTAMP_SCALE };
        let mut file = Self { reader, info, tracks: Vec::new(), segment };
        file.read_tracks()?;
        Ok(file)
    }

    fn read_tracks(&mut self) -> Result<()> {
        let mut position = self.segment.start;
        while let Some(element) = self.reader.element(position, self.segment.end)? {
            let at = |error: Error| error.at_byte(element.start);
            match element.id {
                id::INFO => {
                    let data = self.reader.data(&element)?;
                    let scale =
                        children(&data).map_err(at)?.into_iter().find(|(id, _)| *id == id::TIMESTAMP_SCALE);
                    let scale = scale.map_or(Ok(DEFAULT_TIMESTAMP_SCALE), |(_, data)| unsigned(data));
                    self.info.timestamp_scale = scale.map_err(at)?;
                    if self.info.timestamp_scale == 0 {
                        return Err(at(Error::input("TimestampScale is 0").clause("RFC 9559 §5.1.2.9")));
                    }
                }
                id::TRACKS => {
                    let data = self.reader.data(&element)?;
                    self.tracks.extend(tracks(&data).map_err(at)?);
                    if self.tracks.len() > MAX_TRACKS {
                        return Err(at(Error::unsupported(format!("more than {MAX_TRACKS} tracks"))));
                    }
                }
                id::CLUSTER => break,
                _ => {}
            }
            position = element.end.unwrap_or(self.segment.end);
        }
        match self.tracks.is_empty() {
            false => Ok(()),
            true => Err(Error::input("no Tracks before the first Cluster").clause("RFC 9559 §5.1.4")),
        }
    }

    /// All frames, in the order of the file.
    ///
    /// # Errors
    /// When an element is cut off, or `found` fails.
    pub fn frames(&self, found: &mut dyn FnMut(Frame) -> Result<()>) -> Result<()> {
        let mut position = self.segment.start;
        while let Some(element) = self.reader.element(position, self.segment.end)? {
            position = match (element.id, element.end) {
                (id::CLUSTER, _) => self.cluster(&element, found)?,
                (_, Some(end)) => end,
                (other, None) => {
                    return Err(Error::input(format!("element {other:#x} of a size that is not known"))
                        .clause("RFC 8794 §6.2")
                        .at_byte(element.start));
                }
            };
        }
        let behind = self.reader.element(self.segment.end, self.reader.len());
        match behind {
            Ok(Some(Element { id: id::SEGMENT | id::EBML, start, .. })) => {
                Err(Error::unsupported("a second Segment, one expected")
                    .clause("RFC 9559 §5.1")
                    .at_byte(start)
                    .hint("give files of one segment each"))
            }
            _ => Ok(()),
        }
    }

    /// The frames of a cluster; returns where it ends.
    fn cluster(&self, cluster: &Element, found: &mut dyn FnMut(Frame) -> Result<()>) -> Result<u64> {
        let (mut time, mut position) = (0, cluster.start);
        let end = cluster.end.unwrap_or(self.segment.end);
        while let Some(element) = self.reader.element(position, end)? {
            // Without a size it ends with what cannot be in it.
            if cluster.end.is_none() && id::TOP_LEVEL.contains(&element.id) {
                return Ok(position);
            }
            let Some(element_end) = element.end else {
                return Err(Error::input(format!("element {:#x} of a size that is not known", element.id))
                    .clause("RFC 8794 §6.2")
                    .at_byte(element.start));
            };
            match element.id {
                id::CLUSTER_TIMESTAMP => {
                    time = i64::try_from(self.reader.unsigned(&element)?).unwrap_or(i64::MAX);
                }
                id::SIMPLE_BLOCK => {
                    let block = Block::read(&self.reader, element.start..element_end)?;
                    let is_key = block.is_key;
                    self.block(block, (time, is_key), (None, 0), found)?;
                }
                id::BLOCK_GROUP => self.block_group(&element, element_end, time, found)?,
                id::ENCRYPTED_BLOCK => {
                    return Err(Error::unsupported("an EncryptedBlock")
                        .at_byte(element.start)
                        .hint("give the clear file"));
                }
                _ => {}
            }
            position = element_end;
        }
        Ok(position)
    }

    fn block_group(
        &self,
        group: &Element,
        end: u64,
        time: i64,
        found: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        let (mut block, mut duration, mut is_key, mut discard_padding) = (None, None, true, 0);
        let mut position = group.start;
        while let Some(element) = self.reader.element(position, end)? {
            let Some(element_end) = element.end else {
                return Err(Error::input("a BlockGroup with an element of a size that is not known")
                    .clause("RFC 8794 §6.2")
                    .at_byte(element.start));
            };
            match element.id {
                id::BLOCK => block = Some(Block::read(&self.reader, element.start..element_end)?),
                id::BLOCK_DURATION => duration = Some(self.reader.unsigned(&element)?),
                id::REFERENCE_BLOCK => is_key = false,
                id::DISCARD_PADDING => discard_padding = signed(&self.reader.data(&element)?)?,
                _ => {}
            }
            position = element_end;
        }
        match block {
            Some(block) => self.block(block, (time, is_key), (duration, discard_padding), found),
            None => Ok(()),
        }
    }

    fn block(
        &self,
        block: Block,
        (cluster, is_key): (i64, bool),
        (duration, discard_padding): (Option<u64>, i64),
        found: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        let last = block.frames.len().saturating_sub(1);
        for (number, range) in block.frames.into_iter().enumerate() {
            found(Frame {
                track_number: block.track_number,
                range,
                time: (number == 0).then(|| cluster.saturating_add(block.time.into())),
                is_key,
                duration: duration.filter(|_| number == last),
                discard_padding: if number == last { discard_padding } else { 0 },
            })?;
        }
        Ok(())
    }

    /// The first bytes of a frame.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn start<const N: usize>(&self, range: &Range<u64>) -> Result<([u8; N], usize)> {
        let (bytes, length) = self.reader.peek::<N>(range.start)?;
        let frame = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        Ok((bytes, length.min(frame)))
    }
}
