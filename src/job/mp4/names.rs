//! How the files that are made are called: templates with variables — RFC 3986 §2.1 for how manifests write the names.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::base::uri::{folder_from, percent_encode};
use crate::base::{Error, Result, shown_input};
use crate::codec::TrackKind;
use crate::drm::ManifestKind;
use crate::package::{Boundaries, Plan, TrackId};

use super::OutputTrack;
use super::text::TextTrack;
use super::thumbnails::ThumbnailTrack;
use crate::job::rules::{Job, Layout, Rules};

/// What stands for the number of a segment until it is known; no name has it.
const NUMBER: char = '\0';
/// What names of segments may end with: the file's own ending takes its place.
const SEGMENT_ENDINGS: &[&str] =
    &[".{format}", ".m4s", ".mp4", ".cmfv", ".cmfa", ".cmft", ".m4v", ".m4a", ".vtt"];
const STREAM_ENDINGS: &[&str] = &[".{format}", ".m3u8", ".mp4"];
const MANIFEST_ENDINGS: &[&str] = &[".{format}", ".m3u8", ".mpd"];
/// The variables of names, those of Tencent MPS and two of ours.
const VARIABLES: &str = "{inputName} {inputFormat} {format} {definition} {subStreamNumber} {segmentNumber} {number} {track} {kid}";

/// Templates of names; what is `None` has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NameTemplates {
    /// Of the multivariant playlist and the MPD.
    pub manifest: Option<String>,
    /// Of media playlists, single files and text files.
    pub stream: Option<String>,
    /// Of segments.
    pub segment: Option<String>,
    /// `{definition}`; without it the height of video, and `audio` or `text`.
    pub definition: Option<String>,
}

impl NameTemplates {
    fn is_default(&self) -> bool {
        self.manifest.is_none() && self.stream.is_none() && self.segment.is_none()
    }

    /// A package keeps its names.
    pub(in crate::job) fn check_package(&self) -> Result<()> {
        if self.is_default() {
            return Ok(());
        }
        Err(Error::usage("--name-manifest, --name-stream and --name-segment are for MP4 inputs")
            .hint("a package keeps the names of its files"))
    }
}

/// The names of the manifests.
pub(in crate::job) struct ManifestNames {
    pub(in crate::job) hls: String,
    pub(in crate::job) dash: String,
}

/// The names of a track's files.
#[derive(Clone, Debug, Default)]
pub(in crate::job) struct TrackNames {
    /// Without its ending.
    stream: String,
    /// Without its ending, [`NUMBER`] in the place of the number.
    segment: String,
    /// The number of the first segment.
    first: u64,
}

impl TrackNames {
    pub(in crate::job) fn playlist(&self) -> String {
        format!("{}.m3u8", self.stream)
    }

    /// The playlist of its I-frames.
    pub(in crate::job) fn i_frames(&self) -> String {
        format!("{}-iframes.m3u8", self.stream)
    }

    /// The file that holds all of it.
    pub(in crate::job) fn file(&self, ending: &str) -> String {
        format!("{}.{ending}", self.stream)
    }

    pub(in crate::job) fn init(&self) -> String {
        self.segment.replace(NUMBER, "init") + ".mp4"
    }

    /// The segment of this number, from 0.
    pub(in crate::job) fn segment(&self, number: u64, ending: &str) -> String {
        let number = self.first.saturating_add(number);
        format!("{}.{ending}", self.segment.replace(NUMBER, &number.to_string()))
    }

    /// `@media` and `@startNumber` of a SegmentTemplate in this MPD.
    pub(in crate::job) fn template(&self, mpd: &str, ending: &str) -> (String, u64) {
        let name = format!("{}.{ending}", self.segment);
        (reference(mpd, &name).replace("%00", "$Number$"), self.first)
    }
}

/// How a file is named in another one.
pub(in crate::job) fn reference(document: &str, file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or_default();
    percent_encode(&(folder_from(document, file) + name))
}

/// What the variables stand for.
#[derive(Default)]
struct Values<'a> {
    all: HashMap<&'static str, String>,
    option: &'a str,
}

impl Values<'_> {
    /// The variables that stand for something here.
    fn known(&self) -> String {
        let is_known = |word: &&str| self.all.contains_key(word.trim_matches(['{', '}']));
        VARIABLES.split(' ').filter(is_known).collect::<Vec<_>>().join(" ")
    }

    /// Why a variable stands for nothing.
    fn unknown(&self, word: &str) -> String {
        let variable = format!("{{{word}}}");
        match word {
            "number" | "segmentNumber" => {
                format!("{variable} is the number of a segment, for --name-segment")
            }
            _ if VARIABLES.split(' ').any(|known| known == variable) => {
                format!(
                    "{variable} is of one track, and these files are of all: for --name-stream and --name-segment"
                )
            }
            _ => format!("{variable} is no variable"),
        }
    }

    /// The name, which stays below the output folder.
    fn expand(&self, template: &str) -> Result<String> {
        let wrong = |what: String| {
            Error::usage(format!("--{} {template}: {what}", self.option)).hint(format!(
                "variables of --{} are {}",
                self.option,
                self.known()
            ))
        };
        let (mut name, mut rest) = (String::new(), template);
        while let Some((before, behind)) = rest.split_once('{') {
            let (word, after) = behind.split_once('}').ok_or_else(|| wrong("{ without }".into()))?;
            let value = self.all.get(word).ok_or_else(|| wrong(self.unknown(word)))?;
            name.push_str(before);
            name.push_str(value);
            rest = after;
        }
        name.push_str(rest);
        let is_safe = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.ends_with(' ');
        let is_refused = |c: char| c != NUMBER && c.is_control() || "\\:*?\"<>|".contains(c);
        if !name.split('/').all(is_safe) || name.contains(is_refused) {
            return Err(wrong(format!("{:?} is no name below the output folder", name.replace(NUMBER, "1"))));
        }
        Ok(name)
    }
}

/// What an input is called, without what no name may have.
fn input(name: &str) -> (String, String) {
    let shown = shown_input(name);
    let file = shown.rsplit(['/', '\\']).next().unwrap_or_default();
    let (stem, ending) = file.rsplit_once('.').unwrap_or((file, ""));
    let clean = |text: &str| text.replace(|c: char| c.is_control() || "\\/:*?\"<>|{}".contains(c), "-");
    (clean(stem), clean(ending))
}

fn without_ending<'a>(template: &'a str, endings: &[&str]) -> &'a str {
    endings.iter().find_map(|ending| template.strip_suffix(ending)).unwrap_or(template)
}

/// The names of the manifests.
///
/// # Errors
/// When a template has no name for them.
pub(in crate::job) fn manifests(job: &Job, tracks: &[OutputTrack<'_>]) -> Result<ManifestNames> {
    let of = |default: &str, format: &str, ending: &str| {
        let template = job.names.manifest.as_deref().unwrap_or(default);
        let (name, input_format) = input(job.title_input());
        let first = tracks.first().map(|track| definition(job, track)).unwrap_or_default();
        let all = [
            ("inputName", name),
            ("inputFormat", input_format),
            ("format", format.to_owned()),
            ("definition", first),
        ];
        let values = Values { all: all.into_iter().collect(), option: "name-manifest" };
        Ok(values.expand(without_ending(template, MANIFEST_ENDINGS))? + ending)
    };
    Ok(ManifestNames { hls: of("master", "hls", ".m3u8")?, dash: of("manifest", "dash", ".mpd")? })
}

/// `{definition}` of a track.
fn definition(job: &Job, track: &OutputTrack<'_>) -> String {
    let height = || track.media.track.sample_entry().map(|entry| entry.height).unwrap_or_default();
    job.names.definition.clone().unwrap_or_else(|| match track.id.kind {
        TrackKind::Video => format!("{}p", height()),
        TrackKind::Audio => "audio".to_owned(),
        TrackKind::Text => "text".to_owned(),
    })
}

/// Gives every track its names.
///
/// # Errors
/// When a template has no name for one.
pub(in crate::job) fn name_tracks(
    job: &Job,
    plan: &Plan,
    tracks: &mut [OutputTrack<'_>],
    texts: &mut [TextTrack],
) -> Result<()> {
    let mut ids: Vec<TrackId> =
        tracks.iter().map(|track| track.id).chain(texts.iter().map(|text| text.id)).collect();
    ids.sort_unstable();
    ids.dedup();
    let of = |id: TrackId, (file, definition): (&str, String), kid: String| {
        let (name, format) = input(file);
        let number = ids.iter().position(|known| *known == id).unwrap_or_default();
        let values = |option, own: &[(&'static str, &str)]| {
            let all = [("track", id.to_string()), ("kid", kid.clone()), ("definition", definition.clone())];
            let mut all: HashMap<_, _> = all.into_iter().collect();
            all.extend([
                ("inputName", name.clone()),
                ("inputFormat", format.clone()),
                ("subStreamNumber", number.to_string()),
            ]);
            all.extend(own.iter().map(|(name, value)| (*name, (*value).to_owned())));
            Values { all, option }
        };
        let stream = job.names.stream.as_deref().unwrap_or("{track}");
        let stream =
            values("name-stream", &[("format", "hls")]).expand(without_ending(stream, STREAM_ENDINGS))?;
        let template = job.names.segment.as_deref().unwrap_or("{track}/{segmentNumber}");
        // As MPS counts them: `{number}` from 0.
        let (from_one, from_zero) = (template.contains("{segmentNumber}"), template.contains("{number}"));
        if from_one == from_zero {
            return Err(Error::usage(format!(
                "--name-segment {template}: {}",
                if from_one { "two numbers" } else { "all segments of a track would have one name" }
            ))
            .hint("give {segmentNumber}, from 1, or {number}, from 0"));
        }
        let own = [("format", "m4s"), ("segmentNumber", "\0"), ("number", "\0")];
        let segment = values("name-segment", &own).expand(without_ending(template, SEGMENT_ENDINGS))?;
        Ok(TrackNames { stream, segment, first: u64::from(from_one) })
    };
    for track in tracks {
        let kid = match track.encrypted_track {
            Some(id) => plan.key(id)?.kid.hex(),
            None => "clear".to_owned(),
        };
        track.names = of(track.id, (&track.file.name, definition(job, track)), kid)?;
    }
    for text in texts {
        let definition = job.names.definition.clone().unwrap_or_else(|| "text".to_owned());
        text.names = of(text.id, (text.name(), definition), "clear".to_owned())?;
    }
    Ok(())
}

/// Checks that there are files for `--name-segment` to name.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) when every track is one file, and no text is cut into segments.
pub(in crate::job) fn check_segments(job: &Job, rules: &Rules, texts: &[TextTrack]) -> Result<()> {
    let has_text = !texts.is_empty() && rules.manifests.contains(&ManifestKind::Hls);
    if job.names.segment.is_none() || rules.layout != Layout::SingleFile || has_text {
        return Ok(());
    }
    Err(Error::usage("--name-segment has no effect with --layout single-file")
        .hint("leave it out: a track is one file, which --name-stream names"))
}

/// Checks that no two files have one name.
///
/// # Errors
/// When two have.
pub(in crate::job) fn check(
    job: &Job,
    (manifests, formats): (&ManifestNames, &[ManifestKind]),
    (tracks, texts, thumbnails): (&[OutputTrack<'_>], &[TextTrack], Option<&ThumbnailTrack>),
    (boundaries, layout): (&Boundaries, Layout),
) -> Result<()> {
    if job.names.is_default() {
        return Ok(());
    }
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut add = |name: String, what: String| match seen.insert(name.clone(), what.clone()) {
        Some(other) => Err(Error::usage(format!("{name} would be the name of {other} and of {what}"))
            .at(given(job))
            .hint("have {track} and {segmentNumber} in the templates")),
        None => Ok(()),
    };
    if formats.contains(&ManifestKind::Dash) {
        add(manifests.dash.clone(), "the MPD".into())?;
    }
    if formats.contains(&ManifestKind::Hls) {
        add(manifests.hls.clone(), "the multivariant playlist".into())?;
    }
    for track in tracks {
        let names = &track.names;
        add(names.playlist(), format!("the playlist of {}", track.id))?;
        if track.key_frames_apart && formats.contains(&ManifestKind::Hls) {
            add(names.i_frames(), format!("the playlist of I-frames of {}", track.id))?;
        }
        if layout == Layout::SingleFile {
            add(names.file("mp4"), format!("the file of {}", track.id))?;
            continue;
        }
        add(names.init(), format!("the initialization segment of {}", track.id))?;
        for (number, segment) in (0..).zip(track.segments(boundaries)?) {
            segment?;
            add(names.segment(number, "m4s"), format!("segment {} of {}", number + 1, track.id))?;
        }
    }
    for file in thumbnails.iter().flat_map(|images| images.files()) {
        add(file.to_owned(), "thumbnails".into())?;
    }
    for text in texts {
        if !tracks.iter().any(|track| track.id == text.id) {
            add(text.names.playlist(), format!("the playlist of {}", text.id))?;
        }
        for file in text.files() {
            add(file, format!("text of {}", text.id))?;
        }
    }
    Ok(())
}

fn given(job: &Job) -> String {
    let all = [
        ("name-manifest", &job.names.manifest),
        ("name-stream", &job.names.stream),
        ("name-segment", &job.names.segment),
    ];
    let given =
        all.iter().filter_map(|(option, template)| Some(format!("--{option} {}", template.as_ref()?)));
    given.collect::<Vec<_>>().join(" ")
}
