//! The protocol version that a playlist needs — RFC 8216bis §4.4.1.2, §8.

use super::attributes::{Attributes, decimal_integer};
use super::key::AES_128;
use super::line::{Line, LineKind, Playlist, place};
use super::media::is_i_frames_only;
use crate::base::{Error, Result};

/// Methods of `EXT-X-KEY` that version 1 has; every later one needs version 5.
const FIRST_METHODS: &[&str] = &["NONE", AES_128];

/// Raises `EXT-X-VERSION` to `floor` and to what the playlist's tags need; it is never lowered.
pub(super) fn raise(playlist: &mut Playlist, floor: u64) -> Result<()> {
    let needed = required(playlist)?.max(floor);
    let found = playlist.tags("EXT-X-VERSION").next().map(|(index, value)| {
        decimal_integer(value)
            .map(|version| (index, version))
            .map_err(|error| error.at("EXT-X-VERSION").at(place(index)))
    });
    match found.transpose()? {
        Some((_, version)) if version >= needed => {}
        Some((index, _)) => playlist.set_value(index, &needed.to_string()),
        None if needed == 1 => {}
        None => playlist.insert(1, vec![format!("#EXT-X-VERSION:{needed}")]),
    }
    Ok(())
}

/// The lowest version that has every tag and attribute of the playlist.
///
/// # Errors
/// When the attributes of a tag are malformed.
pub fn required(playlist: &Playlist) -> Result<u64> {
    let i_frames_only = is_i_frames_only(playlist);
    let map = if i_frames_only { 5 } else { 6 };
    let mut version = 1;
    for (index, line) in playlist.lines().iter().enumerate() {
        let needed = required_by(line, map).map_err(|error: Error| error.at(place(index)))?;
        version = version.max(needed);
    }
    Ok(version)
}

fn required_by(line: &Line, map: u64) -> Result<u64> {
    let LineKind::Tag { name, value } = line.kind() else { return Ok(1) };
    Ok(match name {
        "EXTINF" if value.split(',').next().is_some_and(|duration| duration.contains('.')) => 3,
        "EXT-X-BYTERANGE" | "EXT-X-I-FRAMES-ONLY" => 4,
        "EXT-X-MAP" => map,
        "EXT-X-KEY" | "EXT-X-SESSION-KEY" => of_key(&Attributes::parse(value)?),
        "EXT-X-DEFINE" if Attributes::parse(value)?.raw("QUERYPARAM").is_some() => 11,
        "EXT-X-DEFINE" => 8,
        "EXT-X-SKIP" if Attributes::parse(value)?.raw("RECENTLY-REMOVED-DATERANGES").is_some() => 10,
        "EXT-X-SKIP" => 9,
        "EXT-X-MEDIA" | "EXT-X-STREAM-INF" | "EXT-X-I-FRAME-STREAM-INF" => {
            of_rendition(&Attributes::parse(value)?)
        }
        _ => 1,
    })
}

fn of_key(attributes: &Attributes) -> u64 {
    let later = attributes.raw("METHOD").is_some_and(|method| !FIRST_METHODS.contains(&method));
    let format = ["KEYFORMAT", "KEYFORMATVERSIONS"].iter().any(|name| attributes.raw(name).is_some());
    match (later || format, attributes.raw("IV")) {
        (true, _) => 5,
        (false, Some(_)) => 2,
        (false, None) => 1,
    }
}

fn of_rendition(attributes: &Attributes) -> u64 {
    let in_stream = attributes.raw("INSTREAM-ID");
    if in_stream.is_some() && attributes.raw("TYPE") != Some("CLOSED-CAPTIONS") {
        13
    } else if attributes.names().any(|name| name.starts_with("REQ-")) {
        12
    } else if in_stream.is_some_and(|id| id.trim_matches('"').starts_with("SERVICE")) {
        7
    } else {
        1
    }
}
