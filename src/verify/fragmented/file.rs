//! One file, box by box: boxes, offsets, fragments — ISO/IEC 14496-12.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::base::env::Source;
use crate::base::{KeyStore, Kid, Result};
use crate::codec::{Ranges, TrackMarks};
use crate::drm::Pssh;
use crate::isobmff::boxes::{Sidx, Tfra};
use crate::isobmff::file::BoxHeader;
use crate::package::{Proofs, UnreadBytes};

use super::coverage::MediaData;
use super::headers;
use super::init::Init;
use super::iv::{CounterBlocks, StreamKey};
use super::unread::UnreadBoxes;
use crate::verify::findings::Findings;
use crate::verify::proven::key_fits;
use crate::verify::source::SourceTracks;

/// Where a finding is.
#[derive(Clone, Copy)]
pub(in crate::verify) struct SampleLocation<'a> {
    pub(in crate::verify) file: &'a str,
    /// Where its `moof` begins, in bytes.
    pub(in crate::verify) moof: Option<u64>,
    pub(in crate::verify) track: u32,
    /// Number of the sample in the fragment or table, from 1.
    pub(in crate::verify) sample: Option<usize>,
}

impl fmt::Display for SampleLocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)?;
        if let Some(moof) = self.moof {
            write!(f, ": moof at byte {moof}")?;
        }
        write!(f, ": track {}", self.track)?;
        self.sample.map_or(Ok(()), |sample| write!(f, ": sample {sample}"))
    }
}

/// What a fragment is, for the manifests that name it.
#[derive(Clone, Copy, Debug)]
pub(in crate::verify) struct FragmentFact {
    /// Where its `moof` begins, in bytes.
    pub(in crate::verify) position: u64,
    /// The key of its samples; `None` when they are clear.
    pub(in crate::verify) kid: Option<Kid>,
    /// The IV of all its samples, where the scheme has one.
    pub(in crate::verify) constant_iv: Option<[u8; 16]>,
    pub(in crate::verify) track_id: u32,
    /// When its first sample is decoded and its last one ends, in ticks of the media.
    pub(in crate::verify) begin: u64,
    pub(in crate::verify) end: u64,
    /// When it begins and ends to be presented, edits applied; `None` when nothing of it is.
    pub(in crate::verify) presented: Option<(u64, u64)>,
    /// How long each of its samples lasts, in ticks, when all but the last last as long.
    pub(in crate::verify) sample_duration: Option<u32>,
    /// Transfer characteristics that a message in its first sample prefers; of the first fragment of a file alone.
    pub(in crate::verify) preferred_transfer: Option<u32>,
}

/// The facts of a file.
#[derive(Default)]
pub(in crate::verify) struct FileInfo {
    pub(in crate::verify) length: u64,
    pub(in crate::verify) fragments: Vec<FragmentFact>,
    /// Where top-level boxes begin, in bytes.
    pub(in crate::verify) boxes: BTreeSet<u64>,
    /// The `pssh` boxes of fragments that are not those of the fragment before, and where its `moof` begins, in bytes.
    pub(in crate::verify) pssh: Vec<(u64, Vec<Pssh>)>,
    /// Where `sidx` boxes lie.
    pub(in crate::verify) indexes: Vec<BoxHeader>,
    pub(in crate::verify) samples: u64,
    pub(in crate::verify) protected_samples: u64,
    /// The keys of these, and their ids.
    pub(in crate::verify) keys: BTreeSet<(StreamKey, Kid)>,
    /// How many bytes of the protected samples of each track are encrypted.
    pub(in crate::verify) encrypted: BTreeMap<u32, u64>,
    /// Boxes of more than padding and notes that nobody reads.
    pub(in crate::verify) unread: UnreadBoxes,
    /// What is shown of the keys.
    pub(in crate::verify) proofs: Proofs,
}

/// A file that is checked.
pub(in crate::verify) struct FileCheck<'a, 's> {
    pub(in crate::verify) name: &'a str,
    /// Its number among the files of the run.
    pub(in crate::verify) number: usize,
    pub(in crate::verify) source: &'a dyn Source,
    pub(in crate::verify) init: &'a Init,
    pub(in crate::verify) key_store: Option<&'a dyn KeyStore>,
    pub(in crate::verify) findings: &'a mut Findings,
    pub(in crate::verify) blocks: &'a mut CounterBlocks,
    /// What the samples must be.
    pub(in crate::verify) clear: Option<&'a mut SourceTracks<'s>>,
    /// Parsers by track and sample description; `None` for a codec without.
    pub(in crate::verify) parsers: HashMap<(u32, usize), Option<Box<dyn Ranges>>>,
    /// Marks by track.
    pub(in crate::verify) marks: HashMap<u32, TrackMarks>,
    pub(in crate::verify) facts: FileInfo,
    pub(in crate::verify) media_data: MediaData,
    pub(in crate::verify) unread: UnreadBytes,
}

impl FileCheck<'_, '_> {
    /// Holds the file to the rules.
    pub(in crate::verify) fn run(&mut self) -> Result<()> {
        self.facts.length = self.source.len();
        let mut random_access = Vec::new();
        let (mut position, mut has_media) = (0, false);
        while let Some(header) = BoxHeader::read(self.source, position)? {
            self.facts.boxes.insert(position);
            headers::check_top(&header, self.name, self.findings);
            self.facts.unread.top((&header, self.source), false, self.name, self.findings)?;
            match &header.kind.0 {
                b"moof" => {
                    let moof = header.read_node(self.source)?;
                    self.fragment(&moof, &header).map_err(|error| error.at_byte(position))?;
                }
                b"moov" => self.sample_tables()?,
                b"mdat" => self.media_data.found(&header),
                b"sidx" => self.facts.indexes.push(header),
                b"mfra" => random_access.push(header),
                _ => self.unread(&header)?,
            }
            has_media |= header.is(b"moov") || header.is(b"moof");
            position = header.end();
        }
        let found = format!("{position} bytes");
        self.findings.check("segment-empty", has_media, &self.name, &found, &"moof or moov");
        self.check_media_data();
        for header in self.facts.indexes.clone() {
            self.segment_index(&header)?;
        }
        for header in random_access {
            self.random_access(&header)?;
        }
        key_fits(&self.facts.proofs, &self.name, self.findings);
        Ok(())
    }

    fn segment_index(&mut self, header: &BoxHeader) -> Result<()> {
        let node = header.read_node(self.source)?;
        let place = format!("{}: sidx at byte {}", self.name, header.position);
        let sidx = Sidx::parse(node.payload())?;
        let ranges = sidx.ranges(header.end());
        for range in &ranges {
            let is_boundary =
                |position: u64| position == self.facts.length || self.facts.boxes.contains(&position);
            let holds = is_boundary(range.start) && is_boundary(range.end);
            let found = format!("a reference to bytes {}..{}", range.start, range.end);
            self.findings.check("sidx-offset", holds, &place, &found, &"whole boxes");
        }
        // An index of indexes says how long the media of each is; theirs are looked at by themselves.
        let own_timescale = self.init.track(sidx.reference_id).map(|track| track.timescale);
        if sidx.has_indexes() || own_timescale != Some(sidx.timescale) {
            return Ok(());
        }
        let first = self.facts.fragments.first().map_or(0, |fragment| fragment.position);
        for (range, stated) in ranges.iter().zip(&sidx.durations) {
            let fragments = || {
                let inside = |fragment: &&FragmentFact| {
                    fragment.track_id == sidx.reference_id && range.contains(&fragment.position)
                };
                self.facts.fragments.iter().filter(inside)
            };
            let ticks: u64 = fragments().map(|fragment| fragment.end.saturating_sub(fragment.begin)).sum();
            // The same as it is presented: gaps count, and what the edit list leaves out does not.
            let begin = fragments().filter_map(|fragment| Some(fragment.presented?.0)).min().unwrap_or(0);
            let end = fragments().filter_map(|fragment| Some(fragment.presented?.1)).max().unwrap_or(0);
            let presented = end.saturating_sub(begin);
            let found = format!("{stated} ticks for bytes {}..{}", range.start, range.end);
            let expected = format!("{ticks}, the duration of its samples");
            // Of the first one, the priming that an edit list leaves out may be left out too.
            let priming = ticks.checked_sub(u64::from(*stated)).filter(|_| range.contains(&first));
            let holds = [ticks, presented].contains(&u64::from(*stated))
                || priming.is_some_and(|priming| priming < u64::from(sidx.timescale) / 10);
            self.findings.check("sidx-duration", holds, &place, &found, &expected);
        }
        Ok(())
    }

    fn random_access(&mut self, header: &BoxHeader) -> Result<()> {
        let place = format!("{}: mfra at byte {}", self.name, header.position);
        for tfra in header.read_node(self.source)?.all(b"tfra") {
            for offset in Tfra::offsets(tfra.payload())? {
                // Fragments are in the order of the file.
                let holds =
                    self.facts.fragments.binary_search_by_key(&offset, |fragment| fragment.position).is_ok();
                let found = format!("moof_offset {offset}");
                self.findings.check("mfra-offset", holds, &place, &found, &"the position of a moof");
            }
        }
        Ok(())
    }
}
