//! What `decrypt` and `verify` do with parts of a presentation, and with IVs that can be read in two ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::base::{Kind, Secret};
use drm_pack::isobmff::parse_file;
use drm_pack::protect::Aes128;

use crate::support::media::root;
use crate::support::pack::{job, pack, unpack_all};

fn media_data(path: &Path) -> Vec<u8> {
    let boxes = parse_file(&fs::read(path).unwrap()).unwrap();
    boxes.iter().filter(|node| node.is(b"mdat")).flat_map(|node| node.payload().to_vec()).collect()
}

/// The packed fixture, and its clear source.
fn packed(scheme: &str) -> (tempfile::TempDir, PathBuf) {
    let (out, source) = (tempfile::tempdir().unwrap(), root().join("fixtures/clip/dash"));
    pack(&job(&source.join("manifest.mpd"), "widevine", scheme), out.path()).unwrap();
    (out, source)
}

#[test]
fn segments_are_decrypted_with_the_init_segment_beside_them_in_any_order() {
    for scheme in ["cenc", "cbcs", "cens", "cbc1"] {
        let (protected, source) = packed(scheme);
        for names in [&["1/init.mp4", "1/1.m4s", "1/2.m4s"][..], &["1/2.m4s", "1/1.m4s", "1/init.mp4"]] {
            let out = tempfile::tempdir().unwrap();
            let inputs: Vec<_> = names.iter().map(|name| protected.path().join(name)).collect();
            let report = unpack_all(&inputs, out.path()).unwrap();
            assert_eq!(report.outputs.len(), 3);
            for name in ["1.m4s", "2.m4s"] {
                let clear = media_data(&source.join("1").join(name));
                assert!(media_data(&out.path().join(name)) == clear, "{scheme} {name}");
            }
        }
    }
}

#[test]
fn a_segment_without_its_init_segment_is_refused() {
    let (protected, _) = packed("cenc");
    let out = tempfile::tempdir().unwrap();
    let error = unpack_all(&[protected.path().join("1/1.m4s")], out.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("1.m4s: a media segment") && error.to_string().contains("init.mp4"));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

/// A `moov` that says its tracks are clear, before fragments that say their samples are encrypted.
#[test]
fn encrypted_fragments_behind_a_clear_moov_do_not_pass_for_decrypted() {
    for scheme in ["cenc", "cbcs"] {
        let (protected, source) = packed(scheme);
        let folder = tempfile::tempdir().unwrap();
        let clear_init = fs::read(source.join("1/init.mp4")).unwrap();
        let segment = fs::read(protected.path().join("1/1.m4s")).unwrap();
        fs::write(folder.path().join("init.mp4"), &clear_init).unwrap();
        fs::write(folder.path().join("1.m4s"), &segment).unwrap();
        fs::write(folder.path().join("whole.mp4"), [clear_init, segment].concat()).unwrap();
        for names in [&["init.mp4", "1.m4s"][..], &["whole.mp4"]] {
            let inputs: Vec<_> = names.iter().map(|name| folder.path().join(name)).collect();
            let out = tempfile::tempdir().unwrap();
            let error = unpack_all(&inputs, out.path()).unwrap_err();
            assert_eq!(error.kind(), Kind::Input, "{error}");
            assert!(error.to_string().contains("says that samples are encrypted"), "{error}");
        }
    }
}

/// The clip as one segment in AES-128 under a key and IV that its playlist names.
fn whole_segment(folder: &Path, iv: &str) -> PathBuf {
    let clear = fs::read(root().join("fixtures/clip/hls-ts/0.ts")).unwrap();
    let mut bytes = Vec::new();
    let half = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    Aes128::new(&Secret::new([7; 16]), half).encrypt(&clear, &mut bytes).unwrap();
    fs::write(folder.join("0.ts"), bytes).unwrap();
    fs::write(folder.join("the.key"), [7; 16]).unwrap();
    let playlist = folder.join("index.m3u8");
    let key = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"the.key\",IV=0x{iv}");
    let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{key}\n#EXTINF:2,\n0.ts\n#EXT-X-ENDLIST\n");
    fs::write(&playlist, text).unwrap();
    playlist
}

#[test]
fn an_iv_with_missing_digits_is_refused_and_one_with_all_of_them_is_used() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let playlist = whole_segment(folder.path(), "0102030405060708");
    let error = unpack_all(std::slice::from_ref(&playlist), out.path()).unwrap_err().to_string();
    assert!(error.contains("line 3: IV of 16 hexadecimal digits, 32 expected"), "{error}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    let checked = command.arg("verify").arg(&playlist).output().unwrap();
    assert_eq!(checked.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&checked.stdout).contains("hls-iv"), "{checked:?}");
    let playlist = whole_segment(folder.path(), "01020304050607080000000000000000");
    unpack_all(&[playlist], out.path()).unwrap();
    let clear = fs::read(root().join("fixtures/clip/hls-ts/0.ts")).unwrap();
    assert!(fs::read(out.path().join("0.ts")).unwrap() == clear);
}

#[test]
fn a_clear_input_is_copied_with_a_warning() {
    let clip = root().join("fixtures/clip");
    for name in ["hls/master.m3u8", "hls-ts/index.m3u8", "dash/manifest.mpd", "mp4/av.mp4"] {
        let out = tempfile::tempdir().unwrap();
        let report = unpack_all(&[clip.join(name)], out.path()).unwrap();
        assert!(
            report.warnings.iter().any(|text| text.contains("nothing in the input is encrypted")),
            "{name}"
        );
    }
    for (name, drm, scheme) in
        [("dash/manifest.mpd", "widevine", "cenc"), ("hls-ts/index.m3u8", "fairplay", "cbcs")]
    {
        let (packed, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        pack(&job(&clip.join(name), drm, scheme), packed.path()).unwrap();
        let report =
            unpack_all(&[packed.path().join(Path::new(name).file_name().unwrap())], out.path()).unwrap();
        assert_eq!(report.warnings, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn encrypted_samples_that_tenc_says_are_clear_do_not_pass_for_decrypted() {
    for scheme in ["cenc", "cbcs"] {
        let (protected, _) = packed(scheme);
        let init = protected.path().join("2/init.mp4");
        let mut bytes = fs::read(&init).unwrap();
        let tenc = bytes.windows(4).position(|kind| kind == b"tenc").unwrap();
        bytes[tenc + 10] = 0;
        fs::write(&init, bytes).unwrap();
        for inputs in [vec!["manifest.mpd"], vec!["2/init.mp4", "2/1.m4s"]] {
            let out = tempfile::tempdir().unwrap();
            let inputs: Vec<_> = inputs.iter().map(|name| protected.path().join(name)).collect();
            let error = unpack_all(&inputs, out.path()).unwrap_err();
            assert!(matches!(error.kind(), Kind::Verification | Kind::Input), "{scheme}: {error}");
        }
    }
}
