//! A protected presentation held to the rules of the standards, and to its clear source — ISO/IEC 23001-7,
//! RFC 8216bis.
//!
//! Structure is checked without keys; with keys samples are deciphered in memory, and with the clear source
//! they are compared, one at a time. What could not be checked is said.

mod agreement;
mod auxiliary;
mod clear;
mod coverage;
mod dash;
mod elementary;
mod facts;
mod file;
mod findings;
mod fragment;
mod hls;
mod hls_pieces;
mod init;
mod iv;
mod packets;
mod pieces;
mod pieces_run;
mod presentation;
mod proven;
mod pssh;
mod rules;
mod run;
mod sample;
mod shared_keys;
mod source;
mod stream_segment;
mod times;
mod together;
mod unprotected;
mod whole_segment;

pub use findings::{Count, Finding, Findings};
pub use rules::{RULES, Rule, Severity, rule};
pub use run::{Clear, Verification, VerifyJob, verify};
pub use together::verify_all;
