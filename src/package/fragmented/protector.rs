//! Protection of init segments and segments — ISO/IEC 23001-7, ISO/IEC 23000-19 §8.2.

use serde::{Deserialize, Serialize};

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::file::BoxHeader;
use crate::isobmff::fragment::TrackFragment;
use crate::isobmff::samples::has_samples;
use crate::protect::{Auxiliary, FragmentEncryptor, auxiliary, place_auxiliary, refuse_protected, seal};

use super::coverage::{UnreadBytes, check_covered};
use super::key_change::place_pssh;
use super::rewrite::{Changed, FragmentEdit};
use super::track::ProtectedTrack;
use crate::package::plan::schedule::{Period, SegmentKey};

/// Protects the boxes and samples of some tracks of a file.
pub struct SegmentProtector<'a> {
    tracks: &'a [ProtectedTrack],
    /// Whole `pssh` boxes for `moov`.
    pssh: &'a [Vec<u8>],
    /// Tracks that are left clear on purpose.
    clear: &'a [u32],
    numbering: Numbering,
    totals: Vec<Totals>,
    /// When samples of each track are clear by the schedule, in ticks since the presentation began.
    clear_times: Vec<Vec<(u64, u64)>>,
    /// Samples met, of whichever track, clear ones included.
    samples: u64,
    encryptors: Vec<Option<Encryptor<'a>>>,
    progress: Progress<'a>,
    /// Boxes that no player reads.
    unread: UnreadBytes,
}

/// An encryptor, and the sample entry and segment key that it is for.
struct Encryptor<'a> {
    description: u32,
    segment_key: SegmentKey,
    encryptor: FragmentEncryptor<'a>,
}

/// How far a clear lead and crypto periods have come.
#[derive(Default)]
struct Progress<'a> {
    /// Where the segments of a file that holds all begin, in bytes, in order; empty when any random access point may.
    cuts: &'a [u64],
    /// The number that the first segment has for the plan.
    first_segment: u32,
    /// The segment of the last fragment, counted from 0, and what protects it.
    current: Option<(u32, SegmentKey)>,
    /// Where the media data begins from which on something else protects, in bytes of the source.
    segment_keys: Vec<(u64, SegmentKey)>,
}

/// What was protected of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Samples.
    pub samples: u64,
    /// Bytes of these samples, clear ones included.
    pub bytes: u64,
    /// Bytes that are protected, those that a pattern skips included.
    pub protected: u64,
}

/// What the number of a segment is, which clear leads and crypto periods count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    /// The whole file is one segment of this number.
    File(u32),
    /// The file holds all segments, counted from 0.
    Segments,
}

impl<'a> SegmentProtector<'a> {
    /// An edit of a file that is one segment, or an init segment.
    pub fn segment(
        tracks: &'a [ProtectedTrack],
        clear: &'a [u32],
        pssh: &'a [Vec<u8>],
        segment: u32,
    ) -> Self {
        Self::new(tracks, clear, pssh, Numbering::File(segment))
    }

    /// An edit of a file that holds all segments.
    pub fn single_file(tracks: &'a [ProtectedTrack], clear: &'a [u32], pssh: &'a [Vec<u8>]) -> Self {
        Self::new(tracks, clear, pssh, Numbering::Segments)
    }

    fn new(
        tracks: &'a [ProtectedTrack],
        clear: &'a [u32],
        pssh: &'a [Vec<u8>],
        numbering: Numbering,
    ) -> Self {
        Self {
            tracks,
            clear,
            pssh,
            numbering,
            totals: vec![Totals::default(); tracks.len()],
            clear_times: vec![Vec::new(); tracks.len()],
            samples: 0,
            encryptors: tracks.iter().map(|_| None).collect(),
            progress: Progress::default(),
            unread: UnreadBytes::default(),
        }
    }

    /// Says where segments begin in a file that holds all of them, in bytes, in order. Keys change there only; without
    /// that they change at fragments that begin with random access points.
    #[must_use]
    pub fn with_cuts(mut self, cuts: &'a [u64]) -> Self {
        self.progress.cuts = cuts;
        self
    }

    /// Says how many segments of the presentation come before the first: crypto periods count them.
    #[must_use]
    pub fn after(mut self, segments: u32) -> Self {
        self.progress.first_segment = segments;
        self
    }

    /// What protected the media data behind each of these positions in the source, in bytes.
    pub fn segment_keys(&self) -> &[(u64, SegmentKey)] {
        &self.progress.segment_keys
    }

    /// What protects the segment that these fragments belong to; all of its tracks have the same.
    fn segment_key(&mut self, fragments: &[TrackFragment], data_position: u64) -> Result<SegmentKey> {
        let find =
            |fragment: &TrackFragment| self.tracks.iter().find(|track| track.track_id == fragment.track_id);
        let protected = fragments.iter().find_map(|fragment| Some((find(fragment)?, fragment)));
        let Some((track, fragment)) = protected else {
            return Ok(self
                .progress
                .current
                .map_or(SegmentKey::Period(Period::FIRST), |(_, segment_key)| segment_key));
        };
        let progress = &mut self.progress;
        if track.schedule.is_constant() {
            // Other renditions of the presentation may have a clear lead: manifests ask of each where it ends.
            if progress.segment_keys.is_empty() {
                progress.segment_keys.push((data_position, SegmentKey::Period(Period::FIRST)));
            }
            return Ok(SegmentKey::Period(Period::FIRST));
        }
        let is_entry = fragment.samples.first().is_some_and(|sample| sample.is_sync());
        let segment = match (self.numbering, progress.current) {
            (Numbering::File(number), _) => number,
            (_, _) if !progress.cuts.is_empty() => {
                let begun = progress.cuts.partition_point(|cut| *cut <= data_position);
                u32::try_from(begun.saturating_sub(1)).unwrap_or(u32::MAX)
            }
            (_, Some((segment, _))) => segment + u32::from(is_entry),
            (_, None) => 0,
        };
        if let Some((_, segment_key)) = progress.current.filter(|(known, _)| *known == segment) {
            return Ok(segment_key);
        }
        if track.schedule.needs_times() && !fragment.decode_time_is_stated {
            return Err(Error::unsupported(
                "a clear lead, or key periods with times, need decode times: there is no tfdt",
            )
            .clause("ISO/IEC 14496-12 §8.8.12")
            .at("traf"));
        }
        let decode_time = fragment.samples.first().map_or(0, |sample| sample.decode_time);
        let segment_key = track.segment_key(segment.saturating_add(progress.first_segment), decode_time);
        if progress.current.is_none_or(|(_, known)| known != segment_key) {
            progress.segment_keys.push((data_position, segment_key));
        }
        progress.current = Some((segment, segment_key));
        Ok(segment_key)
    }

    /// Holds what was read to be a segment, and not an init segment or an empty one.
    ///
    /// # Errors
    /// When it had no samples.
    pub fn check_segment(&self) -> Result<()> {
        if self.samples > 0 {
            return Ok(());
        }
        Err(Error::input("a segment without samples")
            .clause("ISO/IEC 23000-19 §7.3.2.3")
            .hint("the file was cut off, or is an init segment: make it again"))
    }

    /// When samples of each track are clear by the schedule, in ticks since the presentation began.
    pub fn clear_times(&self) -> &[Vec<(u64, u64)>] {
        &self.clear_times
    }

    /// What was protected of each track so far.
    pub fn totals(&self) -> &[Totals] {
        &self.totals
    }

    /// Writes into `moof` what differs from the init segment.
    fn describe(
        &self,
        index: usize,
        segment_key: SegmentKey,
        moof: &mut BoxNode,
        number: usize,
        fragment: &TrackFragment,
    ) -> Result<()> {
        let track = self.tracks.get(index).ok_or_else(|| no_track(index))?;
        if track.schedule.is_constant() {
            return Ok(());
        }
        let traf = moof.all_mut(b"traf").nth(number);
        let traf = traf.ok_or_else(|| Error::internal(format!("no traf of number {number}")))?;
        track.describe(traf, segment_key, description(fragment), fragment.samples.len())?;
        match track.protection_in(segment_key)? {
            Some((_, pssh)) => place_pssh(moof, pssh),
            None => Ok(()),
        }
    }

    fn traf(
        &mut self,
        index: usize,
        segment_key: SegmentKey,
        fragment: &TrackFragment,
        data: &mut [u8],
        data_position: u64,
    ) -> Result<Option<Auxiliary>> {
        let track = self.tracks.get(index).ok_or_else(|| no_track(index))?;
        let slot = self.encryptors.get_mut(index).ok_or_else(|| no_track(index))?;
        let totals = self.totals.get_mut(index).ok_or_else(|| no_track(index))?;
        let description = description(fragment);
        let encryptor = match slot {
            Some(known) if (known.description, known.segment_key) == (description, segment_key) => {
                &mut known.encryptor
            }
            slot => match track.encryptor(segment_key, description)? {
                Some(encryptor) => {
                    &mut slot.insert(Encryptor { description, segment_key, encryptor }).encryptor
                }
                None if segment_key == SegmentKey::Clear => {
                    let times = self.clear_times.get_mut(index).ok_or_else(|| no_track(index))?;
                    add_times(times, track, fragment);
                    return Ok(None);
                }
                None => return Err(Error::internal("nothing encrypts a fragment that is to be encrypted")),
            },
        };
        let mut senc = encryptor.senc();
        let ranges = fragment.samples.iter().map(|sample| {
            let start = usize::try_from(sample.position.saturating_sub(data_position)).unwrap_or(usize::MAX);
            start..start.saturating_add(sample.size as usize)
        });
        let decode_time = fragment.samples.first().map_or(0, |sample| sample.decode_time);
        encryptor.encrypt(data, ranges, decode_time, &mut senc)?;
        totals.samples += fragment.samples.len() as u64;
        totals.bytes += fragment.samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>();
        totals.protected += encryptor.protected_bytes();
        Ok(Some(auxiliary(senc)))
    }
}

/// Adds a clear fragment; one right behind another is one with it.
fn add_times(times: &mut Vec<(u64, u64)>, track: &ProtectedTrack, fragment: &TrackFragment) {
    let (Some(first), Some(last)) = (fragment.samples.first(), fragment.samples.last()) else { return };
    let start = track.elapsed(first.decode_time);
    let end = track.elapsed(last.decode_time.saturating_add(last.duration.into()));
    match times.last_mut() {
        Some((_, known)) if *known == start => *known = end,
        _ => times.push((start, end)),
    }
}

fn no_track(index: usize) -> Error {
    Error::internal(format!("no track of number {index} to protect"))
}

fn description(fragment: &TrackFragment) -> u32 {
    fragment.samples.first().map_or(1, |sample| sample.sample_description_index)
}

impl FragmentEdit for SegmentProtector<'_> {
    fn moov(&mut self, moov: &mut BoxNode) -> Result<()> {
        for trak in moov.all(b"trak") {
            // A table that cannot be read is no empty one.
            if has_samples(trak).map_err(|error| error.at("moov/trak"))? {
                return Err(Error::unsupported("samples in moov: the file is not made of fragments alone")
                    .clause("ISO/IEC 23000-19 §7.3.1")
                    .hint("give the file itself instead of its manifest: it is cut into segments"));
            }
        }
        for track in self.tracks {
            track.protect_entries(moov, track.track_id)?;
        }
        moov.remove(|node| node.is(b"pssh"));
        for pssh in self.pssh {
            moov.push(BoxNode::parse_one(pssh)?);
        }
        Ok(())
    }

    fn fragment(
        &mut self,
        moof: &mut BoxNode,
        fragments: &[TrackFragment],
        data: &mut [u8],
        data_position: u64,
    ) -> Result<Changed> {
        let mut auxiliaries = Vec::with_capacity(fragments.len());
        // What a packager before said of keys is not of ours.
        let mut changed = if moof.find(&[b"pssh"]).is_some() { Changed::Yes } else { Changed::No };
        moof.remove(|node| node.is(b"pssh"));
        check_covered(fragments, data_position..data_position + data.len() as u64)?;
        self.unread.check_boxes(moof)?;
        moof.all(b"traf").try_for_each(refuse_protected)?;
        self.samples += fragments.iter().map(|fragment| fragment.samples.len() as u64).sum::<u64>();
        let segment_key = self.segment_key(fragments, data_position)?;
        for (number, fragment) in fragments.iter().enumerate() {
            let index = self.tracks.iter().position(|track| track.track_id == fragment.track_id);
            auxiliaries.push(match index {
                Some(_) if fragment.samples.is_empty() => None,
                Some(index) => {
                    changed = Changed::Yes;
                    self.describe(index, segment_key, moof, number, fragment)?;
                    self.traf(index, segment_key, fragment, data, data_position)?
                }
                None if self.clear.contains(&fragment.track_id) => None,
                None => {
                    return Err(Error::input(format!(
                        "track {} is not in the init segment",
                        fragment.track_id
                    ))
                    .clause("ISO/IEC 14496-12 §8.8.7")
                    .at("traf/tfhd"));
                }
            });
        }
        if changed == Changed::Yes {
            place_auxiliary(moof, &auxiliaries)?;
        }
        Ok(changed)
    }

    fn finish(&self, moof: &mut BoxNode) -> Result<Vec<u8>> {
        seal(moof)
    }

    fn copied(&mut self, header: &BoxHeader, source: &dyn Source) -> Result<()> {
        self.unread.check_copied(header, source)
    }
}
