//! Single bits of outputs flipped: `verify` with keys and source reports each, or it is said why no reader could
//! notice — ISO/IEC 23001-7, 14496-12, RFC 8216bis, ISO/IEC 23009-1.
//!
//! `cargo test` flips a share of the bits, the same each time; `DRM_PACK_FLIPS=2000 cargo test mutation_law` flips so
//! many of each mode.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use drm_pack::base::BaseUrl;
use drm_pack::base::env::Store;
use drm_pack::job::{Job, Layout};
use drm_pack::package::Preset;
use drm_pack::presentation::AtBase;
use rayon::prelude::*;

use crate::fuzz::harness::mutate::Seeded;
use crate::fuzz::harness::world::{Files, Folder, pack, prove};
use crate::support::media::root;

/// Flips of each mode; `DRM_PACK_FLIPS` has another number.
const FLIPS: usize = 100;

/// What is packed, and how.
struct Mode {
    name: &'static str,
    /// Files of the input: the name that it has, and the file of `fixtures/clip` that it is.
    media: &'static [(&'static str, &'static str)],
    /// Manifests of the input.
    texts: &'static [(&'static str, &'static str)],
    inputs: &'static [&'static str],
    drm: &'static str,
    scheme: Option<&'static str>,
    preset: Preset,
    layout: Option<Layout>,
    base_url: Option<&'static str>,
}

const ALL: &str = "widevine+playready+fairplay";
const MULTIVARIANT: &str = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"English\",DEFAULT=YES,LANGUAGE=\"en\",URI=\"a/media.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=76873,CODECS=\"avc1.4d400c,mp4a.40.2\",RESOLUTION=320x180,AUDIO=\"sound\"
v/media.m3u8
";
const PICTURES: &str = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI=\"init.mp4\"
#EXTINF:2.000000,
0.m4s
#EXT-X-ENDLIST
";
const SOUND: &str = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-MAP:URI=\"init.mp4\"
#EXTINF:2.005333,
0.m4s
#EXT-X-ENDLIST
";
const STREAM: &str = "#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:7
#EXTINF:2.000000,
0.ts
#EXTINF:0.080000,
2.ts
#EXT-X-ENDLIST
";
const PARTS: &str = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=6
#EXT-X-PART-INF:PART-TARGET=2
#EXT-X-MAP:URI=\"init.mp4\"
#EXT-X-PART:DURATION=2,URI=\"p0.m4s\",INDEPENDENT=YES
#EXTINF:2,
0.m4s
#EXT-X-PART:DURATION=2,URI=\"p1.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p2.m4s\"
";
const MPD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>
<!-- A comment. -->
<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" type=\"static\"
  mediaPresentationDuration=\"PT2.0S\" minBufferTime=\"PT4.0S\">
  <Period id=\"0\" start=\"PT0.0S\">
    <AdaptationSet id=\"0\" contentType=\"video\" startWithSAP=\"1\" segmentAlignment=\"true\" par=\"16:9\">
      <Representation id=\"v\" mimeType=\"video/mp4\" codecs=\"avc1.4d400c\" bandwidth=\"37558\" width=\"320\" height=\"180\">
        <SegmentTemplate timescale=\"12800\" initialization=\"v/init.mp4\" media=\"v/$Number$.m4s\" startNumber=\"1\">
          <SegmentTimeline><S t=\"0\" d=\"25600\"/></SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
    <AdaptationSet id=\"1\" contentType=\"audio\" lang=\"en\">
      <Representation id=\"a\" mimeType=\"audio/mp4\" codecs=\"mp4a.40.2\" bandwidth=\"32327\" audioSamplingRate=\"48000\">
        <AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" value=\"2\"/>
        <SegmentTemplate timescale=\"48000\" initialization=\"a/init.mp4\" media=\"a/$Number$.m4s\" startNumber=\"1\">
          <SegmentTimeline><S t=\"0\" d=\"92160\"/></SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
  </Period>
</MPD>
";

const BASE: Mode = Mode {
    name: "",
    media: &[],
    texts: &[],
    inputs: &[],
    drm: "widevine+playready",
    scheme: Some("cenc"),
    preset: Preset::Preset0,
    layout: None,
    base_url: None,
};

const MODES: &[Mode] = &[
    Mode {
        name: "HLS",
        media: &[
            ("v/init.mp4", "hls/v2/init_1.mp4"),
            ("v/0.m4s", "hls/v2/0.m4s"),
            ("a/init.mp4", "hls/audio/init_2.mp4"),
            ("a/0.m4s", "hls/audio/0.m4s"),
        ],
        texts: &[("master.m3u8", MULTIVARIANT), ("v/media.m3u8", PICTURES), ("a/media.m3u8", SOUND)],
        inputs: &["master.m3u8"],
        drm: ALL,
        scheme: Some("cbcs"),
        ..BASE
    },
    Mode {
        name: "DASH",
        media: &[
            ("v/init.mp4", "dash/1/init.mp4"),
            ("v/1.m4s", "dash/1/1.m4s"),
            ("a/init.mp4", "dash/2/init.mp4"),
            ("a/1.m4s", "dash/2/1.m4s"),
        ],
        texts: &[("manifest.mpd", MPD)],
        inputs: &["manifest.mpd"],
        ..BASE
    },
    Mode {
        name: "transport streams, SAMPLE-AES",
        media: &[("0.ts", "hls-ts/0.ts"), ("2.ts", "hls-ts/2.ts")],
        texts: &[("index.m3u8", STREAM)],
        inputs: &["index.m3u8"],
        drm: "fairplay",
        scheme: None,
        ..BASE
    },
    Mode {
        name: "AES-128",
        media: &[("0.ts", "hls-ts/0.ts"), ("2.ts", "hls-ts/2.ts")],
        texts: &[("index.m3u8", STREAM)],
        inputs: &["index.m3u8"],
        drm: "simpleaes",
        scheme: None,
        ..BASE
    },
    Mode {
        name: "single files, HLS",
        media: &[
            ("v1/media.mp4", "hls-byterange/v1/media.mp4"),
            ("audio/media.mp4", "hls-byterange/audio/media.mp4"),
            ("master.m3u8", "hls-byterange/master.m3u8"),
            ("v1/media.m3u8", "hls-byterange/v1/media.m3u8"),
            ("audio/media.m3u8", "hls-byterange/audio/media.m3u8"),
        ],
        inputs: &["master.m3u8"],
        preset: Preset::Preset1,
        ..BASE
    },
    Mode {
        name: "single files, DASH",
        media: &[
            ("video.mp4", "dash-segment-base/video.mp4"),
            ("audio.mp4", "dash-segment-base/audio.mp4"),
            ("manifest.mpd", "dash-segment-base/manifest.mpd"),
        ],
        inputs: &["manifest.mpd"],
        drm: "widevine+clearkey",
        scheme: Some("cbcs"),
        ..BASE
    },
    Mode {
        name: "partial segments",
        media: &[
            ("init.mp4", "hls/v2/init_1.mp4"),
            ("0.m4s", "hls/v2/0.m4s"),
            ("p0.m4s", "hls/v2/0.m4s"),
            ("p1.m4s", "hls/v2/1.m4s"),
        ],
        texts: &[("index.m3u8", PARTS)],
        inputs: &["index.m3u8"],
        drm: ALL,
        scheme: Some("cbcs"),
        ..BASE
    },
    Mode {
        name: "MP4 files, segments",
        media: &[("video.mp4", "codecs/hevc.mp4"), ("audio.mp4", "codecs/ac3.mp4")],
        inputs: &["video.mp4", "audio.mp4"],
        drm: ALL,
        scheme: Some("cbcs"),
        ..BASE
    },
    Mode {
        name: "MP4 files, one file a track",
        media: &[("video.mp4", "mp4/video_180.mp4"), ("audio.mp4", "codecs/opus.mp4")],
        inputs: &["video.mp4", "audio.mp4"],
        layout: Some(Layout::SingleFile),
        preset: Preset::Preset1,
        ..BASE
    },
    Mode {
        name: "MP4 files, absolute addresses",
        media: &[("video.mp4", "mp4/video_180.mp4"), ("audio.mp4", "codecs/ac3.mp4")],
        inputs: &["video.mp4", "audio.mp4"],
        base_url: Some("https://cdn.example/films/42/"),
        ..BASE
    },
];

impl Mode {
    fn input(&self) -> Folder {
        let media = self.media.iter().map(|(name, clip)| {
            let bytes = fs::read(root().join("fixtures/clip").join(clip)).unwrap();
            ((*name).to_owned(), Arc::new(bytes))
        });
        let texts =
            self.texts.iter().map(|(name, text)| ((*name).to_owned(), Arc::new(text.as_bytes().to_vec())));
        Folder::new(media.chain(texts).collect())
    }

    fn job(&self) -> Job {
        Job {
            inputs: self.inputs.iter().map(|name| (*name).to_owned()).collect(),
            drm: self.drm.to_owned(),
            scheme: self.scheme.map(str::to_owned),
            preset: self.preset,
            layout: self.layout,
            base_url: self.base_url.map(|url| BaseUrl::parse(url).unwrap()),
            key_uri: (self.drm == "simpleaes").then(|| "https://keys.example/{kid}".into()),
            segment_duration: 0.5,
            ..Job::default()
        }
    }
}

/// An output that is flipped bit by bit.
struct Packed {
    input: Folder,
    files: Files,
    manifests: Vec<String>,
    /// What is found of it as it is.
    found: String,
}

impl Packed {
    fn of(mode: &Mode) -> Self {
        let input = mode.input();
        let (report, files) =
            pack(&input, &mode.job()).unwrap_or_else(|error| panic!("{}: {error}", mode.name));
        let mut packed = Self { input, files, manifests: report.manifests, found: String::new() };
        let found = packed.verify(mode, packed.files.clone());
        packed.found =
            found.unwrap_or_else(|text| panic!("{}: verify(pack(x)) does not pass: {text}", mode.name));
        packed
    }

    /// What is found: errors, advice, and what is not proven.
    fn verify(&self, mode: &Mode, files: Files) -> Result<String, String> {
        let manifests: Vec<&str> = self.manifests.iter().map(String::as_str).collect();
        let (packed, clear) = (Folder::new(files), Some((&self.input, mode.inputs)));
        let found = match mode.base_url {
            Some(url) => {
                let base = BaseUrl::parse(url).unwrap();
                prove(&AtBase { store: &packed as &dyn Store, base }, &manifests, clear)
            }
            None => prove(&packed, &manifests, clear),
        };
        let findings = found.map_err(|error| error.to_string())?.findings;
        let not_checked: Vec<&str> = findings.not_checked().collect();
        let found = format!("{:?} {not_checked:?}", findings.listed());
        if findings.passed() && not_checked.is_empty() { Ok(found) } else { Err(found) }
    }

    /// Whether a flip of this bit is reported.
    fn is_reported(&self, mode: &Mode, file: &str, bit: usize) -> bool {
        let mut bytes = self.files[file].as_ref().clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut files = self.files.clone();
        files.insert(file.to_owned(), Arc::new(bytes));
        let found = catch_unwind(AssertUnwindSafe(|| self.verify(mode, files)));
        let found = found.unwrap_or_else(|_| panic!("{}: {file}: bit {bit} makes verify panic", mode.name));
        found.map_or(true, |found| found != self.found)
    }

    /// The bits that are flipped: half of them anywhere, half in a file of any, so that small files are not forgotten.
    fn bits(&self, count: usize) -> Vec<(&str, usize)> {
        let all: Vec<(&str, usize)> =
            self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).collect();
        let total: usize = all.iter().map(|(_, length)| length).sum();
        let mut seeded = Seeded(0x0f11);
        let chosen = |number: usize| {
            if number % 2 == 1 {
                let (name, length) = all[seeded.below(all.len())];
                return (name, seeded.below(length * 8));
            }
            let mut byte = seeded.below(total);
            for (name, length) in &all {
                if byte < *length {
                    return (*name, byte * 8 + seeded.below(8));
                }
                byte -= length;
            }
            unreachable!()
        };
        (0..count).map(chosen).collect()
    }
}

/// Why no reader could notice that a bit of this byte is another one; `None` when one could.
fn class_of(name: &str, file: &[u8], bit: usize) -> Option<&'static str> {
    let byte = bit / 8;
    if name.ends_with(".ts") {
        return stuffing(file, byte)
            .then_some("stuffing, which decoders discard (ISO/IEC 13818-1 §2.4.3.5, §2.4.4.1)");
    }
    if !name.ends_with(".m3u8") && !name.ends_with(".mpd") {
        return class_of_box(file, byte);
    }
    let line = String::from_utf8_lossy(line_of(file, byte)).into_owned();
    let column = byte - start_of_line(file, byte);
    let inside = |text: &str| line.match_indices(text).any(|(at, _)| (at..at + text.len()).contains(&column));
    let is_key = line.starts_with("#EXT-X-KEY") || line.starts_with("#EXT-X-SESSION-KEY");
    if inside("KEYFORMATVERSIONS") || inside("KEYID") && is_key {
        return Some(
            "the name of an attribute that may be left out: one of another name is passed over (RFC 8216bis §6.3.1)",
        );
    }
    if inside("<cenc:pssh xmlns:cenc=\"urn:mpeg:cenc:2013\"") && name.ends_with(".mpd") {
        return Some("a declaration that the root element has as well (Namespaces in XML 1.0 §6.1)");
    }
    if inside("data:text/plain;charset=UTF-16;") || inside("data:text/plain;") {
        return Some("the media type of a data: URI, which clients do not look at (RFC 2397)");
    }
    if inside(",IV=0x") && bit % 8 == 5 && file[byte] == b'x' {
        return Some("0X, which is 0x (RFC 8216bis §4.2)");
    }
    if inside(" profiles=\"urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019")
        && line.contains("cmaf:2019")
    {
        return Some("a profile: clients go on when they do not know one (ISO/IEC 23009-1 §8.1)");
    }
    if line.starts_with("#EXTINF:") && column > 9 {
        return Some("a duration that is rounded (RFC 8216bis §4.4.4.1)");
    }
    let flipped = file[byte] ^ (1 << (bit % 8));
    if flipped.is_ascii_digit() && file[byte].is_ascii_digit() {
        let class = class_of_digit(&line, column);
        if class.is_some() {
            return class;
        }
    }
    if inside("<?xml") && byte >= 2 {
        return Some(
            "the name of the XML declaration, which need not be there: another instruction (XML 1.0 §2.6)",
        );
    }
    if bit % 8 == 5 && flipped.is_ascii_hexdigit() && file[byte].is_ascii_hexdigit() {
        return Some("a digit of an id in the other case, which is the same digit (RFC 4122 §3)");
    }
    if name.ends_with(".mpd") {
        let label = line.find(" value=\"").filter(|_| line.contains("schemeIdUri=\"urn:uuid:"));
        return label
            .filter(|at| column > *at && column < line.rfind('"').unwrap_or(0))
            .map(|_| "the name of a system, for people (DASH-IF IOP content protection)");
    }
    // The other playlists say the URI too; where there are none, only the key server knows its own URI.
    let only = !String::from_utf8_lossy(file).contains("#EXT-X-STREAM-INF");
    let in_uri = line.find("URI=\"").is_some_and(|at| {
        column >= at + 5 && line[at + 5..].find('"').is_some_and(|end| column < at + 5 + end)
    });
    (only && line.starts_with("#EXT-X-KEY") && !line.contains("base64,") && in_uri).then_some(
        "a URI that only the key server knows, in the one place that has it (RFC 8216bis §4.4.4.4)",
    )
}

/// The same of a digit that became another one.
fn class_of_digit(line: &str, column: usize) -> Option<&'static str> {
    let in_value = |name: &str, from: &str| {
        line.find(name).is_some_and(|at| {
            let value = &line[at + name.len()..];
            let end = value.find(['"', ',', '\n']).unwrap_or(value.len());
            let start = value[..end].find(from).unwrap_or(end);
            (at + name.len() + start..at + name.len() + end).contains(&column)
        })
    };
    if in_value("BANDWIDTH=", "") || in_value(",AVERAGE-BANDWIDTH=", "") || in_value("bandwidth=\"", "") {
        return Some("a bit rate, which is a figure for a choice (RFC 8216bis §4.4.6.2)");
    }
    if in_value("FRAME-RATE=", ".") {
        return Some("a frame rate that is rounded (RFC 8216bis §4.4.6.2)");
    }
    in_value("minBufferTime=\"", "")
        .then_some("how much to buffer, which is for players to choose by (ISO/IEC 23009-1 §5.3.1.2)")
}

/// The same of a byte of an MP4 file that was made of other MP4 files, which says less of itself than a package does.
fn class_of_box(file: &[u8], byte: usize) -> Option<&'static str> {
    let path = boxes(file, byte);
    let (path, at) = path.rsplit_once('+')?;
    let at: usize = at.parse().ok()?;
    let last = path.rsplit('/').next()?;
    match last {
        "ftyp" | "styp" if at >= 8 => {
            Some("a brand: readers go on when they do not know one (ISO/IEC 14496-12 §4.3)")
        }
        "mvhd" | "mdhd" if (24..28).contains(&at) => {
            Some("a duration, which fragments and manifests say (ISO/IEC 14496-12 §8.2.2)")
        }
        "tkhd" if (28..32).contains(&at) => {
            Some("a duration, which fragments and manifests say (ISO/IEC 14496-12 §8.3.2)")
        }
        "elst" if (16..20).contains(&at) => Some(
            "how long an edit lasts: to the end, where samples are in fragments (ISO/IEC 14496-12 §8.6.6)",
        ),
        "sidx" if (44..48).contains(&at) => Some(
            "how long the first subsegment plays, of which priming is left out (ISO/IEC 14496-12 §8.16.3)",
        ),
        "trex" if at >= 20 => Some("a default that every fragment says anew (ISO/IEC 14496-12 §8.8.3)"),
        "sbgp" if at >= 20 => Some("which samples roll: a hint (ISO/IEC 14496-12 §10.1)"),
        "mvhd" | "tkhd" | "mdhd" if (12..20).contains(&at) => {
            Some("a date, for people (ISO/IEC 14496-12 §8.2.2)")
        }
        "hdlr" if at >= 32 => Some("a name, for people (ISO/IEC 14496-12 §8.4.3)"),
        "mdhd" if (28..30).contains(&at) => {
            Some("a language, which manifests say too (ISO/IEC 14496-12 §8.4.2)")
        }
        "mvhd" if (28..34).contains(&at) || (44..80).contains(&at) || at >= 104 => Some(
            "rate, volume and matrix of the movie, and the next id: players of tracks do not look (ISO/IEC 14496-12 §8.2.2)",
        ),
        "tkhd" if (40..46).contains(&at) => {
            Some("layer, group and volume: players of single tracks do not look (ISO/IEC 14496-12 §8.3.2)")
        }
        "smhd" => Some("balance (ISO/IEC 14496-12 §12.2.2)"),
        "vmhd" => Some("a mode of copying (ISO/IEC 14496-12 §12.1.2)"),
        _ => None,
    }
}

fn start_of_line(file: &[u8], byte: usize) -> usize {
    file[..byte].iter().rposition(|found| *found == b'\n').map_or(0, |at| at + 1)
}

fn line_of(file: &[u8], byte: usize) -> &[u8] {
    let start = start_of_line(file, byte);
    let end = file[byte..].iter().position(|found| *found == b'\n').map_or(file.len(), |at| byte + at);
    &file[start..end.max(start)]
}

/// Whether a byte fills up an adaptation field, or a packet of tables behind its last section, or a null packet.
fn stuffing(file: &[u8], byte: usize) -> bool {
    let start = byte - byte % 188;
    let (packet, at) = (&file[start..start + 188], byte % 188);
    let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
    let field = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
    if pid == 0x1fff {
        return at > 3;
    }
    if at >= 6 && at < 4 + field {
        // The fixtures have no fields but clocks.
        let clock = if packet[5] & 0x10 != 0 { 6 } else { 0 };
        return packet[5] & 0x0f == 0 && at >= 6 + clock;
    }
    // Payloads of the tables begin with a pointer, and end with one section here.
    let payload = 4 + field;
    let is_table = packet[1] & 0x40 != 0
        && packet.get(payload..payload + 2).is_some_and(|head| matches!(head, [0, 0 | 2 | 66]));
    let section = payload + 1;
    is_table
        && at
            >= section + 3 + (usize::from(packet[section + 1] & 0x0f) << 8 | usize::from(packet[section + 2]))
}

#[test]
fn every_flipped_bit_is_reported_or_no_reader_could_notice() {
    let count = std::env::var("DRM_PACK_FLIPS").ok().and_then(|count| count.parse().ok()).unwrap_or(FLIPS);
    let only = std::env::var("DRM_PACK_MODE").ok();
    let mut wrong = String::new();
    for mode in MODES.iter().filter(|mode| only.as_ref().is_none_or(|only| mode.name.contains(only.as_str())))
    {
        let began = std::time::Instant::now();
        let packed = Packed::of(mode);
        let bits = packed.bits(count);
        let done: Vec<_> =
            bits.par_iter().map(|(file, bit)| (*file, *bit, packed.is_reported(mode, file, *bit))).collect();
        let (mut excused, mut reported) = (BTreeMap::<&str, usize>::new(), 0);
        for (file, bit, is_reported) in done {
            if is_reported {
                reported += 1;
                continue;
            }
            match class_of(file, &packed.files[file], bit) {
                Some(class) => *excused.entry(class).or_default() += 1,
                None => {
                    writeln!(wrong, "{}: {}", mode.name, described(file, &packed.files[file], bit)).unwrap()
                }
            }
        }
        println!(
            "{}: {count} flips, {reported} reported, excused {excused:?}, {:?}",
            mode.name,
            began.elapsed()
        );
    }
    assert!(wrong.is_empty(), "not noticed:\n{wrong}");
}

/// Where a bit is, for people.
fn described(file: &str, bytes: &[u8], bit: usize) -> String {
    let byte = bit / 8;
    let around = &bytes[byte.saturating_sub(24)..(byte + 12).min(bytes.len())];
    let around: String = around
        .iter()
        .map(|b| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' })
        .collect();
    let place = if bytes.get(4..8).is_some_and(|kind| matches!(kind, b"ftyp" | b"styp" | b"moof")) {
        boxes(bytes, byte)
    } else {
        String::new()
    };
    format!("{file}: bit {} of byte {byte} ({:#04x}) {place} in {around:?}", bit % 8, bytes[byte])
}

/// The boxes that a byte lies in, and how far behind the beginning of the innermost one.
fn boxes(bytes: &[u8], byte: usize) -> String {
    const CONTAINERS: [&[u8; 4]; 12] = [
        b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"mvex", b"moof", b"traf", b"sinf",
        b"schi",
    ];
    let (mut path, mut at, mut end) = (String::new(), 0, bytes.len());
    while at + 8 <= end {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let kind: &[u8; 4] = bytes[at + 4..at + 8].try_into().unwrap();
        if byte >= at + size {
            at += size;
            continue;
        }
        write!(path, "/{}", String::from_utf8_lossy(kind)).unwrap();
        let skip = match kind {
            b"stsd" => 16,
            b"encv" => 86,
            b"enca" => 36,
            kind if CONTAINERS.contains(&kind) => 8,
            _ => 0,
        };
        if skip == 0 || byte < at + skip {
            break;
        }
        (end, at) = (at + size, at + skip);
    }
    format!("{path}+{}", byte - at)
}
