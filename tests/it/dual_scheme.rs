//! `--scheme cenc+cbcs`: two trees from one exchange, with keys of their own — ISO/IEC 23001-7 §10.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use drm_pack::base::env::Http;
use drm_pack::base::{Kid, Result, Secret};
use drm_pack::cpix::Document;
use drm_pack::job::Job;
use drm_pack::keys::{DevKeys, KeyServer, check};

use crate::resume::attempt;
use crate::support::files::tree;
use crate::support::media::root;
use crate::support::pack::{SEED, job, pack, pack_with, pack_without_keys};

const BOTH: &str = "cenc+cbcs";

fn clip(name: &str) -> String {
    root().join("fixtures/clip").join(name).to_str().unwrap().to_owned()
}

fn drm_pack(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    command.current_dir(folder).args(arguments.split_whitespace()).output().unwrap()
}

fn succeeds(folder: &Path, arguments: &str) -> String {
    let output = drm_pack(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How often a source was asked, what for, and what it makes of its answer.
struct Asked<'a> {
    requests: Mutex<Vec<Document>>,
    change: &'a (dyn Fn(&mut Document) + Sync),
}

impl KeyServer for Asked<'_> {
    fn exchange(&self, http: &dyn Http, request: Document) -> Result<Document> {
        self.requests.lock().unwrap().push(request.clone());
        let mut answer = DevKeys::new(SEED).exchange(http, request.clone())?;
        (self.change)(&mut answer);
        check(&request, answer)
    }
}

/// Another id for each key, as a server gives that has ids of its own.
fn renamed(document: &mut Document) {
    let renamed = |kid: &mut Kid| *kid = Kid::new(kid.bytes().map(|byte| !byte));
    document.content_keys.iter_mut().for_each(|key| renamed(&mut key.kid));
    document.drm_systems.iter_mut().for_each(|system| renamed(&mut system.kid));
    document.usage_rules.iter_mut().for_each(|rule| renamed(&mut rule.kid));
}

#[test]
fn two_trees_come_from_one_exchange_whatever_ids_the_server_has() {
    let changes: [&(dyn Fn(&mut Document) + Sync); 2] = [&|_| {}, &renamed];
    for (input, drm) in [
        ("mp4/av.mp4", "widevine+fairplay"),
        ("hls/master.m3u8", "fairplay+widevine+playready"),
        ("demux/avc_aac.ts", "widevine+fairplay"),
        ("dash/manifest.mpd", "widevine+playready"),
    ] {
        for change in changes {
            let out = tempfile::tempdir().unwrap();
            let keys = Asked { requests: Mutex::default(), change };
            let report = pack_with(&job(Path::new(&clip(input)), drm, BOTH), out.path(), &keys).unwrap();
            let requests = keys.requests.into_inner().unwrap();
            assert_eq!(requests.len(), 1);
            let schemes = requests[0].content_keys.iter().map(|key| key.common_encryption_scheme.unwrap());
            assert_eq!(schemes.map(|scheme| scheme.to_string()).collect::<Vec<_>>(), ["cenc", "cbcs"]);
            let kids = |scheme: &str| -> HashSet<_> {
                let tracks = report.tracks.iter().filter(|track| track.scheme == scheme);
                tracks.map(|track| track.kid.clone()).collect()
            };
            assert!(!kids("cenc").is_empty() && !kids("cbcs").is_empty());
            assert!(kids("cenc").is_disjoint(&kids("cbcs")));
            let files = tree(out.path());
            assert_eq!(files.len(), report.outputs.len());
            assert!(report.outputs.iter().all(|file| files[&file.path].len() as u64 == file.bytes));
            assert!(report.manifests.iter().all(|name| files.contains_key(name)));
            for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".m3u8")) {
                let text = String::from_utf8(bytes.clone()).unwrap();
                let is_cenc = name.starts_with("cenc/");
                let method = if is_cenc { "METHOD=SAMPLE-AES-CTR," } else { "METHOD=SAMPLE-AES," };
                assert!(
                    text.lines().all(|line| !line.contains("METHOD=") || line.contains(method)),
                    "{text}"
                );
                assert_eq!(
                    text.contains("streamingkeydelivery"),
                    !is_cenc && text.contains("METHOD="),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn one_key_never_serves_both() {
    let out = tempfile::tempdir().unwrap();
    let same = |answer: &mut Document| {
        answer.content_keys.iter_mut().for_each(|key| key.value = Some(Secret::new([7; 16])));
    };
    let keys = Asked { requests: Mutex::default(), change: &same };
    let wish = job(Path::new(&clip("mp4/av.mp4")), "widevine", BOTH);
    let error = pack_with(&wish, out.path(), &keys).unwrap_err().to_string();
    assert!(error.contains("one key for two schemes"), "{error}");
    assert!(tree(out.path()).is_empty());
}

#[test]
fn each_tree_is_that_of_its_scheme_alone_and_verify_passes() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for input in ["hls/master.m3u8", "mp4/av.mp4"] {
        let input = clip(input);
        let call = format!(
            "pack {input} --drm widevine+playready+fairplay --resource-id t --dev-keys s --preset preset1"
        );
        succeeds(here, &format!("{call} --scheme cbcs,cenc --out both --overwrite"));
        for (scheme, drm) in [("cenc", "widevine+playready"), ("cbcs", "widevine+playready+fairplay")] {
            let alone = format!("pack {input} --drm {drm} --resource-id t --dev-keys s --preset preset1");
            succeeds(here, &format!("{alone} --scheme {scheme} --out {scheme} --overwrite"));
            assert!(tree(&here.join("both").join(scheme)) == tree(&here.join(scheme)), "{input} {scheme}");
            succeeds(here, &format!("verify both/{scheme} --dev-keys s --against {input}"));
        }
        // What others keep in the folder is not lost.
        fs::write(here.join("both/note"), "mine").unwrap();
        let refused = drm_pack(here, &format!("{call} --scheme cenc+cbcs --out both --overwrite"));
        assert_eq!(refused.status.code(), Some(2));
        fs::remove_file(here.join("both/note")).unwrap();
    }
}

#[test]
fn a_document_and_a_key_file_say_which_keys_are_for_which_scheme() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let call = format!("{} --drm widevine+fairplay --scheme cenc+cbcs --resource-id t", clip("mp4/av.mp4"));
    succeeds(here, &format!("pack {call} --preset preset1 --dev-keys s --out seed"));
    succeeds(here, &format!("keys {call} --preset preset1 --dev-keys s --out keys.cpix"));
    succeeds(here, "cpix validate keys.cpix");
    succeeds(here, &format!("pack {call} --cpix keys.cpix --out document"));
    assert!(tree(&here.join("seed")) == tree(&here.join("document")));
    for format in ["shaka", "bento4"] {
        let output = drm_pack(here, &format!("keys {call} --dev-keys s --output-format {format} --out k"));
        assert_eq!(output.status.code(), Some(4));
    }
    let line = |label: &str, n: u8| {
        format!(
            "{label}{}:{}:{}\n",
            format!("{n:02x}").repeat(16),
            format!("{:02x}", n + 16).repeat(16),
            "9".repeat(32)
        )
    };
    for (lines, kids) in [
        ([line("", 1), line("", 2)].concat(), [1, 1, 2, 2]),
        ([line("@cbcs=", 1), line("@cenc=", 2)].concat(), [2, 2, 1, 1]),
        ([line("v1@cenc=", 1), line("a1@cenc=", 2), line("v1,a1@cbcs=", 3)].concat(), [1, 2, 3, 3]),
        ([line("v1@cenc=", 1), line("AUDIO@cenc=", 2), line("@cbcs=", 3)].concat(), [1, 2, 3, 3]),
    ] {
        fs::write(here.join("keys.txt"), &lines).unwrap();
        for verb in ["plan", "pack"] {
            let out = if verb == "pack" { "--out file --overwrite" } else { "" };
            let report = succeeds(here, &format!("{verb} {call} --key-file keys.txt --json {out}"));
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            let found =
                report["tracks"].as_array().unwrap().iter().map(|track| track["kid"].as_str().unwrap());
            let expected = kids.map(|kid: u8| Kid::new([kid; 16]).to_string());
            assert_eq!(found.collect::<Vec<_>>(), expected, "{lines}");
        }
    }
    for (lines, says) in [
        (line("@cenc=", 1), "no key for cbcs"),
        ([line("v1@cenc=", 1), line("a1=", 2)].concat(), "is for no scheme"),
        ([line("@cenc=", 1), line("@cbc1=", 2)].concat(), "is for cbc1"),
        ([line("v1@cenc=", 1), line("@cbcs=", 2)].concat(), "a1"),
        (line("", 1), "wanted are 2"),
    ] {
        fs::write(here.join("keys.txt"), &lines).unwrap();
        let output = drm_pack(here, &format!("pack {call} --key-file keys.txt --out none"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{lines}{said}");
    }
    // A key for one scheme is for no other.
    fs::write(here.join("keys.txt"), line("@cenc=", 1)).unwrap();
    let one = format!("pack {} --drm widevine --key-file keys.txt --out none", clip("mp4/av.mp4"));
    assert_eq!(drm_pack(here, &format!("{one} --scheme cbcs")).status.code(), Some(2));
    succeeds(here, &format!("{one} --scheme cenc"));
}

#[test]
fn a_plan_has_both_trees_and_the_one_request() {
    let folder = tempfile::tempdir().unwrap();
    let call =
        format!("plan {} --drm widevine+fairplay --scheme cenc+cbcs --resource-id t", clip("mp4/av.mp4"));
    let plan: serde_json::Value =
        serde_json::from_str(&succeeds(folder.path(), &format!("{call} --json"))).unwrap();
    assert_eq!(plan["scheme"], BOTH);
    let schemes: Vec<_> = plan["tracks"].as_array().unwrap().iter().map(|track| &track["scheme"]).collect();
    assert_eq!(schemes, ["cenc", "cenc", "cbcs", "cbcs"]);
    let request = plan["request"].as_str().unwrap();
    for scheme in ["cenc", "cbcs"] {
        assert_eq!(request.matches(&format!("commonEncryptionScheme=\"{scheme}\"")).count(), 1, "{request}");
    }
    let old = drm_pack(folder.path(), &format!("{call} --speke 1 --key-server-url http://127.0.0.1:1/"));
    assert!(String::from_utf8_lossy(&old.stderr).contains("keys for two schemes"));
}

#[test]
fn what_cannot_be_combined_is_refused_before_keys_are_asked_for() {
    let input = clip("mp4/av.mp4");
    let wish = |drm: &str| job(Path::new(&input), drm, BOTH);
    for (wish, says) in [
        (wish("fairplay"), "no system for the tree of cenc"),
        (Job { rotate_every: Some(2), ..wish("widevine") }, "--rotate-every"),
        (wish("simpleaes"), "leave out --scheme"),
        (Job { scheme: Some("cenc+cens".into()), ..wish("widevine") }, "cenc+cbcs"),
        (Job { scheme: Some("cenc+cenc".into()), ..wish("widevine") }, "cenc+cbcs"),
        (job(Path::new(&clip("hls-ts/index.m3u8")), "widevine+fairplay", BOTH), "cenc: "),
    ] {
        let out = tempfile::tempdir().unwrap();
        let error = pack_without_keys(&wish, out.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(tree(out.path()).is_empty());
    }
}

#[test]
fn an_interrupted_job_goes_on_in_the_tree_where_it_stopped() {
    let wish = job(Path::new(&clip("mp4/av.mp4")), "widevine+fairplay", BOTH);
    let whole = tempfile::tempdir().unwrap();
    let count = pack(&wish, whole.path()).unwrap().outputs.len();
    for most in [1, count / 2, count - 1] {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("out");
        let (report, before) = attempt(&wish, SEED, &out, most);
        assert!(report.is_err() && !out.exists());
        // A job for one scheme does not take over the files of one for two.
        let one = Job { scheme: Some("cbcs".into()), ..wish.clone() };
        let (report, _) = attempt(&one, SEED, &out, usize::MAX);
        assert!(report.unwrap_err().to_string().contains("other options") && !out.exists());
        let (report, after) = attempt(&wish, SEED, &out, usize::MAX);
        let finished = report.unwrap().finished_before.unwrap();
        // An init segment is written again.
        assert!((finished > 0 || most == 1) && finished <= before.len());
        assert_eq!(after.len() + finished, count);
        assert!(tree(&out) == tree(whole.path()));
    }
}
