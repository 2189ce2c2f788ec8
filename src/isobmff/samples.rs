//! The samples of a track, from its sample table or its fragments — ISO/IEC 14496-12 §8.6, §8.7, §8.8.

use std::collections::VecDeque;

use crate::base::bytes::Reader;
use crate::base::env::Source;
use crate::base::{Error, Result};

use super::BoxNode;
use super::boxes::Trex;
use super::file::BoxHeader;
use super::fragment::{times_overflow, track_fragments};
use super::sample_sizes::{Sizes, sample_sizes};
use super::track::trak;

/// `sample_is_non_sync_sample` with `sample_depends_on` 1: a picture that needs others (§8.8.3.1).
pub const NON_SYNC_FLAGS: u32 = 0x0101_0000;
/// `sample_depends_on` 2: a picture that needs no other (§8.8.3.1).
pub const SYNC_FLAGS: u32 = 0x0200_0000;

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where it begins in the file, in bytes.
    pub position: u64,
    /// Its size in bytes.
    pub size: u32,
    /// Its decode time in ticks of the media.
    pub decode_time: u64,
    /// Its duration in ticks of the media.
    pub duration: u32,
    /// Composition time minus decode time, in ticks of the media.
    pub composition_time_offset: i32,
    /// `sample_flags`: §8.8.3.1.
    pub flags: u32,
    /// Which sample entry describes it, from 1.
    pub sample_description_index: u32,
}

impl Sample {
    /// Its composition time in ticks of the media.
    pub fn composition_time(&self) -> i128 {
        i128::from(self.decode_time) + i128::from(self.composition_time_offset)
    }

    /// Whether decoding can start here: `sample_is_non_sync_sample` is 0.
    pub fn is_sync(&self) -> bool {
        self.flags & 0x01_0000 == 0
    }
}

/// The samples of one track in decode order: those of its sample table, then those of its fragments.
///
/// Nothing is expanded: runs are walked as they stand, and one `moof` is held at a time.
///
/// # Errors
/// When the track is missing or its tables are cut off.
pub fn samples<'a>(
    source: &'a dyn Source,
    moov: &'a BoxNode,
    track_id: u32,
    trexes: &'a [Trex],
) -> Result<impl Iterator<Item = Result<Sample>> + use<'a>> {
    let table = SampleTable::parse(trak(moov, track_id)?.require(&[b"mdia", b"minf", b"stbl"])?)?;
    let fragments = Fragments {
        source,
        track_id,
        trexes,
        position: 0,
        decode_time: table.duration()?,
        queue: VecDeque::new(),
        failed: trexes.is_empty(),
    };
    Ok(table.chain(fragments))
}

/// Whether the sample table of a track has samples: that of a track whose samples all lie in fragments has none.
///
/// # Errors
/// When its tables are missing or cut off.
pub fn has_samples(trak: &BoxNode) -> Result<bool> {
    let mut table = SampleTable::parse(trak.require(&[b"mdia", b"minf", b"stbl"])?)?;
    table.next().transpose().map(|sample| sample.is_some())
}

/// A cursor over runs of `(count, value)`.
#[derive(Clone, Debug)]
struct Runs<'a> {
    reader: Reader<'a>,
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    /// The entries of a table such as `stts`, or none when the box is missing.
    fn of(table: Option<&'a BoxNode>) -> Result<Self> {
        Ok(Self { reader: entries(table, 8)?.0, left: 0, value: 0 })
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            self.left = self.reader.u32().ok()?;
            self.value = self.reader.u32().ok()?;
        }
        self.left -= 1;
        Some(self.value)
    }
}

/// The entries of a table box: a cursor over them, and their count; the count is backed by bytes.
fn entries(table: Option<&BoxNode>, size: usize) -> Result<(Reader<'_>, u32)> {
    let Some(table) = table else { return Ok((Reader::new(&[]), 0)) };
    let mut reader = Reader::new(table.payload());
    reader.u32().map_err(|error| error.at(table.kind))?;
    let count = reader.u32().map_err(|error| error.at(table.kind))?;
    let length = (count as usize).checked_mul(size).filter(|length| *length <= reader.remaining());
    let length = length.ok_or_else(|| {
        Error::input(format!(
            "{count} entries of {size} bytes are stated, {} bytes are there",
            reader.remaining()
        ))
        .at(table.kind)
    })?;
    Ok((Reader::new(reader.take(length)?), count))
}

/// The sample table of a track: §8.5.
struct SampleTable<'a> {
    sample_count: u32,
    sample_number: u32,
    sizes: Sizes<'a>,
    time_to_sample: Runs<'a>,
    composition: Runs<'a>,
    /// `sample_depends_on` and its like of each sample: §8.6.4.
    dependencies: &'a [u8],
    /// Sync sample numbers not yet met; `None` when every sample is one.
    sync: Option<(Reader<'a>, u32)>,
    sample_to_chunk: Reader<'a>,
    /// `first_chunk`, `samples_per_chunk`, `sample_description_index` of the run at hand, and of the next.
    chunk_run: [u32; 3],
    next_run: Option<[u32; 3]>,
    chunk_number: u32,
    chunk_offsets: Reader<'a>,
    chunk_offsets_are_large: bool,
    left_in_chunk: u32,
    position: u64,
    decode_time: u64,
}

impl<'a> SampleTable<'a> {
    fn parse(stbl: &'a BoxNode) -> Result<Self> {
        let (sizes, sample_count) = sample_sizes(stbl)?;
        check_count(sample_count, stbl.find(&[b"stts"]))?;
        let large = stbl.find(&[b"co64"]);
        let chunk_offsets = match large {
            Some(_) => entries(large, 8)?.0,
            None => entries(stbl.find(&[b"stco"]), 4)?.0,
        };
        let sync = match stbl.find(&[b"stss"]) {
            Some(stss) => {
                let mut numbers = entries(Some(stss), 4)?.0;
                let first = numbers.u32().unwrap_or(0);
                Some((numbers, first))
            }
            None => None,
        };
        let mut sample_to_chunk = entries(stbl.find(&[b"stsc"]), 12)?.0;
        let next_run = read_run(&mut sample_to_chunk);
        Ok(Self {
            sample_count,
            sample_number: 0,
            sizes,
            time_to_sample: Runs::of(stbl.find(&[b"stts"]))?,
            composition: Runs::of(stbl.find(&[b"ctts"]))?,
            dependencies: stbl
                .find(&[b"sdtp"])
                .map_or(&[], |sdtp| sdtp.payload().get(4..).unwrap_or_default()),
            sync,
            sample_to_chunk,
            chunk_run: [0; 3],
            next_run,
            chunk_number: 0,
            chunk_offsets,
            chunk_offsets_are_large: large.is_some(),
            left_in_chunk: 0,
            position: 0,
            decode_time: 0,
        })
    }

    /// The sum of all durations, in ticks of the media.
    fn duration(&self) -> Result<u64> {
        let mut reader = self.time_to_sample.reader.clone();
        let mut duration: u64 = 0;
        while reader.remaining() >= 8 {
            let run = u64::from(reader.u32()?) * u64::from(reader.u32()?);
            duration = duration.checked_add(run).ok_or_else(durations_overflow)?;
        }
        Ok(duration)
    }

    fn next_chunk(&mut self) -> Result<()> {
        self.chunk_number += 1;
        if let Some(run) = self.next_run.filter(|[first_chunk, ..]| *first_chunk <= self.chunk_number) {
            self.chunk_run = run;
            self.next_run = read_run(&mut self.sample_to_chunk);
        }
        let [_, samples_per_chunk, _] = self.chunk_run;
        self.left_in_chunk = samples_per_chunk;
        self.position = if self.chunk_offsets_are_large {
            self.chunk_offsets.u64()
        } else {
            self.chunk_offsets.u32().map(u64::from)
        }
        .map_err(|_| {
            Error::input(format!(
                "sample {} has no chunk, there are {}",
                self.sample_number,
                self.chunk_number - 1
            ))
            .clause("ISO/IEC 14496-12 §8.7.5")
            .at("stbl")
        })?;
        Ok(())
    }

    fn sample(&mut self) -> Result<Sample> {
        self.sample_number += 1;
        while self.left_in_chunk == 0 {
            self.next_chunk()?;
        }
        self.left_in_chunk -= 1;
        let size = self.sizes.next()?;
        let duration = self.time_to_sample.next().ok_or_else(|| {
            Error::input(format!("sample {} has no duration", self.sample_number))
                .clause("ISO/IEC 14496-12 §8.6.1.2")
                .at("stts")
        })?;
        let [_, _, sample_description_index] = self.chunk_run;
        let sample = Sample {
            position: self.position,
            size,
            decode_time: self.decode_time,
            duration,
            composition_time_offset: self.composition.next().unwrap_or(0).cast_signed(),
            flags: self.flags(),
            sample_description_index,
        };
        self.position = self
            .position
            .checked_add(u64::from(size))
            .ok_or_else(|| Error::input("sample positions overflow").at("stbl"))?;
        self.decode_time =
            self.decode_time.checked_add(u64::from(duration)).ok_or_else(durations_overflow)?;
        Ok(sample)
    }

    /// §8.8.3.1: the bits of `sdtp` in their order, and whether decoding can start here.
    fn flags(&mut self) -> u32 {
        let flags = if self.is_sync() { SYNC_FLAGS } else { NON_SYNC_FLAGS };
        match self.dependencies.split_first() {
            Some((&dependencies, rest)) => {
                self.dependencies = rest;
                u32::from(dependencies) << 20 | flags & 0x01_0000
            }
            None => flags,
        }
    }

    fn is_sync(&mut self) -> bool {
        let Some((numbers, next)) = &mut self.sync else { return true };
        while *next < self.sample_number && numbers.remaining() >= 4 {
            *next = numbers.u32().unwrap_or(u32::MAX);
        }
        *next == self.sample_number
    }
}

impl Iterator for SampleTable<'_> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.sample_number >= self.sample_count {
            return None;
        }
        let sample = self.sample();
        if sample.is_err() {
            self.sample_number = self.sample_count;
        }
        Some(sample)
    }
}

/// Sizes and durations are of as many samples: what either table left out would be missing from the output.
fn check_count(sample_count: u32, stts: Option<&BoxNode>) -> Result<()> {
    let mut runs = entries(stts, 8)?.0;
    let mut timed: u64 = 0;
    while let (Ok(count), Ok(_)) = (runs.u32(), runs.u32()) {
        timed += u64::from(count);
    }
    if timed == u64::from(sample_count) {
        return Ok(());
    }
    Err(Error::input(format!("{sample_count} samples have a size (stsz), {timed} a duration (stts)"))
        .clause("ISO/IEC 14496-12 §8.6.1.2, §8.7.3")
        .at("moov/trak/mdia/minf/stbl")
        .hint("the tables are damaged: make the file again"))
}

fn durations_overflow() -> Error {
    Error::input("the durations of all samples together pass 2^64 - 1")
        .clause("ISO/IEC 14496-12 §8.6.1.2")
        .at("stts")
}

fn read_run(reader: &mut Reader<'_>) -> Option<[u32; 3]> {
    Some([reader.u32().ok()?, reader.u32().ok()?, reader.u32().ok()?])
}

/// The samples of a track in the fragments of a file.
struct Fragments<'a> {
    source: &'a dyn Source,
    track_id: u32,
    trexes: &'a [Trex],
    position: u64,
    decode_time: u64,
    queue: VecDeque<Sample>,
    failed: bool,
}

impl Fragments<'_> {
    /// Reads boxes until a `moof` with samples of this track is in the queue.
    fn fill(&mut self) -> Result<()> {
        while self.queue.is_empty() {
            let header = BoxHeader::read_overstated(self.source, self.position)?;
            let Some((header, _)) = header else { return Ok(()) };
            self.position = header.end();
            if !header.is(b"moof") {
                continue;
            }
            let moof = header.read_node(self.source)?;
            let fragments = track_fragments(&moof, header.position, self.trexes)
                .map_err(|error| error.at_byte(header.position))?;
            for fragment in fragments.into_iter().filter(|fragment| fragment.track_id == self.track_id) {
                let first = fragment.samples.first().map_or(0, |sample| sample.decode_time);
                // Without tfdt a fragment follows the one before it (§8.8.12).
                let start = if fragment.decode_time_is_stated { first } else { self.decode_time };
                for mut sample in fragment.samples {
                    let since_first = sample.decode_time.saturating_sub(first);
                    let time = start.checked_add(since_first);
                    let end = time.and_then(|time| time.checked_add(sample.duration.into()));
                    let overflow = || times_overflow(start).at("moof/traf").at_byte(header.position);
                    (sample.decode_time, self.decode_time) = time.zip(end).ok_or_else(overflow)?;
                    self.queue.push_back(sample);
                }
            }
        }
        Ok(())
    }
}

impl Iterator for Fragments<'_> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.queue.is_empty()
            && !self.failed
            && let Err(error) = self.fill()
        {
            self.failed = true;
            return Some(Err(error));
        }
        self.queue.pop_front().map(Ok)
    }
}
