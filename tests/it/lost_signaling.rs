//! Signaling that is lost in one place while others have it: `verify` says where — ISO/IEC 23001-7 §8.1, RFC 8216bis
//! §4.4.4.4, DASH-IF IOP content protection.

use std::fs;
use std::path::Path;

use drm_pack::job::Job;
use drm_pack::package::Preset;

use crate::support::media::root;
use crate::support::pack::{SEED, job, pack};
use crate::verify::verify;

fn packed(input: &str, drm: &str, change: impl Fn(Job) -> Job) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let own = Job { preset: Preset::Preset1, ..job(&root().join("fixtures/clip").join(input), drm, "cbcs") };
    pack(&change(own), out.path()).unwrap();
    out
}

fn check(folder: &Path) -> (i32, String) {
    verify(&[folder], &["--dev-keys", SEED])
}

fn edit(folder: &Path, name: &str, change: impl Fn(&str) -> String) {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text, "{name}");
    fs::write(path, changed).unwrap();
}

/// Lines without those that hold.
fn without(text: &str, holds: impl Fn(&str) -> bool) -> String {
    text.lines().filter(|line| !holds(line)).map(|line| format!("{line}\n")).collect()
}

/// The boxes `pssh` of a file become padding: all, or the first.
fn free(folder: &Path, name: &str, most: usize) {
    let path = folder.join(name);
    let mut bytes = fs::read(&path).unwrap();
    let places = bytes.windows(4).enumerate().filter(|(_, kind)| kind == b"pssh").map(|(at, _)| at);
    let places: Vec<usize> = places.take(most).collect();
    assert!(!places.is_empty(), "{name}");
    places.iter().for_each(|at| bytes[*at..*at + 4].copy_from_slice(b"free"));
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_key_that_is_announced_nowhere_is_found_where_keys_change() {
    let rotating = |input| {
        packed(input, "widevine+playready", |job| Job {
            rotate_every: Some(2),
            preset: Preset::Preset0,
            ..job
        })
    };
    for (input, init, last) in
        [("dash/manifest.mpd", "0/init.mp4", "0/3.m4s"), ("mp4/av.mp4", "v1/init.mp4", "v1/3.m4s")]
    {
        let (code, text) = check(rotating(input).path());
        assert!(code == 0 && !text.contains("pssh-period"), "{input}: {text}");
        for (name, most, says) in [(init, 9, "widevine"), (last, 9, "playready"), (last, 1, "widevine")] {
            let out = rotating(input);
            free(out.path(), name, most);
            let (code, text) = check(out.path());
            let first = if name == init { name.replace("init.mp4", "1.m4s") } else { name.to_owned() };
            let place = format!("error  pssh-period: {first}: moof at byte");
            assert_eq!(code, 7, "{name}: {text}");
            assert!(text.contains(&place) && text.contains(&format!("no pssh of {says} for key")), "{text}");
        }
        // What is left is the second fragment of the period; players that begin there have what they need.
        let out = rotating(input);
        free(out.path(), &last.replace('3', "4"), 9);
        assert_eq!(check(out.path()).0, 0);
        // Playlists name every key themselves.
        let out = rotating(input);
        free(out.path(), last, 9);
        if out.path().join("master.m3u8").exists() {
            fs::remove_file(out.path().join("manifest.mpd")).unwrap();
            let (code, text) = check(out.path());
            assert!(code == 0 && !text.contains("pssh-period"), "{text}");
        }
    }
}

#[test]
fn a_playlist_that_keeps_a_key_of_the_period_before_is_found() {
    for drm in ["fairplay", "widevine+fairplay"] {
        let out = packed("mp4/av.mp4", drm, |job| Job { rotate_every: Some(1), ..job });
        let (code, text) = check(out.path());
        assert!(code == 0 && text.contains(" 0 advice"), "{drm}: {text}");
        edit(out.path(), "v1.m3u8", |text| {
            let is_key = |line: &&str| line.contains("com.apple");
            let last = text.lines().rfind(is_key).unwrap();
            without(text, |line| line == last)
        });
        let (code, text) = check(out.path());
        assert_eq!(code, 7, "{drm}: {text}");
        assert!(text.contains("error  hls-key-period: v1.m3u8: line"), "{drm}: {text}");
    }
}

#[test]
fn a_uri_of_another_key_is_found_without_session_keys() {
    for (uri, preset, other, says) in [
        // The id of another key.
        ("skd://{kid}", Preset::Preset1, "skd://31323334353637383930313233343536", "expected"),
        // Another URI for the same key, of which no part can be read.
        ("skd://x/{content_id}", Preset::Preset0, "skd://x/other", "another URI for key"),
        (
            "skd://{kid}:{iv}",
            Preset::Preset0,
            "skd://{kid}:31323334353637383930313233343536",
            "another URI for key",
        ),
    ] {
        let made = || {
            packed("hls/master.m3u8", "fairplay", |job| Job { preset, skd_template: uri.to_owned(), ..job })
        };
        let out = made();
        let is_session = |line: &str| line.starts_with("#EXT-X-SESSION-KEY");
        edit(out.path(), "master.m3u8", |text| without(text, is_session));
        let (code, text) = check(out.path());
        assert!(code == 0 && text.contains(" 0 advice"), "{uri}: {text}");
        edit(out.path(), "v1/media.m3u8", |text| {
            let (before, rest) = text.split_once("URI=\"skd://").unwrap();
            let (own, after) = rest.split_once('"').unwrap();
            let other = other.replace("{kid}", own.split(':').next().unwrap());
            format!("{before}URI=\"{other}\"{after}")
        });
        let (code, text) = check(out.path());
        assert_eq!(code, 0, "{uri}: {text}");
        assert!(text.contains("advice hls-key-uri: v") && text.contains(says), "{uri}: {text}");
    }
}

/// Of a package without FairPlay nothing is said; where a session key is left, it is.
#[test]
fn fairplay_that_is_left_without_keys_is_found() {
    for (names, code, is_said) in
        [(&["v1.m3u8", "a1.m3u8"][..], 7, true), (&["v1.m3u8", "a1.m3u8", "master.m3u8"], 0, false)]
    {
        let out = packed("mp4/av.mp4", "widevine+fairplay", |job| job);
        for name in names {
            edit(out.path(), name, |text| without(text, |line| line.contains("com.apple")));
        }
        let (found, text) = check(out.path());
        assert_eq!(
            (found, text.contains("advice hls-system-absent: master.m3u8")),
            (code, is_said),
            "{text}"
        );
    }
}

/// One system that one playlist lacks, or one AdaptationSet.
#[test]
fn a_system_that_one_track_lacks_is_found() {
    let out = packed("mp4/av.mp4", "widevine+playready+fairplay", |job| job);
    edit(out.path(), "a1.m3u8", |text| without(text, |line| line.contains("com.apple")));
    let (code, text) = check(out.path());
    assert!(code == 7 && text.contains("error  hls-systems: "), "{text}");
    let out = packed("mp4/av.mp4", "widevine+playready", |job| job);
    edit(out.path(), "manifest.mpd", |text| {
        let start = text.rfind("<ContentProtection schemeIdUri=\"urn:uuid:edef8ba9").unwrap();
        let length = text[start..].find("</ContentProtection>").unwrap() + "</ContentProtection>".len();
        [&text[..start], &text[start + length..]].concat()
    });
    let (code, text) = check(out.path());
    let says = "found no ContentProtection of widevine (edef8ba9-79d6-4ace-a3c8-27dcd51d21ed)";
    assert!(code == 0 && text.contains("advice mpd-systems: ") && text.contains(says), "{text}");
}

/// Where no timeline says when segments begin, one that is out of order shows by its decode time.
#[test]
fn a_segment_out_of_order_is_found_without_a_timeline() {
    let out = packed("dash/manifest.mpd", "widevine", |job| job);
    edit(out.path(), "manifest.mpd", |text| {
        let (before, rest) = text.split_once("timescale=\"12800\"").unwrap();
        let (template, rest) = rest.split_once('>').unwrap();
        let (_, after) = rest.split_once("</SegmentTimeline>").unwrap();
        format!("{before}timescale=\"12800\" duration=\"25600\"{template}>{after}")
    });
    let (code, text) = check(out.path());
    assert!(code == 0 && !text.contains("time-runs-on"), "{text}");
    let (one, two) = (out.path().join("0/2.m4s"), out.path().join("0/3.m4s"));
    let (first, second) = (fs::read(&one).unwrap(), fs::read(&two).unwrap());
    fs::write(&one, second).unwrap();
    fs::write(&two, first).unwrap();
    let (code, text) = check(out.path());
    assert!(code == 0 && text.contains("advice time-runs-on: manifest.mpd: 0/2.m4s"), "{text}");
}
