//! What manifests and boxes say of keys besides where they are: license addresses, session keys, what documents ask for.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drm_pack::base::{Kid, Result, SystemId};
use drm_pack::cpix::{self, usage::Strictness};
use drm_pack::cpix::{ContentKey, ContentKeyUsageRule, Document as KeyDocument, DrmSystem, HlsSignalingData};
use drm_pack::drm::Pssh;
use drm_pack::job::{Job, plan};
use drm_pack::keys::{CpixFile, SpekeVersion};
use drm_pack::package::{LicenseUrl, Preset, ServerSignaling};
use drm_pack::xml::{Document, Element};

use crate::support::files::tree;
use crate::support::media::root;
use crate::support::pack::{job, key, open_input, pack, pack_with};

fn clip(name: &str, drm: &str, scheme: &str) -> Job {
    job(&root().join("fixtures/clip").join(name), drm, scheme)
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// Every element of this local name.
fn all<'a>(element: &'a Element, name: &str) -> Vec<&'a Element> {
    let own = (element.local_name() == name).then_some(element);
    own.into_iter().chain(element.elements().flat_map(|child| all(child, name))).collect()
}

/// Every `ContentProtection` of a system in an MPD.
fn descriptors(mpd: &Document, id: &str) -> Vec<Element> {
    let scheme = format!("urn:uuid:{id}");
    let is_of = |element: &&Element| element.attribute("schemeIdUri").unwrap().as_deref() == Some(&scheme);
    let found: Vec<_> = all(mpd.root(), "ContentProtection").into_iter().filter(is_of).cloned().collect();
    assert!(!found.is_empty(), "{id}");
    found
}

fn mpd(folder: &Path) -> Document {
    Document::parse(&fs::read(folder.join("manifest.mpd")).unwrap()).unwrap()
}

const WIDEVINE: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";
const PLAYREADY: &str = "9a04f079-9840-4286-ab92-e65be0885f95";

#[test]
fn license_addresses_are_in_the_mpd_and_in_the_header_of_every_scheme() {
    let urls = [("playready", "https://la.example/pr?a=1&b=2"), ("widevine", "https://la.example/wv")];
    let urls = urls.map(|(system, url)| LicenseUrl::parse(&format!("{system}={url}")).unwrap());
    for (input, scheme) in [("mp4/av.mp4", "cenc"), ("mp4/av.mp4", "cbcs"), ("dash/manifest.mpd", "cenc")] {
        let out = tempfile::tempdir().unwrap();
        let job = Job { license_urls: urls.to_vec(), ..clip(input, "widevine+playready", scheme) };
        pack(&job, out.path()).unwrap();
        for (id, LicenseUrl { url, .. }) in [PLAYREADY, WIDEVINE].iter().zip(&urls) {
            for descriptor in descriptors(&mpd(out.path()), id) {
                let found: Vec<_> =
                    all(&descriptor, "Laurl").iter().map(|element| element.text().unwrap()).collect();
                assert_eq!(found, [url.as_str()], "{scheme} {id}");
            }
        }
        for descriptor in descriptors(&mpd(out.path()), PLAYREADY) {
            let [older] = all(&descriptor, "laurl")[..] else { panic!("no ms:laurl") };
            assert_eq!(older.attribute("licenseUrl").unwrap().as_deref(), Some(urls[0].url.as_str()));
            let object = STANDARD.decode(all(&descriptor, "pro")[0].text().unwrap()).unwrap();
            let header = Document::parse(&[&[0xff, 0xfe], &object[10..]].concat()).unwrap();
            let data = header.root().child("DATA").unwrap();
            assert_eq!(data.child("LA_URL").unwrap().text().unwrap(), urls[0].url);
            // The same object is in the media.
            let is_there = |bytes: &Vec<u8>| bytes.windows(object.len()).any(|window| window == object);
            assert!(tree(out.path()).iter().any(|(name, bytes)| name.ends_with(".mp4") && is_there(bytes)));
        }
    }
}

#[test]
fn license_addresses_that_have_no_place_are_refused() {
    let refused = |drm: &str, texts: &[&str]| {
        let urls: Result<Vec<_>> = texts.iter().map(|text| LicenseUrl::parse(text)).collect();
        let out = tempfile::tempdir().unwrap();
        let job = |license_urls| Job { license_urls, ..clip("hls/master.m3u8", drm, "cbcs") };
        let error = urls.and_then(|urls| pack(&job(urls), out.path())).unwrap_err().to_string();
        assert!(tree(out.path()).is_empty());
        error
    };
    for (drm, texts, words) in [
        ("widevine", &["widevine"][..], "expected SYSTEM=URL"),
        ("widevine", &["widevine=skd://a?token=marked"], "expected an http or https address"),
        ("widevine", &["playready=https://a"], "the DRM systems are widevine"),
        ("widevine", &["widevine=https://a", "widevine=https://b"], "two license addresses"),
        ("fairplay", &["fairplay=https://a"], "which has no place for one"),
        ("widevine", &["widevine=https://a"], "which only an MPD has a place for"),
        ("playready+clearkey", &["playready=https://a", "clearkey=https://b"], "for clearkey, which only"),
    ] {
        let error = refused(drm, texts);
        assert!(error.contains(words), "{error}");
    }
}

/// Systems of which nothing is known: one that has a word, and one that has an id alone.
const OTHERS: [(&str, &str); 2] = [
    ("wiseplay", "3d5e6d35-9b9a-41e8-b843-dd3c6e72c42c"),
    ("0b0c0d0e-1111-2222-3333-444455556666", "0b0c0d0e-1111-2222-3333-444455556666"),
];

/// A document with a key for everything, and what it says of a system in every place.
fn document_for(ids: &[&str]) -> KeyDocument {
    let kid = Kid::new([7; 16]);
    let key = ContentKey { value: Some(key(kid)), ..ContentKey::new(kid) };
    let systems = ids.iter().map(|id| {
        let pssh = Pssh { system_id: SystemId::parse(id).unwrap(), kids: None, data: b"anything".to_vec() };
        let bytes = pssh.write().unwrap();
        let line = format!("METHOD=SAMPLE-AES-CTR,URI=\"data:,{id}\",KEYFORMAT=\"urn:uuid:{id}\"");
        DrmSystem {
            content_protection_data: Some(format!("<x:y xmlns:x=\"urn:x\">{id}</x:y>")),
            hls_signaling_data: HlsSignalingData {
                media: Some(format!("#EXT-X-KEY:{line}")),
                multivariant: Some(format!("#EXT-X-SESSION-KEY:{line}")),
                ..HlsSignalingData::default()
            },
            pssh: Some(bytes),
            ..DrmSystem::new(pssh.system_id, kid)
        }
    });
    let drm_systems = systems.collect();
    KeyDocument {
        content_keys: vec![key],
        drm_systems,
        usage_rules: vec![ContentKeyUsageRule::new(kid)],
        ..KeyDocument::default()
    }
}

fn file(document: &KeyDocument) -> CpixFile {
    CpixFile::new(document.clone(), Strictness::Speke)
}

#[test]
fn what_a_document_says_of_a_system_that_nobody_knows_is_passed_on() {
    for (word, id) in OTHERS {
        for word in [word, id, "other"] {
            let out = tempfile::tempdir().unwrap();
            let document = document_for(&[id]);
            let job = clip("mp4/av.mp4", &format!("widevine+{word}"), "cenc");
            let report = pack_with(&job, out.path(), &file(&document)).unwrap();
            assert!(!report.warnings.iter().any(|warning| warning.contains("not passed on")));
            let pssh = document.drm_systems[0].pssh.clone().unwrap();
            let inits: Vec<_> =
                tree(out.path()).into_iter().filter(|(name, _)| name.ends_with("init.mp4")).collect();
            assert!(inits.len() == 2);
            for (name, bytes) in inits {
                assert!(bytes.windows(pssh.len()).any(|window| window == pssh), "{name}");
            }
            for descriptor in descriptors(&mpd(out.path()), id) {
                assert_eq!(all(&descriptor, "y")[0].text().unwrap(), id);
            }
            let has_line = |name: &str, tag: &str| {
                read(out.path(), name).contains(&format!("{tag}:METHOD=SAMPLE-AES-CTR,URI=\"data:,{id}\""))
            };
            assert!(has_line("master.m3u8", "#EXT-X-SESSION-KEY"));
            assert!(has_line("v1.m3u8", "#EXT-X-KEY") && has_line("a1.m3u8", "#EXT-X-KEY"));
        }
    }
}

#[test]
fn what_is_not_passed_on_is_said_and_what_is_not_there_is_an_error() {
    let out = || tempfile::tempdir().unwrap();
    let (wise, other) = (OTHERS[0].1, OTHERS[1].1);
    let both = document_for(&[wise, other]);
    let job = |drm: &str| clip("mp4/av.mp4", drm, "cenc");
    let report = pack_with(&job("widevine"), out().path(), &file(&both)).unwrap();
    let said = format!("signaling for wiseplay, {other}, which is not passed on");
    assert!(report.warnings.iter().any(|warning| warning.contains(&said)), "{:?}", report.warnings);
    let plan = plan(&job("widevine"), &open_input, SpekeVersion::V2_0, Some(&file(&both))).unwrap();
    assert!(plan.warnings.iter().any(|warning| warning.contains(&said)), "{:?}", plan.warnings);
    let refused = |drm: &str, document: &KeyDocument| {
        pack_with(&job(drm), out().path(), &file(document)).unwrap_err().to_string()
    };
    let error = refused("widevine+marlin", &both);
    assert!(error.contains("marlin: the key source says nothing of this system"), "{error}");
    let error = refused("widevine+other", &document_for(&[]));
    assert!(error.contains("the document of keys has no other system"), "{error}");
    let error = pack(&job("widevine+other"), out().path()).unwrap_err().to_string();
    assert!(error.contains("without a document of keys at hand"), "{error}");
    let mut silent = document_for(&[wise]);
    silent.drm_systems[0].hls_signaling_data = HlsSignalingData::default();
    let error = refused("wiseplay", &silent);
    assert!(error.contains("no DRM system has an EXT-X-KEY line"), "{error}");
    let mut foreign = document_for(&[wise]);
    foreign.drm_systems[0].pssh = both.drm_systems[1].pssh.clone();
    let error = refused("widevine+wiseplay", &foreign);
    assert!(
        error.contains(&format!("a box of system {other}")) && error.contains(&wise.to_string()),
        "{error}"
    );
    // Ours stand in the place of a system's that we know.
    let mut foreign = document_for(&["edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"]);
    foreign.drm_systems[0].pssh = both.drm_systems[1].pssh.clone();
    let error = refused("widevine", &foreign);
    assert!(error.contains(&format!("a box of system {other}")), "{error}");
    let replaced = Job { server_signaling: ServerSignaling::Replace, ..job("widevine") };
    pack_with(&replaced, out().path(), &file(&foreign)).unwrap();
}

#[test]
fn what_players_must_be_able_to_do_reaches_every_manifest() {
    let protection =
        "<OutputProtection schemeIdUri=\"urn:mpeg:dash:outputprotection:hdcp:2022\" value=\"2.2\"/>";
    let mut document = document_for(&[WIDEVINE]);
    document.content_keys[0].hls_hdcp_level = Some("TYPE-1".into());
    document.content_keys[0].hdcp_output_protection_data = Some(STANDARD.encode(protection));
    let system = &mut document.drm_systems[0];
    (system.pssh, system.robustness) = (None, Some("HW_SECURE_ALL".into()));
    system.hls_signaling_data = HlsSignalingData {
        multivariant_allowed_cpc: Some("com.example:HIGH".into()),
        ..HlsSignalingData::default()
    };
    for input in ["mp4/av.mp4", "hls/master.m3u8", "dash/manifest.mpd"] {
        let out = tempfile::tempdir().unwrap();
        pack_with(&clip(input, "widevine", "cenc"), out.path(), &file(&document)).unwrap();
        // They are none of what the source has, and nothing that it has not.
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.xml");
        fs::write(&keys, cpix::write(&document)).unwrap();
        let verify = std::process::Command::new(env!("CARGO_BIN_EXE_drm-pack"))
            .arg("verify")
            .arg(out.path())
            .arg("--against")
            .arg(root().join("fixtures/clip").join(input))
            .arg("--cpix")
            .arg(&keys)
            .output()
            .unwrap();
        assert!(!String::from_utf8_lossy(&verify.stdout).contains("source-equal:"), "{verify:?}");
        assert!(verify.status.code() != Some(2) && verify.status.code() != Some(3), "{verify:?}");
        if out.path().join("master.m3u8").exists() {
            let text = read(out.path(), "master.m3u8");
            let mut variants = text.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF")).peekable();
            assert!(variants.peek().is_some());
            let limits = |line: &str| {
                line.contains(",HDCP-LEVEL=TYPE-1") && line.contains(",ALLOWED-CPC=\"com.example:HIGH\"")
            };
            assert!(variants.all(limits), "{text}");
        }
        if out.path().join("manifest.mpd").exists() {
            let mpd = mpd(out.path());
            for set in all(mpd.root(), "AdaptationSet") {
                let names: Vec<_> = set.elements().map(Element::local_name).collect();
                let at = |name| names.iter().rposition(|found| *found == name);
                assert!(at("OutputProtection") > at("ContentProtection"), "{names:?}");
            }
            for descriptor in descriptors(&mpd, WIDEVINE) {
                assert_eq!(descriptor.attribute("robustness").unwrap().as_deref(), Some("HW_SECURE_ALL"));
            }
        }
    }
    for (level, data, words) in [
        ("TYPE-9", protection, "HDCP-LEVEL \"TYPE-9\""),
        ("TYPE-1", "<Other/>", "another element, OutputProtection elements expected"),
        (
            "TYPE-1",
            "<x:OutputProtection schemeIdUri=\"u\"/>",
            "x:OutputProtection with a prefix that is not declared",
        ),
        ("TYPE-1", "<OutputProtection xmlns=\"urn:other\"/>", "namespace \"urn:other\""),
        ("TYPE-1", "<x:OutputProtection xmlns:x=\"urn:other\"/>", "namespace \"urn:other\""),
        ("TYPE-1", "<OutputProtection><y:a/></OutputProtection>", "prefix \"y\" inside OutputProtection"),
    ] {
        document.content_keys[0].hls_hdcp_level = Some(level.into());
        document.content_keys[0].hdcp_output_protection_data = Some(STANDARD.encode(data));
        let out = tempfile::tempdir().unwrap();
        let job = clip("mp4/av.mp4", "widevine", "cenc");
        let error = pack_with(&job, out.path(), &file(&document)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn output_protection_is_written_without_the_prefix_that_it_came_with() {
    let mut document = document_for(&[WIDEVINE]);
    document.drm_systems.clear();
    for data in [
        "<x:OutputProtection xmlns:x=\"urn:mpeg:dash:schema:mpd:2011\" schemeIdUri=\"u\" value=\"1\"/>",
        "<OutputProtection xmlns=\"urn:mpeg:dash:schema:mpd:2011\" schemeIdUri=\"u\" value=\"1\"/>",
    ] {
        document.content_keys[0].hdcp_output_protection_data = Some(STANDARD.encode(data));
        let out = tempfile::tempdir().unwrap();
        pack_with(&clip("dash/manifest.mpd", "widevine", "cenc"), out.path(), &file(&document)).unwrap();
        let text = read(out.path(), "manifest.mpd");
        assert!(text.contains("<OutputProtection schemeIdUri=\"u\" value=\"1\"/>"), "{text}");
        drm_pack::dash::Mpd::parse(text.as_bytes()).unwrap();
    }
}

#[test]
fn session_keys_are_left_out_on_request() {
    for input in ["mp4/av.mp4", "hls/master.m3u8"] {
        for no_session_keys in [false, true] {
            let out = tempfile::tempdir().unwrap();
            pack(&Job { no_session_keys, ..clip(input, "widevine", "cbcs") }, out.path()).unwrap();
            let tags = |name: &str, tag: &str| read(out.path(), name).contains(tag);
            assert_eq!(tags("master.m3u8", "#EXT-X-SESSION-KEY:"), !no_session_keys, "{input}");
            let names: Vec<_> = tree(out.path()).into_keys().collect();
            let media = names.iter().filter(|name| name.ends_with(".m3u8") && *name != "master.m3u8");
            assert!(media.clone().count() > 0 && media.into_iter().all(|name| tags(name, "#EXT-X-KEY:")));
        }
    }
}

#[test]
fn a_plan_advises_against_a_key_for_pictures_and_sound_where_clients_refuse_it() {
    let advises = |drm: &str, preset| {
        let job = Job { preset, ..clip("mp4/av.mp4", drm, "cenc") };
        let plan = plan(&job, &open_input, SpekeVersion::V2_0, None).unwrap();
        plan.warnings.iter().any(|warning| warning.contains("SL3000"))
    };
    assert!(advises("widevine+playready", Preset::Preset0));
    assert!(!advises("widevine+playready", Preset::Preset1));
    assert!(!advises("widevine", Preset::Preset0));
}
