//! What playlists say of groups, durations and discontinuities — RFC 8216bis §4.4.3.1, §4.4.4.3, §4.4.6, §6.2.4.

use std::collections::{BTreeMap, BTreeSet};

use crate::hls::Attributes;
use crate::presentation::{Content, MediaPlaylist, Multivariant, Role};

use super::Presentation;
use crate::verify::findings::Findings;

/// Attributes of variants that name a group, which are its `TYPE`.
const GROUPS: [&str; 4] = ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"];

/// Holds every playlist to what its lines say elsewhere.
pub(in crate::verify) fn check(presentation: &Presentation<'_>, findings: &mut Findings) {
    for multivariant in presentation.multivariants {
        groups(multivariant, findings);
    }
    let mp4 = presentation.playlists.iter().map(|playlist| playlist.media);
    let all: Vec<&MediaPlaylist> =
        mp4.chain(presentation.segments.iter().map(|playlist| playlist.media)).collect();
    for media in &all {
        target_duration(media, findings);
    }
    // Several multivariant playlists may be several presentations.
    if presentation.multivariants.len() == 1 {
        discontinuities(&all, findings);
    }
}

/// Every group is named by a variant, is there when it is named, and has one default.
fn groups(multivariant: &Multivariant, findings: &mut Findings) {
    let name = &multivariant.name;
    let text = |list: &Attributes, name: &str| {
        let value = list.raw(name)?.strip_prefix('"')?.strip_suffix('"')?;
        // What a variable stands for is not known here.
        (!value.contains("{$")).then(|| value.to_owned())
    };
    let lists = |tag| {
        let tags = multivariant.playlist.tags(tag);
        tags.filter_map(|(line, value)| Some((line, Attributes::parse(value).ok()?)))
    };
    let mut named: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for (line, list) in lists("EXT-X-STREAM-INF").chain(lists("EXT-X-I-FRAME-STREAM-INF")) {
        for kind in GROUPS {
            named.extend(text(&list, kind).map(|group| ((kind, group), line)));
        }
    }
    let mut found: BTreeMap<(&str, String), (usize, usize)> = BTreeMap::new();
    for (line, list) in lists("EXT-X-MEDIA") {
        let kind = GROUPS.into_iter().find(|kind| list.raw("TYPE") == Some(kind));
        let Some((kind, group)) = kind.zip(text(&list, "GROUP-ID")) else { continue };
        let (_, defaults) = found.entry((kind, group)).or_insert((line, 0));
        *defaults += usize::from(list.raw("DEFAULT") == Some("YES"));
    }
    for ((kind, group), (line, defaults)) in &found {
        let place = format!("{name}: line {}", line + 1);
        let is_named = named.contains_key(&(*kind, group.clone()));
        let what = format!("the group {group} of {kind}, which no variant names");
        findings.check("hls-group", is_named, &place, &what, &format_args!("{kind} of a variant"));
        let count = format!("{defaults} renditions of the group {group} with DEFAULT=YES");
        findings.check("hls-default", *defaults <= 1, &place, &count, &"one at most");
    }
    for ((kind, group), line) in &named {
        let place = format!("{name}: line {}", line + 1);
        let is_there = found.contains_key(&(*kind, group.clone()));
        let what = format!("{kind} names the group {group}");
        findings.check("hls-group", is_there, &place, &what, &"one that EXT-X-MEDIA has");
    }
}

/// No segment is longer than the target duration, which has whole seconds: §4.4.3.1.
fn target_duration(media: &MediaPlaylist, findings: &mut Findings) {
    let target = media.playlist.tags("EXT-X-TARGETDURATION").next();
    let target = target.and_then(|(_, value)| value.trim().parse::<f64>().ok());
    let longest = media.segments().max_by(|one, other| one.duration.total_cmp(&other.duration));
    let (Some(target), Some(longest)) = (target, longest) else { return };
    let place = format!("{}: line {}", media.name, longest.line + 1);
    let found = format!("EXTINF {} above EXT-X-TARGETDURATION {target}", longest.duration);
    let holds = longest.duration.round() <= target;
    findings.check("hls-target-duration", holds, &place, &found, &"the target duration and less");
}

/// When the segments begin that stand behind a discontinuity, in seconds; what is before the first is none.
fn broken_at(media: &MediaPlaylist) -> Vec<f64> {
    let tags = media.playlist.tags("EXT-X-DISCONTINUITY");
    let segments = || media.resources.iter().filter(|resource| resource.role == Role::Segment);
    let lines: BTreeSet<usize> = tags.map(|(line, _)| line).collect();
    let mut before = None;
    let mut found = Vec::new();
    for segment in segments() {
        if before.is_some_and(|before| lines.range(before..segment.line).next().is_some()) {
            found.push(segment.begins);
        }
        before = Some(segment.line);
    }
    found
}

/// Discontinuities stand at the same times in all playlists of a presentation: §6.2.4.
fn discontinuities(all: &[&MediaPlaylist], findings: &mut Findings) {
    let is_held = |media: &&&MediaPlaylist| {
        let is_played = media.content.is_media() || media.content == Content::Text;
        let has_end = media.playlist.tags("EXT-X-ENDLIST").next().is_some();
        is_played && has_end && !media.is_i_frames && !media.named_by.is_empty()
    };
    let times: Vec<_> = all.iter().filter(is_held).map(|media| (&media.name, broken_at(media))).collect();
    let Some((first, most)) = times.iter().max_by_key(|(_, times)| times.len()) else { return };
    for (name, times) in &times {
        let found = format!("{} times EXT-X-DISCONTINUITY", times.len());
        let expected = format!("{}, as in {first}", most.len());
        findings.check("hls-discontinuity", times.len() == most.len(), name, &found, &expected);
    }
}
