//! Sample encryption of elementary streams — Apple, MPEG-2 Stream Encryption Format for HTTP Live Streaming,
//! listings 1-1 to 1-4, which RFC 8216bis §4.4.4.4 names for SAMPLE-AES.

use std::ops::Range;

use crate::base::{Error, Result, Secret};
use crate::codec::byte_stream::{escape, escaped, nal_units, needs_escape, preventions, unescape};
use crate::codec::{AudioFrame, Elementary, Evidence, StreamMarks, TrackKind};

use super::cipher::{Cipher, patterned};
use super::scheme::{Chain, Pattern};

/// Bytes in an AES block.
const BLOCK: usize = 16;
/// NAL units of at most this many bytes stay clear: listing 1-1.
const SHORT_NAL_UNIT: usize = 48;
/// Leading clear bytes of a NAL unit, its header included.
const NAL_UNIT_LEADER: usize = 32;
/// Leading clear bytes of a frame of audio behind its header.
const AUDIO_LEADER: usize = 16;
/// One block of ten is encrypted.
const NAL_UNIT_PATTERN: Pattern = Pattern { crypt_byte_block: 1, skip_byte_block: 9 };
/// `nal_unit_type` of the NAL units that are encrypted: slices that are not partitioned.
const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
/// `nal_unit_type` of slices that must not be encrypted, and would be pictures in the clear: data partitions, auxiliary
/// pictures, other layers and views. ITU-T H.264 table 7-1.
const OTHER_SLICES: [u8; 6] = [2, 3, 4, 19, 20, 21];

/// Which way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// From clear to protected.
    Encrypt,
    /// From protected to clear.
    Decrypt,
}

/// Moves each cut by the bytes that come or go before it, which are in order as the cuts are.
fn follow<'a>(
    cuts: impl Iterator<Item = &'a mut usize>,
    threes: impl Iterator<Item = usize>,
    place: impl Fn(usize, usize) -> usize,
    begin: usize,
) {
    let (mut threes, mut before) = (threes.peekable(), 0);
    for cut in cuts {
        while threes.next_if(|at| *at < *cut - begin).is_some() {
            before += 1;
        }
        *cut = place(*cut, before);
    }
}

/// A key and the IV that every NAL unit and every frame of audio begins with.
pub struct SampleAes {
    cipher: Cipher,
    iv: [u8; BLOCK],
}

impl SampleAes {
    /// A key and IV.
    pub fn new(key: &Secret<16>, iv: [u8; 16]) -> Self {
        Self { cipher: Cipher::new(key), iv }
    }

    fn run(&self, operation: Operation, pattern: Pattern, data: &mut [u8], range: Range<usize>) {
        match operation {
            Operation::Encrypt => {
                self.cipher.cbc_encrypt(&self.iv, pattern, data, std::slice::from_ref(&range));
            }
            Operation::Decrypt => {
                self.cipher.cbc_decrypt(&self.iv, pattern, Chain::Subsample, data, std::iter::once(range));
            }
        }
    }

    /// The bytes of a NAL unit without its emulation prevention of this layer: listing 1-1. A block is encrypted
    /// while *more* than 16 bytes are left, so that the last byte is clear always.
    fn nal_unit(&self, operation: Operation, nal_unit: &mut [u8]) {
        let range = NAL_UNIT_LEADER..nal_unit.len().saturating_sub(1);
        self.run(operation, NAL_UNIT_PATTERN, nal_unit, range);
    }

    /// An AVC byte stream of whole NAL units. Emulation prevention is applied a second time to NAL units that were
    /// encrypted, and to no others; decrypting takes that layer away.
    ///
    /// `cuts` are places in `stream`, in order; they become the same places in what is returned. The number is that of
    /// the bytes of NAL units that were encrypted or decrypted.
    ///
    /// # Errors
    /// When there are slices that cannot be encrypted.
    pub fn byte_stream(
        &self,
        operation: Operation,
        stream: &[u8],
        cuts: &mut [usize],
    ) -> Result<(Vec<u8>, u64)> {
        let mut protected = 0;
        let mut out = Vec::with_capacity(stream.len() + stream.len() / 64);
        let mut copied = 0;
        let mut cuts = cuts.iter_mut().peekable();
        for range in nal_units(stream) {
            let Some(unit @ [header, ..]) = stream.get(range.clone()) else { continue };
            let nal_unit_type = header & 0x1f;
            if operation == Operation::Encrypt && header & 0x80 != 0 {
                return Err(Error::input("forbidden_zero_bit of a NAL unit is 1: the stream is damaged")
                    .clause("ITU-T H.264 §7.4.1"));
            }
            if operation == Operation::Encrypt && OTHER_SLICES.contains(&nal_unit_type) {
                return Err(Error::unsupported(format!(
                    "nal_unit_type is {nal_unit_type}, a slice that would stay clear; {SLICE} or {IDR_SLICE} expected"
                ))
                .clause("MPEG-2 Stream Encryption Format for HTTP Live Streaming §2.2"));
            }
            if !matches!(nal_unit_type, SLICE | IDR_SLICE) || unit.len() <= SHORT_NAL_UNIT {
                continue;
            }
            while let Some(cut) = cuts.next_if(|cut| **cut < range.start) {
                *cut = *cut - copied + out.len();
            }
            out.extend(stream.get(copied..range.start).unwrap_or_default());
            copied = range.end;
            let start = out.len();
            let cuts = std::iter::from_fn(|| cuts.next_if(|cut| **cut < range.end));
            let place = |cut: usize| start + (cut - range.start);
            match operation {
                Operation::Encrypt => {
                    out.extend(unit);
                    let placed = out.get_mut(start..).unwrap_or_default();
                    self.nal_unit(operation, placed);
                    if needs_escape(placed) {
                        let unit = out.split_off(start);
                        follow(cuts, escaped(&unit), |cut, threes| place(cut) + threes, range.start);
                        escape(&unit, &mut out);
                    } else {
                        cuts.for_each(|cut| *cut = place(*cut));
                    }
                    protected += unit.len() as u64;
                }
                Operation::Decrypt => {
                    follow(cuts, preventions(unit), |cut, threes| place(cut) - threes, range.start);
                    let mut unit = unescape(unit);
                    self.nal_unit(operation, &mut unit);
                    protected += unit.len() as u64;
                    out.extend(&unit);
                }
            }
        }
        for cut in cuts {
            *cut = *cut - copied + out.len();
        }
        out.extend(stream.get(copied..).unwrap_or_default());
        Ok((out, protected))
    }

    /// One frame of audio in place: listings 1-2 and 1-3. A leader stays clear, then every whole block is encrypted.
    /// Returns how many bytes these blocks have.
    ///
    /// # Errors
    /// When it is a further substream that is to be encrypted: §2.1 has the IV begin anew with each protected block,
    /// "typically an audio frame", and decoders differ on whether such a syncframe is one.
    pub fn audio_frame(&self, operation: Operation, stream: &mut [u8], frame: &AudioFrame) -> Result<u64> {
        if frame.goes_on && operation == Operation::Encrypt {
            return Err(Error::unsupported("Enhanced AC-3 of more than one substream")
                .clause("MPEG-2 Stream Encryption Format for HTTP Live Streaming §2.1")
                .hint("encode it as one independent substream, or repackage it as fragmented MP4"));
        }
        let start = frame.range.start + frame.header_bytes + AUDIO_LEADER;
        let range = start..frame.range.end;
        let length = range.len() - range.len() % BLOCK;
        if length > 0 {
            self.run(operation, Pattern::NONE, stream, range);
        }
        Ok(length as u64)
    }
}

/// The bytes of a frame of audio, counted from its first, that are encrypted.
pub fn encrypted_bytes(frame: &AudioFrame) -> Range<usize> {
    let start = (frame.header_bytes + AUDIO_LEADER).min(frame.range.len());
    start..frame.range.len() - (frame.range.len() - start) % BLOCK
}

/// Looks for marks in the NAL units of a byte stream that was decrypted.
pub fn look_at_nal_units(stream: &[u8], marks: &StreamMarks, evidence: &mut Evidence) {
    let mut encrypted = Vec::new();
    for range in nal_units(stream) {
        let Some(unit @ [header, ..]) = stream.get(range) else { continue };
        if matches!(header & 0x1f, SLICE | IDR_SLICE) && unit.len() > SHORT_NAL_UNIT {
            encrypted.clear();
            let range = NAL_UNIT_LEADER..unit.len().saturating_sub(1);
            patterned(NAL_UNIT_PATTERN, range, false, &mut encrypted);
            marks.nal_unit(unit, &encrypted, evidence);
        }
    }
}

/// How an encrypted elementary stream is told from a clear one.
#[derive(Debug, PartialEq, Eq)]
pub struct Signaling {
    /// The codec.
    pub elementary: Elementary,
    /// `stream_type` of the clear stream.
    pub clear_stream_type: u8,
    /// `stream_type` of the encrypted stream.
    pub stream_type: u8,
    /// `private_data_indicator`.
    pub private_data_indicator: &'static [u8; 4],
    /// `audio_type` of the audio setup information. AAC is without extensions always: `profile_ObjectType` of ADTS has
    /// no value for SBR and PS, ISO/IEC 14496-3 §1.A.3.2.1, so that decoders find them in the frames, as they do in
    /// the clear: implicit signaling, §1.6.5.
    pub audio_type: Option<&'static [u8; 4]>,
}

/// Every codec that sample encryption knows.
pub static SIGNALING: [Signaling; 4] = [
    Signaling {
        elementary: Elementary::Avc,
        clear_stream_type: 0x1b,
        stream_type: 0xdb,
        private_data_indicator: b"zavc",
        audio_type: None,
    },
    Signaling {
        elementary: Elementary::Aac,
        clear_stream_type: 0x0f,
        stream_type: 0xcf,
        private_data_indicator: b"aacd",
        audio_type: Some(b"zaac"),
    },
    Signaling {
        elementary: Elementary::Ac3,
        clear_stream_type: 0x81,
        stream_type: 0xc1,
        private_data_indicator: b"ac3d",
        audio_type: Some(b"zac3"),
    },
    Signaling {
        elementary: Elementary::Eac3,
        clear_stream_type: 0x87,
        stream_type: 0xc2,
        private_data_indicator: b"ec3d",
        audio_type: Some(b"zec3"),
    },
];

/// `audio_setup_information()`: listing 1-4. The encoder's delay is not known, so that `priming` is 0.
///
/// # Errors
/// When this is not audio, or the setup data is too long for its field.
pub fn audio_setup_information(elementary: Elementary, setup_data: &[u8]) -> Result<Vec<u8>> {
    let row = SIGNALING.iter().find(|row| row.elementary == elementary);
    let audio_type = row.and_then(|row| row.audio_type).filter(|_| elementary.kind() == TrackKind::Audio);
    let (Some(audio_type), Ok(length)) = (audio_type, u8::try_from(setup_data.len())) else {
        return Err(Error::unsupported(format!(
            "audio setup information of {} with {} bytes of setup data",
            elementary.name(),
            setup_data.len()
        )));
    };
    // priming, version, setup_data_length
    Ok([audio_type, &[0, 0, 1, length][..], setup_data].concat())
}

/// Whether these bytes are an `audio_setup_information()` of this `audio_type` with all its setup data.
pub fn is_audio_setup_information(bytes: &[u8], audio_type: &[u8; 4]) -> bool {
    match bytes.strip_prefix(audio_type) {
        Some([_, _, _, length, setup_data @ ..]) => setup_data.len() == usize::from(*length),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{hex, parse_16};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn sample_aes() -> SampleAes {
        let key = Secret::new(parse_16("32333435363738393021323334353637").unwrap());
        SampleAes::new(&key, parse_16("00112233445566778899aabbccddeeff").unwrap())
    }

    /// The vector was made with an independent AES: byte i is i mod 256, and the block at 320 of 336 stays clear.
    #[test]
    fn a_block_is_encrypted_while_more_than_16_bytes_are_left() {
        let mut data: Vec<u8> = (0..32).chain((0..336).map(|i| u8::try_from(i % 256).unwrap())).collect();
        sample_aes().nal_unit(Operation::Encrypt, &mut data);
        let sha256 = hex(Sha256::digest(&data[32..]).as_slice());
        assert_eq!(sha256, "bf49fa76b080cf122512d2ddae4874693e164e1bcffb99e9d37d979e537226ff");
    }

    fn byte_stream(nal_unit_type: u8, length: usize) -> Vec<u8> {
        let mut stream = vec![0, 0, 0, 1, nal_unit_type];
        stream.extend((1..length).map(|i| u8::try_from(i % 255 + 1).unwrap()));
        stream
    }

    #[test]
    fn only_slices_of_more_than_48_bytes_are_encrypted() {
        for (nal_unit_type, length, changes) in
            [(1, 48, false), (1, 49, true), (5, 49, true), (6, 400, false), (7, 400, false)]
        {
            let stream = byte_stream(nal_unit_type, length);
            let (encrypted, protected) =
                sample_aes().byte_stream(Operation::Encrypt, &stream, &mut []).unwrap();
            assert_eq!(protected, if changes { length as u64 } else { 0 });
            assert_eq!(encrypted != stream, changes, "type {nal_unit_type}, {length} bytes");
            assert_eq!(encrypted[..36], stream[..36], "the leader");
        }
    }

    #[test]
    fn audio_keeps_its_header_a_leader_and_the_last_part_of_a_block() {
        for (length, encrypted) in [(7 + 16, 0), (7 + 31, 0), (7 + 32, 16), (7 + 47, 16), (7 + 48, 32)] {
            let clear = vec![9; length];
            let mut stream = clear.clone();
            let frame = AudioFrame { range: 0..length, header_bytes: 7, goes_on: false };
            let protected = sample_aes().audio_frame(Operation::Encrypt, &mut stream, &frame).unwrap();
            let changed =
                stream.iter().zip(&clear).rposition(|(a, b)| a != b).map_or(0, |last| last + 1 - 23);
            assert_eq!((changed, protected), (encrypted, encrypted as u64), "{length}");
            sample_aes().audio_frame(Operation::Decrypt, &mut stream, &frame).unwrap();
            assert_eq!(stream, clear);
        }
    }

    #[test]
    fn setup_information_has_its_type_version_and_length() {
        let bytes = audio_setup_information(Elementary::Aac, &[0x11, 0x90]).unwrap();
        assert_eq!(bytes, *b"zaac\0\0\x01\x02\x11\x90");
        assert!(audio_setup_information(Elementary::Avc, &[]).is_err());
    }

    proptest! {
        #[test]
        fn decrypting_undoes_encrypting_whatever_the_bytes(
            body in proptest::collection::vec(prop_oneof![2 => 0u8..5, 1 => any::<u8>()], 0..600)
        ) {
            let mut stream = vec![0, 0, 1, 0x65];
            escape(&body, &mut stream);
            stream.extend([0x80, 0, 0, 0, 1, 0x41]);
            escape(&body, &mut stream);
            let mut cuts: Vec<usize> = (0..=stream.len()).collect();
            let (encrypted, _) = sample_aes().byte_stream(Operation::Encrypt, &stream, &mut cuts).unwrap();
            prop_assert_eq!(nal_units(&encrypted).count(), nal_units(&stream).count());
            prop_assert!(cuts.is_sorted());
            prop_assert_eq!(cuts.last(), Some(&encrypted.len()));
            let (decrypted, _) = sample_aes().byte_stream(Operation::Decrypt, &encrypted, &mut cuts).unwrap();
            prop_assert_eq!(decrypted, stream);
            prop_assert!(cuts.iter().enumerate().all(|(index, cut)| index == *cut));
        }
    }
}
