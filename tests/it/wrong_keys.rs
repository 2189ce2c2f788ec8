//! Another key than media was encrypted with: noticed where the codec shows it, and said where it does not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::base::{KeyStore, Kid, Kind, Result, Secret};
use drm_pack::job::{DecryptJob, Job, Report};
use drm_pack::keys::DevKeys;
use tempfile::TempDir;

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::files::tree;
use crate::support::media::{root, shared};
use crate::support::pack::{
    SEED, codec_files, decrypt_with, files, job, key, pack, pack_without_ivs, packages,
};

/// What became of a decryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The key is said to be right.
    Right,
    /// It is said to be another one.
    Wrong,
    /// Nothing is said.
    Open,
}

use Outcome::{Open, Right, Wrong};

/// The right key but for one bit.
fn other(kid: Kid) -> Secret<16> {
    let mut value = *key(kid).expose();
    value[15] ^= 1;
    Secret::new(value)
}

/// Keys of a function, and the IVs of [`SEED`].
struct WithIvs<'a>(&'a dyn KeyStore);

impl KeyStore for WithIvs<'_> {
    fn key(&self, kid: Kid) -> Option<Secret<16>> {
        self.0.key(kid)
    }

    fn iv(&self, kid: Kid) -> Option<[u8; 16]> {
        DevKeys::new(SEED).iv(kid).ok()
    }
}

fn decrypt(input: &Path, keys: &dyn KeyStore) -> Result<Report> {
    decrypt_by(input, &WithIvs(keys))
}

fn decrypt_by(input: &Path, key_store: &dyn KeyStore) -> Result<Report> {
    let out = tempfile::tempdir().unwrap();
    let job = DecryptJob { inputs: vec![input.to_str().unwrap().to_owned()], key_store };
    decrypt_with(&job, out.path())
}

fn outcome(done: Result<Report>) -> Outcome {
    match done {
        Ok(report) if report.not_proven.is_empty() => Right,
        Ok(_) => Open,
        Err(error) => {
            assert_eq!(error.kind(), Kind::Verification, "{error}");
            Wrong
        }
    }
}

/// The manifest of a packed input.
fn manifest(input: &Path, out: &Path) -> PathBuf {
    let name = input.file_name().unwrap().to_str().unwrap();
    let name = if name.ends_with("mpd") || name.ends_with("m3u8") { name } else { "manifest.mpd" };
    out.join(name)
}

fn packed(job: &Job, input: &Path) -> (TempDir, PathBuf) {
    let out = tempfile::tempdir().unwrap();
    pack(job, out.path()).unwrap();
    let manifest = manifest(input, out.path());
    (out, manifest)
}

/// Of each codec, one second of which is at hand, what is said of the right key and of another one.
#[test]
fn another_key_is_noticed_where_the_codec_shows_it() {
    let shown = BTreeMap::from([
        ("av1", (Open, Open)),
        ("hevc", (Open, Open)),
        ("mv_hevc", (Open, Open)),
        ("avc_interlaced", (Open, Open)),
        ("vp9", (Open, Wrong)),
        ("ac3", (Right, Wrong)),
        ("eac3", (Right, Wrong)),
        ("opus", (Right, Wrong)),
        ("flac", (Right, Wrong)),
        ("mp3", (Right, Wrong)),
        ("audio", (Right, Wrong)),
    ]);
    let audio = root().join("fixtures/clip/mp4/audio.m4a");
    let inputs = codec_files().into_iter().chain([audio]);
    for input in inputs {
        let name = input.file_stem().unwrap().to_str().unwrap().to_owned();
        for scheme in ["cenc", "cbcs", "cens", "cbc1"] {
            if name == "vp9" && scheme.starts_with("cbc") {
                continue;
            }
            let mut job = job(&input, "widevine", scheme);
            job.formats = Some(vec![drm_pack::job::Format::Dash]);
            let (_out, manifest) = packed(&job, &input);
            let right = outcome(decrypt(&manifest, &|kid| Some(key(kid))));
            let wrong = outcome(decrypt(&manifest, &|kid| Some(other(kid))));
            // In cbc1 each sample has an IV of its own, which these codecs do not show and no key source has.
            let shown = match shown[name.as_str()] {
                (Right, wrong) if scheme == "cbc1" && !matches!(name.as_str(), "ac3" | "eac3" | "flac") => {
                    (Open, wrong)
                }
                shown => shown,
            };
            assert_eq!((right, wrong), shown, "{name} {scheme}");
        }
    }
}

/// Flips one bit of a file.
fn flip(file: &Path, byte: usize, bit: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[byte] ^= 1 << bit;
    fs::write(file, bytes).unwrap();
}

/// A constant IV of which a bit is another one is never called right, in any codec, unless the IV that came with the key
/// says that it is.
#[test]
fn another_iv_is_never_called_right() {
    let audio = root().join("fixtures/clip/mp4/audio.m4a");
    for input in codec_files().into_iter().chain([audio]) {
        if input.file_stem().unwrap() == "vp9" {
            continue;
        }
        let (out, manifest) = packed(&job(&input, "widevine", "cbcs"), &input);
        let inits = tree(out.path()).into_iter().filter_map(|(name, bytes)| {
            let tenc = bytes.windows(4).position(|kind| kind == b"tenc")?;
            // Behind version, flags, pattern, default_isProtected, an IV size of 0 and the KID: ISO/IEC 23001-7 §8.2.2.
            assert_eq!((bytes[tenc + 11], bytes[tenc + 28]), (0, 16));
            Some((out.path().join(name), tenc + 29))
        });
        let inits: Vec<_> = inits.collect();
        assert!(!inits.is_empty());
        for bit in (0..128).step_by(5) {
            inits.iter().for_each(|(file, iv)| flip(file, iv + bit / 8, bit % 8));
            for with_iv in [true, false] {
                let keys = |kid| Some(key(kid));
                let found = outcome(match with_iv {
                    true => decrypt(&manifest, &keys),
                    false => decrypt_by(&manifest, &keys),
                });
                assert_ne!(found, Right, "{} bit {bit}", input.display());
            }
            inits.iter().for_each(|(file, iv)| flip(file, iv + bit / 8, bit % 8));
        }
    }
}

/// The same of segments in AES-128, where the IV stands in the playlist.
#[test]
fn another_iv_in_aes_128_is_never_called_right() {
    for input in ["hls-ts/index.m3u8", "hls/master.m3u8"] {
        let input = root().join("fixtures/clip").join(input);
        let job = Job {
            inputs: vec![input.to_str().unwrap().to_owned()],
            drm: "simpleaes".into(),
            key_uri: Some("https://keys.example.com/{kid}".into()),
            ..Job::default()
        };
        let (out, manifest) = packed(&job, &input);
        let files = tree(out.path());
        let playlists: Vec<_> = files
            .iter()
            .filter(|(name, _)| name.ends_with(".m3u8"))
            .filter_map(|(name, bytes)| {
                Some((
                    name,
                    str::from_utf8(bytes).unwrap(),
                    str::from_utf8(bytes).unwrap().find("IV=0x")? + 5,
                ))
            })
            .collect();
        assert!(!playlists.is_empty());
        for bit in 0..128 {
            for (name, text, iv) in &playlists {
                let digit = iv + bit / 4;
                let value = u8::from_str_radix(&text[digit..=digit], 16).unwrap() ^ (1 << (bit % 4));
                let text = format!("{}{value:x}{}", &text[..digit], &text[digit + 1..]);
                fs::write(out.path().join(name), text).unwrap();
            }
            let found = outcome(decrypt(&manifest, &|kid| Some(key(kid))));
            assert_ne!(found, Right, "{} bit {bit}", input.display());
        }
    }
}

/// In counter mode each sample has an IV of its own: that of a few may be another one.
#[test]
fn another_iv_of_a_few_samples_is_not_passed_over() {
    let inputs = codec_files().into_iter().chain([root().join("fixtures/clip/mp4/audio.m4a")]);
    for input in inputs {
        let name = input.file_stem().unwrap().to_str().unwrap().to_owned();
        // An Opus packet of another IV has the right duration in one case of four, an AAC frame one of 32.
        let counts = match name.as_str() {
            "ac3" | "eac3" | "flac" | "mp3" | "audio" => [1, 2, 5],
            "opus" => [3, 5, 10],
            _ => continue,
        };
        for count in counts {
            let (out, manifest) = packed(&job(&input, "widevine", "cenc"), &input);
            let (file, mut bytes) = tree(out.path())
                .into_iter()
                .find(|(_, bytes)| bytes.windows(4).any(|kind| kind == b"senc"))
                .unwrap();
            let senc = bytes.windows(4).position(|kind| kind == b"senc").unwrap();
            // Behind version, flags and sample_count; without subsamples, an IV has eight bytes: ISO/IEC 23001-7 §7.2.2.
            assert_eq!(bytes[senc + 7] & 2, 0, "{name}");
            (0..count).for_each(|sample| bytes[senc + 12 + 8 * sample + 2] ^= 0x40);
            fs::write(out.path().join(file), bytes).unwrap();
            let found = decrypt(&manifest, &|kid| Some(key(kid))).unwrap();
            let said = found.not_proven.join("\n");
            assert!(
                said.contains("do not fit") || said.contains("is not read"),
                "{name}, {count} samples: {said}"
            );
        }
    }
}

/// One IV for all segments, which were encrypted with that of their numbers: those that it is right for do not vouch for
/// the others.
#[test]
fn one_segment_in_aes_128_does_not_vouch_for_the_iv_of_others() {
    let clip = root().join("fixtures/clip");
    let mut inputs = ["hls-ts/index.m3u8", "hls/master.m3u8", "hls-byterange/master.m3u8"]
        .map(|name| clip.join(name))
        .to_vec();
    inputs.extend(shared().map(|media| media.join("hls/hls-raw-aac/manifest.m3u8")));
    for input in inputs {
        let job = Job {
            inputs: vec![input.to_str().unwrap().to_owned()],
            drm: "simpleaes".into(),
            key_uri: Some("https://keys.example.com/{kid}".into()),
            ..Job::default()
        };
        for (iv, expected) in [(None, Right), (Some(0), Wrong), (Some(1), Wrong), (Some(2), Wrong)] {
            let out = tempfile::tempdir().unwrap();
            pack_without_ivs(&job, out.path()).unwrap();
            for (name, bytes) in tree(out.path()).into_iter().filter(|(name, _)| name.ends_with(".m3u8")) {
                let text = String::from_utf8(bytes).unwrap();
                let stated = |line: &str| match iv {
                    Some(iv) if line.starts_with("#EXT-X-KEY") => format!("{line},IV=0x{iv:032x}\n"),
                    _ => format!("{line}\n"),
                };
                fs::write(out.path().join(name), text.lines().map(stated).collect::<String>()).unwrap();
            }
            let manifest = manifest(&input, out.path());
            let found = outcome(decrypt(&manifest, &|kid| Some(key(kid))));
            assert_eq!(found, expected, "{} {iv:?}", input.display());
        }
    }
}

/// What pictures do not show is shown by the checksum of a DRM system, where there is one.
#[test]
fn a_checksum_in_drm_data_shows_another_key() {
    let input = root().join("fixtures/clip/codecs/hevc.mp4");
    for (drm, scheme, expected) in [
        ("widevine+playready", "cenc", Wrong),
        ("widevine+playready", "cbcs", Open),
        ("widevine", "cenc", Open),
    ] {
        let mut job = job(&input, drm, scheme);
        job.formats = Some(vec![drm_pack::job::Format::Dash]);
        let (_out, manifest) = packed(&job, &input);
        assert_eq!(outcome(decrypt(&manifest, &|kid| Some(key(kid)))), Open, "{drm} {scheme}");
        assert_eq!(outcome(decrypt(&manifest, &|kid| Some(other(kid)))), expected, "{drm} {scheme}");
    }
}

/// Packages of video and audio under one key, whole files, transport streams, and segments in AES-128.
#[test]
fn another_key_is_noticed_in_every_container_that_has_sound() {
    let clip = root().join("fixtures/clip");
    let packages = packages().into_iter().map(|(input, _)| (input, "widevine"));
    let inputs = packages.chain(files().into_iter().map(|file| (file, "widevine")));
    let cases: Vec<(PathBuf, &str, &str)> = inputs
        .filter(|(input, _)| !input.ends_with("hls/v1/media.m3u8"))
        .flat_map(|(input, drm)| [(input.clone(), drm, "cenc"), (input, drm, "cbcs")])
        .chain([(clip.join("hls-ts/index.m3u8"), "fairplay", "cbcs")])
        .collect();
    for (input, drm, scheme) in cases {
        let mut job = job(&input, drm, scheme);
        if input.extension().is_some_and(|extension| extension == "mp4") {
            job.formats = Some(vec![drm_pack::job::Format::Dash]);
        }
        let (_out, manifest) = packed(&job, &input);
        let right = decrypt(&manifest, &|kid| Some(key(kid))).unwrap();
        assert!(right.not_proven.iter().all(|what| what.starts_with("AVC ")), "{right:?}");
        let wrong = decrypt(&manifest, &|kid| Some(other(kid)));
        assert_eq!(outcome(wrong), Wrong, "{} {drm} {scheme}", input.display());
    }
}

#[test]
fn every_segment_in_aes_128_shows_another_key() {
    let clip = root().join("fixtures/clip");
    for input in ["hls-ts/index.m3u8", "hls/master.m3u8"] {
        let input = clip.join(input);
        let job = Job {
            inputs: vec![input.to_str().unwrap().to_owned()],
            drm: "simpleaes".into(),
            key_uri: Some("https://keys.example.com/{kid}".into()),
            ..Job::default()
        };
        let (_out, manifest) = packed(&job, &input);
        assert_eq!(outcome(decrypt(&manifest, &|kid| Some(key(kid)))), Right);
        assert_eq!(outcome(decrypt(&manifest, &|kid| Some(other(kid)))), Wrong);
    }
}

/// A false alarm would be worse than silence: no media with its right key is ever called wrong.
#[test]
fn the_right_key_of_real_media_is_never_called_another() {
    let Some(media) = shared() else { return };
    for (name, drm) in [
        ("dash/bbb_hevc_ac3_8s/manifest.mpd", "widevine"),
        ("dash/testpic_2s/Manifest.mpd", "widevine"),
        ("dash/testpic_2s_av1/Manifest.mpd", "widevine"),
        ("mp4/bbb_prog_10s.mp4", "widevine"),
        ("mp4/prog_8s.mp4", "widevine"),
        ("mp4/opus.mp4", "widevine"),
        ("hls/hls-ts-h264/prog_index.m3u8", "fairplay"),
        ("hls/hls-ts-aac/playlist.m3u8", "fairplay"),
        ("hls/hls-ts-muxed-aac-h264/playlist.m3u8", "fairplay"),
        ("hls/hls-raw-aac/manifest.m3u8", "fairplay"),
        ("hls/hls-multivideo/master.m3u8", "fairplay"),
        ("hls/hls-mp4-muxed-aac-h264/hls.m3u8", "widevine"),
    ] {
        let input = media.join(name);
        for scheme in ["cenc", "cbcs"] {
            if drm == "fairplay" && scheme == "cenc" {
                continue;
            }
            let mut job = job(&input, drm, scheme);
            if input.extension().is_some_and(|extension| extension == "mp4") {
                job.formats = Some(vec![drm_pack::job::Format::Dash]);
            }
            let (_out, manifest) = packed(&job, &input);
            let right = decrypt(&manifest, &|kid| Some(key(kid))).unwrap();
            let wrong = outcome(decrypt(&manifest, &|kid| Some(other(kid))));
            assert_ne!(wrong, Right, "{name} {scheme}");
            println!("{name} {scheme}: {:?}; another key: {wrong:?}", right.not_proven);
        }
    }
}

/// `verify` says of a key what `decrypt` says, and `--strict` takes no key unproven.
#[test]
fn verify_fails_with_another_key_and_says_what_is_not_proven() {
    let input = root().join("fixtures/clip/dash/manifest.mpd");
    let (out, _) = packed(&job(&input, "widevine", "cbcs"), &input);
    let folder = tempfile::tempdir().unwrap();
    let verify = |options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_drm-pack"))
            .arg("verify")
            .arg(out.path())
            .args(options)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = verify(&["--dev-keys", SEED]);
    let last = text.lines().last().unwrap();
    assert!(code == 0 && last.starts_with("passed, not proven: payload: AVC under key"), "{text}");
    assert!(last.contains("--against"), "{text}");
    assert_eq!(verify(&["--dev-keys", SEED, "--strict"]).0, 7);
    let source = input.to_str().unwrap();
    let (code, text) = verify(&["--dev-keys", SEED, "--strict", "--against", source]);
    assert!(code == 0 && text.lines().last().unwrap().starts_with("passed: "), "{text}");
    let kid = text_of_kid(&input, out.path());
    let keys = folder.path().join("keys.txt");
    fs::write(&keys, format!("{kid}:00112233445566778899aabbccddeeff\n")).unwrap();
    let (code, text) = verify(&["--key-file", keys.to_str().unwrap()]);
    assert!(code == 7 && text.contains("key-fits") && text.contains("AAC under key"), "{text}");
}

/// The key id of a packed MPD.
fn text_of_kid(input: &Path, out: &Path) -> String {
    let text = fs::read_to_string(manifest(input, out)).unwrap();
    text.split("default_KID=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// Boxes that say that nothing is encrypted do not make ciphertext pass for clear, and a part that a wrong IV garbled
/// does not pass for right.
#[test]
fn what_is_damaged_is_not_called_decrypted() {
    let (input, right) = (root().join("fixtures/clip/hls/master.m3u8"), |kid| Some(key(kid)));
    for scheme in ["cenc", "cbcs"] {
        let changed = |file: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let out = tempfile::tempdir().unwrap();
            pack(&job(&input, "widevine", scheme), out.path()).unwrap();
            for entry in fs::read_dir(out.path().join("audio")).unwrap().map(|entry| entry.unwrap().path()) {
                let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
                let mut bytes = fs::read(&entry).unwrap();
                let is_init = bytes.windows(4).any(|kind| kind == b"tenc");
                if name.ends_with(".m3u8") || (file == "init") != is_init {
                    continue;
                }
                change(&mut bytes);
                fs::write(&entry, bytes).unwrap();
            }
            decrypt(&out.path().join("audio/media.m3u8"), &right)
        };
        let place =
            |bytes: &[u8], kind: &[u8; 4]| bytes.windows(4).position(|window| window == kind).unwrap();
        // default_isProtected of tenc: ISO/IEC 23001-7 §8.2.2.
        let clear = changed("init", &|bytes| {
            let tenc = place(bytes, b"tenc");
            assert_eq!(bytes[tenc + 10], 1);
            bytes[tenc + 10] = 0;
        });
        // cbcs has its IV in tenc, and nothing but a count in senc.
        let error = clear.unwrap_err().to_string();
        assert!(error.contains("IVs that tenc says") || error.contains("default_isProtected"), "{error}");
        if scheme == "cenc" {
            let garbled = changed("segments", &|bytes| {
                // The IVs of a third of the samples.
                let senc = place(bytes, b"senc");
                let count = u32::from_be_bytes(bytes[senc + 8..senc + 12].try_into().unwrap()) as usize;
                (0..count).step_by(3).for_each(|sample| bytes[senc + 12 + 8 * sample] ^= 1);
            });
            assert_ne!(outcome(garbled), Right);
        }
    }
}

/// Copied out of a byte stream, slices keep the zeros that stood behind them (H.265 annex B), inside their NAL units.
#[test]
fn zeros_behind_slices_are_no_sign_of_another_key() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (stream, copied) = (folder.path().join("v.hevc"), folder.path().join("v.mp4"));
    let clip = root().join("fixtures/clip/codecs/hevc.mp4");
    let run = |from: &Path, options: &[&str], to: &Path| {
        let output = ffmpeg().arg("-i").arg(from).args(options).arg(to).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    // Zeros behind each slice, and more each time: of a pattern's slices one in 160 ends with an encrypted byte.
    run(&clip, &["-c", "copy"], &stream);
    let bytes = fs::read(&stream).unwrap();
    let mut padded: Vec<u8> = Vec::new();
    for zeros in 1..=80 {
        for (at, byte) in bytes.iter().enumerate() {
            let begins =
                bytes.get(at..at + 3) == Some(&[0, 0, 1]) && bytes.get(at.wrapping_sub(1)) != Some(&0);
            if begins || bytes.get(at..at + 4) == Some(&[0, 0, 0, 1]) {
                padded.extend(std::iter::repeat_n(0, zeros));
            }
            padded.push(*byte);
        }
    }
    fs::write(&stream, padded).unwrap();
    run(&stream, &["-c", "copy", "-tag:v", "hvc1"], &copied);
    for scheme in ["cenc", "cbcs"] {
        let job = job(&copied, "widevine", scheme);
        let (_out, manifest) = packed(&job, &copied);
        assert_ne!(outcome(decrypt(&manifest, &|kid| Some(key(kid)))), Wrong, "{scheme}");
    }
}
