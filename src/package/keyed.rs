//! The key of each track in each crypto period, and what is known of it — DASH-IF CPIX 2.3 §4.

use std::collections::HashSet;

use crate::base::{Error, Kid, Result};
use crate::codec::TrackKind;
use crate::cpix::usage::{Media, Strictness, Track, resolve};
use crate::cpix::{ContentKey, Document, DrmSystem};
use crate::keys::check;

use super::assignment::{Assignment, KeyPurpose, Substream};

/// Keys that came from a key source, checked, and who has them.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// The keys and what is signaled about them.
    pub document: Document,
    /// For each crypto period the key id of each substream.
    pub kids: Vec<Vec<Kid>>,
}

impl Keyed {
    /// The answer of a source that was asked for the keys of an assignment, period by period.
    ///
    /// # Errors
    /// When the answer is not what was asked for.
    pub fn asked(request: &Document, answer: Document, keys: &Assignment, periods: usize) -> Result<Self> {
        let document = check(request, answer)?;
        let purposes = keys.keys.len().max(1);
        let kid = |period: usize, purpose: usize| {
            let key = document.content_keys.get(period * purposes + purpose);
            key.map(|key| key.kid).ok_or_else(|| Error::keys(format!("no key for crypto period {period}")))
        };
        let of_period =
            |period| keys.key_of.iter().map(|purpose| kid(period, *purpose)).collect::<Result<Vec<_>>>();
        let kids = (0..periods.max(1)).map(of_period).collect::<Result<_>>()?;
        Ok(Self { document, kids })
    }

    /// The keys that the rules of a document chose, with what each system is told about them; `wanted` says what is
    /// asked for of a key.
    ///
    /// # Errors
    /// When a key is missing, or is for another scheme or IV than is asked for.
    pub fn chosen(document: &Document, kids: Vec<Vec<Kid>>, wanted: &Wants<'_>) -> Result<Self> {
        let mut used = HashSet::new();
        let mut asked = Document { content_id: document.content_id.clone(), ..Document::default() };
        for kid in kids.iter().flatten().copied().filter(|kid| used.insert(*kid)) {
            let (key, systems) = wanted(kid);
            asked.content_keys.push(key);
            asked.drm_systems.extend(systems);
        }
        let answer = Document {
            content_keys: of(&document.content_keys, |key| used.contains(&key.kid)),
            drm_systems: of(&document.drm_systems, |system| used.contains(&system.kid)),
            ..Document::default()
        };
        Ok(Self { document: check(&asked, answer)?, kids })
    }
}

/// What is asked for of a key.
pub type Wants<'a> = dyn Fn(Kid) -> (ContentKey, Vec<DrmSystem>) + 'a;

fn of<T: Clone>(all: &[T], is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().filter(|one| is_wanted(one)).cloned().collect()
}

/// Finds the key of each substream in each of these key periods by the rules of a document; `None` is no period.
/// Gives what the user should know as well, each thing once.
///
/// # Errors
/// When no rule is for a substream, or several are (in [`Strictness::Cpix`]).
pub fn choose(
    document: &Document,
    strictness: Strictness,
    substreams: &[Substream],
    periods: &[Option<String>],
) -> Result<(Vec<Vec<Kid>>, Vec<String>)> {
    let mut kids = Vec::with_capacity(periods.len());
    let mut warnings: Vec<String> = Vec::new();
    for period in periods {
        let tracks: Vec<_> = substreams.iter().map(|substream| track(substream, period.clone())).collect();
        let found = resolve(document, &tracks, strictness).map_err(|error| match period {
            Some(period) => error.at(format_args!("key period {period:?}")),
            None => error,
        })?;
        kids.push(found.kids);
        let new: Vec<_> = found.warnings.into_iter().filter(|warning| !warnings.contains(warning)).collect();
        warnings.extend(new);
    }
    Ok((kids, warnings))
}

fn track(substream: &Substream, period: Option<String>) -> Track {
    let media = match substream.kind {
        TrackKind::Video => {
            Media::Video { pixels: substream.pixels, hdr: None, wcg: None, fps: substream.frame_rate }
        }
        TrackKind::Audio => Media::Audio { channels: substream.channels },
        TrackKind::Text => Media::Other,
    };
    let labels = std::iter::once(substream.id.clone()).chain(substream.labels.iter().cloned()).collect();
    Track { name: substream.id.clone(), media, bitrate: substream.bitrate, labels, period }
}

impl Assignment {
    /// The assignment that key ids are: tracks that have the same in every period share a key.
    pub fn of(kids: &[Vec<Kid>], substreams: &[Substream]) -> Self {
        let mut assignment = Self::default();
        let mut known: Vec<Vec<Kid>> = Vec::new();
        for number in 0..substreams.len() {
            let own: Vec<Kid> = kids.iter().filter_map(|period| period.get(number).copied()).collect();
            let place = known.iter().position(|other| *other == own).unwrap_or(known.len());
            if place == known.len() {
                assignment.keys.push(KeyPurpose {
                    id: None,
                    track_type: String::new(),
                    video: None,
                    audio: None,
                });
                known.push(own);
            }
            assignment.key_of.push(place);
        }
        assignment
    }
}
