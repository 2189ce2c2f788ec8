//! drm-pack.

pub mod base;
#[cfg(feature = "cli")]
pub mod cli;
pub mod codec;
pub mod cpix;
pub mod dash;
pub mod drm;
pub mod hls;
pub mod io;
pub mod isobmff;
pub mod job;
pub mod keys;
pub mod package;
pub mod protect;
#[cfg(feature = "server")]
pub mod server;
pub mod xml;
