//! A file without `stss` whose pictures are not all key frames: these are found by their NAL units — ISO/IEC 14496-12 §8.6.2.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::isobmff::{parse_file, write_file};
use drm_pack::job::{Job, Layout};

use crate::camera_files::mended;
use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::files::tree;
use crate::support::pack::{SEED, job, pack, pack_without_keys};

/// Four seconds of 25 pictures, a key frame each second or with each picture, in a folder of its own.
fn encoded(folder: &Path, encoder: &str, key_frame: u32, more: &[&str]) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join("film.mp4");
    let options = match encoder {
        "libx264" => ["-x264-params".to_owned(), format!("keyint={key_frame}:scenecut=0")],
        _ => ["-x265-params".to_owned(), format!("keyint={key_frame}:scenecut=0:open-gop=0:log-level=none")],
    };
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=128x72:r=25:d=4", "-pix_fmt", "yuv420p"];
    let mut command = ffmpeg();
    command.args(source).args(["-c:v", encoder]).args(options).args(more).arg(&path);
    assert!(command.status().unwrap().success());
    path
}

/// Takes `stss` out; `moov` stands behind the media, where nothing moves.
fn without_stss(from: &Path, to: &Path) -> PathBuf {
    let mut boxes = parse_file(&fs::read(from).unwrap()).unwrap();
    let moov = boxes.iter_mut().find(|node| node.is(b"moov")).unwrap();
    let stbl = moov.find_mut(&[b"trak", b"mdia", b"minf", b"stbl"]).unwrap();
    let before = stbl.boxes().len();
    stbl.remove(|node| node.is(b"stss"));
    assert_eq!(stbl.boxes().len() + 1, before);
    fs::create_dir_all(to).unwrap();
    let path = to.join("film.mp4");
    fs::write(&path, write_file(&boxes)).unwrap();
    path
}

#[test]
fn key_frames_without_a_table_are_those_of_the_pictures() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (encoder, layout) in [("libx264", Layout::Segments), ("libx265", Layout::SingleFile)] {
        let whole = encoded(&folder.path().join(encoder), encoder, 25, &[]);
        let without = without_stss(&whole, &folder.path().join(encoder).join("without"));
        let packed = |input: &Path| {
            let out = tempfile::tempdir().unwrap();
            let job = Job {
                layout: Some(layout),
                segment_duration: 1.0,
                trick_play: true,
                ..job(input, "widevine", "cenc")
            };
            (pack(&job, out.path()).unwrap().warnings, out)
        };
        let ((_, expected), (warnings, out)) = (packed(&whole), packed(&without));
        assert_eq!(tree(expected.path()), tree(out.path()), "{encoder}");
        let playlist = fs::read_to_string(out.path().join("v1.m3u8")).unwrap();
        assert_eq!(playlist.matches("#EXTINF:1.0").count(), 4, "{encoder}: {playlist}");
        let said: Vec<_> = warnings.iter().filter(|warning| warning.contains("stss")).collect();
        assert_eq!(said.len(), 1, "{warnings:?}");
        assert!(said[0].contains("film.mp4: track 1") && said[0].contains("4 of 100 pictures"), "{said:?}");
        let mut verify = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
        verify.arg("verify").arg(out.path()).args(["--dev-keys", SEED, "--against"]).arg(&without);
        let output = verify.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn pictures_that_need_no_other_are_all_key_frames_without_a_word() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for encoder in ["libx264", "libx265"] {
        let input = encoded(&folder.path().join(encoder), encoder, 1, &[]);
        assert!(!fs::read(&input).unwrap().windows(4).any(|kind| kind == b"stss"));
        let out = tempfile::tempdir().unwrap();
        let job = Job { segment_duration: 0.52, ..job(&input, "widevine", "cenc") };
        let report = pack(&job, out.path()).unwrap();
        assert!(
            !report.warnings.iter().any(|warning| warning.contains("key frame")),
            "{:?}",
            report.warnings
        );
        let playlist = fs::read_to_string(out.path().join("v1.m3u8")).unwrap();
        assert_eq!(playlist.matches("#EXTINF").count(), 8, "{playlist}");
    }
}

#[test]
fn fragments_that_call_every_picture_a_key_frame_are_refused_with_a_remedy() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = encoded(folder.path(), "libx264", 25, &["-movflags", "frag_keyframe+empty_moov"]);
    pack(&job(&input, "widevine", "cenc"), tempfile::tempdir().unwrap().path()).unwrap();
    // default_sample_flags: sample_is_non_sync_sample is taken out.
    let mut bytes = fs::read(&input).unwrap();
    let headers: Vec<_> = (0..bytes.len() - 4).filter(|at| &bytes[*at..at + 4] == b"tfhd").collect();
    for at in headers {
        let flags = bytes[at..at + 40].windows(4).position(|flags| flags == [1, 1, 0, 0]).unwrap();
        bytes[at + flags..at + flags + 4].copy_from_slice(&[2, 0, 0, 0]);
    }
    fs::write(&input, bytes).unwrap();
    let out = folder.path().join("none");
    let error = pack_without_keys(&job(&input, "widevine", "cenc"), &out).unwrap_err().to_string();
    assert!(error.contains("its fragments call every picture a key frame") && !out.exists(), "{error}");
    let out = tempfile::tempdir().unwrap();
    let report = pack(&job(&mended(&error), "widevine", "cenc"), out.path()).unwrap();
    assert_eq!(report.tracks.len(), 1);
}
