//! Keys of whole segments, and how a playlist names them — RFC 8216bis §4.4.4.4, §5.2.

use std::collections::HashMap;

use crate::base::id::hex;
use crate::base::uri::folder_from;
use crate::base::{Error, Kid, Result, Secret};
use crate::cpix::{self, Document, DrmSystem};
use crate::drm::template::{self, UriValues};
use crate::package::{Assignment, Keyed, key_request};
use crate::protect::{Aes128, constant_iv};

use super::package::{KeyUse, Package};
use super::rules::{Maps, WholeRules};
use crate::hls::AES_128;
use crate::job::choice::{Choice, Source};
use crate::job::env::{Env, Event};
use crate::job::rules::Job;
use crate::job::weak_keys::weak_keys;

/// What the request and the report call it.
pub(in crate::job) const NAME: &str = "aes-128";

/// The keys of every crypto period and substream.
pub(super) struct Keys {
    keys: HashMap<Kid, ContentKey>,
    /// For each crypto period the key id of each substream.
    kids: Vec<Vec<Kid>>,
    pub(super) periods: usize,
    /// The playlist that the job was given: a relative key URI is relative to it.
    input: String,
    /// What the operator should know of them.
    pub(super) warnings: Vec<String>,
}

/// One key as players find it.
struct ContentKey {
    kid: Kid,
    value: Secret<16>,
    /// The IV of everything under it; by default each segment has its media sequence number.
    iv: Option<[u8; 16]>,
    uri: String,
}

/// The document that asks for the keys of so many crypto periods.
pub(super) fn request(rules: &WholeRules, assignment: &Assignment, periods: usize) -> Document {
    let changing = if rules.schedule.rotates() { periods } else { 0 };
    key_request(&rules.content_id, (NAME, None), assignment, rules.vector, changing)
}

/// What is asked for of a key: there is no scheme, and no system is told about it.
pub(super) fn wanted(rules: &WholeRules, kid: Kid) -> (cpix::ContentKey, Vec<DrmSystem>) {
    (cpix::ContentKey { explicit_iv: rules.vector, ..cpix::ContentKey::new(kid) }, Vec::new())
}

impl Keys {
    /// Asks for the keys of a package.
    pub(super) fn exchange(
        (job, rules): (&Job, &WholeRules),
        package: &Package,
        (source, choice, periods): (&Source<'_>, &Choice, usize),
        env: &Env<'_>,
    ) -> Result<Self> {
        choice.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
        (env.observe)(Event::Step("exchanging keys"));
        let asked = || request(rules, &choice.assignment, periods);
        let Keyed { document, kids } =
            source.keys(choice, env.http, (&asked, periods), &|kid| wanted(rules, kid))?;
        let warnings = weak_keys(job, &document)?;
        warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
        let mut keys = HashMap::with_capacity(document.content_keys.len());
        for key in document.content_keys {
            let mut tracks = (0..)
                .zip(&package.substreams)
                .filter(|(number, _)| kids.iter().any(|period| period.get(*number) == Some(&key.kid)));
            // A key of several tracks has none of their names.
            let track = match (tracks.next(), tracks.next()) {
                (Some((_, only)), None) if choice.assignment.keys.len() > 1 => only.id.as_str(),
                _ => "all",
            };
            let value = key.value.ok_or_else(|| Error::keys(format!("no value for key {}", key.kid)))?;
            let iv = key.explicit_iv.or(rules.vector).or_else(|| match rules.maps {
                // An encrypted map must have its IV written: §4.4.4.4. Some players take one key tag for both.
                Maps::Encrypted => Some(constant_iv(key.kid, &value)),
                Maps::Clear => None,
            });
            let values = UriValues { kid: key.kid, iv, content_id: &rules.content_id, track };
            let uri = template::expand(&rules.key_uri, &values)?;
            keys.insert(key.kid, ContentKey { kid: key.kid, value, iv, uri });
        }
        let keys = Self { keys, kids, periods, input: package.input.clone(), warnings };
        env.check_keys(|summary| {
            let used = keys.kids.iter().flatten().filter_map(|kid| keys.keys.get(kid));
            used.into_iter().try_for_each(|key| summary.key(key.kid, &key.value, key.iv.as_ref()))
        })?;
        Ok(keys)
    }

    fn find(&self, substream: usize, period: usize) -> Option<&ContentKey> {
        self.keys.get(self.kids.get(period)?.get(substream)?)
    }

    /// The key id of a substream in each period.
    pub(super) fn kids(&self, substream: usize) -> Vec<String> {
        (0..self.periods).filter_map(|period| Some(self.find(substream, period)?.kid.to_string())).collect()
    }

    /// What encrypts a file or a range of one.
    pub(super) fn cipher(&self, usage: KeyUse) -> Result<Aes128> {
        let key = self.find(usage.substream, usage.period);
        let key = key.ok_or_else(|| Error::keys("no key for a segment"))?;
        let iv = key.iv.unwrap_or_else(|| Aes128::iv_of_media_sequence_number(usage.sequence));
        Ok(Aes128::new(&key.value, iv))
    }

    /// The `EXT-X-KEY` tag in a playlist of this name, where `implied` is the media sequence number that stands for
    /// an IV that is not written. A relative URI is written differently in other folders than that of the input.
    pub(super) fn line(&self, usage: KeyUse, implied: Option<u64>, playlist: &str) -> Option<String> {
        let ContentKey { uri, iv, .. } = self.find(usage.substream, usage.period)?;
        let is_relative = !uri.starts_with('/') && !uri.split('/').next().unwrap_or_default().contains(':');
        let up = if is_relative { folder_from(playlist, &self.input) } else { String::new() };
        let written = || Aes128::iv_of_media_sequence_number(usage.sequence);
        let iv = iv.or_else(|| (implied != Some(usage.sequence)).then(written));
        let iv = iv.map_or_else(String::new, |iv| format!(",IV=0x{}", hex(&iv)));
        Some(format!("#EXT-X-KEY:METHOD={AES_128},URI=\"{up}{uri}\"{iv}"))
    }
}
