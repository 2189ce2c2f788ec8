//! Thumbnails beside the video: tiled sets in DASH and playlists of images in HLS — DASH-IF IOP, tiles of thumbnail images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use drm_pack::job::{Job, Layout, Thumbnails};

use crate::support::media::root;
use crate::support::pack::{SEED, job, pack, pack_without_keys, unpack};

fn av() -> PathBuf {
    root().join("fixtures/clip/mp4/av.mp4")
}

/// Images of 2 by 2 tiles of 16x10 pixels, one tile a second, as FFmpeg numbers them.
fn sprites(folder: &Path, seconds: u32) {
    let source = format!("testsrc2=size=16x10:rate=1:duration={seconds}");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", &source, "-vf", "tile=2x2"]);
    assert!(command.arg(folder.join("t%d.jpg")).status().unwrap().success());
}

fn with(folder: &Path, files: &str, rest: &str) -> Job {
    let text = format!("{}:{rest}", folder.join(files).display());
    Job { thumbnails: Some(Thumbnails::parse(&text).unwrap()), ..job(&av(), "widevine", "cbcs") }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drm-pack")).args(arguments).output().unwrap()
}

#[test]
fn thumbnails_are_named_in_both_manifests_and_follow_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    sprites(folder.path(), 8);
    for layout in [Layout::Segments, Layout::SingleFile] {
        let out = tempfile::tempdir().unwrap();
        let job = Job { layout: Some(layout), ..with(folder.path(), "t%d.jpg", "2x2:1") };
        let report = pack(&job, out.path()).unwrap();
        assert_eq!(report.warnings, ["2 thumbnail images stay clear: no DRM protects images"]);
        let text = |name: &str| fs::read_to_string(out.path().join(name)).unwrap();
        let (master, mpd) = (text("master.m3u8"), text("manifest.mpd"));
        let tag = "RESOLUTION=16x10,CODECS=\"jpeg\",URI=\"thumbnails.m3u8\"";
        assert!(master.contains("#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=") && master.contains(tag), "{master}");
        let list = text("thumbnails.m3u8");
        let image = |number| {
            format!(
                "#EXTINF:4.000000,\n#EXT-X-TILES:RESOLUTION=16x10,LAYOUT=2x2,DURATION=1\nthumbnails/{number}.jpg\n"
            )
        };
        let images = format!("{}{}#EXT-X-ENDLIST\n", image(1), image(2));
        assert!(list.contains("#EXT-X-IMAGES-ONLY\n") && list.ends_with(&images), "{list}");
        for words in [
            "contentType=\"image\" mimeType=\"image/jpeg\"",
            "width=\"32\" height=\"20\"",
            "schemeIdUri=\"http://dashif.org/guidelines/thumbnail_tile\" value=\"2x2\"",
            "timescale=\"1000\" media=\"thumbnails/$Number$.jpg\" duration=\"4000\" startNumber=\"1\"/>",
        ] {
            assert!(mpd.contains(words), "{words}: {mpd}");
        }
        let is_on_demand = mpd.contains("isoff-on-demand");
        assert_eq!((is_on_demand, mpd.contains("isoff-main")), (layout == Layout::SingleFile, is_on_demand));
        let (path, source) = (out.path().display().to_string(), av().display().to_string());
        let output = run(&["verify", &path, "--dev-keys", SEED, "--against", &source]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        for manifest in ["master.m3u8", "manifest.mpd"] {
            let clear = tempfile::tempdir().unwrap();
            unpack(&out.path().join(manifest), clear.path()).unwrap();
            for number in 1..=2 {
                let image = fs::read(folder.path().join(format!("t{number}.jpg"))).unwrap();
                let name = format!("thumbnails/{number}.jpg");
                assert_eq!(fs::read(out.path().join(&name)).unwrap(), image);
                assert_eq!(fs::read(clear.path().join(&name)).unwrap(), image, "{manifest}");
            }
        }
        for (manifest, from, to) in [
            ("thumbnails.m3u8", "LAYOUT=2x2", "LAYOUT=2x3"),
            ("manifest.mpd", "width=\"32\" height=\"20\"", "width=\"16\" height=\"10\""),
        ] {
            let before = text(manifest);
            fs::write(out.path().join(manifest), before.replace(from, to)).unwrap();
            let output = run(&["verify", &path, "--dev-keys", SEED]);
            let found = String::from_utf8(output.stdout).unwrap();
            assert!(found.contains("advice label-resolution: ") && found.contains("32x20"), "{found}");
            fs::write(out.path().join(manifest), before).unwrap();
        }
        for (manifest, from, to) in [
            ("thumbnails.m3u8", "LAYOUT=2x2", "LAYOUT=1x4"),
            ("manifest.mpd", "value=\"2x2\"", "value=\"3x2\""),
            ("thumbnails.m3u8", "#EXTINF:4.000000", "#EXTINF:3.000000"),
        ] {
            let before = text(manifest);
            let changed = before.replace(from, to);
            assert_ne!(before, changed, "{before}");
            fs::write(out.path().join(manifest), changed).unwrap();
            let output = run(&["verify", &path, "--dev-keys", SEED]);
            let found = String::from_utf8(output.stdout).unwrap();
            assert!(found.contains("advice label-tiles: "), "{found}");
            fs::write(out.path().join(manifest), before).unwrap();
        }
        fs::remove_file(out.path().join("thumbnails/2.jpg")).unwrap();
        let output = run(&["verify", &path, "--dev-keys", SEED]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("file-missing: thumbnails/2.jpg"), "{text}");
    }
}

#[test]
fn too_few_and_too_many_images_are_said() {
    let folder = tempfile::tempdir().unwrap();
    sprites(folder.path(), 12);
    for (grid, copied, warning) in [
        ("2x2:1", 2, "1 of 3 thumbnail images are left out: the media ends after 8.000 s"),
        ("2x2:0.5", 3, "3 thumbnail images last 6.000 s, the media 8.000 s: the rest has none"),
        ("2x2:0.75", 3, ""),
    ] {
        let out = tempfile::tempdir().unwrap();
        let report = pack(&with(folder.path(), "t%d.jpg", grid), out.path()).unwrap();
        assert_eq!(report.warnings.get(1).map_or("", String::as_str), warning, "{grid}");
        assert_eq!(fs::read_dir(out.path().join("thumbnails")).unwrap().count(), copied);
        let mpd = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
        assert_eq!(mpd.contains("endNumber=\"3\""), grid == "2x2:0.5", "{mpd}");
        let list = fs::read_to_string(out.path().join("thumbnails.m3u8")).unwrap();
        assert_eq!(
            list.matches("#EXTINF:2.000000,").count(),
            if grid == "2x2:0.75" { 1 } else { copied % 2 * 3 }
        );
        let output = run(&["verify", &out.path().display().to_string(), "--dev-keys", SEED]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn a_folder_is_its_images_in_the_order_of_their_numbers_and_plan_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    sprites(folder.path(), 8);
    fs::rename(folder.path().join("t1.jpg"), folder.path().join("t9.JPG")).unwrap();
    fs::rename(folder.path().join("t2.jpg"), folder.path().join("t10.jpeg")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no image").unwrap();
    let out = tempfile::tempdir().unwrap();
    let (source, path) = (av().display().to_string(), out.path().display().to_string());
    let option = format!("{}:2x2:1", folder.path().display());
    let common = [&source, "--drm", "widevine", "--dev-keys", SEED, "--thumbnails", &option];
    let output = run(&[&["plan"], &common[..]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("t9.JPG") && text.contains("image/jpeg"), "{text}");
    let output = run(&[&["pack"], &common[..], &["--out", &path]].concat());
    assert!(output.status.success(), "{output:?}");
    let first = fs::read(out.path().join("thumbnails/1.jpg")).unwrap();
    assert_eq!(first, fs::read(folder.path().join("t9.JPG")).unwrap());
    let package = root().join("fixtures/clip/dash/manifest.mpd").display().to_string();
    let output = run(&["plan", &package, "--drm", "widevine", "--dev-keys", "x", "--thumbnails", &option]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--thumbnails has no effect"), "{text}");
}

#[test]
fn images_that_are_no_tiles_are_refused_before_keys_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    sprites(folder.path(), 4);
    let jpeg = fs::read(folder.path().join("t1.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = jpeg.clone();
        edit(&mut bytes);
        bytes
    };
    let rows = [
        ("png", b"\x89PNG\r\n\x1a\n".to_vec(), "no JPEG image"),
        ("cut", jpeg[..frame + 6].to_vec(), "cut off"),
        ("none", jpeg[..frame].to_vec(), "no frame header"),
        ("empty", Vec::new(), "no JPEG image"),
        ("lossless", edited(&|bytes| bytes[frame + 1] = 0xc3), "a JPEG frame of type 3"),
        ("flat", edited(&|bytes| bytes[frame + 5..frame + 7].fill(0)), "32x0 pixels"),
        ("odd", edited(&|bytes| bytes[frame + 6] = 21), "32x21 pixels, a multiple of the grid of 2x2 tiles"),
        (
            "other",
            edited(&|bytes| bytes[frame + 6] = 40),
            "32x40 pixels, 32x20 expected as in the first image",
        ),
    ];
    for (name, bytes, expected) in rows {
        let wish = with(folder.path(), if name == "other" { "%02d.jpg" } else { "x.jpg" }, "2x2:1");
        fs::write(folder.path().join("x.jpg"), &bytes).unwrap();
        fs::write(folder.path().join("00.jpg"), &jpeg).unwrap();
        fs::write(folder.path().join("01.jpg"), &bytes).unwrap();
        let error = pack_without_keys(&wish, tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    for length in 0..jpeg.len().min(700) {
        fs::write(folder.path().join("x.jpg"), &jpeg[..length]).unwrap();
        let wish = with(folder.path(), "x.jpg", "2x2:1");
        let error = pack_without_keys(&wish, tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
        assert_eq!(error.contains("keys were asked for"), length >= frame + 9, "{length}: {error}");
    }
    let error = pack_without_keys(&with(folder.path(), "no%d.jpg", "2x2:1"), folder.path()).unwrap_err();
    assert!(error.to_string().contains("no0.jpg"), "{error}");
}

#[test]
fn other_forms_of_the_option_are_refused() {
    for text in [
        "",
        "a.jpg",
        "a.jpg:2x2",
        ":2x2:1",
        "a.jpg:2:1",
        "a.jpg:0x2:1",
        "a.jpg:2x1001:1",
        "a.jpg:2x2:0",
        "a.jpg:2x2:x",
    ] {
        assert!(Thumbnails::parse(text).is_err(), "{text}");
    }
    for text in ["a.jpg:2x2:NaN", "a.jpg:2x2:inf", "a.jpg:2x2:-1", "a.jpg:2x2:0.0004", "a.jpg:2x2:1.0005"] {
        assert!(Thumbnails::parse(text).is_err(), "{text}");
    }
    let found = Thumbnails::parse("https://x.example:8080/s%20a.jpg:5x4:2.5").unwrap();
    assert_eq!(found.files, ["https://x.example:8080/s%20a.jpg"]);
    assert_eq!((found.columns, found.rows), (5, 4));
}
