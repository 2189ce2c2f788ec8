//! Playlists of transport streams and packed audio with sample encryption — RFC 8216bis §4.4.4.4: whole jobs,
//! and back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::job::Job;
use drm_pack::package::Preset;

use crate::support::files::tree;
use crate::support::media::{root, shared};
use crate::support::pack::{job, pack, unpack};
use crate::support::ts::demux;

/// What only FairPlay players play.
fn wish(input: &Path) -> Job {
    job(input, "fairplay", "cbcs")
}

fn inputs() -> Vec<PathBuf> {
    let mut inputs = vec![root().join("fixtures/clip/hls-ts/index.m3u8")];
    if let Some(media) = shared() {
        let names = [
            "hls-raw-aac/manifest.m3u8",
            "hls-multivideo/master.m3u8",
            "hls-ts-aac/playlist.m3u8",
            "hls-ts-h264/prog_index.m3u8",
            "hls-ts-muxed-aac-h264/playlist.m3u8",
        ];
        inputs.extend(names.map(|name| media.join("hls").join(name)));
    }
    inputs
}

/// The lines of a playlist but for what may change.
fn kept_lines(playlist: &[u8]) -> Vec<String> {
    let changes = ["#EXT-X-KEY", "#EXT-X-SESSION-KEY", "#EXT-X-VERSION", "#EXT-X-BYTERANGE"];
    let text = String::from_utf8(playlist.to_vec()).unwrap();
    let kept = text.split('\n').filter(|line| !changes.iter().any(|tag| line.starts_with(tag)));
    kept.map(str::to_owned).collect()
}

/// What a player gets of a file: data of each elementary stream, or the bytes of packed audio.
pub(crate) fn elementary(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.first() != Some(&0x47) {
        return vec![bytes.to_vec()];
    }
    demux(bytes).into_values().flatten().map(|(_, data)| data).collect()
}

/// Packs, decrypts, and compares with the clear folder. Gives the protected folder.
fn there_and_back(wish: &Job) -> BTreeMap<String, Vec<u8>> {
    let input = PathBuf::from(&wish.inputs[0]);
    let place = input.display();
    let clear = tree(input.parent().unwrap());
    let (out, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report = pack(wish, out.path()).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(report.tracks.iter().all(|track| track.samples > 0 && track.scheme == "sample-aes"), "{place}");
    unpack(&out.path().join(input.file_name().unwrap()), back.path()).unwrap();
    let (protected, decrypted) = (tree(out.path()), tree(back.path()));
    assert_eq!(protected.keys().collect::<Vec<_>>(), decrypted.keys().collect::<Vec<_>>(), "{place}");
    for (name, bytes) in &decrypted {
        if name.ends_with(".m3u8") {
            assert_eq!(kept_lines(&protected[name]), kept_lines(&clear[name]), "{place} {name}");
            assert_eq!(kept_lines(bytes), kept_lines(&clear[name]), "{place} {name}");
            assert!(!String::from_utf8_lossy(bytes).contains("-KEY:"), "{place} {name}");
        } else {
            assert!(elementary(bytes) == elementary(&clear[name]), "{place} {name}: other streams");
        }
    }
    protected
}

/// Runs FFmpeg, which makes what no clip has.
fn ffmpeg(arguments: &[&str], folder: &Path) -> Option<()> {
    let mut command = Command::new("ffmpeg");
    let command = command.args(["-nostdin", "-v", "error"]).args(arguments).current_dir(folder);
    let status = command.status().map_err(|_| println!("skipped: ffmpeg is not here")).ok()?;
    assert!(status.success(), "{arguments:?}");
    Some(())
}

/// The clip of a codec as HLS in this folder, its segments in this container: `mpegts`, or packed.
fn hls_of(codec: &str, container: &str, folder: &Path) -> Option<PathBuf> {
    let clip = root().join(format!("fixtures/clip/codecs/{codec}.mp4"));
    let reading =
        ["-i", clip.to_str().unwrap(), "-map", "0", "-c", "copy", "-f", "segment", "-segment_time", "0.5"];
    let list = ["-segment_format", container, "-segment_list", "index.m3u8", "%d.segment"];
    ffmpeg(&[&reading[..], &list].concat(), folder)?;
    Some(folder.join("index.m3u8"))
}

#[test]
fn decrypting_gives_every_elementary_stream_back() {
    for input in inputs() {
        let protected = there_and_back(&wish(&input));
        let clear = tree(input.parent().unwrap());
        for (name, bytes) in protected.iter().filter(|(name, _)| !name.ends_with(".m3u8")) {
            assert!(elementary(bytes) != elementary(&clear[name]), "{} {name} is clear", input.display());
        }
    }
}

/// What a first segment does not have no key was planned for.
#[test]
fn a_stream_that_begins_in_a_later_segment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clip = root().join("fixtures/clip/hls-ts");
    let first =
        ["-i", clip.join("0.ts").to_str().unwrap(), "-map", "0:a", "-c", "copy", "0.ts"].map(str::to_owned);
    let arguments: Vec<&str> = first.iter().map(String::as_str).collect();
    let Some(()) = ffmpeg(&arguments, folder.path()) else { return };
    fs::copy(clip.join("1.ts"), folder.path().join("1.ts")).unwrap();
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0.ts\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST\n";
    fs::write(folder.path().join("index.m3u8"), list).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error =
        pack(&wish(&folder.path().join("index.m3u8")), out.path()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("1.ts") && error.contains("a stream of AVC, which the first segment"), "{error}");
    assert!(!out.path().join("index.m3u8").exists());
}

#[test]
fn keys_that_change_and_a_clear_lead_are_signaled_where_they_begin() {
    let input = root().join("fixtures/clip/hls-ts/index.m3u8");
    let text = |wish: &Job| String::from_utf8(there_and_back(wish)["index.m3u8"].clone()).unwrap();
    let rotated = text(&Job { rotate_every: Some(2), ..wish(&input) });
    assert_eq!(rotated.matches("#EXT-X-KEY:METHOD=SAMPLE-AES").count(), 2, "{rotated}");
    let led = Job { clear_lead: 1.0, ..wish(&input) };
    let clear = fs::read(input.with_file_name("0.ts")).unwrap();
    let protected = there_and_back(&led);
    assert!(protected["0.ts"] == clear && protected["1.ts"] != clear);
    let led = text(&led);
    assert!(led.find("0.ts").unwrap() < led.find("#EXT-X-KEY").unwrap(), "{led}");
}

/// A transport stream in one file: each segment is a byte range, as FFmpeg's `single_file` writes it.
#[test]
fn byte_ranges_and_i_frames_in_them_follow_the_segments() {
    let folder = tempfile::tempdir().unwrap();
    let clip = root().join("fixtures/clip/mp4/av.mp4");
    let arguments = ["-i", clip.to_str().unwrap(), "-c", "copy", "-f", "hls", "-hls_time", "1"];
    let more = ["-hls_playlist_type", "vod", "-hls_flags", "single_file", "index.m3u8"];
    let Some(()) = ffmpeg(&[&arguments[..], &more].concat(), folder.path()) else { return };
    let index = fs::read_to_string(folder.path().join("index.m3u8")).unwrap();
    // Its I-frames: the first packets of each segment, of as many bytes as cover the first picture.
    let frames = i_frames(&index, &fs::read(folder.path().join("index.ts")).unwrap());
    fs::write(folder.path().join("frames.m3u8"), &frames).unwrap();
    let multivariant = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.4d400c,mp4a.40.2\"\nindex.m3u8\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"frames.m3u8\"\n";
    fs::write(folder.path().join("master.m3u8"), multivariant).unwrap();
    let protected = there_and_back(&wish(&folder.path().join("master.m3u8")));
    let ranges = |name: &str| ranges(&String::from_utf8(protected[name].clone()).unwrap());
    let (segments, frames) = (ranges("index.m3u8"), ranges("frames.m3u8"));
    assert_eq!(segments.len(), frames.len());
    let stream = &protected["index.ts"];
    assert_eq!(segments.last().unwrap().1, stream.len(), "the ranges cover the file");
    for (segment, frame) in segments.iter().zip(&frames) {
        assert!(segment.0 <= frame.0 && frame.1 <= segment.1, "{segment:?} {frame:?}");
        assert_eq!((stream[frame.0], frame.0 % 188, frame.1 % 188), (0x47, 0, 0));
    }
}

/// Byte ranges of a playlist that gives every offset: start and end.
fn ranges(playlist: &str) -> Vec<(usize, usize)> {
    let values = playlist.lines().filter_map(|line| line.strip_prefix("#EXT-X-BYTERANGE:"));
    let pair = |value: &str| {
        let (length, start) = value.split_once('@').unwrap();
        let (length, start): (usize, usize) = (length.parse().unwrap(), start.parse().unwrap());
        (start, start + length)
    };
    values.map(pair).collect()
}

fn i_frames(index: &str, stream: &[u8]) -> String {
    let mut frames =
        String::from("#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:4\n#EXT-X-I-FRAMES-ONLY\n");
    frames.push_str("#EXT-X-MAP:URI=\"index.ts\",BYTERANGE=\"564@0\"\n");
    for (start, end) in ranges(index) {
        let video = |packet: &&[u8]| packet[1] & 0x5f == 0x41 && packet[2] == 0;
        let starts = stream[start..end].chunks(188).enumerate().filter(|(_, packet)| video(packet));
        let second = starts.map(|(number, _)| number).nth(1).unwrap_or((end - start) / 188);
        frames.push_str(&format!("#EXTINF:1,\n#EXT-X-BYTERANGE:{}@{start}\nindex.ts\n", second * 188));
    }
    frames + "#EXT-X-ENDLIST\n"
}

#[test]
fn every_codec_that_has_sample_encryption_packs_and_the_others_say_why() {
    let cases = [
        ("ac3", "mpegts", None),
        ("eac3", "mpegts", None),
        ("ac3", "ac3", None),
        ("eac3", "eac3", None),
        ("hevc", "mpegts", Some("HEVC")),
        ("mp3", "mpegts", Some("MPEG audio")),
        ("mp3", "mp3", Some("MPEG audio")),
    ];
    for (codec, container, refused) in cases {
        let folder = tempfile::tempdir().unwrap();
        let Some(input) = hls_of(codec, container, folder.path()) else { return };
        let Some(words) = refused else {
            there_and_back(&wish(&input));
            continue;
        };
        let out = tempfile::tempdir().unwrap();
        let error = pack(&wish(&input), out.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{codec} in {container}: {error}");
        assert!(tree(out.path()).is_empty());
    }
}

#[test]
fn what_no_player_would_play_is_refused_before_keys_are_asked_for() {
    let input = root().join("fixtures/clip/hls-ts/index.m3u8");
    for (wish, words) in [
        (job(&input, "widevine", "cbcs"), "do not decrypt sample encryption of transport streams"),
        (job(&input, "fairplay+playready", "cbcs"), "do not decrypt sample encryption of transport streams"),
        (Job { preset: Preset::Preset1, ..wish(&input) }, "need two keys"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let error = pack(&wish, out.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(tree(out.path()).is_empty(), "{words}");
    }
}
