//! What users get wrong: the exit code, one line that says where and what, and nothing at the output path.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::case::Case;
use crate::support::files::copy;
use crate::support::media::root;
use crate::support::pack::{job, pack};

/// A folder with a copy of a fixture, to break.
struct Broken {
    folder: tempfile::TempDir,
}

impl Broken {
    fn copy_of(fixture: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&root().join("fixtures/clip").join(fixture), &folder.path().join("in"));
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("in").join(name)
    }

    fn edit(self, name: &str, edit: impl Fn(&mut Vec<u8>)) -> Self {
        let mut bytes = fs::read(self.path(name)).unwrap();
        edit(&mut bytes);
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    fn replace(self, name: &str, from: &str, to: &str) -> Self {
        self.edit(name, |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(text.contains(from), "{from}");
            *bytes = text.replacen(from, to, 1).into_bytes();
        })
    }

    /// Runs `pack` on a file of the copy and checks that it fails as it should.
    fn fails(&self, name: &str, options: &[&str], code: i32, says: &[&str]) {
        let out = self.folder.path().join("out");
        let mut arguments = vec![self.path(name).to_str().unwrap().to_owned()];
        arguments.extend(["--out".into(), out.to_str().unwrap().into()]);
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        let output = drm_pack("pack", &arguments);
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        let error: Vec<_> = text.lines().filter(|line| line.starts_with("drm-pack: ")).collect();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert_eq!(error.len(), 1, "one line: {text}");
        for words in says {
            assert!(error[0].contains(words), "{words:?} in {}", error[0]);
        }
        let left: Vec<_> =
            fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["in"], "nothing is left behind");
    }
}

fn drm_pack(command: &str, arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drm-pack"))
        .arg(command)
        .args(arguments)
        .env_remove("DRM_PACK_KEY_SERVER_URL")
        .env_remove("DRMTODAY_PASSWORD")
        .output()
        .unwrap()
}

const WIDEVINE: &[&str] = &["--drm", "widevine", "--dev-keys", "x"];

/// Where a box's type stands in a file.
fn find(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == kind).unwrap()
}

#[test]
fn samples_that_share_bytes_would_be_encrypted_twice() {
    let case = Case::all("hls").into_iter().find(|case| case.name() == "muxed").unwrap();
    let (stage, out) = (case.stage(), tempfile::tempdir().unwrap());
    let (input, media) = (stage.path().join("master.m3u8"), stage.path().join("m.mp4"));
    let mut bytes = fs::read(&media).unwrap();
    // The data of the second track of the first fragment begins before that of the first track has ended.
    let truns: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"trun")).collect();
    let offset = &mut bytes[truns[1] + 12..truns[1] + 16];
    let earlier = u32::from_be_bytes(offset.try_into().unwrap()) - 100;
    offset.copy_from_slice(&earlier.to_be_bytes());
    fs::write(&media, bytes).unwrap();
    let error = pack(&job(&input, "fairplay", "cbcs"), out.path()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("m.mp4") && error.contains("goes on where another begins"), "{error}");
}

#[test]
fn media_that_breaks_its_standard() {
    let truncated = Broken::copy_of("dash").edit("0/2.m4s", |bytes| bytes.truncate(9000));
    truncated.fails("manifest.mpd", WIDEVINE, 3, &["0/2.m4s", "box mdat states", "14496-12 §4.2"]);

    let outside = Broken::copy_of("dash").edit("0/3.m4s", |bytes| {
        let trun = find(bytes, b"trun");
        bytes[trun + 12..trun + 16].copy_from_slice(&0x10_0000_u32.to_be_bytes());
    });
    outside.fails("manifest.mpd", WIDEVINE, 3, &["0/3.m4s", "sample 1 of track 1 lies at", "§8.8.8"]);

    let slice = Broken::copy_of("hls").edit("v1/1.m4s", |bytes| {
        let mdat = find(bytes, b"mdat");
        bytes[mdat + 9..mdat + 30].fill(0);
        bytes[mdat + 8] = 0x65;
        bytes[mdat + 4..mdat + 8].copy_from_slice(&26_u32.to_be_bytes());
    });
    slice.fails("master.m3u8", WIDEVINE, 3, &["v1/1.m4s", "sample 1"]);

    let cut_header = Broken::copy_of("mp4").edit("video_180.mp4", |bytes| bytes.truncate(60));
    cut_header.fails("video_180.mp4", WIDEVINE, 3, &["video_180.mp4"]);

    let no_samples = Broken::copy_of("mp4").edit("av_faststart.mp4", |bytes| bytes.truncate(30_000));
    no_samples.fails("av_faststart.mp4", WIDEVINE, 3, &["av_faststart.mp4"]);
}

#[test]
fn manifests_that_name_what_is_not_theirs() {
    for (reference, says) in [
        ("gone.m4s", "missing"),
        ("../../secret.m4s", "leaves the folder"),
        ("/etc/passwd", "absolute path"),
        ("file:///etc/passwd", "scheme"),
        ("https://example.com/1.m4s", "scheme"),
    ] {
        let playlist = Broken::copy_of("hls").replace("v1/media.m3u8", "\n1.m4s", &format!("\n{reference}"));
        playlist.fails("master.m3u8", WIDEVINE, 3, &[says]);
        let mpd = Broken::copy_of("dash").replace("manifest.mpd", "$RepresentationID$/init.mp4", reference);
        let says = if reference.contains("://") || reference.starts_with('/') { "is absolute" } else { says };
        mpd.fails("manifest.mpd", WIDEVINE, 3, &[says]);
    }
    let doctype =
        Broken::copy_of("dash").replace("manifest.mpd", "<MPD", "<!DOCTYPE x [<!ENTITY a \"b\">]>\n<MPD");
    doctype.fails("manifest.mpd", WIDEVINE, 3, &["manifest.mpd", "DOCTYPE"]);
    Broken::copy_of("hls").fails("other.m3u8", WIDEVINE, 3, &["other.m3u8", "missing"]);
}

#[test]
fn calls_that_contradict_the_rules() {
    let key = "--dev-keys=x";
    for (options, code, says) in [
        (vec!["--drm", "fairplay", key], 2, "cannot be signaled in DASH"),
        (vec!["--drm", "widevine+fairplay", key], 2, "fairplay cannot be signaled in DASH"),
        (vec!["--drm", "nothing", key], 2, "known are widevine"),
        (vec!["--drm", "widevine,widevine", key], 2, "twice"),
        (vec!["--drm", "simpleaes", key], 2, "whole segments are encrypted in HLS only"),
        (vec!["--drm", "widevine", "--scheme", "xyz", key], 4, "supported are cenc, cbcs"),
        (
            vec!["--drm", "widevine", "--resource-id", "a b", "--key-server-url", "https://k.invalid"],
            2,
            "content id \"a b\", the key server takes 1 to 128",
        ),
        (vec!["--drm", "widevine", "--resource-id", "a\nb", key], 2, "resource id"),
        (vec!["--drm", "widevine", "--resource-id", "", key], 2, "resource id"),
        (vec!["--drm", "widevine", "--vector", "0123", key], 2, "32 hex digits"),
        (vec!["--drm", "widevine", "--max-substreams", "2", key], 2, "3 encrypted substreams"),
        (vec!["--drm", "widevine", "--format", "hls", key], 2, "keeps its own format"),
        (vec!["--drm", "widevine"], 2, "no source of keys"),
        (vec!["--drm", "widvine"], 2, "known are widevine"),
        (vec!["--drm", "widevine", key, "--drmtoday"], 2, "more than one source of keys"),
        (
            vec!["--drm", "widevine", "--drmtoday"],
            2,
            "give --org (or DRMTODAY_ORG), --cpix-config (or DRMTODAY_CPIX_CONFIG), --user",
        ),
        (
            vec!["--drm=widevine", "--resource-id=film", "--key-server-url=http://127.0.0.1:9/speke"],
            5,
            "127.0.0.1",
        ),
    ] {
        Broken::copy_of("dash").fails("manifest.mpd", &options, code, &[says]);
    }
    let hls = Broken::copy_of("hls");
    hls.fails("master.m3u8", &["--drm", "fairplay", "--scheme", "cenc", key], 2, &["fairplay", "cenc"]);
    let one_uri = ["--drm", "fairplay", "--preset", "preset1", "--skd-template", "skd://one", key];
    hls.fails("master.m3u8", &one_uri, 2, &["skd://one"]);
    hls.fails("v1/0.m4s", WIDEVINE, 3, &["0.m4s"]);
}

#[test]
fn keys_that_do_not_fit() {
    let broken = Broken::copy_of("hls");
    let keys = broken.folder.path().join("in/keys");
    let key = "00112233445566778899aabbccddeeff";
    for (text, options, code, says) in [
        (
            format!("{key}:{key}"),
            &["--preset", "preset1"][..],
            5,
            "1 key, wanted are 3: v1, v2, a1; write a line KID:KEY for each",
        ),
        (format!("{key}:0011"), &[], 3, "line 1"),
        (String::new(), &[], 3, "no key"),
        (format!("{key}:{key}"), &["--scheme", "cbcs", "--drm", "fairplay"], 5, "no IV for key"),
    ] {
        fs::write(&keys, text).unwrap();
        let mut arguments = vec!["--key-file", keys.to_str().unwrap()];
        if !options.contains(&"--drm") {
            arguments.extend(["--drm", "widevine"]);
        }
        arguments.extend(options);
        broken.fails("master.m3u8", &arguments, code, &[says]);
    }
    let folder = ["--drm", "widevine", "--key-file", broken.folder.path().to_str().unwrap()];
    broken.fails("master.m3u8", &folder, 2, &["a folder, a file expected"]);
}

#[test]
fn an_encrypted_input_and_a_folder_in_use_are_refused() {
    let broken = Broken::copy_of("hls");
    let packed = broken.folder.path().join("in/packed");
    let pack = |input: &Path, out: &Path| {
        let mut arguments =
            vec![input.to_str().unwrap().to_owned(), "--out".into(), out.to_str().unwrap().into()];
        arguments.extend(WIDEVINE.iter().map(|option| (*option).to_owned()));
        drm_pack("pack", &arguments)
    };
    assert!(pack(&broken.path("master.m3u8"), &packed).status.success());
    broken.fails("packed/master.m3u8", WIDEVINE, 3, &["encrypts the presentation already"]);
    let dash = Broken::copy_of("dash");
    let packed = dash.folder.path().join("in/packed");
    assert!(pack(&dash.path("manifest.mpd"), &packed).status.success());
    dash.fails("packed/manifest.mpd", WIDEVINE, 3, &["encrypted already"]);
    dash.fails("packed/0/init.mp4", WIDEVINE, 3, &["encrypted already"]);

    let again = pack(&dash.path("manifest.mpd"), &packed);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8(again.stderr).unwrap().contains("not empty"));
    assert!(packed.join("manifest.mpd").exists(), "what was there is still there");
}

#[test]
fn json_errors_have_kind_and_message() {
    let arguments = ["gone.mpd", "--out", "target/nowhere", "--drm", "widevine", "--dev-keys", "x", "--json"];
    let output = drm_pack("pack", &arguments.map(str::to_owned));
    let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["error"]["kind"], "input");
    assert!(error["error"]["message"].as_str().unwrap().contains("gone.mpd"));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn calls_that_cannot_be_read_are_one_line_and_json_as_well() {
    let call = |line: &str| {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let output = drm_pack(&words[0], &words[1..]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for (line, says, help) in [
        ("pack in.mpd --no-such", "unexpected argument '--no-such' found", "drm-pack pack --help"),
        ("pack in.mpd --drm widevine", "not provided: --out <DIR>", "drm-pack pack --help"),
        ("pack x --out o --drm w --preset preset7", "[possible values: preset0, preset1]", "pack --help"),
        ("pack x --out o --drm w --preset preset7", "preset0, preset1]; drm-pack", "pack --help"),
        ("cpix convert x", "--to <V>", "drm-pack cpix convert --help"),
        ("pak in.mpd", "unrecognized subcommand 'pak'", "drm-pack --help"),
        ("decrypt in.mpd", "not provided: --out <DIR>", "drm-pack decrypt --help"),
    ] {
        let (code, out, error) = call(line);
        assert_eq!((code, out.as_str(), error.lines().count()), (Some(2), "", 1), "{error}");
        assert!(error.starts_with("drm-pack: ") && error.contains(says), "{line}: {error}");
        assert!(error.trim_end().ends_with(&format!("{help} says more")), "{line}: {error}");
        let (code, out, error) = call(&format!("{line} --json"));
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &json["error"]["kind"]), (Some(2), &"usage".into()));
        assert_eq!(error, format!("drm-pack: {}\n", json["error"]["message"].as_str().unwrap()));
    }
    for (line, says) in [
        (
            "key-url",
            "the account is not whole; give --org (or DRMTODAY_ORG), --cpix-config (or DRMTODAY_CPIX_CONFIG), --user (or DRMTODAY_USER), --password-file",
        ),
        ("verify x --key-file gone", "--key-file: no such file; its name is not repeated here"),
        ("cpix explain gone", "the CPIX document: no such file; give the name of a file that holds it"),
        ("verify Cargo.toml", "Cargo.toml: neither a manifest nor media that is known"),
        (
            "pack fixtures/clip/mp4/video_180.mp4 --drm widevine --dev-keys x --out /proc/x/y",
            "choose another --out",
        ),
    ] {
        let (code, _, error) = call(line);
        assert!(code != Some(0) && error.contains(says), "{line}: {error}");
    }
    let (code, help, error) = call("pack --help");
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(help.contains("Usage: drm-pack pack") && help.lines().count() > 40);
    let (code, version, _) = call("--version");
    assert_eq!((code, version), (Some(0), format!("drm-pack {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn what_is_no_mp4_file_is_called_by_its_name() {
    let broken = Broken::copy_of("hls-ts").edit("0.ts", |bytes| bytes.truncate(1880));
    fs::write(broken.path("a.webm"), b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01").unwrap();
    fs::write(broken.path("a.aac"), b"ID3\x04\0\0\0\0\0\0\xff\xf1\x4c\x80\x2e\x7f\xfc").unwrap();
    fs::write(broken.path("a.vtt"), "WEBVTT\n").unwrap();
    fs::write(broken.path("a.py"), "import os\nprint(os)\n").unwrap();
    let keys = broken.folder.path().join("in/keys");
    fs::write(&keys, format!("{}:{}", "1".repeat(32), "2".repeat(32))).unwrap();
    for (name, code, says) in [
        ("0.ts", 3, "0.ts: an MPEG transport stream, an MP4 file expected"),
        ("0.ts", 3, "give the playlist"),
        ("a.webm", 4, "a.webm: Matroska or WebM"),
        ("a.aac", 3, "a.aac: packed audio"),
        ("a.vtt", 3, "a.vtt: WebVTT"),
        ("a.py", 3, "a.py: not media that is known"),
    ] {
        // Matroska is packed, and this is cut off; what was packed is never Matroska.
        // Text is taken beside video, and is none.
        let (packing, reason) = match name {
            "a.webm" => (3, "cut off"),
            "a.vtt" => (3, "no track that can be protected"),
            _ => (code, says),
        };
        // And a transport stream is packed, but what was packed is none.
        if name != "0.ts" {
            broken.fails(name, WIDEVINE, packing, &[reason]);
        }
        let out = broken.folder.path().join("out");
        let arguments = [&broken.path(name), Path::new("--out"), &out, Path::new("--key-file"), &keys];
        let output = drm_pack("decrypt", &arguments.map(|path| path.to_str().unwrap().to_owned()));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn webm_behind_a_manifest_is_called_webm() {
    let webm = |bytes: &mut Vec<u8>| bytes[..8].copy_from_slice(b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81");
    let says = ["WebM", "give the .webm file itself"];
    Broken::copy_of("hls").edit("v1/init_0.mp4", webm).fails("master.m3u8", WIDEVINE, 4, &says);
    let dash = Broken::copy_of("dash").edit("0/init.mp4", webm);
    dash.fails("manifest.mpd", WIDEVINE, 4, &says);
    dash.replace("manifest.mpd", "video/mp4", "video/webm").fails("manifest.mpd", WIDEVINE, 4, &says);
}

#[test]
fn whole_segments_stand_alone_in_the_list_of_systems() {
    let hls = Broken::copy_of("hls");
    let says =
        |drm: &str, says: &[&str]| hls.fails("master.m3u8", &["--drm", drm, "--dev-keys", "x"], 2, says);
    says("simpleaes+widevine", &["simpleaes stands alone"]);
    says("widevine,simpleaes", &["simpleaes stands alone"]);
    says("aes-128", &["known are widevine", "or simpleaes alone"]);
}
