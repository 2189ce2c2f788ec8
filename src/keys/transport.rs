//! Requests to servers that keep secrets: retries, and what a message may tell — RFC 9110 §10, §11, §15.

use std::fmt::Write as _;
use std::ops::Range;

use url::Url;

use super::scrub::Scrubber;
use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Kind, Result, from_base64, redact_url};

/// Waits before the second and the third try, in milliseconds.
const WAITS: &[u64] = &[500, 2_000];
/// Longest wait that a server may ask for, in seconds.
const MAX_RETRY_AFTER: u64 = 60;
/// Longest part of a body that a message repeats, in characters.
const MAX_LINE: usize = 200;
/// So much of a body is looked at for it, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// Longest error about an answer, in characters.
const MAX_TOLD: usize = 600;
/// Shortest run of base64 or hex that is taken for a secret: 15 bytes in base64.
const MIN_SECRET: usize = 20;
/// Numbers in a row that are left out: more than a time or the version of a program has.
const MIN_LIST: usize = 8;
/// Digits of a number in such a list: those of a UUID's last part are more.
const MAX_NUMBER: usize = 10;
/// Headers whose values are no secret.
const PUBLIC_HEADERS: &[&str] = &["content-type", "x-speke-version", "accept", "soapaction", "x-amz-date"];
/// The authentication scheme of AWS Signature Version 4.
const AWS_SIGNATURE: &str = "AWS4-HMAC-SHA256";

/// Values in a query that are no secret, as messages are about them.
const PUBLIC_QUERY: &[&str] = &["x-signaling-alg"];

/// Sends until there is an answer that another try would not change: 429, 5xx and a missing answer are
/// tried again, at most twice. `send` is called for each try, because a ticket serves only once.
///
/// # Errors
/// [`Kind::Keys`] when no answer came, and every other error of `send` as it is.
pub(super) fn with_retries(http: &dyn Http, mut send: impl FnMut() -> Result<Response>) -> Result<Response> {
    let mut waits = WAITS.iter();
    loop {
        let result = send();
        let (asked, why) = match &result {
            Ok(response) if response.status == 429 || response.status >= 500 => {
                let words = status_text(response.status);
                (retry_after(response), format!("the key server answers {}, {words}", response.status))
            }
            Err(error) if error.kind() == Kind::Storage => (None, error.to_string()),
            _ => return result,
        };
        let Some(wait) = waits.next() else {
            return result.map_err(|error| Error::keys(format!("no answer: {error}")));
        };
        http.wait(asked.unwrap_or(*wait), &why);
    }
}

/// `Retry-After` in milliseconds; its date form is not read (RFC 9110 §10.2.3).
fn retry_after(response: &Response) -> Option<u64> {
    let seconds: u64 = response.header("Retry-After")?.parse().ok()?;
    Some(seconds.min(MAX_RETRY_AFTER) * 1_000)
}

/// An address without user information, query values and tokens in its path.
pub(super) fn shown_url(url: &str) -> String {
    let redacted = redact_url(url);
    let (address, query) = redacted.split_once('?').map_or((redacted.as_str(), None), |(a, q)| (a, Some(q)));
    let mut text = address.split('/').map(masked).collect::<Vec<_>>().join("/");
    if let Some(query) = query {
        let _ = write!(text, "?{query}");
    }
    text
}

/// What messages may tell of a request and of what comes of it: nothing of what it says who asks by.
pub(super) struct Telling<'a> {
    request: &'a Request,
    secrets: Scrubber,
}

impl<'a> Telling<'a> {
    /// Of a request with secrets in its query, its user information or its headers.
    pub(super) fn of(request: &'a Request) -> Self {
        let mut secrets = Scrubber::default();
        if let Ok(url) = Url::parse(&request.url) {
            let is_secret = |name: &str| !PUBLIC_QUERY.contains(&name);
            url.query_pairs().filter(|(name, _)| is_secret(name)).for_each(|(_, value)| secrets.add(&value));
            let password = url.password().unwrap_or_default();
            secrets.add(password);
            // As it is to be read, too.
            secrets.add(&crate::base::uri::percent_decode(password).unwrap_or_default());
        }
        let is_public = |name: &str| PUBLIC_HEADERS.iter().any(|public| public.eq_ignore_ascii_case(name));
        for (_, value) in request.headers.iter().filter(|(name, _)| !is_public(name)) {
            let credentials = value.split_once(' ').filter(|(scheme, _)| is_scheme(scheme));
            let Some((scheme, credentials)) = credentials else {
                secrets.add(value);
                continue;
            };
            if scheme == AWS_SIGNATURE {
                // The names of the headers that are signed, and the region, are what messages are about.
                let parts = credentials.split([',', '/', ' ']);
                let hidden = parts.filter_map(|part| {
                    part.strip_prefix("Credential=").or_else(|| part.strip_prefix("Signature="))
                });
                hidden.for_each(|part| secrets.add(part));
                continue;
            }
            secrets.add(credentials);
            // RFC 7617 §2: the server knows what is in it, and may repeat that.
            if scheme.eq_ignore_ascii_case("basic") {
                let pair = zeroize::Zeroizing::new(from_base64(credentials).unwrap_or_default());
                let pair = std::str::from_utf8(&pair).unwrap_or_default();
                secrets.add(pair.split_once(':').map_or("", |(_, password)| password));
            }
        }
        Self { request, secrets }
    }

    /// And nothing of this secret, wherever it is sent.
    pub(super) fn hiding(mut self, secret: &str) -> Self {
        self.secrets.add(secret);
        self
    }

    /// Method and address.
    pub(super) fn place(&self) -> String {
        format!("{} {}", self.request.method, self.secrets.text(&shown_url(&self.request.url)))
    }

    /// The first line of a body.
    pub(super) fn line(&self, body: &[u8]) -> String {
        let head = body.get(..body.len().min(MAX_HEAD)).unwrap_or_default();
        // A secret may have more than one line.
        let text = self.secrets.text(&String::from_utf8_lossy(head));
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        words(line).chars().take(MAX_LINE).collect()
    }

    /// A text that may repeat what a server said, such as a header of its answer.
    pub(super) fn text(&self, text: &str) -> String {
        words(&self.secrets.text(text))
    }

    /// An error whose text may repeat a part of the answer.
    pub(super) fn error(&self, error: &Error) -> Error {
        Error::keys(self.text(&error.to_string()).chars().take(MAX_TOLD).collect::<String>())
    }

    /// The words for a status that is not the expected one, and what to do.
    pub(super) fn refusal(&self, status: u16) -> (&'static str, Option<&'static str>) {
        let (words, hint) = match status {
            401 | 403 => self.who_asks(),
            _ => return (status_text(status), status_hint(status)),
        };
        (if status == 401 { words } else { status_text(status) }, Some(hint))
    }

    /// What is wrong when the server does not know who asks, by how the request says it.
    fn who_asks(&self) -> (&'static str, &'static str) {
        let has = |name: &str, scheme: &str| {
            self.request.headers.iter().any(|(found, value)| {
                let is_scheme =
                    value.split(' ').next().is_some_and(|found| found.eq_ignore_ascii_case(scheme));
                found.eq_ignore_ascii_case(name) && (scheme.is_empty() || is_scheme)
            })
        };
        let is_secret = |(name, _): &(String, String)| {
            !PUBLIC_HEADERS.iter().any(|public| public.eq_ignore_ascii_case(name))
        };
        if redact_url(&self.request.url).contains("ticket=") {
            (
                "not signed in, or the ticket is used up",
                "a ticket lasts only a short time, get a new URL and check the account's roles",
            )
        } else if has("Authorization", "basic")
            || self.request.url.split('/').nth(2).is_some_and(|host| host.contains('@'))
        {
            ("user or password is wrong", "check --basic-user and its password, and what the account may do")
        } else if has("Authorization", AWS_SIGNATURE) {
            (
                "the signature is refused",
                "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, the region and this machine's clock, and that the account may call this API",
            )
        } else if has("Authorization", "bearer") {
            ("the token is wrong or has expired", "check the token, and what its account may do")
        } else if self.request.headers.iter().any(is_secret) {
            (
                "what the headers say of who asks is refused",
                "check the values of --header or --vendor-token-file",
            )
        } else {
            (
                "the server wants to know who asks",
                "give --basic-user, --bearer-file or --header, or the token in the URL, as the vendor says",
            )
        }
    }
}

/// Whether a word is an authentication scheme, RFC 9110 §11.1, of those that are sent.
fn is_scheme(word: &str) -> bool {
    word.eq_ignore_ascii_case("basic") || word.eq_ignore_ascii_case("bearer") || word == AWS_SIGNATURE
}

/// A text on one line, without runs of characters that look like keys or tickets and what addresses may hide.
fn words(text: &str) -> String {
    let words: Vec<_> = text
        .split_whitespace()
        .map(|word| if word.contains("://") { shown_url(word) } else { masked(word) })
        .collect();
    without_lists(&words.join(" "))
}

/// The text without lists of numbers: nobody reads them, and they may be anything in any encoding.
fn without_lists(text: &str) -> String {
    let (mut lists, mut at, mut is_open): (Vec<(Range<usize>, usize)>, _, _) = (Vec::new(), 0, false);
    while let Some(start) = text.get(at..).and_then(|rest| rest.find(|c: char| c.is_alphanumeric())) {
        let start = at + start;
        let rest = text.get(start..).unwrap_or_default();
        at = start + rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let is_next = is_number(text.get(start..at).unwrap_or_default());
        match lists.last_mut().filter(|_| is_open && is_next) {
            Some((list, count)) => (list.end, *count) = (at, *count + 1),
            None if is_next => lists.push((start..at, 1)),
            None => {}
        }
        is_open = is_next;
    }
    let (mut out, mut copied) = (String::new(), 0);
    for (list, _) in lists.into_iter().filter(|(_, count)| *count >= MIN_LIST) {
        out.push_str(text.get(copied..list.start).unwrap_or_default());
        out.push('…');
        copied = list.end;
    }
    out + text.get(copied..).unwrap_or_default()
}

/// Whether a word is a number of a byte or a character, as programs write them: decimal, `0x5a`, `u005a`, `5a`.
fn is_number(word: &str) -> bool {
    let word = ["0x", "0X", "0o", "0O"].iter().find_map(|prefix| word.strip_prefix(prefix)).unwrap_or(word);
    let digits = word.trim_start_matches(['x', 'X', 'u', 'U']);
    let has_digit = digits.contains(|c: char| c.is_ascii_digit());
    digits.len() <= MAX_NUMBER
        && digits.chars().all(|c| c.is_ascii_hexdigit())
        && (has_digit || digits.len() == 2)
}

/// The media type of form bodies.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The text with long runs of base64 or hex left out; UUIDs stay, they are key ids.
fn masked(text: &str) -> String {
    let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let run_end = rest.find(|c| !in_run(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(run_end);
        let is_word = run.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '/' | '_'));
        let is_uuid = run.len() == 36 && crate::base::Kid::parse(run).is_ok();
        let keep = run.len() < MIN_SECRET || is_word || is_uuid;
        out.push_str(if keep { run } else { "…" });
        let other_end = after.find(in_run).unwrap_or(after.len());
        let (other, next) = after.split_at(other_end);
        out.push_str(other);
        rest = next;
    }
    out
}

/// Why a status is not the expected one, in words.
fn status_text(status: u16) -> &'static str {
    match status {
        300..=399 => "a redirect, which is not followed",
        400 => "the request was not understood",
        403 => "not permitted",
        404 => "no such address",
        407 => "the proxy wants to know who asks",
        415 => "the media type was refused",
        422 => "the request was refused",
        423 => "the account is locked",
        429 => "too many requests",
        503 => "the server is not available now",
        500..=599 => "a fault of the server",
        _ => "not the expected status",
    }
}

/// What to do about a status that says the same of every server.
fn status_hint(status: u16) -> Option<&'static str> {
    match status {
        407 => Some("give user and password of the proxy with --proxy @FILE"),
        429 => Some("wait before the next call, or ask the vendor for a higher limit"),
        503 => Some("try again later"),
        500..=599 => Some("try again later, and tell the vendor if it stays so"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_words_and_key_ids_and_leaves_out_keys_and_tickets() {
        let request = Request {
            method: "POST",
            url: "https://h/get/dG9rZW4tMTIzNDU2Nzg5MDEyMw?ticket=a%2Fb".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let telling = Telling::of(&request);
        for (body, line) in [
            ("", ""),
            (
                "\n  Missing ContentKey@commonEncryptionScheme\nmore",
                "Missing ContentKey@commonEncryptionScheme",
            ),
            ("KID 11111111-2222-3333-4444-555555555555", "KID 11111111-2222-3333-4444-555555555555"),
            ("ticket a/b or a%2Fb, key EBESExQVFhcYGRobHB0eHw==.", "ticket … or …, key …."),
            ("{\"k\":\"101112131415161718191a1b1c1d1e1f\"}", "{\"k\":\"…\"}"),
            ("see https://x/a?t=b", "see https://x/a?t=…"),
            ("bytes [87, 110, 69, 52, 100, 49, 65, 61] of it", "bytes […] of it"),
            ("{\"0\": 90, \"1\": 113, \"2\": 56, \"3\": 119}", "{\"…}"),
            ("0x5a 0x71 u0038 77 58 79 2f 2b", "…"),
            ("at 2026-11-30T06:34:00.123Z, 3 of 4", "at 2026-11-30T06:34:00.123Z, 3 of 4"),
            ("T\u{0}i\u{0}c\u{202e}k", "Tick"),
        ] {
            assert_eq!(telling.line(body.as_bytes()), line);
        }
        assert_eq!(telling.line("é ".repeat(10_000).as_bytes()).chars().count(), MAX_LINE);
        assert_eq!(telling.place(), "POST https://h/get/…?ticket=…");
    }
}
