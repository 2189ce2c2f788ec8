//! What the key server knows of keys, and what it says of them besides — DASH-IF CPIX 2.4 §4, SPEKE 2.1: `HDCPData`,
//! robustness, allowed CPCs, DRM systems of which nothing but the id is known.

use crate::base::{Kid, Result, SystemId, base64};
use crate::cpix::{Document, DrmSystem, whole_segments};
use crate::drm::{self, Pssh, Signal, System, aes128::WholeSegments};
use crate::keys::{AES_128_OF_1, DevKeys};

use super::Fault;

/// The key URI of systems that have one. It names the IV, as those of some vendors do.
const SKD_TEMPLATE: &str = "skd://{kid_guid}:{iv}";

/// What is said of every key, as far as the version of CPIX has words for it.
#[derive(Clone, Debug, Default)]
pub struct Says {
    /// `HDCPData/@HLSHDCPLevel`.
    pub hdcp_level: Option<String>,
    /// `HDCPOutputProtectionData`: descriptors for an MPD, as XML.
    pub output_protection: Option<String>,
    /// `ContentProtectionData/@robustness`.
    pub robustness: Option<String>,
    /// `HLSSignalingData/@allowedCPC`.
    pub allowed_cpc: Option<String>,
    /// The systems that have licenses for these keys besides those that are known.
    pub other_systems: Vec<SystemId>,
}

/// Whose keys go into answers, and how.
#[derive(Debug)]
pub struct Answers<'a> {
    /// The keys.
    pub keys: &'a DevKeys,
    /// What is said of them.
    pub says: &'a Says,
    /// Template of the addresses at which keys of whole segments are.
    pub key_uri: &'a str,
    /// What is wrong on purpose.
    pub fault: Fault,
}

impl Answers<'_> {
    /// The system of this id, if it is one of those that are answered.
    pub(super) fn system(&self, id: SystemId) -> Option<&'static dyn System> {
        let other = || self.says.other_systems.contains(&id).then(|| drm::of_id(id));
        match id {
            whole_segments::SYSTEM_ID | AES_128_OF_1 => Some(&WholeSegments),
            _ => drm::find_id(id).or_else(other),
        }
    }

    /// Fills what a system is told about a key.
    pub(super) fn signal(&self, signal: &Signal<'_>, entry: &mut DrmSystem) -> Result<()> {
        let Some(system) = self.system(entry.system_id) else { return Ok(()) };
        let is_whole = system.system_id() == whole_segments::SYSTEM_ID;
        let signal = Signal { skd_template: if is_whole { self.key_uri } else { SKD_TEMPLATE }, ..*signal };
        if self.says.other_systems.contains(&entry.system_id) {
            other(&signal, entry)?;
        }
        system.signal(&signal, entry)
    }

    /// Adds what is said of every key.
    pub(super) fn add(&self, document: &mut Document) {
        for key in &mut document.content_keys {
            key.hls_hdcp_level.clone_from(&self.says.hdcp_level);
            let descriptors = self.says.output_protection.as_ref();
            key.hdcp_output_protection_data = descriptors.map(|xml| base64(xml.as_bytes()));
        }
        for system in &mut document.drm_systems {
            if system.content_protection_data.is_some() {
                system.robustness.clone_from(&self.says.robustness);
            }
            let hls = &mut system.hls_signaling_data;
            for (line, cpc) in [
                (&hls.media, &mut hls.media_allowed_cpc),
                (&hls.multivariant, &mut hls.multivariant_allowed_cpc),
            ] {
                if line.is_some() {
                    cpc.clone_from(&self.says.allowed_cpc);
                }
            }
        }
    }
}

/// A box with the key id and the content id, and a key tag whose URI carries it: enough to see it passed on.
fn other(signal: &Signal<'_>, entry: &mut DrmSystem) -> Result<()> {
    let kid: Kid = signal.key.kid;
    let pssh = Pssh {
        system_id: entry.system_id,
        kids: Some(vec![kid]),
        data: signal.content_id.as_bytes().to_vec(),
    };
    let written = pssh.write()?;
    let id = entry.system_id;
    let attributes = signal.scheme.hls_method.map(|method| {
        format!(
            "METHOD={method},URI=\"data:text/plain;base64,{}\",KEYID=0x{},KEYFORMAT=\"urn:uuid:{id}\",\
             KEYFORMATVERSIONS=\"1\"",
            base64(&written),
            kid.hex()
        )
    });
    let hls = &mut entry.hls_signaling_data;
    for (line, tag) in [(&mut hls.media, "KEY"), (&mut hls.multivariant, "SESSION-KEY")] {
        if line.as_ref().is_none_or(String::is_empty) {
            *line = attributes.as_ref().map(|attributes| format!("#EXT-X-{tag}:{attributes}"));
        }
    }
    entry.pssh = entry.pssh.take().filter(|pssh| !pssh.is_empty()).or(Some(written));
    Ok(())
}
