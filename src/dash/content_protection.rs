//! ContentProtection descriptors and their place — ISO/IEC 23009-1 §5.8.4.1, DASH-IF IOP content protection.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::mpd::{NAMESPACE, check_inserted, child, children, declaration, is_mpd};
use super::switching::{self, Group, Ids};
use super::{Mpd, MpdPath, layout};
use crate::base::{Error, Kid, Result, SystemId};
use crate::xml::{Element, Node, parse_fragment};

/// The namespace of `cenc:default_KID` and `cenc:pssh`: ISO/IEC 23001-7 §11.2.
const CENC: (&str, &str) = ("cenc", "urn:mpeg:cenc:2013");
/// The namespace of `dashif:Laurl` and its kin: DASH-IF IOP content protection.
const DASHIF: (&str, &str) = ("dashif", "https://dashif.org/CPS");
/// The scheme of the descriptor that names the protection scheme: ISO/IEC 23009-1 §5.8.5.2.
const MP4_PROTECTION: &str = "urn:mpeg:dash:mp4protection:2011";

/// Most keys of one AdaptationSet: it becomes as many, and each names all others.
const MAX_KEYS: usize = 100;
/// What stands before `ContentProtection` in an AdaptationSet: Annex B, RepresentationBaseType.
const BEFORE: &[&str] = &["FramePacking", "AudioChannelConfiguration"];

/// What one DRM system signals about a key in an MPD.
#[derive(Clone, Copy, Debug)]
pub struct SystemDescriptor<'a> {
    /// The system, which becomes `@schemeIdUri`.
    pub system_id: SystemId,
    /// `@value`; not written when empty.
    pub value: &'a str,
    /// `@robustness`: ISO/IEC 23009-1:2022 §5.8.4.1.
    pub robustness: Option<&'a str>,
    /// XML: the children of the descriptor.
    pub data: &'a str,
    /// Prefixes and namespaces that `data` may use without declaring them, besides `cenc` and `dashif`.
    pub namespaces: &'a [(&'a str, &'a str)],
}

/// A Representation that is protected, and what says so.
#[derive(Clone, Debug)]
pub struct Protected {
    /// Which Representation.
    pub place: MpdPath,
    /// Its key.
    pub kid: Kid,
    /// What [`descriptors`] gave for the key.
    pub descriptors: Vec<Element>,
}

impl Mpd {
    /// `default_KID` and `pssh` of ContentProtection that are in another namespace than that of Common Encryption, as
    /// they are written, with the namespace. Readers of namespaces do not find them.
    ///
    /// # Errors
    /// When an attribute cannot be read.
    pub fn foreign_cenc_names(&self) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        foreign_cenc_names((self.root(), false), &mut Vec::new(), &mut found)?;
        Ok(found)
    }
}

fn foreign_cenc_names<'a>(
    (element, is_data): (&'a Element, bool),
    scope: &mut Vec<(&'a str, String)>,
    found: &mut Vec<(String, String)>,
) -> Result<()> {
    let (outer, is_descriptor) = (scope.len(), element.local_name() == "ContentProtection");
    let mut names = Vec::new();
    for (name, value) in element.attributes()? {
        match name.split_once(':') {
            Some(("xmlns", prefix)) => scope.push((prefix, value.into_owned())),
            None if name == "xmlns" => scope.push(("", value.into_owned())),
            _ if is_descriptor && name.rsplit(':').next() == Some("default_KID") => names.push(name),
            _ => {}
        }
    }
    if is_data && element.local_name() == "pssh" {
        names.push(element.name());
    }
    for name in names {
        let prefix = name.split_once(':').map_or("", |(prefix, _)| prefix);
        let bound = scope.iter().rev().find(|(known, _)| *known == prefix);
        let namespace = bound.map_or("", |(_, namespace)| namespace);
        if namespace != CENC.1 {
            found.push((name.to_owned(), namespace.to_owned()));
        }
    }
    for child in element.elements() {
        foreign_cenc_names((child, is_descriptor), scope, found)?;
    }
    scope.truncate(outer);
    Ok(())
}

/// The descriptors of one key: the protection scheme with the key id first, then one for each system. There is
/// no key id when keys change in the media.
///
/// # Errors
/// When a system's data is not XML elements, or uses a prefix that nobody declares.
pub fn descriptors(scheme: &str, kid: Option<Kid>, systems: &[SystemDescriptor<'_>]) -> Result<Vec<Element>> {
    let mut mp4_protection = Element::new("ContentProtection");
    if kid.is_some() {
        mp4_protection.set_attribute(&declaration(CENC.0), CENC.1);
    }
    let mut mp4_protection = mp4_protection.with("schemeIdUri", MP4_PROTECTION).with("value", scheme);
    if let Some(kid) = kid {
        mp4_protection.set_attribute("cenc:default_KID", &kid.to_string());
    }
    let mut descriptors = vec![mp4_protection];
    for system in systems {
        let descriptor = descriptor(system).map_err(|error| {
            error.at(format_args!("ContentProtection data of system {}", system.system_id))
        })?;
        descriptors.push(descriptor);
    }
    Ok(descriptors)
}

fn descriptor(system: &SystemDescriptor<'_>) -> Result<Element> {
    let mut children = Vec::new();
    for node in parse_fragment(system.data.trim_start_matches('\u{feff}'))? {
        match node {
            Node::Raw(raw) if raw.trim().is_empty() || raw.starts_with("<?xml ") => {}
            Node::Raw(raw) if !raw.starts_with("<!--") && !raw.starts_with("<?") => {
                return Err(Error::input("text between the elements, expected XML elements only")
                    .clause("DASH-IF CPIX 2.3 §4"));
            }
            node => children.push(node),
        }
    }
    let mut prefixes = Vec::new();
    for node in &children {
        if let Node::Element(element) = node {
            undeclared_prefixes(element, &mut Vec::new(), &mut prefixes)?;
            check_inserted(element, &prefixes)?;
        }
    }
    let mut descriptor = Element::new("ContentProtection");
    for prefix in prefixes {
        let known = [CENC, DASHIF].into_iter().chain(system.namespaces.iter().copied());
        let namespace = known.into_iter().find(|(name, _)| *name == prefix).ok_or_else(|| {
            Error::input(format!("prefix {prefix:?} is not declared")).clause("Namespaces in XML 1.0 §5")
        })?;
        descriptor.set_attribute(&declaration(&prefix), namespace.1);
    }
    descriptor.set_attribute("schemeIdUri", &format!("urn:uuid:{}", system.system_id));
    if !system.value.is_empty() {
        descriptor.set_attribute("value", system.value);
    }
    if let Some(robustness) = system.robustness {
        descriptor.set_attribute("robustness", robustness);
    }
    descriptor.children = children;
    Ok(descriptor)
}

/// The `OutputProtection` descriptors in a text of a key source, without a prefix: ISO/IEC 23009-1:2022 §5.8.4.12, CPIX 2.4
/// §4, `HDCPData`.
///
/// # Errors
/// When anything else is there, also an element of that name in another namespace, or a prefix is not declared.
pub fn output_protections(text: &str) -> Result<Vec<Element>> {
    let wrong = |found: &str| {
        Error::keys(format!("{found}, OutputProtection elements expected"))
            .clause("DASH-IF CPIX 2.4 §4, HDCPData")
    };
    let mut elements = Vec::new();
    for node in parse_fragment(text.trim_start_matches('\u{feff}'))? {
        match node {
            Node::Element(element) if element.local_name() == "OutputProtection" => {
                elements.push(without_prefix(element)?);
            }
            Node::Element(_) => return Err(wrong("another element")),
            Node::Raw(raw) if raw.trim().is_empty() || raw.starts_with('<') => {}
            Node::Raw(_) => return Err(wrong("text")),
        }
    }
    Ok(elements)
}

/// An element of the MPD namespace under the name that it has where that needs no prefix.
fn without_prefix(mut element: Element) -> Result<Element> {
    let wrong = |found: String| {
        Error::keys(found).clause("Namespaces in XML 1.0 §5, ISO/IEC 23009-1 §5.8.4").hint(
            "let the key source write it without a prefix, or declare that as urn:mpeg:dash:schema:mpd:2011",
        )
    };
    let (name, declared) = (element.name().to_owned(), declaration(element.prefix()));
    let namespace = element.attribute(&declared)?.map(|namespace| namespace.into_owned());
    match namespace.as_deref() {
        Some(NAMESPACE) => {
            element.remove_attribute(&declared);
            element.set_name("OutputProtection");
        }
        Some(other) => return Err(wrong(format!("{name} of namespace {other:?}, one of MPDs expected"))),
        None if !element.prefix().is_empty() => {
            return Err(wrong(format!("{name} with a prefix that is not declared")));
        }
        None => {}
    }
    let mut prefixes = Vec::new();
    undeclared_prefixes(&element, &mut Vec::new(), &mut prefixes)?;
    if let Some(prefix) = prefixes.first() {
        return Err(wrong(format!("prefix {prefix:?} inside {name} that is not declared there")));
    }
    check_inserted(&element, &[])?;
    Ok(element)
}

/// Adds to `found` the prefixes that `element` uses without declaring them.
fn undeclared_prefixes(element: &Element, scope: &mut Vec<String>, found: &mut Vec<String>) -> Result<()> {
    let outer = scope.len();
    let attributes = element.attributes()?;
    let declared = attributes.iter().filter_map(|(name, _)| name.strip_prefix("xmlns:"));
    scope.extend(declared.map(str::to_owned));
    let names = attributes.iter().map(|(name, _)| *name).chain([element.name()]);
    for (prefix, _) in names.filter_map(|name| name.split_once(':')) {
        let prefix = prefix.to_owned();
        if !["xml", "xmlns"].contains(&prefix.as_str())
            && !scope.contains(&prefix)
            && !found.contains(&prefix)
        {
            found.push(prefix);
        }
    }
    for child in element.elements() {
        undeclared_prefixes(child, scope, found)?;
    }
    scope.truncate(outer);
    Ok(())
}

impl Mpd {
    /// Whether a Representation or what it stands in has `ContentProtection`.
    pub fn is_protected(&self, place: MpdPath) -> bool {
        let root = self.document.root();
        let Some(period) = children(root, "Period").nth(place.period) else { return false };
        let Some(set) = children(period, "AdaptationSet").nth(place.adaptation_set) else { return false };
        let representation = children(set, "Representation").nth(place.representation);
        [Some(period), Some(set), representation]
            .into_iter()
            .flatten()
            .any(|element| child(element, "ContentProtection").is_some())
    }

    /// The first Representation that some `ContentProtection`, its own or one around it, says is protected.
    pub fn has_content_protection(&self) -> Option<MpdPath> {
        let root = self.document.root();
        let at = |period, adaptation_set, representation| MpdPath { period, adaptation_set, representation };
        if contains(root, "Period") {
            return Some(at(0, 0, 0));
        }
        for (p, period) in children(root, "Period").enumerate() {
            if contains(period, "AdaptationSet") {
                return Some(at(p, 0, 0));
            }
            for (a, set) in children(period, "AdaptationSet").enumerate() {
                if contains(set, "Representation") {
                    return Some(at(p, a, 0));
                }
                let mut representations = children(set, "Representation");
                if let Some(r) = representations.position(|representation| contains(representation, "")) {
                    return Some(at(p, a, r));
                }
            }
        }
        None
    }

    /// Puts descriptors into the AdaptationSets of the protected Representations. An AdaptationSet whose
    /// Representations have several keys becomes several, which say that one may switch between them;
    /// a [`MpdPath`] from before then means nothing any more.
    ///
    /// # Errors
    /// When the MPD is protected already, when a place is wrong, or when an AdaptationSet would have both
    /// clear and protected Representations. The MPD is then as it was.
    pub fn protect(&mut self, protected: &[Protected]) -> Result<()> {
        let wanted = self.wanted(protected.iter().map(|entry| (entry.place, entry)))?;
        let mut root = self.document.root().clone();
        let mut namespaces = Namespaces::of(&root)?;
        let mut ids = Ids::of(&root)?;
        let prefix = root.prefix().to_owned();
        let periods = root.elements_mut().filter(|e| e.local_name() == "Period" && is_mpd(&prefix, e));
        for (p, period) in periods.enumerate() {
            let mut edit = Edit { wanted: &wanted, namespaces: &mut namespaces, ids: &mut ids };
            edit.period(p, period)?;
        }
        for (prefix, namespace) in namespaces.added {
            root.set_attribute(&declaration(&prefix), &namespace);
        }
        *self.document.root_mut() = root;
        Ok(())
    }

    /// Checks that [`Mpd::protect`] can be done: `keys` says which of the keys to come each protected Representation
    /// will have.
    ///
    /// # Errors
    /// As [`Mpd::protect`].
    pub fn can_protect<K: Copy + Ord>(&self, keys: &[(MpdPath, K)]) -> Result<()> {
        let wanted = self.wanted(keys.iter().copied())?;
        for (p, period) in children(self.document.root(), "Period").enumerate() {
            let mut splits = false;
            for (a, set) in children(period, "AdaptationSet").enumerate() {
                let (mut found, mut clear) = (BTreeSet::new(), None);
                for r in 0..children(set, "Representation").count() {
                    let place = MpdPath { period: p, adaptation_set: a, representation: r };
                    match wanted.get(&place) {
                        Some(key) => drop(found.insert(*key)),
                        None => clear = clear.or(Some(place)),
                    }
                }
                if let Some(place) = clear.filter(|_| !found.is_empty()) {
                    return Err(clear_among_protected(place));
                }
                splits |= found.len() > 1;
            }
            if splits {
                switching::refuse_lists_of_sets(period)?;
            }
        }
        Ok(())
    }

    /// What is wanted of each Representation of an MPD that is clear.
    fn wanted<T>(&self, entries: impl Iterator<Item = (MpdPath, T)>) -> Result<BTreeMap<MpdPath, T>> {
        if let Some(place) = self.has_content_protection() {
            return Err(
                Error::input("has ContentProtection already, expected a clear presentation").at(place)
            );
        }
        let places: Vec<MpdPath> = self.levels()?.iter().map(|level| level.place).collect();
        let mut wanted = BTreeMap::new();
        for (place, entry) in entries {
            if places.binary_search(&place).is_err() || wanted.insert(place, entry).is_some() {
                return Err(Error::usage("not one Representation protected once").at(place));
            }
        }
        Ok(wanted)
    }

    /// Removes every `ContentProtection`, and what keys want of outputs beside one. Namespace declarations stay: they say
    /// nothing by themselves.
    pub fn unprotect(&mut self) {
        unprotect(self.document.root_mut());
    }
}

fn clear_among_protected(place: MpdPath) -> Error {
    Error::unsupported("a clear Representation among protected ones, expected all or none")
        .clause("DASH-IF IOP content protection, ContentProtection descriptors")
        .at(place)
}

/// Whether an element is an `OutputProtection` for HDCP, which is what key sources say: CPIX 2.4 §4, `HDCPData`. Others are
/// for what the presentation itself wants.
pub fn is_output_protection_of_keys(element: &Element) -> bool {
    let scheme = element.attribute("schemeIdUri").ok().flatten();
    element.local_name() == "OutputProtection"
        && scheme.is_some_and(|uri| uri.to_ascii_lowercase().contains("hdcp"))
}

fn unprotect(element: &mut Element) {
    let prefix = element.prefix().to_owned();
    let is_protected = child(element, "ContentProtection").is_some();
    let goes = |child: &Element| {
        child.local_name() == "ContentProtection" || is_protected && is_output_protection_of_keys(child)
    };
    layout::remove(element, |child| goes(child) && is_mpd(&prefix, child));
    element.elements_mut().filter(|child| is_mpd(&prefix, child)).for_each(unprotect);
}

/// Whether there is a `ContentProtection` below, not counting what is inside elements named `except`.
fn contains(element: &Element, except: &str) -> bool {
    child(element, "ContentProtection").is_some()
        || element
            .elements()
            .filter(|child| child.local_name() != except && is_mpd(element.prefix(), child))
            .any(|child| contains(child, ""))
}

struct Edit<'a, 'p> {
    wanted: &'a BTreeMap<MpdPath, &'p Protected>,
    namespaces: &'a mut Namespaces,
    ids: &'a mut Ids,
}

impl Edit<'_, '_> {
    fn period(&mut self, p: usize, period: &mut Element) -> Result<()> {
        let prefix = period.prefix().to_owned();
        let nodes = std::mem::take(&mut period.children);
        let mut edited: Vec<Node> = Vec::with_capacity(nodes.len());
        let mut a = 0;
        for node in nodes {
            match node {
                Node::Element(set) if set.local_name() == "AdaptationSet" && is_mpd(&prefix, &set) => {
                    let before = edited.last().map_or("", |node| match node {
                        Node::Raw(raw) => layout::last_line(raw),
                        Node::Element(_) => "",
                    });
                    let before = Some(before.to_owned()).filter(|before| !before.is_empty()).map(Node::Raw);
                    for (index, set) in self.adaptation_set((p, a), period, set)?.into_iter().enumerate() {
                        edited.extend(before.clone().filter(|_| index > 0));
                        edited.push(Node::Element(set));
                    }
                    a += 1;
                }
                node => edited.push(node),
            }
        }
        period.children = edited;
        if a < children(period, "AdaptationSet").count() {
            switching::refuse_lists_of_sets(period)?;
        }
        Ok(())
    }

    /// The protected form of an AdaptationSet: one for each key.
    fn adaptation_set(&mut self, at: (usize, usize), period: &Element, set: Element) -> Result<Vec<Element>> {
        let (p, a) = at;
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut group_of = HashMap::new();
        let mut clear = None;
        for r in 0..children(&set, "Representation").count() {
            let place = MpdPath { period: p, adaptation_set: a, representation: r };
            let Some(entry) = self.wanted.get(&place).copied() else {
                clear = clear.or(Some(place));
                continue;
            };
            let number = *group_of.entry(entry.kid).or_insert(groups.len());
            match groups.get_mut(number) {
                Some(group) if group.protected.descriptors == entry.descriptors => {
                    group.representations.push(r)
                }
                Some(_) => {
                    return Err(
                        Error::usage("one key with two lists of descriptors, expected the same").at(place)
                    );
                }
                None => groups.push(Group { protected: entry, representations: vec![r] }),
            }
        }
        if groups.len() > MAX_KEYS {
            return Err(Error::unsupported(format!(
                "{} keys in one AdaptationSet, at most {MAX_KEYS}",
                groups.len()
            ))
            .hint("share keys (preset0)")
            .at(format_args!("Period[{}]/AdaptationSet[{}]", p + 1, a + 1)));
        }
        if groups.is_empty() {
            return Ok(vec![set]);
        }
        if let Some(place) = clear {
            return Err(clear_among_protected(place));
        }
        let mut sets = switching::split(set, &groups, self.ids)?;
        for (set, group) in sets.iter_mut().zip(&groups) {
            self.insert(period, set, &group.protected.descriptors)?;
        }
        Ok(sets)
    }

    fn insert(&mut self, period: &Element, set: &mut Element, descriptors: &[Element]) -> Result<()> {
        let (before, step) = (layout::before_children(set), layout::step(set));
        let mut placed = Vec::with_capacity(descriptors.len());
        for descriptor in descriptors {
            let mut descriptor = descriptor.clone();
            if !set.prefix().is_empty() {
                descriptor.set_name(&format!("{}:{}", set.prefix(), descriptor.local_name()));
            }
            self.namespaces.hoist(&mut descriptor, [set, period])?;
            layout::spread(&mut descriptor, &before, &step);
            placed.push(descriptor);
        }
        layout::insert(set, layout::position_after(set, BEFORE), placed);
        Ok(())
    }
}

/// The prefixes bound on the root element, and those to be added there.
struct Namespaces {
    bound: BTreeMap<String, String>,
    added: Vec<(String, String)>,
}

impl Namespaces {
    fn of(root: &Element) -> Result<Self> {
        Ok(Self { bound: declarations(root)?.into_iter().collect(), added: Vec::new() })
    }

    /// Moves the declarations of a descriptor to the root element where the document leaves the prefix free
    /// or gives it the same meaning; `around` are the elements between, the innermost first.
    fn hoist(&mut self, descriptor: &mut Element, around: [&Element; 2]) -> Result<()> {
        for (prefix, namespace) in declarations(descriptor)? {
            let name = declaration(&prefix);
            let mut bound = None;
            for element in around {
                bound = bound.or(element.attribute(&name)?);
            }
            match bound.as_deref().or_else(|| self.bound.get(&prefix).map(String::as_str)) {
                Some(bound) if bound != namespace => continue,
                Some(_) => {}
                None => {
                    self.added.push((prefix.clone(), namespace.clone()));
                    self.bound.insert(prefix, namespace);
                }
            }
            descriptor.remove_attribute(&name);
        }
        Ok(())
    }
}

fn declarations(element: &Element) -> Result<Vec<(String, String)>> {
    let declared = |(name, value): (&str, std::borrow::Cow<'_, str>)| {
        Some((name.strip_prefix("xmlns:")?.to_owned(), value.into_owned()))
    };
    Ok(element.attributes()?.into_iter().filter_map(declared).collect())
}
