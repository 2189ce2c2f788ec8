//! Kinds of manifest, and how large one may be.

/// A kind of manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// RFC 8216bis playlists.
    Hls,
    /// ISO/IEC 23009-1 media presentation description.
    Dash,
}

/// Largest playlist or XML document in bytes: one of a day's segments, each with its date, is some megabytes.
pub const MAX_DOCUMENT_BYTES: usize = 8 << 20;
