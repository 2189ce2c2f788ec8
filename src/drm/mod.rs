//! DRM systems, one file each: what a system is told about a key — `DRMSystem` of DASH-IF CPIX 2.3.

use crate::base::{Result, SystemId};
use crate::cpix::{ContentKey, DrmSystem};
use crate::protect::Scheme;

/// A kind of manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// RFC 8216bis playlists.
    Hls,
    /// ISO/IEC 23009-1 media presentation description.
    Dash,
}

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
}

/// One DRM system.
pub trait System: Sync {
    /// Its word in `--drm`.
    fn name(&self) -> &'static str;

    /// Its registered system id.
    fn system_id(&self) -> SystemId;

    /// `@value` of its `ContentProtection` descriptor.
    fn dash_value(&self) -> &'static str;

    /// Whether its players decrypt this scheme.
    fn allows(&self, scheme: &Scheme) -> bool;

    /// Whether it can be signaled in this kind of manifest.
    fn signals_in(&self, manifest: ManifestKind) -> bool;

    /// Whether its license server delivers the IV, so that the IV must come from the key source.
    fn iv_from_key_source(&self) -> bool {
        false
    }

    /// Marks in a request what the key server shall fill: an empty value means "please fill".
    fn request(&self, system: &mut DrmSystem, manifests: &[ManifestKind]);

    /// Fills what the key server left empty; what is there wins.
    ///
    /// # Errors
    /// When what the system needs is missing.
    fn signal(&self, signal: &Signal<'_>, system: &mut DrmSystem) -> Result<()>;
}
