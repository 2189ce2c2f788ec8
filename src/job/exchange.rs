//! Keys are asked for and looked at — SPEKE 2.0, DASH-IF CPIX 2.3.

use crate::base::env::Http;
use crate::base::{Error, Result};
use crate::cpix::Document;
use crate::keys::{KeyServer, check, weaknesses};

use super::rules::Job;

/// Asks for keys; the checked answer, and what the operator should know of it.
pub(super) fn exchange(
    job: &Job,
    request: &Document,
    keys: &dyn KeyServer,
    http: &dyn Http,
) -> Result<(Document, Vec<String>)> {
    let answer = check(request, keys.exchange(http, request.clone())?)?;
    let weaknesses = weaknesses(&answer);
    match weaknesses.first() {
        Some(first) if job.strict_keys => {
            Err(Error::keys(first.clone()).hint("let the key source draw another, or leave --strict out"))
        }
        _ => Ok((answer, weaknesses)),
    }
}
