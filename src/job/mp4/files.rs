//! The files of one CMAF track: an init segment and segments, or one indexed file — ISO/IEC 23000-19 §7.3.3.

use std::ops::Range;

use rayon::prelude::*;

use crate::base::env::Sink;
use crate::base::{Error, Result};
use crate::package::{Cmaf, CmafSegment, WrittenSegment};

use super::names::TrackNames;
use crate::job::env::{Env, Event};
use crate::job::journal::write_once;
use crate::job::report::OutputReport;

/// Most bytes of segments that are held to be written in order. A segment larger than that is written while
/// it is made, by itself.
const MAX_BATCH_BYTES: u64 = 64 << 20;
/// Segments that each core has in a batch, so that cores wait little for the slowest.
const SEGMENTS_PER_CORE: usize = 4;

/// Where the init segment and the segments of a track are.
pub(in crate::job) enum TrackFiles {
    /// Each in a file of its own.
    Segments,
    /// All in one file: the init segment first, then `sidx`, then segments without a gap.
    SingleFile { name: String, initialization: Range<u64>, index: Range<u64> },
}

/// What was written of a track.
pub(in crate::job) struct WrittenFiles {
    pub(in crate::job) files: TrackFiles,
    pub(in crate::job) segments: Vec<WrittenSegment>,
    pub(in crate::job) outputs: Vec<OutputReport>,
}

/// Writes an init segment and segments, on all cores, in any order.
pub(in crate::job) fn write_segments(
    names: &TrackNames,
    cmaf: &Cmaf<'_>,
    init: &[u8],
    segments: impl Iterator<Item = Result<CmafSegment>> + Send,
    env: &Env<'_>,
) -> Result<WrittenFiles> {
    let init_name = names.init();
    let mut sink = env.output.create(&init_name)?;
    sink.write(init)?;
    let mut outputs = vec![OutputReport::new(&init_name, sink.commit()?)];
    let mut segments: Vec<_> = segments
        .par_bridge()
        .map_init(Vec::new, |buffer, segment| {
            let segment = segment?;
            let name = names.segment(segment.number.into(), "m4s");
            let (output, written) =
                write_once(env, &name, cmaf.source(), |sink| cmaf.write_segment(&segment, buffer, sink))?;
            (env.observe)(Event::Advance(written.bytes));
            Ok((written, output))
        })
        .collect::<Result<_>>()?;
    segments.sort_unstable_by_key(|(segment, _)| segment.number);
    let (segments, media): (Vec<_>, Vec<_>) = segments.into_iter().unzip();
    outputs.extend(media);
    Ok(WrittenFiles { files: TrackFiles::Segments, segments, outputs })
}

/// Writes one file of `count` segments. Room is left for `sidx`, whose length follows from the count: how long
/// segments are is known when they are encrypted. Segments are made on all cores and written in order.
pub(in crate::job) fn write_single_file(
    names: &TrackNames,
    cmaf: &Cmaf<'_>,
    init: &[u8],
    count: usize,
    segments: impl Iterator<Item = Result<CmafSegment>>,
    env: &Env<'_>,
) -> Result<WrittenFiles> {
    let name = names.file("mp4");
    let index_length = Cmaf::sidx_length(count)?;
    let initialization = 0..init.len() as u64;
    let index = initialization.end..initialization.end + index_length as u64;
    let mut advanced = 0;
    let mut observe = |bytes| {
        advanced += bytes;
        (env.observe)(Event::Advance(bytes));
    };
    let (output, written) = write_once(env, &name, cmaf.source(), |sink| {
        sink.write(init)?;
        sink.reserve(index_length)?;
        let written = write_subsegments(cmaf, segments, sink, &mut observe)?;
        let sidx = cmaf.sidx(&written)?;
        if sidx.len() != index_length {
            return Err(Error::input(format!("{} segments, there were {count}", written.len())));
        }
        sink.patch(index.start, &sidx)?;
        Ok(written)
    })?;
    // What was finished before.
    let bytes: u64 = written.iter().map(|segment| segment.bytes).sum();
    (env.observe)(Event::Advance(bytes.saturating_sub(advanced)));
    Ok(WrittenFiles {
        files: TrackFiles::SingleFile { name, initialization, index },
        segments: written,
        outputs: vec![output],
    })
}

/// Writes segments one behind the other; they are made on all cores.
fn write_subsegments(
    cmaf: &Cmaf<'_>,
    segments: impl Iterator<Item = Result<CmafSegment>>,
    sink: &mut dyn Sink,
    observe: &mut dyn FnMut(u64),
) -> Result<Vec<WrittenSegment>> {
    let mut written: Vec<WrittenSegment> = Vec::new();
    let mut buffer = Vec::new();
    let mut segments = segments.peekable();
    while segments.peek().is_some() {
        let batch = batch(&mut segments)?;
        if let [segment] = batch.as_slice() {
            written.push(cmaf.write_subsegment(segment, &mut buffer, sink)?);
        } else {
            let made: Vec<_> = batch
                .par_iter()
                .map_init(Vec::new, |buffer, segment| {
                    let mut bytes = Vec::new();
                    Ok((cmaf.write_subsegment(segment, buffer, &mut bytes)?, bytes))
                })
                .collect::<Result<_>>()?;
            for (segment, bytes) in made {
                sink.write(&bytes)?;
                written.push(segment);
            }
        }
        let first = written.len().saturating_sub(batch.len());
        observe(written.iter().skip(first).map(|segment| segment.bytes).sum());
    }
    Ok(written)
}

/// The next segments: some for each core, in memory together; or one that may be of any length.
fn batch(
    segments: &mut std::iter::Peekable<impl Iterator<Item = Result<CmafSegment>>>,
) -> Result<Vec<CmafSegment>> {
    let mut batch: Vec<CmafSegment> = Vec::new();
    let mut bytes: u64 = 0;
    let most = rayon::current_num_threads().saturating_mul(SEGMENTS_PER_CORE);
    loop {
        let fits = |segment: &Result<CmafSegment>| {
            let total = bytes.saturating_add(segment.as_ref().map_or(0, CmafSegment::media_bytes));
            batch.is_empty() || batch.len() < most && total <= MAX_BATCH_BYTES
        };
        let Some(segment) = segments.next_if(fits) else { return Ok(batch) };
        let segment = segment?;
        bytes = bytes.saturating_add(segment.media_bytes());
        batch.push(segment);
    }
}
