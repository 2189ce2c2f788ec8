//! Periods last as long as their media, follow each other, and begin with it — ISO/IEC 23009-1 §5.3.1.2, §5.3.2, §5.3.9.2.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::base::Result;
use crate::presentation::MpdTrack;

use super::DashManifest;
use super::info::PresentationInfo;
use super::times::{APART, of_segment, seconds};
use crate::verify::findings::Findings;

/// When a Representation is presented by the times in its media, in seconds.
struct Extent {
    begin: f64,
    end: f64,
    /// How long its longest segment is.
    longest: f64,
    /// `@presentationTimeOffset`.
    offset: f64,
}

impl Extent {
    fn of(track: &MpdTrack, rendition: usize, facts: &PresentationInfo<'_>) -> Option<Self> {
        let timing = &track.representation.timing;
        let offset = seconds(timing.presentation_time_offset, timing.timescale);
        let mut extent = Self { begin: f64::INFINITY, end: 0.0, longest: 0.0, offset };
        for segment in track.segments() {
            let Some(times) = of_segment(segment, rendition, facts) else { continue };
            extent.begin = extent.begin.min(times.begin);
            extent.end = extent.end.max(times.end);
            if !track.is_one_file() {
                extent.longest = extent.longest.max(times.end - times.begin);
                continue;
            }
            for fragment in facts.fragments(&segment.file, None) {
                let timescale = facts.timescale(rendition, fragment.track_id)?;
                let lasts = seconds(fragment.end.saturating_sub(fragment.begin), timescale.into());
                extent.longest = extent.longest.max(lasts);
            }
        }
        extent.begin.is_finite().then_some(extent)
    }

    /// When it begins in its Period.
    fn late(&self) -> f64 {
        self.begin - self.offset
    }
}

/// Holds the Periods of an MPD to each other and to the media; of one that goes on nothing is settled.
pub(in crate::verify) fn check(
    manifest: &DashManifest<'_>,
    facts: &PresentationInfo<'_>,
    findings: &mut Findings,
) -> Result<()> {
    let (name, mpd) = (&manifest.document.name, &manifest.document.mpd);
    // Of segments that are only implied the last ones may be missing.
    if mpd.is_dynamic() || manifest.document.tracks.iter().any(|track| track.implied.is_some()) {
        return Ok(());
    }
    // Each of several Periods may present a part of one file.
    let mut periods_of: HashMap<&str, BTreeSet<usize>> = HashMap::new();
    for (track, _) in &manifest.representations {
        let period = track.representation.place.period;
        track.segments().for_each(|segment| _ = periods_of.entry(&segment.file).or_default().insert(period));
    }
    let is_shared = |track: &MpdTrack| {
        track.segments().any(|segment| periods_of.get(segment.file.as_str()).is_some_and(|all| all.len() > 1))
    };
    let mut expected = Some(Duration::ZERO);
    for (index, period) in mpd.periods()?.iter().enumerate() {
        let place = format!("{name}: Period {}", index + 1);
        if let (Some(start), Some(expected)) = (period.stated_start, expected) {
            let (start, expected) = (start.as_secs_f64(), expected.as_secs_f64());
            let found = format!("start {start:.3} s");
            let expected_text = format!("{expected:.3} s, where the one before it ends");
            findings.check("mpd-period", (start - expected).abs() <= APART, &place, &found, &expected_text);
        }
        expected =
            period.start.zip(period.stated_duration).and_then(|(start, lasts)| start.checked_add(lasts));
        let is_own =
            |track: &MpdTrack| track.representation.place.period == index && track.content.is_media();
        let own = manifest.representations.iter().filter(|(track, _)| is_own(track) && !is_shared(track));
        let own = own.filter_map(|(track, rendition)| Some((*track, Extent::of(track, *rendition, facts)?)));
        let own: Vec<(&MpdTrack, Extent)> = own.collect();
        offsets(&own, name, findings);
        let Some(stated) = period.duration.filter(|_| !own.is_empty()) else { continue };
        let lasts = own.iter().map(|(_, own)| own.end - own.offset).fold(0.0, f64::max);
        let longest = own.iter().map(|(_, own)| own.longest).fold(0.0, f64::max);
        // The tracks of a Period end apart by less than a segment; half of one is neither missing nor too much.
        let holds = (stated.as_secs_f64() - lasts).abs() <= (longest / 2.0).max(APART);
        let found = format!("{:.3} s by the MPD", stated.as_secs_f64());
        let expected = format!("{lasts:.3} s, the duration of its media");
        findings.check("mpd-duration", holds, &place, &found, &expected);
    }
    Ok(())
}

/// Media begins with its Period, or up to a segment earlier: what is later is a hole, what is earlier is never played. Of
/// Representations on one time line the offset is one.
fn offsets(own: &[(&MpdTrack, Extent)], name: &str, findings: &mut Findings) {
    let Some((_, first)) = own.first() else { return };
    let begins = own.iter().map(|(_, own)| own.late()).fold(f64::INFINITY, f64::min);
    for (track, extent) in own {
        let representation = &track.representation;
        let place = format!("{name}: {} (id {})", representation.place, representation.id);
        let segment = extent.longest.max(APART);
        let holds = begins <= segment && extent.late() >= -segment;
        let found = format!("presentationTimeOffset {:.3} s", extent.offset);
        let expected = format!("{:.3} s, when its media begins", extent.begin);
        findings.check("mpd-offset", holds, &place, &found, &expected);
        let is_one =
            (extent.offset - first.offset).abs() <= APART || (extent.late() - first.late()).abs() <= APART;
        let expected = format!("{:.3} s, as the first of its Period", first.offset);
        findings.check("mpd-offset", is_one, &place, &found, &expected);
    }
}
