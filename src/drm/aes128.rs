//! AES-128 of whole segments as a DRM system of key servers — RFC 8216bis §4.4.4.4, SPEKE 2.0: an `EXT-X-KEY` tag whose URI
//! is the address of the key.

use crate::base::id::hex;
use crate::base::{Error, Kid, Result, SystemId};
use crate::cpix::{DrmSystem, whole_segments};
use crate::hls::{AES_128, IDENTITY, Playlist, media};
use crate::protect::Scheme;

use super::pssh::Pssh;
use super::{Fault, ManifestKind, Signal, System, fill, template};

/// Its word in `--drm`.
pub const NAME: &str = "simpleaes";
/// The attributes of a key tag that depend on the segment, or that the method decides.
const OWN: &[&str] = &["METHOD", "URI", "IV"];

/// What key servers are asked for when whole segments are encrypted.
#[derive(Debug)]
pub struct WholeSegments;

impl System for WholeSegments {
    fn name(&self) -> &str {
        NAME
    }

    fn system_id(&self) -> SystemId {
        whole_segments::SYSTEM_ID
    }

    fn pssh_system_id(&self) -> Option<SystemId> {
        None
    }

    fn dash_value(&self) -> &'static str {
        ""
    }

    fn allows(&self, scheme: &Scheme) -> bool {
        scheme.fourcc == whole_segments::SCHEME
    }

    fn signals_in(&self, manifest: ManifestKind) -> bool {
        manifest == ManifestKind::Hls
    }

    fn signals_license_url(&self, _manifest: ManifestKind) -> bool {
        false
    }

    fn request(&self, system: &mut DrmSystem, _manifests: &[ManifestKind]) {
        fill::request_hls(&mut system.hls_signaling_data);
    }

    /// The key URI template is that of the address of the key.
    fn signal(&self, signal: &Signal<'_>, system: &mut DrmSystem) -> Result<()> {
        let uri = template::expand(signal.skd_template, &signal.into())?;
        let iv = signal.key.explicit_iv.map(|iv| format!("IV=0x{},", hex(&iv))).unwrap_or_default();
        let attributes =
            format!("METHOD={AES_128},URI=\"{uri}\",{iv}KEYFORMAT=\"{IDENTITY}\",KEYFORMATVERSIONS=\"1\"");
        fill::hls(&mut system.hls_signaling_data, &attributes);
        Ok(())
    }

    fn kids(&self, _pssh: &Pssh) -> Result<Vec<Kid>> {
        Ok(Vec::new())
    }
}

/// What the key tag of a key source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTag {
    method: String,
    /// The address of the key.
    pub uri: String,
    /// The IV of every segment.
    pub iv: Option<[u8; 16]>,
    /// The other attributes as they came.
    pub others: Vec<String>,
}

impl KeyTag {
    /// The tag for media playlists in an answer; `None` when it has none.
    ///
    /// # Errors
    /// When it cannot be read, or there are several.
    pub fn of(answer: &DrmSystem) -> Result<Option<Self>> {
        let lines = answer.hls_signaling_data.media.as_deref().unwrap_or_default();
        let playlist = Playlist::parse(format!("#EXTM3U\n{lines}\n").as_bytes())?;
        let keys = media::keys(&playlist)?;
        let [key] = keys.as_slice() else {
            if keys.is_empty() {
                return Ok(answer.uri_ext_x_key.as_deref().filter(|uri| !uri.is_empty()).map(Self::at));
            }
            return Err(Error::unsupported(format!("{} EXT-X-KEY tags, one expected", keys.len()))
                .clause("RFC 8216bis §4.4.4.4"));
        };
        let others = key.attributes.names().filter(|name| !OWN.contains(name));
        let others = others.filter_map(|name| Some(format!("{name}={}", key.attributes.raw(name)?)));
        Ok(Some(Self {
            method: key.method.clone(),
            uri: key.uri.clone().unwrap_or_default(),
            iv: key.iv()?,
            others: others.collect(),
        }))
    }

    /// A key at this address, of which nothing else is said: CPIX 2.3 `URIExtXKey`.
    fn at(uri: &str) -> Self {
        Self { method: AES_128.to_owned(), uri: uri.to_owned(), iv: None, others: Vec::new() }
    }

    /// What in it is not as whole segments are encrypted: `iv` is the one that is known of the key.
    pub fn faults(&self, iv: Option<[u8; 16]>) -> Vec<Fault> {
        let fault = |rule, found: String, expected: String| Fault { rule, found, expected };
        let method = (self.method != AES_128)
            .then(|| fault("hls-method", self.method.clone(), format!("{AES_128} for whole segments")));
        let other_iv = self.iv.zip(iv).filter(|(found, expected)| found != expected);
        let iv = other_iv.map(|(found, iv)| fault("hls-iv", format!("IV {}", hex(&found)), hex(&iv)));
        method.into_iter().chain(iv).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &str) -> Result<Option<KeyTag>> {
        let mut system = DrmSystem::new(whole_segments::SYSTEM_ID, Kid::new([1; 16]));
        system.hls_signaling_data.media = Some(lines.to_owned());
        system.uri_ext_x_key = Some("https://k/old".to_owned());
        KeyTag::of(&system)
    }

    #[test]
    fn a_tag_gives_address_iv_and_what_else_it_has() {
        let tag = said(
            "#EXT-X-KEY:METHOD=AES-128,KEYID=0x01,IV=0x000102030405060708090a0b0c0d0e0f,\
             URI=\"https://k/1,2\",KEYFORMAT=\"identity\"",
        );
        let tag = tag.unwrap().unwrap();
        assert_eq!((tag.uri.as_str(), tag.iv.unwrap()[15]), ("https://k/1,2", 15));
        assert_eq!(tag.others, ["KEYID=0x01", "KEYFORMAT=\"identity\""]);
        assert!(tag.faults(tag.iv).is_empty() && tag.faults(None).is_empty());
        assert_eq!(tag.faults(Some([0; 16]))[0].rule, "hls-iv");
    }

    #[test]
    fn no_tag_is_the_older_element_and_two_are_refused() {
        assert_eq!(said("").unwrap().unwrap().uri, "https://k/old");
        let line = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"a\"";
        assert_eq!(said(line).unwrap().unwrap().faults(None)[0].found, "SAMPLE-AES");
        assert!(said(&format!("{line}\n{line}")).unwrap_err().to_string().contains("2 EXT-X-KEY tags"));
        assert!(said("#EXT-X-KEY:METHOD=AES-128").is_err());
    }
}
