//! Byte ranges of an MPD, moved when files change — ISO/IEC 23009-1 §5.3.9.2.2, §5.3.9.3.2.

use std::ops::Range;

use super::Mpd;
use super::addressing::{Location, byte_range};
use super::mpd::{MpdPath, children, is_mpd};
use crate::base::{Error, Result};
use crate::xml::Element;

/// Maps a range of a file, named as in [`Reference`](super::Reference), to where its bytes are now.
pub type RangeMap<'a> = dyn FnMut(&str, Range<u64>) -> Result<Range<u64>> + 'a;

/// Is shown the name of a file and a range of it.
pub type Visit<'a> = dyn FnMut(&str, &Range<u64>) -> Result<()> + 'a;

/// The elements with byte ranges: the attribute that names another file, and the attribute with the range.
const RANGES: &[(&str, &str, &str)] = &[
    ("SegmentBase", "", "indexRange"),
    ("SegmentTemplate", "", "indexRange"),
    ("SegmentList", "", "indexRange"),
    ("Initialization", "sourceURL", "range"),
    ("RepresentationIndex", "sourceURL", "range"),
    ("SegmentURL", "media", "mediaRange"),
    ("SegmentURL", "media", "indexRange"),
];

/// The elements that say where segments are.
const INFORMATION: &[&str] = &["SegmentBase", "SegmentList", "SegmentTemplate"];

/// Whether a child of segment information belongs there: a SegmentURL stands in a SegmentList alone.
fn is_read(info: &str, part: &str) -> bool {
    part != "SegmentURL" || info == "SegmentList"
}

impl Mpd {
    /// Rewrites every byte range that is signaled: `map` gets a file's name and a range of the file as it was
    /// and gives the range as it is now. Text whose numbers do not change is left as it stands.
    ///
    /// # Errors
    /// When `map` fails, or when Representations inherit one range and need different ones.
    pub fn map_byte_ranges(&mut self, document: Location<'_>, map: &mut RangeMap<'_>) -> Result<()> {
        let bases = self.bases()?;
        let mut root = self.document.root().clone();
        let prefix = root.prefix().to_owned();
        let mut edit = Edit { prefix: &prefix, document, map };
        for (p, period) in edit.indexed(&mut root, "Period") {
            let all = usize::MAX;
            edit.information(period, &select(&bases, at(p, 0, 0), at(p, all, all)))?;
            for (a, set) in edit.indexed(period, "AdaptationSet") {
                edit.information(set, &select(&bases, at(p, a, 0), at(p, a, all)))?;
                for (r, representation) in edit.indexed(set, "Representation") {
                    let place = at(p, a, r);
                    edit.information(representation, &select(&bases, place, place))
                        .map_err(|error| error.at(place))?;
                }
            }
        }
        *self.document.root_mut() = root;
        Ok(())
    }

    /// Shows every byte range that is signaled, with its file: one for each Representation that inherits it.
    ///
    /// # Errors
    /// When a range or an address is wrong, or when `visit` fails.
    pub fn visit_byte_ranges(&self, document: Location<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let (bases, all) = (self.bases()?, usize::MAX);
        for (p, period) in children(self.document.root(), "Period").enumerate() {
            let own = select(&bases, at(p, 0, 0), at(p, all, all));
            ranges(period, document, &own, visit)?;
            for (a, set) in children(period, "AdaptationSet").enumerate() {
                ranges(set, document, &select(&bases, at(p, a, 0), at(p, a, all)), visit)?;
                for (r, representation) in children(set, "Representation").enumerate() {
                    let place = at(p, a, r);
                    ranges(representation, document, &select(&bases, place, place), visit)
                        .map_err(|error| error.at(place))?;
                }
            }
        }
        Ok(())
    }

    fn bases(&self) -> Result<Vec<(MpdPath, String)>> {
        let base = |level: super::mpd::Level<'_>| {
            Ok((level.place, level.base_url().map_err(|error| error.at(level.place))?))
        };
        self.levels()?.into_iter().map(base).collect()
    }
}

/// Shows the ranges of the segment information directly under `level`, which all of `bases` inherit.
fn ranges(level: &Element, document: Location<'_>, bases: &[&str], visit: &mut Visit<'_>) -> Result<()> {
    for info in INFORMATION.iter().flat_map(|name| children(level, name)) {
        let is_part = |element: &&Element| {
            is_mpd(info.prefix(), element) && is_read(info.local_name(), element.local_name())
        };
        let parts = info.elements().filter(is_part);
        for element in std::iter::once(info).chain(parts) {
            for (_, file, name) in RANGES.iter().filter(|(owner, ..)| *owner == element.local_name()) {
                let at = |error: Error| error.at(format_args!("{}/@{name}", element.local_name()));
                let Some(range) = byte_range(element, name).map_err(at)? else { continue };
                let reference = if file.is_empty() { None } else { element.attribute(file)? };
                for base in bases {
                    let file = document.file(base, reference.as_deref().unwrap_or_default());
                    file.and_then(|file| visit(&file, &range)).map_err(at)?;
                }
            }
        }
    }
    Ok(())
}

fn at(period: usize, adaptation_set: usize, representation: usize) -> MpdPath {
    MpdPath { period, adaptation_set, representation }
}

/// The bases from one place to another; they are in document order.
fn select(bases: &[(MpdPath, String)], first: MpdPath, last: MpdPath) -> Vec<&str> {
    let start = bases.partition_point(|(place, _)| *place < first);
    bases.iter().skip(start).take_while(|(place, _)| *place <= last).map(|(_, base)| base.as_str()).collect()
}

struct Edit<'a, 'm> {
    prefix: &'a str,
    document: Location<'a>,
    map: &'a mut RangeMap<'m>,
}

impl Edit<'_, '_> {
    fn indexed<'e>(&self, parent: &'e mut Element, name: &str) -> Vec<(usize, &'e mut Element)> {
        parent
            .elements_mut()
            .filter(|element| element.local_name() == name && is_mpd(self.prefix, element))
            .enumerate()
            .collect()
    }

    /// Maps the ranges of the segment information directly under `level`, which all of `bases` inherit.
    fn information(&mut self, level: &mut Element, bases: &[&str]) -> Result<()> {
        for info in level.elements_mut().filter(|element| is_mpd(self.prefix, element)) {
            if !INFORMATION.contains(&info.local_name()) {
                continue;
            }
            self.element(info, bases)?;
            let name = info.local_name().to_owned();
            for part in info.elements_mut().filter(|element| is_mpd(self.prefix, element)) {
                if is_read(&name, part.local_name()) {
                    self.element(part, bases)?;
                }
            }
        }
        Ok(())
    }

    fn element(&mut self, element: &mut Element, bases: &[&str]) -> Result<()> {
        for &(name, file, range) in RANGES {
            if element.local_name() == name {
                self.range(element, file, range, bases)
                    .map_err(|error| error.at(format_args!("{name}/@{range}")))?;
            }
        }
        Ok(())
    }

    fn range(&mut self, element: &mut Element, file: &str, name: &str, bases: &[&str]) -> Result<()> {
        let Some(range) = byte_range(element, name)? else { return Ok(()) };
        let reference = if file.is_empty() { None } else { element.attribute(file)? };
        let mut mapped: Option<Range<u64>> = None;
        for base in bases {
            let file = self.document.file(base, reference.as_deref().unwrap_or_default())?;
            let moved = (self.map)(&file, range.clone())?;
            if mapped.as_ref().is_some_and(|other| *other != moved) {
                return Err(Error::unsupported(
                    "a byte range inherited by Representations that need different ones",
                )
                .clause("ISO/IEC 23009-1 §5.3.9.1"));
            }
            mapped = Some(moved);
        }
        if let Some(mapped) = mapped.filter(|mapped| *mapped != range) {
            let last =
                mapped.end.checked_sub(1).filter(|last| *last >= mapped.start).ok_or_else(|| {
                    Error::input("the mapped byte range is empty").clause("RFC 9110 §14.1.2")
                })?;
            element.set_attribute(name, &format!("{}-{last}", mapped.start));
        }
        Ok(())
    }
}
