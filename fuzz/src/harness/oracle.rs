//! What a packed presentation must be, told by a reader of its own: no clear payload — ISO/IEC 23001-7 §9.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use drm_pack::base::Kind;
use drm_pack::job::Report;

use super::world::{Files, Folder, prove, unpack};

/// Blocks of the clear input that are looked for in the output.
const BLOCK: usize = 16;
/// Longest clear run in a slice of AVC or HEVC: its header, and nine blocks of a pattern.
const MAX_SLICE_CLEAR: usize = 1024;
/// Most clear bytes of a sample of audio: less than a block at its end, and chance.
const MAX_AUDIO_CLEAR: usize = 32;
/// Media of fewer bytes may have nothing that rules protect.
const LEAST_MEDIA: usize = 1024;

/// The payloads of the `mdat` boxes at top level: ISO/IEC 14496-12 §4.2.
pub(crate) fn mdats(file: &[u8]) -> Vec<&[u8]> {
    top_level(file).into_iter().filter(|(kind, _)| kind == b"mdat").map(|(_, payload)| payload).collect()
}

/// Types and payloads of the boxes of a file, as far as they are whole.
pub(crate) fn top_level(file: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let (mut found, mut rest) = (Vec::new(), file);
    while let Some((size, kind)) = rest.get(..4).zip(rest.get(4..8)) {
        let short = u32::from_be_bytes(size.try_into().unwrap());
        let (header, size) = match short {
            0 => (8, rest.len()),
            1 => match rest.get(8..16) {
                Some(long) => (16, usize::try_from(u64::from_be_bytes(long.try_into().unwrap())).unwrap()),
                None => break,
            },
            _ => (8, short as usize),
        };
        let end = size.min(rest.len());
        if size < header {
            break;
        }
        found.push((kind.try_into().unwrap(), &rest[header.min(end)..end]));
        rest = &rest[end..];
    }
    found
}

/// The longest runs of a clear file that stand in an output, as ranges of the output.
pub(crate) fn clear_runs(clear: &[u8], output: &[u8]) -> Vec<Range<usize>> {
    let mut blocks: HashMap<&[u8], usize> = HashMap::new();
    for (number, block) in clear.chunks_exact(BLOCK).enumerate() {
        // A run of one byte says nothing.
        if block.iter().any(|byte| *byte != block[0]) {
            blocks.entry(block).or_insert(number * BLOCK);
        }
    }
    let (mut runs, mut at) = (Vec::new(), 0);
    while let Some(window) = output.get(at..at + BLOCK) {
        let Some(&place) = blocks.get(window) else {
            at += 1;
            continue;
        };
        let back = output[..at].iter().rev().zip(clear[..place].iter().rev());
        let back = back.take_while(|(one, other)| one == other).count();
        let forth = output[at..].iter().zip(&clear[place..]).take_while(|(one, other)| one == other).count();
        runs.push(at - back..at + forth);
        at += forth;
    }
    runs
}

/// What an init segment says of its one track: the handler and the sample entry that protection hides.
struct Track {
    handler: Vec<u8>,
    original: Vec<[u8; 4]>,
}

fn after<'a>(bytes: &'a [u8], word: &[u8; 4], gap: usize) -> Vec<&'a [u8]> {
    let places = bytes.windows(4).enumerate().filter(|(_, window)| window == word);
    places.filter_map(|(at, _)| bytes.get(at + 4 + gap..at + 8 + gap)).collect()
}

fn track(init: &[u8]) -> Track {
    let original = after(init, b"frma", 0).into_iter().map(|kind| kind.try_into().unwrap()).collect();
    // hdlr: version and flags, pre_defined, handler_type.
    Track { handler: after(init, b"hdlr", 8).concat(), original }
}

/// Holds the media of a package of MP4 files to the rules: no payload stands in it as it was.
pub(crate) fn no_clear_mp4(clear: &[&[u8]], packed: &Files, scheme: &str) {
    let mut folders: BTreeMap<&str, Track> = BTreeMap::new();
    let folder_of = |name: &str| -> usize { name.rfind('/').map_or(0, |slash| slash + 1) };
    for (name, bytes) in packed {
        if let Some((_, moov)) = top_level(bytes).into_iter().find(|(kind, _)| kind == b"moov") {
            folders.insert(&name[..folder_of(name)], track(moov));
        }
    }
    for (name, bytes) in packed {
        let Some(track) = folders.get(&name[..folder_of(name)]) else { continue };
        let media = mdats(bytes).concat();
        let is_media = track.handler.windows(4).any(|kind| kind == b"vide" || kind == b"soun");
        if !is_media || media.is_empty() {
            continue;
        }
        let [original] = track.original[..] else {
            assert!(!track.original.is_empty(), "clear segment: {name} of a track that is not protected");
            continue;
        };
        let runs = merged(clear.iter().flat_map(|clear| clear_runs(clear, &media)).collect());
        let samples = samples(bytes, media.len());
        let is_slice: Option<fn(u8) -> bool> = match &original {
            b"avc1" | b"avc3" => Some(|first| matches!(first & 31, 1..=5)),
            b"hvc1" | b"hev1" => Some(|first| first >> 1 & 63 < 32),
            _ => None,
        };
        // A picture without slices is clear, and advice of `verify`: nothing of it decodes.
        let pictures =
            samples.iter().filter(|sample| is_slice.is_none_or(|is| has_slice(&media, sample, is)));
        wholly_clear(name, &pictures.cloned().collect::<Vec<_>>(), &runs, scheme);
        match &original {
            b"mp4a" | b"ac-3" | b"ec-3" | b"Opus" | b"fLaC" => {
                let clear = samples.iter().map(|sample| (sample, shared(sample, &runs)));
                for (sample, clear) in clear {
                    assert!(
                        clear <= MAX_AUDIO_CLEAR,
                        "clear segment: {name}, {clear} bytes of audio at {sample:?}"
                    );
                }
            }
            _ => is_slice.into_iter().for_each(|is_slice| clear_slices(name, &media, &runs, is_slice)),
        }
    }
}

/// Where the samples of a file lie in its media, by its fragments; all of it is one where they do not say so.
fn samples(file: &[u8], media: usize) -> Vec<Range<usize>> {
    let children = |payload, wanted: [u8; 4]| {
        top_level(payload).into_iter().filter(move |(kind, _)| *kind == wanted).map(|(_, payload)| payload)
    };
    let word = |bytes: &[u8], at: usize| -> Option<u32> {
        bytes.get(at..at + 4).map(|word| u32::from_be_bytes(word.try_into().unwrap()))
    };
    let whole = vec![Range { start: 0, end: media }];
    let (mut found, mut end) = (Vec::new(), 0);
    for traf in children(file, *b"moof").flat_map(|moof| children(moof, *b"traf")) {
        let tfhd = children(traf, *b"tfhd").next().unwrap_or_default();
        let flags = word(tfhd, 0).unwrap_or(0);
        // §8.8.7: base_data_offset has eight bytes, the fields before default_sample_size four each.
        let before = [(1, 8), (2, 4), (8, 4)].iter().filter(|(flag, _)| flags & flag != 0);
        let at = 8 + before.map(|(_, length)| length).sum::<usize>();
        let default = if flags & 0x10 != 0 { word(tfhd, at) } else { None };
        for trun in children(traf, *b"trun") {
            let (flags, count) = (word(trun, 0).unwrap_or(0), word(trun, 4).unwrap_or(0));
            let start = 8 + 4 * ((flags & 1) + (flags >> 2 & 1)) as usize;
            let fields = (flags >> 8 & 0xf).count_ones() as usize;
            for number in 0..count as usize {
                let at = start + 4 * (fields * number + (flags >> 8 & 1) as usize);
                let size = if flags & 0x200 != 0 { word(trun, at) } else { default };
                let Some(size) = size else { return whole };
                found.push(end..end + size as usize);
                end += size as usize;
            }
        }
    }
    if end == media { found } else { whole }
}

/// Runs of several sources, without what they share.
fn merged(mut runs: Vec<Range<usize>>) -> Vec<Range<usize>> {
    runs.sort_by_key(|run| run.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for run in runs {
        match merged.last_mut().filter(|last| run.start <= last.end) {
            Some(last) => last.end = last.end.max(run.end),
            None => merged.push(run),
        }
    }
    merged
}

/// Bytes of a range in runs.
fn shared(range: &Range<usize>, runs: &[Range<usize>]) -> usize {
    runs.iter().map(|run| run.end.min(range.end).saturating_sub(run.start.max(range.start))).sum()
}

/// Large samples are not clear as a whole. A pattern leaves nine of ten blocks.
fn wholly_clear(name: &str, samples: &[Range<usize>], runs: &[Range<usize>], scheme: &str) {
    let has_pattern = matches!(scheme, "cbcs" | "cens");
    let least = if has_pattern { 512 } else { 128 };
    let large: Vec<_> = samples.iter().filter(|sample| sample.len() >= least).collect();
    let all: usize = large.iter().map(|sample| sample.len()).sum();
    let clear: usize = large.iter().map(|sample| shared(sample, runs)).sum();
    let left = if has_pattern { all / 64 } else { all / 16 };
    assert!(all < LEAST_MEDIA || clear + left < all, "clear segment: {name}, {clear} of {all} bytes");
}

/// Payloads of the packets of a transport stream by `PID`, of those that carry PES packets of pictures or sound:
/// ISO/IEC 13818-1 §2.4.3.2, table 2-22.
fn elementary(file: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    let (mut found, mut media) = (BTreeMap::<u16, Vec<u8>>::new(), BTreeSet::new());
    for packet in file.chunks_exact(188) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let field = if packet[3] & 0x20 != 0 { usize::from(packet[4]) + 1 } else { 0 };
        let payload = if packet[3] & 0x10 != 0 { packet.get(4 + field..).unwrap_or_default() } else { &[] };
        if packet[1] & 0x40 != 0 && matches!(payload, [0, 0, 1, 0xc0..=0xef, ..]) {
            media.insert(pid);
        }
        found.entry(pid).or_default().extend(payload);
    }
    found.retain(|pid, _| media.contains(pid));
    found
}

/// No stream of pictures or sound is clear as a whole.
pub(crate) fn no_clear_ts(clear: &[u8], packed: &[u8]) {
    let packed = elementary(packed);
    for (pid, clear) in elementary(clear) {
        let Some(packed) = packed.get(&pid).filter(|packed| packed.len() >= 2 * LEAST_MEDIA) else {
            continue;
        };
        let runs = merged(clear_runs(&clear, packed));
        let is_video = packed.windows(4).any(|window| matches!(window, [0, 0, 1, 0xe0..=0xef]));
        let whole = vec![Range { start: 0, end: packed.len() }];
        let units = if is_video { slices(packed) } else { whole };
        let all: usize = units.iter().map(|unit| unit.len()).sum();
        let same: usize = units.iter().map(|unit| shared(unit, &runs)).sum();
        assert!(
            all < LEAST_MEDIA || same + all / 64 < all,
            "clear segment: PID {pid:#x}, {same} of {all} bytes"
        );
    }
}

/// Slices of AVC behind start codes that sample encryption concerns: units of types 1 and 5 with more than 48 bytes.
/// What damage made of a slice by a start code inside is a unit that no decoder reads.
fn slices(stream: &[u8]) -> Vec<Range<usize>> {
    let starts = stream.windows(3).enumerate().filter(|(_, window)| *window == [0, 0, 1]);
    let mut starts: Vec<usize> = starts.map(|(at, _)| at + 3).collect();
    starts.push(stream.len() + 3);
    let units = starts.windows(2).map(|two| two[0]..two[1] - 3);
    units.filter(|unit| unit.len() > 48 && matches!(stream[unit.start] & 31, 1 | 5)).collect()
}

/// Whether a sample has a slice; one that its lengths do not fill is taken to have.
fn has_slice(media: &[u8], sample: &Range<usize>, is_slice: fn(u8) -> bool) -> bool {
    let mut rest = media.get(sample.clone()).unwrap_or_default();
    while let Some((length, units)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        match units.split_at_checked(length) {
            Some((unit, behind)) if unit.first().is_none_or(|first| !is_slice(*first)) => rest = behind,
            _ => return true,
        }
    }
    !rest.is_empty()
}

/// Units behind lengths of four bytes, as encoders write them: ISO/IEC 14496-15 §5.3.3.
fn clear_slices(name: &str, media: &[u8], runs: &[Range<usize>], is_slice: impl Fn(u8) -> bool) {
    let mut at = 0;
    while let Some(length) = media.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let unit = at + 4..(at + 4).saturating_add(length);
        let Some(first) = media.get(unit.clone()).and_then(|unit| unit.first()) else { break };
        if is_slice(*first) {
            for run in runs {
                let shared = run.end.min(unit.end).saturating_sub(run.start.max(unit.start));
                assert!(
                    shared <= MAX_SLICE_CLEAR,
                    "clear segment: {name}, {shared} bytes of a slice at {at}"
                );
            }
        }
        at = unit.end;
    }
}

/// What was packed passes `verify` against its source, and `decrypt` takes it; returns what that wrote. Media that was
/// no stream of its codec before looks afterwards as under another key (`None`).
pub(crate) fn comes_back(
    (input, names): (&Folder, &[&str]),
    (packed, manifests): (&Folder, &[&str]),
    report: &Report,
) -> Option<Files> {
    assert!(!report.tracks.is_empty(), "packed without a protected track");
    let decrypted = match unpack(packed, manifests) {
        Err(error) if error.kind() == Kind::Verification => None,
        result => Some(result.unwrap_or_else(|error| panic!("decrypt refuses what was packed: {error}"))),
    };
    let proof = prove(packed, manifests, Some((input, names)));
    let proof = proof.unwrap_or_else(|error| panic!("verify fails: {error:?}"));
    for finding in proof.findings.listed() {
        assert!(finding.severity != "error", "verify fails what was packed: {finding:?}");
    }
    decrypted
}
