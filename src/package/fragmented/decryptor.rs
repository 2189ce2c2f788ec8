//! The inverse of protection — ISO/IEC 23001-7: samples decrypted, boxes of protection removed.
//!
//! A file whose samples stand in fragments is written anew without the boxes of protection. In a file whose
//! samples stand in the tables of `moov` nothing moves: a `free` box takes the place of what `moov` loses,
//! so that every offset in the file stays true, and the samples are decrypted where they lie. Auxiliary
//! information inside `mdat` stays as bytes that nothing points at.

use crate::base::env::Source;
use crate::base::{Error, KeyStore, Result};
use crate::codec::TrackMarks;
use crate::drm::{Pssh, is_refuted};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Sgpd, Trun};
use crate::isobmff::file::{BoxHeader, moov as read_moov};
use crate::isobmff::fragment::TrackFragment;
use crate::isobmff::track::tracks;
use crate::protect::{protected_entry, protection_box, remove_pssh, unprotect_moov, unprotect_traf};

use super::auxiliary::AuxiliaryInformation;
use super::rewrite::{Changed, FragmentEdit, no_fragment};
use super::sample_decryption::{EncryptedTrack, Groups, Proving, SampleDecryption, check_said_clear};
use crate::package::cmaf::media_data::{decrypt_media_data, has_samples};
use crate::package::proofs::Proofs;

/// Decrypts the protected tracks of a file.
pub struct SegmentDecryptor<'a> {
    source: &'a dyn Source,
    key_store: &'a dyn KeyStore,
    tracks: Vec<EncryptedTrack>,
    /// `moov` as it was, when samples stand in it.
    tables: Option<BoxNode>,
    /// The marks of the samples of each track.
    marks: Vec<TrackMarks>,
    proofs: Proofs,
}

impl<'a> SegmentDecryptor<'a> {
    /// An edit of this file, which finds its tracks in the file itself.
    pub fn new(source: &'a dyn Source, key_store: &'a dyn KeyStore) -> Self {
        let (tracks, marks) = (Vec::new(), Vec::new());
        Self { source, key_store, tracks, tables: None, marks, proofs: Proofs::default() }
    }

    /// An edit of a segment whose init segment has this `moov`.
    ///
    /// # Errors
    /// When a box is wrong or a scheme is not supported.
    pub fn with_init(moov: &BoxNode, source: &'a dyn Source, key_store: &'a dyn KeyStore) -> Result<Self> {
        let mut edit = Self::new(source, key_store);
        edit.set_tracks(moov)?;
        Ok(edit)
    }

    /// What the samples that were decrypted show of their keys.
    pub fn proofs(&self) -> &Proofs {
        &self.proofs
    }

    fn set_tracks(&mut self, moov: &BoxNode) -> Result<()> {
        let tracks = encrypted_tracks(moov)?;
        self.marks = tracks.iter().map(EncryptedTrack::marks).collect();
        let boxes: Vec<_> = moov.all(b"pssh").filter_map(|node| Pssh::parse(&node.to_bytes()).ok()).collect();
        for protected in tracks.iter().flat_map(|track| track.entries.iter().flatten()) {
            let kid = protected.tenc.default_kid;
            if is_refuted(&boxes, (kid, protected.scheme()?), self.key_store) {
                self.proofs.refute(kid);
            }
        }
        self.tracks = tracks;
        Ok(())
    }

    /// Decrypts the samples of one `traf`; `track` is the place of its track among those that are encrypted.
    fn traf(
        &mut self,
        track: usize,
        traf: &BoxNode,
        fragment: &TrackFragment,
        data: &mut [u8],
        data_position: u64,
    ) -> Result<()> {
        let runs = traf.all(b"trun").map(|trun| {
            Trun::parse(trun.payload())
                .map_or(0, |trun| u32::try_from(trun.samples.len()).unwrap_or(u32::MAX))
        });
        let auxiliary = AuxiliaryInformation::find(&[traf], self.source, fragment.auxiliary_base, runs)?;
        let count = u32::try_from(fragment.samples.len()).unwrap_or(u32::MAX);
        let (Some(track), Some(marks)) = (self.tracks.get(track), self.marks.get_mut(track)) else {
            return Err(Error::internal(format!("no track of number {track} to decrypt")));
        };
        let groups = Groups::of(traf, track)?;
        let proving = Proving { marks, proofs: &mut self.proofs };
        let mut decryption = SampleDecryption::new(track, self.key_store, auxiliary, groups, count, proving);
        for (index, sample) in fragment.samples.iter().enumerate() {
            let start = usize::try_from(sample.position.saturating_sub(data_position)).unwrap_or(usize::MAX);
            let bytes = data.get_mut(start..start.saturating_add(sample.size as usize));
            let bytes = bytes.ok_or_else(|| Error::internal("a sample outside its mdat"))?;
            decryption
                .sample(sample.sample_description_index, bytes)
                .map_err(|error| error.at(format_args!("sample {}", index + 1)))?;
        }
        decryption.finish()?;
        let is_clear = !fragment.samples.is_empty() && !decryption.has_encrypted;
        protection_box(traf).filter(|_| is_clear).map_or(Ok(()), |found| check_said_clear(traf, found))
    }
}

/// A fragment of a track that is clear says nothing of encryption: else it would pass for decrypted and is not.
fn check_clear(traf: &BoxNode, fragment: &TrackFragment) -> Result<()> {
    let Some(found) = protection_box(traf) else { return Ok(()) };
    Err(Error::input(format!(
        "a box {} says that samples are encrypted, but moov has no encrypted track {}",
        found.kind, fragment.track_id
    ))
    .clause("ISO/IEC 23001-7 §4, §7")
    .hint("give the initialization segment that the media was encrypted with: init.mp4 before 1.m4s"))
}

fn encrypted_tracks(moov: &BoxNode) -> Result<Vec<EncryptedTrack>> {
    let mut found = Vec::new();
    for (index, (track, trak)) in tracks(moov)?.into_iter().zip(moov.all(b"trak")).enumerate() {
        let at = |error: Error| error.at(format_args!("track {}", track.track_id));
        let entries: Vec<_> =
            track.sample_entries.iter().map(protected_entry).collect::<Result<_>>().map_err(at)?;
        for entry in entries.iter().flatten() {
            entry.scheme().map_err(at)?;
        }
        if entries.iter().any(Option::is_some) {
            let stbl = trak.require(&[b"mdia", b"minf", b"stbl"]).map_err(at)?;
            let groups = Sgpd::of(stbl).map_err(at)?;
            let clear_entries = track.sample_entries.iter().zip(&entries).map(|(entry, protected)| {
                let mut clear = entry.clone();
                clear.format = protected.as_ref().map_or(clear.format, |protected| protected.original_format);
                clear.boxes.retain(|node| !node.is(b"sinf"));
                clear
            });
            let clear_entries = clear_entries.collect();
            found.push(EncryptedTrack {
                track_id: track.track_id,
                trak: index,
                entries,
                clear_entries,
                groups,
            });
        }
    }
    Ok(found)
}

impl FragmentEdit for SegmentDecryptor<'_> {
    fn moov(&mut self, moov: &mut BoxNode) -> Result<()> {
        self.set_tracks(moov)?;
        let length = moov.len();
        if has_samples(moov) && self.tables.is_none() {
            self.tables = Some(moov.clone());
        }
        for track in &self.tracks {
            unprotect_moov(moov, track.track_id)?;
        }
        remove_pssh(moov);
        let lost = length - moov.len();
        if let Some(free) = lost.checked_sub(8).filter(|_| self.tables.is_some()) {
            moov.push(BoxNode::data(b"free", vec![0; free]));
        }
        Ok(())
    }

    fn fragment(
        &mut self,
        moof: &mut BoxNode,
        fragments: &[TrackFragment],
        data: &mut [u8],
        data_position: u64,
    ) -> Result<Changed> {
        let mut changed = Changed::No;
        for (index, (traf, fragment)) in moof.all_mut(b"traf").zip(fragments).enumerate() {
            let track = self.tracks.iter().position(|track| track.track_id == fragment.track_id);
            let Some(track) = track else {
                check_clear(traf, fragment).map_err(|error| error.at(format_args!("traf {}", index + 1)))?;
                continue;
            };
            self.traf(track, traf, fragment, data, data_position)
                .map_err(|error| error.at(format_args!("traf {}", index + 1)))?;
            unprotect_traf(traf);
            changed = Changed::Yes;
        }
        let length = moof.len();
        remove_pssh(moof);
        Ok(if moof.len() == length { changed } else { Changed::Yes })
    }

    fn media_data(
        &mut self,
        mdat: &BoxHeader,
        source: &dyn Source,
        write: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let moov = match self.tables.take() {
            Some(moov) => moov,
            None => read_moov(source).map_err(|_| no_fragment(mdat))?,
        };
        if !has_samples(&moov) {
            return Err(no_fragment(mdat));
        }
        let tracks = encrypted_tracks(&moov)?;
        if self.marks.len() != tracks.len() {
            self.marks = tracks.iter().map(EncryptedTrack::marks).collect();
        }
        let proofs =
            decrypt_media_data(&moov, (&tracks, &mut self.marks), self.key_store, mdat, source, write)?;
        self.proofs.merge(&proofs);
        self.tables = Some(moov);
        Ok(())
    }
}
