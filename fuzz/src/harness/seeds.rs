//! Inputs to begin with, made from `fixtures` and from what is committed in `fuzz/corpus`.

use std::fs;
use std::path::{Path, PathBuf};

use drm_pack::cpix;
use drm_pack::job::Job;

use super::documents::asked;
use super::oracle::top_level;
use super::world::{Folder, key, pack};

pub(crate) type Seeds = Vec<(String, Vec<u8>)>;

/// The project's root: this is compiled in two packages.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = if here.join("fixtures").is_dir() { Some(here) } else { here.parent() };
    root.expect("the fuzz package lies in the project").to_owned()
}

/// A file of `fixtures`.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = root().join("fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Inputs that were kept for a target: what the fuzzer found, crashes that are mended.
pub(crate) fn kept(target: &str) -> Seeds {
    let Ok(entries) = fs::read_dir(root().join("fuzz/corpus").join(target)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

pub(crate) fn with_options(options: &[u8], name: &str, bytes: &[u8]) -> Seeds {
    options.iter().map(|options| (format!("{name}-{options}"), [&[*options], bytes].concat())).collect()
}

/// Init segment and segments as one file.
fn joined(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|part| fixture(&format!("clip/{part}"))).collect()
}

/// The first fragments of a file, so that seeds are small.
fn first_fragments(file: &[u8], count: usize) -> Vec<u8> {
    let end = top_level(file).into_iter().filter(|(kind, _)| kind == b"mdat").nth(count - 1);
    let end =
        end.map_or(file.len(), |(_, mdat)| mdat.as_ptr() as usize + mdat.len() - file.as_ptr() as usize);
    file[..end].to_vec()
}

fn fragmented_files() -> Seeds {
    vec![
        ("audio".into(), joined(&["dash/2/init.mp4", "dash/2/5.m4s"])),
        ("audio-two".into(), joined(&["dash/2/init.mp4", "dash/2/5.m4s", "dash/2/5.m4s"])),
        ("video".into(), joined(&["dash/1/init.mp4", "dash/1/1.m4s"])),
        ("video-hls".into(), joined(&["hls/v2/init_1.mp4", "hls/v2/3.m4s"])),
        ("muxed".into(), first_fragments(&fixture("clip/mp4/av_frag.mp4"), 1)),
    ]
}

pub(crate) fn fragmented() -> Seeds {
    let files = fragmented_files();
    files.iter().flat_map(|(name, bytes)| with_options(&[0, 1, 6, 8, 24, 29], name, bytes)).collect()
}

pub(crate) fn mp4() -> Seeds {
    let codecs = ["av1", "hevc", "mv_hevc", "avc_interlaced", "vp9", "ac3", "eac3", "opus", "flac", "mp3"];
    let codecs = codecs
        .iter()
        .flat_map(|name| with_options(&[0, 33, 40], name, &fixture(&format!("clip/codecs/{name}.mp4"))));
    let files = fragmented_files();
    let files = files.iter().flat_map(|(name, bytes)| with_options(&[0, 33, 44], name, bytes));
    codecs.chain(files).collect()
}

pub(crate) fn matroska() -> Seeds {
    let names = ["vp9_opus.webm", "av1_ac3.mkv", "hevc_eac3.mkv", "avc_aac.mkv"];
    let file = |name: &&str| with_options(&[0, 33, 44], name, &fixture(&format!("clip/demux/{name}")));
    names.iter().flat_map(file).collect()
}

pub(crate) fn stream() -> Seeds {
    let names = ["hevc_eac3.ts", "avc_ac3.ts", "avc_aac.ts"];
    let file = |name: &&str| with_options(&[0, 33, 44], name, &fixture(&format!("clip/demux/{name}")));
    names.iter().flat_map(file).collect()
}

pub(crate) fn protected() -> Seeds {
    let mut seeds = Vec::new();
    for (name, file) in fragmented_files() {
        let begins =
            top_level(&file).into_iter().find(|(kind, _)| matches!(kind, b"moof" | b"styp" | b"sidx"));
        let begins =
            begins.map_or(file.len(), |(_, payload)| payload.as_ptr() as usize - 8 - file.as_ptr() as usize);
        for scheme in ["cenc", "cbcs"] {
            let playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\n1.m4s\n#EXT-X-ENDLIST\n";
            let folder = Folder::of([
                ("index.m3u8", playlist.to_vec()),
                ("init.mp4", file[..begins].to_vec()),
                ("1.m4s", file[begins..].to_vec()),
            ]);
            let job = Job {
                inputs: vec!["index.m3u8".into()],
                drm: "widevine".into(),
                scheme: Some(scheme.into()),
                ..Job::default()
            };
            let (_, packed) = pack(&folder, &job).expect("fixtures are packed");
            let whole = [packed["init.mp4"].as_slice(), &packed["1.m4s"]].concat();
            seeds.extend(with_options(&[0, 1, 2, 3], &format!("{name}-{scheme}"), &whole));
        }
    }
    seeds
}

pub(crate) fn ts() -> Seeds {
    let whole = fixture("clip/hls-ts/0.ts");
    let mut seeds = with_options(&[0], "short", &fixture("clip/hls-ts/2.ts"));
    seeds.extend(with_options(&[0, 1], "start", &whole[..188 * 40]));
    seeds.extend(with_options(&[1], "whole", &whole));
    seeds
}

/// Payload of the elementary stream of this PID, for streams whose packets have no more than a PES header.
fn payload_of(stream: &[u8], pid: u16) -> Vec<u8> {
    let mut payload = Vec::new();
    for packet in stream.chunks_exact(188) {
        if u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) != pid || packet[3] & 0x10 == 0 {
            continue;
        }
        let start = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
        let data = &packet[start..];
        let is_start = packet[1] & 0x40 != 0;
        payload.extend(if is_start { &data[9 + usize::from(data[8])..] } else { data });
    }
    payload
}

pub(crate) fn packed_audio() -> Seeds {
    // ID3 with the time of the first sample: RFC 8216bis §3.1.3.
    let owner = b"com.apple.streaming.transportStreamTimestamp\0";
    let time = 126_000_u64.to_be_bytes();
    let id3 = [&b"ID3\x04\0\0\0\0\0\x3fPRIV\0\0\0\x35\0\0"[..], owner, &time].concat();
    let aac = payload_of(&fixture("clip/hls-ts/2.ts"), 0x101);
    let mut seeds = with_options(&[0, 1], "aac", &[&id3[..], &aac].concat());
    for codec in ["ac3", "eac3", "mp3"] {
        let file = fixture(&format!("clip/codecs/{codec}.mp4"));
        let frames = super::oracle::mdats(&file).concat();
        seeds.extend(with_options(&[0], codec, &[&id3[..], &frames].concat()));
    }
    seeds
}

pub(crate) fn aes128() -> Seeds {
    let mut seeds = with_options(&[0], "ts", &fixture("clip/hls-ts/2.ts"));
    seeds.extend(with_options(&[1, 5], "fragmented", &joined(&["dash/2/init.mp4", "dash/2/5.m4s"])));
    seeds.extend(with_options(&[3], "text", b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n"));
    seeds.extend(packed_audio().into_iter().map(|(name, bytes)| (name, [&[2], &bytes[1..]].concat())));
    seeds
}

/// Manifests of the fixtures of one kind.
fn manifests(extension: &str, most: u64) -> Seeds {
    fn walk(folder: &Path, extension: &str, most: u64, found: &mut Seeds) {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                walk(&path, extension, most, found);
            } else if path.extension().is_some_and(|found| found == extension)
                && path.metadata().unwrap().len() < most
            {
                let place = folder.file_name().unwrap().to_string_lossy();
                let name = path.file_stem().unwrap().to_string_lossy();
                found.push((format!("{place}-{name}"), fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("fixtures"), extension, most, &mut found);
    found
}

pub(crate) fn playlist() -> Seeds {
    let all = manifests("m3u8", 4096);
    let options = [0, 1, 2, 3, 5].into_iter().cycle();
    all.iter().zip(options).flat_map(|((name, text), options)| with_options(&[options], name, text)).collect()
}

pub(crate) fn mpd() -> Seeds {
    let all = manifests("mpd", 8192);
    let options = [0, 1, 4, 5].into_iter().cycle();
    all.iter().zip(options).flat_map(|((name, text), options)| with_options(&[options], name, text)).collect()
}

/// One key for everything, of which nothing else is said.
fn one_key() -> Vec<u8> {
    let mut document = asked();
    document.content_keys.truncate(1);
    for content_key in &mut document.content_keys {
        content_key.value = key(content_key.kid);
        content_key.common_encryption_scheme = None;
    }
    document.drm_systems.clear();
    document.usage_rules.clear();
    cpix::write(&document)
}

/// The answer to [`asked`] as a server gives it.
fn answered() -> Vec<u8> {
    let mut answer = asked();
    for content_key in &mut answer.content_keys {
        content_key.value = key(content_key.kid);
        content_key.explicit_iv = Some([7; 16]);
    }
    cpix::write(&answer)
}

pub(crate) fn cpix() -> Seeds {
    let folder = root().join("../shared/cpix/vectors");
    let shared = ["xml", "cpix"].into_iter().flat_map(|extension| {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let small = |path: &PathBuf| {
            path.extension().is_some_and(|found| found == extension)
                && path.metadata().is_ok_and(|meta| meta.len() < 16_384)
        };
        entries.filter(small).collect::<Vec<_>>()
    });
    let shared = shared
        .filter_map(|path| Some((path.file_stem()?.to_string_lossy().into_owned(), fs::read(&path).ok()?)));
    let own = [("request", cpix::write(&asked())), ("answer", answered()), ("one-key", one_key())];
    own.into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .chain(shared)
        .flat_map(|(name, bytes)| with_options(&[0, 1], &name, &bytes))
        .collect()
}

pub(crate) fn answer() -> Seeds {
    let ticket = b"201 https://auth.example/cas/v1/tickets/TGT-1\n\x00200 \nST-1\0";
    let cpix = [&b"200 \n"[..], &answered()].concat();
    let mut seeds = with_options(&[0, 1, 2], "speke", &cpix);
    seeds.extend(with_options(&[5, 9], "ticket", &[&ticket[..], &cpix].concat()));
    seeds.extend(with_options(&[0, 5], "busy", &[&b"503 1\nbusy\0"[..], &cpix].concat()));
    let generated = br#"200
{"contentId":"content","keys":[{"kid":"AQEBAQEBAQEBAQEBAQEBAQ==","key":"AQEBAQEBAQEBAQEBAQEBAQ==","type":"VIDEO"}]}"#;
    seeds.extend(with_options(&[9], "generate", &[&ticket[..], generated].concat()));
    seeds.extend(with_options(
        &[12],
        "key-file",
        b"# keys\na1=01010101010101010101010101010101:02020202020202020202020202020202:03030303030303030303030303030303\n",
    ));
    seeds
}

pub(crate) fn pssh() -> Seeds {
    let folder = Folder::of([
        ("index.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\n1.m4s\n#EXT-X-ENDLIST\n".to_vec()),
        ("init.mp4", fixture("clip/dash/2/init.mp4")),
        ("1.m4s", fixture("clip/dash/2/5.m4s")),
    ]);
    let mut seeds = Vec::new();
    for scheme in ["cenc", "cbcs"] {
        let job = Job {
            inputs: vec!["index.m3u8".into()],
            drm: "widevine+playready".into(),
            scheme: Some(scheme.into()),
            ..Job::default()
        };
        let (_, packed) = pack(&folder, &job).expect("fixtures are packed");
        let init = packed["init.mp4"].as_slice();
        let places = init.windows(4).enumerate().filter(|(_, word)| word == b"pssh").map(|(at, _)| at - 4);
        for (number, at) in places.enumerate() {
            let length = u32::from_be_bytes(init[at..at + 4].try_into().unwrap()) as usize;
            let whole = &init[at..at + length];
            seeds.extend(with_options(&[0], &format!("{scheme}-box-{number}"), whole));
            // The data of a box of version 0.
            seeds.extend(with_options(&[0], &format!("{scheme}-data-{number}"), &whole[32..]));
        }
        let tags = String::from_utf8_lossy(&packed["index.m3u8"]).into_owned();
        let tags = tags.lines().filter(|line| line.starts_with("#EXT-X-KEY")).collect::<Vec<_>>().join("\n");
        seeds.extend(with_options(&[0], &format!("{scheme}-tags"), tags.as_bytes()));
    }
    seeds
}

pub(crate) fn inspect() -> Seeds {
    let of = |name: &str| (name.replace('/', "-"), fixture(&format!("clip/{name}")));
    let mut all = vec![of("hls-ts/2.ts"), of("codecs/hevc.mp4"), of("codecs/av1.mp4"), of("codecs/opus.mp4")];
    all.extend(fragmented_files());
    all.extend(protected().into_iter().filter(|(name, _)| name.ends_with("-0")).map(|(name, mut bytes)| {
        bytes.remove(0);
        (name, bytes)
    }));
    all.extend(manifests("m3u8", 1000).into_iter().take(20));
    all.extend(manifests("mpd", 1500).into_iter().take(20));
    all.push(("cpix".into(), answered()));
    all.iter().flat_map(|(name, bytes)| with_options(&[0], name, bytes)).collect()
}
