//! HLS and DASH of one package say the same of the same media — RFC 8216bis §4.4.6.1, ISO/IEC 23009-1 §5.3.3, §5.3.9.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::base::language_tag;
use crate::hls::multivariant::RenditionKind;
use crate::presentation::{MediaPlaylist, Resource, Role};

use super::Presentation;
use super::info::PresentationInfo;
use crate::verify::findings::Findings;

/// Holds playlists and MPDs that name the same files to each other.
pub(in crate::verify) fn check(
    presentation: &Presentation<'_>,
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) {
    languages(presentation, findings);
    // What goes on may be ahead in one of them.
    let has_end = |media: &MediaPlaylist| media.playlist.tags("EXT-X-ENDLIST").next().is_some();
    let is_whole = presentation.playlists.iter().all(|playlist| has_end(playlist.media))
        && presentation.mpds.iter().all(|manifest| !manifest.document.mpd.is_dynamic());
    if is_whole {
        segments(presentation, facts, findings);
    }
}

/// The language of a file is the same in both, or one says more of it: `en` and `en-GB`.
fn languages(presentation: &Presentation<'_>, findings: &mut Findings) {
    let mut known: HashMap<&str, BTreeSet<String>> = HashMap::new();
    for playlist in &presentation.playlists {
        let tags = playlist.media.named_by.iter();
        let tags = tags.filter(|tag| matches!(tag.kind, RenditionKind::Media(_)));
        let stated = tags.filter_map(|tag| tag.attributes.raw("LANGUAGE"));
        let stated: Vec<String> =
            stated.filter_map(|language| language_tag(language.trim_matches('"'))).collect();
        for (segment, _) in playlist.segments.iter().filter(|_| !stated.is_empty()) {
            known.entry(&segment.file).or_default().extend(stated.iter().cloned());
        }
    }
    for manifest in &presentation.mpds {
        for (track, _) in &manifest.representations {
            let representation = &track.representation;
            let Some(stated) = representation.lang.as_deref().and_then(language_tag) else { continue };
            let first = track.segments().next().and_then(|segment| known.get(segment.file.as_str()));
            let Some(expected) = first else { continue };
            let agrees = |other: &String| {
                let (short, long) =
                    if other.len() < stated.len() { (other, &stated) } else { (&stated, other) };
                long.strip_prefix(short.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            };
            let place =
                format!("{}: {} (id {})", manifest.document.name, representation.place, representation.id);
            let (holds, found) = (expected.iter().any(agrees), format!("lang {stated}"));
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            let expected = format!("{}, as LANGUAGE says", expected.join(", "));
            findings.check("manifests-language", holds, &place, &found, &expected);
        }
    }
}

/// Fragments by their file and the position of their `moof`.
type Fragments<'a> = HashSet<(&'a str, u64)>;

fn fragments<'a>(
    segments: impl Iterator<Item = &'a Resource>,
    facts: &PresentationInfo<'_>,
) -> (HashSet<&'a str>, Fragments<'a>) {
    let (mut files, mut found) = (HashSet::new(), HashSet::new());
    for segment in segments {
        files.insert(segment.file.as_str());
        let inside = facts.fragments(&segment.file, segment.range.as_ref());
        found.extend(inside.iter().map(|fragment| (segment.file.as_str(), fragment.position)));
    }
    (files, found)
}

/// Of media that both name, both name all: what one leaves out its players do not play.
fn segments(presentation: &Presentation<'_>, facts: &PresentationInfo<'_>, findings: &mut Findings) {
    let playlists = presentation.playlists.iter().filter(|playlist| !playlist.media.is_i_frames);
    let of_playlists = playlists.flat_map(|playlist| &playlist.segments).map(|(segment, _)| *segment);
    let (hls_files, hls) = fragments(of_playlists.filter(|segment| segment.role == Role::Segment), facts);
    let of_mpds = presentation.mpds.iter().flat_map(|manifest| &manifest.representations);
    let (dash_files, dash) = fragments(of_mpds.flat_map(|(track, _)| track.segments()), facts);
    for rendition in presentation.renditions.iter().filter(|rendition| !rendition.are_parts) {
        let files = || rendition.files.iter().map(String::as_str);
        let is_in_both =
            files().any(|file| hls_files.contains(file)) && files().any(|file| dash_files.contains(file));
        if !is_in_both {
            continue;
        }
        let all = files().flat_map(|file| {
            facts.fragments(file, None).iter().map(move |fragment| (file, fragment.position))
        });
        let all: Vec<(&str, u64)> = all.collect();
        for (own, other, name) in [(&hls, &dash, "MPDs"), (&dash, &hls, "playlists")] {
            let mut left_out = all.iter().filter(|one| own.contains(*one) && !other.contains(*one));
            let first = left_out.next();
            let (file, position) = first.copied().unwrap_or_default();
            let place = format!("{file}: moof at byte {position}");
            let found = format!("it and {} more are not named by the {name}", left_out.count());
            findings.check(
                "manifests-segments",
                first.is_none(),
                &place,
                &found,
                &"the same in HLS and DASH",
            );
        }
    }
}
