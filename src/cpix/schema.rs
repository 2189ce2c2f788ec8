//! Which elements and attributes stand where — the schemas of DASH-IF CPIX 2.1 to 2.4.

use std::collections::HashSet;

use super::version::{SAYINGS, Version};
use crate::base::short_word;
use crate::xml::Element;

/// An element, its CPIX children in order, its attributes; those that it must have end in `!`.
struct Rule {
    element: &'static str,
    children: &'static [&'static str],
    attributes: &'static [&'static str],
}

const fn rule(
    element: &'static str,
    children: &'static [&'static str],
    attributes: &'static [&'static str],
) -> Rule {
    Rule { element, children, attributes }
}

/// Elements whose children are of other standards are not listed.
const RULES: &[Rule] = &[
    rule(
        "CPIX",
        &[
            "DeliveryDataList",
            "ContentKeyList",
            "DRMSystemList",
            "ContentKeyPeriodList",
            "ContentKeyUsageRuleList",
            "UpdateHistoryItemList",
            "Signature",
        ],
        &["id", "contentId", "name", "version"],
    ),
    rule("DeliveryDataList", &["DeliveryData"], &["id", "updateVersion"]),
    rule(
        "DeliveryData",
        &[
            "DeliveryKey",
            "DocumentKey",
            "MACMethod",
            "Description",
            "SendingEntity",
            "SenderPointOfContact",
            "ReceivingEntity",
        ],
        &["id", "updateVersion", "name"],
    ),
    rule("ContentKeyList", &["ContentKey"], &["id", "updateVersion"]),
    rule(
        "ContentKey",
        &[
            "HDCPData",
            "Issuer",
            "AlgorithmParameters",
            "KeyProfileId",
            "KeyReference",
            "FriendlyName",
            "Data",
            "UserId",
            "Policy",
            "Extensions",
        ],
        &["id", "Algorithm", "contentId", "kid!", "explicitIV", "dependsOnKey", "commonEncryptionScheme"],
    ),
    rule("DRMSystemList", &["DRMSystem"], &["id", "updateVersion"]),
    rule(
        "DRMSystem",
        &[
            "PSSH",
            "ContentProtectionData",
            "URIExtXKey",
            "HLSSignalingData",
            "SmoothStreamingProtectionHeaderData",
            "HDSSignalingData",
        ],
        &["id", "updateVersion", "systemId!", "kid!", "name", "HLSAllowedCPC"],
    ),
    rule("ContentProtectionData", &[], &["robustness"]),
    rule("HLSSignalingData", &[], &["playlist", "allowedCPC"]),
    rule("ContentKeyPeriodList", &["ContentKeyPeriod"], &["id", "updateVersion"]),
    rule(
        "ContentKeyPeriod",
        &[],
        &["id", "index", "label", "start", "end", "startOffset", "endOffset", "duration"],
    ),
    rule("ContentKeyUsageRuleList", &["ContentKeyUsageRule"], &["id", "updateVersion"]),
    rule(
        "ContentKeyUsageRule",
        &["KeyPeriodFilter", "LabelFilter", "VideoFilter", "AudioFilter", "BitrateFilter"],
        &["id", "kid!", "intendedTrackType"],
    ),
    rule("KeyPeriodFilter", &[], &["periodId!"]),
    rule("LabelFilter", &[], &["label!"]),
    rule("VideoFilter", &[], &["minPixels", "maxPixels", "hdr", "wcg", "minFps", "maxFps"]),
    rule("AudioFilter", &[], &["minChannels", "maxChannels"]),
    rule("BitrateFilter", &[], &["minBitrate", "maxBitrate"]),
    rule("UpdateHistoryItemList", &["UpdateHistoryItem"], &["id"]),
    rule("UpdateHistoryItem", &[], &["id", "updateVersion!", "index!", "source!", "date!"]),
];

/// Children of which there may be several.
const SEVERAL: &[&str] = &[
    "DeliveryData",
    "ContentKey",
    "DRMSystem",
    "HLSSignalingData",
    "ContentKeyPeriod",
    "ContentKeyUsageRule",
    "KeyPeriodFilter",
    "LabelFilter",
    "VideoFilter",
    "AudioFilter",
    "BitrateFilter",
    "UpdateHistoryItem",
    "Extensions",
    "Signature",
];

/// The place of a child in its parent; what is of other namespaces comes last.
pub(super) fn rank(parent: &str, child: &str) -> usize {
    let rule = RULES.iter().find(|rule| rule.element == parent);
    rule.and_then(|rule| rule.children.iter().position(|name| *name == child)).unwrap_or(usize::MAX)
}

/// Whether the order of an element's children is fixed here.
pub(super) fn orders(parent: &str) -> bool {
    RULES.iter().any(|rule| rule.element == parent && !rule.children.is_empty())
}

/// What breaks the schema of this version in the element and below it.
pub(super) fn findings(element: &Element, version: Version, found: &mut Vec<String>) {
    let name = element.local_name();
    let Some(rule) = RULES.iter().find(|rule| rule.element == name) else { return };
    attributes(element, rule, version, found);
    let mut last = 0;
    let mut known = HashSet::new();
    for child in element
        .elements()
        .filter(|child| child.prefix() == element.prefix() || rule.children.contains(&child.local_name()))
    {
        let child_name = child.local_name();
        let Some(place) = rule.children.iter().position(|name| *name == child_name) else {
            if child.prefix() == element.prefix() {
                found.push(format!("{name}/{} is not in the schema", short_word(child_name)));
            }
            continue;
        };
        if place < last {
            found.push(format!("{name}/{child_name} stands too late"));
        }
        last = last.max(place);
        let several =
            SEVERAL.contains(&child_name) || (child_name == "DocumentKey" && version == Version::V2_4);
        if !several && !known.insert(child_name) {
            found.push(format!("{name}/{child_name} stands there twice"));
        }
        if version.lacks(&format!("{name}/{child_name}")) {
            found.push(format!("{name}/{child_name} is not in CPIX {}", version.name()));
        }
        findings(child, version, found);
    }
    let empty = name.ends_with("List") && element.elements().next().is_none();
    if empty && version == Version::V2_4 {
        found.push(format!("{name} is empty"));
    }
}

fn attributes(element: &Element, rule: &Rule, version: Version, found: &mut Vec<String>) {
    let name = rule.element;
    let attributes = element.raw_attributes().unwrap_or_default();
    for (attribute, value) in &attributes {
        if attribute.contains(':') || *attribute == "xmlns" {
            continue;
        }
        let (place, value) = (format!("{name}/@{}", short_word(attribute)), &short_word(value));
        if !rule.attributes.iter().any(|known| known.trim_end_matches('!') == *attribute) {
            found.push(format!("{place} is not in the schema"));
        } else if version.lacks(&place) {
            found.push(format!("{place} is not in CPIX {}", version.name()));
        }
        if *attribute == "id" && value.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            found.push(format!("{place} {value:?} is not an XML name"));
        }
        if *attribute == "playlist" && *value != version.media() && *value != version.multivariant() {
            found.push(format!(
                "{place} {value:?}, CPIX {} has {:?} and {:?}",
                version.name(),
                version.media(),
                version.multivariant()
            ));
        }
        if *attribute == "periodId" && version < Version::V2_3 {
            found.push(format!("{place} is declared as an id of its own in CPIX {}", version.name()));
        }
    }
    for required in rule.attributes.iter().filter_map(|known| known.strip_suffix('!')) {
        if !attributes.iter().any(|(attribute, _)| *attribute == required) {
            found.push(format!("{name} has no {required}"));
        }
    }
}

/// Names of the children and attributes of this element that the version lacks: `(is an attribute, name)`.
pub(super) fn lacking(element: &str, version: Version) -> Vec<&'static str> {
    SAYINGS
        .iter()
        .filter(|(name, first, last)| {
            name.split_once('/').is_some_and(|(owner, _)| owner == element)
                && (version < *first || version > *last)
        })
        .filter_map(|(name, ..)| name.split_once('/').map(|(_, part)| part))
        .collect()
}
