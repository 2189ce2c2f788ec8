//! Boxes by the names, flags and fixed fields that their standards give — ISO/IEC 14496-12 §4.2, §8.
//!
//! Readers pass over boxes of unknown types and take fixed fields for granted: what was to be said there is lost without
//! a word. An unknown type is no fault; it is listed as not proven.

use std::fmt::Display;

use crate::base::env::Source;
use crate::base::{FourCc, Result};
use crate::isobmff::boxes::Sbgp;
use crate::isobmff::{Body, BoxNode};

use crate::isobmff::file::BoxHeader;
use crate::isobmff::track::trak;

use super::init::Init;
use super::unread::UnreadBoxes;
use crate::verify::findings::Findings;

/// Types of boxes: ISO/IEC 14496-12, 14496-15, 23001-7, and those that codecs, DASH, CMAF and QuickTime add.
const KNOWN: &[&[u8; 4]] = &[
    b"ftyp", b"styp", b"moov", b"mvhd", b"meta", b"udta", b"trak", b"tkhd", b"tref", b"trgr", b"edts",
    b"elst", b"mdia", b"mdhd", b"hdlr", b"elng", b"minf", b"vmhd", b"smhd", b"hmhd", b"nmhd", b"sthd",
    b"gmhd", b"dinf", b"dref", b"url ", b"urn ", b"imdt", b"snim", b"stbl", b"stsd", b"stts", b"ctts",
    b"cslg", b"stsc", b"stsz", b"stz2", b"stco", b"co64", b"stss", b"stsh", b"padb", b"stdp", b"sdtp",
    b"sbgp", b"sgpd", b"csgp", b"subs", b"saiz", b"saio", b"mvex", b"mehd", b"trex", b"leva", b"trep",
    b"moof", b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun", b"senc", b"pssh", b"mdat", b"imda", b"free",
    b"skip", b"wide", b"uuid", b"sidx", b"ssix", b"prft", b"emsg", b"mfra", b"tfra", b"mfro", b"sinf",
    b"frma", b"schm", b"schi", b"tenc", b"pdin", b"ilst", b"iods", b"cprt", b"tsel", b"kind", b"strk",
    b"name", b"\xa9too", b"load", b"clef", b"prof", b"enof", b"tapt", b"ID32",
    // In sample entries.
    b"avcC", b"hvcC", b"lhvC", b"vvcC", b"av1C", b"vpcC", b"dvcC", b"dvvC", b"dvwC", b"avcE", b"hvcE",
    b"esds", b"dac3", b"dec3", b"dac4", b"dOps", b"dfLa", b"alac", b"ddts", b"udts", b"dmlp", b"mhaC",
    b"mhaP", b"iacb", b"srat", b"chnl", b"dmix", b"colr", b"pasp", b"clap", b"fiel", b"btrt", b"mdcv",
    b"clli", b"cclv", b"amve", b"SmDm", b"CoLL", b"vexu", b"eyes", b"hfov", b"stri", b"hero", b"cams",
    b"proj", b"prji", b"pack", b"st3d", b"sv3d", b"vttC", b"vlab", b"mime", b"ftab", b"txtC", b"wave",
    b"chan", b"gama", b"m4ds", b"lmvC", b"oinf", b"ludt",
];

/// The fields of a box that are what they are: bytes of its payload from a place on.
struct Fixed {
    kind: &'static [u8; 4],
    /// The versions that it has.
    versions: &'static [u8],
    /// The flags that it may have, and those of them that it has.
    flags: (u32, u32),
    /// Runs of bytes that are zero, in versions 0 and 1: where, and how many.
    zeros: [&'static [(usize, usize)]; 2],
}

const fn fixed(
    kind: &'static [u8; 4],
    versions: &'static [u8],
    flags: (u32, u32),
    zeros: [&'static [(usize, usize)]; 2],
) -> Fixed {
    Fixed { kind, versions, flags, zeros }
}

const FIXED: &[Fixed] = &[
    fixed(b"mvhd", &[0, 1], (0, 0), [&[(26, 10), (72, 24)], &[(38, 10), (84, 24)]]),
    fixed(b"tkhd", &[0, 1], (15, 1), [&[(16, 4), (24, 8), (38, 2)], &[(24, 4), (36, 8), (50, 2)]]),
    fixed(b"mdhd", &[0, 1], (0, 0), [&[(22, 2)], &[(34, 2)]]),
    fixed(b"hdlr", &[0], (0, 0), [&[(4, 4), (12, 12)], &[]]),
    fixed(b"vmhd", &[0], (1, 0), [&[], &[]]),
    fixed(b"smhd", &[0], (0, 0), [&[(6, 2)], &[]]),
    fixed(b"elst", &[0, 1], (1, 0), [&[], &[]]),
    fixed(b"dref", &[0], (0, 0), [&[], &[]]),
    fixed(b"stsd", &[0, 1], (0, 0), [&[], &[]]),
    fixed(b"stts", &[0], (0, 0), [&[], &[]]),
    fixed(b"stsc", &[0], (0, 0), [&[], &[]]),
    fixed(b"stsz", &[0], (0, 0), [&[], &[]]),
    fixed(b"stco", &[0], (0, 0), [&[], &[]]),
    fixed(b"mehd", &[0, 1], (0, 0), [&[], &[]]),
    fixed(b"trex", &[0], (0, 0), [&[], &[]]),
    fixed(b"mfhd", &[0], (0, 0), [&[], &[]]),
    fixed(b"url ", &[0], (1, 1), [&[], &[]]),
    fixed(b"tfhd", &[0], (0x03_003b, 0), [&[], &[]]),
    fixed(b"trun", &[0, 1], (0xf05, 0), [&[], &[]]),
    fixed(b"tfdt", &[0, 1], (0, 0), [&[], &[]]),
];

/// Tables of samples, which are empty where samples are in fragments: §8.8.1.
const TABLES: &[&[u8; 4]] = &[b"stts", b"stsc", b"stsz", b"stco", b"co64"];

/// Looks at the boxes of an initialization segment.
pub(in crate::verify) fn check_init(init: &Init, place: &str, findings: &mut Findings) {
    check_below(&init.moov, place, findings);
    for track in &init.tracks {
        let place = format!("{place}: track {}", track.track_id);
        for node in track.entries.iter().flat_map(|entry| &entry.clear.boxes) {
            check_kind(node, &place, findings);
        }
    }
    let is_fragmented = init.moov.find(&[b"mvex"]).is_some();
    for trak in init.moov.all(b"trak") {
        let Some(stbl) = trak.find(&[b"mdia", b"minf", b"stbl"]) else { continue };
        if let Some(stsd) = stbl.find(&[b"stsd"]) {
            let stated =
                fields(stsd).get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
            let count = stsd.boxes().len();
            let holds = stated.is_some_and(|stated| stated as usize == count);
            let found = format!("entry_count {} of stsd", stated.unwrap_or_default());
            findings.check("box-fields", holds, &place, &found, &count);
        }
        // A file of samples and fragments has all of these tables: §8.7.
        let is_empty = |table: &&BoxNode| table.payload().iter().skip(4).all(|byte| *byte == 0);
        let tables = || stbl.boxes().iter().filter(|table| TABLES.iter().any(|kind| table.is(kind)));
        let empty = tables().filter(is_empty).count();
        let holds = !is_fragmented || empty == 0 || empty == tables().count();
        let found =
            tables().find(|table| !is_empty(table)).map_or_else(String::new, |table| table.kind.to_string());
        findings.check("box-fields", holds, &place, &format_args!("{found} has samples"), &"empty tables");
        if let Some(elst) = trak.find(&[b"edts", b"elst"]) {
            edit_rates(elst.payload(), place, findings);
        }
    }
}

/// Edits play at the rate of the media, or dwell: §8.6.6.
fn edit_rates(elst: &[u8], place: &str, findings: &mut Findings) {
    let length = if elst.first() == Some(&1) { 20 } else { 12 };
    for entry in elst.get(8..).unwrap_or_default().chunks_exact(length) {
        let rate = entry.last_chunk::<4>().copied().unwrap_or_default();
        let holds = rate == [0, 1, 0, 0] || rate == [0; 4];
        findings.check("box-fields", holds, &place, &format_args!("media_rate {rate:?} of elst"), &"1 or 0");
    }
}

/// Looks at the types of the boxes of an initialization segment in a file of its own.
pub(in crate::verify) fn check_file(
    source: &dyn Source,
    name: &str,
    unread: &mut UnreadBoxes,
    findings: &mut Findings,
) -> Result<()> {
    let mut position = 0;
    while let Some(header) = BoxHeader::read(source, position)? {
        check_top(&header, name, findings);
        unread.top((&header, source), true, name, findings)?;
        position = header.end();
    }
    Ok(())
}

/// Looks at the type of a box of a file.
pub(in crate::verify) fn check_top(header: &BoxHeader, name: &str, findings: &mut Findings) {
    if !is_known(header.kind) {
        findings.unchecked(format!(
            "{name}: box {} at byte {}, which is none that is known",
            header.kind, header.position
        ));
    }
}

/// Looks at a box and those in it.
pub(in crate::verify) fn check_below(node: &BoxNode, place: &str, findings: &mut Findings) {
    check_kind(node, place, findings);
    // The children of descriptions are fields and boxes of codecs.
    for child in node.boxes().iter().filter(|_| !node.is(b"stsd")) {
        check_below(child, place, findings);
    }
}

/// Groupings of samples: ISO/IEC 14496-12 §10, 14496-15, 23001-7.
const GROUPINGS: &[&[u8; 4]] = &[
    b"roll", b"prol", b"rap ", b"tele", b"sap ", b"seig", b"rash", b"alst", b"sync", b"tscl", b"tsas",
    b"nalm", b"ainf", b"avll", b"avss", b"stsa", b"trif", b"oinf", b"linf", b"spor", b"aftr", b"scnm",
    b"scif", b"svip", b"dtrt", b"vipr", b"pasr", b"seqh", b"eyec", b"imgt", b"opth", b"av1s", b"av1f",
    b"av1M", b"vvcb",
];

/// A group is of a kind that is known and covers no more samples than there are: §8.9.2.
pub(in crate::verify) fn check_groups(
    traf: &BoxNode,
    samples: usize,
    place: &dyn Display,
    findings: &mut Findings,
) {
    for sbgp in traf.all(b"sbgp") {
        // Those of encryption are read apart; of others players need nothing.
        let Ok(Sbgp { grouping_type, entries, .. }) = Sbgp::parse(sbgp.payload()) else {
            findings.check("box-fields", false, place, &"a sbgp that is cut off", &"its entries");
            continue;
        };
        if !GROUPINGS.iter().any(|known| **known == grouping_type.0) {
            findings.unchecked(format!("{place}: groups of {grouping_type}, which are none that are known"));
        }
        let covered: u64 = entries.iter().map(|entry| u64::from(entry.sample_count)).sum();
        let found = format!("groups of {grouping_type} for {covered} samples");
        findings.check("box-fields", covered <= samples as u64, place, &found, &samples);
    }
}

/// Looks at the type and the fixed fields of a box.
fn check_kind(node: &BoxNode, place: &str, findings: &mut Findings) {
    if !is_known(node.kind) {
        findings.unchecked(format!("{place}: box {}, which is none that is known", node.kind));
        return;
    }
    let Some(fixed) = FIXED.iter().find(|fixed| node.is(fixed.kind)) else { return };
    let bytes = fields(node);
    let Some([version, flags @ ..]) = bytes.first_chunk::<4>() else { return };
    let flags = u32::from_be_bytes([0, flags[0], flags[1], flags[2]]);
    let (allowed, needed) = fixed.flags;
    let fits = flags & !allowed == 0 && flags & needed == needed;
    let holds = fixed.versions.contains(version) && fits;
    let expected = format!("versions {:?}, flags of {allowed:#x} with {needed:#x}", fixed.versions);
    let found = format!("{} of version {version} with flags {flags:#x}", node.kind);
    findings.check("box-fields", holds, &place, &found, &expected);
    for (from, count) in fixed.zeros.get(usize::from(*version)).copied().unwrap_or_default() {
        let reserved = bytes.get(*from..from + count).unwrap_or_default();
        let holds = reserved.iter().all(|byte| *byte == 0);
        let found = format!("reserved fields of {}", node.kind);
        findings.check("box-fields", holds, &place, &found, &"zeros");
    }
}

/// The payload of a box, or what stands in it before the boxes in it.
fn fields(node: &BoxNode) -> &[u8] {
    match &node.body {
        Body::Data(bytes) => bytes,
        Body::Children { fields, .. } => fields,
    }
}

/// Whether a type of boxes is one that standards have.
pub(super) fn is_known(kind: FourCc) -> bool {
    KNOWN.iter().any(|known| **known == kind.0) || kind.0.first() == Some(&0xa9)
}

/// Fields of boxes of a `moov` that packaging keeps: in versions 0 and 1, where they begin, and how many bytes they are.
const KEPT: &[(&[u8; 4], [usize; 2], usize)] = &[
    // Layer, alternate_group and volume may be written anew; the matrix, the width and the height turn pictures round.
    (b"tkhd", [40, 52], 44),
];

/// Holds what says how pictures are shown to the clear source.
pub(in crate::verify) fn check_equal(
    (moov, track_id): (&BoxNode, u32),
    (clear, clear_id): (&BoxNode, u32),
    place: &str,
    findings: &mut Findings,
) {
    for (kind, from, count) in KEPT {
        let of = |moov, track_id| {
            let found = trak(moov, track_id).ok()?.find(&[kind])?.payload();
            let from = *from.get(usize::from(*found.first()?))?;
            found.get(from..from + count)
        };
        let holds = of(moov, track_id) == of(clear, clear_id);
        let found = format!("another matrix or size in {}", FourCc(**kind));
        findings.check("entry-equal", holds, &place, &found, &"that of the source");
    }
}
