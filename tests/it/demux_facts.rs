//! What containers say of a stream besides how it is coded stays said — RFC 9559 §5.1.4.1, ISO/IEC 14496-12 §8.4.6, Dolby
//! Vision Streams Within the ISO Base Media File Format §3, and Within the MPEG-2 Transport Stream Format §3.

use std::fs;
use std::path::Path;

use drm_pack::demux::opened;
use drm_pack::isobmff::boxes::Mdhd;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::track::tracks;
use drm_pack::isobmff::{BoxNode, parse_file, write_file};
use drm_pack::ts::{PACKET_BYTES, Packet, Pmt, sections};

use crate::support::media::root;
use crate::support::pack::{job, pack};

fn file(name: &str) -> Vec<u8> {
    fs::read(root().join("fixtures/clip").join(name)).unwrap()
}

/// With an element more in the entry of a track: the sizes of Segment, of Tracks (two bytes) and of the entry are those of
/// FFmpeg.
fn with_element(file: &[u8], track: u8, element: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let find = |bytes: &[u8], from: usize| {
        from + file[from..].windows(bytes.len()).position(|found| found == bytes).unwrap()
    };
    let segment = find(&[0x18, 0x53, 0x80, 0x67, 1], 0) + 4;
    let is_tracks = |found: &[u8]| found.starts_with(&[0x16, 0x54, 0xae, 0x6b]) && found[4] >> 4 == 4;
    let tracks = file.windows(5).position(is_tracks).unwrap() + 4;
    let number = find(&[0xd7, 0x81, track], tracks);
    for (at, width) in [(segment, 8), (tracks, 2), (number - 8, 8)] {
        let field = &mut file[at..at + width];
        let size = field.iter().fold(0, |size, byte| size << 8 | u64::from(*byte)) + element.len() as u64;
        field.copy_from_slice(&size.to_be_bytes()[8 - width..]);
    }
    file.splice(number..number, element.iter().copied());
    file
}

/// The manifests of a file that is packed, HLS and DASH.
fn manifests(bytes: &[u8], name: &str) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join(name), folder.path().join("out"));
    fs::write(&path, bytes).unwrap();
    pack(&job(&path, "widevine", "cenc"), &out).unwrap();
    ["master.m3u8", "manifest.mpd"].map(|name| fs::read_to_string(Path::new(&out).join(name)).unwrap())
}

#[test]
fn a_language_of_more_than_three_letters_stays_whole() {
    // LanguageBCP47 goes before Language.
    let file_of = |tag: &str| {
        let element = [&[0x22, 0xb5, 0x9d, 0x80 | u8::try_from(tag.len()).unwrap()], tag.as_bytes()].concat();
        with_element(&file("demux/avc_aac.mkv"), 2, &element)
    };
    for (tag, language, letters) in [
        ("pt-BR", "pt-BR", "por"),
        ("en", "eng", "eng"),
        ("ger", "deu", "deu"),
        ("zh-Hant", "zh-Hant", "zho"),
    ] {
        let source = opened(Box::new(file_of(tag))).unwrap().source;
        let moov = moov(source.as_ref()).unwrap();
        assert_eq!(tracks(&moov).unwrap()[1].language.as_deref(), Some(language));
        let audio = moov.all(b"trak").nth(1).unwrap();
        let mdhd = Mdhd::parse(audio.find(&[b"mdia", b"mdhd"]).unwrap().payload()).unwrap();
        assert_eq!(mdhd.language().as_deref(), Some(letters));
    }
    let [hls, dash] = manifests(&file_of("pt-BR"), "film.mkv");
    assert!(hls.contains("LANGUAGE=\"pt-BR\"") && dash.contains("lang=\"pt-BR\""), "{hls}{dash}");
}

#[test]
fn the_extended_language_of_mp4_goes_before_its_three_letters() {
    let with = |tag: &[u8]| {
        let mut boxes = parse_file(&file("mp4/audio.m4a")).unwrap();
        // The media is before what is edited.
        let moov = boxes.last_mut().unwrap();
        let media = moov.find_mut(&[b"trak", b"mdia"]).unwrap().boxes_mut().unwrap();
        media.insert(1, BoxNode::data(b"elng", [&[0; 4], tag].concat()));
        write_file(&boxes)
    };
    let [hls, dash] = manifests(&with(b"es-419\0"), "film.m4a");
    assert!(dash.contains("lang=\"es-419\""), "{hls}{dash}");
    // What is no tag says nothing.
    for nothing in [&b""[..], b"\0", b"und\0", b"\xff\xff\0", b"what is this\0"] {
        let [_, dash] = manifests(&with(nothing), "film.m4a");
        let [_, before] = manifests(&file("mp4/audio.m4a"), "film.m4a");
        let lang = |text: &str| text.find("lang=").map(|at| text[at..at + 9].to_owned());
        assert_eq!(lang(&dash), lang(&before));
    }
}

/// Profile 8.1, which is HDR10 without Dolby Vision, and profile 5, which is nothing without it.
const RECORDS: [[u8; 5]; 2] = [[1, 0, 0x10, 0x35, 0x10], [1, 0, 0x0a, 0x35, 0]];

/// Both as manifests name them.
fn assert_is_dolby_vision([eight, five]: [[String; 2]; 2]) {
    for text in eight {
        assert!(text.contains("hvc1.") && text.contains("dvh1.08.06") && text.contains("db1p"), "{text}");
    }
    for text in five {
        assert!(text.contains("dvh1.05.06") && !text.contains("hvc1."), "{text}");
    }
}

#[test]
fn dolby_vision_of_matroska_stays_dolby_vision() {
    let of = |record: [u8; 5]| {
        let name = if record[2] == 0x0a { b"dvcC" } else { b"dvvC" };
        let kind = [&[0x41, 0xe7, 0x84], &name[..]].concat();
        let data = [&[0x41, 0xed, 0x98], &record[..], &[0; 19]].concat();
        let head = [0x41, 0xe4, 0x80 | u8::try_from(kind.len() + data.len()).unwrap()];
        let file = with_element(&file("demux/hevc_eac3.mkv"), 1, &[&head[..], &kind, &data].concat());
        manifests(&file, "film.mkv")
    };
    assert_is_dolby_vision(RECORDS.map(of));
}

/// With a program map whose streams are changed.
fn with_map(stream: &[u8], change: &dyn Fn(&mut Pmt)) -> Vec<u8> {
    let mut out = Vec::new();
    for bytes in stream.as_chunks::<PACKET_BYTES>().0 {
        let packet = Packet::parse(bytes).unwrap();
        let payload = packet.payload().filter(|payload| payload.starts_with(&[0, 2, 0xb0]));
        let Some(payload) = payload.filter(|_| packet.payload_unit_start()) else {
            out.extend(bytes);
            continue;
        };
        let section = sections(payload).unwrap().unwrap().remove(0);
        let mut map = Pmt::parse(&section).unwrap();
        change(&mut map);
        let mut payload = [&[0][..], &map.to_bytes().unwrap()].concat();
        payload.resize(PACKET_BYTES - 4, 0xff);
        out.extend(&bytes[..3]);
        out.push(0x10 | bytes[3] & 15);
        out.extend(payload);
    }
    out
}

#[test]
fn dolby_vision_of_transport_streams_stays_dolby_vision() {
    let stream = file("demux/hevc_eac3.ts");
    let of = |record: [u8; 5]| {
        let changed = with_map(&stream, &|map| {
            let video = &mut map.streams[0];
            video.descriptors.extend([&[0xb0, 5][..], &record].concat());
            if record[4] == 0 {
                video.stream_type = 6;
                video.descriptors.splice(0..0, [5, 4, b'D', b'O', b'V', b'I']);
            }
        });
        manifests(&changed, "film.ts")
    };
    assert_is_dolby_vision(RECORDS.map(of));
    // A layer over another stream is no video.
    let layer = with_map(&stream, &|map| {
        map.streams[0].descriptors.extend([0xb0, 7, 1, 0, 0x0e, 0x36, 8, 0, 0x60]);
    });
    let demuxed = opened(Box::new(layer)).unwrap();
    assert!(
        demuxed.left_out.iter().any(|said| said.contains("a layer of Dolby Vision")),
        "{:?}",
        demuxed.left_out
    );
}
