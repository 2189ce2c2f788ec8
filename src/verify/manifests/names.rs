//! Tags, attributes and elements by the names that their standards give: players pass over what they do not know — RFC
//! 8216bis §6.3.1, ISO/IEC 23009-1 §5.2.2.1.
//!
//! A name that is not known may be an extension, or a mistake that takes away what it was to say. It is no fault; it is
//! listed as not proven.

use crate::base::Result;
use crate::dash::write::ROLES;
use crate::hls::{Attributes, LineKind, Playlist};
use crate::isobmff::user_data::ROLE_SCHEME;
use crate::xml::Element;

use super::values;
use crate::verify::findings::Findings;

/// What stands behind the colon of a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Nothing.
    None,
    /// Something of its own form.
    Own,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// An attribute list.
    Attributes,
}
use Value::{Attributes as List, None as Bare, OneOf, Own};

/// Tags: RFC 8216bis §4.4, and those that are about in advertising and thumbnails.
const TAGS: &[(&str, Value)] = &[
    ("EXTM3U", Bare),
    ("EXT-X-VERSION", Own),
    ("EXT-X-INDEPENDENT-SEGMENTS", Bare),
    ("EXT-X-START", List),
    ("EXT-X-DEFINE", List),
    ("EXT-X-TARGETDURATION", Own),
    ("EXT-X-MEDIA-SEQUENCE", Own),
    ("EXT-X-DISCONTINUITY-SEQUENCE", Own),
    ("EXT-X-ENDLIST", Bare),
    ("EXT-X-PLAYLIST-TYPE", OneOf(&["VOD", "EVENT"])),
    ("EXT-X-I-FRAMES-ONLY", Bare),
    ("EXT-X-PART-INF", List),
    ("EXT-X-SERVER-CONTROL", List),
    ("EXTINF", Own),
    ("EXT-X-BYTERANGE", Own),
    ("EXT-X-DISCONTINUITY", Bare),
    ("EXT-X-KEY", List),
    ("EXT-X-MAP", List),
    ("EXT-X-PROGRAM-DATE-TIME", Own),
    ("EXT-X-GAP", Bare),
    ("EXT-X-BITRATE", Own),
    ("EXT-X-PART", List),
    ("EXT-X-DATERANGE", List),
    ("EXT-X-SKIP", List),
    ("EXT-X-PRELOAD-HINT", List),
    ("EXT-X-RENDITION-REPORT", List),
    ("EXT-X-MEDIA", List),
    ("EXT-X-STREAM-INF", List),
    ("EXT-X-I-FRAME-STREAM-INF", List),
    ("EXT-X-SESSION-DATA", List),
    ("EXT-X-SESSION-KEY", List),
    ("EXT-X-CONTENT-STEERING", List),
    ("EXT-X-ALLOW-CACHE", OneOf(&["YES", "NO"])),
    ("EXT-X-IMAGE-STREAM-INF", List),
    ("EXT-X-IMAGES-ONLY", Bare),
    ("EXT-X-TILES", List),
    ("EXT-X-CUE-OUT", Own),
    ("EXT-X-CUE-OUT-CONT", Own),
    ("EXT-X-CUE-IN", Own),
    ("EXT-X-SCTE35", List),
    ("EXT-OATCLS-SCTE35", Own),
    ("EXT-X-ASSET", Own),
];

/// Attributes of tags: RFC 8216bis §4.4; names of one's own begin with `X-`: §4.4.5.1.
const ATTRIBUTES: &[&str] = &[
    "TIME-OFFSET",
    "PRECISE",
    "NAME",
    "VALUE",
    "IMPORT",
    "QUERYPARAM",
    "PART-TARGET",
    "CAN-SKIP-UNTIL",
    "CAN-SKIP-DATERANGES",
    "HOLD-BACK",
    "PART-HOLD-BACK",
    "CAN-BLOCK-RELOAD",
    "METHOD",
    "URI",
    "IV",
    "KEYFORMAT",
    "KEYFORMATVERSIONS",
    "KEYID",
    "BYTERANGE",
    "DURATION",
    "INDEPENDENT",
    "GAP",
    "ID",
    "CLASS",
    "START-DATE",
    "CUE",
    "END-DATE",
    "PLANNED-DURATION",
    "SCTE35-CMD",
    "SCTE35-OUT",
    "SCTE35-IN",
    "END-ON-NEXT",
    "SKIPPED-SEGMENTS",
    "RECENTLY-REMOVED-DATERANGES",
    "TYPE",
    "BYTERANGE-START",
    "BYTERANGE-LENGTH",
    "LAST-MSN",
    "LAST-PART",
    "GROUP-ID",
    "LANGUAGE",
    "ASSOC-LANGUAGE",
    "STABLE-RENDITION-ID",
    "DEFAULT",
    "AUTOSELECT",
    "FORCED",
    "INSTREAM-ID",
    "BIT-DEPTH",
    "SAMPLE-RATE",
    "CHARACTERISTICS",
    "CHANNELS",
    "BANDWIDTH",
    "AVERAGE-BANDWIDTH",
    "SCORE",
    "CODECS",
    "SUPPLEMENTAL-CODECS",
    "RESOLUTION",
    "FRAME-RATE",
    "HDCP-LEVEL",
    "ALLOWED-CPC",
    "VIDEO-RANGE",
    "REQ-VIDEO-LAYOUT",
    "STABLE-VARIANT-ID",
    "AUDIO",
    "VIDEO",
    "SUBTITLES",
    "CLOSED-CAPTIONS",
    "PATHWAY-ID",
    "DATA-ID",
    "FORMAT",
    "SERVER-URI",
    "PROGRAM-ID",
    "LAYOUT",
];

/// Attributes that are `YES` or `NO`: RFC 8216bis §4.4.
const YES_OR_NO: &[&str] = &[
    "DEFAULT",
    "AUTOSELECT",
    "FORCED",
    "INDEPENDENT",
    "GAP",
    "PRECISE",
    "END-ON-NEXT",
    "CAN-BLOCK-RELOAD",
    "CAN-SKIP-DATERANGES",
];

/// Elements of MPDs: ISO/IEC 23009-1 annex B.
const ELEMENTS: &[&str] = &[
    "MPD",
    "ProgramInformation",
    "Title",
    "Source",
    "Copyright",
    "BaseURL",
    "Location",
    "PatchLocation",
    "ServiceDescription",
    "Scope",
    "Latency",
    "PlaybackRate",
    "OperatingQuality",
    "OperatingBandwidth",
    "ContentSteering",
    "InitializationSet",
    "InitializationGroup",
    "InitializationPresentation",
    "Period",
    "Metrics",
    "Range",
    "Reporting",
    "EssentialProperty",
    "SupplementalProperty",
    "UTCTiming",
    "LeapSecondInformation",
    "EventStream",
    "Event",
    "AdaptationSet",
    "EmptyAdaptationSet",
    "Subset",
    "GroupLabel",
    "Label",
    "Preselection",
    "AssetIdentifier",
    "Accessibility",
    "Role",
    "Rating",
    "Viewpoint",
    "ContentComponent",
    "ContentPopularityRate",
    "PR",
    "Representation",
    "SubRepresentation",
    "ExtendedBandwidth",
    "ModelPair",
    "FramePacking",
    "AudioChannelConfiguration",
    "ContentProtection",
    "OutputProtection",
    "InbandEventStream",
    "Switching",
    "RandomAccess",
    "ProducerReferenceTime",
    "Resync",
    "SegmentBase",
    "SegmentList",
    "SegmentTemplate",
    "Initialization",
    "InitializationSegment",
    "RepresentationIndex",
    "FailoverContent",
    "FCS",
    "SegmentTimeline",
    "S",
    "Pattern",
    "P",
    "SegmentURL",
    "BitstreamSwitching",
    "SegmentSequenceProperties",
    "RunLength",
];

/// Their attributes.
const MPD_ATTRIBUTES: &[&str] = &[
    "id",
    "profiles",
    "type",
    "availabilityStartTime",
    "availabilityEndTime",
    "publishTime",
    "mediaPresentationDuration",
    "minimumUpdatePeriod",
    "minBufferTime",
    "timeShiftBufferDepth",
    "suggestedPresentationDelay",
    "maxSegmentDuration",
    "maxSubsegmentDuration",
    "lang",
    "moreInformationURL",
    "serviceLocation",
    "byteRange",
    "availabilityTimeOffset",
    "availabilityTimeComplete",
    "rangeAccess",
    "timeShiftBufferDepth",
    "ttl",
    "schemeIdUri",
    "value",
    "referenceId",
    "target",
    "max",
    "min",
    "mediaType",
    "defaultServiceLocation",
    "queryBeforeStart",
    "proxyServerURL",
    "clientRequirement",
    "inAllPeriods",
    "contentType",
    "par",
    "maxWidth",
    "maxHeight",
    "maxFrameRate",
    "start",
    "duration",
    "bitstreamSwitching",
    "metrics",
    "starttime",
    "availabilityStartLeapOffset",
    "nextAvailabilityStartLeapOffset",
    "nextLeapChangeTime",
    "timescale",
    "presentationTimeOffset",
    "presentationTime",
    "contentEncoding",
    "messageData",
    "contains",
    "profile",
    "group",
    "minBandwidth",
    "maxBandwidth",
    "minWidth",
    "minHeight",
    "minFrameRate",
    "segmentAlignment",
    "subsegmentAlignment",
    "subsegmentStartsWithSAP",
    "selectionPriority",
    "width",
    "height",
    "sar",
    "frameRate",
    "audioSamplingRate",
    "mimeType",
    "segmentProfiles",
    "codecs",
    "containerProfiles",
    "maximumSAPPeriod",
    "startWithSAP",
    "maxPlayoutRate",
    "codingDependency",
    "scanType",
    "tag",
    "initializationSetRef",
    "initializationPrincipal",
    "bandwidth",
    "qualityRanking",
    "dependencyId",
    "associationId",
    "associationType",
    "mediaStreamStructureId",
    "level",
    "contentComponent",
    "preselectionComponents",
    "order",
    "popularityRate",
    "source",
    "ref",
    "refId",
    "robustness",
    "default_KID",
    "interval",
    "inband",
    "wallClockTime",
    "presentationTime",
    "applicationScheme",
    "dT",
    "dImax",
    "dImin",
    "marker",
    "startNumber",
    "endNumber",
    "indexRange",
    "indexRangeExact",
    "eptDelta",
    "pdDelta",
    "presentationDuration",
    "sourceURL",
    "range",
    "valid",
    "t",
    "n",
    "d",
    "k",
    "r",
    "media",
    "index",
    "initialization",
    "mediaRange",
    "cadence",
    "sapType",
    "alwaysAvailable",
    "mode",
    "sizeTemplate",
    "rate",
    "quality",
    "priority",
    "url",
];

/// Looks at the lines of a playlist.
pub(in crate::verify) fn check_playlist(name: &str, playlist: &Playlist, findings: &mut Findings) {
    for (index, line) in playlist.lines().iter().enumerate() {
        let place = format!("{name}: line {}", index + 1);
        let text = line.text();
        let control = text.trim_end_matches(['\r', '\n']).chars().find(|character| character.is_control());
        let found = control.map_or_else(String::new, |control| format!("U+{:04X}", u32::from(control)));
        findings.check(
            "hls-text",
            control.is_none_or(|control| control == '\t'),
            &place,
            &found,
            &"no control characters",
        );
        match line.kind() {
            LineKind::Tag { name, value } => tag(name, value, text, &place, findings),
            // What people write begins with white space, or with more number signs.
            LineKind::Comment
                if text.trim_start_matches('#').len() + 1 == text.len()
                    && text.chars().nth(1).is_some_and(char::is_alphanumeric) =>
            {
                findings.unchecked(format!("{place}: a line that is no tag: {}", short(text)));
            }
            _ => {}
        }
    }
}

fn tag(name: &str, value: &str, text: &str, place: &str, findings: &mut Findings) {
    let Some((_, expected)) = TAGS.iter().find(|(known, _)| *known == name) else {
        findings.unchecked(format!("{place}: the tag {}, which is none that is known", short(name)));
        return;
    };
    let is_strange = match expected {
        Bare => text.trim_end() != format!("#{name}"),
        OneOf(values) => !values.contains(&value),
        Own => value.is_empty() && !name.starts_with("EXT-X-CUE"),
        List => {
            let Ok(list) = Attributes::parse(value) else { return };
            for attribute in list.names() {
                let is_known = ATTRIBUTES.contains(&attribute) || attribute.starts_with("X-");
                if !is_known && name != "EXT-X-SCTE35" {
                    findings.unchecked(format!(
                        "{place}: the attribute {} of {name}, which is none that is known",
                        short(attribute)
                    ));
                }
                if YES_OR_NO.contains(&attribute) && !matches!(list.raw(attribute), Some("YES" | "NO")) {
                    findings.unchecked(format!("{place}: {attribute} is neither YES nor NO"));
                }
            }
            false
        }
    };
    if is_strange {
        findings.unchecked(format!("{place}: {} has a value that is none of its own", short(text)));
    }
}

/// Looks at the elements of an MPD: those that have no prefix where the root has none.
pub(in crate::verify) fn check_mpd(name: &str, root: &Element, findings: &mut Findings) -> Result<()> {
    element(name, root, root.prefix(), findings)
}

fn element(document: &str, parent: &Element, prefix: &str, findings: &mut Findings) -> Result<()> {
    let name = parent.local_name();
    if !ELEMENTS.contains(&name) {
        findings.unchecked(format!("{document}: the element {}, which is none that is known", short(name)));
        return Ok(());
    }
    for (attribute, _) in parent.attributes()? {
        if !attribute.contains(':') && attribute != "xmlns" && !MPD_ATTRIBUTES.contains(&attribute) {
            findings.unchecked(format!(
                "{document}: the attribute {} of {name}, which is none that is known",
                short(attribute)
            ));
        }
    }
    values::check_element(document, parent, findings)?;
    descriptor(document, parent, findings)?;
    // Elements have elements or text: annex B. Events have anything.
    let has_elements = parent.elements().next().is_some();
    if has_elements && name != "Event" {
        let text = parent.text()?;
        let found = short(text.trim()).to_owned();
        let place = format!("{document}: {name}");
        findings.check("mpd-text-beside", text.trim().is_empty(), &place, &found, &"elements alone");
    }
    // What other schemas have below descriptors is theirs.
    for child in parent
        .elements()
        .filter(|child| child.prefix() == prefix && child.attribute("xmlns").ok().flatten().is_none())
    {
        element(document, child, prefix, findings)?;
    }
    Ok(())
}

/// Schemes of descriptors that are no keys: ISO/IEC 23009-1 §5.8.5, DASH-IF IOP, ETSI TS 103 285.
const SCHEMES: &[&str] = &[
    "urn:mpeg:",
    "urn:dvb:",
    "urn:scte:",
    "urn:tva:",
    "urn:dolby:",
    "urn:dts:",
    "tag:dolby.com,",
    "tag:dts.com,",
    "http://dashif.org/",
    "https://dashif.org/",
    "urn:uuid:",
    "urn:com:",
    "http://youtube.com/",
    "urn:mp4ra",
    "https://aomedia.org/",
    "urn:ietf:",
    "about:",
    "nielsen:",
    "www.nielsen.com:",
    "urn:org:",
    "urn:3GPP:",
    "https://developer.apple.com",
    "tag:apple.com,",
];
/// A descriptor has a scheme that is known, and a role is one that there is.
fn descriptor(document: &str, element: &Element, findings: &mut Findings) -> Result<()> {
    let name = element.local_name();
    let Some(scheme) = element.attribute("schemeIdUri")? else { return Ok(()) };
    if name == "ContentProtection" {
        return Ok(());
    }
    let is_known = SCHEMES.iter().any(|known| scheme.starts_with(known));
    let value = element.attribute("value")?.unwrap_or_default();
    let is_role = match scheme == ROLE_SCHEME {
        true => ROLES.contains(&value.as_ref()),
        // MPEG has one scheme of roles.
        false => name != "Role" || !scheme.starts_with("urn:mpeg:"),
    };
    if !is_known || !is_role {
        findings.unchecked(format!(
            "{document}: {name} {} of {}, which is none that is known",
            short(&value),
            short(&scheme)
        ));
    }
    Ok(())
}

/// The first characters of what may be long.
pub(super) fn short(text: &str) -> &str {
    let end = text.char_indices().nth(40).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}
