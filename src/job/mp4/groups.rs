//! Groups of pictures: edit lists that begin inside one, and open ones — ISO/IEC 14496-12 §8.6.6, annex I; RFC 8216bis
//! §4.4.2.1.

use crate::base::Result;
use crate::base::remedy::named;
use crate::codec::TrackKind;
use crate::isobmff::samples::Sample;

use super::OutputTrack;
use super::movie::remedy;

/// What should be said of the groups of video.
pub(in crate::job) fn said(track: &OutputTrack<'_>) -> Result<Vec<String>> {
    let mut said: Vec<_> = begins_inside(track)?.into_iter().collect();
    if track.id.kind == TrackKind::Video && track.survey.open > 0 {
        let place = format!("{}: track {}", track.file.name, track.media.track.track_id);
        said.push(format!(
            "{place}: {} of the key frames are led by pictures that may need the group before them (open GOP): players that \
             begin or switch there leave these out",
            track.survey.open
        ));
    }
    Ok(said)
}

/// What should be said of video whose edit begins where decoding cannot: the pictures before are in the segments, and what
/// is before time 0 is not shown. Players that go by the append window of a browser drop them, and with them all that need
/// them.
fn begins_inside(track: &OutputTrack<'_>) -> Result<Option<String>> {
    let since_begin = |sample: &Sample| track.source_edits.since_begin(sample.composition_time());
    if track.id.kind != TrackKind::Video || since_begin(&track.survey.first) >= 0 {
        return Ok(None);
    }
    let (mut before, mut next) = (None, None);
    for sample in track.file.samples(track.media.track.track_id)? {
        let sample = sample?;
        let time = since_begin(&sample);
        if sample.is_sync() && time <= 0 {
            before = Some(time);
        } else if sample.is_sync() {
            next = Some(track.source_edits.presented(sample.composition_time()));
            break;
        }
    }
    if before == Some(0) {
        return Ok(None);
    }
    let seconds = |time: i128| {
        #[expect(clippy::cast_precision_loss, reason = "times of less than 2^53 ticks")]
        let ticks = time as f64;
        ticks / f64::from(track.timescale().max(1))
    };
    let place = format!("{}: track {}", track.file.name, track.media.track.track_id);
    let begins = match before {
        Some(before) => format!("{:.3} s behind a key frame", seconds(-before)),
        None => "before any key frame".to_owned(),
    };
    let shown = match next {
        Some(next) => format!("nothing until the next one at {:.3} s", seconds(next)),
        None => "nothing of it".to_owned(),
    };
    Ok(Some(format!(
        "{place}: the edit list (elst) begins {begins}: players in browsers show {shown}; to begin with a key frame, \
         {}",
        named(&remedy(&track.file.moov, &[b"vide"]), &track.file.name)
    )))
}
