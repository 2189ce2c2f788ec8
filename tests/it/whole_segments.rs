//! Whole segments in AES-128: any container, any byte range, and back — RFC 8216bis §5.2.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use drm_pack::job::Job;
use drm_pack::package::Preset;

use crate::media::{root, shared};
use crate::pack::{pack, unpack};

/// Every file below a folder.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

fn job(input: &Path) -> Job {
    Job {
        inputs: vec![input.to_str().unwrap().to_owned()],
        drm: "simpleaes".into(),
        key_uri: Some("https://keys.example/{kid}".into()),
        ..Job::default()
    }
}

/// What is asked for besides the key.
fn wishes(input: &Path) -> Vec<Job> {
    let vector = Some("000102030405060708090a0b0c0d0e0f".to_owned());
    vec![
        job(input),
        Job { vector: vector.clone(), ..job(input) },
        Job { encrypt_init: true, ..job(input) },
        Job { rotate_every: Some(2), preset: Preset::Preset1, ..job(input) },
        Job { encrypt_init: true, vector, rotate_every: Some(1), ..job(input) },
    ]
}

fn inputs() -> Vec<std::path::PathBuf> {
    let clip = root().join("fixtures/clip");
    let mut inputs: Vec<_> = ["hls-ts/index.m3u8", "hls/master.m3u8", "hls-byterange/master.m3u8"]
        .map(|name| clip.join(name))
        .to_vec();
    if let Some(media) = shared() {
        for name in [
            "hls-raw-aac/manifest.m3u8",
            "hls-multivideo/master.m3u8",
            "hls-ts-aac/playlist.m3u8",
            "hls-iframe-only/media.m3u8",
            "hls-mp4-muxed-aac-h264/hls.m3u8",
        ] {
            inputs.push(media.join("hls").join(name));
        }
    }
    inputs
}

/// The lines of a playlist but for keys and the version.
pub(crate) fn other_lines(playlist: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(playlist).into_owned();
    let lines =
        text.lines().filter(|line| !line.starts_with("#EXT-X-KEY") && !line.starts_with("#EXT-X-VERSION"));
    lines.map(str::to_owned).collect()
}

#[test]
fn decrypting_gives_every_byte_back() {
    for input in inputs() {
        let clear = tree(input.parent().unwrap());
        for wish in wishes(&input) {
            let (out, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let report = pack(&wish, out.path()).map_err(|e| format!("{}: {e}", input.display())).unwrap();
            let name = input.file_name().unwrap();
            unpack(&out.path().join(name), back.path()).unwrap();
            let (protected, decrypted) = (tree(out.path()), tree(back.path()));
            let mut ciphered = 0;
            for (name, bytes) in &decrypted {
                if name.ends_with(".m3u8") {
                    assert_eq!(other_lines(bytes), other_lines(&clear[name]), "{name}");
                } else {
                    assert!(*bytes == clear[name], "{} {name} {wish:?}", input.display());
                    ciphered += usize::from(protected[name] != clear[name]);
                }
            }
            assert!(
                ciphered > 0 && report.tracks.iter().all(|track| track.samples > 0),
                "{}",
                input.display()
            );
            assert!(report.tracks.iter().all(|track| track.scheme == "aes-128"));
        }
    }
}

#[test]
fn a_playlist_gains_key_lines_a_version_and_other_ranges_only() {
    for input in inputs() {
        let clear = tree(input.parent().unwrap());
        let out = tempfile::tempdir().unwrap();
        pack(&job(&input), out.path()).unwrap();
        for (name, bytes) in tree(out.path()).iter().filter(|(name, _)| name.ends_with(".m3u8")) {
            let without_ranges = |bytes: &[u8]| -> Vec<String> {
                let ranges =
                    |line: &String| !line.starts_with("#EXT-X-BYTERANGE") && !line.contains("BYTERANGE=");
                other_lines(bytes).into_iter().filter(ranges).collect()
            };
            assert_eq!(without_ranges(bytes), without_ranges(&clear[name]), "{name}");
        }
    }
}

#[test]
fn jobs_that_cannot_be_are_refused_before_anything_is_written() {
    let clip = root().join("fixtures/clip");
    let hls = clip.join("hls/master.m3u8");
    for (wish, words) in [
        (Job { key_uri: None, ..job(&hls) }, "no key URI"),
        (Job { scheme: Some("cbcs".into()), ..job(&hls) }, "--scheme, --format or --layout"),
        (job(&clip.join("dash/manifest.mpd")), "not one playlist"),
        (job(&clip.join("mp4/av.mp4")), "not one playlist"),
        (
            Job { key_uri: Some("https://k/key".into()), preset: Preset::Preset1, ..job(&hls) },
            "one key URI for 3 keys",
        ),
        (Job { max_substreams: Some(1), ..job(&hls) }, "the key server takes 1"),
        (Job { drm: "widevine".into(), ..job(&hls) }, "--key-uri and --encrypt-init are for"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let error = pack(&wish, out.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(tree(out.path()).is_empty(), "{words}");
    }
}

#[test]
fn a_file_under_two_keys_or_two_sequence_numbers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let media = |first: u32, more: &str| {
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n{more}#EXTINF:4,\ns.ts\n#EXT-X-ENDLIST\n"
        )
    };
    let variant = |bandwidth: u32, uri: &str| format!("#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}\n{uri}\n");
    write("m.m3u8", &format!("#EXTM3U\n{}{}", variant(1, "a.m3u8"), variant(2, "b.m3u8")));
    write("s.ts", "0123456789abcdef0123");
    let input = folder.path().join("m.m3u8");
    let result = |preset| {
        let out = tempfile::tempdir().unwrap();
        pack(&Job { preset, ..job(&input) }, out.path()).map_err(|error| error.to_string())
    };
    write("a.m3u8", &media(0, ""));
    write("b.m3u8", &media(0, ""));
    assert!(result(Preset::Preset1).unwrap_err().contains("two playlists that have keys of their own"));
    write("b.m3u8", &media(7, ""));
    assert!(result(Preset::Preset0).is_err());
    write("b.m3u8", &media(0, "#EXT-X-BYTERANGE:5@0\n"));
    assert!(result(Preset::Preset0).unwrap_err().contains("as a whole and in byte ranges"));
}
