//! The files of a package, written on all cores: protected as planned, or copied — ISO/IEC 23001-7.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::base::Result;
use crate::base::env::{Sink, Source, Store};
use crate::isobmff::boxes::Trex;
use crate::isobmff::track::trexes;
use crate::package::{OffsetMap, Plan, Protect, ProtectedTrack, Substream, Totals, rewrite};

use super::env::{Env, Event};
use super::package::Package;
use super::report::{OutputReport, TrackReport};

/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// What became of a package.
pub(super) struct ProtectedPackage {
    pub(super) outputs: Vec<OutputReport>,
    pub(super) tracks: Vec<TrackReport>,
    /// Where the bytes of each media file went.
    pub(super) offsets: HashMap<String, OffsetMap>,
}

/// One file to be written.
struct FileJob<'a> {
    name: &'a str,
    /// The rendition it belongs to; `None` copies it.
    rendition: Option<usize>,
    /// The number of the file among the media files of its rendition.
    number: usize,
}

/// A rendition ready to be protected.
struct Prepared {
    tracks: Vec<ProtectedTrack>,
    clear: Vec<u32>,
    pssh: Vec<Vec<u8>>,
    trexes: Vec<Trex>,
    /// The substream of each protected track.
    substreams: Vec<usize>,
}

/// Writes every file of a package, protected as planned, on all cores.
pub(super) fn protect(
    package: &Package,
    substreams: &[Substream],
    plan: &Plan,
    store: &dyn Store,
    env: &Env<'_>,
) -> Result<ProtectedPackage> {
    let prepared = prepare(package, plan)?;
    let jobs = file_jobs(package);
    let mut total = 0;
    for job in &jobs {
        total += store.open(job.name)?.len();
    }
    (env.observe)(Event::Total(total));
    let done: Vec<_> = jobs
        .par_iter()
        .map(|job| {
            let prepared =
                job.rendition.and_then(|index| prepared.get(index)).filter(|p| !p.tracks.is_empty());
            let files =
                job.rendition.and_then(|index| package.renditions.get(index)).map_or(0, |r| r.files.len());
            write_file(job, prepared, files, store, env).map_err(|error| error.at(job.name))
        })
        .collect::<Result<_>>()?;
    let mut tracks = Vec::new();
    for (number, substream) in substreams.iter().enumerate() {
        let facts = package.track_facts(number, substream)?;
        tracks.push(facts.with_key(plan.key(number)?.kid, plan.scheme));
    }
    let mut result = ProtectedPackage { outputs: Vec::new(), tracks, offsets: HashMap::new() };
    for (job, (output, offsets, totals)) in jobs.iter().zip(done) {
        let numbers = job.rendition.and_then(|index| prepared.get(index)).map(|p| p.substreams.as_slice());
        for (number, totals) in numbers.unwrap_or_default().iter().zip(totals) {
            if let Some(report) = result.tracks.get_mut(*number) {
                report.samples += totals.samples;
                report.bytes += totals.bytes;
            }
        }
        result.outputs.push(output);
        result.offsets.insert(job.name.to_owned(), offsets);
    }
    Ok(result)
}

fn prepare(package: &Package, plan: &Plan) -> Result<Vec<Prepared>> {
    let mut next_track = 0;
    package
        .renditions
        .iter()
        .map(|rendition| {
            let mut tracks = Vec::new();
            let substreams: Vec<usize> = rendition.substreams.iter().flatten().copied().collect();
            for (media, slot) in rendition.tracks.iter().zip(&rendition.substreams) {
                if let Some(substream) = slot {
                    let protection = plan.protection(*substream, next_track)?;
                    tracks.push(ProtectedTrack::new(media, Arc::new(protection))?);
                    next_track += 1;
                }
            }
            Ok(Prepared {
                tracks,
                clear: rendition.clear_tracks(),
                pssh: plan.pssh(&substreams)?,
                trexes: trexes(&rendition.moov)?,
                substreams,
            })
        })
        .collect()
}

fn file_jobs(package: &Package) -> Vec<FileJob<'_>> {
    let mut jobs: Vec<FileJob<'_>> = Vec::new();
    for (index, rendition) in package.renditions.iter().enumerate() {
        let init = rendition.init.0.as_str();
        let known = jobs.iter().any(|job| job.name == init);
        if !known && !rendition.files.iter().any(|file| file == init) {
            jobs.push(FileJob { name: init, rendition: Some(index), number: 0 });
        }
        for (number, name) in rendition.files.iter().enumerate() {
            jobs.push(FileJob { name, rendition: Some(index), number });
        }
    }
    jobs.extend(package.clear_files.iter().map(|name| FileJob { name, rendition: None, number: 0 }));
    jobs
}

fn write_file(
    job: &FileJob<'_>,
    prepared: Option<&Prepared>,
    files: usize,
    store: &dyn Store,
    env: &Env<'_>,
) -> Result<(OutputReport, OffsetMap, Vec<Totals>)> {
    let source = store.open(job.name)?;
    let mut sink = env.output.create(job.name)?;
    let (offsets, totals) = match prepared {
        Some(prepared) => {
            let mut edit = if files == 1 {
                Protect::single_file(&prepared.tracks, &prepared.clear, &prepared.pssh)
            } else {
                let number = u32::try_from(job.number).unwrap_or(u32::MAX);
                Protect::segment(&prepared.tracks, &prepared.clear, &prepared.pssh, number)
            };
            let offsets = rewrite(source.as_ref(), sink.as_mut(), &prepared.trexes, &mut edit)?;
            (offsets, edit.totals().to_vec())
        }
        None => {
            copy(source.as_ref(), sink.as_mut())?;
            (OffsetMap::default(), Vec::new())
        }
    };
    let written = sink.commit()?;
    (env.observe)(Event::Advance(source.len()));
    Ok((OutputReport::new(job.name, &written), offsets, totals))
}

/// Copies a file as it is.
pub(super) fn copy(source: &dyn Source, sink: &mut dyn Sink) -> Result<()> {
    let mut buffer = Vec::new();
    let mut position = 0;
    while position < source.len() {
        let length = usize::try_from(source.len() - position).unwrap_or(usize::MAX).min(COPY_BYTES);
        buffer.resize(length, 0);
        source.read_at(position, &mut buffer)?;
        sink.write(&buffer)?;
        position += length as u64;
    }
    Ok(())
}
