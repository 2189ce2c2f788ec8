//! Segments as their boxes tell — ISO/IEC 14496-12 §8.8, ISO/IEC 23001-7 §7.

use std::ops::Range;

use crate::base::env::Source;
use crate::base::{FourCc, Kid, Result};
use crate::isobmff::file::{BoxHeader, moov};
use crate::presentation::{Resource, read_moov};

use super::super::samples::{Facts, SampleFacts, TrackFacts, fragment_samples, scheme_type, table_samples};
use super::super::{sample_boxes, tree};
use super::{
    DETAILED_SAMPLES, DETAILED_SEGMENTS, Draft, MAX_DETAILED, MAX_SEGMENTS, SampleDetail, Segment, Track,
};

/// Least length of a block of a file without fragments, in seconds.
const BLOCK_SECONDS: f64 = 1.0;
/// Most samples of a track of a file without fragments.
const MAX_TABLE_SAMPLES: usize = 100_000;
/// Largest `moov` or `moof` that is read.
const MAX_BOX_BYTES: u64 = 64 << 20;

/// Where a segment stands, and what a manifest says of its time.
pub(super) struct SegmentSpan<'a> {
    pub(super) name: &'a str,
    pub(super) range: Option<Range<u64>>,
    /// Start and duration in seconds.
    pub(super) time: Option<(f64, f64)>,
}

impl Draft<'_> {
    /// A single file: its fragments, or blocks of its sample tables.
    pub(super) fn file(&mut self, source: &dyn Source, name: &str) -> Result<()> {
        let moov = moov(source)?;
        let facts = Facts::of(&moov);
        let mut tracks = rows(&facts, &Track::default());
        self.systems.add_boxes(&moov);
        for ((track, facts), trak) in tracks.iter_mut().zip(&facts.tracks).zip(moov.all(b"trak")) {
            let table = table_samples(source, &moov, facts, trak, MAX_TABLE_SAMPLES)?;
            self.blocks(name, facts, &table, track);
        }
        self.single_file(source, name, &facts, &mut tracks)?;
        self.presentation.tracks.extend(tracks);
        Ok(())
    }

    /// Each `moof` of a file as a segment.
    pub(super) fn single_file(
        &mut self,
        source: &dyn Source,
        name: &str,
        facts: &Facts,
        tracks: &mut [Track],
    ) -> Result<()> {
        let mut position = 0;
        while let Some(header) = BoxHeader::read(source, position)? {
            position = header.end();
            if !header.is(b"moof") {
                continue;
            }
            let next = BoxHeader::read(source, position)?.filter(|next| next.is(b"mdat"));
            let end = next.map_or(position, |next| next.end());
            let place = SegmentSpan { name, range: Some(header.position..end), time: None };
            self.segment(source, &place, facts, tracks)?;
        }
        Ok(())
    }

    /// One media segment: a block in the row of each track that it has samples of.
    pub(super) fn segment(
        &mut self,
        source: &dyn Source,
        place: &SegmentSpan<'_>,
        facts: &Facts,
        tracks: &mut [Track],
    ) -> Result<()> {
        if tracks.iter().all(|track| track.segments.len() >= MAX_SEGMENTS) {
            tracks.iter_mut().for_each(|track| track.more += 1);
            return Ok(());
        }
        let range = place.range.clone().unwrap_or_else(|| 0..source.len());
        let blocks = self.collect(source, &range, facts)?;
        for ((track, facts), samples) in tracks.iter_mut().zip(&facts.tracks).zip(blocks) {
            let mut segment = Segment::default();
            if samples.is_empty() {
                continue;
            }
            place.name.clone_into(&mut segment.name);
            self.fill(&mut segment, facts, &samples);
            if let Some((start, duration)) = place.time {
                let shift = start - segment.start;
                segment.detail.iter_mut().for_each(|sample| sample.time += shift);
                (segment.start, segment.duration) = (start, duration);
            }
            if self.is_detailed(track, &segment) {
                let outline = tree::outline(source, range.clone());
                segment.boxes = Some(outline);
            } else {
                segment.detail.clear();
            }
            push(track, segment);
        }
        Ok(())
    }

    /// The samples of each track in the fragments of a range.
    fn collect(
        &mut self,
        source: &dyn Source,
        range: &Range<u64>,
        facts: &Facts,
    ) -> Result<Vec<Vec<SampleFacts>>> {
        let mut rows: Vec<Vec<SampleFacts>> = facts.tracks.iter().map(|_| Vec::new()).collect();
        let mut position = range.start;
        while position < range.end.min(source.len()) {
            let header = match BoxHeader::read(source, position) {
                Ok(Some(header)) => header,
                // Media data that is cut off, as in the segments of an I-frame playlist, is not needed here.
                Err(_) if rows.iter().any(|samples| !samples.is_empty()) => break,
                Ok(None) => break,
                Err(error) => return Err(error),
            };
            position = header.end();
            if !header.is(b"moof") || header.length > MAX_BOX_BYTES {
                continue;
            }
            let moof = header.read_node(source)?;
            self.systems.add_boxes(&moof);
            for fragment in fragment_samples(&moof, header.position, facts)? {
                let row = facts.tracks.iter().position(|track| track.track.track_id == fragment.track_id);
                if let Some(samples) = row.and_then(|row| rows.get_mut(row)) {
                    samples.extend(fragment.samples);
                }
            }
        }
        Ok(rows)
    }

    /// Blocks of about a second that begin with a sync sample.
    fn blocks(&mut self, name: &str, facts: &TrackFacts, samples: &[SampleFacts], track: &mut Track) {
        let scale = scale(facts);
        let least = |from: &SampleFacts, to: &SampleFacts| {
            seconds(to.sample.decode_time.saturating_sub(from.sample.decode_time), scale) >= BLOCK_SECONDS
        };
        let mut first = 0;
        for index in 1..=samples.len() {
            let Some(start) = samples.get(first) else { break };
            if samples.get(index).is_some_and(|next| !next.sample.is_sync() || !least(start, next)) {
                continue;
            }
            let mut segment = Segment { name: name.to_owned(), ..Segment::default() };
            self.fill(&mut segment, facts, samples.get(first..index).unwrap_or_default());
            if !self.is_detailed(track, &segment) {
                segment.detail.clear();
            }
            push(track, segment);
            first = index;
        }
    }

    /// The first segments of a row, and the first of each key in it.
    fn is_detailed(&mut self, track: &Track, segment: &Segment) -> bool {
        let is_new = |key: &usize| !track.segments.iter().any(|other| other.keys.contains(key));
        let wanted = track.segments.len() < DETAILED_SEGMENTS || segment.keys.iter().any(is_new);
        let detailed = wanted && self.detailed < MAX_DETAILED;
        self.detailed += usize::from(detailed);
        detailed
    }

    fn fill(&mut self, segment: &mut Segment, facts: &TrackFacts, samples: &[SampleFacts]) {
        let scale = scale(facts);
        let first = samples.first().map_or(0, |first| first.sample.decode_time);
        segment.start = seconds(first, scale);
        segment.duration = seconds(samples.iter().map(|s| u64::from(s.sample.duration)).sum(), scale);
        segment.bytes = samples.iter().map(|s| u64::from(s.sample.size)).sum();
        segment.samples = samples.len() as u64;
        for sample in samples {
            let key = sample.is_protected.then(|| self.kid(sample.kid));
            match key {
                Some(key) if !segment.keys.contains(&key) => segment.keys.push(key),
                Some(_) => {}
                None => segment.clear_samples += 1,
            }
            if segment.detail.len() < DETAILED_SAMPLES {
                segment.detail.push(detail(sample, key, scale));
            }
        }
    }

    /// The facts of an initialization segment.
    pub(super) fn init(&mut self, init: &Resource) -> Result<Facts> {
        let moov = read_moov(self.store, &init.file, init.range.as_ref())?;
        self.systems.add_boxes(&moov);
        Ok(Facts::of(&moov))
    }
}

/// A row for each track of a `moov`, with what the manifest says in `base`.
pub(super) fn rows(facts: &Facts, base: &Track) -> Vec<Track> {
    let several = facts.tracks.len() > 1;
    let row = |facts: &TrackFacts| {
        let mut track = base.clone();
        let id = facts.track.track_id;
        track.id = match (base.id.as_str(), several) {
            ("", _) => format!("track {id}"),
            (name, true) => format!("{name} / track {id}"),
            (name, false) => name.to_owned(),
        };
        track.kind = match &facts.track.handler_type.0 {
            b"vide" => "video",
            b"soun" => "audio",
            b"text" | b"subt" | b"sbtl" | b"clcp" => "text",
            _ => "other",
        };
        if let Some(entry) = facts.track.sample_entries.first() {
            track.codec = sample_boxes::codecs(entry)
                .unwrap_or_else(|| sample_boxes::original_format(entry).to_string());
            track.width = u64::from(entry.width);
            track.height = u64::from(entry.height);
            track.channels = u64::from(entry.channel_count);
        }
        if track.language.is_empty() {
            track.language = facts.track.language.clone().unwrap_or_default();
        }
        track.scheme = scheme_type(facts).as_ref().map(FourCc::to_string).unwrap_or_default();
        track
    };
    facts.tracks.iter().map(row).collect()
}

/// The key ids that the sample entries of a `moov` name.
pub(super) fn kids(facts: &Facts) -> Vec<Kid> {
    let protected = facts.tracks.iter().flat_map(|track| track.protected.iter().flatten());
    protected.map(|protected| protected.tenc.default_kid).collect()
}

/// Adds a block to a row, or counts it.
pub(super) fn push(track: &mut Track, segment: Segment) {
    if track.segments.len() < MAX_SEGMENTS {
        track.segments.push(segment);
    } else {
        track.more += 1;
    }
}

fn detail(facts: &SampleFacts, key: Option<usize>, scale: f64) -> SampleDetail {
    let size = u64::from(facts.sample.size);
    let runs = match (facts.is_protected, facts.subsamples.as_slice()) {
        (false, _) => vec![[size, 0]],
        (true, []) => vec![[0, size]],
        (true, runs) => runs
            .iter()
            .map(|run| [u64::from(run.bytes_of_clear_data), u64::from(run.bytes_of_protected_data)])
            .take(DETAILED_SAMPLES)
            .collect(),
    };
    SampleDetail {
        time: seconds(facts.sample.decode_time, scale),
        size: facts.sample.size,
        sync: facts.sample.is_sync(),
        key,
        iv: crate::base::id::hex(&facts.iv),
        runs,
    }
}

fn scale(facts: &TrackFacts) -> f64 {
    f64::from(facts.track.timescale.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "a picture needs no more than 53 bits of time")]
fn seconds(ticks: u64, scale: f64) -> f64 {
    ticks as f64 / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::boxes::SencSubsample;
    use crate::isobmff::samples::Sample;

    #[test]
    fn runs_are_clear_and_protected_bytes_in_turn() {
        let sample = Sample {
            position: 0,
            size: 100,
            decode_time: 50,
            duration: 1,
            composition_time_offset: 0,
            flags: 0,
            sample_description_index: 1,
        };
        let run = SencSubsample { bytes_of_clear_data: 20, bytes_of_protected_data: 80 };
        let facts = |is_protected, subsamples| SampleFacts {
            sample,
            kid: None,
            is_protected,
            iv: Vec::new(),
            subsamples,
        };
        let runs = |is_protected, subsamples| detail(&facts(is_protected, subsamples), None, 10.0).runs;
        assert_eq!(runs(false, vec![]), [[100, 0]]);
        assert_eq!(runs(true, vec![]), [[0, 100]]);
        assert_eq!(runs(true, vec![run]), [[20, 80]]);
    }
}
