//! HLS and DASH over one set of CMAF segments — ISO/IEC 23000-19 §9: encrypted once, signaled in both.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use drm_pack::job::{Job, plan};
use drm_pack::keys::SpekeVersion;
use drm_pack::package::Preset;

use crate::support::files::copied;
use crate::support::files::{other_lines, tree};
use crate::support::pack::{job, open_input, pack, unpack_all};

const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n";

fn multivariant(video: &[&str], audio: &str) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"{audio}\"\n");
    for uri in video {
        writeln!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH=90000,AUDIO=\"a\",CODECS=\"avc1.64001e,mp4a.40.2\"\n{uri}"
        )
        .unwrap();
    }
    text
}

/// The DASH clip with playlists over its segments.
pub(crate) fn segments() -> tempfile::TempDir {
    let folder = copied("dash");
    for (name, count) in [("0", 4), ("1", 4), ("2", 5)] {
        let mut text = format!("{HEAD}#EXT-X-MAP:URI=\"init.mp4\"\n");
        (1..=count).for_each(|number| writeln!(text, "#EXTINF:2,\n{number}.m4s").unwrap());
        fs::write(folder.path().join(name).join("media.m3u8"), text + "#EXT-X-ENDLIST\n").unwrap();
    }
    let text = multivariant(&["0/media.m3u8", "1/media.m3u8"], "2/media.m3u8");
    fs::write(folder.path().join("master.m3u8"), text).unwrap();
    folder
}

/// The DASH clip of single files with playlists over the same byte ranges.
fn ranges() -> tempfile::TempDir {
    let folder = copied("dash-segment-list");
    let mpd = fs::read_to_string(folder.path().join("manifest.mpd")).unwrap();
    for (name, representation) in ["0", "1"].into_iter().zip(mpd.split("<Representation").skip(1)) {
        let ranges = representation.split("ange=\"").skip(1);
        let ranges: Vec<(u64, u64)> = ranges
            .map(|text| {
                let (start, end) = text.split_once('"').unwrap().0.split_once('-').unwrap();
                (start.parse().unwrap(), end.parse().unwrap())
            })
            .collect();
        let length = |(start, end): (u64, u64)| format!("{}@{start}", end + 1 - start);
        let mut text = format!("{HEAD}#EXT-X-MAP:URI=\"{name}.mp4\",BYTERANGE=\"{}\"\n", length(ranges[0]));
        // Each segment has its own range and that of its index.
        for range in ranges[1..].iter().step_by(2) {
            writeln!(text, "#EXTINF:2,\n#EXT-X-BYTERANGE:{}\n{name}.mp4", length(*range)).unwrap();
        }
        fs::write(folder.path().join(format!("{name}.m3u8")), text + "#EXT-X-ENDLIST\n").unwrap();
    }
    fs::write(folder.path().join("master.m3u8"), multivariant(&["0.m3u8"], "1.m3u8")).unwrap();
    folder
}

fn wish(folder: &Path, manifests: &[&str]) -> Job {
    let inputs = manifests.iter().map(|name| folder.join(name).to_str().unwrap().to_owned()).collect();
    Job { inputs, ..job(folder, "widevine+playready+fairplay", "cbcs") }
}

#[test]
fn segments_of_two_manifests_are_encrypted_once_and_signaled_in_both() {
    for (folder, preset) in [
        (segments(), Preset::Preset0),
        (segments(), Preset::Preset1),
        (ranges(), Preset::Preset0),
        (ranges(), Preset::Preset1),
    ] {
        let clear = tree(folder.path());
        let both = Job { preset, ..wish(folder.path(), &["manifest.mpd", "master.m3u8"]) };
        let out = tempfile::tempdir().unwrap();
        let report = pack(&both, out.path()).unwrap();
        let protected = tree(out.path());
        let names = |tree: &std::collections::BTreeMap<String, Vec<u8>>| -> Vec<String> {
            tree.keys().filter(|name| *name != "case.toml").cloned().collect()
        };
        assert_eq!(names(&protected), names(&clear));
        assert_eq!(report.manifests.last().unwrap(), "manifest.mpd");
        let mut paths: Vec<_> = report.outputs.iter().map(|output| &output.path).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), report.outputs.len(), "each file is written once");
        let text = |name: &str| String::from_utf8(protected[name].clone()).unwrap();
        let (mpd, playlists) = (text("manifest.mpd"), names(&protected).join(" "));
        assert!(playlists.contains("master.m3u8") && text("master.m3u8").contains("EXT-X-SESSION-KEY"));
        for track in &report.tracks {
            let kid = track.kid.clone();
            assert!(mpd.to_lowercase().contains(&kid), "{mpd}");
            let said = protected.iter().filter(|(name, bytes)| {
                let text = String::from_utf8_lossy(bytes).replace('-', "");
                name.ends_with(".m3u8") && text.contains(&format!("skd://{}", kid.replace('-', "")))
            });
            assert!(said.count() >= 2, "{kid}: a media playlist and the multivariant one");
        }
        for inputs in [&["master.m3u8", "manifest.mpd"][..], &["manifest.mpd"], &["master.m3u8"]] {
            let back = tempfile::tempdir().unwrap();
            let inputs: Vec<_> = inputs.iter().map(|name| out.path().join(name)).collect();
            unpack_all(&inputs, back.path()).unwrap();
            for (name, bytes) in tree(back.path()) {
                if name.ends_with(".mpd") {
                    assert!(!String::from_utf8(bytes).unwrap().contains("ContentProtection"));
                } else if name.ends_with(".m3u8") {
                    assert_eq!(other_lines(&bytes), other_lines(&clear[&name]), "{name}");
                } else {
                    assert!(bytes == clear[&name], "{name}");
                }
            }
        }
    }
}

/// What one manifest alone says is what it says beside the other.
#[test]
fn a_manifest_beside_another_names_the_keys_that_it_names_alone() {
    let folder = segments();
    let pack_of = |manifests: &[&str], drm: &str| {
        let out = tempfile::tempdir().unwrap();
        let wish = Job { drm: drm.into(), resource_id: Some("one".into()), ..wish(folder.path(), manifests) };
        pack(&wish, out.path()).unwrap();
        tree(out.path())
    };
    let both = pack_of(&["manifest.mpd", "master.m3u8"], "widevine+playready");
    let (hls, dash) =
        (pack_of(&["master.m3u8"], "widevine+playready"), pack_of(&["manifest.mpd"], "widevine+playready"));
    assert_eq!(both["master.m3u8"], hls["master.m3u8"]);
    assert_eq!(both["0/media.m3u8"], hls["0/media.m3u8"]);
    assert_eq!(both["manifest.mpd"], dash["manifest.mpd"]);
    assert_eq!(both["1/init.mp4"], dash["1/init.mp4"]);
}

#[test]
fn manifests_that_are_not_one_presentation_are_refused() {
    let (one, other) = (segments(), segments());
    let path = |folder: &tempfile::TempDir, name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (inputs, words) in [
        (vec![path(&one, "manifest.mpd"), path(&other, "master.m3u8")], "lie in two folders"),
        (vec![path(&one, "master.m3u8"), path(&one, "0/media.m3u8")], "not one presentation"),
        (vec![path(&one, "master.m3u8"), path(&one, "0/1.m4s")], "not one presentation"),
    ] {
        let wish = Job { inputs, ..wish(one.path(), &[]) };
        let out = tempfile::tempdir().unwrap();
        let error = pack(&wish, out.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        let error = plan(&wish, &open_input, SpekeVersion::V2_0, None).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(tree(out.path()).is_empty());
    }
    let wish = wish(one.path(), &["manifest.mpd", "master.m3u8"]);
    assert_eq!(plan(&wish, &open_input, SpekeVersion::V2_0, None).unwrap().tracks.len(), 3);
}
