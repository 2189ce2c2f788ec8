//! Targets that pack: what comes out is verified against its source, decrypted, and holds no clear payload.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::samples;
use drm_pack::isobmff::track::tracks;
use drm_pack::job::{Format, Job, Layout};
use drm_pack::package::Preset;

use super::addresses::keep_their_files;
use super::oracle::{clear_runs, comes_back, mdats, no_clear_mp4, no_clear_ts, top_level};
use super::seeds::fixture;
use super::world::{Folder, pack, prove, unpack};
use super::{Outcome, refused};

const SCHEMES: [&str; 4] = ["cenc", "cbcs", "cens", "cbc1"];
/// A playlist of one segment, or two.
const PLAYLIST: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n";

/// Whether a word stands anywhere.
fn has(bytes: &[u8], word: &[u8; 4]) -> bool {
    bytes.windows(4).any(|found| found == word)
}

fn is_set(options: u8, bit: u8) -> bool {
    options >> bit & 1 == 1
}

fn scheme(options: u8) -> &'static str {
    SCHEMES[usize::from(options & 3)]
}

fn playlist_of(map: Option<&str>, segments: &[&str]) -> Vec<u8> {
    let map = map.map_or_else(String::new, |map| format!("#EXT-X-MAP:URI=\"{map}\"\n"));
    let segments: String = segments.iter().map(|name| format!("#EXTINF:2.0,\n{name}\n")).collect();
    format!("{PLAYLIST}{map}{segments}#EXT-X-ENDLIST\n").into_bytes()
}

fn mpd_of(is_audio: bool, segments: usize) -> Vec<u8> {
    let kind = if is_audio { "audio" } else { "video" };
    format!(
        r#"<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static" minBufferTime="PT2S" mediaPresentationDuration="PT{0}S"><Period><AdaptationSet contentType="{kind}" mimeType="{kind}/mp4"><Representation id="0" bandwidth="1000"><SegmentTemplate duration="2" initialization="init.mp4" media="$Number$.m4s" startNumber="1"/></Representation></AdaptationSet></Period></MPD>"#,
        segments * 2
    )
    .into_bytes()
}

/// The byte where the first box of one of these types begins.
fn first_of(file: &[u8], kinds: &[&[u8; 4]], from: usize) -> Option<usize> {
    let mut at = from;
    for (kind, payload) in top_level(file.get(from..)?) {
        if kinds.contains(&&kind) {
            return Some(at);
        }
        at = payload.as_ptr() as usize - file.as_ptr() as usize + payload.len();
    }
    None
}

/// A package of one rendition, whose init segment and segments are one fragmented file.
pub(crate) fn fragmented(data: &[u8]) -> Outcome {
    let Some((&options, file)) = data.split_first() else { return Outcome::Refused };
    let begins = first_of(file, &[b"moof", b"styp", b"sidx", b"emsg"], 0).unwrap_or(file.len());
    let (init, media) = file.split_at(begins);
    let second = media.get(8..).and_then(|_| {
        let behind = first_of(media, &[b"mdat"], 0)? + 8;
        first_of(media, &[b"moof"], behind.min(media.len())).or_else(|| {
            let (_, payload) = top_level(media).into_iter().find(|(kind, _)| kind == b"mdat")?;
            let end = payload.as_ptr() as usize - media.as_ptr() as usize + payload.len();
            first_of(media, &[b"moof"], end)
        })
    });
    let segments: Vec<&[u8]> = match second {
        Some(second) if is_set(options, 3) => vec![&media[..second], &media[second..]],
        _ => vec![media],
    };
    let names: Vec<String> = (1..=segments.len()).map(|number| format!("{number}.m4s")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let manifest = if is_set(options, 2) { "index.mpd" } else { "index.m3u8" };
    let text = if is_set(options, 2) {
        mpd_of(has(init, b"soun"), segments.len())
    } else {
        playlist_of(Some("init.mp4"), &names)
    };
    let mut folder = Folder::of([(manifest, text), ("init.mp4", init.to_vec())]);
    for (name, bytes) in names.iter().zip(&segments) {
        folder.files.insert((*name).to_owned(), Arc::new(bytes.to_vec()));
    }
    let job = Job {
        inputs: vec![manifest.to_owned()],
        drm: "widevine".into(),
        scheme: Some(scheme(options).into()),
        rotate_every: is_set(options, 4).then_some(1),
        ..Job::default()
    };
    let (report, packed) = match pack(&folder, &job) {
        Ok(done) => done,
        Err(error) => return refused(&error),
    };
    no_clear_mp4(&segments.iter().flat_map(|file| mdats(file)).collect::<Vec<_>>(), &packed, scheme(options));
    let packed = Folder::new(packed);
    let decrypted = comes_back((&folder, &[manifest]), (&packed, &[manifest]), &report);
    if let Some(decrypted) = decrypted {
        for name in names {
            let (before, after) = (&folder.files[name], &decrypted[name]);
            assert!(mdats(before) == mdats(after), "{name} does not come back");
        }
    }
    Outcome::Taken
}

/// An MP4 file, progressive or fragmented.
pub(crate) fn mp4(data: &[u8]) -> Outcome {
    let Some((&options, file)) = data.split_first() else { return Outcome::Refused };
    one_file(options, file, &mdats(file))
}

/// A file of another container, as the MP4 file that it is read as.
pub(crate) fn demuxed(data: &[u8]) -> Outcome {
    let Some((&options, file)) = data.split_first() else { return Outcome::Refused };
    let source = match drm_pack::demux::opened(Box::new(file.to_vec())) {
        Ok(opened) => opened.source,
        Err(error) => return refused(&error),
    };
    let mut movie = vec![0; usize::try_from(source.len()).unwrap()];
    source.read_at(0, &mut movie).unwrap();
    if movie == file {
        return Outcome::Refused;
    }
    let moov = moov(&movie).unwrap();
    let ids: Vec<u32> = tracks(&moov).unwrap().iter().map(|track| track.track_id).collect();
    let all = ids.iter().flat_map(|id| samples(&movie, &moov, *id, &[]).unwrap());
    let bytes = all.map(|sample| {
        let sample = sample.unwrap();
        let start = usize::try_from(sample.position).unwrap();
        &movie[start..start + sample.size as usize]
    });
    let clear: Vec<&[u8]> = bytes.collect();
    one_file(options, &movie, &clear)
}

fn one_file(options: u8, file: &[u8], clear: &[&[u8]]) -> Outcome {
    let folder = Folder::of([("in.mp4", file.to_vec())]);
    let job = Job {
        inputs: vec!["in.mp4".to_owned()],
        drm: "widevine".into(),
        scheme: Some(scheme(options).into()),
        preset: if is_set(options, 2) { Preset::Preset1 } else { Preset::Preset0 },
        layout: Some(if is_set(options, 3) { Layout::SingleFile } else { Layout::Segments }),
        formats: is_set(options, 4).then(|| vec![Format::Dash]),
        segment_duration: if is_set(options, 5) { 0.2 } else { 2.0 },
        allow_full_sample: is_set(options, 6),
        ..Job::default()
    };
    let (report, packed) = match pack(&folder, &job) {
        Ok(done) => done,
        Err(error) => return refused(&error),
    };
    no_clear_mp4(clear, &packed, scheme(options));
    let manifests: Vec<_> =
        ["master.m3u8", "manifest.mpd"].into_iter().filter(|name| packed.contains_key(*name)).collect();
    comes_back((&folder, &["in.mp4"]), (&Folder::new(packed), &manifests), &report);
    Outcome::Taken
}

/// A protected package, or part of one, that is verified and decrypted.
pub(crate) fn protected(data: &[u8]) -> Outcome {
    let Some((&options, file)) = data.split_first() else { return Outcome::Refused };
    let begins = first_of(file, &[b"moof", b"styp", b"sidx"], 0).unwrap_or(file.len());
    let (init, media) = file.split_at(begins);
    let playlist = playlist_of(Some("init.mp4"), &["1.m4s"]);
    let folder = Folder::of([
        ("index.m3u8", playlist),
        ("index.mpd", mpd_of(has(init, b"soun"), 1)),
        ("init.mp4", init.to_vec()),
        ("1.m4s", media.to_vec()),
        ("whole.mp4", file.to_vec()),
    ]);
    let names: &[&str] = match options & 3 {
        0 => &["index.m3u8"],
        1 => &["index.mpd"],
        2 => &["whole.mp4"],
        _ => &["init.mp4", "1.m4s"],
    };
    let _ = prove(&folder, names, None).map_err(|error| refused(&error));
    match unpack(&folder, names) {
        Ok(_) => Outcome::Taken,
        Err(error) => refused(&error),
    }
}

/// A transport stream in SAMPLE-AES.
pub(crate) fn ts(data: &[u8]) -> Outcome {
    let Some((&options, file)) = data.split_first() else { return Outcome::Refused };
    sample_aes(options, file, "0.ts")
}

/// Packed audio in SAMPLE-AES.
pub(crate) fn packed_audio(data: &[u8]) -> Outcome {
    let Some((&options, file)) = data.split_first() else { return Outcome::Refused };
    sample_aes(options, file, "0.aac")
}

fn sample_aes(options: u8, file: &[u8], name: &str) -> Outcome {
    let playlist = playlist_of(None, &[name]);
    let folder = Folder::of([("index.m3u8", playlist), (name, file.to_vec())]);
    let job = Job {
        inputs: vec!["index.m3u8".to_owned()],
        drm: "fairplay".into(),
        preset: if is_set(options, 0) { Preset::Preset1 } else { Preset::Preset0 },
        ..Job::default()
    };
    let (report, packed) = match pack(&folder, &job) {
        Ok(done) => done,
        Err(error) => return refused(&error),
    };
    let output = &packed[name];
    if name.ends_with(".ts") {
        no_clear_ts(file, output);
    } else {
        let clear: usize = clear_runs(file, output).iter().map(|run| run.len()).sum();
        assert!(output.len() < 2048 || clear < output.len(), "clear segment: all {clear} bytes of {name}");
    }
    comes_back((&folder, &["index.m3u8"]), (&Folder::new(packed), &["index.m3u8"]), &report);
    Outcome::Taken
}

/// A segment of any container, encrypted whole.
pub(crate) fn aes128(data: &[u8]) -> Outcome {
    let Some((&options, file)) = data.split_first() else { return Outcome::Refused };
    let name = ["0.ts", "0.m4s", "0.aac", "0.vtt"][usize::from(options & 3)];
    let begins = first_of(file, &[b"moof", b"styp"], 0).filter(|_| name == "0.m4s");
    let (init, media) = file.split_at(begins.unwrap_or(0));
    let map = (!init.is_empty()).then_some("init.mp4");
    let mut folder = Folder::of([("index.m3u8", playlist_of(map, &[name])), (name, media.to_vec())]);
    if map.is_some() {
        folder.files.insert("init.mp4".into(), Arc::new(init.to_vec()));
    }
    let job = Job {
        inputs: vec!["index.m3u8".to_owned()],
        drm: "simpleaes".into(),
        key_uri: Some("{kid}".into()),
        encrypt_init: is_set(options, 2),
        ..Job::default()
    };
    let (report, packed) = match pack(&folder, &job) {
        Ok(done) => done,
        Err(error) => return refused(&error),
    };
    let output = &packed[name];
    assert!(!media.is_empty() && output.len() == media.len() / 16 * 16 + 16, "{} bytes", output.len());
    assert!(clear_runs(media, output).is_empty(), "clear segment: {name}");
    let decrypted = comes_back((&folder, &["index.m3u8"]), (&Folder::new(packed), &["index.m3u8"]), &report);
    if let Some(decrypted) = decrypted {
        assert!(decrypted[name].as_slice() == media, "{name} does not come back");
    }
    Outcome::Taken
}

/// Media that stands in for any name of a manifest.
fn standing_in(name: &str) -> Option<Arc<Vec<u8>>> {
    static CLIP: OnceLock<BTreeMap<&'static str, Arc<Vec<u8>>>> = OnceLock::new();
    let clip = CLIP.get_or_init(|| {
        let of = |name| (name, Arc::new(fixture(&format!("clip/{name}"))));
        let mut found = BTreeMap::from(
            ["dash/1/init.mp4", "dash/1/1.m4s", "dash/2/init.mp4", "dash/2/5.m4s", "hls-ts/2.ts"].map(of),
        );
        found.insert("whole.mp4", Arc::new(fixture("clip/dash-segment-base/video.mp4")));
        found.insert("text.vtt", Arc::new(b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n".to_vec()));
        let media = playlist_of(Some("init.mp4"), &["1.m4s"]);
        found.insert("media.m3u8", Arc::new(media));
        found
    });
    let audio = name.contains("audio") || name.starts_with(['2', 'a']);
    let stand_in = match name.rsplit('.').next()? {
        "m4s" | "m4v" | "m4a" | "cmfv" | "cmfa" => {
            if audio {
                "dash/2/5.m4s"
            } else {
                "dash/1/1.m4s"
            }
        }
        "mp4" if name.contains("init") => {
            if audio {
                "dash/2/init.mp4"
            } else {
                "dash/1/init.mp4"
            }
        }
        "mp4" => "whole.mp4",
        "ts" => "hls-ts/2.ts",
        "vtt" | "webvtt" => "text.vtt",
        "m3u8" => "media.m3u8",
        _ => return None,
    };
    // Not every number: a manifest may count a million segments.
    let digits = name.rsplit('/').next()?.bytes().filter(u8::is_ascii_digit).count();
    (name.len() < 200 && digits <= 2).then(|| clip[stand_in].clone())
}

fn manifest(name: &str, bytes: &[u8], job: Job) -> Outcome {
    let mut folder = Folder::of([(name, bytes.to_vec())]);
    folder.others = standing_in;
    keep_their_files(&folder, name);
    let job = Job { inputs: vec![name.to_owned()], ..job };
    let (report, packed) = match pack(&folder, &job) {
        Ok(done) => done,
        Err(error) => return refused(&error),
    };
    if job.drm == "widevine" {
        let clear: Vec<_> = ["a.m4s", "b.m4s", "whole.mp4"].into_iter().filter_map(standing_in).collect();
        let clear: Vec<&[u8]> = clear.iter().flat_map(|file| mdats(file)).collect();
        no_clear_mp4(&clear, &packed, job.scheme.as_deref().unwrap_or("cbcs"));
    }
    comes_back((&folder, &[name]), (&Folder::new(packed), &[name]), &report);
    Outcome::Taken
}

/// A playlist, media or multivariant.
pub(crate) fn playlist(data: &[u8]) -> Outcome {
    let Some((&options, text)) = data.split_first() else { return Outcome::Refused };
    let job = match options & 3 {
        0 => Job { drm: "widevine".into(), scheme: Some("cbcs".into()), ..Job::default() },
        1 => Job { drm: "widevine".into(), scheme: Some("cenc".into()), ..Job::default() },
        2 => Job { drm: "fairplay".into(), ..Job::default() },
        _ => Job { drm: "simpleaes".into(), key_uri: Some("{kid}".into()), ..Job::default() },
    };
    let preset = if is_set(options, 2) { Preset::Preset1 } else { Preset::Preset0 };
    manifest("index.m3u8", text, Job { preset, ..job })
}

/// An MPD.
pub(crate) fn mpd(data: &[u8]) -> Outcome {
    let Some((&options, text)) = data.split_first() else { return Outcome::Refused };
    let job = Job {
        drm: "widevine".into(),
        scheme: Some(scheme(options).into()),
        preset: if is_set(options, 2) { Preset::Preset1 } else { Preset::Preset0 },
        ..Job::default()
    };
    manifest("index.mpd", text, job)
}
