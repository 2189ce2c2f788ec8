//! The inverse of whole segments in AES-128 — RFC 8216bis §4.4.4.4, §5.2: files deciphered, keys removed.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::base::env::Store;
use crate::base::uri::resolve;
use crate::base::{Result, Secret};
use crate::hls::{AES_128, KeysInForce, Named, Playlist, media, multivariant, named};
use crate::package::{LineKeys, copy};
use crate::protect::Aes128;

use crate::job::env::Env;
use crate::job::folder::write_manifest;
use crate::job::hls::{playlists, session_data};
use crate::job::parts::{Moved, Parts, write_parts};
use crate::job::report::{OutputReport, Report};

/// Files by name, with what deciphers each part; `None` copies it.
type Files = BTreeMap<String, Parts<Option<(Secret<16>, [u8; 16])>>>;

/// Whether a media playlist of the presentation has segments in AES-128.
pub(in crate::job) fn has_whole_segments(store: &dyn Store, name: &str) -> Result<bool> {
    let (_, media) = playlists(store, name)?;
    for (name, _, playlist) in media {
        let keys = media::keys(&playlist).map_err(|error| error.at(name))?;
        if keys.iter().any(|key| key.method == AES_128) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Decrypts a presentation whose segments are encrypted whole.
///
/// A key is found by the key id that its URI names, or is the file of 16 bytes that the URI names.
pub(in crate::job) fn decrypt(keys: &LineKeys<'_>, name: &str, env: &Env<'_>) -> Result<Report> {
    let store = keys.store;
    let (multivariant, mut media) = playlists(store, name)?;
    // What an I-frame playlist names lies inside the segments of the others.
    media.sort_by_key(|(_, _, playlist)| media::is_i_frames_only(playlist));
    let mut files = Files::new();
    for (name, _, playlist) in &media {
        add_parts(name, playlist, keys, &mut files).map_err(|error| error.at(name))?;
    }
    for file in
        multivariant.as_ref().map_or(Ok(Vec::new()), |(name, list)| session_data(store, name, list))?
    {
        files.entry(file).or_default().entry(None).or_insert(None);
    }
    let done: Vec<_> = files
        .par_iter()
        .map(|(name, parts)| {
            let source = store.open(name)?;
            let mut sink = env.output.create(name)?;
            let moved = write_parts(source.as_ref(), sink.as_mut(), parts, |key, part, sink| match key {
                Some((key, iv)) => Aes128::new(key, *iv).decrypt(part, sink),
                None => copy(part, sink).map(|()| part.len()),
            });
            let moved = moved.map_err(|error| error.at(name.clone()))?;
            Ok((name, OutputReport::new(name, &sink.commit()?), moved))
        })
        .collect::<Result<_>>()?;
    let (mut report, mut moved) = (Report::default(), Moved::new());
    for (name, output, ranges) in done {
        report.outputs.push(output);
        moved.extend(ranges.into_iter().map(|((start, end), to)| ((name.clone(), start, end), to)));
    }
    let mut manifests = Vec::new();
    for (name, _, mut playlist) in media {
        media::map_byte_ranges(&mut playlist, &mut |uri, range| {
            let key = (resolve(&name, uri)?, range.start, range.end);
            Ok(moved.get(&key).cloned().unwrap_or(range))
        })
        .map_err(|error| error.at(name.clone()))?;
        media::unprotect(&mut playlist);
        manifests.push(write_manifest(env, &name, &playlist.to_bytes())?);
    }
    if let Some((name, mut playlist)) = multivariant {
        multivariant::unprotect(&mut playlist);
        manifests.push(write_manifest(env, &name, &playlist.to_bytes())?);
    }
    report.manifests = manifests.iter().map(|output| output.path.clone()).collect();
    report.outputs.extend(manifests);
    Ok(report)
}

/// Adds the parts of files that a playlist names, each with the key in force where it is named.
fn add_parts(name: &str, playlist: &Playlist, find: &LineKeys<'_>, files: &mut Files) -> Result<()> {
    let keys = media::keys(playlist)?;
    let mut in_force = KeysInForce::new(&keys);
    let is_inside = media::is_i_frames_only(playlist);
    for Named { line, uri, byte_range, sequence, .. } in named(playlist)? {
        let parts = files.entry(find.store.refer(name, &uri)?).or_default();
        if is_inside && byte_range.is_some() && parts.contains_key(&None) {
            continue;
        }
        let key = find.whole_segment(name, &in_force.at(line), sequence)?;
        parts.insert(byte_range.map(|range| (range.start, range.end)), key);
    }
    Ok(())
}
