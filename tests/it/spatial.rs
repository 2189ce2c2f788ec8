//! Layers of video beside the base: two views are encrypted both, what would stay clear is refused — ITU-T H.265 annexes F
//! and G, ISO/IEC 14496-15 §9, ISO/IEC 23001-7 §9.5.2.

use std::fs;
use std::ops::Range;
use std::path::Path;

use drm_pack::base::{Kid, Kind};
use drm_pack::isobmff::boxes::Senc;

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::media::root;
use crate::support::pack::{job, key, pack, unpack};

fn clip(name: &str) -> Vec<u8> {
    fs::read(root().join("fixtures/clip/codecs").join(name)).unwrap()
}

/// The payload of the first box of a type, wherever it is.
fn payload(bytes: &[u8], kind: &[u8; 4]) -> Range<usize> {
    let at = bytes.windows(4).position(|window| window == kind).unwrap();
    let size = usize::try_from(u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap())).unwrap();
    at + 4..at - 4 + size
}

/// nal_unit_type, nuh_layer_id and place of each NAL unit behind its length of four bytes.
fn nal_units(media: &[u8]) -> Vec<(u8, u8, Range<usize>)> {
    let (mut units, mut at) = (Vec::new(), 0);
    while at < media.len() {
        let length = usize::try_from(u32::from_be_bytes(media[at..at + 4].try_into().unwrap())).unwrap();
        let (first, second) = (media[at + 4], media[at + 5]);
        units.push((first >> 1 & 63, (first & 1) << 5 | second >> 3, at + 4..at + 4 + length));
        at += 4 + length;
    }
    units
}

#[test]
fn the_slices_of_both_views_are_encrypted_from_the_same_byte_as_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let input = root().join("fixtures/clip/codecs/mv_hevc.mp4");
    pack(&job(&input, "widevine+fairplay", "cbcs"), folder.path()).unwrap();
    let segment = fs::read(folder.path().join("v1/1.m4s")).unwrap();
    let senc = Senc::parse(&segment[payload(&segment, b"senc")], 0).unwrap();
    let media = &clip("mv_hevc.mp4")[payload(&clip("mv_hevc.mp4"), b"mdat")];
    let (mut at, mut starts) = (0, Vec::new());
    for subsample in senc.entries.iter().flat_map(|entry| &entry.subsamples) {
        let clear = usize::from(subsample.bytes_of_clear_data);
        let protected = usize::try_from(subsample.bytes_of_protected_data).unwrap();
        if protected > 0 {
            starts.push(at + clear);
        }
        at += clear + protected;
    }
    assert_eq!(at, media.len());
    let slices: Vec<_> = nal_units(media).into_iter().filter(|(kind, ..)| *kind < 32).collect();
    assert_eq!(slices.len(), 24);
    // Headers of slices, as Shaka Packager 3.8 finds them too.
    let expected = [5, 7, 8, 7, 8, 9, 9, 9, 8, 8, 9, 9, 9, 9, 8, 7, 8, 9, 9, 9, 9, 7, 9, 9];
    for (index, ((_, layer, unit), (start, header))) in
        slices.iter().zip(starts.iter().zip(expected)).enumerate()
    {
        assert_eq!((usize::from(*layer), start - unit.start), (index % 2, header), "slice {index}");
    }
}

#[test]
fn two_views_come_back_and_players_of_one_see_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let input = root().join("fixtures/clip/codecs/mv_hevc.mp4");
    let (out, back) = (folder.path().join("out"), folder.path().join("back"));
    let mut job = job(&input, "widevine+fairplay", "cbcs");
    job.layout = Some(drm_pack::job::Layout::SingleFile);
    let report = pack(&job, &out).unwrap();
    let playlist = fs::read_to_string(out.join("master.m3u8")).unwrap();
    let stereo = playlist.find("REQ-VIDEO-LAYOUT=\"CH-STEREO\"").unwrap();
    // Behind it the same without a demand.
    assert_eq!(playlist[stereo..].matches("\nv1.m3u8").count(), 2, "{playlist}");
    assert!(playlist.contains("#EXT-X-VERSION:12"), "{playlist}");
    // Whoever sees the base goes through it fast.
    let fast = folder.path().join("fast");
    job.trick_play = true;
    pack(&job, &fast).unwrap();
    let playlist = fs::read_to_string(fast.join("master.m3u8")).unwrap();
    let i_frames: Vec<_> = playlist.lines().filter(|line| line.contains("I-FRAME-STREAM-INF")).collect();
    assert!(i_frames.len() == 1 && !i_frames[0].contains("REQ-VIDEO-LAYOUT"), "{playlist}");
    unpack(&out.join("manifest.mpd"), &back).unwrap();
    let (source, found) = (clip("mv_hevc.mp4"), fs::read(back.join("v1.mp4")).unwrap());
    assert_eq!(source[payload(&source, b"mdat")], found[payload(&found, b"mdat")]);
    for kind in [b"lhvC", b"vexu", b"hvcC"] {
        assert_eq!(source[payload(&source, kind)], found[payload(&found, kind)]);
    }
    if !ffmpeg_is_there() {
        return;
    }
    let key = key(Kid::parse(&report.tracks[0].kid).unwrap());
    let hex: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    let frames = |options: &[&str], path: &Path| {
        let path = path.to_str().unwrap();
        let all =
            [options, &["-ignore_editlist", "1", "-i", path, "-vsync", "0", "-f", "framemd5", "-"]].concat();
        let output = ffmpeg().args(["-loglevel", "error"]).args(&all).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let hashes = lines.lines().filter(|line| !line.starts_with('#'));
        hashes.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect::<Vec<_>>()
    };
    let clear = frames(&[], &input);
    assert_eq!((clear.len(), frames(&["-decryption_key", &hex], &out.join("v1.mp4"))), (12, clear));
}

#[test]
fn layers_that_would_stay_clear_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("film.mp4");
    let refused = |bytes: &[u8], expected: &str| {
        fs::write(&input, bytes).unwrap();
        for scheme in ["cenc", "cbcs"] {
            let error = pack(&job(&input, "widevine", scheme), &folder.path().join("out")).unwrap_err();
            assert_eq!(error.kind(), Kind::Unsupported, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    };
    // The last slice of the first view becomes an enhancement layer of Dolby Vision.
    let mut bytes = clip("mv_hevc.mp4");
    let media = payload(&bytes, b"mdat");
    let (_, _, last) = nal_units(&bytes[media.clone()]).into_iter().rev().nth(1).unwrap();
    bytes[media.start + last.start] = 63 << 1;
    refused(&bytes, "NAL unit of type 63, an enhancement layer of Dolby Vision: it would stay clear");
    // A third view; and a video parameter set of one layer.
    for (second, expected) in [(2 << 3 | 1, "nuh_layer_id 2"), (1 << 3 | 1, "nuh_layer_id 1")] {
        let mut bytes = clip("mv_hevc.mp4");
        let (_, _, last) = nal_units(&bytes[media.clone()]).pop().unwrap();
        bytes[media.start + last.start + 1] = second;
        if second == 1 << 3 | 1 {
            let vps = bytes.windows(4).position(|window| window == [0x40, 0x01, 0x0c, 0x11]).unwrap();
            bytes[vps + 2..vps + 4].copy_from_slice(&[0x0c, 0x01]);
        }
        refused(&bytes, expected);
    }
}
