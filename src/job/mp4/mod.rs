//! MP4 files: each track becomes a CMAF track — ISO/IEC 23000-19 §7.3.
//!
//! It is longer than 400 lines because it holds the run over MP4 files from tracks to segments, in the order of its steps.

mod audio_groups;
mod clocks;
pub(super) mod cut;
pub(super) mod described;
mod edits;
pub(super) mod files;
mod groups;
pub(super) mod key_frames;
pub(super) mod ladder;
pub(super) mod manifests;
pub(super) mod movie;
pub(super) mod names;
mod purpose;
pub(super) mod survey;
pub(super) mod text;
pub(super) mod thumbnails;
pub(super) mod timed;
pub(super) mod trick_play;
mod video_facts;
mod wrong_boxes;

use crate::base::env;
use crate::base::env::Http;
use crate::base::{Error, Result, remedy, shown_input};
use crate::codec::TrackKind;
use crate::demux::{self, Demuxed};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Trex;
use crate::isobmff::file::{BoxHeader, moov};
use crate::isobmff::samples::{Sample, samples};
use crate::isobmff::track::{trak, trexes};
use crate::keys::KeyServer;
use crate::package::{
    Boundaries, Cmaf, EditList, EncryptedTrack, KeyRule, MediaTrack, Period, Plan, Presented, ProtectedTrack,
    SegmentKey, Segments, TrackId, UnknownVideo, WrittenSegment, media_tracks_with, presented,
};
use crate::presentation::{ELEMENTARY_VIDEO, SegmentKind};

use crate::job::env::{Env, Event, OpenInput};
use crate::job::identity::Summary;
use crate::job::key_exchange::{plan, source};
use crate::job::package::stated::Stated;
use crate::job::package::{encrypted_track, track_facts};
use crate::job::plan::{ClearTrack, Outline};
use crate::job::report::{KeyRotation, Report, TrackReport, joined};
use crate::job::rules::{Job, Layout, Rules};
use cut::{Cut, Start, lasts};
use described::{Described, OfMedia};
use files::{TrackFiles, WrittenFiles, write_segments, write_single_file};
use names::TrackNames;
use survey::Survey;
use text::text_tracks;
use thumbnails::ThumbnailTrack;

/// An input file.
pub(in crate::job) struct Mp4File {
    pub(in crate::job) name: String,
    source: Box<dyn env::Source>,
    moov: BoxNode,
    trexes: Vec<Trex>,
    tracks: Vec<MediaTrack>,
    /// What of it is no rendition, and what was mended, in words.
    left_out: Vec<String>,
    /// When it begins by the clock of a transport stream.
    clock: Option<i64>,
}

impl Mp4File {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        self.source.read_at(position, buffer)
    }

    fn samples(&self, track_id: u32) -> Result<impl Iterator<Item = Result<Sample>> + use<'_>> {
        samples(self.source.as_ref(), &self.moov, track_id, &self.trexes)
    }

    /// Where segments are cut depends on all of it.
    fn summarize(&self, summary: &mut Summary) {
        summary.named(&self.name, &self.moov.to_bytes());
        summary.add(&self.source.len().to_be_bytes());
        summary.add(self.source.version().unwrap_or_default().as_bytes());
    }
}

/// A track that becomes a CMAF track.
pub(in crate::job) struct OutputTrack<'a> {
    /// Its id and the name of its folder: `v1`, `a1`, `t1`.
    pub(in crate::job) id: TrackId,
    pub(in crate::job) file: &'a Mp4File,
    pub(in crate::job) media: &'a MediaTrack,
    /// Its id when it gets a key; `None` when it stays clear.
    pub(in crate::job) encrypted_track: Option<TrackId>,
    /// What is left of its edit list in the segments.
    pub(in crate::job) edits: EditList,
    /// The edit list of the file.
    source_edits: EditList,
    pub(in crate::job) survey: Survey,
    /// What manifests say of it.
    pub(in crate::job) described: Described,
    /// The names of its files; none before keys are known.
    pub(in crate::job) names: TrackNames,
    /// Whether its key frames are fragments of their own.
    pub(in crate::job) key_frames_apart: bool,
}

impl<'a> OutputTrack<'a> {
    /// When it begins, in ticks of its media.
    pub(in crate::job) fn begins(&self) -> u64 {
        self.edits.time(self.survey.first.composition_time())
    }

    pub(in crate::job) fn timescale(&self) -> u32 {
        self.media.track.timescale
    }

    /// When it ends, in ticks of its media.
    pub(in crate::job) fn ends(&self) -> u64 {
        self.edits.time(self.survey.end)
    }

    pub(in crate::job) fn segments<'b>(
        &'b self,
        boundaries: &'b Boundaries,
    ) -> Result<Segments<'b, impl Iterator<Item = Result<Sample>> + use<'a>>> {
        let segments = Segments::new(self.samples()?, boundaries, &self.edits, self.media.track.timescale);
        Ok(segments.ending(self.ends()).with_key_frames_apart(self.key_frames_apart))
    }

    /// Its samples as they are written.
    pub(in crate::job) fn samples(&self) -> Result<impl Iterator<Item = Result<Sample>> + use<'a>> {
        let samples = self.file.samples(self.media.track.track_id)?;
        Ok(self.source_edits.samples(samples))
    }
}

/// A CMAF track as it was written.
pub(in crate::job) struct WrittenTrack<'a> {
    pub(in crate::job) track: OutputTrack<'a>,
    pub(in crate::job) segments: Vec<WrittenSegment>,
    pub(in crate::job) files: TrackFiles,
}

/// Does a job on MP4 files.
pub(in crate::job) fn run(job: &Job, rules: &Rules, env: &Env<'_>) -> Result<Report> {
    (env.observe)(Event::Step("reading MP4 headers"));
    let (texts, inputs) = text::split(job, env.open_input)?;
    let files: Vec<_> = inputs.iter().map(|input| open(input, job, env.open_input)).collect::<Result<_>>()?;
    ladder::check_files(&files, job.trick_play)?;
    let mut thumbnails = ThumbnailTrack::open(job.thumbnails.as_ref(), env.open_input)?;
    let mut report = Report::default();
    let (mut tracks, mut encrypted_tracks) = output_tracks(&files, (rules.keys, job), &mut report.warnings)?;
    let mut texts = text_tracks(&mut tracks, texts, (job, rules))?;
    names::check_segments(job, rules, &texts)?;
    report.warnings.extend(texts.iter().filter_map(text::TextTrack::empty));
    report.warnings.extend(not_carried(&files, &tracks)?);
    report.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
    let source = source(job, rules, (env.keys, env.http), &encrypted_tracks, None)?;
    let rules = &rules.timed(&source, lasts(&tracks, &source));
    let Cut { boundaries, start, periods, choice } =
        Cut::of(job, rules, &source, &tracks, &mut encrypted_tracks)?;
    let mut disagree = ladder::warnings(&tracks, &boundaries, start)?;
    disagree.extend(thumbnails.iter_mut().flat_map(|images| images.fit(&tracks, start)));
    disagree.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
    report.warnings.extend(disagree);
    env.check_job(job, |summary| {
        files.iter().for_each(|file| file.summarize(summary));
        thumbnails.iter().for_each(|images| images.summarize(summary));
    })?;
    let plan = plan(job, rules, &encrypted_tracks, (&source, &choice, periods), env)?;
    report.warnings.extend(choice.warnings);
    report.key_rotation = KeyRotation::of(&plan);
    report.warnings.extend(plan.warnings.iter().cloned());
    names::name_tracks(job, &plan, &mut tracks, &mut texts)?;
    let manifest_names = names::manifests(job, &tracks)?;
    let files_of = (&boundaries, rules.layout);
    let others = (&tracks[..], &texts[..], thumbnails.as_ref());
    names::check(job, (&manifest_names, &rules.manifests), others, files_of)?;
    report.clear_tracks = clear_tracks(&tracks, &texts, thumbnails.as_ref())?;
    say_left_clear(job, rules.layout, &tracks, &mut report.clear_tracks);
    (env.observe)(Event::Step("encrypting"));
    (env.observe)(Event::Total(files.iter().map(|file| file.source.len()).sum()));
    let mut written = Vec::new();
    for track in tracks {
        let place = format!("{}, track {}", track.file.name, track.media.track.track_id);
        let files = write_track(&track, rules, &plan, (&boundaries, start), env);
        let WrittenFiles { files, segments, outputs } =
            files.map_err(|error| error.for_file(&track.file.name).at(place))?;
        plan.check_ivs()?;
        report.outputs.extend(outputs);
        if let Some(id) = track.encrypted_track {
            let mut entry = facts(&track, &encrypted_tracks)?.with_keys(&plan, id)?;
            let protected =
                || segments.iter().filter(|segment| segment.segment_key != Some(SegmentKey::Clear));
            entry.samples = protected().map(|segment| segment.samples).sum();
            entry.bytes = protected().map(|segment| segment.bytes).sum();
            entry.protected = protected().map(|segment| segment.protected).sum();
            entry.clear = clear_stretches(&track, &segments, start)?;
            entry.check()?;
            report.tracks.push(entry);
        }
        written.push(WrittenTrack { track, segments, files });
    }
    (env.observe)(Event::Step("writing manifests"));
    texts.iter_mut().for_each(|text| text.begin_at(start));
    let names = (&manifest_names, (&boundaries, start));
    manifests::write((&written, &texts, thumbnails.as_ref()), names, rules, &plan, env, &mut report)?;
    Ok(report)
}

/// When a track that gets a key is clear, as manifests give its segments times.
fn clear_stretches(
    track: &OutputTrack<'_>,
    segments: &[WrittenSegment],
    start: Start,
) -> Result<Vec<(f64, f64)>> {
    let times = presented(&track.edits, segments).map_err(|error| error.at(track.id))?;
    let clear = segments.iter().zip(times);
    let clear = clear.filter(|(segment, _)| segment.segment_key == Some(SegmentKey::Clear));
    let second = |time| ladder::seconds(track, time, start);
    let stretch = |(_, Presented { start, duration, .. }): (_, Presented)| {
        (second(start), second(start.saturating_add(duration)))
    };
    Ok(joined(clear.map(stretch).collect()))
}

/// What the report says of a track that gets a key.
fn facts(track: &OutputTrack<'_>, encrypted_tracks: &[EncryptedTrack]) -> Result<TrackReport> {
    let encrypted_track =
        encrypted_tracks.iter().find(|encrypted_track| track.encrypted_track == Some(encrypted_track.id));
    let encrypted_track =
        encrypted_track.ok_or_else(|| Error::internal(format!("nothing is known of track {}", track.id)))?;
    track_facts(encrypted_track, track.media, &track.file.name)
}

/// What a job on MP4 files would protect.
pub(in crate::job) fn outline<'a>(
    job: &Job,
    rules: &Rules,
    open_input: &OpenInput<'_>,
    (keys, http): (&'a dyn KeyServer, &dyn Http),
) -> Result<Outline<'a>> {
    let (texts, inputs) = text::split(job, open_input)?;
    let files: Vec<_> = inputs.iter().map(|input| open(input, job, open_input)).collect::<Result<_>>()?;
    ladder::check_files(&files, job.trick_play)?;
    let mut thumbnails = ThumbnailTrack::open(job.thumbnails.as_ref(), open_input)?;
    let mut warnings = Vec::new();
    let (mut tracks, mut encrypted_tracks) = output_tracks(&files, (rules.keys, job), &mut warnings)?;
    let texts = text_tracks(&mut tracks, texts, (job, rules))?;
    names::check_segments(job, rules, &texts)?;
    warnings.extend(texts.iter().filter_map(text::TextTrack::empty));
    warnings.extend(not_carried(&files, &tracks)?);
    let source = source(job, rules, (keys, http), &encrypted_tracks, None)?;
    let rules = &rules.timed(&source, lasts(&tracks, &source));
    let Cut { boundaries, start, periods, choice } =
        Cut::of(job, rules, &source, &tracks, &mut encrypted_tracks)?;
    warnings.extend(ladder::warnings(&tracks, &boundaries, start)?);
    warnings.extend(thumbnails.iter_mut().flat_map(|images| images.fit(&tracks, start)));
    let protected = tracks.iter().filter(|track| track.encrypted_track.is_some());
    let facts = protected.map(|track| facts(track, &encrypted_tracks));
    let facts = facts.collect::<Result<_>>()?;
    let clear_tracks = clear_tracks(&tracks, &texts, thumbnails.as_ref())?;
    let rotates = rules.schedule.rotates();
    Ok(Outline { tracks: facts, clear_tracks, encrypted_tracks, source, choice, periods, rotates, warnings })
}

/// What stays clear.
fn clear_tracks(
    tracks: &[OutputTrack<'_>],
    texts: &[text::TextTrack],
    thumbnails: Option<&ThumbnailTrack>,
) -> Result<Vec<ClearTrack>> {
    let clear = tracks.iter().filter(|track| track.encrypted_track.is_none());
    let mut all = clear.map(clear_track).collect::<Result<Vec<_>>>()?;
    all.extend(texts.iter().filter_map(text::TextTrack::outline));
    all.extend(thumbnails.and_then(ThumbnailTrack::outline));
    Ok(all)
}

/// What `verify` must be told: the files of tracks that `--track` leaves clear.
fn say_left_clear(job: &Job, layout: Layout, tracks: &[OutputTrack<'_>], clear: &mut [ClearTrack]) {
    for entry in clear {
        let is_asked = job.tracks.iter().any(|facts| facts.clear && facts.id == entry.id);
        let track = tracks.iter().find(|track| is_asked && track.id.to_string() == entry.id);
        entry.left_clear = track.map(|track| match layout {
            Layout::Segments => track.names.init(),
            Layout::SingleFile => track.names.file("mp4"),
        });
    }
}

fn clear_track(track: &OutputTrack<'_>) -> Result<ClearTrack> {
    let kind = match track.id.kind {
        TrackKind::Video => "video",
        TrackKind::Audio => "audio",
        TrackKind::Text => "text",
    };
    let (codec, source) = (track.media.rfc6381()?, track.file.name.clone());
    Ok(ClearTrack { id: track.id.to_string(), kind, codec, source, left_clear: None })
}

fn open(input: &str, job: &Job, open_input: &OpenInput<'_>) -> Result<Mp4File> {
    let (store, name) = open_input(input)?;
    let source = store.open(&name)?;
    let name = shown_input(input);
    let at = |error: Error| error.for_file(&name).at(&name);
    let Demuxed { source, left_out: others, clock } = demux::opened(source).map_err(at)?;
    let moov = moov(source.as_ref()).map_err(|error| other_format(source.as_ref(), error));
    let mut moov = moov.map_err(at)?;
    let unknown = if job.allow_full_sample { UnknownVideo::FullSample } else { UnknownVideo::Refused };
    let mut left_out = movie::ready(&name, source.as_ref(), &mut moov, unknown).map_err(at)?;
    left_out.extend(others.iter().map(|what| format!("{name}: {what}")));
    let mut tracks = media_tracks_with(&moov, unknown).map_err(at)?;
    let trexes = trexes(&moov).map_err(at)?;
    left_out.extend(key_frames::mend(&name, source.as_ref(), &mut moov, &trexes).map_err(at)?);
    for media in tracks.iter_mut().filter(|media| media.asks_for() > 0) {
        let mut samples = samples(source.as_ref(), &moov, media.track.track_id, &trexes).map_err(at)?;
        let Some(Ok(first)) = samples.next() else { continue };
        let size = usize::try_from(first.size).unwrap_or(usize::MAX).min(media.asks_for());
        let mut frame = vec![0; size];
        // What lies outside the file is found where samples are read.
        if source.read_at(first.position, &mut frame).is_ok() {
            media.take_in(&frame);
        }
    }
    Ok(Mp4File { name, source, moov, trexes, tracks, left_out, clock })
}

/// What is wrong with a file that was to be MP4: that it is of another format, if it can be told.
pub(in crate::job) fn other_format(source: &dyn env::Source, error: Error) -> Error {
    let found = match SegmentKind::of(source) {
        Ok(SegmentKind::Matroska) => {
            return Error::unsupported("Matroska or WebM, an MP4 file expected").hint("repackage it as MP4");
        }
        Ok(SegmentKind::Ts) => ("an MPEG transport stream", "give the playlist that names it".to_owned()),
        Ok(SegmentKind::PackedAudio(_) | SegmentKind::MpegAudio) => (
            "packed audio, frames without a container",
            format!(
                "put it into one, such as with {}; if a playlist names it, give that",
                remedy::copy("", "mp4")
            ),
        ),
        Ok(SegmentKind::Other(what)) if what == ELEMENTARY_VIDEO => (
            what,
            // Without times FFmpeg copies pictures in the order in which they are decoded.
            format!(
                "it says no times, so encode it at its frame rate into MP4, such as with {} for 25 pictures in a second",
                remedy::with("-r 25 ", "-c:v libx264 -pix_fmt yuv420p", "mp4")
            ),
        ),
        Ok(SegmentKind::WebVtt) => {
            ("WebVTT", "give it beside MP4 files, under a name that ends in .vtt".to_owned())
        }
        Ok(SegmentKind::Other(what)) => {
            (what, format!("put it into MP4, such as with {}", remedy::copy(" -c:a aac", "mp4")))
        }
        Ok(SegmentKind::Unknown) if BoxHeader::read(source, 0).is_err() => {
            return Error::input(
                "not media that is known: it begins as no MP4, QuickTime, MPEG-TS or WebM file does",
            )
            .hint("give such a file, a playlist, an MPD, or a folder that holds one");
        }
        _ => return error,
    };
    Error::input(format!("{}, an MP4 file expected", found.0)).hint(found.1)
}

/// The tracks in the order of their ids: pictures, audio, text. What no player shows is left out, and said.
fn output_tracks<'a>(
    files: &'a [Mp4File],
    (rule, job): (KeyRule, &Job),
    warnings: &mut Vec<String>,
) -> Result<(Vec<OutputTrack<'a>>, Vec<EncryptedTrack>)> {
    let mut tracks = Vec::new();
    let mut encrypted_tracks = Vec::new();
    warnings.extend(files.iter().flat_map(|file| file.left_out.iter().cloned()));
    warnings.extend(clocks::differing(files));
    let all = || files.iter().flat_map(|file| file.tracks.iter().map(move |media| (file, media)));
    for kind in [TrackKind::Video, TrackKind::Audio, TrackKind::Text] {
        for (file, media) in all().filter(|(_, media)| media.kind() == Some(kind)) {
            let track = &media.track;
            let at = |error: Error| error.at(file.name.clone());
            let place = |error: Error| at(error.at(format_args!("track {}", track.track_id)));
            let source_edits = EditList::of(&file.moov, track.track_id, track.timescale).map_err(place)?;
            let all = || file.samples(track.track_id).map_err(at);
            let edits = source_edits.written();
            let survey = Survey::of(source_edits.samples(all()?)).map_err(place)?;
            let Some(survey) = survey.filter(|survey| edits.presented(survey.end) > 0) else {
                let (name, id) = (&file.name, track.track_id);
                let why = if all()?.next().is_none() {
                    "it has no samples"
                } else {
                    "its edit list (elst) shows none of its samples"
                };
                warnings.push(format!("{name}: track {id} ({}) is left out: {why}", track.handler_type));
                continue;
            };
            if media.is_of_unknown_codec() {
                warnings.push(taken_whole(file, media));
            }
            let number = tracks.iter().filter(|track: &&OutputTrack<'_>| track.id.kind == kind).count() + 1;
            let id = TrackId::new(kind, number);
            let stated = OfMedia { language: track.language.as_deref(), roles: purpose::roles(media) };
            let described = Described::of(id, stated, &job.tracks)?;
            let left_clear = job.tracks.iter().any(|facts| facts.clear && facts.id == id.to_string());
            if left_clear {
                warnings.push(format!("{id} stays clear: --track says so"));
            }
            let is_protected = media.is_protectable() && rule.protects(kind) && !left_clear;
            tracks.push(OutputTrack {
                id,
                file,
                media,
                encrypted_track: is_protected.then_some(id),
                edits,
                source_edits,
                survey,
                key_frames_apart: job.trick_play && kind == TrackKind::Video,
                described,
                names: TrackNames::default(),
            });
            if is_protected {
                encrypted_tracks.push(encrypted_track(id, media, &Stated::default()));
            }
        }
    }
    warnings.extend(purpose::tell_apart(&mut tracks));
    Ok((tracks, encrypted_tracks))
}

/// What is not carried into segments although a player could use it.
fn not_carried(files: &[Mp4File], tracks: &[OutputTrack<'_>]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for track in tracks {
        let place = format!("{}: track {}", track.file.name, track.media.track.track_id);
        warnings.extend(edits::left_out(track)?.map(|what| format!("{place}: {what}")));
        warnings.extend(groups::said(track)?);
        let leading = track.survey.leading;
        if leading > 0 && track.id.kind == TrackKind::Video {
            warnings.push(format!(
                "{place}: {leading} samples come before the first key frame, players cannot show them"
            ));
        }
        let path: &[&[u8; 4]] = &[b"mdia", b"minf", b"stbl", b"subs"];
        if trak(&track.file.moov, track.media.track.track_id)?.find(path).is_some() {
            warnings.push(format!("{place}: the table of subsamples (subs) is left out"));
        }
    }
    for file in files {
        warnings.extend(
            wrong_boxes::said(&file.name, file.source.as_ref()).map_err(|error| error.at(&file.name))?,
        );
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

fn write_track(
    track: &OutputTrack<'_>,
    rules: &Rules,
    plan: &Plan,
    (boundaries, start): (&Boundaries, Start),
    env: &Env<'_>,
) -> Result<WrittenFiles> {
    let file = track.file;
    let (protected, pssh) = match track.encrypted_track {
        Some(id) => {
            let mut protected = ProtectedTrack::planned(track.media, plan, id)?;
            protected.start = start.ticks(track.media.track.timescale);
            (Some(protected), plan.pssh(Period::FIRST, &[id])?)
        }
        None => (None, Vec::new()),
    };
    let cmaf = Cmaf::new(file.source.as_ref(), &file.moov, track.media, protected.as_ref())?;
    let init = cmaf.init(&pssh)?;
    let segments = || track.segments(boundaries);
    match rules.layout {
        Layout::Segments => write_segments(&track.names, &cmaf, &init, segments()?, env),
        Layout::SingleFile => {
            let count = segments()?.try_fold(0, |count, segment| segment.map(|_| count + 1))?;
            write_single_file(&track.names, &cmaf, &init, count, segments()?, env)
        }
    }
}
