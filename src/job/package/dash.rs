//! DASH packages: an MPD read, its files named, keys signaled in it — ISO/IEC 23009-1, DASH-IF IOP.

use std::ops::Range;

use crate::base::env::{Source, Store};
use crate::base::{Error, Result};
use crate::dash::content_protection::{SystemDescriptor, descriptors};
use crate::dash::{Location, Mpd, MpdPath, Protected, Representation};
use crate::drm::{self, ManifestKind};
use crate::isobmff::file::BoxHeader;
use crate::package::{Assignment, Plan, PlannedKey};
use crate::presentation::{FileLengths, MpdDocument, MpdTrack, Resource, check_is_no_media};
use crate::xml::Element;

use super::files::ProtectedPackage;
use super::others;
use super::stated;
use super::{InputState, Package, RenditionId};
use crate::job::env::{Env, Event};
use crate::job::folder::write_manifest;
use crate::job::identity::Summary;
use crate::job::report::OutputReport;

/// The MPD of a package.
pub(in crate::job) struct DashManifest {
    name: String,
    mpd: Mpd,
    /// Which Representation is which rendition.
    renditions: Vec<(MpdPath, RenditionId)>,
    pub(in crate::job) warnings: Vec<String>,
}

/// Takes everything that an MPD names into the package.
pub(in crate::job) fn read(
    store: &dyn Store,
    document: MpdDocument,
    expect: InputState,
    package: &mut Package,
) -> Result<DashManifest> {
    let MpdDocument { name, mut mpd, tracks, others } = document;
    let at = |error: Error| error.at(name.clone());
    if let Some(place) = mpd.has_content_protection().filter(|_| expect != InputState::Protected) {
        return Err(at(Error::input("has ContentProtection: the presentation is encrypted already")
            .clause("ISO/IEC 23009-1 §5.8.4.1")
            .at(place))
        .hint("give the clear input, or decrypt it first with drm-pack decrypt"));
    }
    package.lasts = package.lasts.max(mpd.duration().map_err(at)?);
    let (mut renditions, mut warnings, mut silent) = (Vec::new(), Vec::new(), Vec::new());
    for track in &tracks {
        let id = &track.representation.id;
        let place = || format!("Representation {id}");
        if let Some(implied) = track.implied {
            let there = track.segments().count();
            warnings.push(format!(
                "{}: the MPD's duration implies {implied} segments, {there} are there",
                place()
            ));
        }
        let rendition = add(store, package, track, expect).map_err(|error| at(error.at(place())))?;
        let Some(rendition) = rendition else { continue };
        renditions.push((track.representation.place, rendition));
        let codecs = package.of(rendition)?.codecs().filter(|_| expect != InputState::Protected);
        if let Some(codecs) = codecs.filter(|_| says_no_codecs(&track.representation)) {
            mpd.set_codecs(track.representation.place, &codecs.join(","))?;
            silent.push(id.as_str());
        }
    }
    if !silent.is_empty() {
        let ids = silent.join(", ");
        warnings.push(format!(
            "{name}: no @codecs, by which players choose: added from the media (Representation {ids})"
        ));
    }
    let elsewhere = mpd.elsewhere().map_err(at)?;
    warnings.extend(elsewhere.iter().filter(|_| expect != InputState::Protected).map(|address| {
        format!("the MPD goes on to name {address}: what is written here must be there, and nothing clear")
    }));
    warnings.extend(
        mpd.repairs()
            .iter()
            .map(|repair| format!("{name} is not well-formed XML, and is written well formed: {repair}")),
    );
    others::take(store, (&name, &others), expect, (package, &mut warnings)).map_err(at)?;
    let location = Location { name: &name, store };
    check_initialization_sets(&mpd, location, package).map_err(at)?;
    let mut lengths = FileLengths::new(store);
    let mut hold = |file: &str, range: &Range<u64>| {
        lengths.hold(file, range).map_err(|error| error.clause("ISO/IEC 23009-1 §5.3.9.2.2"))
    };
    mpd.visit_byte_ranges(location, &mut hold).map_err(at)?;
    Ok(DashManifest { mpd, renditions, warnings, name })
}

fn says_no_codecs(representation: &Representation) -> bool {
    let in_mime_type = |mime_type: &String| mime_type.contains("codecs");
    representation.codecs.is_none() && !representation.mime_type.as_ref().is_some_and(in_mime_type)
}

/// Takes a Representation into the package, and returns its rendition unless it stays clear.
fn add(
    store: &dyn Store,
    package: &mut Package,
    track: &MpdTrack,
    expect: InputState,
) -> Result<Option<RenditionId>> {
    let representation = &track.representation;
    if !track.is_mp4() {
        // Text, images, and whatever else is not in ISO files: whether one of those is to be protected its
        // initialization segment alone can tell.
        for resource in track.segments().chain(track.init()) {
            check_is_no_media(store, &resource.file)?;
            package.clear_file(resource.file.clone());
        }
        return Ok(None);
    }
    let init = track.init().ok_or_else(|| {
        Error::unsupported("no Initialization: its segments cannot be protected")
            .clause("ISO/IEC 23009-1 §5.3.9.4")
    })?;
    if let Some(Resource { file, range: Some(range), .. }) = track.index() {
        check_index(store.open(file)?.as_ref(), range)
            .map_err(|error| error.at("indexRange").at(file.clone()))?;
    }
    let known = package.renditions.len();
    let (id, location) = (&representation.id, (init.file.clone(), init.range.clone()));
    let index = package.rendition(store, id, id, location, expect)?;
    package.stated(index, stated::of_representation(representation))?;
    // Decode times of a later Period say nothing of the ones before: a clear lead ends with the first.
    let before = if representation.place.period == 0 { 0.0 } else { f64::INFINITY };
    for segment in track.segments() {
        package.file(index, segment.file.clone())?;
        if !track.is_one_file() {
            package.cut(index, segment.range.as_ref().map_or(0, |range| range.start), (before, 0))?;
        }
    }
    if track.is_one_file() && package.renditions.len() > known {
        package.begins_after(index, (before, 0))?;
    }
    Ok(Some(index))
}

/// Checks that Representations have the initialization segments that are named apart from them: no other is written.
fn check_initialization_sets(mpd: &Mpd, location: Location<'_>, package: &Package) -> Result<()> {
    for name in mpd.initialization_sets(location)? {
        if !package.renditions.iter().any(|rendition| rendition.init.0 == name) {
            return Err(Error::unsupported("an InitializationSet whose file no Representation has")
                .clause("ISO/IEC 23009-1 §5.3.12")
                .at(name));
        }
    }
    Ok(())
}

impl DashManifest {
    /// Checks what does not depend on keys: whether the MPD has a way to say which Representations are
    /// protected, under as many keys as there will be.
    pub(in crate::job) fn check(&self, package: &Package, assignment: &Assignment) -> Result<()> {
        let mut keys = Vec::new();
        for (place, id) in &self.renditions {
            if let Some(track) = package.of(*id)?.encrypted_tracks.iter().flatten().next() {
                keys.push((*place, assignment.key_of(*track)?));
            }
        }
        self.mpd.can_protect(&keys).map_err(|error| error.at(self.name.clone()))
    }

    pub(in crate::job) fn summarize(&self, summary: &mut Summary) {
        summary.named(&self.name, &self.mpd.to_bytes());
    }

    /// Signals the keys, corrects byte ranges, and writes the MPD.
    pub(in crate::job) fn protect(
        mut self,
        package: &Package,
        plan: &Plan,
        (done, store): (&ProtectedPackage, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        let mut protected = Vec::new();
        for (place, id) in &self.renditions {
            let Some(track) = package.of(*id)?.encrypted_tracks.iter().flatten().next() else { continue };
            let key = plan.key(*track)?;
            let descriptors = content_protection(plan, key, done.rotates())?;
            protected.push(Protected { place: *place, kid: key.kid, descriptors });
        }
        self.mpd.protect(&protected).map_err(|error| error.at(self.name.clone()))?;
        self.write((done, store), env)
    }

    /// Removes every ContentProtection.
    pub(in crate::job) fn unprotect(
        mut self,
        (done, store): (&ProtectedPackage, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        self.mpd.unprotect();
        self.write((done, store), env)
    }

    fn write(
        mut self,
        (done, store): (&ProtectedPackage, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Vec<OutputReport>> {
        self.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
        let name = self.name;
        self.mpd
            .map_byte_ranges(Location { name: &name, store }, &mut |file, range| {
                let offsets = done.offsets(file)?;
                offsets.check_boxes(&range, false).and_then(|()| offsets.range(range))
            })
            .map_err(|error| error.at(name.clone()))?;
        Ok(vec![write_manifest(env, &name, &self.mpd.to_bytes())?])
    }
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

/// The descriptors of a key, from what each system is told about it.
///
/// Keys that changed are in the media: there is no `default_KID`, which would be true of one period only, and
/// no `pssh`, which would win over that of the media (DASH-IF IOP 6, in-band key rotation).
pub(in crate::job) fn content_protection(
    plan: &Plan,
    key: &PlannedKey,
    rotates: bool,
) -> Result<Vec<Element>> {
    let systems: Vec<_> = key
        .systems
        .iter()
        .filter(|(system, _)| system.signals_in(ManifestKind::Dash))
        .map(|(system, data)| SystemDescriptor {
            system_id: system.system_id(),
            value: system.dash_value(),
            robustness: data.robustness.as_deref(),
            data: data.content_protection_data.as_deref().filter(|_| !rotates).unwrap_or_default(),
            namespaces: drm::NAMESPACES,
        })
        .collect();
    let mut elements = descriptors(plan.treatment.name(), (!rotates).then_some(key.kid), &systems)?;
    // It stands behind ContentProtection: ISO/IEC 23009-1:2022 annex B, RepresentationBaseType.
    elements.extend_from_slice(&key.output_protection);
    Ok(elements)
}
