//! Segments protected one by one, in any order, with a plan that was stored, are those of the whole run.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use drm_pack::codec::TrackKind;
use drm_pack::drm::{self, ManifestKind};
use drm_pack::io::HttpClient;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::samples;
use drm_pack::isobmff::track::trexes;
use drm_pack::isobmff::{BoxNode, parse_file};
use drm_pack::job::Job;
use drm_pack::keys::{DevKeys, KeyServer};
use drm_pack::package::{
    Boundaries, ClearRange, Cmaf, EditList, EncryptedTrack, Intent, KeyRule, MediaTrack, PeriodTime, Plan,
    PlannedKey, Preset, ProtectedRendition, ProtectedTrack, Schedule, Segments, ServerSignaling, TrackId,
    Treatment, media_tracks,
};
use drm_pack::protect::Scheme;
use proptest::prelude::*;

use crate::support::media::root;
use crate::support::pack::{SEED, job, pack};

/// A presentation: its manifest and, in the order of the job, init segment and media files of each rendition.
/// A rendition of one file is cut at its fragments.
struct Case {
    manifest: &'static str,
    renditions: &'static [(&'static str, &'static [&'static str])],
}

const CASES: &[Case] = &[
    Case {
        manifest: "dash/manifest.mpd",
        renditions: &[
            ("0/init.mp4", &["0/1.m4s", "0/2.m4s", "0/3.m4s", "0/4.m4s"]),
            ("1/init.mp4", &["1/1.m4s", "1/2.m4s", "1/3.m4s", "1/4.m4s"]),
            ("2/init.mp4", &["2/1.m4s", "2/2.m4s", "2/3.m4s", "2/4.m4s", "2/5.m4s"]),
        ],
    },
    Case {
        manifest: "hls/master.m3u8",
        renditions: &[
            ("audio/init_2.mp4", &["audio/0.m4s", "audio/1.m4s", "audio/2.m4s", "audio/3.m4s"]),
            ("v1/init_0.mp4", &["v1/0.m4s", "v1/1.m4s", "v1/2.m4s", "v1/3.m4s"]),
            ("v2/init_1.mp4", &["v2/0.m4s", "v2/1.m4s", "v2/2.m4s", "v2/3.m4s"]),
        ],
    },
    Case {
        manifest: "dash-segment-base/manifest.mpd",
        renditions: &[("video.mp4", &[]), ("audio.mp4", &[])],
    },
    Case { manifest: "dash-segment-list/manifest.mpd", renditions: &[("0.mp4", &[]), ("1.mp4", &[])] },
    Case {
        manifest: "hls-byterange/master.m3u8",
        renditions: &[("audio/media.mp4", &[]), ("v1/media.mp4", &[])],
    },
];

/// What is asked for.
#[derive(Clone, Debug)]
struct Wish {
    scheme: &'static str,
    preset: Preset,
    clear_lead: f64,
    rotate_every: Option<u32>,
    order: Vec<usize>,
}

fn wishes() -> impl Strategy<Value = Wish> {
    let schemes = prop_oneof![Just("cenc"), Just("cbcs")];
    let presets = prop_oneof![Just(Preset::Preset0), Just(Preset::Preset1)];
    let leads = prop_oneof![Just(0.0), Just(0.5), Just(2.0), Just(3.5)];
    let every = prop_oneof![Just(None), (1..4_u32).prop_map(Some)];
    let order = Just((0..8).collect::<Vec<usize>>()).prop_shuffle();
    (schemes, presets, leads, every, order).prop_map(|(scheme, preset, clear_lead, rotate_every, order)| {
        Wish { scheme, preset, clear_lead, rotate_every, order }
    })
}

impl Wish {
    fn job(&self, input: &Path) -> Job {
        Job {
            preset: self.preset,
            clear_lead: self.clear_lead,
            rotate_every: self.rotate_every,
            ..job(input, "widevine", self.scheme)
        }
    }

    /// The plan of the job, made apart from it; `segments` is the number of segments of the longest track.
    fn plan(
        &self,
        content_id: &str,
        kind: ManifestKind,
        encrypted_tracks: &[EncryptedTrack],
        segments: u32,
    ) -> Plan {
        let schedule = Schedule {
            clear: ClearRange::lead(std::time::Duration::from_secs_f64(self.clear_lead))
                .into_iter()
                .collect(),
            rotate_every: self.rotate_every.and_then(std::num::NonZeroU32::new),
            times: None,
        };
        let intent = Intent {
            content_id,
            treatment: Treatment::Samples(Scheme::find(self.scheme).unwrap()),
            keys: &KeyRule::Preset(self.preset).assign(encrypted_tracks).unwrap(),
            systems: &drm::parse_list("widevine").unwrap(),
            manifests: &[kind],
            vector: None,
            skd_template: "skd://{kid}",
            periods: schedule.periods(segments).unwrap(),
            server_signaling: ServerSignaling::default(),
            license_urls: &[],
            session_keys: true,
            schedule,
        };
        stored(&planned(&intent))
    }
}

fn planned(intent: &Intent<'_>) -> Plan {
    let http = HttpClient::new().unwrap();
    let answer = DevKeys::new(SEED).exchange(&http, intent.request()).unwrap();
    Plan::resolve(intent, answer).unwrap()
}

/// The plan as another machine reads it.
fn stored(plan: &Plan) -> Plan {
    let bytes = plan.to_bytes().unwrap();
    let read = Plan::from_bytes(&bytes).unwrap();
    assert_eq!(*read.to_bytes().unwrap(), *bytes);
    read
}

/// Substreams in the order of the report, pictures first, and the id of each track.
fn encrypted_tracks(tracks: &[MediaTrack]) -> (Vec<EncryptedTrack>, Vec<TrackId>) {
    let mut counts = [0; 2];
    let ids: Vec<_> = tracks
        .iter()
        .map(|media| {
            let kind = media.kind().unwrap();
            let count = &mut counts[usize::from(kind == TrackKind::Audio)];
            *count += 1;
            TrackId::new(kind, *count)
        })
        .collect();
    let mut found: Vec<_> = ids.iter().map(|id| EncryptedTrack::new(*id)).collect();
    found.sort_by_key(|encrypted_track| encrypted_track.id);
    (found, ids)
}

/// The bytes of each fragment: `moof` and what follows it up to the next.
fn fragments(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for node in parse_file(bytes).unwrap() {
        if node.is(b"moof") {
            found.push(Vec::new());
        }
        if let (Some(last), true) = (found.last_mut(), node.is(b"moof") || node.is(b"mdat")) {
            node.write(last);
        }
    }
    found
}

fn check_package(case: &Case, wish: &Wish) {
    let manifest = root().join("fixtures/clip").join(case.manifest);
    let folder = manifest.parent().unwrap();
    let out = tempfile::tempdir().unwrap();
    pack(&wish.job(&manifest), out.path()).unwrap();
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let inits: Vec<(Vec<u8>, BoxNode)> =
        case.renditions.iter().map(|(init, _)| (read(init), moov(&read(init)).unwrap())).collect();
    let tracks: Vec<_> = inits.iter().map(|(_, moov)| media_tracks(moov).unwrap().remove(0)).collect();
    let (encrypted_tracks, ids) = encrypted_tracks(&tracks);
    let clear = |index: usize| match case.renditions[index] {
        (init, []) => fragments(&read(init)),
        (_, files) => files.iter().map(|name| read(name)).collect(),
    };
    let segments = (0..inits.len()).map(|index| clear(index).len()).max().unwrap();
    let (content_id, kind) = match manifest.extension().unwrap().to_str().unwrap() {
        "mpd" => ("manifest", ManifestKind::Dash),
        _ => ("master", ManifestKind::Hls),
    };
    let plan = wish.plan(content_id, kind, &encrypted_tracks, u32::try_from(segments).unwrap());
    for (index, (init, moov)) in inits.iter().enumerate() {
        let (name, files) = case.renditions[index];
        let clear = clear(index);
        let mut rendition = ProtectedRendition::new(moov, &plan, &[Some(ids[index])]).unwrap();
        rendition.beginning_with(&clear[0]).unwrap();
        let whole = fs::read(out.path().join(name)).unwrap();
        if !files.is_empty() {
            assert!(rendition.init(init).unwrap() == whole, "{name} {wish:?}");
        }
        let whole = if files.is_empty() { fragments(&whole) } else { Vec::new() };
        for number in wish.order.iter().copied().filter(|number| *number < clear.len()) {
            let one = rendition.segment(&clear[number], u32::try_from(number).unwrap()).unwrap();
            let all = match files.get(number) {
                Some(file) => fs::read(out.path().join(file)).unwrap(),
                None => whole[number].clone(),
            };
            assert!(one == all, "{} {name} segment {number} {wish:?}", case.manifest);
        }
    }
}

fn check_mp4(wish: &Wish) {
    let input = root().join("fixtures/clip/mp4/av.mp4");
    let out = tempfile::tempdir().unwrap();
    pack(&wish.job(&input), out.path()).unwrap();
    let source = fs::read(&input).unwrap();
    let moov = moov(&source).unwrap();
    let tracks = media_tracks(&moov).unwrap();
    let (encrypted_tracks, ids) = encrypted_tracks(&tracks);
    let defaults = trexes(&moov).unwrap();
    let video = tracks.iter().find(|media| media.kind() == Some(TrackKind::Video)).unwrap();
    let edits =
        |media: &MediaTrack| EditList::of(&moov, media.track.track_id, media.track.timescale).unwrap();
    let samples = |media: &MediaTrack| {
        edits(media).samples(samples(&source, &moov, media.track.track_id, &defaults).unwrap())
    };
    let boundaries =
        Boundaries::of(samples(video), &edits(video), (0, video.track.timescale), (2.0, &[])).unwrap();
    let cut = |media: &MediaTrack| {
        let edits = edits(media);
        let segments = Segments::new(samples(media), &boundaries, &edits, media.track.timescale);
        segments.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let most = tracks.iter().map(|media| cut(media).len()).max().unwrap();
    let plan = wish.plan("av", ManifestKind::Dash, &encrypted_tracks, u32::try_from(most).unwrap());
    for (media, id) in tracks.iter().zip(ids) {
        let protected = ProtectedTrack::planned(media, &plan, id).unwrap();
        let cmaf = Cmaf::new(&source, &moov, media, Some(&protected)).unwrap();
        let segments = cut(media);
        for number in wish.order.iter().copied().filter(|number| *number < segments.len()) {
            let mut one = Vec::new();
            cmaf.write_segment(&segments[number], &mut Vec::new(), &mut one).unwrap();
            let name = format!("{}/{}.m4s", id, number + 1);
            assert!(one == fs::read(out.path().join(&name)).unwrap(), "{name} {wish:?}");
        }
    }
}

/// Plans of both treatments, with all that a plan can have.
fn plans() -> Vec<Plan> {
    let track = |kind| EncryptedTrack::new(TrackId { kind, number: 1 });
    let tracks = [track(TrackKind::Video), track(TrackKind::Audio)];
    let minute = std::time::Duration::from_secs(60);
    let time = |start, end| PeriodTime { start: minute * start, end };
    let times: Arc<[PeriodTime]> = [time(0, Some(minute)), time(1, None)].into();
    let every = Schedule {
        rotate_every: std::num::NonZeroU32::new(3),
        clear: ClearRange::lead(minute).into_iter().collect(),
        times: None,
    };
    let timed = Schedule { times: Some(times), ..Schedule::default() };
    let aes128 = |encrypts_maps| Treatment::Aes128 { key_uri: Some("https://k/{kid}".into()), encrypts_maps };
    let samples = |name| Treatment::Samples(Scheme::find(name).unwrap());
    let mut plans = Vec::new();
    for (treatment, systems, vector) in [
        (samples("cenc"), "widevine,playready,clearkey", None),
        (samples("cbcs"), "fairplay,widevine", Some([7; 16])),
        (aes128(false), "", None),
        (aes128(true), "", None),
    ] {
        for (schedule, periods) in [(Schedule::default(), 1), (every.clone(), 4), (timed.clone(), 2)] {
            plans.push(planned(&Intent {
                content_id: "a title",
                treatment: treatment.clone(),
                keys: &KeyRule::Preset(Preset::Preset1).assign(&tracks).unwrap(),
                systems: &if systems.is_empty() { Vec::new() } else { drm::parse_list(systems).unwrap() },
                manifests: &[ManifestKind::Hls],
                vector,
                skd_template: "skd://{kid}",
                periods,
                server_signaling: ServerSignaling::default(),
                license_urls: &[],
                session_keys: true,
                schedule,
            }));
        }
    }
    plans
}

#[test]
fn a_stored_plan_is_the_plan() {
    for plan in plans() {
        let read = stored(&plan);
        assert_eq!(read.keys().len(), plan.keys().len());
        for (key, other) in plan.keys().iter().zip(read.keys()) {
            assert_eq!(key.kid, other.kid);
            let names =
                |key: &PlannedKey| key.systems.iter().map(|system| system.0.name()).collect::<Vec<_>>();
            assert_eq!(names(key), names(other));
        }
        assert_eq!((&read.schedule, &read.warnings), (&plan.schedule, &plan.warnings));
        assert_eq!(read.periods().count(), plan.periods().count());
    }
}

#[test]
fn a_damaged_plan_is_an_error_that_says_nothing_of_the_keys() {
    for plan in plans() {
        let bytes = plan.to_bytes().unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let key = text.split("\"value\":\"").nth(1).unwrap()[..32].to_owned();
        let changes = [
            text.replace("\"version\":1", "\"version\":2"),
            text.replace("\"version\":1,", ""),
            text.replace("\"periods\":", "\"periods\":-"),
            text.replace("\"periods\":", "\"periods\":9999"),
            text.replace("\"periods\":", "\"other\":1,\"periods\":"),
            text.replace(&key, &format!("{key}0")),
            text.replace(&format!("\"{key}\""), &format!("{{\"{key}\":0}}")),
            text.replace("\"samples\":{\"scheme\":\"c", "\"samples\":{\"scheme\":\"x"),
            text.replace("\"uri\":", "\"url\":"),
            text[..text.len() - 1].to_owned(),
        ];
        for changed in changes.iter().filter(|changed| **changed != text) {
            let Err(error) = Plan::from_bytes(changed.as_bytes()) else { panic!("{changed}") };
            assert!(!error.to_string().contains(&key), "{error}");
        }
        for end in 0..text.len() {
            assert!(Plan::from_bytes(&text.as_bytes()[..end]).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn segments_in_random_order_are_those_of_the_whole_run(wish in wishes()) {
        CASES.iter().for_each(|case| check_package(case, &wish));
        check_mp4(&wish);
    }
}
