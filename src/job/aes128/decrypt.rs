//! The inverse of whole segments in AES-128 — RFC 8216bis §4.4.4.4, §5.2: files deciphered, keys removed.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::base::{Result, Secret};
use crate::hls::{media, multivariant};
use crate::package::{Beginning, LineKeys, copy, decrypt_whole_segment};
use crate::presentation::{MediaPlaylist, Multivariant, Presentation};

use crate::job::env::Env;
use crate::job::folder::write_manifest;
use crate::job::hls::other_files;
use crate::job::parts::{Moved, Parts, write_parts};
use crate::job::report::{OutputReport, Report};

/// Files by name, with what deciphers each part; `None` copies it.
type Files = BTreeMap<String, Parts<Option<(Secret<16>, [u8; 16])>>>;

/// Decrypts a presentation whose segments are encrypted whole.
///
/// A key is found by the key id that its URI names, or is the file of 16 bytes that the URI names.
pub(in crate::job) fn decrypt(keys: &LineKeys<'_>, read: Presentation, env: &Env<'_>) -> Result<Report> {
    let (store, mut report) = (keys.store, Report::default());
    let mut files = Files::new();
    for media in &read.playlists {
        add_parts(media, keys, &mut files).map_err(|error| error.at(&media.name))?;
    }
    let of_multivariants = read.multivariants.iter().map(|found| (&found.name, &found.others));
    let others = read.playlists.iter().map(|media| (&media.name, &media.others));
    for (name, others) in of_multivariants.chain(others) {
        for file in other_files(store, name, others, &mut report.warnings)? {
            files.entry(file).or_default().entry(None).or_insert(None);
        }
    }
    let done: Vec<_> = files
        .par_iter()
        .map(|(name, parts)| {
            let source = store.open(name)?;
            let mut sink = env.output.create(name)?;
            let mut is_known = true;
            let moved = write_parts(source.as_ref(), sink.as_mut(), parts, |key, part, sink| match key {
                Some((key, iv)) => {
                    let (written, beginning) = decrypt_whole_segment(part, sink, (key, *iv))?;
                    is_known &= beginning == Beginning::Segment;
                    Ok(written)
                }
                None => copy(part, sink).map(|()| part.len()),
            });
            let moved = moved.map_err(|error| error.at(name.clone()))?;
            Ok((name, OutputReport::new(name, &sink.commit()?), moved, is_known))
        })
        .collect::<Result<_>>()?;
    let mut moved = Moved::new();
    for (name, output, ranges, is_known) in done {
        report.not_proven.extend((!is_known).then(|| {
            format!("{name}: the padding fits, but it begins as no segment of HLS does; another IV garbles the first 16 bytes")
        }));
        report.outputs.push(output);
        moved.extend(ranges.into_iter().map(|((start, end), to)| ((name.clone(), start, end), to)));
    }
    let mut manifests = Vec::new();
    for MediaPlaylist { name, mut playlist, .. } in read.playlists {
        media::map_byte_ranges(&mut playlist, &mut |uri, range| {
            let key = (store.refer(&name, uri)?, range.start, range.end);
            Ok(moved.get(&key).cloned().unwrap_or(range))
        })
        .map_err(|error| error.at(name.clone()))?;
        media::unprotect(&mut playlist);
        manifests.push(write_manifest(env, &name, &playlist.to_bytes())?);
    }
    for Multivariant { name, mut playlist, .. } in read.multivariants {
        multivariant::unprotect(&mut playlist).map_err(|error| error.at(name.clone()))?;
        manifests.push(write_manifest(env, &name, &playlist.to_bytes())?);
    }
    report.manifests = manifests.iter().map(|output| output.path.clone()).collect();
    report.outputs.extend(manifests);
    Ok(report)
}

/// Adds the parts of files that a playlist names, each with the key in force where it is named.
fn add_parts(media: &MediaPlaylist, find: &LineKeys<'_>, files: &mut Files) -> Result<()> {
    for resource in media.present() {
        let parts = files.entry(resource.file.clone()).or_default();
        // What an I-frame playlist names lies inside the segments of the others.
        if media.is_i_frames && resource.range.is_some() && parts.contains_key(&None) {
            continue;
        }
        let key = find.whole_segment(&media.name, &resource.keys, resource.sequence)?;
        parts.insert(resource.bounds(), key);
    }
    Ok(())
}
