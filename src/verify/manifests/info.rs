//! What was read of the media, for the checks of manifests — RFC 8216bis, ISO/IEC 23009-1.

use std::collections::HashMap;
use std::ops::Range;

use crate::base::{KeyStore, Kid};
use crate::drm::{KeyUse, Pssh};
use crate::protect::Scheme;

use crate::verify::findings::Findings;
use crate::verify::fragmented::file::{FileInfo, FragmentFact};
use crate::verify::fragmented::init::Init;
use crate::verify::fragmented::unread::UnreadBoxes;

/// What is known of the media, for the checks of manifests.
pub(in crate::verify) struct PresentationInfo<'a> {
    pub(in crate::verify) inits: &'a [Option<InitInfo>],
    pub(in crate::verify) files: HashMap<String, FileInfo>,
    /// Whether a fragment stands under another key than that of its `tenc`.
    pub(in crate::verify) rotated: bool,
    pub(in crate::verify) key_store: Option<&'a dyn KeyStore>,
}

/// An init segment and its `pssh` boxes.
pub(in crate::verify) struct InitInfo {
    /// Its file.
    pub(in crate::verify) name: String,
    pub(in crate::verify) init: Init,
    pub(in crate::verify) pssh: Vec<Pssh>,
    /// Boxes of more than padding and notes that nobody reads.
    pub(in crate::verify) unread: UnreadBoxes,
}

impl PresentationInfo<'_> {
    /// The initialization segment of a rendition.
    pub(super) fn init(&self, rendition: usize) -> Option<&InitInfo> {
        self.inits.get(rendition)?.as_ref()
    }

    /// The scheme of a rendition and its key, unless keys stand in the fragments only.
    pub(in crate::verify) fn protection(&self, rendition: usize) -> Option<(&'static Scheme, Option<Kid>)> {
        let protection = self.init(rendition)?.init.protection()?;
        let kid = protection.tenc.default_kid;
        Some((protection.scheme, Some(kid).filter(|kid| *kid.bytes() != [0; 16])))
    }

    /// Whether keys change in the presentation, or fragments of a rendition have other keys than its `tenc`.
    pub(in crate::verify) fn is_rotated(&self, rendition: usize) -> bool {
        let kid = self.protection(rendition).and_then(|(_, kid)| kid);
        let keys = self.keys(rendition);
        self.rotated || keys.is_empty() || kid.is_none_or(|kid| keys.iter().any(|(other, _)| *other != kid))
    }

    /// The keys of a rendition's `tenc` boxes.
    pub(in crate::verify) fn keys(&self, rendition: usize) -> Vec<KeyUse<'static>> {
        self.init(rendition).map_or_else(Vec::new, |facts| facts.init.keys())
    }

    /// The facts of a file.
    pub(in crate::verify) fn file(&self, name: &str) -> Option<&FileInfo> {
        self.files.get(name)
    }

    /// The scheme and keys of the fragments in a segment; `None` when they are clear or not there.
    pub(in crate::verify) fn segment(
        &self,
        rendition: usize,
        file: &str,
        range: Option<&Range<u64>>,
    ) -> Option<(&'static Scheme, Vec<Kid>)> {
        let (scheme, _) = self.protection(rendition)?;
        let fragments = self.fragments(file, range).iter();
        let mut kids: Vec<Kid> = fragments.filter_map(|fragment| fragment.kid).collect();
        kids.sort_unstable_by_key(|kid| *kid.bytes());
        kids.dedup();
        (!kids.is_empty()).then_some((scheme, kids))
    }

    /// The IVs that all samples of a fragment share, of the fragments in a segment.
    pub(in crate::verify) fn constant_ivs(&self, file: &str, range: Option<&Range<u64>>) -> Vec<[u8; 16]> {
        self.fragments(file, range).iter().filter_map(|fragment| fragment.constant_iv).collect()
    }

    /// The fragments in a segment.
    pub(in crate::verify) fn fragments(&self, file: &str, range: Option<&Range<u64>>) -> &[FragmentFact] {
        let fragments = self.files.get(file).map_or(&[][..], |file| &file.fragments);
        // Fragments are in the order of the file.
        let behind = |position| fragments.partition_point(|fragment| fragment.position < position);
        let inside = range.map_or(0..fragments.len(), |range| behind(range.start)..behind(range.end));
        fragments.get(inside).unwrap_or_default()
    }

    /// Ticks per second of a track's media.
    pub(in crate::verify) fn timescale(&self, rendition: usize, track_id: u32) -> Option<u32> {
        Some(self.init(rendition)?.init.track(track_id)?.timescale)
    }

    /// A byte range lies in its file, begins with a box and ends with one.
    pub(in crate::verify) fn check_range(
        &self,
        name: &str,
        range: &Range<u64>,
        place: &str,
        findings: &mut Findings,
    ) {
        let Some(file) = self.files.get(name) else { return };
        let ends = range.end == file.length || file.boxes.contains(&range.end);
        let holds = range.end <= file.length && file.boxes.contains(&range.start) && ends;
        let found = format!("bytes {}..{} of {name}", range.start, range.end);
        findings.check(
            "byte-range",
            holds,
            &place,
            &found,
            &format_args!("whole boxes of {} bytes", file.length),
        );
    }
}
