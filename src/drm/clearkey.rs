//! ClearKey — W3C Encrypted Media Extensions §9.1, signaled as the DASH-IF guidelines say.

use crate::base::{Error, Kid, Result, SystemId};
use crate::cpix::DrmSystem;
use crate::protect::Scheme;
use crate::xml::Element;

use super::pssh::Pssh;
use super::{ManifestKind, Signal, System, fill};

const SYSTEM_ID: SystemId = SystemId::from_u128(0xe2719d58_a985_b3c9_781a_b030af78d30e);
/// The W3C common system: its box names key ids only, and it is the one that browsers' ClearKey reads.
pub(super) const COMMON_SYSTEM_ID: SystemId = SystemId::from_u128(0x1077efec_c0b2_4d02_ace3_3c1e52e2fb4b);

/// ClearKey.
#[derive(Debug)]
pub struct ClearKey;

impl System for ClearKey {
    fn name(&self) -> &str {
        "clearkey"
    }

    fn system_id(&self) -> SystemId {
        SYSTEM_ID
    }

    fn pssh_system_id(&self) -> Option<SystemId> {
        Some(COMMON_SYSTEM_ID)
    }

    fn dash_value(&self) -> &'static str {
        "ClearKey1.0"
    }

    fn allows(&self, _scheme: &Scheme) -> bool {
        true
    }

    fn signals_in(&self, _manifest: ManifestKind) -> bool {
        true
    }

    /// Asks for nothing: all there is to say is the key id, and key servers refuse a system they do not know.
    fn request(&self, _system: &mut DrmSystem, _manifests: &[ManifestKind]) {}

    fn signal(&self, signal: &Signal<'_>, system: &mut DrmSystem) -> Result<()> {
        let kid = signal.key.kid;
        let ours = Pssh { system_id: COMMON_SYSTEM_ID, kids: Some(vec![kid]), data: Vec::new() };
        let boxes = fill::pssh(system, COMMON_SYSTEM_ID, ours)?;
        // Without a box: key ids are in `cenc:default_KID`, and players take what is here for a list of key ids.
        let elements = signal.license_url.map(license_elements).unwrap_or_default();
        fill::text(&mut system.content_protection_data, || elements);
        let key_format = format!("urn:uuid:{COMMON_SYSTEM_ID}");
        if let Some(method) = signal.scheme.hls_method {
            let object = boxes.first.write()?;
            let line = fill::hls_attributes(method, "text/plain", &object, Some(kid), &key_format);
            fill::hls(&mut system.hls_signaling_data, &line);
        }
        Ok(())
    }

    fn kids(&self, pssh: &Pssh) -> Result<Vec<Kid>> {
        pssh.kids.clone().ok_or_else(|| Error::input("common pssh box of version 0, expected 1"))
    }
}

/// Where the license is: the element of the DASH-IF guidelines, and the older one that some players read.
fn license_elements(url: &str) -> String {
    let current = Element::new("dashif:Laurl")
        .with("xmlns:dashif", "https://dashif.org/CPS")
        .with("licenseType", "EME-1.0");
    let legacy = Element::new("clearkey:Laurl")
        .with("xmlns:clearkey", "http://dashif.org/guidelines/clearKey")
        .with("Lic_type", "EME-1.0");
    current.with_text(url).to_text() + &legacy.with_text(url).to_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::base64;
    use crate::drm::tests::{key, signal};

    #[test]
    fn the_box_is_that_of_the_common_system() {
        let key = key();
        let mut system = DrmSystem::new(SYSTEM_ID, key.kid);
        ClearKey.signal(&signal(&key, "cenc"), &mut system).unwrap();
        let pssh = base64(&system.pssh.unwrap());
        assert_eq!(pssh, "AAAANHBzc2gBAAAAEHfv7MCyTQKs4zweUuL7SwAAAAExMjM0NTY3ODkwMTIzNDU2AAAAAA==");
        assert_eq!(
            system.hls_signaling_data.media.unwrap(),
            format!(
                "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"data:text/plain;base64,{pssh}\",\
                 KEYID=0x31323334353637383930313233343536,\
                 KEYFORMAT=\"urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b\",KEYFORMATVERSIONS=\"1\""
            )
        );
    }

    #[test]
    fn a_known_license_url_stands_in_both_elements() {
        let key = key();
        let mut system = DrmSystem::new(SYSTEM_ID, key.kid);
        let signal = Signal { license_url: Some("http://h/l?a&b"), ..signal(&key, "cenc") };
        ClearKey.signal(&signal, &mut system).unwrap();
        assert_eq!(
            system.content_protection_data.unwrap(),
            "<dashif:Laurl xmlns:dashif=\"https://dashif.org/CPS\" licenseType=\"EME-1.0\">\
             http://h/l?a&amp;b</dashif:Laurl>\
             <clearkey:Laurl xmlns:clearkey=\"http://dashif.org/guidelines/clearKey\" Lic_type=\"EME-1.0\">\
             http://h/l?a&amp;b</clearkey:Laurl>"
        );
    }
}
