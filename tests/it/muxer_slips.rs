//! Slips of muxers that cost no sample: they are said, and the output is that of the right file.

use std::fs;
use std::path::Path;

use drm_pack::isobmff::parse_file;
use tempfile::TempDir;

use crate::support::files::{changed_copy, copied, tree};
use crate::support::media::root;
use crate::support::pack::{job, pack};

/// Where the box of this number among those of its kind begins.
fn position(bytes: &[u8], kind: &[u8; 4], number: usize) -> usize {
    let mut position = 0;
    let mut found = Vec::new();
    for node in parse_file(bytes).unwrap() {
        if node.is(kind) {
            found.push(position);
        }
        position += node.len();
    }
    found[number]
}

fn add(bytes: &mut [u8], at: usize, number: i32) {
    let field = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    bytes[at..at + 4].copy_from_slice(&field.checked_add_signed(number).unwrap().to_be_bytes());
}

fn packed(input: &Path) -> (TempDir, Vec<String>) {
    let out = tempfile::tempdir().unwrap();
    let report = pack(&job(input, "widevine", "cenc"), out.path()).unwrap();
    (out, report.warnings)
}

/// Packs a file as it is and changed: both are the same, and of the changed one something is said.
fn is_mended(name: &str, said: &str, change: impl Fn(&mut Vec<u8>)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.mp4");
    let mut bytes = fs::read(root().join("fixtures/clip").join(name)).unwrap();
    fs::write(&path, &bytes).unwrap();
    let (right, warnings) = packed(&path);
    assert!(!warnings.iter().any(|warning| warning.contains(said)), "{warnings:?}");
    change(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let (mended, warnings) = packed(&path);
    assert!(
        warnings.iter().any(|warning| warning.contains(said) && warning.contains("in.mp4")),
        "{warnings:?}"
    );
    assert!(tree(right.path()) == tree(mended.path()), "{name} {said}");
}

#[test]
fn an_mdat_of_a_file_that_states_a_few_bytes_too_many_is_packed() {
    for bytes in [1, 8, 60] {
        is_mended("mp4/av_frag.mp4", "too many", |file| {
            let last = position(file, b"mdat", 0);
            add(file, last, bytes);
        });
    }
    // Behind the media data stands the movie.
    is_mended("mp4/av.mp4", "states 4 bytes too many", |file| {
        let first = position(file, b"mdat", 0);
        add(file, first, 4);
    });
    is_mended("mp4/av_faststart.mp4", "states 4 bytes too many", |file| {
        let last = position(file, b"mdat", 0);
        add(file, last, 4);
    });
    // What is cut off lacks samples, few as its bytes may be.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.mp4");
    for cut in [5, 60, 100] {
        let mut bytes = fs::read(root().join("fixtures/clip/mp4/av_faststart.mp4")).unwrap();
        bytes.truncate(bytes.len() - cut);
        fs::write(&path, &bytes).unwrap();
        let out = folder.path().join("out");
        let error = pack(&job(&path, "widevine", "cenc"), &out).unwrap_err();
        assert_eq!(error.kind().exit_code(), 3, "{error}");
    }
}

#[test]
fn an_mdat_of_a_segment_that_states_a_few_bytes_too_many_is_put_right() {
    let right = packed(&copied("dash").path().join("manifest.mpd"));
    let folder = tempfile::tempdir().unwrap();
    changed_copy("dash", &folder.path().join("in"), &|file| {
        if file.windows(4).any(|kind| kind == b"moof") {
            let last = position(file, b"mdat", 0);
            add(file, last, 3);
        }
    });
    let (mended, warnings) = packed(&folder.path().join("in/manifest.mpd"));
    let is_said =
        |warning: &String| warning.contains("m4s: the mdat at byte") && warning.contains("was put right");
    assert!(warnings.iter().any(is_said), "{warnings:?}");
    assert!(tree(right.0.path()) == tree(mended.path()));
    // Bytes that are missing are samples.
    changed_copy("dash", &folder.path().join("cut"), &|file| {
        if file.windows(4).any(|kind| kind == b"moof") {
            file.truncate(file.len() - 3);
        }
    });
    let out = folder.path().join("out");
    assert!(pack(&job(&folder.path().join("cut/manifest.mpd"), "widevine", "cenc"), &out).is_err());
}

#[test]
fn an_index_that_does_not_fit_is_made_anew() {
    // The first reference ends ten bytes late, and the second begins there.
    let slip = |file: &mut Vec<u8>| {
        let Some(at) = file.windows(4).position(|kind| kind == b"sidx") else { return };
        let first = at + if file[at + 4] == 0 { 28 } else { 36 };
        add(file, first, 10);
        add(file, first + 12, -10);
    };
    let right = packed(&copied("dash-segment-base").path().join("manifest.mpd"));
    let folder = tempfile::tempdir().unwrap();
    changed_copy("dash-segment-base", &folder.path().join("in"), &slip);
    let (mended, warnings) = packed(&folder.path().join("in/manifest.mpd"));
    assert!(warnings.iter().any(|warning| warning.contains("the sidx at byte")), "{warnings:?}");
    assert!(tree(right.0.path()) == tree(mended.path()));
    let names = tree(copied("dash-segment-base").path());
    let (name, _) = names.iter().find(|(_, bytes)| bytes.windows(4).any(|kind| kind == b"sidx")).unwrap();
    is_mended(&format!("dash-segment-base/{name}"), "the sidx at byte", slip);
    // Of another number of fragments nothing is guessed.
    let other = folder.path().join("other");
    changed_copy("dash-segment-base", &other, &|file| {
        let Some(at) = file.windows(4).position(|kind| kind == b"sidx") else { return };
        slip(file);
        let count = at + if file[at + 4] == 0 { 26 } else { 34 };
        file[count + 1] -= 1;
    });
    let error = pack(&job(&other.join("manifest.mpd"), "widevine", "cenc"), &folder.path().join("none"));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("sidx") && error.contains("the index is wrong: make them again"), "{error}");
}
