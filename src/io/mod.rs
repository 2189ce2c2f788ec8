//! The edge: where the core's questions meet the network and the file system.

#[cfg(feature = "cli")]
mod http;

#[cfg(feature = "cli")]
pub use http::HttpClient;
