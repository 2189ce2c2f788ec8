//! What the development key server says besides keys, on its way through the manifests and back — SPEKE 2.1, DASH-IF CPIX
//! 2.4: HDCP, robustness, allowed CPCs, a system of which nothing but the id is known.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use drm_pack::base::env::{Http, Request, Response};
use drm_pack::base::{Result, SystemId, from_base64};
use drm_pack::cpix::{self, Document as KeyDocument};
use drm_pack::io::{FileStore, HttpClient};
use drm_pack::job::{DecryptJob, Env, Job, run};
use drm_pack::keys::{DevKeys, Dialect, DrmToday, SpekeVersion};
use drm_pack::server::{Says, Settings, start};
use drm_pack::xml::Document;
use secrecy::SecretString;

use crate::support::files::tree;
use crate::support::key_server::account;
use crate::support::media::root;
use crate::support::pack::{decrypt_with, job, open_input};

const WISEPLAY: &str = "3d5e6d35-9b9a-41e8-b843-dd3c6e72c42c";
const PROTECTION: &str =
    "<OutputProtection schemeIdUri=\"urn:mpeg:dash:outputprotection:hdcp:2022\" value=\"2.2\"/>";
const CPC: &str = "com.example.drm:HIGH/MEDIUM";

/// The client of the edge, which keeps the last document.
struct Kept {
    client: HttpClient,
    last: Mutex<Vec<u8>>,
}

impl Http for Kept {
    fn send(&self, request: &Request) -> Result<Response> {
        let answer = self.client.send(request)?;
        if answer.body.starts_with(b"<") {
            self.last.lock().unwrap().clone_from(&answer.body);
        }
        Ok(answer)
    }

    fn wait(&self, _milliseconds: u64, _why: &str) {}
}

/// Packs with a server that says everything, in SPEKE 2.1. Gives what it said.
fn packed(job: &Job, out: &Path) -> KeyDocument {
    let secret = |text: &str| SecretString::from(text);
    let mut settings = Settings::new(secret("seed"), "user", secret("password"));
    settings.says = Says {
        hdcp_level: Some("TYPE-1".into()),
        output_protection: Some(PROTECTION.into()),
        robustness: Some("HW_SECURE_ALL".into()),
        allowed_cpc: Some(CPC.into()),
        other_systems: vec![SystemId::parse(WISEPLAY).unwrap()],
    };
    let server = start(settings).unwrap();
    let account = account(&server, "user", "password");
    let keys = DrmToday::new(account).unwrap().with_dialect(Dialect::from(SpekeVersion::V2_1));
    let http = Kept { client: HttpClient::new().unwrap(), last: Mutex::default() };
    let store = FileStore::new(out);
    let env = Env {
        open_input: &open_input,
        output: &store,
        keys: &keys,
        http: &http,
        journal: None,
        observe: &|_| {},
    };
    run(job, &env).unwrap();
    let said = http.last.lock().unwrap();
    cpix::read(&said).unwrap()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Holds what was written to what was said.
fn check(out: &Path, said: &KeyDocument) {
    let files = tree(out);
    let text = |name: &str| files.get(name).map(|bytes| String::from_utf8(bytes.clone()).unwrap());
    let wiseplay: Vec<_> =
        said.drm_systems.iter().filter(|system| system.system_id.to_string() == WISEPLAY).collect();
    assert_eq!(wiseplay.len(), said.content_keys.len());
    let inits = files.iter().filter(|(name, _)| name.contains("init") && name.ends_with(".mp4"));
    for (name, bytes) in inits {
        let has = |system: &&&cpix::DrmSystem| contains(bytes, system.pssh.as_deref().unwrap());
        assert!(wiseplay.iter().any(|system| has(&system)), "{name}");
    }
    if let Some(master) = text("master.m3u8") {
        let mut variants = master.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF")).peekable();
        assert!(variants.peek().is_some());
        let limits = format!(",HDCP-LEVEL=TYPE-1,ALLOWED-CPC=\"{CPC}\"");
        assert!(variants.all(|line| line.contains(&limits)), "{master}");
        let playlists: String = files
            .iter()
            .filter(|(name, _)| name.ends_with(".m3u8"))
            .map(|(_, bytes)| String::from_utf8(bytes.clone()).unwrap())
            .collect();
        for system in &wiseplay {
            let hls = &system.hls_signaling_data;
            for line in [&hls.media, &hls.multivariant] {
                assert!(playlists.contains(line.as_deref().unwrap()), "{line:?}");
            }
        }
    }
    if let Some(mpd) = text("manifest.mpd") {
        Document::parse(mpd.as_bytes()).unwrap();
        assert!(mpd.contains(PROTECTION), "{mpd}");
        for system in &wiseplay {
            assert!(mpd.contains(system.content_protection_data.as_deref().unwrap()), "{mpd}");
        }
        let ours = mpd.matches("robustness=\"HW_SECURE_ALL\"").count();
        let systems = mpd.matches("schemeIdUri=\"urn:uuid:").count();
        assert!(ours > 0 && ours == systems, "{ours} of {systems}: {mpd}");
    }
    for key in &said.content_keys {
        assert_eq!(key.hls_hdcp_level.as_deref(), Some("TYPE-1"));
        let sent = from_base64(key.hdcp_output_protection_data.as_deref().unwrap()).unwrap();
        assert_eq!(sent, PROTECTION.as_bytes());
    }
}

#[test]
fn what_a_server_says_reaches_every_manifest_and_is_gone_again_when_decrypted() {
    let dev = DevKeys::new("seed");
    for (input, manifest) in
        [("mp4/av.mp4", ""), ("hls/master.m3u8", "master.m3u8"), ("dash/manifest.mpd", "manifest.mpd")]
    {
        let source = root().join("fixtures/clip").join(input);
        let out = tempfile::tempdir().unwrap();
        let preset = drm_pack::package::Preset::Preset1;
        let said = packed(&Job { preset, ..job(&source, "widevine+wiseplay", "cbcs") }, out.path());
        check(out.path(), &said);
        let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
        command.arg("verify").arg(out.path()).args(["--dev-keys", "seed", "--against"]).arg(&source);
        let verified = command.output().unwrap();
        assert!(verified.status.success(), "{input}: {}", String::from_utf8_lossy(&verified.stdout));
        if manifest.is_empty() {
            continue;
        }
        let job = DecryptJob {
            inputs: vec![out.path().join(manifest).to_str().unwrap().to_owned()],
            key_store: &dev,
        };
        let clear = tempfile::tempdir().unwrap();
        decrypt_with(&job, clear.path()).unwrap();
        let folder = source.parent().unwrap();
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        let found = text(&clear.path().join(manifest));
        for word in ["HDCP-LEVEL", "ALLOWED-CPC", "OutputProtection", "ContentProtection"] {
            assert!(!found.contains(word), "{found}");
        }
        if manifest == "master.m3u8" {
            let lines = |text: &str| -> Vec<String> {
                let kept = text.lines().filter(|line| !line.starts_with("#EXT-X-VERSION"));
                kept.map(str::to_owned).collect()
            };
            assert_eq!(lines(&found), lines(&text(&folder.join(manifest))));
        }
    }
}
