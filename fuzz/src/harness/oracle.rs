//! What a packed presentation must be, told by a reader of its own: no clear payload — ISO/IEC 23001-7 §9.

use std::collections::{BTreeMap, HashMap};

use drm_pack::base::Kind;
use drm_pack::job::Report;

use super::world::{Files, Folder, prove, unpack};

/// Blocks of the clear input that are looked for in the output.
const BLOCK: usize = 16;
/// Longest clear run in a slice of AVC or HEVC: its header, and nine blocks of a pattern.
const MAX_SLICE_CLEAR: usize = 1024;
/// Longest clear run in audio in block chaining: the ends of two samples, and chance.
const MAX_AUDIO_CLEAR: usize = 48;
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
pub(crate) fn clear_runs(clear: &[u8], output: &[u8]) -> Vec<std::ops::Range<usize>> {
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
        let runs: Vec<_> = clear.iter().flat_map(|clear| clear_runs(clear, &media)).collect();
        let all: usize = runs.iter().map(|run| run.len()).sum();
        let is_clear = media.len() >= LEAST_MEDIA && all + LEAST_MEDIA / 4 >= media.len();
        assert!(!is_clear || scheme == "cbcs" || scheme == "cens", "clear segment: {name}, {all} bytes");
        let longest = runs.iter().map(|run| run.len()).max().unwrap_or(0);
        match &original {
            b"mp4a" | b"ac-3" | b"ec-3" | b"Opus" | b"fLaC" => {
                let limit = if matches!(scheme, "cenc" | "cens") { 2 * BLOCK } else { MAX_AUDIO_CLEAR };
                assert!(longest <= limit, "clear segment: {name}, {longest} bytes of audio");
            }
            b"avc1" | b"avc3" => clear_slices(name, &media, &runs, |first| matches!(first & 31, 1..=5)),
            b"hvc1" | b"hev1" => clear_slices(name, &media, &runs, |first| first >> 1 & 63 < 32),
            _ => {}
        }
    }
}

/// Units behind lengths of four bytes, as encoders write them: ISO/IEC 14496-15 §5.3.3.
fn clear_slices(name: &str, media: &[u8], runs: &[std::ops::Range<usize>], is_slice: impl Fn(u8) -> bool) {
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
