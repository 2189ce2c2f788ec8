//! Addresses of other places in an MPD — ISO/IEC 23009-1 §5.6.5, §5.15.

use std::collections::HashSet;

use crate::base::{Result, is_http, shown_input};

use super::mpd::{Mpd, children};

impl Mpd {
    /// Addresses of other places that stay in the MPD, each once, without queries: alternatives of a `BaseURL`, and
    /// where the MPD itself is to be had. Who reads them finds there what was there before.
    ///
    /// # Errors
    /// When a text is not well formed.
    pub fn elsewhere(&self) -> Result<Vec<String>> {
        let root = self.root();
        let mut elements = vec![root];
        for period in children(root, "Period") {
            elements.push(period);
            for set in children(period, "AdaptationSet") {
                elements.push(set);
                elements.extend(children(set, "Representation"));
            }
        }
        let names = ["BaseURL", "Location", "PatchLocation"];
        let addresses =
            elements.into_iter().flat_map(|element| names.iter().flat_map(|name| children(element, name)));
        let (mut found, mut known) = (Vec::new(), HashSet::new());
        for address in addresses {
            let text = shown_input(address.text()?.trim());
            if (is_http(&text) || text.starts_with('/')) && known.insert(text.clone()) {
                found.push(text);
            }
        }
        Ok(found)
    }
}
