//! What a package names beside its media is taken along or said — RFC 8216bis §6.3.1, appendix D; ISO/IEC 23009-1 §5.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::files::copy;
use crate::support::media::root;
use crate::support::pack::{SEED, job, pack, unpack};

/// A copy of a fixture in the folder `in`.
fn input(fixture: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    copy(&root().join("fixtures/clip").join(fixture), &path);
    (folder, path)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn interstitial(attributes: &str) -> String {
    format!(
        "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:00Z\n#EXT-X-DATERANGE:ID=\"a\",\
         CLASS=\"com.apple.hls.interstitial\",START-DATE=\"2026-03-01T10:00:01Z\",{attributes}\n#EXTINF"
    )
}

fn verify(out: &Path, options: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    let output =
        command.arg("verify").arg(out).args(["--dev-keys", SEED, "-v"]).args(options).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), text)
}

#[test]
fn what_interstitials_play_is_taken_along_clear_with_all_that_it_names() {
    let (folder, clear) = input("hls");
    for ad in ["advert", "more"] {
        copy(&clear.join("v2"), &clear.join(ad));
    }
    let list = r#"{"ASSETS":[{"URI":"../more/media.m3u8","DURATION":8},{"URI":"https://ads.example/x.m3u8?token=secret"},{"URI":"gone.m3u8"}]}"#;
    fs::write(clear.join("v1/list.json"), list).unwrap();
    let media = clear.join("v1/media.m3u8");
    edit(&media, "#EXTINF", &interstitial("X-ASSET-URI=\"../advert/media.m3u8\""));
    edit(
        &media,
        "#EXT-X-ENDLIST",
        &format!("{}:2,\n0.m4s\n#EXT-X-ENDLIST", interstitial("X-ASSET-LIST=\"list.json\"")),
    );
    let (out, plain) = (folder.path().join("out"), folder.path().join("plain"));
    let report = pack(&job(&clear.join("master.m3u8"), "widevine", "cenc"), &out).unwrap();
    let warnings = report.warnings.join("\n");
    for said in [
        "advert/media.m3u8: it is taken along as it is",
        "https://ads.example/x.m3u8 (elsewhere)",
        "gone.m3u8 (not there)",
    ] {
        assert!(warnings.contains(said), "{said}: {warnings}");
    }
    assert!(!warnings.contains("secret"), "{warnings}");
    unpack(&out.join("master.m3u8"), &plain).unwrap();
    for tree in [&out, &plain] {
        let files = ["advert", "more"]
            .map(|ad| ["media.m3u8", "0.m4s", "3.m4s", "init_1.mp4"].map(|file| format!("{ad}/{file}")));
        for file in files.iter().flatten().map(String::as_str).chain(["v1/list.json"]) {
            let source = clear.join(file);
            if source.exists() {
                assert_eq!(fs::read(source).unwrap(), fs::read(tree.join(file)).unwrap(), "{file}");
            }
        }
    }
    let (code, text) = verify(&out, &["--against", clear.join("master.m3u8").to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("advice asset-clear"), "{text}");
    // One byte of it changed is seen.
    let segment = out.join("advert/1.m4s");
    let mut bytes = fs::read(&segment).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&segment, bytes).unwrap();
    let (code, text) = verify(&out, &["--against", clear.join("master.m3u8").to_str().unwrap()]);
    assert_eq!(code, Some(7), "{text}");
}

#[test]
fn an_interstitial_that_plays_files_of_the_film_does_not_make_them_clear() {
    for (asset, expected) in [("ad.m3u8", "protected media"), ("../v2/media.m3u8", "")] {
        let (folder, clear) = input("hls");
        // The film's own segments under another playlist.
        fs::copy(clear.join("v1/media.m3u8"), clear.join("v1/ad.m3u8")).unwrap();
        edit(&clear.join("v1/media.m3u8"), "#EXTINF", &interstitial(&format!("X-ASSET-URI=\"{asset}\"")));
        let packed = pack(&job(&clear.join("master.m3u8"), "widevine", "cenc"), &folder.path().join("out"));
        match packed {
            // A playlist of the film is encrypted with the film.
            Ok(_) => assert!(expected.is_empty()),
            Err(error) => assert!(!expected.is_empty() && error.to_string().contains(expected), "{error}"),
        }
        if expected.is_empty() {
            let (code, text) = verify(&folder.path().join("out"), &[]);
            assert!(code == Some(0) && !text.contains("advice asset-clear"), "{text}");
        }
    }
}

#[test]
fn files_of_tags_and_elements_that_are_not_known_are_taken_along_or_said() {
    let (folder, clear) = input("hls");
    let master = clear.join("master.m3u8");
    let tags = "#EXT-X-CONTENT-STEERING:SERVER-URI=\"steering.json\"\n#EXT-X-SOMETHING:URI=\"https://x.example/y\"\n\
                #EXT-X-SESSION-DATA:DATA-ID=\"a\",URI=\"data.json\"\n#EXT-X-STREAM-INF";
    edit(&master, "#EXT-X-STREAM-INF", tags);
    ["steering.json", "data.json"].iter().for_each(|name| fs::write(clear.join(name), "{}").unwrap());
    let out = folder.path().join("out");
    let warnings = pack(&job(&master, "widevine", "cenc"), &out).unwrap().warnings.join("\n");
    assert!(warnings.contains("https://x.example/y: it is elsewhere"), "{warnings}");
    assert!(["steering.json", "data.json"].iter().all(|name| out.join(name).exists()));

    let (folder, clear) = input("dash");
    let mpd = clear.join("manifest.mpd");
    let elements = "<EventStream schemeIdUri=\"urn:x:events\"><Event id=\"1\" messageData=\"cards/end.json\"/>\
                    <Event id=\"2\">https://x.example/card.json</Event><Event>clip.ts</Event></EventStream>\
                    <AdaptationSet id=\"0\"";
    edit(&mpd, "<AdaptationSet id=\"0\"", elements);
    fs::create_dir(clear.join("cards")).unwrap();
    fs::write(clear.join("cards/end.json"), "{}").unwrap();
    fs::write(clear.join("clip.ts"), [0x47; 188 * 4]).unwrap();
    let out = folder.path().join("out");
    let warnings = pack(&job(&mpd, "widevine", "cenc"), &out).unwrap().warnings.join("\n");
    for said in
        ["Event names https://x.example/card.json", "Event names clip.ts: what that means is not known"]
    {
        assert!(warnings.contains(said), "{warnings}");
    }
    assert!(out.join("cards/end.json").exists() && !out.join("clip.ts").exists());
    let (code, text) = verify(&out, &[]);
    assert_eq!(code, Some(0), "{text}");
}
