//! What protects each sample, and its removal — ISO/IEC 23001-7 §6, §7: defaults, groups, auxiliary information.

use std::ops::Range;

use crate::base::{Error, KeyStore, Result};
use crate::codec::{Config, TrackMarks};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{SampleEntry, Sbgp, SbgpEntry, SencEntry, Sgpd, Tenc, seig_group};
use crate::protect::{FragmentDecryptor, Protected, Scheme};

use super::auxiliary::{AuxiliaryInformation, Entry};
use crate::package::proofs::Proofs;

/// A sample's `sample_description_index` and `group_description_index`.
type DescriptionIndices = (u32, u32);
/// What protects samples: the scheme and its parameters.
type Protection = (&'static Scheme, Tenc);

/// Decryptors that are kept: more keys at a time are expanded again when they come back.
const MAX_DECRYPTORS: usize = 16;

/// A track with protected samples.
pub(in crate::package) struct EncryptedTrack {
    pub(in crate::package) track_id: u32,
    /// Which `trak` of `moov` it is, from 0.
    pub(in crate::package) trak: usize,
    /// For each sample entry what protects it, `None` when it is clear.
    pub(in crate::package) entries: Vec<Option<Protected>>,
    /// Its sample entries as they are without protection.
    pub(in crate::package) clear_entries: Vec<SampleEntry>,
    /// The groups that the track itself describes.
    pub(in crate::package) groups: Option<Sgpd>,
}

impl EncryptedTrack {
    /// The marks of its samples.
    pub(in crate::package) fn marks(&self) -> TrackMarks {
        TrackMarks::new(self.clear_entries.iter().map(|entry| {
            let boxes = entry.boxes.iter().map(|node| (node.kind, node.payload())).collect();
            Config { entry: entry.format, boxes }
        }))
    }
}

/// What the samples of a track show of its keys, as they are decrypted.
pub(in crate::package) struct Proving<'a> {
    pub(in crate::package) marks: &'a mut TrackMarks,
    pub(in crate::package) proofs: &'a mut Proofs,
}

/// Which group of type `seig` each sample is in.
pub(in crate::package) struct Groups {
    runs: std::vec::IntoIter<SbgpEntry>,
    run: SbgpEntry,
    /// The group of samples that no run names.
    default_index: u32,
    /// The groups that the track fragment describes.
    of_fragment: Option<Sgpd>,
}

impl Groups {
    /// The groups of the samples of a `traf` or `stbl`.
    pub(in crate::package) fn of(parent: &BoxNode, track: &EncryptedTrack) -> Result<Self> {
        let runs = Sbgp::of(parent, Sgpd::SEIG)?.map_or_else(Vec::new, |sbgp| sbgp.entries);
        let default_index = track.groups.as_ref().and_then(|groups| groups.default_group_description_index);
        Ok(Self {
            runs: runs.into_iter(),
            run: SbgpEntry { sample_count: 0, group_description_index: 0 },
            default_index: default_index.unwrap_or(0),
            of_fragment: Sgpd::of(parent)?,
        })
    }

    fn next(&mut self) -> u32 {
        while self.run.sample_count == 0 {
            match self.runs.next() {
                Some(run) => self.run = run,
                None => return self.default_index,
            }
        }
        self.run.sample_count -= 1;
        self.run.group_description_index
    }
}

/// Decrypts the samples of one track in decode order: those of a fragment, or of a sample table.
pub(in crate::package) struct SampleDecryption<'a> {
    track: &'a EncryptedTrack,
    key_store: &'a dyn KeyStore,
    auxiliary: AuxiliaryInformation<'a>,
    groups: Groups,
    /// Samples in all, to know whether those that are clear have entries too.
    sample_count: u32,
    decryptors: Vec<(&'static Scheme, Tenc, FragmentDecryptor)>,
    /// What was found for the sample before: its description and group, and what protects it.
    known: Option<(DescriptionIndices, Option<Protection>)>,
    proving: Proving<'a>,
    /// The encrypted bytes of a sample.
    encrypted: Vec<Range<usize>>,
    /// Whether a sample was encrypted.
    pub(in crate::package) has_encrypted: bool,
}

impl<'a> SampleDecryption<'a> {
    pub(in crate::package) fn new(
        track: &'a EncryptedTrack,
        key_store: &'a dyn KeyStore,
        auxiliary: AuxiliaryInformation<'a>,
        groups: Groups,
        sample_count: u32,
        proving: Proving<'a>,
    ) -> Self {
        let (decryptors, encrypted) = (Vec::new(), Vec::new());
        Self {
            track,
            key_store,
            auxiliary,
            groups,
            sample_count,
            decryptors,
            known: None,
            proving,
            encrypted,
            has_encrypted: false,
        }
    }

    /// Decrypts the next sample in place.
    pub(in crate::package) fn sample(
        &mut self,
        sample_description_index: u32,
        bytes: &mut [u8],
    ) -> Result<()> {
        let mut encrypted = std::mem::take(&mut self.encrypted);
        encrypted.clear();
        let (mut kid, mut iv, mut hides_iv) = (None, None, false);
        if let Some((scheme, tenc, entry)) = self.next(sample_description_index)? {
            kid = Some(tenc.default_kid);
            self.has_encrypted = true;
            let decryptor = self.decryptor(scheme, tenc)?;
            decryptor.decrypt(bytes, &entry)?;
            decryptor.encrypted(bytes.len(), &entry, &mut encrypted);
            hides_iv = decryptor.hides_iv();
            iv = decryptor.constant_iv();
        }
        // Clear samples have parameter sets and reference frames for others.
        let (codec, evidence) =
            self.proving.marks.look(sample_description_index, bytes, (&encrypted, hides_iv));
        if kid.is_some() {
            self.proving.proofs.add(kid, codec, &evidence);
        }
        if let (true, Some(kid), Some(iv)) = (hides_iv, kid, iv) {
            self.proving.proofs.note_iv(kid, iv);
        }
        self.encrypted = encrypted;
        Ok(())
    }

    /// Passes over the next sample.
    pub(in crate::package) fn skip(&mut self, sample_description_index: u32) -> Result<()> {
        self.next(sample_description_index).map(drop)
    }

    /// Checks that nothing is said about samples that are not there.
    pub(in crate::package) fn finish(&self) -> Result<()> {
        self.auxiliary.finish()
    }

    fn next(&mut self, description: u32) -> Result<Option<(&'static Scheme, Tenc, SencEntry)>> {
        let place = (description, self.groups.next());
        if self.known.as_ref().is_none_or(|(known, _)| *known != place) {
            self.known = Some((place, self.protection(place.0, place.1)?));
        }
        let protection = self.known.as_ref().and_then(|(_, protection)| protection.clone());
        let Some((scheme, tenc)) = protection else {
            // Clear samples have an entry when there is one for every sample.
            if self.auxiliary.sample_count().is_none_or(|count| count == self.sample_count) {
                self.auxiliary.next(0)?;
            }
            return Ok(None);
        };
        let iv_size = tenc.default_per_sample_iv_size;
        match self.auxiliary.next(iv_size)? {
            Entry::Found(entry) => Ok(Some((scheme, tenc, entry))),
            Entry::None if iv_size == 0 => Ok(Some((scheme, tenc, SencEntry::default()))),
            Entry::None => Err(Error::input(format!(
                "no IV for a sample of track {}, which has IVs of {iv_size} bytes",
                self.track.track_id
            ))
            .clause("ISO/IEC 23001-7 §7.1")
            .hint("senc, or saiz and saio, are missing: they were lost when the file was rewritten")),
        }
    }

    /// What protects samples of this description and group; `None` when they are clear.
    fn protection(&self, description: u32, group: u32) -> Result<Option<Protection>> {
        let index = (description as usize).checked_sub(1);
        let entry = index.and_then(|index| self.track.entries.get(index)).ok_or_else(|| {
            Error::input(format!(
                "sample_description_index {description}, there are {} sample entries",
                self.track.entries.len()
            ))
            .clause("ISO/IEC 14496-12 §8.5.2")
        })?;
        let Some(protected) = entry else { return Ok(None) };
        let seig = seig_group(group, self.track.groups.as_ref(), self.groups.of_fragment.as_ref())?;
        let tenc = match (&self.auxiliary.track_encryption, seig) {
            (Some(tenc), _) => tenc.clone(),
            (None, Some(group)) => group.tenc(1),
            (None, None) => protected.tenc.clone(),
        };
        if tenc.default_is_protected == 0 {
            return Ok(None);
        }
        Ok(Some((Scheme::of_entry(protected.scheme_type, tenc.default_is_protected)?, tenc)))
    }

    fn decryptor(&mut self, scheme: &'static Scheme, tenc: Tenc) -> Result<&FragmentDecryptor> {
        let known = self.decryptors.iter().position(|(known, of, _)| *known == scheme && *of == tenc);
        let index = match known {
            Some(index) => index,
            None => {
                let kid = tenc.default_kid;
                let key = self.key_store.key(kid).ok_or_else(|| {
                    Error::keys(format!("no key for {kid}, which protects track {}", self.track.track_id))
                        .hint("give it: a key file with a line KID:KEY, or a CPIX document")
                })?;
                if self.decryptors.len() >= MAX_DECRYPTORS {
                    self.decryptors.remove(0);
                }
                let decryptor = FragmentDecryptor::new(scheme, tenc.clone(), &key);
                self.decryptors.push((scheme, tenc, decryptor));
                self.decryptors.len() - 1
            }
        };
        let found = self.decryptors.get(index).map(|(.., decryptor)| decryptor);
        found.ok_or_else(|| Error::keys("no decryptor"))
    }
}

/// Samples that `tenc` says are clear have no auxiliary information, unless a group says so of some of them: else one bit
/// of `tenc` would make them pass for decrypted.
pub(in crate::package) fn check_said_clear(parent: &BoxNode, found: &BoxNode) -> Result<()> {
    let is_group = |node: &BoxNode| node.is(b"sbgp") || node.is(b"sgpd");
    if parent.boxes().iter().any(is_group) {
        return Ok(());
    }
    Err(Error::verification(format!(
        "a box {} says that samples are encrypted, default_isProtected of tenc is 0",
        found.kind
    ))
    .clause("ISO/IEC 23001-7 §7, §8.2")
    .hint("the initialization segment is damaged, or that of other media"))
}
