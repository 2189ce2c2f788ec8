//! A protected presentation held to the rules of the standards, and to its clear source — ISO/IEC 23001-7,
//! RFC 8216bis.
//!
//! Structure is checked without keys; with keys samples are decrypted in memory, and with the clear source
//! they are compared, one at a time. What could not be checked is said.

mod clear_tracks;
mod findings;
mod fragmented;
mod hidden;
mod manifests;
mod proven;
mod reference;
mod rules;
mod run;
mod segments;
mod shared_keys;
mod source;
mod together;
mod unreferenced;

pub use findings::{Count, Finding, Findings};
pub use manifests::clear_times::VerifiedTrack;
pub use rules::{RULES, Rule, Severity, rule};
pub use run::{Reference, Verification, VerifyJob, verify};
pub use together::verify_all;
