//! The inverse of whole segments in AES-128 — RFC 8216bis §4.4.4.4, §5.2: files deciphered, keys removed.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use crate::base::env::Store;
use crate::base::uri::resolve;
use crate::base::{Error, Result, Secret};
use crate::hls::{Playlist, media};
use crate::protect::Aes128;

use super::env::Env;
use super::files::copy;
use super::folder::write_manifest;
use super::hls::{Content, playlists};
use super::line_keys::LineKeys;
use super::parts::{Moved, write_parts};
use super::report::{OutputReport, Report};

/// What deciphers a part of a file; `None` copies it.
type Parts = BTreeMap<Option<(u64, u64)>, Option<(Secret<16>, [u8; 16])>>;

/// Whether a media playlist of the presentation has segments in AES-128.
pub(super) fn has_whole_segments(store: &dyn Store, name: &str) -> Result<bool> {
    let (_, media) = playlists(store, name)?;
    for (name, _, playlist) in media {
        let keys = media::keys(&playlist).map_err(|error| error.at(name))?;
        if keys.iter().any(|key| key.method == "AES-128") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Decrypts a presentation whose segments are encrypted whole.
///
/// A key is found by the key id that its URI names, or is the file of 16 bytes that the URI names.
pub(super) fn decrypt(keys: &LineKeys<'_>, name: &str, env: &Env<'_>) -> Result<Report> {
    let store = keys.store;
    let (multivariant, media) = playlists(store, name)?;
    let mut files: BTreeMap<String, Parts> = BTreeMap::new();
    for (name, content, playlist) in &media {
        add_parts(name, (*content, playlist), keys, &mut files).map_err(|error| error.at(name))?;
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
    if let Some((name, playlist)) = multivariant {
        manifests.push(write_manifest(env, &name, &playlist.to_bytes())?);
    }
    report.manifests = manifests.iter().map(|output| output.path.clone()).collect();
    report.outputs.extend(manifests);
    Ok(report)
}

/// Adds the parts of files that a playlist names, each with the key in force where it is named.
fn add_parts(
    name: &str,
    (content, playlist): (Content, &Playlist),
    find: &LineKeys<'_>,
    files: &mut BTreeMap<String, Parts>,
) -> Result<()> {
    let keys = media::keys(playlist)?;
    let in_force = |line: usize| keys.iter().rev().find(|key| key.line < line).filter(|key| key.encrypts());
    if let Some(key) = keys.iter().find(|key| key.encrypts() && key.method != "AES-128") {
        return Err(Error::unsupported(format!("METHOD={} beside AES-128", key.method))
            .clause("RFC 8216bis §4.4.4.4"));
    }
    let first = media::media_sequence(playlist)?;
    for (sequence, segment) in (first..).zip(media::segments(playlist)?) {
        if segment.gap {
            continue;
        }
        let mut add = |uri: &str, range: Option<Range<u64>>, line: usize| -> Result<()> {
            let key = in_force(line).filter(|_| content != Content::Text);
            let key = key.map(|key| find.whole_segment(name, key, sequence)).transpose()?;
            let range = range.map(|range| (range.start, range.end));
            files.entry(find.store.refer(name, uri)?).or_default().insert(range, key);
            Ok(())
        };
        if let Some(map) = &segment.map {
            add(&map.uri, map.byte_range.clone(), map.line)?;
        }
        add(&segment.uri, segment.byte_range.clone(), segment.line)?;
    }
    Ok(())
}
