//! Keys derived from a seed — HMAC-SHA-256, FIPS 198-1: for tests and demonstrations only.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::base::env::Http;
use crate::base::{Error, Kid, Result, Secret};
use crate::cpix::Document;
use crate::keys::{KeyServer, check};

/// A source of keys that needs no server: whoever knows the seed knows every key.
pub struct DevKeys {
    seed: SecretString,
}

impl DevKeys {
    /// Keys of this seed.
    pub fn new(seed: &str) -> Self {
        Self { seed: SecretString::from(seed) }
    }

    /// The key of this id: the first 16 bytes of HMAC-SHA-256(seed, `key` ‖ id).
    ///
    /// # Errors
    /// Never for a seed of any length; the type is that of the primitive.
    pub fn key(&self, kid: Kid) -> Result<Secret<16>> {
        self.derive(b"key", kid).map(Secret::new)
    }

    /// The IV that goes with this id: the same with `iv`.
    ///
    /// # Errors
    /// As [`DevKeys::key`].
    pub fn iv(&self, kid: Kid) -> Result<[u8; 16]> {
        self.derive(b"iv", kid)
    }

    fn derive(&self, purpose: &[u8], kid: Kid) -> Result<[u8; 16]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.seed.expose_secret().as_bytes())
            .map_err(|_| Error::keys("the seed is not fit for HMAC"))?;
        mac.update(purpose);
        mac.update(kid.bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        bytes.first_chunk().copied().ok_or_else(|| Error::keys("the digest has less than 16 bytes"))
    }
}

impl fmt::Debug for DevKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevKeys(…)")
    }
}

impl KeyServer for DevKeys {
    fn exchange(&self, _http: &dyn Http, request: Document) -> Result<Document> {
        let mut answer = request.clone();
        for key in &mut answer.content_keys {
            key.value = Some(self.key(key.kid)?);
            if key.explicit_iv.is_none() {
                key.explicit_iv = Some(self.iv(key.kid)?);
            }
        }
        check(&request, answer)
    }
}
