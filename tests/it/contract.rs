//! Requests of every encryption contract: as they are written, and valid against the schema — SPEKE 2.0, CPIX 2.3.

use std::io::Write as _;
use std::process::Command;

use drm_pack::codec::TrackKind;
use drm_pack::cpix;
use drm_pack::drm::{self, ManifestKind};
use drm_pack::keys::{AUDIO_PRESETS, Contract, SpekeVersion, VIDEO_PRESETS};
use drm_pack::package::{EncryptedTrack, Intent, KeyRule, Schedule, ServerSignaling, TrackId, Treatment};
use drm_pack::protect::Scheme;

use crate::support::media::root;

/// A ladder with a track of each size.
fn ladder() -> Vec<EncryptedTrack> {
    let video = [(1024, 576), (1280, 720), (1920, 1080), (3840, 2160), (7680, 4320)];
    let video = video.into_iter().enumerate().map(|(index, (width, height))| EncryptedTrack {
        pixels: Some(width * height),
        ..EncryptedTrack::new(TrackId::new(TrackKind::Video, index + 1))
    });
    let audio = [2, 6, 8].into_iter().enumerate().map(|(index, channels)| EncryptedTrack {
        channels: Some(channels),
        ..EncryptedTrack::new(TrackId::new(TrackKind::Audio, index + 1))
    });
    video.chain(audio).collect()
}

/// The request under this contract, for the tracks that it protects.
fn request(video: &str, audio: &str) -> cpix::Document {
    let rule = KeyRule::Contract(Contract::find(video, audio).unwrap());
    let encrypted_tracks: Vec<_> =
        ladder().into_iter().filter(|track| rule.protects(track.id.kind)).collect();
    let systems = drm::parse_list("fairplay").unwrap();
    let intent = Intent {
        content_id: "contract",
        treatment: Treatment::Samples(Scheme::find("cbcs").unwrap()),
        keys: &rule.assign(&encrypted_tracks).unwrap(),
        systems: &systems,
        manifests: &[ManifestKind::Hls],
        vector: None,
        skd_template: "skd://{kid}",
        schedule: Schedule::default(),
        periods: 1,
        server_signaling: ServerSignaling::default(),
        license_urls: &[],
        session_keys: true,
    };
    intent.request()
}

fn written(video: &str, audio: &str, version: SpekeVersion) -> Vec<u8> {
    version.write(&request(video, audio)).unwrap()
}

/// Every pair that is allowed, by the choice for pictures.
fn pairs() -> Vec<(&'static str, Vec<&'static str>)> {
    let audio: Vec<_> = AUDIO_PRESETS.iter().map(|preset| preset.name).collect();
    let with_clear = [audio.as_slice(), &["UNENCRYPTED"]].concat();
    let mut pairs: Vec<_> = VIDEO_PRESETS.iter().map(|preset| (preset.name, with_clear.clone())).collect();
    pairs.push(("UNENCRYPTED", audio));
    pairs.push(("SHARED", vec!["SHARED"]));
    pairs
}

#[test]
fn the_request_of_every_pair_of_presets_is_as_recorded() {
    for (video, audios) in pairs() {
        let mut text = String::new();
        for audio in audios {
            let document = String::from_utf8(written(video, audio, SpekeVersion::V2_0)).unwrap();
            text.push_str(&format!("== {audio}\n{document}"));
        }
        insta::assert_snapshot!(format!("contract-{video}"), text);
    }
}

#[test]
fn every_track_of_the_ladder_has_a_key_whose_filter_covers_it() {
    for (video, audios) in pairs() {
        for audio in audios {
            let rule = KeyRule::Contract(Contract::find(video, audio).unwrap());
            let tracks: Vec<_> = ladder().into_iter().filter(|track| rule.protects(track.id.kind)).collect();
            let assignment = rule.assign(&tracks).unwrap();
            for track in &tracks {
                let id = assignment.key_of(track.id).unwrap();
                let (_, key) = assignment.keys().find(|(known, _)| *known == id).unwrap();
                let (found, least, most) = match track.id.kind {
                    TrackKind::Video => {
                        let filter = key.video.as_ref().unwrap();
                        (track.pixels, filter.min_pixels, filter.max_pixels)
                    }
                    _ => {
                        let filter = key.audio.as_ref().unwrap();
                        (track.channels, filter.min_channels, filter.max_channels)
                    }
                };
                let range = least.unwrap_or(0)..=most.unwrap_or(u32::MAX);
                assert!(range.contains(&found.unwrap()), "{video} {audio} {}", track.id);
            }
        }
    }
}

#[test]
fn requests_are_valid_against_the_schema() {
    let schema = root().join("../shared/cpix/schema/CPIX2.3/cpix.xsd");
    let xmllint = Command::new("xmllint").arg("--version").output();
    if xmllint.is_err() || !schema.exists() {
        println!("skipped: xmllint or the CPIX schema is not there");
        return;
    }
    for (video, audios) in pairs() {
        for audio in audios {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&written(video, audio, SpekeVersion::V2_0)).unwrap();
            let mut command = Command::new("xmllint");
            command.args(["--nonet", "--noout", "--schema"]).arg(&schema).arg(file.path());
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{video} {audio}: {text}");
        }
    }
}
