//! CPIX documents to bytes — DASH-IF CPIX 2.3, children in the order of its schema.

use quick_xml::escape::escape;
use zeroize::Zeroizing;

use super::document::{ContentKey, ContentKeyUsageRule, Document, DrmSystem};
use crate::base::base64;

const CPIX: &str = "urn:dashif:org:cpix";
/// RFC 6030.
const PSKC: &str = "urn:ietf:params:xml:ns:keyprov:pskc";

/// Writes a document; it holds the keys in plain text, so the caller wipes it.
///
/// A usage rule with [`other_filters`](ContentKeyUsageRule::other_filters) is left out: without them it
/// would reach tracks that it was not made for.
pub fn write(document: &Document) -> Vec<u8> {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str("<cpix:CPIX");
    attribute(&mut out, "xmlns:cpix", Some(CPIX));
    attribute(&mut out, "xmlns:pskc", Some(PSKC));
    attribute(&mut out, "contentId", document.content_id.as_deref());
    attribute(&mut out, "version", document.version.as_deref());
    out.push_str(">\n");
    list(&mut out, "ContentKeyList", &document.content_keys, content_key);
    let playlist = if document.version.as_deref() == Some("2.4") { "multiVariant" } else { "master" };
    list(&mut out, "DRMSystemList", &document.drm_systems, |out, system| drm_system(out, system, playlist));
    let rules: Vec<_> = document.usage_rules.iter().filter(|rule| rule.other_filters.is_empty()).collect();
    list(&mut out, "ContentKeyUsageRuleList", &rules, |out, rule| usage_rule(out, rule));
    out.push_str("</cpix:CPIX>\n");
    out.into_bytes()
}

fn list<T>(out: &mut String, name: &str, items: &[T], write: impl Fn(&mut String, &T)) {
    if items.is_empty() {
        return;
    }
    out.push_str(&format!("  <cpix:{name}>\n"));
    items.iter().for_each(|item| write(out, item));
    out.push_str(&format!("  </cpix:{name}>\n"));
}

fn content_key(out: &mut String, key: &ContentKey) {
    out.push_str("    <cpix:ContentKey");
    attribute(out, "kid", Some(&key.kid.to_string()));
    attribute(out, "id", key.id.as_deref());
    attribute(out, "explicitIV", key.explicit_iv.as_ref().map(|iv| base64(iv)).as_deref());
    let scheme = key.common_encryption_scheme.map(|scheme| scheme.to_string());
    attribute(out, "commonEncryptionScheme", scheme.as_deref());
    let Some(value) = &key.value else {
        out.push_str("/>\n");
        return;
    };
    let value = Zeroizing::new(base64(value.expose()));
    out.push_str(">\n      <cpix:Data><pskc:Secret><pskc:PlainValue>");
    out.push_str(&value);
    out.push_str("</pskc:PlainValue></pskc:Secret></cpix:Data>\n    </cpix:ContentKey>\n");
}

fn drm_system(out: &mut String, system: &DrmSystem, multivariant: &str) {
    out.push_str("    <cpix:DRMSystem");
    attribute(out, "kid", Some(&system.kid.to_string()));
    attribute(out, "systemId", Some(&system.system_id.to_string()));
    out.push_str(">\n");
    let encoded = |text: &Option<String>| text.as_ref().map(|text| base64(text.as_bytes()));
    child(out, "PSSH", None, system.pssh.as_ref().map(|pssh| base64(pssh)));
    child(out, "ContentProtectionData", None, encoded(&system.content_protection_data));
    child(out, "HLSSignalingData", Some("media"), encoded(&system.hls_signaling_data.media));
    child(out, "HLSSignalingData", Some(multivariant), encoded(&system.hls_signaling_data.multivariant));
    child(
        out,
        "SmoothStreamingProtectionHeaderData",
        None,
        system.smooth_streaming_protection_header_data.clone(),
    );
    out.push_str("    </cpix:DRMSystem>\n");
}

fn child(out: &mut String, name: &str, playlist: Option<&str>, text: Option<String>) {
    let Some(text) = text else { return };
    out.push_str(&format!("      <cpix:{name}"));
    attribute(out, "playlist", playlist);
    if text.is_empty() {
        out.push_str("/>\n");
    } else {
        out.push_str(&format!(">{}</cpix:{name}>\n", escape(&text)));
    }
}

fn usage_rule(out: &mut String, rule: &ContentKeyUsageRule) {
    out.push_str("    <cpix:ContentKeyUsageRule");
    attribute(out, "kid", Some(&rule.kid.to_string()));
    attribute(out, "intendedTrackType", rule.intended_track_type.as_deref());
    out.push_str(">\n");
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    for filter in &rule.video_filters {
        out.push_str("      <cpix:VideoFilter");
        attribute(out, "minPixels", number(filter.min_pixels).as_deref());
        attribute(out, "maxPixels", number(filter.max_pixels).as_deref());
        out.push_str("/>\n");
    }
    for filter in &rule.audio_filters {
        out.push_str("      <cpix:AudioFilter");
        attribute(out, "minChannels", number(filter.min_channels).as_deref());
        attribute(out, "maxChannels", number(filter.max_channels).as_deref());
        out.push_str("/>\n");
    }
    out.push_str("    </cpix:ContentKeyUsageRule>\n");
}

fn attribute(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.push_str(&format!(" {name}=\"{}\"", escape(value)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{FourCc, Kid, Secret, SystemId};
    use crate::cpix::{AudioFilter, HlsSignalingData, VideoFilter, read};

    /// Text that survives XML attribute normalization and trimming.
    fn words() -> impl Strategy<Value = String> {
        "[a-z<>&'\"é:+]{1,12}"
    }

    fn optional<S: Strategy + 'static>(strategy: S) -> impl Strategy<Value = Option<S::Value>>
    where
        S::Value: Clone,
    {
        proptest::option::of(strategy)
    }

    prop_compose! {
        fn content_key()(
            kid in any::<[u8; 16]>(),
            explicit_iv in optional(any::<[u8; 16]>()),
            scheme in optional(Just(FourCc(*b"cbcs"))),
            value in optional(any::<[u8; 16]>()),
        ) -> ContentKey {
            let value = value.map(Secret::new);
            ContentKey { id: None, kid: Kid::new(kid), explicit_iv, common_encryption_scheme: scheme, value }
        }
    }

    prop_compose! {
        fn drm_system()(
            system_id in any::<[u8; 16]>(),
            kid in any::<[u8; 16]>(),
            pssh in optional(any::<Vec<u8>>()),
            content_protection_data in optional(words()),
            media in optional(Just(String::new())),
            multivariant in optional(words()),
            smooth in optional("[A-Z]{0,8}"),
        ) -> DrmSystem {
            DrmSystem {
                system_id: SystemId::new(system_id),
                kid: Kid::new(kid),
                pssh,
                content_protection_data,
                hls_signaling_data: HlsSignalingData { media, multivariant },
                smooth_streaming_protection_header_data: smooth,
            }
        }
    }

    prop_compose! {
        fn usage_rule()(
            kid in any::<[u8; 16]>(),
            intended_track_type in optional(words()),
            (min_pixels, max_pixels) in any::<(Option<u32>, Option<u32>)>(),
            (min_channels, max_channels) in any::<(Option<u32>, Option<u32>)>(),
            (video, audio) in (0..3usize, 0..3usize),
        ) -> ContentKeyUsageRule {
            ContentKeyUsageRule {
                kid: Kid::new(kid),
                intended_track_type,
                video_filters: vec![VideoFilter { min_pixels, max_pixels }; video],
                audio_filters: vec![AudioFilter { min_channels, max_channels }; audio],
                other_filters: Vec::new(),
            }
        }
    }

    prop_compose! {
        fn document()(
            content_id in optional(words()),
            version in optional(prop_oneof![Just("2.3".to_owned()), Just("2.4".to_owned())]),
            content_keys in proptest::collection::vec(content_key(), 0..4),
            drm_systems in proptest::collection::vec(drm_system(), 0..4),
            usage_rules in proptest::collection::vec(usage_rule(), 0..4),
        ) -> Document {
            Document { content_id, version, content_keys, drm_systems, usage_rules }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(document in document()) {
            let written = write(&document);
            let found = read(&written).unwrap();
            // `Debug` leaves the keys out; they are compared by themselves.
            prop_assert_eq!(format!("{found:?}"), format!("{document:?}"));
            for (found, wanted) in found.content_keys.iter().zip(&document.content_keys) {
                let bytes = |key: &ContentKey| key.value.as_ref().map(|value| *value.expose());
                prop_assert_eq!(bytes(found), bytes(wanted));
            }
        }

        #[test]
        fn a_cut_or_changed_document_never_panics(
            document in document(),
            cut in any::<prop::sample::Index>(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = write(&document);
            let _ = read(&bytes[..cut.index(bytes.len())]);
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let _ = read(&bytes);
        }
    }

    #[test]
    fn children_come_in_the_order_of_the_schema_and_empty_ones_ask() {
        let kid = Kid::new([0x11; 16]);
        let mut system = DrmSystem::new(SystemId::new([0x22; 16]), kid);
        system.hls_signaling_data.media = Some(String::new());
        system.pssh = Some(Vec::new());
        let document = Document {
            content_id: Some("a&b".to_owned()),
            version: Some("2.3".to_owned()),
            content_keys: vec![ContentKey {
                id: None,
                kid,
                explicit_iv: None,
                common_encryption_scheme: Some(FourCc(*b"cenc")),
                value: None,
            }],
            drm_systems: vec![system],
            usage_rules: vec![ContentKeyUsageRule {
                kid,
                intended_track_type: Some("ALL".to_owned()),
                video_filters: vec![VideoFilter::default()],
                audio_filters: vec![AudioFilter::default()],
                other_filters: Vec::new(),
            }],
        };
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<cpix:CPIX xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" contentId="a&amp;b" version="2.3">
  <cpix:ContentKeyList>
    <cpix:ContentKey kid="11111111-1111-1111-1111-111111111111" commonEncryptionScheme="cenc"/>
  </cpix:ContentKeyList>
  <cpix:DRMSystemList>
    <cpix:DRMSystem kid="11111111-1111-1111-1111-111111111111" systemId="22222222-2222-2222-2222-222222222222">
      <cpix:PSSH/>
      <cpix:HLSSignalingData playlist="media"/>
    </cpix:DRMSystem>
  </cpix:DRMSystemList>
  <cpix:ContentKeyUsageRuleList>
    <cpix:ContentKeyUsageRule kid="11111111-1111-1111-1111-111111111111" intendedTrackType="ALL">
      <cpix:VideoFilter/>
      <cpix:AudioFilter/>
    </cpix:ContentKeyUsageRule>
  </cpix:ContentKeyUsageRuleList>
</cpix:CPIX>
"#;
        assert_eq!(String::from_utf8(write(&document)).unwrap(), expected);
    }
}
