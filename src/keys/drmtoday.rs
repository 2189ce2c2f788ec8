//! DRMtoday: sign-in with CAS tickets, then SPEKE 2.0 at the organization's CPIX ingest configuration.

use std::fmt;

use secrecy::SecretString;
use url::Url;

use super::cas::Cas;
use super::speke;
use super::transport::{shown, with_retries};
use crate::base::env::Http;
use crate::base::{Error, Result};
use crate::cpix::Document;
use crate::keys::KeyServer;

/// The servers of one environment.
#[derive(Debug)]
pub struct Environment {
    /// Its name in options.
    pub name: &'static str,
    /// Where one signs in.
    pub auth_url: &'static str,
    /// Where keys are asked for.
    pub frontend_url: &'static str,
}

/// The environments that the vendor documents.
pub const ENVIRONMENTS: &[Environment] = &[
    Environment {
        name: "prod",
        auth_url: "https://auth.drmtoday.com",
        frontend_url: "https://fe.drmtoday.com",
    },
    Environment {
        name: "staging",
        auth_url: "https://auth.staging.drmtoday.com",
        frontend_url: "https://fe.staging.drmtoday.com",
    },
];

impl Environment {
    /// The environment of this name.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for another name.
    pub fn find(name: &str) -> Result<&'static Self> {
        ENVIRONMENTS.iter().find(|environment| environment.name == name).ok_or_else(|| {
            let known: Vec<_> = ENVIRONMENTS.iter().map(|environment| environment.name).collect();
            Error::usage(format!("environment {name:?}, expected one of {}", known.join(", ")))
        })
    }
}

/// An API account and the configuration it uses.
pub struct Account {
    /// Where to sign in, such as `https://auth.drmtoday.com`.
    pub auth_url: String,
    /// Where to ask for keys, such as `https://fe.drmtoday.com`.
    pub frontend_url: String,
    /// The organization's UUID.
    pub organization: String,
    /// The id of the CPIX ingest configuration.
    pub cpix_config: String,
    /// The sign-in name, often `organization::name`.
    pub user: String,
    /// Its password.
    pub password: SecretString,
}

/// DRMtoday as a key server.
pub struct DrmToday {
    /// The process endpoint, without ticket.
    service: String,
    cas: Cas,
}

impl fmt::Debug for DrmToday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DrmToday").field(&self.service).finish()
    }
}

impl DrmToday {
    /// This account; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when an address is not `http` or `https` with a host
    /// alone, or a part of the account is empty.
    pub fn new(account: Account) -> Result<Self> {
        let auth_url = server("sign-in", &account.auth_url)?;
        let frontend_url = server("frontend", &account.frontend_url)?;
        if account.user.is_empty() {
            return Err(Error::usage("the user name is empty"));
        }
        let service = format!(
            "{}/frontend/cpix/v1/{}/ingest/{}",
            frontend_url.as_str().trim_end_matches('/'),
            segment("organization", &account.organization)?,
            segment("CPIX configuration", &account.cpix_config)?
        );
        Ok(Self { service, cas: Cas::new(auth_url, &account.user, account.password) })
    }

    /// The address that tickets are bound to: of the process endpoint (POST a request document), or with
    /// an asset of the generate endpoint (GET).
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when the asset id cannot be a path segment.
    pub fn service_url(&self, asset: Option<&str>) -> Result<String> {
        match asset {
            None => Ok(self.service.clone()),
            Some(asset) => Ok(format!("{}/{}", self.service, segment("asset id", asset)?)),
        }
    }

    /// Signs in and returns the service address with a fresh ticket: a secret that lasts a short time.
    ///
    /// # Errors
    /// [`Kind::Keys`](crate::base::Kind::Keys) when signing in fails.
    pub fn ticketed_url(&self, http: &dyn Http, asset: Option<&str>) -> Result<String> {
        let service = self.service_url(asset)?;
        Ok(self.cas.service_ticket(http, &service)?.append_to(&service))
    }
}

impl KeyServer for DrmToday {
    fn exchange(&self, http: &dyn Http, document: Document) -> Result<Document> {
        let mut request = speke::post(self.service.clone(), &document);
        let mut call = || {
            with_retries(http, || {
                request.url = self.cas.service_ticket(http, &self.service)?.append_to(&self.service);
                http.send(&request)
            })
        };
        let mut result = call();
        if result.as_ref().is_ok_and(|response| matches!(response.status, 401 | 403)) {
            self.cas.forget();
            result = call();
        }
        let response = result.map_err(|error| error.at(shown(&request)))?;
        speke::answer(&document, &request, response)
    }
}

/// An address of a server: scheme and host alone, so that what is appended is a path on it.
fn server(what: &str, text: &str) -> Result<Url> {
    let refused = || {
        Error::usage(format!("the {what} URL is not an http or https address without user and query"))
            .clause("RFC 3986")
    };
    let url = Url::parse(text).map_err(|_| refused())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(refused()) }
}

/// One path segment, percent-encoded — RFC 3986 §3.3.
fn segment(what: &str, text: &str) -> Result<String> {
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
