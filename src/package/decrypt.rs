//! The inverse of protection — ISO/IEC 23001-7: samples deciphered, boxes of protection removed.

use crate::base::{Error, Kid, Result, Secret};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Senc, SencEntry};
use crate::isobmff::fragment::TrackFragment;
use crate::isobmff::track::tracks;
use crate::protect::{FragmentDecryptor, Protected, protected_entry, unprotect_moov, unprotect_traf};

use super::resource::{Changed, Edit};

/// Finds the key of a key id.
pub type FindKey<'a> = dyn Fn(Kid) -> Option<Secret<16>> + Sync + 'a;

/// Decrypts the protected tracks of a file.
pub struct Decrypt<'a> {
    find_key: &'a FindKey<'a>,
    tracks: Vec<ProtectedEntries>,
}

/// One track: for each sample entry what protects it, `None` when it is clear.
struct ProtectedEntries {
    track_id: u32,
    entries: Vec<Option<(Protected, FragmentDecryptor)>>,
}

impl<'a> Decrypt<'a> {
    /// An edit that finds its tracks in the file itself.
    pub fn new(find_key: &'a FindKey<'a>) -> Self {
        Self { find_key, tracks: Vec::new() }
    }

    /// An edit of segments whose init segment has this `moov`.
    ///
    /// # Errors
    /// When a key is missing or a scheme is not supported.
    pub fn with_init(moov: &BoxNode, find_key: &'a FindKey<'a>) -> Result<Self> {
        Ok(Self { find_key, tracks: protected_tracks(moov, find_key)? })
    }

    /// Whether the init segment has protected tracks.
    pub fn is_needed(&self) -> bool {
        !self.tracks.is_empty()
    }
}

fn protected_tracks(moov: &BoxNode, find_key: &FindKey<'_>) -> Result<Vec<ProtectedEntries>> {
    let mut found = Vec::new();
    for track in tracks(moov)? {
        let entries = track
            .sample_entries
            .iter()
            .map(|entry| {
                let Some(protected) = protected_entry(entry)? else { return Ok(None) };
                let kid = protected.tenc.default_kid;
                let key = find_key(kid).ok_or_else(|| {
                    Error::keys(format!("no key for {kid}, which protects track {}", track.track_id))
                        .hint("add a line KID:KEY for it")
                })?;
                let decryptor = FragmentDecryptor::new(protected.scheme()?, protected.tenc.clone(), &key);
                Ok(Some((protected, decryptor)))
            })
            .collect::<Result<Vec<_>>>()?;
        if entries.iter().any(Option::is_some) {
            found.push(ProtectedEntries { track_id: track.track_id, entries });
        }
    }
    Ok(found)
}

impl Edit for Decrypt<'_> {
    fn moov(&mut self, moov: &mut BoxNode) -> Result<()> {
        self.tracks = protected_tracks(moov, self.find_key)?;
        for track in &self.tracks {
            unprotect_moov(moov, track.track_id)?;
        }
        moov.remove(|node| node.is(b"pssh"));
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
        for (traf, fragment) in moof.all_mut(b"traf").zip(fragments) {
            let description = fragment.samples.first().map_or(1, |sample| sample.sample_description_index);
            let entry = self
                .tracks
                .iter()
                .find(|track| track.track_id == fragment.track_id)
                .and_then(|track| track.entries.get((description as usize).checked_sub(1)?))
                .and_then(Option::as_ref);
            let Some((protected, decryptor)) = entry else { continue };
            let entries = senc_entries(traf, fragment, protected)?;
            for (index, (sample, entry)) in fragment.samples.iter().zip(&entries).enumerate() {
                let start =
                    usize::try_from(sample.position.saturating_sub(data_position)).unwrap_or(usize::MAX);
                let bytes =
                    data.get_mut(start..start.saturating_add(sample.size as usize)).unwrap_or_default();
                decryptor
                    .decrypt(bytes, entry)
                    .map_err(|error| error.at(format_args!("sample {}", index + 1)))?;
            }
            unprotect_traf(traf);
            changed = Changed::Yes;
        }
        moof.remove(|node| node.is(b"pssh"));
        Ok(changed)
    }
}

/// What `senc` says about each sample; nothing when whole samples are under a constant IV.
fn senc_entries(traf: &BoxNode, fragment: &TrackFragment, protected: &Protected) -> Result<Vec<SencEntry>> {
    let count = fragment.samples.len();
    if traf.all(b"sbgp").any(|sbgp| sbgp.payload().get(4..8) == Some(b"seig")) {
        return Err(Error::unsupported("sample groups of type seig (key rotation)").at("traf/sbgp"));
    }
    let iv_size = protected.tenc.default_per_sample_iv_size;
    let entries = match traf.find(&[b"senc"]) {
        Some(senc) => Senc::parse(senc.payload(), iv_size).map_err(|error| error.at("traf/senc"))?.entries,
        None if iv_size > 0 => {
            return Err(Error::unsupported("auxiliary information outside senc")
                .clause("ISO/IEC 23001-7 §7.2")
                .at("traf"));
        }
        None => Vec::new(),
    };
    if entries.is_empty() && iv_size == 0 {
        return Ok(vec![SencEntry::default(); count]);
    }
    if entries.len() != count {
        return Err(Error::input(format!("{} entries, the fragment has {count} samples", entries.len()))
            .clause("ISO/IEC 23001-7 §7.2")
            .at("traf/senc"));
    }
    Ok(entries)
}
