//! Playlists from which EXT-X-KEY lines were taken away, or moved: what is encrypted is never handed out as decrypted —
//! RFC 8216bis §4.4.4.4.

use std::fs;
use std::path::{Path, PathBuf};

use drm_pack::base::{Error, Kind, Secret};
use drm_pack::job::Job;
use drm_pack::protect::Aes128;

use crate::support::files::tree;
use crate::support::media::{root, shared};
use crate::support::pack::{pack, unpack};

fn job(input: &Path, drm: &str) -> Job {
    Job {
        inputs: vec![input.to_str().unwrap().to_owned()],
        drm: drm.into(),
        key_uri: (drm == "simpleaes").then(|| "https://keys.example/{kid}".into()),
        ..Job::default()
    }
}

/// Rewrites the playlists of a folder, and says how many of them are others then.
fn rewrite(folder: &Path, change: &dyn Fn(&str) -> String) -> usize {
    let playlists = tree(folder).into_iter().filter(|(name, _)| name.ends_with(".m3u8"));
    let changed = playlists.filter(|(name, bytes)| {
        let text = str::from_utf8(bytes).unwrap();
        let new = change(text);
        fs::write(folder.join(name), &new).unwrap();
        new != text
    });
    changed.count()
}

fn is_key(line: &&str) -> bool {
    line.starts_with("#EXT-X-KEY")
}

fn without_keys(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !is_key(line)).collect()
}

/// The first key behind the first segment.
fn later_key(text: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let Some(key) = lines.iter().position(is_key) else { return text.to_owned() };
    let segment = key + lines[key..].iter().position(|line| !line.starts_with('#')).unwrap();
    let moved = [&lines[..key], &lines[key + 1..=segment], &[lines[key]], &lines[segment + 1..]];
    moved.concat().concat()
}

fn refused(playlist: &Path) -> Error {
    let out = tempfile::tempdir().unwrap();
    let error = unpack(playlist, out.path()).unwrap_err();
    // The command puts nothing in its place then; a job of the library writes what can be written before.
    assert!(tree(out.path()).keys().all(|name| !name.ends_with(".m3u8")));
    error
}

fn inputs() -> Vec<(PathBuf, &'static str)> {
    let clip = root().join("fixtures/clip");
    let mut inputs: Vec<_> =
        ["hls-ts/index.m3u8", "hls/master.m3u8"].map(|name| (clip.join(name), "simpleaes")).to_vec();
    inputs.push((clip.join("hls-ts/index.m3u8"), "fairplay"));
    if let Some(media) = shared() {
        let raw = media.join("hls/hls-raw-aac/manifest.m3u8");
        inputs.extend([(raw.clone(), "simpleaes"), (raw, "fairplay")]);
        inputs.push((media.join("hls/hls-multivideo/master.m3u8"), "simpleaes"));
    }
    inputs
}

#[test]
fn encrypted_segments_under_no_key_are_not_copied() {
    for (input, drm) in inputs() {
        for change in [without_keys, later_key] {
            let out = tempfile::tempdir().unwrap();
            pack(&job(&input, drm), out.path()).unwrap();
            assert!(rewrite(out.path(), &change) > 0);
            let error = refused(&out.path().join(input.file_name().unwrap()));
            assert_eq!(error.kind(), Kind::Verification, "{} {drm}: {error}", input.display());
            assert!(error.to_string().contains("EXT-X-KEY line may be missing"), "{error}");
        }
    }
}

/// One playlist of several has no key: its segments are looked at as those of others are.
#[test]
fn one_playlist_without_its_key_is_noticed_beside_others() {
    for name in ["hls", "hls-byterange"] {
        let input = root().join("fixtures/clip").join(name).join("master.m3u8");
        let out = tempfile::tempdir().unwrap();
        pack(&job(&input, "simpleaes"), out.path()).unwrap();
        assert_eq!(rewrite(&out.path().join("audio"), &without_keys), 1);
        let error = refused(&out.path().join("master.m3u8"));
        assert_eq!(error.kind(), Kind::Verification, "{error}");
        assert!(error.to_string().contains("audio/"), "{error}");
    }
}

/// Text, images and packed audio as others encrypt them; what is clear is copied.
#[test]
fn text_and_images_are_copied_and_their_encrypted_bytes_are_not() {
    let aes128 = Aes128::new(&Secret::new([7; 16]), [0; 16]);
    let text: &[u8] = b"WEBVTT\n\n00:00.000 --> 00:02.000\nOne\n";
    let image: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
    let other: &[u8] = b"\x9e\x01\x02\x03 of no kind that is known";
    for (segment, as_text) in [(text, true), (image, false), (other, false)] {
        for is_encrypted in [false, true] {
            let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let clip = root().join("fixtures/clip/hls-ts");
            for name in ["index.m3u8", "0.ts", "1.ts", "2.ts"] {
                fs::copy(clip.join(name), folder.path().join(name)).unwrap();
            }
            let tag = match as_text {
                true => "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"s\",URI=\"s.m3u8\"\n",
                false => {
                    "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,RESOLUTION=1x1,CODECS=\"jpeg\",URI=\"s.m3u8\"\n"
                }
            };
            let subtitles = if as_text { ",SUBTITLES=\"s\"" } else { "" };
            let master = format!("#EXTM3U\n{tag}#EXT-X-STREAM-INF:BANDWIDTH=1{subtitles}\nindex.m3u8\n");
            fs::write(folder.path().join("master.m3u8"), master).unwrap();
            let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
            fs::write(folder.path().join("s.m3u8"), format!("{head}#EXTINF:2,\ns.bin\n#EXT-X-ENDLIST\n"))
                .unwrap();
            let mut bytes = segment.to_vec();
            if is_encrypted {
                bytes.clear();
                aes128.encrypt(&segment.to_vec(), &mut bytes).unwrap();
            }
            fs::write(folder.path().join("s.bin"), &bytes).unwrap();
            let done = unpack(&folder.path().join("master.m3u8"), out.path());
            match (done, is_encrypted) {
                (Ok(report), false) => {
                    assert!(!report.warnings.is_empty());
                    assert!(fs::read(out.path().join("s.bin")).unwrap() == segment);
                }
                (Err(error), true) => {
                    assert_eq!(error.kind(), Kind::Verification, "{error}");
                    assert!(error.to_string().contains("s.bin"), "{error}");
                }
                (done, _) => panic!("{is_encrypted}: {done:?}"),
            }
        }
    }
}
