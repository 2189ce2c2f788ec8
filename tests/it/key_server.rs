//! Faults of key servers against the whole way: a fault either fails with nothing written, or what the
//! answer said stands in the output and the output decrypts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use clap::ValueEnum;
use drm_pack::base::env::{Http, Request, Response, Store};
use drm_pack::base::{Error, Kid, Kind, Result, base64};
use drm_pack::cpix::{self, Document};
use drm_pack::io::{FileStore, HttpClient, OutputDirectory, Overwrite, SystemRandom};
use drm_pack::job::{DecryptJob, Env, Job, decrypt, run};
use drm_pack::keys::{Account, DevKeys, DrmToday, KeyServer};
use drm_pack::package::Preset;
use drm_pack::server::{Fault, Running, Settings, start};
use drm_pack::xml::{Node, parse_fragment};
use secrecy::SecretString;

use crate::media::root;

const USER: &str = "acme::packager";
const PASSWORD: &str = "p&=+% \"marked";

/// The command's client: it keeps answers and waits, and does not sleep.
struct Recorder {
    client: HttpClient,
    answers: Mutex<Vec<Response>>,
    waits: Mutex<Vec<u64>>,
}

impl Recorder {
    fn new() -> Self {
        Self {
            client: HttpClient::new().unwrap(),
            answers: Mutex::new(Vec::new()),
            waits: Mutex::new(Vec::new()),
        }
    }

    /// The last document that came, as the server wrote it.
    fn document(&self) -> Document {
        let answers = self.answers.lock().unwrap();
        let last = answers.iter().rev().find(|answer| answer.status == 200 && answer.body.starts_with(b"<"));
        let mut document = cpix::read(&last.unwrap().body).unwrap();
        document.drop_empty();
        document
    }
}

impl Http for Recorder {
    fn send(&self, request: &Request) -> Result<Response> {
        let answer = self.client.send(request)?;
        self.answers.lock().unwrap().push(answer.clone());
        Ok(answer)
    }

    fn wait(&self, milliseconds: u64) {
        self.waits.lock().unwrap().push(milliseconds);
    }
}

fn settings(fault: Fault) -> Settings {
    let mut settings = Settings::new(SecretString::from("seed"), USER, SecretString::from(PASSWORD));
    settings.fault = fault;
    settings.slow_answer = Duration::from_millis(20);
    settings
}

fn account(server: &Running) -> Account {
    Account {
        auth_url: server.url(),
        frontend_url: server.url(),
        organization: "organization".into(),
        cpix_config: "config".into(),
        user: USER.into(),
        password: SecretString::from(PASSWORD),
    }
}

/// An input with the DRM systems and the scheme that it is packed for.
#[derive(Clone, Copy, Debug)]
struct Target {
    input: &'static str,
    drm: &'static str,
    scheme: &'static str,
}

const HLS: &str = "fixtures/clip/hls/master.m3u8";
const DASH: &str = "fixtures/clip/dash/manifest.mpd";
const TARGETS: &[Target] = &[
    Target { input: HLS, drm: "widevine+playready+fairplay", scheme: "cbcs" },
    Target { input: HLS, drm: "widevine+clearkey", scheme: "cenc" },
    Target { input: DASH, drm: "widevine+playready", scheme: "cbcs" },
    Target { input: DASH, drm: "playready+clearkey", scheme: "cenc" },
];

impl Target {
    fn folder(&self) -> PathBuf {
        root().join(self.input).parent().unwrap().to_owned()
    }

    fn manifest(&self) -> &'static str {
        self.input.rsplit('/').next().unwrap()
    }

    fn pack(&self, preset: Preset, out: &Path, keys: &dyn KeyServer, http: &dyn Http) -> Result<()> {
        let job = Job {
            inputs: vec![root().join(self.input).to_str().unwrap().to_owned()],
            drm: self.drm.into(),
            scheme: Some(self.scheme.into()),
            preset,
            resource_id: Some("asset-1".into()),
            ..Job::default()
        };
        within(out, keys, http, |env| run(&job, env).map(drop))
    }

    fn decrypt(&self, packed: &Path, out: &Path, document: &Document) {
        let find_key = |kid: Kid| document.content_key(kid)?.value.clone();
        let input = packed.join(self.manifest()).to_str().unwrap().to_owned();
        let job = DecryptJob { inputs: vec![input], find_key: &find_key };
        within(out, &DevKeys::new(""), &Recorder::new(), |env| decrypt(&job, env).map(drop)).unwrap();
    }
}

/// Runs a job that writes to `out`.
fn within(
    out: &Path,
    keys: &dyn KeyServer,
    http: &dyn Http,
    job: impl FnOnce(&Env<'_>) -> Result<()>,
) -> Result<()> {
    let output = OutputDirectory::begin(out, Overwrite::Refuse)?;
    let locate = |input: &str| {
        let (store, name) = FileStore::of_file(input)?;
        Ok((Box::new(store) as Box<dyn Store>, name))
    };
    job(&Env {
        locate: &locate,
        output: &output.store(),
        keys,
        http,
        random: &SystemRandom,
        observe: &|_| {},
    })?;
    output.publish()
}

/// Every file below a folder by its name in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, out);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                out.insert(name, fs::read(path).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(folder, folder, &mut out);
    out
}

/// The payload of every `mdat` of a file.
fn payload(mut file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((size, rest)) = file.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        if rest.starts_with(b"mdat") {
            out.extend(&file[8..size]);
        }
        file = &file[size..];
    }
    out
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

fn is_media(name: &str) -> bool {
    name.ends_with(".m4s")
}

/// Everything that an answer says stands in the output as it was said.
fn assert_signaled(target: &Target, packed: &BTreeMap<String, Vec<u8>>, document: &Document) {
    let text = |name: &str| String::from_utf8(packed[name].clone()).unwrap();
    let inits: Vec<_> =
        packed.iter().filter(|(name, _)| name.contains("init")).map(|(_, bytes)| bytes).collect();
    for key in &document.content_keys {
        let own: Vec<_> = inits.iter().filter(|init| contains(init, key.kid.bytes())).collect();
        assert!(!own.is_empty(), "{target:?}: key {} protects nothing", key.kid);
        for init in own {
            let iv = key.explicit_iv.filter(|_| target.scheme == "cbcs");
            assert!(iv.is_none_or(|iv| contains(init, &[&[16][..], &iv].concat())), "{target:?}: explicitIV");
            for system in document.drm_systems.iter().filter(|system| system.kid == key.kid) {
                let pssh = system.pssh.as_deref().unwrap_or_default();
                assert!(contains(init, pssh), "{target:?}: PSSH of {}", system.system_id);
            }
        }
    }
    for system in &document.drm_systems {
        if target.input == DASH {
            let pssh = base64(system.pssh.as_deref().unwrap_or_default());
            if system.content_protection_data.is_none() {
                assert!(text(target.manifest()).contains(&pssh), "{target:?}: {pssh}");
            }
            let data = system.content_protection_data.as_deref().unwrap_or_default();
            for node in parse_fragment(data).unwrap() {
                let Node::Element(element) = node else { panic!("{target:?}: {data}") };
                assert!(text(target.manifest()).contains(&element.to_text()), "{target:?}: {data}");
            }
            continue;
        }
        for line in system.hls_signaling_data.multivariant.iter().flat_map(|lines| lines.lines()) {
            assert!(text(target.manifest()).lines().any(|found| found == line), "{target:?}: {line}");
        }
        for line in system.hls_signaling_data.media.iter().flat_map(|lines| lines.lines()) {
            let mut playlists = packed.keys().filter(|name| name.ends_with("media.m3u8"));
            let is_there = |name: &String| text(name).lines().any(|found| found == line);
            assert!(playlists.any(is_there), "{target:?}: {line}");
        }
    }
}

/// The output decrypts to the clear input.
fn assert_decrypts(target: &Target, packed: &Path, document: &Document) {
    let out = packed.with_file_name("decrypted");
    target.decrypt(packed, &out, document);
    let (clear, encrypted, decrypted) = (files(&target.folder()), files(packed), files(&out));
    let media: Vec<_> = clear.keys().filter(|name| is_media(name)).collect();
    assert!(!media.is_empty());
    for name in media {
        assert_ne!(payload(&clear[name]), payload(&encrypted[name]), "{target:?}: {name} is clear");
        assert!(payload(&clear[name]) == payload(&decrypted[name]), "{target:?}: {name} differs");
    }
}

/// A failure is of keys, is one line without a secret, and leaves nothing behind.
fn assert_refused(error: &Error, folder: &Path, expected: &str) {
    let text = error.to_string();
    assert_eq!(error.kind(), Kind::Keys, "{text}");
    assert!(text.contains(expected), "{text:?} lacks {expected:?}");
    for part in ["\n", PASSWORD, "ST-", "TGT-"] {
        assert!(!text.contains(part), "{text:?} has {part:?}");
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "{text}: something was left");
}

/// What becomes of a job when the key server has this fault: `None` when the job succeeds, else a part
/// of the message.
fn refusal(fault: Fault, target: &Target) -> Option<&'static str> {
    match fault {
        Fault::None
        | Fault::ReplacedKids
        | Fault::UpperCaseKids
        | Fault::Base64WhiteSpace
        | Fault::PsshPayload
        | Fault::Cpix21
        | Fault::Cpix24
        | Fault::UndeclaredPrefix
        | Fault::BareObject
        | Fault::MissingDrmSystem
        | Fault::UnaskedSignaling
        | Fault::RevokedLogin
        | Fault::OneServerError
        | Fault::TooManyRequests
        | Fault::Slow => None,
        // A license of this system carries the IV, so that one made here would garble the media.
        Fault::MissingIv => target.drm.contains("fairplay").then_some("no IV for key"),
        Fault::WrongKid => Some("wrong KID"),
        Fault::ShortKey => Some("content key of 8 bytes, expected 16"),
        Fault::Unauthorized | Fault::ExpiredTickets => Some("status 401"),
        Fault::ServerError => Some("status 500"),
        Fault::Dies => Some("no answer"),
        Fault::Html => Some("status 200 with an HTML page"),
        Fault::Json => Some("status 200 with JSON"),
        Fault::Empty => Some("status 200 with nothing"),
    }
}

#[test]
fn every_fault_of_a_key_server_fails_whole_or_its_answer_stands_in_the_output() {
    for (fault, preset, target) in Fault::value_variants().iter().flat_map(|fault| {
        let presets = [Preset::Preset0, Preset::Preset1].into_iter();
        presets.flat_map(move |preset| TARGETS.iter().map(move |target| (*fault, preset, target)))
    }) {
        let server = start(settings(fault)).unwrap();
        let keys = DrmToday::new(account(&server)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (http, out) = (Recorder::new(), folder.path().join("packed"));
        let result = target.pack(preset, &out, &keys, &http);
        let place = format!("{fault:?}, {preset:?}, {target:?}");
        match (result, refusal(fault, target)) {
            (Ok(()), None) => {
                let document = http.document();
                assert_signaled(target, &files(&out), &document);
                assert_decrypts(target, &out, &document);
            }
            (Err(error), Some(expected)) => assert_refused(&error, folder.path(), expected),
            (Ok(()), Some(expected)) => panic!("{place}: it was packed, expected {expected:?}"),
            (Err(error), None) => panic!("{place}: {error}"),
        }
    }
}
