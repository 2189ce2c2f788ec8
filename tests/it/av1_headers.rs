//! Where the tiles of AV1 are, ours against `FFmpeg`'s header trace — AV1 Bitstream Specification §5.9, §5.11.

use std::fs;
use std::ops::Range;
use std::path::Path;

use drm_pack::base::{FourCc, Kid};
use drm_pack::codec::{self, Config, Protection};

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::media::shared;
use crate::support::pack;

/// What each clip is to exercise: source, encoder and its options.
const CLIPS: &[(&str, &str, &str, &[&str])] = &[
    ("plain", "testsrc2=s=320x240:d=1", "libaom-av1", &["-g", "10"]),
    ("tiles", "testsrc2=s=512x288:d=0.6", "libaom-av1", &["-tiles", "2x2"]),
    (
        "tile_groups",
        "testsrc2=s=512x288:d=0.6",
        "libaom-av1",
        &["-tiles", "4x2", "-aom-params", "num-tile-groups=3"],
    ),
    ("screen", "mandelbrot=s=320x240", "libaom-av1", &["-t", "0.4", "-aom-params", "tune-content=screen"]),
    ("film_grain", "testsrc2=s=320x240:d=0.6", "libaom-av1", &["-aom-params", "film-grain-test=3"]),
    (
        "grain_of_noise",
        "testsrc2=s=320x240:d=0.4,noise=alls=30:allf=t",
        "libaom-av1",
        &["-denoise-noise-level", "20"],
    ),
    ("lossless", "testsrc2=s=320x240:d=0.2", "libaom-av1", &["-crf", "0", "-aom-params", "deltaq-mode=0"]),
    ("monochrome", "testsrc2=s=320x240:d=0.6", "libaom-av1", &["-pix_fmt", "gray"]),
    ("profile_1", "testsrc2=s=320x240:d=0.2", "libaom-av1", &["-pix_fmt", "yuv444p"]),
    ("profile_2", "testsrc2=s=320x240:d=0.2", "libaom-av1", &["-pix_fmt", "yuv422p12le"]),
    ("rgb", "testsrc2=s=320x240:d=0.2", "libaom-av1", &["-pix_fmt", "gbrp"]),
    (
        "error_resilient",
        "testsrc2=s=320x240:d=0.8",
        "libaom-av1",
        &["-error-resilience", "default", "-lag-in-frames", "0"],
    ),
    (
        "delta_q_and_lf",
        "testsrc2=s=320x240:d=0.6",
        "libaom-av1",
        &["-aq-mode", "1", "-aom-params", "deltaq-mode=1:delta-lf-mode=1"],
    ),
    (
        "cyclic_refresh",
        "testsrc2=s=320x240:d=1",
        "libaom-av1",
        &["-usage", "realtime", "-aq-mode", "3", "-b:v", "100k", "-lag-in-frames", "0"],
    ),
    (
        "large_superblocks",
        "testsrc2=s=512x288:d=0.4",
        "libaom-av1",
        &["-aom-params", "sb-size=128", "-enable-restoration", "1", "-tiles", "2x2"],
    ),
    ("no_order_hints", "testsrc2=s=320x240:d=0.6", "libaom-av1", &["-aom-params", "enable-order-hint=0"]),
    ("still", "testsrc2=s=320x240:r=25:d=0.04", "libaom-av1", &["-still-picture", "1"]),
    ("decoder_model", "testsrc2=s=320x240:d=0.4", "libaom-av1", &["-aom-params", "timing-info=model"]),
    (
        "rotation",
        "testsrc2=s=320x240:d=0.4,rotate=t/3",
        "libaom-av1",
        &["-cpu-used", "4", "-enable-global-motion", "1"],
    ),
    (
        "superres",
        "testsrc2=s=512x288:d=0.4",
        "libsvtav1",
        &["-svtav1-params", "superres-mode=1:superres-denom=11"],
    ),
    ("random_superres", "testsrc2=s=512x288:d=0.6", "libsvtav1", &["-svtav1-params", "superres-mode=2"]),
    ("resized", "testsrc2=s=512x288:d=0.6", "libsvtav1", &["-svtav1-params", "resize-mode=2"]),
    (
        "switch_frames",
        "testsrc2=s=320x240:d=1",
        "libsvtav1",
        &["-svtav1-params", "pred-struct=1:sframe-dist=5:sframe-mode=1"],
    ),
    ("hierarchical", "testsrc2=s=512x288:d=1.4", "libsvtav1", &["-g", "32"]),
    ("svt_tiles", "testsrc2=s=512x288:d=0.6", "libsvtav1", &["-svtav1-params", "tile-columns=1:tile-rows=1"]),
    (
        "svt_grain",
        "testsrc2=s=320x240:d=0.4,noise=alls=30:allf=t",
        "libsvtav1",
        &["-svtav1-params", "film-grain=20"],
    ),
    ("low_delay", "testsrc2=s=320x240:d=0.6", "libsvtav1", &["-svtav1-params", "pred-struct=1"]),
    ("overlays", "testsrc2=s=320x240:d=1", "libsvtav1", &["-svtav1-params", "enable-overlays=1:enable-qm=1"]),
    ("rav1e", "testsrc2=s=320x240:d=0.4", "librav1e", &["-speed", "10", "-tiles", "4"]),
];

#[test]
fn av1_clips_have_the_tiles_where_ffmpeg_says() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut tiles = 0;
    for (name, source, encoder, arguments) in CLIPS {
        let path = directory.path().join(format!("{name}.ivf"));
        let quick: &[&str] = match *encoder {
            "libaom-av1" => &["-cpu-used", "8", "-threads", "1"],
            "libsvtav1" => &["-preset", "10"],
            _ => &[],
        };
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", source, "-c:v", encoder]).args(quick).args(*arguments);
        let output = command.arg(&path).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        tiles += compare(name, &path);
    }
    println!("{tiles} tiles of {} clips agree", CLIPS.len());
}

#[test]
fn av1_media_have_the_tiles_where_ffmpeg_says() {
    let Some(media) = shared().filter(|_| ffmpeg_is_there()) else { return };
    let directory = tempfile::tempdir().unwrap();
    let dash = media.join("dash/testpic_2s_av1");
    let mut inputs = vec![(
        "multitile".to_owned(),
        vec![media.join("mp4/av1_multitile_init.mp4"), media.join("mp4/av1_multitile_seg.m4s")],
    )];
    for track in ["av1", "av1_600"] {
        let folder = dash.join(track);
        let segments = (1..=5).map(|number| folder.join(format!("{number}.m4s")));
        inputs.push((track.to_owned(), [folder.join("init.mp4")].into_iter().chain(segments).collect()));
    }
    let mut tiles = 0;
    for (name, files) in inputs {
        let whole = directory.path().join(format!("{name}.mp4"));
        fs::write(&whole, files.iter().flat_map(|path| fs::read(path).unwrap()).collect::<Vec<u8>>())
            .unwrap();
        let path = directory.path().join(format!("{name}.ivf"));
        let output =
            ffmpeg().arg("-i").arg(&whole).args(["-map", "0:v:0", "-c", "copy"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        tiles += compare(&name, &path);
    }
    println!("{tiles} tiles of the shared media agree");
}

#[test]
fn protected_av1_is_decrypted_and_decoded_by_ffmpeg_as_before() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let clear = directory.path().join("clear.mp4");
    let mut command = ffmpeg();
    command.args([
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=512x288:d=1.2",
        "-c:v",
        "libsvtav1",
        "-preset",
        "10",
        "-g",
        "16",
    ]);
    let output = command.args(["-svtav1-params", "tile-columns=1:tile-rows=1"]).arg(&clear).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = frames(&clear, &[]);
    assert!(expected.len() > 20);
    for scheme in ["cenc", "cbcs"] {
        let out = directory.path().join(scheme);
        let report = pack::pack(&pack::job(&clear, "widevine", scheme), &out).unwrap();
        assert!(report.tracks[0].codec.starts_with("av01.0."), "{}", report.tracks[0].codec);
        let key = pack::key(Kid::parse(&report.tracks[0].kid).unwrap());
        let key: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        let protected = directory.path().join(format!("{scheme}.mp4"));
        let mut parts: Vec<_> = report.outputs.iter().map(|output| out.join(&output.path)).collect();
        parts.retain(|path| path.extension().is_some_and(|extension| extension == "m4s"));
        parts.sort();
        parts.insert(0, out.join("v1/init.mp4"));
        assert!(parts.len() > 1, "{parts:?}");
        let bytes: Vec<u8> = parts.iter().flat_map(|path| fs::read(path).unwrap()).collect();
        fs::write(&protected, bytes).unwrap();
        assert_eq!(frames(&protected, &["-decryption_key", &key]), expected, "{scheme}");
        assert_ne!(frames(&protected, &["-decryption_key", &"0".repeat(32)]), expected, "{scheme}");
    }
}

/// A digest of each decoded picture.
fn frames(path: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = ffmpeg();
    command.args(["-v", "quiet"]).args(arguments).arg("-i").arg(path);
    let output = command.args(["-fps_mode", "passthrough", "-f", "framemd5", "-"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let digest = |line: &str| line.rsplit(',').next().unwrap().trim().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(digest).collect()
}

/// How many tiles the stream has; the first of each tile group begins where the trace says, the others
/// follow by their sizes, and the last ends where the OBU does.
fn compare(name: &str, path: &Path) -> usize {
    let ivf = fs::read(path).unwrap();
    let entry = FourCc(*b"av01");
    let Protection::Ranges(parser) = codec::find(entry).unwrap().protection else { panic!("no ranges") };
    let boxes = vec![(FourCc(*b"av1C"), &[0x81, 0, 0x0c, 0][..])];
    let mut parser = parser(&Config { entry, boxes }).unwrap();
    let traced = trace(path);
    let (mut tiles, mut samples) = (0, 0);
    let mut rest = &ivf[32..];
    while !rest.is_empty() {
        let size = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        let sample = &rest[12..12 + size];
        rest = &rest[12 + size..];
        let mut out = Vec::new();
        parser.ranges(sample, &mut out).unwrap_or_else(|error| panic!("{name}: sample {samples}: {error}"));
        let groups = &traced[samples];
        let mut found = out.iter().peekable();
        for group in groups {
            let mut position = group.data.start;
            let mut count = 0;
            while let Some(tile) = found.next_if(|tile| tile.end <= group.data.end) {
                if tile.end < group.data.end {
                    let bytes = &sample[position..position + group.tile_size_bytes];
                    let size = bytes.iter().rev().fold(0, |size, byte| (size << 8) | usize::from(*byte)) + 1;
                    position += group.tile_size_bytes;
                    assert_eq!(tile.len(), size, "{name}: sample {samples}");
                }
                assert_eq!(tile.start, position, "{name}: sample {samples}");
                position = tile.end;
                count += 1;
            }
            assert_eq!(position, group.data.end, "{name}: sample {samples}");
            assert!(count > 0 && count <= group.most_tiles, "{name}: sample {samples}: {count} tiles");
            tiles += count;
        }
        assert!(found.next().is_none(), "{name}: sample {samples}");
        samples += 1;
    }
    assert_eq!(samples, traced.len(), "{name}: samples in the file and in the trace");
    tiles
}

/// A tile group in the trace.
struct TileGroup {
    /// From its first tile, or the size of that, to the end of the OBU.
    data: Range<usize>,
    tile_size_bytes: usize,
    most_tiles: usize,
}

/// What the trace has said of the packet so far; places are in bytes of it.
#[derive(Default)]
struct Trace {
    packets: Vec<Vec<TileGroup>>,
    obu_type: usize,
    /// Where the OBU begins.
    start: usize,
    /// Where it ends.
    end: usize,
    /// Where the syntax that was shown ends, from the start of the OBU.
    syntax: usize,
    tile_size_bytes: usize,
    tiles_log2: usize,
}

/// The tile groups of each packet in the trace.
fn trace(path: &Path) -> Vec<Vec<TileGroup>> {
    let mut command = ffmpeg();
    command.arg("-i").arg(path);
    let output = command.args(["-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let mut trace = Trace::default();
    for line in text.lines() {
        let Some((_, line)) = line.split_once("[trace_headers @ ") else { continue };
        let Some((_, line)) = line.split_once("] ") else { continue };
        trace.line(&line.split_whitespace().collect::<Vec<&str>>());
    }
    trace.end_of_obu();
    trace.packets
}

impl Trace {
    fn line(&mut self, words: &[&str]) {
        match *words {
            ["OBU", "header"] => self.end_of_obu(),
            ["Packet:", ..] => {
                self.end_of_obu();
                self.packets.push(Vec::new());
                self.end = 0;
            }
            // What comes before the first packet is a copy of its headers.
            _ if self.packets.is_empty() => {}
            // "position name bits = value"; the size has had its bits shown byte by byte.
            [_, "obu_size", "=", size] => {
                self.end = self.start + self.syntax + size.parse::<usize>().unwrap()
            }
            [position, name, bits, "=", value] => {
                self.syntax = (position.parse::<usize>().unwrap() + bits.len()).div_ceil(8);
                self.element(name, bits, value);
            }
            _ => {}
        }
    }

    fn element(&mut self, name: &str, bits: &str, value: &str) {
        match name {
            "obu_type" => {
                self.start = self.end;
                self.obu_type = value.parse().unwrap();
            }
            "uniform_tile_spacing_flag" => (self.tile_size_bytes, self.tiles_log2) = (0, 0),
            // Log2 of both, as many bits as context_update_tile_id has.
            "context_update_tile_id" => self.tiles_log2 = bits.len(),
            "tile_size_bytes_minus1" => self.tile_size_bytes = value.parse::<usize>().unwrap() + 1,
            _ => {}
        }
    }

    /// OBU_TILE_GROUP and OBU_FRAME end with tiles.
    fn end_of_obu(&mut self) {
        if matches!(std::mem::take(&mut self.obu_type), 4 | 6) {
            let data = self.start + self.syntax..self.end;
            let group =
                TileGroup { data, tile_size_bytes: self.tile_size_bytes, most_tiles: 1 << self.tiles_log2 };
            self.packets.last_mut().unwrap().push(group);
        }
    }
}
