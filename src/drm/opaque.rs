//! DRM systems of which nothing but the id is known: what a key source says of them is passed on — CPIX `DRMSystem`.

use std::sync::{Mutex, PoisonError};

use crate::base::{Error, Kid, ManifestKind, Result, SystemId};
use crate::cpix::DrmSystem;
use crate::protect::Scheme;

use super::pssh::Pssh;
use super::{Signal, System, fill};

/// Words of `--drm`, system ids as registered, and the value of the descriptor in an MPD.
const NAMED: &[(&str, u128, &str)] = &[
    ("wiseplay", 0x3d5e6d35_9b9a_41e8_b843_dd3c6e72c42c, "WisePlay"),
    ("marlin", 0x5e629af5_38da_4063_8977_97ffbd9902d4, "Marlin"),
    ("irdeto", 0x80a6be7e_1448_4c37_9e70_d5aebe04c8d2, "Irdeto"),
    ("nagra", 0xadb41c24_2dbf_4a6d_958b_4457c0d27b95, "Nagra"),
];

/// The systems that were asked for, each once for the life of the process: there are as many as operators name.
static KNOWN: Mutex<Vec<&'static Opaque>> = Mutex::new(Vec::new());

/// A system that is passed on.
#[derive(Debug)]
pub(super) struct Opaque {
    name: String,
    id: SystemId,
    value: &'static str,
}

/// The system of this id.
pub(super) fn of_id(id: SystemId) -> &'static dyn System {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(system) = known.iter().find(|system| system.id == id) {
        return *system;
    }
    let named = NAMED.iter().find(|(_, named, _)| SystemId::from_u128(*named) == id);
    let (name, value) =
        named.map_or_else(|| (id.to_string(), ""), |(name, _, value)| ((*name).to_owned(), *value));
    let system: &'static Opaque = Box::leak(Box::new(Opaque { name, id, value }));
    known.push(system);
    system
}

/// The system of a word of the table, or of a UUID.
pub(super) fn find(name: &str) -> Option<&'static dyn System> {
    let named = NAMED.iter().find(|(word, ..)| *word == name).map(|(_, id, _)| SystemId::from_u128(*id));
    named.or_else(|| SystemId::parse(name).ok()).map(of_id)
}

/// Whether the table has a word for this id.
pub(super) fn is_named(id: SystemId) -> bool {
    NAMED.iter().any(|(_, named, _)| SystemId::from_u128(*named) == id)
}

/// The words of the table.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(word, ..)| *word)
}

impl System for Opaque {
    fn name(&self) -> &str {
        &self.name
    }

    fn system_id(&self) -> SystemId {
        self.id
    }

    fn pssh_system_id(&self) -> Option<SystemId> {
        Some(self.id)
    }

    fn dash_value(&self) -> &'static str {
        self.value
    }

    fn allows(&self, _scheme: &Scheme) -> bool {
        true
    }

    fn signals_in(&self, _manifest: ManifestKind) -> bool {
        true
    }

    fn signals_license_url(&self, _manifest: ManifestKind) -> bool {
        false
    }

    fn request(&self, system: &mut DrmSystem, manifests: &[ManifestKind]) {
        fill::request_all(system, manifests);
    }

    /// Adds nothing of our own but the box to the MPD, which is the same for every system: ISO/IEC 23001-7 §11.2.
    fn signal(&self, signal: &Signal<'_>, system: &mut DrmSystem) -> Result<()> {
        let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
        let hls = &system.hls_signaling_data;
        let texts = [&system.content_protection_data, &hls.media, &hls.multivariant];
        if let Some(bytes) = system.pssh.as_ref().filter(|bytes| !bytes.is_empty()) {
            let elements = fill::elements(bytes, self.id)?;
            fill::text(&mut system.content_protection_data, || elements);
            return Ok(());
        }
        if texts.into_iter().any(has) {
            return Ok(());
        }
        Err(Error::keys(format!(
            "the key source says nothing of this system for key {}, and nothing of it can be made here",
            signal.key.kid
        ))
        .clause("DASH-IF CPIX 2.3 §4, DRMSystem")
        .hint("take the key source that knows it, or leave it out of --drm"))
    }

    /// A box of version 1 lists them; what else names them is not known.
    fn kids(&self, pssh: &Pssh) -> Result<Vec<Kid>> {
        Ok(pssh.kids.clone().unwrap_or_default())
    }
}
