//! CPIX documents from bytes — DASH-IF CPIX 2.1 to 2.4, read without regard to prefix or child order.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::document::{ContentKey, DeliveryData, Document, DrmSystem, HlsSignalingData};
use super::encrypted::DocumentKeys;
use super::read_usage::{period, update_history_item, usage_rule};
use super::recipient::RecipientKey;
use super::whole_segments::HLS_METHODS;
use crate::base::{Error, FourCc, Kid, Result, Secret, SystemId, from_base64};
use crate::xml::{self, Element};

/// Bytes of a content key: AES-128.
pub(super) const KEY_BYTES: usize = 16;
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
/// as a key id that comes twice; [`Kind::Keys`](crate::base::Kind::Keys) when a content key is encrypted. No
/// error repeats a key.
pub fn read(bytes: &[u8]) -> Result<Document> {
    read_with(bytes, &[])
}

/// The same for a document whose content keys may be encrypted for one of these recipients.
///
/// # Errors
/// As [`read`]; [`Kind::Keys`](crate::base::Kind::Keys) when the content keys are for none of the recipients,
/// [`Kind::Input`](crate::base::Kind::Input) when the MAC of one is wrong.
pub fn read_with(bytes: &[u8], recipients: &[RecipientKey]) -> Result<Document> {
    view(&tree(bytes)?, Encrypted::Open(recipients))
}

/// What becomes of content keys that are encrypted.
#[derive(Clone, Copy)]
pub(super) enum Encrypted<'a> {
    /// They are read as if they had no value.
    Keep,
    /// One of these recipients opens them.
    Open(&'a [RecipientKey]),
}

/// The element tree of a CPIX document.
pub(super) fn tree(bytes: &[u8]) -> Result<xml::Document> {
    let not_cpix = |found: &str| {
        Error::input(format!("found {found}, expected a CPIX document")).clause("DASH-IF CPIX 2.3 §4")
    };
    if let Some(found) = not_xml(bytes) {
        return Err(not_cpix(found));
    }
    // What is quoted may be a key.
    let document = xml::Document::parse(bytes).map_err(Error::without_quotes)?;
    if document.root().local_name() != "CPIX" {
        return Err(not_cpix(&foreign_root(document.root())).without_quotes());
    }
    Ok(document)
}

/// What a tree says.
pub(super) fn view(tree: &xml::Document, encrypted: Encrypted<'_>) -> Result<Document> {
    read_root(tree.root(), encrypted).map_err(|error| error.without_quotes().at("CPIX"))
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

fn read_root(root: &Element, encrypted: Encrypted<'_>) -> Result<Document> {
    let mut document = Document {
        id: attribute(root, "id")?,
        content_id: attribute(root, "contentId")?,
        name: attribute(root, "name")?,
        version: attribute(root, "version")?,
        ..Document::default()
    };
    document.delivery_data = list(root, "DeliveryDataList", "DeliveryData", delivery_data)?;
    document.periods = list(root, "ContentKeyPeriodList", "ContentKeyPeriod", period)?;
    document.usage_rules = list(root, "ContentKeyUsageRuleList", "ContentKeyUsageRule", usage_rule)?;
    document.update_history = list(root, "UpdateHistoryItemList", "UpdateHistoryItem", update_history_item)?;
    content_keys(&mut document, root, encrypted)?;
    let mut known = HashSet::new();
    for system in list(root, "DRMSystemList", "DRMSystem", drm_system)? {
        if !known.insert((system.system_id, system.kid)) {
            return Err(Error::input(format!(
                "two DRMSystem elements for system {} and key {}",
                system.system_id, system.kid
            ))
            .clause("DASH-IF CPIX 2.3 §4"));
        }
        document.drm_systems.push(system);
    }
    Ok(document)
}

fn content_keys(document: &mut Document, root: &Element, encrypted: Encrypted<'_>) -> Result<()> {
    let mut keys = None;
    let mut known = HashSet::new();
    for element in items(root, "ContentKeyList", "ContentKey") {
        let place = |error: Error| error.at("ContentKey");
        let mut key = content_key(element).map_err(place)?;
        if let (Encrypted::Open(recipients), Some(secret)) = (encrypted, encrypted_secret(element)) {
            let keys = match &keys {
                Some(keys) => keys,
                None => keys.insert(DocumentKeys::open(root, recipients)?),
            };
            let value = keys.content_key(key.kid, secret).map_err(|error| place(error.at(key.kid)))?;
            key.value = Some(value);
        }
        if !known.insert(key.kid) {
            return Err(Error::input(format!("two ContentKey elements for {}", key.kid))
                .clause("DASH-IF CPIX 2.3 §4"));
        }
        document.content_keys.push(key);
    }
    Ok(())
}

/// The `Secret` of a content key when its value is encrypted.
pub(super) fn encrypted_secret(content_key: &Element) -> Option<&Element> {
    let secret = content_key.child("Data").and_then(|data| data.child("Secret"))?;
    secret.child("EncryptedValue").map(|_| secret)
}

/// The items of a list, in order.
fn list<T>(root: &Element, list: &str, item: &str, read: fn(&Element) -> Result<T>) -> Result<Vec<T>> {
    items(root, list, item).map(|element| read(element).map_err(|error| error.at(item))).collect()
}

pub(super) fn items<'a>(
    root: &'a Element,
    list: &'a str,
    item: &'a str,
) -> impl Iterator<Item = &'a Element> {
    root.named(list).flat_map(move |list| list.named(item))
}

fn delivery_data(element: &Element) -> Result<DeliveryData> {
    let text = |name: &str| element.child(name).map(|child| Ok(child.text()?.trim().to_owned())).transpose();
    let certificate = element
        .child("DeliveryKey")
        .and_then(|key| key.child("X509Data"))
        .and_then(|data| data.child("X509Certificate"));
    let certificate = certificate.map(|certificate| from_base64(&certificate.text()?)).transpose();
    Ok(DeliveryData {
        id: attribute(element, "id")?,
        name: attribute(element, "name")?,
        certificate: certificate.map_err(|error| error.at("X509Certificate"))?.unwrap_or_default(),
        description: text("Description")?,
        sending_entity: text("SendingEntity")?,
        sender_point_of_contact: text("SenderPointOfContact")?,
        receiving_entity: text("ReceivingEntity")?,
    })
}

fn content_key(element: &Element) -> Result<ContentKey> {
    let kid = kid(element)?;
    let place = |error: Error| error.at(kid);
    let scheme = attribute(element, "commonEncryptionScheme")?
        .map(|name| {
            let named = HLS_METHODS.iter().find(|(method, _)| *method == name).map(|(_, scheme)| *scheme);
            let scheme = <[u8; 4]>::try_from(name.as_bytes()).ok();
            let scheme = scheme.filter(|scheme| scheme.iter().all(u8::is_ascii_graphic)).map(FourCc);
            named.or(scheme).ok_or_else(|| {
                Error::unsupported(format!(
                    "commonEncryptionScheme {name:?}, expected four characters or a METHOD of playlists"
                ))
                .clause("DASH-IF CPIX 2.4 §4")
            })
        })
        .transpose()
        .map_err(place)?;
    let depends_on_key = attribute(element, "dependsOnKey")?.map(|text| Kid::parse(&text)).transpose();
    let hdcp = element.child("HDCPData");
    Ok(ContentKey {
        id: attribute(element, "id")?,
        kid,
        explicit_iv: attribute(element, "explicitIV")?
            .map_or(Ok(None), |text| explicit_iv(&text))
            .map_err(|error| place(error.at("explicitIV")))?,
        common_encryption_scheme: scheme,
        depends_on_key: depends_on_key.map_err(|error| place(error.at("dependsOnKey")))?,
        content_id: attribute(element, "contentId")?,
        hls_hdcp_level: hdcp.map_or(Ok(None), |hdcp| attribute(hdcp, "HLSHDCPLevel"))?,
        hdcp_output_protection_data: hdcp
            .map_or(Ok(None), |hdcp| value(hdcp, "HDCPOutputProtectionData"))
            .map_err(place)?,
        value: key_value(element).map_err(place)?,
    })
}

/// Sixteen bytes. Another number of them is an error: whoever fills them up to a block guesses.
///
/// What is no base64, such as the text of a UUID, is found in published documents; it is no IV, and a packager that
/// needs one must take it from elsewhere.
fn explicit_iv(text: &str) -> Result<Option<[u8; 16]>> {
    let Ok(bytes) = from_base64(text) else { return Ok(None) };
    match <[u8; 16]>::try_from(bytes.as_slice()) {
        Ok(iv) => Ok(Some(iv)),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => {
            let length = bytes.len();
            Err(Error::input(format!("IV of {length} bytes, 16 expected")).clause("DASH-IF CPIX 2.3 §4"))
        }
    }
}

fn key_value(element: &Element) -> Result<Option<Secret<KEY_BYTES>>> {
    let Some(secret) = element.child("Data").and_then(|data| data.child("Secret")) else { return Ok(None) };
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
    system.id = attribute(element, "id")?;
    system.name = attribute(element, "name")?;
    system.hls_allowed_cpc = attribute(element, "HLSAllowedCPC")?;
    system.pssh = value(element, "PSSH")
        .map_err(place)?
        .map(|text| from_base64(&text).map_err(|error| place(error.at("PSSH"))))
        .transpose()?;
    system.content_protection_data =
        value(element, "ContentProtectionData").map_err(place)?.map(|text| decoded_text(&text));
    let first = element.named("ContentProtectionData").next();
    system.robustness = first.map_or(Ok(None), |data| attribute(data, "robustness"))?;
    system.uri_ext_x_key = value(element, "URIExtXKey")
        .map_err(place)?
        .map(|text| uri(&text).map_err(|error| place(error.at("URIExtXKey"))))
        .transpose()?;
    system.hls_signaling_data = hls_signaling_data(element).map_err(place)?;
    system.smooth_streaming_protection_header_data =
        value(element, "SmoothStreamingProtectionHeaderData").map_err(place)?;
    system.hds_signaling_data = value(element, "HDSSignalingData").map_err(place)?;
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

/// UTF-8 text from base64; what is neither (a PlayReady object, say) stays as it stands, so that whoever needs XML can
/// say what is there.
fn decoded_text(text: &str) -> String {
    let decoded = from_base64(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = decoded.as_deref().unwrap_or(text);
    text.strip_prefix('\u{feff}').unwrap_or(text).to_owned()
}

fn hls_signaling_data(element: &Element) -> Result<HlsSignalingData> {
    let mut lines = HlsSignalingData::default();
    for child in element.named("HLSSignalingData") {
        let place = |error: Error| error.at("HLSSignalingData");
        // `variant` is the media playlist of CPIX 2.1, `multiVariant` the multivariant playlist of 2.4.
        let (slot, allowed_cpc) = match attribute(child, "playlist")?.as_deref() {
            None | Some("media" | "variant") => (&mut lines.media, &mut lines.media_allowed_cpc),
            Some("master" | "multiVariant" | "multivariant") => {
                (&mut lines.multivariant, &mut lines.multivariant_allowed_cpc)
            }
            Some(other) => {
                return Err(place(Error::input(format!("playlist {other:?}, expected media or master"))));
            }
        };
        *allowed_cpc = attribute(child, "allowedCPC")?.or_else(|| allowed_cpc.take());
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

/// A URI; text that is one already was never base64.
fn uri(text: &str) -> Result<String> {
    if text.contains("://") || text.starts_with("#EXT") {
        return Ok(text.to_owned());
    }
    String::from_utf8(from_base64(text)?).map_err(|_| Error::input("the decoded bytes are not UTF-8"))
}

pub(super) fn kid(element: &Element) -> Result<Kid> {
    Kid::parse(required(element, "kid")?.trim())
}

pub(super) fn required(element: &Element, name: &str) -> Result<String> {
    attribute(element, name)?
        .ok_or_else(|| Error::input(format!("there is no {name} attribute")).clause("DASH-IF CPIX 2.3 §4"))
}

pub(super) fn attribute(element: &Element, name: &str) -> Result<Option<String>> {
    Ok(element.attribute(name)?.map(|value| value.trim().to_owned()))
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
            (with_key("commonEncryptionScheme='SAMPLE'", ""), "expected four characters"),
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
    fn an_encrypted_key_needs_a_recipient() {
        let text = body(&format!(
            "<ContentKeyList><ContentKey kid=\"{KID}\"><Data><p:Secret><p:EncryptedValue/></p:Secret></Data>\
             </ContentKey></ContentKeyList>"
        ));
        assert_eq!(read(text.as_bytes()).unwrap_err().kind(), Kind::Keys);
    }

    #[test]
    fn an_iv_of_another_kind_is_passed_over() {
        let key = |value: &str| {
            let text = with_key(&format!("explicitIV='{value}'"), "EBESExQVFhcYGRobHB0eHw==");
            read(text.as_bytes()).map(|document| document.content_keys[0].explicit_iv)
        };
        for value in ["f45bcebb-f0df-4a34-bf4e-c24edfcf6289", ""] {
            assert_eq!(key(value).unwrap(), None, "{value}");
        }
        for (value, length) in [("AAECAwQFBgc=", "8 bytes"), ("AAEC", "3 bytes")] {
            let error = key(value).unwrap_err().to_string();
            assert!(error.contains("explicitIV") && error.contains(length), "{error}");
        }
    }

    #[test]
    fn filters_that_are_unknown_are_remembered() {
        let text = body(&format!(
            "<ContentKeyUsageRuleList><ContentKeyUsageRule kid='{KID}'><KeyPeriodFilter periodId='p'/>\
             <VideoFilter hdr='true' maxPixels='9' depth='8'/><x/></ContentKeyUsageRule></ContentKeyUsageRuleList>"
        ));
        let rule = &read(text.as_bytes()).unwrap().usage_rules[0];
        assert_eq!(rule.key_period_filters, ["p"]);
        assert_eq!(rule.video_filters[0].hdr, Some(true));
        assert_eq!(rule.other_filters, ["VideoFilter/@depth", "x"]);
    }
}
