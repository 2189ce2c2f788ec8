//! Samples that the tables of `moov` describe, decrypted where they lie — ISO/IEC 14496-12 §8.5 to §8.7.

use std::iter::Peekable;

use crate::base::bytes::Reader;
use crate::base::env::Source;
use crate::base::{Error, KeyStore, Result};
use crate::codec::TrackMarks;
use crate::isobmff::BoxNode;
use crate::isobmff::file::BoxHeader;
use crate::isobmff::samples::{Sample, samples};

use crate::package::fragmented::auxiliary::AuxiliaryInformation;
use crate::package::fragmented::sample_decryption::check_said_clear;
use crate::package::fragmented::sample_decryption::{EncryptedTrack, Groups, Proving, SampleDecryption};
use crate::package::proofs::Proofs;
use crate::protect::protection_box;

/// Bytes written at a time.
const WRITE_BYTES: usize = 1 << 20;
/// Largest sample that is held.
const MAX_SAMPLE_BYTES: u32 = 1 << 28;

/// Whether the sample tables of a `moov` describe samples.
pub(in crate::package) fn has_samples(moov: &BoxNode) -> bool {
    let tables = moov.all(b"trak").filter_map(|trak| trak.find(&[b"mdia", b"minf", b"stbl"]));
    tables.into_iter().any(|stbl| sample_count(stbl) > 0)
}

/// `sample_count` of `stsz` or `stz2`: the same place in both.
fn sample_count(stbl: &BoxNode) -> u32 {
    let sizes = stbl.find(&[b"stsz"]).or_else(|| stbl.find(&[b"stz2"]));
    let count = sizes.and_then(|sizes| sizes.payload().get(8..12)?.first_chunk::<4>().copied());
    count.map_or(0, u32::from_be_bytes)
}

/// A track, and how far it has come.
struct TrackSamples<'a, I: Iterator> {
    track_id: u32,
    samples: Peekable<I>,
    decryption: SampleDecryption<'a>,
    /// The number of the next sample, from 1.
    number: u64,
}

/// Writes the payload of `mdat`, the samples of the encrypted tracks decrypted.
///
/// The tracks are walked side by side in the order in which their samples lie, so that one sample is held.
pub(in crate::package) fn decrypt_media_data(
    moov: &BoxNode,
    (tracks, marks): (&[EncryptedTrack], &mut [TrackMarks]),
    key_store: &dyn KeyStore,
    mdat: &BoxHeader,
    source: &dyn Source,
    write: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Proofs> {
    let mut proofs: Vec<Proofs> = tracks.iter().map(|_| Proofs::default()).collect();
    let payload = mdat.position + mdat.header_length..mdat.end();
    let mut cursors = Vec::new();
    for (track, (marks, proofs)) in tracks.iter().zip(marks.iter_mut().zip(&mut proofs)) {
        let trak = moov.all(b"trak").nth(track.trak);
        let trak = trak.ok_or_else(|| Error::internal(format!("no trak of track {}", track.track_id)))?;
        let stbl = trak.require(&[b"mdia", b"minf", b"stbl"])?;
        let auxiliary = AuxiliaryInformation::find(&[stbl, trak], source, 0, chunk_sizes(stbl))?;
        let groups = Groups::of(stbl, track)?;
        let is_clear =
            track.entries.iter().flatten().all(|protected| protected.tenc.default_is_protected == 0);
        protection_box(stbl).filter(|_| is_clear).map_or(Ok(()), |found| check_said_clear(stbl, found))?;
        cursors.push(TrackSamples {
            track_id: track.track_id,
            samples: samples(source, moov, track.track_id, &[])?.peekable(),
            decryption: SampleDecryption::new(
                track,
                key_store,
                auxiliary,
                groups,
                sample_count(stbl),
                Proving { marks, proofs },
            ),
            number: 1,
        });
    }
    for cursor in &mut cursors {
        cursor.skip_to(payload.start)?;
    }
    let mut out = Output { source, write, position: payload.start, pending: Vec::new() };
    while let Some((cursor, sample)) = next_sample(&mut cursors, payload.end)? {
        let at = |error: Error| error.at(format_args!("track {}, sample {}", cursor.track_id, cursor.number));
        let bytes = out.sample(&sample, payload.end).map_err(at)?;
        cursor.decryption.sample(sample.sample_description_index, bytes).map_err(at)?;
        cursor.advance()?;
    }
    out.copy_to(payload.end)?;
    out.flush()?;
    drop(cursors);
    let mut all = Proofs::default();
    proofs.iter().for_each(|proofs| all.merge(proofs));
    Ok(all)
}

/// The track whose next sample lies first, when it lies before `end`.
fn next_sample<'c, 'a, I: Iterator<Item = Result<Sample>>>(
    cursors: &'c mut [TrackSamples<'a, I>],
    end: u64,
) -> Result<Option<(&'c mut TrackSamples<'a, I>, Sample)>> {
    let mut first: Option<(&'c mut TrackSamples<'a, I>, Sample)> = None;
    for cursor in cursors {
        let Some(sample) = cursor.peek()? else {
            cursor
                .decryption
                .finish()
                .map_err(|error| error.at(format_args!("track {}", cursor.track_id)))?;
            continue;
        };
        if sample.position < end && first.as_ref().is_none_or(|(_, known)| sample.position < known.position) {
            first = Some((cursor, sample));
        }
    }
    Ok(first)
}

impl<I: Iterator<Item = Result<Sample>>> TrackSamples<'_, I> {
    fn peek(&mut self) -> Result<Option<Sample>> {
        match self.samples.peek() {
            None => Ok(None),
            Some(Ok(sample)) => Ok(Some(*sample)),
            Some(Err(_)) => match self.samples.next() {
                Some(Err(error)) => Err(error.at(format_args!("track {}", self.track_id))),
                _ => Ok(None),
            },
        }
    }

    fn advance(&mut self) -> Result<()> {
        self.samples.next().transpose()?;
        self.number += 1;
        Ok(())
    }

    /// Passes over the samples that lie before `start`.
    fn skip_to(&mut self, start: u64) -> Result<()> {
        while let Some(sample) = self.peek()?.filter(|sample| sample.position < start) {
            self.decryption.skip(sample.sample_description_index)?;
            self.advance()?;
        }
        Ok(())
    }
}

/// The payload as it is written.
struct Output<'a> {
    source: &'a dyn Source,
    write: &'a mut dyn FnMut(&[u8]) -> Result<()>,
    /// How far the source was read.
    position: u64,
    pending: Vec<u8>,
}

impl Output<'_> {
    /// The bytes of a sample, to be edited in place; what lies before it is copied.
    fn sample(&mut self, sample: &Sample, end: u64) -> Result<&mut [u8]> {
        if sample.position < self.position {
            return Err(Error::unsupported(format!(
                "it begins at byte {}, before the end of the sample before it at byte {}",
                sample.position, self.position
            ))
            .clause("ISO/IEC 14496-12 §8.7.5")
            .hint("rewrite the file so that samples lie in decode order"));
        }
        if sample.size > MAX_SAMPLE_BYTES || u64::from(sample.size) > end - sample.position {
            return Err(Error::input(format!(
                "it has {} bytes from byte {} on, its mdat ends at byte {end}",
                sample.size, sample.position
            ))
            .clause("ISO/IEC 14496-12 §8.7.3"));
        }
        self.copy_to(sample.position)?;
        self.take(sample.size as usize)
    }

    /// Copies bytes that belong to no encrypted sample.
    fn copy_to(&mut self, position: u64) -> Result<()> {
        while self.position < position {
            let left = usize::try_from(position - self.position).unwrap_or(usize::MAX);
            self.take(left.min(WRITE_BYTES))?;
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&mut [u8]> {
        if self.pending.len() >= WRITE_BYTES {
            self.flush()?;
        }
        let start = self.pending.len();
        self.pending.resize(start + length, 0);
        let bytes = self.pending.get_mut(start..).unwrap_or_default();
        self.source.read_at(self.position, bytes)?;
        self.position += length as u64;
        Ok(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        (self.write)(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

/// How many samples each chunk has: §8.7.4.
fn chunk_sizes(stbl: &BoxNode) -> impl Iterator<Item = u32> + '_ {
    let payload = stbl.find(&[b"stsc"]).map(BoxNode::payload).unwrap_or_default();
    let mut entries = Reader::new(payload.get(8..).unwrap_or_default());
    let mut read = move || Some([entries.u32().ok()?, entries.u32().ok()?, entries.u32().ok()?]);
    let mut next = read();
    let mut samples_per_chunk = 0;
    (1_u32..).map(move |chunk| {
        if let Some([_, samples, _]) = next.filter(|[first_chunk, ..]| *first_chunk <= chunk) {
            samples_per_chunk = samples;
            next = read();
        }
        samples_per_chunk
    })
}
