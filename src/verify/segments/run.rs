//! Every piece of a presentation held to the rules, on all cores: found, decrypted, compared — RFC 8216bis §4.4.4,
//! §5.2.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use rayon::prelude::*;

use crate::base::env::Source;
use crate::base::{Kid, Kind, Result};
use crate::package::{FirstBlocks, IV_CONTRADICTED, PlaylistKeyResolver, Proofs};
use crate::presentation::{self, Asset, ByteRangeSource, Resource, Role, SegmentKind};

use super::stream_segment::StreamCheck;
use super::times::{self, AllBegins, Begins};
use super::whole_segment;
use super::{Protection, SegmentPlaylist, SegmentRef, identity};
use crate::verify::findings::Findings;
use crate::verify::manifests::Presentation;
use crate::verify::proven::NO_KEYS;
use crate::verify::run::{Reference, VerifyJob};

/// What was found of some pieces.
#[derive(Default)]
pub(in crate::verify) struct Totals {
    pub(in crate::verify) samples: u64,
    pub(in crate::verify) protected_samples: u64,
    pub(in crate::verify) findings: Findings,
    pub(in crate::verify) proofs: Proofs,
    /// What segments in AES-128 show of their IVs.
    first_blocks: FirstBlocks,
    /// When segments begin.
    begins: AllBegins,
}

/// Where the bytes of a clear piece are.
type ClearPiece = (String, Option<Range<u64>>);

/// The clear pieces of a playlist by kind and number.
type ClearPlaylist = HashMap<(Role, u32), ClearPiece>;
/// A file that is open, and the range that counts.
type OpenPiece = (Box<dyn Source>, Option<Range<u64>>);

/// The pieces of the clear source by the name of the playlist.
struct ClearPieces(Vec<(String, ClearPlaylist)>);

impl ClearPieces {
    fn of(presentation: &presentation::Presentation) -> Self {
        let segment = |segment: &Resource| {
            ((segment.role, segment.number), (segment.file.clone(), segment.range.clone()))
        };
        let playlists = presentation.playlists.iter();
        Self(playlists.map(|media| (media.name.clone(), media.present().map(segment).collect())).collect())
    }

    /// The playlist of the same name, or else the only one.
    fn playlist(&self, name: &str) -> Option<&ClearPlaylist> {
        let named = self.0.iter().find(|(known, _)| known == name);
        let only = || self.0.first().filter(|_| self.0.len() == 1);
        named.or_else(only).map(|(_, segments)| segments)
    }
}

/// Checks every piece once and returns how many files there are.
pub(in crate::verify) fn check(
    job: &VerifyJob<'_>,
    presentation: &Presentation<'_>,
    clear: Option<(&Reference<'_>, &presentation::Presentation)>,
    findings: &mut Findings,
) -> Result<(u64, Totals)> {
    let against = clear.map(|(clear, known)| (clear, ClearPieces::of(known)));
    let (mut known, mut all) = (HashSet::new(), Vec::new());
    for media in &presentation.segments {
        if let Some((_, clear)) = &against {
            check_count(media, clear, findings);
        }
        for segment in &media.segments {
            let resource = segment.resource;
            // Another playlist may name it under another key or IV, or as something else: then it is looked at again.
            let is_media = media.protection != Protection::Never;
            if known.insert((resource.file.as_str(), resource.bounds(), is_media, identity(resource))) {
                all.push((media, segment));
            }
        }
    }
    let check = Check { job, against };
    presentation.segments.iter().try_for_each(|media| check.key_files(media, findings))?;
    let others = check.others(presentation, findings)? + check.assets(presentation.assets, findings)?;
    let segment = |(media, segment): &(&SegmentPlaylist<'_>, &SegmentRef<'_>)| {
        let mut totals = Totals::default();
        totals.samples =
            check.segment(media, segment, &mut totals).map_err(|error| error.at(segment.resource))?;
        let is_protected = media.protection != Protection::Never && !segment.resource.keys.is_empty();
        totals.protected_samples = if is_protected { totals.samples } else { 0 };
        Ok(totals)
    };
    let totals = all.par_iter().map(segment).try_reduce(Totals::default, |mut totals, more| {
        totals.samples += more.samples;
        totals.protected_samples += more.protected_samples;
        totals.findings.merge(more.findings);
        totals.proofs.merge(&more.proofs);
        totals.first_blocks.merge(more.first_blocks);
        totals.begins.extend(more.begins);
        Ok(totals)
    })?;
    times::check(&presentation.segments, &totals.begins, findings);
    let contradictions = totals.first_blocks.contradictions();
    for playlist in totals.first_blocks.playlists() {
        let holds = !contradictions.contains(playlist);
        findings.check("whole-iv", holds, &playlist, &IV_CONTRADICTED, &"the IV of each segment");
    }
    for open in totals.first_blocks.not_proven() {
        findings.unchecked(format!("{open}; give the clear source with --against"));
    }
    let files = all.iter().map(|(_, segment)| &segment.resource.file).collect::<HashSet<_>>().len() as u64;
    Ok((files + others, totals))
}

/// The clear source has no more segments.
fn check_count(playlist: &SegmentPlaylist<'_>, clear: &ClearPieces, findings: &mut Findings) {
    let name = &playlist.media.name;
    let Some(clear) = clear.playlist(name) else { return };
    let segments = playlist.media.segments().count();
    let expected = clear.keys().filter(|(role, _)| *role == Role::Segment).count();
    let found = format!("{segments} segments");
    findings.check("payload-samples", segments >= expected, name, &found, &expected);
}

/// What a manifest does not call media is none.
fn check_is_no_media(source: &dyn Source, place: &str, findings: &mut Findings) -> Result<()> {
    let media = SegmentKind::of(source)?.media_name();
    let found = media.unwrap_or_default();
    findings.check("mislabeled", media.is_none(), &place, &found, &"what the manifest says");
    Ok(())
}

struct Check<'a> {
    job: &'a VerifyJob<'a>,
    against: Option<(&'a Reference<'a>, ClearPieces)>,
}

impl Check<'_> {
    /// Checks one piece and returns how many samples it has.
    fn segment(
        &self,
        playlist: &SegmentPlaylist<'_>,
        segment: &SegmentRef<'_>,
        totals: &mut Totals,
    ) -> Result<u64> {
        let Totals { findings, proofs, first_blocks, begins, .. } = totals;
        let (media, segment, parent_segment) = (playlist.media, segment.resource, segment.inside);
        let (store, place) = (self.job.store, segment.to_string());
        let exists = store.exists(&segment.file)?;
        if !findings.check("file-missing", exists, &place, &"no such file", &"a media segment") {
            return Ok(0);
        }
        let source = store.open(&segment.file)?;
        let range = segment.range.as_ref();
        let part = ByteRangeSource::of(source.as_ref(), range);
        let found = format!("a file of {} bytes", source.len());
        let inside = part.is_ok();
        if range.is_some() {
            findings.check("byte-range", inside, &place, &found, &"one that has the range");
        }
        if let Ok(part) = &part {
            findings.check("segment-empty", !part.is_empty(), &place, &"0 bytes", &"a media segment");
        }
        let (None, Ok(part)) = (parent_segment, part) else { return Ok(0) };
        let is_other = playlist.protection == Protection::Never;
        if is_other {
            check_is_no_media(&part, &place, findings)?;
        }
        let clear = self.clear(playlist, segment, &place, findings)?;
        let clear =
            clear.as_ref().map(|(source, range)| ByteRangeSource::of(source.as_ref(), range.as_ref()));
        let clear = clear.transpose().map_err(|error| error.at("the clear source"))?;
        let clear = clear.as_ref().map(|part| part as &dyn Source);
        let is_protected = !segment.keys.is_empty();
        let mut begin = Begins::default();
        // Of text there are no times, and what is encrypted whole shows them when it is decrypted.
        if playlist.protection == Protection::Samples
            || playlist.protection == Protection::Whole && !is_protected
        {
            begin = Begins::read(&part)?;
        }
        match playlist.protection {
            Protection::Whole if is_protected => {
                let find = |keys: &PlaylistKeyResolver<'_>| {
                    keys.whole_segment(&media.name, &segment.keys, segment.sequence)
                };
                let key = self.key(findings, find)?;
                let first_block =
                    whole_segment::check(&part, key.as_ref(), (clear, &mut begin), &place, findings)?;
                if let Some(((_, iv), first_block)) = key.zip(first_block) {
                    first_blocks.note(&media.name, iv, first_block);
                }
            }
            Protection::Whole => whole_segment::check_clear(&part, clear, &place, findings)?,
            Protection::Samples => {
                let keys = &segment.keys;
                let find =
                    |found: &PlaylistKeyResolver<'_>| found.sample_aes(&media.name, keys, segment.sequence);
                let key = if is_protected { self.key(findings, find)? } else { None };
                let key = key.as_ref();
                begins.insert((segment.file.clone(), segment.bounds()), begin);
                return StreamCheck { place: &place, is_protected, key, clear, findings, proofs }.run(&part);
            }
            // Only the source tells what text or an image is to be.
            Protection::Never => {
                clear.map_or(Ok(()), |clear| whole_segment::check_equal(&part, clear, &place, findings))?
            }
        }
        begins.insert((segment.file.clone(), segment.bounds()), begin);
        Ok(u64::from(!is_other && segment.role != Role::Init))
    }

    /// Opens the files that are to be no media, and returns how many there are.
    fn others(&self, presentation: &Presentation<'_>, findings: &mut Findings) -> Result<u64> {
        let (store, mut known) = (self.job.store, HashSet::new());
        for other in &presentation.others {
            let (file, named_by) = (&other.file, &other.named_by);
            if !known.insert(file) {
                continue;
            }
            if !store.exists(file)? {
                if other.must_exist {
                    findings.check(
                        "file-missing",
                        false,
                        file,
                        &"no such file",
                        &format_args!("what {named_by} names"),
                    );
                } else {
                    findings.unchecked(format!("{file}, which {named_by} names: it is not there"));
                }
                continue;
            }
            if presentation::kind_of_file(store, file)?.is_some() {
                findings.unchecked(format!("what {file} names, a manifest of {named_by}"));
                continue;
            }
            let source = store.open(file)?;
            check_is_no_media(source.as_ref(), file, findings)?;
            self.is_as_clear(source.as_ref(), file, findings)?;
        }
        Ok(known.len() as u64)
    }

    /// A file that stays as it is is that of the clear source.
    fn is_as_clear(&self, source: &dyn Source, file: &str, findings: &mut Findings) -> Result<()> {
        if let Some((clear, _)) = &self.against
            && clear.store.exists(file)?
        {
            let clear = clear.store.open(file)?;
            whole_segment::check_equal(source, clear.as_ref(), file, findings)?;
        }
        Ok(())
    }

    /// Opens what interstitials play. It is not encrypted with the keys of the film, and whether it is not the film
    /// itself nobody but people can see.
    fn assets(&self, assets: &[Asset], findings: &mut Findings) -> Result<u64> {
        let mut count = 0;
        for asset in assets {
            let mut media = 0_usize;
            for file in &asset.files {
                let source = self.job.store.open(file)?;
                media += usize::from(SegmentKind::of(source.as_ref())?.media_name().is_some());
                self.is_as_clear(source.as_ref(), file, findings)?;
                count += 1;
            }
            let place = format!("{} names {}", asset.named_by, asset.file);
            let found = format!("{media} files of video or audio under no key of this presentation");
            findings.check("asset-clear", media == 0, &place, &found, &"an advertisement, and not the film");
            for missing in &asset.missing {
                findings.unchecked(format!("{missing}, which {} names", asset.named_by));
            }
        }
        Ok(count)
    }

    fn keys(&self) -> PlaylistKeyResolver<'_> {
        let job = self.job;
        PlaylistKeyResolver { store: job.store, key_store: job.key_store.unwrap_or(&|_: Kid| None) }
    }

    /// Holds the files where players find keys to the keys.
    fn key_files(&self, playlist: &SegmentPlaylist<'_>, findings: &mut Findings) -> Result<()> {
        let media = playlist.media;
        for key in media.keys.iter().filter(|key| key.encrypts()) {
            let fault = self.keys().file_fault(&media.name, key)?;
            let place = format!("{}: line {}", media.name, key.line + 1);
            let found = fault.as_deref().unwrap_or_default();
            findings.check("key-file", fault.is_none(), &place, &found, &"the key, of 16 bytes");
        }
        Ok(())
    }

    /// A key that is to be there when keys are given, and else may lie where its URI says.
    fn key<T>(
        &self,
        findings: &mut Findings,
        find: impl FnOnce(&PlaylistKeyResolver<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        match find(&self.keys()) {
            Err(error) if error.kind() == Kind::Keys && self.job.key_store.is_none() => {
                findings.unchecked(NO_KEYS);
                Ok(None)
            }
            // What is wrong with the line is among the findings.
            Err(error) if error.kind() == Kind::Input => Ok(None),
            found => found,
        }
    }

    /// The clear piece of the same place in the playlist.
    fn clear(
        &self,
        playlist: &SegmentPlaylist<'_>,
        segment: &Resource,
        place: &str,
        findings: &mut Findings,
    ) -> Result<Option<OpenPiece>> {
        let Some((clear, all)) = &self.against else { return Ok(None) };
        let segments = all.playlist(&playlist.media.name);
        let found = segments.and_then(|segments| segments.get(&(segment.role, segment.number)));
        let expected = "one at its place in the clear playlist";
        // Text may have come from elsewhere.
        if playlist.protection != Protection::Never || segments.is_some() {
            findings.check("payload-samples", found.is_some(), &place, &"a segment", &expected);
        }
        let Some((file, range)) = found else { return Ok(None) };
        Ok(Some((clear.store.open(file)?, range.clone())))
    }
}
