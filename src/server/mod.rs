//! The development key server — the ticket protocol of CAS and SPEKE 2.0, for a first run without a vendor.
//!
//! Keys follow from a seed: whoever knows the seed knows every key.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::oneshot;

use crate::base::{Error, Result};

mod http;
pub mod speke;
mod tickets;

/// How long a service ticket serves unless the settings say otherwise.
pub const SERVICE_TICKET_LIFETIME: Duration = Duration::from_secs(10);
/// How long a ticket-granting ticket serves unless the settings say otherwise.
pub const GRANTING_TICKET_LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);

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
    /// What the server does wrong, on purpose.
    pub fault: Fault,
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

/// A fault that key servers have shown, to see what a client makes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// None.
    #[default]
    None,
    /// Key ids are replaced, consistently.
    ReplacedKids,
    /// Content keys come under other ids than the rest of the document names.
    WrongKid,
    /// Content keys of eight bytes.
    ShortKey,
    /// Key requests are answered with 401, whatever the ticket.
    Unauthorized,
    /// Key requests are answered with 500.
    ServerError,
    /// The first key request is answered with 500.
    OneServerError,
    /// Key requests are answered with 200 and an HTML page.
    Html,
    /// Key requests are answered with 200 and nothing.
    Empty,
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

/// A server that runs until this value is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
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
            fault: Fault::None,
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

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Running {
    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL without a path, for both the sign-in and the key requests.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the server ends by itself, which it does only for a fault.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::base::Kind::Storage) for that fault.
    pub fn wait(mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(Error::storage("the key server's thread ended early")))
    }
}

/// Starts a server in a thread of its own.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) when the address is not of this machine alone and
/// [`Exposure::Loopback`] is set; [`Kind::Storage`](crate::base::Kind::Storage) when the address is taken.
pub fn start(settings: Settings) -> Result<Running> {
    let wanted = settings.address;
    if settings.exposure == Exposure::Loopback && !wanted.ip().is_loopback() {
        return Err(Error::usage(format!("address {wanted}, expected one of this machine alone"))
            .hint("keys of a development server are no secret, so allow the network only where that does not matter"));
    }
    let storage = move |error: std::io::Error| Error::storage(error.to_string()).at(wanted);
    let listener = TcpListener::bind(wanted).map_err(storage)?;
    listener.set_nonblocking(true).map_err(storage)?;
    let address = listener.local_addr().map_err(storage)?;
    let router = http::router(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(storage)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(storage)?;
            tokio::select! {
                result = async { axum::serve(listener, router).await } => result.map_err(storage),
                _ = stopped => Ok(()),
            }
        })
    });
    Ok(Running { address, stop: Some(stop), thread: Some(thread) })
}

#[cfg(test)]
mod tests;
