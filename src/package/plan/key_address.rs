//! Where players get the key of whole segments: the words of the key source first, then the operator's — RFC 8216bis
//! §4.4.4.4.

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result};
use crate::cpix::{ContentKey, DrmSystem};
use crate::drm::aes128::{KeyTag, NAME};
use crate::drm::template::{self, UriValues};

use super::server_signaling::{KeysOfAnswer, goes_on_as_said};
use crate::package::Intent;

/// What playlists say of a key, besides method and IV.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyAddress {
    /// `URI`.
    pub(crate) uri: String,
    /// Every other attribute, each with its name.
    pub(crate) others: Vec<String>,
}

/// What the key source says of a key, as far as it is to be passed on.
pub(in crate::package) fn key_tag(
    intent: &Intent<'_>,
    (key, keys): (&ContentKey, &KeysOfAnswer),
    answer: Option<&DrmSystem>,
    warnings: &mut Vec<String>,
) -> Result<Option<KeyTag>> {
    let Some(tag) = answer.map(KeyTag::of).transpose()?.flatten() else { return Ok(None) };
    let faults = tag.faults(key.explicit_iv.or(intent.vector));
    let found: Vec<_> =
        faults.into_iter().map(|fault| ("HLSSignalingData of media playlists", fault)).collect();
    let goes_on = goes_on_as_said(intent, (NAME, key.kid), (&found, keys), warnings)?;
    Ok(goes_on.then_some(tag))
}

impl KeyAddress {
    /// The address in a tag, else the one that a template makes.
    pub(in crate::package) fn of(
        tag: Option<KeyTag>,
        (template, values): (Option<&str>, &UriValues<'_>),
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let ours = template.map(|template| template::expand(template, values)).transpose()?;
        match (tag, ours) {
            (Some(tag), ours) => {
                warnings.extend(ours.filter(|ours| *ours != tag.uri).map(|_| {
                    format!(
                        "key {}: the address of the key source is used, and not that of --key-uri",
                        values.kid
                    )
                }));
                Ok(Self { uri: tag.uri, others: tag.others })
            }
            (None, Some(uri)) => Ok(Self { uri, others: Vec::new() }),
            (None, None) => Err(Error::usage(format!(
                "--drm {NAME} with no key URI: the key source says none for key {}",
                values.kid
            ))
            .hint("give --key-uri with the address at which players get the key, or --write-key-file")),
        }
    }
}
