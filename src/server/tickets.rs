//! Tickets of the sign-in: CAS protocol, ticket-granting tickets and service tickets over REST.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::base::id::hex;
use crate::base::{Error, Result};

use super::TicketUse;

/// Most tickets of either kind at once: far more than one packager needs.
const MAX_TICKETS: usize = 10_000;
/// Random bytes of a ticket.
const TICKET_BYTES: usize = 24;

/// The tickets that serve now.
#[derive(Debug)]
pub(super) struct Tickets {
    service_lifetime: Duration,
    granting_lifetime: Duration,
    ticket_use: TicketUse,
    /// Ticket-granting tickets and when they were issued.
    granting: HashMap<String, Instant>,
    service: HashMap<String, ServiceTicket>,
}

#[derive(Debug)]
struct ServiceTicket {
    /// The path of the service that it is for.
    path: String,
    issued: Instant,
}

impl Tickets {
    pub(super) fn new(
        service_lifetime: Duration,
        granting_lifetime: Duration,
        ticket_use: TicketUse,
    ) -> Self {
        Self {
            service_lifetime,
            granting_lifetime,
            ticket_use,
            granting: HashMap::new(),
            service: HashMap::new(),
        }
    }

    /// A new ticket-granting ticket.
    ///
    /// # Errors
    /// When there are too many, or the system gives no random bytes.
    pub(super) fn sign_in(&mut self, now: Instant) -> Result<String> {
        let lifetime = self.granting_lifetime;
        self.granting.retain(|_, issued| now.duration_since(*issued) < lifetime);
        let ticket = new_ticket("TGT-", self.granting.len())?;
        self.granting.insert(ticket.clone(), now);
        Ok(ticket)
    }

    /// Whether a ticket-granting ticket serves.
    pub(super) fn is_signed_in(&self, granting: &str, now: Instant) -> bool {
        self.granting.get(granting).is_some_and(|issued| now.duration_since(*issued) < self.granting_lifetime)
    }

    /// Ends a login: its ticket-granting ticket serves no more. Service tickets still do.
    pub(super) fn sign_out(&mut self, granting: &str) {
        self.granting.remove(granting);
    }

    /// Ends every login.
    pub(super) fn sign_out_all(&mut self) {
        self.granting.clear();
    }

    /// A new service ticket for the service at `path`.
    ///
    /// # Errors
    /// As [`Tickets::sign_in`].
    pub(super) fn issue(&mut self, path: &str, now: Instant) -> Result<String> {
        let lifetime = self.service_lifetime;
        self.service.retain(|_, ticket| now.duration_since(ticket.issued) < lifetime);
        let ticket = new_ticket("ST-", self.service.len())?;
        self.service.insert(ticket.clone(), ServiceTicket { path: path.to_owned(), issued: now });
        Ok(ticket)
    }

    /// Uses a service ticket for a request to `path`; a wrong path uses it up as well.
    pub(super) fn redeem(&mut self, service: &str, path: &str, now: Instant) -> bool {
        let serves = |ticket: &ServiceTicket| {
            ticket.path == path && now.duration_since(ticket.issued) < self.service_lifetime
        };
        match self.ticket_use {
            TicketUse::Once => self.service.remove(service).is_some_and(|ticket| serves(&ticket)),
            TicketUse::Again => self.service.get(service).is_some_and(serves),
        }
    }
}

fn new_ticket(prefix: &str, count: usize) -> Result<String> {
    if count >= MAX_TICKETS {
        return Err(Error::storage(format!("{count} tickets are in use, at most {MAX_TICKETS} are kept")));
    }
    let mut bytes = [0; TICKET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::storage(format!("random bytes: {error}")))?;
    Ok(format!("{prefix}{}", hex(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(ticket_use: TicketUse) -> Tickets {
        Tickets::new(Duration::from_secs(10), Duration::from_secs(100), ticket_use)
    }

    #[test]
    fn a_service_ticket_serves_once_and_for_its_path() {
        let now = Instant::now();
        let mut tickets = tickets(TicketUse::Once);
        let ticket = tickets.issue("/a", now).unwrap();
        assert!(tickets.redeem(&ticket, "/a", now));
        assert!(!tickets.redeem(&ticket, "/a", now));
        let other = tickets.issue("/a", now).unwrap();
        assert_ne!(ticket, other);
        assert!(!tickets.redeem(&other, "/b", now));
        assert!(!tickets.redeem("ST-", "/a", now));
    }

    #[test]
    fn tickets_expire() {
        let now = Instant::now();
        let mut tickets = tickets(TicketUse::Once);
        let granting = tickets.sign_in(now).unwrap();
        let service = tickets.issue("/a", now).unwrap();
        assert!(!tickets.redeem(&service, "/a", now + Duration::from_secs(10)));
        assert!(tickets.is_signed_in(&granting, now + Duration::from_secs(99)));
        assert!(!tickets.is_signed_in(&granting, now + Duration::from_secs(100)));
        assert!(!tickets.is_signed_in("TGT-", now));
    }

    #[test]
    fn a_ticket_that_may_serve_again_still_expires() {
        let now = Instant::now();
        let mut tickets = tickets(TicketUse::Again);
        let ticket = tickets.issue("/a", now).unwrap();
        assert!(tickets.redeem(&ticket, "/a", now));
        assert!(tickets.redeem(&ticket, "/a", now));
        assert!(!tickets.redeem(&ticket, "/b", now));
        assert!(!tickets.redeem(&ticket, "/a", now + Duration::from_secs(10)));
    }
}
