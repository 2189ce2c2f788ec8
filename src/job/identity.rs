//! What a job is, so that no other goes on with its files: options, inputs and keys, each as a SHA-256 — FIPS 180-4.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::id::hex;
use crate::base::{Error, Kid, Result, Secret, shown_input};

use super::rules::Job;

/// What every finished file of a job depends on.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Of this program.
    version: String,
    options: String,
    inputs: String,
    keys: String,
}

impl Identity {
    pub(super) fn without_keys(job: &Job, inputs: Summary) -> Self {
        // The query of an address is its signature, which is another each time.
        let shown = job.inputs.iter().map(|input| shown_input(input)).collect();
        let mut options = Summary::default();
        options.add(&serde_json::to_vec(&Job { inputs: shown, ..job.clone() }).unwrap_or_default());
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            options: options.finish(),
            inputs: inputs.finish(),
            keys: String::new(),
        }
    }

    pub(super) fn with_keys(self, keys: Summary) -> Self {
        Self { keys: keys.finish(), ..self }
    }

    /// Checks everything but the keys.
    pub(super) fn check_job(&self, other: &Self) -> Result<()> {
        same("options", (&self.options, &other.options))?;
        same("inputs", (&self.inputs, &other.inputs))?;
        same("version of this program", (&self.version, &other.version))
    }

    pub(super) fn check_keys(&self, other: &Self) -> Result<()> {
        same("keys, IVs or pssh boxes", (&self.keys, &other.keys))
    }

    /// One name for all of it.
    pub(super) fn digest(&self) -> Result<String> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::storage(error.to_string()))?;
        Ok(hex(&Sha256::digest(bytes)))
    }
}

fn same(what: &str, (before, now): (&str, &str)) -> Result<()> {
    if before == now {
        return Ok(());
    }
    Err(Error::usage(format!("the interrupted job had other {what}"))
        .at("--resume")
        .hint("call it as it was called, or leave out --resume to begin again"))
}

/// A digest of things, each with its length before it, so that no two lists are alike.
#[derive(Default)]
pub(super) struct Summary(Sha256);

impl Summary {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    /// A document or file and its name.
    pub(super) fn named(&mut self, name: &str, bytes: &[u8]) {
        self.add(name.as_bytes());
        self.add(bytes);
    }

    /// A key with its IV: an HMAC under the key tells it from others and nothing of itself.
    pub(super) fn key(&mut self, kid: Kid, value: &Secret<16>, iv: Option<&[u8; 16]>) -> Result<()> {
        let mac = Hmac::<Sha256>::new_from_slice(value.expose());
        let mut mac = mac.map_err(|_| Error::keys("the key is not fit for HMAC"))?;
        mac.update(b"drm-pack journal 2");
        mac.update(kid.bytes());
        mac.update(iv.map_or(&[], |iv| iv.as_slice()));
        self.add(&mac.finalize().into_bytes());
        Ok(())
    }

    fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}
