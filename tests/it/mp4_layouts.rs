//! Shapes of MP4 files: whatever the tables look like, players get the same samples at the same times.
//!
//! It is longer than 400 lines because every shape is made here, from a clip that FFmpeg encodes or by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::base::{FourCc, Kid, Kind};
use drm_pack::isobmff::boxes::{Edit, Elst, Sbgp, SbgpEntry, Sidx};
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::{Sample, samples};
use drm_pack::isobmff::track::{tracks, trexes};
use drm_pack::isobmff::{BoxNode, parse_file, write_file};
use drm_pack::job::{Job, Layout, Report, TrackReport};
use tempfile::TempDir;

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::media::root;
use crate::support::pack::{job, key, pack, unpack};

const SCHEMES: [&str; 2] = ["cenc", "cbcs"];
const LAYOUTS: [Layout; 2] = [Layout::Segments, Layout::SingleFile];

/// Pictures with reordering, a random access point each second, and sound; what follows is up to the muxer.
const CLIP: &[&str] = &[
    "-f",
    "lavfi",
    "-i",
    "testsrc=s=160x96:r=10:d=4",
    "-f",
    "lavfi",
    "-i",
    "sine=d=4",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-bf",
    "2",
    "-g",
    "10",
    "-threads",
    "1",
    "-c:a",
    "aac",
    "-b:a",
    "32k",
];

pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A clip muxed with these options; it is encoded once in a folder.
fn clip(folder: &TempDir, arguments: &[&str]) -> PathBuf {
    let (encoded, path) = (folder.path().join("encoded.mp4"), folder.path().join("clip.mp4"));
    if !encoded.exists() {
        run(ffmpeg().args(CLIP).arg(&encoded));
    }
    run(ffmpeg().arg("-i").arg(encoded).args(["-map", "0", "-c", "copy"]).args(arguments).arg(&path));
    path
}

/// Decode time, presentation time, size and hash of each packet of one stream, as FFmpeg reads it.
pub(crate) fn packets(input: &Path, options: &[&str], stream: &str) -> Vec<String> {
    let mut command = ffmpeg();
    command.args(["-v", "fatal", "-copyts"]).args(options);
    // FFmpeg loses count of encrypted samples when it seeks in fragments without an index, so it gets a pipe.
    if input.is_dir() {
        let all = input.join("all");
        fs::write(&all, segments(input).concat()).unwrap();
        command.args(["-i", "-"]).stdin(fs::File::open(all).unwrap());
    } else {
        command.arg("-i").arg(input);
    }
    let text = run(command.args(["-map", stream, "-c", "copy", "-copyts", "-f", "framemd5", "-"]));
    let lines = String::from_utf8(text).unwrap();
    // Not the duration: at the end FFmpeg takes it from the sample table or from the codec.
    let field = |line: &str, at: usize| line.split(',').nth(at).unwrap().trim().to_owned();
    let packet = |line: &str| [1, 2, 4, 5].map(|at| field(line, at)).join(" ");
    lines.lines().filter(|line| !line.starts_with('#')).map(packet).collect()
}

/// The samples of a track, one behind the other.
fn source_samples(path: &Path, track_id: u32) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let moov = moov(&bytes).unwrap();
    let trexes = trexes(&moov).unwrap();
    let samples = samples(&bytes, &moov, track_id, &trexes).unwrap().map(Result::unwrap);
    let range = |sample: Sample| {
        let start = usize::try_from(sample.position).unwrap();
        start..start + sample.size as usize
    };
    samples.flat_map(|sample| bytes[range(sample)].to_vec()).collect()
}

/// An output track: its boxes without `styp` and `sidx`, and the payload of each `mdat`.
fn media(out: &Path, track: &str, layout: Layout) -> (Vec<u8>, Vec<Vec<u8>>) {
    let bytes = match layout {
        Layout::Segments => segments(&out.join(track)).concat(),
        Layout::SingleFile => fs::read(out.join(format!("{track}.mp4"))).unwrap(),
    };
    let mut boxes = parse_file(&bytes).unwrap();
    boxes.retain(|node| !node.is(b"styp") && !node.is(b"sidx"));
    let payloads = boxes.iter().filter(|node| node.is(b"mdat")).map(|node| node.payload().to_vec()).collect();
    (write_file(&boxes), payloads)
}

/// The init segment and the segments in order.
fn segments(folder: &Path) -> Vec<Vec<u8>> {
    let names = std::iter::once("init.mp4".to_owned()).chain((1..).map(|number| format!("{number}.m4s")));
    names.map_while(|name| fs::read(folder.join(name)).ok()).collect()
}

/// The key of a track, as FFmpeg takes it.
fn key_of(track: &TrackReport) -> String {
    let key = key(Kid::parse(&track.kid).unwrap());
    key.expose().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn packed(input: &Path, scheme: &str, layout: Layout) -> (TempDir, Report) {
    let out = tempfile::tempdir().unwrap();
    let job = Job { layout: Some(layout), ..job(input, "widevine+playready", scheme) };
    let report = pack(&job, out.path()).map_err(|error| format!("{}: {error}", input.display())).unwrap();
    (out, report)
}

/// What FFmpeg plays of an output track.
pub(crate) fn played(out: &TempDir, track: &TrackReport, layout: Layout) -> Vec<String> {
    let name = if layout == Layout::SingleFile { ".mp4" } else { "" };
    let path = out.path().join(format!("{}{name}", track.id));
    packets(
        &path,
        &["-decryption_key", &key_of(track)],
        if track.id.starts_with('v') { "0:v:0" } else { "0:a:0" },
    )
}

/// Packs the file in every scheme and in every layout; FFmpeg decrypts each track to the packets of the source.
fn plays_the_same(input: &Path) {
    let sources = ["0:v:0", "0:a:0"].map(|stream| packets(input, &[], stream));
    for (scheme, layout) in SCHEMES.into_iter().zip(LAYOUTS) {
        let (out, report) = packed(input, scheme, layout);
        assert_eq!(report.tracks.len(), 2);
        for (track, source) in report.tracks.iter().zip(&sources) {
            let played = played(&out, track, layout);
            assert!(!source.is_empty());
            let differs = source.iter().zip(&played).find(|(a, b)| a != b);
            let counts = (source.len(), played.len());
            let id = &track.id;
            assert!(*source == played, "{id} {scheme} {layout:?}: {counts:?} packets, {differs:?}");
        }
    }
}

#[test]
fn progressive_files_play_the_same_wherever_their_moov_is() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["-movflags", "+faststart"][..], &[], &["-use_editlist", "0"], &["-video_track_timescale", "90000"]]
    {
        plays_the_same(&clip(&folder, arguments));
    }
}

#[test]
fn fragmented_files_play_the_same_whatever_their_offsets_count_from() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for flags in [
        "+frag_keyframe+empty_moov",
        "+frag_keyframe+empty_moov+default_base_moof",
        "+frag_keyframe+empty_moov+omit_tfhd_offset",
        "+frag_keyframe+empty_moov+separate_moof",
        "+frag_keyframe",
        "+frag_keyframe+delay_moov+global_sidx+default_base_moof",
        "+dash+frag_keyframe+delay_moov",
        "+cmaf+frag_keyframe+delay_moov+negative_cts_offsets",
    ] {
        plays_the_same(&clip(&folder, &["-movflags", flags]));
    }
    let chunks =
        ["-movflags", "+empty_moov+default_base_moof", "-frag_duration", "300000", "-write_prft", "pts"];
    plays_the_same(&clip(&folder, &chunks));
}

#[test]
fn negative_composition_offsets_stay_negative() {
    if !ffmpeg_is_there() {
        return;
    }
    // FFmpeg presents fragments with negative offsets later by the greatest of them, its own ones too: what it
    // plays is compared with its own fragments.
    let folder = tempfile::tempdir().unwrap();
    let progressive = clip(&folder, &["-movflags", "+negative_cts_offsets"]);
    let fragmented = folder.path().join("fragmented.mp4");
    let flags = "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets";
    run(ffmpeg().arg("-i").arg(&progressive).args(["-c", "copy", "-movflags", flags]).arg(&fragmented));
    for layout in LAYOUTS {
        let (out, report) = packed(&progressive, "cenc", layout);
        let played = played(&out, &report.tracks[0], layout);
        assert_eq!(played, packets(&fragmented, &[], "0:v:0"), "{layout:?}");
    }
}

/// How media data is framed.
enum MediaData {
    Plain,
    Large,
    ToTheEnd,
}

/// The clip with its tables rewritten: `edit` gets each `stbl`, chunk offsets are made right again.
fn rewritten(folder: &TempDir, media_data: &MediaData, edit: impl Fn(&mut BoxNode)) -> PathBuf {
    let boxes = parse_file(&fs::read(clip(folder, &["-movflags", "+faststart"])).unwrap()).unwrap();
    let [ftyp, mut moov, mdat] = ["ftyp", "moov", "mdat"]
        .map(|kind| boxes.iter().find(|node| node.kind.to_string() == kind).unwrap().clone());
    let before = boxes.iter().take_while(|node| !node.is(b"mdat")).map(BoxNode::len).sum::<usize>() + 8;
    for trak in moov.all_mut(b"trak") {
        edit(trak.find_mut(&[b"mdia", b"minf", b"stbl"]).unwrap());
    }
    let data = mdat.payload();
    let length = u32::try_from(data.len()).unwrap();
    let header = match media_data {
        MediaData::Plain => [&(length + 8).to_be_bytes(), &b"mdat"[..]].concat(),
        MediaData::Large => [&[0, 0, 0, 1], &b"mdat"[..], &u64::from(length + 16).to_be_bytes()].concat(),
        MediaData::ToTheEnd => [&[0, 0, 0, 0], &b"mdat"[..]].concat(),
    };
    let after = ftyp.len() + moov.len() + header.len();
    for trak in moov.all_mut(b"trak") {
        let stbl = trak.find_mut(&[b"mdia", b"minf", b"stbl"]).unwrap();
        for (kind, width) in [(b"stco", 4), (b"co64", 8)] {
            let Some(offsets) = stbl.find_mut(&[kind]) else { continue };
            let mut payload = offsets.payload().to_vec();
            for field in payload[8..].chunks_mut(width) {
                let offset = field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                let moved = (offset + after as u64 - before as u64).to_be_bytes();
                field.copy_from_slice(&moved[8 - width..]);
            }
            *offsets = BoxNode::data(kind, payload);
        }
    }
    let path = folder.path().join("rewritten.mp4");
    fs::write(&path, [write_file(&[ftyp, moov]), header, data.to_vec()].concat()).unwrap();
    path
}

/// Puts another box in the place of one.
fn replace(stbl: &mut BoxNode, old: &[u8; 4], new: &[u8; 4], payload: impl Fn(&[u8]) -> Vec<u8>) {
    let node = stbl.find_mut(&[old]).unwrap();
    *node = BoxNode::data(new, payload(node.payload()));
}

#[test]
fn large_offsets_compact_sizes_and_media_data_of_any_frame_play_the_same() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    plays_the_same(&rewritten(&folder, &MediaData::Large, |stbl| {
        replace(stbl, b"stco", b"co64", |payload| {
            let offsets = payload[8..].chunks(4).flat_map(|offset| [&[0; 4], offset].concat());
            payload[..8].iter().copied().chain(offsets).collect()
        });
    }));
    plays_the_same(&rewritten(&folder, &MediaData::ToTheEnd, |stbl| {
        replace(stbl, b"stsz", b"stz2", |payload| {
            let sizes = payload[12..].chunks(4).flat_map(|size| size[2..].to_vec());
            [0, 0, 0, 0, 0, 0, 0, 16].into_iter().chain(payload[8..12].iter().copied()).chain(sizes).collect()
        });
    }));
}

#[test]
fn tracks_whose_sample_entry_changes_are_protected_throughout() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let changing = rewritten(&folder, &MediaData::Plain, |stbl| {
        let stsd = stbl.find_mut(&[b"stsd"]).unwrap();
        let entry = stsd.boxes()[0].clone();
        let fields = [0, 0, 0, 0, 0, 0, 0, 2];
        let bytes = [fields.to_vec(), entry.to_bytes(), entry.to_bytes()].concat();
        let length = u32::try_from(bytes.len() + 8).unwrap();
        *stsd = BoxNode::parse_one(&[&length.to_be_bytes()[..], b"stsd", &bytes].concat()).unwrap();
        let chunks = u32::from_be_bytes(stbl.find(&[b"stco"]).unwrap().payload()[4..8].try_into().unwrap());
        replace(stbl, b"stsc", b"stsc", |payload| {
            let entries: Vec<[u32; 3]> = payload[8..]
                .chunks(12)
                .map(|entry| [0, 4, 8].map(|at| u32::from_be_bytes(entry[at..at + 4].try_into().unwrap())))
                .collect();
            let run = |chunk: u32| {
                let samples = entries.iter().rev().find(|entry| entry[0] <= chunk).unwrap()[1];
                [chunk, samples, 1 + chunk / 3 % 2].map(u32::to_be_bytes).concat()
            };
            let runs = (1..=chunks).flat_map(run);
            [0; 4].into_iter().chain(chunks.to_be_bytes()).chain(runs).collect()
        });
    });
    // FFmpeg leaves out samples of further entries in fragments, so the inverse is asked.
    for (scheme, layout) in SCHEMES.into_iter().flat_map(|scheme| LAYOUTS.map(|layout| (scheme, layout))) {
        let (out, report) = packed(&changing, scheme, layout);
        let back = tempfile::tempdir().unwrap();
        unpack(&out.path().join("manifest.mpd"), back.path()).unwrap();
        for (number, track) in (1..).zip(&report.tracks) {
            let (_, clear) = media(back.path(), &track.id, layout);
            let (_, protected) = media(out.path(), &track.id, layout);
            let source = source_samples(&changing, number);
            assert!(clear.concat() == source, "{} {scheme} {layout:?}", track.id);
            assert!(protected.concat().len() == source.len() && protected.concat() != source);
        }
    }
    let (out, _) = packed(&changing, "cenc", Layout::SingleFile);
    let file = fs::read(out.path().join("v1.mp4")).unwrap();
    let count = |kind: &[u8]| file.windows(4).filter(|bytes| *bytes == kind).count();
    assert_eq!((count(b"encv"), count(b"tenc")), (2, 2));
}

#[test]
fn delays_and_other_tracks_are_kept_or_said() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.mp4");
    let plain = clip(&folder, &[]);
    let mut command = ffmpeg();
    command.arg("-i").arg(&plain).args(["-itsoffset", "0.5", "-i"]).arg(&plain);
    run(command.args(["-map", "0:v", "-map", "1:a", "-c", "copy", "-timecode", "01:00:00:00"]).arg(&path));
    let (_, report) = packed(&path, "cenc", Layout::Segments);
    assert!(report.warnings.iter().any(|warning| warning.contains("(tmcd) is left out")), "{report:?}");
    plays_the_same(&path);
}

/// Pseudorandom numbers below a limit.
fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

#[test]
fn wherever_a_track_is_cut_both_layouts_are_the_same_boxes_and_lossless_samples() {
    let input = root().join("fixtures/clip/mp4/av.mp4");
    let mut state = 0x2545_f491_4f6c_dd1d;
    for round in 0..12 {
        let scheme = SCHEMES[round % 2];
        #[expect(clippy::cast_precision_loss, reason = "less than ten thousand")]
        let segment_duration = (1 + random(&mut state, 9000)) as f64 / 1000.0;
        let pack_in = |layout| {
            let out = tempfile::tempdir().unwrap();
            let job = Job { layout: Some(layout), segment_duration, ..job(&input, "widevine", scheme) };
            let job = Job { vector: Some("00112233445566778899aabbccddeeff".into()), ..job };
            pack(&job, out.path()).unwrap();
            out
        };
        let [parts, single] = LAYOUTS.map(pack_in);
        for (number, track) in (1..).zip(["v1", "a1"]) {
            let (boxes, payloads) = media(parts.path(), track, Layout::Segments);
            assert!(media(single.path(), track, Layout::SingleFile) == (boxes, payloads.clone()));
            assert_eq!(payloads.concat().len(), source_samples(&input, number).len());
            check_index(single.path(), track, segments(&parts.path().join(track)).len() - 1);
        }
    }
}

/// CMAF: one track, its id 1, decode times without a gap; `sidx` covers the file and the track.
fn check_index(out: &Path, track: &str, segment_count: usize) {
    let bytes = fs::read(out.join(format!("{track}.mp4"))).unwrap();
    let boxes = parse_file(&bytes).unwrap();
    let kinds: Vec<String> = boxes.iter().map(|node| node.kind.to_string()).collect();
    assert_eq!(kinds[..4], ["ftyp", "moov", "sidx", "moof"]);
    let moov = &boxes[1];
    assert_eq!(tracks(moov).unwrap().iter().map(|track| track.track_id).collect::<Vec<_>>(), [1]);
    assert!(moov.find(&[b"trak", b"edts", b"elst"]).is_some(), "the edit list is gone");
    let payload = boxes[2].payload();
    let sidx = Sidx::parse(payload).unwrap();
    let end = boxes[..3].iter().map(BoxNode::len).sum::<usize>() as u64;
    let ranges = sidx.ranges(end);
    assert_eq!((ranges.len(), ranges.last().unwrap().end), (segment_count, bytes.len() as u64));
    for range in &ranges {
        let start = usize::try_from(range.start).unwrap();
        assert_eq!(&bytes[start + 4..start + 8], b"moof");
    }
    let field = |at: usize| u64::from(u32::from_be_bytes(payload[at..at + 4].try_into().unwrap()));
    let indexed: u64 = (0..ranges.len()).map(|number| field(32 + 12 * number + 4)).sum();
    let mut time = 0;
    for sample in samples(&bytes, moov, 1, &trexes(moov).unwrap()).unwrap().map(Result::unwrap) {
        assert_eq!(sample.decode_time, time);
        time += u64::from(sample.duration);
    }
    // What the edit list puts before time 0 is not presented.
    let elst = Elst::parse(moov.find(&[b"trak", b"edts", b"elst"]).unwrap().payload()).unwrap();
    let [Edit { media_time, .. }] = elst.entries[..] else { panic!("{elst:?}") };
    let earliest = u64::from_be_bytes(payload[12..20].try_into().unwrap());
    let reordered = if track == "v1" { media_time.unsigned_abs() } else { 0 };
    assert_eq!(earliest + indexed, time + reordered - media_time.unsigned_abs());
    assert!((0..ranges.len()).all(|number| payload[32 + 12 * number + 8] & 0x80 != 0));
}

#[test]
fn text_is_a_rendition_where_hls_has_a_place_for_it() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [lines, path] = ["lines.srt", "text.mp4"].map(|name| folder.path().join(name));
    fs::write(&lines, "1\n00:00:00,500 --> 00:00:02,000\none\n\n2\n00:00:02,500 --> 00:00:03,000\ntwo\n")
        .unwrap();
    let mut command = ffmpeg();
    command.arg("-i").arg(clip(&folder, &[])).arg("-i").arg(&lines).args(["-c", "copy", "-c:s", "mov_text"]);
    run(command.args(["-metadata:s:s:0", "language=eng"]).arg(&path));
    let mut bytes = fs::read(&path).unwrap();
    for (entry, has_rendition) in [(b"tx3g", true), (b"c608", false)] {
        let at = bytes.windows(4).position(|window| window == b"tx3g").unwrap();
        bytes[at..at + 4].copy_from_slice(entry);
        fs::write(&path, &bytes).unwrap();
        let (out, report) = packed(&path, "cenc", Layout::SingleFile);
        let playlist = fs::read_to_string(out.path().join("master.m3u8")).unwrap();
        assert_eq!(report.warnings.iter().any(|warning| warning.contains("MPD only")), !has_rendition);
        assert_eq!(
            playlist.contains("TYPE=SUBTITLES,GROUP-ID=\"subtitles\",NAME=\"en"),
            has_rendition,
            "{playlist}"
        );
        assert_eq!(playlist.contains("SUBTITLES=\"subtitles\""), has_rendition);
        assert_eq!(out.path().join("t1.m3u8").exists(), has_rendition);
        let file = if has_rendition { "t1.vtt" } else { "t1.mp4" };
        assert!(fs::read_to_string(out.path().join("manifest.mpd")).unwrap().contains(file));
        if has_rendition {
            assert!(
                fs::read_to_string(out.path().join(file))
                    .unwrap()
                    .contains("00:02.500 --> 00:00:03.000\ntwo")
            );
        }
    }
}

#[test]
fn manifests_of_single_files_play_the_same() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = clip(&folder, &[]);
    for scheme in SCHEMES {
        let (out, report) = packed(&input, scheme, Layout::SingleFile);
        for output in &report.outputs {
            let length = fs::metadata(out.path().join(&output.path)).unwrap().len();
            assert_eq!((length, None), (output.bytes, output.sha256.as_ref()), "{}", output.path);
        }
        let key = key_of(&report.tracks[0]);
        let in_segments = format!("decryption_key={key}");
        for stream in ["0:v:0", "0:a:0"] {
            let source = packets(&input, &[], stream);
            let manifest = out.path().join("manifest.mpd");
            assert!(
                packets(&manifest, &["-cenc_decryption_key", &key], stream) == source,
                "{scheme} {stream}"
            );
            let playlist = out.path().join("master.m3u8");
            // This FFmpeg knows neither SAMPLE-AES of fragmented MP4 nor key formats: it gets the key itself.
            for name in ["v1.m3u8", "a1.m3u8"] {
                let text = fs::read_to_string(out.path().join(name)).unwrap();
                let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("#EXT-X-KEY")).collect();
                fs::write(out.path().join(name), lines.join("\n")).unwrap();
            }
            let options = ["-allowed_extensions", "ALL", "-seg_format_options", &in_segments];
            assert!(packets(&playlist, &options, stream) == source, "{scheme} {stream}");
        }
    }
}

#[test]
fn packages_of_chunked_segments_keep_their_chunks() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = clip(&folder, &[]);
    let package = folder.path().join("chunked");
    fs::create_dir(&package).unwrap();
    let mut command = ffmpeg();
    command.arg("-i").arg(&input).args(["-c", "copy", "-f", "dash", "-seg_duration", "2", "-streaming", "1"]);
    command.args([
        "-frag_type",
        "duration",
        "-frag_duration",
        "0.5",
        "-use_timeline",
        "1",
        "-write_prft",
        "1",
    ]);
    run(command.arg(package.join("manifest.mpd")));
    for scheme in SCHEMES {
        let [out, back] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        pack(&job(&package.join("manifest.mpd"), "widevine", scheme), out.path()).unwrap();
        unpack(&out.path().join("manifest.mpd"), back.path()).unwrap();
        let mut chunks = 0;
        for file in fs::read_dir(&package).unwrap().map(Result::unwrap) {
            if file.path().extension().is_none_or(|extension| extension != "m4s") {
                continue;
            }
            let boxes =
                |folder: &Path| parse_file(&fs::read(folder.join(file.file_name())).unwrap()).unwrap();
            let [source, protected, decrypted] = [&package, out.path(), back.path()].map(boxes);
            let kinds = |boxes: &[BoxNode]| boxes.iter().map(|node| node.kind).collect::<Vec<_>>();
            assert_eq!(kinds(&source), kinds(&protected));
            let data =
                |boxes: &[BoxNode]| boxes.iter().filter(|node| node.is(b"mdat")).cloned().collect::<Vec<_>>();
            assert!(
                data(&source) == data(&decrypted)
                    && (data(&source).is_empty() || data(&source) != data(&protected))
            );
            chunks = chunks.max(data(&source).len());
        }
        assert!(chunks > 2, "{chunks}");
    }
    let layout =
        Job { layout: Some(Layout::SingleFile), ..job(&package.join("manifest.mpd"), "widevine", "cenc") };
    let error = pack(&layout, tempfile::tempdir().unwrap().path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().starts_with("--layout is for MP4 inputs"), "{error}");
}

#[test]
fn what_players_could_miss_is_said() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = clip(&folder, &["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]);
    let mut boxes = parse_file(&fs::read(&path).unwrap()).unwrap();
    let at = boxes.iter().position(|node| node.is(b"moof")).unwrap();
    boxes.insert(at, BoxNode::data(b"emsg", vec![0; 20]));
    // A third track without samples.
    let mut silent = boxes[1].all(b"trak").last().unwrap().clone();
    let tkhd = silent.find_mut(&[b"tkhd"]).unwrap();
    let mut payload = tkhd.payload().to_vec();
    payload[12..16].copy_from_slice(&7_u32.to_be_bytes());
    *tkhd = BoxNode::data(b"tkhd", payload);
    boxes[1].push(silent);
    fs::write(&path, write_file(&boxes)).unwrap();
    let (_, report) = packed(&path, "cenc", Layout::Segments);
    assert_eq!(report.tracks.len(), 2);
    for said in ["track 7 (soun) is left out: it has no samples", "event messages (emsg) are left out"] {
        assert!(report.warnings.iter().any(|warning| warning.contains(said)), "{:?}", report.warnings);
    }
}

/// The groups of a `roll` grouping that the samples of a `stbl` or `traf` are in.
fn groups_in(parent: &BoxNode) -> Vec<u32> {
    let found = Sbgp::of(parent, FourCc(*b"roll")).unwrap();
    let entries = found.map_or_else(Vec::new, |sbgp| sbgp.entries);
    let group = |entry: &SbgpEntry| vec![entry.group_description_index; entry.sample_count as usize];
    entries.iter().flat_map(group).collect()
}

#[test]
fn groups_that_tell_samples_apart_stay_with_their_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("groups.mp4");
    let mut boxes = parse_file(&fs::read(root().join("fixtures/clip/mp4/av.mp4")).unwrap()).unwrap();
    let moov = boxes.iter_mut().find(|node| node.is(b"moov")).unwrap();
    let stbl = moov.all_mut(b"trak").last().unwrap().find_mut(&[b"mdia", b"minf", b"stbl"]).unwrap();
    stbl.remove(|node| node.is(b"sgpd") || node.is(b"sbgp"));
    let entry = |sample_count, group_description_index| SbgpEntry { sample_count, group_description_index };
    let entries = vec![entry(3, 1), entry(90, 0), entry(40, 2), entry(10, 1)];
    let sbgp = Sbgp { grouping_type: FourCc(*b"roll"), grouping_type_parameter: None, entries };
    let described = [&[1, 0, 0, 0][..], b"roll", &[0, 0, 0, 2, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xfe]].concat();
    stbl.push(BoxNode::data(b"sgpd", described.clone()));
    stbl.push(BoxNode::data(b"sbgp", sbgp.write()));
    let expected = groups_in(stbl);
    fs::write(&path, write_file(&boxes)).unwrap();
    for scheme in SCHEMES {
        let (out, report) = packed(&path, scheme, Layout::SingleFile);
        assert!(!report.warnings.iter().any(|warning| warning.contains("group")), "{:?}", report.warnings);
        let boxes = parse_file(&fs::read(out.path().join("a1.mp4")).unwrap()).unwrap();
        let stbl = boxes[1].find(&[b"trak", b"mdia", b"minf", b"stbl"]).unwrap();
        assert_eq!(stbl.find(&[b"sgpd"]).unwrap().payload(), described);
        let mut found = Vec::new();
        for traf in boxes.iter().filter_map(|node| node.find(&[b"traf"]).filter(|_| node.is(b"moof"))) {
            let trun = traf.find(&[b"trun"]).unwrap().payload();
            let count = u32::from_be_bytes(trun[4..8].try_into().unwrap()) as usize;
            let mut groups = groups_in(traf);
            assert!(groups.len() <= count);
            groups.resize(count, 0);
            found.extend(groups);
        }
        assert!(found.len() > expected.len());
        let (same, rest) = found.split_at(expected.len());
        assert!(same == expected && rest.iter().all(|group| *group == 0), "{scheme}");
    }
}
