//! Usage rules decide which track has which key, and key periods when it changes: whatever the order of the document,
//! never another rule's key.

use std::fs;
use std::path::{Path, PathBuf};

use drm_pack::base::env::Http;
use drm_pack::base::{Kid, Kind, Result, Secret};
use drm_pack::cpix::usage::Strictness;
use drm_pack::cpix::{
    AudioFilter, BitrateFilter, ContentKey, ContentKeyPeriod, ContentKeyUsageRule, Document, VideoFilter,
};
use drm_pack::io::HttpClient;
use drm_pack::isobmff::boxes::{Sgpd, Tenc, Tfdt};
use drm_pack::isobmff::{BoxNode, parse_file};
use drm_pack::job::{Job, TrackFacts, fetch_keys, plan};
use drm_pack::keys::{CpixFile, DevKeys, KeyFile, KeyServer, SpekeVersion};
use drm_pack::package::Preset;
use proptest::prelude::*;

use crate::support::media::root;
use crate::support::pack::{SEED, job, open_input, pack_with};

fn clip(name: &str) -> PathBuf {
    root().join("fixtures/clip").join(name)
}

fn kid(byte: u8) -> Kid {
    Kid::new([byte; 16])
}

/// A document with these rules, and a key for each that they name.
fn document(rules: Vec<ContentKeyUsageRule>) -> Document {
    let mut document = Document { version: Some("2.3".into()), ..Document::default() };
    for rule in &rules {
        if document.content_key(rule.kid).is_none() {
            let value = Some(Secret::new(rule.kid.bytes().map(|byte| byte ^ 0x55)));
            document.content_keys.push(ContentKey { value, ..ContentKey::new(rule.kid) });
        }
    }
    document.usage_rules = rules;
    document
}

fn rule(byte: u8, name: &str) -> ContentKeyUsageRule {
    ContentKeyUsageRule { intended_track_type: Some(name.into()), ..ContentKeyUsageRule::new(kid(byte)) }
}

fn pixels(byte: u8, name: &str, min: Option<u32>, max: Option<u32>) -> ContentKeyUsageRule {
    let filter = VideoFilter { min_pixels: min, max_pixels: max, ..VideoFilter::default() };
    ContentKeyUsageRule { video_filters: vec![filter], ..rule(byte, name) }
}

fn sound(byte: u8) -> ContentKeyUsageRule {
    ContentKeyUsageRule { audio_filters: vec![AudioFilter::default()], ..rule(byte, "AUDIO") }
}

/// LOW up to 200,000 pixels, MID up to those of SD, TOP, and sound: limits of no preset.
fn tiers() -> Document {
    document(vec![
        pixels(1, "LOW", None, Some(200_000)),
        pixels(2, "MID", Some(200_001), Some(589_824)),
        pixels(3, "TOP", Some(589_825), None),
        sound(4),
    ])
}

fn file(document: Document) -> CpixFile {
    CpixFile::new(document, Strictness::Speke)
}

/// The first byte of the key id of each track: size or kind, and byte.
fn kids_of(job: &Job, keys: &dyn KeyServer) -> Result<Vec<(String, u8)>> {
    let out = tempfile::tempdir().unwrap();
    let report = pack_with(job, out.path(), keys)?;
    let shape = |width: Option<u16>| width.map_or_else(|| "sound".to_owned(), |width| width.to_string());
    let kid = |text: &str| Kid::parse(text).unwrap().bytes()[0];
    let mut found: Vec<_> = report.tracks.iter().map(|track| (shape(track.width), kid(&track.kid))).collect();
    found.sort();
    Ok(found)
}

fn expected(pairs: &[(&str, u8)]) -> Vec<(String, u8)> {
    let mut pairs: Vec<_> = pairs.iter().map(|(name, byte)| ((*name).to_owned(), *byte)).collect();
    pairs.sort();
    pairs
}

/// The ladder of the clip in its forms: 640 × 360, 320 × 180 and sound.
fn ladders() -> [Job; 3] {
    let files = ["mp4/av.mp4", "codecs/hevc.mp4"];
    let mut mp4 = job(&clip(files[0]), "widevine", "cenc");
    mp4.inputs = files.map(|name| clip(name).to_str().unwrap().to_owned()).to_vec();
    [
        job(&clip("dash/manifest.mpd"), "widevine", "cenc"),
        job(&clip("hls/master.m3u8"), "widevine", "cenc"),
        mp4,
    ]
}

#[test]
fn each_track_has_the_key_of_the_rule_that_it_meets() {
    for job in ladders() {
        let found = kids_of(&job, &file(tiers())).unwrap();
        assert!(found.len() >= 3, "{found:?}");
        for (shape, byte) in &found {
            let expected = match shape.as_str() {
                "sound" => 4,
                "640" => 2,
                "320" | "160" | "256" => 1,
                other => panic!("{other}"),
            };
            assert_eq!(*byte, expected, "{:?} {found:?}", job.inputs);
        }
    }
}

#[test]
fn a_preset_that_contradicts_the_document_is_named() {
    let [dash, ..] = ladders();
    let contract = |video: &str| Job {
        video_preset: Some(video.into()),
        audio_preset: Some("PRESET-AUDIO-1".into()),
        ..dash.clone()
    };
    let preset = |preset| Job { preset, ..dash.clone() };
    for (job, word) in [
        (contract("PRESET-VIDEO-2"), "PRESET-VIDEO-2"),
        (contract("PRESET-VIDEO-8"), "PRESET-VIDEO-8"),
        (preset(Preset::Preset0), "preset0"),
    ] {
        let error = kids_of(&job, &file(tiers())).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(text.contains(word) && text.contains("rules of the document"), "{text}");
    }
    let all = expected(&[("640", 2), ("320", 1), ("sound", 4)]);
    assert_eq!(kids_of(&preset(Preset::Preset1), &file(tiers())).unwrap(), all);
    let shared = document(vec![pixels(1, "VIDEO", None, None), sound(4)]);
    let two = expected(&[("640", 1), ("320", 1), ("sound", 4)]);
    assert_eq!(kids_of(&dash, &file(shared.clone())).unwrap(), two);
    assert_eq!(kids_of(&contract("PRESET-VIDEO-2"), &file(shared.clone())).unwrap(), two);
    let text = kids_of(&preset(Preset::Preset1), &file(shared)).unwrap_err().to_string();
    assert!(text.contains("--preset preset1 gives v1 and v2 a key each"), "{text}");
    // Nothing is written for a track that no rule is for.
    let silent = document(vec![pixels(1, "VIDEO", None, None)]);
    let text = kids_of(&dash, &file(silent)).unwrap_err().to_string();
    assert!(text.contains("track a1: none of the 1 usage rules matches audio of 2 channels"), "{text}");
}

#[test]
fn one_key_serves_all_with_a_rule_for_all_or_without_one() {
    let [dash, ..] = ladders();
    let mut all = pixels(7, "ALL", None, None);
    all.audio_filters = vec![AudioFilter::default()];
    let with_rule = document(vec![all]);
    let without = Document { usage_rules: Vec::new(), ..with_rule.clone() };
    for document in [with_rule, without] {
        let same = expected(&[("640", 7), ("320", 7), ("sound", 7)]);
        assert_eq!(kids_of(&dash, &file(document.clone())).unwrap(), same);
        let preset1 = Job { preset: Preset::Preset1, ..dash.clone() };
        assert!(kids_of(&preset1, &file(document)).unwrap_err().to_string().contains("preset1"));
    }
}

/// A server with keys of its own, which answers any request with a document.
struct Made(Document);

impl KeyServer for Made {
    fn exchange(&self, _http: &dyn Http, _request: Document) -> Result<Document> {
        Ok(self.0.clone())
    }

    fn rules(&self) -> Option<Strictness> {
        Some(Strictness::Speke)
    }
}

#[test]
fn a_server_that_makes_keys_is_held_to_its_own_rules() {
    let [dash, ..] = ladders();
    let all = expected(&[("640", 2), ("320", 1), ("sound", 4)]);
    assert_eq!(kids_of(&dash, &Made(tiers())).unwrap(), all);
    let contract = Job {
        video_preset: Some("PRESET-VIDEO-3".into()),
        audio_preset: Some("PRESET-AUDIO-1".into()),
        ..dash
    };
    assert!(kids_of(&contract, &Made(tiers())).unwrap_err().to_string().contains("PRESET-VIDEO-3"));
}

#[test]
fn bit_rates_are_those_of_the_manifest_or_of_the_samples() {
    let bits = |byte, min, max| ContentKeyUsageRule {
        bitrate_filters: vec![BitrateFilter { min_bitrate: min, max_bitrate: max }],
        ..rule(byte, "VIDEO")
    };
    let rates =
        |limit: u64| document(vec![bits(1, None, Some(limit)), bits(2, Some(limit + 1), None), sound(4)]);
    let folder = tempfile::tempdir().unwrap();
    let manifest = fs::read_to_string(clip("dash/manifest.mpd")).unwrap();
    let bandwidths: Vec<u64> = manifest
        .split("bandwidth=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
        .collect();
    let (most, least) = (bandwidths[0].max(bandwidths[1]), bandwidths[0].min(bandwidths[1]));
    assert!(most > least);
    let [dash, _, mp4] = ladders();
    let found = kids_of(&dash, &file(rates(least))).unwrap();
    let byte = |name: &str| found.iter().find(|(shape, _)| shape == name).unwrap().1;
    let large = if bandwidths[0] == most { ["640", "320"] } else { ["320", "640"] };
    let by_width = manifest.find("width=\"640\"") < manifest.find("width=\"320\"");
    let large = if by_width { large } else { [large[1], large[0]] };
    assert_eq!((byte(large[0]), byte(large[1])), (2, 1), "{found:?}");
    // Of an MP4 file all samples count.
    let found = kids_of(&mp4, &file(rates(1))).unwrap();
    assert!(found.iter().all(|(shape, byte)| *byte == if shape == "sound" { 4 } else { 2 }), "{found:?}");
    drop(folder);
}

#[test]
fn labels_of_a_manifest_tell_tracks_apart() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::files::changed_copy("dash", folder.path(), &|_| {});
    let path = folder.path().join("manifest.mpd");
    let manifest = fs::read_to_string(&path).unwrap();
    let mut names = ["main", "extra", "sound"].into_iter();
    let mut labeled = String::new();
    for line in manifest.lines() {
        labeled.push_str(line);
        labeled.push('\n');
        if line.contains("<Representation ") && !line.contains("/>") {
            labeled.push_str(&format!("<Label>{}</Label>\n", names.next().unwrap()));
        }
    }
    fs::write(&path, labeled).unwrap();
    let label = |byte, label: &str| ContentKeyUsageRule {
        label_filters: vec![label.into()],
        ..ContentKeyUsageRule::new(kid(byte))
    };
    let document = document(vec![label(1, "extra"), label(2, "main"), label(3, "sound")]);
    let found = kids_of(&job(&path, "widevine", "cenc"), &file(document.clone())).unwrap();
    assert_eq!(found.iter().map(|(_, byte)| *byte).collect::<Vec<_>>().len(), 3);
    assert_eq!(found.last().unwrap(), &("sound".to_owned(), 3), "{found:?}");
    let [plain, ..] = ladders();
    let text = kids_of(&plain, &file(document)).unwrap_err().to_string();
    assert!(text.contains("has other labels: extra"), "{text}");
}

#[test]
fn lines_of_a_key_file_serve_several_tracks_and_classes() {
    let [dash, ..] = ladders();
    let line = |label: &str, byte: u8| format!("{label}={}:{}\n", kid(byte).hex(), kid(byte ^ 0x55).hex());
    let keys = |text: String| KeyFile::parse(&text).unwrap();
    let shared = keys(line("v1,V2", 1) + &line("a1", 2));
    assert_eq!(kids_of(&dash, &shared).unwrap(), expected(&[("640", 1), ("320", 1), ("sound", 2)]));
    let classes = keys(line("SD", 1) + &line("HD", 3) + &line("AUDIO", 2));
    assert_eq!(kids_of(&dash, &classes).unwrap(), expected(&[("640", 1), ("320", 1), ("sound", 2)]));
    let lacking = keys(line("v1", 1) + &line("a1", 2));
    assert!(kids_of(&dash, &lacking).unwrap_err().to_string().contains("track v2: none of"));
    for (lines, words) in [
        (line("SD", 1) + &line("AUDIO", 2) + &line("v9", 3), ["v9 of key 03030303", "(line-3)"]),
        (line("SD", 1) + &line("AUDIO", 2) + &line("zz", 3), ["zz of key 03030303", "tracks are a1, v1, v2"]),
        (line("v1,v2", 1) + &line("a1", 2) + &line("v2", 3), ["v2 of key 01010101", "(line-3)"]),
    ] {
        let text = kids_of(&dash, &keys(lines)).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    let named = keys(line("v2", 4) + &line("SD", 1) + &line("AUDIO", 2));
    assert_eq!(kids_of(&dash, &named).unwrap(), expected(&[("640", 1), ("320", 4), ("sound", 2)]));
    let rotating = Job { rotate_every: Some(2), ..dash };
    let all = (0..3).map(|period| line(&format!("ALL@{period}"), period + 10)).rev().collect::<String>();
    assert_eq!(kids_of(&rotating, &keys(all)).unwrap(), expected(&[("640", 10), ("320", 10), ("sound", 10)]));
}

#[test]
fn dynamic_range_and_gamut_are_those_of_the_manifest_or_of_the_media() {
    let ranged = |byte: u8, hdr, wcg| ContentKeyUsageRule {
        video_filters: vec![VideoFilter { hdr, wcg, ..VideoFilter::default() }],
        ..rule(byte, "VIDEO")
    };
    let ranges = document(vec![ranged(1, Some(false), None), ranged(2, Some(true), None), sound(4)]);
    for job in ladders() {
        let found = kids_of(&job, &file(ranges.clone())).unwrap();
        assert!(found.iter().all(|(shape, byte)| *byte == if shape == "sound" { 4 } else { 1 }), "{found:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let property = |name: &str, value: u8| {
        let scheme = format!("urn:mpeg:mpegB:cicp:{name}");
        format!("<SupplementalProperty schemeIdUri=\"{scheme}\" value=\"{value}\"/><Representation id=\"0\"")
    };
    let transfer = property("TransferCharacteristics", 16);
    let pq = ",RESOLUTION=640x360,VIDEO-RANGE=PQ";
    for (kind, name, (from, to)) in [
        ("dash", "manifest.mpd", ("<Representation id=\"0\"", transfer.as_str())),
        ("hls", "master.m3u8", (",RESOLUTION=640x360", pq)),
    ] {
        let input = crate::support::files::changed_copy(kind, &folder.path().join(kind), &|bytes| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                *bytes = text.replace(from, to).into_bytes();
            }
        });
        let found = kids_of(&job(&input.join(name), "widevine", "cenc"), &file(ranges.clone())).unwrap();
        assert!(found.iter().any(|(_, byte)| *byte == 2), "{kind} {found:?}");
    }
    let wide = property("ColourPrimaries", 9);
    let input = crate::support::files::changed_copy("dash", &folder.path().join("wide"), &|bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            *bytes = text.replace("<Representation id=\"0\"", &wide).into_bytes();
        }
    });
    let gamuts = document(vec![ranged(1, None, Some(false)), ranged(2, None, Some(true)), sound(4)]);
    let found = kids_of(&job(&input.join("manifest.mpd"), "widevine", "cenc"), &file(gamuts)).unwrap();
    assert!(found.iter().any(|(_, byte)| *byte == 2), "{found:?}");
}

#[test]
fn rules_and_periods_for_nobody_are_warned_of_and_strictly_refused() {
    let [dash, ..] = ladders();
    let out = tempfile::tempdir().unwrap();
    let mut idle = tiers();
    let periods = [("a", "PT0S"), ("b", "PT1H")].map(|(id, start)| ContentKeyPeriod {
        id: Some(id.into()),
        start_offset: Some(start.into()),
        ..ContentKeyPeriod::default()
    });
    let mut timed = document(vec![rule(1, "ALL"), rule(2, "ALL")]);
    for (rule, period) in timed.usage_rules.iter_mut().zip(&periods) {
        rule.key_period_filters.extend(period.id.clone());
    }
    timed.periods = periods.into();
    idle.usage_rules.retain(|rule| rule.kid != kid(3));
    idle.usage_rules.push(pixels(3, "TOP", Some(9_000_000), None));
    for (name, document, words) in
        [("rule", idle, "TOP of key 03030303"), ("period", timed, "no segment is in key period \"b\"")]
    {
        let report = pack_with(&dash, &out.path().join(name), &file(document.clone())).unwrap();
        assert!(report.warnings.iter().any(|warning| warning.contains(words)), "{:?}", report.warnings);
        let strict = CpixFile::new(document, Strictness::Cpix);
        let text = kids_of(&dash, &strict).unwrap_err().to_string();
        assert!(text.contains(words) || name == "period", "{text}");
        if name == "period" {
            let text =
                kids_of(&Job { rotate_every: Some(7), ..dash.clone() }, &strict).unwrap_err().to_string();
            assert!(text.contains("--rotate-every 7") && text.contains("the first is \"a\""), "{text}");
        }
    }
}

#[test]
fn what_keys_writes_is_what_pack_takes() {
    for job in ladders() {
        let one_each = Job { preset: Preset::Preset1, ..job.clone() };
        let http = HttpClient::new().unwrap();
        let dev = DevKeys::new(SEED);
        let (mut fetched, warnings) = fetch_keys(&one_each, &open_input, &dev, &http).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let direct = kids_of(&one_each, &dev).unwrap();
        assert_eq!(kids_of(&job, &file(fetched.clone())).unwrap(), direct);
        // Two of one size are told apart as well.
        for rule in &mut fetched.usage_rules {
            rule.video_filters.iter_mut().for_each(|filter| *filter = VideoFilter::default());
        }
        assert_eq!(kids_of(&job, &file(fetched)).unwrap(), direct);
    }
}

#[test]
fn a_plan_shows_the_keys_of_the_document() {
    let [dash, ..] = ladders();
    let planned = plan(&dash, &open_input, SpekeVersion::V2_0, Some(&file(tiers()))).unwrap();
    let kids: Vec<_> =
        planned.tracks.iter().map(|track| Kid::parse(&track.kid).unwrap().bytes()[0]).collect();
    let found = kids_of(&dash, &file(tiers())).unwrap();
    assert_eq!(kids.len(), found.len());
    assert!(found.iter().all(|(_, byte)| kids.contains(byte)));
    assert!(planned.request.is_empty() && planned.keys.len() == 3);
    let silent = document(vec![pixels(1, "VIDEO", None, None)]);
    assert!(plan(&dash, &open_input, SpekeVersion::V2_0, Some(&file(silent))).is_err());
}

/// What pack refuses, plan refuses: a key file needs no server to answer.
#[test]
fn a_plan_shows_the_keys_of_a_file_without_labels_and_what_is_wrong_with_them() {
    let [dash, hls, _] = ladders();
    let lines = |bytes: &[u8]| {
        let line = |byte: &u8| format!("{}:{}\n", kid(*byte).hex(), kid(byte ^ 0x55).hex());
        KeyFile::parse(&bytes.iter().map(line).collect::<String>()).unwrap()
    };
    let each = Job { preset: Preset::Preset1, ..dash };
    let planned = plan(&each, &open_input, SpekeVersion::V2_0, Some(&lines(&[1, 2, 3]))).unwrap();
    let kids: Vec<_> = planned.tracks.iter().map(|track| track.kid.clone()).collect();
    assert_eq!(kids, [1, 2, 3].map(|byte| kid(byte).to_string()));
    assert!(planned.request.is_empty() && planned.keys.iter().all(|key| !key.signaling.is_empty()));
    let refused = |job: &Job, keys: &KeyFile| {
        let planned = plan(job, &open_input, SpekeVersion::V2_0, Some(keys)).unwrap_err().to_string();
        assert_eq!(kids_of(job, keys).unwrap_err().to_string(), planned);
        planned
    };
    assert!(refused(&each, &lines(&[1, 2])).contains("2 keys, wanted are 3"));
    let fairplay = Job { drm: "fairplay".into(), scheme: Some("cbcs".into()), ..hls };
    assert!(refused(&fairplay, &lines(&[1])).contains("no IV for key"));
}

#[test]
fn content_id_and_scheme_of_a_document_are_taken_and_not_contradicted() {
    let [dash, ..] = ladders();
    let mut document = document(vec![pixels(1, "VIDEO", None, None), sound(4)]);
    document.content_id = Some("film-0815".into());
    for key in &mut document.content_keys {
        key.common_encryption_scheme = Some(drm_pack::base::FourCc(*b"cbcs"));
    }
    let out = tempfile::tempdir().unwrap();
    let free = Job { scheme: None, ..dash.clone() };
    let report = pack_with(&free, out.path(), &file(document.clone())).unwrap();
    assert!(report.tracks.iter().all(|track| track.scheme == "cbcs"));
    let other_scheme = kids_of(&dash, &file(document.clone())).unwrap_err().to_string();
    assert!(other_scheme.contains("--scheme cenc") && other_scheme.contains("cbcs"), "{other_scheme}");
    let titled = Job { resource_id: Some("other".into()), ..free };
    let other_title = kids_of(&titled, &file(document)).unwrap_err().to_string();
    assert!(other_title.contains("other") && other_title.contains("film-0815"), "{other_title}");
}

/// A document with one key for all in each of these periods.
fn periods(periods: Vec<ContentKeyPeriod>) -> Document {
    let rules = (1..).zip(&periods).map(|(byte, period)| {
        let mut all = pixels(byte, "ALL", None, None);
        all.audio_filters = vec![AudioFilter::default()];
        all.key_period_filters = vec![period.id.clone().unwrap()];
        all
    });
    let document = document(rules.collect());
    Document { periods, ..document }
}

fn at(milliseconds: u64) -> String {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    format!("2026-03-01T10:{:02}:{:02}.{milliseconds:03}Z", seconds / 60, seconds % 60)
}

fn timed(id: &str, start: u64, end: u64) -> ContentKeyPeriod {
    ContentKeyPeriod {
        id: Some(id.into()),
        start: Some(at(start)),
        end: Some(at(end)),
        ..ContentKeyPeriod::default()
    }
}

fn indexed(id: &str, index: i64) -> ContentKeyPeriod {
    ContentKeyPeriod { id: Some(id.into()), index: Some(index), ..ContentKeyPeriod::default() }
}

/// Begin in milliseconds and first byte of the key id of each segment of a track, by its boxes.
fn segment_keys(init: &Path, segments: &[PathBuf], timescale: u64) -> Vec<(u64, u8)> {
    let init = parse_file(&fs::read(init).unwrap()).unwrap();
    let moov = init.iter().find(|node| node.is(b"moov")).unwrap().to_bytes();
    let tenc = moov.windows(4).position(|window| window == b"tenc").unwrap();
    let size = u32::from_be_bytes(moov[tenc - 4..tenc].try_into().unwrap()) as usize;
    let default = Tenc::parse(&moov[tenc + 4..tenc - 4 + size]).unwrap().default_kid;
    let read = |path: &PathBuf| {
        let boxes = parse_file(&fs::read(path).unwrap()).unwrap();
        let traf = boxes.iter().find_map(|node| node.find(&[b"traf"]).filter(|_| node.is(b"moof"))).unwrap();
        let time = Tfdt::parse(traf.find(&[b"tfdt"]).unwrap().payload()).unwrap().base_media_decode_time;
        (time * 1000 / timescale, group_kid(traf).unwrap_or(default).bytes()[0])
    };
    segments.iter().map(read).collect()
}

fn group_kid(traf: &BoxNode) -> Option<Kid> {
    let sgpd = traf.all(b"sgpd").next()?;
    let sgpd = Sgpd::parse(sgpd.payload()).unwrap()?;
    sgpd.entries.first().map(|entry| entry.kid)
}

fn numbered(folder: &Path) -> Vec<PathBuf> {
    (1..).map(|number| folder.join(format!("{number}.m4s"))).take_while(|path| path.exists()).collect()
}

/// What the boundaries of periods say of a segment: sound is up to a tenth of a second early.
fn holds(found: &[(u64, u8)], spans: &[(u64, u64, u8)]) {
    for (begin, byte) in found {
        let of = |begin: u64| spans.iter().find(|(start, end, _)| (*start..*end).contains(&begin)).unwrap().2;
        assert!(
            *byte == of(*begin) || *byte == of(begin + 100),
            "{begin} ms has {byte}: {found:?} {spans:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_segment_has_the_key_of_the_period_in_which_it_begins(
        lengths in prop::collection::vec(300..4000_u64, 1..8),
        order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        duration in prop_oneof![Just(1.0), Just(2.0), Just(3.0)],
    ) {
        let mut start = 0;
        let mut all = Vec::new();
        for (number, length) in lengths.iter().chain([&20_000]).enumerate() {
            all.push((timed(&format!("p{number}"), start, start + length), (start, start + length)));
            start += length;
        }
        let order: Vec<usize> = order.into_iter().filter(|number| *number < all.len()).collect();
        let shuffled: Vec<_> = order.iter().map(|number| all[*number].clone()).collect();
        let spans: Vec<_> = (1..).zip(&shuffled).map(|(byte, (_, (start, end)))| (*start, *end, byte)).collect();
        let document = periods(shuffled.into_iter().map(|(period, _)| period).collect());
        let out = tempfile::tempdir().unwrap();
        let job = Job {
            segment_duration: duration,
            ..job(&clip("mp4/av.mp4"), "widevine", "cenc")
        };
        pack_with(&job, out.path(), &file(document)).unwrap();
        for (track, timescale) in [("v1", 12_800), ("a1", 48_000)] {
            let folder = out.path().join(track);
            let found = segment_keys(&folder.join("init.mp4"), &numbered(&folder), timescale);
            prop_assert!(!found.is_empty());
            holds(&found, &spans);
        }
    }
}

#[test]
fn periods_of_a_package_go_by_their_times_too() {
    let document =
        || periods([3, 2, 1, 0].map(|n| timed(&format!("p{n}"), 2000 * n, 2000 * n + 2000)).to_vec());
    let spans = [(0, 2000, 4), (2000, 4000, 3), (4000, 6000, 2), (6000, 9000, 1)];
    for (input, init, first) in
        [("hls/v2/media.m3u8", "init_1.mp4", 0), ("dash/manifest.mpd", "0/init.mp4", 1)]
    {
        let out = tempfile::tempdir().unwrap();
        pack_with(&job(&clip(input), "widevine", "cenc"), out.path(), &file(document())).unwrap();
        let init = out.path().join(init);
        let name = |number: i32| init.with_file_name(format!("{number}.m4s"));
        let segments: Vec<_> = (first..first + 4).map(name).collect();
        let found = segment_keys(&init, &segments, 12_800);
        assert_eq!(found.len(), 4);
        holds(&found, &spans);
    }
    // Segments that are encrypted whole have no times but those of the playlist.
    let whole =
        |input: &Path| Job { key_uri: Some("{kid}".into()), scheme: None, ..job(input, "simpleaes", "") };
    let out = tempfile::tempdir().unwrap();
    pack_with(&whole(&clip("hls/v2/media.m3u8")), out.path(), &file(document())).unwrap();
    let playlist = fs::read_to_string(out.path().join("media.m3u8")).unwrap();
    let keys: Vec<_> = playlist.split("AES-128,URI=\"0").skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!(keys, ["4", "3", "2", "1"], "{playlist}");
    // The time of day of the playlist is that of the periods, and what none covers is no one's.
    let folder = tempfile::tempdir().unwrap();
    crate::support::files::changed_copy("hls", folder.path(), &|_| {});
    let path = folder.path().join("v2/media.m3u8");
    let text = fs::read_to_string(&path).unwrap();
    let dated =
        |time: &str| text.replacen("#EXTINF", &format!("#EXT-X-PROGRAM-DATE-TIME:{time}\n#EXTINF"), 1);
    fs::write(&path, dated("2026-03-01T10:00:02Z")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error = pack_with(&job(&path, "widevine", "cenc"), out.path(), &file(document())).unwrap_err();
    assert!(error.to_string().contains("when no key period is"), "{error}");
    let error = pack_with(&whole(&path), out.path(), &file(document())).unwrap_err();
    assert!(error.to_string().contains("when no key period is"), "{error}");
    fs::write(&path, dated("2026-03-02T10:00:00Z")).unwrap();
    let error = pack_with(&job(&path, "widevine", "cenc"), out.path(), &file(document())).unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");
}

#[test]
fn counted_periods_go_by_index_and_mixed_or_overlapping_ones_are_named() {
    let clip = job(&clip("mp4/av.mp4"), "widevine", "cenc");
    let rotating = Job { rotate_every: Some(2), segment_duration: 2.0, ..clip.clone() };
    let document = periods(vec![indexed("third", 9), indexed("first", 7), indexed("second", 8)]);
    let out = tempfile::tempdir().unwrap();
    let report = pack_with(&rotating, out.path(), &file(document.clone())).unwrap();
    let kids: Vec<_> = report.tracks[0].kids.iter().map(|kid| Kid::parse(kid).unwrap().bytes()[0]).collect();
    assert_eq!(kids[..2], [2, 3]);
    let refused = |job: &Job, document: Document| {
        let out = tempfile::tempdir().unwrap();
        let error = pack_with(job, out.path(), &file(document)).unwrap_err();
        assert_eq!(error.kind(), Kind::Keys, "{error}");
        assert!(fs::read_dir(out.path()).unwrap().next().is_none());
        error.to_string()
    };
    let often = Job { rotate_every: Some(1), segment_duration: 1.0, ..clip.clone() };
    assert!(refused(&often, document.clone()).contains("the document has 3 periods"));
    assert!(refused(&clip, document).contains("--rotate-every"));
    let mixed = periods(vec![timed("hour", 0, 9000), indexed("counted", 1)]);
    let text = refused(&clip, mixed);
    assert!(text.contains("hour") && text.contains("counted"), "{text}");
    let text = refused(&clip, periods(vec![timed("long", 0, 9000), timed("inside", 100, 200)]));
    assert!(text.contains("long") && text.contains("inside") && text.contains("overlap"), "{text}");
    let text = refused(&clip, periods(vec![timed("short", 0, 900)]));
    assert!(text.contains("no key period is for the segment"), "{text}");
}

#[test]
fn what_the_operator_says_of_a_track_counts() {
    let [dash, ..] = ladders();
    let label = |byte, label: &str| ContentKeyUsageRule {
        label_filters: vec![label.into()],
        ..ContentKeyUsageRule::new(kid(byte))
    };
    let labels = document(vec![label(1, "main"), label(2, "extra"), sound(4)]);
    let told = |facts: &[&str]| Job {
        tracks: facts.iter().map(|text| TrackFacts::parse(text).unwrap()).collect(),
        ..dash.clone()
    };
    let found = kids_of(&told(&["v1:label=main", "v2:label=extra"]), &file(labels.clone())).unwrap();
    let mut bytes: Vec<_> = found.iter().map(|(_, byte)| *byte).collect();
    bytes.sort_unstable();
    assert_eq!(bytes, [1, 2, 4]);
    let other = kids_of(&told(&["v2:label=main", "v1:label=extra"]), &file(labels.clone())).unwrap();
    assert_ne!(found, other);
    let unknown = kids_of(&told(&["v7:label=main"]), &file(labels)).unwrap_err().to_string();
    assert!(unknown.contains("\"v7\"") && unknown.contains("v1, v2, a1"), "{unknown}");
}
