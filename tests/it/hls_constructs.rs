//! Playlists as they are found: every construct keeps its text, its media comes back, and what is wrong is refused —
//! RFC 8216bis §4.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{RefUnwindSafe, catch_unwind};
use std::time::Instant;

use drm_pack::job::{Job, Report};
use drm_pack::package::Preset;
use quick_m3u8::HlsLine;
use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::KnownTag;
use rayon::prelude::*;

use crate::streams::elementary;
use crate::support::case::Case;
use crate::support::files::tree;
use crate::support::pack::{job, pack, pack_without_keys, unpack};

/// What a case is packed for unless it says so itself.
const DRM: &str = "widevine+playready+fairplay";

fn wish(case: &Case, input: &std::path::Path, drm: &str, preset: Preset) -> Job {
    let whole = drm == "simpleaes";
    Job {
        preset,
        key_uri: whole.then(|| "https://keys.example/{kid}".into()),
        scheme: (!whole).then(|| case.text("scheme", "cbcs").to_owned()),
        ..job(input, drm, "cbcs")
    }
}

/// The lines of a playlist with their ends, but for what protection may add, and with `#` for numbers that may
/// change.
fn kept(playlist: &str) -> Vec<String> {
    let added = |line: &&str| {
        line.starts_with("#EXT-X-KEY:")
            || line.starts_with("#EXT-X-SESSION-KEY:")
            || line.starts_with("#EXT-X-VERSION:")
    };
    let lines = playlist.split_inclusive('\n').map(|line| line.trim_start_matches('\u{feff}'));
    lines.filter(|line| !added(line)).map(without_ranges).collect()
}

fn without_ranges(line: &str) -> String {
    let numbers = |text: &str| text.replace(|c: char| c.is_ascii_digit() || c == '@', "");
    if line.starts_with("#EXT-X-BYTERANGE:") {
        return numbers(line);
    }
    let mut attributes =
        line.split(',').map(|part| if part.contains("BYTERANGE") { numbers(part) } else { part.into() });
    let first = attributes.next().unwrap_or_default();
    attributes.fold(first, |line, part| line + "," + &part)
}

fn version(playlist: &str) -> u32 {
    let line = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-VERSION:"));
    line.map_or(1, |version| version.parse().unwrap())
}

/// Everything that must hold of a case that packs.
fn holds(case: &Case, drm: &str, preset: Preset) {
    let stage = case.stage();
    let name = format!("{} {drm} {preset:?}", case.name());
    let clear = tree(&stage.path().join(case.text("folder", "")));
    let input = stage.path().join(case.text("input", "master.m3u8"));
    let (out, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report =
        pack(&wish(case, &input, drm, preset), out.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let protected = tree(out.path());
    assert_eq!(protected.len(), report.outputs.len(), "{name}: a file for each output, once");
    unpack(&out.path().join(input.file_name().unwrap()), back.path())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let decrypted = tree(back.path());
    assert_eq!(protected.keys().collect::<Vec<_>>(), decrypted.keys().collect::<Vec<_>>(), "{name}");
    for (file, bytes) in &protected {
        let is_clear = case.list("clear").contains(&file.as_str());
        assert_eq!(
            *bytes == clear[file],
            is_clear || drm == "simpleaes" && is_kept(&clear[file]),
            "{name}: {file}"
        );
        if file.ends_with(".m3u8") {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let (clear, written, decrypted) = (text(&clear[file]), text(bytes), text(&decrypted[file]));
            assert_eq!(kept(&written), kept(&clear), "{name}: {file}");
            assert!(version(&written) >= version(&clear), "{name}: {file}");
            assert_eq!(kept(&decrypted), kept(&clear), "{name}: {file}");
            assert_eq!(
                without_version(&decrypted),
                without_version(&clear.replace("#EXT-X-KEY:METHOD=NONE\n", "")),
                "{name}: {file}"
            );
            read_back(case, &format!("{name}: {file}"), &clear, &written);
        } else if drm == "simpleaes" {
            // Bytes that no playlist names are left out: they cannot be under a key.
            let has_unnamed = case.list("unnamed").contains(&file.as_str());
            let (decrypted, clear) = (&decrypted[file], &clear[file]);
            assert!(clear.starts_with(decrypted), "{name}: {file}");
            assert_eq!(clear.len() > decrypted.len(), has_unnamed, "{name}: {file}");
        } else {
            assert!(elementary(&decrypted[file]) == elementary(&clear[file]), "{name}: {file}");
        }
    }
    check_keys(&name, &report, &protected);
}

/// What stays as it is with whole segments: multivariant playlists, which do not announce them, and initialization
/// sections.
fn is_kept(bytes: &[u8]) -> bool {
    let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    has(b"#EXT-X-STREAM-INF") || has(b"moov") && !has(b"moof")
}

fn without_version(playlist: &str) -> Vec<&str> {
    playlist.lines().filter(|line| !line.starts_with("#EXT-X-VERSION:")).collect()
}

/// Every playlist of segments that are not clear has keys, and of every key that is reported there is one.
fn check_keys(name: &str, report: &Report, protected: &BTreeMap<String, Vec<u8>>) {
    let texts = protected.iter().filter(|(file, _)| file.ends_with(".m3u8"));
    let text: String = texts.map(|(_, bytes)| String::from_utf8_lossy(bytes).replace('-', "")).collect();
    let kids: BTreeSet<_> = report.tracks.iter().map(|track| track.kid.replace('-', "")).collect();
    assert!(!kids.is_empty() && kids.iter().all(|kid| text.contains(kid.as_str())), "{name}: {kids:?}");
    assert!(report.tracks.iter().all(|track| track.samples > 0), "{name}: {:?}", report.tracks);
}

/// Other readers find in the written playlist what they find in the clear one, and keys.
fn read_back(case: &Case, name: &str, clear: &str, written: &str) {
    if !case.text("reader", "").is_empty() {
        return;
    }
    let (before, after) = (lines(name, clear), lines(name, written));
    let encrypts = |line: &str| line.contains("-KEY:") && !line.contains("METHOD=NONE");
    let keys = |lines: &[(bool, String)]| lines.iter().filter(|(_, line)| encrypts(line)).count();
    assert!(after.iter().all(|(known, line)| *known || !line.contains("-KEY:")), "{name}");
    assert!(keys(&after) >= keys(&before), "{name}");
    let segments = |text: &str| match m3u8_rs::parse_playlist_res(text.as_bytes()).unwrap() {
        m3u8_rs::Playlist::MasterPlaylist(list) => {
            list.variants.iter().map(|variant| variant.uri.clone()).collect()
        }
        m3u8_rs::Playlist::MediaPlaylist(list) => {
            list.segments.iter().map(|segment| segment.uri.clone()).collect::<Vec<_>>()
        }
    };
    assert_eq!(segments(written), segments(clear), "{name}");
}

/// The lines as another reader finds them, and whether it knows the tag.
fn lines(name: &str, text: &str) -> Vec<(bool, String)> {
    let mut reader =
        quick_m3u8::Reader::from_str(text, ParsingOptionsBuilder::new().with_parsing_for_all_tags().build());
    let mut found = Vec::new();
    let mut texts = text.lines();
    while let Some(line) = reader.read_line().unwrap_or_else(|error| panic!("{name}: {error:?}")) {
        let known = matches!(line, HlsLine::KnownTag(KnownTag::Hls(_)));
        found.push((known, texts.next().unwrap_or_default().to_owned()));
    }
    found
}

fn cases(expect: &str) -> Vec<Case> {
    let mut cases = Case::all("hls");
    for case in &cases {
        assert!(["packs", "refused"].contains(&case.text("expect", "")), "{}", case.name());
        assert!(case.text("why", "").len() > 20, "{}", case.name());
    }
    cases.retain(|case| case.text("expect", "") == expect);
    cases
}

/// Tries every case, each of which panics when it does not hold, and names all that do not.
fn all_hold(cases: &[Case], holds: impl Fn(&Case) + Sync + RefUnwindSafe) {
    let fails = |case: &&Case| catch_unwind(|| holds(case)).is_err();
    let failed: Vec<_> = cases.par_iter().filter(fails).map(|case| case.name()).collect();
    assert!(failed.is_empty(), "of fixtures/hls: {failed:?}");
}

#[test]
fn every_construct_keeps_its_text_and_its_media_comes_back() {
    let cases = cases("packs");
    assert!(cases.len() > 30, "{} cases", cases.len());
    all_hold(&cases, |case| {
        let drm = if case.list("drm").is_empty() { vec![DRM, "simpleaes"] } else { case.list("drm") };
        for drm in drm {
            case.presets().into_iter().for_each(|preset| holds(case, drm, preset));
        }
    });
}

#[test]
fn what_is_wrong_is_refused_before_anything_is_written() {
    let cases = cases("refused");
    assert!(cases.len() > 40, "{} cases", cases.len());
    all_hold(&cases, |case| {
        let stage = case.stage();
        let input = stage.path().join(case.text("input", "master.m3u8"));
        for preset in case.presets() {
            let out = tempfile::tempdir().unwrap();
            let wish = wish(case, &input, case.text("drm", DRM), preset);
            // What a segment has shows while files are written; no playlist ever names what is left of them.
            let is_late = case.text("late", "") == "true";
            let pack = if is_late { pack } else { pack_without_keys };
            let error = pack(&wish, out.path()).map(|_| ()).expect_err("is refused");
            assert_eq!(error.kind().name(), case.text("kind", "input"), "{error}");
            assert!(!case.list("says").is_empty(), "{error}");
            for words in case.list("says") {
                assert!(error.to_string().contains(words), "{words:?} in {error}");
            }
            assert!(is_late || tree(out.path()).is_empty(), "written before: {error}");
            assert!(tree(out.path()).keys().all(|name| !name.ends_with(".m3u8")), "{error}");
        }
    });
}

#[test]
fn playlists_made_to_exhaust_end_at_once() {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
    let fmp4 = format!("{head}#EXT-X-MAP:URI=\"init.mp4\"\n");
    let repeated = |text: &str, count: usize| format!("{fmp4}{}", text.repeat(count));
    let clip = crate::support::media::root().join("fixtures/clip/hls/v2");
    for (playlist, says) in [
        (repeated("#EXTINF:2,\n0.m4s\n", 100_000), None),
        (repeated("#EXT-X-UNKNOWN:A=1\n", 100_000) + "#EXTINF:2,\n0.m4s\n", None),
        (
            repeated("#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01T00:00:00Z\"\n", 50_000)
                + "#EXTINF:2,\n0.m4s\n",
            None,
        ),
        (repeated("#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\n0.m4s\n", 50_000), None),
        (repeated("#EXTINF:2,\n", 100_000), Some("ends before the URI")),
        (repeated("\n", 2_000_000), Some("lines")),
        (format!("{fmp4}#{}\n", "a".repeat(9 << 20)), Some("at most 8388608 are read")),
        (
            format!(
                "{fmp4}#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{}\"\n{}",
                "b".repeat(1 << 20),
                "#EXTINF:2,\n{$a}\n".repeat(1000)
            ),
            Some("variables that swell the playlist"),
        ),
        (format!("{head}{}", "#EXTINF:2,\n../a.ts\n".repeat(50_000)), Some("leaves the folder")),
    ] {
        let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let input = folder.path().join("master.m3u8");
        fs::write(&input, &playlist).unwrap();
        fs::copy(clip.join("init_1.mp4"), folder.path().join("init.mp4")).unwrap();
        fs::copy(clip.join("0.m4s"), folder.path().join("0.m4s")).unwrap();
        let begin = Instant::now();
        let result =
            pack(&job(&input, DRM, "cbcs"), out.path()).map(|_| ()).map_err(|error| error.to_string());
        match says {
            None => assert_eq!(result, Ok(())),
            Some(says) => assert!(result.clone().unwrap_err().contains(says), "{says:?} in {result:?}"),
        }
        // An unoptimized build on a busy machine; what is quadratic takes hours.
        assert!(begin.elapsed().as_secs() < 60, "{says:?}: {:?}", begin.elapsed());
    }
}
