//! Files over HTTP — RFC 9110 §13, §14: content types, ranges, validators, and what other origins may read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;

/// How much of a file is in memory at a time.
const CHUNK: u64 = 64 << 10;

/// Content types by the end of the name: RFC 8216 §4, ISO/IEC 23009-1 Annex C, and the registry of media types.
const TYPES: &[(&str, &str)] = &[
    ("mpd", "application/dash+xml"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("mp4", "video/mp4"),
    ("m4s", "video/iso.segment"),
    ("m4v", "video/mp4"),
    ("m4a", "audio/mp4"),
    ("cmfv", "video/mp4"),
    ("cmfa", "audio/mp4"),
    ("cmft", "application/mp4"),
    ("ts", "video/mp2t"),
    ("aac", "audio/aac"),
    ("ac3", "audio/ac3"),
    ("ec3", "audio/eac3"),
    ("mp3", "audio/mpeg"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("ttml", "application/ttml+xml"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("txt", "text/plain; charset=utf-8"),
];

/// The content type of a file of this name.
pub(super) fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let row = TYPES.iter().find(|(known, _)| extension.as_deref() == Some(known));
    row.map_or("application/octet-stream", |(_, content_type)| content_type)
}

/// The part of a file that a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// From the first byte to the last one.
    Bytes(u64, u64),
    NoneOfIt,
}

/// Answers a request for a file.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn answer(path: &Path, name: &str, request: &HeaderMap) -> io::Result<Response> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let length = metadata.len();
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let etag = format!("\"{length:x}-{age:x}\"");
    let last_modified = httpdate::fmt_http_date(modified);
    let mut headers = HeaderMap::new();
    set(&mut headers, ETAG, &etag);
    set(&mut headers, LAST_MODIFIED, &last_modified);
    set(&mut headers, ACCEPT_RANGES, "bytes");
    // What is packed again has the same name, so that everything is asked for again, at the cost of a 304.
    set(&mut headers, CACHE_CONTROL, "no-cache");
    allow_others(&mut headers);
    if is_known(request, &etag, modified) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let is_same = text(request, IF_RANGE).is_none_or(|known| known == etag || known == last_modified);
    let part = match text(request, RANGE) {
        Some(range) if is_same => part(range, length),
        _ => Part::Whole,
    };
    let (status, first, count) = match part {
        Part::Whole => (StatusCode::OK, 0, length),
        Part::Bytes(first, last) => {
            set(&mut headers, CONTENT_RANGE, &format!("bytes {first}-{last}/{length}"));
            (StatusCode::PARTIAL_CONTENT, first, last.saturating_sub(first).saturating_add(1))
        }
        Part::NoneOfIt => {
            set(&mut headers, CONTENT_RANGE, &format!("bytes */{length}"));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    set(&mut headers, CONTENT_TYPE, content_type(name));
    set(&mut headers, CONTENT_LENGTH, &count.to_string());
    file.seek(SeekFrom::Start(first))?;
    Ok((status, headers, Body::from_stream(Chunks { file, left: count })).into_response())
}

/// Answers with a small file that was made just now.
pub(super) fn small(name: &str, bytes: Vec<u8>) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, CONTENT_TYPE, content_type(name));
    set(&mut headers, CACHE_CONTROL, "no-cache");
    allow_others(&mut headers);
    (headers, bytes).into_response()
}

/// Players of other origins may read what is served, and the headers that tell of ranges: Fetch §3.2.
pub(super) fn allow_others(headers: &mut HeaderMap) {
    let header = HeaderName::from_static;
    set(headers, header("access-control-allow-origin"), "*");
    let exposed = "Accept-Ranges, Content-Length, Content-Range, ETag";
    set(headers, header("access-control-expose-headers"), exposed);
}

/// The answer to a preflight request: Fetch §4.8.
pub(super) fn preflight(methods: &str) -> Response {
    let mut headers = HeaderMap::new();
    allow_others(&mut headers);
    let header = HeaderName::from_static;
    set(&mut headers, header("access-control-allow-methods"), methods);
    set(&mut headers, header("access-control-allow-headers"), "Content-Type, If-Range, Range");
    set(&mut headers, header("access-control-max-age"), "600");
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Sets a header; every value here is printable ASCII.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Whether the client has this very file: RFC 9110 §13.1.2, §13.1.3.
fn is_known(request: &HeaderMap, etag: &str, modified: SystemTime) -> bool {
    if let Some(known) = text(request, IF_NONE_MATCH) {
        let weak = |tag: &str| tag.trim().trim_start_matches("W/") == etag;
        return known == "*" || known.split(',').any(weak);
    }
    // Dates of HTTP have whole seconds.
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let since = text(request, IF_MODIFIED_SINCE).and_then(|date| httpdate::parse_http_date(date).ok());
    since.is_some_and(|since| seconds(modified) <= seconds(since))
}

/// Reads `Range`: RFC 9110 §14.1.2, §14.2. What is not understood, and more than one range, is passed over.
fn part(range: &str, length: u64) -> Part {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Part::Whole;
    };
    let end = length.checked_sub(1);
    match (number(first), number(last), end) {
        (_, _, None) => Part::NoneOfIt,
        (Some(first), Some(last), _) if first > last => Part::Whole,
        (Some(first), last, Some(end)) if last.is_some() || range.ends_with('-') => match first <= end {
            true => Part::Bytes(first, last.unwrap_or(end).min(end)),
            false => Part::NoneOfIt,
        },
        (None, Some(0), _) if first.is_empty() => Part::NoneOfIt,
        (None, Some(count), Some(end)) if first.is_empty() => Part::Bytes(length.saturating_sub(count), end),
        _ => Part::Whole,
    }
}

/// A number that has digits only; one that is too large is larger than any file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// A part of a file, read as it is sent.
struct Chunks {
    file: File,
    left: u64,
}

impl Stream for Chunks {
    type Item = io::Result<Bytes>;

    /// Files of a development server are on this machine, so that a read takes no time worth a thread.
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let mut chunk = Vec::new();
        let read = (&mut this.file).take(this.left.min(CHUNK)).read_to_end(&mut chunk);
        let read = read.and_then(|count| match u64::try_from(count) {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        });
        Poll::Ready(Some(match read {
            Ok(count) => {
                this.left = this.left.saturating_sub(count);
                Ok(chunk.into())
            }
            Err(error) => {
                this.left = 0;
                Err(error)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_writes_them() {
        for (range, expected) in [
            ("bytes=0-0", Part::Bytes(0, 0)),
            ("bytes=2-", Part::Bytes(2, 9)),
            ("bytes=2-99999999999999999999999", Part::Bytes(2, 9)),
            ("bytes=-3", Part::Bytes(7, 9)),
            ("bytes=-30", Part::Bytes(0, 9)),
            ("bytes=9-9", Part::Bytes(9, 9)),
            ("bytes=10-", Part::NoneOfIt),
            ("bytes=99999999999999999999999-", Part::NoneOfIt),
            ("bytes=-0", Part::NoneOfIt),
            ("bytes=5-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=1-x", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=0-1", Part::Whole),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Part::NoneOfIt);
    }

    #[test]
    fn a_name_tells_the_content_type() {
        for (name, expected) in [
            ("a/manifest.mpd", "application/dash+xml"),
            ("master.m3u8", "application/vnd.apple.mpegurl"),
            ("1.m4s", "video/iso.segment"),
            ("INIT.MP4", "video/mp4"),
            ("1.ts", "video/mp2t"),
            ("1.aac", "audio/aac"),
            ("s.vtt", "text/vtt; charset=utf-8"),
            ("key", "application/octet-stream"),
            ("a.unknown", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }
}
