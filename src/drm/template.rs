//! Key URI templates — the `URI` attribute of `EXT-X-KEY`, RFC 8216bis §4.4.4.4.

use crate::base::id::hex;
use crate::base::{Error, Kid, Result};

use super::Signal;

const PLACEHOLDERS: &str = "{kid} {kid_guid} {iv} {content_id} {track}";

/// What placeholders stand for.
pub struct UriValues<'a> {
    /// `{kid}`, and `{kid_guid}` with hyphens.
    pub kid: Kid,
    /// `{iv}`.
    pub iv: Option<[u8; 16]>,
    /// `{content_id}`.
    pub content_id: &'a str,
    /// `{track}`, the first track under the key.
    pub track: &'a str,
}

impl<'a> From<&Signal<'a>> for UriValues<'a> {
    fn from(signal: &Signal<'a>) -> Self {
        Self {
            kid: signal.key.kid,
            iv: signal.key.explicit_iv,
            content_id: signal.content_id,
            track: signal.track,
        }
    }
}

/// A piece of a template.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// Checks a template before there is a key: placeholders are known and no character leaves the attribute.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage).
pub fn check(template: &str) -> Result<()> {
    for piece in pieces(template)? {
        if let Piece::Placeholder(name) = piece
            && !matches!(name, "kid" | "kid_guid" | "iv" | "content_id" | "track")
        {
            return Err(unknown(name));
        }
    }
    attribute_text(template).map(|_| ())
}

/// Whether two keys of one presentation always get different URIs.
///
/// # Errors
/// When a brace is not closed.
pub fn is_per_key(template: &str) -> Result<bool> {
    Ok(pieces(template)?
        .into_iter()
        .any(|piece| matches!(piece, Piece::Placeholder("kid" | "kid_guid" | "iv" | "track"))))
}

/// The URI of one key.
///
/// # Errors
/// When a placeholder is unknown, the key has no IV for `{iv}`, or a character cannot stand in the attribute.
pub fn expand(template: &str, values: &UriValues<'_>) -> Result<String> {
    let mut uri = String::new();
    for piece in pieces(template)? {
        match piece {
            Piece::Text(text) => uri.push_str(text),
            Piece::Placeholder("kid") => uri.push_str(&values.kid.hex()),
            Piece::Placeholder("kid_guid") => uri.push_str(&values.kid.to_string()),
            Piece::Placeholder("iv") => uri.push_str(&iv(values)?),
            Piece::Placeholder("content_id") => uri.push_str(values.content_id),
            Piece::Placeholder("track") => uri.push_str(values.track),
            Piece::Placeholder(name) => return Err(unknown(name)),
        }
    }
    attribute_text(&uri).map(str::to_owned)
}

fn iv(values: &UriValues<'_>) -> Result<String> {
    let iv = values.iv.ok_or_else(|| {
        Error::keys(format!("key {} has no IV, the key URI template has {{iv}}", values.kid))
    })?;
    Ok(hex(&iv))
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').ok_or_else(|| {
            Error::usage(format!("key URI template {template:?} has a brace that is not closed"))
        })?;
        pieces.extend([Piece::Text(text), Piece::Placeholder(name)]);
        rest = tail;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn unknown(name: &str) -> Error {
    Error::usage(format!("placeholder {{{name}}} in the key URI template, known are {PLACEHOLDERS}"))
}

/// A quoted-string has neither quotes nor line ends: RFC 8216bis §4.2.
fn attribute_text(uri: &str) -> Result<&str> {
    match uri.chars().find(|c| *c == '"' || c.is_control()) {
        None if uri.is_empty() => Err(Error::usage("the key URI template is empty")),
        None => Ok(uri),
        Some(c) => Err(Error::usage(format!("key URI {uri:?} contains {c:?}")).clause("RFC 8216bis §4.2")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drm::tests::{key, signal};

    #[test]
    fn every_placeholder_is_expanded() {
        let key = key();
        let signal = signal(&key, "cbcs");
        assert_eq!(
            expand("skd://{kid}/{kid_guid}:{iv}?c={content_id}&t={track}", &(&signal).into()).unwrap(),
            "skd://31323334353637383930313233343536/31323334-3536-3738-3930-313233343536:\
             000102030405060708090a0b0c0d0e0f?c=asset-1&t=v1"
        );
    }

    #[test]
    fn templates_that_cannot_be_a_uri_are_refused() {
        let key = key();
        for template in ["", "skd://{kid", "skd://{key}", "skd://\"{kid}", "skd://{kid}\n"] {
            assert!(check(template).is_err(), "{template:?}");
            assert!(expand(template, &(&signal(&key, "cbcs")).into()).is_err(), "{template:?}");
        }
    }

    #[test]
    fn a_template_is_per_key_when_a_key_changes_it() {
        for (template, per_key) in [
            ("skd://{kid}", true),
            ("skd://{kid_guid}", true),
            ("skd://x:{iv}", true),
            ("skd://{content_id}/{track}", true),
            ("skd://{content_id}", false),
            ("skd://license", false),
        ] {
            assert_eq!(is_per_key(template).unwrap(), per_key, "{template}");
        }
    }
}
