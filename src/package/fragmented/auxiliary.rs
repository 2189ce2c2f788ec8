//! Sample auxiliary information wherever it stands — ISO/IEC 23001-7 §7, ISO/IEC 14496-12 §8.7.8, §8.7.9.

use crate::base::bytes::Reader;
use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Piff, Saio, Saiz, SencEntry, SencHeader, Tenc};
use crate::protect::is_of_scheme;

/// The auxiliary information of a run of samples, read entry by entry.
pub(in crate::package) struct AuxiliaryInformation<'a> {
    form: Form<'a>,
    /// What replaces `tenc` for all these samples.
    pub(in crate::package) track_encryption: Option<Tenc>,
}

/// Where it stands.
enum Form<'a> {
    /// Nowhere: a constant IV for whole samples needs none.
    Absent,
    /// In `senc`, or the `uuid` box that it was made from.
    Senc { reader: Reader<'a>, use_subsample_encryption: bool, sample_count: u32, left: u32 },
    /// Anywhere in the file, at the offsets of `saio`.
    Offsets(Box<Offsets<'a>>),
}

struct Offsets<'a> {
    source: &'a dyn Source,
    sizes: std::vec::IntoIter<u8>,
    /// Where the information of each run of samples begins, or of all of them.
    offsets: std::vec::IntoIter<u64>,
    is_one: bool,
    base: u64,
    /// How many samples each run has.
    runs: Box<dyn Iterator<Item = u32> + 'a>,
    left_in_run: u32,
    position: u64,
}

/// What one sample has.
pub(in crate::package) enum Entry {
    /// Its entry.
    Found(SencEntry),
    /// Nothing is said about it.
    None,
}

impl<'a> AuxiliaryInformation<'a> {
    /// Looks among the children of `parents`; `base` is what `saio` counts from and `runs` gives the number
    /// of samples in each run or chunk.
    pub(in crate::package) fn find(
        parents: &[&'a BoxNode],
        source: &'a dyn Source,
        base: u64,
        runs: impl Iterator<Item = u32> + 'a,
    ) -> Result<Self> {
        let nodes = || parents.iter().flat_map(|parent| parent.boxes());
        let mut track_encryption = None;
        for node in nodes() {
            let payload = match Piff::of(node) {
                Some((Piff::SampleEncryption, payload)) => payload,
                _ if node.is(b"senc") => node.payload(),
                _ => continue,
            };
            let mut reader = Reader::new(payload);
            let header = SencHeader::parse(&mut reader).map_err(|error| error.at(node.kind))?;
            track_encryption = header.track_encryption;
            if header.sample_count > 0 {
                let SencHeader { use_subsample_encryption, sample_count, .. } = header;
                let form = Form::Senc { reader, use_subsample_encryption, sample_count, left: sample_count };
                return Ok(Self { form, track_encryption });
            }
        }
        let table = |kind: &[u8; 4]| nodes().find(|node| node.is(kind) && is_of_scheme(node));
        let (Some(saiz), Some(saio)) = (table(b"saiz"), table(b"saio")) else {
            return Ok(Self { form: Form::Absent, track_encryption });
        };
        let sizes = Saiz::parse(saiz.payload()).map_err(|error| error.at("saiz"))?.sizes;
        let offsets = Saio::parse(saio.payload()).map_err(|error| error.at("saio"))?.offsets;
        let form = Form::Offsets(Box::new(Offsets {
            source,
            is_one: offsets.len() == 1,
            sizes: sizes.into_iter(),
            offsets: offsets.into_iter(),
            base,
            runs: Box::new(runs),
            left_in_run: 0,
            position: 0,
        }));
        Ok(Self { form, track_encryption })
    }

    /// How many entries there are, when that is stated.
    pub(in crate::package) fn sample_count(&self) -> Option<u32> {
        match &self.form {
            Form::Senc { sample_count, .. } => Some(*sample_count),
            _ => None,
        }
    }

    /// The entry of the next sample, whose IV has this many bytes.
    pub(in crate::package) fn next(&mut self, iv_size: u8) -> Result<Entry> {
        match &mut self.form {
            Form::Absent => Ok(Entry::None),
            Form::Senc { use_subsample_encryption: false, left, .. } if iv_size == 0 => {
                *left = left.saturating_sub(1);
                Ok(Entry::None)
            }
            Form::Senc { reader, use_subsample_encryption, sample_count, left } => {
                *left = left.checked_sub(1).ok_or_else(|| {
                    Error::input(format!("{sample_count} entries, there are more samples"))
                        .clause("ISO/IEC 23001-7 §7.2")
                        .at("senc")
                })?;
                SencEntry::parse(reader, iv_size, *use_subsample_encryption)
                    .map(Entry::Found)
                    .map_err(|error| error.at("senc"))
            }
            Form::Offsets(offsets) => offsets.next(iv_size),
        }
    }

    /// Checks that no entry is left behind the last sample.
    pub(in crate::package) fn finish(&self) -> Result<()> {
        match &self.form {
            Form::Senc { reader, sample_count, left, .. } if *left > 0 && reader.remaining() > 0 => {
                let samples = sample_count - left;
                Err(Error::input(format!("{sample_count} entries, there are {samples} samples"))
                    .clause("ISO/IEC 23001-7 §7.2")
                    .at("senc"))
            }
            // IVs of samples that are said to be clear: decrypted, they would be as they were.
            Form::Senc { reader, sample_count, .. } if reader.remaining() > 0 => {
                Err(Error::input(format!(
                    "{} bytes behind the entries of {sample_count} samples: IVs that tenc says samples do not have",
                    reader.remaining()
                ))
                .clause("ISO/IEC 23001-7 §7.1, §7.2")
                .at("senc")
                .hint("tenc or senc is damaged: get the file again"))
            }
            _ => Ok(()),
        }
    }
}

impl Offsets<'_> {
    fn next(&mut self, iv_size: u8) -> Result<Entry> {
        self.enter_run()?;
        let size = self.sizes.next().ok_or_else(|| {
            Error::input("fewer sizes than samples").clause("ISO/IEC 14496-12 §8.7.8").at("saiz")
        })?;
        if size == 0 {
            return Ok(Entry::None);
        }
        let mut buffer = [0; u8::MAX as usize];
        let bytes = buffer.get_mut(..usize::from(size)).unwrap_or_default();
        self.source.read_at(self.position, bytes).map_err(|error| {
            error
                .at("saio")
                .clause("ISO/IEC 14496-12 §8.7.9")
                .hint("an offset of saio points out of the file")
        })?;
        self.position = self.position.saturating_add(u64::from(size));
        let mut reader = Reader::new(bytes);
        let entry =
            SencEntry::parse(&mut reader, iv_size, size > iv_size).map_err(|error| error.at("saio"))?;
        if reader.remaining() > 0 {
            return Err(Error::input(format!(
                "an entry of {size} bytes, its {} subsamples need {}",
                entry.subsamples.len(),
                reader.position()
            ))
            .clause("ISO/IEC 23001-7 §7.1")
            .at("saiz"));
        }
        Ok(Entry::Found(entry))
    }

    /// Goes to the offset of the next run when the samples of the last one are through.
    fn enter_run(&mut self) -> Result<()> {
        while self.left_in_run == 0 {
            self.left_in_run = if self.is_one { u32::MAX } else { self.runs.next().unwrap_or(u32::MAX) };
            let offset = self.offsets.next().ok_or_else(|| {
                Error::input("fewer offsets than runs of samples")
                    .clause("ISO/IEC 14496-12 §8.7.9")
                    .at("saio")
            })?;
            self.position = self
                .base
                .checked_add(offset)
                .ok_or_else(|| Error::input(format!("offset {offset} overflows")).at("saio"))?;
        }
        self.left_in_run -= 1;
        Ok(())
    }
}
