//! SPEKE client — SPEKE 1.0, 2.0, 2.1: a CPIX document is posted and comes back filled.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::address::Address;
use super::transport::{Telling, shown_url, with_retries};
use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Result};
use crate::cpix::usage::Strictness;
use crate::cpix::{self, Document};
use crate::keys::{Dialect, KeyServer, Login, check};

/// The error texts of SPEKE 2.0 with what they mean for the one who packages; the more special first.
const ERRORS: &[(&str, &str)] = &[
    ("Missing CPIX@contentId", "the request needs a resource id"),
    ("Missing CPIX@version", "the server wants SPEKE 2.0 or 2.1, see --speke"),
    ("Unsupported CPIX@version", "the server wants another SPEKE version, see --speke"),
    ("Missing ContentKey@commonEncryptionScheme", "a content key lacks its scheme"),
    (
        "Non compliant ContentKey@commonEncryptionScheme combination",
        "this server takes keys of one scheme: pack each of two in a call of its own",
    ),
    ("ContentKey@commonEncryptionScheme non compatible", "this DRM system cannot use this scheme"),
    ("Unsupported SPEKE version", "the server wants another SPEKE version, see --speke"),
    ("Malformed encryption contract", "the usage rules contradict each other"),
    (
        "Requested CPIX encryption contract not supported",
        "the vendor forbids this sharing of keys, try the other preset",
    ),
    ("Missing CPIX encryption contract", "the usage rules have no filter"),
    ("MALFORMED_REQUEST", "this looks like the address of a license server, expected that of the key server"),
];

/// A SPEKE key server at one address.
pub struct Speke {
    address: Address,
    headers: Vec<(String, SecretString)>,
    dialect: Dialect,
    method: Method,
    sign: Option<Box<Sign>>,
}

/// Signs a request that is whole otherwise.
pub type Sign = dyn Fn(&mut Request) -> Result<()> + Send + Sync;

/// How a server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// A request document is posted.
    #[default]
    Post,
    /// A document is fetched, whose usage rules choose: it has keys and key ids of the server's own.
    Get,
}

impl Speke {
    /// A key server at `url`, which may carry a ticket, and `{content_id}` in the place of the content id; `headers` go
    /// with every request.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when it is not an `http` or `https` address.
    pub fn new(url: &str, headers: Vec<(String, SecretString)>, dialect: impl Into<Dialect>) -> Result<Self> {
        Self::with_login(url, Login::default(), headers, dialect)
    }

    /// The same for an address with words that an account gives: `{org} {user} {password} {token}`.
    ///
    /// # Errors
    /// As [`Speke::new`], and when what the address asks for is not given.
    pub fn with_login(
        url: &str,
        login: Login,
        headers: Vec<(String, SecretString)>,
        dialect: impl Into<Dialect>,
    ) -> Result<Self> {
        let address = Address::new(url, login)?;
        Ok(Self { address, headers, dialect: dialect.into(), method: Method::default(), sign: None })
    }

    /// The same server with requests that are signed.
    #[must_use]
    pub fn signed_by(self, sign: Box<Sign>) -> Self {
        Self { sign: Some(sign), ..self }
    }

    /// The same server asked in this way.
    #[must_use]
    pub fn with_method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// The request for what is asked for, without what says who asks.
    fn request(&self, document: &Document) -> Result<Request> {
        self.dialect.check_id(document)?;
        let url = self.address.of(document)?;
        match self.method {
            Method::Post => post(url, document, &self.dialect),
            Method::Get => {
                let headers = self.dialect.headers.iter();
                let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                Ok(Request { method: "GET", url, headers: headers.collect(), body: Vec::new() })
            }
        }
    }

    /// Sends a request with the headers of this server; a signature is good for one try.
    fn send(&self, http: &dyn Http, request: &mut Request) -> Result<Response> {
        let is_own = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        request.headers.retain(|(name, _)| !is_own(name));
        let headers = self.headers.iter();
        request.headers.extend(headers.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())));
        let unsigned = request.clone();
        let result = with_retries(http, || {
            if let Some(sign) = &self.sign {
                *request = unsigned.clone();
                sign(request)?;
            }
            http.send(request)
        });
        result.map_err(|error| error.at(self.telling(request).place()))
    }

    fn telling<'a>(&self, request: &'a Request) -> Telling<'a> {
        self.address.login.secrets().fold(Telling::of(request), Telling::hiding)
    }
}

impl fmt::Debug for Speke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Speke").field(&self.address.shown()).finish()
    }
}

impl KeyServer for Speke {
    fn exchange(&self, http: &dyn Http, document: Document) -> Result<Document> {
        let mut request = self.request(&document)?;
        let response = self.send(http, &mut request)?;
        let telling = self.telling(&request);
        match self.method {
            Method::Get => own_document(&telling, response, &self.dialect),
            Method::Post => answer(&document, &telling, response, &self.dialect),
        }
    }

    fn asks(&self, document: &Document) -> Result<Option<String>> {
        let request = self.request(document)?;
        shown_request(&self.telling(&request), &request).map(Some)
    }

    fn rules(&self) -> Option<Strictness> {
        (self.method == Method::Get).then_some(Strictness::Speke)
    }
}

/// The request that asks for the keys of `document`.
///
/// # Errors
/// When the version cannot carry it.
pub(super) fn post(url: String, document: &Document, dialect: &Dialect) -> Result<Request> {
    let content_type = dialect.content_type.as_deref().unwrap_or("application/xml");
    let mut headers = vec![("Content-Type", content_type)];
    headers.extend(dialect.version.header().map(|version| ("X-Speke-Version", version)));
    headers.extend(dialect.headers);
    Ok(Request {
        method: "POST",
        url,
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: dialect.write(document)?,
    })
}

/// Reads and checks the answer to a request.
///
/// # Errors
/// [`Kind::Keys`](crate::base::Kind::Keys), with what the server said.
pub(super) fn answer(
    document: &Document,
    telling: &Telling<'_>,
    response: Response,
    dialect: &Dialect,
) -> Result<Document> {
    let found = read_answer(telling, response, dialect);
    found
        .and_then(|found| check(document, found).map_err(|error| telling.error(&error)))
        .map_err(|error| error.at(telling.place()))
}

/// Reads a document that a server made without a request document.
///
/// # Errors
/// As [`answer`].
pub(super) fn own_document(telling: &Telling<'_>, response: Response, dialect: &Dialect) -> Result<Document> {
    let found = read_answer(telling, response, dialect);
    let mut document = found.map_err(|error| error.at(telling.place()))?;
    // Messages about rules say these words: a key or a ticket among them is no name.
    for rule in &mut document.usage_rules {
        for word in rule.intended_track_type.iter_mut().chain(&mut rule.label_filters) {
            *word = telling.text(word);
        }
    }
    Ok(document)
}

/// Reads the answer to a request, without regard to what was asked for.
///
/// # Errors
/// [`Kind::Keys`](crate::base::Kind::Keys), with what the server said.
pub(super) fn read_answer(
    telling: &Telling<'_>,
    mut response: Response,
    dialect: &Dialect,
) -> Result<Document> {
    let version = dialect.version;
    if response.status != 200 {
        return Err(refusal(telling, &response, dialect));
    }
    if let Some(found) = response.header("X-Speke-Version")
        && found != version.name()
    {
        let found: String = telling.text(found).chars().take(20).collect();
        return Err(Error::keys(format!("the answer is SPEKE {found}, expected {}", version.name()))
            .clause("SPEKE 2.0, X-Speke-Version")
            .hint("name the server's version with --speke"));
    }
    if let Some(found) = cpix::not_xml(&response.body) {
        let line = quoted(&telling.line(&response.body));
        let hint = meaning(&response.body)
            .unwrap_or("check that the URL is that of the key server, and that it is signed in");
        return Err(
            Error::keys(format!("status 200 with {found}, expected a CPIX document{line}")).hint(hint)
        );
    }
    let body = Zeroizing::new(std::mem::take(&mut response.body));
    // A document that breaks the rules of CPIX is here a fault of the server.
    dialect.read(&body).map_err(|error| telling.error(&error).at("the answer"))
}

/// The error for a status other than 200.
fn refusal(telling: &Telling<'_>, response: &Response, dialect: &Dialect) -> Error {
    let status = response.status;
    let (words, hint) = telling.refusal(status);
    let mut text = format!("status {status}, {words}");
    if (300..400).contains(&status) {
        let location = response.header("Location");
        let target = location.map_or_else(|| "nowhere".to_owned(), |url| telling.text(&shown_url(url)));
        return Error::keys(format!("{text}, to {target}")).hint("give the final address");
    }
    let said = dialect.error_header.as_deref().and_then(|name| response.header(name));
    if let Some(said) = said {
        text.push_str(&quoted(&telling.line(said.as_bytes())));
    } else if let Some(found @ ("an HTML page" | "nothing")) = cpix::not_xml(&response.body) {
        text.push_str(&format!(", with {found} as body"));
    } else {
        text.push_str(&quoted(&telling.line(&response.body)));
    }
    let error = Error::keys(text);
    let hint = match status {
        404 => Some("check the address: its path, and the organization, configuration or content id in it"),
        _ => hint,
    };
    match said.and_then(|said| meaning(said.as_bytes())).or_else(|| meaning(&response.body)).or(hint) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What a known error text in the body means.
fn meaning(body: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(body).to_lowercase();
    ERRORS.iter().find(|(known, _)| text.contains(&known.to_lowercase())).map(|(_, meaning)| *meaning)
}

/// A request as people read it: the body of one that has one, else method and address.
pub(super) fn shown_request(telling: &Telling<'_>, request: &Request) -> Result<String> {
    if request.body.is_empty() {
        return Ok(telling.place());
    }
    String::from_utf8(request.body.clone()).map_err(|_| Error::internal("a request that is not UTF-8"))
}

fn quoted(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!(": {line:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;
    use crate::keys::SpekeVersion;
    use crate::keys::scripted::{Script, answer, request_for_two, response_to, step};

    const URL: &str = "https://me:pass-marked@keys.example/speke?ticket=ST-marked&x=1";

    fn exchange(script: &Script) -> Result<Document> {
        let headers = vec![("X-Api-Key".to_owned(), SecretString::from("api-marked"))];
        Speke::new(URL, headers, SpekeVersion::V2_0).unwrap().exchange(script, request_for_two())
    }

    fn refused(status: u16, headers: &[(&str, &str)], body: &str) -> String {
        let script = Script::new(vec![step(URL, "", answer(status, headers, body))]);
        let error = exchange(&script).unwrap_err();
        assert_eq!(error.kind(), Kind::Keys, "{error}");
        assert!(script.waits.lock().unwrap().is_empty(), "{status} was tried again");
        let text = format!("{error:?}");
        assert!(!text.contains("marked"), "{text}");
        assert!(text.contains("POST https://keys.example/speke?ticket=…&x=…: "), "{text}");
        text
    }

    #[test]
    fn a_filled_document_comes_back() {
        let body = response_to(&request_for_two());
        let good = answer(200, &[("x-speke-version", "2.0")], &body);
        let script = Script::new(vec![step(URL, "intendedTrackType=\"VIDEO\"", good)]);
        let document = exchange(&script).unwrap();
        assert!(script.is_done());
        assert!(document.content_keys.iter().all(|key| key.value.is_some()));
    }

    #[test]
    fn faults_of_the_server_and_of_the_line_are_tried_again() {
        let good = answer(200, &[], &response_to(&request_for_two()));
        let script = Script::new(vec![
            step(URL, "", answer(500, &[], "oops")),
            step(URL, "", answer(429, &[("Retry-After", "3")], "")),
            step(URL, "", good.clone()),
        ]);
        exchange(&script).unwrap();
        assert_eq!(*script.waits.lock().unwrap(), [500, 3_000]);

        let script = Script::new(vec![
            step(URL, "", None),
            step(URL, "", answer(429, &[("Retry-After", "99999999999")], "")),
            step(URL, "", good),
        ]);
        exchange(&script).unwrap();
        assert_eq!(*script.waits.lock().unwrap(), [500, 60_000]);
    }

    #[test]
    fn three_tries_are_the_end() {
        let script = Script::new((0..3).map(|_| step(URL, "", answer(503, &[], "busy"))).collect());
        let error = exchange(&script).unwrap_err().to_string();
        assert!(error.contains("status 503, the server is not available now: \"busy\""), "{error}");
        let script = Script::new((0..3).map(|_| step(URL, "", None)).collect());
        let error = exchange(&script).unwrap_err();
        assert_eq!(error.kind(), Kind::Keys);
        assert!(error.to_string().contains("no answer: "), "{error}");
    }

    #[test]
    fn refusals_are_told_apart_and_not_tried_again() {
        let mut told = vec![
            refused(401, &[], "bad ticket ST-marked"),
            refused(403, &[], "key api-marked may not\nmore"),
            refused(404, &[], "<html>nothing here</html>"),
            refused(422, &[], "Missing CPIX encryption contract"),
            refused(422, &[], "Missing ContentKey@commonEncryptionScheme for KID x"),
            refused(302, &[("Location", "https://login.example/?return=marked")], ""),
            refused(200, &[], ""),
            refused(200, &[], "{\"code\":\"A1\",\"key\":\"EBESExQVFhcYGRobHB0eHwmarked==\"}"),
            refused(200, &[], "{\"status\":\"MALFORMED_REQUEST\"}"),
            refused(200, &[], "<!doctype html><p>sign in"),
            refused(200, &[], "<Envelope/>"),
            refused(200, &[("X-Speke-Version", "2.1")], &response_to(&request_for_two())),
        ];
        for (text, expected) in told.drain(..).zip([
            "status 401, not signed in",
            "status 403, not permitted: \"key … may not\"",
            "an HTML page",
            "the usage rules have no filter",
            "a content key lacks its scheme",
            "a redirect, which is not followed, to https://login.example/?return=…",
            "status 200 with nothing",
            "status 200 with JSON",
            "license server",
            "status 200 with an HTML page",
            "a SOAP envelope",
            "SPEKE 2.1, expected 2.0",
        ]) {
            assert!(text.contains(expected), "{text} lacks {expected}");
        }
    }

    #[test]
    fn wrong_documents_are_refused() {
        let good = response_to(&request_for_two());
        let kid = request_for_two().content_keys[0].kid.to_string();
        let short = good.replacen("AQEBAQEBAQEBAQEBAQEBAQ==", "AQEBAQEBAQEBAQEBAQEB", 1);
        assert!(refused(200, &[], &short).contains("content key of 15 bytes, expected 16"));
        let other = good.replacen(&kid, "99999999-9999-9999-9999-999999999999", 1);
        assert!(refused(200, &[], &other).contains("wrong KID"));
        assert!(refused(200, &[], &good[..good.len() / 2]).contains("the answer: "));
        let replaced = good.replace(&kid, "99999999-9999-9999-9999-999999999999");
        let script = Script::new(vec![step(URL, "", answer(200, &[], &replaced))]);
        let document = exchange(&script).unwrap();
        assert_eq!(document.content_keys[0].kid.bytes(), &[0x99; 16]);
    }

    #[test]
    fn an_address_is_checked_and_never_shown_whole() {
        for url in ["", "keys.example", "ftp://keys.example/", "file:///marked"] {
            let error = Speke::new(url, Vec::new(), SpekeVersion::V2_0).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(!error.to_string().contains("marked"));
        }
        let shown = format!("{:?}", Speke::new(URL, Vec::new(), SpekeVersion::V2_0).unwrap());
        assert!(!shown.contains("marked"), "{shown}");
    }
}
