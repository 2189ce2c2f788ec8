//! What the playlists of an HLS package name, and what becomes of each file and range when segments are encrypted
//! whole — RFC 8216bis §4.4.4.4, §5.2.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::env::Store;
use crate::base::uri::resolve;
use crate::base::{Error, Result};
use crate::codec::TrackKind;
use crate::hls::{Playlist, media, multivariant, partial_segments};
use crate::package::{Assignment, Phase, Substream};

use crate::job::clear_files;
use crate::job::folder::FileLengths;
use crate::job::hls::{Content, playlists, refuse_keys, session_data};
use crate::job::package::Expect;
use crate::job::parts::{Parts, check_parts};
use crate::job::rules::no_segment_behind;

use super::rules::{Maps, WholeRules};

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
    /// What a second playlist says of a part.
    again: Vec<(String, Use, Use)>,
}

impl Package {
    /// Reads every playlist of a presentation.
    pub(super) fn read(store: &dyn Store, name: &str, rules: &WholeRules) -> Result<Self> {
        let mut package = Self { input: name.to_owned(), ..Self::default() };
        let mut lengths = FileLengths::new(store);
        let (multivariant, mut media) = playlists(store, name)?;
        // What an I-frame playlist names lies inside the segments of the others.
        media.sort_by_key(|(_, _, playlist)| media::is_i_frames_only(playlist));
        for (name, content, playlist) in media {
            let at = |error: Error| error.at(name.clone());
            refuse_keys(&media::keys(&playlist).map_err(at)?, &name, Expect::Clear)?;
            match content {
                Content::Text => package.add_clear(store, &name, playlist).map_err(at)?,
                content => package.add(store, (&name, content), playlist, rules, &mut lengths).map_err(at)?,
            }
        }
        if let Some((name, playlist)) = multivariant {
            refuse_keys(&multivariant::session_keys(&playlist)?, &name, Expect::Clear)?;
            for file in session_data(store, &name, &playlist)? {
                package.part(file, None, Use::Clear)?;
            }
            package.clear.push((name, playlist));
        }
        package.check_names()?;
        Ok(package)
    }

    fn add_clear(&mut self, store: &dyn Store, name: &str, playlist: Playlist) -> Result<()> {
        let mut known_map = None;
        for segment in media::segments(&playlist)?.iter().filter(|segment| !segment.gap) {
            let file = store.refer(name, &segment.uri)?;
            if let Some(map) = &segment.map {
                let init = store.refer(name, &map.uri)?;
                if known_map.replace(map.line) != Some(map.line) {
                    clear_files::check_init(store, &init, map.byte_range.as_ref())?;
                }
                self.part(init, None, Use::Clear)?;
            } else {
                clear_files::check(store, &file)?;
            }
            self.part(file, None, Use::Clear)?;
        }
        self.clear.push((name.to_owned(), playlist));
        Ok(())
    }

    fn add(
        &mut self,
        store: &dyn Store,
        (name, content): (&str, Content),
        mut playlist: Playlist,
        rules: &WholeRules,
        lengths: &mut FileLengths<'_>,
    ) -> Result<()> {
        // Tags with METHOD=NONE would end the reach of ours.
        media::unprotect(&mut playlist);
        let segments = media::segments(&playlist)?;
        let first = media::media_sequence(&playlist)?;
        let is_inside = media::is_i_frames_only(&playlist) && self.has_whole(name, &segments)?;
        let known = self.known_substream(name, &segments, is_inside)?;
        let substream = known.unwrap_or_else(|| self.substream(content));
        let count = segments.len();
        let (mut begins, mut named, mut known_map) = (0.0_f64, Vec::new(), None);
        for (number, segment) in (0_u32..).zip(segments) {
            let phase = rules.phase(number, begins);
            begins += segment.duration;
            let sequence = first.saturating_add(u64::from(number));
            let key = |sequence| match phase {
                Phase::Clear => Use::Clear,
                Phase::Period(period) => Use::Key(KeyUse { substream, period, sequence }),
            };
            let (line, usage, implied) = (segment.line, key(sequence), Some(sequence));
            if segment.gap {
                named.push(Named { line, part: None, usage, implied });
                continue;
            }
            // A map is under the key in force where it is named, whatever comes later.
            let new = segment.map.filter(|map| known_map.replace(map.line) != Some(map.line));
            if let Some(map) = new {
                let usage = if rules.maps == Maps::Encrypted { key(0) } else { Use::Clear };
                let part = self.part(store.refer(name, &map.uri)?, map.byte_range.clone(), usage)?;
                named.push(Named { line: map.line, part: Some(part), usage, implied: None });
            }
            let file = store.refer(name, &segment.uri)?;
            let (part, implied) = match segment.byte_range {
                Some(range) if is_inside => {
                    lengths.hold(&file, &range).map_err(|error| error.clause("RFC 8216bis §4.4.4.2"))?;
                    (self.held(file)?, None)
                }
                range => (self.part(file, range, usage)?, implied),
            };
            named.push(Named { line, part: Some(part), usage, implied });
        }
        self.add_partial_segments(store, (name, &playlist), rules, (substream, first, count))?;
        let (name, shares) = (name.to_owned(), known.is_some());
        self.renditions.push(Rendition { name, playlist, substream, named, segments: count, shares });
        Ok(())
    }

    /// Whether I-frames are ranges of files that are encrypted whole. A client widens such a range to whole blocks,
    /// counted from the file's beginning, and one block more (§6.3.6), so that the ranges stay as they are.
    fn has_whole(&self, name: &str, segments: &[media::Segment]) -> Result<bool> {
        let mut files = segments.iter().filter(|segment| !segment.gap && segment.byte_range.is_some());
        let Some(first) = files.next() else { return Ok(false) };
        let parts = self.files.get(&resolve(name, &first.uri)?);
        Ok(parts.is_some_and(|parts| parts.contains_key(&None)))
    }

    /// The substream of the playlist that has these segments too; `None` when no other has.
    fn known_substream(
        &self,
        name: &str,
        segments: &[media::Segment],
        is_inside: bool,
    ) -> Result<Option<usize>> {
        // The first of them may be in the clear lead.
        for segment in segments.iter().filter(|segment| !segment.gap) {
            let range = segment.byte_range.as_ref().filter(|_| !is_inside);
            let range = range.map(|range| (range.start, range.end));
            let parts = self.files.get(&resolve(name, &segment.uri)?);
            if let Some(Use::Key(usage)) = parts.and_then(|parts| parts.get(&range)) {
                return Ok(Some(usage.substream));
            }
        }
        Ok(None)
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

    /// Partial segments in files of their own are encrypted as their parent segment is: §4.4.4.9.
    fn add_partial_segments(
        &mut self,
        store: &dyn Store,
        (name, playlist): (&str, &Playlist),
        rules: &WholeRules,
        (substream, first, count): (usize, u64, usize),
    ) -> Result<()> {
        let refused = |what: &str| Error::unsupported(what).clause("RFC 8216bis §4.4.4.9");
        let parts = partial_segments(playlist)?;
        let hinted_range = |(_, value): (usize, &str)| value.contains("BYTERANGE-START");
        if parts.iter().any(|part| part.byte_range.is_some())
            || playlist.tags("EXT-X-PRELOAD-HINT").any(hinted_range)
        {
            return Err(refused("partial segments that are byte ranges: an encrypted segment has no ranges")
                .hint("put them into files of their own, or leave them out"));
        }
        if !parts.is_empty() && count == 0 {
            return Err(refused(
                "partial segments without a segment: no line stands before which a key belongs",
            ));
        }
        if !parts.is_empty() && !rules.schedule.is_constant() {
            return Err(refused("partial segments with keys that change")
                .hint("leave out --clear-lead and --rotate-every, or the partial segments"));
        }
        let lines: Vec<usize> = media::segments(playlist)?.iter().map(|segment| segment.line).collect();
        for part in parts.into_iter().filter(|part| !part.gap) {
            let number = lines.partition_point(|line| *line < part.line);
            let sequence = first.saturating_add(number as u64);
            let usage = Use::Key(KeyUse { substream, period: 0, sequence });
            self.part(store.refer(name, &part.uri)?, None, usage)?;
        }
        Ok(())
    }

    /// Checks that there is something to encrypt, and that no playlist is named as a segment.
    fn check_names(&self) -> Result<()> {
        if self.renditions.iter().all(|rendition| rendition.segments == 0) {
            return Err(Error::input("the input has no segment that can be encrypted"));
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
        self.substreams.push(Substream { id, kind, pixels: None, channels: None });
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
