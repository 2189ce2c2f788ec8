//! DRM systems, one file each: what a system is told about a key — `DRMSystem` of DASH-IF CPIX 2.3.

use crate::base::{Error, Kid, Result, SystemId};
use crate::cpix::{ContentKey, DrmSystem};
use crate::protect::Scheme;

pub mod clearkey;
mod describe;
pub mod fairplay;
mod fill;
pub mod playready;
mod protobuf;
pub mod pssh;
pub mod template;
#[cfg(test)]
mod tests;
pub mod widevine;

pub use describe::{Fields, find_key_format, recognize, system_name};
pub use pssh::Pssh;

/// Every DRM system, in the order in which manifests list them.
pub const ALL: &[&dyn System] =
    &[&widevine::Widevine, &playready::PlayReady, &fairplay::FairPlay, &clearkey::ClearKey];

/// Prefixes that key servers use in `ContentProtectionData` without declaring them.
pub const NAMESPACES: &[(&str, &str)] =
    &[("mspr", "urn:microsoft:playready"), ("clearkey", "http://dashif.org/guidelines/clearKey")];

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
    /// Where the license is, for systems that say so in the manifest.
    pub license_url: Option<&'a str>,
}

/// One DRM system.
pub trait System: Sync {
    /// Its word in `--drm`.
    fn name(&self) -> &'static str;

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

    /// Whether its license server delivers the IV, so that the IV must come from the key source.
    fn iv_from_key_source(&self) -> bool {
        false
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
}

/// The system of this name.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) for another name.
pub fn find(name: &str) -> Result<&'static dyn System> {
    ALL.iter().copied().find(|system| system.name() == name).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|system| system.name()).collect();
        Error::usage(format!("DRM system {name:?}, known are {}", known.join(", ")))
    })
}

/// The system with this id of its `DRMSystem` and `ContentProtection`.
pub fn find_id(system_id: SystemId) -> Option<&'static dyn System> {
    ALL.iter().copied().find(|system| system.system_id() == system_id)
}

/// The systems of a list such as `a+b,c`, in the order of the list.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) for an unknown name or one that is there twice.
pub fn parse_list(list: &str) -> Result<Vec<&'static dyn System>> {
    let mut systems: Vec<&'static dyn System> = Vec::new();
    for name in list.split(['+', ',']) {
        let system = find(name.trim())?;
        if systems.iter().any(|other| other.name() == system.name()) {
            return Err(Error::usage(format!("DRM system {:?} is there twice in {list:?}", system.name())));
        }
        systems.push(system);
    }
    Ok(systems)
}
