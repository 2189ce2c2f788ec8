//! Paths and addresses on the command line: what nothing here can reach is refused before anything is read or made —
//! RFC 3986 §3.1, RFC 8089.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use url::Url;

use crate::base::{Error, Result, is_http, redact_url};

/// An input: a path, or an address of HTTP.
pub(super) fn input(text: &str) -> Result<String> {
    if is_http(text) { Ok(text.to_owned()) } else { local(text) }
}

/// The folder of inputs.
pub(super) fn root() -> impl TypedValueParser<Value = PathBuf> {
    let is_url = |path: &PathBuf| path.to_str().is_some_and(is_http);
    PathBufValueParser::new().try_map(move |path| if is_url(&path) { Ok(path) } else { checked(path) })
}

/// A file or folder of this machine.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(checked)
}

fn checked(path: PathBuf) -> Result<PathBuf> {
    let Some((text, scheme)) = path.to_str().and_then(|text| Some((text, scheme(text)?))) else {
        return Ok(path);
    };
    // User information and query may be secrets.
    let shown = redact_url(text.split(['?', '#']).next().unwrap_or_default());
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(Error::usage(format!("{shown}: addresses of this kind are not supported"))
            .hint("give a path; copy from there, or to there, with the tool for it"));
    }
    let path = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
    path.ok_or_else(|| Error::usage(format!("{shown}: expected file:///PATH")).clause("RFC 8089 §2"))
}

/// The same as text.
pub(super) fn local(text: &str) -> Result<String> {
    let path = checked(PathBuf::from(text))?.into_os_string().into_string();
    path.map_err(|_| Error::usage("the path is not UTF-8"))
}

/// The scheme of an address; a letter alone is a drive.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        for text in ["a/b", "/a", "c://x", "a:b", "1s://x", "a b://x", "./s3://b/x", ":", "://"] {
            assert_eq!(checked(PathBuf::from(text)).unwrap(), PathBuf::from(text));
        }
        for text in
            ["s3://b/x", "S3://b/x", "ftp://h/x", "a+b-1.c://x", "https://h/x", "file://other/x", "file:"]
        {
            assert_eq!(checked(PathBuf::from(text)).is_err(), text != "file:", "{text}");
        }
        assert_eq!(input("HTTPS://h/x").unwrap(), "HTTPS://h/x");
        let error = input("s3://key:marked@b/x?marked").unwrap_err().to_string();
        assert!(
            error.starts_with("s3://b/x: addresses of this kind") && !error.contains("marked"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_address_is_a_path() {
        for text in ["file:///a%20b/%7Bkid%7D", "FILE://localhost/a%20b/{kid}"] {
            assert_eq!(checked(PathBuf::from(text)).unwrap(), PathBuf::from("/a b/{kid}"));
        }
    }
}
