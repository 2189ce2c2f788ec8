//! References in manifests, resolved to names below one folder: RFC 3986 §5, kept inside.

use super::error::{Error, Result};
use super::text::redact_url;

/// Resolves `reference`, found in the file `document`, to a name relative to the presentation's folder.
///
/// `document` is itself relative to that folder, with `/`. Query and fragment are left out and
/// percent-encoding is undone. A reference with a scheme, an absolute path, or one that climbs out of
/// the folder is refused: encrypting must not read or write elsewhere.
///
/// # Errors
/// [`Kind::Input`](super::error::Kind::Input) for such a reference.
pub fn resolve(document: &str, reference: &str) -> Result<String> {
    let path = reference.split(['?', '#']).next().unwrap_or_default();
    let refused = |what: &str| {
        // What is left out may be a secret.
        let shown = redact_url(path);
        Error::input(format!("reference {shown:?} {what}, expected a file below the presentation's folder"))
            .clause("RFC 3986 §5")
    };
    let elsewhere = |what: &str| {
        refused(what).hint("make it relative: what is written must not name clear media that stays elsewhere")
    };
    let decoded = percent_decode(path).ok_or_else(|| refused("has a malformed percent-encoding"))?;
    if path.is_empty() {
        return Err(refused("names no file"));
    }
    if decoded.starts_with('/') || decoded.contains('\\') || decoded.contains('\0') {
        return Err(elsewhere("is an absolute path"));
    }
    if decoded.split('/').next().unwrap_or_default().contains(':') {
        return Err(elsewhere("has a scheme"));
    }
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                let leaves =
                    || refused("leaves the folder").hint("name the folder that holds both with --root");
                parts.pop().ok_or_else(leaves)?;
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() || decoded.ends_with('/') {
        return Err(refused("names a folder"));
    }
    Ok(parts.join("/"))
}

/// The reference from one file to the folder of another, `../` for each folder that is left: RFC 3986 §4.2. Both are
/// named as [`resolve`] names them.
pub fn folder_from(document: &str, other: &str) -> String {
    let folders = |name: &str| -> Vec<String> {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (from, to) = (folders(document), folders(other));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let down = to.iter().skip(common).map(|folder| format!("{folder}/"));
    "../".repeat(from.len() - common) + &down.collect::<String>()
}

/// A name as a reference: what is not unreserved is percent-encoded, RFC 3986 §2.1, but for `/`.
pub fn percent_encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte))
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Undoes percent-encoding, RFC 3986 §2.1; `None` when it is malformed or does not give UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            u8::try_from(value).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_below_the_folder() {
        for (document, reference, name) in [
            ("a.mpd", "v/1.m4s", "v/1.m4s"),
            ("v/a.m3u8", "1%20x.m4s?t=1#f", "v/1 x.m4s"),
            ("v/a.m3u8", "../audio/./1.m4s", "audio/1.m4s"),
            ("v/a.m3u8", "x/a:b", "v/x/a:b"),
        ] {
            assert_eq!(resolve(document, reference).unwrap(), name);
        }
    }

    #[test]
    fn a_name_comes_back() {
        for name in ["v1/1.m4s", "ä b/100%$.m4s", "a?b#c&d'"] {
            assert_eq!(resolve("", &percent_encode(name)).unwrap(), name);
        }
    }

    #[test]
    fn a_folder_is_named_from_another_one() {
        for (document, other, reference) in [
            ("a.m3u8", "b.m3u8", ""),
            ("v/1/a.m3u8", "b.m3u8", "../../"),
            ("x/v/a.m3u8", "x/b.m3u8", "../"),
            ("a/v.m3u8", "hls/b.m3u8", "../hls/"),
        ] {
            assert_eq!(folder_from(document, other), reference);
        }
    }

    #[test]
    fn references_that_leave_are_refused() {
        for reference in [
            "../x",
            "/etc/passwd",
            "file:///etc/passwd",
            "https://h/x",
            "%2e%2e/x",
            "%2fx",
            "..",
            "",
            "?q",
            "v/..",
            "%zz",
            "a\\b",
            "v/",
        ] {
            assert!(resolve("a.mpd", reference).is_err(), "{reference}");
        }
    }
}
