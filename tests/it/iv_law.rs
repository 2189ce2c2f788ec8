//! The law of IVs: whatever was packed, however often, under one key no AES-CTR counter block covers two different
//! things, and what is equal is equal everywhere — ISO/IEC 23001-7 §9.2, §9.3, §10.
//!
//! The reader of outputs is not that of the product: it knows the few boxes that say where counter blocks are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use drm_pack::base::env::Http;
use drm_pack::base::{Result, Secret};
use drm_pack::cpix::Document;
use drm_pack::drm::{self, ManifestKind};
use drm_pack::isobmff::file::moov;
use drm_pack::job::{Job, Layout};
use drm_pack::keys::{DevKeys, KeyServer};
use drm_pack::package::{
    EncryptedTrack, Intent, KeyRule, Plan, Preset, ProtectedRendition, Schedule, ServerSignaling, TrackId,
    Treatment, media_tracks,
};
use drm_pack::protect::Scheme;

use crate::support::files::copied;
use crate::support::files::tree;
use crate::support::media::root;
use crate::support::pack::{
    SEED, WithoutIvs, codec_files, demuxed_files, files, job, pack_with, packages, quicktime_file,
};

/// One key for everything: every title, track and crypto period, under key ids of their own.
struct OneKey(Option<[u8; 16]>);

impl KeyServer for OneKey {
    fn exchange(&self, _http: &dyn Http, mut request: Document) -> Result<Document> {
        for key in &mut request.content_keys {
            key.value = Some(Secret::new([7; 16]));
            key.explicit_iv = self.0;
        }
        Ok(request)
    }
}

/// The IVs that a key source may give.
const GIVEN: [Option<[u8; 16]>; 3] = [None, Some([0; 16]), Some([0xff; 16])];

/// Counter blocks and what they cover, over all that was packed under one key.
#[derive(Default)]
struct Used {
    blocks: HashMap<[u8; 16], Vec<u8>>,
    /// How often the same was there again.
    again: u64,
    /// Counter blocks that cover something else, and the files of that.
    reused: Vec<([u8; 16], String)>,
}

impl Used {
    /// Takes every protected sample of a folder.
    fn folder(&mut self, folder: &Path) {
        let mut files = tree(folder);
        files.retain(|name, _| name.ends_with(".mp4") || name.ends_with(".m4s"));
        let parent = |name: &str| name.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        let mut tracks: HashMap<String, HashMap<u32, Track>> = HashMap::new();
        for (name, bytes) in &files {
            if let Some(moov) = boxes(bytes).into_iter().find(|node| &node.kind == b"moov") {
                tracks.insert(parent(name), init(moov.body));
                tracks.insert(name.clone(), init(moov.body));
            }
        }
        for (name, bytes) in &files {
            let tracks = tracks.get(name).or_else(|| tracks.get(&parent(name))).unwrap();
            self.file(name, bytes, tracks);
        }
    }

    fn file(&mut self, name: &str, bytes: &[u8], tracks: &HashMap<u32, Track>) {
        for moof in boxes(bytes).into_iter().filter(|node| &node.kind == b"moof") {
            for traf in moof.children().into_iter().filter(|node| &node.kind == b"traf") {
                for (iv, text) in samples(bytes, &moof, &traf, tracks) {
                    self.sample(name, &iv, &text);
                }
            }
        }
    }

    fn sample(&mut self, name: &str, iv: &[u8], text: &[u8]) {
        let mut first = [0; 16];
        first[..iv.len()].copy_from_slice(iv);
        let first = u128::from_be_bytes(first);
        for (number, text) in (0_u64..).zip(text.chunks(16)) {
            // The last eight bytes count, without a carry.
            let low = u64::try_from(first & u128::from(u64::MAX)).unwrap().wrapping_add(number);
            let counter = (first >> 64 << 64 | u128::from(low)).to_be_bytes();
            match self.blocks.get(&counter) {
                None => drop(self.blocks.insert(counter, text.to_vec())),
                Some(known) if known == text => self.again += 1,
                Some(_) => self.reused.push((counter, name.to_owned())),
            }
        }
    }

    fn assert_lawful(&self) {
        assert!(self.reused.is_empty(), "{} blocks, such as {:?}", self.reused.len(), self.reused[0]);
    }
}

struct Node<'a> {
    kind: [u8; 4],
    /// Where it begins in what it was read from.
    start: usize,
    body: &'a [u8],
}

fn boxes(bytes: &[u8]) -> Vec<Node<'_>> {
    let (mut found, mut start) = (Vec::new(), 0);
    while start + 8 <= bytes.len() {
        let size = usize::try_from(number(bytes, start, 4)).unwrap();
        assert!(size >= 8 && start + size <= bytes.len(), "boxes of the fixtures have sizes of 32 bits");
        let kind = bytes[start + 4..start + 8].try_into().unwrap();
        found.push(Node { kind, start, body: &bytes[start + 8..start + size] });
        start += size;
    }
    found
}

impl<'a> Node<'a> {
    fn children(&self) -> Vec<Self> {
        boxes(self.body)
    }

    fn find(&self, path: &[&[u8; 4]]) -> Option<Self> {
        let [kind, rest @ ..] = path else { return None };
        let child = self.children().into_iter().find(|node| &node.kind == *kind)?;
        if rest.is_empty() { Some(child) } else { child.find(rest) }
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What the sample entries of a track say, in their order; `None` of a clear one.
struct Track {
    entries: Vec<Option<Entry>>,
    description: u64,
    sample_size: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    iv_size: usize,
    /// Encrypted blocks, and clear ones after them.
    pattern: (usize, usize),
    /// Whether less than a block is encrypted.
    has_tail: bool,
}

fn init(moov: &[u8]) -> HashMap<u32, Track> {
    let mut tracks = HashMap::new();
    for trak in boxes(moov).into_iter().filter(|node| &node.kind == b"trak") {
        let tkhd = trak.find(&[b"tkhd"]).unwrap().body;
        let id = number(tkhd, if tkhd[0] == 1 { 20 } else { 12 }, 4);
        let stsd = trak.find(&[b"mdia", b"minf", b"stbl", b"stsd"]).unwrap();
        let entries = boxes(&stsd.body[8..]).iter().map(entry).collect();
        let track = Track { entries, description: 1, sample_size: 0 };
        tracks.insert(u32::try_from(id).unwrap(), track);
    }
    let mvex = boxes(moov).into_iter().find(|node| &node.kind == b"mvex");
    for trex in mvex.iter().flat_map(Node::children).filter(|node| &node.kind == b"trex") {
        let track = tracks.get_mut(&u32::try_from(number(trex.body, 4, 4)).unwrap()).unwrap();
        track.description = number(trex.body, 8, 4);
        track.sample_size = number(trex.body, 16, 4);
    }
    tracks
}

fn entry(entry: &Node<'_>) -> Option<Entry> {
    let fields = match &entry.kind {
        b"encv" => 78,
        b"enca" => 28,
        _ => return None,
    };
    let sinf = boxes(&entry.body[fields..]).into_iter().find(|node| &node.kind == b"sinf").unwrap();
    let scheme: [u8; 4] = sinf.find(&[b"schm"]).unwrap().body[4..8].try_into().unwrap();
    let tenc = sinf.find(&[b"schi", b"tenc"]).unwrap().body;
    let pattern = (usize::from(tenc[5] >> 4), usize::from(tenc[5] & 15));
    assert!(matches!(&scheme, b"cenc" | b"cens"), "counter schemes only");
    Some(Entry { iv_size: usize::from(tenc[7]), pattern, has_tail: &scheme == b"cenc" })
}

/// The IV of each protected sample of a track fragment, and its encrypted bytes one after the other.
fn samples(
    file: &[u8],
    moof: &Node<'_>,
    traf: &Node<'_>,
    tracks: &HashMap<u32, Track>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tfhd = traf.find(&[b"tfhd"]).unwrap().body;
    let flags = number(tfhd, 1, 3);
    assert_eq!(flags & 1, 0, "data offsets count from moof");
    let track = &tracks[&u32::try_from(number(tfhd, 4, 4)).unwrap()];
    let (mut at, mut description, mut default_size) = (8, track.description, track.sample_size);
    for (flag, field) in [(2, Some(&mut description)), (8, None), (0x10, Some(&mut default_size))] {
        if flags & flag != 0 {
            field.into_iter().for_each(|field| *field = number(tfhd, at, 4));
            at += 4;
        }
    }
    let Some(entry) = track.entries[usize::try_from(description).unwrap() - 1] else { return Vec::new() };
    let senc = traf.find(&[b"senc"]).unwrap().body;
    let (mut next, has_subsamples) = (8, senc[3] & 2 != 0);
    let mut found = Vec::new();
    for trun in traf.children().into_iter().filter(|node| &node.kind == b"trun") {
        let flags = number(trun.body, 1, 3);
        let mut position = moof.start + usize::try_from(number(trun.body, 8, 4)).unwrap();
        let mut at = 12 + if flags & 4 != 0 { 4 } else { 0 };
        for _ in 0..number(trun.body, 4, 4) {
            let mut size = default_size;
            for flag in [0x100, 0x200, 0x400, 0x800] {
                if flags & flag != 0 {
                    size = if flag == 0x200 { number(trun.body, at, 4) } else { size };
                    at += 4;
                }
            }
            let sample = &file[position..position + usize::try_from(size).unwrap()];
            position += sample.len();
            let iv = senc[next..next + entry.iv_size].to_vec();
            next += entry.iv_size;
            let mut ranges = Vec::new();
            if has_subsamples {
                let mut start = 0;
                for _ in 0..number(senc, next, 2) {
                    let clear = usize::try_from(number(senc, next + 2, 2)).unwrap();
                    let protected = usize::try_from(number(senc, next + 4, 4)).unwrap();
                    ranges.push(start + clear..start + clear + protected);
                    start += clear + protected;
                    next += 6;
                }
                next += 2;
                assert_eq!(start, sample.len());
            } else {
                ranges.push(0..sample.len());
            }
            found.push((iv, ranges.into_iter().flat_map(|range| entry.encrypted(&sample[range])).collect()));
        }
    }
    found
}

impl Entry {
    fn encrypted(self, range: &[u8]) -> Vec<u8> {
        let whole = if self.has_tail { range.len() } else { range.len() - range.len() % 16 };
        let (crypt, skip) = self.pattern;
        let is_encrypted = |block: usize| crypt == 0 || block % (crypt + skip) < crypt;
        let blocks = range[..whole].chunks(16).enumerate();
        blocks.filter(|(block, _)| is_encrypted(*block)).flat_map(|(_, bytes)| bytes.to_vec()).collect()
    }
}

/// Every input: packages, MP4 files of every layout, and one file of each codec.
fn inputs() -> Vec<PathBuf> {
    let clip = root().join("fixtures/clip/mp4");
    let more = ["video_180.mp4", "video_360.mp4", "audio.m4a"].map(|name| clip.join(name));
    let packages = packages().into_iter().map(|(path, _)| path);
    packages
        .chain(files())
        .chain(codec_files())
        .chain(demuxed_files())
        .chain(more)
        .chain([quicktime_file()])
        .collect()
}

fn is_playlist(input: &Path) -> bool {
    input.extension().unwrap() == "m3u8"
}

/// What may be asked for besides, by its name.
fn wishes(input: &Path) -> Vec<Job> {
    let plain = |scheme| job(input, "widevine", scheme);
    let mut wishes = vec![
        plain("cenc"),
        Job { clear_lead: 1.0, ..plain("cenc") },
        Job { clear: vec![(2.0, 4.0)], ..plain("cenc") },
        Job { rotate_every: Some(1), ..plain("cenc") },
        Job { preset: Preset::Preset1, resource_id: Some("another".into()), ..plain("cenc") },
    ];
    if !is_playlist(input) {
        wishes.push(plain("cens"));
    }
    if input.parent().unwrap().ends_with("mp4") {
        wishes.push(Job { segment_duration: 1.0, ..plain("cenc") });
        wishes.push(Job { layout: Some(Layout::SingleFile), ..plain("cens") });
    }
    wishes
}

#[test]
fn one_key_for_every_title_scheme_layout_and_run_has_no_counter_block_for_two_things() {
    let mut used = Used::default();
    let mut runs = 0;
    for given in GIVEN {
        for input in inputs() {
            for wish in wishes(&input) {
                let out = tempfile::tempdir().unwrap();
                // A second of a codec has no segment behind a lead of that length.
                match pack_with(&wish, out.path(), &OneKey(given)) {
                    Err(error) if wish.clear_lead > 0.0 || !wish.clear.is_empty() => {
                        assert!(error.to_string().contains("lead"), "{error}")
                    }
                    result => drop(result.unwrap()),
                }
                used.folder(out.path());
                runs += 1;
            }
        }
    }
    used.assert_lawful();
    println!("{runs} runs, {} counter blocks, {} the same again", used.blocks.len(), used.again);
    assert!(used.blocks.len() > 100_000 && used.again > 500_000, "{} {}", used.blocks.len(), used.again);
}

/// An MP4 file of the same times and sizes, in which one byte of each sample that is long enough is another.
fn variant(name: &str, bit: u8) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(root().join("fixtures/clip/mp4").join(name)).unwrap();
    let moov = moov(&bytes).unwrap();
    let media = media_tracks(&moov).unwrap();
    let found = drm_pack::isobmff::samples::samples(&bytes, &moov, media[0].track.track_id, &[]).unwrap();
    let samples: Vec<_> = found.map(|sample| sample.unwrap()).filter(|sample| sample.size > 200).collect();
    for sample in samples {
        let last = usize::try_from(sample.position).unwrap() + sample.size as usize - 1;
        bytes[last] ^= 1 << bit;
    }
    let path = folder.path().join("variant.mp4");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn variants_of_one_title_share_no_counter_block() {
    let (mut used, mut alone) = (Used::default(), 0);
    for bit in 1..5 {
        let (_folder, input) = variant("video_360.mp4", bit);
        let out = tempfile::tempdir().unwrap();
        pack_with(&job(&input, "widevine", "cenc"), out.path(), &OneKey(None)).unwrap();
        used.folder(out.path());
        alone = alone.max(used.blocks.len() / usize::from(bit));
    }
    used.assert_lawful();
    assert_eq!((used.blocks.len(), used.again), (4 * alone, 0), "nothing is equal but for the clear bytes");
}

/// The clip's playlists with these of its segments alone, as a live window has them.
fn window(segments: std::ops::Range<usize>) -> tempfile::TempDir {
    let folder = copied("hls");
    for name in ["v1", "v2", "audio"] {
        let path = folder.path().join(name).join("media.m3u8");
        let map = fs::read_to_string(&path).unwrap();
        let map = map.lines().find(|line| line.starts_with("#EXT-X-MAP")).unwrap().to_owned();
        let first = segments.start;
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{map}\n"
        );
        segments.clone().for_each(|number| writeln!(text, "#EXTINF:2.000000,\n{number}.m4s").unwrap());
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_segment_is_the_same_in_every_window_and_alone() {
    let mut used = Used::default();
    let mut known: HashMap<String, Vec<u8>> = HashMap::new();
    let mut again = 0;
    for first in 0..3 {
        let input = window(first..(first + 3).min(4));
        let out = tempfile::tempdir().unwrap();
        let wish = Job {
            resource_id: Some("channel".into()),
            ..job(&input.path().join("master.m3u8"), "widevine", "cenc")
        };
        pack_with(&wish, out.path(), &OneKey(GIVEN[1])).unwrap();
        used.folder(out.path());
        for (name, bytes) in tree(out.path()).into_iter().filter(|(name, _)| name.ends_with(".m4s")) {
            match known.insert(name.clone(), bytes.clone()) {
                Some(before) if before != bytes => panic!("{name} is another in the next window"),
                before => again += usize::from(before.is_some()),
            }
        }
    }
    used.assert_lawful();
    assert_eq!((known.len(), again), (12, 12));
    // One segment by itself, under a plan of its own, in a rendition of any number.
    for (folder, init, kind) in [
        ("v1", "init_0.mp4", drm_pack::codec::TrackKind::Video),
        ("audio", "init_2.mp4", drm_pack::codec::TrackKind::Audio),
    ] {
        let clip = root().join("fixtures/clip/hls").join(folder);
        let track = TrackId::new(kind, 1);
        let encrypted_tracks = [EncryptedTrack::new(track)];
        let intent = Intent {
            content_id: "channel",
            treatment: Treatment::Samples(Scheme::find("cenc").unwrap()),
            keys: &KeyRule::Preset(Preset::Preset0).assign(&encrypted_tracks).unwrap(),
            systems: &drm::parse_list("widevine").unwrap(),
            manifests: &[ManifestKind::Hls],
            vector: None,
            skd_template: "",
            schedule: Schedule::default(),
            periods: 1,
            server_signaling: ServerSignaling::default(),
            license_urls: &[],
            session_keys: true,
        };
        let http = drm_pack::io::HttpClient::new().unwrap();
        let answer = OneKey(GIVEN[1]).exchange(&http, intent.request()).unwrap();
        let plan = Plan::resolve(&intent, answer).unwrap();
        let moov = moov(&fs::read(clip.join(init)).unwrap()).unwrap();
        let rendition = ProtectedRendition::new(&moov, &plan, &[Some(track)]).unwrap();
        for number in [3, 0, 2, 1] {
            let name = format!("{number}.m4s");
            // The number that it is asked for by counts for crypto periods alone.
            let one = rendition.segment(&fs::read(clip.join(&name)).unwrap(), number * 100).unwrap();
            assert!(one == known[&format!("{folder}/{name}")], "{folder}/{name}");
        }
    }
}

#[test]
fn equal_content_gives_equal_bytes_in_any_number_of_threads() {
    let clip = root().join("fixtures/clip");
    let mut count = 0;
    for scheme in ["cenc", "cbcs", "cens", "cbc1"] {
        for input in ["mp4/av.mp4", "dash/manifest.mpd", "dash-segment-base/manifest.mpd"] {
            let wish = job(&clip.join(input), "widevine", scheme);
            // Keys with and without IVs: nothing is drawn.
            let servers: [&(dyn KeyServer + Sync); 2] =
                [&DevKeys::new(SEED), &WithoutIvs(DevKeys::new(SEED))];
            for keys in servers {
                let outs: Vec<BTreeMap<String, Vec<u8>>> = [1, 3]
                    .map(|threads| {
                        let out = tempfile::tempdir().unwrap();
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                        pool.install(|| pack_with(&wish, out.path(), keys)).unwrap();
                        tree(out.path())
                    })
                    .into();
                assert!(outs[0] == outs[1], "{scheme} {input}");
                count += outs[0].len();
            }
        }
    }
    assert!(count > 100);
}

#[test]
fn workers_that_share_keys_without_ivs_write_the_same_bytes() {
    let clip = root().join("fixtures/clip");
    let whole = |encrypt_init| Job {
        encrypt_init,
        key_uri: Some("https://keys.example/{kid}".into()),
        scheme: None,
        ..job(&clip.join("hls/master.m3u8"), "simpleaes", "")
    };
    for wish in [
        job(&clip.join("hls/master.m3u8"), "widevine", "cbcs"),
        job(&clip.join("mp4/av.mp4"), "widevine", "cbcs"),
        whole(true),
        whole(false),
    ] {
        let outs = [(); 2].map(|()| {
            let out = tempfile::tempdir().unwrap();
            pack_with(&wish, out.path(), &WithoutIvs(DevKeys::new(SEED))).unwrap();
            tree(out.path())
        });
        assert!(outs[0] == outs[1], "{wish:?}");
    }
    // Constant IVs of two keys differ.
    let out = tempfile::tempdir().unwrap();
    let wish = Job { preset: Preset::Preset1, ..job(&clip.join("mp4/av.mp4"), "widevine", "cbcs") };
    pack_with(&wish, out.path(), &WithoutIvs(DevKeys::new(SEED))).unwrap();
    let ivs: HashSet<Vec<u8>> = ["v1/init.mp4", "a1/init.mp4"]
        .map(|name| {
            let bytes = fs::read(out.path().join(name)).unwrap();
            let at = bytes.windows(4).position(|kind| kind == b"tenc").unwrap();
            bytes[at + 28..at + 45].to_vec()
        })
        .into();
    assert!(ivs.len() == 2 && ivs.iter().all(|iv| iv[0] == 16), "{ivs:?}");
}

#[test]
fn the_reader_finds_an_iv_that_is_used_again() {
    let out = tempfile::tempdir().unwrap();
    let input = root().join("fixtures/clip/mp4/video_180.mp4");
    pack_with(&job(&input, "widevine", "cenc"), out.path(), &OneKey(None)).unwrap();
    let path = out.path().join("v1/2.m4s");
    let mut bytes = fs::read(&path).unwrap();
    let first = fs::read(out.path().join("v1/1.m4s")).unwrap();
    let iv = |bytes: &[u8]| bytes.windows(4).position(|kind| kind == b"senc").unwrap() + 12;
    let (from, to) = (iv(&first), iv(&bytes));
    bytes[to..to + 8].copy_from_slice(&first[from..from + 8]);
    fs::write(path, bytes).unwrap();
    let mut used = Used::default();
    used.folder(out.path());
    assert!(!used.reused.is_empty());
}
