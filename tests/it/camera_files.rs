//! Files as phones, cameras and editing programs write them: each is packed, or refused with a remedy that is typed here.
//!
//! It is longer than 400 lines because every shape is made here: FFmpeg writes what it can, and boxes are changed to be what
//! it cannot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drm_pack::isobmff::boxes::{Hdlr, SampleEntry, leading_boxes};
use drm_pack::isobmff::track::stsd_version;
use drm_pack::isobmff::{BoxNode, parse_file, write_file};
use drm_pack::job::Layout;
use tempfile::TempDir;

use crate::mp4_layouts::{packed, packets, played, run};
use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::media::root;
use crate::support::pack::{job, pack_without_keys};

/// A change of a movie.
type Change = fn(&mut [BoxNode]);

/// What comes of a file.
enum Comes {
    /// These tracks, and what is said of others.
    Packed(&'static [&'static str], &'static [&'static str]),
    /// An error with these words in it, and a remedy behind which it is packed.
    Refused(&'static [&'static str]),
}
use Comes::{Packed, Refused};

/// One file: its name, what FFmpeg makes of the media, and what is changed then.
struct File {
    name: &'static str,
    options: &'static str,
    change: Change,
    comes: Comes,
}

const fn file(name: &'static str, options: &'static str, change: Change, comes: Comes) -> File {
    File { name, options, change, comes }
}

const NOTHING: Change = |_| {};
const AAC: &str = "-map 0:v -map 1:a -c:v copy -c:a aac";

const FILES: &[File] = &[
    file(
        "phone, HEVC.mov",
        "-map 2:v -map 1:a -c:v copy -tag:v hvc1 -c:a aac",
        as_phone,
        Packed(&["v1", "a1"], &["(mebx) is left out"]),
    ),
    file(
        "phone-positional-audio.mov",
        AAC,
        with_positional_audio,
        Packed(&["v1", "a1"], &["(apac) is left out: no protection of positional audio"]),
    ),
    file(
        "phone-color.mov",
        "-map 0:v -map 1:a -c:v copy -c:a aac -color_primaries bt709 -color_trc bt709 -colorspace bt709",
        NOTHING,
        Packed(&["v1", "a1"], &[]),
    ),
    file("phone-depth.mov", AAC, with_depth, Packed(&["v1", "a1"], &["it helps another track"])),
    file(
        "android.mp4",
        AAC,
        |boxes| add_track(boxes, b"meta", b"mett", &[]),
        Packed(&["v1", "a1"], &["(mett) is left out"]),
    ),
    file(
        "action-camera.mp4",
        "-map 0:v -map 1:a -c:v copy -c:a aac -timecode 01:02:03:04",
        with_telemetry,
        Packed(&["v1", "a1"], &["(tmcd) is left out", "(gpmd) is left out", "(fdsc) is left out"]),
    ),
    file(
        "drone.mp4",
        AAC,
        |boxes| add_track(boxes, b"vide", b"jpeg", &[0; 70]),
        Packed(&["v1", "a1"], &["(jpeg) is left out: it is a single picture"]),
    ),
    file(
        "screen-recording.mov",
        "-ss 0.35 -map 0:v -map 1:a -c copy -c:a aac",
        NOTHING,
        Packed(&["v1", "a1"], &[]),
    ),
    file(
        "fragments.mov",
        "-map 0:v -map 1:a -c:v copy -c:a aac -movflags frag_keyframe+empty_moov",
        NOTHING,
        Packed(&["v1", "a1"], &[]),
    ),
    file("of-2001.mov", AAC, as_of_2001, Packed(&["v1", "a1"], &[])),
    file(
        "audiobook.m4b",
        "-map 1:a -map 3:v -map_chapters 4 -c:a aac -c:v copy -disposition:v attached_pic -f ipod",
        NOTHING,
        Packed(
            &["a1"],
            &[
                "the cover art (ilst/covr) is left out",
                "the list of chapters (udta/chpl) is left out",
                "it has the chapters",
            ],
        ),
    ),
    file(
        "chapters.mov",
        "-map 0:v -map 1:a -map_chapters 4 -c:v copy -c:a aac",
        NOTHING,
        Packed(&["v1", "a1"], &["it has the chapters"]),
    ),
    file("lossless.mov", "-map 1:a -c:a alac", NOTHING, Packed(&["a1"], &[])),
    file("lossless-96k.mov", "-map 1:a -ar 96000 -c:a alac", NOTHING, Packed(&["a1"], &[])),
    file("second-version.mov", AAC, as_second_version, Packed(&["v1", "a1"], &[])),
    file("surround.mov", "-map 0:v -map 1:a -c:v copy -c:a ac3 -ac 6", NOTHING, Packed(&["v1", "a1"], &[])),
    file(
        "surround-plus.mov",
        "-map 0:v -map 1:a -c:v copy -c:a eac3 -ac 6",
        NOTHING,
        Packed(&["v1", "a1"], &[]),
    ),
    file("mp3.mov", "-map 0:v -map 1:a -c:v copy -c:a libmp3lame", NOTHING, Packed(&["v1", "a1"], &[])),
    file(
        "editor, linear audio.mov",
        "-map 0:v -map 1:a -c:v copy -c:a pcm_s16le -timecode 10:00:00:00",
        NOTHING,
        Refused(&["track 2 (audio)", "sowt"]),
    ),
    file(
        "editor-prores.mov",
        "-map 0:v -map 1:a -c:v prores_ks -c:a pcm_s24le",
        NOTHING,
        Refused(&["track 1 (video)", "apc"]),
    ),
    file(
        "editor's dnxhd.mov",
        "-map 0:v -map 1:a -s 1920x1080 -frames:v 2 -pix_fmt yuv422p -b:v 120M -r 25 -c:v dnxhd -c:a pcm_s16be",
        NOTHING,
        Refused(&["track 1 (video)", "AVdn"]),
    ),
    file(
        "old-camera.mov",
        "-map 0:v -map 1:a -c:v mjpeg -c:a pcm_u8",
        NOTHING,
        Refused(&["track 1 (video)", "jpeg"]),
    ),
    file(
        "camcorder.mp4",
        "-map 0:v -map 1:a -c:v copy -c:a pcm_s16be -f mov -brand XAVC",
        |boxes| add_track(boxes, b"meta", b"rtmd", &[]),
        Refused(&["track 2 (audio)", "twos"]),
    ),
    file(
        "constant-mp3.mov",
        "-map 1:a -ar 48000 -c:a libmp3lame -b:a 128k -write_xing 0",
        as_constant_mp3,
        Refused(&["track 1", "instants"]),
    ),
    file(
        "nameless-ac3.mov",
        "-map 0:v -map 1:a -c:v copy -c:a ac3",
        without_dac3,
        Refused(&["track 2 (audio)", "has no dac3"]),
    ),
    file("compressed-header.mov", AAC, compressed, Refused(&["cmov"])),
];

const WAYS: [(&str, Layout); 2] = [("cenc", Layout::Segments), ("cbcs", Layout::SingleFile)];

/// A second of pictures in two codecs, of sound, a cover, and chapters: the inputs of every file.
fn media(folder: &Path) {
    let encode = |arguments: &str, name: &str| {
        run(ffmpeg().args(["-f", "lavfi"]).args(arguments.split(' ')).arg(folder.join(name)));
    };
    encode(
        "-i testsrc=s=128x72:r=10:d=2 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 2 -g 10 -threads 1",
        "0.mp4",
    );
    encode("-i sine=d=2:r=48000 -ac 2", "1.wav");
    encode(
        "-i testsrc=s=128x72:r=10:d=2 -pix_fmt yuv420p -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=10",
        "2.mp4",
    );
    encode("-i testsrc=s=64x64:d=0.1 -frames:v 1", "3.png");
    let chapter = |start: u32| {
        format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={}\ntitle={start}\n", start + 1000)
    };
    fs::write(folder.join("4.txt"), format!(";FFMETADATA1\n{}{}", chapter(0), chapter(1000))).unwrap();
}

fn made(folder: &TempDir, file: &File) -> PathBuf {
    let path = folder.path().join(file.name);
    let mut command = ffmpeg();
    for input in ["0.mp4", "1.wav", "2.mp4", "3.png", "4.txt"] {
        command.arg("-i").arg(folder.path().join(input));
    }
    run(command.args(["-map_chapters", "-1"]).args(file.options.split(' ')).arg(&path));
    let mut boxes = parse_file(&fs::read(&path).unwrap()).unwrap();
    (file.change)(&mut boxes);
    fs::write(&path, write_file(&boxes)).unwrap();
    path
}

#[test]
fn each_file_is_packed_or_refused_with_a_remedy_that_works() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    media(folder.path());
    for (file, way) in FILES.iter().zip(WAYS.iter().cycle()) {
        let path = made(&folder, file);
        match file.comes {
            Packed(tracks, said) => is_packed(&path, way, tracks, said),
            Refused(words) => {
                let out = folder.path().join("none");
                let error = pack_without_keys(&job(&path, "widevine", "cenc"), &out).unwrap_err().to_string();
                assert!(!out.exists());
                let name = format!("{}: ", file.name);
                assert!(error.contains(&name) && words.iter().all(|word| error.contains(word)), "{error}");
                is_packed(&mended(&error), way, &[], &[]);
            }
        }
    }
}

#[test]
fn color_of_full_range_stays_so() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("range.mov");
    for (range, flag) in [("tv", 0), ("pc", 0x80)] {
        let mut command = ffmpeg();
        command.args("-y -f lavfi -i testsrc=s=128x72:r=10:d=1 -vf format=yuv420p -c:v libx264".split(' '));
        let color = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range";
        run(command.args(color.split(' ')).arg(range).arg(&path));
        let source = fs::read(&path).unwrap();
        assert!(source.windows(8).any(|window| window == b"colrnclc"));
        let (out, _) = packed(&path, "cenc", Layout::Segments);
        let init = fs::read(out.path().join("v1/init.mp4")).unwrap();
        let colr = init.windows(4).position(|window| window == b"colr").unwrap();
        assert_eq!(init[colr + 4..colr + 15], [&b"nclx"[..], &[0, 1, 0, 1, 0, 1, flag]].concat(), "{range}");
    }
}

/// A language by its number in QuickTime, in a file that says that it is one of ISO; 0 is a field that nobody wrote.
#[test]
fn the_number_of_a_language_is_no_letters_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    for (number, language) in [(1, Some("fr")), (80, Some("vi")), (0, None), (0x7fff, None)] {
        let path = folder.path().join(format!("{number}.mp4"));
        let mut boxes = parse_file(&fs::read(root().join("fixtures/clip/mp4/audio.m4a")).unwrap()).unwrap();
        let number = u16::to_be_bytes(number);
        edit(trak(&mut boxes, b"soun"), &[b"mdia", b"mdhd"], |mdhd| {
            [&mdhd[..20], &number[..], &mdhd[22..]].concat()
        });
        fs::write(&path, write_file(&boxes)).unwrap();
        let (out, _) = packed(&path, "cenc", Layout::Segments);
        let mpd = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
        let said = mpd.split_once(" lang=\"").and_then(|(_, rest)| rest.split_once('"'));
        assert_eq!(said.map(|(language, _)| language), language, "{number:?}");
    }
}

/// Types the remedy that an error has; the file that it makes.
pub(crate) fn mended(error: &str) -> PathBuf {
    let command = error.split_once(": ffmpeg ").unwrap_or_else(|| panic!("no remedy: {error}")).1;
    let command = command.split_once(", and pack that").unwrap_or_else(|| panic!("{error}")).0;
    let typed = format!("ffmpeg {command}");
    let output = Command::new("sh").args(["-c", &typed]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{typed}: {}", String::from_utf8_lossy(&output.stderr));
    let last = typed.rsplit_once(" /").unwrap_or_else(|| typed.rsplit_once(" '/").unwrap()).1;
    PathBuf::from(format!("/{}", last.replace(r"'\''", "\0").trim_end_matches('\'').replace('\0', "'")))
}

/// Packs a file: FFmpeg decrypts each track to the packets of the source, and nothing of QuickTime is left.
fn is_packed(path: &Path, &(scheme, layout): &(&str, Layout), tracks: &[&str], said: &[&str]) {
    let (out, report) = packed(path, scheme, layout);
    let ids: Vec<&str> = report.tracks.iter().map(|track| track.id.as_str()).collect();
    assert!(tracks.is_empty() && !ids.is_empty() || ids == tracks, "{}: {ids:?}", path.display());
    for word in said {
        assert!(
            report.warnings.iter().any(|warning| warning.contains(word)),
            "{word}: {:?}",
            report.warnings
        );
    }
    for track in &report.tracks {
        let name = match layout {
            Layout::Segments => format!("{}/init.mp4", track.id),
            Layout::SingleFile => format!("{}.mp4", track.id),
        };
        let file = path.to_str().unwrap();
        let mp4 = file.ends_with("mp4");
        is_iso(&fs::read(out.path().join(name)).unwrap(), if mp4 { b"wave" } else { b"fiel" }, file);
        let stream = if track.id.starts_with('v') { "0:v:0" } else { "0:a:0" };
        let (source, played) = (packets(path, &[], stream), played(&out, track, layout));
        let place = format!("{} {} {scheme}", path.display(), track.id);
        assert!(!source.is_empty() && source.len() == played.len(), "{place}");
        let differs = source.iter().zip(&played).find(|(source, played)| source != played);
        assert_eq!(differs, None, "{place}");
    }
}

/// Nothing is left in an init segment that only QuickTime has; FFmpeg writes boxes of this kind into MP4 files too.
fn is_iso(bytes: &[u8], kind: &[u8; 4], place: &str) {
    let boxes = parse_file(bytes).unwrap();
    assert!(boxes[0].is(b"ftyp") && !boxes[0].payload().chunks(4).any(|brand| brand == b"qt  "));
    let trak = boxes[1].find(&[b"trak"]).unwrap();
    let hdlr = trak.find(&[b"mdia", b"hdlr"]).unwrap().payload();
    assert_eq!((&hdlr[4..8], &hdlr[12..24], hdlr.last()), (&[0; 4][..], &[0; 12][..], Some(&0)));
    let minf = trak.find(&[b"mdia", b"minf"]).unwrap();
    assert!(minf.find(&[b"hdlr"]).or_else(|| minf.find(&[b"gmhd"])).is_none(), "{place}");
    assert!(minf.find(&[b"dinf", b"dref"]).unwrap().boxes().iter().all(|node| node.is(b"url ")), "{place}");
    let stsd = minf.find(&[b"stbl", b"stsd"]).unwrap();
    let handler = Hdlr::parse(hdlr).unwrap().handler_type;
    let entry = SampleEntry::parse(&stsd.boxes()[0], handler, stsd_version(stsd)).unwrap();
    assert_eq!(entry.fields[8..16], [0; 8]);
    for of_quicktime in [b"wave", b"chan", b"gama", b"tapt", kind] {
        assert!(entry.find(of_quicktime).is_none(), "{place}: {}", String::from_utf8_lossy(of_quicktime));
    }
    assert!(entry.find(b"colr").is_none_or(|colr| !colr.payload().starts_with(b"nclc")), "{place}");
    assert!(entry.find(b"sinf").is_some() && entry.rest.is_empty());
}

fn moov(boxes: &mut [BoxNode]) -> &mut BoxNode {
    boxes.iter_mut().find(|node| node.is(b"moov")).unwrap()
}

fn trak<'a>(boxes: &'a mut [BoxNode], handler: &[u8; 4]) -> &'a mut BoxNode {
    let is_of = |trak: &BoxNode| trak.find(&[b"mdia", b"hdlr"]).unwrap().payload()[8..12] == handler[..];
    moov(boxes).all_mut(b"trak").find(|trak| is_of(trak)).unwrap()
}

/// Another payload for a box.
fn edit(node: &mut BoxNode, path: &[&[u8; 4]], change: impl Fn(&[u8]) -> Vec<u8>) {
    let found = node.find_mut(path).unwrap();
    *found = BoxNode::data(&found.kind.0, change(found.payload()));
}

fn entry<'a>(boxes: &'a mut [BoxNode], handler: &[u8; 4]) -> &'a mut BoxNode {
    let stsd = trak(boxes, handler).find_mut(&[b"mdia", b"minf", b"stbl", b"stsd"]).unwrap();
    &mut stsd.boxes_mut().unwrap()[0]
}

/// A further track: one of those there under another handler, with one sample and this entry.
fn add_track(boxes: &mut [BoxNode], handler: &[u8; 4], kind: &[u8; 4], fields: &[u8]) {
    let moov = moov(boxes);
    let mut trak = moov.all(b"trak").next().unwrap().clone();
    let number = u8::try_from(moov.all(b"trak").count() + 1).unwrap();
    trak.remove(|node| node.is(b"tref") || node.is(b"edts"));
    edit(&mut trak, &[b"tkhd"], |tkhd| [&tkhd[..15], &[number], &tkhd[16..]].concat());
    edit(&mut trak, &[b"mdia", b"hdlr"], |hdlr| [&hdlr[..8], handler, &hdlr[12..]].concat());
    let minf = trak.find_mut(&[b"mdia", b"minf"]).unwrap();
    minf.remove(|node| node.is(b"vmhd"));
    minf.push(BoxNode::data(b"gmhd", vec![0; 4]));
    let stbl = minf.find_mut(&[b"stbl"]).unwrap();
    stbl.remove(|node| !node.is(b"stsd") && !node.is(b"stco"));
    edit(stbl, &[b"stco"], |stco| [&[0, 0, 0, 0, 0, 0, 0, 1], &stco[8..12]].concat());
    for (kind, fields) in
        [(b"stts", vec![0, 1, 1, 1]), (b"stsc", vec![0, 1, 1, 1, 1]), (b"stsz", vec![0, 8, 1])]
    {
        stbl.push(BoxNode::data(kind, fields.into_iter().flat_map(u32::to_be_bytes).collect()));
    }
    let stsd = stbl.find_mut(&[b"stsd"]).unwrap();
    stsd.boxes_mut().unwrap()[0] = BoxNode::data(kind, [&[0, 0, 0, 0, 0, 0, 0, 1], fields].concat());
    moov.push(trak);
}

/// Timed metadata, an aperture, and metadata of a track and of the movie.
fn as_phone(boxes: &mut [BoxNode]) {
    for _ in 0..3 {
        add_track(boxes, b"meta", b"mebx", &[]);
    }
    let metadata = || {
        let hdlr = BoxNode::data(b"hdlr", [&[0; 8], &b"mdta"[..], &[0; 13]].concat());
        BoxNode::data(b"meta", [hdlr.to_bytes(), BoxNode::data(b"keys", vec![0; 8]).to_bytes()].concat())
    };
    let video = trak(boxes, b"vide");
    video.push(BoxNode::data(b"tapt", BoxNode::data(b"clef", vec![0; 12]).to_bytes()));
    video.push(metadata());
    // Shown in the poster as well: in an ISO file this bit is another.
    edit(video, &[b"tkhd"], |tkhd| [&[0, 0, 0, 15], &tkhd[4..]].concat());
    moov(boxes).push(metadata());
    moov(boxes).push(BoxNode::data(b"udta", vec![0; 4]));
}

fn with_positional_audio(boxes: &mut [BoxNode]) {
    add_track(boxes, b"soun", b"apac", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 16, 0, 0, 0, 0, 0xbb, 0x80, 0, 0]);
}

fn with_depth(boxes: &mut [BoxNode]) {
    let entry = entry(boxes, b"vide").clone();
    add_track(boxes, b"auxv", b"hvc1", &entry.payload()[8..]);
}

fn with_telemetry(boxes: &mut [BoxNode]) {
    add_track(boxes, b"meta", b"gpmd", &[0; 4]);
    add_track(boxes, b"fdsc", b"fdsc", &[]);
}

/// A file without `ftyp`, with a language by its number and an alias to itself.
fn as_of_2001(boxes: &mut [BoxNode]) {
    let ftyp = &mut boxes[0];
    *ftyp = BoxNode::data(b"wide", vec![0; ftyp.len() - 8]);
    for trak in moov(boxes).all_mut(b"trak") {
        edit(trak, &[b"mdia", b"mdhd"], |mdhd| [&mdhd[..20], &[0, 0], &mdhd[22..]].concat());
        let dref = trak.find_mut(&[b"mdia", b"minf", b"dinf", b"dref"]).unwrap();
        dref.boxes_mut().unwrap()[0] = BoxNode::data(b"alis", vec![0, 0, 0, 1]);
    }
}

/// The sound description of version 2: QuickTime File Format, Sound Sample Description (Version 2).
fn as_second_version(boxes: &mut [BoxNode]) {
    let entry = entry(boxes, b"soun");
    let payload = entry.payload();
    let (first, behind) = (&payload[..8], leading_boxes(&payload[44..]).unwrap().0);
    let mut second = [first, &[0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 16, 0xff, 0xfe, 0, 0, 0, 1, 0, 0]].concat();
    second.extend(72_u32.to_be_bytes());
    second.extend(48_000_f64.to_bits().to_be_bytes());
    second.extend([2, 0x7f00_0000, 0, 0, 0, 1024].map(u32::to_be_bytes).concat());
    behind.iter().for_each(|node| node.write(&mut second));
    *entry = BoxNode::data(b"mp4a", second);
}

/// Sound whose tables count its instants: packets of 384 bytes, each of 1152.
fn as_constant_mp3(boxes: &mut [BoxNode]) {
    edit_entry(entry(boxes, b"soun"), |fields| {
        fields[20..22].copy_from_slice(&[0xff, 0xff]);
        fields[28..44].copy_from_slice(&[1152, 384, 384, 2].map(u32::to_be_bytes).concat());
    });
    let stbl = trak(boxes, b"soun").find_mut(&[b"mdia", b"minf", b"stbl"]).unwrap();
    let field = |payload: &[u8], at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
    let packets = field(stbl.find(&[b"stsz"]).unwrap().payload(), 8);
    let instants = packets * 1152;
    let table = |fields: &[u32]| fields.iter().flat_map(|field| field.to_be_bytes()).collect::<Vec<_>>();
    edit(stbl, &[b"stts"], |_| table(&[0, 1, instants, 1]));
    edit(stbl, &[b"stsz"], |_| table(&[0, 1, instants]));
    edit(stbl, &[b"stsc"], |stsc| {
        let mut changed = stsc.to_vec();
        for entry in changed[8..].chunks_mut(12) {
            let samples = field(entry, 4) * 1152;
            entry[4..8].copy_from_slice(&samples.to_be_bytes());
        }
        changed
    });
}

fn edit_entry(entry: &mut BoxNode, change: impl Fn(&mut [u8])) {
    let mut payload = entry.payload().to_vec();
    change(&mut payload);
    *entry = BoxNode::data(&entry.kind.0, payload);
}

fn without_dac3(boxes: &mut [BoxNode]) {
    edit_entry(entry(boxes, b"soun"), |payload| {
        let at = payload.windows(4).position(|window| window == b"dac3").unwrap();
        payload[at..at + 4].copy_from_slice(b"free");
    });
}

/// The movie in a form that says that it is compressed, though nothing is: QuickTime File Format, Compressed Movie Resources.
fn compressed(boxes: &mut [BoxNode]) {
    let moov = moov(boxes);
    let bytes = moov.to_bytes();
    let length = u16::try_from(bytes.len()).unwrap();
    let sum = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    // One block that is stored: RFC 1950 §2.2, RFC 1951 §3.2.4.
    let stored = [&[0x78, 1, 1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), &bytes];
    let stored = [stored.concat(), (sum.1 << 16 | sum.0).to_be_bytes().to_vec()].concat();
    let size = u32::from(length).to_be_bytes();
    let parts =
        [BoxNode::data(b"dcom", b"zlib".to_vec()), BoxNode::data(b"cmvd", [&size[..], &stored].concat())];
    let cmov = BoxNode::data(b"cmov", parts.iter().flat_map(BoxNode::to_bytes).collect());
    *moov = BoxNode::container(b"moov", vec![cmov]);
}
