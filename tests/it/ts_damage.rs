//! Packets of transport streams that are lost, sent twice or laid out in another way, and what is read of a stream how often
//! — ISO/IEC 13818-1 §2.4.3.3, §2.4.3.7, ETSI TS 102 366 annex F.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drm_pack::base::Result;
use drm_pack::base::env::{Sink, Source, Store};
use drm_pack::demux::{DemuxStore, Demuxed, opened};
use drm_pack::job::{Job, plan};
use drm_pack::keys::SpekeVersion;

use crate::demux::{clip, read, refused, stamped};
use crate::support::pack::{job, open_input};
use crate::support::ts_build::{AUDIO_PID, MAP_PID, Mux, Row, VIDEO_PID, pmt};

const NAMES: [&str; 3] = ["hevc_eac3.ts", "avc_ac3.ts", "avc_aac.ts"];

fn file(name: &str) -> Vec<u8> {
    fs::read(clip("demux").join(name)).unwrap()
}

fn open(stream: &[u8]) -> Demuxed {
    opened(Box::new(stream.to_vec())).unwrap()
}

/// The MP4 file that a stream is read as.
fn whole(stream: &[u8]) -> Vec<u8> {
    let source = open(stream).source;
    let mut bytes = vec![0; usize::try_from(source.len()).unwrap()];
    source.read_at(0, &mut bytes).unwrap();
    bytes
}

fn packets(stream: &[u8]) -> Vec<Vec<u8>> {
    stream.chunks(188).map(<[u8]>::to_vec).collect()
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// Where the payload begins; 188 without one.
fn payload(packet: &[u8]) -> usize {
    let field = if packet[3] & 0x20 == 0 { 0 } else { usize::from(packet[4]) + 1 };
    if packet[3] & 0x10 == 0 { 188 } else { 4 + field }
}

/// Whether a PES packet begins in it.
fn begins(packet: &[u8]) -> bool {
    packet[1] & 0x40 != 0 && packet[payload(packet)..].starts_with(&[0, 0, 1])
}

/// The numbers of the packets of each PES packet of a stream.
fn pes_packets(packets: &[Vec<u8>], of: u16) -> Vec<Vec<usize>> {
    let mut found: Vec<Vec<usize>> = Vec::new();
    for (number, packet) in packets.iter().enumerate() {
        if pid(packet) == of && payload(packet) < 188 {
            if begins(packet) {
                found.push(Vec::new());
            }
            found.last_mut().unwrap().push(number);
        }
    }
    found
}

fn without(packets: &[Vec<u8>], dropped: &[usize]) -> Vec<u8> {
    let kept = packets.iter().enumerate().filter(|(number, _)| !dropped.contains(number));
    kept.flat_map(|(_, packet)| packet.clone()).collect()
}

/// Each PES header alone in its packet.
fn headers_alone(stream: &[u8]) -> Vec<u8> {
    let mut added: BTreeMap<u16, u8> = BTreeMap::new();
    let mut out = Vec::new();
    for mut packet in packets(stream) {
        let at = payload(&packet);
        if at == 188 {
            out.extend(packet);
            continue;
        }
        let more = added.entry(pid(&packet)).or_default();
        packet[3] = packet[3] & 0xf0 | (packet[3] + *more) & 0x0f;
        if !begins(&packet) {
            out.extend(packet);
            continue;
        }
        let (header, rest) = packet[at..].split_at(9 + usize::from(packet[at + 8]));
        let mut put = |start: u8, counter: u8, field: &[u8], data: &[u8]| {
            let length = 183 - data.len();
            let head = [0x47, packet[1] & 0xbf | start, packet[2], 0x30 | counter & 0x0f];
            let stuffing = vec![0xff; length - field.len()];
            out.extend([&head[..], &[u8::try_from(length).unwrap()], field, &stuffing, data].concat());
        };
        let field = if packet[3] & 0x20 == 0 { &[0] } else { &packet[5..at] };
        put(0x40, packet[3], field, header);
        put(0, packet[3] + 1, &[0], rest);
        *more += 1;
    }
    out
}

#[test]
fn a_pes_header_may_fill_its_packet() {
    for name in NAMES {
        let stream = file(name);
        let split = headers_alone(&stream);
        assert!(split.len() > stream.len() + 188 * 14, "{name}");
        assert!(whole(&split) == whole(&stream), "{name}");
    }
}

/// The first PES packets of a stream without time stamps.
fn untimed(stream: &[u8], of: u16, count: usize) -> Vec<u8> {
    let mut packets = packets(stream);
    for first in pes_packets(&packets, of).iter().take(count).map(|numbers| numbers[0]) {
        let at = payload(&packets[first]);
        packets[first][at + 7] &= 0x3f;
    }
    packets.concat()
}

#[test]
fn frames_before_the_first_time_stamp_are_presented_before_it() {
    for name in NAMES {
        let stream = file(name);
        for count in 1..=2 {
            assert!(whole(&untimed(&stream, AUDIO_PID, count)) == whole(&stream), "{name} {count}");
        }
        for of in [AUDIO_PID, VIDEO_PID] {
            let error = refused(untimed(&stream, of, usize::MAX));
            assert!(error.contains("without a time stamp") && error.contains("genpts"), "{name}: {error}");
        }
    }
}

#[test]
fn a_packet_sent_twice_is_one_and_another_with_its_counter_is_damage() {
    for name in NAMES {
        let stream = file(name);
        let mut clocks = 0;
        let twice = packets(&stream).into_iter().flat_map(|packet| {
            let mut again = packet.clone();
            // The clock is that of the moment in which it is sent.
            if packet[3] & 0x20 != 0 && packet[4] > 6 && packet[5] & 0x10 != 0 {
                again[9] ^= 0x55;
                clocks += 1;
            }
            let is_media = payload(&packet) < 188 && [VIDEO_PID, AUDIO_PID].contains(&pid(&packet));
            if is_media { [packet, again].concat() } else { packet }
        });
        let twice: Vec<u8> = twice.collect();
        assert!(clocks > 2, "{name}");
        assert!(whole(&twice) == whole(&stream), "{name}");
        let mut packets = packets(&stream);
        let at = pes_packets(&packets, VIDEO_PID).into_iter().find(|numbers| numbers.len() > 3).unwrap()[1];
        let mut other = packets[at].clone();
        other[187] ^= 1;
        packets.insert(at + 1, other);
        let error = refused(packets.concat());
        assert!(error.contains("packets are missing"), "{name}: {error}");
    }
}

#[test]
fn packets_that_are_missing_are_refused_or_said() {
    for name in NAMES {
        let packets = packets(&file(name));
        let said = |dropped: &[usize]| open(&without(&packets, dropped)).left_out.join("; ");
        assert_eq!(said(&[]), "", "{name}");
        let audio = pes_packets(&packets, AUDIO_PID);
        let long = audio.iter().skip(1).find(|numbers| numbers.len() > 2).unwrap();
        let error = refused(without(&packets, &long[long.len() - 1..]));
        assert!(
            error.contains("PES_packet_length: packets are missing") && error.contains("ffmpeg"),
            "{error}"
        );
        let video = pes_packets(&packets, VIDEO_PID);
        for (of, all) in [(AUDIO_PID, &audio), (VIDEO_PID, &video)] {
            let lost = said(&all[1]);
            assert!(lost.contains(&format!("PID {of:#x}: continuity_counter jumps")), "{name}: {lost}");
            assert!(lost.contains("once at byte") && lost.contains("packets or more were lost"), "{lost}");
        }
        let twice = said(&[video[2].as_slice(), &video[4]].concat());
        assert!(twice.contains("2 times, first at byte"), "{name}: {twice}");
        // A recording that was stopped.
        let last = audio.iter().rfind(|numbers| numbers.len() > 2).unwrap();
        let behind: Vec<usize> = (last[last.len() - 1]..packets.len()).collect();
        let cut = said(&behind);
        assert!(cut.contains("the file ends inside a PES packet"), "{name}: {cut}");
    }
}

/// A syncframe of Enhanced AC-3 at 48 kHz in stereo: strmtyp, substreamid, blocks, length.
fn syncframe(strmtyp: u8, substreamid: u8, blocks: u8, bytes: usize, fill: u8) -> Vec<u8> {
    let [high, low] = u16::try_from(bytes / 2 - 1).unwrap().to_be_bytes();
    let numblkscod = [1, 2, 3, 6].iter().position(|known| *known == blocks).unwrap();
    let codes = u8::try_from(numblkscod).unwrap() << 4 | 2 << 1;
    let mut frame = vec![0x0b, 0x77, strmtyp << 6 | substreamid << 3 | high, low, codes, 16 << 3, 0, 0];
    frame.resize(bytes, fill);
    frame
}

/// A PES packet of audio with this time stamp.
fn pes_at(time: u64, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap().to_be_bytes();
    let part = |shift: u32, marked: u64| u8::try_from(time >> shift << marked & 0xff | marked).unwrap();
    let stamp = [0x21 | part(29, 0) & 0x0e, part(22, 0), part(14, 0) | 1, part(7, 0), part(0, 1)];
    [&[0, 0, 1, 0xbd], &length[..], &[0x80, 0x80, 5], &stamp, data].concat()
}

#[test]
fn six_blocks_of_enhanced_ac_3_are_a_sample_in_however_many_syncframes() {
    const UNITS: usize = 12;
    for (blocks, with_dependent) in [(1, false), (2, false), (3, false), (6, false), (1, true), (3, true)] {
        let frames: Vec<Vec<u8>> = (0..UNITS * 6 / usize::from(blocks))
            .map(|number| {
                let fill = u8::try_from(number).unwrap();
                let dependent = if with_dependent { syncframe(1, 0, blocks, 64, fill) } else { Vec::new() };
                [syncframe(0, 0, blocks, 128, fill), dependent].concat()
            })
            .collect();
        let units: Vec<Vec<u8>> = frames.chunks(6 / usize::from(blocks)).map(<[Vec<u8>]>::concat).collect();
        for together in [1, 4, 5, 6] {
            let mut mux = Mux::program(&pmt(AUDIO_PID, &[], &[(0x87, AUDIO_PID, &[])]));
            for (number, some) in frames.chunks(together).enumerate() {
                let before = u64::try_from(number * together).unwrap() * u64::from(blocks);
                mux.unit(AUDIO_PID, None, &pes_at(126_000 + before * 480, &some.concat()));
            }
            let what = format!("{blocks} blocks, {together} together");
            let (timescale, samples) = read(&mux.bytes).remove(0);
            assert_eq!((timescale, samples.len()), (48_000, UNITS), "{what}");
            for ((number, (sample, bytes)), unit) in samples.iter().enumerate().zip(&units) {
                assert_eq!((sample.decode_time, sample.duration), (number as u64 * 1536, 1536), "{what}");
                assert!(bytes == unit, "{what}: {number}");
            }
            let file = whole(&mux.bytes);
            let at = file.windows(4).position(|kind| kind == b"dec3").unwrap() + 4;
            let rate = u32::from(u16::from_be_bytes([file[at], file[at + 1]]) >> 3);
            let bytes = if with_dependent { 192 } else { 128 };
            let expected = bytes * 8 * 48_000 / (u32::from(blocks) * 256) / 1000;
            assert!(rate.abs_diff(expected) < 2, "{what}: {rate} kbit/s");
            assert_eq!((file[at + 1] & 7, file[at + 4] >> 1 & 15), (0, with_dependent.into()), "{what}");
        }
    }
}

/// A stream with another program map.
fn with_map(stream: &[u8], program_info: &[u8], more: Row<'_>) -> Vec<u8> {
    let mut mux = Mux::default();
    mux.section(
        MAP_PID,
        &pmt(VIDEO_PID, program_info, &[(0x1b, VIDEO_PID, &[]), (0x0f, AUDIO_PID, &[]), more]),
    );
    let all = packets(stream).into_iter();
    all.flat_map(|packet| if pid(&packet) == MAP_PID { mux.bytes.clone() } else { packet }).collect()
}

#[test]
fn audio_is_told_from_data_by_descriptors_and_by_the_program() {
    let stream = file("avc_aac.ts");
    for (stream_type, info) in [
        (0x06, &b"\x7b\x05\0\0\0\0\0"[..]),
        (0x06, b"\x7c\x01\x50"),
        (0x06, b"\x7f\x02\x0e\0"),
        (0x06, b"\x7f\x02\x15\0"),
        (0x06, b"\x7f\x02\x21\0"),
        (0x06, b"\x7f\x02\x80\x02"),
        // Behind another registration.
        (0x06, b"\x05\x04KLVA\x7b\x05\0\0\0\0\0"),
        (0x06, b"\x05\x04DTS2"),
    ] {
        let error = refused(with_map(&stream, &[], (stream_type, 0x102, info)));
        assert!(error.contains("as private data") && error.contains("0x102"), "{info:x?}: {error}");
    }
    let hdmv = b"\x05\x04HDMV";
    for stream_type in [0x80, 0x82, 0x83, 0x84, 0x85, 0x86, 0xa1, 0xa2] {
        let error = refused(with_map(&stream, hdmv, (stream_type, 0x102, &[])));
        assert!(error.contains("Blu-ray") && error.contains("ffmpeg"), "{stream_type:#x}: {error}");
    }
    for (program_info, row) in [
        (&b"\x05\x04CUEI"[..], (0x86, 0x102, &[][..])),
        (&[], (0x06, 0x102, b"\x7f\x02\x20\0")),
        (hdmv, (0x90, 0x102, &[])),
    ] {
        let left_out = open(&with_map(&stream, program_info, row)).left_out.join("; ");
        assert!(left_out.contains("neither video nor audio"), "{left_out}");
    }
    // Without a registration its PES packets say it.
    let mut hidden = with_map(&stream, &[], (0x86, 0x102, &[]));
    let mut mux = Mux::default();
    mux.unit(0x102, None, &[&[0, 0, 1, 0xfd, 0, 0, 0x80, 0, 0][..], &[7; 300]].concat());
    hidden.extend(mux.bytes);
    let error = refused(hidden);
    assert!(error.contains("audio or video") && error.contains("0x102"), "{error}");
}

#[test]
fn streams_that_begin_at_other_times_of_their_clocks_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let stream = file("avc_aac.ts");
    let warned = |moved: u64| {
        let inputs = [("one.ts", 0), ("two.ts", moved)].map(|(name, moved)| {
            let path = folder.path().join(name);
            // Not the same file twice.
            let mut all = packets(&stream);
            let last = *pes_packets(&all, VIDEO_PID).last().unwrap().last().unwrap();
            all[last][187] ^= u8::from(name == "two.ts");
            let other = all.concat();
            fs::write(&path, stamped(&other, &|_, stamp| stamp + moved)).unwrap();
            path.to_str().unwrap().to_owned()
        });
        let job = Job { inputs: inputs.to_vec(), ..job(Path::new(""), "widevine", "cenc") };
        let warnings = plan(&job, &open_input, SpekeVersion::V2_0, None).unwrap().warnings;
        warnings.into_iter().find(|warning| warning.contains("of its clock"))
    };
    assert_eq!(warned(0), None);
    assert_eq!(warned(1500), None);
    let late = warned(135_000).unwrap();
    assert!(late.contains("one.ts begins at") && late.contains("-copyts"), "{late}");
    assert!(warned((1 << 33) - 135_000).is_some());
    assert_eq!(warned((1 << 33) - 900), None);
}

/// A file that counts what is read of it.
struct Counted(Vec<u8>, Arc<AtomicU64>);

impl Source for Counted {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Source::read_at(&self.0, position, buffer)
    }
}

/// A place with one file.
struct Place(Vec<u8>, Arc<AtomicU64>);

impl Store for Place {
    fn open(&self, _: &str) -> Result<Box<dyn Source>> {
        Ok(Box::new(Counted(self.0.clone(), Arc::clone(&self.1))))
    }

    fn exists(&self, _: &str) -> Result<bool> {
        Ok(true)
    }

    fn create(&self, _: &str) -> Result<Box<dyn Sink>> {
        unreachable!("nothing is written")
    }
}

#[test]
fn a_file_is_gone_through_once_and_each_track_is_read_once() {
    let stream = file("avc_aac.ts");
    let parts = (0..20).map(|number| stamped(&stream, &|_, stamp| stamp + number * 270_000));
    let long: Vec<u8> = parts.collect::<Vec<_>>().concat();
    let (length, read) = (long.len() as u64, Arc::new(AtomicU64::new(0)));
    let (place, names) = (Place(long, Arc::clone(&read)), ["a.ts".to_owned()]);
    let store = DemuxStore::new(&place, &names);
    let all = (0..3).map(|_| store.open("a.ts").unwrap()).collect::<Vec<_>>();
    let once = read.load(Ordering::Relaxed);
    assert!(once < 2 * length, "{once} bytes of {length} to find the samples");
    // The samples of both tracks, one by one.
    let file = &all[2];
    let mut at = 36;
    let end = file.len() - 200_000.min(file.len() / 4);
    while at < end {
        file.read_at(at, &mut [0; 300]).unwrap();
        at += 300;
    }
    let media = read.load(Ordering::Relaxed) - once;
    assert!(media < 3 * length, "{media} bytes of {length} for two tracks");
}
