//! The laws and scenarios of the project over real files, in one binary.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may stop at once and say why"
)]

mod contract;
mod errors;
mod identity;
mod laws;
mod media;
mod pack;
mod slice_headers;
