//! The development server — tickets of CAS, SPEKE 1.0 to 2.1, CPIX 2.3, licenses, a page that plays: a first
//! run without a vendor.
//!
//! Keys follow from a seed: whoever knows the seed knows every key.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{Notify, oneshot};

use crate::base::{Error, Result};

mod answers;
mod clearkey;
mod events;
mod fault;
mod files;
mod folder;
mod generate;
mod http;
mod page;
mod settings;
pub mod speke;
mod speke1;
mod tickets;

pub use answers::{Answers, Says};
pub use fault::Fault;
pub use settings::{
    Exchange, Exposure, GRANTING_TICKET_LIFETIME, SERVICE_TICKET_LIFETIME, SLOW_ANSWER, Settings, TicketUse,
};

/// A server that runs until this value is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
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

    /// Waits until the server ends by itself, which it does only for a fault: its own or that of the system.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::base::Kind::Storage) for a fault of the system.
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
    let death = Arc::new(Notify::new());
    let router = http::router(settings, Arc::clone(&death))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(storage)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(storage)?;
            tokio::select! {
                result = async { axum::serve(listener, router).await } => result.map_err(storage),
                _ = stopped => Ok(()),
                // Connections end with the runtime, so that what was asked stays without an answer.
                () = death.notified() => Ok(()),
            }
        })
    });
    Ok(Running { address, stop: Some(stop), thread: Some(thread) })
}

#[cfg(test)]
mod tests;
