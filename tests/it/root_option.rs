//! Presentations whose manifests name files beside or above their own folder — RFC 3986 §5, kept below `--root`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::files::tree;
use crate::support::media::root;

/// Media in one folder, playlists and an MPD each in another.
fn presentation() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let clip = root().join("fixtures/clip/dash");
    let mut media = tree(&clip);
    media.remove("case.toml");
    let mpd = String::from_utf8(media.remove("manifest.mpd").unwrap()).unwrap();
    media.iter().for_each(|(name, bytes)| write(&format!("media/{name}"), bytes));
    write("dash/manifest.mpd", mpd.replacen("<Period", "<BaseURL>../media/</BaseURL><Period", 1).as_bytes());
    let mut list = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n");
    list += "#EXT-X-MAP:URI=\"../../media/0/init.mp4\"\n";
    (1..=4).for_each(|number| list += &format!("#EXTINF:2,\n../../media/0/{number}.m4s\n"));
    write("hls/v/media.m3u8", (list + "#EXT-X-ENDLIST\n").as_bytes());
    let variant = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=90000,CODECS=\"avc1.64001e\"\nv/media.m3u8\n";
    write("hls/master.m3u8", variant.as_bytes());
    folder
}

fn drm_pack(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    command.current_dir(folder).args(arguments.split(' ')).output().unwrap()
}

fn succeeds(folder: &Path, arguments: &str) {
    let output = drm_pack(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn files_above_the_manifest_are_refused_unless_the_root_has_them() {
    let folder = presentation();
    let pack = "--out out --drm widevine --dev-keys x";
    let output = drm_pack(folder.path(), &format!("pack hls/master.m3u8 {pack}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("leaves the folder") && said.contains("--root"), "{said}");
    assert!(!folder.path().join("out").exists());

    let output = drm_pack(folder.path(), &format!("pack hls/master.m3u8 --root dash {pack}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("does not lie below dash"), "{said}");
}

#[test]
fn both_manifests_keep_their_folders_below_the_root() {
    let folder = presentation();
    let clear = tree(folder.path());
    fs::write(folder.path().join("keys"), format!("{}:{}\n", "0".repeat(31) + "1", "a".repeat(32))).unwrap();
    succeeds(
        folder.path(),
        "pack hls/master.m3u8 ./dash/manifest.mpd --root . --out out --drm widevine+playready --key-file keys",
    );
    let out = tree(&folder.path().join("out"));
    assert_eq!(out.keys().collect::<Vec<_>>(), clear.keys().collect::<Vec<_>>());
    assert!(clear.iter().all(|(name, bytes)| out[name] != *bytes), "all is protected");
    succeeds(folder.path(), "verify out/hls/master.m3u8 out/dash/manifest.mpd --key-file keys");
    succeeds(folder.path(), "verify out/dash/manifest.mpd --root out --key-file keys");
    succeeds(folder.path(), "verify out --key-file keys --against dash/manifest.mpd");
    succeeds(
        folder.path(),
        "verify out/hls/master.m3u8 --root out --key-file keys --against hls/master.m3u8",
    );
    succeeds(
        folder.path(),
        "decrypt out/hls/master.m3u8 out/dash/manifest.mpd --root out --out back --key-file keys",
    );
    let back = tree(&folder.path().join("back"));
    let media = clear.iter().filter(|(name, _)| name.starts_with("media"));
    media.for_each(|(name, bytes)| assert!(back[name] == *bytes, "{name}"));
}

#[test]
fn a_relative_key_address_is_relative_to_the_playlist_that_was_given() {
    let folder = presentation();
    succeeds(
        folder.path(),
        "pack hls/master.m3u8 --root . --out out --drm simpleaes --dev-keys x --key-uri keys/{kid}",
    );
    let list = fs::read_to_string(folder.path().join("out/hls/v/media.m3u8")).unwrap();
    assert!(list.contains("METHOD=AES-128,URI=\"../keys/"), "{list}");
}
