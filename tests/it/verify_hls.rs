//! `verify` over segments that are encrypted whole and sample encryption of streams: what is packed passes, and what
//! is wrong fails — RFC 8216bis §4.4.4.4, §5.2.

use std::fs;
use std::path::{Path, PathBuf};

use drm_pack::base::KeyStore;
use drm_pack::base::Kind;
use drm_pack::io::FileStore;
use drm_pack::job::Job;
use drm_pack::keys::DevKeys;
use drm_pack::package::Preset;
use drm_pack::verify::{Reference, Verification, VerifyJob, verify};

use crate::support::case::Case;
use crate::support::media::{root, shared};
use crate::support::pack::{SEED, job, pack, pack_without_ivs};

/// Verifies what was packed from an input, with the keys of a seed and against the input as asked.
fn check(
    out: &Path,
    input: &Path,
    seed: Option<&str>,
    against: bool,
) -> drm_pack::base::Result<Verification> {
    let name = input.file_name().unwrap().to_str().unwrap().to_owned();
    let (store, clear) = (FileStore::new(out), FileStore::new(input.parent().unwrap()));
    let key_store = seed.map(DevKeys::new);
    verify(&VerifyJob {
        store: &store,
        names: vec![name.clone()],
        key_store: key_store.as_ref().map(|keys| keys as &dyn KeyStore),
        against: against.then(|| Reference { store: &clear, names: vec![name] }),
        clear_tracks: &[],
        beside: &[],
    })
}

fn whole(input: &Path) -> Job {
    Job {
        drm: "simpleaes".into(),
        scheme: None,
        key_uri: Some("https://keys.example/{kid}".into()),
        ..job(input, "", "")
    }
}

fn streams(input: &Path) -> Job {
    job(input, "fairplay", "cbcs")
}

/// Names of the broken rules: keys to come need not be announced.
fn broken(found: &Verification) -> Vec<&'static str> {
    let counts = found.findings.counts().iter().filter(|(_, count)| count.broken > 0);
    counts.map(|(rule, _)| *rule).collect()
}

/// What is packed passes with keys and source, and says what it did not check without.
fn passes(wish: &Job, out: &Path) {
    let (input, place) = (Path::new(&wish.inputs[0]), format!("{wish:?}"));
    let found = check(out, input, Some(SEED), true).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(broken(&found).is_empty(), "{place}: {:?}", found.findings.listed());
    let notes: Vec<_> = found.findings.not_checked().collect();
    assert!(notes.is_empty(), "{place}: {notes:?}");
    assert!(found.findings.counts()["payload-equal"].checked > 0, "{place}");
    assert!(found.protected_samples > 0, "{place}");
    let found = check(out, input, None, false).unwrap();
    assert!(broken(&found).is_empty(), "{place}: {:?}", found.findings.listed());
    let mut notes = found.findings.not_checked();
    assert!(notes.any(|note| note.starts_with("payload of protected samples")), "{place}");
}

/// Every input of the clip, and of the shared media that is whole there.
fn inputs(names: &[&str], more: &[&str]) -> Vec<PathBuf> {
    let clip = root().join("fixtures/clip");
    let mut inputs: Vec<_> = names.iter().map(|name| clip.join(name)).collect();
    if let Some(media) = shared() {
        inputs.extend(more.iter().map(|name| media.join("hls").join(name)));
    }
    inputs
}

fn whole_inputs() -> Vec<PathBuf> {
    inputs(
        &["hls-ts/index.m3u8", "hls/master.m3u8", "hls-byterange/master.m3u8"],
        &[
            "hls-raw-aac/manifest.m3u8",
            "hls-multivideo/master.m3u8",
            "hls-ts-aac/playlist.m3u8",
            "hls-iframe-only/media.m3u8",
            "hls-mp4-muxed-aac-h264/hls.m3u8",
        ],
    )
}

#[test]
fn whole_segments_that_are_packed_pass_and_fail_under_another_key() {
    for input in whole_inputs() {
        for wish in [
            whole(&input),
            Job { encrypt_init: true, ..whole(&input) },
            Job { rotate_every: Some(2), ..whole(&input) },
            Job { preset: Preset::Preset1, encrypt_init: true, rotate_every: Some(1), ..whole(&input) },
        ] {
            let out = tempfile::tempdir().unwrap();
            pack(&wish, out.path()).unwrap();
            passes(&wish, out.path());
            let found = check(out.path(), &input, Some("another"), false).unwrap();
            assert!(!found.findings.passed(), "{wish:?}");
        }
    }
}

#[test]
fn the_media_sequence_number_is_the_iv_of_whole_segments_without() {
    let input = root().join("fixtures/clip/hls-ts/index.m3u8");
    let out = tempfile::tempdir().unwrap();
    pack_without_ivs(&whole(&input), out.path()).unwrap();
    passes(&whole(&input), out.path());
    let playlist = out.path().join("index.m3u8");
    let text = fs::read_to_string(&playlist).unwrap();
    fs::write(&playlist, text.replace("MEDIA-SEQUENCE:0", "MEDIA-SEQUENCE:7")).unwrap();
    let found = check(out.path(), &input, Some(SEED), true).unwrap();
    assert_eq!(broken(&found), ["payload-equal", "source-equal", "whole-payload"]);
}

#[test]
fn streams_that_are_packed_pass_and_fail_under_another_key() {
    let more = [
        "hls-raw-aac/manifest.m3u8",
        "hls-multivideo/master.m3u8",
        "hls-ts-aac/playlist.m3u8",
        "hls-ts-h264/prog_index.m3u8",
        "hls-ts-muxed-aac-h264/playlist.m3u8",
    ];
    for input in inputs(&["hls-ts/index.m3u8"], &more) {
        for wish in [streams(&input), Job { rotate_every: Some(1), clear_lead: 1.0, ..streams(&input) }] {
            let out = tempfile::tempdir().unwrap();
            // A playlist of one segment has nothing behind its clear lead.
            if pack(&wish, out.path()).is_err() && wish.clear_lead > 0.0 {
                continue;
            }
            passes(&wish, out.path());
            let found = check(out.path(), &input, Some("another"), true).unwrap();
            assert!(broken(&found).contains(&"payload-equal"), "{wish:?}: {:?}", broken(&found));
            // Without the source sound shows it; of pictures it is said that they do not.
            let found = check(out.path(), &input, Some("another"), false).unwrap();
            let mut notes = found.findings.not_checked();
            let is_said = notes.any(|note| note.starts_with("payload: AVC under"));
            assert!(broken(&found).contains(&"key-fits") || is_said, "{wish:?}");
        }
    }
}

#[test]
fn every_construct_passes() {
    let cases = Case::all("hls").into_iter().filter(|case| case.text("expect", "") == "packs");
    for case in cases {
        let stage = case.stage();
        let input = stage.path().join(case.text("input", "master.m3u8"));
        let drm = if case.list("drm").is_empty() {
            vec!["widevine+playready+fairplay", "simpleaes"]
        } else {
            case.list("drm")
        };
        for drm in drm {
            let out = tempfile::tempdir().unwrap();
            let preset = case.presets()[0];
            let wish = match drm {
                "simpleaes" => whole(&input),
                drm => job(&input, drm, case.text("scheme", "cbcs")),
            };
            pack(&Job { preset, ..wish }, out.path()).unwrap();
            let found = check(out.path(), &input, Some(SEED), true);
            let found = found.unwrap_or_else(|error| panic!("{} {drm}: {error}", case.name()));
            assert!(found.findings.passed(), "{} {drm}: {:?}", case.name(), found.findings.listed());
            assert!(found.protected_samples > 0, "{} {drm}", case.name());
        }
    }
}

/// A change of a packed folder, and the rules that it breaks against the clear source.
type Change = (&'static str, fn(&Path), &'static [&'static str], &'static [&'static str]);

fn edit(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_changed_behind_packing_is_found() {
    let input = root().join("fixtures/clip/hls-ts/index.m3u8");
    let changes: [Change; 5] = [
        (
            "a flipped byte",
            |folder| edit(&folder.join("0.ts"), |bytes| bytes[3000] ^= 0x10),
            &["payload-equal"],
            &["payload-equal"],
        ),
        (
            "a cut segment",
            |folder| edit(&folder.join("1.ts"), |bytes| bytes.truncate(bytes.len() - 188)),
            &["whole-length"],
            &["source-equal", "stream-parse"],
        ),
        (
            "a segment cut at a block",
            |folder| edit(&folder.join("1.ts"), |bytes| bytes.truncate(bytes.len() - 32)),
            &["whole-padding"],
            &["stream-parse"],
        ),
        (
            "swapped segments",
            |folder| {
                fs::rename(folder.join("0.ts"), folder.join("x")).unwrap();
                fs::rename(folder.join("1.ts"), folder.join("0.ts")).unwrap();
                fs::rename(folder.join("x"), folder.join("1.ts")).unwrap();
            },
            &["payload-samples", "time-runs-on"],
            &["payload-samples", "source-equal", "time-runs-on"],
        ),
        (
            "a segment that is missing",
            |folder| fs::remove_file(folder.join("1.ts")).unwrap(),
            &["file-missing"],
            &["file-missing"],
        ),
    ];
    for (what, change, of_whole, of_streams) in changes {
        for (wish, expected) in [(whole(&input), of_whole), (streams(&input), of_streams)] {
            let out = tempfile::tempdir().unwrap();
            pack(&wish, out.path()).unwrap();
            change(out.path());
            let found = check(out.path(), &input, Some(SEED), true).unwrap();
            assert_eq!(broken(&found), expected, "{what} {}: {:?}", wish.drm, found.findings.listed());
        }
    }
}

/// Times of streams tell what is missing or out of order, and of whole segments they do with the key.
#[test]
fn segments_that_are_swapped_or_missing_are_found_without_the_source() {
    let clip = root().join("fixtures/clip");
    let (ts, mp4) = (clip.join("hls-ts/index.m3u8"), clip.join("hls/v1/media.m3u8"));
    for (wish, input, one, two) in [
        (whole(&ts), &ts, "0.ts", "1.ts"),
        (streams(&ts), &ts, "0.ts", "1.ts"),
        (Job { preset: Preset::Preset1, ..whole(&mp4) }, &mp4, "1.m4s", "2.m4s"),
    ] {
        for is_missing in [false, true] {
            let out = tempfile::tempdir().unwrap();
            pack(&wish, out.path()).unwrap();
            let playlist = out.path().join(input.file_name().unwrap());
            let text = fs::read_to_string(&playlist).unwrap();
            let changed = if is_missing {
                let (before, after) = text.split_once(&format!("{two}\n")).unwrap();
                let (before, _) = before.rsplit_once("#EXTINF").unwrap();
                [before, after].concat()
            } else {
                text.replace(one, "one").replace(two, one).replace("one", two)
            };
            // The third segment of the transport stream is the last: what is missing before it shows.
            fs::write(&playlist, changed).unwrap();
            let found = check(out.path(), input, Some(SEED), false).unwrap();
            assert_eq!(broken(&found), ["time-runs-on"], "{wish:?}: {:?}", found.findings.listed());
        }
    }
}

#[test]
fn the_key_may_be_the_file_that_the_uri_names() {
    let input = root().join("fixtures/clip/hls-ts/index.m3u8");
    let out = tempfile::tempdir().unwrap();
    let wish = Job { key_uri: Some("key.bin".into()), ..whole(&input) };
    let report = pack(&wish, out.path()).unwrap();
    let kid = drm_pack::base::Kid::parse(&report.tracks[0].kid).unwrap();
    fs::write(out.path().join("key.bin"), crate::support::pack::key(kid).expose()).unwrap();
    let found = check(out.path(), &input, None, true).unwrap();
    assert!(found.findings.passed() && found.findings.not_checked().next().is_none());
    assert_eq!(found.findings.counts()["payload-equal"].checked, 3);
    fs::write(out.path().join("key.bin"), [7; 16]).unwrap();
    assert!(!check(out.path(), &input, None, false).unwrap().findings.passed());
    // Keys were given, and the one that is needed is not among them.
    fs::remove_file(out.path().join("key.bin")).unwrap();
    let error = check(out.path(), &input, Some(SEED), true).unwrap_err();
    assert_eq!(error.kind(), Kind::Keys, "{error}");
}

#[test]
fn a_clear_playlist_beside_encrypted_ones_is_found() {
    let input = root().join("fixtures/clip/hls/master.m3u8");
    for method in ["AES-128", "NONE"] {
        let out = tempfile::tempdir().unwrap();
        pack(&whole(&input), out.path()).unwrap();
        let playlist = out.path().join("v2/media.m3u8");
        let clear = fs::read_to_string(input.with_file_name("v2/media.m3u8")).unwrap();
        let none = "#EXT-X-KEY:METHOD=NONE\n#EXTINF";
        let text = if method == "NONE" { clear.replacen("#EXTINF", none, 1) } else { clear };
        fs::write(&playlist, text).unwrap();
        for name in ["0.m4s", "1.m4s", "2.m4s", "3.m4s"] {
            let from = input.with_file_name("v2").join(name);
            fs::copy(from, out.path().join("v2").join(name)).unwrap();
        }
        let found = check(out.path(), &input, Some(SEED), true).unwrap();
        assert_eq!(broken(&found), ["track-clear"], "{:?}", found.findings.listed());
    }
}

/// Pictures in fragmented MP4, sound as packed audio, and text that stays clear.
#[test]
fn renditions_of_all_kinds_pass_together_and_each_is_looked_at() {
    let case = Case::all("hls").into_iter().find(|case| case.name() == "packed-audio").unwrap();
    let stage = case.stage();
    let folder = stage.path();
    let text = fs::read_to_string(folder.join("master.m3u8")).unwrap();
    fs::write(folder.join("a.m3u8"), text).unwrap();
    let clip = root().join("fixtures/clip/hls/v2");
    for name in ["init_1.mp4", "0.m4s", "1.m4s"] {
        fs::copy(clip.join(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("0.vtt"), "WEBVTT\n").unwrap();
    let head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n";
    let segments = "#EXTINF:2,\n0.m4s\n#EXTINF:2,\n1.m4s\n#EXT-X-ENDLIST\n";
    let written = format!("{head}#EXT-X-MAP:URI=\"init_1.mp4\"\n{segments}");
    fs::write(folder.join("v.m3u8"), written).unwrap();
    fs::write(folder.join("t.m3u8"), format!("{head}#EXTINF:2,\n0.vtt\n#EXT-X-ENDLIST\n")).unwrap();
    let media = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a.m3u8\"\n\
                 #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"t\",NAME=\"t\",URI=\"t.m3u8\"\n\
                 #EXT-X-STREAM-INF:BANDWIDTH=99000,CODECS=\"avc1.4d400c,mp4a.40.2\",AUDIO=\"a\",SUBTITLES=\"t\"\nv.m3u8\n";
    let input = folder.join("master.m3u8");
    fs::write(&input, format!("#EXTM3U\n#EXT-X-VERSION:7\n{media}")).unwrap();
    for wish in [streams(&input), whole(&input)] {
        let out = tempfile::tempdir().unwrap();
        pack(&wish, out.path()).unwrap();
        passes(&wish, out.path());
        for name in ["0.m4s", "0.aac"] {
            let changed = tempfile::tempdir().unwrap();
            pack(&wish, changed.path()).unwrap();
            edit(&changed.path().join(name), |bytes| {
                let middle = bytes.len() - 400;
                bytes[middle] ^= 1;
            });
            let found = check(changed.path(), &input, Some(SEED), true).unwrap();
            assert!(broken(&found).contains(&"payload-equal"), "{name} {}: {:?}", wish.drm, broken(&found));
        }
        fs::remove_file(out.path().join("0.vtt")).unwrap();
        assert_eq!(broken(&check(out.path(), &input, Some(SEED), true).unwrap()), ["file-missing"]);
    }
}
