//! What manifests say of a track is what other packagers say: codecs, frame rate, pixels, channels, sampling rate — RFC 6381,
//! ISO/IEC 23009-1 §5.3.7.2.

use std::fs;
use std::path::{Path, PathBuf};

use drm_pack::job::Format;

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::media::root;
use crate::support::pack::{job, pack};

/// A clip, what we say of its codec, what Shaka Packager 3.8 says, and why they differ if they do.
const CLIPS: &[(&str, &str, &str, &str)] = &[
    ("mp4/video_180.mp4", "avc1.4d400c", "avc1.4d400c", ""),
    ("mp4/video_360.mp4", "avc1.64001e", "avc1.64001e", ""),
    ("mp4/audio.m4a", "mp4a.40.2", "mp4a.40.2", ""),
    ("codecs/avc_interlaced.mp4", "avc1.640015", "avc1.640015", ""),
    ("codecs/hevc.mp4", "hvc1.1.6.L60.90", "hvc1.1.6.L60.90", ""),
    (
        "codecs/mv_hevc.mp4",
        "hvc1.1.6.L30.90",
        "hvc1.6.40.L30.9f",
        "the base layer is what a player of one view needs",
    ),
    ("codecs/av1.mp4", "av01.0.00M.08", "av01.0.00M.08", ""),
    ("codecs/vp9.mp4", "vp09.00.11.08.01.02.02.02.00", "vp09.00.11.08.01.02.02.02.00", ""),
    ("codecs/ac3.mp4", "ac-3", "ac-3", ""),
    ("codecs/eac3.mp4", "ec-3", "ec-3", ""),
    ("codecs/opus.mp4", "Opus", "opus", "RFC 6381 §3.3: the entry's four characters"),
    ("codecs/flac.mp4", "fLaC", "flac", "RFC 6381 §3.3: the entry's four characters"),
    ("codecs/mp3.mp4", "mp4a.6B", "", "Shaka Packager does not read MP3"),
];

/// The first value of an attribute in an MPD.
fn value(mpd: &str, name: &str) -> Option<String> {
    let after = mpd.split_once(&format!(" {name}=\""))?.1;
    Some(after.split('"').next().unwrap().to_owned())
}

/// The channels that an MPD states, as FFmpeg writes a number and we an index of the same value.
fn channels(mpd: &str) -> Option<String> {
    value(mpd.split_once("<AudioChannelConfiguration")?.1, "value")
}

fn ours(clip: &Path, folder: &Path) -> String {
    let mut job = job(clip, "widevine", "cenc");
    job.formats = Some(vec![Format::Dash]);
    pack(&job, folder).unwrap();
    fs::read_to_string(folder.join("manifest.mpd")).unwrap()
}

fn theirs(clip: &Path, folder: &Path) -> String {
    let mpd: PathBuf = folder.join("ffmpeg.mpd");
    let mut command = ffmpeg();
    command.arg("-i").arg(clip).args(["-c", "copy", "-strict", "-2", "-f", "dash"]).arg(&mpd);
    assert!(command.output().unwrap().status.success(), "{}", clip.display());
    fs::read_to_string(mpd).unwrap()
}

#[test]
fn tracks_are_named_as_other_packagers_and_the_standards_name_them() {
    let is_there = ffmpeg_is_there();
    for (clip, expected, shaka, reason) in CLIPS {
        let folder = tempfile::tempdir().unwrap();
        let path = root().join("fixtures/clip").join(clip);
        let ours = ours(&path, &folder.path().join("out"));
        assert_eq!(value(&ours, "codecs").as_deref(), Some(*expected), "{clip}");
        assert_eq!(expected == shaka, reason.is_empty(), "{clip}: {reason}");
        if !is_there {
            continue;
        }
        let theirs = theirs(&path, folder.path());
        let whole = |rate: String| rate.strip_suffix("/1").unwrap_or(&rate).to_owned();
        for name in ["frameRate", "sar", "width", "height", "audioSamplingRate"] {
            let (ours, theirs) = (value(&ours, name), value(&theirs, name));
            // Where a stream does not say it, FFmpeg takes pixels for square.
            let is_silent = name == "sar" && ours.is_none() && theirs.as_deref() == Some("1:1");
            assert!(is_silent || ours.map(whole) == theirs.map(whole), "{clip}: {name}");
        }
        assert_eq!(channels(&ours), channels(&theirs), "{clip}: channels");
        // FFmpeg leaves out what it does not know, and writes all types small.
        let (ours, theirs) = (expected.to_lowercase(), value(&theirs, "codecs").unwrap().to_lowercase());
        let is_mp3 = (ours.as_str(), theirs.as_str()) == ("mp4a.6b", "mp4a.69");
        assert!(ours.starts_with(&theirs) || is_mp3, "{clip}: {ours}, FFmpeg: {theirs}");
    }
}
