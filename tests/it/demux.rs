//! Files of other containers become CMAF by the road of MP4 files: the same media has the same samples, times, facts and
//! keys — RFC 9559, ISO/IEC 14496-12 §8.

use std::fs;
use std::path::{Path, PathBuf};

use drm_pack::base::env::Store;
use drm_pack::demux::{DemuxStore, opened};
use drm_pack::io::FileStore;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::{Sample, samples};
use drm_pack::isobmff::track::{tracks, trexes};
use drm_pack::job::Job;
use drm_pack::verify::{Reference, VerifyJob, verify};

use crate::support::media::root;
use crate::support::pack::{demuxed_files, job, pack, pack_without_keys};

/// A file and the MP4 files that have its tracks.
const SAME: [(&str, [&str; 2]); 4] = [
    ("vp9_opus.webm", ["codecs/vp9.mp4", "codecs/opus.mp4"]),
    ("av1_ac3.mkv", ["codecs/av1.mp4", "codecs/ac3.mp4"]),
    ("hevc_eac3.mkv", ["codecs/hevc.mp4", "codecs/eac3.mp4"]),
    ("avc_aac.mkv", ["mp4/video_180.mp4", "mp4/audio.m4a"]),
];

fn clip(name: &str) -> PathBuf {
    root().join("fixtures/clip").join(name)
}

/// A sample with its bytes.
type Whole = (Sample, Vec<u8>);

/// The samples of each track, and its ticks per second.
fn read(bytes: &[u8]) -> Vec<(u32, Vec<Whole>)> {
    let source = opened(Box::new(bytes.to_vec())).unwrap().source;
    let moov = moov(source.as_ref()).unwrap();
    let trexes = trexes(&moov).unwrap();
    let of = |track_id: u32| {
        let all = samples(source.as_ref(), &moov, track_id, &trexes).unwrap();
        let whole = all.map(|sample| {
            let sample = sample.unwrap();
            let mut bytes = vec![0; sample.size as usize];
            source.read_at(sample.position, &mut bytes).unwrap();
            (sample, bytes)
        });
        whole.collect()
    };
    tracks(&moov).unwrap().iter().map(|track| (track.timescale, of(track.track_id))).collect()
}

fn file(name: &str) -> Vec<u8> {
    fs::read(clip(name)).unwrap()
}

#[test]
fn the_same_media_has_the_same_samples_and_times() {
    for (name, originals) in SAME {
        let found = read(&file(&format!("demux/{name}")));
        assert_eq!(found.len(), 2, "{name}");
        for ((timescale, found), original) in found.iter().zip(originals) {
            let (ticks, expected) = read(&file(original)).remove(0);
            // FFmpeg cuts the long ones off behind the first second.
            let expected = &expected[..expected.len().min(found.len())];
            assert!(found.len() >= 12, "{name}: {} samples", found.len());
            let seconds = |sample: &Sample, ticks: u32| {
                (
                    sample.composition_time() as f64 / f64::from(ticks),
                    sample.decode_time as f64 / f64::from(ticks),
                )
            };
            let (first, start) = (seconds(&found[0].0, *timescale).0, seconds(&expected[0].0, ticks).0);
            for (number, ((sample, bytes), (was, were))) in found.iter().zip(expected).enumerate() {
                assert!(bytes == were, "{name} {original}: sample {number} of {} bytes", bytes.len());
                assert_eq!(sample.is_sync(), was.is_sync(), "{name} {original}: sample {number}");
                // Matroska counts in milliseconds here.
                let moved = (seconds(sample, *timescale).0 - first) - (seconds(was, ticks).0 - start);
                assert!(moved.abs() < 0.0016, "{name} {original}: sample {number} is {moved} s late");
            }
        }
    }
}

#[test]
fn the_same_media_has_the_same_codec_strings_and_facts() {
    let facts = |inputs: Vec<PathBuf>| {
        let out = tempfile::tempdir().unwrap();
        let inputs = inputs.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
        let job = Job { inputs, ..job(Path::new(""), "widevine", "cenc") };
        let report = pack_without_keys(&job, out.path());
        let report = report.or_else(|_| pack(&job, out.path())).unwrap();
        let tracks = report.tracks.into_iter().map(|track| {
            (track.id.to_string(), track.codec.clone(), track.width, track.height, track.samples)
        });
        tracks.collect::<Vec<_>>()
    };
    for (name, originals) in &SAME[..3] {
        let ours = facts(vec![clip("demux").join(name)]);
        assert_eq!(ours, facts(originals.map(clip).to_vec()), "{name}");
    }
}

#[test]
fn what_is_packed_verifies_against_the_file() {
    for path in demuxed_files() {
        let out = tempfile::tempdir().unwrap();
        pack(&job(&path, "widevine", "cenc"), out.path()).unwrap();
        let (store, name) = FileStore::of_file(path.to_str().unwrap()).unwrap();
        let clear = DemuxStore(Box::new(store));
        let keys = drm_pack::keys::DevKeys::new(crate::support::pack::SEED);
        let job = VerifyJob {
            store: &FileStore::new(out.path()),
            names: vec!["master.m3u8".into(), "manifest.mpd".into()],
            key_store: Some(&keys),
            against: Some(Reference { store: &clear, names: vec![name] }),
        };
        let found = verify(&job).unwrap();
        let errors: Vec<_> = found.findings.listed().iter().map(|finding| finding.rule).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

/// As live encoders write them, which do not know how long anything will be.
#[test]
fn segments_and_clusters_may_be_of_unknown_size() {
    for (name, _) in SAME {
        let bytes = file(&format!("demux/{name}"));
        let mut live = bytes.clone();
        let mut patched = 0;
        for (id, at) in (0..bytes.len() - 12).filter_map(|at| Some((bytes.get(at..at + 4)?, at))) {
            if [[0x18, 0x53, 0x80, 0x67], [0x1f, 0x43, 0xb6, 0x75]].contains(&[id[0], id[1], id[2], id[3]]) {
                let length = bytes[at + 4].leading_zeros() as usize + 1;
                live[at + 4] = u8::try_from(0xff_u32 >> (length - 1)).unwrap();
                live[at + 5..at + 4 + length].fill(0xff);
                patched += 1;
            }
        }
        assert!(patched >= 2, "{name}");
        assert!(read(&live) == read(&bytes), "{name}");
    }
}

fn refused(bytes: Vec<u8>) -> String {
    opened(Box::new(bytes)).err().unwrap().to_string()
}

/// With the text in place of the first like it.
fn with(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|found| found == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn what_cannot_be_taken_is_named_with_its_track_and_a_remedy() {
    let webm = file("demux/vp9_opus.webm");
    let error = refused(with(&webm, b"A_OPUS", b"A_WAVE"));
    assert!(error.contains("track 2") && error.contains("A_WAVE") && error.contains("ffmpeg"), "{error}");
    let error = refused(webm[..webm.len() / 2].to_vec());
    assert!(error.contains("cut off"), "{error}");
    let error = refused(with(&webm, b"OpusHead", b"OpusTail"));
    assert!(error.contains("identification header"), "{error}");
    let error = refused(with(&webm, b"webm", b"film"));
    assert!(error.contains("DocType \"film\""), "{error}");
    // DefaultDuration of four bytes makes room for encodings of that length, which say that frames are encrypted.
    let place = [0x23, 0xe3, 0x83, 0x84];
    let at = webm.windows(4).position(|found| found == place).unwrap();
    let mut encrypted = webm.clone();
    encrypted[at..at + 8].copy_from_slice(&[0x6d, 0x80, 0x85, 0x62, 0x40, 0x82, 0x50, 0x35]);
    let error = refused(encrypted);
    assert!(!error.is_empty(), "{error}");
}

#[test]
fn files_of_several_containers_pack_in_one_call() {
    let inputs = ["mp4/video_360.mp4", "demux/vp9_opus.webm", "demux/hevc_eac3.mkv"].map(clip);
    let inputs = inputs.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
    let out = tempfile::tempdir().unwrap();
    let report = pack(&Job { inputs, ..job(Path::new(""), "widevine", "cenc") }, out.path()).unwrap();
    let codecs: Vec<_> = report.tracks.iter().map(|track| &track.codec[..4]).collect();
    assert_eq!(codecs, ["avc1", "vp09", "hvc1", "Opus", "ec-3"]);
    let store: Box<dyn Store> = Box::new(FileStore::new(out.path()));
    assert!(store.exists("manifest.mpd").unwrap());
}
