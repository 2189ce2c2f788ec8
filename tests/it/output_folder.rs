//! What the output folder may replace, and what is never lost: clear sources, key files, other jobs, keys.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use drm_pack::base::env::{Sink, Store};
use drm_pack::io::{OutputDirectory, Overwrite};
use sha2::{Digest, Sha256};

use crate::support::files::tree;
use crate::support::media::root;

/// A folder with a clear presentation in `par/clear`, and a file of keys and one of anything beside it.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let clear = folder.path().join("par/clear");
    for (name, bytes) in tree(&root().join("fixtures/clip/hls-ts")) {
        fs::create_dir_all(&clear).unwrap();
        fs::write(clear.join(name), bytes).unwrap();
    }
    fs::write(folder.path().join("par/keys"), format!("{}:{}\n", "1".repeat(32), "a".repeat(32))).unwrap();
    fs::write(folder.path().join("par/other"), "of somebody").unwrap();
    folder
}

fn drm_pack(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    command.current_dir(folder).args(arguments.split_whitespace()).output().unwrap()
}

fn succeeds(folder: &Path, arguments: &str) {
    let output = drm_pack(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The command is refused, says why, and changes nothing.
fn refused(folder: &Path, arguments: &str, says: &str) {
    let before = tree(folder);
    let output = drm_pack(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
    assert!(said.contains(says), "{arguments}: {says:?} in {said}");
    assert!(tree(folder) == before, "{arguments}: {:?}", tree(folder).keys());
}

/// The digest that a report says of each file, and that the file has.
fn digests(folder: &Path, arguments: &str) -> Vec<(Option<String>, String)> {
    let output = drm_pack(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |file: &serde_json::Value| {
        let bytes = fs::read(folder.join("out").join(file["path"].as_str().unwrap())).unwrap();
        let has: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        (file["sha256"].as_str().map(str::to_owned), has)
    };
    report["outputs"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn digests_are_for_those_who_ask() {
    let folder = place();
    let here = folder.path();
    fs::copy(root().join("fixtures/clip/mp4/av.mp4"), here.join("av.mp4")).unwrap();
    succeeds(here, "pack av.mp4 --drm widevine --dev-keys x --out par/packed");
    for job in [
        "pack par/clear/index.m3u8 --drm fairplay --dev-keys x",
        "pack par/clear/index.m3u8 --drm simpleaes --key-uri k --dev-keys x --resume",
        "pack av.mp4 --drm widevine --dev-keys x --layout single-file",
        "pack av.mp4 --drm widevine+fairplay --scheme cenc+cbcs --dev-keys x --resume",
        "decrypt par/packed/master.m3u8 --dev-keys x",
    ] {
        let call = |rest: &str| digests(here, &format!("{job} --out out --overwrite --json {rest}"));
        let (without, with) = (call(""), call("--digests"));
        assert!(!without.is_empty() && without.iter().all(|(said, _)| said.is_none()), "{job}: {without:?}");
        assert!(with.iter().all(|(said, has)| said.as_ref() == Some(has)), "{job}: {with:?}");
    }
    refused(here, "pack av.mp4 --drm widevine --dev-keys x --out new --digests", "--json");
}

const WHOLE: &str = "--drm simpleaes --key-uri k --dev-keys x";

#[test]
fn what_a_job_reads_is_never_replaced() {
    let folder = place();
    let here = folder.path();
    symlink(here.join("par/clear"), here.join("link")).unwrap();
    fs::create_dir(here.join("work")).unwrap();
    fs::create_dir(here.join("keys")).unwrap();
    fs::copy(here.join("par/keys"), here.join("keys/k")).unwrap();
    for (input, out) in [
        ("par/clear/index.m3u8", "par"),
        ("par/clear/index.m3u8", "par/clear"),
        ("par/clear/index.m3u8", "work/../par"),
        ("par/clear", "par/clear"),
        ("link/index.m3u8", "par"),
        ("par/clear/index.m3u8", "link"),
        ("par/clear/index.m3u8 --root par", "par"),
    ] {
        for overwrite in ["", "--overwrite"] {
            refused(here, &format!("pack {input} --out {out} {WHOLE} {overwrite}"), "holds");
        }
    }
    let keys = "--drm simpleaes --key-uri k --key-file keys/k";
    refused(here, &format!("pack par/clear/index.m3u8 --out keys {keys} --overwrite"), "holds keys/k");
    refused(&here.join("work"), &format!("pack ../par/clear --out ../work {WHOLE} --overwrite"), "holds");
    let absolute = here.join("work").to_str().unwrap().to_owned();
    refused(&here.join("work"), &format!("pack ../par/clear --out {absolute} {WHOLE} --overwrite"), "holds");

    succeeds(here, &format!("pack par/clear/index.m3u8 --out par/clear/out {keys}"));
    succeeds(here, &format!("pack par/clear/index.m3u8 --out par/clear/out {keys} --overwrite"));
    for out in ["par/clear/out", "par/clear", "par", "keys"] {
        let decrypt = format!("decrypt par/clear/out/index.m3u8 --out {out} --key-file keys/k --overwrite");
        refused(here, &decrypt, "holds");
    }
}

#[test]
fn media_below_the_manifest_are_not_replaced_either() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in tree(&root().join("fixtures/clip/hls")) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let options = "--drm widevine --dev-keys x --overwrite";
    refused(folder.path(), &format!("pack master.m3u8 --out v1 {options}"), "is read by this job");
    fs::rename(folder.path().join("v2"), folder.path().join("elsewhere")).unwrap();
    symlink(folder.path().join("elsewhere"), folder.path().join("v2")).unwrap();
    refused(folder.path(), &format!("pack master.m3u8 --out elsewhere {options}"), "is read by this job");
}

#[test]
fn a_file_that_is_read_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::copy(root().join("fixtures/clip/mp4/audio.m4a"), here.join("a.m4a")).unwrap();
    fs::write(here.join("keys"), format!("{}:{}", "1".repeat(32), "2".repeat(32))).unwrap();
    symlink("a.m4a", here.join("link")).unwrap();
    for out in ["a.m4a", "./link", "keys"] {
        let keys = format!("keys a.m4a --drm widevine --key-file keys --out {out}");
        refused(here, &keys, "is read by this command");
    }
    refused(here, "inspect a.m4a --html link", "is read by this command");
    // Media that is not an input is not lost either.
    fs::copy(root().join("fixtures/clip/hls-ts/1.ts"), here.join("seg1.ts")).unwrap();
    refused(here, "inspect a.m4a --html seg1.ts", "is a transport stream and would be replaced");
    refused(here, "keys a.m4a --drm widevine --key-file keys --out seg1.ts", "is a transport stream");
    // Nor is a manifest, which the input may have led to.
    fs::copy(root().join("fixtures/clip/hls-ts/index.m3u8"), here.join("list.m3u8")).unwrap();
    refused(here, "keys a.m4a --drm widevine --key-file keys --out list.m3u8", "is a manifest and would be");
    succeeds(here, "keys a.m4a --drm widevine --key-file keys --out doc.xml");
    succeeds(here, "keys a.m4a --drm widevine --key-file keys --out doc.xml");
    refused(here, "cpix convert doc.xml --to 2.3 --out doc.xml", "is read by this command");
}

#[test]
fn a_key_does_not_replace_what_the_job_writes() {
    let folder = place();
    for name in ["index.m3u8", "./0.ts"] {
        let to = format!("par/out/{name}");
        let pack = format!("pack par/clear/index.m3u8 --out par/out {WHOLE} --write-key-file {to}");
        refused(folder.path(), &pack, "this job writes");
        assert!(!folder.path().join("par/out").exists(), "{name}");
    }
}

#[test]
fn a_file_is_no_output_folder() {
    let folder = place();
    for overwrite in ["", "--overwrite"] {
        let pack = format!("pack par/clear/index.m3u8 --out par/other {WHOLE} {overwrite}");
        refused(folder.path(), &pack, "par/other: a file is there, a folder expected");
    }
}

#[test]
fn a_link_to_a_folder_is_followed_and_stays() {
    let folder = place();
    let here = folder.path();
    fs::create_dir(here.join("store")).unwrap();
    symlink("store/new", here.join("dangling")).unwrap();
    for link in ["dangling", "there"] {
        let pack = format!("pack par/clear/index.m3u8 --out {link} {WHOLE}");
        if link == "there" {
            symlink(here.join("store/there"), here.join(link)).unwrap();
            fs::create_dir(here.join("store/there")).unwrap();
        }
        succeeds(here, &pack);
        refused(here, &pack, "not empty");
        succeeds(here, &format!("{pack} --overwrite"));
        assert!(here.join(link).is_symlink() && here.join(link).join("index.m3u8").is_file());
    }
    let names: Vec<_> = tree(&here.join("store")).into_keys().filter(|name| name.contains("m3u8")).collect();
    assert_eq!(names, ["new/index.m3u8", "there/index.m3u8"]);
}

#[test]
fn one_folder_is_written_by_one_job_and_what_a_dead_one_left_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let begin = || OutputDirectory::begin(&path, Overwrite::Replace);
    let write = |output: &OutputDirectory, name: &str| {
        output.store().create(name).and_then(Sink::commit).unwrap();
    };
    let first = begin().unwrap();
    write(&first, "first");
    let error = begin().unwrap_err().to_string();
    assert!(error.contains("out: another job writes this folder"), "{error}");
    first.publish().unwrap();
    assert_eq!(tree(folder.path()).into_keys().collect::<Vec<_>>(), ["out/first"]);

    // As a job leaves things that was killed while it wrote, or between the two renames of its end.
    fs::create_dir(folder.path().join(".out.partial")).unwrap();
    fs::write(folder.path().join(".out.partial/stale"), "").unwrap();
    fs::write(folder.path().join(".out.lock"), "").unwrap();
    fs::rename(&path, folder.path().join(".out.replaced")).unwrap();
    let second = begin().unwrap();
    assert!(path.join("first").exists(), "what was there is there again");
    write(&second, "second");
    second.publish().unwrap();
    assert_eq!(tree(folder.path()).into_keys().collect::<Vec<_>>(), ["out/second"]);
    drop(begin().unwrap());
    assert_eq!(tree(folder.path()).into_keys().collect::<Vec<_>>(), ["out/second"]);
}

#[test]
fn keys_are_written_before_the_output_and_never_over_others() {
    let folder = place();
    let here = folder.path();
    let pack = |out: &str, to: &str| {
        format!(
            "pack par/clear/index.m3u8 --out {out} --drm simpleaes --key-file par/keys --write-key-file {to}"
        )
    };
    let kid = "1".repeat(32);
    let key = vec![0xaa; 16];
    succeeds(here, &pack("a", "deep/er/{kid}.key"));
    let path = here.join(format!("deep/er/{kid}.key"));
    assert_eq!(fs::read(&path).unwrap(), key);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // The same key again is no conflict; another is, before anything is written.
    succeeds(here, &pack("b", "deep/er/{kid}.key"));
    fs::write(&path, [0xbb; 16]).unwrap();
    refused(here, &pack("c", "deep/er/{kid}.key"), "another content");
    succeeds(here, &format!("{} --overwrite", pack("c", "deep/er/{kid}.key")));
    assert_eq!(fs::read(&path).unwrap(), key);
    // What is no key is nobody's to replace: keys that the job reads, its media, a thesis.
    for precious in ["par/keys", "par/clear/index.m3u8", "thesis"] {
        fs::write(here.join("thesis"), "not yet printed").unwrap();
        let before = fs::read(here.join(precious)).unwrap();
        refused(here, &format!("{} --overwrite", pack("g", precious)), "which are no key");
        assert_eq!(fs::read(here.join(precious)).unwrap(), before);
    }
    // A key that cannot be written: nothing is published.
    let output = drm_pack(here, &pack("d", "par/other/{kid}.key"));
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!here.join("d").exists());
    // In the output when told so; it appears with it.
    for overwrite in ["", "--overwrite"] {
        succeeds(here, &format!("{} {overwrite}", pack("e", "e/keys/{kid}.key")));
        assert_eq!(fs::read(here.join(format!("e/keys/{kid}.key"))).unwrap(), key);
    }
    let hidden = fs::read_dir(here).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!hidden.into_iter().any(|name| name.to_str().unwrap().starts_with('.')));
}

#[test]
fn a_file_that_no_manifest_names_is_never_lost() {
    let folder = place();
    let here = folder.path();
    for (name, bytes) in tree(&root().join("fixtures/clip/dash")) {
        let path = here.join("dash").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let mp4 = root().join("fixtures/clip/mp4/audio.m4a");
    let (mp4, keys) = (mp4.to_str().unwrap(), "--drm widevine --key-file par/keys");
    let packs = [
        format!("pack {mp4} --out o {keys}"),
        format!("pack {mp4} --out o --layout single-file {keys}"),
        format!("pack dash/manifest.mpd --out o {keys}"),
        "pack par/clear/index.m3u8 --out o --drm simpleaes --key-file par/keys --write-key-file o/k/{kid}"
            .to_owned(),
        "decrypt ready/master.m3u8 --out o --key-file par/keys".to_owned(),
        "decrypt single/a1.mp4 --out o --key-file par/keys".to_owned(),
    ];
    succeeds(here, &format!("pack {mp4} --out ready {keys}"));
    succeeds(here, &format!("pack {mp4} --out single --layout single-file {keys}"));
    for call in &packs {
        let again = format!("{call} --overwrite");
        succeeds(here, call);
        succeeds(here, &again);
        let first = tree(&here.join("o")).into_keys().next().unwrap();
        for foreign in ["notes.txt", "docs/thesis", ".hidden", "docs/notes.mpd", "a1/2.m4s.bak"] {
            let path = here.join("o").join(foreign);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "precious").unwrap();
            refused(here, &again, foreign.rsplit('/').next().unwrap());
            fs::remove_file(&path).unwrap();
        }
        let link = here.join("o/link");
        symlink(here.join("par"), &link).unwrap();
        refused(here, &again, "o/link: no manifest of the folder names this file");
        fs::remove_file(&link).unwrap();
        // Folders without files are of no account.
        fs::create_dir_all(here.join("o/empty/er")).unwrap();
        succeeds(here, &again);
        assert!(here.join("o").join(first).exists() && !here.join("o/empty").exists(), "{call}");
        fs::remove_dir_all(here.join("o")).unwrap();
    }
    // Nor one that comes while the job works.
    let check = |_: &Path| Err(drm_pack::base::Error::usage("somebody's file"));
    fs::create_dir(here.join("o")).unwrap();
    let output = OutputDirectory::begin(&here.join("o"), Overwrite::ReplaceIf(&check)).unwrap();
    fs::write(here.join("o/mine"), "precious").unwrap();
    assert!(output.publish().is_err() && here.join("o/mine").exists());
}

#[cfg(feature = "server")]
#[test]
fn the_demonstration_writes_to_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for place in ["packed/mine.txt", "clip/audio.m4a", "notes.txt"] {
        let path = here.join("taken").join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "precious").unwrap();
        refused(here, "demo --out taken", "taken: the folder is not empty");
        fs::remove_dir_all(here.join("taken")).unwrap();
    }
    fs::create_dir(here.join("empty")).unwrap();
    for out in ["empty", "absent"] {
        succeeds(here, &format!("demo --out {out}"));
        assert!(here.join(out).join("packed/master.m3u8").is_file());
    }
}
