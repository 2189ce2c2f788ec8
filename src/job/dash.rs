//! DASH packages: an MPD read, its files named, keys signaled in it — ISO/IEC 23009-1, DASH-IF IOP.

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::dash::content_protection::{SystemDescriptor, descriptors};
use crate::dash::{ContentType, Count, Media, Mpd, Place, Protected, Reference, Representation};
use crate::drm::{self, ManifestKind};
use crate::package::{Plan, PlannedKey};
use crate::xml::Element;

use super::env::{Env, Event};
use super::files::ProtectedPackage;
use super::package::{Expect, Package, read_manifest, write_manifest};
use super::report::OutputReport;

/// The MPD of a package.
pub(super) struct DashManifest {
    name: String,
    mpd: Mpd,
    /// Which Representation is which rendition.
    renditions: Vec<(Place, usize)>,
    pub(super) warnings: Vec<String>,
}

/// Reads an MPD, and everything it names into the package.
pub(super) fn read(
    store: &dyn Store,
    name: &str,
    expect: Expect,
    package: &mut Package,
) -> Result<DashManifest> {
    let at = |error: Error| error.at(name);
    let mpd = Mpd::parse(&read_manifest(store, name)?).map_err(at)?;
    if let Some(place) = mpd.has_content_protection().filter(|_| expect == Expect::Clear) {
        return Err(Error::input("has ContentProtection: the presentation is encrypted already")
            .clause("ISO/IEC 23009-1 §5.8.4.1")
            .at(place)
            .at(name)
            .hint("give the clear input, or decrypt it first with drm-pack decrypt"));
    }
    let mut manifest =
        DashManifest { name: name.to_owned(), mpd, renditions: Vec::new(), warnings: Vec::new() };
    for representation in manifest.mpd.representations(name).map_err(at)? {
        manifest.add(store, package, representation, expect).map_err(at)?;
    }
    Ok(manifest)
}

impl DashManifest {
    fn add(
        &mut self,
        store: &dyn Store,
        package: &mut Package,
        representation: Representation,
        expect: Expect,
    ) -> Result<()> {
        let at = |error: Error| error.at(format_args!("Representation {}", representation.id));
        let files = self.files(store, &representation).map_err(at)?;
        let is_media = matches!(representation.kind, Some(ContentType::Video | ContentType::Audio) | None);
        let init = match (&representation.initialization, &representation.media) {
            (Some(init), _) => Some((init.name.clone(), init.range.clone())),
            (None, Media::SingleFile { file, .. }) if is_media => Some((file.name.clone(), None)),
            _ => None,
        };
        let Some(init) = init.filter(|_| is_media || is_mp4(&representation)) else {
            if is_media {
                return Err(at(Error::unsupported("no Initialization: its segments cannot be protected")
                    .clause("ISO/IEC 23009-1 §5.3.9.4")));
            }
            files.into_iter().for_each(|file| package.clear_file(file));
            if let Some(init) = representation.initialization {
                package.clear_file(init.name);
            }
            return Ok(());
        };
        let known = package.renditions.len();
        let index =
            package.rendition(store, &representation.id, &representation.id, init, expect).map_err(at)?;
        for file in files {
            package.file(index, file).map_err(at)?;
        }
        // Decode times of a later Period say nothing of the ones before: a clear lead ends with the first.
        let before = if representation.place.period == 0 { 0.0 } else { f64::INFINITY };
        if let Media::Segments { references, .. } = &representation.media {
            for reference in references {
                let start = reference.range.as_ref().map_or(0, |range| range.start);
                package.cut(index, start, (before, 0));
            }
        } else if index == known {
            package.begins_after(index, (before, 0));
        }
        self.renditions.push((representation.place, index));
        Ok(())
    }

    /// The media files of a Representation. When their number was computed from a duration, the last ones
    /// need not be there: ISO/IEC 23009-1 §5.3.9.5.
    fn files(&mut self, store: &dyn Store, representation: &Representation) -> Result<Vec<String>> {
        let (references, count): (&[Reference], _) = match &representation.media {
            Media::Segments { references, count } => (references, *count),
            Media::SingleFile { file, .. } => (std::slice::from_ref(file), Count::Stated),
        };
        let mut names: Vec<String> = Vec::with_capacity(references.len());
        for reference in references {
            if names.last() != Some(&reference.name) {
                names.push(reference.name.clone());
            }
        }
        if count == Count::Implied {
            let last = names.iter().rposition(|name| store.exists(name)).map_or(0, |index| index + 1);
            if last > 0 && last < names.len() {
                self.warnings.push(format!(
                    "Representation {}: the MPD's duration implies {} segments, {last} are there",
                    representation.id,
                    names.len()
                ));
                names.truncate(last);
            }
        }
        Ok(names)
    }

    /// Signals the keys, corrects byte ranges, and writes the MPD.
    pub(super) fn protect(
        mut self,
        package: &Package,
        plan: &Plan,
        done: &ProtectedPackage,
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        let mut protected = Vec::new();
        for (place, index) in &self.renditions {
            let Some(rendition) = package.renditions.get(*index) else { continue };
            let Some(substream) = rendition.substreams.iter().flatten().next() else { continue };
            let key = plan.key(*substream)?;
            let descriptors = content_protection(plan, key)?;
            protected.push(Protected { place: *place, kid: key.kid, descriptors });
        }
        self.mpd.protect(&protected).map_err(|error| error.at(self.name.clone()))?;
        self.write(done, env)
    }

    /// Removes every ContentProtection.
    pub(super) fn unprotect(mut self, done: &ProtectedPackage, env: &Env<'_>) -> Result<Vec<OutputReport>> {
        self.mpd.unprotect();
        self.write(done, env)
    }

    fn write(mut self, done: &ProtectedPackage, env: &Env<'_>) -> Result<Vec<OutputReport>> {
        self.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
        let name = self.name;
        self.mpd
            .map_byte_ranges(&name, &mut |file, range| match done.offsets.get(file) {
                Some(offsets) => offsets.range(range),
                None => Ok(range),
            })
            .map_err(|error| error.at(name.clone()))?;
        Ok(vec![write_manifest(env, &name, &self.mpd.to_bytes())?])
    }
}

fn is_mp4(representation: &Representation) -> bool {
    representation.mime_type.as_deref().is_some_and(|mime| mime.ends_with("/mp4"))
}

/// The descriptors of a key, from what each system is told about it.
///
/// Keys that change are in the media: there is no `default_KID`, which would be true of one period only, and
/// no `pssh`, which would win over that of the media (DASH-IF IOP 6, in-band key rotation).
pub(super) fn content_protection(plan: &Plan, key: &PlannedKey) -> Result<Vec<Element>> {
    let rotates = plan.schedule.rotate_every.is_some();
    let systems: Vec<_> = key
        .systems
        .iter()
        .filter(|(system, _)| system.signals_in(ManifestKind::Dash))
        .map(|(system, data)| SystemDescriptor {
            system_id: system.system_id(),
            value: system.dash_value(),
            data: data.content_protection_data.as_deref().filter(|_| !rotates).unwrap_or_default(),
            namespaces: drm::NAMESPACES,
        })
        .collect();
    descriptors(plan.scheme.name, (!rotates).then_some(key.kid), &systems)
}
