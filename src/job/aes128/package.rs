//! What the playlists of an HLS package name, and what becomes of each file and range when segments are encrypted
//! whole — RFC 8216bis §4.4.4.4, §5.2.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::codec::TrackKind;
use crate::hls::Playlist;
use crate::package::{Assignment, Phase, Substream, Treatment};
use crate::presentation::{
    Content, FileLengths, MediaPlaylist, Multivariant, OtherFile, Presentation, Resource, Role,
    check_init_is_no_media, check_is_no_media,
};

use crate::job::hls::{other_files, refuse_keys};
use crate::job::package::Expect;
use crate::job::parts::{Parts, check_parts};
use crate::job::rules::{Rules, no_segment_behind};

/// A media playlist whose segments are encrypted.
pub(super) struct Rendition {
    pub(super) name: String,
    pub(super) playlist: Playlist,
    pub(super) substream: usize,
    /// Every map and segment in it.
    pub(super) named: Vec<Named>,
    /// How many segments there are.
    segments: usize,
    /// Whether its substream has segments of other playlists too, which came first.
    pub(super) shares: bool,
}

/// What a tag or a line of a playlist names.
pub(super) struct Named {
    /// The line of the URI, or of the `EXT-X-MAP` tag.
    pub(super) line: usize,
    /// What is named; none of a segment that is missing (`EXT-X-GAP`).
    pub(super) part: Option<(String, Option<(u64, u64)>)>,
    /// What becomes of it by what this playlist says.
    pub(super) usage: Use,
    /// The media sequence number that stands for an IV that is not written: §5.2.
    pub(super) implied: Option<u64>,
}

/// A media playlist that is taken into a package.
struct Reading<'a> {
    store: &'a dyn Store,
    read: &'a Presentation,
    media: &'a MediaPlaylist,
    rules: &'a Rules,
}

impl Reading<'_> {
    /// Adds what the playlist names; one that stays clear is no rendition.
    fn add(&self, package: &mut Package, lengths: &mut FileLengths<'_>) -> Result<Option<Rendition>> {
        if !self.media.content.is_media() {
            return self.add_clear(package).map(|()| None);
        }
        let is_inside = self.is_in_whole_segments();
        let known = self.known_substream(package, is_inside);
        let substream = known.unwrap_or_else(|| package.substream(self.media.content));
        let (mut named, mut next) = (Vec::new(), 0);
        let encrypts_maps = matches!(self.rules.treatment, Treatment::Aes128 { encrypts_maps: true, .. });
        for resource in &self.media.resources {
            package.lasts = package.lasts.max(resource.begins + resource.duration);
            let phase = self.phase(next, resource.begins);
            let key = |sequence| match phase {
                Phase::Clear => Use::Clear,
                Phase::Period(period) => Use::Key(KeyUse { substream, period, sequence }),
            };
            let (line, file, range) = (resource.line, resource.file.clone(), resource.range.clone());
            match resource.role {
                // A map is under the key in force where it is named, whatever comes later.
                Role::Init | Role::Tables if !resource.gap => {
                    let usage = if encrypts_maps { key(0) } else { Use::Clear };
                    let part = package.part(file, range, usage)?;
                    named.push(Named { line, part: Some(part), usage, implied: None });
                }
                Role::Segment => {
                    next += 1;
                    let (usage, implied) = (key(resource.sequence), Some(resource.sequence));
                    let (part, implied) = match range {
                        _ if resource.gap => (None, implied),
                        Some(range) if is_inside => {
                            let held = lengths.hold(&file, &range);
                            held.map_err(|error| error.clause("RFC 8216bis §4.4.4.2"))?;
                            (Some(package.held(file)?), None)
                        }
                        range => (Some(package.part(file, range, usage)?), implied),
                    };
                    named.push(Named { line, part, usage, implied });
                }
                _ => {}
            }
        }
        self.add_partial_segments(package, (substream, next))?;
        let (name, playlist) = (self.media.name.clone(), self.media.playlist.clone());
        let (segments, shares) = (next as usize, known.is_some());
        Ok(Some(Rendition { name, playlist, substream, named, segments, shares }))
    }

    /// What protects the segment of this number that begins after so many seconds.
    fn phase(&self, number: u32, begins: f64) -> Phase {
        let elapsed = Duration::try_from_secs_f64(begins).unwrap_or(Duration::MAX);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.rules.schedule.phase(number, milliseconds, 1000)
    }

    fn add_clear(&self, package: &mut Package) -> Result<()> {
        let mut known = None;
        for segment in self.media.segments() {
            if let Some(init) = self.media.init_of(segment) {
                if known.replace(init.line) != Some(init.line) {
                    check_init_is_no_media(self.store, &init.file, init.range.as_ref())?;
                }
                package.part(init.file.clone(), None, Use::Clear)?;
            } else {
                check_is_no_media(self.store, &segment.file)?;
            }
            package.part(segment.file.clone(), None, Use::Clear)?;
        }
        Ok(())
    }

    /// Whether I-frames are ranges of files that are encrypted whole. A client widens such a range to whole blocks,
    /// counted from the file's beginning, and one block more (§6.3.6), so that the ranges stay as they are.
    fn is_in_whole_segments(&self) -> bool {
        let mut ranges = self.media.segments().filter(|segment| segment.range.is_some());
        let holder = ranges.next().and_then(|first| self.read.resource(first.inside?));
        self.media.is_i_frames && holder.is_some_and(|holder| holder.range.is_none())
    }

    /// The substream of the playlist that has these segments too; `None` when no other has.
    fn known_substream(&self, package: &Package, is_inside: bool) -> Option<usize> {
        // The first of them may be in the clear lead.
        self.media.segments().find_map(|segment| {
            let bounds = segment.bounds().filter(|_| !is_inside);
            match package.files.get(&segment.file)?.get(&bounds)? {
                Use::Key(usage) => Some(usage.substream),
                Use::Clear => None,
            }
        })
    }

    /// Partial segments in files of their own are encrypted as their parent segment is: §4.4.4.9.
    fn add_partial_segments(&self, package: &mut Package, (substream, segments): (usize, u32)) -> Result<()> {
        let refused = |what: &str| Error::unsupported(what).clause("RFC 8216bis §4.4.4.9");
        let of_role = |role| self.media.resources.iter().filter(move |resource| resource.role == role);
        if of_role(Role::Part).chain(of_role(Role::Hint)).any(|part| part.range.is_some()) {
            return Err(refused("partial segments that are byte ranges: an encrypted segment has no ranges")
                .hint("put them into files of their own, or leave them out"));
        }
        let has_parts = of_role(Role::Part).next().is_some();
        if has_parts && segments == 0 {
            return Err(refused(
                "partial segments without a segment: no line stands before which a key belongs",
            ));
        }
        // A key goes behind the map of its segments.
        let known: Vec<&Resource> = self.media.segments().collect();
        let is_before_map = |part: &Resource| {
            let segment = known.get(known.partition_point(|segment| segment.line < part.line));
            segment.is_some_and(|segment| segment.init != part.init)
        };
        if let Some(part) = of_role(Role::Part).find(|part| is_before_map(part)) {
            return Err(Error::input(format!(
                "line {}: a part before the EXT-X-MAP of its segment",
                part.line + 1
            ))
            .clause("RFC 8216bis §4.4.4.5"));
        }
        if has_parts && !self.rules.schedule.is_constant() {
            return Err(refused("partial segments with keys that change")
                .hint("leave out --clear-lead and --rotate-every, or the partial segments"));
        }
        for part in of_role(Role::Part).filter(|part| !part.gap) {
            let usage = Use::Key(KeyUse { substream, period: 0, sequence: part.sequence });
            package.part(part.file.clone(), None, usage)?;
        }
        Ok(())
    }
}

/// What becomes of a file or of a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It is copied.
    Clear,
    /// It is encrypted.
    Key(KeyUse),
}

/// The key of a substream in a crypto period. `sequence` is the media sequence number that gives the IV, unless the
/// key has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyUse {
    pub(super) substream: usize,
    pub(super) period: usize,
    pub(super) sequence: u64,
}

/// Everything that the playlists name.
#[derive(Default)]
pub(super) struct Package {
    /// The playlist that the job was given.
    pub(super) input: String,
    pub(super) renditions: Vec<Rendition>,
    pub(super) substreams: Vec<Substream>,
    /// Each file, with what becomes of its parts by the first playlist that names them.
    pub(super) files: BTreeMap<String, Parts<Use>>,
    /// Playlists that stay as they are.
    pub(super) clear: Vec<(String, Playlist)>,
    pub(super) warnings: Vec<String>,
    /// How long the longest playlist lasts, in seconds.
    lasts: f64,
    /// What a second playlist says of a part.
    again: Vec<(String, Use, Use)>,
}

impl Package {
    /// Reads every playlist of a presentation.
    pub(super) fn read(store: &dyn Store, name: &str, rules: &Rules) -> Result<Self> {
        let mut package = Self { input: name.to_owned(), ..Self::default() };
        let read = Presentation::read(store, &[name.to_owned()])?;
        let mut lengths = FileLengths::new(store);
        for media in &read.playlists {
            let reading = Reading { store, read: &read, media, rules };
            refuse_keys(&media.keys, &media.name, Expect::Clear)?;
            let at = |error: Error| error.at(media.name.clone());
            match reading.add(&mut package, &mut lengths).map_err(at)? {
                Some(rendition) => package.renditions.push(rendition),
                None => package.clear.push((media.name.clone(), media.playlist.clone())),
            }
            package.others(store, &media.name, &media.others)?;
        }
        for Multivariant { name, session_keys, others, .. } in &read.multivariants {
            refuse_keys(session_keys, name, Expect::Clear)?;
            package.others(store, name, others)?;
        }
        package.clear.extend(read.multivariants.into_iter().map(|found| (found.name, found.playlist)));
        package.check_names()?;
        Ok(package)
    }

    fn others(&mut self, store: &dyn Store, name: &str, others: &[OtherFile]) -> Result<()> {
        for file in other_files(store, name, others, &mut self.warnings)? {
            self.part(file, None, Use::Clear)?;
        }
        Ok(())
    }

    /// A whole file that has I-frames.
    fn held(&self, file: String) -> Result<(String, Option<(u64, u64)>)> {
        if self.files.get(&file).is_some_and(|parts| parts.contains_key(&None)) {
            return Ok((file, None));
        }
        Err(Error::unsupported("I-frames in a file that no other playlist names whole")
            .clause("RFC 8216bis §6.3.6")
            .at(file)
            .hint("leave the I-frame playlist out"))
    }

    /// Checks that there is something to encrypt, and that no playlist is named as a segment.
    fn check_names(&self) -> Result<()> {
        if self.renditions.iter().all(|rendition| rendition.segments().next().is_none()) {
            return Err(Error::input("the input has no segment that can be encrypted")
                .hint("segments marked EXT-X-GAP may be missing, and stay out"));
        }
        let playlists = self.renditions.iter().map(|rendition| &rendition.name);
        let mut playlists = playlists.chain(self.clear.iter().map(|(name, _)| name));
        match playlists.find(|name| self.files.contains_key(*name)) {
            Some(name) => Err(Error::input("a playlist is named as a segment").at(name.clone())),
            None => Ok(()),
        }
    }

    /// Checks that a clear lead leaves something to encrypt in every playlist.
    pub(super) fn check_lead(&self, seconds: f64) -> Result<()> {
        let is_clear = |named: &Named| self.usage(named) == Use::Clear;
        let all_clear =
            |rendition: &&Rendition| rendition.segments > 0 && rendition.named.iter().all(is_clear);
        match self.renditions.iter().find(all_clear) {
            Some(rendition) => Err(no_segment_behind(seconds).at(rendition.name.clone())),
            None => Ok(()),
        }
    }

    fn substream(&mut self, content: Content) -> usize {
        let (kind, letter) = match content {
            Content::Audio => (TrackKind::Audio, 'a'),
            _ => (TrackKind::Video, 'v'),
        };
        let number = self.substreams.iter().filter(|known| known.kind == kind).count() + 1;
        let id = format!("{letter}{number}");
        self.substreams.push(Substream::new(id, kind));
        self.substreams.len() - 1
    }

    /// Notes what becomes of a part of a file; what the first playlist says counts.
    fn part(
        &mut self,
        file: String,
        range: Option<Range<u64>>,
        usage: Use,
    ) -> Result<(String, Option<(u64, u64)>)> {
        let parts = self.files.entry(file.clone()).or_default();
        let key = range.map(|range| (range.start, range.end));
        if parts.keys().next().is_some_and(|known| known.is_none() != key.is_none()) {
            return Err(Error::unsupported("is named as a whole and in byte ranges")
                .clause("RFC 8216bis §5.2")
                .at(file)
                .hint("an encrypted file has no ranges: leave the playlist out that names them, or cut it apart"));
        }
        let known = *parts.entry(key).or_insert(usage);
        if known != usage {
            self.again.push((file.clone(), known, usage));
        }
        Ok((file, key))
    }

    /// Checks what depends on which substream has which key, and what the files are, before any key is fetched.
    /// Returns how many bytes the files have, if that is known.
    pub(super) fn check(&self, assignment: &Assignment, store: &dyn Store) -> Result<Option<u64>> {
        let key = |usage: &Use| match usage {
            Use::Clear => None,
            Use::Key(usage) => Some((assignment.key_of.get(usage.substream), usage.period)),
        };
        if let Some((file, first, second)) = self.again.iter().find(|(_, a, b)| key(a) != key(b)) {
            let what = match (first, second) {
                (Use::Key(_), Use::Key(_)) => "is named twice, under two keys",
                _ => "is named twice, once to be encrypted and once to stay clear",
            };
            return Err(Error::unsupported(what)
                .clause("RFC 8216bis §4.4.4.4")
                .at(file.clone())
                .hint("share one key (preset0) that does not change, or copy the file"));
        }
        check_parts(&self.files, store)
    }

    /// How long the longest playlist lasts.
    pub(super) fn lasts(&self) -> Duration {
        Duration::try_from_secs_f64(self.lasts).unwrap_or(Duration::MAX)
    }

    /// How many segments the longest playlist has.
    pub(super) fn longest(&self) -> u32 {
        let longest = self.renditions.iter().map(|rendition| rendition.segments).max().unwrap_or(0);
        u32::try_from(longest).unwrap_or(u32::MAX)
    }

    /// What becomes of what a playlist names.
    pub(super) fn usage(&self, named: &Named) -> Use {
        let first = named.part.as_ref().and_then(|(file, range)| self.files.get(file)?.get(range));
        first.copied().unwrap_or(named.usage)
    }
}
