//! Whole segments in AES-128 — RFC 8216bis §4.4.4.4, §5.2: CBC with PKCS #7 padding over every byte, any container.

use crate::base::env::{Sink, Source};
use crate::base::{Error, Result, Secret};

use super::cipher::Cipher;
use super::scheme::{Chain, Pattern};

/// Bytes in an AES block.
const BLOCK: usize = 16;
/// Bytes in memory at a time: a multiple of a block. Each core has its own.
const CHUNK_BYTES: usize = 256 << 10;

/// A key and the IV of a segment, or of each segment that is a byte range.
pub struct Aes128 {
    cipher: Cipher,
    iv: [u8; BLOCK],
}

impl Aes128 {
    /// A segment's key and IV.
    pub fn new(key: &Secret<16>, iv: [u8; 16]) -> Self {
        Self { cipher: Cipher::new(key), iv }
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
        let mut chain = self.iv;
        let mut written = 0;
        let mut buffer = Vec::new();
        for chunk in Chunks::of(source.len()) {
            chunk.read(source, &mut buffer)?;
            if chunk.is_last {
                // RFC 5652 §6.3: always at least one byte, each with the number of them.
                let padding = BLOCK - buffer.len() % BLOCK;
                buffer.resize(buffer.len() + padding, u8::try_from(padding).unwrap_or(0));
            }
            let all = 0..buffer.len();
            self.cipher.cbc_encrypt(&chain, Pattern::NONE, &mut buffer, std::slice::from_ref(&all));
            chain = last_block(&buffer).unwrap_or(chain);
            sink.write(&buffer)?;
            written += buffer.len() as u64;
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
