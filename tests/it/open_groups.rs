//! Open groups of pictures, tracks that begin late, edits inside a group: where segments begin, and when what is in them is
//! presented — ISO/IEC 23009-1 §4.5.2, ISO/IEC 23000-19 §7.5.13, ISO/IEC 14496-12 §8.6.6.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::samples;
use drm_pack::isobmff::track::{tracks, trexes};
use drm_pack::job::{Job, Layout};

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::pack::{SEED, demuxed_files, job, pack};

const LAYOUTS: [Layout; 2] = [Layout::Segments, Layout::SingleFile];

/// Video of 24 frames per second whose groups of 4 s are open.
fn open(folder: &Path, encoder: &str) -> PathBuf {
    let path = folder.join(format!("{encoder}.mp4"));
    let options = match encoder {
        "libx264" => ["-x264-params", "open-gop=1:keyint=96:min-keyint=96:scenecut=0:bframes=3:b-adapt=0"],
        _ => ["-x265-params", "open-gop=1:keyint=96:min-keyint=96:scenecut=0:bframes=3:log-level=error"],
    };
    let source = ["-f", "lavfi", "-i", "testsrc2=s=128x72:r=24:d=16"];
    let mut command = ffmpeg();
    command.args(["-v", "error"]).args(source).args(["-pix_fmt", "yuv420p", "-c:v", encoder]).args(options);
    assert!(command.arg(&path).status().unwrap().success());
    path
}

/// The bytes of a track: its init segment and segments, or its file.
fn bytes(out: &Path, id: &str, layout: Layout) -> Vec<u8> {
    match layout {
        Layout::SingleFile => fs::read(out.join(format!("{id}.mp4"))).unwrap(),
        Layout::Segments => {
            let names = std::iter::once("init.mp4".into()).chain((1..).map(|n| format!("{n}.m4s")));
            names.map_while(|name| fs::read(out.join(id).join(name)).ok()).collect::<Vec<_>>().concat()
        }
    }
}

fn durations(playlist: &Path) -> Vec<f64> {
    let text = fs::read_to_string(playlist).unwrap();
    let durations = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    durations.map(|duration| duration.trim_end_matches(',').parse().unwrap()).collect()
}

/// What `verify` says, advice included.
fn verify(out: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    let output = command.arg("verify").arg(out).args(["--dev-keys", SEED]).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert_eq!(output.status.code(), Some(0), "{text}");
    text
}

#[test]
fn an_open_group_is_cut_at_its_key_frame_not_at_the_pictures_that_lead_it() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for encoder in ["libx264", "libx265"] {
        let input = open(folder.path(), encoder);
        let source = fs::read(&input).unwrap();
        let found = moov(&source).unwrap();
        let all: Vec<_> = samples(&source, &found, 1, &[]).unwrap().map(Result::unwrap).collect();
        let leading = all
            .windows(2)
            .filter(|two| two[0].is_sync() && two[1].composition_time() < two[0].composition_time());
        assert_eq!(leading.count(), 3, "{encoder}: three groups are open");
        for layout in LAYOUTS {
            let out = tempfile::tempdir().unwrap();
            let job = Job {
                layout: Some(layout),
                segment_duration: 4.0,
                clear: vec![(4.0, 8.0)],
                ..job(&input, "widevine", "cenc")
            };
            let report = pack(&job, out.path()).unwrap();
            let durations = durations(&out.path().join("v1.m3u8"));
            let near = durations.iter().all(|duration| (duration - 4.0).abs() < 0.2);
            assert!(durations.len() == 4 && near, "{encoder}: {durations:?}");
            assert!((durations.iter().sum::<f64>() - 16.0).abs() < 0.05, "{encoder}: {durations:?}");
            let [(from, to)] = report.tracks[0].clear[..] else { panic!("{:?}", report.tracks[0].clear) };
            assert!((from - 4.0).abs() < 0.2 && (to - 8.0).abs() < 0.2, "{encoder}: {from} to {to}");
            let text = verify(out.path());
            assert!(!text.contains("time-"), "{encoder}: {text}");
            let said = report.warnings.iter().filter(|warning| warning.contains("3 of the key frames"));
            assert_eq!(said.count(), 1, "{encoder}: {:?}", report.warnings);
            for name in ["v1.m3u8", "master.m3u8"] {
                let text = fs::read_to_string(out.path().join(name)).unwrap();
                assert!(!text.contains("INDEPENDENT-SEGMENTS"), "{encoder}: {text}");
            }
        }
    }
}

/// When the first packet of each stream is presented, by FFmpeg, in seconds.
fn first_times(file: &Path) -> Vec<(String, f64)> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "stream=codec_type:packet=stream_index,pts_time"]);
    let output = command.args(["-of", "csv"]).arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut kinds = Vec::new();
    let mut packets: Vec<(usize, f64)> = Vec::new();
    for line in text.lines() {
        match line.split(',').collect::<Vec<_>>()[..] {
            ["stream", kind, ..] => kinds.push(kind.to_owned()),
            ["packet", stream, time, ..] => {
                packets.extend(stream.parse().ok().zip(time.parse().ok()));
            }
            _ => {}
        }
    }
    let first = |stream: usize| {
        packets.iter().filter(|(of, _)| *of == stream).map(|(_, time)| *time).min_by(f64::total_cmp)
    };
    kinds.into_iter().enumerate().filter_map(|(stream, kind)| Some((kind, first(stream)?))).collect()
}

#[test]
fn tracks_that_begin_late_say_so_in_decode_times() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late.mp4");
    let mut command = ffmpeg();
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=128x72:r=25:d=4", "-itsoffset", "1.3"]);
    command.args(["-f", "lavfi", "-i", "sine=d=3", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-c:a", "aac"]);
    assert!(command.arg(&late).status().unwrap().success());
    for input in demuxed_files().into_iter().chain([late]) {
        let name = input.display();
        let expected = first_times(&input);
        let begin = expected.iter().map(|(_, time)| *time).fold(f64::INFINITY, f64::min);
        for layout in LAYOUTS {
            let out = tempfile::tempdir().unwrap();
            pack(&Job { layout: Some(layout), ..job(&input, "widevine", "cenc") }, out.path()).unwrap();
            let mpd = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
            let mut offset = f64::INFINITY;
            let mut found = Vec::new();
            for (kind, time) in &expected {
                let id = if kind == "video" { "v1" } else { "a1" };
                let bytes = bytes(out.path(), id, layout);
                let moov = moov(&bytes).unwrap();
                assert!(moov.find(&[b"trak", b"edts", b"elst"]).is_none_or(|elst| elst.payload()[7] <= 1));
                let track = tracks(&moov).unwrap().remove(0);
                let edit = moov.find(&[b"trak", b"edts", b"elst"]).map_or(0, |elst| {
                    i128::from(i32::from_be_bytes(elst.payload()[12..16].try_into().unwrap()))
                });
                let trexes = trexes(&moov).unwrap();
                let all = samples(&bytes, &moov, 1, &trexes).unwrap();
                // What is over before the edit begins is not presented.
                let shown = all
                    .map(Result::unwrap)
                    .filter(|sample| sample.composition_time() + i128::from(sample.duration) > edit);
                let first = shown.map(|sample| sample.composition_time()).min().unwrap() - edit;
                let seconds = first as f64 / f64::from(track.timescale);
                offset = offset.min(seconds.max(0.0));
                found.push((id, *time - begin, seconds));
            }
            for (id, expected, seconds) in found {
                // What FFmpeg says of priming differs by container; Matroska counts in milliseconds.
                let moved = seconds - offset - expected;
                assert!(moved.abs() < 0.025, "{name} {id}: {seconds} s, {expected} expected");
            }
            assert!(mpd.contains("mediaPresentationDuration"), "{name}");
            let text = verify(out.path());
            assert!(!text.contains("time-"), "{name}: {text}");
        }
    }
}

#[test]
fn an_edit_that_begins_inside_a_group_is_said() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole.mp4"), folder.path().join("cut.mp4"));
    let mut command = ffmpeg();
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=128x72:r=25:d=6", "-pix_fmt", "yuv420p"]);
    assert!(command.args(["-c:v", "libx264", "-g", "50"]).arg(&whole).status().unwrap().success());
    for (seek, warned) in [("2.6", true), ("2", false)] {
        let mut command = ffmpeg();
        command.args(["-v", "error", "-y", "-ss", seek, "-i"]).arg(&whole);
        assert!(command.args(["-c", "copy"]).arg(&cut).status().unwrap().success());
        let out = tempfile::tempdir().unwrap();
        let report =
            pack(&Job { segment_duration: 1.0, ..job(&cut, "widevine", "cenc") }, out.path()).unwrap();
        let said: Vec<_> = report.warnings.iter().filter(|warning| warning.contains("elst")).collect();
        assert_eq!(said.len(), usize::from(warned), "{seek}: {said:?}");
        if warned {
            let all = ["cut.mp4: track 1", "0.600 s behind a key frame", "at 1.400 s", "ffmpeg -i"];
            assert!(all.iter().all(|part| said[0].contains(part)), "{said:?}");
        }
        let text = verify(out.path());
        assert!(!text.contains("time-"), "{seek}: {text}");
    }
}
