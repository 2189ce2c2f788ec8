//! Text forms of bytes and of URLs that hold secrets: RFC 4648 base64, RFC 3986 redaction.

use std::borrow::Cow;

use ::base64::Engine;
use ::base64::alphabet::STANDARD;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::error::{Error, Result};

/// Base64 as key servers write it: padding may be missing and trailing bits may be set.
const LAX: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    LAX.encode(bytes)
}

/// Decodes base64; white space anywhere, missing padding and set trailing bits are accepted.
///
/// # Errors
/// When another character is found. The text itself is not repeated: it may be a secret.
pub fn from_base64(text: &str) -> Result<Vec<u8>> {
    let stripped: zeroize::Zeroizing<String> =
        zeroize::Zeroizing::new(text.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    LAX.decode(stripped.as_bytes()).map_err(|_| {
        Error::input(format!("{} characters that are not base64", stripped.len())).clause("RFC 4648 §4")
    })
}

/// A text with a mark in the place of what may be 16 bytes in base64: a document may have a content key where something
/// else belongs, and messages quote what they find.
pub(super) fn without_keys(text: &str) -> Cow<'_, str> {
    const PADDING: &str = "==";
    const DIGITS: usize = 22;
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let (mut out, mut done) = (String::new(), 0);
    for (end, _) in text.match_indices(PADDING) {
        let before = text.as_bytes().get(done..end).unwrap_or_default();
        if before.iter().rev().take_while(|byte| is_digit(byte)).count() >= DIGITS {
            out.push_str(text.get(done..end - DIGITS).unwrap_or_default());
            out.push('…');
            done = end + PADDING.len();
        }
    }
    match done {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(out + text.get(done..).unwrap_or_default()),
    }
}

/// A text without the words in it that are quoted and as long as a key may be.
pub(super) fn without_quotes(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, quote, behind)) = quoted(rest) {
        let mut is_escaped = false;
        let end = behind.find(|c| {
            let was_escaped = is_escaped;
            is_escaped = c == '\\' && !was_escaped;
            c == quote && !was_escaped
        });
        let (word, after) = end.and_then(|end| behind.split_at_checked(end)).unwrap_or((behind, ""));
        out.push_str(before);
        out.push(quote);
        out.push_str(short_word(word));
        // The quote that ends it.
        rest = after.strip_prefix(quote).unwrap_or_default();
        if !after.is_empty() {
            out.push(quote);
        }
    }
    out + rest
}

/// What stands before a quotation mark, the mark, and what stands behind it.
fn quoted(text: &str) -> Option<(&str, char, &str)> {
    let (at, quote) = text.char_indices().find(|(_, c)| matches!(c, '"' | '`'))?;
    Some((text.get(..at)?, quote, text.get(at + 1..)?))
}

/// A word of a document with keys, unless it is as long as a key may be. The names of algorithms are longer.
pub fn short_word(word: &str) -> &str {
    const MAX_BYTES: usize = 20;
    if word.len() > MAX_BYTES && !word.starts_with("http://www.w3.org/") { "…" } else { word }
}

/// A URL fit for messages: user information and the value of every query parameter are left out.
pub fn redact_url(url: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, ""), |(a, q)| (a, q));
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(s, r)| (s, r));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let mut text = String::new();
    if !scheme.is_empty() {
        text.push_str(scheme);
        text.push_str("://");
    }
    text.push_str(host);
    text.push_str(path.split('#').next().unwrap_or_default());
    for (index, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(pair.split('=').next().unwrap_or_default());
        text.push_str("=…");
    }
    text
}

/// Whether a character of somebody else's text would steer a terminal, or change the order in which the text around it
/// is read: control characters, separators of lines, and the marks of Unicode Standard Annex 9.
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether an input is an address of HTTP and not a path: RFC 9110 §4.2.
pub fn is_http(input: &str) -> bool {
    let scheme = input.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// An input fit for messages and reports: of an address nothing but scheme, host and path; a path as it is.
pub fn shown_input(input: &str) -> String {
    if is_http(input) {
        redact_url(input.split(['?', '#']).next().unwrap_or_default())
    } else {
        input.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_wild_writes_it() {
        // Set trailing bits: the example IV of AWS SPEKE v2.
        assert_eq!(from_base64("L6jzdXrXAFbCJGBuMrrKrG==").unwrap().len(), 16);
        assert_eq!(from_base64(" AQ\n ID\tBA").unwrap(), [1, 2, 3, 4]);
        assert_eq!(base64(&[1, 2, 3, 4]), "AQIDBA==");
        let error = from_base64("secret!secret!").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn sixteen_bytes_in_base64_are_no_word_for_messages() {
        let key = base64(&[0x5a; 16]);
        let text = format!("{key}: found {key:?} and =={key}=, </{key}>");
        assert_eq!(without_keys(&text), "…: found \"…\" and ==…=, </…>");
        for word in ["commonEncryptionScheme==", "a==b", "11111111-2222-3333-4444-555555555555", "==", ""] {
            assert_eq!(without_keys(word).len(), if word.len() == 24 { 3 } else { word.len() }, "{word}");
        }
    }

    #[test]
    fn long_quotes_are_left_out() {
        let key = "00112233445566778899aabbccddeeff";
        for (text, expected) in [
            (format!("a \"{key}\" b"), "a \"…\" b"),
            (format!("`{key}`, but `HD` and {:?}", format!("{key}\"x")), "`…`, but `HD` and \"…\""),
            (format!("ends \"{key}"), "ends \"…"),
            ("no quotes, \"short\"".to_owned(), "no quotes, \"short\""),
        ] {
            assert_eq!(without_quotes(&text), expected);
        }
    }

    #[test]
    fn a_printed_url_has_no_secret() {
        assert_eq!(
            redact_url("https://me:pass@fe.example/cpix/v1/org?ticket=ST-1&x-signaling-alg=cenc"),
            "https://fe.example/cpix/v1/org?ticket=…&x-signaling-alg=…"
        );
        assert_eq!(redact_url("http://h:8080/a"), "http://h:8080/a");
        assert_eq!(shown_input("HTTPS://me:pass@h/a/b.mpd?secret#x"), "HTTPS://h/a/b.mpd");
        assert_eq!(shown_input("a?b#c.mp4"), "a?b#c.mp4");
    }
}
