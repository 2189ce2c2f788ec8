//! The edge: files, HTTP, randomness — the only users of the operating system.

pub mod file;
#[cfg(feature = "cli")]
pub mod http;
#[cfg(feature = "cli")]
mod http_get;
#[cfg(feature = "cli")]
mod http_source;
#[cfg(feature = "cli")]
pub mod http_store;
pub mod output;
pub mod random;

pub use file::FileStore;
#[cfg(feature = "cli")]
pub use http::{HttpClient, HttpOptions, Phase};
#[cfg(feature = "cli")]
pub use http_store::{HttpFiles, HttpStore};
pub use output::{OutputDirectory, Overwrite};
pub use random::SystemRandom;
