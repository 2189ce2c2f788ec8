//! Inputs over HTTP: what is packed equals what is packed from a folder, and a server that misbehaves is an error.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use drm_pack::base::env::Store;
use drm_pack::base::{Kind, Result};
use drm_pack::io::{FileStore, HttpClient, HttpFiles};
use drm_pack::job::{DecryptJob, Env, Job, Report, decrypt, run};
use drm_pack::keys::DevKeys;
use drm_pack::package::Preset;

use crate::resume::attempt;
use crate::support::files::tree;
use crate::support::media::root;
use crate::support::pack::{SEED, key};

/// What an origin answers.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }
}

/// What an origin is asked.
struct Asked {
    /// Path and query as they came.
    target: String,
    headers: BTreeMap<String, String>,
    /// How often the target was asked for before.
    before: usize,
}

impl Asked {
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

type Rule = dyn Fn(&Asked, Answer) -> Answer + Send + Sync;

/// A server of a folder, whose answers a rule may change.
struct Origin {
    url: String,
    targets: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Origin {
    fn of(folder: &Path, rule: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            targets: Arc::default(),
            connections: Arc::default(),
        };
        let (folder, rule): (PathBuf, Arc<Rule>) = (folder.to_owned(), Arc::new(rule));
        let (targets, connections) = (Arc::clone(&origin.targets), Arc::clone(&origin.connections));
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (folder, rule, targets) = (folder.clone(), Arc::clone(&rule), Arc::clone(&targets));
                thread::spawn(move || serve(&stream.unwrap(), &folder, rule.as_ref(), &targets));
            }
        });
        origin
    }

    fn plain(folder: &Path) -> Self {
        Self::of(folder, |_, answer| answer)
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    fn requests(&self) -> usize {
        self.targets.lock().unwrap().len()
    }
}

fn serve(stream: &TcpStream, folder: &Path, rule: &Rule, targets: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(first)) = lines.next() {
        let target = first.split(' ').nth(1).unwrap().to_owned();
        let headers = lines.by_ref().map_while(|line| line.ok().filter(|line| !line.is_empty()));
        let headers = headers.filter_map(|line| {
            line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        });
        let headers = headers.collect();
        let before = {
            let mut targets = targets.lock().unwrap();
            let before = targets.iter().filter(|known| **known == target).count();
            targets.push(target.clone());
            before
        };
        let asked = Asked { target, headers, before };
        let answer = rule(&asked, file(folder, &asked));
        let mut text = format!("HTTP/1.1 {} x\r\n", answer.status);
        let mut headers = answer.headers.clone();
        if !headers.iter().any(|(name, _)| *name == "Content-Length") {
            headers.push(("Content-Length", answer.body.len().to_string()));
        }
        let stated = headers.iter().find(|(name, _)| *name == "Content-Length").unwrap().1.clone();
        headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        let (mut out, bytes) = (stream, [text.as_bytes(), b"\r\n", &answer.body].concat());
        if out.write_all(&bytes).is_err() || stated != answer.body.len().to_string() {
            // What was promised does not come any more.
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

/// The answer of a server without faults.
fn file(folder: &Path, asked: &Asked) -> Answer {
    let path = asked.path().replace("%20", " ");
    let Ok(bytes) = fs::read(folder.join(path.trim_start_matches('/'))) else { return Answer::new(404) };
    let etag = format!("\"{:x}-{:x}\"", bytes.len(), bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
    let range = asked.header("range").strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let is_same = ["", &etag].contains(&asked.header("if-range"));
    let Some((first, last)) = range.filter(|_| is_same) else {
        return Answer { body: bytes, ..Answer::new(200).with("ETag", etag) };
    };
    let (first, length): (usize, _) = (first.parse().unwrap(), bytes.len());
    if first >= length {
        return Answer::new(416).with("Content-Range", format!("bytes */{length}"));
    }
    let end = last.parse::<usize>().unwrap().min(length - 1) + 1;
    let answer = Answer::new(206).with("ETag", etag);
    let answer = answer.with("Content-Range", format!("bytes {first}-{}/{length}", end - 1));
    Answer { body: bytes[first..end].to_vec(), ..answer }
}

fn clip(name: &str) -> PathBuf {
    root().join("fixtures/clip").join(name)
}

/// A job whose output depends on nothing but its input.
fn job(inputs: Vec<String>, drm: &str) -> Job {
    Job {
        inputs,
        drm: drm.to_owned(),
        scheme: (drm != "simpleaes").then(|| "cbcs".to_owned()),
        resource_id: Some("one".to_owned()),
        vector: Some("00112233445566778899aabbccddeeff".to_owned()),
        key_uri: (drm == "simpleaes").then(|| "{kid}".to_owned()),
        segment_duration: 2.0,
        preset: if drm == "fairplay" { Preset::Preset0 } else { Preset::Preset1 },
        ..Job::default()
    }
}

/// Runs `what` with inputs from everywhere.
fn with_env<T>(out: &Path, what: impl FnOnce(&Env<'_>) -> Result<T>) -> Result<T> {
    let http = Arc::new(HttpClient::new()?);
    let files = HttpFiles::new(Arc::clone(&http));
    let open_input = |input: &str| -> Result<(Box<dyn Store>, String)> {
        if input.starts_with("http") {
            let (store, name) = files.open_input(input)?;
            return Ok((Box::new(store), name));
        }
        let (store, name) = FileStore::of_file(input)?;
        Ok((Box::new(store), name))
    };
    what(&Env {
        open_input: &open_input,
        output: &FileStore::new(out),
        keys: &DevKeys::new(SEED),
        http: http.as_ref(),
        journal: None,
        observe: &|_| {},
    })
}

fn pack(job: &Job, out: &Path) -> Result<Report> {
    with_env(out, |env| run(job, env))
}

/// What comes of inputs by their names in a folder, or at an address that stands for it.
fn packed(place: &str, names: &[&str], drm: &str) -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    let inputs = names.iter().map(|name| format!("{place}/{name}")).collect();
    pack(&job(inputs, drm), out.path()).unwrap_or_else(|error| panic!("{place} {names:?}: {error}"));
    tree(out.path()).into_iter().collect()
}

fn check(folder: &Path, names: &[&str], drm: &str, origin: &Origin) {
    let expected = packed(folder.to_str().unwrap(), names, drm);
    let found = packed(&origin.url, names, drm);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{names:?}");
    expected.iter().for_each(|(name, bytes)| assert!(found[name] == *bytes, "{name} of {names:?}"));
}

#[test]
fn what_comes_over_http_is_packed_as_what_lies_in_a_folder() {
    for (folder, names, drm) in [
        ("hls", &["master.m3u8"][..], "widevine+playready+fairplay"),
        ("hls", &["master.m3u8"], "simpleaes"),
        ("hls-byterange", &["master.m3u8"], "widevine+fairplay"),
        ("hls-byterange", &["master.m3u8"], "simpleaes"),
        ("hls-ts", &["index.m3u8"], "fairplay"),
        ("dash", &["manifest.mpd"], "widevine+playready"),
        ("dash-segment-base", &["manifest.mpd"], "widevine"),
        ("dash-segment-list", &["manifest.mpd"], "widevine"),
        ("mp4", &["av.mp4"], "widevine"),
        ("mp4", &["video_360.mp4", "audio.m4a"], "widevine+fairplay"),
        ("mp4", &["av_frag.mp4"], "widevine"),
    ] {
        check(&clip(folder), names, drm, &Origin::plain(&clip(folder)));
    }
    let both = crate::hls_and_dash::segments();
    check(both.path(), &["master.m3u8", "manifest.mpd"], "widevine", &Origin::plain(both.path()));
}

#[test]
fn a_server_without_ranges_serves_small_files() {
    let whole = |asked: &Asked, _: Answer| {
        let headers = BTreeMap::new();
        let target = asked.target.clone();
        file(&clip("hls"), &Asked { target, headers, before: 0 })
    };
    check(&clip("hls"), &["master.m3u8"], "widevine", &Origin::of(&clip("hls"), whole));
}

#[cfg(feature = "server")]
#[test]
fn what_the_development_server_serves_is_an_input() {
    let mut settings =
        drm_pack::server::Settings::new("seed".to_owned().into(), "user", "password".to_owned().into());
    settings.media = Some(clip(""));
    let server = drm_pack::server::start(settings).unwrap();
    let media = format!("{}/media", server.url());
    for (folder, names) in [("hls-byterange", &["master.m3u8"]), ("mp4", &["av_faststart.mp4"])] {
        let expected = packed(clip(folder).to_str().unwrap(), names, "widevine");
        assert!(packed(&format!("{media}/{folder}"), names, "widevine") == expected, "{folder}");
    }
}

#[test]
fn what_was_packed_is_decrypted_over_http() {
    for (folder, name) in [("hls", "master.m3u8"), ("dash", "manifest.mpd"), ("mp4", "av_frag.mp4")] {
        let (protected, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inputs = vec![clip(folder).join(name).to_str().unwrap().to_owned()];
        pack(&job(inputs, "widevine"), protected.path()).unwrap();
        let name = if folder == "mp4" { "master.m3u8" } else { name };
        let origin = Origin::plain(protected.path());
        let unpacked = |input: String, out: &Path| {
            let key_store = |kid| Some(key(kid));
            let job = DecryptJob { inputs: vec![input], key_store: &key_store };
            with_env(out, |env| decrypt(&job, env)).unwrap();
            tree(out)
        };
        let other = tempfile::tempdir().unwrap();
        let expected = unpacked(protected.path().join(name).to_str().unwrap().to_owned(), other.path());
        assert!(unpacked(origin.at(name), out.path()) == expected, "{folder}");
    }
}

/// The query of an input is its signature, another each time; a file with another ETag is another file.
#[test]
fn an_interrupted_job_goes_on_over_http() {
    let is_new = Arc::new(AtomicBool::new(false));
    let rule = {
        let is_new = Arc::clone(&is_new);
        move |asked: &Asked, answer: Answer| match is_new.load(Ordering::Relaxed) {
            true if asked.path() == "/v1/1.m4s" => answer.with("ETag", "\"new\""),
            _ => answer,
        }
    };
    let origin = Origin::of(&clip("hls"), rule);
    let wish = |query: &str| job(vec![origin.at(&format!("master.m3u8?{query}"))], "widevine");
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let (report, first) = attempt(&wish("one"), SEED, &out, 12);
    assert!(report.is_err() && first.contains(&"v1/1.m4s".to_owned()), "{first:?}");
    is_new.store(true, Ordering::Relaxed);
    let (report, second) = attempt(&wish("two"), SEED, &out, usize::MAX);
    assert_eq!(report.unwrap().finished_before, Some(first.len() - 1));
    assert!(first.iter().filter(|name| second.contains(name)).eq(["v1/1.m4s"]), "{first:?} {second:?}");
    let whole = place.path().join("whole");
    attempt(&wish("three"), SEED, &whole, usize::MAX).0.unwrap();
    assert!(tree(&out) == tree(&whole));
}

#[test]
fn plans_and_verifications_read_over_http() {
    let origin = Origin::plain(&clip("hls"));
    let folder = tempfile::tempdir().unwrap();
    let drm_pack = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_drm-pack")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let local = clip("hls/master.m3u8");
    let (local, remote) = (local.to_str().unwrap(), &origin.at("master.m3u8?secret"));
    let plan = |input: &str| drm_pack(&["plan", input, "--drm", "widevine"]);
    assert_eq!(plan(remote), plan(local));
    let out = folder.path().join("out");
    let (out, seed) = (out.to_str().unwrap(), "--dev-keys=x");
    drm_pack(&["pack", remote, "--out", out, "--drm", "widevine", seed]);
    let said = drm_pack(&["verify", out, seed, "--against", remote]);
    assert!(said.contains("passed") && !said.contains("not proven"), "{said}");
}

#[test]
fn a_report_names_inputs_without_what_may_be_secret() {
    let origin = Origin::plain(&clip("mp4"));
    let input = origin.at("av.mp4?secret=secret").replace("//", "//me:secret@");
    let out = tempfile::tempdir().unwrap();
    let report = pack(&Job { resource_id: None, ..job(vec![input], "widevine") }, out.path()).unwrap();
    assert_eq!(report.tracks[0].source, origin.at("av.mp4"));
    assert!(!serde_json::to_string(&report).unwrap().contains("secret"));
    let is_told = |bytes: &Vec<u8>| bytes.windows(6).any(|window| window == b"secret");
    assert!(!tree(out.path()).values().any(is_told));
}

#[test]
fn a_segment_costs_one_request() {
    let folder = crate::support::files::copied("hls");
    let path = folder.path().join("v1/media.m3u8");
    let text = fs::read_to_string(&path).unwrap();
    let head: String = text.split("#EXTINF").next().unwrap().to_owned();
    let segment = fs::read(folder.path().join("v1/0.m4s")).unwrap();
    let count = 200;
    let mut playlist = head;
    for number in 0..count {
        fs::write(folder.path().join(format!("v1/s{number}.m4s")), &segment).unwrap();
        playlist.push_str(&format!("#EXTINF:2,\ns{number}.m4s\n"));
    }
    fs::write(&path, playlist + "#EXT-X-ENDLIST\n").unwrap();
    for (drm, most) in [("widevine", count + 5), ("simpleaes", count + 5)] {
        let origin = Origin::plain(&folder.path().join("v1"));
        packed(&origin.url, &["media.m3u8"], drm);
        let (requests, connections) = (origin.requests(), origin.connections.load(Ordering::Relaxed));
        println!("{drm}: {requests} requests for {count} segments, {connections} connections");
        assert!(requests <= most, "{drm}: {requests} requests for {count} segments");
        assert!(connections <= 2 * rayon::current_num_threads() + 2, "{connections} connections");
    }
}

/// Bytes that look like no others.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_large_file_is_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(21_000_000);
    fs::write(folder.path().join("large file.mp4"), &bytes).unwrap();
    let origin = Origin::plain(folder.path());
    let files = HttpFiles::new(Arc::new(HttpClient::new().unwrap()));
    let (store, name) = files.open_input(&origin.at("large%20file.mp4")).unwrap();
    assert_eq!(name, "large file.mp4");
    let source = store.open(&name).unwrap();
    assert_eq!(source.len(), bytes.len() as u64);
    let check = |position: usize, length: usize| {
        let mut found = vec![0; length];
        source.read_at(position as u64, &mut found).unwrap();
        assert!(found == bytes[position..position + length], "{length} bytes at {position}");
    };
    (0..bytes.len() / 250_000).for_each(|number| check(number * 250_000, 250_000));
    let sequential = origin.requests();
    println!("{sequential} requests for {} bytes read one behind the other", bytes.len());
    assert!(sequential <= 20, "{sequential}");
    // Two readers far apart, then places all over the file, then much at once.
    for number in 0..40 {
        check(number * 100_000, 100_000);
        check(12_000_000 + number * 100_000, 100_000);
    }
    let near = origin.requests() - sequential;
    assert!(near <= 16, "{near}");
    (0..50).for_each(|number| check((number * 7_919_317) % 20_000_000, 16 + number));
    check(3, 20_999_990);
    assert!(source.read_at(20_999_999, &mut [0; 2]).is_err());
}

/// A clip's folder as `v 1` of an origin where everything needs the query, user and password of the manifest.
#[test]
fn addresses_are_asked_for_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let (hls, dash) = (folder.path().join("v 1/hls"), folder.path().join("v 1/dash"));
    for (from, to) in [("hls", &hls), ("dash", &dash)] {
        for (name, bytes) in tree(&clip(from)) {
            let path = to.join(name.replace("1.m4s", "1 a.m4s"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = String::from_utf8(bytes.clone()).ok().filter(|_| !name.ends_with("m4s"));
            let text = text.map(|text| {
                let text = text.replace("/media.m3u8", "/media.m3u8?m=1&x");
                let text =
                    text.replace("$Number$.m4s", "$Number$.m4s?n=$Number$").replace(".mp4\"", ".mp4?i\"");
                text.replace("\n1.m4s", "\n1%20a.m4s?n=1").replace(".m4s\n", ".m4s?s#f\n")
            });
            fs::write(path, text.map_or(bytes, String::into_bytes)).unwrap();
        }
    }
    fs::rename(dash.join("0/1 a.m4s"), dash.join("0/1.m4s")).unwrap();
    fs::rename(dash.join("1/1 a.m4s"), dash.join("1/1.m4s")).unwrap();
    fs::rename(dash.join("2/1 a.m4s"), dash.join("2/1.m4s")).unwrap();
    let signed = |asked: &Asked, answer: Answer| {
        let name = asked.path().rsplit('/').next().unwrap();
        let (stem, extension) = name.rsplit_once('.').unwrap();
        let query = match (stem, extension) {
            ("master" | "manifest", _) => "Signature=top".to_owned(),
            (_, "m3u8") => "m=1&x".to_owned(),
            (_, "mp4") => "i".to_owned(),
            ("1%20a", _) => "n=1".to_owned(),
            _ if asked.path().contains("dash") => format!("n={stem}"),
            _ => "s".to_owned(),
        };
        // me:p@ss
        let is_known = asked.header("authorization") == "Basic bWU6cEBzcw==";
        if is_known && asked.query() == query {
            answer
        } else {
            Answer::new(if is_known { 403 } else { 401 })
        }
    };
    let origin = Origin::of(folder.path(), signed);
    let host = origin.url.strip_prefix("http://").unwrap();
    for (folder, name) in [(&hls, "hls/master.m3u8"), (&dash, "dash/manifest.mpd")] {
        let (out, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let wish = |input: String| job(vec![input], "widevine");
        let input = format!("http://me:p%40ss@{host}/v%201/{name}?Signature=top");
        pack(&wish(input), out.path()).unwrap();
        let input = folder.join(name.split_once('/').unwrap().1);
        pack(&wish(input.to_str().unwrap().to_owned()), other.path()).unwrap();
        assert!(tree(out.path()) == tree(other.path()), "{name}");
        let error = pack(&wish(origin.at(&format!("v%201/{name}?Signature=top"))), out.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Storage);
        assert!(error.to_string().contains("401") && !error.to_string().contains("top"), "{error}");
    }
}

/// Media beside the folder of the playlist: the root is an address as well.
#[test]
fn a_root_on_a_server_holds_what_lies_beside_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip("hls-ts");
    fs::create_dir(folder.path().join("lists")).unwrap();
    fs::copy(clip.join("0.ts"), folder.path().join("0.ts")).unwrap();
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n../0.ts?t=1\n#EXT-X-ENDLIST\n";
    fs::write(folder.path().join("lists/index.m3u8"), list).unwrap();
    let origin = Origin::plain(folder.path());
    let files = HttpFiles::new(Arc::new(HttpClient::new().unwrap()));
    let input = origin.at("lists/index.m3u8");
    let (store, name) = files.locate_below(Some(&origin.at("")), &input).unwrap();
    assert_eq!(name, "lists/index.m3u8");
    assert_eq!(store.resolve(&name, "../0.ts?t=1").unwrap(), "0.ts");
    assert_eq!(store.open("0.ts").unwrap().len(), fs::metadata(clip.join("0.ts")).unwrap().len());
    let outside = files.locate_below(Some(&origin.at("other")), &input).map(|_| ()).unwrap_err();
    assert!(outside.to_string().contains("does not lie below --root"), "{outside}");
}

#[test]
fn references_of_a_manifest_that_moved_are_relative_to_where_it_is() {
    let moved = |asked: &Asked, answer: Answer| match asked.path() {
        "/master.m3u8" => Answer::new(302).with("Location", "/hls/master.m3u8"),
        "/hls/v1/2.m4s" => Answer::new(307).with("Location", "../v1/./2.m4s?moved"),
        _ => answer,
    };
    let moved = move |asked: &Asked, answer: Answer| {
        if asked.query() == "moved" { answer } else { moved(asked, answer) }
    };
    check(&clip("hls"), &["master.m3u8"], "widevine", &Origin::of(&clip(""), moved));
}

/// What a fault does to a pack over HTTP: the exit code and words of the one line; nothing is left behind.
fn fails(origin: &Origin, name: &str, code: i32, says: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_drm-pack"))
        .args(["pack", &origin.at(name), "--drm", "widevine", "--dev-keys", "x", "--out"])
        .arg(folder.path().join("out"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let errors: Vec<_> = text.lines().filter(|line| line.starts_with("drm-pack: ")).collect();
    assert_eq!((output.status.code(), errors.len()), (Some(code), 1), "{text}");
    says.iter().for_each(|words| assert!(errors[0].contains(words), "{words:?} in {}", errors[0]));
    assert!(!errors[0].contains("secret"), "{}", errors[0]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

/// A clip's folder where one file has an answer of its own.
fn faulty(name: &'static str, fault: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) -> Origin {
    Origin::of(
        &clip("hls"),
        move |asked, answer| {
            if asked.path().ends_with(name) { fault(asked, answer) } else { answer }
        },
    )
}

#[test]
fn what_a_server_does_wrong_is_an_error_and_leaves_nothing() {
    let segment = "v2/2.m4s";
    let master = "master.m3u8?token=secret";
    fails(&faulty(segment, |_, _| Answer::new(404)), master, 3, &[segment, "the file is missing"]);
    fails(&faulty(segment, |_, _| Answer::new(403)), master, 6, &[segment, "403"]);
    fails(&faulty("master.m3u8", |_, _| Answer::new(401)), master, 6, &["401", "USER:PASSWORD"]);
    let never = |_: &Asked, _: Answer| Answer::new(503).with("Retry-After", "0");
    fails(&faulty(segment, never), master, 6, &[segment, "503"]);
    let elsewhere = |_: &Asked, _: Answer| {
        Answer::new(302).with("Location", "http://user:secret@127.0.0.1:1/x.m4s?secret")
    };
    fails(&faulty(segment, elsewhere), master, 6, &["another origin, http://127.0.0.1:1/x.m4s", "§15.4"]);
    let around = |_: &Asked, _: Answer| Answer::new(302).with("Location", "2.m4s?secret");
    fails(&faulty(segment, around), master, 6, &["5 redirects"]);
    let short = |_: &Asked, answer: Answer| {
        let length = answer.body.len();
        Answer { body: answer.body[..length / 2].to_vec(), ..answer }
            .with("Content-Length", length.to_string())
    };
    fails(&faulty(segment, short), master, 6, &[segment, "broke off"]);
    let wrong = |_: &Asked, answer: Answer| answer.with("Content-Range", "bytes 1-9/10");
    fails(&faulty(segment, wrong), master, 6, &["bytes 1..10 are answered", "§15.3.7"]);
    let silent = |_: &Asked, answer: Answer| answer.with("Content-Range", "bytes 0-9/*");
    fails(&faulty(segment, silent), master, 6, &["Content-Range", "§14.4"]);
    let coded = |_: &Asked, answer: Answer| answer.with("Content-Encoding", "gzip");
    fails(&faulty(segment, coded), master, 6, &["coded as \"gzip\""]);
    // The init segment is read for the plan and again when it is written.
    let changed = |asked: &Asked, answer: Answer| answer.with("ETag", format!("\"{}\"", asked.before));
    fails(&faulty("v1/init_0.mp4", changed), master, 6, &["v1/init_0.mp4", "changed while it was read"]);
}

#[test]
fn a_fault_that_passes_is_tried_again() {
    let passing = |asked: &Asked, answer: Answer| match asked.before {
        0 if asked.path().ends_with("2.m4s") => Answer::new(503).with("Retry-After", "0"),
        0 if asked.path().ends_with("1.m4s") => Answer::new(429).with("Retry-After", "0"),
        0 if asked.path() == "/v1/0.m4s" => {
            let length = answer.body.len().to_string();
            Answer { body: answer.body[..100].to_vec(), ..answer }.with("Content-Length", length)
        }
        _ => answer,
    };
    check(&clip("hls"), &["master.m3u8"], "widevine", &Origin::of(&clip("hls"), passing));
}

#[test]
fn large_files_need_ranges_and_keep_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(clip("mp4/av.mp4")).unwrap();
    // A moov far behind.
    let moov = bytes.windows(4).position(|window| window == b"moov").unwrap() - 4;
    let mut free = [&10_000_000_u32.to_be_bytes()[..], b"free"].concat();
    free.resize(10_000_000, 0);
    bytes.splice(moov..moov, free);
    fs::write(folder.path().join("a.mp4"), &bytes).unwrap();
    check(folder.path(), &["a.mp4"], "widevine", &Origin::plain(folder.path()));
    let whole = bytes.clone();
    let origin = Origin::of(folder.path(), move |_, _| Answer { body: whole.clone(), ..Answer::new(200) });
    fails(&origin, "a.mp4?secret", 4, &["a.mp4: ", "serves no byte ranges", "8388608"]);
    let changes = |asked: &Asked, answer: Answer| {
        answer.with("ETag", if asked.header("range").starts_with("bytes=0-") { "\"a\"" } else { "\"b\"" })
    };
    fails(&Origin::of(folder.path(), changes), "a.mp4", 6, &["changed while it was read"]);
    let forgets = move |asked: &Asked, answer: Answer| {
        let is_first = asked.header("range").starts_with("bytes=0-");
        if is_first { answer } else { Answer { body: bytes.clone(), ..Answer::new(200) } }
    };
    fails(&Origin::of(folder.path(), forgets), "a.mp4", 6, &["the whole file is answered"]);
}

#[test]
fn references_that_would_be_one_file_or_lie_elsewhere_are_refused() {
    let media = |lines: &str| {
        let folder = crate::support::files::copied("hls");
        let path = folder.path().join("v1/media.m3u8");
        let text = fs::read_to_string(&path).unwrap();
        let (head, rest) = text.split_once("0.m4s").unwrap();
        fs::write(&path, format!("{head}{lines}{rest}")).unwrap();
        folder
    };
    for (lines, code, says) in [
        ("x.php?n=1\n#EXTINF:2,\nx.php?n=2", 4, "differ in their query alone"),
        ("https://me:secret@cdn.example/0.m4s?secret", 3, "must not name clear media"),
        ("//cdn.example/0.m4s", 3, "must not name clear media"),
        ("a%2fb.m4s", 3, "no %2F"),
        ("gone.m4s?secret", 3, "v1/gone.m4s: the file is missing"),
    ] {
        let folder = media(lines);
        fails(&Origin::plain(folder.path()), "master.m3u8", code, &[says]);
    }
    let plain = Origin::plain(&clip("hls"));
    fails(&plain, "", 2, &["names no file"]);
    fails(&plain, "v1/init.mp4/", 2, &["names no file"]);
}

#[test]
fn a_last_segment_that_cannot_be_looked_for_is_not_left_out() {
    let folder = crate::support::files::copied("dash");
    let path = folder.path().join("manifest.mpd");
    // The number of segments follows from a duration that is one segment too long.
    let text = fs::read_to_string(&path).unwrap().replace("PT8.0S", "PT10.0S");
    let timeline =
        text.split("<SegmentTimeline>").nth(1).unwrap().split("</SegmentTimeline>").next().unwrap();
    let timeline = format!("<SegmentTimeline>{timeline}</SegmentTimeline>");
    let text =
        text.replace(&timeline, "").replace("timescale=\"12800\"", "timescale=\"12800\" duration=\"25600\"");
    fs::write(&path, text).unwrap();
    let origin = Origin::of(folder.path(), |asked, answer| {
        if asked.path().ends_with("/4.m4s") { Answer::new(500).with("Retry-After", "0") } else { answer }
    });
    fails(&origin, "manifest.mpd", 6, &["4.m4s", "500"]);
    check(folder.path(), &["manifest.mpd"], "widevine", &Origin::plain(folder.path()));
}
