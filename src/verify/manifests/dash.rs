//! What an MPD says of protection — ISO/IEC 23009-1 §5.8.4.1, ISO/IEC 23001-7 §11.2, DASH-IF IOP content protection.

use std::collections::HashMap;

use crate::base::{Kid, Result, SystemId};
use crate::dash::MpdPath;
use crate::drm::{self, ManifestKind};
use crate::presentation::MpdTrack;
use crate::xml::Element;

use super::DashManifest;
use super::agreement::Agreement;
use super::info::PresentationInfo;
use super::{labels, names, periods, times};
use crate::verify::findings::Findings;
use crate::verify::fragmented::pssh;

/// The scheme of the descriptor that names the protection scheme: ISO/IEC 23009-1 §5.8.5.2.
const MP4_PROTECTION: &str = "urn:mpeg:dash:mp4protection:2011";

/// A descriptor, and how far from the Representation it stands: 0 in it, 1 in its AdaptationSet, 2 above.
pub(super) type Descriptor<'a> = (&'a Element, usize);

/// Checks the descriptors and addresses of an MPD.
pub(in crate::verify) fn check(
    manifest: &DashManifest<'_>,
    facts: &PresentationInfo<'_>,
    agreement: &mut Agreement,
    findings: &mut Findings,
) -> Result<()> {
    times::check_timelines(manifest, facts, findings);
    periods::check(manifest, facts, findings)?;
    labels::check_mpd(manifest, facts, findings);
    names::check_mpd(&manifest.document.name, manifest.document.mpd.root(), findings)?;
    let mut of_key: HashMap<Kid, (String, String)> = HashMap::new();
    let descriptors = descriptors(manifest.document.mpd.root());
    let foreign = manifest.document.mpd.foreign_cenc_names()?;
    let found = foreign.first().map(|(name, namespace)| format!("{name} in {namespace:?}"));
    let (holds, found) = (found.is_none(), found.unwrap_or_default());
    findings.check("mpd-namespace", holds, &manifest.document.name, &found, &"urn:mpeg:cenc:2013");
    let repairs = manifest.document.mpd.repairs();
    let found = repairs.first().map_or("", String::as_str);
    findings.check("mpd-xml", repairs.is_empty(), &manifest.document.name, &found, &"well-formed XML");
    for (media, rendition) in &manifest.representations {
        let representation = &media.representation;
        let place =
            format!("{}: {} (id {})", manifest.document.name, representation.place, representation.id);
        let rendition = *rendition;
        addresses(media, facts, &place, findings);
        let descriptors = descriptors.get(&representation.place).map_or(&[][..], Vec::as_slice);
        let Some((scheme, kid)) = facts.protection(rendition) else {
            let found = format!("{} descriptors", descriptors.len());
            findings.check("mpd-clear", descriptors.is_empty(), &place, &found, &"none: the media is clear");
            continue;
        };
        check_scheme(descriptors, scheme.name, kid, facts.is_rotated(rendition), &place, findings)?;
        check_systems(descriptors, (facts, agreement), rendition, &place, findings)?;
        let Some(kid) = kid else { continue };
        let mut texts: Vec<String> = descriptors.iter().map(|(element, _)| element.to_text()).collect();
        texts.iter_mut().for_each(|text| text.retain(|c| !c.is_ascii_whitespace()));
        let (first, expected) = of_key.entry(kid).or_insert_with(|| (place.clone(), texts.concat()));
        let holds = *expected == texts.concat();
        let expected = format!("those of {first}");
        findings.check("mpd-same-key", holds, &place, &"other descriptors for the same key", &expected);
    }
    Ok(())
}

fn addresses(media: &MpdTrack, facts: &PresentationInfo<'_>, place: &str, findings: &mut Findings) {
    for segment in media.segments() {
        if let Some(range) = &segment.range {
            facts.check_range(&segment.file, range, place, findings);
        }
    }
    if let Some(index) = media.index()
        && let (Some(range), Some(file)) = (&index.range, facts.file(&index.file))
    {
        let name = &index.file;
        let holds = file.indexes.iter().any(|sidx| sidx.position == range.start && sidx.end() <= range.end);
        let found = format!("bytes {}..{} of {name}", range.start, range.end);
        findings.check("index-range", holds, &place, &found, &"those of sidx");
    }
}

/// The systems of descriptors.
pub(super) fn system_ids<'a>(descriptors: &[Descriptor<'a>]) -> impl Iterator<Item = SystemId> {
    let ids = descriptors.iter().filter_map(|(element, _)| text(element, "schemeIdUri").ok());
    ids.filter_map(|id| SystemId::parse(id.to_ascii_lowercase().strip_prefix("urn:uuid:")?).ok())
}

/// The descriptors that are for each Representation, the lowest first.
pub(super) fn descriptors(root: &Element) -> HashMap<MpdPath, Vec<Descriptor<'_>>> {
    let of = |element, distance| {
        let own = named(element, "ContentProtection").map(move |descriptor| (descriptor, distance));
        own.collect::<Vec<Descriptor<'_>>>()
    };
    let above = of(root, 3);
    let mut found = HashMap::new();
    for (period, element) in named(root, "Period").enumerate() {
        let of_period = of(element, 2);
        for (adaptation_set, element) in named(element, "AdaptationSet").enumerate() {
            let of_set = of(element, 1);
            for (representation, element) in named(element, "Representation").enumerate() {
                let all = [of(element, 0), of_set.clone(), of_period.clone(), above.clone()].concat();
                found.insert(MpdPath { period, adaptation_set, representation }, all);
            }
        }
    }
    found
}

/// Children of this name with their parent's prefix: other namespaces have elements of the same names.
fn named<'a>(parent: &'a Element, name: &'a str) -> impl Iterator<Item = &'a Element> {
    parent.named(name).filter(|child| child.prefix() == parent.prefix())
}

fn text<'a>(element: &'a Element, name: &str) -> Result<std::borrow::Cow<'a, str>> {
    Ok(element.attribute(name)?.unwrap_or_default())
}

fn check_scheme(
    descriptors: &[Descriptor<'_>],
    scheme: &str,
    kid: Option<Kid>,
    is_rotated: bool,
    place: &str,
    findings: &mut Findings,
) -> Result<()> {
    let mut protections = Vec::new();
    for (index, (element, distance)) in descriptors.iter().enumerate() {
        if text(element, "schemeIdUri")?.eq_ignore_ascii_case(MP4_PROTECTION) {
            protections.push((index, *element, *distance));
        }
    }
    let count = protections.len();
    findings.check("mpd-protection", count > 0, &place, &"no mp4protection descriptor", &scheme);
    for (index, element, distance) in protections {
        findings.check(
            "mpd-place",
            distance == 1,
            &place,
            &"ContentProtection elsewhere",
            &"in the AdaptationSet",
        );
        findings.check("mpd-order", index == 0, &place, &format_args!("number {}", index + 1), &"the first");
        let value = text(element, "value")?;
        let four = value.split(':').next().unwrap_or_default();
        findings.check("mpd-scheme", four == scheme, &place, &value, &scheme);
        let mut default_kid = None;
        for (name, value) in element.attributes()? {
            if name.rsplit(':').next() == Some("default_KID") {
                default_kid = Some(value.into_owned());
            }
        }
        // With keys that rotate the MPD may leave the key ids to the media.
        let (Some(kid), false) = (kid, is_rotated && default_kid.is_none()) else { continue };
        let found = default_kid.unwrap_or_else(|| "no default_KID".into());
        let holds =
            found.split_ascii_whitespace().any(|text| Kid::parse(text).is_ok_and(|found| found == kid));
        findings.check("kid-mpd-tenc", holds, &place, &found, &kid);
    }
    Ok(())
}

fn check_systems(
    descriptors: &[Descriptor<'_>],
    (facts, agreement): (&PresentationInfo<'_>, &mut Agreement),
    rendition: usize,
    place: &str,
    findings: &mut Findings,
) -> Result<()> {
    for (element, _) in descriptors {
        let scheme_id_uri = text(element, "schemeIdUri")?.to_ascii_lowercase();
        let has_text = element.has_text();
        findings.check("mpd-text", !has_text, &place, &"text in a ContentProtection", &"elements alone");
        let Some(id) = scheme_id_uri.strip_prefix("urn:uuid:") else {
            let says = !scheme_id_uri.is_empty();
            findings.check("mpd-scheme-id", says, &place, &"a ContentProtection without", &"schemeIdUri");
            let is_pssh = element.child("pssh").is_some();
            findings.check(
                "mpd-pssh",
                !is_pssh,
                &place,
                &scheme_id_uri,
                &"urn:uuid and the id of the system",
            );
            if says && scheme_id_uri != MP4_PROTECTION {
                findings.unchecked(format!(
                    "ContentProtection of the scheme {scheme_id_uri}, which is none that is known"
                ));
            }
            continue;
        };
        let parsed = SystemId::parse(id);
        findings.check("mpd-scheme-id", parsed.is_ok(), &place, &scheme_id_uri, &"a UUID");
        let Ok(id) = parsed else { continue };
        pssh::note_unknown(id, "ContentProtection", findings);
        let system = drm::find_id(id);
        if let Some(system) = system {
            let holds = system.signals_in(ManifestKind::Dash);
            findings.check("mpd-system", holds, &place, &system.name(), &"a system with signaling in DASH");
        }
        let place = format!("{place}: ContentProtection {id}");
        let own = system.and_then(drm::System::pssh_system_id).unwrap_or(id);
        let mut boxes = Vec::new();
        // Boxes and what a system has in their place, each by itself: players read one or the other.
        for is_box in [true, false] {
            let of_kind = element.elements().filter(|child| (child.local_name() == "pssh") == is_box);
            let mut found = Vec::new();
            for read in drm::descriptor_boxes(system, of_kind) {
                let Some(parsed) = pssh::read(read, &place, findings) else { continue };
                let holds = parsed.system_id == own || parsed.system_id == id;
                findings.check("mpd-pssh", holds, &place, &parsed.system_id, &own);
                found.push(parsed);
            }
            pssh::check(&found, &facts.keys(rendition), &place, facts.key_store, findings);
            boxes.extend(found);
        }
        let kids: Vec<Kid> = facts.keys(rendition).iter().map(|(kid, _)| *kid).collect();
        agreement.boxes(&boxes, &kids, &place, findings);
        agreement.in_mpds(&boxes);
    }
    Ok(())
}
