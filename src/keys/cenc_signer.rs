//! Signers of Common Encryption key requests: AES-CBC or RSASSA-PSS (RFC 8017 §8.1) over SHA-1.

use std::fmt;

use cipher::block_padding::Pkcs7;
use cipher::{BlockModeEncrypt, KeyIvInit};
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::pss::BlindedSigningKey;
use rsa::rand_core::OsRng;
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use sha1::{Digest, Sha1};

use crate::base::{Error, Result, Secret};

/// What signs a request. It is never printed.
pub enum CencSigner {
    /// AES-256-CBC with PKCS #5 padding.
    Aes(Secret<32>, Secret<16>),
    /// RSASSA-PSS.
    Rsa(Box<RsaPrivateKey>),
}

impl CencSigner {
    /// Reads a signer key: a private RSA key in PEM, or two lines of hex, an AES-256 key and an IV.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::base::Kind::Input) for anything else; the text is not repeated.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim_start().starts_with("-----BEGIN") {
            return Self::from_pem(text);
        }
        let mut lines = text.split_whitespace();
        let (key, iv) = (lines.next().and_then(hex_bytes), lines.next().and_then(hex_bytes));
        match (key, iv, lines.next()) {
            (Some(key), Some(iv), None) => Ok(Self::Aes(Secret::new(key), Secret::new(iv))),
            _ => Err(Error::input(
                "the signer key is neither 64 and 32 hex digits on two lines nor an RSA key in PEM",
            )),
        }
    }

    /// Reads a private RSA key in PEM, PKCS #8 or PKCS #1.
    fn from_pem(text: &str) -> Result<Self> {
        let key = RsaPrivateKey::from_pkcs8_pem(text).ok();
        let key = key.or_else(|| RsaPrivateKey::from_pkcs1_pem(text).ok());
        let key = key.ok_or_else(|| Error::input("the signer key is not a private RSA key in PEM"))?;
        Ok(Self::Rsa(Box::new(key)))
    }

    /// The signature of these bytes.
    ///
    /// # Errors
    /// [`Kind::Keys`](crate::base::Kind::Keys) when the key is too small for a signature.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let wrong = || Error::keys("the signer key is not fit for a signature");
        match self {
            Self::Aes(key, iv) => {
                let mode = cbc::Encryptor::<aes::Aes256>::new_from_slices(key.expose(), iv.expose());
                let mut out = [0; 32];
                let signed = mode
                    .map_err(|_| wrong())?
                    .encrypt_padded_b2b::<Pkcs7>(&Sha1::digest(message), &mut out)
                    .map_err(|_| wrong())?;
                Ok(signed.to_vec())
            }
            Self::Rsa(key) => {
                let key = BlindedSigningKey::<Sha1>::new((**key).clone());
                Ok(key.try_sign_with_rng(&mut OsRng, message).map_err(|_| wrong())?.to_vec())
            }
        }
    }
}

/// Exactly `N` bytes from hex digits.
fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

impl fmt::Debug for CencSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CencSigner(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::base64;

    #[test]
    fn an_rsa_signature_is_verified_by_the_public_key() {
        use rsa::pkcs8::EncodePrivateKey;
        use rsa::signature::Verifier;
        let der = include_bytes!("../../fixtures/recipient/key.der");
        let key = RsaPrivateKey::from_pkcs8_der(der).unwrap();
        let pem = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        let signature = CencSigner::parse(&pem).unwrap().sign(b"request").unwrap();
        let verifier = rsa::pss::VerifyingKey::<Sha1>::new(key.to_public_key());
        let signature = rsa::pss::Signature::try_from(signature.as_slice()).unwrap();
        assert!(verifier.verify(b"request", &signature).is_ok());
        assert!(verifier.verify(b"another", &signature).is_err());
    }

    #[test]
    fn a_signer_key_of_another_form_is_refused_without_repeating_it() {
        let hex = "5e".repeat(32);
        assert!(CencSigner::parse(&format!("{hex}\n{}\n", "5f".repeat(16))).is_ok());
        for text in [String::new(), hex.clone(), format!("{hex}\n5f"), "-----BEGIN X-----".into()] {
            let error = CencSigner::parse(&text).unwrap_err().to_string();
            assert!(!error.contains("5e5e"), "{error}");
        }
    }

    #[test]
    fn an_aes_signature_is_that_of_the_known_request() {
        let bytes: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let iv = *bytes.last_chunk().unwrap();
        let signer = CencSigner::Aes(Secret::new(bytes), Secret::new(iv));
        let inner = r#"{"content_id":"ZHJtLXBhY2s=","policy":"","tracks":[{"type":"SD"},{"type":"HD"},{"type":"AUDIO"}]}"#;
        let signature = signer.sign(inner.as_bytes()).unwrap();
        assert_eq!(base64(&signature), "12fRet1ePc1KJeN6yRzdNLMaB/bJnA/645hJpiI7pL8=");
        assert_eq!(format!("{signer:?}"), "CencSigner(…)");
    }
}
