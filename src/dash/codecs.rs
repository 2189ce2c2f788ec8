//! `@codecs` of a Representation that does not say it — ISO/IEC 23009-1 §5.3.7.2.

use super::mpd::is_mpd;
use super::{Mpd, MpdPath};
use crate::base::{Error, Result};
use crate::xml::Element;

impl Mpd {
    /// Says the codecs of a Representation.
    ///
    /// # Errors
    /// When there is none at this place.
    pub fn set_codecs(&mut self, place: MpdPath, codecs: &str) -> Result<()> {
        let prefix = self.document.root().prefix().to_owned();
        let found = nth(self.document.root_mut(), &prefix, "Period", place.period)
            .and_then(|period| nth(period, &prefix, "AdaptationSet", place.adaptation_set))
            .and_then(|set| nth(set, &prefix, "Representation", place.representation));
        let representation = found.ok_or_else(|| Error::internal("no such Representation").at(place))?;
        representation.set_attribute("codecs", codecs);
        Ok(())
    }
}

fn nth<'a>(parent: &'a mut Element, prefix: &str, name: &str, index: usize) -> Option<&'a mut Element> {
    parent.elements_mut().filter(|child| child.local_name() == name && is_mpd(prefix, child)).nth(index)
}
