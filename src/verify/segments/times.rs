//! When streams and segments that are encrypted whole begin, held to their playlist — RFC 8216bis §3.1.1, §3.1.3, §4.4.4.1.

use std::collections::{BTreeMap, HashMap};

use crate::base::Result;
use crate::base::env::Source;
use crate::hls::id3;
use crate::isobmff::boxes::{Tfdt, Tfhd};
use crate::isobmff::file::BoxHeader;
use crate::presentation::{MediaPlaylist, Resource};
use crate::ts::{PACKET_BYTES, Packet, PesHeader, SYNC_BYTE};

use super::SegmentPlaylist;
use crate::verify::findings::Findings;
use crate::verify::manifests::times::{APART, parted_by};

/// Most bytes from the begin of a segment that are looked at for times.
pub(in crate::verify) const MOST: usize = 1 << 16;
/// Ticks per second of `PTS` and `DTS`, and where they begin again: ISO/IEC 13818-1 §2.4.3.7.
const STREAM_RATE: f64 = 90_000.0;
const WRAP: u64 = 1 << 33;

/// When the streams of a segment begin to be decoded, by `PID` or `track_ID`; packed audio is one.
#[derive(Clone, Debug, Default)]
pub(in crate::verify) struct Begins {
    ticks: BTreeMap<u32, u64>,
    /// Whether they are of MP4, whose ticks only its initialization segment tells.
    is_mp4: bool,
}

/// The begins of segments by file and range.
pub(in crate::verify) type AllBegins = HashMap<(String, Option<(u64, u64)>), Begins>;

impl Begins {
    /// Those of a segment that is clear, or whose headers are.
    pub(in crate::verify) fn read(part: &dyn Source) -> Result<Self> {
        let length = usize::try_from(part.len()).unwrap_or(MOST).min(MOST);
        let mut bytes = vec![0; length];
        part.read_at(0, &mut bytes)?;
        Ok(Self::of(&bytes))
    }

    /// Those of a segment that begins with these bytes; what has no times has none.
    pub(in crate::verify) fn of(bytes: &[u8]) -> Self {
        if bytes.first() == Some(&SYNC_BYTE) {
            return Self { ticks: of_packets(bytes), is_mp4: false };
        }
        match of_tag(bytes) {
            Some(time) => Self { ticks: BTreeMap::from([(0, time)]), is_mp4: false },
            None => Self { ticks: of_moof(bytes).unwrap_or_default(), is_mp4: true },
        }
    }
}

/// The first time of each stream in packets.
fn of_packets(bytes: &[u8]) -> BTreeMap<u32, u64> {
    let mut found = BTreeMap::new();
    for packet in bytes.as_chunks::<PACKET_BYTES>().0 {
        let Ok(packet) = Packet::parse(packet) else { continue };
        let payload = packet.payload().filter(|_| packet.payload_unit_start());
        let Some(Ok(header)) = payload.map(PesHeader::parse) else { continue };
        if let Some(time) = header.dts.or(header.pts) {
            found.entry(packet.pid().into()).or_insert(time);
        }
    }
    found
}

/// The time in the tag with which packed audio begins: §3.1.3.
fn of_tag(bytes: &[u8]) -> Option<u64> {
    let tag = bytes.get(..id3::tag_bytes(bytes)?)?;
    let frame = id3::private_frame(tag, id3::TIMESTAMP).ok()??;
    Some(u64::from_be_bytes(*tag.get(frame)?.last_chunk()?) % WRAP)
}

/// The times of the first fragment of MP4.
fn of_moof(bytes: &[u8]) -> Option<BTreeMap<u32, u64>> {
    let (source, mut position) = (bytes.to_vec(), 0);
    loop {
        let header = BoxHeader::read(&source, position).ok()??;
        position = header.end();
        if !header.is(b"moof") {
            continue;
        }
        let moof = header.read_node(&source).ok()?;
        let times = moof.all(b"traf").filter_map(|traf| {
            let id = Tfhd::parse(traf.find(&[b"tfhd"])?.payload()).ok()?.track_id;
            Some((id, Tfdt::parse(traf.find(&[b"tfdt"])?.payload()).ok()?.base_media_decode_time))
        });
        return Some(times.collect());
    }
}

/// Holds the segments of playlists to each other: one begins when the one before it has lasted.
pub(in crate::verify) fn check(
    playlists: &[SegmentPlaylist<'_>],
    begins: &AllBegins,
    findings: &mut Findings,
) {
    for media in playlists.iter().map(|playlist| playlist.media).filter(|media| !media.is_i_frames) {
        let found: Vec<(&Resource, &Begins)> = media
            .segments()
            .filter_map(|segment| Some((segment, begins.get(&(segment.file.clone(), segment.bounds()))?)))
            .collect();
        let pairs: Vec<Pair<'_>> = found.windows(2).filter_map(|pair| Pair::of(media, pair)).collect();
        let rates = rates(&pairs);
        for pair in &pairs {
            let lasts: Vec<f64> = pair.seconds(&rates).collect();
            let Some(first) = lasts.first() else { continue };
            let stated = pair.before.duration;
            let holds = lasts.iter().any(|lasts| (lasts - stated).abs() <= APART);
            let place = format!("{}: line {}: {}", media.name, pair.segment.line + 1, pair.segment);
            // The rate of MP4 is a guess.
            let found = match pair.ticks.first().filter(|_| pair.is_mp4) {
                Some((_, ticks)) => format!("it begins {ticks} ticks after the one before it"),
                None => format!("it begins {first:.3} s after the one before it"),
            };
            let expected = format!("{stated:.3} s, as EXTINF says");
            findings.check("time-runs-on", holds, &place, &found, &expected);
        }
    }
}

/// Two segments that follow each other, and by how many ticks for each stream that both have.
struct Pair<'a> {
    before: &'a Resource,
    segment: &'a Resource,
    is_mp4: bool,
    ticks: Vec<(u32, f64)>,
}

impl<'a> Pair<'a> {
    fn of(media: &MediaPlaylist, pair: &[(&'a Resource, &Begins)]) -> Option<Self> {
        let [(before, from), (segment, to)] = pair else { return None };
        let follows = segment.number == before.number + 1 && before.duration > 0.0;
        if !follows || from.is_mp4 != to.is_mp4 || parted_by(media, before, segment).is_some() {
            return None;
        }
        let is_mp4 = from.is_mp4;
        let both = from.ticks.iter().filter_map(|(id, from)| Some((*id, *from, *to.ticks.get(id)?)));
        let ticks = both.map(|(id, from, to)| (id, apart(from, to, is_mp4)));
        Some(Self { before, segment, is_mp4, ticks: ticks.collect() })
    }

    fn seconds(&self, rates: &BTreeMap<u32, f64>) -> impl Iterator<Item = f64> {
        self.ticks.iter().filter_map(|(id, ticks)| {
            let rate = if self.is_mp4 { *rates.get(id)? } else { STREAM_RATE };
            Some(ticks / rate)
        })
    }
}

/// From one time to another, in ticks: times of streams wrap.
#[expect(clippy::cast_precision_loss, reason = "ticks to be compared within half a second")]
fn apart(from: u64, to: u64, is_mp4: bool) -> f64 {
    if is_mp4 {
        return (i128::from(to) - i128::from(from)) as f64;
    }
    let ahead = (to % WRAP + WRAP - from % WRAP) % WRAP;
    if ahead > WRAP / 2 { -((WRAP - ahead) as f64) } else { ahead as f64 }
}

/// Ticks per second of each track, by what most of its segments last.
fn rates(pairs: &[Pair<'_>]) -> BTreeMap<u32, f64> {
    let mut all: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for pair in pairs {
        for (id, ticks) in pair.ticks.iter().filter(|(_, ticks)| *ticks > 0.0) {
            all.entry(*id).or_default().push(ticks / pair.before.duration);
        }
    }
    let median = |(id, mut rates): (u32, Vec<f64>)| {
        rates.sort_by(f64::total_cmp);
        Some((id, *rates.get((rates.len() - 1) / 2)?))
    };
    all.into_iter().filter_map(median).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_streams_wrap() {
        assert_eq!(apart(WRAP - 90_000, 90_000, false), 180_000.0);
        assert_eq!(apart(90_000, WRAP - 90_000, false), -180_000.0);
        assert_eq!(apart(WRAP, WRAP + 5, true), 5.0);
        assert_eq!(apart(9, 4, true), -5.0);
    }
}
