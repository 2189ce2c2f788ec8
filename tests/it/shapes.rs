//! Shapes of MP4 files: whatever the tables look like, players get the same samples at the same times.
//!
//! It is longer than 400 lines because every shape is made here, from a clip that FFmpeg encodes or by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::base::Kid;
use drm_pack::job::{Layout, Report, TrackReport};
use tempfile::TempDir;

use super::pack::{job, key, pack};
use super::trace::{ffmpeg, ffmpeg_is_there};

const SCHEMES: [&str; 2] = ["cenc", "cbcs"];
const LAYOUTS: [Layout; 2] = [Layout::Segments, Layout::SingleFile];

/// Pictures with reordering, a random access point each second, and sound; what follows is up to the muxer.
const CLIP: &[&str] = &[
    "-f",
    "lavfi",
    "-i",
    "testsrc=s=160x96:r=10:d=4",
    "-f",
    "lavfi",
    "-i",
    "sine=d=4",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-bf",
    "2",
    "-g",
    "10",
    "-threads",
    "1",
    "-c:a",
    "aac",
    "-b:a",
    "32k",
];

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A clip muxed with these options.
fn clip(folder: &TempDir, arguments: &[&str]) -> PathBuf {
    let path = folder.path().join("clip.mp4");
    run(ffmpeg().args(CLIP).args(arguments).arg(&path));
    path
}

/// Decode time, presentation time, size and hash of each packet of one stream, as FFmpeg reads it.
fn packets(input: &Path, options: &[&str], stream: &str) -> Vec<String> {
    let mut command = ffmpeg();
    command.args(["-v", "fatal", "-copyts"]).args(options);
    // FFmpeg loses count of encrypted samples when it seeks in fragments without an index, so it gets a pipe.
    if input.is_dir() {
        let all = input.join("all");
        fs::write(&all, segments(input).concat()).unwrap();
        command.args(["-i", "-"]).stdin(fs::File::open(all).unwrap());
    } else {
        command.arg("-i").arg(input);
    }
    let text = run(command.args(["-map", stream, "-c", "copy", "-copyts", "-f", "framemd5", "-"]));
    let lines = String::from_utf8(text).unwrap();
    // Not the duration: at the end FFmpeg takes it from the sample table or from the codec.
    let field = |line: &str, at: usize| line.split(',').nth(at).unwrap().trim().to_owned();
    let packet = |line: &str| [1, 2, 4, 5].map(|at| field(line, at)).join(" ");
    lines.lines().filter(|line| !line.starts_with('#')).map(packet).collect()
}

/// The init segment and the segments in order.
fn segments(folder: &Path) -> Vec<Vec<u8>> {
    let names = std::iter::once("init.mp4".to_owned()).chain((1..).map(|number| format!("{number}.m4s")));
    names.map_while(|name| fs::read(folder.join(name)).ok()).collect()
}

/// The stream that an output track was made of, as FFmpeg names it.
fn stream(track: &str) -> String {
    format!("0:{}:{}", &track[..1], track[1..].parse::<usize>().unwrap() - 1)
}

/// The key of a track, as FFmpeg takes it.
fn key_of(track: &TrackReport) -> String {
    let key = key(Kid::parse(&track.kid).unwrap());
    key.expose().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn packed(input: &Path, scheme: &str, layout: Layout) -> (TempDir, Report) {
    let out = tempfile::tempdir().unwrap();
    let job = drm_pack::job::Job { layout: Some(layout), ..job(input, "widevine+playready", scheme) };
    let report = pack(&job, out.path()).map_err(|error| format!("{}: {error}", input.display())).unwrap();
    (out, report)
}

/// What FFmpeg plays of an output track.
fn played(out: &TempDir, track: &TrackReport, layout: Layout) -> Vec<String> {
    let name = if layout == Layout::SingleFile { ".mp4" } else { "" };
    let path = out.path().join(format!("{}{name}", track.id));
    packets(&path, &["-decryption_key", &key_of(track)], &stream(&format!("{}1", &track.id[..1])))
}

/// Packs the file in every scheme and layout; FFmpeg decrypts each track to the packets of the source.
fn plays_the_same(input: &Path) {
    for scheme in SCHEMES {
        for layout in LAYOUTS {
            let (out, report) = packed(input, scheme, layout);
            assert!(!report.tracks.is_empty());
            for track in &report.tracks {
                let source = packets(input, &[], &stream(&track.id));
                let played = played(&out, track, layout);
                assert!(!source.is_empty());
                let differs = source.iter().zip(&played).find(|(a, b)| a != b);
                let counts = (source.len(), played.len());
                let id = &track.id;
                assert!(source == played, "{id} {scheme} {layout:?}: {counts:?} packets, {differs:?}");
            }
        }
    }
}

#[test]
fn progressive_files_play_the_same_wherever_their_moov_is() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["-movflags", "+faststart"][..], &[], &["-use_editlist", "0"], &["-video_track_timescale", "90000"]]
    {
        plays_the_same(&clip(&folder, arguments));
    }
}

#[test]
fn fragmented_files_play_the_same_whatever_their_offsets_count_from() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for flags in [
        "+frag_keyframe+empty_moov",
        "+frag_keyframe+empty_moov+default_base_moof",
        "+frag_keyframe+empty_moov+omit_tfhd_offset",
        "+frag_keyframe+empty_moov+separate_moof",
        "+frag_keyframe",
        "+frag_keyframe+delay_moov+global_sidx+default_base_moof",
        "+dash+frag_keyframe+delay_moov",
        "+cmaf+frag_keyframe+delay_moov+negative_cts_offsets",
    ] {
        plays_the_same(&clip(&folder, &["-movflags", flags]));
    }
    let chunks =
        ["-movflags", "+empty_moov+default_base_moof", "-frag_duration", "300000", "-write_prft", "pts"];
    plays_the_same(&clip(&folder, &chunks));
}

#[test]
fn negative_composition_offsets_stay_negative() {
    if !ffmpeg_is_there() {
        return;
    }
    // FFmpeg presents fragments with negative offsets later by the greatest of them, its own ones too: what it
    // plays is compared with its own fragments.
    let folder = tempfile::tempdir().unwrap();
    let progressive = clip(&folder, &["-movflags", "+negative_cts_offsets"]);
    let fragmented = folder.path().join("fragmented.mp4");
    let flags = "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets";
    run(ffmpeg().arg("-i").arg(&progressive).args(["-c", "copy", "-movflags", flags]).arg(&fragmented));
    for layout in LAYOUTS {
        let (out, report) = packed(&progressive, "cenc", layout);
        let played = played(&out, &report.tracks[0], layout);
        assert_eq!(played, packets(&fragmented, &[], "0:v:0"), "{layout:?}");
    }
}
