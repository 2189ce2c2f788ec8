//! What playlists name besides MP4 samples: segments encrypted whole, transport streams, packed audio, text —
//! RFC 8216bis §3.1, §4.4.4, §5.2.

use crate::hls::{AES_128, IDENTITY, Key, SAMPLE_AES};
use crate::presentation::{Content, MediaPlaylist, Presentation, Resource};
use crate::protect::Aes128;

/// What protects the segments of a playlist, if anything does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Each is encrypted whole, whatever it carries.
    Whole,
    /// Samples of transport streams and packed audio are.
    Samples,
    /// They are text, which stays clear.
    Never,
}

impl Protection {
    /// `METHOD` of its keys.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Whole => AES_128,
            Self::Samples => SAMPLE_AES,
            Self::Never => "NONE",
        }
    }
}

/// A map, segment or partial segment: a file or a byte range of one.
#[derive(Clone, Copy)]
pub(super) struct Piece<'r> {
    pub(super) resource: &'r Resource,
    /// The segment that it lies inside of, when it is no segment by itself.
    pub(super) inside: Option<&'r Resource>,
}

/// What deciphers a piece: the same text for the same keys and IVs.
pub(super) fn identity(resource: &Resource) -> String {
    let of_sequence = Aes128::iv_of_media_sequence_number(resource.sequence);
    let key = |key: &Key| {
        let iv = key.iv().unwrap_or_default().or_else(|| (key.key_format == IDENTITY).then_some(of_sequence));
        format!("{} {:?} {:?} {iv:?}\n", key.method, key.uri, key.key_id)
    };
    resource.keys.iter().map(key).collect()
}

/// A media playlist of pieces.
pub(super) struct PiecePlaylist<'r> {
    pub(super) media: &'r MediaPlaylist,
    pub(super) protection: Protection,
    /// In the order of lines.
    pub(super) pieces: Vec<Piece<'r>>,
}

impl PiecePlaylist<'_> {
    /// Whether its segments are sound alone.
    pub(super) fn is_audio(&self) -> bool {
        self.media.content == Content::Audio
    }

    /// Whether any piece stands under a key.
    pub(super) fn is_protected(&self) -> bool {
        self.protection != Protection::Never
            && self.pieces.iter().any(|piece| !piece.resource.keys.is_empty())
    }
}

/// Everything that a media playlist names and that is to be there, with the segments of all playlists that pieces lie
/// inside of. One that is encrypted whole is deciphered from its beginning on or in a wider range (RFC 8216bis
/// §6.3.6), so that only a file as a whole holds others then.
pub(super) fn pieces<'r>(
    read: &'r Presentation,
    media: &'r MediaPlaylist,
    protection: Protection,
) -> Vec<Piece<'r>> {
    let piece = |resource: &'r Resource| {
        let holder = resource.inside.filter(|_| resource.range.is_some()).and_then(|id| read.resource(id));
        let holds = |holder: &&Resource| holder.range.is_none() || protection == Protection::Samples;
        Piece { resource, inside: holder.filter(holds) }
    };
    media.present().map(piece).collect()
}
