//! What playlists name besides MP4 samples: segments encrypted whole, transport streams, packed audio, text —
//! RFC 8216bis §3.1, §4.4.4, §5.2.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::base::Result;
use crate::base::env::Store;
use crate::hls::{AES_128, Key, KeysInForce, Named, NamedKind, Playlist, SAMPLE_AES, media, named};
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
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) kind: NamedKind,
    /// Its place among those of its kind in the playlist, missing ones counted.
    pub(super) number: usize,
    /// Index of the line.
    pub(super) line: usize,
    pub(super) file: String,
    pub(super) range: Option<Range<u64>>,
    pub(super) key: PieceKey,
    /// The key of the segment that it lies inside of, when it is no segment by itself.
    pub(super) inside: Option<PieceKey>,
}

/// The keys in force for a piece.
#[derive(Clone, Debug)]
pub(super) struct PieceKey {
    pub(super) keys: Arc<[Key]>,
    /// The media sequence number, which gives an IV that is not written: §5.2.
    pub(super) sequence: u64,
}

impl PieceKey {
    /// What deciphers: the same text for the same keys and IVs.
    pub(super) fn identity(&self) -> String {
        let of_sequence = Aes128::iv_of_media_sequence_number(self.sequence);
        let key = |key: &Key| {
            let iv = key.iv.or_else(|| (key.key_format == "identity").then_some(of_sequence));
            format!("{} {:?} {:?} {iv:?}\n", key.method, key.uri, key.key_id)
        };
        self.keys.iter().map(key).collect()
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.range.as_ref().map_or(Ok(()), |range| write!(f, ": bytes {}..{}", range.start, range.end))
    }
}

/// A media playlist of pieces.
pub(super) struct PiecePlaylist {
    pub(super) name: String,
    pub(super) playlist: Playlist,
    pub(super) protection: Protection,
    /// Whether its segments are sound alone.
    pub(super) is_audio: bool,
    /// In the order of lines.
    pub(super) pieces: Vec<Piece>,
}

impl PiecePlaylist {
    /// Whether any piece stands under a key.
    pub(super) fn is_protected(&self) -> bool {
        self.protection != Protection::Never && self.pieces.iter().any(|piece| !piece.key.keys.is_empty())
    }
}

/// Everything that a media playlist names and that is to be there.
pub(super) fn pieces(store: &dyn Store, name: &str, playlist: &Playlist) -> Result<Vec<Piece>> {
    let keys = media::keys(playlist)?;
    let mut in_force = KeysInForce::new(&keys);
    let piece = |Named { kind, number, line, uri, byte_range: range, sequence }| {
        let key = PieceKey { keys: in_force.at(line), sequence };
        Ok(Piece { kind, number, line, file: store.refer(name, &uri)?, range, key, inside: None })
    };
    named(playlist)?.into_iter().map(piece).collect()
}

/// The segments of all playlists so far, by file and range: what I-frames and partial segments lie inside of.
#[derive(Default)]
pub(super) struct Holders(HashMap<String, BTreeMap<Option<(u64, u64)>, PieceKey>>);

impl Holders {
    /// Whether segments lie in this file.
    pub(super) fn has(&self, file: &str) -> bool {
        self.0.contains_key(file)
    }

    /// Notes the segments of a playlist, and which pieces are no segments by themselves: those of an I-frame
    /// playlist (§4.4.3.6), and byte ranges of partial segments (§4.4.4.9).
    pub(super) fn place(&mut self, pieces: &mut [Piece], protection: Protection, is_i_frames: bool) {
        let is_own = |piece: &Piece| piece.kind != NamedKind::Part && !is_i_frames;
        for piece in pieces.iter().filter(|piece| is_own(piece)) {
            let range = piece.range.as_ref().map(|range| (range.start, range.end));
            let parts = self.0.entry(piece.file.clone()).or_default();
            parts.entry(range).or_insert_with(|| piece.key.clone());
        }
        for piece in pieces.iter_mut().filter(|piece| !is_own(piece)) {
            piece.inside = self.holder(piece, protection).cloned();
        }
    }

    /// The segment that has this piece within it. One that is encrypted whole is deciphered from its beginning on or
    /// in a wider range (§6.3.6), so that only a file as a whole holds others then.
    fn holder(&self, piece: &Piece, protection: Protection) -> Option<&PieceKey> {
        let (parts, range) = (self.0.get(&piece.file)?, piece.range.as_ref()?);
        if let Some(whole) = parts.get(&None) {
            return Some(whole);
        }
        let (known, key) = parts.range(..=Some((range.start, u64::MAX))).next_back()?;
        let holds = known.is_some_and(|(_, end)| range.end <= end);
        (holds && protection == Protection::Samples).then_some(key)
    }
}
