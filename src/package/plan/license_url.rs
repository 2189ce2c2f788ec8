//! Where the licenses of DRM systems are, for players that are not told otherwise — DASH-IF IOP, content protection.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::base::{Error, ManifestKind, Result, shown_input};
use crate::cpix::DrmSystem;
use crate::drm::System;

/// Where the licenses of a system are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseUrl {
    /// The system's word.
    pub system: String,
    /// The address.
    pub url: String,
}

impl LicenseUrl {
    /// Reads `SYSTEM=URL`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when it has another form, or the address is not `http` or `https`.
    pub fn parse(text: &str) -> Result<Self> {
        let shown = || shown_input(text);
        let (system, url) = text.split_once('=').ok_or_else(|| {
            Error::usage(format!("license address {:?}, expected SYSTEM=URL", shown()))
                .hint("SYSTEM is a word of --drm")
        })?;
        let is_address = Url::parse(url.trim()).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_address {
            return Err(Error::usage(format!(
                "license address {:?}, expected an http or https address behind {system}=",
                shown_input(url)
            ))
            .clause("RFC 3986"));
        }
        Ok(Self { system: system.trim().to_owned(), url: url.trim().to_owned() })
    }
}

/// Checks that each address is of a system that is signaled and can say it, and the only one of it.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) when it is not.
pub fn check_license_urls(
    urls: &[LicenseUrl],
    systems: &[&'static dyn System],
    manifests: &[ManifestKind],
) -> Result<()> {
    let has_place = |system: &dyn System, kinds: &[ManifestKind]| {
        kinds.iter().any(|kind| system.signals_license_url(*kind))
    };
    let mut said = Vec::new();
    for (number, LicenseUrl { system: name, .. }) in urls.iter().enumerate() {
        if urls.iter().take(number).any(|other| other.system == *name) {
            return Err(Error::usage(format!("two license addresses for {name:?}, expected one")));
        }
        let system = systems.iter().find(|system| system.name() == name);
        let system = system.ok_or_else(|| {
            let known: Vec<_> = systems.iter().map(|system| system.name()).collect();
            Error::usage(format!("a license address for {name:?}, the DRM systems are {}", known.join(", ")))
        })?;
        if !has_place(*system, &[ManifestKind::Hls, ManifestKind::Dash]) {
            return Err(Error::usage(format!("a license address for {name}, which has no place for one"))
                .hint("leave it out: its players find the license by the key URI, or as its vendor says"));
        }
        said.push(*system);
    }
    match said.iter().find(|system| !has_place(**system, manifests)) {
        Some(system) => Err(Error::usage(format!(
            "a license address for {}, which only an MPD has a place for",
            system.name()
        ))
        .clause("DASH-IF IOP, dashif:Laurl")
        .hint("leave it out, or pack an MPD too: players of HLS are told by their own settings")),
        None => Ok(()),
    }
}

/// The address for a system, unless the key source's own signaling stands in the place of ours; `warnings` says so then.
pub(in crate::package) fn find_license_url<'a>(
    urls: &'a [LicenseUrl],
    system: &'static dyn System,
    answer: &DrmSystem,
    warnings: &mut Vec<String>,
) -> Option<&'a str> {
    let found = urls.iter().find(|url| url.system == system.name())?;
    let is_theirs = answer.pssh.as_ref().is_some_and(|bytes| !bytes.is_empty())
        || answer.content_protection_data.as_ref().is_some_and(|text| !text.is_empty());
    if is_theirs {
        let warning = format!(
            "{}: the key source has signaling of its own, into which the license address is not written",
            system.name()
        );
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    Some(&found.url)
}
