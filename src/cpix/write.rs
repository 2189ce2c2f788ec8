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
