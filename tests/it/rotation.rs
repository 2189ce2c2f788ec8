//! Keys that change: every crypto period has its own key, and every reader is told where it needs to be.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use drm_pack::base::{Kid, Secret};
use drm_pack::codec::TrackKind;
use drm_pack::cpix::usage::Strictness;
use drm_pack::cpix::{
    self, AudioFilter, ContentKey, ContentKeyPeriod, ContentKeyUsageRule, Document, VideoFilter,
};
use drm_pack::drm::{self, ManifestKind};
use drm_pack::io::HttpClient;
use drm_pack::isobmff::boxes::{Sbgp, Sgpd};
use drm_pack::isobmff::parse_file;
use drm_pack::job::{Job, Layout};
use drm_pack::keys::{CpixFile, DevKeys, KeyFile, KeyServer, SpekeVersion, check};
use drm_pack::package::{Intent, KeyRule, Preset, Schedule, Substream};
use drm_pack::protect::Scheme;

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

/// The request for two tracks with keys of their own in three periods.
fn request() -> Document {
    let substream = |id: &str, kind| Substream { id: id.into(), kind, pixels: Some(10), channels: Some(2) };
    let substreams = [substream("v1", TrackKind::Video), substream("a1", TrackKind::Audio)];
    let schedule = Schedule { rotate_every: NonZeroU32::new(2), ..Schedule::default() };
    let intent = Intent {
        content_id: "channel",
        scheme: Scheme::find("cbcs").unwrap(),
        keys: &KeyRule::Preset(Preset::Preset1).assign(&substreams).unwrap(),
        systems: &drm::parse_list("widevine").unwrap(),
        manifests: &[ManifestKind::Dash],
        vector: None,
        skd_template: "skd://{kid}",
        schedule,
        periods: schedule.periods(6).unwrap(),
    };
    intent.request()
}

/// A key id of one byte.
fn kid(byte: u8) -> Kid {
    Kid::new([byte; 16])
}

fn first_bytes(answer: &Document) -> Vec<u8> {
    answer.content_keys.iter().map(|key| key.kid.bytes()[0]).collect()
}

#[test]
fn requests_have_a_rule_for_each_key_and_period() {
    let request = request();
    assert_eq!(request.content_keys.iter().map(|key| key.kid).collect::<HashSet<_>>().len(), 6);
    let indexes: Vec<_> = request.periods.iter().map(|period| period.index).collect();
    assert_eq!(indexes, [Some(0), Some(1), Some(2)]);
    let rules: Vec<_> = request.usage_rules.iter().map(|rule| request.period_index(rule)).collect();
    assert_eq!(rules, [0, 0, 1, 1, 2, 2].map(Some));
    let version_1 = SpekeVersion::V1.write(&request).unwrap_err().to_string();
    assert!(version_1.contains("3 key periods, a key server of SPEKE 1"), "{version_1}");
}

#[test]
fn a_schedule_file_goes_by_label_and_period_or_by_order() {
    let http = HttpClient::new().unwrap();
    let line = |label: &str, byte: u8| {
        format!("{label}{}:{}\n", format!("{byte:02x}").repeat(16), format!("{:02x}", byte + 1).repeat(16))
    };
    let labelled: String = [("a1@1=", 4), ("v1@0=", 1), ("V1@1=", 3), ("a1@0=", 2), ("v1@2=", 5), ("a1@2=", 6)]
        .map(|(label, byte)| line(label, byte))
        .concat();
    let later = labelled.clone() + &line("v1@3=", 7) + &line("a1@3=", 8);
    let ordered: String = (1..=6).map(|byte| line("", byte)).collect();
    for text in [&labelled, &later, &ordered] {
        let answer = KeyFile::parse(text).unwrap().exchange(&http, request()).unwrap();
        assert_eq!(first_bytes(&answer), [1, 2, 3, 4, 5, 6], "{text}");
    }
    let short = KeyFile::parse(&ordered[..ordered.len() / 2]).unwrap();
    let error = short.exchange(&http, request()).unwrap_err().to_string();
    assert!(error.contains("has 3 keys, wanted are 6: v1@0, a1@0, v1@1"), "{error}");
}

/// A document with a key for pictures and one for sound in each period of these indexes.
fn document(indexes: &[i64]) -> Document {
    let mut document = Document::default();
    for (number, index) in (0..).zip(indexes) {
        let period = ContentKeyPeriod {
            id: Some(format!("period{index}")),
            index: Some(*index),
            ..ContentKeyPeriod::default()
        };
        for (offset, is_video) in [(1, true), (2, false)] {
            let kid = kid(16 * number + offset);
            let value = Some(Secret::new([9; 16]));
            document.content_keys.push(ContentKey { value, ..ContentKey::new(kid) });
            document.usage_rules.push(ContentKeyUsageRule {
                key_period_filters: period.id.clone().into_iter().collect(),
                video_filters: is_video.then(VideoFilter::default).into_iter().collect(),
                audio_filters: (!is_video).then(AudioFilter::default).into_iter().collect(),
                ..ContentKeyUsageRule::new(kid)
            });
        }
        document.periods.push(period);
    }
    document
}

#[test]
fn periods_of_a_document_are_taken_in_the_order_of_their_index() {
    let http = HttpClient::new().unwrap();
    let file = |indexes: &[i64]| CpixFile::new(document(indexes), Strictness::Cpix);
    let answer = file(&[7, 8, 9, 10]).exchange(&http, request()).unwrap();
    assert_eq!(first_bytes(&answer), [0x01, 0x02, 0x11, 0x12, 0x21, 0x22]);
    let answer = file(&[9, 7, 8]).exchange(&http, request()).unwrap();
    assert_eq!(first_bytes(&answer), [0x11, 0x12, 0x21, 0x22, 0x01, 0x02]);
    let error = file(&[7, 8]).exchange(&http, request()).unwrap_err().to_string();
    assert!(error.contains("no key for crypto period 2: the document has 2 periods"), "{error}");
}

#[cfg(feature = "server")]
#[test]
fn the_key_server_gives_each_rule_of_each_period_a_key() {
    use drm_pack::server::{Fault, speke};
    for version in speke::VERSIONS {
        let dialect = SpekeVersion::find(version.speke).unwrap();
        let written = dialect.write(&request()).unwrap();
        let dev = DevKeys::new("seed");
        let answer = cpix::read(&speke::answer(&dev, version, Fault::None, &written).unwrap()).unwrap();
        let checked = check(&request(), answer).unwrap();
        let values: HashSet<_> =
            checked.content_keys.iter().map(|key| *key.value.as_ref().unwrap().expose()).collect();
        assert_eq!((values.len(), checked.periods.len()), (6, 3));
        // Other key ids are told apart by track type and period.
        let replaced = speke::answer(&dev, version, Fault::ReplacedKids, &written).unwrap();
        let checked = check(&request(), cpix::read(&replaced).unwrap()).unwrap();
        let asked = request();
        for (asked, got) in asked.content_keys.iter().zip(&checked.content_keys) {
            assert_eq!(asked.kid.bytes().map(|byte| !byte), *got.kid.bytes());
        }
    }
}
