//! Pictures of transport streams, whatever PES packets they are in, and a resolution that changes — ISO/IEC 13818-1 §2.4.3.7,
//! §2.7.5; ITU-T H.264 §7.4.1.2.4; ITU-T H.265 §7.4.2.4.4.

use std::fs;
use std::path::Path;

use drm_pack::base::Kind;
use drm_pack::demux::opened;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::{Sample, samples};

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::pack::{job, pack, pack_without_keys};
use crate::support::ts_build::{Mux, VIDEO_PID, pmt};

/// Ticks from one picture to the next: 25 per second.
const STEP: u64 = 3600;

/// A stream of 24 pictures as an encoder writes it, every picture behind a delimiter and in two slices.
fn encoded(codec: &str, size: &str, more: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let (encoder, option, parameters) = match codec {
        "h264" => ("libx264", "-x264-params", "aud=1:keyint=12:min-keyint=12:scenecut=0:slices=2"),
        _ => (
            "libx265",
            "-x265-params",
            "aud=1:keyint=12:min-keyint=12:scenecut=0:slices=2:log-level=error:repeat-headers=1",
        ),
    };
    let source = format!("testsrc2=s={size}:r=25:d=0.96");
    let mut command = ffmpeg();
    command.args(["-v", "error", "-f", "lavfi", "-i", &source, "-pix_fmt", "yuv420p", "-c:v", encoder]);
    command.args([option, &format!("{parameters}{more}"), "-f", codec]);
    assert!(command.arg(&path).status().unwrap().success());
    fs::read(path).unwrap()
}

/// Where NAL units begin, with their start codes, and their types.
fn units(stream: &[u8], codec: &str) -> Vec<(usize, u8)> {
    let codes = (0..stream.len() - 3).filter(|at| stream[*at..*at + 3] == [0, 0, 1]);
    codes
        .map(|at| {
            let first = stream[at + 3];
            let start = if at > 0 && stream[at - 1] == 0 { at - 1 } else { at };
            (start, if codec == "h264" { first & 31 } else { first >> 1 & 63 })
        })
        .collect()
}

fn delimiter(codec: &str) -> u8 {
    if codec == "h264" { 9 } else { 35 }
}

/// A stream cut before every NAL unit of this type.
fn cut<'a>(stream: &'a [u8], codec: &str, nal_unit_type: u8) -> Vec<&'a [u8]> {
    let units = units(stream, codec);
    let begins: Vec<_> =
        units.iter().filter(|(_, found)| *found == nal_unit_type).map(|(at, _)| *at).collect();
    let ends = begins.iter().skip(1).copied().chain([stream.len()]);
    begins.iter().zip(ends).map(|(begin, end)| &stream[*begin..end]).collect()
}

/// A PES packet of this presentation time, and of a decoding time that differs.
fn pes(times: Option<(u64, u64)>, data: &[u8]) -> Vec<u8> {
    let stamp = |mark: u64, time: u64| {
        let byte = |value: u64| u8::try_from(value & 0xff).unwrap();
        [
            byte(mark << 4 | time >> 29 & 14 | 1),
            byte(time >> 22),
            byte(time >> 14 | 1),
            byte(time >> 7),
            byte(time << 1 | 1),
        ]
    };
    let mut packet = vec![0, 0, 1, 0xe0, 0, 0, 0x80];
    match times {
        None => packet.extend([0, 0]),
        Some((shown, decoded)) if shown == decoded => {
            packet.extend([0x80, 5]);
            packet.extend(stamp(2, shown));
        }
        Some((shown, decoded)) => {
            packet.extend([0xc0, 10]);
            packet.extend([stamp(3, shown), stamp(1, decoded)].concat());
        }
    }
    packet.extend(data);
    packet
}

fn muxed(codec: &str, packets: &[Vec<u8>]) -> Vec<u8> {
    let stream_type = if codec == "h264" { 0x1b } else { 0x24 };
    let mut mux = Mux::program(&pmt(VIDEO_PID, &[], &[(stream_type, VIDEO_PID, &[])]));
    packets.iter().for_each(|packet| mux.unit(VIDEO_PID, None, packet));
    mux.bytes
}

/// The samples with their bytes, without the places where they lie.
fn read(stream: &[u8]) -> Vec<(Sample, Vec<u8>)> {
    let source = opened(Box::new(stream.to_vec())).unwrap().source;
    let moov = moov(source.as_ref()).unwrap();
    let all = samples(source.as_ref(), &moov, 1, &[]).unwrap();
    let whole = all.map(|sample| {
        let sample = sample.unwrap();
        let mut bytes = vec![0; sample.size as usize];
        source.read_at(sample.position, &mut bytes).unwrap();
        (Sample { position: 0, ..sample }, bytes)
    });
    whole.collect()
}

#[test]
fn the_same_pictures_are_the_same_samples_in_whatever_pes_packets() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    for codec in ["h264", "hevc"] {
        let stream = encoded(codec, "128x72", ":bframes=0");
        let pictures = cut(&stream, codec, delimiter(codec));
        assert_eq!(pictures.len(), 24, "{codec}");
        let time = |number: usize| Some((90_000 + STEP * number as u64, 90_000 + STEP * number as u64));
        let alone: Vec<_> =
            pictures.iter().enumerate().map(|(number, picture)| pes(time(number), picture)).collect();
        let expected = read(&muxed(codec, &alone));
        assert_eq!(expected.len(), 24, "{codec}");
        // Several in a packet, with no delimiter as well; and packets without times.
        for count in [2, 3, 5, 12, 24] {
            let several: Vec<_> = (0..pictures.len())
                .step_by(count)
                .map(|first| pes(time(first), &pictures[first..(first + count).min(24)].concat()))
                .collect();
            assert!(read(&muxed(codec, &several)) == expected, "{codec}: {count} in a packet");
            let bare: Vec<_> = (0..pictures.len())
                .step_by(count)
                .map(|first| {
                    let pictures = &pictures[first..(first + count).min(24)];
                    let length = units(pictures[0], codec)[1].0;
                    pes(
                        time(first),
                        &pictures.iter().flat_map(|picture| picture[length..].to_vec()).collect::<Vec<_>>(),
                    )
                })
                .collect();
            let found = read(&muxed(codec, &bare));
            let same = |((sample, _), (expected, _)): (&(Sample, _), &(Sample, _))| {
                (sample.decode_time, sample.duration, sample.flags)
                    == (expected.decode_time, expected.duration, expected.flags)
            };
            assert!(
                found.len() == 24 && found.iter().zip(&expected).all(same),
                "{codec}: {count} without delimiters"
            );
            let some: Vec<_> = (0..24)
                .map(|number| pes(time(number).filter(|_| number % count == 0), pictures[number]))
                .collect();
            assert!(read(&muxed(codec, &some)) == expected, "{codec}: one of {count} with a time");
        }
        // Packets that begin inside a picture: a time is that of the first picture that begins in them.
        let slices: Vec<usize> =
            pictures.iter().map(|picture| units(picture, codec).last().unwrap().0).collect();
        let mut shifted = vec![pes(time(0), &pictures[0][..slices[0]])];
        for number in 1..=24 {
            let rest = &pictures[number - 1][slices[number - 1]..];
            let next = if number < 24 { &pictures[number][..slices[number]] } else { &[] };
            shifted.push(pes(time(number).filter(|_| number < 24), &[rest, next].concat()));
        }
        assert!(read(&muxed(codec, &shifted)) == expected, "{codec}: packets that begin with a slice");
    }
}

#[test]
fn pictures_in_another_order_need_times_of_their_own() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let stream = encoded("h264", "128x72", ":bframes=2:b-adapt=0");
    let pictures = cut(&stream, "h264", 9);
    let pairs: Vec<_> = (0..24)
        .step_by(2)
        .map(|first| {
            let decoded = 90_000 + STEP * first as u64;
            pes(Some((decoded + STEP, decoded)), &pictures[first..first + 2].concat())
        })
        .collect();
    let error = opened(Box::new(muxed("h264", &pairs))).err().unwrap();
    let text = error.to_string();
    assert!(
        error.kind() == Kind::Unsupported && text.contains("PES packet") && text.contains("ffmpeg -r 25 "),
        "{text}"
    );
}

/// The same pictures, each in a packet, as a file.
fn file(folder: &Path, stream: &[u8]) -> std::path::PathBuf {
    let pictures = cut(stream, "h264", 9);
    let time = |number: usize| Some((90_000 + STEP * number as u64, 90_000 + STEP * number as u64));
    let packets: Vec<_> =
        pictures.iter().enumerate().map(|(number, picture)| pes(time(number), picture)).collect();
    let path = folder.join("change.ts");
    fs::write(&path, muxed("h264", &packets)).unwrap();
    path
}

#[test]
fn a_resolution_that_changes_is_said_and_each_segment_can_be_decoded() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let streams = ["128x72", "96x64"].map(|size| encoded("h264", size, ":bframes=0"));
    let input = file(folder.path(), &streams.concat());
    let out = folder.path().join("out");
    let report = pack(&job(&input, "widevine", "cenc"), &out).unwrap();
    assert_eq!(report.tracks[0].codec.get(..4), Some("avc3"));
    let said = report.warnings.iter().find(|warning| warning.contains("resolution")).unwrap();
    let all = ["change.ts: PID 0x100", "from 128x72 to 96x64 0.960 s after"];
    assert!(all.iter().all(|part| said.contains(part)), "{said}");
    let report =
        pack(&job(&file(folder.path(), &streams[0]), "widevine", "cenc"), &folder.path().join("one"));
    assert!(report.unwrap().warnings.iter().all(|warning| !warning.contains("resolution")));
    // The last key frame without its parameter sets.
    let second = &streams[1];
    let found = units(second, "h264");
    let sets: Vec<_> = found.iter().filter(|(_, found)| matches!(found, 7 | 8)).map(|(at, _)| *at).collect();
    let [.., from, _] = sets[..] else { panic!("{sets:?}") };
    let to = found.iter().find(|(at, found)| *at > from && !matches!(found, 7 | 8)).unwrap().0;
    let bare = [&streams[0], &second[..from], &second[to..]].concat();
    let error =
        pack_without_keys(&job(&file(folder.path(), &bare), "widevine", "cenc"), &folder.path().join("no"));
    let error = error.unwrap_err();
    let text = error.to_string();
    assert!(
        error.kind() == Kind::Unsupported && text.contains("parameter sets") && text.contains("ffmpeg"),
        "{text}"
    );
}
