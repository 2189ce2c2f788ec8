//! Commands that errors and warnings name work when they are typed, and lose no language and no text: files with two of
//! each, damaged or in forms that are not taken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::pack::{job, pack, pack_without_keys};

/// Types the command in a text; the file that it makes.
pub(crate) fn typed(text: &str) -> PathBuf {
    let command = text.split_once("ffmpeg ").unwrap_or_else(|| panic!("no remedy: {text}")).1;
    let ends = [", and pack that", "; ", " for 25 pictures"].iter().filter_map(|end| command.find(end)).min();
    let command = format!("ffmpeg {}", &command[..ends.unwrap_or(command.len())]);
    let output = Command::new("sh").args(["-c", &command]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    let last = command.strip_suffix('\'').and_then(|command| Some(command.rsplit_once('\'')?.1));
    PathBuf::from(last.unwrap_or_else(|| command.rsplit_once(' ').unwrap().1))
}

/// Three seconds of pictures, sound in two languages and text, in one file.
fn made(folder: &TempDir, name: &str, options: &str) -> PathBuf {
    let (path, text) = (folder.path().join(name), folder.path().join("text.srt"));
    fs::write(&text, "1\n00:00:00,200 --> 00:00:01,000\none\n\n2\n00:00:01,100 --> 00:00:02,500\ntwo\n")
        .unwrap();
    let mut command = ffmpeg();
    for source in ["testsrc2=s=128x72:r=25:d=3", "sine=440:r=48000:d=3", "sine=880:r=48000:d=3"] {
        command.args(["-f", "lavfi", "-i", source]);
    }
    command.arg("-i").arg(&text).args(["-map", "0", "-map", "1", "-map", "2"]);
    command.args(["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra", "-g", "25"]);
    let output = command.args(options.split(' ')).arg(&path).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    path
}

/// What a file has, by FFmpeg: kind and language of each stream.
fn streams(path: &Path) -> Vec<String> {
    let mut command = Command::new("ffprobe");
    let entries = "stream=codec_type:stream_tags=language";
    let output = command.args(["-v", "error", "-of", "compact", "-show_entries", entries]).arg(path).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("stream"));
    let fields =
        lines.map(|line| line.split('|').filter_map(|field| field.split_once('=')).map(|(_, value)| value));
    fields.map(|fields| fields.collect::<Vec<_>>().join(" ").replace(" und", "")).collect()
}

/// Packs what a remedy made: both languages are there.
fn is_packed(made: &Path, texts: usize) {
    let kinds = streams(made);
    assert!(kinds.contains(&"audio eng".to_owned()) && kinds.contains(&"audio fra".to_owned()), "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| kind.starts_with("subtitle")).count(), texts, "{kinds:?}");
    let out = tempfile::tempdir().unwrap();
    let report = pack(&job(made, "widevine", "cenc"), out.path()).unwrap();
    let ids: Vec<&str> = report.tracks.iter().map(|track| track.id.as_str()).collect();
    assert_eq!(ids, ["v1", "a1", "a2"], "{}", made.display());
    let master = fs::read_to_string(out.path().join("master.m3u8")).unwrap();
    assert!(master.contains("LANGUAGE=\"en\"") && master.contains("LANGUAGE=\"fr\""), "{master}");
}

fn refused(path: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    pack_without_keys(&job(path, "widevine", "cenc"), out.path()).unwrap_err().to_string()
}

const AVC: &str = "-c:v libx264 -preset ultrafast -bf 2 -c:a";

/// The packets of a stream with one changed, or taken out.
fn changed(stream: &[u8], pid: u16, nth: usize, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let (mut met, mut out) = (0, Vec::new());
    for packet in stream.chunks(188) {
        let mut packet = packet.to_vec();
        if u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == pid {
            met += 1;
            if met == nth {
                change(&mut packet);
            }
        }
        out.extend(packet);
    }
    out
}

#[test]
fn damaged_transport_streams_are_mended_with_all_languages() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = made(&folder, "two languages.ts", &format!("{AVC} aac"));
    let whole = fs::read(&path).unwrap();
    let jump = |stream: &[u8]| {
        // The same again, an hour later by its clock: that of a recording which was joined.
        let late = |_: usize, stamp: u64| stamp + 3600 * 90_000;
        [stream, &crate::demux::stamped(stream, &late)].concat()
    };
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("video", changed(&whole, 0x100, 40, Vec::clear), "packets are missing"),
        ("audio", changed(&whole, 0x101, 20, Vec::clear), "packets are missing"),
        ("sync", changed(&whole, 0x100, 40, |packet| packet[0] = 0), "sync_byte"),
        ("error", changed(&whole, 0x101, 20, |packet| packet[1] |= 0x80), "transport_error_indicator"),
        ("zeros", [whole.clone(), vec![0; 188 * 5]].concat(), "sync_byte"),
        ("clock", jump(&whole), "the clock was set anew"),
    ];
    for (name, stream, says) in cases {
        let path = folder.path().join(format!("{name}.ts"));
        fs::write(&path, stream).unwrap();
        let error = refused(&path);
        assert!(error.contains(says), "{name}: {error}");
        is_packed(&typed(&error), 0);
    }
    // Places are those of the file, where each packet has a time before it.
    let stamped: Vec<u8> = whole.chunks(188).flat_map(|packet| [&[0; 4], packet].concat()).collect();
    let (mut stamped, place) = (stamped, 300 * 192 + 4);
    stamped[place] = 0;
    let path = folder.path().join("stamped.m2ts");
    fs::write(&path, stamped).unwrap();
    let error = refused(&path);
    assert!(error.contains(&format!("packet at byte {place}: sync_byte")), "{error}");
    let untimed = whole.chunks(188).flat_map(|packet| {
        let mut packet = packet.to_vec();
        let at = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
        if packet[1] & 0x40 != 0 && packet.get(at..at + 3) == Some(&[0, 0, 1]) {
            packet[at + 7] &= 0x3f;
        }
        packet
    });
    let path = folder.path().join("untimed.ts");
    fs::write(&path, untimed.collect::<Vec<_>>()).unwrap();
    let error = refused(&path);
    assert!(error.contains("without a time stamp"), "{error}");
    is_packed(&typed(&error), 0);
}

#[test]
fn codecs_that_are_not_taken_are_encoded_with_all_languages_and_text() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, options, says, texts) in [
        ("a b.mov", format!("-map 3 {AVC} pcm_s16le -c:s mov_text"), "sowt", 1),
        ("c.ts", "-c:v mpeg2video -c:a mp2".to_owned(), "MPEG-2 video", 0),
        // Video that is taken is not encoded anew.
        ("e.ts", format!("{AVC} mp2"), " -c copy -c:a aac ", 0),
        ("d.mkv", format!("-map 3 {AVC} pcm_s16le -c:s srt"), "A_PCM", 1),
    ] {
        let folder = TempDir::new_in(folder.path()).unwrap();
        let path = made(&folder, name, &options);
        let error = refused(&path);
        assert!(error.contains(says), "{name}: {error}");
        is_packed(&typed(&error), texts);
    }
}

#[test]
fn a_trim_that_begins_inside_a_group_keeps_all_languages_and_text() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = made(&folder, "whole.mp4", &format!("-map 3 {AVC} aac -c:s mov_text"));
    let trimmed = folder.path().join("trimmed.mp4");
    let mut command = ffmpeg();
    command.args(["-ss", "0.5", "-i"]).arg(&path).args(["-map", "0", "-c", "copy"]);
    assert!(command.arg(&trimmed).status().unwrap().success());
    let out = folder.path().join("out");
    let report = pack(&job(&trimmed, "widevine", "cenc"), &out).unwrap();
    let said = report.warnings.iter().find(|warning| warning.contains("elst")).unwrap();
    let made = typed(said);
    is_packed(&made, 1);
    let again = pack(&job(&made, "widevine", "cenc"), &folder.path().join("again")).unwrap();
    assert!(!again.warnings.iter().any(|warning| warning.contains("elst")), "{:?}", again.warnings);
}

#[test]
fn streams_without_a_container_are_put_into_one() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, source, options) in [
        ("a.aac", "sine=d=1:r=48000", "-c:a aac"),
        ("b.ac3", "sine=d=1:r=48000", "-c:a ac3"),
        ("c.mp3", "sine=d=1:r=48000", "-c:a libmp3lame"),
        ("d.h264", "testsrc2=s=64x64:d=1", "-c:v libx264 -bf 2"),
        ("e.hevc", "testsrc2=s=64x64:d=1", "-c:v libx265 -x265-params log-level=none"),
    ] {
        let path = folder.path().join(name);
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]);
        let output = command.args(options.split(' ')).arg(&path).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let error = refused(&path);
        assert!(error.contains("an MP4 file expected"), "{name}: {error}");
        let made = typed(&error);
        let report = pack(&job(&made, "widevine", "cenc"), &folder.path().join("out").join(name)).unwrap();
        assert_eq!(report.tracks.len(), 1, "{name}");
    }
    let path = folder.path().join("text.mp4");
    fs::write(&path, "WEBVTT\n\n00:00.000 --> 00:01.000\nx\n").unwrap();
    let error = refused(&path);
    assert!(error.contains("WebVTT") && error.contains("ends in .vtt"), "{error}");
}

#[test]
fn text_of_quicktime_files_is_as_that_of_mp4_files() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| {
        let path = made(&folder, name, &format!("-map 3 {AVC} aac -c:s mov_text"));
        let out = folder.path().join("out").join(name);
        let report = pack(&job(&path, "widevine", "cenc"), &out).unwrap();
        assert!(report.warnings.iter().all(|warning| !warning.contains("left out")), "{:?}", report.warnings);
        fs::read_to_string(out.join("t1.vtt")).unwrap()
    };
    let of_movie = text("a.mov");
    assert!(of_movie.contains("one") && of_movie == text("a.mp4"), "{of_movie}");
}

#[test]
fn audio_of_one_codec_is_one_group_and_no_variant_is_said_twice() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("three.mp4");
    let mut command = ffmpeg();
    for source in ["testsrc2=s=128x72:r=25:d=2", "sine=440:d=2", "sine=880:d=2", "sine=220:d=2"] {
        command.args(["-f", "lavfi", "-i", source]);
    }
    let options = "-map 0 -map 1 -map 2 -map 3 -ac:a:0 2 -ac:a:1 2 -ac:a:2 1 -metadata:s:a:0 language=eng \
                   -metadata:s:a:1 language=fra -metadata:s:a:2 language=eng";
    assert!(
        command.args(options.split_whitespace()).args(["-c:a", "aac"]).arg(&path).status().unwrap().success()
    );
    let mut job = job(&path, "widevine", "cenc");
    job.tracks = vec![drm_pack::job::TrackFacts::parse("a3:role=description").unwrap()];
    let out = folder.path().join("out");
    pack(&job, &out).unwrap();
    let master = fs::read_to_string(out.join("master.m3u8")).unwrap();
    assert_eq!(master.matches("#EXT-X-STREAM-INF").count(), 1, "{master}");
    assert_eq!(master.matches("TYPE=AUDIO").count(), 3, "{master}");
}

#[test]
fn languages_in_one_codec_each_are_said_and_groups_set_them_apart() {
    if !ffmpeg_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = made(&folder, "dvb.ts", &format!("{AVC}:0 aac -c:a:1 ac3"));
    let variants = |job: &drm_pack::job::Job, out: &str| {
        let out = folder.path().join(out);
        let warnings = pack(job, &out).unwrap().warnings;
        let master = fs::read_to_string(out.join("master.m3u8")).unwrap();
        let variants = master.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF"));
        (warnings.join("\n"), variants.map(str::to_owned).collect::<Vec<_>>())
    };
    let mut job = job(&path, "widevine", "cenc");
    let (said, both) = variants(&job, "both");
    assert!(both.iter().all(|variant| variant.contains("mp4a.40.2,ac-3")), "{both:?}");
    let remedy = "in groups of their own: --track a1:group=a --track a2:group=b";
    assert!(said.contains(remedy), "{said}");
    job.tracks = remedy
        .split(' ')
        .filter(|word| word.contains(":group="))
        .map(|word| drm_pack::job::TrackFacts::parse(word).unwrap())
        .collect();
    let (said, apart) = variants(&job, "apart");
    assert!(!said.contains("plays none"), "{said}");
    assert!(apart.iter().any(|variant| !variant.contains("ac-3")), "{apart:?}");
}
