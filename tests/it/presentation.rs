//! One reader for every command: what a manifest is, what it names, and that `verify` opens all of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use drm_pack::base::Result;
use drm_pack::base::env::{Sink, Source, Store};
use drm_pack::io::FileStore;
use drm_pack::job::Job;
use drm_pack::package::Preset;
use drm_pack::verify::{Reference, Verification, VerifyJob, verify};

use crate::support::case::Case;
use crate::support::files::tree;
use crate::support::media::root;
use crate::support::pack::{SEED, codec_files, files, job, pack, packages};

/// A folder that remembers what was opened.
struct Opened {
    store: FileStore,
    names: Mutex<BTreeSet<String>>,
}

impl Store for Opened {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        self.names.lock().unwrap().insert(name.to_owned());
        self.store.open(name)
    }

    fn exists(&self, name: &str) -> Result<bool> {
        self.store.exists(name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        self.store.create(name)
    }
}

/// What `verify` says of these manifests of a folder, and the files that it opened.
fn verified(
    out: &Path,
    names: &[String],
    with_keys: bool,
    against: Option<&Path>,
) -> (Verification, BTreeSet<String>) {
    let store = Opened { store: FileStore::new(out), names: Mutex::default() };
    let key_store = drm_pack::keys::DevKeys::new(SEED);
    let clear = against.map(|input| {
        (FileStore::new(input.parent().unwrap()), input.file_name().unwrap().to_str().unwrap().to_owned())
    });
    let found = verify(&VerifyJob {
        store: &store,
        names: names.to_vec(),
        key_store: with_keys.then_some(&key_store),
        against: clear.as_ref().map(|(store, name)| Reference { store, names: vec![name.clone()] }),
        clear_tracks: &[],
        beside: &[],
    });
    let found = found.unwrap_or_else(|error| panic!("{} {names:?}: {error}", out.display()));
    (found, store.names.into_inner().unwrap())
}

/// The jobs that are tried on an input.
fn wishes(input: &Path, drm: &str, with_cenc: bool) -> Vec<Job> {
    if drm == "simpleaes" {
        let whole = Job {
            scheme: None,
            key_uri: Some("https://keys.example/{kid}".into()),
            ..job(input, drm, "cbcs")
        };
        return vec![whole.clone(), Job { encrypt_init: true, ..whole }];
    }
    let schemes = if with_cenc { &["cbcs", "cenc"][..] } else { &["cbcs"] };
    schemes
        .iter()
        .flat_map(|scheme| {
            [Preset::Preset0, Preset::Preset1].map(|preset| Job { preset, ..job(input, drm, scheme) })
        })
        .collect()
}

/// Every job that packs opens, when its output is verified, every file that it wrote, and passes.
fn opens_everything(name: &str, wish: &Job) -> usize {
    let out = tempfile::tempdir().unwrap();
    let Ok(report) = pack(wish, out.path()) else { return 0 };
    let written: BTreeSet<String> = tree(out.path()).into_keys().collect();
    for with_keys in [true, false] {
        let (found, opened) = verified(out.path(), &report.manifests, with_keys, None);
        assert!(found.findings.passed(), "{name} {wish:?}: {:?}", found.findings.listed());
        let left: Vec<_> = written.difference(&opened).collect();
        assert!(left.is_empty(), "{name} {wish:?}: {left:?} were not opened");
    }
    written.len()
}

#[test]
fn every_file_that_is_packed_is_opened_when_it_is_verified() {
    let (mut runs, mut count) = (0, 0);
    let mut law = |name: &str, wish: &Job| {
        let files = opens_everything(name, wish);
        (runs, count) = (runs + usize::from(files > 0), count + files);
    };
    for case in Case::all("hls").into_iter().filter(|case| case.text("expect", "") == "packs") {
        let stage = case.stage();
        let input = stage.path().join(case.text("input", "master.m3u8"));
        let drms = case.list("drm");
        let drms = if drms.is_empty() { vec!["widevine+playready+fairplay", "simpleaes"] } else { drms };
        for wish in drms.iter().flat_map(|drm| wishes(&input, drm, false)) {
            law(case.name(), &wish);
        }
    }
    for case in Case::all("dash").into_iter().filter(|case| case.text("expect", "") == "packs") {
        let stage = case.stage();
        wishes(&stage.path().join(case.text("input", "manifest.mpd")), "widevine+playready", true)
            .iter()
            .for_each(|wish| law(case.name(), wish));
    }
    for (input, drm) in packages() {
        wishes(&input, drm, true).iter().for_each(|wish| law("clip", wish));
    }
    for name in ["hls-ts/index.m3u8", "hls/master.m3u8", "hls-byterange/master.m3u8"] {
        let input = root().join("fixtures/clip").join(name);
        for drm in ["simpleaes", "fairplay"] {
            wishes(&input, drm, false).iter().for_each(|wish| law("clip", wish));
        }
    }
    for input in files().into_iter().chain(codec_files()) {
        wishes(&input, "widevine+playready", true).iter().for_each(|wish| law("mp4", wish));
    }
    println!("{runs} jobs, {count} files, each opened with and without keys");
    assert!(runs > 150 && count > 1000, "{runs} {count}");
}

/// The names of broken rules whose finding is at this file.
fn broken(found: &Verification, file: &str) -> Vec<&'static str> {
    let at = found.findings.listed().iter().filter(|finding| finding.place.starts_with(file));
    at.map(|finding| finding.rule).collect()
}

fn case(name: &str) -> tempfile::TempDir {
    Case::all("hls").into_iter().find(|case| case.name() == name).unwrap().stage()
}

#[test]
fn partial_segments_in_files_of_their_own_are_held_to_everything() {
    let stage = case("partial-segments");
    let input = stage.path().join("master.m3u8");
    for scheme in ["cenc", "cbcs"] {
        let out = tempfile::tempdir().unwrap();
        pack(&job(&input, "widevine", scheme), out.path()).unwrap();
        let names = ["master.m3u8".to_owned()];
        let part = out.path().join("p/1.m4s");
        let (whole, clear) = (fs::read(&part).unwrap(), fs::read(stage.path().join("p/1.m4s")).unwrap());
        let other = fs::read(out.path().join("p/0.m4s")).unwrap();
        let check = |with_keys, against: Option<&Path>| verified(out.path(), &names, with_keys, against).0;
        let found = check(true, Some(&input));
        assert!(found.findings.passed(), "{:?}", found.findings.listed());
        assert_eq!(found.findings.not_checked().count(), 0);
        fs::write(&part, &clear).unwrap();
        for (with_keys, against) in [(true, Some(input.as_path())), (true, None), (false, None)] {
            let found = check(with_keys, against);
            assert!(!broken(&found, "p/1.m4s").is_empty() || !broken(&found, "master.m3u8").is_empty());
            assert!(!found.findings.passed(), "{scheme} {with_keys}");
        }
        fs::write(&part, other).unwrap();
        assert!(!broken(&check(true, Some(&input)), "p/1.m4s").is_empty());
        fs::remove_file(&part).unwrap();
        assert_eq!(broken(&check(false, None), "p/1.m4s"), ["file-missing"]);
        fs::write(&part, whole).unwrap();
        assert!(check(false, None).findings.passed());
    }
}

#[test]
fn parts_are_not_compared_with_a_source_that_has_none() {
    let stage = case("partial-segments");
    let input = stage.path().join("master.m3u8");
    let out = tempfile::tempdir().unwrap();
    pack(&job(&input, "widevine", "cbcs"), out.path()).unwrap();
    let text = fs::read_to_string(&input).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("#EXT-X-PART:"));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(&input, without).unwrap();
    let (found, opened) = verified(out.path(), &["master.m3u8".to_owned()], true, Some(&input));
    assert!(found.findings.passed() && opened.contains("p/1.m4s"), "{:?}", found.findings.listed());
    let notes: Vec<_> = found.findings.not_checked().collect();
    assert!(notes.iter().any(|note| note.contains("p/0.m4s")), "{notes:?}");
}

/// Writes a multivariant playlist that calls a media playlist subtitles.
fn with_subtitles(folder: &Path, media: &str, segment: &str, map: &str) {
    let subtitles = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n{map}#EXTINF:2,\n{segment}\n#EXT-X-ENDLIST\n"
    );
    fs::write(folder.join("text.m3u8"), subtitles).unwrap();
    let master = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"t\",NAME=\"t\",URI=\"text.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,SUBTITLES=\"t\"\n{media}\n"
    );
    fs::write(folder.join("all.m3u8"), master).unwrap();
}

#[test]
fn clear_media_that_a_manifest_calls_text_is_found() {
    let clip = root().join("fixtures/clip");
    let out = tempfile::tempdir().unwrap();
    pack(&job(&clip.join("hls-ts/index.m3u8"), "fairplay", "cbcs"), out.path()).unwrap();
    fs::copy(clip.join("hls-ts/0.ts"), out.path().join("x.ts")).unwrap();
    with_subtitles(out.path(), "index.m3u8", "x.ts", "");
    for with_keys in [true, false] {
        let (found, _) = verified(out.path(), &["all.m3u8".into()], with_keys, None);
        assert_eq!(broken(&found, "x.ts"), ["mislabeled"]);
    }
    let out = tempfile::tempdir().unwrap();
    pack(&job(&clip.join("hls/v2/media.m3u8"), "widevine", "cenc"), out.path()).unwrap();
    fs::copy(clip.join("hls/v2/0.m4s"), out.path().join("x.m4s")).unwrap();
    fs::copy(clip.join("hls/v2/init_1.mp4"), out.path().join("x.mp4")).unwrap();
    for (map, place) in [("#EXT-X-MAP:URI=\"x.mp4\"\n", "x.mp4"), ("", "x.m4s")] {
        with_subtitles(out.path(), "media.m3u8", "x.m4s", map);
        let (found, _) = verified(out.path(), &["all.m3u8".into()], false, None);
        assert!(broken(&found, place).contains(&"mislabeled"), "{:?}", found.findings.listed());
    }
}

#[test]
fn clear_media_that_an_mpd_calls_text_or_an_image_is_found() {
    let clip = root().join("fixtures/clip/dash");
    let out = tempfile::tempdir().unwrap();
    pack(&job(&clip.join("manifest.mpd"), "widevine", "cenc"), out.path()).unwrap();
    let written = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
    fs::create_dir(out.path().join("x")).unwrap();
    for name in ["init.mp4", "1.m4s"] {
        fs::copy(clip.join("1").join(name), out.path().join("x").join(name)).unwrap();
    }
    for (says, place) in [
        ("contentType=\"text\" mimeType=\"application/mp4\"", "x/init.mp4"),
        ("mimeType=\"application/mp4\" codecs=\"wvtt\"", "x/init.mp4"),
        ("mimeType=\"text/vtt\"", "x/1.m4s"),
        ("contentType=\"image\" mimeType=\"image/jpeg\"", "x/1.m4s"),
    ] {
        let set = format!(
            "<AdaptationSet {says}><SegmentTemplate timescale=\"1\" duration=\"2\" endNumber=\"1\" \
             initialization=\"x/init.mp4\" media=\"x/$Number$.m4s\"/><Representation id=\"x\" bandwidth=\"1\"/>\
             </AdaptationSet></Period>"
        );
        fs::write(out.path().join("manifest.mpd"), written.replace("</Period>", &set)).unwrap();
        let (found, _) = verified(out.path(), &["manifest.mpd".into()], false, None);
        assert!(broken(&found, place).contains(&"mislabeled"), "{says}: {:?}", found.findings.listed());
    }
}

/// A copy of the HLS package of the clip.
fn copy_clip(to: &Path) {
    for (name, bytes) in tree(&root().join("fixtures/clip/hls")) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Exit code and output of the command.
fn drm_pack(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_drm-pack")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code().unwrap(), text)
}

#[test]
fn every_command_takes_the_same_names_for_playlists_in_files_and_folders() {
    for name in ["list.m3u", "LIST.M3U8", "List.M3u"] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        copy_clip(Path::new(&path("in")));
        fs::rename(path("in/master.m3u8"), path(&format!("in/{name}"))).unwrap();
        // A list of songs is none.
        fs::write(path("in/songs.m3u"), "#EXTM3U\n#EXTINF:1,A song\nsong.mp3\n").unwrap();
        let (input, out) = (path(&format!("in/{name}")), path(&format!("out/{name}")));
        let (folder_in, folder_out) = (path("in"), path("out"));
        let (clear, clear_of_folder, again) = (path("clear"), path("clear-of-folder"), path("again"));
        let keys = ["--dev-keys", SEED];
        let drm = ["--drm", "widevine", "--scheme", "cenc"];
        for call in [
            vec!["pack", &input, "--out", &folder_out, drm[0], drm[1], drm[2], drm[3], keys[0], keys[1]],
            vec!["pack", &folder_in, "--out", &again, drm[0], drm[1], drm[2], drm[3], keys[0], keys[1]],
            vec!["verify", &out, keys[0], keys[1], "--against", &input],
            vec!["verify", &folder_out, keys[0], keys[1], "--against", &folder_in],
            vec!["decrypt", &out, "--out", &clear, keys[0], keys[1]],
            vec!["decrypt", &folder_out, "--out", &clear_of_folder, keys[0], keys[1]],
            vec!["inspect", &out],
        ] {
            let (code, text) = drm_pack(&call);
            assert_eq!(code, 0, "{call:?}: {text}");
        }
    }
}

/// Thumbnails in playlists of images beside the media, and a file of a tag that nobody knows.
fn with_thumbnails(folder: &Path) -> PathBuf {
    let input = folder.join("master.m3u8");
    let text = fs::read_to_string(&input).unwrap();
    let more = "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,RESOLUTION=16x9,CODECS=\"jpeg\",URI=\"t/images.m3u8\"\n\
                #EXT-X-SOMETHING:URI=\"notes.json\",X=1\n#EXT-X-STREAM-INF";
    fs::write(&input, text.replacen("#EXT-X-STREAM-INF", more, 1)).unwrap();
    fs::write(folder.join("notes.json"), "{}").unwrap();
    fs::create_dir(folder.join("t")).unwrap();
    let mut list = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-IMAGES-ONLY\n".to_owned();
    for number in 0..2 {
        list += &format!("#EXTINF:2,\n#EXT-X-TILES:RESOLUTION=16x9,LAYOUT=1x1,DURATION=2\n{number}.jpg\n");
        fs::write(folder.join(format!("t/{number}.jpg")), [0xff, 0xd8, 0xff, 0xe0, number]).unwrap();
    }
    fs::write(folder.join("t/images.m3u8"), list + "#EXT-X-ENDLIST\n").unwrap();
    input
}

#[test]
fn thumbnails_and_files_of_unknown_tags_are_kept_and_missed() {
    let folder = tempfile::tempdir().unwrap();
    copy_clip(&folder.path().join("hls"));
    let input = with_thumbnails(&folder.path().join("hls"));
    let whole =
        Job { scheme: None, key_uri: Some("https://k.example/{kid}".into()), ..job(&input, "simpleaes", "") };
    for wish in [job(&input, "widevine", "cbcs"), whole] {
        let out = tempfile::tempdir().unwrap();
        let report = pack(&wish, out.path()).unwrap();
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        for name in ["t/images.m3u8", "t/0.jpg", "t/1.jpg", "notes.json"] {
            let clear = fs::read(folder.path().join("hls").join(name)).unwrap();
            assert_eq!(fs::read(out.path().join(name)).unwrap(), clear, "{name}");
        }
        let names = ["master.m3u8".to_owned()];
        assert!(verified(out.path(), &names, true, Some(&input)).0.findings.passed());
        fs::write(out.path().join("t/0.jpg"), [0xff, 0xd8, 0xff, 0xe0, 7]).unwrap();
        assert_eq!(broken(&verified(out.path(), &names, true, Some(&input)).0, "t/0.jpg"), ["payload-equal"]);
        fs::remove_file(out.path().join("t/0.jpg")).unwrap();
        assert_eq!(broken(&verified(out.path(), &names, false, None).0, "t/0.jpg"), ["file-missing"]);
        fs::remove_file(out.path().join("notes.json")).unwrap();
        let (found, _) = verified(out.path(), &names, false, None);
        assert!(found.findings.not_checked().any(|note| note.starts_with("notes.json")));
        fs::remove_file(out.path().join("t/images.m3u8")).unwrap();
        let (found, _) = verified(out.path(), &names, false, None);
        assert_eq!(broken(&found, "t/images.m3u8"), ["manifest"]);
    }
    fs::remove_file(folder.path().join("hls/notes.json")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let report = pack(&job(&input, "widevine", "cbcs"), out.path()).unwrap();
    assert!(report.warnings.iter().any(|warning| warning.contains("notes.json")), "{:?}", report.warnings);
}
