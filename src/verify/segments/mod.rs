//! What playlists name besides MP4 samples: segments encrypted whole, transport streams, packed audio, text —
//! RFC 8216bis §3.1, §4.4.4, §5.2.

pub(super) mod elementary;
pub(super) mod hls;
pub(super) mod packets;
pub(super) mod run;
pub(super) mod stream_segment;
mod times;
pub(super) mod whole_segment;

use crate::hls::{AES_128, IDENTITY, Key, SAMPLE_AES};
use crate::presentation::{Content, MediaPlaylist, Presentation, Resource};
use crate::protect::Aes128;

/// What protects the segments of a playlist, if anything does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verify) enum Protection {
    /// Each is encrypted whole, whatever it carries.
    Whole,
    /// Samples of transport streams and packed audio are.
    Samples,
    /// They are text, which stays clear.
    Never,
}

impl Protection {
    /// `METHOD` of its keys.
    pub(in crate::verify) fn method(self) -> &'static str {
        match self {
            Self::Whole => AES_128,
            Self::Samples => SAMPLE_AES,
            Self::Never => "NONE",
        }
    }
}

/// A map, segment or partial segment: a file or a byte range of one.
#[derive(Clone, Copy)]
pub(in crate::verify) struct SegmentRef<'r> {
    pub(in crate::verify) resource: &'r Resource,
    /// The segment that it lies inside of, when it is no segment by itself.
    pub(in crate::verify) inside: Option<&'r Resource>,
}

/// What decrypts a piece: the same text for the same keys and IVs.
pub(in crate::verify) fn identity(resource: &Resource) -> String {
    let of_sequence = Aes128::iv_of_media_sequence_number(resource.sequence);
    let key = |key: &Key| {
        let iv = key.iv().unwrap_or_default().or_else(|| (key.key_format == IDENTITY).then_some(of_sequence));
        format!("{} {:?} {:?} {iv:?}\n", key.method, key.uri, key.key_id)
    };
    resource.keys.iter().map(key).collect()
}

/// A media playlist of pieces.
pub(in crate::verify) struct SegmentPlaylist<'r> {
    pub(in crate::verify) media: &'r MediaPlaylist,
    pub(in crate::verify) protection: Protection,
    /// In the order of lines.
    pub(in crate::verify) segments: Vec<SegmentRef<'r>>,
}

impl SegmentPlaylist<'_> {
    /// Whether its segments are audio alone.
    pub(in crate::verify) fn is_audio(&self) -> bool {
        self.media.content == Content::Audio
    }

    /// Whether any piece stands under a key.
    pub(in crate::verify) fn is_protected(&self) -> bool {
        self.protection != Protection::Never
            && self.segments.iter().any(|segment| !segment.resource.keys.is_empty())
    }
}

/// Everything that a media playlist names and that is to be there, with the segments of all playlists that pieces lie
/// inside of. One that is encrypted whole is decrypted from its beginning on or in a wider range (RFC 8216bis
/// §6.3.6), so that only a file as a whole holds others then.
pub(in crate::verify) fn segments<'r>(
    read: &'r Presentation,
    media: &'r MediaPlaylist,
    protection: Protection,
) -> Vec<SegmentRef<'r>> {
    let segment = |resource: &'r Resource| {
        let parent_segment =
            resource.inside.filter(|_| resource.range.is_some()).and_then(|id| read.resource(id));
        let holds =
            |parent_segment: &&Resource| parent_segment.range.is_none() || protection == Protection::Samples;
        SegmentRef { resource, inside: parent_segment.filter(holds) }
    };
    media.present().map(segment).collect()
}
