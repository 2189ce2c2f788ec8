//! Keys that are at hand when a presentation is decrypted or verified: from a key file, a CPIX document or a seed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::base::{Kid, Result, Secret};
use crate::cpix::ContentKey;
use crate::keys::{DevKeys, KeyFile};

use super::cpix::document;
use super::keys::secret_text;

/// Keys by their ids, and the IVs that come with them.
pub(super) enum DecryptionKeys {
    File(Box<KeyFile>),
    Document(HashMap<Kid, ContentKey>),
    Seed(DevKeys),
}

impl DecryptionKeys {
    /// The one of these that is given.
    pub(super) fn of(
        key_file: Option<&Path>,
        cpix: Option<&Path>,
        recipient_key: &[PathBuf],
        seed: Option<&str>,
    ) -> Result<Option<Self>> {
        if let Some(path) = key_file {
            let file = KeyFile::parse(&secret_text(path)?).map_err(|error| error.at(path.display()))?;
            return Ok(Some(Self::File(Box::new(file))));
        }
        if let Some(path) = cpix {
            let keys = document(path, recipient_key, &[])?.content_keys;
            return Ok(Some(Self::Document(keys.into_iter().map(|key| (key.kid, key)).collect())));
        }
        Ok(seed.map(|seed| Self::Seed(DevKeys::new(seed))))
    }

    /// The key of this id.
    pub(super) fn key(&self, kid: Kid) -> Option<Secret<16>> {
        match self {
            Self::File(file) => file.lookup(kid).cloned(),
            Self::Document(keys) => keys.get(&kid)?.value.clone(),
            Self::Seed(keys) => keys.key(kid).ok(),
        }
    }

    /// The IV that came with it.
    pub(super) fn iv(&self, kid: Kid) -> Option<[u8; 16]> {
        match self {
            Self::File(file) => file.iv(kid),
            Self::Document(keys) => keys.get(&kid)?.explicit_iv,
            Self::Seed(keys) => keys.iv(kid).ok(),
        }
    }

    /// The id of the only key, if there is no other.
    pub(super) fn only(&self) -> Option<Kid> {
        match self {
            Self::File(file) => file.only(),
            Self::Document(keys) => keys.keys().next().copied().filter(|_| keys.len() == 1),
            Self::Seed(_) => None,
        }
    }
}
