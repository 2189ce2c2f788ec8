//! `verify`: everything that is packed passes, and each rule is broken once by hand and found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::base::{Kid, base64, from_base64};
use drm_pack::isobmff::boxes::Trun;
use drm_pack::isobmff::{BoxNode, parse_file, write_file};
use drm_pack::job::{Format, Job, Layout, TrackFacts};
use drm_pack::package::Preset;
use drm_pack::protect::Aes128;
use drm_pack::verify::{RULES, Severity, rule};

use crate::support::files::tree;
use crate::support::media::{root, shared};
use crate::support::pack::{SEED, files, job, key, pack, packages};

/// Exit code and output of `drm-pack verify`.
pub(crate) fn verify(inputs: &[&Path], options: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_drm-pack"))
        .arg("verify")
        .args(inputs)
        .args(options)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code().unwrap(), text)
}

fn packed(input: &Path, drm: &str, scheme: &str, preset: Preset) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let mut job = job(input, drm, scheme);
    job.preset = preset;
    pack(&job, out.path()).unwrap();
    out
}

#[test]
fn what_is_packed_passes_with_and_without_keys_and_source() {
    let inputs = packages().into_iter().chain(files().into_iter().map(|file| (file, "widevine+playready")));
    for (input, drm) in inputs {
        for (scheme, preset) in [
            ("cenc", Preset::Preset0),
            ("cenc", Preset::Preset1),
            ("cbcs", Preset::Preset0),
            ("cbcs", Preset::Preset1),
        ] {
            let out = packed(&input, drm, scheme, preset);
            let source = input.to_str().unwrap();
            let (code, text) = verify(&[out.path()], &["-v", "--dev-keys", SEED, "--against", source]);
            assert_eq!(code, 0, "{source} {scheme} {preset:?}: {text}");
            // Sound under the key of pictures is what PlayReady's SL3000 refuses, and the only advice.
            let shares = preset == Preset::Preset0 && drm.contains("playready");
            let advice = usize::from(shares && text.contains("advice key-shared: "));
            assert!(
                text.contains(" payload-equal ") && text.contains(&format!(", 0 errors, {advice} advice")),
                "{text}"
            );
            let has_sound = input.file_name().unwrap() == "av.mp4";
            assert!(!has_sound || advice == usize::from(shares), "{text}");
            let (code, text) = verify(&[out.path()], &[]);
            assert_eq!(code, 0, "{source} {scheme} {preset:?}: {text}");
            assert!(text.contains("passed, not proven: payload of protected samples: no keys"), "{text}");
            assert!(!text.contains("payload-equal "), "{text}");
        }
    }
}

#[test]
fn real_media_passes_where_it_can_be_packed() {
    let Some(media) = shared() else { return };
    for name in ["dash/bbb_hevc_ac3_8s/manifest.mpd", "dash/testpic_2s/Manifest.mpd", "mp4/bbb_prog_10s.mp4"]
    {
        for scheme in ["cenc", "cbcs"] {
            let input = media.join(name);
            let out = packed(&input, "widevine", scheme, Preset::Preset1);
            let options = ["--dev-keys", SEED, "--against", input.to_str().unwrap()];
            let (code, text) = verify(&[out.path()], &options);
            assert_eq!(code, 0, "{name} {scheme}: {text}");
        }
    }
}

#[test]
fn segments_follow_their_init_segment_and_json_has_the_same_words() {
    let out = packed(&files()[0], "widevine", "cbcs", Preset::Preset0);
    let (init, first) = (out.path().join("v1/init.mp4"), out.path().join("v1/1.m4s"));
    let (code, text) = verify(&[&init, &first], &["--json", "--dev-keys", SEED]);
    assert_eq!(code, 0, "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["passed"], true);
    assert!(value["checks"]["slice-start"]["checked"].as_u64().unwrap() >= 50, "{text}");
    assert_eq!(value["not_checked"].as_array().unwrap().len(), 1, "{text}");
}

#[test]
fn every_file_that_was_packed_may_be_named_as_source() {
    let clip = root().join("fixtures/clip/mp4");
    let (video, audio) = (clip.join("video_180.mp4"), clip.join("audio.m4a"));
    let inputs = [&video, &audio].map(|path| path.to_str().unwrap().to_owned()).to_vec();
    let out = tempfile::tempdir().unwrap();
    pack(&Job { inputs, ..job(&video, "widevine", "cbcs") }, out.path()).unwrap();
    let (video, audio) = (video.to_str().unwrap(), audio.to_str().unwrap());
    let options = ["--dev-keys", SEED, "--against", video, "--against", audio];
    let (code, text) = verify(&[out.path()], &options);
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("not proven"), "{text}");
}

#[test]
fn what_is_clear_does_not_pass() {
    let Some(media) = shared() else { return };
    let (code, text) = verify(&[&media.join("hls/hls-ts-aac/playlist.m3u8")], &[]);
    assert_eq!(code, 7, "{text}");
    assert!(text.contains("track-clear"), "{text}");
    let (code, text) = verify(&[&files()[0]], &[]);
    assert_eq!(code, 7, "{text}");
    assert!(text.contains("track-clear"), "{text}");
}

/// What was asked for is right once it is said, by any of its names; nothing else is.
#[test]
fn a_track_that_was_left_clear_on_purpose_passes_when_it_is_said() {
    let clip = root().join("fixtures/clip/mp4");
    let inputs = ["video_360.mp4", "video_180.mp4"].map(|name| clip.join(name).to_str().unwrap().to_owned());
    let tracks = vec![TrackFacts::parse("v2:clear").unwrap()];
    for formats in [None, Some(vec![Format::Hls])] {
        let only_hls = formats.is_some();
        let layout = only_hls.then_some(Layout::SingleFile);
        let own = job(Path::new(&inputs[0]), "widevine", "cbcs");
        let (inputs, tracks) = (inputs.to_vec(), tracks.clone());
        let out = tempfile::tempdir().unwrap();
        let report = pack(&Job { inputs, tracks, formats, layout, ..own }, out.path()).unwrap();
        let file = report.clear_tracks[0].left_clear.clone().unwrap();
        assert_eq!((report.clear_tracks.len(), report.clear_tracks[0].id.as_str()), (1, "v2"));
        assert!(out.path().join(&file).is_file(), "{file}");
        let keys = ["--dev-keys", SEED];
        for name in [file.as_str(), "v2", "v2.m3u8"] {
            let (code, text) = verify(&[out.path()], &[&keys[..], &["--clear-track", name]].concat());
            assert_eq!(code, 0, "{name}: {text}");
        }
        for (names, says) in [
            (&[][..], "found a clear track, expected protected as other vide tracks"),
            (&["--clear-track", "v1"], "v1: found a protected track, expected a clear one"),
            (&["--clear-track", "v2", "--clear-track", "v1"], "v1: found a protected track"),
            (&["--clear-track", "v3"], "v3: found no track of this name, expected one of v2"),
        ] {
            let (code, text) = verify(&[out.path()], &[&keys[..], names].concat());
            assert_eq!(code, 7, "{names:?}: {text}");
            assert!(text.contains("track-clear") && text.contains(says), "{names:?}: {text}");
        }
    }
}

/// Whoever forgets the video has forgotten what is to be protected; audio is left clear by many.
#[test]
fn the_only_video_is_not_clear_beside_protected_audio() {
    let input = root().join("fixtures/clip/mp4/av.mp4");
    for (clear, code) in [("v1", 7), ("a1", 0)] {
        for formats in [None, Some(vec![Format::Hls])] {
            let tracks = vec![TrackFacts::parse(&format!("{clear}:clear")).unwrap()];
            let out = tempfile::tempdir().unwrap();
            pack(&Job { tracks, formats, ..job(&input, "widevine", "cbcs") }, out.path()).unwrap();
            let (found, text) = verify(&[out.path()], &["--dev-keys", SEED]);
            assert_eq!(found, code, "{clear}: {text}");
            let says = "found a clear track, expected protected as the audio is";
            assert_eq!(text.contains(says), code == 7, "{clear}: {text}");
            assert_eq!(text.contains("audio-clear"), code == 0, "{clear}: {text}");
            let (found, text) = verify(&[out.path()], &["--dev-keys", SEED, "--clear-track", clear]);
            assert!(found == 0 && !text.contains("audio-clear"), "{clear}: {text}");
        }
    }
}

/// Encrypted files of another packager and their clear twins; its faults are known (see `SOURCES.md`).
#[test]
fn encrypted_twins_of_another_packager_have_the_faults_that_are_known() {
    let Some(media) = shared() else { return };
    let media = media.join("mp4");
    let folder = tempfile::tempdir().unwrap();
    for (name, clear, kid, key, code, expected) in [
        // Sound and pictures begin with the same IV under the same key.
        (
            "prog_8s_enc_dashinit.mp4",
            "prog_8s_dec_dashinit.mp4",
            "cd7eb9ff88f34caeb06185b00024e4c2",
            "63cb5f7184dd4b689a5c5ff11ee6a328",
            7,
            "240 errors, 0 advice",
        ),
        // The key id is zero: only the playlist knows it.
        (
            "cbcs.mp4",
            "cbcsdec.mp4",
            "00000000000000000000000000000000",
            "22bdb0063805260307ee5045c0f3835a",
            0,
            "0 errors, 2 advice",
        ),
        (
            "cbcs_audio.mp4",
            "cbcs_audiodec.mp4",
            "00000000000000000000000000000000",
            "5ffd93861fa776e96cccd934898fc1c8",
            0,
            "0 errors, 1 advice",
        ),
    ] {
        let keys = folder.path().join("keys");
        fs::write(&keys, format!("{kid}:{key}\n")).unwrap();
        let clear = media.join(clear);
        let options = ["-v", "--key-file", keys.to_str().unwrap(), "--against", clear.to_str().unwrap()];
        let (found, text) = verify(&[&media.join(name)], &options);
        assert_eq!(found, code, "{name}: {text}");
        assert!(text.contains(expected), "{name}: {text}");
        assert!(text.contains("payload-equal") && !text.contains("payload-equal:"), "{name}: {text}");
    }
}

// Broken variants.

/// What is packed before it is broken.
#[derive(Clone, Copy)]
enum Base {
    /// Segments, an MPD and playlists from one MP4 file.
    Segments,
    /// An MPD with two renditions of pictures, one with several slices.
    Dash,
    /// One file for each track with `sidx` and `mfra`, and an MPD.
    Indexed,
    /// One file for each track, playlists with byte ranges.
    ByteRange,
    /// Transport streams that are encrypted whole.
    Whole,
    /// Fragmented MP4 that is encrypted whole, with its initialization segments.
    WholeMaps,
    /// Transport streams with sample encryption.
    Streams,
}

impl Base {
    fn input(self) -> PathBuf {
        let path = match self {
            Self::Segments => "mp4/av.mp4",
            Self::Dash => "dash/manifest.mpd",
            Self::Indexed => "dash-segment-base/manifest.mpd",
            Self::ByteRange => "hls-byterange/master.m3u8",
            Self::Whole | Self::Streams => "hls-ts/index.m3u8",
            Self::WholeMaps => "hls/master.m3u8",
        };
        root().join("fixtures/clip").join(path)
    }
}

impl Base {
    fn pack(self, scheme: &str, preset: Preset) -> tempfile::TempDir {
        let input = self.input();
        let whole = Job {
            drm: "simpleaes".into(),
            scheme: None,
            key_uri: Some("https://keys.example/{kid}".into()),
            encrypt_init: true,
            ..job(&input, "", "")
        };
        let out = tempfile::tempdir().unwrap();
        match self {
            Self::Whole | Self::WholeMaps => pack(&whole, out.path()).map(drop).unwrap(),
            Self::Streams => pack(&job(&input, "fairplay", "cbcs"), out.path()).map(drop).unwrap(),
            _ => return packed(&input, "widevine+playready", scheme, preset),
        }
        out
    }
}

/// How a presentation is broken.
type Break = fn(&Path);
/// A rule, what is packed with which scheme, and how it is broken.
type Variant = (&'static str, Base, &'static str, Break);

fn edit(folder: &Path, name: &str, change: impl Fn(&mut Vec<u8>)) {
    let path = folder.join(name);
    let mut bytes = fs::read(&path).unwrap();
    let before = bytes.clone();
    change(&mut bytes);
    assert!(bytes != before, "{name} was not changed");
    fs::write(&path, bytes).unwrap();
}

fn replace(folder: &Path, name: &str, from: &str, to: &str) {
    edit(folder, name, |bytes| {
        *bytes = String::from_utf8(bytes.clone()).unwrap().replacen(from, to, 1).into_bytes();
    });
}

fn edit_lines(folder: &Path, name: &str, change: impl Fn(&str) -> Option<String>) {
    edit(folder, name, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.lines().filter_map(&change).map(|line| line + "\n").collect::<String>().into_bytes();
    });
}

fn position(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).unwrap()
}

/// Changes the payload of the first box of this type.
fn edit_box(folder: &Path, name: &str, kind: &[u8; 4], change: impl Fn(&mut [u8])) {
    edit(folder, name, |bytes| {
        let start = position(bytes, kind) + 4;
        change(&mut bytes[start..]);
    });
}

fn rename(folder: &Path, name: &str, from: &[u8; 4], to: &[u8; 4]) {
    edit(folder, name, |bytes| {
        let start = position(bytes, from);
        bytes[start..start + 4].copy_from_slice(to);
    });
}

fn add16(bytes: &mut [u8], more: i32) {
    let value = i32::from(u16::from_be_bytes([bytes[0], bytes[1]])) + more;
    bytes[..2].copy_from_slice(&u16::try_from(value).unwrap().to_be_bytes());
}

fn add32(bytes: &mut [u8], more: i64) {
    let value = i64::from(u32::from_be_bytes(bytes[..4].try_into().unwrap())) + more;
    bytes[..4].copy_from_slice(&u32::try_from(value).unwrap().to_be_bytes());
}

/// Where the entry of the first sample with at least `least` subsamples begins in the payload of `senc`,
/// behind its IV: at `subsample_count`.
fn entry(senc: &[u8], iv: usize, least: u16) -> usize {
    let mut at = 8 + iv;
    loop {
        let count = u16::from_be_bytes([senc[at], senc[at + 1]]);
        if count >= least {
            return at;
        }
        at += 2 + 6 * usize::from(count) + iv;
    }
}

/// Rewrites the boxes of the first `traf` of a segment; its data stays where `trun` says.
fn edit_traf(folder: &Path, name: &str, change: impl Fn(&mut BoxNode)) {
    edit(folder, name, |bytes| {
        let mut boxes = parse_file(bytes).unwrap();
        let moof = boxes.iter_mut().find(|node| node.is(b"moof")).unwrap();
        let before = moof.len();
        change(moof.find_mut(&[b"traf"]).unwrap());
        let growth = i32::try_from(moof.len()).unwrap() - i32::try_from(before).unwrap();
        for trun in moof.find_mut(&[b"traf"]).unwrap().all_mut(b"trun") {
            let mut payload = trun.payload().to_vec();
            let offset = Trun::parse(&payload).unwrap().data_offset.unwrap();
            Trun::set_data_offset(&mut payload, offset + growth).unwrap();
            *trun = BoxNode::data(b"trun", payload);
        }
        *bytes = write_file(&boxes);
    });
}

/// A track that says nothing of its protection any more.
fn unprotect_init(folder: &Path, name: &str, protected: &[u8; 4], clear: &[u8; 4]) {
    rename(folder, name, protected, clear);
    rename(folder, name, b"sinf", b"free");
}

fn seig(pattern: u8, index: u32) -> [BoxNode; 2] {
    let mut description = vec![1, 0, 0, 0];
    description.extend(b"seig");
    description.extend([0, 0, 0, 37, 0, 0, 0, 1, 0, pattern, 1, 0]);
    description.extend([7; 16]);
    description.push(16);
    description.extend([9; 16]);
    let mut group = vec![0; 4];
    group.extend(b"seig");
    group.extend([0, 0, 0, 1, 0, 0, 0, 50]);
    group.extend(index.to_be_bytes());
    [BoxNode::data(b"sgpd", description), BoxNode::data(b"sbgp", group)]
}

/// Says of each sample of a segment that all of it is clear.
fn clear_subsamples(folder: &Path, name: &str, iv: usize) {
    edit_box(folder, name, b"senc", |senc| {
        let count = u32::from_be_bytes(senc[4..8].try_into().unwrap());
        let mut at = 8;
        for _ in 0..count {
            at += iv;
            let runs = u16::from_be_bytes([senc[at], senc[at + 1]]);
            at += 2;
            for _ in 0..runs {
                let protected = u32::from_be_bytes(senc[at + 2..at + 6].try_into().unwrap());
                add16(&mut senc[at..], i32::try_from(protected).unwrap());
                senc[at + 2..at + 6].fill(0);
                at += 6;
            }
        }
    });
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn replace_utf16(folder: &Path, name: &str, from: &str, to: &str) {
    edit(folder, name, |bytes| {
        let (from, to) = (utf16(from), utf16(to));
        let start = position(bytes, &from);
        bytes[start..start + to.len()].copy_from_slice(&to);
    });
}

fn kid_of(folder: &Path, name: &str) -> Kid {
    let bytes = fs::read(folder.join(name)).unwrap();
    let tenc = position(&bytes, b"tenc") + 4;
    Kid::new(bytes[tenc + 8..tenc + 24].try_into().unwrap())
}

const SEGMENT: &str = "v1/1.m4s";
const INIT: &str = "v1/init.mp4";
/// A rendition whose pictures have several slices.
const SLICES: &str = "0/1.m4s";
const SLICES_INIT: &str = "0/init.mp4";
const PLAYLIST: &str = "v1.m3u8";
const MPD: &str = "manifest.mpd";
const MASTER: &str = "master.m3u8";

/// Clear bytes of the source, of samples.
fn plain() -> Vec<u8> {
    let source = fs::read(Base::Segments.input()).unwrap();
    let from = position(&source, b"mdat") + 20_001;
    source[from..from + 3000].to_vec()
}

/// A box of bytes that no reader uses.
fn hidden(kind: &[u8; 4], bytes: Vec<u8>) -> Vec<u8> {
    BoxNode::data(kind, bytes).to_bytes()
}

/// Variants of which each breaks a rule that must not be broken.
#[expect(clippy::too_many_lines, reason = "a table")]
fn errors() -> Vec<Variant> {
    use Base::{ByteRange, Dash, Indexed, Segments};
    let mut variants: Vec<Variant> = vec![
        ("unread-clear", Segments, "cenc", |f| {
            edit(f, SEGMENT, |bytes| bytes.extend(hidden(b"free", plain())))
        }),
        ("slice-start", Segments, "cbcs", |f| {
            edit_box(f, SEGMENT, b"senc", |senc| {
                let at = entry(senc, 0, 1) + 2;
                add16(&mut senc[at..], 1);
                add32(&mut senc[at + 2..], -1);
            })
        }),
        ("slice-end", Dash, "cbcs", |f| {
            edit_box(f, SLICES, b"senc", |senc| {
                let at = entry(senc, 0, 2) + 2;
                add32(&mut senc[at + 2..], -16);
                add16(&mut senc[at + 6..], 16);
            })
        }),
        ("cenc-front-aligned", Dash, "cenc", |f| {
            edit_box(f, SLICES, b"senc", |senc| {
                let at = entry(senc, 8, 2) + 2;
                add16(&mut senc[at..], -1);
                add16(&mut senc[at + 6..], 1);
            })
        }),
        ("cenc-blocks", Segments, "cenc", |f| {
            edit_box(f, SEGMENT, b"senc", |senc| {
                let at = entry(senc, 8, 1) + 2;
                add16(&mut senc[at..], 1);
                add32(&mut senc[at + 2..], -1);
            })
        }),
        ("subsample-unit", Dash, "cbcs", |f| {
            edit_box(f, SLICES, b"senc", |senc| {
                let at = entry(senc, 0, 3) + 2;
                let skipped = u16::from_be_bytes([senc[at + 6], senc[at + 7]])
                    + u16::from_be_bytes([senc[at + 10], senc[at + 11]]);
                add32(&mut senc[at + 2..], -32);
                senc[at + 6..at + 12].copy_from_slice(&[0, 16, 0, 0, 0, 16]);
                add16(&mut senc[at + 12..], i32::from(skipped));
            })
        }),
        ("subsample-sum", Segments, "cenc", |f| {
            edit_box(f, SEGMENT, b"senc", |senc| {
                let at = entry(senc, 8, 1) + 2;
                add32(&mut senc[at + 2..], 16);
            })
        }),
        ("subsample-map", Segments, "cbcs", |f| {
            edit_traf(f, SEGMENT, |traf| {
                traf.remove(|node| node.is(b"saiz") || node.is(b"saio"));
                let senc = traf.find_mut(&[b"senc"]).unwrap();
                let count = senc.payload()[4..8].to_vec();
                *senc = BoxNode::data(b"senc", [vec![0; 4], count].concat());
            })
        }),
        ("senc-count", Segments, "cenc", |f| edit_box(f, SEGMENT, b"senc", |senc| add32(&mut senc[4..], -1))),
        ("senc-size", Segments, "cenc", |f| {
            edit_traf(f, SEGMENT, |traf| {
                let senc = traf.find_mut(&[b"senc"]).unwrap();
                *senc = BoxNode::data(b"senc", [senc.payload(), &[0; 6]].concat());
            })
        }),
        ("aux-flags", Segments, "cenc", |f| edit_box(f, SEGMENT, b"saiz", |saiz| saiz[3] |= 8)),
        ("tenc-reserved", Segments, "cenc", |f| edit_box(f, INIT, b"tenc", |tenc| tenc[3] |= 4)),
        ("tfhd-version", Segments, "cenc", |f| edit_box(f, SEGMENT, b"tfhd", |tfhd| tfhd[0] = 1)),
        ("saiz-absent", Segments, "cbcs", |f| {
            [b"saiz", b"saio"].iter().for_each(|kind| rename(f, SEGMENT, kind, b"free"));
        }),
        ("saiz-count", Segments, "cenc", |f| edit_box(f, SEGMENT, b"saiz", |saiz| add32(&mut saiz[5..], -1))),
        ("saiz-size", Dash, "cenc", |f| edit_box(f, SLICES, b"saiz", |saiz| saiz[9] += 6)),
        ("saio-offset", Segments, "cenc", |f| edit_box(f, SEGMENT, b"saio", |saio| add32(&mut saio[8..], 8))),
        ("aux-pair", Segments, "cenc", |f| rename(f, SEGMENT, b"saio", b"free")),
        ("aux-missing", Segments, "cenc", |f| {
            [b"senc", b"saiz", b"saio"].iter().for_each(|kind| rename(f, SEGMENT, kind, b"free"));
        }),
        // Nothing but the type of the box differs, and no sample is named any more.
        ("mdat-bytes", Segments, "cenc", |f| rename(f, SEGMENT, b"traf", b"uraf")),
        ("segment-empty", Segments, "cenc", |f| fs::write(f.join(SEGMENT), []).unwrap()),
        ("box-unread", Segments, "cenc", |f| {
            edit(f, SEGMENT, |bytes| BoxNode::data(b"skip", vec![7; 70_000]).write(bytes));
        }),
        ("track-protected", Dash, "cenc", |f| {
            ["0/1.m4s", "0/2.m4s", "0/3.m4s", "0/4.m4s"].iter().for_each(|name| clear_subsamples(f, name, 8));
        }),
        ("sample-clear", Dash, "cenc", |f| clear_subsamples(f, "0/2.m4s", 8)),
        ("aux-in-clear", Dash, "cenc", |f| unprotect_init(f, SLICES_INIT, b"encv", b"avc1")),
        ("track-clear", Dash, "cbcs", |f| unprotect_init(f, SLICES_INIT, b"encv", b"avc1")),
        ("entry-format", Segments, "cenc", |f| rename(f, INIT, b"encv", b"avc1")),
        ("sinf-children", Segments, "cenc", |f| rename(f, INIT, b"schm", b"free")),
        ("scheme-version", Segments, "cenc", |f| edit_box(f, INIT, b"schm", |schm| schm[9] = 2)),
        ("tenc-version", Segments, "cbcs", |f| edit_box(f, INIT, b"tenc", |tenc| tenc[0] = 0)),
        ("tenc-pattern", Segments, "cbcs", |f| edit_box(f, "a1/init.mp4", b"tenc", |tenc| tenc[5] = 0x19)),
        ("tenc-iv-size", Segments, "cbcs", |f| edit_box(f, INIT, b"tenc", |tenc| tenc[7] = 8)),
        ("tenc-protected", Segments, "cenc", |f| edit_box(f, INIT, b"tenc", |tenc| tenc[6] = 2)),
        ("senc-in-moov", Segments, "cenc", |f| rename(f, INIT, b"stco", b"senc")),
        ("codec-scheme", Segments, "cbcs", |f| {
            edit_box(f, INIT, b"frma", |frma| {
                frma[..4].copy_from_slice(b"vp09");
            })
        }),
        ("sample-description-index", Segments, "cenc", |f| edit_box(f, INIT, b"trex", |trex| trex[11] = 5)),
        ("seig-shape", Segments, "cbcs", |f| {
            edit_traf(f, SEGMENT, |traf| {
                seig(0x19, 0x1_0002).into_iter().for_each(|node| traf.push(node));
            })
        }),
        ("seig-pattern", Segments, "cbcs", |f| {
            edit_traf(f, SEGMENT, |traf| {
                seig(0, 0x1_0001).into_iter().for_each(|node| traf.push(node));
            })
        }),
        ("iv-reuse", Segments, "cenc", |f| {
            edit_box(f, SEGMENT, b"senc", |senc| {
                let first = senc[8..16].to_vec();
                let second = entry(senc, 8, 1) + 2 + 6;
                senc[second..second + 8].copy_from_slice(&first);
            })
        }),
        ("payload-parses", Segments, "cenc", |f| {
            edit(f, SEGMENT, |bytes| {
                let start = position(bytes, b"mdat") + 4;
                bytes[start] = 0x7f;
            })
        }),
        ("key-fits", Segments, "cbcs", |f| edit_box(f, "a1/init.mp4", b"tenc", |tenc| tenc[40] ^= 1)),
        ("payload-equal", Segments, "cbcs", |f| {
            edit(f, SEGMENT, |bytes| {
                let last = bytes.len() - 200;
                bytes[last] ^= 1;
            })
        }),
        ("payload-samples", Segments, "cbcs", |f| {
            fs::remove_file(f.join("master.m3u8")).unwrap();
            ["v1.m3u8", "a1.m3u8"].iter().for_each(|name| fs::remove_file(f.join(name)).unwrap());
            edit_lines(f, MPD, |line| (!line.contains("<S d=\"")).then(|| line.to_owned()));
        }),
        ("never-clear", Dash, "cbcs", |f| {
            let name = SLICES;
            let clear = fs::read(root().join("fixtures/clip/dash").join(name)).unwrap();
            let data = clear[position(&clear, b"mdat") + 4..].to_vec();
            edit(f, name, |bytes| {
                let start = position(bytes, b"mdat") + 4;
                bytes.truncate(start);
                bytes.extend(&data);
            });
        }),
        ("sample-inside", Segments, "cenc", |f| {
            edit_box(f, SEGMENT, b"trun", |trun| {
                add32(&mut trun[8..], 1_000_000);
            })
        }),
        ("pssh-box", Segments, "cenc", |f| edit_pssh(f, |pssh| pssh[8..].to_vec())),
        ("pssh-data", Segments, "cenc", |f| edit_box(f, INIT, b"pssh", |pssh| pssh[24] = 0xff)),
        ("pssh-kid", Segments, "cenc", |f| edit_box(f, INIT, b"pssh", |pssh| pssh[30] ^= 1)),
        ("pssh-scheme", Segments, "cbcs", |f| {
            edit(f, INIT, |bytes| {
                let field = position(bytes, &[0x48, 0xf3, 0xc6, 0x89, 0x9b, 0x06]);
                bytes[field] = 0x38;
            })
        }),
        ("kid-byte-order", Segments, "cenc", |f| {
            let kid = kid_of(f, INIT);
            replace_utf16(f, INIT, &base64(&kid.to_guid_le()), &base64(kid.bytes()));
        }),
        ("wrm-version", Segments, "cbcs", |f| replace_utf16(f, INIT, "4.3.0.0", "4.2.0.0")),
        ("wrm-algid", Segments, "cbcs", |f| replace_utf16(f, INIT, "AESCBC", "AESCTR")),
        ("wrm-checksum", Segments, "cenc", |f| replace_utf16(f, INIT, "<CHECKSUM>", "<CHECKSUM>AAAA")),
    ];
    variants.extend::<Vec<Variant>>(vec![
        ("mpd-protection", Segments, "cenc", |f| replace(f, MPD, "mp4protection:2011", "mp4protection:2000")),
        ("mpd-clear", Segments, "cenc", |f| unprotect_init(f, "a1/init.mp4", b"enca", b"mp4a")),
        ("mpd-scheme", Segments, "cbcs", |f| replace(f, MPD, "value=\"cbcs\"", "value=\"cenc\"")),
        ("kid-mpd-tenc", Segments, "cbcs", |f| {
            let kid = kid_of(f, INIT).to_string();
            let mut other = kid.clone();
            other.replace_range(..1, if kid.starts_with('0') { "1" } else { "0" });
            replace(f, MPD, &kid, &other);
        }),
        ("mpd-namespace", Dash, "cenc", |f| replace(f, MPD, "urn:mpeg:cenc:2013", "urn:mpeg:cenc:2012")),
        ("mpd-scheme-id", Dash, "cenc", |f| replace(f, MPD, "urn:uuid:edef8ba9", "urn:uuid:$def8ba9")),
        ("mpd-xml", Dash, "cenc", |f| replace(f, MPD, "<MPD", "<!-- a -- b --><MPD")),
        ("mpd-text", Dash, "cenc", |f| replace(f, MPD, "<cenc:pssh", "x<cenc:pssh")),
        ("mpd-pssh", Segments, "cbcs", |f| {
            let id = "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";
            replace(f, MPD, id, "urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95");
        }),
        ("hls-key-missing", Segments, "cbcs", |f| {
            edit_lines(f, PLAYLIST, |line| (!line.starts_with("#EXT-X-KEY")).then(|| line.to_owned()));
        }),
        ("hls-method", Segments, "cbcs", |f| {
            edit_lines(f, PLAYLIST, |line| Some(line.replace("METHOD=SAMPLE-AES", "METHOD=SAMPLE-AES-CTR")));
        }),
        ("hls-iv", Segments, "cenc", |f| replace(f, PLAYLIST, ",KEYFORMAT=", ",IV=0x01,KEYFORMAT=")),
        ("hls-iv-media", Segments, "cbcs", |f| {
            let iv = format!(",IV=0x{},KEYFORMAT=", "01".repeat(16));
            replace(f, PLAYLIST, ",KEYFORMAT=", &iv);
        }),
        ("source-equal", Dash, "cbcs", |f| {
            edit(f, SLICES, |bytes| {
                let brand = position(bytes, b"styp") + 4;
                bytes[brand] ^= 1;
            });
        }),
        ("hls-version", Segments, "cbcs", |f| replace(f, PLAYLIST, "VERSION:6", "VERSION:5")),
        ("hls-systems", Segments, "cbcs", |f| {
            edit_lines(f, PLAYLIST, |line| (!line.contains("charset=UTF-16")).then(|| line.to_owned()));
        }),
        ("hls-key-twice", Segments, "cbcs", |f| {
            edit_lines(f, PLAYLIST, |line| {
                let is_key = line.starts_with("#EXT-X-KEY");
                Some(if is_key { format!("{line}\n{line}") } else { line.to_owned() })
            })
        }),
        ("hls-key-id", Segments, "cbcs", |f| {
            let kid = kid_of(f, INIT).to_string().replace('-', "");
            replace(
                f,
                PLAYLIST,
                &format!("KEYID=0x{kid}"),
                &format!("KEYID=0x{}", kid.replace('a', "b").replace('0', "1")),
            );
        }),
        ("hls-pssh", Segments, "cbcs", |f| replace(f, PLAYLIST, "base64,AAAA", "base64,AAAB")),
        ("pssh-agree", Segments, "cbcs", |f| {
            edit(f, INIT, |bytes| {
                let content_id = position(bytes, &[0x22, 0x02, b'a', b'v']);
                bytes[content_id + 2] = b'b';
            })
        }),
        ("hls-key-agree", Segments, "cbcs", |f| {
            let text = fs::read_to_string(f.join(PLAYLIST)).unwrap();
            let key = text.lines().find(|line| line.contains("data:text/plain;base64")).unwrap();
            let other = format!("{SEGMENT}\n{}\n", key.replace("text/plain", "text/Plain"));
            replace(f, PLAYLIST, &format!("{SEGMENT}\n"), &other);
        }),
        ("hls-format-known", Segments, "cbcs", |f| {
            edit_lines(f, PLAYLIST, |line| {
                Some(line.replace("KEYFORMATVERSIONS=\"1\"", "KEYFORMATVERSIONS=\"3\""))
            });
        }),
        ("hls-session-key", Segments, "cbcs", |f| {
            replace(f, "master.m3u8", "SESSION-KEY:METHOD=SAMPLE-AES", "SESSION-KEY:METHOD=SAMPLE-AES-CTR");
        }),
        ("byte-range", ByteRange, "cenc", |f| {
            edit_lines(f, "v1/media.m3u8", |line| {
                let range = line.strip_prefix("#EXT-X-BYTERANGE:").and_then(|range| range.split_once('@'));
                Some(range.map_or_else(
                    || line.to_owned(),
                    |(length, offset)| {
                        format!("#EXT-X-BYTERANGE:{length}@{}", offset.parse::<u64>().unwrap() + 1)
                    },
                ))
            })
        }),
        ("index-range", Indexed, "cenc", |f| {
            edit_lines(f, MPD, |line| {
                let Some((before, range)) = line.split_once("indexRange=\"") else {
                    return Some(line.to_owned());
                };
                let (first, rest) = range.split_once('-').unwrap();
                Some(format!("{before}indexRange=\"{}-{rest}", first.parse::<u64>().unwrap() + 1))
            })
        }),
        ("manifest", Segments, "cenc", |f| replace(f, PLAYLIST, "#EXTINF:", "#EXTINF:x")),
        ("sidx-offset", Indexed, "cenc", |f| {
            edit_box(f, "video.mp4", b"sidx", |sidx| {
                let first = if sidx[0] == 0 { 24 } else { 32 };
                add32(&mut sidx[first..], 1);
            })
        }),
        ("mfra-offset", Indexed, "cenc", |f| {
            edit_box(f, "video.mp4", b"tfra", |tfra| {
                let first = if tfra[0] == 0 { 20 } else { 24 };
                tfra[first + if tfra[0] == 0 { 3 } else { 7 }] ^= 1;
            })
        }),
        ("box-tree", Segments, "cenc", |f| {
            edit(f, SEGMENT, |bytes| {
                let end = bytes.len() - 5;
                bytes.truncate(end);
            })
        }),
        ("file-missing", Segments, "cenc", |f| fs::remove_file(f.join(SEGMENT)).unwrap()),
    ]);
    variants.extend(errors_of_streams());
    variants
}

/// A segment as it was before packing.
fn restore(folder: &Path) {
    edit(folder, "0.ts", |bytes| *bytes = fs::read(root().join("fixtures/clip/hls-ts/0.ts")).unwrap());
}

/// A segment that was encrypted with another IV than its playlist says, which shows in the last byte of the first block.
fn other_iv(folder: &Path) {
    let text = fs::read_to_string(folder.join("v1/media.m3u8")).unwrap();
    let after = |word: &str| text.split(word).nth(1).unwrap().split(['"', '\n']).next().unwrap().to_owned();
    let (kid, iv) = (after("https://keys.example/"), after("IV=0x"));
    let iv = u128::from_str_radix(&iv, 16).unwrap();
    let key = key(Kid::parse(&kid).unwrap());
    edit(folder, "v1/1.m4s", |bytes| {
        let (mut clear, mut other) = (Vec::new(), Vec::new());
        Aes128::new(&key, iv.to_be_bytes()).decrypt(&bytes.clone(), &mut clear).unwrap();
        Aes128::new(&key, (iv ^ 1).to_be_bytes()).encrypt(&clear, &mut other).unwrap();
        *bytes = other;
    });
}

fn errors_of_streams() -> Vec<Variant> {
    use Base::{Streams, Whole, WholeMaps};
    vec![
        ("whole-length", Whole, "", |f| edit(f, "0.ts", |bytes| bytes.truncate(bytes.len() - 5))),
        ("whole-clear", Whole, "", restore),
        ("whole-padding", Whole, "", |f| {
            edit(f, "0.ts", |bytes| {
                let last = bytes.len() - 17;
                bytes[last] ^= 0x40;
            })
        }),
        ("whole-payload", Whole, "", |f| {
            edit_lines(f, "index.m3u8", |line| {
                let (before, iv) = line.split_once("IV=0x").unwrap_or((line, ""));
                let iv: String = iv.chars().rev().collect();
                Some(if iv.is_empty() { line.to_owned() } else { format!("{before}IV=0x{iv}") })
            })
        }),
        ("whole-iv", WholeMaps, "", other_iv),
        ("key-file", Whole, "", |f| {
            edit_lines(f, "index.m3u8", |line| Some(line.replace("https://keys.example/", "")));
            let text = fs::read_to_string(f.join("index.m3u8")).unwrap();
            let uri = text.split("URI=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            fs::write(f.join(uri), [7; 16]).unwrap();
        }),
        ("whole-map-iv", WholeMaps, "", |f| {
            edit_lines(f, "v1/media.m3u8", |line| {
                Some(line.split_once(",IV=0x").map_or(line, |(before, _)| before).to_owned())
            })
        }),
        ("hls-inside", Whole, "", |f| {
            let text = fs::read_to_string(f.join("index.m3u8")).unwrap();
            let key = text.lines().find(|line| line.starts_with("#EXT-X-KEY")).unwrap();
            let key = key.replace("IV=0x", "IV=0x1");
            let head = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:2\n#EXT-X-I-FRAMES-ONLY\n";
            let frame = "#EXTINF:2,\n#EXT-X-BYTERANGE:1880@0\n0.ts\n#EXT-X-ENDLIST\n";
            fs::write(f.join("i.m3u8"), format!("{head}{}\n{frame}", key.split_at(key.len() - 1).0)).unwrap();
        }),
        ("stream-parse", Streams, "", |f| edit(f, "0.ts", |bytes| bytes.truncate(bytes.len() - 5))),
        ("ts-continuity", Streams, "", |f| {
            edit(f, "0.ts", |bytes| {
                // A packet of pictures that begins no PES packet.
                let is_inner =
                    |packet: &&mut [u8]| packet[1] == 0x01 && packet[2] == 0 && packet[3] & 0x30 == 0x10;
                bytes.chunks_mut(188).find(is_inner).unwrap()[3] ^= 4;
            })
        }),
        ("stream-signal", Streams, "", restore),
        ("mislabeled", Base::Segments, "cenc", |f| {
            let set = "<AdaptationSet mimeType=\"text/vtt\"><Representation id=\"x\" bandwidth=\"1\">\
                       <BaseURL>v1/1.m4s</BaseURL></Representation></AdaptationSet></Period>";
            edit_lines(f, MPD, |line| Some(line.replace("</Period>", set)));
        }),
    ]
}

/// Variants of which each breaks a rule that should not be broken: they are listed, and pass.
#[expect(clippy::too_many_lines, reason = "a table")]
fn advices() -> Vec<Variant> {
    use Base::{Dash, Segments};
    vec![
        ("unread-bytes", Segments, "cenc", |f| {
            edit(f, SEGMENT, |bytes| bytes.extend(hidden(b"skip", vec![7; 1025])));
        }),
        ("unreferenced", Segments, "cenc", |f| {
            fs::copy(Base::Segments.input(), f.join("v1/notes.txt")).unwrap();
        }),
        ("base-is-moof", Segments, "cenc", |f| edit_box(f, SEGMENT, b"tfhd", |tfhd| tfhd[1] &= !2)),
        ("tenc-pattern-video", Dash, "cbcs", |f| {
            edit_box(f, SLICES_INIT, b"tenc", |tenc| tenc[5] = 0x55);
        }),
        ("kid-zero", Dash, "cbcs", |f| {
            edit_box(f, SLICES_INIT, b"tenc", |tenc| tenc[8..24].fill(0));
        }),
        ("sample-slices", Segments, "cenc", |f| {
            edit(f, SEGMENT, |bytes| {
                // The slices of the first sample become messages: nal_unit_type 6.
                let (mut at, end) = (position(bytes, b"mdat") + 4, position(bytes, b"trun") + 24);
                let end = at + u32::from_be_bytes(bytes[end - 4..end].try_into().unwrap()) as usize;
                while at < end {
                    let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
                    bytes[at + 4] = 6;
                    at += 4 + length;
                }
            });
        }),
        ("sample-times", Segments, "cenc", |f| edit_box(f, SEGMENT, b"tfdt", |tfdt| tfdt[11] ^= 1)),
        ("entry-equal", Segments, "cenc", |f| edit_box(f, INIT, b"mdhd", |mdhd| mdhd[15] ^= 1)),
        ("time-runs-on", Segments, "cenc", |f| edit_box(f, SEGMENT, b"tfdt", |tfdt| tfdt[11] ^= 1)),
        ("time-timeline", Segments, "cenc", |f| edit_box(f, SEGMENT, b"tfdt", |tfdt| tfdt[9] ^= 1)),
        ("time-start", Segments, "cenc", |f| {
            for name in ["v1/1.m4s", "v1/2.m4s", "v1/3.m4s", "v1/4.m4s"] {
                edit_box(f, name, b"tfdt", |tfdt| tfdt[8] ^= 1);
            }
        }),
        ("sidx-duration", Dash, "cenc", |f| {
            edit_box(f, SLICES, b"sidx", |sidx| sidx[37] ^= 1);
        }),
        ("label-frame-rate", Segments, "cenc", |f| replace(f, MASTER, "FRAME-RATE=2", "FRAME-RATE=3")),
        ("label-codecs", Segments, "cenc", |f| replace(f, MASTER, "CODECS=\"avc1", "CODECS=\"avc3")),
        ("label-resolution", Segments, "cenc", |f| replace(f, MASTER, "RESOLUTION=3", "RESOLUTION=1")),
        ("label-channels", Segments, "cenc", |f| replace(f, MASTER, "CHANNELS=\"2\"", "CHANNELS=\"6\"")),
        ("label-bandwidth", Segments, "cenc", |f| replace(f, MASTER, ":BANDWIDTH=", ":BANDWIDTH=99")),
        ("hls-i-frames", Segments, "cenc", |f| {
            let tag = "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"v1.m3u8\"\n#EXT-X-STREAM-INF";
            replace(f, MASTER, "#EXT-X-STREAM-INF", tag);
        }),
        ("label-mime", Segments, "cenc", |f| {
            replace(f, MPD, "mimeType=\"video/mp4\"", "mimeType=\"video/mp2t\"")
        }),
        ("label-sampling", Segments, "cenc", |f| {
            replace(f, MPD, "audioSamplingRate=\"4", "audioSamplingRate=\"1")
        }),
        ("mpd-text-beside", Segments, "cenc", |f| replace(f, MPD, "<Period", "text<Period")),
        ("hls-text", Segments, "cenc", |f| replace(f, PLAYLIST, ",\n", ",\u{1a}\n")),
        ("box-fields", Segments, "cenc", |f| edit_box(f, INIT, b"mvhd", |mvhd| mvhd[30] ^= 1)),
        ("asset-clear", Segments, "cenc", |f| {
            fs::copy(root().join("fixtures/clip/mp4/av.mp4"), f.join("ad.mp4")).unwrap();
            edit_lines(f, PLAYLIST, |line| {
                let tag =
                    "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-03-01T10:00:00Z\",X-ASSET-URI=\"ad.mp4\"";
                let is_end = line == "#EXT-X-ENDLIST";
                Some(if is_end { format!("{tag}\n{line}") } else { line.to_owned() })
            });
        }),
        ("time-extinf", Segments, "cenc", |f| {
            edit_lines(f, PLAYLIST, |line| {
                Some(if line.starts_with("#EXTINF") { "#EXTINF:9.5,".to_owned() } else { line.to_owned() })
            });
        }),
        ("mpd-duration", Segments, "cenc", |f| {
            replace(f, MPD, "mediaPresentationDuration=\"PT", "mediaPresentationDuration=\"PT1")
        }),
        ("mpd-period", Segments, "cenc", |f| replace(f, MPD, "start=\"PT0S\"", "start=\"PT7S\"")),
        ("mpd-offset", Segments, "cenc", |f| {
            let offset = "timescale=\"12800\" presentationTimeOffset=\"64000\"";
            replace(f, MPD, "timescale=\"12800\"", offset);
        }),
        ("hls-group", Segments, "cenc", |f| replace(f, MASTER, ",AUDIO=\"", ",X-AUDIO=\"")),
        ("hls-default", Segments, "cenc", |f| {
            let other = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio1\",NAME=\"b\",DEFAULT=YES,URI=\"a1.m3u8\"";
            replace(f, MASTER, "#EXT-X-MEDIA", &format!("{other}\n#EXT-X-MEDIA"));
        }),
        ("hls-target-duration", Segments, "cenc", |f| {
            edit_lines(f, PLAYLIST, |line| {
                let is_target = line.starts_with("#EXT-X-TARGETDURATION");
                Some(if is_target { "#EXT-X-TARGETDURATION:1".to_owned() } else { line.to_owned() })
            })
        }),
        ("hls-discontinuity", Segments, "cenc", |f| {
            replace(f, PLAYLIST, &format!("{SEGMENT}\n"), &format!("{SEGMENT}\n#EXT-X-DISCONTINUITY\n"));
        }),
        ("manifests-language", Segments, "cenc", |f| {
            replace(f, MASTER, "TYPE=AUDIO,", "TYPE=AUDIO,LANGUAGE=\"en\",");
            replace(f, MPD, "contentType=\"audio\"", "contentType=\"audio\" lang=\"de\"");
        }),
        ("manifests-segments", Segments, "cenc", |f| {
            edit_lines(f, PLAYLIST, |line| (line != "v1/4.m4s").then(|| line.to_owned()));
            let text = fs::read_to_string(f.join(PLAYLIST)).unwrap();
            let (before, _) = text.rsplit_once("#EXTINF").unwrap();
            fs::write(f.join(PLAYLIST), format!("{before}#EXT-X-ENDLIST\n")).unwrap();
        }),
        ("senc-absent", Segments, "cenc", |f| rename(f, SEGMENT, b"senc", b"free")),
        ("sinf-order", Segments, "cenc", |f| {
            edit(f, INIT, |bytes| {
                let frma = position(bytes, b"frma") - 4;
                let moved = bytes.drain(frma..frma + 12).collect::<Vec<_>>();
                bytes.splice(frma + 20..frma + 20, moved);
            })
        }),
        ("slice-clear", Dash, "cenc", |f| {
            edit_box(f, SLICES, b"senc", |senc| {
                let at = entry(senc, 8, 2) + 2;
                let protected = u32::from_be_bytes(senc[at + 2..at + 6].try_into().unwrap());
                add32(&mut senc[at + 2..], -i64::from(protected));
                add16(&mut senc[at..], i32::try_from(protected).unwrap());
            })
        }),
        ("seig-one", Segments, "cbcs", |f| {
            edit_traf(f, SEGMENT, |traf| {
                seig(0x19, 0).into_iter().for_each(|node| traf.push(node));
                let sbgp = traf.find_mut(&[b"sbgp"]).unwrap();
                let mut payload = sbgp.payload()[..8].to_vec();
                payload.extend([0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
                *sbgp = BoxNode::data(b"sbgp", payload);
            })
        }),
        ("mpd-order", Segments, "cenc", |f| {
            edit_lines(f, MPD, |line| {
                let other = "<ContentProtection schemeIdUri=\"urn:example\"/>";
                Some(if line.contains("mp4protection") { format!("{other}{line}") } else { line.to_owned() })
            })
        }),
        ("mpd-place", Segments, "cenc", |f| {
            edit_lines(f, MPD, |line| {
                let line = line.replace(
                    "<AdaptationSet id=\"1\" ",
                    "<AdaptationSet id=\"1\" contentType=\"video\"><X/></AdaptationSet><AdaptationSet ",
                );
                Some(line)
            });
            let text = fs::read_to_string(f.join(MPD)).unwrap();
            // The descriptors of the first set move into its Representation.
            let start = text.find("<ContentProtection").unwrap();
            let end = text.find("<Representation").unwrap();
            let tag_end = end + text[end..].find('>').unwrap() + 1;
            let moved = [&text[..start], &text[end..tag_end], &text[start..end], &text[tag_end..]].concat();
            fs::write(
                f.join(MPD),
                moved.replace("<AdaptationSet id=\"1\" contentType=\"video\"><X/></AdaptationSet>", ""),
            )
            .unwrap();
        }),
        ("mpd-same-key", Dash, "cenc", |f| {
            replace(
                f,
                MPD,
                "<ContentProtection schemeIdUri=\"urn:uuid:edef8ba9",
                "<ContentProtection x=\"1\" schemeIdUri=\"urn:uuid:edef8ba9",
            );
        }),
        ("mpd-system", Segments, "cbcs", |f| {
            edit_lines(f, MPD, |line| {
                let other =
                    "<ContentProtection schemeIdUri=\"urn:uuid:94ce86fb-07ff-4f43-adb8-93d2fa968ca2\"/>";
                Some(line.replace("<Representation", &format!("{other}<Representation")))
            })
        }),
        ("mpd-systems", Dash, "cenc", |f| {
            let text = fs::read_to_string(f.join(MPD)).unwrap();
            let start = text.find("<ContentProtection schemeIdUri=\"urn:uuid:9a04f079").unwrap();
            let end =
                start + text[start..].find("</ContentProtection>").unwrap() + "</ContentProtection>".len();
            fs::write(f.join(MPD), [&text[..start], &text[end..]].concat()).unwrap();
        }),
        ("hls-system-absent", Segments, "cbcs", |f| {
            let other = "<ContentProtection schemeIdUri=\"urn:uuid:94ce86fb-07ff-4f43-adb8-93d2fa968ca2\"/>";
            replace(f, MPD, "<Representation", &format!("{other}<Representation"));
        }),
        ("hls-format-versions", Segments, "cbcs", |f| {
            edit_lines(f, PLAYLIST, |line| Some(line.replace(",KEYFORMATVERSIONS=\"1\"", "")));
            edit_lines(f, "master.m3u8", |line| Some(line.replace(",KEYFORMATVERSIONS=\"1\"", "")));
        }),
        ("hls-session-absent", Segments, "cbcs", |f| {
            edit_lines(f, "master.m3u8", {
                |line| (!(line.contains("SESSION-KEY") && line.contains("UTF-16"))).then(|| line.to_owned())
            })
        }),
    ]
}

/// Rules that no variant breaks, and why.
const UNBROKEN: &[(&str, &str)] = &[
    ("audio-clear", "needs a track that is clear: the_only_video_is_not_clear_beside_protected_audio"),
    ("tenc-iv-eight", "a file with IVs of sixteen bytes cannot be made by editing bytes of ours"),
    (
        "key-shared",
        "what is packed with one key for all has it: what_is_packed_passes_with_and_without_keys_and_source",
    ),
    (
        "label-range",
        "needs video that says its range: pictures_of_other_curves_are_told_apart_in_both_manifests",
    ),
    ("label-tiles", "needs thumbnails: thumbnails_are_named_in_both_manifests_and_follow_there_and_back"),
    ("key-value", "needs a key file: one_value_under_two_ids_is_one_key"),
    ("entries-order", "needs a clear lead, which has tests of its own"),
    ("clear-entry-differs", "needs a clear lead"),
    ("description-explicit", "needs a clear lead"),
    ("mixed-fragment", "needs groups that say unprotected; the reading of groups is covered by seig-shape"),
    ("subsample-count", "an entry without subsamples shifts all that follow"),
    ("pssh-period", "needs keys that change: a_key_that_is_announced_nowhere_is_found_where_keys_change"),
    ("hls-key-period", "needs keys that change: a_playlist_that_keeps_a_key_of_the_period_before_is_found"),
    ("hls-key-uri", "needs FairPlay: a_uri_of_another_key_is_found_without_session_keys"),
    ("saio-one", "a second offset needs a second run"),
    ("hls-key-clear", "the segments of a track that was made clear by hand still have senc"),
];

fn edit_pssh(folder: &Path, change: impl Fn(&[u8]) -> Vec<u8>) {
    let text = fs::read_to_string(folder.join(MPD)).unwrap();
    let start = text.find("<cenc:pssh").unwrap();
    let start = start + text[start..].find('>').unwrap() + 1;
    let end = start + text[start..].find('<').unwrap();
    let pssh = base64(&change(&from_base64(&text[start..end]).unwrap()));
    fs::write(folder.join(MPD), [&text[..start], &pssh, &text[end..]].concat()).unwrap();
}

fn broken((id, base, scheme, change): &Variant) -> (i32, String) {
    let preset = if *id == "mpd-same-key" { Preset::Preset0 } else { Preset::Preset1 };
    let input = base.input();
    let out = base.pack(scheme, preset);
    change(out.path());
    verify(&[out.path()], &["--dev-keys", SEED, "--against", input.to_str().unwrap()])
}

#[test]
fn each_broken_variant_fails_and_names_its_rule() {
    let mut wrong = Vec::new();
    for variant in errors() {
        let (code, text) = broken(&variant);
        let line = format!("error  {}: ", variant.0);
        if code != 7 || !text.contains(&line) || !text.contains("FAILED") {
            wrong.push(format!("{}: exit {code}\n{text}", variant.0));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn each_piece_of_advice_is_given() {
    let mut wrong = Vec::new();
    for variant in advices() {
        let (_, text) = broken(&variant);
        if !text.contains(&format!("advice {}: ", variant.0)) {
            wrong.push(format!("{}\n{text}", variant.0));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let (code, text) = broken(&advices()[0]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn every_rule_is_broken_by_a_variant_or_it_is_said_why_not() {
    let broken: BTreeSet<_> = errors().iter().chain(&advices()).map(|variant| variant.0).collect();
    let said: BTreeSet<_> = UNBROKEN.iter().map(|(id, _)| *id).collect();
    for rule in RULES {
        let id = rule.id;
        assert!(broken.contains(id) != said.contains(id), "{id} is not broken, or broken and said not to be");
        let is_error = errors().iter().any(|variant| variant.0 == id);
        assert!(!is_error || rule.severity == Severity::Error, "{id}");
    }
    assert!(broken.iter().chain(&said).all(|id| rule(id).is_some()));
    assert!(errors().len() >= 30);
}

#[test]
fn every_rule_that_the_source_names_is_in_the_table() {
    let mut named = BTreeSet::new();
    for bytes in tree(&root().join("src/verify")).into_values() {
        let text = String::from_utf8(bytes).unwrap();
        for part in text.split("check(").skip(1) {
            let id = part.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            named.extend(id.map(str::to_owned));
        }
    }
    assert!(named.len() > 60, "{named:?}");
    assert!(named.iter().all(|id| rule(id).is_some()), "{named:?}");
}

/// Media may be hidden wherever nothing is read: it is found with the source, and is advice without.
#[test]
fn plain_media_in_boxes_that_no_reader_uses_is_found() {
    type Hide = fn(&Path, Vec<u8>);
    let places: [(&str, Hide); 6] = [
        ("v1/init.mp4: box skip", |f, bytes| {
            edit(f, INIT, |file| file.extend(hidden(b"skip", bytes.clone())))
        }),
        ("v1/init.mp4: box mdat", |f, bytes| {
            edit(f, INIT, |file| file.extend(hidden(b"mdat", bytes.clone())))
        }),
        ("v1/init.mp4: box uuid", |f, bytes| {
            edit(f, INIT, |file| {
                let mut boxes = parse_file(file).unwrap();
                let moov = boxes.iter_mut().find(|node| node.is(b"moov")).unwrap();
                moov.boxes_mut().unwrap().push(BoxNode::data(b"uuid", bytes.clone()));
                *file = write_file(&boxes);
            });
        }),
        ("v1/1.m4s: moof at byte ", |f, bytes| {
            edit_traf(f, SEGMENT, |traf| {
                traf.boxes_mut().unwrap().push(BoxNode::data(b"free", bytes.clone()));
            });
        }),
        ("v1/1.m4s: box xyzw", |f, bytes| {
            edit(f, SEGMENT, |file| file.extend(hidden(b"xyzw", bytes.clone())))
        }),
        ("a1/2.m4s: box free", |f, bytes| {
            edit(f, "a1/2.m4s", |file| file.extend(hidden(b"free", bytes.clone())))
        }),
    ];
    let source = Base::Segments.input();
    let options = ["--dev-keys", SEED, "--against", source.to_str().unwrap()];
    for (place, hide) in places {
        for (bytes, code, said) in [
            (plain(), 7, Some("unread-clear")),
            ([vec![0; 40_000], plain()].concat(), 7, Some("unread-clear")),
            (vec![7; 3000], 0, Some("unread-bytes")),
            (vec![7; 1000], 0, None),
            (vec![0; 3000], 0, None),
        ] {
            let out = Base::Segments.pack("cenc", Preset::Preset1);
            hide(out.path(), bytes);
            let (found, text) = verify(&[out.path()], &options);
            assert_eq!(found, code, "{place}: {text}");
            let is_said = |rule: &str| text.contains(&format!(" {rule}: {place}"));
            let rules = ["unread-clear", "unread-bytes"];
            assert!(
                said.map_or_else(|| !rules.into_iter().any(is_said), is_said),
                "{place} {said:?}: {text}"
            );
            let (found, text) = verify(&[out.path()], &[]);
            assert!(found == 0 && text.contains("unread-bytes: ") == said.is_some(), "{place}: {text}");
        }
    }
}

/// Clear media beside the presentation is said; what is encrypted, what is no media and what is small is not.
#[test]
fn clear_media_that_nothing_names_is_said() {
    let clip = root().join("fixtures/clip");
    for (name, is_said) in [
        ("mp4/av.mp4", true),
        ("hls-ts/0.ts", true),
        ("demux/avc_aac.mkv", true),
        ("hls/v1/init_0.mp4", false),
        ("dash/manifest.mpd", false),
    ] {
        let out = Base::Segments.pack("cenc", Preset::Preset1);
        fs::create_dir(out.path().join("old")).unwrap();
        fs::copy(clip.join(name), out.path().join("old/x.bin")).unwrap();
        fs::copy(out.path().join(SEGMENT), out.path().join("old/encrypted.m4s")).unwrap();
        fs::write(out.path().join("old/key"), [0x47; 16]).unwrap();
        let (code, text) = verify(&[out.path()], &["--dev-keys", SEED]);
        let said = text.matches("unreferenced: ").count();
        assert!(code == 0 && said == usize::from(is_said), "{name}: {text}");
        assert!(!is_said || text.contains("unreferenced: old/x.bin: found a"), "{name}: {text}");
        // Files that are given by name are all that is looked at.
        let (_, text) = verify(&[&out.path().join(MPD)], &["--dev-keys", SEED]);
        assert!(!text.contains("unreferenced"), "{text}");
    }
}

/// A tag behind white space is in force for some players only.
#[test]
fn a_tag_behind_white_space_is_refused_by_every_reader() {
    for before in [" ", "\t", "\u{feff}"] {
        let out = Base::Segments.pack("cenc", Preset::Preset1);
        let line = format!("\n{before}#EXT-X-KEY:METHOD=NONE\n#EXTINF");
        replace(out.path(), PLAYLIST, "\n#EXTINF", &line);
        let (code, text) = verify(&[out.path()], &["--dev-keys", SEED]);
        let said = format!("error  manifest: {PLAYLIST}: found {PLAYLIST}: line ");
        assert!(code == 7 && text.contains(&said), "{text}");
        assert!(text.contains(": #EXT-X-KEY behind U+") && text.contains("RFC 8216bis §4.1"), "{text}");
    }
    let input = tempfile::tempdir().unwrap();
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n\t#EXTINF:2,\n0.ts\n#EXT-X-ENDLIST\n";
    let playlist = input.path().join("index.m3u8");
    fs::write(&playlist, text).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error = pack(&job(&playlist, "fairplay", "cbcs"), out.path()).unwrap_err().to_string();
    assert!(error.contains("index.m3u8: line 3: #EXTINF behind U+0009"), "{error}");
}

/// An MP4 file packed under one key.
fn under_one_key(input: &str, scheme: &str) -> tempfile::TempDir {
    let (out, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keys = place.path().join("keys");
    fs::write(&keys, format!("{}:{}:{}\n", "31".repeat(16), "32".repeat(16), "33".repeat(16))).unwrap();
    let folder = out.path().join("packed");
    let status = Command::new(env!("CARGO_BIN_EXE_drm-pack"))
        .args(["pack", input, "--drm", "widevine", "--scheme", scheme, "--key-file"])
        .args([keys.as_path(), Path::new("--out"), folder.as_path()])
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    out
}

/// Two ids of one value are one key: key stream that both use is used twice.
#[test]
fn one_value_under_two_ids_is_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let line =
        |digit: u8| format!("{digit}123456789abcdef0123456789abcdef:a1b2c3d4e5f60718293a4b5c6d7e8f90\n");
    let input = root().join("fixtures/clip/hls/v1/media.m3u8");
    for (name, digit) in [("a", 0), ("b", 1)] {
        fs::write(path("key"), line(digit)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
        command.arg("pack").arg(&input).args(["--drm", "widevine", "--scheme", "cenc", "--key-file"]);
        let status = command.args([path("key"), "--out".into(), path(name)]).output().unwrap();
        assert!(status.status.success(), "{status:?}");
    }
    fs::write(path("keys"), [line(0), line(1)].concat()).unwrap();
    let (one, two) = (path("a"), path("b"));
    let check = || verify(&[Path::new(&one), Path::new(&two)], &["--key-file", &path("keys")]);
    let (code, text) = check();
    assert!(code == 0 && text.contains("advice key-value: "), "{text}");
    assert!(!text.contains("a1b2c3"), "{text}");
    edit(Path::new(&two), "1.m4s", |bytes| *bytes.last_mut().unwrap() ^= 1);
    let (code, text) = check();
    assert!(code == 7 && text.contains("error  iv-reuse: "), "{text}");
}

#[test]
fn several_folders_are_held_against_each_other() {
    let clip = |name: &str| root().join("fixtures/clip").join(name).to_str().unwrap().to_owned();
    let one = under_one_key(&clip("mp4/video_360.mp4"), "cenc");
    let again = under_one_key(&clip("mp4/video_360.mp4"), "cenc");
    let other = under_one_key(&clip("codecs/avc_interlaced.mp4"), "cenc");
    let folders = [&one, &again, &other].map(|out| out.path().join("packed"));
    let inputs: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    let (code, text) = verify(&inputs, &[]);
    assert_eq!(code, 0, "{text}");
    let (code, json) = verify(&inputs, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["passed"].as_bool()), (0, Some(true)));
    let named = json["presentations"].as_array().unwrap().iter().map(|one| one["folder"].as_str().unwrap());
    assert!(named.eq(inputs.iter().map(|folder| folder.to_str().unwrap())));
    // The first IV of the other title becomes that of the first, as a packager that numbers samples would have it.
    let senc = |bytes: &[u8]| bytes.windows(4).position(|kind| kind == b"senc").unwrap() + 12;
    let first = fs::read(folders[0].join("v1/1.m4s")).unwrap();
    let path = folders[2].join("v1/1.m4s");
    let mut bytes = fs::read(&path).unwrap();
    let (from, to) = (senc(&first), senc(&bytes));
    bytes[to..to + 8].copy_from_slice(&first[from..from + 8]);
    fs::write(&path, bytes).unwrap();
    assert_eq!(verify(&[&folders[0], &folders[1]], &[]).0, 0);
    assert_eq!(verify(&[&folders[2]], &[]).0, 0, "nothing is wrong with it alone");
    let (code, text) = verify(&inputs, &[]);
    let found = format!("error  iv-reuse: {}/v1/1.m4s", folders[2].display());
    assert!(code == 7 && text.contains(&found) && text.matches("iv-reuse: ").count() == 1, "{text}");
    assert!(text.contains(&format!("used in {}/v1/1.m4s too", folders[0].display())), "{text}");
}

/// Both manifests say as much, and as long, and neither too little.
#[test]
fn a_timeline_of_too_few_or_too_many_segments_is_seen() {
    let timeline = |count: u32| format!("r=\"{count}\"");
    for (count, rule) in [(2, "manifests-segments: v1/4.m4s: moof at byte"), (4, "file-missing: v1/5.m4s")] {
        let out = packed(&Base::Segments.input(), "widevine", "cenc", Preset::Preset0);
        let text = fs::read_to_string(out.path().join(MPD)).unwrap();
        assert!(text.contains(&timeline(3)), "{text}");
        replace(out.path(), MPD, &timeline(3), &timeline(count));
        let (code, text) = verify(&[out.path()], &["--dev-keys", SEED]);
        assert!(text.contains(rule) && (code == 0) == (count < 3), "{count}: {text}");
    }
}

#[test]
fn i_frames_last_up_to_the_next() {
    let input = Base::Segments.input();
    let out = tempfile::tempdir().unwrap();
    pack(&Job { trick_play: true, ..job(&input, "widevine", "cbcs") }, out.path()).unwrap();
    let names: Vec<String> = tree(out.path()).into_keys().filter(|name| name.ends_with(".m3u8")).collect();
    let is_i_frames =
        |name: &&String| fs::read_to_string(out.path().join(name)).unwrap().contains("EXT-X-I-FRAMES-ONLY");
    let name = names.iter().find(is_i_frames).unwrap();
    let (_, text) = verify(&[out.path()], &["-v", "--dev-keys", SEED]);
    assert!(!text.contains("advice time-extinf"), "{text}");
    edit_lines(out.path(), name, |line| {
        Some(if line.starts_with("#EXTINF") { "#EXTINF:0.500000,".to_owned() } else { line.to_owned() })
    });
    let (_, text) = verify(&[out.path()], &["--dev-keys", SEED]);
    assert!(text.contains("advice time-extinf: ") && text.contains("up to the next I-frame"), "{text}");
}

/// What is between two texts, first found behind a third.
fn between<'a>(text: &'a str, (behind, start, end): (&str, &str, &str)) -> &'a str {
    let text = &text[text.find(behind).unwrap()..];
    let text = &text[text.find(start).unwrap() + start.len()..];
    &text[..text.find(end).unwrap()]
}

#[test]
fn a_box_and_a_header_of_one_descriptor_are_held_to_the_key_each_by_itself() {
    for (start, end) in [("<mspr:pro", "</mspr:pro>"), ("<cenc:pssh", "</cenc:pssh>")] {
        let (out, source) = (tempfile::tempdir().unwrap(), root().join("fixtures/clip/dash/manifest.mpd"));
        pack(&job(&source, "playready", "cbcs"), out.path()).unwrap();
        let path = out.path().join("manifest.mpd");
        let text = fs::read_to_string(&path).unwrap();
        let data = between(&text, ("9a04f079", start, end)).split_once('>').unwrap().1;
        let mut bytes = from_base64(data).unwrap();
        let value = position(&bytes, &utf16("VALUE=\"")) + utf16("VALUE=\"").len();
        bytes[value] = if bytes[value] == b'A' { b'B' } else { b'A' };
        fs::write(&path, text.replace(data, &base64(&bytes))).unwrap();
        let (code, text) = verify(&[&path], &[]);
        assert!(code == 7 && text.contains("pssh-kid"), "{start}: {text}");
    }
}
