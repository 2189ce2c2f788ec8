//! Addresses of other places in an MPD — ISO/IEC 23009-1 §5.6.5, §5.15.

use crate::base::{Result, is_http, shown_input};

use super::mpd::{Mpd, children};

impl Mpd {
    /// Addresses of other places that stay in the MPD, each once, without queries: alternatives of a `BaseURL`, and
    /// where the MPD itself is to be had. Who reads them finds there what was there before.
    ///
    /// # Errors
    /// When a text is not well formed.
    pub fn elsewhere(&self) -> Result<Vec<String>> {
        let levels = self.levels();
        let elements = levels.iter().flat_map(|l| [l.root, l.period, l.adaptation_set, l.representation]);
        let names = ["BaseURL", "Location", "PatchLocation"];
        let addresses = elements.flat_map(|element| names.iter().flat_map(|name| children(element, name)));
        let mut found = Vec::new();
        for address in addresses {
            let text = shown_input(address.text()?.trim());
            if (is_http(&text) || text.starts_with('/')) && !found.contains(&text) {
                found.push(text);
            }
        }
        Ok(found)
    }
}
