//! The edge: files, HTTP, randomness — the only users of the operating system.

pub mod file;
#[cfg(feature = "cli")]
pub mod http;
pub mod random;

pub use file::{FileStore, OutputDirectory, Overwrite};
#[cfg(feature = "cli")]
pub use http::{HttpClient, HttpOptions, Phase};
pub use random::SystemRandom;
