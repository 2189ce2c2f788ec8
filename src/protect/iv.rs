//! Initialization vectors — ISO/IEC 23001-7 §9.2, §9.3: which IV a sample gets; `docs/iv.md` argues why that is safe.
//!
//! Under AES-CTR no counter block may cover two different plaintexts under one key, whoever encrypts how often. So
//! the IVs of a fragment follow from what is encrypted, as in the misuse-resistant modes of RFC 8452:
//!
//! ```text
//! digest = POLYVAL(hash key; fields of the fragment ‖ its clear samples, each padded with zeros to whole blocks)
//! eight bytes:   IV of sample j = first half of AES(IV key; digest) + j      modulo 2^64
//! sixteen bytes: IV of sample j = AES(IV key; digest XOR j)
//! ```
//!
//! Both keys are derived from the content key (NIST SP 800-108r1 §4.1, HMAC-SHA-256). The fields are the scheme, the
//! pattern, the IV that the key source or the operator gave, if one was given, the kind of track, its timescale and
//! sample entry, the decode time, and the size and subsamples of each sample; [`Fields`] has their layout.
//!
//! Equal fragments get equal IVs and so equal bytes, on any machine, in any order, window or run; that shows that
//! they are equal and nothing else. Fragments that differ in anything get IVs that overlap by chance alone. Of `F`
//! different fragments with `S` samples in all under one key, some two overlap with a probability of less than
//!
//! ```text
//! F · S / 2^64
//! ```
//!
//! A film of two hours, in ten tracks of segments of six seconds with 30 samples a second, has F = 2^13.6 and
//! S = 2^21: 2^-29. A run that would come to more than 2^-20 is refused ([`SampleIvs::check`]); with other keys
//! (`--rotate-every`, a key for each track) it is two. Across runs the products add up as F and S do.
//!
//! A constant IV is what the key source or the operator gave, or else follows from key and key id, so that all who
//! share a key without an IV use the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aes::Aes128Enc;
use cipher::{BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base::{Error, Kid, Result, Secret};
use crate::codec::TrackKind;
use crate::isobmff::boxes::SencSubsample;

use super::scheme::{IvRule, Pattern, Scheme};

/// Most samples of one fragment.
pub const MAX_FRAGMENT_SAMPLES: usize = 1 << 20;
/// Most that fragments times samples under one key may come to in a run: a probability of 2^-20.
const MAX_FRAGMENTS_TIMES_SAMPLES: u128 = 1 << 44;

/// Where the samples of a track get their IVs.
#[derive(Clone, Debug)]
pub enum Iv {
    /// `default_constant_IV` of `tenc`, applied to each subsample.
    Constant([u8; 16]),
    /// Eight or sixteen bytes with each sample, as the scheme says.
    PerSample(SampleIvs),
}

impl Iv {
    /// What a scheme makes of a key, and of the IV that its source or the operator gave.
    pub fn of(scheme: &Scheme, kid: Kid, key: &Secret<16>, given: Option<[u8; 16]>) -> Self {
        match scheme.iv {
            IvRule::Constant16 => Self::Constant(given.unwrap_or_else(|| constant_iv(kid, key))),
            IvRule::PerSample8 | IvRule::PerSample16 => Self::PerSample(SampleIvs::new(key, given)),
        }
    }

    /// Counts what is encrypted together with another, which has the same key.
    #[must_use]
    pub(crate) fn counted_with(self, other: &Self) -> Self {
        match (self, other) {
            (Self::PerSample(ivs), Self::PerSample(other)) => {
                Self::PerSample(SampleIvs { used: Arc::clone(&other.used), ..ivs })
            }
            (iv, _) => iv,
        }
    }
}

/// The constant IV of a key whose source gave none: the same on every machine. It is public and says nothing of
/// the key: it is the output of a pseudorandom function under it.
pub fn constant_iv(kid: Kid, key: &Secret<16>) -> [u8; 16] {
    *derived(key, b"drm-pack constant IV", kid.bytes()).expose()
}

/// NIST SP 800-108r1 §4.1: a key derivation function in counter mode, whose one round is more than enough.
fn derived(key: &Secret<16>, label: &[u8], context: &[u8]) -> Secret<16> {
    let mut padded = Zeroizing::new([0; 64]);
    padded.iter_mut().zip(key.expose()).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new((&*padded).into());
    mac.update(&1_u32.to_be_bytes());
    mac.update(label);
    mac.update(&[0]);
    mac.update(context);
    mac.update(&128_u32.to_be_bytes());
    let mut out = [0; 16];
    out.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
    Secret::new(out)
}

/// The IVs under one key, of schemes that write one with each sample.
#[derive(Clone)]
pub struct SampleIvs {
    keys: Arc<DerivedKeys>,
    /// What the key source or the operator gave.
    given: Option<[u8; 16]>,
    used: Arc<Used>,
}

/// The hash key and the IV key, expanded.
struct DerivedKeys {
    hash: Polyval,
    cipher: Aes128Enc,
}

/// How much was encrypted under one key.
#[derive(Debug, Default)]
struct Used {
    fragments: AtomicU64,
    samples: AtomicU64,
}

impl std::fmt::Debug for SampleIvs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SampleIvs(…)")
    }
}

impl SampleIvs {
    /// The IVs under this key. What the key source or the operator gave is one thing more that they depend on.
    pub fn new(key: &Secret<16>, given: Option<[u8; 16]>) -> Self {
        let of = |label: &[u8]| derived(key, label, &[]);
        let hash = Polyval::new(of(b"drm-pack fragment hash").expose().into());
        let cipher = Aes128Enc::new(of(b"drm-pack fragment IV").expose().into());
        Self { keys: Arc::new(DerivedKeys { hash, cipher }), given, used: Arc::default() }
    }

    /// Whether so many fragments and samples were encrypted under the key that IVs may overlap. Every fragment that
    /// was encrypted counts, also when it is the same again: this is for a run that encrypts each once.
    ///
    /// # Errors
    /// When the probability of that may be more than 2^-20.
    pub fn check(&self) -> Result<()> {
        // A fragment counts before its samples do, so that the last to ask sees all.
        let samples = self.used.samples.load(Ordering::SeqCst);
        let fragments = self.used.fragments.load(Ordering::SeqCst);
        if u128::from(fragments) * u128::from(samples) <= MAX_FRAGMENTS_TIMES_SAMPLES {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "{fragments} fragments with {samples} samples under one key, expected a product of at most 2^44: \
             the IVs of two might overlap"
        ))
        .clause("ISO/IEC 23001-7 §9.2")
        .hint("use more keys: --rotate-every, or one for each track with --preset preset1"))
    }

    /// The IVs of a fragment with these fields and clear samples.
    ///
    /// # Errors
    /// When there are too many samples.
    pub(super) fn fragment<'a>(
        &self,
        fields: &Fields,
        samples: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Result<FragmentIvs<'_>> {
        let count = samples.len();
        if count > MAX_FRAGMENT_SAMPLES {
            return Err(Error::unsupported(format!(
                "{count} samples in a fragment, at most {MAX_FRAGMENT_SAMPLES}"
            )));
        }
        self.used.fragments.fetch_add(1, Ordering::SeqCst);
        self.used.samples.fetch_add(count as u64, Ordering::SeqCst);
        let mut hash = self.keys.hash.clone();
        hash.update_padded(&fields.bytes);
        samples.for_each(|sample| hash.update_padded(sample));
        Ok(FragmentIvs::new(&self.keys.cipher, u128::from_be_bytes(hash.finalize().into())))
    }
}

/// The IVs of one fragment.
pub(super) struct FragmentIvs<'a> {
    cipher: &'a Aes128Enc,
    digest: u128,
    /// The eight-byte IV of the first sample.
    first: u64,
}

impl<'a> FragmentIvs<'a> {
    fn new(cipher: &'a Aes128Enc, digest: u128) -> Self {
        let mut ivs = Self { cipher, digest, first: 0 };
        ivs.first = ivs.iv_16(0).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        ivs
    }

    /// The eight-byte IV of a sample.
    pub(super) fn iv_8(&self, sample: usize) -> [u8; 8] {
        self.first.wrapping_add(sample as u64).to_be_bytes()
    }

    /// The sixteen-byte IV of a sample.
    pub(super) fn iv_16(&self, sample: usize) -> [u8; 16] {
        let mut block = (self.digest ^ sample as u128).to_be_bytes().into();
        self.cipher.encrypt_block(&mut block);
        block.into()
    }
}

/// A track as the IVs of its fragments depend on it.
#[derive(Clone, Debug)]
pub struct IvTrack {
    /// What it carries.
    pub kind: TrackKind,
    /// Ticks per second of the media.
    pub timescale: u32,
    /// The sample entry of the fragment as it was before protection: a whole box.
    pub sample_entry: Vec<u8>,
}

/// What the digest of a fragment begins with. Numbers are big-endian; what has no fixed length has it before it, so
/// that no two fragments have the same fields and samples. The first block is never zero.
pub(super) struct Fields {
    bytes: Vec<u8>,
    /// How many bytes are the same for all fragments of the track.
    of_track: usize,
}

impl Fields {
    /// Of a track and what protects it.
    pub(super) fn of_track(scheme: &Scheme, pattern: Pattern, ivs: &SampleIvs, track: &IvTrack) -> Self {
        let kind = match track.kind {
            TrackKind::Video => 1,
            TrackKind::Audio => 2,
            TrackKind::Text => 3,
        };
        let mut bytes = scheme.fourcc.0.to_vec();
        bytes.extend([pattern.crypt_byte_block, pattern.skip_byte_block, kind, ivs.given.is_some().into()]);
        bytes.extend(ivs.given.unwrap_or_default());
        bytes.extend(track.timescale.to_be_bytes());
        bytes.extend((track.sample_entry.len() as u64).to_be_bytes());
        bytes.extend(&track.sample_entry);
        Self { of_track: bytes.len(), bytes }
    }

    /// Begins those of a fragment.
    pub(super) fn begin(&mut self, decode_time: u64, samples: usize) {
        self.bytes.truncate(self.of_track);
        self.bytes.extend(decode_time.to_be_bytes());
        self.bytes.extend((samples as u64).to_be_bytes());
    }

    /// Adds the next sample; one without subsamples is protected whole.
    pub(super) fn sample(&mut self, size: usize, subsamples: &[SencSubsample]) {
        self.bytes.extend((size as u64).to_be_bytes());
        self.bytes.extend((subsamples.len() as u64).to_be_bytes());
        for subsample in subsamples {
            self.bytes.extend(subsample.bytes_of_clear_data.to_be_bytes());
            self.bytes.extend(subsample.bytes_of_protected_data.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::hex;
    use proptest::prelude::*;

    fn key() -> Secret<16> {
        Secret::new(std::array::from_fn(|index| u8::try_from(index).unwrap()))
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|index| u8::try_from(index % 256).unwrap()).collect()
    }

    /// A fragment of a track: what its IVs may depend on.
    #[derive(Clone, Debug, PartialEq)]
    struct Fragment {
        scheme: &'static str,
        given: Option<[u8; 16]>,
        kind: TrackKind,
        timescale: u32,
        sample_entry: Vec<u8>,
        decode_time: u64,
        samples: Vec<Clear>,
    }

    /// A sample and its subsamples.
    type Clear = (Vec<u8>, Vec<(u16, u32)>);

    impl Fragment {
        fn ivs(&self) -> (Vec<[u8; 8]>, Vec<[u8; 16]>) {
            let Self { kind, timescale, sample_entry, .. } = self.clone();
            let scheme = Scheme::find(self.scheme).unwrap();
            let ivs = SampleIvs::new(&key(), self.given);
            let track = IvTrack { kind, timescale, sample_entry };
            let mut fields = Fields::of_track(scheme, scheme.video, &ivs, &track);
            // What another fragment left behind does not matter.
            fields.begin(7, 1);
            fields.sample(5, &[]);
            fields.begin(self.decode_time, self.samples.len());
            for (sample, subsamples) in &self.samples {
                let subsamples = subsamples.iter().map(|(clear, protected)| SencSubsample {
                    bytes_of_clear_data: *clear,
                    bytes_of_protected_data: *protected,
                });
                fields.sample(sample.len(), &subsamples.collect::<Vec<_>>());
            }
            let found =
                ivs.fragment(&fields, self.samples.iter().map(|(sample, _)| sample.as_slice())).unwrap();
            (0..self.samples.len()).map(|index| (found.iv_8(index), found.iv_16(index))).unzip()
        }
    }

    fn video() -> Fragment {
        Fragment {
            scheme: "cenc",
            given: Some(std::array::from_fn(|index| u8::try_from(0x40 + index).unwrap())),
            kind: TrackKind::Video,
            timescale: 90_000,
            sample_entry: [&[0, 0, 0, 16][..], b"avc1", &[0; 8]].concat(),
            decode_time: 180_000,
            samples: vec![(bytes(100), vec![(20, 80)]), (bytes(37), vec![(37, 0)])],
        }
    }

    /// The vectors were made with an implementation apart, from `docs/iv.md`, RFC 8452 §3 and another AES.
    #[test]
    fn ivs_are_those_of_the_specification() {
        let first = |fragment: &Fragment| {
            let (short, long) = fragment.ivs();
            assert_eq!(short[0], long[0][..8]);
            assert_eq!(u64::from_be_bytes(short[0]).wrapping_add(1), u64::from_be_bytes(short[1]));
            [hex(&long[0]), hex(&long[1])]
        };
        assert_eq!(first(&video()), ["7054bf7f5018daccf63e4998b3f3e6f1", "11e43d7f34d9d6a06343b28f69bd38d5"]);
        let patterned = Fragment { scheme: "cens", given: None, ..video() };
        assert_eq!(
            first(&patterned),
            ["19afbddb0a7e10246fc8019a6a69274f", "6bfb81936dc04d20437a58b6b63b4b7d"]
        );
        let samples = video().samples.into_iter().map(|(sample, _)| (sample, Vec::new())).collect();
        let (kind, timescale, decode_time) = (TrackKind::Audio, 48_000, 0);
        let audio =
            Fragment { scheme: "cbc1", given: None, kind, timescale, decode_time, samples, ..video() };
        assert_eq!(first(&audio), ["0a820a7956fa2d101318ed19a3611426", "ec0b770190816b50f13cd8402fdd3040"]);
        let constant = constant_iv(Kid::new([0x31; 16]), &key());
        assert_eq!(hex(&constant), "0e80007d65070b97ab0cb4ac32188cf4");
    }

    #[test]
    fn everything_that_tells_two_fragments_apart_enters() {
        let clear = video();
        let mut others = vec![
            Fragment { scheme: "cens", ..clear.clone() },
            Fragment { given: None, ..clear.clone() },
            Fragment { given: Some([0; 16]), ..clear.clone() },
            Fragment { kind: TrackKind::Audio, ..clear.clone() },
            Fragment { timescale: 90_001, ..clear.clone() },
            Fragment { sample_entry: [&clear.sample_entry[..], &[0]].concat(), ..clear.clone() },
            Fragment { decode_time: 180_001, ..clear.clone() },
        ];
        let mut with = |change: &dyn Fn(&mut Vec<Clear>)| {
            let mut samples = clear.samples.clone();
            change(&mut samples);
            others.push(Fragment { samples, ..clear.clone() });
        };
        // The same bytes, protected from another place on; a zero more, which the padding has as well.
        with(&|samples| samples[0].1 = vec![(36, 64)]);
        with(&|samples| samples[0].1 = Vec::new());
        with(&|samples| samples[1].0.push(0));
        with(&|samples| samples.truncate(1));
        with(&|samples| samples.push((Vec::new(), vec![(0, 0)])));
        with(&|samples| samples.reverse());
        for bit in [0, 300, 799] {
            with(&|samples| samples[0].0[bit / 8] ^= 1 << (bit % 8));
        }
        // All bytes of the samples, cut elsewhere.
        with(&|samples| {
            let moved = samples[1].0.remove(0);
            samples[0].0.push(moved);
        });
        let mut known = vec![clear.ivs().1[0]];
        for other in &others {
            let iv = other.ivs().1[0];
            assert!(!known.contains(&iv), "{other:?}");
            known.push(iv);
        }
        assert_eq!(clear.ivs(), clear.clone().ivs());
    }

    #[test]
    fn the_first_block_of_the_digest_is_never_zero() {
        for scheme in super::super::scheme::SCHEMES {
            assert_ne!(scheme.fourcc.0, [0; 4]);
        }
    }

    #[test]
    fn too_many_samples_are_refused_in_a_fragment_and_under_a_key() {
        let ivs = SampleIvs::new(&key(), None);
        let scheme = Scheme::find("cenc").unwrap();
        let track = IvTrack { kind: TrackKind::Audio, timescale: 1, sample_entry: Vec::new() };
        let fields = Fields::of_track(scheme, Pattern::NONE, &ivs, &track);
        let fragment = |count| {
            let empty: &[u8] = &[];
            ivs.fragment(&fields, vec![empty; count].into_iter()).map(drop)
        };
        assert!(fragment(MAX_FRAGMENT_SAMPLES + 1).is_err());
        fragment(MAX_FRAGMENT_SAMPLES).unwrap();
        // 2^24 samples in 2^20 fragments; the last one is too many. Others with the key count as well.
        let other =
            Iv::PerSample(SampleIvs::new(&key(), Some([1; 16]))).counted_with(&Iv::PerSample(ivs.clone()));
        ivs.used.samples.store((1 << 24) - 1, Ordering::SeqCst);
        ivs.used.fragments.store((1 << 20) - 1, Ordering::SeqCst);
        fragment(1).unwrap();
        ivs.check().unwrap();
        fragment(1).unwrap();
        assert!(ivs.check().unwrap_err().to_string().contains("--rotate-every"));
        let Iv::PerSample(other) = other else { unreachable!() };
        assert!(other.check().is_err());
    }

    proptest! {
        #[test]
        fn two_fragments_have_the_same_ivs_only_if_they_are_the_same(
            a in proptest::collection::vec((proptest::collection::vec(0_u8..2, 0..20), 0_u16..3), 1..4),
            b in proptest::collection::vec((proptest::collection::vec(0_u8..2, 0..20), 0_u16..3), 1..4),
        ) {
            let fragment = |samples: Vec<(Vec<u8>, u16)>| Fragment {
                samples: samples.into_iter().map(|(sample, clear)| (sample, vec![(clear, 16)])).collect(),
                ..video()
            };
            let (a, b) = (fragment(a), fragment(b));
            prop_assert_eq!(a.ivs() == b.ivs(), a == b);
        }
    }
}
