//! Protection of init segments and segments — ISO/IEC 23001-7, ISO/IEC 23000-19 §8.2.

use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::fragment::TrackFragment;
use crate::isobmff::track::trexes;
use crate::protect::{Auxiliary, FragmentEncryptor, auxiliary, place_auxiliary, protect_moov};

use super::resource::{Changed, Edit, rewrite};
use super::track::{ProtectedTrack, clear_tracks, media_tracks};

/// Protects the boxes and samples of some tracks of a file.
pub struct Protect<'a> {
    tracks: &'a [ProtectedTrack],
    /// Whole `pssh` boxes for `moov`.
    pssh: &'a [Vec<u8>],
    /// Tracks that are left clear on purpose.
    clear: &'a [u32],
    numbering: Numbering,
    /// The next sample number of each track.
    next_sample: Vec<u32>,
    totals: Vec<Totals>,
    encryptors: Vec<Option<(u32, FragmentEncryptor<'a>)>>,
}

/// What was protected of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Samples.
    pub samples: u64,
    /// Bytes of these samples, clear ones included.
    pub bytes: u64,
}

/// What the number of a segment is, for its IVs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    /// The whole file is one segment of this number.
    File(u32),
    /// Every fragment is a segment, counted from 0.
    Fragments(u32),
}

impl<'a> Protect<'a> {
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
        Self::new(tracks, clear, pssh, Numbering::Fragments(0))
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
            next_sample: vec![0; tracks.len()],
            totals: vec![Totals::default(); tracks.len()],
            encryptors: tracks.iter().map(|_| None).collect(),
        }
    }

    /// What was protected of each track so far.
    pub fn totals(&self) -> &[Totals] {
        &self.totals
    }

    fn traf(
        &mut self,
        index: usize,
        fragment: &TrackFragment,
        data: &mut [u8],
        data_position: u64,
    ) -> Result<Option<Auxiliary>> {
        let (Some(track), Some(slot), Some(next_sample)) =
            (self.tracks.get(index), self.encryptors.get_mut(index), self.next_sample.get_mut(index))
        else {
            return Ok(None);
        };
        let description = fragment.samples.first().map_or(1, |sample| sample.sample_description_index);
        let encryptor = match slot {
            Some((known, encryptor)) if *known == description => encryptor,
            slot => {
                let parser = track.parser(description)?;
                &mut slot.insert((description, FragmentEncryptor::new(&track.protection, parser))).1
            }
        };
        let mut senc = encryptor.senc();
        let ranges = fragment.samples.iter().map(|sample| {
            let start = usize::try_from(sample.position.saturating_sub(data_position)).unwrap_or(usize::MAX);
            start..start.saturating_add(sample.size as usize)
        });
        let segment = match self.numbering {
            Numbering::File(number) | Numbering::Fragments(number) => number,
        };
        encryptor.encrypt(data, ranges, segment, *next_sample, &mut senc)?;
        *next_sample = u32::try_from(fragment.samples.len())
            .ok()
            .and_then(|count| next_sample.checked_add(count))
            .ok_or_else(|| Error::unsupported("too many samples in one segment"))?;
        if let Some(totals) = self.totals.get_mut(index) {
            totals.samples += fragment.samples.len() as u64;
            totals.bytes += fragment.samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>();
        }
        Ok(Some(auxiliary(senc)))
    }
}

impl Edit for Protect<'_> {
    fn moov(&mut self, moov: &mut BoxNode) -> Result<()> {
        for track in self.tracks {
            let has_samples = moov
                .all(b"trak")
                .filter_map(|trak| trak.find(&[b"mdia", b"minf", b"stbl"]))
                .flat_map(|stbl| stbl.all(b"stsz").chain(stbl.all(b"stz2")))
                .any(|sizes| sizes.payload().get(8..12).is_some_and(|count| count != [0; 4]));
            if has_samples {
                return Err(Error::unsupported("samples in moov: the file is not made of fragments alone")
                    .clause("ISO/IEC 23000-19 §7.3.1")
                    .hint("give the file itself instead of its manifest: it is cut into segments"));
            }
            protect_moov(moov, track.track_id, &track.protection)?;
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
        for fragment in fragments {
            let index = self.tracks.iter().position(|track| track.track_id == fragment.track_id);
            auxiliaries.push(match index {
                Some(index) => self.traf(index, fragment, data, data_position)?,
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
        if let Numbering::Fragments(number) = &mut self.numbering {
            *number += 1;
            self.next_sample.fill(0);
        }
        if auxiliaries.iter().all(Option::is_none) {
            return Ok(Changed::No);
        }
        place_auxiliary(moof, &auxiliaries);
        Ok(Changed::Yes)
    }
}

/// Protects an init segment: sample entries get `sinf`, and `pssh` boxes (whole boxes) go to the end of `moov`.
///
/// # Errors
/// When a track is missing or protected already.
pub fn protect_init(init: Vec<u8>, tracks: &[ProtectedTrack], pssh: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(init.len() + 1024);
    rewrite(&init, &mut out, &[], &mut Protect::segment(tracks, &[], pssh, 0))?;
    Ok(out)
}

/// Protects one segment, whose number in its track is `number`, from 0, given the clear init segment.
///
/// Nothing is carried over from other segments: any of them can be protected in any order.
///
/// ```
/// use std::sync::Arc;
/// use drm_pack::base::{Kid, Result, Secret};
/// use drm_pack::isobmff::file::moov;
/// use drm_pack::package::{ProtectedTrack, media_tracks, protect_init, protect_segment};
/// use drm_pack::protect::{Iv, SampleIvs, Scheme, TrackProtection};
///
/// # fn main() -> Result<()> {
/// let init = std::fs::read("fixtures/clip/dash/0/init.mp4").unwrap();
/// let segment = std::fs::read("fixtures/clip/dash/0/2.m4s").unwrap();
///
/// // One key, one scheme, one IV sequence for the first track of the job.
/// let (kid, key) = (Kid::parse("31323334-3536-3738-3930-313233343536")?, Secret::new([0x32; 16]));
/// let scheme = Scheme::find("cenc")?;
/// let ivs = Iv::PerSample(SampleIvs::new(&[7; 16], 0)?);
/// let protection = Arc::new(TrackProtection::new(scheme, kid, &key, scheme.video, ivs));
///
/// let clear = moov(&init)?;
/// let tracks = vec![ProtectedTrack::new(&media_tracks(&clear)?[0], protection)?];
/// let protected_init = protect_init(init, &tracks, &[])?;
/// let second = protect_segment(&clear, segment.clone(), &tracks, 1)?;
///
/// assert!(protected_init.windows(4).any(|bytes| bytes == b"tenc"));
/// assert!(second.windows(4).any(|bytes| bytes == b"senc") && second.len() > segment.len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When a sample cannot be parsed or a box is wrong.
pub fn protect_segment(
    init: &BoxNode,
    segment: Vec<u8>,
    tracks: &[ProtectedTrack],
    number: u32,
) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(segment.len() + 4096);
    let clear = clear_tracks(&media_tracks(init)?);
    rewrite(&segment, &mut out, &trexes(init)?, &mut Protect::segment(tracks, &clear, &[], number))?;
    Ok(out)
}
