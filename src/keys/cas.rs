//! Tickets of a Central Authentication Service — CAS REST protocol, version 1.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::transport::{FORM, Telling, with_retries};
use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Result};
use crate::cpix;

/// The last part of the address where one signs in; a ticket-granting ticket follows it.
const TICKETS: &str = "tickets";
/// Longest service ticket in bytes.
const MAX_TICKET: usize = 4_096;

/// The address of a ticket-granting ticket: whoever has it is signed in.
#[derive(Clone)]
struct TicketGrantingTicket(SecretString);

/// A ticket for one call of one service.
pub(super) struct ServiceTicket(SecretString);

/// An account at a CAS server, signed in when first needed.
pub(super) struct Cas {
    /// The server, without path.
    auth_url: Url,
    user: String,
    password: SecretString,
    signed_in: Mutex<Option<TicketGrantingTicket>>,
}

impl fmt::Debug for TicketGrantingTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketGrantingTicket(…)")
    }
}

impl fmt::Debug for ServiceTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceTicket(…)")
    }
}

impl ServiceTicket {
    /// The address `service` with this ticket in its query.
    pub(super) fn append_to(&self, service: &str) -> String {
        let separator = if service.contains('?') { '&' } else { '?' };
        let ticket: String = form_urlencoded::byte_serialize(self.0.expose_secret().as_bytes()).collect();
        format!("{service}{separator}ticket={ticket}")
    }
}

impl Cas {
    /// The account `user` at `auth_url`; nothing is sent yet.
    pub(super) fn new(auth_url: Url, user: &str, password: SecretString) -> Self {
        Self { auth_url, user: user.to_owned(), password, signed_in: Mutex::new(None) }
    }

    /// Signs out here: the next ticket is asked for after a new sign-in.
    pub(super) fn forget(&self) {
        *self.signed_in.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A fresh ticket for the address `service`, which has no query.
    ///
    /// # Errors
    /// [`Kind::Keys`](crate::base::Kind::Keys) when the server refuses the account or cannot be reached.
    pub(super) fn service_ticket(&self, http: &dyn Http, service: &str) -> Result<ServiceTicket> {
        let (request, response) = self.ask_for_ticket(http, service)?;
        if !matches!(response.status, 401 | 403 | 404) {
            return read_service_ticket(&self.telling(&request), response);
        }
        // The ticket-granting ticket may have expired: sign in once more.
        self.forget();
        let (request, response) = self.ask_for_ticket(http, service)?;
        read_service_ticket(&self.telling(&request), response)
    }

    /// What may be told of a request to this server: the address may be a ticket-granting ticket.
    fn telling<'a>(&self, request: &'a Request) -> Telling<'a> {
        let granting = request.url.rsplit('/').next().filter(|last| *last != TICKETS);
        self.hiding(Telling::of(request)).hiding(granting.unwrap_or_default())
    }

    /// The same of a request to a service, whose server may have the password from this one.
    pub(super) fn hiding<'a>(&self, telling: Telling<'a>) -> Telling<'a> {
        telling.hiding(self.password.expose_secret())
    }

    fn ask_for_ticket(&self, http: &dyn Http, service: &str) -> Result<(Request, Response)> {
        let cached = self.signed_in.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let granting = match cached {
            Some(granting) => granting,
            None => self.log_in(http)?,
        };
        let request = form(granting.0.expose_secret(), &[("service", service)]);
        let response = with_retries(http, || http.send(&request))
            .map_err(|error| self.telling(&request).error(&error).at("service ticket").at(&self.auth_url))?;
        *self.signed_in.lock().unwrap_or_else(PoisonError::into_inner) = Some(granting);
        Ok((request, response))
    }

    fn log_in(&self, http: &dyn Http) -> Result<TicketGrantingTicket> {
        let url = format!("{}/cas/v1/{TICKETS}", self.auth_url.as_str().trim_end_matches('/'));
        let password = self.password.expose_secret();
        let request = form(&url, &[("username", &self.user), ("password", password)]);
        let telling = self.telling(&request);
        let result = with_retries(http, || http.send(&request)).and_then(|response| {
            if response.status == 201 {
                return self.read_location(&response, &telling);
            }
            let hint = match response.status {
                401 | 403 => Some("check user and password; the user is an API account"),
                423 => Some("ask the vendor to unlock the account"),
                status => telling.refusal(status).1,
            };
            let words = (response.status == 401).then_some("user or password is wrong");
            let error = unexpected(&telling, &response, words, "201 with a ticket");
            Err(error.hint(hint.unwrap_or("check the address of the sign-in server")))
        });
        result.map_err(|error| error.at("sign-in").at(telling.place()))
    }

    /// The `Location` of the ticket, on the sign-in server only: elsewhere it would give the ticket away.
    fn read_location(&self, response: &Response, telling: &Telling<'_>) -> Result<TicketGrantingTicket> {
        let location = response.header("Location").filter(|location| !location.is_empty());
        let location = location.ok_or_else(|| {
            Error::keys("status 201 without a Location header, expected the address of a ticket there")
                .hint("something in between answers, or leaves it out: check address and proxy of the sign-in server")
        })?;
        let mut url =
            self.auth_url.join(location).map_err(|_| Error::keys("the Location header is not a URL"))?;
        if self.auth_url.scheme() == "https" && url.scheme() == "http" {
            // A server behind a TLS proxy may not know that it is; the ticket must not travel in clear.
            let _ = url.set_scheme("https");
        }
        let upgraded = self.auth_url.scheme() == "http" && url.scheme() == "https";
        let same_port = url.port_or_known_default() == self.auth_url.port_or_known_default();
        if url.host_str() != self.auth_url.host_str()
            || !(same_port || upgraded)
            || !url.username().is_empty()
        {
            return Err(Error::keys(format!(
                "the Location header leads to {}, expected {}",
                telling.text(url.host_str().unwrap_or("no host")),
                self.auth_url.host_str().unwrap_or("no host")
            ))
            .hint("check the address of the sign-in server"));
        }
        Ok(TicketGrantingTicket(SecretString::from(String::from(url))))
    }
}

fn form(url: &str, fields: &[(&str, &str)]) -> Request {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Request {
        method: "POST",
        url: url.to_owned(),
        headers: vec![("Content-Type".to_owned(), FORM.to_owned())],
        body: body.into_bytes(),
    }
}

fn read_service_ticket(telling: &Telling<'_>, mut response: Response) -> Result<ServiceTicket> {
    let place = |error: Error| error.at("service ticket");
    if response.status != 200 {
        // Not who asks, but the ticket-granting ticket is refused.
        let words =
            matches!(response.status, 401 | 403 | 404).then_some("the sign-in is not known, or has ended");
        let error = unexpected(telling, &response, words, "200 with a ticket");
        return Err(place(match telling.refusal(response.status).1.filter(|_| words.is_none()) {
            Some(hint) => error.hint(hint),
            None => error,
        }));
    }
    let body = Zeroizing::new(std::mem::take(&mut response.body));
    let text = std::str::from_utf8(&body).map(str::trim).unwrap_or_default();
    let is_ticket = !text.is_empty()
        && text.len() <= MAX_TICKET
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>{}\"".contains(&byte));
    if !is_ticket {
        let found = cpix::not_xml(&body).unwrap_or("XML");
        return Err(place(Error::keys(format!("status 200 with {found}, expected a ticket alone"))));
    }
    Ok(ServiceTicket(SecretString::from(text)))
}

/// The ticket-granting ticket is in the request's address, so the address is not told.
fn unexpected(telling: &Telling<'_>, response: &Response, words: Option<&str>, expected: &str) -> Error {
    let status = response.status;
    let words = words.unwrap_or_else(|| telling.refusal(status).0);
    let line = match cpix::not_xml(&response.body) {
        Some(found @ ("an HTML page" | "nothing")) => format!(", with {found} as body"),
        _ => format!(": {:?}", telling.line(&response.body)),
    };
    Error::keys(format!("status {status}, {words}, expected {expected}{line}"))
}
