//! A movie made ready to be packed: QuickTime's boxes become those of ISO files, what is no rendition is left out, and what
//! cannot be packed is named with a remedy — QuickTime File Format, ISO/IEC 14496-12 §8.3.3.

use std::collections::HashSet;

use crate::base::env::Source;
use crate::base::{Error, Result, remedy};
use crate::codec::{self, Config};
use crate::isobmff::boxes::{SampleEntry, Tkhd, leading_boxes};
use crate::isobmff::quicktime::Codecs;
use crate::isobmff::track::{Track, tracks};
use crate::isobmff::{BoxNode, quicktime};
use crate::package::UnknownVideo;

use super::edits;

/// Sample entries of single pictures.
const STILLS: &[&[u8; 4]] = &[b"jpeg", b"png ", b"tiff", b"gif "];
/// The sample entry of Apple's positional audio, which stands beside the same audio in another codec.
const POSITIONAL_AUDIO: &[u8; 4] = b"apac";
/// The handler of tracks that help others: depth, alpha.
const AUXILIARY: &[u8; 4] = b"auxv";

/// What QuickTime's boxes need to know of codecs.
const CODECS: Codecs = Codecs {
    iso_form: codec::quicktime::iso_form,
    is_full_range: |entry| codec::video(&config(entry)).is_full_range,
};

pub(super) fn config(entry: &SampleEntry) -> Config<'_> {
    let boxes = entry.boxes.iter().map(|node| (node.kind, node.payload())).collect();
    Config { entry: entry.format, boxes }
}

/// Makes a QuickTime movie one of ISO; says whether it was one.
///
/// # Errors
/// When a box is cut off, or a sample table counts what ISO files do not.
pub(crate) fn to_iso(source: &dyn Source, moov: &mut BoxNode) -> Result<bool> {
    quicktime::to_iso(source, moov, CODECS)
}

/// Makes a movie ready; says what was left out.
///
/// # Errors
/// When a box is cut off or a track cannot be packed.
pub(super) fn ready(
    name: &str,
    source: &dyn Source,
    moov: &mut BoxNode,
    unknown: UnknownVideo,
) -> Result<Vec<String>> {
    if moov.find(&[b"rmra"]).is_some() {
        return Err(Error::unsupported("references to movies in other files (rmra)")
            .clause("QuickTime File Format, Reference Movies")
            .at("moov")
            .hint("give one of the movies that it names"));
    }
    if moov.find(&[b"cmov"]).is_some() {
        return Err(Error::unsupported("a compressed movie header (cmov)")
            .clause("QuickTime File Format, Compressed Movie Resources")
            .at("moov")
            .hint(format!("copy it: {}, and pack that", remedy::copy(" -c:s mov_text", "mp4"))));
    }
    let is_quicktime = to_iso(source, moov);
    let is_quicktime = is_quicktime.map_err(|error| error.hint(remedy(moov, &[b"soun"])))?;
    let mut left_out = metadata(name, moov);
    let all = tracks(moov)?;
    let chapters = referenced(moov, b"chap");
    for track in &all {
        if let Some(why) = why_left_out(track, moov, &chapters, &all) {
            let kind = track.sample_entry().map_or(track.handler_type, |entry| entry.format);
            left_out.push(format!("{name}: track {} ({kind}) is left out: {why}", track.track_id));
            moov.remove(|node| node.is(b"trak") && id(node) == Some(track.track_id));
        }
    }
    for track in tracks(moov)? {
        check(moov, &track, (is_quicktime, unknown))?;
        edits::check(moov, &track)?;
    }
    Ok(left_out)
}

fn id(trak: &BoxNode) -> Option<u32> {
    Tkhd::parse(trak.find(&[b"tkhd"])?.payload()).ok().map(|tkhd| tkhd.track_id)
}

/// The tracks that others refer to in this way: §8.3.3.
fn referenced(moov: &BoxNode, kind: &[u8; 4]) -> HashSet<u32> {
    let references = moov.all(b"trak").filter_map(|trak| trak.find(&[b"tref"]));
    let references =
        references.filter_map(|tref| leading_boxes(tref.payload()).ok()).flat_map(|(boxes, _)| boxes);
    let ids = references.filter(|node| node.is(kind)).flat_map(|node| {
        let ids = node.payload().as_chunks::<4>().0;
        ids.iter().map(|id| u32::from_be_bytes(*id)).collect::<Vec<_>>()
    });
    ids.collect()
}

/// Why a track is no rendition, when it is none.
fn why_left_out(
    track: &Track,
    moov: &BoxNode,
    chapters: &HashSet<u32>,
    all: &[Track],
) -> Option<&'static str> {
    let format = track.sample_entry().map_or(track.handler_type, |entry| entry.format);
    let has_other = |handler: &[u8; 4]| {
        all.iter().any(|other| other.track_id != track.track_id && &other.handler_type.0 == handler)
    };
    if chapters.contains(&track.track_id) && all.len() > 1 {
        return Some("it has the chapters");
    }
    if &track.handler_type.0 == AUXILIARY {
        return Some("it helps another track, such as with depth or alpha");
    }
    let is_still = STILLS.iter().any(|still| format.0 == **still);
    if is_still && sample_count(moov, track.track_id) <= 1 && (has_other(b"vide") || has_other(b"soun")) {
        return Some("it is a single picture, such as cover art");
    }
    if format.0 == *POSITIONAL_AUDIO && has_other(b"soun") {
        return Some("no protection of positional audio is known, and other audio stands beside it");
    }
    if !matches!(&track.handler_type.0, b"vide" | b"soun") && codec::find(format).is_none() {
        return Some("players do not show it");
    }
    None
}

fn sample_count(moov: &BoxNode, track_id: u32) -> u32 {
    let trak = moov.all(b"trak").find(|trak| id(trak) == Some(track_id));
    let stsz = trak.and_then(|trak| trak.find(&[b"mdia", b"minf", b"stbl", b"stsz"]));
    let count = stsz.and_then(|stsz| stsz.payload().get(8..12)?.first_chunk().copied());
    count.map_or(0, u32::from_be_bytes)
}

/// What the metadata of the movie has that a viewer knows.
fn metadata(name: &str, moov: &BoxNode) -> Vec<String> {
    let inside =
        |node: &BoxNode| leading_boxes(node.payload()).map_or_else(|_| Vec::new(), |(boxes, _)| boxes);
    let user_data: Vec<BoxNode> = moov.all(b"udta").flat_map(inside).collect();
    let metas = user_data.iter().chain(moov.boxes()).filter(|node| node.is(b"meta"));
    // A FullBox in ISO files; in QuickTime its first box stands right behind the header.
    let items = metas.flat_map(|meta| {
        let payload = meta.payload();
        let start = if payload.get(4..8) == Some(b"hdlr") { 0 } else { 4 };
        let boxes = leading_boxes(payload.get(start..).unwrap_or_default());
        boxes.map_or_else(|_| Vec::new(), |(boxes, _)| boxes)
    });
    let has_cover =
        items.filter(|node| node.is(b"ilst")).flat_map(|ilst| inside(&ilst)).any(|node| node.is(b"covr"));
    let has_chapters = user_data.iter().any(|node| node.is(b"chpl"));
    let found =
        [(has_cover, "the cover art (ilst/covr)"), (has_chapters, "the list of chapters (udta/chpl)")];
    found
        .into_iter()
        .filter(|(is_there, _)| *is_there)
        .map(|(_, what)| format!("{name}: {what} is left out"))
        .collect()
}

/// Refuses a track that could only be passed on unprotected, or that no player could open.
fn check(moov: &BoxNode, track: &Track, (is_quicktime, unknown): (bool, UnknownVideo)) -> Result<()> {
    let (is_video, is_audio) = (&track.handler_type.0 == b"vide", &track.handler_type.0 == b"soun");
    let Ok(entry) = track.sample_entry() else { return Ok(()) };
    if !is_video && !is_audio || entry.find(b"sinf").is_some() {
        return Ok(());
    }
    let place = format!("track {} ({})", track.track_id, if is_video { "video" } else { "audio" });
    match codec::find(entry.format) {
        None if is_video && unknown == UnknownVideo::FullSample => Ok(()),
        None => {
            let hint = remedy(moov, &[]);
            let hint = if is_video {
                format!("{hint}; or protect its samples whole: --allow-full-sample")
            } else {
                hint
            };
            Err(Error::unsupported(format!(
                "it has the sample entry {}, for which no protection is known",
                entry.format
            ))
            .clause("ISO/IEC 23001-7 §9.5, §9.6")
            .at(place)
            .hint(hint))
        }
        Some(_) => match codec::quicktime::lacks(&config(entry)).filter(|_| is_quicktime) {
            None => Ok(()),
            Some(kind) => Err(Error::unsupported(format!("the sample entry {} has no {kind}", entry.format))
                .clause("ISO/IEC 14496-12 §12.2.3")
                .at(place)
                .hint(remedy(moov, &[&track.handler_type.0]))),
        },
    }
}

/// The command that makes a file which can be packed: what is not known, and what is of these handlers, is encoded.
pub(super) fn remedy(moov: &BoxNode, encoded: &[&[u8; 4]]) -> String {
    let all = tracks(moov).unwrap_or_default();
    let mut options = Vec::new();
    for (handler, copy, encode) in
        [(b"vide", "-c:v copy", "-c:v libx264 -pix_fmt yuv420p"), (b"soun", "-c:a copy", "-c:a aac")]
    {
        let mut of_kind = all.iter().filter(|track| &track.handler_type.0 == handler).peekable();
        if of_kind.peek().is_none() {
            continue;
        }
        let is_unknown =
            |track: &Track| track.sample_entry().map_or(true, |entry| codec::find(entry.format).is_none());
        let is_encoded = encoded.contains(&handler) || of_kind.any(is_unknown);
        options.push(if is_encoded { encode } else { copy });
    }
    options.push(text(&all));
    format!("encode it: {}, and pack that", remedy::with("", &options.join(" "), "mp4"))
}

/// What is done with text, of which MP4 files have no more than two forms from FFmpeg.
fn text(all: &[Track]) -> &'static str {
    let formats: Vec<_> =
        all.iter().filter_map(|track| track.sample_entry().ok()).map(|entry| entry.format).collect();
    let is = |of: fn(&codec::Codec) -> bool| formats.iter().any(|it| codec::find(*it).is_some_and(of));
    let has = |kinds: [&[u8; 4]; 2]| formats.iter().any(|it| kinds.contains(&&it.0));
    let is_plain = is(codec::is_webvtt) || is(codec::is_timed_text) || has([b"text", b"text"]);
    match (is(codec::is_hls_subtitles), is_plain, has([b"c608", b"c708"])) {
        (true, false, false) => "-c:s copy",
        (false, _, false) => "-c:s mov_text",
        // FFmpeg writes no MP4 file with these.
        _ => "-sn",
    }
}
