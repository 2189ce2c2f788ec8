//! Text beside the video: WebVTT segments for HLS, a file for DASH — RFC 8216bis §3.1.4, ISO/IEC 23009-1 §5.3.5.

use crate::base::{Error, Result, is_common_language, language_tag, shown_input};
use crate::codec::{self, TrackKind};
use crate::dash::ContentType;
use crate::dash::write::{NewAdaptationSet, NewAddressing, NewRepresentation};
use crate::drm::ManifestKind;
use crate::hls::media::{self, Resource};
use crate::package::{Boundaries, TrackId};
use crate::presentation::read_whole;
use crate::subtitles::{Format, MAX_TEXT_BYTES, Subtitles, TextSample, timed_text, webvtt_samples};

use super::OutputTrack;
use super::cut::Start;
use super::described::{Described, OfMedia, choose_default};
use super::names::{TrackNames, reference};
use crate::job::env::{Env, OpenInput};
use crate::job::folder::write_manifest;
use crate::job::plan::ClearTrack;
use crate::job::report::Report;
use crate::job::rules::{Job, Rules};
use crate::job::track_facts;

/// Ticks in a second of the times of WebVTT segments: those of `MPEGTS`.
const TIMESCALE: u32 = 90_000;
const WEBVTT: (&str, &str) = ("text/vtt", "vtt");
const TTML: (&str, &str) = ("application/ttml+xml", "ttml");
/// How long the last sample of timed text is shown that states no duration, in milliseconds.
const LAST_SAMPLE: u64 = 10_000;

/// A file of text.
pub(in crate::job) struct TextFile {
    name: String,
    bytes: Vec<u8>,
    format: Format,
    subtitles: Subtitles,
}

/// The inputs that are text, read; and those that are not.
pub(in crate::job) fn split<'a>(
    job: &'a Job,
    open_input: &OpenInput<'_>,
) -> Result<(Vec<TextFile>, Vec<&'a String>)> {
    let (mut texts, mut others) = (Vec::new(), Vec::new());
    for input in &job.inputs {
        let name = shown_input(input);
        let Some(format) = Format::of_name(&name) else {
            others.push(input);
            continue;
        };
        let read = || -> Result<_> {
            let (store, file) = open_input(input)?;
            let bytes = read_whole(store.open(&file)?.as_ref(), MAX_TEXT_BYTES)?;
            Ok((Subtitles::read(format, &bytes)?, bytes))
        };
        let (subtitles, bytes) = read().map_err(|error| error.at(&name))?;
        texts.push(TextFile { name, bytes, format, subtitles });
    }
    Ok((texts, others))
}

impl TextFile {
    /// The language that the file states, or else its name: `film.en.vtt`, `de.srt`.
    fn language(&self) -> Option<String> {
        let of_name = || {
            let name = self.name.rsplit(['/', '\\']).next()?;
            let stem = name.rsplit_once('.')?.0;
            let tag = language_tag(stem.rsplit('.').next()?)?;
            is_common_language(tag.split('-').next()?).then_some(tag)
        };
        self.subtitles.language.clone().or_else(of_name)
    }
}

/// Text that is written as it is, beside the segments of everything else.
pub(in crate::job) struct TextTrack {
    pub(in crate::job) id: TrackId,
    pub(in crate::job) described: Described,
    name: String,
    subtitles: Subtitles,
    /// Media type, extension and bytes of the file for DASH; `None` when MP4 segments serve there.
    sidecar: Option<(&'static str, &'static str, Vec<u8>)>,
    pub(in crate::job) names: TrackNames,
    /// Whether its times are those of the media, and not from the begin of the presentation.
    is_media_time: bool,
}

/// The tracks of text: those of files, and those of MP4 files that players of MP4 segments do not show. Those are taken out
/// of `tracks` unless players of DASH know them.
pub(in crate::job) fn text_tracks(
    tracks: &mut Vec<OutputTrack<'_>>,
    files: Vec<TextFile>,
    (job, rules): (&Job, &Rules),
) -> Result<Vec<TextTrack>> {
    let mut texts = Vec::new();
    let inside = tracks.iter().filter(|track| track.id.kind == TrackKind::Text).count();
    for (number, file) in (inside + 1..).zip(files) {
        let id = TrackId::new(TrackKind::Text, number);
        let described = Described::of(
            id,
            OfMedia { language: file.language().as_deref(), roles: Vec::new() },
            &job.tracks,
        )?;
        texts.push(TextTrack::of_file(id, described, file));
    }
    let ids = tracks.iter().map(|track| track.id).chain(texts.iter().map(|text| text.id));
    track_facts::check(&job.tracks, &ids.map(|id| id.to_string()).collect::<Vec<_>>())?;
    let mut described = |kind| {
        let of_kind =
            tracks.iter_mut().filter(|track| track.id.kind == kind).map(|track| &mut track.described);
        let of_files = texts.iter_mut().filter(|text| text.id.kind == kind).map(|text| &mut text.described);
        choose_default(kind, &mut of_kind.chain(of_files).collect::<Vec<_>>())
    };
    described(TrackKind::Audio)?;
    described(TrackKind::Text)?;
    let mut inside = Vec::new();
    for track in tracks.iter() {
        inside.extend(TextTrack::of_mp4(track).map_err(|error| error.at(track.file.name.clone()))?);
    }
    let has_dash = rules.manifests.contains(&ManifestKind::Dash);
    tracks.retain(|track| {
        let text = inside.iter().find(|text| text.id == track.id);
        text.is_none_or(|text| text.sidecar.is_none() && has_dash)
    });
    inside.extend(texts);
    Ok(inside)
}

impl TextTrack {
    fn of_file(id: TrackId, described: Described, file: TextFile) -> Self {
        let TextFile { name, bytes, format, subtitles } = file;
        let sidecar = match format {
            Format::Ttml => (TTML.0, TTML.1, bytes),
            // As it came, unless it came in another encoding.
            Format::WebVtt if std::str::from_utf8(&bytes).is_ok() => (WEBVTT.0, WEBVTT.1, bytes),
            Format::WebVtt | Format::SubRip => (WEBVTT.0, WEBVTT.1, subtitles.to_webvtt().into_bytes()),
        };
        Self {
            id,
            described,
            name,
            subtitles,
            sidecar: Some(sidecar),
            names: TrackNames::default(),
            is_media_time: false,
        }
    }

    /// The text of an MP4 track that HLS has as WebVTT.
    fn of_mp4(track: &OutputTrack<'_>) -> Result<Option<Self>> {
        let Some(codec) = track.media.codec.filter(|_| track.id.kind == TrackKind::Text) else {
            return Ok(None);
        };
        let (is_webvtt, is_timed_text) = (codec::is_webvtt(codec), codec::is_timed_text(codec));
        if !is_webvtt && !is_timed_text {
            return Ok(None);
        }
        if track.survey.bytes > MAX_TEXT_BYTES {
            return Err(Error::unsupported(format!(
                "{} bytes of text, at most {MAX_TEXT_BYTES} are read",
                track.survey.bytes
            )));
        }
        let samples = text_samples(track)?.into_iter().map(Ok);
        let (subtitles, sidecar) = if is_webvtt {
            let fields = track.media.track.sample_entry()?.fields.get(8..).unwrap_or_default();
            (webvtt_samples(fields, samples)?, None)
        } else {
            let subtitles = timed_text(samples)?;
            let sidecar = (WEBVTT.0, WEBVTT.1, subtitles.to_webvtt().into_bytes());
            (subtitles, Some(sidecar))
        };
        let (described, name) = (track.described.clone(), track.file.name.clone());
        Ok(Some(Self {
            id: track.id,
            described,
            name,
            subtitles,
            sidecar,
            names: TrackNames::default(),
            is_media_time: true,
        }))
    }

    /// What `plan` says of it.
    pub(in crate::job) fn outline(&self) -> Option<ClearTrack> {
        let (codec, ..) = self.sidecar.as_ref()?;
        Some(ClearTrack {
            id: self.id.to_string(),
            kind: "text",
            codec: (*codec).to_owned(),
            source: self.name.clone(),
            left_clear: None,
        })
    }

    /// The input that it is from.
    pub(in crate::job) fn name(&self) -> &str {
        &self.name
    }

    /// The files of it: that for DASH, and the first of those for HLS.
    pub(in crate::job) fn files(&self) -> impl Iterator<Item = String> {
        let sidecar = self.sidecar.as_ref().map(|(_, ending, _)| self.names.file(ending));
        sidecar.into_iter().chain([self.names.segment(0, "vtt")])
    }

    /// Cue times count from the begin of the presentation.
    pub(in crate::job) fn begin_at(&mut self, start: Start) {
        if !std::mem::take(&mut self.is_media_time) {
            return;
        }
        let start = start.ticks(1000);
        for cue in &mut self.subtitles.cues {
            (cue.start, cue.end) = (cue.start.saturating_sub(start), cue.end.saturating_sub(start));
        }
        self.subtitles.cues.retain(|cue| cue.start < cue.end);
        if let Some((.., bytes)) = &mut self.sidecar {
            *bytes = self.subtitles.to_webvtt().into_bytes();
        }
    }

    /// Writes the WebVTT segments and their playlist; the presentation lasts for `seconds`.
    pub(in crate::job) fn write_hls(
        &self,
        (boundaries, start, seconds): (&Boundaries, Start, f64),
        env: &Env<'_>,
        report: &mut Report,
    ) -> Result<()> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and saturating"
        )]
        let end = (seconds * f64::from(TIMESCALE)).round() as u64;
        let begin = start.ticks(TIMESCALE);
        let cuts = boundaries.cuts((begin, begin.saturating_add(end)), TIMESCALE);
        let starts: Vec<u64> = cuts.iter().map(|cut| (cut - begin) / u64::from(TIMESCALE / 1000)).collect();
        let last = end / u64::from(TIMESCALE / 1000);
        let texts =
            self.subtitles.segments(&starts, last, begin).map_err(|error| error.at(self.name.clone()))?;
        let ends = cuts.iter().skip(1).copied().chain([begin.saturating_add(end)]);
        let mut segments = Vec::new();
        let playlist_name = self.names.playlist();
        for ((number, text), (cut, end)) in (0..).zip(texts).zip(cuts.iter().zip(ends)) {
            let name = self.names.segment(number, "vtt");
            report.outputs.push(write_manifest(env, &name, text.as_bytes())?);
            #[expect(clippy::cast_precision_loss, reason = "durations of less than 2^53 ticks")]
            let duration = end.saturating_sub(*cut) as f64 / f64::from(TIMESCALE);
            segments.push((Resource { uri: reference(&playlist_name, &name), byte_range: None }, duration));
        }
        let playlist =
            media::MediaPlaylist { segments, independent_segments: true, ..media::MediaPlaylist::default() };
        let name = playlist_name;
        report.outputs.push(write_manifest(env, &name, &media::write(&playlist)?.to_bytes())?);
        report.manifests.push(name);
        Ok(())
    }

    /// Writes the file for DASH, and gives its AdaptationSet; `seconds` is how long the presentation lasts.
    pub(in crate::job) fn write_dash(
        &self,
        (mpd, seconds): (&str, f64),
        env: &Env<'_>,
        report: &mut Report,
    ) -> Result<Option<NewAdaptationSet>> {
        let Some((mime_type, extension, bytes)) = &self.sidecar else { return Ok(None) };
        let name = self.names.file(extension);
        report.outputs.push(write_manifest(env, &name, bytes)?);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let bandwidth = (bytes.len() as f64 * 8.0 / seconds.max(1.0)).ceil().max(1.0) as u64;
        let described = &self.described;
        Ok(Some(NewAdaptationSet {
            trick_mode_of: None,
            content_type: ContentType::Text,
            mime_type: (*mime_type).to_owned(),
            lang: described.lang.clone(),
            label: described.label.clone(),
            purposes: described.purposes(),
            roles: described.roles.clone(),
            representations: vec![NewRepresentation {
                id: self.id.to_string(),
                bandwidth: described.bandwidth.unwrap_or(bandwidth),
                addressing: NewAddressing::Sidecar { url: reference(mpd, &name) },
                ..NewRepresentation::default()
            }],
        }))
    }

    /// What should be said of cues that begin when everything else is over.
    pub(in crate::job) fn too_late(&self, seconds: f64) -> Option<String> {
        #[expect(clippy::cast_precision_loss, reason = "times of less than 2^53 milliseconds")]
        let late = self.subtitles.cues.iter().filter(|cue| cue.start as f64 >= seconds * 1000.0).count();
        (late > 0).then(|| {
            format!(
                "{}: {late} of {} cues begin after {seconds:.3} s, when the presentation ends",
                self.name,
                self.subtitles.cues.len()
            )
        })
    }

    /// What should be said of text in which there is nothing that WebVTT has.
    pub(in crate::job) fn empty(&self) -> Option<String> {
        self.subtitles
            .cues
            .is_empty()
            .then(|| format!("{}: no cue with text, {} shows nothing in HLS", self.name, self.id))
    }
}

/// The samples of a track and when they are presented.
fn text_samples(track: &OutputTrack<'_>) -> Result<Vec<TextSample>> {
    let timescale = i128::from(track.media.track.timescale.max(1));
    let milliseconds = |ticks: i128| u64::try_from(ticks.max(0) * 1000 / timescale).unwrap_or(u64::MAX);
    let mut all: Vec<TextSample> = Vec::new();
    for sample in track.samples()? {
        let sample = sample?;
        if track.edits.is_before(&sample) {
            continue;
        }
        let begin = track.edits.presented(sample.composition_time());
        let (start, end) = (milliseconds(begin), milliseconds(begin + i128::from(sample.duration)));
        // What states no duration is shown until the next one begins.
        if let Some(last) = all.last_mut().filter(|last| last.end <= last.start) {
            last.end = start;
        }
        // All of them together have no more than MAX_TEXT_BYTES.
        let mut data = vec![0; sample.size as usize];
        track.file.read_at(sample.position, &mut data)?;
        all.push(TextSample { start, end, data });
    }
    if let Some(last) = all.last_mut().filter(|last| last.end <= last.start) {
        last.end = last.start + LAST_SAMPLE;
    }
    Ok(all)
}
