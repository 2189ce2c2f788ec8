//! Manifests of the CMAF tracks made from MP4 files — RFC 8216bis and ISO/IEC 23009-1 over the same segments.

use std::time::Duration;

use crate::base::{Error, Result};
use crate::codec::{self, TrackKind};
use crate::dash::write::{NewAdaptationSet, NewAddressing, NewMpd, NewRepresentation};
use crate::dash::{ContentType, MpdPath, Protected, write};
use crate::drm::ManifestKind;
use crate::hls::media::Resource;
use crate::hls::multivariant::{Images, Limits, MultivariantPlaylist, NewRendition, RenditionType, Variant};
use crate::hls::{Playlist, media, multivariant};
use crate::package::{Boundaries, Plan, SegmentKey, TrackId, WrittenSegment};

use super::WrittenTrack;
use super::audio_groups::{AudioGroup, audio_groups, channels, first_of, has_choice};
use super::cut::Start;
use super::described::Described;
use super::files::TrackFiles;
use super::names::{ManifestNames, reference};
use super::text::TextTrack;
use super::thumbnails::ThumbnailTrack;
use super::timed::Timed;
use super::video_facts;
use crate::job::env::{Env, Event};
use crate::job::folder::write_manifest;
use crate::job::package::dash::content_protection;
use crate::job::package::hls::{add_new, key_lines, key_runs, session_key_lines};
use crate::job::report::Report;
use crate::job::rules::Rules;

/// The group of all subtitles.
const SUBTITLES: &str = "subtitles";

/// Writes the manifests that were asked for.
pub(in crate::job) fn write(
    (tracks, texts, thumbnails): (&[WrittenTrack<'_>], &[TextTrack], Option<&ThumbnailTrack>),
    (names, (boundaries, start)): (&ManifestNames, (&Boundaries, Start)),
    rules: &Rules,
    plan: &Plan,
    env: &Env<'_>,
    report: &mut Report,
) -> Result<()> {
    let tracks: Vec<_> = tracks.iter().map(|written| Timed::new(written, start)).collect::<Result<_>>()?;
    let lasts = tracks.iter().map(|written| written.seconds(written.end())).fold(0.0, f64::max);
    for warning in texts.iter().filter_map(|text| text.too_late(lasts)) {
        (env.observe)(Event::Warning(&warning));
        report.warnings.push(warning);
    }
    if let Some(thumbnails) = thumbnails {
        thumbnails.write(env, report)?;
    }
    if rules.manifests.contains(&ManifestKind::Hls) {
        for text in texts {
            text.write_hls((boundaries, start, lasts), env, report)?;
        }
        let images = thumbnails.map(|images| images.write_hls((&names.hls, lasts), env, report));
        let images = images.transpose()?.into_iter().collect();
        write_hls((&tracks, texts, images), (&names.hls, plan), env, report)?;
    }
    if rules.manifests.contains(&ManifestKind::Dash) {
        let mut sidecars = Vec::new();
        for text in texts {
            sidecars.extend(text.write_dash((&names.dash, lasts), env, report)?);
        }
        sidecars.extend(thumbnails.map(|images| images.adaptation_set((&names.dash, lasts))));
        let output = write_manifest(env, &names.dash, &mpd(&tracks, (&names.dash, sidecars), plan)?)?;
        report.manifests.push(names.dash.clone());
        report.outputs.push(output);
    }
    Ok(())
}

impl Timed<'_> {
    /// The init segment and the segments as this manifest names them.
    pub(in crate::job) fn resources(&self, manifest: &str) -> (Resource, Vec<Resource>) {
        let names = &self.track.names;
        match self.files {
            TrackFiles::Segments => {
                let resource = |name: String| Resource { uri: reference(manifest, &name), byte_range: None };
                let name = |segment: &WrittenSegment| names.segment(segment.number.into(), "m4s");
                let segments = self.segments.iter().map(|segment| resource(name(segment)));
                (resource(names.init()), segments.collect())
            }
            TrackFiles::SingleFile { name, initialization, index } => {
                let uri = reference(manifest, name);
                let resource = |range| Resource { uri: uri.clone(), byte_range: Some(range) };
                let mut position = index.end;
                let segments = self.segments.iter().map(|segment| {
                    let start = position;
                    position += segment.bytes;
                    resource(start..position)
                });
                (resource(initialization.clone()), segments.collect())
            }
        }
    }

    /// The same for an MPD.
    fn addressing(&self, mpd: &str) -> NewAddressing {
        match self.files {
            TrackFiles::Segments => {
                let (media, start_number) = self.track.names.template(mpd, "m4s");
                let initialization = reference(mpd, &self.track.names.init());
                NewAddressing::Template { initialization, media, start_number }
            }
            TrackFiles::SingleFile { name, initialization, index } => {
                let types = || self.segments.iter().map(|segment| segment.sap_type);
                let all_start_with_sap = types().all(|sap_type| sap_type != 0);
                NewAddressing::Base {
                    url: reference(mpd, name),
                    initialization: initialization.clone(),
                    index: index.clone(),
                    sap_type: types().max().filter(|_| all_start_with_sap).unwrap_or(0),
                }
            }
        }
    }

    fn is_hls_subtitles(&self) -> bool {
        self.track.media.codec.is_some_and(codec::is_hls_subtitles)
    }

    /// Puts each segment of a new playlist under its key.
    pub(in crate::job) fn signal_keys(
        &self,
        playlist: &mut Playlist,
        plan: &Plan,
        (id, segment_keys): (TrackId, impl Iterator<Item = Option<SegmentKey>>),
    ) -> Result<()> {
        let listed = media::segments(playlist)?;
        let segment_keys = listed.iter().zip(segment_keys);
        let segment_keys =
            segment_keys.filter_map(|(listed, segment_key)| Some((listed.line, segment_key?))).collect();
        let runs = key_runs(segment_keys, |period| Ok(key_lines(plan.key_in(period, id)?)))?;
        if runs.iter().all(|(_, lines)| lines.is_empty()) {
            return Ok(());
        }
        media::protect_runs(playlist, &runs, plan.schedule.returns_to_clear())
    }
}

/// The media playlists, then the multivariant one.
fn write_hls(
    (tracks, texts, images): (&[Timed<'_>], &[TextTrack], Vec<Images>),
    (multivariant, plan): (&str, &Plan),
    env: &Env<'_>,
    report: &mut Report,
) -> Result<()> {
    let mut session_keys = Vec::new();
    for written in tracks {
        let id = &written.track.id;
        if texts.iter().any(|text| text.id == *id) {
            continue;
        }
        if written.track.id.kind == TrackKind::Text && !written.is_hls_subtitles() {
            let warning = format!("{id}: text of this format is in the MPD only, HLS has no place for it");
            (env.observe)(Event::Warning(&warning));
            report.warnings.push(warning);
            continue;
        }
        // Of all its keys the first that encrypts something: a clear stretch may be longer than the first period.
        let first = written.segments.iter().filter_map(|segment| segment.segment_key?.period()).min();
        if let Some((encrypted_track, period)) = written.track.encrypted_track.zip(first) {
            add_new(&mut session_keys, session_key_lines(plan.key_in(period, encrypted_track)?));
        }
        let name = written.track.names.playlist();
        let (map, segments) = written.resources(&name);
        let durations = written.listed_durations().map(|duration| written.seconds(duration));
        let mut playlist = media::write(&media::MediaPlaylist {
            map: Some(map),
            segments: segments.into_iter().zip(durations).collect(),
            independent_segments: written.are_independent(),
            ..media::MediaPlaylist::default()
        })?;
        if let Some(encrypted_track) = written.track.encrypted_track {
            let keys = written.segments.iter().map(|segment| segment.segment_key);
            written.signal_keys(&mut playlist, plan, (encrypted_track, keys))?;
        }
        if written.has_pictures() {
            let name = written.i_frames_name();
            let playlist = written.i_frames(plan, written.track.encrypted_track)?;
            report.outputs.push(write_manifest(env, &name, &playlist.to_bytes())?);
            report.manifests.push(name);
        }
        report.outputs.push(write_manifest(env, &name, &playlist.to_bytes())?);
        report.manifests.push(name);
    }
    let mut playlist = multivariant_playlist((tracks, texts), session_keys)?;
    playlist.images = images;
    let of_tracks = tracks.iter().map(|written| (written.track.id, &written.track.names));
    let names: Vec<_> = of_tracks.chain(texts.iter().map(|text| (text.id, &text.names))).collect();
    let renditions = playlist.renditions.iter_mut().map(|rendition| &mut rendition.uri);
    for uri in renditions.chain(playlist.variants.iter_mut().map(|variant| &mut variant.uri)) {
        let track = names.iter().find(|(id, _)| *uri == by_id(*id));
        let (_, names) = track.ok_or_else(|| Error::internal(format!("no track is that of {uri}")))?;
        *uri = reference(multivariant, &names.playlist());
    }
    let pictures = tracks.iter().filter(|written| written.has_pictures());
    for (i_frames, written) in playlist.i_frames.iter_mut().zip(pictures) {
        i_frames.uri = reference(multivariant, &written.i_frames_name());
    }
    let mut playlist = multivariant::write(&playlist)?;
    let limits = |uri: &str| {
        let is_of = |written: &&Timed<'_>| {
            let names = [written.track.names.playlist(), written.i_frames_name()];
            names.iter().any(|name| uri == reference(multivariant, name))
        };
        let written = tracks.iter().find(is_of);
        let written = written.ok_or_else(|| Error::internal(format!("no track is that of {uri}")))?;
        let encrypted_track = written.track.encrypted_track;
        encrypted_track
            .map_or_else(|| Ok(Limits::default()), |encrypted_track| Ok(plan.key(encrypted_track)?.limits()))
    };
    multivariant::limit(&mut playlist, &limits)?;
    report.outputs.push(write_manifest(env, multivariant, &playlist.to_bytes())?);
    report.manifests.insert(0, multivariant.to_owned());
    Ok(())
}

/// What stands for the playlist of a track until all have their names.
fn by_id(id: TrackId) -> String {
    format!("{id}.m3u8")
}

/// Text that HLS has: which track, what is said of it, and its codec when that is one of MP4.
type Subtitles<'a> = (TrackId, &'a Described, Option<String>);

fn subtitles<'a>(tracks: &'a [Timed<'_>], texts: &'a [TextTrack]) -> Result<Vec<Subtitles<'a>>> {
    let mut all: Vec<_> = texts.iter().map(|text| (text.id, &text.described, None)).collect();
    for written in tracks.iter().filter(|written| written.is_hls_subtitles()) {
        let track = written.track;
        all.push((track.id, &track.described, Some(track.media.rfc6381()?)));
    }
    all.sort_by_key(|(id, ..)| *id);
    Ok(all)
}

/// The group that text is in.
fn subtitle_group(described: &Described) -> &str {
    described.group.as_deref().unwrap_or(SUBTITLES)
}

fn multivariant_playlist(
    (tracks, texts): (&[Timed<'_>], &[TextTrack]),
    session_key_lines: Vec<String>,
) -> Result<MultivariantPlaylist> {
    let groups = audio_groups(tracks)?;
    let mut playlist = MultivariantPlaylist {
        session_key_lines,
        renditions: Vec::new(),
        variants: Vec::new(),
        independent_segments: tracks.iter().all(Timed::are_independent),
        ..MultivariantPlaylist::default()
    };
    let has_video = tracks.iter().any(|written| written.track.id.kind == TrackKind::Video);
    // Audio alone of which there is one choice is variants of each other.
    let groups: Vec<_> = if has_video || has_choice(tracks) { groups.iter().collect() } else { Vec::new() };
    for group in &groups {
        let default = group.default();
        for (index, written) in group.tracks.iter().enumerate() {
            let mut rendition =
                rendition(written.track.id, &written.track.described, (RenditionType::Audio, &group.id));
            rendition.default = index == default;
            rendition.name = written.track.described.name(first_of(&groups, written));
            rendition.channels = channels(written.track.media);
            playlist.renditions.push(rendition);
        }
    }
    let subtitles = subtitles(tracks, texts)?;
    let mut subtitle_groups: Vec<&str> = Vec::new();
    for (id, described, _) in &subtitles {
        let group = subtitle_group(described);
        let mut rendition = rendition(*id, described, (RenditionType::Subtitles, group));
        let is_first = !playlist.renditions.iter().any(|other| {
            other.rendition_type == RenditionType::Subtitles && other.group_id == group && other.default
        });
        rendition.default = described.is_default && is_first;
        playlist.renditions.push(rendition);
        if !subtitle_groups.contains(&group) {
            subtitle_groups.push(group);
        }
    }
    make_names_unique(&mut playlist.renditions);
    let variants = if has_video { TrackKind::Video } else { TrackKind::Audio };
    for written in tracks.iter().filter(|written| written.track.id.kind == variants) {
        let of_variant = |group: &&&AudioGroup<'_, '_>| has_video || group.has_default(written);
        for audio in or_none(&groups).into_iter().filter(|group| group.as_ref().is_none_or(of_variant)) {
            for text in or_none(&subtitle_groups) {
                let is_of_group = |described: &Described| Some(&subtitle_group(described)) == text;
                let of_group = subtitles.iter().filter(|(_, described, _)| is_of_group(described));
                let codecs = of_group.filter_map(|(.., codec)| codec.as_ref());
                let variant = variant(written, audio.copied(), (text.copied(), codecs))?;
                playlist.variants.extend(video_facts::stereo(&variant, written.track.media));
                playlist.variants.push(variant);
            }
        }
    }
    for written in tracks.iter().filter(|written| written.has_pictures()) {
        let is_own = |variant: &&Variant| variant.uri == by_id(written.track.id);
        if let Some(video) = playlist.variants.iter().find(is_own) {
            let i_frames = written.i_frames_variant(video, written.track.media.rfc6381()?);
            playlist.i_frames.push(i_frames);
        }
    }
    Ok(playlist)
}

/// Each of them, or one time none.
fn or_none<T>(all: &[T]) -> Vec<Option<&T>> {
    if all.is_empty() { vec![None] } else { all.iter().map(Some).collect() }
}

/// Names are unique in a group: §4.4.6.1.1. One that is not is the track's id, which is that of its playlist.
fn make_names_unique(renditions: &mut [NewRendition]) {
    for index in 0..renditions.len() {
        let (before, rest) = renditions.split_at_mut(index);
        let Some(rendition) = rest.first_mut() else { continue };
        let is_taken = |other: &NewRendition| {
            (other.rendition_type, &other.group_id, &other.name)
                == (rendition.rendition_type, &rendition.group_id, &rendition.name)
        };
        if before.iter().any(is_taken) {
            rendition.name = rendition.uri.trim_end_matches(".m3u8").to_owned();
        }
    }
}

/// What says that there are objects beside the channels: ETSI TS 103 420 annex D.
fn joint_object_properties(objects: u8) -> Vec<(&'static str, String)> {
    vec![
        ("tag:dolby.com,2018:dash:EC3_ExtensionType:2018", "JOC".into()),
        ("tag:dolby.com,2018:dash:EC3_ExtensionComplexityIndex:2018", objects.to_string()),
    ]
}

fn rendition(
    id: TrackId,
    described: &Described,
    (rendition_type, group_id): (RenditionType, &str),
) -> NewRendition {
    NewRendition {
        rendition_type,
        group_id: group_id.into(),
        name: described.name(id),
        language: described.lang.clone(),
        default: false,
        forced: described.forced,
        characteristics: described.characteristics.clone(),
        channels: None,
        uri: by_id(id),
    }
}

fn variant<'a>(
    written: &Timed<'_>,
    group: Option<&'a AudioGroup<'_, '_>>,
    (text, text_codecs): (Option<&str>, impl Iterator<Item = &'a String>),
) -> Result<Variant> {
    let entry = written.track.media.track.sample_entry()?;
    let is_video = written.track.id.kind == TrackKind::Video;
    let audio = group.map_or(&[][..], |group| &group.tracks);
    let (pictures, ticks) = video_facts::nominal_frame_rate(written.frame_rate());
    let mut codecs = vec![written.track.media.rfc6381()?];
    for codec in group.into_iter().flat_map(|group| &group.codecs).chain(text_codecs) {
        if !codecs.contains(codec) {
            codecs.push(codec.clone());
        }
    }
    // Audio is one of its group itself.
    let with_audio = |rate: fn(&Timed<'_>) -> u64| {
        let audio = audio.iter().map(|track| rate(track)).max().unwrap_or(0);
        if is_video { rate(written).saturating_add(audio) } else { rate(written).max(audio) }
    };
    let mut variant = Variant {
        bandwidth: with_audio(|track| track.peak()),
        average_bandwidth: Some(with_audio(|track| track.average())),
        codecs: codecs.join(","),
        resolution: is_video.then(|| (u32::from(entry.width), u32::from(entry.height))),
        #[expect(clippy::cast_precision_loss, reason = "a frame rate")]
        frame_rate: is_video.then(|| pictures as f64 / ticks as f64),
        audio: group.map(|group| group.id.clone()),
        subtitles: text.map(str::to_owned),
        uri: by_id(written.track.id),
        ..Variant::default()
    };
    if is_video {
        video_facts::add_to_variant(&mut variant, written.track.media);
    }
    Ok(variant)
}

/// The MPD: one AdaptationSet for each kind, codec, channel layout, sampling frequency, dynamic range and choice of the user, and for what
/// stays clear; keys split them further.
fn mpd(
    tracks: &[Timed<'_>],
    (name, sidecars): (&str, Vec<NewAdaptationSet>),
    plan: &Plan,
) -> Result<Vec<u8>> {
    let mut sets: Vec<(String, NewAdaptationSet, Vec<&Timed<'_>>)> = Vec::new();
    for written in tracks {
        let codec = written.track.media.rfc6381()?;
        let described = &written.track.described;
        let is_audio = written.track.id.kind == TrackKind::Audio;
        // Players do not switch between kinds of AAC, from AAC to MP3, or to another sampling frequency.
        let family = if is_audio { codec.as_str() } else { codec.split('.').next().unwrap_or_default() };
        let sampling = written.track.media.sampling_frequency().filter(|_| is_audio);
        let choice = (&described.lang, &described.label, &described.roles, &described.characteristics);
        let layout = channels(written.track.media).filter(|_| is_audio);
        let range = video_facts::switching(written.track.media);
        let is_clear = written.track.encrypted_track.is_none();
        let key = format!(
            "{:?}/{family}/{sampling:?}/{choice:?}/{layout:?}/{range:?}/{is_clear}",
            written.track.id.kind
        );
        let representation = representation(written, codec, name)?;
        match sets.iter_mut().find(|(known, ..)| *known == key) {
            Some((_, set, members)) => {
                set.representations.push(representation);
                members.push(written);
            }
            None => sets.push((key, adaptation_set(written, representation), vec![written])),
        }
    }
    let mut trick_modes = Vec::new();
    for (main, (.., set, members)) in sets.iter().enumerate() {
        let members: Vec<_> = members.iter().copied().filter(|written| written.has_pictures()).collect();
        if !members.is_empty() {
            let of = |written: &&Timed<'_>| {
                let codecs = written.track.media.rfc6381()?;
                Ok(written.trick_mode(representation(written, codecs, name)?, name))
            };
            let representations = members.iter().map(of).collect::<Result<_>>()?;
            let set = NewAdaptationSet { representations, trick_mode_of: Some(main), ..set.clone() };
            trick_modes.push((String::new(), set, members));
        }
    }
    sets.extend(trick_modes);
    let mut segment_keys =
        tracks.iter().flat_map(|written| written.segments).filter_map(|segment| segment.segment_key);
    let rotates = segment_keys.any(SegmentKey::is_later);
    let mut protected = Vec::new();
    for (adaptation_set, (.., members)) in sets.iter().enumerate() {
        for (representation, written) in members.iter().enumerate() {
            let Some(encrypted_track) = written.track.encrypted_track else { continue };
            let key = plan.key(encrypted_track)?;
            protected.push(Protected {
                place: MpdPath { period: 0, adaptation_set, representation },
                kid: key.kid,
                descriptors: content_protection(plan, key, rotates)?,
            });
        }
    }
    let longest = |seconds: &dyn Fn(&Timed<'_>) -> f64| {
        Duration::from_secs_f64(tracks.iter().map(seconds).fold(0.0, f64::max))
    };
    let longest_segment = |written: &Timed<'_>| {
        written.seconds(written.presented.iter().map(|segment| segment.duration).max().unwrap_or(0))
    };
    let mut mpd = write::mpd(&NewMpd {
        duration: longest(&|written| written.seconds(written.end())),
        max_segment_duration: longest(&longest_segment),
        adaptation_sets: sets.into_iter().map(|(_, set, _)| set).chain(sidecars).collect(),
    });
    mpd.protect(&protected)?;
    Ok(mpd.to_bytes())
}

fn adaptation_set(written: &Timed<'_>, representation: NewRepresentation) -> NewAdaptationSet {
    let described = &written.track.described;
    let (content_type, mime_type) = match written.track.id.kind {
        TrackKind::Video => (ContentType::Video, "video/mp4"),
        TrackKind::Audio => (ContentType::Audio, "audio/mp4"),
        TrackKind::Text => (ContentType::Text, "application/mp4"),
    };
    NewAdaptationSet {
        content_type,
        mime_type: mime_type.into(),
        lang: described.lang.clone(),
        label: described.label.clone(),
        purposes: described.purposes(),
        roles: described.roles.clone(),
        trick_mode_of: None,
        representations: vec![representation],
    }
}

fn representation(written: &Timed<'_>, codecs: String, mpd: &str) -> Result<NewRepresentation> {
    let track = &written.track.media.track;
    let entry = track.sample_entry()?;
    let (is_video, is_audio) =
        (written.track.id.kind == TrackKind::Video, written.track.id.kind == TrackKind::Audio);
    let (pictures, ticks) = video_facts::nominal_frame_rate(written.frame_rate());
    let configuration = written.track.media.channel_configuration().filter(|_| is_audio);
    let objects = written.track.media.joint_objects().filter(|_| is_audio);
    let mut representation = NewRepresentation {
        id: written.track.id.to_string(),
        codecs,
        bandwidth: written.peak(),
        width: is_video.then_some(entry.width.into()),
        height: is_video.then_some(entry.height.into()),
        // Schema type FrameRateType: a number, or a fraction of whole numbers; a variable rate has none.
        frame_rate: (is_video && ticks <= 1001).then(|| match ticks {
            1 => pictures.to_string(),
            ticks => format!("{pictures}/{ticks}"),
        }),
        audio_sampling_rate: written.track.media.sampling_frequency().filter(|_| is_audio),
        channel_configuration: configuration,
        properties: objects.map(joint_object_properties).unwrap_or_default(),
        timescale: track.timescale,
        presentation_time_offset: written.start,
        addressing: written.addressing(mpd),
        timeline: written.presented.iter().map(|segment| (segment.start, segment.duration.max(1))).collect(),
        ..NewRepresentation::default()
    };
    if is_video {
        video_facts::add_to_representation(&mut representation, written.track.media);
    }
    Ok(representation)
}
