//! Answers in the shape of the AWS reference key server — SPEKE 1.0 and 2.0: signaling that is the same for every key, and
//! signaling that is made for each.

use std::fs;
use std::process::Command;

use drm_pack::base::env::Request;
use drm_pack::base::{Kid, Kind, Secret, base64};
use drm_pack::cpix::{self, ContentKey, Document, DrmSystem};
use drm_pack::drm::{self, Signal};
use drm_pack::job::Job;
use drm_pack::keys::{DevKeys, Speke, SpekeVersion};
use drm_pack::package::{Preset, ServerSignaling};
use drm_pack::protect::Scheme;

use crate::support::key_server::Server;
use crate::support::media::root;
use crate::support::pack::{SEED, job};

/// Whose signaling is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// Strings of its settings, made once for another key and for AES-CTR.
    Static,
    /// Strings that fit the key.
    PerKey,
}

/// What a system signals of a key, or of that of the settings.
fn signaled(shape: Shape, key: &ContentKey, asked: &DrmSystem, scheme: &'static Scheme) -> DrmSystem {
    let mut said = DrmSystem::new(asked.system_id, key.kid);
    let mut own = key.clone();
    let system = drm::find_id(asked.system_id).unwrap();
    let mut of = scheme;
    if shape == Shape::Static {
        (own.kid, own.value) = (Kid::new([0x98; 16]), Some(Secret::new([3; 16])));
        of = Scheme::find("cenc").unwrap();
    }
    let of = if system.allows(of) { of } else { scheme };
    let signal = Signal {
        key: &own,
        scheme: of,
        content_id: "reference",
        skd_template: "skd://{kid_guid}",
        track: "v1",
        license_url: None,
    };
    system.signal(&signal, &mut said).unwrap();
    said
}

/// An element with a value in base64.
fn child(name: &str, value: &[u8]) -> String {
    format!("<{name}>{}</{name}>", base64(value))
}

/// The attribute of a key tag.
fn attribute<'a>(line: &'a str, name: &str) -> &'a str {
    line.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest.split('"').next().unwrap())
}

/// What a system is told in SPEKE 1.0.
fn children_1(entry: &DrmSystem, said: &DrmSystem) -> String {
    let media = said.hls_signaling_data.media.as_deref().unwrap_or_default();
    if let Some(pssh) = said.pssh.as_deref().filter(|_| entry.pssh.is_some()) {
        let header = said.smooth_streaming_protection_header_data.as_ref();
        let header = header.map(|text| format!("<speke:ProtectionHeader>{text}</speke:ProtectionHeader>"));
        return header.unwrap_or_default() + &child("cpix:PSSH", pssh);
    }
    child("cpix:URIExtXKey", attribute(media, "URI").as_bytes())
        + &child("speke:KeyFormat", attribute(media, "KEYFORMAT").as_bytes())
        + &child("speke:KeyFormatVersions", b"1")
}

/// What a system is told in SPEKE 2.0, each child that was asked for; prefixes inside are not declared.
fn children_2(entry: &DrmSystem, said: &DrmSystem) -> String {
    let mut children = String::new();
    if let Some(pssh) = said.pssh.as_deref().filter(|_| entry.pssh.is_some()) {
        children += &child("cpix:PSSH", pssh);
    }
    if entry.content_protection_data.is_some() {
        let data = said.content_protection_data.as_deref().unwrap_or_default();
        let data = data.replace(" xmlns:cenc=\"urn:mpeg:cenc:2013\"", "");
        children += &child("cpix:ContentProtectionData", data.as_bytes());
    }
    if entry.hls_signaling_data.media.is_some() {
        let media = said.hls_signaling_data.media.clone().unwrap_or_default();
        for (playlist, line) in [("media", &media), ("master", &media.replace("X-KEY", "X-SESSION-KEY"))] {
            let line = base64(line.as_bytes());
            children +=
                &format!("<cpix:HLSSignalingData playlist=\"{playlist}\">{line}</cpix:HLSSignalingData>");
        }
    }
    children
}

/// A usage rule as it came.
fn rule(rule: &cpix::ContentKeyUsageRule) -> String {
    let filters = [
        ("cpix:VideoFilter", !rule.video_filters.is_empty()),
        ("cpix:AudioFilter", !rule.audio_filters.is_empty()),
    ];
    let filters = filters.iter().filter(|(_, has)| *has).map(|(name, _)| format!("<{name} />"));
    format!(
        "<cpix:ContentKeyUsageRule intendedTrackType=\"{}\" kid=\"{}\">{}</cpix:ContentKeyUsageRule>",
        rule.intended_track_type.as_deref().unwrap_or_default(),
        rule.kid,
        filters.collect::<String>()
    )
}

/// An answer as the server writes it: its own prefixes, an IV for keys of FairPlay alone.
fn answer(shape: Shape, version: SpekeVersion, scheme: &'static Scheme, request: &Document) -> String {
    let dev = DevKeys::new(SEED);
    let is_1 = version == SpekeVersion::V1;
    let (mut keys, mut systems) = (String::new(), String::new());
    for asked in &request.content_keys {
        let mut key = ContentKey { value: Some(dev.key(asked.kid).unwrap()), ..asked.clone() };
        let entries = || request.drm_systems.iter().filter(|entry| entry.kid == asked.kid);
        let is_fairplay = |entry: &DrmSystem| drm::find_id(entry.system_id).unwrap().name() == "fairplay";
        key.explicit_iv = entries().any(is_fairplay).then(|| dev.iv(key.kid).unwrap());
        for entry in entries() {
            let said = signaled(shape, &key, entry, scheme);
            let children = if is_1 { children_1(entry, &said) } else { children_2(entry, &said) };
            systems += &format!(
                "<cpix:DRMSystem kid=\"{}\" systemId=\"{}\">{children}</cpix:DRMSystem>",
                key.kid, entry.system_id
            );
        }
        let iv = key.explicit_iv.map(|iv| format!(" explicitIV=\"{}\"", base64(&iv))).unwrap_or_default();
        let value = base64(key.value.as_ref().unwrap().expose());
        let scheme =
            if is_1 { String::new() } else { format!(" commonEncryptionScheme=\"{}\"", scheme.name) };
        keys += &format!(
            "<cpix:ContentKey{iv} kid=\"{}\"{scheme}><cpix:Data><pskc:Secret><pskc:PlainValue>{value}</pskc:PlainValue>\
             </pskc:Secret></cpix:Data></cpix:ContentKey>",
            key.kid
        );
    }
    let rules: String = request.usage_rules.iter().map(rule).collect();
    let (root, rules) = match version {
        SpekeVersion::V1 => (" xmlns:speke=\"urn:aws:amazon:com:speke\" id=\"reference\"", String::new()),
        _ => (
            " contentId=\"reference\" version=\"2.3\"",
            format!("<cpix:ContentKeyUsageRuleList>{rules}</cpix:ContentKeyUsageRuleList>"),
        ),
    };
    format!(
        "<cpix:CPIX xmlns:cpix=\"urn:dashif:org:cpix\" xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\"{root}>\
         <cpix:ContentKeyList>{keys}</cpix:ContentKeyList><cpix:DRMSystemList>{systems}</cpix:DRMSystemList>{rules}\
         </cpix:CPIX>"
    )
}

/// Inputs with what they are packed for.
const TARGETS: &[(&str, &str, &str)] = &[
    ("hls/master.m3u8", "widevine+playready+fairplay", "cbcs"),
    ("dash/manifest.mpd", "widevine+playready", "cenc"),
    ("dash/manifest.mpd", "widevine+playready", "cbcs"),
    ("mp4/av.mp4", "widevine+playready", "cenc"),
];

#[test]
fn static_signaling_is_refused_or_replaced_and_signaling_of_each_key_is_packed() {
    for version in [SpekeVersion::V1, SpekeVersion::V2_0] {
        for (input, drm, scheme) in TARGETS {
            for shape in [Shape::Static, Shape::PerKey] {
                let scheme = Scheme::find(scheme).unwrap();
                let rule = move |request: &Request| {
                    let asked = cpix::read(&request.body).unwrap();
                    // A request of SPEKE 1 names no lines for playlists, but the parts of one.
                    Ok(answer(shape, version, scheme, &asked).into_bytes())
                };
                let server = Server::new(&rule);
                let keys = Speke::new("https://speke.example/copyProtection", Vec::new(), version).unwrap();
                let preset = if version == SpekeVersion::V1 { Preset::Preset0 } else { Preset::Preset1 };
                let job = Job {
                    preset,
                    resource_id: Some("reference".into()),
                    ..job(&root().join("fixtures/clip").join(input), drm, scheme.name)
                };
                let what = format!("SPEKE {} {input} {drm} {} {shape:?}", version.name(), scheme.name);
                let verified = |job: &Job| {
                    let (report, out) =
                        server.pack(job, &keys).unwrap_or_else(|error| panic!("{what}: {error}"));
                    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
                    let verified =
                        command.arg("verify").arg(out.path()).args(["--dev-keys", SEED]).output().unwrap();
                    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
                    assert!(verified.status.success(), "{what}: {said}");
                    report.warnings
                };
                if shape == Shape::PerKey {
                    let warnings = verified(&job);
                    assert!(
                        warnings.iter().all(|warning| !warning.contains("contradicts")),
                        "{what}: {warnings:?}"
                    );
                    continue;
                }
                let error = server.pack(&job, &keys).unwrap_err();
                assert_eq!(error.kind(), Kind::Keys, "{what}: {error}");
                let text = error.to_string();
                assert!(
                    text.contains("98989898-9898") && text.contains("--server-signaling replace"),
                    "{what}: {text}"
                );
                let replaced = Job { server_signaling: ServerSignaling::Replace, ..job };
                let warnings = verified(&replaced);
                assert!(warnings.iter().any(|warning| warning.contains("replaced by our own")), "{what}");
            }
        }
    }
}

#[test]
fn nothing_is_at_the_output_path_after_a_contradiction() {
    let scheme = Scheme::find("cenc").unwrap();
    let rule = move |request: &Request| {
        let asked = cpix::read(&request.body).unwrap();
        Ok(answer(Shape::Static, SpekeVersion::V2_0, scheme, &asked).into_bytes())
    };
    let server = Server::new(&rule);
    let keys = Speke::new("https://speke.example/copyProtection", Vec::new(), SpekeVersion::V2_0).unwrap();
    let out = tempfile::tempdir().unwrap();
    let store = drm_pack::io::FileStore::new(out.path());
    let job = job(&root().join("fixtures/clip/mp4/av.mp4"), "widevine", "cenc");
    let env = drm_pack::job::Env {
        open_input: &crate::support::pack::open_input,
        output: &store,
        keys: &keys,
        http: &server,
        journal: None,
        observe: &|_| {},
    };
    assert!(drm_pack::job::run(&job, &env).is_err());
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}
