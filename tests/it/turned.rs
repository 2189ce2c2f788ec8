//! Video that `tkhd` turns, as phones write it: the matrix stays, and manifests say sizes as their standards mean them —
//! ISO/IEC 14496-12 §8.3.2, RFC 8216bis §4.4.6.2, ISO/IEC 23009-1 §5.3.7.2.
//!
//! `RESOLUTION` is the size at which video is displayed, `@width` and `@height` the visual presentation size, which
//! ISO/IEC 14496-12 has before the matrix.

use std::fs;
use std::path::Path;

use drm_pack::job::{Format, Job};
use tempfile::TempDir;

use crate::support::media::root;
use crate::support::pack::{SEED, pack};
use crate::verify::verify;

/// The matrix begins here in a `tkhd` of version 0, behind its type.
const MATRIX: usize = 4 + 40;

fn matrix(file: &[u8]) -> &[u8] {
    let at = file.windows(4).position(|bytes| bytes == b"tkhd").unwrap() + MATRIX;
    &file[at..at + 36]
}

fn packed(folder: &TempDir, [a, b, c, d]: [i32; 4]) -> Vec<u8> {
    let mut file = fs::read(root().join("fixtures/clip/mp4/video_360.mp4")).unwrap();
    let at = file.windows(4).position(|bytes| bytes == b"tkhd").unwrap() + MATRIX;
    let terms = [a << 16, b << 16, 0, c << 16, d << 16, 0, 360 << 16, 0, 1 << 30];
    file[at..at + 36].copy_from_slice(&terms.map(i32::to_be_bytes).concat());
    let input = folder.path().join("phone.mp4");
    fs::write(&input, &file).unwrap();
    let inputs = vec![input.to_str().unwrap().to_owned()];
    let drm = "widevine".into();
    let formats = Some(vec![Format::Hls, Format::Dash]);
    let job = Job { inputs, drm, formats, trick_play: true, ..Job::default() };
    pack(&job, &folder.path().join("out")).unwrap();
    file
}

#[test]
fn manifests_of_turned_video_say_what_is_shown_and_the_matrix_stays() {
    for (turn, shown) in [
        ([1, 0, 0, 1], "640x360"),
        ([0, 1, -1, 0], "360x640"),
        ([0, -1, 1, 0], "360x640"),
        ([-1, 0, 0, -1], "640x360"),
    ] {
        let folder = TempDir::new().unwrap();
        let file = packed(&folder, turn);
        let out = folder.path().join("out");
        let text = |name: &str| fs::read_to_string(out.join(name)).unwrap();
        let (hls, dash) = (text("master.m3u8"), text("manifest.mpd"));
        let sizes: Vec<_> = hls.split("RESOLUTION=").skip(1).map(|rest| &rest[..7]).collect();
        assert_eq!(sizes, [shown, shown], "{turn:?}: {hls}");
        let sizes = dash.matches("width=\"640\" height=\"360\"").count();
        assert!(sizes == 2 && dash.matches("sar=\"1:1\"").count() == 2, "{turn:?}: {dash}");
        assert_eq!(matrix(&fs::read(out.join("v1/init.mp4")).unwrap()), matrix(&file), "{turn:?}");
        check(&out, shown);
    }
}

/// `verify` takes the size that is shown, and the coded one, which other packagers write.
fn check(out: &Path, shown: &str) {
    let master = out.join("master.m3u8");
    let hls = fs::read_to_string(&master).unwrap();
    for (size, is_said) in [(shown, false), ("640x360", false), ("640x640", true)] {
        fs::write(&master, hls.replace(shown, size)).unwrap();
        let (code, text) = verify(&[out], &["--dev-keys", SEED]);
        assert_eq!((code, text.contains("label-resolution")), (0, is_said), "{size}: {text}");
    }
}
