//! What manifests say of thumbnails is what the images are — DASH-IF IOP, tiles of thumbnail images; the image media
//! playlist of HLS.

use crate::base::env::Store;
use crate::base::{Kind, Result};
use crate::codec::jpeg;
use crate::hls::{Attributes, Line, LineKind};
use crate::presentation::{Content, MediaPlaylist, Presentation, Resource};
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
    for mpd in &presentation.mpds {
        for track in mpd.tracks.iter().filter(|track| track.content == Content::Images) {
            let representation = &track.representation;
            let Some(stated) = representation.width.zip(representation.height) else { continue };
            let place = format!("{}: {} (id {})", mpd.name, representation.place, representation.id);
            for image in track.segments() {
                check_image(store, image, (&place, stated), findings)?;
            }
        }
    }
    Ok(())
}

/// The size of an image by the last `EXT-X-TILES` above its line: that of a tile, so many times.
fn tiles(playlist: &MediaPlaylist, line: usize) -> Option<(u64, u64)> {
    let above = playlist.playlist.lines().iter().take(line).rev().map(Line::kind);
    let mut tags = above.filter_map(|kind| match kind {
        LineKind::Tag { name: "EXT-X-TILES", value } => Some(value),
        _ => None,
    });
    let attributes = Attributes::parse(tags.next()?).ok()?;
    let pair = |name| -> Option<(u64, u64)> {
        let (one, two) = attributes.raw(name)?.split_once('x')?;
        Some((one.parse().ok()?, two.parse().ok()?))
    };
    let ((width, height), (columns, rows)) = (pair("RESOLUTION")?, pair("LAYOUT")?);
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
