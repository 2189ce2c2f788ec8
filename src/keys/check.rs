//! Checks of a key server's answer — SPEKE 2.0, DASH-IF CPIX 2.3: what was asked for, and nothing else.

use crate::base::{Error, Kid, Result, SystemId};
use crate::cpix::{ContentKey, ContentKeyUsageRule, Document, DrmSystem};
use crate::xml::{self, Node};

/// Bytes of a `pssh` box before its system id: size, type, version and flags — ISO/IEC 23001-7 §8.1.
const PSSH_HEADER: usize = 12;
/// Bytes of a version 0 `pssh` box around its data.
const PSSH_OVERHEAD: usize = PSSH_HEADER + 16 + 4;
/// How many key ids of an answer an error names.
const MAX_KIDS_SHOWN: usize = 4;

/// Checks `answer` against `request` and puts it into the order of the request.
///
/// Key ids that the server replaced are taken over when the answer is consistent: the usage rule of the
/// same `intendedTrackType` names the new one, or there are no usage rules at all and as many keys come
/// as were asked for. Every DRM system of the request has an entry in the result; what the answer leaves
/// empty is `None` there, and what nobody asked for is left out.
///
/// # Errors
/// [`Kind::Keys`](crate::base::Kind::Keys) when a key is missing or under a wrong id, when its scheme or
/// IV differs from the request, or when signaling is not what its element is for.
pub fn check(request: &Document, mut answer: Document) -> Result<Document> {
    answer.drop_empty();
    let mut kids: Vec<(Kid, Kid)> = Vec::new();
    let mut content_keys = Vec::new();
    for (index, wanted) in request.content_keys.iter().enumerate() {
        let kid = answered_kid(request, &answer, index, wanted.kid)?;
        if kids.iter().any(|(_, taken)| *taken == kid) {
            return Err(Error::keys(format!("the answer gives key {kid} for two requested keys")));
        }
        kids.push((wanted.kid, kid));
        let key = answer.content_key(kid).ok_or_else(|| wrong_kid(request, &answer, wanted.kid))?;
        content_keys.push(checked_key(wanted, key).map_err(|error| error.at(format_args!("key {kid}")))?);
    }
    let renamed = |kid: Kid| kids.iter().find(|(old, _)| *old == kid).map_or(kid, |(_, new)| *new);
    let drm_systems = request
        .drm_systems
        .iter()
        .map(|wanted| answered_system(&answer, wanted, renamed(wanted.kid)))
        .collect::<Result<_>>()?;
    let usage_rules = request
        .usage_rules
        .iter()
        .map(|rule| ContentKeyUsageRule { kid: renamed(rule.kid), ..rule.clone() })
        .collect();
    Ok(Document {
        content_id: request.content_id.clone(),
        version: request.version.clone(),
        content_keys,
        drm_systems,
        usage_rules,
    })
}

/// The id under which the answer has the requested key.
fn answered_kid(request: &Document, answer: &Document, index: usize, wanted: Kid) -> Result<Kid> {
    let wrong = || wrong_kid(request, answer, wanted);
    let rule = track_type(request, wanted).and_then(|track_type| rule_of(answer, track_type));
    let kid = match rule {
        Some(rule) => {
            if let Some(filter) = rule.other_filters.first() {
                return Err(Error::keys(format!(
                    "the usage rule of key {} has {filter}, which was not asked for",
                    rule.kid
                )));
            }
            rule.kid
        }
        None if answer.content_key(wanted).is_some() => wanted,
        None if answer.usage_rules.is_empty() && answer.content_keys.len() == request.content_keys.len() => {
            answer.content_keys.get(index).ok_or_else(wrong)?.kid
        }
        None => return Err(wrong()),
    };
    // A replaced id that is still there, or that belongs to another requested key, is no replacement.
    let replaced = kid != wanted;
    let ambiguous = answer.content_key(wanted).is_some() || request.content_key(kid).is_some();
    if answer.content_key(kid).is_none() || (replaced && ambiguous) {
        return Err(wrong());
    }
    Ok(kid)
}

fn track_type(request: &Document, kid: Kid) -> Option<&str> {
    request.usage_rules.iter().find(|rule| rule.kid == kid)?.intended_track_type.as_deref()
}

fn rule_of<'a>(answer: &'a Document, track_type: &str) -> Option<&'a ContentKeyUsageRule> {
    answer.usage_rules.iter().find(|rule| {
        rule.intended_track_type.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(track_type))
    })
}

fn wrong_kid(request: &Document, answer: &Document, wanted: Kid) -> Error {
    let purpose = track_type(request, wanted)
        .map_or_else(String::new, |track_type| format!(" for track type {track_type:?}"));
    if answer.content_keys.is_empty() {
        return Error::keys(format!("the answer has no content key; asked for was {wanted}{purpose}"));
    }
    let others: Vec<_> = answer.content_keys.iter().map(|key| key.kid).collect();
    let shown: Vec<_> = others.iter().take(MAX_KIDS_SHOWN).map(Kid::to_string).collect();
    let more = if others.len() > MAX_KIDS_SHOWN { ", …" } else { "" };
    Error::keys(format!("wrong KID: asked for {wanted}{purpose}, the answer has {}{more}", shown.join(", ")))
        .clause("SPEKE 2.0, ContentKey@kid")
        .hint("let the key server keep the key ids of the request")
}

fn checked_key(wanted: &ContentKey, found: &ContentKey) -> Result<ContentKey> {
    if found.value.is_none() {
        return Err(Error::keys("the answer has the key's element without a value")
            .clause("SPEKE 2.0, ContentKey/Data/Secret"));
    }
    if let (Some(asked), Some(scheme)) = (wanted.common_encryption_scheme, found.common_encryption_scheme)
        && asked != scheme
    {
        return Err(Error::keys(format!("the answer is for scheme {scheme}, asked for was {asked}"))
            .clause("SPEKE 2.0, ContentKey@commonEncryptionScheme"));
    }
    if let (Some(asked), Some(iv)) = (wanted.explicit_iv, found.explicit_iv)
        && asked != iv
    {
        return Err(Error::keys("the answer has another explicitIV than the request")
            .hint("leave out the IV, so that the key source's own is used"));
    }
    Ok(ContentKey {
        kid: found.kid,
        explicit_iv: found.explicit_iv.or(wanted.explicit_iv),
        common_encryption_scheme: found.common_encryption_scheme.or(wanted.common_encryption_scheme),
        value: found.value.clone(),
    })
}

fn answered_system(answer: &Document, wanted: &DrmSystem, kid: Kid) -> Result<DrmSystem> {
    let system_id = wanted.system_id;
    if let Some(found) = answer.drm_system(system_id, kid) {
        let place = format!("DRMSystem {system_id}, key {kid}");
        return checked_system(found.clone()).map_err(|error| error.at(place));
    }
    if answer.drm_system(system_id, wanted.kid).is_some() {
        return Err(Error::keys(format!(
            "wrong KID: the answer replaced key {} by {kid}, but its DRMSystem {system_id} still names the former",
            wanted.kid
        )));
    }
    Ok(DrmSystem::new(system_id, kid))
}

fn checked_system(mut system: DrmSystem) -> Result<DrmSystem> {
    system.pssh = system.pssh.map(|bytes| pssh_boxes(system.system_id, bytes)).transpose()?;
    system.content_protection_data = system.content_protection_data.as_deref().and_then(fragment);
    for lines in [&system.hls_signaling_data.media, &system.hls_signaling_data.multivariant] {
        let lines = lines.as_deref().unwrap_or_default();
        if lines.lines().any(|line| !line.trim().is_empty() && !line.starts_with("#EXT-X-")) {
            return Err(Error::keys("a line of HLSSignalingData does not begin with #EXT-X-")
                .clause("DASH-IF CPIX 2.3, HLSSignalingData"));
        }
    }
    Ok(system)
}

/// Whole `pssh` boxes of this system; the data of one box alone is wrapped — ISO/IEC 23001-7 §8.1.
fn pssh_boxes(system_id: SystemId, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let clause = "ISO/IEC 23001-7 §8.1";
    if bytes.get(4..8) != Some(b"pssh") {
        let length = |length: usize| u32::try_from(length).map(u32::to_be_bytes);
        let (Ok(size), Ok(data_size)) = (length(bytes.len() + PSSH_OVERHEAD), length(bytes.len())) else {
            return Err(Error::keys(format!("PSSH of {} bytes", bytes.len())).clause(clause));
        };
        let header = [&size[..], b"pssh", &[0; 4], system_id.bytes(), &data_size];
        return Ok([&header.concat(), bytes.as_slice()].concat());
    }
    let mut rest = bytes.as_slice();
    while let Some((size, after)) = rest.split_first_chunk::<4>() {
        let size = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX);
        let found = after.get(PSSH_HEADER - 4..PSSH_HEADER + 12).unwrap_or_default();
        if after.get(..4) != Some(b"pssh") || size < PSSH_OVERHEAD || size > rest.len() {
            return Err(
                Error::keys(format!("PSSH of {} bytes is not a whole pssh box", bytes.len())).clause(clause)
            );
        }
        if found != system_id.bytes() {
            let found = <[u8; 16]>::try_from(found)
                .map_or_else(|_| String::new(), |id| SystemId::new(id).to_string());
            return Err(Error::keys(format!("the PSSH is a box of system {found}, expected {system_id}"))
                .clause(clause));
        }
        rest = rest.get(size..).unwrap_or_default();
    }
    if !rest.is_empty() {
        return Err(Error::keys(format!("{} bytes after the PSSH", rest.len())).clause(clause));
    }
    Ok(bytes)
}

/// The elements for `ContentProtection`, without an XML declaration; `None` when there are none: some
/// servers put a binary object here, and the DRM system then writes its own.
fn fragment(text: &str) -> Option<String> {
    let text = text.trim();
    let text = match text.strip_prefix("<?xml") {
        Some(declaration) => declaration.split_once("?>")?.1.trim(),
        None => text,
    };
    let nodes = xml::parse_fragment(text).ok()?;
    let has_element = nodes.iter().any(|node| matches!(node, Node::Element(_)));
    let has_text = nodes
        .iter()
        .any(|node| matches!(node, Node::Raw(raw) if !raw.starts_with('<') && !raw.trim().is_empty()));
    (has_element && !has_text).then(|| text.to_owned())
}
