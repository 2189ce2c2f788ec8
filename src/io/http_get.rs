//! GET of a file or of a part of it — RFC 9110 §13.1.5, §14, §15: ranges, validators, redirects, what is tried again.

use std::io::Read as _;
use std::ops::Range;
use std::time::{Duration, Instant};

use reqwest::blocking::Response as Answer;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_RANGE,
    LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{StatusCode, Url, Version as HttpVersion};

use crate::base::env::Http;
use crate::base::{Error, Result, shown_input};

use super::http::HttpClient;
use super::http_fault::{Phase, root_cause};

/// Largest file that is read whole, from a server that serves no parts, in bytes.
pub(super) const MAX_WHOLE_BYTES: u64 = 8 << 20;
/// Waits before the second try and those after it.
const WAITS: &[Duration] = &[Duration::from_millis(500), Duration::from_secs(2)];
/// Longest wait that a server may ask for, in seconds.
const MAX_RETRY_AFTER: u64 = 60;
const MAX_REDIRECTS: usize = 5;
/// Fewest bytes a second, on an average, at which a part may come beyond the time of one exchange.
const SLOWEST: u64 = 16 << 10;

/// What tells one state of a file from another: RFC 9110 §8.8.
#[derive(Clone, Debug, Default)]
pub(super) struct Version {
    pub(super) length: Option<u64>,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// An answer with bytes of a file, which are still to be read.
pub(super) struct Part {
    /// Where they came from: RFC 3986 §5.1.3.
    pub(super) url: Url,
    /// Which bytes they are; `None` is all of them, although a part was asked for.
    pub(super) range: Option<Range<u64>>,
    pub(super) version: Version,
    body: Body,
}

/// Bytes that are still to be read, and by when.
struct Body {
    answer: Answer,
    begun: Instant,
    timeout: Duration,
    count: u64,
}

/// Why there are no bytes.
pub(super) enum Fault {
    /// It may pass, within the time that the server says.
    Passing(Error, Option<Duration>),
    Lasting(Error),
}

impl Fault {
    fn lasting(message: impl Into<String>, clause: &'static str) -> Self {
        Self::Lasting(Error::storage(message).clause(clause))
    }

    fn broke_off(error: &std::io::Error) -> Self {
        Self::Passing(Error::storage(format!("the answer broke off: {}", root_cause(error))), None)
    }
}

impl Version {
    fn of(answer: &Answer, length: Option<u64>) -> Self {
        let header = |name| header(answer, name).map(str::to_owned);
        Self { length, etag: header(ETAG), last_modified: header(LAST_MODIFIED) }
    }

    /// What the server tells it from others by: RFC 9110 §8.8.
    pub(super) fn validator(&self) -> Option<String> {
        self.etag.clone().or_else(|| self.last_modified.clone())
    }

    /// Whether nothing that is known of both tells them apart.
    fn agrees(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        same(self.length.as_ref(), other.length.as_ref())
            && same(self.etag.as_ref(), other.etag.as_ref())
            && same(self.last_modified.as_ref(), other.last_modified.as_ref())
    }

    /// What `If-Range` may have: a weak validator does not tell bytes apart, §13.1.5.
    fn strong(&self) -> Option<String> {
        self.etag.clone().filter(|etag| etag.starts_with('"'))
    }
}

/// Does what may fail in passing, a few times.
pub(super) fn with_retries<T>(
    client: &HttpClient,
    address: &Url,
    mut attempt: impl FnMut() -> Result<T, Fault>,
) -> Result<T> {
    let mut waits = WAITS.iter();
    loop {
        let (error, wait) = match attempt() {
            Ok(done) => return Ok(done),
            Err(Fault::Lasting(error)) => (error, None),
            Err(Fault::Passing(error, asked)) => (error, waits.next().map(|wait| asked.unwrap_or(*wait))),
        };
        let error = error.at(shown_input(address.as_str()));
        let Some(wait) = wait else { return Err(error) };
        client.wait(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), &error.to_string());
    }
}

/// Asks for bytes of a file, of which `known` is what was said before.
pub(super) fn get(
    client: &HttpClient,
    address: &Url,
    range: &Range<u64>,
    known: Option<&Version>,
) -> Result<Part, Fault> {
    let mut url = address.clone();
    for _ in 0..=MAX_REDIRECTS {
        let mut headers: Vec<(HeaderName, String)> = vec![
            (RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1))),
            // Positions are those of the file, not of a coding of it: §14.1.2.
            (ACCEPT_ENCODING, "identity".into()),
        ];
        headers.extend(known.and_then(Version::strong).map(|etag| (IF_RANGE, etag)));
        let answer = client.get(&url, &headers).map_err(|(phase, error)| match phase {
            Phase::Request | Phase::Tls | Phase::Certificate => Fault::Lasting(error),
            Phase::Dns | Phase::Connect | Phase::Answer | Phase::Late => Fault::Passing(error, None),
        })?;
        match answer.status().as_u16() {
            301 | 302 | 303 | 307 | 308 => url = redirected(&answer, &url)?,
            _ => return part((answer, client.timeout), url, range, known),
        }
    }
    Err(Fault::lasting(format!("more than {MAX_REDIRECTS} redirects"), "RFC 9110 §15.4"))
}

/// Where a redirect leads. What may be read there is for its origin to say, and so are user and password.
fn redirected(answer: &Answer, url: &Url) -> Result<Url, Fault> {
    let location = header(answer, LOCATION).and_then(|location| url.join(location).ok());
    let Some(mut to) = location else {
        return Err(Fault::lasting("a redirect that leads nowhere", "RFC 9110 §10.2.2"));
    };
    if to.origin() != url.origin() {
        let text = format!("redirects to another origin, {}", shown_input(to.as_str()));
        let error = Error::storage(text).clause("RFC 9110 §15.4");
        return Err(Fault::Lasting(error.hint("if it can be trusted, give the address there as the input")));
    }
    // A location has none of its own; these are refused for no address of HTTP.
    let _ = to.set_username(url.username());
    let _ = to.set_password(url.password());
    Ok(to)
}

fn part(
    (answer, timeout): (Answer, Duration),
    url: Url,
    range: &Range<u64>,
    known: Option<&Version>,
) -> Result<Part, Fault> {
    let coding = header(&answer, CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    let (found, length) = match answer.status() {
        StatusCode::PARTIAL_CONTENT => {
            let (found, length) = content_range(&answer)?;
            if found.start != range.start || found.end > range.end {
                let text = format!("bytes {found:?} are answered to a request for {range:?}");
                return Err(Fault::lasting(text, "RFC 9110 §15.3.7"));
            }
            (Some(found), Some(length))
        }
        StatusCode::OK => (None, header(&answer, CONTENT_LENGTH).and_then(|length| length.parse().ok())),
        // An empty file has no byte that could be asked for.
        StatusCode::RANGE_NOT_SATISFIABLE
            if range.start == 0 && header(&answer, CONTENT_RANGE) == Some("bytes */0") =>
        {
            (Some(0..0), Some(0))
        }
        status => return Err(refusal(&answer, status.as_u16(), &url)),
    };
    if let Some(coding) = coding {
        let error = Error::storage(format!("the answer is coded as {coding:?}, expected the file as it is"));
        return Err(Fault::Lasting(error.clause("RFC 9110 §12.5.3")));
    }
    let version = Version::of(&answer, length);
    if known.is_some_and(|known| !known.agrees(&version)) {
        let error = Error::storage("the file changed while it was read").clause("RFC 9110 §8.8");
        return Err(Fault::Lasting(error.hint("begin again when nobody writes it")));
    }
    let body = Body { answer, begun: Instant::now(), timeout, count: 0 };
    Ok(Part { url, range: found, version, body })
}

/// Reads `bytes FIRST-LAST/LENGTH`: the bytes, and how long the file is.
fn content_range(answer: &Answer) -> Result<(Range<u64>, u64), Fault> {
    let text = header(answer, CONTENT_RANGE).unwrap_or_default();
    let parsed = || {
        let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, end): (u64, u64) = (first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?);
        let length = length.parse().ok()?;
        (first < end && end <= length).then_some((first..end, length))
    };
    parsed().ok_or_else(|| {
        let text = format!("Content-Range {text:?}, expected bytes first-last/length");
        Fault::lasting(text, "RFC 9110 §14.4")
    })
}

/// An answer without bytes, in words.
fn refusal(answer: &Answer, status: u16, url: &Url) -> Fault {
    let says = |what: &str| Error::storage(format!("status {status}: {what}"));
    Fault::Lasting(match status {
        404 | 410 => Error::input("the file is missing"),
        401 if url.username().is_empty() => says("the server wants to know who asks")
            .hint("give user and password in the address: https://USER:PASSWORD@HOST/…"),
        401 => says("user or password is wrong"),
        403 => {
            says("not permitted").hint("see whether the address is right and its signature has not expired")
        }
        408 | 425 | 429 | 500..=599 => {
            // The form with a date is not read: §10.2.3.
            let seconds: Option<u64> = header(answer, RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
            let wait = seconds.map(|seconds| Duration::from_secs(seconds.min(MAX_RETRY_AFTER)));
            return Fault::Passing(says("the server cannot answer now"), wait);
        }
        416 => says("the file is shorter than it was"),
        _ => says("expected 200 or 206"),
    })
}

fn header(answer: &Answer, name: HeaderName) -> Option<&str> {
    answer.headers().get(name)?.to_str().ok().map(str::trim)
}

/// Each read waits as long as one exchange may last: a server that sends a byte now and then is held to a rate.
impl std::io::Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.answer.read(buffer)?;
        self.count = self.count.saturating_add(count as u64);
        let allowed = self.timeout.saturating_add(Duration::from_secs(self.count / SLOWEST));
        if count > 0 && self.begun.elapsed() > allowed {
            let text =
                format!("{} bytes in {} s, which is too slow", self.count, self.begun.elapsed().as_secs());
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text));
        }
        Ok(count)
    }
}

impl Part {
    /// Reads the bytes of the range to the beginning of `buffer`.
    pub(super) fn read(mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let length = self.range.map_or(0, |range| range.end - range.start);
        let place = usize::try_from(length).ok().and_then(|length| buffer.get_mut(..length));
        let Some(place) = place.filter(|_| length > 0) else { return Ok(0) };
        self.body.read_exact(place).map_err(|error| Fault::broke_off(&error))?;
        match self.body.read(&mut [0]) {
            Ok(0) => Ok(place.len()),
            Ok(_) => Err(Fault::lasting("more bytes than Content-Range says", "RFC 9110 §15.3.7")),
            Err(error) => Err(Fault::broke_off(&error)),
        }
    }

    /// Reads the whole file, of a server that serves no parts.
    pub(super) fn read_whole(self) -> Result<Vec<u8>, Fault> {
        let length = self.version.length;
        let too_long = |length: u64| {
            let text = format!(
                "the server serves no byte ranges and the file has {length} bytes, at most {MAX_WHOLE_BYTES} are read whole"
            );
            let error = Error::unsupported(text).clause("RFC 9110 §14");
            Fault::Lasting(error.hint("serve it with byte ranges, or download it first"))
        };
        let is_old = matches!(self.body.answer.version(), HttpVersion::HTTP_10 | HttpVersion::HTTP_11);
        if length.is_none() && is_old && header(&self.body.answer, TRANSFER_ENCODING).is_none() {
            let text = "no Content-Length: the end of the file looks like a broken connection";
            return Err(Fault::lasting(text, "RFC 9112 §6.3, §8"));
        }
        if let Some(length) = length.filter(|length| *length > MAX_WHOLE_BYTES) {
            return Err(too_long(length));
        }
        let mut bytes = Vec::new();
        let read = self.body.take(MAX_WHOLE_BYTES + 1).read_to_end(&mut bytes);
        let count = read.map_err(|error| Fault::broke_off(&error))? as u64;
        match length.is_none_or(|length| length == count) {
            _ if count > MAX_WHOLE_BYTES => Err(too_long(count)),
            true => Ok(bytes),
            false => Err(Fault::Passing(Error::storage("the answer broke off"), None)),
        }
    }
}
