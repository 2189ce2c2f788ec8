//! The content keys of a document by their ids — CPIX 2.3.1 §5.4.2.

use std::collections::HashMap;

use crate::base::{KeyStore, Kid, Secret};

use super::document::{ContentKey, Document};

/// The content keys of a document: found at once in a document of any size.
pub struct ContentKeys(HashMap<Kid, ContentKey>);

impl Document {
    /// Its content keys alone.
    pub fn into_keys(self) -> ContentKeys {
        ContentKeys(self.content_keys.into_iter().map(|key| (key.kid, key)).collect())
    }
}

impl KeyStore for ContentKeys {
    fn key(&self, kid: Kid) -> Option<Secret<16>> {
        self.0.get(&kid)?.value.clone()
    }

    fn iv(&self, kid: Kid) -> Option<[u8; 16]> {
        self.0.get(&kid)?.explicit_iv
    }

    fn only(&self) -> Option<Kid> {
        self.0.keys().next().copied().filter(|_| self.0.len() == 1)
    }
}
