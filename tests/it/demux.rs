//! Files of other containers become CMAF by the road of MP4 files: the same media has the same samples, times, facts and
//! keys — RFC 9559, ISO/IEC 14496-12 §8.

use std::fs;
use std::path::{Path, PathBuf};

use drm_pack::base::env::Store;
use drm_pack::demux::opened;
use drm_pack::io::FileStore;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::{Sample, samples};
use drm_pack::isobmff::track::{tracks, trexes};
use drm_pack::job::Job;
use drm_pack::verify::{Reference, VerifyJob, verify};

use crate::matroska_forms::made;
use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::media::root;
use crate::support::pack::{demuxed_files, job, pack, pack_without_keys};
use crate::support::ts_build::{AUDIO_PID, MAP_PID, Mux, VIDEO_PID, av_map, pat, pmt};

/// A file and the MP4 files that have its tracks.
const SAME: [(&str, [&str; 2]); 7] = [
    ("hevc_eac3.ts", ["codecs/hevc.mp4", "codecs/eac3.mp4"]),
    ("avc_ac3.ts", ["codecs/avc_interlaced.mp4", "codecs/ac3.mp4"]),
    ("avc_aac.ts", ["mp4/video_180.mp4", "mp4/audio.m4a"]),
    ("vp9_opus.webm", ["codecs/vp9.mp4", "codecs/opus.mp4"]),
    ("av1_ac3.mkv", ["codecs/av1.mp4", "codecs/ac3.mp4"]),
    ("hevc_eac3.mkv", ["codecs/hevc.mp4", "codecs/eac3.mp4"]),
    ("avc_aac.mkv", ["mp4/video_180.mp4", "mp4/audio.m4a"]),
];

pub(crate) fn clip(name: &str) -> PathBuf {
    root().join("fixtures/clip").join(name)
}

/// A sample with its bytes.
pub(crate) type Whole = (Sample, Vec<u8>);

/// The samples of each track, and its ticks per second.
pub(crate) fn read(bytes: &[u8]) -> Vec<(u32, Vec<Whole>)> {
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

/// The NAL units of a sample without delimiters and parameter sets, which muxers of transport streams put in.
fn units(sample: &[u8], name: &str) -> Vec<u8> {
    let (is_hevc, mut rest, mut out) = (name.contains("hevc"), sample, Vec::new());
    if !["hevc", "avc", "video"].iter().any(|video| name.contains(video)) {
        return sample.to_vec();
    }
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (unit, later) = behind.split_at(u32::from_be_bytes(*length) as usize);
        let kind = if is_hevc { unit[0] >> 1 & 63 } else { unit[0] & 31 };
        if !(if is_hevc { 32..=35 } else { 7..=9 }).contains(&kind) {
            out.extend(unit);
        }
        rest = later;
    }
    out
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
                let bytes = if name.ends_with(".ts") { units(bytes, original) } else { bytes.clone() };
                let were = &if name.ends_with(".ts") { units(were, original) } else { were.clone() };
                assert!(&bytes == were, "{name} {original}: sample {number} of {} bytes", bytes.len());
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
    for (name, originals) in SAME.iter().filter(|(name, _)| !name.contains("aac")) {
        let ours = facts(vec![clip("demux").join(name)]);
        assert_eq!(ours, facts(originals.map(clip).to_vec()), "{name}");
    }
}

#[test]
fn what_is_packed_verifies_against_the_file() {
    for path in demuxed_files() {
        let out = tempfile::tempdir().unwrap();
        pack(&job(&path, "widevine", "cenc"), out.path()).unwrap();
        let (clear, name) = FileStore::of_file(path.to_str().unwrap()).unwrap();

        let keys = drm_pack::keys::DevKeys::new(crate::support::pack::SEED);
        let job = VerifyJob {
            store: &FileStore::new(out.path()),
            names: vec!["master.m3u8".into(), "manifest.mpd".into()],
            key_store: Some(&keys),
            against: Some(Reference { store: &clear, names: vec![name] }),
            clear_tracks: &[],
            beside: &[],
        };
        let found = verify(&job).unwrap();
        let errors: Vec<_> = found.findings.listed().iter().map(|finding| finding.rule).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

/// As live encoders write them, which do not know how long anything will be.
#[test]
fn segments_and_clusters_may_be_of_unknown_size() {
    for (name, _) in SAME.iter().filter(|(name, _)| !name.ends_with(".ts")) {
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

pub(crate) fn refused(bytes: Vec<u8>) -> String {
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
    let inputs = ["mp4/video_360.mp4", "demux/vp9_opus.webm", "demux/hevc_eac3.ts"].map(clip);
    let inputs = inputs.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
    let out = tempfile::tempdir().unwrap();
    let report = pack(&Job { inputs, ..job(Path::new(""), "widevine", "cenc") }, out.path()).unwrap();
    let codecs: Vec<_> = report.tracks.iter().map(|track| &track.codec[..4]).collect();
    assert_eq!(codecs, ["avc1", "vp09", "hvc1", "Opus", "ec-3"]);
    let store: Box<dyn Store> = Box::new(FileStore::new(out.path()));
    assert!(store.exists("manifest.mpd").unwrap());
}

/// Every time stamp of a transport stream changed.
pub(crate) fn stamped(stream: &[u8], change: &dyn Fn(usize, u64) -> u64) -> Vec<u8> {
    let mut out = stream.to_vec();
    for (number, packet) in out.chunks_mut(188).enumerate() {
        let field = if packet[3] & 0x20 != 0 { usize::from(packet[4]) + 1 } else { 0 };
        let start = 4 + field;
        if packet[1] & 0x40 == 0 || !packet[start..].starts_with(&[0, 0, 1]) || packet[start + 7] & 0x80 == 0
        {
            continue;
        }
        let stamps = if packet[start + 7] & 0x40 == 0 { 1 } else { 2 };
        for field in packet[start + 9..].chunks_mut(5).take(stamps) {
            let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|at| u64::from(field[at]));
            let stamp = (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1;
            let stamp = change(number, stamp) & ((1 << 33) - 1);
            let byte = |value: u64| u8::try_from(value & 0xff).unwrap();
            field[0] = field[0] & 0xf0 | byte(stamp >> 29 & 0x0e) | 1;
            field[1..].copy_from_slice(&[
                byte(stamp >> 22),
                byte(stamp >> 14 | 1),
                byte(stamp >> 7),
                byte(stamp << 1 | 1),
            ]);
        }
    }
    out
}

#[test]
fn time_stamps_wrap_and_packets_may_have_times_or_stand_twice() {
    for name in ["hevc_eac3.ts", "avc_ac3.ts", "avc_aac.ts"] {
        let stream = file(&format!("demux/{name}"));
        let expected = read(&stream);
        assert_eq!(stamped(&stream, &|_, stamp| stamp), stream, "{name}");
        for begin in [(1 << 33) - 150_000, (1 << 33) - 126_000, (1 << 33) - 180_000] {
            let wrapped = stamped(&stream, &|_, stamp| stamp + begin);
            let found = read(&wrapped);
            let same = found.iter().zip(&expected).all(|((_, found), (_, expected))| {
                let lasts =
                    |all: &[Whole]| all.last().unwrap().0.composition_time() - all[0].0.composition_time();
                found.len() == expected.len() && (lasts(found) - lasts(expected)).abs() < 2
            });
            assert!(same, "{name} from {begin}");
        }
        let timed: Vec<u8> = stream.chunks(188).flat_map(|packet| [&[0, 0, 0, 7], packet].concat()).collect();
        assert!(read(&timed) == expected, "{name}");
        let twice = stream.chunks(188).flat_map(|packet| {
            let is_media = packet[3] & 0x10 != 0 && packet[1] & 0x40 == 0 && packet[1] & 0x1f == 1;
            if is_media { [packet, packet].concat() } else { packet.to_vec() }
        });
        let found = read(&twice.collect::<Vec<u8>>());
        let bytes = |all: &[(u32, Vec<Whole>)]| -> Vec<Vec<u8>> {
            all.iter().flat_map(|(_, whole)| whole.iter().map(|(_, bytes)| bytes.clone())).collect()
        };
        assert!(bytes(&found) == bytes(&expected), "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_stream_is_named_with_a_remedy() {
    let stream = file("demux/avc_aac.ts");
    let packets: Vec<&[u8]> = stream.chunks(188).collect();
    let middle = |packet: &&[u8]| packet[1] == 1 && packet[2] == 0 && packet[3] & 0x30 == 0x10;
    let at = packets.iter().position(middle).unwrap();
    let error = refused([&packets[..at], &packets[at + 1..]].concat().concat());
    assert!(error.contains("packets are missing") && error.contains("ffmpeg"), "{error}");
    let half = packets.len() / 2;
    let jumped = stamped(&stream, &|number, stamp| if number > half { stamp + 90_000_000 } else { stamp });
    let error = refused(jumped);
    assert!(error.contains("the clock was set anew") && error.contains("give the parts"), "{error}");
    let mut programs = Mux::default();
    programs.section(0, &pat(&[(1, MAP_PID), (2, MAP_PID + 1)]));
    programs.section(MAP_PID, &av_map());
    let error = refused(programs.bytes);
    assert!(error.contains("2 programs (1, 2)") && error.contains("-map '0:p:1:a?'"), "{error}");
    for (stream_type, says) in [
        (0x02, "MPEG-2 video"),
        (0xdb, "encrypted already"),
        (0x1c, "AAC without framing"),
        (0x82, "DTS"),
        (0x88, "DTS-UHD"),
        (0x83, "TrueHD"),
    ] {
        let mut mux = Mux::program(&pmt(VIDEO_PID, &[], &[(stream_type, VIDEO_PID, &[])]));
        mux.pes(VIDEO_PID, 0xe0, &[0; 300]);
        let error = refused(mux.bytes);
        assert!(error.contains(says), "{error}");
    }
    let mut hidden = Mux::program(&pmt(VIDEO_PID, &[], &[(0x1b, VIDEO_PID, &[]), (0x06, AUDIO_PID, &[])]));
    hidden.pes(AUDIO_PID, 0xc0, &[7; 300]);
    let error = refused(hidden.bytes);
    assert!(error.contains("audio or video"), "{error}");
}

#[test]
fn what_is_neither_video_nor_audio_is_left_out_by_name() {
    let stream = file("demux/avc_aac.ts");
    let (_, old) = stream.chunks(188).enumerate().find(|(_, packet)| packet[1] & 0x1f == 0x10).unwrap();
    let pid = u16::from_be_bytes([old[1] & 0x1f, old[2]]);
    let map = pmt(
        VIDEO_PID,
        &[],
        &[
            (0x1b, 0x100, &[]),
            (0x0f, 0x101, &[]),
            (0x86, 0x102, &[]),
            (0x06, 0x103, &[0x56, 0]),
            (0x06, 0x104, &[0x59, 0]),
            (0x06, 0x105, &[]),
        ],
    );
    let mut maps = Mux::default();
    maps.section(pid, &map);
    // The first map of the file is replaced, and those behind it say the same.
    let packets = stream.chunks(188).map(|packet| {
        let is_map = packet[1] & 0x1f == 0x10 && packet[2] == old[2];
        if is_map { maps.bytes.clone() } else { packet.to_vec() }
    });
    let demuxed = opened(Box::new(packets.collect::<Vec<_>>().concat())).unwrap();
    let said = demuxed.left_out.join("; ");
    for name in ["SCTE 35", "teletext", "DVB subtitles", "private data"] {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn aac_in_latm_is_that_of_adts_and_channels_may_be_told_by_an_element() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    made(&path("raw.mp4"), &["-c:v", "libx264", "-c:a", "aac", "-ac", "2"]);
    for (name, flags, map) in [("adts.ts", "0", "0"), ("latm.ts", "latm", "0"), ("alone.ts", "latm", "0:a")] {
        let output = ffmpeg()
            .arg("-i")
            .arg(path("raw.mp4"))
            .args(["-map", map, "-c", "copy", "-mpegts_flags", flags])
            .arg(path(name))
            .output()
            .unwrap();
        assert!(output.status.success());
    }
    let audio = |name: &str| -> Vec<Vec<u8>> {
        let all = read(&fs::read(path(name)).unwrap()).swap_remove(1);
        all.1.into_iter().map(|(_, bytes)| bytes).collect()
    };
    assert!(audio("latm.ts") == audio("adts.ts"));
    // Without the PES packet that says how frames are read, those behind the next that says it keep their times.
    let stream = fs::read(path("alone.ts")).unwrap();
    let packets: Vec<&[u8]> = stream.chunks(188).collect();
    let starts = packets.iter().enumerate().filter(|(_, packet)| packet[1..3] == [0x41, 0]);
    let starts: Vec<usize> = starts.map(|(number, _)| number).collect();
    let cut = [&packets[..starts[0]], &packets[starts[1]..]].concat().concat();
    let clock = |bytes: &[u8]| opened(Box::new(bytes.to_vec())).unwrap().clock.unwrap();
    let lost = read(&stream)[0].1.len() - read(&cut)[0].1.len();
    assert_eq!(clock(&cut) - clock(&stream), i64::try_from(lost).unwrap() * 1920);
    let arguments = ["-c:v", "libx264", "-c:a", "aac", "-ac", "3", "-channel_layout", "2.1"];
    made(&path("element.ts"), &arguments);
    for (name, channels) in [("latm.ts", 2), ("element.ts", 3)] {
        let out = folder.path().join(format!("out_{name}"));
        pack(&job(&path(name), "widevine", "cenc"), &out).unwrap();
        let playlist = fs::read_to_string(out.join("master.m3u8")).unwrap();
        assert!(playlist.contains(&format!("CHANNELS=\"{channels}\"")), "{name}: {playlist}");
        let output = ffmpeg().arg("-i").arg(out.join("a1/init.mp4")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(if channels == 3 { "2.1" } else { "stereo" }), "{name}: {said}");
    }
}

#[test]
fn recordings_may_begin_and_end_inside_a_packet_and_have_parity_behind_each() {
    let stream = file("demux/avc_aac.ts");
    let expected = read(&stream);
    let left_out = |bytes: &[u8]| opened(Box::new(bytes.to_vec())).unwrap().left_out.join("; ");
    assert!(!left_out(&stream).contains("packet"), "{}", left_out(&stream));
    let parity: Vec<u8> = stream.chunks(188).flat_map(|packet| [packet, &[0; 16]].concat()).collect();
    assert!(read(&parity) == expected && left_out(&parity).is_empty());
    let junk = [&[7; 77][..], &stream].concat();
    assert!(read(&junk) == expected && left_out(&junk).contains("77 bytes before the first packet"));
    let more = [&stream[..], &stream[..99]].concat();
    assert!(read(&more) == expected && left_out(&more).contains("99 bytes behind the last packet"));
    let timed: Vec<u8> = stream.chunks(188).flat_map(|packet| [&[0, 0, 0, 7], packet].concat()).collect();
    let cut = [&timed[..], &timed[..100]].concat();
    assert!(read(&cut) == expected && left_out(&cut).contains("100 bytes behind"), "{}", left_out(&cut));
    let begun = [&parity[100..204], &parity[..]].concat();
    assert!(read(&begun) == expected && left_out(&begun).contains("104 bytes before"));
}
