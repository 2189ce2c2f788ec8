//! The key server's side of SPEKE 2.0 and 2.1: a CPIX request comes in and goes out filled.

use std::collections::{HashMap, HashSet};

use crate::base::{Error, Kid, Result};
use crate::cpix::{self, ContentKeyUsageRule, Document, DrmSystem};
use crate::drm::Signal;
use crate::protect::Scheme;
use crate::xml;

use super::Answers;

/// A version of SPEKE that has a version header.
#[derive(Debug, PartialEq, Eq)]
pub struct Version {
    /// `X-Speke-Version`.
    pub speke: &'static str,
    /// `CPIX/@version` that it prescribes.
    pub cpix: &'static str,
}

/// The versions that are answered.
pub const VERSIONS: &[Version] =
    &[Version { speke: "2.0", cpix: "2.3" }, Version { speke: "2.1", cpix: "2.4" }];

impl Version {
    /// The version of this header.
    ///
    /// # Errors
    /// With the text of the specification for another one.
    pub fn find(speke: &str) -> Result<&'static Self> {
        VERSIONS.iter().find(|version| version.speke == speke).ok_or_else(|| {
            let known: Vec<_> = VERSIONS.iter().map(|version| version.speke).collect();
            Error::keys(format!(
                "Unsupported SPEKE version, expected X-Speke-Version: {}",
                known.join(" or ")
            ))
        })
    }
}

const CLAUSE: &str = "SPEKE 2.0";

/// Answers one request: every key gets a value and an IV, every empty child of a DRM system is filled.
///
/// # Errors
/// When the request breaks a rule of SPEKE 2.0; the text is that of the specification where it has one.
pub fn answer(answers: &Answers<'_>, version: &Version, request: &[u8]) -> Result<Vec<u8>> {
    let mut document = cpix::read(request)?;
    let scheme = check(answers, &document, version)?;
    answers.fault.edit_request(&mut document)?;
    fill(answers, &mut document, scheme)?;
    let written = answers.fault.write(document)?;
    if version.cpix == "2.4" { with_master(&written) } else { Ok(written) }
}

/// SPEKE 2.1 speaks of `master` playlists, unlike the version of CPIX that it builds on.
fn with_master(written: &[u8]) -> Result<Vec<u8>> {
    fn rename(element: &mut xml::Element) -> Result<()> {
        if element.attribute("playlist")?.as_deref() == Some("multiVariant") {
            element.set_attribute("playlist", "master");
        }
        element.elements_mut().try_for_each(rename)
    }
    let mut document = xml::Document::parse(written)?;
    rename(document.root_mut())?;
    Ok(document.to_bytes())
}

/// Checks the request and returns the scheme of its keys.
fn check(answers: &Answers<'_>, document: &Document, version: &Version) -> Result<&'static Scheme> {
    let refuse = |text: &str| Err(Error::keys(text));
    if document.content_id.as_deref().unwrap_or_default().is_empty() {
        return refuse("Missing CPIX@contentId");
    }
    match document.version.as_deref() {
        None => return refuse("Missing CPIX@version"),
        Some(found) if found == version.cpix => {}
        Some(found) => {
            return refuse(&format!("Unsupported CPIX@version {found:?}, expected {}", version.cpix));
        }
    }
    let Some(first) = document.content_keys.first() else { return refuse("Missing CPIX/ContentKeyList") };
    if document.drm_systems.is_empty() {
        return refuse("Missing CPIX/DRMSystemList");
    }
    check_contract(document)?;
    for key in &document.content_keys {
        if key.common_encryption_scheme.is_none() {
            let text = format!("Missing ContentKey@commonEncryptionScheme for KID {}", key.kid);
            return refuse(&text);
        }
        if key.common_encryption_scheme != first.common_encryption_scheme {
            return refuse("Non compliant ContentKey@commonEncryptionScheme combination");
        }
    }
    let name = first.common_encryption_scheme.map(|scheme| scheme.to_string()).unwrap_or_default();
    let scheme = Scheme::find(&name)?;
    check_systems(answers, document, scheme)?;
    Ok(scheme)
}

/// The encryption contract: one usage rule for each key, each with a track type of its own and a filter.
fn check_contract(document: &Document) -> Result<()> {
    let rules = &document.usage_rules;
    if rules.iter().all(|rule| rule.video_filters.is_empty() && rule.audio_filters.is_empty()) {
        return Err(Error::keys("Missing CPIX encryption contract"));
    }
    let index = document.index();
    let has_index = |rule: &ContentKeyUsageRule| index.period_index(rule).is_some();
    let refused = |rule: &ContentKeyUsageRule| {
        let filter = rule.finer_filter()?;
        (filter != cpix::KEY_PERIOD_FILTER || !has_index(rule)).then(|| filter.to_owned())
    };
    if let Some(filter) = rules.iter().find_map(refused) {
        return Err(Error::keys(format!("Requested CPIX encryption contract not supported: {filter}")));
    }
    let malformed =
        |what: String| Err(Error::keys(format!("Malformed encryption contract: {what}")).clause(CLAUSE));
    let mut counts: HashMap<Kid, usize> = HashMap::new();
    rules.iter().for_each(|rule| *counts.entry(rule.kid).or_default() += 1);
    for key in &document.content_keys {
        let count = counts.get(&key.kid).copied().unwrap_or(0);
        if count != 1 {
            return malformed(format!("{count} usage rules for KID {}, expected 1", key.kid));
        }
    }
    let mut known = HashMap::new();
    for rule in rules {
        *known.entry((rule.intended_track_type.as_deref(), index.period_index(rule))).or_insert(0_usize) += 1;
    }
    for rule in rules {
        let Some(track_type) = rule.intended_track_type.as_ref().filter(|name| !name.is_empty()) else {
            return malformed(format!("no intendedTrackType for KID {}", rule.kid));
        };
        let purpose = (rule.intended_track_type.as_deref(), index.period_index(rule));
        if known.get(&purpose).is_some_and(|count| *count > 1) {
            return malformed(format!("intendedTrackType {track_type:?} is there twice"));
        }
        if rule.video_filters.is_empty() && rule.audio_filters.is_empty() {
            return malformed(format!("no filter for intendedTrackType {track_type:?}"));
        }
        if index.content_key(rule.kid).is_none() {
            return malformed(format!("a usage rule for KID {}, which has no ContentKey", rule.kid));
        }
    }
    Ok(())
}

fn check_systems(answers: &Answers<'_>, document: &Document, scheme: &Scheme) -> Result<()> {
    let index = document.index();
    for entry in &document.drm_systems {
        let id = entry.system_id;
        let Some(system) = answers.system(id) else {
            return Err(Error::keys(format!("Unsupported DRMSystem {id}")));
        };
        if !system.allows(scheme) {
            let text = format!("ContentKey@commonEncryptionScheme non compatible with DRMSystem {id}");
            return Err(Error::keys(text));
        }
        if index.content_key(entry.kid).is_none() {
            return Err(Error::keys(format!(
                "DRMSystem {id} for KID {}, which has no ContentKey",
                entry.kid
            )));
        }
    }
    let served: HashSet<Kid> = document.drm_systems.iter().map(|entry| entry.kid).collect();
    match document.content_keys.iter().find(|key| !served.contains(&key.kid)) {
        Some(key) => Err(Error::keys(format!("Missing DRMSystem for KID {}", key.kid))),
        None => Ok(()),
    }
}

/// Fills a request: values and IVs of keys, then what DRM systems are told.
pub(super) fn fill(answers: &Answers<'_>, document: &mut Document, scheme: &Scheme) -> Result<()> {
    let keys = answers.keys;
    for key in &mut document.content_keys {
        key.value = Some(keys.key(key.kid)?);
        key.explicit_iv = Some(key.explicit_iv.map_or_else(|| keys.iv(key.kid), Ok)?);
    }
    let mut systems = std::mem::take(&mut document.drm_systems);
    let index = document.index();
    for entry in &mut systems {
        let Some(key) = index.content_key(entry.kid) else { continue };
        let rule = index.usage_rule(key.kid);
        let signal = Signal {
            key,
            scheme,
            content_id: document.content_id.as_deref().unwrap_or_default(),
            skd_template: "",
            track: rule.and_then(|rule| rule.intended_track_type.as_deref()).unwrap_or_default(),
            license_url: None,
        };
        fill_system(answers, &signal, entry)?;
    }
    document.drm_systems = systems;
    answers.add(document);
    Ok(())
}

/// Asks for everything that a system can be told.
pub(super) fn ask_all(entry: &mut DrmSystem) {
    entry.pssh.get_or_insert_default();
    entry.content_protection_data.get_or_insert_default();
    entry.hls_signaling_data.media.get_or_insert_default();
    entry.hls_signaling_data.multivariant.get_or_insert_default();
    entry.smooth_streaming_protection_header_data.get_or_insert_default();
}

/// Fills the children that are there and empty; what was not asked for stays away.
fn fill_system(answers: &Answers<'_>, signal: &Signal<'_>, entry: &mut DrmSystem) -> Result<()> {
    let asked = entry.clone();
    answers.signal(signal, entry)?;
    // A child that its system does not have: an empty PSSH stays, as encryptors send one to every system.
    entry.pssh = asked.pssh.map(|pssh| entry.pssh.take().unwrap_or(pssh));
    entry.content_protection_data.take_if(|text| asked.content_protection_data.is_none() || text.is_empty());
    entry
        .smooth_streaming_protection_header_data
        .take_if(|text| asked.smooth_streaming_protection_header_data.is_none() || text.is_empty());
    if asked.hls_signaling_data.media.or(asked.hls_signaling_data.multivariant).is_none() {
        entry.hls_signaling_data = cpix::HlsSignalingData::default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FourCc, Kid};
    use crate::cpix::{AudioFilter, ContentKey, ContentKeyUsageRule, VideoFilter};
    use crate::drm;
    use crate::drm::ManifestKind;
    use crate::keys;
    use crate::keys::DevKeys;
    use crate::server::{Fault, Says};

    fn request(scheme: &[u8; 4]) -> Document {
        let kids = [Kid::new([0x11; 16]), Kid::new([0x22; 16])];
        let key =
            |kid| ContentKey { common_encryption_scheme: Some(FourCc(*scheme)), ..ContentKey::new(kid) };
        let rule =
            |kid, track_type: &str, video: &[VideoFilter], audio: &[AudioFilter]| ContentKeyUsageRule {
                intended_track_type: Some(track_type.into()),
                video_filters: video.to_vec(),
                audio_filters: audio.to_vec(),
                ..ContentKeyUsageRule::new(kid)
            };
        let scheme = Scheme::find(std::str::from_utf8(scheme).unwrap()).unwrap();
        let mut drm_systems = Vec::new();
        for system in drm::ALL.iter().filter(|system| system.allows(scheme)) {
            for kid in kids {
                let mut entry = DrmSystem::new(system.system_id(), kid);
                system.request(&mut entry, &[ManifestKind::Hls, ManifestKind::Dash]);
                drm_systems.push(entry);
            }
        }
        Document {
            content_id: Some("asset-1".into()),
            version: Some("2.3".into()),
            content_keys: kids.map(key).to_vec(),
            drm_systems,
            usage_rules: vec![
                rule(kids[0], "VIDEO", &[VideoFilter::default()], &[]),
                rule(kids[1], "AUDIO", &[], &[AudioFilter::default()]),
            ],
            ..Document::default()
        }
    }

    fn answered_bytes(fault: Fault, request: &[u8]) -> Result<Vec<u8>> {
        let (keys, says) = (&DevKeys::new("seed"), &Says::default());
        answer(&Answers { keys, says, key_uri: "https://k/{kid}", fault }, &VERSIONS[0], request)
    }

    fn answered(fault: Fault, request: &Document) -> Result<Document> {
        cpix::read(&answered_bytes(fault, &cpix::write(request))?)
    }

    #[test]
    fn every_child_that_was_asked_for_is_filled_and_no_other() {
        for scheme in [b"cenc", b"cbcs"] {
            let request = request(scheme);
            let answer = answered(Fault::None, &request).unwrap();
            assert_eq!(answer.drm_systems.len(), request.drm_systems.len());
            for (asked, filled) in request.drm_systems.iter().zip(&answer.drm_systems) {
                assert_eq!(asked.pssh.is_some(), filled.pssh.as_ref().is_some_and(|pssh| !pssh.is_empty()));
                for (asked, filled) in [
                    (&asked.content_protection_data, &filled.content_protection_data),
                    (&asked.hls_signaling_data.media, &filled.hls_signaling_data.media),
                    (&asked.hls_signaling_data.multivariant, &filled.hls_signaling_data.multivariant),
                    (
                        &asked.smooth_streaming_protection_header_data,
                        &filled.smooth_streaming_protection_header_data,
                    ),
                ] {
                    assert_eq!(asked.is_some(), filled.as_ref().is_some_and(|text| !text.is_empty()));
                }
            }
            assert!(answer.content_keys.iter().all(|key| key.value.is_some() && key.explicit_iv.is_some()));
        }
    }

    #[test]
    fn the_client_accepts_the_answer_and_the_same_request_gives_the_same_keys() {
        let request = request(b"cbcs");
        let first = keys::check(&request, answered(Fault::None, &request).unwrap()).unwrap();
        let second = answered(Fault::None, &request).unwrap();
        for (a, b) in first.content_keys.iter().zip(&second.content_keys) {
            assert_eq!(a.value.as_ref().unwrap().expose(), b.value.as_ref().unwrap().expose());
        }
    }

    #[test]
    fn an_iv_and_signaling_of_the_request_stay() {
        let mut request = request(b"cbcs");
        request.content_keys[0].explicit_iv = Some([7; 16]);
        request.drm_systems[0].hls_signaling_data.media = Some("#EXT-X-KEY:MINE=1".into());
        let answer = answered(Fault::None, &request).unwrap();
        assert_eq!(answer.content_keys[0].explicit_iv, Some([7; 16]));
        assert_eq!(answer.drm_systems[0].hls_signaling_data.media.as_deref(), Some("#EXT-X-KEY:MINE=1"));
    }

    #[test]
    fn one_playlist_line_that_is_asked_for_comes_as_a_pair() {
        let mut request = request(b"cbcs");
        request.drm_systems[0].hls_signaling_data.multivariant = None;
        let answer = answered(Fault::None, &request).unwrap();
        assert!(answer.drm_systems[0].hls_signaling_data.multivariant.is_some());
    }

    #[test]
    fn an_empty_box_of_a_system_without_one_comes_back_empty() {
        let mut request = request(b"cbcs");
        let entry = request
            .drm_systems
            .iter_mut()
            .find(|entry| drm::find_id(entry.system_id).unwrap().pssh_system_id().is_none());
        let system_id = entry.map(|entry| {
            entry.pssh = Some(vec![]);
            entry.content_protection_data = Some(String::new());
            entry.system_id
        });
        let answer = answered(Fault::None, &request).unwrap();
        let entry = answer.drm_system(system_id.unwrap(), request.content_keys[0].kid).unwrap();
        assert_eq!(entry.pssh, Some(vec![]));
        assert_eq!(entry.content_protection_data, None);
    }

    #[test]
    fn each_rule_that_is_broken_is_named() {
        type Break = fn(&mut Document);
        let breaks: &[(&str, Break)] = &[
            ("Missing CPIX@contentId", |d| d.content_id = None),
            ("Missing CPIX@version", |d| d.version = None),
            ("Unsupported CPIX@version", |d| d.version = Some("2.1".into())),
            ("Missing CPIX/ContentKeyList", |d| d.content_keys.clear()),
            ("Missing CPIX/DRMSystemList", |d| d.drm_systems.clear()),
            ("Missing CPIX encryption contract", |d| d.usage_rules.clear()),
            ("Missing CPIX encryption contract", |d| {
                d.usage_rules.iter_mut().for_each(|rule| {
                    rule.video_filters.clear();
                    rule.audio_filters.clear();
                });
            }),
            ("Missing ContentKey@commonEncryptionScheme for KID 22222222-2222-2222-2222-222222222222", |d| {
                d.content_keys[1].common_encryption_scheme = None;
            }),
            ("Non compliant ContentKey@commonEncryptionScheme combination", |d| {
                d.content_keys[1].common_encryption_scheme = Some(FourCc(*b"cenc"));
            }),
            ("ContentKey@commonEncryptionScheme non compatible with DRMSystem 94ce86fb-", |d| {
                d.content_keys.iter_mut().for_each(|key| {
                    key.common_encryption_scheme = Some(FourCc(*b"cenc"));
                });
            }),
            ("protection scheme \"aaaa\"", |d| {
                d.content_keys.iter_mut().for_each(|key| {
                    key.common_encryption_scheme = Some(FourCc(*b"aaaa"));
                });
            }),
            ("Malformed encryption contract: 0 usage rules", |d| drop(d.usage_rules.pop())),
            ("Malformed encryption contract: intendedTrackType", |d| {
                d.usage_rules[1].intended_track_type = Some("VIDEO".into());
            }),
            ("Malformed encryption contract: no intendedTrackType", |d| {
                d.usage_rules[1].intended_track_type = None;
            }),
            ("Malformed encryption contract: no filter", |d| d.usage_rules[1].audio_filters.clear()),
            ("Missing DRMSystem for KID", |d| {
                let kid = d.content_keys[1].kid;
                d.drm_systems.retain(|entry| entry.kid != kid);
            }),
            ("Unsupported DRMSystem", |d| {
                d.drm_systems[0].system_id = crate::base::SystemId::new([1; 16]);
            }),
        ];
        for (text, change) in breaks {
            let mut request = request(b"cbcs");
            change(&mut request);
            let error = answered(Fault::None, &request).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error:?} does not start with {text:?}");
        }
    }

    #[test]
    fn a_filter_for_key_periods_is_not_supported() {
        let text = String::from_utf8(cpix::write(&request(b"cbcs"))).unwrap();
        let text =
            text.replace("<cpix:AudioFilter/>", "<cpix:AudioFilter/><cpix:KeyPeriodFilter periodId=\"a\"/>");
        let error = answered_bytes(Fault::None, text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("Requested CPIX encryption contract not supported"), "{error}");
    }

    #[test]
    fn replaced_key_ids_are_consistent_and_wrong_ones_are_not() {
        let request = request(b"cbcs");
        let replaced = answered(Fault::ReplacedKids, &request).unwrap();
        let checked = keys::check(&request, replaced).unwrap();
        assert_ne!(checked.content_keys[0].kid, request.content_keys[0].kid);
        let wrong = answered(Fault::WrongKid, &request).unwrap();
        assert!(keys::check(&request, wrong).is_err());
    }

    #[test]
    fn a_short_key_is_seen_by_the_reader() {
        let error = answered(Fault::ShortKey, &request(b"cenc")).unwrap_err().to_string();
        assert!(error.contains("8 bytes"), "{error}");
    }

    #[test]
    fn a_certificate_in_the_request_gets_no_key_in_plain_text() {
        let mut request = request(b"cbcs");
        let certificate = include_bytes!("../../fixtures/recipient/certificate.der").to_vec();
        request.delivery_data = vec![cpix::DeliveryData { certificate, ..cpix::DeliveryData::default() }];
        let keys = DevKeys::new("seed");
        let answer = answered_bytes(Fault::None, &cpix::write(&request)).unwrap();
        let text = String::from_utf8(answer.clone()).unwrap();
        assert!(!text.contains("PlainValue"));
        let recipient =
            cpix::RecipientKey::parse(include_bytes!("../../fixtures/recipient/key.der")).unwrap();
        let opened = cpix::read_with(&answer, &[recipient]).unwrap();
        for key in &opened.content_keys {
            let expected = keys.key(key.kid).unwrap();
            assert_eq!(key.value.as_ref().unwrap().expose(), expected.expose());
            assert!(!text.contains(&crate::base::base64(expected.expose())));
        }
        request.delivery_data[0].certificate.truncate(100);
        assert!(answered(Fault::None, &request).is_err());
    }
}
