//! Keys that change: every crypto period has its own key, and every reader is told where it needs to be.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use drm_pack::base::{Kid, Result};
use drm_pack::codec::TrackKind;
use drm_pack::cpix::{self, Document};
use drm_pack::drm::{self, ManifestKind};
use drm_pack::io::HttpClient;
use drm_pack::isobmff::boxes::{Sbgp, Senc, Sgpd};
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::fragment::TrackFragment;
use drm_pack::isobmff::track::{tracks, trexes};
use drm_pack::isobmff::{BoxNode, parse_file};
use drm_pack::job::{Job, Layout};
use drm_pack::keys::{DevKeys, KeyFile, KeyServer, SpekeVersion, check};
use drm_pack::package::{
    Changed, EncryptedTrack, FragmentEdit, Intent, KeyRule, Preset, Schedule, ServerSignaling, TrackId,
    Treatment, rewrite,
};
use drm_pack::protect::{FragmentDecryptor, Protected, Scheme, protected_entry};

use crate::clear_lead::{check_decrypted, shape};
use crate::support::media::root;
use crate::support::pack::{job, key, pack, packages};

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
fn keys_that_do_not_come_to_change_are_signaled_as_one_key() {
    let out = tempfile::tempdir().unwrap();
    pack(&rotating("dash/manifest.mpd", "widevine", "cenc", 100), out.path()).unwrap();
    let mpd = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
    assert!(mpd.contains("cenc:default_KID") && mpd.contains("cenc:pssh"), "{mpd}");
}

#[test]
fn later_periods_have_a_group_and_pssh_in_each_fragment() {
    for (scheme, preset) in [("cenc", Preset::Preset0), ("cbcs", Preset::Preset1)] {
        let out = tempfile::tempdir().unwrap();
        let job = Job { preset, ..rotating("dash/manifest.mpd", "widevine+playready", scheme, 2) };
        let report = pack(&job, out.path()).unwrap();
        let rotation = report.key_rotation.as_ref().unwrap();
        assert_eq!((rotation.every, rotation.periods), (Some(2), 3), "sound has a fifth segment");
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
}

/// Decrypts fragments by their own groups, or as the first sample entry says.
struct ByGroup {
    protected: Protected,
    kids: HashSet<Kid>,
}

impl FragmentEdit for ByGroup {
    fn moov(&mut self, moov: &mut BoxNode) -> Result<()> {
        self.protected = protected_entry(&tracks(moov)?[0].sample_entries[0])?.unwrap();
        Ok(())
    }

    fn fragment(
        &mut self,
        moof: &mut BoxNode,
        fragments: &[TrackFragment],
        data: &mut [u8],
        data_position: u64,
    ) -> Result<Changed> {
        let traf = moof.find(&[b"traf"]).unwrap();
        let mut tenc = self.protected.tenc.clone();
        if let Some(sgpd) = traf.find(&[b"sgpd"]) {
            let entry = Sgpd::parse(sgpd.payload())?.unwrap().entries.remove(0);
            let pattern = (tenc.default_crypt_byte_block, tenc.default_skip_byte_block);
            assert_eq!((entry.crypt_byte_block, entry.skip_byte_block), pattern, "the pattern of tenc");
            assert_eq!(entry.per_sample_iv_size, tenc.default_per_sample_iv_size);
            (tenc.default_kid, tenc.default_constant_iv) = (entry.kid, entry.constant_iv);
        }
        let Some(senc) = traf.find(&[b"senc"]) else { return Ok(Changed::No) };
        self.kids.insert(tenc.default_kid);
        let entries = Senc::parse(senc.payload(), tenc.default_per_sample_iv_size)?.entries;
        let decryptor =
            FragmentDecryptor::new(self.protected.scheme()?, tenc.clone(), &key(tenc.default_kid));
        for (index, sample) in fragments[0].samples.iter().enumerate() {
            let start = usize::try_from(sample.position - data_position).unwrap();
            let entry = entries.get(index).cloned().unwrap_or_default();
            decryptor.decrypt(&mut data[start..start + sample.size as usize], &entry)?;
        }
        Ok(Changed::Yes)
    }
}

fn payload(bytes: &[u8]) -> Vec<u8> {
    let boxes = parse_file(bytes).unwrap();
    boxes.iter().filter(|node| node.is(b"mdat")).flat_map(|node| node.payload().to_vec()).collect()
}

/// Decrypts the files of one rendition, the first with its init segment, and compares each with its source.
fn check_rendition(input: &Path, out: &Path, names: &[&str]) -> HashSet<Kid> {
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    let init = moov(&read(out, names[0])).unwrap();
    let protected = protected_entry(&tracks(&init).unwrap()[0].sample_entries[0]).unwrap().unwrap();
    let mut edit = ByGroup { protected, kids: HashSet::new() };
    for name in names {
        let mut back = Vec::new();
        rewrite(&read(out, name), &mut back, &trexes(&init).unwrap(), &mut edit).unwrap();
        assert!(payload(&back) == payload(&read(input, name)), "{name}");
    }
    edit.kids
}

#[test]
fn the_key_of_each_fragments_group_gives_the_source() {
    let folders = |folder: &str, numbers: std::ops::RangeInclusive<u32>, init: &str| -> Vec<String> {
        let files = numbers.map(|number| format!("{folder}/{number}.m4s"));
        std::iter::once(format!("{folder}/{init}")).chain(files).collect()
    };
    let cases = [
        ("dash/manifest.mpd", vec![folders("0", 1..=4, "init.mp4"), folders("2", 1..=5, "init.mp4")]),
        ("hls/master.m3u8", vec![folders("v1", 0..=3, "init_0.mp4"), folders("audio", 0..=3, "init_2.mp4")]),
        ("hls-byterange/master.m3u8", vec![vec!["v1/media.mp4".into()], vec!["audio/media.mp4".into()]]),
        ("dash-segment-base/manifest.mpd", vec![vec!["video.mp4".into()], vec!["audio.mp4".into()]]),
    ];
    for (input, renditions) in cases {
        for (scheme, preset, lead) in
            [("cenc", Preset::Preset0, 0.0), ("cbcs", Preset::Preset1, 0.0), ("cbcs", Preset::Preset0, 2.0)]
        {
            let out = tempfile::tempdir().unwrap();
            let job = Job { preset, clear_lead: lead, ..rotating(input, "widevine", scheme, 1) };
            pack(&job, out.path()).unwrap();
            let folder = root().join("fixtures/clip").join(input).parent().unwrap().to_owned();
            for names in &renditions {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let kids = check_rendition(&folder, out.path(), &names);
                assert!(kids.len() >= 3, "{input} {}: {} keys", names[0], kids.len());
            }
        }
    }
}

#[test]
fn decrypting_undoes_key_changes_and_leads() {
    for (input, drm) in packages() {
        for (scheme, preset, clear_lead) in [("cenc", Preset::Preset0, 2.0), ("cbcs", Preset::Preset1, 0.0)] {
            let out = tempfile::tempdir().unwrap();
            let job = Job { rotate_every: Some(1), preset, clear_lead, ..job(&input, drm, scheme) };
            pack(&job, out.path()).unwrap();
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
    let encrypted_track = |kind| EncryptedTrack {
        pixels: Some(10),
        channels: Some(2),
        ..EncryptedTrack::new(TrackId::new(kind, 1))
    };
    let encrypted_tracks = [TrackKind::Video, TrackKind::Audio].map(encrypted_track);
    let schedule = Schedule { rotate_every: NonZeroU32::new(2), ..Schedule::default() };
    let intent = Intent {
        content_id: "channel",
        treatment: Treatment::Samples(Scheme::find("cbcs").unwrap()),
        keys: &KeyRule::Preset(Preset::Preset1).assign(&encrypted_tracks).unwrap(),
        systems: &drm::parse_list("widevine").unwrap(),
        manifests: &[ManifestKind::Dash],
        vector: None,
        skd_template: "skd://{kid}",
        periods: schedule.periods(6).unwrap(),
        server_signaling: ServerSignaling::default(),
        license_urls: &[],
        session_keys: true,
        schedule,
    };
    intent.request()
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
fn a_schedule_file_goes_by_order() {
    let http = HttpClient::new().unwrap();
    let line = |byte: u8| {
        format!("{}:{}\n", format!("{byte:02x}").repeat(16), format!("{:02x}", byte + 1).repeat(16))
    };
    let ordered: String = (1..=6).map(line).collect();
    let answer = KeyFile::parse(&ordered).unwrap().exchange(&http, request()).unwrap();
    assert_eq!(first_bytes(&answer), [1, 2, 3, 4, 5, 6]);
    let short = KeyFile::parse(&ordered[..ordered.len() / 2]).unwrap();
    let error = short.exchange(&http, request()).unwrap_err().to_string();
    assert!(error.contains("has 3 keys, wanted are 6: v1@0, a1@0, v1@1"), "{error}");
}

#[cfg(feature = "server")]
#[test]
fn the_key_server_gives_each_rule_of_each_period_a_key() {
    use drm_pack::server::{Answers, Fault, Says, speke};
    for version in speke::VERSIONS {
        let dialect = SpekeVersion::find(version.speke).unwrap();
        let written = dialect.write(&request()).unwrap();
        let (keys, says) = (&DevKeys::new("seed"), &Says::default());
        let dev = |fault| Answers { keys, says, key_uri: "", fault };
        let answer = cpix::read(&speke::answer(&dev(Fault::None), version, &written).unwrap()).unwrap();
        let checked = check(&request(), answer).unwrap();
        let values: HashSet<_> =
            checked.content_keys.iter().map(|key| *key.value.as_ref().unwrap().expose()).collect();
        assert_eq!((values.len(), checked.periods.len()), (6, 3));
        // Other key ids are told apart by track type and period.
        let replaced = speke::answer(&dev(Fault::ReplacedKids), version, &written).unwrap();
        let checked = check(&request(), cpix::read(&replaced).unwrap()).unwrap();
        let asked = request();
        for (asked, got) in asked.content_keys.iter().zip(&checked.content_keys) {
            assert_eq!(asked.kid.bytes().map(|byte| !byte), *got.kid.bytes());
        }
    }
}
