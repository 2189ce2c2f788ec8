//! The edge: files, HTTP, randomness — the only users of the operating system.

pub mod file;
#[cfg(feature = "cli")]
pub mod http;
pub mod output;
pub mod random;

pub use file::FileStore;
#[cfg(feature = "cli")]
pub use http::{HttpClient, HttpOptions, Phase};
pub use output::{OutputDirectory, Overwrite};
pub use random::SystemRandom;
