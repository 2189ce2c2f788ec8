//! Clear media beside a presentation that nothing names: players do not ask for it, people may — RFC 8216bis §3,
//! ISO/IEC 23009-1 §5.3.9.

use std::collections::HashSet;

use crate::base::Result;
use crate::base::env::{Source, Store};
use crate::isobmff::file::BoxHeader;
use crate::isobmff::track::tracks;
use crate::presentation::{self, SegmentKind, kind_of_file, read_moov};
use crate::protect::refuse_protected;

use super::findings::Findings;
use super::run::VerifyJob;
use super::segments::whole_segment::plays;

/// Least bytes of a file of media.
const LEAST_BYTES: u64 = 1 << 10;

/// Looks at the files beside the presentation that neither manifests name nor the operator.
pub(super) fn check(
    job: &VerifyJob<'_>,
    read: &presentation::Presentation,
    findings: &mut Findings,
) -> Result<()> {
    let mut named: HashSet<&str> = read.named().map(String::as_str).collect();
    named.extend(read.assets.iter().flat_map(|asset| &asset.files).map(String::as_str));
    named.extend(job.names.iter().map(String::as_str));
    for file in job.beside.iter().filter(|file| !named.contains(file.as_str())) {
        // What cannot be read is none for others either.
        let Ok(media) = clear_media(job.store, file) else { continue };
        let found = format!("{}, which nothing names or says is encrypted", media.unwrap_or_default());
        findings.check(
            "unreferenced",
            media.is_none(),
            file,
            &found,
            &"no clear media beside the presentation",
        );
    }
    Ok(())
}

/// What a file is if it is media that nothing in it says is encrypted.
fn clear_media(store: &dyn Store, file: &str) -> Result<Option<&'static str>> {
    if kind_of_file(store, file)?.is_some() {
        return Ok(None);
    }
    let source = store.open(file)?;
    // Of few bytes the beginning is soon one by chance: keys have 16.
    if source.len() < LEAST_BYTES {
        return Ok(None);
    }
    let kind = SegmentKind::of(source.as_ref())?;
    let is_clear = match kind {
        SegmentKind::Ts => plays(source.as_ref())?,
        SegmentKind::Fmp4 => has_clear_samples(store, file, source.as_ref()),
        _ => true,
    };
    Ok(kind.media_name().filter(|_| is_clear))
}

/// Whether an MP4 file has samples of video or audio, or of what it does not say, and says nothing of protection.
fn has_clear_samples(store: &dyn Store, file: &str, source: &dyn Source) -> bool {
    let (mut position, mut has_media) = (0, false);
    while let Ok(Some((header, _))) = BoxHeader::read_overstated(source, position) {
        has_media |= header.is(b"mdat") && header.length > header.header_length;
        if header.is(b"moof") {
            let moof = header.read_node(source);
            if moof.is_ok_and(|moof| moof.all(b"traf").any(|traf| refuse_protected(traf).is_err())) {
                return false;
            }
        }
        position = header.end();
    }
    let moov = read_moov(store, file, None).ok();
    let tracks = moov.and_then(|moov| tracks(&moov).ok());
    has_media
        && tracks.is_none_or(|tracks| {
            let of_media = tracks.iter().filter(|track| matches!(&track.handler_type.0, b"vide" | b"soun"));
            let mut entries = of_media.flat_map(|track| &track.sample_entries).peekable();
            entries.peek().is_some() && !entries.any(|entry| entry.find(b"sinf").is_some())
        })
}
