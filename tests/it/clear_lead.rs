//! Clear leads: the first segments are clear and say so, the rest is protected, and all of it plays.

use std::fs;
use std::path::Path;

use drm_pack::base::Kid;
use drm_pack::isobmff::boxes::Tfhd;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::parse_file;
use drm_pack::isobmff::track::tracks;
use drm_pack::job::{Job, Layout};
use drm_pack::package::Preset;

use crate::support::case::Case;
use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::media::root;
use crate::support::pack::{job, key, pack, packages, unpack};

fn media_data(path: &Path) -> Vec<u8> {
    let boxes = parse_file(&fs::read(path).unwrap()).unwrap();
    boxes.iter().filter(|node| node.is(b"mdat")).flat_map(|node| node.payload().to_vec()).collect()
}

fn clip(path: &str) -> std::path::PathBuf {
    root().join("fixtures/clip").join(path)
}

fn with_lead(input: &str, scheme: &str, seconds: f64) -> Job {
    Job { clear_lead: seconds, ..job(&clip(input), "widevine+playready", scheme) }
}

/// Which of the `EXT-X-KEY` and segment lines come in which order: `k` and `s`.
pub(crate) fn shape(playlist: &Path) -> String {
    let text = fs::read_to_string(playlist).unwrap();
    let letters = text.lines().filter_map(|line| match line {
        line if line.starts_with("#EXT-X-KEY:") => Some('k'),
        line if line.starts_with('#') || line.is_empty() => None,
        _ => Some('s'),
    });
    letters.collect()
}

#[test]
fn clear_fragments_name_the_clear_sample_entry_and_have_no_auxiliary_information() {
    for scheme in ["cenc", "cbcs"] {
        let out = tempfile::tempdir().unwrap();
        pack(&with_lead("dash/manifest.mpd", scheme, 2.0), out.path()).unwrap();
        for track in ["0", "1", "2"] {
            let init = moov(&fs::read(out.path().join(track).join("init.mp4")).unwrap()).unwrap();
            let entries = &tracks(&init).unwrap()[0].sample_entries;
            let clear = tracks(&moov(&fs::read(clip("dash").join(track).join("init.mp4")).unwrap()).unwrap());
            assert_eq!(entries.len(), 2);
            assert!(entries[0].find(b"sinf").is_some(), "the protected entry is the first");
            assert_eq!(entries[1], clear.unwrap()[0].sample_entries[0]);
            for number in 1..=4 {
                let name = format!("{track}/{number}.m4s");
                let boxes = parse_file(&fs::read(out.path().join(&name)).unwrap()).unwrap();
                let source = media_data(&clip("dash").join(&name));
                let is_clear = number == 1;
                assert_eq!(media_data(&out.path().join(&name)) == source, is_clear, "{name}");
                for moof in boxes.iter().filter(|node| node.is(b"moof")) {
                    let traf = moof.find(&[b"traf"]).unwrap();
                    let tfhd = Tfhd::parse(traf.find(&[b"tfhd"]).unwrap().payload()).unwrap();
                    assert_eq!(tfhd.sample_description_index, Some(if is_clear { 2 } else { 1 }), "{name}");
                    assert_eq!(traf.find(&[b"senc"]).is_none(), is_clear, "{name}");
                    assert!(!is_clear || traf.find(&[b"saiz"]).is_none() && traf.find(&[b"saio"]).is_none());
                    assert!(traf.find(&[b"sgpd"]).is_none());
                }
            }
        }
        let mpd = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
        assert!(mpd.contains("cenc:default_KID") && mpd.contains("cenc:pssh"), "{mpd}");
    }
}

/// A short clip before the feature, with a media initialization section of its own: RFC 8216bis §4.4.4.5.
#[test]
fn a_lead_that_ends_with_the_first_map_has_its_key_before_the_second() {
    let case = Case::all("hls").into_iter().find(|case| case.name() == "maps").unwrap();
    let stage = case.stage();
    let input = stage.path().join("master.m3u8");
    let text = fs::read_to_string(&input).unwrap();
    let (before, _) = text.rsplit_once("#EXT-X-DISCONTINUITY").unwrap();
    for (text, seconds, expected) in [(format!("{before}#EXT-X-ENDLIST\n"), 2.0, "sks"), (text, 1.0, "skss")]
    {
        let out = tempfile::tempdir().unwrap();
        fs::write(&input, text).unwrap();
        pack(&Job { clear_lead: seconds, ..job(&input, "widevine", "cbcs") }, out.path()).unwrap();
        assert_eq!(shape(&out.path().join("master.m3u8")), expected, "{seconds}");
    }
}

#[test]
fn key_lines_stand_where_protection_begins() {
    for (input, playlists) in [
        ("hls/master.m3u8", &["v1/media.m3u8", "v2/media.m3u8", "audio/media.m3u8"][..]),
        ("hls-byterange/master.m3u8", &["v1/media.m3u8", "audio/media.m3u8"]),
    ] {
        for (seconds, expected) in [(0.0, "kkssss"), (1.0, "skksss"), (4.0, "sskkss"), (5.9, "ssskks")] {
            let out = tempfile::tempdir().unwrap();
            let report = pack(&with_lead(input, "cbcs", seconds), out.path()).unwrap();
            assert_eq!(report.clear_lead, (seconds > 0.0).then_some(seconds));
            for name in playlists {
                assert_eq!(shape(&out.path().join(name)), expected, "{name} after {seconds} s");
            }
            let master = fs::read_to_string(out.path().join("master.m3u8")).unwrap();
            assert!(master.contains("#EXT-X-SESSION-KEY:"));
        }
    }
}

#[test]
fn mp4_files_in_both_layouts_have_the_same_lead() {
    for layout in [Layout::Segments, Layout::SingleFile] {
        let out = tempfile::tempdir().unwrap();
        let job = Job { layout: Some(layout), ..with_lead("mp4/av.mp4", "cbcs", 2.0) };
        let report = pack(&job, out.path()).unwrap();
        assert_eq!(shape(&out.path().join("v1.m3u8")), "skksss");
        assert_eq!(shape(&out.path().join("a1.m3u8")), "skksss");
        assert!(report.tracks.iter().all(|track| track.samples > 0 && track.samples < 300));
    }
}

#[test]
fn a_lead_that_leaves_nothing_to_protect_is_an_error() {
    for input in ["dash/manifest.mpd", "hls/master.m3u8", "mp4/av.mp4"] {
        let out = tempfile::tempdir().unwrap();
        let error = pack(&with_lead(input, "cenc", 100.0), out.path()).unwrap_err().to_string();
        assert!(error.contains("every segment begins in what is left clear, 0 to 100 s"), "{error}");
    }
    for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
        let out = tempfile::tempdir().unwrap();
        assert!(pack(&with_lead("mp4/av.mp4", "cenc", seconds), out.path()).is_err());
    }
}

#[test]
fn decrypting_undoes_a_clear_lead() {
    for (input, drm) in packages() {
        for (scheme, preset) in [("cenc", Preset::Preset1), ("cbcs", Preset::Preset0)] {
            let out = tempfile::tempdir().unwrap();
            pack(&Job { clear_lead: 2.0, preset, ..job(&input, drm, scheme) }, out.path()).unwrap();
            check_decrypted(&input, out.path());
        }
    }
}

/// Decrypts a packed package and compares the payload of each media file with the source.
pub(crate) fn check_decrypted(input: &Path, out: &Path) {
    let name = input.file_name().unwrap();
    let back = tempfile::tempdir().unwrap();
    let report = unpack(&out.join(name), back.path()).unwrap();
    let media = report.outputs.iter().filter(|output| !report.manifests.contains(&output.path));
    let mut compared = 0;
    for output in media {
        let source = media_data(&input.parent().unwrap().join(&output.path));
        assert!(media_data(&back.path().join(&output.path)) == source, "{} {}", input.display(), output.path);
        compared += usize::from(!source.is_empty());
    }
    assert!(compared > 0);
}

/// The hashes of the decoded video or audio.
fn decoded(file: &Path, kid: &str) -> String {
    let key = key(Kid::parse(kid).unwrap());
    let hex: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = ffmpeg();
    command.args(["-v", "error", "-decryption_key", &hex, "-i"]).arg(file).args(["-f", "framemd5", "-"]);
    let output = command.output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn ffmpeg_plays_a_clear_lead_like_a_file_without_one() {
    if !ffmpeg_is_there() {
        return;
    }
    for scheme in ["cenc", "cbcs"] {
        let packed = |seconds| {
            let out = tempfile::tempdir().unwrap();
            let layout = Some(Layout::SingleFile);
            let report =
                pack(&Job { layout, ..with_lead("mp4/av.mp4", scheme, seconds) }, out.path()).unwrap();
            let decoded =
                ["v1.mp4", "a1.mp4"].map(|name| decoded(&out.path().join(name), &report.tracks[0].kid));
            assert!(decoded[0].lines().count() > 200 && decoded[1].lines().count() > 300);
            decoded
        };
        assert!(packed(2.0) == packed(0.0), "{scheme}");
    }
}
