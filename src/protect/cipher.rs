//! AES-128 chains — ISO/IEC 23001-7 §9.4 to §9.6, NIST SP 800-38A: one key schedule for each key.

use std::ops::Range;

use aes::{Aes128Dec, Aes128Enc};
use cipher::{
    Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher,
    StreamCipherCoreWrapper, consts::U16,
};
use ctr::CtrCore;
use ctr::flavors::Ctr64BE;

use crate::base::Secret;

use super::scheme::{Chain, Pattern};

/// Bytes in an AES block.
pub(super) const BLOCK: usize = 16;
/// CBC chains that are encrypted side by side: one chain waits for its last block, eight keep the
/// AES units busy (`benches/kernels.rs`).
pub(super) const LANES: usize = 8;

/// A content key, expanded once.
pub struct Cipher {
    encrypt: Aes128Enc,
    decrypt: Aes128Dec,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(…)")
    }
}

impl Cipher {
    /// Expands a key.
    pub fn new(key: &Secret<16>) -> Self {
        let key = key.expose().into();
        Self { encrypt: Aes128Enc::new(key), decrypt: Aes128Dec::new(key) }
    }

    /// AES-CTR over the ranges of one sample, in order, as one key stream; encrypts and decrypts.
    ///
    /// The counter is the last eight bytes of the block and wraps without a carry: §9.3.
    pub fn ctr(&self, iv: &[u8; 16], data: &mut [u8], ranges: impl Iterator<Item = Range<usize>>) {
        self.ctr_pattern(iv, Pattern::NONE, data, ranges);
    }

    /// AES-CTR with a pattern, which begins anew with each range; the counter counts the encrypted blocks
    /// alone: §10.3.
    pub fn ctr_pattern(
        &self,
        iv: &[u8; 16],
        pattern: Pattern,
        data: &mut [u8],
        ranges: impl Iterator<Item = Range<usize>>,
    ) {
        let core = CtrCore::<_, Ctr64BE>::inner_iv_init(&self.encrypt, iv.into());
        let mut stream = StreamCipherCoreWrapper::from_core(core);
        for range in ranges {
            if pattern.skip_byte_block == 0 {
                if let Some(bytes) = data.get_mut(range) {
                    stream.apply_keystream(bytes);
                }
                continue;
            }
            let mut blocks = Blocks::new(pattern, &range);
            while let Some(block) = blocks.next().and_then(|start| data.get_mut(start..start + BLOCK)) {
                stream.apply_keystream(block);
            }
        }
    }

    /// AES-CBC over the ranges of one sample as one chain, which begins with `iv`: §10.2.
    pub fn cbc_encrypt_chain(
        &self,
        iv: &[u8; 16],
        pattern: Pattern,
        data: &mut [u8],
        ranges: impl Iterator<Item = Range<usize>>,
    ) {
        self.encrypt.encrypt_with_backend(CbcEncryptChain { iv: *iv, pattern, data, ranges });
    }

    /// AES-CBC with a pattern over many ranges, each a chain of its own that begins with `iv`.
    pub fn cbc_encrypt(&self, iv: &[u8; 16], pattern: Pattern, data: &mut [u8], ranges: &[Range<usize>]) {
        let chains = ranges.iter().map(|range| (range.clone(), *iv));
        self.encrypt.encrypt_with_backend(CbcEncrypt { pattern, data, chains });
    }

    /// AES-CBC over ranges, each a chain of its own that goes on behind the block beside it.
    pub(super) fn cbc_encrypt_chains(
        &self,
        data: &mut [u8],
        chains: impl Iterator<Item = (Range<usize>, [u8; 16])>,
    ) {
        self.encrypt.encrypt_with_backend(CbcEncrypt { pattern: Pattern::NONE, data, chains });
    }

    /// The inverse of [`Cipher::cbc_encrypt`] or, when the chain runs through the sample, of
    /// [`Cipher::cbc_encrypt_chain`].
    pub fn cbc_decrypt(
        &self,
        iv: &[u8; 16],
        pattern: Pattern,
        chain: Chain,
        data: &mut [u8],
        ranges: impl Iterator<Item = Range<usize>>,
    ) {
        self.decrypt.decrypt_with_backend(CbcDecrypt { iv: (*iv).into(), pattern, chain, data, ranges });
    }
}

/// Appends the bytes of a range that a pattern encrypts. `stream` is true of a key stream, which without a pattern runs
/// through a last block of less than 16 bytes as well.
pub(super) fn patterned(pattern: Pattern, range: Range<usize>, stream: bool, out: &mut Vec<Range<usize>>) {
    if pattern.skip_byte_block == 0 {
        let end = if stream { range.end } else { range.end - range.len() % BLOCK };
        out.extend((range.start < end).then_some(range.start..end));
        return;
    }
    let mut blocks = Blocks::new(pattern, &range);
    while let Some(start) = blocks.next() {
        match out.last_mut().filter(|last| last.end == start) {
            Some(last) => last.end += BLOCK,
            None => out.push(start..start + BLOCK),
        }
    }
}

/// The blocks of a range that a pattern encrypts: `crypt_byte_block` of them, then `skip_byte_block`
/// clear ones, again and again; a last block of less than 16 bytes is clear (§9.6).
#[derive(Clone, Copy, Debug, Default)]
struct Blocks {
    position: usize,
    end: usize,
    left_in_run: usize,
    crypt: usize,
    skip: usize,
}

impl Blocks {
    fn new(pattern: Pattern, range: &Range<usize>) -> Self {
        let crypt = match usize::from(pattern.crypt_byte_block) {
            0 => usize::MAX,
            crypt => crypt,
        };
        let skip = usize::from(pattern.skip_byte_block) * BLOCK;
        Self { position: range.start, end: range.end, left_in_run: crypt, crypt, skip }
    }

    /// How many encrypted blocks are to come.
    fn left(&self) -> usize {
        let bytes = self.end.saturating_sub(self.position);
        let Some(run) = self.crypt.checked_mul(BLOCK) else { return bytes / BLOCK };
        let in_this_run = (bytes / BLOCK).min(self.left_in_run);
        let behind = bytes.saturating_sub(self.left_in_run * BLOCK + self.skip);
        let (runs, rest) = (behind / (run + self.skip), behind % (run + self.skip));
        in_this_run + runs * self.crypt + (rest / BLOCK).min(self.crypt)
    }

    /// Where the next encrypted block begins.
    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let start = self.position;
        if start + BLOCK > self.end {
            return None;
        }
        self.position += BLOCK;
        self.left_in_run -= 1;
        if self.left_in_run == 0 {
            self.position += self.skip;
            self.left_in_run = self.crypt;
        }
        Some(start)
    }
}

struct CbcEncrypt<'a, I> {
    pattern: Pattern,
    data: &'a mut [u8],
    /// Ranges, each with the block before it.
    chains: I,
}

impl<I> BlockSizeUser for CbcEncrypt<'_, I> {
    type BlockSize = U16;
}

/// One chain at work. The block is held as one number: byte-wise work would stall each load behind its stores.
#[derive(Clone, Copy)]
struct Lane {
    blocks: Blocks,
    chain: u128,
}

impl Lane {
    /// Encrypts the lane's next block; `false` when it has none left.
    #[inline(always)]
    fn step<B: BlockCipherEncBackend<BlockSize = U16>>(&mut self, backend: &B, data: &mut [u8]) -> bool {
        let next = self.blocks.next();
        let Some(bytes) = next.and_then(|start| data.get_mut(start..)?.first_chunk_mut::<BLOCK>()) else {
            return false;
        };
        let mut block = Block::<Aes128Enc>::from((u128::from_ne_bytes(*bytes) ^ self.chain).to_ne_bytes());
        backend.encrypt_block_inplace(&mut block);
        *bytes = block.into();
        self.chain = u128::from_ne_bytes(*bytes);
        true
    }
}

impl<I: Iterator<Item = (Range<usize>, [u8; BLOCK])>> BlockCipherEncClosure for CbcEncrypt<'_, I> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { pattern, data, chains } = self;
        let mut waiting = chains
            .map(|(range, iv)| Lane { blocks: Blocks::new(pattern, &range), chain: u128::from_ne_bytes(iv) })
            .filter(|lane| lane.blocks.left() > 0);
        let mut lanes = [Lane { blocks: Blocks::default(), chain: 0 }; LANES];
        let mut busy = 0;
        for (lane, next) in lanes.iter_mut().zip(waiting.by_ref()) {
            *lane = next;
            busy += 1;
        }
        // While every lane has work, all of them do a block in turn: the blocks do not wait for each other.
        while busy == LANES {
            let rounds = lanes.iter().map(|lane| lane.blocks.left()).min().unwrap_or(0);
            for _ in 0..rounds {
                for lane in &mut lanes {
                    lane.step(backend, data);
                }
            }
            for lane in lanes.iter_mut().filter(|lane| lane.blocks.left() == 0) {
                match waiting.next() {
                    Some(next) => *lane = next,
                    None => busy -= 1,
                }
            }
        }
        // The last ranges: lanes that have nothing left drop out.
        let mut worked = true;
        while worked {
            worked = false;
            for lane in &mut lanes {
                worked |= lane.step(backend, data);
            }
        }
    }
}

struct CbcEncryptChain<'a, I> {
    iv: [u8; BLOCK],
    pattern: Pattern,
    data: &'a mut [u8],
    ranges: I,
}

impl<I> BlockSizeUser for CbcEncryptChain<'_, I> {
    type BlockSize = U16;
}

impl<I: Iterator<Item = Range<usize>>> BlockCipherEncClosure for CbcEncryptChain<'_, I> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut lane = Lane { blocks: Blocks::default(), chain: u128::from_ne_bytes(self.iv) };
        for range in self.ranges {
            lane.blocks = Blocks::new(self.pattern, &range);
            while lane.step(backend, self.data) {}
        }
    }
}

struct CbcDecrypt<'a, I> {
    iv: Block<Aes128Dec>,
    pattern: Pattern,
    chain: Chain,
    data: &'a mut [u8],
    ranges: I,
}

impl<I> BlockSizeUser for CbcDecrypt<'_, I> {
    type BlockSize = U16;
}

impl<I: Iterator<Item = Range<usize>>> BlockCipherDecClosure for CbcDecrypt<'_, I> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        let mut chain = self.iv;
        for range in self.ranges {
            if self.chain == Chain::Subsample {
                chain = self.iv;
            }
            let mut blocks = Blocks::new(self.pattern, &range);
            while let Some(block) = blocks.next().and_then(|start| self.data.get_mut(start..start + BLOCK)) {
                let mut text = Block::<Aes128Dec>::default();
                text.copy_from_slice(block);
                let encrypted = text;
                backend.decrypt_block_inplace(&mut text);
                text.iter_mut().zip(chain.iter()).for_each(|(byte, chain)| *byte ^= chain);
                block.copy_from_slice(&text);
                chain = encrypted;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{hex, parse_16};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    /// The vectors are those of NIST SP 800-38A F.2, F.5, and others made with an independent AES.
    fn key() -> Cipher {
        Cipher::new(&Secret::new(parse_16("32333435363738393021323334353637").unwrap()))
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|i| u8::try_from(i % 256).unwrap()).collect()
    }

    fn cbcs(pattern: Pattern, length: usize) -> Vec<u8> {
        let iv = parse_16("00112233445566778899aabbccddeeff").unwrap();
        let mut data = text(length);
        key().cbc_encrypt(&iv, pattern, &mut data, std::slice::from_ref(&(0..length)));
        data
    }

    const ONE_NINE: Pattern = Pattern { crypt_byte_block: 1, skip_byte_block: 9 };

    #[test]
    fn the_counter_wraps_without_a_carry() {
        let iv = parse_16("0011223344556677ffffffffffffffff").unwrap();
        let mut data = vec![0; 32];
        key().ctr(&iv, &mut data, std::iter::once(0..32));
        assert_eq!(hex(&data[..16]), "08ab2ef5af10e6c097cc6982c8250fef");
        assert_eq!(hex(&data[16..]), "85cfd68ce56bf4f0b7a7248a2b5b5163");
    }

    #[test]
    fn a_counter_of_eight_bytes_wraps_to_its_start_also_under_a_pattern() {
        // The third encrypted block follows the wrap: it is that of counter 0, whose high half stays.
        let wrapping = parse_16("0011223344556677fffffffffffffffe").unwrap();
        let zero = parse_16("00112233445566770000000000000000").unwrap();
        let mut data = vec![0; 16 * 21];
        key().ctr_pattern(&wrapping, ONE_NINE, &mut data, std::iter::once(0..16 * 21));
        let mut first = vec![0; 16];
        key().ctr(&zero, &mut first, std::iter::once(0..16));
        assert_eq!(data[320..336], first);
        assert_eq!(hex(&data[160..176]), "08ab2ef5af10e6c097cc6982c8250fef");
        assert!(data[16..160].iter().chain(&data[176..320]).all(|byte| *byte == 0), "skipped blocks stay");
    }

    #[test]
    fn the_counter_counts_encrypted_blocks_alone_and_the_pattern_begins_anew_in_each_range() {
        let iv = [5; 16];
        let mut patterned = vec![0; 400];
        key().ctr_pattern(&iv, ONE_NINE, &mut patterned, [3..3 + 176, 200..216].into_iter());
        let mut plain = vec![0; 48];
        key().ctr(&iv, &mut plain, std::iter::once(0..48));
        assert_eq!(patterned[3..19], plain[..16]);
        assert_eq!(patterned[163..179], plain[16..32]);
        assert_eq!(patterned[200..216], plain[32..]);
        assert_eq!(
            patterned.iter().filter(|byte| **byte == 0).count(),
            400 - 48 + plain.iter().filter(|b| **b == 0).count()
        );
    }

    #[test]
    fn one_chain_runs_on_through_the_ranges_of_a_sample() {
        let (iv, clear) = ([9; 16], text(200));
        let mut apart = clear.clone();
        // A tail of less than a block stays clear; the chain goes on with the last encrypted block.
        let ranges = [5..5 + 32, 50..50 + 23, 100..180];
        key().cbc_encrypt_chain(&iv, Pattern::NONE, &mut apart, ranges.clone().into_iter());
        let blocks: Vec<u8> = [&clear[5..37], &clear[50..66], &clear[100..180]].concat();
        let mut whole = blocks.clone();
        key().cbc_encrypt(&iv, Pattern::NONE, &mut whole, std::slice::from_ref(&(0..blocks.len())));
        assert_eq!([&apart[5..37], &apart[50..66], &apart[100..180]].concat(), whole);
        assert_eq!(apart[66..73], clear[66..73]);
        key().cbc_decrypt(&iv, Pattern::NONE, Chain::Sample, &mut apart, ranges.into_iter());
        assert_eq!(apart, clear);
    }

    #[test]
    fn the_key_stream_runs_on_through_the_subsamples() {
        let mut iv = [0; 16];
        iv[..8].copy_from_slice(&[0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x30]);
        let mut data = text(87);
        key().ctr(&iv, &mut data, [18..50, 55..87].into_iter());
        assert_eq!(hex(&data[18..34]), "68bf1c0e800aff935134bf07017888a2");
        assert_eq!(hex(&data[55..71]), "7473624747106ab60ec48d474fe7d834");
        assert_eq!(
            hex(&Sha256::digest(&data)),
            "4a1a59b1103e8ebf94239357bba9f9391085e2de9ce43c22d475537428869d34"
        );
    }

    #[test]
    fn pattern_one_nine_over_350_bytes() {
        let data = cbcs(ONE_NINE, 350);
        assert_eq!(hex(&data[..16]), "9b6599355b4736aafd4207b2592eaa95");
        assert_eq!(hex(&data[160..176]), "4fa6bf4b4bbecb752f71464fb1910bf6");
        assert_eq!(hex(&data[320..336]), "948cc929cf3068625fc82ca4b887a3a2");
        assert_eq!(
            hex(&Sha256::digest(&data)),
            "05371476ed44533823edff9286f248ce5d4b0e148e5ab6639be3e091cd3b2b36"
        );
    }

    #[test]
    fn a_whole_last_block_at_a_crypt_position_is_encrypted() {
        assert_eq!(
            hex(&Sha256::digest(cbcs(ONE_NINE, 336))),
            "1dc7e60e0d640121aca0bb80edc7f4b551fef246853e1f8a6e3d480ceadd8909"
        );
    }

    #[test]
    fn no_pattern_encrypts_every_whole_block() {
        let data = cbcs(Pattern::NONE, 350);
        assert_eq!(hex(&data[320..336]), "b05336c35916d846c8fcd9a52af1aaaf");
        assert_eq!(
            hex(&Sha256::digest(&data)),
            "60c2d687ff0c00d8d9c0029e088882f8670ec817073850ef1673497e4c637dba"
        );
    }

    #[test]
    fn nist_sp_800_38a() {
        let key = Cipher::new(&Secret::new(parse_16("2b7e151628aed2a6abf7158809cf4f3c").unwrap()));
        let plain: Vec<u8> = ["6bc1bee22e409f96e93d7e117393172a", "ae2d8a571e03ac9c9eb76fac45af8e51"]
            .iter()
            .flat_map(|block| parse_16(block).unwrap())
            .collect();
        let mut data = plain.clone();
        let iv = parse_16("000102030405060708090a0b0c0d0e0f").unwrap();
        key.cbc_encrypt(&iv, Pattern::NONE, &mut data, std::slice::from_ref(&(0..32)));
        assert_eq!(hex(&data), "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2");
        let mut data = plain;
        let counter = parse_16("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").unwrap();
        key.ctr(&counter, &mut data, std::iter::once(0..32));
        assert_eq!(hex(&data), "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff");
    }

    proptest! {
        #[test]
        fn the_count_of_blocks_to_come_is_right_at_every_step(length in 0_usize..900, crypt in 0_u8..4, skip in 0_u8..10) {
            let mut blocks = Blocks::new(Pattern { crypt_byte_block: crypt, skip_byte_block: skip }, &(5..5 + length));
            let mut left = blocks.left();
            while blocks.next().is_some() {
                left -= 1;
                prop_assert_eq!(blocks.left(), left);
            }
            prop_assert_eq!(left, 0);
        }

        #[test]
        fn lanes_give_what_one_chain_at_a_time_gives(
            lengths in proptest::collection::vec(0_usize..700, 0..40),
            crypt in 0_u8..4,
            skip in 0_u8..10,
        ) {
            let pattern = Pattern { crypt_byte_block: crypt, skip_byte_block: skip };
            let mut position = 0;
            let ranges: Vec<_> = lengths.iter().map(|length| {
                let range = position + 3..position + 3 + length;
                position = range.end;
                range
            }).collect();
            let clear = text(position);
            let iv = [7; 16];
            let mut together = clear.clone();
            key().cbc_encrypt(&iv, pattern, &mut together, &ranges);
            let mut apart = clear.clone();
            for range in &ranges {
                key().cbc_encrypt(&iv, pattern, &mut apart, std::slice::from_ref(range));
            }
            prop_assert_eq!(&together, &apart);
            key().cbc_decrypt(&iv, pattern, Chain::Subsample, &mut together, ranges.iter().cloned());
            prop_assert_eq!(together, clear);
        }
    }
}
