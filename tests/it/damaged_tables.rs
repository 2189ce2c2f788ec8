//! Tables that leave samples out, files elsewhere, fragments in another order, segments without samples: refused.

use std::fs;
use std::path::Path;

use crate::support::files::changed_copy;
use crate::support::pack::{job, pack};

fn place(bytes: &[u8], kind: &[u8; 4], number: usize) -> usize {
    bytes.windows(4).enumerate().filter(|(_, window)| window == kind).nth(number).unwrap().0
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Packs a file of the clip after a change; returns the error.
fn refused(file: &str, change: &dyn Fn(&mut Vec<u8>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let bytes = &mut fs::read(crate::support::media::root().join("fixtures/clip/mp4").join(file)).unwrap();
    change(bytes);
    let input = folder.path().join(file);
    fs::write(&input, bytes).unwrap();
    let out = folder.path().join("out");
    pack(&job(&input, "widevine", "cenc"), &out).unwrap_err().to_string()
}

#[test]
fn sizes_and_durations_are_of_as_many_samples() {
    for count in [0, 1, 40] {
        let error = refused("audio.m4a", &|bytes| {
            let stsz = place(bytes, b"stsz", 0);
            assert!(word(bytes, stsz + 12) > 40);
            bytes[stsz + 12..stsz + 16].copy_from_slice(&u32::to_be_bytes(count));
        });
        assert!(error.contains(&format!("{count} samples have a size (stsz)")), "{error}");
    }
}

#[test]
fn samples_of_another_file_are_refused() {
    let error = refused("audio.m4a", &|bytes| {
        let dref = place(bytes, b"dref", 0);
        // The place of the flag says "not in this file", and the entry names one by letters of its own.
        assert_eq!(&bytes[dref + 16..dref + 20], b"url ");
        bytes[dref + 23] = 0;
        bytes.splice(dref + 24..dref + 24, *b"a.m4\0\0\0\0");
        for kind in [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"] {
            let at = place(bytes, kind, 0) - 4;
            let size = word(bytes, at) + 8;
            bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
        }
        let entry = dref + 12;
        let size = word(bytes, entry) + 8;
        bytes[entry..entry + 4].copy_from_slice(&size.to_be_bytes());
    });
    assert!(error.contains("lie in another file"), "{error}");
}

/// The fragments of a file: each `moof` with its `mdat`.
fn fragments(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at + 8 <= bytes.len() {
        let end = at + word(bytes, at) as usize;
        match &bytes[at + 4..at + 8] {
            b"moof" => found.push(at..end),
            b"mdat" => found.last_mut().unwrap().end = end,
            _ => {}
        }
        at = end;
    }
    found
}

#[test]
fn fragments_stand_in_the_order_of_their_times() {
    let doubled = refused("av_frag.mp4", &|bytes| {
        let first = bytes[fragments(bytes)[0].clone()].to_vec();
        let second = fragments(bytes)[1].start;
        bytes.splice(second..second, first);
    });
    let swapped = refused("av_frag.mp4", &|bytes| {
        let all = fragments(bytes);
        let first = bytes[all[0].clone()].to_vec();
        bytes.splice(all[1].end..all[1].end, first);
        bytes.drain(all[0].clone());
    });
    for error in [doubled, swapped] {
        assert!(error.contains("a sample with decode time 0, the one before it has"), "{error}");
    }
}

/// In the place of a segment stands one without samples, or an init segment.
#[test]
fn a_segment_has_samples() {
    for (kind, manifest) in [("dash", "manifest.mpd"), ("hls", "master.m3u8")] {
        for init in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let input = changed_copy(kind, &folder.path().join("in"), &|_| {});
            let (mut moov, mut segments) = (Vec::new(), Vec::new());
            files(&input, &mut |path| {
                let bytes = fs::read(path).unwrap();
                match bytes.windows(4).any(|window| window == b"moof") {
                    true => segments.push(path.to_owned()),
                    false if bytes.windows(4).any(|window| window == b"moov") => moov = bytes,
                    false => {}
                }
            });
            segments.sort();
            let empty = b"\0\0\0\x18moof\0\0\0\x10mfhd\0\0\0\0\0\0\0\x01\0\0\0\x08mdat";
            fs::write(&segments[1], if init { &moov } else { &empty[..] }).unwrap();
            let error = pack(&job(&input.join(manifest), "widevine", "cenc"), &folder.path().join("out"));
            let error = error.unwrap_err().to_string();
            let name = segments[1].file_name().unwrap().to_str().unwrap();
            assert!(error.contains("a segment without samples") && error.contains(name), "{kind}: {error}");
        }
    }
}

fn files(folder: &Path, found: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found(&path) }
    }
}
