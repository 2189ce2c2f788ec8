//! Faults of key servers against the whole way: a fault either fails with nothing written, or what the
//! answer said stands in the output and the output decrypts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use drm_pack::base::env::{Http, Request, Response, Store};
use drm_pack::base::{Error, Kid, Kind, Result, base64};
use drm_pack::cpix::{self, Document};
use drm_pack::drm::find;
use drm_pack::io::{FileStore, HttpClient, OutputDirectory, Overwrite};
use drm_pack::job::{DecryptJob, Env, Job, decrypt, run};
use drm_pack::keys::{DevKeys, DrmToday, Endpoint, KeyServer, Speke, SpekeVersion};
use drm_pack::package::{Preset, ServerSignaling};
use drm_pack::server::{Fault, Running, Settings, start};
use drm_pack::xml::{Node, parse_fragment};
use secrecy::SecretString;

use crate::support::files::tree as files;
use crate::support::key_server::account;
use crate::support::media::root;

const USER: &str = "acme::packager";
const PASSWORD: &str = "p&=+% \"marked";

/// One client for all: it takes long to set up.
static CLIENT: LazyLock<HttpClient> = LazyLock::new(|| HttpClient::new().unwrap());

/// The command's client: it keeps answers and waits, and does not sleep.
#[derive(Default)]
struct Recorder {
    answers: Mutex<Vec<Response>>,
    waits: Mutex<Vec<u64>>,
}

impl Recorder {
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
        let answer = CLIENT.send(request)?;
        self.answers.lock().unwrap().push(answer.clone());
        Ok(answer)
    }

    fn wait(&self, milliseconds: u64, _why: &str) {
        self.waits.lock().unwrap().push(milliseconds);
    }
}

fn settings(fault: Fault) -> Settings {
    let mut settings = Settings::new(SecretString::from("seed"), USER, SecretString::from(PASSWORD));
    settings.fault = fault;
    settings.slow_answer = Duration::from_millis(20);
    settings
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
        self.pack_with(preset, ServerSignaling::Error, out, keys, http)
    }

    fn pack_with(
        &self,
        preset: Preset,
        server_signaling: ServerSignaling,
        out: &Path,
        keys: &dyn KeyServer,
        http: &dyn Http,
    ) -> Result<()> {
        let job = Job { preset, server_signaling, ..self.job() };
        within(out, keys, http, |env| run(&job, env).map(drop))
    }

    fn job(&self) -> Job {
        Job {
            inputs: vec![root().join(self.input).to_str().unwrap().to_owned()],
            drm: self.drm.into(),
            scheme: Some(self.scheme.into()),
            resource_id: Some("asset-1".into()),
            ..Job::default()
        }
    }

    fn decrypt(&self, packed: &Path, out: &Path, document: &Document) {
        let key_store = |kid: Kid| document.content_key(kid)?.value.clone();
        let input = packed.join(self.manifest()).to_str().unwrap().to_owned();
        let job = DecryptJob { inputs: vec![input], key_store: &key_store };
        within(out, &DevKeys::new(""), &Recorder::default(), |env| decrypt(&job, env).map(drop)).unwrap();
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
    let open_input = |input: &str| {
        let (store, name) = FileStore::of_file(input)?;
        Ok((Box::new(store) as Box<dyn Store>, name))
    };
    job(&Env {
        open_input: &open_input,
        output: &output.store(),
        keys,
        http,
        journal: None,
        observe: &|_| {},
    })?;
    output.publish()
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
            let is_clear_key = find("clearkey").unwrap().system_id() == system.system_id;
            // Players of ClearKey find the key id elsewhere, and misread a box.
            if system.content_protection_data.is_none() && !is_clear_key {
                assert!(text(target.manifest()).contains(&pssh), "{target:?}: {pssh}");
            }
            let data = system.content_protection_data.as_deref().unwrap_or_default();
            for node in parse_fragment(data).unwrap() {
                let Node::Element(element) = node else { continue };
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
fn refusal(fault: Fault, preset: Preset, target: &Target) -> Option<&'static str> {
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
        Fault::KeyLimit => (preset == Preset::Preset1).then_some("try the other preset"),
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
fn with_one_key_every_fault_fails_whole_or_its_answer_stands_in_the_output() {
    every_fault(Preset::Preset0);
}

#[test]
fn with_a_key_each_every_fault_fails_whole_or_its_answer_stands_in_the_output() {
    every_fault(Preset::Preset1);
}

/// The rows wait for the disk and the line more than they compute, so that targets are done side by side.
fn every_fault(preset: Preset) {
    thread::scope(|scope| {
        for target in TARGETS {
            scope.spawn(move || {
                Fault::value_variants().iter().for_each(|fault| check_fault(*fault, preset, target));
            });
        }
    });
}

fn check_fault(fault: Fault, preset: Preset, target: &Target) {
    let server = start(settings(fault)).unwrap();
    let keys = DrmToday::new(account(&server, USER, PASSWORD)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (http, out) = (Recorder::default(), folder.path().join("packed"));
    let result = target.pack(preset, &out, &keys, &http);
    let expected = refusal(fault, preset, target);
    let place = format!("{fault:?}, {preset:?}, {target:?}");
    assert_eq!(result.is_err(), expected.is_some(), "{place}: {result:?}, expected {expected:?}");
    match (result, expected) {
        (Ok(()), None) => {
            let document = http.document();
            assert_signaled(target, &files(&out), &document);
            assert_decrypts(target, &out, &document);
        }
        (Err(error), Some(expected)) => assert_refused(&error, folder.path(), expected),
        _ => {}
    }
}

#[test]
fn earlier_and_later_versions_of_speke_give_keys_that_open_the_output() {
    type Choose = fn(DrmToday) -> DrmToday;
    let choices: &[(&str, Preset, Choose)] = &[
        ("SPEKE 1.0", Preset::Preset0, |keys| keys.with_dialect(SpekeVersion::V1)),
        ("SPEKE 2.1", Preset::Preset0, |keys| keys.with_dialect(SpekeVersion::V2_1)),
        ("SPEKE 2.1", Preset::Preset1, |keys| keys.with_dialect(SpekeVersion::V2_1)),
    ];
    for ((name, preset, choose), target) in
        choices.iter().flat_map(|choice| [&TARGETS[0], &TARGETS[2]].map(|target| (choice, target)))
    {
        let server = start(settings(Fault::None)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (http, out) = (Recorder::default(), folder.path().join("packed"));
        let keys = choose(DrmToday::new(account(&server, USER, PASSWORD)).unwrap());
        let mut result = target.pack(*preset, &out, &keys, &http);
        // A request of SPEKE 1 does not say the scheme, so that the server signals the one that it knows.
        if *name == "SPEKE 1.0" && !target.drm.contains("fairplay") {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("found protection_scheme cenc, cbcs expected"), "{error}");
            result = target.pack_with(*preset, ServerSignaling::Replace, &out, &keys, &http);
        }
        assert!(result.is_ok(), "{name}, {preset:?}, {target:?}: {result:?}");
        assert_decrypts(target, &out, &http.document());
    }
}

#[test]
fn keys_that_the_server_generates_open_the_output() {
    for target in TARGETS.iter().filter(|target| !target.drm.contains("clearkey")) {
        let server = start(settings(Fault::None)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (http, out) = (Recorder::default(), folder.path().join("packed"));
        let keys = DrmToday::new(account(&server, USER, PASSWORD)).unwrap().with_endpoint(Endpoint::Generate);
        let contract = |name: &str| Some(name.to_owned());
        let job = Job {
            video_preset: contract("PRESET-VIDEO-3"),
            audio_preset: contract("PRESET-AUDIO-1"),
            ..target.job()
        };
        let result = within(&out, &keys, &http, |env| run(&job, env).map(drop));
        assert!(result.is_ok(), "{target:?}: {result:?}");
        assert_decrypts(target, &out, &http.document());
    }
}

/// A job for one playlist, which all tests about tickets and lines do.
fn pack_hls(keys: &dyn KeyServer, http: &dyn Http, folder: &Path) -> Result<()> {
    TARGETS[0].pack(Preset::Preset0, &folder.join("packed"), keys, http)
}

/// Settings with a log of what was asked and answered.
fn logged(fault: Fault) -> (Settings, Arc<Mutex<Vec<String>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let mut settings = settings(fault);
    settings.log = Box::new(move |exchange| {
        let what = match exchange.path.strip_prefix("/cas/v1/tickets") {
            Some("") => "sign-in",
            Some(_) => "ticket",
            None => "keys",
        };
        lines.lock().unwrap().push(format!("{what} {}", exchange.status));
    });
    (settings, log)
}

#[test]
fn a_login_that_is_revoked_in_the_middle_is_renewed() {
    let (settings, log) = logged(Fault::RevokedLogin);
    let server = start(settings).unwrap();
    let (http, folder) = (Recorder::default(), tempfile::tempdir().unwrap());
    pack_hls(&DrmToday::new(account(&server, USER, PASSWORD)).unwrap(), &http, folder.path()).unwrap();
    let expected =
        ["sign-in 201", "ticket 200", "keys 500", "ticket 404", "sign-in 201", "ticket 200", "keys 200"];
    assert_eq!(*log.lock().unwrap(), expected);
}

#[test]
fn a_login_that_expired_between_two_jobs_is_renewed() {
    let (mut settings, log) = logged(Fault::None);
    settings.granting_ticket_lifetime = Duration::from_millis(300);
    let server = start(settings).unwrap();
    let keys = DrmToday::new(account(&server, USER, PASSWORD)).unwrap();
    for pause in [350, 0] {
        let folder = tempfile::tempdir().unwrap();
        pack_hls(&keys, &Recorder::default(), folder.path()).unwrap();
        thread::sleep(Duration::from_millis(pause));
    }
    let expected =
        ["sign-in 201", "ticket 200", "keys 200", "ticket 404", "sign-in 201", "ticket 200", "keys 200"];
    assert_eq!(*log.lock().unwrap(), expected);
}

#[test]
fn too_many_requests_are_followed_by_one_after_the_time_that_the_server_asks_for() {
    let (settings, log) = logged(Fault::TooManyRequests);
    let server = start(settings).unwrap();
    let (http, folder) = (Recorder::default(), tempfile::tempdir().unwrap());
    pack_hls(&DrmToday::new(account(&server, USER, PASSWORD)).unwrap(), &http, folder.path()).unwrap();
    assert_eq!(*http.waits.lock().unwrap(), [3_000]);
    // A ticket serves once, so that the second try has its own.
    assert_eq!(*log.lock().unwrap(), ["sign-in 201", "ticket 200", "keys 429", "ticket 200", "keys 200"]);
}

#[test]
fn an_expired_ticket_in_a_url_is_refused_once_and_for_all() {
    let (mut settings, log) = logged(Fault::None);
    settings.service_ticket_lifetime = Duration::from_millis(50);
    let server = start(settings).unwrap();
    let (http, folder) = (Recorder::default(), tempfile::tempdir().unwrap());
    let url = DrmToday::new(account(&server, USER, PASSWORD)).unwrap().ticketed_url(&http, None).unwrap();
    thread::sleep(Duration::from_millis(60));
    let error = pack_hls(&Speke::new(&url, Vec::new(), SpekeVersion::V2_0).unwrap(), &http, folder.path())
        .unwrap_err();
    assert_refused(&error, folder.path(), "a ticket lasts only a short time");
    assert_eq!(*log.lock().unwrap(), ["sign-in 201", "ticket 200", "keys 401"]);
}

/// A line to a server that ends after some answers, and may come back while the client waits.
struct Mortal {
    http: Recorder,
    server: Mutex<Option<Running>>,
    answers_left: Mutex<usize>,
    reborn: Option<fn() -> Settings>,
}

impl Mortal {
    fn new(server: Running, answers: usize, reborn: Option<fn() -> Settings>) -> Self {
        let server = Mutex::new(Some(server));
        Self { http: Recorder::default(), server, answers_left: Mutex::new(answers), reborn }
    }
}

impl Http for Mortal {
    fn send(&self, request: &Request) -> Result<Response> {
        let answer = self.http.send(request);
        let mut left = self.answers_left.lock().unwrap();
        if *left == 1 {
            *self.server.lock().unwrap() = None;
        }
        *left = left.saturating_sub(1);
        answer
    }

    fn wait(&self, milliseconds: u64, why: &str) {
        self.http.wait(milliseconds, why);
        let mut server = self.server.lock().unwrap();
        if let Some(settings) = self.reborn.filter(|_| server.is_none()) {
            let port = self.http.answers.lock().unwrap()[0].header("Location").unwrap().to_owned();
            let address = port.trim_start_matches("http://").split('/').next().unwrap().parse().unwrap();
            *server = Some(start(Settings { address, ..settings() }).unwrap());
        }
    }
}

#[test]
fn a_server_that_ends_in_the_middle_fails_the_job_whenever_it_does() {
    // Without a server there is no ticket for another try: the second wait of the latter is the ticket's first.
    for (answers, waits) in [(1, &[500, 2_000][..]), (2, &[500, 500, 2_000])] {
        let server = start(settings(Fault::None)).unwrap();
        let keys = DrmToday::new(account(&server, USER, PASSWORD)).unwrap();
        let (http, folder) = (Mortal::new(server, answers, None), tempfile::tempdir().unwrap());
        let error = pack_hls(&keys, &http, folder.path()).unwrap_err();
        assert_refused(&error, folder.path(), "no connection");
        assert_eq!(*http.http.waits.lock().unwrap(), waits);
    }
}

#[test]
fn a_server_that_comes_back_with_all_logins_forgotten_is_signed_in_to_again() {
    let server = start(settings(Fault::OneServerError)).unwrap();
    let keys = DrmToday::new(account(&server, USER, PASSWORD)).unwrap();
    let http = Mortal::new(server, 3, Some(|| settings(Fault::None)));
    let folder = tempfile::tempdir().unwrap();
    pack_hls(&keys, &http, folder.path()).unwrap();
    let statuses: Vec<_> = http.http.answers.lock().unwrap().iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [201, 200, 500, 404, 201, 200, 200]);
}

/// Runs the command; exit code, standard output, standard error.
fn command(server: &Running, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_drm-pack"))
        .args(arguments)
        .env("DRMTODAY_AUTH_URL", server.url())
        .env("DRMTODAY_FRONTEND_URL", server.url())
        .env("DRMTODAY_ORG", "organization")
        .env("DRMTODAY_CPIX_CONFIG", "config")
        .env("DRMTODAY_USER", USER)
        .env("DRMTODAY_PASSWORD", PASSWORD)
        .env_remove("DRM_PACK_KEY_SERVER_URL")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_url_that_key_url_prints_feeds_one_job_and_is_refused_to_the_next() {
    let server = start(settings(Fault::None)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (code, url, noise) = command(&server, &["key-url"]);
    assert_eq!((code, url.lines().count(), noise.as_str()), (0, 1, ""), "{url}{noise}");
    let url = url.trim_end();
    let ticket = url.split_once("?ticket=").unwrap().1;
    assert!(url.starts_with(&format!("{}/frontend/cpix/v1/organization/ingest/config?", server.url())));

    let input = root().join(HLS);
    let pack = |out: &Path| {
        let arguments = ["pack", input.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let keys = ["--drm", "widevine+playready", "--resource-id", "film", "--key-server-url", url];
        command(&server, &[&arguments[..], &keys].concat())
    };
    let (code, _, noise) = pack(&folder.path().join("first"));
    assert_eq!(code, 0, "{noise}");
    let second = folder.path().join("second");
    let (code, out, noise) = pack(&second);
    assert_eq!((code, out.as_str()), (5, ""), "{noise}");
    assert!(noise.contains("status 401") && noise.contains("get a new URL"), "{noise}");
    assert!(!noise.contains(ticket), "{noise}");
    assert!(!second.exists() && !folder.path().join(".second.partial").exists());
}

#[test]
fn the_url_for_an_asset_gives_a_document_of_keys() {
    let server = start(settings(Fault::None)).unwrap();
    let (code, url, noise) = command(&server, &["key-url", "--asset", "a film/1"]);
    assert_eq!(code, 0, "{noise}");
    let get = |url: String| {
        let request = Request { method: "GET", url, headers: Vec::new(), body: Vec::new() };
        CLIENT.send(&request).unwrap()
    };
    let answer = get(format!("{}&x-signaling-alg=cbcs", url.trim_end()));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let document = cpix::read(&answer.body).unwrap();
    assert_eq!(document.content_id.as_deref(), Some("a film/1"));
    assert_eq!(document.content_keys.len(), 4);
    assert!(document.content_keys.iter().all(|key| key.value.is_some()));
    assert_eq!(get(url.trim_end().to_owned()).status, 401);
}
