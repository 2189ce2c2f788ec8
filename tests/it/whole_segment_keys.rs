//! Keys of whole segments from key servers: asked for as a DRM system, addressed as the server says — SPEKE 1.0 and 2.0,
//! RFC 8216bis §4.4.4.4.

use std::fs;
use std::path::Path;

use drm_pack::base::env::Request;
use drm_pack::base::{Kid, Result};
use drm_pack::cpix::{self, DrmSystem, whole_segments};
use drm_pack::job::{Job, Report};
use drm_pack::keys::{Speke, SpekeVersion};
use drm_pack::package::{Preset, ServerSignaling};

use crate::support::files::tree;
use crate::support::key_server::{Server, filled};
use crate::support::media::root;
use crate::support::pack::unpack;

fn clip() -> Job {
    Job {
        inputs: vec![root().join("fixtures/clip/hls/master.m3u8").to_str().unwrap().to_owned()],
        drm: "simpleaes".into(),
        resource_id: Some("film-7".into()),
        ..Job::default()
    }
}

/// Every key tag of a packed folder, each once.
fn tags(out: &Path) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for (name, bytes) in tree(out).iter().filter(|(name, _)| name.ends_with(".m3u8")) {
        let text = String::from_utf8(bytes.clone()).unwrap_or_else(|_| panic!("{name}"));
        tags.extend(text.lines().filter(|line| line.starts_with("#EXT-X-KEY:")).map(str::to_owned));
    }
    tags.sort();
    tags.dedup();
    tags
}

const IV: &str = "000102030405060708090a0b0c0d0e0f";

/// Packs with a server of SPEKE 2.0 whose key tag this makes of a key id.
fn packed(job: &Job, line: fn(Kid) -> String) -> Result<(Report, Vec<String>)> {
    let rule = move |request: &Request| {
        let mut answer = filled(request);
        let is_asked = |system: &DrmSystem| {
            system.system_id == whole_segments::SYSTEM_ID && system.hls_signaling_data.media.is_some()
        };
        if !answer.drm_systems.iter().all(is_asked) || answer.drm_systems.is_empty() {
            return Err("no DRMSystem for AES-128");
        }
        if answer.content_keys.iter().any(|key| key.common_encryption_scheme != Some(whole_segments::SCHEME))
        {
            return Err("Missing ContentKey@commonEncryptionScheme");
        }
        for system in &mut answer.drm_systems {
            system.hls_signaling_data.media = Some(line(system.kid));
        }
        Ok(cpix::write(&answer))
    };
    let server = Server::new(&rule);
    let keys = Speke::new("https://keys.example", Vec::new(), SpekeVersion::V2_0).unwrap();
    let (report, out) = server.pack(job, &keys)?;
    unpack(&out.path().join("master.m3u8"), tempfile::tempdir().unwrap().path()).unwrap();
    Ok((report, tags(out.path())))
}

fn good(kid: Kid) -> String {
    format!("#EXT-X-KEY:METHOD=AES-128,URI=\"https://k.example/{kid}?x=1\",KEYFORMAT=\"identity\",IV=0x{IV}")
}

#[test]
fn address_iv_and_format_are_those_of_the_servers_tag() {
    let job = Job { preset: Preset::Preset1, ..clip() };
    let (report, tags) = packed(&job, good).unwrap();
    assert!(
        report.warnings.is_empty() && tags.len() == report.tracks.len(),
        "{:?} {tags:?}",
        report.warnings
    );
    for track in &report.tracks {
        let line = format!(
            "#EXT-X-KEY:METHOD=AES-128,URI=\"https://k.example/{}?x=1\",IV=0x{IV},KEYFORMAT=\"identity\"",
            track.kid
        );
        assert!(tags.contains(&line), "{line} {tags:?}");
    }
    // Without an IV that of each segment is its media sequence number.
    let without = |kid: Kid| good(kid).replace(&format!(",IV=0x{IV}"), "");
    let (_, tags) = packed(&clip(), without).unwrap();
    assert!(tags.iter().all(|tag| !tag.contains("IV=")), "{tags:?}");
    // The operator's address is for servers that have none.
    let job = Job { key_uri: Some("https://mine.example/{kid}".into()), ..clip() };
    let (report, tags) = packed(&job, good).unwrap();
    assert!(report.warnings.iter().any(|warning| warning.contains("not that of --key-uri")), "{tags:?}");
    assert!(tags.iter().all(|tag| tag.contains("k.example")), "{tags:?}");
    let (report, tags) = packed(&job, |_| String::new()).unwrap();
    assert!(report.warnings.is_empty() && tags.iter().all(|tag| tag.contains("mine.example")), "{tags:?}");
}

#[test]
fn what_contradicts_whole_segments_is_refused_or_replaced() {
    let method = |kid: Kid| good(kid).replace("AES-128", "SAMPLE-AES");
    let one_address = |kid: Kid| good(kid).replace(&kid.to_string(), "one");
    let with_iv = Job { vector: Some("11".repeat(16)), ..clip() };
    let each = Job { preset: Preset::Preset1, ..clip() };
    for (job, line, words) in [
        (&clip(), method as fn(Kid) -> String, &["SAMPLE-AES", "AES-128 for whole segments"][..]),
        (&with_iv, good, &[IV, "1111111111111111"]),
        (&each, one_address, &["one key URI for the keys"]),
        (&clip(), |_| String::new(), &["no key URI", "--key-uri"]),
        (&clip(), |kid| format!("{0}\n{0}", good(kid)), &["2 EXT-X-KEY tags"]),
    ] {
        let error = packed(job, line).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
    }
    let replaced = Job {
        server_signaling: ServerSignaling::Replace,
        key_uri: Some("https://mine.example/{kid}".into()),
        ..with_iv.clone()
    };
    let (report, tags) = packed(&replaced, good).unwrap();
    assert!(report.warnings.iter().any(|warning| warning.contains("replaced by our own")));
    assert!(tags.iter().all(|tag| tag.contains("mine.example") && tag.contains("IV=0x1111")), "{tags:?}");
    let warned = Job { server_signaling: ServerSignaling::Warn, ..clip() };
    let (report, tags) = packed(&warned, method).unwrap();
    assert!(report.warnings.iter().any(|warning| warning.contains("passed on")));
    assert!(tags.iter().all(|tag| tag.contains("METHOD=AES-128") && tag.contains("k.example")), "{tags:?}");
}

#[test]
fn a_document_for_samples_is_none_for_whole_segments() {
    let keys = "1".repeat(32);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.xml");
    let kid = Kid::new([7; 16]);
    let text = |scheme: &str| {
        format!(
            "<CPIX xmlns=\"urn:dashif:org:cpix\"><ContentKeyList><ContentKey kid=\"{kid}\" \
             commonEncryptionScheme=\"{scheme}\"><Data><Secret xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\">\
             <PlainValue>EBESExQVFhcYGRobHB0eHw==</PlainValue></Secret></Data></ContentKey></ContentKeyList>\
             <DRMSystemList><DRMSystem kid=\"{kid}\" systemId=\"{}\"><URIExtXKey>{}</URIExtXKey></DRMSystem>\
             </DRMSystemList></CPIX>",
            whole_segments::SYSTEM_ID,
            "aHR0cHM6Ly9rLmV4YW1wbGUvb2xk",
        )
    };
    let pack = |scheme: &str, out: &str| {
        fs::write(&file, text(scheme)).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_drm-pack"));
        command
            .arg("pack")
            .arg(&clip().inputs[0])
            .args(["--drm", "simpleaes", "--json", "--cpix"])
            .arg(&file);
        command.arg("--out").arg(folder.path().join(out)).output().unwrap()
    };
    let refused = pack("cbcs", "a");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("keys of a document that are for cbcs"), "{said}");
    assert!(!said.contains(&keys));
    for (scheme, out) in [("AES-128", "b"), ("cbc1", "c")] {
        let done = pack(scheme, out);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let tags = tags(&folder.path().join(out));
        assert!(tags.iter().all(|tag| tag.contains("URI=\"https://k.example/old\"")), "{tags:?}");
    }
}

#[cfg(feature = "server")]
mod with_the_development_server {
    use drm_pack::base::env::Http;
    use drm_pack::io::{FileStore, HttpClient};
    use drm_pack::job::{DecryptJob, Env, run};
    use drm_pack::keys::{DevKeys, Dialect, DrmToday};
    use drm_pack::server::{Settings, start};
    use secrecy::SecretString;

    use super::*;
    use crate::support::key_server::account;
    use crate::support::pack::{decrypt_with, open_input};

    #[test]
    fn every_version_gives_keys_that_players_can_fetch() {
        let secret = |text: &str| SecretString::from(text);
        let server = start(Settings::new(secret("seed"), "user", secret("password"))).unwrap();
        let http = HttpClient::new().unwrap();
        for version in [SpekeVersion::V1, SpekeVersion::V2_0, SpekeVersion::V2_1] {
            let account = account(&server, "user", "password");
            let keys = DrmToday::new(account).unwrap().with_dialect(Dialect::from(version));
            let out = tempfile::tempdir().unwrap();
            let store = FileStore::new(out.path());
            let env = Env {
                open_input: &open_input,
                output: &store,
                keys: &keys,
                http: &http,
                journal: None,
                observe: &|_| {},
            };
            let preset = if version == SpekeVersion::V1 { Preset::Preset0 } else { Preset::Preset1 };
            let report = run(&Job { preset, ..clip() }, &env).unwrap();
            let dev = DevKeys::new("seed");
            for tag in tags(out.path()) {
                let (_, rest) = tag.split_once("URI=\"").unwrap();
                let (url, rest) = rest.split_once('"').unwrap();
                let kid = Kid::parse(url.rsplit('/').next().unwrap()).unwrap();
                assert!(rest.ends_with(",KEYFORMAT=\"identity\",KEYFORMATVERSIONS=\"1\""), "{tag}");
                assert!(report.tracks.iter().any(|track| track.kid == kid.to_string()), "{tag}");
                let get = |url: &str| {
                    let request =
                        Request { method: "GET", url: url.to_owned(), headers: Vec::new(), body: Vec::new() };
                    http.send(&request).unwrap()
                };
                assert_eq!(get(url).body, dev.key(kid).unwrap().expose().as_slice());
                let other = url.replace(&kid.hex(), &Kid::new([9; 16]).hex());
                assert_eq!(get(&other).status, 404);
            }
            let input = out.path().join("master.m3u8");
            let job = DecryptJob { inputs: vec![input.to_str().unwrap().to_owned()], key_store: &dev };
            let clear = tempfile::tempdir().unwrap();
            decrypt_with(&job, clear.path()).unwrap();
            let source = root().join("fixtures/clip/hls");
            let found = tree(clear.path());
            let media = found.iter().filter(|(name, _)| name.ends_with(".m4s"));
            assert!(
                media.map(|(name, bytes)| assert_eq!(fs::read(source.join(name)).unwrap(), *bytes)).count()
                    > 0
            );
        }
    }
}
