//! Where the tracks of MP4 files are cut, and when their keys change — ISO/IEC 23000-19 §7.3.2, DASH-IF CPIX 2.3 §4.

use std::time::Duration;

use crate::base::{Error, Result, ratio};
use crate::codec::TrackKind;
use crate::package::{Boundaries, EncryptedTrack, Period, SegmentKey};

use super::OutputTrack;
use super::survey::Survey;
use crate::job::choice::{Choice, Source, periods_until};
use crate::job::rules::{Job, Rules};

/// The least time: what ends so much behind a begin holds it.
const NANOSECOND: Duration = Duration::from_nanos(1);

/// When the presentation begins: with the first of its tracks.
#[derive(Clone, Copy, Debug)]
pub(in crate::job) struct Start {
    ticks: u64,
    timescale: u32,
}

impl Start {
    fn of(tracks: &[OutputTrack<'_>]) -> Self {
        let starts = tracks
            .iter()
            .map(|track| Self { ticks: track.begins(), timescale: track.media.track.timescale.max(1) });
        starts
            .min_by(|a, b| ratio::compare((a.ticks.into(), a.timescale), (b.ticks.into(), b.timescale)))
            .unwrap_or(Self { ticks: 0, timescale: 1 })
    }

    /// The same in ticks of a track.
    pub(in crate::job) fn ticks(self, timescale: u32) -> u64 {
        let ours = u128::from(self.timescale);
        let ticks = (u128::from(self.ticks) * u128::from(timescale) + ours / 2) / ours;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// Where tracks are cut, and who has which key.
pub(in crate::job) struct Cut {
    pub(in crate::job) boundaries: Boundaries,
    pub(in crate::job) start: Start,
    pub(in crate::job) periods: usize,
    pub(in crate::job) choice: Choice,
}

impl Cut {
    pub(in crate::job) fn of(
        job: &Job,
        rules: &Rules,
        source: &Source<'_>,
        tracks: &[OutputTrack<'_>],
        encrypted_tracks: &mut [EncryptedTrack],
    ) -> Result<Self> {
        if source.asks_for_rates() {
            measure(tracks, encrypted_tracks);
        }
        let start = Start::of(tracks);
        let boundaries = boundaries(tracks, start, (job.segment_duration, &cuts(job, source)))?
            .with_changes(&rules.schedule.changes());
        let periods = periods(tracks, (&boundaries, start), rules)?;
        let choice = source.choose(rules.key_rule(), encrypted_tracks, periods, rules.schedule.rotates())?;
        Ok(Self { boundaries, start, periods, choice })
    }
}

/// How long the presentation lasts, where key periods with times ask for it.
pub(in crate::job) fn lasts(tracks: &[OutputTrack<'_>], source: &Source<'_>) -> Option<Duration> {
    if source.changes().is_empty() {
        return None;
    }
    let start = Start::of(tracks);
    let mut lasts = Duration::ZERO;
    for track in tracks.iter().filter(|track| track.encrypted_track.is_some()) {
        let timescale = track.media.track.timescale;
        let elapsed = u128::from(track.ends().saturating_sub(start.ticks(timescale)));
        let nanoseconds = elapsed * Duration::from_secs(1).as_nanos() / u128::from(timescale.max(1));
        lasts = lasts.max(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)));
    }
    Some(lasts)
}

/// Finds bit rates and frame rates: averages over all samples.
fn measure(tracks: &[OutputTrack<'_>], encrypted_tracks: &mut [EncryptedTrack]) {
    for track in tracks {
        let Some(encrypted_track) =
            encrypted_tracks.iter_mut().find(|known| track.encrypted_track == Some(known.id))
        else {
            continue;
        };
        let Survey { samples, bytes, duration, .. } = track.survey;
        #[expect(clippy::cast_precision_loss, reason = "numbers of less than 2^53")]
        let per_second =
            |count: u64| count as f64 * f64::from(track.media.track.timescale) / (duration.max(1) as f64);
        encrypted_track.frame_rate = (track.id.kind == TrackKind::Video).then(|| per_second(samples));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and saturating"
        )]
        let bitrate = per_second(bytes.saturating_mul(8)).round() as u64;
        encrypted_track.bitrate = encrypted_track.bitrate.or(Some(bitrate));
    }
}

/// The times at which tracks are cut, wherever segments would end otherwise: key periods with times, and stretches that
/// are left clear, but for the lead.
fn cuts(job: &Job, source: &Source<'_>) -> Vec<Duration> {
    let clear = job.clear.iter().flat_map(|(from, to)| [*from, *to]);
    let clear = clear.filter_map(|time| Duration::try_from_secs_f64(time).ok());
    let mut cuts: Vec<_> = source.changes().into_iter().chain(clear).filter(|time| !time.is_zero()).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// Every track is cut where the first video track can be cut; without one, on a grid.
fn boundaries(
    tracks: &[OutputTrack<'_>],
    start: Start,
    (seconds, changes): (f64, &[Duration]),
) -> Result<Boundaries> {
    let video = tracks.iter().find(|track| track.id.kind == TrackKind::Video);
    // Audio alone is cut on a grid, unless keys change at times that are on none.
    let first = tracks.iter().filter(|_| !changes.is_empty()).min_by_key(|track| track.begins());
    let Some(track) = video.or(first) else {
        return Ok(Boundaries::grid(start.ticks, start.timescale, seconds));
    };
    let timescale = track.media.track.timescale;
    let from = (start.ticks(timescale), timescale);
    let boundaries = Boundaries::of(track.samples()?, &track.edits, from, (seconds, changes));
    boundaries.map_err(|error| error.at(track.file.name.clone()))
}

/// How many crypto periods the longest track has.
fn periods(
    tracks: &[OutputTrack<'_>],
    (boundaries, start): (&Boundaries, Start),
    rules: &Rules,
) -> Result<usize> {
    let (mut most, mut last) = (0, Period::FIRST);
    let schedule = &rules.schedule;
    for track in tracks.iter().filter(|track| schedule.rotates() && track.encrypted_track.is_some()) {
        let at = |error: Error| error.at(track.id).at(track.file.name.clone());
        let timescale = track.media.track.timescale;
        for segment in track.segments(boundaries)? {
            let segment = segment.map_err(at)?;
            most = most.max(segment.interval.saturating_add(1));
            let elapsed = segment.time.saturating_sub(start.ticks(timescale));
            let segment_key = schedule.segment_key(segment.interval, elapsed, timescale);
            if segment_key.has_no_key() {
                let seconds = elapsed / u64::from(timescale.max(1));
                return Err(at(Error::keys(format!(
                    "no key period is for the segment {seconds} s after the begin"
                ))
                .clause("DASH-IF CPIX 2.3 §4, ContentKeyPeriod")
                .hint("give periods that cover all of the presentation")));
            }
            if let SegmentKey::Period(period) = segment_key {
                last = last.max(period);
            }
        }
    }
    match &schedule.times {
        Some(times) => {
            times.get(last.number()).map_or(Ok(1), |last| periods_until(times, last.start + NANOSECOND))
        }
        None => schedule.periods(most),
    }
}
