//! Addresses of key servers as templates: what stands in braces is filled for each request — RFC 3986 §3.

use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

use super::transport::shown_url;
use crate::base::{Error, Result};
use crate::cpix::Document;

/// What an account is known by; it goes where the address, or the way of signing in, wants it.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// `{org}`.
    pub org: Option<String>,
    /// `{user}`.
    pub user: Option<String>,
    /// `{password}`.
    pub password: Option<SecretString>,
    /// `{token}`.
    pub token: Option<SecretString>,
}

impl Login {
    /// What stands for a word, and the option that gives it.
    fn find(&self, word: &str) -> Option<(Option<&str>, &'static str)> {
        Some(match word {
            "{org}" => (self.org.as_deref(), "--org"),
            "{user}" => (self.user.as_deref(), "--basic-user"),
            "{password}" => (
                self.password.as_ref().map(ExposeSecret::expose_secret),
                "DRM_PACK_BASIC_PASSWORD or --basic-password-file",
            ),
            "{token}" => (self.token.as_ref().map(ExposeSecret::expose_secret), "--vendor-token-file"),
            _ => return None,
        })
    }

    /// What no message may tell.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        [&self.password, &self.token].into_iter().flatten().map(ExposeSecret::expose_secret)
    }
}

/// Words that a login gives.
const OF_LOGIN: &[&str] = &["{org}", "{user}", "{password}", "{token}"];
const CONTENT_ID: &str = "{content_id}";
/// A key id that follows from the content id, for servers that give a key for one.
const KID: &str = "{kid}";
/// The index of the key period that a request is for.
const PERIOD: &str = "{period}";

/// A template of an address.
pub(super) struct Address {
    template: SecretString,
    pub(super) login: Login,
}

impl Address {
    /// A template; it may hold secrets.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when it is not an `http` or `https` address, or a word of it is not
    /// given.
    pub(super) fn new(template: &str, login: Login) -> Result<Self> {
        let is_known =
            Url::parse(template).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
        if !is_known {
            return Err(Error::usage("the key server URL is not an http or https address").clause("RFC 3986"));
        }
        for word in OF_LOGIN.iter().filter(|word| template.contains(**word)) {
            if let Some((None, option)) = login.find(word) {
                return Err(Error::usage(format!("the key server URL has {word}, which is not given"))
                    .hint(format!("give it with {option}")));
            }
        }
        Ok(Self { template: SecretString::from(template), login })
    }

    /// The address for what is asked for.
    ///
    /// # Errors
    /// When a word of it can be no part of an address.
    pub(super) fn of(&self, document: &Document) -> Result<String> {
        let content_id = document.content_id.as_deref().unwrap_or_default();
        let mut url = self.template.expose_secret().to_owned();
        if url.contains(CONTENT_ID) {
            url = url.replace(CONTENT_ID, &path_segment("content id", content_id)?);
        }
        if url.contains(KID) {
            let name = format!("drm-pack:{content_id}");
            url = url.replace(KID, &Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).to_string());
        }
        if url.contains(PERIOD) {
            url = url.replace(PERIOD, &period(document)?.to_string());
        }
        for word in OF_LOGIN {
            if url.contains(word)
                && let Some((Some(value), _)) = self.login.find(word)
            {
                url = url.replace(
                    word,
                    &path_segment("what is given for it", value).map_err(|_| {
                        Error::usage(format!("{word} of the key server URL cannot be part of an address"))
                    })?,
                );
            }
        }
        Ok(url)
    }

    /// As messages tell it.
    pub(super) fn shown(&self) -> String {
        shown_url(self.template.expose_secret())
    }
}

/// The index of the only key period of a request.
fn period(document: &Document) -> Result<i64> {
    match document.periods.as_slice() {
        [] => Ok(0),
        [period] => Ok(period.index.unwrap_or(0)),
        periods => {
            Err(Error::usage(format!("{} key periods, {PERIOD} in the address is for one", periods.len()))
                .hint("ask for them one by one with --rotation-requests single"))
        }
    }
}

/// One path segment, percent-encoded — RFC 3986 §3.3.
pub(super) fn path_segment(what: &str, text: &str) -> Result<String> {
    if text.is_empty() || text == "." || text == ".." {
        return Err(
            Error::usage(format!("{what} {text:?} cannot be part of an address")).clause("RFC 3986 §3.3")
        );
    }
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    Ok(text.bytes().map(encode).collect())
}
