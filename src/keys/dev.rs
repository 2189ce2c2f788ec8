//! Keys derived from a seed — HMAC-SHA-256, FIPS 198-1: for tests and demonstrations only.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::base::env::Http;
use crate::base::{Error, KeyStore, Kid, Result, Secret};
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

impl KeyStore for DevKeys {
    fn key(&self, kid: Kid) -> Option<Secret<16>> {
        Self::key(self, kid).ok()
    }

    fn iv(&self, kid: Kid) -> Option<[u8; 16]> {
        Self::iv(self, kid).ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::FourCc;
    use crate::keys::scripted::Script;
    use crate::keys::{Wanted, request};

    #[test]
    fn keys_depend_on_seed_and_id_and_nothing_else() {
        let (one, two) = (Kid::new([1; 16]), Kid::new([2; 16]));
        let key = |seed: &str, kid| *DevKeys::new(seed).key(kid).unwrap().expose();
        assert_eq!(key("seed", one), key("seed", one));
        assert_ne!(key("seed", one), key("seed", two));
        assert_ne!(key("seed", one), key("other", one));
        assert_ne!(key("seed", one), DevKeys::new("seed").iv(one).unwrap());
    }

    #[test]
    fn every_requested_key_is_filled_and_a_proposed_iv_stays() {
        let wanted = [(1, None), (2, Some([9; 16]))].map(|(byte, explicit_iv)| Wanted {
            id: None,
            kid: Kid::new([byte; 16]),
            explicit_iv,
            track_type: format!("T{byte}"),
            video: None,
            audio: None,
        });
        let request = request("content", Some(FourCc(*b"cbcs")), &wanted, Vec::new());
        let keys = DevKeys::new("marked");
        let answer = keys.exchange(&Script::new(Vec::new()), request).unwrap();
        assert!(answer.content_keys.iter().all(|key| key.value.is_some()));
        assert_eq!(answer.content_keys[0].explicit_iv, Some(keys.iv(Kid::new([1; 16])).unwrap()));
        assert_eq!(answer.content_keys[1].explicit_iv, Some([9; 16]));
        assert!(!format!("{keys:?}").contains("marked"));
    }
}
