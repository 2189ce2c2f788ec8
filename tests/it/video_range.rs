//! What pictures are is said in both manifests: dynamic range, color, aspect ratio of a pixel.

use std::fs;
use std::path::Path;

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::files::changed_copy;
use crate::support::pack::{SEED, job, pack};
use crate::verify::verify;

/// Puts `ColourInformationBox` of these numbers in the place of `btrt`, which has the same size.
fn colored(bytes: &mut [u8], [primaries, transfer, matrix]: [u8; 3]) {
    let at = bytes.windows(4).position(|kind| kind == b"btrt").unwrap();
    let colr = [b"colrnclx\0", &[primaries, 0, transfer, 0, matrix, 0, 0][..]].concat();
    bytes[at..at + 16].copy_from_slice(&colr);
}

/// Makes pixels 4:3 in `PixelAspectRatioBox`.
fn oblong(bytes: &mut [u8]) {
    let at = bytes.windows(4).position(|kind| kind == b"pasp").unwrap();
    bytes[at + 4..at + 12].copy_from_slice(&[0, 0, 0, 4, 0, 0, 0, 3]);
}

/// Both manifests, the ranges of whose variants are these.
fn manifests_with_ranges(out: &Path, expected: &[&str]) -> (String, String) {
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let playlist = read("master.m3u8");
    let ranges: Vec<_> =
        playlist.split("VIDEO-RANGE=").skip(1).map(|text| text.split([',', '\n']).next().unwrap()).collect();
    assert_eq!(ranges, expected, "{playlist}");
    (playlist, read("manifest.mpd"))
}

#[test]
fn pictures_of_other_curves_are_told_apart_in_both_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let (mut inputs, out) = (Vec::new(), folder.path().join("out"));
    for (name, numbers) in [("sdr", [1, 1, 1]), ("pq", [9, 16, 9]), ("hlg", [9, 18, 9])] {
        changed_copy("codecs", &folder.path().join(name), &|bytes| {
            let is_plain = !bytes.windows(4).any(|kind| kind == b"lhvC");
            if is_plain && bytes.windows(4).any(|kind| kind == b"hvcC") {
                colored(bytes, numbers);
                oblong(bytes);
            }
        });
        inputs.push(folder.path().join(name).join("hevc.mp4").to_str().unwrap().to_owned());
    }
    let job = drm_pack::job::Job { inputs, ..job(Path::new(""), "widevine+fairplay", "cbcs") };
    pack(&job, &out).unwrap();
    let (playlist, mpd) = manifests_with_ranges(&out, &["SDR", "PQ", "HLG"]);
    let sets: Vec<_> = mpd.split("<AdaptationSet").skip(1).collect();
    assert_eq!(sets.len(), 3, "{mpd}");
    for (set, transfer) in sets.iter().zip(["1", "16", "18"]) {
        let said = format!("urn:mpeg:mpegB:cicp:TransferCharacteristics\" value=\"{transfer}\"");
        assert!(set.contains(&said) && set.contains("sar=\"4:3\""), "{set}");
    }
    // RESOLUTION is that of the screen, width and height are those of the code.
    let coded: u32 = mpd.split(" width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    assert!(playlist.contains(&format!("RESOLUTION={}x", coded * 4 / 3)), "{playlist}");
    let (code, text) = verify(&[&out], &["--dev-keys", SEED]);
    assert!(code == 0 && !text.contains("label-"), "{text}");
    fs::write(out.join("master.m3u8"), playlist.replace("VIDEO-RANGE=HLG", "VIDEO-RANGE=PQ")).unwrap();
    let (_, text) = verify(&[&out], &["--dev-keys", SEED]);
    assert!(text.contains("advice label-range: "), "{text}");
}

/// As broadcasts have it: the curve of BT.2020 is coded, and a message in the samples prefers HLG.
#[test]
fn hlg_that_a_message_prefers_is_hlg_in_both_manifests() {
    if !ffmpeg_is_there() {
        return eprintln!("left out: FFmpeg is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut inputs = Vec::new();
    for (name, numbers) in [("sdr.mp4", ""), ("hlg.mp4", "atc-sei=18:"), ("hlg.ts", "atc-sei=18:")] {
        let path = folder.path().join(name);
        let parameters = format!(
            "log-level=none:{numbers}keyint=12:colorprim=bt2020:transfer=bt2020-10:colormatrix=bt2020nc"
        );
        let made = ffmpeg()
            .args(["-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=1", "-pix_fmt", "yuv420p10le"])
            .args(["-c:v", "libx265", "-x265-params", &parameters])
            .args(["-tag:v", "hvc1"].iter().filter(|_| name.ends_with("mp4")))
            .arg(&path)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        inputs.push(path.to_str().unwrap().to_owned());
    }
    let out = folder.path().join("out");
    let job = drm_pack::job::Job { inputs, ..job(Path::new(""), "widevine+fairplay", "cbcs") };
    pack(&job, &out).unwrap();
    let (playlist, mpd) = manifests_with_ranges(&out, &["SDR", "HLG", "HLG"]);
    let sets: Vec<_> = mpd.split("<AdaptationSet").skip(1).collect();
    let said = |set: &&str, name: &str, transfer: &str| {
        set.contains(&format!(
            "<{name}Property schemeIdUri=\"urn:mpeg:mpegB:cicp:TransferCharacteristics\" value=\"{transfer}\""
        ))
    };
    let properties: Vec<_> = sets
        .iter()
        .map(|set| {
            [said(set, "Essential", "14"), said(set, "Supplemental", "14"), said(set, "Supplemental", "18")]
        })
        .collect();
    assert_eq!(properties, [[false, true, false], [true, false, true]], "{mpd}");
    let (code, text) = verify(&[&out], &["--dev-keys", SEED]);
    assert!(code == 0 && !text.contains("label-"), "{text}");
    fs::write(out.join("master.m3u8"), playlist.replace("VIDEO-RANGE=HLG", "VIDEO-RANGE=SDR")).unwrap();
    fs::write(out.join("manifest.mpd"), mpd.replace("value=\"18\"", "value=\"16\"")).unwrap();
    let (_, text) = verify(&[&out], &["--dev-keys", SEED]);
    // Two variants and two Representations.
    assert!(text.contains("advice label-range: ") && text.contains("label-range: 3 more"), "{text}");
}
