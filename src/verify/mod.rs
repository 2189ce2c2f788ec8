//! A protected presentation held to the rules of the standards, and to its clear source — ISO/IEC 23001-7.
//!
//! Structure is checked without keys; with keys samples are deciphered in memory, and with the clear source
//! they are compared, one at a time. What could not be checked is said.

mod auxiliary;
mod clear;
mod dash;
mod facts;
mod file;
mod findings;
mod fragment;
mod hls;
mod init;
mod iv;
mod presentation;
mod pssh;
mod rules;
mod run;
mod sample;
mod source;

pub use findings::{Count, Finding, Findings};
pub use rules::{RULES, Rule, Severity, rule};
pub use run::{Clear, Verification, VerifyJob, verify};
