//! Stretches that are left clear in the middle: the segments that begin in them, and no other — ISO/IEC 23001-7 §6,
//! RFC 8216bis §4.4.4.4.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::base::Kind;
use drm_pack::job::{Job, Layout, Report, parse_clear};

use crate::clear_lead::check_decrypted;
use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::files::tree;
use crate::support::media::root;
use crate::support::pack::{SEED, job, pack, pack_without_keys, packages};

fn clip(path: &str) -> PathBuf {
    root().join("fixtures/clip").join(path)
}

fn clear(input: &Path, drm: &str, scheme: &str, ranges: &[(f64, f64)]) -> Job {
    Job { clear: ranges.to_vec(), ..job(input, drm, scheme) }
}

fn verify(out: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    let output = command.arg("verify").arg(out).args(["--dev-keys", SEED, "-v"]).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), text)
}

/// `verify` says of every track when it is clear, as `pack` did.
fn assert_verified(report: &Report, out: &Path) {
    let (inputs, options) = ([out], ["--dev-keys", SEED]);
    let (code, json) = crate::verify::verify(&inputs, &[&options[..], &["--json"]].concat());
    assert_eq!(code, 0, "{json}");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let is_near = |(from, to): &(f64, f64), (start, end): &(f64, f64)| {
        (from - start).abs() < 0.11 && (to - end).abs() < 0.11
    };
    let tracks = value["tracks"].as_array().unwrap();
    // A playlist of transport streams is one.
    assert!(tracks.len() == report.tracks.len() || tracks[0]["source"] == "index.m3u8", "{json}");
    let (_, text) = crate::verify::verify(&inputs, &options);
    for track in tracks {
        let found: Vec<(f64, f64)> = serde_json::from_value(track["clear"].clone()).unwrap();
        let is_same = |known: &Vec<(f64, f64)>| {
            known.len() == found.len() && known.iter().zip(&found).all(|(a, b)| is_near(a, b))
        };
        assert!(report.tracks.iter().any(|track| is_same(&track.clear)), "{json}\n{:?}", report.tracks);
        let (from, to) = found[0];
        let line = format!("{} is clear from {from:.3} to {to:.3} s", track["source"].as_str().unwrap());
        assert!(text.contains(&line), "{line}: {text}");
    }
}

/// Which segments stand under a key: `e`, and which do not: `c`.
fn under_keys(playlist: &Path) -> String {
    let (mut found, mut is_encrypted) = (String::new(), false);
    for line in fs::read_to_string(playlist).unwrap().lines() {
        if line.starts_with("#EXT-X-KEY:") {
            is_encrypted = !line.contains("METHOD=NONE");
        } else if line.starts_with("#EXTINF") {
            found.push(if is_encrypted { 'e' } else { 'c' });
        }
    }
    found
}

fn assert_clear(report: &Report, expected: &[(f64, f64)]) {
    for track in &report.tracks {
        assert_eq!(track.clear.len(), expected.len(), "{}: {:?}", track.id, track.clear);
        for ((from, to), (start, end)) in track.clear.iter().zip(expected) {
            assert!(
                (from - start).abs() < 0.11 && (to - end).abs() < 0.11,
                "{}: {:?}",
                track.id,
                track.clear
            );
        }
    }
}

#[test]
fn packages_are_clear_in_the_middle_and_decrypted_again() {
    let more = [("hls-ts/index.m3u8", "fairplay"), ("hls-ts/index.m3u8", "simpleaes")];
    let more = more.map(|(path, drm)| (clip(path), drm));
    for (input, drm) in packages().into_iter().chain(more) {
        for scheme in ["cenc", "cbcs"] {
            let is_stream = matches!(drm, "fairplay" | "simpleaes");
            if is_stream && scheme == "cenc" {
                continue;
            }
            let out = tempfile::tempdir().unwrap();
            let mut job = clear(&input, drm, scheme, &[(2.0, 4.0)]);
            if drm == "simpleaes" {
                (job.scheme, job.key_uri) = (None, Some("https://k.example/{kid}".into()));
            }
            let report =
                pack(&job, out.path()).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
            assert_clear(&report, &[(2.0, 4.0)]);
            assert!(
                report.warnings.iter().all(|warning| !warning.contains("stretch")),
                "{:?}",
                report.warnings
            );
            for (name, _) in tree(out.path()).iter().filter(|(name, _)| name.ends_with(".m3u8")) {
                let found = under_keys(&out.path().join(name));
                assert!(found.is_empty() || found.starts_with("ece"), "{name}: {found}");
            }
            let (code, text) = verify(out.path());
            assert_eq!(code, Some(0), "{} {drm} {scheme}: {text}", input.display());
            assert_verified(&report, out.path());
            if !is_stream {
                check_decrypted(&input, out.path());
            }
        }
    }
}

#[test]
fn files_are_cut_at_the_edges_and_several_stretches_may_be_clear() {
    for layout in [Layout::Segments, Layout::SingleFile] {
        for (scheme, rotate_every) in [("cenc", None), ("cbcs", None), ("cenc", Some(1))] {
            let out = tempfile::tempdir().unwrap();
            let ranges = [(2.0, 4.0), (6.0, 7.0)];
            let job = Job {
                layout: Some(layout),
                rotate_every,
                segment_duration: 3.0,
                ..clear(&clip("mp4/av.mp4"), "widevine", scheme, &ranges)
            };
            let report = pack(&job, out.path()).unwrap();
            for track in ["v1.m3u8", "a1.m3u8"] {
                let found = under_keys(&out.path().join(track));
                assert!(found.contains("ecec"), "{track}: {found}");
            }
            assert!(report.tracks.iter().all(|track| track.clear.len() == 2 && track.clear[0].0 >= 1.9));
            assert_verified(&report, out.path());
            let (code, text) = verify(out.path());
            assert_eq!(code, Some(0), "{text}");
        }
    }
}

/// When a playlist is clear, in seconds: from and to.
fn clear_times(playlist: &Path) -> Vec<(f64, f64)> {
    let (mut found, mut time, mut is_encrypted): (Vec<(f64, f64)>, _, _) = (Vec::new(), 0.0, false);
    for line in fs::read_to_string(playlist).unwrap().lines() {
        if line.starts_with("#EXT-X-KEY:") {
            is_encrypted = !line.contains("METHOD=NONE");
        } else if let Some(duration) = line.strip_prefix("#EXTINF:") {
            let end = time + duration.trim_end_matches(',').parse::<f64>().unwrap();
            match found.last_mut().filter(|(_, known)| (time - *known).abs() < 1e-6) {
                _ if is_encrypted => {}
                Some((_, known)) => *known = end,
                None => found.push((time, end)),
            }
            time = end;
        }
    }
    found
}

/// Audio is decoded before it is heard, and pictures before they are shown: what is reported is when they are.
#[test]
fn reported_times_are_those_of_the_manifests() {
    for input in ["mp4/av.mp4", "mp4/av_frag.mp4"] {
        let out = tempfile::tempdir().unwrap();
        let job = clear(&clip(input), "widevine", "cenc", &[(0.0, 0.5), (2.0, 4.0)]);
        let report = pack(&Job { segment_duration: 1.0, ..job }, out.path()).unwrap();
        assert_verified(&report, out.path());
        for track in &report.tracks {
            let listed = clear_times(&out.path().join(format!("{}.m3u8", track.id)));
            assert_eq!(track.clear.len(), listed.len(), "{input} {}: {:?} {listed:?}", track.id, track.clear);
            for ((from, to), (start, end)) in track.clear.iter().zip(listed) {
                let is_near = |a: f64, b: f64| (a - b).abs() < 0.001;
                // The first segment of a playlist lasts from the begin of the presentation, however late the track is.
                let are_near = (is_near(*from, start) || start == 0.0) && is_near(*to, end);
                assert!(are_near, "{input} {}: {from}-{to}, {start}-{end}", track.id);
            }
        }
    }
}

#[test]
fn a_stretch_that_some_tracks_do_not_have_is_said_and_no_moment_is_one() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, words: &str| {
        let path = folder.path().join(name);
        let words = words.split_whitespace();
        assert!(ffmpeg().args(["-v", "error"]).args(words).arg(&path).status().unwrap().success(), "{name}");
        path
    };
    let warnings = |input: &Path, range: (f64, f64)| {
        let out = tempfile::tempdir().unwrap();
        let job = clear(input, "widevine", "cenc", &[range]);
        let report = pack(&Job { segment_duration: 6.0, ..job }, out.path()).unwrap();
        let clear: Vec<_> = report.tracks.iter().map(|track| track.clear.len()).collect();
        (clear, report.warnings.into_iter().filter(|warning| warning.contains("stretch")).collect::<Vec<_>>())
    };
    let coded = "-c:v libx264 -preset ultrafast -g 48 -c:a aac";
    let long =
        made("long.mp4", &format!("-f lavfi -i testsrc=s=96x64:r=24:d=4 -f lavfi -i sine=d=20 {coded}"));
    let (clear, said) = warnings(&long, (11.0, 13.0));
    assert_eq!(clear, [0, 1]);
    assert!(said.len() == 1 && said[0].contains("no segment of v1 begins from 11 to 13 s"), "{said:?}");
    // The last frame of audio ends behind the last cut; it is no stretch.
    let rate = "24000/1001";
    let words = format!("-f lavfi -i testsrc=s=96x64:r={rate}:d=12 -f lavfi -i sine=d=12.02 {coded}");
    let (clear, said) = warnings(&made("even.mp4", &words), (11.0, 20.0));
    assert_eq!(clear, [0, 0]);
    assert!(said.len() == 1 && said[0].contains("no segment begins from 11 to 20 s"), "{said:?}");
}

#[test]
fn a_playlist_that_says_clear_of_what_is_encrypted_is_found() {
    let out = tempfile::tempdir().unwrap();
    pack(&clear(&clip("hls/master.m3u8"), "widevine", "cbcs", &[(2.0, 4.0)]), out.path()).unwrap();
    let playlist = out.path().join("v1/media.m3u8");
    let text = fs::read_to_string(&playlist).unwrap();
    let (before, after) = text.split_once("METHOD=NONE").unwrap();
    let after: String = after
        .lines()
        .filter(|line| !line.starts_with("#EXT-X-KEY"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&playlist, format!("{before}METHOD=NONE{after}")).unwrap();
    let (code, text) = verify(out.path());
    assert_eq!(code, Some(7), "{text}");
}

#[test]
fn what_is_not_clear_or_would_all_be_clear_is_said() {
    let input = clip("hls/master.m3u8");
    let out = tempfile::tempdir().unwrap();
    let report = pack(&clear(&input, "widevine", "cenc", &[(2.5, 3.0)]), out.path()).unwrap();
    assert!(report.warnings.iter().any(|warning| warning.contains("no segment begins from 2.5 to 3 s")));
    for (ranges, said) in [
        (&[(0.0, 100.0)][..], "every segment begins in what is left clear, 0 to 100 s"),
        (&[(0.0, 4.0), (4.0, 100.0)], "every segment begins"),
        (&[(2.0, 5.0), (4.0, 6.0)], "begins in a stretch that is clear already"),
        (&[(4.0, 2.0)], "expected FROM-TO"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let error = pack(&clear(&input, "widevine", "cenc", ranges), out.path()).unwrap_err();
        assert!(error.kind() == Kind::Usage && error.to_string().contains(said), "{error}");
    }
    let led = Job { clear_lead: 3.0, ..clear(&input, "widevine", "cenc", &[(2.0, 5.0)]) };
    assert!(pack_without_keys(&led, out.path()).unwrap_err().to_string().contains("clear already"));
    assert_eq!(parse_clear("2-4.5").unwrap(), (2.0, 4.5));
    for text in ["", "2", "4-2", "2-2", "-1-2", "a-b", "0-inf"] {
        assert_eq!(parse_clear(text).unwrap_err().kind(), Kind::Usage, "{text}");
    }
}

/// Its key would be asked for before the first picture, and be for nothing.
#[test]
fn a_crypto_period_that_is_clear_has_no_session_key() {
    for scheme in ["cenc", "cbcs"] {
        let out = tempfile::tempdir().unwrap();
        let job = Job {
            segment_duration: 0.5,
            rotate_every: Some(1),
            ..clear(&clip("mp4/av.mp4"), "widevine", scheme, &[(0.0, 1.0)])
        };
        pack(&job, out.path()).unwrap();
        let (code, text) = verify(out.path());
        assert!(code == Some(0) && text.contains(", 0 errors"), "{scheme}: {text}");
        let master = fs::read_to_string(out.path().join("master.m3u8")).unwrap();
        assert!(master.contains("EXT-X-SESSION-KEY"), "{master}");
    }
}
