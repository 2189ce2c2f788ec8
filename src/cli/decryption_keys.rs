//! Keys that are at hand when a presentation is decrypted or verified: from a key file, a CPIX document or a seed.

use std::path::{Path, PathBuf};

use crate::base::{KeyStore, Result};
use crate::keys::{DevKeys, KeyFile};

use super::cpix::document;
use super::secret_file::secret_text;

/// The one of these that is given.
pub(super) fn key_store(
    key_file: Option<&Path>,
    cpix: Option<&Path>,
    recipient_key: &[PathBuf],
    seed: Option<&str>,
) -> Result<Option<Box<dyn KeyStore>>> {
    if let Some(path) = key_file {
        let file =
            KeyFile::parse(&secret_text(path, "--key-file")?).map_err(|error| error.at(path.display()))?;
        return Ok(Some(Box::new(file)));
    }
    if let Some(path) = cpix {
        return Ok(Some(Box::new(document(path, recipient_key, &[])?.into_keys())));
    }
    Ok(seed.map(|seed| Box::new(DevKeys::new(seed)) as Box<dyn KeyStore>))
}
