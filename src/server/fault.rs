//! Faults and habits that key servers have shown, one row each, to see what a client makes of them.

use clap::ValueEnum;

use crate::base::{Error, Kid, Result, base64};
use crate::cpix::{self, Document, Version};
use crate::drm::{self, Pssh};
use crate::io::SystemRandom;
use crate::xml::{self, Element, Node};

use super::speke;

/// Characters of base64 in a line: RFC 2045 §6.8 allows 76.
const LINE: usize = 64;
/// Most keys of a server with a limit.
const MAX_KEYS: usize = 2;

/// What a key server does wrong, or otherwise than most, on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Nothing
    #[default]
    None,
    /// Key ids are replaced, in every place alike
    ReplacedKids,
    /// Content keys come under other ids than the rest of the document names
    WrongKid,
    /// Content keys have eight bytes
    ShortKey,
    /// Key ids and system ids are in upper case
    UpperCaseKids,
    /// No content key has an IV
    MissingIv,
    /// Base64 is broken into lines
    Base64WhiteSpace,
    /// PSSH is what a box holds, without the box
    PsshPayload,
    /// The answer is a CPIX 2.1 document: no version, no scheme, playlist names of that time
    #[value(name = "cpix-2.1")]
    Cpix21,
    /// The answer is a CPIX 2.4 document: playlist names of that time, HDCPData
    #[value(name = "cpix-2.4")]
    Cpix24,
    /// ContentProtectionData uses prefixes that it does not declare
    UndeclaredPrefix,
    /// ContentProtectionData of PlayReady is the PlayReady object instead of XML
    BareObject,
    /// The last key has no DRMSystem
    MissingDrmSystem,
    /// Requests for more than two keys are refused
    KeyLimit,
    /// Every DRM system is told all there is, asked for or not
    UnaskedSignaling,
    /// Key requests are answered with 401, whatever the ticket
    Unauthorized,
    /// Service tickets are expired when they come
    ExpiredTickets,
    /// The first key request is answered with 500 and ends every login
    RevokedLogin,
    /// Key requests are answered with 500
    ServerError,
    /// The first key request is answered with 500
    OneServerError,
    /// The first key request is answered with 429 and Retry-After
    TooManyRequests,
    /// Key requests are answered after some seconds
    Slow,
    /// The server ends in the middle of the first key request
    Dies,
    /// Key requests are answered with 200 and an HTML page
    Html,
    /// Key requests are answered with 200 and an error in JSON
    Json,
    /// Key requests are answered with 200 and nothing
    Empty,
}

impl Fault {
    /// Changes a request before it is answered.
    ///
    /// # Errors
    /// When it is for more keys than the server gives.
    pub(super) fn edit_request(self, document: &mut Document) -> Result<()> {
        match self {
            Self::KeyLimit if document.content_keys.len() > MAX_KEYS => {
                let count = document.content_keys.len();
                return Err(Error::keys(format!(
                    "Requested CPIX encryption contract not supported: {count} keys, at most {MAX_KEYS}"
                )));
            }
            Self::ReplacedKids => {
                document.content_keys.iter_mut().for_each(|key| key.kid = replaced(key.kid));
                document.drm_systems.iter_mut().for_each(|system| system.kid = replaced(system.kid));
                document.usage_rules.iter_mut().for_each(|rule| rule.kid = replaced(rule.kid));
            }
            Self::UnaskedSignaling => document.drm_systems.iter_mut().for_each(speke::ask_all),
            _ => {}
        }
        Ok(())
    }

    /// Changes an answer and writes it, encrypted for the recipients that it names.
    ///
    /// # Errors
    /// When a box that is there cannot be read, or a recipient has no certificate of an RSA key.
    pub(super) fn write(self, mut document: Document) -> Result<Vec<u8>> {
        match self {
            Self::WrongKid => document.content_keys.iter_mut().for_each(|key| key.kid = replaced(key.kid)),
            Self::MissingIv => document.content_keys.iter_mut().for_each(|key| key.explicit_iv = None),
            Self::Cpix24 => {
                document.content_keys.iter_mut().for_each(|key| key.hls_hdcp_level = Some("TYPE-0".into()));
            }
            Self::PsshPayload => {
                for pssh in document.drm_systems.iter_mut().filter_map(|system| system.pssh.as_mut()) {
                    *pssh = payload(pssh)?;
                }
            }
            Self::UndeclaredPrefix => {
                let systems = document.drm_systems.iter_mut();
                for data in systems.filter_map(|system| system.content_protection_data.as_mut()) {
                    *data = undeclared(data)?;
                }
            }
            Self::MissingDrmSystem => {
                let last = document.content_keys.last().map(|key| key.kid);
                document.drm_systems.retain(|system| Some(system.kid) != last);
            }
            _ => {}
        }
        let version = match self {
            Self::Cpix21 => Version::V2_1,
            Self::Cpix24 => Version::V2_4,
            _ => Version::find(document.version.as_deref().unwrap_or_default())?,
        };
        let written = if document.delivery_data.is_empty() {
            cpix::write_as(&document, version)?
        } else {
            // Whoever sends a certificate gets no key in plain text.
            cpix::write_encrypted(&document, version, &SystemRandom)?
        };
        let mut tree = xml::Document::parse(&written.bytes)?;
        self.edit(tree.root_mut(), &document)?;
        Ok(tree.to_bytes())
    }

    /// Changes elements as they will be written.
    fn edit(self, element: &mut Element, document: &Document) -> Result<()> {
        match self {
            Self::ShortKey if element.local_name() == "PlainValue" => {
                let value = crate::base::from_base64(&element.text()?)?;
                set_text(element, &base64(value.get(..8).unwrap_or_default()));
            }
            Self::UpperCaseKids => {
                for name in ["kid", "systemId"] {
                    if let Some(id) = element.attribute(name)?.map(|id| id.to_uppercase()) {
                        element.set_attribute(name, &id);
                    }
                }
            }
            Self::Base64WhiteSpace => break_lines(element)?,
            Self::BareObject if element.local_name() == "DRMSystem" => bare_object(element, document)?,
            _ => {}
        }
        element.elements_mut().try_for_each(|child| self.edit(child, document))
    }
}

fn replaced(kid: Kid) -> Kid {
    Kid::new(kid.bytes().map(|byte| !byte))
}

fn set_text(element: &mut Element, text: &str) {
    element.children = vec![Node::Raw(text.to_owned())];
}

fn payload(pssh: &[u8]) -> Result<Vec<u8>> {
    if pssh.is_empty() {
        return Ok(Vec::new());
    }
    Ok(Pssh::parse_all(pssh)?.into_iter().next().map(|pssh| pssh.data).unwrap_or_default())
}

/// The elements without their own declarations.
fn undeclared(data: &str) -> Result<String> {
    let mut text = String::new();
    for mut node in xml::parse_fragment(data)? {
        if let Node::Element(element) = &mut node {
            let prefix = format!("xmlns:{}", element.prefix());
            element.remove_attribute(&prefix);
            text.push_str(&element.to_text());
        }
    }
    Ok(text)
}

fn break_lines(element: &mut Element) -> Result<()> {
    if let Some(iv) = element.attribute("explicitIV")?.map(|iv| iv.into_owned()) {
        let (start, end) = iv.split_at(iv.len() / 2);
        element.set_attribute("explicitIV", &format!(" {start} {end}"));
    }
    if element.elements().next().is_none() {
        let text: Vec<char> = element.text()?.chars().collect();
        let lines: Vec<String> = text.chunks(LINE).map(|line| line.iter().collect()).collect();
        if !lines.is_empty() {
            set_text(element, &format!("\n{}\n", lines.join("\n")));
        }
    }
    Ok(())
}

/// The data of the box of a system that carries it in a playlist as well, in the place of XML.
fn bare_object(element: &mut Element, document: &Document) -> Result<()> {
    let ids = (element.attribute("systemId")?, element.attribute("kid")?);
    let found = document.drm_systems.iter().find(|system| {
        (ids.0.as_deref(), ids.1.as_deref())
            == (Some(&system.system_id.to_string()), Some(&system.kid.to_string()))
    });
    let Some(system) =
        found.filter(|system| drm::find_id(system.system_id).is_some_and(|drm| drm.name() == "playready"))
    else {
        return Ok(());
    };
    let object = payload(system.pssh.as_deref().unwrap_or_default())?;
    if object.is_empty() {
        return Err(Error::keys("no PSSH was asked for, so there is no PlayReady object"));
    }
    for child in element.elements_mut().filter(|child| child.local_name() == "ContentProtectionData") {
        set_text(child, &base64(&object));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kid;
    use crate::cpix::DrmSystem;
    use crate::drm::ManifestKind;
    use crate::keys::{DevKeys, Wanted, request};
    use crate::protect::scheme::SCHEMES;
    use crate::server::{Answers, Says};

    /// A request for two keys, in which no system asks for its data of other manifests.
    fn wanted() -> Vec<u8> {
        let keys = [(1, "VIDEO"), (2, "AUDIO")].map(|(byte, track_type)| Wanted {
            id: None,
            kid: Kid::new([byte | 0xa0; 16]),
            explicit_iv: None,
            track_type: track_type.to_owned(),
            video: Some(cpix::VideoFilter::default()),
            audio: None,
        });
        let systems = drm::ALL.iter().flat_map(|system| keys.iter().map(move |key| (system, key)));
        let systems = systems.map(|(system, key)| {
            let mut entry = DrmSystem::new(system.system_id(), key.kid);
            system.request(&mut entry, &[ManifestKind::Dash]);
            entry
        });
        cpix::write(&request("asset", Some(SCHEMES[1].fourcc), &keys, systems.collect()))
    }

    fn answer(fault: Fault) -> String {
        let (keys, says) = (&DevKeys::new("seed"), &Says::default());
        let answers = Answers { keys, says, key_uri: "", fault };
        let answer = speke::answer(&answers, &speke::VERSIONS[0], &wanted()).unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn a_fault_of_the_document_is_there_and_every_other_leaves_the_document_alone() {
        let usual = answer(Fault::None);
        let whole = |text: &str, part: &str| text.matches(part).count();
        for fault in Fault::value_variants() {
            let found = answer(*fault);
            let is_there = match fault {
                Fault::ReplacedKids => !found.contains("a1a1a1a1") && whole(&found, "5e5e5e5e-") > 4,
                Fault::WrongKid => whole(&found, "\"5e5e5e5e-") == 1,
                Fault::ShortKey => found.contains("=</pskc:PlainValue>") && found.len() < usual.len(),
                Fault::UpperCaseKids => found.contains("kid=\"A1A1A1A1-") && !found.contains("a1a1a1a1-"),
                Fault::MissingIv => !found.contains("explicitIV"),
                Fault::Base64WhiteSpace => {
                    found.contains("<cpix:PSSH>\n") && found.contains("explicitIV=\" ")
                }
                Fault::PsshPayload => !found.contains("cHNzaA"),
                Fault::Cpix21 => !found.contains("version=\"2") && !found.contains("commonEncryption"),
                Fault::Cpix24 => found.contains("version=\"2.4\"") && found.contains("HDCPData"),
                Fault::UndeclaredPrefix | Fault::BareObject => found.len() < usual.len(),
                Fault::MissingDrmSystem => {
                    whole(&usual, "<cpix:DRMSystem ") == 2 * whole(&found, "<cpix:DRMSystem ")
                }
                Fault::UnaskedSignaling => {
                    found.contains("HLSSignalingData") && !usual.contains("HLSSignalingData")
                }
                _ => found == usual,
            };
            assert!(is_there, "{fault:?}: {found}");
        }
    }
}
