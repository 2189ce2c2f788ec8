//! Thumbnails beside the video: given JPEG images, each a grid of tiles — DASH-IF IOP, tiles of thumbnail images; image
//! media playlists of HLS.

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result, shown_input};
use crate::codec::jpeg;
use crate::dash::ContentType;
use crate::dash::write::{NewAdaptationSet, NewAddressing, NewRepresentation};
use crate::hls::media::{self, Resource, Tiles};
use crate::hls::multivariant::Images;
use crate::package::copy;

use super::OutputTrack;
use super::cut::Start;
use super::ladder::seconds;
use super::names::reference;
use crate::job::env::{Env, OpenInput};
use crate::job::folder::write_manifest;
use crate::job::identity::Summary;
use crate::job::plan::ClearTrack;
use crate::job::report::{OutputReport, Report};

const FORM: &str = "the form is FILES:COLSxROWS:SECONDS, such as sprites/%03d.jpg:5x4:2: a folder of JPEG images or a \
                    name with %d or %03d, the grid of each image, and how long a tile is shown";
/// Its id, and the name of its playlist and folder.
const ID: &str = "thumbnails";
const PLAYLIST: &str = "thumbnails.m3u8";
/// Most tiles beside or below each other, and most images.
const MAX_TILES: u32 = 1000;
const MAX_IMAGES: usize = 100_000;
/// Most seconds of a tile: a day.
const MAX_SECONDS: f64 = 86_400.0;
/// Ends so little apart are one, in seconds.
const TOGETHER: f64 = 0.001;
/// Ticks in a second of the times of images.
const TIMESCALE: u32 = 1000;

/// The images of `--thumbnails`, and what is in each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thumbnails {
    /// The images in order, or one name with `%d` or `%03d` for all of them, counted from 0 or 1.
    pub files: Vec<String>,
    /// Tiles beside each other.
    pub columns: u32,
    /// Tiles below each other.
    pub rows: u32,
    /// How long a tile is shown.
    pub seconds: f64,
}

impl Thumbnails {
    /// Reads `FILES:COLSxROWS:SECONDS`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for another form.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::usage(format!("--thumbnails {:?}", shown_input(text))).hint(FORM);
        let mut parts = text.rsplitn(3, ':');
        let (seconds, grid, files) = (parts.next(), parts.next(), parts.next());
        let (Some(seconds), Some((columns, rows)), Some(files)) =
            (seconds, grid.and_then(|grid| grid.split_once('x')), files.filter(|files| !files.is_empty()))
        else {
            return Err(wrong());
        };
        let new = Self {
            files: vec![files.to_owned()],
            columns: columns.parse().map_err(|_| wrong())?,
            rows: rows.parse().map_err(|_| wrong())?,
            seconds: seconds.parse().map_err(|_| wrong())?,
        };
        new.check()?;
        Ok(new)
    }

    fn check(&self) -> Result<()> {
        let Self { columns, rows, seconds, .. } = self;
        if ![columns, rows].iter().all(|tiles| (1..=MAX_TILES).contains(*tiles)) {
            return Err(Error::usage(format!(
                "--thumbnails of {columns}x{rows} tiles, 1 to {MAX_TILES} each"
            )));
        }
        let is_whole = (seconds * 1000.0).round() / 1000.0;
        if !(0.001..=MAX_SECONDS).contains(seconds) || (is_whole - seconds).abs() > 1e-9 {
            return Err(Error::usage(format!(
                "--thumbnails of {seconds} seconds a tile, 0.001 to {MAX_SECONDS} in milliseconds expected"
            )));
        }
        Ok(())
    }
}

/// The name with a number in the place of `%d` or `%03d`; `None` when it has none. Those of addresses are no pattern:
/// `%da` and the like.
fn numbered(pattern: &str) -> Option<impl Fn(usize) -> String + '_> {
    let (at, _) = pattern.match_indices('%').find(|(at, _)| digits(pattern.get(at + 1..)).is_some())?;
    let (before, behind) = (pattern.get(..at)?, pattern.get(at + 1..)?);
    let (width, rest) = digits(Some(behind))?;
    Some(move |number| format!("{before}{number:0width$}{rest}"))
}

fn digits(behind: Option<&str>) -> Option<(usize, &str)> {
    let behind = behind?;
    let (width, rest) = match behind.strip_prefix('0') {
        Some(padded) => (padded.chars().next()?.to_digit(10).filter(|width| *width > 0)?, padded.get(1..)?),
        None => (0, behind),
    };
    let rest = rest.strip_prefix('d')?;
    let is_escape = width == 0 && rest.starts_with(|c: char| c.is_ascii_hexdigit());
    (!is_escape).then_some((width as usize, rest))
}

/// An image, and the name of its copy.
struct Image {
    input: String,
    length: u64,
    version: Option<String>,
    name: String,
}

/// The thumbnails of a job.
pub(in crate::job) struct ThumbnailTrack {
    images: Vec<Image>,
    grid: Thumbnails,
    /// Of an image, in pixels.
    size: (u32, u32),
}

impl ThumbnailTrack {
    /// Opens the images and looks at them: all of one size, that the grid divides.
    pub(in crate::job) fn open(job: Option<&Thumbnails>, open_input: &OpenInput<'_>) -> Result<Option<Self>> {
        let Some(job) = job else { return Ok(None) };
        job.check()?;
        let inputs = inputs(job, open_input)?;
        let (mut images, mut size) = (Vec::new(), None);
        for (number, input) in (1..).zip(inputs) {
            let shown = shown_input(&input);
            let mut open = || -> Result<_> {
                let (store, name) = open_input(&input)?;
                let source = store.open(&name)?;
                let found = jpeg::size(source.as_ref())?;
                fits(job, found, *size.get_or_insert(found))?;
                Ok((source.len(), source.version()))
            };
            let (length, version) = open().map_err(|error| error.at(&shown))?;
            images.push(Image { input, length, version, name: format!("{ID}/{number}.jpg") });
        }
        let size = size.ok_or_else(|| Error::usage("--thumbnails without images").hint(FORM))?;
        Ok(Some(Self { images, grid: job.clone(), size }))
    }

    /// How long an image is shown, in seconds.
    fn image_seconds(&self) -> f64 {
        self.grid.seconds * f64::from(self.grid.columns) * f64::from(self.grid.rows)
    }

    /// How long the first `count` images are shown.
    fn covered(&self, count: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_IMAGES")]
        let count = count as f64;
        self.image_seconds() * count
    }

    /// Leaves out images that begin when everything is over, and says what does not go together.
    pub(in crate::job) fn fit(&mut self, tracks: &[OutputTrack<'_>], start: Start) -> Vec<String> {
        let ends = tracks.iter().map(|track| seconds(track, track.ends(), start));
        let lasts = ends.fold(0.0, f64::max);
        let given = self.images.len();
        let needed = (1..=given).find(|count| self.covered(*count) >= lasts - TOGETHER);
        let covered = self.covered(given);
        self.images.truncate(needed.unwrap_or(given));
        let mut said =
            vec![format!("{} thumbnail images stay clear: no DRM protects images", self.images.len())];
        match needed {
            Some(needed) if needed < given => said.push(format!(
                "{} of {given} thumbnail images are left out: the media ends after {lasts:.3} s",
                given - needed
            )),
            Some(_) => (),
            None => said.push(format!(
                "{given} thumbnail images last {covered:.3} s, the media {lasts:.3} s: the rest has none"
            )),
        }
        said
    }

    /// What `plan` says of it.
    pub(in crate::job) fn outline(&self) -> Option<ClearTrack> {
        let source = shown_input(&self.images.first()?.input);
        Some(ClearTrack {
            id: ID.into(),
            kind: "image",
            codec: "image/jpeg".into(),
            source,
            left_clear: None,
        })
    }

    /// The names of its files.
    pub(in crate::job) fn files(&self) -> impl Iterator<Item = &str> {
        self.images.iter().map(|image| image.name.as_str()).chain([PLAYLIST])
    }

    /// Which images they are.
    pub(in crate::job) fn summarize(&self, summary: &mut Summary) {
        for image in &self.images {
            summary.named(&image.input, &image.length.to_be_bytes());
            summary.add(image.version.as_deref().unwrap_or_default().as_bytes());
        }
    }

    /// Copies the images as they are.
    pub(in crate::job) fn write(&self, env: &Env<'_>, report: &mut Report) -> Result<()> {
        for image in &self.images {
            let (store, name) = (env.open_input)(&image.input)?;
            let mut sink = env.output.create(&image.name)?;
            copy(store.open(&name)?.as_ref(), sink.as_mut())
                .map_err(|error| error.at(shown_input(&image.input)))?;
            report.outputs.push(OutputReport::new(&image.name, sink.commit()?));
        }
        Ok(())
    }

    /// Each image with the seconds that it is shown, the presentation lasting `lasts`.
    fn shown(&self, lasts: f64) -> impl Iterator<Item = (&Image, f64)> {
        let images = self.images.iter().enumerate();
        images.map(move |(index, image)| {
            let left = lasts - self.covered(index);
            (image, if left > TOGETHER { left.min(self.image_seconds()) } else { self.image_seconds() })
        })
    }

    fn bandwidth(&self, lasts: f64) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "lengths of less than 2^53 bits")]
        let rates = self.shown(lasts).map(|(image, seconds)| (image.length * 8) as f64 / seconds);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and saturating"
        )]
        let bandwidth = rates.fold(1.0, f64::max).ceil() as u64;
        bandwidth
    }

    /// Writes the playlist of the images, and gives what names it.
    pub(in crate::job) fn write_hls(
        &self,
        (multivariant, lasts): (&str, f64),
        env: &Env<'_>,
        report: &mut Report,
    ) -> Result<Images> {
        let segment = |(image, seconds): (&Image, f64)| {
            (Resource { uri: reference(PLAYLIST, &image.name), byte_range: None }, seconds)
        };
        let Thumbnails { columns, rows, seconds, .. } = self.grid;
        let tile = (self.size.0 / columns, self.size.1 / rows);
        let playlist = media::write(&media::MediaPlaylist {
            segments: self.shown(lasts).map(segment).collect(),
            tiles: Some(Tiles { resolution: tile, layout: (columns, rows), duration: seconds }),
            ..media::MediaPlaylist::default()
        })?;
        report.outputs.push(write_manifest(env, PLAYLIST, &playlist.to_bytes())?);
        report.manifests.push(PLAYLIST.to_owned());
        let (bandwidth, uri) = (self.bandwidth(lasts), reference(multivariant, PLAYLIST));
        Ok(Images { bandwidth, resolution: tile, uri })
    }

    /// Its AdaptationSet.
    pub(in crate::job) fn adaptation_set(&self, (mpd, lasts): (&str, f64)) -> NewAdaptationSet {
        let media = reference(mpd, &format!("{ID}/1.jpg")).replace("1.jpg", "$Number$.jpg");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked, and positive")]
        let duration = (self.image_seconds() * f64::from(TIMESCALE)).round() as u64;
        let ends_before = self.covered(self.images.len()) < lasts - TOGETHER;
        let last = ends_before.then_some(self.images.len() as u64);
        NewAdaptationSet {
            trick_mode_of: None,
            content_type: ContentType::Image,
            mime_type: "image/jpeg".into(),
            lang: None,
            label: None,
            purposes: Vec::new(),
            roles: Vec::new(),
            representations: vec![NewRepresentation {
                id: ID.into(),
                bandwidth: self.bandwidth(lasts),
                width: Some(self.size.0),
                height: Some(self.size.1),
                tiles: Some((self.grid.columns, self.grid.rows)),
                timescale: TIMESCALE,
                addressing: NewAddressing::Numbered { media, duration, last },
                ..NewRepresentation::default()
            }],
        }
    }
}

/// The images that are given: those that are named, or those there are of a pattern.
fn inputs(job: &Thumbnails, open_input: &OpenInput<'_>) -> Result<Vec<String>> {
    let [pattern] = job.files.as_slice() else { return Ok(job.files.clone()) };
    let Some(name) = numbered(pattern) else { return Ok(job.files.clone()) };
    let exists = |number| {
        let (store, name) = open_input(&name(number))?;
        store.exists(&name)
    };
    let first = usize::from(!exists(0)?);
    let mut found = Vec::new();
    while found.len() < MAX_IMAGES && exists(first + found.len())? {
        found.push(name(first + found.len()));
    }
    if found.is_empty() {
        return Err(Error::input(format!(
            "neither {} nor {} is there",
            shown_input(&name(0)),
            shown_input(&name(1))
        ))
        .at("--thumbnails")
        .hint(FORM));
    }
    Ok(found)
}

/// Whether an image has the size of the first one, and the grid divides it.
fn fits(
    job: &Thumbnails,
    (width, height): (u32, u32),
    (first_width, first_height): (u32, u32),
) -> Result<()> {
    if (width, height) != (first_width, first_height) {
        return Err(Error::input(format!(
            "{width}x{height} pixels, {first_width}x{first_height} expected as in the first image"
        ))
        .hint("fill the last image up with empty tiles"));
    }
    let (columns, rows) = (job.columns, job.rows);
    if width % columns != 0 || height % rows != 0 {
        return Err(Error::input(format!(
            "{width}x{height} pixels, a multiple of the grid of {columns}x{rows} tiles expected"
        ))
        .hint("all tiles have one size"));
    }
    Ok(())
}
