//! Keys are looked at before they are used — SPEKE 2.0, DASH-IF CPIX 2.3.

use crate::base::{Error, Result};
use crate::cpix::Document;
use crate::keys::weaknesses;

use super::rules::Job;

/// What the operator should know of the keys of a checked answer; with `strict_keys` it is an error.
///
/// # Errors
/// When there is something to know and the job is strict.
pub(super) fn weak_keys(job: &Job, answer: &Document) -> Result<Vec<String>> {
    let weaknesses = weaknesses(answer);
    match weaknesses.first() {
        Some(first) if job.strict_keys => {
            Err(Error::keys(first.clone()).hint("let the key source draw another, or leave --strict out"))
        }
        _ => Ok(weaknesses),
    }
}
