//! Facts are those of the media, whatever form it comes in: the same codecs, sizes, channels and keys; and manifests that
//! do not say the codecs get them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use drm_pack::job::{Job, TrackReport};

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::files::changed_copy;
use crate::support::media::root;
use crate::support::pack::{job, pack};

/// A track as every form has to tell it.
type Facts = (String, String, Option<u16>, Option<u16>, Option<u16>, String);

fn facts(track: &TrackReport) -> Facts {
    let TrackReport { kind, codec, width, height, channels, kid, .. } = track.clone();
    (kind, codec, width, height, channels, kid)
}

/// Under one key for all, or under keys by size and channels: streams of one segment can have one only.
fn packed(inputs: &[&str], by_facts: bool) -> BTreeSet<Facts> {
    // FairPlay has no place in an MPD.
    let drm = if inputs[0].ends_with("mpd") { "widevine" } else { "fairplay" };
    let path = |name: &&str| root().join("fixtures/clip").join(name).to_str().unwrap().to_owned();
    let job = Job {
        inputs: inputs.iter().map(path).collect(),
        video_preset: by_facts.then(|| "PRESET-VIDEO-2".into()),
        audio_preset: by_facts.then(|| "PRESET-AUDIO-2".into()),
        resource_id: Some("film".into()),
        ..job(Path::new(""), drm, "cbcs")
    };
    let report = pack(&job, tempfile::tempdir().unwrap().path()).unwrap();
    report.tracks.iter().map(facts).collect()
}

#[test]
fn the_same_media_has_the_same_facts_and_keys_in_every_form() {
    let files = ["mp4/video_180.mp4", "mp4/audio.m4a", "mp4/video_360.mp4"];
    let of_two = packed(&files[..2], false);
    assert_eq!(packed(&["hls-ts/0.ts"], false), of_two);
    assert_eq!((packed(&["hls-ts/index.m3u8"], false), of_two.len()), (of_two, 2));
    for by_facts in [false, true] {
        let [two, three] = [2, 3].map(|count| packed(&files[..count], by_facts));
        for form in [
            "dash/manifest.mpd",
            "dash-segment-base/manifest.mpd",
            "dash-segment-list/manifest.mpd",
            "hls/master.m3u8",
            "hls-byterange/master.m3u8",
        ] {
            let found = packed(&[form], by_facts);
            assert!(found == two || found == three, "{form}: {found:?}");
        }
    }
}

#[test]
fn the_same_media_has_the_same_facts_and_keys_in_webm() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["vp9", "av1", "opus"] {
        let clip = root().join(format!("fixtures/clip/codecs/{name}.mp4"));
        let webm = folder.path().join(format!("{name}.webm"));
        let copied = ffmpeg().arg("-i").arg(&clip).args(["-c", "copy"]).arg(&webm).output().unwrap();
        assert!(copied.status.success(), "{name}");
        let facts_of = |input: &Path| {
            let job = Job { resource_id: Some("film".into()), ..job(input, "widevine", "cenc") };
            let report = pack(&job, tempfile::tempdir().unwrap().path()).unwrap();
            report.tracks.iter().map(facts).collect::<BTreeSet<_>>()
        };
        assert_eq!(facts_of(&webm), facts_of(&clip), "{name}");
    }
}

/// The values of an attribute.
fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.split(name).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Takes an attribute with its value out.
fn without(text: &str, name: &str) -> String {
    let mut parts = text.split(name);
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, rest| text + rest.split_once('"').unwrap().1)
}

#[test]
fn manifests_without_codecs_get_those_of_the_media() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, manifest, name) in
        [("hls", "master.m3u8", ",CODECS=\""), ("dash", "manifest.mpd", " codecs=\"")]
    {
        let source = fs::read_to_string(root().join("fixtures/clip").join(kind).join(manifest)).unwrap();
        let copy = changed_copy(kind, &folder.path().join(kind), &|_| {});
        fs::write(copy.join(manifest), without(&source, name)).unwrap();
        let out = folder.path().join(format!("{kind}.out"));
        let report = pack(&job(&copy.join(manifest), "widevine", "cbcs"), &out).unwrap();
        let written = fs::read_to_string(out.join(manifest)).unwrap();
        assert!(!values(&source, name).is_empty());
        assert_eq!(values(&written, name), values(&source, name), "{written}");
        let notices = report.warnings.iter().filter(|warning| warning.contains("added from the media"));
        assert_eq!(notices.count(), 1, "{:?}", report.warnings);
    }
}

#[test]
fn variants_of_transport_streams_get_the_codecs_of_their_streams() {
    let folder = tempfile::tempdir().unwrap();
    let copy = changed_copy("hls-ts", &folder.path().join("ts"), &|_| {});
    fs::write(copy.join("master.m3u8"), "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\nindex.m3u8\n").unwrap();
    let out = folder.path().join("out");
    let report = pack(&job(&copy.join("master.m3u8"), "fairplay", "cbcs"), &out).unwrap();
    let codecs: Vec<_> = report.tracks.iter().map(|track| track.codec.as_str()).collect();
    let written = fs::read_to_string(out.join("master.m3u8")).unwrap();
    assert_eq!(values(&written, ",CODECS=\""), [codecs.join(",")], "{written}");
}
