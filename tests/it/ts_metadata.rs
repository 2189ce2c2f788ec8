//! Everything that a transport stream carries beside video and audio stays as it is — ISO/IEC 13818-1; SCTE 35;
//! ID3 in PES packets; captions in SEI messages.

use std::fs;

use drm_pack::codec::byte_stream::nal_units;
use drm_pack::ts::{PACKET_BYTES, Packet, PesHeader};

use crate::support::media::root;
use crate::support::ts::{demux, packets, run};
use crate::support::ts_build::{AUDIO_PID, MAP_PID, Mux, Row, VIDEO_PID, adts, nal_unit, pat, pes, pmt};
use crate::ts::{assert_ffmpeg_agrees, check_ts};

const CLOCK_PID: u16 = 0x1f0;
const SPLICE_PID: u16 = 0x1f1;
const ID3_PID: u16 = 0x1f2;
const NULL_PID: u16 = 0x1fff;

/// metadata_pointer_descriptor and metadata_descriptor of ID3: §2.6.58, §2.6.60.
const ID3_POINTER: &[u8] = b"\x25\x0f\xff\xffID3 \xffID3 \0\x1f\0\x01";
const ID3_METADATA: &[u8] = b"\x26\x0d\xff\xffID3 \xffID3 \0\x0f";
/// registration_descriptor of splice information: SCTE 35 §8.1.
const CUEI: &[u8] = b"\x05\x04CUEI";

/// splice_null(), and a section that is longer than a packet: SCTE 35 §9.6.
fn splice(length: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(length - 3).unwrap().to_be_bytes();
    let mut section = vec![0xfc, 0x30 | high, low, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xf0, 0, 0, 0, 0];
    section.resize(length - 4, 0x55);
    section.extend(drm_pack::ts::crc_32(&section).to_be_bytes());
    section
}

/// A caption: SEI message of user_data_registered_itu_t_t35, ATSC A/53 part 4 §6.2.
fn captions() -> Vec<u8> {
    let mut unit = vec![0, 0, 0, 1, 6, 4, 71, 0xb5, 0, 0x31];
    unit.extend(b"GA94\x03\xd4\xff");
    unit.extend([0xfc, 0x94, 0x2c].repeat(20));
    unit.extend([0xff, 0x80]);
    unit
}

/// PCR at so many ticks of 90 kHz: flags, field.
fn clock(ticks: u64) -> Vec<u8> {
    let bytes = (ticks << 15 | 0x7e00 | 123).to_be_bytes();
    [&[0x10], &bytes[2..]].concat()
}

/// An adaptation field with everything: PCR, OPCR, splice_countdown, private data, extension with a piecewise_rate.
fn every_field(ticks: u64) -> Vec<u8> {
    let mut field = clock(ticks);
    field[0] = 0x1f;
    let clock = field[1..].to_vec();
    field.extend(clock);
    field.extend([0xfe]);
    field.extend([3, 0xca, 0xfe, 0]);
    field.extend([4, 0x5f, 0xc0, 0, 9]);
    field
}

/// The units of the clip's video and audio: `PID` and PES packet.
fn clip(name: &str) -> Vec<(u16, Vec<u8>)> {
    let clear = fs::read(root().join("fixtures/clip/hls-ts").join(name)).unwrap();
    let mut units: Vec<(u16, Vec<u8>)> = Vec::new();
    for bytes in packets(&clear) {
        let packet = Packet::parse(bytes).unwrap();
        let (pid, Some(payload)) = (packet.pid(), packet.payload()) else { continue };
        match units.iter_mut().rfind(|(of, _)| *of == pid) {
            Some((_, unit)) if !packet.payload_unit_start() => unit.extend(payload),
            _ if [VIDEO_PID, AUDIO_PID].contains(&pid) => units.push((pid, payload.to_vec())),
            _ => {}
        }
    }
    units
}

/// A picture's PES packet with captions behind its access unit delimiter.
fn captioned(unit: &[u8]) -> Vec<u8> {
    let data = 9 + usize::from(unit[8]);
    let second = nal_units(&unit[data..]).nth(1).unwrap().start - 3 + data;
    let mut out = [&unit[..second], &captions(), &unit[second..]].concat();
    out[4..6].fill(0);
    out
}

/// The segments of the clip with everything between their packets.
pub(crate) fn busy() -> Vec<(String, Vec<u8>)> {
    let mut mux = Mux::default();
    let names = ["0.ts", "1.ts", "2.ts"];
    let mut write = |name: &str| {
        busy_segment(&mut mux, name);
        (name.to_owned(), std::mem::take(&mut mux.bytes))
    };
    names.map(&mut write).into()
}

fn busy_segment(mux: &mut Mux, name: &str) {
    let rows: [Row<'_>; 4] = [
        (0x1b, VIDEO_PID, &[]),
        (0x0f, AUDIO_PID, &[]),
        (0x86, SPLICE_PID, &[]),
        (0x15, ID3_PID, ID3_METADATA),
    ];
    let map = pmt(CLOCK_PID, &[CUEI, ID3_POINTER].concat(), &rows);
    let services = fs::read(root().join("fixtures/clip/hls-ts").join(name)).unwrap();
    assert_eq!(Packet::parse(services.first_chunk().unwrap()).unwrap().pid(), 0x11);
    let services = &services[4..PACKET_BYTES];
    mux.packet(0x11, true, None, services);
    mux.section(0, &pat(&[(1, MAP_PID)]));
    mux.section(MAP_PID, &map);
    let tag = b"ID3\x04\0\0\0\0\0\x14TIT2\0\0\0\x0a\0\0\x03drm pack\0";
    let mut ticks = 0;
    for (index, (pid, unit)) in clip(name).into_iter().enumerate() {
        let header = PesHeader::parse(&unit).unwrap();
        ticks = (ticks + 1).max(header.dts.or(header.pts).unwrap());
        mux.packet(CLOCK_PID, false, Some(&clock(ticks)), &[]);
        let field = every_field(ticks);
        if pid == VIDEO_PID {
            mux.unit(pid, (index % 3 == 0).then_some(&field), &captioned(&unit));
            mux.packet(VIDEO_PID, false, Some(&field), &[]);
        } else {
            mux.unit(pid, (index % 2 == 0).then_some(&[0x40]), &unit);
        }
        match index % 8 {
            1 => mux.section(SPLICE_PID, &splice(20)),
            2 => mux.section(SPLICE_PID, &splice(300)),
            3 => mux.unit(ID3_PID, None, &timed(pes(0xbd, true, 0, tag), ticks)),
            4 => mux.packet(NULL_PID, false, None, &[0x5a; 184]),
            5 => {
                mux.section(0, &pat(&[(1, MAP_PID)]));
                mux.section(MAP_PID, &map);
            }
            6 => mux.packet(0x11, true, None, services),
            _ => {}
        }
    }
}

/// The PES packet with this PTS: §2.4.3.7.
fn timed(mut pes: Vec<u8>, ticks: u64) -> Vec<u8> {
    let [.., a, b, c, d] = ticks.to_be_bytes();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let [middle, last] = [high << 1 | low >> 15, low << 1].map(|bits| (bits | 1).to_be_bytes());
    pes[9] = 0x21 | u8::try_from(high >> 14 << 1).unwrap();
    pes[10..12].copy_from_slice(&middle);
    pes[12..14].copy_from_slice(&last);
    pes
}

#[test]
fn splice_information_id3_captions_clocks_and_null_packets_stay() {
    for (name, clear) in busy() {
        let protected = check_ts(&name, &clear);
        // Nothing grew beyond its packets here, so that every other packet is also where it was.
        assert_eq!(protected.len(), clear.len(), "{name}");
        for (before, after) in packets(&clear).zip(packets(&protected)) {
            let packet = Packet::parse(before).unwrap();
            assert_eq!(packet.pid(), Packet::parse(after).unwrap().pid(), "{name}");
            if ![VIDEO_PID, AUDIO_PID, MAP_PID].contains(&packet.pid()) || packet.payload().is_none() {
                assert!(before == after, "{name}: PID {:#x}", packet.pid());
            }
        }
        let captions = captions();
        let sent = |stream: &[u8]| -> usize {
            let has = |data: &[u8]| data.windows(captions.len()).filter(|part| *part == captions).count();
            demux(stream)[&VIDEO_PID].iter().map(|(_, data)| has(data)).sum()
        };
        let pictures = demux(&clear)[&VIDEO_PID].len();
        assert_eq!((sent(&clear), sent(&protected)), (pictures, pictures), "{name}: captions");
    }
}

#[test]
fn ffmpeg_says_nothing_new_of_a_busy_stream() {
    let text = fs::read_to_string(root().join("fixtures/clip/hls-ts/index.m3u8")).unwrap();
    assert_ffmpeg_agrees("a busy stream", &text, &busy(), "SAMPLE-AES");
}

/// What is media by its PES packets, and not by the map, would stay clear.
#[test]
fn media_that_the_map_does_not_name_is_refused() {
    let start = || {
        let rows: [(u8, u16, &[u8]); 2] = [(0x1b, VIDEO_PID, &[]), (0x06, ID3_PID, &[])];
        let mut mux = Mux::program(&pmt(VIDEO_PID, &[], &rows));
        mux.pes(VIDEO_PID, 0xe0, &nal_unit(5, 100));
        mux
    };
    let ac_3 = [&[0x0b, 0x77][..], &[1; 100]].concat();
    for (stream_id, data, refused) in [
        (0xe0, nal_unit(5, 100), true),
        (0xc0, adts(100, false), true),
        (0xfd, ac_3.clone(), true),
        (0xbd, ac_3, true),
        (0xbd, b"ID3\x04\0\0\0\0\0\0".to_vec(), false),
        (0xfc, vec![1; 40], false),
    ] {
        for pid in [ID3_PID, 0x345] {
            let mut mux = start();
            let unit = pes(stream_id, true, 0, &data);
            // A PES header that goes on in the next packet says as much.
            if pid == ID3_PID || stream_id == 0xbd {
                mux.unit(pid, None, &unit);
            } else {
                mux.packet(pid, true, None, &unit[..5]);
                mux.packet(pid, false, None, &unit[5..]);
            }
            match run(&mux.bytes, true) {
                Ok(_) => assert!(!refused, "stream_id {stream_id:#x} on PID {pid:#x}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        refused && error.contains("program map does not say so"),
                        "{stream_id:#x}: {error}"
                    );
                }
            }
        }
    }
}
