//! Jobs that are interrupted and called again: what comes of them equals what comes of one that was not.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use drm_pack::base::env::{Sink, Source, Store};
use drm_pack::base::{Error, Result};
use drm_pack::io::{FileStore, HttpClient, HttpFiles, OutputDirectory, Overwrite};
use drm_pack::job::{Env, Job, Journal, Layout, Report, run};
use drm_pack::keys::{DevKeys, KeyServer};
use drm_pack::package::Preset;

use crate::hls_and_dash::segments;
use crate::support::files::copied;
use crate::support::files::tree;
use crate::support::media::root;
use crate::support::pack::{SEED, WithoutIvs, job, open_input};

/// A folder that takes so many files and fails then.
struct Failing {
    store: FileStore,
    most: usize,
    created: Mutex<Vec<String>>,
}

impl Store for Failing {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        self.store.open(name)
    }

    fn exists(&self, name: &str) -> Result<bool> {
        self.store.exists(name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        let mut created = self.created.lock().unwrap();
        if created.len() == self.most {
            return Err(Error::storage("the disk is full"));
        }
        created.push(name.to_owned());
        self.store.create(name)
    }
}

/// What a call came to, and the files that it wrote.
type Outcome = (Result<Report>, Vec<String>);

/// Runs a job that may write so many files.
pub(crate) fn attempt(wish: &Job, seed: &str, out: &Path, most: usize) -> Outcome {
    let output = OutputDirectory::resume(out, Overwrite::Refuse).unwrap();
    let notes = output.journal().unwrap();
    let journal = Journal::open(&notes).unwrap();
    let store = Failing { store: output.store(), most, created: Mutex::default() };
    let keys: Box<dyn KeyServer> = match wish.drm.contains("fairplay") {
        true => Box::new(DevKeys::new(seed)),
        false => Box::new(WithoutIvs(DevKeys::new(seed))),
    };
    let http = Arc::new(HttpClient::new().unwrap());
    let files = HttpFiles::new(Arc::clone(&http));
    let open_input = |input: &str| -> Result<(Box<dyn Store>, String)> {
        if !input.starts_with("http") {
            return open_input(input);
        }
        let (store, name) = files.open_input(input)?;
        Ok((Box::new(store), name))
    };
    let env = Env {
        open_input: &open_input,
        output: &store,
        keys: keys.as_ref(),
        http: http.as_ref(),
        journal: Some(&journal),
        observe: &|_| {},
    };
    let report = run(wish, &env);
    let report = report.and_then(|report| output.publish().map(|()| report));
    (report, store.created.into_inner().unwrap())
}

/// A folder with `.out.partial` and `.out.journal`, as an interrupted job leaves it.
fn interrupted(wish: &Job, most: usize) -> (tempfile::TempDir, Vec<String>) {
    let place = tempfile::tempdir().unwrap();
    let (report, created) = attempt(wish, SEED, &place.path().join("out"), most);
    assert!(report.unwrap_err().to_string().contains("the disk is full"));
    let mut left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".out.journal", ".out.partial"]);
    (place, created)
}

/// What comes of a job that is not interrupted.
fn uninterrupted(wish: &Job) -> (BTreeMap<String, Vec<u8>>, Report) {
    let place = tempfile::tempdir().unwrap();
    let (report, _) = attempt(wish, SEED, &place.path().join("out"), usize::MAX);
    let report = report.unwrap_or_else(|error| panic!("{wish:?}: {error}"));
    assert_eq!(report.finished_before, Some(0));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "no notes are left");
    (tree(&place.path().join("out")), report)
}

/// The report but for what depends on the call.
fn lasting(report: &Report) -> serde_json::Value {
    serde_json::to_value(Report { elapsed_ms: 0, finished_before: None, ..report.clone() }).unwrap()
}

fn check(wish: &Job) {
    let (whole, expected) = uninterrupted(wish);
    for first in [1, whole.len() / 3, whole.len() / 2] {
        let (place, mut created) = interrupted(wish, first.max(1));
        let out = place.path().join("out");
        // Interrupted twice.
        let (report, again) = attempt(wish, SEED, &out, 1);
        assert!(report.is_err());
        created.extend(again);
        let (report, last) = attempt(wish, SEED, &out, usize::MAX);
        let report = report.unwrap_or_else(|error| panic!("{wish:?}: {error}"));
        assert!(tree(&out) == whole, "{wish:?} after {first}");
        assert_eq!(lasting(&report), lasting(&expected), "{wish:?}");
        let is_made_again = |name: &&String| {
            report.manifests.contains(name) || wish.layout.is_some() && name.ends_with("/init.mp4")
        };
        created.retain(|name| !is_made_again(&name));
        assert_eq!(report.finished_before, Some(created.len()), "{wish:?}: {created:?}");
        created.extend(last.into_iter().filter(|name| !is_made_again(&name)));
        let known: HashSet<_> = created.iter().collect();
        assert_eq!(known.len(), created.len(), "{wish:?}: {created:?}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "no notes are left");
    }
}

fn clip(name: &str) -> PathBuf {
    root().join("fixtures/clip").join(name)
}

fn whole_segments(input: &Path) -> Job {
    let key_uri = Some("https://keys.example/{kid}".to_owned());
    Job { scheme: None, key_uri, encrypt_init: true, ..job(input, "simpleaes", "") }
}

#[test]
fn packages_equal_those_of_a_job_that_was_not_interrupted() {
    let both = segments();
    let path = |name: &str| both.path().join(name).to_str().unwrap().to_owned();
    let hls = clip("hls/master.m3u8");
    for wish in [
        Job { preset: Preset::Preset1, ..job(&hls, "widevine+playready", "cbcs") },
        job(&clip("dash/manifest.mpd"), "widevine", "cenc"),
        job(&clip("dash-segment-base/manifest.mpd"), "widevine", "cenc"),
        job(&clip("hls-byterange/master.m3u8"), "widevine", "cbcs"),
        Job {
            inputs: vec![path("master.m3u8"), path("manifest.mpd")],
            ..job(both.path(), "widevine+playready", "cbcs")
        },
        Job { clear_lead: 2.0, rotate_every: Some(1), ..job(&hls, "widevine", "cbcs") },
    ] {
        check(&wish);
    }
}

#[test]
fn streams_and_whole_segments_do_so_too() {
    let ts = clip("hls-ts/index.m3u8");
    for wish in [
        job(&ts, "fairplay", "cbcs"),
        Job { rotate_every: Some(1), clear_lead: 1.0, ..job(&ts, "fairplay", "cbcs") },
        whole_segments(&ts),
        whole_segments(&clip("hls-byterange/master.m3u8")),
        Job { rotate_every: Some(2), preset: Preset::Preset1, ..whole_segments(&clip("hls/master.m3u8")) },
    ] {
        check(&wish);
    }
}

#[test]
fn tracks_of_mp4_files_do_so_too() {
    for layout in [Layout::Segments, Layout::SingleFile] {
        for name in ["av.mp4", "av_frag.mp4"] {
            let wish = job(&clip("mp4").join(name), "widevine+playready", "cbcs");
            check(&Job { layout: Some(layout), rotate_every: Some(1), ..wish });
        }
    }
}

#[test]
fn files_that_are_not_what_was_noted_are_written_again() {
    let folder = copied("hls");
    let wish = job(&folder.path().join("master.m3u8"), "widevine", "cbcs");
    let (whole, _) = uninterrupted(&wish);
    let media: Vec<_> = whole.keys().filter(|name| name.ends_with(".m4s")).cloned().collect();
    let (place, created) = interrupted(&wish, media.len());
    let written: Vec<_> = created.iter().filter(|name| media.contains(name)).collect();
    let [torn, short, gone, changed, ..] = written.as_slice() else { panic!("{created:?}") };
    let partial = |name: &str| place.path().join(".out.partial").join(name);
    let mut bytes = fs::read(partial(torn)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0);
    fs::write(partial(torn), bytes).unwrap();
    fs::File::options().write(true).open(partial(short)).unwrap().set_len(0).unwrap();
    fs::remove_file(partial(gone)).unwrap();
    // As long as it was.
    let source = fs::File::options().write(true).open(folder.path().join(changed)).unwrap();
    source.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
    let (report, again) = attempt(&wish, SEED, &place.path().join("out"), usize::MAX);
    report.unwrap();
    assert!([torn, short, gone, changed].iter().all(|name| again.contains(name)), "{again:?}");
    let kept = created.iter().filter(|name| !again.contains(name)).count();
    assert_eq!(kept, created.len() - 4);
    assert!(tree(&place.path().join("out")) == whole);
}

#[test]
fn another_job_does_not_go_on_and_deletes_nothing() {
    let folder = copied("hls");
    let wish = job(&folder.path().join("master.m3u8"), "widevine", "cbcs");
    let (place, _) = interrupted(&wish, 4);
    let before = tree(place.path());
    let refused = |wish: &Job, seed: &str, says: &str| {
        let (report, created) = attempt(wish, seed, &place.path().join("out"), usize::MAX);
        let error = report.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.kind().exit_code(), 2);
        assert!(created.is_empty() && tree(place.path()) == before, "{says}");
    };
    refused(&Job { scheme: Some("cenc".into()), ..wish.clone() }, SEED, "had other options");
    refused(&Job { rotate_every: Some(1), ..wish.clone() }, SEED, "had other options");
    refused(&wish, "another", "had other keys");
    for name in ["v1/media.m3u8", "v1/init_0.mp4"] {
        let path = folder.path().join(name);
        let clear = fs::read(&path).unwrap();
        let mut other = clear.clone();
        let at = if name.ends_with("4") {
            // The major brand stays; a matrix of the movie header changes.
            other.windows(4).position(|window| window == b"mvhd").unwrap() + 90
        } else {
            other.len() - 1
        };
        other[at] ^= 3;
        fs::write(&path, &other).unwrap();
        refused(&wish, SEED, "had other inputs");
        fs::write(&path, clear).unwrap();
    }
    let note = place.path().join(".out.journal/job.json");
    let whole = fs::read(&note).unwrap();
    fs::write(&note, &whole[..whole.len() / 2]).unwrap();
    let notes = FileStore::new(note.parent().unwrap());
    let error = Journal::open(&notes).err().unwrap().to_string();
    assert!(error.contains("the note of the interrupted job is damaged"), "{error}");
    fs::write(&note, whole).unwrap();
    let (report, _) = attempt(&wish, SEED, &place.path().join("out"), usize::MAX);
    report.unwrap();

    let mp4 = copied("mp4");
    let wish = job(&mp4.path().join("av.mp4"), "widevine", "cbcs");
    let (place, _) = interrupted(&wish, 3);
    let source = fs::File::options().write(true).open(mp4.path().join("av.mp4")).unwrap();
    source.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
    let (report, _) = attempt(&wish, SEED, &place.path().join("out"), usize::MAX);
    assert!(report.unwrap_err().to_string().contains("had other inputs"));
}

/// A playlist of so many segments, each the same file.
fn long_playlist(folder: &Path, count: usize) -> PathBuf {
    fs::copy(clip("hls/v1/init_0.mp4"), folder.join("init.mp4")).unwrap();
    fs::copy(clip("hls/v1/0.m4s"), folder.join("0.m4s")).unwrap();
    let mut list =
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init.mp4\"\n".to_owned();
    for number in 0..count {
        if number > 0 {
            fs::hard_link(folder.join("0.m4s"), folder.join(format!("{number}.m4s"))).unwrap();
        }
        list.push_str(&format!("#EXTINF:2,\n{number}.m4s\n"));
    }
    let path = folder.join("media.m3u8");
    fs::write(&path, list + "#EXT-X-ENDLIST\n").unwrap();
    path
}

fn drm_pack(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    command.current_dir(folder).args(arguments.split_whitespace());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn a_job_that_is_killed_goes_on_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let here = place.path();
    fs::create_dir(here.join("in")).unwrap();
    long_playlist(&here.join("in"), 400);
    let pack = |rest: &str| drm_pack(here, &format!("pack in/media.m3u8 --drm widevine --dev-keys x {rest}"));
    let notes = || fs::read_dir(here.join(".out.journal")).map_or(0, Iterator::count);
    let mut job = pack("--out out --resume").stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    while notes() < 20 && job.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    job.kill().unwrap();
    assert!(!job.wait().unwrap().success() && !here.join("out").exists(), "it was quicker than this test");

    let refused = pack("--out out --resume --clear-lead 4").output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("the interrupted job had other options"), "{}", said(&refused));
    let resumed = pack("--out out --resume").output().unwrap();
    assert!(
        resumed.status.success() && said(&resumed).contains(" were finished before"),
        "{}",
        said(&resumed)
    );
    assert!(pack("--out whole").output().unwrap().status.success());
    assert!(tree(&here.join("out")) == tree(&here.join("whole")));
    let names = || {
        let mut names: Vec<_> = fs::read_dir(here).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["in", "out", "whole"]);
    let again = pack("--out out --resume").output().unwrap();
    assert!(again.status.code() == Some(2) && said(&again).contains("not empty"), "{}", said(&again));
    assert!(pack("--out out --resume --overwrite").output().unwrap().status.success());

    // What fails before keys are asked for leaves nothing; later only what is to go on does.
    let last = here.join("in/399.m4s");
    fs::remove_file(&last).unwrap();
    for rest in ["--out new", "--out new --resume"] {
        assert_eq!(pack(rest).output().unwrap().status.code(), Some(3));
        assert_eq!(names(), ["in", "out", "whole"], "{rest}");
    }
    fs::write(&last, &fs::read(here.join("in/0.m4s")).unwrap()[..9000]).unwrap();
    assert_eq!(pack("--out new --resume").output().unwrap().status.code(), Some(3));
    assert_eq!(names(), [".new.journal", ".new.partial", "in", "out", "whole"]);
    assert_eq!(pack("--out new").output().unwrap().status.code(), Some(3));
    assert_eq!(names(), ["in", "out", "whole"]);
}
