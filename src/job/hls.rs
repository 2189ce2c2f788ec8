//! HLS packages: playlists read, their files named, keys signaled in them — RFC 8216bis.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::env::Store;
use crate::base::uri::resolve;
use crate::base::{Error, Result};
use crate::hls::multivariant::RenditionKind;
use crate::hls::{Key, KeysInForce, Playlist, PlaylistKind, media, multivariant, partial_segments};
use crate::package::{Phase, Plan, PlannedKey};

use super::clear_files;
use super::env::Env;
use super::files::ProtectedPackage;
use super::folder::{FileLengths, read_manifest, write_manifest};
use super::identity::Summary;
use super::package::{Expect, Package};
use super::report::OutputReport;
use super::{stated, streams};

/// The playlists of a package.
pub(super) struct HlsManifests {
    multivariant: Option<(String, Playlist)>,
    media: Vec<MediaPlaylist>,
}

struct MediaPlaylist {
    name: String,
    playlist: Playlist,
    /// The renditions that its segments belong to; none for one that stays clear.
    renditions: Vec<usize>,
    /// The same of those without a media initialization section.
    streams: Vec<usize>,
}

/// Reads a multivariant or media playlist, and everything it names into the package.
pub(super) fn read(
    store: &dyn Store,
    name: &str,
    expect: Expect,
    package: &mut Package,
) -> Result<HlsManifests> {
    let (multivariant, mut playlists) = playlists(store, name)?;
    // What an I-frame playlist names is part of the segments of the others.
    playlists.sort_by_key(|(_, _, playlist)| media::is_i_frames_only(playlist));
    if let Some((name, playlist)) = &multivariant {
        refuse_keys(&multivariant::session_keys(playlist)?, name, expect)?;
        session_data(store, name, playlist)?.into_iter().for_each(|file| package.clear_file(file));
    }
    let mut media = Vec::new();
    let mut stated = match &multivariant {
        Some((main, playlist)) => {
            stated::of_multivariant(store, main, playlist).map_err(|error| error.at(main))?
        }
        None => HashMap::new(),
    };
    for (name, content, playlist) in playlists {
        let playlist = media_playlist(store, package, &name, playlist, (content, expect))?;
        let stated = stated.remove(&name).unwrap_or_default();
        playlist.renditions.iter().for_each(|rendition| package.stated(*rendition, stated.clone()));
        media.push(playlist);
    }
    Ok(HlsManifests { multivariant, media })
}

/// The playlists of a presentation.
pub(super) type Playlists = (Option<(String, Playlist)>, Vec<(String, Content, Playlist)>);

/// Reads a multivariant playlist and every media playlist that it names, each once, or a media playlist alone.
pub(super) fn playlists(store: &dyn Store, name: &str) -> Result<Playlists> {
    let playlist = parse(store, name)?;
    if playlist.kind().map_err(|error| error.at(name))? == PlaylistKind::Media {
        return Ok((None, vec![(name.to_owned(), Content::Media, playlist)]));
    }
    let mut media: Vec<(String, Content, Playlist)> = Vec::new();
    for rendition in multivariant::renditions(&playlist).map_err(|error| error.at(name))? {
        let media_name = store.refer(name, &rendition.uri).map_err(|error| error.at(name))?;
        let content = match &rendition.kind {
            RenditionKind::Media(kind) if kind == "SUBTITLES" => Content::Text,
            RenditionKind::Media(kind) if kind == "AUDIO" => Content::Audio,
            _ => Content::Media,
        };
        if let Some((_, known, _)) = media.iter_mut().find(|(known, ..)| *known == media_name) {
            *known = content.max(*known);
            continue;
        }
        let mut media_playlist = parse(store, &media_name)?;
        media_playlist.named_by(&playlist, &rendition.uri).map_err(|error| error.at(name))?;
        media.push((media_name, content, media_playlist));
    }
    Ok((Some((name.to_owned(), playlist)), media))
}

fn parse(store: &dyn Store, name: &str) -> Result<Playlist> {
    Playlist::parse(&read_manifest(store, name)?).map_err(|error| error.at(name))
}

/// What a playlist's segments are, by all that name it: what needs more protection comes later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    /// Text.
    Text,
    /// Sound alone.
    Audio,
    /// Pictures, or pictures and sound.
    Media,
}

/// Files that tags of a multivariant playlist name and that are there: they stay as they are.
pub(super) fn session_data(store: &dyn Store, name: &str, playlist: &Playlist) -> Result<Vec<String>> {
    let uris = multivariant::session_data(playlist).map_err(|error| error.at(name))?;
    let files = uris.iter().filter_map(|uri| store.refer(name, uri).ok());
    let files: Vec<String> = files.filter(|file| store.exists(file)).collect();
    files.iter().try_for_each(|file| clear_files::check(store, file))?;
    Ok(files)
}

pub(super) fn refuse_keys(keys: &[Key], name: &str, expect: Expect) -> Result<()> {
    match keys.iter().find(|key| key.encrypts() && expect == Expect::Clear) {
        Some(key) => Err(Error::input(format!("line {} encrypts the presentation already", key.line + 1))
            .clause("RFC 8216bis §4.4.4.4")
            .at(name)
            .hint("give the clear input, or decrypt it first with drm-pack decrypt")),
        None => Ok(()),
    }
}

fn media_playlist(
    store: &dyn Store,
    package: &mut Package,
    name: &str,
    playlist: Playlist,
    (content, expect): (Content, Expect),
) -> Result<MediaPlaylist> {
    let at = |error: Error| error.at(name);
    let keys = media::keys(&playlist).map_err(at)?;
    refuse_keys(&keys, name, expect)?;
    let mut manifest =
        MediaPlaylist { name: name.to_owned(), playlist, renditions: Vec::new(), streams: Vec::new() };
    let playlist = &manifest.playlist;
    let first_sequence = media::media_sequence(playlist).map_err(at)?;
    let mut in_force = KeysInForce::new(&keys);
    let mut before = (0.0, 0);
    let has_whole_segments = !media::is_i_frames_only(playlist);
    for segment in media::segments(playlist).map_err(at)? {
        let begin = before;
        before = (before.0 + segment.duration, before.1 + 1);
        if segment.gap {
            continue;
        }
        let file = store.refer(name, &segment.uri).map_err(at)?;
        let range = segment.byte_range.as_ref();
        let Some(map) = media_initialization(package, name, segment.map).map_err(at)? else {
            if content == Content::Text {
                clear_files::check(store, &file).map_err(at)?;
                package.clear_file(file);
                continue;
            }
            let known =
                if has_whole_segments { None } else { package.streams.holder(&file, range).map_err(at)? };
            let index =
                match known.or_else(|| manifest.streams.last().copied().filter(|_| has_whole_segments)) {
                    Some(index) => index,
                    None => package.streams.rendition(store, name, (&file, range), expect).map_err(at)?,
                };
            if known.is_none() {
                let segment = streams::Segment {
                    rendition: index,
                    number: begin.1,
                    begins: milliseconds(begin.0),
                    sequence: first_sequence.saturating_add(u64::from(begin.1)),
                    keys: in_force.at(segment.line),
                };
                package.streams.segment(file, range, segment).map_err(at)?;
            }
            if !manifest.streams.contains(&index) {
                manifest.streams.push(index);
            }
            continue;
        };
        let init = store.refer(name, &map.uri).map_err(at)?;
        let rendition =
            package.rendition(store, name, name, (init, map.byte_range.clone()), expect).map_err(at)?;
        package.file(rendition, file).map_err(at)?;
        if has_whole_segments {
            package.cut(rendition, range.map_or(0, |range| range.start), begin);
        }
        if !manifest.renditions.contains(&rendition) {
            manifest.renditions.push(rendition);
        }
    }
    add_partial_segments(store, package, &manifest, (content, expect)).map_err(at)?;
    check_ranges(store, &manifest).map_err(at)?;
    Ok(manifest)
}

/// Checks that each byte range of what is there lies inside its file.
fn check_ranges(store: &dyn Store, manifest: &MediaPlaylist) -> Result<()> {
    let mut files = FileLengths::new(store);
    media::map_byte_ranges(&mut manifest.playlist.clone(), &mut |uri, range| {
        let file = resolve(&manifest.name, uri)?;
        if store.exists(&file) {
            files.hold(&file, &range).map_err(|error| error.clause("RFC 8216bis §4.4.4.2"))?;
        }
        Ok(range)
    })
}

/// Adds files that only partial segments name; others are byte ranges of what segments have.
///
/// A file that a preload hint names may not be there yet: what comes of it is for whoever writes it.
fn add_partial_segments(
    store: &dyn Store,
    package: &mut Package,
    manifest: &MediaPlaylist,
    (content, expect): (Content, Expect),
) -> Result<()> {
    let name = &manifest.name;
    for part in partial_segments(&manifest.playlist)?.into_iter().filter(|part| !part.gap) {
        let file = store.refer(name, &part.uri)?;
        let refused = |file| {
            Error::unsupported("a partial segment that no media segment has")
                .clause("RFC 8216bis §4.4.4.9")
                .at(file)
                .hint("leave partial segments out, or use fragmented MP4")
        };
        match media_initialization(package, name, part.map)? {
            Some(map) => {
                let init = (store.refer(name, &map.uri)?, map.byte_range.clone());
                let rendition = package.rendition(store, name, name, init, expect)?;
                package.part_file(rendition, file)?;
            }
            None if content == Content::Text => {
                clear_files::check(store, &file)?;
                package.clear_file(file);
            }
            None if package.streams.holder(&file, part.byte_range.as_ref())?.is_some() => {}
            None => return Err(refused(file)),
        }
    }
    Ok(())
}

/// The media initialization section of fragmented MP4. I-frame playlists name the program tables of a transport
/// stream by the same tag: RFC 8216bis §3.1.1.
fn media_initialization(
    package: &Package,
    playlist: &str,
    map: Option<Arc<media::Map>>,
) -> Result<Option<Arc<media::Map>>> {
    let Some(map) = map else { return Ok(None) };
    let file = resolve(playlist, &map.uri)?;
    Ok(package.streams.holder(&file, map.byte_range.as_ref())?.is_none().then_some(map))
}

fn milliseconds(seconds: f64) -> u64 {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl MediaPlaylist {
    /// The `EXT-X-KEY` lines of a crypto period; none when the playlist stays clear.
    fn key_lines(&self, package: &Package, plan: &Plan, period: usize) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let renditions = self.renditions.iter().filter_map(|index| package.renditions.get(*index));
        let streams = self.streams.iter().filter_map(|index| package.streams.renditions.get(*index));
        let substreams = renditions.map(|r| &r.substreams).chain(streams.map(|r| &r.substreams));
        for substream in substreams.flatten().flatten() {
            add_new(&mut lines, key_lines(plan.key_in(period, *substream)?));
        }
        Ok(lines)
    }

    /// Signals what became of each segment. One that may be missing (`EXT-X-GAP`) is like the one before.
    fn protect_runs(&mut self, package: &Package, plan: &Plan, done: &ProtectedPackage) -> Result<()> {
        if self.key_lines(package, plan, 0)?.is_empty() {
            return Ok(());
        }
        let mut phases = Vec::new();
        for segment in media::segments(&self.playlist)?.iter().filter(|segment| !segment.gap) {
            let file = resolve(&self.name, &segment.uri)?;
            let phase = done.phase(&file, segment.byte_range.as_ref().map(|range| range.end));
            phases.extend(phase.map(|phase| (segment.line, phase)));
        }
        let lines = |period| self.key_lines(package, plan, period);
        let runs = key_runs(phases, lines)?;
        if runs.iter().all(|(_, lines)| lines.is_empty()) {
            return Ok(());
        }
        media::protect_runs(&mut self.playlist, &runs)
    }
}

/// The `EXT-X-KEY` lines of each run of segments in one phase, with the line of the run's first segment.
pub(super) fn key_runs(
    phases: Vec<(usize, Phase)>,
    lines: impl Fn(usize) -> Result<Vec<String>>,
) -> Result<Vec<(usize, Vec<String>)>> {
    let mut phases = phases;
    phases.dedup_by_key(|(_, phase)| *phase);
    let run = |(line, phase)| match phase {
        Phase::Clear => Ok((line, Vec::new())),
        Phase::Period(period) => Ok((line, lines(period)?)),
    };
    phases.into_iter().map(run).collect()
}

impl HlsManifests {
    /// Signals the keys, corrects byte ranges, and writes the playlists, the multivariant one last.
    pub(super) fn protect(
        mut self,
        package: &Package,
        plan: &Plan,
        done: &ProtectedPackage,
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        for media in &mut self.media {
            if !plan.schedule.is_constant() {
                media.protect_runs(package, plan, done).map_err(|error| error.at(media.name.clone()))?;
                continue;
            }
            let lines = media.key_lines(package, plan, 0)?;
            if !lines.is_empty() {
                media::protect(&mut media.playlist, &lines).map_err(|error| error.at(media.name.clone()))?;
            }
        }
        if let Some((name, playlist)) = &mut self.multivariant {
            let mut lines = Vec::new();
            // The keys of later periods are named where they begin: all of them at once would be as many
            // license requests before the first picture.
            plan.first_keys().iter().for_each(|key| add_new(&mut lines, session_key_lines(key)));
            if !lines.is_empty() {
                multivariant::protect(playlist, &lines).map_err(|error| error.at(name.clone()))?;
            }
        }
        self.write(done, env)
    }

    pub(super) fn summarize(&self, summary: &mut Summary) {
        let media = self.media.iter().map(|media| (&media.name, &media.playlist));
        let multivariant = self.multivariant.iter().map(|(name, playlist)| (name, playlist));
        multivariant.chain(media).for_each(|(name, playlist)| summary.named(name, &playlist.to_bytes()));
    }

    /// Removes every key.
    pub(super) fn unprotect(mut self, done: &ProtectedPackage, env: &Env<'_>) -> Result<Vec<OutputReport>> {
        self.media.iter_mut().for_each(|media| media::unprotect(&mut media.playlist));
        if let Some((_, playlist)) = &mut self.multivariant {
            multivariant::unprotect(playlist);
        }
        self.write(done, env)
    }

    fn write(self, done: &ProtectedPackage, env: &Env<'_>) -> Result<Vec<OutputReport>> {
        let mut outputs = Vec::new();
        for MediaPlaylist { name, mut playlist, .. } in self.media {
            media::map_byte_ranges(&mut playlist, &mut |uri, range| match done
                .offsets
                .get(&resolve(&name, uri)?)
            {
                Some(offsets) => offsets.range(range),
                None => Ok(range),
            })
            .map_err(|error| error.at(name.clone()))?;
            outputs.push(write_manifest(env, &name, &playlist.to_bytes())?);
        }
        if let Some((name, playlist)) = self.multivariant {
            outputs.push(write_manifest(env, &name, &playlist.to_bytes())?);
        }
        Ok(outputs)
    }
}

/// The `EXT-X-KEY` lines of a key, one for each system that has one.
pub(super) fn key_lines(key: &PlannedKey) -> Vec<String> {
    lines_of(key.systems.iter().filter_map(|(_, system)| system.hls_signaling_data.media.as_deref()))
}

/// The `EXT-X-SESSION-KEY` lines of a key.
pub(super) fn session_key_lines(key: &PlannedKey) -> Vec<String> {
    lines_of(key.systems.iter().filter_map(|(_, system)| system.hls_signaling_data.multivariant.as_deref()))
}

/// A key server may send several lines as one text.
fn lines_of<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Appends the lines that are not there yet.
pub(super) fn add_new(lines: &mut Vec<String>, more: Vec<String>) {
    for line in more {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
}
