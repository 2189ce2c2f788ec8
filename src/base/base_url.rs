//! The address of the folder of a package — RFC 3986 §5.1: what is below it is named by absolute URIs.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use super::error::{Error, Result};
use super::text::{is_http, shown_input};
use super::uri::{folder_from, percent_encode, resolve};

/// The absolute address of a folder, with a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads an address; with or without a slash at its end it is that of the same folder.
    ///
    /// # Errors
    /// [`Kind::Usage`](super::error::Kind::Usage) when it is no absolute http or https URL, or has what no folder has: a
    /// user, a query, a fragment.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |what: String| Error::usage(format!("--base-url {}: {what}", shown_input(text)));
        let none = |what: &str| {
            refused(format!("{what}, expected the absolute http or https URL of a folder"))
                .clause("RFC 3986 §4.3")
                .hint("such as --base-url https://cdn.example.com/films/42/")
        };
        // What URL parsers of browsers would mend is not passed on.
        let is_strange = |c: char| c != ' ' && c.is_whitespace() || c.is_control() || c == '\\';
        if !is_http(text) || text.contains(is_strange) || text.contains(":///") {
            return Err(none("no such address"));
        }
        let mut url = Url::parse(text).map_err(|error| none(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("a user or a password, which manifests would show to everybody".into())
                .hint("leave it out: who may read is for the server to ask"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("a query or a fragment, which files below a folder do not inherit".into())
                .clause("RFC 3986 §5.2.2")
                .hint("leave it out: tokens are for the server to add"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self(url.into()))
    }

    /// That of a folder below it.
    #[must_use]
    pub fn folder(&self, name: &str) -> Self {
        Self(format!("{}{}/", self.0, percent_encode(name)))
    }

    /// The address of what a reference in `document` means; both are below the package's folder.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn uri(&self, document: &str, reference: &str) -> Result<String> {
        Ok(format!("{}{}", self.0, percent_encode(&resolve(document, reference)?)))
    }

    /// The address of the folder that a document is in.
    pub fn folder_of(&self, document: &str) -> String {
        format!("{}{}", self.0, percent_encode(&folder_from("", document)))
    }

    /// The inverse: the relative reference that means the same in `document`; `None` when the address is not below.
    pub fn reference(&self, document: &str, uri: &str) -> Option<String> {
        let rest = uri.strip_prefix(&self.0)?;
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        if path.starts_with('/') || path.contains("//") {
            return None;
        }
        let file = path.rfind('/').map_or(0, |slash| slash + 1);
        let reference = folder_from(&percent_encode(document), path) + rest.get(file..)?;
        // A colon in the first segment would end a scheme: RFC 3986 §4.2.
        let first = reference.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        let has_colon = first.contains(':') || first.contains("%3a");
        Some(if has_colon { format!("./{reference}") } else { reference })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<BaseUrl> for String {
    fn from(base: BaseUrl) -> Self {
        base.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_address_with_and_without_a_slash() {
        for (text, address) in [
            ("https://cdn.example/a/b", "https://cdn.example/a/b/"),
            ("https://cdn.example/a/b/", "https://cdn.example/a/b/"),
            ("HTTP://CDN.example:8080", "http://cdn.example:8080/"),
            ("https://[::1]/a b/", "https://[::1]/a%20b/"),
            ("https://h/a\tb", "refused"),
            ("https://h/%20\"x{$y}", "https://h/%20%22x%7B$y%7D/"),
        ] {
            let found = BaseUrl::parse(text).map_or_else(|_| "refused".into(), |base| base.to_string());
            assert_eq!(found, address);
        }
    }

    #[test]
    fn what_is_no_address_of_a_folder_is_refused_without_secrets() {
        for (text, says) in [
            ("cdn.example/a", "such as --base-url https://"),
            ("/a", "absolute"),
            ("ftp://h/a", "absolute"),
            ("https:/h/a", "absolute"),
            ("https:///a", "absolute"),
            ("https://", "absolute"),
            ("https://h\\a", "absolute"),
            ("https://h:x/a", "absolute"),
            ("https://me:secret@h/a", "a user or a password"),
            ("https://secret@h/a", "a user or a password"),
            ("https://h/a?secret=1", "a query or a fragment"),
            ("https://h/a#secret", "a query or a fragment"),
            ("", "absolute"),
        ] {
            let error = BaseUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn references_and_addresses_are_inverse() {
        let base = BaseUrl::parse("https://h/x").unwrap();
        for (document, reference, uri) in [
            ("m.m3u8", "v1/a%20b.m4s", "https://h/x/v1/a%20b.m4s"),
            ("a%b/v.m3u8", "0.m4s", "https://h/x/a%25b/0.m4s"),
            ("a%b/c/v.m3u8", "../../0.m4s", "https://h/x/0.m4s"),
            ("hls/v.m3u8", "../dash/0.m4s", "https://h/x/dash/0.m4s"),
            ("m.m3u8", "./a%3Ab.m4s", "https://h/x/a%3Ab.m4s"),
            ("m.m3u8", "c/a%3Ab.m4s", "https://h/x/c/a%3Ab.m4s"),
        ] {
            assert_eq!(base.uri(document, reference).unwrap(), uri);
            assert_eq!(base.reference(document, uri).unwrap(), reference);
        }
        assert_eq!(base.folder("cenc").to_string(), "https://h/x/cenc/");
        assert_eq!(base.folder_of("a b/m.mpd"), "https://h/x/a%20b/");
        assert_eq!(base.reference("a/m.mpd", "https://h/x/a/").as_deref(), Some(""));
        assert_eq!(base.reference("a/m.mpd", "https://h/x/").as_deref(), Some("../"));
        for uri in ["https://h/y/a", "https://h/xa", "https://h/x//a", "http://h/x/a", "v1/0.m4s"] {
            assert_eq!(base.reference("m.m3u8", uri), None);
        }
        // What climbs out of the folder stays outside of it.
        for document in ["m.m3u8", "a/m.m3u8"] {
            let reference = base.reference(document, "https://h/x/a/../../y").unwrap();
            assert!(resolve(document, &reference).is_err(), "{reference}");
        }
    }
}
