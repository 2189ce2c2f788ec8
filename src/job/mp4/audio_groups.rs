//! The groups of audio in a multivariant playlist — RFC 8216bis §4.4.6.1.1.

use crate::base::Result;
use crate::codec::TrackKind;
use crate::package::{MediaTrack, TrackId};

use super::timed::Timed;

/// Audio of one codec and channel layout in one group, with what there is in another form only; two qualities of the same
/// go to groups of their own.
pub(super) struct AudioGroup<'a, 'b> {
    pub(super) id: String,
    /// Whether the operator names it, who knows what is in it.
    is_named: bool,
    pub(super) codecs: Vec<String>,
    pub(super) tracks: Vec<&'a Timed<'b>>,
}

impl<'a, 'b> AudioGroup<'a, 'b> {
    /// Whether a track of this codec belongs to it.
    fn takes(&self, written: &Timed<'_>, codec: &str) -> bool {
        let described = &written.track.described;
        if let Some(id) = &described.group {
            return self.id == *id;
        }
        let is_other = |known: &&Timed<'_>| {
            channels(known.track.media) == channels(written.track.media)
                && !known.track.described.is_same_choice(described)
        };
        !self.is_named && self.codecs == [codec] && self.tracks.iter().all(is_other)
    }

    fn add(&mut self, written: &'a Timed<'b>, codec: String) {
        self.tracks.push(written);
        if !self.codecs.contains(&codec) {
            self.codecs.push(codec);
        }
    }

    /// The index of what is played when nobody chooses.
    pub(super) fn default(&self) -> usize {
        self.tracks.iter().position(|written| written.track.described.is_default).unwrap_or(0)
    }

    /// Whether that is this track.
    pub(super) fn has_default(&self, written: &Timed<'_>) -> bool {
        self.tracks.get(self.default()).is_some_and(|default| default.track.id == written.track.id)
    }
}

/// The groups of all audio, in the order of their first tracks.
///
/// # Errors
/// When a codec cannot be named.
pub(super) fn audio_groups<'a, 'b>(tracks: &'a [Timed<'b>]) -> Result<Vec<AudioGroup<'a, 'b>>> {
    let is_named = |id: &str| audio(tracks).any(|one| one.track.described.group.as_deref() == Some(id));
    let mut free = (1..).map(|number| format!("audio{number}")).filter(|id| !is_named(id));
    let mut groups: Vec<AudioGroup<'a, 'b>> = Vec::new();
    for written in audio(tracks) {
        let codec = written.track.media.rfc6381()?;
        match groups.iter_mut().find(|group| group.takes(written, &codec)) {
            Some(group) => group.add(written, codec),
            None => {
                let named = written.track.described.group.clone();
                let is_named = named.is_some();
                let id = named.or_else(|| free.next()).unwrap_or_default();
                groups.push(AudioGroup { id, is_named, codecs: vec![codec], tracks: vec![written] });
            }
        }
    }
    complete(&mut groups)?;
    Ok(groups)
}

/// Groups of one type have the same members: what there is in one form only is in all of them, but for those that the
/// operator names.
fn complete(groups: &mut Vec<AudioGroup<'_, '_>>) -> Result<()> {
    let own = groups.iter().filter(|group| !group.is_named);
    let all: Vec<_> = own.flat_map(|group| group.tracks.iter().copied()).collect();
    for group in groups.iter_mut().filter(|group| !group.is_named) {
        for written in &all {
            let is_same = |known: &&Timed<'_>| known.track.described.is_same_choice(&written.track.described);
            if !group.tracks.iter().any(is_same) {
                group.add(written, written.track.media.rfc6381()?);
            }
        }
    }
    // One that now has the members of another would say every variant twice.
    let mut known: Vec<Vec<TrackId>> = Vec::new();
    groups.retain(|group| {
        let mut members: Vec<_> = group.tracks.iter().map(|written| written.track.id).collect();
        members.sort_unstable();
        let is_new = group.is_named || !known.contains(&members);
        known.push(members);
        is_new
    });
    Ok(())
}

/// Whether there is audio that is not the same in another quality.
pub(super) fn has_choice(tracks: &[Timed<'_>]) -> bool {
    let first = audio(tracks).next();
    let is_other = |one: &Timed<'_>| {
        first.is_some_and(|first| !first.track.described.is_same_choice(&one.track.described))
    };
    audio(tracks).any(is_other)
}

/// The first track of any group that is the same choice: what is the same has one name in all groups.
pub(super) fn first_of(groups: &[&AudioGroup<'_, '_>], written: &Timed<'_>) -> TrackId {
    let mut all = groups.iter().flat_map(|group| &group.tracks).map(|known| known.track);
    let same = all.find(|known| known.described.is_same_choice(&written.track.described));
    same.map_or(written.track.id, |known| known.id)
}

fn audio<'a, 'b>(tracks: &'a [Timed<'b>]) -> impl Iterator<Item = &'a Timed<'b>> {
    tracks.iter().filter(|written| written.track.id.kind == TrackKind::Audio)
}

/// `CHANNELS`: §4.4.6.1; of objects beside channels it tells their number, and what they are coded with.
pub(super) fn channels(media: &MediaTrack) -> Option<String> {
    match media.joint_objects() {
        Some(objects) => Some(format!("{objects}/JOC")),
        None => media.channels().map(|channels| channels.to_string()),
    }
}
