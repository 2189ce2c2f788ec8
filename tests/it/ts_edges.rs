//! PES packets, NAL units, frames of audio and packets at the edges of what transport streams allow — ISO/IEC 13818-1
//! §2.4.3; Apple, MPEG-2 Stream Encryption Format for HTTP Live Streaming §2.

use drm_pack::base::Secret;
use drm_pack::codec::AudioFrame;
use drm_pack::package::{decrypt_packed_audio, decrypt_ts_segment};
use drm_pack::protect::{Operation, SampleAes};
use drm_pack::ts::{PACKET_BYTES, Packet};

use crate::support::ts::{counter_faults, demux, packets, refusal, run, sample_aes};
use crate::support::ts_build::{AUDIO_PID, MAP_PID, Mux, VIDEO_PID, adts, av_map, nal_unit, pat, pes, pmt};
use crate::ts::check_ts;

/// Data of a `PID`.
fn data(stream: &[u8], pid: u16) -> Vec<Vec<u8>> {
    demux(stream).remove(&pid).unwrap_or_default().into_iter().map(|(_, data)| data).collect()
}

/// A segment of these PES packets of pictures, and sound that they do not matter to.
fn pictures(units: &[Vec<u8>]) -> Vec<u8> {
    let mut mux = Mux::program(&av_map());
    mux.pes(AUDIO_PID, 0xc0, &adts(200, false));
    units.iter().for_each(|unit| mux.unit(VIDEO_PID, None, unit));
    mux.bytes
}

/// Checks a segment, and that its pictures are those of the stream encrypted as a whole.
fn check_pictures(name: &str, units: &[Vec<u8>]) -> Vec<u8> {
    let clear = pictures(units);
    let protected = check_ts(name, &clear);
    let stream = data(&clear, VIDEO_PID).concat();
    let (expected, _) = sample_aes().byte_stream(Operation::Encrypt, &stream, &mut []).unwrap();
    assert_ne!(expected, stream, "{name}");
    assert!(data(&protected, VIDEO_PID).concat() == expected, "{name}");
    protected
}

/// A byte stream with start codes of both lengths, trailing zeros, and units around the 48 bytes.
fn stream() -> Vec<u8> {
    let mut stream = vec![0, 0, 0, 1, 9, 0xf0];
    for (nal_unit_type, length, trailing) in
        [(8, 60, 1), (6, 300, 0), (5, 48, 3), (5, 49, 1), (1, 700, 0), (5, 32, 1), (1, 33, 0), (1, 250, 40)]
    {
        stream.extend(nal_unit(nal_unit_type, length));
        stream.resize(stream.len() + trailing, 0);
    }
    stream
}

#[test]
fn nal_units_may_lie_in_pes_packets_in_any_way() {
    let stream = stream();
    for size in [1, 2, 3, 47, 64, 500, stream.len()] {
        let units: Vec<_> = stream.chunks(size).map(|part| pes(0xe0, true, 0, part)).collect();
        check_pictures(&format!("{size} bytes each"), &units);
        let units: Vec<_> = stream.chunks(size).map(|part| pes(0xe0, false, 7, part)).collect();
        check_pictures(&format!("{size} bytes each, unbounded, stuffed"), &units);
    }
    // A PES packet without data between others, and two access units in one.
    let half = stream.len() / 2;
    let units =
        [&stream[..half], &[], &[&stream[half..], &stream].concat()].map(|part| pes(0xe0, true, 0, part));
    check_pictures("empty and double", &units);
}

/// A unit of emulation prevention grows by a third.
fn escapes(length: usize) -> Vec<u8> {
    let mut unit = vec![0, 0, 1, 0x65];
    unit.extend([0, 0, 3, 1].repeat(length / 4));
    unit
}

/// Each PES packet is looked at once: with what came before it, these would take minutes.
#[test]
fn one_nal_unit_may_lie_in_many_pes_packets() {
    let unit = escapes(1 << 17);
    let units: Vec<_> = unit.chunks(150).map(|part| pes(0xe0, true, 0, part)).collect();
    check_pictures("a unit in 870 PES packets", &units);
}

#[test]
fn what_grows_gets_more_packets_and_another_length() {
    for (length, bounded, said) in [(30_000, true, true), (60_000, true, false), (90_000, false, false)] {
        let units: Vec<_> = (0..3).map(|_| pes(0xe0, bounded, 0, &escapes(length))).collect();
        let clear = pictures(&units);
        let protected = check_pictures(&format!("{length} bytes"), &units);
        assert!(protected.len() > clear.len());
        assert_eq!((protected.len() - clear.len()) % (16 * PACKET_BYTES), 0);
        assert_eq!(run(&protected, false).unwrap().len(), clear.len(), "packets that were added go again");
        let starts = packets(&protected).map(|bytes| Packet::parse(bytes).unwrap());
        for start in starts.filter(|packet| packet.pid() == VIDEO_PID && packet.payload_unit_start()) {
            let length = &start.payload().unwrap()[4..6];
            assert_eq!(length != [0, 0], said, "PES_packet_length is said as long as it fits");
        }
    }
}

/// A clock behind each packet of a PES packet.
fn with_clocks(mux: &mut Mux, unit: &[u8]) {
    for (index, part) in unit.chunks(160).enumerate() {
        mux.packet(VIDEO_PID, index == 0, None, part);
        mux.packet(VIDEO_PID, false, Some(&[0x10, 0, 0, 0, 1, 0x7e, 3]), &[]);
    }
}

#[test]
fn packets_of_adaptation_field_alone_keep_their_counter() {
    for grows in [false, true] {
        let mut mux = Mux::program(&av_map());
        let unit = pes(0xe0, true, 0, &if grows { escapes(9000) } else { nal_unit(5, 9000) });
        (0..3).for_each(|_| with_clocks(&mut mux, &unit));
        let protected = check_ts("clocks", &mux.bytes);
        assert_eq!(protected.len() > mux.bytes.len(), grows);
        // The same with clocks between the packets that decrypting no longer needs.
        let mut mux = Mux::program(&pmt(VIDEO_PID, &[], &[(0xdb, VIDEO_PID, &[])]));
        data(&protected, VIDEO_PID).iter().for_each(|data| with_clocks(&mut mux, &pes(0xe0, true, 0, data)));
        let decrypted = run(&mux.bytes, false).unwrap();
        assert_eq!(counter_faults(&decrypted), []);
        assert_eq!(data(&decrypted, VIDEO_PID)[0], unit[14..]);
    }
}

/// Padding as encoders write it: the header announces a payload, the field leaves none. Some count such a packet.
#[test]
fn packets_whose_field_leaves_no_payload_are_carried_along() {
    for counts in [false, true] {
        let mut mux = Mux::program(&av_map());
        let mut added = 0;
        for part in 0..40 {
            let (start, at) = (part % 10 == 0, mux.bytes.len());
            let payload = if start { pes(0xe0, false, 0, &nal_unit(5, 150)) } else { vec![7; 184] };
            mux.packet(VIDEO_PID, start, None, &payload);
            let counter = mux.bytes[at + 3] & 15;
            let mut padding = [0xff; PACKET_BYTES];
            padding[..4].copy_from_slice(&[0x47, 1, 0, 0x30 | ((counter + u8::from(counts)) & 15)]);
            (padding[4], padding[5]) = (183, 0);
            mux.bytes.extend(padding);
            if counts {
                mux.count(VIDEO_PID);
            }
            added += 1;
        }
        let protected = run(&mux.bytes, true).unwrap();
        let views = packets(&protected).map(|bytes| Packet::parse(bytes).unwrap());
        assert_eq!(views.filter(Packet::lacks_its_payload).count(), added);
        let decrypted = run(&protected, false).unwrap();
        assert_eq!(demux(&decrypted), demux(&mux.bytes));
    }
}

/// Frames of audio as one would encrypt them by hand, from the header's and the frame's lengths.
fn frames_by_hand(frames: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let encrypted = frames.iter().flat_map(|(frame, header_bytes)| {
        let mut frame = frame.clone();
        let range = AudioFrame { range: 0..frame.len(), header_bytes: *header_bytes, goes_on: false };
        sample_aes().audio_frame(Operation::Encrypt, &mut frame, &range).unwrap();
        frame
    });
    encrypted.collect()
}

#[test]
fn frames_of_audio_may_lie_in_pes_packets_in_any_way() {
    let frames: Vec<_> = [300, 15, 16, 31, 32, 33, 0, 48, 700]
        .into_iter()
        .flat_map(|length| [(adts(length, false), 7), (adts(length, true), 9)])
        .collect();
    let stream: Vec<u8> = frames.iter().flat_map(|(frame, _)| frame.clone()).collect();
    for size in [1, 5, 8, 100, stream.len()] {
        for bounded in [true, false] {
            let mut mux = Mux::program(&av_map());
            mux.pes(VIDEO_PID, 0xe0, &nal_unit(5, 100));
            let units = stream.chunks(size).map(|part| pes(0xc0, bounded, size % 3, part));
            units.for_each(|unit| mux.unit(AUDIO_PID, None, &unit));
            let protected = check_ts(&format!("{size} bytes"), &mux.bytes);
            assert!(data(&protected, AUDIO_PID).concat() == frames_by_hand(&frames), "{size} bytes");
            let setup = b"apadzaac\0\0\x01\x02\x11\x90";
            assert!(
                protected.windows(setup.len()).any(|window| window == setup),
                "{size} bytes: no setup data"
            );
        }
    }
}

/// An E-AC-3 syncframe of 192 bytes: strmtyp, substreamid, bsid.
fn e_ac_3(strmtyp: u8, substreamid: u8, bsid: u8) -> Vec<u8> {
    let mut frame = vec![0x0b, 0x77, strmtyp << 6 | substreamid << 3, 95, 0x3f, bsid << 3, 0];
    frame.resize(192, 0x5a);
    frame
}

/// An AC-3 syncframe of 128 bytes: 48 kHz, 32 kbit/s.
fn ac_3() -> Vec<u8> {
    let mut frame = vec![0x0b, 0x77, 0x12, 0x34, 0, 0x40, 0x43, 0xe1];
    frame.resize(128, 0x5a);
    frame
}

fn sound(stream_type: u8, stream: &[u8]) -> Vec<u8> {
    let mut mux = Mux::program(&pmt(AUDIO_PID, &[], &[(stream_type, AUDIO_PID, &[])]));
    mux.unit(AUDIO_PID, Some(&[0x10, 0, 0, 0, 1, 0x7e, 3]), &pes(0xbd, true, 0, stream));
    mux.bytes
}

#[test]
fn syncframes_are_encrypted_as_their_stream_says_or_refused() {
    for (stream_type, frame) in [(0x81, ac_3()), (0x87, e_ac_3(0, 0, 16)), (0x87, ac_3())] {
        let protected = check_ts("syncframes", &sound(stream_type, &frame.repeat(3)));
        assert!(data(&protected, AUDIO_PID).concat() == frames_by_hand(&[(frame, 0)]).repeat(3));
        // AC-3 in a stream of E-AC-3 is set up as E-AC-3 is: with EC3SpecificBox.
        let setup =
            if stream_type == 0x81 { &b"apadzac3\0\0\x01\x0a\x0b\x77"[..] } else { b"apadzec3\0\0\x01\x05" };
        assert!(protected.windows(setup.len()).any(|window| window == setup), "{stream_type:#x}");
    }
    for (stream_type, frames, words) in [
        (0x81, vec![e_ac_3(0, 0, 16)], "bsid is 16"),
        (0x81, vec![ac_3(), e_ac_3(0, 0, 16)], "bsid is 16"),
        (0x87, vec![e_ac_3(0, 0, 16), e_ac_3(1, 0, 16)], "substream"),
        (0x87, vec![e_ac_3(0, 0, 16), e_ac_3(0, 1, 16)], "substream"),
        (0x87, vec![ac_3(), e_ac_3(1, 0, 16)], "substream"),
    ] {
        let error = refusal(&sound(stream_type, &frames.concat()));
        assert!(error.contains(words), "{error}");
    }
    let packed = [e_ac_3(0, 0, 16), e_ac_3(1, 0, 16)].concat();
    assert!(refusal(&packed).contains("substream"));
    // Two raw data blocks in a frame.
    let mut blocks = adts(100, false);
    blocks[6] |= 1;
    let error = refusal(&sound(0x0f, &blocks));
    assert!(error.contains("2 raw data blocks"), "{error}");
}

/// An ID3 tag of version 2.4 with a private frame.
fn tag(owner: &str, data: &[u8]) -> Vec<u8> {
    let size =
        |length: usize| [0, 0, u8::try_from(length >> 7).unwrap(), u8::try_from(length & 127).unwrap()];
    let frame = owner.len() + 1 + data.len();
    let mut tag = [b"ID3\x04\0\0", &size(frame + 10)[..], b"PRIV", &size(frame), &[0, 0]].concat();
    tag.extend([owner.as_bytes(), &[0], data].concat());
    tag
}

#[test]
fn packed_audio_has_tags_before_and_between_its_frames() {
    let time = tag("com.apple.streaming.transportStreamTimestamp", &[0; 8]);
    for (name, frames, setup) in [
        (
            "AAC",
            vec![(adts(300, true), 9), (adts(20, false), 7), (adts(32, false), 7)],
            &b"zaac\0\0\x01\x02"[..],
        ),
        ("AC-3", vec![(ac_3(), 0), (ac_3(), 0)], b"zac3\0\0\x01\x0a\x0b\x77"),
        ("E-AC-3", vec![(e_ac_3(0, 0, 16), 0), (e_ac_3(0, 0, 16), 0)], b"zec3\0\0\x01\x05"),
    ] {
        let clear_frames: Vec<u8> = frames.iter().flat_map(|(frame, _)| frame.clone()).collect();
        let other = tag("another", &[9; 200]);
        let clear = [&time[..], &clear_frames, &other, &clear_frames].concat();
        let protected = run(&clear, true).unwrap();
        assert_eq!(run(&protected, false).unwrap(), clear, "{name}");
        let by_hand = frames_by_hand(&frames);
        assert!(protected.ends_with(&[&by_hand[..], &other, &by_hand].concat()), "{name}");
        assert!(protected.windows(setup.len()).any(|window| window == setup), "{name}: no setup data");
        assert!(refusal(&protected).contains("encrypted already"), "{name}");
        // What is cut off, or no frame, is an error and never passed on.
        assert!(refusal(&clear[..clear.len() - 1]).contains("cut off"), "{name}");
        assert!(run(&[&clear[..], &[1; 40]].concat(), true).is_err(), "{name}");
    }
}

/// Audio is read a mebibyte at a time, and a tag may begin wherever that ends.
#[test]
fn a_tag_between_frames_may_lie_in_two_reads() {
    let time = tag("com.apple.streaming.transportStreamTimestamp", &[0; 8]);
    let header = adts(100, false).len() - 100;
    for before in 1..=12 {
        let frame = adts(4096 - header, false);
        let last = adts(4096 - header - before, false);
        let clear = [&time[..], &frame.repeat(255), &last, &tag("another", &[9; 20]), &frame].concat();
        let protected = run(&clear, true).unwrap_or_else(|error| panic!("{before}: {error}"));
        assert!(run(&protected, false).unwrap() == clear, "{before}");
    }
}

/// Slices that Apple §2.2 forbids to encrypt would be pictures in the clear.
#[test]
fn slices_that_would_stay_clear_are_refused() {
    for nal_unit_type in [2, 3, 4, 19, 20, 21] {
        let stream = [nal_unit(5, 100), nal_unit(nal_unit_type, 100)].concat();
        let error = refusal(&pictures(&[pes(0xe0, true, 0, &stream)]));
        assert!(error.contains(&format!("nal_unit_type is {nal_unit_type}")), "{error}");
    }
}

/// One packet of a segment is changed; what is said of it.
fn damaged(pid: u16, nth: usize, change: impl Fn(&mut [u8])) -> String {
    let mut clear = pictures(&[pes(0xe0, true, 0, &stream()), pes(0xe0, true, 0, &stream())]);
    let is_it =
        |packet: &&mut [u8]| Packet::parse(packet.as_chunks().0.first().unwrap()).unwrap().pid() == pid;
    change(clear.chunks_mut(PACKET_BYTES).filter(is_it).nth(nth).unwrap());
    run(&clear, true).map(|_| "nothing".to_owned()).unwrap_or_else(|error| error.to_string())
}

#[test]
fn packets_that_no_reader_would_trust_are_refused() {
    for (pid, nth, at, xor, words) in [
        (VIDEO_PID, 2, 1, 0x80, "transport_error_indicator"),
        (VIDEO_PID, 2, 3, 0x80, "scrambled"),
        (VIDEO_PID, 0, 3, 0xc0, "scrambled"),
        (AUDIO_PID, 0, 3, 0x40, "scrambled"),
        (MAP_PID, 0, 3, 0x40, "scrambled"),
        (VIDEO_PID, 2, 3, 0x10, "adaptation_field_control is 0"),
        (VIDEO_PID, 2, 3, 0x01, "continuity_counter"),
        (VIDEO_PID, 0, 10, 0x30, "scrambled"),
        (VIDEO_PID, 0, 1, 0x40, "began before the segment"),
        (VIDEO_PID, 0, 6, 0x01, "packet_start_code_prefix"),
        (VIDEO_PID, 0, 7, 0x5f, "stream_id"),
        (VIDEO_PID, 0, 11, 0x02, "CRC"),
        (VIDEO_PID, 0, 9, 0x01, "PES_packet_length"),
    ] {
        let said = damaged(pid, nth, |packet| packet[at] ^= xor);
        assert!(said.contains(words), "packet {nth} of {pid:#x}, byte {at}: {said}");
    }
    // A packet that is sent twice, a unit's start too: §2.4.3.3 allows it, who hashes PES packets does not see it.
    let clear = pictures(&[pes(0xe0, false, 0, &stream()), pes(0xe0, false, 0, &stream())]);
    for nth in [0, 2] {
        let mut twice = Vec::new();
        let mut count = 0;
        for bytes in packets(&clear) {
            twice.extend(bytes);
            if Packet::parse(bytes).unwrap().pid() == VIDEO_PID {
                twice.extend(if count == nth { &bytes[..] } else { &[] });
                count += 1;
            }
        }
        let error = refusal(&twice);
        assert!(error.contains("sent twice"), "{error}");
    }
    // A segment that begins inside a PES packet, a NAL unit, or ends inside a frame of audio.
    let mut mux = Mux::default();
    mux.packet(VIDEO_PID, false, None, &[7; 184]);
    mux.section(0, &pat(&[(1, MAP_PID)]));
    mux.section(MAP_PID, &av_map());
    assert!(refusal(&mux.bytes).contains("began before the segment"));
    let error = refusal(&pictures(&[pes(0xe0, true, 0, &[7; 300])]));
    assert!(error.contains("begins inside a NAL unit"), "{error}");
    let error = refusal(&sound(0x0f, &adts(100, false)[..90]));
    assert!(error.contains("ends outside the segment"), "{error}");
}

#[test]
fn packets_of_other_sizes_are_refused_by_name() {
    let clear = pictures(&[pes(0xe0, true, 0, &stream())]);
    for (before, behind, words) in [(4, 0, "packets of 192 bytes"), (0, 16, "packets of 204 bytes")] {
        let other: Vec<u8> = packets(&clear)
            .flat_map(|packet| [&vec![0; before], &packet[..], &vec![0; behind]].concat())
            .collect();
        let said = drm_pack::package::elementary_streams(&other).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
        let error =
            drm_pack::package::sample_aes_segment(&other, &mut Vec::new(), &sample_aes(), Operation::Encrypt);
        assert!(error.unwrap_err().to_string().contains(words));
    }
}

#[test]
fn a_wrong_key_is_calm() {
    let wrong = SampleAes::new(&Secret::new([7; 16]), [9; 16]);
    let clear = pictures(&[pes(0xe0, true, 0, &[stream(), escapes(4000)].concat())]);
    let protected = run(&clear, true).unwrap();
    let mut out = Vec::new();
    decrypt_ts_segment(&protected, &mut out, &wrong).unwrap();
    assert_ne!(data(&out, VIDEO_PID), data(&clear, VIDEO_PID));
    assert_eq!(data(&out, AUDIO_PID).concat().len(), data(&clear, AUDIO_PID).concat().len());
    let packed = run(&adts(300, false).repeat(4), true).unwrap();
    let mut out = Vec::new();
    decrypt_packed_audio(&packed, &mut out, &wrong).unwrap();
    assert_eq!(out.len(), adts(300, false).len() * 4);
}
