//! Ladders whose files do not go together are said before keys are asked for — RFC 8216bis §6.2.4; options that would do
//! nothing are refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use drm_pack::base::Kind;
use drm_pack::job::{Job, TrackFacts};
use tempfile::TempDir;

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::media::root;
use crate::support::pack::{job, pack, pack_without_keys};

fn av() -> PathBuf {
    root().join("fixtures/clip/mp4/av.mp4")
}

fn of(inputs: &[PathBuf]) -> Job {
    let inputs = inputs.iter().map(|input| input.to_str().unwrap().to_owned()).collect();
    Job { inputs, ..job(&av(), "widevine", "cenc") }
}

#[test]
fn a_file_that_is_given_twice_is_refused_by_whatever_name() {
    let folder = tempfile::tempdir().unwrap();
    let [copy, link, other] = ["copy.mp4", "link.mp4", "other.mp4"].map(|name| folder.path().join(name));
    fs::copy(av(), &copy).unwrap();
    fs::hard_link(&copy, &link).unwrap();
    // The same tables over other media are another file.
    let mut bytes = fs::read(av()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&other, &bytes).unwrap();
    for second in [&av(), &copy, &link] {
        let out = tempfile::tempdir().unwrap();
        let error = pack_without_keys(&of(&[av(), second.clone()]), out.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{error}");
        assert!(error.to_string().contains("same file"), "{error}");
        assert!(error.to_string().contains(second.file_name().unwrap().to_str().unwrap()), "{error}");
    }
    let out = tempfile::tempdir().unwrap();
    let refused = pack_without_keys(&of(&[av(), other]), out.path()).unwrap_err();
    assert!(!refused.to_string().contains("same file"), "{refused}");
}

/// Seconds, frames between key frames, ticks per second.
type Shape = (&'static str, &'static str, &'static str);

/// Video with a key frame every `gop` frames of `rate` a second.
fn video(folder: &TempDir, name: &str, (seconds, gop, rate): Shape) -> PathBuf {
    let path = folder.path().join(name);
    let source = format!("testsrc=s=96x64:r=10:d={seconds}");
    let arguments = ["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "libx264", "-preset", "ultrafast"];
    let more = ["-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-video_track_timescale", rate];
    assert!(ffmpeg().args(arguments).args(more).arg(&path).status().unwrap().success());
    path
}

#[test]
fn what_of_a_ladder_does_not_agree_is_said() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first = video(&folder, "v1.mp4", ("6", "25", "10000"));
    let rows: [(Shape, &[&str]); 5] = [
        (("6.1", "25", "10000"), &[]),
        (("3", "25", "10000"), &["v2 lasts until 3.000 s", "other.mp4"]),
        (("6", "20", "10000"), &["key frames", "other.mp4"]),
        (("6", "25", "90000"), &[]),
        (("6", "25", "1001"), &["1001 ticks per second", "other.mp4"]),
    ];
    for (shape, said) in rows {
        let other = video(&folder, "other.mp4", shape);
        let out = tempfile::tempdir().unwrap();
        let report = pack(&of(&[first.clone(), other.clone()]), out.path()).unwrap();
        let warnings = report.warnings.join("\n");
        assert_eq!(said.is_empty(), warnings.is_empty(), "{shape:?}: {warnings}");
        said.iter().for_each(|words| assert!(warnings.contains(words), "{words}: {warnings}"));
        fs::remove_file(other).unwrap();
    }
}

#[test]
fn audio_without_a_language_beside_audio_with_one_is_said() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let audio = |name: &str, language: &str, pitch: u32| {
        let path = folder.path().join(name);
        let source = format!("sine={pitch}:d=2");
        let language = format!("language={language}");
        let arguments =
            ["-v", "error", "-f", "lavfi", "-i", &source, "-c:a", "aac", "-metadata:s:a:0", &language];
        assert!(ffmpeg().args(arguments).arg(&path).status().unwrap().success());
        path
    };
    let inputs = [audio("en.mp4", "eng", 300), audio("none.mp4", "und", 400), audio("de.mp4", "deu", 500)];
    let out = tempfile::tempdir().unwrap();
    let warnings = pack(&of(&inputs), out.path()).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("none.mp4: a2 has no language"), "{warnings:?}");
    // The operator knows it.
    let tracks = vec![TrackFacts::parse("a2:lang=fr").unwrap()];
    let out = tempfile::tempdir().unwrap();
    let warnings = pack(&Job { tracks, ..of(&inputs) }, out.path()).unwrap().warnings;
    assert!(warnings.is_empty(), "{warnings:?}");
}

fn plan(input: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    command.arg("plan").arg(input).args(["--drm", "widevine", "--dev-keys", "x"]).args(options);
    command.output().unwrap()
}

#[test]
fn an_option_that_would_do_nothing_is_refused() {
    let package = root().join("fixtures/clip/dash/manifest.mpd");
    let rows: [(&Path, &[&str]); 6] = [
        (&package, &["--segment-duration", "2"]),
        (&package, &["--allow-full-sample"]),
        (&package, &["--no-session-keys"]),
        (&package, &["--skd-template", "skd://{kid}"]),
        (&av(), &["--no-session-keys", "--format", "dash"]),
        (&av(), &["--skd-template", "skd://{kid}"]),
    ];
    for (input, options) in rows {
        let output = plan(input, options);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {text}");
        assert!(text.contains(&format!("{} has no effect", options[0])), "{text}");
    }
    for options in [&["--segment-duration", "2"][..], &["--no-session-keys"]] {
        assert!(plan(&av(), options).status.success(), "{options:?}");
    }
}
