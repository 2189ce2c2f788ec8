//! Program tables of transport streams in every shape — ISO/IEC 13818-1 §2.4.4; Apple, MPEG-2 Stream Encryption Format
//! for HTTP Live Streaming §3.

use drm_pack::ts::{NULL_PID, Packet, Pmt};

use crate::support::ts::{demux, packets, refusal, run};
use crate::support::ts_build::{
    AUDIO_PID, MAP_PID, Mux, Row, VIDEO_PID, adts, av_map, filled, nal_unit, pat, pes, pmt, pmt_of,
};
use crate::ts::check_ts;

/// A picture and a PES packet of sound.
fn media(mux: &mut Mux) {
    mux.unit(VIDEO_PID, Some(&[0x10, 0, 0, 0, 1, 0x7e, 3]), &pes(0xe0, true, 0, &nal_unit(5, 900)));
    mux.pes(AUDIO_PID, 0xc0, &adts(300, false).repeat(2));
}

/// The sections that a reader of this `PID` finds.
fn sections(stream: &[u8], pid: u16) -> Vec<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut found = Vec::new();
    for packet in packets(stream).map(|bytes| Packet::parse(bytes).unwrap()) {
        let (true, Some(payload)) = (packet.pid() == pid, packet.payload()) else { continue };
        let payload = if packet.payload_unit_start() {
            let (tail, rest) = payload[1..].split_at(usize::from(payload[0]));
            bytes.extend(tail);
            take(&mut bytes, &mut found);
            assert!(bytes.is_empty(), "a section begins before the last ends");
            rest
        } else {
            assert!(!bytes.is_empty(), "a section begins in a packet that does not say so");
            payload
        };
        bytes.extend(payload);
        take(&mut bytes, &mut found);
    }
    assert!(bytes.is_empty());
    found
}

/// Takes whole sections from the front.
fn take(bytes: &mut Vec<u8>, found: &mut Vec<Vec<u8>>) {
    while let [table_id, high, low, ..] = bytes[..]
        && table_id != 0xff
    {
        let length = 3 + (usize::from(high & 15) << 8 | usize::from(low));
        if bytes.len() < length {
            return;
        }
        found.push(bytes.drain(..length).collect());
    }
    if bytes.first() == Some(&0xff) {
        assert!(bytes.iter().all(|byte| *byte == 0xff), "stuffing goes on to the packet's end");
        bytes.clear();
    }
}

/// stream_type of every stream of every map.
fn types(stream: &[u8]) -> Vec<Vec<u8>> {
    let maps = sections(stream, MAP_PID).into_iter().filter(|section| section[0] == 2);
    maps.map(|map| Pmt::parse(&map).unwrap().streams.iter().map(|s| s.stream_type).collect()).collect()
}

fn private(length: usize) -> Vec<u8> {
    let mut section = vec![0x80, 0x30, u8::try_from(length - 3).unwrap()];
    section.resize(length, 0x11);
    section
}

/// Streams with one map, in the packets that `write` makes.
fn shaped(write: impl Fn(&mut Mux, &[u8])) -> Vec<u8> {
    let mut mux = Mux::default();
    mux.section(0, &pat(&[(1, MAP_PID)]));
    write(&mut mux, &av_map());
    media(&mut mux);
    mux.section(MAP_PID, &av_map());
    media(&mut mux);
    mux.bytes
}

#[test]
fn maps_are_rewritten_wherever_they_lie_in_packets() {
    let halves = |mux: &mut Mux, map: &[u8]| {
        mux.packet(MAP_PID, true, None, &[&[0], &map[..9]].concat());
        mux.packet(NULL_PID, false, None, &[0; 184]);
        mux.packet(MAP_PID, false, None, &map[9..]);
    };
    let behind_a_tail = |mux: &mut Mux, map: &[u8]| {
        let other = private(200);
        mux.packet(MAP_PID, true, None, &[&[0], &other[..183]].concat());
        mux.packet(MAP_PID, true, None, &filled(&[&[17], &other[183..], map].concat()));
    };
    let several =
        |mux: &mut Mux, map: &[u8]| mux.section(MAP_PID, &[&private(20), map, &private(30)].concat());
    let twice = |mux: &mut Mux, map: &[u8]| mux.section(MAP_PID, &[map, map].concat());
    for (name, clear) in [
        ("halves", shaped(halves)),
        ("several", shaped(several)),
        ("twice", shaped(twice)),
        ("repeated", shaped(|mux, map| (0..40).for_each(|_| mux.section(MAP_PID, map)))),
    ] {
        let protected = check_ts(name, &clear);
        assert!(types(&protected).iter().all(|types| types == &[0xdb, 0xcf]), "{name}");
        let decrypted = run(&protected, false).unwrap();
        let mut expected = sections(&clear, MAP_PID);
        let mut found = sections(&decrypted, MAP_PID);
        // A packet that a map no longer needs says it again.
        expected.dedup();
        found.dedup();
        assert_eq!(found, expected, "{name}");
        let whole = |map: &Pmt| map.to_bytes().unwrap().len() <= 183;
        for section in sections(&protected, MAP_PID).iter().filter(|section| section[0] == 2) {
            assert!(whole(&Pmt::parse(section).unwrap()));
        }
    }
    // A section that needs two packets leaves no packet for the map alone.
    let error = refusal(&shaped(behind_a_tail));
    assert!(error.contains("PID 0x1000") && error.contains("packet"), "{error}");
    let short_tail = |mux: &mut Mux, map: &[u8]| {
        let other = private(100);
        mux.packet(MAP_PID, true, None, &[&[0], &other[..60]].concat());
        mux.packet(MAP_PID, true, None, &filled(&[&[40], &other[60..], map].concat()));
    };
    let protected = check_ts("tail", &shaped(short_tail));
    assert!(types(&protected).iter().all(|types| types == &[0xdb, 0xcf]));
}

#[test]
fn a_map_that_needs_more_than_a_packet_is_refused() {
    // Apple §3: the map must fit into a single transport stream packet.
    let language = [0x0a, 4, b'e', b'n', b'g', 0];
    for (streams, fits) in [(4, true), (5, false), (60, false)] {
        let sound = |index: u16| -> Row<'_> { (0x0f, AUDIO_PID + index, &language) };
        let rows: Vec<Row<'_>> =
            [(0x1b, VIDEO_PID, &[][..])].into_iter().chain((0..streams).map(sound)).collect();
        let mut mux = Mux::program(&pmt(VIDEO_PID, &[], &rows));
        media(&mut mux);
        (1..streams).for_each(|index| mux.pes(AUDIO_PID + index, 0xc0, &adts(300, false)));
        if fits {
            check_ts("many streams", &mux.bytes);
            continue;
        }
        let error = refusal(&mux.bytes);
        let clause = if streams == 60 { "1021 is the most" } else { "Stream Encryption Format" };
        assert!(error.contains(clause) && error.contains("PID 0x1000"), "{error}");
    }
    let rows: [Row<'_>; 2] = [(0x1b, VIDEO_PID, &[]), (0x0f, AUDIO_PID, &[0x80; 2])];
    let mut mux = Mux::program(&pmt(VIDEO_PID, &[0x80, 0xff], &rows));
    media(&mut mux);
    let error = refusal(&mux.bytes);
    assert!(error.contains("descriptor"), "a descriptor that is cut off hides those behind it: {error}");
}

/// §2.4.4.9: version_number changes when the definition does, so that a map behind clear segments is read anew.
#[test]
fn the_version_says_that_the_map_changed() {
    for version in [0, 3, 31] {
        let mut mux = Mux::default();
        let rows: [Row<'_>; 2] = [(0x1b, VIDEO_PID, &[]), (0x0f, AUDIO_PID, &[])];
        mux.section(0, &pat(&[(1, MAP_PID)]));
        let map = pmt_of(1, (version, 1), VIDEO_PID, &[], &rows);
        mux.section(MAP_PID, &map);
        media(&mut mux);
        let protected = check_ts("version", &mux.bytes);
        let found = sections(&protected, MAP_PID);
        assert_eq!(found[0][5], 0xc1 | ((version + 1) & 31) << 1);
        assert_eq!(sections(&run(&protected, false).unwrap(), MAP_PID), [map]);
    }
}

/// §2.4.4.9: a map whose current_next_indicator is 0 is not yet in force.
#[test]
fn a_map_of_later_does_not_say_what_is_to_be_encrypted_now() {
    let rows: [Row<'_>; 2] = [(0x1b, VIDEO_PID, &[]), (0x0f, AUDIO_PID, &[])];
    let mut mux = Mux::default();
    mux.section(0, &pat(&[(1, MAP_PID)]));
    mux.section(MAP_PID, &pmt_of(1, (4, 0), VIDEO_PID, &[], &rows[..1]));
    mux.section(MAP_PID, &pmt_of(1, (3, 1), VIDEO_PID, &[], &rows));
    media(&mut mux);
    let protected = check_ts("next", &mux.bytes);
    assert_eq!(types(&protected), [vec![0xdb], vec![0xdb, 0xcf]]);
}

#[test]
fn media_before_the_map_is_encrypted_too() {
    let mut mux = Mux::default();
    media(&mut mux);
    mux.section(0, &pat(&[(1, MAP_PID)]));
    mux.section(MAP_PID, &av_map());
    let protected = check_ts("late map", &mux.bytes);
    let (before, after) = (demux(&mux.bytes), demux(&protected));
    for pid in [VIDEO_PID, AUDIO_PID] {
        assert!(before[&pid][0].1 != after[&pid][0].1, "PID {pid:#x} is clear");
    }
    let map = Pmt::parse(&sections(&protected, MAP_PID)[0]).unwrap();
    let setup: Vec<_> = map.streams[1].descriptors().map(|(tag, body)| (tag, body.to_vec())).collect();
    assert_eq!(setup, [(15, b"aacd".to_vec()), (5, b"apadzaac\0\0\x01\x02\x11\x90".to_vec())]);
}

/// Maps, and what a segment with them behind each other is refused for.
#[test]
fn programs_that_change_or_contradict_themselves_are_refused() {
    const CA: &[u8] = &[9, 4, 0x0b, 0, 0xe1, 0x23];
    let av = av_map();
    let other = |rows: &[Row<'_>]| pmt_of(1, (4, 1), VIDEO_PID, &[], rows);
    let (video, sound): (Row<'_>, Row<'_>) = ((0x1b, VIDEO_PID, &[]), (0x0f, AUDIO_PID, &[]));
    let cases: Vec<(&str, Vec<Vec<u8>>, &str)> = vec![
        ("new", vec![av.clone(), other(&[video, sound, (0x0f, 0x102, &[])])], "changes in the segment"),
        ("moved", vec![av.clone(), other(&[video, (0x0f, 0x102, &[])])], "changes in the segment"),
        ("recoded", vec![av.clone(), other(&[video, (0x81, AUDIO_PID, &[])])], "changes in the segment"),
        ("hidden", vec![av.clone(), other(&[video, (0x06, AUDIO_PID, &[])])], "changes in the segment"),
        ("twice", vec![other(&[video, (0x0f, VIDEO_PID, &[])])], "PID 0x100"),
        ("shared", vec![other(&[(0x06, AUDIO_PID, &[]), video, sound])], "PID 0x101"),
        ("on the map", vec![other(&[video, (0x0f, MAP_PID, &[])])], "PID 0x1000"),
        ("program 2", vec![pmt_of(2, (0, 1), VIDEO_PID, &[], &[video])], "program_number is 2, 1 expected"),
        (
            "both",
            vec![av.clone(), pmt_of(2, (0, 1), VIDEO_PID, &[], &[video])],
            "program_number is 2, 1 expected",
        ),
        ("nothing", vec![other(&[(0x15, 0x102, &[])])], "no stream that sample encryption is for"),
        ("CA", vec![other(&[(0x1b, VIDEO_PID, CA)])], "encrypted already"),
        ("CA of the program", vec![pmt(VIDEO_PID, CA, &[video])], "encrypted already"),
        ("CA later", vec![av.clone(), pmt(VIDEO_PID, CA, &[video])], "encrypted already"),
        ("302M", vec![other(&[video, (0x06, 0x102, b"\x05\x04BSSD")])], "as private data"),
        ("none", vec![], "no program map table"),
    ];
    for (name, maps, words) in cases {
        let mut mux = Mux::default();
        mux.section(0, &pat(&[(1, MAP_PID)]));
        for map in maps {
            mux.section(MAP_PID, &map);
            media(&mut mux);
        }
        let error = refusal(&mux.bytes);
        assert!(error.contains(words), "{name}: {error}");
    }
}

#[test]
fn segments_without_tables_or_of_two_programs_are_refused() {
    let mut mux = Mux::default();
    media(&mut mux);
    let error = refusal(&mux.bytes);
    assert!(error.contains("no program association table"), "{error}");
    for programs in [&[(1, MAP_PID), (2, 0x1001)][..], &[]] {
        let mut mux = Mux::default();
        mux.section(0, &pat(programs));
        mux.section(MAP_PID, &av_map());
        media(&mut mux);
        let error = refusal(&mux.bytes);
        assert!(error.contains(&format!("{} programs, one expected", programs.len())), "{error}");
    }
    // One program, and the network's PID.
    let mut mux = Mux::default();
    mux.section(0, &pat(&[(0, 0x10), (1, MAP_PID)]));
    mux.section(MAP_PID, &av_map());
    media(&mut mux);
    check_ts("network", &mux.bytes);
    mux.section(0, &pat(&[(1, 0x1001)]));
    let error = refusal(&mux.bytes);
    assert!(error.contains("association table changes"), "{error}");
    // A section that ends outside the segment, in the middle of another, or is damaged.
    let map = av_map();
    let damaged = [&map[..12], &[map[12] ^ 1], &map[13..]].concat();
    for (first, second) in [(&map[..9], None), (&map[..9], Some(&map)), (&damaged[..], None)] {
        let mut mux = Mux::program(&map);
        media(&mut mux);
        mux.packet(MAP_PID, true, None, &[&[0], first].concat());
        second.into_iter().for_each(|map| mux.section(MAP_PID, map));
        media(&mut mux);
        let error = refusal(&mux.bytes);
        assert!(error.contains("is cut off") || error.contains("CRC_32"), "{error}");
    }
}
