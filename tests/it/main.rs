//! The laws and scenarios of the project over real files, in one binary.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may stop at once and say why"
)]

mod calm;
mod contract;
mod cpix;
mod decrypt_styles;
mod errors;
mod hevc_slice_headers;
mod hevc_stream;
mod identity;
mod inspect;
#[cfg(feature = "server")]
mod key_server;
mod laws;
mod media;
mod pack;
#[cfg(feature = "server")]
mod server;
mod shapes;
mod slice_headers;
mod trace;
mod vp9_headers;
