//! No track stays clear beside protected ones of its kind, nor video beside protected audio, but where the operator says
//! so — ISO/IEC 23001-7 §4.
//!
//! Audio alone is left clear by many beside protected video: that is allowed, and said.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::fragmented::init::InitTrack;
use super::manifests::Presentation;
use super::manifests::info::InitInfo;
use super::segments::Protection;

/// Checks every track and playlist; `asked` are those that are to be clear: each by its file, by the id of its
/// Representation, or by its playlist's name.
pub(super) fn check(
    asked: &[String],
    inits: &[Option<InitInfo>],
    presentation: &Presentation<'_>,
    findings: &mut Findings,
) {
    let segments = presentation.segments.as_slice();
    let tracks = || inits.iter().flatten().flat_map(|facts| &facts.init.tracks);
    let is_audio = |track: &InitTrack| track.handler_type.0 == *b"soun";
    let protected = |audio: bool| {
        tracks().any(|track| is_audio(track) == audio && track.protection().is_some())
            || segments.iter().any(|media| media.is_audio() == audio && media.is_protected())
    };
    let (audio, video) = (protected(true), protected(false));
    let any = audio || video;
    findings.check("track-clear", any, &"the presentation", &"no protected track", &"one at least");
    // Video is held to whatever is protected.
    let is_held = |is_audio: bool| if is_audio { audio } else { any };
    let mut met = Met { asked, words: BTreeSet::new(), clear: Vec::new() };
    for (rendition, facts) in inits.iter().enumerate() {
        let Some(facts) = facts else { continue };
        let protectable = || facts.init.tracks.iter().filter(|track| track.is_protectable());
        if protectable().next().is_none() {
            continue;
        }
        let is_clear = protectable().any(|track| track.protection().is_none());
        let is_asked = met.names(&names(rendition, facts, presentation), is_clear, findings);
        for track in protectable().filter(|_| !is_asked) {
            let place = format!("{}: track {}", facts.name, track.track_id);
            if !is_held(is_audio(track)) {
                say_audio(&place, &facts.name, findings);
                continue;
            }
            let expected = match is_audio(track) || video {
                true => format!("protected as other {} tracks", track.handler_type),
                false => format!(
                    "protected as the audio is; if it is clear on purpose: --clear-track {}",
                    facts.name
                ),
            };
            let holds = track.protection().is_some();
            findings.check("track-clear", holds, &place, &"a clear track", &expected);
        }
    }
    for media in segments.iter().filter(|media| media.protection != Protection::Never) {
        let is_protected = media.is_protected() || media.segments.is_empty();
        let is_asked = met.names(&playlist(&media.media.name), !is_protected, findings);
        if !is_asked && is_held(media.is_audio()) {
            let expected = "protected as other playlists";
            findings.check("track-clear", is_protected, &media.media.name, &"no EXT-X-KEY", &expected);
        } else if !is_asked && !is_protected {
            say_audio(&media.media.name, &media.media.name, findings);
        }
    }
    met.settle(findings);
}

/// All audio is clear, which may be meant.
fn say_audio(place: &str, name: &str, findings: &mut Findings) {
    let expected = format!("protected audio, or --clear-track {name}");
    findings.check("audio-clear", false, &place, &"audio in the clear, as all of it", &expected);
}

/// What an operator may call a rendition.
fn names(rendition: usize, facts: &InitInfo, presentation: &Presentation<'_>) -> Vec<String> {
    let mut names = vec![facts.name.clone()];
    let representations = presentation.mpds.iter().flat_map(|mpd| &mpd.representations);
    let own = representations.filter(|(_, own)| *own == rendition);
    names.extend(own.map(|(track, _)| track.representation.id.clone()));
    for media in &presentation.playlists {
        if media.segments.iter().any(|(_, own)| *own == rendition) {
            names.extend(playlist(&media.media.name));
        }
    }
    names
}

/// A playlist's name, and what its file is called without its ending.
fn playlist(name: &str) -> Vec<String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    vec![name.to_owned(), stem.to_owned()]
}

/// What was asked for, and what of it there is.
struct Met<'a> {
    asked: &'a [String],
    words: BTreeSet<&'a str>,
    /// What is clear, by the first of its names.
    clear: Vec<String>,
}

impl Met<'_> {
    /// Whether something of these names is to be clear; then it must be.
    fn names(&mut self, names: &[String], is_clear: bool, findings: &mut Findings) -> bool {
        self.clear.extend(names.first().filter(|_| is_clear).cloned());
        let asked = self.asked.iter().filter(|word| names.contains(word)).map(String::as_str);
        let asked: Vec<&str> = asked.collect();
        for word in &asked {
            let expected = "a clear one, as --clear-track says";
            findings.check("track-clear", is_clear, word, &"a protected track", &expected);
        }
        self.words.extend(&asked);
        !asked.is_empty()
    }

    /// Whoever names what is not there means something else.
    fn settle(self, findings: &mut Findings) {
        let none = || "none, as no track is clear".to_owned();
        let clear = if self.clear.is_empty() { none() } else { format!("one of {}", self.clear.join(", ")) };
        for word in self.asked.iter().filter(|word| !self.words.contains(word.as_str())) {
            findings.check("track-clear", false, word, &"no track of this name", &clear);
        }
    }
}
