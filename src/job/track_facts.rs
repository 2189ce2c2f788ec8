//! What the operator says of tracks: `ID:KEY=VALUE,…` with the ids that `plan` prints.

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result};
use crate::package::EncryptedTrack;

/// What the operator says of a track. Usage rules of keys ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackFacts {
    /// Its id, such as `v1`.
    pub id: String,
    /// What it is labeled with.
    #[serde(default)]
    pub label: Option<String>,
    /// Bits in a second.
    #[serde(default)]
    pub bandwidth: Option<u64>,
}

impl TrackFacts {
    /// Reads `ID:KEY=VALUE,…`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for another form or key.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            Error::usage(format!("track {text:?}: {what}"))
                .hint("the form is ID:KEY=VALUE,… with label and bandwidth, ids are those that plan prints")
        };
        let (id, facts) = text.split_once(':').ok_or_else(|| wrong("no colon behind an id".into()))?;
        let mut all = Self { id: id.trim().to_owned(), ..Self::default() };
        for fact in facts.split(',') {
            let (key, value) = fact.split_once('=').ok_or_else(|| wrong(format!("{fact:?} has no =")))?;
            match (key.trim(), value.trim()) {
                (key, "") => return Err(wrong(format!("{key} has no value"))),
                ("label", value) => all.label = Some(value.to_owned()),
                ("bandwidth", value) => {
                    let bits =
                        value.parse().map_err(|_| wrong(format!("bandwidth {value:?} is no number")))?;
                    all.bandwidth = Some(bits);
                }
                (key, _) => return Err(wrong(format!("{key:?} is not known"))),
            }
        }
        Ok(all)
    }
}

/// Adds what the operator says to what is known of tracks.
///
/// # Errors
/// When there is no track of an id.
pub(super) fn apply(facts: &[TrackFacts], encrypted_tracks: &mut [EncryptedTrack]) -> Result<()> {
    for TrackFacts { id, label, bandwidth } in facts {
        let known: Vec<_> =
            encrypted_tracks.iter().map(|encrypted_track| encrypted_track.id.to_string()).collect();
        let encrypted_track = encrypted_tracks
            .iter_mut()
            .find(|encrypted_track| encrypted_track.id.to_string() == *id)
            .ok_or_else(|| {
                Error::usage(format!("there is no track {id:?} to protect, there are {}", known.join(", ")))
            })?;
        encrypted_track.labels.extend(label.clone());
        encrypted_track.bitrate = bandwidth.or(encrypted_track.bitrate);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::TrackKind;
    use crate::package::TrackId;

    #[test]
    fn facts_are_read_and_go_to_their_track() {
        let facts =
            ["v1:label=main,bandwidth=5", "a1:label=Deutsch"].map(|text| TrackFacts::parse(text).unwrap());
        let mut tracks =
            [TrackKind::Video, TrackKind::Audio].map(|kind| EncryptedTrack::new(TrackId::new(kind, 1)));
        apply(&facts, &mut tracks).unwrap();
        assert_eq!((tracks[0].labels.as_slice(), tracks[0].bitrate), (&["main".to_owned()][..], Some(5)));
        assert_eq!(tracks[1].labels, ["Deutsch"]);
        let other = [TrackFacts { id: "v2".into(), ..TrackFacts::default() }];
        assert!(apply(&other, &mut tracks).unwrap_err().to_string().contains("there are v1, a1"));
        for text in ["v1", "v1:label", "v1:label=", "v1:color=red", "v1:bandwidth=much"] {
            assert!(TrackFacts::parse(text).is_err(), "{text}");
        }
    }
}
