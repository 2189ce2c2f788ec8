//! Key frames alone: playlists of I-frames and trick-mode sets — RFC 8216bis §4.4.3.6, DASH-IF IOP, trick modes.

use std::fs;
use std::path::Path;
use std::process::Command;

use drm_pack::isobmff::boxes::Trun;
use drm_pack::isobmff::parse_file;
use drm_pack::job::{Job, Layout, NameTemplates};

use crate::support::media::root;
use crate::support::pack::{SEED, job, pack, unpack};

fn trick_play(layout: Layout, scheme: &str) -> Job {
    let input = root().join("fixtures/clip/mp4/av.mp4");
    Job { trick_play: true, layout: Some(layout), ..job(&input, "widevine", scheme) }
}

/// The ranges of a playlist of I-frames.
fn ranges(out: &Path, playlist: &str) -> Vec<Vec<u8>> {
    let (mut found, mut range) = (Vec::new(), None);
    for line in fs::read_to_string(out.join(playlist)).unwrap().lines() {
        if let Some(text) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            let (length, start) = text.split_once('@').unwrap();
            range = Some((start.parse::<usize>().unwrap(), length.parse::<usize>().unwrap()));
        } else if !line.starts_with('#') && !line.is_empty() {
            let (start, length) = range.take().unwrap();
            found.push(fs::read(out.join(line)).unwrap()[start..start + length].to_vec());
        }
    }
    found
}

#[test]
fn playlists_of_i_frames_and_trick_mode_sets_name_whole_fragments_of_one_key_frame() {
    for layout in [Layout::Segments, Layout::SingleFile] {
        for (scheme, clear, rotate_every) in
            [("cenc", None, None), ("cbcs", None, Some(1)), ("cbcs", Some((2.0, 4.0)), None)]
        {
            let out = tempfile::tempdir().unwrap();
            let job = Job { clear: clear.into_iter().collect(), rotate_every, ..trick_play(layout, scheme) };
            pack(&job, out.path()).unwrap();
            let pictures = ranges(out.path(), "v1-iframes.m3u8");
            assert!(pictures.len() >= 4);
            for picture in &pictures {
                let boxes = parse_file(picture).unwrap();
                let kinds: Vec<_> = boxes.iter().map(|node| node.kind.to_string()).collect();
                assert_eq!(kinds, ["moof", "mdat"]);
                let trun = boxes[0].find(&[b"traf", b"trun"]).unwrap();
                assert_eq!(Trun::parse(trun.payload()).unwrap().samples.len(), 1);
            }
            let text = fs::read_to_string(out.path().join("v1-iframes.m3u8")).unwrap();
            assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n") && text.contains("#EXT-X-KEY:METHOD=SAMPLE-AES"));
            assert_eq!(text.contains("METHOD=NONE"), clear.is_some(), "{text}");
            let sum = |name: &str| -> f64 {
                let text = fs::read_to_string(out.path().join(name)).unwrap();
                let durations = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
                durations.map(|duration| duration.trim_end_matches(',').parse::<f64>().unwrap()).sum()
            };
            assert!((sum("v1-iframes.m3u8") - sum("v1.m3u8")).abs() < 0.01);
            let master = fs::read_to_string(out.path().join("master.m3u8")).unwrap();
            assert_eq!(master.matches("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=").count(), 1, "{master}");
            let mpd = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
            assert_eq!(mpd.matches("mediaRange=").count(), pictures.len(), "{mpd}");
            for words in [
                "schemeIdUri=\"http://dashif.org/guidelines/trickmode\" value=\"1\"",
                "codingDependency=\"false\"",
            ] {
                assert!(mpd.contains(words), "{words}: {mpd}");
            }
            let trick = mpd.split("<AdaptationSet").find(|set| set.contains("trickmode")).unwrap();
            assert!(!trick.contains("subsegmentAlignment") && trick.contains("segmentAlignment"), "{trick}");
            let source = root().join("fixtures/clip/mp4/av.mp4");
            let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
            command.arg("verify").arg(out.path()).args(["--dev-keys", SEED, "-v", "--against"]).arg(source);
            let output = command.output().unwrap();
            let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
            assert_eq!(output.status.code(), Some(0), "{layout:?} {scheme}: {text}");
            assert!(!text.contains("label-bandwidth:"), "{layout:?} {scheme}: {text}");
            for manifest in ["master.m3u8", "manifest.mpd"] {
                unpack(&out.path().join(manifest), tempfile::tempdir().unwrap().path()).unwrap();
            }
        }
    }
}

/// One playlist would be written over the other.
#[test]
fn a_playlist_of_i_frames_has_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = [("video_360.mp4", "film.mp4"), ("video_180.mp4", "film-iframes.mp4")].map(|(from, to)| {
        let path = folder.path().join(to);
        fs::copy(root().join("fixtures/clip/mp4").join(from), &path).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let names = NameTemplates { stream: Some("{inputName}".into()), ..NameTemplates::default() };
    let job = Job { inputs: inputs.to_vec(), names, ..trick_play(Layout::Segments, "cenc") };
    let error = pack(&job, &folder.path().join("out")).unwrap_err().to_string();
    assert!(error.contains("film-iframes.m3u8 would be the name of"), "{error}");
    let job = Job { trick_play: false, ..job };
    pack(&job, &folder.path().join("out")).unwrap();
}

/// Pictures before the first key frame cannot be shown, and a segment of them needs one that is not there.
#[test]
fn segments_that_begin_with_no_key_frame_are_not_independent() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(root().join("fixtures/clip/mp4/av.mp4")).unwrap();
    let stss = bytes.windows(4).position(|word| word == b"stss").unwrap();
    assert_eq!(bytes[stss + 12..stss + 16], [0, 0, 0, 1]);
    let says = |bytes: &[u8], name: &str| {
        let (input, out) = (folder.path().join("film.mp4"), folder.path().join(name));
        fs::write(&input, bytes).unwrap();
        let report = pack(&job(&input, "widevine", "cenc"), &out).unwrap();
        let has = |playlist: &str| {
            fs::read_to_string(out.join(playlist)).unwrap().contains("#EXT-X-INDEPENDENT-SEGMENTS\n")
        };
        (["master.m3u8", "v1.m3u8", "a1.m3u8"].map(has), report.warnings)
    };
    assert_eq!(says(&bytes, "whole"), ([true; 3], Vec::new()));
    bytes[stss + 15] = 5;
    let (has, warnings) = says(&bytes, "late");
    assert_eq!(has, [false, false, true]);
    let said = "4 samples come before the first key frame";
    assert!(warnings.iter().any(|warning| warning.contains(said)), "{warnings:?}");
}

#[test]
fn files_without_video_have_no_trick_modes() {
    let input = root().join("fixtures/clip/mp4/audio.m4a");
    let job = Job { trick_play: true, ..job(&input, "widevine", "cenc") };
    let error = pack(&job, tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
    assert!(error.contains("--trick-play has no effect"), "{error}");
}
