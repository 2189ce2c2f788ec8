//! The words of a key source held to what is packed, before any of it is written — SPEKE 2.0, DASH-IF CPIX 2.3 §4.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::base::id::hex;
use crate::base::{Error, Kid, Result, Secret, base64, from_base64};
use crate::cpix::DrmSystem;
use crate::drm::{Fault, Pssh, Signal, System, contradictions, is_elements};

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

/// Whether players would take the media for clear: that is never passed on.
fn says_clear(fault: &Fault) -> bool {
    fault.rule == "hls-method" && fault.found == "NONE"
}

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
    (system, mut answer): (&'static dyn System, DrmSystem),
    warnings: &mut Vec<String>,
) -> Result<DrmSystem> {
    let key_store = |kid| keys.iter().find(|(known, _)| *known == kid).map(|(_, value)| value.clone());
    let others: Vec<Kid> = keys.iter().map(|(kid, _)| *kid).collect();
    use_object(system, &mut answer)?;
    let found = contradictions(system, &answer, (signal, &others), intent.manifests, &key_store);
    let goes_on = goes_on_as_said(intent, (system.name(), signal.key.kid), (&found, keys), warnings)?;
    if !goes_on {
        return Ok(DrmSystem::new(answer.system_id, answer.kid));
    }
    // What is no XML can stand in no MPD: ours does in its place.
    if answer.content_protection_data.take_if(|text| !is_elements(text)).is_some() && !found.is_empty() {
        let (name, kid) = (system.name(), signal.key.kid);
        warnings.push(format!("{name}, key {kid}: ContentProtectionData that is no XML is left out"));
    }
    Ok(answer)
}

/// Some servers have the data of a system where the elements for an MPD belong: it is as good as its box.
fn use_object(system: &dyn System, answer: &mut DrmSystem) -> Result<()> {
    let Some(text) = answer.content_protection_data.as_deref().filter(|text| !is_elements(text)) else {
        return Ok(());
    };
    let bytes = from_base64(text).unwrap_or_else(|_| text.as_bytes().to_vec());
    let Some(data) = Some(bytes).filter(|bytes| system.recognizes(bytes)) else { return Ok(()) };
    let boxes = answer.pssh.as_deref().map(Pssh::parse_all).transpose()?.unwrap_or_default();
    if boxes.is_empty() {
        answer.pssh = Some(Pssh { system_id: answer.system_id, kids: None, data }.write()?);
    } else if boxes.iter().all(|pssh| pssh.data != data) {
        return Ok(());
    }
    answer.content_protection_data = None;
    Ok(())
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
        ServerSignaling::Warn if found.iter().any(|(_, fault)| says_clear(fault)) => {
            Err(Error::keys(format!("the key server's signaling says that the media is clear: {said}"))
                .clause("RFC 8216bis §4.4.4.4")
                .hint("correct it at the key server, or go on with --server-signaling replace")
                .at(name))
        }
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
