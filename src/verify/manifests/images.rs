//! What manifests say of thumbnails is what the images are — DASH-IF IOP, tiles of thumbnail images; the image media
//! playlist of HLS.

use std::collections::HashMap;

use crate::base::env::Store;
use crate::base::{Kind, Result};
use crate::codec::jpeg;
use crate::hls::{Attributes, Line, LineKind};
use crate::presentation::{Content, MediaPlaylist, MpdTrack, Presentation, Resource};

use super::times::{ROUNDED, seconds};
use crate::verify::findings::Findings;

/// Holds the sizes that are stated of images to them.
///
/// # Errors
/// When a file cannot be read.
pub(in crate::verify) fn check(
    store: &dyn Store,
    presentation: &Presentation,
    findings: &mut Findings,
) -> Result<()> {
    for playlist in presentation.playlists.iter().filter(|playlist| playlist.content == Content::Images) {
        for image in playlist.segments() {
            if let Some(stated) = tiles(playlist, image.line) {
                check_image(store, image, (&playlist.name, stated), findings)?;
            }
        }
    }
    let grids = grids(presentation, findings);
    for mpd in &presentation.mpds {
        for track in mpd.tracks.iter().filter(|track| track.content == Content::Images) {
            let representation = &track.representation;
            check_grid(&mpd.name, track, &grids, findings);
            let Some(stated) = representation.width.zip(representation.height) else { continue };
            let place = format!("{}: {} (id {})", mpd.name, representation.place, representation.id);
            for image in track.segments() {
                check_image(store, image, (&place, stated), findings)?;
            }
        }
    }
    Ok(())
}

/// What is said of an image: columns and rows, and how long it is shown, in seconds.
type Grid = ((u64, u64), f64);

/// What the playlists say of images; a tile is shown for its part of the time.
fn grids<'a>(presentation: &'a Presentation, findings: &mut Findings) -> HashMap<&'a str, Grid> {
    let mut grids = HashMap::new();
    for playlist in presentation.playlists.iter().filter(|playlist| playlist.content == Content::Images) {
        let mut images = playlist.segments().peekable();
        while let Some(image) = images.next() {
            let Some(attributes) = tag(playlist, image.line) else { continue };
            let Some((columns, rows)) = pair(&attributes, "LAYOUT") else { continue };
            grids.insert(image.file.as_str(), ((columns, rows), image.duration));
            let tile = attributes.raw("DURATION").and_then(|seconds| seconds.parse::<f64>().ok());
            // The last image may have fewer.
            let Some(tile) = tile.filter(|_| images.peek().is_some()) else { continue };
            let all = tile * seconds(columns.saturating_mul(rows), 1);
            let place = format!("{}: line {}", playlist.name, image.line + 1);
            let found = format!("EXTINF {}", image.duration);
            let holds = (image.duration - all).abs() <= ROUNDED;
            findings.check(
                "label-tiles",
                holds,
                &place,
                &found,
                &format_args!("{all:.3}, that of its tiles"),
            );
        }
    }
    grids
}

/// Holds the grid of a set of images to their size and to what playlists say of them.
fn check_grid(name: &str, track: &MpdTrack, grids: &HashMap<&str, Grid>, findings: &mut Findings) {
    let representation = &track.representation;
    let place = format!("{name}: {} (id {})", representation.place, representation.id);
    let mut tiles =
        representation.properties.iter().filter(|(scheme, _)| scheme.ends_with("/thumbnail_tile"));
    let Some((_, value)) = tiles.next() else { return };
    let grid = value.split_once('x').and_then(|(one, two)| Some((one.parse().ok()?, two.parse().ok()?)));
    let (columns, rows) = grid.unwrap_or((0_u64, 0_u64));
    let divides =
        |whole: Option<u64>, part: u64| whole.is_none_or(|whole| part > 0 && whole.is_multiple_of(part));
    let holds = divides(representation.width, columns) && divides(representation.height, rows);
    findings.check("label-tiles", holds, &place, &value, &"a grid that divides width and height");
    let mut images = track.segments().peekable();
    while let Some(image) = images.next() {
        let Some((expected, shown)) = grids.get(image.file.as_str()) else { continue };
        let wanted = format!("{}x{}, as LAYOUT of {} says", expected.0, expected.1, image.file);
        findings.check("label-tiles", (columns, rows) == *expected, &place, &value, &wanted);
        let timing = &representation.timing;
        let own = image.time.map(|time| (time.duration, time.timescale));
        let own = own.or_else(|| Some((timing.duration?, timing.timescale)));
        // The last image is shown up to the end.
        let Some((ticks, timescale)) = own.filter(|_| images.peek().is_some()) else { continue };
        let lasts = seconds(ticks, timescale);
        let (found, wanted) = (format!("{lasts:.3} s"), format!("{shown:.3} s, EXTINF of {}", image.file));
        findings.check("label-tiles", (lasts - shown).abs() <= ROUNDED, &place, &found, &wanted);
    }
}

/// The last `EXT-X-TILES` above a line.
fn tag(playlist: &MediaPlaylist, line: usize) -> Option<Attributes> {
    let above = playlist.playlist.lines().iter().take(line).rev().map(Line::kind);
    let mut tags = above.filter_map(|kind| match kind {
        LineKind::Tag { name: "EXT-X-TILES", value } => Some(value),
        _ => None,
    });
    Attributes::parse(tags.next()?).ok()
}

fn pair(attributes: &Attributes, name: &str) -> Option<(u64, u64)> {
    let (one, two) = attributes.raw(name)?.split_once('x')?;
    Some((one.parse().ok()?, two.parse().ok()?))
}

/// The size of an image by its tag: that of a tile, so many times.
fn tiles(playlist: &MediaPlaylist, line: usize) -> Option<(u64, u64)> {
    let attributes = tag(playlist, line)?;
    let ((width, height), (columns, rows)) = (pair(&attributes, "RESOLUTION")?, pair(&attributes, "LAYOUT")?);
    Some((width.checked_mul(columns)?, height.checked_mul(rows)?))
}

fn check_image(
    store: &dyn Store,
    image: &Resource,
    (place, (width, height)): (&str, (u64, u64)),
    findings: &mut Findings,
) -> Result<()> {
    // What is missing is said elsewhere.
    if image.range.is_some() || !store.exists(&image.file)? {
        return Ok(());
    }
    match jpeg::size(store.open(&image.file)?.as_ref()) {
        Ok((real_width, real_height)) => {
            let holds = (width, height) == (real_width.into(), real_height.into());
            let (found, expected) = (format!("{width}x{height}"), format!("{real_width}x{real_height}"));
            let expected = format!("{expected}, the size of {}", image.file);
            findings.check("label-resolution", holds, &place, &found, &expected);
        }
        Err(error) if error.kind() == Kind::Storage => return Err(error.at(&image.file)),
        Err(_) => findings.unchecked(format!("the size of {}: no JPEG that can be read", image.file)),
    }
    Ok(())
}
