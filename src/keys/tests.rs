//! Secrets in failures — RFC 9110 §17: whatever a server says, no error, report or `Debug` text has one.

use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::SecretString;

use super::scripted::{request_for_two, response_to};
use super::{
    Account, Auth, DevKeys, DrmToday, Endpoint, KeyFile, KeyServer, Login, Speke, SpekeVersion, VENDORS,
    Vendor, VendorUrl, basic, bearer,
};
use crate::base::env::{Http, Request, Response};
use crate::base::id::hex;
use crate::base::{Error, Result, base64};

/// Every secret has this word in it.
const MARK: &str = "marked";
/// The key of a wrong document.
const KEY: &[u8; 16] = b"key-is-marked-16";

/// What a server does wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// This status, with the whole request repeated after this text.
    Repeats(u16, &'static str),
    /// This status, with the whole request repeated in the header for errors of a vendor.
    InHeader(u16),
    /// A redirect to an address that repeats the request's.
    Redirects,
    /// No answer at all.
    Breaks,
    /// A document that is wrong, with a key in it.
    Document(&'static str, &'static str),
}

const FAULTS: &[Fault] = &[
    Fault::Repeats(400, ""),
    Fault::Repeats(401, "{\"error\":\""),
    Fault::Repeats(403, "<html><p>"),
    Fault::Repeats(404, "nothing at "),
    Fault::Repeats(422, "Missing CPIX encryption contract: "),
    Fault::Repeats(429, ""),
    Fault::Repeats(500, "stack trace: "),
    Fault::Repeats(200, ""),
    Fault::Repeats(200, "{\"status\":\"MALFORMED_REQUEST\",\"of\":\""),
    Fault::Repeats(200, "<!doctype html>"),
    Fault::Repeats(200, "<CPIX "),
    Fault::Repeats(200, "<?xml version=\"1.0\"?><Envelope>"),
    Fault::Repeats(201, ""),
    Fault::InHeader(400),
    Fault::Redirects,
    Fault::Breaks,
    // The key where another value belongs, too long, as hex, twice, and under another id.
    Fault::Document("kid=\"01010101-0101-0101-0101-010101010101\"", "kid=\"KEY\""),
    Fault::Document("<pskc:PlainValue>", "<pskc:PlainValue>QUFB"),
    Fault::Document("<pskc:PlainValue>KEY", "<pskc:PlainValue>HEX"),
    Fault::Document("<pskc:PlainValue>KEY", "<pskc:PlainValue>&KEY;"),
    Fault::Document("commonEncryptionScheme=\"cbcs\"", "commonEncryptionScheme=\"KEY\""),
    Fault::Document("kid=\"01010101-", "kid=\"99999999-"),
    Fault::Document("intendedTrackType=\"VIDEO\"", "intendedTrackType=\"KEY\""),
    Fault::Document("</cpix:ContentKeyList>", ""),
    Fault::Document("<cpix:VideoFilter/>", "<cpix:VideoFilter minPixels=\"KEY\"/>"),
];

/// Plays a well-behaved server up to the request of this number, which has the fault, as have all after it.
struct Faulty {
    fault: Fault,
    after: usize,
    count: AtomicUsize,
}

impl Faulty {
    fn good(request: &Request) -> Response {
        let (status, headers, body) = match request.url.split_once("/cas/v1/tickets") {
            Some((_, "")) => {
                let location = "https://auth.example/cas/v1/tickets/TGT-marked".to_owned();
                (201, vec![("Location".to_owned(), location)], String::new())
            }
            Some(_) => (200, Vec::new(), "ST-marked-0123456789012345678901234567890".to_owned()),
            None => (200, Vec::new(), response_to(&request_for_two())),
        };
        Response { status, headers, body: body.into_bytes() }
    }

    fn bad(fault: Fault, request: &Request) -> Result<Response> {
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let body = String::from_utf8_lossy(&request.body);
        let echo = format!("{} {} {body}", request.url, headers.join(" "));
        let (status, headers, body) = match fault {
            Fault::Repeats(status, prefix) => (status, Vec::new(), format!("{prefix}{echo}")),
            Fault::InHeader(status) => (
                status,
                vec![("X-AxDRM-ErrorMessage".to_owned(), echo.replace(['\r', '\n'], " "))],
                String::new(),
            ),
            Fault::Redirects => {
                let location = format!("https://me:pass-marked@evil.example/?from={}", request.url);
                (302, vec![("Location".to_owned(), location)], echo)
            }
            // As the client of the edge does, the transport names the host only.
            Fault::Breaks => return Err(Error::storage("keys.example: no connection")),
            Fault::Document(from, to) => {
                let secret = |text: &str| text.replace("KEY", &base64(KEY)).replace("HEX", &hex(KEY));
                let document =
                    response_to(&request_for_two()).replace("AQEBAQEBAQEBAQEBAQEBAQ==", &base64(KEY));
                (200, Vec::new(), document.replacen(&secret(from), &secret(to), 1))
            }
        };
        Ok(Response { status, headers, body: body.into_bytes() })
    }
}

impl Http for Faulty {
    fn send(&self, request: &Request) -> Result<Response> {
        if self.count.fetch_add(1, Ordering::Relaxed) < self.after {
            return Ok(Self::good(request));
        }
        Self::bad(self.fault, request)
    }

    fn wait(&self, _milliseconds: u64, _why: &str) {}
}

fn speke(version: SpekeVersion) -> Speke {
    let headers = vec![
        ("X-Api-Key".to_owned(), SecretString::from("api-marked")),
        basic("me", &SecretString::from("basic-marked")).unwrap(),
        bearer(SecretString::from("bearer-marked")),
    ];
    let url = "https://me:url-marked@keys.example/getKey/path-marked-0123456789?ticket=ST-marked&x=y";
    Speke::new(url, headers, version).unwrap()
}

fn drmtoday(endpoint: Endpoint) -> DrmToday {
    let account = Account {
        auth_url: "https://auth.example".to_owned(),
        frontend_url: "https://fe.example".to_owned(),
        organization: "org".to_owned(),
        cpix_config: "cfg".to_owned(),
        user: "acme::packager".to_owned(),
        password: SecretString::from("pass-marked &=+% \""),
    };
    DrmToday::new(account).unwrap().with_endpoint(endpoint)
}

/// A vendor's server with secrets wherever it takes them.
fn of_vendor(vendor: &Vendor) -> Speke {
    let secret = |text: &str| Some(SecretString::from(text));
    let takes_token =
        |url: &str| matches!(vendor.auth, Auth::Bearer | Auth::Header(_)) || url.contains("{token}");
    let (VendorUrl::Of(url) | VendorUrl::Like(url)) = vendor.url;
    let login = Login {
        org: Some("org".to_owned()),
        user: Some("me".to_owned()),
        password: secret("pass-marked &=+% \""),
        token: secret("token/marked+0123456789==").filter(|_| takes_token(url)),
    };
    let headers = match vendor.auth {
        Auth::Basic => vec![basic("me", &SecretString::from("basic-marked")).unwrap()],
        _ => Vec::new(),
    };
    let server = vendor.server(Some(url), login, headers, vendor.dialect()).unwrap();
    server.signed_by(Box::new(|request| {
        request.headers.push(("x-amz-security-token".to_owned(), "session-marked".to_owned()));
        Ok(())
    }))
}

fn assert_nothing_told(what: &str, text: &str) {
    let basic_value = base64(b"me:basic-marked");
    for secret in [MARK, &base64(KEY), &hex(KEY), &basic_value] {
        assert!(!text.contains(secret), "{what} tells {secret}: {text}");
    }
}

#[test]
fn no_failure_of_a_server_tells_a_secret() {
    let mut servers: Vec<(&str, Box<dyn KeyServer>, usize)> = vec![
        ("speke 2.0", Box::new(speke(SpekeVersion::V2_0)), 1),
        ("speke 2.1", Box::new(speke(SpekeVersion::V2_1)), 1),
        ("drmtoday", Box::new(drmtoday(Endpoint::Process)), 3),
        ("drmtoday generate", Box::new(drmtoday(Endpoint::Generate)), 3),
        ("speke 1", Box::new(speke(SpekeVersion::V1)), 1),
    ];
    servers.extend(VENDORS.iter().map(|vendor| {
        let server: Box<dyn KeyServer> = Box::new(of_vendor(vendor));
        (vendor.name(), server, 1)
    }));
    let mut failures = 0;
    for (name, server, requests) in &servers {
        for fault in FAULTS {
            for after in 0..*requests {
                let http = Faulty { fault: *fault, after, count: AtomicUsize::new(0) };
                let mut request = request_for_two();
                if *name == "speke 1" {
                    request.content_keys.truncate(1);
                }
                let what = format!("{name}, {fault:?} at request {}", after + 1);
                match server.exchange(&http, request) {
                    Ok(document) => assert_nothing_told(&what, &format!("{document:?}")),
                    Err(error) => {
                        failures += 1;
                        assert_nothing_told(&what, &format!("{error} {error:?}"));
                    }
                }
            }
        }
    }
    assert!(failures > 150, "{failures}");
}

#[test]
fn debug_of_a_key_source_tells_no_secret() {
    let file = KeyFile::parse(&format!("a={}:{}", "11".repeat(16), hex(KEY))).unwrap();
    let shown = format!(
        "{:?} {:?} {file:?} {:?}",
        speke(SpekeVersion::V1),
        drmtoday(Endpoint::Generate),
        DevKeys::new("seed-marked")
    );
    assert_nothing_told("Debug", &shown);
}

#[test]
fn a_wrong_key_file_tells_no_key() {
    let key = hex(KEY);
    for text in [
        key.clone(),
        format!("{key}:{key}:{key}:{key}"),
        format!("{key}0:{key}"),
        format!("11:{key}"),
        format!("{}:{key}zz", "11".repeat(16)),
    ] {
        let error = KeyFile::parse(&text).unwrap_err();
        assert_nothing_told("key file", &format!("{error:?}"));
    }
}
