//! DRM systems, one file each: what a system is told about a key — `DRMSystem` of DASH-IF CPIX 2.3.

use crate::base::{Error, Result, SystemId};
use crate::cpix::Document;

pub mod aes128;
pub mod clearkey;
mod describe;
pub mod fairplay;
mod fault;
mod fill;
mod opaque;
pub mod playready;
mod protobuf;
pub mod pssh;
mod rules;
mod system;
pub mod template;
#[cfg(test)]
mod tests;
pub mod widevine;

pub use crate::base::ManifestKind;
pub use describe::{Fields, find_key_format, recognize, system_name};
pub use fault::Fault;
pub use pssh::Pssh;
pub use rules::{
    BOX_RULES, KeyUse, TAG_RULES, box_faults, contradictions, descriptor_boxes, identity_faults, is_elements,
    is_refuted, tag_faults,
};
pub use system::{Signal, System};

/// Every DRM system, in the order in which manifests list them.
pub const ALL: &[&dyn System] =
    &[&widevine::Widevine, &playready::PlayReady, &fairplay::FairPlay, &clearkey::ClearKey];

/// Prefixes that key servers use in `ContentProtectionData` without declaring them.
pub const NAMESPACES: &[(&str, &str)] =
    &[("mspr", "urn:microsoft:playready"), ("clearkey", "http://dashif.org/guidelines/clearKey")];

/// The system of this name, or of this system id: what a key source says of one that is no row of [`ALL`] is passed on.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) for another name.
pub fn find(name: &str) -> Result<&'static dyn System> {
    let by_id = || SystemId::parse(name).ok().and_then(find_id).or_else(|| opaque::find(name));
    let found = ALL.iter().copied().find(|system| system.name() == name).or_else(by_id);
    found.ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|system| system.name()).chain(opaque::words()).collect();
        Error::usage(format!("DRM system {name:?}, known are {}, a system id, and {OTHER}", known.join(", ")))
    })
}

/// The word for every system that a document has and that is no row of [`ALL`].
pub(crate) const OTHER: &str = "other";

/// The system of an id, known or not.
pub fn of_id(system_id: SystemId) -> &'static dyn System {
    find_id(system_id).unwrap_or_else(|| opaque::of_id(system_id))
}

/// The system with this id of its `DRMSystem` and `ContentProtection`.
pub fn find_id(system_id: SystemId) -> Option<&'static dyn System> {
    ALL.iter().copied().find(|system| system.system_id() == system_id)
}

/// Whether this is the id of a system that has a word, in `DRMSystem` or in `pssh`.
pub fn is_known(id: SystemId) -> bool {
    let is_own = |system: &&dyn System| system.system_id() == id || system.pssh_system_id() == Some(id);
    ALL.iter().copied().any(|system| is_own(&system)) || opaque::is_named(id)
}

/// The systems of a list such as `a+b,c`, in the order of the list.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) for an unknown name or one that is there twice.
pub fn parse_list(list: &str) -> Result<Vec<&'static dyn System>> {
    parse_list_for(list, None)
}

/// The same, where `other` stands for the systems of a document that no word of the list names.
///
/// # Errors
/// As [`parse_list`], and for `other` without a document, or when there is no other system in it.
pub fn parse_list_for(list: &str, document: Option<&Document>) -> Result<Vec<&'static dyn System>> {
    let mut systems: Vec<&'static dyn System> = Vec::new();
    let names = || list.split(['+', ',']).map(str::trim);
    for name in names() {
        if name == OTHER {
            continue;
        }
        let system = find(name)?;
        if systems.iter().any(|other| other.name() == system.name()) {
            return Err(Error::usage(format!("DRM system {:?} is there twice in {list:?}", system.name())));
        }
        systems.push(system);
    }
    if names().any(|name| name == OTHER) {
        let others = others(document)?;
        let is_new = |system: &&'static dyn System| {
            systems.iter().all(|known| known.system_id() != system.system_id())
        };
        let new: Vec<_> = others.into_iter().filter(is_new).collect();
        systems.extend(new);
    }
    Ok(systems)
}

/// The systems of a document that are no rows of the table, in its order.
fn others(document: Option<&Document>) -> Result<Vec<&'static dyn System>> {
    let document = document.ok_or_else(|| {
        Error::usage("DRM system \"other\" without a document of keys at hand")
            .hint("a key server is asked for systems by their words or ids: name them")
    })?;
    let mut ids: Vec<SystemId> = Vec::new();
    for system in document.drm_systems.iter().filter(|system| find_id(system.system_id).is_none()) {
        if !ids.contains(&system.system_id) {
            ids.push(system.system_id);
        }
    }
    if ids.is_empty() {
        return Err(Error::usage("DRM system \"other\", the document of keys has no other system"));
    }
    Ok(ids.into_iter().map(of_id).collect())
}
