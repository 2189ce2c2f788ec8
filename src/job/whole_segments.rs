//! HLS packages whose segments are encrypted whole in AES-128 — RFC 8216bis §4.4.4.4, §5.2: any container.
//!
//! A segment is a file or a byte range of one; each is padded and encrypted by itself. Bytes of a file that no
//! playlist names are left out: they cannot be under a key.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;

use crate::base::env::Store;
use crate::base::uri::resolve;
use crate::base::{Error, Kid, Result, Secret};
use crate::codec::TrackKind;
use crate::cpix::Document;
use crate::drm::template::{self, UriValues};
use crate::hls::whole_segments::{Maps, protect, refuse_keys};
use crate::hls::{Playlist, media};
use crate::keys::check;
use crate::package::{KeyRule, Phase, Substream, key_request};
use crate::protect::Aes128;

use super::env::{Env, Event};
use super::files::copy;
use super::folder::{announce, write_manifest};
use super::hls::{Content, playlists};
use super::parts::{Moved, write_parts};
use super::report::{KeyRotation, OutputReport, Report, TrackReport};
use super::rules::{Job, WholeRules};

/// What the report calls it.
const NAME: &str = "aes-128";

/// A media playlist whose segments are encrypted.
struct Rendition {
    name: String,
    playlist: Playlist,
    substream: usize,
    /// Each segment that is there: the line of its URI and what becomes of it.
    segments: Vec<(usize, Use)>,
}

/// What becomes of a file or of a range of one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Clear,
    /// Encrypted for a substream in a crypto period; `sequence` is the media sequence number, 0 of a map.
    Key {
        substream: usize,
        period: usize,
        sequence: u64,
    },
}

/// The parts of a file that playlists name; a key of `None` is the whole file.
type Parts = BTreeMap<Option<(u64, u64)>, Use>;

/// The name of what a reference in a playlist means.
type Refer<'a> = dyn Fn(&str) -> Result<String> + 'a;

/// Everything that the playlists name.
#[derive(Default)]
struct Package {
    renditions: Vec<Rendition>,
    substreams: Vec<Substream>,
    files: BTreeMap<String, Parts>,
    /// Playlists and files that stay as they are.
    clear: Vec<(String, Option<Playlist>)>,
}

/// Encrypts every segment of an HLS package and names the keys in its playlists.
pub(super) fn run(job: &Job, env: &Env<'_>) -> Result<Report> {
    let start = Instant::now();
    let rules = WholeRules::check(job)?;
    (env.observe)(Event::Step("reading playlists"));
    let (store, name) = (env.locate)(job.inputs.first().map_or("", String::as_str))?;
    let package = Package::read(store.as_ref(), &name, &rules)?;
    let keys = Keys::exchange(&rules, &package, env)?;
    (env.observe)(Event::Step("encrypting"));
    let mut report = Report { drm: vec![job.drm.clone()], ..Report::default() };
    let moved = package.write_files(&keys, store.as_ref(), env, &mut report.outputs)?;
    (env.observe)(Event::Step("writing manifests"));
    report.tracks = package.tracks(&keys, &moved);
    if let Some(every) = rules.schedule.rotate_every {
        report.key_rotation =
            Some(KeyRotation { every: every.get(), periods: keys.periods, mode: "EXT-X-KEY at each change" });
    }
    report.clear_lead = rules.schedule.has_clear_lead().then_some(job.clear_lead);
    let manifests = package.write_playlists(&rules, &keys, &moved, env)?;
    report.manifests = manifests.iter().map(|output| output.path.clone()).collect();
    report.outputs.extend(manifests);
    report.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

impl Package {
    fn read(store: &dyn Store, name: &str, rules: &WholeRules) -> Result<Self> {
        let mut package = Self::default();
        let (multivariant, media) = playlists(store, name)?;
        for (name, content, playlist) in media {
            let at = |error: Error| error.at(name.clone());
            let refer = |reference: &str| store.refer(&name, reference);
            match content {
                Content::Text => package.add_clear(&name, playlist, &refer).map_err(at)?,
                content => package.add((&name, content), playlist, &refer, rules).map_err(at)?,
            }
        }
        package.clear.extend(multivariant.map(|(name, playlist)| (name, Some(playlist))));
        if package.renditions.is_empty() {
            return Err(Error::input("the input has no segment that can be encrypted"));
        }
        Ok(package)
    }

    fn add_clear(&mut self, name: &str, playlist: Playlist, refer: &Refer<'_>) -> Result<()> {
        for segment in media::segments(&playlist)?.iter().filter(|segment| !segment.gap) {
            let map = segment.map.as_ref().map(|map| map.uri.as_str());
            for uri in map.into_iter().chain([segment.uri.as_str()]) {
                self.part(refer(uri)?, None, Use::Clear)?;
            }
        }
        self.clear.push((name.to_owned(), Some(playlist)));
        Ok(())
    }

    fn add(
        &mut self,
        (name, content): (&str, Content),
        mut playlist: Playlist,
        refer: &Refer<'_>,
        rules: &WholeRules,
    ) -> Result<()> {
        refuse_keys(&mut playlist)?;
        for tag in ["EXT-X-PART", "EXT-X-PRELOAD-HINT"] {
            if playlist.tags(tag).next().is_some() {
                return Err(Error::unsupported(format!(
                    "{tag}: a partial segment is part of an encrypted one"
                ))
                .clause("RFC 8216bis §4.4.4.9"));
            }
        }
        let substream = self.substream(content);
        let first = playlist.tags("EXT-X-MEDIA-SEQUENCE").next();
        let first: u64 = first.and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0);
        let (mut begins, mut segments, mut known_map) = (0.0_f64, Vec::new(), None);
        for (number, segment) in (0_u32..).zip(media::segments(&playlist)?) {
            let phase = rules.phase(number, begins);
            begins += segment.duration;
            let key = |sequence| match phase {
                Phase::Clear => Use::Clear,
                Phase::Period(period) => Use::Key { substream, period, sequence },
            };
            let usage = key(first.saturating_add(u64::from(number)));
            segments.push((segment.line, usage));
            if segment.gap {
                continue;
            }
            // A map is under the key in force where it is named, whatever comes later.
            if let Some(map) =
                segment.map.as_ref().filter(|map| known_map.replace(map.line) != Some(map.line))
            {
                let usage = if rules.maps == Maps::Encrypted { key(0) } else { Use::Clear };
                self.part(refer(&map.uri)?, map.byte_range.clone(), usage)?;
            }
            self.part(refer(&segment.uri)?, segment.byte_range, usage)?;
        }
        self.renditions.push(Rendition { name: name.to_owned(), playlist, substream, segments });
        Ok(())
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

    /// Notes what becomes of a part of a file; two playlists may name the same part under the same key.
    fn part(&mut self, file: String, range: Option<Range<u64>>, usage: Use) -> Result<()> {
        let parts = self.files.entry(file.clone()).or_default();
        let key = range.map(|range| (range.start, range.end));
        if parts.keys().next().is_some_and(|known| known.is_none() != key.is_none()) {
            return Err(Error::unsupported("is named as a whole and in byte ranges")
                .clause("RFC 8216bis §5.2")
                .at(file)
                .hint("an encrypted file has no ranges: leave the I-frame playlist out, or cut it apart"));
        }
        let known = *parts.entry(key).or_insert(usage);
        let is_same = match (known, usage) {
            (Use::Clear, Use::Clear) => true,
            (Use::Key { substream: a, period: b, .. }, Use::Key { substream: c, period: d, .. }) => {
                (a, b) == (c, d)
            }
            _ => false,
        };
        if is_same && known == usage {
            return Ok(());
        }
        Err(Error::unsupported(if is_same {
            "has two media sequence numbers, which stand for two IVs"
        } else {
            "is named in two playlists that have keys of their own"
        })
        .clause("RFC 8216bis §5.2")
        .at(file)
        .hint("share one key (preset0) and give --vector, or copy the file"))
    }
}

/// The keys of every crypto period and substream.
struct Keys {
    /// In the order of the request: period by period.
    keys: Vec<(Kid, Secret<16>, Option<[u8; 16]>)>,
    /// The key of each substream among those of a period.
    key_of: Vec<usize>,
    periods: usize,
    /// URI and IV attribute of each key, in the order of the keys.
    uris: Vec<(String, String)>,
}

impl Keys {
    fn exchange(rules: &WholeRules, package: &Package, env: &Env<'_>) -> Result<Self> {
        let assignment = KeyRule::Preset(rules.preset).assign(&package.substreams)?;
        let longest = package.renditions.iter().map(|rendition| rendition.segments.len()).max().unwrap_or(0);
        let periods = rules.schedule.periods(u32::try_from(longest).unwrap_or(u32::MAX))?;
        let count = assignment.keys.len().saturating_mul(periods);
        rules.check_keys(package.substreams.len(), count)?;
        (env.observe)(Event::Step("exchanging keys"));
        let changing = if rules.schedule.rotate_every.is_some() { periods } else { 0 };
        let vector = match (rules.vector, rules.maps) {
            // An encrypted map must have its IV written: §4.4.4.4.
            (None, Maps::Encrypted) => {
                let mut vector = [0; 16];
                env.random.fill(&mut vector)?;
                Some(vector)
            }
            (vector, _) => vector,
        };
        let request = key_request(&rules.content_id, (NAME, None), &assignment, rules.vector, changing);
        let Document { content_keys, .. } = check(&request, env.keys.exchange(env.http, request.clone())?)?;
        let mut keys = Self { keys: Vec::new(), key_of: assignment.key_of, periods, uris: Vec::new() };
        for (number, key) in content_keys.into_iter().enumerate() {
            let track = assignment.keys.get(number % assignment.keys.len().max(1));
            let track = track.and_then(|key| key.id.as_deref()).unwrap_or("all");
            let iv = key.explicit_iv.or(vector);
            let values = UriValues { kid: key.kid, iv, content_id: &rules.content_id, track };
            let uri = template::expand(&rules.key_uri, &values)?;
            let iv_text = iv.map(|iv| format!(",IV=0x{}", crate::base::id::hex(&iv))).unwrap_or_default();
            keys.uris.push((uri, iv_text));
            let value = key.value.ok_or_else(|| Error::keys(format!("no value for key {}", key.kid)))?;
            keys.keys.push((key.kid, value, iv));
        }
        Ok(keys)
    }

    fn index(&self, substream: usize, period: usize) -> Option<usize> {
        let of_period = self.keys.len() / self.periods.max(1);
        Some(period * of_period + self.key_of.get(substream)?)
    }

    fn cipher(&self, substream: usize, period: usize, sequence: u64) -> Result<Aes128> {
        let key = self.index(substream, period).and_then(|index| self.keys.get(index));
        let (_, value, iv) = key.ok_or_else(|| Error::keys("no key for a segment"))?;
        let iv = iv.unwrap_or_else(|| Aes128::iv_of_media_sequence_number(sequence));
        Ok(Aes128::new(value, iv))
    }

    /// The `EXT-X-KEY` tag in a playlist of this name. A relative URI is relative to the playlist that the job
    /// was given, and so written differently in the folders below it.
    fn line(&self, usage: Use, playlist: &str) -> Option<String> {
        let Use::Key { substream, period, .. } = usage else { return None };
        let (uri, iv) = self.uris.get(self.index(substream, period)?)?;
        let is_relative = !uri.starts_with('/') && !uri.split('/').next().unwrap_or_default().contains(':');
        let up = if is_relative { "../".repeat(playlist.matches('/').count()) } else { String::new() };
        Some(format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{up}{uri}\"{iv}"))
    }
}

impl Package {
    fn write_files(
        &self,
        keys: &Keys,
        store: &dyn Store,
        env: &Env<'_>,
        outputs: &mut Vec<OutputReport>,
    ) -> Result<Moved> {
        announce(store, self.files.keys().map(String::as_str), env)?;
        let done: Vec<_> = self
            .files
            .par_iter()
            .map(|(name, parts)| {
                let source = store.open(name)?;
                let mut sink = env.output.create(name)?;
                let moved =
                    write_parts(source.as_ref(), sink.as_mut(), parts, |usage, part, sink| match *usage {
                        Use::Clear => copy(part, sink).map(|()| part.len()),
                        Use::Key { substream, period, sequence } => {
                            keys.cipher(substream, period, sequence)?.encrypt(part, sink)
                        }
                    });
                let moved = moved.map_err(|error| error.at(name.clone()))?;
                let output = OutputReport::new(name, &sink.commit()?);
                (env.observe)(Event::Advance(source.len()));
                Ok((name, output, moved))
            })
            .collect::<Result<_>>()?;
        let mut all = Moved::new();
        for (name, output, moved) in done {
            outputs.push(output);
            all.extend(moved.into_iter().map(|((start, end), to)| ((name.clone(), start, end), to)));
        }
        Ok(all)
    }

    fn tracks(&self, keys: &Keys, moved: &Moved) -> Vec<TrackReport> {
        let mut tracks = Vec::new();
        for rendition in &self.renditions {
            let Some(substream) = self.substreams.get(rendition.substream) else { continue };
            let kids = (0..keys.periods).filter_map(|period| {
                keys.keys.get(keys.index(rendition.substream, period)?).map(|(kid, ..)| kid.to_string())
            });
            let kids: Vec<String> = kids.collect();
            let mine = |usage: &Use| matches!(usage, Use::Key { substream, .. } if *substream == rendition.substream);
            let protected = rendition.segments.iter().filter(|(_, usage)| mine(usage)).count();
            let bytes = self.files.iter().flat_map(|(name, parts)| {
                let parts = parts.iter().filter(|(_, usage)| mine(usage));
                parts.filter_map(move |(range, _)| {
                    let (start, end) = range.unwrap_or((0, u64::MAX));
                    moved.get(&(name.clone(), start, end)).map(|to| to.end - to.start)
                })
            });
            tracks.push(TrackReport {
                id: substream.id.clone(),
                kind: if substream.kind == TrackKind::Audio { "audio" } else { "video" }.into(),
                source: rendition.name.clone(),
                kid: kids.first().cloned().unwrap_or_default(),
                kids,
                scheme: NAME.into(),
                samples: protected as u64,
                bytes: bytes.sum(),
                ..TrackReport::default()
            });
        }
        tracks
    }

    fn write_playlists(
        self,
        rules: &WholeRules,
        keys: &Keys,
        moved: &Moved,
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        let mut outputs = Vec::new();
        for Rendition { name, mut playlist, segments, .. } in self.renditions {
            let at = |error: Error| error.at(name.clone());
            media::map_byte_ranges(&mut playlist, &mut |uri, range| {
                let key = (resolve(&name, uri)?, range.start, range.end);
                Ok(moved.get(&key).cloned().unwrap_or(range))
            })
            .map_err(at)?;
            let uses: HashMap<usize, Use> = segments.into_iter().collect();
            let line = |line: usize| uses.get(&line).and_then(|usage| keys.line(*usage, &name));
            protect(&mut playlist, rules.maps, &line).map_err(at)?;
            outputs.push(write_manifest(env, &name, &playlist.to_bytes())?);
        }
        for (name, playlist) in self.clear {
            if let Some(playlist) = playlist {
                outputs.push(write_manifest(env, &name, &playlist.to_bytes())?);
            }
        }
        Ok(outputs)
    }
}
