//! The samples of a fragment, encrypted in place — ISO/IEC 23001-7 §9, the one loop for every codec and scheme.

use std::ops::Range;

use crate::base::{Error, Kid, Result, Secret};
use crate::codec::Ranges;
use crate::isobmff::boxes::{SencEntry, SencSubsample, SencWriter, Tenc};

use super::cipher::{Cipher, patterned};
use super::iv::{Fields, Iv, IvTrack, SampleIvs, constant_iv};
use super::scheme::{IvRule, Mode, Pattern, Scheme};
use super::subsample::{protected_ranges, subsamples};

/// All that is fixed for one track: its key, scheme, pattern and IVs. Immutable, shared by threads.
#[derive(Debug)]
pub struct TrackProtection {
    /// The scheme.
    pub scheme: &'static Scheme,
    /// `default_KID`.
    pub kid: Kid,
    /// The pattern.
    pub pattern: Pattern,
    /// The IVs.
    pub iv: Iv,
    cipher: Cipher,
}

impl TrackProtection {
    /// Expands the key once for the whole track.
    pub fn new(scheme: &'static Scheme, kid: Kid, key: &Secret<16>, pattern: Pattern, iv: Iv) -> Self {
        Self { scheme, kid, pattern, iv, cipher: Cipher::new(key) }
    }

    /// `tenc` of the track.
    pub fn tenc(&self) -> Tenc {
        let (per_sample_iv_size, constant_iv) = match &self.iv {
            Iv::Constant(iv) => (0, Some(iv.to_vec())),
            Iv::PerSample(_) if self.scheme.iv == IvRule::PerSample16 => (16, None),
            Iv::PerSample(_) => (8, None),
        };
        Tenc {
            version: self.scheme.tenc_version,
            default_crypt_byte_block: self.pattern.crypt_byte_block,
            default_skip_byte_block: self.pattern.skip_byte_block,
            default_is_protected: 1,
            default_per_sample_iv_size: per_sample_iv_size,
            default_kid: self.kid,
            default_constant_iv: constant_iv,
        }
    }
}

/// Encrypts the fragments of one track; its buffers are reused.
pub struct FragmentEncryptor<'a> {
    protection: &'a TrackProtection,
    /// The codec's parser; `None` when whole samples are protected.
    parser: Option<Box<dyn Ranges>>,
    ivs: Ivs<'a>,
    ranges: Vec<Range<usize>>,
    /// Where each sample of the fragment is, and how many subsamples it has.
    samples: Vec<(Range<usize>, usize)>,
    /// Those of all samples.
    subsamples: Vec<SencSubsample>,
    chains: Vec<Range<usize>>,
}

/// Where the samples get their IVs.
enum Ivs<'a> {
    Constant(&'a [u8; 16]),
    /// From these, and the fields of their fragment.
    PerSample(&'a SampleIvs, Fields),
}

impl<'a> FragmentEncryptor<'a> {
    /// An encryptor for one sample entry of a track, from one random access point on.
    pub fn new(protection: &'a TrackProtection, track: &IvTrack, parser: Option<Box<dyn Ranges>>) -> Self {
        let TrackProtection { scheme, pattern, iv, .. } = protection;
        let ivs = match iv {
            Iv::Constant(iv) => Ivs::Constant(iv),
            Iv::PerSample(ivs) => Ivs::PerSample(ivs, Fields::of_track(scheme, *pattern, ivs, track)),
        };
        let (ranges, samples, subsamples, chains) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { protection, parser, ivs, ranges, samples, subsamples, chains }
    }

    /// How many bytes of the fragment that was encrypted last are protected, those that a pattern skips included.
    pub fn protected_bytes(&self) -> u64 {
        let ranges = |(range, subsamples)| encrypted(self.protection.scheme, range, subsamples);
        table(&self.samples, &self.subsamples).flat_map(ranges).map(|range| range.len() as u64).sum()
    }

    /// A table for the fragment's samples.
    pub fn senc(&self) -> SencWriter {
        SencWriter::new(self.parser.is_some())
    }

    /// Encrypts the samples of one fragment, which are at these ranges of `data`, in place, and appends an entry for
    /// each to `senc`. IVs that are not constant follow from the samples and the decode time of the first.
    ///
    /// # Errors
    /// When a sample lies outside `data`, cannot be parsed, or has too many subsamples; when there are too many
    /// samples.
    pub fn encrypt(
        &mut self,
        data: &mut [u8],
        samples: impl Iterator<Item = Range<usize>>,
        decode_time: u64,
        senc: &mut SencWriter,
    ) -> Result<()> {
        self.samples.clear();
        self.subsamples.clear();
        for (index, sample) in samples.enumerate() {
            self.parse(data, sample).map_err(|error| error.at(sample_number(index)))?;
        }
        if self.samples.is_empty() {
            return Ok(());
        }
        self.encrypt_parsed(data, decode_time, senc)
    }

    /// Finds the subsamples of a sample.
    fn parse(&mut self, data: &[u8], range: Range<usize>) -> Result<()> {
        let Some(sample) = data.get(range.clone()) else {
            return Err(Error::input(format!(
                "lies at {}..{} of the media data, which has {} bytes",
                range.start,
                range.end,
                data.len()
            ))
            .clause("ISO/IEC 14496-12 §8.8.8"));
        };
        let known = self.subsamples.len();
        if let Some(parser) = &mut self.parser {
            self.ranges.clear();
            parser.ranges(sample, &mut self.ranges)?;
            parser.check_clear(sample, &self.ranges)?;
            subsamples(self.protection.scheme, sample.len(), &self.ranges, &mut self.subsamples);
        }
        self.samples.push((range, self.subsamples.len() - known));
        Ok(())
    }

    fn encrypt_parsed(&mut self, data: &mut [u8], decode_time: u64, senc: &mut SencWriter) -> Result<()> {
        let Self { protection, ivs, samples, subsamples, chains, .. } = self;
        let TrackProtection { scheme, pattern, cipher, .. } = *protection;
        let table = || table(samples, subsamples).enumerate();
        let push = |senc: &mut SencWriter, index: usize, iv: &[u8], subsamples: &[SencSubsample]| {
            senc.push(iv, subsamples).map_err(|error| error.at(sample_number(index)))
        };
        match ivs {
            Ivs::Constant(iv) => {
                chains.clear();
                for (index, (range, subsamples)) in table() {
                    chains.extend(encrypted(scheme, range, subsamples));
                    push(senc, index, &[], subsamples)?;
                }
                cipher.cbc_encrypt(iv, *pattern, data, chains);
            }
            Ivs::PerSample(ivs, fields) => {
                fields.begin(decode_time, samples.len());
                table().for_each(|(_, (range, subsamples))| fields.sample(range.len(), subsamples));
                let clear = samples.iter().map(|(range, _)| data.get(range.clone()).unwrap_or_default());
                let ivs = ivs.fragment(fields, clear)?;
                for (index, (range, subsamples)) in table() {
                    let (short, long) = (ivs.iv_8(index), ivs.iv_16(index));
                    let iv: &[u8] = if scheme.iv == IvRule::PerSample16 { &long } else { &short };
                    let (block, ranges) = (zero_extended(iv), encrypted(scheme, range, subsamples));
                    match scheme.mode {
                        Mode::Ctr => cipher.ctr_pattern(&block, *pattern, data, ranges),
                        Mode::Cbc => cipher.cbc_encrypt_chain(&block, *pattern, data, ranges),
                    }
                    push(senc, index, iv, subsamples)?;
                }
            }
        }
        Ok(())
    }
}

fn sample_number(index: usize) -> String {
    format!("sample {}", index + 1)
}

/// Each sample with its subsamples.
fn table<'a>(
    samples: &'a [(Range<usize>, usize)],
    subsamples: &'a [SencSubsample],
) -> impl Iterator<Item = (Range<usize>, &'a [SencSubsample])> {
    let mut rest = subsamples;
    samples.iter().map(move |(range, count)| {
        let (own, left) = rest.split_at_checked(*count).unwrap_or_default();
        rest = left;
        (range.clone(), own)
    })
}

/// What is encrypted of a sample before the pattern is looked at: its protected ranges, or all of it.
fn encrypted(
    scheme: &Scheme,
    sample: Range<usize>,
    subsamples: &[SencSubsample],
) -> impl Iterator<Item = Range<usize>> {
    let ranges = protected_ranges(sample.start, subsamples);
    let whole = subsamples.is_empty().then_some(sample);
    ranges.chain(whole).map(|range| scheme.encrypted(range))
}

/// Decrypts the samples of one track, by what its boxes say.
pub struct FragmentDecryptor {
    scheme: &'static Scheme,
    tenc: Tenc,
    cipher: Cipher,
    /// Whether its constant IV is the one that follows from the key.
    is_iv_derived: bool,
}

impl FragmentDecryptor {
    /// A decryptor for a track of this scheme and `tenc`.
    pub fn new(scheme: &'static Scheme, tenc: Tenc, key: &Secret<16>) -> Self {
        let derived = || constant_iv(tenc.default_kid, key);
        let is_iv_derived = tenc.default_constant_iv.as_ref().is_some_and(|iv| *iv == derived());
        Self { scheme, tenc, cipher: Cipher::new(key), is_iv_derived }
    }

    /// Whether another IV than samples were encrypted with may garble so little that it does not show: in counter mode it
    /// garbles everything, and an IV that follows from the key is right with it.
    pub fn hides_iv(&self) -> bool {
        self.scheme.mode == Mode::Cbc && !self.is_iv_derived
    }

    /// The IV of all samples, if they have one.
    pub fn constant_iv(&self) -> Option<[u8; 16]> {
        self.tenc.default_constant_iv.as_deref().map(zero_extended)
    }

    /// Decrypts one sample in place; `entry` is what `senc` says about it.
    ///
    /// # Errors
    /// When the subsamples do not add up to the sample, or there is no IV.
    pub fn decrypt(&self, sample: &mut [u8], entry: &SencEntry) -> Result<()> {
        let covered: usize = entry
            .subsamples
            .iter()
            .map(|s| usize::from(s.bytes_of_clear_data) + s.bytes_of_protected_data as usize)
            .sum();
        if !entry.subsamples.is_empty() && covered != sample.len() {
            return Err(Error::input(format!(
                "{} subsamples cover {covered} bytes, the sample has {}",
                entry.subsamples.len(),
                sample.len()
            ))
            .clause("ISO/IEC 23001-7 §7.2")
            .at("senc"));
        }
        let iv = match entry.initialization_vector.as_slice() {
            [] => self.tenc.default_constant_iv.as_deref().unwrap_or_default(),
            iv => iv,
        };
        if iv.is_empty() {
            return Err(Error::input("neither senc nor tenc has an IV").clause("ISO/IEC 23001-7 §9.1"));
        }
        let ranges = encrypted(self.scheme, 0..sample.len(), &entry.subsamples);
        let (iv, pattern) = (zero_extended(iv), self.pattern());
        match self.scheme.mode {
            Mode::Ctr => self.cipher.ctr_pattern(&iv, pattern, sample, ranges),
            Mode::Cbc => self.cipher.cbc_decrypt(&iv, pattern, self.scheme.chain, sample, ranges),
        }
        Ok(())
    }

    /// The bytes of a sample of this length that [`FragmentDecryptor::decrypt`] changes, in order.
    pub fn encrypted(&self, length: usize, entry: &SencEntry, out: &mut Vec<Range<usize>>) {
        out.clear();
        for range in encrypted(self.scheme, 0..length, &entry.subsamples) {
            patterned(self.pattern(), range, self.scheme.mode == Mode::Ctr, out);
        }
    }

    fn pattern(&self) -> Pattern {
        Pattern {
            crypt_byte_block: self.tenc.default_crypt_byte_block,
            skip_byte_block: self.tenc.default_skip_byte_block,
        }
    }
}

/// §9.3: an eight-byte IV is the first half of the counter block, the second half counts from 0.
fn zero_extended(iv: &[u8]) -> [u8; 16] {
    let mut block = [0; 16];
    block.iter_mut().zip(iv).for_each(|(to, from)| *to = *from);
    block
}
