//! Checks of a key server's answer — SPEKE 2.0, DASH-IF CPIX 2.3: what was asked for, and nothing else.

use std::collections::{HashMap, HashSet};

use crate::base::id::hex;
use crate::base::{Error, FourCc, Kid, Result, SystemId};
use crate::cpix::{ContentKey, ContentKeyUsageRule, Document, DrmSystem, Index, KEY_PERIOD_FILTER};

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
    let both = Both::of(request, &answer);
    let (mut renamed, mut taken) = (HashMap::new(), HashSet::new());
    let mut content_keys = Vec::new();
    for (index, wanted) in request.content_keys.iter().enumerate() {
        let kid = both.answered_kid(index, wanted.kid)?;
        if !taken.insert(kid) {
            return Err(Error::keys(format!("the answer gives key {kid} for two requested keys")));
        }
        renamed.entry(wanted.kid).or_insert(kid);
        let key = both.answered.content_key(kid).ok_or_else(|| both.wrong_kid(wanted.kid))?;
        content_keys.push(checked_key(wanted, key).map_err(|error| error.at(format_args!("key {kid}")))?);
    }
    let renamed = |kid: Kid| renamed.get(&kid).copied().unwrap_or(kid);
    let drm_systems = request
        .drm_systems
        .iter()
        .map(|wanted| answered_system(&both.answered, wanted, renamed(wanted.kid)))
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
        periods: request.periods.clone(),
        ..Document::default()
    })
}

/// A request and its answer, and what is looked up in them for each key.
struct Both<'a> {
    request: &'a Document,
    answer: &'a Document,
    requested: Index<'a>,
    answered: Index<'a>,
    /// The rules of the answer by what they are for; of several the first.
    rules: HashMap<Purpose, &'a ContentKeyUsageRule>,
    /// Whether keys for several schemes are asked for: they may have the same track types.
    is_by_scheme: bool,
}

/// What a key is for: track type, without case, key period, and scheme where there are several.
type Purpose = (String, Option<i64>, Option<FourCc>);

/// What a rule of a document is for.
fn purpose(index: &Index<'_>, rule: &ContentKeyUsageRule, is_by_scheme: bool) -> Option<Purpose> {
    let track_type = rule.intended_track_type.as_ref()?.to_ascii_lowercase();
    let key = index.content_key(rule.kid).filter(|_| is_by_scheme);
    Some((track_type, index.period_index(rule), key.and_then(|key| key.common_encryption_scheme)))
}

impl<'a> Both<'a> {
    fn of(request: &'a Document, answer: &'a Document) -> Self {
        let (requested, answered) = (request.index(), answer.index());
        let mut rules = HashMap::new();
        let schemes = request.content_keys.iter().map(|key| key.common_encryption_scheme);
        let is_by_scheme = schemes.collect::<HashSet<_>>().len() > 1;
        for rule in &answer.usage_rules {
            if let Some(purpose) = purpose(&answered, rule, is_by_scheme) {
                rules.entry(purpose).or_insert(rule);
            }
        }
        Self { request, answer, requested, answered, rules, is_by_scheme }
    }

    /// The id under which the answer has the requested key.
    fn answered_kid(&self, index: usize, wanted: Kid) -> Result<Kid> {
        let (request, answer) = (self.request, self.answer);
        let wrong = || self.wrong_kid(wanted);
        let asked = self.requested.usage_rule(wanted);
        let kid = match asked.and_then(|asked| self.rule_of(asked)) {
            Some(rule) => {
                if let Some(filter) = rule.finer_filter().filter(|filter| !is_asked(asked, filter)) {
                    return Err(Error::keys(format!(
                        "the usage rule of key {} has {filter}, which was not asked for",
                        rule.kid
                    )));
                }
                rule.kid
            }
            None if self.answered.content_key(wanted).is_some() => wanted,
            None if answer.usage_rules.is_empty()
                && answer.content_keys.len() == request.content_keys.len() =>
            {
                answer.content_keys.get(index).ok_or_else(wrong)?.kid
            }
            None => return Err(wrong()),
        };
        // A replaced id that is still there, or that belongs to another requested key, is no replacement.
        let replaced = kid != wanted;
        let ambiguous =
            self.answered.content_key(wanted).is_some() || self.requested.content_key(kid).is_some();
        if self.answered.content_key(kid).is_none() || (replaced && ambiguous) {
            return Err(wrong());
        }
        Ok(kid)
    }

    /// The rule of the answer for the same track type and key period.
    fn rule_of(&self, asked: &ContentKeyUsageRule) -> Option<&'a ContentKeyUsageRule> {
        self.rules.get(&purpose(&self.requested, asked, self.is_by_scheme)?).copied()
    }

    fn wrong_kid(&self, wanted: Kid) -> Error {
        let rule = self.requested.usage_rule(wanted);
        let purpose = rule
            .and_then(|rule| rule.intended_track_type.as_deref())
            .map_or_else(String::new, |track_type| format!(" for track type {track_type:?}"));
        let others = &self.answer.content_keys;
        if others.is_empty() {
            return Error::keys(format!("the answer has no content key; asked for was {wanted}{purpose}"));
        }
        let shown: Vec<_> = others.iter().take(MAX_KIDS_SHOWN).map(|key| key.kid.to_string()).collect();
        let more = if others.len() > MAX_KIDS_SHOWN { ", …" } else { "" };
        Error::keys(format!(
            "wrong KID: asked for {wanted}{purpose}, the answer has {}{more}",
            shown.join(", ")
        ))
        .clause("SPEKE 2.0, ContentKey@kid")
        .hint("let the key server keep the key ids of the request")
    }
}

/// A filter for key periods is asked for when keys change.
fn is_asked(asked: Option<&ContentKeyUsageRule>, filter: &str) -> bool {
    filter == KEY_PERIOD_FILTER && asked.is_some_and(|rule| !rule.key_period_filters.is_empty())
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
        return Err(Error::keys(format!(
            "explicitIV {} in the answer, asked for was {}",
            hex(&iv),
            hex(&asked)
        ))
        .clause("DASH-IF CPIX 2.3 §4, ContentKey@explicitIV")
        .hint("leave out --vector, so that the key source's own IV is used"));
    }
    Ok(ContentKey {
        id: wanted.id.clone(),
        explicit_iv: found.explicit_iv.or(wanted.explicit_iv),
        common_encryption_scheme: found.common_encryption_scheme.or(wanted.common_encryption_scheme),
        hls_hdcp_level: found.hls_hdcp_level.clone(),
        hdcp_output_protection_data: found.hdcp_output_protection_data.clone(),
        value: found.value.clone(),
        ..ContentKey::new(found.kid)
    })
}

fn answered_system(answer: &Index<'_>, wanted: &DrmSystem, kid: Kid) -> Result<DrmSystem> {
    let system_id = wanted.system_id;
    if let Some(found) = answer.drm_system(system_id, kid) {
        let place = format!("DRMSystem {system_id}, key {kid}");
        return checked_system(found.clone()).map_err(|error| error.at(place));
    }
    if answer.drm_system(system_id, wanted.kid).is_some() {
        return Err(Error::keys(format!(
            "wrong KID: the answer replaced key {} by {kid}, its DRMSystem {system_id} names the former",
            wanted.kid
        )));
    }
    Ok(DrmSystem::new(system_id, kid))
}

fn checked_system(mut system: DrmSystem) -> Result<DrmSystem> {
    system.pssh = system.pssh.map(|bytes| pssh_boxes(system.system_id, bytes)).transpose()?;
    if let Some(text) = &mut system.content_protection_data {
        *text = without_declaration(text);
    }
    for lines in [&system.hls_signaling_data.media, &system.hls_signaling_data.multivariant] {
        let lines = lines.as_deref().unwrap_or_default();
        if lines.lines().any(|line| !line.trim().is_empty() && !line.starts_with("#EXT-X-")) {
            return Err(Error::keys("a line of HLSSignalingData does not begin with #EXT-X-")
                .clause("DASH-IF CPIX 2.3, HLSSignalingData"));
        }
    }
    Ok(system)
}

/// Whole `pssh` boxes; the data of one box alone is wrapped for this system — ISO/IEC 23001-7 §8.1.
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
        if after.get(..4) != Some(b"pssh") || size < PSSH_OVERHEAD || size > rest.len() {
            return Err(
                Error::keys(format!("PSSH of {} bytes is not a whole pssh box", bytes.len())).clause(clause)
            );
        }
        rest = rest.get(size..).unwrap_or_default();
    }
    if !rest.is_empty() {
        return Err(Error::keys(format!("{} bytes after the PSSH", rest.len())).clause(clause));
    }
    Ok(bytes)
}

/// The text for `ContentProtection`, without an XML declaration.
fn without_declaration(text: &str) -> String {
    let text = text.trim();
    let declared = text.strip_prefix("<?xml").and_then(|declaration| declaration.split_once("?>"));
    declared.map_or(text, |(_, text)| text.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FourCc, Kind, Secret};
    use crate::cpix::{AudioFilter, VideoFilter};
    use crate::keys::{Wanted, request};

    const SYSTEM: SystemId = SystemId::new([0xab; 16]);

    fn kid(byte: u8) -> Kid {
        Kid::new([byte; 16])
    }

    fn wanted(byte: u8, track_type: &str) -> Wanted {
        Wanted {
            id: None,
            kid: kid(byte),
            explicit_iv: None,
            track_type: track_type.to_owned(),
            video: Some(VideoFilter::default()),
            audio: Some(AudioFilter::default()),
        }
    }

    fn two() -> Document {
        let systems = [1, 2].map(|byte| {
            let mut system = DrmSystem::new(SYSTEM, kid(byte));
            system.pssh = Some(Vec::new());
            system
        });
        let wanted = [wanted(1, "VIDEO"), wanted(2, "AUDIO")];
        request("content", Some(FourCc(*b"cbcs")), &wanted, systems.to_vec())
    }

    fn filled(request: &Document) -> Document {
        let mut answer = request.clone();
        for key in &mut answer.content_keys {
            key.value = Some(Secret::new(*key.kid.bytes()));
        }
        answer
    }

    fn rename(answer: &mut Document, from: u8, to: u8) {
        let rename = |found: &mut Kid| {
            if *found == kid(from) {
                *found = kid(to);
            }
        };
        answer.content_keys.iter_mut().for_each(|key| rename(&mut key.kid));
        answer.drm_systems.iter_mut().for_each(|system| rename(&mut system.kid));
        answer.usage_rules.iter_mut().for_each(|rule| rename(&mut rule.kid));
    }

    fn kids(document: &Document) -> Vec<Kid> {
        document.content_keys.iter().map(|key| key.kid).collect()
    }

    fn message(answer: Document) -> String {
        let error = check(&two(), answer).unwrap_err();
        assert_eq!(error.kind(), Kind::Keys);
        error.to_string()
    }

    #[test]
    fn the_result_has_the_order_of_the_request_and_empty_values_are_none() {
        let mut answer = filled(&two());
        answer.content_keys.reverse();
        answer.content_keys.push(ContentKey { kid: kid(9), ..answer.content_keys[0].clone() });
        answer.drm_systems.reverse();
        answer.drm_systems.push(DrmSystem::new(SYSTEM, kid(9)));
        let result = check(&two(), answer).unwrap();
        assert_eq!(kids(&result), [kid(1), kid(2)]);
        assert_eq!(result.drm_systems.len(), 2);
        assert!(result.drm_systems.iter().all(|system| system.pssh.is_none()));
    }

    #[test]
    fn replaced_key_ids_follow_their_usage_rules() {
        let mut answer = filled(&two());
        answer.content_keys.reverse();
        rename(&mut answer, 1, 7);
        rename(&mut answer, 2, 8);
        let result = check(&two(), answer).unwrap();
        assert_eq!(kids(&result), [kid(7), kid(8)]);
        assert_eq!(result.content_keys[0].value.as_ref().unwrap().expose(), kid(1).bytes());
        assert_eq!(result.drm_systems.iter().map(|s| s.kid).collect::<Vec<_>>(), [kid(7), kid(8)]);
        assert_eq!(result.usage_rules.iter().map(|r| r.kid).collect::<Vec<_>>(), [kid(7), kid(8)]);
    }

    #[test]
    fn replaced_key_ids_follow_their_position_when_there_are_no_rules() {
        let mut answer = filled(&two());
        answer.usage_rules.clear();
        rename(&mut answer, 1, 7);
        rename(&mut answer, 2, 8);
        assert_eq!(kids(&check(&two(), answer.clone()).unwrap()), [kid(7), kid(8)]);
        answer.content_keys.pop();
        assert!(message(answer).starts_with("wrong KID"));
    }

    #[test]
    fn a_wrong_key_id_is_told_with_both() {
        let mut only_key = filled(&two());
        only_key.content_keys[0].kid = kid(7);
        let mut other_system = filled(&two());
        rename(&mut other_system, 1, 7);
        other_system.drm_systems[0].kid = kid(1);
        let mut swapped = filled(&two());
        swapped.usage_rules[0].kid = kid(2);
        let mut missing = filled(&two());
        missing.content_keys.remove(0);
        for (answer, other) in [(only_key, 7), (other_system, 7), (swapped, 2), (missing, 2)] {
            let text = message(answer);
            assert!(text.contains("wrong KID"), "{text}");
            assert!(text.contains(&kid(1).to_string()) && text.contains(&kid(other).to_string()), "{text}");
        }
        assert!(message(Document::default()).contains("no content key"));
    }

    #[test]
    fn one_new_key_id_does_not_serve_twice() {
        let mut answer = filled(&two());
        answer.content_keys.remove(0);
        rename(&mut answer, 2, 7);
        rename(&mut answer, 1, 7);
        assert!(message(answer).contains("for two requested keys"));
    }

    #[test]
    fn keys_without_value_of_another_scheme_or_iv_are_refused() {
        let mut empty = filled(&two());
        empty.content_keys[1].value = None;
        assert!(message(empty).contains("without a value"));
        let mut scheme = filled(&two());
        scheme.content_keys[1].common_encryption_scheme = Some(FourCc(*b"cenc"));
        assert!(message(scheme).contains("scheme cenc, asked for was cbcs"));
        let mut filters = filled(&two());
        filters.usage_rules[0].other_filters.push("KeyPeriodFilter".to_owned());
        assert!(message(filters).contains("KeyPeriodFilter"));
        let mut asked = two();
        asked.content_keys[0].explicit_iv = Some([1; 16]);
        let mut answer = filled(&asked);
        answer.content_keys[0].explicit_iv = Some([2; 16]);
        assert!(check(&asked, answer.clone()).unwrap_err().to_string().contains("explicitIV"));
        answer.content_keys[0].explicit_iv = None;
        assert_eq!(check(&asked, answer).unwrap().content_keys[0].explicit_iv, Some([1; 16]));
    }

    fn with_system(edit: impl Fn(&mut DrmSystem)) -> Result<DrmSystem> {
        let mut answer = filled(&two());
        edit(&mut answer.drm_systems[0]);
        check(&two(), answer).map(|document| document.drm_systems[0].clone())
    }

    #[test]
    fn pssh_is_a_whole_box() {
        let data = b"payload".to_vec();
        let whole = with_system(|system| system.pssh = Some(data.clone())).unwrap().pssh.unwrap();
        assert_eq!(whole.len(), 39);
        assert_eq!(&whole[..12], b"\0\0\0\x27pssh\0\0\0\0");
        assert_eq!(&whole[28..], b"\0\0\0\x07payload");
        let again = with_system(|system| system.pssh = Some(whole.clone())).unwrap().pssh.unwrap();
        assert_eq!(again, whole);
        let twice = [whole.clone(), whole.clone()].concat();
        assert_eq!(with_system(|system| system.pssh = Some(twice.clone())).unwrap().pssh.unwrap(), twice);

        for length in 8..whole.len() {
            let cut = whole[..length].to_vec();
            assert!(with_system(|system| system.pssh = Some(cut.clone())).is_err(), "{length}");
        }
        let long = [whole.as_slice(), b"\0\0"].concat();
        assert!(with_system(|system| system.pssh = Some(long.clone())).is_err());
    }

    #[test]
    fn hls_lines_are_tags() {
        let line = "#EXT-X-KEY:METHOD=SAMPLE-AES\r\n#EXT-X-KEY:METHOD=NONE\n";
        let system = with_system(|system| system.hls_signaling_data.media = Some(line.to_owned())).unwrap();
        assert_eq!(system.hls_signaling_data.media.as_deref(), Some(line));
        let error = with_system(|system| {
            system.hls_signaling_data.multivariant = Some("#EXT-X-SESSION-KEY:A\nhttp://h/x.ts".to_owned());
        });
        assert!(error.unwrap_err().to_string().contains("#EXT-X-"));
    }

    #[test]
    fn content_protection_data_has_no_declaration() {
        for text in ["<a/>", "<?xml version=\"1.0\"?>\n<a/> "] {
            let system = with_system(|system| system.content_protection_data = Some(text.to_owned()));
            assert_eq!(system.unwrap().content_protection_data.as_deref(), Some("<a/>"), "{text}");
        }
    }
}
