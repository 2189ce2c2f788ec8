//! The words of a key source held to what is packed, before any of it is written — SPEKE 2.0, DASH-IF CPIX 2.3 §4.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::base::id::hex;
use crate::base::{Error, Kid, Result, Secret, base64};
use crate::cpix::DrmSystem;
use crate::drm::{Fault, Signal, System, contradictions};

use crate::package::Intent;

/// Most contradictions of one answer that are named.
const MAX_NAMED: usize = 3;

/// What becomes of signaling that contradicts what is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerSignaling {
    /// The job fails.
    #[default]
    Error,
    /// It is passed on, with a warning.
    Warn,
    /// Our own stands in its place, with a warning.
    Replace,
}

/// The keys of an answer, by their ids.
pub(in crate::package) type KeysOfAnswer = Vec<(Kid, Secret<16>)>;

/// A text that quotes an answer, without the keys in it.
fn without_keys(mut text: String, keys: &KeysOfAnswer) -> String {
    for (_, value) in keys {
        let hex = hex(value.expose());
        for form in [hex.to_uppercase(), hex, base64(value.expose())].map(Zeroizing::new) {
            text = text.replace(form.as_str(), "…");
        }
    }
    text
}

/// What a key source says of a key to a system, as far as it is to be passed on; what contradicts what is packed is an
/// error or goes into `warnings`.
pub(in crate::package) fn checked(
    intent: &Intent<'_>,
    (signal, keys): (&Signal<'_>, &KeysOfAnswer),
    (system, answer): (&'static dyn System, DrmSystem),
    warnings: &mut Vec<String>,
) -> Result<DrmSystem> {
    let find_key = |kid| keys.iter().find(|(known, _)| *known == kid).map(|(_, value)| value.clone());
    let others: Vec<Kid> = keys.iter().map(|(kid, _)| *kid).collect();
    let found = contradictions(system, &answer, (signal, &others), intent.manifests, &find_key);
    let goes_on = goes_on_as_said(intent, (system.name(), signal.key.kid), (&found, keys), warnings)?;
    Ok(if goes_on { answer } else { DrmSystem::new(answer.system_id, answer.kid) })
}

/// Whether the words of a key source of a key are passed on, of which this contradicts what is packed; else our own
/// stand in their place.
pub(in crate::package) fn goes_on_as_said(
    intent: &Intent<'_>,
    (name, kid): (&str, Kid),
    (found, keys): (&[(&'static str, Fault)], &KeysOfAnswer),
    warnings: &mut Vec<String>,
) -> Result<bool> {
    if found.is_empty() {
        return Ok(true);
    }
    let mut said: Vec<_> = found
        .iter()
        .take(MAX_NAMED)
        .map(|(place, fault)| {
            format!("{place}: {}: found {}, {} expected", fault.rule, fault.found, fault.expected)
        })
        .collect();
    said.extend(
        found.len().checked_sub(MAX_NAMED).filter(|more| *more > 0).map(|more| format!("{more} more")),
    );
    let said = without_keys(said.join("; "), keys);
    match intent.server_signaling {
        ServerSignaling::Error => Err(Error::keys(format!("the key server's signaling contradicts what is packed: {said}"))
            .hint("correct it at the key server, or go on with --server-signaling replace, or warn, which passes it on")
            .at(name)),
        ServerSignaling::Warn => {
            warnings.push(format!(
                "{name}, key {kid}: the key server's signaling contradicts what is packed and is passed on: {said}"
            ));
            Ok(true)
        }
        ServerSignaling::Replace => {
            warnings.push(format!(
                "{name}, key {kid}: the key server's signaling contradicts what is packed and was replaced by our own: {said}"
            ));
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_quotes_an_answer_has_no_key_in_it() {
        let keys = vec![(Kid::new([1; 16]), Secret::new([0xab; 16]))];
        let text = format!("found {0}, {0:?} or {1}", "ab".repeat(16), base64(&[0xab; 16]));
        assert_eq!(without_keys(text.clone() + &"AB".repeat(16), &keys), "found …, \"…\" or ……");
        assert_eq!(without_keys(text.clone(), &Vec::new()), text);
    }
}
