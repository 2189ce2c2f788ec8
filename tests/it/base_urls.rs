//! `--base-url`: manifests name everything below the address of the folder — RFC 3986 §5, RFC 8216bis §4.1, ISO/IEC
//! 23009-1 §5.6.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use drm_pack::base::BaseUrl;
use drm_pack::base::env::Store;
use drm_pack::io::FileStore;
use drm_pack::job::{Job, Layout, NameTemplates, Thumbnails};
use drm_pack::presentation::{AtBase, Presentation, address_of, read_manifest};
use url::Url;

use crate::support::files::tree;
use crate::support::media::root;
use crate::support::pack::{SEED, job, pack, pack_without_keys};

const BASE: &str = "https://cdn.example/a b/42";
const ADDRESS: &str = "https://cdn.example/a%20b/42/";

fn clip(name: &str) -> String {
    root().join("fixtures/clip").join(name).to_str().unwrap().to_owned()
}

fn drm_pack(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drm-pack")).args(arguments).output().unwrap()
}

fn succeeds(arguments: &[&str]) -> String {
    let output = drm_pack(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn says(arguments: &[&str], code: i32, words: &str) {
    let output = drm_pack(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?}: {words:?} in {said}");
}

/// Every address that a manifest names at this address of its own, as clients resolve it: by a reader that is none of ours.
fn addresses(folder: &Path, name: &str, at: &Url, found: &mut BTreeSet<String>) {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    let quoted = |line: &str, before: &str| {
        let rest = line.split(before).nth(1)?;
        rest.split('"').next().map(str::to_owned)
    };
    if name.ends_with(".mpd") {
        let base_urls = |text: &str| -> Vec<String> {
            let parts = text.split("<BaseURL>").skip(1);
            parts.map(|part| part.split("</BaseURL>").next().unwrap().to_owned()).collect()
        };
        let (head, sets) = text.split_once("<Period").unwrap();
        let base = base_urls(head).iter().fold(at.clone(), |base, url| base.join(url).unwrap());
        for representation in sets.split("<Representation ").skip(1) {
            let base =
                base_urls(representation).iter().fold(base.clone(), |base, url| base.join(url).unwrap());
            if representation.contains("<SegmentList") {
                let lists = ["<SegmentURL media=\"", " sourceURL=\""];
                let listed = lists.iter().flat_map(|before| representation.split(before).skip(1));
                found.extend(listed.map(|rest| base.join(rest.split('"').next().unwrap()).unwrap().into()));
                continue;
            }
            let Some(media) = quoted(representation, " media=\"") else {
                found.insert(base.into());
                continue;
            };
            let start: u64 = quoted(representation, "startNumber=\"").unwrap().parse().unwrap();
            let runs = representation.split("<S ").skip(1);
            let runs = runs.map(|run| quoted(run, " r=\"").map_or(1, |r| r.parse::<u64>().unwrap() + 1));
            let count = runs.sum::<u64>().max(1);
            let segments =
                (start..start + count).map(|number| media.replace("$Number$", &number.to_string()));
            let init = quoted(representation, " initialization=\"");
            found.extend(segments.chain(init).map(|uri| base.join(&uri).unwrap().into()));
        }
        return;
    }
    for line in text.lines().filter(|line| !line.contains("-KEY:")) {
        let uri = match line.starts_with('#') {
            true => quoted(line, "URI=\""),
            false => Some(line.to_owned()).filter(|line| !line.is_empty()),
        };
        found.extend(uri.map(|uri| at.join(&uri).unwrap().into()));
    }
}

/// A ladder with everything that is named, by names in folders of their own if that is asked for.
fn ladder(folder: &Path, layout: Layout, in_folders: bool) -> Job {
    let sprites = folder.join("t%d.jpg");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-y", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=16x10:rate=1:duration=8"]);
    assert!(ffmpeg.args(["-vf", "tile=2x2"]).arg(&sprites).status().unwrap().success());
    let text = folder.join("film.en.vtt");
    fs::write(&text, "WEBVTT\n\n00:00.000 --> 00:00.900\nHello\n\n").unwrap();
    let names = match in_folders {
        true => NameTemplates {
            manifest: Some("m 1/{format}".into()),
            stream: Some("lists/{track}".into()),
            segment: Some("seg $/{track}#{number}".into()),
            definition: None,
        },
        false => NameTemplates::default(),
    };
    Job {
        inputs: vec![clip("mp4/video_360.mp4"), clip("mp4/audio.m4a"), text.to_str().unwrap().into()],
        layout: Some(layout),
        trick_play: true,
        thumbnails: Some(Thumbnails::parse(&format!("{}:2x2:1", sprites.display())).unwrap()),
        names,
        clear: vec![(2.0, 4.0)],
        rotate_every: Some(2),
        ..job(Path::new(""), "widevine+fairplay", "cbcs")
    }
}

#[test]
fn an_output_with_an_address_is_the_one_without_but_for_absolute_addresses() {
    for (layout, in_folders) in [
        (Layout::Segments, false),
        (Layout::SingleFile, false),
        (Layout::Segments, true),
        (Layout::SingleFile, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (plain, based) = (folder.path().join("plain"), folder.path().join("based"));
        let job = ladder(folder.path(), layout, in_folders);
        pack(&job, &plain).unwrap();
        let base = BaseUrl::parse(BASE).unwrap();
        let report = pack(&Job { base_url: Some(base.clone()), ..job }, &based).unwrap();
        // What is written and read back is what there is without an address.
        let store = FileStore::new(&based);
        let read = AtBase { store: &store as &dyn Store, base: base.clone() };
        let (plain, files) = (tree(&plain), tree(&based));
        assert_eq!(plain.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
        let manifests: Vec<_> = files.keys().filter(|name| name.contains(".m")).cloned().collect();
        let manifests: Vec<_> =
            manifests.into_iter().filter(|name| name.ends_with(".m3u8") || name.ends_with(".mpd")).collect();
        assert_eq!(manifests.len(), report.manifests.len());
        for (name, bytes) in &files {
            if manifests.contains(name) {
                assert!(bytes != &plain[name], "{name}");
                assert_eq!(
                    String::from_utf8(read_manifest(&read, name).unwrap()),
                    String::from_utf8(plain[name].clone())
                );
            } else {
                assert!(bytes == &plain[name], "{name}");
            }
        }
        // Wherever the manifests are: every address is below the base, and that of a file that is there.
        let mut found = BTreeSet::new();
        for name in &manifests {
            let at = Url::parse("https://elsewhere.example/x/y").unwrap();
            addresses(&based, name, &at, &mut found);
        }
        let named: BTreeSet<String> = found
            .iter()
            .map(|address| {
                let name = address.strip_prefix(ADDRESS).unwrap_or_else(|| panic!("{address}"));
                drm_pack::base::uri::percent_decode(name).unwrap()
            })
            .collect();
        let is_named = |name: &&String| !report.manifests[..1].contains(name) && !name.ends_with(".mpd");
        assert_eq!(named, files.keys().filter(is_named).cloned().collect());
        for name in &report.manifests {
            assert_eq!(address_of(&store, std::slice::from_ref(name)), Some(base.clone()), "{name}");
        }
        assert!(Presentation::read(&store, &report.manifests).is_err());
    }
}

#[test]
fn what_has_an_address_is_verified_decrypted_drawn_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (out, video, audio) = (here("out"), clip("mp4/video_360.mp4"), clip("mp4/audio.m4a"));
    let packs = ["pack", &video, &audio, "--drm", "widevine+playready", "--dev-keys", SEED, "--out", &out];
    let segments = ["--segment-duration", "2"];
    let base = ["--base-url", BASE];
    let keys = ["--dev-keys", SEED];
    let said = succeeds(&[&packs[..], &segments, &base].concat());
    assert!(said.contains(&format!("verify with: drm-pack verify {out} --base-url {ADDRESS}\n")), "{said}");
    assert!(fs::read_to_string(here("out/v1.m3u8")).unwrap().contains(&format!("\n{ADDRESS}v1/1.m4s\n")));
    assert!(
        fs::read_to_string(here("out/manifest.mpd"))
            .unwrap()
            .contains(&format!("<BaseURL>{ADDRESS}</BaseURL>"))
    );
    let advice = format!("say --base-url {ADDRESS}");

    let verify =
        [&["verify", &out, "--strict", "--against", &video, "--against", &audio][..], &keys].concat();
    let said = succeeds(&[&verify[..], &base].concat());
    assert!(said.lines().last().unwrap().starts_with("passed: "), "{said}");
    says(&verify, 7, &advice);
    let other = format!("names no file below {ADDRESS}x/");
    says(&[&verify[..], &["--base-url", &format!("{ADDRESS}x")]].concat(), 3, &other);

    let master = here("out/master.m3u8");
    let (mpd, clear, expected) = (here("out/manifest.mpd"), here("clear"), here("expected"));
    let decrypt = [&["decrypt", &master, &mpd, "--out", &clear][..], &keys].concat();
    says(&decrypt, 3, &advice);
    succeeds(&[&decrypt[..], &base].concat());
    succeeds(&[&packs[..8], &[&here("plain")], &segments].concat());
    let plain = [here("plain/master.m3u8"), here("plain/manifest.mpd")];
    succeeds(&[&["decrypt", &plain[0], &plain[1], "--out", &expected][..], &keys].concat());
    assert!(tree(Path::new(&clear)) == tree(Path::new(&expected)));
    succeeds(&["verify", &here("plain"), "--against", &here("clear/master.m3u8"), "--dev-keys", SEED]);

    let draw = ["inspect", &master, "--html", &here("x.html")];
    succeeds(&[&draw[..], &base].concat());
    assert!(!fs::read_to_string(here("x.html")).unwrap().is_empty());

    // With and without an address it is a package that may be replaced.
    let foreign = here("out/notes.txt");
    fs::write(&foreign, "mine").unwrap();
    says(&[&packs[..], &segments, &["--overwrite"]].concat(), 2, "notes.txt");
    fs::remove_file(&foreign).unwrap();
    succeeds(&[&packs[..], &segments, &["--overwrite"]].concat());
    succeeds(&[&packs[..], &segments, &["--overwrite"], &base].concat());
    succeeds(&[&packs[..], &segments, &["--overwrite", "--base-url", "http://h:8080"]].concat());
    assert!(fs::read_to_string(here("out/v1.m3u8")).unwrap().contains("\nhttp://h:8080/v1/1.m4s\n"));
}

#[test]
fn each_of_two_trees_has_its_folder_below_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (out, input) = (here("out"), clip("mp4/av.mp4"));
    let packs = ["pack", &input, "--drm", "widevine", "--scheme", "cenc+cbcs", "--dev-keys", SEED];
    let base = ["--base-url", BASE];
    succeeds(&[&packs[..], &base, &["--out", &out]].concat());
    for tree in ["cenc", "cbcs"] {
        let text = fs::read_to_string(here(&format!("out/{tree}/master.m3u8"))).unwrap();
        assert!(text.contains(&format!("{ADDRESS}{tree}/v1.m3u8")), "{text}");
        let address = format!("{ADDRESS}{tree}");
        succeeds(&["verify", &here(&format!("out/{tree}")), "--dev-keys", SEED, "--base-url", &address]);
    }
    let trees = [here("out/cenc"), here("out/cbcs")];
    let verify = ["verify", &trees[0], &trees[1], "--dev-keys", SEED];
    says(&[&verify[..], &base].concat(), 2, "--root");
    succeeds(&[&verify[..], &base, &["--root", &out]].concat());
    succeeds(&[&["verify", &out, "--dev-keys", SEED][..], &base].concat());
}

#[test]
fn what_is_no_address_and_a_package_as_input_are_refused_before_keys_are_asked_for() {
    let input = clip("mp4/av.mp4");
    for (url, words) in [
        ("cdn.example/x", "such as --base-url https://"),
        ("/x", "absolute"),
        ("s3://x/y", "absolute"),
        ("https://me:secret@h/x", "a user or a password"),
        ("https://h/x?token=secret", "a query"),
        ("https://h/x#secret", "a fragment"),
    ] {
        let output = drm_pack(&["plan", &input, "--drm", "widevine", "--base-url", url]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words) && !said.contains("secret"), "{url}: {said}");
    }
    let base_url = Some(BaseUrl::parse(BASE).unwrap());
    for package in ["hls/master.m3u8", "dash/manifest.mpd"] {
        let job = Job { base_url: base_url.clone(), ..job(Path::new(&clip(package)), "widevine", "cenc") };
        let error = pack_without_keys(&job, Path::new("nowhere")).unwrap_err().to_string();
        assert!(error.contains("--base-url is for MP4 inputs; a package keeps"), "{error}");
    }
}
