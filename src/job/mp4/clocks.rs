//! Transport streams in one call, each of which has a clock of its own — ISO/IEC 13818-1 §2.4.3.7.

use super::Mp4File;
use crate::base::remedy::{kept, quoted};

/// Ticks of a second, and how many there are before they begin anew.
const CLOCK: i64 = 90_000;
const STAMPS: i64 = 1 << 33;
/// Files begin together that begin so near each other: a frame at 25 in a second.
const FRAME: i64 = CLOCK / 25;

/// What should be said of files that begin at different times of their clocks: each is put at the begin of the
/// presentation, which is right unless they have one clock, as renditions of one HLS stream have.
pub(super) fn differing(files: &[Mp4File]) -> Option<String> {
    let mut timed = files.iter().filter_map(|file| file.clock.map(|clock| (file.name.as_str(), clock)));
    let (name, begin) = timed.next()?;
    let late = |clock: i64| (clock - begin + STAMPS / 2).rem_euclid(STAMPS) - STAMPS / 2;
    let (other, clock) =
        timed.max_by_key(|(_, clock)| late(*clock).abs()).filter(|(_, clock)| late(*clock).abs() > FRAME)?;
    let seconds = |ticks: i64| {
        let milliseconds = ticks * 1000 / CLOCK;
        format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
    };
    Some(format!(
        "{name} begins at {} s of its clock and {other} at {} s: both begin the presentation together. If they have one \
         clock, as video and audio of one HLS stream have, join them first, such as with ffmpeg -copyts -i {} -i {} \
         {} {} -c copy OTHER.ts",
        seconds(begin.rem_euclid(STAMPS)),
        seconds(clock.rem_euclid(STAMPS)),
        quoted(name),
        quoted(other),
        kept("0"),
        kept("1")
    ))
}
