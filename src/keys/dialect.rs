//! How one server is spoken to: version, where it reads the content id, for whom it encrypts — SPEKE 2.0, content key
//! encryption; DASH-IF CPIX 2.3 §4, DeliveryData.

use std::sync::Arc;

use super::SpekeVersion;
use crate::base::{Error, Result};
use crate::cpix::{self, Certificate, DeliveryData, Document, Original, RecipientKey};

/// How requests are written and answers read.
#[derive(Clone, Debug, Default)]
pub struct Dialect {
    /// The version of SPEKE.
    pub version: SpekeVersion,
    /// Whether `CPIX/@id` is the content id as well, as in SPEKE 1.0.
    pub has_id: bool,
    /// For whom content keys come encrypted.
    pub recipient: Option<Arc<Recipient>>,
    /// Whose signatures answers must have; anyone's or none when nobody is named.
    pub trusted: Arc<[Certificate]>,
    /// `Content-Type` of requests; `application/xml` when none is named.
    pub content_type: Option<String>,
    /// Headers of every request that are no secret.
    pub headers: &'static [(&'static str, &'static str)],
    /// The header of an answer that says what is wrong.
    pub error_header: Option<String>,
    /// Which content ids are taken; every one when nothing is said.
    pub ids: Option<IdRule>,
}

/// Which content ids a server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRule {
    /// What may be in one besides letters and digits of ASCII.
    pub others: &'static str,
    /// How many characters it may have.
    pub longest: usize,
}

impl IdRule {
    /// What vendors take who say nothing else: up to 128 letters, digits, `-` and `_`.
    pub const USUAL: Self = Self { others: "-_", longest: 128 };

    /// Checks a content id.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for one that is not taken.
    pub fn check(&self, id: &str) -> Result<()> {
        let is_taken = |c: &char| c.is_ascii_alphanumeric() || self.others.contains(*c);
        let other = id.chars().find(|c| !is_taken(c));
        if other.is_none() && (1..=self.longest).contains(&id.chars().count()) {
            return Ok(());
        }
        let others: String = self.others.chars().map(|c| format!(" {c}")).collect();
        Err(Error::usage(format!(
            "content id {id:?}, the key server takes 1 to {} of A-Z a-z 0-9{others}",
            self.longest
        ))
        .hint("give another one with --resource-id"))
    }
}

impl From<SpekeVersion> for Dialect {
    fn from(version: SpekeVersion) -> Self {
        Self { version, ..Self::default() }
    }
}

impl Dialect {
    /// Checks a content id before anything is sent.
    ///
    /// # Errors
    /// As [`IdRule::check`].
    pub fn check_id(&self, document: &Document) -> Result<()> {
        let id = document.content_id.as_deref().unwrap_or_default();
        self.ids.map_or(Ok(()), |ids| ids.check(id))
    }

    /// The request document; it may hold the IV that the operator fixed, but no key.
    ///
    /// # Errors
    /// When the version cannot carry it.
    pub fn write(&self, document: &Document) -> Result<Vec<u8>> {
        let mut document = document.clone();
        document.id = document.content_id.clone().filter(|_| self.has_id);
        if let Some(recipient) = &self.recipient {
            let certificate = recipient.certificate.der().to_vec();
            document.delivery_data = vec![DeliveryData { certificate, ..DeliveryData::default() }];
        }
        self.version.write(&document)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// As [`read_with`](crate::cpix::read_with), when keys come in plain text that were to be encrypted, and when it is not
    /// signed as it has to be.
    pub(super) fn read(&self, body: &[u8]) -> Result<Document> {
        if !self.trusted.is_empty() {
            cpix::check_signed(body, &self.trusted)?;
        }
        let Some(recipient) = &self.recipient else { return self.version.read(body, &[]) };
        let document = self.version.read(body, &recipient.keys)?;
        let clear = document.content_keys.len().saturating_sub(Original::parse(body)?.encrypted_keys());
        if clear > 0 {
            return Err(Error::keys(format!(
                "{clear} content keys in plain text, encrypted ones expected for the certificate in the request"
            ))
            .clause("SPEKE 2.0, content key encryption")
            .hint("let the key server encrypt, or leave the recipient's certificate out"));
        }
        Ok(document)
    }
}

/// Who opens content keys that are encrypted: a certificate for the request, and private keys for the answer.
#[derive(Debug)]
pub struct Recipient {
    certificate: Certificate,
    keys: Vec<RecipientKey>,
}

impl Recipient {
    /// The holder of this certificate.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when none of the private keys is that of the certificate.
    pub fn new(certificate: Certificate, keys: Vec<RecipientKey>) -> Result<Self> {
        if keys.iter().any(|key| key.is_of(&certificate)) {
            return Ok(Self { certificate, keys });
        }
        Err(Error::usage(format!(
            "no private key is that of the recipient's certificate ({})",
            certificate.subject()
        ))
        .hint("give the one that belongs to it with --recipient-key"))
    }
}
