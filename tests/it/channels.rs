//! Channels come from the codec's own configuration: the same sound gets the same key, whatever its sample entry says
//! and whatever form it has.

use std::fs;
use std::path::Path;

use drm_pack::job::{Job, TrackReport};

use crate::support::ffmpeg_trace::{ffmpeg, ffmpeg_is_there};
use crate::support::files::changed_copy;
use crate::support::media::root;
use crate::support::pack::{job, pack};

/// AudioSpecificConfig of the clip, AAC-LC at 48 kHz: with two channels, and with six.
const STEREO: &[u8] = &[0x11, 0x90, 0x56, 0xe5];
const FIVE_ONE: &[u8] = &[0x11, 0xb0, 0x56, 0xe5];

fn replace(bytes: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    while let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes.splice(at..at + from.len(), to.iter().copied());
    }
}

/// The sound of a job under a contract with keys of their own for stereo and for more.
fn sound(input: &Path, out: &Path) -> TrackReport {
    let job = Job {
        video_preset: Some("PRESET-VIDEO-1".into()),
        audio_preset: Some("PRESET-AUDIO-2".into()),
        resource_id: Some("film".into()),
        ..job(input, "widevine", "cenc")
    };
    let report = pack(&job, out).unwrap();
    report.tracks.into_iter().find(|track| track.kind == "audio").unwrap()
}

#[test]
fn the_same_sound_has_the_key_of_its_channels_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (stereo, six) = (place("stereo"), place("six"));
    for (kind, manifest) in [("mp4", "audio.m4a"), ("dash", "manifest.mpd"), ("hls", "master.m3u8")] {
        changed_copy(kind, &stereo.join(kind), &|_| {});
        changed_copy(kind, &six.join(kind), &|bytes| replace(bytes, STEREO, FIVE_ONE));
        let [two, more] = [&stereo, &six]
            .map(|from| sound(&from.join(kind).join(manifest), &from.join(format!("{kind}.out"))));
        let (expected_two, expected_more) = expected();
        assert_eq!((two.channels, two.kid), (Some(2), expected_two), "{kind}");
        assert_eq!((more.channels, more.kid), (Some(6), expected_more), "{kind}");
    }
    let written = |name: &str| fs::read_to_string(six.join("mp4.out").join(name)).unwrap();
    assert!(written("manifest.mpd").contains("cicp:ChannelConfiguration\" value=\"6\""));
    let both = Job {
        inputs: vec![
            root().join("fixtures/clip/mp4/av.mp4").to_str().unwrap().to_owned(),
            six.join("mp4/audio.m4a").to_str().unwrap().to_owned(),
        ],
        ..job(Path::new(""), "widevine", "cbcs")
    };
    pack(&both, &place("both")).unwrap();
    let playlist = fs::read_to_string(place("both").join("master.m3u8")).unwrap();
    assert_eq!(playlist.matches("CHANNELS=\"6\"").count(), 1, "{playlist}");
    assert_eq!(playlist.matches("CHANNELS=\"2\"").count(), 1, "{playlist}");
}

#[test]
fn the_layout_of_channels_is_said_not_their_number() {
    if !ffmpeg_is_there() {
        eprintln!("left out: FFmpeg is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (layout, encoder, channels, configuration) in [
        ("quad", "aac", 4, Some(10)),
        ("4.0", "aac", 4, Some(4)),
        ("2.1", "aac", 3, None),
        ("3.0", "aac", 3, Some(3)),
        ("2.1", "ac3", 3, None),
        ("quad", "ac3", 4, Some(10)),
        ("quad", "flac", 4, Some(10)),
    ] {
        let path = folder.path().join(format!("{layout}.{encoder}.mp4"));
        let mut command = ffmpeg();
        command.args(["-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-c:a", encoder, "-af"]);
        command.arg(format!("aformat=channel_layouts={layout}"));
        command.arg("-strict").arg("-2").arg(&path);
        assert!(command.status().unwrap().success());
        let out = tempfile::tempdir().unwrap();
        let report = pack(&job(&path, "widevine", "cenc"), out.path()).unwrap();
        let mpd = fs::read_to_string(out.path().join("manifest.mpd")).unwrap();
        let said = mpd.split_once("cicp:ChannelConfiguration\" value=\"").map(|(_, rest)| rest);
        let said = said.and_then(|rest| rest.split_once('"')?.0.parse().ok());
        assert_eq!(said, configuration, "{layout} {encoder}");
        assert_eq!(report.tracks[0].channels, Some(channels), "{layout} {encoder}");
    }
}

/// The key ids for stereo and for more channels.
fn expected() -> (String, String) {
    let kid = |track: &str| {
        let name = format!("drm-pack:film:cenc:{track}");
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).to_string()
    };
    (kid("STEREO_AUDIO"), kid("MULTICHANNEL_AUDIO"))
}

#[test]
fn a_manifest_counts_where_the_configuration_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    // MPEG-1 layer III, by its objectTypeIndication, tells its channels in its own headers.
    let silent = |bytes: &mut Vec<u8>| {
        replace(bytes, &[0x17, 0x40, 0x15], &[0x17, 0x6b, 0x15]);
        replace(bytes, b"2011\" value=\"2\"", b"2011\" value=\"6\"");
    };
    let dash = changed_copy("dash", &folder.path().join("dash"), &silent);
    let found = sound(&dash.join("manifest.mpd"), &folder.path().join("out"));
    assert_eq!((found.codec.as_str(), found.channels), ("mp4a.6B", Some(6)));
    assert_eq!(found.kid, expected().1);
    // The configuration knows better than a manifest that is wrong.
    let wrong = |bytes: &mut Vec<u8>| replace(bytes, b"2011\" value=\"2\"", b"2011\" value=\"6\"");
    let dash = changed_copy("dash", &folder.path().join("wrong"), &wrong);
    let found = sound(&dash.join("manifest.mpd"), &folder.path().join("wrong.out"));
    assert_eq!((found.channels, found.kid), (Some(2), expected().0));
}

/// The handler and the manifest say video or audio, the sample entry says text: it is not copied as text.
#[test]
fn media_under_a_text_entry_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for text in [b"stpp", b"wvtt", b"tx3g", b"c608"] {
        for media in [b"avc1", b"mp4a"] {
            let file = if media == b"avc1" { "av.mp4" } else { "audio.m4a" };
            for (kind, manifest) in [("mp4", file), ("dash", "manifest.mpd"), ("hls", "master.m3u8")] {
                let name = format!("{}-{}-{kind}", text.escape_ascii(), media.escape_ascii());
                let input = changed_copy(kind, &folder.path().join(&name), &|bytes| {
                    let stsd = bytes.windows(4).position(|kind| kind == b"stsd").unwrap_or(bytes.len());
                    if bytes.get(stsd + 16..stsd + 20) == Some(&media[..]) {
                        bytes[stsd + 16..stsd + 20].copy_from_slice(text);
                    }
                });
                let job = job(&input.join(manifest), "widevine", "cenc");
                let error = pack(&job, &folder.path().join(format!("{name}.out"))).unwrap_err().to_string();
                assert!(error.contains("it would stay clear"), "{name}: {error}");
            }
        }
    }
}
