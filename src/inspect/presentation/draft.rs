//! A presentation while its manifests and segments are read — ISO/IEC 23009-1, RFC 8216bis.

use crate::base::env::{Source, Store};
use crate::base::{Kid, Result};

use super::systems::Systems;
use super::{Key, MAX_TRACKS, Presentation};

/// A presentation that is being read.
pub(super) struct Draft<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) presentation: Presentation,
    pub(super) systems: Systems,
    /// How many segments are shown in detail.
    pub(super) detailed: usize,
}

impl Draft<'_> {
    pub(super) fn warn(&mut self, text: impl Into<String>) {
        if self.presentation.warnings.len() < MAX_TRACKS {
            self.presentation.warnings.push(text.into());
        }
    }

    /// The index of a key.
    pub(super) fn key(&mut self, kid: String) -> usize {
        let keys = &mut self.presentation.keys;
        if let Some(known) = keys.iter().position(|key| key.kid == kid) {
            return known;
        }
        keys.push(Key { kid, label: letters(keys.len()), systems: Vec::new() });
        keys.len() - 1
    }

    pub(super) fn kid(&mut self, kid: Option<Kid>) -> usize {
        self.key(kid.map_or_else(|| "key id unknown".to_owned(), |kid| kid.to_string()))
    }

    pub(super) fn source(&self, name: &str) -> Result<Box<dyn Source>> {
        self.store.open(name).map_err(|error| error.at(name))
    }

    pub(super) fn finish(self) -> Presentation {
        let Self { mut presentation, systems, .. } = self;
        let tracks = &mut presentation.tracks;
        let starts = tracks.iter().flat_map(|track| track.segments.first()).map(|segment| segment.start);
        let start = starts.fold(f64::INFINITY, f64::min);
        let start = if start.is_finite() { start } else { 0.0 };
        let mut end: f64 = 0.0;
        for segment in tracks.iter_mut().flat_map(|track| &mut track.segments) {
            segment.start -= start;
            segment.detail.iter_mut().for_each(|sample| sample.time -= start);
            end = end.max(segment.start + segment.duration);
        }
        presentation.duration = end;
        for key in &mut presentation.keys {
            key.systems = systems.of(&key.kid);
        }
        presentation
    }
}

/// A, B, …, Z, AA, AB, …
fn letters(mut index: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ".get(index % 26).copied().unwrap_or(b'A')));
        match (index / 26).checked_sub(1) {
            Some(next) => index = next,
            None => break,
        }
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::letters;

    #[test]
    fn every_key_has_letters_of_its_own() {
        assert_eq!([0, 25, 26, 701, 702].map(letters), ["A", "Z", "AA", "ZZ", "AAA"]);
    }
}
