//! What `inspect` shows: of every format, the same as text and JSON, calmly of damaged files, and never a key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use drm_pack::base::{Kid, base64, from_base64};
use drm_pack::inspect::{Inspected, Node, Samples, inspect, presentation, text};
use drm_pack::io::FileStore;
use drm_pack::keys::DevKeys;

use crate::support::media::{media_files, root};
use crate::support::pack::{job, key, pack};

/// The box of 56 bytes: one key id and the scheme.
const WIDEVINE: &str = "AAAAOHBzc2gAAAAA7e+LqXnWSs6jyCfc1R0h7QAAABgSEDEyMzQ1Njc4OTAxMjM0NTZI88aJmwY=";
/// The worked example of the Encrypted Media Extensions with one key id.
const COMMON: &str = "AAAANHBzc2gBAAAAEHfv7MCyTQKs4zweUuL7SwAAAAExMjM0NTY3ODkwMTIzNDU2AAAAAA==";

fn shown(bytes: &[u8]) -> Inspected {
    inspect(&bytes.to_vec(), Samples::Listed).unwrap()
}

fn shown_text(bytes: &[u8]) -> String {
    text(&shown(bytes).node)
}

fn command(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    command.args(["inspect"]).args(arguments).env_clear().output().unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(root().join("fixtures/clip").join(name)).unwrap()
}

/// A protected copy of a fixture; equal in every run.
fn protected(input: &str, drm: &str, scheme: &str) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let mut job = job(&root().join("fixtures/clip").join(input), drm, scheme);
    job.vector = Some("000102030405060708090a0b0c0d0e0f".to_owned());
    pack(&job, out.path()).unwrap();
    out
}

/// The first lines of a long text.
fn head(text: &str, lines: usize) -> String {
    text.lines().take(lines).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_protected_track_shows_boxes_samples_and_signaling() {
    let dash = protected("dash/manifest.mpd", "widevine+playready+clearkey", "cenc");
    let read = |name: &str| fs::read(dash.path().join(name)).unwrap();
    insta::assert_snapshot!("init", shown_text(&read("0/init.mp4")));
    insta::assert_snapshot!("segment", head(&shown_text(&read("0/1.m4s")), 40));
    insta::assert_snapshot!("mpd", shown_text(&read("manifest.mpd")));
}

#[test]
fn playlists_show_their_keys_and_segments() {
    let hls = protected("hls/master.m3u8", "widevine+playready", "cbcs");
    let read = |name: &str| fs::read(hls.path().join(name)).unwrap();
    insta::assert_snapshot!("multivariant", shown_text(&read("master.m3u8")));
    insta::assert_snapshot!("media", shown_text(&read("v1/media.m3u8")));
}

#[test]
fn a_progressive_file_shows_the_samples_of_its_tables() {
    insta::assert_snapshot!("progressive", head(&shown_text(&fixture("mp4/av_faststart.mp4")), 50));
}

#[test]
fn behind_its_init_segment_every_sample_has_a_key_id_and_an_iv() {
    for scheme in ["cenc", "cbcs"] {
        let out = protected("dash/manifest.mpd", "widevine", scheme);
        let read = |name: &str| fs::read(out.path().join(name)).unwrap();
        let shown = shown_text(&[read("0/init.mp4"), read("0/1.m4s")].concat());
        let samples =
            shown.matches("decode_time=").count() - shown.matches("base_media_decode_time=").count();
        assert_eq!(samples, 50);
        assert_eq!([shown.matches("  kid=").count(), shown.matches("  iv=").count()], [50, 50], "{shown}");
        assert!(!shown.contains("kid=unknown"));
    }
}

#[test]
fn data_of_drm_systems_is_decoded_from_base64_hex_and_bytes() {
    insta::assert_snapshot!("widevine", shown_text(WIDEVINE.as_bytes()));
    insta::assert_snapshot!("common", shown_text(COMMON.as_bytes()));
    let bytes = from_base64(WIDEVINE).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(shown_text(hex.as_bytes()), shown_text(WIDEVINE.as_bytes()));
    assert_eq!(shown_text(&bytes), shown_text(WIDEVINE.as_bytes()));
    // Without the box around it.
    let bare = shown_text(base64(&bytes[32..]).as_bytes());
    assert!(bare.contains("key_id=31323334-3536-3738-3930-313233343536"), "{bare}");
}

#[test]
fn both_byte_orders_of_a_key_id_in_a_header_are_shown() {
    let dash = protected("dash/manifest.mpd", "playready", "cenc");
    let init = fs::read(dash.path().join("0/init.mp4")).unwrap();
    let at = init.windows(4).position(|name| name == b"pssh").unwrap() - 4;
    let object = &init[at + 32..];
    let shown = shown_text(object);
    insta::assert_snapshot!("header", shown);
}

#[test]
fn no_key_of_a_document_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.xml");
    let input = root().join("fixtures/clip/dash/manifest.mpd");
    let made = Command::new(env!("CARGO_BIN_EXE_drm-pack"))
        .args([
            "keys",
            input.to_str().unwrap(),
            "--drm",
            "widevine+playready+clearkey",
            "--preset",
            "preset1",
        ])
        .args(["--dev-keys", "laws", "--resource-id", "clip", "--out", path.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let bytes = fs::read(&path).unwrap();
    let document = drm_pack::cpix::read(&bytes).unwrap();
    let json = serde_json::to_string(&shown(&bytes).node).unwrap();
    let text = shown_text(&bytes);
    assert!(!document.content_keys.is_empty());
    for key in &document.content_keys {
        let value = DevKeys::new("laws").key(key.kid).unwrap();
        let hex: String = value.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        for secret in [hex.clone(), hex.to_uppercase(), base64(value.expose())] {
            assert!(!text.contains(&secret) && !json.contains(&secret));
        }
        assert!(text.contains(&key.kid.to_string()));
    }
    assert!(text.contains("value=present (16 bytes)"));
    let stable = text.lines().filter(|line| line.contains("ContentKey ")).count();
    assert_eq!(stable, document.content_keys.len());
}

#[test]
fn a_key_in_the_uri_of_a_tag_and_a_ticket_are_not_shown() {
    let secret = base64(key(Kid::new([7; 16])).expose());
    let tag = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"data:text/plain;base64,{secret}\"");
    let other = "#EXT-X-KEY:METHOD=AES-128,URI=\"https://host/key?ticket=ST-1\"";
    for text in [shown_text(tag.as_bytes()), shown_text(other.as_bytes())] {
        assert!(!text.contains(&secret) && !text.contains("ST-1"), "{text}");
    }
}

#[test]
fn every_fixture_is_shown_without_an_error_and_alike_in_json() {
    let here = root().join("fixtures/clip");
    for (path, bytes) in media_files(&["mp4", "m4s", "m4a", "mpd", "m3u8", "ts"]) {
        let inspected =
            inspect(&bytes, Samples::Listed).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if path.starts_with(&here) {
            assert!(inspected.error.is_none(), "{}: {:?}", path.display(), inspected.error);
        }
        let json = serde_json::to_value(&inspected.node).unwrap();
        assert_alike(&inspected.node, &json);
    }
}

fn assert_alike(node: &Node, json: &serde_json::Value) {
    assert_eq!(json["name"], node.name.as_str());
    node.fields.iter().for_each(|(name, _)| assert!(json["fields"].get(name).is_some(), "{name}"));
    for (index, child) in node.children.iter().enumerate() {
        assert_alike(child, &json["children"][index]);
    }
}

#[test]
fn a_file_that_is_cut_off_shows_what_is_there_and_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    let init = fixture("dash/0/init.mp4");
    fs::write(&path, &init[..400]).unwrap();
    let done = command(&[path.to_str().unwrap()]);
    let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert_eq!(done.status.code(), Some(3), "{err}");
    assert!(out.contains("timescale=12800") && err.contains("byte 28: box moov states"), "{out}{err}");
    let done = command(&[path.to_str().unwrap(), "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&json["file"]["name"], &json["error"]["kind"]), (&"file".into(), &"input".into()));
}

#[test]
fn data_on_the_command_line_is_taken_when_no_file_has_its_name() {
    let done = command(&[WIDEVINE]);
    assert!(String::from_utf8(done.stdout).unwrap().contains("protection_scheme=cbcs"));
    let done = command(&["no-such-file.mp4"]);
    assert_eq!(done.status.code(), Some(3), "{}", String::from_utf8_lossy(&done.stderr));
    let done = command(&[&format!("{WIDEVINE}AAAA"), "--json"]);
    assert!(!done.status.success());
    assert!(serde_json::from_slice::<serde_json::Value>(&done.stdout).is_ok());
}

/// One file of each kind.
fn kinds() -> Vec<(String, Vec<u8>)> {
    let dash = protected("dash/manifest.mpd", "widevine+playready", "cenc");
    let hls = protected("hls/v1/media.m3u8", "widevine", "cbcs");
    let mut kinds: Vec<(String, Vec<u8>)> = ["0/init.mp4", "0/1.m4s", "manifest.mpd"]
        .map(|name| (name.to_owned(), dash.path().join(name)))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .to_vec();
    kinds.push(("media.m3u8".into(), fs::read(hls.path().join("media.m3u8")).unwrap()));
    let av = fixture("mp4/av_faststart.mp4");
    kinds.push(("av.mp4".into(), av[..av.len().min(8000)].to_vec()));
    kinds.push(("widevine".into(), from_base64(WIDEVINE).unwrap()));
    kinds.push(("base64".into(), WIDEVINE.as_bytes().to_vec()));
    kinds.push(("packed".into(), packed_audio()));
    kinds.push(("stream".into(), fixture("hls-ts/0.ts")[..188 * 12].to_vec()));
    kinds.push(("ts".into(), [&[0x47, 0x40, 0, 0x10][..], &[0xff; 184]].concat().repeat(8)));
    kinds
}

/// Reads what may be damaged; what is shown stays small.
fn calm(name: &str, bytes: &[u8]) {
    if let Ok(inspected) = inspect(&bytes.to_vec(), Samples::Listed) {
        let length = text(&inspected.node).len();
        assert!(length < 1 << 22, "{name}: {length} bytes of text from {}", bytes.len());
    }
}

#[test]
fn truncations_and_mutations_are_shown_calmly() {
    for (name, bytes) in kinds() {
        let step = (bytes.len() / 48).max(1);
        (0..bytes.len()).step_by(step).for_each(|end| calm(&name, &bytes[..end]));
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |end: usize| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % end
        };
        for _ in 0..200 {
            let mut mutated = bytes.clone();
            for _ in 0..=random(3) {
                let position = random(mutated.len().min(3000));
                mutated[position] = [0, 0xff, 0x7f, 1, 0x80, b'<'][random(6)];
            }
            calm(&name, &mutated);
        }
    }
}

#[test]
fn a_picture_shows_a_clear_lead_and_each_key() {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("fixtures/clip/hls/v1"), &folder.path().join("clear"));
    for (name, id) in [("a", "first"), ("b", "second")] {
        let mut job = job(&root().join("fixtures/clip/hls/v1/media.m3u8"), "widevine", "cbcs");
        job.resource_id = Some(id.to_owned());
        pack(&job, &folder.path().join(name)).unwrap();
    }
    let media = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n\
        #EXT-X-MAP:URI=\"clear/init_0.mp4\"\n#EXTINF:2,\nclear/0.m4s\n\
        #EXT-X-MAP:URI=\"a/init_0.mp4\"\n#EXTINF:2,\na/1.m4s\n\
        #EXT-X-MAP:URI=\"b/init_0.mp4\"\n#EXTINF:2,\nb/2.m4s\n#EXTINF:2,\nb/3.m4s\n#EXT-X-ENDLIST\n";
    fs::write(folder.path().join("media.m3u8"), media).unwrap();
    let drawn = presentation::read(&FileStore::new(folder.path()), "media.m3u8").unwrap();
    assert_eq!((drawn.tracks.len(), drawn.keys.len()), (1, 2));
    let keys: Vec<_> = drawn.tracks[0].segments.iter().map(|segment| segment.keys.clone()).collect();
    assert_eq!(keys, [vec![], vec![0], vec![1], vec![1]]);
    let clear = &drawn.tracks[0].segments[0];
    assert_eq!(clear.clear_samples, clear.samples);
    assert_eq!((drawn.tracks[0].scheme.as_str(), drawn.duration), ("cbcs", 8.0));
    assert!(drawn.keys.iter().all(|key| key.systems == ["Widevine"]));
    let sample = &drawn.tracks[0].segments[1].detail[0];
    assert_eq!(sample.runs.iter().flatten().sum::<u64>(), u64::from(sample.size));
}

#[test]
fn a_picture_of_every_package_has_every_segment_and_system() {
    for (input, drm, scheme) in [
        ("dash/manifest.mpd", "widevine+playready", "cenc"),
        ("dash-segment-base/manifest.mpd", "widevine+playready", "cenc"),
        ("hls/master.m3u8", "widevine+playready", "cbcs"),
        ("hls-byterange/master.m3u8", "widevine+playready", "cbcs"),
    ] {
        let out = protected(input, drm, scheme);
        let name = Path::new(input).file_name().unwrap().to_str().unwrap();
        let drawn = presentation::read(&FileStore::new(out.path()), name).unwrap();
        assert!(drawn.warnings.is_empty(), "{input}: {:?}", drawn.warnings);
        assert!(
            drawn.tracks.len() >= 2 && (7.5..8.5).contains(&drawn.duration),
            "{input}: {}",
            drawn.duration
        );
        for track in &drawn.tracks {
            assert!(track.segments.len() >= 4, "{input} {}: {}", track.id, track.segments.len());
            assert!(track.segments.iter().all(|segment| segment.keys.len() == 1), "{input}");
            assert_eq!(track.scheme, scheme);
        }
        assert!(drawn.keys.iter().all(|key| key.systems == ["Widevine", "PlayReady"]), "{:?}", drawn.keys);
    }
}

#[test]
fn the_page_asks_for_nothing_and_hostile_names_stay_text() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "x</script><img src=q onerror=alert(1)>.ts";
    let media = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{hostile}\n#EXT-X-ENDLIST\n");
    fs::write(folder.path().join("media.m3u8"), media).unwrap();
    let drawn = presentation::read(&FileStore::new(folder.path()), "media.m3u8").unwrap();
    let page = presentation::page(&drawn).unwrap();
    assert!(!page.contains("<img") && !page.contains("x</script>"));
    assert_eq!(page.matches("</script>").count(), 2);
    let start = page.find("id=\"presentation\">").unwrap() + "id=\"presentation\">".len();
    let data = &page[start..start + page[start..].find("</script>").unwrap()];
    let parsed: serde_json::Value = serde_json::from_str(data).unwrap();
    assert!(parsed.to_string().contains("onerror"));
    let page = page.replace(data, "");
    for other in ["http:", "https:", "//", "url(", "@import", "src=", "href=", "innerHTML", "eval("] {
        assert!(!page.contains(other), "{other}");
    }
}

#[test]
fn the_option_writes_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page.html");
    let input = root().join("fixtures/clip/mp4/av.mp4");
    let done = command(&[input.to_str().unwrap(), "--html", out.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let page = fs::read_to_string(out).unwrap();
    assert!(page.contains("\"format\":\"MP4\"") && page.len() < 1 << 20, "{}", page.len());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (path, bytes) in files(from) {
        fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
    }
}

/// The files of a folder and the folders in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn a_transport_stream_shows_its_programs_clear_and_protected() {
    insta::assert_snapshot!("ts", shown_text(&fixture("hls-ts/0.ts")));
    let out = protected("hls-ts/index.m3u8", "fairplay", "cbcs");
    insta::assert_snapshot!("ts_protected", shown_text(&fs::read(out.path().join("0.ts")).unwrap()));
    // A table that begins behind the end of another, and one that does not fit its CRC.
    let mut bytes = fixture("hls-ts/0.ts");
    let at = bytes.chunks(188).position(|packet| packet[1] & 0x1f == 0 && packet[2] == 0).unwrap() * 188;
    bytes[at + 5..at + 188].rotate_right(3);
    bytes[at + 4] = 3;
    assert!(shown_text(&bytes).contains("program_map_PID=4096"));
    bytes[at + 12] ^= 1;
    let damaged = shown(&bytes);
    assert!(damaged.error.unwrap().to_string().contains("CRC_32 does not fit"));
    assert!(text(&damaged.node).contains("PID 256"));
}

/// Frames of AAC behind a tag with the time of the first.
fn packed_audio() -> Vec<u8> {
    let body =
        [&b"com.apple.streaming.transportStreamTimestamp\0"[..], &[0, 0, 0, 0, 0, 1, 0x5f, 0x90]].concat();
    let size = u8::try_from(body.len()).unwrap();
    let frame = [&[0xff, 0xf1, 0x4c, 0x80, 0x2e, 0x7f, 0xfc][..], &[0; 364]].concat();
    [
        &[b'I', b'D', b'3', 4, 0, 0, 0, 0, 0, size + 10][..],
        b"PRIV\0\0\0",
        &[size, 0, 0],
        &body,
        &frame.repeat(3),
    ]
    .concat()
}

#[test]
fn packed_audio_shows_its_tag_and_its_frames() {
    let folder = tempfile::tempdir().unwrap();
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.aac\n#EXT-X-ENDLIST\n";
    fs::write(folder.path().join("a.m3u8"), list).unwrap();
    fs::write(folder.path().join("a.aac"), packed_audio()).unwrap();
    insta::assert_snapshot!("packed_audio", shown_text(&packed_audio()));
    pack(&job(&folder.path().join("a.m3u8"), "fairplay", "cbcs"), &folder.path().join("out")).unwrap();
    let bytes = fs::read(folder.path().join("out/a.aac")).unwrap();
    let said = shown_text(&bytes);
    assert!(said.contains("owner=com.apple.streaming.audioDescription  audio_type=zaac"), "{said}");
    let cut = shown(&bytes[..bytes.len() - 1]);
    assert!(cut.error.unwrap().to_string().contains("the last frame is cut off"));
    assert!(shown_text(&packed_audio()[73..]).starts_with("packed audio"));
}
