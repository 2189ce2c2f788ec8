//! A verification from names of files to findings — its order: manifests, init segments, media, manifests again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use rayon::prelude::*;

use crate::base::env::{Source, Store};
use crate::base::{KeyStore, Kid, Result};
use crate::demux::DemuxStore;
use crate::package::{Proofs, UnreadBytes};
use crate::presentation::read_moov;

use super::clear_tracks;
use super::findings::{Findings, found_or_error};
use super::fragmented::coverage::MediaData;
use super::fragmented::file::{FileCheck, FileInfo};
use super::fragmented::headers;
use super::fragmented::init::Init;
use super::fragmented::iv::{CounterBlocks, Reuse, StreamKey};
use super::fragmented::pssh;
use super::fragmented::unread::UnreadBoxes;
use super::hidden;
use super::manifests::agreement::Agreement;
use super::manifests::clear_times::{self, VerifiedTrack};
use super::manifests::info::{InitInfo, PresentationInfo};
use super::manifests::{Presentation, read};
use super::manifests::{dash, hls, images, systems, unprotected};
use super::proven::{NO_KEYS, all_keys_fit};
use super::reference::{ClearSource, ClearTrack, match_tracks};
use super::segments;
use super::shared_keys;
use super::source::{ClearFile, SourceTracks};
use super::unreferenced;

/// What `verify` is asked to do.
pub struct VerifyJob<'a> {
    /// Where the presentation is.
    pub store: &'a dyn Store,
    /// Manifests, or MP4 files; a file without a `moov` belongs to the one before it that has one.
    pub names: Vec<String>,
    /// The keys; `None` checks only what can be seen without.
    pub key_store: Option<&'a dyn KeyStore>,
    /// The clear source.
    pub against: Option<Reference<'a>>,
    /// Tracks that were left clear on purpose: their files, ids of their Representations, or names of their playlists.
    pub clear_tracks: &'a [String],
    /// The files of the folder, whether a manifest names them or not; none where they cannot be listed.
    pub beside: &'a [String],
}

/// A clear source: a manifest or MP4 files.
#[derive(Clone)]
pub struct Reference<'a> {
    /// Where it is.
    pub store: &'a dyn Store,
    /// Manifests or MP4 files.
    pub names: Vec<String>,
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Checks and findings.
    pub findings: Findings,
    /// The tracks of video and audio, and when each is clear.
    pub tracks: Vec<VerifiedTrack>,
    /// How many media files were read.
    pub files: u64,
    /// How many samples were checked.
    pub samples: u64,
    /// How many of them are protected.
    pub protected_samples: u64,
    /// The media files, as the counter blocks count them.
    pub(super) media: Vec<String>,
    /// Which counter blocks were used.
    pub(super) blocks: CounterBlocks,
    /// The keys of samples, and their ids.
    pub(super) keys: BTreeSet<(StreamKey, Kid)>,
}

/// Files that are read one behind the other.
struct Unit {
    rendition: usize,
    /// Numbers of the first file among all, and of the file among those of the rendition.
    number: usize,
    files: Range<usize>,
}

struct Done {
    files: Vec<(String, FileInfo)>,
    findings: Findings,
    blocks: CounterBlocks,
}

/// Verifies a protected presentation.
///
/// # Errors
/// When something is not verified at all, such as transport streams of packets of 192 bytes; when a key is missing;
/// when a file cannot be read.
/// What breaks a rule is no error but a finding.
pub fn verify(job: &VerifyJob<'_>) -> Result<Verification> {
    // What is no MP4 file was packed as if it were.
    let demuxed =
        job.against.as_ref().map(|clear| (DemuxStore::new(clear.store, &clear.names), clear.names.clone()));
    let against = demuxed.as_ref().map(|(store, names)| Reference { store, names: names.clone() });
    hold(&VerifyJob {
        store: job.store,
        names: job.names.clone(),
        key_store: job.key_store,
        against,
        clear_tracks: job.clear_tracks,
        beside: job.beside,
    })
}

fn hold(job: &VerifyJob<'_>) -> Result<Verification> {
    let mut findings = Findings::default();
    let (manifests, files) = read(job.store, &job.names, &mut findings)?;
    let presentation = Presentation::of(job.store, &manifests, &files, &mut findings)?;
    let inits = inits(job, &presentation, &mut findings)?;
    unreferenced::check(job, &manifests, &mut findings)?;
    clear_tracks::check(job.clear_tracks, &inits, &presentation, &mut findings);
    shared_keys::check(&inits, &mut findings);
    let source = job.against.as_ref().map(ClearSource::read).transpose()?;
    // What is encrypted whole is compared byte by byte.
    let of_mp4 = source.as_ref().filter(|_| !presentation.renditions.is_empty());
    let clear = of_mp4.map(ClearSource::tracks).transpose()?;
    let matches =
        clear.as_ref().map(|clear| match_tracks(&presentation, &inits, (clear, job.store), &mut findings));
    let units = units(&presentation, matches.as_deref(), clear.as_deref());
    let done: Vec<Done> = units
        .par_iter()
        .map(|unit| run_unit(job, &presentation, &inits, unit, clear.as_deref(), matches.as_deref()))
        .collect::<Result<_>>()?;
    let mut verification = Verification::default();
    let mut facts =
        PresentationInfo { inits: &inits, files: HashMap::new(), rotated: false, key_store: job.key_store };
    let names = presentation.renditions.iter().flat_map(|rendition| &rendition.files).collect::<Vec<_>>();
    let (mut blocks, mut proofs) = (CounterBlocks::default(), Proofs::default());
    let mut encrypted: BTreeMap<(usize, u32), u64> = BTreeMap::new();
    for (unit, done) in units.iter().zip(done) {
        findings.merge(done.findings);
        let name = |number: usize| names.get(number).map_or("", |name| name.as_str());
        blocks.merge(done.blocks, 0, &mut |Reuse { kid, first, before, file }| {
            let found = format!("counter block {first:032x} under key {kid}, used in {} too", name(before));
            findings.check("iv-reuse", false, &name(file), &found, &"counter blocks not used before");
        });
        for (name, file) in done.files {
            verification.files += 1;
            verification.samples += file.samples;
            verification.protected_samples += file.protected_samples;
            proofs.merge(&file.proofs);
            verification.keys.extend(&file.keys);
            let own = facts.keys(unit.rendition);
            let is_own = |kid: Kid| own.iter().any(|(known, _)| *known == kid);
            facts.rotated |=
                file.fragments.iter().filter_map(|fragment| fragment.kid).any(|kid| !is_own(kid));
            for (track, bytes) in &file.encrypted {
                *encrypted.entry((unit.rendition, *track)).or_default() += bytes;
            }
            facts.files.insert(name, file);
        }
    }
    hidden::check(&facts, clear.as_deref().unwrap_or_default(), &mut findings)?;
    shared_keys::check_values(&verification.keys, "the presentation", &mut findings);
    check_encrypted(&inits, &encrypted, &mut findings);
    if blocks.is_full() {
        findings.unchecked("counter blocks: there are more samples than are remembered");
    }
    let mut agreement = Agreement::of_media(&facts, &mut findings);
    for manifest in &presentation.mpds {
        dash::check(manifest, &facts, &mut agreement, &mut findings)
            .map_err(|error| error.at(&manifest.document.name))?;
    }
    verification.tracks = clear_times::tracks(&presentation, &facts)?;
    hls::check(&presentation, &facts, &mut agreement, &mut findings)?;
    systems::check(&presentation, &facts, &agreement, &mut findings);
    images::check(job.store, &manifests, &mut findings)?;
    if verification.protected_samples > 0 && job.key_store.is_none() {
        findings.unchecked(NO_KEYS);
    }
    let source = source.as_ref().map(ClearSource::manifests);
    if let Some(source) = source {
        unprotected::check(job, &presentation, &inits, source, &mut findings)?;
    }
    let (files, totals) = segments::run::check(job, &presentation, source, &mut findings)?;
    verification.files += files;
    verification.samples += totals.samples;
    verification.protected_samples += totals.protected_samples;
    findings.merge(totals.findings);
    proofs.merge(&totals.proofs);
    job.key_store.into_iter().for_each(|key_store| proofs.settle_ivs(key_store));
    all_keys_fit(&proofs, &mut findings);
    verification.findings = findings;
    (verification.media, verification.blocks) = (names.into_iter().cloned().collect(), blocks);
    Ok(verification)
}

/// Init segments; `None` for one that is missing or cannot be read, which is a finding.
fn inits(
    job: &VerifyJob<'_>,
    presentation: &Presentation<'_>,
    findings: &mut Findings,
) -> Result<Vec<Option<InitInfo>>> {
    let mut inits = Vec::new();
    for rendition in &presentation.renditions {
        let name = &rendition.init.name;
        let exists = job.store.exists(name)?;
        if !findings.check("file-missing", exists, name, &"no such file", &"an initialization segment") {
            inits.push(None);
            continue;
        }
        let moov = read_moov(job.store, name, rendition.init.range.as_ref());
        let checked = moov.and_then(|moov| {
            let init = Init::check(moov, name, findings)?;
            let mut unread = UnreadBoxes::default();
            unread.below(&init.moov, name, findings);
            if !rendition.files.contains(name) {
                headers::check_file(job.store.open(name)?.as_ref(), name, &mut unread, findings)?;
            }
            if !rendition.content.is_media() {
                check_label(&init, name, findings);
            }
            let pssh = pssh::check_boxes(&init.moov, &init.keys(), name, job.key_store, findings);
            Ok(InitInfo { name: name.clone(), init, pssh, unread })
        });
        inits.push(found_or_error("box-tree", checked, name, findings)?);
    }
    Ok(inits)
}

/// What a manifest does not call media has no clear tracks of video or audio.
fn check_label(init: &Init, name: &str, findings: &mut Findings) {
    for track in &init.tracks {
        let (place, kind) = (format!("{name}: track {}", track.track_id), track.handler_type);
        // What is protected all the same is in no danger.
        let holds = !track.is_protectable() || track.protection().is_some();
        findings.check(
            "mislabeled",
            holds,
            &place,
            &format_args!("a clear {kind} track"),
            &"what the manifest says",
        );
    }
}

/// Pictures that are said to be protected are.
fn check_encrypted(
    inits: &[Option<InitInfo>],
    encrypted: &BTreeMap<(usize, u32), u64>,
    findings: &mut Findings,
) {
    for ((rendition, track_id), bytes) in encrypted {
        let facts = inits.get(*rendition).and_then(Option::as_ref);
        let track = facts.and_then(|facts| Some((facts, facts.init.track(*track_id)?)));
        let Some((facts, _)) = track.filter(|(_, track)| track.handler_type.0 == *b"vide") else { continue };
        let place = format!("{}: track {track_id}", facts.name);
        let found = "protected samples of which no byte is encrypted";
        findings.check("track-protected", *bytes > 0, &place, &found, &"encrypted bytes");
    }
}

/// File by file, unless the source is divided otherwise: then a rendition is read from its first file on.
fn units(
    presentation: &Presentation<'_>,
    matches: Option<&[Vec<(u32, usize)>]>,
    clear: Option<&[ClearTrack<'_>]>,
) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut number = 0;
    for (index, rendition) in presentation.renditions.iter().enumerate() {
        let count = rendition.files.len();
        let matched = matches.and_then(|matches| matches.get(index)).map_or(&[][..], Vec::as_slice);
        let is_parallel = matched.iter().all(|(_, track)| {
            clear.and_then(|clear| clear.get(*track)).is_some_and(|clear| clear.files.len() == count)
        });
        if is_parallel {
            units.extend((0..count).map(|file| Unit {
                rendition: index,
                number: number + file,
                files: file..file + 1,
            }));
        } else {
            units.push(Unit { rendition: index, number, files: 0..count });
        }
        number += count;
    }
    units
}

fn run_unit(
    job: &VerifyJob<'_>,
    presentation: &Presentation<'_>,
    inits: &[Option<InitInfo>],
    unit: &Unit,
    clear: Option<&[ClearTrack<'_>]>,
    matches: Option<&[Vec<(u32, usize)>]>,
) -> Result<Done> {
    let mut done =
        Done { files: Vec::new(), findings: Findings::default(), blocks: CounterBlocks::default() };
    let rendition = presentation.renditions.get(unit.rendition);
    let facts = inits.get(unit.rendition).and_then(Option::as_ref);
    let (Some(rendition), Some(facts)) = (rendition, facts) else { return Ok(done) };
    let pairs = matches.and_then(|matches| matches.get(unit.rendition)).map_or(&[][..], Vec::as_slice);
    let pairs: Vec<(u32, &ClearTrack<'_>)> =
        pairs.iter().filter_map(|(id, track)| Some((*id, clear?.get(*track)?))).collect();
    // Of partial segments that the source does not have there is a note.
    let is_compared = clear.is_some() && !(rendition.are_parts && pairs.is_empty());
    let mut opened: Vec<(u32, &ClearTrack<'_>, Box<dyn Source>)> = Vec::new();
    for (id, track) in pairs {
        let same = track.files.len() == rendition.files.len();
        let files = if same { track.files.get(unit.files.clone()) } else { Some(track.files.as_slice()) };
        for name in files.unwrap_or_default() {
            opened.push((id, track, track.store.open(name)?));
        }
    }
    let mut sources = SourceTracks::default();
    for (id, track, source) in &opened {
        let file = ClearFile {
            source: source.as_ref(),
            moov: &track.moov,
            trexes: &track.trexes,
            track_id: track.track_id,
            timescale: track.timescale,
            is_cut: facts.init.moov.find(&[b"mvex"]).is_some(),
        };
        sources.add(*id, &file)?;
    }
    let names = rendition.files.get(unit.files.clone()).unwrap_or_default();
    for (number, name) in (unit.number..).zip(names) {
        let exists = job.store.exists(name)?;
        if !done.findings.check("file-missing", exists, name, &"no such file", &"a media segment") {
            continue;
        }
        let source = job.store.open(name)?;
        let mut check = FileCheck {
            name,
            number,
            source: source.as_ref(),
            init: &facts.init,
            key_store: job.key_store,
            findings: &mut done.findings,
            blocks: &mut done.blocks,
            clear: is_compared.then_some(&mut sources),
            parsers: HashMap::new(),
            marks: HashMap::new(),
            facts: FileInfo::default(),
            media_data: MediaData::default(),
            unread: UnreadBytes::default(),
        };
        let result = check.run();
        let facts = std::mem::take(&mut check.facts);
        found_or_error("box-tree", result, name, &mut done.findings)?;
        done.files.push((name.clone(), facts));
    }
    for (track, left) in sources.left() {
        let place = format!("{}: track {track}", names.last().map_or("", String::as_str));
        let found = format!("{left} samples fewer than the source");
        done.findings.check("payload-samples", false, &place, &found, &"as many");
    }
    Ok(done)
}
