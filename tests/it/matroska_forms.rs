//! What Matroska says beside its frames, and the forms in which it has them — RFC 9559 §5.1.4.1: color of the mastering
//! display, first bytes that are stated once, codecs of audio.

use std::fs;
use std::path::Path;

use drm_pack::demux::opened;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::samples;
use drm_pack::isobmff::track::{tracks, trexes};
use drm_pack::job::Job;

use crate::remedies::typed;
use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::media::root;
use crate::support::pack::{SEED, job, pack};
use crate::verify::verify;

const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK: u32 = 0xae;
const VIDEO: u32 = 0xe0;
const CLUSTER: u32 = 0x1f43_b675;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;

/// An element of a size of eight bytes.
fn element(id: u32, data: &[u8]) -> Vec<u8> {
    let id: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [&id[..], &(1 << 56 | data.len() as u64).to_be_bytes(), data].concat()
}

/// The elements of data: ids and data.
fn elements(mut data: &[u8]) -> Vec<(u32, &[u8])> {
    let mut all = Vec::new();
    while let Some(first) = data.first() {
        let length = first.leading_zeros() as usize + 1;
        let id = data[..length].iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
        let size_length = data[length].leading_zeros() as usize + 1;
        let size =
            data[length..length + size_length].iter().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        let size = usize::try_from(size & !(u64::MAX << (7 * size_length))).unwrap();
        let start = length + size_length;
        all.push((id, &data[start..start + size]));
        data = &data[start + size..];
    }
    all
}

/// A file of which every element on the path is changed.
fn changed(data: &[u8], path: &[u32], change: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let Some((first, rest)) = path.split_first() else { return change(data) };
    let all = elements(data).into_iter().map(|(id, data)| match id == *first {
        true => element(id, &changed(data, rest, change)),
        false => element(id, data),
    });
    all.collect::<Vec<_>>().concat()
}

fn clip(name: &str) -> Vec<u8> {
    fs::read(root().join("fixtures/clip/demux").join(name)).unwrap()
}

fn float(id: u32, value: f64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// Colour of HDR10 with BT.2020 in P3 and D65, as films have it.
fn colour() -> Vec<u8> {
    let chromaticities = [0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329];
    let mut mastering: Vec<u8> =
        (0x55d1..).zip(chromaticities).flat_map(|(id, value)| float(id, value)).collect();
    mastering.extend(float(0x55d9, 1000.0));
    mastering.extend(float(0x55da, 0.0001));
    let numbers = [(0x55b1, 9), (0x55ba, 16), (0x55bb, 9)];
    let mut colour: Vec<u8> = numbers.into_iter().flat_map(|(id, value)| element(id, &[value])).collect();
    colour.extend(element(0x55bc, &[3, 0xe8]));
    colour.extend(element(0x55bd, &[1, 0x90]));
    colour.extend(element(0x55d0, &mastering));
    element(0x55b0, &colour)
}

/// A clip whose video has a color.
fn colored(name: &str) -> Vec<u8> {
    changed(&clip(name), &[SEGMENT, TRACKS, TRACK, VIDEO], &|video| {
        let kept = elements(video).into_iter().filter(|(id, _)| *id != 0x55b0);
        let kept: Vec<_> = kept.map(|(id, data)| element(id, data)).collect();
        [kept.concat(), colour()].concat()
    })
}

#[test]
fn the_mastering_display_and_the_light_level_are_carried_into_cmaf_as_each_binding_has_them() {
    let bytes = |numbers: [u16; 8]| numbers.map(u16::to_be_bytes).concat();
    let levels = [3, 0xe8, 1, 0x90];
    let mdcv = [
        &b"mdcv"[..],
        &bytes([13_250, 34_500, 7500, 3000, 34_000, 16_000, 15_635, 16_450]),
        &10_000_000_u32.to_be_bytes(),
        &1_u32.to_be_bytes(),
    ]
    .concat();
    let smdm = [
        &b"SmDm\0\0\0\0"[..],
        &bytes([44_564, 20_972, 17_367, 45_220, 9830, 3932, 20_493, 21_561]),
        &256_000_u32.to_be_bytes(),
        &2_u32.to_be_bytes(),
    ]
    .concat();
    for (name, expected) in [
        ("hevc_eac3.mkv", [mdcv.clone(), [&b"clli"[..], &levels].concat()]),
        ("av1_ac3.mkv", [mdcv, [&b"clli"[..], &levels].concat()]),
        ("vp9_opus.webm", [smdm, [&b"CoLL\0\0\0\0"[..], &levels].concat()]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (path, out) = (folder.path().join(name), folder.path().join("out"));
        fs::write(&path, colored(name)).unwrap();
        pack(&job(&path, "widevine", "cenc"), &out).unwrap();
        let init = fs::read(out.join("v1/init.mp4")).unwrap();
        let colr = b"colrnclx\0\x09\0\x10\0\x09";
        for wanted in expected.iter().map(Vec::as_slice).chain([&colr[..]]) {
            assert!(init.windows(wanted.len()).any(|found| found == wanted), "{name}: {wanted:02x?}");
        }
        assert!(fs::read_to_string(out.join("master.m3u8")).unwrap().contains("VIDEO-RANGE=PQ"), "{name}");
        let (code, text) = verify(&[&out], &["--dev-keys", SEED]);
        assert!(code == 0 && !text.contains("label-"), "{text}");
    }
}

#[test]
fn a_mastering_display_that_is_not_all_said_is_left_out_and_said() {
    let whole = colored("vp9_opus.webm");
    // LuminanceMin becomes an element that is void.
    let at = whole.windows(2).position(|id| id == [0x55, 0xda]).unwrap();
    let mut part = whole.clone();
    part[at..at + 2].copy_from_slice(&[0x5f, 0xda]);
    let demuxed = opened(Box::new(part)).unwrap();
    assert!(demuxed.left_out.iter().any(|what| what.contains("MasteringMetadata")), "{:?}", demuxed.left_out);
    assert!(opened(Box::new(whole)).unwrap().left_out.is_empty());
}

/// The samples of every track, byte by byte.
fn media(bytes: Vec<u8>) -> Vec<Vec<Vec<u8>>> {
    let source = opened(Box::new(bytes)).unwrap().source;
    let moov = moov(source.as_ref()).unwrap();
    let trexes = trexes(&moov).unwrap();
    let of = |track_id: u32| {
        let all = samples(source.as_ref(), &moov, track_id, &trexes).unwrap();
        let whole = all.map(|sample| {
            let sample = sample.unwrap();
            let mut bytes = vec![0; sample.size as usize];
            source.read_at(sample.position, &mut bytes).unwrap();
            bytes
        });
        whole.collect()
    };
    tracks(&moov).unwrap().iter().map(|track| of(track.track_id)).collect()
}

/// A clip whose frames of this track lack their first bytes, as the track says.
fn stripped(name: &str, track_number: u8, first_bytes: &[u8]) -> Vec<u8> {
    let settings = [element(0x4254, &[3]), element(0x4255, first_bytes)].concat();
    let encodings = element(0x6d80, &element(0x6240, &element(0x5034, &settings)));
    let said = changed(&clip(name), &[SEGMENT, TRACKS, TRACK], &|track| {
        let is_own = elements(track).contains(&(0xd7, &[track_number]));
        if is_own { [track, &encodings].concat() } else { track.to_vec() }
    });
    let strip = |block: &[u8]| {
        let (head, frame) = block.split_at(4);
        if head[0] == 0x80 | track_number {
            [head, frame.strip_prefix(first_bytes).unwrap()].concat()
        } else {
            block.to_vec()
        }
    };
    let simple = changed(&said, &[SEGMENT, CLUSTER, SIMPLE_BLOCK], &strip);
    changed(&simple, &[SEGMENT, CLUSTER, BLOCK_GROUP, BLOCK], &strip)
}

#[test]
fn first_bytes_that_are_stated_once_are_put_before_every_frame() {
    for (name, track_number, first_bytes) in [
        ("av1_ac3.mkv", 2, &[0x0b, 0x77][..]),
        ("avc_aac.mkv", 1, &[0, 0]),
        ("hevc_eac3.mkv", 2, &[0x0b, 0x77]),
    ] {
        let short = stripped(name, track_number, first_bytes);
        assert!(media(short.clone()) == media(clip(name)), "{name}");
        let folder = tempfile::tempdir().unwrap();
        let (path, out) = (folder.path().join(name), folder.path().join("out"));
        fs::write(&path, short).unwrap();
        pack(&job(&path, "widevine", "cenc"), &out).unwrap();
        let (code, text) = verify(&[&out], &["--dev-keys", SEED, "--against", path.to_str().unwrap()]);
        assert!(code == 0, "{name}: {text}");
    }
}

#[test]
fn frames_that_are_compressed_are_refused_and_subtitles_are_left_out_all_the_same() {
    let compressed = |kind: u8| {
        let encodings = element(0x6d80, &element(0x6240, &element(0x5034, &element(0x4254, &[0]))));
        changed(&clip("av1_ac3.mkv"), &[SEGMENT, TRACKS, TRACK], &|track| {
            if !elements(track).contains(&(0xd7, &[2])) {
                return track.to_vec();
            }
            let kept = elements(track).into_iter().filter(|(id, _)| *id != 0x83);
            let kept: Vec<_> = kept.map(|(id, data)| element(id, data)).collect();
            [kept.concat(), element(0x83, &[kind]), encodings.clone()].concat()
        })
    };
    let error = opened(Box::new(compressed(2))).err().unwrap().to_string();
    assert!(error.contains("zlib") && error.contains("track 2") && error.contains("ffmpeg"), "{error}");
    let demuxed = opened(Box::new(compressed(17))).unwrap();
    assert!(demuxed.left_out.iter().any(|what| what.contains("track 2")), "{:?}", demuxed.left_out);
}

/// Makes a file of a second of video and audio.
pub(crate) fn made(path: &Path, arguments: &[&str]) {
    let sources = ["testsrc2=s=64x64:r=25:d=1", "sine=440:sample_rate=48000:d=1"];
    let mut command = ffmpeg();
    for source in sources {
        command.args(["-f", "lavfi", "-i", source]);
    }
    let output = command.args(["-map", "0", "-map", "1"]).args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn audio_of_matroska_is_taken_and_what_is_not_is_refused_with_a_remedy_that_works() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (encoder, codec, samples) in
        [("flac", "fLaC", 11), ("libmp3lame", "mp4a.6B", 43), ("mp2", "mp4a.6B", 42), ("alac", "alac", 12)]
    {
        let path = folder.path().join(format!("{encoder}.mkv"));
        made(&path, &["-c:v", "libx264", "-c:a", encoder]);
        let out = folder.path().join(encoder);
        let report = pack(&job(&path, "widevine", "cenc"), &out).unwrap();
        let audio = &report.tracks[1];
        assert_eq!(audio.codec, codec, "{encoder}");
        assert!(audio.samples.abs_diff(samples) < 4, "{encoder}: {} samples", audio.samples);
        let (code, text) = verify(&[&out], &["--dev-keys", SEED, "--against", path.to_str().unwrap()]);
        assert!(code == 0 && !text.contains("label-"), "{encoder}: {text}");
    }
    for (name, arguments, says) in [
        ("pcm.mkv", ["-c:v", "libx264", "-c:a", "pcm_s16le"], "A_PCM/INT/LIT"),
        ("mpeg2.mkv", ["-c:v", "mpeg2video", "-c:a", "aac"], "V_MPEG2"),
    ] {
        let path = folder.path().join(name);
        made(&path, &arguments);
        let out = folder.path().join("out");
        let error = pack(&job(&path, "widevine", "cenc"), &out).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(name), "{error}");
        let other = typed(&error);
        let out = folder.path().join(format!("out_{name}"));
        let inputs = vec![other.to_str().unwrap().to_owned()];
        pack(&Job { inputs, ..job(Path::new(""), "widevine", "cenc") }, &out).unwrap();
    }
}
