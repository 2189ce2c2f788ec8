//! Edit lists that segments cannot have, and what they leave out — ISO/IEC 14496-12 §8.6.6, ISO/IEC 23000-19 §7.5.13.

use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Edit, Elst};
use crate::isobmff::track::{Track, trak};
use crate::package::{EditList, Jump};

use super::OutputTrack;
use super::movie::remedy;

/// The clause of edits.
const CLAUSE: &str = "ISO/IEC 14496-12 §8.6.6";
/// Rates that FFmpeg's filter of sounds can make.
const SOUND_RATES: std::ops::RangeInclusive<f64> = 0.5..=100.0;

/// Refuses edits that play at another rate, and those that one edit cannot say: something is cut out of the middle, stands
/// twice, or begins after a gap.
///
/// # Errors
/// When there is such an edit, or a box is cut off.
pub(super) fn check(moov: &BoxNode, track: &Track) -> Result<()> {
    let Some(elst) = trak(moov, track.track_id)?.find(&[b"edts", b"elst"]) else { return Ok(()) };
    let at = |error: Error| error.at("edts/elst").at(format!("track {}", track.track_id));
    let edits = Elst::parse(elst.payload()).map_err(at)?.entries;
    let is_other = |edit: &Edit| !edit.is_empty() && edit.rate != Edit::RATE;
    if let Some((index, edit)) = edits.iter().enumerate().find(|(_, edit)| is_other(edit)) {
        let error = format!("edit {} has media_rate {}, 1 expected", index + 1, rate(edit));
        let hint = render_at_rate(moov, &edits);
        return Err(at(Error::unsupported(error).clause(CLAUSE).hint(hint)));
    }
    let place = |error: Error| error.at(format!("track {}", track.track_id));
    let Some(Jump { edit, found, expected }) =
        EditList::of(moov, track.track_id, track.timescale).map_err(place)?.jump()
    else {
        return Ok(());
    };
    let error = format!(
        "edit {edit} has media_time {found}, {expected} expected, where edit {} ends: segments have one edit",
        edit - 1
    );
    let hint = remedy(moov, &[b"vide", b"soun"]);
    Err(at(Error::unsupported(error).clause(CLAUSE).hint(hint)))
}

fn rate(edit: &Edit) -> f64 {
    f64::from(edit.rate) / f64::from(Edit::RATE)
}

/// How to make a file that plays at this rate. FFmpeg passes over rates: it is told them, or plays all of it at 1.
fn render_at_rate(moov: &BoxNode, edits: &[Edit]) -> String {
    let mut rates = edits.iter().filter(|edit| !edit.is_empty()).map(rate);
    let first = rates.next().unwrap_or(1.0);
    if !rates.all(|rate| (rate - first).abs() < f64::EPSILON) || !SOUND_RATES.contains(&first) {
        let encode = remedy(moov, &[b"vide", b"soun"]);
        return format!("render it with the program that made it; or, all of it at the rate 1, {encode}");
    }
    let has = |kind: &[u8; 4]| {
        moov.all(b"trak").any(|trak| {
            trak.find(&[b"mdia", b"hdlr"]).is_some_and(|hdlr| hdlr.payload().get(8..12) == Some(kind))
        })
    };
    let pictures = format!(" -map 0:V -vf setpts=PTS/{first} -c:v libx264 -pix_fmt yuv420p");
    let sounds = format!(" -map 0:a -af atempo={first} -c:a aac");
    format!(
        "render all of it at this rate: ffmpeg -ignore_editlist 1 -i FILE{}{} OTHER.mp4, and pack that",
        if has(b"vide") { &pictures } else { "" },
        if has(b"soun") { &sounds } else { "" }
    )
}

/// What should be said of samples behind the end of the last edit.
pub(super) fn left_out(track: &OutputTrack<'_>) -> Result<Option<String>> {
    let Some(count) = track.source_edits.count() else { return Ok(None) };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let left_out = track.file.samples(track.media.track.track_id)?.skip(count).count();
    Ok((left_out > 0)
        .then(|| format!("{left_out} samples are left out: the edit list (elst) ends before they are shown")))
}
