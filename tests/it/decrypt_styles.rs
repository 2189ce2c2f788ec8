//! Protection as other writers lay it out — ISO/IEC 23001-7 §6, §7: our own files with their boxes moved.

use std::fs;
use std::process::Output;

use drm_pack::base::{FourCc, KeyStore, Kid, Result};
use drm_pack::isobmff::boxes::{
    CencSampleEncryptionInformationGroupEntry, Piff, Saio, Saiz, Sbgp, SbgpEntry, SencWriter, Sgpd, Tenc,
    Tfhd, Trun,
};
use drm_pack::isobmff::samples::samples;
use drm_pack::isobmff::{BoxNode, parse_file, write_file};
use drm_pack::package::{Period, ProtectedTrack, SegmentDecryptor, SegmentKey, media_tracks, rewrite};
use drm_pack::protect::{Iv, Pattern, Scheme, TrackProtection, auxiliary, protect_moov};

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::files::random;
use crate::support::media::root;
use crate::support::pack::{job, key, pack};

const SCHEMES: [&str; 4] = ["cenc", "cbcs", "cens", "cbc1"];
const MARKS: [&[u8; 4]; 9] =
    [b"sinf", b"senc", b"saiz", b"saio", b"seig", b"encv", b"enca", b"pssh", b"uuid"];

fn decrypt(bytes: &Vec<u8>) -> Result<Vec<u8>> {
    decrypt_with(bytes, &|kid| Some(key(kid)))
}

fn decrypt_with(bytes: &Vec<u8>, key_store: &dyn KeyStore) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    rewrite(bytes, &mut out, &[], &mut SegmentDecryptor::new(bytes, key_store))?;
    Ok(out)
}

/// The protected fixture as one fragmented file: `v1` or `a1`.
fn fragmented(scheme: &str, track: &str) -> Vec<BoxNode> {
    let out = tempfile::tempdir().unwrap();
    let mut job = job(&root().join("fixtures/clip/mp4/av.mp4"), "widevine", scheme);
    job.segment_duration = 1.0;
    job.formats = Some(vec![drm_pack::job::Format::Dash]);
    pack(&job, out.path()).unwrap();
    let folder = out.path().join(track);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|name| name.extension().unwrap() == "m4s");
    names.sort_by_key(|name| name.file_stem().unwrap().to_str().unwrap().parse::<u32>().unwrap());
    let mut bytes = fs::read(folder.join("init.mp4")).unwrap();
    names.iter().for_each(|name| bytes.extend(fs::read(name).unwrap()));
    parse_file(&bytes).unwrap()
}

fn payload(bytes: &[u8]) -> Vec<u8> {
    let boxes = parse_file(bytes).unwrap();
    boxes.iter().filter(|node| node.is(b"mdat")).flat_map(|node| node.payload().to_vec()).collect()
}

fn assert_no_mark(bytes: &[u8], name: &str) {
    let metadata: Vec<u8> = parse_file(bytes)
        .unwrap()
        .iter()
        .filter(|node| node.is(b"moov") || node.is(b"moof"))
        .flat_map(BoxNode::to_bytes)
        .collect();
    for mark in MARKS {
        assert!(!metadata.windows(4).any(|window| window == mark), "{name}: {} is left", FourCc(*mark));
    }
}

fn tenc(boxes: &[BoxNode]) -> (Vec<BoxNode>, Tenc) {
    let moov = boxes.iter().find(|node| node.is(b"moov")).unwrap();
    let bytes = moov.to_bytes();
    let at = bytes.windows(4).position(|window| window == b"tenc").unwrap();
    let size = usize::try_from(u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap())).unwrap();
    (boxes.to_vec(), Tenc::parse(&bytes[at + 4..at - 4 + size]).unwrap())
}

/// Replaces bytes in `moov` by as many.
fn patch_moov(boxes: &mut [BoxNode], from: &[u8], to: &[u8]) {
    let moov = boxes.iter_mut().find(|node| node.is(b"moov")).unwrap();
    let mut bytes = moov.to_bytes();
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    *moov = BoxNode::parse_one(&bytes).unwrap();
}

/// Edits every `traf`, then makes `data_offset` right; `extra` bytes go to the end of each `mdat`.
fn edit_fragments(
    boxes: &mut [BoxNode],
    mut edit: impl FnMut(&mut BoxNode),
    extra: impl Fn(&BoxNode) -> Vec<u8>,
) {
    let mut pending = Vec::new();
    for node in boxes.iter_mut() {
        if node.is(b"moof") {
            pending = extra(node);
            edit(node.find_mut(&[b"traf"]).unwrap());
            let length = i32::try_from(node.len()).unwrap();
            let trun = node.find_mut(&[b"traf", b"trun"]).unwrap();
            let mut payload = trun.payload().to_vec();
            Trun::set_data_offset(&mut payload, length + 8).unwrap();
            *trun = BoxNode::data(b"trun", payload);
        } else if node.is(b"mdat") {
            *node = BoxNode::data(b"mdat", [node.payload(), &pending].concat());
        }
    }
}

fn none(_: &BoxNode) -> Vec<u8> {
    Vec::new()
}

/// The entries of the `senc` of a `moof`, without its fields.
fn entries(moof: &BoxNode) -> Vec<u8> {
    moof.find(&[b"traf", b"senc"]).map_or_else(Vec::new, |senc| senc.payload()[8..].to_vec())
}

#[test]
fn senc_of_the_format_before_common_encryption() {
    for track in ["v1", "a1"] {
        let boxes = fragmented("cenc", track);
        let clear = payload(&decrypt(&write_file(&boxes)).unwrap());
        let mut piff = boxes.clone();
        patch_moov(&mut piff, b"schm\0\0\0\0cenc", b"schm\0\0\0\0piff");
        edit_fragments(
            &mut piff,
            |traf| {
                let senc = Piff::SampleEncryption.write(traf.find(&[b"senc"]).unwrap().payload());
                traf.remove(|node| node.is(b"senc") || node.is(b"saiz") || node.is(b"saio"));
                traf.push(senc);
            },
            none,
        );
        let out = decrypt(&write_file(&piff)).unwrap();
        assert!(payload(&out) == clear, "{track}");
        assert_no_mark(&out, track);
        // The parameters of the track stand in the fragment, those of moov are another key's.
        let (mut other, tenc) = tenc(&piff);
        patch_moov(&mut other, tenc.default_kid.bytes(), &[9; 16]);
        edit_fragments(
            &mut other,
            |traf| {
                let node = traf.boxes_mut().unwrap().last_mut().unwrap();
                let mut payload = Piff::of(node).unwrap().1.to_vec();
                payload[3] |= 1;
                let parameters = [&[0, 0, 1, 8], &tenc.default_kid.bytes()[..]].concat();
                payload.splice(4..4, parameters);
                *node = Piff::SampleEncryption.write(&payload);
            },
            none,
        );
        assert!(payload(&decrypt(&write_file(&other)).unwrap()) == clear, "{track} overridden");
    }
}

#[test]
fn saio_that_points_into_mdat() {
    for scheme in SCHEMES {
        let boxes = fragmented(scheme, "v1");
        let clear = decrypt(&write_file(&boxes)).unwrap();
        for base_data_offset in [false, true] {
            let mut moved = boxes.clone();
            let mut data: Vec<usize> =
                boxes.iter().filter(|n| n.is(b"mdat")).map(|n| n.payload().len()).collect();
            data.reverse();
            edit_fragments(&mut moved, |traf| traf.remove(|node| node.is(b"senc")), entries);
            let mut position = 0;
            for node in &mut moved {
                let length = node.len() as u64;
                if node.is(b"moof") {
                    if base_data_offset {
                        let tfhd = node.find_mut(&[b"traf", b"tfhd"]).unwrap();
                        let mut fields = Tfhd::parse(tfhd.payload()).unwrap();
                        fields.base_data_offset = Some(position);
                        fields.other_flags &= !Tfhd::DEFAULT_BASE_IS_MOOF;
                        *tfhd = BoxNode::data(b"tfhd", fields.write());
                    }
                    let length = node.len();
                    let trun = node.find_mut(&[b"traf", b"trun"]).unwrap();
                    let mut payload = trun.payload().to_vec();
                    Trun::set_data_offset(&mut payload, i32::try_from(length + 8).unwrap()).unwrap();
                    *trun = BoxNode::data(b"trun", payload);
                    let offsets = vec![(length + 8 + data.pop().unwrap()) as u64];
                    let saio = node.find_mut(&[b"traf", b"saio"]).unwrap();
                    *saio = BoxNode::data(b"saio", Saio { offsets }.write());
                }
                position += if node.is(b"moof") { node.len() as u64 } else { length };
            }
            let bytes = write_file(&moved);
            let out = decrypt(&bytes).unwrap();
            assert_no_mark(&out, scheme);
            // What saio pointed at stays in mdat, behind the samples.
            let (out, clear) = (parse_file(&out).unwrap(), parse_file(&clear).unwrap());
            let mdats = |boxes: &[BoxNode]| {
                boxes
                    .iter()
                    .filter(|node| node.is(b"mdat"))
                    .map(|node| node.payload().to_vec())
                    .collect::<Vec<_>>()
            };
            for (out, clear) in mdats(&out).iter().zip(mdats(&clear)) {
                assert!(out[..clear.len()] == clear, "{scheme}");
            }
        }
    }
}

fn group(tenc: &Tenc) -> CencSampleEncryptionInformationGroupEntry {
    CencSampleEncryptionInformationGroupEntry {
        crypt_byte_block: tenc.default_crypt_byte_block,
        skip_byte_block: tenc.default_skip_byte_block,
        is_protected: tenc.default_is_protected,
        per_sample_iv_size: tenc.default_per_sample_iv_size,
        kid: tenc.default_kid,
        constant_iv: tenc.default_constant_iv.clone(),
    }
}

fn sbgp(runs: &[(u32, u32)]) -> BoxNode {
    let entry =
        |&(sample_count, group_description_index)| SbgpEntry { sample_count, group_description_index };
    let entries = runs.iter().map(entry).collect();
    let sbgp = Sbgp { grouping_type: Sgpd::SEIG, grouping_type_parameter: None, entries };
    BoxNode::data(b"sbgp", sbgp.write())
}

#[test]
fn groups_of_the_fragment_and_of_the_track_replace_the_defaults() {
    for scheme in SCHEMES {
        for track in ["v1", "a1"] {
            let boxes = fragmented(scheme, track);
            let clear = payload(&decrypt(&write_file(&boxes)).unwrap());
            let (boxes, tenc) = tenc(&boxes);
            let sgpd = Sgpd { default_group_description_index: None, entries: vec![group(&tenc)] };
            let sgpd = BoxNode::data(b"sgpd", sgpd.write());
            let mut local = boxes.clone();
            patch_moov(&mut local, tenc.default_kid.bytes(), &[0; 16]);
            let mut global = local.clone();
            edit_fragments(
                &mut local,
                |traf| {
                    traf.push(sgpd.clone());
                    traf.push(sbgp(&[(1000, Sbgp::FRAGMENT_LOCAL + 1)]));
                },
                none,
            );
            edit_fragments(&mut global, |traf| traf.push(sbgp(&[(1000, 1)])), none);
            let moov = global.iter_mut().find(|node| node.is(b"moov")).unwrap();
            moov.find_mut(&[b"trak", b"mdia", b"minf", b"stbl"]).unwrap().push(sgpd);
            for (name, boxes) in [("local", local), ("global", global)] {
                let key_store = |kid: Kid| (kid == tenc.default_kid).then(|| key(kid));
                let out = decrypt_with(&write_file(&boxes), &key_store).unwrap();
                assert!(payload(&out) == clear, "{scheme} {track} {name}");
                assert_no_mark(&out, name);
            }
        }
    }
}

#[test]
fn samples_of_an_unprotected_group_stay_as_they_are() {
    let mut boxes = fragmented("cbc1", "a1");
    let clear = decrypt(&write_file(&boxes)).unwrap();
    let group = CencSampleEncryptionInformationGroupEntry {
        is_protected: 0,
        per_sample_iv_size: 0,
        constant_iv: None,
        ..group(&tenc(&boxes).1)
    };
    let sgpd = Sgpd { default_group_description_index: None, entries: vec![group] };
    // The first two samples of every fragment are clear: no IV, as many entries as samples.
    let first_two = |traf: &BoxNode| {
        let trun = Trun::parse(traf.find(&[b"trun"]).unwrap().payload()).unwrap();
        trun.samples[..2].iter().map(|sample| sample.size.unwrap() as usize).sum::<usize>()
    };
    let lengths: Vec<usize> = boxes.iter().filter_map(|node| node.find(&[b"traf"])).map(first_two).collect();
    let clear_mdats: Vec<BoxNode> =
        parse_file(&clear).unwrap().into_iter().filter(|n| n.is(b"mdat")).collect();
    edit_fragments(
        &mut boxes,
        |traf| {
            let senc = traf.find_mut(&[b"senc"]).unwrap();
            let mut payload = senc.payload().to_vec();
            payload.drain(8..8 + 32);
            *senc = BoxNode::data(b"senc", payload);
            traf.remove(|node| node.is(b"saiz") || node.is(b"saio"));
            traf.push(BoxNode::data(b"sgpd", sgpd.write()));
            traf.push(sbgp(&[(2, Sbgp::FRAGMENT_LOCAL + 1)]));
        },
        none,
    );
    let mdats = boxes.iter_mut().filter(|node| node.is(b"mdat")).zip(&clear_mdats);
    for ((mdat, clear), length) in mdats.zip(&lengths) {
        let mixed = [&clear.payload()[..*length], &mdat.payload()[*length..]].concat();
        *mdat = BoxNode::data(b"mdat", mixed);
    }
    let out = decrypt(&write_file(&boxes)).unwrap();
    assert!(payload(&out) == payload(&clear));
    assert_no_mark(&out, "unprotected group");
}

#[test]
fn a_constant_iv_for_whole_samples_needs_no_auxiliary_information() {
    let mut boxes = fragmented("cbcs", "a1");
    let clear = payload(&decrypt(&write_file(&boxes)).unwrap());
    edit_fragments(&mut boxes, |traf| traf.remove(|node| node.is(b"senc")), none);
    let out = decrypt(&write_file(&boxes)).unwrap();
    assert!(payload(&out) == clear);
    assert_no_mark(&out, "nothing");
}

#[test]
fn what_is_missing_is_named() {
    let mut boxes = fragmented("cenc", "v1");
    let kid = tenc(&boxes).1.default_kid;
    let error = decrypt_with(&write_file(&boxes), &|_| None).unwrap_err();
    assert_eq!(error.kind(), drm_pack::base::Kind::Keys);
    let error = error.to_string();
    assert!(error.contains("sample 1") && error.contains(&kid.to_string()), "{error}");
    edit_fragments(&mut boxes, |traf| traf.remove(|node| node.is(b"senc")), none);
    edit_fragments(&mut boxes, |traf| traf.remove(|node| node.is(b"saiz")), none);
    let error = decrypt(&write_file(&boxes)).unwrap_err().to_string();
    assert!(error.contains("sample 1") && error.contains("no IV"), "{error}");
}

/// Where the auxiliary information of a progressive file stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    SencInStbl,
    SencInTrak,
    SaioIntoFree,
}

/// A progressive file with `moov` last, encrypted in place; its clear twin is the fixture.
fn progressive(scheme: &'static str, place: Place) -> (Vec<u8>, Vec<u8>) {
    let clear = fs::read(root().join("fixtures/clip/mp4/av.mp4")).unwrap();
    let mut bytes = clear.clone();
    let mut boxes = parse_file(&clear).unwrap();
    let moov = boxes.iter().find(|node| node.is(b"moov")).unwrap().clone();
    let scheme = Scheme::find(scheme).unwrap();
    let mut protected = moov.clone();
    let mut free = Vec::new();
    let moov_at = boxes.iter().position(|node| node.is(b"moov")).unwrap();
    assert_eq!(moov_at, boxes.len() - 1);
    let free_at: usize = boxes[..moov_at].iter().map(BoxNode::len).sum::<usize>() + 8;
    for (number, media) in media_tracks(&moov).unwrap().iter().enumerate() {
        let is_video = number == 0;
        let pattern = if is_video { scheme.video } else { Pattern::NONE };
        let kid = Kid::new([u8::try_from(number).unwrap() + 1; 16]);
        let iv = Iv::of(scheme, kid, &key(kid), Some([5; 16]));
        let protection = std::sync::Arc::new(TrackProtection::new(scheme, kid, &key(kid), pattern, iv));
        let track = ProtectedTrack::new(media, protection.clone()).unwrap();
        let mut encryptor = track.encryptor(SegmentKey::Period(Period::FIRST), 1).unwrap().unwrap();
        let mut senc: SencWriter = encryptor.senc();
        let ranges: Vec<_> = samples(&clear, &moov, media.track.track_id, &[])
            .unwrap()
            .map(|sample| sample.unwrap())
            .map(|sample| {
                let start = usize::try_from(sample.position).unwrap();
                start..start + sample.size as usize
            })
            .collect();
        encryptor.encrypt(&mut bytes, ranges.into_iter(), 0, &mut senc).unwrap();
        protect_moov(&mut protected, media.track.track_id, &protection).unwrap();
        let _ = auxiliary(senc.clone());
        let (senc, sizes) = senc.finish();
        let trak = protected.all_mut(b"trak").nth(number).unwrap();
        if let Place::SencInTrak = place {
            trak.push(BoxNode::data(b"senc", senc));
            continue;
        }
        let stbl = trak.find_mut(&[b"mdia", b"minf", b"stbl"]).unwrap();
        if let Place::SencInStbl = place {
            stbl.push(BoxNode::data(b"senc", senc));
        } else if sizes.iter().any(|size| *size > 0) {
            let offsets = vec![(free_at + free.len()) as u64];
            stbl.push(BoxNode::data(b"saiz", Saiz { sizes }.write()));
            stbl.push(BoxNode::data(b"saio", Saio { offsets }.write()));
            free.extend(&senc[8..]);
        }
    }
    boxes = parse_file(&bytes).unwrap();
    boxes[moov_at] = BoxNode::data(b"free", free);
    boxes.push(protected);
    (clear, write_file(&boxes))
}

#[test]
fn progressive_files_are_decrypted_in_place() {
    for scheme in SCHEMES {
        for place in [Place::SencInStbl, Place::SencInTrak, Place::SaioIntoFree] {
            let (clear, protected) = progressive(scheme, place);
            assert!(payload(&protected) != payload(&clear));
            let out = decrypt(&protected).unwrap();
            assert_eq!(out.len(), protected.len(), "nothing moves");
            assert!(payload(&out) == payload(&clear), "{scheme} {place:?}");
            assert_no_mark(&out, scheme);
            let stsd = |bytes: &[u8]| {
                let boxes = parse_file(bytes).unwrap();
                let moov = boxes.iter().find(|node| node.is(b"moov")).unwrap().clone();
                moov.all(b"trak")
                    .map(|t| t.find(&[b"mdia", b"minf", b"stbl"]).unwrap().to_bytes())
                    .collect::<Vec<_>>()
            };
            assert!(stsd(&out) == stsd(&clear), "{scheme} {place:?}: the sample tables are the source's");
        }
    }
}

#[test]
fn damaged_protection_never_panics() {
    let mut random = random();
    let (_, table) = progressive("cens", Place::SaioIntoFree);
    let fragments = write_file(&fragmented("cbc1", "v1"));
    for bytes in [table, fragments] {
        let marks: Vec<usize> = (4..bytes.len() - 4)
            .filter(|at| [b"moov", b"moof"].iter().any(|mark| bytes[*at..*at + 4] == **mark))
            .collect();
        for _ in 0..150 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random() % 3 {
                let from = marks[random() % marks.len()];
                let at = from + random() % (damaged.len() - from).min(6000);
                damaged[at] = u8::try_from(random() % 256).unwrap();
            }
            if random().is_multiple_of(8) {
                damaged.truncate(random() % damaged.len());
            }
            let _ = decrypt(&damaged);
        }
    }
}

#[test]
fn progressive_files_of_ffmpeg_with_moov_at_either_end() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("fixtures/clip/mp4/av.mp4");
    let kid = Kid::new([0x31; 16]);
    let secret = drm_pack::base::id::hex(key(kid).expose());
    for flags in ["+write_colr", "+faststart"] {
        let encrypted = folder.path().join("encrypted.mp4");
        let mut command = ffmpeg();
        command.arg("-i").arg(&source).args(["-c", "copy", "-movflags", flags]);
        command.args(["-encryption_scheme", "cenc-aes-ctr", "-encryption_kid", &"31".repeat(16)]);
        let Output { status, stderr, .. } =
            command.args(["-encryption_key", &secret]).arg(&encrypted).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        let bytes = fs::read(&encrypted).unwrap();
        let out = decrypt(&bytes).unwrap();
        assert_no_mark(&out, flags);
        assert!(payload(&out) != payload(&bytes));
        let frames = |bytes: &Vec<u8>| {
            let boxes = parse_file(bytes).unwrap();
            let moov = boxes.iter().find(|node| node.is(b"moov")).unwrap();
            let mut frames = Vec::new();
            for track in drm_pack::isobmff::track::tracks(moov).unwrap() {
                for sample in samples(bytes, moov, track.track_id, &[]).unwrap() {
                    let sample = sample.unwrap();
                    let start = usize::try_from(sample.position).unwrap();
                    frames.push(bytes[start..start + sample.size as usize].to_vec());
                }
            }
            frames
        };
        assert!(frames(&out) == frames(&fs::read(&source).unwrap()), "{flags}");
    }
}

#[test]
fn keys_of_a_seed_open_what_they_closed() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_drm-pack"));
        let output: Output = command.current_dir(folder.path()).args(words.split(' ')).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let clip = root().join("fixtures/clip");
    for (input, drm) in [("hls-ts/index.m3u8", "fairplay"), ("dash/manifest.mpd", "widevine")] {
        let (path, name) = (clip.join(input), input.rsplit('/').next().unwrap());
        let pack = format!("pack {} --out {drm} --drm {drm} --dev-keys seed", path.display());
        assert_eq!(run(&pack).0, Some(0));
        let decrypt = format!("decrypt {drm}/{name} --out {drm}-back --dev-keys");
        let (code, error) = run(&format!("{decrypt} seed"));
        assert_eq!(code, Some(0), "{error}");
        assert!(error.contains("for tests only"), "{error}");
        let media = if drm == "fairplay" { "0.ts" } else { "0/1.m4s" };
        let back = fs::read(folder.path().join(format!("{drm}-back")).join(media)).unwrap();
        assert!(back == fs::read(path.parent().unwrap().join(media)).unwrap(), "{media}");
    }
    let both = run("decrypt x --out y --dev-keys seed --key-file k");
    assert!(both.0 == Some(2) && both.1.contains("cannot be used with"), "{both:?}");
}
