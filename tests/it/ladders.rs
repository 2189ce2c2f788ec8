//! Ladders of MP4 files: what is said of tracks stands in both manifests.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use drm_pack::io::FileStore;
use drm_pack::job::{Job, Layout, NameTemplates, TrackFacts};
use drm_pack::presentation::Presentation;
use tempfile::TempDir;

use crate::support::media::root;
use crate::support::pack::{pack, pack_without_keys};

/// A fixture; `other.m4a` is `audio.m4a` but for its last byte, as a file that is given twice is refused.
fn fixture(name: &str) -> String {
    static OTHER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());
    let folder = root().join("fixtures/clip/mp4");
    if name != "other.m4a" {
        return folder.join(name).to_str().unwrap().to_owned();
    }
    let mut bytes = fs::read(folder.join("audio.m4a")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let path = OTHER.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A job on fixtures, with these words of `--track`.
fn job(inputs: &[&str], tracks: &[&str]) -> Job {
    Job {
        inputs: inputs.iter().map(|name| fixture(name)).collect(),
        drm: "widevine".into(),
        segment_duration: 2.0,
        tracks: tracks.iter().map(|text| TrackFacts::parse(text).unwrap()).collect(),
        ..Job::default()
    }
}

/// The manifests of a job: HLS, DASH.
fn manifests(job: &Job) -> (String, String) {
    let out = TempDir::new().unwrap();
    pack(job, out.path()).unwrap();
    let text = |name| fs::read_to_string(out.path().join(name)).unwrap();
    (text("master.m3u8"), text("manifest.mpd"))
}

fn lines<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().map(str::trim).filter(|line| line.contains(word)).collect()
}

#[test]
fn both_manifests_say_what_the_operator_says() {
    let inputs = ["video_360.mp4", "audio.m4a", "other.m4a"];
    let (hls, dash) = manifests(&job(
        &inputs,
        &[
            r"a1:lang=eng,label=English\, loud,role=description",
            "a2:lang=fra,label=Français,default,group=speech,bandwidth=77777",
        ],
    ));
    let media = lines(&hls, "#EXT-X-MEDIA");
    assert!(media[0].contains(r#"NAME="English, loud",LANGUAGE="en""#), "{}", media[0]);
    assert!(media[0].contains(r#"CHARACTERISTICS="public.accessibility.describes-video""#), "{}", media[0]);
    assert!(
        media[1].contains(r#"GROUP-ID="speech",NAME="Français",LANGUAGE="fr",DEFAULT=YES"#),
        "{}",
        media[1]
    );
    for line in [
        r#"lang="en""#,
        r#"lang="fr""#,
        "<Label>English, loud</Label>",
        "<Label>Français</Label>",
        r#"<Role schemeIdUri="urn:mpeg:dash:role:2011" value="description"/>"#,
        r#"<Accessibility schemeIdUri="urn:tva:metadata:cs:AudioPurposeCS:2007" value="1"/>"#,
        r#"bandwidth="77777""#,
    ] {
        assert_eq!(lines(&dash, line).len(), 1, "{line}: {dash}");
    }
    let main = dash.find(r#"value="main""#).unwrap();
    assert!(
        dash.matches(r#"value="main""#).count() == 1 && main > dash.find(r#"lang="fr""#).unwrap(),
        "{dash}"
    );
}

#[test]
fn without_a_word_the_first_audio_is_the_default() {
    let (hls, dash) = manifests(&job(&["video_360.mp4", "audio.m4a"], &[]));
    assert!(lines(&hls, "#EXT-X-MEDIA")[0].contains("DEFAULT=YES"), "{hls}");
    assert_eq!(lines(&dash, r#"value="main""#).len(), 1, "{dash}");
}

#[test]
fn a_track_is_left_clear_when_that_is_asked_for() {
    let out = TempDir::new().unwrap();
    let report = pack(&job(&["video_360.mp4", "audio.m4a"], &["a1:clear"]), out.path()).unwrap();
    assert!(
        report.warnings.iter().any(|warning| warning.contains("a1 stays clear")),
        "{:?}",
        report.warnings
    );
    assert_eq!(report.tracks.iter().map(|track| track.id.as_str()).collect::<Vec<_>>(), ["v1"]);
    assert!(!fs::read_to_string(out.path().join("a1.m3u8")).unwrap().contains("EXT-X-KEY"));
    assert!(fs::read_to_string(out.path().join("v1.m3u8")).unwrap().contains("EXT-X-KEY"));
}

#[test]
fn what_cannot_be_said_is_refused_before_keys_are_asked_for() {
    let inputs = ["video_360.mp4", "audio.m4a", "other.m4a"];
    for (tracks, says) in [
        (vec!["a3:lang=en"], "there are v1, a1, a2"),
        (vec!["v1:default"], "nothing to choose"),
        (vec!["a1:forced"], "for text"),
        (vec!["a1:lang=en,default", "a2:lang=de,default"], "default"),
        (vec!["a1:label=a\"b"], "quotation mark"),
        (vec!["a1:lang=en", "a1:lang=de"], "twice"),
    ] {
        let error = pack_without_keys(&job(&inputs, &tracks), Path::new("nowhere")).unwrap_err().to_string();
        assert!(error.contains(says), "{tracks:?}: {error}");
    }
    let package = root().join("fixtures/clip/hls/master.m3u8");
    let job = Job { inputs: vec![package.to_str().unwrap().into()], ..job(&[], &["a1:lang=en"]) };
    let error = pack_without_keys(&job, Path::new("nowhere")).unwrap_err().to_string();
    assert!(error.contains("a package keeps its manifests"), "{error}");
}

fn drm_pack(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    command.args(arguments).env_remove("DRM_PACK_KEY_SERVER_URL").output().unwrap()
}

#[test]
fn a_name_of_every_title_is_no_content_id_for_a_key_server() {
    let input = root().join("fixtures/clip/dash/manifest.mpd");
    for verb in ["pack", "keys"] {
        let out = TempDir::new().unwrap().path().join("out");
        let (input, out) = (input.to_str().unwrap(), out.to_str().unwrap());
        let url = "http://127.0.0.1:9/k";
        let call = [verb, input, "--drm", "widevine", "--key-server-url", url, "--out", out];
        let output = drm_pack(&call);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--resource-id movie-42"), "{said}");
        // With a name it goes on, and finds nobody there.
        let output = drm_pack(&[&call[..], &["--resource-id", "film"]].concat());
        assert_ne!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Files of text in a folder, as people have them.
fn texts(folder: &Path) -> Vec<String> {
    let vtt = "WEBVTT\n\n00:00.000 --> 00:00.900\nHello\n\n00:02.000 --> 00:02.900\nagain\n\n";
    let srt = "1\n00:00:01,000 --> 00:00:01,900\nSalut\n\n2\n00:00:03,000 --> 00:00:03,900\nencore\n\n";
    let ttml = r#"<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="de"><body><div><p begin="0s" end="5s">Guten Abend</p></div></body></tt>"#;
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    vec![write("film.en.vtt", vtt), write("fr.srt", srt), write("text.ttml", ttml)]
}

#[test]
fn text_files_become_playlists_and_sidecars_and_stay_clear() {
    let (folder, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut job = job(&["video_360.mp4", "audio.m4a"], &["t2:forced"]);
    job.inputs.extend(texts(folder.path()));
    let report = pack(&job, out.path()).unwrap();
    let read = |name: &str| fs::read_to_string(out.path().join(name)).unwrap();
    let (hls, dash) = (read("master.m3u8"), read("manifest.mpd"));
    let media = lines(&hls, "TYPE=SUBTITLES");
    assert_eq!(media.len(), 3, "{hls}");
    for (line, says) in media.iter().zip([r#"LANGUAGE="en""#, r#"LANGUAGE="fr""#, r#"LANGUAGE="de""#]) {
        assert!(line.contains(says), "{line}");
    }
    assert!(media[1].contains("FORCED=YES"), "{}", media[1]);
    assert!(
        lines(&hls, "#EXT-X-STREAM-INF").iter().all(|line| line.contains(r#"SUBTITLES="subtitles""#)),
        "{hls}"
    );
    // Cut like the video, and each cue is where it is shown.
    let segments = |name: &str| {
        read(name).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(segments("t1.m3u8").len(), segments("v1.m3u8").len());
    assert!(!read("t1.m3u8").contains("EXT-X-KEY"));
    let first = segments("t3.m3u8").iter().map(|name| read(name)).collect::<Vec<_>>();
    assert!(
        first
            .iter()
            .take(2)
            .all(|text| text.starts_with("WEBVTT\nX-TIMESTAMP-MAP=") && text.contains("Guten Abend")),
        "{first:?}"
    );
    for line in [
        r#"mimeType="application/ttml+xml""#,
        r#"<BaseURL>t1.vtt</BaseURL>"#,
        r#"<BaseURL>t2.vtt</BaseURL>"#,
        r#"<BaseURL>t3.ttml</BaseURL>"#,
        r#"value="forced-subtitle""#,
    ] {
        assert_eq!(lines(&dash, line).len(), 1, "{line}: {dash}");
    }
    assert_eq!(fs::read(out.path().join("t1.vtt")).unwrap(), fs::read(&job.inputs[2]).unwrap());
    assert!(report.outputs.iter().any(|output| output.path == "t2/1.vtt"));
    assert!(!dash.contains(r#" d="0""#));
}

#[test]
fn a_file_of_text_that_cannot_be_read_is_named_before_keys_are_asked_for() {
    let folder = TempDir::new().unwrap();
    for (name, text, says) in [
        ("a.vtt", "no header", "a.vtt: the first line is not WEBVTT"),
        ("a.srt", "1\n00:00:01,000 --> soon\nx\n", "line 2"),
        ("a.ttml", "<html/>", "expected tt of TTML"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let mut job = job(&["video_360.mp4"], &[]);
        job.inputs.push(path.to_str().unwrap().to_owned());
        let error = pack_without_keys(&job, Path::new("nowhere")).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// A job whose files have these names: of manifests, streams, segments.
fn named(templates: [Option<&str>; 3]) -> Job {
    let [manifest, stream, segment] = templates.map(|template| template.map(str::to_owned));
    let names = NameTemplates { manifest, stream, segment, definition: None };
    Job { names, ..job(&["video_360.mp4", "video_180.mp4", "audio.m4a"], &[]) }
}

#[test]
fn names_follow_templates_and_manifests_name_what_is_there() {
    let segment = "seg $1/{definition}_{subStreamNumber}/{track}#{number}.m4s";
    let templates =
        [Some("films/{inputName}-{format}"), Some("hls/{inputFormat} {kid}_{track}.m3u8"), Some(segment)];
    for layout in [Layout::Segments, Layout::SingleFile] {
        let (folder, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut job = Job { layout: Some(layout), ..named(templates) };
        job.inputs.extend(texts(folder.path()));
        let report = pack(&job, out.path()).unwrap();
        let kid = report.tracks[0].kid.replace('-', "");
        for name in [
            "films/video_360-hls.m3u8".to_owned(),
            "films/video_360-dash.mpd".into(),
            format!("hls/mp4 {kid}_v1.m3u8"),
        ] {
            assert!(out.path().join(&name).is_file(), "{name}: {:?}", report.manifests);
        }
        let media = if layout == Layout::Segments {
            "seg $1/360p_0/v1#0.m4s".to_owned()
        } else {
            format!("hls/m4a {kid}_a1.mp4")
        };
        assert!(out.path().join(&media).is_file(), "{media}");
        // Both manifests are read, and everything that they name is there.
        for name in ["films/video_360-hls.m3u8", "films/video_360-dash.mpd"] {
            let store = FileStore::new(out.path());
            let presentation = Presentation::read(&store, &[name.to_owned()]).unwrap();
            let playlists = presentation.playlists.iter().flat_map(|playlist| &playlist.resources);
            let tracks =
                presentation.mpds.iter().flat_map(|mpd| &mpd.tracks).flat_map(|track| &track.resources);
            let files: Vec<_> = playlists.chain(tracks).map(|resource| resource.file.clone()).collect();
            assert!(files.len() > 3 && files.iter().all(|file| out.path().join(file).is_file()), "{files:?}");
        }
    }
}

#[test]
fn names_that_clash_or_leave_the_folder_are_found_before_anything_is_written() {
    for (templates, says) in [
        (
            [None, None, Some("{track}.m4s")],
            "--name-segment {track}.m4s: all segments of a track would have one name",
        ),
        ([None, None, Some("{segmentNumber}")], "--name-segment {segmentNumber}"),
        ([None, Some("all"), None], "all.m3u8 would be the name of the playlist of v1"),
        ([Some("../x"), None, None], "below the output folder"),
        ([Some("/x"), None, None], "below the output folder"),
        ([None, Some("{track}/../../x"), None], "below the output folder"),
        ([None, Some("{color}"), None], "{color} is no variable"),
        ([None, Some("{number}"), None], "{number} is the number of a segment, for --name-segment"),
        ([Some("{track}"), None, None], "{track} is of one track"),
        ([None, None, Some("{track}/{number}/{segmentNumber}")], "two numbers"),
        ([None, None, Some("{track}/{number}/{track")], "{ without }"),
    ] {
        let out = TempDir::new().unwrap();
        let error = pack(&named(templates), out.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{templates:?}: {error}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "{templates:?}");
    }
    // With one file a track nothing but text has segments.
    let job = Job { layout: Some(Layout::SingleFile), ..named([None, None, Some("{track}-{number}")]) };
    let error = pack_without_keys(&job, Path::new("nowhere")).unwrap_err().to_string();
    assert!(error.contains("--name-segment has no effect with --layout single-file"), "{error}");
    let folder = TempDir::new().unwrap();
    let job = Job { inputs: [job.inputs.clone(), texts(folder.path())].concat(), ..job };
    pack(&job, TempDir::new().unwrap().path()).unwrap();
    let package = root().join("fixtures/clip/hls/master.m3u8");
    let job = Job { inputs: vec![package.to_str().unwrap().into()], ..named([Some("film"), None, None]) };
    assert!(
        pack_without_keys(&job, Path::new("nowhere")).unwrap_err().to_string().contains("for MP4 inputs")
    );
}
