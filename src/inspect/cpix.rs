//! CPIX documents — DASH-IF CPIX 2.3 §4: what is there for each key, never the key.

use crate::base::Result;
use crate::cpix::{ContentKey, ContentKeyUsageRule, Document, DrmSystem, Original, recipients};
use crate::xml::{Node as XmlNode, parse_fragment};

use super::node::{Budget, Node};
use super::{playlist, pssh, xml};

/// A document: keys, systems, rules, periods, recipients.
pub(super) fn describe(original: &Original, budget: &mut Budget) -> Result<Node> {
    let document = original.document()?;
    let mut node = Node::new("CPIX");
    node.set_some("id", document.id.as_deref())
        .set_some("contentId", document.content_id.as_deref())
        .set_some("name", document.name.as_deref())
        .set_some("version", document.version.as_deref());
    node.set("content_keys", document.content_keys.len());
    node.set("encrypted_keys", original.encrypted_keys());
    for recipient in recipients(&document).unwrap_or_default() {
        let mut child = Node::new("DeliveryData");
        child.set("recipient", recipient.subject());
        node.push(child, budget);
    }
    for key in &document.content_keys {
        let is_encrypted = key.value.is_none() && original.encrypted_keys() > 0;
        node.push(content_key(key, is_encrypted), budget);
    }
    for system in &document.drm_systems {
        if budget.admits(&mut node) {
            let child = drm_system(system, budget);
            node.children.push(child);
        }
    }
    push_rest(&document, &mut node, budget);
    Ok(node)
}

fn content_key(key: &ContentKey, is_encrypted: bool) -> Node {
    let mut node = Node::new("ContentKey");
    node.set_some("id", key.id.as_deref()).set("kid", key.kid.to_string());
    node.set_some("explicitIV", key.explicit_iv.map(|iv| crate::base::id::hex(&iv)))
        .set_some("commonEncryptionScheme", key.common_encryption_scheme.map(|scheme| scheme.to_string()))
        .set_some("dependsOnKey", key.depends_on_key.map(|kid| kid.to_string()))
        .set_some("contentId", key.content_id.as_deref())
        .set_some("HLSHDCPLevel", key.hls_hdcp_level.as_deref());
    let value = match &key.value {
        Some(_) => "present (16 bytes)",
        None if is_encrypted => "encrypted",
        None => "absent",
    };
    node.set("value", value);
    node
}

fn drm_system(system: &DrmSystem, budget: &mut Budget) -> Node {
    let mut node = Node::new("DRMSystem");
    node.set("systemId", pssh::system_words(system.system_id)).set("kid", system.kid.to_string());
    node.set_some("name", system.name.as_deref()).set_some("robustness", system.robustness.as_deref());
    if let Some(uri) = &system.uri_ext_x_key {
        node.set("URIExtXKey", playlist::shown_uri(uri));
    }
    if let Some(header) = &system.smooth_streaming_protection_header_data {
        let mut child = Node::new("SmoothStreamingProtectionHeaderData");
        pssh::base64_fields(header, Some(system.system_id), &mut child);
        node.push(child, budget);
    }
    if let Some(bytes) = &system.pssh {
        let mut child = Node::new("PSSH");
        pssh::fields(bytes, &mut child);
        node.push(child, budget);
    }
    let data = system.content_protection_data.as_deref().unwrap_or_default();
    let elements = parse_fragment(data).unwrap_or_default();
    if !elements.is_empty() && budget.admits(&mut node) {
        let mut child = Node::new("ContentProtectionData");
        for element in &elements {
            if let XmlNode::Element(element) = element
                && budget.admits(&mut child)
            {
                child.children.push(xml::describe(element, budget));
            }
        }
        node.children.push(child);
    }
    let lines = [
        ("HLSSignalingData media", &system.hls_signaling_data.media),
        ("HLSSignalingData master", &system.hls_signaling_data.multivariant),
    ];
    for (name, text) in lines {
        let Some(text) = text else { continue };
        if let Ok(tags) = playlist::describe_tags(text.as_bytes(), budget) {
            node.push(Node { name: name.to_owned(), ..tags }, budget);
        }
    }
    node
}

fn push_rest(document: &Document, node: &mut Node, budget: &mut Budget) {
    for period in &document.periods {
        let mut child = Node::new("ContentKeyPeriod");
        child
            .set_some("id", period.id.as_deref())
            .set_some("index", period.index)
            .set_some("label", period.label.as_deref())
            .set_some("start", period.start.as_deref())
            .set_some("end", period.end.as_deref())
            .set_some("startOffset", period.start_offset.as_deref())
            .set_some("endOffset", period.end_offset.as_deref())
            .set_some("duration", period.duration.as_deref());
        node.push(child, budget);
    }
    for rule in &document.usage_rules {
        node.push(usage_rule(rule), budget);
    }
}

fn usage_rule(rule: &ContentKeyUsageRule) -> Node {
    let mut node = Node::new("ContentKeyUsageRule");
    node.set("kid", rule.kid.to_string());
    node.set_some("intendedTrackType", rule.intended_track_type.as_deref());
    rule.key_period_filters.iter().for_each(|id| {
        node.set("KeyPeriodFilter", id.as_str());
    });
    rule.label_filters.iter().for_each(|label| {
        node.set("LabelFilter", label.as_str());
    });
    let bounds = |min: Option<u64>, max: Option<u64>| {
        let word = |bound: Option<u64>| bound.map(|bound| bound.to_string()).unwrap_or_default();
        format!("{}..{}", word(min), word(max))
    };
    for filter in &rule.video_filters {
        let pixels = bounds(filter.min_pixels.map(u64::from), filter.max_pixels.map(u64::from));
        node.set("VideoFilter", format!("pixels {pixels}"));
    }
    for filter in &rule.audio_filters {
        let channels = bounds(filter.min_channels.map(u64::from), filter.max_channels.map(u64::from));
        node.set("AudioFilter", format!("channels {channels}"));
    }
    for filter in &rule.bitrate_filters {
        node.set("BitrateFilter", bounds(filter.min_bitrate, filter.max_bitrate));
    }
    rule.other_filters.iter().for_each(|name| {
        node.set("unknown_filter", name.as_str());
    });
    node
}
