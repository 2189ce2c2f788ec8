//! A `moov` made from tracks of another container — ISO/IEC 14496-12 §8.2 to §8.9.

use super::file::MEDIA_START;
use crate::base::{Error, FourCc, Result, language_tag, long_language, ratio};
use crate::codec::{SampleDescription, TrackKind, dolby_vision_over};
use crate::isobmff::BoxNode;
use crate::isobmff::user_data::KindBox;

/// Ticks per second of the movie: what edit lists count in.
const MOVIE_TIMESCALE: u32 = 90_000;
/// So long before a frame of audio decoding has to start is stated in frames: `roll`, §10.1.
const ROLL: &[u8; 4] = b"roll";

/// A sample as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) position: u64,
    pub(super) size: u32,
    /// When it is presented, in ticks of the track.
    pub(super) time: i64,
    pub(super) is_sync: bool,
}

/// A track of a movie that is made.
pub(super) struct MovieTrack {
    pub(super) kind: TrackKind,
    pub(super) description: SampleDescription,
    /// Width and height of video, and the ratio of a pixel's.
    pub(super) size: (u32, u32),
    pub(super) pixel: Option<(u32, u32)>,
    /// Color as ITU-T H.273 numbers it, and whether the range is full.
    pub(super) color: Option<([u8; 3], bool)>,
    /// Further boxes of the sample entry, types and payloads.
    pub(super) boxes: Vec<(FourCc, Vec<u8>)>,
    /// A language tag, or three letters of ISO 639-2.
    pub(super) language: String,
    pub(super) name: String,
    /// What it is for, roles of DASH.
    pub(super) roles: Vec<&'static str>,
    pub(super) timescale: u32,
    /// In decode order.
    pub(super) samples: Vec<Placed>,
    /// Decode times, as many as samples; without them each is decoded when it is presented.
    pub(super) decode_times: Option<Vec<i64>>,
    /// How long the last sample is, in ticks.
    pub(super) last_duration: u32,
    /// Ticks at the start and at the end that are decoded and not heard.
    pub(super) trimmed: (u32, u32),
    /// Frames before one from which decoding has to start.
    pub(super) roll_distance: Option<i16>,
}

impl MovieTrack {
    /// Makes it a track of Dolby Vision with this record.
    pub(super) fn set_dolby_vision(&mut self, record: &[u8]) -> Result<()> {
        let (entry, configuration) = dolby_vision_over(self.description.entry, record)?;
        self.description.entry = entry;
        self.boxes.push(configuration);
        Ok(())
    }

    /// When the first of what is presented is, in ticks.
    fn begins(&self) -> i64 {
        let first = self.samples.iter().map(|sample| sample.time).min().unwrap_or(0);
        first.saturating_add(self.trimmed.0.into())
    }

    /// The same in ticks of a clock, rounded down.
    pub(super) fn begins_at(&self, clock: u32) -> i64 {
        let ticks = i128::from(self.begins()) * i128::from(clock);
        i64::try_from(ticks.div_euclid(i128::from(self.timescale.max(1)))).unwrap_or(i64::MAX)
    }
}

/// The movie of these tracks, which begins with the first of them; their ids are their numbers, from 1.
///
/// # Errors
/// When times or sizes do not fit their fields.
pub(super) fn movie(tracks: &[MovieTrack]) -> Result<BoxNode> {
    let begin = |track: &MovieTrack| (i128::from(track.begins()), track.timescale.max(1));
    let first = tracks.iter().map(begin).min_by(|a, b| ratio::compare(*a, *b)).unwrap_or((0, 1));
    let next = u32::try_from(tracks.len()).unwrap_or(u32::MAX).saturating_add(1);
    let mut boxes = vec![BoxNode::data(b"mvhd", mvhd(next))];
    for (number, track) in (1..).zip(tracks) {
        boxes.push(trak(number, track, first).map_err(|error| error.at(format_args!("track {number}")))?);
    }
    Ok(BoxNode::container(b"moov", boxes))
}

fn mvhd(next_track_id: u32) -> Vec<u8> {
    let mut out = vec![0; 12];
    out.extend(MOVIE_TIMESCALE.to_be_bytes());
    out.extend([0; 4]); // duration: §8.2.2.3, that of the tracks is in their tables
    out.extend([0, 1, 0, 0, 1, 0, 0, 0, 0, 0]);
    out.extend([0; 8]);
    out.extend(matrix());
    out.extend([0; 24]);
    out.extend(next_track_id.to_be_bytes());
    out
}

/// The unity matrix: §6.2.2.
fn matrix() -> Vec<u8> {
    [0x1_0000_u32, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000].into_iter().flat_map(u32::to_be_bytes).collect()
}

fn trak(track_id: u32, track: &MovieTrack, first: (i128, u32)) -> Result<BoxNode> {
    let is_video = track.kind == TrackKind::Video;
    let (width, height) = track.size;
    let mut tkhd = vec![0, 0, 0, 7];
    tkhd.extend([0; 8]);
    tkhd.extend(track_id.to_be_bytes());
    tkhd.extend([0; 4 + 4 + 8 + 2 + 2]);
    tkhd.extend([u8::from(!is_video), 0, 0, 0]);
    tkhd.extend(matrix());
    // In 16.16, as it is shown.
    let shown = track
        .pixel
        .map_or_else(|| u64::from(width), |(h, v)| u64::from(width) * u64::from(h) / u64::from(v.max(1)));
    tkhd.extend((u32::from(u16::try_from(shown).unwrap_or(u16::MAX)) << 16).to_be_bytes());
    tkhd.extend((u32::from(u16::try_from(height).unwrap_or(u16::MAX)) << 16).to_be_bytes());
    let mut boxes = vec![BoxNode::data(b"tkhd", tkhd)];
    let (stbl, media) = tables(track)?;
    if let Some(elst) = edits(track, media, first)? {
        boxes.push(BoxNode::container(b"edts", vec![BoxNode::data(b"elst", elst)]));
    }
    let mut mdhd = vec![0; 12];
    mdhd.extend(track.timescale.to_be_bytes());
    mdhd.extend([0; 4]);
    mdhd.extend(language(&track.language).to_be_bytes());
    mdhd.extend([0; 2]);
    let mut hdlr = vec![0; 8];
    hdlr.extend(if is_video { b"vide" } else { b"soun" });
    hdlr.extend([0; 12]);
    hdlr.extend(track.name.bytes().filter(|byte| *byte != 0));
    hdlr.push(0);
    let header = match is_video {
        true => BoxNode::data(b"vmhd", [&[0, 0, 0, 1][..], &[0; 8]].concat()),
        false => BoxNode::data(b"smhd", vec![0; 8]),
    };
    let url = BoxNode::data(b"url ", vec![0, 0, 0, 1]).to_bytes();
    let dref = boxed(b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1], &url]);
    let dinf = BoxNode::parse_one(&boxed(b"dinf", &[&dref]))?;
    let mut media = vec![BoxNode::data(b"mdhd", mdhd)];
    // What three letters do not say is said in full: §8.4.6.
    let short = |tag: &String| long_language(tag).and_then(|long| language_tag(&long));
    if let Some(tag) = language_tag(&track.language).filter(|tag| short(tag).as_ref() != Some(tag)) {
        media.push(BoxNode::data(b"elng", [&[0; 4], tag.as_bytes(), &[0]].concat()));
    }
    media.extend([BoxNode::data(b"hdlr", hdlr), BoxNode::container(b"minf", vec![header, dinf, stbl])]);
    boxes.push(BoxNode::container(b"mdia", media));
    if !track.roles.is_empty() {
        let kinds = track.roles.iter().map(|role| KindBox::role(role).to_box());
        boxes.push(BoxNode::container(b"udta", kinds.collect()));
    }
    Ok(BoxNode::container(b"trak", boxes))
}

/// Three letters of five bits: §8.4.2.3.
fn language(language: &str) -> u16 {
    let long = long_language(language);
    let letters = long.as_deref().unwrap_or("und").bytes();
    letters.fold(0, |packed, letter| packed << 5 | u16::from(letter & 31))
}

/// What `elst` says of a track whose media lasts so long; `None` of one that is presented as it is decoded.
fn edits(track: &MovieTrack, media: u64, first: (i128, u32)) -> Result<Option<Vec<u8>>> {
    let (start, scale) = (first.0, i128::from(first.1));
    let timescale = i128::from(track.timescale.max(1));
    // So long after the first, in ticks of the movie.
    let late = i128::from(track.begins()) * scale - start * timescale;
    let late = (late * i128::from(MOVIE_TIMESCALE) + timescale * scale / 2) / (timescale * scale);
    let (before, behind) = track.trimmed;
    // Decode times begin at 0, composition times where the first of what is presented is.
    let media_time = match &track.decode_times {
        Some(times) => {
            let shown = track.samples.iter().map(|sample| sample.time).min().unwrap_or(0);
            shown.saturating_sub(times.first().copied().unwrap_or(0)).saturating_add(before.into())
        }
        None => before.into(),
    };
    if late == 0 && media_time == 0 && behind == 0 {
        return Ok(None);
    }
    let ticks =
        |ticks: i128| u64::try_from(ticks).map_err(|_| Error::input(format!("an edit of {ticks} ticks")));
    let presented = media.saturating_sub(u64::from(before)).saturating_sub(behind.into());
    let presented = (i128::from(presented) * i128::from(MOVIE_TIMESCALE) + timescale / 2) / timescale;
    let mut entries: Vec<(u64, i64)> = Vec::new();
    if late > 0 {
        entries.push((ticks(late)?, -1));
    }
    entries.push((ticks(presented)?, media_time));
    let mut elst = vec![1, 0, 0, 0];
    elst.extend(u32::try_from(entries.len()).unwrap_or(0).to_be_bytes());
    for (duration, media_time) in entries {
        elst.extend(duration.to_be_bytes());
        elst.extend(media_time.to_be_bytes());
        elst.extend([0, 1, 0, 0]);
    }
    Ok(Some(elst))
}

/// Entries of a table of runs, a count of samples and what they have in common.
#[derive(Default)]
struct Runs {
    payload: Vec<u8>,
    run: Option<(u32, u32)>,
    entries: u32,
}

impl Runs {
    fn push(&mut self, value: u32) {
        match &mut self.run {
            Some((count, known)) if *known == value => *count += 1,
            _ => {
                self.flush();
                self.run = Some((1, value));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((count, value)) = self.run.take() {
            self.payload.extend(count.to_be_bytes());
            self.payload.extend(value.to_be_bytes());
            self.entries += 1;
        }
    }

    fn into_payload(mut self, version: u8) -> Vec<u8> {
        self.flush();
        [&[version, 0, 0, 0][..], &self.entries.to_be_bytes(), &self.payload].concat()
    }
}

/// `stbl`, and how long all samples together are.
fn tables(track: &MovieTrack) -> Result<(BoxNode, u64)> {
    let samples = &track.samples;
    let count = u32::try_from(samples.len()).map_err(|_| Error::unsupported("more than 2^32 - 1 samples"))?;
    let presented;
    let times = match &track.decode_times {
        Some(times) => times,
        None => {
            presented = samples.iter().map(|sample| sample.time).collect();
            &presented
        }
    };
    let (mut stts, mut ctts, mut duration) = (Runs::default(), Runs::default(), 0_u64);
    let mut has_offsets = false;
    for (number, (sample, time)) in samples.iter().zip(times).enumerate() {
        let next = times.get(number + 1).map(|next| next.saturating_sub(*time));
        let length = next.map_or(Ok(track.last_duration), u32::try_from).map_err(|_| {
            let what = format!("sample {} is followed {} ticks later", number + 1, next.unwrap_or_default());
            Error::input(what).hint("the file jumps in time: cut it there and give the parts")
        })?;
        stts.push(length);
        duration = duration.saturating_add(length.into());
        let offset = i32::try_from(sample.time.saturating_sub(*time)).map_err(|_| {
            Error::input(format!("sample {} is presented long before or after it is decoded", number + 1))
        })?;
        has_offsets |= offset != 0;
        ctts.push(offset.cast_unsigned());
    }
    let mut stbl = vec![stsd(track)?, BoxNode::data(b"stts", stts.into_payload(0))];
    if has_offsets {
        stbl.push(BoxNode::data(b"ctts", ctts.into_payload(1)));
    }
    if samples.iter().any(|sample| !sample.is_sync) {
        let numbers = (1_u32..).zip(samples).filter(|(_, sample)| sample.is_sync).map(|(number, _)| number);
        let numbers: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
        let entries = u32::try_from(numbers.len() / 4).unwrap_or(0).to_be_bytes();
        stbl.push(BoxNode::data(b"stss", [&[0; 4][..], &entries, &numbers].concat()));
    }
    let sizes = samples.iter().flat_map(|sample| sample.size.to_be_bytes());
    let stsz = [&[0; 8][..], &count.to_be_bytes()].concat().into_iter().chain(sizes).collect();
    stbl.push(BoxNode::data(b"stsz", stsz));
    // Each sample is a chunk of its own.
    let run = [0, 1, 1, 1, 1_u32].map(u32::to_be_bytes).concat();
    stbl.push(BoxNode::data(b"stsc", run));
    let positions = samples.iter().flat_map(|sample| (MEDIA_START + sample.position).to_be_bytes());
    let co64 = [&[0; 4][..], &count.to_be_bytes()].concat().into_iter().chain(positions).collect();
    stbl.push(BoxNode::data(b"co64", co64));
    if let Some(distance) = track.roll_distance {
        let head = [&[1, 0, 0, 0][..], ROLL].concat();
        let entry = [2_u32, 1].map(u32::to_be_bytes).concat();
        stbl.push(BoxNode::data(b"sgpd", [&head[..], &entry, &distance.to_be_bytes()].concat()));
        let entry = [1, count, 1].map(u32::to_be_bytes).concat();
        stbl.push(BoxNode::data(b"sbgp", [&[0; 4][..], ROLL, &entry].concat()));
    }
    Ok((BoxNode::container(b"stbl", stbl), duration))
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    BoxNode::data(kind, parts.concat()).to_bytes()
}

/// `stsd` of one sample entry: §12.1.3, §12.2.3.
fn stsd(track: &MovieTrack) -> Result<BoxNode> {
    let SampleDescription { entry, configuration: (kind, payload), audio, sample_size, .. } =
        &track.description;
    let mut fields = vec![0, 0, 0, 0, 0, 0, 0, 1];
    match audio {
        None => {
            let (width, height) = track.size;
            let size = u16::try_from(width).ok().zip(u16::try_from(height).ok());
            let (width, height) =
                size.filter(|(width, height)| *width > 0 && *height > 0).ok_or_else(|| {
                    Error::unsupported(format!("pictures of {width} x {height}"))
                        .clause("ISO/IEC 14496-12 §12.1.3")
                })?;
            fields.extend([0; 16]);
            fields.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
            // 72 dpi, one frame in a sample, no name, depth 24.
            fields.extend([0, 0x48, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 1]);
            fields.extend([0; 32]);
            fields.extend([0, 0x18, 0xff, 0xff]);
        }
        Some((channels, frequency, _)) => {
            fields.extend([0; 8]);
            fields.extend([channels.to_be_bytes(), sample_size.to_be_bytes()].concat());
            fields.extend([0; 4]);
            // A frequency that does not fit is in the configuration.
            fields.extend(u16::try_from(*frequency).unwrap_or(0).to_be_bytes());
            fields.extend([0; 2]);
        }
    }
    let mut boxes = boxed(&kind.0, &[payload]);
    if let Some((h, v)) = track.pixel.filter(|(h, v)| h != v) {
        boxes.extend(boxed(b"pasp", &[&h.to_be_bytes(), &v.to_be_bytes()]));
    }
    if let Some(([primaries, transfer, matrix], is_full_range)) = track.color {
        let range = u8::from(is_full_range) << 7;
        boxes.extend(boxed(b"colr", &[b"nclx", &[0, primaries, 0, transfer, 0, matrix, range]]));
    }
    boxes.extend(track.boxes.iter().flat_map(|(kind, payload)| boxed(&kind.0, &[payload])));
    let entry = boxed(&entry.0, &[&fields, &boxes]);
    BoxNode::parse_one(&boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &entry]))
}
