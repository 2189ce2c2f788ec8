//! Keys that change: every crypto period has its own key, and every reader is told where it needs to be.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use drm_pack::base::Kid;
use drm_pack::isobmff::boxes::{Sbgp, Sgpd};
use drm_pack::isobmff::parse_file;
use drm_pack::job::{Job, Layout};
use drm_pack::package::Preset;

use crate::clear_lead::{check_decrypted, shape};
use crate::media::root;
use crate::pack::{job, pack, packages};

fn rotating(input: &str, drm: &str, scheme: &str, every: u32) -> Job {
    Job { rotate_every: Some(every), ..job(&root().join("fixtures/clip").join(input), drm, scheme) }
}

/// The key id that the only fragment of a segment names in a group of its own, and the `pssh` boxes of its `moof`.
fn group(segment: &Path) -> (Option<Kid>, usize) {
    let boxes = parse_file(&fs::read(segment).unwrap()).unwrap();
    let moof = boxes.iter().find(|node| node.is(b"moof")).unwrap();
    let first = moof.boxes().iter().position(|node| node.is(b"traf")).unwrap();
    let pssh = moof.boxes().iter().take(first).filter(|node| node.is(b"pssh")).count();
    assert_eq!(moof.all(b"pssh").count(), pssh, "pssh stands before traf");
    let Some(sgpd) = moof.find(&[b"traf", b"sgpd"]) else {
        assert!(moof.find(&[b"traf", b"sbgp"]).is_none());
        return (None, pssh);
    };
    let entries = Sgpd::parse(sgpd.payload()).unwrap().unwrap().entries;
    let sbgp = Sbgp::parse(moof.find(&[b"traf", b"sbgp"]).unwrap().payload()).unwrap();
    assert_eq!((entries.len(), sbgp.entries.len()), (1, 1), "one group for the whole fragment");
    assert_eq!(sbgp.entries[0].group_description_index, 0x1_0001);
    (Some(entries[0].kid), pssh)
}

#[test]
fn later_periods_have_a_group_and_pssh_in_each_fragment() {
    for (scheme, preset) in [("cenc", Preset::Preset0), ("cbcs", Preset::Preset1)] {
        let out = tempfile::tempdir().unwrap();
        let job = Job { preset, ..rotating("dash/manifest.mpd", "widevine+playready", scheme, 2) };
        let report = pack(&job, out.path()).unwrap();
        let rotation = report.key_rotation.as_ref().unwrap();
        assert_eq!((rotation.every, rotation.periods), (2, 3), "sound has a fifth segment");
        for (folder, track) in ["0", "1", "2"].iter().zip(&report.tracks) {
            assert_eq!((track.kids.len(), &track.kid), (3, &track.kids[0]));
            for number in 1..=4_usize {
                let segment = out.path().join(folder).join(format!("{number}.m4s"));
                let period = (number - 1) / 2;
                let kid = Kid::parse(&track.kids[period]).unwrap();
                let expected = if period == 0 { (None, 0) } else { (Some(kid), 2) };
                assert_eq!(group(&segment), expected, "{folder}/{number}");
            }
        }
        let kids: HashSet<_> = report.tracks.iter().flat_map(|track| &track.kids).collect();
        assert_eq!(kids.len(), if preset == Preset::Preset0 { 3 } else { 9 });
        let mpd = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
        assert!(mpd.contains("urn:mpeg:dash:mp4protection:2011") && mpd.contains("urn:uuid:edef8ba9"));
        assert!(!mpd.contains("default_KID") && !mpd.contains("pssh"), "{mpd}");
    }
}

#[test]
fn playlists_have_new_keys_at_each_change() {
    for (every, expected) in [(1, "ksksksks"), (2, "ksskss"), (3, "ksssks"), (9, "kssss")] {
        let out = tempfile::tempdir().unwrap();
        pack(&rotating("hls/master.m3u8", "fairplay", "cbcs", every), out.path()).unwrap();
        assert_eq!(shape(&out.path().join("v1/media.m3u8")), expected, "every {every}");
        let text = fs::read_to_string(out.path().join("v1/media.m3u8")).unwrap();
        let uris: HashSet<_> = text.lines().filter(|line| line.starts_with("#EXT-X-KEY:")).collect();
        assert_eq!(uris.len(), expected.matches('k').count(), "a URI for each key");
        let master = fs::read_to_string(out.path().join("master.m3u8")).unwrap();
        assert_eq!(master.matches("#EXT-X-SESSION-KEY:").count(), 1, "that of the first period");
    }
}

#[test]
fn a_lead_and_periods_go_together() {
    let out = tempfile::tempdir().unwrap();
    let job = Job { clear_lead: 2.0, ..rotating("hls-byterange/master.m3u8", "widevine", "cenc", 1) };
    pack(&job, out.path()).unwrap();
    assert_eq!(shape(&out.path().join("v1/media.m3u8")), "sksksks");
    check_decrypted(Path::new(&job.inputs[0]), out.path());
}

#[test]
fn decrypting_undoes_key_changes() {
    for (input, drm) in packages() {
        for (scheme, preset) in [("cenc", Preset::Preset0), ("cbcs", Preset::Preset1)] {
            let out = tempfile::tempdir().unwrap();
            pack(&Job { rotate_every: Some(1), preset, ..job(&input, drm, scheme) }, out.path()).unwrap();
            check_decrypted(&input, out.path());
        }
    }
}

#[test]
fn mp4_files_in_both_layouts_change_keys_at_the_same_segments() {
    for layout in [Layout::Segments, Layout::SingleFile] {
        let out = tempfile::tempdir().unwrap();
        let job = Job { layout: Some(layout), ..rotating("mp4/av.mp4", "widevine", "cbcs", 2) };
        let report = pack(&job, out.path()).unwrap();
        assert_eq!(report.key_rotation.unwrap().periods, 2);
        for name in ["v1.m3u8", "a1.m3u8"] {
            assert_eq!(shape(&out.path().join(name)), "ksskss", "{name}");
        }
    }
}

#[test]
fn a_key_uri_that_is_the_same_for_all_periods_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let mut job = rotating("hls/master.m3u8", "fairplay", "cbcs", 2);
    job.skd_template = "skd://{content_id}".into();
    assert!(pack(&job, out.path()).is_err());
    job.skd_template = "skd://{track}".into();
    job.preset = Preset::Preset1;
    let error = pack(&job, out.path()).unwrap_err().to_string();
    assert!(error.contains("expected a URI for each key"), "{error}");
    let none = Job { rotate_every: Some(0), ..job };
    assert!(pack(&none, out.path()).unwrap_err().to_string().contains("after 0 segments"));
}
