//! Sample auxiliary information, in `senc` or elsewhere — ISO/IEC 23001-7 §7, ISO/IEC 14496-12 §8.7.8, §8.7.9.

use std::ops::Range;

use crate::base::Result;
use crate::base::bytes::Reader;
use crate::base::env::Source;
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Saio, Saiz, SencEntry, SencSubsample};

use super::file::SampleLocation;
use crate::verify::findings::Findings;

/// The type of the box that stood in place of `senc` before the standard had one.
const UUID_SENC: [u8; 16] =
    [0xa2, 0x39, 0x4f, 0x52, 0x5a, 0x9b, 0x4f, 0x14, 0xa2, 0x44, 0x6c, 0x42, 0x7c, 0x64, 0x8d, 0xf4];
/// `use_subsample_encryption`.
const SUBSAMPLES: u32 = 2;
/// Most bytes of auxiliary information of one fragment that are read outside `senc`.
const MAX_OUTSIDE: usize = 16 << 20;

/// What stands around the auxiliary information of one track fragment or sample table.
pub(in crate::verify) struct Auxiliary<'a> {
    pub(in crate::verify) place: SampleLocation<'a>,
    /// The boxes of the `traf` or `stbl`, and where the first of them begins in the file.
    pub(in crate::verify) boxes: &'a [BoxNode],
    pub(in crate::verify) position: u64,
    /// From where `saio` counts, in bytes of the file.
    pub(in crate::verify) base: u64,
    /// How many samples each run has.
    pub(in crate::verify) runs: Vec<usize>,
    /// The IV size of each sample.
    pub(in crate::verify) iv_sizes: Vec<u8>,
    pub(in crate::verify) source: &'a dyn Source,
}

impl Auxiliary<'_> {
    fn find(&self, kind: &[u8; 4]) -> Option<&BoxNode> {
        self.boxes.iter().find(|node| node.is(kind))
    }

    /// A fragment without protected samples has none of the boxes.
    pub(in crate::verify) fn check_clear(&self, findings: &mut Findings) {
        let kinds = [b"senc", b"saiz", b"saio"];
        let found = kinds.iter().find_map(|kind| self.find(kind)).map(|node| node.kind.to_string());
        let holds = found.is_none();
        findings.check(
            "aux-in-clear",
            holds,
            &self.place,
            &found.unwrap_or_default(),
            &"a clear fragment without",
        );
    }

    /// Where `saio` says that the information lies, in bytes of the file.
    pub(in crate::verify) fn places(&self) -> Vec<Range<u64>> {
        let saiz = self.find(b"saiz").and_then(|node| Saiz::parse(node.payload()).ok());
        let saio = self.find(b"saio").and_then(|node| Saio::parse(node.payload()).ok());
        let (Some(saiz), Some(saio)) = (saiz, saio) else { return Vec::new() };
        let mut sizes = saiz.sizes.iter().map(|size| u64::from(*size));
        let runs = if saio.offsets.len() == 1 { vec![saiz.sizes.len()] } else { self.runs.clone() };
        let place = |(offset, run): (&u64, usize)| {
            let start = offset.saturating_add(self.base);
            start..start.saturating_add(sizes.by_ref().take(run).sum())
        };
        saio.offsets.iter().zip(runs).map(place).collect()
    }

    /// The entries of all samples, held to the rules; `None` when they cannot be found.
    pub(in crate::verify) fn check(&self, findings: &mut Findings) -> Result<Option<Vec<SencEntry>>> {
        let samples = self.iv_sizes.len();
        let saiz = self.find(b"saiz").map(|node| Saiz::parse(node.payload())).transpose()?;
        let saio = self.find(b"saio").map(|node| Saio::parse(node.payload())).transpose()?;
        let counts = [b"saiz", b"saio"].map(|kind| self.boxes.iter().filter(|node| node.is(kind)).count());
        let holds = matches!(counts, [0, 0] | [1, 1]);
        let found = format!("{} saiz, {} saio", counts[0], counts[1]);
        findings.check("aux-pair", holds, &self.place, &found, &"one of each or none");
        for kind in [b"saiz", b"saio", b"senc"] {
            let Some(head) = self.find(kind).and_then(|node| node.payload().first_chunk()) else { continue };
            let head = u32::from_be_bytes(*head);
            let holds = match kind {
                b"senc" => head & !3 == 0,
                // Version 1 has offsets of 64 bits.
                b"saio" => matches!(head & !1, 0 | 0x0100_0000),
                _ => head & !1 == 0,
            };
            let found = format!("version and flags {head:#010x} of {}", kind.escape_ascii());
            findings.check("aux-flags", holds, &self.place, &found, &"those that the clause knows");
        }
        if let Some(saiz) = &saiz {
            findings.check(
                "saiz-count",
                saiz.sizes.len() == samples,
                &self.place,
                &saiz.sizes.len(),
                &samples,
            );
        }
        if let Some(saio) = &saio {
            findings.check("saio-one", saio.offsets.len() == 1, &self.place, &saio.offsets.len(), &1);
        }
        let Some((payload, position)) = self.senc() else {
            return self.outside(saiz.as_ref(), saio.as_ref(), findings);
        };
        let Some((entries, first)) = self.entries(payload, findings)? else { return Ok(None) };
        self.check_presence(counts, &entries, findings);
        if let (Some(saiz), Some(saio)) = (&saiz, &saio) {
            self.check_offsets(saiz, saio, position + first, &entries, findings)?;
        }
        Ok(Some(entries))
    }

    /// Samples that need information have it where `saiz` and `saio` say. The older box had neither, and sample tables are
    /// looked at without.
    fn check_presence(&self, counts: [usize; 2], entries: &[SencEntry], findings: &mut Findings) {
        let is_needed = entries.iter().any(|entry| *entry != SencEntry::default());
        if is_needed && self.place.moof.is_some() && self.find(b"senc").is_some() {
            let holds = counts != [0, 0];
            findings.check(
                "saiz-absent",
                holds,
                &self.place,
                &"senc alone",
                &"saiz and saio that point at it",
            );
        }
    }

    /// The payload of `senc` and where it begins in the file.
    fn senc(&self) -> Option<(&[u8], u64)> {
        let mut position = self.position;
        for node in self.boxes {
            if node.is(b"senc") {
                return Some((node.payload(), position + 8));
            }
            if node.is(b"uuid") && node.payload().starts_with(&UUID_SENC) {
                return Some((node.payload().get(16..)?, position + 24));
            }
            position += node.len() as u64;
        }
        None
    }

    /// The entries of `senc`, and where the first begins in its payload.
    fn entries(&self, payload: &[u8], findings: &mut Findings) -> Result<Option<(Vec<SencEntry>, u64)>> {
        let is_senc = self.find(b"senc").is_some();
        findings.check("senc-absent", is_senc, &self.place, &"a uuid box", &"senc");
        let mut reader = Reader::new(payload);
        reader.u8()?;
        let flags = reader.u24()?;
        if flags & 1 != 0 {
            // The older box may override AlgorithmID, IV size and key id.
            reader.take(20)?;
        }
        let count = reader.u32()? as usize;
        let samples = self.iv_sizes.len();
        if !findings.check("senc-count", count == samples, &self.place, &count, &samples) {
            return Ok(None);
        }
        let first = reader.position() as u64;
        let mut entries = Vec::with_capacity(samples);
        for iv_size in &self.iv_sizes {
            entries.push(entry(&mut reader, *iv_size, flags & SUBSAMPLES != 0)?);
        }
        let left = reader.remaining();
        findings.check("senc-size", left == 0, &self.place, &format_args!("{left} bytes more"), &"the end");
        if flags & SUBSAMPLES != 0 {
            let least = entries.iter().map(|entry| entry.subsamples.len()).min().unwrap_or(1);
            findings.check("subsample-count", least > 0, &self.place, &"a sample with none", &"one at least");
        }
        Ok(Some((entries, first)))
    }

    fn check_offsets(
        &self,
        saiz: &Saiz,
        saio: &Saio,
        first: u64,
        entries: &[SencEntry],
        findings: &mut Findings,
    ) -> Result<()> {
        let with_map =
            self.senc().and_then(|(payload, _)| payload.get(3)).is_some_and(|flags| flags & 2 != 0);
        let sizes: Vec<usize> = entries.iter().map(|entry| size(entry, with_map)).collect();
        let wrong = saiz.sizes.iter().zip(&sizes).position(|(stated, size)| usize::from(*stated) != *size);
        let found = wrong.and_then(|index| saiz.sizes.get(index)).copied().unwrap_or_default();
        let expected = wrong.and_then(|index| sizes.get(index)).copied().unwrap_or_default();
        let place = SampleLocation { sample: wrong.map(|index| index + 1), ..self.place };
        findings.check("saiz-size", wrong.is_none(), &place, &found, &expected);
        let mut expected = vec![first];
        if saio.offsets.len() > 1 {
            let mut sample = 0;
            for run in self.runs.iter().take(self.runs.len().saturating_sub(1)) {
                sample += run;
                let before: usize = sizes.iter().take(sample).sum();
                expected.push(first + before as u64);
            }
        }
        let found: Vec<u64> = saio.offsets.iter().map(|offset| offset.saturating_add(self.base)).collect();
        let holds = found == expected || self.is_copy(&found, &sizes, entries, with_map)?;
        let text = format!("{:?}", saio.offsets);
        let wanted: Vec<_> = expected.iter().map(|position| position.saturating_sub(self.base)).collect();
        findings.check("saio-offset", holds, &self.place, &text, &format_args!("{wanted:?}"));
        Ok(())
    }

    /// Whether the bytes that `saio` points at repeat what `senc` says.
    fn is_copy(&self, at: &[u64], sizes: &[usize], entries: &[SencEntry], with_map: bool) -> Result<bool> {
        let ([position], total) = (at, sizes.iter().sum::<usize>()) else { return Ok(false) };
        if total > MAX_OUTSIDE || position.saturating_add(total as u64) > self.source.len() {
            return Ok(false);
        }
        let mut bytes = vec![0; total];
        self.source.read_at(*position, &mut bytes)?;
        let mut reader = Reader::new(&bytes);
        for (iv_size, expected) in self.iv_sizes.iter().zip(entries) {
            if entry(&mut reader, *iv_size, with_map).ok().as_ref() != Some(expected) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The entries where `saio` points at, when there is no `senc`; none are needed when samples say nothing.
    fn outside(
        &self,
        saiz: Option<&Saiz>,
        saio: Option<&Saio>,
        findings: &mut Findings,
    ) -> Result<Option<Vec<SencEntry>>> {
        let samples = self.iv_sizes.len();
        let (Some(saiz), Some(saio)) = (saiz, saio) else {
            let holds = self.iv_sizes.iter().all(|size| *size == 0);
            findings.check(
                "aux-missing",
                holds,
                &self.place,
                &"no senc, no saiz with saio",
                &"IVs of the samples",
            );
            return Ok(holds.then(|| vec![SencEntry::default(); samples]));
        };
        findings.check("senc-absent", false, &self.place, &"saiz and saio only", &"senc");
        let mut entries = Vec::with_capacity(samples);
        let mut sizes = saiz.sizes.iter().zip(&self.iv_sizes);
        let runs = if saio.offsets.len() == 1 { vec![samples] } else { self.runs.clone() };
        for (offset, run) in saio.offsets.iter().zip(runs) {
            let sizes: Vec<_> = sizes.by_ref().take(run).collect();
            let total: usize = sizes.iter().map(|(size, _)| usize::from(**size)).sum();
            let position = offset.saturating_add(self.base);
            let inside = total <= MAX_OUTSIDE && position.saturating_add(total as u64) <= self.source.len();
            let found = format!("{total} bytes at {position}");
            if !findings.check("saio-offset", inside, &self.place, &found, &"bytes of the file") {
                return Ok(None);
            }
            let mut bytes = vec![0; total];
            self.source.read_at(position, &mut bytes)?;
            let mut reader = Reader::new(&bytes);
            for (size, iv_size) in sizes {
                let mut one = Reader::new(reader.take(usize::from(*size))?);
                entries.push(entry(&mut one, *iv_size, size > iv_size)?);
            }
        }
        Ok((entries.len() == samples).then_some(entries))
    }
}

fn size(entry: &SencEntry, with_map: bool) -> usize {
    entry.initialization_vector.len() + if with_map { 2 + 6 * entry.subsamples.len() } else { 0 }
}

fn entry(reader: &mut Reader<'_>, iv_size: u8, with_map: bool) -> Result<SencEntry> {
    let initialization_vector = reader.take(usize::from(iv_size))?.to_vec();
    let mut subsamples = Vec::new();
    if with_map {
        for _ in 0..reader.u16()? {
            let bytes_of_clear_data = reader.u16()?;
            let bytes_of_protected_data = reader.u32()?;
            subsamples.push(SencSubsample { bytes_of_clear_data, bytes_of_protected_data });
        }
    }
    Ok(SencEntry { initialization_vector, subsamples })
}
