//! AdaptationSets of one content under several keys — ISO/IEC 23009-1 §5.3.3.5, DASH-IF IOP.

use std::collections::BTreeSet;

use super::content_protection::Protected;
use super::layout;
use super::mpd::{children, is_mpd};
use crate::base::{Error, Result};
use crate::xml::Element;

/// The scheme of the property that lists the AdaptationSets one may switch to: §5.3.3.5.
const SWITCHING: &str = "urn:mpeg:dash:adaptation-set-switching:2016";

/// What stands before a `SupplementalProperty` or is one: Annex B, RepresentationBaseType.
const UP_TO_SUPPLEMENTAL: &[&str] = &[
    "FramePacking",
    "AudioChannelConfiguration",
    "ContentProtection",
    "OutputProtection",
    "EssentialProperty",
    "SupplementalProperty",
];

/// The Representations of an AdaptationSet under one key.
pub(super) struct Group<'a> {
    /// The first of them, whose descriptors serve all.
    pub(super) protected: &'a Protected,
    /// In order.
    pub(super) representations: Vec<usize>,
}

/// The `AdaptationSet/@id` values in use. New ones differ from all of them, over all Periods: equal ids
/// in two Periods can mean continuity, §5.3.2.4.
pub(super) struct Ids {
    used: BTreeSet<String>,
    next: u64,
}

impl Ids {
    pub(super) fn of(root: &Element) -> Result<Self> {
        let mut used = BTreeSet::new();
        for set in children(root, "Period").flat_map(|period| children(period, "AdaptationSet")) {
            used.extend(set.attribute("id")?.map(|id| id.into_owned()));
        }
        Ok(Self { used, next: 1 })
    }

    fn assign(&mut self) -> String {
        loop {
            let id = self.next.to_string();
            self.next = self.next.saturating_add(1);
            if self.used.insert(id.clone()) {
                return id;
            }
        }
    }
}

/// One AdaptationSet for each group: the first is the old one, the others are copies, each with its own
/// Representations and everything that was inherited.
pub(super) fn split(set: Element, groups: &[Group<'_>], ids: &mut Ids) -> Result<Vec<Element>> {
    if groups.len() < 2 {
        return Ok(vec![set]);
    }
    let first_id = set.attribute("id")?.map_or_else(|| ids.assign(), |id| id.into_owned());
    let set_ids: Vec<String> = groups
        .iter()
        .enumerate()
        .map(|(i, _)| if i == 0 { first_id.clone() } else { ids.assign() })
        .collect();
    let mut sets = Vec::with_capacity(groups.len());
    for (group, id) in groups.iter().zip(&set_ids) {
        let mut copy = set.clone();
        let mut r = 0;
        layout::remove(&mut copy, |child| {
            let is_representation = child.local_name() == "Representation" && is_mpd(set.prefix(), child);
            let gone = is_representation && group.representations.binary_search(&r).is_err();
            r += usize::from(is_representation);
            gone
        });
        copy.set_attribute("id", id);
        let others: Vec<&str> = set_ids.iter().filter(|other| *other != id).map(String::as_str).collect();
        link(&mut copy, &others)?;
        sets.push(copy);
    }
    Ok(sets)
}

/// Says that one may switch from `set` to the others; what an older property lists is kept.
fn link(set: &mut Element, others: &[&str]) -> Result<()> {
    let prefix = set.prefix().to_owned();
    let is_property = |e: &&mut Element| e.local_name() == "SupplementalProperty" && is_mpd(&prefix, e);
    for property in set.elements_mut().filter(is_property) {
        if property.attribute("schemeIdUri")?.is_some_and(|scheme| scheme == SWITCHING) {
            let old = property.attribute("value")?.unwrap_or_default().into_owned();
            let listed = old.split(',').map(str::trim).filter(|id| !id.is_empty());
            let all: Vec<&str> = listed.chain(others.iter().copied()).collect();
            property.set_attribute("value", &all.join(","));
            return Ok(());
        }
    }
    let name = if prefix.is_empty() {
        "SupplementalProperty".to_owned()
    } else {
        format!("{prefix}:SupplementalProperty")
    };
    let property = Element::new(&name).with("schemeIdUri", SWITCHING).with("value", &others.join(","));
    layout::insert(set, layout::position_after(set, UP_TO_SUPPLEMENTAL), vec![property]);
    Ok(())
}

/// Refuses a split in a Period that lists its AdaptationSets elsewhere: the list would miss the new ones.
pub(super) fn refuse_lists_of_sets(period: &Element) -> Result<()> {
    let list = ["Subset", "Preselection"].into_iter().find(|name| children(period, name).next().is_some());
    match list {
        Some(name) => {
            Err(Error::unsupported(format!("{name} in a Period whose AdaptationSets have several keys"))
                .clause("ISO/IEC 23009-1 §5.3.8")
                .hint("use one key for each AdaptationSet"))
        }
        None => Ok(()),
    }
}
