//! The tracks of the clear source, and which protected track each belongs to — ISO/IEC 14496-12 §8.3.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::base::env::{Source, Store};
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{SampleEntry, Trex};
use crate::isobmff::samples::samples;
use crate::isobmff::track::{tracks, trexes};
use crate::job::{mend_key_frames, to_iso};
use crate::presentation::{self, read_moov};

use super::findings::Findings;
use super::fragmented::headers;
use super::fragmented::init::{Init, InitTrack};
use super::manifests::info::InitInfo;
use super::manifests::{Presentation, read};
use super::run::Reference;

/// A track of the clear source.
pub(super) struct ClearTrack<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) init: String,
    pub(super) files: Vec<String>,
    pub(super) moov: Arc<BoxNode>,
    pub(super) trexes: Vec<Trex>,
    pub(super) track_id: u32,
    pub(super) timescale: u32,
    pub(super) handler: [u8; 4],
    /// Whether its files are partial segments.
    pub(super) are_parts: bool,
}

/// The clear source as its manifests name it.
pub(super) struct ClearSource<'c, 's> {
    clear: &'c Reference<'s>,
    manifests: presentation::Presentation,
    files: Vec<String>,
}

impl<'c, 's> ClearSource<'c, 's> {
    /// Reads it; what is wrong with it is an error.
    pub(super) fn read(clear: &'c Reference<'s>) -> Result<Self> {
        let mut findings = Findings::default();
        let (manifests, files) = read(clear.store, &clear.names, &mut findings)?;
        no_findings(&findings)?;
        Ok(Self { clear, manifests, files })
    }

    /// Its tracks.
    pub(super) fn tracks(&self) -> Result<Vec<ClearTrack<'s>>> {
        let mut findings = Findings::default();
        let presentation = Presentation::of(self.clear.store, &self.manifests, &self.files, &mut findings)?;
        no_findings(&findings)?;
        clear_tracks(self.clear, &presentation)
    }

    /// Where it is, and its manifests.
    pub(super) fn manifests(&self) -> (&'c Reference<'s>, &presentation::Presentation) {
        (self.clear, &self.manifests)
    }
}

/// What is wrong with the clear source is an error.
fn no_findings(findings: &Findings) -> Result<()> {
    let first = findings.listed().first();
    first.map_or(Ok(()), |finding| Err(Error::input(finding.found.clone()).at("the clear source")))
}

/// The tracks of the clear source.
fn clear_tracks<'a>(clear: &Reference<'a>, presentation: &Presentation<'_>) -> Result<Vec<ClearTrack<'a>>> {
    let mut found = Vec::new();
    for rendition in &presentation.renditions {
        let at = |error: Error| error.at(&rendition.init.name);
        let mut moov = read_moov(clear.store, &rendition.init.name, rendition.init.range.as_ref())?;
        let is_one_file = rendition.files == [rendition.init.name.as_str()];
        if is_one_file {
            let source = clear.store.open(&rendition.init.name)?;
            to_iso(source.as_ref(), &mut moov).map_err(at)?;
            let trexes = trexes(&moov).map_err(at)?;
            mend_key_frames(&rendition.init.name, source.as_ref(), &mut moov, &trexes).map_err(at)?;
        }
        let moov = Arc::new(moov);
        let trexes = trexes(&moov).map_err(at)?;
        for track in tracks(&moov).map_err(at)? {
            // Of an MP4 file a track without samples is left out of the output.
            if is_one_file {
                let source = clear.store.open(&rendition.init.name)?;
                if samples(source.as_ref(), &moov, track.track_id, &trexes).map_err(at)?.next().is_none() {
                    continue;
                }
            }
            found.push(ClearTrack {
                store: clear.store,
                init: rendition.init.name.clone(),
                files: rendition.files.clone(),
                trexes: trexes.clone(),
                moov: Arc::clone(&moov),
                track_id: track.track_id,
                timescale: track.timescale,
                handler: track.handler_type.0,
                are_parts: rendition.are_parts,
            });
        }
    }
    Ok(found)
}

/// How many samples tell which track is which.
const COMPARED: usize = 64;

/// The sizes of the first samples of a track, in bytes; `None` when they cannot be read.
fn first_sizes(source: &dyn Source, moov: &BoxNode, track_id: u32, trexes: &[Trex]) -> Option<Vec<u32>> {
    let samples = samples(source, moov, track_id, trexes).ok()?;
    samples.take(COMPARED).map(|sample| Some(sample.ok()?.size)).collect()
}

fn sizes(store: &dyn Store, file: &str, init: &Init, track_id: u32) -> Option<Vec<u32>> {
    first_sizes(store.open(file).ok()?.as_ref(), &init.moov, track_id, &init.trexes)
}

impl ClearTrack<'_> {
    /// Whether its first samples have these sizes, as far as both are in their first file.
    fn begins_with(&self, sizes: &[u32]) -> bool {
        let source = self.files.first().and_then(|file| self.store.open(file).ok());
        let own =
            source.and_then(|source| first_sizes(source.as_ref(), &self.moov, self.track_id, &self.trexes));
        own.is_some_and(|own| own.iter().zip(sizes).all(|(own, other)| own == other))
    }
}

/// For each rendition, pairs of its `track_ID` and the number of the clear track.
pub(super) type Matches = Vec<Vec<(u32, usize)>>;

/// Tracks belong together that have the same init segment and id, or else samples of the same sizes, or else the same place
/// among their kind.
pub(super) fn match_tracks(
    presentation: &Presentation<'_>,
    inits: &[Option<InitInfo>],
    (clear, store): (&[ClearTrack<'_>], &dyn Store),
    findings: &mut Findings,
) -> Matches {
    let mut used: HashSet<usize> = HashSet::new();
    let mut counts: HashMap<([u8; 4], bool), usize> = HashMap::new();
    let (mut matches, mut named_before) = (Vec::new(), HashMap::new());
    for (rendition, facts) in presentation.renditions.iter().zip(inits) {
        let mut found = Vec::new();
        for track in facts.iter().flat_map(|facts| &facts.init.tracks) {
            let kind = track.handler_type.0;
            let count = counts.entry((kind, rendition.are_parts)).or_default();
            let number = *count;
            *count += 1;
            let is_of_kind =
                |clear: &ClearTrack<'_>| clear.handler == kind && clear.are_parts == rendition.are_parts;
            let is_named = |clear: &ClearTrack<'_>| {
                clear.init == rendition.init.name && clear.track_id == track.track_id && is_of_kind(clear)
            };
            // Manifests may give the range of the init segment in one place and leave it to be found in another.
            let again =
                named_before.entry((&rendition.init.name, track.track_id, rendition.are_parts)).or_insert(0);
            let mut of_name = clear.iter().enumerate().filter(|(_, clear)| is_named(clear));
            let named = of_name.clone().nth(*again).or_else(|| of_name.next()).map(|(index, _)| index);
            *again += 1;
            let of_kind = || clear.iter().enumerate().filter(|(_, clear)| is_of_kind(clear));
            let at_its_place = of_kind().nth(number);
            // Packaging may put tracks into another order; encryption leaves samples their sizes.
            let matched = named.or_else(|| {
                let file = rendition.files.first()?;
                let own = facts.as_ref().and_then(|facts| sizes(store, file, &facts.init, track.track_id));
                let same = |(_, clear): &(usize, &ClearTrack<'_>)| {
                    own.as_ref().is_some_and(|own| clear.begins_with(own))
                };
                let unused = || of_kind().filter(|(index, _)| !used.contains(index));
                let found = at_its_place.filter(same).or_else(|| unused().find(same));
                found.or(at_its_place).map(|(index, _)| index)
            });
            used.extend(matched);
            // A source may have no partial segments: then those of the output are not compared.
            if matched.is_none() && rendition.are_parts {
                let name = rendition.files.first().map_or("", String::as_str);
                findings.unchecked(format!(
                    "equality of partial segments with the clear source, from {name} on: it has none"
                ));
                continue;
            }
            if track.protection().is_some() {
                let place = format!("{}: track {}", rendition.init.name, track.track_id);
                let holds = matched.is_some();
                findings.check(
                    "payload-samples",
                    holds,
                    &place,
                    &"a track",
                    &"none of its kind in the source",
                );
            }
            if let Some(clear) = matched.and_then(|index| clear.get(index)) {
                let moov = facts.as_ref().map(|facts| &facts.init.moov);
                moov.into_iter()
                    .for_each(|moov| check_entries((moov, track), clear, &rendition.init.name, findings));
            }
            found.extend(matched.map(|index| (track.track_id, index)));
        }
        matches.push(found);
    }
    matches
}

/// What the initialization segment says of the media is what the source says: protection changes none of it.
fn check_entries(
    (init, track): (&BoxNode, &InitTrack),
    clear: &ClearTrack<'_>,
    name: &str,
    findings: &mut Findings,
) {
    let place = format!("{name}: track {}", track.track_id);
    let Some(source) =
        tracks(&clear.moov).ok().and_then(|all| all.into_iter().find(|one| one.track_id == clear.track_id))
    else {
        return;
    };
    let timescale = format_args!("timescale {}", track.timescale).to_string();
    let expected = source.timescale;
    findings.check("entry-equal", track.timescale == expected, &place, &timescale, &expected);
    headers::check_equal((init, track.track_id), (&clear.moov, clear.track_id), &place, findings);
    for entry in &track.entries {
        let entry = &entry.clear;
        let holds = source.sample_entries.iter().any(|other| is_same(entry, other));
        findings.check(
            "entry-equal",
            holds,
            &place,
            &format_args!("another {}", entry.format).to_string(),
            &"that of the source",
        );
    }
}

/// Whether two sample entries have one type, the same fields, and the same contents in each kind of box that both have.
fn is_same(entry: &SampleEntry, other: &SampleEntry) -> bool {
    let differs = |node: &BoxNode| {
        let twin = other.boxes.iter().find(|twin| twin.kind == node.kind);
        twin.is_some_and(|twin| twin.payload() != node.payload())
    };
    entry.format == other.format && entry.fields == other.fields && !entry.boxes.iter().any(differs)
}
