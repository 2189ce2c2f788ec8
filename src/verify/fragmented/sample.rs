//! One sample: subsamples against the codec, IVs, payload — ISO/IEC 23001-7 §9.

use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::ops::Range;

use crate::base::{Error, KeyStore, Kind, Result};
use crate::codec::{Evidence, Protection, TrackMarks};
use crate::isobmff::boxes::{SencEntry, Tenc};
use crate::isobmff::samples::Sample;
use crate::package::EditList;
use crate::protect::scheme::{Align, LastBytes};
use crate::protect::{FragmentDecryptor, Mode, Scheme};

use super::file::{FileCheck, SampleLocation};
use super::init::{Entry, InitTrack};
use super::iv::{self, StreamKey};

/// Bytes in an AES block.
const BLOCK: usize = 16;

/// What protects a sample.
pub(in crate::verify) struct SampleProtection {
    scheme: &'static Scheme,
    tenc: Tenc,
    /// `None` without keys.
    decryptor: Option<FragmentDecryptor>,
    /// The key, for what it must not be used twice for.
    stream_key: StreamKey,
}

impl SampleProtection {
    pub(in crate::verify) fn new(
        scheme: &'static Scheme,
        tenc: &Tenc,
        key_store: Option<&dyn KeyStore>,
    ) -> Result<Self> {
        let kid = tenc.default_kid;
        // A key id of zero is one that only the manifest knows, or none: a key for it is used when given.
        let is_known = *kid.bytes() != [0; 16];
        let (mut decryptor, mut stream_key) = (None, StreamKey::of(kid, None));
        if let Some(key_store) = key_store.filter(|_| tenc.default_is_protected == 1) {
            let key = key_store.key(kid);
            if key.is_none() && is_known {
                return Err(Error::keys(format!("no key for {kid}")).hint("add a line KID:KEY for it"));
            }
            stream_key = StreamKey::of(kid, key.as_ref());
            decryptor = key.map(|key| FragmentDecryptor::new(scheme, tenc.clone(), &key));
        }
        Ok(Self { scheme, tenc: tenc.clone(), decryptor, stream_key })
    }
}

/// When a sample plays, in ticks of its media, edits applied.
#[derive(PartialEq)]
struct Times {
    decode_time: i128,
    duration: u32,
    composition_time_offset: i32,
    is_sync: bool,
    /// `sample_degradation_priority`.
    priority: u32,
}

impl Times {
    fn of(sample: &Sample, edits: &EditList) -> Self {
        let Sample { duration, composition_time_offset, .. } = *sample;
        let decode_time = edits.presented(sample.decode_time.into());
        let (is_sync, priority) = (sample.is_sync(), sample.flags & 0xffff);
        Self { decode_time, duration, composition_time_offset, is_sync, priority }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { decode_time, duration, composition_time_offset, is_sync, priority } = self;
        let sync = if *is_sync { ", sync" } else { "" };
        write!(
            f,
            "decode time {decode_time}, duration {duration}, composition offset {composition_time_offset}{sync}, priority {priority}"
        )
    }
}

impl FileCheck<'_, '_> {
    /// Checks one sample; `protection` is `None` for a clear one.
    pub(in crate::verify) fn sample(
        &mut self,
        track: &InitTrack,
        sample: &Sample,
        protection: Option<(&SampleProtection, &SencEntry)>,
        place: &SampleLocation<'_>,
        ranges: &mut Vec<Range<usize>>,
    ) -> Result<()> {
        let end = sample.position.saturating_add(u64::from(sample.size));
        let inside = end <= self.source.len();
        let found = format_args!("bytes {}..{end} of {}", sample.position, self.source.len()).to_string();
        if !self.findings.check("sample-inside", inside, place, &found, &"bytes of the file") {
            return Ok(());
        }
        self.facts.samples += 1;
        let mut bytes = vec![0; sample.size as usize];
        self.source.read_at(sample.position, &mut bytes)?;
        let Some((protection, entry)) = protection else {
            self.parse(track, sample, &bytes, ranges).ok();
            self.look(track, sample, &bytes, (&[], false));
            return self.compare((track, sample), &bytes, &bytes, None, place).map(drop);
        };
        self.facts.protected_samples += 1;
        self.facts.keys.insert((protection.stream_key, protection.tenc.default_kid));
        let encrypted = self.facts.encrypted.entry(track.track_id).or_default();
        let protected = protected_ranges(entry);
        let covered = entry.subsamples.iter().fold(0_u64, |sum, subsample| {
            sum + u64::from(subsample.bytes_of_clear_data) + u64::from(subsample.bytes_of_protected_data)
        });
        let holds = entry.subsamples.is_empty() || covered == bytes.len() as u64;
        if !self.findings.check("subsample-sum", holds, place, &covered, &bytes.len()) {
            if let Some(clear) = &mut self.clear {
                clear.skip(track.track_id);
            }
            return Ok(());
        }
        let whole = 0..bytes.len();
        let runs = if entry.subsamples.is_empty() { vec![whole] } else { protected };
        let blocks = |run: &Range<usize>| match protection.scheme.last_bytes {
            LastBytes::Encrypted => run.len(),
            LastBytes::Clear => run.len() - run.len() % BLOCK,
        };
        *encrypted += runs.iter().map(blocks).sum::<usize>() as u64;
        self.counter_blocks(protection, entry, (&bytes, &runs), place);
        let encrypted = bytes.clone();
        let mut shown = ("", Evidence::default());
        if let Some(decryptor) = &protection.decryptor {
            decryptor.decrypt(&mut bytes, entry)?;
            let mut encrypted = Vec::new();
            decryptor.encrypted(bytes.len(), entry, &mut encrypted);
            shown = self.look(track, sample, &bytes, (&encrypted, decryptor.hides_iv()));
        }
        if self.key_store.is_some() && protection.decryptor.is_none() {
            self.findings.unchecked(format!("{}: payload: no key for the key id 0", place.file));
        }
        self.check_ranges(track, sample, (protection, entry), &bytes, &runs, ranges, place)?;
        let has_key = protection.decryptor.is_some();
        let decrypted = if has_key { bytes.as_slice() } else { &[] };
        let is_equal =
            self.compare((track, sample), &encrypted, decrypted, Some((protection, &runs)), place)?;
        if is_equal && encrypted != bytes {
            // What is that of the source is as it should be, marks or not.
            shown.1 = Evidence::default();
            shown.1.prove();
        }
        if let Some(decryptor) = &protection.decryptor {
            let kid = protection.tenc.default_kid;
            self.facts.proofs.add(Some(kid), shown.0, &shown.1);
            if let Some(iv) = decryptor.constant_iv().filter(|_| decryptor.hides_iv()) {
                self.facts.proofs.note_iv(kid, iv);
            }
        }
        Ok(())
    }

    /// What a decrypted sample shows of its key, and its codec.
    fn look(
        &mut self,
        track: &InitTrack,
        sample: &Sample,
        bytes: &[u8],
        encrypted: (&[Range<usize>], bool),
    ) -> (&'static str, Evidence) {
        let marks = self.marks.entry(track.track_id);
        let marks = marks.or_insert_with(|| TrackMarks::new(track.entries.iter().map(Entry::config)));
        marks.look(sample.sample_description_index, bytes, encrypted)
    }

    /// §9.3: a counter block is used once under a key, or for the same bytes again.
    fn counter_blocks(
        &mut self,
        protection: &SampleProtection,
        entry: &SencEntry,
        (sample, runs): (&[u8], &[Range<usize>]),
        place: &SampleLocation<'_>,
    ) {
        if protection.scheme.mode != Mode::Ctr || entry.initialization_vector.is_empty() {
            return;
        }
        let tenc = &protection.tenc;
        let pattern = (usize::from(tenc.default_crypt_byte_block), usize::from(tenc.default_skip_byte_block));
        let bytes: usize = runs.iter().map(|run| encrypted_bytes(run.len(), pattern)).sum();
        let blocks = bytes.div_ceil(BLOCK) as u64;
        for used in iv::blocks_of(&entry.initialization_vector, blocks, sample, runs) {
            let reused =
                self.blocks.insert((protection.stream_key, tenc.default_kid), used, self.number).is_some();
            let found = format_args!("IV {}", crate::base::id::hex(&entry.initialization_vector)).to_string();
            self.findings.check("iv-reuse", !reused, place, &found, &"counter blocks not used before");
        }
    }

    /// The ranges that the codec's parser finds; `None` for a codec without.
    fn parse(
        &mut self,
        track: &InitTrack,
        sample: &Sample,
        bytes: &[u8],
        ranges: &mut Vec<Range<usize>>,
    ) -> Result<Option<()>> {
        ranges.clear();
        let Some(index) = track.parser_of(sample) else { return Ok(None) };
        let Some(entry) = track.entries.get(index) else { return Ok(None) };
        let key = (track.track_id, index);
        let parser = match self.parsers.entry(key) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(slot) => slot.insert(match entry.codec.map(|codec| codec.protection) {
                Some(Protection::Ranges(open)) => Some(open(&entry.config())?),
                _ => None,
            }),
        };
        let Some(parser) = parser else { return Ok(None) };
        parser.ranges(bytes, ranges).map(Some)
    }

    /// §9.5.2: what is protected is what may be.
    #[expect(clippy::too_many_arguments, reason = "the sample from every side")]
    fn check_ranges(
        &mut self,
        track: &InitTrack,
        sample: &Sample,
        (protection, entry): (&SampleProtection, &SencEntry),
        bytes: &[u8],
        runs: &[Range<usize>],
        ranges: &mut Vec<Range<usize>>,
        place: &SampleLocation<'_>,
    ) -> Result<()> {
        let has_key = protection.decryptor.is_some();
        let has_ranges = |entry: &Entry| {
            entry.codec.is_some_and(|codec| matches!(codec.protection, Protection::Ranges(_)))
        };
        let has_map = !entry.subsamples.is_empty() || !track.entries.iter().any(has_ranges);
        if !self.findings.check("subsample-map", has_map, place, &"whole samples", &"subsamples") {
            return Ok(());
        }
        match self.parse(track, sample, bytes, ranges) {
            Ok(None) => {
                let known = track.entries.iter().any(|entry| entry.codec.is_some());
                if known {
                    self.check_any(bytes.len(), runs, place);
                } else {
                    self.findings.unchecked(format!(
                        "{}: track {}: subsamples of a codec that is not known",
                        place.file, place.track
                    ));
                }
                return Ok(());
            }
            Ok(Some(())) => self.check_parsed(track, sample, has_key.then_some(bytes), ranges, place),
            Err(error) if error.kind() == Kind::Unsupported => {
                self.findings
                    .unchecked(format!("{}: track {}: subsamples: {error}", place.file, place.track));
                return Ok(());
            }
            Err(error) => {
                let rule = if has_key { "payload-parses" } else { "slice-start" };
                self.findings.check(rule, false, place, &error, &"headers in the clear");
                return Ok(());
            }
        }
        self.check_any(ranges.iter().map(Range::len).max().unwrap_or(0), runs, place);
        self.compare_ranges(protection.scheme.align, ranges, runs, place);
        Ok(())
    }

    /// Of what may be protected something is, unless all of it is too short for a block behind what alignment leaves clear.
    fn check_any(&mut self, protectable: usize, runs: &[Range<usize>], place: &SampleLocation<'_>) {
        let holds = protectable < 2 * BLOCK || runs.iter().any(|run| !run.is_empty());
        let found = format_args!("{protectable} bytes that may be protected, all in the clear").to_string();
        self.findings.check("sample-clear", holds, place, &found, &"protected bytes");
    }

    /// What a parser says of a sample that it could read; of one that is decrypted it says more.
    fn check_parsed(
        &mut self,
        track: &InitTrack,
        sample: &Sample,
        clear: Option<&[u8]>,
        ranges: &[Range<usize>],
        place: &SampleLocation<'_>,
    ) {
        let Some(parser) =
            track.parser_of(sample).and_then(|index| self.parsers.get(&(track.track_id, index))?.as_ref())
        else {
            return;
        };
        if let Some(bytes) = clear {
            let hidden = parser.check_clear(bytes, ranges).err().map(|error| error.to_string());
            let found = hidden.as_deref().unwrap_or_default();
            self.findings.check(
                "payload-parses",
                hidden.is_none(),
                place,
                &found,
                &"slices that lengths show",
            );
        }
        let holds = !ranges.is_empty() || !parser.is_due();
        self.findings.check(
            "sample-slices",
            holds,
            place,
            &"no slice or tile: all of it is clear",
            &"a slice or tile",
        );
    }

    fn compare_ranges(
        &mut self,
        align: Align,
        ranges: &[Range<usize>],
        runs: &[Range<usize>],
        place: &SampleLocation<'_>,
    ) {
        let mut used = 0;
        for run in runs {
            // Ranges and runs are in order, and none meets another of its kind.
            let unit = ranges.partition_point(|range| range.start <= run.start).checked_sub(1);
            let unit = unit.filter(|unit| ranges.get(*unit).is_some_and(|range| run.end <= range.end));
            let text = format_args!("protected bytes {}..{}", run.start, run.end).to_string();
            let Some((index, unit)) = unit.and_then(|index| Some((index, ranges.get(index)?))) else {
                let near = ranges.get(ranges.partition_point(|range| range.end <= run.start));
                let near = near.cloned().unwrap_or_default();
                let expected = format!("from byte {} on", near.start);
                self.findings.check("slice-start", false, place, &text, &expected);
                continue;
            };
            let fresh = index >= used;
            used = index + 1;
            self.findings.check("subsample-unit", fresh, place, &text, &"one run for the slice or tile");
            if align == Align::None {
                let expected = format_args!("from byte {} on", unit.start).to_string();
                self.findings.check("slice-start", run.start == unit.start, place, &text, &expected);
                let expected = format_args!("to byte {}", unit.end).to_string();
                self.findings.check("slice-end", run.end == unit.end, place, &text, &expected);
            } else {
                self.findings.check("slice-start", true, place, &"", &"");
                let clear = run.start - unit.start;
                let found = format_args!("bytes {}..{} in the clear", unit.start, run.start).to_string();
                let holds = clear < BLOCK.max(unit.len() / 2);
                self.findings.check("slice-clear", holds, place, &found, &"the most of it protected");
                let blocks = run.len().is_multiple_of(BLOCK);
                self.findings.check("cenc-blocks", blocks, place, &run.len(), &"a multiple of 16");
                let expected = format_args!("to byte {}", unit.end).to_string();
                self.findings.check("cenc-front-aligned", run.end == unit.end, place, &text, &expected);
            }
        }
        for range in ranges.iter().filter(|range| range.len() >= BLOCK) {
            let run = runs.get(runs.partition_point(|run| run.end <= range.start));
            let met = run.is_some_and(|run| run.start < range.end);
            let rule = if align == Align::None { "slice-start" } else { "slice-clear" };
            if !met {
                let found = format!("bytes {}..{} in the clear", range.start, range.end);
                self.findings.check(rule, false, place, &found, &"protected bytes");
            }
        }
    }

    /// Holds the sample to the clear source, if there is one; `decrypted` is empty without a key. Says whether it is the
    /// same.
    fn compare(
        &mut self,
        (track, sample): (&InitTrack, &Sample),
        encrypted: &[u8],
        decrypted: &[u8],
        protection: Option<(&SampleProtection, &Vec<Range<usize>>)>,
        place: &SampleLocation<'_>,
    ) -> Result<bool> {
        let Some(clear) = &mut self.clear else { return Ok(false) };
        let Some((clear_sample, edits, source)) = clear.next(track.track_id)? else {
            self.findings.check(
                "payload-samples",
                false,
                place,
                &"a sample",
                &"the end of the source's track",
            );
            return Ok(false);
        };
        let (times, expected) = (Times::of(sample, &track.edits), Times::of(&clear_sample, &edits));
        self.findings.check("sample-times", times == expected, place, &times, &expected);
        let same_size = source.len() == encrypted.len();
        if !self.findings.check("payload-samples", same_size, place, &encrypted.len(), &source.len()) {
            return Ok(false);
        }
        if let Some((protection, runs)) = protection {
            let tenc = &protection.tenc;
            let pattern =
                (usize::from(tenc.default_crypt_byte_block), usize::from(tenc.default_skip_byte_block));
            let to_the_end = protection.scheme.last_bytes == LastBytes::Encrypted;
            let least = runs.iter().map(|run| encrypted_bytes(run.len(), pattern)).max().unwrap_or(0);
            // A byte or two may be the same by chance; a block is not.
            if least >= BLOCK || (to_the_end && least >= 8) {
                let holds = runs.iter().any(|run| source.get(run.clone()) != encrypted.get(run.clone()));
                self.findings.check("never-clear", holds, place, &"the bytes of the source", &"other bytes");
            }
        }
        if decrypted.is_empty() && !encrypted.is_empty() {
            return Ok(false);
        }
        let differs = source.iter().zip(decrypted).position(|(left, right)| left != right);
        let found = format_args!("another byte {}", differs.unwrap_or_default()).to_string();
        let expected = "the bytes of the source";
        Ok(self.findings.check("payload-equal", differs.is_none(), place, &found, &expected))
    }
}

/// The protected runs that subsamples describe.
fn protected_ranges(entry: &SencEntry) -> Vec<Range<usize>> {
    let mut position = 0_usize;
    let mut runs = Vec::new();
    for subsample in &entry.subsamples {
        let start = position.saturating_add(usize::from(subsample.bytes_of_clear_data));
        position = start.saturating_add(subsample.bytes_of_protected_data as usize);
        if start < position {
            runs.push(start..position);
        }
    }
    runs
}

/// How many bytes of a run of this length a pattern encrypts; a tail of less than a block counts.
fn encrypted_bytes(length: usize, (crypt, skip): (usize, usize)) -> usize {
    if crypt == 0 || skip == 0 {
        return length;
    }
    let group = (crypt + skip) * BLOCK;
    length / group * crypt * BLOCK + (length % group).min(crypt * BLOCK)
}
