//! The edge: files, HTTP, randomness — the only users of the operating system.

#[cfg(feature = "cli")]
mod aws_signature;
pub mod file;
mod folders;
#[cfg(feature = "cli")]
pub mod http;
#[cfg(feature = "cli")]
mod http_fault;
#[cfg(feature = "cli")]
mod http_get;
#[cfg(feature = "cli")]
mod http_source;
#[cfg(feature = "cli")]
pub mod http_store;
pub mod interrupt;
pub mod output;
pub mod random;
mod secret_file;
mod system;

#[cfg(feature = "cli")]
pub use aws_signature::{AwsSigner, region_of};
pub use file::{FileStore, Links};
#[cfg(feature = "cli")]
pub use http::{HttpClient, HttpOptions, Notice};
#[cfg(feature = "cli")]
pub use http_fault::Phase;
#[cfg(feature = "cli")]
pub use http_store::{HttpFiles, HttpStore};
pub use output::{OutputDirectory, Overwrite};
pub use random::SystemRandom;
pub use secret_file::write_secret_file;
