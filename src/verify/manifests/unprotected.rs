//! A package with its protection taken off, held to its clear source byte by byte — ISO/IEC 23001-7 §4, RFC 8216bis.
//!
//! Packing changes of a package what protection needs and nothing else, so that what is left without it is the source:
//! boxes, times, flags, lines, attributes. A package that was made of MP4 files has no source of its names, and is not
//! looked at here.

use std::collections::{BTreeSet, HashSet};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::base::env::{Sink, Source};
use crate::base::{Error, FourCc, Result};
use crate::dash::is_output_protection_of_keys;
use crate::hls::{Attributes, LineKind, Playlist};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Trex;
use crate::isobmff::fragment::TrackFragment;
use crate::isobmff::samples::has_samples;
use crate::package::{Changed, FragmentEdit, SegmentDecryptor, rewrite};
use crate::presentation;
use crate::xml::Element;

use super::Presentation;
use super::info::InitInfo;
use crate::verify::findings::{Findings, found_or_error};
use crate::verify::run::{Reference, VerifyJob};

/// Holds every file that has one of its name in the source to it.
pub(in crate::verify) fn check(
    job: &VerifyJob<'_>,
    presentation: &Presentation<'_>,
    inits: &[Option<InitInfo>],
    (clear, source): (&Reference<'_>, &presentation::Presentation),
    findings: &mut Findings,
) -> Result<()> {
    manifests(presentation, source, findings)?;
    let media = source.playlists.iter().flat_map(|media| &media.resources);
    let media =
        media.chain(source.mpds.iter().flat_map(|mpd| &mpd.tracks).flat_map(|track| &track.resources));
    let named: HashSet<&str> = media.map(|resource| resource.file.as_str()).collect();
    let mut known = HashSet::new();
    let mut files = Vec::new();
    for (rendition, facts) in presentation.renditions.iter().zip(inits) {
        let Some(facts) = facts else { continue };
        let names = std::iter::once(&rendition.init.name).chain(&rendition.files);
        files.extend(
            names
                .filter(|name| named.contains(name.as_str()) && known.insert(*name))
                .map(|name| (name, facts)),
        );
    }
    let done: Vec<Findings> = files
        .par_iter()
        .map(|(name, facts)| {
            let mut findings = Findings::default();
            file(job, clear, name, facts, &mut findings).map_err(|error| error.at(name)).map(|()| findings)
        })
        .collect::<Result<_>>()?;
    done.into_iter().for_each(|done| findings.merge(done));
    Ok(())
}

fn file(
    job: &VerifyJob<'_>,
    clear: &Reference<'_>,
    name: &str,
    facts: &InitInfo,
    findings: &mut Findings,
) -> Result<()> {
    let Some(key_store) = job.key_store else { return Ok(()) };
    // A clear lead has sample entries of its own, which decrypting leaves.
    let has_lead = facts.init.tracks.iter().any(|track| {
        let protected = track.entries.iter().filter(|entry| entry.protection.is_some()).count();
        protected > 0 && protected < track.entries.len()
    });
    // Samples of sample tables are compared one by one, and what is missing is said elsewhere.
    let clear_moov = presentation::read_moov(clear.store, &facts.name, None);
    let tables = clear_moov.as_ref().unwrap_or(&facts.init.moov);
    let has_tables = tables.all(b"trak").any(|trak| has_samples(trak).unwrap_or(true));
    if has_lead || has_tables || !job.store.exists(name)? || !clear.store.exists(name)? {
        return Ok(());
    }
    let (output, source) = (job.store.open(name)?, clear.store.open(name)?);
    let mut decrypt = SegmentDecryptor::with_init(&facts.init.moov, output.as_ref(), key_store)?;
    let found = Pieces::of(output.as_ref(), &facts.init.trexes, &mut decrypt);
    let Some(found) = found_or_error("source-equal", found, name, findings)? else { return Ok(()) };
    let expected = Pieces::of(source.as_ref(), &facts.init.trexes, &mut Unedited);
    let expected = expected.map_err(|error| error.at("the clear source"))?;
    let differs = found.0.iter().zip(&expected.0).position(|(left, right)| left != right);
    let differs = differs
        .or_else(|| (found.0.len() != expected.0.len()).then_some(found.0.len().min(expected.0.len())));
    let at = differs.map_or_else(String::new, |at| match expected.0.get(at).or_else(|| found.0.get(at)) {
        Some(piece) => format!("another {} at byte {} of the clear file", piece.kind, piece.position),
        None => "another length".into(),
    });
    findings.check("source-equal", differs.is_none(), &name, &at, &"the bytes of the source");
    Ok(())
}

/// The clear source, read and written as a decrypted file is: data offsets alike, no `pssh`.
struct Unedited;

impl FragmentEdit for Unedited {
    fn moov(&mut self, moov: &mut BoxNode) -> Result<()> {
        moov.remove(|node| node.is(b"pssh"));
        Ok(())
    }

    fn fragment(
        &mut self,
        moof: &mut BoxNode,
        _fragments: &[TrackFragment],
        _data: &mut [u8],
        _data_position: u64,
    ) -> Result<Changed> {
        moof.remove(|node| node.is(b"pssh"));
        Ok(Changed::Yes)
    }
}

/// What was written at once: boxes, and the payloads of media data.
#[derive(PartialEq, Eq)]
struct Piece {
    position: u64,
    length: usize,
    kind: FourCc,
    digest: [u8; 32],
}

/// A file as the pieces that it was written in.
#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn of(source: &dyn Source, trexes: &[Trex], edit: &mut dyn FragmentEdit) -> Result<Self> {
        let mut segments = Self::default();
        rewrite(source, &mut segments, trexes, edit)?;
        Ok(segments)
    }
}

impl Sink for Pieces {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let position = self.0.last().map_or(0, |last| last.position + last.length as u64);
        let kind = bytes.get(4..8).and_then(|kind| kind.try_into().ok()).unwrap_or(*b"mdat");
        let is_box = kind.iter().all(u8::is_ascii_graphic);
        let kind = FourCc(if is_box { kind } else { *b"mdat" });
        self.0.push(Piece { position, length: bytes.len(), kind, digest: Sha256::digest(bytes).into() });
        Ok(())
    }

    /// An index is written again when all sizes are known.
    fn patch(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        let index = self.0.partition_point(|piece| piece.position < position);
        let piece =
            self.0.get_mut(index).filter(|piece| piece.position == position && piece.length == bytes.len());
        let piece =
            piece.ok_or_else(|| Error::internal(format!("no piece at byte {position} to be patched")))?;
        piece.digest = Sha256::digest(bytes).into();
        Ok(())
    }

    fn reserve(&mut self, _length: usize) -> Result<()> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        Err(Error::internal("what is compared is not kept"))
    }
}

/// Manifests of the same name say the same of everything but keys and byte ranges.
fn manifests(
    presentation: &Presentation<'_>,
    source: &presentation::Presentation,
    findings: &mut Findings,
) -> Result<()> {
    let mp4 = presentation.playlists.iter().map(|playlist| playlist.media);
    let playlists = mp4.chain(presentation.segments.iter().map(|playlist| playlist.media));
    let playlists = playlists.map(|media| (&media.name, &media.playlist));
    let multivariants = presentation.multivariants.iter().map(|found| (&found.name, &found.playlist));
    let clear = source.playlists.iter().map(|media| (&media.name, &media.playlist));
    let clear: Vec<_> =
        clear.chain(source.multivariants.iter().map(|found| (&found.name, &found.playlist))).collect();
    for (name, playlist) in playlists.chain(multivariants) {
        if let Some((_, clear)) = clear.iter().find(|(known, _)| *known == name) {
            lines(name, playlist, clear, findings);
        }
    }
    for manifest in &presentation.mpds {
        let document = manifest.document;
        if let Some(clear) = source.mpds.iter().find(|known| known.name == document.name) {
            elements(&document.name, document.mpd.root(), clear.mpd.root(), findings)?;
        }
    }
    Ok(())
}

fn lines(name: &str, playlist: &Playlist, clear: &Playlist, findings: &mut Findings) {
    // A source may have no partial segments yet.
    let has_parts = clear.tags("EXT-X-PART").next().is_some();
    // Variants that say no codecs are given those of their media, which other rules look at.
    let has_codecs =
        |(_, value): (usize, &str)| Attributes::parse(value).is_ok_and(|list| list.raw("CODECS").is_some());
    let has_codecs = clear.tags("EXT-X-STREAM-INF").all(has_codecs);
    let (mut found, mut expected) =
        (said(playlist, has_parts, has_codecs), said(clear, has_parts, has_codecs));
    loop {
        let (left, right) = (found.next(), expected.next());
        if left.is_none() && right.is_none() {
            findings.check("source-equal", true, &name, &"", &"");
            return;
        }
        let (line, left) = left.unwrap_or_else(|| (playlist.lines().len(), "the end".into()));
        let right = right.map_or_else(|| "the end".to_owned(), |(_, text)| text);
        if left != right {
            let place = format!("{name}: line {}", line + 1);
            findings.check("source-equal", false, &place, &left, &right);
            return;
        }
    }
}

/// The lines of a playlist without what packing writes: keys and their limits, the version that they need, where bytes lie now.
fn said(playlist: &Playlist, with_parts: bool, with_codecs: bool) -> impl Iterator<Item = (usize, String)> {
    playlist.lines().iter().enumerate().filter_map(move |(index, line)| match line.kind() {
        LineKind::Tag { name: "EXT-X-PART" | "EXT-X-PRELOAD-HINT", .. } if !with_parts => None,
        LineKind::Tag {
            name: "EXT-X-KEY" | "EXT-X-SESSION-KEY" | "EXT-X-VERSION" | "EXT-X-BYTERANGE",
            ..
        } => None,
        LineKind::Tag { name: name @ ("EXT-X-STREAM-INF" | "EXT-X-I-FRAME-STREAM-INF"), value } => {
            Some((index, format!("#{name}:{}", without_limits(value, with_codecs))))
        }
        LineKind::Tag { name, value } if value.contains("BYTERANGE") => {
            let attributes = value.split(',').filter(|attribute| !attribute.starts_with("BYTERANGE"));
            Some((index, format!("#{name}:{}", attributes.collect::<Vec<_>>().join(","))))
        }
        _ => Some((index, line.text().trim_end().to_owned())),
    })
}

/// The attributes of a variant without what keys want of players, and without `CODECS` where the source has none: RFC
/// 8216bis §4.4.6.2.
fn without_limits(value: &str, with_codecs: bool) -> String {
    let Ok(list) = Attributes::parse(value) else { return value.to_owned() };
    let is_left_out =
        |name: &str| matches!(name, "HDCP-LEVEL" | "ALLOWED-CPC") || name == "CODECS" && !with_codecs;
    let names = list.names().filter(|name| !is_left_out(name));
    let kept: Vec<_> = names.map(|name| format!("{name}={}", list.raw(name).unwrap_or_default())).collect();
    kept.join(",")
}

/// What an MPD says, each statement once: packing may divide AdaptationSets and says the same in each.
fn elements(name: &str, root: &Element, clear: &Element, findings: &mut Findings) -> Result<()> {
    let (mut found, mut expected) = (BTreeSet::new(), BTreeSet::new());
    // Representations that say no codecs are given those of their media, which other rules look at.
    let with_codecs = says_codecs(clear, false)?;
    statements(root, "", with_codecs, &mut found)?;
    statements(clear, "", with_codecs, &mut expected)?;
    let more = found.difference(&expected).next();
    let less = expected.difference(&found).next();
    let (left, right) = (more.map_or("nothing", String::as_str), less.map_or("nothing", String::as_str));
    findings.check("source-equal", more.is_none() && less.is_none(), &name, &left, &right);
    Ok(())
}

/// Whether every Representation has codecs of its own or of its AdaptationSet.
fn says_codecs(element: &Element, above: bool) -> Result<bool> {
    let says = above || element.attribute("codecs")?.is_some();
    if element.local_name() == "Representation" {
        return Ok(says);
    }
    for child in element.elements() {
        if !says_codecs(child, says)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn statements(
    element: &Element,
    parent: &str,
    with_codecs: bool,
    found: &mut BTreeSet<String>,
) -> Result<()> {
    let name = element.local_name();
    let mut attributes = Vec::new();
    for (attribute, value) in element.attributes()? {
        let is_range = matches!(attribute, "range" | "mediaRange" | "indexRange");
        let is_id = name == "AdaptationSet" && attribute == "id";
        let is_codecs = attribute == "codecs" && !with_codecs;
        if !is_range && !is_id && !is_codecs && !attribute.starts_with("xmlns") {
            attributes.push(format!(" {attribute}=\"{value}\""));
        }
    }
    attributes.sort();
    // No element of an MPD has text beside elements (ISO/IEC 23009-1 Annex B): dividing an AdaptationSet may join two, or part them.
    let text = element.text()?;
    let text = match element.elements().next() {
        Some(_) if !text.trim().is_empty() => "text beside elements",
        Some(_) => "",
        None => text.trim(),
    };
    let statement = format!("{parent}/{name}{} {text}", attributes.concat());
    found.insert(statement.trim_end().to_owned());
    for child in element.elements() {
        let switches =
            child.attribute("schemeIdUri")?.is_some_and(|uri| uri.contains("adaptation-set-switching"));
        let protects = child.local_name() == "ContentProtection" || is_output_protection_of_keys(child);
        if !protects && !switches {
            statements(child, name, with_codecs, found)?;
        }
    }
    Ok(())
}
