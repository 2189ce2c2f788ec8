//! A ladder from files of four containers and text, in one call; `verify` has nothing to say of it.

use std::fs;
use std::process::Command;

use crate::support::media::root;
use crate::support::pack::SEED;

#[test]
fn files_of_four_containers_and_text_make_one_ladder_wherever_its_manifests_are() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("en.vtt");
    fs::write(&text, "WEBVTT\n\n00:00.500 --> 00:01.000\nGood evening.\n").unwrap();
    let clips = ["mp4/video_180.mp4", "quicktime/av.mov", "demux/avc_aac.ts", "demux/vp9_opus.webm"];
    let clips = clips.map(|clip| root().join("fixtures/clip").join(clip));
    let inputs: Vec<&str> = clips.iter().chain([&text]).map(|path| path.to_str().unwrap()).collect();
    for options in [&["--name-manifest", "top/{format}"][..], &["--layout", "single-file", "--trick-play"]] {
        let out = folder.path().join("out");
        let out = out.to_str().unwrap();
        let keys = ["--dev-keys", SEED];
        let pack = [&["pack", "--out", out, "--drm", "widevine", "--overwrite"], &keys[..], options, &inputs]
            .concat();
        succeeds(&pack);
        let against = inputs.iter().flat_map(|input| ["--against", input]);
        let verify: Vec<&str> = ["verify", out, "--strict"].into_iter().chain(keys).chain(against).collect();
        let said = succeeds(&verify);
        assert!(said.contains("0 errors, 0 advice"), "{options:?}: {said}");
    }
}

#[test]
fn what_stays_clear_of_two_tracks_alike_has_an_adaptation_set_of_its_own() {
    let out = tempfile::tempdir().unwrap();
    let [one, other] =
        ["quicktime/av.mov", "demux/avc_aac.ts"].map(|clip| root().join("fixtures/clip").join(clip));
    let (one, other, out) = (one.to_str().unwrap(), other.to_str().unwrap(), out.path().join("out"));
    let to = ["--out", out.to_str().unwrap(), "--drm", "widevine", "--dev-keys", SEED, "--track", "a1:clear"];
    succeeds(&[&["pack", one, other], &to[..]].concat());
    let mpd = fs::read_to_string(out.join("manifest.mpd")).unwrap();
    let audio: Vec<bool> = mpd
        .split("<AdaptationSet")
        .filter(|set| set.contains("audio/mp4"))
        .map(|set| set.contains("<ContentProtection"))
        .collect();
    assert_eq!(audio, [false, true], "{mpd}");
}

#[test]
fn tracks_that_packing_puts_into_another_order_are_found_in_the_sources() {
    let folder = tempfile::tempdir().unwrap();
    let clip = |name: &str| root().join("fixtures/clip").join(name).to_str().unwrap().to_owned();
    let inputs = ["demux/avc_aac.ts", "codecs/ac3.mp4", "mp4/audio.m4a"].map(clip);
    let out = folder.path().join("out");
    let keys = ["--dev-keys", SEED];
    let tracks = ["--track", "a3:default,lang=fr", "--track", "a1:lang=en"];
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let to = ["pack", "--out", out.to_str().unwrap(), "--drm", "widevine"];
    succeeds(&[&to, &keys[..], &tracks, &inputs].concat());
    let master = fs::read_to_string(out.join("master.m3u8")).unwrap();
    let places = ["a1.m3u8", "a3.m3u8", "a2.m3u8"].map(|name| master.find(name).unwrap());
    assert!(places.is_sorted(), "{master}");
    let against = inputs.iter().flat_map(|input| ["--against", input]);
    let verify = ["verify", out.to_str().unwrap()].into_iter().chain(keys).chain(against);
    let said = succeeds(&verify.collect::<Vec<_>>());
    assert!(said.contains("0 errors, 0 advice"), "{said}");
}

/// What a call says, which must succeed.
fn succeeds(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_drm-pack")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}
