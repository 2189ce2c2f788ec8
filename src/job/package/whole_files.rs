//! Files of segments that are encrypted whole, on all cores, and on each core several segments side by side — RFC 8216bis
//! §5.2. A CBC chain waits for its last block; as many segments as keep the AES units busy are read piece by piece, so that
//! memory grows with the cores and not with the segments.

use std::cell::RefCell;
use std::collections::btree_map;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::base::env::{Sink, Source, Store};
use crate::base::{Error, Result};
use crate::package::{OffsetMap, SegmentKey, Totals, check_whole_segment};
use crate::presentation::{ByteRangeSource, Role};
use crate::protect::{Aes128, Encryption, SIDE_BY_SIDE, encrypt_side_by_side};

use super::file_ranges::{FileRanges, follows};
use super::streams::{Bounds, Segment, WrittenFile};
use crate::job::env::{Env, Event};
use crate::job::journal::{NewFile, Once};
use crate::job::report::OutputReport;

/// A file and its segments.
pub(super) type File<'a> = (&'a String, &'a FileRanges<Segment>);
/// A file that was written.
pub(super) type Done = (OutputReport, WrittenFile);
/// The key of a segment, and the name of its playlist.
pub(super) type KeyOf<'a> = dyn Fn(&Segment) -> Result<(SegmentKey, Aes128, String)> + Sync + 'a;

/// Encrypts the segments of these files.
pub(super) fn encrypt(
    files: &[File<'_>],
    store: &dyn Store,
    env: &Env<'_>,
    key_of: &KeyOf<'_>,
) -> Result<Vec<Done>> {
    let segments: usize = files.iter().map(|(_, parts)| parts.len()).sum();
    let cores = rayon::current_num_threads().min(files.len()).max(1);
    let side_by_side = segments.div_ceil(cores).clamp(1, SIDE_BY_SIDE);
    let next = AtomicUsize::new(0);
    let work = |_| {
        let mut core = Core { files, next: &next, store, env, key_of, open: None, done: Vec::new() };
        let worked = core.work(side_by_side);
        if worked.is_err() {
            // The others need not begin another.
            next.store(files.len(), Ordering::Relaxed);
        }
        worked.map(|()| core.done)
    };
    let done: Vec<_> = (0..cores).into_par_iter().map(work).collect::<Result<_>>()?;
    let mut done: Vec<_> = done.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, done)| done).collect())
}

/// A file that is being written.
struct OpenFile<'a> {
    index: usize,
    name: &'a str,
    source: Box<dyn Source>,
    file: RefCell<NewFile>,
    written: RefCell<WrittenFile>,
    /// Whether it has several segments: each is written in its place, whichever is first.
    has_parts: bool,
}

/// A segment that is being encrypted.
struct Lane<'a> {
    file: Rc<OpenFile<'a>>,
    /// Where it lies in the source.
    start: u64,
    end: u64,
    /// Where its next piece goes.
    to: u64,
    encryption: Encryption<Aes128>,
}

/// What is left of an open file.
struct Parts<'a> {
    file: Rc<OpenFile<'a>>,
    segments: btree_map::Iter<'a, Bounds, Segment>,
    /// Where the segment before ends in the source, and in the output.
    behind: u64,
    to: u64,
}

/// What one core does.
struct Core<'a> {
    files: &'a [File<'a>],
    next: &'a AtomicUsize,
    store: &'a dyn Store,
    env: &'a Env<'a>,
    key_of: &'a KeyOf<'a>,
    open: Option<Parts<'a>>,
    done: Vec<(usize, Done)>,
}

impl<'a> Core<'a> {
    fn work(&mut self, side_by_side: usize) -> Result<()> {
        let (mut lanes, mut buffer, mut failed) = (Vec::new(), Vec::new(), None);
        loop {
            while failed.is_none() && lanes.len() < side_by_side {
                match self.next_lane() {
                    Ok(Some(lane)) => lanes.push(lane),
                    Ok(None) => break,
                    // What was begun before is made whole: `--resume` need not do it again.
                    Err(error) => failed = Some(error),
                }
            }
            if lanes.is_empty() {
                return failed.map_or(Ok(()), Err);
            }
            let going = pieces(&mut lanes, &mut buffer)?;
            let mut going = going.into_iter();
            let (left, ended): (Vec<_>, Vec<_>) = lanes.into_iter().partition(|_| going.next() == Some(true));
            lanes = left;
            ended.into_iter().try_for_each(|lane| self.close(lane.file))?;
        }
    }

    /// The next segment: of the file that is open, or of one that no core has begun.
    fn next_lane(&mut self) -> Result<Option<Lane<'a>>> {
        loop {
            if let Some(parts) = &mut self.open {
                let name = parts.file.name;
                if let Some(lane) = parts.next(self.key_of).map_err(|error| error.at(name))? {
                    return Ok(Some(lane));
                }
            }
            if let Some(parts) = self.open.take() {
                self.close(parts.file)?;
            }
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((name, segments)) = self.files.get(index) else { return Ok(None) };
            self.begin(index, name, segments)?;
        }
    }

    fn begin(&mut self, index: usize, name: &'a str, segments: &'a FileRanges<Segment>) -> Result<()> {
        let source = self.store.open(name)?;
        let mut file = match Once::begin(self.env, name, source.as_ref())? {
            Once::Finished(done) => {
                (self.env.observe)(Event::Advance(source.len()));
                self.done.push((index, done));
                return Ok(());
            }
            Once::New(file) => file,
        };
        let has_parts = segments.len() > 1;
        if has_parts {
            let length = |(start, end): &(u64, u64)| Aes128::encrypted_length(end.saturating_sub(*start));
            let length = segments.keys().flatten().map(length).fold(0, u64::saturating_add);
            file.reserve(usize::try_from(length).unwrap_or(usize::MAX))?;
        }
        let (file, written) = (RefCell::new(file), RefCell::default());
        let file = Rc::new(OpenFile { index, name, source, file, written, has_parts });
        self.open = Some(Parts { file, segments: segments.iter(), behind: 0, to: 0 });
        Ok(())
    }

    /// Makes a file whole when nothing of it is left.
    fn close(&mut self, file: Rc<OpenFile<'a>>) -> Result<()> {
        let Some(OpenFile { index, name, source, file, written, .. }) = Rc::into_inner(file) else {
            return Ok(());
        };
        let done = file.into_inner().finish(self.env, name, source.as_ref(), written.into_inner())?;
        (self.env.observe)(Event::Advance(source.len()));
        self.done.push((index, done));
        Ok(())
    }
}

impl<'a> Parts<'a> {
    /// The next segment of the file, which is in the clear.
    fn next(&mut self, key_of: &KeyOf<'_>) -> Result<Option<Lane<'a>>> {
        let Some((range, segment)) = self.segments.next() else { return Ok(None) };
        let source = self.file.source.as_ref();
        let (start, end) = range.unwrap_or((0, source.len()));
        follows(start..end, self.behind, source.len())?;
        let (segment_key, aes128, playlist) = key_of(segment)?;
        let first_block = check_whole_segment(&ByteRangeSource::of(source, Some(&(start..end)))?)?;
        let (length, to) = (end - start, self.to);
        let bytes = Aes128::encrypted_length(length);
        let mut written = self.file.written.borrow_mut();
        written.first_blocks.note(&playlist, *aes128.iv(), first_block);
        // Maps and partial segments are not counted.
        let totals = Totals { samples: 1, bytes, protected: bytes };
        let totals = (segment.role == Role::Segment).then_some((None, totals));
        written.segments.push((segment_key, totals.into_iter().collect()));
        // Ranges of what is encrypted as a whole file stay as they are: clients widen them to blocks, §6.3.6.
        if range.is_some() {
            written.offsets.add_part(&OffsetMap::resized(length, bytes), (start, length), to)?;
        }
        (self.behind, self.to) = (end, to + bytes);
        let encryption = Encryption::of(aes128, length);
        Ok(Some(Lane { file: Rc::clone(&self.file), start, end, to, encryption }))
    }
}

/// Encrypts and writes the next piece of each segment; says which of them had one.
fn pieces(lanes: &mut [Lane<'_>], buffer: &mut Vec<u8>) -> Result<Vec<bool>> {
    buffer.clear();
    let (mut going, mut outputs) = (Vec::with_capacity(lanes.len()), Vec::with_capacity(lanes.len()));
    let mut read = Vec::with_capacity(lanes.len());
    for Lane { file, start, end, to, encryption } in lanes {
        let part = ByteRangeSource::of(file.source.as_ref(), Some(&(*start..*end)))?;
        let piece = encryption.read(&part, buffer).map_err(|error| error.at(file.name))?;
        going.push(piece.is_some());
        if let Some(piece) = piece {
            outputs.push((&*file, to, piece.clone()));
            read.push((encryption, piece));
        }
    }
    encrypt_side_by_side(&mut read, buffer);
    for (file, to, piece) in outputs {
        let bytes = buffer.get(piece).ok_or_else(|| Error::internal("a piece behind its buffer"))?;
        let mut sink = file.file.borrow_mut();
        let written = if file.has_parts { sink.patch(*to, bytes) } else { sink.write(bytes) };
        written.map_err(|error| error.at(file.name))?;
        *to += bytes.len() as u64;
    }
    Ok(going)
}
