//! Every piece of a presentation held to the rules, on all cores: found, deciphered, compared — RFC 8216bis §4.4.4,
//! §5.2.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use rayon::prelude::*;

use crate::base::env::{Source, Store};
use crate::base::{Kind, Result};
use crate::hls::{NamedKind, media};
use crate::package::{LineKeys, Part};

use super::findings::Findings;
use super::pieces::{Piece, PiecePlaylist, Protection, pieces};
use super::presentation::Presentation;
use super::run::{Clear, VerifyJob};
use super::stream_segment::StreamCheck;
use super::whole_segment;

/// What was found of some pieces.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) samples: u64,
    pub(super) protected_samples: u64,
    pub(super) findings: Findings,
}

/// Where the bytes of a clear piece are.
type ClearPiece = (String, Option<Range<u64>>);

/// The clear pieces of a playlist by kind and number.
type ClearPlaylist = HashMap<(NamedKind, usize), ClearPiece>;
/// A file that is open, and the range that counts.
type OpenPiece = (Box<dyn Source>, Option<Range<u64>>);

/// The pieces of the clear source by the name of the playlist.
struct ClearPieces(Vec<(String, ClearPlaylist)>);

impl ClearPieces {
    fn of(store: &dyn Store, presentation: &Presentation) -> Result<Self> {
        let of = |(name, pieces): (&str, Vec<Piece>)| {
            let all = pieces.into_iter().map(|piece| ((piece.kind, piece.number), (piece.file, piece.range)));
            (name.to_owned(), all.collect())
        };
        let mut found = Vec::new();
        for media in &presentation.playlists {
            found.push(of((&media.name, pieces(store, &media.name, &media.playlist)?)));
        }
        found.extend(presentation.pieces.iter().map(|media| of((&media.name, media.pieces.clone()))));
        Ok(Self(found))
    }

    /// The playlist of the same name, or else the only one.
    fn playlist(&self, name: &str) -> Option<&ClearPlaylist> {
        let named = self.0.iter().find(|(known, _)| known == name);
        let only = || self.0.first().filter(|_| self.0.len() == 1);
        named.or_else(only).map(|(_, pieces)| pieces)
    }
}

/// Checks every piece once and returns how many files there are.
pub(super) fn check(
    job: &VerifyJob<'_>,
    presentation: &Presentation,
    clear: Option<&(&Clear<'_>, Presentation)>,
    findings: &mut Findings,
) -> Result<(u64, Totals)> {
    let against =
        clear.map(|(clear, known)| Ok((*clear, ClearPieces::of(clear.store, known)?))).transpose()?;
    let (mut known, mut all) = (HashSet::new(), Vec::new());
    for media in &presentation.pieces {
        if let Some((_, clear)) = &against {
            check_count(media, clear, findings);
        }
        for piece in &media.pieces {
            let range = piece.range.as_ref().map(|range| (range.start, range.end));
            // Another playlist may name it under another key or IV: then it is looked at again.
            if known.insert((piece.file.as_str(), range, piece.key.identity())) {
                all.push((media, piece));
            }
        }
    }
    let check = Check { job, against };
    presentation.pieces.iter().try_for_each(|media| check.key_files(media, findings))?;
    let piece = |(media, piece): &(&PiecePlaylist, &Piece)| {
        let mut findings = Findings::default();
        let samples = check.piece(media, piece, &mut findings).map_err(|error| error.at(piece))?;
        let is_protected = media.protection != Protection::Never && !piece.key.keys.is_empty();
        Ok(Totals { samples, protected_samples: if is_protected { samples } else { 0 }, findings })
    };
    let totals = all.par_iter().map(piece).try_reduce(Totals::default, |mut totals, more| {
        totals.samples += more.samples;
        totals.protected_samples += more.protected_samples;
        totals.findings.merge(more.findings);
        Ok(totals)
    })?;
    let files = all.iter().map(|(_, piece)| &piece.file).collect::<HashSet<_>>().len() as u64;
    Ok((files, totals))
}

/// The clear source has no more segments.
fn check_count(media: &PiecePlaylist, clear: &ClearPieces, findings: &mut Findings) {
    let Some(clear) = clear.playlist(&media.name) else { return };
    let segments = media.pieces.iter().filter(|piece| piece.kind == NamedKind::Segment).count();
    let expected = clear.keys().filter(|(kind, _)| *kind == NamedKind::Segment).count();
    let found = format!("{segments} segments");
    findings.check("payload-samples", segments >= expected, &media.name, &found, &expected);
}

struct Check<'a> {
    job: &'a VerifyJob<'a>,
    against: Option<(&'a Clear<'a>, ClearPieces)>,
}

impl Check<'_> {
    /// Checks one piece and returns how many samples it has.
    fn piece(&self, media: &PiecePlaylist, piece: &Piece, findings: &mut Findings) -> Result<u64> {
        let (store, place) = (self.job.store, piece.to_string());
        let exists = store.exists(&piece.file);
        if !findings.check("file-missing", exists, &place, &"no such file", &"a media segment") {
            return Ok(0);
        }
        let source = store.open(&piece.file)?;
        let range = piece.range.as_ref();
        let part = Part::of(source.as_ref(), range);
        let found = format!("a file of {} bytes", source.len());
        let inside = part.is_ok();
        if range.is_some() {
            findings.check("byte-range", inside, &place, &found, &"one that has the range");
        }
        if let Ok(part) = &part {
            findings.check("segment-empty", !part.is_empty(), &place, &"0 bytes", &"a media segment");
        }
        let (true, None, Ok(part)) = (media.protection != Protection::Never, &piece.inside, part) else {
            return Ok(0);
        };
        let clear = self.clear(media, piece, &place, findings)?;
        let clear = clear.as_ref().map(|(source, range)| Part::of(source.as_ref(), range.as_ref()));
        let clear = clear.transpose().map_err(|error| error.at("the clear source"))?;
        let clear = clear.as_ref().map(|part| part as &dyn Source);
        let is_protected = !piece.key.keys.is_empty();
        match media.protection {
            Protection::Whole if is_protected => {
                let find = |keys: &LineKeys<'_>| {
                    keys.whole_segment(&media.name, &piece.key.keys, piece.key.sequence)
                };
                let key = self.key(findings, find)?;
                whole_segment::check(&part, key.as_ref(), clear, &place, findings)?;
            }
            Protection::Whole => whole_segment::check_clear(&part, clear, &place, findings)?,
            Protection::Samples => {
                let keys = &piece.key.keys;
                let find = |found: &LineKeys<'_>| found.sample_aes(&media.name, keys, piece.key.sequence);
                let key = if is_protected { self.key(findings, find)? } else { None };
                let key = key.as_ref();
                return StreamCheck { place: &place, is_protected, key, clear, findings }.run(&part);
            }
            Protection::Never => {}
        }
        Ok(u64::from(piece.kind != NamedKind::Map))
    }

    fn keys(&self) -> LineKeys<'_> {
        let job = self.job;
        LineKeys {
            store: job.store,
            find_key: job.find_key.unwrap_or(&|_| None),
            find_iv: job.find_iv.unwrap_or(&|_| None),
            only: job.only,
        }
    }

    /// Holds the files where players find keys to the keys.
    fn key_files(&self, media: &PiecePlaylist, findings: &mut Findings) -> Result<()> {
        for key in media::keys(&media.playlist)?.iter().filter(|key| key.encrypts()) {
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
        find: impl FnOnce(&LineKeys<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        match find(&self.keys()) {
            Err(error) if error.kind() == Kind::Keys && self.job.find_key.is_none() => {
                findings.unchecked("payload of protected samples: no keys were given");
                Ok(None)
            }
            found => found,
        }
    }

    /// The clear piece of the same place in the playlist.
    fn clear(
        &self,
        media: &PiecePlaylist,
        piece: &Piece,
        place: &str,
        findings: &mut Findings,
    ) -> Result<Option<OpenPiece>> {
        let Some((clear, all)) = &self.against else { return Ok(None) };
        let found = all.playlist(&media.name).and_then(|pieces| pieces.get(&(piece.kind, piece.number)));
        let expected = "one at its place in the clear playlist";
        findings.check("payload-samples", found.is_some(), &place, &"a segment", &expected);
        let Some((file, range)) = found else { return Ok(None) };
        Ok(Some((clear.store.open(file)?, range.clone())))
    }
}
