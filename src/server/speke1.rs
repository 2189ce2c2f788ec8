//! The key server's side of SPEKE 1.0: empty elements are filled in place, everything else is echoed.

use crate::base::{Error, Kid, Result, SystemId, base64};
use crate::cpix::{self, Document, Index};
use crate::hls::{self, Playlist};
use crate::protect::Scheme;
use crate::protect::scheme::SCHEMES;
use crate::xml::{self, Element, Node};

use super::{Answers, speke};

/// RFC 6030.
const PSKC: &str = "urn:ietf:params:xml:ns:keyprov:pskc";

/// Whether a request without a version header is of SPEKE 1.0: the content id is in `@id`, and `@version`
/// was not there yet.
pub(super) fn is_request(body: &[u8]) -> bool {
    let has = |root: &Element, name: &str| root.attribute(name).is_ok_and(|value| value.is_some());
    xml::Document::parse(body).is_ok_and(|document| {
        let root = document.root();
        root.local_name() == "CPIX" && has(root, "id") && !has(root, "version") && !has(root, "contentId")
    })
}

/// Answers one request: every key gets a value and an IV, every empty child of a DRM system is filled.
///
/// # Errors
/// When the request lacks keys or systems, or names a system that is not known.
pub(super) fn answer(answers: &Answers<'_>, request: &[u8]) -> Result<Vec<u8>> {
    let mut tree = xml::Document::parse(request)?;
    let mut document = cpix::read(request)?;
    document.content_id = tree.root().attribute("id")?.map(|id| id.into_owned());
    let scheme = check(answers, &document)?;
    document.drm_systems.iter_mut().for_each(speke::ask_all);
    speke::fill(answers, &mut document, scheme)?;
    let index = document.index();
    for list in tree.root_mut().elements_mut() {
        for element in list.elements_mut() {
            match element.local_name() {
                "ContentKey" => fill_key(element, &index)?,
                "DRMSystem" => fill_system(element, &index)?,
                _ => {}
            }
        }
    }
    Ok(tree.to_bytes())
}

/// The scheme that every system allows: the request does not say which.
fn check(answers: &Answers<'_>, document: &Document) -> Result<&'static Scheme> {
    if !document.delivery_data.is_empty() {
        return Err(Error::keys("encryption for a certificate is not supported with SPEKE 1.0"));
    }
    if document.content_keys.is_empty() {
        return Err(Error::keys("Missing CPIX/ContentKeyList"));
    }
    if document.drm_systems.is_empty() {
        return Err(Error::keys("Missing CPIX/DRMSystemList"));
    }
    let index = document.index();
    let mut systems = Vec::new();
    for entry in &document.drm_systems {
        let id = entry.system_id;
        systems.push(answers.system(id).ok_or_else(|| Error::keys(format!("Unsupported DRMSystem {id}")))?);
        if index.content_key(entry.kid).is_none() {
            return Err(Error::keys(format!(
                "DRMSystem {id} for KID {}, which has no ContentKey",
                entry.kid
            )));
        }
    }
    SCHEMES
        .iter()
        .find(|scheme| systems.iter().all(|system| system.allows(scheme)))
        .ok_or_else(|| Error::keys("no protection scheme suits all these DRM systems"))
}

fn kid(element: &Element) -> Result<Option<Kid>> {
    Ok(element.attribute("kid")?.and_then(|kid| Kid::parse(kid.trim()).ok()))
}

fn fill_key(element: &mut Element, index: &Index<'_>) -> Result<()> {
    let Some(key) = kid(element)?.and_then(|kid| index.content_key(kid)) else { return Ok(()) };
    let Some(value) = &key.value else { return Ok(()) };
    let value = Element::new("pskc:PlainValue").with_text(&base64(value.expose()));
    let secret = Element::new("pskc:Secret").with("xmlns:pskc", PSKC).with_child(value);
    let data = Element::new(&qualified(element.prefix(), "Data")).with_child(secret);
    element.children.retain(|node| !matches!(node, Node::Element(child) if child.local_name() == "Data"));
    element.children.push(Node::Element(data));
    if let Some(iv) = key.explicit_iv {
        element.set_attribute("explicitIV", &base64(&iv));
    }
    Ok(())
}

fn qualified(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}:{name}") }
}

fn fill_system(element: &mut Element, index: &Index<'_>) -> Result<()> {
    let id = element.attribute("systemId")?.and_then(|id| SystemId::parse(id.trim()).ok());
    let system = id.zip(kid(element)?).and_then(|(id, kid)| index.drm_system(id, kid));
    let Some(system) = system else { return Ok(()) };
    let line = system.hls_signaling_data.media.clone().unwrap_or_default();
    let keys = hls::media::keys(&Playlist::parse(format!("#EXTM3U\n{line}\n").as_bytes())?)?;
    let key = keys.first();
    for child in element.elements_mut() {
        let value = match child.local_name() {
            "PSSH" => system.pssh.as_deref().map(base64),
            "ContentProtectionData" => {
                system.content_protection_data.as_ref().map(|xml| base64(xml.as_bytes()))
            }
            "URIExtXKey" => key.and_then(|key| key.uri.as_ref()).map(|uri| base64(uri.as_bytes())),
            "KeyFormat" => key.map(|key| base64(key.key_format.as_bytes())),
            "KeyFormatVersions" => key.map(|key| base64(key.key_format_versions.as_bytes())),
            "ProtectionHeader" => system.smooth_streaming_protection_header_data.clone(),
            _ => None,
        };
        if let Some(value) = value.filter(|_| child.children.is_empty()) {
            child.children = vec![Node::Raw(value)];
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::from_base64;
    use crate::drm;
    use crate::keys::DevKeys;
    use crate::server::{Fault, Says};

    fn answered(request: &str) -> Result<Vec<u8>> {
        let (keys, says) = (&DevKeys::new("seed"), &Says::default());
        let answers = Answers { keys, says, key_uri: "https://k/{kid}", fault: Fault::None };
        answer(&answers, request.as_bytes())
    }

    const REQUEST: &str = concat!(
        "<x:CPIX id=\"asset-1\" xmlns:x=\"urn:dashif:org:cpix\" xmlns:speke=\"urn:aws:amazon:com:speke\">",
        "<!-- kept --><x:ContentKeyList><x:ContentKey kid=\"AAAAAAAA-1111-2222-3333-444444444444\"/>",
        "</x:ContentKeyList><x:DRMSystemList>",
        "<x:DRMSystem kid=\"AAAAAAAA-1111-2222-3333-444444444444\" ",
        "systemId=\"9A04F079-9840-4286-AB92-E65BE0885F95\"><speke:ProtectionHeader/><x:PSSH></x:PSSH>",
        "</x:DRMSystem><x:DRMSystem kid=\"AAAAAAAA-1111-2222-3333-444444444444\" ",
        "systemId=\"94ce86fb-07ff-4f43-adb8-93d2fa968ca2\"><x:URIExtXKey/><speke:KeyFormat/>",
        "<speke:KeyFormatVersions/></x:DRMSystem></x:DRMSystemList></x:CPIX>"
    );

    fn text(root: &Element, system: usize, name: &str) -> String {
        let systems: Vec<_> = root.named("DRMSystemList").flat_map(|list| list.named("DRMSystem")).collect();
        systems[system].child(name).unwrap().text().unwrap()
    }

    #[test]
    fn empty_children_are_filled_and_the_rest_is_echoed() {
        assert!(is_request(REQUEST.as_bytes()));
        let answer = answered(REQUEST).unwrap();
        let read = cpix::read(&answer).unwrap();
        let key = &read.content_keys[0];
        let expected = DevKeys::new("seed").key(key.kid).unwrap();
        assert_eq!(key.value.as_ref().unwrap().expose(), expected.expose());
        let written = String::from_utf8(answer.clone()).unwrap();
        assert!(written.contains("<!-- kept --><x:ContentKeyList><x:ContentKey kid=\"AAAAAAAA-1111-"));
        let tree = xml::Document::parse(&answer).unwrap();
        let decoded = |name| String::from_utf8(from_base64(&text(tree.root(), 1, name)).unwrap()).unwrap();
        assert!(decoded("URIExtXKey").starts_with("skd://aaaaaaaa-1111-"));
        assert_eq!(decoded("KeyFormat"), "com.apple.streamingkeydelivery");
        assert_eq!(decoded("KeyFormatVersions"), "1");
        let pssh = drm::Pssh::parse(&from_base64(&text(tree.root(), 0, "PSSH")).unwrap()).unwrap();
        assert_eq!(from_base64(&text(tree.root(), 0, "ProtectionHeader")).unwrap(), pssh.data);
    }

    #[test]
    fn whole_segments_are_a_system_of_their_own() {
        let request = REQUEST
            .replace("94ce86fb-07ff-4f43-adb8-93d2fa968ca2", "81376844-f976-481e-a84e-cc25d39b0b33")
            .replace("9A04F079-9840-4286-AB92-E65BE0885F95", "3EA8778F-7742-4BF9-B18B-E834B2ACBD47");
        let answer = answered(&request).unwrap();
        let tree = xml::Document::parse(&answer).unwrap();
        let decoded = |name| String::from_utf8(from_base64(&text(tree.root(), 1, name)).unwrap()).unwrap();
        assert_eq!(decoded("URIExtXKey"), "https://k/aaaaaaaa111122223333444444444444");
        assert_eq!((decoded("KeyFormat"), decoded("KeyFormatVersions")), ("identity".into(), "1".into()));
    }

    #[test]
    fn a_request_of_another_shape_is_not_of_this_version() {
        for change in [
            REQUEST.replacen(" id=", " contentId=", 1),
            REQUEST.replacen(" id=", " version=\"2.3\" id=", 1),
            REQUEST.replace("CPIX", "MPD"),
            String::new(),
        ] {
            assert!(!is_request(change.as_bytes()), "{change}");
        }
    }

    #[test]
    fn what_lacks_is_named() {
        for (from, to, expected) in [
            ("ContentKey ", "Other ", "Missing CPIX/ContentKeyList"),
            ("DRMSystem ", "Other ", "Missing CPIX/DRMSystemList"),
            ("9A04F079", "00000000", "Unsupported DRMSystem"),
        ] {
            let request = REQUEST.replace(&format!("<x:{from}"), &format!("<x:{to}")).replace(from, to);
            let request = request.replace(
                "</x:DRMSystem>",
                if to == "Other " && from.starts_with('D') { "</x:Other>" } else { "</x:DRMSystem>" },
            );
            let error = answered(&request).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
