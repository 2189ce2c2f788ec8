//! Tails of segments, and what playlists call the peak bit rate — RFC 8216bis §4.1, §4.4.6.2.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use drm_pack::job::{Job, Layout};
use tempfile::TempDir;

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::pack::{job, pack};

/// Audio of one bit rate, 8.02 s: frames of AAC do not divide evenly.
fn audio(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("a.mp4");
    let arguments =
        ["-v", "error", "-f", "lavfi", "-i", "anoisesrc=d=8.02:a=0.2", "-c:a", "aac", "-b:a", "96k"];
    assert!(ffmpeg().args(arguments).arg(&path).status().unwrap().success());
    path
}

fn durations(out: &Path) -> Vec<f64> {
    let text = fs::read_to_string(out.join("a1.m3u8")).unwrap();
    let durations = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    durations.map(|duration| duration.trim_end_matches(',').parse().unwrap()).collect()
}

/// The value of an attribute that is a number.
fn number(text: &str, name: &str) -> f64 {
    let (_, rest) = text.split_once(name).unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn a_short_tail_joins_the_segment_before_and_counts_for_no_peak() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = audio(&folder);
    for layout in [Layout::Segments, Layout::SingleFile] {
        for (seconds, rotate_every) in [(2.0, None), (2.0, NonZeroU32::new(1)), (0.5, None), (6.0, None)] {
            let out = tempfile::tempdir().unwrap();
            let rotate_every = rotate_every.map(NonZeroU32::get);
            let job = Job {
                layout: Some(layout),
                segment_duration: seconds,
                rotate_every,
                ..job(&input, "widevine", "cenc")
            };
            let report = pack(&job, out.path()).unwrap();
            let durations = durations(out.path());
            let shortest = durations.iter().copied().fold(f64::MAX, f64::min);
            assert!(shortest >= seconds / 2.0, "{durations:?}");
            let sum: f64 = durations.iter().sum();
            assert!((sum - 8.02).abs() < 0.1, "{durations:?}");
            let text = fs::read_to_string(out.path().join("master.m3u8")).unwrap();
            let (peak, mean) = (number(&text, ":BANDWIDTH="), number(&text, "AVERAGE-BANDWIDTH="));
            assert!(mean <= peak && peak <= 1.3 * mean, "{peak} and {mean}");
            let mpd = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
            assert!(number(&mpd, "bandwidth=\"") <= 1.3 * mean);
            if rotate_every.is_some() {
                assert_eq!(report.key_rotation.unwrap().periods, durations.len());
            }
        }
    }
}

#[test]
fn a_tail_under_another_key_or_behind_a_clear_lead_stays_a_segment() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = audio(&folder);
    let out = tempfile::tempdir().unwrap();
    let lead = Job { clear_lead: 6.5, segment_duration: 3.5, ..job(&input, "widevine", "cenc") };
    let report = pack(&lead, out.path()).unwrap();
    assert_eq!(durations(out.path()).len(), 3, "the tail of 1 s is all that is encrypted");
    assert!(report.tracks.iter().all(|track| track.samples > 0));
}
