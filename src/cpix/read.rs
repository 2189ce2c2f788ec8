//! CPIX documents from bytes — DASH-IF CPIX 2.1 to 2.4, read without regard to prefix or child order.

use zeroize::Zeroizing;

use super::document::{
    AudioFilter, ContentKey, ContentKeyUsageRule, Document, DrmSystem, HlsSignalingData, VideoFilter,
};
use crate::base::{Error, FourCc, Kid, Result, Secret, SystemId, from_base64};
use crate::xml::{self, Element};

/// Bytes of a content key: AES-128.
const KEY_BYTES: usize = 16;
/// Longest piece of a foreign root element's name that is repeated in an error.
const MAX_NAME_SHOWN: usize = 60;

/// Reads a CPIX document of any version from 2.0 on.
///
/// UTF-8 and UTF-16, any prefix, children in any order, identifiers in either case and base64 with white
/// space are read. An empty child is read as an empty value: in a request it means "please fill"; for an
/// answer call [`Document::drop_empty`].
///
/// # Errors
/// [`Kind::Input`](crate::base::Kind::Input) when it is not a CPIX document or breaks a rule of one, such
/// as a key id that comes twice; [`Kind::Unsupported`](crate::base::Kind::Unsupported) when a content key
/// is encrypted. No error repeats a key.
pub fn read(bytes: &[u8]) -> Result<Document> {
    let not_cpix = |found: &str| {
        Error::input(format!("found {found}, expected a CPIX document")).clause("DASH-IF CPIX 2.3 §4")
    };
    if let Some(found) = not_xml(bytes) {
        return Err(not_cpix(found));
    }
    let document = xml::Document::parse(bytes)?;
    let root = document.root();
    if root.local_name() != "CPIX" {
        return Err(not_cpix(&foreign_root(root)));
    }
    read_root(root).map_err(|error| error.at("CPIX"))
}

/// What bytes that cannot be XML of ours are, in words; `None` when they may be.
pub(crate) fn not_xml(bytes: &[u8]) -> Option<&'static str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let starts_with =
        |text: &str| bytes.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()));
    match bytes.first() {
        None => Some("nothing"),
        Some(b'{' | b'[') => Some("JSON"),
        Some(b'<') if starts_with("<!doctype html") || starts_with("<html") => Some("an HTML page"),
        Some(b'<' | 0xfe | 0xff) => None,
        Some(_) if bytes.is_ascii() => Some("plain text"),
        Some(_) => Some("bytes that are not XML"),
    }
}

fn foreign_root(root: &Element) -> String {
    match root.local_name() {
        "Envelope" => "a SOAP envelope".to_owned(),
        "MPD" => "an MPD".to_owned(),
        name => {
            let shown: String = name.chars().take(MAX_NAME_SHOWN).collect();
            format!("the XML element {shown:?}")
        }
    }
}

fn read_root(root: &Element) -> Result<Document> {
    let mut document = Document {
        content_id: attribute(root, "contentId")?,
        version: attribute(root, "version")?,
        ..Document::default()
    };
    for element in items(root, "ContentKeyList", "ContentKey") {
        let key = content_key(element).map_err(|error| error.at("ContentKey"))?;
        if document.content_key(key.kid).is_some() {
            return Err(Error::input(format!("two ContentKey elements for {}", key.kid))
                .clause("DASH-IF CPIX 2.3 §4"));
        }
        document.content_keys.push(key);
    }
    for element in items(root, "DRMSystemList", "DRMSystem") {
        let system = drm_system(element).map_err(|error| error.at("DRMSystem"))?;
        if document.drm_system(system.system_id, system.kid).is_some() {
            return Err(Error::input(format!(
                "two DRMSystem elements for system {} and key {}",
                system.system_id, system.kid
            ))
            .clause("DASH-IF CPIX 2.3 §4"));
        }
        document.drm_systems.push(system);
    }
    for element in items(root, "ContentKeyUsageRuleList", "ContentKeyUsageRule") {
        let rule = usage_rule(element).map_err(|error| error.at("ContentKeyUsageRule"))?;
        document.usage_rules.push(rule);
    }
    Ok(document)
}

fn items<'a>(root: &'a Element, list: &'a str, item: &'a str) -> impl Iterator<Item = &'a Element> {
    root.named(list).flat_map(move |list| list.named(item))
}

fn content_key(element: &Element) -> Result<ContentKey> {
    let kid = kid(element)?;
    let place = |error: Error| error.at(kid);
    let scheme = attribute(element, "commonEncryptionScheme")?
        .map(|name| {
            <[u8; 4]>::try_from(name.as_bytes()).map(FourCc).map_err(|_| {
                Error::unsupported(format!("commonEncryptionScheme {name:?}, expected four characters"))
                    .clause("DASH-IF CPIX 2.3 §4")
            })
        })
        .transpose()
        .map_err(place)?;
    Ok(ContentKey {
        kid,
        explicit_iv: attribute(element, "explicitIV")?.as_deref().and_then(explicit_iv),
        common_encryption_scheme: scheme,
        value: key_value(element).map_err(place)?,
    })
}

/// Sixteen bytes, or eight that begin a counter block (ISO/IEC 23001-7 §9.2).
///
/// Other values, such as the text of a UUID, are found in published documents; they are no IV, and a
/// packager that needs one must take it from elsewhere.
fn explicit_iv(text: &str) -> Option<[u8; 16]> {
    let bytes = from_base64(text).ok()?;
    if let Ok(iv) = <[u8; 8]>::try_from(bytes.as_slice()) {
        let [a, b, c, d, e, f, g, h] = iv;
        return Some([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    bytes.try_into().ok()
}

fn key_value(element: &Element) -> Result<Option<Secret<KEY_BYTES>>> {
    let Some(secret) = element.child("Data").and_then(|data| data.child("Secret")) else { return Ok(None) };
    if secret.child("EncryptedValue").is_some() {
        return Err(Error::unsupported("the content key is encrypted (EncryptedValue)")
            .hint("ask the key server for plain values over TLS"));
    }
    let Some(plain) = secret.child("PlainValue") else { return Ok(None) };
    let text = Zeroizing::new(plain.text()?);
    if text.trim().is_empty() {
        return Ok(None);
    }
    let bytes = Zeroizing::new(from_base64(&text).map_err(|error| error.at("PlainValue"))?);
    let key = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| {
        Error::input(format!("content key of {} bytes, expected {KEY_BYTES}", bytes.len())).at("PlainValue")
    })?);
    Ok(Some(Secret::new(*key)))
}

fn drm_system(element: &Element) -> Result<DrmSystem> {
    let system_id = SystemId::parse(&required(element, "systemId")?)?;
    let kid = kid(element)?;
    let mut system = DrmSystem::new(system_id, kid);
    let place = |error: Error| error.at(format_args!("system {system_id}, key {kid}"));
    system.pssh = value(element, "PSSH")
        .map_err(place)?
        .map(|text| from_base64(&text).map_err(|error| place(error.at("PSSH"))))
        .transpose()?;
    system.content_protection_data =
        value(element, "ContentProtectionData").map_err(place)?.and_then(|text| decoded_text(&text));
    system.hls_signaling_data = hls_signaling_data(element).map_err(place)?;
    system.smooth_streaming_protection_header_data =
        value(element, "SmoothStreamingProtectionHeaderData").map_err(place)?;
    Ok(system)
}

/// The text of the first child of this name that has any, else an empty text, else `None`.
///
/// An empty second `ContentProtectionData` is seen in the answers of EZDRM (2020).
fn value(element: &Element, name: &str) -> Result<Option<String>> {
    let mut found = None;
    for child in element.named(name) {
        let text = child.text()?.trim().to_owned();
        if !text.is_empty() {
            return Ok(Some(text));
        }
        found = Some(text);
    }
    Ok(found)
}

/// UTF-8 text from base64; what is neither (a PlayReady object, say) is of no use here.
fn decoded_text(text: &str) -> Option<String> {
    let text = String::from_utf8(from_base64(text).ok()?).ok()?;
    Some(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

fn hls_signaling_data(element: &Element) -> Result<HlsSignalingData> {
    let mut lines = HlsSignalingData::default();
    for child in element.named("HLSSignalingData") {
        let place = |error: Error| error.at("HLSSignalingData");
        // `variant` is the media playlist of CPIX 2.1, `multiVariant` the multivariant playlist of 2.4.
        let slot = match attribute(child, "playlist")?.as_deref() {
            None | Some("media" | "variant") => &mut lines.media,
            Some("master" | "multiVariant" | "multivariant") => &mut lines.multivariant,
            Some(other) => {
                return Err(place(Error::input(format!("playlist {other:?}, expected media or master"))));
            }
        };
        let text = child.text().map_err(place)?;
        let line = hls_line(text.trim()).map_err(place)?;
        match slot {
            Some(first) if !first.is_empty() && !line.is_empty() && *first != line => {
                return Err(place(Error::input("two different values for the same playlist"))
                    .clause("DASH-IF CPIX 2.3 §4"));
            }
            Some(first) if !first.is_empty() => {}
            slot => *slot = Some(line),
        }
    }
    Ok(lines)
}

/// The tag lines; text that is a tag already was never base64.
fn hls_line(text: &str) -> Result<String> {
    if text.starts_with("#EXT") {
        return Ok(text.to_owned());
    }
    String::from_utf8(from_base64(text)?).map_err(|_| Error::input("the decoded bytes are not UTF-8"))
}

fn usage_rule(element: &Element) -> Result<ContentKeyUsageRule> {
    let mut rule = ContentKeyUsageRule {
        kid: kid(element)?,
        intended_track_type: attribute(element, "intendedTrackType")?,
        video_filters: Vec::new(),
        audio_filters: Vec::new(),
        other_filters: Vec::new(),
    };
    for child in element.elements() {
        let name = child.local_name();
        let place = |error: Error| error.at(name);
        let read: &[&str] = match name {
            "VideoFilter" => {
                let min_pixels = number(child, "minPixels").map_err(place)?;
                let max_pixels = number(child, "maxPixels").map_err(place)?;
                rule.video_filters.push(VideoFilter { min_pixels, max_pixels });
                &["minPixels", "maxPixels"]
            }
            "AudioFilter" => {
                let min_channels = number(child, "minChannels").map_err(place)?;
                let max_channels = number(child, "maxChannels").map_err(place)?;
                rule.audio_filters.push(AudioFilter { min_channels, max_channels });
                &["minChannels", "maxChannels"]
            }
            _ => {
                rule.other_filters.push(name.to_owned());
                continue;
            }
        };
        for (attribute, _) in child.attributes()? {
            if !read.contains(&attribute) && !attribute.contains(':') && attribute != "xmlns" {
                rule.other_filters.push(format!("{name}/@{attribute}"));
            }
        }
    }
    Ok(rule)
}

fn kid(element: &Element) -> Result<Kid> {
    Kid::parse(required(element, "kid")?.trim())
}

fn required(element: &Element, name: &str) -> Result<String> {
    attribute(element, name)?
        .ok_or_else(|| Error::input(format!("there is no {name} attribute")).clause("DASH-IF CPIX 2.3 §4"))
}

fn attribute(element: &Element, name: &str) -> Result<Option<String>> {
    Ok(element.attribute(name)?.map(|value| value.trim().to_owned()))
}

fn number(element: &Element, name: &str) -> Result<Option<u32>> {
    attribute(element, name)?
        .map(|text| text.parse().map_err(|_| Error::input(format!("{name} {text:?}, expected a number"))))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;

    const KID: &str = "11111111-2222-3333-4444-555555555555";

    fn body(inner: &str) -> String {
        format!(
            "<CPIX xmlns=\"urn:dashif:org:cpix\" xmlns:p=\"urn:ietf:params:xml:ns:keyprov:pskc\">{inner}</CPIX>"
        )
    }

    fn with_key(attributes: &str, value: &str) -> String {
        body(&format!(
            "<ContentKeyList><ContentKey kid=\"{KID}\" {attributes}><Data><p:Secret><p:PlainValue>{value}\
             </p:PlainValue></p:Secret></Data></ContentKey></ContentKeyList>"
        ))
    }

    #[test]
    fn any_prefix_order_case_and_white_space_is_read() {
        let text = format!(
            "<?xml version='1.0' encoding='utf-16'?><a:CPIX xmlns='⚽' xmlns:a='urn:dashif:org:cpix' \
             contentId='c' version='2.3'><!-- rules first -->\
             <a:ContentKeyUsageRuleList><a:ContentKeyUsageRule intendedTrackType='ALL' kid='{KID}'>\
             <a:AudioFilter maxChannels='2'/><a:VideoFilter minPixels='1'/></a:ContentKeyUsageRule>\
             </a:ContentKeyUsageRuleList>\
             <a:DRMSystemList><a:DRMSystem kid='{KID}' systemId='EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED'>\
             <a:HLSSignalingData playlist='multiVariant'>I0VYVC1YLVNFU1NJT04tS0VZOkE=</a:HLSSignalingData>\
             <a:HLSSignalingData playlist='variant'>#EXT-X-KEY:B</a:HLSSignalingData>\
             <a:ContentProtectionData/><a:PSSH> A\nQ I=</a:PSSH></a:DRMSystem></a:DRMSystemList>\
             <a:ContentKeyList><a:ContentKey kid='{}' commonEncryptionScheme='cbcs' \
             explicitIV='L6jzdXrXAFbC JGBuMrrKrG=='><a:Data><b:Secret xmlns:b='x'><b:PlainValue>\n\
             EBESExQVFhcY\nGRobHB0eHw</b:PlainValue></b:Secret></a:Data></a:ContentKey></a:ContentKeyList></a:CPIX>",
            KID.to_uppercase()
        );
        let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf8 = format!("\u{feff}{text}").into_bytes();
        for bytes in [text.as_bytes(), &utf16, &utf8] {
            let document = read(bytes).unwrap();
            assert_eq!(document.content_id.as_deref(), Some("c"));
            let key = &document.content_keys[0];
            assert_eq!(key.kid.to_string(), KID);
            assert_eq!(key.explicit_iv.unwrap()[0], 0x2f);
            assert_eq!(key.common_encryption_scheme, Some(FourCc(*b"cbcs")));
            assert_eq!(key.value.as_ref().unwrap().expose()[15], 0x1f);
            let system = &document.drm_systems[0];
            assert_eq!(system.pssh.as_deref(), Some(&[1, 2][..]));
            assert_eq!(system.content_protection_data.as_deref(), Some(""));
            assert_eq!(system.hls_signaling_data.multivariant.as_deref(), Some("#EXT-X-SESSION-KEY:A"));
            assert_eq!(system.hls_signaling_data.media.as_deref(), Some("#EXT-X-KEY:B"));
            let rule = &document.usage_rules[0];
            assert_eq!(rule.video_filters[0].min_pixels, Some(1));
            assert_eq!(rule.audio_filters[0].max_channels, Some(2));
        }
    }

    #[test]
    fn what_is_not_cpix_is_named() {
        for (bytes, found) in [
            ("", "found nothing"),
            ("{\"error\":1}", "found JSON"),
            ("<!DOCTYPE html><html></html>", "found an HTML page"),
            ("<HTML>", "found an HTML page"),
            ("<s:Envelope xmlns:s='x'/>", "found a SOAP envelope"),
            ("<MPD/>", "found an MPD"),
            ("<x/>", "found the XML element \"x\""),
            ("Not found", "found plain text"),
        ] {
            let error = read(bytes.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), Kind::Input);
            assert!(error.to_string().starts_with(found), "{error}");
        }
    }

    #[test]
    fn broken_rules_are_told_without_the_key() {
        for (text, expected) in [
            (with_key("", "EBESExQVFhcYGRobHB0e"), "content key of 15 bytes, expected 16"),
            (with_key("", "EBESExQV!hcYGRobHB0e"), "not base64"),
            (with_key("commonEncryptionScheme='SAMPLE-AES'", ""), "expected four characters"),
            (body("<ContentKeyList><ContentKey/></ContentKeyList>"), "no kid attribute"),
            (
                body(&format!(
                    "<ContentKeyList><ContentKey kid='{KID}'/><ContentKey kid='{KID}'/></ContentKeyList>"
                )),
                "two ContentKey elements",
            ),
            (
                body(&format!(
                    "<DRMSystemList><DRMSystem kid='{KID}' systemId='{KID}'/>\
                     <DRMSystem kid='{KID}' systemId='{KID}'/></DRMSystemList>"
                )),
                "two DRMSystem elements",
            ),
            (
                body(&format!(
                    "<ContentKeyUsageRuleList><ContentKeyUsageRule kid='{KID}'><VideoFilter minPixels='x'/>\
                     </ContentKeyUsageRule></ContentKeyUsageRuleList>"
                )),
                "minPixels \"x\"",
            ),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("EBESExQV"), "{error}");
        }
    }

    #[test]
    fn an_encrypted_key_is_not_supported() {
        let text = body(&format!(
            "<ContentKeyList><ContentKey kid=\"{KID}\"><Data><p:Secret><p:EncryptedValue/></p:Secret></Data>\
             </ContentKey></ContentKeyList>"
        ));
        assert_eq!(read(text.as_bytes()).unwrap_err().kind(), Kind::Unsupported);
    }

    #[test]
    fn an_iv_of_another_kind_is_passed_over() {
        for (value, iv) in [
            ("AAECAwQFBgc=", Some([0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0])),
            ("f45bcebb-f0df-4a34-bf4e-c24edfcf6289", None),
            ("", None),
            ("AAEC", None),
        ] {
            let text = with_key(&format!("explicitIV='{value}'"), "EBESExQVFhcYGRobHB0eHw==");
            assert_eq!(read(text.as_bytes()).unwrap().content_keys[0].explicit_iv, iv, "{value}");
        }
    }

    #[test]
    fn filters_that_are_not_read_are_remembered() {
        let text = body(&format!(
            "<ContentKeyUsageRuleList><ContentKeyUsageRule kid='{KID}'><KeyPeriodFilter periodId='p'/>\
             <VideoFilter hdr='true' maxPixels='9'/></ContentKeyUsageRule></ContentKeyUsageRuleList>"
        ));
        let rule = &read(text.as_bytes()).unwrap().usage_rules[0];
        assert_eq!(rule.other_filters, ["KeyPeriodFilter", "VideoFilter/@hdr"]);
    }
}
