//! The dialects of SPEKE — SPEKE 1.0, 2.0 and 2.1: what each writes into a request and reads from an answer.

use std::collections::HashMap;

use super::request::refuse_several;
use crate::base::base64;
use crate::base::{Error, Kid, Result, SystemId, from_base64};
use crate::cpix::{self, DeliveryData, Document, DrmSystem, RecipientKey, whole_segments};
use crate::hls::{AES_128, IDENTITY, SAMPLE_AES};
use crate::xml::{self, Element};

const CPIX: &str = "urn:dashif:org:cpix";
/// RFC 6030.
const PSKC: &str = "urn:ietf:params:xml:ns:keyprov:pskc";
/// XML Signature.
const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Elements that SPEKE 1.0 adds to `DRMSystem`.
const SPEKE: &str = "urn:aws:amazon:com:speke";
/// The CPIX version of SPEKE 2.0, as its root element states it.
const CPIX_OF_2_0: &str = "version=\"2.3\"";
/// The CPIX version of SPEKE 2.1.
const CPIX_OF_2_1: &str = "version=\"2.4\"";

/// The id under which SPEKE 1.0 asks for AES-128 of whole segments; it has another one since.
pub const AES_128_OF_1: SystemId = SystemId::from_u128(0x81376844_f976_481e_a84e_cc25d39b0b33);

/// A version of SPEKE. There is no other way from one to another than the operator's word: a server that
/// refuses one is not asked again with another (SPEKE 2.0, error handling).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpekeVersion {
    /// CPIX 2.0 with elements of its own, one key.
    V1,
    /// CPIX 2.3 with an encryption contract.
    #[default]
    V2_0,
    /// CPIX 2.4.
    V2_1,
}

impl SpekeVersion {
    /// The version of this name: `1`, `2.0` or `2.1`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for another name.
    pub fn find(name: &str) -> Result<Self> {
        match name.trim() {
            "1" | "1.0" => Ok(Self::V1),
            "2" | "2.0" => Ok(Self::V2_0),
            "2.1" => Ok(Self::V2_1),
            other => Err(Error::usage(format!("SPEKE {other:?}, expected 1, 2.0 or 2.1"))),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V2_0 => "2.0",
            Self::V2_1 => "2.1",
        }
    }

    /// `X-Speke-Version` of a request.
    pub(super) fn header(self) -> Option<&'static str> {
        (self != Self::V1).then(|| self.name())
    }

    /// The request document in this dialect; it may hold the IV that the operator fixed, but no key.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::base::Kind::Unsupported) when SPEKE 1.0 is to carry several keys.
    pub fn write(self, document: &Document) -> Result<Vec<u8>> {
        // SPEKE 2 asks for the object of Smooth manifests by itself, and none is written here.
        let mut asked = Document { version: Some("2.3".to_owned()), ..document.clone() };
        asked.drm_systems.iter_mut().for_each(|system| system.smooth_streaming_protection_header_data = None);
        let written = cpix::write(&asked);
        match self {
            Self::V1 => write_1(document),
            Self::V2_0 => Ok(written),
            // SPEKE 2.1 is CPIX 2.4 but for `@playlist`, which keeps the word `master` of CPIX 2.3.
            Self::V2_1 => {
                Ok(String::from_utf8_lossy(&written).replacen(CPIX_OF_2_0, CPIX_OF_2_1, 1).into_bytes())
            }
        }
    }

    /// Reads an answer in this dialect.
    ///
    /// # Errors
    /// As [`cpix::read_with`], and when signaling of SPEKE 1.0 cannot be turned into tag lines.
    pub(super) fn read(self, body: &[u8], recipients: &[RecipientKey]) -> Result<Document> {
        let mut document = cpix::read_with(body, recipients)?;
        if self == Self::V1 {
            let text = xml::Document::parse(body)?;
            let systems = document.drm_systems.iter_mut();
            let mut systems: HashMap<_, _> =
                systems.map(|system| ((system.system_id, system.kid), system)).collect();
            for element in text.root().named("DRMSystemList").flat_map(|list| list.named("DRMSystem")) {
                read_system_1(element, &mut systems)?;
            }
            for system in document.drm_systems.iter_mut().filter(|system| system.system_id == AES_128_OF_1) {
                system.system_id = whole_segments::SYSTEM_ID;
            }
        }
        Ok(document)
    }
}

/// SPEKE 1.0: the content id is `CPIX/@id`, keys have no scheme, and there is no encryption contract.
fn write_1(document: &Document) -> Result<Vec<u8>> {
    refuse_several(document, "a key server of SPEKE 1")?;
    if document.content_keys.len() > 1 {
        return Err(Error::unsupported(format!(
            "{} keys, a request of SPEKE 1 carries one",
            document.content_keys.len()
        ))
        .clause("SPEKE 1.0, standard payload components")
        .hint("use preset0, or a key server of SPEKE 2.0"));
    }
    let mut keys = Element::new("cpix:ContentKeyList");
    for key in &document.content_keys {
        let mut element = Element::new("cpix:ContentKey").with("kid", &key.kid.to_string());
        if let Some(iv) = &key.explicit_iv {
            element = element.with("explicitIV", &base64(iv));
        }
        keys = keys.with_child(element);
    }
    let systems = document.drm_systems.iter().map(system_1);
    let systems = systems.fold(Element::new("cpix:DRMSystemList"), Element::with_child);
    let root = Element::new("cpix:CPIX")
        .with("xmlns:cpix", CPIX)
        .with("xmlns:pskc", PSKC)
        .with("xmlns:speke", SPEKE)
        .with("id", document.content_id.as_deref().unwrap_or_default());
    let root = match document.delivery_data.as_slice() {
        [] => root,
        recipients => root.with("xmlns:ds", DS).with_child(delivery_1(recipients)),
    };
    let root = root.with_child(keys).with_child(systems);
    Ok(xml::Document::new(root).to_bytes())
}

/// For whom the content keys are to be encrypted.
fn delivery_1(recipients: &[DeliveryData]) -> Element {
    let data = recipients.iter().map(|data| {
        let certificate = Element::new("ds:X509Certificate").with_text(&base64(&data.certificate));
        let certificate = Element::new("ds:X509Data").with_child(certificate);
        Element::new("cpix:DeliveryData").with_child(Element::new("cpix:DeliveryKey").with_child(certificate))
    });
    data.fold(Element::new("cpix:DeliveryDataList"), Element::with_child)
}

/// A system that has a box is told by its box, and by its protection header if it has one; one that has none by the parts of its `EXT-X-KEY` tag.
fn system_1(system: &DrmSystem) -> Element {
    let id = match system.system_id {
        whole_segments::SYSTEM_ID => AES_128_OF_1,
        id => id,
    };
    let element =
        Element::new("cpix:DRMSystem").with("kid", &system.kid.to_string()).with("systemId", &id.to_string());
    let header = &system.smooth_streaming_protection_header_data;
    let children: &[&str] = match (&system.pssh, header, &system.hls_signaling_data.media) {
        (Some(_), Some(_), _) => &["speke:ProtectionHeader", "cpix:PSSH"],
        (Some(_), None, _) => &["cpix:PSSH"],
        (None, _, Some(_)) => &["cpix:URIExtXKey", "speke:KeyFormat", "speke:KeyFormatVersions"],
        (None, _, None) => &[],
    };
    children.iter().fold(element, |element, name| element.with_child(Element::new(name)))
}

/// Takes the protection header, and turns `URIExtXKey`, `KeyFormat` and `KeyFormatVersions` into the tag lines of both
/// playlists.
fn read_system_1(element: &Element, systems: &mut HashMap<(SystemId, Kid), &mut DrmSystem>) -> Result<()> {
    let place = |error: Error| error.at("DRMSystem");
    let value = |name: &str| part(element, name).map_err(|error| place(error.at(name.to_owned())));
    let id = |name: &str| element.attribute(name).ok().flatten();
    let ids = id("systemId").zip(id("kid"));
    let ids =
        ids.and_then(|(id, kid)| Some((SystemId::parse(id.trim()).ok()?, Kid::parse(kid.trim()).ok()?)));
    let Some(system) = ids.and_then(|ids| systems.get_mut(&ids)) else { return Ok(()) };
    if let Some(header) = element.child("ProtectionHeader") {
        let header = header.text().map_err(|error| place(error.at("ProtectionHeader")))?;
        system.smooth_streaming_protection_header_data = Some(header.trim().to_owned());
    }
    let (Some(uri), key_format, versions) =
        (value("URIExtXKey")?, value("KeyFormat")?, value("KeyFormatVersions")?)
    else {
        return Ok(());
    };
    if system.hls_signaling_data.media.as_deref().is_some_and(|line| !line.is_empty()) {
        return Ok(());
    }
    let is_whole = system.system_id == AES_128_OF_1;
    let method = if is_whole { AES_128 } else { SAMPLE_AES };
    let key_format = key_format.or_else(|| is_whole.then(|| IDENTITY.to_owned())).ok_or_else(|| {
        place(Error::keys("a URIExtXKey without KeyFormat").clause("SPEKE 1.0, standard payload components"))
    })?;
    let versions = versions.unwrap_or_else(|| "1".to_owned());
    let attributes =
        format!("METHOD={method},URI=\"{uri}\",KEYFORMAT=\"{key_format}\",KEYFORMATVERSIONS=\"{versions}\"");
    system.hls_signaling_data.media = Some(format!("#EXT-X-KEY:{attributes}"));
    system.hls_signaling_data.multivariant = Some(format!("#EXT-X-SESSION-KEY:{attributes}"));
    Ok(())
}

/// The decoded text of a child, fit for a quoted string (RFC 8216bis §4.2); some servers leave the URI plain.
fn part(element: &Element, name: &str) -> Result<Option<String>> {
    let Some(text) = element.child(name).map(Element::text).transpose()? else { return Ok(None) };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let decoded = if text.contains("://") {
        text.to_owned()
    } else {
        String::from_utf8(from_base64(text)?).map_err(|_| Error::keys("the decoded bytes are not UTF-8"))?
    };
    if decoded.contains(['"', '\r', '\n']) {
        return Err(Error::keys("a quotation mark or line end, which no attribute of a playlist can hold")
            .clause("RFC 8216bis §4.2"));
    }
    Ok(Some(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FourCc, Kid, SystemId};
    use crate::cpix::{AudioFilter, VideoFilter};
    use crate::keys::{Wanted, check, request};

    const SYSTEM: SystemId = SystemId::new([0x94; 16]);

    fn one_key() -> Document {
        let kid = Kid::new([1; 16]);
        let wanted = Wanted {
            id: None,
            kid,
            explicit_iv: Some([0xa0; 16]),
            track_type: "ALL".to_owned(),
            video: Some(VideoFilter::default()),
            audio: Some(AudioFilter::default()),
        };
        let mut with_box = DrmSystem::new(SystemId::new([0xed; 16]), kid);
        with_box.pssh = Some(Vec::new());
        with_box.hls_signaling_data.media = Some(String::new());
        let mut with_uri = DrmSystem::new(SYSTEM, kid);
        with_uri.hls_signaling_data.media = Some(String::new());
        with_uri.hls_signaling_data.multivariant = Some(String::new());
        request("content", Some(FourCc(*b"cbcs")), &[wanted], vec![with_box, with_uri])
    }

    fn written(version: SpekeVersion) -> String {
        String::from_utf8(version.write(&one_key()).unwrap()).unwrap()
    }

    #[test]
    fn names_are_known_and_nothing_else() {
        for (name, version) in
            [("1", SpekeVersion::V1), ("2.0", SpekeVersion::V2_0), ("2.1", SpekeVersion::V2_1)]
        {
            assert_eq!(SpekeVersion::find(name).unwrap(), version);
        }
        assert!(SpekeVersion::find("3").unwrap_err().to_string().contains("expected 1, 2.0 or 2.1"));
    }

    #[test]
    fn version_2_1_is_cpix_2_4_with_the_word_master() {
        let text = written(SpekeVersion::V2_1);
        assert!(text.contains("version=\"2.4\"") && text.contains("playlist=\"master\""), "{text}");
        assert_eq!(text.replace("2.4", "2.3"), written(SpekeVersion::V2_0));
    }

    #[test]
    fn version_1_has_the_content_id_as_id_and_no_contract() {
        let text = written(SpekeVersion::V1);
        for part in [
            "xmlns:speke=\"urn:aws:amazon:com:speke\"",
            " id=\"content\"",
            "explicitIV=\"oKCgoKCgoKCgoKCgoKCgoA==\"",
            "<cpix:PSSH/>",
            "<cpix:URIExtXKey/><speke:KeyFormat/><speke:KeyFormatVersions/>",
        ] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        for part in [" version=\"2", "commonEncryptionScheme", "UsageRule", "HLSSignalingData", "contentId"] {
            assert!(!text.contains(part), "{text} has {part}");
        }
        let mut two = one_key();
        two.content_keys.push(two.content_keys[0].clone());
        assert!(SpekeVersion::V1.write(&two).unwrap_err().to_string().contains("carries one"));
    }

    fn answer_1(children: &str) -> String {
        let request = written(SpekeVersion::V1);
        let empty = "<cpix:URIExtXKey/><speke:KeyFormat/><speke:KeyFormatVersions/>";
        let key = "<cpix:Data><pskc:Secret><pskc:PlainValue>EBESExQVFhcYGRobHB0eHw==</pskc:PlainValue>\
                   </pskc:Secret></cpix:Data></cpix:ContentKey>";
        request
            .replace(empty, children)
            .replace("oKCgoKCgoKCgoKCgoKCgoA==\"/>", &format!("oKCgoKCgoKCgoKCgoKCgoA==\">{key}"))
    }

    #[test]
    fn parts_of_a_tag_become_tag_lines() {
        let children = format!(
            "<cpix:URIExtXKey>{}</cpix:URIExtXKey><speke:KeyFormat>{}</speke:KeyFormat>\
             <speke:KeyFormatVersions>{}</speke:KeyFormatVersions>",
            base64(b"skd://a?b"),
            base64(b"com.apple.streamingkeydelivery"),
            base64(b"1")
        );
        let answer = SpekeVersion::V1.read(answer_1(&children).as_bytes(), &[]).unwrap();
        let document = check(&one_key(), answer).unwrap();
        let system = document.drm_system(SYSTEM, Kid::new([1; 16])).unwrap();
        let attributes = "METHOD=SAMPLE-AES,URI=\"skd://a?b\",KEYFORMAT=\"com.apple.streamingkeydelivery\",\
                          KEYFORMATVERSIONS=\"1\"";
        let hls = &system.hls_signaling_data;
        assert_eq!(hls.media.as_deref().unwrap(), format!("#EXT-X-KEY:{attributes}"));
        assert_eq!(hls.multivariant.as_deref().unwrap(), format!("#EXT-X-SESSION-KEY:{attributes}"));
        assert_eq!(document.content_keys[0].explicit_iv, Some([0xa0; 16]));
    }

    #[test]
    fn a_protection_header_goes_and_comes_beside_the_box() {
        let mut request = one_key();
        request.drm_systems[0].smooth_streaming_protection_header_data = Some(String::new());
        let text = |version: SpekeVersion| String::from_utf8(version.write(&request).unwrap()).unwrap();
        let asked = "<speke:ProtectionHeader/><cpix:PSSH/>";
        assert!(text(SpekeVersion::V1).contains(asked), "{}", text(SpekeVersion::V1));
        assert!(!text(SpekeVersion::V2_0).contains("Header"), "{}", text(SpekeVersion::V2_0));
        let answer =
            text(SpekeVersion::V1).replace(asked, "<speke:ProtectionHeader>AAAA</speke:ProtectionHeader>");
        let answer = SpekeVersion::V1.read(answer.as_bytes(), &[]).unwrap();
        assert_eq!(answer.drm_systems[0].smooth_streaming_protection_header_data.as_deref(), Some("AAAA"));
    }

    #[test]
    fn parts_that_no_tag_can_hold_are_refused() {
        for (children, text) in [
            ("<cpix:URIExtXKey>skd://a\"b</cpix:URIExtXKey>", "quotation mark"),
            ("<cpix:URIExtXKey>skd://a</cpix:URIExtXKey>", "without KeyFormat"),
        ] {
            let error = SpekeVersion::V1.read(answer_1(children).as_bytes(), &[]).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        assert!(SpekeVersion::V1.read(answer_1("").as_bytes(), &[]).is_ok());
    }
}
