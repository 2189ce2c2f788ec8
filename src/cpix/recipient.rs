//! Recipients of encrypted documents: RSA keys and X.509 certificates — RFC 8017 §7.1, RFC 5280.

use std::fmt;

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use x509_cert::der::{Decode, Encode};
use zeroize::Zeroizing;

use crate::base::{Error, Result, from_base64};

/// RSA keys from this size on are recommended: CPIX 2.4 §4.
const RECOMMENDED_BITS: usize = 3072;
/// `sha-1WithRSAEncryption`: RFC 8017 appendix A.2.4.
const SHA1_WITH_RSA: &str = "1.2.840.113549.1.1.5";

/// The private RSA key of a recipient. It is never printed.
pub struct RecipientKey {
    key: OaepPrivateDecryptingKey,
}

/// A recipient's or a signer's X.509 certificate with an RSA key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// `SubjectPublicKeyInfo`, DER.
    public_key: Vec<u8>,
    signed_with_sha1: bool,
    subject: String,
}

impl RecipientKey {
    /// Reads PKCS #8, DER or PEM.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::base::Kind::Input) for anything else, and for another than an RSA key of 2048
    /// bits or more.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let der = Zeroizing::new(from_pem(bytes, "PRIVATE KEY")?);
        let key = PrivateDecryptingKey::from_pkcs8(&der).and_then(|key| {
            OaepPrivateDecryptingKey::new(key)
                .map_err(|_| aws_lc_rs::error::KeyRejected::from(aws_lc_rs::error::Unspecified))
        });
        let key = key.map_err(|_| {
            Error::input("not a private RSA key of 2048 to 8192 bits as PKCS #8")
                .clause("RFC 5958")
                .hint("openssl pkcs8 -topk8 -nocrypt writes it")
        })?;
        Ok(Self { key })
    }

    /// Whether it is the private key of a certificate.
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        let sealed = certificate.seal(b"whose").ok();
        let opened = sealed.and_then(|sealed| self.open(&sealed));
        opened.is_some_and(|opened| opened.as_slice() == b"whose")
    }

    /// Opens what was encrypted for this key; `None` when it is for another.
    pub(super) fn open(&self, cipher: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut output = Zeroizing::new(vec![0; self.key.min_output_size()]);
        let length = self.key.decrypt(&OAEP_SHA1_MGF1SHA1, cipher, &mut output, None).ok()?.len();
        Some(Zeroizing::new(output.get(..length)?.to_vec()))
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecipientKey(…)")
    }
}

impl Certificate {
    /// Reads a certificate, DER or PEM.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::base::Kind::Input) for anything else, and for another than an RSA key of 2048
    /// bits or more.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let der = from_pem(bytes, "CERTIFICATE")?;
        let wrong = |what: &str| Error::input(what.to_owned()).clause("RFC 5280 §4.1");
        let parsed = x509_cert::Certificate::from_der(&der).map_err(|_| wrong("not an X.509 certificate"))?;
        let info = &parsed.tbs_certificate;
        let public_key = info
            .subject_public_key_info
            .to_der()
            .map_err(|_| wrong("the public key of the certificate is not read"))?;
        let certificate = Self {
            der,
            public_key,
            signed_with_sha1: parsed.signature_algorithm.oid.to_string() == SHA1_WITH_RSA,
            subject: info.subject.to_string(),
        };
        certificate.key()?;
        Ok(certificate)
    }

    /// The certificate's bytes, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject's distinguished name (RFC 4514).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `SubjectPublicKeyInfo`, DER.
    pub(super) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// What CPIX 2.4 advises against in this certificate.
    pub fn weaknesses(&self) -> Vec<String> {
        let bits = self.key().map_or(0, |key| key.key_size_bits());
        let mut found = Vec::new();
        if bits < RECOMMENDED_BITS {
            found.push(format!("its RSA key has {bits} bits, {RECOMMENDED_BITS} are recommended"));
        }
        if self.signed_with_sha1 {
            found.push("it is signed with SHA-1".to_owned());
        }
        found
    }

    /// Encrypts a key for the certificate's holder. The primitive draws its own seed.
    pub(super) fn seal(&self, secret: &[u8]) -> Result<Vec<u8>> {
        let key = self.key()?;
        let mut output = vec![0; key.ciphertext_size()];
        let length = key
            .encrypt(&OAEP_SHA1_MGF1SHA1, secret, &mut output, None)
            .map_err(|_| Error::input("the certificate's key does not encrypt").clause("RFC 8017 §7.1.1"))?
            .len();
        output.truncate(length);
        Ok(output)
    }

    fn key(&self) -> Result<OaepPublicEncryptingKey> {
        let wrong =
            || Error::input("the certificate has no RSA key of 2048 to 8192 bits").clause("CPIX 2.4 §4");
        let key = PublicEncryptingKey::from_der(&self.public_key).map_err(|_| wrong())?;
        OaepPublicEncryptingKey::new(key).map_err(|_| wrong())
    }
}

/// The bytes of the first PEM block of this label (RFC 7468), or all bytes when they are no PEM.
fn from_pem(bytes: &[u8], label: &str) -> Result<Vec<u8>> {
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN ")) else {
        return Ok(bytes.to_vec());
    };
    let block = text
        .split_once(&format!("-----BEGIN {label}-----"))
        .and_then(|(_, rest)| rest.split_once(&format!("-----END {label}-----")))
        .ok_or_else(|| Error::input(format!("no PEM block \"{label}\"")).clause("RFC 7468 §2"))?;
    from_base64(block.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_or_certificate_is_refused() {
        for text in ["", "x", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"] {
            assert!(RecipientKey::parse(text.as_bytes()).is_err(), "{text}");
            assert!(Certificate::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
