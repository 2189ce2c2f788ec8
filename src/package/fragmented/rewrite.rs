//! A file rewritten in one pass: init segment, segment, or both in one — ISO/IEC 14496-12 §8.8, §8.16.

use std::ops::Range;

use crate::base::bytes::Reader;
use crate::base::env::{Sink, Source};
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Sidx, Tfra, Trex};
use crate::isobmff::file::BoxHeader;
use crate::isobmff::fragment::{MAX_FRAGMENT_BYTES, TrackFragment, check_extends, relocate, track_fragments};

use super::offsets::OffsetMap;

/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// What is done to a file: protection or its removal.
pub trait FragmentEdit {
    /// Edits `moov` in place.
    ///
    /// # Errors
    /// When it cannot be done as asked.
    fn moov(&mut self, moov: &mut BoxNode) -> Result<()>;

    /// Edits a fragment in place: boxes of `moof`, and bytes of `data`, which lies at `data_position` in the
    /// file. Offsets are made right afterwards. Says whether anything changed.
    ///
    /// # Errors
    /// When it cannot be done as asked.
    fn fragment(
        &mut self,
        moof: &mut BoxNode,
        fragments: &[TrackFragment],
        data: &mut [u8],
        data_position: u64,
    ) -> Result<Changed>;

    /// The bytes of a `moof` that was edited or moved, when its boxes have their sizes and its data offsets are right:
    /// what else counts from its first byte is written here.
    ///
    /// # Errors
    /// When it cannot be done as asked.
    fn finish(&self, moof: &mut BoxNode) -> Result<Vec<u8>> {
        Ok(moof.to_bytes())
    }

    /// Looks at a box that is copied as it is.
    ///
    /// # Errors
    /// When it must not be.
    fn copied(&mut self, _header: &BoxHeader, _source: &dyn Source) -> Result<()> {
        Ok(())
    }

    /// Edits media data that belongs to no fragment: writes what shall stand in the place of the payload of
    /// `mdat`, as many bytes. By default there is nothing that such data could be.
    ///
    /// # Errors
    /// When it cannot be done as asked.
    fn media_data(
        &mut self,
        mdat: &BoxHeader,
        _source: &dyn Source,
        _write: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        Err(no_fragment(mdat))
    }
}

/// The error for media data that belongs to nothing.
pub(in crate::package) fn no_fragment(mdat: &BoxHeader) -> Error {
    Error::input("mdat without a moof before it").clause("ISO/IEC 14496-12 §8.8.4").at_byte(mdat.position)
}

/// The error for a file that is neither an init segment nor a segment.
fn no_media(length: u64) -> Error {
    let found =
        if length == 0 { "an empty file".into() } else { format!("{length} bytes without moov and moof") };
    Error::input(format!("{found}, an init segment or a segment expected"))
        .clause("ISO/IEC 14496-12 §8.2.1, §8.8.4")
        .hint("the file was cut off, or never written: make it again")
}

/// Whether an edit changed a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Nothing did.
    No,
    /// `moof` or the data did.
    Yes,
}

/// Reads `source` box by box and writes it to `sink`, edited. Memory holds one fragment at a time.
///
/// `trexes` are the fragment defaults of the init segment; those of a `moov` in this file win.
///
/// # Errors
/// When a box is wrong, or the edit or the sink fails; when there is neither `moov` nor `moof`, as in a file that was
/// cut off at its beginning.
pub fn rewrite(
    source: &dyn Source,
    sink: &mut dyn Sink,
    trexes: &[Trex],
    edit: &mut dyn FragmentEdit,
) -> Result<OffsetMap> {
    let mut rewriter = Rewriter {
        source,
        sink,
        trexes: trexes.to_vec(),
        written: 0,
        offsets: OffsetMap::default(),
        indexes: Vec::new(),
        units: Vec::new(),
        media_end: 0,
        is_unit_open: false,
        buffer: Vec::new(),
        has_moov: false,
    };
    let (mut position, mut is_media) = (0, false);
    while let Some((header, overstated)) = BoxHeader::read_overstated(source, position)? {
        rewriter.overstated(&header, overstated);
        is_media |= header.is(b"moov") || header.is(b"moof");
        position = rewriter.rewrite_box(&header, edit)?;
    }
    if !is_media {
        return Err(no_media(source.len()));
    }
    rewriter.offsets.begins(source.len(), rewriter.written);
    rewriter.patch_indexes()?;
    Ok(rewriter.offsets)
}

struct Rewriter<'a> {
    source: &'a dyn Source,
    sink: &'a mut dyn Sink,
    trexes: Vec<Trex>,
    /// Bytes written so far.
    written: u64,
    offsets: OffsetMap,
    /// `sidx` boxes and where they were written, to be patched when all sizes are known.
    indexes: Vec<(BoxHeader, u64)>,
    /// Where fragments begin, with the boxes before them that are theirs.
    units: Vec<u64>,
    /// Where the last one ends.
    media_end: u64,
    is_unit_open: bool,
    buffer: Vec<u8>,
    has_moov: bool,
}

impl Rewriter<'_> {
    /// An `mdat` that states more than it has is written with what it has.
    fn overstated(&mut self, header: &BoxHeader, bytes: u64) {
        if bytes > 0 {
            self.offsets
                .mended
                .push(format!("the mdat at byte {} states {bytes} bytes too many", header.position));
        }
    }

    /// Boxes before a `moof` are of its fragment, but for those of the file.
    fn note_unit(&mut self, header: &BoxHeader) {
        let is_of_file =
            [b"ftyp", b"moov", b"sidx", b"ssix", b"mfra", b"mdat"].iter().any(|kind| header.is(kind));
        if !is_of_file && !std::mem::replace(&mut self.is_unit_open, true) {
            self.units.push(header.position);
        }
    }

    /// Writes what stands at `header`; returns where to go on reading.
    fn rewrite_box(&mut self, header: &BoxHeader, edit: &mut dyn FragmentEdit) -> Result<u64> {
        self.note_unit(header);
        match &header.kind.0 {
            b"moov" if std::mem::replace(&mut self.has_moov, true) => {
                return Err(Error::input("a second moov, one file has one")
                    .clause("ISO/IEC 14496-12 §8.2.1")
                    .at_byte(header.position));
            }
            b"moov" => {
                let mut moov = header.read_node(self.source)?;
                self.trexes = crate::isobmff::track::trexes(&moov)?;
                edit.moov(&mut moov)?;
                self.offsets.changed(header.position, self.written);
                self.write(&moov.to_bytes())?;
            }
            b"moof" => return self.rewrite_fragment(header, edit),
            b"sidx" => {
                self.indexes.push((*header, self.written));
                self.copy(header)?;
            }
            b"mfra" => self.rewrite_random_access(header)?,
            b"mdat" if header.length > header.header_length => {
                self.rewrite_media_data(header, edit)?;
            }
            _ => {
                edit.copied(header, self.source)?;
                self.copy(header)?;
            }
        }
        Ok(header.end())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn copy(&mut self, header: &BoxHeader) -> Result<()> {
        self.offsets.begins(header.position, self.written);
        let mut position = header.position;
        let mut buffer = std::mem::take(&mut self.buffer);
        while position < header.end() {
            let length = usize::try_from(header.end() - position).unwrap_or(usize::MAX).min(COPY_BYTES);
            buffer.resize(length, 0);
            self.source.read_at(position, &mut buffer)?;
            self.write(&buffer)?;
            position += length as u64;
        }
        self.buffer = buffer;
        Ok(())
    }

    /// A `moof`, the boxes up to its `mdat`, and that `mdat`.
    fn rewrite_fragment(&mut self, header: &BoxHeader, edit: &mut dyn FragmentEdit) -> Result<u64> {
        let at = |error: Error| error.at(format_args!("moof at byte {}", header.position));
        let mut moof = header.read_node(self.source)?;
        check_extends(&self.trexes).map_err(at)?;
        let fragments = track_fragments(&moof, header.position, &self.trexes).map_err(at)?;
        let mut between = Vec::new();
        let mut position = header.end();
        let mdat = loop {
            let Some((next, overstated)) = BoxHeader::read_overstated(self.source, position)? else {
                break None;
            };
            self.overstated(&next, overstated);
            if next.is(b"mdat") {
                break Some(next);
            }
            if next.is(b"moof") || next.is(b"moov") {
                break None;
            }
            position = next.end();
            between.push(next);
        };
        let mut data = match &mdat {
            Some(mdat) => {
                let data = self.read_media_data(mdat)?;
                check_samples(&fragments, mdat.position + mdat.header_length..mdat.end()).map_err(at)?;
                data
            }
            None if fragments
                .iter()
                .any(|fragment| fragment.samples.iter().any(|sample| sample.size > 0)) =>
            {
                return Err(at(Error::input("no mdat follows").clause("ISO/IEC 14496-12 §8.8.4")));
            }
            None => Vec::new(),
        };
        let data_position = mdat.map_or(position, |mdat| mdat.position + mdat.header_length);
        let changed = edit.fragment(&mut moof, &fragments, &mut data, data_position).map_err(at)?;
        let is_new = changed == Changed::Yes || self.written != header.position;
        let bytes = if is_new {
            relocate(&mut moof, &fragments, header.position, header.length).map_err(at)?;
            edit.finish(&mut moof).map_err(at)?
        } else {
            moof.to_bytes()
        };
        self.offsets.changed(header.position, self.written);
        self.write(&bytes)?;
        for header in &between {
            self.rewrite_box(header, edit)?;
        }
        self.is_unit_open = false;
        self.media_end = mdat.map_or(position, |mdat| mdat.end());
        let Some(mdat) = mdat else { return Ok(position) };
        self.offsets.begins(mdat.position, self.written);
        self.copy_header(&mdat)?;
        self.write(&data)?;
        self.buffer = data;
        Ok(mdat.end())
    }

    fn read_media_data(&mut self, mdat: &BoxHeader) -> Result<Vec<u8>> {
        let length = mdat.length - mdat.header_length;
        if length > MAX_FRAGMENT_BYTES {
            return Err(Error::unsupported(format!(
                "a fragment of {length} bytes, at most {MAX_FRAGMENT_BYTES} are held in memory"
            ))
            .hint("give the file itself instead of its manifest: it is cut into segments"));
        }
        let mut data = std::mem::take(&mut self.buffer);
        data.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        self.source.read_at(mdat.position + mdat.header_length, &mut data)?;
        Ok(data)
    }

    fn copy_header(&mut self, header: &BoxHeader) -> Result<()> {
        let mut bytes = vec![0; usize::try_from(header.header_length).unwrap_or(0)];
        self.source.read_at(header.position, &mut bytes)?;
        // The size is what the box has, which an `mdat` may overstate; 0 is what reaches the end of the file.
        let reaches_end = bytes.starts_with(&[0; 4]);
        self.write(&if reaches_end { bytes } else { header.to_bytes() })
    }

    /// An `mdat` that belongs to no fragment: the tables of `moov` say what is in it, so it cannot move.
    fn rewrite_media_data(&mut self, header: &BoxHeader, edit: &mut dyn FragmentEdit) -> Result<()> {
        let start = self.written;
        self.offsets.begins(header.position, start);
        self.copy_header(header)?;
        let (sink, written) = (&mut *self.sink, &mut self.written);
        edit.media_data(header, self.source, &mut |bytes| {
            sink.write(bytes)?;
            *written += bytes.len() as u64;
            Ok(())
        })?;
        if start != header.position || self.written != start + header.length {
            return Err(Error::unsupported("samples of moov behind a fragment that changed its length")
                .clause("ISO/IEC 14496-12 §8.7.5")
                .at_byte(header.position));
        }
        Ok(())
    }

    /// `mfra` points at every `moof` by its position in the file: §8.8.10.
    fn rewrite_random_access(&mut self, header: &BoxHeader) -> Result<()> {
        let mut mfra = header.read_node(self.source)?;
        let offsets = self.offsets.clone();
        for tfra in mfra.all_mut(b"tfra") {
            let mut payload = tfra.payload().to_vec();
            let moved = |position| {
                offsets.check_boxes(&(position..position), false).and_then(|()| offsets.position(position))
            };
            Tfra::map_offsets(&mut payload, &moved).map_err(|error| error.at("mfra/tfra"))?;
            *tfra = BoxNode::data(b"tfra", payload);
        }
        self.offsets.begins(header.position, self.written);
        self.write(&mfra.to_bytes())
    }

    /// The lengths of these parts of the file, which are whole boxes, as they are now.
    fn sizes(&self, ranges: &[Range<u64>]) -> Result<Vec<u64>> {
        let size = |range: &Range<u64>| {
            self.offsets.check_boxes(range, false)?;
            self.offsets.range(range.clone()).map(|moved| moved.end - moved.start)
        };
        ranges.iter().map(size).collect()
    }

    /// The fragments behind an index, when there are as many as it has references.
    fn indexed(&self, sidx: &BoxHeader, count: usize) -> Option<Vec<Range<u64>>> {
        let first = self.units.partition_point(|unit| *unit < sidx.end());
        let starts = self.units.get(first..)?.iter().copied();
        let ends = starts.clone().skip(1).chain([self.media_end]);
        let ranges: Vec<_> = starts.zip(ends).map(|(start, end)| start..end).collect();
        // Boxes behind the last media begin no fragment.
        (ranges.len() == count && ranges.iter().all(|range| range.start < range.end)).then_some(ranges)
    }

    /// §8.16.3: the sizes in `sidx` are those of the boxes as they are now.
    fn patch_indexes(&mut self) -> Result<()> {
        for (header, written_at) in std::mem::take(&mut self.indexes) {
            let mut bytes = header.read_bytes(self.source)?;
            let start = usize::try_from(header.header_length).unwrap_or(0);
            let mut reader = Reader::new(&bytes);
            reader.take(start)?;
            let sidx = Sidx::parse(reader.rest()).map_err(|error| error.at("sidx"))?;
            let stated = sidx.ranges(header.end());
            let (ranges, sizes) = match self.sizes(&stated) {
                Ok(sizes) => (stated, sizes),
                Err(error) => {
                    let ranges = self.indexed(&header, stated.len()).filter(|_| !sidx.has_indexes());
                    let ranges = ranges.ok_or_else(|| error.at("sidx"))?;
                    let place = header.position;
                    self.offsets
                        .mended
                        .push(format!("the sidx at byte {place} does not fit the fragments behind it"));
                    let sizes = self.sizes(&ranges).map_err(|error| error.at("sidx"))?;
                    (ranges, sizes)
                }
            };
            let end = written_at + header.length;
            let first = ranges.first().map_or_else(|| header.end(), |range| range.start);
            let first_offset = self.offsets.position(first)?.saturating_sub(end);
            let payload =
                bytes.get_mut(start..).ok_or_else(|| Error::internal("a sidx without a payload"))?;
            sidx.patch(payload, first_offset, &sizes).map_err(|error| error.at("sidx"))?;
            self.sink.patch(written_at, &bytes)?;
        }
        Ok(())
    }
}

/// Every sample lies in the `mdat` that follows its `moof`.
fn check_samples(fragments: &[TrackFragment], mdat: Range<u64>) -> Result<()> {
    for fragment in fragments {
        for (index, sample) in fragment.samples.iter().enumerate() {
            let end = sample.position.saturating_add(u64::from(sample.size));
            if sample.size > 0 && (sample.position < mdat.start || end > mdat.end) {
                return Err(Error::input(format!(
                    "sample {} of track {} lies at bytes {}..{end}, the mdat behind has {}..{}",
                    index + 1,
                    fragment.track_id,
                    sample.position,
                    mdat.start,
                    mdat.end
                ))
                .clause("ISO/IEC 14496-12 §8.8.8")
                .at("traf/trun"));
            }
        }
    }
    Ok(())
}
