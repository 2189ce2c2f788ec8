//! The rules that a protected presentation is held to — ISO/IEC 23001-7, 14496-12, 23000-19, 23009-1, RFC 8216bis.

/// What breaking a rule means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A "shall" is broken, or the content is not what it says it is.
    Error,
    /// A "should" is broken, or players are known to have trouble with it.
    Advice,
}

impl Severity {
    /// The word for it in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Advice => "advice",
        }
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name in reports.
    pub id: &'static str,
    /// What breaking it means.
    pub severity: Severity,
    /// Where it stands.
    pub clause: &'static str,
    /// What it asks for, in one sentence.
    pub meaning: &'static str,
}

const fn error(id: &'static str, clause: &'static str, meaning: &'static str) -> Rule {
    Rule { id, severity: Severity::Error, clause, meaning }
}

const fn advice(id: &'static str, clause: &'static str, meaning: &'static str) -> Rule {
    Rule { id, severity: Severity::Advice, clause, meaning }
}

const CENC: &str = "ISO/IEC 23001-7";
const CMAF: &str = "ISO/IEC 23000-19 §8.2";
const LABELS: &str = "RFC 8216bis §4.4.6, ISO/IEC 23009-1 §5.3.7.2";
const HLS_KEY: &str = "RFC 8216bis §4.4.4.4";
const WHOLE: &str = "RFC 8216bis §4.4.4.4, §5.2";
const MPD: &str = "ISO/IEC 23009-1 §5.8.4.1";
const IOP: &str = "DASH-IF IOP content protection";
const SUBSAMPLE: &str = "ISO/IEC 23001-7 §9.5.2";
const SEIG: &str = "ISO/IEC 23001-7 §6";

/// Every rule.
pub const RULES: &[Rule] = &[
    // Files.
    error("manifest", "RFC 8216bis §4, ISO/IEC 23009-1 §5.3", "Manifests are what their standard says."),
    error(
        "file-missing",
        "RFC 8216bis §4.1, ISO/IEC 23009-1 §5.3.9",
        "Every file that a manifest names is there.",
    ),
    error(
        "mislabeled",
        "RFC 8216bis §4.4.6.1, ISO/IEC 23009-1 §5.3.7",
        "What a manifest calls text, images or data has no clear video or audio.",
    ),
    advice(
        "asset-clear",
        "RFC 8216bis appendix D",
        "What an interstitial plays has no video or audio that is not encrypted, unless it is an advertisement.",
    ),
    error(
        "byte-range",
        "RFC 8216bis §4.4.4.2, ISO/IEC 23009-1 §5.3.9.2",
        "A byte range lies inside its file, and of MP4 samples it begins with a box.",
    ),
    error("index-range", "ISO/IEC 23009-1 §5.3.9.2.2", "The index range of a file is its sidx."),
    error("box-tree", "ISO/IEC 14496-12 §4.2", "A file is whole boxes with whole fields."),
    advice(
        "box-fields",
        "ISO/IEC 14496-12 §8",
        "Versions, flags, counts and reserved fields are what they are to be.",
    ),
    error("sidx-offset", "ISO/IEC 14496-12 §8.16.3", "The references of sidx begin and end with boxes."),
    error("mfra-offset", "ISO/IEC 14496-12 §8.8.10", "The entries of tfra point at moof boxes."),
    error("sample-inside", "ISO/IEC 14496-12 §8.8.8", "Samples lie in the mdat boxes of their file."),
    error(
        "segment-empty",
        "RFC 8216bis §3, ISO/IEC 14496-12 §8.8.4",
        "A segment is not empty, and of MP4 it has a moof.",
    ),
    error(
        "mdat-bytes",
        "ISO/IEC 14496-12 §8.8.8",
        "Every byte of the mdat of fragments is of a sample or of auxiliary information about samples.",
    ),
    error(
        "box-unread",
        "ISO/IEC 14496-12 §8.1.2",
        "Boxes that no player reads are padding, or have few bytes together in a fragment: they may be media.",
    ),
    advice(
        "unread-bytes",
        "ISO/IEC 14496-12 §8.1.2",
        "Boxes that no reader uses, of segments and in moov, are padding, or have a kilobyte at most.",
    ),
    error(
        "unread-clear",
        "ISO/IEC 14496-12 §8.1.2",
        "Boxes that no reader uses have no bytes of the clear source.",
    ),
    advice(
        "unreferenced",
        "RFC 8216bis §3, ISO/IEC 23009-1 §5.3.9",
        "In the folder of a presentation there is no clear media that no manifest names.",
    ),
    // Initialization segments.
    error(
        "track-clear",
        CENC,
        "A track is not clear beside protected ones of its kind, video not beside protected audio either, and one track at least is protected.",
    ),
    advice(
        "audio-clear",
        CENC,
        "Audio beside protected video is protected too, or --clear-track says that it is not meant to be.",
    ),
    error(
        "entry-format",
        "ISO/IEC 14496-12 §8.12.1",
        "Sample entries that have a sinf, and no others, have the protected type of their kind.",
    ),
    error("sinf-children", "ISO/IEC 14496-12 §8.12.2", "A sinf has frma, schm and schi/tenc once each."),
    advice(
        "sinf-order",
        "ISO/IEC 14496-12 §8.12.2",
        "The boxes of a sinf are frma, schm, schi in this order.",
    ),
    error(
        "scheme-version",
        "ISO/IEC 23001-7 §4.1",
        "The scheme_version of schm is 0x00010000, its version 0, its flags those of its form.",
    ),
    error("tenc-reserved", "ISO/IEC 23001-7 §8.2.2", "The flags and reserved bytes of tenc are 0."),
    error(
        "tenc-version",
        "ISO/IEC 23001-7 §8.2",
        "A scheme with patterns has a tenc of version 1, for every kind of track.",
    ),
    error("tenc-pattern", "ISO/IEC 23001-7 §9.6, §10", "Only video in a scheme with patterns has one."),
    advice("tenc-pattern-video", CMAF, "The pattern of video is 1:9."),
    error(
        "tenc-iv-size",
        "ISO/IEC 23001-7 §9.1, §10",
        "cbcs has one constant IV of 16 bytes, the other schemes have one of 8 or 16 bytes with each sample.",
    ),
    advice("tenc-iv-eight", CMAF, "IVs of the counter mode have 8 bytes."),
    error(
        "tenc-protected",
        "ISO/IEC 23001-7 §8.2",
        "default_isProtected is 1, or it is 0 and the IV size is 0.",
    ),
    advice("key-shared", "vendor specifications", "Audio has no key of video where clients refuse that."),
    advice("key-value", "ISO/IEC 23001-7 §9.2", "Each key id has a value of its own, where keys are given."),
    advice("kid-zero", "ISO/IEC 23001-7 §8.2", "The key id of protected samples is not zero."),
    advice(
        "entries-order",
        "ISO/IEC 23000-19 §7.5.10",
        "The protected sample entry stands before the clear one.",
    ),
    advice(
        "clear-entry-differs",
        "ISO/IEC 14496-12 §8.12.1",
        "A clear sample entry beside a protected one is the same without its sinf.",
    ),
    error(
        "senc-in-moov",
        "ISO/IEC 23001-7 §7.2",
        "The movie box of a fragmented file has no senc, saiz, saio.",
    ),
    error(
        "codec-scheme",
        "VP Codec ISO Media File Format Binding, Common Encryption",
        "The carriage of the codec allows the mode of the scheme.",
    ),
    // Fragments.
    error(
        "aux-missing",
        "ISO/IEC 23001-7 §7.1",
        "Samples with IVs or subsamples of their own have auxiliary information.",
    ),
    error("aux-in-clear", "ISO/IEC 23001-7 §7.1", "Clear fragments have no senc, saiz, saio."),
    error(
        "aux-pair",
        "ISO/IEC 14496-12 §8.7.9",
        "There is one saiz and one saio for a track fragment, or neither.",
    ),
    error("senc-count", "ISO/IEC 23001-7 §7.2", "senc has an entry for each sample of the fragment."),
    error("senc-size", "ISO/IEC 23001-7 §7.2", "senc ends behind its last entry."),
    advice("senc-absent", CMAF, "The auxiliary information is in a senc."),
    error("tfhd-version", "ISO/IEC 14496-12 §8.8.7", "The version of tfhd is 0."),
    error(
        "aux-flags",
        "ISO/IEC 14496-12 §8.7.8, §8.7.9, ISO/IEC 23001-7 §7.2",
        "saiz, saio and senc have a version and flags that are known.",
    ),
    error(
        "saiz-absent",
        "ISO/IEC 23001-7 §7.1, ISO/IEC 23000-19 §8.2.2",
        "Beside a senc with entries stand saiz and saio: many players look there alone.",
    ),
    error("saiz-count", "ISO/IEC 14496-12 §8.7.8", "saiz has a size for each sample of the fragment."),
    error("saiz-size", "ISO/IEC 14496-12 §8.7.8", "The sizes in saiz are those of the entries of senc."),
    error(
        "saio-offset",
        "ISO/IEC 14496-12 §8.7.9",
        "saio points at the first entry of senc, counted from moof.",
    ),
    advice("saio-one", CMAF, "saio has one entry."),
    advice("base-is-moof", "ISO/IEC 23000-19 §7.3.2.3", "Offsets count from moof (default-base-is-moof)."),
    error(
        "sample-description-index",
        "ISO/IEC 14496-12 §8.8.7",
        "sample_description_index is that of a sample entry.",
    ),
    advice(
        "description-explicit",
        "ISO/IEC 14496-12 §8.8.7",
        "With a protected and a clear sample entry, tfhd says which one it means.",
    ),
    error(
        "seig-shape",
        SEIG,
        "Groups of type seig are described, and cover no more than the samples of the fragment.",
    ),
    advice("seig-one", SEIG, "One group of type seig covers the whole fragment."),
    error("seig-pattern", SEIG, "The pattern of a seig group is that of tenc."),
    advice("mixed-fragment", SEIG, "A fragment is protected or clear as a whole."),
    // Samples.
    error("subsample-sum", "ISO/IEC 23001-7 §7.2", "The subsamples add up to the size of the sample."),
    error("subsample-map", SUBSAMPLE, "Video whose headers stay clear has subsamples."),
    advice(
        "subsample-count",
        "ISO/IEC 23001-7 §7.2",
        "Where samples have subsamples, each has one at least.",
    ),
    error("subsample-unit", SUBSAMPLE, "A slice or tile is one protected run."),
    error(
        "slice-start",
        SUBSAMPLE,
        "Only slice or tile data is protected; with block chaining from its first byte on.",
    ),
    error("slice-end", SUBSAMPLE, "With block chaining a protected run ends with its slice or tile."),
    error(
        "track-protected",
        "ISO/IEC 23001-7 §9",
        "Of a protected video track there are bytes that are encrypted.",
    ),
    error(
        "sample-clear",
        "ISO/IEC 23001-7 §9.5.1",
        "Of a sample that is said to be protected some bytes are, unless it is shorter than two blocks.",
    ),
    advice("sample-slices", SUBSAMPLE, "A protected sample of AVC, HEVC or AV1 has slices or tiles."),
    advice(
        "slice-clear",
        SUBSAMPLE,
        "Slice or tile data of a block and more is protected, and no more than half of it is clear.",
    ),
    error("cenc-blocks", SUBSAMPLE, "A protected run of video in counter mode is whole blocks of 16 bytes."),
    error(
        "cenc-front-aligned",
        SUBSAMPLE,
        "In counter mode the remainder is clear in front, so that the protected run ends with its slice or tile.",
    ),
    error(
        "iv-reuse",
        "ISO/IEC 23001-7 §9.2, §9.3",
        "Under one key no counter block covers two different things.",
    ),
    error(
        "key-fits",
        CENC,
        "The key that is given is the one that samples were encrypted with, where the codec shows it.",
    ),
    error("payload-parses", CENC, "A decrypted sample is what its codec says."),
    error(
        "payload-samples",
        CENC,
        "The tracks and segments, the numbers of samples and their sizes are those of the clear source.",
    ),
    error(
        "payload-equal",
        CENC,
        "Decrypted samples, elementary streams and whole segments are those of the clear source.",
    ),
    error(
        "source-equal",
        "ISO/IEC 23001-7 §4, RFC 8216bis §4",
        "Without its protection a file of a package is that of its clear source.",
    ),
    advice(
        "sample-times",
        "ISO/IEC 14496-12 §8.6, §8.8.8",
        "Decode and composition times, durations and sync samples are those of the clear source.",
    ),
    advice(
        "entry-equal",
        "ISO/IEC 23001-7 §4.1",
        "Timescale, size and codec configuration of a track are those of the clear source.",
    ),
    error("never-clear", CENC, "The protected bytes of a sample are not those of the clear source."),
    // Segments encrypted whole.
    error("whole-length", WHOLE, "A segment that is encrypted whole has a multiple of 16 bytes, and not 0."),
    error("whole-clear", WHOLE, "What stands under a key does not play as it is."),
    error("whole-padding", WHOLE, "A segment ends with the padding of PKCS #7 when it is decrypted."),
    error("whole-payload", "RFC 8216bis §3.1", "A segment in the clear begins as a media segment does."),
    error(
        "whole-iv",
        WHOLE,
        "Segments of a playlist under one IV begin alike, where it does not depend on what is in them.",
    ),
    error("key-file", "RFC 8216bis §5.1", "A file at the URI of a key is the key: 16 bytes."),
    error("whole-map-iv", "RFC 8216bis §4.4.4.5", "The key of an encrypted EXT-X-MAP has an IV."),
    // Transport streams and packed audio.
    error(
        "stream-parse",
        "RFC 8216bis §3.1.1, §3.1.3",
        "A segment is whole packets with the tables of a program, or whole frames of audio.",
    ),
    error("ts-continuity", "ISO/IEC 13818-1 §2.4.3.3", "Counters of packets follow each other."),
    error(
        "stream-signal",
        "MPEG-2 Stream Encryption Format for HTTP Live Streaming §3",
        "Under a key every stream of the codecs is said to be encrypted, with what a decoder needs of it.",
    ),
    // pssh.
    error("pssh-box", "ISO/IEC 23001-7 §8.1", "A pssh is one whole box that holds data, not another pssh."),
    error("pssh-data", "ISO/IEC 23001-7 §8.1", "The data of a known system can be read."),
    error("pssh-kid", "ISO/IEC 23001-7 §8.1", "The pssh boxes of a system name the key ids of the tracks."),
    error(
        "pssh-scheme",
        "ISO/IEC 23001-7 §8.1",
        "The data of a pssh names the scheme of the tracks where the system needs it.",
    ),
    error(
        "kid-byte-order",
        "RFC 4122 §4.1.2",
        "Key ids stand in the byte order that the system has: a little-endian GUID in WRMHEADER, as written elsewhere.",
    ),
    error(
        "wrm-version",
        "WRMHEADER 4.3",
        "A header for AESCBC has version 4.3; a header of version 4.0 or 4.1 has no KIDS.",
    ),
    error(
        "wrm-algid",
        "WRMHEADER 4.3",
        "ALGID is AESCTR in counter mode and AESCBC in block chaining, or absent.",
    ),
    error("wrm-checksum", "WRMHEADER 4.3", "CHECKSUM is not there with AESCBC, else it is that of the key."),
    error(
        "pssh-agree",
        "ISO/IEC 23001-7 §8.1, §11.2",
        "The pssh of a system for the same keys is the same in all initialization segments, fragments and manifests.",
    ),
    error(
        "pssh-period",
        "ISO/IEC 23001-7 §8.1, DASH-IF IOP content protection",
        "Where keys change, media or MPD have the pssh of each system for every key, no later than the first fragment under it.",
    ),
    // Times.
    advice(
        "time-extinf",
        "RFC 8216bis §4.4.4.1",
        "EXTINF is how long the samples of its segment last, and of an I-frame the time to the next one.",
    ),
    advice(
        "time-runs-on",
        "ISO/IEC 14496-12 §8.8.12, ISO/IEC 23000-19 §7.3.2.3",
        "A segment begins where the one before it ends, but for discontinuities.",
    ),
    advice(
        "time-timeline",
        "ISO/IEC 23009-1 §5.3.9.6",
        "A segment begins and ends when its SegmentTimeline says.",
    ),
    advice(
        "sidx-duration",
        "ISO/IEC 14496-12 §8.16.3",
        "subsegment_duration of sidx is how long the samples that it refers to last.",
    ),
    advice(
        "mpd-duration",
        "ISO/IEC 23009-1 §5.3.1.2, §5.3.2.1",
        "A Period of an MPD that does not go on lasts as long as its media, give or take half a segment.",
    ),
    advice(
        "mpd-period",
        "ISO/IEC 23009-1 §5.3.2.1",
        "The first Period begins at 0, and each other one where the one before it ends.",
    ),
    advice(
        "mpd-offset",
        "ISO/IEC 23009-1 §5.3.9.2.2",
        "With presentationTimeOffset media begins with its Period, and all of a Period together.",
    ),
    advice(
        "hls-discontinuity",
        "RFC 8216bis §4.4.4.3, §6.2.4",
        "Discontinuities are in all playlists of a presentation, and stand where media does not go on.",
    ),
    advice(
        "hls-target-duration",
        "RFC 8216bis §4.4.3.1",
        "EXTINF, rounded, is no more than EXT-X-TARGETDURATION.",
    ),
    advice("time-start", "RFC 8216bis §6.2.4", "The tracks of a presentation begin together."),
    // What manifests say of media.
    advice("label-codecs", LABELS, "CODECS and @codecs are those of the media."),
    advice(
        "label-resolution",
        LABELS,
        "RESOLUTION, @width and @height are those of the media, and of thumbnails those of the images.",
    ),
    advice(
        "label-frame-rate",
        LABELS,
        "FRAME-RATE and @frameRate are those of media whose frames all last as long.",
    ),
    advice(
        "label-range",
        LABELS,
        "VIDEO-RANGE and TransferCharacteristics are those of the media, or what its messages prefer.",
    ),
    advice(
        "label-bandwidth",
        LABELS,
        "Bit rates are not half the average of the media, nor many times as much.",
    ),
    advice("label-channels", LABELS, "Channels are those of the media."),
    advice("label-mime", "ISO/IEC 23009-1 §5.3.7.2", "@mimeType is that of the media."),
    advice("label-sampling", "ISO/IEC 23009-1 §5.3.7.2", "@audioSamplingRate is that of the media."),
    advice(
        "label-tiles",
        "DASH-IF IOP, tiles of thumbnail images",
        "The grid of thumbnails divides their images, and is one in HLS and DASH, as is how long an image is shown.",
    ),
    advice(
        "manifests-language",
        "RFC 8216bis §4.4.6.1, ISO/IEC 23009-1 §5.3.3.2",
        "LANGUAGE and @lang of the same media are the same.",
    ),
    advice(
        "manifests-segments",
        "RFC 8216bis §4.4.4, ISO/IEC 23009-1 §5.3.9",
        "Of media that both name, HLS and DASH name the same segments.",
    ),
    // DASH.
    advice(
        "mpd-text-beside",
        "ISO/IEC 23009-1 annex B",
        "Elements of an MPD have elements or text, not both.",
    ),
    error("mpd-protection", MPD, "Protected media has a ContentProtection with the scheme."),
    error("mpd-clear", MPD, "Clear media has no ContentProtection."),
    error("mpd-scheme", "ISO/IEC 23009-1 §5.8.5.2", "The value of mp4protection is the scheme of the media."),
    error("kid-mpd-tenc", "ISO/IEC 23001-7 §11.2", "cenc:default_KID is default_KID of tenc."),
    advice("mpd-place", IOP, "ContentProtection stands in the AdaptationSet."),
    advice("mpd-order", IOP, "The mp4protection descriptor is the first."),
    error(
        "mpd-scheme-id",
        "ISO/IEC 23009-1 §5.8.4.1, §5.8.5.2",
        "A ContentProtection says its schemeIdUri; a urn:uuid is a UUID.",
    ),
    error("mpd-xml", "XML 1.0 §2.1", "An MPD is well formed."),
    error("mpd-text", "ISO/IEC 23009-1 §5.8.4.1", "ContentProtection has elements and no text."),
    error(
        "mpd-namespace",
        "ISO/IEC 23001-7 §11.2",
        "default_KID and pssh of an MPD are in the namespace of Common Encryption.",
    ),
    error("mpd-pssh", "ISO/IEC 23001-7 §11.2", "cenc:pssh is one whole box of the descriptor's system."),
    advice("mpd-same-key", IOP, "Where the key is the same, the descriptors are the same."),
    advice("mpd-system", IOP, "The MPD names no system that has no signaling there."),
    advice(
        "mpd-systems",
        IOP,
        "All protected media of a Period has a ContentProtection of the same systems.",
    ),
    // HLS.
    advice("hls-text", "RFC 8216bis §4.1", "A playlist has no control characters."),
    advice(
        "hls-group",
        "RFC 8216bis §4.4.6.1.1, §4.4.6.2.1",
        "A variant names every group of renditions, and no group that is not there.",
    ),
    advice(
        "hls-default",
        "RFC 8216bis §4.4.6.1.1",
        "A group has no more than one rendition with DEFAULT=YES.",
    ),
    error("hls-key-missing", HLS_KEY, "Protected segments stand behind an EXT-X-KEY."),
    advice("hls-key-clear", HLS_KEY, "Clear segments stand under no EXT-X-KEY."),
    error("hls-key-twice", HLS_KEY, "No two keys of one KEYFORMAT are for the same segments."),
    error("hls-method", HLS_KEY, "METHOD is that of the scheme."),
    error("hls-iv", HLS_KEY, "SAMPLE-AES-CTR has no IV; another has all its 32 digits."),
    error(
        "hls-iv-media",
        "RFC 8216bis §4.4.4.4, ISO/IEC 23001-7 §8.2",
        "An IV over MP4 samples with a constant IV is that IV.",
    ),
    error(
        "hls-key-period",
        HLS_KEY,
        "Where the key of the media changes, each KEYFORMAT whose URI names no key ids has a new EXT-X-KEY.",
    ),
    advice("hls-format-versions", HLS_KEY, "KEYFORMATVERSIONS is written where KEYFORMAT is."),
    advice(
        "hls-i-frames",
        "RFC 8216bis §4.4.6.3",
        "What EXT-X-I-FRAME-STREAM-INF names is a playlist of I-frames.",
    ),
    error(
        "hls-inside",
        "RFC 8216bis §4.4.3.6, §6.3.6",
        "What lies inside a segment of another line is under the key and IV of that segment.",
    ),
    error("hls-version", "RFC 8216bis §8", "EXT-X-VERSION is what the tags need."),
    error("hls-systems", HLS_KEY, "Every protected segment is under keys of the same systems."),
    error("hls-key-id", HLS_KEY, "KEYID and the key ids of the URI are those of the segments."),
    error("hls-format-known", HLS_KEY, "KEYFORMATVERSIONS of a system that is known has its version."),
    error(
        "hls-key-agree",
        "RFC 8216bis §4.4.4.4, §4.4.6.5",
        "Playlists give one key in one KEYFORMAT by one URI, or session keys have each URI.",
    ),
    advice(
        "hls-key-uri",
        HLS_KEY,
        "Without session keys all playlists give a key by one URI, and where URIs have the ids of keys, each has its own.",
    ),
    advice(
        "hls-system-absent",
        HLS_KEY,
        "Of a system that plays from playlists alone, they have keys where session keys, boxes or an MPD speak of it.",
    ),
    error("hls-pssh", HLS_KEY, "The data in a key's URI is that of its system."),
    error(
        "hls-session-key",
        "RFC 8216bis §4.4.6.5",
        "A session key is that of a media playlist, agrees with the keys of the same URI, and is there once.",
    ),
    advice(
        "hls-session-absent",
        "RFC 8216bis §4.4.6.5",
        "The keys with which media playlists begin are session keys when there are session keys.",
    ),
];

/// The rule of this name.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}
