//! What manifests say of media is what its initialization segments say — RFC 8216bis §4.4.6.1, §4.4.6.2, ISO/IEC 23009-1
//! §5.3.7.

use crate::codec::{self, AudioInfo, Codec, VideoInfo, channels_of_descriptor};
use crate::hls::Attributes;
use crate::hls::multivariant::{Rendition, RenditionKind};
use crate::presentation::{MpdTrack, Role};

use super::info::PresentationInfo;
use super::{DashManifest, Mp4Playlist, Presentation};
use crate::verify::findings::Findings;
use crate::verify::fragmented::init::{Entry, InitTrack};

/// What a track says of itself.
struct Media {
    /// Its `codecs` parameter, when its configuration can be read.
    codecs: Option<String>,
    kind: [u8; 4],
    width: u64,
    height: u64,
    /// Width and height of a pixel that is not square.
    pixel: Option<(u32, u32)>,
    /// Whether pictures are shown turned by a quarter.
    is_turned: bool,
    channels: Option<u16>,
    /// The scale of objects beside the channels.
    objects: Option<u8>,
    sampling_frequency: Option<u32>,
    video: VideoInfo,
}

impl Media {
    fn of(track: &InitTrack) -> Option<Self> {
        let entry = track.entries.first()?;
        let codec = entry.codec?;
        let audio = audio(codec, entry);
        let video = codec::video(&entry.config());
        let stated = Some(entry.clear.channel_count).filter(|channels| *channels > 0);
        Some(Self {
            codecs: (codec.rfc6381)(&entry.config()).ok(),
            kind: track.handler_type.0,
            width: entry.clear.width.into(),
            height: entry.clear.height.into(),
            channels: audio.channels.or(stated),
            objects: audio.joint_objects,
            sampling_frequency: audio.sampling_frequency,
            pixel: video.oblong_pixel(),
            is_turned: track.is_turned,
            video,
        })
    }
}

fn audio(codec: &Codec, entry: &Entry) -> AudioInfo {
    (codec.audio)(&entry.config()).unwrap_or_default()
}

/// What the tracks of a rendition say, of which this file has the first segment.
fn media(facts: &PresentationInfo<'_>, rendition: usize, first: Option<&str>) -> Vec<Media> {
    let tracks = facts.inits.get(rendition).and_then(Option::as_ref).map(|found| &found.init.tracks);
    let fragment = first.and_then(|file| facts.file(file)?.fragments.first());
    let of = |track: &InitTrack| {
        let mut media = Media::of(track)?;
        let own = fragment.filter(|fragment| fragment.track_id == track.track_id);
        media.video.prefer(own.and_then(|fragment| fragment.preferred_transfer));
        Some(media)
    };
    tracks.into_iter().flatten().filter_map(of).collect()
}

/// Holds the tags that name playlists of fragmented MP4 to it.
pub(in crate::verify) fn check_playlists(
    presentation: &Presentation<'_>,
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) {
    let tracks = |playlist: &Mp4Playlist<'_>| -> Vec<Media> {
        let mut renditions: Vec<usize> = playlist.segments.iter().map(|(_, rendition)| *rendition).collect();
        renditions.sort_unstable();
        renditions.dedup();
        let first = |rendition| {
            let found = playlist.segments.iter().find(|(_, known)| *known == rendition);
            found.map(|(segment, _)| segment.file.as_str())
        };
        renditions.into_iter().flat_map(|rendition| media(facts, rendition, first(rendition))).collect()
    };
    let known: Vec<(&Mp4Playlist<'_>, Vec<Media>)> =
        presentation.playlists.iter().map(|playlist| (playlist, tracks(playlist))).collect();
    // Of streams without initialization segments it is not known here what they carry.
    let is_all = presentation.segments.is_empty();
    for (playlist, own) in &known {
        let average = average_of_playlist(playlist, facts);
        let segments =
            playlist.segments.iter().map(|(segment, rendition)| (segment.file.as_str(), *rendition));
        let rate = rate_of_frames(segments, facts);
        for tag in &playlist.media.named_by {
            let place =
                format!("{}: line {} of its multivariant playlist", playlist.media.name, tag.line + 1);
            channels(tag, own, &place, findings);
            if tag.kind == RenditionKind::Variant {
                variant(tag, own, (&known, is_all), (average, rate), &place, findings);
            }
        }
    }
}

fn channels(tag: &Rendition, own: &[Media], place: &str, findings: &mut Findings) {
    let Some(stated) = text(&tag.attributes, "CHANNELS") else { return };
    let number = stated.split('/').next().and_then(|number| number.parse::<u16>().ok());
    let audio: Vec<&Media> = own.iter().filter(|media| media.kind == *b"soun").collect();
    let fits = |media: &&Media| match media.objects {
        // Objects are counted where they are said.
        Some(objects) => number == Some(objects.into()) || number == media.channels,
        None => media.channels.is_none() || number == media.channels,
    };
    let holds = audio.is_empty() || audio.iter().any(fits);
    let expected: Vec<String> =
        audio.iter().filter_map(|media| media.channels).map(|channels| channels.to_string()).collect();
    findings.check("label-channels", holds, &place, &format_args!("CHANNELS {stated}"), &expected.join(", "));
}

fn variant(
    tag: &Rendition,
    own: &[Media],
    (all, is_all): (&[(&Mp4Playlist<'_>, Vec<Media>)], bool),
    (average, rate): (Option<u64>, Option<f64>),
    place: &str,
    findings: &mut Findings,
) {
    let attributes = &tag.attributes;
    if let Some(stated) = text(attributes, "CODECS") {
        let stated: Vec<&str> = stated.split(',').map(str::trim).collect();
        let groups = ["AUDIO", "VIDEO", "SUBTITLES"].map(|name| text(attributes, name));
        let of_groups = all.iter().filter(|(playlist, _)| {
            let tags = playlist.media.named_by.iter().filter(|tag| tag.kind != RenditionKind::Variant);
            tags.filter_map(|tag| text(&tag.attributes, "GROUP-ID"))
                .any(|group| groups.iter().flatten().any(|named| *named == group))
        });
        let mut carried: Vec<&Media> = own.iter().collect();
        carried.extend(of_groups.flat_map(|(_, media)| media));
        let needed = own.iter().filter_map(|media| media.codecs.as_deref());
        for codec in needed {
            let holds = stated.iter().any(|stated| codec::is_same(stated, codec));
            findings.check(
                "label-codecs",
                holds,
                &place,
                &format_args!("CODECS {}", stated.join(",")),
                &codec,
            );
        }
        let is_known = is_all && carried.iter().all(|media| media.codecs.is_some());
        for codec in stated.iter().filter(|_| is_known) {
            let holds = carried
                .iter()
                .filter_map(|media| media.codecs.as_deref())
                .any(|media| codec::is_same(codec, media));
            findings.check("label-codecs", holds, &place, codec, &"a codec of its media");
        }
    }
    if let Some(stated) = attributes.raw("RESOLUTION") {
        let video: Vec<&Media> = own.iter().filter(|media| media.kind == *b"vide").collect();
        // Of the screen, or as it is coded.
        let of = |media: &&Media| {
            let (wide, high) = media.pixel.map_or((1, 1), |(wide, high)| (u64::from(wide), u64::from(high)));
            let (width, height) = (media.width * wide / high.max(1), media.height);
            if media.is_turned { format!("{height}x{width}") } else { format!("{width}x{height}") }
        };
        let coded = |media: &&Media| format!("{}x{}", media.width, media.height);
        let holds =
            video.is_empty() || video.iter().any(|media| of(media) == stated || coded(media) == stated);
        let expected = video.first().map(of).unwrap_or_default();
        findings.check("label-resolution", holds, &place, &format_args!("RESOLUTION {stated}"), &expected);
    }
    for name in ["BANDWIDTH", "AVERAGE-BANDWIDTH"] {
        let Some((text, average)) = attributes.raw(name).zip(average) else { continue };
        match text.parse() {
            Ok(stated) => bandwidth(name, stated, average, place, findings),
            Err(_) => drop(findings.check("label-bandwidth", false, &place, &text, &"a decimal number")),
        }
    }
    if let (Some(text), Some(rate)) = (attributes.raw("FRAME-RATE"), rate) {
        frame_rate("FRAME-RATE", text, rate, place, findings);
    }
    let range = attributes.raw("VIDEO-RANGE").map(|range| range.trim_matches('"'));
    let video = own.iter().filter(|media| media.kind == *b"vide");
    if let Some(expected) = video.filter_map(|media| media.video.video_range()).next() {
        let stated = range.unwrap_or("SDR");
        let found = format!("VIDEO-RANGE {stated}");
        findings.check("label-range", stated == expected, &place, &found, &expected);
    }
}

/// What is said is about the average of the media, to which encryption adds a little, or more: RFC 8216bis §4.4.6.2, ISO/IEC 23009-1
/// §5.3.5.2.
fn bandwidth(name: &str, stated: u64, average: u64, place: &str, findings: &mut Findings) {
    let holds = stated >= average / 2 && stated / 20 <= average;
    let found = format!("{name} {stated}");
    let expected = format!("{average}, the average of its media, and more for its peak");
    findings.check("label-bandwidth", holds, &place, &found, &expected);
}

/// Frames are as many as are said, or half as many where samples are fields.
fn frame_rate(name: &str, text: &str, rate: f64, place: &str, findings: &mut Findings) {
    let (frames, seconds) = text.split_once('/').unwrap_or((text, "1"));
    let stated = frames.parse::<f64>().ok().zip(seconds.parse::<f64>().ok());
    let holds = stated.is_some_and(|(frames, seconds)| {
        let is_near = |rate: f64| (frames / seconds - rate).abs() <= rate / 100.0;
        is_near(rate) || is_near(rate / 2.0)
    });
    let found = format!("{name} {text}");
    findings.check("label-frame-rate", holds, &place, &found, &format_args!("{rate:.3}"));
}

/// Frames in a second, when all last as long.
fn rate_of_frames<'a>(
    segments: impl Iterator<Item = (&'a str, usize)>,
    facts: &PresentationInfo<'_>,
) -> Option<f64> {
    let mut rate = None;
    let mut files: Vec<(&str, usize)> = segments.collect();
    files.dedup();
    for (file, rendition) in files {
        let init = &facts.inits.get(rendition)?.as_ref()?.init;
        let video = init.tracks.iter().find(|track| track.handler_type.0 == *b"vide")?;
        for fragment in
            facts.file(file)?.fragments.iter().filter(|fragment| fragment.track_id == video.track_id)
        {
            let found = f64::from(video.timescale) / f64::from(fragment.sample_duration?);
            if rate.is_some_and(|known| known != found) {
                return None;
            }
            rate = Some(found);
        }
    }
    rate
}

/// Bits in a second of the segments that a playlist names.
fn average_of_playlist(playlist: &Mp4Playlist<'_>, facts: &PresentationInfo<'_>) -> Option<u64> {
    let segments = || playlist.segments.iter().map(|(segment, _)| *segment);
    if playlist.media.is_i_frames || segments().any(|segment| segment.role != Role::Segment) {
        return None;
    }
    let (mut bytes, mut seconds) = (0, 0.0);
    for segment in segments() {
        let length = segment.range.as_ref().map(|range| range.end.saturating_sub(range.start));
        bytes += length.or_else(|| facts.file(&segment.file).map(|file| file.length))?;
        seconds += segment.duration;
    }
    average(bytes, seconds)
}

/// The same of a Representation, by the times in its fragments; of key frames alone the ranges that it names count.
fn average_of_rendition(track: &MpdTrack, rendition: usize, facts: &PresentationInfo<'_>) -> Option<u64> {
    // Of a trick mode most of the media is left out: ISO/IEC 23009-1 §5.3.6.
    if track.representation.properties.iter().any(|(scheme, _)| scheme.ends_with("/trickmode")) {
        return None;
    }
    let (mut bytes, mut seconds) = (0, 0.0);
    for segment in track.segments() {
        let range = segment.range.as_ref().map(|range| range.end.saturating_sub(range.start));
        bytes += range.or_else(|| facts.file(&segment.file).map(|file| file.length))?;
    }
    let mut files: Vec<&str> = track.segments().map(|segment| segment.file.as_str()).collect();
    files.dedup();
    for file in files {
        for fragment in &facts.file(file)?.fragments {
            let timescale = facts.timescale(rendition, fragment.track_id)?;
            seconds +=
                super::times::seconds(fragment.end.saturating_sub(fragment.begin), u64::from(timescale));
        }
    }
    average(bytes, seconds)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bits in a second, far below 2^52"
)]
fn average(bytes: u64, seconds: f64) -> Option<u64> {
    (seconds > 0.0).then(|| (bytes as f64 * 8.0 / seconds) as u64)
}

/// Holds a Representation to its media.
pub(in crate::verify) fn check_mpd(
    manifest: &DashManifest<'_>,
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) {
    for (track, rendition) in &manifest.representations {
        let representation = &track.representation;
        let place =
            format!("{}: {} (id {})", manifest.document.name, representation.place, representation.id);
        let first = track.segments().next().map(|segment| segment.file.as_str());
        let all = media(facts, *rendition, first);
        let [media] = all.as_slice() else { continue };
        if let Some((stated, average)) =
            representation.bandwidth.zip(average_of_rendition(track, *rendition, facts))
        {
            bandwidth("bandwidth", stated, average, &place, findings);
        }
        let segments = track.segments().map(|segment| (segment.file.as_str(), *rendition));
        if let Some((text, rate)) = representation.frame_rate.as_deref().zip(rate_of_frames(segments, facts))
        {
            frame_rate("frameRate", text, rate, &place, findings);
        }
        let mut hold = |rule, found: &str, holds: bool, expected: &str| {
            findings.check(rule, holds, &place, &found, &expected);
        };
        if let (Some(stated), Some(codec)) = (&representation.codecs, &media.codecs) {
            let holds = stated.split(',').all(|stated| codec::is_same(stated.trim(), codec));
            hold("label-codecs", &format!("codecs {stated}"), holds, codec);
        }
        let family = match &media.kind {
            b"vide" => "video/",
            b"soun" => "audio/",
            _ => "",
        };
        if let Some(stated) = representation.mime_type.as_deref().filter(|_| !family.is_empty()) {
            let kinds =
                [format!("{family}mp4"), format!("{family}iso.segment"), "application/mp4".to_owned()];
            let holds = kinds.iter().any(|kind| kind == stated);
            hold("label-mime", &format!("mimeType {stated}"), holds, &format!("{family}mp4"));
        }
        let transfer = representation.properties.iter();
        let transfer = transfer.filter(|(scheme, _)| scheme.ends_with(":cicp:TransferCharacteristics"));
        let stated: Vec<&str> = transfer.map(|(_, value)| value.trim()).collect();
        if let Some(expected) = media.video.transfer().filter(|_| family == "video/" && !stated.is_empty()) {
            let expected = expected.to_string();
            let found = format!("TransferCharacteristics {}", stated.join(", "));
            hold("label-range", &found, stated.contains(&expected.as_str()), &expected);
        }
        for (name, stated, expected) in
            [("width", representation.width, media.width), ("height", representation.height, media.height)]
        {
            let stated = stated.filter(|_| family == "video/");
            let found = format!("{name} {}", stated.unwrap_or_default());
            hold(
                "label-resolution",
                &found,
                stated.is_none_or(|stated| stated == expected),
                &expected.to_string(),
            );
        }
        let frequency = representation.audio_sampling_rate.as_ref().zip(media.sampling_frequency);
        if let Some((stated, expected)) = frequency.filter(|_| family == "audio/") {
            // Of AAC with SBR both rates are said.
            let rates: Vec<u32> =
                stated.split_ascii_whitespace().filter_map(|rate| rate.parse().ok()).collect();
            let is_own = |rate: &u32| {
                [Some(expected), expected.checked_mul(2), Some(expected / 2)].contains(&Some(*rate))
            };
            let holds = rates.len() == stated.split_ascii_whitespace().count() && rates.iter().all(is_own);
            hold("label-sampling", &format!("audioSamplingRate {stated}"), holds, &expected.to_string());
        }
        for (scheme, value) in &representation.channel_configurations {
            let stated = channels_of_descriptor(scheme, value);
            let expected = media.channels.filter(|_| stated != media.channels && family == "audio/");
            let found = format!("AudioChannelConfiguration {value:?} of {scheme}");
            let wanted = expected.map_or_else(String::new, |channels| format!("{channels} channels"));
            hold("label-channels", &found, expected.is_none(), &wanted);
        }
    }
}

fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.raw(name).map(|value| value.trim_matches('"'))
}
