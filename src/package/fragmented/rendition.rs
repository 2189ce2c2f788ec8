//! One rendition under a plan, protected segment by segment — ISO/IEC 23001-7, ISO/IEC 23000-19 §7.3.
//!
//! A live or just-in-time origin keeps one [`ProtectedRendition`] for each init segment and asks it for any
//! segment at any time; many workers may each do a part. Nothing is carried from one segment to another: IVs
//! follow from what is encrypted, so that a segment has the same bytes wherever it is asked for. Video codecs whose sample
//! headers depend on those before them (AV1, VP9) are parsed from the first sample of the segment on, so a
//! segment must begin with a random access point, as CMAF segments do.

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::Trex;
use crate::isobmff::file::BoxHeader;
use crate::isobmff::fragment::track_fragments;
use crate::isobmff::track::trexes;

use super::protector::SegmentProtector;
use super::rewrite::rewrite;
use super::track::{MediaTrack, ProtectedTrack, media_tracks};
use crate::package::plan::Plan;
use crate::package::plan::assignment::TrackId;
use crate::package::plan::schedule::Period;

/// An init segment and the segments that need it, with all that protects them. Immutable, shared by threads.
#[derive(Clone)]
pub struct ProtectedRendition {
    /// The protected tracks.
    pub tracks: Vec<ProtectedTrack>,
    /// The ids of the tracks that stay clear.
    pub clear: Vec<u32>,
    /// Whole `pssh` boxes for `moov`.
    pub pssh: Vec<Vec<u8>>,
    /// The fragment defaults of the init segment.
    pub trexes: Vec<Trex>,
    /// How many segments of the presentation come before the first.
    pub first_segment: u32,
}

impl ProtectedRendition {
    /// The rendition of a clear init segment. `ids` says which track of the plan each one is, in the order of
    /// `moov`, `None` for one that stays clear.
    ///
    /// ```
    /// use drm_pack::base::{Result, Secret};
    /// use drm_pack::codec::TrackKind;
    /// use drm_pack::drm::{self, ManifestKind};
    /// use drm_pack::isobmff::file::moov;
    /// use drm_pack::package::{EncryptedTrack, Intent, KeyRule, Plan, Preset, ProtectedRendition};
    /// use drm_pack::package::{Schedule, ServerSignaling, TrackId, Treatment};
    /// use drm_pack::protect::Scheme;
    ///
    /// # fn main() -> Result<()> {
    /// // What is packaged: one video rendition, whose key changes every second segment.
    /// let video = TrackId::new(TrackKind::Video, 1);
    /// let tracks = [EncryptedTrack::new(video)];
    /// let systems = drm::parse_list("widevine")?;
    /// let schedule = Schedule { rotate_every: std::num::NonZeroU32::new(2), ..Schedule::default() };
    /// let intent = Intent {
    ///     content_id: "channel-1",
    ///     treatment: Treatment::Samples(Scheme::find("cenc")?),
    ///     keys: &KeyRule::Preset(Preset::Preset0).assign(&tracks)?,
    ///     systems: &systems,
    ///     manifests: &[ManifestKind::Dash],
    ///     vector: None,
    ///     skd_template: "skd://{kid}",
    ///     periods: schedule.periods(3)?,
    ///     server_signaling: ServerSignaling::Error,
    ///     license_urls: &[],
    ///     session_keys: true,
    ///     schedule,
    /// };
    ///
    /// // Keys come from a key server, which fills this document. Keys and IVs must be kept: a plan of the
    /// // same document gives the same bytes on every machine.
    /// let mut keys = intent.request();
    /// for (number, key) in (1..).zip(&mut keys.content_keys) {
    ///     key.value = Some(Secret::new([number; 16]));
    ///     key.explicit_iv = Some([number + 100; 16]);
    /// }
    /// let plan = Plan::resolve(&intent, keys)?;
    ///
    /// // Once for each rendition: the clear init segment.
    /// let init = std::fs::read("fixtures/clip/dash/0/init.mp4").unwrap();
    /// let rendition = ProtectedRendition::new(&moov(&init)?, &plan, &[Some(video)])?;
    /// let protected_init = rendition.init(&init)?;
    /// assert!(protected_init.windows(4).any(|bytes| bytes == b"tenc"));
    ///
    /// // A just-in-time origin does this when a player asks for the third segment, and only then.
    /// let clear = std::fs::read("fixtures/clip/dash/0/3.m4s").unwrap();
    /// let third = rendition.segment(&clear, 2)?;
    /// assert!(third.windows(4).any(|bytes| bytes == b"seig"), "another key than that of the init segment");
    /// assert_eq!(third, rendition.segment(&clear, 2)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a track cannot be protected, or the plan has no such track.
    pub fn new(init: &BoxNode, plan: &Plan, ids: &[Option<TrackId>]) -> Result<Self> {
        Self::of(init, &media_tracks(init)?, plan, ids)
    }

    /// The same with the tracks of `init` read already.
    ///
    /// # Errors
    /// As [`ProtectedRendition::new`].
    pub fn of(init: &BoxNode, media: &[MediaTrack], plan: &Plan, ids: &[Option<TrackId>]) -> Result<Self> {
        if ids.len() != media.len() {
            return Err(Error::internal(format!("{} tracks, {} of them planned", media.len(), ids.len())));
        }
        let mut tracks = Vec::new();
        let mut clear = Vec::new();
        for (media, id) in media.iter().zip(ids) {
            match *id {
                Some(id) => tracks.push(ProtectedTrack::planned(media, plan, id)?),
                None => clear.push(media.track.track_id),
            }
        }
        let ids: Vec<TrackId> = ids.iter().flatten().copied().collect();
        Ok(Self {
            tracks,
            clear,
            pssh: plan.pssh(Period::FIRST, &ids)?,
            trexes: trexes(init)?,
            first_segment: 0,
        })
    }

    /// Says that the presentation begins with this segment. A clear lead is counted from there; without it,
    /// from decode time 0.
    ///
    /// # Errors
    /// When a box is wrong.
    pub fn beginning_with(&mut self, first: &dyn Source) -> Result<()> {
        let mut position = 0;
        while let Some((header, _)) = BoxHeader::read_overstated(first, position)? {
            if header.is(b"moof") {
                let moof = header.read_node(first)?;
                for fragment in track_fragments(&moof, header.position, &self.trexes)? {
                    let track = self.tracks.iter_mut().find(|track| track.track_id == fragment.track_id);
                    if let (Some(track), Some(sample)) = (track, fragment.samples.first()) {
                        track.start = sample.decode_time;
                    }
                }
                return Ok(());
            }
            position = header.end();
        }
        Ok(())
    }

    /// The init segment, protected: sample entries get `sinf`, and `pssh` boxes go to the end of `moov`.
    ///
    /// # Errors
    /// When a track is missing or protected already.
    pub fn init(&self, clear: &dyn Source) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        rewrite(clear, &mut out, &self.trexes, &mut self.file(0))?;
        Ok(out)
    }

    /// One segment, protected; `number` is that of the segment in the rendition, from 0.
    ///
    /// # Errors
    /// When a sample cannot be parsed, a box is wrong, or there are no samples.
    pub fn segment(&self, clear: &dyn Source, number: u32) -> Result<Vec<u8>> {
        let (mut out, mut edit) = (Vec::new(), self.file(number));
        rewrite(clear, &mut out, &self.trexes, &mut edit)?;
        edit.check_segment()?;
        Ok(out)
    }

    /// The edit that protects the file of this number.
    pub fn file(&self, number: u32) -> SegmentProtector<'_> {
        SegmentProtector::segment(&self.tracks, &self.clear, &self.pssh, number).after(self.first_segment)
    }

    /// The edit that protects a file that holds all segments, which begin at `cuts`.
    pub fn single_file<'a>(&'a self, cuts: &'a [u64]) -> SegmentProtector<'a> {
        SegmentProtector::single_file(&self.tracks, &self.clear, &self.pssh)
            .with_cuts(cuts)
            .after(self.first_segment)
    }
}

/// How many fragments of a file that holds all segments begin with a random access point: so many segments
/// it has when nothing else says where they begin. Tracks that stay clear do not count.
///
/// # Errors
/// When a box is wrong.
pub fn random_access_fragments(source: &dyn Source, trexes: &[Trex], clear: &[u32]) -> Result<u32> {
    let (mut position, mut count) = (0, 0_u32);
    while let Some((header, _)) = BoxHeader::read_overstated(source, position)? {
        position = header.end();
        if !header.is(b"moof") {
            continue;
        }
        let fragments = track_fragments(&header.read_node(source)?, header.position, trexes)?;
        let first = fragments.iter().find(|fragment| !clear.contains(&fragment.track_id));
        let is_entry = first.and_then(|fragment| fragment.samples.first()).is_some_and(|s| s.is_sync());
        count = count.saturating_add(u32::from(is_entry || count == 0));
    }
    Ok(count)
}
