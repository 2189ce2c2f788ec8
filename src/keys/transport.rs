//! Requests to servers that keep secrets: retries, and what a message may tell — RFC 9110 §10, §15.

use std::fmt::Write as _;

use url::Url;

use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Kind, Result, redact_url};

/// Waits before the second and the third try, in milliseconds.
const WAITS: &[u64] = &[500, 2_000];
/// Longest wait that a server may ask for, in seconds.
const MAX_RETRY_AFTER: u64 = 60;
/// Longest part of a body that a message repeats, in characters.
const MAX_LINE: usize = 200;
/// Shortest run of base64 or hex that is taken for a secret: 15 bytes in base64.
const MIN_SECRET: usize = 20;

/// Sends until there is an answer that another try would not change: 429, 5xx and a missing answer are
/// tried again, at most twice. `send` is called for each try, because a ticket serves only once.
///
/// # Errors
/// [`Kind::Keys`] when no answer came, and every other error of `send` as it is.
pub(super) fn with_retries(http: &dyn Http, mut send: impl FnMut() -> Result<Response>) -> Result<Response> {
    let mut waits = WAITS.iter();
    loop {
        let result = send();
        let asked = match &result {
            Ok(response) if response.status == 429 || response.status >= 500 => retry_after(response),
            Err(error) if error.kind() == Kind::Storage => None,
            _ => return result,
        };
        let Some(wait) = waits.next() else {
            return result.map_err(|error| Error::keys(format!("no answer: {error}")));
        };
        http.wait(asked.unwrap_or(*wait));
    }
}

/// `Retry-After` in milliseconds; its date form is not read (RFC 9110 §10.2.3).
fn retry_after(response: &Response) -> Option<u64> {
    let seconds: u64 = response.header("Retry-After")?.parse().ok()?;
    Some(seconds.min(MAX_RETRY_AFTER) * 1_000)
}

/// Method and address of a request, without what may be secret.
pub(super) fn shown(request: &Request) -> String {
    format!("{} {}", request.method, shown_url(&request.url))
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

/// The first line of a body fit for a message: the secrets of the request and runs of characters that
/// look like keys or tickets are left out.
pub(super) fn first_line(request: &Request, body: &[u8]) -> String {
    let head = body.get(..body.len().min(MAX_LINE * 16)).unwrap_or_default();
    let text = String::from_utf8_lossy(head);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    scrubbed(request, line).chars().take(MAX_LINE).collect()
}

/// A text that may repeat what a server said, without the secrets of the request and without runs of
/// characters that look like keys or tickets.
pub(super) fn scrubbed(request: &Request, text: &str) -> String {
    let mut text = text.to_owned();
    for secret in secrets(request) {
        text = text.replace(&secret, "…");
    }
    let words: Vec<_> = text
        .split_whitespace()
        .map(|word| if word.contains("://") { shown_url(word) } else { masked(word) })
        .collect();
    words.join(" ").chars().filter(|c| !c.is_control()).collect()
}

/// Query values, the password, form values, tickets in the path and values of headers that authorize.
fn secrets(request: &Request) -> Vec<String> {
    const PUBLIC: &[&str] = &["content-type", "x-speke-version", "accept"];
    let mut secrets = Vec::new();
    let is_form = request.headers.iter().any(|(_, value)| value == FORM);
    if let Ok(url) = Url::parse(&request.url) {
        secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        let pairs = url.query().unwrap_or_default().split('&');
        secrets.extend(pairs.filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
        secrets.extend(url.password().map(str::to_owned));
        // Forms go to the sign-in server, where the last segment of the path may be a ticket.
        let last = url.path_segments().and_then(|mut segments| segments.next_back());
        secrets.extend(last.filter(|segment| is_form && *segment != "tickets").map(str::to_owned));
    }
    if is_form {
        secrets.extend(url::form_urlencoded::parse(&request.body).map(|(_, value)| value.into_owned()));
    }
    let headers = request.headers.iter().filter(|(name, _)| !PUBLIC.contains(&name.to_lowercase().as_str()));
    secrets.extend(headers.flat_map(|(_, value)| value.split_whitespace().map(str::to_owned)));
    // One or two characters are no secret, and leaving them out would hide the message.
    secrets.retain(|secret| secret.len() > 2);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
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
pub(super) fn status_text(status: u16) -> &'static str {
    match status {
        300..=399 => "a redirect, which is not followed",
        400 => "the request was not understood",
        401 => "not signed in, or the ticket is used up",
        403 => "not permitted",
        404 => "no such address",
        415 => "the media type was refused",
        422 => "the request was refused",
        423 => "the account is locked",
        429 => "too many requests",
        500..=599 => "a fault of the server",
        _ => "not the expected status",
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
        ] {
            assert_eq!(first_line(&request, body.as_bytes()), line);
        }
        assert_eq!(first_line(&request, "é ".repeat(10_000).as_bytes()).chars().count(), MAX_LINE);
        assert_eq!(shown(&request), "POST https://h/get/…?ticket=…");
    }
}
