//! Tickets of a Central Authentication Service — CAS REST protocol, version 1.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};
use zeroize::{Zeroize, Zeroizing};

use super::transport::{FORM, first_line, shown, status_text, with_retries};
use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Result};
use crate::cpix;

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
        let response = self.ask_for_ticket(http, service)?;
        if !matches!(response.1.status, 401 | 403 | 404) {
            return read_service_ticket(response);
        }
        // The ticket-granting ticket may have expired: sign in once more.
        self.forget();
        read_service_ticket(self.ask_for_ticket(http, service)?)
    }

    fn ask_for_ticket(&self, http: &dyn Http, service: &str) -> Result<(Request, Response)> {
        let cached = self.signed_in.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let granting = match cached {
            Some(granting) => granting,
            None => self.log_in(http)?,
        };
        let request = form(granting.0.expose_secret(), &[("service", service)]);
        let response = with_retries(http, || http.send(&request)).map_err(|error| {
            // The address is the ticket-granting ticket.
            let text = error.to_string().replace(granting.0.expose_secret(), "…");
            Error::keys(text).at("service ticket").at(&self.auth_url)
        })?;
        *self.signed_in.lock().unwrap_or_else(PoisonError::into_inner) = Some(granting);
        Ok((request, response))
    }

    fn log_in(&self, http: &dyn Http) -> Result<TicketGrantingTicket> {
        let url = format!("{}/cas/v1/tickets", self.auth_url.as_str().trim_end_matches('/'));
        let password = self.password.expose_secret();
        let mut request = form(&url, &[("username", &self.user), ("password", password)]);
        let result = with_retries(http, || http.send(&request)).and_then(|response| {
            if response.status != 201 {
                let hint = match response.status {
                    401 | 403 => "check user and password; the user is an API account",
                    423 => "ask the vendor to unlock the account",
                    _ => "check the address of the sign-in server",
                };
                return Err(unexpected(&request, &response, "201 with a ticket").hint(hint));
            }
            self.read_location(&response)
        });
        let place = shown(&request);
        request.body.zeroize();
        result.map_err(|error| error.at("sign-in").at(place))
    }

    /// The `Location` of the ticket, on the sign-in server only: elsewhere it would give the ticket away.
    fn read_location(&self, response: &Response) -> Result<TicketGrantingTicket> {
        let location = response.header("Location").filter(|location| !location.is_empty());
        let location = location.ok_or_else(|| Error::keys("status 201 without a Location header"))?;
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
                url.host_str().unwrap_or("no host"),
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

fn read_service_ticket((request, response): (Request, Response)) -> Result<ServiceTicket> {
    let place = |error: Error| error.at("service ticket");
    if response.status != 200 {
        return Err(place(unexpected(&request, &response, "200 with a ticket")));
    }
    let body = Zeroizing::new(response.body);
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
fn unexpected(request: &Request, response: &Response, expected: &str) -> Error {
    let status = response.status;
    let line = match cpix::not_xml(&response.body) {
        Some(found @ ("an HTML page" | "nothing")) => format!(", with {found} as body"),
        _ => format!(": {:?}", first_line(request, &response.body)),
    };
    Error::keys(format!("status {status}, {}, expected {expected}{line}", status_text(status)))
}
