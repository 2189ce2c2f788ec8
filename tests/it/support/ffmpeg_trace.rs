//! An independent reader of slice headers, `FFmpeg`'s header trace — ITU-T H.264 §7.3.3, ITU-T H.265 §7.3.6.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use drm_pack::base::FourCc;
use drm_pack::codec::{self, Config, Protection};

/// What the two syntaxes of NAL units differ in here.
pub(crate) struct Syntax {
    /// The name of the codec and of its byte stream.
    pub(crate) format: &'static str,
    encoder: &'static str,
    /// A sample entry with parameter sets in the samples, its configuration box, and one that holds none.
    entry: FourCc,
    configuration: (FourCc, &'static [u8]),
    is_slice: fn(&[u8]) -> bool,
    section: &'static str,
}

/// ITU-T H.264.
pub(crate) const AVC: Syntax = Syntax {
    format: "h264",
    encoder: "libx264",
    entry: FourCc(*b"avc3"),
    configuration: (FourCc(*b"avcC"), &[1, 100, 0, 31, 0xff, 0xe0, 0]),
    is_slice: |nal_unit| matches!(nal_unit[0] & 0x1f, 1 | 5),
    section: "Slice Header",
};

/// ITU-T H.265.
pub(crate) const HEVC: Syntax = Syntax {
    format: "hevc",
    encoder: "libx265",
    entry: FourCc(*b"hev1"),
    configuration: (
        FourCc(*b"hvcC"),
        &[1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0],
    ),
    is_slice: |nal_unit| nal_unit[0] >> 1 < 32,
    section: "Slice Segment Header",
};

pub(crate) fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostats", "-nostdin", "-y"]);
    command
}

/// Whether the peer is installed; a line says so when it is not.
pub(crate) fn ffmpeg_is_there() -> bool {
    let is_there = ffmpeg().arg("-version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("skipped: FFmpeg is not installed");
    }
    is_there
}

/// Encodes a synthetic source.
pub(crate) fn encode(syntax: &Syntax, source: &str, arguments: &[&str], path: &Path) {
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", source, "-c:v", syntax.encoder, "-threads", "1"]).args(arguments);
    let output = command.args(["-f", syntax.format]).arg(path).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// How many slices the stream has; every one of them begins where the trace says.
pub(crate) fn compare(syntax: &Syntax, name: &str, path: &Path) -> usize {
    let bytes = std::fs::read(path).unwrap();
    let nal_units = split(&bytes);
    let traced = trace(syntax, path);
    let sliced: Vec<&[u8]> =
        nal_units.iter().copied().filter(|nal_unit| (syntax.is_slice)(nal_unit)).collect();
    assert_eq!(sliced.len(), traced.len(), "{name}: slices in the file and in the trace");
    let expected: Vec<usize> =
        sliced.iter().zip(&traced).map(|(nal_unit, bits)| escaped(nal_unit, bits.div_ceil(8))).collect();
    let found = ours(syntax, name, &nal_units);
    assert_eq!(found.len(), sliced.len(), "{name}: ranges");
    for (slice, (range, nal_unit)) in found.iter().zip(&sliced).enumerate() {
        let begin = nal_unit.len() - range.len();
        assert_eq!(begin, expected[slice], "{name}: slice {slice} of {} bits", traced[slice]);
    }
    sliced.len()
}

/// The NAL units of a byte stream without `trailing_zero_8bits`: Annex B.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> =
        bytes.windows(3).enumerate().filter(|(_, code)| *code == [0, 0, 1]).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let trim = |nal_unit: &mut &[u8]| {
        while let [rest @ .., 0] = *nal_unit {
            *nal_unit = rest;
        }
    };
    let mut nal_units: Vec<&[u8]> =
        starts.iter().zip(ends).map(|(start, end)| &bytes[start + 3..end]).collect();
    nal_units.iter_mut().for_each(trim);
    nal_units
}

/// The position after the first `count` bytes of the NAL unit that are not emulation prevention.
fn escaped(nal_unit: &[u8], count: usize) -> usize {
    let is_payload = |at: usize| at < 2 || nal_unit[at - 2..=at] != [0, 0, 3];
    (0..nal_unit.len()).filter(|at| is_payload(*at)).nth(count - 1).unwrap() + 1
}

/// Our ranges, with all parameter sets in the sample.
fn ours(syntax: &Syntax, name: &str, nal_units: &[&[u8]]) -> Vec<Range<usize>> {
    let Protection::Ranges(parser) = codec::find(syntax.entry).unwrap().protection else {
        panic!("no ranges")
    };
    let mut parser = parser(&Config { entry: syntax.entry, boxes: vec![syntax.configuration] }).unwrap();
    let length = |nal_unit: &[u8]| u32::try_from(nal_unit.len()).unwrap().to_be_bytes();
    let mut sample = Vec::new();
    nal_units.iter().for_each(|nal_unit| sample.extend([&length(nal_unit), *nal_unit].concat()));
    let mut out = Vec::new();
    parser.ranges(&sample, &mut out).unwrap_or_else(|error| panic!("{name}: {error}"));
    out
}

/// The bits of each slice header in the trace, with the NAL unit header; alignment ends in the last byte.
fn trace(syntax: &Syntax, path: &Path) -> Vec<usize> {
    let mut command = ffmpeg();
    command.args(["-f", syntax.format, "-i"]).arg(path);
    let output = command.args(["-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let mut slices = Vec::new();
    let mut in_slice = false;
    for line in text.lines() {
        let Some((_, line)) = line.split_once("[trace_headers @ ") else { continue };
        let Some((_, line)) = line.split_once("] ") else { continue };
        let words: Vec<&str> = line.split_whitespace().collect();
        // "position name bits = value"
        let [position, name, bits, "=", _] = words[..] else {
            in_slice = line == syntax.section;
            if in_slice {
                slices.push(0);
            }
            continue;
        };
        if in_slice && name != "cabac_alignment_one_bit" {
            *slices.last_mut().unwrap() = position.parse::<usize>().unwrap() + bits.len();
        }
    }
    slices
}
