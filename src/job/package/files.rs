//! The files of a package, written on all cores: protected as planned, or copied — ISO/IEC 23001-7.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use rayon::prelude::*;

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::package::{
    EncryptedTrack, FirstBlocks, OffsetMap, Period, Plan, Proofs, ProtectedRendition, SegmentKey, Totals,
    TrackId, copy, rewrite,
};

use super::file_ranges::empty;
use super::{Package, Rendition};
use crate::job::env::{Env, Event};
use crate::job::folder::total_length;
use crate::job::journal::write_once;
use crate::job::report::{OutputReport, TrackReport, joined};

/// What became of a package.
#[derive(Default)]
pub(in crate::job) struct ProtectedPackage {
    pub(in crate::job) outputs: Vec<OutputReport>,
    /// The protected tracks in the order of their keys.
    pub(in crate::job) tracks: Vec<(TrackId, TrackReport)>,
    /// Where the bytes of each media file went.
    offsets: HashMap<String, OffsetMap>,
    /// What protected each media file, from which byte of the source on.
    segment_keys: HashMap<String, Vec<(u64, SegmentKey)>>,
    /// What was wrong in the files and was put right.
    pub(in crate::job) mended: Vec<String>,
    /// What is shown of the keys by what was decrypted.
    pub(in crate::job) proofs: Proofs,
    /// What is shown of the IVs of segments that were decrypted whole.
    pub(in crate::job) first_blocks: FirstBlocks,
}

impl ProtectedPackage {
    /// Adds what was protected of a track.
    pub(in crate::job) fn count(&mut self, id: TrackId, totals: &Totals) -> Result<()> {
        let track = self.tracks.iter_mut().find(|(known, _)| *known == id);
        let (_, track) = track.ok_or_else(|| Error::internal(format!("no report on track {id}")))?;
        track.samples += totals.samples;
        track.bytes += totals.bytes;
        track.protected += totals.protected;
        Ok(())
    }

    /// Adds when a track is clear, in seconds.
    pub(in crate::job) fn clear(&mut self, id: TrackId, stretch: (f64, f64)) {
        self.tracks
            .iter_mut()
            .filter(|(known, _)| *known == id)
            .for_each(|(_, track)| track.clear.push(stretch));
    }

    /// Whether a crypto period but the first protects anything.
    pub(in crate::job) fn rotates(&self) -> bool {
        self.segment_keys.values().flatten().any(|(_, segment_key)| segment_key.is_later())
    }

    /// The first crypto period that protects anything.
    pub(in crate::job) fn first_period(&self) -> Period {
        self.segment_keys
            .values()
            .flatten()
            .filter_map(|(_, segment_key)| segment_key.period())
            .min()
            .unwrap_or_default()
    }

    /// Adds what became of a file.
    pub(in crate::job) fn file(
        &mut self,
        name: &str,
        offsets: OffsetMap,
        segment_keys: Vec<(u64, SegmentKey)>,
    ) {
        self.mended.extend(offsets.mended.iter().map(|what| format!("{name}: {what}, which was put right")));
        self.offsets.insert(name.to_owned(), offsets);
        self.segment_keys.insert(name.to_owned(), segment_keys);
    }

    /// Where the bytes of a file went.
    pub(in crate::job) fn offsets(&self, file: &str) -> Result<&OffsetMap> {
        self.offsets.get(file).ok_or_else(|| not_written(file))
    }

    /// What protects the bytes of a file up to `end`, by what precedes it there; `None` when all of it stays clear.
    pub(in crate::job) fn segment_key(&self, file: &str, end: Option<u64>) -> Result<Option<SegmentKey>> {
        let segment_keys = self.segment_keys.get(file).ok_or_else(|| not_written(file))?;
        let before = segment_keys.partition_point(|(start, _)| end.is_none_or(|end| *start < end));
        Ok(segment_keys.get(before.saturating_sub(1)).map(|(_, segment_key)| *segment_key))
    }
}

fn not_written(file: &str) -> Error {
    Error::internal("a manifest names a file that was not written").at(file.to_owned())
}

/// One file to be written.
struct FileJob<'a> {
    name: &'a str,
    /// The rendition it belongs to; `None` copies it.
    prepared: Option<&'a Prepared<'a>>,
    /// The number of the file among the media files of its rendition.
    number: usize,
    /// Whether it is a segment or holds segments, and is no init segment alone.
    is_media: bool,
}

/// A rendition ready to be protected.
struct Prepared<'a> {
    rendition: &'a Rendition,
    protected: ProtectedRendition,
    /// Where segments begin when one file has all.
    cuts: Vec<u64>,
    /// The id of each protected track.
    ids: Vec<TrackId>,
}

/// A file is written once: it is protected as media of one rendition, as its init segment, or stays clear.
pub(in crate::job) fn written_once(package: &Package) -> Result<()> {
    let conflict = |name: &str, one: &str, other: &str| {
        Err(Error::unsupported(format!("the file is to be written twice: as {one} and as {other}"))
            .at(name)
            .hint("give each its own file"))
    };
    let mut media: HashMap<&str, usize> = HashMap::new();
    let mut inits: HashMap<&str, &Option<Range<u64>>> = HashMap::new();
    for (index, rendition) in package.renditions.iter().enumerate() {
        media.extend(rendition.files.iter().map(|file| (file.as_str(), index)));
    }
    for (index, rendition) in package.renditions.iter().enumerate() {
        let (name, range) = (rendition.init.0.as_str(), &rendition.init.1);
        if media.get(name).is_some_and(|owner| *owner != index) {
            return conflict(name, "an init segment", "media of another rendition");
        }
        if inits.insert(name, range).is_some_and(|other| other != range) {
            return conflict(name, "one init segment", "another in other bytes of it");
        }
    }
    match package.clear_files.iter().find(|file| {
        media.contains_key(file.as_str()) || inits.contains_key(file.as_str()) || package.streams.has(file)
    }) {
        Some(file) => conflict(file, "protected media", "a file that stays clear"),
        None => written_apart(package),
    }
}

/// What is rewritten part by part is no fragmented MP4 as well.
pub(in crate::job) fn written_apart(package: &Package) -> Result<()> {
    match package.files().into_iter().find(|(name, _)| package.streams.has(name)) {
        Some((name, _)) => {
            Err(Error::unsupported("segments of the file are named with and without a map, or a key")
                .clause("RFC 8216bis §4.4.4.4, §4.4.4.5")
                .at(name)
                .hint("name them in one way"))
        }
        None => Ok(()),
    }
}

/// How many bytes the files of a package have, all of which are there; `None` when that takes as long as reading them.
pub(in crate::job) fn total(package: &Package, store: &dyn Store) -> Result<Option<u64>> {
    let files = package.files();
    total_length(store, files.iter().map(|(name, _)| *name).chain(package.streams.files()))
}

/// Writes every file of a package, protected as planned, on all cores.
pub(in crate::job) fn protect(
    package: &Package,
    encrypted_tracks: &[EncryptedTrack],
    plan: &Plan,
    store: &dyn Store,
    env: &Env<'_>,
) -> Result<ProtectedPackage> {
    let prepared = prepare(package, plan, store)?;
    let jobs = file_jobs(package, &prepared);
    let done: Vec<_> = jobs
        .par_iter()
        .map(|job| {
            let done = write_file(job, store, env).map_err(|error| error.at(job.name))?;
            plan.check_ivs().map(|()| done)
        })
        .collect::<Result<_>>()?;
    let mut tracks = Vec::new();
    for encrypted_track in encrypted_tracks {
        let facts = package.track_facts(encrypted_track)?;
        tracks.push((encrypted_track.id, facts.with_keys(plan, encrypted_track.id)?));
    }
    let mut result = ProtectedPackage { tracks, ..ProtectedPackage::default() };
    for (job, Done { output, offsets, totals, segment_keys, clear_times }) in jobs.iter().zip(done) {
        let ids = job.prepared.map_or(&[][..], |prepared| &prepared.ids);
        if ids.len() != totals.len() {
            let what = format!("{} protected tracks, {} of them written", ids.len(), totals.len());
            return Err(Error::internal(what).at(job.name));
        }
        ids.iter().zip(totals).try_for_each(|(id, totals)| result.count(*id, &totals))?;
        let tracks = job.prepared.map_or(&[][..], |prepared| &prepared.protected.tracks);
        for ((id, track), times) in ids.iter().zip(tracks).zip(clear_times) {
            let seconds = |ticks| seconds(ticks, track.timescale);
            times.iter().for_each(|(start, end)| result.clear(*id, (seconds(*start), seconds(*end))));
        }
        result.outputs.push(output);
        result.file(job.name, offsets, segment_keys);
    }
    package.streams.protect(plan, store, env, &mut result)?;
    result.tracks.iter().try_for_each(|(_, track)| track.check())?;
    for (_, track) in &mut result.tracks {
        track.clear = joined(std::mem::take(&mut track.clear));
    }
    Ok(result)
}

fn prepare<'a>(package: &'a Package, plan: &Plan, store: &dyn Store) -> Result<Vec<Prepared<'a>>> {
    package
        .renditions
        .iter()
        .map(|rendition| {
            let (moov, slots) = (&rendition.moov, &rendition.encrypted_tracks);
            let mut protected = ProtectedRendition::of(moov, &rendition.tracks, plan, slots)?;
            let (before, first_segment) = rendition.before;
            protected.first_segment = first_segment;
            for track in &mut protected.tracks {
                track.late = ticks(before, track.timescale);
                track.schedule = plan.schedule.clone().behind(before);
            }
            let needs_times = protected.tracks.iter().any(|track| track.schedule.needs_times());
            if let Some(first) = rendition.files.first().filter(|_| needs_times) {
                protected.beginning_with(store.open(first)?.as_ref()).map_err(|error| error.at(first))?;
            }
            let ids = slots.iter().flatten().copied().collect();
            Ok(Prepared { rendition, protected, cuts: rendition.sorted_cuts(), ids })
        })
        .collect()
}

fn ticks(time: Duration, timescale: u32) -> u64 {
    let ticks = time.as_nanos().saturating_mul(timescale.into()) / Duration::from_secs(1).as_nanos();
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

fn seconds(ticks: u64, timescale: u32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "times of less than 2^53 ticks")]
    let ticks = ticks as f64;
    ticks / f64::from(timescale.max(1))
}

fn file_jobs<'a>(package: &'a Package, prepared: &'a [Prepared<'a>]) -> Vec<FileJob<'a>> {
    let mut jobs: Vec<FileJob<'_>> = Vec::new();
    let mut known = HashSet::new();
    for one in prepared {
        let Rendition { init: (init, _), files, .. } = one.rendition;
        known.extend(files.iter().map(String::as_str));
        if known.insert(init) {
            jobs.push(FileJob { name: init, prepared: Some(one), number: 0, is_media: false });
        }
        for (number, name) in files.iter().enumerate() {
            jobs.push(FileJob { name, prepared: Some(one), number, is_media: true });
        }
    }
    let clear = package.clear_files.iter();
    jobs.extend(clear.map(|name| FileJob { name, prepared: None, number: 0, is_media: false }));
    jobs
}

/// A file that was written.
struct Done {
    output: OutputReport,
    offsets: OffsetMap,
    totals: Vec<Totals>,
    segment_keys: Vec<(u64, SegmentKey)>,
    /// When each track is clear, in ticks since the presentation began.
    clear_times: Vec<Vec<(u64, u64)>>,
}

fn write_file(job: &FileJob<'_>, store: &dyn Store, env: &Env<'_>) -> Result<Done> {
    let source = store.open(job.name)?;
    let written = write_once(env, job.name, source.as_ref(), |sink| {
        // Of a rendition that stays clear no track is protected.
        let protected = job.prepared.filter(|prepared| !prepared.ids.is_empty());
        let Some(Prepared { rendition, protected, cuts, .. }) = protected else {
            if source.is_empty() {
                return Err(empty());
            }
            copy(source.as_ref(), sink)?;
            return Ok((OffsetMap::default(), Vec::new(), Vec::new(), Vec::new()));
        };
        let mut edit = if rendition.files.len() == 1 {
            protected.single_file(cuts)
        } else {
            protected.file(u32::try_from(job.number).unwrap_or(u32::MAX))
        };
        let offsets = rewrite(source.as_ref(), sink, &protected.trexes, &mut edit)?;
        if job.is_media {
            edit.check_segment()?;
        }
        let segment_keys = edit.segment_keys().to_vec();
        Ok((offsets, edit.totals().to_vec(), segment_keys, edit.clear_times().to_vec()))
    })?;
    let (output, (offsets, totals, segment_keys, clear_times)) = written;
    (env.observe)(Event::Advance(source.len()));
    Ok(Done { output, offsets, totals, segment_keys, clear_times })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;
    use crate::codec::TrackKind;

    #[test]
    fn what_was_not_written_is_our_mistake_and_no_copy() {
        let mut done = ProtectedPackage::default();
        let track = TrackId::new(TrackKind::Video, 1);
        for error in [
            done.offsets("v/1.m4s").map(drop).unwrap_err(),
            done.segment_key("v/1.m4s", None).map(drop).unwrap_err(),
            done.count(track, &Totals::default()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Internal, "{error}");
        }
        done.file("v/1.m4s", OffsetMap::default(), Vec::new());
        assert_eq!(done.segment_key("v/1.m4s", None).unwrap(), None);
    }
}
