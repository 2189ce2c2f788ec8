//! Random bytes from the operating system.

use crate::base::env::Random;
use crate::base::{Error, Result};

/// The operating system's generator, fit for keys and IVs.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<()> {
        getrandom::fill(buffer).map_err(|error| Error::storage(format!("no random bytes: {error}")))
    }
}
