//! The samples of a fragment, enciphered in place — ISO/IEC 23001-7 §9, the one loop for every codec and scheme.

use std::ops::Range;

use crate::base::{Error, Kid, Result, Secret};
use crate::codec::Ranges;
use crate::isobmff::boxes::{SencEntry, SencSubsample, SencWriter, Tenc};

use super::cipher::Cipher;
use super::iv::Iv;
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

/// Enciphers the samples of one track, segment by segment; its buffers are reused.
pub struct FragmentEncryptor<'a> {
    protection: &'a TrackProtection,
    /// The codec's parser; `None` when whole samples are protected.
    parser: Option<Box<dyn Ranges>>,
    ranges: Vec<Range<usize>>,
    subsamples: Vec<SencSubsample>,
    chains: Vec<Range<usize>>,
}

impl<'a> FragmentEncryptor<'a> {
    /// An encryptor for one track from one random access point on.
    pub fn new(protection: &'a TrackProtection, parser: Option<Box<dyn Ranges>>) -> Self {
        Self { protection, parser, ranges: Vec::new(), subsamples: Vec::new(), chains: Vec::new() }
    }

    /// A table for the fragment's samples.
    pub fn senc(&self) -> SencWriter {
        SencWriter::new(self.parser.is_some())
    }

    /// Enciphers the samples at these ranges of `data`, in place, and appends an entry for each to `senc`.
    ///
    /// `segment` is the number of the segment in the track, `first_sample` the number in the segment of
    /// the first of these samples: the IVs depend on them and on nothing else.
    ///
    /// # Errors
    /// When a sample lies outside `data`, cannot be parsed, or has too many subsamples.
    pub fn encrypt(
        &mut self,
        data: &mut [u8],
        samples: impl Iterator<Item = Range<usize>>,
        segment: u32,
        first_sample: u32,
        senc: &mut SencWriter,
    ) -> Result<()> {
        self.chains.clear();
        for (number, sample) in (first_sample..).zip(samples) {
            self.sample(data, sample, segment, number, senc)
                .map_err(|error| error.at(format_args!("sample {}", u64::from(number) + 1)))?;
        }
        if let (Mode::Cbc, Iv::Constant(iv)) = (self.protection.scheme.mode, &self.protection.iv) {
            self.protection.cipher.cbc_encrypt(iv, self.protection.pattern, data, &self.chains);
        }
        Ok(())
    }

    fn sample(
        &mut self,
        data: &mut [u8],
        range: Range<usize>,
        segment: u32,
        number: u32,
        senc: &mut SencWriter,
    ) -> Result<()> {
        let length = data.len();
        let Some(sample) = data.get(range.clone()) else {
            return Err(Error::input(format!(
                "lies at {}..{} of the media data, which has {length} bytes",
                range.start, range.end
            ))
            .clause("ISO/IEC 14496-12 §8.8.8"));
        };
        self.subsamples.clear();
        if let Some(parser) = &mut self.parser {
            self.ranges.clear();
            parser.ranges(sample, &mut self.ranges)?;
            subsamples(self.protection.scheme, sample.len(), &self.ranges, &mut self.subsamples);
        }
        let whole = self.parser.is_none().then(|| range.clone());
        let scheme = self.protection.scheme;
        let ranges = protected_ranges(range.start, &self.subsamples).chain(whole);
        let ranges = ranges.map(|range| scheme.enciphered(range));
        match &self.protection.iv {
            Iv::Constant(_) => {
                self.chains.extend(ranges);
                senc.push(&[], &self.subsamples)
            }
            Iv::PerSample(ivs) => {
                let TrackProtection { pattern, cipher, .. } = self.protection;
                let (short, long);
                let iv: &[u8] = if scheme.iv == IvRule::PerSample16 {
                    long = ivs.iv_16(segment, number)?;
                    &long
                } else {
                    short = ivs.iv(segment, number)?;
                    &short
                };
                match scheme.mode {
                    Mode::Ctr => cipher.ctr_pattern(&zero_extended(iv), *pattern, data, ranges),
                    Mode::Cbc => cipher.cbc_encrypt_chain(&zero_extended(iv), *pattern, data, ranges),
                }
                senc.push(iv, &self.subsamples)
            }
        }
    }
}

/// Deciphers the samples of one track, by what its boxes say.
pub struct FragmentDecryptor {
    scheme: &'static Scheme,
    tenc: Tenc,
    cipher: Cipher,
}

impl FragmentDecryptor {
    /// A decryptor for a track of this scheme and `tenc`.
    pub fn new(scheme: &'static Scheme, tenc: Tenc, key: &Secret<16>) -> Self {
        Self { scheme, tenc, cipher: Cipher::new(key) }
    }

    /// Deciphers one sample in place; `entry` is what `senc` says about it.
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
        let whole = entry.subsamples.is_empty().then_some(0..sample.len());
        let ranges = protected_ranges(0, &entry.subsamples).chain(whole);
        let ranges = ranges.map(|range| self.scheme.enciphered(range));
        let iv = zero_extended(iv);
        let pattern = Pattern {
            crypt_byte_block: self.tenc.default_crypt_byte_block,
            skip_byte_block: self.tenc.default_skip_byte_block,
        };
        match self.scheme.mode {
            Mode::Ctr => self.cipher.ctr_pattern(&iv, pattern, sample, ranges),
            Mode::Cbc => self.cipher.cbc_decrypt(&iv, pattern, self.scheme.chain, sample, ranges),
        }
        Ok(())
    }
}

/// §9.3: an eight-byte IV is the first half of the counter block, the second half counts from 0.
fn zero_extended(iv: &[u8]) -> [u8; 16] {
    let mut block = [0; 16];
    block.iter_mut().zip(iv).for_each(|(to, from)| *to = *from);
    block
}
