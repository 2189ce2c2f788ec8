//! Sample groups and their key entries — ISO/IEC 14496-12 §8.9, ISO/IEC 23001-7 §6.

use crate::base::bytes::Reader;
use crate::base::{FourCc, Kid, Result};

/// The grouping type of `CencSampleEncryptionInformationGroupEntry`.
const KEYS: FourCc = FourCc(*b"seig");
/// Most entries and runs that are read.
const MAX_ENTRIES: u32 = 1 << 16;
/// From this index on, groups are those of the track fragment itself: §8.9.4.
const FRAGMENT_LOCAL: u32 = 0x1_0000;

/// A Sample Group Description box.
pub(super) struct Sgpd {
    pub(super) grouping_type: FourCc,
    pub(super) entry_count: u32,
    /// The entries, when they are of keys.
    pub(super) key_entries: Vec<KeyEntry>,
}

/// How the samples of a group are protected.
#[derive(Clone)]
pub(super) struct KeyEntry {
    pub(super) is_protected: bool,
    pub(super) per_sample_iv_size: u8,
    pub(super) kid: Kid,
    pub(super) constant_iv: Option<Vec<u8>>,
}

/// A Sample to Group box.
pub(super) struct Sbgp {
    pub(super) grouping_type: FourCc,
    /// Counts of samples, and the index of their description from 1; 0 is none.
    pub(super) runs: Vec<(u32, u32)>,
}

impl Sgpd {
    pub(super) fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = (reader.u8()?, reader.u24()?);
        let grouping_type = reader.fourcc()?;
        let default_length = if version == 1 { reader.u32()? } else { 0 };
        if version >= 2 {
            reader.u32()?;
        }
        let entry_count = reader.u32()?;
        let mut key_entries = Vec::new();
        for _ in 0..entry_count.min(MAX_ENTRIES) {
            if grouping_type != KEYS {
                break;
            }
            if version == 1 && default_length == 0 {
                reader.u32()?;
            }
            key_entries.push(KeyEntry::parse(&mut reader)?);
        }
        Ok(Self { grouping_type, entry_count, key_entries })
    }

    /// The entries of keys, of a box that may be missing or damaged.
    pub(super) fn keys(payloads: impl Iterator<Item = Vec<u8>>) -> Vec<KeyEntry> {
        payloads.filter_map(|payload| Self::parse(&payload).ok()).flat_map(|sgpd| sgpd.key_entries).collect()
    }
}

impl KeyEntry {
    fn parse(reader: &mut Reader<'_>) -> Result<Self> {
        reader.u16()?;
        let is_protected = reader.u8()? == 1;
        let per_sample_iv_size = reader.u8()?;
        let kid = Kid::new(reader.array()?);
        let constant_iv = if is_protected && per_sample_iv_size == 0 {
            let size = reader.u8()?;
            Some(reader.take(usize::from(size))?.to_vec())
        } else {
            None
        };
        Ok(Self { is_protected, per_sample_iv_size, kid, constant_iv })
    }
}

impl Sbgp {
    pub(super) fn parse(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(payload);
        let (version, _) = (reader.u8()?, reader.u24()?);
        let grouping_type = reader.fourcc()?;
        if version == 1 {
            reader.u32()?;
        }
        let count = reader.u32()?;
        let mut runs = Vec::new();
        for _ in 0..count.min(MAX_ENTRIES) {
            runs.push((reader.u32()?, reader.u32()?));
        }
        Ok(Self { grouping_type, runs })
    }

    /// Whether it is about keys.
    pub(super) fn is_of_keys(&self) -> bool {
        self.grouping_type == KEYS
    }

    /// The description of a sample, from 0: of the fragment's own, or of the track's.
    pub(super) fn entry<'a>(
        &self,
        sample: usize,
        of_fragment: &'a [KeyEntry],
        of_track: &'a [KeyEntry],
    ) -> Option<&'a KeyEntry> {
        let mut end = 0_u64;
        let of_sample = |(count, _): &&(u32, u32)| {
            end += u64::from(*count);
            (sample as u64) < end
        };
        let (_, index) = self.runs.iter().find(of_sample)?;
        let (entries, index) = match index.checked_sub(FRAGMENT_LOCAL) {
            Some(local) => (of_fragment, local),
            None => (of_track, *index),
        };
        entries.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }
}
