//! What files say that their tracks are for, and the tracks of one file that nothing tells apart — ISO/IEC 14496-12 §8.10,
//! ISO/IEC 23009-1 §5.8.5.5.

use crate::codec::{AudioService, TrackKind};
use crate::dash::write::ROLES;
use crate::isobmff::user_data::{KindBox, ROLE_SCHEME};
use crate::package::MediaTrack;

use super::OutputTrack;
use super::audio_groups::channels;

/// Kinds of tracks in HTML, and the roles that say the same.
const HTML_SCHEME: &str = "about:html-kind";
const OF_HTML: &[(&str, &str)] = &[
    ("alternative", "alternate"),
    ("captions", "caption"),
    ("commentary", "commentary"),
    ("descriptions", "description"),
    ("main-desc", "description"),
    ("sign", "sign"),
    ("subtitles", "subtitle"),
    ("translation", "dub"),
];
/// Services of audio, and the roles that say the same.
const OF_SERVICE: &[(AudioService, &str)] = &[
    (AudioService::VisuallyImpaired, "description"),
    (AudioService::HearingImpaired, "enhanced-audio-intelligibility"),
    (AudioService::Commentary, "commentary"),
];
/// Roles that are of text alone. What is played when nobody chooses is decided over all files: `main` is not taken.
const OF_TEXT: &[&str] = &["subtitle", "forced-subtitle", "easyreader", "metadata"];
/// Of audio for the hearing impaired, the word that some writers take from text.
const CAPTION: &str = "caption";

/// The roles that the media of a track states.
pub(super) fn roles(media: &MediaTrack) -> Vec<String> {
    let kind = media.kind();
    let kinds = media.track.user_data.kinds.iter().filter_map(|stated| role(stated));
    let of_service =
        |service: AudioService| OF_SERVICE.iter().find(|(known, _)| *known == service).map(|(_, role)| *role);
    let mut roles: Vec<String> = Vec::new();
    for role in kinds.chain(media.service().and_then(of_service)) {
        let role = match (kind, role) {
            (_, "main") => continue,
            (Some(TrackKind::Audio), CAPTION) => "enhanced-audio-intelligibility",
            (Some(TrackKind::Text), role) => role,
            (_, role) if role == CAPTION || OF_TEXT.contains(&role) => continue,
            (_, role) => role,
        };
        if !roles.iter().any(|known| known == role) {
            roles.push(role.to_owned());
        }
    }
    roles
}

fn role(stated: &KindBox) -> Option<&str> {
    match stated.scheme.as_str() {
        ROLE_SCHEME => ROLES.iter().find(|role| **role == stated.value).copied(),
        HTML_SCHEME => OF_HTML.iter().find(|(kind, _)| *kind == stated.value).map(|(_, role)| *role),
        _ => None,
    }
}

/// Tells apart what nothing does: tracks of one file in one form, of which the file says the same, are different choices
/// all the same, unless it or a label says that they are qualities of one. They are numbered, and that is said.
pub(super) fn tell_apart(tracks: &mut [OutputTrack<'_>]) -> Vec<String> {
    let mut numbers: Vec<usize> = Vec::new();
    let (mut labels, mut warnings) = (Vec::new(), Vec::new());
    for track in tracks.iter() {
        let alike: Vec<_> =
            tracks.iter().zip(&numbers).filter(|(other, _)| are_alike(other, track)).collect();
        let group = track.media.track.user_data.switch_group;
        let is_of_group = |other: &OutputTrack<'_>| other.media.track.user_data.switch_group == group;
        let quality = alike.iter().find(|(other, _)| group > 0 && is_of_group(other));
        let last = alike.iter().map(|(_, number)| **number).max();
        let number = quality.map(|(_, number)| **number).or_else(|| last.map(|last| last + 1)).unwrap_or(0);
        let label = (number > 0).then(|| format!("{} {}", name(track), number + 1));
        if let (Some(label), None, Some((first, _))) = (&label, quality, alike.first()) {
            warnings.push(format!(
                "{}: nothing tells {} and {} apart, players list {} as {label:?}: say what it is for with --track \
                 {}:label=…,role=…, or give both one label if they are qualities of the same",
                track.file.name, first.id, track.id, track.id, track.id
            ));
        }
        numbers.push(number);
        labels.push(label);
    }
    for (track, label) in tracks.iter_mut().zip(labels) {
        track.described.label = label.or_else(|| track.described.label.take());
    }
    warnings
}

fn are_alike(one: &OutputTrack<'_>, other: &OutputTrack<'_>) -> bool {
    let form = |track: &OutputTrack<'_>| (track.media.rfc6381().ok(), channels(track.media));
    std::ptr::eq(one.file, other.file)
        && one.id.kind == other.id.kind
        && one.id.kind != TrackKind::Video
        && other.described.label.is_none()
        && one.described.is_same_choice(&other.described)
        && form(one) == form(other)
}

fn name<'a>(track: &'a OutputTrack<'_>) -> &'a str {
    let word = if track.id.kind == TrackKind::Text { "Text" } else { "Audio" };
    track.described.lang.as_deref().unwrap_or(word)
}
