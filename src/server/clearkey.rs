//! Licenses of ClearKey — W3C Encrypted Media Extensions §9.1.4: only for keys that this server issued.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::base::{Error, Kid, Result};
use crate::cpix;
use crate::keys::DevKeys;

/// Most key ids that are remembered; the oldest are forgotten.
const MAX_ISSUED: usize = 10_000;
/// Most key ids of one request.
const MAX_KIDS: usize = 64;
/// The only type of session that the page of this server opens.
const TEMPORARY: &str = "temporary";
const CLAUSE: &str = "Encrypted Media Extensions §9.1.3";

/// The ids of the keys that went out.
#[derive(Default)]
pub(super) struct Issued(Mutex<VecDeque<Kid>>);

impl Issued {
    /// Remembers the keys of an answer. One that nobody can read, a fault on purpose, has none.
    pub(super) fn remember(&self, answer: &[u8]) {
        let Ok(document) = cpix::read(answer) else { return };
        let mut kids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for kid in document.content_keys.iter().map(|key| key.kid) {
            if !kids.contains(&kid) {
                kids.push_back(kid);
            }
        }
        while kids.len() > MAX_ISSUED {
            kids.pop_front();
        }
    }

    /// Whether the key of this id went out.
    pub(super) fn contains(&self, kid: Kid) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&kid)
    }
}

#[derive(Deserialize)]
struct Request {
    kids: Vec<String>,
    #[serde(rename = "type")]
    session: Option<String>,
}

#[derive(Serialize)]
struct License {
    keys: Vec<Key>,
    #[serde(rename = "type")]
    session: &'static str,
}

/// A symmetric key: RFC 7517 §4, RFC 7518 §6.4.
#[derive(Serialize)]
struct Key {
    kty: &'static str,
    kid: String,
    k: String,
}

/// The license for a request.
///
/// # Errors
/// [`Kind::Input`](crate::base::Kind::Input) when it is no license request,
/// [`Kind::Keys`](crate::base::Kind::Keys) when a key is none that `knows` knows.
pub(super) fn license(keys: &DevKeys, knows: impl Fn(Kid) -> bool, request: &[u8]) -> Result<Vec<u8>> {
    let request: Request = serde_json::from_slice(request).map_err(|_| {
        Error::input("expected a license request: {\"kids\":[\"…\"],\"type\":\"temporary\"}").clause(CLAUSE)
    })?;
    if let Some(session) = request.session.filter(|session| session != TEMPORARY) {
        return Err(Error::input(format!("session type {session:?}, expected {TEMPORARY:?}")).clause(CLAUSE));
    }
    if request.kids.is_empty() || request.kids.len() > MAX_KIDS {
        let text = format!("{} key ids, expected 1 to {MAX_KIDS}", request.kids.len());
        return Err(Error::input(text).clause(CLAUSE));
    }
    let license = License {
        keys: request.kids.iter().map(|text| key(keys, &knows, text)).collect::<Result<_>>()?,
        session: TEMPORARY,
    };
    serde_json::to_vec(&license).map_err(|error| Error::keys(error.to_string()))
}

fn key(keys: &DevKeys, knows: &impl Fn(Kid) -> bool, text: &str) -> Result<Key> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let kid = bytes.map(Kid::new).ok_or_else(|| {
        Error::input(format!("key id {text:?}, expected 16 bytes in base64url without padding"))
            .clause(CLAUSE)
    })?;
    if !knows(kid) {
        return Err(Error::keys(format!("this server did not issue the key {kid}")));
    }
    let value = keys.key(kid)?;
    Ok(Key { kty: "oct", kid: text.to_owned(), k: URL_SAFE_NO_PAD.encode(value.expose()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_license_holds_the_keys_that_were_asked_for_and_no_other() {
        let keys = DevKeys::new("seed");
        let kid = Kid::new([0xfb; 16]);
        let text = URL_SAFE_NO_PAD.encode(kid.bytes());
        assert!(text.contains('-'), "a key id that tells the alphabets apart");
        let request = format!("{{\"kids\":[{text:?}],\"type\":\"temporary\"}}");
        let answer = license(&keys, |known| known == kid, request.as_bytes()).unwrap();
        let value = URL_SAFE_NO_PAD.encode(keys.key(kid).unwrap().expose());
        let expected = format!(
            "{{\"keys\":[{{\"kty\":\"oct\",\"kid\":{text:?},\"k\":{value:?}}}],\"type\":\"temporary\"}}"
        );
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
        let error = license(&keys, |_| false, request.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, format!("this server did not issue the key {kid}"));
    }

    #[test]
    fn what_is_no_license_request_is_refused() {
        let keys = DevKeys::new("seed");
        let many = format!("{{\"kids\":[{}\"\"]}}", "\"\",".repeat(MAX_KIDS));
        for request in [
            "",
            "{}",
            "[]",
            "{\"kids\":[]}",
            "{\"kids\":[\"AAAA\"]}",
            "{\"kids\":[1]}",
            &many,
            "{\"kids\":[\"MTIzNDU2Nzg5MDEyMzQ1Ng\"],\"type\":\"persistent-license\"}",
            "{\"kids\":[\"MTIzNDU2Nzg5MDEyMzQ1Ng==\"]}",
        ] {
            let error = license(&keys, |_| true, request.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), crate::base::Kind::Input, "{request}");
        }
    }

    #[test]
    fn the_oldest_key_is_forgotten_first() {
        let issued = Issued::default();
        issued.remember(b"no document");
        let mut document = cpix::Document { version: Some("2.3".into()), ..cpix::Document::default() };
        let kid = |number: usize| Kid::new(u128::try_from(number).unwrap().to_be_bytes());
        let all = (0..=MAX_ISSUED).map(kid);
        document.content_keys.extend(all.map(cpix::ContentKey::new));
        for part in document.content_keys.chunks(500) {
            let part = cpix::Document { content_keys: part.to_vec(), ..document.clone() };
            issued.remember(&cpix::write(&part));
        }
        assert!(!issued.contains(kid(0)) && issued.contains(kid(1)) && issued.contains(kid(MAX_ISSUED)));
    }
}
