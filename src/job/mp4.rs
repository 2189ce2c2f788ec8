//! MP4 files: each track becomes a CMAF track — ISO/IEC 23000-19 §7.3.
//!
//! It is longer than 400 lines because it holds the run over MP4 files from tracks to segments, in the order of its steps.

use std::time::Duration;

use crate::base::env;
use crate::base::env::Http;
use crate::base::{Error, Result, shown_input};
use crate::codec::TrackKind;
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Trex;
use crate::isobmff::file::{BoxHeader, moov};
use crate::isobmff::samples::{Sample, samples};
use crate::isobmff::track::{trak, trexes};
use crate::keys::KeyServer;
use crate::package::{
    Boundaries, Cmaf, EditList, KeyRule, MediaTrack, Phase, Plan, ProtectedTrack, SampleGroups, Segments,
    Substream, UnknownVideo, WrittenSegment, media_tracks_with,
};
use crate::presentation::SegmentKind;

use super::choice::{Choice, Source, periods_until};
use super::env::{Env, Event, Locate};
use super::identity::Summary;
use super::mp4_files::{TrackFiles, WrittenFiles, write_segments, write_single_file};
use super::mp4_manifests;
use super::package::{substream, track_facts};
use super::plan::Outline;
use super::report::{KeyRotation, Report};
use super::rules::{Job, Layout, Rules};
use super::run::{plan, source};
use super::stated::Stated;

/// The least time: what ends so much behind a begin holds it.
const NANOSECOND: Duration = Duration::from_nanos(1);

/// An input file.
struct Mp4File {
    name: String,
    source: Box<dyn env::Source>,
    moov: BoxNode,
    trexes: Vec<Trex>,
    tracks: Vec<MediaTrack>,
}

impl Mp4File {
    /// Where segments are cut depends on all of it.
    fn summarize(&self, summary: &mut Summary) {
        summary.named(&self.name, &self.moov.to_bytes());
        summary.add(&self.source.len().to_be_bytes());
        summary.add(self.source.version().unwrap_or_default().as_bytes());
    }
}

/// A track that becomes a CMAF track.
pub(super) struct OutputTrack<'a> {
    /// Its id and the name of its folder: `v1`, `a1`, `t1`.
    pub(super) id: String,
    pub(super) kind: TrackKind,
    file: &'a Mp4File,
    pub(super) media: &'a MediaTrack,
    /// Its substream; `None` when it stays clear.
    pub(super) substream: Option<usize>,
    pub(super) edits: EditList,
    /// Its first sample.
    first: Sample,
}

impl<'a> OutputTrack<'a> {
    /// When it begins, in ticks of its media.
    fn begins(&self) -> u64 {
        u64::try_from(self.edits.presented(self.first.composition_time()).max(0)).unwrap_or(u64::MAX)
    }

    fn segments<'b>(
        &'b self,
        boundaries: &'b Boundaries,
    ) -> Result<Segments<'b, impl Iterator<Item = Result<Sample>> + use<'a>>> {
        Ok(Segments::new(self.samples()?, boundaries, &self.edits, self.media.track.timescale))
    }

    fn samples(&self) -> Result<impl Iterator<Item = Result<Sample>> + use<'a>> {
        let file = self.file;
        samples(file.source.as_ref(), &file.moov, self.media.track.track_id, &file.trexes)
    }
}

/// When the presentation begins: with the first of its tracks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    ticks: u64,
    timescale: u32,
}

impl Start {
    fn of(tracks: &[OutputTrack<'_>]) -> Self {
        let starts = tracks
            .iter()
            .map(|track| Self { ticks: track.begins(), timescale: track.media.track.timescale.max(1) });
        starts
            .min_by(|a, b| {
                // a / s < b / t, without division.
                let time = |one: &Self, other: &Self| u128::from(one.ticks) * u128::from(other.timescale);
                time(a, b).cmp(&time(b, a))
            })
            .unwrap_or(Self { ticks: 0, timescale: 1 })
    }

    /// The same in ticks of a track.
    pub(super) fn ticks(self, timescale: u32) -> u64 {
        let ours = u128::from(self.timescale);
        let ticks = (u128::from(self.ticks) * u128::from(timescale) + ours / 2) / ours;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// A CMAF track as it was written.
pub(super) struct WrittenTrack<'a> {
    pub(super) track: OutputTrack<'a>,
    pub(super) segments: Vec<WrittenSegment>,
    pub(super) files: TrackFiles,
}

/// Does a job on MP4 files.
pub(super) fn run(job: &Job, rules: &Rules, env: &Env<'_>) -> Result<Report> {
    (env.observe)(Event::Step("reading MP4 headers"));
    let files: Vec<_> = job.inputs.iter().map(|input| open(input, job, env.locate)).collect::<Result<_>>()?;
    let mut report = Report::default();
    let (tracks, mut substreams) = output_tracks(&files, rules.keys, &mut report.warnings)?;
    report.warnings.extend(not_carried(&files, &tracks)?);
    report.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
    let source = source(job, rules, (env.keys, env.http), &substreams, None)?;
    let rules = &rules.timed(&source, lasts(&tracks, &source)?);
    let Cut { boundaries, start, periods, choice } = Cut::of(job, rules, &source, &tracks, &mut substreams)?;
    env.check_job(job, |summary| files.iter().for_each(|file| file.summarize(summary)))?;
    let plan = plan(job, rules, &substreams, (&source, &choice, periods), env)?;
    report.warnings.extend(choice.warnings);
    report.key_rotation = KeyRotation::of(&plan);
    report.warnings.extend(plan.warnings.iter().cloned());
    (env.observe)(Event::Step("encrypting"));
    (env.observe)(Event::Total(files.iter().map(|file| file.source.len()).sum()));
    let mut written = Vec::new();
    for track in tracks {
        let place = format!("{}, track {}", track.file.name, track.media.track.track_id);
        let files = write_track(&track, rules, &plan, (&boundaries, start), env);
        let WrittenFiles { files, segments, outputs } = files.map_err(|error| error.at(place))?;
        plan.check_ivs()?;
        report.outputs.extend(outputs);
        if let Some((index, substream)) =
            track.substream.and_then(|index| Some((index, substreams.get(index)?)))
        {
            let facts = track_facts(substream, track.media, &track.file.name)?;
            let mut entry = facts.with_keys(&plan, index)?;
            let protected = || segments.iter().filter(|segment| segment.phase != Some(Phase::Clear));
            entry.samples = protected().map(|segment| segment.samples).sum();
            entry.bytes = protected().map(|segment| segment.bytes).sum();
            entry.protected = protected().map(|segment| segment.protected).sum();
            entry.check()?;
            report.tracks.push(entry);
        }
        written.push(WrittenTrack { track, segments, files });
    }
    (env.observe)(Event::Step("writing manifests"));
    mp4_manifests::write(&written, start, rules, &plan, env, &mut report)?;
    Ok(report)
}

/// Where tracks are cut, and who has which key.
struct Cut {
    boundaries: Boundaries,
    start: Start,
    periods: usize,
    choice: Choice,
}

impl Cut {
    fn of(
        job: &Job,
        rules: &Rules,
        source: &Source<'_>,
        tracks: &[OutputTrack<'_>],
        substreams: &mut [Substream],
    ) -> Result<Self> {
        if source.asks_for_rates() {
            measure(tracks, substreams)?;
        }
        let boundaries = boundaries(tracks, (job.segment_duration, &source.changes()))?;
        let start = Start::of(tracks);
        let periods = periods(tracks, (&boundaries, start), rules)?;
        let choice = source.choose(rules.key_rule(), substreams, periods, rules.schedule.rotates())?;
        Ok(Self { boundaries, start, periods, choice })
    }
}

/// How long the presentation lasts, where key periods with times ask for it.
fn lasts(tracks: &[OutputTrack<'_>], source: &Source<'_>) -> Result<Option<Duration>> {
    if source.changes().is_empty() {
        return Ok(None);
    }
    let start = Start::of(tracks);
    let mut lasts = Duration::ZERO;
    for track in tracks.iter().filter(|track| track.substream.is_some()) {
        let mut end = track.first.decode_time;
        for sample in track.samples()? {
            let sample = sample.map_err(|error| error.at(track.file.name.clone()))?;
            end = end.max(sample.decode_time.saturating_add(sample.duration.into()));
        }
        let timescale = track.media.track.timescale;
        let late = track.begins().saturating_sub(start.ticks(timescale));
        let elapsed = u128::from(end.saturating_sub(track.first.decode_time).saturating_add(late));
        let nanoseconds = elapsed * Duration::from_secs(1).as_nanos() / u128::from(timescale.max(1));
        lasts = lasts.max(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)));
    }
    Ok(Some(lasts))
}

/// Finds bit rates and frame rates: averages over all samples.
fn measure(tracks: &[OutputTrack<'_>], substreams: &mut [Substream]) -> Result<()> {
    for track in tracks {
        let Some(substream) = track.substream.and_then(|number| substreams.get_mut(number)) else { continue };
        let (mut samples, mut bytes, mut ticks) = (0_u64, 0_u64, 0_u64);
        for sample in track.samples()? {
            let sample = sample.map_err(|error| error.at(track.file.name.clone()))?;
            samples = samples.saturating_add(1);
            bytes = bytes.saturating_add(sample.size.into());
            ticks = ticks.saturating_add(sample.duration.into());
        }
        #[expect(clippy::cast_precision_loss, reason = "numbers of less than 2^53")]
        let per_second =
            |count: u64| count as f64 * f64::from(track.media.track.timescale) / (ticks.max(1) as f64);
        substream.frame_rate = (track.kind == TrackKind::Video).then(|| per_second(samples));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and saturating"
        )]
        let bitrate = per_second(bytes.saturating_mul(8)).round() as u64;
        substream.bitrate = substream.bitrate.or(Some(bitrate));
    }
    Ok(())
}

/// What a job on MP4 files would protect.
pub(super) fn outline<'a>(
    job: &Job,
    rules: &Rules,
    locate: &Locate<'_>,
    (keys, http): (&'a dyn KeyServer, &dyn Http),
) -> Result<Outline<'a>> {
    let files: Vec<_> = job.inputs.iter().map(|input| open(input, job, locate)).collect::<Result<_>>()?;
    let mut warnings = Vec::new();
    let (tracks, mut substreams) = output_tracks(&files, rules.keys, &mut warnings)?;
    warnings.extend(not_carried(&files, &tracks)?);
    let source = source(job, rules, (keys, http), &substreams, None)?;
    let rules = &rules.timed(&source, lasts(&tracks, &source)?);
    let Cut { periods, choice, .. } = Cut::of(job, rules, &source, &tracks, &mut substreams)?;
    let protected = tracks.iter().filter_map(|track| Some((track, substreams.get(track.substream?)?)));
    let facts = protected.map(|(track, substream)| track_facts(substream, track.media, &track.file.name));
    let tracks = facts.collect::<Result<_>>()?;
    let rotates = rules.schedule.rotates();
    Ok(Outline { tracks, substreams, source, choice, periods, rotates, warnings })
}

fn open(input: &str, job: &Job, locate: &Locate<'_>) -> Result<Mp4File> {
    let (store, name) = locate(input)?;
    let source = store.open(&name)?;
    let name = shown_input(input);
    let at = |error: Error| error.at(&name);
    let moov = moov(source.as_ref()).map_err(|error| other_format(source.as_ref(), error)).map_err(at)?;
    let unknown = if job.allow_full_sample { UnknownVideo::FullSample } else { UnknownVideo::Refused };
    let tracks = media_tracks_with(&moov, unknown).map_err(at)?;
    let trexes = trexes(&moov).map_err(at)?;
    Ok(Mp4File { name, source, moov, trexes, tracks })
}

/// What is wrong with a file that was to be MP4: that it is of another format, if it can be told.
pub(super) fn other_format(source: &dyn env::Source, error: Error) -> Error {
    let found = match SegmentKind::of(source) {
        Ok(SegmentKind::Matroska) => {
            return Error::unsupported("Matroska or WebM, an MP4 file expected").hint("repackage it as MP4");
        }
        Ok(SegmentKind::Ts) => "an MPEG transport stream",
        Ok(SegmentKind::PackedAudio(_) | SegmentKind::MpegAudio) => "packed audio",
        Ok(SegmentKind::WebVtt) => "WebVTT",
        _ => return error,
    };
    Error::input(format!("{found}, an MP4 file expected")).hint("give the playlist that names it")
}

/// The tracks in the order of their ids: pictures, sound, text. What no player shows is left out, and said.
fn output_tracks<'a>(
    files: &'a [Mp4File],
    rule: KeyRule,
    warnings: &mut Vec<String>,
) -> Result<(Vec<OutputTrack<'a>>, Vec<Substream>)> {
    let mut tracks = Vec::new();
    let mut substreams = Vec::new();
    let all = || files.iter().flat_map(|file| file.tracks.iter().map(move |media| (file, media)));
    for (kind, letter) in [(TrackKind::Video, 'v'), (TrackKind::Audio, 'a'), (TrackKind::Text, 't')] {
        for (file, media) in all().filter(|(_, media)| media.kind() == Some(kind)) {
            let track = &media.track;
            let at = |error: Error| error.at(file.name.clone());
            let mut samples =
                samples(file.source.as_ref(), &file.moov, track.track_id, &file.trexes).map_err(at)?;
            let Some(first) = samples.next().transpose().map_err(at)? else {
                warnings.push(left_out(file, media, "it has no samples"));
                continue;
            };
            let edits = EditList::of(&file.moov, track.track_id, track.timescale).map_err(at)?;
            if media.is_of_unknown_codec() {
                warnings.push(taken_whole(file, media));
            }
            let number = tracks.iter().filter(|track: &&OutputTrack<'_>| track.kind == kind).count() + 1;
            let id = format!("{letter}{number}");
            let is_protected = media.is_protectable() && rule.protects(kind);
            tracks.push(OutputTrack {
                id: id.clone(),
                kind,
                file,
                media,
                substream: is_protected.then_some(substreams.len()),
                edits,
                first,
            });
            if is_protected {
                substreams.push(substream(id, kind, media, &Stated::default()));
            }
        }
    }
    for (file, media) in all().filter(|(_, media)| media.kind().is_none()) {
        warnings.push(left_out(file, media, "players do not show it"));
    }
    Ok((tracks, substreams))
}

fn left_out(file: &Mp4File, media: &MediaTrack, why: &str) -> String {
    let track = &media.track;
    format!("{}: track {} ({}) is left out: {why}", file.name, track.track_id, track.handler_type)
}

fn groups(track: &OutputTrack<'_>) -> Result<SampleGroups> {
    let trak = trak(&track.file.moov, track.media.track.track_id)?;
    SampleGroups::of(trak.require(&[b"mdia", b"minf", b"stbl"])?)
}

/// What is not carried into segments although a player could use it.
fn not_carried(files: &[Mp4File], tracks: &[OutputTrack<'_>]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for track in tracks {
        let place = format!("{}: track {}", track.file.name, track.media.track.track_id);
        for grouping_type in groups(track)?.left_out {
            warnings.push(format!("{place}: sample groups of the type {grouping_type} are left out"));
        }
        if track.edits.edits() > 1 {
            let count = track.edits.edits();
            warnings.push(format!("{place}: {count} edits (elst), players of segments know the first alone"));
        }
        let path: &[&[u8; 4]] = &[b"mdia", b"minf", b"stbl", b"subs"];
        if trak(&track.file.moov, track.media.track.track_id)?.find(path).is_some() {
            warnings.push(format!("{place}: the table of subsamples (subs) is left out"));
        }
    }
    for file in files.iter().filter(|file| !file.trexes.is_empty()) {
        let mut position = 0;
        while let Some(header) = BoxHeader::read(file.source.as_ref(), position)? {
            if header.is(b"emsg") {
                warnings.push(format!("{}: event messages (emsg) are left out", file.name));
                break;
            }
            position = header.end();
        }
    }
    Ok(warnings)
}

fn taken_whole(file: &Mp4File, media: &MediaTrack) -> String {
    let entry = media.track.sample_entry().map_or_else(|_| String::new(), |entry| entry.format.to_string());
    format!(
        "{}: track {} ({entry}) is protected whole: its codec is not known, and players that read slice \
         headers in the clear do not play it",
        file.name, media.track.track_id
    )
}

/// Every track is cut where the first video track can be cut; without one, on a grid.
fn boundaries(tracks: &[OutputTrack<'_>], (seconds, changes): (f64, &[Duration])) -> Result<Boundaries> {
    let video = tracks.iter().find(|track| track.kind == TrackKind::Video);
    // Sound alone is cut on a grid, unless keys change at times that are on none.
    let first = tracks.iter().filter(|_| changes.len() > 1).min_by_key(|track| track.begins());
    let Some(track) = video.or(first) else {
        let start = Start::of(tracks);
        return Ok(Boundaries::grid(start.ticks, start.timescale, seconds));
    };
    let timescale = track.media.track.timescale;
    let boundaries = Boundaries::of(track.samples()?, &track.edits, timescale, (seconds, changes));
    boundaries.map_err(|error| error.at(track.file.name.clone()))
}

/// How many crypto periods the longest track has.
fn periods(
    tracks: &[OutputTrack<'_>],
    (boundaries, start): (&Boundaries, Start),
    rules: &Rules,
) -> Result<usize> {
    let (mut most, mut last) = (0, 0);
    let schedule = &rules.schedule;
    for track in tracks.iter().filter(|track| schedule.rotates() && track.substream.is_some()) {
        let at = |error: Error| error.at(track.id.clone()).at(track.file.name.clone());
        let timescale = track.media.track.timescale;
        let late = track.begins().saturating_sub(start.ticks(timescale));
        for segment in track.segments(boundaries)? {
            let segment = segment.map_err(at)?;
            most = most.max(segment.interval.saturating_add(1));
            let elapsed = segment.decode_time().saturating_sub(track.first.decode_time).saturating_add(late);
            let phase = schedule.phase(segment.interval, elapsed, timescale);
            if phase.has_no_key() {
                let seconds = elapsed / u64::from(timescale.max(1));
                return Err(at(Error::keys(format!(
                    "no key period is for the segment {seconds} s after the begin"
                ))
                .clause("DASH-IF CPIX 2.3 §4, ContentKeyPeriod")
                .hint("give periods that cover all of the presentation")));
            }
            if let Phase::Period(number) = phase {
                last = last.max(number);
            }
        }
    }
    match &schedule.times {
        Some(times) => times.get(last).map_or(Ok(1), |last| periods_until(times, last.start + NANOSECOND)),
        None => schedule.periods(most),
    }
}

fn write_track(
    track: &OutputTrack<'_>,
    rules: &Rules,
    plan: &Plan,
    (boundaries, start): (&Boundaries, Start),
    env: &Env<'_>,
) -> Result<WrittenFiles> {
    let file = track.file;
    let (protected, pssh) = match track.substream {
        Some(substream) => {
            let mut protected = ProtectedTrack::planned(track.media, plan, substream)?;
            protected.start = track.first.decode_time;
            protected.late = track.begins().saturating_sub(start.ticks(track.media.track.timescale));
            (Some(protected), plan.pssh(&[substream])?)
        }
        None => (None, Vec::new()),
    };
    let cmaf = Cmaf::new(file.source.as_ref(), &file.moov, track.media, protected.as_ref())?;
    let init = cmaf.init(&pssh)?;
    let segments = || track.segments(boundaries);
    match rules.layout {
        Layout::Segments => write_segments(&track.id, &cmaf, &init, segments()?, env),
        Layout::SingleFile => {
            let count = segments()?.try_fold(0, |count, segment| segment.map(|_| count + 1))?;
            write_single_file(&track.id, &cmaf, &init, count, segments()?, env)
        }
    }
}
