//! What tracks of audio are for, and which of them are qualities of one — ISO/IEC 14496-12 §8.10, RFC 9559 §5.1.4.1,
//! ISO/IEC 13818-1 §2.6.19, RFC 8216bis §4.4.6.1.1.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::isobmff::{BoxNode, parse_file};
use drm_pack::job::{Job, Report, TrackFacts};
use tempfile::TempDir;

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::pack::{SEED, job, pack};

/// What FFmpeg makes of these words, in a folder.
fn made(folder: &TempDir, name: &str, words: &str) -> PathBuf {
    let path = folder.path().join(name);
    let words = words.split_whitespace();
    assert!(ffmpeg().args(["-v", "error"]).args(words).arg(&path).status().unwrap().success(), "{name}");
    path
}

const VIDEO: &str = "-f lavfi -i testsrc=s=96x64:r=10:d=3";
const TWO_TONES: &str = "-f lavfi -i sine=300:d=3 -f lavfi -i sine=500:d=3";
const AVC: &str = "-c:v libx264 -preset ultrafast -g 10";

/// Video, and two tracks of English audio, which are marked so.
fn two(folder: &TempDir, name: &str, marks: &str) -> PathBuf {
    let maps =
        "-map 0:v -map 1:a -map 2:a -c:a aac -metadata:s:a:0 language=eng -metadata:s:a:1 language=eng";
    made(folder, name, &format!("{VIDEO} {TWO_TONES} {maps} {AVC} {marks}"))
}

/// Audio alone.
fn audio(folder: &TempDir, name: &str, tone: u32, words: &str) -> PathBuf {
    made(folder, name, &format!("-f lavfi -i sine={tone}:d=3 {words}"))
}

struct Packed {
    report: Report,
    hls: String,
    dash: String,
}

/// Packs, and has `verify` find no error in it.
fn packed(inputs: &[&Path], tracks: &[&str]) -> Packed {
    let out = TempDir::new().unwrap();
    let job = Job {
        inputs: inputs.iter().map(|input| input.to_str().unwrap().to_owned()).collect(),
        tracks: tracks.iter().map(|text| TrackFacts::parse(text).unwrap()).collect(),
        ..job(inputs[0], "widevine", "cenc")
    };
    let report = pack(&job, out.path()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    let output = command.arg("verify").arg(out.path()).args(["--dev-keys", SEED]).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success() && said.contains(" 0 errors"), "{said}");
    let text = |name| fs::read_to_string(out.path().join(name)).unwrap();
    Packed { report, hls: text("master.m3u8"), dash: text("manifest.mpd") }
}

impl Packed {
    fn lines(&self, tag: &str) -> Vec<&str> {
        self.hls.lines().filter(|line| line.starts_with(tag)).collect()
    }

    /// The AdaptationSets of audio.
    fn sets(&self) -> Vec<&str> {
        self.dash.split("<AdaptationSet").filter(|set| set.contains("audio/mp4")).collect()
    }
}

fn value<'a>(line: &'a str, name: &str) -> &'a str {
    let behind = line.split_once(&format!("{name}=")).map(|(_, behind)| behind).unwrap_or_default();
    let quoted = behind.strip_prefix('"').and_then(|rest| rest.split('"').next());
    quoted.or_else(|| behind.split(',').next()).unwrap_or_default()
}

#[test]
fn a_description_is_no_quality_of_the_main_audio_in_any_container() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = TempDir::new().unwrap();
    let described = "-disposition:a:1 visual_impaired";
    for name in ["ad.ts", "ad.mkv", "ad.mp4"] {
        let found = packed(&[&two(&folder, name, described)], &[]);
        assert_eq!(found.lines("#EXT-X-STREAM-INF").len(), 1, "{name}: {}", found.hls);
        let media = found.lines("#EXT-X-MEDIA");
        let of = |attribute: &str| media.iter().map(|line| value(line, attribute)).collect::<Vec<_>>();
        assert_eq!(of("GROUP-ID"), ["audio1", "audio1"], "{name}: {}", found.hls);
        assert_eq!(of("NAME"), ["en", "en (description)"], "{name}");
        assert_eq!(of("DEFAULT"), ["YES", "NO"], "{name}");
        assert_eq!(of("AUTOSELECT"), ["YES", "YES"], "{name}");
        assert_eq!(of("CHARACTERISTICS"), ["", "public.accessibility.describes-video"], "{name}");
        let [main, description] = found.sets()[..] else { panic!("{name}: {}", found.dash) };
        assert!(main.contains("value=\"main\"") && !main.contains("description"), "{main}");
        assert!(description.contains("value=\"description\"") && !description.contains("\"main\""));
        assert!(description.contains("AudioPurposeCS:2007\" value=\"1\""), "{description}");
        assert!(found.report.warnings.is_empty(), "{name}: {:?}", found.report.warnings);
    }
    // Behind a description the main audio is the default; a commentary is nothing that players choose themselves.
    for (marks, default, name) in [
        ("-disposition:a:0 visual_impaired", 1, "en (description)"),
        ("-disposition:a:1 comment", 0, "en (commentary)"),
        ("-disposition:a:1 hearing_impaired", 0, "en (enhanced-audio-intelligibility)"),
    ] {
        for file in ["x.mkv", "x.mp4"] {
            let path = two(&folder, file, marks);
            let found = packed(&[&path], &[]);
            let media = found.lines("#EXT-X-MEDIA");
            assert_eq!(value(media[default], "DEFAULT"), "YES", "{file} {marks}: {}", found.hls);
            assert_eq!(value(media[1 - default], "NAME"), name, "{file} {marks}: {}", found.hls);
            let is_chosen = value(media[1 - default], "AUTOSELECT") == "YES";
            assert_eq!(is_chosen, !name.contains("commentary"), "{file} {marks}: {}", found.hls);
            assert_eq!(found.sets().len(), 2, "{file}");
            fs::remove_file(path).unwrap();
        }
    }
}

/// The file with these boxes in the user data of its last tracks; `moov` is the last box.
fn with_user_data(path: &Path, boxes: &[(usize, BoxNode)]) {
    let mut file = parse_file(&fs::read(path).unwrap()).unwrap();
    assert!(file.last().unwrap().is(b"moov"));
    let moov = file.last_mut().unwrap();
    for (number, node) in boxes {
        let trak = moov.all_mut(b"trak").nth(*number).unwrap();
        trak.remove(|node| node.is(b"udta"));
        trak.push(BoxNode::data(b"udta", node.to_bytes()));
    }
    fs::write(path, file.iter().flat_map(BoxNode::to_bytes).collect::<Vec<_>>()).unwrap();
}

#[test]
fn two_tracks_of_one_file_are_two_choices_unless_something_says_that_they_are_one() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = two(&folder, "two.mp4", "");
    let names = |found: &Packed| {
        let media = found.lines("#EXT-X-MEDIA");
        media
            .iter()
            .map(|line| (value(line, "GROUP-ID").to_owned(), value(line, "NAME").to_owned()))
            .collect::<Vec<_>>()
    };
    let pair = |group: &str, name: &str| (group.to_owned(), name.to_owned());
    let found = packed(&[&path], &[]);
    assert_eq!(names(&found), [pair("audio1", "en"), pair("audio1", "en 2")], "{}", found.hls);
    assert_eq!(found.sets().len(), 2, "{}", found.dash);
    assert!(found.sets()[1].contains("<Label>en 2</Label>"), "{}", found.dash);
    assert!(
        found.report.warnings[0].contains("nothing tells a1 and a2 apart"),
        "{:?}",
        found.report.warnings
    );
    let found = packed(&[&path], &["a1:label=Stereo", "a2:label=Stereo"]);
    assert_eq!(names(&found), [pair("audio1", "Stereo"), pair("audio2", "Stereo")], "{}", found.hls);
    assert!(found.sets().len() == 1 && found.report.warnings.is_empty(), "{:?}", found.report.warnings);
    let found = packed(&[&path], &["a2:role=commentary"]);
    assert_eq!(names(&found), [pair("audio1", "en"), pair("audio1", "en (commentary)")], "{}", found.hls);
    assert!(found.report.warnings.is_empty(), "{:?}", found.report.warnings);
    // Tracks of one switch group, and what QuickTime and HTML say.
    let group = BoxNode::data(b"tsel", vec![0, 0, 0, 0, 0, 0, 0, 1]);
    with_user_data(&path, &[(1, group.clone()), (2, group)]);
    let found = packed(&[&path], &[]);
    assert_eq!(names(&found), [pair("audio1", "en"), pair("audio2", "en")], "{}", found.hls);
    assert!(found.sets().len() == 1 && found.report.warnings.is_empty(), "{:?}", found.report.warnings);
    let tag = BoxNode::data(b"tagc", b"public.accessibility.describes-video".to_vec());
    let kind = BoxNode::data(b"kind", b"\0\0\0\0about:html-kind\0main-desc\0".to_vec());
    for node in [tag, kind] {
        with_user_data(&path, &[(1, BoxNode::data(b"free", Vec::new())), (2, node)]);
        let found = packed(&[&path], &[]);
        assert_eq!(
            names(&found),
            [pair("audio1", "en"), pair("audio1", "en (description)")],
            "{}",
            found.hls
        );
    }
}

#[test]
fn audio_alone_in_several_languages_is_one_group_and_one_variant_of_each_quality() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = TempDir::new().unwrap();
    let aac = |name: &str, tone: u32, language: &str, rate: &str| {
        audio(&folder, name, tone, &format!("-c:a aac -b:a {rate} -metadata:s:a:0 language={language}"))
    };
    let (en, de, better) = (
        aac("en.m4a", 300, "eng", "64k"),
        aac("de.m4a", 400, "deu", "64k"),
        aac("en2.m4a", 300, "eng", "128k"),
    );
    let found = packed(&[&en, &de], &[]);
    let [variant] = found.lines("#EXT-X-STREAM-INF")[..] else { panic!("{}", found.hls) };
    assert_eq!((value(variant, "AUDIO"), value(variant, "CODECS")), ("audio1", "mp4a.40.2"));
    assert!(found.hls.contains("\na1.m3u8\n"), "{}", found.hls);
    let media = found.lines("#EXT-X-MEDIA");
    let of = |attribute: &str| media.iter().map(|line| value(line, attribute)).collect::<Vec<_>>();
    assert_eq!((of("LANGUAGE"), of("URI")), (vec!["en", "de"], vec!["a1.m3u8", "a2.m3u8"]));
    assert_eq!(of("DEFAULT"), ["YES", "NO"]);
    // Qualities of one choice are variants as they were; beside another choice each has all choices.
    let found = packed(&[&en, &better], &[]);
    assert!(found.lines("#EXT-X-MEDIA").is_empty(), "{}", found.hls);
    assert_eq!(found.lines("#EXT-X-STREAM-INF").len(), 2, "{}", found.hls);
    let found = packed(&[&en, &better, &de], &["a3:default"]);
    let media: Vec<_> = found.lines("#EXT-X-MEDIA");
    let rows: Vec<_> = media.iter().map(|line| (value(line, "GROUP-ID"), value(line, "URI"))).collect();
    let expected =
        [("audio1", "a1.m3u8"), ("audio1", "a3.m3u8"), ("audio2", "a2.m3u8"), ("audio2", "a3.m3u8")];
    assert_eq!(rows, expected, "{}", found.hls);
    let variants = found.lines("#EXT-X-STREAM-INF");
    assert_eq!(variants.iter().map(|line| value(line, "AUDIO")).collect::<Vec<_>>(), ["audio1", "audio2"]);
    assert_eq!(found.hls.matches("\na3.m3u8").count(), 2, "{}", found.hls);
}

#[test]
fn kinds_of_audio_that_players_do_not_switch_between_are_sets_of_their_own() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = TempDir::new().unwrap();
    let low = audio(&folder, "low.m4a", 300, "-c:a aac -b:a 64k -ar 48000");
    let rows = [
        ("same.m4a", "-c:a aac -b:a 128k -ar 48000", 1),
        ("other.m4a", "-c:a aac -b:a 128k -ar 44100", 2),
        ("mp3.mp4", "-c:a libmp3lame -b:a 128k -ar 48000", 2),
    ];
    for (name, words, sets) in rows {
        let found = packed(&[&low, &audio(&folder, name, 300, words)], &[]);
        assert_eq!(found.sets().len(), sets, "{name}: {}", found.dash);
    }
}
