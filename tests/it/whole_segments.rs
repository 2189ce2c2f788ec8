//! Whole segments in AES-128: any container, any byte range, and back — RFC 8216bis §5.2.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use drm_pack::base::{KeyStore, Kid, Result, Secret};
use drm_pack::cpix::usage::Strictness;
use drm_pack::cpix::{AudioFilter, BitrateFilter, ContentKey, ContentKeyUsageRule, Document, VideoFilter};
use drm_pack::job::{DecryptJob, Job, Report, plan};
use drm_pack::keys::{CpixFile, SpekeVersion};
use drm_pack::package::Preset;
use drm_pack::protect::Aes128;

use crate::support::files::{other_lines, tree};
use crate::support::media::{root, shared};
use crate::support::pack::{decrypt_with, key, open_input, pack, pack_with, pack_without_ivs, unpack};

fn job(input: &Path) -> Job {
    Job {
        inputs: vec![input.to_str().unwrap().to_owned()],
        drm: "simpleaes".into(),
        key_uri: Some("https://keys.example/{kid}".into()),
        ..Job::default()
    }
}

/// What is asked for besides the key.
fn wishes(input: &Path) -> Vec<Job> {
    let vector = Some("000102030405060708090a0b0c0d0e0f".to_owned());
    vec![
        job(input),
        Job { vector: vector.clone(), ..job(input) },
        Job { encrypt_init: true, ..job(input) },
        Job { rotate_every: Some(2), preset: Preset::Preset1, ..job(input) },
        Job { encrypt_init: true, vector, rotate_every: Some(1), ..job(input) },
    ]
}

fn inputs() -> Vec<std::path::PathBuf> {
    let clip = root().join("fixtures/clip");
    let mut inputs: Vec<_> = ["hls-ts/index.m3u8", "hls/master.m3u8", "hls-byterange/master.m3u8"]
        .map(|name| clip.join(name))
        .to_vec();
    if let Some(media) = shared() {
        for name in [
            "hls-raw-aac/manifest.m3u8",
            "hls-multivideo/master.m3u8",
            "hls-ts-aac/playlist.m3u8",
            "hls-iframe-only/media.m3u8",
            "hls-mp4-muxed-aac-h264/hls.m3u8",
        ] {
            inputs.push(media.join("hls").join(name));
        }
    }
    inputs
}

#[test]
fn decrypting_gives_every_byte_back() {
    for input in inputs() {
        let clear = tree(input.parent().unwrap());
        let packs: [fn(&Job, &Path) -> Result<Report>; 2] = [pack, pack_without_ivs];
        for (wish, pack) in wishes(&input).into_iter().flat_map(|wish| packs.map(|pack| (wish.clone(), pack)))
        {
            let (out, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let report = pack(&wish, out.path()).map_err(|e| format!("{}: {e}", input.display())).unwrap();
            let name = input.file_name().unwrap();
            unpack(&out.path().join(name), back.path()).unwrap();
            let (protected, decrypted) = (tree(out.path()), tree(back.path()));
            let mut ciphered = 0;
            for (name, bytes) in &decrypted {
                if name.ends_with(".m3u8") {
                    assert_eq!(other_lines(bytes), other_lines(&clear[name]), "{name}");
                } else {
                    assert!(*bytes == clear[name], "{} {name} {wish:?}", input.display());
                    ciphered += usize::from(protected[name] != clear[name]);
                }
            }
            assert!(
                ciphered > 0 && report.tracks.iter().all(|track| track.samples > 0),
                "{}",
                input.display()
            );
            assert!(report.tracks.iter().all(|track| track.scheme == "aes-128"));
        }
    }
}

#[test]
fn a_playlist_gains_key_lines_a_version_and_other_ranges_only() {
    for input in inputs() {
        let clear = tree(input.parent().unwrap());
        let out = tempfile::tempdir().unwrap();
        pack(&job(&input), out.path()).unwrap();
        for (name, bytes) in tree(out.path()).iter().filter(|(name, _)| name.ends_with(".m3u8")) {
            let without_ranges = |bytes: &[u8]| -> Vec<String> {
                let ranges =
                    |line: &String| !line.starts_with("#EXT-X-BYTERANGE") && !line.contains("BYTERANGE=");
                other_lines(bytes).into_iter().filter(ranges).collect()
            };
            assert_eq!(without_ranges(bytes), without_ranges(&clear[name]), "{name}");
        }
    }
}

#[test]
fn jobs_that_cannot_be_are_refused_before_anything_is_written() {
    let clip = root().join("fixtures/clip");
    let hls = clip.join("hls/master.m3u8");
    for (wish, words) in [
        (Job { key_uri: None, ..job(&hls) }, "no key URI"),
        (Job { scheme: Some("cbcs".into()), ..job(&hls) }, "--scheme, --format or --layout"),
        (job(&clip.join("dash/manifest.mpd")), "not one playlist"),
        (job(&clip.join("mp4/av.mp4")), "not one playlist"),
        (
            Job { key_uri: Some("https://k/key".into()), preset: Preset::Preset1, ..job(&hls) },
            "one key URI for 3 keys",
        ),
        (Job { max_substreams: Some(1), ..job(&hls) }, "the key server takes 1"),
        (Job { clear_lead: 100.0, ..job(&hls) }, "every segment begins in what is left clear, 0 to 100 s"),
        (Job { drm: "widevine".into(), ..job(&hls) }, "--key-uri and --encrypt-init are for"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let error = pack(&wish, out.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(tree(out.path()).is_empty(), "{words}");
    }
}

/// A multivariant playlist of two playlists that name one file.
fn two_playlists(first: &str, second: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let variant = |bandwidth: u32, uri: &str| format!("#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}\n{uri}\n");
    write("m.m3u8", &format!("#EXTM3U\n{}{}", variant(1, "a.m3u8"), variant(2, "b.m3u8")));
    write("s.ts", "0123456789abcdef0123");
    write("a.m3u8", first);
    write("b.m3u8", second);
    folder
}

/// A playlist whose only segment has this media sequence number.
fn playlist(sequence: u32, more: &str) -> String {
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n{more}#EXTINF:4,\ns.ts\n#EXT-X-ENDLIST\n"
    )
}

#[test]
fn a_file_of_two_playlists_is_written_once_under_one_key() {
    for (sequence, vector, iv) in [
        (0, None, None),
        (7, None, Some(",IV=0x00000000000000000000000000000000")),
        (7, Some("000102030405060708090a0b0c0d0e0f"), Some(",IV=0x000102030405060708090a0b0c0d0e0f")),
    ] {
        for preset in [Preset::Preset0, Preset::Preset1] {
            let folder = two_playlists(&playlist(0, ""), &playlist(sequence, ""));
            let (out, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let vector = vector.map(str::to_owned);
            let wish = Job { preset, vector, ..job(&folder.path().join("m.m3u8")) };
            let report = pack_without_ivs(&wish, out.path()).unwrap();
            let files = report.outputs.iter().filter(|output| output.path == "s.ts").count();
            assert_eq!((files, report.tracks.len()), (1, 1), "{:?}", report.outputs);
            let written = fs::read_to_string(out.path().join("b.m3u8")).unwrap();
            let line = written.lines().find(|line| line.starts_with("#EXT-X-KEY")).unwrap();
            let found = line.find(",IV=").map(|at| &line[at..]);
            assert_eq!(found, iv, "{line}");
            unpack(&out.path().join("m.m3u8"), back.path()).unwrap();
            assert_eq!(fs::read(back.path().join("s.ts")).unwrap(), b"0123456789abcdef0123");
        }
    }
}

#[test]
fn a_plan_names_the_keys_that_pack_would_ask_for() {
    let input = root().join("fixtures/clip/hls/master.m3u8");
    let wish = Job { key_uri: None, rotate_every: Some(2), preset: Preset::Preset1, ..job(&input) };
    let planned = plan(&wish, &open_input, SpekeVersion::find("2.0").unwrap(), None).unwrap();
    let out = tempfile::tempdir().unwrap();
    let packed = pack(&Job { key_uri: Some("{kid}".into()), ..wish }, out.path()).unwrap();
    let kids = planned.keys.iter().map(|key| &key.kid).collect::<BTreeSet<_>>();
    assert_eq!(kids, packed.tracks.iter().flat_map(|track| &track.kids).collect());
    assert_eq!((planned.scheme.as_str(), planned.tracks.len()), ("aes-128", packed.tracks.len()));
    assert!(planned.request.contains("<cpix:ContentKeyList>"), "{}", planned.request);
}

#[test]
fn a_file_is_not_named_as_a_whole_and_in_ranges() {
    let folder = two_playlists(&playlist(0, ""), &playlist(0, "#EXT-X-BYTERANGE:5@0\n"));
    let out = tempfile::tempdir().unwrap();
    let error = pack(&job(&folder.path().join("m.m3u8")), out.path()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("as a whole and in byte ranges"), "{error}");
}

/// A client that widens the range as RFC 8216bis §6.3.6 has it finds the clear bytes.
#[test]
fn i_frames_inside_whole_segments_are_decrypted_from_a_wider_range() {
    let case = crate::support::case::Case::all("hls")
        .into_iter()
        .find(|case| case.name() == "whole-i-frames")
        .unwrap();
    let (stage, out) = (case.stage(), tempfile::tempdir().unwrap());
    let report = pack_without_ivs(&job(&stage.path().join("master.m3u8")), out.path()).unwrap();
    let frames = fs::read_to_string(out.path().join("i.m3u8")).unwrap();
    assert!(frames.contains("#EXT-X-BYTERANGE:1504@376\n1.ts"), "{frames}");
    // 376 is no multiple of 16: the block that holds it begins at 368, the one before is the IV.
    let (clear, whole) =
        (fs::read(stage.path().join("1.ts")).unwrap(), fs::read(out.path().join("1.ts")).unwrap());
    let kid = Kid::parse(&report.tracks[0].kid).unwrap();
    let (start, end) = (368, (376 + 1504_usize).next_multiple_of(16));
    let (iv, mut blocks) = (&whole[start - 16..start], whole[start..end].to_vec());
    let cbc = cbc::Decryptor::<aes::Aes128>::new_from_slices(key(kid).expose(), iv).unwrap();
    cbc.decrypt_padded::<NoPadding>(&mut blocks).unwrap();
    assert_eq!(blocks[376 - start..376 - start + 1504], clear[376..376 + 1504]);
    let second = frames.lines().filter(|line| line.starts_with("#EXT-X-KEY")).nth(1).unwrap();
    assert!(second.ends_with("IV=0x00000000000000000000000000000008"), "the IV of the segment: {second}");
}

/// Other packagers encrypt text as well: RFC 8216bis §3.1.4.
#[test]
fn text_that_is_encrypted_is_decrypted() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let text = b"WEBVTT\n\n00:00.000 --> 00:01.000\nwords\n".to_vec();
    let mut encrypted = Vec::new();
    Aes128::new(&Secret::new([7; 16]), Aes128::iv_of_media_sequence_number(0))
        .encrypt(&text, &mut encrypted)
        .unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("k.key", &[7; 16]);
    write("t.vtt", &encrypted);
    write("v.ts", &fs::read(root().join("fixtures/clip/hls-ts/0.ts")).unwrap());
    let list = |key: &str, uri: &str| {
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{key}#EXTINF:2,\n{uri}\n#EXT-X-ENDLIST\n")
    };
    // A player takes the format that it knows: both lines stand for one key.
    let other = "#EXT-X-KEY:METHOD=AES-128,URI=\"other:1\",KEYFORMAT=\"com.example\"\n";
    let key = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k.key\"\n{other}");
    write("t.m3u8", list(&key, "t.vtt").as_bytes());
    write("v.m3u8", list("", "v.ts").as_bytes());
    let media = "#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"k.key\"\n\
        #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"t\",NAME=\"t\",URI=\"t.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,SUBTITLES=\"t\"\nv.m3u8\n";
    write("master.m3u8", media.as_bytes());
    let none = |_| None;
    let input = folder.path().join("master.m3u8").to_str().unwrap().to_owned();
    let job = DecryptJob { inputs: vec![input], key_store: &none };
    decrypt_with(&job, out.path()).unwrap();
    assert_eq!(fs::read(out.path().join("t.vtt")).unwrap(), text);
    let tree = tree(out.path());
    assert!(tree.iter().all(|(_, bytes)| !String::from_utf8_lossy(bytes).contains("-KEY:")));
}

#[test]
fn an_address_without_a_key_id_means_the_only_key() {
    let input = root().join("fixtures/clip/hls-ts/index.m3u8");
    let (out, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report =
        pack(&Job { key_uri: Some("https://k/movie.key".into()), ..job(&input) }, out.path()).unwrap();
    let kid = Kid::parse(&report.tracks[0].kid).unwrap();
    let decrypt = |key_store: &dyn KeyStore| {
        let inputs = vec![out.path().join("index.m3u8").to_str().unwrap().to_owned()];
        let job = DecryptJob { inputs, key_store };
        decrypt_with(&job, back.path()).map(|_| ()).map_err(|error| error.to_string())
    };
    let value = drm_pack::base::id::hex(key(kid).expose());
    assert!(decrypt(&|id| Some(key(id))).unwrap_err().contains("no key for line"));
    decrypt(&drm_pack::keys::KeyFile::parse(&format!("{kid}:{value}")).unwrap()).unwrap();
    let clear = tree(input.parent().unwrap());
    assert!(tree(back.path()).iter().all(|(name, bytes)| name.ends_with(".m3u8") || clear[name] == *bytes));
}

/// The key itself, as RFC 8216bis has it of any URI, or its id, as some packagers write it.
#[test]
fn a_data_uri_holds_the_key_or_its_id() {
    let input = root().join("fixtures/clip/hls-ts/index.m3u8");
    let out = tempfile::tempdir().unwrap();
    let kid = Kid::parse(&pack(&job(&input), out.path()).unwrap().tracks[0].kid).unwrap();
    let (id, value) = (kid.bytes().to_vec(), key(kid).expose().to_vec());
    for (bytes, is_id) in [(value, false), (id, true)] {
        let (out, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let uri = format!("data:text/plain;base64,{}", drm_pack::base::base64(&bytes));
        pack(&Job { key_uri: Some(uri), ..job(&input) }, out.path()).unwrap();
        let inputs = vec![out.path().join("index.m3u8").to_str().unwrap().to_owned()];
        let key_store = |id| (is_id && id == kid).then(|| key(id));
        let job = DecryptJob { inputs, key_store: &key_store };
        decrypt_with(&job, back.path()).unwrap();
        let clear = tree(input.parent().unwrap());
        let back = tree(back.path());
        assert!(back.iter().all(|(name, bytes)| name.ends_with(".m3u8") || clear[name] == *bytes));
    }
}

/// A document with a key for each of these rules.
fn document(rules: Vec<ContentKeyUsageRule>) -> CpixFile {
    let keys = rules.iter().map(|rule| ContentKey {
        value: Some(Secret::new(rule.kid.bytes().map(|byte| byte ^ 0x55))),
        ..ContentKey::new(rule.kid)
    });
    let document =
        Document { content_keys: keys.collect(), usage_rules: rules.clone(), ..Document::default() };
    CpixFile::new(Document { version: Some("2.3".into()), ..document }, Strictness::Cpix)
}

/// Segments that are encrypted whole are not looked into: the playlists say what a track is.
#[test]
fn rules_of_a_document_choose_by_what_the_playlists_say() {
    let rule = |byte: u8, word: &str| ContentKeyUsageRule {
        intended_track_type: Some(word.into()),
        ..ContentKeyUsageRule::new(Kid::new([byte; 16]))
    };
    let pixels = |byte, min, max| ContentKeyUsageRule {
        video_filters: vec![VideoFilter { min_pixels: min, max_pixels: max, ..VideoFilter::default() }],
        ..rule(byte, "VIDEO")
    };
    let bits = |byte, min_bitrate, max_bitrate| ContentKeyUsageRule {
        video_filters: vec![VideoFilter::default()],
        bitrate_filters: vec![BitrateFilter { min_bitrate, max_bitrate }],
        ..rule(byte, "VIDEO")
    };
    let sound = ContentKeyUsageRule { audio_filters: vec![AudioFilter::default()], ..rule(3, "AUDIO") };
    let input = root().join("fixtures/clip/hls/master.m3u8");
    let text = fs::read_to_string(&input).unwrap();
    let least =
        text.split("BANDWIDTH=").skip(1).map(|rest| rest.split(',').next().unwrap().parse::<u64>().unwrap());
    let least = least.min().unwrap();
    for rules in [
        vec![pixels(1, None, Some(320 * 180)), pixels(2, Some(320 * 180 + 1), None), sound.clone()],
        vec![bits(1, None, Some(least)), bits(2, Some(least + 1), None), sound.clone()],
    ] {
        let out = tempfile::tempdir().unwrap();
        let report = pack_with(&job(&input), out.path(), &document(rules)).unwrap();
        let mut kids: Vec<_> =
            report.tracks.iter().map(|track| (track.source.as_str(), &track.kid[..2])).collect();
        kids.sort_unstable();
        assert_eq!(kids, [("audio/media.m3u8", "03"), ("v1/media.m3u8", "02"), ("v2/media.m3u8", "01")]);
    }
    let out = tempfile::tempdir().unwrap();
    let error = pack_with(&job(&input), out.path(), &document(vec![pixels(1, None, None)])).unwrap_err();
    assert!(error.to_string().contains("none of the 1 usage rules matches"), "{error}");
}

/// I-frames inside segments are no segments: keys change with these, and what may be missing has a key all the same.
#[test]
fn keys_change_with_segments_and_gaps_stay() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let clip = root().join("fixtures/clip/hls-ts");
    let (one, two) = (fs::read(clip.join("0.ts")).unwrap(), fs::read(clip.join("1.ts")).unwrap());
    let head = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:2\n";
    let end = one.len() + two.len();
    let ranges = format!(
        "{head}#EXTINF:2,\n#EXT-X-BYTERANGE:{}@0\nm.ts\n#EXTINF:2,\n#EXT-X-GAP\n#EXT-X-BYTERANGE:9@{end}\nm.ts\n\
         #EXTINF:2,\n#EXT-X-BYTERANGE:{}@{}\nm.ts\n#EXTINF:2,\n#EXT-X-GAP\ngone.ts\n#EXT-X-ENDLIST\n",
        one.len(),
        two.len(),
        one.len()
    );
    let frames = format!(
        "{head}#EXT-X-I-FRAMES-ONLY\n#EXTINF:1,\n#EXT-X-BYTERANGE:188@0\n0.ts\n#EXTINF:1,\n#EXT-X-BYTERANGE:188@188\n\
         0.ts\n#EXTINF:1,\n#EXT-X-BYTERANGE:188@{}\n0.ts\n#EXT-X-ENDLIST\n",
        one.len() - 188
    );
    write("ranges.m3u8", ranges.as_bytes());
    write("v.m3u8", format!("{head}#EXTINF:2,\n0.ts\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST\n").as_bytes());
    write("i.m3u8", frames.as_bytes());
    let master = "#EXTM3U\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
    write("master.m3u8", master.as_bytes());
    write("m.ts", &[one.as_slice(), &two].concat());
    write("0.ts", &one);
    write("1.ts", &two);
    for (name, periods) in [("ranges.m3u8", 4), ("master.m3u8", 2)] {
        let (out, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let wish = Job { rotate_every: Some(1), ..job(&folder.path().join(name)) };
        let report = pack(&wish, out.path()).unwrap();
        assert_eq!((report.tracks[0].kids.len(), report.tracks[0].samples), (periods, 2), "{name}");
        let written = fs::read_to_string(out.path().join(name)).unwrap();
        let line = format!("#EXT-X-GAP\n#EXT-X-BYTERANGE:9@{end}\nm.ts");
        assert!(name == "master.m3u8" || written.contains(&line), "{written}");
        unpack(&out.path().join(name), back.path()).unwrap();
        let clear = tree(folder.path());
        for (name, bytes) in tree(back.path()) {
            assert!(name.ends_with(".m3u8") || clear[&name] == bytes, "{name}");
        }
        if let Ok(frames) = fs::read_to_string(out.path().join("i.m3u8")) {
            assert_eq!(other_lines(frames.as_bytes()), other_lines(&clear["i.m3u8"]));
        }
    }
}

/// Playlists of one presentation may be encrypted in two ways.
#[test]
fn aes_128_beside_sample_aes_is_decrypted_in_one_job() {
    let clip = root().join("fixtures/clip/hls-ts/index.m3u8");
    let (all, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fairplay = Job { drm: "fairplay".into(), key_uri: None, ..job(&clip) };
    for (folder, wish) in [("whole", job(&clip)), ("samples", fairplay)] {
        pack(&wish, &all.path().join(folder)).unwrap();
    }
    let variant = |uri: &str| format!("#EXT-X-STREAM-INF:BANDWIDTH=1\n{uri}/index.m3u8\n");
    let master = format!("#EXTM3U\n{}{}", variant("whole"), variant("samples"));
    fs::write(all.path().join("master.m3u8"), master).unwrap();
    unpack(&all.path().join("master.m3u8"), out.path()).unwrap();
    let (clear, back) = (tree(clip.parent().unwrap()), tree(out.path()));
    for folder in ["whole", "samples"] {
        for name in ["0.ts", "1.ts", "2.ts"] {
            assert!(back[&format!("{folder}/{name}")] == clear[name], "{folder} {name}");
        }
    }
}
