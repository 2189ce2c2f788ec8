//! What lies outside of a job: links, pipes and failures of storage among its inputs, addresses, standard output, and
//! signals while it works.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use drm_pack::base::env::{Sink, Source, Store};
use drm_pack::base::{Error, Kind, Result};
use drm_pack::io::FileStore;
use drm_pack::job::{Env, Job, run};
use drm_pack::keys::DevKeys;

use crate::support::files::tree;
use crate::support::media::root;

const KID: &str = "00112233445566778899aabbccddeeff";
const KEY: &str = "0f0e0d0c0b0a09080706050403020100";

/// A folder with a copy of a fixture in `in`, and a key file.
fn place(fixture: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in tree(&root().join("fixtures/clip").join(fixture)) {
        let path = folder.path().join("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::write(folder.path().join("keys"), format!("{KID}:{KEY}\n")).unwrap();
    folder
}

fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    command.current_dir(folder).args(arguments.split_whitespace()).env_remove("DRM_PACK_KEY_SERVER_URL");
    command.stdin(Stdio::null());
    command
}

fn drm_pack(folder: &Path, arguments: &str) -> Output {
    command(folder, arguments).output().unwrap()
}

fn succeeds(folder: &Path, arguments: &str) -> Output {
    let output = drm_pack(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// It ends with one of these codes and one line that has all of these words, and makes nothing.
fn refused(folder: &Path, arguments: &str, codes: &[i32], says: &[&str]) -> String {
    let names = || {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        entries.collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    let output = drm_pack(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(codes.contains(&output.status.code().unwrap()), "{arguments}: {:?} {said}", output.status);
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("drm-pack: ")).collect();
    assert_eq!(lines.len(), 1, "{arguments}: {said}");
    for words in says {
        assert!(lines[0].contains(words), "{arguments}: {words:?} in {said}");
    }
    assert_eq!(names(), before, "{arguments}");
    said
}

/// The same for `verify`, to which it may be a finding.
fn verify_finds(folder: &Path, arguments: &str, says: &[&str]) {
    let output = drm_pack(folder, arguments);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(matches!(output.status.code(), Some(3 | 7)), "{arguments}: {:?} {said}", output.status);
    for words in says {
        assert!(said.contains(words), "{arguments}: {words:?} in {said}");
    }
}

const PACK: &str = "--out out --drm widevine --scheme cenc --key-file keys";

#[test]
fn links_that_lead_out_are_refused_by_name_in_every_command() {
    let folder = place("hls");
    let here = folder.path();
    succeeds(here, "pack in/master.m3u8 --out protected --drm widevine --scheme cenc --key-file keys");
    fs::create_dir(here.join("elsewhere")).unwrap();
    for link in ["v1/1.m4s", "v2/media.m3u8", "audio", "v1/init_0.mp4"] {
        for input in ["in", "protected"] {
            let (link, target) = (here.join(input).join(link), here.join("elsewhere/x"));
            fs::rename(&link, &target).unwrap();
            symlink(&target, &link).unwrap();
            let place = link.strip_prefix(here).unwrap().to_str().unwrap();
            let names = format!("{place}: a link that leads out of the input's folder");
            let calls: &[&str] = match input {
                "in" => &[
                    "pack in/master.m3u8 --out out --drm widevine --scheme cenc --key-file keys",
                    "plan in/master.m3u8 --drm widevine",
                    "keys in/master.m3u8 --drm widevine --key-file keys",
                    "pack in --out out --drm widevine --key-file keys",
                    "verify protected --key-file keys --against in/master.m3u8",
                ],
                _ => &[
                    "decrypt protected/master.m3u8 --out out --key-file keys",
                    "verify protected --key-file keys",
                    "verify protected/master.m3u8 --key-file keys",
                ],
            };
            for call in calls {
                let names_media = link.extension().is_some_and(|found| found == "m4s");
                if names_media && (call.starts_with("plan") || call.starts_with("keys")) {
                    continue;
                }
                if call.starts_with("verify") {
                    verify_finds(here, call, &[&names, "--follow-links"]);
                } else {
                    refused(here, call, &[3], &[&names, "--follow-links"]);
                }
                succeeds(here, &format!("{call} --follow-links"));
                let _ = fs::remove_dir_all(here.join("out"));
            }
            fs::remove_file(&link).unwrap();
            fs::rename(&target, &link).unwrap();
        }
    }
}

#[test]
fn an_input_may_be_a_link_and_links_may_stay_inside() {
    let folder = place("hls");
    let here = folder.path();
    fs::rename(here.join("in/v1/1.m4s"), here.join("in/moved")).unwrap();
    symlink("../moved", here.join("in/v1/1.m4s")).unwrap();
    fs::rename(here.join("in/v1/2.m4s"), here.join("in/other")).unwrap();
    symlink(here.join("in/other"), here.join("in/v1/2.m4s")).unwrap();
    symlink("in", here.join("link")).unwrap();
    succeeds(here, &format!("pack link/master.m3u8 {PACK}"));
    fs::rename(here.join("in/master.m3u8"), here.join("named.m3u8")).unwrap();
    symlink("../named.m3u8", here.join("in/master.m3u8")).unwrap();
    // It was typed, not found in the folder.
    succeeds(here, "pack in/master.m3u8 --out two --drm widevine --scheme cenc --key-file keys");
    refused(here, "pack in --out three --drm widevine --key-file keys", &[3], &["in/master.m3u8: a link"]);
}

/// Makes a pipe that nobody writes to.
fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success() && fs::metadata(path).unwrap().file_type().is_fifo());
}

#[test]
fn a_pipe_or_a_device_is_no_input_and_nobody_waits_for_it() {
    let folder = place("hls");
    let here = folder.path();
    succeeds(here, "pack in/master.m3u8 --out protected --drm widevine --scheme cenc --key-file keys");
    for name in ["v1/1.m4s", "v2/media.m3u8"] {
        for input in ["in", "protected"] {
            fs::rename(here.join(input).join(name), here.join("kept")).unwrap();
            pipe(&here.join(input).join(name));
            let says = &[name, "not a file, but a folder, a pipe or a device"];
            let calls: &[&str] = match input {
                "in" => &["pack in/master.m3u8 --out out --drm widevine --scheme cenc --key-file keys"],
                _ => &[
                    "decrypt protected/master.m3u8 --out out --key-file keys",
                    "verify protected --key-file keys",
                ],
            };
            for call in calls {
                let begun = Instant::now();
                if call.starts_with("verify") {
                    verify_finds(here, call, says);
                } else {
                    refused(here, call, &[3], says);
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "{call}");
            }
            fs::remove_file(here.join(input).join(name)).unwrap();
            fs::rename(here.join("kept"), here.join(input).join(name)).unwrap();
        }
    }
    pipe(&here.join("pipe.mp4"));
    symlink("/dev/zero", here.join("zero.mp4")).unwrap();
    for name in ["pipe.mp4", "zero.mp4"] {
        refused(here, &format!("pack {name} {PACK}"), &[3], &[name, "not a file"]);
        refused(here, &format!("inspect {name}"), &[3], &[name, "not a file"]);
    }
    // Keys may come from another process.
    pipe(&here.join("key-pipe"));
    let (to, keys) = (here.join("key-pipe"), fs::read(here.join("keys")).unwrap());
    let writer = thread::spawn(move || fs::write(to, keys).unwrap());
    succeeds(here, "pack in/master.m3u8 --out out --drm widevine --key-file key-pipe");
    writer.join().unwrap();
}

/// A folder that cannot say whether files of one name are there.
struct Failing {
    store: FileStore,
    name: &'static str,
}

impl Store for Failing {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        self.store.open(name)
    }

    fn exists(&self, name: &str) -> Result<bool> {
        match name.ends_with(self.name) {
            true => Err(Error::storage("Input/output error").at(name)),
            false => self.store.exists(name),
        }
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        self.store.create(name)
    }
}

struct Nobody;

impl drm_pack::base::env::Http for Nobody {
    fn send(&self, _: &drm_pack::base::env::Request) -> Result<drm_pack::base::env::Response> {
        panic!("nobody is asked")
    }

    fn wait(&self, _: u64, _: &str) {}
}

/// The MPD of the fixture whose segments are counted by a duration, or by what is there.
fn counted(text: &str, is_live: bool) -> String {
    let mut mpd = String::new();
    for line in text.lines().filter(|line| !line.contains("SegmentTimeline") && !line.contains("<S ")) {
        let line = match line.split_once("timescale=\"").and_then(|(_, rest)| rest.split('"').next()) {
            Some(scale) => {
                let duration = format!("duration=\"{}\" timescale=", 2 * scale.parse::<u64>().unwrap());
                line.replacen("timescale=", &duration, 1)
            }
            None => line.to_owned(),
        };
        mpd += &(line + "\n");
    }
    let live = "type=\"dynamic\" availabilityStartTime=\"2020-01-01T00:00:00Z\"";
    match is_live {
        true => {
            mpd.replacen("type=\"static\"", live, 1).replacen("mediaPresentationDuration=\"PT8.0S\"", "", 1)
        }
        false => mpd,
    }
}

#[test]
fn what_storage_does_not_say_is_not_left_out() {
    for (fixture, manifest, is_live, name) in [
        ("dash", "manifest.mpd", false, "4.m4s"),
        ("dash", "manifest.mpd", true, "3.m4s"),
        ("hls", "master.m3u8", false, "data.json"),
    ] {
        let (folder, out) = (place(fixture), tempfile::tempdir().unwrap());
        let input = folder.path().join("in").join(manifest);
        if manifest.ends_with("mpd") {
            fs::write(&input, counted(&fs::read_to_string(&input).unwrap(), is_live)).unwrap();
        } else {
            let data = "#EXT-X-SESSION-DATA:DATA-ID=\"a\",URI=\"data.json\"\n";
            fs::write(&input, fs::read_to_string(&input).unwrap() + data).unwrap();
            fs::write(folder.path().join("in/data.json"), "{}").unwrap();
        }
        let pack = |name: &'static str| {
            let open_input = |path: &str| -> Result<(Box<dyn Store>, String)> {
                let (store, found) = FileStore::of_file(path)?;
                Ok((Box::new(Failing { store, name }), found))
            };
            let inputs = vec![input.to_str().unwrap().to_owned()];
            let env = Env {
                open_input: &open_input,
                output: &FileStore::new(out.path()),
                keys: &DevKeys::new("x"),
                http: &Nobody,
                journal: None,
                observe: &|_| {},
            };
            run(&Job { inputs, drm: "widevine".into(), ..Job::default() }, &env).map(|_| ())
        };
        let error = pack(name).unwrap_err();
        assert_eq!(error.kind(), Kind::Storage, "{fixture}: {error}");
        pack("no such name").unwrap();
    }
}

#[test]
fn addresses_that_nothing_here_can_reach_are_refused_before_anything_is_made() {
    let folder = place("hls");
    let here = folder.path();
    for address in ["s3://bucket/x", "S3://bucket/x", "gs://bucket/x", "az://bucket/x", "ftp://127.0.0.1:9/x"]
    {
        let place = address.split_once("://").unwrap().1;
        for call in [
            format!("pack in/master.m3u8 --drm widevine --key-file keys --out {address}"),
            format!("decrypt in/master.m3u8 --key-file keys --out {address}"),
            format!("keys in/master.m3u8 --drm widevine --key-file keys --out {address}"),
            format!("demo --out {address}"),
            format!("pack {address} {PACK}"),
            format!("pack in/master.m3u8 {PACK} --root {address}"),
            format!("pack in/master.m3u8 --out out --drm widevine --key-file {address}"),
            format!("pack in/master.m3u8 --out out --drm simpleaes --dev-keys x --write-key-file {address}"),
            format!("verify {address}"),
            format!("verify in --against {address}"),
            format!("inspect {address}"),
            format!("cpix explain {address}"),
        ] {
            refused(here, &call, &[2], &[place, "addresses of this kind are not supported"]);
        }
    }
    for call in
        ["pack in/master.m3u8 --drm widevine --dev-keys x --out http://h/x", "inspect https://h/x?sig=marked"]
    {
        let said = refused(here, call, &[2], &["addresses of this kind are not supported"]);
        assert!(!said.contains("marked"), "{said}");
    }
    // A file of this machine may be named as such.
    let url = |name: &str| format!("file://{}", here.join(name).display());
    succeeds(
        here,
        &format!(
            "pack {} --out {} --drm widevine --key-file {}",
            url("in/master.m3u8"),
            url("o"),
            url("keys")
        ),
    );
    assert!(here.join("o/master.m3u8").is_file());
}

#[test]
fn a_secret_in_the_place_of_a_file_name_is_not_repeated() {
    let folder = place("hls");
    let here = folder.path();
    succeeds(here, &format!("pack in/master.m3u8 {PACK}"));
    fs::remove_file(here.join("keys")).unwrap();
    for line in [
        format!("{KID}:{KEY}"),
        format!("v1={KID}:{}", KEY.to_uppercase()),
        KEY.to_owned(),
        "hunter2".to_owned(),
    ] {
        for call in [
            format!("pack in/master.m3u8 --out o --drm widevine --key-file {line}"),
            format!("plan in/master.m3u8 --drm widevine --cpix {line}"),
            format!("keys in/master.m3u8 --drm widevine --cpix {line}"),
            format!("verify out --key-file {line}"),
            format!("decrypt out/master.m3u8 --out o --key-file {line}"),
            format!(
                "keys in/master.m3u8 --drm widevine --resource-id x --key-server-url http://127.0.0.1:9/ --bearer-file {line}"
            ),
            format!(
                "keys in/master.m3u8 --drm widevine --resource-id x --key-server-url http://127.0.0.1:9/ --header X-Key:@{line}"
            ),
            format!(
                "keys in/master.m3u8 --drm widevine --resource-id x --key-server-url http://127.0.0.1:9/ --proxy @{line}"
            ),
            format!("key-url --org o --cpix-config c --user u --password-file {line}"),
            format!("cpix explain {line}"),
        ] {
            if call.starts_with("plan") {
                // It asks nobody for keys.
                continue;
            }
            let said =
                refused(here, &call, &[2], &["no such file", "give the name of a file"]).to_lowercase();
            let secret = line.split(':').next_back().unwrap().to_lowercase();
            assert!(!said.contains(&secret) && !said.contains(&secret[..7]), "{said}");
        }
    }
}

#[test]
fn what_standard_output_does_not_take_is_an_error() {
    let folder = place("mp4");
    let here = folder.path();
    succeeds(here, &format!("pack in/audio.m4a {PACK}"));
    for call in [
        "keys in/audio.m4a --drm widevine --key-file keys",
        "keys in/audio.m4a --drm widevine --key-file keys --output-format json",
        "plan in/audio.m4a --drm widevine",
        "plan in/audio.m4a --drm widevine --json",
        "inspect in/audio.m4a",
        "inspect in/audio.m4a --json",
        "pack in/audio.m4a --out two --drm widevine --key-file keys",
        "decrypt out/master.m3u8 --out three --key-file keys --json",
        "verify out --key-file keys",
        "verify out --key-file keys --json",
        "completions bash",
        "demo",
        "--help",
        "pack --help",
        "--version",
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(here, call).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(6), "{call}: {said}");
        assert!(said.lines().last().unwrap().starts_with("drm-pack: standard output: "), "{call}: {said}");
        // Whoever reads no more wants no more: no word, but no success.
        // Its reader is gone before it begins: what fits into a pipe is no race.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(here, call.replace("two", "four").replace("three", "five").as_str())
            .stdout(writer)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(141), "{call}: {said}");
        assert!(!said.contains("drm-pack:"), "{call}: {said}");
    }
}

#[test]
fn names_and_texts_never_steer_a_terminal() {
    let folder = place("hls");
    let here = folder.path();
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}\u{7}";
    let master = fs::read_to_string(here.join("in/master.m3u8")).unwrap();
    let name = format!("a{evil}.m3u8");
    let text = master.replacen("v1/media.m3u8", &format!("v1/{evil}.m3u8"), 1);
    fs::write(here.join("in").join(&name), format!("{text}\n# {evil}\n")).unwrap();
    fs::rename(here.join("in/v1/media.m3u8"), here.join(format!("in/v1/{evil}.m3u8"))).unwrap();
    let input = here.join("in").join(&name);
    let input = input.to_str().unwrap();
    for arguments in [
        &["pack", input, "--out", "out", "--drm", "widevine", "--key-file", "keys"][..],
        &["pack", input, "--out", "two", "--drm", "widevine", "--key-file", "keys", "--json"],
        &["plan", input, "--drm", "widevine"],
        &["plan", input, "--drm", "widevine", "--json"],
        &["inspect", input],
        &["inspect", input, "--json"],
        &["verify", "out"],
        &["verify", "out", "--json"],
        &[
            "pack",
            &format!("gone{evil}.mpd"),
            "--out",
            "three",
            "--drm",
            "widevine",
            "--dev-keys",
            "x",
            "--json",
        ],
        &["pack", "--no-such", evil],
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_drm-pack")).current_dir(here).args(arguments).output().unwrap();
        for text in [&output.stdout, &output.stderr] {
            let text = std::str::from_utf8(text).unwrap();
            let steers = text.chars().find(|c| c.is_control() && !"\n\t".contains(*c) || *c == '\u{202e}');
            assert_eq!(steers, None, "{arguments:?}: {text:?}");
        }
        if arguments.last() == Some(&"--json") {
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert!(json.is_object());
        }
    }
    // The names themselves stay as they are.
    assert!(here.join("out").join(&name).is_file());
}

/// Ends a child and says what is left beside its output.
struct Slow {
    listener: TcpListener,
    folder: std::path::PathBuf,
}

impl Slow {
    fn new(folder: &Path) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap(), folder: folder.to_owned() }
    }

    fn url(&self) -> String {
        format!("http://{}/master.m3u8", self.listener.local_addr().unwrap())
    }

    /// Serves the folder until somebody wants a file of this name, and says so then.
    fn serve(self, stops_at: &'static str) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for stream in self.listener.incoming() {
                let (folder, sender) = (self.folder.clone(), sender.clone());
                thread::spawn(move || Self::answer(stream.unwrap(), &folder, stops_at, &sender));
            }
        });
        receiver
    }

    fn answer(mut stream: TcpStream, folder: &Path, stops_at: &str, sender: &mpsc::Sender<()>) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
        if path.ends_with(stops_at) {
            let _ = sender.send(());
            thread::sleep(Duration::from_secs(60));
        }
        let bytes = fs::read(folder.join(path)).unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            bytes.len()
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
    }
}

/// Runs a command on an input that never ends, sends it a signal when it has written something, and returns how it ended
/// and what it said.
fn interrupted(
    folder: &Path,
    root: &str,
    call: &str,
    signal: &str,
    env: &str,
) -> (std::process::ExitStatus, String) {
    let slow = Slow::new(&folder.join(root));
    let call = call.replace("URL", &slow.url());
    let reached = slow.serve("3.m4s");
    // Signals that whoever runs the tests ignores would be ignored here.
    let script = format!("{env} exec \"$0\" \"$@\"");
    let mut child = Command::new("bash")
        .args(["-c", &script, env!("CARGO_BIN_EXE_drm-pack")])
        .args(call.split_whitespace())
        .current_dir(folder)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    reached.recv_timeout(Duration::from_secs(60)).unwrap();
    // What it reads meanwhile is written.
    let begun = Instant::now();
    let has_files = || {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let mut partial = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".partial"));
        partial.any(|entry| !tree(&entry.path()).is_empty())
    };
    while !has_files() && begun.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(has_files(), "{call}: nothing was written before the signal");
    assert!(
        Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

#[test]
fn a_signal_leaves_nothing_behind() {
    use std::os::unix::process::ExitStatusExt;
    let folder = place("hls");
    let here = folder.path();
    succeeds(here, "pack in/master.m3u8 --out protected --drm widevine --scheme cenc --key-file keys");
    let entries = || {
        let names =
            fs::read_dir(here).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = entries();
    let decrypt = "decrypt URL --out out --key-file keys";
    let pack = "pack URL --out out --drm widevine --scheme cenc --key-file keys";
    for (root, call, signal, number) in [
        ("protected", decrypt, "INT", 2),
        ("protected", decrypt, "TERM", 15),
        ("protected", decrypt, "HUP", 1),
        ("in", pack, "INT", 2),
    ] {
        let (status, said) = interrupted(here, root, call, signal, "trap - INT TERM HUP;");
        assert_eq!(status.signal(), Some(number), "{call}, {signal}: {status:?} {said}");
        assert_eq!(entries(), before, "{call}, {signal}: {said}");
    }
    // What is finished is kept when that was asked for, and nothing else.
    let resume = format!("{pack} --resume");
    let (status, said) = interrupted(here, "in", &resume, "TERM", "");
    assert_eq!(status.code(), Some(75), "{said}");
    assert!(said.contains("the same call with --resume goes on"), "{said}");
    let kept: Vec<_> = entries().difference(&before).cloned().collect();
    assert_eq!(kept, [".out.journal", ".out.partial"]);
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let folder = place("hls");
    let here = folder.path();
    let slow = Slow::new(&here.join("in"));
    let call = format!("pack {} --out out --drm widevine --key-file keys --timeout 2", slow.url());
    let reached = slow.serve("3.m4s");
    let child = Command::new("bash")
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_drm-pack")])
        .args(call.split_whitespace())
        .current_dir(here)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    reached.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    // It went on, and ended because of the server.
    assert_eq!(
        output.status.code(),
        Some(6),
        "{:?} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn few_file_descriptors_are_no_panic() {
    let folder = place("hls");
    let here = folder.path();
    let script = "ulimit -n $1; shift; exec \"$0\" \"$@\"";
    let calls = [
        "pack in/master.m3u8 --out out --overwrite --drm widevine --key-file keys",
        "keys in/master.m3u8 --drm widevine --resource-id x --key-server-url http://127.0.0.1:9/k",
        "demo",
        "key-server --listen 192.0.2.1:1 --allow-public",
    ];
    for call in calls {
        for files in [4, 6, 8, 12, 20] {
            let output = Command::new("bash")
                .args(["-c", script, env!("CARGO_BIN_EXE_drm-pack"), &files.to_string()])
                // What the demo cannot remove without descriptors stays here.
                .env("TMPDIR", here)
                .args(call.split_whitespace())
                .current_dir(here)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("panicked"), "{call} with {files}: {said}");
            assert!(
                matches!(output.status.code(), Some(0 | 2..=7)),
                "{call} with {files}: {:?} {said}",
                output.status
            );
        }
    }
}

#[test]
fn secrets_are_files_of_their_owner() {
    let folder = place("mp4");
    let here = folder.path();
    for (mode, format) in [(0o666, "cpix"), (0o644, "json"), (0o600, "shaka")] {
        fs::write(here.join("out"), "old").unwrap();
        fs::set_permissions(here.join("out"), fs::Permissions::from_mode(mode)).unwrap();
        fs::hard_link(here.join("out"), here.join("second")).unwrap();
        let call =
            format!("keys in/audio.m4a --drm widevine --key-file keys --out out --output-format {format}");
        succeeds(here, &call);
        assert_eq!(fs::metadata(here.join("out")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(here.join("second")).unwrap(), b"old");
        fs::remove_file(here.join("second")).unwrap();
    }
    // A pipe is written to as it is.
    let output = succeeds(
        here,
        "keys in/audio.m4a --drm widevine --key-file keys --out /dev/stdout --output-format shaka",
    );
    assert!(String::from_utf8(output.stdout).unwrap().contains(KEY));
}
