//! Where the uncompressed headers of VP9 end, ours against `FFmpeg`'s header trace — VP9 Bitstream Specification §6.2.

use std::fs;
use std::path::Path;

use drm_pack::base::FourCc;
use drm_pack::codec::{self, Config, Protection};

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};

/// What each clip is to exercise: size, length and options of the encoder.
const CLIPS: &[(&str, &str, &[&str])] = &[
    ("altref", "320x240", &["-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "300k"]),
    ("tiles", "1280x720", &["-tile-columns", "3", "-tile-rows", "1", "-b:v", "2M", "-deadline", "realtime"]),
    ("error_resilient", "640x360", &["-error-resilient", "1", "-deadline", "realtime", "-cpu-used", "8"]),
    ("segments", "320x240", &["-aq-mode", "3", "-deadline", "realtime", "-b:v", "100k"]),
    ("profile_1", "320x240", &["-pix_fmt", "yuv444p", "-b:v", "300k"]),
    ("profile_2", "320x240", &["-pix_fmt", "yuv420p10le", "-b:v", "300k"]),
    ("rgb", "320x240", &["-pix_fmt", "gbrp", "-b:v", "300k"]),
    ("lossless", "320x240", &["-lossless", "1"]),
];

#[test]
fn vp9_clips_have_the_compressed_data_where_ffmpeg_says() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut frames = 0;
    for (name, size, arguments) in CLIPS {
        let path = directory.path().join(format!("{name}.ivf"));
        let source = format!("testsrc2=s={size}:r=25:d=1");
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", &source, "-c:v", "libvpx-vp9", "-cpu-used", "5", "-g", "12"]);
        let output = command.args(*arguments).arg(&path).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let (ours, theirs) = (ours(&fs::read(&path).unwrap()), trace(&path));
        assert_eq!(ours, theirs, "{name}");
        frames += ours.len();
    }
    println!("{frames} frames of {} clips agree", CLIPS.len());
}

/// The sizes of our ranges in every sample of an IVF file.
fn ours(ivf: &[u8]) -> Vec<usize> {
    let entry = FourCc(*b"vp09");
    let Protection::Ranges(parser) = codec::find(entry).unwrap().protection else { panic!("no ranges") };
    let mut parser = parser(&Config { entry, boxes: Vec::new() }).unwrap();
    let mut out = Vec::new();
    let mut rest = &ivf[32..];
    while !rest.is_empty() {
        let size = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        parser.ranges(&rest[12..12 + size], &mut out).unwrap();
        rest = &rest[12 + size..];
    }
    out.iter().map(ExactSizeIterator::len).collect()
}

/// The bytes after each uncompressed header in the trace, superframes taken apart.
fn trace(path: &Path) -> Vec<usize> {
    let mut command = ffmpeg();
    command.arg("-i").arg(path).args(["-c", "copy", "-bsf:v", "vp9_superframe_split,trace_headers"]);
    let output = command.args(["-f", "null", "-"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let mut frames = Vec::new();
    let mut packet = 0_usize;
    for line in text.lines() {
        let Some((_, line)) = line.split_once("[trace_headers @ ") else { continue };
        let Some((_, line)) = line.split_once("] ") else { continue };
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Packet:", size, "bytes,", ..] => packet = size.parse().unwrap(),
            // The last element of the header.
            [position, "header_size_in_bytes", bits, "=", _] => {
                let end = position.parse::<usize>().unwrap() + bits.len();
                frames.push(packet - end.div_ceil(8));
            }
            _ => {}
        }
    }
    frames
}
