//! Addresses in elements and attributes of an MPD that name no media — ISO/IEC 23009-1 §5: events, descriptors, and what
//! others put there.

use std::collections::HashSet;

use crate::base::{Result, is_http};
use crate::xml::Element;

use super::mpd::Mpd;

/// Most addresses that are looked at.
const MAX_ADDRESSES: usize = 1000;
/// Elements whose addresses are read elsewhere, or mean no file of the presentation: players ask there for keys, the
/// time, and the MPD itself.
const READ_ELSEWHERE: &[&str] = &[
    "BaseURL",
    "BitstreamSwitching",
    "ContentProtection",
    "Initialization",
    "Location",
    "Metrics",
    "PatchLocation",
    "ProgramInformation",
    "SegmentTimeline",
    "SegmentURL",
    "UTCTiming",
];
/// Attributes that are names and no addresses, whatever they look like.
const NAMES: &[&str] = &["schemeIdUri", "profiles", "schemaLocation", "mimeType", "id", "start", "duration"];
/// Attributes of segment information, which is read elsewhere.
const TEMPLATES: &[&str] = &["media", "initialization", "index", "bitstreamSwitching"];

/// An address in an MPD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherAddress {
    /// The element, and the attribute if it is in one.
    pub place: String,
    /// The address.
    pub address: String,
}

impl Mpd {
    /// What may be addresses beside those of media, each once.
    ///
    /// # Errors
    /// When a text is not well formed.
    pub fn other_addresses(&self) -> Result<Vec<OtherAddress>> {
        let (mut found, mut known) = (Vec::new(), HashSet::new());
        let mut open = vec![self.root()];
        while let Some(element) = open.pop() {
            let name = element.local_name();
            if READ_ELSEWHERE.contains(&name) {
                continue;
            }
            let mut add = |place: String, address: &str| {
                if found.len() < MAX_ADDRESSES && may_be_address(address) && known.insert(address.to_owned())
                {
                    found.push(OtherAddress { place, address: address.to_owned() });
                }
            };
            for (attribute, value) in element.attributes()? {
                let local = attribute.rsplit(':').next().unwrap_or_default();
                let is_name = NAMES.contains(&local)
                    || attribute.starts_with("xmlns")
                    || local.ends_with("odecs")
                    || (name == "SegmentTemplate" && TEMPLATES.contains(&local));
                if !is_name {
                    add(format!("{name}@{local}"), &value);
                }
            }
            if element.elements().next().is_none() {
                add(name.to_owned(), element.text().unwrap_or_default().trim());
            }
            open.extend(children_in_order(element));
        }
        Ok(found)
    }
}

/// The last one first: they are taken from the end.
fn children_in_order(element: &Element) -> impl Iterator<Item = &Element> {
    let children: Vec<_> = element.elements().collect();
    children.into_iter().rev()
}

/// Whether a text is an address of another place, or looks like the name of a file: it ends like one.
fn may_be_address(text: &str) -> bool {
    if text.len() > 2048
        || text.contains(|c: char| c.is_whitespace() || c.is_control() || "$<>{}\"".contains(c))
    {
        return false;
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map_or("", |(_, ending)| ending);
    let is_ending = (1..=5).contains(&ending.len())
        && ending.starts_with(|c: char| c.is_ascii_alphabetic())
        && ending.chars().all(|c| c.is_ascii_alphanumeric());
    is_http(text) || is_ending
}
