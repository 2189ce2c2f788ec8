//! DASH packages: an MPD read, its files named, keys signaled in it — ISO/IEC 23009-1, DASH-IF IOP.

use std::ops::Range;

use crate::base::env::{Source, Store};
use crate::base::{Error, Kid, Result};
use crate::dash::content_protection::{SystemDescriptor, descriptors};
use crate::dash::{ContentType, Count, Media, Mpd, Place, Protected, Reference, Representation};
use crate::drm::{self, ManifestKind};
use crate::isobmff::file::BoxHeader;
use crate::package::{Assignment, Plan, PlannedKey};
use crate::xml::Element;

use super::clear_files;
use super::env::{Env, Event};
use super::files::ProtectedPackage;
use super::folder::{FileLengths, read_manifest, write_manifest};
use super::identity::Summary;
use super::package::{Expect, Package};
use super::report::OutputReport;
use super::stated;

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
    for representation in manifest.mpd.representations(name, store).map_err(at)? {
        manifest.add(store, package, representation, expect).map_err(at)?;
    }
    let elsewhere = manifest.mpd.elsewhere().map_err(at)?;
    manifest.warnings.extend(elsewhere.iter().filter(|_| expect == Expect::Clear).map(|address| {
        format!("the MPD goes on to name {address}: what is written here must be there, and nothing clear")
    }));
    manifest.check_initialization_sets(package).map_err(at)?;
    manifest.check_ranges(store).map_err(at)?;
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
        let is_media = matches!(representation.kind, Some(ContentType::Video | ContentType::Audio) | None)
            || is_mp4(&representation);
        let init = match (&representation.initialization, &representation.media) {
            _ if !is_media => None,
            (Some(init), _) => Some((init.name.clone(), init.range.clone())),
            (None, Media::SingleFile { file, .. }) => Some((file.name.clone(), None)),
            _ => None,
        };
        let Some(init) = init else {
            if is_media {
                return Err(at(Error::unsupported("no Initialization: its segments cannot be protected")
                    .clause("ISO/IEC 23009-1 §5.3.9.4")));
            }
            let files = files.into_iter().chain(representation.initialization.map(|init| init.name));
            return leave_clear(store, package, files).map_err(at);
        };
        if let Media::SingleFile { file, index_range: Some(range) } = &representation.media {
            check_index(store.open(&file.name)?.as_ref(), range)
                .map_err(|error| at(error.at("indexRange").at(file.name.clone())))?;
        }
        let known = package.renditions.len();
        let index =
            package.rendition(store, &representation.id, &representation.id, init, expect).map_err(at)?;
        package.stated(index, stated::of_representation(&representation));
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

    /// Checks what does not depend on keys: whether the MPD has a way to say which Representations are
    /// protected, under as many keys as there will be.
    pub(super) fn check(&self, package: &Package, assignment: &Assignment) -> Result<()> {
        let mut protected = Vec::new();
        for (place, index) in &self.renditions {
            let rendition = package.renditions.get(*index);
            let substream = rendition.and_then(|rendition| rendition.substreams.iter().flatten().next());
            let Some(key) = substream.and_then(|substream| assignment.key_of.get(*substream)) else {
                continue;
            };
            let kid = Kid::new((*key as u128).to_be_bytes());
            protected.push(Protected { place: *place, kid, descriptors: Vec::new() });
        }
        self.mpd.clone().protect(&protected).map_err(|error| error.at(self.name.clone()))
    }

    pub(super) fn summarize(&self, summary: &mut Summary) {
        summary.named(&self.name, &self.mpd.to_bytes());
    }

    /// Checks that Representations have the initialization segments that are named apart from them: no other
    /// is written.
    fn check_initialization_sets(&self, package: &Package) -> Result<()> {
        for name in self.mpd.initialization_sets(&self.name)? {
            if !package.renditions.iter().any(|rendition| rendition.init.0 == name) {
                return Err(Error::unsupported("an InitializationSet whose file no Representation has")
                    .clause("ISO/IEC 23009-1 §5.3.12")
                    .at(name));
            }
        }
        Ok(())
    }

    /// Checks that each byte range lies inside its file.
    fn check_ranges(&self, store: &dyn Store) -> Result<()> {
        let mut files = FileLengths::new(store);
        self.mpd.clone().map_byte_ranges(&self.name, &mut |file, range| {
            files.hold(file, &range).map_err(|error| error.clause("ISO/IEC 23009-1 §5.3.9.2.2"))?;
            Ok(range)
        })?;
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

/// Adds files that stay as they are: text, images, and whatever else is not in ISO files. Whether one of those
/// is to be protected its initialization segment alone can tell.
fn leave_clear(store: &dyn Store, package: &mut Package, files: impl Iterator<Item = String>) -> Result<()> {
    for file in files {
        clear_files::check(store, &file)?;
        package.clear_file(file);
    }
    Ok(())
}

/// Checks that a segment index begins in its range: it tells players where segments are.
fn check_index(source: &dyn Source, range: &Range<u64>) -> Result<()> {
    let mut position = range.start;
    while position < range.end {
        let Ok(Some(header)) = BoxHeader::read(source, position) else { break };
        if header.is(b"sidx") {
            return Ok(());
        }
        position = header.end();
    }
    Err(Error::input(format!("no sidx in bytes {}-{}", range.start, range.end.saturating_sub(1)))
        .clause("ISO/IEC 23009-1 §5.3.9.2.2"))
}

fn is_mp4(representation: &Representation) -> bool {
    let mime_type = representation.mime_type.as_deref().and_then(|mime| mime.split(';').next());
    mime_type.is_some_and(|mime| mime.trim_end().ends_with("/mp4"))
}

/// The descriptors of a key, from what each system is told about it.
///
/// Keys that change are in the media: there is no `default_KID`, which would be true of one period only, and
/// no `pssh`, which would win over that of the media (DASH-IF IOP 6, in-band key rotation).
pub(super) fn content_protection(plan: &Plan, key: &PlannedKey) -> Result<Vec<Element>> {
    let rotates = plan.periods() > 1;
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
