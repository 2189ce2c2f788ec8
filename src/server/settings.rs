//! What the development key server is started with: account, ticket lifetimes, faults on purpose.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::{Fault, Says};

/// How long a service ticket serves unless the settings say otherwise.
pub const SERVICE_TICKET_LIFETIME: Duration = Duration::from_secs(10);
/// How long a ticket-granting ticket serves unless the settings say otherwise.
pub const GRANTING_TICKET_LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);
/// How long a slow answer takes unless the settings say otherwise.
pub const SLOW_ANSWER: Duration = Duration::from_secs(5);

/// What the server is started with.
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether others may reach it.
    pub exposure: Exposure,
    /// What every key and IV follows from.
    pub seed: SecretString,
    /// The API account's name.
    pub user: String,
    /// The API account's password.
    pub password: SecretString,
    /// The organization in the path of key requests.
    pub organization: String,
    /// The ingest configuration in the path of key requests.
    pub cpix_config: String,
    /// How long a service ticket serves.
    pub service_ticket_lifetime: Duration,
    /// How long a ticket-granting ticket serves.
    pub granting_ticket_lifetime: Duration,
    /// How often a service ticket serves.
    pub ticket_use: TicketUse,
    /// What it says of every key.
    pub says: Says,
    /// What the server does wrong, on purpose.
    pub fault: Fault,
    /// How long an answer takes when the fault is [`Fault::Slow`].
    pub slow_answer: Duration,
    /// The folder whose presentations the page plays.
    pub media: Option<PathBuf>,
    /// The folder of the players that the page plays with.
    pub players: Option<PathBuf>,
    /// Called once for each request that was answered.
    pub log: Box<dyn Fn(&Exchange) + Send + Sync>,
}

/// Whether others may reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Only this machine.
    Loopback,
    /// Every address that is asked for.
    Network,
}

/// How often a service ticket serves before it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketUse {
    /// Once.
    Once,
    /// As often as wanted.
    Again,
}

/// A request and its answer, as far as they may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The path, without query and without tickets.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

impl Settings {
    /// A server on a free loopback port, with the usual lifetimes and no fault.
    pub fn new(seed: SecretString, user: &str, password: SecretString) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            exposure: Exposure::Loopback,
            seed,
            user: user.to_owned(),
            password,
            organization: "organization".to_owned(),
            cpix_config: "config".to_owned(),
            service_ticket_lifetime: SERVICE_TICKET_LIFETIME,
            granting_ticket_lifetime: GRANTING_TICKET_LIFETIME,
            ticket_use: TicketUse::Once,
            says: Says::default(),
            fault: Fault::None,
            slow_answer: SLOW_ANSWER,
            media: None,
            players: None,
            log: Box::new(|_| {}),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("address", &self.address)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
