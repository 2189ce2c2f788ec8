//! A DRM system as the rest of the project sees it — CPIX `DRMSystem`, ISO/IEC 23001-7 §11.

use crate::base::{KeyStore, Kid, ManifestKind, Result, SystemId};
use crate::cpix::{ContentKey, DrmSystem};
use crate::protect::Scheme;
use crate::xml::Element;

use super::describe::{self, Fields};
use super::fault::Fault;
use super::pssh::Pssh;

/// What a system may use to say something about a key.
#[derive(Clone, Copy, Debug)]
pub struct Signal<'a> {
    /// The key; its value is there.
    pub key: &'a ContentKey,
    /// The scheme of every track under this key.
    pub scheme: &'a Scheme,
    /// `CPIX/@contentId`, the resource id.
    pub content_id: &'a str,
    /// Template of the key URI for systems that have one: `{kid} {kid_guid} {iv} {content_id} {track}`.
    pub skd_template: &'a str,
    /// The id of the first track under this key.
    pub track: &'a str,
    /// Where the license is; systems say so in the manifest, or in their data.
    pub license_url: Option<&'a str>,
}

/// One DRM system.
pub trait System: Sync {
    /// Its word in `--drm`.
    fn name(&self) -> &str;

    /// Its registered system id, that of `DRMSystem` and of its `ContentProtection` descriptor.
    fn system_id(&self) -> SystemId;

    /// The system id of its `pssh` box; `None` when it has no box.
    fn pssh_system_id(&self) -> Option<SystemId>;

    /// `@value` of its `ContentProtection` descriptor.
    fn dash_value(&self) -> &'static str;

    /// Whether its players decrypt this scheme.
    fn allows(&self, scheme: &Scheme) -> bool;

    /// Whether it can be signaled in this kind of manifest.
    fn signals_in(&self, manifest: ManifestKind) -> bool;

    /// Whether its players decrypt sample encryption of transport streams and packed audio.
    fn decrypts_sample_aes(&self) -> bool {
        false
    }

    /// Whether its license server delivers the IV, so that the IV must come from the key source.
    fn iv_from_key_source(&self) -> bool {
        false
    }

    /// What its players are known not to do when keys change within a presentation.
    fn rotation_limit(&self) -> Option<&'static str> {
        None
    }

    /// What its players are known not to do when video and audio share a key.
    fn shared_key_limit(&self) -> Option<&'static str> {
        None
    }

    /// Whether its own signaling for this manifest can say where licenses are.
    fn signals_license_url(&self, manifest: ManifestKind) -> bool {
        manifest == ManifestKind::Dash
    }

    /// Checks the key URI template before any key is fetched; `keys` is how many keys there will be.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when the system has key URIs and the template cannot
    /// make them, or makes the same one for different keys.
    fn check_template(&self, _skd_template: &str, _keys: usize) -> Result<()> {
        Ok(())
    }

    /// Marks in a request what the key server shall fill: an empty value means "please fill".
    fn request(&self, system: &mut DrmSystem, manifests: &[ManifestKind]);

    /// Fills what the key server left empty; what is there wins.
    ///
    /// # Errors
    /// When what the system needs is missing, or the key server's box is not that of this system.
    fn signal(&self, signal: &Signal<'_>, system: &mut DrmSystem) -> Result<()>;

    /// The key ids that a box of this system names.
    ///
    /// # Errors
    /// When its data cannot be read.
    fn kids(&self, pssh: &Pssh) -> Result<Vec<Kid>>;

    /// What the data of its box says, for people: names of fields and their values. No key is among them.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn describe(&self, data: &[u8]) -> Result<Fields> {
        Ok(describe::opaque(data))
    }

    /// Whether bytes without a box around them are its data beyond doubt.
    fn recognizes(&self, _data: &[u8]) -> bool {
        false
    }

    /// What in a box of this system, for tracks of this scheme, is not as the system wants it.
    fn faults(&self, _pssh: &Pssh, _scheme: &Scheme, _key_store: &dyn KeyStore) -> Vec<Fault> {
        Vec::new()
    }

    /// The box that data in an element of a `ContentProtection` descriptor stands for; `None` of another element.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn descriptor_data(&self, _element: &Element) -> Result<Option<Pssh>> {
        Ok(None)
    }

    /// The box that the data of a key URI stands for; `None` when the key format is not that of this system.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn key_uri_pssh(&self, key_format: &str, data: &[u8]) -> Result<Option<Pssh>> {
        Pssh::of_key_uri(self.pssh_system_id(), key_format, data)
    }
}
