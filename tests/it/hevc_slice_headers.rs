//! Where HEVC slice segment data begins, ours against `FFmpeg`'s header trace — ITU-T H.265 §7.3.6.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::ffmpeg_trace::{AVC, HEVC, Syntax, compare, encode, ffmpeg, ffmpeg_is_there};
use crate::support::hevc_stream::Stream;
use crate::support::media::{media_files, root, shared};

/// What each clip is to exercise, and how x265 is told so.
const CLIPS: &[(&str, &[&str])] = &[
    ("plain", &["-x265-params", "ref=1:bframes=0:wpp=0"]),
    ("many_slices", &["-x265-params", "slices=4:bframes=3:ref=3"]),
    ("wavefronts", &["-x265-params", "wpp=1:ctu=16:bframes=2"]),
    ("wavefronts_and_slices", &["-x265-params", "wpp=1:ctu=32:slices=3:bframes=2:weightb=1"]),
    ("weighted", &["-vf", "fade=in:0:20", "-x265-params", "weightp=1:weightb=1:bframes=3:wpp=0"]),
    (
        "weighted_monochrome",
        &["-pix_fmt", "gray", "-vf", "fade=in:0:20", "-x265-params", "weightp=1:weightb=1"],
    ),
    ("weighted_444", &["-pix_fmt", "yuv444p", "-vf", "fade=out:0:20", "-x265-params", "weightp=1:bframes=1"]),
    ("many_references", &["-x265-params", "ref=5:bframes=6:b-adapt=0:b-pyramid=1:no-wpp=1"]),
    (
        "ten_bits",
        &[
            "-pix_fmt",
            "yuv422p10le",
            "-x265-params",
            "slices=2:bframes=2:hrd=1:vbv-maxrate=900:vbv-bufsize=900",
        ],
    ),
    ("open_gop", &["-x265-params", "open-gop=1:keyint=8:min-keyint=4:bframes=4:rc-lookahead=10"]),
    ("closed_gop", &["-x265-params", "open-gop=0:keyint=8:min-keyint=8:bframes=4:aud=1:repeat-headers=1"]),
    ("no_loop_filters", &["-x265-params", "no-deblock=1:no-sao=1:slices=2:bframes=1"]),
    ("temporal_layers", &["-x265-params", "temporal-layers=1:bframes=3:b-adapt=0"]),
    ("interlaced", &["-x265-params", "interlace=tff:bframes=2:ref=4"]),
    (
        "sets_in_headers",
        &["-x265-params", "multi-pass-opt-rps=0:ref=5:bframes=4:tskip=1:scaling-list=default"],
    ),
    ("lossless", &["-x265-params", "lossless=1:cu-lossless=1:keyint=4:no-wpp=1"]),
];

/// Streams of drawn syntax.
const SEEDS: u64 = 16;

#[test]
fn x265_clips_have_the_slice_data_where_ffmpeg_says() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut slices = 0;
    for (name, arguments) in CLIPS {
        let path = directory.path().join(format!("{name}.hevc"));
        let arguments = [&["-preset", "fast"], *arguments].concat();
        encode(&HEVC, "testsrc2=s=320x240:r=25:d=0.8", &arguments, &path);
        slices += compare(&HEVC, name, &path);
    }
    println!("{slices} slice segments of {} clips agree", CLIPS.len());
}

#[test]
fn slice_segment_headers_of_every_syntax_end_where_ffmpeg_says() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // A picture that decodes comes first: without dimensions there is no trace.
    let picture = directory.path().join("picture.hevc");
    encode(&HEVC, "color=s=128x128:d=0.04", &["-bsf:v", "filter_units=remove_types=39|40"], &picture);
    let picture = fs::read(picture).unwrap();
    let mut slices = 0;
    for seed in 1..=SEEDS {
        let path = directory.path().join(format!("{seed}.hevc"));
        fs::write(&path, [&picture[..], &Stream::new(seed).write()].concat()).unwrap();
        slices += compare(&HEVC, &format!("seed {seed}"), &path);
    }
    println!("{slices} slice segments of {SEEDS} streams agree");
}

#[test]
fn media_files_have_the_slice_data_where_ffmpeg_says() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for syntax in [&AVC, &HEVC] {
        let (mut slices, mut files) = (0, 0);
        for (path, bytes) in media_files(&["mp4", "ts"]) {
            // The trace has no second view; spatial.rs holds its slices to another peer.
            if path.ends_with("mv_hevc.mp4") {
                continue;
            }
            let whole = directory.path().join("whole");
            fs::write(&whole, [bytes, segments(&path)].concat()).unwrap();
            let stream = directory.path().join("stream");
            if annex_b(syntax, &whole, &stream) {
                slices += compare(syntax, &path.display().to_string(), &stream);
                files += 1;
            }
        }
        println!("{slices} {} slices of {files} files agree", syntax.format);
        // The project's own clip is AVC; HEVC is there when the shared media is.
        assert!(slices > 0 || (syntax.format == HEVC.format && shared().is_none()), "{}", root().display());
    }
}

/// The media segments that belong to an initialization segment, in order of their numbers.
fn segments(init: &Path) -> Vec<u8> {
    let name = init.file_name().unwrap().to_str().unwrap();
    let Some((prefix, _)) = name.split_once("init") else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(init.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(stem) = name.strip_suffix(".m4s").and_then(|name| name.strip_prefix(prefix)) else {
            continue;
        };
        let number = stem.trim_start_matches("seg_").trim_start_matches("seg").trim_start_matches("hls");
        found.extend(number.parse().ok().map(|number| (number, path)));
    }
    found.sort();
    found.iter().flat_map(|(_, path)| fs::read(path).unwrap()).collect()
}

/// Copies the first picture track into a byte stream, if it is one of this syntax that has samples.
fn annex_b(syntax: &Syntax, from: &Path, to: &Path) -> bool {
    let filter = format!("{}_mp4toannexb", syntax.format);
    let mut command = ffmpeg();
    command.arg("-i").arg(from).args(["-map", "0:v:0", "-c", "copy", "-bsf:v", &filter, "-f", syntax.format]);
    let output = command.arg(to).output().unwrap();
    output.status.success() && fs::metadata(to).unwrap().len() > 0
}
