//! Tracks of Matroska and WebM as tracks of a movie — RFC 9559 §5.1.4, §11; Matroska codec mappings.

use std::collections::BTreeMap;
use std::ops::Range;

use super::mastering;
use super::movie::{MovieTrack, Placed};
use crate::base::env::Source;
use crate::base::{Error, Result, ratio, remedy};
use crate::codec::{Carried, Picture, SampleDescription, TrackKind};
use crate::matroska::{Encoding, Frame, Matroska, MatroskaTrack, Purpose, TrackType};

/// Bytes of a frame that tell what it is and how long.
const START_BYTES: usize = 16;
/// Bytes of a first frame that describe the stream.
const FIRST_BYTES: usize = 8192;
/// Ticks of a second at most: beyond that a pause of some seconds would not fit its field.
const MAX_TIMESCALE: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// A track while its frames are gone through.
struct Open<'a> {
    track: &'a MatroskaTrack,
    carried: Carried,
    /// AudioSpecificConfig, avcC and so on.
    configuration: Vec<u8>,
    /// What every frame begins with and the file does not repeat.
    first_bytes: &'a [u8],
    first: Option<Range<u64>>,
    /// Ticks of a second.
    timescale: u32,
    samples: Vec<Placed>,
    /// When the next frame is presented if there is no pause, in ticks.
    next: i64,
    /// The duration of the last frame, in ticks, if it is known.
    duration: Option<u32>,
    discard_padding: i64,
}

/// The tracks of a file, the first bytes that frames of each lack in the file, and what of it is left out.
type Tracks = (Vec<MovieTrack>, Vec<Vec<u8>>, Vec<String>);

/// The tracks of a file.
pub(super) fn read(source: &dyn Source) -> Result<Tracks> {
    let file = Matroska::open(source)?;
    let (mut open, mut left_out) = (BTreeMap::new(), Vec::new());
    for track in &file.tracks {
        let at = |error: Error| error.at(format_args!("track {}", track.number));
        let Some(opened) = Open::new(track, file.info.timestamp_scale).map_err(at)? else {
            left_out.push(format!(
                "track {} ({}) is left out: give subtitles in a file of their own",
                track.number, track.codec
            ));
            continue;
        };
        if open.insert(track.number, opened).is_some() {
            return Err(Error::input(format!("two tracks with TrackNumber {}", track.number)));
        }
        if mastering::is_lost(track) {
            let number = track.number;
            left_out.push(format!("track {number}: its MasteringMetadata is left out, it is not all said"));
        }
        if track.has_alpha {
            left_out.push(format!("track {}: its alpha channel is left out", track.number));
        }
    }
    file.frames(&mut |frame| match open.get_mut(&frame.track_number) {
        Some(open) => {
            let place = |error: Error| error.at_byte(frame.range.start);
            open.frame(&frame, &file).map_err(place)
        }
        None => Ok(()),
    })?;
    let (mut tracks, mut first_bytes) = (Vec::new(), Vec::new());
    for (number, open) in open {
        match open.samples.is_empty() {
            true => left_out.push(format!("track {number} is left out: it has no frames")),
            false => {
                let at = |error: Error| error.at(format_args!("track {number} ({})", open.track.codec));
                first_bytes.push(open.first_bytes.to_vec());
                tracks.push(open.finish(source).map_err(at)?);
            }
        }
    }
    Ok((tracks, first_bytes, left_out))
}

impl<'a> Open<'a> {
    /// A track of video or audio; `None` of one that is neither.
    fn new(track: &'a MatroskaTrack, timestamp_scale: u64) -> Result<Option<Self>> {
        if matches!(track.kind, TrackType::Subtitle | TrackType::Other) {
            return Ok(None);
        }
        let carried = Carried::of_matroska(&track.codec).ok_or_else(|| {
            let (taken, hint) = encoded(track.kind);
            Error::unsupported(format!("CodecID {}; of Matroska and WebM {taken} are taken", track.codec))
                .hint(hint)
        })?;
        let first_bytes = first_bytes(&track.encoding)?;
        let configuration = match track.codec_private.is_empty() {
            true => carried.configuration_of(
                &track.codec,
                (track.sampling_frequency, track.output_frequency),
                track.channels,
            ),
            false => track.codec_private.clone(),
        };
        let of_segment = SECOND / timestamp_scale.max(1);
        let is_exact = SECOND.is_multiple_of(timestamp_scale) && of_segment <= MAX_TIMESCALE;
        let timescale = if is_exact { of_segment } else { MAX_TIMESCALE };
        Ok(Some(Self {
            track,
            carried,
            configuration,
            first_bytes,
            first: None,
            timescale: u32::try_from(timescale).unwrap_or(1),
            samples: Vec::new(),
            next: 0,
            duration: None,
            discard_padding: 0,
        }))
    }

    fn frame(&mut self, frame: &Frame, file: &Matroska<'_>) -> Result<()> {
        let scale = file.info.timestamp_scale;
        let start = self.start::<START_BYTES>(frame, file)?;
        if self.first.is_none() {
            self.first = Some(frame.range.clone());
            if self.track.kind == TrackType::Audio {
                let first = self.start::<FIRST_BYTES>(frame, file)?;
                self.timescale = self.describe(&first)?.audio.map_or(self.timescale, |(.., ticks)| ticks);
            }
        }
        let nanoseconds = |time: i64| i128::from(time) * i128::from(scale);
        let stated = frame.time.map(|time| ticks(nanoseconds(time), self.timescale));
        let duration = self.carried.duration(&self.configuration, &start)?;
        let time = if duration > 0 {
            // Times of audio are rounded to ticks of the segment; frames that follow each other tell them exactly.
            let tolerance = ticks(nanoseconds(2), self.timescale).max(1);
            let follows =
                |time: i64| !self.samples.is_empty() && time.abs_diff(self.next) <= tolerance.unsigned_abs();
            let last = self.samples.last().map_or(i64::MIN, |sample| sample.time);
            stated.filter(|time| !follows(*time)).unwrap_or(self.next).max(last)
        } else {
            stated.unwrap_or(self.next)
        };
        let length = frame.duration.map(|duration| nanoseconds(i64::try_from(duration).unwrap_or(i64::MAX)));
        let default = self.track.default_duration.map(i128::from);
        let of_container = length.or(default).map(|length| ticks(length, self.timescale));
        let of_container = of_container.and_then(|length| u32::try_from(length).ok());
        self.duration = if duration > 0 { Some(duration) } else { of_container.filter(|length| *length > 0) };
        self.next = time.saturating_add(self.duration.unwrap_or(0).into());
        self.discard_padding = frame.discard_padding;
        let size = u32::try_from(frame.range.end - frame.range.start + self.first_bytes.len() as u64)
            .map_err(|_| Error::unsupported("a frame of more than 4 GiB"))?;
        let is_sync = frame.is_key || duration > 0;
        self.samples.push(Placed { position: frame.range.start, size, time, is_sync });
        Ok(())
    }

    /// The first bytes of a frame.
    fn start<const N: usize>(&self, frame: &Frame, file: &Matroska<'_>) -> Result<Vec<u8>> {
        let (start, length) = file.start::<N>(&frame.range)?;
        Ok([self.first_bytes, start.get(..length).unwrap_or_default()].concat())
    }

    fn describe(&self, first: &[u8]) -> Result<SampleDescription> {
        let picture = Picture { size: self.size(), rate: self.rate(), color: self.color() };
        self.carried.describe(&self.configuration, first, &picture)
    }

    fn size(&self) -> (u32, u32) {
        let (width, height) = self.track.pixels;
        (u32::try_from(width).unwrap_or(u32::MAX), u32::try_from(height).unwrap_or(u32::MAX))
    }

    fn color(&self) -> Option<([u8; 3], bool)> {
        let color = self.track.color?;
        Some(([color.primaries, color.transfer, color.matrix], color.is_full_range))
    }

    /// Pictures in a second: as is said, or else on average.
    fn rate(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a level needs no exact rate")]
        let ratio = |count: u64, ticks: u64| count as f64 / ticks.max(1) as f64;
        let stated = self.track.default_duration.map(|duration| ratio(SECOND, duration));
        let times = self.samples.first().zip(self.samples.last());
        let lasts =
            times.map(|(first, last)| last.time.saturating_sub(first.time)).filter(|ticks| *ticks > 0);
        let count = self.samples.len().saturating_sub(1) as u64;
        stated.or_else(|| Some(ratio(count * u64::from(self.timescale), lasts?.unsigned_abs())))
    }

    fn finish(self, source: &dyn Source) -> Result<MovieTrack> {
        let first = self.first.clone().unwrap_or_default();
        let length = usize::try_from(first.end - first.start).unwrap_or(usize::MAX).min(FIRST_BYTES);
        let mut bytes = self.first_bytes.to_vec();
        bytes.resize(self.first_bytes.len() + length, 0);
        source.read_at(first.start, bytes.get_mut(self.first_bytes.len()..).unwrap_or_default())?;
        let description = self.describe(&bytes)?;
        let is_video = self.track.kind == TrackType::Video;
        if is_video && !self.carried.reorders() {
            self.check_order()?;
        }
        let before = match self.samples.as_slice() {
            [.., before, last] => u32::try_from(last.time.abs_diff(before.time)).ok(),
            _ => None,
        };
        let nanoseconds = |time: i64| ticks(time.into(), self.timescale);
        let discarded = u32::try_from(nanoseconds(self.discard_padding)).unwrap_or(0);
        let pre_roll = nanoseconds(i64::try_from(self.track.seek_pre_roll).unwrap_or(0));
        let frame = i64::from(self.duration.unwrap_or(0));
        let roll = if pre_roll > 0 && frame > 0 { -((pre_roll + frame - 1) / frame) } else { 0 };
        // The time of a frame is that of its first sample, and what is skipped at the start is before it: CodecDelay.
        let delay = nanoseconds(i64::try_from(self.track.codec_delay).unwrap_or(0));
        let (size, color) = (self.size(), self.color());
        let mut samples = self.samples;
        if self.carried == Carried::Opus {
            samples.iter_mut().for_each(|sample| sample.time = sample.time.saturating_sub(delay));
        }
        let mut track = MovieTrack {
            kind: if is_video { TrackKind::Video } else { TrackKind::Audio },
            size,
            pixel: pixel_ratio(self.track.pixels, self.track.display),
            color,
            boxes: mastering::boxes(self.track, description.entry),
            language: self.track.language.clone(),
            name: self.track.name.clone(),
            roles: self.track.purposes.iter().map(|purpose| role(*purpose)).collect(),
            timescale: self.timescale,
            decode_times: self.carried.reorders().then(|| decode_times(&samples)),
            last_duration: self.duration.or(before).unwrap_or(self.timescale / 25).max(1),
            trimmed: (description.pre_skip, discarded),
            roll_distance: i16::try_from(roll).ok().filter(|distance| *distance < 0),
            description,
            samples,
        };
        self.track.dolby_vision.iter().try_for_each(|record| track.set_dolby_vision(record))?;
        Ok(track)
    }

    fn check_order(&self) -> Result<()> {
        let mut pairs = self.samples.iter().zip(self.samples.iter().skip(1));
        let back = pairs.find(|(before, sample)| sample.time < before.time);
        back.map_or(Ok(()), |(before, sample)| {
            Err(Error::input(format!(
                "a frame at {} ticks of {} behind one at {}",
                sample.time, self.timescale, before.time
            ))
            .clause("RFC 9559 §10.2")
            .at_byte(sample.position)
            .hint("the file jumps back in time: cut it there and give the parts"))
        })
    }
}

/// What is taken of a kind, and how to make it of something else.
fn encoded(kind: TrackType) -> (&'static str, String) {
    let encode =
        |options| format!("encode it to one of these, such as with {}", remedy::copy(options, "mkv"));
    match kind {
        TrackType::Video => ("AVC, HEVC, AV1, VP9 and VP8", encode(" -c:v libx264 -pix_fmt yuv420p")),
        _ => ("AAC, AC-3, E-AC-3, Opus, FLAC, ALAC and MPEG audio", encode(" -c:a aac")),
    }
}

/// The first bytes that every frame lacks; frames that are compressed or encrypted are refused.
fn first_bytes(encoding: &Encoding) -> Result<&[u8]> {
    match encoding {
        Encoding::None => Ok(&[]),
        Encoding::Stripped(first) => Ok(first),
        Encoding::Compressed(by) => {
            Err(Error::unsupported(format!("ContentCompression: frames are compressed by {by}"))
                .clause("RFC 9559 §5.1.4.1.31.5")
                .hint(format!("write the file without it, such as with {}", remedy::copy("", "mkv"))))
        }
        Encoding::Encrypted => Err(Error::input("ContentEncryption: the track is encrypted already")
            .clause("RFC 9559 §5.1.4.1.31.8")
            .hint("give the clear file")),
    }
}

/// The role of DASH that says what a flag of a track does.
fn role(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::HearingImpaired => "enhanced-audio-intelligibility",
        Purpose::VisualImpaired => "description",
        Purpose::Commentary => "commentary",
        Purpose::NotOriginal => "dub",
    }
}

/// When samples are decoded of which only the presentation is known: as they are presented, so much earlier that each
/// is decoded before.
fn decode_times(samples: &[Placed]) -> Vec<i64> {
    let mut times: Vec<i64> = samples.iter().map(|sample| sample.time).collect();
    times.sort_unstable();
    let early = samples.iter().zip(&times).map(|(sample, time)| time.saturating_sub(sample.time)).max();
    times.iter_mut().for_each(|time| *time = time.saturating_sub(early.unwrap_or(0)));
    times
}

/// Nanoseconds in ticks, rounded.
fn ticks(nanoseconds: i128, timescale: u32) -> i64 {
    let second = i128::from(SECOND);
    let ticks = (nanoseconds * i128::from(timescale) + second / 2).div_euclid(second);
    i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

/// Width to height of a pixel, reduced; `None` where they are equal or nothing is said.
fn pixel_ratio(pixels: (u64, u64), display: Option<(u64, u64)>) -> Option<(u32, u32)> {
    let (width, height) = display.filter(|(width, height)| *width > 0 && *height > 0)?;
    let (h, v) = (u128::from(width) * u128::from(pixels.1), u128::from(height) * u128::from(pixels.0));
    let (h, v) = ratio::reduced(h, v);
    let ratio = (u32::try_from(h).ok()?, u32::try_from(v).ok()?);
    (ratio.0 != ratio.1 && ratio.0 > 0 && ratio.1 > 0).then_some(ratio)
}
