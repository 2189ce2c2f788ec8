//! A presentation as data for a picture — RFC 8216bis, ISO/IEC 23009-1, ISO/IEC 23001-7.

use serde::Serialize;

use crate::base::Result;
use crate::base::env::Store;

/// x
#[derive(Debug, Serialize)]
pub struct Presentation {
    /// x
    pub warnings: Vec<String>,
}

/// x
///
/// # Errors
/// x
pub fn read(_: &dyn Store, _: &str) -> Result<Presentation> {
    Ok(Presentation { warnings: vec![] })
}
/// x
///
/// # Errors
/// x
pub fn page(_: &Presentation) -> Result<String> {
    Ok(String::new())
}
