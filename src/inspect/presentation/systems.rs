//! Which DRM systems are told of which key — ISO/IEC 23001-7 §8.1, ISO/IEC 23009-1 §5.8.4.1, RFC 8216bis §4.4.4.4.

use std::collections::BTreeMap;

use crate::base::{Kid, SystemId, from_base64};
use crate::drm::{self, Pssh};
use crate::hls::Key;
use crate::isobmff::BoxNode;
use crate::xml::Element;

/// Names of systems by key id.
#[derive(Default)]
pub(super) struct Systems(BTreeMap<String, Vec<String>>);

impl Systems {
    /// The systems of a key.
    pub(super) fn of(&self, kid: &str) -> Vec<String> {
        self.0.get(kid).cloned().unwrap_or_default()
    }

    fn add(&mut self, kid: Kid, system: &str) {
        let systems = self.0.entry(kid.to_string()).or_default();
        if !systems.iter().any(|known| known == system) {
            systems.push(system.to_owned());
        }
    }

    /// The `pssh` boxes of a `moov` or `moof`.
    pub(super) fn add_boxes(&mut self, parent: &BoxNode) {
        for node in parent.all(b"pssh") {
            self.add_box(&node.to_bytes());
        }
    }

    fn add_box(&mut self, bytes: &[u8]) {
        let Ok(pssh) = Pssh::parse(bytes) else { return };
        kids(&pssh).into_iter().for_each(|kid| self.add(kid, &name(pssh.system_id)));
    }

    /// The descriptors of an MPD: those of one element are about its `default_KID`.
    pub(super) fn add_descriptors(&mut self, element: &Element) {
        let descriptors: Vec<&Element> = element.named("ContentProtection").collect();
        let kids = descriptors.iter().filter_map(|descriptor| {
            let attributes = descriptor.attributes().ok()?;
            let (_, kid) = attributes.iter().find(|(name, _)| name.ends_with("default_KID"))?;
            Kid::parse(kid).ok()
        });
        let kids: Vec<Kid> = kids.collect();
        for descriptor in descriptors {
            let uri = descriptor.attribute("schemeIdUri").ok().flatten().unwrap_or_default().to_lowercase();
            if let Some(system) = uri.strip_prefix("urn:uuid:").and_then(|id| SystemId::parse(id).ok()) {
                kids.iter().for_each(|kid| self.add(*kid, &name(system)));
            }
        }
        element.elements().for_each(|child| self.add_descriptors(child));
    }

    /// The key tags of a playlist: a tag without a key id is about the same keys as those beside it.
    pub(super) fn add_keys(&mut self, keys: &[Key], used: &[Kid]) {
        let mut stated: Vec<Kid> = keys.iter().flat_map(tag_kids).collect();
        if stated.is_empty() {
            stated = used.to_vec();
        }
        for key in keys.iter().filter(|key| key.encrypts()) {
            let Some(system) = drm::find_key_format(&key.key_format) else { continue };
            let own = tag_kids(key);
            let about = if own.is_empty() { &stated } else { &own };
            about.iter().for_each(|kid| self.add(*kid, &name(system.system_id())));
        }
    }
}

/// The key ids that a key tag names, in an attribute or in the box that is its URI.
pub(super) fn tag_kids(key: &Key) -> Vec<Kid> {
    if let Some(kid) = key.key_id {
        return vec![kid];
    }
    let data = key.uri.as_deref().and_then(|uri| uri.strip_prefix("data:")?.split_once(";base64,"));
    let bytes = data.and_then(|(_, data)| from_base64(data).ok()).unwrap_or_default();
    let system = drm::find_key_format(&key.key_format);
    match (Pssh::parse(&bytes), system) {
        (Ok(pssh), _) => kids(&pssh),
        (Err(_), Some(system)) if system.recognizes(&bytes) => {
            system.kids(&Pssh { system_id: system.system_id(), kids: None, data: bytes }).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn kids(pssh: &Pssh) -> Vec<Kid> {
    if let Some(kids) = pssh.kids.as_ref().filter(|kids| !kids.is_empty()) {
        return kids.clone();
    }
    let system = drm::ALL.iter().find(|system| system.pssh_system_id() == Some(pssh.system_id));
    system.and_then(|system| system.kids(pssh).ok()).unwrap_or_default()
}

fn name(system_id: SystemId) -> String {
    drm::system_name(system_id).map_or_else(|| system_id.to_string(), str::to_owned)
}
