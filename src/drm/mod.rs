//! DRM systems, one file each: what a system is told about a key — `DRMSystem` of DASH-IF CPIX 2.3.

use crate::base::{Error, Result, SystemId};

pub mod clearkey;
mod describe;
pub mod fairplay;
mod fault;
mod fill;
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
pub use fault::{Fault, FindValue};
pub use pssh::Pssh;
pub use rules::{
    BOX_RULES, KeyUse, TAG_RULES, box_faults, contradictions, descriptor_boxes, is_refuted, tag_faults,
};
pub use system::{Signal, System};

/// Every DRM system, in the order in which manifests list them.
pub const ALL: &[&dyn System] =
    &[&widevine::Widevine, &playready::PlayReady, &fairplay::FairPlay, &clearkey::ClearKey];

/// Prefixes that key servers use in `ContentProtectionData` without declaring them.
pub const NAMESPACES: &[(&str, &str)] =
    &[("mspr", "urn:microsoft:playready"), ("clearkey", "http://dashif.org/guidelines/clearKey")];

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
