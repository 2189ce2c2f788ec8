//! The inverse job: a protected package or file is decrypted — ISO/IEC 23001-7, RFC 8216bis, ISO/IEC 23009-1.

pub(super) mod files;

use std::collections::HashSet;
use std::time::Instant;

use rayon::prelude::*;

use crate::base::env::{Source, Store};
use crate::base::{Error, KeyStore, Result};
use crate::isobmff::track::trexes;
use crate::package::{
    IV_CONTRADICTED, OffsetMap, PlaylistKeyResolver, Proofs, SegmentDecryptor, check_clear_segment, copy,
    rewrite,
};

use crate::presentation::{MpdTrack, Presentation, Role, SegmentKind};
use crate::protect::Operation;

use crate::job::env::{Env, Event};
use crate::job::package::files::{ProtectedPackage, written_apart};
use crate::job::package::manifests::{self, Input, manifest_kinds};
use crate::job::package::{InputState, Package};
use crate::job::report::{OutputReport, Report};
use files::decrypt_files;

/// What `decrypt` is asked to do.
pub struct DecryptJob<'a> {
    /// One MPD, one playlist, one of each over the same segments, or MP4 files.
    pub inputs: Vec<String>,
    /// The keys.
    pub key_store: &'a dyn KeyStore,
}

impl DecryptJob<'_> {
    fn keys<'a>(&'a self, store: &'a dyn Store) -> PlaylistKeyResolver<'a> {
        PlaylistKeyResolver { store, key_store: self.key_store }
    }
}

/// Decrypts what it is given and writes it under the same names, without any signaling of DRM. What is decrypted with
/// another key than it was encrypted with is an error where it shows; [`Report::not_proven`] says where it does not.
///
/// # Errors
/// When a key is missing or wrong, or the input is not what its boxes say.
pub fn decrypt(job: &DecryptJob<'_>, env: &Env<'_>) -> Result<Report> {
    let start = Instant::now();
    let kinds = manifest_kinds(&job.inputs)?;
    let mut report = Report::default();
    if !kinds.is_empty() {
        (env.observe)(Event::Step("decrypting"));
        report = decrypt_presentation(job, env)?;
    } else {
        let (outputs, proofs) = decrypt_files(job, env)?;
        (report.outputs, report.not_proven) = (outputs, proofs.open());
        report.warnings.extend(proofs.is_empty().then(|| nothing_encrypted(env)));
    }
    report.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

fn decrypt_presentation(job: &DecryptJob<'_>, env: &Env<'_>) -> Result<Report> {
    let (store, read) = manifests::read(&job.inputs, env.open_input)?;
    let keyed = files_under_keys(&read);
    let Input { store, package, manifests } = Input::of(store, read, InputState::Protected)?;
    let (mut done, untouched) = decrypt_package(&package, &job.keys(store.as_ref()), env)?;
    done.proofs.check_all(job.key_store)?;
    if let Some(playlist) = done.first_blocks.contradictions().first() {
        return Err(Error::verification(IV_CONTRADICTED)
            .clause("RFC 8216bis §4.4.4.4, §5.2")
            .at(playlist)
            .hint("the IV of its EXT-X-KEY lines is that of some segments alone: without IV it is the media sequence number"));
    }
    let mut report = manifests.unprotect((&done, store.as_ref()), env)?;
    let is_clear = done.proofs.is_empty()
        && done.first_blocks.is_empty()
        && untouched.iter().all(|name| !keyed.contains(name));
    report.warnings.extend(is_clear.then(|| nothing_encrypted(env)));
    report.not_proven = done.first_blocks.not_proven();
    report.not_proven.extend(done.proofs.open());
    let mut silent = untouched.into_iter().filter(|name| keyed.contains(name));
    report.not_proven.extend(silent.next().map(|first| {
        let more = silent.count();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "{first}{more}: the manifest names keys for it, and none of its samples says that it is encrypted"
        )
    }));
    report.outputs.splice(..0, std::mem::take(&mut done.outputs));
    Ok(report)
}

fn nothing_encrypted(env: &Env<'_>) -> String {
    let warning = "nothing in the input is encrypted: the output is a copy of it";
    (env.observe)(Event::Warning(warning));
    warning.to_owned()
}

/// What is wrong with a file of fragmented MP4 that cannot be read: of one that begins as nothing that is known, that it
/// may be encrypted whole.
fn no_segment(source: &dyn Source, error: Error) -> Error {
    match SegmentKind::of(source) {
        Ok(SegmentKind::Unknown) => {
            check_clear_segment(source, true, Operation::Decrypt).err().unwrap_or(error)
        }
        _ => error,
    }
}

/// The files of segments for which a manifest names keys.
fn files_under_keys(read: &Presentation) -> HashSet<String> {
    let of_playlists = read.playlists.iter().flat_map(|media| media.segments());
    let of_playlists = of_playlists.filter(|segment| segment.init.is_some() && !segment.keys.is_empty());
    let of_mpds = read.mpds.iter().flat_map(|document| {
        let is_protected = |track: &&MpdTrack| document.mpd.is_protected(track.representation.place);
        document.tracks.iter().filter(is_protected).flat_map(|track| &track.resources)
    });
    let of_mpds = of_mpds.filter(|resource| resource.role == Role::Segment);
    of_playlists.chain(of_mpds).map(|resource| resource.file.clone()).collect()
}

/// Gives what was decrypted, and the files of renditions of which no sample was encrypted.
fn decrypt_package(
    package: &Package,
    keys: &PlaylistKeyResolver<'_>,
    env: &Env<'_>,
) -> Result<(ProtectedPackage, Vec<String>)> {
    let store = keys.store;
    written_apart(package)?;
    let jobs = package.files();
    let done: Vec<_> = jobs
        .par_iter()
        .map(|(name, rendition)| {
            let source = store.open(name)?;
            let mut sink = env.output.create(name)?;
            let offsets = match rendition {
                Some(rendition) => {
                    let mut edit =
                        SegmentDecryptor::with_init(&rendition.moov, source.as_ref(), keys.key_store)?;
                    let trexes = trexes(&rendition.moov)?;
                    let offsets = rewrite(source.as_ref(), sink.as_mut(), &trexes, &mut edit);
                    let offsets = offsets.map_err(|error| no_segment(source.as_ref(), error))?;
                    edit.proofs().check()?;
                    (offsets, edit.proofs().clone())
                }
                None => {
                    copy(source.as_ref(), sink.as_mut())?;
                    (OffsetMap::default(), Proofs::default())
                }
            };
            Ok((OutputReport::new(name, sink.commit()?), offsets))
        })
        .zip(jobs.par_iter())
        .map(|(done, (name, _))| done.map_err(|error: Error| error.at(name)))
        .collect::<Result<_>>()?;
    let (mut result, mut decrypted) = (ProtectedPackage::default(), HashSet::new());
    for ((name, rendition), (output, (offsets, proofs))) in jobs.iter().zip(done) {
        result.outputs.push(output);
        if !proofs.is_empty() {
            decrypted.extend(rendition.map(|rendition| &rendition.init));
        }
        result.proofs.merge(&proofs);
        result.file(name, offsets, Vec::new());
    }
    // A clear lead is of files without encrypted samples too.
    let silent = package.renditions.iter().filter(|rendition| !decrypted.contains(&rendition.init));
    let untouched = silent.flat_map(|rendition| rendition.files.clone()).collect();
    package.streams.decrypt(keys, env, &mut result)?;
    Ok((result, untouched))
}
