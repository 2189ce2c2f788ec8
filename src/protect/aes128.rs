//! Whole segments in AES-128 — RFC 8216bis §4.4.4.4, §5.2: CBC with PKCS #7 padding over every byte, any container.

use std::ops::Range;

use crate::base::env::{Sink, Source};
use crate::base::{Error, Result, Secret};

use super::cipher::{Cipher, LANES};
use super::scheme::{Chain, Pattern};

/// Bytes in an AES block.
const BLOCK: usize = 16;
/// Bytes of a segment in memory at a time: a multiple of a block. Each core has its own.
const CHUNK_BYTES: usize = 128 << 10;
/// Segments that a core encrypts side by side.
pub const SIDE_BY_SIDE: usize = LANES;

/// A key and the IV of a segment, or of each segment that is a byte range.
pub struct Aes128 {
    cipher: Cipher,
    /// Told from others: what one key encrypts is encrypted side by side.
    key: Secret<16>,
    iv: [u8; BLOCK],
}

impl Aes128 {
    /// A segment's key and IV.
    pub fn new(key: &Secret<16>, iv: [u8; 16]) -> Self {
        Self { cipher: Cipher::new(key), key: key.clone(), iv }
    }

    /// The IV.
    pub fn iv(&self) -> &[u8; 16] {
        &self.iv
    }

    /// The IV of a segment whose playlist gives none: the media sequence number as a 128-bit big-endian number, §5.2.
    pub fn iv_of_media_sequence_number(number: u64) -> [u8; 16] {
        u128::from(number).to_be_bytes()
    }

    /// The length of a segment of `length` bytes when it is encrypted: the next multiple of 16 above it.
    pub fn encrypted_length(length: u64) -> u64 {
        (length / BLOCK as u64).saturating_add(1).saturating_mul(BLOCK as u64)
    }

    /// Encrypts all of `source` and returns how many bytes were written.
    ///
    /// # Errors
    /// When the source cannot be read or the sink cannot be written.
    pub fn encrypt(&self, source: &dyn Source, sink: &mut dyn Sink) -> Result<u64> {
        let (mut encryption, mut buffer, mut written) = (Encryption::of(self, source.len()), Vec::new(), 0);
        while let Some(piece) = encryption.read(source, &mut buffer)? {
            encrypt_side_by_side(&mut [(&mut encryption, piece)], &mut buffer);
            sink.write(&buffer)?;
            written += buffer.len() as u64;
            buffer.clear();
        }
        Ok(written)
    }

    /// The inverse of [`Aes128::encrypt`].
    ///
    /// # Errors
    /// When the length is no multiple of 16, or the padding is wrong, as it is with another key or IV.
    pub fn decrypt(&self, source: &dyn Source, sink: &mut dyn Sink) -> Result<u64> {
        let length = source.len();
        if length == 0 || !length.is_multiple_of(BLOCK as u64) {
            return Err(Error::input(format!("{length} bytes, a multiple of {BLOCK} expected"))
                .clause("RFC 8216bis §5.2"));
        }
        let mut chain = self.iv;
        let mut written = 0;
        let mut buffer = Vec::new();
        for chunk in Chunks::of(length).filter(|chunk| chunk.length > 0) {
            chunk.read(source, &mut buffer)?;
            let next = last_block(&buffer).unwrap_or(chain);
            let all = 0..buffer.len();
            self.cipher.cbc_decrypt(
                &chain,
                Pattern::NONE,
                Chain::Subsample,
                &mut buffer,
                std::iter::once(all),
            );
            chain = next;
            if chunk.position + chunk.length as u64 == length {
                remove_padding(&mut buffer)?;
            }
            sink.write(&buffer)?;
            written += buffer.len() as u64;
        }
        Ok(written)
    }
}

/// A segment that is encrypted piece by piece.
pub struct Encryption<A> {
    aes128: A,
    chunks: Chunks,
    /// The block before the next piece.
    chain: [u8; BLOCK],
}

impl<A: AsRef<Aes128>> Encryption<A> {
    /// That of a segment of so many bytes.
    pub fn of(aes128: A, length: u64) -> Self {
        let chain = aes128.as_ref().iv;
        Self { aes128, chunks: Chunks::of(length), chain }
    }

    fn key(&self) -> &[u8; 16] {
        self.aes128.as_ref().key.expose()
    }

    /// Reads the next piece of the segment behind what is in `buffer`, and says where; `None` at its end.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn read(&mut self, source: &dyn Source, buffer: &mut Vec<u8>) -> Result<Option<Range<usize>>> {
        let Some(chunk) = self.chunks.next() else { return Ok(None) };
        let start = buffer.len();
        buffer.resize(start + chunk.length, 0);
        source.read_at(chunk.position, buffer.get_mut(start..).unwrap_or_default())?;
        if chunk.is_last {
            // RFC 5652 §6.3: always at least one byte, each with the number of them.
            let padding = BLOCK - chunk.length % BLOCK;
            buffer.resize(buffer.len() + padding, u8::try_from(padding).unwrap_or(0));
        }
        Ok(Some(start..buffer.len()))
    }
}

/// Encrypts a piece of each of these segments, which lie in `buffer` one behind the other: those under one key that stand
/// together side by side, since one chain waits for its last block.
pub fn encrypt_side_by_side<A: AsRef<Aes128>>(
    pieces: &mut [(&mut Encryption<A>, Range<usize>)],
    buffer: &mut [u8],
) {
    for under_one in pieces.chunk_by_mut(|(one, _), (other, _)| one.key() == other.key()) {
        if let Some((first, _)) = under_one.first() {
            let chains = under_one.iter().map(|(encryption, piece)| (piece.clone(), encryption.chain));
            first.aes128.as_ref().cipher.cbc_encrypt_chains(buffer, chains);
        }
        for (encryption, piece) in under_one {
            let last = buffer.get(piece.clone()).and_then(last_block);
            encryption.chain = last.unwrap_or(encryption.chain);
        }
    }
}

impl AsRef<Self> for Aes128 {
    fn as_ref(&self) -> &Self {
        self
    }
}

fn last_block(bytes: &[u8]) -> Option<[u8; BLOCK]> {
    bytes.last_chunk::<BLOCK>().copied()
}

fn remove_padding(bytes: &mut Vec<u8>) -> Result<()> {
    let count = bytes.last().map_or(0, |count| usize::from(*count));
    let start = bytes.len().saturating_sub(count);
    let padding = bytes.get(start..).unwrap_or_default();
    if !(1..=BLOCK).contains(&count) || padding.iter().any(|byte| usize::from(*byte) != count) {
        return Err(Error::input("the padding is not that of PKCS #7")
            .clause("RFC 8216bis §5.2")
            .hint("the key or the IV is another one than the segment was encrypted with"));
    }
    bytes.truncate(start);
    Ok(())
}

/// A part of a source that is read at once.
struct Chunk {
    position: u64,
    length: usize,
    /// Whether the source ends inside or before this chunk could have been full.
    is_last: bool,
}

impl Chunk {
    fn read(&self, source: &dyn Source, buffer: &mut Vec<u8>) -> Result<()> {
        buffer.resize(self.length, 0);
        source.read_at(self.position, buffer)
    }
}

/// Cuts a length into chunks; the last is shorter than the others, and empty if need be.
struct Chunks {
    length: u64,
    next: Option<u64>,
}

impl Chunks {
    fn of(length: u64) -> Self {
        Self { length, next: Some(0) }
    }
}

impl Iterator for Chunks {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let position = self.next?;
        let left = self.length.saturating_sub(position);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let is_last = length < CHUNK_BYTES;
        self.next = (!is_last).then(|| position + CHUNK_BYTES as u64);
        Some(Chunk { position, length, is_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{hex, parse_16};

    fn aes128() -> Aes128 {
        let key = Secret::new(parse_16("2b7e151628aed2a6abf7158809cf4f3c").unwrap());
        Aes128::new(&key, parse_16("000102030405060708090a0b0c0d0e0f").unwrap())
    }

    fn encrypted(clear: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let written = aes128().encrypt(&clear.to_vec(), &mut out).unwrap();
        assert_eq!(written, out.len() as u64);
        assert_eq!(written, Aes128::encrypted_length(clear.len() as u64));
        out
    }

    /// NIST SP 800-38A F.2.1, whose first block is this; the padding is a block of its own.
    #[test]
    fn the_first_block_is_that_of_the_published_vector() {
        let clear = parse_16("6bc1bee22e409f96e93d7e117393172a").unwrap();
        assert_eq!(hex(&encrypted(&clear)[..16]), "7649abac8119b246cee98e9b12e9197d");
        assert_eq!(encrypted(&clear).len(), 32);
    }

    #[test]
    fn decrypting_gives_the_file_back_at_every_length_around_a_chunk() {
        let chunk = CHUNK_BYTES;
        for length in
            (0..50).chain([chunk - 16, chunk - 1, chunk, chunk + 1, chunk + 16, 2 * chunk, 2 * chunk + 5])
        {
            let clear: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let mut out = Vec::new();
            aes128().decrypt(&encrypted(&clear), &mut out).unwrap();
            assert!(out == clear, "{length}");
        }
    }

    /// Of lengths and keys of all kinds, more of them than lanes.
    #[test]
    fn segments_side_by_side_are_as_each_alone() {
        let segments: Vec<Vec<u8>> =
            (0..11_u8).map(|number| vec![number; usize::from(number % 4) * CHUNK_BYTES + 7]).collect();
        let of = |number: usize| {
            Aes128::new(&Secret::new([u8::from(number > 3); 16]), [u8::try_from(number).unwrap(); 16])
        };
        let mut encryptions: Vec<_> = segments
            .iter()
            .enumerate()
            .map(|(number, clear)| Encryption::of(of(number), clear.len() as u64))
            .collect();
        let mut together = vec![Vec::<u8>::new(); segments.len()];
        loop {
            let (mut buffer, mut pieces, mut places) = (Vec::new(), Vec::new(), Vec::new());
            for (number, (encryption, clear)) in encryptions.iter_mut().zip(&segments).enumerate() {
                if let Some(piece) = encryption.read(clear, &mut buffer).unwrap() {
                    places.push((number, piece.clone()));
                    pieces.push((encryption, piece));
                }
            }
            if pieces.is_empty() {
                break;
            }
            encrypt_side_by_side(&mut pieces, &mut buffer);
            places.into_iter().for_each(|(number, piece)| together[number].extend(&buffer[piece]));
        }
        for (number, clear) in segments.iter().enumerate() {
            let mut alone = Vec::new();
            of(number).encrypt(clear, &mut alone).unwrap();
            assert!(alone == together[number], "{number}");
        }
    }

    #[test]
    fn another_key_shows_in_the_padding() {
        let other = Aes128::new(&Secret::new([1; 16]), [2; 16]);
        let error = other.decrypt(&encrypted(&[5; 100]), &mut Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with("the padding is not that of PKCS #7"), "{error}");
        assert!(aes128().decrypt(&vec![0; 17], &mut Vec::new()).is_err());
        assert!(aes128().decrypt(&Vec::new(), &mut Vec::new()).is_err());
    }

    #[test]
    fn the_iv_that_is_not_given_is_the_media_sequence_number() {
        assert_eq!(hex(&Aes128::iv_of_media_sequence_number(0x1234)), "00000000000000000000000000001234");
    }
}
