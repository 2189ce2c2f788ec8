//! SPEKE 2.0 client: a CPIX 2.3 document is posted and comes back filled.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

use super::transport::{first_line, shown, shown_url, status_text, with_retries};
use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Result};
use crate::cpix::{self, Document};
use crate::keys::{KeyServer, check};

const VERSION: &str = "2.0";

/// The error texts of SPEKE 2.0 with what they mean for the one who packages; the more special first.
const ERRORS: &[(&str, &str)] = &[
    ("Missing CPIX@contentId", "the request needs a resource id"),
    ("Missing CPIX@version", "the server wants another SPEKE version"),
    (
        "Unsupported CPIX@version",
        "the server does not take CPIX 2.3, ask the vendor for its SPEKE 2.0 address",
    ),
    ("Missing ContentKey@commonEncryptionScheme", "a content key lacks its scheme"),
    ("Non compliant ContentKey@commonEncryptionScheme combination", "all keys must be of one scheme"),
    ("ContentKey@commonEncryptionScheme non compatible", "this DRM system cannot use this scheme"),
    ("Unsupported SPEKE version", "ask the vendor for its SPEKE 2.0 address"),
    ("Malformed encryption contract", "the usage rules contradict each other"),
    (
        "Requested CPIX encryption contract not supported",
        "the vendor forbids this sharing of keys, try the other preset",
    ),
    ("Missing CPIX encryption contract", "the usage rules have no filter"),
    ("MALFORMED_REQUEST", "this looks like the address of a license server, expected that of the key server"),
];

/// A SPEKE 2.0 key server at one address.
pub struct Speke {
    url: SecretString,
    headers: Vec<(String, SecretString)>,
}

impl Speke {
    /// A key server at `url`, which may carry a ticket; `headers` go with every request.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when it is not an `http` or `https` address.
    pub fn new(url: &str, headers: Vec<(String, SecretString)>) -> Result<Self> {
        let known =
            Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
        if !known {
            return Err(Error::usage("the key server URL is not an http or https address").clause("RFC 3986"));
        }
        Ok(Self { url: SecretString::from(url), headers })
    }
}

impl fmt::Debug for Speke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Speke").field(&shown_url(self.url.expose_secret())).finish()
    }
}

impl KeyServer for Speke {
    fn exchange(&self, http: &dyn Http, document: Document) -> Result<Document> {
        let mut request = post(self.url.expose_secret().to_owned(), &document);
        let headers = self.headers.iter();
        request.headers.extend(headers.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())));
        let response = with_retries(http, || http.send(&request)).map_err(|e| e.at(shown(&request)))?;
        answer(&document, &request, response)
    }
}

/// The request that asks for the keys of `document`.
pub(super) fn post(url: String, document: &Document) -> Request {
    let headers = [("Content-Type", "application/xml"), ("X-Speke-Version", VERSION)];
    Request {
        method: "POST",
        url,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: cpix::write(document),
    }
}

/// Reads and checks the answer to `request`.
///
/// # Errors
/// [`Kind::Keys`](crate::base::Kind::Keys), with what the server said.
pub(super) fn answer(document: &Document, request: &Request, response: Response) -> Result<Document> {
    read_answer(document, request, response).map_err(|error| error.at(shown(request)))
}

fn read_answer(document: &Document, request: &Request, response: Response) -> Result<Document> {
    if response.status != 200 {
        return Err(refusal(request, &response));
    }
    if let Some(version) = response.header("X-Speke-Version")
        && version != VERSION
    {
        return Err(Error::keys(format!("the answer is SPEKE {version:.20}, expected {VERSION}"))
            .clause("SPEKE 2.0, X-Speke-Version"));
    }
    if let Some(found) = cpix::not_xml(&response.body) {
        let line = first_line(request, &response.body);
        let error =
            Error::keys(format!("status 200 with {found}, expected a CPIX document{}", quoted(&line)));
        return Err(explained(error, &response.body).unwrap_or_else(|error| {
            error.hint("check that the URL is that of the key server, and that it is signed in")
        }));
    }
    let body = Zeroizing::new(response.body);
    // A document that breaks the rules of CPIX is here a fault of the server.
    let found = cpix::read(&body).map_err(|error| Error::keys(format!("the answer: {error}")))?;
    check(document, found)
}

/// The error for a status other than 200.
fn refusal(request: &Request, response: &Response) -> Error {
    let status = response.status;
    let mut text = format!("status {status}, {}", status_text(status));
    if (300..400).contains(&status) {
        let target = response.header("Location").map_or_else(|| "nowhere".to_owned(), shown_url);
        return Error::keys(format!("{text}, to {target}")).hint("give the final address");
    }
    if let Some(found @ ("an HTML page" | "nothing")) = cpix::not_xml(&response.body) {
        text.push_str(&format!(", with {found} as body"));
    } else {
        text.push_str(&quoted(&first_line(request, &response.body)));
    }
    explained(Error::keys(text), &response.body).unwrap_or_else(|error| match status {
        401 | 403 => {
            error.hint("a ticket lasts only a short time, get a new URL and check the account's roles")
        }
        404 => error.hint("check organization and configuration in the URL"),
        _ => error,
    })
}

/// The error with the meaning of a known text as its hint, or the error as it was.
fn explained(error: Error, body: &[u8]) -> Result<Error, Error> {
    let text = String::from_utf8_lossy(body).to_lowercase();
    match ERRORS.iter().find(|(known, _)| text.contains(&known.to_lowercase())) {
        Some((_, meaning)) => Ok(error.hint(*meaning)),
        None => Err(error),
    }
}

fn quoted(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!(": {line:?}") }
}
